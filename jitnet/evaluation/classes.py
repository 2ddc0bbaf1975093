"""Scores of each class, from which class every sample was predicted as."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Split

__all__ = ["ClassScore", "Mistake", "class_scores", "most_confident"]


@dataclass(frozen=True)
class Mistake:
    """A sample with a wrong prediction: its index in the split, its label, the predicted class and the probability of
    that class. place: where it is, as `Split.place` names it."""

    index: int
    label: int
    predicted: int
    probability: float
    place: str = ""


@dataclass(frozen=True)
class ClassScore:
    """precision: share of the predictions of this class that are right; recall: share of its samples that are predicted
    as it; f1: their harmonic mean; support: its samples, a count. A share of nothing is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def class_scores(
    names: tuple[str, ...],
    labels: npt.NDArray[np.int64],
    predicted: npt.NDArray[np.int64],
    weights: npt.NDArray[Any] | None = None,
) -> tuple[ClassScore, ...]:
    """Return a score for each name; labels and predicted: (n,) indices of names."""
    count = len(names)
    right = labels == predicted
    weight = np.ones(len(labels)) if weights is None else np.asarray(weights, np.float64)
    hits = np.bincount(labels[right], weight[right], minlength=count)
    of_class, of_predictions = (np.bincount(which, weight, minlength=count) for which in (labels, predicted))
    support = np.bincount(labels, minlength=count)

    def share(top: npt.NDArray[Any], bottom: npt.NDArray[Any]) -> list[float]:
        found: list[float] = np.divide(top, bottom, out=np.zeros(count), where=bottom > 0.0).tolist()
        return found

    columns = share(hits, of_predictions), share(hits, of_class), share(2.0 * hits, of_predictions + of_class)
    return tuple(ClassScore(*row) for row in zip(names, *columns, support.tolist(), strict=True))


def most_confident(
    split: Split, predicted: npt.NDArray[np.int64], probabilities: npt.NDArray[Any], most: int
) -> tuple[Mistake, ...]:
    """Return the wrong predictions with the highest probabilities, at most `most`; probabilities: (n, classes)."""
    labels = split.labels
    wrong = np.flatnonzero(predicted != labels)
    sure = probabilities[wrong, predicted[wrong]]
    return tuple(
        Mistake(
            index,
            int(labels[index]),
            int(predicted[index]),
            float(probabilities[index, predicted[index]]),
            split.place(index),
        )
        for index in wrong[np.argsort(-sure, kind="stable")[:most]].tolist()
    )
