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

__all__ = ["ARGUMENTS", "FUNCTION", "PAGE", "Memory", "array_in", "by_name", "load", "typed_dict", "typed_list"]

FUNCTION, ARGUMENTS = "function_{}.pickle", "<arguments>"
"""The files of the functions, and the name of the arguments, which no function has."""

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


def load(folder: Path, names: Sequence[str], path: Sequence[str], homes: Sequence[str]) -> dict[str, Any]:
    """Return what a folder holds: functions by their names, and under ARGUMENTS one that reads the arguments.

    path: where the sender imports from. homes: the functions' modules. They are loaded first, since they may teach
    Numba types and functions; what fails there is no error, since a function brings what it uses.
    """
    sys.path[:] = [*path, *(each for each in sys.path if each not in path)]
    for home in homes:
        with suppress(Exception):
            importlib.import_module(home)
    functions = {name: _read(folder / FUNCTION.format(number)) for number, name in enumerate(names)}
    return functions | {ARGUMENTS: lambda: _read(folder / f"{ARGUMENTS}.pickle")}


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)
