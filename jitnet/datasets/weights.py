"""Weights of samples: how much each counts in the loss, beside the others."""

from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets.columns import as_numbers
from jitnet.errors import DataError

__all__ = ["check_weights", "mean_one"]

Numbers = npt.NDArray[np.float64]


def check_weights(values: Any, count: int, where: str) -> Numbers:
    """Return weights of `count` samples as float64, (count,), each finite and 0 or more.

    where: the name of the weights in messages. Raises DataError for what is not one number a sample, for a weight that
    is negative or not finite, and where all are zero.
    """
    array = as_numbers(values, where)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "buif" or array.shape != (count,):
        raise DataError(
            f"{where}: weights are of type {array.dtype} and shape {array.shape}; expected {count} "
            f"number{'s' * (count != 1)}, one a sample"
        )
    weights = np.array(array, np.float64)
    bad = ~((weights >= 0.0) & np.isfinite(weights))
    if bad.any():
        at = int(bad.argmax())
        found = f"the weight of sample {at} (from 0) is {weights[at]:g}"
        raise DataError(f"{where}: {found}; expected numbers of 0 or more")
    if not weights.any():
        raise DataError(f"{where}: all weights are zero; expected some above zero, as nothing would count")
    return weights


def mean_one(weights: Numbers) -> Numbers:
    """The same weights scaled to mean 1, so that a weighted sum of losses over the count of samples is their weighted
    mean."""
    scaled = weights / weights.max()  # vast ones do not overflow the sum
    return np.asarray(scaled * (len(scaled) / scaled.sum()))
