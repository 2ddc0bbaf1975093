"""How many times as fast one is as the other, with its uncertainty: of pairs timed in turn, or of separate samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Factor", "of_pairs", "of_ratios", "of_samples", "verdict"]

DOUBT = 0.01
"""Chance that the true factor is outside its range, where there are enough samples for that."""

UNSURE, CLEAR = 0.1, 0.2
"""Where the chance is larger than the first, with fewer than 5 pairs, only changes above the second are named."""

DEVIATIONS = 2.576
"""Standard deviations of a normal distribution beyond which, to both sides, DOUBT is left."""


@dataclass(frozen=True)
class Factor:
    """How many times as fast the second is as the first: 2 takes half the time, 0.5 twice the time.

    low, high: its range. samples: pairs, or samples of the side that has fewer. doubt: the chance that the true factor
    is outside the range, by the number of samples alone.
    """

    value: float
    low: float
    high: float
    samples: int
    doubt: float


def of_pairs(before_s: Sequence[float], after_s: Sequence[float]) -> Factor:
    """Return the factor of times that were measured in turn: the median of the ratios of neighbours.

    A slow moment of the machine affects both of a pair, and not their ratio. The range is that of the sign test: the
    two ratios, as many from each end, between which the median of all possible ones is, except for DOUBT. With fewer
    than 8 pairs it is the smallest and the largest ratio, and the doubt is larger.
    """
    return of_ratios([before / after for before, after in zip(before_s, after_s, strict=True)])


def of_ratios(ratios: Sequence[float], doubt: float = DOUBT) -> Factor:
    """Return the factor of ratios of pairs, as `of_pairs` does; doubt: the chance that it may be outside its range."""
    ordered = sorted(ratios)
    count = len(ordered)
    skipped, outside = 0, 2 * 0.5**count
    while (more := outside + 2 * math.comb(count, skipped + 1) * 0.5**count) <= doubt:
        skipped, outside = skipped + 1, more
    return Factor(median(ordered), ordered[skipped], ordered[-1 - skipped], count, min(1.0, outside))


def of_samples(before_s: Sequence[float], after_s: Sequence[float]) -> Factor:
    """Return the factor of times that were measured separately: the ratio of their medians.

    The range is that of the rank test (Hodges and Lehmann 1963): of the ratios of all samples of one to all of the
    other, those by which one may be multiplied without the test finding a difference.
    """
    ratios = sorted(before / after for before in before_s for after in after_s)
    a, b = len(before_s), len(after_s)
    skipped = max(0, math.floor(a * b / 2 - DEVIATIONS * math.sqrt(a * b * (a + b + 1) / 12)))
    value = median(before_s) / median(after_s)
    doubt = max(DOUBT, min(1.0, 2 / math.comb(a + b, a)))
    return Factor(value, min(value, ratios[skipped]), max(value, ratios[-1 - skipped]), min(a, b), doubt)


def verdict(factor: Factor, threshold: float) -> str:
    """Return "faster" or "slower" where the range excludes 1 and the factor differs from it by more than `threshold`
    (0.1: a tenth less or more time), or by more than CLEAR where there are few samples; else "same"."""
    if factor.doubt > UNSURE:
        threshold = max(threshold, CLEAR)
    time = 1 / factor.value - 1
    if factor.low > 1 and time < -threshold:
        return "faster"
    return "slower" if factor.high < 1 and time > threshold else "same"
