"""From arrays as a file held them to a checked `Dataset`: the same rules for every format.

Whole numbers in 0..255 are kept as uint8. Fractions in 0..1 that all are k/255 are kept as uint8 too, a quarter of the
bytes; other fractions in 0..1 as float32, unscaled. Anything else is kept as float32 and standardised: per feature, the
training split's mean becomes 0 and its standard deviation 1. uint8 images are divided by 255 (by their largest value
where that is below 128: they have fewer grey levels); uint8 values that are no image are standardised.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt, prod

import numpy as np
import numpy.typing as npt

from jitnet.datasets.columns import as_labels, as_numbers
from jitnet.datasets.dataset import Dataset, Scaling, Split
from jitnet.datasets.labels import resolve
from jitnet.datasets.raw import Raw, RawData
from jitnet.errors import DataError

__all__ = ["assemble", "from_arrays"]

CHUNK_VALUES = 1 << 20
LEVEL_TOLERANCE = 1e-4
"""How far, in grey levels, a float32 k/255 may lie from k: some writers divide, some multiply by 1/255."""
LARGEST = float(np.finfo(np.float32).max) / 2
"""The largest magnitude of a value: the difference of two such still is a float32."""
LEAST_DEVIATION = float(np.finfo(np.float32).tiny)
"""A feature that varies by less counts as constant: the inverse of less would be beyond float32."""


@dataclass
class _Survey:
    """What the values of a split allow: their range, whether all are whole, whether all are k/255."""

    low: float
    high: float
    whole: bool
    levels: bool


def from_arrays(
    train_images: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    test_images: npt.ArrayLike | None = None,
    test_labels: npt.ArrayLike | None = None,
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
) -> Dataset:
    """Make a data set from arrays or tables, checked and stored by the rules of this room.

    A pandas DataFrame of numbers is taken like an array, and a Series of words, numbers or categories like labels.
    Images: (n, features), (n, h, w), (n, 1, h, w) or (n, h, w, 1), any real type; uint8 arrays are not copied.
    Labels: (n,) whole numbers from 0 or words, or (n, n_classes) one-hot.
    Raises DataError where the arrays do not fit together.
    """
    train = _raw(train_images, train_labels, "train_images", "train_labels")
    test = None
    if test_images is not None and test_labels is not None:
        test = _raw(test_images, test_labels, "test_images", "test_labels")
    elif test_images is not None or test_labels is not None:
        raise DataError("test_images and test_labels belong together; one of them is missing")
    names = tuple(class_names) if class_names is not None else None
    return assemble(RawData(train, test, names), name=name, source="arrays", image_shape=image_shape)


def _raw(images: npt.ArrayLike, labels: npt.ArrayLike, images_from: str, labels_from: str) -> Raw:
    return Raw(as_numbers(images, images_from), as_labels(labels, labels_from), images_from, labels_from)


def assemble(
    data: RawData,
    *,
    name: str,
    source: str,
    classes: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
) -> Dataset:
    """Check raw splits and store them by the rules of this room.

    classes: the classes to sort the labels into (those of a model, say); without it the file or the labels tell them.
    Raises DataError with one line that names the file or field, what was found and what was expected.
    """
    if data.train is None:
        raise DataError(f"{source}: holds no training data; give it as test data, beside a data set to train on")
    raws = [data.train] if data.test is None else [data.train, data.test]
    flats = []
    for raw in raws:
        flat, shape = _flatten(raw)
        flats.append(flat)
        image_shape = image_shape or shape
    features = flats[0].shape[1]
    if flats[-1].shape[1] != features:
        raise DataError(
            f"{raws[-1].images_from}: samples have {flats[-1].shape[1]} values; "
            f"expected {features}, as in {raws[0].images_from}"
        )
    names, labels = resolve(data, classes)
    for raw, flat, own in zip(raws, flats, labels, strict=True):
        if len(flat) != len(own):
            counts = f"{raw.images_from} holds {len(flat)} images and {raw.labels_from} {len(own)} labels"
            raise DataError(f"{counts}; expected as many labels as images")

    surveys = [_survey(flat, raw.images_from) for flat, raw in zip(flats, raws, strict=True)]
    low, high = min(s.low for s in surveys), max(s.high for s in surveys)
    floats = any(flat.dtype.kind == "f" for flat in flats)
    fractions = low >= 0 and high <= 1 and floats
    levels = fractions and all(s.levels for s in surveys)
    bytes_ = levels or (low >= 0 and high <= 255 and not fractions and all(s.whole for s in surveys))
    side = isqrt(features)
    if image_shape is None and side >= 5 and side * side == features and (bytes_ or fractions):
        image_shape = (side, side)
    if image_shape is not None and prod(image_shape) != features:
        raise DataError(
            f"{source}: samples have {features} values; images of {image_shape} would have {prod(image_shape)}"
        )

    stored = [_store(flat, np.dtype(np.uint8 if bytes_ else np.float32), 255.0 if levels else 1.0) for flat in flats]
    peak = surveys[0].high
    if levels:
        scaling = Scaling(0.0, 1 / 255)
    elif fractions:
        scaling = Scaling()
    elif bytes_ and image_shape is not None:
        scaling = Scaling(0.0, 1 / peak if 0 < peak < 128 else 1 / 255)
    else:
        scaling = _standardise(stored[0])
        for images, raw in zip(stored[1:], raws[1:], strict=True):
            _check_reach(images, scaling, raw)
    splits = [Split(images, own) for images, own in zip(stored, labels, strict=True)]
    return Dataset(name, splits[0], splits[1] if len(splits) > 1 else None, names, image_shape, scaling, source)


def _flatten(raw: Raw) -> tuple[np.ndarray, tuple[int, int] | None]:
    """(n, features) view of the images, and the shape of one where the array tells it."""
    images = np.asarray(raw.images)
    shape = images.shape
    if images.dtype.kind not in "buif":
        raise DataError(f"{raw.images_from}: images are of type {images.dtype}; expected numbers")
    if images.ndim < 2:
        raise DataError(
            f"{raw.images_from}: has the shape {shape}; expected (samples, values) or (samples, height, width)"
        )
    if 0 in shape:
        raise DataError(f"{raw.images_from}: holds no {'samples' if not shape[0] else 'values'}, its shape is {shape}")
    box = None
    if images.ndim == 3:
        box = (shape[1], shape[2])
    elif images.ndim == 4 and 1 in (shape[1], shape[3]):
        box = (shape[2], shape[3]) if shape[1] == 1 else (shape[1], shape[2])
    return images.reshape(shape[0], -1), box if box and min(box) > 1 else None


def _chunks(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) of pieces small enough that temporary arrays stay a few MB."""
    rows = max(1, CHUNK_VALUES // images.shape[1])
    for start in range(0, len(images), rows):
        yield start, images[start : start + rows]


def _survey(images: np.ndarray, where: str) -> _Survey:
    if images.dtype.kind != "f":
        return _Survey(float(images.min()), float(images.max()), whole=True, levels=False)
    survey = _Survey(np.inf, -np.inf, whole=True, levels=True)
    for start, chunk in _chunks(images):
        low, high = float(chunk.min()), float(chunk.max())
        if not (low >= -LARGEST and high <= LARGEST):
            # In float64 at least: in float16 the limit itself would be infinite.
            row, column = (int(i) for i in np.argwhere(~(np.abs(chunk) <= np.float64(LARGEST)))[0])
            raise DataError(
                f"{where}: value {column} of sample {start + row} (both counted from 0) is {chunk[row, column]}; "
                f"expected finite numbers from {-LARGEST:.2g} to {LARGEST:.2g}"
            )
        survey.low, survey.high = min(survey.low, low), max(survey.high, high)
        survey.whole = survey.whole and bool((chunk == np.rint(chunk)).all())
        survey.levels = survey.levels and low >= 0 and high <= 1 and _are_levels(chunk)
    return survey


def _are_levels(fractions: np.ndarray) -> bool:
    scaled = fractions * np.float32(255)
    return bool((np.abs(scaled - np.rint(scaled)) <= LEVEL_TOLERANCE).all())


def _store(images: np.ndarray, dtype: np.dtype, factor: float) -> np.ndarray:
    """(n, features) of `dtype`, holding images * factor, rounded where that is uint8.

    Always aligned, contiguous and writable: compiled loops are compiled anew for any other kind of array.
    """
    flags = images.flags
    if images.dtype == dtype and factor == 1.0 and flags.c_contiguous and flags.aligned and flags.writeable:
        return images
    out = np.empty(images.shape, dtype)
    for start, chunk in _chunks(images):
        out[start : start + len(chunk)] = chunk if factor == 1.0 else np.rint(chunk * np.float32(factor))
    return out


def _standardise(images: np.ndarray) -> Scaling:
    """Mean and deviation per feature, summed in float64; a feature that never changes keeps the scale 1."""
    n = len(images)
    mean = sum(chunk.sum(axis=0, dtype=np.float64) for _, chunk in _chunks(images)) / n
    square = sum(((chunk - mean) ** 2).sum(axis=0) for _, chunk in _chunks(images)) / n
    constant = images.min(axis=0) == images.max(axis=0)
    deviation = np.sqrt(square)
    varies = ~constant & (deviation >= LEAST_DEVIATION)
    return Scaling(np.asarray(mean, np.float32), np.asarray(1 / np.where(varies, deviation, 1.0), np.float32))


def _check_reach(images: np.ndarray, scaling: Scaling, raw: Raw) -> None:
    """DataError where values that were standardised by other data are no float32 any more."""
    reach = scaling.reach(images)
    if reach.max() > LARGEST:
        feature = int(reach.argmax())
        raise DataError(
            f"{raw.images_from}: value {feature} (from 0) of a sample lies {reach[feature]:.2g} standard deviations "
            "from the training data's mean; expected data of the same kind"
        )
