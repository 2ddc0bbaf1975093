"""How much of a data set is not zero, and whether walking only that is faster than the dense loops.

What the zero-skipping loops cost grows with the density, what the dense ones cost does not. From some density on the
dense loops are faster; where that is, the batch and the processor decide (see `machine.blocks`).
"""

import numpy as np
import numpy.typing as npt

from jitnet.datasets.compressed import CompressedRows
from jitnet.machine.blocks import (
    SKIPPING_BELOW,
    SKIPPING_BELOW_IN_LARGE,
    SKIPPING_BELOW_IN_PREDICTION,
    SKIPPING_LARGE,
)

__all__ = ["density", "predicts_skipping", "trains_skipping", "used_columns"]


Images = npt.NDArray[np.uint8] | CompressedRows


def density(images: Images, samples: int = 1024) -> float:
    """Share of non-zero values in up to `samples` samples, spread evenly over all."""
    chosen = images[:: max(1, len(images) // samples)]
    if isinstance(chosen, CompressedRows):
        return chosen.density
    return float(np.count_nonzero(chosen)) / max(1, chosen.size)


def used_columns(images: Images, batch_size: int, samples: int = 1024) -> float:
    """Share of the inputs that any sample of a batch has, on average: from how often each is not, in up to
    `samples` samples, spread evenly over all."""
    chosen = images[:: max(1, len(images) // samples)]
    counts = chosen.column_counts() if isinstance(chosen, CompressedRows) else np.count_nonzero(chosen, axis=0)
    often = counts / max(1, len(chosen))
    return float(np.mean(1.0 - (1.0 - often) ** batch_size))


def trains_skipping(share: float, batch_size: int) -> bool:
    """Whether training on inputs of which this share is not zero is faster where the others are skipped."""
    return share < (SKIPPING_BELOW_IN_LARGE if batch_size >= SKIPPING_LARGE else SKIPPING_BELOW)


def predicts_skipping(images: npt.NDArray[np.uint8]) -> bool:
    """The same of predicting these images, by up to 64 of them."""
    return density(images, 64) < SKIPPING_BELOW_IN_PREDICTION
