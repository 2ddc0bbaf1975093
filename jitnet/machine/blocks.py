"""All sizes of tiles and blocks: what fits the registers and the caches of this processor, or of the kind that
JITNET_BLOCKS names.

Names in brackets are those of BLIS (Van Zee and van de Geijn 2015; Goto and van de Geijn 2008). A kernel that walks a
matrix product keeps MR x NR sums in registers, KC terms of each at a time, and MC rows of one factor in a cache. The
measured effect of each size is in docs/performance.md.
"""

from jitnet.compiler.environment import BLOCKS

__all__ = [
    "BLUR_ROWS",
    "COPIED_DEPTH",
    "COPIED_FROM",
    "COPIED_INPUTS",
    "COPIED_SAMPLES",
    "ENTRIES_TOGETHER",
    "FORWARD_DEPTH",
    "INPUT_DEPTH",
    "INPUT_INPUTS",
    "LANES",
    "PANEL",
    "PANEL_COLS",
    "PARTIAL_SAMPLES",
    "PARTIAL_UNITS",
    "PREDICT_BLOCK",
    "SKIPPING_BELOW",
    "SKIPPING_BELOW_IN_LARGE",
    "SKIPPING_BELOW_IN_PREDICTION",
    "SKIPPING_LARGE",
    "SPARSE_BLOCK",
    "SPARSE_LAST",
    "SPARSE_PANELS",
    "SPARSE_WEIGHTS",
    "TERMS",
    "TILE_COLS",
    "TILE_PANELS",
    "TILE_ROWS",
    "TILE_UNITS",
    "UPDATE_BLOCK",
    "WEIGHT_DEPTH",
    "WEIGHT_INPUTS",
    "WEIGHT_TERMS",
]

_AVX512 = BLOCKS == "avx512"

LANES = 16
"""float32 numbers in a vector. LLVM splits it where the CPU's are shorter: AVX2 in two, NEON in four."""

PANEL_COLS = 2 if _AVX512 else 1
"""Vectors in a panel of weights."""

PANEL = PANEL_COLS * LANES
"""Units in a panel of weights."""

TILE_PANELS = 2 if _AVX512 else 1
"""Panels that a tile of sums spans."""

TILE_COLS, TILE_UNITS = TILE_PANELS * PANEL_COLS, TILE_PANELS * PANEL
"""Vectors in a row of the tile, and columns of the tile (NR)."""

TILE_ROWS = 6
"""Rows of the tile (MR): as many sums as fit the registers, 6 x 16 for AVX2 and NEON, 6 x 64 for AVX-512. The rows are
few and wide: each costs an instruction that broadcasts one number to a vector, and a busy hyperthread on the same core
leaves only three instructions a cycle."""

TERMS, WEIGHT_TERMS = 4, 4 if _AVX512 else 1
"""Terms that a tile adds in one iteration of its loop, so that they share the increments of its addresses. The weight
gradient on AVX2 does not need it: that walks along one row of x and one of dout, not along six."""

FORWARD_DEPTH = 192 if _AVX512 else 384
"""Terms of forward's sums in one block (KC): their weights, TILE_UNITS of each, are 24 KiB for AVX2 and 48 KiB for
AVX-512: three quarters of the first cache and all of it."""

WEIGHT_DEPTH = 96 if _AVX512 else 160
"""Samples that the weight gradient sums in a block (KC): each takes TILE_UNITS of dout and a whole line of x, of which
a tile uses TILE_ROWS numbers; together less than two thirds of the first cache."""

WEIGHT_INPUTS = 240
"""Inputs that the weight gradient works on at a time (MC), a multiple of TILE_ROWS: WEIGHT_DEPTH x WEIGHT_INPUTS floats
of x are less than a third of a 512 KiB cache, and every panel of units reads them from there."""

COPIED_DEPTH, COPIED_INPUTS = 128 if _AVX512 else 256, 240
"""The same for both gradients where their factors are packed first, so that the TILE_ROWS and TILE_UNITS numbers of
every term are contiguous, and not each in another cache line or page."""

COPIED_FROM, COPIED_SAMPLES = 64 * PANEL, 256
"""Units from which that pays for the weight gradient, samples from which it pays for the input gradient."""

INPUT_DEPTH, INPUT_INPUTS = (128, 240) if _AVX512 else (64, 480)
"""Units and inputs that the input gradient works on at a time (KC, MC), whole panels and whole tiles; every vector of
samples reads so many weights. Few units at a time: where in_features is a power of two, the same index of all panels
maps to one set of a cache."""

SPARSE_PANELS = 4
"""Panels that the zero-skipping loops hold at once: so many sums in flight hide the latency of an addition."""

SPARSE_LAST = 7
"""Panels of the last group at most, where SPARSE_PANELS does not divide their number: the remainder is too small to
hide that latency, so it is joined with the group before it."""

SPARSE_WEIGHTS = 12544
"""Weights that the zero-skipping forward works on at a time, of a group of panels: 49 KiB, of which a batch of MNIST's
digits uses 60%."""

ENTRIES_TOGETHER = 8
"""Entries of a sample that it adds at a time, on average, at the least: where a sample has few, of many columns, more
weights are worked on at a time, so that its sums are not loaded and stored more often than they are added to."""

SKIPPING_BELOW, SKIPPING_BELOW_IN_LARGE, SKIPPING_LARGE = *((0.28, 0.26) if _AVX512 else (0.45, 0.41)), 256
"""Share of inputs that are not zero up to which walking only those is faster in training: in batches below
SKIPPING_LARGE samples and in larger ones, whose dense products are faster. With AVX-512 a multiply-add of the
zero-skipping loops takes 1.6 times as long beside one of the tile as with AVX2."""

SKIPPING_BELOW_IN_PREDICTION = 0.2 if _AVX512 else 0.31
"""The same in prediction, which lists the inputs that are not zero for a single pass."""

SPARSE_BLOCK = 64
"""Samples that the zero-skipping loops work on at a time: as many as a column's mark has bits."""

UPDATE_BLOCK = 16384
"""Parameters that a part updates at a time, where the update waits for the whole gradient."""

PARTIAL_UNITS = 32
"""Units of the last hidden layer that contribute to the logits together. Sums are cut by it on every processor, so that
all get the same bits: a multiple of every PANEL."""

PARTIAL_SAMPLES = 60
"""Samples whose contributions to the logits are made and added up at a time: a multiple of TILE_ROWS, and few enough
for the first cache."""

PREDICT_BLOCK = 60
"""Samples that prediction carries through the layers at a time: a multiple of every tile's rows, and few enough for the
second cache."""

BLUR_ROWS = 4
"""Rows of an elastic field whose sums stay in registers while it is smoothed."""
