"""Columns while they are read, block by block: which form their cells have, and their values in it.

A column starts with every form and keeps those that read all cells so far, in the order of `forms.candidates`. Where
the form in use fails behind cells that it has read, those must be read again in the next one: the file is read a second
time, for that column only.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from jitnet.config.checking import quoted
from jitnet.errors import DataError
from jitnet.tables.forms import POINT, Answers, Form, Unfit, Words, candidates
from jitnet.tables.growing import Growing
from jitnet.tables.table import EXACT, Column, Kind, merged, rounding

__all__ = ["TypedColumn"]

MISSING_VALUES = {"number": np.nan, "boolean": np.nan, "date": np.datetime64("NaT", "us"), "word": -1}

Where = Callable[[int], str]

PROBED = 64
"""Cells that a form reads before all of a block."""

MOSTLY = 0.9
"""Share of a column's cells of which a note says that they are numbers or dates, and that others are not."""

NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}([ T].*)?|\d{1,2}([-/.])\d{1,2}\3(\d{4}|\d\d)( .*)?")

EXPECTED = {"number": "a number", "boolean": "true or false, yes or no, or 1 or 0", "date": "a date", "word": "a word"}


class TypedColumn:
    """A column that is being read."""

    def __init__(
        self, name: str, separator: str, where: Where, given: tuple[Kind, str] | None = None, advice: str = ""
    ):
        """where: names a row, from 0. given: the kind that the column must have, and the form that is tried first.
        advice: what to add where a cell is not of that kind."""
        self.name = name
        self.where = where
        self.given = given
        self.advice = advice
        forms = candidates(separator, rounds=given is not None)
        if given is not None:
            forms = [form for form in forms if form.kind == given[0]]
            forms += [Answers("1", "0")] * (given[0] == "boolean")
            forms.sort(key=lambda form: form.name != given[1].lower())
        self.forms = forms
        self.values = _empty(self.form.kind)
        self.n_present = 0
        self.must_be_read_again = False
        self.worst = -1, ""

    @property
    def form(self) -> Form:
        """The form in use."""
        return self.forms[0]

    @property
    def is_plain(self) -> bool:
        """Whether cells so far are numbers as a reader of text takes them."""
        return self.form.name == POINT

    def start_again(self) -> None:
        """Read all cells once more, in the form that is in use now."""
        self.values, self.n_present, self.must_be_read_again = _empty(self.form.kind), 0, False
        if isinstance(self.form, Words):
            self.form.places.clear()

    def add_numbers(self, values: np.ndarray) -> None:
        """Append plain numbers, NaN where missing, that were read as such."""
        self.n_present += int(np.count_nonzero(values == values))
        if not self.must_be_read_again:
            self.values.append(values)

    def add(self, cells: Any, first_row: int) -> None:
        """Append an arrow array of stripped text, null where missing. first_row: the number of its first row."""
        while True:
            try:
                if len(cells) > 2 * PROBED:
                    self.form.read(cells[:PROBED])  # most forms that do not fit fail here, before they cost anything
                values = self.form.read(cells)
                break
            except Unfit as unfit:
                self._drop_form(unfit, first_row)
        self.n_present += len(cells) - cells.null_count
        if not self.must_be_read_again:
            self.values.append(values)

    def _drop_form(self, unfit: Unfit, first_row: int) -> None:
        row = first_row + unfit.row
        if unfit.is_infinite:
            raise DataError(
                f"{self.where(row)}, column {quoted(self.name)}: {quoted(unfit.cell)} is not a finite number; "
                "expected one within float64, or an empty cell where it is missing"
            )
        self.worst = max(self.worst, (row, unfit.cell), key=lambda found: found[0])
        if len(self.forms) == 1:
            row, cell = self.worst  # where the form that reads most cells ends: others fail at the first
            kind = EXPECTED[self.form.kind]
            where = f"{self.where(row)}, column {quoted(self.name)}"
            raise DataError(
                f"{where}: holds {quoted(cell)}; expected {kind}, or an empty cell where it is missing{self.advice}"
            )
        del self.forms[0]
        if self.n_present:
            self.must_be_read_again = True
            self.values.finish()
        else:  # only missing values so far
            n_rows = len(self.values)
            self.values = _empty(self.form.kind)
            self.values.append(np.full(n_rows, MISSING_VALUES[self.form.kind]))

    def column(self) -> Column:
        """Return the column that was read. Raises DataError for decimal points and commas in one column."""
        form = self.form
        # Where it is known that a column is true or false, its words are the known ones, whichever the file has.
        name = self.given[1] if self.given is not None and form.kind == "boolean" else form.name
        notes = () if self.given else form.notes()
        column = Column(self.name, form.kind, self.values.finish(), form=name, notes=notes)
        if isinstance(form, Words):
            return self._of_words(replace(column, words=tuple(form.places)))
        return column

    def _of_words(self, column: Column) -> Column:
        """A column of words, looked at again for numbers that float64 may merge, and for nearly another kind."""
        if self.given is not None or not len(column.words):
            return column
        are_numbers = [NUMBER.fullmatch(word) is not None for word in column.words]
        if all(are_numbers):
            self._check_one_mark(column)
            if (exact := _exact(column)) is not None:
                return exact
        for kind, fits in (
            ("numbers", are_numbers),
            ("dates", [DATE.fullmatch(word) is not None for word in column.words]),
        ):
            others = ~np.append(np.array(fits), True)[column.values]
            n = len(column) - int(np.count_nonzero(column.missing)) - int(np.count_nonzero(others))
            if others.any() and n >= MOSTLY * (len(column) - np.count_nonzero(column.missing)):
                row = int(np.flatnonzero(others)[0])
                found = quoted(column.words[column.values[row]])
                note = f"{n:,} values are {kind}, and {_line(self.where(row))} holds {found}: kept as words"
                return replace(column, notes=(note,))
            if all(fits):
                return replace(column, notes=(f"all values look like {kind}, and not in one way: kept as words",))
        return column

    def _check_one_mark(self, column: Column) -> None:
        """Raise DataError where some numbers have a decimal comma and others a decimal point."""
        marks = np.array(["," if "," in word else "." if "." in word else "" for word in column.words] + [""])[
            column.values
        ]
        marked = np.flatnonzero(marks != "")
        changed = marked[marks[marked] != marks[marked[0]]] if len(marked) else marked
        if len(changed):
            first, other = (column.words[column.values[row]] for row in (marked[0], changed[0]))
            raise DataError(
                f"{self.where(int(changed[0]))}, column {quoted(self.name)}: {other} has a decimal {_mark(other)}, and "
                f"{first} in {_line(self.where(int(marked[0])))} a decimal {_mark(first)}; expected one in all rows"
            )


def _mark(number: str) -> str:
    return "comma" if "," in number else "point"


def _line(where: str) -> str:
    return where.rpartition(", ")[2]


def _empty(kind: Kind) -> Growing:
    return Growing({"word": "i4", "date": "M8[us]"}.get(kind, "f8"))


def _exact(column: Column) -> Column | None:
    """The column of numbers that a column of words is, where float64 rounds some and merges none; else the column of
    words, with a note of two that would be merged. None where it has decimal commas."""
    if any("," in word for word in column.words):
        return None
    exact = [Decimal(word) for word in column.words]
    floats = [float(word) for word in column.words]
    known: dict[float, int] = {}
    for place, value in enumerate(floats):
        other = known.setdefault(value, place)
        if exact[other] != exact[place] and abs(value) >= EXACT:
            return replace(column, notes=(merged(column.words[other], column.words[place]),))
    inexact = [
        word for word, one, other in zip(column.words, exact, floats, strict=True) if abs(one) > EXACT and one != other
    ]
    values = np.append(np.array(floats), np.nan)[column.values]
    notes = (rounding(inexact[0], len(inexact)),) if inexact else ()
    return Column(column.name, "number", values, form=POINT, notes=notes)
