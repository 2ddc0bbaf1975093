"""How good a network is: loss, accuracy, precision, recall and F1 per class, confusions, and its most confident
mistakes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Dataset, Scaling, Split
from jitnet.errors import ModelError
from jitnet.model import Model

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


def check_scaling(model: Model, dataset: Dataset) -> None:
    """ModelError where a model of grey levels would see other values, or the other way round.

    Training fixes how values are scaled, so data in another form would be scaled wrongly without a word. Two data sets
    that are standardised each by its own mean are in one form.
    """
    expects, found = _grey_levels(model.scaling), _grey_levels(dataset.scaling)
    standardised = np.ndim(dataset.scaling.scale) > 0
    if bool(expects) == bool(found) or (expects and standardised and dataset.train.images.dtype == np.uint8):
        return
    raise ModelError(
        f"{dataset.source}: holds {_form(dataset.scaling)}, the model expects {_form(model.scaling)} as it was trained "
        "on; bring the values into that form, or train on data like these"
    )


def _grey_levels(scaling: Scaling) -> int:
    """The largest grey level where values are grey levels of a byte, else 0."""
    if np.ndim(scaling.scale) or np.ndim(scaling.offset) or not 1 / 256 < float(scaling.scale) < 1:
        return 0
    return round(1 / float(scaling.scale))


def _form(scaling: Scaling) -> str:
    if peak := _grey_levels(scaling):
        return f"grey levels (0 to {peak})"
    return "values to be standardised per feature" if np.ndim(scaling.scale) else "values from 0 to 1"


def _scores(names: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> tuple[ClassScore, ...]:
    scores = []
    for c, name in enumerate(names):
        hits, guessed, support = int(confusion[c, c]), int(confusion[:, c].sum()), int(confusion[c].sum())
        precision = hits / guessed if guessed else 0.0
        recall = hits / support if support else 0.0
        f1 = 2 * hits / (guessed + support) if guessed + support else 0.0
        scores.append(ClassScore(name, precision, recall, f1, support))
    return tuple(scores)
