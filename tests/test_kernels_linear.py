"""The linear layer's loops against plain float64, over shapes round every tile, with everything out of range marked.

Tolerances are for sums of unit-sized terms in float32; results are of size one and more, so that a zeroed output fails.
"""

import itertools

import naive
import numpy as np
import pytest
from gradcheck import central_differences
from layouts import MARK, filled, from_panels, rounded, rows, to_panels

from jitnet.kernels.linear import (
    DEPTH,
    INPUT_DEPTH,
    INPUT_ROWS,
    INPUT_WIDTH,
    PACKED_DEPTH,
    PACKED_FROM,
    PACKED_WIDTH,
    WEIGHT_DEPTH,
    WIDTH,
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
    panel_index,
    panels,
    transpose,
)
from jitnet.kernels.tile import GROUP, LANES, PANEL, ROWS

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}

# batch, in_features, out_features: ones, primes, and one less and one more than each tile
SHAPES = [
    (1, 1, 1),
    (2, 3, 5),
    (ROWS - 1, INPUT_ROWS - 1, PANEL - 1),
    (ROWS, INPUT_ROWS, PANEL),
    (ROWS + 1, INPUT_ROWS + 1, PANEL + 1),
    (LANES + 1, 2 * ROWS + 1, 2 * PANEL - 1),
    (7, 13, GROUP * PANEL + 1),
]
LONG = [
    (31, DEPTH - 1, 2 * PANEL + 1),
    (2 * ROWS + 1, DEPTH + 1, GROUP * PANEL + PANEL),
    (WEIGHT_DEPTH + 1, 29, INPUT_DEPTH + 1),
    (2 * WEIGHT_DEPTH + 3, WIDTH + 17, 37),
    (37, INPUT_WIDTH + ROWS + 1, INPUT_DEPTH + PANEL + 1),
    (32, 784, 10),
]
PACKED = (PACKED_DEPTH + 3, PACKED_WIDTH + ROWS + 1, PACKED_FROM * PANEL)
EVERY = [*(pytest.param(shape, marks=pytest.mark.small) for shape in SHAPES), *LONG]


class Layer:
    """A layer with random numbers, in PyTorch's layout and in the kernels'."""

    def __init__(self, shape):
        self.batch, self.n_in, self.n_out = shape
        rng = np.random.default_rng(shape)
        self.x, self.w, self.b, self.g = (
            rng.normal(size=size).astype(np.float32)
            for size in ((self.batch, self.n_in), (self.n_out, self.n_in), (self.n_out,), (self.batch, self.n_out))
        )
        self.panels = rounded(self.n_out, PANEL) // PANEL
        self.x_stride = self.n_in + 3
        self.stride = self.panels * PANEL + 5
        self.flat_x = rows(self.x, self.x_stride)
        self.flat_w, self.flat_b = to_panels(self.w), filled(self.b, self.panels * PANEL)
        # The gradients of outputs that fill up the last panel are zero, as the training loop keeps them.
        self.flat_g = rows(self.g, self.stride, 0.0)
        self.samples = rounded(self.batch)

    def units(self, first_panel, last_panel):
        return slice(first_panel * PANEL, min(self.n_out, last_panel * PANEL))

    def transposed(self, values):
        """Samples last, rows of `samples`."""
        return rows(values.T, self.samples, 0.0)


