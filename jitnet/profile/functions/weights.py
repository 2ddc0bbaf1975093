"""Which share of a call's time a hint is about: that of its line, or of the loop around it."""

import ast
from functools import cache
from pathlib import Path
from typing import Any

from jitnet.profile.code.source import loop_at
from jitnet.profile.functions.hints import Kind

__all__ = ["Weights"]

OF_LOOPS = {Kind.REDUCTION.value, Kind.LAYOUT.value, Kind.WRAPAROUND.value}
"""Hints of what keeps a whole loop from being vectorised."""

OF_NO_TIME = {Kind.RACE.value, Kind.COMPILED_AGAIN.value}
"""Hints that are about something else than a call's time."""


class Weights:
    """Shares for hints. sampling: the worker process's reply of that name."""

    def __init__(self, sampling: dict[str, Any]) -> None:
        self._lines = {(each["file"], each["line"]): each["share"] for each in sampling["lines"]}
        self._through = {(each["file"], each["line"]): each["share"] for each in sampling["through"]}
        self._python = sum(each["share"] for each in sampling["rest"] if each["name"] == "Python")
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
        of_loop = self._loops.get((file, loop.line), 0.0) if loop is not None else None
        block = [(file, each) for each in block_around(file, line)]
        if not any(self._of(place) for place in block):
            # Lines without code of their own may have run: the compiler merged them with others.
            return 0.0 if any(place in self._lines for place in block) else of_loop
        if kind in OF_LOOPS and of_loop is not None:
            return of_loop
        return self._of((file, line)) if (file, line) in self._lines else of_loop

    def _of(self, place: tuple[str, int]) -> float:
        return max(self._lines.get(place, 0.0), self._through.get(place, 0.0))


@cache
def block_around(file: str, line: int) -> range:
    """Return the lines of the innermost block of statements around a line; of a compound statement's header those of
    the block that it is in. Empty where the file cannot be read."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return range(0)
    found = range(0)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                lines = range(block[0].lineno, (block[-1].end_lineno or block[-1].lineno) + 1)
                if line in lines and (not found or len(lines) <= len(found)):
                    found = lines
    return found
