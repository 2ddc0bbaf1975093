"""The program of a training step on the screen: `jitnet train --explain`."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.console import FAINT, facts
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.training.explanation import ExplainedLine, Explanation

__all__ = ["program_table"]


def program_table(console: Console, found: "Explanation") -> None:
    """The lines of a step, region by region; then who owns what, and why so many parts."""
    facts(
        console,
        [
            ("network", f"{'-'.join(map(str, found.network))}, batch {found.batch_size}"),
            ("threads", f"{found.threads} ({found.threads_reason})"),
            ("inputs", f"{found.input_loops} loops ({found.input_reason})"),
            ("step", f"{found.regions} parallel regions, {_count(found.flop)}FLOP, {_count(found.bytes)}B"),
        ],
    )
    for when, title in (("first step", "Before the first step of a call"), ("every step", "Every step")):
        lines = [line for line in found.lines if line.when == when]
        if lines:
            console.print()
            _lines(console, lines, title)
    console.print()
    for note in _notes():
        console.print(Text(note, style=FAINT))


def _lines(console: Console, lines: "list[ExplainedLine]", title: str) -> None:
    rows: list[list[Cell]] = []
    before = 0
    for line in lines:
        new, before = line.region != before, line.region
        rows.append(
            [
                str(line.region) if new else "",
                line.operation + (" (next batch)" if line.batch == "next" else ""),
                str(line.layer),
                line.kernels,
                line.split,
                str(line.parts),
                _owners(line),
                line.reason if new else "",
                _count(line.flop),
                _count(line.bytes),
            ]
        )
    columns = ["region", "operation", "layer", "kernels", "split by", "parts", "part by part", "why so many"]
    table(console, [*columns, "FLOP", "bytes"], rows, title=title)


def _owners(line: "ExplainedLine", most: int = 4) -> str:
    """ "0–63 64–127": what each part owns; the first and the last where there are many."""
    told = [f"{first}–{last - 1}" if last > first else "-" for first, last in line.owners]
    return " ".join(told if len(told) <= most else [*told[:2], "…", told[-1]])


def _count(number: float) -> str:
    """With two or three digits and a unit: 12, 3.4 k, 25.1 M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} "


def _notes() -> list[str]:
    return [
        "Lines that share a region run in one parallel loop: each part goes on to the next line without waiting for "
        "the others.",
        "units: of this layer, whole panels; units below: of the layer below, this layer's inputs; every part: each "
        "does all samples for itself.",
    ]
