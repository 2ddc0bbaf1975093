"""Early stopping: when a run has reached its target or no longer improves, and which epoch was best on held-out
data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig
from jitnet.training.history import EpochReport

__all__ = ["NOTHING_SEEN", "EarlyStopping", "Seen"]

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """What early stopping has seen of a training: enough to go on watching it.

    best_score: the best accuracy on held-out data, or the lowest loss there, negative; improved: the epoch that first
    had it, 0 where there was none. best_epoch: the one whose parameters are kept, 0 where that is the last; best: these
    parameters, as `TrainingState` has them.
    """

    best_score: float = -math.inf
    improved: int = 0
    best_epoch: int = 0
    best: Mapping[str, Floats] = field(default_factory=dict)


NOTHING_SEEN = Seen()


class EarlyStopping:
    """Watches the reports for what the config names. reached: whether the last accuracy is the target accuracy or more.
    best: the epoch whose parameters to keep, as `keep` chooses it by the held-out data, with them; None where that is
    the last."""

    def __init__(self, config: TrainConfig) -> None:
        self._config, self._monitor = config, config.monitor
        self._best_score, self._improved = -math.inf, 0
        self.reached = not config.target_accuracy
        self.best: tuple[int, Floats] | None = None

    def look(self, report: EpochReport, params: Floats) -> str:
        """Record a report and the parameters after its epoch, an array that is not changed later; return why to stop,
        or an empty string."""
        config = self._config
        score = report.val_accuracy if self._monitor == "accuracy" else report.val_loss
        if score is not None:
            score = score if self._monitor == "accuracy" else -score
            if config.keep != "last" and (score > self._best_score or self._is_later(score)):
                self.best = report.epoch, params
            if score > self._best_score:
                self._best_score, self._improved = score, report.epoch
        return self.ending(report)

    def ending(self, report: EpochReport) -> str:
        """Return why to stop after an epoch that has been looked at, or an empty string."""
        config = self._config
        accuracy = report.watched_accuracy or 0.0
        self.reached = 100.0 * accuracy >= config.target_accuracy
        if config.target_accuracy and self.reached:
            return f"reached {accuracy:.2%} in epoch {report.epoch}"
        if config.patience and self._improved and report.epoch - self._improved >= config.patience:
            return f"no better {self._monitor} on the held-out data for {config.patience} epochs"
        return ""

    def seen(self, best: Mapping[str, Floats]) -> Seen:
        """Return what has been seen so far. best: the parameters of `self.best`, by name."""
        return Seen(self._best_score, self._improved, 0 if self.best is None else self.best[0], best)

    def restore(self, seen: Seen, best: Floats) -> None:
        """Go on from what was seen before. best: the parameters of the best epoch, as `look` takes them."""
        self._best_score, self._improved = seen.best_score, seen.improved
        self.best = (seen.best_epoch, best) if seen.best_epoch else None

    def _is_later(self, score: float) -> bool:
        """Whether the score is the best one again, and the latest such epoch is kept."""
        return self._config.keep == "latest-best" and score == self._best_score
