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
from jitnet.kernels.tile import COLS, GROUP, PANEL, lowest_bit, prefetch, tile_add_scaled, tile_load, tile_store

__all__ = ["BLOCK", "list_row", "list_rows", "mark_columns", "sparse_backward_weight", "sparse_forward"]

BLOCK = 64
"""Samples whose gradients are summed at a time: as many as a column's mark has bits."""

COLUMNS = 12544 // (GROUP * PANEL)
"""Columns that forward works on at a time: their weights in GROUP panels are 49 KiB, of which a batch of MNIST's digits
uses 60%. With 128 or 256 instead of 196 it took 5% longer, with all 784 at once 45%."""

_VALUE_BITS = np.uint32(8)
_VALUE = np.uint32(255)
_NONE, _FIRST = np.uint64(0), np.uint64(1)


@kernel
def _list_some(row, first, last, entries, at):
    for i in range(first, last):
        if row[i] != 0:
            entries[np.uint64(at)] = np.uint32(i) << _VALUE_BITS | np.uint32(row[i])
            at += 1
    return at


@kernel
def list_row(row, entries, at, end):
    """Write one sample's entries, row (features,) uint8, to entries[at:end], by column; gives the place behind them.

    Eight pixels that are all zero are passed over in one comparison: most of MNIST's are. Any other is written and,
    where it is zero, written over by the next: that took a third less than asking each. About 0.3 µs an image there.
    """
    words = row.shape[0] // 8
    packed = row[: words * 8].view(np.uint64)
    for word in range(words):
        if packed[word] != 0:
            # What lies behind the last entry may be another thread's: nothing is written from `end` on. Asked once for
            # eight pixels: 0.32 µs an image, where asking for each took 0.43.
            if at + 8 <= end:
                for i in range(word * 8, word * 8 + 8):
                    entries[np.uint64(at)] = np.uint32(i) << _VALUE_BITS | np.uint32(row[i])
                    at += row[i] != 0
            else:
                at = _list_some(row, word * 8, word * 8 + 8, entries, at)
    return _list_some(row, words * 8, row.shape[0], entries, at)


@parallel_kernel
def list_rows(images, starts, entries):
    """Every sample's entries to entries[starts[n]:starts[n + 1]]; or, while entries is empty, their number to starts[n
    + 1].

    images (samples, features) uint8, starts (samples + 1,) int64. Both in one: a parallel loop costs a second to
    compile.
    """
    for n in prange(images.shape[0]):
        if entries.shape[0] > 0:
            list_row(images[n], entries, starts[n], starts[n + 1])
        else:
            row = images[n]
            count = 0
            for i in range(row.shape[0]):
                count += row[i] != 0
            starts[n + 1] = count


@kernel
def mark_columns(starts, entries, rows, ahead, columns):
    """Which of up to BLOCK samples have a column: bit n of columns[i] says it of sample rows[n].

    rows (batch,) int32; columns (in_features,) uint64 is overwritten. Marks, not lists of entries: 784 of them stay in
    the first cache, and writing lists took twice as long. `ahead` names the samples that will be marked next: their
    entries lie at random places in memory, and asking for them now hides that.
    """
    for i in range(columns.shape[0]):
        columns[i] = _NONE
    for n in range(rows.shape[0]):
        if n < ahead.shape[0]:
            for e in range(starts[ahead[n]], starts[ahead[n] + 1], 16):
                prefetch(entries, e)
        mark = _FIRST << np.uint64(n)
        for e in range(starts[rows[n]], starts[rows[n] + 1]):
            columns[np.uint64(entries[np.uint64(e)] >> _VALUE_BITS)] |= mark


