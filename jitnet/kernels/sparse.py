"""The first layer on inputs that are mostly zero: loops that walk only what is not zero.

A sample's pixels that are not zero stand in a list of entries, `column << 8 | value` in one uint32 each; `starts` says
where each sample's list begins (compressed rows, as in Tinney and Walker 1967). MNIST has 19% of its pixels in the
lists, so forward and weight gradient do a fifth of the dense work. The value is turned into a float32 by a table of
256.

Weights lie in panels (see `linear`): a panel holds PANEL outputs for every input. GROUP panels are worked on together.
"""

import numpy as np
from numba import prange

from jitnet.kernels.jit import kernel, parallel_kernel
from jitnet.kernels.tile import COLS, GROUP, PANEL, prefetch, tile_add_scaled, tile_load, tile_store

__all__ = ["BLOCK", "SLOT", "list_columns", "list_row", "list_rows", "sparse_backward_weight", "sparse_forward"]

BLOCK = 64
"""Samples whose entries are turned around at a time."""

SLOT = BLOCK + 16
"""Entries from one column's list to the next: room for BLOCK, and an odd number of cache lines, so that the lists'
beginnings spread over all sets of the cache."""

_VALUE_BITS = np.uint32(8)
_VALUE = np.uint32(255)


@kernel
def list_row(row, entries, at):
    """Write one sample's entries, row (features,) uint8, to entries[at:], by column; gives the place behind the last.

    Eight pixels that are all zero are passed over in one comparison: most of MNIST's are. About 0.4 µs an image there.
    """
    words = row.shape[0] // 8
    packed = row[: words * 8].view(np.uint64)
    for word in range(words):
        if packed[word] != 0:
            for i in range(word * 8, word * 8 + 8):
                if row[i] != 0:
                    entries[at] = np.uint32(i) << _VALUE_BITS | np.uint32(row[i])
                    at += 1
    for i in range(words * 8, row.shape[0]):
        if row[i] != 0:
            entries[at] = np.uint32(i) << _VALUE_BITS | np.uint32(row[i])
            at += 1
    return at


@parallel_kernel
def list_rows(images, starts, entries):
    """Every sample's entries to entries[starts[n]:starts[n + 1]]; or, while entries is empty, their number to starts[n
    + 1].

    images (samples, features) uint8, starts (samples + 1,) int64. Both in one: a parallel loop costs a second to
    compile.
    """
    for n in prange(images.shape[0]):
        if entries.shape[0] > 0:
            list_row(images[n], entries, starts[n])
        else:
            row = images[n]
            count = 0
            for i in range(row.shape[0]):
                count += row[i] != 0
            starts[n + 1] = count


@kernel
def list_columns(starts, entries, rows, ahead, counts, slots):
    """Turn the lists of up to BLOCK samples around: for each column the samples that have it, as `n << 8 | value`.

    rows (batch,) int32 names the samples; counts (in_features,) int32 is overwritten with each column's number of
    entries, and slots, flat uint32, with the entries: column i's begin at i * SLOT, in the order of the samples.
    `ahead` names the samples that will be listed next: their entries lie at random places in memory, and asking for
    them now hides that.
    """
    for i in range(counts.shape[0]):
        counts[i] = 0
    for n in range(rows.shape[0]):
        if n < ahead.shape[0]:
            for e in range(starts[ahead[n]], starts[ahead[n] + 1], 16):
                prefetch(entries, e)
        for e in range(starts[rows[n]], starts[rows[n] + 1]):
            entry = entries[np.uint64(e)]
            column = np.uint64(entry >> _VALUE_BITS)
            count = counts[column]
            slots[column * np.uint64(SLOT) + np.uint64(count)] = np.uint32(n) << _VALUE_BITS | (entry & _VALUE)
            counts[column] = count + 1


@kernel
def sparse_forward(starts, entries, rows, values, w, b, in_features, first_panel, last_panel, out, stride):
    """out[n, o] = b[o] + sum over the entries (i, v) of sample rows[n] of values[v] * w[i, o], for o in the panels
    given.

    starts (samples + 1,) int64, entries uint32, rows (batch,) int32, values (256,) float32, w panels, b (panels *
    PANEL,), out flat with rows of `stride`; out is overwritten. 2 FLOP per entry and output.
    """
    size = in_features * PANEL
    whole = last_panel - (last_panel - first_panel) % GROUP
    # Samples inside: the weights of one group of panels stay in the second cache.
    for p in range(first_panel, whole, GROUP):
        for n in range(rows.shape[0]):
            sums = tile_load(GROUP, COLS, b, p * PANEL, PANEL)
            for e in range(starts[rows[n]], starts[rows[n] + 1]):
                entry = entries[np.uint64(e)]
                at = np.int64(entry >> _VALUE_BITS) * PANEL + p * size
                sums = tile_add_scaled(sums, values[np.uint64(entry & _VALUE)], w, at, size)
            tile_store(sums, out, n * stride + p * PANEL, PANEL)
    for p in range(whole, last_panel):
        for n in range(rows.shape[0]):
            total = tile_load(1, COLS, b, p * PANEL, PANEL)
            for e in range(starts[rows[n]], starts[rows[n] + 1]):
                entry = entries[np.uint64(e)]
                at = np.int64(entry >> _VALUE_BITS) * PANEL + p * size
                total = tile_add_scaled(total, values[np.uint64(entry & _VALUE)], w, at, size)
            tile_store(total, out, n * stride + p * PANEL, PANEL)


@kernel
def sparse_backward_weight(counts, slots, values, g, stride, in_features, first_panel, last_panel, dw):
    """dw[i, o] += sum of values[v] * g[n, o] over column i's samples n with value v, for o in the panels given.

    g flat with rows of `stride`, beginning at the first sample listed; dw in panels. With g scaled by -learning_rate,
    dw may be the weights themselves: that is a step of SGD. Columns without entries are not touched. 2 FLOP per entry
    and output.
    """
    size = in_features * PANEL
    whole = last_panel - (last_panel - first_panel) % GROUP
    # Columns inside: a group's gradients stay in the first cache.
    for p in range(first_panel, whole, GROUP):
        for i in range(in_features):
            if counts[i] > 0:
                tile = tile_load(GROUP, COLS, dw, p * size + i * PANEL, size)
                for e in range(i * SLOT, i * SLOT + counts[i]):
                    entry = slots[np.uint64(e)]
                    at = np.int64(entry >> _VALUE_BITS) * stride + p * PANEL
                    tile = tile_add_scaled(tile, values[np.uint64(entry & _VALUE)], g, at, PANEL)
                tile_store(tile, dw, p * size + i * PANEL, size)
    for p in range(whole, last_panel):
        for i in range(in_features):
            if counts[i] > 0:
                single = tile_load(1, COLS, dw, p * size + i * PANEL, size)
                for e in range(i * SLOT, i * SLOT + counts[i]):
                    entry = slots[np.uint64(e)]
                    at = np.int64(entry >> _VALUE_BITS) * stride + p * PANEL
                    single = tile_add_scaled(single, values[np.uint64(entry & _VALUE)], g, at, PANEL)
                tile_store(single, dw, p * size + i * PANEL, size)
