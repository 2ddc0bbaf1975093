"""When a trial of a sweep is unpromising, and ends early."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from jitnet.training.history import EpochReport

__all__ = ["BelowMedian", "Curve", "best_so_far", "score_of"]

FEWEST = 4
"""Curves of other trials without which nothing is unpromising."""

FIRST = 0.25
"""Share of a run before which nothing is: its beginning says little about its end."""


@dataclass(frozen=True)
class Curve:
    """A finished trial: its best score so far after each epoch, and how many epochs it was to have."""

    best: tuple[float, ...]
    n_epochs: int

    def at(self, share: float) -> float | None:
        """The best score at a share of the run; None before the first epoch's end."""
        epochs = min(int(share * self.n_epochs + 1e-9), len(self.best))
        return self.best[epochs - 1] if epochs else None


@dataclass(frozen=True)
class BelowMedian:
    """Whether a run is unpromising: its best score so far is worse than the median of other trials' at the same share
    of their runs. Called with the reports so far, after each epoch.

    It depends on these trials alone, and not on what else runs meanwhile. score: as for `score_of`."""

    curves: tuple[Curve, ...]
    n_epochs: int
    score: str

    def __call__(self, reports: Sequence[EpochReport]) -> bool:
        share = len(reports) / self.n_epochs
        if not FIRST <= share < 1.0:
            return False
        others = [found for curve in self.curves if (found := curve.at(share)) is not None]
        if len(others) < FEWEST:
            return False
        own, median = best_so_far(reports, self.score)[-1], statistics.median(others)
        return own < median if self.score == "accuracy" else own > median


def score_of(report: EpochReport, score: str) -> float:
    """The held-out score of an epoch: its "accuracy" or its "loss"."""
    value: float | None = getattr(report, f"val_{score}")
    assert value is not None, "a sweep holds data out, and its score is one that these have"
    return value


def best_so_far(reports: Sequence[EpochReport], score: str) -> tuple[float, ...]:
    """The best score up to each epoch."""
    best: list[float] = []
    for report in reports:
        value = score_of(report, score)
        best.append(value if not best else max(best[-1], value) if score == "accuracy" else min(best[-1], value))
    return tuple(best)
