"""A function and its arguments as another process wrote them (`functions/sending.py`), read in a worker process.

Arrays come back at the same offset in a page of memory, with the same strides, and share memory where they did: all of
that changes what Numba compiles, and how fast it is.
"""

import importlib
import pickle
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from jitnet.profile.loading import load_module

__all__ = [
    *("ARGUMENTS", "FUNCTION", "PAGE", "Memory", "array_in", "by_name", "prepare", "read", "typed_dict", "typed_list")
]

FUNCTION, ARGUMENTS = "function.pickle", "arguments.pickle"
"""Files of a folder that is sent."""

PAGE = 4096


class Memory:
    """A range of memory that one or more arrays are in. bytes: uint8, 1-D. offset: of its first byte in a page."""

    def __init__(self, content: Any, offset: int) -> None:
        self.bytes, self.offset = content, offset

    def __reduce__(self) -> Any:
        return _placed, (self.bytes, self.offset)


def _placed(content: Any, offset: int) -> Memory:
    wide = np.empty(content.size + 2 * PAGE, np.uint8)
    first = (offset - wide.ctypes.data) % PAGE
    copied = wide[first : first + content.size]
    copied[:] = content
    return Memory(copied, offset)


def array_in(
    memory: Memory, dtype: Any, shape: Sequence[int], strides: Sequence[int], offset: int, writeable: bool
) -> Any:
    """Return an array in that memory. offset: of its first element, in bytes."""
    array: Any = np.ndarray(shape, dtype, memory.bytes, offset, strides)
    array.flags.writeable = writeable
    return array


def typed_list(kind: Any, item_type: Any, items: Iterable[Any]) -> Any:
    """Return a typed list. kind: `numba.typed.List`."""
    made = kind.empty_list(item_type)
    for item in items:
        made.append(item)
    return made


def typed_dict(kind: Any, key_type: Any, value_type: Any, items: Iterable[tuple[Any, Any]]) -> Any:
    """Return a typed dictionary. kind: `numba.typed.Dict`."""
    made = kind.empty(key_type, value_type)
    for key, value in items:
        made[key] = value
    return made


def by_name(where: str, name: str) -> Any:
    """Return what a module, or the file of a script, has under a dotted name."""
    found: Any = load_module(where)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def prepare(path: Sequence[str], home: str) -> None:
    """Import from where the sender does, and load the function's module, which may teach Numba types and functions."""
    sys.path[:] = [*path, *(folder for folder in sys.path if folder not in path)]
    if home:
        with suppress(Exception):  # the function brings what it uses
            importlib.import_module(home)


def read(folder: Path, name: str) -> Any:
    """Return what one of the files of a folder holds."""
    with (folder / name).open("rb") as file:
        return pickle.load(file)
