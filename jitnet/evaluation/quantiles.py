"""Scores of predicted quantiles."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["QuantileScore", "quantile_scores"]


@dataclass(frozen=True)
class QuantileScore:
    """level: the share of targets that should be at or below the prediction. coverage: the share that is. pinball: mean
    of level × (target - predicted) above the prediction and (1 - level) × (predicted - target) below, in the target's
    unit."""

    level: float
    coverage: float
    pinball: float


def quantile_scores(
    levels: tuple[float, ...],
    targets: npt.NDArray[Any],
    predicted: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
) -> tuple[QuantileScore, ...]:
    """Return a score for each level, from 0 to 1, of one target. targets: (n,); predicted: (n, levels); weights: (n,),
    at least 0 and not all 0, or None where all are alike."""
    scores = []
    for level, guess in zip(levels, np.asarray(predicted, np.float64).T, strict=True):
        above = targets - guess
        losses = np.maximum(level * above, (level - 1.0) * above)
        coverage, loss = (float(np.average(values, weights=weights)) for values in (targets <= guess, losses))
        scores.append(QuantileScore(level, coverage, loss))
    return tuple(scores)
