"""Generated data for benchmarks: any size, any share of zeros, and classes that can be learned."""

import numpy as np

from jitnet.datasets.assemble import from_arrays
from jitnet.datasets.dataset import Dataset
from jitnet.errors import UsageError

__all__ = ["synthetic"]

ROWS_AT_ONCE = 4096


def synthetic(n: int, features: int, n_classes: int, seed: int, density: float = 1.0) -> Dataset:
    """Make n samples of uint8 noise around one random pattern per class, and a tenth as many to test on.

    density: the share of values that are not zero, 0 to 1; at 1.0 none is zero. The labels cycle through the classes.
    Takes 1.1 n features bytes. Raises UsageError for sizes below 1 (classes: 2) or a density outside 0..1.
    """
    for name, value, minimum in (("n", n, n_classes), ("features", features, 1), ("n_classes", n_classes, 2)):
        if value < minimum:
            raise UsageError(f"{name} is {value}; expected {minimum} or more")
    if not 0.0 <= density <= 1.0:
        raise UsageError(f"density is {density:g}; expected 0 to 1")
    rng = np.random.default_rng(seed)
    patterns = rng.integers(1, 128, (n_classes, features), np.uint8)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count, dtype=np.int64) % n_classes
        images = np.empty((count, features), np.uint8)
        for start in range(0, count, ROWS_AT_ONCE):
            rows = images[start : start + ROWS_AT_ONCE]
            np.add(patterns[labels[start : start + ROWS_AT_ONCE]], rng.integers(0, 128, rows.shape, np.uint8), out=rows)
            if density < 1.0:
                rows[rng.random(rows.shape, np.float32) >= density] = 0
        return images, labels

    train, test = draw(n), draw(max(n // 10, n_classes))
    return from_arrays(*train, *test, name="synthetic", class_names=[str(c) for c in range(n_classes)])
