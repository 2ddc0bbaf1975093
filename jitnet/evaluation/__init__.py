"""The evaluation of a network: how good its classes, labels, numbers or quantiles are, on data of its task."""

from jitnet.evaluation.classes import ClassScore, Mistake
from jitnet.evaluation.multilabel import LabelScore, label_scores
from jitnet.evaluation.numbers import Deviation, Residuals, TargetScore, target_score
from jitnet.evaluation.quantiles import QuantileScore, quantile_scores
from jitnet.evaluation.ranking import (
    RankingScore,
    ThresholdScore,
    average_precision,
    brier_score,
    ranking_score,
    roc_auc,
    roc_curve,
)
from jitnet.evaluation.reliability import Calibration, CalibrationBin, calibration
from jitnet.evaluation.report import Evaluation, check_scaling, evaluate

__all__ = [
    "Calibration",
    "CalibrationBin",
    "ClassScore",
    "Deviation",
    "Evaluation",
    "LabelScore",
    "Mistake",
    "QuantileScore",
    "RankingScore",
    "Residuals",
    "TargetScore",
    "ThresholdScore",
    "average_precision",
    "brier_score",
    "calibration",
    "check_scaling",
    "evaluate",
    "label_scores",
    "quantile_scores",
    "ranking_score",
    "roc_auc",
    "roc_curve",
    "target_score",
]
