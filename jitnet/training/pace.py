"""On how many threads the next steps run, chosen by how long the steps before took.

The bits do not depend on the threads, so a run may change their number whenever it likes. It begins on a count that an
estimate says is sensible, and tries others for a few chunks of steps each: twice as many, up to all, until two counts
that are more than the fastest are clearly slower; half as many while that is not clearly slower; and then counts in the
middle between the fastest and its neighbours. All trials together take at most a twentieth of the run, so a short run
tries less.

The fastest goes on until it becomes slower than another was: another process may use the cores now. The other count is
then tried again, for that process may slow it down as well, and takes over where it is faster now. Now and then another
count is tried again without such a reason, for the other process may have ended.
"""

import math
from collections import deque
from statistics import median

__all__ = ["Pace"]

CHUNK_S = 0.03
"""Seconds that a chunk of steps should take."""

TRIAL_S = 0.01
"""The same while counts are tried. Chunks of less than half of it tell more of cold caches and waking threads, and do
not count; the first on another count is a quarter of it, so that it warms up, and is short where the count is bad."""

TRIALS = 3
"""Chunks of each count before it is judged; what a step takes is their median, and later that of its last ones."""

SHARE = 0.05
"""Share of a run's time that may be spent on counts other than the fastest."""

CLEARLY = 0.97
"""Share of its time below which another count takes the place of the one at hand: a change leaves the caches cold."""

HOPELESS = 1.3
"""Ratio to the fastest from which two chunks are enough of a trial."""

SLOWER = 2
"""Counts above the fastest that must be clearly slower before no more are tried by doubling: one may be slow by
chance, or because it divides the work badly where twice as many do not."""

AGAIN = 32
"""Chunks, about a second, after which another count is tried again. Where it took longer by some ratio, its third power
times as many: a trial of what is four times as slow must be rare."""


class Pace:
    """Counts of threads from `least` to `most`, and what a step takes on those that were tried.

    steps: of the whole run. first: where it begins. threads, chunk_steps: what the next chunk runs on, and its length.
    best: the count that is chosen so far; where threads is another, that one is being tried. settled: whether trials
    have ended, for the time being, with one that is chosen.
    """

    def __init__(self, steps: int, first: int, most: int, least: int = 1) -> None:
        self._left, self._least, self._most = steps, least, most
        self.best = self.threads = first
        self.chunk_steps = 1
        self.settled = least == most
        self._times: dict[int, deque[float]] = {first: deque(maxlen=TRIALS)}
        self._waited = {first: 0}
        self._fresh = 0  # chunks that count, of the trial at hand
        self._spent_s = self._trial_s = 0.0

    @property
    def chooses(self) -> bool:
        """Whether there is more than one count to choose from."""
        return self._least < self._most

    @property
    def tried(self) -> dict[int, float]:
        """Seconds that a step takes on each count that was tried, in the order of their first trial."""
        return {count: median(times) for count, times in self._times.items() if times}

    def note(self, steps: int, called_s: float, spent_s: float) -> None:
        """Note what the last chunk took, and choose what the next one runs on.

        called_s: seconds in compiled code, by which counts are judged. spent_s: with all that was done beside it.
        """
        before = self.threads
        self._left -= steps
        self._spent_s += spent_s
        self._trial_s += spent_s * (before != self.best)
        if called_s >= TRIAL_S / 2:
            self._times[before].append(called_s / steps)
            self._fresh += 1
        self._waited = {count: 0 if count == before else chunks + 1 for count, chunks in self._waited.items()}
        self.threads = self._choose() if self.chooses else before
        if self.threads == before:
            chunk_s = CHUNK_S if before == self.best and self.settled else TRIAL_S
            fitting = math.ceil(steps * chunk_s / max(spent_s, 1e-6))
            self.chunk_steps = max(1, min(4 * self.chunk_steps, fitting))
        else:
            self._times.setdefault(self.threads, deque(maxlen=TRIALS))
            self._waited[self.threads] = self._fresh = 0
            self.chunk_steps = max(1, int(TRIAL_S / 4 / self.tried[self.best]))

    def _choose(self) -> int:
        if len(self._times[self.best]) < TRIALS:
            return self.best
        if self.threads != self.best and self._goes_on():
            return self.threads
        tried = self.tried
        fastest = min(tried, key=lambda count: tried[count])
        if tried[fastest] < CLEARLY * tried[self.best]:
            # A figure from long ago may be of a better moment for all: such a count is tried again first.
            if self._waited[fastest] > TRIALS + 1 and self._affords(fastest):
                return fastest
            self.best = fastest
        candidate = self._untried(tried) or self._due(tried)
        if candidate and self._affords(candidate):
            return candidate
        self.settled = True
        return self.best

    def _goes_on(self) -> bool:
        """Whether the trial at hand has more to find out."""
        latest = list(self._times[self.threads])[-self._fresh :] if self._fresh else []
        hopeless = len(latest) > 1 and min(latest) > HOPELESS * self.tried[self.best]
        return len(latest) < TRIALS and not hopeless and self._affords(self.threads)

    def _affords(self, count: int) -> bool:
        """Whether another chunk on a count fits into the share: even if it takes as long as fewer threads may make it,
        and what is left of the run becomes as short as more may make that."""
        least_s, ratio = min(self.tried.values()), self.best / count
        chunk_s = 1.25 * max(TRIAL_S, least_s * max(1.0, ratio))
        return self._trial_s + chunk_s <= SHARE * (self._spent_s + self._left * least_s * min(1.0, ratio))

    def _untried(self, tried: dict[int, float]) -> int:
        """The count to try next, 0 where the fastest is found."""
        fastest = min(tried, key=lambda count: tried[count])
        near = tried[fastest] / CLEARLY
        low, high = min(tried), max(tried)
        if high < self._most and sum(tried[count] > near for count in tried if count > fastest) < SLOWER:
            return min(2 * high, self._most)
        if low > self._least and tried[low] <= near:
            return max(low // 2, self._least)
        # A neighbour that is about as fast and not far has nothing between that is much faster.
        counts = sorted(tried)
        place = counts.index(fastest)
        gaps = [
            (abs(fastest - other), (fastest + other) // 2)
            for other in (*counts[:place][-1:], *counts[place + 1 :][:1])
            if tried[other] > near or abs(fastest - other) > fastest / 4
        ]
        gap, middle = max(gaps, default=(0, 0))
        return middle if gap > 1 else 0

    def _due(self, tried: dict[int, float]) -> int:
        """The count to try again, 0 where it is too early."""
        others = [count for count in tried if count != self.best]
        if min((self._waited[count] for count in others), default=0) < AGAIN:
            return 0
        overdue = {
            count: self._waited[count] / (AGAIN * max(1.0, tried[count] / tried[self.best]) ** 3) for count in others
        }
        longest = max(others, key=lambda count: overdue[count])
        return longest if overdue[longest] >= 1.0 else 0
