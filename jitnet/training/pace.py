"""On how many threads the next steps run, chosen by how long the steps before took.

The bits do not depend on the threads, so a run may change their number whenever it likes. The first chunks of a run try
each count in turn. Then the fastest goes on, until it becomes slower than another was: another process may use the
cores now. The other count is then tried again, for that process may slow it down as well, and takes over where it is
faster now. Now and then another count is tried without such a reason, for the other process may have ended.
"""

from collections import deque
from collections.abc import Sequence
from statistics import median

__all__ = ["Pace", "counts_to_try"]

TRIALS = 3
"""Chunks of each count before one is chosen; what it takes is their median, and later that of its last ones."""

CLEARLY = 0.97
"""Share of its time below which another count takes the place of the one at hand: a change leaves the caches cold."""

AGAIN = 32
"""Chunks, about a second, after which another count is tried again. Where it took longer by some ratio, its third power
times as many: a trial of what is four times as slow must be rare."""


def counts_to_try(threads: int) -> tuple[int, ...]:
    """Powers of two below `threads`, and that itself."""
    return (*(1 << power for power in range(threads.bit_length()) if 1 << power < threads), threads)


class Pace:
    """Counts of threads, and what a step takes on each.

    counts: to choose from; the last is where a run begins. threads: what the next chunk runs on. settled: whether every
    count has been tried, so that one was chosen.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self._counts = tuple(counts)
        self._times: dict[int, deque[float]] = {count: deque(maxlen=TRIALS) for count in self._counts}
        self._waited: dict[int, int] = dict.fromkeys(self._counts, 0)
        self._best = self.threads = self._counts[-1]
        self.settled = len(self._counts) == 1

    @property
    def chooses(self) -> bool:
        """Whether there is more than one count to choose from."""
        return len(self._counts) > 1

    @property
    def trying(self) -> bool:
        """Whether a count is being tried."""
        return self.chooses and any(len(times) < TRIALS for times in self._times.values())

    def step_s(self) -> dict[int, float]:
        """Seconds that a step takes on each count that was tried; the one that runs first."""
        known = {count: median(times) for count, times in self._times.items() if times}
        return dict(sorted(known.items(), key=lambda pair: (pair[0] != self._best, pair[0])))

    def note(self, step_s: float) -> None:
        """Note what a step of the last chunk took, and choose what the next one runs on."""
        self._times[self.threads].append(step_s)
        for count in self._counts:
            self._waited[count] = 0 if count == self.threads else self._waited[count] + 1
        if not self.trying:
            self.settled = True
            self._choose()
        if self.trying:
            self.threads = min(self._counts, key=lambda count: (len(self._times[count]), -count))

    def _choose(self) -> None:
        times = {count: median(taken) for count, taken in self._times.items()}
        fastest = min(self._counts, key=lambda count: times[count])
        if times[fastest] < CLEARLY * times[self._best]:
            if self._waited[fastest] > TRIALS * len(self._counts):
                self._times[fastest].clear()
            else:
                self._best = fastest
        self.threads = self._best
        for count in self._counts:
            ratio = max(1.0, times[count] / times[self._best])
            if count != self._best and self._waited[count] >= AGAIN * ratio**3:
                self._times[count].clear()
