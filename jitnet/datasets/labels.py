"""From labels as read from a file to class indices and class names.

One rule for all sources. Where the source lists its classes (`class_names`, `classes.txt`), whole numbers are positions
in that list, from 0. One-hot rows have as many classes as columns. Elsewhere the classes are the distinct labels of the
training data, words or whole numbers, in order: 0, 1, 2 are three classes, and so are 1, 2, 3. A class that has no
training sample could not be learned, so a test label that the training data lack is an error.
"""

import difflib
import numbers
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np

from jitnet.config.checking import quoted
from jitnet.datasets.raw import Raw, RawData, place_of
from jitnet.errors import DataError

__all__ = ["MAX_CLASSES", "check_names", "match", "resolve"]

MAX_CLASSES = 65_536

MAX_GAP = 16
"""Numbers without a sample between two labels, or as many as there are classes, beyond which the label of a single
sample is taken for damage: a 200 among labels 0..9."""


def resolve(data: RawData, classes: Sequence[str] | None) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Names of the classes, and (n,) int64 labels for the training split and, where there is one, the test split.

    classes: the classes to assign the labels to: by name, and numbers that are not names by position. Raises DataError
    for a label that is not a class, and for fewer than two classes.
    """
    splits = [raw for raw in (data.train, data.test) if raw is not None]
    values, widths = zip(
        *(_values(raw.labels, raw.labels_from, data.advice.not_classes) for raw in splits), strict=True
    )
    wheres = [raw.labels_from for raw in splits]
    if len({array.dtype.kind for array in values}) > 1:
        if not data.is_text:
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
        names, values = _by_name(values, splits, _distinct(np.concatenate(values)))
    else:
        if not words:
            _check_strays(values[0], wheres[0])
        names, values = _by_name(values, splits, names or _distinct(values[0]))

    _check_text(names, wheres[0])
    if classes is not None:
        chosen = tuple(classes)
        return chosen, [
            match(labels, names, chosen, raw.labels_from, raw.place) for labels, raw in zip(values, splits, strict=True)
        ]
    if len(names) > MAX_CLASSES:
        raise DataError(
            f"{wheres[0]}: has {len(names):,} classes; expected {MAX_CLASSES:,} at most: labels that many rows share"
        )
    if (values[0] == values[0][0]).all():
        all_are = "the only label is" if len(values[0]) == 1 else f"all {len(values[0])} labels are"
        raise DataError(
            f"{wheres[0]}: {all_are} {names[values[0][0]]!r}; expected two classes or more{data.labels_hint}"
        )
    return names, list(values)


def _values(labels: np.ndarray, where: str, advice: str) -> tuple[np.ndarray, int]:
    """(n,) int64 or str, and the width of the one-hot rows (0 where labels are not one-hot).

    advice: what messages say to do where labels may be numbers to predict."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not labels.size:
        raise DataError(f"{where}: holds no labels")
    if labels.dtype.kind not in "buifU" or labels.ndim > 2 or labels.ndim == 0:
        raise DataError(
            f"{where}: labels are of type {labels.dtype} and shape {labels.shape}; "
            "expected whole numbers, words or one-hot rows, or numbers to predict"
        )
    if labels.ndim == 2:
        if labels.dtype.kind == "U":
            raise DataError(f"{where}: labels are words in the shape {labels.shape}; expected one per sample")
        bad = ~(((labels == 0) | (labels == 1)).all(axis=1) & ((labels == 1).sum(axis=1) == 1))
        if bad.any():
            raise DataError(
                f"{where}: row {int(bad.argmax())} (from 0) is not one-hot, a single 1 among "
                f"{labels.shape[1]}; {advice}"
            )
        return labels.argmax(axis=1).astype(np.int64), labels.shape[1]
    if labels.dtype.kind == "U":
        empty = np.char.str_len(np.char.strip(labels)) == 0
        if empty.any():
            raise DataError(f"{where}: the label of sample {int(empty.argmax())} (from 0) is empty; expected a word")
        return labels, 0
    if labels.dtype.kind in "fu":
        bad = ~((labels == np.floor(labels)) & (np.abs(labels.astype(np.float64)) < 2.0**53))
        if bad.any():
            label = labels[bad.argmax()]
            found = (
                "too large for the number of a class"
                if label == np.floor(label) and np.isfinite(label)
                else "not a whole number"
            )
            raise DataError(f"{where}: label {label} of sample {int(bad.argmax())} (from 0) is {found}; {advice}")
    return np.ascontiguousarray(labels, dtype=np.int64), 0


def _check_range(labels: np.ndarray, where: str, n_classes: int) -> None:
    bad = (labels < 0) | (labels >= n_classes)
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{where}: label {labels[at]} of sample {at} (from 0) is out of range; expected 0 to {n_classes - 1}"
        )


