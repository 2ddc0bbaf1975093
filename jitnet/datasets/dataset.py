"""What a data set is: images as stored, labels or numbers, their names, and how values become network inputs."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from jitnet.datasets.compressed import CompressedRows
from jitnet.errors import DataError, UsageError
from jitnet.kernels import splitmix
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Table

__all__ = ["Dataset", "Given", "Progress", "Scaling", "Split", "held_out_rows", "is_shape", "stratified_split"]

DRAWS = 16
"""Divisions of groups that are compared."""

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, the bytes done, and the total bytes (None where unknown)."""


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

    @property
    def keeps_zeros(self) -> bool:
        """Whether a zero as stored is a zero as an input."""
        return not np.any(self.offset)

    def reach(self, images: np.ndarray | CompressedRows) -> np.ndarray:
        """The largest magnitude that each feature of stored images has as an input, (features,) in float64."""
        low, high = (extreme.astype(np.float64) for extreme in (images.min(axis=0), images.max(axis=0)))
        return np.maximum(np.abs(low - self.offset), np.abs(high - self.offset)) * self.scale


@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their classes, or the numbers to predict from them.

    images: (n, features), C-contiguous, uint8 or float32, as stored: not scaled; or `CompressedRows`, of which only
    what is not zero is stored, and of which no array of all numbers is made.
    labels: (n,) int64, each in 0 .. n_classes - 1; empty where targets are numbers.
    scaling: how its values become inputs; class_names, target_names: one name per class or target. A `Dataset` sets
    them in its splits; None where they are not known.
    targets: (n, n_targets) float64, as stored: not standardised; or bool, of labels each yes or no; None where the
    samples have classes.
    table, rows: where the samples are rows of a table, that table, and (n,) int64, which row of it each sample is;
    preparation: what made `images` of them.
    groups: (n,) int64, samples of one number stay on one side where some are held out. times: (n,) numbers by which the
    latest are held out.
    weights: (n,) float64, how much each sample counts in the loss beside the others; None where all count alike.
    """

    images: np.ndarray | CompressedRows
    labels: np.ndarray
    scaling: Scaling | None = None
    class_names: tuple[str, ...] | None = None
    targets: np.ndarray | None = None
    target_names: tuple[str, ...] | None = None
    table: Table | None = None
    rows: np.ndarray | None = None
    preparation: Preparation | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels) if self.targets is None else len(self.targets)

    def place(self, sample: int) -> str:
        """Where a sample is, for people: "line 12" or "row 10 (from 0)" of a table, or "#10"."""
        if self.table is None or self.rows is None:
            return f"#{sample}"
        return self.table.row_in_words(int(self.rows[sample]))

    def take(self, rows: np.ndarray) -> "Split":
        """A copy of some samples; rows: indices, or a mask."""
        # Where targets are numbers, labels are empty.
        names = [name for name in _BY_SAMPLE if name != ("labels" if self.targets is not None else "targets")]
        return replace(self, **{name: value[rows] for name in names if (value := getattr(self, name)) is not None})

    @property
    def target(self) -> str:
        """What a target is: "class", "label" for yes or no, or "number"."""
        return "class" if self.targets is None else "label" if self.targets.dtype == np.bool_ else "number"

    @property
    def strata(self) -> np.ndarray:
        """(n,) int64: each sample's stratum for a stratified split. The classes; of labels those that have the same;
        for numbers one stratum."""
        if self.targets is None:
            return self.labels
        if self.target == "label":
            return np.unique(self.targets, axis=0, return_inverse=True)[1].reshape(-1)
        return np.zeros(len(self), np.int64)

    def in_words(self, row: int) -> str:
        """A sample's class by name, those of its labels that are yes, or its numbers."""
        if self.targets is not None and self.target == "label":
            names = self.target_names or tuple(map(str, range(self.targets.shape[1])))
            return ", ".join(name for name, yes in zip(names, self.targets[row], strict=True) if yes) or "none"
        if self.targets is not None:
            return ", ".join(f"{number:.4g}" for number in self.targets[row])
        label = int(self.labels[row])
        return self.class_names[label] if self.class_names else str(label)


_BY_SAMPLE = ("images", "labels", "targets", "weights", "rows", "groups", "times")
"""The fields of a split with an entry for each sample."""


