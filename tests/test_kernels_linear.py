"""The linear layer's loops against plain float64, over shapes round every tile, with everything out of range marked.

Tolerances are for sums of unit-sized terms in float32; results are of size one and more, so that a zeroed output fails.
"""

import itertools

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from layouts import MARK, filled, from_panels, rounded, rows, to_panels

from jitnet.kernels import linear
from jitnet.kernels.linear import forward, gradient_of_input, gradient_of_weight, padded, weight_index
from jitnet.machine.blocks import (
    COPIED_DEPTH,
    COPIED_FROM,
    COPIED_INPUTS,
    COPIED_SAMPLES,
    FORWARD_DEPTH,
    INPUT_DEPTH,
    INPUT_INPUTS,
    LANES,
    PANEL,
    SPARSE_PANELS,
    TERMS,
    TILE_ROWS,
    WEIGHT_DEPTH,
    WEIGHT_INPUTS,
)

linear_forward, linear_backward_weight, linear_backward_bias, linear_backward_input = (
    direct(function)
    for function in (
        linear.linear_forward,
        linear.linear_backward_weight,
        linear.linear_backward_bias,
        linear.linear_backward_input,
    )
)

TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}

# batch, in_features, out_features: ones, primes, and one less and one more than each tile
SHAPES = [
    (1, 1, 1),
    (2, 3, 5),
    (TILE_ROWS - 1, TILE_ROWS - 1, PANEL - 1),
    (TILE_ROWS, TILE_ROWS, PANEL),
    (TILE_ROWS + 1, TILE_ROWS + 1, PANEL + 1),
    (LANES + 1, 2 * TILE_ROWS + 1, 2 * PANEL - 1),
    (7, 13, SPARSE_PANELS * PANEL + 1),
    (2 * TILE_ROWS + 1, TILE_ROWS + 5, 3 * PANEL),
    (PANEL + 1, 2 * TERMS + 1, 2 * PANEL),
]
LONG = [
    (31, FORWARD_DEPTH - 1, 2 * PANEL + 1),
    (2 * TILE_ROWS + 1, FORWARD_DEPTH + 1, SPARSE_PANELS * PANEL + PANEL),
    (WEIGHT_DEPTH + 1, 29, INPUT_DEPTH + 1),
    (2 * WEIGHT_DEPTH + 3, WEIGHT_INPUTS + 17, 37),
    (37, INPUT_INPUTS + TILE_ROWS + 1, INPUT_DEPTH + PANEL + 1),
    (32, 784, 10),
]
COPIED_BATCH = [
    (COPIED_SAMPLES + PANEL + 1, COPIED_INPUTS + TILE_ROWS + 1, COPIED_DEPTH + PANEL + 3),
    (COPIED_SAMPLES, 2 * TILE_ROWS + 1, 10),
    (COPIED_SAMPLES, TILE_ROWS - 1, 3),
]
COPIED = (COPIED_DEPTH + 3, COPIED_INPUTS + TILE_ROWS + 1, COPIED_FROM)
EVERY = [*(pytest.param(shape, marks=pytest.mark.small) for shape in SHAPES), *LONG]


