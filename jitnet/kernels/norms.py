"""Norms: of the whole gradient, and of each unit's incoming weights, which are kept below a limit."""

import numpy as np

from jitnet.compiler.blocks import LANES, PANEL
from jitnet.compiler.decorators import IN_ORDER, helper, linked
from jitnet.compiler.signatures import DOUBLES, FLOATS, INT, REAL
from jitnet.compiler.tile import tile_load, tile_max, tile_sqrt, tile_store, tile_sum, tile_zero

__all__ = ["clip_values", "limit_norms", "square_sum", "sum_in_order"]


@linked(FLOATS, INT, INT, INT, REAL, returns=REAL, fastmath=IN_ORDER)
def square_sum(dw, first, count, stride, total):
    """`total` and the sum of dw[k]**2 over `count` vectors of LANES numbers, the first at `first`, each next one
    `stride` numbers on; as float64, one vector after the other. 2 FLOP and 4 bytes a number.

    A vector holds the same units in panels of any width, so the sum has the same bits.
    """
    for k in range(count):
        tile = tile_load(1, 1, dw, first + k * stride, 0)
        total += np.float64(tile_sum(tile * tile))
    return total


@helper
def clip_values(dw, largest, first, last):
    """dw[k] moved into -largest … largest for first <= k < last. 8 bytes a number."""
    for k in range(first, last):
        dw[np.uint64(k)] = min(max(dw[np.uint64(k)], -largest), largest)


@linked(DOUBLES, returns=REAL, fastmath=IN_ORDER)
def sum_in_order(x):
    """Sum of x, float64, from the first number to the last. 1 FLOP and 8 bytes a number."""
    total = 0.0
    for k in range(x.shape[0]):
        total += x[k]
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
