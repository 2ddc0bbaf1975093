"""What a table is: columns of one kind each, of the same length, with missing values marked; and how a DataFrame
becomes one.

Nothing here imports pandas or polars: their columns can be asked for NumPy arrays.
"""

import datetime
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from jitnet.config.checking import quoted
from jitnet.config.nearest import nearest
from jitnet.errors import DataError

__all__ = [
    "EXACT",
    "MOST_NAMED",
    "Column",
    "Kind",
    "Table",
    "check_names",
    "column_of_integers",
    "column_of_words",
    "listed",
    "merged",
    "rounding",
    "table_from_frame",
]

Kind = Literal["number", "boolean", "date", "word"]

EXACT = 2**53
"""float64 holds every whole number up to this one, and beyond it only some."""

MOST_NAMED = 12
"""Names of columns that a message lists."""


@dataclass(frozen=True, eq=False)
class Column:
    """A named column of a table, and all values of one kind.

    kind and values, each (n,):
        "number"   float64, NaN where missing
        "boolean"  float64, 0 or 1, NaN where missing
        "date"     datetime64[us], NaT where missing; a date with a time zone is its time in UTC
        "word"     int32 codes, the places in `words`, -1 where missing
    words: distinct words, in the order in which they first occur, or the categories of a DataFrame.
        Some may have no row.
    notes: sentences for the user, such as that numbers were rounded.
    form: how the cells of a text file are written, such as "decimal commas" or "day/month/year".
    """

    name: str
    kind: Kind
    values: np.ndarray
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    form: str = ""

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> np.ndarray:
        """(n,) bool, True where a value is missing."""
        if self.kind == "word":
            return self.values < 0
        return np.isnat(self.values) if self.kind == "date" else np.isnan(self.values)


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of the same length with distinct names.

    source: the path, "standard input" or "the DataFrame", as messages name it.
    lines: (n,) int64, the line of the file in which each row begins, from 1; None where rows do not come from lines.
    dialect: how the file is written, in words, such as "commas, header in line 1, UTF-8".
    """

    source: str
    columns: tuple[Column, ...]
    lines: np.ndarray | None = None
    dialect: str = ""

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, which: str | int) -> Column:
        """Return a column by its name, or by its number: from 1, or from -1 for the last. A text that is no name but a
        whole number is a number too.

        Raises DataError, with the nearest name, where there is no such column.
        """
        for column in self.columns:
            if column.name == which:
                return column
        try:
            number = int(which)
        except ValueError:
            number = None
        n = len(self.columns)
        if number is None:
            guess = nearest(str(which), self.names)
            hint = f"did you mean {quoted(guess)}?" if guess is not None else f"it has {listed(self.names)}"
            raise DataError(f"{self.source}: has no column {quoted(which)}; {hint}")
        if not (1 <= number <= n or -n <= number <= -1):
            raise DataError(f"{self.source}: has no column {number}; expected a name, or a number from 1 to {n}")
        return self.columns[number - 1 if number > 0 else number]

    def take(self, rows: np.ndarray | slice) -> "Table":
        """Return a table of some rows: a mask, row numbers from 0, or a slice."""
        columns = tuple(replace(column, values=column.values[rows]) for column in self.columns)
        return replace(self, columns=columns, lines=None if self.lines is None else self.lines[rows])

    def where(self, row: int) -> str:
        """Name the table and a row of it, from 0, as `row_in_words`."""
        return f"{self.source}, {self.row_in_words(row)}"

    def row_in_words(self, row: int) -> str:
        """Name a row, from 0, as a user finds it: by its line in the file, or by its number from 0."""
        return f"row {row} (from 0)" if self.lines is None else f"line {self.lines[row]}"


def listed(names: Sequence[str]) -> str:
    """Names in a message: all, or the first of many and how many there are."""
    shown = ", ".join(quoted(name) for name in names[:MOST_NAMED])
    return shown if len(names) <= MOST_NAMED else f"{shown} and {len(names) - MOST_NAMED:,} more"


def check_names(names: Sequence[str], source: str) -> None:
    """Raise DataError where two columns have one name."""
    known = set()
    for name in names:
        if name in known:
            raise DataError(f"{source}: two columns are called {quoted(name)}; rename one")
        known.add(name)


def table_from_frame(frame: Any) -> Table:
    """Return the table that a pandas or polars DataFrame holds.

    Categories and text become words, whatever categories are. Numbers, true/false and dates stay what they are. None,
    NaN, NaT and NA are missing. Raises DataError for two columns of one name, no columns or rows, and values of other
    kinds: it names column and row.
    """
    source = "the DataFrame"
    names = [str(name) for name in frame.columns]
    if not names or not len(frame):
        raise DataError(f"{source}: holds no {'rows' if names else 'columns'}; expected one at least")
    check_names(names, source)
    by_place = getattr(frame, "iloc", None)
    series = [frame[name] if by_place is None else by_place[:, at] for at, name in enumerate(frame.columns)]
    columns = tuple(_from_series(name, one, source) for name, one in zip(names, series, strict=True))
    return Table(source, columns)


def _from_series(name: str, series: Any, source: str) -> Column:
    categories = getattr(getattr(series, "cat", None), "categories", None)
    if categories is not None and hasattr(series.cat, "codes"):  # of pandas, with the types that its user chose
        words = tuple(_word(value) for value in categories)
        return column_of_words(name, np.asarray(series.cat.codes, np.int32), words)
    kind = getattr(series.dtype, "kind", "") or ""  # of pandas; polars' columns show theirs as arrays
    if kind == "m":
        series = series.dt.total_seconds()
    if kind == "M":
        zone = getattr(series.dt, "tz", None)
        plain = series if zone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)
        return Column(name, "date", plain.to_numpy(dtype="datetime64[us]", na_value=np.datetime64("NaT")))
    if kind and kind in "iufbm" and not isinstance(series.dtype, np.dtype):  # pandas' types that know missing values
        present = ~np.asarray(series.isna(), bool)
        if kind in "iu" and present.all():
            return column_of_integers(name, series.to_numpy(dtype=np.uint64 if kind == "u" else np.int64), source)
        if kind in "iu":
            whole = np.zeros(len(present), np.uint64 if kind == "u" else np.int64)
            whole[present] = series[present].to_numpy(dtype=whole.dtype)
            return column_of_integers(name, whole, source, ~present)
        numbers_ = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return Column(name, "boolean" if kind == "b" else "number", numbers_)
    # As an array, a polars column of whole numbers with missing ones would be rounded to float64.
    some_null = getattr(series, "null_count", None) is not None and series.null_count()
    return _from_array(name, np.array(series.to_list(), object) if some_null else np.asarray(series), source)


def _from_array(name: str, array: np.ndarray, source: str) -> Column:
    match array.dtype.kind:
        case "i" | "u":
            return column_of_integers(name, array, source)
        case "b":
            return Column(name, "boolean", array.astype(np.float64))
        case "f":
            return Column(name, "number", array.astype(np.float64))
        case "M":
            return Column(name, "date", array.astype("datetime64[us]"))
        case "m":
            return Column(name, "number", array / np.timedelta64(1, "s"))
    return _from_objects(name, array.astype(object), source)


def _from_objects(name: str, array: np.ndarray, source: str) -> Column:
    """A column of Python objects: the one kind that all are; where words are among others, all become words."""
    if array.ndim != 1:
        raise DataError(f"{source}: column {quoted(name)} holds arrays; expected one value in each row")
    missing = np.array([_is_missing(value) for value in array], bool)
    present = array[~missing]
    kinds = {_kind_of(value) for value in present}
    if None in kinds:
        row = next(row for row, value in enumerate(array) if not missing[row] and _kind_of(value) is None)
        found = f"{quoted(array[row])} of type {type(array[row]).__name__}"
        expected = "expected numbers, words, true or false, or dates"
        raise DataError(f"{source}: column {quoted(name)} holds {found} in row {row} (from 0); {expected}")
    if kinds == {"date"}:
        dates = np.full(len(array), np.datetime64("NaT"), "datetime64[us]")
        dates[~missing] = [_naive(value) for value in present]
        return Column(name, "date", dates)
    if kinds <= {"number", "boolean"}:
        if all(isinstance(value, numbers.Integral) and not isinstance(value, bool) for value in present) and kinds:
            return column_of_integers(name, np.where(missing, 0, array), source, missing)
        values = np.full(len(array), np.nan)
        try:
            values[~missing] = [float(value) for value in present]
        except OverflowError:
            raise DataError(f"{source}: column {quoted(name)} holds a number beyond float64") from None
        return Column(name, "boolean" if kinds == {"boolean"} else "number", values)
    found = ", ".join(sorted(str(kind) for kind in kinds))
    notes = () if kinds == {"word"} else (f"holds values of several kinds ({found}): kept as words",)
    places: dict[str, int] = {}
    codes = [
        -1 if gone else places.setdefault(_word(value), len(places)) for value, gone in zip(array, missing, strict=True)
    ]
    return replace(column_of_words(name, np.array(codes, np.int32), tuple(places)), notes=notes)


def column_of_words(name: str, codes: np.ndarray, words: tuple[str, ...]) -> Column:
    """Return a column of words from codes, -1 where missing."""
    return Column(name, "word", codes, words)


def column_of_integers(name: str, whole: np.ndarray, source: str, missing: np.ndarray | None = None) -> Column:
    """Return a column of whole numbers, of integers or Python's ints, as float64; two that differ never become one.

    Where float64 would merge two, the column is kept as words; where it only rounds some, a note says so.
    """
    kept = whole if missing is None else whole[~missing]
    try:
        values = whole.astype(np.float64)
    except OverflowError:
        raise DataError(f"{source}: column {quoted(name)} holds a whole number beyond float64") from None
    notes: tuple[str, ...] = ()
    if len(kept) and max(abs(int(kept.min())), abs(int(kept.max()))) > EXACT:
        distinct = np.unique(kept)
        rounded = distinct.astype(np.float64)
        if len(np.unique(rounded)) < len(distinct):
            at = int(np.flatnonzero(rounded[1:] == rounded[:-1])[0])
            places = {int(value): place for place, value in enumerate(dict.fromkeys(kept.tolist()))}
            codes = np.full(len(whole), -1, np.int32)
            codes[slice(None) if missing is None else ~missing] = [places[int(value)] for value in kept]
            words = tuple(str(value) for value in places)
            return replace(column_of_words(name, codes, words), notes=(merged(distinct[at], distinct[at + 1]),))
        inexact = [int(value) for value in distinct if int(float(value)) != int(value)]
        if inexact:
            notes = (rounding(inexact[0], len(inexact)),)
    if missing is not None:
        values[missing] = np.nan
    return Column(name, "number", values, notes=notes)


def merged(one: object, other: object) -> str:
    """The note for whole numbers that float64 would merge."""
    return f"{one} and {other} are the same number in float64: kept as words"


def rounding(example: object, n: int) -> str:
    """The note for whole numbers that float64 rounds, none to another's value."""
    return f"{n:,} whole number{'s' if n > 1 else ''} beyond 2^53, such as {example}, rounded to float64"


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, Decimal, np.floating, np.datetime64)) and bool(value != value)


def _kind_of(value: Any) -> Kind | None:
    if isinstance(value, (bool, np.bool_)):
        return "boolean"
    if isinstance(value, (numbers.Real, Decimal)):
        return "number"
    if isinstance(value, str):
        return "word"
    return "date" if isinstance(value, (datetime.date, np.datetime64)) else None


def _naive(value: Any) -> Any:
    """A date without its time zone, in UTC."""
    if getattr(value, "tzinfo", None) is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(value, "us")


def _word(value: Any) -> str:
    """A category or a value among words as text: a whole float without its point, as a CSV file would say it."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer() and abs(float(value)) < EXACT:
        return str(int(value))
    return str(value)
