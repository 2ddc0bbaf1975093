"""What the hints of a profile are: what was found, and what its remedy did."""

from dataclasses import dataclass

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.thresholds import SELDOM, is_gain

__all__ = ["WRONG", "Fix", "Hint", "Trial"]

WRONG = (Kind.RACE.value,)
"""Kinds of hints that say that the results are wrong, which come before all others."""


@dataclass(frozen=True)
class Trial:
    """What a hint's remedy did: a changed copy of the function was compiled, and both were timed in turn.

    change: what was changed, 'fastmath={"reassoc"}' or "the loops of lines 4 and 5 exchanged". factor: how many times
    as fast the copy is, the median over pairs of calls; low, high: an interval that has the true median with a
    probability of 95%. difference: the largest difference of a result, relative to the largest value of that result;
    0.0 where all values are equal, None where results cannot be compared.
    alike: whether the difference is no more than rounding. diff: the change of the source as a unified diff, "" where
    only an option of the decorator or an argument changes.
    """

    change: str
    factor: float
    low: float
    high: float
    difference: float | None
    diff: str = ""
    alike: bool = True

    @property
    def helps(self) -> bool:
        """Whether it shows a gain: the whole interval above 1, by 3% or more, with the same results."""
        return is_gain(self.factor, self.low, self.alike)


@dataclass(frozen=True)
class Fix:
    """What helps, combined, and measured so.

    changes: in words. trial: of all of them together. diff: a unified diff of the user's files, "" where the source is
    left as it is. remarks: what has to be done where the diff does not reach, a phrase each.
    """

    changes: tuple[str, ...]
    trial: Trial
    diff: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hint:
    """Something to change, at a place.

    kind: one of `hints.Kind`, by name. reason: what was found there, in one sentence. advice: what to do. share: of the
    call's time that it affects, None where that is not known. source: what it was found in: "types", "source", "machine
    code", "clock", "samples", "flags" or "a run in Python". trial: what its remedy did, None where it was not tried;
    untried: the reason for that.
    """

    kind: str
    place: Place
    reason: str
    advice: str
    source: str
    share: float | None = None
    trial: Trial | None = None
    untried: str = ""

    @property
    def shown(self) -> bool:
        """Whether it is worth reading: its remedy helps, or could not be tried where time is spent."""
        if self.trial is not None:
            return self.trial.helps
        return self.share is None or self.share >= SELDOM or self.kind in WRONG
