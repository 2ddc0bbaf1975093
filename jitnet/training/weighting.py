"""Weights of the samples that are trained on, and of those that are evaluated."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from jitnet.config.checking import any_of
from jitnet.config.class_weight import BALANCED, class_weights
from jitnet.config.nearest import nearest
from jitnet.datasets import Split
from jitnet.datasets.weights import mean_one
from jitnet.errors import DataError, UsageError

__all__ = ["evaluating_weights", "training_weights"]

Numbers = npt.NDArray[np.float64]


def training_weights(split: Split, class_weight: str, class_names: Sequence[str], where: str) -> Numbers | None:
    """What each sample's loss is multiplied by in training, (n,) with mean 1: its own weight times that of its class;
    None where all count alike.

    class_weight: as in `TrainConfig`. where: the name of the rows in messages. Raises UsageError for a class that is
    not among class_names, DataError where no sample has a weight above zero.
    """
    if not class_weight and split.weights is None:
        return None
    weights = np.ones(len(split)) if split.weights is None else split.weights
    if class_weight == BALANCED:
        # The same sum for every class that has samples: without weights of samples n / (n_classes * its samples).
        sums = np.bincount(split.labels, weights, len(class_names))
        weights = weights * (1.0 / np.where(sums > 0.0, sums, 1.0))[split.labels]
    elif class_weight:
        found = class_weights(class_weight)
        for name in found:
            if name not in class_names:
                raise UsageError.of_fields(_unknown(name, class_names))
        weights = weights * np.array([found.get(name, 1.0) for name in class_names])[split.labels]
    return _scaled(weights, where, "<class_weight> and weights of samples" if class_weight else "weights of samples")


def evaluating_weights(split: Split | None, where: str) -> Split | None:
    """A split whose samples' weights, where they have some, have mean 1; DataError where all are zero."""
    if split is None or split.weights is None:
        return split
    return replace(split, weights=_scaled(split.weights, where, "weights of samples"))


def _scaled(weights: Numbers, where: str, what: str) -> Numbers:
    if not weights.any():
        raise DataError.of_fields(f"{where}: all samples have the weight 0, by {what}; expected some above zero")
    return mean_one(weights)


def _unknown(name: str, class_names: Sequence[str]) -> str:
    near = nearest(name, class_names)
    shown = [*class_names[:10], "…"] if len(class_names) > 11 else list(class_names)
    hint = f"; did you mean {near}?" if near else ""
    return f"<class_weight> has a weight of the class {name!r}; expected {any_of(shown)}{hint}"
