"""Whether data fit a network, their classes or targets and the form of their values; and how well it predicts them."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import LOSSES
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.datasets.assemble import prepared
from jitnet.datasets.kind import MOST_APART, form, peak, unlike
from jitnet.datasets.labels import match
from jitnet.datasets.raw import place_of
from jitnet.datasets.targets import default_names, match_targets
from jitnet.errors import DataError, ModelError
from jitnet.model.any_model import AnyModel
from jitnet.model.encoding import Rows, encode_targets

__all__ = [
    "Commonest",
    "check_scaling",
    "commonest_class",
    "fitted",
    "labels_for",
    "loss_and_accuracy",
    "loss_of_guessing",
]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Commonest:
    """The class that most samples have, by name, and their share, from 0 to 1: the accuracy of always predicting it."""

    name: str
    share: float

    @property
    def in_words(self) -> str:
        """What to show beside an accuracy."""
        return f"always predicting {self.name} gives {self.share:.2%}"


def fitted(model: AnyModel, split: Split, where: str) -> Split:
    """A split with labels of the model's classes, or with targets in the model's order, matched by name.

    Raises DataError or ModelError where its classes or targets are not the model's, one has classes and the other
    numbers, or the loss takes only numbers of 0 or more and one is negative.
    """
    model.check_target(split.target, where)
    if model.preparation is not None:
        split = prepared(split, model.preparation)
    if split.targets is None:
        return replace(split, labels=labels_for(model, split, where), class_names=model.class_names)
    names = split.target_names or default_names(split.targets.shape[1])
    targets = match_targets(names, model.target_names, split.targets, where)
    if LOSSES[model.config.loss].nonnegative and (targets < 0).any():
        row, column = (int(place) for place in np.argwhere(targets < 0)[0])
        name = repr(model.target_names[column])
        place = f"{where}: the target {name} of sample {row} (from 0)"
        if split.table is not None and split.rows is not None:
            place = f"{split.table.where(int(split.rows[row]))}: the target {name}"
        raise DataError(
            f"{place} is {targets[row, column]:g}; expected numbers of 0 or more with the loss {model.config.loss}"
        )
    return replace(split, targets=targets, target_names=model.target_names)


def labels_for(model: AnyModel, split: Split, where: str) -> npt.NDArray[np.int64]:
    """The labels of a split, (n,) int64, as positions in the model's classes, matched by name.

    Where one of the two has no names, labels are positions. Raises DataError for the first sample of a class that the
    model does not know, ModelError for a label that is out of range.
    """
    names, n_classes = split.class_names, model.config.out_features
    try:
        place = place_of if split.table is None else lambda sample: f"in {split.place(sample)}"
        labels = split.labels if names is None else match(split.labels, names, model.class_names, where, place)
    except DataError:
        if model.is_named or names is None or len(names) != n_classes:
            raise
        labels = split.labels
    bad = (labels < 0) | (labels >= n_classes)
    if bad.any():
        raise ModelError(
            f"{where}: sample {int(bad.argmax())} (from 0) has the label {int(labels[bad.argmax()])}, the model "
            f"knows classes 0 to {n_classes - 1}; use the kind of data that it was trained on"
        )
    return labels


def loss_and_accuracy(model: AnyModel, outputs: Floats, split: Split) -> tuple[float, float | None]:
    """Mean loss of a network's outputs for a fitted split, and the share of samples whose most probable class is their
    label, or of labels whose yes or no is the more probable one; None where targets are numbers. Both are weighted
    where samples have weights."""
    losses, weights = _losses(model, outputs, split), split.weights
    if split.targets is None:
        return _mean(losses, weights), _mean(outputs.argmax(axis=1) == split.labels, weights)
    if split.target == "label":
        return _mean(losses, weights), _mean(((outputs > 0.5) == split.targets).mean(axis=1), weights)
    return _mean(losses, weights), None


def commonest_class(split: Split) -> Commonest | None:
    """The commonest class of a split, of equal ones the first, by the weights of its samples; of yes/no labels what
    most samples have of each; None where targets are numbers."""
    if split.target == "number" or not len(split):
        return None
    if split.targets is not None:
        shares = np.average(split.targets, axis=0, weights=split.weights)
        return Commonest("what is commonest of each label", float(np.maximum(shares, 1.0 - shares).mean()))
    totals = np.bincount(split.labels, split.weights)
    label = int(totals.argmax())
    name = split.class_names[label] if split.class_names else str(label)
    return Commonest(name, float(totals[label] / totals.sum()))


def loss_of_guessing(model: AnyModel, split: Split) -> float:
    """Mean loss on a fitted split of predictions that are the same for every sample: all classes alike, or each
    target's mean, or its quantiles. Weighted where samples have weights."""
    n, weights, shape = len(split), split.weights, model.config
    if split.targets is None:
        guess = np.full(shape.out_features, 1.0 / shape.out_features)
    else:
        targets = encode_targets(split.targets, model.target_scaling)
        guess = np.average(targets, axis=0, weights=weights)
        if "quantiles" in LOSSES[shape.loss].fields:
            guess = np.quantile(targets, shape.quantiles, axis=0).T.reshape(-1)
    return _mean(_losses(model, np.broadcast_to(guess, (n, len(guess))), split), weights)


