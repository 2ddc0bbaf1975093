"""How far samples lie apart; apart from the records, so that whoever shows a figure need not load Numba for it."""

from collections.abc import Sequence
from statistics import median, quantiles

__all__ = ["spread"]


def spread(samples: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a share of the median; 0 for a single sample."""
    if len(samples) < 2:
        return 0.0
    low, _, high = quantiles(samples, n=4, method="inclusive")
    middle = median(samples)
    return (high - low) / 2 / middle if middle else 0.0