class Layer:
    """A layer with random numbers, in PyTorch's layout and in the kernels'."""

    def __init__(self, shape):
        self.batch, self.in_features, self.out_features = shape
        rng = np.random.default_rng(shape)
        self.x, self.w, self.b, self.dout = (
            rng.normal(size=size).astype(np.float32)
            for size in (
                (self.batch, self.in_features),
                (self.out_features, self.in_features),
                (self.out_features,),
                (self.batch, self.out_features),
            )
        )
        self.units = rounded(self.out_features, PANEL)  # with those that fill up the last panel
        self.x_stride = self.in_features + 3
        self.stride = self.units + 5
        self.flat_x = rows(self.x, self.x_stride)
        self.flat_w, self.flat_b = to_panels(self.w), filled(self.b, self.units)
        # The gradients of outputs that fill up the last panel are zero, as the training loop keeps them.
        self.flat_dout = rows(self.dout, self.stride, 0.0)
        self.samples = rounded(self.batch, PANEL)

    def forward(self, out, first, last):
        linear_forward(
            self.flat_x,
            self.x_stride,
            self.flat_w,
            self.flat_b,
            out.reshape(-1),
            self.stride,
            self.batch,
            self.in_features,
            first,
            last,
        )

    def backward_weight(self, dw, first_input, last_input, first, last):
        linear_backward_weight(
            self.flat_x,
            self.x_stride,
            self.flat_dout,
            self.stride,
            dw,
            self.batch,
            self.in_features,
            first_input,
            last_input,
            first,
            last,
        )

    def backward_bias(self, db, first, last):
        linear_backward_bias(self.flat_dout, self.stride, db, self.batch, first, last)

    def backward_input(self, dx_t, first, last):
        linear_backward_input(
            self.transposed(self.dout),
            self.flat_w,
            dx_t.reshape(-1),
            self.samples,
            self.samples,
            self.in_features,
            self.out_features,
            first,
            last,
        )

    def own(self, first, last):
        """Those of a range of units that exist."""
        return slice(first, min(self.out_features, last))

    def transposed(self, values):
        """Samples last, rows of `samples`."""
        return rows(values.T, self.samples, 0.0)


