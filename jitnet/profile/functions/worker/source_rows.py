"""Rows of a table of time: loops and callees, nested as the source nests them."""

import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from jitnet.profile.code.source import SourceLoop, function_source, module_loops
from jitnet.profile.functions.worker.diagnostics import JsonObject, place
from jitnet.profile.functions.worker.dwarf import SourceLine

__all__ = ["SourceRows", "function_at", "is_head", "loops_around", "loops_of"]

HEADS = ("for ", "while ", "async for ")


@cache
def function_at(where: SourceLine) -> SourceLine:
    """Return file and line of the function that a line is in; line 0 where the file is not known."""
    found = function_source(*where)
    return (where[0], found.first_line if found else 0)


def name_of(function: SourceLine) -> str:
    found = function_source(*function)
    return found.function if found else ""


@cache
def loops_around(where: SourceLine) -> tuple[SourceLoop, ...]:
    """Return the `for` and `while` loops around a line, in its function, outermost first."""
    file, line = where
    function = function_at(where)
    around = [
        loop
        for loop in module_loops(file)
        if loop.line <= line <= loop.last_line
        and function_at((file, loop.line)) == function
        and is_head((file, loop.line))
    ]
    return tuple(sorted(around, key=lambda loop: loop.depth))


@cache
def loops_of(lines: tuple[SourceLine, ...]) -> tuple[SourceLoop, ...]:
    """Return the loops around a line and around the calls that lead to it. lines: innermost first."""
    return tuple(loop for where in reversed(lines) for loop in loops_around(where))


def is_head(where: SourceLine) -> bool:
    """Whether a line is that of a loop's `for` or `while`."""
    return bool(linecache.getline(*where).lstrip().startswith(HEADS))


@dataclass
class _Row:
    kind: str
    name: str
    file: str
    line: int
    last_line: int
    called_from: int
    share: float = 0.0
    own: float = 0.0
    inside: dict[tuple[str, str, int], "_Row"] = field(default_factory=dict)


class SourceRows:
    """Adds up shares of lines, for the rows around them. root: the function whose call is the whole."""

    def __init__(self, root: SourceLine) -> None:
        self.root = root
        self._top = _Row("callee", name_of(root), *root, root[1], 0)
        self.lines: dict[SourceLine, float] = {}
        self.through: dict[SourceLine, float] = {}

    def add(self, lines: tuple[SourceLine, ...], share: float) -> None:
        """Add the share of a line, and of those that it was called from. lines: innermost first."""
        self.add_through(lines, share)
        self.lines[lines[0]] = self.lines.get(lines[0], 0.0) + share
        row = self._top
        entered: list[tuple[SourceLine, _Row]] = [(self.root, self._top)]
        for at, where in enumerate(reversed(lines)):
            function = function_at(where)
            known = next((one for key, one in entered if key == function), None)
            if known is not None:
                row = known  # the function itself, or a recursion: it is in the rows of its first call
                entered = entered[: 1 + next(n for n, (key, _) in enumerate(entered) if key == function)]
            else:
                called = lines[len(lines) - at][1] if at else 0
                row = self._inside(row, _Row("callee", name_of(function), *function, function[1], called))
                entered.append((function, row))
            for loop in loops_around(where):
                found = _Row("loop", loop.function, loop.file, loop.line, loop.last_line, loop.line)
                row = self._inside(row, found)
            last = row
        for each in self._way(last):
            each.share += share
        last.own += share

    def _inside(self, row: _Row, made: _Row) -> _Row:
        found = row.inside.setdefault((made.kind, made.file, made.line), made)
        found.called_from = min(found.called_from, made.called_from)
        return found

    def _way(self, to: _Row) -> list[_Row]:
        """Return the rows from the top to one, both included."""

        def search(row: _Row) -> list[_Row]:
            if row is to:
                return [row]
            return next(([row, *way] for each in row.inside.values() if (way := search(each))), [])

        return search(self._top)

    def add_through(self, lines: tuple[SourceLine, ...], share: float) -> None:
        """Add a share that no row has, an allocation for one, to the lines that it was called from."""
        for where in dict.fromkeys(lines):
            self.through[where] = self.through.get(where, 0.0) + share

    def rows(self) -> list[JsonObject]:
        """Return all rows in the order of the source, the top left out."""
        return list(self._below(self._top, 0))

    def _below(self, row: _Row, depth: int) -> Iterator[JsonObject]:
        for each in sorted(row.inside.values(), key=lambda one: (one.called_from, one.kind)):
            yield {
                "kind": each.kind,
                "name": each.name,
                "place": place(each.file, each.line),
                "last_line": each.last_line,
                "depth": depth,
                "share": each.share,
                "own": each.own,
            }
            yield from self._below(each, depth + 1)
