"""The linear layer, out = x w + b: forward, and beside it the gradients of weights, bias and input.

Layouts, all flat float32 in one arena:

* activations x (batch, in_features) in rows of x_stride numbers, samples as rows;
* weights in panels of PANEL units, w[panel, in_features, PANEL], so that the innermost loops walk memory in order: the
  weights of units o .. o + PANEL begin at o * in_features. PyTorch's w[o, i] is at `weight_index(o, i)`. Units that
  fill up the last panel have zero weights.

Each kernel does a range of units or of inputs, and everything outside its range is not touched: who runs which range is
decided elsewhere, and every number has one writer and one order of summing, whatever the split. A range of units is of
whole panels.

Three loops round a tile of TILE_ROWS x TILE_UNITS sums in registers, its shared index innermost (Goto and van de Geijn
2008). The next tile is asked for while the tile before it is at work. The last tile may have fewer panels. Rows left
over when TILE_ROWS does not divide the extent are done one at a time, up to SPARSE_PANELS panels together.
"""

import numpy as np
import numpy.typing as npt
from numba import prange

from jitnet.compiler.decorators import driver, helper, linked
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INT
from jitnet.machine.blocks import (
    COPIED_DEPTH,
    COPIED_FROM,
    COPIED_INPUTS,
    COPIED_SAMPLES,
    FORWARD_DEPTH,
    INPUT_DEPTH,
    INPUT_INPUTS,
    PANEL,
    PANEL_COLS,
    SPARSE_PANELS,
    TERMS,
    TILE_COLS,
    TILE_PANELS,
    TILE_ROWS,
    TILE_UNITS,
    WEIGHT_DEPTH,
    WEIGHT_INPUTS,
    WEIGHT_TERMS,
)
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import (
    tile_add_outer,
    tile_add_scaled,
    tile_load,
    tile_prefetch,
    tile_repeat,
    tile_store,
    tile_zero,
)

__all__ = [
    "forward",
    "from_panels",
    "gradient_of_input",
    "gradient_of_weight",
    "in_panels",
    "linear_backward_bias",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_forward",
    "padded",
    "weight_index",
]

_ROW_COLS = SPARSE_PANELS * PANEL_COLS  # vectors of a tile of one row