def ranges(count):
    """The whole, and where it can be split, a middle piece."""
    return [(0, count)] if count < 2 else [(0, count), (count // 2, count), (count // 3, count // 3 + 1)]


def unit_ranges(units):
    """The same of whole panels, in units."""
    return [(first * PANEL, last * PANEL) for first, last in ranges(units // PANEL)]


@pytest.mark.parametrize("shape", EVERY)
def test_forward(shape):
    layer = Layer(shape)
    expected = naive.linear(layer.x, layer.w, layer.b)
    for first, last in unit_ranges(layer.units):
        out = np.full((layer.batch, layer.stride), MARK, np.float32)
        layer.forward(out, first, last)
        own = layer.own(first, last)
        np.testing.assert_allclose(out[:, own], expected[:, own], **TOLERANCE)
        assert (out[:, :first] == MARK).all()
        assert (out[:, last:] == MARK).all()
        assert (out[:, layer.out_features : last] == 0).all()


@pytest.mark.parametrize("shape", [*EVERY, COPIED])
def test_backward_weight_adds(shape):
    layer = Layer(shape)
    expected = layer.w + layer.dout.T.astype(np.float64) @ layer.x
    for first, last in unit_ranges(layer.units):
        for first_input, last_input in ranges(layer.in_features):
            dw = layer.flat_w.copy()
            layer.backward_weight(dw, first_input, last_input, first, last)
            result, own = from_panels(dw, layer.in_features), layer.own(first, last)
            inputs = slice(first_input, last_input)
            np.testing.assert_allclose(result[own, inputs], expected[own, inputs], **TOLERANCE)
            result[first:last, inputs] = MARK
            untouched = result != MARK
            np.testing.assert_array_equal(result[untouched], from_panels(layer.flat_w, layer.in_features)[untouched])


@pytest.mark.parametrize("shape", EVERY)
def test_backward_bias_adds(shape):
    layer = Layer(shape)
    expected = layer.b + layer.dout.sum(axis=0, dtype=np.float64)
    for first, last in unit_ranges(layer.units):
        db = layer.flat_b.copy()
        layer.backward_bias(db, first, last)
        own = layer.own(first, last)
        np.testing.assert_allclose(db[own], expected[own], **TOLERANCE)
        db[first:last] = layer.flat_b[first:last]
        np.testing.assert_array_equal(db, layer.flat_b)


@pytest.mark.parametrize("shape", [*EVERY, *COPIED_BATCH])
def test_backward_input(shape):
    layer = Layer(shape)
    expected = layer.dout.astype(np.float64) @ layer.w
    for first, last in ranges(layer.in_features):
        dx_t = np.full((layer.in_features, layer.samples), MARK, np.float32)
        layer.backward_input(dx_t, first, last)
        np.testing.assert_allclose(dx_t[first:last, : layer.batch].T, expected[:, first:last], **TOLERANCE)
        assert (dx_t[:first] == MARK).all()
        assert (dx_t[last:] == MARK).all()


@pytest.mark.small
def test_gradients_are_those_of_the_forward_pass():
    layer = Layer((5, 7, 3))

    def through(x, w, b):
        """A number that depends on every output: its gradient is dout times that of the layer."""
        return float((naive.linear(x, w, b) * layer.dout).sum())

    x, w, b = (array.astype(np.float64) for array in (layer.x, layer.w, layer.b))
    dw, db = np.zeros_like(layer.flat_w), np.zeros_like(layer.flat_b)
    dx_t = np.zeros(layer.in_features * layer.samples, np.float32)
    layer.backward_weight(dw, 0, 7, 0, layer.units)
    layer.backward_bias(db, 0, layer.units)
    layer.backward_input(dx_t, 0, 7)
    np.testing.assert_allclose(
        from_panels(dw, 7)[:3], central_differences(lambda at: through(x, at, b), w), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(db[:3], central_differences(lambda at: through(x, w, at), b), rtol=1e-5, atol=1e-5)
    dx = dx_t.reshape(7, -1)[:, :5].T
    np.testing.assert_allclose(dx, central_differences(lambda at: through(at, w, b), x), rtol=1e-5, atol=1e-5)


def test_a_split_gives_the_bits_of_the_whole():
    layer = Layer((33, FORWARD_DEPTH + 5, SPARSE_PANELS * PANEL + 3))
    whole, split = np.zeros((2, layer.batch * layer.stride), np.float32)
    dw_whole, dw_split = np.zeros((2, layer.flat_w.size), np.float32)
    dx_whole, dx_split = np.zeros((2, layer.in_features * layer.samples), np.float32)

    def run(out, dw, dx_t, unit_cuts, input_cuts):
        for first, last in itertools.pairwise(unit_cuts):
            layer.forward(out, first, last)
        for first, last in itertools.pairwise(input_cuts):
            layer.backward_weight(dw, first, last, 0, layer.units)
            layer.backward_input(dx_t, first, last)

    run(whole, dw_whole, dx_whole, [0, layer.units], [0, layer.in_features])
    run(split, dw_split, dx_split, [0, PANEL, 3 * PANEL, layer.units], [0, 1, 50, 99, layer.in_features])
    assert np.abs(whole).max() > 1
    np.testing.assert_array_equal(split, whole)
    np.testing.assert_array_equal(dw_split, dw_whole)
    np.testing.assert_array_equal(dx_split, dx_whole)


@pytest.mark.small
@pytest.mark.parametrize("panels", range(1, 2 * SPARSE_PANELS + 2))
def test_panels_have_the_same_bits_together_and_alone(panels):
    layer = Layer((TILE_ROWS + 2, TILE_ROWS + 3, panels * PANEL))
    whole, alone = np.zeros((2, layer.batch, layer.stride), np.float32)
    dw_whole, dw_alone = layer.flat_w.copy(), layer.flat_w.copy()
    layer.forward(whole, 0, layer.units)
    layer.backward_weight(dw_whole, 0, layer.in_features, 0, layer.units)
    for o in range(0, layer.units, PANEL):
        layer.forward(alone, o, o + PANEL)
        layer.backward_weight(dw_alone, 0, layer.in_features, o, o + PANEL)
    assert (whole[:, : layer.units] != 0).all()
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_array_equal(dw_whole, dw_alone)


def test_a_copy_of_the_inputs_changes_no_bits():
    layer = Layer(COPIED)
    copied, plain = np.zeros((2, layer.flat_w.size), np.float32)
    half = COPIED_FROM // PANEL // 2 * PANEL
    for dw, cuts in ((copied, [0, COPIED_FROM]), (plain, [0, half, COPIED_FROM])):
        for first, last in itertools.pairwise(cuts):
            layer.backward_weight(dw, 0, layer.in_features, first, last)
    assert np.abs(copied).max() > 1
    np.testing.assert_array_equal(copied, plain)


def test_copied_weights_change_no_bits():
    layer, few = Layer(COPIED_BATCH[0]), COPIED_SAMPLES // 2
    copied, plain = np.zeros((2, layer.in_features, layer.samples), np.float32)
    layer.backward_input(copied, 0, layer.in_features)
    layer.batch = few  # the same numbers, of which fewer are asked for
    layer.backward_input(plain, 0, layer.in_features)
    assert np.abs(copied[:, :few]).max() > 1
    np.testing.assert_array_equal(copied[:, :few], plain[:, :few])


def test_a_sample_has_the_same_bits_whichever_its_neighbours():
    layer = Layer((2 * TILE_ROWS + 3, 300, PANEL))
    out = np.zeros((layer.batch, layer.stride), np.float32)
    layer.forward(out, 0, PANEL)
    for n in (0, TILE_ROWS, layer.batch - 1):
        alone = np.zeros(layer.stride, np.float32)
        x = layer.flat_x[n * layer.x_stride :]
        linear_forward(x, layer.x_stride, layer.flat_w, layer.flat_b, alone, layer.stride, 1, 300, 0, PANEL)
        np.testing.assert_array_equal(alone, out[n])


@pytest.mark.small
@pytest.mark.parametrize("out_features", [1, PANEL - 1, PANEL, PANEL + 1, 5 * PANEL])
def test_panels_and_where_a_weight_stands(out_features):
    weight = np.arange(out_features * 3, dtype=np.float32).reshape(out_features, 3)
    flat = to_panels(weight)
    assert flat.size == padded(out_features) * 3
    assert all(flat[weight_index(o, i, 3)] == weight[o, i] for o in range(out_features) for i in range(3))


@pytest.mark.parametrize("shape", EVERY)
def test_the_drivers_in_any_number_of_parts(shape):
    layer = Layer(shape)
    batch, n_in, n_out, units = layer.batch, layer.in_features, layer.out_features, layer.units
    w, b = layer.flat_w.reshape(-1, PANEL), layer.flat_b
    dout = np.zeros((batch, units), np.float32)
    dout[:, :n_out] = layer.dout
    dout_t = np.ascontiguousarray(layer.transposed(layer.dout).reshape(n_out, layer.samples))
    results = []
    for parts in (1, 2, 3):
        out = np.full((batch, units), MARK, np.float32)
        dx_t = np.full((n_in, layer.samples), MARK, np.float32)
        dw, db = w.copy(), b.copy()
        forward(layer.x, w, b, out, parts)
        gradient_of_weight(layer.x, dout, dw, db, parts)
        gradient_of_input(dout_t, w, dx_t, parts)
        results.append((out, dw, db, dx_t))
    out, dw, db, dx_t = results[0]
    np.testing.assert_allclose(out[:, :n_out], naive.linear(layer.x, layer.w, layer.b), **TOLERANCE)
    assert (out[:, n_out:] == 0).all()
    expected = layer.w + layer.dout.T.astype(np.float64) @ layer.x
    np.testing.assert_allclose(from_panels(dw.reshape(-1), n_in)[:n_out], expected, **TOLERANCE)
    np.testing.assert_allclose(db[:n_out], layer.b + layer.dout.sum(axis=0, dtype=np.float64), **TOLERANCE)
    np.testing.assert_allclose(dx_t[:, :batch].T, layer.dout.astype(np.float64) @ layer.w, **TOLERANCE)
    for result in results[1:]:
        for array, reference in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, reference)
