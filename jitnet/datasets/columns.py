"""A caller's arrays and tables, pandas' included, as plain NumPy arrays.

Nothing here imports pandas: its objects can be read as an array of objects.
"""

import numbers
from typing import Any

import numpy as np

from jitnet.config.checking import quoted
from jitnet.errors import DataError

__all__ = ["as_labels", "as_numbers", "names_of"]


def as_numbers(values: Any, where: str) -> np.ndarray:
    """Return samples as an array of numbers: of an array, a list, or a table whose columns all are numbers.

    where: the name of the values in messages. Raises DataError for rows of different lengths, and for a value that is
    not a number: it names row and column.
    """
    array = _as_array(values, where)
    if array.dtype.kind != "O":
        return array
    for at, value in np.ndenumerate(array):
        if not isinstance(value, (numbers.Real, np.bool_)):
            raise DataError(f"{where}: {_place(values, at)} is {quoted(value)}; expected only numbers")
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise DataError(f"{where}: holds a number beyond float64; expected smaller ones") from None


def as_labels(values: Any, where: str) -> np.ndarray:
    """Return labels as an array of numbers or of words: of an array, a list, or a column of words or categories.

    Raises DataError for a label that is missing or of another kind than the first: it names the sample.
    """
    array = _as_array(values, where)
    if array.ndim == 0:
        raise DataError(f"{where}: is {quoted(values)}; expected a label for each sample")
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.kind != "O" or not array.size:
        return array
    words = isinstance(array.flat[0], str)
    for at, value in np.ndenumerate(array):
        if not isinstance(value, str if words else (numbers.Real, np.bool_)):
            missing = value is None or value != value or type(value).__name__ == "NAType"
            found = "missing" if missing else quoted(value)
            raise DataError(
                f"{where}: the label of sample {at[0]} (from 0) is {found}; expected {'words' if words else 'numbers'}"
                f", as the first one is {array.flat[0]!r}"
            )
    if words:
        return array.astype(str)
    whole = all(isinstance(value, (numbers.Integral, np.bool_)) for value in array.flat)
    return array.astype(np.int64 if whole else np.float64)


def names_of(values: Any) -> tuple[str, ...] | None:
    """The names of a table's columns, or of a column; None where it has none."""
    columns = getattr(values, "columns", None)
    if columns is not None:
        return tuple(str(name) for name in columns)
    name = getattr(values, "name", None)
    return (name,) if isinstance(name, str) and name else None


def _as_array(values: Any, where: str) -> np.ndarray:
    if np.ma.is_masked(values):
        masked = np.ma.count_masked(values)
        raise DataError(f"{where}: {masked:,} of the values are masked; fill them, or leave their samples out")
    try:
        return np.asarray(values)
    except ValueError:  # NumPy rejects rows of different lengths
        raise DataError(f"{where}: rows have different lengths; expected the same number of values in each") from None


def _place(values: Any, at: tuple[int, ...]) -> str:
    """Where a value is, in words: by the name of its column where the table has names."""
    names = getattr(values, "columns", None)
    if len(at) < 2:
        return f"value {at[0] if at else 0} (from 0)"
    column = f"value {at[1]}" if names is None else f"column {str(names[at[1]])!r}"
    return f"{column} of sample {at[0]} (from 0)"
