"""How good a network is: loss, accuracy, precision, recall and F1 per class, confusions, and its most confident
mistakes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.config import check_arguments
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.errors import ModelError
from jitnet.model import Model

__all__ = ["ClassScore", "Evaluation", "Mistake", "check_scaling", "evaluate"]

MOST_APART = 4
"""Grey levels of one kind reach about the same peak: 15 and 16, or 200 and 255, but not 16 and 255."""


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

    data: a data set, whose test split is taken (its only one, where it has but one), or a split. A split that belongs
    to no data set, and so does not tell how it is scaled, is taken to be in the form that the model was trained on.
    Raises ModelError where features, labels or the form of the values do not fit.
    """
    check_arguments("evaluate(model, data)", model=(model, Model), data=(data, (Dataset, Split)))
    if isinstance(data, Dataset):
        model.check_fits(data)
    split, where = _split_of(data)
    if len(split) == 0:
        raise ModelError(f"{where}: there are no samples to evaluate on; name data that has some")
    n_classes = model.config.n_classes
    bad = (split.labels < 0) | (split.labels >= n_classes)
    if bad.any():
        raise ModelError(
            f"{where}: sample {int(bad.argmax())} (from 0) has the label {int(split.labels[bad.argmax()])}, the model "
            f"knows classes 0 to {n_classes - 1}; use the kind of data that it was trained on"
        )
    check_scaling(model, data)
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


def _split_of(data: Dataset | Split) -> tuple[Split, str]:
    """The split to judge by, and what to call it."""
    return (data.test_or_train, data.source) if isinstance(data, Dataset) else (data, "the data")


def check_scaling(model: Model, data: Dataset | Split) -> None:
    """ModelError where values are in another form than those that the model was trained on.

    Training fixes how values are scaled, so data in another form would be scaled wrongly without a word. Two data sets
    that are standardised each by its own mean are in one form.
    """
    split, where = _split_of(data)
    if split.scaling is None:
        return
    # A file that PyTorch wrote says nothing of its data: that they went up to 255 is a guess.
    most_apart = MOST_APART if "data" in model.metadata else 255
    if not _is_alike(model.scaling, split.scaling, split.images, most_apart):
        raise ModelError(
            f"{where}: holds {_form(split.scaling, split.images)}, the model expects {_form(model.scaling)} as it was "
            "trained on; bring the values into that form, or train on data like these"
        )
    if np.ndim(model.scaling.scale) and split.images.shape[1] == model.config.in_features:
        reach = model.scaling.reach(split.images)
        if reach.max() > np.finfo(np.float32).max / 2:
            raise ModelError(
                f"{where}: value {int(reach.argmax())} (from 0) of a sample lies {reach.max():.2g} standard deviations "
                "from the mean of what the model was trained on; use the kind of data that it was trained on"
            )


def _is_alike(expected: Scaling, found: Scaling, images: np.ndarray, most_apart: int) -> bool:
    """Whether images that would be scaled as `found` by themselves may be scaled as `expected`.

    most_apart: how many times as large one peak of grey levels may be as the other.
    """
    if peak := _peak(expected):
        other = _peak(found)
        if np.ndim(found.scale) and images.dtype == np.uint8:
            # A table of bytes says nothing of images and would be standardised; its values are grey levels still.
            other = int(images.max())
        return max(peak, other) <= most_apart * min(peak, other)
    if _peak(found):
        return False
    if np.ndim(found.scale) and not np.ndim(expected.scale):
        return bool(images.min() >= -0.5 and images.max() <= 1.5)
    return True


def _peak(scaling: Scaling) -> int:
    """The largest grey level where values are grey levels of a byte, else 0."""
    if np.ndim(scaling.scale) or np.ndim(scaling.offset) or not 1 / 256 < float(scaling.scale) < 1:
        return 0
    return round(1 / float(scaling.scale))


def _form(scaling: Scaling, images: np.ndarray | None = None) -> str:
    if peak := _peak(scaling):
        return f"grey levels (0 to {peak})"
    if np.ndim(scaling.scale) == 0:
        return "values from 0 to 1"
    found = "" if images is None else f" ({images.min():.4g} to {images.max():.4g})"
    return f"values to be standardised per feature{found}"


def _scores(names: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> tuple[ClassScore, ...]:
    scores = []
    for c, name in enumerate(names):
        hits, guessed, support = int(confusion[c, c]), int(confusion[:, c].sum()), int(confusion[c].sum())
        precision = hits / guessed if guessed else 0.0
        recall = hits / support if support else 0.0
        f1 = 2 * hits / (guessed + support) if guessed + support else 0.0
        scores.append(ClassScore(name, precision, recall, f1, support))
    return tuple(scores)
