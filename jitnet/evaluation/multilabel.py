"""Scores of several yes/no labels that a sample may have at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.evaluation.ranking import average_precision, brier_score, roc_auc

__all__ = ["LabelScore", "label_scores"]


@dataclass(frozen=True)
class LabelScore:
    """The scores of one label; a yes is predicted where its probability is at least a half.

    accuracy: share of right predictions. commonest: the accuracy of always predicting what most samples have. share: of
    the samples, those with a yes. precision, recall, f1: as of a class. roc_auc: NaN where all samples are alike.
    average_precision: NaN where no sample has a yes. brier: mean squared difference to the probability. support:
    samples with a yes, a count. predicted: share of the samples for which a yes is predicted.
    """

    name: str
    accuracy: float
    commonest: float
    share: float
    precision: float
    recall: float
    f1: float
    roc_auc: float
    average_precision: float
    brier: float
    support: int
    predicted: float


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
        has, guessed = truth > 0.5, chance >= 0.5
        hits, share, predicted = mean(has & guessed), mean(has), mean(guessed)
        scores.append(
            LabelScore(
                name,
                accuracy=mean(has == guessed),
                commonest=max(share, 1.0 - share),
                share=share,
                precision=hits / predicted if predicted else 0.0,
                recall=hits / share if share else 0.0,
                f1=2.0 * hits / (predicted + share) if predicted + share else 0.0,
                roc_auc=roc_auc(has, chance, weights),
                average_precision=average_precision(has, chance, weights),
                brier=brier_score(has, chance, weights),
                support=int(has.sum()),
                predicted=predicted,
            )
        )
    return tuple(scores)
