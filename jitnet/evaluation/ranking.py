"""How well probabilities tell a yes from a no: ROC AUC, average precision, Brier score, and what each threshold does.

Everywhere truths are (n,) booleans or 0 and 1, probabilities (n,) are those of a yes, and weights (n,) of the samples
are at least 0; None where all are alike. Scores are as scikit-learn defines them.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "RankingScore",
    "ThresholdScore",
    "average_precision",
    "brier_score",
    "ranking_score",
    "roc_auc",
    "roc_curve",
]

Array = npt.NDArray[Any]
Doubles = npt.NDArray[np.float64]

THRESHOLDS = tuple(k / 10 for k in range(1, 10))
MOST_POINTS = 200  # of a curve that is kept to be drawn


@dataclass(frozen=True)
class ThresholdScore:
    """What it means to predict a yes where its probability is `threshold` or more. precision: share of the predicted
    that are one; recall: share of them that are predicted; f1: their harmonic mean; predicted: share of all samples for
    which a yes is predicted. A share of nothing is 0."""

    threshold: float
    precision: float
    recall: float
    f1: float
    predicted: float


@dataclass(frozen=True, eq=False)
class RankingScore:
    """How well the probabilities of one class, `positive`, tell it from the other.

    share: of the samples, those of this class. roc_auc: probability that a sample of it has a higher probability than
    one of the other class; 0.5 by chance; NaN where there is one class only. average_precision: mean precision over
    recall; `share` by chance; NaN where there is no sample of the class. brier: mean squared difference between
    probability and outcome, 0 at best. thresholds: 0.1 to 0.9. best: the threshold with the highest F1 on these very
    samples, of equal ones the highest. roc: (m, 2) float64, false and true positive rate, m at most 200.
    """

    positive: str
    share: float
    roc_auc: float
    average_precision: float
    brier: float
    thresholds: tuple[ThresholdScore, ...]
    best: ThresholdScore
    roc: Doubles = field(repr=False)


def ranking_score(positive: str, truths: Array, probabilities: Array, weights: Array | None = None) -> RankingScore:
    """Return all scores of the class or label with the name `positive`; at least one sample."""
    steps = _Steps(truths, probabilities, weights)
    f1 = steps.f1
    best = int(f1.argmax())  # thresholds fall
    false_rate, true_rate, _ = roc_curve(truths, probabilities, weights)
    kept = np.unique(np.linspace(0, len(false_rate) - 1, MOST_POINTS).astype(np.int64))
    return RankingScore(
        positive,
        float(steps.yes[-1] / steps.total),
        roc_auc(truths, probabilities, weights),
        average_precision(truths, probabilities, weights),
        brier_score(truths, probabilities, weights),
        tuple(steps.at(threshold) for threshold in THRESHOLDS),
        steps.at(float(steps.thresholds[best])),
        np.stack([false_rate[kept], true_rate[kept]], axis=1),
    )


def roc_curve(truths: Array, probabilities: Array, weights: Array | None = None) -> tuple[Doubles, Doubles, Doubles]:
    """Return false positive rates, true positive rates and thresholds, each (m,) float64: a point for each distinct
    probability from the highest on, after (0, 0) at an infinite threshold. Rates of nothing are NaN."""
    steps = _Steps(truths, probabilities, weights)
    with np.errstate(invalid="ignore"):
        rates = [np.concatenate([[0.0], counts]) / counts[-1] for counts in (steps.no, steps.yes)]
    return rates[0], rates[1], np.concatenate([[math.inf], steps.thresholds])


def roc_auc(truths: Array, probabilities: Array, weights: Array | None = None) -> float:
    """Return the area below the ROC curve; ties count a half. NaN where there is one class only."""
    false_rate, true_rate, _ = roc_curve(truths, probabilities, weights)
    return float(np.trapezoid(true_rate, false_rate))


def average_precision(truths: Array, probabilities: Array, weights: Array | None = None) -> float:
    """Return the sum of precisions, each times the recall that its threshold adds. NaN where there is no yes."""
    steps = _Steps(truths, probabilities, weights)
    if not steps.yes[-1]:
        return math.nan
    precision = steps.yes / (steps.yes + steps.no)
    return float((precision * np.diff(steps.yes, prepend=0.0)).sum() / steps.yes[-1])


def brier_score(truths: Array, probabilities: Array, weights: Array | None = None) -> float:
    """Return the mean squared difference between probability and truth, from 0 to 1."""
    return float(np.average((np.asarray(probabilities, np.float64) - truths) ** 2, weights=weights))


class _Steps:
    """The distinct probabilities of samples with a weight, falling, and for each the weight of the yes and of the no
    that have it or more."""

    def __init__(self, truths: Array, probabilities: Array, weights: Array | None) -> None:
        weight = np.ones(len(truths)) if weights is None else np.asarray(weights, np.float64)
        order = np.argsort(-np.asarray(probabilities, np.float64), kind="stable")
        order = order[weight[order] > 0.0]
        ranked, weight = np.asarray(probabilities, np.float64)[order], weight[order]
        last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
        is_yes = np.asarray(truths, bool)[order]
        self.thresholds: Doubles = ranked[last]
        self.yes: Doubles = np.cumsum(np.where(is_yes, weight, 0.0))[last]
        self.no: Doubles = np.cumsum(np.where(is_yes, 0.0, weight))[last]
        self.total = float(self.yes[-1] + self.no[-1])

    @property
    def f1(self) -> Doubles:
        found: Doubles = 2.0 * self.yes / (self.yes + self.no + self.yes[-1])
        return found

    def at(self, threshold: float) -> ThresholdScore:
        count = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        hits, false = (float(counts[count - 1]) if count else 0.0 for counts in (self.yes, self.no))
        predicted, actual = hits + false, float(self.yes[-1])
        return ThresholdScore(
            threshold,
            hits / predicted if predicted else 0.0,
            hits / actual if actual else 0.0,
            2.0 * hits / (predicted + actual) if predicted + actual else 0.0,
            predicted / self.total,
        )
