"""The connected parts of a picture's ink, and whether they can be one drawn figure."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SPECK", "connected_parts", "doubts", "neighbours_max", "outline_length"]

SPECK = 0.06
"""A part with less than this share of the largest part's area is a speck."""
GRID = 40
"""Cells along the longer side in which shapes are told apart: a narrower gap is a break in a pen's stroke."""
FAINT = 0.25
"""Ink above this share of full ink connects parts."""
MOST_PARTS = 8
"""More parts than this are noise. Of MNIST's 60,000 training digits none has more than six."""
LONGEST_LINE = 8.0
"""A line longer than this many times the ink's size is noise. MNIST's longest is 4 times as long, a noisy photo's 7."""
WIDEST_LINE = 0.45
"""A line wider than this share of the ink's size is a filled area. MNIST's widest is 0.42."""
LEAST_SHARE = 0.2
"""A shape of its own has this share of the largest shape's area at least. The bar of a 5 can have it too, but ..."""
LEAST_EXTENT = 0.5
"""... a shape beside another one is also at least half as tall, or below another one, at least half as wide."""
LEAST_GAP_BELOW = 0.1
"""Shapes one below the other are this share of the height apart: a broken stroke is more often cut across."""

Mask = npt.NDArray[np.bool_]


def doubts(ink: npt.NDArray[np.float64], *, writing: bool = True) -> tuple[str, ...]:
    """What speaks against a picture of one drawn figure, as sentences to go on after the picture's name.

    ink: (height, width), 0 on the ground, 1 in full ink, cropped to its bounding box. writing: whether a line of a pen
    is expected; clothes and the like may be filled areas.
    """
    strokes = ink > 0.5
    line = outline_length(strokes) / 2
    size = max(ink.shape)
    labels, areas = connected_parts(ink > FAINT, GRID)
    n_parts = int((areas >= SPECK * areas.max()).sum())
    if n_parts > MOST_PARTS or line > LONGEST_LINE * size:
        return ("its ink is scattered as noise is and does not look like a stroke; the answer means little",)
    if writing and strokes.sum() > WIDEST_LINE * size * line:
        return ("its ink fills an area and does not look like a stroke; the answer means little",)
    n_shapes = max(_shapes_along(axis, labels, areas) for axis in (0, 1))
    if n_shapes > 1:
        count = "two" if n_shapes == 2 else str(n_shapes)
        return (f"shows {count} separate shapes; the answer takes them together for one, so crop each one out",)
    return ()


def _shapes_along(axis: int, labels: npt.NDArray[np.int64], areas: npt.NDArray[np.float64]) -> int:
    """How many shapes follow each other along an axis, 0 down and 1 across, with empty ground between them."""
    groups: list[tuple[int, int, int, int, float]] = []  # start, end along the axis; start, end across it; area
    boxes = []
    for label in np.flatnonzero(areas >= SPECK * areas.max()):
        where = np.nonzero(labels == label)
        along, across = where[axis], where[1 - axis]
        boxes.append((int(along.min()), int(along.max()) + 1, int(across.min()), int(across.max()) + 1, areas[label]))
    length = max(box[1] for box in boxes) - min(box[0] for box in boxes)
    gap = max(1.0, LEAST_GAP_BELOW * length) if axis == 0 else 1.0
    for start, end, low, high, area in sorted(boxes):
        if groups and start - groups[-1][1] < gap:
            before = groups.pop()
            start, end = before[0], max(before[1], end)
            low, high, area = min(before[2], low), max(before[3], high), before[4] + area
        groups.append((start, end, low, high, area))
    widest, largest = max(group[3] - group[2] for group in groups), max(group[4] for group in groups)
    return sum(group[4] >= LEAST_SHARE * largest and group[3] - group[2] >= LEAST_EXTENT * widest for group in groups)


def outline_length(mask: Mask) -> float:
    """The length of a mask's outline in pixels. A thin line is half as long as its outline."""
    strokes = np.pad(mask, 1)
    edges = (strokes[1:] != strokes[:-1]).sum() + (strokes[:, 1:] != strokes[:, :-1]).sum()
    return float(edges) * np.pi / 4  # a slanted edge counts its steps along both axes, 4/pi times its length on average


def connected_parts(mask: Mask, grid: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The parts of a mask that touch, diagonals included, on cells of which at most `grid` fit along its longer side.

    Returns each cell's label, 0 on the ground, and each label's area in pixels, 0.0 for the ground and unused labels.
    """
    cell = -(-max(mask.shape) // grid)
    tall, wide = (-(-extent // cell) for extent in mask.shape)
    padded = np.zeros((tall * cell, wide * cell), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    area = padded.reshape(tall, cell, wide, cell).sum(axis=(1, 3))
    labels = np.where(area > 0, np.arange(1, area.size + 1).reshape(area.shape), 0)
    while True:  # the largest label flows through each part
        grown = np.where(area > 0, neighbours_max(labels), 0)
        if np.array_equal(grown, labels):
            break
        labels = grown
    areas = np.bincount(labels.ravel(), weights=area.ravel()).astype(np.float64)
    areas[0] = 0.0
    return labels.astype(np.int64), areas


def neighbours_max(cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The maximum over each cell and its eight neighbours."""
    padded = np.pad(cells, 1)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
