"""What the machine itself can do: loops that are nothing but arithmetic, or nothing but memory."""

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, linked
from jitnet.compiler.signatures import FLOATS, INT
from jitnet.machine.blocks import LANES, TILE_COLS, TILE_ROWS, TILE_UNITS
from jitnet.machine.tile import tile_add_outer, tile_add_scaled, tile_load, tile_store, tile_zero

__all__ = ["PROBES", "PROBE_BLOCK", "SUMS", "repeat_probe"]

SUMS = TILE_ROWS * TILE_UNITS
"""Sums that `multiply_add` has in registers: the tile of the matrix products."""

PROBE_BLOCK = 8 * LANES
"""Numbers that `read` and `triad` take at a time; they walk whole blocks."""

PROBES = {"peak": 0, "read": 1, "triad": 2}
PEAK, READ, TRIAD = (np.int64(code) for code in PROBES.values())


@linked(FLOATS, INT, INT)
def multiply_add(values, at, terms):
    """values[at + k] += terms * f**2 for k < SUMS, with f the TILE_UNITS equal numbers behind these: all in registers.

    The innermost loop of the matrix products without their loads, so its pace is the peak. 2 SUMS terms FLOP.
    """
    tile = tile_load(TILE_ROWS, TILE_COLS, values, at, TILE_UNITS)
    for _ in range(terms):
        tile = tile_add_outer(tile, values, at + SUMS, 0, values, at + SUMS)
    tile_store(tile, values, at, TILE_UNITS)


@linked(FLOATS, FLOATS, INT, INT, INT)
def read(values, out, at, first, last):
    """out[at : at + PROBE_BLOCK] = sums over the blocks of values[first:last]. 4 (last - first) bytes."""
    tile = tile_zero(8, 1)
    for k in range(first, last, PROBE_BLOCK):
        tile = tile_add_scaled(tile, np.float32(1.0), values, k, LANES)
    tile_store(tile, out, at, LANES)


@linked(FLOATS, INT, INT, INT, INT, INT)
def triad(values, a, b, c, first, last):
    """values[a + k] = values[b + k] + 0.5 * values[c + k] for first <= k < last, whole blocks (McCalpin 1995, STREAM).

    12 (last - first) bytes; that a cache may first fetch what is stored to is not counted.
    """
    for k in range(first, last, PROBE_BLOCK):
        tile = tile_load(8, 1, values, b + k, LANES)
        tile_store(tile_add_scaled(tile, np.float32(0.5), values, c + k, LANES), values, a + k, LANES)


@driver(INT, FLOATS, FLOATS, INT, INT, INT, INT)
def repeat_probe(probe, values, out, count, gap, repeats, parts):
    """A probe `repeats` times inside one region, each part on its share: nothing but the work itself is timed.

    probe: its code in PROBES. values: float32; of peak (parts, 2 SUMS) flat, count being the terms of each sum; of read
    `count` numbers; of triad three arrays of `count` numbers, `gap` apart. out: (parts * PROBE_BLOCK,) float32.
    """
    for part in prange(parts):
        blocks = count // PROBE_BLOCK
        first, last = blocks * part // parts * PROBE_BLOCK, blocks * (part + 1) // parts * PROBE_BLOCK
        for _ in range(repeats):
            if probe == PEAK:
                multiply_add(values, part * 2 * SUMS, count)
            elif probe == READ:
                read(values, out, part * PROBE_BLOCK, first, last)
            else:
                triad(values, 0, gap, 2 * gap, first, last)
