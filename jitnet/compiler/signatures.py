"""Numba's types of the arguments of linked functions; and records, whose fields have names."""

from collections.abc import Iterator
from typing import Any, Protocol, Self, TypeVar, get_type_hints

import numpy as np
from numba import types

__all__ = [
    "BOOLEAN",
    "BYTES",
    "BYTES_2D",
    "COUNTS",
    "DOUBLES",
    "ENTRIES",
    "FLOATS",
    "FLOATS_2D",
    "INDICES",
    "INT",
    "KEY",
    "REAL",
    "SHORTS",
    "SINGLE",
    "WORDS",
    "Record",
    "Records",
    "make_record",
    "make_records",
    "record_type",
]

Row = TypeVar("Row", covariant=True)

INT, KEY, REAL, SINGLE, BOOLEAN = types.int64, types.uint64, types.float64, types.float32, types.boolean

FLOATS = types.Array(types.float32, 1, "C")
FLOATS_2D = types.Array(types.float32, 2, "C")
BYTES = types.Array(types.uint8, 1, "C")
BYTES_2D = types.Array(types.uint8, 2, "C")
DOUBLES = types.Array(types.float64, 1, "C")
COUNTS = types.Array(types.int64, 1, "C")
SHORTS = types.Array(types.uint16, 1, "C")
WORDS = types.Array(types.uint64, 1, "C")
ENTRIES = types.Array(types.uint32, 1, "C")
INDICES = types.Array(types.int32, 1, "C")


STORED = {int: np.int64, float: np.float64, bool: np.bool_}
"""How Python's types are stored in a record; NumPy's are stored as they are."""


class Record(Protocol):
    """What every record has. A subclass annotates its fields, for readers and the type checker: a record is a row of an
    array, and not an instance of the class."""

    def copy(self) -> Self: ...


class Records(Protocol[Row]):
    """An array of records (np.recarray): a row each, whose fields are read as attributes."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def copy(self) -> Self: ...
    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> Row: ...
    def __iter__(self) -> Iterator[Row]: ...


def record_type(fields: type) -> "np.dtype[Any]":
    """Return the structured type of a record, from the class that annotates its fields."""
    stored = [(name, STORED.get(kind, kind)) for name, kind in get_type_hints(fields).items()]
    return np.dtype(stored, align=True)


def make_records(kind: "np.dtype[Any]", count: int) -> Any:
    """Make zeroed records of a structured type, their fields read as attributes."""
    return np.zeros(count, kind).view(np.recarray)


def make_record(kind: "np.dtype[Any]", **values: Any) -> Any:
    """Make a record of a structured type, its fields read as attributes; a field that is not named is zero."""
    record = make_records(kind, 1)[0]
    for name, value in values.items():
        setattr(record, name, value)
    return record
