"""From arrays as read from a file to a checked `Dataset`: the same rules for every format.

Whole numbers in 0..255 are stored as uint8. Fractions in 0..1 that all are k/255 are stored as uint8 too, a quarter of
the bytes; other fractions in 0..1 as float32, unscaled. Anything else is stored as float32 and standardised: per
feature, the training split's mean becomes 0 and its standard deviation 1. uint8 images are divided by 255 (by their
largest value where that is below 128: they have fewer grey levels); uint8 values that are not images are standardised.

Sparse matrices are stored as `CompressedRows`: values from 0 to 1 as they are, others to be divided by the largest
magnitude of their column, so that zeros stay zeros.

All of this is determined from the rows that are trained on. Test data are stored in the same unit, as float32 where
they are not bytes; and where rows are held out, `hold_out` determines it again from the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config.checking import quoted
from jitnet.datasets.columns import as_labels, as_numbers, names_of
from jitnet.datasets.compressed import LARGEST, CompressedRows, compress, is_sparse
from jitnet.datasets.dataset import Dataset, Given, Scaling, Split, held_out_rows, is_shape
from jitnet.datasets.kind import unlike
from jitnet.datasets.labels import check_names, resolve
from jitnet.datasets.raw import Raw, RawData
from jitnet.datasets.targets import (
    check_spread,
    fractions_notice,
    resolve_numbers,
    resolve_yes_no,
    standardise_targets,
    target_of,
)
from jitnet.datasets.weights import check_weights
from jitnet.errors import DataError
from jitnet.tables.preparation import Preparation, learn

__all__ = ["Parts", "assemble", "from_arrays", "hold_out", "nearly_all_differ", "prepared", "refit"]

CHUNK_VALUES = 1 << 20
LEVEL_TOLERANCE = 1e-4
"""How far, in grey levels, a float32 k/255 may be from k: some writers divide, some multiply by 1/255."""
FEW_ROWS = 20
"""In so few rows each may well have a different class."""
_NO_LABELS = np.zeros(0, np.int64)
Images = np.ndarray | CompressedRows
LEAST_DEVIATION = float(np.finfo(np.float32).tiny)
"""A feature that varies by less counts as constant: the inverse of less would be beyond float32."""


@dataclass
class _Survey:
    """Properties of a split's values: their range, whether all are whole, whether all are k/255; of a sparse matrix
    neither is asked. sparse: whether it is one, which is not taken for images."""

    low: float
    high: float
    whole: bool
    levels: bool
    sparse: bool = False


class _Form(NamedTuple):
    """How the rows that are trained on are stored and scaled: as bytes or floats, times which factor, as images of
    which shape; scaling: of the stored values, None where they are to be standardised."""

    bytes: bool
    factor: float
    image_shape: tuple[int, int] | None
    scaling: Scaling | None


class Parts(NamedTuple):
    """A data set with rows held out. Each split is stored and scaled as the rows left for training determine.

    scaling: the same for values as the data set stores them; image_shape: as determined from those rows; preparation:
    what the columns of a table become, learned again from those rows.
    """

    train: Split
    held_out: Split
    test: Split | None
    scaling: Scaling
    image_shape: tuple[int, int] | None
    preparation: Preparation | None = None


def from_arrays(
    train_images: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    test_images: npt.ArrayLike | None = None,
    test_labels: npt.ArrayLike | None = None,
    *,
    name: str = "arrays",
    class_names: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
    task: str = "auto",
    target_names: Sequence[str] | None = None,
    sample_weight: npt.ArrayLike | None = None,
    test_sample_weight: npt.ArrayLike | None = None,
) -> Dataset:
    """Make a data set from arrays or tables, checked and stored by the rules of this package.

    A pandas DataFrame of numbers is accepted like an array, and a Series of words, numbers or categories like labels.
    A sparse matrix of SciPy stays sparse, whatever its size: the loops skip its zeros in training, evaluation and
    prediction.
    Images: (n, features), (n, h, w), (n, 1, h, w) or (n, h, w, 1), any real type; uint8 arrays are not copied.
    Labels: (n,) whole numbers or words, whose distinct values are the classes; or (n, n_classes) one-hot. With
    class_names whole numbers are positions in that list.
    task: "classify", where labels are classes; "regress", where they are numbers to predict, (n,) or (n, n_targets);
    "label", where each is yes or no, 1 or 0, (n,) or (n, n_labels), and several of a sample may be yes; "auto", numbers
    where they are floats with fractions, else classes. target_names: one per target; a DataFrame has them as the names
    of its columns. With task "classify" they name labels that are yes or no.
    sample_weight, test_sample_weight: (n,) numbers of 0 or more, how much each sample counts in the loss, beside the
    others; None where all count alike.
    Raises DataError where the arrays do not fit together.
    """
    train = _raw(train_images, train_labels, sample_weight, "train_images", "train_labels", "sample_weight")
    test = None
    if test_images is not None and test_labels is not None:
        names = "test_images", "test_labels", "test_sample_weight"
        test = _raw(test_images, test_labels, test_sample_weight, *names)
    elif test_images is not None or test_labels is not None:
        raise DataError("test_images and test_labels belong together; one of them is missing")
    elif test_sample_weight is not None:
        raise DataError("test_sample_weight is of test data, and test_images and test_labels are missing")
    classes = check_names(class_names, "class_names") if class_names is not None else None
    targets = check_names(target_names, "target_names", "target") if target_names is not None else None
    if targets is not None and classes is not None:
        raise DataError("target_names are of numbers or yes/no labels, and class_names of classes; give one of the two")
    data = RawData(train, test, classes, target_names=targets)
    if targets is None and target_of(data, task) != "class":
        data = replace(data, target_names=names_of(train_labels))
    return assemble(data, name=name, source="arrays", image_shape=image_shape, task=task)


def _raw(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    weights: npt.ArrayLike | None,
    images_from: str,
    labels_from: str,
    weights_from: str,
) -> Raw:
    found = None if weights is None else as_numbers(weights, weights_from)
    samples = compress(images, images_from) if is_sparse(images) else as_numbers(images, images_from)
    outcomes = as_labels(labels, labels_from)
    return Raw(samples, outcomes, images_from, labels_from, found, weights_from)


def assemble(
    data: RawData,
    *,
    name: str,
    source: str,
    classes: Sequence[str] | None = None,
    image_shape: tuple[int, int] | None = None,
    task: str = "auto",
) -> Dataset:
    """Check raw splits and store them by the rules of this package.

    classes: the classes to assign the labels to (a model's, say); without it the file or the labels determine them.
    task: a name in TASKS, "label" for yes/no labels, or "auto" for the rule of `targets`.
    Raises DataError with one line that names the file or field, what was found and what was expected.
    """
    if data.train is None:
        raise DataError(f"{source}: holds no training data; pass it as test data, with a data set to train on")
    raws = [data.train] if data.test is None else [data.train, data.test]
    flats: list[Images] = []
    for raw in raws:
        flat, shape = _flatten(raw)
        if flats and isinstance(flats[0], CompressedRows):
            flat = compress(flat, raw.images_from)
        flats.append(flat)
        image_shape = image_shape or shape
    features = flats[0].shape[1]
    if (count := flats[-1].shape[1]) != features:
        raise DataError(
            f"{raws[-1].images_from}: samples have {count} value{'s' * (count != 1)}; "
            f"expected {features}, as in {raws[0].images_from}"
        )
    target = target_of(data, task)
    names: tuple[str, ...]
    outcomes: Sequence[npt.NDArray[Any]]
    if target == "class":
        names, outcomes = resolve(data, classes)
    else:
        names, outcomes = resolve_yes_no(data) if target == "label" else resolve_numbers(data)
    for raw, flat, outcome in zip(raws, flats, outcomes, strict=True):
        if len(flat) != len(outcome):
            of_images = f"{raw.images_from} holds {len(flat)} image{'s' * (len(flat) != 1)}"
            of_labels = f"{raw.labels_from} {len(outcome)} label{'s' * (len(outcome) != 1)}"
            raise DataError(f"{of_images} and {of_labels}; expected as many labels as images")

    if image_shape is not None and not is_shape(image_shape, features):
        raise DataError(
            f"{source}: samples have {features} value{'s' * (features != 1)}; expected a (height, width) of as many, "
            f"found {quoted(image_shape)}"
        )
    image_shape = image_shape and (int(image_shape[0]), int(image_shape[1]))
    surveys = [_survey(flat, raw.images_from) for flat, raw in zip(flats, raws, strict=True)]
    fractions = flats[0].dtype.kind == "f" and not data.is_text
    form = _form(surveys[0], features, fractions, image_shape)
    if data.preparation is not None:
        _check_features(data.preparation, features, raws[0].images_from)
        form = _Form(False, 1.0, None, Scaling())
    stored = [_store_as(form, flat, survey) for flat, survey in zip(flats, surveys, strict=True)]
    scaling = form.scaling or _standardise(stored[0])
    for flat, images, raw in zip(flats[1:], stored[1:], raws[1:], strict=True):
        # Fractions that are stored as bytes are reported as passed. A few rows show little of how far others may be.
        is_checked = data.preparation is None and (form.scaling is not None or len(flats[0]) >= FEW_ROWS)
        if reason := is_checked and unlike(Scaling() if form.factor != 1.0 else scaling, flat):
            raise DataError(f"{raw.images_from}: {reason}; expected values like those of {raws[0].images_from}")
        _check_reach(images, scaling, raw.images_from)
    if target == "class":
        splits = [Split(images, labels) for images, labels in zip(stored, outcomes, strict=True)]
    else:
        splits = [Split(images, _NO_LABELS, targets=found) for images, found in zip(stored, outcomes, strict=True)]
    splits = [
        replace(split, weights=check_weights(raw.weights, len(split), raw.weights_from))
        if raw.weights is not None
        else split
        for split, raw in zip(splits, raws, strict=True)
    ]
    target_scaling = standardise_targets(outcomes[0]) if target == "number" else None
    given = Given(form.factor, fractions, image_shape, scaling, target_scaling)
    test = splits[1] if len(splits) > 1 else None
    return Dataset(
        name,
        splits[0],
        test,
        names if target == "class" else (),
        form.image_shape,
        scaling,
        source,
        _notice(data, splits[0], classes, task),
        given,
        () if target == "class" else names,
        target_scaling,
        data.preparation,
    )


def _check_features(preparation: Preparation, features: int, where: str) -> None:
    """DataError where a preparation makes another number of features."""
    if (count := len(preparation.feature_names)) != features:
        raise DataError(
            f"{where}: samples have {features} value{'s' * (features != 1)}; expected {count}, one for each feature of "
            "the file's preparation; convert the table again"
        )


def hold_out(dataset: Dataset, fraction: float, seed: int) -> Parts:
    """Hold out a share of the training rows; what is learned from data is learned from the others.

    The rows are those of `stratified_split`. A scaling that the caller chose is kept.
    Raises UsageError and DataError as `stratified_split` does, DataError where a value that is held out or tested on is
    too far from the others.
    """
    held = held_out_rows(dataset.train, fraction, seed)
    train, held_out, test = dataset.train.take(~held), dataset.train.take(held), dataset.test
    if dataset.preparation is not None and train.table is not None and train.rows is not None:
        again = dataset.preparation.relearn(train.table, train.rows)
        train, held_out, test = prepared(train, again), prepared(held_out, again), test and prepared(test, again)
        return Parts(train, held_out, test, dataset.scaling, None, again)
    return _scaled_again(dataset, train, held_out, test)


def refit(dataset: Dataset, train_rows: npt.NDArray[np.bool_], test_rows: npt.NDArray[np.bool_], where: str) -> Dataset:
    """A data set that trains on some rows of another's training part and tests on others. All that is learned from data
    is learned again, from the rows that are trained on: what each column of a table becomes, scalings of values and of
    targets; a scaling that the caller chose is kept.

    train_rows, test_rows: (n,) bool. where: what messages call it. Raises DataError as `assemble` and `learn` do.
    """
    train, test, given = dataset.train.take(train_rows), dataset.train.take(test_rows), dataset.given
    preparation, scaling, image_shape = dataset.preparation, dataset.scaling, dataset.image_shape
    if preparation is not None and train.table is not None and train.rows is not None:
        preparation = learn(train.table, train.rows, roles=preparation.roles)
        train, test = prepared(train, preparation), prepared(test, preparation)
    else:
        parts = _scaled_again(dataset, train, test, None)
        train, test, image_shape = parts.train, parts.held_out, parts.image_shape
        scaling = train.scaling or scaling
        if given is not None and given.scaling == dataset.scaling:
            given = replace(given, scaling=scaling, factor=given.factor if parts.scaling == scaling else 255.0)
    target_scaling = dataset.target_scaling
    if train.targets is not None and train.target == "number":
        check_spread(train.targets, dataset.target_names, where)
        if given is not None and given.target_scaling == target_scaling:
            target_scaling = standardise_targets(train.targets)
            given = replace(given, target_scaling=target_scaling)
    return replace(
        dataset,
        train=train,
        test=test,
        image_shape=image_shape,
        scaling=scaling,
        given=given,
        target_scaling=target_scaling,
        preparation=preparation,
        source=where,
    )


def _scaled_again(dataset: Dataset, train: Split, held_out: Split, test: Split | None) -> Parts:
    """Splits of a data set that is no table, stored and scaled as the rows to train on determine."""
    given = dataset.given
    unchanged = Parts(train, held_out, test, dataset.scaling, dataset.image_shape, dataset.preparation)
    # Rows that all are k/255 stay so when there are fewer.
    is_prepared = dataset.preparation is not None
    if is_prepared or given is None or given.scaling != dataset.scaling or given.factor != 1.0:
        return unchanged
    form = _form(_survey(train.images, dataset.source), dataset.in_features, given.fractions, given.image_shape)

    def stored(split: Split) -> Split:
        return replace(split, images=_store_as(form, split.images, _survey(split.images, dataset.source)))

    train, held_out, test = stored(train), stored(held_out), stored(test) if test is not None else None
    scaling = form.scaling or _standardise(train.images)
    _check_reach(held_out.images, scaling, f"{dataset.source}, held-out rows")
    if test is not None:
        _check_reach(test.images, scaling, f"{dataset.source}, test data")
        test = replace(test, scaling=scaling)
    as_given = Scaling() if form.factor != 1.0 else scaling
    return Parts(replace(train, scaling=scaling), replace(held_out, scaling=scaling), test, as_given, form.image_shape)


def prepared(split: Split, preparation: Preparation) -> Split:
    """A split of a table's rows, with the features that a preparation makes of them; another split as it is."""
    if split.table is None or split.rows is None or split.preparation == preparation:
        return split
    return replace(split, images=preparation.features(split.table, split.rows), preparation=preparation)


def _form(survey: _Survey, features: int, fractions: bool, image_shape: tuple[int, int] | None) -> _Form:
    """How rows of this range are stored and scaled; fractions, image_shape: as in `Given`."""
    low, high = survey.low, survey.high
    fractions = low >= 0 and high <= 1 and (fractions or not survey.whole)
    levels = fractions and survey.levels
    bytes_ = levels or (low >= 0 and high <= 255 and not fractions and survey.whole)
    side = isqrt(features)
    if image_shape is None and not survey.sparse and side >= 5 and side * side == features and (bytes_ or fractions):
        image_shape = (side, side)
    scaling = None
    if levels:
        scaling = Scaling(0.0, 1 / 255)
    elif fractions:
        scaling = Scaling()
    elif bytes_ and image_shape is not None:
        scaling = Scaling(0.0, 1 / high if 0 < high < 128 else 1 / 255)
    return _Form(bytes_, 255.0 if levels else 1.0, image_shape, scaling)


def _store_as(form: _Form, images: Images, survey: _Survey) -> Images:
    """Rows in the unit of `form`: as bytes where the form has bytes and the rows fit them, else as float32."""
    if isinstance(images, CompressedRows):
        return images.scaled(form.factor)
    whole = survey.whole or (survey.levels and form.factor != 1.0)
    fits = survey.low >= 0 and survey.high * form.factor <= 255 and whole
    return _store(images, np.dtype(np.uint8 if form.bytes and fits else np.float32), form.factor)


def _notice(data: RawData, train: Split, classes: Sequence[str] | None, task: str) -> str:
    """A notice where targets may not be what they are taken for; else ""."""
    if train.target == "class":
        return _classes_notice(data, train, classes)
    return fractions_notice(data, task) if train.target == "number" else ""


def _classes_notice(data: RawData, train: Split, classes: Sequence[str] | None) -> str:
    """A notice where nearly every row has a different class, as when the label is in another column; else ""."""
    if data.train is None or classes is not None or not (found := nearly_all_differ(train.labels)):
        return ""
    return f"{data.train.labels_from}: {found}{data.labels_hint}"


def nearly_all_differ(labels: np.ndarray) -> str:
    """That nearly every row has a different class, in words; "" where that is not so, or there are few rows."""
    found = len(np.unique(labels))
    if len(labels) < FEW_ROWS or found <= len(labels) / 2:
        return ""
    return (
        f"nearly every row has a different class, {found:,} classes in {len(labels):,} rows; expected labels that many "
        "rows share"
    )


def _flatten(raw: Raw) -> tuple[Images, tuple[int, int] | None]:
    """(n, features) view of the images, and the shape of one where the array has it."""
    images = raw.images if isinstance(raw.images, CompressedRows) else np.asarray(raw.images)
    shape = images.shape
    if images.dtype.kind not in "buif":
        raise DataError(f"{raw.images_from}: images are of type {images.dtype}; expected numbers")
    if len(shape) < 2:
        raise DataError(
            f"{raw.images_from}: has the shape {shape}; expected (samples, values) or (samples, height, width)"
        )
    if 0 in shape:
        raise DataError(f"{raw.images_from}: holds no {'samples' if not shape[0] else 'values'}, its shape is {shape}")
    if isinstance(images, CompressedRows):
        return images, None
    box = None
    if images.ndim == 3:
        box = (shape[1], shape[2])
    elif images.ndim == 4 and 1 in (shape[1], shape[3]):
        box = (shape[2], shape[3]) if shape[1] == 1 else (shape[1], shape[2])
    return images.reshape(shape[0], -1), box if box and min(box) > 1 else None


def _chunks(images: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) of chunks so small that temporary arrays have a few MB."""
    rows = max(1, CHUNK_VALUES // images.shape[1])
    for start in range(0, len(images), rows):
        yield start, images[start : start + rows]


def _survey(images: Images, where: str) -> _Survey:
    if isinstance(images, CompressedRows):
        return _Survey(float(images.min()), float(images.max()), whole=False, levels=False, sparse=True)
    if images.dtype.kind != "f":
        low, high = float(images.min()), float(images.max())
        return _Survey(low, high, whole=True, levels=low >= 0 and high <= 1)
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
    """(n, features) of `dtype`, holding images * factor, as uint8 rounded.

    Always aligned, contiguous and writable: loops would be compiled again for any other kind of array.
    """
    flags = images.flags
    if images.dtype == dtype and factor == 1.0 and flags.c_contiguous and flags.aligned and flags.writeable:
        return images
    out = np.empty(images.shape, dtype)
    for start, chunk in _chunks(images):
        scaled = chunk if factor == 1.0 else chunk * np.float32(factor)
        out[start : start + len(chunk)] = np.rint(scaled) if dtype == np.uint8 and factor != 1.0 else scaled
    return out


def _standardise(images: Images) -> Scaling:
    """Mean and deviation per feature, summed in float64; a feature that never changes keeps the scale 1. Sparse rows
    have no mean taken off, and the largest magnitude of a column is its unit."""
    if isinstance(images, CompressedRows):
        return Scaling(0.0, images.by_largest())
    n = len(images)
    mean = sum(chunk.sum(axis=0, dtype=np.float64) for _, chunk in _chunks(images)) / n
    square = sum(((chunk - mean) ** 2).sum(axis=0) for _, chunk in _chunks(images)) / n
    constant = images.min(axis=0) == images.max(axis=0)
    deviation = np.sqrt(square)
    varies = ~constant & (deviation >= LEAST_DEVIATION)
    return Scaling(np.asarray(mean, np.float32), np.asarray(1 / np.where(varies, deviation, 1.0), np.float32))


def _check_reach(images: Images, scaling: Scaling, where: str) -> None:
    """DataError where values that were standardised by other data do not fit float32 any more."""
    if not np.ndim(scaling.offset):
        return
    reach = scaling.reach(images)
    if reach.max() > LARGEST:
        feature = int(reach.argmax())
        raise DataError(
            f"{where}: value {feature} (from 0) of a sample is {reach[feature]:.2g} standard deviations "
            "from the training data's mean; expected data of the same kind"
        )
