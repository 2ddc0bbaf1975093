"""What a thread was doing when a sample was taken: on which line, called from which; or something else than a line.

The lines of calls that were inlined are in the line table. Calls that were not are found on the stack, where a word
counts as a return address only if it follows a call, in a function that refers to the one that was called.
"""

import itertools
import linecache
import os
from dataclasses import dataclass
from pathlib import Path

import numba

from jitnet.profile.code.source import function_source
from jitnet.profile.functions.worker.addresses import Addresses, Compiled
from jitnet.profile.functions.worker.dwarf import SourceLine
from jitnet.profile.functions.worker.line_sampler import Sample
from jitnet.profile.functions.worker.source_rows import function_at, is_head, loops_of
from jitnet.profile.functions.worker.symbols import region_of

__all__ = [
    "ALLOCATION",
    "CALLING",
    "LIBRARY",
    "LINE",
    "OTHER",
    "PYTHON",
    "REFERENCES",
    "REGION",
    "WAITING",
    "Doing",
    "Stacks",
    "is_users",
]

LINE, REGION, LIBRARY = "line", "region", "library: "
CALLING, ALLOCATION, REFERENCES, PYTHON, WAITING, OTHER = (
    "calling and unboxing",
    "allocation",
    "reference counts",
    "Python",
    "waiting",
    "other",
)
"""What a sample counts as: a line; the start and end of a parallel region, and waiting in it; or a row of the rest."""

MEMORY = "_nrt_python"
"""The library with Numba's allocator."""

THREADING = ("libgomp", "libiomp", "libomp", "libtbb", "omppool", "tbbpool", "workqueue")
INTERPRETER = ("python", "libpython", "_dispatcher", "_dynfunc", "_multiarray_umath")
SYSTEM = ("libc.", "libc-", "libpthread", "ld-linux", "[vdso]", "ld-musl", "libmimalloc", "libjemalloc", "libtcmalloc")
ALLOCATORS = ("malloc", "free", "calloc", "realloc", "memalign", "aligned_alloc", "mmap", "munmap", "madvise", "brk",
              "PyMem_", "Malloc", "Free")  # fmt: skip
SLEEPERS = ("nanosleep", "usleep", "sleep", "poll", "select", "futex", "pthread_cond", "sem_", "sched_yield", "wait")

RAISING = ("PyErr_", "PyExc_", "PyGILState_")

LAUNCH = "numba_parallel_for"
"""What a function with a parallel loop calls."""

NUMBA = str(Path(numba.__file__).parent) + os.sep


@dataclass(frozen=True)
class Doing:
    """What a sample counts as, and the user's lines that it was called from, innermost first. body: in the body of
    which parallel loop, by `symbols.region_of`; "" elsewhere. launched: how many of the lines are that body's; all
    where the call of the loop is not on the stack."""

    what: str
    lines: tuple[SourceLine, ...]
    body: str = ""
    launched: int = 0


def is_users(place: SourceLine) -> bool:
    """Whether a line has a source that is not Numba's, and is in one of its functions."""
    file, line = place
    if not file or line <= 0 or file.startswith(NUMBA) or "<" in os.path.basename(file):
        return False
    found = function_source(file, line)
    # What Numba makes of an array expression is on line 1.
    return found is None or line >= found.first_line or linecache.getline(file, line).lstrip().startswith("@")


