"""From what to look at to what LLVM made of it."""

from collections.abc import Callable, Sequence

from jitnet.machine_code.records import CodeView, Target

__all__ = ["look"]


def look(
    targets: Sequence[Target],
    cpu: str | None = None,
    *,
    analyse: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[CodeView]:
    """The views of functions, in the order of `targets`, compiled for this machine or for LLVM's processor `cpu`.

    A worker process compiles; what Numba or the module's own code prints there is kept out of the way. analyse: ask
    llvm-mca or OSACA, where installed, for the cycles of main innermost bodies. progress: called as (what, done, total)
    as each function is compiled. A function takes 0.2 to 2 s and the worker's start one more.

    Raises UsageError for a processor that LLVM does not know, a name that is no kernel, a module or function that is
    not there, or arguments that are no Numba types; JitnetError where compiling fails, with Numba's reason.
    """
    raise NotImplementedError
