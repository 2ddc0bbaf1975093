"""Which function is at which address, from the object files that LLVM made; and the map for perf.

An object file holds each function's offset in its section and its length. The section's address follows from that of
one function, which can be looked up by its name.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitnet.profile.functions.worker.elf import ElfFile, ElfSymbol

__all__ = ["Loaded", "Symbol", "Symbols", "map_file", "region_of", "write_map"]


@dataclass(frozen=True)
class Symbol:
    """A function in memory: its address, its length in bytes, and its linker name."""

    address: int
    size: int
    name: str


@dataclass(frozen=True)
class Loaded:
    """An object file in memory. bases: the address of each of its sections that is known."""

    elf: ElfFile
    bases: dict[int, int]


class Symbols:
    """Keeps every object file that Numba compiles or loads from its cache, from the moment it is made."""

    def __init__(self) -> None:
        from jitnet.compiler.numba_parts import wrap_object_hooks

        self._objects: list[bytes] = []
        wrap_object_hooks(self._objects.append)

    @property
    def count(self) -> int:
        """How many object files there are."""
        return len(self._objects)

    def found(self, address_of: Any) -> list[Symbol]:
        """Return all functions in memory, by address. address_of: the address of a name, 0 where it has none."""
        symbols: dict[int, Symbol] = {}
        for loaded in self.loaded(address_of):
            for each in loaded.elf.functions:
                if each.size and each.section in loaded.bases:
                    address = loaded.bases[each.section] + each.value
                    symbols[address] = Symbol(address, each.size, each.name)
        return sorted(symbols.values(), key=lambda symbol: symbol.address)

    def loaded(self, address_of: Any, first: int = 0) -> list[Loaded]:
        """Return the object files, from number `first` on, with the addresses of their sections."""
        found = []
        for content in self._objects[first:]:
            try:
                elf = ElfFile(content)
            except ValueError:
                continue
            sections: dict[int, list[ElfSymbol]] = {}
            for each in elf.functions:
                sections.setdefault(each.section, []).append(each)
            bases = {number: self._base(elf, functions, address_of) for number, functions in sections.items()}
            found.append(Loaded(elf, {number: base for number, base in bases.items() if base}))
        return found

    def _base(self, elf: ElfFile, functions: list[ElfSymbol], address_of: Any) -> int:
        """Return the address of a section; 0 where it is unknown.

        Several objects may hold a function of one name, and the name leads to one of them: so the memory there is
        compared with the object's code, which the linker changes only where it fills in addresses.
        """
        for function in functions:
            base = address_of(function.name) - function.value if function.linked else 0
            if base > 0 and all(_is_at(base + each.value, elf.code_of(each)) for each in functions):
                return int(base)
        return 0


def _is_at(address: int, code: bytes) -> bool:
    try:
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            found = memory.read(len(code))
    except (OSError, ValueError, OverflowError):
        return False
    equal = sum(a == b for a, b in zip(code, found, strict=False))
    return len(found) == len(code) and equal >= 0.6 * len(code)


def map_file(process: int) -> Path:
    """Return where perf looks for the names of code that a process compiled: in /tmp, also where $TMPDIR is set."""
    return Path("/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()) / f"perf-{process}.map"


def write_map(path: Path, symbols: list[Symbol], names: Any = str) -> None:
    """Write one line a function: address and length in hexadecimal, and its linker name as `names` converts it."""
    lines = [f"{symbol.address:x} {symbol.size:x} {names(symbol.name)}" for symbol in symbols]
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def region_of(name: str) -> str:
    """Return the part of a linker name that identifies a parallel loop; "" for other functions."""
    match = re.search(r"__numba_parfor_gufunc_0x[0-9a-f]+", name)
    return match[0] if match else ""
