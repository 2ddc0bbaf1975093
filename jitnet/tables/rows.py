"""The rows of a text, all of them counted and checked before anything reads their cells.

A row begins in a line of the file, and may end in a later one where a cell in quotes holds line breaks. Every row must
have as many cells as the table has columns. Blank lines are no rows. What leaves here is in one form that has only one
reading: whole rows, "\\n" behind each, cells with quotation marks in them quoted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jitnet.config.checking import quoted
from jitnet.errors import DataError
from jitnet.tables.dialect import SEPARATORS, Dialect, Torn, has_quoted_cells, records

__all__ = ["Block", "blocks_of_rows"]

LONGEST_ROW = 1 << 24
"""Bytes. A row that is longer has lost a quotation mark."""

NEWLINE, QUOTE = b'\n"'


@dataclass(frozen=True)
class Block:
    """Whole rows. lines: (n,) int64, the line of the file in which each begins, from 1."""

    content: bytes
    lines: np.ndarray


def blocks_of_rows(blocks: Iterator[bytes], dialect: Dialect, source: str) -> Iterator[Block]:
    """Yield the rows of a text, without its header. Raises DataError, with its line, for the first that does not fit.

    blocks: the text, lines ending in "\\n", cut anywhere.
    """
    cutter = _Cutter(dialect, source)
    rest = b""
    for block in blocks:
        chunk = rest + block
        yield from cutter.cut(chunk)
        rest = chunk[cutter.used :]
        if len(rest) > LONGEST_ROW:
            cutter.raise_unclosed(rest)
    if rest:
        yield from cutter.cut(rest if rest.endswith(b"\n") else rest + b"\n")
        if cutter.used < len(rest):
            cutter.raise_unclosed(rest)
    if not cutter.n_rows:
        raise DataError(f"{source}: holds only a header, and no rows")


class _Cutter:
    """Cuts chunks of text at the ends of rows. used: bytes of the last chunk that were whole rows."""

    def __init__(self, dialect: Dialect, source: str):
        self.dialect, self.source = dialect, source
        self.mark = ord(dialect.separator)
        self.width = len(dialect.names)
        self.line = 1
        self.n_rows = 0
        self.used = 0
        self.to_skip = dialect.skipped
        self.header: bytes | None = None

    def cut(self, chunk: bytes) -> Iterator[Block]:
        self.used = 0
        while self.to_skip and (at := chunk.find(b"\n", self.used)) >= 0:
            self.used = at + 1
            self.line += 1
            self.to_skip -= 1
        if self.to_skip:
            return
        if self.dialect.has_header and self.header is None:
            try:
                end, _ = next(records(chunk, self.dialect.separator, self.used))
            except (StopIteration, Torn):
                return  # the header goes on in the next chunk, or is never closed
            if chunk[end - 1] != NEWLINE:
                return
            self.header = chunk[self.used : end]
            self.used = end
            self.line += self.header.count(b"\n")
            if self.dialect.separator == " ":
                self.header = _single_spaced(self.header)
        text = chunk[self.used :]
        if self.dialect.separator == " ":
            text = _single_spaced(text[: text.rfind(b"\n") + 1])
        n_bytes, n_lines, block = self._cut_plain(text) or self._cut_by_cell(text)
        if self.dialect.separator == " ":
            if n_bytes < len(text):
                self.raise_unclosed(text[n_bytes:])
            n_bytes = chunk.rfind(b"\n") + 1 - self.used
        self.used += n_bytes
        self.line += n_lines
        if block is not None and len(block.lines):
            self.n_rows += len(block.lines)
            yield block

    def _cut_plain(self, text: bytes) -> tuple[int, int, Block | None] | None:
        """Bytes and lines that were cut, and their rows; None where quotes are not only around whole cells."""
        codes = np.frombuffer(text, np.uint8)
        breaks = np.flatnonzero(codes == NEWLINE)
        outside = None
        ends = breaks
        if b'"' in text and has_quoted_cells(text, self.dialect.separator):
            is_quote = codes == QUOTE
            inside = np.cumsum(is_quote, dtype=np.uint8) & 1
            if not self._are_around_cells(codes, is_quote, inside):
                return None
            outside = inside == 0
            ends = breaks[outside[breaks]]
        if not len(ends):
            return 0, 0, None
        n_bytes = int(ends[-1]) + 1
        starts = np.empty_like(ends)
        starts[0] = 0
        starts[1:] = ends[:-1] + 1
        is_mark = codes[:n_bytes] == self.mark
        if outside is not None:
            is_mark &= outside[:n_bytes]
        widths = np.add.reduceat(is_mark, starts, dtype=np.int32) + 1
        if outside is None:
            lines = np.arange(self.line, self.line + len(ends), dtype=np.int64)
        else:
            lines = self.line + np.searchsorted(breaks, starts)
        content = text[:n_bytes]
        odd = np.flatnonzero((widths != self.width) | (ends == starts))
        keep = np.ones(len(starts), bool)
        for row in odd.tolist():
            if text[starts[row] : ends[row]].strip(b" "):
                self._raise_width(text[starts[row] : ends[row]], int(widths[row]), int(lines[row]))
            keep[row] = False
        if len(odd):
            content = b"".join(text[starts[row] : ends[row] + 1] for row in np.flatnonzero(keep).tolist())
        self._check_header(content, lines[keep])
        return n_bytes, int(np.searchsorted(breaks, n_bytes)), Block(content, lines[keep])

    def _are_around_cells(self, codes: np.ndarray, is_quote: np.ndarray, inside: np.ndarray) -> bool:
        """Whether every mark that opens follows a cell's border, every one that closes precedes one, or two meet."""
        places = np.flatnonzero(is_quote)
        opens = inside[places] == 1
        before = codes[np.maximum(places - 1, 0)]
        before[places == 0] = NEWLINE
        after = codes[np.minimum(places + 1, len(codes) - 1)]
        after[places == len(codes) - 1] = NEWLINE
        neighbours = np.where(opens, before, after)
        return bool(((neighbours == NEWLINE) | (neighbours == self.mark) | (neighbours == QUOTE)).all())

    def _cut_by_cell(self, text: bytes) -> tuple[int, int, Block | None]:
        """As `_cut_plain`, cell by cell: for quotes within cells, and spaces around quoted ones."""
        lines, kept = [], []
        at, line = 0, self.line
        mark = self.dialect.separator.encode()
        try:
            for end, cells in records(text, self.dialect.separator):
                if text[end - 1] != NEWLINE:
                    break
                if len(cells) != self.width and text[at:end].strip():
                    self._raise_width(text[at : end - 1], len(cells), line)
                if len(cells) == self.width and (len(cells) > 1 or text[at:end].strip(b" \n")):
                    kept.append(mark.join(_quoted_again(cell, mark) for cell in cells))
                    lines.append(line)
                line += text.count(b"\n", at, end)
                at = end
        except Torn as torn:
            if not torn.is_open:
                self._raise_torn(text, torn, line + text.count(b"\n", at, torn.at))
        content = b"".join(row + b"\n" for row in kept)
        self._check_header(content, np.array(lines))
        return at, line - self.line, Block(content, np.array(lines, np.int64))

    def _check_header(self, content: bytes, lines: np.ndarray) -> None:
        """Raise DataError where a row is the header again."""
        if self.header is None or self.width < 2:
            return
        row = self.header.rstrip(b"\n") + b"\n"
        at = 0 if content.startswith(row) else content.find(b"\n" + row) + 1
        if at or content.startswith(row):
            n = sum(1 for end, _ in records(content[:at], self.dialect.separator))
            raise DataError(
                f"{self.source}, line {lines[n]}: repeats the header of line {self.dialect.skipped + 1}; "
                "two files were joined, perhaps: remove that line"
            )

    def _raise_width(self, row: bytes, width: int, line: int) -> None:
        expected = self.width
        where = f"{self.source}, line {line}: has {_cells(width)}; expected {expected}"
        like = (
            f", as in the header in line {self.dialect.skipped + 1}"
            if self.header
            else ", as in most of the first rows"
        )
        others = [
            f"; with {words} between them it has {expected}: the separator changes here"
            for mark, words in SEPARATORS.items()
            if mark != self.dialect.separator and expected > 1 and row.count(mark.encode()) == expected - 1
        ]
        hint = ""
        if width < expected and others:
            hint = others[0]
        elif width < expected:
            hint = "; the row is cut short, or a line break in a cell is not within quotes"
        elif expected > 1 and width in (2 * expected - 1, 2 * expected):
            hint = "; two rows were joined by a missing line end, perhaps"
            hint += f", or a cell with {self._marks()} in it needs quotes" if width == expected + 1 else ""
        elif not self.header and self.n_rows == 0 and line == self.dialect.skipped + 1:
            hint = "; is it a header with another number of names?"
        elif width > expected:
            hint = f"; a cell with {self._marks()} in it needs quotes"
        raise DataError(f"{where}{like}{hint}")

    def _marks(self) -> str:
        return SEPARATORS.get(self.dialect.separator, "separators")

    def _raise_torn(self, text: bytes, torn: Torn, line: int) -> None:
        cell = text[torn.at : torn.end].decode("utf-8", "replace").strip()
        behind = text[torn.end : torn.end + 20].partition(b"\n")[0].decode("utf-8", "replace")
        n_lines = cell.count("\n")
        ends = f", and in line {line + n_lines} it closes" if n_lines else " closes"
        raise DataError(
            f"{self.source}, line {line}: the quotation mark of the cell {quoted(cell)}{ends} before {quoted(behind)}; "
            "expected a separator or the line's end there: a mark is missing, or one within the cell is not doubled"
        )

    def raise_unclosed(self, rest: bytes) -> None:
        """Raise DataError for a row that does not end."""
        line = self.line
        try:
            for _ in records(rest, self.dialect.separator):
                pass
        except Torn as torn:
            line += rest.count(b"\n", 0, torn.at)
            cell = rest[torn.at : torn.at + 40].decode("utf-8", "replace").partition("\n")[0]
            raise DataError(
                f"{self.source}, line {line}: a quotation mark opens a cell, {quoted(cell)}, and none closes it"
            ) from None
        raise DataError(f"{self.source}, line {line}: is longer than {LONGEST_ROW >> 20} MiB; expected rows of a table")


def _quoted_again(cell: bytes, mark: bytes) -> bytes:
    if b'"' in cell or b"\n" in cell or mark in cell:
        return b'"' + cell.replace(b'"', b'""') + b'"'
    return cell


def _single_spaced(text: bytes) -> bytes:
    """A text with one space where several were, none at a line's start or end; what is in quotes is left as it is."""
    parts = re.split(rb'("[^"]*")', text)
    parts[::2] = [re.sub(rb" *\n *", b"\n", re.sub(rb"  +", b" ", part)) for part in parts[::2]]
    return b"".join(parts).lstrip(b" ")


def _cells(n: int) -> str:
    return f"{n} {'field' if n == 1 else 'fields'}"
