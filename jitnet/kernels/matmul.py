"""One matrix product, five times: from the textbook's three loops to the tile in registers on all cores.

    out[n, o] = sum_i x[n, i] * w[i, o]

x (batch, in_features), w (in_features, out_features), out (batch, out_features): float32, rows in memory one after
another; out is overwritten. Every rung does the same 2 batch in_features out_features FLOP; what changes is the order
in which memory is walked and what stays in registers. out_features is a multiple of PANEL for the last two.
"""

import numpy as np
from numba import prange

from jitnet.compiler.blocks import PANEL, TILE_COLS, TILE_PANELS, TILE_ROWS, TILE_UNITS
from jitnet.compiler.decorators import driver, kernel
from jitnet.compiler.tile import tile_add_outer, tile_store, tile_zero

__all__ = ["blocked", "matmul", "reordered", "textbook", "tiled"]

BLOCK_ROWS, BLOCK_COLUMNS = 64, 128
"""A block of w in `blocked`: 64 rows of 128 numbers are 32 KiB, which a first-level cache holds."""


@kernel
def textbook(x, w, out):
    """As it is written: for each output one sum. w is walked down its columns, one number from each cache line."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            total = np.float32(0.0)
            for i in range(x.shape[1]):
                total += x[n, i] * w[i, o]
            out[n, o] = total


@kernel
def reordered(x, w, out):
    """The same with the two inner loops exchanged: w and out are walked along their rows, a vector at a time."""
    for n in range(out.shape[0]):
        row = out[n]
        for o in range(row.shape[0]):
            row[o] = np.float32(0.0)
        for i in range(x.shape[1]):
            factor, weights = x[n, i], w[i]
            for o in range(row.shape[0]):
                row[o] += factor * weights[o]


@kernel
def blocked(x, w, out):
    """Reordered, on one block of w after another: a block is fetched once and then used by every sample."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            out[n, o] = np.float32(0.0)
    for left in range(0, out.shape[1], BLOCK_COLUMNS):
        right = min(out.shape[1], left + BLOCK_COLUMNS)
        for top in range(0, x.shape[1], BLOCK_ROWS):
            bottom = min(x.shape[1], top + BLOCK_ROWS)
            for n in range(out.shape[0]):
                row = out[n, left:right]
                for i in range(top, bottom):
                    factor, weights = x[n, i], w[i, left:right]
                    for o in range(row.shape[0]):
                        row[o] += factor * weights[o]


@kernel
def _columns(x, w, out, left):
    """TILE_UNITS columns of the product from column `left` on, or as many panels as are left over: TILE_ROWS x
    TILE_UNITS sums stay in registers while i runs."""
    batch, in_features = x.shape
    stride = w.shape[1]
    flat_x, flat_w, flat_out = x.reshape(-1), w.reshape(-1), out.reshape(-1)
    panels, whole = min(TILE_PANELS, (stride - left) // PANEL), batch - batch % TILE_ROWS
    for n in range(0, whole, TILE_ROWS):
        tile = tile_zero(TILE_ROWS, TILE_COLS)
        for i in range(in_features):
            at = n * in_features + i
            tile = tile_add_outer(tile, flat_x, at, in_features, flat_w, i * stride + left, PANEL, panels)
        tile_store(tile, flat_out, n * stride + left, stride, PANEL, panels)
    for n in range(whole, batch):
        row = tile_zero(1, TILE_COLS)
        for i in range(in_features):
            at = n * in_features + i
            row = tile_add_outer(row, flat_x, at, in_features, flat_w, i * stride + left, PANEL, panels)
        tile_store(row, flat_out, n * stride + left, stride, PANEL, panels)


@kernel
def tiled(x, w, out):
    """A tile of sums in registers: nothing is stored until a sum is whole, and each number that is loaded serves
    many."""
    for left in range(0, out.shape[1], TILE_UNITS):
        _columns(x, w, out, left)


@driver
def matmul(x, w, out):
    """The tiles' columns spread over the threads: every output has one writer."""
    for column in prange((out.shape[1] + TILE_UNITS - 1) // TILE_UNITS):
        _columns(x, w, out, column * TILE_UNITS)
