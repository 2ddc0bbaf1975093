"""Tables and bars made of characters."""

import re
from collections.abc import Sequence

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.render.console import FAINT

__all__ = ["Cell", "bar", "empty_table", "microseconds", "table", "threads_text"]

Cell = str | int | float | Text | None

NUMBER = re.compile(r"[-+±]?[\d,.]+([eE][-+]?\d+)?(/[\d,.]+)?\s*(%|x|×|[a-zµ/]{1,4})?\*?|[-–—·]|")
LONGEST_WHOLE = 20  # longer words, paths mostly, are broken before others
GAP = 2  # columns between two columns of a table
EIGHTHS = " ▏▎▍▌▋▊▉"


def _as_text(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    if cell is None:
        return Text("-", style=FAINT)
    return Text(f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}" if isinstance(cell, float) else cell)


def empty_table(console: Console, title: str = "") -> Table:
    """A table in the house's style: a bold head, one thin line below it, no frame."""
    return Table(
        box=ASCII2 if console.options.ascii_only else SIMPLE_HEAD,
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        title_style=Style.null(),
        header_style="bold",
        border_style=FAINT,
        pad_edge=False,
        show_edge=False,
        padding=(0, GAP - 1, 0, 0),  # the box adds one
    )


def table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    title: str = "",
    footnotes: Sequence[str] = (),
) -> None:
    """An aligned table. A column of numbers is set to the right; where room is short, text goes on in a further line.

    Integers get thousands' commas, floats four digits, None a dash; strings and styled Text stay as they are.
    """
    texts = [[_as_text(cell) for cell in row] for row in rows]
    made = empty_table(console, title)
    cells = [[name, *(row[number].plain for row in texts)] for number, name in enumerate(columns)]
    widths = _fit(
        [max(Text(cell).cell_len for cell in column) for column in cells],
        [max(len(word) for cell in column for word in [*cell.split(), ""]) for column in cells],
        console.width - GAP * (len(columns) - 1),
    )
    for name, column, width in zip(columns, cells, widths, strict=True):
        numbers = len(column) > 1 and all(NUMBER.fullmatch(cell.strip()) for cell in column[1:])
        made.add_column(Text(name), justify="right" if numbers else "left", overflow="fold", width=width)
    for row in texts:
        made.add_row(*row)
    console.print(made)
    for footnote in footnotes:
        console.print(Text(footnote, style=FAINT))


def _fit(widths: list[int], words: list[int], room: int) -> list[int]:
    """Widths narrowed to `room` in all: first where text can go on between words, then where it is widest."""
    widths = list(widths)
    for least in ([min(word, LONGEST_WHOLE) for word in words], [1] * len(words)):
        while sum(widths) > room:
            spare, number = max((width - least[number], number) for number, width in enumerate(widths))
            if spare <= 0:
                break
            widths[number] -= 1
    return widths


def bar(console: Console, share: float, width: int, style: Style | str = "cyan") -> Text:
    """A horizontal bar for a share from 0 to 1, `width` columns at its longest."""
    share = min(1.0, max(0.0, share)) if share == share else 0.0
    if console.options.ascii_only:
        return Text("#" * round(share * width), style=style)
    eighths = round(share * width * 8)
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), style=style)


def microseconds(seconds: float) -> str:
    """Microseconds with about three digits."""
    us = seconds * 1e6
    return f"{us:,.0f}" if us >= 100 else f"{us:.1f}" if us >= 10 else f"{us:.2f}"


def threads_text(count: int) -> str:
    """ "1 thread", "2 threads"."""
    return f"{count} thread{'s' * (count != 1)}"