@dataclass(frozen=True, eq=False)
class Given:
    """What scaling was determined from, besides the rows: enough to determine it again from fewer of them.

    factor: a stored value is the source's times this, 255 where fractions k/255 are stored as bytes. fractions: whether
    values from 0 to 1 are fractions even if all are whole, as in an array of floats. image_shape: (height, width) of
    the source or the caller, None where neither has one. scaling, target_scaling: the result.
    """

    factor: float
    fractions: bool
    image_shape: tuple[int, int] | None
    scaling: Scaling
    target_scaling: Scaling | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set ready for training.

    name: its name; source: where it came from, in words.
    test: None where the source had only training data.
    class_names: one name per class, in the order of the labels; empty where targets are numbers or yes/no labels.
    image_shape: (height, width) of a sample, None where samples are not grey images.
    notice: a line that the user should see (a fallback that was used), or empty.
    given: what `scaling` was determined from; None where the caller chose it.
    target_names: one name per target, where targets are numbers or yes/no labels. target_scaling: how numbers become
    what a network is trained on, each of the two (n_targets,) float64; a loss that needs another one finds it.
    preparation: where samples are rows of a table, what its columns become; the values are then inputs as they are.
    decisions: lines that say what was taken for what, and why, such as the target, and which rows are held out.
    fold: which fold of a cross-validation is tested on, see `folds.Fold`; "" where it is none.
    """

    name: str
    train: Split
    test: Split | None
    class_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    scaling: Scaling
    source: str
    notice: str = ""
    given: Given | None = None
    target_names: tuple[str, ...] = ()
    target_scaling: Scaling | None = None
    preparation: Preparation | None = None
    decisions: tuple[str, ...] = ()
    fold: str = ""

    def __post_init__(self) -> None:
        # A split that is used alone, to evaluate a model on, still has its values' form and its classes.
        of_classes = self.target == "class"
        names, targets = (self.class_names, None) if of_classes else (None, self.target_names)
        for name, split in (("train", self.train), ("test", self.test)):
            if split is not None:
                object.__setattr__(
                    self, name, replace(split, scaling=self.scaling, class_names=names, target_names=targets)
                )

    @property
    def test_or_train(self) -> Split:
        """The split to evaluate a model on: the test split, or the training split where there is no other."""
        return self.train if self.test is None else self.test

    @property
    def table(self) -> Table | None:
        """The table whose rows the training samples are; None where they are no rows of a table."""
        return self.train.table

    @property
    def task(self) -> str:
        """What the data are for: "classify", or "regress" where targets are numbers."""
        return "regress" if self.target == "number" else "classify"

    @property
    def target(self) -> str:
        """What a target is: "class", "label" for yes or no, or "number"."""
        return self.train.target

    @property
    def n_classes(self) -> int | None:
        """Number of classes; None where targets are numbers or yes/no labels."""
        return len(self.class_names) if self.target == "class" else None

    @property
    def n_targets(self) -> int | None:
        """Numbers or yes/no labels to predict from a sample; None where samples have classes."""
        return None if self.train.targets is None else int(self.train.targets.shape[1])

    @property
    def in_features(self) -> int:
        """Values in one sample."""
        return int(self.train.images.shape[1])

    def without_test(self) -> "Dataset":
        """The same without test data; its checksum is still that of the whole."""
        rest = replace(self, test=None)
        rest.__dict__["checksum"] = self.checksum
        return rest

    @cached_property
    def checksum(self) -> str:
        """SHA-256 (hex) over names, types, shapes and bytes of all arrays, computed at the first use; of a table over
        its raw columns, whatever they become."""
        digest = hashlib.sha256()
        for name, split in (("train", self.train), ("test", self.test)):
            if split is not None and split.table is not None and split.rows is not None:
                digest.update(f"{name}_rows {split.rows.shape};".encode() + np.ascontiguousarray(split.rows).data)
                if split is self.train or split.table is not self.train.table:
                    _digest_table(digest, split.table)
            elif split is not None:
                outcome = ("labels", split.labels) if split.targets is None else ("targets", split.targets)
                weights = [] if split.weights is None else [("weights", split.weights)]
                for part, array in (("images", split.images), outcome, *weights):
                    digest.update(f"{name}_{part} {array.dtype.str} {array.shape};".encode())
                    for numbers in array.arrays if isinstance(array, CompressedRows) else (array,):
                        digest.update(np.ascontiguousarray(numbers).data)
        return digest.hexdigest()


def _digest_table(digest: "hashlib._Hash", table: Table) -> None:
    for column in table.columns:
        digest.update(f"{column.name} {column.kind} {column.values.shape} {column.words};".encode("utf-8", "replace"))
        digest.update(np.ascontiguousarray(column.values).view(np.uint8).data)


def is_shape(image_shape: object, pixels: int) -> bool:
    """Whether this is a (height, width) of so many pixels."""
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) != 2:
        return False
    whole = all(isinstance(extent, (int, np.integer)) and extent > 0 for extent in image_shape)
    return whole and math.prod(image_shape) == pixels


def stratified_split(split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Divide a split in two: (the rest, the share `fraction` held out), stratified by class where there are classes.

    The held-out part has round(fraction * n) samples; within a class the choice depends only on the seed, so it is the
    same everywhere. Both parts keep the samples' order and are copies.
    Raises UsageError where fraction is not between 0 and 1, DataError where one part would be empty.
    """
    held = held_out_rows(split, fraction, seed)
    return split.take(~held), split.take(held)


