"""From the X of an estimator to a network's inputs: learned once, from the rows that are trained on, repeated on any.

    Numbers   arrays of numbers: (x - median) / spread, smoothly limited, in float64 and rounded once
    Stored    images of grey levels: one byte a value, which the loops skip where it is zero
    Sparse    CSR matrices: each column over its largest magnitude, so that zero stays zero
    Columns   tables: words, dates, missing values, as `jitnet.tables` prepares them

Rows are walked in blocks, so that nothing of their size is made besides the inputs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jitnet.config.checking import quoted
from jitnet.datasets import CompressedRows, Scaling
from jitnet.datasets.compressed import compress
from jitnet.errors import DataError, UsageError
from jitnet.model import Model
from jitnet.tables import Table, table_from_frame, treatments
from jitnet.tables import preparation as tables

__all__ = ["Columns", "Inputs", "Rows", "inputs_of_model", "learn_inputs", "n_rows", "named", "notes", "table_of"]

Rows = npt.NDArray[np.int64] | None
"""Row numbers, or None for all rows."""

Numbers64 = npt.NDArray[np.float64]

BLOCK_VALUES = 1 << 20
SAMPLE_ROWS = 100_000
"""Rows, evenly spread, that quantiles are computed of at most."""
LARGEST = float(np.finfo(np.float32).max) / 2


class Inputs(Protocol):
    """What turns rows into a network's inputs. kind: its name in a file. scaling, preparation: the network's, so that
    it can be used without the estimator. n_features, n_inputs: columns of X, and what they become."""

    kind: str

    @property
    def scaling(self) -> Scaling: ...

    @property
    def preparation(self) -> tables.Preparation | None: ...

    @property
    def n_features(self) -> int: ...

    @property
    def n_inputs(self) -> int: ...

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any] | CompressedRows:
        """(n, n_inputs) uint8 or float32, C-contiguous and writable, or what is not zero; rows: which of x, all by
        default."""
        ...


@dataclass(frozen=True, eq=False)
class Numbers:
    """centre, scale: (features,) float64; a scale of 0 makes all 0. names: of the features."""

    centre: Numbers64
    scale: Numbers64
    names: tuple[str, ...]
    kind = "numbers"
    scaling = Scaling()

    @property
    def n_features(self) -> int:
        return len(self.scale)

    n_inputs = n_features

    @cached_property
    def preparation(self) -> tables.Preparation:
        columns = zip(self.names, self.centre.tolist(), self.scale.tolist(), strict=True)
        return tables.Preparation(
            treatments=tuple(
                treatments.Numbers(name=name, spread=treatments.Spread(centre=centre, scale=scale))
                for name, centre, scale in columns
            )
        )

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any]:
        out = np.empty((_count(x, rows), self.n_inputs), np.float32)
        scale = np.where(self.scale > 0.0, self.scale, np.inf)
        for start, chunk in _blocks(x, rows):
            with np.errstate(over="ignore"):
                values = np.clip((chunk.astype(np.float64) - self.centre) / scale, -treatments.FAR, treatments.FAR)
            out[start : start + len(chunk)] = treatments.squeeze(values)
        return out


@dataclass(frozen=True, eq=False)
class Stored:
    """Values as they are, one byte each where they fit, else float32: the network scales them. scaling: its. n_inputs:
    values of a row."""

    scaling: Scaling
    n_inputs: int
    kind = "stored"
    preparation = None

    @property
    def n_features(self) -> int:
        return self.n_inputs

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any] | CompressedRows:
        if _is_sparse(x):
            return _compressed(x, rows)
        if x.dtype == np.uint8 and rows is None and x.flags.c_contiguous:
            return x if x.flags.writeable else _as_writable(x)
        fits = all(_are_bytes(chunk) for _, chunk in _blocks(x, rows))
        out = np.empty((_count(x, rows), self.n_inputs), np.uint8 if fits else np.float32)
        for start, chunk in _blocks(x, rows):
            out[start : start + len(chunk)] = chunk if fits else np.clip(chunk, -LARGEST, LARGEST)
        return out


@dataclass(frozen=True, eq=False)
class Sparse:
    """scaling: the factor of each column."""

    scaling: Scaling
    kind = "sparse"
    preparation = None

    @property
    def n_features(self) -> int:
        return len(np.asarray(self.scaling.scale))

    n_inputs = n_features

    def __call__(self, x: Any, rows: Rows = None) -> CompressedRows:
        return _compressed(x, rows)


@dataclass(frozen=True, eq=False)
class Columns:
    """preparation: what the columns of a table become."""

    preparation: tables.Preparation
    kind = "columns"
    scaling = Scaling()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, of X as it was learned from."""
        return tuple(treatment.name for treatment in self.preparation.treatments)

    @property
    def n_features(self) -> int:
        return len(self.preparation.treatments)

    @property
    def n_inputs(self) -> int:
        return len(self.preparation.feature_names)

    def __call__(self, x: Table, rows: Rows = None) -> npt.NDArray[Any]:
        return self.preparation.features(x, rows)


