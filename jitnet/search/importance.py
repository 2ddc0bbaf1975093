"""How much each searched setting matters for the score of a sweep's trials."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["by_rank", "importances"]

FEWEST = 6
"""Trials with a score without which an importance says nothing."""


def importances(study: "Study") -> tuple[dict[str, float], str]:
    """Return each setting's share of what the settings explain, from the largest, and how it was found; nothing where
    too few trials are finished, or all have the same score.

    With scikit-learn it is fANOVA's, of random forests; without it that of `by_rank`."""
    from optuna.trial import TrialState

    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    names = [
        name for name, distribution in (trials[0].distributions if trials else {}).items() if not distribution.single()
    ]
    scores = [trial.value for trial in trials if trial.value is not None]
    if len(scores) < FEWEST or len(set(scores)) < 2 or not names:
        return {}, ""
    found, how = _of_forests(study, names), "fANOVA"
    if found is None:
        found = {name: by_rank([trial.params[name] for trial in trials], scores) for name in names}
        how = "rank correlation, or for choices the share of variance"
    total = sum(found.values())
    shares = {name: value / total if total else 0.0 for name, value in found.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1])), how


def _of_forests(study: "Study", names: Sequence[str]) -> dict[str, float] | None:
    """fANOVA's importances; None where it is not there, or fails."""
    try:
        from optuna.importance import FanovaImportanceEvaluator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = FanovaImportanceEvaluator(seed=0).evaluate(study, params=list(names))
    except (ImportError, RuntimeError, ValueError):
        return None
    return {name: float(value) for name, value in found.items()}


def by_rank(values: Sequence[object], scores: Sequence[float]) -> float:
    """How much of the scores' ranks a setting explains, from 0 to 1: of numbers the square of the rank correlation, of
    anything else the variance between its values as a share of all."""
    ranks = _ranks(np.array(scores, np.float64))
    spread = ranks - ranks.mean()
    total = float((spread**2).sum())
    if total == 0.0:
        return 0.0
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        other = _ranks(np.array(values, np.float64))
        other -= other.mean()
        extent = float((other**2).sum())
        return float((spread * other).sum()) ** 2 / (total * extent) if extent else 0.0
    groups: dict[object, list[float]] = {}
    for value, each in zip(values, spread.tolist(), strict=True):
        groups.setdefault(value, []).append(each)
    return sum(len(group) * float(np.mean(group)) ** 2 for group in groups.values()) / total


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, that of equal ones their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2.0)[places]
