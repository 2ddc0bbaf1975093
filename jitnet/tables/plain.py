"""Which files are tables, and which are the plain CSV files that `datasets.csv` reads with nothing installed.

Plain is UTF-8 text with commas, semicolons or tabs, not packed, in which every row is a label and then numbers: the
first cell is a word or a whole number, every other a number with a decimal point, and none is empty. A header may name
the columns, but none of them as a target (see TARGET_NAMES) unless the first is named so too. All else is a table: a
packed file, Parquet, UTF-16, other separators, words or missing values beyond the first column, decimal commas, a first
column of fractions, a target elsewhere. All rows count.
"""

import codecs
import re
from itertools import chain
from pathlib import Path

from jitnet.datasets.files import reading
from jitnet.tables.dialect import TARGET_NAMES, first_rows, is_header, is_missing, sample_of, separator_of

__all__ = ["TABLE_SUFFIXES", "looks_like_table"]

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".parquet", ".pq")

PLAIN_SEPARATORS = (",", ";", "\t")

NUMERIC = b'0123456789+-.eE" \r\n'

BLOCK = 1 << 22


def looks_like_table(path: str | Path) -> bool:
    """Whether `read_table` is to read a file, and not `datasets.csv` or another reader: see this module's rule.

    Decided by the suffix, with .gz behind it or not, and for text by all of its rows. "-" is a table. Raises DataError
    where the file cannot be read; False where it is missing or a folder.
    """
    if str(path) == "-":
        return True
    place = Path(path).expanduser()
    suffixes = [suffix.lower() for suffix in place.suffixes]
    is_packed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if is_packed else suffixes[-1:])
    if suffix not in TABLE_SUFFIXES:
        return False
    with reading(place):
        return place.is_file() and (is_packed or suffix not in TEXT_SUFFIXES or not _is_plain(place))


def _is_plain(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(BLOCK).removeprefix(codecs.BOM_UTF8)
        if not start.strip():
            return True
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\x1f\x8b", b"PAR1")) or b"\0" in start:
            return False
        sample = sample_of(start.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), len(start) < BLOCK - 3)
        separator = separator_of(sample)
        if separator not in PLAIN_SEPARATORS:
            return False
        rows = first_rows(sample, separator)
        if not rows or len(rows[0]) < 2:
            return False
        has_header = is_header(rows[0], rows[1:])
        are_targets = [name.strip().lower() in TARGET_NAMES for name in rows[0]]
        if has_header and any(are_targets) and not are_targets[0]:
            return False
        if not _are_labels([row[0].strip() for row in rows[has_header:]]):
            return False
        # What is left of each row behind its label must be numbers. The header is a first row to be left out.
        label = re.compile(rb'(?m)^(?:"(?:[^"\n]|"")*"|[^\n%b]*)%b' % (separator.encode(), separator.encode()))
        mark = separator.encode()
        empty = re.compile(rb"(?m)%b *(?:%b|\r?$)" % (mark, mark))
        rest = b""
        for block in chain([start], iter(lambda: file.read(BLOCK), b"")):
            text = rest + block
            end = text.rfind(b"\n") + 1
            text, rest = text[:end], text[end:]
            if has_header and text:
                text = text.lstrip(b"\r\n").partition(b"\n")[2]
                has_header = False
            if not _are_numbers(text, label, empty, mark):
                return False
    return _are_numbers(b"" if has_header else rest, label, empty, mark)


def _are_numbers(text: bytes, label: re.Pattern[bytes], empty: re.Pattern[bytes], mark: bytes) -> bool:
    values = label.sub(mark, text)
    return not values.translate(None, NUMERIC + mark) and empty.search(values) is None


def _are_labels(cells: list[str]) -> bool:
    """Whether cells are classes: all are there, and if all are numbers, they are whole."""
    if any(is_missing(cell) and cell != "-" for cell in cells):
        return False
    try:
        return all(float(cell).is_integer() for cell in cells)
    except ValueError:
        return True
