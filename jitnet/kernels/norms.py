"""Norms: of the whole gradient, and of each unit's incoming weights, which are kept below a limit."""

import numpy as np

from jitnet.compiler.blocks import LANES, PANEL
from jitnet.compiler.decorators import helper
from jitnet.compiler.tile import tile_load, tile_max, tile_sqrt, tile_store, tile_sum, tile_zero

__all__ = ["limit_norms", "square_sum"]


@helper
def square_sum(dw, first, last):
    """Sum of dw[k]**2 over a range (multiples of LANES), as float64, in a fixed order. 2 FLOP and 4 bytes a number."""
    total = 0.0
    for k in range(first, last, LANES):
        tile = tile_load(1, 1, dw, k, 0)
        total += np.float64(tile_sum(tile * tile))
    return total


@helper
def limit_norms(w, in_features, largest, first, last):
    """Scale the incoming weights of units first <= o < last down to the norm `largest` (Srivastava et al. 2014, section
    5.1). w in panels, a range of whole panels. 3 FLOP and 8 bytes a weight."""
    for panel in range(first, last, PANEL):
        for o in range(0, PANEL, LANES):
            squares = tile_zero(1, 1)
            for i in range(in_features):
                tile = tile_load(1, 1, w, panel * in_features + i * PANEL + o, 0)
                squares = squares + tile * tile
            # Divided by, not multiplied: a weight below the limit is divided by 1 and keeps its bits.
            excess = tile_max(tile_sqrt(squares) / np.float32(largest), np.float32(1.0))
            for i in range(in_features):
                at = panel * in_features + i * PANEL + o
                tile_store(tile_load(1, 1, w, at, 0) / excess, w, at, 0)
