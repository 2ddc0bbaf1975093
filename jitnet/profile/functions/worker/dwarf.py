"""Which line of the source each machine instruction was made for, and through which calls that were inlined there.

Reads what Numba writes with a line table, DWARF 4: `.debug_line` has the innermost line of each address, and
`.debug_info` has the functions and, inside each, the calls that were inlined, with their lines.
"""

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from jitnet.profile.functions.worker.elf import ElfFile

__all__ = ["DebugInfo", "SourceLine"]

SourceLine = tuple[str, int]
"""A file and a line."""

SUBPROGRAM, INLINED, UNIT = 0x2E, 0x1D, 0x11
"""Tags: a function, a call that was inlined, a compilation unit."""

LOW, HIGH, RANGES, LINES, FILE, LINE = 0x11, 0x12, 0x55, 0x10, 0x58, 0x59
"""Attributes: the first address and the length, or a list of ranges; where the unit's line table is; file and line of
a call."""

ADDRESS, UNSIGNED, SIGNED, TEXT, FLAG = 0x01, 0x0F, 0x0D, 0x08, 0x19
SIZED = {0x0B: 1, 0x11: 1, 0x0C: 1, 0x05: 2, 0x12: 2, 0x06: 4, 0x13: 4, 0x17: 4, 0x0E: 4, 0x10: 4, 0x07: 8, 0x14: 8,
         ADDRESS: 8, 0x20: 8}  # fmt: skip
"""Forms of attributes, with their lengths in bytes where these are fixed."""


NEAR = 3
"""Rows of the line table that are searched for the line of an instruction without one."""


class _Reader:
    """Numbers, one after the other."""

    def __init__(self, content: bytes, at: int = 0) -> None:
        self.content, self.at = content, at

    def number(self, width: int) -> int:
        self.at += width
        return int.from_bytes(self.content[self.at - width : self.at], "little")

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def signed(self) -> int:
        begin = self.at
        value = self.unsigned()
        bits = 7 * (self.at - begin)
        return value - (1 << bits) if value >> (bits - 1) else value

    def text(self) -> str:
        begin, self.at = self.at, self.content.index(b"\0", self.at) + 1
        return self.content[begin : self.at - 1].decode("utf-8", "replace")


@dataclass
class _Call:
    """A function, or a call that was inlined into it: its addresses, and the line of the call."""

    ranges: list[tuple[int, int]]
    place: SourceLine | None
    inside: list["_Call"] = field(default_factory=list)

    def holds(self, address: int) -> bool:
        return any(begin <= address < end for begin, end in self.ranges)


