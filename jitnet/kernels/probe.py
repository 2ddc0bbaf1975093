"""What the machine itself can do: loops that are nothing but arithmetic, or nothing but memory."""

import numpy as np

from jitnet.kernels.jit import kernel
from jitnet.kernels.tile import (
    COLS,
    LANES,
    PANEL,
    ROWS,
    tile_add_outer,
    tile_add_scaled,
    tile_load,
    tile_store,
    tile_zero,
)

__all__ = ["BLOCK", "SUMS", "multiply_add", "read", "triad"]

SUMS = ROWS * PANEL
"""Sums that `multiply_add` has in registers: the tile of the matrix products."""

BLOCK = 8 * LANES
"""Numbers that `read` and `triad` take at a time; they walk whole blocks."""


@kernel
def multiply_add(values, at, terms):
    """values[at + k] += terms * f**2 for k < SUMS, with f the PANEL equal numbers behind these: all of it in registers.

    The innermost loop of the matrix products without their loads, so its pace is the peak. 2 SUMS terms FLOP.
    """
    tile = tile_load(ROWS, COLS, values, at, PANEL)
    for _ in range(terms):
        tile = tile_add_outer(tile, values, at + SUMS, 0, values, at + SUMS)
    tile_store(tile, values, at, PANEL)


@kernel
def read(values, first, last, out, at):
    """out[at : at + BLOCK] = sums over the blocks of values[first:last]. 4 (last - first) bytes."""
    tile = tile_zero(8, 1)
    for k in range(first, last, BLOCK):
        tile = tile_add_scaled(tile, np.float32(1.0), values, k, LANES)
    tile_store(tile, out, at, LANES)


@kernel
def triad(values, a, b, c, first, last):
    """values[a + k] = values[b + k] + 0.5 * values[c + k] for first <= k < last, whole blocks (McCalpin 1995, STREAM).

    12 (last - first) bytes; that a cache may first fetch what is stored to is not counted.
    """
    for k in range(first, last, BLOCK):
        tile = tile_load(8, 1, values, b + k, LANES)
        tile_store(tile_add_scaled(tile, np.float32(0.5), values, c + k, LANES), values, a + k, LANES)
