"""A roofline as a file: PNG, SVG or PDF, drawn by matplotlib.

matplotlib is an optional library that takes long to import, and only this module uses it. Import this module where a
file was asked for, not from the package. The figure uses no window and no global state, and does not depend on a style
or on the date: the same roofline is the same file.
"""

import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from jitnet.profile.roofline import ticks
from jitnet.render.roofline import flat_names, legend, marks, slope_name

if TYPE_CHECKING:
    from jitnet.profile.roofline import Roofline

__all__ = ["roofline_figure", "roofline_file"]

METADATA: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
"""What leaves the date out of each kind of file."""

# They differ in lightness and form too, for print in grey.
ROOF, POINT, WRONG, INK, FAINT = "#2166ac", "#1a1a1a", "#c1121f", "#262626", "#595959"

WIDTH, PLOT, LEFT, RIGHT = 9.0, 4.8, 0.75, 0.25
TITLE, LINE, AXIS, EDGE, GAP = 0.3, 0.19, 0.6, 0.15, 0.25
"""Inches: the figure and its axes, from its sides to the axes; the height of the title, of a line of text, and of what
is written below the axes; the margin above and below, and between two columns."""

SIZE, SMALL = 9.0, 8.0  # points
WRAPPED = 110  # characters of a line of text across the figure
DPI = 150
POINT_SIZE = DPI / 72  # pixels

FROM_LINE = 8.0
"""Points from a line to the middle of its name."""

DISTANCES = (11.0, 15.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0)
"""Points from a point to the middle of its mark; the nearest that is free is taken."""

DIRECTIONS = [eighth * math.pi / 8 for eighth in (14, 6, 0, 8, 12, 4, 2, 10, 15, 13, 5, 7, 1, 9, 3, 11)]
"""Where a mark may be: first below to the right, off the slopes, then the others by legibility."""

Place = tuple[float, float]
Floats = npt.NDArray[np.float64]


def roofline_file(found: "Roofline", kind: str) -> bytes:
    """The picture as the bytes of a file. kind: "png", "svg" or "pdf"."""
    with rc_context():
        rcdefaults()
        rcParams.update({"svg.hashsalt": "jitnet", "text.parse_math": False})
        file = io.BytesIO()
        metadata: dict[str, Any] = {"Title": found.title, **METADATA[kind]}
        roofline_figure(found).savefig(file, format=kind, dpi=DPI, metadata=metadata)
        return file.getvalue()


def roofline_figure(found: "Roofline") -> Figure:
    """The roofs with their names along them, the points with their marks, and the legend below.

    A line's label, in matplotlib's sense, is the name of the roof or the point that it shows, with "nominal" before it
    for a nominal place.
    """
    heads, rows, notes = legend(found)
    subtitle, below = _wrapped(found.subtitle), _wrapped(notes)
    table = [heads, *rows] if rows else []
    top = EDGE + TITLE + LINE * len(subtitle)
    legend_top = top + PLOT + AXIS
    notes_top = legend_top + LINE * len(table) + EDGE / 2
    height = notes_top + LINE * len(below) + EDGE
    figure = Figure((WIDTH, height), dpi=DPI)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes(
        (LEFT / WIDTH, 1 - (top + PLOT) / height, (WIDTH - LEFT - RIGHT) / WIDTH, PLOT / height), axisbelow=True
    )
    _scales(axes, found)
    _draw(_Drawing(axes, canvas), found)
    _lines(figure, EDGE, [found.title], fontsize=12, weight="bold")
    _lines(figure, EDGE + TITLE, subtitle, color=FAINT)
    x = LEFT
    for cells in zip(*table, strict=True):
        x = _column(figure, canvas, x, legend_top, cells)
    _lines(figure, notes_top, below, color=FAINT)
    return figure


def _wrapped(lines: Iterable[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, WRAPPED)]


def _lines(figure: Figure, top: float, lines: Iterable[str], x: float = LEFT, **style: Any) -> list[Text]:
    """Lines of text, one below the other, at inches from the figure's left and top."""
    width, height = figure.get_size_inches()
    style = {"fontsize": SMALL, "va": "top", "color": INK, **style}
    return [
        figure.text(x / width, 1 - (top + place * LINE) / height, line, **style) for place, line in enumerate(lines)
    ]


