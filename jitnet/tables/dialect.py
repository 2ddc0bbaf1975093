"""How a text of rows is written: which separator, and whether the first row is a header. Decided here from the first
rows, by rules in words, and never by a reader that guesses; `rows` then checks every row of the text against it.

The separator: each candidate cuts the first rows into cells, quotes minded. Those under which most rows have the same
number of cells, two at least, are left. Of them that one is taken under which the largest share of cells is something
known: a number with a decimal point or comma, a date, true or false, or missing. Of equals the one that is first in
SEPARATORS. So "1;28,95" is two numbers. Spaces separate only where most cells are numbers. Without any, there is one
column.

The header, by comparing each cell of the first row with those below it. The first rule that fits decides:
1. A word above only known things speaks for a header, something known in the first row against it. More for than
   against: a header. Rows that equal the first do not count.
2. A cell that is a usual name of a target, and is not found again in its column: a header.
3. Nothing known in the first row: a header if its cells are all different and none is found again in its column.
4. Three or more evenly spaced whole numbers (years, places) beside words that are not found again: a header.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise

from jitnet.config.checking import quoted
from jitnet.errors import DataError

__all__ = [
    "MISSING",
    "SEPARATORS",
    "TARGET_NAMES",
    "Dialect",
    "Torn",
    "decide",
    "first_rows",
    "has_quoted_cells",
    "is_header",
    "is_missing",
    "records",
    "sample_of",
    "separator_of",
]

SEPARATORS = {
    ",": "commas",
    ";": "semicolons",
    "\t": "tabs",
    "|": "vertical bars",
    "^": "carets",
    "~": "tildes",
    "\x1f": "unit separators",
    "\x01": "control codes 1",
    " ": "spaces",
}

NO_SEPARATOR = "\x1e"
"""In the place of one, for the only column of a text, whose cells may hold commas."""

TARGET_NAMES = ("target", "label", "class", "y")

MISSING = (
    *("", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "-NaN", "NaT"),
    *("NULL", "null", "Null", "None", "none", "NONE", "?", "-", "--", "."),
)
"""Cells that mean that a value is missing, quoted or not."""

SAMPLE_BYTES = 1 << 18
SAMPLE_LINES = 10
"""Lines that the first rows are looked for in, even where they have more bytes."""

SAMPLE_ROWS = 500

KNOWN = re.compile(
    r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?"  # numbers, with any decimal mark and thousands
    r"|\d{4}([-/.])\d{1,2}\4\d{1,2}([ T].*)?|\d{1,2}([-/.])\d{1,2}\6(\d{4}|\d\d)( .*)?"  # dates
    r"|(?i:true|false|yes|no)"
)


class Torn(Exception):
    """A cell whose quotes do not fit: `at` is where it begins; `open`, whether the text ends within its quotes."""

    def __init__(self, at: int, end: int, is_open: bool):
        self.at, self.end, self.is_open = at, end, is_open


@dataclass(frozen=True)
class Dialect:
    """How a text is written. names: one a column. skipped: lines before the first row ("sep=;"). encoding: in words."""

    separator: str
    has_header: bool
    names: tuple[str, ...]
    skipped: int
    encoding: str

    def __str__(self) -> str:
        marks = (
            SEPARATORS.get(self.separator, f"{self.separator!r} between cells") if len(self.names) > 1 else "one column"
        )
        header = f"header in line {self.skipped + 1}" if self.has_header else "no header"
        return f"{marks}, {header}, {self.encoding}"


def is_missing(cell: str) -> bool:
    """Whether a cell means that its value is missing."""
    return cell.strip() in MISSING


def records(text: bytes, separator: str, at: int = 0) -> Iterator[tuple[int, list[bytes]]]:
    """Yield where each row ends, behind its line end, and its cells without their quotes.

    A cell that begins with a quotation mark ends with one, and a doubled one within is one; spaces around it do not
    count. A mark in a cell that begins otherwise is itself. The last row may lack its line end. Raises Torn for a
    quoted cell that does not end at a separator or line end.
    """
    cell = _cell(separator)
    cut = separator.encode()
    while at < len(text):
        cells = []
        while True:
            found = cell.match(text, at)
            if found is None:
                end = _opened(separator).match(text, at).end()  # type: ignore[union-attr]
                raise Torn(at, end, end == len(text))
            cells.append(found[2] if found[1] is None else found[1].replace(b'""', b'"'))
            at = found.end() + 1
            if text[at - 1 : at] != cut:
                break
        yield min(at, len(text)), cells


@cache
def _cell(separator: str) -> re.Pattern[bytes]:
    mark = re.escape(separator.encode())
    space = b"" if separator == " " else b" *"
    quoted_cell = space + rb'"([^"]*(?:""[^"]*)*)"' + space + rb"(?=" + mark + rb"|\n|\Z)"
    return re.compile(quoted_cell + rb"|(?!" + space + rb'")([^\n' + mark + rb"]*)")


@cache
def _opened(separator: str) -> re.Pattern[bytes]:
    return re.compile((b"" if separator == " " else b" *") + rb'"[^"]*(?:""[^"]*)*"?')


def decide(text: bytes, whole: bool, source: str, encoding: str) -> Dialect:
    """Return the dialect of a text by its first rows.

    text: its beginning. whole: whether that is all of it. Raises DataError for a text without rows, and for a header
    with an empty name or two equal ones.
    """
    declared = re.match(rb"sep=(.)\n", text)
    skipped = 1 if declared else 0
    text = text[declared.end() if declared else 0 :]
    if not text.strip():
        raise DataError(f"{source}: holds no rows; expected a table")
    sample = sample_of(text, whole)
    if not sample:
        raise DataError(f"{source}, line {skipped + 1}: is longer than {len(text) >> 20} MiB; expected rows of a table")
    separator = (declared[1].decode() if declared else separator_of(sample)) or NO_SEPARATOR
    rows = first_rows(sample, separator)
    first = rows[0] if rows else []
    skipped += re.match(rb"(?: *\n)*", text)[0].count(b"\n")  # type: ignore[index]
    alone = len(rows) == 1 and whole and not _behind_first_row(sample, separator).strip()
    has_header = bool(rows) and is_header(first, rows[1:])
    if has_header and alone:
        raise DataError(f"{source}, line {skipped + 1}: holds only a header, {', '.join(first)[:60]}, and no rows")
    if not has_header:
        width = Counter(len(row) for row in rows).most_common(1)[0][0] if rows else 1
        return Dialect(separator, False, tuple(f"column {n}" for n in range(1, width + 1)), skipped, encoding)
    names = tuple(cell.strip() for cell in first)
    where = f"{source}, line {skipped + 1}"
    (width, n), *_ = Counter(len(row) for row in rows[1:] or rows).most_common(1)
    if width != len(names) and n > max(1, len(rows) // 2):
        why = _why(names, [row for row in rows[1:] if len(row) == width])
        raise DataError(
            f"{where}: the header has {len(names)} name{'s' if len(names) > 1 else ''}, and rows below it have {width} "
            f"field{'s' if width > 1 else ''}; expected as many{why}"
        )
    places: dict[str, int] = {}
    for at, name in enumerate(names):
        if not name:
            hint = "; every line ends with a separator, perhaps" if at == len(names) - 1 else ""
            hint = "; it is an index that pandas wrote, perhaps: leave it out with index=False" if at == 0 else hint
            raise DataError(f"{where}: column {at + 1} of the header has no name; expected one{hint}")
        if (first_at := places.setdefault(name, at)) < at:
            raise DataError(f"{where}: columns {first_at + 1} and {at + 1} are both called {quoted(name)}; rename one")
    return Dialect(separator, True, names, skipped, encoding)


def _why(names: Sequence[str], rows: list[list[str]]) -> str:
    """Why a header may have another number of names than the rows have fields."""
    if len(names) == 1:
        return "; the line is not the header, perhaps: remove what is above that"
    if len(rows[0]) != len(names) + 1:
        return ""
    is_empty = not any(row[-1].strip() for row in rows)
    return f"; {'every row ends with a separator' if is_empty else 'the first of a row is its name'}, perhaps"


def sample_of(text: bytes, whole: bool) -> bytes:
    """The lines of a text's beginning by which its dialect is decided; whole: whether that is all of it."""
    end = SAMPLE_BYTES
    if text.count(b"\n", 0, end) < SAMPLE_LINES:  # long lines
        ends = [line_end.end() for line_end in islice(re.finditer(b"\n", text), SAMPLE_LINES)]
        end = ends[-1] if len(ends) == SAMPLE_LINES else len(text)
    sample = text[:end]
    return sample if whole and len(sample) == len(text) else sample[: sample.rfind(b"\n") + 1]