def check_names(names: object, where: str, kind: str = "class") -> tuple[str, ...]:
    """Return names of classes or targets as text, whole numbers by their digits. kind: "class" or "target".

    Raises DataError for what is not a sequence of names, for a duplicate, as classes and targets are identified by
    their names, and for one that can be neither shown nor written as UTF-8.
    """
    if isinstance(names, str) or not isinstance(names, (Sequence, np.ndarray)):
        raise DataError(f"{where}: is {quoted(names)}; expected a sequence of names")
    for name in names:
        if not isinstance(name, (str, numbers.Integral)):
            raise DataError(f"{where}: a {kind} has the name {quoted(name)}; expected a word")
    checked = tuple(str(name) for name in names)
    _check_text(checked, where, kind)
    return checked


def _check_text(names: Sequence[str], where: str, kind: str = "class") -> None:
    if len(set(names)) < len(names):
        duplicate = next(name for place, name in enumerate(names) if name in names[:place])
        kinds = "classes" if kind == "class" else "targets"
        raise DataError(f"{where}: two {kinds} have the name {duplicate!r}; expected another name for each")
    for name in names:
        if not name.strip():
            raise DataError(f"{where}: a {kind} has the name {name!r}; expected a word")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise DataError(f"{where}: the {kind} {name!r} has a control character in its name; expected plain text")


def _check_strays(labels: np.ndarray, where: str) -> None:
    """DataError for a label that only one sample has, below 0 or far above the labels 0, 1, 2, … of all others."""
    found, first, counts = np.unique(labels, return_index=True, return_counts=True)
    far = np.diff(found, prepend=found[0]) - 1 > max(MAX_GAP, len(found))
    lone = (counts == 1) & (np.maximum.accumulate(far) | (found < 0))
    rest = found[~lone]
    if lone.any() and len(rest) > 1 and np.array_equal(rest, np.arange(len(rest))):
        sample = int(first[lone].min())
        raise DataError(
            f"{where}: label {labels[sample]} of sample {sample} (from 0) is out of range; expected 0 to "
            f"{len(rest) - 1}, as all the others are"
        )


def _distinct(values: np.ndarray) -> tuple[str, ...]:
    """The distinct labels as names, numbers sorted by value and words by letter."""
    return tuple(str(v) for v in np.unique(values))


def _by_name(
    values: Sequence[np.ndarray], splits: Sequence[Raw], names: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[np.ndarray, ...]]:
    """`names`, and the position in it of every label."""
    position = {name: index for index, name in enumerate(names)}
    result = []
    for labels, raw in zip(values, splits, strict=True):
        found, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        places = np.array([position.get(str(value), -1) for value in found], np.int64)
        if (places < 0).any():
            at = int(first[places < 0].min())
            label = repr(str(labels[at])) if labels.dtype.kind == "U" else labels[at]
            problem = f"label {label} {raw.place(at)} is not a class of the training data"
            raise DataError(f"{raw.labels_from}: {problem}; {_expected(names, str(labels[at]))}")
        result.append(places[inverse.reshape(-1)])
    return names, tuple(result)


def match(
    labels: np.ndarray,
    names: Sequence[str],
    classes: Sequence[str],
    where: str,
    place: Callable[[int], str] = place_of,
) -> np.ndarray:
    """Positions in `names` as positions in `classes`, (n,) int64: by name, whatever the order of the two.

    If all names are numbers and no class is one, numbers are positions in `classes`. place: where a sample is, for
    messages. Raises DataError for the first sample whose class is not among them; a name that no sample has does not
    matter.
    """
    names, classes = tuple(names), tuple(classes)
    if names == classes:
        return labels
    position = {name: index for index, name in enumerate(classes)}
    table = np.array([position.get(name, -1) for name in names], np.int64)
    if all(name.isdecimal() for name in names) and not any(name.isdecimal() for name in classes):
        table = np.array([int(name) if int(name) < len(classes) else -1 for name in names], np.int64)
    bad = table[labels] < 0
    if bad.any():
        at = int(bad.argmax())
        raise DataError(
            f"{where}: the class {place(at)}, {names[labels[at]]!r}, is not among those that the model "
            f"knows; {_expected(classes, names[labels[at]])}"
        )
    return table[labels]


def _expected(names: Sequence[str], found: str = "") -> str:
    """Which classes were expected, and of words those that are spelled most like the one that was found."""
    if list(names) == [str(c) for c in range(len(names))]:
        return f"expected 0 to {len(names) - 1}"
    lower = {name.lower(): name for name in names}
    close = [lower[name] for name in difflib.get_close_matches(found.lower(), lower, 3)]
    hint = f"; did you mean {' or '.join(close)}?" if close and not found.isdecimal() else ""
    return f"expected one of {_list(names)}{hint}"


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown}, … ({len(names)} in all)"
