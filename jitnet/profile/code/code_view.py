"""The records of the line view: a function's source, its loops, and what an iteration of each does."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Body", "CodeView", "Counts", "Instruction", "Kind", "Loop", "Mca", "Source", "Target"]

Kind = str
"""What an instruction does: "fma", "add" (also subtractions), "multiply", "divide", "sqrt" of floating-point numbers;
"convert" between float32 and float64 or between a float and an integer; "load", "store", "call", "jump"; "other"."""


@dataclass(frozen=True)
class Target:
    """A function to compile and look at.

    name: of one of this project's kernels or operations, as `kernel_names` returns them, where `module` is empty;
    otherwise the function's name in `module`, a dotted module or the path of a Python file. arguments: the Numba types
    of its arguments as text, one each, as in "float32[:, ::1]"; empty for this project's kernels, whose types are
    declared, and for functions without arguments. kind: how to compile a plain Python function, "njit"; a function
    under a decorator of Numba keeps its options, and `kind` is ignored. path: folders to put before `sys.path` while
    the module is imported. pickled: Numba's types, pickled as a tuple and in base64; used in place of `arguments` where
    it is not empty, for types without a text form.
    """

    name: str
    module: str = ""
    arguments: tuple[str, ...] = ()
    kind: str = "njit"
    path: tuple[str, ...] = ()
    pickled: str = ""


@dataclass(frozen=True)
class Instruction:
    """One machine instruction.

    text: as the assembler reads it, without its tab. file, line: the source line it was made for, "" and 0 where it is
    unknown. kind: what it does. lanes: numbers that it works on at once, 1 where it is scalar; bits: of each. flop: 2 a
    lane of a multiply-add, 1 of any other arithmetic. load_bytes, store_bytes: what it moves from and to memory, also
    as part of arithmetic. spill: whether that memory is the stack: a value without a register. widens: whether it
    converts float32 to float64. callee: the name of what a call calls, "" where that is known only at run time.
    vector_bits: of its registers, 0 where it is scalar.
    """

    text: str
    file: str = ""
    line: int = 0
    kind: Kind = "other"
    lanes: int = 0
    bits: int = 0
    flop: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    spill: bool = False
    widens: bool = False
    callee: str = ""
    vector_bits: int = 0


@dataclass(frozen=True)
class Counts:
    """What one iteration of a machine loop does, without the loops inside it.

    fma_packed, fma_scalar: fused multiply-adds on vectors and on single numbers. flop_packed, flop_scalar: additions,
    subtractions and multiplications, likewise. divisions, square_roots: of both. loads, stores: instructions that read
    or write memory, also arithmetic that reads it. spills: those of them on the stack. conversions: between floats of
    different widths, and between floats and integers. widenings: conversions from float32 to float64. calls. wraps:
    signed indices that are wrapped into range, `index + n if index < 0`. instructions: all. flop, load_bytes,
    store_bytes: their sums. vector_bits: the widest vector that arithmetic or a load used, 0 where all is scalar.
    """

    fma_packed: int = 0
    fma_scalar: int = 0
    flop_packed: int = 0
    flop_scalar: int = 0
    divisions: int = 0
    square_roots: int = 0
    loads: int = 0
    stores: int = 0
    spills: int = 0
    conversions: int = 0
    widenings: int = 0
    calls: int = 0
    wraps: int = 0
    instructions: int = 0
    flop: int = 0
    load_bytes: int = 0
    store_bytes: int = 0
    vector_bits: int = 0


@dataclass(frozen=True)
class Mca:
    """What llvm-mca or OSACA computes for a loop's instructions, repeated with all data in the first cache.

    program: "llvm-mca 14" or "OSACA 0.6". cpu: the model it used. cycles: an iteration. binds: the busiest port or
    resource, or "latency" where a chain of results takes longer than any. unknown: instructions that the model does not
    know. note: why there are no cycles, where `cycles` is 0.
    """

    program: str
    cpu: str
    cycles: float = 0.0
    binds: str = ""
    unknown: int = 0
    note: str = ""


@dataclass(frozen=True)
class Body:
    """One loop of the machine code.

    symbol: the compiled function it is in. depth: loops around it there, itself included. innermost: whether no loop is
    inside. role: "main" for the copy of a source loop with the widest vectors, "rest" for those that do what is left
    over or that run where arrays overlap. iterations: of the source's loop in one of this loop's, as LLVM reports it:
    vector width times interleaving times unrolling. counts, instructions: of one iteration, in the order of the machine
    code, without inner loops. mca: for the main innermost body, where such a program is installed.
    """

    symbol: str
    depth: int
    innermost: bool
    role: str
    iterations: int
    counts: Counts
    instructions: tuple[Instruction, ...]
    mca: Mca | None = None


@dataclass(frozen=True)
class Loop:
    """A loop of the source, and what LLVM made of it.

    file, line, last_line: where it is; a loop that Numba makes of an array expression is one line. function: the Python
    function it is written in. depth: loops of the source around it in that function, itself included; innermost:
    whether none is inside. parallel: None outside a `prange`, else "body" for the copy that threads run, and "serial"
    for one that runs where it is not parallel. vectorised: whether LLVM vectorised it. width: numbers in a vector.
    scalable: whether the processor decides how often the width fits a vector. interleaved: vectors in parallel.
    unrolled: iterations that LLVM put into one, 1 without unrolling; 0 for a loop that is completely unrolled. reason:
    why it is not vectorised, in plain words; remark: LLVM's words. bodies: its loops in the machine code, the main one
    first; none where it was completely unrolled or became vectors without a loop. gone: what became of a loop of the
    function itself that is not in the machine code though it was not unrolled: "deleted" where nothing uses what it
    computes, "a call of memset", "computed without a loop", or "deleted, or computed without a loop"; else "".
    """

    file: str
    line: int
    last_line: int
    function: str
    depth: int
    innermost: bool
    parallel: str | None = None
    vectorised: bool = False
    width: int = 0
    scalable: bool = False
    interleaved: int = 1
    unrolled: int = 1
    reason: str = ""
    remark: str = ""
    bodies: tuple[Body, ...] = ()
    gone: str = ""

    @property
    def main(self) -> Body | None:
        """The body that does most of the work, None where the machine code has none."""
        return self.bodies[0] if self.bodies else None

    @property
    def counts(self) -> Counts:
        """Of one iteration of the main body; zeros where there is none."""
        return self.bodies[0].counts if self.bodies else Counts()

    @property
    def has_rest(self) -> bool:
        """Whether another copy does the remaining iterations."""
        return len(self.bodies) > 1


@dataclass(frozen=True)
class Source:
    """Lines of a file that a view shows: a function, from its first line (decorators left out) on."""

    file: str
    function: str
    first_line: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class CodeView:
    """A function as it was compiled for one processor.

    function: its name. signature: the types it was compiled for, as text. kind: "njit", "parallel", "vectorize" or
    "guvectorize". cpu: LLVM's name of the processor; foreign: whether it is not this machine's, so that the code was
    read and never run. vector_bits: the widest vectors it has. sources: the function itself first, then inlined ones
    whose loops are in the machine code. loops: in the order of `sources` and lines. instructions: of all that was
    compiled, and plain_instructions of the same without a line table, where that was compared: where they differ, the
    code that runs differs slightly from the code shown. straight: instructions of the function outside all loops.
    notes: sentences for the user, such as that no analyser is installed.
    """

    function: str
    module: str
    signature: str
    kind: str
    cpu: str
    foreign: bool
    vector_bits: int
    sources: tuple[Source, ...]
    loops: tuple[Loop, ...]
    instructions: int
    plain_instructions: int = 0
    straight: tuple[Instruction, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def file(self) -> Path:
        """The file of the function itself."""
        return Path(self.sources[0].file) if self.sources else Path()
