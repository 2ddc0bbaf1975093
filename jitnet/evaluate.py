"""How good a network is: loss, accuracy, precision, recall and F1 per class, confusions, and its most confident
mistakes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Split
from jitnet.errors import ModelError
from jitnet.model import Model

__all__ = ["ClassScore", "Evaluation", "Mistake", "evaluate"]


@dataclass(frozen=True)
class Mistake:
    """A sample that was taken for another class: its place in the split, its label, the guess and the guess's
    probability."""

    index: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class ClassScore:
    """precision: share of the guesses for this class that are right; recall: share of its samples that are found;
    f1: their harmonic mean; support: its samples. A share of nothing is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class Evaluation:
    """loss: mean cross-entropy in nats. accuracy: share of right guesses. n: samples. confusion: (true, predicted)
    int64. mistakes: the most confident first."""

    loss: float
    accuracy: float
    classes: tuple[ClassScore, ...]
    confusion: npt.NDArray[np.int64]
    mistakes: tuple[Mistake, ...]
    n: int


def evaluate(model: Model, split: Split, *, n_mistakes: int = 10) -> Evaluation:
    """Judge a model by a split of its kind of data. ModelError where features or labels do not fit."""
    if len(split) == 0:
        raise ModelError("there are no samples to evaluate on; name a data set that has some")
    n_classes = model.config.n_classes
    if int(split.labels.max()) >= n_classes:
        raise ModelError(
            f"the data has a label {int(split.labels.max())}, the model knows classes 0 to {n_classes - 1}; "
            "use the kind of data that it was trained on"
        )
    probabilities = model.predict(split.images)
    labels = split.labels
    guesses = probabilities.argmax(axis=1)
    at_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(at_label, np.finfo(np.float32).tiny)).mean())
    confusion = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(confusion, (labels, guesses), 1)

    wrong = np.flatnonzero(guesses != labels)
    sure = probabilities[wrong, guesses[wrong]]
    mistakes = tuple(
        Mistake(int(index), int(labels[index]), int(guesses[index]), float(probabilities[index, guesses[index]]))
        for index in wrong[np.argsort(-sure, kind="stable")[:n_mistakes]]
    )
    accuracy = float(np.trace(confusion) / len(labels))
    return Evaluation(loss, accuracy, _scores(model.class_names, confusion), confusion, mistakes, len(labels))


def _scores(names: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> tuple[ClassScore, ...]:
    scores = []
    for c, name in enumerate(names):
        hits, guessed, support = int(confusion[c, c]), int(confusion[:, c].sum()), int(confusion[c].sum())
        precision = hits / guessed if guessed else 0.0
        recall = hits / support if support else 0.0
        f1 = 2 * hits / (guessed + support) if guessed + support else 0.0
        scores.append(ClassScore(name, precision, recall, f1, support))
    return tuple(scores)
