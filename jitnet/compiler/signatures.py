"""Numba's types of what linked functions take; and records, which carry their settings by name."""

from typing import Any

import numpy as np
from numba import types

__all__ = [
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
    "SINGLE",
    "WORDS",
    "make_record",
    "make_records",
]

INT, KEY, REAL, SINGLE = types.int64, types.uint64, types.float64, types.float32

FLOATS = types.Array(types.float32, 1, "C")
FLOATS_2D = types.Array(types.float32, 2, "C")
BYTES = types.Array(types.uint8, 1, "C")
BYTES_2D = types.Array(types.uint8, 2, "C")
DOUBLES = types.Array(types.float64, 1, "C")
COUNTS = types.Array(types.int64, 1, "C")
WORDS = types.Array(types.uint64, 1, "C")
ENTRIES = types.Array(types.uint32, 1, "C")
INDICES = types.Array(types.int32, 1, "C")


def make_records(kind: "np.dtype[Any]", count: int) -> Any:
    """Zeroed records of a structured type, their fields read as attributes."""
    return np.zeros(count, kind).view(np.recarray)


def make_record(kind: "np.dtype[Any]", **values: Any) -> Any:
    """One record of a structured type, its fields read as attributes; a field that is not named is zero."""
    record = make_records(kind, 1)[0]
    for name, value in values.items():
        setattr(record, name, value)
    return record
