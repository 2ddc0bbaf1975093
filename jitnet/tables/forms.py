"""The forms that the cells of a column may have: numbers, true or false, dates, words, as people write them.

A form reads cells or raises Unfit for the first that it cannot read. It knows nothing of files and of other columns:
which form a column has is decided in `typed_columns`, by the form that reads all of its cells.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from jitnet.tables.arrow import arrow_modules
from jitnet.tables.table import EXACT, Kind

__all__ = ["POINT", "Answers", "Form", "Unfit", "candidates"]

POINT = "decimal points"


class Unfit(Exception):
    """A cell that a form cannot read: its row, from 0, among those that were to be read. is_infinite: all of them are
    numbers, and this one is not finite."""

    def __init__(self, row: int, cell: str, is_infinite: bool = False):
        super().__init__(cell)
        self.row, self.cell, self.is_infinite = row, cell, is_infinite


class Form(Protocol):
    """How the cells of a column are written. name: in words; two forms of a kind have different ones."""

    @property
    def kind(self) -> Kind: ...

    @property
    def name(self) -> str: ...

    def read(self, cells: Any) -> np.ndarray:
        """Values as a Column holds them, of an arrow array of stripped text, null where missing. Raises Unfit."""

    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the cells were read so far."""


@dataclass(slots=True)
class Numbers:
    """Numbers with a decimal mark, and perhaps a mark between thousands.

    thousands: a class of characters, or none. rounds: whether whole numbers that float64 does not hold may be rounded.
    """

    name: str
    decimal: str
    thousands: str = ""
    rounds: bool = False
    kind: Kind = "number"
    _proved: bool = field(default=False, init=False)
    _example: str = field(default="", init=False)

    def read(self, cells: Any) -> np.ndarray:
        pa, compute, _ = arrow_modules("")
        plain = cells
        if self.thousands:
            digits = rf"(\d{{1,3}}({self.thousands}\d{{3}})+|\d+)"
            _all_match(cells, rf"^[+-]?{digits}(\{self.decimal}\d*)?$")
            plain = compute.replace_substring_regex(cells, self.thousands, "")
        elif self.decimal == ",":
            _all_match(cells, r"^[+-]?(\d+,?\d*|,\d+)([eE][+-]?\d+)?$")
        if self.decimal == ",":
            plain = compute.replace_substring(plain, ",", ".")
        try:
            values = _floats(compute.cast(plain, pa.float64()))
        except pa.ArrowInvalid:
            _all_match(cells, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
            raise Unfit(0, str(cells[0].as_py())) from None
        if np.isinf(values).any():
            row = int(np.flatnonzero(np.isinf(values))[0])
            raise Unfit(row, cells[row].as_py(), is_infinite=True)
        if not self.rounds:
            self._check_exact(values, plain)
        if (self.decimal == "," or self.thousands) and not self._proved:
            self._look_for_proof(cells)
        return values

    def _check_exact(self, values: np.ndarray, plain: Any) -> None:
        """Raise Unfit for a whole number that is another in float64."""
        for row in np.flatnonzero(np.abs(values) >= EXACT).tolist():
            text = plain[row].as_py()
            if re.fullmatch(r"[+-]?\d+", text) and int(text) != int(values[row]):
                raise Unfit(row, text)

    def _look_for_proof(self, cells: Any) -> None:
        """Whether some cell can be read in one way only: "1,234" may have a decimal comma or one between thousands."""
        _, compute, _ = arrow_modules("")
        marked = compute.match_substring_regex(cells, r"\D\d")
        both = compute.match_substring_regex(cells, r"^[+-]?[1-9]\d{0,2}[^\d+-]\d{3}$")
        doubtful = _booleans(compute.and_(marked, both))
        self._proved = bool((_booleans(marked) & ~doubtful).any())
        if not self._example and doubtful.any():
            self._example = cells[int(np.flatnonzero(doubtful)[0])].as_py()

    def notes(self) -> tuple[str, ...]:
        if self._proved or not self._example:
            return ()
        whole = re.sub(r"\D", "", self._example)
        if self.thousands:
            return (
                f"{self._example} is read as {whole}, with a mark between thousands; a decimal mark looks the same",
            )
        point = self._example.replace(",", ".")
        return (f"{self._example} is read as {point}, with a decimal comma; a mark between thousands looks the same",)


@dataclass(slots=True)
class Answers:
    """Two words for true and false, in any case. Their name is as the first cells write them."""

    true: str
    false: str
    kind: Kind = "boolean"
    _written: dict[str, str] = field(default_factory=dict, init=False)

    @property
    def name(self) -> str:
        known = next(iter(self._written.values()), "")
        case = str.title if known.istitle() else str.upper if known.isupper() else str.lower
        return "/".join(self._written.get(word, case(word)) for word in (self.true, self.false))

    def read(self, cells: Any) -> np.ndarray:
        _, compute, _ = arrow_modules("")
        lower = compute.utf8_lower(cells)
        is_true, is_false = (_booleans(compute.equal(lower, word)) for word in (self.true, self.false))
        for word, has_it in ((self.true, is_true), (self.false, is_false)):
            if word not in self._written and has_it.any():
                self._written[word] = cells[int(has_it.argmax())].as_py()
        wrong = np.flatnonzero(~(is_true | is_false | _nulls(cells)))
        if len(wrong):
            raise Unfit(int(wrong[0]), cells[int(wrong[0])].as_py())
        values = is_true.astype(np.float64)
        values[_nulls(cells)] = np.nan
        return values

    def notes(self) -> tuple[str, ...]:
        return ()


PLACES = {"y": r"(?P<y>\d{4})", "m": r"(?P<m>\d{1,2})", "d": r"(?P<d>\d{1,2})", "s": r"(?P<y>\d{4}|\d{2})"}
TIME = (
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2}))?)?"
)
WORDS_OF_ORDER = {"y": "year", "m": "month", "d": "day", "s": "year"}


