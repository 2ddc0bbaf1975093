"""Which function is at which address, from the object files that LLVM made; and the map for perf.

An object file holds each function's offset in its section and its length. The section's address follows from that of
one function, which can be looked up by its name.
"""

import re
import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Symbol", "Symbols", "map_file", "region_of", "write_map"]

FUNCTION, SYMBOL_TABLE, GLOBAL, WEAK = 2, 2, 1, 2


@dataclass(frozen=True)
class Symbol:
    """A function in memory: its address, its length in bytes, and its linker name."""

    address: int
    size: int
    name: str


class Symbols:
    """Keeps every object file that Numba compiles or loads from its cache, from the moment it is made."""

    def __init__(self) -> None:
        from jitnet.compiler.numba_parts import wrap_object_hooks

        self._objects: list[bytes] = []
        wrap_object_hooks(self._objects.append)

    def found(self, address_of: Any) -> list[Symbol]:
        """Return all functions in memory, by address. address_of: the address of a name, 0 where it has none."""
        symbols: dict[int, Symbol] = {}
        for content in self._objects:
            sections: dict[int, list[tuple[str, int, int, bytes, bool]]] = {}
            for name, section, offset, code, linked in _functions(content):
                sections.setdefault(section, []).append((name, offset, len(code), code, linked))
            for functions in sections.values():
                base = self._base(functions, address_of)
                for name, offset, size, _, _ in functions if base else []:
                    if size:
                        symbols[base + offset] = Symbol(base + offset, size, name)
        return sorted(symbols.values(), key=lambda symbol: symbol.address)

    def _base(self, functions: list[tuple[str, int, int, bytes, bool]], address_of: Any) -> int:
        """Return the address of a section; 0 where it is unknown.

        Several objects may hold a function of one name, and the name leads to one of them: so the memory there is
        compared with the object's code, which the linker changes only where it fills in addresses.
        """
        for name, offset, _, _, linked in functions:
            base = address_of(name) - offset if linked else 0
            if base > 0 and all(_is_at(base + at, code) for _, at, _, code, _ in functions):
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


def _functions(content: bytes) -> Iterator[tuple[str, int, int, bytes, bool]]:
    """Yield name, section, offset, code of each function in a 64-bit ELF file, and whether others can link to it."""
    if content[:5] != b"\x7fELF\x02":
        return
    order = "<" if content[5] == 1 else ">"
    (sections_at,) = struct.unpack_from(f"{order}Q", content, 0x28)
    width, count = struct.unpack_from(f"{order}HH", content, 0x3A)
    headers = [struct.unpack_from(f"{order}IIQQQQIIQQ", content, sections_at + width * each) for each in range(count)]
    for _, kind, _, _, offset, size, link, _, _, entry in headers:
        if kind != SYMBOL_TABLE:
            continue
        names_at = headers[link][4]
        for at in range(offset, offset + size, entry):
            name, info, _, section, value, length = struct.unpack_from(f"{order}IBBHQQ", content, at)
            if info & 15 == FUNCTION and 0 < section < len(headers):
                end = content.index(b"\0", names_at + name)
                text = content[names_at + name : end].decode("utf-8", "replace")
                code_at = headers[section][4] + value
                yield text, section, value, content[code_at : code_at + length], info >> 4 in (GLOBAL, WEAK)


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
