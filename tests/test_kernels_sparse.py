"""The loops that walk only what is not zero: the lists hold the inputs, the sums have the dense loops' bits."""

import itertools

import numpy as np
import pytest
from direct import direct
from layouts import MARK, filled, rounded, rows, to_panels

from jitnet.kernels import gather, linear, sparse
from jitnet.machine.blocks import LANES, PANEL, SPARSE_BLOCK, SPARSE_LAST, SPARSE_PANELS, SPARSE_WEIGHTS, TILE_ROWS

gather_bytes = direct(gather.gather_bytes)
linear_forward, linear_backward_weight = direct(linear.linear_forward), direct(linear.linear_backward_weight)
count_row, join_marks, list_row, mark_columns, mark_vectors, sparse_forward, sparse_backward_weight = (
    direct(function)
    for function in (
        sparse.count_row,
        sparse.join_marks,
        sparse.list_row,
        sparse.mark_columns,
        sparse.mark_vectors,
        sparse.sparse_forward,
        sparse.sparse_backward_weight,
    )
)

VALUES = np.arange(256, dtype=np.float32) * np.float32(1 / 255)

# batch, in_features, out_features
SHAPES = [
    *(
        pytest.param(shape, marks=pytest.mark.small)
        for shape in [
            (1, 1, 1),
            (TILE_ROWS + 1, 13, PANEL - 1),
            (TILE_ROWS - 1, 8, PANEL),
            (5, 17, PANEL + 1),
            (3, 16, SPARSE_PANELS * PANEL + 1),
            *((5, 19, panels * PANEL) for panels in range(1, SPARSE_LAST + SPARSE_PANELS + 2)),
        ]
    ),
    (SPARSE_BLOCK - 1, 101, SPARSE_PANELS * PANEL),
    (SPARSE_BLOCK, 64, 2 * PANEL + 1),
    (SPARSE_BLOCK + 1, 300, SPARSE_PANELS * PANEL + PANEL),
    (2 * SPARSE_BLOCK + 3, 784, 10),
]


