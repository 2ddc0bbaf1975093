"""Scores of several yes/no labels that a sample may have at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.evaluation.classes import ClassScore
from jitnet.evaluation.ranking import average_precision, brier_score, roc_auc

__all__ = ["LabelScore", "label_scores"]


@dataclass(frozen=True)
class LabelScore(ClassScore):
    """The scores of a label, whose yes is predicted where its probability is above a half; precision, recall and f1 are
    those of a yes, and support the samples that have it, a count.

    accuracy: share of right predictions. n_wrong: samples with a wrong one, a count. commonest: the accuracy of always
    predicting what most samples have. share: of the samples, those with a yes. predicted: share of the samples for
    which a yes is predicted. roc_auc: NaN where all samples are alike. average_precision: NaN where no sample has a
    yes. brier: mean squared difference to the probability.
    """

    accuracy: float
    n_wrong: int
    commonest: float
    share: float
    predicted: float
    roc_auc: float
    average_precision: float
    brier: float


def label_scores(
    names: tuple[str, ...],
    truths: npt.NDArray[Any],
    probabilities: npt.NDArray[Any],
    weights: npt.NDArray[Any] | None = None,
) -> tuple[LabelScore, ...]:
    """Return a score for each label. truths: (n, labels) of 0 and 1; probabilities: (n, labels) of a yes; weights:
    (n,), at least 0 and not all 0, or None where all are alike."""

    def mean(values: npt.NDArray[Any]) -> float:
        return float(np.average(values, weights=weights))

    scores = []
    for name, truth, chance in zip(names, np.asarray(truths).T, np.asarray(probabilities).T, strict=True):
        has, guessed = truth.astype(bool), chance > 0.5
        hits, share, predicted = mean(has & guessed), mean(has), mean(guessed)
        scores.append(
            LabelScore(
                name,
                precision=hits / predicted if predicted else 0.0,
                recall=hits / share if share else 0.0,
                f1=2.0 * hits / (predicted + share) if predicted + share else 0.0,
                support=int(has.sum()),
                accuracy=mean(has == guessed),
                n_wrong=int((has != guessed).sum()),
                commonest=max(share, 1.0 - share),
                share=share,
                predicted=predicted,
                roc_auc=roc_auc(has, chance, weights),
                average_precision=average_precision(has, chance, weights),
                brier=brier_score(has, chance, weights),
            )
        )
    return tuple(scores)