def _losses(model: AnyModel, outputs: npt.NDArray[Any], split: Split) -> npt.NDArray[np.float64]:
    """The loss of each sample, (n,)."""
    from jitnet.kernels.loss import LOSS_KERNELS  # imports Numba, so it comes late

    targets = split.labels if split.targets is None else encode_targets(split.targets, model.target_scaling)
    found: npt.NDArray[np.float64] = LOSS_KERNELS[model.config.loss].judge(outputs, targets, model.config.loss_numbers)
    return found


def _mean(values: npt.NDArray[Any], weights: npt.NDArray[np.float64] | None) -> float:
    return float(np.average(values, weights=weights))


def check_scaling(model: AnyModel, data: Dataset | Split) -> None:
    """ModelError where values are in another form than those that the model was trained on.

    Training fixes how values are scaled, so data in another form would be scaled wrongly without a word. Two data sets
    that are each standardised by their mean are in one form.
    """
    for member in model.members:
        _check_scaling(member, data)


def _check_scaling(model: AnyModel, data: Dataset | Split) -> None:
    split, where = (data.test_or_train, data.source) if isinstance(data, Dataset) else (data, "the data")
    if split.scaling is None or model.preparation is not None:
        return
    if split.table is not None:
        raise ModelError(
            f"{where}: holds rows of a table, and the model was trained on arrays; use the kind of data that it was "
            "trained on"
        )
    # A file that PyTorch wrote does not describe its data: that they went up to 255 is a guess.
    most_apart = MOST_APART if "data" in model.metadata else 255
    if not _is_alike(model.scaling, split.scaling, split.images, most_apart):
        raise ModelError(
            f"{where}: holds {form(split.scaling, split.images)}, the model expects {form(model.scaling)} as it was "
            "trained on; bring the values into that form, or train on data like these"
        )
    if np.ndim(model.scaling.scale) and split.images.shape[1] == model.config.in_features:
        reach = model.scaling.reach(split.images)
        if reach.max() > np.finfo(np.float32).max / 2:
            raise ModelError(
                f"{where}: value {int(reach.argmax())} (from 0) of a sample is {reach.max():.2g} standard deviations "
                "from the mean of what the model was trained on; use the kind of data that it was trained on"
            )


def _is_alike(expected: Scaling, found: Scaling, images: Rows, most_apart: int) -> bool:
    """Whether images whose scaling is `found` may be scaled as `expected`.

    most_apart: how many times as large one peak of grey levels may be as the other.
    """
    if np.ndim(found.scale) and not np.ndim(expected.scale) and images.dtype != np.uint8:
        return not unlike(expected, images)
    if levels := peak(expected):
        # A table of bytes is not known to hold images and would be standardised; its values are grey levels still.
        other = int(images.max()) if np.ndim(found.scale) else peak(found)
        return max(levels, other) <= most_apart * min(levels, other)
    if peak(found):
        return False
    return not np.ndim(found.scale) or bool(np.ndim(expected.scale)) or int(images.max()) <= 1
