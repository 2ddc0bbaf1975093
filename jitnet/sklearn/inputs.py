"""From the X of an estimator to a network's inputs: learned once, from the rows that are trained on, repeated on any.

`Numbers` for arrays of numbers: (x - median) / spread, and a smooth limit for what is far away, computed in float64 and
rounded once; in CSR matrices zero stays zero. `Stored` for images of grey levels: one byte a value, which the loops skip
where it is zero.

Rows are walked in blocks, so that nothing of their size is made besides the inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Scaling
from jitnet.model import Model

__all__ = ["Inputs", "Rows", "inputs_from", "inputs_of_model", "learn_inputs", "n_rows"]

Rows = npt.NDArray[np.int64] | None
"""Row numbers, or None for all rows."""

BLOCK_VALUES = 1 << 20
SAMPLE_ROWS = 100_000
"""Rows, evenly spread, that quantiles are taken of at most."""
FAR = 1e100
"""Beyond so many spreads a number is as far as can be: its square would be beyond float64."""
CLIP = 3.0
LARGEST = float(np.finfo(np.float32).max) / 2


class Inputs(Protocol):
    """What turns rows into a network's inputs. kind: its name in a file. scaling: what the network does itself.
    n_features, n_inputs: columns of X, and what they become."""

    kind: str

    @property
    def scaling(self) -> Scaling: ...

    @property
    def n_inputs(self) -> int: ...

    @property
    def n_features(self) -> int: ...

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any]:
        """(n, n_inputs) uint8 or float32, C-contiguous and writable; rows: which of x, all by default."""
        ...

    def as_record(self) -> dict[str, Any]:
        """Plain values, from which `inputs_from` makes the same."""
        ...


@dataclass(frozen=True, eq=False)
class Numbers:
    """centre, factor: (features,) float64. squeezes: whether large results are limited, x / sqrt(1 + (x / 3)^2)."""

    centre: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]
    squeezes: bool = True
    kind = "numbers"

    @property
    def scaling(self) -> Scaling:
        return Scaling()

    @property
    def n_inputs(self) -> int:
        return len(self.factor)

    @property
    def n_features(self) -> int:
        return len(self.factor)

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any]:
        out = np.empty((n_rows(x) if rows is None else len(rows), self.n_inputs), np.float32)
        for start, chunk in _blocks(x, rows):
            with np.errstate(over="ignore"):
                values = chunk.astype(np.float64)
                values -= self.centre
                values *= self.factor
                np.clip(values, -FAR, FAR, out=values)
            if self.squeezes:
                values /= np.sqrt(1.0 + np.square(values / CLIP))
            out[start : start + len(chunk)] = values
        return out

    def as_record(self) -> dict[str, Any]:
        record = {"centre": self.centre.tolist(), "factor": self.factor.tolist(), "squeezes": self.squeezes}
        return {"kind": self.kind, **record}


@dataclass(frozen=True, eq=False)
class Stored:
    """Values as they are, one byte each where they fit, else float32: the network scales them. scaling: its. n_inputs:
    values of a row."""

    scaling: Scaling
    n_inputs: int
    kind = "stored"

    @property
    def n_features(self) -> int:
        return self.n_inputs

    def __call__(self, x: Any, rows: Rows = None) -> npt.NDArray[Any]:
        if not is_sparse(x) and x.dtype == np.uint8 and rows is None and x.flags.c_contiguous:
            return x if x.flags.writeable else _as_writable(x)
        fits = all(_are_bytes(chunk) for _, chunk in _blocks(x, rows))
        out = np.empty((n_rows(x) if rows is None else len(rows), self.n_inputs), np.uint8 if fits else np.float32)
        for start, chunk in _blocks(x, rows):
            out[start : start + len(chunk)] = chunk if fits else np.clip(chunk, -LARGEST, LARGEST)
        return out

    def as_record(self) -> dict[str, Any]:
        return {"kind": self.kind}


def inputs_from(record: dict[str, Any], model: Model) -> Inputs:
    """What `as_record` describes, of a network."""
    if record["kind"] == Numbers.kind:
        return Numbers(np.array(record["centre"]), np.array(record["factor"]), record["squeezes"])
    return inputs_of_model(model)


def inputs_of_model(model: Model) -> Inputs:
    """What a network was trained on that no estimator trained: values as they are stored in a data set."""
    return Stored(model.scaling, model.config.in_features)


def learn_inputs(
    x: Any, rows: Rows = None, weights: npt.NDArray[np.float64] | None = None, categorical: tuple[str, ...] = ()
) -> Inputs:
    """What the rows of x become, an array (n, features) of numbers or a CSR matrix. rows: to learn from, all by default;
    weights: of these, as if each row were there so many times."""
    if is_sparse(x):
        return _of_sparse(x, rows)
    if levels := _levels(x, rows):
        return Stored(Scaling(0.0, 1.0 / levels), x.shape[1])
    return _of_numbers(x, rows, weights)


def _of_numbers(x: Any, rows: Rows, weights: npt.NDArray[np.float64] | None) -> Numbers:
    """Medians and distances between quartiles; where that is zero half of the range, and zero in a column that never
    changes. Of inverted distribution functions, so that a row of weight 2 counts as two rows."""
    count = n_rows(x) if rows is None else len(rows)
    every = -(-count // SAMPLE_ROWS)
    chosen = slice(None, None, every) if rows is None else rows[::every]
    sample, weights = x[chosen], weights if weights is None else weights[::every]
    quarter, centre, other = np.empty((3, x.shape[1]))
    columns = max(1, BLOCK_VALUES // len(sample))
    for start in range(0, x.shape[1], columns):
        part = np.asarray(sample[:, start : start + columns], np.float64)
        found = np.quantile(part, (0.25, 0.5, 0.75), axis=0, weights=weights, method="inverted_cdf")
        quarter[start : start + columns], centre[start : start + columns], other[start : start + columns] = found
    low, high = np.full((2, x.shape[1]), np.inf)
    high = -high
    for _, chunk in _blocks(x, rows):
        low, high = np.minimum(low, chunk.min(axis=0)), np.maximum(high, chunk.max(axis=0))
    with np.errstate(over="ignore", divide="ignore"):
        spread = other - quarter
        spread = np.where(spread > 0.0, spread, (high - low) / 2)
        factor = np.where(spread > 0.0, 1.0 / spread, 0.0)
    return Numbers(centre, np.where(np.isfinite(factor), factor, 0.0))


def _of_sparse(x: Any, rows: Rows) -> Numbers:
    """Each column by its largest magnitude, so that zero stays zero."""
    largest = np.zeros(x.shape[1])
    for _, chunk in _blocks(x, rows):
        largest = np.maximum(largest, np.abs(chunk).max(axis=0))
    with np.errstate(divide="ignore", over="ignore"):
        factor = np.where(largest > 0.0, 1.0 / largest, 0.0)
    return Numbers(np.zeros(x.shape[1]), np.where(np.isfinite(factor), factor, 0.0), squeezes=False)


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
    if chunk.dtype == np.uint8:
        return True
    if not (chunk.min() >= 0 and chunk.max() <= 255):
        return False
    return chunk.dtype.kind in "biu" or bool((chunk == np.rint(chunk)).all())


def _blocks(x: Any, rows: Rows) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """(first row, dense rows) of blocks of a few MB. The one place where a CSR matrix is made dense."""
    count, size = n_rows(x) if rows is None else len(rows), max(1, BLOCK_VALUES // max(1, x.shape[1]))
    for start in range(0, count, size):
        end = min(count, start + size)
        chunk = x[start:end] if rows is None else x[rows[start:end]]
        yield start, chunk.toarray() if is_sparse(x) else chunk


def _as_writable(x: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The same memory as an array of the type that the loops are compiled for. They never write to samples, and a file
    that is mapped into memory need not be copied."""

    class Shared:
        """Keeps the memory."""

        array = x
        __array_interface__ = {**x.__array_interface__, "data": (x.__array_interface__["data"][0], False)}  # noqa: RUF012

    return np.asarray(Shared())


def is_sparse(x: Any) -> bool:
    """Whether x is a matrix of scipy.sparse."""
    return hasattr(x, "toarray")


def n_rows(x: Any) -> int:
    """How many rows x has."""
    return int(x.shape[0])
