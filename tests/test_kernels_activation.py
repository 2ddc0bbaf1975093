"""Activations over the whole range of float32, in place, in their range, with the derivative of their forward pass."""

import math

import naive
import numpy as np
import pytest
from gradcheck import central_differences
from layouts import MARK

from jitnet.kernels.activation import (
    GELU,
    KINDS,
    RELU,
    TANH,
    activation_backward,
    activation_forward,
    exp,
    tanh,
    tile_exp,
)
from jitnet.kernels.jit import kernel
from jitnet.kernels.tile import LANES, tile_load, tile_store

FLOAT = np.finfo(np.float32)
SUBNORMAL = 1e-42
"""What may be lost of a number so small that float32 holds it in a few bits."""
SHAPES = [(1, 1), (3, 15), (2, 16), (5, 17), (4, 37)]


def many(kind, values):
    """A kernel's forward pass over a vector."""
    z = np.array(values, np.float32)
    h = z.copy()
    activation_forward(KINDS[kind], z, h, z.size, 1, 0, z.size)
    return h


def slope(kind, values):
    z = np.array(values, np.float32)
    h, g = many(kind, z), np.ones_like(z)
    activation_backward(KINDS[kind], z, h, 1.0, g, z.size, 1, 0, z.size)
    return g


def whole_range():
    """Every exponent and both signs, and densely where the functions bend."""
    powers = np.array([math.ldexp(1.3, power) for power in range(-149, 128)], np.float32)
    return np.concatenate(
        [powers, -powers, np.linspace(-12, 12, 4801, dtype=np.float32), [0, FLOAT.max, FLOAT.min, -FLOAT.max]]
    ).astype(np.float32)


@pytest.mark.small
def test_exp_is_within_three_units_of_the_last_place():
    values = np.linspace(-87, 88, 3001).astype(np.float32)
    result = np.array([exp(value) for value in values])
    np.testing.assert_allclose(result, np.exp(values.astype(np.float64)), rtol=2e-7)
    assert exp(np.float32(0)) == 1


@kernel
def _sixteen(values, target):
    for k in range(0, values.shape[0], LANES):
        tile_store(tile_exp(tile_load(1, 1, values, k, 0)), target, k, 0)


@pytest.mark.small
def test_exp_of_sixteen_at_once():
    values = np.linspace(-87, 88, 64 * LANES).astype(np.float32)
    values[:4] = np.nan, -np.inf, -FLOAT.max, -88
    result = np.empty_like(values)
    _sixteen(values, result)
    np.testing.assert_allclose(result[4:], np.exp(values[4:].astype(np.float64)), rtol=3e-7)
    assert (result[:4] == result[1]).all()
    assert 0 < result[1] < 2e-38


@pytest.mark.small
def test_exp_stays_finite_and_positive_everywhere():
    values = np.array([FLOAT.max, 1e4, 89, -88, -1e4, -FLOAT.max, np.inf, -np.inf, FLOAT.tiny, -FLOAT.tiny], np.float32)
    result = np.array([exp(value) for value in values])
    assert np.isfinite(result).all()
    assert (result > 0).all()
    np.testing.assert_allclose(result[-2:], 1)
    assert result[0] > 1e38
    assert result[5] < 2e-38


@pytest.mark.small
def test_tanh_over_the_whole_range():
    values = whole_range()[::7]
    result = np.array([tanh(value) for value in values])
    np.testing.assert_allclose(result, np.tanh(values.astype(np.float64)), rtol=4e-7, atol=SUBNORMAL)
    assert (np.abs(result) <= 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_forward_over_the_whole_range(kind):
    values = whole_range()
    rtol, atol = {"relu": (0, 0), "tanh": (4e-7, SUBNORMAL), "gelu": (4e-7, 3e-7)}[kind]
    result = many(kind, values)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, naive.activation(kind, values), rtol=rtol, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_slope_over_the_whole_range(kind):
    values = whole_range()
    result = slope(kind, values)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, naive.derivative(kind, values), rtol=1e-6, atol=1e-6)


@pytest.mark.small
@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_is_that_of_the_forward_pass(kind):
    values = np.array([-3.1, -1.2, -0.4, 0.3, 0.9, 2.5])
    expected = central_differences(lambda at: float(naive.activation(kind, at).sum()), values)
    np.testing.assert_allclose(slope(kind, values), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.small
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_and_range(kind, shape):
    batch, units = shape
    stride = units + 5
    z = np.random.default_rng(shape).normal(size=(batch, stride)).astype(np.float32) * 2
    for first, last in {(0, units), (units // 2, units)}:
        h = np.full_like(z, MARK) if KINDS[kind] == GELU else z.copy()
        before = h.copy()
        activation_forward(KINDS[kind], z.reshape(-1), h.reshape(-1), stride, batch, first, last)
        np.testing.assert_allclose(h[:, first:last], naive.activation(kind, z[:, first:last]), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(h[:, :first], before[:, :first])
        np.testing.assert_array_equal(h[:, last:], before[:, last:])

        g = np.full_like(z, 3.0)
        activation_backward(KINDS[kind], z.reshape(-1), h.reshape(-1), 1.0, g.reshape(-1), stride, batch, first, last)
        np.testing.assert_allclose(g[:, first:last], 3 * naive.derivative(kind, z[:, first:last]), rtol=1e-5, atol=1e-5)
        assert (g[:, :first] == 3).all()
        assert (g[:, last:] == 3).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nan_passes_through(kind):
    assert np.isnan(many(kind, np.full(21, np.nan))).all()


@pytest.mark.small
def test_relu_and_tanh_know_their_slope_from_an_output_that_dropout_scaled():
    z = np.array([-2.0, -0.5, 0.25, 1.5], np.float32)
    keep = 0.75
    for kind, number in (("relu", RELU), ("tanh", TANH)):
        h = (many(kind, z) / np.float32(keep)).astype(np.float32)
        g = np.ones_like(z)
        activation_backward(number, z, h, keep, g, 4, 1, 0, 4)
        np.testing.assert_allclose(g, naive.derivative(kind, z), rtol=1e-5, atol=1e-6)