class Stacks:
    """Reads samples."""

    def __init__(self, addresses: Addresses) -> None:
        self._at = addresses
        self._memory = addresses.range_of(MEMORY)

    def doing(self, sample: Sample) -> Doing:
        """Return what a sample's thread was doing. OTHER with no lines where it ran nothing that is known."""
        leaf = self._at.compiled(sample.counter)
        frames = self._frames(leaf, sample)
        lines, body, launched = self._lines(frames)
        if leaf is not None:
            what = self._in_compiled(leaf, lines)
        else:
            what = self._in_library(sample, frames)
        return Doing(what, tuple(lines), body, launched)

    def _frames(self, leaf: Compiled | None, sample: Sample) -> list[tuple[Compiled, int]]:
        """Return the compiled functions that were active, with an address in each, innermost first."""
        frames = [] if leaf is None else [(leaf, self._line_of_stall(leaf, sample.counter))]
        for word in sample.returns:
            found = self._at.compiled(word - 1)
            if found is None or not found.is_call(word):
                continue
            if frames and not _may_call(found, frames[-1][0]):
                continue
            frames.append((found, word - 1 if frames else self._line_of_call(found, word)))
            if _is_wrapper(found):
                break
        return frames

    def _line_of_stall(self, function: Compiled, counter: int) -> int:
        """Return an address with the line of the instruction that took the time.

        A processor ends an instruction before it takes an interrupt: so the counter is at the next one. That before it
        counts where it is in the same loops, and not what is before the loop that the counter is at the begin of.
        """
        if counter == function.begin:
            return counter
        here, before = self._lines_at(function, counter), self._lines_at(function, counter - 1)
        return counter - 1 if before and loops_of(tuple(before)) == loops_of(tuple(here)) else counter

    def _line_of_call(self, function: Compiled, after: int) -> int:
        """Return an address with the line of a library's call, which ends at `after`.

        LLVM moves such calls, and then they have no line: they seem to be on that of the instruction before, a loop's
        head, or the line that calls the inlined function in which the call is.
        """
        here = self._lines_at(function, after - 1)
        next_ = self._lines_at(function, after)
        deeper = len(next_) > len(here) and next_[len(next_) - len(here) :] == here
        moved = bool(here and next_) and is_head(here[0]) and not is_head(next_[0])
        return after if deeper or moved else after - 1

    def _lines_at(self, function: Compiled, address: int) -> list[SourceLine]:
        return [place for place in function.lines_at(address, is_head) if is_users(place)]

    def _lines(self, frames: list[tuple[Compiled, int]]) -> tuple[list[SourceLine], str, int]:
        """Return the user's lines in frames, innermost first; the parallel loop, and how many lines are its body's."""
        lines: list[SourceLine] = []
        body, launched = "", 0
        for function, address in frames:
            here = self._lines_at(function, address)
            region = region_of(function.name)
            if region:
                body = body or region
                lines += here
                launched = len(lines)
                continue
            if body and launched == len(lines) and lines and here and function_at(lines[-1]) == function_at(here[0]):
                here = here[1:]  # the `prange` itself, whose body it is
            lines += here
        return lines, body, launched

    def _in_compiled(self, leaf: Compiled, lines: list[SourceLine]) -> str:
        if leaf.name in ("NRT_incref", "NRT_decref") or leaf.name.startswith("nrt_atomic"):
            return REFERENCES
        if leaf.name.startswith(("NRT_", "nrt_")):
            return ALLOCATION
        if _is_wrapper(leaf):
            return CALLING
        if lines:
            return LINE
        if "__gufunc__" in leaf.name or region_of(leaf.name):
            return REGION
        return PYTHON if _calls_python(leaf) else OTHER

    def _in_library(self, sample: Sample, frames: list[tuple[Compiled, int]]) -> str:
        """Return what a sample counts as whose thread was in none of the compiled functions. The stack has words that
        were left from calls that have returned, so the library must fit what they say."""
        library = self._at.library(sample.counter)
        name, function = (library.name, library.function) if library is not None else ("", "")
        is_python = name.startswith((*INTERPRETER, *SYSTEM)) or ".cpython" in name
        if not frames:
            if name.startswith(THREADING):
                return REGION
            mathematics = name.startswith(("libm.", "libm-"))  # NumPy's, which reads its flags
            return CALLING if is_python or mathematics else f"{LIBRARY}{function or name}" if name else OTHER
        caller = frames[0][0]
        if _is_wrapper(caller):
            return CALLING
        if name.startswith(THREADING):
            return REGION
        if MEMORY in name:
            return REFERENCES if function in ("NRT_incref", "NRT_decref") else ALLOCATION
        above = itertools.takewhile(lambda word: not word - 1 <= frames[0][1] <= word, sample.returns)
        allocates = any(part in function for part in ALLOCATORS)
        if (allocates or not function) and is_python and any(map(self._is_memory, above)):
            return ALLOCATION
        if is_python and _calls_python(caller):
            return PYTHON
        if name.startswith(INTERPRETER):
            return CALLING  # the caller never calls Python: its address was left on the stack
        if not name or name.startswith(SYSTEM):
            if LAUNCH in caller.refers:
                return REGION  # also in the clock of threads, which is linked in between
            if allocates:
                return ALLOCATION
            return WAITING if any(part in function for part in SLEEPERS) else LINE if name else OTHER
        return LINE

    def _is_memory(self, word: int) -> bool:
        return self._memory[0] <= word < self._memory[1]


def _is_wrapper(function: Compiled) -> bool:
    """Whether a function converts arguments, for callers in Python or C."""
    return function.name.startswith(("_ZN7cpython", "cfunc."))


def _calls_python(function: Compiled) -> bool:
    """Whether a function runs the interpreter, for more than to raise an error, which parallel loops can."""
    return any(name.startswith("Py") and not name.startswith(RAISING) for name in function.refers)


def _may_call(caller: Compiled, called: Compiled) -> bool:
    if called.name in caller.refers:
        return True
    is_body = bool(region_of(called.name)) or "__gufunc__" in called.name
    return is_body and (LAUNCH in caller.refers or "__gufunc__" in caller.name)
