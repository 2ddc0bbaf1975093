"""Which share of a call's time a hint is about: that of its line, or of the loop around it."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from jitnet.profile.code.source import loop_at
from jitnet.profile.functions.hints import Kind

__all__ = ["HintShares"]

OF_LOOPS = {Kind.REDUCTION.value, Kind.LAYOUT.value, Kind.WRAPAROUND.value}
"""Hints of what keeps a whole loop from being vectorised."""

OF_NO_TIME = {Kind.RACE.value, Kind.COMPILED_AGAIN.value}
"""Hints that are about something else than a call's time."""


class HintShares:
    """Shares for hints. sampling: the worker process's reply of that name."""

    def __init__(self, sampling: dict[str, Any]) -> None:
        self._lines = {(each["file"], each["line"]): each["share"] for each in sampling["lines"]}
        self._through = {(each["file"], each["line"]): each["share"] for each in sampling["through"]}
        self._python = sum(each["share"] for each in sampling["rest"] if each["name"] == "Python")
        self._smallest = 0.5 / max(1, sampling["samples"])  # of what ran, and was met by no sample
        self._loops: dict[tuple[str, int], float] = {}
        for each in sampling["loops"]:
            if each["kind"] == "loop":  # once for each way to it
                at = each["place"]["file"], each["place"]["line"]
                self._loops[at] = self._loops.get(at, 0.0) + each["share"]

    def share(self, kind: str, file: str, line: int) -> float | None:
        """Return the share for a hint of a kind at a line; 0 where its block never ran, None where it is not known."""
        if kind in OF_NO_TIME:
            return None
        if kind == Kind.OBJECT_MODE.value:
            return self._python
        loop = loop_at(file, line)
        of_loop = self._loops.get((file, loop.line)) if loop is not None else None
        block, statement = lines_around(file, line)
        if not any(self._of(file, each) for each in block):
            # Lines without code of their own may have run: the compiler merged them with others.
            return 0.0 if any((file, each) in self._lines for each in block) else of_loop
        at_head = loop is not None and line in range(loop.line, loop.head + 1)
        if of_loop is not None and (kind in OF_LOOPS or at_head):
            return of_loop
        if not any((file, each) in self._lines for each in statement):
            return of_loop
        return max(self._smallest, sum(self._of(file, each) for each in statement))

    def _of(self, file: str, line: int) -> float:
        return max(self._lines.get((file, line), 0.0), self._through.get((file, line), 0.0))


@cache
def lines_around(file: str, line: int) -> tuple[range, range]:
    """Return the lines of the innermost block around a line, and of the innermost statement; of one that contains
    others, the line alone. Both are empty where the file cannot be read."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return range(0), range(line, line + 1)
    found, statement = range(0), range(line, line + 1)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody", "handlers"):
            block = getattr(node, name, None)
            if not isinstance(block, list) or not block or not isinstance(block[0], ast.stmt):
                continue
            lines = _lines(block[0], block[-1])
            if line in lines and (not found or len(lines) <= len(found)):
                found = lines
                around = next((each for each in block if line in _lines(each, each)), None)
                statement = range(line, line + 1)
                if around is not None and not hasattr(around, "body"):
                    statement = _lines(around, around)
    return found, statement


def _lines(first: ast.stmt, last: ast.stmt) -> range:
    return range(first.lineno, (last.end_lineno or last.lineno) + 1)
