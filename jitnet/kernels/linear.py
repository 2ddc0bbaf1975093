"""The linear layer, out = x w + b: forward, and beside it the gradients of weights, bias and input.

Layouts, all flat float32 in one arena, rows on 64-byte starts:

* activations x (batch, in_features) in rows of `stride` numbers, samples as rows;
* weights in panels of PANEL outputs, w[panel, in_features, PANEL], so that the innermost loops walk memory in order;
  PyTorch's w[o, i] stands at panel_index(o, i). Outputs that fill up the last panel have zero weights.

Each kernel does a range of panels or of inputs, and everything outside its range is left alone: whoever runs which
range is decided elsewhere, and every number has one writer and one order of summing, whatever the split.

Three loops round a tile of ROWS x PANEL sums in registers, its shared index innermost (Goto and van de Geijn 2008).
Long sums are cut into pieces, so that the panel at work stays in the first cache; a tile's place is asked for while the
tile before it is at work. Rows left over when ROWS does not divide the extent are done one at a time over GROUP panels.
At 512x2048x2048 that makes 85-89 GFLOP/s on one Zen 3 core whose peak is 101.
"""

import numpy as np

from jitnet.kernels.jit import inner_kernel, kernel
from jitnet.kernels.tile import (
    COLS,
    GROUP,
    LANES,
    PANEL,
    ROWS,
    prefetch,
    tile_add_outer,
    tile_add_scaled,
    tile_load,
    tile_repeat,
    tile_store,
    tile_transpose,
    tile_zero,
)

__all__ = [
    "DEPTH",
    "INPUT_DEPTH",
    "WEIGHT_DEPTH",
    "linear_backward_bias",
    "linear_backward_input",
    "linear_backward_weight",
    "linear_forward",
    "panel_index",
    "panels",
    "transpose",
]

DEPTH = 6144 // PANEL
"""Terms of forward's sums done in one go: a panel of DEPTH x PANEL floats is three quarters of a 32 KiB cache."""

WEIGHT_DEPTH = 5120 // (LANES + PANEL)
"""Terms of the weight gradient's sums done in one go: each takes a panel of g and a whole line of x, of which a tile
uses ROWS numbers; together less than two thirds of a 32 KiB cache."""

WIDTH = 240
"""Inputs that the weight gradient works on at a time, a multiple of ROWS: WEIGHT_DEPTH x WIDTH floats of x are less
than a third of a 512 KiB cache, and every panel of outputs passes over them there."""

PACKED_DEPTH, PACKED_WIDTH, PACKED_FROM = 4096 // PANEL, 120, 64
"""The same where x is copied first, so that a tile finds its ROWS numbers of every sample side by side and not each in
a cache line of its own; and the panels from which that is worth it: at 512x2048x2048 86 to 92 GFLOP/s."""

INPUT_DEPTH, INPUT_WIDTH = 64, 480
"""The same of the input gradient; every vector of samples passes over so many weights. Few panels at a time: where
in_features is a power of two, equal places of all panels share one set of a cache. 81 GFLOP/s with 160 and 240 at
512x2048x2048, 88 with these."""

INPUT_ROWS = 2 * ROWS if COLS == 2 else ROWS
"""Rows of the tile of the input gradient, which is one vector wide."""


@kernel
def panels(features):
    """Panels that hold `features` outputs."""
    return (features + PANEL - 1) // PANEL


