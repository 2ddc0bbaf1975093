"""Where text goes: which stream, how wide, with or without colour; and the few lines that every command may say.

What was asked for goes to standard output, progress and errors to standard error. A stream that is no terminal gets
plain lines: no control codes, no bars, and no wrapping, so that a row stays a row.
"""

import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO, cast

from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

__all__ = ["ACCENT", "BAD", "FAINT", "GOOD", "WARN", "Consoles", "consoles", "error", "facts", "make_console", "notice"]

ACCENT, GOOD, BAD, WARN, FAINT = (Style.parse(style) for style in ("cyan", "green", "bold red", "yellow", "dim"))

UNBROKEN = 10_000  # columns of a stream that is no terminal


@dataclass(frozen=True)
class Consoles:
    """The streams of one command.

    out: results. info: what is said on the way to them (machine, network, epochs). err: bars and notices.
    json and quiet, as `consoles` got them, are settled here: what is not to be seen is a console that shows nothing.
    """

    out: Console
    info: Console
    err: Console


def consoles(json: bool = False, quiet: bool = False) -> Consoles:
    """The consoles of a command: `json` leaves standard output alone, `quiet` shows only results and errors.

    OutputError where standard output is closed: before the work, whose result would be lost.
    """
    sys.stdout.write("")  # raises where it is closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an old terminal's encoding lacks some characters: show a ? there
            stream.reconfigure(errors="replace")
    out = make_console(sys.stderr if json else sys.stdout, silent=json and quiet)
    if quiet:
        silent = make_console(sys.stderr, silent=True)
        return Consoles(out, silent, silent)
    return Consoles(out, out, make_console(sys.stderr))


class _Trimmed:
    """A stream that leaves out the spaces with which rich fills a line to its table's width."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(re.sub(r" +$", "", text, flags=re.MULTILINE))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def make_console(
    file: TextIO,
    *,
    terminal: bool | None = None,
    width: int | None = None,
    colour: bool = True,
    silent: bool = False,
) -> Console:
    """A console on a stream, which shows text literally: no markup, no emoji names, no guessed highlights.

    terminal, width: None asks the stream. colour: False for none, whatever the stream. silent: shows nothing.
    """
    is_terminal = bool(file.isatty()) if terminal is None else terminal
    return Console(
        file=file if is_terminal else cast(TextIO, _Trimmed(file)),
        width=width if width or is_terminal else UNBROKEN,
        # Left to rich, FORCE_COLOR would colour a pipe, which users of it want, and TERM=dumb would not be a terminal.
        force_terminal=terminal,
        force_interactive=is_terminal and os.environ.get("TERM") != "dumb",
        color_system="auto" if colour else None,
        quiet=silent,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def error(message: str, console: Console | None = None) -> None:
    """One red line `jitnet: error: MESSAGE` on standard error."""
    text = Text.assemble(("jitnet: error: ", BAD), " ".join(message.split()))
    (console or make_console(sys.stderr)).print(text, soft_wrap=True)


def notice(console: Console, text: str) -> None:
    """One notice that cannot be overlooked: set apart by a mark and, on a terminal, by its colour."""
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("!", style=WARN + Style(bold=True)), Text(" ".join(text.split()), style=WARN))
    console.print(grid)


def facts(console: Console, pairs: Sequence[tuple[str, str | Text]]) -> None:
    """Lines of a faint label and what it is, aligned; long ones go on below their start."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style=FAINT)
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(label, value if isinstance(value, Text) else Text(value))
    console.print(grid)
