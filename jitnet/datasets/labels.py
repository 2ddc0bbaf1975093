"""From labels as a file held them to class indices and class names.

IDX, safetensors and npz files hold positions in a list of classes: 0, 1, 2, …. A CSV file's first column holds names,
words or whole numbers, which need not be contiguous. One-hot rows are positions too, in as many classes as they have
columns.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np

from jitnet.datasets.raw import RawData
from jitnet.errors import DataError

__all__ = ["MAX_CLASSES", "resolve"]

MAX_CLASSES = 65_536

MAX_GAP = 16
"""Neighbouring classes without a sample that are let pass (or as many as there are classes with samples): a small
extract lacks a class or two, but a 200 among labels 0..9 is damage."""


def resolve(data: RawData, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Names of the classes, and (n,) int64 labels for the training split and, where there is one, the test split.

    classes: the classes to sort the labels into; names of the file that equal one of them go there, and numbers that
    are no name go by position. Raises DataError for a label that is no class, and for fewer than two classes.
    """
    splits = [(raw.labels, raw.labels_from) for raw in (data.train, data.test) if raw is not None]
    values, widths = zip(*(_values(labels, where) for labels, where in splits), strict=True)
    wheres = [where for _, where in splits]
    if len({array.dtype.kind for array in values}) > 1:
        if not data.labels_are_names:
            raise DataError(
                f"{wheres[1]}: labels are of another kind than in {wheres[0]}; expected words or numbers in both"
            )
        values = tuple(array.astype(str) for array in values)

    width = max(widths)
    words = values[0].dtype.kind == "U"
    names = data.class_names or tuple(str(c) for c in range(width)) or None
    if names is not None and not words:
        for labels, where in zip(values, wheres, strict=True):
            _check_range(labels, where, len(names))
    elif classes is not None:
        names, values = _by_name(values, wheres, _distinct(np.concatenate(values)))
    elif words or data.labels_are_names:
        names, values = _by_name(values, wheres, names or _distinct(values[0]))
    else:
        names = _count_classes(values, wheres)

    if classes is not None:
        return tuple(classes), _translate(values, wheres, names, tuple(classes))
    _check_names(names, wheres[0])
    if len(names) > MAX_CLASSES:
        raise DataError(f"{wheres[0]}: has {len(names)} classes; jitnet takes at most {MAX_CLASSES}")
    if (values[0] == values[0][0]).all():
        raise DataError(
            f"{wheres[0]}: all {len(values[0])} labels are {names[values[0][0]]!r}; expected two classes or more"
        )
    return names, list(values)


def _values(labels: np.ndarray, where: str) -> tuple[np.ndarray, int]:
    """(n,) int64 or str, and the width of the one-hot rows (0 where labels are not one-hot)."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not labels.size:
        raise DataError(f"{where}: holds no labels")
    if labels.dtype.kind not in "buifU" or labels.ndim > 2 or labels.ndim == 0:
        raise DataError(
            f"{where}: labels are of type {labels.dtype} and shape {labels.shape}; "
            "expected whole numbers or one-hot rows"
        )
    if labels.ndim == 2:
        if labels.dtype.kind == "U":
            raise DataError(f"{where}: labels are words in the shape {labels.shape}; expected one a sample")
        bad = ~(((labels == 0) | (labels == 1)).all(axis=1) & ((labels == 1).sum(axis=1) == 1))
        if bad.any():
            raise DataError(
                f"{where}: row {int(bad.argmax())} (from 0) is not one-hot; expected a single 1 among {labels.shape[1]}"
            )
        return labels.argmax(axis=1).astype(np.int64), labels.shape[1]
    if labels.dtype.kind == "U":
        return labels, 0
    if labels.dtype.kind in "fu":
        bad = ~((labels == np.floor(labels)) & (np.abs(labels.astype(np.float64)) < 2.0**53))
        if bad.any():
            raise DataError(
                f"{where}: label {labels[bad.argmax()]} of sample {int(bad.argmax())} (from 0) is no whole number"
            )
    return np.ascontiguousarray(labels, dtype=np.int64), 0


def _check_range(labels: np.ndarray, where: str, n_classes: int) -> None:
    bad = (labels < 0) | (labels >= n_classes)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{where}: label {labels[at]} of sample {at} (from 0) is out of range; expected 0 to {n_classes - 1}"
        )


def _check_names(names: Sequence[str], where: str) -> None:
    """DataError for a name that can be neither shown nor written as UTF-8."""
    for name in names:
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise DataError(f"{where}: the class {name!r} has a control character in its name; expected plain text")


def _count_classes(values: Sequence[np.ndarray], wheres: Sequence[str]) -> tuple[str, ...]:
    """Names "0" … for positions in a list of classes whose length nobody gave: the training labels tell it."""
    found = np.unique(values[0])
    allowed = max(MAX_GAP, len(found))
    gaps = np.diff(found, prepend=-1) - 1
    if found[0] < 0:
        _check_range(values[0], wheres[0], int(found[-1]) + 1 if found[-1] >= 0 else 1)
    if (gaps > allowed).any():
        at = int((gaps > allowed).argmax())
        sample = int((values[0] == found[at]).argmax())
        below = f"the labels below it are {found[0]} to {found[at - 1]}" if at else "there are none below it"
        raise DataError(
            f"{wheres[0]}: label {found[at]} of sample {sample} (from 0) is out of range: {below}; "
            "labels count classes from 0"
        )
    names = tuple(str(c) for c in range(int(found[-1]) + 1))
    for labels, where in zip(values[1:], wheres[1:], strict=True):
        _check_range(labels, where, len(names))
    return names


def _distinct(values: np.ndarray) -> tuple[str, ...]:
    """The distinct labels as names, numbers sorted by value and words by letter."""
    return tuple(str(v) for v in np.unique(values))


def _by_name(
    values: Sequence[np.ndarray], wheres: Sequence[str], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    """`names`, and the position in it of every label."""
    position = {name: index for index, name in enumerate(names)}
    result = []
    for labels, where in zip(values, wheres, strict=True):
        found, inverse = np.unique(labels, return_inverse=True)
        for value in found:
            if str(value) not in position:
                at = int((labels == value).argmax())
                raise DataError(
                    f"{where}: label {str(value)!r} of sample {at} (from 0) is no class; expected one of {_list(names)}"
                )
        result.append(np.array([position[str(v)] for v in found], np.int64)[inverse.reshape(-1)])
    return names, tuple(result)


def _translate(
    values: Sequence[np.ndarray], wheres: Sequence[str], names: tuple[str, ...], classes: tuple[str, ...]
) -> list[np.ndarray]:
    """Indices into `names` as indices into `classes`: by name, or by position where names are mere numbers."""
    if names == classes:
        return list(values)
    position = {name: index for index, name in enumerate(classes)}
    table = np.array([position.get(name, -1) for name in names], np.int64)
    used = np.unique(np.concatenate(values))
    if (table[used] < 0).any() and all(name.isdigit() for name in names):
        table = np.array([int(name) if int(name) < len(classes) else -1 for name in names], np.int64)
    for labels, where in zip(values, wheres, strict=True):
        bad = table[labels] < 0
        if bad.any():
            raise DataError(
                f"{where}: class {names[labels[bad.argmax()]]!r} is not among the classes expected, {_list(classes)}"
            )
    return [table[labels] for labels in values]


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown}, … ({len(names)} in all)"
