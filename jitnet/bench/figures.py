"""Figures of samples, times in words, and counts of threads: what also those need that may not load Numba."""

from collections.abc import Sequence
from statistics import median, quantiles

__all__ = ["all_counts", "duration", "spread", "threads_text", "three_digits"]

EVERY_UP_TO = 4
"""Counts of threads up to this one are all measured."""

UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def spread(samples: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a share of the median; 0 for a single sample."""
    if len(samples) < 2:
        return 0.0
    low, _, high = quantiles(samples, n=4, method="inclusive")
    middle = median(samples)
    return (high - low) / 2 / middle if middle else 0.0


def duration(seconds: float) -> str:
    """A time with about three digits, in a unit that suits: "1.25 s", "40.0 µs", "3 ns"."""
    for size, unit in UNITS:
        if seconds >= size:
            return f"{three_digits(seconds / size)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def three_digits(amount: float) -> str:
    """A number of any size with about three digits: "1.25", "40.0", "1,250"."""
    return f"{amount:,.{0 if amount >= 100 else 1 if amount >= 10 else 2}f}"


def threads_text(count: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{count} thread{'s' * (count != 1)}"


def all_counts(cores: int) -> tuple[int, ...]:
    """Counts of threads that stand for all: each up to 4, then powers of two, and the number of cores."""
    powers = {2**power for power in range(cores.bit_length())}
    return tuple(sorted(count for count in {*range(1, EVERY_UP_TO + 1), *powers, cores} if count <= cores))
