"""What a data set is: images as stored, labels, names of classes, and how values become network inputs."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from jitnet.errors import DataError, UsageError

__all__ = ["Dataset", "Progress", "Scaling", "Split", "stratified_split"]

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, the bytes done, and the bytes in all (None where unknown)."""


@dataclass(frozen=True, eq=False)
class Scaling:
    """How a stored value becomes a network input: (value - offset) * scale.

    Each of the two is one number for all features, or a float32 array of shape (features,).
    """

    offset: float | np.ndarray = 0.0
    scale: float | np.ndarray = 1.0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scaling):
            return NotImplemented
        return np.array_equal(self.offset, other.offset) and np.array_equal(self.scale, other.scale)

    def reach(self, images: np.ndarray) -> np.ndarray:
        """The largest magnitude that each feature of stored images has as an input, (features,) in float64."""
        low, high = (extreme.astype(np.float64) for extreme in (images.min(axis=0), images.max(axis=0)))
        return np.maximum(np.abs(low - self.offset), np.abs(high - self.offset)) * self.scale


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their classes.

    images: (n, features), C-contiguous, uint8 or float32, as stored: not scaled.
    labels: (n,) int64, each in 0 .. n_classes - 1.
    scaling: how its values become inputs; a `Dataset` hands its own on. None where nobody said.
    """

    images: np.ndarray
    labels: np.ndarray
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready for training.

    name: what it is called; source: where it came from, for people.
    test: None where the source held training data alone.
    class_names: one name a class, in the order of the labels.
    image_shape: (height, width) of a sample, None where samples are not grey images.
    notice: a line that the user should see (a fall-back that was taken), or empty.
    """

    name: str
    train: Split
    test: Split | None
    class_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    scaling: Scaling
    source: str
    notice: str = ""

    def __post_init__(self) -> None:
        # A split that is used alone, to judge a model by, still tells what form its values have.
        object.__setattr__(self, "train", replace(self.train, scaling=self.scaling))
        if self.test is not None:
            object.__setattr__(self, "test", replace(self.test, scaling=self.scaling))

    @property
    def test_or_train(self) -> Split:
        """The split to judge a model by: the test split, or where there is but one the training split."""
        return self.train if self.test is None else self.test

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def in_features(self) -> int:
        """Values in one sample."""
        return int(self.train.images.shape[1])

    @cached_property
    def checksum(self) -> str:
        """SHA-256 (hex) over names, types, shapes and bytes of all arrays, made when first asked for."""
        digest = hashlib.sha256()
        for name, split in (("train", self.train), ("test", self.test)):
            if split is not None:
                for part, array in (("images", split.images), ("labels", split.labels)):
                    digest.update(f"{name}_{part} {array.dtype.str} {array.shape};".encode())
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def stratified_split(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Part a split in two: (the rest, the share `fraction` held out), with each class in its share.

    The held-out part has round(fraction * n) samples; within a class the choice depends on the seed alone, so it is
    the same everywhere. Both parts keep the samples' order and are copies.
    Raises UsageError where fraction is not between 0 and 1, DataError where one part would be empty.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the share to hold out is {fraction:g}; it must lie between 0 and 1, 0.1 for example")
    n = len(split)
    total = round(fraction * n)
    if not 0 < total < n:
        raise DataError(f"holding out {fraction:g} of {n} samples leaves a part empty; use another share or more data")
    counts = np.bincount(split.labels)
    quota = counts * (total / n)
    take = np.floor(quota).astype(np.int64)
    # The samples left over by rounding down go to the classes that lost most by it.
    take[np.argsort(take - quota, kind="stable")[: total - int(take.sum())]] += 1

    order = np.lexsort((_hashes(seed, n), split.labels))
    first = np.cumsum(counts) - counts
    rank = np.arange(n) - first[split.labels[order]]
    held = np.zeros(n, bool)
    held[order] = rank < take[split.labels[order]]

    def part(chosen: np.ndarray) -> Split:
        return Split(split.images[chosen], split.labels[chosen], split.scaling)

    return part(~held), part(held)


def _hashes(seed: int, n: int) -> np.ndarray:
    """(n,) uint64: splitmix64 of (seed, index), so that the choice does not hang on a library's generator."""
    golden, full = 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF
    z = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(golden) + np.uint64(seed * 0xD1342543DE82EF95 & full)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
