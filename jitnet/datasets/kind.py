"""Which kind of values a scaling is for, and whether given values can be of that kind.

A network takes values in the form that it was trained on: grey levels, fractions from 0 to 1, or values that are
standardised for each feature. In another form they would be scaled wrongly, and predictions be wrong without an error.
"""

import numpy as np

from jitnet.datasets.compressed import CompressedRows
from jitnet.datasets.dataset import Scaling

__all__ = ["MOST_APART", "form", "peak", "unlike"]

Images = np.ndarray | CompressedRows

MOST_APART = 4
"""Grey levels of one kind reach about the same peak: 15 and 16, or 200 and 255, but not 16 and 255."""

FAR = 8.0
"""In standard deviations. At most 1 training value in 64 is so far from the mean (Chebyshev)."""


def peak(scaling: Scaling) -> int:
    """The largest grey level where values are grey levels of a byte, else 0."""
    if np.ndim(scaling.scale) or np.ndim(scaling.offset) or not 1 / 256 < float(scaling.scale) < 1:
        return 0
    return round(1 / float(scaling.scale))


def form(scaling: Scaling, images: Images | None = None) -> str:
    """The kind of values in words; images: their range is included where values are standardised."""
    if levels := peak(scaling):
        return f"grey levels (0 to {levels})"
    if np.ndim(scaling.scale) == 0:
        return "values from 0 to 1"
    found = "" if images is None else f" ({images.min():.4g} to {images.max():.4g})"
    return f"values to be {'standardised' if np.ndim(scaling.offset) else 'scaled'} per feature{found}"


def unlike(scaling: Scaling, images: Images) -> str:
    """Why images, as stored, cannot be of the kind that `scaling` is for; empty where they can.

    images: (n, features), any real type, or `CompressedRows`. Values that are not finite are not checked here. Bytes
    are not even read where grey levels reach 64 and more: they always can be of that kind.
    """
    if np.ndim(scaling.scale) or np.ndim(scaling.offset):
        return "" if isinstance(images, CompressedRows) else _unlike_standardised(scaling, images)
    levels = peak(scaling)
    if scaling.offset != 0.0 or not (levels or scaling.scale == 1.0):
        return ""  # a scaling of the caller's choice
    limit = MOST_APART * levels if levels else 1.5
    if not images.size or (images.dtype == np.uint8 and limit >= 255):
        return ""
    low, high = float(images.min()), float(images.max())
    values = images.values if isinstance(images, CompressedRows) else images
    reason = ""
    if high > limit:
        reason = "too large"
    elif not levels and low < -0.5:
        reason = "standardised already, perhaps"
    elif levels and images.dtype != np.uint8:
        if low < 0.0 and high < levels / MOST_APART:
            reason = "standardised already, perhaps"
        elif low >= 0.0 and 0.0 < high <= 1.0 and (levels > MOST_APART or not (values == np.rint(values)).all()):
            reason = f"divided by {levels} already, perhaps"
    if not reason:
        return ""
    return f"the values, {low:.4g} to {high:.4g}, cannot be {form(scaling)}: {reason}"


def _unlike_standardised(scaling: Scaling, images: np.ndarray) -> str:
    with np.errstate(over="ignore", invalid="ignore"):
        deviations = np.abs((images.astype(np.float32) - np.float32(scaling.offset)) * np.float32(scaling.scale))
    if not images.size or np.count_nonzero(deviations > FAR) <= deviations.size / 2:
        return ""
    return (
        f"most of the values, {images.min():.4g} to {images.max():.4g}, are more than {FAR:g} standard deviations from "
        "the training data's mean: standardised already, or in another unit, perhaps"
    )