@dataclass(slots=True)
class Dates:
    """Dates of one order and separator, as "dms" with ".": 31.1.2024 or 31.1.24; a time may follow."""

    order: str
    mark: str
    kind: Kind = "date"
    _proved: bool = field(default=False, init=False)
    _example: str = field(default="", init=False)
    _short: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return self.mark.join(WORDS_OF_ORDER[place] for place in self.order)

    def read(self, cells: Any) -> np.ndarray:
        _, compute, _ = arrow_modules("")
        coded = cells.dictionary_encode()
        distinct = coded.dictionary
        pattern = rf"^{re.escape(self.mark).join(PLACES[place] for place in self.order)}{TIME}$"
        parts = compute.extract_regex(distinct, pattern)
        bad = _nulls(parts)
        values = np.empty(0, "M8[us]")
        if len(distinct) and not bad.any():
            values, bad = self._assembled(parts)
        codes = np.asarray(coded.indices.fill_null(-1), np.int64)
        if bad.any():
            row = int(np.flatnonzero(np.append(bad, False)[codes])[0])
            raise Unfit(row, cells[row].as_py())
        if len(distinct) and self.order != "ymd":
            self._look(parts, distinct)
        return np.append(values, np.datetime64("NaT"))[codes]

    def _assembled(self, parts: Any) -> tuple[np.ndarray, np.ndarray]:
        """Dates of their parts, and where there is no such date."""
        pa, compute, _ = arrow_modules("")

        def number(name: str) -> np.ndarray:
            text = compute.fill_null(compute.struct_field(parts, name), "0")
            return np.asarray(compute.cast(compute.if_else(compute.equal(text, ""), "0", text), pa.int64()))

        def text(name: str) -> Any:
            return compute.fill_null(compute.struct_field(parts, name), "")

        year, month, day = number("y"), number("m"), number("d")
        if "s" in self.order:
            year = np.where(year >= 100, year, np.where(year < 69, 2000 + year, 1900 + year))
        hour, minute, second = number("hour"), number("minute"), number("second")
        half = np.asarray(compute.utf8_lower(text("half")).to_numpy(zero_copy_only=False), str)
        bad = (half != "") & ((hour < 1) | (hour > 12))
        hour = np.where(half == "", hour, hour % 12 + np.where(half == "p", 12, 0))
        bad |= (month < 1) | (month > 12) | (day < 1) | (hour > 23) | (minute > 59) | (second > 60)
        months = ((year - 1970) * 12 + np.where(bad, 0, month - 1)).astype("M8[M]")
        days = months.astype("M8[D]") + np.where(bad, 0, day - 1)
        bad |= days.astype("M8[M]") != months
        fraction = compute.utf8_rpad(compute.utf8_slice_codeunits(text("fraction"), 0, 6), 6, "0")
        micro = np.asarray(compute.cast(fraction, pa.int64()))
        zone = np.asarray(text("zone").to_numpy(zero_copy_only=False), str)
        seconds = (hour * 60 + minute) * 60 + second - _offsets(zone)
        return days.astype("M8[us]") + (seconds * 1_000_000 + micro).astype("m8[us]"), bad

    def _look(self, parts: Any, distinct: Any) -> None:
        """Notice whether day and month can be told apart, and years of two digits."""
        pa, compute, _ = arrow_modules("")
        first, second = (compute.cast(compute.struct_field(parts, place), pa.int64()) for place in self.order[:2])
        first, second = np.asarray(first), np.asarray(second)
        self._proved |= bool((np.maximum(first, second) > 12).any())
        unlike = np.flatnonzero(first != second)
        if not self._example and len(unlike):
            self._example = distinct[int(unlike[0])].as_py()
        short = np.flatnonzero(_booleans(compute.equal(compute.utf8_length(compute.struct_field(parts, "y")), 2)))
        if not self._short and len(short):
            self._short = distinct[int(short[0])].as_py()

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self._example and not self._proved:
            notes.append(
                f"days and months cannot be told apart, no number is above 12: {self._example} is read as {self.name}"
            )
        if self._short:
            notes.append(f"years of two digits, as in {self._short}: 00 to 68 are read as 2000 to 2068, others as 19..")
        return tuple(notes)


