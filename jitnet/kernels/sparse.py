"""The first layer on inputs that are mostly zero: loops that walk only what is not zero.

A sample's inputs that are not zero are stored in a list of entries, `column << 8 | byte` in one uint32 each; `indptr`
says where each sample's list begins (compressed rows, as in Tinney and Walker 1967). MNIST has 19% of its pixels in the
lists, so forward and weight gradient do a fifth of the dense work. A byte is turned into a float32 by a table of 256.
Inputs that are no bytes have their float32 values beside the entries, whose byte is 0 then.

Weights are stored in panels (see `linear`): a panel holds PANEL units for every input. SPARSE_PANELS are worked on
together, and the last group may have any number up to SPARSE_LAST.
"""

import numpy as np

from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.signatures import BYTES, COUNTS, ENTRIES, FLOATS, INDICES, INT, SHORTS, WORDS
from jitnet.kernels.entries import BYTE_BITS
from jitnet.machine.blocks import (
    ENTRIES_TOGETHER,
    LANES,
    PANEL,
    PANEL_COLS,
    SPARSE_BLOCK,
    SPARSE_LAST,
    SPARSE_PANELS,
    SPARSE_WEIGHTS,
)
from jitnet.machine.tile import prefetch, tile_add_scaled, tile_load, tile_store
from jitnet.machine.words import lowest_bit, word_at

__all__ = [
    "count_row",
    "join_marks",
    "list_row",
    "mark_columns",
    "mark_vectors",
    "sparse_backward_weight",
    "sparse_forward",
]

_GROUP, _LAST = SPARSE_PANELS * PANEL_COLS, SPARSE_LAST * PANEL_COLS  # vectors of a group and of the last one
_BYTE_BITS = np.uint32(BYTE_BITS)
_BYTE = np.uint32((1 << BYTE_BITS) - 1)
_NONE, _FIRST = np.uint64(0), np.uint64(1)


@linked(BYTES, returns=INT)
def count_row(row):
    """How many entries a sample has: row (features,) uint8."""
    count = 0
    for i in range(row.shape[0]):
        count += row[i] != 0
    return count


@helper
def _list_some(row, entries, at, first, last):
    for i in range(first, last):
        if row[i] != 0:
            entries[np.uint64(at)] = np.uint32(i) << _BYTE_BITS | np.uint32(row[i])
            at += 1
    return at


@linked(BYTES, ENTRIES, INT, INT, returns=INT)
def list_row(row, entries, at, end):
    """Write one sample's entries, row (features,) uint8, to entries[at:end], by column; returns the place behind them.

    Eight pixels that are all zero are passed over in one comparison: most of MNIST's are. Any other is written and,
    where it is zero, written over by the next, which costs less than asking each.
    """
    words = row.shape[0] // 8
    for word in range(words):
        if word_at(row, word * 8) != _NONE:
            # What is behind the last entry may be another thread's: nothing is written from `end` on. Asked once for
            # eight pixels.
            if at + 8 <= end:
                for i in range(word * 8, word * 8 + 8):
                    entries[np.uint64(at)] = np.uint32(i) << _BYTE_BITS | np.uint32(row[i])
                    at += row[i] != 0
            else:
                at = _list_some(row, entries, at, word * 8, word * 8 + 8)
    return _list_some(row, entries, at, words * 8, row.shape[0])


@linked(COUNTS, ENTRIES, INDICES, INDICES, WORDS)
def mark_columns(indptr, entries, indices, next_indices, marks):
    """Which of up to SPARSE_BLOCK samples have a column: bit n of marks[i] says it of sample indices[n].

    indices (batch,) int32; marks (in_features,) uint64 is overwritten. Marks, not lists of entries: they stay in the
    first cache. next_indices names the samples that will be marked next: their entries are at random places in memory,
    and asking for them now hides that. 4 bytes an entry and 8 a column.
    """
    _ask_for(indptr, entries, next_indices)
    for i in range(marks.shape[0]):
        marks[i] = _NONE
    for n in range(indices.shape[0]):
        mark = _FIRST << np.uint64(n)
        for e in range(indptr[indices[n]], indptr[indices[n] + 1]):
            marks[np.uint64(entries[np.uint64(e)] >> _BYTE_BITS)] |= mark