def inputs_of_model(model: Model, kind: str = "") -> Inputs:
    """The inputs of a network that was saved. kind: theirs, where an estimator trained it."""
    if model.preparation is None:
        return Sparse(model.scaling) if kind == Sparse.kind else Stored(model.scaling, model.config.in_features)
    if kind != Numbers.kind:
        return Columns(model.preparation)
    found = [treatment for treatment in model.preparation.treatments if isinstance(treatment, treatments.Numbers)]
    centre, scale = (np.array([getattr(one.spread, name) for one in found]) for name in ("centre", "scale"))
    return Numbers(centre, scale, tuple(one.name for one in found))


def learn_inputs(
    x: Any,
    rows: Rows = None,
    weights: Numbers64 | None = None,
    *,
    names: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
) -> Inputs:
    """What the rows of x become, an array (n, features) of numbers, a CSR matrix or a table.

    rows: to learn from, all by default. weights: of these, as if each row were there so many times. names: of an
    array's columns. categorical: names of a table's columns of numbers that are categories.
    """
    if isinstance(x, Table):
        return Columns(tables.learn(x, rows, categorical=categorical))
    if _is_sparse(x):
        return Sparse(Scaling(0.0, _compressed(x, rows).by_largest()))
    if levels := _levels(x, rows):
        return Stored(Scaling(0.0, 1.0 / levels), x.shape[1])
    return _of_numbers(x, rows, weights, _numbered(x.shape[1]) if names is None else tuple(names))


