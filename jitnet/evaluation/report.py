"""The evaluation of a network or a committee on data of its task."""

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import LOSSES, check_arguments
from jitnet.datasets import Dataset, Split
from jitnet.datasets.weights import check_weights
from jitnet.errors import ModelError
from jitnet.evaluation.classes import ClassScore, Mistake, class_scores, most_confident
from jitnet.evaluation.multilabel import label_scores
from jitnet.evaluation.numbers import Deviation, TargetScore, largest_errors, target_score
from jitnet.evaluation.quantiles import quantile_scores
from jitnet.evaluation.ranking import RankingScore, ranking_score
from jitnet.evaluation.reliability import Calibration, calibration
from jitnet.model import AnyModel, Committee, Model
from jitnet.model.encoding import decode_targets
from jitnet.model.fit import Commonest, check_scaling, commonest_class, fitted, loss_and_accuracy

__all__ = ["Evaluation", "check_scaling", "evaluate"]

Floats = npt.NDArray[np.float32]

NO_CLASSES, NO_PROBABILITIES = Commonest("", math.nan), Calibration(math.nan, ())


@dataclass(frozen=True, eq=False)
class Evaluation:
    """loss: the mean, in nats where it is cross-entropy; of targets standardised as in training where they are numbers.
    n: samples. task: "classify" or "regress"; the fields of the other task are empty, None or NaN. Where samples have
    weights, all but counts, confusion and residuals are weighted by them.

    Of classes. accuracy: share of right predictions, from 0 to 1. commonest: the class that most of these samples have,
    and its share, which is the accuracy of always predicting it. classes: scores of each. never_predicted: classes that
    some of these samples have and no prediction. confusion: (true, predicted) int64, counts. mistakes: the most
    confident first. calibration: of two classes how far the probability of the second one is from its share, of more
    how far that of the predicted class is from the accuracy. ranking: of two classes how well the probability of the
    second one tells it from the first; None for more.

    Of yes/no labels. accuracy: share of right ones. commonest: its share is the accuracy of predicting for each label
    what most samples have. classes: a `LabelScore` of each label's yes. never_predicted: labels that some samples have
    and no prediction. calibration: of a yes, all labels together. There are no confusion, mistakes and ranking.

    Of numbers, of which a network of quantiles predicts the one that is closest to the median. rmse, mae, r2, bias:
    means over targets. targets: scores of each and of its quantiles, in its unit. deviations: the largest errors first,
    by the standardised targets.
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
    commonest: Commonest = NO_CLASSES
    never_predicted: tuple[str, ...] = ()
    calibration: Calibration = NO_PROBABILITIES
    ranking: RankingScore | None = None
    bias: float = math.nan

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers that summarise it, by name: accuracy, ROC AUC of two classes, loss; or RMSE, MAE, R², loss."""
        if self.task == "regress":
            return {"rmse": self.rmse, "mae": self.mae, "r2": self.r2, "loss": self.loss}
        ranking = {} if self.ranking is None else {"roc_auc": self.ranking.roc_auc}
        return {"accuracy": self.accuracy, **ranking, "loss": self.loss}

    def as_record(self) -> dict[str, Any]:
        """Return the fields of the task, as plain values."""
        of_classes = {"accuracy", "commonest", "classes", "never_predicted", "confusion", "mistakes", "calibration"}
        of_classes |= {"ranking"}
        of_numbers = {"rmse", "mae", "r2", "bias", "targets", "deviations"}
        other_task = of_numbers if self.task == "classify" else of_classes
        return {name: value for name, value in asdict(self).items() if name not in other_task}


