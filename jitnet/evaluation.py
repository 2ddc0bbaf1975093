"""The evaluation of a network. Of a classifier: loss, accuracy, precision, recall and F1 per class, the confusion
matrix, and its most confident mistakes. Of a regressor: loss, RMSE, MAE and R² per target, and its largest errors.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import LOSSES, check_arguments
from jitnet.datasets import Dataset, Split
from jitnet.errors import ModelError
from jitnet.model import Model
from jitnet.model.encoding import decode_targets
from jitnet.model.fit import check_scaling, fitted, loss_and_accuracy

__all__ = [
    "ClassScore",
    "Deviation",
    "Evaluation",
    "Mistake",
    "TargetScore",
    "check_scaling",
    "evaluate",
]


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mistake:
    """A sample with a wrong prediction: its index in the split, its label, the predicted class and the
    probability of that class."""

    index: int
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class ClassScore:
    """precision: share of the predictions of this class that are right; recall: share of its samples that are predicted
    as it; f1: their harmonic mean; support: its samples. A share of nothing is 0. The same of a label's yes."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Deviation:
    """A prediction with a large error: its index in the split, and its numbers, true and predicted."""

    index: int
    targets: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True)
class TargetScore:
    """The scores of a target, in its unit. rmse: root of the mean squared error. mae: mean absolute error. r2:
    1 - mean squared error / variance, 1 at best, 0 for predicting the mean; NaN where the target never changes."""

    name: str
    rmse: float
    mae: float
    r2: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """loss: the mean, in nats where it is cross-entropy; of targets standardised as in training where they are numbers.
    n: samples. task: "classify" or "regress"; the fields of the other task are empty or NaN.

    Of classes. accuracy: share of right predictions. classes: scores of each. confusion: (true, predicted) int64.
    mistakes: the most confident first. Of yes/no labels: accuracy is the share of right ones, classes are the scores of
    each label's yes, and there are no confusion and no mistakes.

    Of numbers, of which a network of quantiles predicts the one that is closest to the median. rmse, mae, r2: means
    over targets. targets: scores of each. deviations: the largest errors first, by the standardised targets.
    """

    loss: float
    n: int
    task: str
    accuracy: float = math.nan
    classes: tuple[ClassScore, ...] = ()
    confusion: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    mistakes: tuple[Mistake, ...] = ()
    rmse: float = math.nan
    mae: float = math.nan
    r2: float = math.nan
    targets: tuple[TargetScore, ...] = ()
    deviations: tuple[Deviation, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return the fields of the task, as plain values."""
        of_classes = {"accuracy", "classes", "confusion", "mistakes"}
        of_numbers = {"rmse", "mae", "r2", "targets", "deviations"}
        other_task = of_numbers if self.task == "classify" else of_classes
        return {name: value for name, value in asdict(self).items() if name not in other_task}


def evaluate(model: Model, data: Dataset | Split, *, n_mistakes: int = 10) -> Evaluation:
    """Evaluate a model on data of its task.

    data: a data set, whose test split is used, or the training data where it has no other, or a split. Classes are
    matched by name, in any order; data may lack some of the model's. A split without a data set has no class names and
    no scaling: its labels are indices of the model's classes. n_mistakes: how many mistakes or large errors are listed
    at most.
    Raises ModelError or DataError where features, classes or the form of the values do not fit.
    """
    check_arguments("evaluate(model, data)", model=(model, Model), data=(data, (Dataset, Split)))
    split, where = (data.test_or_train, data.source) if isinstance(data, Dataset) else (data, "the data")
    if isinstance(data, Dataset):
        model.check_features(data)
    if len(split) == 0:
        raise ModelError(f"{where}: there are no samples to evaluate on; name data that has some")
    split = fitted(model, split, where)
    check_scaling(model, data)
    outputs = model.outputs(split.images)
    if split.targets is None:
        return _judge_classes(model, outputs, split, n_mistakes)
    if split.target == "label":
        return _judge_labels(model, outputs, split)
    return _judge_numbers(model, outputs, split, n_mistakes)


def _judge_numbers(model: Model, outputs: Floats, split: Split, n_mistakes: int) -> Evaluation:
    targets = np.asarray(split.targets)
    loss, _ = loss_and_accuracy(model, outputs, split)
    shape = model.config
    predictions = decode_targets(outputs, model.target_scaling, shape.outputs_per_target)
    if "quantiles" in LOSSES[shape.loss].fields:
        middle = int(np.abs(np.array(shape.quantiles) - 0.5).argmin())
        predictions = predictions[:, middle :: shape.outputs_per_target]
    errors = predictions - targets
    scores = tuple(_target_score(name, errors[:, k], targets[:, k]) for k, name in enumerate(model.target_names))
    rmse, mae, r2 = (float(np.mean([getattr(score, name) for score in scores])) for name in ("rmse", "mae", "r2"))
    largest = np.argsort(-((errors * model.target_scaling.scale) ** 2).sum(axis=1), kind="stable")[:n_mistakes]
    deviations = tuple(
        Deviation(int(row), tuple(map(float, targets[row])), tuple(map(float, predictions[row]))) for row in largest
    )
    return Evaluation(loss, len(split), "regress", rmse=rmse, mae=mae, r2=r2, targets=scores, deviations=deviations)


def _target_score(name: str, errors: npt.NDArray[np.float64], targets: npt.NDArray[np.float64]) -> TargetScore:
    square, variance = float((errors**2).mean()), float(targets.var())
    r2 = 1.0 - square / variance if variance > 0.0 else math.nan
    return TargetScore(name, math.sqrt(square), float(np.abs(errors).mean()), r2)


def _judge_labels(model: Model, probabilities: Floats, split: Split) -> Evaluation:
    """Scores of each label's yes; right is a label whose yes or no is the more probable one."""
    targets, predicted = np.asarray(split.targets), probabilities > 0.5
    loss, accuracy = loss_and_accuracy(model, probabilities, split)
    scores = tuple(
        _score(name, int((yes & true).sum()), int(yes.sum()), int(true.sum()))
        for name, yes, true in zip(model.target_names, predicted.T, targets.T, strict=True)
    )
    return Evaluation(loss, len(split), "classify", accuracy or 0.0, scores)


def _judge_classes(model: Model, probabilities: Floats, split: Split, n_mistakes: int) -> Evaluation:
    labels, predicted = split.labels, probabilities.argmax(axis=1)
    loss, accuracy = loss_and_accuracy(model, probabilities, split)
    confusion = np.zeros((len(model.class_names),) * 2, np.int64)
    np.add.at(confusion, (labels, predicted), 1)

    wrong = np.flatnonzero(predicted != labels)
    sure = probabilities[wrong, predicted[wrong]]
    mistakes = tuple(
        Mistake(int(index), int(labels[index]), int(predicted[index]), float(probabilities[index, predicted[index]]))
        for index in wrong[np.argsort(-sure, kind="stable")[:n_mistakes]]
    )
    scores = _scores(model.class_names, confusion)
    return Evaluation(loss, len(labels), "classify", accuracy or 0.0, scores, confusion, mistakes)


def _scores(names: tuple[str, ...], confusion: npt.NDArray[np.int64]) -> tuple[ClassScore, ...]:
    return tuple(
        _score(name, int(confusion[c, c]), int(confusion[:, c].sum()), int(confusion[c].sum()))
        for c, name in enumerate(names)
    )


def _score(name: str, hits: int, predictions: int, support: int) -> ClassScore:
    precision = hits / predictions if predictions else 0.0
    recall = hits / support if support else 0.0
    f1 = 2 * hits / (predictions + support) if predictions + support else 0.0
    return ClassScore(name, precision, recall, f1, support)
