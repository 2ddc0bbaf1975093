"""A roofline, drawn with characters in the terminal; and its marks, names and legend for any drawing of it."""

import itertools
import math
import string
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.charts import braille
from jitnet.render.console import ACCENT, BAD, FAINT, say
from jitnet.render.measurement import IMPOSSIBLE
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.profile.roofline import Bandwidth, Extent, Point, Roofline

__all__ = ["flat_names", "legend", "marks", "roofline_picture", "slope_name"]

NOMINAL = "o"
MARKS = string.ascii_uppercase + string.ascii_lowercase.replace(NOMINAL, "") + string.digits
UNMARKED = "+"
"""The mark of points for which no other is left."""

WIDEST = 100
"""The most columns of the picture."""


def marks(points: "Sequence[Point]") -> list[str]:
    """A character for each point: its `mark`, or else the next letter."""
    letters = iter(MARKS)
    return [point.mark or next(letters, UNMARKED) for point in points]


def flat_names(found: "Roofline") -> list[tuple[str, float]]:
    """The names of the flat lines, each with its GFLOP/s: the peak's first, then the ceilings'."""
    lines = [(found.peak_name, found.peak_gflops), *((ceiling.name, ceiling.gflops) for ceiling in found.ceilings)]
    return [(f"{name} {gflops:,.{0 if gflops >= 10 else 1}f} GFLOP/s", gflops) for name, gflops in lines]


def slope_name(bandwidth: "Bandwidth") -> str:
    """The name of the line of a level of memory."""
    return f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s"


def legend(found: "Roofline") -> tuple[list[str], list[list[str]], list[str]]:
    """The table below a drawing: its heads, a row for each point that begins with its mark, and notes."""
    nominal, binds = any(point.nominal for point in found.points), any(point.binds for point in found.points)
    rows = []
    for mark, point in zip(marks(found.points), found.points, strict=True):
        row = [mark, point.name, f"{point.intensity:.2f}", f"{point.gflops:,.1f}"]
        row += [f"{point.nominal[1]:,.1f}" if point.nominal else "-"] if nominal else []
        rows.append([*row, f"{point.share:.0%}{'*' * point.impossible}", *[point.binds] * binds])
    notes = [f"{NOMINAL}: nominal, as if the zeros that were skipped had been multiplied too."] if nominal else []
    if any(point.impossible for point in found.points):
        notes.append(IMPOSSIBLE)
    if found.left_out:
        notes.append(f"No arithmetic, so no place here: {', '.join(found.left_out)}.")
    return ["", "operation", "FLOP/B", "GFLOP/s", *["nominal"] * nominal, "roof", *["bound by"] * binds], rows, notes


# ---- In the terminal ----


class _Canvas:
    """Cells of a picture whose axes are logarithms: dots of lines, and characters over them."""

    def __init__(self, extent: "Extent", columns: int, rows: int, ascii_only: bool) -> None:
        self.extent, self.columns, self.rows, self.ascii_only = extent, columns, rows, ascii_only
        self.across, self.down = (1, 1) if ascii_only else (2, 4)
        self.dots = np.zeros((rows * self.down, columns * self.across), bool)
        self.written: dict[tuple[int, int], tuple[str, Style]] = {}

    def x(self, intensity: float) -> float:
        """The position of an intensity, from 0 to 1."""
        return math.log(intensity / self.extent.left) / math.log(self.extent.right / self.extent.left)

    def y(self, gflops: float) -> float:
        """The position of GFLOP/s, from 0 at the top to 1."""
        return math.log(self.extent.high / gflops) / math.log(self.extent.high / self.extent.low)

    def cell(self, intensity: float, gflops: float) -> tuple[int, int]:
        """Row and column."""
        row, column = self.y(gflops) * self.rows, self.x(intensity) * self.columns
        return min(self.rows - 1, max(0, int(row))), min(self.columns - 1, max(0, int(column)))

    def roof(self, peak: float, gbs: float) -> None:
        """Dots of one level's roof, where it is inside the picture."""
        height, width = self.dots.shape
        step = math.log(self.extent.right / self.extent.left) / width
        for place in range(width):
            intensity = self.extent.left * math.exp((place + 0.5) * step)
            at = self.y(min(peak, gbs * intensity)) * height
            if 0 <= at < height:
                self.dots[int(at), place] = True

    def ceiling(self, gflops: float) -> None:
        """A flat line, dotted."""
        row = min(self.dots.shape[0] - 1, max(0, int(self.y(gflops) * self.dots.shape[0])))
        self.dots[row, :: 2 * self.across] = True

    def mark(self, intensity: float, gflops: float, mark: str, style: Style) -> None:
        """A character at its place, or at the nearest free one."""
        row, column = self.cell(intensity, gflops)
        free = (cell for cell in itertools.product(range(self.rows), range(self.columns)) if cell not in self.written)
        # A row is twice as high as a column is wide.
        nearest = min(free, key=lambda cell: (2 * (cell[0] - row)) ** 2 + (cell[1] - column) ** 2)
        self.written[nearest] = mark, style

    def label(self, text: str, cells: Sequence[tuple[int, int]]) -> bool:
        """A text that begins in one of these cells: where it covers the fewest dots, and no character; whether there is
        such a place."""
        best = None
        for row, column in cells:
            places = [(row, column + k) for k in range(-1, len(text) + 1)]
            inside = 0 <= row < self.rows and column >= 0 and column + len(text) <= self.columns
            if inside and not any(place in self.written for place in places):
                covered = int(self._dots_of(row, column, column + len(text)).sum())
                if best is None or covered < best[0]:
                    best = covered, row, column
        if best is None:
            return False
        _, row, column = best
        self.written |= {(row, column + k): (letter, FAINT) for k, letter in enumerate(text)}
        return True

    def _dots_of(self, row: int, first: int, last: int) -> "np.typing.NDArray[np.bool_]":
        return self.dots[row * self.down : (row + 1) * self.down, max(0, first) * self.across : last * self.across]

    def line(self, row: int) -> Text:
        text = Text(no_wrap=True, end="")
        for column in range(self.columns):
            if (row, column) in self.written:
                text.append(*self.written[row, column])
                continue
            dots = self._dots_of(row, column, column + 1)
            text.append(("." if dots.any() else " ") if self.ascii_only else braille(dots), ACCENT)
        return text


