"""Memory that training works in: where arrays start, how far apart, and memory that is used again."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.machine.pages import untouched

__all__ = ["GAP_BYTES", "Buffer", "aligned", "per_part", "zeroed"]

_LINE_BYTES = 128
"""Bytes that arrays start at multiples of: two cache lines, which processors fetch together."""

_HUGE_PAGE = 2 << 20
_HUGE_FROM = _HUGE_PAGE // 8
"""Bytes from which a block is in huge pages. In small ones the weights alone take more pages than the processor keeps
addresses at hand for."""

GAP_BYTES = 4096
"""Bytes between what one thread writes and what another does, step after step. Processors fetch ahead of a walk, also
behind its end, and so take lines from the core that is writing there. They stop at the end of a page."""


class Buffer:
    """Memory that is used again and again: new pages take longer to come by than what is written there to write."""

    def __init__(self, kind: type) -> None:
        self._array: npt.NDArray[Any] = np.empty(0, kind)

    def take(self, count: int) -> npt.NDArray[Any]:
        """So many numbers, whatever they are; those that were taken before must not be used any more."""
        if len(self._array) < count:
            self._array = np.empty(count + count // 8, self._array.dtype)
        return self._array[:count]


def aligned(count: int) -> npt.NDArray[np.float32]:
    """`count` float32 zeros on a start of 128 bytes; a vector load across cache lines takes twice as long."""
    return zeroed((count, np.float32))[0]


def per_part(parts: int, count: int, kind: type) -> tuple[int, type]:
    """What `zeroed` needs for `count` numbers a part, with a gap behind them; nothing where that is none."""
    return parts * (count + GAP_BYTES // np.dtype(kind).itemsize) * (count > 0), kind


def zeroed(*wanted: tuple[int, type]) -> list[npt.NDArray[Any]]:
    """Zeros, so many of each type, each array at a start in one block of memory, which nothing has written to yet."""
    sizes = [-(-count * np.dtype(kind).itemsize // _LINE_BYTES) * _LINE_BYTES for count, kind in wanted]
    huge = sum(sizes) >= _HUGE_FROM
    # Whole huge pages, from the start of one: the system makes none that is not all asked for.
    room = (-(-sum(sizes) // _HUGE_PAGE) + 1) * _HUGE_PAGE if huge else sum(sizes)
    raw = untouched(room, np.uint8, huge=huge)
    at = -raw.ctypes.data % (_HUGE_PAGE if huge else _LINE_BYTES)
    arrays: list[npt.NDArray[Any]] = []
    for (count, kind), size in zip(wanted, sizes, strict=True):
        arrays.append(raw[at : at + count * np.dtype(kind).itemsize].view(kind))
        at += size
    return arrays
