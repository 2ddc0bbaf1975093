"""Whether probabilities mean what they say: of the predictions at 80%, are 80% right?"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Calibration", "CalibrationBin", "calibration"]

BINS = 10


@dataclass(frozen=True)
class CalibrationBin:
    """The samples whose probability is above `low`, or is 0, and at most `high`. n: how many. probability: their mean;
    share: of them, those where it came true. Both are NaN where there are none."""

    low: float
    high: float
    n: int
    probability: float
    share: float


@dataclass(frozen=True)
class Calibration:
    """error: the expected calibration error, the mean over samples of the distance between probability and share in
    their bin, from 0 to 1. bins: ten of equal width."""

    error: float
    bins: tuple[CalibrationBin, ...]


def calibration(
    truths: npt.NDArray[Any], probabilities: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> Calibration:
    """Return how far probabilities (n,) are from the shares that came true.

    truths: (n,) bool. weights: (n,), at least 0 and not all 0; None where all are alike.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    chances = np.asarray(probabilities, np.float64)
    weight = np.ones(len(chances)) if weights is None else np.asarray(weights, np.float64)
    place = np.searchsorted(edges[1:-1], chances)
    n = np.bincount(place, minlength=BINS)
    total, chance, true = (
        np.bincount(place, weight * values, minlength=BINS) for values in (1.0, chances, np.asarray(truths, bool))
    )
    bins = tuple(
        CalibrationBin(
            float(edges[k]),
            float(edges[k + 1]),
            int(n[k]),
            float(chance[k] / total[k]) if total[k] else math.nan,
            float(true[k] / total[k]) if total[k] else math.nan,
        )
        for k in range(BINS)
    )
    return Calibration(float(np.abs(chance - true).sum() / total.sum()), bins)
