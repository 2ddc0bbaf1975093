"""How many times as fast one call is as another: both are timed in turn, and the factor gets an uncertainty."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, inf
from statistics import median

from jitnet.profile.functions.thresholds import GAIN

__all__ = ["FEWEST", "Factor", "factor_of", "time_in_turn"]

SAMPLE_S, WARM = 0.001, 20
"""Length of a sample where calls are shorter, so that reading the clock is negligible; and calls before the first."""

PARTS, LONG_S = 3, 0.01
"""Samples of each in a pair, of which the shortest counts, since another program can only add to it; and from which
length of both calls on there is only one."""

FEWEST, ENOUGH, MOST = 3, 7, 41
"""Pairs that are timed at least; from which on a clear factor ends the timing; and at most."""

CLEAR = 0.05
"""Width of the interval, as a share of the factor, below which more pairs would tell little."""

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Factor:
    """How many times as fast the second is: the median over pairs, and an interval that has the true median with a
    probability of 95% (from the shortest pair to the longest where there are fewer than six)."""

    factor: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether more pairs would not change whether it is faster."""
        return self.high < GAIN or (self.low > 1.0 and self.high - self.low < CLEAR * self.factor)


def factor_of(ratios: Sequence[float]) -> Factor:
    """Return the median of the ratios with its interval, which is between two of them: no distribution is assumed."""
    ordered = sorted(ratios)
    count = len(ordered)
    skipped, below = 0, 0.0
    # The chance that at most `skipped` of them are below the true median, as for a coin.
    while skipped < count // 2:
        below += comb(count, skipped) / 2**count
        if 2 * below > 1 - CONFIDENCE:
            break
        skipped += 1
    skipped = max(0, skipped - 1)
    return Factor(median(ordered), ordered[skipped], ordered[count - 1 - skipped])


def time_in_turn(
    first: Callable[[int], float],
    second: Callable[[int], float],
    budget_s: float,
    heartbeat: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Factor | None:
    """Return how many times as fast `second` is; None where three pairs do not fit into the budget.

    first, second: make so many calls and return the seconds of one. They take turns, and every other pair begins with
    the second, so that a slow moment of the machine affects both. heartbeat: called after each pair.
    """
    begin = clock()
    both = (first, second)
    once = [call(1) for call in both]
    if (FEWEST - 1) * sum(once) > budget_s - (clock() - begin):
        return None
    if sum(once) < SAMPLE_S:
        # A single call may have been disturbed: it decides how many calls a sample has.
        once = [min(call(1) for _ in range(WARM)) for call in both]
    repeats = [max(1, min(10_000, round(SAMPLE_S / max(s, 1e-8)))) for s in once]
    parts = PARTS if sum(once) < LONG_S else 1
    ratios: list[float] = []
    longest = 0.0
    while len(ratios) < MOST:
        at = clock()
        if len(ratios) >= FEWEST and at - begin + longest > budget_s:
            break
        taken = [inf, inf]
        for which in (0, 1) if len(ratios) % 2 == 0 else (1, 0):
            taken[which] = min(both[which](repeats[which]) for _ in range(parts))
        ratios.append(taken[0] / max(taken[1], 1e-12))
        longest = max(longest, clock() - at)
        heartbeat()
        if len(ratios) >= ENOUGH and factor_of(ratios).decided:
            break
        if len(ratios) == FEWEST and max(ratios) < 1 / GAIN:
            break  # clearly slower
    return factor_of(ratios)
