"""What is in a data set, as a record: counts, shapes, range of values, classes with their shares, sample images."""

from dataclasses import dataclass

import numpy as np

from jitnet.config import check_arguments
from jitnet.datasets.dataset import Dataset

__all__ = ["ClassShare", "Description", "Sample", "describe"]


@dataclass(frozen=True)
class ClassShare:
    """A class: its samples in the training and the test split, and its share of the training split (0 to 1)."""

    name: str
    n_train: int
    n_test: int
    share: float


@dataclass(frozen=True, eq=False)
class Sample:
    """A training sample: its index, its class and its stored values, (h, w) for images, else (features,)."""

    index: int
    class_name: str
    image: np.ndarray


@dataclass(frozen=True, eq=False)
class Description:
    """What `describe` found.

    value_type: "uint8" or "float32"; low, high: the range of stored values in all splits; density: the share of
    training values that are not zero; in_memory_bytes: images and labels; samples: the first of each class; notice: the
    data set's, a line that the user should see, or empty.
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


def describe(dataset: Dataset, n_samples: int = 10) -> Description:
    """Describe a data set; takes one pass over its values. `n_samples` is the most samples given, one a class."""
    check_arguments("describe(dataset)", dataset=(dataset, Dataset))
    splits = [dataset.train] if dataset.test is None else [dataset.train, dataset.test]
    counts = [np.bincount(split.labels, minlength=dataset.n_classes) for split in splits]
    tested = counts[1] if len(counts) > 1 else np.zeros_like(counts[0])
    n_train = len(dataset.train)
    classes = tuple(
        ClassShare(name, int(a), int(b), float(a / n_train))
        for name, a, b in zip(dataset.class_names, counts[0], tested, strict=True)
    )
    shape = dataset.image_shape or (dataset.in_features,)
    _, first = np.unique(dataset.train.labels, return_index=True)
    train = dataset.train
    samples = tuple(
        Sample(int(i), dataset.class_names[train.labels[i]], train.images[i].reshape(shape)) for i in first[:n_samples]
    )
    return Description(
        name=dataset.name,
        source=dataset.source,
        checksum=dataset.checksum,
        n_train=n_train,
        n_test=0 if dataset.test is None else len(dataset.test),
        in_features=dataset.in_features,
        image_shape=dataset.image_shape,
        value_type=str(dataset.train.images.dtype),
        low=float(min(split.images.min() for split in splits)),
        high=float(max(split.images.max() for split in splits)),
        density=float(np.count_nonzero(dataset.train.images) / dataset.train.images.size),
        in_memory_bytes=sum(split.images.nbytes + split.labels.nbytes for split in splits),
        classes=classes,
        samples=samples,
        notice=dataset.notice,
    )
