"""Where the time of a call goes: a row for each loop and callee, nested as in the source, and one for all else."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.bench.figures import duration
from jitnet.profile.functions.function_rates import loop_rates
from jitnet.render.console import ACCENT, FAINT
from jitnet.render.tables import Cell, bar, table

if TYPE_CHECKING:
    from jitnet.profile.functions.function_profile import FunctionProfile
    from jitnet.profile.functions.time_records import LoopTime, Sampling

__all__ = ["line_shares", "percent", "time_shares"]

BAR = 20
NOTED = 5e-4
"""The smallest share that has a row, where it is not a loop's or a callee's."""

NARROW = 100
"""Columns below which source is cut shorter."""


def time_shares(console: Console, profile: "FunctionProfile") -> None:
    """The table of where a call's time goes; nothing where it was not sampled."""
    found = profile.sampling
    if found is None:
        return
    call_s = profile.full.median_s
    room = 30 if console.width < NARROW else 48
    rows: list[list[Cell]] = []
    rates = loop_rates(profile)

    def row(name: Text, line: str, share: float, own: float | None, rate: tuple[str, str] = ("", "")) -> None:
        rows.append(
            [
                name,
                line,
                percent(share),
                bar(console, share, BAR),
                duration(share * call_s),
                None if own is None else percent(own),
                *([each or None for each in rate] if rates else []),
            ]
        )

    for each in found.loops:
        row(_name(each, room), _lines(profile, each), each.share, each.own, rates.get(id(each), ("", "")))
    rest = sum(each.share for each in found.rest)
    outside = max(0.0, 1.0 - rest - sum(each.share for each in found.loops if each.depth == 0))
    if outside >= NOTED or not found.loops:
        row(Text("lines outside loops" if found.loops else "its lines"), "", outside, None)
    for other in (each for each in found.rest if each.share >= NOTED):
        row(Text(other.name, style=FAINT), "", other.share, None)
    console.print()
    table(
        console,
        ["where", "line", "share", "of a call", "time", "self", *(["GFLOP/s", "GB/s"] if rates else [])],
        rows,
        title=f"Where the time of a call goes{_on(profile)}",
        spare=[*(["GB/s", "GFLOP/s"] if rates else []), "of a call", "self", "line"],
        footnotes=[_how(found)],
    )


def line_shares(profile: "FunctionProfile") -> dict[tuple[str, int], float]:
    """Return the share of each line by its file and number; {} where it was not sampled."""
    lines = profile.sampling.lines if profile.sampling is not None else ()
    return {(each.place.file, each.place.line): each.share for each in lines}


def percent(share: float) -> str:
    """A share from 0 to 1, in percent."""
    return f"{share:.0%}" if share >= 0.095 or share == 0 else f"{share:.1%}" if share >= NOTED else "<0.1%"


def _on(profile: "FunctionProfile") -> str:
    threads = profile.full.threads
    return f", on {threads} threads" if threads > 1 else ""


def _name(each: "LoopTime", room: int) -> Text:
    indent = "  " * each.depth
    text = f"{each.name}()" if each.kind == "callee" else each.place.source.rstrip(":")
    cut = text if len(indent) + len(text) <= room else text[: max(8, room - len(indent) - 1)] + "…"
    return Text(indent + cut, style=ACCENT if each.kind == "callee" else "")


def _lines(profile: "FunctionProfile", each: "LoopTime") -> str:
    where = str(each.place.line)
    if each.kind == "loop" and each.last_line > each.place.line:
        where += f"-{each.last_line}"
    if each.place.file != profile.place.file:
        where = f"{each.place.file.replace(chr(92), '/').rpartition('/')[2]}:{where}"
    return where


def _how(found: "Sampling") -> str:
    points = max(1, round(100 / max(1, found.samples) ** 0.5))
    cost = f"a call takes {found.cost:.0%} longer" if found.cost >= 0.005 else "a call takes no longer"
    count = f"{found.samples:,} sample{'s' * (found.samples != 1)}"
    text = (
        f"By {count}, ±{points} point{'s' * (points > 1)}; {cost} while it is sampled. Self: without the loops and "
        "callees inside it. What is not a line, an allocation for one, has a row of its own and is in no loop."
    )
    if not found.same_code:
        text += " What was sampled is a copy with a line table, whose machine code differs from what was timed."
    return text
