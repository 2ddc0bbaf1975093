"""Curves, points and histograms drawn with characters: braille dots, two by four a character, and eighths of a block;
or with `*`, `.` and `#` where the console has ASCII only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.console import ACCENT, FAINT, say, wrapped
from jitnet.render.drawing import GAP, page, print_cells

__all__ = ["Curve", "Panel", "braille", "chart", "histogram", "panels", "plot"]

EIGHTHS = " ▁▂▃▄▅▆▇█"
NARROWEST = 34  # columns of a panel beside another
WIDEST = 50
HEIGHT = 9  # rows of a panel
LETTERS = 3  # times that a curve's letter is written on it
DASH, PERIOD = 1, 4  # from the first dot of a dash to its last, and to the next dash
BOLD = Style(bold=True)

Ends = tuple[float, float]

Panel = Callable[[int], list[Text]]
"""Draws the lines of a chart, at most so many columns wide."""


@dataclass(frozen=True)
class Curve:
    """Points of a chart; joined: by lines, from each to the next. mark: what is drawn where there is ASCII only.
    dashed: whether the lines are. letter: written on the line here and there, to tell it from others without colour.
    """

    xs: Sequence[float]
    ys: Sequence[float]
    style: Style = ACCENT
    mark: str = "*"
    joined: bool = True
    dashed: bool = False
    letter: str = ""


def plot(
    console: Console,
    xs: Sequence[float],
    ys: Sequence[float],
    *,
    title: str = "",
    x_label: str = "",
    x_ends: Ends | None = None,
    width: int | None = None,
    height: int = 12,
) -> None:
    """Print a curve through the points (xs, ys), with its axes.

    x_ends: where the axis begins and ends; None where the points do.
    width: in columns; None takes what the console has, up to 80. height: in rows. Values that are NaN or infinite are
    left out.
    """
    if title:
        say(console, title, "bold")
    columns = width or min(console.width, 80)
    for line in chart(console, [Curve(xs, ys)], x_label=x_label, x_ends=x_ends, width=columns, height=height):
        console.print(line)


def panels(console: Console, drawn: Sequence[Panel]) -> None:
    """Print charts, two in a row where there is room, otherwise one below the other."""
    room = page(console)
    half = (room - GAP) // 2
    beside = 2 if half >= NARROWEST else 1
    width = min(half if beside == 2 else room, WIDEST)
    for start in range(0, len(drawn), beside):
        if start:
            console.print()
        blocks = [panel(width) for panel in drawn[start : start + beside]]
        for cells in zip_longest(*blocks, fillvalue=Text()):
            print_cells(console, cells, [width] * len(cells))


def chart(
    console: Console,
    curves: Sequence[Curve],
    *,
    title: str = "",
    x_label: str = "",
    x_ends: Ends | None = None,
    y_ends: Ends | None = None,
    width: int = 80,
    height: int = HEIGHT,
) -> list[Text]:
    """The lines of curves with their axes; of two at one place the later one is on top.

    x_ends, y_ends: where the axes begin and end; None where the points do. Values that are NaN or infinite are left
    out.
    """
    heading = _heading(console, title, width)
    finite = [
        [(x, y) for x, y in zip(curve.xs, curve.ys, strict=True) if np.isfinite(x) and np.isfinite(y)]
        for curve in curves
    ]
    points = [point for found in finite for point in found]
    if not points:
        return [*heading, Text("nothing to draw", style=FAINT)]
    left, right = x_ends or (min(x for x, _ in points), max(x for x, _ in points))
    low, high = y_ends or _y_ends([y for _, y in points])
    labels = {0: f"{high:.4g}", height // 2: f"{(low + high) / 2:.4g}", height - 1: f"{low:.4g}"}
    if high == low:
        labels = {height // 2: f"{low:.4g}"}
        low, high = low - 1.0, high + 1.0
    margin = max(len(label) for label in labels.values())
    columns = max(8, width - margin - 2)
    ascii_only = console.options.ascii_only
    across, down = (1, 1) if ascii_only else (2, 4)
    layers, places = [], []
    for curve, found in zip(curves, finite, strict=True):
        dots = np.zeros((height * down, columns * across), bool)
        x_scale = (dots.shape[1] - 1) / (right - left) if right > left else 0.0
        y_scale = (dots.shape[0] - 1) / (high - low)
        places.append([((x - left) * x_scale, (high - y) * y_scale) for x, y in found])
        _mark(dots, places[-1], curve.joined, curve.dashed and not ascii_only)
        layers.append(dots.reshape(height, down, columns, across).swapaxes(1, 2))
    letters = {} if ascii_only else _letters(curves, layers, places, (across, down))
    rows = []
    for number in range(height):
        row = Text()
        for column in range(columns):
            cells = [layer[number, column] for layer in layers]
            top = next((k for k in reversed(range(len(cells))) if cells[k].any()), None)
            if (written := letters.get((number, column))) is not None:
                row.append(curves[written].letter, curves[written].style + BOLD)
            elif top is None:
                row.append(" ")
            else:
                mark = curves[top].mark if ascii_only else braille(np.logical_or.reduce(cells))
                row.append(mark, curves[top].style)
        rows.append(row)
    return [*heading, *_framed(console, rows, labels, (left, right), x_label, margin, columns)]


def _letters(
    curves: Sequence[Curve],
    layers: Sequence[npt.NDArray[np.bool_]],
    places: Sequence[list[tuple[float, float]]],
    cell: tuple[int, int],
) -> dict[tuple[int, int], int]:
    """Row and column of each letter, and the curve that it is on: those of several curves at different columns, each
    where its curve has a line, and near its end."""
    found: dict[tuple[int, int], int] = {}
    lettered = [k for k, curve in enumerate(curves) if curve.letter and places[k]]
    for rank, k in enumerate(lettered):
        first, last = (int(place[0] // cell[0]) for place in (places[k][0], places[k][-1]))
        xs, ys = zip(*places[k], strict=True)
        spaces = (last - first) / LETTERS
        for number in range(LETTERS):
            wanted = round(first + spaces * (number + (rank + 0.5) / len(lettered)))
            for column in sorted(range(first, last + 1), key=lambda c: abs(c - wanted))[: 2 * len(lettered) + 3]:
                row = int(np.interp((column + 0.5) * cell[0], xs, ys) // cell[1])
                is_inside = 0 <= row < layers[k].shape[0]
                if is_inside and not any((row, column + by) in found for by in (-1, 0, 1)):
                    found[row, column] = k
                    break
    return found


def histogram(
    console: Console,
    counts: Sequence[int],
    ends: Ends,
    *,
    title: str = "",
    x_label: str = "",
    width: int = 80,
    height: int = HEIGHT,
) -> list[Text]:
    """The lines of a histogram of bins of equal width between two ends; a bin that is not empty shows a mark."""
    most = max(counts)
    labels = {0: f"{most:,}", height - 1: "0"}
    margin = max(len(label) for label in labels.values())
    each = max(1, (width - margin - 2) // len(counts))
    levels = [max(1, round(count / most * height * 8)) if count else 0 for count in counts]
    rows = []
    for number in range(height):
        filled = [min(8, max(0, level - 8 * (height - 1 - number))) for level in levels]
        if console.options.ascii_only:
            at_bottom = number == height - 1
            marks = ["#" if level >= 4 else "." if level and at_bottom else " " for level in filled]
        else:
            marks = [EIGHTHS[level] for level in filled]
        rows.append(Text("".join(mark * each for mark in marks), ACCENT))
    heading = _heading(console, title, width)
    return [*heading, *_framed(console, rows, labels, ends, x_label, margin, each * len(counts))]


def _heading(console: Console, title: str, width: int) -> list[Text]:
    lines = wrapped(console, title, width) if title else []
    for line in lines:
        line.stylize_before("bold")
    return lines


def _y_ends(ys: Sequence[float]) -> Ends:
    low, high = min(ys), max(ys)
    return (0.0 if 0 <= low < high / 2 else low), high  # a curve that starts near zero is read from zero


def _mark(dots: npt.NDArray[np.bool_], places: list[tuple[float, float]], joined: bool, dashed: bool = False) -> None:
    """Set the dots at places (column, row), and those on the lines between them; what is outside is left out."""
    pairs = pairwise(places) if joined and len(places) > 1 else zip(places, places, strict=True)
    walked = 0.0
    for (x0, y0), (x1, y1) in pairs:
        length = max(abs(x1 - x0), abs(y1 - y0))
        along = np.linspace(0.0, 1.0, int(length) * 2 + 2)
        rows, columns = np.rint(y0 + (y1 - y0) * along).astype(int), np.rint(x0 + (x1 - x0) * along).astype(int)
        inside = (rows >= 0) & (rows < dots.shape[0]) & (columns >= 0) & (columns < dots.shape[1])
        if dashed:
            inside &= (walked + length * along) % PERIOD < DASH
            walked += length
        dots[rows[inside], columns[inside]] = True


def _framed(
    console: Console,
    rows: Sequence[Text],
    labels: dict[int, str],
    x_ends: Ends,
    x_label: str,
    margin: int,
    columns: int,
) -> list[Text]:
    """Rows with an axis on their left, labelled at some of them, and one below, labelled at its ends."""
    ascii_only = console.options.ascii_only
    lines = []
    for number, row in enumerate(rows):
        line = Text(f"{labels.get(number, ''):>{margin}} ", style=FAINT, no_wrap=True)
        line.append("|" if ascii_only else "┤" if number in labels else "│")
        lines.append(line.append_text(row))
    lines.append(Text(" " * (margin + 1) + ("+" + "-" * columns if ascii_only else "└" + "─" * columns), style=FAINT))
    start, end = f"{x_ends[0]:.4g}", f"{x_ends[1]:.4g}"
    room = max(1, columns - len(start) - len(end))
    middle = (x_label if len(x_label) < room else "").center(room)
    lines.append(Text(" " * (margin + 2) + start + middle + end, style=FAINT, no_wrap=True))
    return lines


def braille(cell: npt.NDArray[np.bool_]) -> str:
    """The braille character of a (4, 2) cell of dots; a blank if there are none."""
    if not cell.any():
        return " "
    weights = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    return chr(0x2800 + int(weights[cell].sum()))