def has_quoted_cells(text: bytes, separator: str) -> bool:
    """Whether some cell of whole rows begins with a quotation mark; where none does, every mark is itself."""
    return _quoted_start(separator).search(text) is not None


@cache
def _quoted_start(separator: str) -> re.Pattern[bytes]:
    return re.compile(rb"(?:\A|[\n" + re.escape(separator.encode()) + rb"]) *\"")


def _behind_first_row(text: bytes, separator: str) -> bytes:
    at = len(text) - len(text.lstrip(b" \n"))
    return text[next(records(text, separator, at))[0] :]


def first_rows(sample: bytes, separator: str) -> list[list[str]]:
    """Cells of the first rows that are not blank; fewer where quotes do not fit."""
    rows: list[list[str]] = []
    try:
        for _, cells in records(sample, separator):
            if len(cells) > 1 or cells[0].strip():
                cells = [cell for cell in cells if cell] if separator == " " else cells
                rows.append([cell.decode("utf-8", "replace") for cell in cells])
            if len(rows) == SAMPLE_ROWS:
                break
    except Torn:
        pass  # `rows` raises the error, with its line
    return rows


def separator_of(sample: bytes, candidates: Iterable[str] = SEPARATORS) -> str:
    """The separator of a text by its first rows, see the rule of this module; "" where none fits."""
    best, chosen = (False, 0.0, 0.0), ""
    for separator in candidates:
        if separator.encode() not in sample or not (rows := first_rows(sample, separator)):
            continue
        (width, n), *_ = Counter(len(row) for row in rows).most_common(1)
        agreeing = n / len(rows)
        below = [cell for row in rows[1:] or rows if len(row) == width for cell in row]
        known = sum(_is_known(cell) for cell in below) / max(1, len(below))
        if width < 2 or (separator == " " and known <= 0.5):
            continue
        score = (agreeing >= 0.9, round(known, 6), agreeing)
        if not chosen or score > best:
            best, chosen = score, separator
    return chosen