def _of_numbers(x: Any, rows: Rows, weights: Numbers64 | None, names: tuple[str, ...]) -> Numbers:
    """Medians and interquartile ranges; where that is 0, half of the range. Quantiles are those of the inverted
    distribution function, so that a row of weight 2 counts as two rows."""
    every = -(-_count(x, rows) // SAMPLE_ROWS)
    sample, weights = x[::every] if rows is None else x[rows[::every]], weights if weights is None else weights[::every]
    quartiles, low, high = np.empty((3, x.shape[1])), np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    columns = max(1, BLOCK_VALUES // len(sample))
    for start in range(0, x.shape[1], columns):
        part = np.asarray(sample[:, start : start + columns], np.float64)
        found = np.quantile(part, (0.25, 0.5, 0.75), axis=0, weights=weights, method="inverted_cdf")
        quartiles[:, start : start + columns] = found
    for _, chunk in _blocks(x, rows):
        low, high = np.minimum(low, chunk.min(axis=0)), np.maximum(high, chunk.max(axis=0))
    with np.errstate(over="ignore"):
        spread = quartiles[2] - quartiles[0]
        scale = np.where(spread > 0.0, spread, high / 2.0 - low / 2.0)
    return Numbers(quartiles[1], np.minimum(scale, np.finfo(np.float64).max), names)


def _compressed(x: Any, rows: Rows) -> CompressedRows:
    return compress(x if rows is None else x[rows], "X")


def _levels(x: Any, rows: Rows) -> int:
    """The largest value where rows are small images of whole numbers, as many in height as in width; else 0."""
    side = isqrt(x.shape[1])
    if side < 5 or side * side != x.shape[1]:
        return 0
    high = 0.0
    for _, chunk in _blocks(x, rows):
        if not _are_bytes(chunk):
            return 0
        high = max(high, float(chunk.max()))
    return 0 if high == 0 else int(high) if high < 128 else 255


def _are_bytes(chunk: npt.NDArray[Any]) -> bool:
    if chunk.dtype in (np.uint8, np.bool_):
        return True
    if not (chunk.min() >= 0 and chunk.max() <= 255):
        return False
    return chunk.dtype.kind in "iu" or bool((chunk == np.rint(chunk)).all())


def _blocks(x: Any, rows: Rows) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """(first row, dense rows) of blocks of a few MB. A CSR matrix is made dense only where the estimator was fitted on
    an array, whose values are centred."""
    count, size = _count(x, rows), max(1, BLOCK_VALUES // x.shape[1])
    for start in range(0, count, size):
        end = min(count, start + size)
        chunk = x[start:end] if rows is None else x[rows[start:end]]
        yield start, chunk.toarray() if _is_sparse(x) else chunk


def _as_writable(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same memory as an array of the type that the loops are compiled for: they never write to samples, and a file
    that is mapped into memory need not be copied."""
    interface = {**x.__array_interface__, "data": (x.__array_interface__["data"][0], False)}
    return np.asarray(_Memory(x, interface))


@dataclass
class _Memory:
    """Keeps an array, and describes its memory to NumPy."""

    array: npt.NDArray[Any]
    __array_interface__: dict[str, Any] = field(repr=False)


def table_of(X: Any, categorical: Any, *, always: bool = False, names: Sequence[str] = ()) -> Table | None:
    """X as a table, where it is a DataFrame with other columns than numbers, or with missing values, or where columns
    are named as categorical; else None. always: also of other arrays and DataFrames. names: of an array's columns."""
    if hasattr(X, "columns"):
        if categorical is None and not always and _is_plain(X):
            return None
        table = table_from_frame(X)
        plain = all(column.kind in ("number", "boolean") and not column.missing.any() for column in table.columns)
        return None if plain and categorical is None and not always else table
    if categorical is None and not always:
        return None
    array = np.asarray(X)
    if array.ndim != 2:
        raise DataError(f"X: has the shape {array.shape}; expected rows of columns, (n, features)")
    return table_from_frame(_Named(array, tuple(names) or _numbered(array.shape[1])))


def named(categorical: Any, names: Sequence[str]) -> tuple[str, ...]:
    """The names of columns that `categorical_features` means: by name, by number from 0, or by a mask."""
    if categorical is None:
        return ()
    found = np.asarray(categorical)
    if found.dtype == bool and found.shape == (len(names),):
        return tuple(name for name, chosen in zip(names, found.tolist(), strict=True) if chosen)
    listed = found.tolist() if found.ndim == 1 and found.dtype != bool else [categorical]
    chosen = [names[one] if type(one) is int and -len(names) <= one < len(names) else one for one in listed]
    for one in chosen:
        if one not in names or found.ndim != 1:
            shown = (
                f"a list of names of columns of X or of numbers from 0 to {len(names) - 1}, or a mask of all columns"
            )
            raise UsageError(f"categorical_features: expected {shown}, found {quoted(one)}")
    return tuple(chosen)


def notes(table: Table, inputs: Inputs) -> list[str]:
    """What a user should know of a table's columns: which are left out, and which have lost digits."""
    found = [f"the column {quoted(column.name)} {note}" for column in table.columns for note in column.notes]
    left = [] if inputs.preparation is None else inputs.preparation.treatments
    return found + [
        f"the column {quoted(one.name)} is {one.about}" for one in left if isinstance(one, treatments.LeftOut)
    ]


@dataclass
class _Named:
    """An array whose columns have names, as a DataFrame shows them."""

    array: npt.NDArray[Any]
    columns: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.array[:, self.columns.index(name)]


def _is_plain(frame: Any) -> bool:
    """Whether a DataFrame of pandas is nothing but an array of numbers."""
    if not all(isinstance(kind, np.dtype) and kind.kind in "biuf" for kind in getattr(frame, "dtypes", [None])):
        return False
    return not bool(frame.isna().to_numpy().any())


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"x{k}" for k in range(count))


def _is_sparse(x: Any) -> bool:
    return hasattr(x, "toarray")


def n_rows(x: Any) -> int:
    """How many rows x has."""
    return len(x) if isinstance(x, Table) else int(x.shape[0])


def _count(x: Any, rows: Rows) -> int:
    return n_rows(x) if rows is None else len(rows)