@linked(COUNTS, ENTRIES, INDICES, SHORTS, INT, INT, INT, INT)
def mark_vectors(indptr, entries, indices, marks, stride, in_features, first, last):
    """The same of samples first <= n < last, from one whole vector of samples to the next: bit n % LANES of
    marks[n // LANES * stride + i]. `join_marks` makes of these what `mark_columns` does."""
    for vector in range(first, last, LANES):
        at = vector // LANES * stride
        for i in range(in_features):
            marks[np.uint64(at + i)] = np.uint16(0)
        for n in range(vector, min(last, vector + LANES)):
            mark = np.uint16(_FIRST << np.uint64(n - vector))
            for e in range(indptr[indices[n]], indptr[indices[n] + 1]):
                marks[np.uint64(at) + np.uint64(entries[np.uint64(e)] >> _BYTE_BITS)] |= mark


@linked(COUNTS, ENTRIES, INDICES, SHORTS, INT, INT, WORDS)
def join_marks(indptr, entries, next_indices, shared, stride, vectors, marks):
    """What `mark_columns` does, from what `mark_vectors` has left of so many vectors of samples, 4 at most; shared
    begins with the first. 10 bytes a column and vector."""
    _ask_for(indptr, entries, next_indices)
    for i in range(marks.shape[0]):
        marks[i] = np.uint64(shared[np.uint64(i)])
    for vector in range(1, vectors):
        for i in range(marks.shape[0]):
            marks[i] |= np.uint64(shared[np.uint64(vector * stride + i)]) << np.uint64(vector * LANES)


@helper
def _ask_for(indptr, entries, indices):
    """Ask for the entries of some samples, without waiting."""
    for n in range(indices.shape[0]):
        for e in range(indptr[indices[n]], indptr[indices[n] + 1], 16):
            prefetch(entries, e)


