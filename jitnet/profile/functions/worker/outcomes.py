"""What a call returned and wrote, as values that can be compared and sent to another process."""

import reprlib
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any

import numpy as np

from jitnet.profile.functions.worker.containers import typed_name

__all__ = [
    "LARGEST_BYTES",
    "LENGTH",
    "Opaque",
    "Outcome",
    "are_finite",
    "bytes_of",
    "is_number",
    "largest_number",
    "leaves",
    "outcome",
    "plain_value",
    "share_memory",
]

Outcome = dict[str, Any]
"""By name, "the result" and what was written: arrays, numbers, text, and lists, dictionaries and tuples of these."""

LARGEST_BYTES = 1 << 28
"""Outcomes above this are not kept to be compared."""

LENGTH = "the number of elements of "
"""Before the name of a list, the name of its length."""


class Opaque:
    """A value that cannot be compared. kind: its type's name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def plain_value(value: Any, copy: bool = True) -> Any:
    """Return a value as what `Outcome` has, which can be pickled. copy: of arrays too."""
    if isinstance(value, np.ndarray):
        return np.array(value, copy=True) if copy else value
    if isinstance(value, np.character):  # an element of an array of texts, which compiled code returns as a text
        return value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic, Enum)):
        return value
    if isinstance(value, tuple):
        return tuple(plain_value(part, copy) for part in value)
    if isinstance(value, list) or typed_name(type(value)) == "List":
        return [plain_value(part, copy) for part in value]
    if isinstance(value, dict) or typed_name(type(value)) == "Dict":
        return {_plain_key(key): plain_value(part, copy) for key, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    kind = getattr(value, "_numba_type_", None)
    fields = getattr(kind, "struct", None)
    if fields:
        # The fields of a compiled class; a private one cannot be read from outside.
        return {name: plain_value(getattr(value, name, None), copy) for name in fields if not name.startswith("_")}
    return Opaque(type(value).__name__)


def _plain_key(key: Any) -> Any:
    """Return a dictionary's key as Python's type, as parts are named by it."""
    if isinstance(key, tuple):
        return tuple(map(_plain_key, key))
    return key.item() if isinstance(key, np.generic) else key


def outcome(result: Any, written: Iterable[tuple[str, Any]], copy: bool = True) -> Outcome:
    """Return what a call returned, and arrays and containers that it wrote."""
    found = {} if result is None else {"the result": plain_value(result, copy)}
    return found | {name: plain_value(value, copy) for name, value in written}


def bytes_of(found: Any) -> int:
    """Return the bytes of the arrays in an outcome."""
    return sum(leaf.nbytes for _, leaf in leaves("", found) if isinstance(leaf, np.ndarray))


def share_memory(found: Outcome) -> bool:
    """Whether two of the arrays in an outcome that was not copied begin at the same element."""
    starts = [
        leaf.__array_interface__["data"][0]
        for _, leaf in leaves("", found)
        if isinstance(leaf, np.ndarray) and leaf.size
    ]
    return len(set(starts)) < len(starts)


def are_finite(found: Outcome) -> bool:
    """Whether no number in it is NaN or infinite."""
    return all(
        bool(np.isfinite(leaf).all())
        for _, leaf in leaves("", found)
        if isinstance(leaf, (float, complex, np.ndarray, np.generic)) and np.asarray(leaf).dtype.kind in "fc"
    )


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the parts of an outcome, each with its name: arrays, numbers and texts, and how long lists are."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(f"{name}[{reprlib.repr(key)}]" if name else str(key), part)
    elif isinstance(value, (tuple, list)):
        if value and all(isinstance(part, (int, float, complex, np.generic)) for part in value) and len(value) > 8:
            yield name, np.array(value)
            return
        yield f"{LENGTH}{name}", len(value)
        for number, part in enumerate(value):
            yield from leaves(f"{name}[{number}]", part)
    else:
        yield name, value


def is_number(value: Any) -> bool:
    """Whether a part is a number or an array."""
    return isinstance(value, (bool, int, float, complex, np.ndarray, np.generic))


def largest_number(arguments: Sequence[Any]) -> float:
    """Return the largest finite number among arguments that are floats or arrays of them."""
    found = 0.0
    for _, leaf in leaves("", plain_value(tuple(arguments), copy=False)):
        values = np.asarray(leaf) if is_number(leaf) else np.zeros(0)
        if values.dtype.kind in "fc" and values.size:
            sizes = np.abs(values)
            found = max(found, float(sizes.max(where=np.isfinite(sizes), initial=0.0)))
    return found
