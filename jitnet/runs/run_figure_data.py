"""What the figure of a run shows beside its curves: its model, evaluated."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.datasets import Split
from jitnet.evaluation import Evaluation, evaluate
from jitnet.model import AnyModel, Model
from jitnet.runs.evaluated_data import EvaluatedData

__all__ = ["Judged", "first_layer", "judged"]


@dataclass(frozen=True, eq=False)
class Judged:
    """A model's evaluation. names: of the samples in its list of mistakes or largest errors, in that order; images:
    these samples (n, features), where they are images of image_shape. part: what was evaluated, in words."""

    result: Evaluation
    names: list[str]
    images: npt.NDArray[Any] | None
    image_shape: tuple[int, int] | None
    part: str


def judged(model: AnyModel, data: EvaluatedData) -> Judged:
    """Evaluate a model for its figure. Raises as `evaluate` does."""
    result = evaluate(model, data.dataset)
    split, shape = data.dataset.test_or_train, data.dataset.image_shape
    wrong = [one.index for one in (result.mistakes or result.deviations)]
    images = np.asarray(split.images[wrong]) if shape is not None and wrong else None
    part = f"{data.dataset.name}: {PARTS[data.part]}, {len(split):,} row{'s' * (len(split) != 1)}"
    return Judged(result, _names(split, wrong), images, shape, part)


PARTS = {"test": "test part", "train": "training part", "only": "all"}


def _names(split: Split, indices: list[int]) -> list[str]:
    """What identifies samples: of a table the value of the column that does, else where it is in the file; of others
    their place in the part, from 0."""
    name = split.preparation.identifier if split.preparation is not None else None
    if split.table is None or split.rows is None or name is None or name not in split.table.names:
        return [split.place(index) for index in indices]
    rows = split.rows[indices]
    column = split.table.column(name)
    values = column.values[rows].tolist()
    return [f"{name} {column.words[value] if column.kind == 'word' else f'{value:g}'}" for value in values]


def first_layer(model: AnyModel, most: int = 32) -> npt.NDArray[np.float32] | None:
    """Return the weights of the first layer as images, (units, height, width): of the units with the largest weights,
    at most so many; None where inputs are no images, or the model
    is a committee."""
    if model.image_shape is None or not isinstance(model, Model):
        return None
    weights = np.asarray(model.weights[0])
    strongest = np.argsort(-np.linalg.norm(weights, axis=1), kind="stable")[:most]
    return weights[np.sort(strongest)].reshape(-1, *model.image_shape)
