"""Where text goes: which stream, how wide, with or without colour; and the few lines that every command may print.

Results go to standard output, progress and errors to standard error. A stream that is not a terminal gets plain
lines: no control codes, no bars, and no wrapping, so that a row stays a row. On a terminal text is broken between
words and never inside one: a path or a name that is longer than a line is left to the terminal, so that it can be
copied whole. Where the encoding has ASCII only, other characters are replaced by what people write in their place.
"""

import codecs
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO, cast

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

__all__ = [
    "ACCENT",
    "BAD",
    "FAINT",
    "GOOD",
    "IN_ASCII",
    "TIE",
    "WARN",
    "Consoles",
    "consoles",
    "error",
    "facts",
    "make_console",
    "notice",
    "say",
    "suggest",
    "tied",
    "wrapped",
    "written",
]

ACCENT, GOOD, BAD, WARN, FAINT = (Style.parse(style) for style in ("cyan", "green", "bold red", "yellow", "dim"))

UNBROKEN = 10_000  # columns of a stream that is not a terminal

ASCII = {
    "±": "+-",
    "×": "x",
    "µ": "u",
    "·": ".",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "²": "2",
}
"""What is written where a terminal can show ASCII only."""

NARROW = 20  # columns in which prose is hard to read

IN_ASCII = "jitnet.ascii"
"""Name of the error handler that encodes characters as ASCII says, and others as a question mark."""

TIE = "\ue000"
"""A space at which no line may break; shown as a space."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(ASCII.get(letter, "?") for letter in error.object[error.start : error.end]), error.end


codecs.register_error(IN_ASCII, _in_ascii)


@dataclass(frozen=True)
class Consoles:
    """The streams of one command.

    out: results. info: what is printed before them (machine, network, epochs). err: bars and notices.
    json and quiet, as passed to `consoles`, are applied here: what should not be seen is a console that shows nothing.
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
        if isinstance(stream, io.TextIOWrapper):  # an old terminal's encoding lacks some characters
            stream.reconfigure(errors=IN_ASCII)
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

    terminal, width: None asks the stream. colour: False for none on any stream. silent: shows nothing.
    """
    is_terminal = bool(file.isatty()) if terminal is None else terminal
    return Console(
        file=file if is_terminal else cast(TextIO, _Trimmed(file)),
        width=width if width or is_terminal else UNBROKEN,
        # None leaves it to rich: FORCE_COLOR colours a pipe, as its users want, and TERM=dumb is not a terminal.
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


def written(console: Console, text: str | Text) -> Text:
    """A text as the console can show it: where that has ASCII only, other characters are replaced."""
    shown = text if isinstance(text, Text) else Text(text)
    if console.options.ascii_only and not shown.plain.isascii():
        for letter in set(shown.plain) & ASCII.keys():
            shown = Text(ASCII[letter]).join(shown.split(letter, allow_blank=True))
    return shown


def tied(text: str) -> str:
    """A text, a name with its number for example, that `wrapped` does not break."""
    return text.replace(" ", TIE)


def wrapped(console: Console, text: str | Text, width: int) -> list[Text]:
    """The lines of a text in `width` columns, broken between words; a longer word has a line to itself, unbroken."""
    lines = list[Text]()
    for line in written(console, text).split("\n", allow_blank=True):
        breaks, column = list[int](), 0
        for word in re.finditer(r"\s*\S+\s*", line.plain):
            if column and column + cell_len(word[0].rstrip()) > width:
                breaks.append(word.start())
                column = 0
            column += cell_len(word[0])
        for piece in line.divide(breaks):
            piece.rstrip()
            piece.plain = piece.plain.replace(TIE, " ")
            lines.append(piece)
    return lines


def say(console: Console, text: str | Text, style: Style | str = "") -> None:
    """Print prose, broken between words."""
    for line in wrapped(console, text, console.width):
        line.stylize_before(style)
        console.print(line, soft_wrap=True)


def notice(console: Console, text: str) -> None:
    """One notice that stands out by a mark and, on a terminal, by its colour."""
    mark = Text("! ", style=WARN + Style(bold=True))
    for line in wrapped(console, " ".join(text.split()), console.width - len(mark)):
        console.print(Text.assemble(mark, (line.plain, WARN)), soft_wrap=True)
        mark = Text("  ")


def facts(console: Console, pairs: Sequence[tuple[str, str | Text]], indent: int = 0) -> None:
    """Lines of a faint label and its value, aligned; long values continue below their start.

    Where there is little room for a value, or too little for a whole word, it begins below its label.
    """
    start = indent + max((cell_len(label) for label, _ in pairs), default=0) + 2
    room = console.width - start
    for label, value in pairs:
        lines = wrapped(console, value, room)
        front = Text(f"{'':{indent}}{label}", style=FAINT)
        margin = start
        if any(line.cell_len > room for line in lines) or (len(lines) > 1 and room < NARROW):
            console.print(front)
            margin = indent + 2
            lines = wrapped(console, value, console.width - margin)
            front = Text()
        for line in lines:
            # A word that is longer than a line begins at the edge: a terminal breaks it once less.
            column = margin if line.cell_len <= console.width - margin else 0
            front.append(" " * (column - front.cell_len))
            console.print(front.append_text(line), soft_wrap=True)
            front = Text()


def suggest(console: Console, commands: Sequence[str]) -> None:
    """What to type next; nothing where there are no commands."""
    if not commands:
        return
    console.print()
    console.print(Text("Next:", style=FAINT))
    for command in commands:
        # The terminal breaks the line, so that it can be copied whole.
        console.print(Text(f"  {command}", style=ACCENT), soft_wrap=True)
