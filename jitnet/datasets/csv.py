"""CSV files: one sample per line, the label first, then its values; with or without a header line.

Labels are words or whole numbers, and are names of classes. UTF-8, with commas, semicolons or tabs between the columns:
whichever fits the first lines. `tables.plain` says which files are read so, and which as tables.
One file holds one split.
"""

import codecs
import warnings
from collections.abc import Iterator
from itertools import islice
from math import prod
from pathlib import Path
from typing import TextIO

import numpy as np

from jitnet.datasets.files import check_file, reading
from jitnet.datasets.raw import Raw, RawData
from jitnet.errors import DataError
from jitnet.tables.dialect import separator_of

__all__ = ["read", "read_rows"]

LINES_AT_ONCE = 4096
LINES_OF_SAMPLE = 20
LAST = "; the last column looks like labels: if it holds them, move it to the front, or name it as the target"
SEPARATORS = ",;\t"
HEADINGS = {"label", "labels", "class", "target", "y"}
"""A first line that begins with one of these is a header, even if the other columns are numbered."""


def read(path: Path) -> RawData:
    """The one split in a CSV file, as training data.

    Values that are all whole numbers in 0..255 are uint8, others float32.
    Raises DataError, with line and column counted from 1, for ragged lines, words among the values, and missing labels.
    """
    check_file(path, "a CSV file")
    words: list[str] = []
    pieces: list[np.ndarray] = []
    with reading(path), path.open(encoding="utf-8-sig", newline=None) as file:
        try:
            for labels, values in _pieces(file, path):
                words += labels
                pieces.append(values)
        except UnicodeDecodeError:
            raise DataError(f"{path}: is {_other_text(path)}; expected a CSV file in UTF-8") from None
        if not pieces:
            raise DataError(f"{path}: holds no samples; expected one per line, the label first")
        kind = np.dtype(np.uint8 if all(piece.dtype == np.uint8 for piece in pieces) else np.float32)
        images = np.concatenate([piece.astype(kind, copy=False) for piece in pieces])
    hint = LAST if _may_be_labels(images[:, -1]) else ""
    raw = Raw(images, _labels(words, path, hint), str(path), f"{path}: first column")
    return RawData(raw, None, is_text=True, labels_hint=hint)


def _other_text(path: Path) -> str:
    with path.open("rb") as file:
        is_utf16 = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return "UTF-16 text" if is_utf16 else "not UTF-8 text"


def read_rows(file: TextIO, where: str, n_values: int) -> tuple[np.ndarray, bool]:
    """The rows of a plain file to predict, (n, n_values) float32, and whether there was a label before each.

    where: the file in messages. Raises DataError for another number of columns, and for what is no finite number.
    """
    numbered = [(number, line.rstrip("\n")) for number, line in enumerate(file, 1) if line.strip()]
    if not numbered:
        raise DataError(f"{where}: holds no rows")
    sample = "\n".join(line for _, line in numbered[:LINES_OF_SAMPLE])
    separator = separator_of(sample.encode(), SEPARATORS)
    if all(_number(cell) is None for cell in numbered[0][1].split(separator)) or _is_header(numbered[:2], separator):
        del numbered[0]
    found = numbered[0][1].count(separator) + 1 if numbered else 0
    if found not in (n_values, n_values + 1):
        raise DataError(
            f"{where}: has {found} column{'s' * (found != 1)}; the model expects {n_values}, in the order of the data "
            "that it was trained on, or a label before them"
        )
    labelled = found > n_values
    if labelled:
        numbered = [(number, _cut(line, separator)[1]) for number, line in numbered]
    values = _table([line for _, line in numbered], separator, n_values)
    if values is None or not np.isfinite(values).all():
        _raise_error(Path(where), [(n, f"0{separator}{line}") for n, line in numbered], separator, n_values)
    return np.asarray(values, np.float32), labelled


