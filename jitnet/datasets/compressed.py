"""Rows that are mostly zero, stored as what is not: SciPy's sparse matrices, in the form that the loops walk.

Nothing here imports SciPy: a sparse matrix is whatever can be turned into compressed rows (CSR) by `tocsr`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.errors import DataError
from jitnet.kernels.entries import BYTE_BITS, MOST_COLUMNS

__all__ = ["LARGEST", "CompressedRows", "compress", "is_sparse"]

LARGEST = float(np.finfo(np.float32).max) / 2
"""The largest magnitude of a value: the difference of two such values still fits float32."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CompressedRows:
    """A table of float32 numbers, (n, width), of which only those other than zero are stored.

    indptr: (n + 1,) int64, where each row's entries begin and end. entries: uint32, the column of each, shifted as in
    `kernels.entries`, ascending within a row. values: float32, one for each entry. It is used as an array is: `shape`,
    `len`, `min`, `max`, and rows by index, slice or mask.
    """

    indptr: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    values: Floats
    width: int

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.width

    @property
    def size(self) -> int:
        """Numbers, zeros included."""
        return len(self) * self.width

    @property
    def dtype(self) -> "np.dtype[np.float32]":
        """The type of a number."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.indptr.nbytes + self.entries.nbytes + self.values.nbytes

    @property
    def columns(self) -> npt.NDArray[np.uint32]:
        """The column of each entry, of all rows one after another."""
        first, last = self.indptr[0], self.indptr[-1]
        return self.entries[first:last] >> np.uint32(BYTE_BITS)

    @property
    def density(self) -> float:
        """The share of the numbers that are stored."""
        return int(self.indptr[-1] - self.indptr[0]) / max(1, self.size)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32], Floats]:
        """Where each row begins, counted from its first entry, columns and values: equal where all numbers are."""
        first, last = self.indptr[0], self.indptr[-1]
        return self.indptr - first, self.columns, self.values[first:last]

    def column_counts(self) -> npt.NDArray[np.int64]:
        """How many rows have an entry in each column, (width,)."""
        return np.bincount(self.columns, minlength=self.width)

    def __getitem__(self, rows: Any) -> Any:
        """One row by its number, (width,) float32; or several by a slice, indices or a mask, `CompressedRows`."""
        if isinstance(rows, (int, np.integer)):
            return self[np.array([rows])].toarray()[0]
        if isinstance(rows, slice) and rows.step in (None, 1):
            first, last, _ = rows.indices(len(self))
            return replace(self, indptr=self.indptr[first : max(first, last) + 1])
        chosen = np.arange(len(self))[rows]
        begins = self.indptr[chosen]
        counts = self.indptr[chosen + 1] - begins
        indptr = np.zeros(len(chosen) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        places = np.repeat(begins - indptr[:-1], counts)
        places += np.arange(len(places))
        return CompressedRows(indptr, self.entries[places], self.values[places], self.width)

    def min(self, axis: int | None = None) -> Any:
        """The least number of all, or of each column with axis=0, zeros included."""
        return 0.0 - self._scaled(-1.0).max(axis)

    def max(self, axis: int | None = None) -> Any:
        """The largest number of all, or of each column with axis=0, zeros included."""
        values = self.values[self.indptr[0] : self.indptr[-1]]
        if axis is None:
            return np.float32(values.max(initial=-np.inf if len(values) == self.size else 0.0))
        found = np.where(self.column_counts() == len(self), -np.inf, 0.0).astype(np.float32)
        np.maximum.at(found, self.columns, values)
        return found

    def scaled(self, scale: Any) -> "CompressedRows":
        """The same times a number, or times one for each column."""
        return self if np.ndim(scale) == 0 and scale == 1.0 else self._scaled(scale)

    def _scaled(self, scale: Any) -> "CompressedRows":
        indptr, first, last = self.indptr - self.indptr[0], self.indptr[0], self.indptr[-1]
        factors = np.float32(scale) if np.ndim(scale) == 0 else np.asarray(scale, np.float32)[self.columns]
        with np.errstate(over="ignore"):
            values = self.values[first:last] * factors
        return CompressedRows(indptr, self.entries[first:last], values, self.width)

    def by_largest(self) -> Floats:
        """What makes the largest magnitude of each column 1, (width,); 0 for a column without entries."""
        largest = np.maximum(self.max(axis=0), -self.min(axis=0))
        tiny = np.finfo(np.float32).tiny
        return np.where(largest > tiny, 1 / np.maximum(largest, tiny), np.float32(0.0)).astype(np.float32)

    def toarray(self) -> Floats:
        """All numbers as an array, (n, width) float32."""
        out = np.zeros(self.shape, np.float32)
        rows = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        out[rows, self.columns] = self.values[self.indptr[0] : self.indptr[-1]]
        return out


def is_sparse(values: Any) -> bool:
    """Whether these are rows of which only what is not zero is stored: SciPy's matrices and arrays of any kind, or
    `CompressedRows`."""
    return isinstance(values, CompressedRows) or (hasattr(values, "tocsr") and hasattr(values, "shape"))


def compress(matrix: Any, where: str) -> CompressedRows:
    """Return a sparse matrix, or an array (n, features), as `CompressedRows`.

    Entries of the same place are added up, and zeros left out; SciPy's numbers are used as they are where they are
    float32 and in order. where: the name of the values in messages. Raises DataError for what is no table of finite
    numbers of float32's range, and for places outside it.
    """
    if isinstance(matrix, CompressedRows):
        return matrix
    if not is_sparse(matrix):
        return _of_array(np.asarray(matrix), where)
    matrix = matrix.tocsr()
    if len(matrix.shape) != 2 or not matrix.shape[1]:
        raise DataError(f"{where}: has the shape {tuple(matrix.shape)}; expected rows of columns, (n, features)")
    n, width = int(matrix.shape[0]), int(matrix.shape[1])
    _check_width(width, where)
    indptr, columns, values = (np.asarray(getattr(matrix, name)) for name in ("indptr", "indices", "data"))
    _check_places(indptr, columns, values, n, width, where)
    indptr = np.require(indptr, np.int64, ["C", "W"])
    columns, values = columns[: indptr[-1]], values[: indptr[-1]]
    _check_values(indptr, columns, values, where)
    if not _in_order(indptr, columns):
        indptr, columns, values = _ordered(indptr, columns, values)
        _check_values(indptr, columns, values, where)
    values = np.require(values, np.float32, ["C", "W", "A"])
    kept = values != 0
    if not kept.all():
        indptr = np.concatenate([[0], np.cumsum(kept)])[indptr]
        columns, values = columns[kept], values[kept]
    return CompressedRows(indptr, _entries(columns), values, width)


def _of_array(array: npt.NDArray[Any], where: str) -> CompressedRows:
    if array.dtype.kind not in "fiub" or array.ndim != 2 or not array.shape[1]:
        raise DataError(f"{where}: is of shape {array.shape} and type {array.dtype}; expected numbers, (n, features)")
    _check_width(array.shape[1], where)
    rows, columns = np.nonzero(array)
    values = array[rows, columns]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(array)))])
    _check_values(indptr, columns, values, where)
    return CompressedRows(indptr, _entries(columns), values.astype(np.float32), array.shape[1])


def _entries(columns: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    entries = columns.astype(np.uint32)
    entries <<= np.uint32(BYTE_BITS)
    return entries


def _check_width(width: int, where: str) -> None:
    if width > MOST_COLUMNS:
        raise DataError(f"{where}: has {width:,} columns; expected {MOST_COLUMNS:,} at most: leave out rare ones")


def _check_places(
    indptr: npt.NDArray[Any], columns: npt.NDArray[Any], values: npt.NDArray[Any], n: int, width: int, where: str
) -> None:
    """DataError where places of a matrix in CSR form are not within it, or values are not real numbers."""
    if values.dtype.kind not in "fiub":
        raise DataError(f"{where}: its values are of type {values.dtype}; expected numbers")
    if indptr.dtype.kind not in "iu" or columns.dtype.kind not in "iu":
        raise DataError(f"{where}: indptr and indices are {indptr.dtype} and {columns.dtype}; expected whole numbers")
    if indptr.shape != (n + 1,) or indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise DataError(f"{where}: indptr is not {n + 1:,} ascending numbers from 0 on; expected a matrix in CSR form")
    if not indptr[-1] <= len(columns) == len(values):
        raise DataError(
            f"{where}: indptr ends at {int(indptr[-1]):,}, and there are {len(columns):,} indices and {len(values):,} "
            "values; expected as many"
        )
    used = columns[: int(indptr[-1])]
    if len(used) and not 0 <= used.min() <= used.max() < width:
        place = int(np.flatnonzero((used < 0) | (used >= width))[0])
        row = int(np.searchsorted(indptr, place, "right")) - 1
        raise DataError(
            f"{where}: sample {row} (from 0) has an entry in column {int(used[place])}; expected 0 to {width - 1}"
        )


def _check_values(indptr: npt.NDArray[Any], columns: npt.NDArray[Any], values: npt.NDArray[Any], where: str) -> None:
    """DataError for the first value that is NaN, infinite or beyond float32."""
    if values.dtype.kind != "f" or (len(values) == 0) or (-LARGEST <= values.min() <= values.max() <= LARGEST):
        return
    place = int(np.flatnonzero(~(np.abs(values) <= LARGEST))[0])
    row = int(np.searchsorted(indptr, place, "right")) - 1
    raise DataError(
        f"{where}: value {int(columns[place])} of sample {row} (both counted from 0) is {values[place]}; "
        f"expected finite numbers from {-LARGEST:.2g} to {LARGEST:.2g}"
    )


def _in_order(indptr: npt.NDArray[np.int64], columns: npt.NDArray[Any]) -> bool:
    """Whether the columns of each row ascend, none of them twice."""
    ascends = columns[1:] > columns[:-1]
    begins = indptr[1:-1]
    ascends[begins[(begins > 0) & (begins < len(columns))] - 1] = True
    return bool(ascends.all())


def _ordered(
    indptr: npt.NDArray[np.int64], columns: npt.NDArray[Any], values: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[np.float64]]:
    """Entries in the order of their columns, those of one place added up."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order].astype(np.float64)
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    totals = np.add.reduceat(values, np.flatnonzero(first))
    return np.concatenate([[0], np.cumsum(first)])[indptr], columns[first], totals