def _column(figure: Figure, canvas: FigureCanvasAgg, x: float, top: float, cells: Sequence[str]) -> float:
    """A column of the legend, its head first, numbers to the right; where the next one begins, in inches."""
    head, *rest = _lines(figure, top, cells, x)
    head.set_color(FAINT)
    width = max(text.get_window_extent(canvas.get_renderer()).width for text in (head, *rest)) / DPI
    for text in (head, *rest):
        if cells[0] == "":
            text.set_fontweight("bold")
        elif cells[0] not in ("operation", "bound by"):
            text.set(ha="right", x=(x + width) / WIDTH)
    return x + width + GAP


def _scales(axes: Axes, found: "Roofline") -> None:
    extent = found.extent()
    axes.set(xscale="log", yscale="log", xlim=(extent.left, extent.right), ylim=(extent.low, extent.high))
    for axis, low, high in ((axes.xaxis, extent.left, extent.right), (axes.yaxis, extent.low, extent.high)):
        places = ticks(low, high)
        axis.set_ticks(places, [f"{place:,g}" for place in places], fontsize=SMALL, color=INK)
        axis.set_ticks([], minor=True)
    axes.set_xlabel("FLOP per byte", fontsize=SIZE, color=INK)
    axes.set_ylabel("GFLOP/s", fontsize=SIZE, color=INK)
    axes.grid(True, color="#d9d9d9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _draw(drawing: "_Drawing", found: "Roofline") -> None:
    """Draw lines and dots first; names and marks are written where these leave room."""
    extent, peak = found.extent(), found.peak_gflops
    ridges = [found.ridge(level) for level in range(len(found.bandwidths))]
    flat = flat_names(found)
    for at, (name, gflops) in enumerate(flat):
        left = min(ridges, default=extent.left) if at == 0 else extent.left
        style = {"linewidth": 1.8} if at == 0 else {"linewidth": 1.2, "linestyle": (0, (5, 3))}
        drawing.line((left, gflops), (extent.right, gflops), name, color=ROOF, **style)
    slopes = []
    for bandwidth, ridge in zip(found.bandwidths, ridges, strict=True):
        left = max(extent.left, extent.low / bandwidth.gbs)
        slopes.append((slope_name(bandwidth), (left, bandwidth.gbs * left), (ridge, peak)))
        drawing.line(slopes[-1][1], slopes[-1][2], slopes[-1][0], color=ROOF, linewidth=1.8)
    for point in found.points:
        place, colour = (point.intensity, point.gflops), WRONG if point.impossible else POINT
        if point.nominal:
            drawing.line(place, point.nominal, "", color=colour, linewidth=0.8, linestyle=":")
            drawing.dot(point.nominal, f"nominal {point.name}", marker="o", color=colour, fillstyle="none")
        drawing.dot(place, point.name, marker="X" if point.impossible else "o", color=colour)
    for name, gflops in flat:
        drawing.name(name, (extent.left, gflops), (extent.right, gflops), from_end=True)
    for name, begin, end in slopes:
        drawing.name(name, begin, end)
    for mark, point in zip(marks(found.points), found.points, strict=True):
        drawing.mark(mark, (point.intensity, point.gflops))


class _Drawing:
    """Axes, and which places are taken: boxes that no text may touch, and lines that it should not cross, both as the
    corners of rectangles, in pixels."""

    def __init__(self, axes: Axes, canvas: FigureCanvasAgg) -> None:
        self.axes, self.canvas = axes, canvas
        self.boxes: list[Floats] = []
        self.lines: list[Floats] = []

    def pixels(self, place: Place) -> Floats:
        """Where an intensity and GFLOP/s are."""
        return np.asarray(self.axes.transData.transform(place))

    def line(self, begin: Place, end: Place, label: str, **style: Any) -> None:
        """A straight line."""
        self.axes.plot(*zip(begin, end, strict=True), label=label, **style)
        first, last = self.pixels(begin), self.pixels(end)
        angle = math.atan2(*(last - first)[::-1])
        self.lines.append(_rectangles([(first + last) / 2], (float(np.hypot(*(last - first))), 1.0), angle)[0])

    def dot(self, place: Place, label: str, **style: Any) -> None:
        """A point."""
        self.axes.plot(*place, label=label, linestyle="none", markersize=6, zorder=3, **style)
        self.boxes.append(_rectangles([self.pixels(place)], (7 * POINT_SIZE, 7 * POINT_SIZE))[0])

    def name(self, name: str, begin: Place, end: Place, from_end: bool = False) -> None:
        """A line's name along it, above or below, as near to its beginning or its end as there is room."""
        first, last = self.pixels(begin), self.pixels(end)
        length = float(np.hypot(*(last - first)))
        along = (last - first) / length
        across = np.array([-along[1], along[0]]) * FROM_LINE * POINT_SIZE
        steps = np.arange(0.0, length, 6 * POINT_SIZE)
        if from_end:
            steps = length - steps
        middles = [first + step * along + side * across for side, step in product((1, -1), steps)]
        self._write(name, middles, np.zeros(len(middles)), math.atan2(along[1], along[0]), fontsize=SMALL, color=ROOF)

    def mark(self, mark: str, place: Place) -> None:
        """A point's mark next to it, with a line to it where the mark is farther away."""
        at = self.pixels(place)
        middles = [
            at + distance * POINT_SIZE * np.array([math.cos(angle), math.sin(angle)])
            for distance, angle in product(DISTANCES, DIRECTIONS)
        ]
        penalties = np.repeat(np.arange(len(DISTANCES), dtype=float), len(DIRECTIONS))
        middle = self._write(mark, middles, penalties, fontsize=SIZE, weight="bold", color=INK)
        if np.hypot(*(middle - at)) > DISTANCES[1] * POINT_SIZE + 1:
            begin, end = self.axes.transData.inverted().transform([at, at + 0.7 * (middle - at)])
            self.axes.plot(*zip(begin, end, strict=True), label="", color=FAINT, linewidth=0.6)

    def _write(
        self, text: str, middles: Sequence[Floats], penalties: Floats, angle: float = 0.0, **style: Any
    ) -> Floats:
        """Write a text at the middle with the smallest penalty, which is returned: crossing a line has a penalty too,
        and touching a box or leaving the axes a much higher one."""
        written = self.axes.text(0, 0, text, ha="center", va="center", **style)
        extent = written.get_window_extent(self.canvas.get_renderer())
        places = _rectangles(middles, (extent.width + 3 * POINT_SIZE, extent.height + 3 * POINT_SIZE), angle)
        (left, low), *_, (right, high) = self.axes.bbox.corners()
        outside = ((places < (left, low)) | (places > (right, high))).any((1, 2))
        crossed, touched = (_touching(places, others).sum(1) for others in (self.lines, self.boxes))
        best = int(np.argmin(penalties + 2 * crossed + 100 * touched + 100 * outside))
        position = self.axes.transData.inverted().transform(middles[best])
        written.set(position=position, rotation=math.degrees(angle), rotation_mode="anchor")
        self.boxes.append(places[best])
        return middles[best]


def _rectangles(middles: Sequence[Floats], size: Place, angle: float = 0.0) -> Floats:
    """(n, 4, 2) corners of rectangles of one size around n middles, rotated to the left."""
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]) * size
    rotation = np.array([(math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))])
    return np.asarray(middles)[:, None] + corners @ rotation


def _touching(boxes: Floats, others: Sequence[Floats]) -> npt.NDArray[np.bool_]:
    """(n, m): which of n rectangles overlap which of m others: no line parallel to a side separates them."""
    a, b = boxes[:, None], np.reshape(others, (1, -1, 4, 2))
    separated = np.zeros((a.shape[0], b.shape[1]), bool)
    for owner, corner in product((a, b), (0, 1)):
        side = (owner[..., corner + 1, :] - owner[..., corner, :])[..., None, :]
        along_a, along_b = (a * side).sum(-1), (b * side).sum(-1)
        separated |= (along_a.max(-1) <= along_b.min(-1)) | (along_b.max(-1) <= along_a.min(-1))
    return ~separated