def evaluate(model: AnyModel, data: Dataset | Split, *, n_mistakes: int = 10) -> Evaluation:
    """Evaluate a model or a committee on data of its task.

    data: a data set, whose test split is used, or the training data where it has no other, or a split. Classes are
    matched by name, in any order; data may lack some of the model's. A split without a data set has no class names and
    no scaling: its labels are indices of the model's classes. n_mistakes: how many mistakes or large errors are listed
    at most.
    Raises ModelError or DataError where features, classes or the form of the values do not fit.
    """
    check_arguments("evaluate(model, data)", model=(model, (Model, Committee)), data=(data, (Dataset, Split)))
    split, where = (data.test_or_train, data.source) if isinstance(data, Dataset) else (data, "the data")
    if isinstance(data, Dataset):
        model.check_features(data)
    if len(split) == 0:
        raise ModelError(f"{where}: there are no samples to evaluate on; name data that has some")
    if split.weights is not None:
        split = replace(split, weights=check_weights(split.weights, len(split), f"{where}: weights"))
    split = fitted(model, split, where)
    check_scaling(model, data)
    outputs = model.outputs_of_split(split)
    if split.targets is None:
        return _judge_classes(model, outputs, split, n_mistakes)
    if split.target == "label":
        return _judge_labels(model, outputs, split)
    return _judge_numbers(model, outputs, split, n_mistakes)


def _judge_numbers(model: AnyModel, outputs: Floats, split: Split, n_mistakes: int) -> Evaluation:
    targets = np.asarray(split.targets)
    loss, _ = loss_and_accuracy(model, outputs, split)
    shape, weights = model.config, split.weights
    predictions = decode_targets(outputs, model.target_scaling, shape.outputs_per_target)
    levels = shape.quantiles if "quantiles" in LOSSES[shape.loss].fields else ()
    of_each = predictions.reshape(len(split), len(model.target_names), shape.outputs_per_target)
    typical = of_each[:, :, int(np.abs(np.array(levels) - 0.5).argmin()) if levels else 0]
    scores = []
    for k, name in enumerate(model.target_names):
        score = target_score(name, targets[:, k], typical[:, k], weights)
        quantiles = quantile_scores(levels, targets[:, k], of_each[:, k], weights) if levels else ()
        scores.append(replace(score, quantiles=quantiles))
    rmse, mae, r2, bias = (
        float(np.mean([getattr(score, name) for score in scores])) for name in ("rmse", "mae", "r2", "bias")
    )
    deviations = largest_errors(split, typical, model.target_scaling.scale, n_mistakes)
    return Evaluation(
        loss, len(split), "regress", rmse=rmse, mae=mae, r2=r2, bias=bias, targets=tuple(scores), deviations=deviations
    )


def _judge_labels(model: AnyModel, probabilities: Floats, split: Split) -> Evaluation:
    """Scores of each label's yes; right is a label whose yes or no is the more probable one."""
    truths, weights = np.asarray(split.targets), split.weights
    loss, accuracy = loss_and_accuracy(model, probabilities, split)
    scores = label_scores(model.target_names, truths, probabilities, weights)
    repeated = None if weights is None else np.repeat(weights, truths.shape[1])
    return Evaluation(
        loss,
        len(split),
        "classify",
        accuracy or 0.0,
        scores,
        commonest=commonest_class(split) or NO_CLASSES,
        never_predicted=tuple(score.name for score in scores if score.support and not score.predicted),
        calibration=calibration(truths.ravel(), probabilities.ravel(), repeated),
    )


def _judge_classes(model: AnyModel, probabilities: Floats, split: Split, n_mistakes: int) -> Evaluation:
    labels, predicted, weights = split.labels, probabilities.argmax(axis=1), split.weights
    loss, accuracy = loss_and_accuracy(model, probabilities, split)
    confusion = np.zeros((len(model.class_names),) * 2, np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    of_two = len(model.class_names) == 2
    truths, chances = (labels == 1, probabilities[:, 1]) if of_two else (labels == predicted, probabilities.max(axis=1))
    return Evaluation(
        loss,
        len(labels),
        "classify",
        accuracy or 0.0,
        class_scores(model.class_names, labels, predicted, weights),
        confusion,
        most_confident(split, predicted, probabilities, n_mistakes),
        commonest=commonest_class(split) or NO_CLASSES,
        never_predicted=tuple(
            name for k, name in enumerate(model.class_names) if confusion[k].any() and not confusion[:, k].any()
        ),
        calibration=calibration(truths, chances, weights),
        ranking=ranking_score(model.class_names[1], truths, chances, weights) if of_two else None,
    )