class DebugInfo:
    """The lines of one object file's code. Addresses are those of `ElfFile.filled`."""

    def __init__(self, elf: ElfFile) -> None:
        self._info, self._abbreviations = elf.filled(".debug_info"), elf.filled(".debug_abbrev")
        self._ranges, self._lines = elf.filled(".debug_ranges"), elf.filled(".debug_line")
        self._functions: list[_Call] = []
        rows: dict[int, tuple[SourceLine | None, bool]] = {}
        at = 0
        while at + 4 <= len(self._info):
            at = self._read_unit(at)
        at = 0
        while at + 4 <= len(self._lines):
            _, found, at = self._line_table(at)
            for address, place, is_last in found:
                if address not in rows or not is_last:
                    rows[address] = None if is_last else place, is_last
        self._starts = sorted(rows)
        self._places = [rows[address][0] for address in self._starts]

    @property
    def lines(self) -> set[SourceLine]:
        """All lines for which there is code."""
        return {place for place in self._places if place is not None and place[1] > 0}

    def lines_at(self, address: int, is_head: Callable[[SourceLine], bool] = lambda place: False) -> list[SourceLine]:
        """Return the line of an address, and those of the calls that were inlined around it, innermost first.

        [] where it is unknown. Instructions without a line, which the compiler moved or made of several, have that of
        what follows, since they compute what that uses; or of what is before, where the former is a loop's head; where
        both are, of the next that is none.
        """
        at = bisect_right(self._starts, address) - 1
        if at < 0 or self._places[at] is None:
            return []
        if not self._line(at):
            after = next((row for row in range(at, at + NEAR) if self._line(row)), None)
            before = next((row for row in range(at, max(-1, at - NEAR), -1) if self._line(row)), None)
            near = [row for row in (after, before) if row is not None]
            beyond = [row for row in range(at, at + NEAR) if self._line(row)][1:2]
            near = [row for row in [*near, *beyond] if not is_head(self._place(row))] or near
            if not near:
                return []
            at = near[0]
            address = self._starts[at]
        return [self._place(at), *self._inlined_at(address)]

    def _place(self, row: int) -> SourceLine:
        return self._places[row] or ("", 0)

    def _line(self, row: int) -> int:
        """Return a row's line; 0 where it has none, and beyond the end of a function."""
        place = self._places[row] if row < len(self._places) else None
        return place[1] if place is not None else 0

    def _inlined_at(self, address: int) -> list[SourceLine]:
        """Return the lines of the calls that were inlined around an address, innermost first."""
        found: list[SourceLine] = []
        level = self._functions
        while call := next((each for each in level if each.holds(address)), None):
            found += [call.place] if call.place is not None else []
            level = call.inside
        return found[::-1]

    # .debug_line

    def _line_table(self, at: int) -> tuple[list[str], list[tuple[int, SourceLine, bool]], int]:
        """Return a table's files; its rows, each an address, its line, and whether it ends a sequence; and its end."""
        reader = _Reader(self._lines, at)
        ends = reader.number(4) + reader.at
        version = reader.number(2)
        if version not in (2, 3, 4):
            return [], [], ends
        program = reader.number(4) + reader.at
        smallest = reader.number(1)
        if version == 4:
            reader.number(1)
        reader.number(1)
        base, span, first = reader.number(1), reader.number(1), reader.number(1)
        base -= 256 if base > 127 else 0
        operands = [reader.number(1) for _ in range(first - 1)]
        folders, files = [""], [""]
        while folder := reader.text():
            folders.append(folder)
        while name := reader.text():
            files.append(os.path.join(folders[reader.unsigned()], name))
            reader.unsigned(), reader.unsigned()
        reader.at = program
        rows: list[tuple[int, SourceLine, bool]] = []
        address, file, line = 0, 1, 1

        def row(is_last: bool = False) -> None:
            rows.append((address, (files[file] if file < len(files) else "", line), is_last))

        while reader.at < ends:
            code = reader.number(1)
            if code >= first:
                address += (code - first) // span * smallest
                line += base + (code - first) % span
                row()
            elif code == 0:
                after = reader.unsigned() + reader.at
                extended = reader.number(1)
                if extended == 1:
                    row(is_last=True)
                    address, file, line = 0, 1, 1
                elif extended == 2:
                    address = reader.number(8)
                reader.at = after
            elif code == 1:
                row()
            elif code == 2:
                address += reader.unsigned() * smallest
            elif code == 3:
                line += reader.signed()
            elif code == 4:
                file = reader.unsigned()
            elif code == 8:
                address += (255 - first) // span * smallest
            elif code == 9:
                address += reader.number(2)
            else:
                for _ in range(operands[code - 1]):
                    reader.unsigned()
        return files, rows, ends

    # .debug_info

    def _read_unit(self, at: int) -> int:
        """Read the functions of a compilation unit, and return where it ends."""
        reader = _Reader(self._info, at)
        ends = reader.number(4) + reader.at
        if reader.number(2) != 4:
            return ends
        forms = self._forms(reader.number(4))
        reader.number(1)
        files: list[str] = []
        base = 0
        nested: list[list[_Call]] = [self._functions]
        while reader.at < ends:
            code = reader.unsigned()
            if code == 0:
                nested.pop()
                if len(nested) < 1:
                    break
                continue
            tag, has_children, attributes = forms[code]
            values = {name: self._value(reader, form) for name, form in attributes}
            inner = nested[-1]
            if tag == UNIT:
                base = values.get(LOW, 0)
                files = self._line_table(values[LINES])[0] if LINES in values else []
            elif tag in (SUBPROGRAM, INLINED):
                number = values.get(FILE, 0)
                file = files[number] if number < len(files) else ""
                place = (file, values[LINE]) if tag == INLINED and LINE in values else None
                call = _Call(list(self._addresses(values, base)), place)
                if call.ranges:
                    nested[-1].append(call)
                    inner = call.inside
            if has_children:
                nested.append(inner)
        return ends

    def _forms(self, at: int) -> dict[int, tuple[int, bool, list[tuple[int, int]]]]:
        """Return the tag, whether there are children, and the attributes with their forms, by their number."""
        reader = _Reader(self._abbreviations, at)
        found = {}
        while code := reader.unsigned():
            tag, has_children = reader.unsigned(), bool(reader.number(1))
            attributes = []
            while (pair := (reader.unsigned(), reader.unsigned())) != (0, 0):
                attributes.append(pair)
            found[code] = tag, has_children, attributes
        return found

    def _value(self, reader: _Reader, form: int) -> int:
        if form in SIZED:
            return reader.number(SIZED[form])
        if form == UNSIGNED:
            return reader.unsigned()
        if form == SIGNED:
            return reader.signed()
        if form == FLAG:
            return 1
        if form == TEXT:
            reader.text()
            return 0
        if form == 0x18:  # a block of bytes, its length before it
            reader.at += reader.unsigned()
            return 0
        raise ValueError(f"a form of DWARF that Numba did not write before: {form:#x}")

    def _addresses(self, values: dict[int, int], base: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of a function or an inlined call."""
        if RANGES in values:
            reader = _Reader(self._ranges, values[RANGES])
            while (pair := (reader.number(8), reader.number(8))) != (0, 0):
                if pair[0] == (1 << 64) - 1:
                    base = pair[1]
                else:
                    yield base + pair[0], base + pair[1]
        elif LOW in values and HIGH in values:
            yield values[LOW], values[LOW] + values[HIGH]
