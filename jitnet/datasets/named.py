"""The names under which safetensors and npz files hold their arrays, and which splits follow from those in a file."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from jitnet.datasets.raw import Raw, RawData
from jitnet.errors import DataError

__all__ = ["LAYOUTS", "gather", "pick"]

LAYOUTS = (
    ("train_images", "train_labels", "test_images", "test_labels", "train_weights", "test_weights"),
    ("x_train", "y_train", "x_test", "y_test", "w_train", "w_test"),
    ("images", "labels", None, None, "weights", None),
    ("x", "y", None, None, "w", None),
)
"""(training images, training labels, test images, test labels), the more common first; and behind them the weights of
both, which a file may have."""


def pick(path: Path, found: Collection[str]) -> tuple[str | None, ...]:
    """The names to read, in the order of `LAYOUTS`, None for what is missing.

    Raises DataError where the file has arrays of no layout, or images without labels.
    """
    for layout in LAYOUTS:
        names = tuple(name if name in found else None for name in layout)
        if not any(names[:4]):
            continue
        for images, labels, wanted in ((names[0], names[1], layout[:2]), (names[2], names[3], layout[2:])):
            if (images is None) != (labels is None):
                missing = wanted[1] if labels is None else wanted[0]
                raise DataError(f"{path}: has {images or labels} but not {missing}; both are needed")
        return names
    listed = ", ".join(sorted(found)[:8]) or "nothing"
    expected = " or ".join(", ".join(name for name in layout[:4] if name) for layout in LAYOUTS[:2])
    raise DataError(f"{path}: holds {listed}; expected {expected}")


def gather(
    path: Path,
    names: tuple[str | None, ...],
    arrays: Mapping[str, np.ndarray],
    class_names: tuple[str, ...] | None,
    target_names: tuple[str, ...] | None = None,
) -> RawData:
    """The splits made of the arrays that `pick` chose."""
    splits: list[Raw | None] = []
    for images, labels, weights in (names[0], names[1], names[4]), (names[2], names[3], names[5]):
        if images is None or labels is None:
            splits.append(None)
            continue
        found = None if weights is None else arrays[weights]
        wheres = f"{path}: {images}", f"{path}: {labels}"
        splits.append(Raw(arrays[images], arrays[labels], *wheres, found, f"{path}: {weights}"))
    return RawData(splits[0], splits[1], class_names, target_names=target_names)
