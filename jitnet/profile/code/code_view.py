"""What the line view holds: a function's source, its loops, and what the machine code of each does in one turn."""

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Body", "CodeView", "Counts", "Instruction", "Kind", "Loop", "Mca", "Source", "Target"]

Kind = str
"""What an instruction does: "fma", "add" (also a subtraction), "multiply", "divide", "sqrt" of floating-point numbers;
"convert" between float32 and float64 or between a float and an integer; "load", "store", "call", "jump"; "other"."""


@dataclass(frozen=True)
class Target:
    """A function to compile and look at.

    name: of one of this project's own kernels or operations, as `kernel_names` gives them, where `module` is empty;
    otherwise the function's name in `module`, a dotted module or the path of a Python file. arguments: the Numba types
    of its arguments as text, one each, as in "float32[:, ::1]"; empty for own kernels, which carry theirs, and for
    functions of no arguments. kind: how a plain Python function is to be compiled, "njit"; a function that is compiled
    by a decorator of Numba already keeps its own options, and `kind` is not looked at. path: folders to put before
    `sys.path` while the module is imported. pickled: Numba's types themselves, pickled as a tuple and
    written in base64; used in place of `arguments` where given, for types that have no text.
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

    text: as the assembler reads it, without its tab. file, line: the line of source it was made for, "" and 0 where
    none is known. kind: what it does. lanes: numbers that it works on at once, 1 where it is scalar; bits: of each.
    flop: 2 a lane of a multiply-add, 1 of any other arithmetic. load_bytes, store_bytes: what it moves from and to
    memory, also as part of arithmetic. spill: whether that memory is the stack: a value that found no register. widens:
    whether it makes float64 of float32. callee: the name of what it calls, for a call, "" where that is known only at
    run time. vector_bits: of its registers, 0 where it is scalar.
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
    """What one turn of a machine loop does, the loops inside it left out.

    fma_packed, fma_scalar: fused multiply-adds on vectors and on single numbers. flop_packed, flop_scalar: additions,
    subtractions and multiplications, likewise. divisions, square_roots: of both. loads, stores: instructions that read
    or write memory, arithmetic that reads it among them. spills: those of them on the stack. conversions: between
    floats of different widths, and between floats and integers. widenings: conversions from float32 to float64. calls.
    wraps: signed indices brought back into range, `index + n if index < 0`. instructions: all. flop, load_bytes,
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
    """What llvm-mca or OSACA says of a loop's instructions, run again and again with all data in the first cache.

    program: "llvm-mca 14" or "OSACA 0.6". cpu: the model it reckoned with. cycles: a turn. binds: the port or resource
    that is busiest, or "latency" where a chain of results is longer than any. unknown: instructions that the model does
    not know. note: why there are no cycles, where `cycles` is 0.
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
    over or that run where arrays overlap. iterations: turns of the source's loop that one turn makes, as far as LLVM
    told: vector width times interleaving times unrolling. counts, instructions: of one turn, in the order of the
    machine code, loops inside left out. mca: for the main innermost body, where such a program is installed.
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
    """A loop of the source, with what LLVM did with it.

    file, line, last_line: where it stands; a loop that Numba makes of an array expression is one line. function: the
    Python function it is written in. depth: loops of the source around it in that function, itself included; innermost:
    whether none is inside. parallel: None outside a `prange`, else "body" for the copy that threads run, and "serial"
    for one that runs where it is not parallel. vectorised: whether LLVM did. width: numbers in a vector. scalable:
    whether the processor decides how often the width fits a vector. interleaved: vectors side by side. unrolled: turns
    that LLVM wrote one after another, 1 where it did not; 0 for a loop that is gone because all its turns were.
    reason: why it is not vectorised, in plain words; remark: LLVM's own words. bodies: its loops in the machine code,
    the main one first; none where it was unrolled whole, or where vectors took it over entirely.
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

    @property
    def main(self) -> Body | None:
        """The body that does most of the work, None where the machine code has none."""
        return self.bodies[0] if self.bodies else None

    @property
    def counts(self) -> Counts:
        """Of one turn of the main body; zeros where there is none."""
        return self.bodies[0].counts if self.bodies else Counts()

    @property
    def has_rest(self) -> bool:
        """Whether another copy does what the main one leaves over."""
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
    "guvectorize". cpu: LLVM's name of the processor; foreign: whether it is another than this machine's, so that the
    code was read and never run. vector_bits: the widest vectors it has. sources: the function, and what was copied into
    it, as far as loops of it are in the machine code; the function itself first. loops: in the order of `sources` and
    lines. instructions: of all that was compiled, and plain_instructions of the same without a line table, where that
    was compared: where they differ, what is shown is not quite what runs. straight: instructions of the function
    outside all loops. notes: sentences for people, such as that no analyser is installed.
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