def padded(features):
    """Units of a layer of so many outputs with those that fill up its last panel."""
    return -(-features // PANEL) * PANEL


def weight_index(o, i, in_features):
    """Where PyTorch's weight[o, i] is in a layer's panels."""
    return (o // PANEL * in_features + i) * PANEL + o % PANEL


def in_panels(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """PyTorch's weight (out_features, in_features) as the kernels have it: (panels * in_features, PANEL)."""
    out_features, in_features = weight.shape
    filled = np.zeros((padded(out_features), in_features), np.float32)
    filled[:out_features] = weight
    return np.ascontiguousarray(filled.reshape(-1, PANEL, in_features).transpose(0, 2, 1)).reshape(-1, PANEL)


def from_panels(panels: npt.NDArray[np.float32], out_features: int) -> npt.NDArray[np.float32]:
    """The way back: (out_features, in_features)."""
    n_panels = padded(out_features) // PANEL
    rows = panels.reshape(n_panels, -1, PANEL).transpose(0, 2, 1).reshape(n_panels * PANEL, -1)
    return np.ascontiguousarray(rows[:out_features])


@linked(FLOATS, INT, FLOATS, FLOATS, FLOATS, INT, INT, INT, INT, INT)
def linear_forward(x, x_stride, w, b, out, out_stride, batch, in_features, first, last):
    """out[n, o] = b[o] + sum_i x[n, i] w[i, o] for n < batch and first <= o < last; out is overwritten.

    x (batch, in_features) in rows of x_stride, b (units,), out (batch, units) in rows of out_stride, which must not
    overlap x. 2 batch in_features (last - first) FLOP; 4 bytes for each number of x, w, b and out.
    """
    whole, panel = batch - batch % TILE_ROWS, in_features * PANEL
    for depth in range(0, in_features, FORWARD_DEPTH):
        end_depth = min(in_features, depth + FORWARD_DEPTH)
        unrolled = end_depth - (end_depth - depth) % TERMS
        for o in range(first, last, TILE_UNITS):
            panels, weights = min(TILE_PANELS, (last - o) // PANEL), o * in_features
            for n in range(0, whole, TILE_ROWS):
                at = n * out_stride + o
                if depth == 0:
                    tile = tile_repeat(TILE_ROWS, TILE_COLS, b, o, panels)
                else:
                    tile = tile_load(TILE_ROWS, TILE_COLS, out, at, out_stride, PANEL, panels)
                tile_prefetch(TILE_ROWS, TILE_COLS, out, at + TILE_ROWS * out_stride, out_stride)
                for k0 in range(depth, unrolled, TERMS):
                    for i in range(k0, k0 + TERMS):
                        place = weights + i * PANEL
                        tile = tile_add_outer(tile, x, n * x_stride + i, x_stride, w, place, panel, panels)
                for i in range(unrolled, end_depth):
                    tile = tile_add_outer(tile, x, n * x_stride + i, x_stride, w, weights + i * PANEL, panel, panels)
                tile_store(tile, out, at, out_stride, PANEL, panels)
    for n in range(whole, batch):
        for o in range(first, last, SPARSE_PANELS * PANEL):
            panels = min(SPARSE_PANELS, (last - o) // PANEL)
            row = tile_load(1, _ROW_COLS, b, o, 0, PANEL, panels)
            for i in range(in_features):
                place = o * in_features + i * PANEL
                row = tile_add_scaled(row, x[np.uint64(n * x_stride + i)], w, place, 0, panel, panels)
            tile_store(row, out, n * out_stride + o, 0, PANEL, panels)


@linked(FLOATS, INT, FLOATS, INT, FLOATS, INT, INT, INT, INT, INT, INT)
def linear_backward_weight(
    x, x_stride, dout, dout_stride, dw, batch, in_features, first_input, last_input, first, last
):
    """dw[i, o] += sum_n x[n, i] dout[n, o] for first_input <= i < last_input and first <= o < last.

    x (batch, in_features) in rows of x_stride, dout (batch, units) in rows of dout_stride, dw in panels. With dout
    scaled by -learning_rate, dw may be the weights themselves: that is a step of SGD.
    2 batch (last_input - first_input) (last - first) FLOP; 4 bytes for each number of x and dout, 8 of dw.
    """
    whole, panel = last_input - (last_input - first_input) % TILE_ROWS, in_features * PANEL
    copied = last - first >= COPIED_FROM
    block_depth, width = (COPIED_DEPTH, COPIED_INPUTS) if copied else (WEIGHT_DEPTH, WEIGHT_INPUTS)
    packed_a = np.empty(block_depth * width if copied else 0, np.float32)
    packed_b = np.empty(block_depth * TILE_UNITS if copied else 0, np.float32)
    source, step = (packed_a, TILE_ROWS) if copied else (x, x_stride)
    factors, next_factors = (packed_b, TILE_UNITS) if copied else (dout, dout_stride)
    for depth in range(0, batch, block_depth):
        end_depth = min(batch, depth + block_depth)
        unrolled = end_depth - (end_depth - depth) % WEIGHT_TERMS
        for block in range(first_input, whole, width):
            end = min(whole, block + width)
            if copied:
                _pack_samples(x, x_stride, packed_a, depth, end_depth, block, end)
            for o in range(first, last, TILE_UNITS):
                panels = min(TILE_PANELS, (last - o) // PANEL)
                if copied:
                    _pack_rows(dout, dout_stride, o, packed_b, depth, end_depth, panels)
                for i in range(block, end, TILE_ROWS):
                    at = o * in_features + i * PANEL
                    factor = 0 if copied else depth * dout_stride + o
                    tile = tile_load(TILE_ROWS, TILE_COLS, dw, at, PANEL, panel, panels)
                    tile_prefetch(TILE_ROWS, TILE_COLS, dw, at + TILE_ROWS * PANEL, PANEL, panel)
                    place = (i - block) * (end_depth - depth) if copied else depth * x_stride + i
                    for k0 in range(depth, unrolled, WEIGHT_TERMS):
                        for _ in range(k0, k0 + WEIGHT_TERMS):
                            tile = tile_add_outer(tile, source, place, 1, factors, factor, PANEL, panels)
                            place += step
                            factor += next_factors
                    for _ in range(unrolled, end_depth):
                        tile = tile_add_outer(tile, source, place, 1, factors, factor, PANEL, panels)
                        place += step
                        factor += next_factors
                    tile_store(tile, dw, at, PANEL, panel, panels)
        for i in range(whole, last_input):
            for o in range(first, last, SPARSE_PANELS * PANEL):
                at, panels = o * in_features + i * PANEL, min(SPARSE_PANELS, (last - o) // PANEL)
                row = tile_load(1, _ROW_COLS, dw, at, 0, panel, panels)
                for n in range(depth, end_depth):
                    value = x[np.uint64(n * x_stride + i)]
                    row = tile_add_scaled(row, value, dout, n * dout_stride + o, 0, PANEL, panels)
                tile_store(row, dw, at, 0, panel, panels)


@helper
def _pack_samples(x, x_stride, packed_a, first_sample, last_sample, first, last):
    """TILE_ROWS inputs after TILE_ROWS inputs, each with all samples: x in the order in which the weight gradient's
    tiles walk it."""
    place = 0
    for i in range(first, last, TILE_ROWS):
        for n in range(first_sample, last_sample):
            for r in range(TILE_ROWS):
                packed_a[np.uint64(place + r)] = x[np.uint64(n * x_stride + i + r)]
            place += TILE_ROWS


@helper
def _pack_rows(dout, stride, first, packed_b, first_row, last_row, panels):
    """TILE_UNITS numbers of each row, side by side: unpacked, each row's are in another page, and addresses of
    so many pages take longer than the arithmetic."""
    for row in range(first_row, last_row):
        numbers = tile_load(1, TILE_COLS, dout, row * stride + first, 0, PANEL, panels)
        tile_store(numbers, packed_b, (row - first_row) * TILE_UNITS, 0, PANEL, panels)


@linked(FLOATS, INT, FLOATS, INT, INT, INT)
def linear_backward_bias(dout, dout_stride, db, batch, first, last):
    """db[o] += sum_n dout[n, o] for first <= o < last. 2 batch (last - first) FLOP."""
    for o in range(first, last, PANEL):
        tile = tile_load(1, PANEL_COLS, db, o, PANEL)
        for n in range(batch):
            tile = tile_add_scaled(tile, np.float32(1), dout, n * dout_stride + o, PANEL)
        tile_store(tile, db, o, PANEL)


@linked(FLOATS, FLOATS, FLOATS, INT, INT, INT, INT, INT, INT)
def linear_backward_input(dout_t, w, dx_t, stride, batch, in_features, out_features, first, last):
    """dx_t[i, n] = sum_o w[i, o] dout_t[o, n] for first <= i < last and n < batch; dx_t is overwritten.

    dout_t (out_features, batch) and dx_t (in_features, batch) are stored samples last, both in rows of stride, so that
    a vector is sixteen samples and the weights are walked in order. batch is rounded up to PANEL: rows have room for
    that. 2 batch (last - first) out_features FLOP; 4 bytes for each number of dout_t, w and dx_t.
    """
    whole = last - (last - first) % TILE_ROWS
    copied = batch >= COPIED_SAMPLES
    block_depth, width = (COPIED_DEPTH, COPIED_INPUTS) if copied else (INPUT_DEPTH, INPUT_INPUTS)
    room = min(block_depth, out_features) if copied else 0
    packed_a, packed_b = np.empty(room * min(width, whole - first), np.float32), np.empty(room * TILE_UNITS, np.float32)
    for depth in range(0, out_features, block_depth):
        end_depth = min(out_features, depth + block_depth)
        for block in range(first, whole, width):
            end = min(whole, block + width)
            if copied:
                _pack_weights(w, in_features, packed_a, depth, end_depth, block, end)
                _copied_input_tiles(dout_t, packed_a, packed_b, dx_t, stride, batch, depth, end_depth, block, end)
            else:
                _input_tiles(TILE_ROWS, dout_t, w, dx_t, stride, batch, in_features, depth, end_depth, block, end)
        _input_tiles(1, dout_t, w, dx_t, stride, batch, in_features, depth, end_depth, whole, last)


@helper
def _input_tiles(rows, dout_t, w, dx_t, stride, batch, in_features, depth, end_depth, first, last):
    """`linear_backward_input` by tiles of so many rows, whole ones, for the terms depth <= o < end_depth."""
    for n in range(0, batch, TILE_UNITS):
        # Samples are stored in panels of PANEL here as units are elsewhere.
        panels = min(TILE_PANELS, (batch - n + PANEL - 1) // PANEL)
        for i in range(first, last, rows):
            at = i * stride + n
            if depth == 0:
                tile = tile_zero(rows, TILE_COLS)
            else:
                tile = tile_load(rows, TILE_COLS, dx_t, at, stride, PANEL, panels)
            tile_prefetch(rows, TILE_COLS, dx_t, at + rows * stride, stride)
            for o in range(depth, end_depth, PANEL):
                weights, units = o * in_features + i * PANEL, min(PANEL, end_depth - o)
                unrolled = units - units % TERMS
                for k0 in range(0, unrolled, TERMS):
                    for k in range(k0, k0 + TERMS):
                        tile = tile_add_outer(tile, w, weights + k, PANEL, dout_t, (o + k) * stride + n, PANEL, panels)
                for k in range(unrolled, units):
                    tile = tile_add_outer(tile, w, weights + k, PANEL, dout_t, (o + k) * stride + n, PANEL, panels)
            tile_store(tile, dx_t, at, stride, PANEL, panels)


@helper
def _copied_input_tiles(dout_t, packed_a, packed_b, dx_t, stride, batch, depth, end_depth, first, last):
    """The same from copies: the weights in the order in which the tiles walk them, and of dout_t what a row of tiles
    needs."""
    terms = end_depth - depth
    unrolled = terms - terms % TERMS
    for n in range(0, batch, TILE_UNITS):
        panels = min(TILE_PANELS, (batch - n + PANEL - 1) // PANEL)
        _pack_rows(dout_t, stride, n, packed_b, depth, end_depth, panels)
        for i in range(first, last, TILE_ROWS):
            at, place, factor = i * stride + n, (i - first) * terms, np.int64(0)
            if depth == 0:
                tile = tile_zero(TILE_ROWS, TILE_COLS)
            else:
                tile = tile_load(TILE_ROWS, TILE_COLS, dx_t, at, stride, PANEL, panels)
            tile_prefetch(TILE_ROWS, TILE_COLS, dx_t, at + TILE_ROWS * stride, stride)
            for k0 in range(0, unrolled, TERMS):
                for _ in range(k0, k0 + TERMS):
                    tile = tile_add_outer(tile, packed_a, place, 1, packed_b, factor, PANEL, panels)
                    place += TILE_ROWS
                    factor += TILE_UNITS
            for _ in range(unrolled, terms):
                tile = tile_add_outer(tile, packed_a, place, 1, packed_b, factor, PANEL, panels)
                place += TILE_ROWS
                factor += TILE_UNITS
            tile_store(tile, dx_t, at, stride, PANEL, panels)


@helper
def _pack_weights(w, in_features, packed_a, first_unit, last_unit, first, last):
    """TILE_ROWS inputs after TILE_ROWS inputs, each with all units: w in the order in which the input gradient's tiles
    walk it."""
    place = 0
    for i in range(first, last, TILE_ROWS):
        for o in range(first_unit, last_unit, PANEL):
            panel = w[o * in_features + i * PANEL :]
            for k in range(min(PANEL, last_unit - o)):
                for r in range(TILE_ROWS):
                    packed_a[np.uint64(place + r)] = panel[np.uint64(r * PANEL + k)]
                place += TILE_ROWS


# The same three on plain arrays, each split as training splits it. Weights are stored in panels as rows of PANEL
# numbers: w (units / PANEL * in_features, PANEL). units is a multiple of PANEL.


@driver(FLOATS_2D, FLOATS_2D, FLOATS, FLOATS_2D, INT)
def forward(x, w, b, out, parts):
    """out = x w + b, the units split in parts. x (batch, in_features), b (units,), out (batch, units), all float32."""
    batch, in_features = x.shape
    units = out.shape[1]
    for part in prange(parts):
        flags = flush_denormals()
        first, last = units // PANEL * part // parts * PANEL, units // PANEL * (part + 1) // parts * PANEL
        linear_forward(
            x.reshape(-1), in_features, w.reshape(-1), b, out.reshape(-1), units, batch, in_features, first, last
        )
        restore_float_flags(flags)


@driver(FLOATS_2D, FLOATS_2D, FLOATS_2D, FLOATS, INT)
def gradient_of_weight(x, dout, dw, db, parts):
    """dw += x^T dout and db += the sum of dout over the samples, the units split in parts. Arrays as in `forward`."""
    batch, in_features = x.shape
    units = dout.shape[1]
    for part in prange(parts):
        flags = flush_denormals()
        first, last = units // PANEL * part // parts * PANEL, units // PANEL * (part + 1) // parts * PANEL
        linear_backward_weight(
            x.reshape(-1),
            in_features,
            dout.reshape(-1),
            units,
            dw.reshape(-1),
            batch,
            in_features,
            0,
            in_features,
            first,
            last,
        )
        linear_backward_bias(dout.reshape(-1), units, db, batch, first, last)
        restore_float_flags(flags)


@driver(FLOATS_2D, FLOATS_2D, FLOATS_2D, INT)
def gradient_of_input(dout_t, w, dx_t, parts):
    """dx_t = w dout_t, the inputs split in parts. dout_t (out_features, batch), dx_t (in_features, batch) float32, the
    batch a multiple of PANEL."""
    out_features, batch = dout_t.shape
    in_features = dx_t.shape[0]
    for part in prange(parts):
        flags = flush_denormals()
        first, last = in_features * part // parts, in_features * (part + 1) // parts
        linear_backward_input(
            dout_t.reshape(-1), w.reshape(-1), dx_t.reshape(-1), batch, batch, in_features, out_features, first, last
        )
        restore_float_flags(flags)
