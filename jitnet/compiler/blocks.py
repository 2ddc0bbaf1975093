"""The sizes of tiles and blocks, all of them: what fits the registers and the caches of the processor at hand.

Names in brackets are those of BLIS (Van Zee and van de Geijn 2015; Goto and van de Geijn 2008). A kernel that walks a
matrix product keeps MR x NR sums in registers, KC terms of each at a time, and MC rows of one factor in a cache. What
each size was measured to bring stands in docs/performance.md.
"""

from jitnet.compiler.environment import HAS_AVX512

__all__ = [
    "BLUR_ROWS",
    "COPIED_DEPTH",
    "COPIED_FROM",
    "COPIED_INPUTS",
    "FORWARD_DEPTH",
    "INPUT_DEPTH",
    "INPUT_INPUTS",
    "INPUT_TILE_ROWS",
    "LANES",
    "NORM_BLOCK",
    "PANEL",
    "PREDICT_BLOCK",
    "SPARSE_BLOCK",
    "SPARSE_COLUMNS",
    "SPARSE_PANELS",
    "TILE_COLS",
    "TILE_ROWS",
    "WEIGHT_DEPTH",
    "WEIGHT_INPUTS",
]

LANES = 16
"""float32 numbers in one vector. LLVM splits it where the CPU's are shorter: AVX2 in two, NEON in four."""

TILE_COLS = 2 if HAS_AVX512 else 1
"""Vectors in a row of the tile of sums."""

PANEL = TILE_COLS * LANES
"""Units in a panel of weights, and columns of the tile (NR)."""

TILE_ROWS = 12 if HAS_AVX512 else 6
"""Rows of the tile (MR): as many sums as fit the registers, 6 x 16 for AVX2 and NEON, 12 x 32 for AVX-512."""

FORWARD_DEPTH = 6144 // PANEL
"""Terms of forward's sums done in one go (KC): a panel of so many x PANEL floats is three quarters of a 32 KiB
cache."""

WEIGHT_DEPTH = 5120 // (LANES + PANEL)
"""Samples that the weight gradient sums in one go (KC): each takes a panel of dout and a whole line of x, of which a
tile uses TILE_ROWS numbers; together less than two thirds of a 32 KiB cache."""

WEIGHT_INPUTS = 240
"""Inputs that the weight gradient works on at a time (MC), a multiple of TILE_ROWS: WEIGHT_DEPTH x WEIGHT_INPUTS floats
of x are less than a third of a 512 KiB cache, and every panel of units passes over them there."""

COPIED_DEPTH, COPIED_INPUTS, COPIED_FROM = 4096 // PANEL, 120, 64 * PANEL
"""The same where x is copied first, so that a tile finds its TILE_ROWS numbers of every sample side by side and not
each in a cache line of its own; and the units from which that pays."""

INPUT_DEPTH, INPUT_INPUTS = 64, 480
"""Units and inputs that the input gradient works on at a time (KC, MC); every vector of samples passes over so many
weights. Few units at a time: where in_features is a power of two, equal places of all panels share one set of a
cache."""

INPUT_TILE_ROWS = 2 * TILE_ROWS if TILE_COLS == 2 else TILE_ROWS
"""Rows of the input gradient's tile, which is one vector wide."""

SPARSE_PANELS = 4
"""Panels that the zero-skipping loops hold at once: so many sums in flight hide the cycles that an addition takes."""

SPARSE_COLUMNS = 12544 // (SPARSE_PANELS * PANEL)
"""Columns that the zero-skipping forward works on at a time: their weights in SPARSE_PANELS panels are 49 KiB, of which
a batch of MNIST's digits uses 60%."""

SPARSE_BLOCK = 64
"""Samples that the zero-skipping loops work on at a time: as many as a column's mark has bits."""

NORM_BLOCK = 16384
"""Parameters whose squares are summed at a time for the gradient's norm: fixed, so that no thread count shows."""

PREDICT_BLOCK = 60
"""Samples that prediction carries through the layers at a time: a multiple of every tile's rows, and few enough for the
second cache."""

BLUR_ROWS = 4
"""Rows of an elastic field whose sums stay in registers while it is smoothed."""
