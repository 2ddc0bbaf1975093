"""Cross-validation: a run for each fold, trained on the other rows and scored on the fold's.

runs/2026-03-14-digits-cv/
    cv.json          the scores of each fold, and of all together
    fold-1/          a run folder for each fold
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from jitnet.datasets.folds import Fold, check_folds
from jitnet.errors import OutputError, UsageError
from jitnet.runs.run_settings import Settings
from jitnet.search.work import Outcome, Work

if TYPE_CHECKING:
    from jitnet.datasets import Dataset

__all__ = [
    "SCORES",
    "FoldScore",
    "check_folder",
    "check_settings",
    "fold_works",
    "on_all_rows",
    "score_fold",
    "summarise",
]

SCORES = "cv.json"


@dataclass(frozen=True)
class FoldScore:
    """What a fold scored. fold: its number, from 1. run: its run folder. n_train, n_test: rows that it was trained on,
    those held out for early stopping included, and rows in it. epochs: how many were trained; kept: the one whose
    parameters were kept. metrics: of an evaluation on the fold's rows, by name."""

    fold: int
    run: Path
    n_train: int
    n_test: int
    epochs: int
    kept: int | None
    metrics: dict[str, float]


def check_settings(settings: Settings) -> None:
    """UsageError where settings say how many threads a run has, a fold's has one; or where the fold's rows would end
    the training that they score."""
    config = settings.resolve()[1]
    if settings.training.get("threads") is not None:
        raise UsageError.of_fields(
            "<threads>: each fold is trained on one thread, several folds at a time; leave it out, or choose how many "
            "at a time with <workers>"
        )
    if config.target_accuracy and not config.val_split:
        raise UsageError.of_fields(
            "<target_accuracy>: a fold's training would end by the rows that score it; hold others out with "
            "<val_split>, or leave it out"
        )


def fold_works(settings: Settings, dataset: "Dataset", n_folds: int) -> list[Work]:
    """The run of each fold. The seed of the settings draws the folds too.

    dataset: the data of the settings, without rows held out to test on. Raises UsageError where they have too few rows,
    groups or times."""
    check_folds(dataset.train, n_folds)
    seed = settings.resolve(dataset.task)[1].seed
    folds = [Work(f"fold-{k}", settings, Fold(k, n_folds, seed)) for k in range(1, n_folds + 1)]
    return [work.on_data(dataset.checksum) for work in folds]


def check_folder(base: Path, works: Sequence[Work]) -> None:
    """OutputError where a folder holds a cross-validation already."""
    present = [name for name in (SCORES, *(work.name for work in works)) if (base / name).exists()]
    if present:
        raise OutputError(
            f"{base} holds a cross-validation already ({', '.join(present[:3])}): name another folder, or move that "
            "one away"
        )


def score_fold(work: Work, outcome: Outcome, dataset: "Dataset") -> FoldScore:
    """Evaluate the model of a fold's run on the fold's rows; dataset: as for `fold_works`."""
    from jitnet.evaluation import evaluate
    from jitnet.model import Model

    assert isinstance(work.rows, Fold)
    data = work.rows(dataset)
    found = evaluate(Model.load(outcome.folder), data)
    n_test = len(data.test_or_train)
    epochs = len(outcome.reports)
    return FoldScore(work.rows.number, outcome.folder, len(data.train), n_test, epochs, outcome.kept, found.metrics)


def summarise(scores: Sequence[FoldScore]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation over folds of each metric: the mean of n, and the deviation with n - 1; of fewer than
    two folds the deviation is NaN, and so it is where a score is no number: ROC AUC of one class, for example."""
    values = {name: [score.metrics[name] for score in scores] for name in (scores[0].metrics if scores else ())}
    mean = {name: fmean(numbers) for name, numbers in values.items()}
    return mean, {name: _deviation(numbers) for name, numbers in values.items()}


def _deviation(numbers: Sequence[float]) -> float:
    return stdev(numbers) if len(numbers) > 1 and all(map(math.isfinite, numbers)) else math.nan


def on_all_rows(settings: Settings) -> Settings:
    """The settings of the same run with no rows of a table held out to test on."""
    return replace(settings, columns={**settings.columns, "held_out": 0.0})
