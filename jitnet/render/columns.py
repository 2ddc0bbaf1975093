"""A table's columns on the screen: what is in each, and what training makes of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.render.console import ACCENT, facts, notice, tied
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.datasets.table_description import ColumnDescription, TableDescription

__all__ = ["table_description"]


BLOCKS = " ▁▂▃▄▅▆▇█"
IN_ASCII_BLOCKS = " .:-=+*#@"


def table_description(console: Console, found: "TableDescription") -> None:
    """A table: how it is written, a line for each column, and what training makes of each."""
    inputs = f"{found.n_features:,} input{'s' * (found.n_features != 1)} of a network"
    facts(
        console,
        [
            ("file", Text(found.source, style="bold")),
            *([("written", found.dialect)] if found.dialect else []),
            ("rows", f"{found.n_rows:,}"),
            ("columns", f"{len(found.columns):,}, which become {inputs}"),
        ],
    )
    for line in (*found.decisions, *([found.problem] if found.problem else [])):
        notice(console, line)
    console.print()
    rows: list[list[Cell]] = [
        [
            Text(column.name, style="bold"),
            column.kind,
            column.missing or None,
            column.distinct,
            _range_of(column, found.n_rows),
            _histogram(console, column.histogram),
        ]
        for column in found.columns
    ]
    table(
        console,
        ["column", "type", "missing", "distinct", "range or commonest", "histogram"],
        rows,
        prose=["range or commonest"],
        spare=["histogram"],
    )
    console.print()
    uses: list[list[Cell]] = [
        [
            Text(column.name, style="bold"),
            column.n_features or None,
            Text("; ".join([*([column.becomes] if column.becomes else []), *column.findings])),
        ]
        for column in found.columns
    ]
    table(console, ["column", "inputs", "becomes"], uses, prose=["becomes"])


def _range_of(column: "ColumnDescription", n_rows: int) -> str:
    """The range of numbers and dates, or the commonest words with their shares."""
    if not column.commonest:
        return column.low if column.low == column.high else f"{column.low} … {column.high}"
    shares = [(word, f"{count / n_rows:.0%}") for word, count in column.commonest]
    shown = ", ".join(tied(word if share == "0%" else f"{word} {share}") for word, share in shares)
    return shown if len(column.commonest) == column.distinct else f"{shown}, …"


def _histogram(console: Console, counts: Sequence[int]) -> Text:
    """A character for each count, the higher the more."""
    marks = IN_ASCII_BLOCKS if console.options.ascii_only else BLOCKS
    most = max(counts, default=0) or 1
    heights = [0 if not count else max(1, round(count / most * (len(marks) - 1))) for count in counts]
    return Text("".join(marks[height] for height in heights), style=ACCENT)
