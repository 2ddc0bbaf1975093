"""Activations over the whole range of float32, in place, in their range, with the derivative of their forward pass."""

import math

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from layouts import MARK

from jitnet.compiler.decorators import kernel
from jitnet.kernels import activation as activations
from jitnet.kernels.activation import ACTIVATION_KERNELS, apply_activation, apply_activation_backward
from jitnet.kernels.exponential import exp as linked_exp
from jitnet.kernels.exponential import tile_exp
from jitnet.machine.blocks import LANES
from jitnet.machine.tile import tile_load, tile_store

activation_forward, activation_backward = (
    direct(function) for function in (activations.activation_forward, activations.activation_backward)
)
exp, tanh = direct(linked_exp), direct(activations.tanh)

FLOAT = np.finfo(np.float32)
SUBNORMAL = 1e-42
"""What may be lost of a number so small that float32 holds it in a few bits."""
SHAPES = [(1, 1), (3, 15), (2, 16), (5, 17), (4, 37)]

ACCURACY = {"relu": (0, 0), "tanh": (4e-7, SUBNORMAL), "gelu": (4e-7, 3e-7)}
"""Relative and absolute errors that are promised."""


def room_for(name, z):
    """What a forward pass writes to: its input, or where the derivative is made from that another place."""
    return np.full_like(z, MARK) if ACTIVATION_KERNELS[name].derivative_of == "input" else z.copy()


def many(name, values):
    """A kernel's forward pass over a vector."""
    z = np.array(values, np.float32)
    out = room_for(name, z)
    activation_forward(ACTIVATION_KERNELS[name].code, z, out, z.size, 1, 0, z.size)
    return out


def slope(name, values):
    z = np.array(values, np.float32)
    out, dout = many(name, z), np.ones_like(z)
    activation_backward(ACTIVATION_KERNELS[name].code, z, out, dout, z.size, 1, 1.0, 0, z.size)
    return dout


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


@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
def test_forward_over_the_whole_range(name):
    values = whole_range()
    rtol, atol = ACCURACY.get(name, (1e-6, 1e-6))
    result, expected = many(name, values), naive.activation(name, values)
    held = np.abs(expected) <= FLOAT.max  # beyond it float32 itself ends
    assert np.mean(held) > 0.999
    assert np.isfinite(result[held]).all()
    np.testing.assert_allclose(result[held], expected[held], rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
def test_slope_over_the_whole_range(name):
    values = whole_range()
    result = slope(name, values)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, naive.derivative(name, values), rtol=1e-6, atol=1e-6)


@pytest.mark.small
@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
def test_the_slope_is_that_of_the_forward_pass(name):
    values = np.array([-3.1, -1.2, -0.4, 0.3, 0.9, 2.5])
    expected = central_differences(lambda at: float(naive.activation(name, at).sum()), values)
    np.testing.assert_allclose(slope(name, values), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.small
@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_and_range(name, shape):
    batch, units = shape
    stride = units + 5
    z = np.random.default_rng(shape).normal(size=(batch, stride)).astype(np.float32) * 2
    code = ACTIVATION_KERNELS[name].code
    for first, last in {(0, units), (units // 2, units)}:
        out = room_for(name, z)
        before = out.copy()
        activation_forward(code, z.reshape(-1), out.reshape(-1), stride, batch, first, last)
        np.testing.assert_allclose(out[:, first:last], naive.activation(name, z[:, first:last]), rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(out[:, :first], before[:, :first])
        np.testing.assert_array_equal(out[:, last:], before[:, last:])

        dout = np.full_like(z, 3.0)
        activation_backward(code, z.reshape(-1), out.reshape(-1), dout.reshape(-1), stride, batch, 1.0, first, last)
        expected = 3 * naive.derivative(name, z[:, first:last])
        np.testing.assert_allclose(dout[:, first:last], expected, rtol=1e-5, atol=1e-5)
        assert (dout[:, :first] == 3).all()
        assert (dout[:, last:] == 3).all()


@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
def test_nan_passes_through(name):
    assert np.isnan(many(name, np.full(21, np.nan))).all()


@pytest.mark.small
@pytest.mark.parametrize(
    "name", [name for name, activation in ACTIVATION_KERNELS.items() if activation.derivative_of == "output"]
)
def test_who_keeps_the_output_knows_the_slope_from_one_that_dropout_scaled(name):
    z = np.array([-2.0, -0.5, 0.25, 1.5], np.float32)
    keep = 0.75
    out = (many(name, z) / np.float32(keep)).astype(np.float32)
    dout = np.ones_like(z)
    activation_backward(ACTIVATION_KERNELS[name].code, z, out, dout, 4, 1, keep, 0, 4)
    np.testing.assert_allclose(dout, naive.derivative(name, z), rtol=1e-5, atol=1e-6)


@pytest.mark.small
@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_drivers_in_any_number_of_parts(name, shape):
    x = np.random.default_rng(shape).normal(size=shape).astype(np.float32) * 2
    code, results = ACTIVATION_KERNELS[name].code, []
    for parts in (1, 2, 3):
        out, dout = np.full_like(x, MARK), np.full_like(x, -1.5)
        apply_activation(code, x, out, parts)
        apply_activation_backward(code, x, out, dout, parts)
        results.append((out, dout))
    np.testing.assert_allclose(results[0][0], naive.activation(name, x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(results[0][1], -1.5 * naive.derivative(name, x), rtol=1e-5, atol=1e-5)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
