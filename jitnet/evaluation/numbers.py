"""Scores of predicted numbers, and their residuals."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Split
from jitnet.evaluation.quantiles import QuantileScore

__all__ = ["Deviation", "Residuals", "TargetScore", "largest_errors", "target_score"]

Doubles = npt.NDArray[np.float64]

BINS = 16
MOST_POINTS = 500


@dataclass(frozen=True)
class Deviation:
    """A prediction with a large error: its index in the split, and its numbers, true and predicted. place: where the
    sample is, as `Split.place` names it."""

    index: int
    targets: tuple[float, ...]
    predicted: tuple[float, ...]
    place: str = ""


@dataclass(frozen=True, eq=False)
class Residuals:
    """How predictions of a target lie around the true values, in its unit; a residual is predicted - true.

    counts: (16,) int64, samples in bins of equal width; edges: (17,) float64, symmetric around 0, the outermost at the
    largest residual. points: (m, 2) float64, true and predicted, of at most 500 samples at equal distances.
    """

    counts: npt.NDArray[np.int64]
    edges: Doubles
    points: Doubles


@dataclass(frozen=True)
class TargetScore:
    """The scores of a target, in its unit. rmse: root of the mean squared error. mae: mean absolute error. r2:
    1 - mean squared error / variance, 1 at best, 0 for predicting the mean; NaN where the target never changes. bias:
    mean of predicted - true, above 0 where predictions are too high. residuals: to be drawn. quantiles:
    scores of each, where a network predicts several."""

    name: str
    rmse: float
    mae: float
    r2: float
    bias: float
    residuals: Residuals | None = field(default=None, repr=False, compare=False)
    quantiles: tuple[QuantileScore, ...] = ()


def target_score(
    name: str, targets: npt.NDArray[Any], predicted: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> TargetScore:
    """Return the scores of one target; targets, predicted: (n,), in one unit; weights: (n,), at least 0 and not all 0,
    or None where all are alike."""
    errors = np.asarray(predicted, np.float64) - targets
    square, distance, bias = (
        float(np.average(values, weights=weights)) for values in (errors**2, np.abs(errors), errors)
    )
    mean = np.average(targets, weights=weights)
    variance = float(np.average((targets - mean) ** 2, weights=weights))
    r2 = 1.0 - square / variance if variance > 0.0 else math.nan
    return TargetScore(name, math.sqrt(square), distance, r2, bias, _residuals(targets, predicted, errors))


def largest_errors(split: Split, predicted: Doubles, scale: Doubles | float, most: int) -> tuple[Deviation, ...]:
    """Return the predictions that are farthest from their targets, at most `most`, the farthest first.

    split: with targets (n, n_targets), as predicted; scale: (n_targets,), by which their distances are comparable.
    """
    targets = np.asarray(split.targets)
    order = np.argsort(-(((predicted - targets) * scale) ** 2).sum(axis=1), kind="stable")[:most]
    return tuple(
        Deviation(row, tuple(map(float, targets[row])), tuple(map(float, predicted[row])), split.place(row))
        for row in order.tolist()
    )


def _residuals(targets: npt.NDArray[Any], predicted: npt.NDArray[Any], errors: Doubles) -> Residuals:
    reach = float(np.abs(errors).max())
    counts, edges = np.histogram(errors, BINS, (-reach, reach))
    kept = np.unique(np.linspace(0, len(errors) - 1, MOST_POINTS).astype(np.int64))
    return Residuals(counts, edges, np.stack([targets[kept], predicted[kept]], axis=1).astype(np.float64))
