"""Lines of the user's files, and the hints that are given at them."""

import linecache
from typing import Any

from jitnet.profile.functions.hints import Kind

__all__ = ["Answer", "Hints", "line_of_def", "place"]

Answer = dict[str, Any]
"""Plain numbers and words, ready for JSON."""

DECORATORS = 40
"""Lines that are looked through for a `def` below its decorators."""


def place(file: str, line: int) -> Answer:
    """A line of a file, and what stands there."""
    return {"file": file, "line": int(line), "source": linecache.getline(file, int(line)).strip()}


def line_of_def(file: str, line: int) -> int:
    """The line of `def`, from the first line of a function on, which may be a decorator's."""
    for at in range(line, line + DECORATORS):
        if linecache.getline(file, at).lstrip().startswith("def "):
            return at
    return line


class Hints:
    """Hints as they come up: of each kind, one a line."""

    def __init__(self) -> None:
        self.given: list[Answer] = []

    def add(
        self, kind: Kind, file: str, line: int, reason: str, source: str, advice: str = "", share: float | None = None
    ) -> None:
        """source: what told it, as `Rule.found` says. advice: "" for the rule's own. share: of the call's time."""
        made: Answer = {"kind": kind.value, "place": place(file, line), "reason": reason, "advice": advice}
        made |= {"source": source, "share": share}
        if not any(other["kind"] == kind.value and other["place"] == made["place"] for other in self.given):
            self.given.append(made)
