"""How good a network is: loss, accuracy, precision, recall and F1 per class, confusions, and its most confident
mistakes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.config import check_arguments
from jitnet.datasets import Dataset, Split
from jitnet.errors import ModelError
from jitnet.model import Model
from jitnet.model.fit import check_scaling, labels_for, loss_and_accuracy

__all__ = ["ClassScore", "Evaluation", "Mistake", "check_scaling", "evaluate"]


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


def evaluate(model: Model, data: Dataset | Split, *, n_mistakes: int = 10) -> Evaluation:
    """Judge a model by data of its kind.

    data: a data set, whose test split is taken (its only one, the training data, where it has but one), or a split.
    Classes are matched by name, whatever their order; data may lack some of the model's. A split that belongs to no
    data set does not tell its classes and how it is scaled: its labels are positions in the model's classes.
    Raises ModelError or DataError where features, classes or the form of the values do not fit.
    """
    check_arguments("evaluate(model, data)", model=(model, Model), data=(data, (Dataset, Split)))
    split, where = (data.test_or_train, data.source) if isinstance(data, Dataset) else (data, "the data")
    if isinstance(data, Dataset):
        model.check_features(data)
    if len(split) == 0:
        raise ModelError(f"{where}: there are no samples to evaluate on; name data that has some")
    labels = labels_for(model, split, where)
    check_scaling(model, data)
    probabilities = model.predict(split.images)
    guesses = probabilities.argmax(axis=1)
    loss, accuracy = loss_and_accuracy(probabilities, labels)
    confusion = np.zeros((model.config.n_classes,) * 2, np.int64)
    np.add.at(confusion, (labels, guesses), 1)

    wrong = np.flatnonzero(guesses != labels)
    sure = probabilities[wrong, guesses[wrong]]
    mistakes = tuple(
        Mistake(int(index), int(labels[index]), int(guesses[index]), float(probabilities[index, guesses[index]]))
        for index in wrong[np.argsort(-sure, kind="stable")[:n_mistakes]]
    )
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