@kernel
def sparse_forward(starts, entries, rows, cursors, values, w, b, in_features, first_panel, last_panel, out, stride):
    """out[n, o] = b[o] + sum over the entries (i, v) of sample rows[n] of values[v] * w[i, o], for o in the panels
    given.

    starts (samples + 1,) int64, entries uint32, rows (batch,) int32, values (256,) float32, w panels, b (panels *
    PANEL,), out flat with rows of `stride`; out is overwritten, and cursors (BLOCK,) int64: where each sample's next
    entry stands. 2 FLOP per entry and output.
    """
    size = in_features * PANEL
    whole = last_panel - (last_panel - first_panel) % GROUP
    # Samples inside, some columns at a time: their weights of one group of panels stay in the first cache, and the
    # samples' sums in the second.
    for block in range(0, rows.shape[0], BLOCK):
        own = rows[block : block + BLOCK]
        for p in range(first_panel, whole, GROUP):
            _begin(starts, own, cursors)
            for column in range(0, in_features, COLUMNS):
                limit = np.uint64(column + COLUMNS) << np.uint64(_VALUE_BITS)
                for n in range(own.shape[0]):
                    at = (block + n) * stride + p * PANEL
                    if column == 0:
                        sums = tile_load(GROUP, COLS, b, p * PANEL, PANEL)
                    else:
                        sums = tile_load(GROUP, COLS, out, at, PANEL)
                    e, end = cursors[n], starts[own[n] + 1]
                    while e < end and np.uint64(entries[np.uint64(e)]) < limit:
                        entry = entries[np.uint64(e)]
                        i = np.int64(entry >> _VALUE_BITS) * PANEL + p * size
                        sums = tile_add_scaled(sums, values[np.uint64(entry & _VALUE)], w, i, size)
                        e += 1
                    cursors[n] = e
                    tile_store(sums, out, at, PANEL)
    for p in range(whole, last_panel):
        for n in range(rows.shape[0]):
            total = tile_load(1, COLS, b, p * PANEL, PANEL)
            for e in range(starts[rows[n]], starts[rows[n] + 1]):
                entry = entries[np.uint64(e)]
                i = np.int64(entry >> _VALUE_BITS) * PANEL + p * size
                total = tile_add_scaled(total, values[np.uint64(entry & _VALUE)], w, i, size)
            tile_store(total, out, n * stride + p * PANEL, PANEL)


@kernel
def sparse_backward_weight(
    columns, starts, entries, rows, cursors, values, g, stride, in_features, first_panel, last_panel, dw
):
    """dw[i, o] += sum of values[v] * g[n, o] over the samples rows[n] with an entry (i, v), for o in the panels given.

    columns as `mark_columns` left it for these rows; cursors (BLOCK,) int64 is overwritten: where each sample's next
    entry stands. g flat with rows of `stride`, beginning at the first of the rows; dw in panels. With g scaled by
    -learning_rate, dw may be the weights themselves: that is a step of SGD. Columns without entries are not touched.
    2 FLOP per entry and output.
    """
    size = in_features * PANEL
    whole = last_panel - (last_panel - first_panel) % GROUP
    # Columns inside: a group's gradients stay in the first cache. A sample's entries stand in the order of the columns.
    for p in range(first_panel, whole, GROUP):
        _begin(starts, rows, cursors)
        for i in range(in_features):
            mark = columns[i]
            if mark != _NONE:
                tile = tile_load(GROUP, COLS, dw, p * size + i * PANEL, size)
                while mark != _NONE:
                    n = lowest_bit(mark)
                    mark &= mark - _FIRST
                    at = cursors[np.uint64(n)]
                    cursors[np.uint64(n)] = at + 1
                    value = values[np.uint64(entries[np.uint64(at)] & _VALUE)]
                    tile = tile_add_scaled(tile, value, g, n * stride + p * PANEL, PANEL)
                tile_store(tile, dw, p * size + i * PANEL, size)
    for p in range(whole, last_panel):
        _begin(starts, rows, cursors)
        for i in range(in_features):
            mark = columns[i]
            if mark != _NONE:
                single = tile_load(1, COLS, dw, p * size + i * PANEL, size)
                while mark != _NONE:
                    n = lowest_bit(mark)
                    mark &= mark - _FIRST
                    at = cursors[np.uint64(n)]
                    cursors[np.uint64(n)] = at + 1
                    value = values[np.uint64(entries[np.uint64(at)] & _VALUE)]
                    single = tile_add_scaled(single, value, g, n * stride + p * PANEL, PANEL)
                tile_store(single, dw, p * size + i * PANEL, size)


@kernel
def _begin(starts, rows, cursors):
    for n in range(rows.shape[0]):
        cursors[n] = starts[rows[n]]
