"""A roofline, drawn with characters in the terminal and as an SVG picture."""

import itertools
import math
import string
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.render.console import ACCENT, BAD, FAINT, say
from jitnet.render.drawing import braille
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.profile.roofline import Extent, Point, Roofline

__all__ = ["roofline_picture", "roofline_svg"]

NOMINAL = "o"
MARKS = string.ascii_uppercase + string.ascii_lowercase.replace(NOMINAL, "") + string.digits
UNMARKED = "+"
"""Of points beyond all marks."""

WIDEST = 100
"""Columns of the picture at most."""


def marks(points: "Sequence[Point]") -> list[str]:
    """A character for each point: its own, or else the next letter."""
    letters = iter(MARKS)
    return [point.mark or next(letters, UNMARKED) for point in points]


def _flat(found: "Roofline") -> list[tuple[str, float]]:
    """The flat lines by their names: the peak and the ceilings."""
    lines = [(found.peak_name, found.peak_gflops), *((ceiling.name, ceiling.gflops) for ceiling in found.ceilings)]
    return [(f"{name} {gflops:,.{0 if gflops >= 10 else 1}f} GFLOP/s", gflops) for name, gflops in lines]


# ---- In the terminal ----


class _Canvas:
    """Cells of a picture whose axes are logarithms: dots of lines, and characters over them."""

    def __init__(self, extent: "Extent", columns: int, rows: int, ascii_only: bool) -> None:
        self.extent, self.columns, self.rows, self.ascii_only = extent, columns, rows, ascii_only
        self.across, self.down = (1, 1) if ascii_only else (2, 4)
        self.dots = np.zeros((rows * self.down, columns * self.across), bool)
        self.written: dict[tuple[int, int], tuple[str, Style]] = {}

    def x(self, intensity: float) -> float:
        """Where an intensity lies, from 0 to 1."""
        return math.log(intensity / self.extent.left) / math.log(self.extent.right / self.extent.left)

    def y(self, gflops: float) -> float:
        """Where GFLOP/s lie, from 0 at the top to 1."""
        return math.log(self.extent.high / gflops) / math.log(self.extent.high / self.extent.low)

    def cell(self, intensity: float, gflops: float) -> tuple[int, int]:
        """Row and column."""
        row, column = self.y(gflops) * self.rows, self.x(intensity) * self.columns
        return min(self.rows - 1, max(0, int(row))), min(self.columns - 1, max(0, int(column)))

    def roof(self, peak: float, gbs: float) -> None:
        """Dots of one level's roof, from where it comes into the picture."""
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
        """A character at its place, or at the nearest one that is free."""
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
        made = Text(no_wrap=True, end="")
        for column in range(self.columns):
            if (row, column) in self.written:
                made.append(*self.written[row, column])
                continue
            dots = self._dots_of(row, column, column + 1)
            made.append(("." if dots.any() else " ") if self.ascii_only else braille(dots), ACCENT)
        return made


def roofline_picture(console: Console, found: "Roofline") -> None:
    """The roofs as lines with their names, a letter for each point, and below these what each letter stands for."""
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
    for name, gflops in _flat(found):
        row, _ = canvas.cell(extent.left, gflops)
        above_or_below = [(near, columns - len(name) - k) for near in (row - 1, row + 1) for k in range(columns)]
        if not canvas.label(name, above_or_below):
            unnamed.append(name)
    for bandwidth in found.bandwidths:
        text = f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s"
        if not canvas.label(text, list(_beside(canvas, bandwidth.gbs, found.peak_gflops, len(text)))):
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
    _legend(console, found, names, unnamed)


def _beside(canvas: _Canvas, gbs: float, peak: float, length: int) -> Iterator[tuple[int, int]]:
    """Cells where a text may begin that belongs to a slope: right below it, or ending right above it."""
    extent = canvas.extent
    for column in range(canvas.columns):
        intensity = extent.left * (extent.right / extent.left) ** ((column + 0.5) / canvas.columns)
        if extent.low <= gbs * intensity <= peak * 0.95:
            row, _ = canvas.cell(intensity, gbs * intensity)
            yield row, column + 2
            yield row, column - length - 1