def held_out_rows(split: Split, fraction: float, seed: int) -> np.ndarray:
    """(n,) bool, True for the samples that `stratified_split` holds out; raises as it does.

    Where the samples have times, these are the latest; where they have groups, whole groups. Then there may be some
    more or fewer of them.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the share to hold out is {fraction:g}; it must be between 0 and 1, 0.1 for example")
    n = len(split)
    total = round(fraction * n)
    if not 0 < total < n:
        samples = f"{n} sample{'s' * (n != 1)}"
        raise DataError(f"holding out {fraction:g} of {samples} leaves a part empty; use another share or more data")
    if split.times is not None:
        return _latest(split.times, total)
    if split.groups is not None:
        return _whole_groups(split.groups, split.strata, total, seed)
    strata = split.strata
    counts = np.bincount(strata)
    quota = counts * (total / n)
    take = np.floor(quota).astype(np.int64)
    # The samples left over by rounding down are added to the classes that lost most by it.
    take[np.argsort(take - quota, kind="stable")[: total - int(take.sum())]] += 1

    order = np.lexsort((hashes(seed, n), strata))
    first = np.cumsum(counts) - counts
    rank = np.arange(n) - first[strata[order]]
    held = np.zeros(n, bool)
    held[order] = rank < take[strata[order]]
    return held


def _latest(times: np.ndarray, total: int) -> np.ndarray:
    """(n,) bool, True for about the `total` latest; samples of one time stay together."""
    cut = np.sort(times)[len(times) - total]
    later = [held for held in (times >= cut, times > cut) if 0 < np.count_nonzero(held) < len(times)]
    if not later:
        raise DataError("all rows have the same time, so none are the latest to hold out; name another column of times")
    return min(later, key=lambda held: abs(int(np.count_nonzero(held)) - total))


def _whole_groups(groups: np.ndarray, strata: np.ndarray, total: int, seed: int) -> np.ndarray:
    """(n,) bool, True for whole groups of about `total` samples together.

    Of a few draws it is the one whose held-out samples are most like all in their classes, and that leaves some of each
    class for training where one does.
    """
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise DataError("all rows are of one group, so none can be held out; name another column of groups")
    counts = np.bincount(strata)
    best, least = np.zeros(len(groups), bool), (math.inf, math.inf, math.inf)
    for draw in range(DRAWS):
        order = np.argsort(hashes(seed * DRAWS + draw, len(sizes)), kind="stable")
        # A group that is larger than what is to be held out is held out only where all are.
        order = order[np.argsort(sizes[order] > max(total, int(sizes.min())), kind="stable")]
        reached = np.cumsum(sizes[order])
        last = max(1, int(np.argmin(np.abs(reached - total))) + 1)
        chosen = np.zeros(len(sizes), bool)
        chosen[order[: min(last, len(sizes) - 1)]] = True
        held = chosen[codes]
        found = np.bincount(strata[held], minlength=len(counts))
        lost = float(np.count_nonzero((found == counts) & (counts > 0)))
        unlike = float(np.abs(found / max(1, found.sum()) - counts / counts.sum()).max())
        score = (lost, abs(float(found.sum()) - total) / total > 0.5, unlike)
        if score < least:
            best, least = held, score
    return best


def hashes(seed: int, n: int) -> np.ndarray:
    """(n,) uint64: hashes of (seed, index), so that the choice does not depend on a library's generator."""
    return splitmix.bits(np.uint64(seed * 0xD1342543DE82EF95 & 0xFFFFFFFFFFFFFFFF), np.arange(n, dtype=np.uint64))
