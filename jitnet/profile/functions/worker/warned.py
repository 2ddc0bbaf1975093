"""What Numba warns of while it compiles the user's functions, as hints and notes with their lines."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba

from jitnet.compiler.numba_parts import NumbaParallelSafetyWarning, NumbaPerformanceWarning, NumbaWarning
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.diagnostics import Hints
from jitnet.profile.readable import message_lines, without_colours

__all__ = ["Warned", "watch_warnings"]

NUMBA_HOME = str(Path(numba.__file__).parent) + os.sep

MOST_NOTES = 5
"""Of warnings that have no hint."""

NO_SOURCE = "Could not find source for function"
"""Of a line table, which the profile adds, for a function that Numba made itself."""

ARRAY = re.compile(r"Array\((\w+), (\d+), '(\w)'[^()]*\)")


@dataclass(frozen=True)
class _Warning:
    """category: its class. text: its words, without places. whole: all of it. file, line: of the user's statement, ""
    and 0 where it is unknown."""

    category: Any
    text: str
    whole: str
    file: str
    line: int


@dataclass
class Warned:
    """The warnings, each once, in their order."""

    found: list[_Warning] = field(default_factory=list)

    def store(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        """Store a warning, as `warnings.showwarning` shows it; not one about a copy with a line table or without a
        source."""
        if category.__name__ == "NumbaDebugInfoWarning" or str(message).startswith(NO_SOURCE):
            return
        file, line = _place(message, filename, lineno)
        text = " ".join(message_lines(message if isinstance(message, BaseException) else Warning(message)))
        text = ARRAY.sub(r"array(\1, \2d, \3)", text)
        new = _Warning(category, text, without_colours(str(message)), file, line)
        if new not in self.found:
            self.found.append(new)

    def add_to(self, hints: Hints, notes: list[str]) -> None:
        """Add a hint for each warning that has one, and a note for each other."""
        others, serial = [], ""
        for each in self.found:
            if issubclass(each.category, NumbaParallelSafetyWarning):
                _shared_variable(each, hints)
            elif "faster on contiguous arrays" in each.text and each.file:
                reason = f"{each.text}: it copies those that are not contiguous before it computes"
                hints.add(Kind.LAYOUT, each.file, each.line, reason, "types")
            elif not issubclass(each.category, NumbaPerformanceWarning):
                others.append(f"Numba warns{_at(each)}: {each.text.rstrip('.')}")
            elif "no transformation for parallel execution" in each.text:
                serial = serial or "parallel=True found nothing in it, or in a function it calls, to run in parallel"
            elif "more than one entry to or exit" in each.text:
                serial = (
                    f"the parallel loop{_at(each)} runs on one thread: it can be left in more than one way, by an "
                    "assertion, a raise or a return in it"
                )
            else:
                others.append(f"Numba warns{_at(each)}: {each.text.rstrip('.')}")
        notes += [serial] if serial else []
        notes += others[:MOST_NOTES]
        if len(others) > MOST_NOTES:
            notes.append(f"Numba has {len(others) - MOST_NOTES} more warnings")


@contextmanager
def watch_warnings() -> Iterator[Warned]:
    """Store Numba's warnings, and drop all others."""
    warned = Warned()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", NumbaWarning)
        warnings.showwarning = warned.store  # type: ignore[assignment]
        yield warned


def _place(message: Any, filename: str, lineno: int) -> tuple[str, int]:
    """Return the user's line that a warning is about; Numba passes it with most of them, and `loc` with the others."""
    loc = getattr(message, "loc", None)
    for file, line in ((getattr(loc, "filename", ""), getattr(loc, "line", 0)), (filename, lineno)):
        if file and not file.startswith((NUMBA_HOME, "<")):
            return os.path.abspath(file), int(line)
    return "", 0


def _at(each: _Warning) -> str:
    return f" of {os.path.basename(each.file)}:{each.line}" if each.file else ""


def _shared_variable(each: _Warning, hints: Hints) -> None:
    """A plain variable that several threads write."""
    named = re.search(r'File "([^"]+)", line (\d+)', each.whole)
    name = re.search(r"Variable (\S+)", each.whole)
    if named and name:
        hints.add(
            Kind.RACE,
            os.path.abspath(named[1]),
            int(named[2]),
            f"the variable {name[1].split('.')[0]} may be written by several threads at once",
            "types",
            "Add to it with += only, which Numba makes a reduction, or use an element for each iteration.",
        )
