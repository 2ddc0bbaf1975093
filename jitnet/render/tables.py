"""Tables and bars made of characters."""

import math
import re
from collections.abc import Mapping, Sequence

from rich.box import ASCII2, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.style import Style
from rich.table import Table
from rich.text import Text

from jitnet.bench.figures import threads_text, three_digits
from jitnet.render.console import FAINT, facts, say, wrapped, written

__all__ = [
    "Cell",
    "bar",
    "empty_table",
    "microseconds",
    "same_decimals",
    "size_in_words",
    "table",
    "threads_text",
    "time_in_words",
]

Cell = str | int | float | Text | None

NUMBER = re.compile(r"(\+-|[-+±])?[\d,.]+([eE][-+]?\d+)?(/[\d,.]+)?\s*(%|x|×|[a-zµ/]{1,4})?\*?|[-–—·.]|")
NOTHING = re.compile(r"[-–—.]?")
ZERO = re.compile(r"[-–—.]?|[±+-]?0([.,/]0+)*(%|x|×)?")
PROSE = 20  # the narrowest that a column of prose becomes
GAP = 2  # columns between two columns of a table
DIGITS = 4  # of the number of a column that decides its decimals
LARGE = 6  # power of ten from which numbers are not written out
SPAN = 4  # powers of ten between a column's numbers, from which equal decimals would be too many
EIGHTHS = " ▏▎▍▌▋▊▉"


def _as_text(cell: Cell) -> Text:
    if isinstance(cell, Text):
        return cell
    if cell is None:
        return Text("-", style=FAINT)
    return Text(f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}" if isinstance(cell, float) else cell)


