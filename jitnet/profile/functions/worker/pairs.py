"""How many times as fast one call is as another: both are timed in turn, and the factor gets an uncertainty."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

from jitnet.bench.factors import Factor, of_ratios
from jitnet.profile.functions.thresholds import GAIN

__all__ = ["DOUBT", "FEWEST", "factor_of", "time_in_turn"]

SAMPLE_S, WARM = 0.001, 20
"""Length of a sample where calls are shorter, so that reading the clock is negligible; and calls before the first."""

PARTS, LONG_S = 3, 0.01
"""Samples of each in a pair, of which the shortest counts, since another program can only add to it; and from which
length of both calls on there is only one."""

FEWEST, ENOUGH, MOST = 3, 7, 41
"""Pairs that are timed at least; from which on a clear factor ends the timing; and at most."""

CLEAR = 0.05
"""Width of the interval, as a share of the factor, below which more pairs would tell little."""

DOUBT = 0.05
"""The chance that the true factor is outside its interval."""


WIDER = {3: 1.0, 4: 0.3, 5: 0.05}
"""By which share of the distance between the smallest ratio and the largest, in logarithms, the interval of so few
pairs is wider at either end. Three pairs of equal calls are all on one side of 1 in a quarter of cases; with this, one
interval in twenty leaves 1 out, as Student's for a normal distribution."""


def factor_of(ratios: Sequence[float]) -> Factor:
    """Return the factor of pairs: its interval is that of the sign test, of fewer than six wider than all of them."""
    found = of_ratios(ratios, DOUBT)
    wider = (found.high / found.low) ** WIDER.get(len(ratios), 0.0)
    return replace(found, low=found.low / wider, high=found.high * wider)


def is_decided(factor: Factor) -> bool:
    """Whether more pairs would not change whether it is faster."""
    return factor.high < GAIN or (factor.low > 1.0 and factor.high - factor.low < CLEAR * factor.value)


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
        if len(ratios) >= ENOUGH and is_decided(factor_of(ratios)):
            break
        if len(ratios) == FEWEST and max(ratios) < 1 / GAIN:
            break  # clearly slower
    return factor_of(ratios)