def _is_known(cell: str) -> bool:
    cell = cell.strip()
    return cell in MISSING or KNOWN.fullmatch(cell) is not None


def is_header(first: list[str], below: list[list[str]]) -> bool:
    """Whether the first row is a header, by the cells below it, see the rule of this module."""
    if not below:
        return not any(_is_known(cell) for cell in first) and len(set(first)) == len(first)
    columns = [[row[at] for row in below if at < len(row)] for at in range(len(first))]
    pro = con = 0
    for name, cells in zip(first, columns, strict=True):
        present = [cell for cell in cells if not is_missing(cell) and cell != name]
        if _is_known(name):
            con += bool(name.strip())
        elif present and all(_is_known(cell) for cell in present):
            pro += 1
    if pro > con:
        return True
    fresh = [name for name, cells in zip(first, columns, strict=True) if name not in cells]
    if any(name.strip().lower() in TARGET_NAMES[:-1] for name in fresh):  # "y" is an answer in many tables
        return True
    if not con:
        return len(fresh) == len(first) == len(set(first)) and all(name.strip() for name in first)
    return _is_spaced(first, fresh)


def _is_spaced(first: list[str], fresh: list[str]) -> bool:
    """Whether the first row is three or more evenly spaced whole numbers, and words that are not found below."""
    numbers = [int(cell) for cell in first if cell.strip().isdecimal()]
    steps = {after - before for before, after in pairwise(numbers)}
    words = [cell for cell in first if not cell.strip().isdecimal()]
    return (
        len(numbers) >= 3
        and len(steps) == 1
        and bool(words)
        and all(cell in fresh and not _is_known(cell) for cell in words)
    )