def _legend(console: Console, found: "Roofline", names: Sequence[str], unnamed: Sequence[str]) -> None:
    nominal, binds = any(point.nominal for point in found.points), any(point.binds for point in found.points)
    rows: list[list[Cell]] = []
    for mark, point in zip(names, found.points, strict=True):
        share = Text(f"{point.share:.0%}" + "*" * point.impossible, style=BAD if point.impossible else "")
        cells: list[Cell] = [Text(mark, style="bold"), point.name, f"{point.intensity:.2f}", f"{point.gflops:,.1f}"]
        cells += [f"{point.nominal[1]:,.1f}" if point.nominal else "-"] if nominal else []
        rows.append([*cells, share, *[point.binds] * binds])
    notes = [f"{NOMINAL}: nominal, as if the zeros that were skipped had been multiplied too."] if nominal else []
    notes += ["* above the roof is impossible: a count or a roof is wrong."] if _impossible(found.points) else []
    notes += [f"No arithmetic, so no place here: {', '.join(found.left_out)}."] if found.left_out else []
    notes += [f"Roofs without room for their names: {', '.join(unnamed)}."] if unnamed else []
    columns = ["", "operation", "FLOP/B", "GFLOP/s", *["nominal"] * nominal, "roof", *["binds"] * binds]
    console.print()
    table(console, columns, rows, footnotes=notes, spare=["nominal", "FLOP/B", "GFLOP/s", "binds"])


def _impossible(points: "Sequence[Point]") -> bool:
    return any(point.impossible for point in points)


# ---- As an SVG picture ----

# Pages are light or dark, and a picture in them does not learn which: each of these can be read on both.
INK, LINE, ROOF, DOT, WRONG = "#797979", "#8a8a8a", "#3b82c4", "#d9730d", "#e5484d"

WIDTH, PLOT_HEIGHT, LEFT, RIGHT, TOP, BELOW = 860, 440, 64, 20, 44, 76
SMALL, SIZE, LEGEND_ROW = 12, 13, 20
LETTER = 0.58
"""Width of a letter, as a share of its size."""

DISTANCES = (14, 18, 24, 34, 46, 60)
"""From a point to its letter; the nearest that is free is taken."""

Corner = tuple[float, float]


class _Boxes:
    """Places that are taken: rectangles, upright or turned, as their four corners."""

    def __init__(self) -> None:
        self.taken: list[list[Corner]] = []

    def is_free(self, box: list[Corner]) -> bool:
        return not any(_overlap(box, other) for other in self.taken)


def _box(x: float, y: float, width: float, height: float, angle: float = 0.0) -> list[Corner]:
    """A rectangle whose lower left corner is (x, y), turned round it to the left by `angle`."""
    cos, sin = math.cos(angle), math.sin(angle)
    corners = ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height))
    return [(x + a * cos - b * sin, y - a * sin - b * cos) for a, b in corners]


def _overlap(one: list[Corner], other: list[Corner]) -> bool:
    """Whether two rectangles share a place: no line parallel to a side parts them."""
    for box in (one, other):
        for (x0, y0), (x1, y1) in itertools.pairwise(box[:3]):
            across = [[(x - x0) * (x1 - x0) + (y - y0) * (y1 - y0) for x, y in corners] for corners in (one, other)]
            if max(across[0]) <= min(across[1]) or max(across[1]) <= min(across[0]):
                return False
    return True


class _Picture:
    """Where things lie in the SVG, and what of it is taken."""

    def __init__(self, found: "Roofline") -> None:
        self.found, self.extent = found, found.extent()
        self.width, self.height = WIDTH - LEFT - RIGHT, PLOT_HEIGHT
        self.boxes = _Boxes()

    def x(self, intensity: float) -> float:
        extent = self.extent
        return LEFT + self.width * math.log(intensity / extent.left) / math.log(extent.right / extent.left)

    def y(self, gflops: float) -> float:
        extent = self.extent
        return TOP + self.height * math.log(extent.high / gflops) / math.log(extent.high / extent.low)

    @property
    def angle(self) -> float:
        """Of every slope."""
        extent = self.extent
        rise = self.height / math.log(extent.high / extent.low)
        return math.atan2(rise, self.width / math.log(extent.right / extent.left))

    def room(self, gbs: float) -> tuple[float, float]:
        """Above and below a slope, up to the next one."""
        extent, found = self.extent, [one.gbs for one in self.found.bandwidths]
        scale = self.height / math.log(extent.high / extent.low) * math.cos(self.angle)
        above = min((math.log(other / gbs) for other in found if other > gbs), default=math.inf)
        below = min((math.log(gbs / other) for other in found if other < gbs), default=math.inf)
        return scale * above, scale * below

    def inside(self, box: list[Corner]) -> bool:
        return all(LEFT <= x <= WIDTH - RIGHT and TOP <= y <= TOP + self.height for x, y in box)

    def place(self, candidates: Sequence[list[Corner]]) -> list[Corner]:
        """The first of these boxes that is free and inside, or else the last; it is taken now."""
        box = next((one for one in candidates if self.inside(one) and self.boxes.is_free(one)), candidates[-1])
        self.boxes.taken.append(box)
        return box


