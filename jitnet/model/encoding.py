"""Samples as the loops take them: bytes as they are stored, or floats that are scaled; and targets that are numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets import CompressedRows, Scaling
from jitnet.errors import DataError, ModelError

__all__ = ["Features", "Rows", "Samples", "decode_targets", "encode", "encode_targets"]

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[Any] | CompressedRows
Features = Floats | CompressedRows
Samples = npt.ArrayLike | CompressedRows | Path
"""What a network predicts; SciPy's matrices are of no type that can be named here."""

_NO_IMAGES, _NO_FEATURES = np.empty((0, 0), np.uint8), np.empty((0, 0), np.float32)
_AS_THEY_ARE = Scaling()


def encode(rows: Rows, scaling: Scaling) -> tuple[npt.NDArray[np.uint8], Features]:
    """Rows (n, features), as stored, as the loops take them: bytes and no floats, or no bytes and scaled floats; of
    `CompressedRows` such rows again.

    Raises ModelError for what is not a number, DataError for the first value that is NaN, infinite, or too large for
    float32 once it is scaled, and for `CompressedRows` whose zeros would be something else.
    """
    if isinstance(rows, CompressedRows):
        return _NO_IMAGES, _encode_sparse(rows, scaling)
    offset, scale = scaling.offset, scaling.scale
    if rows.dtype == np.uint8 and not isinstance(scale, np.ndarray) and not isinstance(offset, np.ndarray):
        # For one image a call of `require` takes as long as the prediction.
        fits = rows.flags.c_contiguous and rows.flags.writeable
        return rows if fits else np.require(rows, requirements=["C", "W"]), _NO_FEATURES
    if rows.dtype.kind not in "fiub":
        raise ModelError(f"samples of type {rows.dtype} are not numbers; the model expects uint8 or float32")
    if rows.dtype == np.float32 and scaling == _AS_THEY_ARE:
        scaled = rows
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (rows.astype(np.float32) - np.float32(offset)) * np.float32(scale)
    finite = np.isfinite(scaled)
    if not finite.all():
        row, column = (int(place) for place in np.argwhere(~finite)[0])
        found = f"value {column} of sample {row} (both counted from 0) is {rows[row, column]}"
        raise DataError(f"{found}; expected finite numbers of the kind that the model was trained on")
    return _NO_IMAGES, np.require(scaled, np.float32, ["C", "W"])


def _encode_sparse(rows: CompressedRows, scaling: Scaling) -> CompressedRows:
    if not scaling.keeps_zeros:
        raise DataError(
            "the samples are a sparse matrix, and the model takes a mean off each value, so that no zero stays zero; "
            "train a new model on the matrix, or pass an array"
        )
    scaled = rows.scaled(scaling.scale)
    if scaled is not rows and not np.isfinite(scaled.values).all():
        raise DataError(
            "a value of a sparse matrix is beyond float32 once it is scaled; expected values like those "
            "that the model was trained on"
        )
    return scaled


def encode_targets(targets: npt.NDArray[Any], scaling: Scaling, per_target: int = 1) -> Floats:
    """Targets (n, n_targets), given in their unit, as a network is trained on them: standardised; or (n, n_targets *
    per_target) where there are several of each target, one after another."""
    offset, scale = _repeated(scaling, per_target)
    return np.ascontiguousarray((targets - offset) * scale, np.float32)


def decode_targets(outputs: Floats, scaling: Scaling, per_target: int = 1) -> npt.NDArray[np.float64]:
    """A network's outputs in the targets' unit: (n, n_targets), or (n, n_targets * per_target) where there are several
    of each target, one after another."""
    offset, scale = _repeated(scaling, per_target)
    return np.asarray(outputs.astype(np.float64) / scale + offset)


def _repeated(scaling: Scaling, count: int) -> tuple[Any, Any]:
    """Offset and scale, each number of them so often in a row."""
    offset, scale = (np.repeat(part, count) if np.ndim(part) else part for part in (scaling.offset, scaling.scale))
    return offset, scale
