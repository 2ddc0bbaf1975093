"""What is in a data set, as a record: counts, shapes, range of values, classes with their shares or
targets with their range, sample images."""

from dataclasses import dataclass

import numpy as np

from jitnet.config import check_arguments
from jitnet.datasets.compressed import CompressedRows
from jitnet.datasets.dataset import Dataset

__all__ = ["ClassShare", "Description", "Sample", "TargetRange", "describe"]


@dataclass(frozen=True)
class ClassShare:
    """A class: its samples in the training and the test split, and its share of the training split (0 to 1)."""

    name: str
    n_train: int
    n_test: int
    share: float


@dataclass(frozen=True)
class TargetRange:
    """A target that is a number, or a label as 1 for yes and 0 for no: its range, mean and standard deviation in the
    training split."""

    name: str
    low: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class Sample:
    """A training sample: its index, its class or its targets in words, and its stored values, (h, w) for images, else
    (features,)."""

    index: int
    class_name: str
    image: np.ndarray


@dataclass(frozen=True, eq=False)
class Description:
    """What `describe` found.

    value_type: "uint8" or "float32"; low, high: the range of stored values in all splits; density: the share of
    training values that are not zero; in_memory_bytes: images, and labels or targets; samples: the first of each class,
    or of all; notice: the data set's, a line that the user should see, or empty. classes is empty where targets are
    numbers, else targets is.
    """

    name: str
    source: str
    checksum: str
    n_train: int
    n_test: int
    in_features: int
    image_shape: tuple[int, int] | None
    value_type: str
    low: float
    high: float
    density: float
    in_memory_bytes: int
    classes: tuple[ClassShare, ...]
    samples: tuple[Sample, ...]
    notice: str = ""
    targets: tuple[TargetRange, ...] = ()


def describe(dataset: Dataset, n_samples: int = 10) -> Description:
    """Describe a data set; takes one pass over its values. `n_samples` is the most samples returned, one per class."""
    check_arguments("describe(dataset)", dataset=(dataset, Dataset))
    splits = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    train = dataset.train
    shape = dataset.image_shape or (dataset.in_features,)
    first = np.arange(len(train)) if train.targets is not None else np.unique(train.labels, return_index=True)[1]
    samples = tuple(Sample(int(i), train.in_words(i), train.images[i].reshape(shape)) for i in first[:n_samples])
    return Description(
        name=dataset.name,
        source=dataset.source,
        checksum=dataset.checksum,
        n_train=len(train),
        n_test=0 if dataset.test is None else len(dataset.test),
        in_features=dataset.in_features,
        image_shape=dataset.image_shape,
        value_type=str(dataset.train.images.dtype),
        low=float(min(split.images.min() for split in splits)),
        high=float(max(split.images.max() for split in splits)),
        density=_density(dataset.train.images),
        in_memory_bytes=sum(
            split.images.nbytes + split.labels.nbytes + (0 if split.targets is None else split.targets.nbytes)
            for split in splits
        ),
        classes=_classes(dataset),
        samples=samples,
        notice=dataset.notice,
        targets=_targets(dataset),
    )


def _density(images: np.ndarray | CompressedRows) -> float:
    return images.density if isinstance(images, CompressedRows) else np.count_nonzero(images) / images.size


def _classes(dataset: Dataset) -> tuple[ClassShare, ...]:
    """Each class; empty where targets are numbers."""
    counts = [
        np.bincount(split.labels, minlength=len(dataset.class_names)) if split is not None else None
        for split in (dataset.train, dataset.test)
    ]
    trained, tested = counts
    assert trained is not None
    return tuple(
        ClassShare(
            name, int(trained[c]), 0 if tested is None else int(tested[c]), float(trained[c] / len(dataset.train))
        )
        for c, name in enumerate(dataset.class_names)
    )


def _targets(dataset: Dataset) -> tuple[TargetRange, ...]:
    """Each target; empty where samples have classes."""
    columns = () if dataset.train.targets is None else dataset.train.targets.T
    return tuple(
        TargetRange(name, float(column.min()), float(column.max()), float(column.mean()), float(column.std()))
        for name, column in zip(dataset.target_names, np.asarray(columns, np.float64), strict=True)
    )
