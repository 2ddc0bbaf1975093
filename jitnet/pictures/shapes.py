"""The connected parts of a picture's ink, and whether they can be one drawn figure."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SPECK", "connected_parts", "neighbours_max", "notices", "outline_length"]

SPECK = 0.06
"""A part with less than this share of the largest part's area is a speck."""
CELLS = 40
"""Cells from top to bottom in which shapes are separated: a gap within a cell is a break in a stroke."""
FAINT = 0.25
"""Ink above this share of full ink connects parts."""
MOST_PARTS = 8
"""More parts than this, and than two for each shape, are noise. Of MNIST's training digits none has more than four."""
LONGEST_LINE = 8.0
"""A line longer than this many times the ink's size is noise. MNIST's longest is 4 times as long, a noisy photo's 7."""
WIDEST_LINE = 0.45
"""A line wider than this share of the ink's size is a filled area. MNIST's widest is 0.42."""
LEAST_SHARE = 0.2
"""A separate shape has at least this share of the largest shape's area, ..."""
LEAST_HEIGHT = 0.5
"""... and of the tallest one's height: a separate bar of a 5 or foot of a 2 is flat."""
LEAST_GAP_BELOW = 0.12
"""Shapes one below the other are this share of the height apart: a broken stroke is more often broken across."""

Mask = npt.NDArray[np.bool_]


def notices(ink: npt.NDArray[np.float64], *, writing: bool = True) -> tuple[str, ...]:
    """Why a picture may not be one drawn figure, as sentences that continue the picture's name.

    ink: (height, width), 0 on the background, 1 in full ink, cropped to its bounding box. writing: whether pen strokes
    are expected; clothes and the like may be filled areas.
    """
    strokes = ink > 0.5
    line = outline_length(strokes) / 2
    size = max(ink.shape)
    labels, areas = connected_parts(ink > FAINT, -(-ink.shape[0] // CELLS))
    n_parts = int((areas >= SPECK * areas.max()).sum())
    n_shapes = max(_shapes_along(axis, labels, areas) for axis in (0, 1))
    if line > LONGEST_LINE * size or n_parts > max(MOST_PARTS, 2 * n_shapes):
        return ("its ink is scattered like noise and does not look like a stroke; the prediction is unreliable",)
    if writing and strokes.sum() > WIDEST_LINE * size * line:
        return ("its ink fills an area and does not look like a stroke; the prediction is unreliable",)
    if n_shapes > 1:
        count = "two" if n_shapes == 2 else str(n_shapes)
        return (f"shows {count} separate shapes; the prediction treats them as one, so crop each one out",)
    return ()


def _shapes_along(axis: int, labels: npt.NDArray[np.int64], areas: npt.NDArray[np.float64]) -> int:
    """How many shapes follow each other along an axis, 0 down and 1 across, with empty background between them."""
    kept = np.flatnonzero(areas >= SPECK * areas.max())
    boxes = [(*_extent(labels == label, axis), *_extent(labels == label, 0), float(areas[label])) for label in kept]
    length = max(end for _, end, *_ in boxes) - min(start for start, *_ in boxes)
    gap = max(1.0, LEAST_GAP_BELOW * length) if axis == 0 else 1.0
    groups: list[tuple[int, int, int, int, float]] = []  # start, end along the axis; top, bottom; area
    for start, end, top, bottom, area in sorted(boxes):
        if groups and start - groups[-1][1] < gap:
            first, last, above, below, before = groups.pop()
            groups.append((first, max(last, end), min(above, top), max(below, bottom), before + area))
        else:
            groups.append((start, end, top, bottom, area))
    heights, sizes = [bottom - top for _, _, top, bottom, _ in groups], [area for *_, area in groups]
    return sum(
        height >= LEAST_HEIGHT * max(heights) and size >= LEAST_SHARE * max(sizes)
        for height, size in zip(heights, sizes, strict=True)
    )


def _extent(mask: Mask, axis: int) -> tuple[int, int]:
    """Where a part begins and ends along an axis."""
    found = np.flatnonzero(mask.any(axis=1 - axis))
    return int(found[0]), int(found[-1]) + 1


def outline_length(mask: Mask) -> float:
    """The length of a mask's outline in pixels. A thin line is half as long as its outline."""
    strokes = np.pad(mask, 1)
    edges = (strokes[1:] != strokes[:-1]).sum() + (strokes[:, 1:] != strokes[:, :-1]).sum()
    return float(edges) * np.pi / 4  # a slanted edge counts its steps along both axes, 4/pi times its length on average


def connected_parts(mask: Mask, cell: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The parts of a mask that touch, diagonals included, in cells of `cell` by `cell` pixels.

    Returns each cell's label, 0 on the background, and each label's area in pixels, 0.0 for the background and unused
    labels.
    """
    tall, wide = (-(-extent // cell) for extent in mask.shape)
    padded = np.zeros((tall * cell, wide * cell), bool)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    area = padded.reshape(tall, cell, wide, cell).sum(axis=(1, 3))
    labels = np.where(area > 0, np.arange(1, area.size + 1).reshape(area.shape), 0)
    while True:  # the largest label spreads through each part
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