def roofline_picture(console: Console, found: "Roofline") -> None:
    """The roofs as lines with their names, a letter for each point, and below these what each letter means."""
    from jitnet.profile.roofline import ticks

    ascii_only = console.options.ascii_only
    extent = found.extent()
    y_names = {gflops: f"{gflops:,g}" for gflops in ticks(extent.low, extent.high)}
    margin = max(len(name) for name in y_names.values())
    columns = max(24, min(console.width, WIDEST) - margin - 2)
    rows = min(24, max(14, columns // 4))
    canvas = _Canvas(extent, columns, rows, ascii_only)
    for bandwidth in found.bandwidths:
        canvas.roof(found.peak_gflops, bandwidth.gbs)
    for ceiling in found.ceilings:
        canvas.ceiling(ceiling.gflops)
    names = marks(found.points)
    for mark, point in zip(names, found.points, strict=True):
        style = BAD if point.impossible else Style(bold=True)
        canvas.mark(point.intensity, point.gflops, mark, style)
    for point in found.points:
        if point.nominal and canvas.written.get(canvas.cell(*point.nominal)) != (NOMINAL, FAINT):
            canvas.mark(*point.nominal, NOMINAL, FAINT)
    unnamed = list[str]()
    for name, gflops in flat_names(found):
        row, _ = canvas.cell(extent.left, gflops)
        above_or_below = [(near, columns - len(name) - k) for near in (row - 1, row + 1) for k in range(columns)]
        if not canvas.label(name, above_or_below):
            unnamed.append(name)
    for bandwidth in found.bandwidths:
        text = slope_name(bandwidth)
        if not canvas.label(text, list(_cells_along(canvas, bandwidth.gbs, found.peak_gflops, len(text)))):
            unnamed.append(text)

    say(console, found.title, "bold")
    console.print(Text(f"{'GFLOP/s':>{margin}}", style=FAINT))
    at_row = {canvas.cell(extent.left, gflops)[0]: name for gflops, name in y_names.items()}
    for row in range(rows):
        line = Text(f"{at_row.get(row, ''):>{margin}} ", style=FAINT, no_wrap=True)
        line.append("|" if ascii_only else "┤" if row in at_row else "│")
        console.print(line.append_text(canvas.line(row)))
    corner, dash, tick = ("+", "-", "+") if ascii_only else ("└", "─", "┴")
    axis, below = [dash] * columns, [" "] * columns
    for intensity in ticks(extent.left, extent.right):
        _, column = canvas.cell(intensity, extent.low)
        axis[column] = tick
        name = f"{intensity:g}"
        start = min(columns - len(name), max(0, column - len(name) // 2))
        if all(letter == " " for letter in below[max(0, start - 1) : start + len(name) + 1]):
            below[start : start + len(name)] = name
    console.print(Text(" " * (margin + 1) + corner + "".join(axis), style=FAINT, no_wrap=True))
    console.print(Text(" " * (margin + 2) + "".join(below), style=FAINT, no_wrap=True))
    console.print(Text(f"{'FLOP/byte':>{margin + 2 + columns}}", style=FAINT, no_wrap=True))
    _legend(console, found, unnamed)


def _cells_along(canvas: _Canvas, gbs: float, peak: float, length: int) -> Iterator[tuple[int, int]]:
    """Cells where the name of a slope may begin: right below it, or so that it ends right above it."""
    extent = canvas.extent
    for column in range(canvas.columns):
        intensity = extent.left * (extent.right / extent.left) ** ((column + 0.5) / canvas.columns)
        if extent.low <= gbs * intensity <= peak * 0.95:
            row, _ = canvas.cell(intensity, gbs * intensity)
            yield row, column + 2
            yield row, column - length - 1


def _legend(console: Console, found: "Roofline", unnamed: Sequence[str]) -> None:
    columns, rows, notes = legend(found)
    share = columns.index("roof")
    cells: list[list[Cell]] = [[Text(row[0], style="bold"), *row[1:]] for row in rows]
    for row, point in zip(cells, found.points, strict=True):
        row[share] = Text(str(row[share]), style=BAD if point.impossible else "")
    notes += [f"Roofs without room for their names: {', '.join(unnamed)}."] if unnamed else []
    console.print()
    table(console, columns, cells, footnotes=notes, spare=["nominal", "FLOP/B", "GFLOP/s", "bound by"])