def empty_table(console: Console) -> Table:
    """A table in the style of all tables here: a bold head, one thin line below it, no frame."""
    return Table(
        box=ASCII2 if console.options.ascii_only else SIMPLE_HEAD,
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
    explained: Mapping[str, str] | None = None,
    prose: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """An aligned table. A column of numbers is right-aligned.

    Integers have thousands separators, floats four digits, None a dash; strings and styled Text stay as they are. Where
    room is short, heads wrap, and so do the cells of the columns that `prose` names. Then columns without any entry are
    left out, and those that `spare` names, first those with zeros alone, then all, in that order. Where even the others
    have no room, each row is shown as a list, one line per cell. No other cell is ever broken. Below are the sentences
    that `explained` has for columns, where these are shown, and the footnotes.
    """
    heads = [written(console, name) for name in columns]
    texts = [[written(console, _as_text(cell)) for cell in row] for row in rows]
    found = [_Column(heads[k], [row[k] for row in texts], name in prose) for k, name in enumerate(columns)]
    shown = list(range(len(columns)))
    named = [k for name in spare for k, column in enumerate(columns) if column == name]
    without_entry = [k for k, column in enumerate(found) if k and column.says(NOTHING)]
    zeros = [k for k in named if found[k].says(ZERO)]
    removable = list(dict.fromkeys([*without_entry, *zeros, *named]))
    while (room_left := _room(console, shown) - sum(found[k].min_width for k in shown)) < 0 and removable:
        shown.remove(removable.pop(0))
    if title:
        say(console, title, "bold")
    if room_left < 0:
        _records(console, found)
    else:
        _print_aligned(console, [found[k] for k in shown])
    sentences = [text for name, text in (explained or {}).items() if any(columns[k] == name for k in shown)]
    for footnote in (*sentences, *footnotes):
        say(console, footnote, FAINT)


class _Column:
    """A column's head and cells, and how many columns of the terminal it can take: `min_width` to `max_width`."""

    def __init__(self, head: Text, cells: Sequence[Text], is_prose: bool) -> None:
        self.head, self.cells = head, cells
        widest = max((cell.cell_len for cell in cells), default=0)
        self.max_width = max(head.cell_len, widest)
        words = [cell_len(word) for text in (head, *(cells if is_prose else ())) for word in text.plain.split()]
        self.min_width = max([min(self.max_width, PROSE) if is_prose else widest, *words])

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether all cells are like this."""
        return all(pattern.fullmatch(cell.plain.strip()) for cell in self.cells)

    @property
    def is_numbers(self) -> bool:
        texts = [cell.plain.strip() for cell in self.cells]
        return re.search(r"\d", "".join(texts)) is not None and all(NUMBER.fullmatch(text) for text in texts)


def _room(console: Console, shown: Sequence[object]) -> int:
    return console.width - GAP * (len(shown) - 1)


def _print_aligned(console: Console, columns: Sequence[_Column]) -> None:
    widths = [column.max_width for column in columns]
    while sum(widths) > _room(console, columns):  # narrow the column that can spare the most
        spare, number = max((width - columns[k].min_width, k) for k, width in enumerate(widths))
        if spare <= 0:
            break
        widths[number] -= 1
    aligned = empty_table(console)
    for column, width in zip(columns, widths, strict=True):
        justify: JustifyMethod = "right" if column.is_numbers else "left"
        aligned.add_column(_broken(console, column.head, width), justify=justify, width=width, overflow="fold")
    cells = [[_broken(console, cell, width) for cell in c.cells] for c, width in zip(columns, widths, strict=True)]
    for row in zip(*cells, strict=True):
        aligned.add_row(*row)
    console.print(aligned)


def _broken(console: Console, text: Text, width: int) -> Text:
    return Text("\n").join(wrapped(console, text, width))


def _records(console: Console, columns: Sequence[_Column]) -> None:
    """Each row as a heading, its first cell, and below it a line for each of its other cells."""
    first = next((k for k, column in enumerate(columns) if column.head.plain), 0)
    others = [column for k, column in enumerate(columns) if k != first and column.head.plain]
    say(console, columns[first].head, "bold")
    if len(others) == 1:
        say(console, Text(f"  {others[0].head.plain}"), "bold")
    for number, heading in enumerate(columns[first].cells):
        say(console, heading)
        named = len(others) > 1
        pairs = [(column.head.plain if named else "", column.cells[number]) for column in others]
        facts(console, [pair for pair in pairs if pair[1].plain], indent=2 if named else 0)


def bar(console: Console, share: float, width: int, style: Style | str = "cyan") -> Text:
    """A horizontal bar for a share from 0 to 1, `width` columns at its longest."""
    share = min(1.0, max(0.0, share)) if share == share else 0.0
    if console.options.ascii_only:
        return Text("#" * round(share * width), style=style)
    eighths = round(share * width * 8)
    return Text("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip(), style=style)


def microseconds(seconds: float) -> str:
    """Microseconds with about three digits."""
    return three_digits(seconds * 1e6)


def same_decimals(values: Sequence[float], *, one_quantity: bool = False) -> list[str]:
    """The numbers of a column, all with the same decimals: as many as the smallest needs for four digits; of one
    quantity, as one needs that is just below the largest. Each with four digits where they are too large or too
    different for that."""
    powers = [math.floor(math.log10(abs(value))) for value in values if value and math.isfinite(value)]
    least, most = min(powers, default=0), max(powers, default=0)
    power = max(least, most - 1) if one_quantity else least
    if most >= LARGE or power <= -DIGITS or (most - power) >= SPAN:
        return [f"{value:.{DIGITS}g}" for value in values]
    return [f"{value:.{max(0, DIGITS - 1 - power)}f}" for value in values]


def size_in_words(n_bytes: int) -> str:
    """A number of bytes in a unit that suits: "54.9 MB", "12.3 kB", "80 B"."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 100_000 else f"{n_bytes / 1e3:.1f} kB"


def time_in_words(seconds: float) -> str:
    """A time in the units that suit: "4.8 ms", "12.3 s", "5 min 03 s", "2 h 05 min"."""
    if seconds < 0.1:
        return f"{1e3 * seconds:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02d} min"
