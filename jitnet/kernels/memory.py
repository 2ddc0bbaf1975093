"""Loops that move numbers and compute next to nothing: transpose, scale, add, clear."""

import numpy as np

from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.signatures import FLOATS, INT
from jitnet.machine.blocks import LANES
from jitnet.machine.tile import tile_load, tile_store, tile_transpose

__all__ = ["add_numbers", "clear", "scale_rows", "transpose"]


@linked(FLOATS, INT, FLOATS, INT, INT, INT, INT)
def transpose(source, source_stride, target, target_stride, rows, first, last):
    """target[c, r] = source[r, c] for r < rows and first <= c < last, both flat float32 in rows of their strides.

    Squares of LANES x LANES are turned in registers; the edges go one number after the other. 8 bytes a number.
    """
    square, whole = rows - rows % LANES, last - (last - first) % LANES
    for c in range(first, whole, LANES):
        for r in range(0, square, LANES):
            turned = tile_transpose(tile_load(LANES, 1, source, r * source_stride + c, source_stride))
            tile_store(turned, target, c * target_stride + r, target_stride)
    for r in range(rows):
        for c in range(whole if r < square else first, last):
            target[np.uint64(c * target_stride + r)] = source[np.uint64(r * source_stride + c)]


@helper
def scale_rows(values, stride, batch, factor, first, last):
    """values[n, o] *= factor for n < batch and first <= o < last, flat in rows of stride."""
    for n in range(batch):
        row = values[n * stride + first : n * stride + last]
        for o in range(row.shape[0]):
            row[o] *= factor


@helper
def add_numbers(values, others, count):
    """values[k] += others[k] for k < count."""
    for k in range(count):
        values[np.uint64(k)] += others[np.uint64(k)]


@helper
def clear(values, first, last):
    """values[first:last] = 0."""
    for k in range(first, last):
        values[np.uint64(k)] = np.float32(0.0)
