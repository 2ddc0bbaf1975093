"""Layer normalisation (Ba, Kiros and Hinton 2016, section 3): forward, and beside it both of its gradients.

normed = (x - mean) / sqrt(variance + epsilon);  out = gain * normed + bias

mean and variance are those of one sample's units; the variance is the mean of the squares, as in PyTorch's
nn.LayerNorm. With g = gain * dout, the gradient of x is (g - mean(g) - normed * mean(g * normed)) / sqrt(variance +
epsilon). The gradients of gain and bias are sums over samples, so units make them, and g with them; the rest is a sum
over units, so samples make it.

Sums go through the units by vectors of LANES, lanes by themselves and then together: the same bits whatever the width
of panels. Matrices are flat float32 in rows of `stride`, which have room for whole vectors. What fills up the last
vector of a row is zero, and is left zero.
"""

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, helper
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INT
from jitnet.machine.blocks import LANES
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import tile_load, tile_store, tile_sum, tile_zero

__all__ = [
    "EPSILON",
    "apply_layer_norm",
    "apply_layer_norm_backward",
    "layer_norm_backward",
    "layer_norm_forward",
    "layer_norm_gradient",
    "scale_by_gain",
]

_F = np.float32

EPSILON = 1e-5
"""Added to the variance, as PyTorch's nn.LayerNorm does."""


@helper
def layer_norm_forward(x, gain, bias, out, inverse, stride, features, first, last):
    """out[n] = gain * normed + bias for samples first <= n < last; x[n] becomes normed, and inverse[n] is
    1 / sqrt(variance + EPSILON).

    x, out (batch, features), gain, bias (features,), inverse (batch,). out must not overlap x. 7 FLOP and 12 bytes a
    number.
    """
    count = _F(features)
    for n in range(first, last):
        row, end = n * stride, n * stride + features
        total = tile_zero(1, 1)
        for k in range(row, end, LANES):
            total = total + tile_load(1, 1, x, k, 0)
        mean = tile_sum(total) / count
        for k in range(row, end, LANES):
            tile_store(tile_load(1, 1, x, k, 0) - mean, x, k, 0)
        _clear_filling(x, row, features)
        squares = tile_zero(1, 1)
        for k in range(row, end, LANES):
            centred = tile_load(1, 1, x, k, 0)
            squares = squares + centred * centred
        factor = _F(1.0) / np.sqrt(tile_sum(squares) / count + _F(EPSILON))
        for o in range(0, features, LANES):
            normed = tile_load(1, 1, x, row + o, 0) * factor
            tile_store(normed, x, row + o, 0)
            tile_store(normed * tile_load(1, 1, gain, o, 0) + tile_load(1, 1, bias, o, 0), out, row + o, 0)
        inverse[n] = factor


@helper
def layer_norm_gradient(dout, normed, gain, stride, batch, factor, dgain, dbias, first, last):
    """dgain[o] += factor * sum_n dout[n, o] normed[n, o] and dbias[o] += factor * sum_n dout[n, o]; then dout[n, o] *=
    gain[o], the gradient of normed; for n < batch and first <= o < last, multiples of LANES.

    dout, normed (batch, features), gain, dgain, dbias (features,). With factor -learning_rate, dgain and dbias may be
    gain and bias themselves: that is a step of SGD. 4 FLOP and 12 bytes a number.
    """
    for o in range(first, last, LANES):
        gains, biases, scale = tile_zero(1, 1), tile_zero(1, 1), tile_load(1, 1, gain, o, 0)
        for n in range(batch):
            gradient = tile_load(1, 1, dout, n * stride + o, 0)
            gains = gains + gradient * tile_load(1, 1, normed, n * stride + o, 0)
            biases = biases + gradient
            tile_store(gradient * scale, dout, n * stride + o, 0)
        tile_store(tile_load(1, 1, dgain, o, 0) + gains * factor, dgain, o, 0)
        tile_store(tile_load(1, 1, dbias, o, 0) + biases * factor, dbias, o, 0)


@helper
def scale_by_gain(dout, gain, stride, batch, first, last):
    """dout[n, o] *= gain[o], for n < batch and first <= o < last, multiples of LANES: of `layer_norm_gradient` what is
    left where gain and bias are frozen.

    dout (batch, features), gain (features,). 1 FLOP and 8 bytes a number.
    """
    for o in range(first, last, LANES):
        scale = tile_load(1, 1, gain, o, 0)
        for n in range(batch):
            tile_store(tile_load(1, 1, dout, n * stride + o, 0) * scale, dout, n * stride + o, 0)


@helper
def layer_norm_backward(dout, normed, inverse, stride, features, first, last):
    """dout[n], the gradient of normed, becomes that of x, for samples first <= n < last.

    normed and inverse as `layer_norm_forward` left them; dout, normed (batch, features), inverse (batch,). 7 FLOP and
    12 bytes a number.
    """
    count = _F(features)
    for n in range(first, last):
        row = n * stride
        total, product = tile_zero(1, 1), tile_zero(1, 1)
        for k in range(row, row + features, LANES):
            gradient = tile_load(1, 1, dout, k, 0)
            total = total + gradient
            product = product + gradient * tile_load(1, 1, normed, k, 0)
        mean, along, factor = tile_sum(total) / count, tile_sum(product) / count, inverse[n]
        for k in range(row, row + features, LANES):
            gradient = tile_load(1, 1, dout, k, 0) - mean - tile_load(1, 1, normed, k, 0) * along
            tile_store(gradient * factor, dout, k, 0)
        _clear_filling(dout, row, features)


@helper
def _clear_filling(values, row, features):
    """Zero what fills up the last vector of a row: it must not count in the row's sums."""
    for k in range(row + features, row + (features + LANES - 1) // LANES * LANES):
        values[np.uint64(k)] = _F(0.0)


@driver(FLOATS_2D, FLOATS, FLOATS, FLOATS_2D, FLOATS, INT)
def apply_layer_norm(x, gain, bias, out, inverse, parts):
    """`layer_norm_forward` of plain arrays, the samples split in parts: x, out (batch, features) float32 with a
    multiple of LANES features, gain, bias (features,), inverse (batch,)."""
    batch, features = x.shape
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch * part // parts, batch * (part + 1) // parts
        layer_norm_forward(x.reshape(-1), gain, bias, out.reshape(-1), inverse, features, features, first, last)
        restore_float_flags(flags)


@driver(FLOATS_2D, FLOATS_2D, FLOATS, INT)
def apply_layer_norm_backward(dout, normed, inverse, parts):
    """`layer_norm_backward` of plain arrays, likewise; dout: of normed, which is the output's gradient times the
    gain."""
    batch, features = dout.shape
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch * part // parts, batch * (part + 1) // parts
        layer_norm_backward(dout.reshape(-1), normed.reshape(-1), inverse, features, features, first, last)
        restore_float_flags(flags)