def ranges(count):
    """The whole, and where it can be split, a middle piece."""
    return [(0, count)] if count < 2 else [(0, count), (count // 2, count), (count // 3, count // 3 + 1)]


@pytest.mark.parametrize("shape", EVERY)
def test_forward(shape):
    layer = Layer(shape)
    expected = naive.linear(layer.x, layer.w, layer.b)
    for first, last in ranges(layer.panels):
        out = np.full((layer.batch, layer.stride), MARK, np.float32)
        linear_forward(
            layer.flat_x,
            layer.x_stride,
            layer.flat_w,
            layer.flat_b,
            layer.batch,
            layer.n_in,
            first,
            last,
            out.reshape(-1),
            layer.stride,
        )
        units = layer.units(first, last)
        np.testing.assert_allclose(out[:, units], expected[:, units], **TOLERANCE)
        assert (out[:, : first * PANEL] == MARK).all()
        assert (out[:, last * PANEL :] == MARK).all()
        assert (out[:, layer.n_out : last * PANEL] == 0).all()


@pytest.mark.parametrize("shape", [*EVERY, PACKED])
def test_backward_weight_adds(shape):
    layer = Layer(shape)
    expected = layer.w + layer.g.T.astype(np.float64) @ layer.x
    for first_panel, last_panel in ranges(layer.panels):
        for first, last in ranges(layer.n_in):
            dw = layer.flat_w.copy()
            linear_backward_weight(
                layer.flat_x,
                layer.x_stride,
                layer.flat_g,
                layer.stride,
                layer.batch,
                layer.n_in,
                first,
                last,
                first_panel,
                last_panel,
                dw,
            )
            result, units = from_panels(dw, layer.n_in), layer.units(first_panel, last_panel)
            np.testing.assert_allclose(result[units, first:last], expected[units, first:last], **TOLERANCE)
            result[first_panel * PANEL : last_panel * PANEL, first:last] = MARK
            untouched = result != MARK
            np.testing.assert_array_equal(result[untouched], from_panels(layer.flat_w, layer.n_in)[untouched])


@pytest.mark.parametrize("shape", EVERY)
def test_backward_bias_adds(shape):
    layer = Layer(shape)
    expected = layer.b + layer.g.sum(axis=0, dtype=np.float64)
    for first, last in ranges(layer.panels):
        db = layer.flat_b.copy()
        linear_backward_bias(layer.flat_g, layer.stride, layer.batch, first, last, db)
        units = layer.units(first, last)
        np.testing.assert_allclose(db[units], expected[units], **TOLERANCE)
        db[first * PANEL : last * PANEL] = layer.flat_b[first * PANEL : last * PANEL]
        np.testing.assert_array_equal(db, layer.flat_b)


@pytest.mark.parametrize("shape", EVERY)
def test_backward_input(shape):
    layer = Layer(shape)
    expected = layer.g.astype(np.float64) @ layer.w
    for first, last in ranges(layer.n_in):
        dxt = np.full((layer.n_in, layer.samples), MARK, np.float32)
        linear_backward_input(
            layer.transposed(layer.g),
            layer.samples,
            layer.samples,
            layer.flat_w,
            layer.n_in,
            layer.n_out,
            first,
            last,
            dxt.reshape(-1),
        )
        np.testing.assert_allclose(dxt[first:last, : layer.batch].T, expected[:, first:last], **TOLERANCE)
        assert (dxt[:first] == MARK).all()
        assert (dxt[last:] == MARK).all()


@pytest.mark.small
def test_gradients_are_those_of_the_forward_pass():
    layer = Layer((5, 7, 3))

    def through(x, w, b):
        """A number that depends on every output: its gradient is g times that of the layer."""
        return float((naive.linear(x, w, b) * layer.g).sum())

    x, w, b = (array.astype(np.float64) for array in (layer.x, layer.w, layer.b))
    dw, db = np.zeros_like(layer.flat_w), np.zeros_like(layer.flat_b)
    dxt = np.zeros(layer.n_in * layer.samples, np.float32)
    linear_backward_weight(layer.flat_x, layer.x_stride, layer.flat_g, layer.stride, 5, 7, 0, 7, 0, layer.panels, dw)
    linear_backward_bias(layer.flat_g, layer.stride, 5, 0, layer.panels, db)
    linear_backward_input(layer.transposed(layer.g), layer.samples, layer.samples, layer.flat_w, 7, 3, 0, 7, dxt)
    np.testing.assert_allclose(
        from_panels(dw, 7)[:3], central_differences(lambda at: through(x, at, b), w), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(db[:3], central_differences(lambda at: through(x, w, at), b), rtol=1e-5, atol=1e-5)
    dx = dxt.reshape(7, -1)[:, :5].T
    np.testing.assert_allclose(dx, central_differences(lambda at: through(at, w, b), x), rtol=1e-5, atol=1e-5)


def test_a_split_gives_the_bits_of_the_whole():
    layer = Layer((33, DEPTH + 5, GROUP * PANEL + 3))
    whole, split = np.zeros((2, layer.batch * layer.stride), np.float32)
    dw_whole, dw_split = np.zeros((2, layer.flat_w.size), np.float32)
    gt, dx_whole = layer.transposed(layer.g), np.zeros(layer.n_in * layer.samples, np.float32)
    dx_split = np.zeros_like(dx_whole)

    def run(out, dw, dxt, panel_cuts, input_cuts):
        for first, last in itertools.pairwise(panel_cuts):
            linear_forward(
                layer.flat_x,
                layer.x_stride,
                layer.flat_w,
                layer.flat_b,
                layer.batch,
                layer.n_in,
                first,
                last,
                out,
                layer.stride,
            )
        for first, last in itertools.pairwise(input_cuts):
            linear_backward_weight(
                layer.flat_x,
                layer.x_stride,
                layer.flat_g,
                layer.stride,
                layer.batch,
                layer.n_in,
                first,
                last,
                0,
                layer.panels,
                dw,
            )
            linear_backward_input(
                gt, layer.samples, layer.samples, layer.flat_w, layer.n_in, layer.n_out, first, last, dxt
            )

    run(whole, dw_whole, dx_whole, [0, layer.panels], [0, layer.n_in])
    run(split, dw_split, dx_split, [0, 1, 3, layer.panels], [0, 1, 50, 99, layer.n_in])
    assert np.abs(whole).max() > 1
    np.testing.assert_array_equal(split, whole)
    np.testing.assert_array_equal(dw_split, dw_whole)
    np.testing.assert_array_equal(dx_split, dx_whole)


def test_a_copy_of_the_inputs_changes_no_bits():
    layer = Layer(PACKED)
    copied, direct = np.zeros((2, layer.flat_w.size), np.float32)
    for dw, cuts in ((copied, [0, PACKED_FROM]), (direct, [0, PACKED_FROM // 2, PACKED_FROM])):
        for first, last in itertools.pairwise(cuts):
            linear_backward_weight(
                layer.flat_x,
                layer.x_stride,
                layer.flat_g,
                layer.stride,
                layer.batch,
                layer.n_in,
                0,
                layer.n_in,
                first,
                last,
                dw,
            )
    assert np.abs(copied).max() > 1
    np.testing.assert_array_equal(copied, direct)


def test_a_sample_has_the_same_bits_whichever_its_neighbours():
    layer = Layer((2 * ROWS + 3, 300, PANEL))
    out = np.zeros((layer.batch, layer.stride), np.float32)
    linear_forward(
        layer.flat_x, layer.x_stride, layer.flat_w, layer.flat_b, layer.batch, 300, 0, 1, out.reshape(-1), layer.stride
    )
    for n in (0, ROWS, layer.batch - 1):
        alone = np.zeros(layer.stride, np.float32)
        linear_forward(
            layer.flat_x[n * layer.x_stride :],
            layer.x_stride,
            layer.flat_w,
            layer.flat_b,
            1,
            300,
            0,
            1,
            alone,
            layer.stride,
        )
        np.testing.assert_array_equal(alone, out[n])


@pytest.mark.small
@pytest.mark.parametrize("out_features", [1, PANEL - 1, PANEL, PANEL + 1, 5 * PANEL])
def test_panels_and_where_a_weight_stands(out_features):
    weight = np.arange(out_features * 3, dtype=np.float32).reshape(out_features, 3)
    flat = to_panels(weight)
    assert flat.size == panels(out_features) * PANEL * 3
    assert all(flat[panel_index(o, i, 3)] == weight[o, i] for o in range(out_features) for i in range(3))


@pytest.mark.small
@pytest.mark.parametrize(
    ("n_rows", "n_cols"), [(1, 1), (3, LANES - 1), (LANES + 1, 2 * LANES + 1), (2 * LANES, LANES), (7, 41)]
)
def test_transpose(n_rows, n_cols):
    source = np.random.default_rng(1).normal(size=(n_rows, n_cols + 2)).astype(np.float32)
    for first, last in ranges(n_cols):
        target = np.full((n_cols, n_rows + 3), MARK, np.float32)
        transpose(source.reshape(-1), n_cols + 2, n_rows, first, last, target.reshape(-1), n_rows + 3)
        np.testing.assert_array_equal(target[first:last, :n_rows], source[:, first:last].T)
        assert (target[:first] == MARK).all()
        assert (target[last:] == MARK).all()
        assert (target[:, n_rows:] == MARK).all()
