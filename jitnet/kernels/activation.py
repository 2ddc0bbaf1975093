"""Activations: each forward beside its derivative, in plain loops that vectorise, and what each keeps and costs.

relu   max(x, 0)
tanh   Eigen's rational approximation on [-7.9, 7.9], within 3e-7
gelu   x * Phi(x) with Phi the normal distribution (Hendrycks and Gimpel 2016), as PyTorch's nn.GELU();
       erf by Abramowitz and Stegun 7.1.26, within 2e-7
silu   x * sigmoid(x)                                      (Elfwing, Uchibe and Doya 2018)
mish   x * tanh(log(1 + e**x))                             (Misra 2019)
selu   scale * (x, or alpha * (e**x - 1) where x < 0)      (Klambauer et al. 2017)

A new one is: its two functions, a line in ACTIVATION_KERNELS, a loop in `activation_forward` and one in
`activation_backward`; and its name in `config/choices.py`. Every other room asks these two tables.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, helper, linked
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INT, REAL
from jitnet.kernels.exponential import exp
from jitnet.machine.denormals import flush_denormals, restore_float_flags

__all__ = [
    "ACTIVATION_KERNELS",
    "ActivationKernel",
    "activation_backward",
    "activation_forward",
    "apply_activation",
    "apply_activation_backward",
]

_F = np.float32


class ActivationKernel(NamedTuple):
    """What else must be known of an activation.

    code: its number in compiled code. derivative_of: what its derivative is computed from, "output" or "input"; where
    that is the output, it overwrites the input, and needs no array beside it. forward_flop, backward_flop: for each
    number, counted as `engine.costs` says; of a choice between two sides both, as a vector computes both.
    """

    code: int
    derivative_of: str
    forward_flop: int
    backward_flop: int


ACTIVATION_KERNELS = {
    "relu": ActivationKernel(0, "output", 1, 1),
    "tanh": ActivationKernel(1, "output", 21, 4),
    "gelu": ActivationKernel(2, "input", 39, 65),
    "silu": ActivationKernel(3, "input", 24, 28),
    "mish": ActivationKernel(4, "input", 26, 34),
    "selu": ActivationKernel(5, "output", 24, 3),
}
RELU, TANH, GELU, SILU, MISH, SELU = (np.int64(activation.code) for activation in ACTIVATION_KERNELS.values())


@helper
def relu(x):
    """x less its negative part: a NaN passes, and is seen in the loss.

    Of `0 if x < 0 else x` LLVM makes masked stores, which are slow on AMD's processors.
    """
    return x - (x if x < _F(0.0) else _F(0.0))


@helper
def relu_backward(dout, out):
    """dout where the unit was on: dout less what belongs to units that were off, for the same reason."""
    return dout - (_F(0.0) if out > _F(0.0) else dout)


@helper
def tanh(x):
    """Hyperbolic tangent of a float32."""
    x = min(max(x, _F(-7.90531110)), _F(7.90531110))
    s = x * x
    p = _F(-2.76076847742355e-16)
    p = p * s + _F(2.00018790482477e-13)
    p = p * s + _F(-8.60467152213735e-11)
    p = p * s + _F(5.12229709037114e-08)
    p = p * s + _F(1.48572235717979e-05)
    p = p * s + _F(6.37261928875436e-04)
    p = p * s + _F(4.89352455891786e-03)
    q = _F(1.19825839466702e-06)
    q = q * s + _F(1.18534705686654e-04)
    q = q * s + _F(2.26843463243900e-03)
    q = q * s + _F(4.89352518554385e-03)
    return x * p / q


@helper
def tanh_backward(dout, out):
    """The derivative is 1 - tanh(x)**2."""
    return dout * (_F(1.0) - out * out)


@helper
def _normal_distribution(x):
    """Phi(x), the share of a normal variable below x."""
    z = abs(x) * _F(0.70710678)
    t = _F(1.0) / (_F(1.0) + _F(0.3275911) * z)
    p = _F(1.061405429)
    p = p * t + _F(-1.453152027)
    p = p * t + _F(1.421413741)
    p = p * t + _F(-0.284496736)
    p = p * t + _F(0.254829592)
    tail = _F(0.5) * p * t * exp(-z * z)
    return tail if x < _F(0.0) else _F(1.0) - tail


@helper
def gelu(x):
    """x * Phi(x)."""
    return x * _normal_distribution(x)


@helper
def gelu_backward(dout, x):
    """The derivative is Phi(x) + x * phi(x), with phi the normal density.

    Beyond 14 the density is nothing; exp itself ends at 1e-38, which is too much for a vast x.
    """
    near = min(max(x, _F(-14.0)), _F(14.0))
    return dout * (_normal_distribution(x) + near * _F(0.39894228) * exp(_F(-0.5) * near * near))


@helper
def _sigmoid(x):
    """1 / (1 + e**-x)."""
    return _F(1.0) / (_F(1.0) + exp(-x))


@helper
def _not_below(x, least):
    """x, or `least` where it is less; a NaN passes. Far below zero silu and mish are zero, and exp ends at 1e-38, too
    much for a vast x."""
    return least if x < least else x


@helper
def silu(x):
    """x * sigmoid(x)."""
    near = _not_below(x, _F(-40.0))
    return near * _sigmoid(near)


@helper
def silu_backward(dout, x):
    """The derivative is s + x s (1 - s), with s = sigmoid(x)."""
    near = _not_below(x, _F(-40.0))
    s = _sigmoid(near)
    return dout * (s + near * s * (_F(1.0) - s))


@helper
def mish(x):
    """x * tanh(log(1 + e**x)), which is x n / (n + 2) with n = e (e + 2) and e = e**x; beyond 20 that is x."""
    near = _not_below(x, _F(-40.0))
    e = exp(min(near, _F(20.0)))
    n = e * (e + _F(2.0))
    return near * (n / (n + _F(2.0)))


@helper
def mish_backward(dout, x):
    """The derivative is n / (n + 2) + 4 x e (1 + e) / (n + 2)**2."""
    near = min(_not_below(x, _F(-40.0)), _F(20.0))
    e = exp(near)
    n = e * (e + _F(2.0))
    part = _F(1.0) / (n + _F(2.0))
    return dout * (n * part + near * (_F(4.0) * e * (_F(1.0) + e) * part * part))


SELU_SCALE, SELU_DROP = _F(1.0507009873554805), _F(1.0507009873554805 * 1.6732632423543772)


@helper
def selu(x):
    """scale x, or scale alpha (e**x - 1) below zero."""
    below = SELU_DROP * (exp(x) - _F(1.0))
    return below if x < _F(0.0) else SELU_SCALE * x


@helper
def selu_backward(dout, out):
    """The derivative is scale, or scale alpha e**x below zero, which is out + scale alpha."""
    return dout * (SELU_SCALE if out > _F(0.0) else out + SELU_DROP)


@linked(INT, FLOATS, FLOATS, INT, INT, INT, INT)
def activation_forward(activation, x, out, stride, batch, first, last):
    """out[n, o] = activation(x[n, o]) for all n and first <= o < last.

    activation: its code. x, out (batch, units) float32, flat in rows of stride; where the derivative is computed from
    the output, x is not read: the input is in out. FLOP a number: forward_flop of ACTIVATION_KERNELS; 8 bytes.
    """
    for n in range(batch):
        source = x[n * stride + first : n * stride + last]
        row = out[n * stride + first : n * stride + last]
        if activation == RELU:
            for o in range(row.shape[0]):
                row[o] = relu(row[o])
        elif activation == TANH:
            for o in range(row.shape[0]):
                row[o] = tanh(row[o])
        elif activation == GELU:
            for o in range(row.shape[0]):
                row[o] = gelu(source[o])
        elif activation == SILU:
            for o in range(row.shape[0]):
                row[o] = silu(source[o])
        elif activation == MISH:
            for o in range(row.shape[0]):
                row[o] = mish(source[o])
        elif activation == SELU:
            for o in range(row.shape[0]):
                row[o] = selu(row[o])


@linked(INT, FLOATS, FLOATS, FLOATS, INT, INT, REAL, INT, INT)
def activation_backward(activation, x, out, dout, stride, batch, keep, first, last):
    """dout[n, o] *= the activation's derivative, for all n and first <= o < last: the gradient of its input.

    x, out as `activation_forward` left them, dout (batch, units), all flat in rows of stride. keep: dropout has divided
    what it kept of out by this; 1 without dropout. FLOP a number: backward_flop of ACTIVATION_KERNELS; 12 bytes.
    """
    keep = _F(keep)
    for n in range(batch):
        source = x[n * stride + first : n * stride + last]
        kept = out[n * stride + first : n * stride + last]
        row = dout[n * stride + first : n * stride + last]
        if activation == RELU:
            for o in range(row.shape[0]):
                row[o] = relu_backward(row[o], kept[o])
        elif activation == TANH:
            for o in range(row.shape[0]):
                row[o] = tanh_backward(row[o], kept[o] * keep)
        elif activation == GELU:
            for o in range(row.shape[0]):
                row[o] = gelu_backward(row[o], source[o])
        elif activation == SILU:
            for o in range(row.shape[0]):
                row[o] = silu_backward(row[o], source[o])
        elif activation == MISH:
            for o in range(row.shape[0]):
                row[o] = mish_backward(row[o], source[o])
        elif activation == SELU:
            for o in range(row.shape[0]):
                row[o] = selu_backward(row[o], kept[o] * keep)


@driver(INT, FLOATS_2D, FLOATS_2D, INT)
def apply_activation(activation, x, out, parts):
    """out = activation(x), on plain arrays: x, out (batch, units) float32; the samples are split in parts."""
    batch, units = x.shape
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch * part // parts, batch * (part + 1) // parts
        for n in range(first, last):
            for o in range(units):
                out[n, o] = x[n, o]
        x_rows, out_rows = x[first:last].reshape(-1), out[first:last].reshape(-1)
        activation_forward(activation, x_rows, out_rows, units, last - first, 0, units)
        restore_float_flags(flags)


@driver(INT, FLOATS_2D, FLOATS_2D, FLOATS_2D, INT)
def apply_activation_backward(activation, x, out, dout, parts):
    """dout *= the derivative at x, where out = activation(x): plain arrays as in `apply_activation`."""
    batch, units = x.shape
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch * part // parts, batch * (part + 1) // parts
        x_rows, out_rows = x[first:last].reshape(-1), out[first:last].reshape(-1)
        activation_backward(
            activation, x_rows, out_rows, dout[first:last].reshape(-1), units, last - first, 1.0, 0, units
        )
        restore_float_flags(flags)
