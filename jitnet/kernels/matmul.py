"""One matrix product, six times: from the textbook's three loops to the tile in registers on all cores.

    out[n, o] = sum_i x[n, i] * w[i, o]

x (batch, in_features), w (in_features, out_features), out (batch, out_features): float32, rows in memory one after
another; out is overwritten. Every rung does the same 2 batch in_features out_features FLOP; what changes is the order
in which memory is walked and what stays in registers. out_features is a multiple of PANEL for the last three.
"""

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, kernel
from jitnet.compiler.signatures import FLOATS_2D, INT
from jitnet.machine.blocks import PANEL, TILE_COLS, TILE_PANELS, TILE_ROWS, TILE_UNITS
from jitnet.machine.tile import tile_add_outer, tile_store, tile_zero

__all__ = ["blocked", "matmul", "reordered", "summed", "textbook", "tiled"]

BLOCK_ROWS, BLOCK_COLUMNS = 8, 512
"""A block of w in `blocked`: 8 rows of 512 numbers are 16 KiB, half of a first-level cache."""

TERMS = 4
"""Rows of w that `blocked` adds to a row of out at once."""

SUM_ROWS = 4
"""Rows of out whose sums `summed` has in flight at once, two columns of each: eight vectors, and six for the factors
that they share, of the sixteen registers that AVX2 has."""


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)
def textbook(x, w, out):
    """As it is written: for each output one sum. w is walked down its columns, one number from each cache line."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            total = np.float32(0.0)
            for i in range(x.shape[1]):
                total += x[n, i] * w[i, o]
            out[n, o] = total


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)
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


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)
def blocked(x, w, out):
    """Reordered, on one block of w after another: a block is fetched once and then used by every sample. Four of its
    rows are added at a time, so that a sum is loaded and stored once for four multiply-adds."""
    for n in range(out.shape[0]):
        for o in range(out.shape[1]):
            out[n, o] = np.float32(0.0)
    for left in range(0, out.shape[1], BLOCK_COLUMNS):
        right = min(out.shape[1], left + BLOCK_COLUMNS)
        for top in range(0, x.shape[1], BLOCK_ROWS):
            bottom = min(x.shape[1], top + BLOCK_ROWS)
            whole = bottom - (bottom - top) % TERMS
            for n in range(out.shape[0]):
                row = out[n, left:right]
                for i in range(top, whole, TERMS):
                    x0, x1, x2, x3 = x[n, i], x[n, i + 1], x[n, i + 2], x[n, i + 3]
                    w0, w1, w2, w3 = w[i, left:right], w[i + 1, left:right], w[i + 2, left:right], w[i + 3, left:right]
                    for o in range(row.shape[0]):
                        row[o] += x0 * w0[o] + x1 * w1[o] + x2 * w2[o] + x3 * w3[o]
                for i in range(whole, bottom):
                    factor, weights = x[n, i], w[i, left:right]
                    for o in range(row.shape[0]):
                        row[o] += factor * weights[o]


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D, INT, INT)
def _dots(x, turned, out, n, left):
    """One row of out, PANEL columns from `left` on: a dot product each."""
    row = x[n]
    for o in range(turned.shape[0]):
        column, total = turned[o], np.float32(0.0)
        for i in range(row.shape[0]):
            total += row[i] * column[i]
        out[n, left + o] = total


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)
def summed(x, w, out):
    """Eight sums, each with a name, which stay in registers while i runs: six numbers are loaded for eight
    multiply-adds, and none is stored. PANEL columns of w are copied first, so that i walks along rows of both."""
    batch, in_features = x.shape
    turned = np.empty((PANEL, in_features), np.float32)
    whole = batch - batch % SUM_ROWS
    for left in range(0, out.shape[1], PANEL):
        for i in range(in_features):
            for o in range(PANEL):
                turned[o, i] = w[i, left + o]
        for n in range(0, whole, SUM_ROWS):
            x0, x1, x2, x3 = x[n], x[n + 1], x[n + 2], x[n + 3]
            for o in range(0, PANEL, 2):
                w0, w1 = turned[o], turned[o + 1]
                s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = np.float32(0.0)
                for i in range(in_features):
                    s00 += x0[i] * w0[i]
                    s01 += x0[i] * w1[i]
                    s10 += x1[i] * w0[i]
                    s11 += x1[i] * w1[i]
                    s20 += x2[i] * w0[i]
                    s21 += x2[i] * w1[i]
                    s30 += x3[i] * w0[i]
                    s31 += x3[i] * w1[i]
                out[n, left + o], out[n, left + o + 1] = s00, s01
                out[n + 1, left + o], out[n + 1, left + o + 1] = s10, s11
                out[n + 2, left + o], out[n + 2, left + o + 1] = s20, s21
                out[n + 3, left + o], out[n + 3, left + o + 1] = s30, s31
        for n in range(whole, batch):
            _dots(x, turned, out, n, left)


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D, INT)
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


@kernel(FLOATS_2D, FLOATS_2D, FLOATS_2D)
def tiled(x, w, out):
    """A tile of sums in registers: nothing is stored until a sum is whole, and each number that is loaded serves
    many."""
    for left in range(0, out.shape[1], TILE_UNITS):
        _columns(x, w, out, left)


@driver(FLOATS_2D, FLOATS_2D, FLOATS_2D)
def matmul(x, w, out):
    """The tiles' columns spread over the threads: every output has one writer."""
    for column in prange((out.shape[1] + TILE_UNITS - 1) // TILE_UNITS):
        _columns(x, w, out, column * TILE_UNITS)
