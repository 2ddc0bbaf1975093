"""Where something is in the user's source."""

from dataclasses import dataclass

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """A line of a source file; `source` is its text without the indent, "" where it cannot be read."""

    file: str
    line: int
    source: str = ""