def pictures(samples, features, density=0.2, seed=0):
    """Random bytes, mostly zero; the first sample wholly, the last one nowhere, the first column but for it."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (samples, features)) * (rng.random((samples, features)) < density)
    images[0] = 0
    images[:, 0] = 0
    images[-1] = rng.integers(1, 256, features)
    return images.astype(np.uint8)


def compress(images):
    indptr = np.cumsum([0, *(count_row(image) for image in images)])
    entries = np.zeros(indptr[-1], np.uint32)
    for n, image in enumerate(images):
        assert list_row(image, entries, indptr[n], indptr[n + 1]) == indptr[n + 1]
    return indptr, entries


@pytest.mark.small
@pytest.mark.parametrize("features", [1, 7, 8, 9, 64, 97])
def test_the_lists_hold_every_pixel_that_is_not_zero(features):
    images = pictures(11, features)
    indptr, entries = compress(images)
    again = np.zeros_like(images)
    for n in range(len(images)):
        own = entries[indptr[n] : indptr[n + 1]]
        assert (np.diff(own.astype(np.int64)) > 0).all()
        again[n, own >> 8] = own & 255
    np.testing.assert_array_equal(again, images)
    assert indptr[-1] == np.count_nonzero(images)


@pytest.mark.small
def test_a_single_row_is_listed_where_asked_for():
    row = pictures(3, 29)[1]
    entries = np.full(40, 7, np.uint32)
    end = list_row(row, entries, 5, 5 + np.count_nonzero(row))
    assert end == 5 + np.count_nonzero(row)
    assert (entries[:5] == 7).all()
    assert (entries[end:] == 7).all()
    np.testing.assert_array_equal(entries[5:end] >> 8, np.flatnonzero(row))


class Problem:
    """A first layer on mostly zero inputs, for the sparse loops and for the dense ones. numbers: "bytes" or "floats",
    which have their values beside the entries."""

    def __init__(self, shape, numbers):
        self.batch, self.n_in, self.n_out = shape
        rng = np.random.default_rng(shape)
        images = pictures(self.batch + 4, self.n_in)
        self.indptr, self.entries = compress(images)
        if numbers == "bytes":
            self.values, self.entry_values, self.samples = VALUES, np.zeros(0, np.float32), images / 255
        else:
            self.entries &= ~np.uint32(255)
            self.samples = np.where(images > 0, rng.normal(size=images.shape), 0).astype(np.float32)
            self.values, self.entry_values = np.full(256, np.nan, np.float32), self.samples[images > 0]
        self.rows = rng.permutation(len(images))[: self.batch].astype(np.int32)
        self.w, self.b = rng.normal(size=(self.n_out, self.n_in)), rng.normal(size=self.n_out)
        self.dout = rng.normal(size=(self.batch, self.n_out))
        self.units = rounded(self.n_out, PANEL)
        self.stride = self.units + 5
        self.flat_w, self.flat_b = to_panels(self.w), filled(self.b, self.units)
        self.flat_dout = rows(self.dout, self.stride, 0.0)
        self.x = np.zeros((self.batch, self.n_in), np.float32)
        if numbers == "bytes":
            gather_bytes(images, self.rows, VALUES, self.x.reshape(-1), self.n_in, 0, self.batch)
        else:
            self.x[:] = self.samples[self.rows]

    def ranges(self):
        """The whole, and the last half of its panels, in units."""
        return {(0, self.units), (self.units // PANEL // 2 * PANEL, self.units)}


@pytest.mark.parametrize("numbers", ["bytes", "floats"])
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_has_the_bits_of_the_dense_loop(shape, numbers):
    problem = Problem(shape, numbers)
    for first, last in problem.ranges():
        out, dense = np.full((2, problem.batch, problem.stride), MARK, np.float32)
        sparse_forward(
            problem.indptr,
            problem.entries,
            problem.rows,
            problem.values,
            problem.entry_values,
            problem.flat_w,
            problem.flat_b,
            out.reshape(-1),
            problem.stride,
            np.zeros(problem.batch, np.int64),
            problem.n_in,
            first,
            last,
        )
        linear_forward(
            problem.x.reshape(-1),
            problem.n_in,
            problem.flat_w,
            problem.flat_b,
            dense.reshape(-1),
            problem.stride,
            problem.batch,
            problem.n_in,
            first,
            last,
        )
        np.testing.assert_array_equal(out, dense)
        expected = problem.samples[problem.rows] @ problem.w.T + problem.b
        units = slice(first, min(problem.n_out, last))
        np.testing.assert_allclose(out[:, units], expected[:, units], rtol=1e-5, atol=1e-5)
        assert (out[:, :first] == MARK).all()
        assert (out[:, last:] == MARK).all()


@pytest.mark.parametrize("numbers", ["bytes", "floats"])
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_weight_has_the_bits_of_the_dense_loop(shape, numbers):
    """And a range of columns has those of all, and leaves the rest."""
    problem = Problem(shape, numbers)
    columns = {(0, problem.n_in), (0, problem.n_in // 2), (problem.n_in // 3, problem.n_in - 1)}
    for (first, last), (begin, end) in itertools.product(problem.ranges(), sorted(columns)):
        dw, dense = problem.flat_w.copy(), problem.flat_w.copy()
        marks, cursors = np.zeros(problem.n_in, np.uint64), np.zeros(SPARSE_BLOCK, np.int64)
        for n in range(0, problem.batch, SPARSE_BLOCK):
            own = problem.rows[n : n + SPARSE_BLOCK]
            lists = (problem.indptr, problem.entries, own)
            mark_columns(*lists, own[:1], marks)
            dout = problem.flat_dout[n * problem.stride :]
            sparse_backward_weight(
                marks[begin:end],
                *lists,
                problem.values,
                problem.entry_values,
                dout,
                problem.stride,
                dw,
                cursors,
                problem.n_in,
                begin,
                first,
                last,
            )
        linear_backward_weight(
            problem.x.reshape(-1),
            problem.n_in,
            problem.flat_dout,
            problem.stride,
            dense,
            problem.batch,
            problem.n_in,
            begin,
            end,
            first,
            last,
        )
        np.testing.assert_array_equal(dw, dense)
        change = problem.dout.T @ problem.samples[problem.rows]
        padded = np.zeros((problem.units, problem.n_in))
        padded[: problem.n_out] = change
        padded[:first] = padded[last:] = 0
        padded[:, :begin] = padded[:, end:] = 0
        np.testing.assert_allclose(dw, problem.flat_w + to_panels(padded), rtol=1e-5, atol=1e-5)


@pytest.mark.small
def test_few_entries_of_many_columns_are_added_together():
    """More columns at a time than where rows are fuller: the sums are the same."""
    columns, units = 4 * SPARSE_WEIGHTS // PANEL, 2 * PANEL
    rng, own = np.random.default_rng(0), np.arange(3, dtype=np.int32)
    chosen = np.sort(rng.permutation(columns)[:12].reshape(3, 4), axis=1)
    entries, values = chosen.reshape(-1).astype(np.uint32) << 8, rng.normal(size=12).astype(np.float32)
    w, b, out = rng.normal(size=(units, columns)), np.zeros(units), np.zeros((3, units), np.float32)
    cursors = np.zeros(SPARSE_BLOCK, np.int64)
    lists = np.arange(0, 13, 4), entries, own, VALUES, values
    flat = to_panels(w), filled(b, units), out.reshape(-1)
    sparse_forward(*lists, *flat, units, cursors, columns, 0, units)
    expected = np.einsum("nk,onk->no", values.reshape(3, 4), w[:, chosen])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(cursors[:3], [4, 8, 12])


@pytest.mark.small
@pytest.mark.parametrize("samples", [4, SPARSE_BLOCK])
def test_a_columns_mark_has_a_bit_for_each_sample(samples):
    images = pictures(9, 12, density=0.5)
    indptr, entries = compress(images)
    chosen = np.resize(np.array([4, 8, 2, 2, 0], np.int32), samples)
    marks = np.full(12, 99, np.uint64)
    mark_columns(indptr, entries, chosen, chosen[:0], marks)
    for i in range(12):
        expected = [n for n, row in enumerate(chosen) if images[row, i]]
        assert [n for n in range(64) if int(marks[i]) >> n & 1] == expected


@pytest.mark.small
@pytest.mark.parametrize("samples", [1, LANES, LANES + 3, SPARSE_BLOCK])
def test_marks_of_vectors_of_samples_join_to_those_of_all(samples):
    images, gap = pictures(9, 12, density=0.5), 7
    indptr, entries = compress(images)
    chosen = np.resize(np.array([4, 8, 2, 2, 0], np.int32), samples)
    expected, found = np.full(12, 99, np.uint64), np.full(12, 98, np.uint64)
    mark_columns(indptr, entries, chosen, chosen[:0], expected)
    vectors = -(-samples // LANES)
    shared = np.full(vectors * (12 + gap), 97, np.uint16)
    for vector in reversed(range(vectors)):
        first, last = vector * LANES, min(samples, vector * LANES + LANES)
        mark_vectors(indptr, entries, chosen, shared, 12 + gap, 12, first, last)
    assert (shared.reshape(vectors, -1)[:, 12:] == 97).all()
    join_marks(indptr, entries, chosen[:0], shared, 12 + gap, vectors, found)
    np.testing.assert_array_equal(found, expected)