@linked(COUNTS, ENTRIES, INDICES, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, INT, COUNTS, INT, INT, INT)
def sparse_forward(
    indptr, entries, indices, byte_values, entry_values, w, b, out, out_stride, cursors, in_features, first, last
):
    """out[n, o] = b[o] + sum over the entries (i, v) of sample indices[n] of v * w[i, o], for first <= o < last.

    indptr (samples + 1,) int64, entries uint32, indices (batch,) int32, byte_values (256,) float32; entry_values
    float32, one for each entry, or none where v is that of the entry's byte; w in panels, b (units,), out (batch,
    units) flat in rows of out_stride; out is overwritten, and cursors (at least SPARSE_BLOCK or the batch,) int64:
    where each sample's next entry is. 2 FLOP for each entry and unit.
    """
    values, each = _table(byte_values, entry_values)
    # Samples inside, some columns at a time: their weights of one group of panels stay in the first cache, and the
    # samples' sums in the second.
    for block in range(0, indices.shape[0], SPARSE_BLOCK):
        samples, rows = indices[block : block + SPARSE_BLOCK], block * out_stride
        fewest = _columns_with_some(indptr, samples, in_features)
        o = first
        while o < last:
            panels = _panels_together(o, last)
            columns, weights = max(fewest, SPARSE_WEIGHTS // PANEL // panels), w[o * in_features :]
            panel = in_features * PANEL
            _point_at_first(indptr, samples, cursors)
            for column in range(0, in_features, columns):
                limit = np.uint64(column + columns) << np.uint64(_BYTE_BITS)
                for n in range(samples.shape[0]):
                    at = rows + n * out_stride + o
                    if column == 0:
                        bias = tile_load(1, _LAST, b, o, 0, PANEL, panels)
                        tile_store(bias, out, at, 0, PANEL, panels)
                    e, end = cursors[n], indptr[samples[n] + 1]
                    if panels == SPARSE_PANELS:
                        cursors[n] = _add_entries(
                            _GROUP,
                            SPARSE_PANELS,
                            out,
                            at,
                            entries,
                            e,
                            end,
                            limit,
                            values,
                            each,
                            weights,
                            panel,
                        )
                    else:
                        cursors[n] = _add_entries(
                            _LAST, panels, out, at, entries, e, end, limit, values, each, weights, panel
                        )
            o += panels * PANEL


@helper
def _columns_with_some(indptr, samples, in_features):
    """Of how many columns a sample has ENTRIES_TOGETHER entries, on average."""
    count = np.int64(1)
    for n in range(samples.shape[0]):
        count += indptr[samples[n] + 1] - indptr[samples[n]]
    return in_features * ENTRIES_TOGETHER * samples.shape[0] // count


@helper
def _table(byte_values, entry_values):
    """Where the values of entries are, and how far that of the next entry is behind: that of entry e is at e * each,
    plus its byte."""
    each = np.int64(entry_values.shape[0] > 0)
    return entry_values if each else byte_values, each


@helper
def _panels_together(o, last):
    """How many panels from unit o on are worked on together: SPARSE_PANELS, and at the end any number up to
    SPARSE_LAST."""
    panels = (last - o) // PANEL
    return panels if panels <= SPARSE_LAST else SPARSE_PANELS


@helper
def _add_entries(cols, panels, out, at, entries, e, end, limit, values, each, weights, panel):
    """Add what one sample's entries below the limit give to its sums, from out[at] on, and give the place behind them;
    weights begin with those of the first of the panels."""
    at_value = e * each
    sums = tile_load(1, cols, out, at, 0, PANEL, panels)
    while e < end and np.uint64(entries[np.uint64(e)]) < limit:
        entry = entries[np.uint64(e)]
        place = np.int64(entry >> _BYTE_BITS) * PANEL
        value = values[np.uint64(at_value) + np.uint64(entry & _BYTE)]
        at_value += each
        sums = tile_add_scaled(sums, value, weights, place, 0, panel, panels)
        e += 1
    tile_store(sums, out, at, 0, PANEL, panels)
    return e


@linked(WORDS, COUNTS, ENTRIES, INDICES, FLOATS, FLOATS, FLOATS, INT, FLOATS, COUNTS, INT, INT, INT, INT)
def sparse_backward_weight(
    marks,
    indptr,
    entries,
    indices,
    byte_values,
    entry_values,
    dout,
    dout_stride,
    dw,
    cursors,
    in_features,
    first_input,
    first,
    last,
):
    """dw[i, o] += sum of v * dout[n, o] over the samples indices[n] with an entry (i, v), for first <= o < last and the
    columns that have marks: the first is first_input's.

    marks as `mark_columns` left them for these samples, SPARSE_BLOCK at most; cursors (batch,) int64 is overwritten:
    where each sample's next entry is. v: as in `sparse_forward`. dout flat in rows of dout_stride, beginning at the
    first of the samples; dw in panels. With dout scaled by -learning_rate, dw may be the weights themselves: that is a
    step of SGD. Columns without entries are not touched. 2 FLOP for each entry and unit.
    """
    values, each = _table(byte_values, entry_values)
    # Columns inside: a group's gradients stay in the first cache. A sample's entries are in the order of the columns.
    o, panel = first, in_features * PANEL
    while o < last:
        panels, rows, to = _panels_together(o, last), dout[o:], dw[o * in_features + first_input * PANEL :]
        _point_at(indptr, entries, indices, first_input, cursors)
        if panels == SPARSE_PANELS:
            for i in range(marks.shape[0]):
                mark, at = marks[i], i * PANEL
                if mark != _NONE:
                    _add_samples(
                        _GROUP,
                        SPARSE_PANELS,
                        mark,
                        entries,
                        cursors,
                        values,
                        each,
                        rows,
                        dout_stride,
                        to,
                        at,
                        panel,
                    )
        else:
            for i in range(marks.shape[0]):
                mark, at = marks[i], i * PANEL
                if mark != _NONE:
                    _add_samples(
                        _LAST,
                        panels,
                        mark,
                        entries,
                        cursors,
                        values,
                        each,
                        rows,
                        dout_stride,
                        to,
                        at,
                        panel,
                    )
        o += panels * PANEL


@helper
def _add_samples(cols, panels, mark, entries, cursors, values, each, dout, dout_stride, dw, at, panel):
    """Add what the samples of a column's mark give to its gradients, from dw[at] on in the first of the panels."""
    tile = tile_load(1, cols, dw, at, 0, panel, panels)
    while mark != _NONE:
        n = lowest_bit(mark)
        mark &= mark - _FIRST
        e = cursors[np.uint64(n)]
        cursors[np.uint64(n)] = e + 1
        value = values[np.uint64(e & -each) + np.uint64(entries[np.uint64(e)] & _BYTE)]
        tile = tile_add_scaled(tile, value, dout, n * dout_stride, 0, PANEL, panels)
    tile_store(tile, dw, at, 0, panel, panels)


@helper
def _point_at(indptr, entries, indices, column, cursors):
    """cursors[n] = where the first entry of sample indices[n] is whose column is not below this one."""
    _point_at_first(indptr, indices, cursors)
    if column > 0:
        least = np.uint64(column) << np.uint64(_BYTE_BITS)
        for n in range(indices.shape[0]):
            first, last = cursors[n], indptr[indices[n] + 1]
            while first < last:
                middle = (first + last) // 2
                if np.uint64(entries[np.uint64(middle)]) < least:
                    first = middle + 1
                else:
                    last = middle
            cursors[n] = first


@helper
def _point_at_first(indptr, indices, cursors):
    """cursors[n] = where the first entry of sample indices[n] is."""
    for n in range(indices.shape[0]):
        cursors[n] = indptr[indices[n]]