@kernel
def panel_index(o, i, in_features):
    """Where PyTorch's weight[o, i] stands in a layer's panels."""
    return (o // PANEL * in_features + i) * PANEL + o % PANEL


@kernel
def linear_forward(x, x_stride, w, b, batch, in_features, first_panel, last_panel, out, stride):
    """out[n, o] = b[o] + sum_i x[n, i] w[i, o] for all n and the o of the panels given; out is overwritten.

    x (batch, in_features) in rows of x_stride, b (panels * PANEL,), out in rows of stride.
    2 batch in_features outputs FLOP.
    """
    size = in_features * PANEL
    whole = batch - batch % ROWS
    for depth in range(0, in_features, DEPTH):
        deep = min(in_features, depth + DEPTH)
        for p in range(first_panel, last_panel):
            for n in range(0, whole, ROWS):
                at = n * stride + p * PANEL
                tile = tile_repeat(ROWS, COLS, b, p * PANEL) if depth == 0 else tile_load(ROWS, COLS, out, at, stride)
                for r in range(ROWS, 2 * ROWS):
                    prefetch(out, at + r * stride)
                for i in range(depth, deep):
                    tile = tile_add_outer(tile, x, n * x_stride + i, x_stride, w, p * size + i * PANEL)
                tile_store(tile, out, at, stride)
    for n in range(whole, batch):
        row_forward(x, n * x_stride, w, b, in_features, first_panel, last_panel, out, n * stride)


@kernel
def row_forward(x, x_at, w, b, in_features, first_panel, last_panel, out, at):
    """One sample of `linear_forward`: x from x_at on, out from `at` on."""
    size = in_features * PANEL
    p = first_panel
    while p + GROUP <= last_panel:
        tile = tile_load(GROUP, COLS, b, p * PANEL, PANEL)
        for i in range(in_features):
            tile = tile_add_scaled(tile, x[np.uint64(x_at + i)], w, p * size + i * PANEL, size)
        tile_store(tile, out, at + p * PANEL, PANEL)
        p += GROUP
    while p < last_panel:
        single = tile_load(1, COLS, b, p * PANEL, PANEL)
        for i in range(in_features):
            single = tile_add_scaled(single, x[np.uint64(x_at + i)], w, p * size + i * PANEL, size)
        tile_store(single, out, at + p * PANEL, PANEL)
        p += 1


@kernel
def linear_backward_weight(x, x_stride, g, stride, batch, in_features, first, last, first_panel, last_panel, dw):
    """dw[i, o] += sum_n x[n, i] g[n, o] for first <= i < last and the o of the panels given.

    x (batch, in_features) in rows of x_stride, g (batch, panels * PANEL) in rows of stride, dw in panels. With g
    scaled by -learning_rate, dw may be the weights themselves: that is a step of SGD.
    2 batch (last - first) outputs FLOP.
    """
    size = in_features * PANEL
    whole = last - (last - first) % ROWS
    pack = last_panel - first_panel >= PACKED_FROM
    most, width = (PACKED_DEPTH, PACKED_WIDTH) if pack else (WEIGHT_DEPTH, WIDTH)
    packed = np.empty(most * width if pack else 0, np.float32)
    source, step = (packed, ROWS) if pack else (x, x_stride)
    for depth in range(0, batch, most):
        deep = min(batch, depth + most)
        for block in range(first, whole, width):
            end = min(whole, block + width)
            if pack:
                _pack(x, x_stride, depth, deep, block, end, packed)
            for p in range(first_panel, last_panel):
                for i in range(block, end, ROWS):
                    at = p * size + i * PANEL
                    tile = tile_load(ROWS, COLS, dw, at, PANEL)
                    for r in range(ROWS, 2 * ROWS):
                        prefetch(dw, at + r * PANEL)
                    place = (i - block) * (deep - depth) if pack else depth * x_stride + i
                    for n in range(depth, deep):
                        tile = tile_add_outer(tile, source, place, 1, g, n * stride + p * PANEL)
                        place += step
                    tile_store(tile, dw, at, PANEL)
        for i in range(whole, last):
            _row_backward_weight(x, x_stride, g, stride, depth, deep, in_features, i, first_panel, last_panel, dw)


@inner_kernel
def _pack(x, x_stride, first_sample, last_sample, first, last, packed):
    """ROWS inputs after ROWS inputs, each with all samples: x in the order in which the weight gradient's tiles walk
    it."""
    place = 0
    for i in range(first, last, ROWS):
        for n in range(first_sample, last_sample):
            for r in range(ROWS):
                packed[np.uint64(place + r)] = x[np.uint64(n * x_stride + i + r)]
            place += ROWS


@kernel
def _row_backward_weight(
    x, x_stride, g, stride, first_sample, last_sample, in_features, i, first_panel, last_panel, dw
):
    """One input of `linear_backward_weight`."""
    size = in_features * PANEL
    p = first_panel
    while p + GROUP <= last_panel:
        tile = tile_load(GROUP, COLS, dw, p * size + i * PANEL, size)
        for n in range(first_sample, last_sample):
            tile = tile_add_scaled(tile, x[np.uint64(n * x_stride + i)], g, n * stride + p * PANEL, PANEL)
        tile_store(tile, dw, p * size + i * PANEL, size)
        p += GROUP
    while p < last_panel:
        single = tile_load(1, COLS, dw, p * size + i * PANEL, size)
        for n in range(first_sample, last_sample):
            single = tile_add_scaled(single, x[np.uint64(n * x_stride + i)], g, n * stride + p * PANEL, PANEL)
        tile_store(single, dw, p * size + i * PANEL, size)
        p += 1


@kernel
def linear_backward_bias(g, stride, batch, first_panel, last_panel, db):
    """db[o] += sum_n g[n, o] for the o of the panels given."""
    for p in range(first_panel, last_panel):
        tile = tile_load(1, COLS, db, p * PANEL, PANEL)
        for n in range(batch):
            tile = tile_add_scaled(tile, np.float32(1), g, n * stride + p * PANEL, PANEL)
        tile_store(tile, db, p * PANEL, PANEL)


@kernel
def linear_backward_input(gt, stride, samples, w, in_features, out_features, first, last, dxt):
    """dxt[i, n] = sum_o w[i, o] gt[o, n] for first <= i < last and n < samples; dxt is overwritten.

    gt (out_features, samples) and dxt (in_features, samples) stand samples last, in rows of stride, so that a vector is
    sixteen samples and the weights are walked in order. samples is rounded up to LANES: rows must have room for that.
    2 samples (last - first) out_features FLOP.
    """
    size = in_features * PANEL
    whole = last - (last - first) % INPUT_ROWS
    for depth in range(0, out_features, INPUT_DEPTH):
        deep = min(out_features, depth + INPUT_DEPTH)
        for block in range(first, whole, INPUT_WIDTH):
            for n in range(0, samples, LANES):
                for i in range(block, min(whole, block + INPUT_WIDTH), INPUT_ROWS):
                    at = i * stride + n
                    tile = tile_zero(INPUT_ROWS, 1) if depth == 0 else tile_load(INPUT_ROWS, 1, dxt, at, stride)
                    for r in range(INPUT_ROWS, 2 * INPUT_ROWS):
                        prefetch(dxt, at + r * stride)
                    for p in range(depth, deep, PANEL):
                        weights = p // PANEL * size + i * PANEL
                        for o in range(min(PANEL, deep - p)):
                            tile = tile_add_outer(tile, w, weights + o, PANEL, gt, (p + o) * stride + n)
                    tile_store(tile, dxt, at, stride)
        for n in range(0, samples, LANES):
            for i in range(whole, last):
                at = i * stride + n
                single = tile_zero(1, 1) if depth == 0 else tile_load(1, 1, dxt, at, stride)
                for p in range(depth, deep, PANEL):
                    weights = p // PANEL * size + i * PANEL
                    for o in range(min(PANEL, deep - p)):
                        single = tile_add_outer(single, w, weights + o, PANEL, gt, (p + o) * stride + n)
                tile_store(single, dxt, at, stride)


@kernel
def transpose(source, source_stride, rows, first, last, target, target_stride):
    """target[c, r] = source[r, c] for all rows and first <= c < last, both flat with rows of their strides.

    Squares of LANES x LANES are turned in registers: 0.2 ns a number where one after the other takes 0.45, and of
    matrices beyond the second cache 0.3 instead of 2.
    """
    square, whole = rows - rows % LANES, last - (last - first) % LANES
    for c in range(first, whole, LANES):
        for r in range(0, square, LANES):
            turned = tile_transpose(tile_load(LANES, 1, source, r * source_stride + c, source_stride))
            tile_store(turned, target, c * target_stride + r, target_stride)
    for r in range(rows):
        for c in range(whole if r < square else first, last):
            target[np.uint64(c * target_stride + r)] = source[np.uint64(r * source_stride + c)]