def _pieces(file: TextIO, path: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Labels and values of a few thousand lines at a time."""
    numbered = ((number, line.rstrip("\n")) for number, line in enumerate(file, 1))
    lines = ((number, line) for number, line in numbered if line.strip())
    start = list(islice(lines, LINES_OF_SAMPLE))
    if not start:
        return
    sample = "\n".join(line for _, line in start)
    separator = separator_of(sample.encode(), SEPARATORS) or ","
    n_values = len(_cut(start[0][1], separator)[1].split(separator)) if separator in start[0][1] else 0
    if not n_values:
        raise DataError(
            f"{path}, line {start[0][0]}: has one column; expected the label, then values, with commas between"
        )
    if _is_header(start, separator):
        del start[0]
    while chunk := start + list(islice(lines, LINES_AT_ONCE - len(start))):
        start = []
        cut = [_cut(line, separator) for _, line in chunk]
        values = _table([rest for _, rest in cut], separator, n_values)
        if values is None or not np.isfinite(values).all():
            _raise_error(path, chunk, separator, n_values)
        else:
            small = values.min() >= 0 and values.max() <= 255 and (values == np.floor(values)).all()
            yield [label for label, _ in cut], values.astype(np.uint8 if small else np.float32)


def _table(rows: list[str], separator: str, n_values: int) -> np.ndarray | None:
    """(rows, values) whole numbers or floats; None where the rows are not a table of numbers."""
    shape = (len(rows), n_values)
    try:
        # Whole numbers, as pixels are, parse four times as fast as floats. Older NumPys only warn about a non-number.
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            whole = np.fromstring(separator.join(rows), np.int64, sep=separator)
        exact = whole.min(initial=0) > -(2**53) and whole.max(initial=0) < 2**53
        if exact and whole.size == prod(shape) and {row.count(separator) for row in rows} == {n_values - 1}:
            return whole.reshape(shape)
    except (ValueError, DeprecationWarning):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of no rows, or of too large a number: both are found below
            table = np.loadtxt(rows, np.float32, delimiter=separator, comments=None, quotechar='"', ndmin=2)
    except ValueError:
        return None
    return table if table.shape == shape else None


def _cut(line: str, separator: str) -> tuple[str, str]:
    """The label, without quotes, and the rest of a line."""
    if line.startswith('"'):
        label, _, rest = line[1:].partition('"' + separator)
        return label.replace('""', '"').strip(), rest
    label, _, rest = line.partition(separator)
    return label.strip(), rest


def _number(cell: str) -> float | None:
    try:
        return float(cell.strip().strip('"'))
    except ValueError:
        return None


def _is_header(start: list[tuple[int, str]], separator: str) -> bool:
    """Whether the first line names columns, judged by its label, its values, and the label of the next line."""
    label, rest = _cut(start[0][1], separator)
    if label.lower() in HEADINGS or all(_number(cell) is None for cell in rest.split(separator)):
        return True
    return len(start) > 1 and _number(label) is None and _number(_cut(start[1][1], separator)[0]) is not None


def _raise_error(path: Path, chunk: list[tuple[int, str]], separator: str, n_values: int) -> None:
    """DataError for the place that cannot be read as numbers."""
    last = [line.split(separator)[-1].strip() for _, line in chunk]
    hint = LAST if all(cell and _number(cell) is None for cell in last) else ""
    for number, line in chunk:
        cells = _cut(line, separator)[1].split(separator)
        if len(cells) != n_values and line.count('"') % 2:
            raise DataError(
                f"{path}, line {number}: has a cell in quotes that goes on in the next line; expected a row in one line"
            )
        if len(cells) != n_values:
            raise DataError(f"{path}, line {number}: has {len(cells) + 1} columns; the first line has {n_values + 1}")
        for column, cell in enumerate(cells, 2):
            value = _number(cell)
            if value is None or not abs(value) <= float(np.finfo(np.float32).max):
                where = f"{path}, line {number}, column {column}"
                found = f"{cell.strip()[:40]!r} is not a finite number"
                raise DataError(f"{where}: {found}; expected the label first, then numbers{hint}")
    raise DataError(f"{path}, lines {chunk[0][0]} to {chunk[-1][0]}: expected the label first, then numbers")


def _may_be_labels(column: np.ndarray) -> bool:
    """Whether a column of numbers has few distinct values, all whole, as labels do."""
    distinct = np.unique(column)
    return 1 < len(distinct) <= len(column) / 2 and bool((distinct == np.rint(distinct)).all())


def _labels(words: list[str], path: Path, hint: str) -> np.ndarray:
    """(n,) int64 if all labels are whole numbers, else words; DataError for the first that is neither, with a hint
    where labels may be instead."""
    numbers = {word: _number(word) for word in dict.fromkeys(words)}
    numeric = all(number is not None for number in numbers.values())
    for word, number in numbers.items():
        finite = number is None or np.isfinite(number)
        if (
            not word
            or not finite
            or (numeric and number is not None and not (number.is_integer() and abs(number) < 2**53))
        ):
            where = f"{path}: the label of sample {words.index(word)} (from 0), in the first column,"
            raise DataError(f"{where} is {word or 'empty'}; expected a word or a whole number{hint}")
    return np.array([int(numbers[word] or 0) for word in words], np.int64) if numeric else np.array(words, np.str_)
