"""How a step's time falls with threads, operation by operation, and what limits it."""

from collections.abc import Sequence
from dataclasses import dataclass

from jitnet.bench.figures import duration
from jitnet.profile.step.step_profile import Profile

__all__ = ["Scaling", "ScalingRow", "scaling_of"]

WAITING, STARTING, REST = "waiting for others", "starting and joining", "outside all regions"
"""Names of the rows that are not operations."""


@dataclass(frozen=True)
class ScalingRow:
    """One line's time on each count of threads.

    times_s: seconds of a step that it takes, the mean over its threads; None where that program has no such line.
    lost_s: its time at the most threads, minus the ideal: its time at the fewest, divided by the ratio of threads.
    """

    name: str
    shape: str
    threads: tuple[int, ...]
    times_s: tuple[float | None, ...]

    @property
    def lost_s(self) -> float:
        return (self.times_s[-1] or 0.0) - (self.times_s[0] or 0.0) * self.threads[0] / self.threads[-1]

    @property
    def speed_up(self) -> float | None:
        """Speed-up from the fewest threads to the most; None where one of the times is 0 or missing."""
        first, last = self.times_s[0], self.times_s[-1]
        return first / last if first and last else None

    @property
    def efficiency(self) -> float | None:
        """Speed-up as a share of the ideal."""
        return None if self.speed_up is None else self.speed_up * self.threads[0] / self.threads[-1]


@dataclass(frozen=True)
class Scaling:
    """threads: the counts, in order. step: the whole step, without a clock. rows: lines of the program, then waiting,
    starting and what is outside regions. stops: the row that loses most, None where none loses any. verdict: the same
    in words, and the operation that loses most where that row is not one."""

    threads: tuple[int, ...]
    step: ScalingRow
    rows: tuple[ScalingRow, ...]
    stops: ScalingRow | None
    verdict: str


def scaling_of(profiles: Sequence[Profile]) -> Scaling:
    """Compare two or more profiles of one training on different counts of threads.

    Raises ValueError for fewer, or where two have the same count.
    """
    found = sorted(profiles, key=lambda profile: profile.threads)
    threads = tuple(profile.threads for profile in found)
    if len(threads) < 2 or len(set(threads)) < len(threads):
        raise ValueError(f"scaling needs profiles on different counts of threads, found {threads}")
    lines = [{row.name: row for row in profile.rows} for profile in found]
    shapes = {name: row.shape for by_name in reversed(lines) for name, row in by_name.items()}
    rows = []
    for name, shape in shapes.items():
        times_s = tuple(by_name[name].median_s if name in by_name else None for by_name in lines)
        rows.append(ScalingRow(name, shape, threads, times_s))
    operations = len(rows)
    rows += [
        ScalingRow(WAITING, "", threads, tuple(profile.waiting_s for profile in found)),
        ScalingRow(STARTING, "", threads, tuple(profile.starting_s for profile in found)),
        ScalingRow(REST, "", threads, tuple(profile.rest_s for profile in found)),
    ]
    step = ScalingRow("whole step", "", threads, tuple(profile.step_s for profile in found))
    stops, operation = _largest_loss(rows), _largest_loss(rows[:operations])
    return Scaling(threads, step, tuple(rows), stops, _verdict(step, stops, operation))


def _largest_loss(rows: Sequence[ScalingRow]) -> ScalingRow | None:
    """Return the row that loses most, if it loses anything."""
    return max((row for row in rows if row.lost_s > 0.0), key=lambda row: row.lost_s, default=None)


def _verdict(step: ScalingRow, stops: ScalingRow | None, operation: ScalingRow | None) -> str:
    few, many = step.threads[0], step.threads[-1]
    times = f"{step.speed_up or 0.0:.2f} times as fast on {many} threads as on {few}"
    if stops is None:
        return f"{times}: no operation takes longer than its share."
    first_s, last_s = stops.times_s[0] or 0.0, stops.times_s[-1] or 0.0
    first = duration(first_s) if first_s else "nothing"
    share = f", where an even share is {duration(first_s * few / many)}" if first_s else ""
    of = f" of the {duration(step.lost_s)} that the step loses" if step.lost_s > stops.lost_s else ""
    others = f" Of the operations {operation.name} loses most, {duration(operation.lost_s)}." if operation else ""
    return (
        f"{times}. {stops.name} holds it back most: {first} of a step on {few}, {duration(last_s)} on {many}{share}. "
        f"That is {duration(stops.lost_s)}{of}.{others if operation is not stops else ''}"
    )
