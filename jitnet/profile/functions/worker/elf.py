"""What an object file or a shared library holds: its sections, its symbols, and what the linker fills in."""

import struct
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["FUNCTION", "PER_SECTION", "ElfFile", "ElfSymbol", "Section"]

FUNCTION, OF_SECTION = 2, 3
"""Types of symbols: a function; a section, which the linker's entries refer to."""

GLOBAL, WEAK = 1, 2
SYMBOLS, DYNAMIC_SYMBOLS, ADDENDS = 2, 11, 4
CODE = 4
"""A flag of sections that hold machine code."""

AARCH64 = 183
"""The processor's number in the file."""

LOADED = 1
"""A segment that is mapped into memory."""

ABSOLUTE = {1: 8, 257: 8, 10: 4, 258: 4}
"""Bytes that an entry for the linker fills in, for those that are an address or an offset: of x86-64, then aarch64."""

PER_SECTION = 1 << 40
"""Between the addresses of two sections of code, as `ElfFile.filled` writes them: an object file has none yet."""

SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)


@dataclass(frozen=True)
class Section:
    """A section: its name, type and flags, its place in the file, and what these refer to."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    entry: int


@dataclass(frozen=True)
class ElfSymbol:
    """A symbol: section 0 where it is defined elsewhere. value: its offset in the section of an object file, its
    address in a shared library. linked: whether other files can refer to it."""

    name: str
    kind: int
    section: int
    value: int
    size: int
    linked: bool


class ElfFile:
    """A 64-bit little-endian ELF file, from its content. ValueError for any other."""

    def __init__(self, content: bytes) -> None:
        if content[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a 64-bit little-endian ELF file")
        self.content = content
        (at,) = struct.unpack_from("<Q", content, 0x28)
        width, count, names = struct.unpack_from("<HHH", content, 0x3A)
        headers = [struct.unpack_from("<IIQQQQIIQQ", content, at + width * each) for each in range(count)]
        self.sections = [
            Section(self._text(headers[names][4] + name), kind, flags, offset, size, link, info, entry)
            for name, kind, flags, _, offset, size, link, info, _, entry in headers
        ]

    def _text(self, at: int) -> str:
        return self.content[at : self.content.index(b"\0", at)].decode("utf-8", "replace")

    def number(self, name: str) -> int:
        """Return a section's number by its name; 0 where there is none."""
        return next((number for number, each in enumerate(self.sections) if each.name == name), 0)

    def bytes_of(self, number: int) -> bytes:
        section = self.sections[number]
        return self.content[section.offset : section.offset + section.size]

    @property
    def is_aarch64(self) -> bool:
        return self.content[0x12] == AARCH64

    @cached_property
    def symbols(self) -> list[ElfSymbol]:
        """All symbols; of a shared library without a table of all, those that others can link to."""
        tables = [each for each in self.sections if each.kind == SYMBOLS]
        tables = tables or [each for each in self.sections if each.kind == DYNAMIC_SYMBOLS]
        return [symbol for table in tables for symbol in self._symbols_of(table)]

    def _symbols_of(self, table: Section) -> list[ElfSymbol]:
        names = self.sections[table.link].offset
        found = np.frombuffer(self.content, SYMBOL, table.size // SYMBOL.itemsize, table.offset)
        return [
            ElfSymbol(self._text(names + name), info & 15, section, value, size, info >> 4 in (GLOBAL, WEAK))
            for name, info, _, section, value, size in found.tolist()
        ]

    @property
    def functions(self) -> list[ElfSymbol]:
        """The functions that are defined here."""
        return [each for each in self.symbols if each.kind == FUNCTION and 0 < each.section < len(self.sections)]

    def code_of(self, function: ElfSymbol) -> bytes:
        """Return a function's machine code, in an object file."""
        at = self.sections[function.section].offset + function.value
        return self.content[at : at + function.size]

    def entries(self, number: int) -> list[tuple[int, int, ElfSymbol, int]]:
        """Return what the linker fills into a section: offset, type, symbol and addend of each entry."""
        found = []
        for section in self.sections:
            if section.kind == ADDENDS and section.info == number:
                for at in range(section.offset, section.offset + section.size, 24):
                    offset, info, addend = struct.unpack_from("<QQq", self.content, at)
                    found.append((offset, info & 0xFFFFFFFF, self.symbols[info >> 32], addend))
        return found

    def filled(self, name: str) -> bytes:
        """Return a section with its addresses filled in: an offset in section n is at n * PER_SECTION, code only."""
        number = self.number(name)
        content = bytearray(self.bytes_of(number)) if number else bytearray()
        for offset, kind, symbol, addend in self.entries(number) if number else []:
            width = ABSOLUTE.get(kind, 0)
            if width:
                is_code = width == 8 and symbol.section and self.sections[symbol.section].flags & CODE
                value = symbol.value + addend + (symbol.section * PER_SECTION if is_code else 0)
                content[offset : offset + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
        return bytes(content)

    def calls(self) -> dict[str, set[str]]:
        """Return for each function the names that its code refers to."""
        found: dict[str, set[str]] = {each.name: set() for each in self.functions}
        for number in {each.section for each in self.functions}:
            inside = sorted((each for each in self.functions if each.section == number), key=lambda each: each.value)
            starts = np.array([each.value for each in inside])
            for offset, _, symbol, addend in self.entries(number):
                at = int(np.searchsorted(starts, offset, "right")) - 1
                name = symbol.name
                if symbol.kind == OF_SECTION and symbol.section == number:
                    meant = int(np.searchsorted(starts, addend, "right")) - 1
                    name = inside[meant].name if meant >= 0 else ""
                if at >= 0:
                    found[inside[at].name].add(name)
        return found

    def address_in_file(self, offset: int) -> int:
        """Return the address, as symbols have it, of what is at an offset of the file; the offset where nothing is."""
        (at,) = struct.unpack_from("<Q", self.content, 0x20)
        width, count = struct.unpack_from("<HH", self.content, 0x36)
        for each in range(count):
            kind, _, begin, address, _, size = struct.unpack_from("<IIQQQQ", self.content, at + width * each)
            if kind == LOADED and begin <= offset < begin + size:
                return int(address + offset - begin)
        return offset
