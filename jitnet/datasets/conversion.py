"""Writing a data set in another format: .safetensors (two layouts), .npz, or a folder of IDX files.

Nothing is ever overwritten, and no partial file is left: a file is written under a temporary name next to its target.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from jitnet.config import TARGETS, check_arguments
from jitnet.datasets import idx, npz, safetensors_file
from jitnet.datasets.compressed import CompressedRows
from jitnet.datasets.dataset import Dataset, Split
from jitnet.errors import DataError, OutputError, UsageError
from jitnet.files import create, make_folder, writing

__all__ = ["LAYOUTS", "Converted", "Layout", "check_target", "convert"]

Layout = Literal["jitnet", "original"]
LAYOUTS: tuple[Layout, ...] = ("jitnet", "original")
KERAS_NAMES = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "train_weights": "w_train",
    "test_images": "x_test",
    "test_labels": "y_test",
    "test_weights": "w_test",
}


@dataclass(frozen=True)
class Converted:
    """What was written: where, in which format and layout, how many samples, how many bytes."""

    target: Path
    format: Literal["safetensors", "npz", "idx"]
    layout: Layout
    n_train: int
    n_test: int
    n_bytes: int


def convert(dataset: Dataset, target: str | Path, layout: Layout = "jitnet") -> Converted:
    """Write a data set to `target`: NAME.safetensors, NAME.npz, or a folder of IDX files where there is no suffix.

    layout: for .safetensors, "jitnet" (values as stored, whole-number labels) or "original" (float32 in 0..1, one-hot).
    Raises UsageError for another suffix or layout, DataError for data the layout cannot hold, OutputError where the
    target exists or cannot be written.
    """
    check_arguments("convert(dataset, target)", dataset=(dataset, Dataset), target=(target, (str, Path)))
    path = Path(target).expanduser()
    suffix = path.suffix.lower()
    check_target(path, layout)
    of_classes = dataset.target == "class"
    kind, names = ("class_names", dataset.class_names) if of_classes else ("target_names", dataset.target_names)
    weighted = any(split is not None and split.weights is not None for split in (dataset.train, dataset.test))
    if (weighted or not of_classes) and (layout == "original" or not suffix):
        found = f"its targets are {TARGETS[dataset.target]}" if not of_classes else "its samples have weights"
        raise DataError(
            f"{dataset.name}: {found}, which {'the original layout' if suffix else 'an IDX folder'} cannot hold; write "
            "NAME.npz or NAME.safetensors"
        )
    if isinstance(dataset.train.images, CompressedRows):
        raise DataError(
            f"{dataset.name}: its samples are a sparse matrix, which none of these files holds; write the matrix, "
            "as scipy.sparse.save_npz does"
        )
    if dataset.preparation is not None and (layout == "original" or suffix != ".safetensors"):
        lacking = "the original layout" if suffix == ".safetensors" else "an .npz file" if suffix else "an IDX folder"
        raise DataError(
            f"{dataset.name}: is a table, and {lacking} cannot hold what its columns become, which a model needs to "
            "predict its rows; write NAME.safetensors"
        )
    try:
        make_folder(path.parent)
        with writing(path) as temporary:
            if suffix == ".safetensors":
                metadata = {kind: json.dumps(names), "name": dataset.name}
                if dataset.preparation is not None:
                    metadata[safetensors_file.PREPARATION] = dataset.preparation.as_json()
                safetensors_file.write(temporary, _arrays(dataset, layout), metadata)
            elif suffix == ".npz":
                arrays = {KERAS_NAMES[name]: array for name, array in _arrays(dataset, layout).items()}
                npz.write(temporary, arrays | {kind: np.array(names)})
            else:
                _write_idx(temporary, dataset)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    files = [path] if suffix else list(path.iterdir())
    return Converted(
        path,
        "safetensors" if suffix == ".safetensors" else "npz" if suffix else "idx",
        layout,
        len(dataset.train),
        0 if dataset.test is None else len(dataset.test),
        sum(file.stat().st_size for file in files),
    )


def check_target(target: Path, layout: str = "jitnet") -> None:
    """Check a target as far as possible before data is read: raises what `convert` raises."""
    path, suffix = target.expanduser(), target.suffix.lower()
    if suffix not in (".safetensors", ".npz", ""):
        raise UsageError(
            f"{path}: cannot write {suffix} files; expected NAME.safetensors, NAME.npz, or a folder for IDX"
        )
    if layout not in LAYOUTS:
        raise UsageError(f"layout: there is no {layout!r}; expected {' or '.join(LAYOUTS)}")
    if layout == "original" and suffix != ".safetensors":
        raise UsageError(f"{path}: the original layout is for .safetensors files; expected NAME.safetensors")
    if path.exists() and (suffix or not path.is_dir() or any(path.iterdir())):
        raise OutputError(f"{path}: exists already and is not overwritten; choose another name")


def _arrays(dataset: Dataset, layout: Layout) -> dict[str, np.ndarray]:
    """The arrays of a file, in its layout, under the names of .safetensors files."""
    arrays: dict[str, np.ndarray] = {}
    for name, split in (("train", dataset.train), ("test", dataset.test)):
        if split is not None:
            images, labels = (_original_images, _one_hot) if layout == "original" else (_images, _labels)
            arrays |= {f"{name}_images": images(dataset, split), f"{name}_labels": labels(dataset, split)}
            if split.weights is not None:
                arrays[f"{name}_weights"] = split.weights
    return arrays


def _images(dataset: Dataset, split: Split) -> np.ndarray:
    return np.asarray(split.images).reshape(-1, *(dataset.image_shape or (dataset.in_features,)))


def _labels(dataset: Dataset, split: Split) -> np.ndarray:
    if split.targets is not None:
        return split.targets
    return split.labels.astype(np.min_scalar_type(len(dataset.class_names) - 1))


def _one_hot(dataset: Dataset, split: Split) -> np.ndarray:
    rows = np.zeros((len(split), len(dataset.class_names)), np.int64)
    rows[np.arange(len(split)), split.labels] = 1
    return rows


def _original_images(dataset: Dataset, split: Split) -> np.ndarray:
    scale, offset = dataset.scaling.scale, dataset.scaling.offset
    if not isinstance(scale, float) or offset != 0.0:
        raise DataError(f"{dataset.name}: values do not scale to 0..1, as the original layout requires; use 'jitnet'")
    shape = (1, *dataset.image_shape) if dataset.image_shape else (dataset.in_features,)
    # Dividing results in the floats of the original's file; multiplying by 1/255 would differ in the last bit.
    return np.divide(np.asarray(split.images), np.float32(1 / scale), dtype=np.float32).reshape(-1, *shape)


def _write_idx(folder: Path, dataset: Dataset) -> None:
    make_folder(folder, sync=False)
    for part, split in (("train", dataset.train), ("t10k", dataset.test)):
        if split is not None:
            images, labels = _images(dataset, split), _labels(dataset, split)
            idx.write(folder / f"{part}-images-idx{images.ndim}-ubyte", images)
            idx.write(folder / f"{part}-labels-idx1-ubyte", labels)
    if dataset.class_names != tuple(str(c) for c in range(len(dataset.class_names))):
        with create(folder / "classes.txt") as file:
            file.write(("\n".join(dataset.class_names) + "\n").encode())
