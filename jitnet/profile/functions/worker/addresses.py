"""What is at an address of this process: a compiled function with its lines, or a function of a shared library."""

import os
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

from jitnet.profile.functions.worker.dwarf import DebugInfo, SourceLine
from jitnet.profile.functions.worker.elf import FUNCTION, PER_SECTION, ElfFile
from jitnet.profile.functions.worker.symbols import Loaded

__all__ = ["Addresses", "Compiled", "Library", "Mapping", "mappings"]


@dataclass(frozen=True)
class Mapping:
    """A part of a file that is mapped as code: its addresses, where it begins in the file, and its path."""

    begin: int
    end: int
    offset: int
    path: str


def mappings() -> list[Mapping]:
    """Return the mapped code of this process, by address."""
    found = []
    with open("/proc/self/maps") as lines:
        for line in lines:
            span, rights, offset, _, _, *path = line.split(maxsplit=5)
            if "x" in rights and path:
                begin, end = (int(each, 16) for each in span.split("-"))
                found.append(Mapping(begin, end, int(offset, 16), path[0].strip()))
    return found


class _File:
    """An object file in memory: what its functions refer to, and their lines where it has a line table."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded

    @cached_property
    def refers(self) -> dict[str, set[str]]:
        return self.loaded.elf.calls()

    @cached_property
    def debug(self) -> DebugInfo | None:
        return DebugInfo(self.loaded.elf) if self.loaded.elf.number(".debug_line") else None


@dataclass(frozen=True)
class Compiled:
    """A function that Numba compiled, in memory."""

    begin: int
    end: int
    name: str
    section: int
    value: int
    file: _File

    @property
    def refers(self) -> set[str]:
        """The names that its code refers to."""
        return self.file.refers[self.name]

    def lines_at(self, address: int, is_head: Callable[[SourceLine], bool]) -> list[SourceLine]:
        """Return what `DebugInfo.lines_at` does, for an address in it."""
        debug = self.file.debug
        here = self.section * PER_SECTION + self.value + address - self.begin
        return debug.lines_at(here, is_head) if debug else []

    def is_call(self, address: int) -> bool:
        """Whether the instruction before an address in it is a call."""
        at = address - self.begin
        section = self.file.loaded.elf.sections[self.section]
        code = self.file.loaded.elf.content[section.offset + self.value :][: self.end - self.begin]
        if self.file.loaded.elf.is_aarch64:
            word = int.from_bytes(code[max(0, at - 4) : at], "little")
            return word >> 26 == 0b100101 or word & 0xFFFFFC1F == 0xD63F0000
        # E8 with 4 bytes of distance, or FF with the operation 2 and a register or an address in memory.
        if at >= 5 and code[at - 5] == 0xE8:
            return True
        return any(code[at - k] == 0xFF and code[at - k + 1] >> 3 & 7 == 2 for k in range(2, 8) if at >= k)


@dataclass(frozen=True)
class Library:
    """A place in a shared library: the library's file name, and the function, "" where it has no name."""

    name: str
    function: str


class Addresses:
    """All code of this process, as it is now."""

    def __init__(self, loaded: list[Loaded]) -> None:
        found: dict[int, Compiled] = {}
        self._files = [_File(each) for each in loaded]
        for each, file in zip(loaded, self._files, strict=True):
            for one in each.elf.functions:
                if one.size and one.section in each.bases:
                    begin = each.bases[one.section] + one.value
                    made = Compiled(begin, begin + one.size, one.name, one.section, one.value, file)
                    if begin not in found or each.elf.number(".debug_line"):
                        found[begin] = made
        self._compiled = sorted(found.values(), key=lambda one: one.begin)
        self._begins = [one.begin for one in self._compiled]
        self._mapped = mappings()
        self._mapped_begins = [one.begin for one in self._mapped]

    def lines_from(self, first: int) -> set[SourceLine]:
        """Return the lines for which there is code, in the object files from number `first` on."""
        tables = [file.debug for file in self._files[first:]]
        return {place for table in tables if table for place in table.lines}

    def compiled_range(self, first: int) -> tuple[int, int]:
        """Return where the code of the object files from number `first` on begins and ends; other code may lie
        between."""
        files = set(map(id, self._files[first:]))
        found = [one for one in self._compiled if id(one.file) in files]
        return (found[0].begin, max(one.end for one in found)) if found else (0, 0)

    def range_of(self, part: str) -> tuple[int, int]:
        """Return where the code of the library with this in its name begins and ends; (0, 0) without one."""
        found = [each for each in self._mapped if part in os.path.basename(each.path)]
        return (found[0].begin, found[-1].end) if found else (0, 0)

    def compiled(self, address: int) -> Compiled | None:
        """Return the compiled function at an address."""
        at = bisect_right(self._begins, address) - 1
        found = self._compiled[at] if at >= 0 else None
        return found if found is not None and address < found.end else None

    def library(self, address: int) -> Library | None:
        """Return the function of a shared library at an address; None where it is no library's."""
        at = bisect_right(self._mapped_begins, address) - 1
        found = self._mapped[at] if at >= 0 else None
        if found is None or address >= found.end:
            return None
        return Library(os.path.basename(found.path), _function(found.path, address - found.begin + found.offset))


@cache
def _functions_of(path: str) -> tuple[ElfFile, list[tuple[int, int, str]]] | None:
    try:
        with open(path, "rb") as file:
            elf = ElfFile(file.read())
    except (OSError, ValueError):
        return None
    found = {each.value: (each.value, each.value + each.size, each.name) for each in elf.symbols if _named(each)}
    return elf, sorted(found.values())


def _named(symbol: object) -> bool:
    kind, size = getattr(symbol, "kind", 0), getattr(symbol, "size", 0)
    return kind in (FUNCTION, 10) and size > 0  # 10: a function that is chosen as the program starts


def _function(path: str, offset: int) -> str:
    """Return the function at an offset of a library's file."""
    found = _functions_of(path)
    if found is None:
        return ""
    elf, functions = found
    address = elf.address_in_file(offset)
    at = bisect_right(functions, (address, 1 << 63, "")) - 1
    return functions[at][2].split("@")[0] if at >= 0 and address < functions[at][1] else ""
