"""What a training reports: the progress of an epoch, the results of an epoch, and the whole run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jitnet.model.fit import Commonest

__all__ = ["EpochReport", "History", "StepReport"]


@dataclass(frozen=True)
class StepReport:
    """The progress of an epoch: epochs and steps count from 1; loss and accuracy are means over its samples so far. The
    accuracy is None where targets are numbers."""

    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    samples_per_second: float
    train_loss: float
    train_accuracy: float | None


@dataclass(frozen=True)
class EpochReport:
    """The results of an epoch: losses (of classes in nats, of numbers of the standardised targets), accuracies as
    fractions; train_* are means over the epoch, while the weights change.

    Where targets are numbers, accuracies are None. test_* and val_* are None where the data have no such split or it
    was not measured. seconds: of training only. learning_rate: of the epoch's last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    samples_per_second: float
    learning_rate: float

    @property
    def watched_accuracy(self) -> float | None:
        """On held-out data, or else on test data."""
        return self.test_accuracy if self.val_accuracy is None else self.val_accuracy

    @property
    def metric(self) -> str:
        """The metric of training: "accuracy", or where targets are numbers "loss"."""
        return "loss" if self.train_accuracy is None else "accuracy"

    def score(self, part: str) -> float | None:
        """The metric on a part of the data: "train", "val" or "test"."""
        value: float | None = getattr(self, f"{part}_{self.metric}")
        return value

    @property
    def watched(self) -> float | None:
        """The metric on held-out data, or else on test data."""
        held_out = self.score("val")
        return self.score("test") if held_out is None else held_out

    def is_better(self, other: "EpochReport | None") -> bool:
        """Whether its watched metric is better than another's; True where the other has none."""
        if self.watched is None or other is None or other.watched is None:
            return self.watched is not None
        return self.watched > other.watched if self.metric == "accuracy" else self.watched < other.watched

    def in_words(self, value: float | None) -> str:
        """A value of the metric as text: an accuracy in percent, a loss as a number."""
        if value is None:
            return "-"
        return f"{value:.2%}" if self.metric == "accuracy" else f"{value:.4f}"


class _Column(property):
    """A field of the reports as an array, one number an epoch."""

    def __init__(self, field: str, about: str) -> None:
        def column(history: "History") -> npt.NDArray[np.float64]:
            return np.array([getattr(report, field) for report in history.epochs], np.float64)

        super().__init__(column)
        self.__doc__ = f"{about}: (epochs,) float64."

    if TYPE_CHECKING:  # a type checker does not infer the type of a property made by a call

        def __get__(  # type: ignore[override]
            self, history: Any, owner: type | None = None, /
        ) -> npt.NDArray[np.float64]: ...


@dataclass(frozen=True, repr=False)
class History:
    """The reports of a run, and how it ended.

    epochs: a report each; it can be iterated too. Each field of the reports is an array as well, one number an epoch:
    `history.train_loss`. outcome: why the run ended, in words. stopped: whether it was stopped before its end, by
    request, by a callback or by its caller. reached: whether the last watched accuracy is the target accuracy or more;
    True without a target. kept: the epoch whose parameters the model has, where held-out data chose it. final_test:
    loss and accuracy (None where targets are numbers) on the test set where it is measured once, at the end. costliest:
    the three operations that took longest, by name, and their shares of the steps' time. threads, threads_reason: how
    many threads it ended on, and why, with the counts that were tried. commonest: of each part of the data, "train",
    "val" or "test", the class that most of its samples have, and its share, which is the accuracy of always predicting
    it; empty where targets are numbers.
    """

    epochs: tuple[EpochReport, ...]
    outcome: str
    stopped: bool = False
    reached: bool = True
    kept: int | None = None
    final_test: tuple[float, float | None] | None = None
    costliest: tuple[tuple[str, float], ...] = ()
    threads: int = 1
    threads_reason: str = ""
    commonest: Mapping[str, Commonest] = field(default_factory=dict)

    train_loss = _Column("train_loss", "Mean training loss of each epoch")
    train_accuracy = _Column("train_accuracy", "Share of right predictions on the training data in each epoch")
    test_loss = _Column("test_loss", "Mean loss on the test data after each epoch; NaN where not measured")
    test_accuracy = _Column("test_accuracy", "Share of right predictions on the test data; NaN where not measured")
    val_loss = _Column("val_loss", "Mean loss on the held-out data after each epoch; NaN where there are none")
    val_accuracy = _Column("val_accuracy", "Share of right predictions on the held-out data; NaN where there are none")
    seconds = _Column("seconds", "Seconds of training in each epoch")
    samples_per_second = _Column("samples_per_second", "Samples trained on in a second of each epoch")
    learning_rate = _Column("learning_rate", "Learning rate of each epoch's last step")

    @property
    def best(self) -> EpochReport | None:
        """The first epoch with the highest watched accuracy, or where targets are numbers with the lowest watched loss;
        None where none was watched."""
        best: EpochReport | None = None
        for report in self.epochs:
            best = report if report.is_better(best) else best
        return best

    @property
    def last_accuracy(self) -> float:
        """The last epoch's watched accuracy; 0 where none was watched."""
        return (self.epochs[-1].watched_accuracy or 0.0) if self.epochs else 0.0

    def __len__(self) -> int:
        return len(self.epochs)

    def __iter__(self) -> Iterator[EpochReport]:
        return iter(self.epochs)

    def __repr__(self) -> str:
        """A short table: the first epochs, the last ones, and how it ended."""
        names = ["epoch", "loss", "train", "validation", "test"]
        shown = [name for name in names if name == "epoch" or self._has(name)]
        limit = 12
        reports: list[EpochReport | None] = list(self.epochs)
        if len(reports) > limit:
            reports = [*reports[: limit // 2], None, *reports[-limit // 2 :]]
        rows = [shown] + [["…"] * len(shown) if r is None else [_cell(r, name) for name in shown] for r in reports]
        widths = [max(len(row[k]) for row in rows) for k in range(len(shown))]
        lines = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines.append(self.outcome)
        if self.kept is not None:
            lines.append(f"kept: epoch {self.kept}, the best on the held-out data")
        if self.final_test is not None:
            last = self.epochs[-1]
            value = self.final_test[last.metric == "accuracy"]
            lines.append(f"test {last.metric} {last.in_words(value)}, evaluated once")
        measured = [name for name in _PARTS if self._has(name) or (name == "test" and self.final_test is not None)]
        guesses = [(name, self.commonest[_PARTS[name]]) for name in measured if _PARTS[name] in self.commonest]
        if guesses:
            lines.append("; ".join(f"{guess.in_words} ({name})" for name, guess in guesses))
        return "\n".join(lines)

    def _has(self, name: str) -> bool:
        if name == "train":  # otherwise it would repeat the loss
            return any(report.metric == "accuracy" for report in self.epochs)
        return name == "loss" or any(report.score(_PARTS[name]) is not None for report in self.epochs)


_PARTS = {"train": "train", "validation": "val", "test": "test"}
"""The part of the data under each heading."""


def _cell(report: EpochReport, name: str) -> str:
    if name == "epoch":
        return str(report.epoch)
    if name == "loss":
        return f"{report.train_loss:.4f}"
    return report.in_words(report.score(_PARTS[name]))