def roofline_svg(found: "Roofline") -> str:
    """The picture as SVG text that needs nothing beside it, to be read on light and dark pages. A point's title says
    what it is."""
    picture = _Picture(found)
    names = marks(found.points)
    points = list(zip(names, found.points, strict=True))
    for _, point in points:
        for x, y in ((point.intensity, point.gflops), *([point.nominal] if point.nominal else [])):
            picture.boxes.taken.append(_box(picture.x(x) - 5, picture.y(y) + 5, 10, 10))
    parts = [*_axes(picture), *_roofs(picture), *_points(picture, points)]
    below = TOP + PLOT_HEIGHT + BELOW
    legend, bottom = _svg_legend(found, points, below)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom}" width="{WIDTH}" height="{bottom}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="{SIZE}" fill="{INK}">'
    )
    title = f"<title>{escape(found.title, quote=False)}: GFLOP/s over FLOP for each byte</title>"
    heading = f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(found.title, quote=False)}</text>'
    return "\n".join([head, title, heading, *parts, *legend, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start", **more: str) -> str:
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(text, quote=False)}</text>'


def _line(x0: float, y0: float, x1: float, y1: float, colour: str, width: float, more: str = "") -> str:
    ends = f'x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"{more}/>'


def _axes(picture: _Picture) -> Iterator[str]:
    from jitnet.profile.roofline import ticks

    extent, bottom = picture.extent, TOP + picture.height
    for intensity in ticks(extent.left, extent.right):
        x = picture.x(intensity)
        yield _line(x, TOP, x, bottom, LINE, 1, ' stroke-opacity="0.25"')
        yield _text(x, bottom + 18, f"{intensity:g}", "middle", font_size=f"{SMALL}")
    for gflops in ticks(extent.low, extent.high):
        y = picture.y(gflops)
        yield _line(LEFT, y, WIDTH - RIGHT, y, LINE, 1, ' stroke-opacity="0.25"')
        yield _text(LEFT - 8, y + 4, f"{gflops:,g}", "end", font_size=f"{SMALL}")
    yield _line(LEFT, TOP, LEFT, bottom, LINE, 1)
    yield _line(LEFT, bottom, WIDTH - RIGHT, bottom, LINE, 1)
    yield _text(LEFT - 8, TOP - 8, "GFLOP/s", "end", font_size=f"{SMALL}")
    yield _text(WIDTH - RIGHT, bottom + 38, "FLOP for each byte", "end")


def _roofs(picture: _Picture) -> Iterator[str]:
    """The peak, a slope for each level up to its ridge, and the names along them."""
    found, extent = picture.found, picture.extent
    peak = picture.y(found.peak_gflops)
    ridges = [found.ridge(level) for level in range(len(found.bandwidths))]
    yield _line(picture.x(min(ridges, default=extent.left)), peak, WIDTH - RIGHT, peak, ROOF, 2)
    for ceiling in found.ceilings:
        y = picture.y(ceiling.gflops)
        yield _line(LEFT, y, WIDTH - RIGHT, y, ROOF, 1.5, ' stroke-dasharray="6 4"')
    for text, gflops in _flat(found):
        width, y = len(text) * SMALL * LETTER, picture.y(gflops)
        backs = range(0, picture.width - int(width) - 6, 20)
        right = WIDTH - RIGHT - width - 6
        at = picture.place([_box(right - back, y + side, width, SMALL) for side in (-6, 18) for back in backs])
        yield _text(*at[0], text, font_size=f"{SMALL}", fill=ROOF)
    for bandwidth, ridge in zip(found.bandwidths, ridges, strict=True):
        left = max(extent.left, extent.low / bandwidth.gbs)
        x0, y0, x1 = picture.x(left), picture.y(bandwidth.gbs * left), picture.x(ridge)
        yield _line(x0, y0, x1, peak, ROOF, 2)
        text = f"{bandwidth.name} {bandwidth.gbs:,.0f} GB/s"
        width, angle = len(text) * SMALL * LETTER, picture.angle
        candidates = []
        above, below = picture.room(bandwidth.gbs)
        gaps = (5.0, -SMALL - 3.0)  # above the line, or below it: first where no other slope runs through the name
        for gap in gaps if above > SMALL + 8 or above >= below else reversed(gaps):
            for along in range(8, max(9, int(math.hypot(x1 - x0, peak - y0) - width)), 12):
                x, y = x0 + along * math.cos(angle), y0 - along * math.sin(angle)
                candidates.append(_box(x - gap * math.sin(angle), y - gap * math.cos(angle), width, SMALL, angle))
        (x, y), *_ = picture.place(candidates)
        turn = f"rotate({-math.degrees(angle):.2f} {x:.1f} {y:.1f})"
        yield _text(x, y, text, font_size=f"{SMALL}", fill=ROOF, transform=turn)


def _points(picture: _Picture, points: "Sequence[tuple[str, Point]]") -> Iterator[str]:
    for mark, point in points:
        x, y = picture.x(point.intensity), picture.y(point.gflops)
        colour = WRONG if point.impossible else DOT
        yield f"<g><title>{escape(_told(point), quote=False)}</title>"
        if point.nominal:
            nx, ny = picture.x(point.nominal[0]), picture.y(point.nominal[1])
            yield _line(x, y, nx, ny, colour, 1, ' stroke-dasharray="2 3"')
            yield f'<circle cx="{nx:.1f}" cy="{ny:.1f}" r="4" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'
        size = SIZE
        candidates = [
            _box(x + far * dx - size * LETTER / 2 - 1, y + far * dy + size / 2, size * LETTER + 2, size - 2)
            for far in DISTANCES
            for dx, dy in _directions()
        ]
        box = picture.place(candidates)
        tx, ty = (box[0][0] + box[1][0]) / 2, (box[0][1] + box[2][1]) / 2
        if math.hypot(tx - x, ty - y) > DISTANCES[1]:
            yield _line(x, y, x + (tx - x) * 0.7, y + (ty - y) * 0.7, INK, 0.75)
        yield _text(tx, box[0][1] - 1, mark, "middle", font_weight="bold")
        yield "</g>"


def _directions() -> Iterator[tuple[float, float]]:
    """Sixteen: first below to the right, off the slopes and the dashes, then the others by how well they read."""
    for turn in (14, 6, 0, 8, 12, 4, 2, 10, 15, 13, 5, 7, 1, 9, 3, 11):
        yield math.cos(turn * math.pi / 8), -math.sin(turn * math.pi / 8)


def _told(point: "Point") -> str:
    binds = f", {point.binds} binds" if point.binds else ""
    wrong = ": impossible" if point.impossible else ""
    nominal = f"; nominal {point.nominal[1]:.3g} GFLOP/s, zeros multiplied too" if point.nominal else ""
    reached = f"{point.share:.0%} of the roof{wrong}{binds}"
    return f"{point.name}: {point.intensity:.3g} FLOP/byte, {point.gflops:.3g} GFLOP/s, {reached}{nominal}"


def _svg_legend(found: "Roofline", points: "Sequence[tuple[str, Point]]", top: float) -> tuple[list[str], int]:
    """What each letter stands for, in two columns; and where the picture ends."""
    made, rows = list[str](), -(-len(points) // 2)
    half = (WIDTH - LEFT - RIGHT) / 2
    for place, (mark, point) in enumerate(points):
        x, y = LEFT + (place // rows) * half, top + (place % rows + 1) * LEGEND_ROW
        colour = WRONG if point.impossible else INK
        made.append(_text(x, y, mark, font_weight="bold"))
        made.append(_text(x + 18, y, point.name, font_size=f"{SMALL}"))
        figures = f"{point.gflops:,.1f}" + (f" ({point.nominal[1]:,.0f})" if point.nominal else "")
        made.append(_text(x + half - 70, y, figures, "end", font_size=f"{SMALL}"))
        share = f"{point.share:.0%}" + "*" * point.impossible
        made.append(_text(x + half - 24, y, share, "end", font_size=f"{SMALL}", fill=colour))
    for column in range(min(2, len(points))):
        for x, text in ((70, "GFLOP/s"), (24, "roof")):
            made.append(_text(LEFT + column * half + half - x, top, text, "end", font_size=f"{SMALL}"))
    y = top + (rows + 1) * LEGEND_ROW
    notes = ["Hollow, and in brackets: nominal, as if skipped zeros had been multiplied too."] * any(
        point.nominal for _, point in points
    )
    notes += ["* above the roof is impossible: a count or a roof is wrong."] * _impossible(found.points)
    notes += [f"No arithmetic: {', '.join(found.left_out)}."] * bool(found.left_out)
    for note in notes:
        made.append(_text(LEFT, y, note, font_size=f"{SMALL}"))
        y += LEGEND_ROW
    return made, int(y)
