"""What became faster or slower between two profiles kept in files: the bench's rank test, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from jitnet.bench.comparison import Change, Pair, changes_of
from jitnet.bench.records import WITHOUT_LOSS
from jitnet.errors import UsageError
from jitnet.profile.document import Document

__all__ = ["THRESHOLD", "Comparison", "compare"]

THRESHOLD = 0.1
"""Share of its median by which a row must have changed."""

BLOCKS = 25
"""Samples of a row that are tested at the most. Steps that follow one another are alike, for the machine's slow moments
last longer than a step; a rank test, which takes samples for independent, would be too sure. So neighbours are put
together, and the median of each lot is one sample."""


@dataclass(frozen=True)
class Comparison:
    """changes: of the rows that both have, in the order of the second. notices: what a reader should know, a sentence
    each: another machine, rows that only one of both has."""

    changes: tuple[Change, ...]
    notices: tuple[str, ...]


def compare(before: Document, after: Document, threshold: float = THRESHOLD, option: str = "--compare") -> Comparison:
    """What changed from one document to another, of training steps or of functions.

    A row is slower where its median grew by more than `threshold` (0.1 is 10%) and the rank test is sure of it. Raises
    UsageError where both are not of the same thing: it names the first difference.
    """
    both = f"{option} {before.path} {after.path}"
    if before.format != after.format:
        raise UsageError(f"{both}: one is of the form {before.format!r}, the other {after.format!r}; give two of one")
    for name in dict.fromkeys([*before.settings, *after.settings]):
        old, new = (one.settings.get(name, WITHOUT_LOSS.get(name, "nothing")) for one in (before, after))
        if old != new:
            raise UsageError(f"{both}: {name} is {old} in one and {new} in the other; measure the same in both")
    shared = [key for key in after.samples_s if key in before.samples_s]
    if not shared:
        raise UsageError(f"{both}: no row is in both, at the same threads; measure the same in both")
    pairs = [Pair(*key, _lots(before.samples_s[key]), _lots(after.samples_s[key])) for key in shared]
    notices = []
    if before.cpu != after.cpu:
        notices.append(f"{before.path} was measured on another machine, {before.cpu}; {after.path} on {after.cpu}")
    for one, other in ((before, after), (after, before)):
        alone = [
            f"{name} ({_threads(threads)})"
            for name, shape, threads in one.samples_s
            if (name, shape, threads) not in other.samples_s
        ]
        if alone:
            notices.append(f"only in {one.path}: {', '.join(alone)}")
    return Comparison(tuple(changes_of(pairs, threshold)), tuple(notices))


def _lots(samples_s: Sequence[float]) -> list[float]:
    """Medians of neighbouring samples, BLOCKS of them; the samples themselves where there are no more."""
    count = min(BLOCKS, len(samples_s))
    bounds = [len(samples_s) * place // count for place in range(count + 1)]
    return [median(samples_s[first:last]) for first, last in pairwise(bounds)]


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"
