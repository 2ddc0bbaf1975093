"""The program of a training step on the screen: `jitnet train --explain`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from jitnet.render.console import FAINT, facts, say
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.training.explanation import ExplainedLine, Explanation

__all__ = ["program_table"]

FIRST_AND_LAST = "Of many parts the first and the last are shown; --json has all of them."

WIDE = 150
"""Columns from which kernels and reasons are in the same row as their operation."""

_MOST_OWNERS, _FEW_OWNERS = 4, 2
"""Parts whose ranges are shown, in wide tables and in narrow ones."""

NOTES = (
    "Lines that share a region run in one parallel loop: each part goes on to the next line without waiting for the "
    "others. Ahead of a region all parts meet, as each waits for what others have made.",
    "Each number has one writer, so the bits do not depend on the parts. What a line is split by, and its parts are "
    "counted in:",
)


def program_table(console: Console, found: "Explanation") -> None:
    """The lines of a step, region by region: what each does, which part owns what, and why so many parts."""
    from jitnet.training.explanation import SPLITS_IN_WORDS

    network = [*filter(None, ["-".join(map(str, found.network)), found.layers]), f"batch {found.batch_size}"]
    facts(
        console,
        [
            ("network", ", ".join(network)),
            ("threads", f"{found.threads} ({found.threads_reason}){_trials(found)}"),
            ("inputs", f"{found.input_loops} loops ({found.input_reason})"),
            ("step", f"{_regions(found)}, {_count(found.flop)}FLOP, {_count(found.bytes)}B"),
        ],
    )
    for when, title in (("first step", "Before the first step of a call"), ("every step", "Every step")):
        lines = [line for line in found.lines if line.when == when]
        if lines:
            console.print()
            (_wide if console.width >= WIDE else _narrow)(console, lines, title)
    console.print()
    _regions_table(console, found.lines)
    if console.width < WIDE:
        console.print()
        _kernels_table(console, found.lines)
    console.print()
    for note in (FIRST_AND_LAST,) * (not _shows_all_parts(found.lines, console)) + NOTES:
        say(console, note, FAINT)
    used = {line.split for line in found.lines}
    facts(console, [(name, words) for name, words in SPLITS_IN_WORDS.items() if name in used])


def _wide(console: Console, lines: "Sequence[ExplainedLine]", title: str) -> None:
    rows: list[list[Cell]] = []
    before = 0
    for line in lines:
        new, before = line.region != before, line.region
        numbers = [_count(line.flop), _count(line.bytes)]
        region, reason = (str(line.region), line.reason) if new else ("", "")
        what = [_name(line), ", ".join(line.kernels) or "-", line.split, str(line.parts), _owners(line), reason]
        rows.append([region, *what, *numbers])
    columns = ["region", "operation, layer", "kernels", "split by", "parts", "part by part", "why so many"]
    spare = ["kernels", "bytes", "FLOP"]
    table(console, [*columns, "FLOP", "bytes"], rows, title=title, prose=["kernels", "why so many"], spare=spare)


def _narrow(console: Console, lines: "Sequence[ExplainedLine]", title: str) -> None:
    rows: list[list[Cell]] = []
    before = 0
    for line in lines:
        region, before = str(line.region) if line.region != before else "", line.region
        rows.append(
            [region, _name(line), line.split, _owners(line, _FEW_OWNERS), _count(line.flop), _count(line.bytes)]
        )
    columns = ["region", "operation, layer", "split by", "part by part", "FLOP", "bytes"]
    table(console, columns, rows, title=title, spare=["split by", "bytes", "FLOP", "part by part"])


def _regions_table(console: Console, lines: "Sequence[ExplainedLine]") -> None:
    found = {line.region: line for line in reversed(lines)}
    rows: list[list[Cell]] = [
        [str(region), str(line.parts), line.reason, line.waits_for or "-"] for region, line in sorted(found.items())
    ]
    table(console, ["region", "parts", "why so many", "waits for"], rows, prose=["why so many", "waits for"])


def _kernels_table(console: Console, lines: "Sequence[ExplainedLine]") -> None:
    kernels = {line.operation: ", ".join(line.kernels) or "-" for line in lines}
    rows: list[list[Cell]] = [[operation, names] for operation, names in kernels.items()]
    table(console, ["operation", "kernels that it calls"], rows, prose=["kernels that it calls"])


def _name(line: "ExplainedLine") -> str:
    return f"{line.operation} {line.layer}" + (", next batch" if line.batch == "next" else "")


def _shows_all_parts(lines: "Sequence[ExplainedLine]", console: Console) -> bool:
    """Whether the tables have the range of every part."""
    limit = _MOST_OWNERS if console.width >= WIDE else _FEW_OWNERS
    return max(len(line.owners) for line in lines) <= limit


def _owners(line: "ExplainedLine", limit: int = _MOST_OWNERS) -> str:
    """ "0–63 64–127": what each part owns; only the first and the last of more than `limit`."""
    ranges = [f"{first}–{last - 1}" if last > first else "-" for first, last in line.owners]
    return " ".join(ranges if len(ranges) <= limit else [ranges[0], "…", ranges[-1]])


def _trials(found: "Explanation") -> str:
    """What a training does where no count of threads was asked for."""
    return f"; a training begins on {found.begins_on} and tries others" if found.begins_on else ""


def _regions(found: "Explanation") -> str:
    """How many regions a step has, and how many of them are parallel."""
    count, parallel = len({line.region for line in found.lines if line.when == "every step"}), found.regions
    if parallel == count:
        return f"{count} parallel region{'s' * (count != 1)}"
    return f"{count} region{'s' * (count != 1)}, {parallel or 'none'} of them parallel"


def _count(number: float) -> str:
    """With two or three digits and a unit: 12, 3.4 k, 25.1 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "
