"""Memory that no thread has written to yet.

The system gives a page of memory its place when it is first written to: on a machine with several memory nodes, on that
of the core that writes. So arrays for training are made without a write to them, and the thread that uses a range of
one is the first to write there.
"""

import mmap
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["untouched"]

# Windows has private memory only, and no flags to ask for it.
_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def untouched(count: int, kind: Any, *, huge: bool = False) -> npt.NDArray[Any]:
    """`count` zeros of a type, at the start of a page, in pages that are not written to. NumPy's own may be in memory
    that was used before, and is then cleared by the thread that asks for it.

    huge: whether to ask for huge pages, where the system has them.
    """
    return _mapped(count * np.dtype(kind).itemsize, huge).view(kind)


def _mapped(n_bytes: int, huge: bool) -> npt.NDArray[np.uint8]:
    if n_bytes == 0:
        return np.zeros(0, np.uint8)
    memory = mmap.mmap(-1, n_bytes, **_PRIVATE)
    if huge and hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
