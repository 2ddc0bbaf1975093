"""Lines of the user's files, and the hints at them."""

import linecache
from typing import Any

from jitnet.profile.functions.hints import Kind

__all__ = ["Hints", "JsonObject", "line_of_def", "place"]

JsonObject = dict[str, Any]
"""A dictionary of numbers and text, ready for JSON."""

DECORATORS = 40
"""Lines that are searched for a `def` below its decorators."""


def place(file: str, line: int) -> JsonObject:
    """A line of a file, with its text."""
    return {"file": file, "line": int(line), "source": linecache.getline(file, int(line)).strip()}


def line_of_def(file: str, line: int) -> int:
    """Return the line of `def`, searched from a function's first line on, which may be a decorator's."""
    for at in range(line, line + DECORATORS):
        if linecache.getline(file, at).lstrip().startswith("def "):
            return at
    return line


class Hints:
    """The hints that were found: of each kind, at most one a line."""

    def __init__(self) -> None:
        self.found: list[JsonObject] = []

    def add(
        self, kind: Kind, file: str, line: int, reason: str, source: str, advice: str = "", share: float | None = None
    ) -> None:
        """source: where it was found, as in `Rule.found`. advice: "" for the rule's. share: of the call's time."""
        made: JsonObject = {"kind": kind.value, "place": place(file, line), "reason": reason, "advice": advice}
        made |= {"source": source, "share": share}
        if not any(other["kind"] == kind.value and other["place"] == made["place"] for other in self.found):
            self.found.append(made)
