"""A learned factor for each input (the scaling layer of RealMLP: Holzmüller, Grinsztajn and Steinwart 2024).

The first layer computes (scale * x) w, which is x (scale * w). So the factors are folded into its weights, once a step
and not once a sample, and all loops over inputs stay as they are, those that skip zeros too. The gradient of the folded
weights dv then makes both: dw[i, o] = scale[i] dv[i, o] and dscale[i] = sum_o w[i, o] dv[i, o].

Weights are flat float32 in panels (see `linear`). Sums go through the units by vectors of LANES, lanes by themselves
and then together: the same bits whatever the width of panels.
"""

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, helper
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INT
from jitnet.machine.blocks import LANES, PANEL, PANEL_COLS
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import tile_load, tile_store, tile_sum, tile_zero

__all__ = ["apply_input_scale", "scale_weights", "scale_weights_backward"]


@helper
def scale_weights(w, scale, folded, in_features, first, last):
    """folded[i, o] = scale[i] * w[i, o] for i < in_features and units first <= o < last, whole panels.

    scale (in_features,), w and folded in panels. 1 FLOP and 8 bytes a weight.
    """
    for o in range(first, last, PANEL):
        for i in range(in_features):
            at = o * in_features + i * PANEL
            tile_store(tile_load(1, PANEL_COLS, w, at, PANEL) * scale[np.uint64(i)], folded, at, PANEL)


@helper
def scale_weights_backward(w, scale, dw, dscale, in_features, units, first, last):
    """Of the folded weights' gradient in dw make that of w, in place, and that of the factors, for inputs
    first <= i < last: dscale[i] = sum_o w[i, o] dw[i, o], then dw[i, o] *= scale[i].

    units: of all panels. dscale (in_features,) is overwritten. 3 FLOP and 12 bytes a weight.
    """
    for i in range(first, last):
        total, factor = tile_zero(1, 1), scale[np.uint64(i)]
        for o in range(0, units, LANES):
            at = o // PANEL * PANEL * in_features + i * PANEL + o % PANEL
            gradient = tile_load(1, 1, dw, at, 0)
            total = total + tile_load(1, 1, w, at, 0) * gradient
            tile_store(gradient * factor, dw, at, 0)
        dscale[np.uint64(i)] = tile_sum(total)


@driver(FLOATS_2D, FLOATS, FLOATS_2D, INT, INT)
def apply_input_scale(w, scale, folded, in_features, parts):
    """`scale_weights` of whole matrices of panels (panels * in_features, PANEL) float32, the panels split in parts."""
    panels = w.shape[0] // in_features
    for part in prange(parts):
        flags = flush_denormals()
        first, last = panels * part // parts * PANEL, panels * (part + 1) // parts * PANEL
        scale_weights(w.reshape(-1), scale, folded.reshape(-1), in_features, first, last)
        restore_float_flags(flags)