def _offsets(zones: np.ndarray) -> np.ndarray:
    """Seconds east of UTC of zones, as "+02:00"; a date without one counts as UTC."""
    known = {}
    for zone in np.unique(zones).tolist():
        digits = re.sub(r"\D", "", zone).ljust(4, "0")
        known[zone] = (-1 if zone.startswith("-") else 1) * (int(digits[:2]) * 3600 + int(digits[2:4]) * 60)
    return np.array([known[zone] for zone in zones.tolist()], np.int64)


@dataclass(slots=True)
class Words:
    """Any text. places: the code of each word so far, in the order in which they came."""

    name: str = "words"
    kind: Kind = "word"
    places: dict[str, int] = field(default_factory=dict)

    def read(self, cells: Any) -> np.ndarray:
        coded = cells.dictionary_encode()
        places = self.places
        here = [places.setdefault(word, len(places)) for word in coded.dictionary.to_pylist()]
        return np.append(np.array(here, np.int32), np.int32(-1))[np.asarray(coded.indices.fill_null(-1))]

    def notes(self) -> tuple[str, ...]:
        return ()


SPACES = "[ \u00a0\u202f']"


def candidates(separator: str, *, rounds: bool = False) -> list[Form]:
    """Return every form, those first that are tried first.

    In a file with commas between cells, "1,234" in quotes is a thousand and more; in others a little more than one.
    rounds: whether whole numbers that float64 does not hold may be rounded.
    """
    comma = Numbers("decimal commas", ",", rounds=rounds)
    thousands = Numbers("commas between thousands", ".", ",", rounds=rounds)
    numbers = [
        Numbers(POINT, ".", rounds=rounds),
        *((thousands, comma) if separator == "," else (comma, thousands)),
        Numbers("points between thousands, decimal commas", ",", r"\.", rounds=rounds),
        Numbers("spaces between thousands", ".", SPACES, rounds=rounds),
        Numbers("spaces between thousands, decimal commas", ",", SPACES, rounds=rounds),
    ]
    years_first = [Dates("ymd", mark) for mark in "-/."]
    others = [
        Dates(order, mark)
        for mark, orders in (("/", ("mds", "dms")), (".", ("dms", "mds")), ("-", ("dms", "mds")))
        for order in orders
    ]
    return [*numbers, Answers("true", "false"), Answers("yes", "no"), *years_first, *others, Words()]


def _all_match(cells: Any, pattern: str) -> None:
    """Raise Unfit for the first cell that does not match; missing ones do."""
    _, compute, _ = arrow_modules("")
    wrong = np.flatnonzero(~_booleans(compute.fill_null(compute.match_substring_regex(cells, pattern), True)))
    if len(wrong):
        raise Unfit(int(wrong[0]), cells[int(wrong[0])].as_py())


def _booleans(array: Any) -> np.ndarray:
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False), bool)


def _nulls(array: Any) -> np.ndarray:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)


def _floats(array: Any) -> np.ndarray:
    """float64 of an arrow array, NaN where null."""
    return np.asarray(array.to_numpy(zero_copy_only=False), np.float64)
