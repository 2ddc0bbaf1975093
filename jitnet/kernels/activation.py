"""Activations: each forward beside its derivative, one row of a batch at a time, in plain loops that vectorise.

relu   max(x, 0)
tanh   Eigen's rational approximation on [-7.9, 7.9], within 3e-7
gelu   x * Phi(x) with Phi the normal distribution (Hendrycks and Gimpel 2016), as PyTorch's nn.GELU();
       erf by Abramowitz and Stegun 7.1.26, within 2e-7

`exp` is a polynomial too: Numba calls the C library's for every element, 6 ns against 1 in a vectorised loop.
"""

import math

import numpy as np

from jitnet.kernels.jit import kernel
from jitnet.kernels.tile import (
    tile_floor,
    tile_larger,
    tile_power2,
    tile_zero,
)

__all__ = ["GELU", "KINDS", "RELU", "TANH", "activation_backward", "activation_forward", "exp", "tanh", "tile_exp"]

KINDS = {"relu": 0, "tanh": 1, "gelu": 2}
RELU, TANH, GELU = KINDS.values()

_F = np.float32


@kernel
def exp(x):
    """e**x for float32, within 2e-7 of it relatively; clamped to [-87, 88] so that it stays finite (Cephes expf).

    x = n ln 2 + r; e**r by a polynomial, and 2**n written straight into the exponent's bits.
    """
    x = min(max(x, _F(-87.0)), _F(88.0))
    n = math.floor(x * _F(1.44269504) + _F(0.5))
    r = x - n * _F(0.693359375) + n * _F(2.12194440e-4)
    p = _F(1.9875691500e-4)
    p = p * r + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
    return (p * r * r + r + _F(1.0)) * power.view(np.float32)


@kernel
def tile_exp(x):
    """The same for a tile of one vector, 16 numbers of at most 88 at once; below -87, and of a NaN, e**-87."""
    x = tile_larger(tile_zero(1, 1) - _F(87.0), x)
    n = tile_floor(x * _F(1.44269504) + _F(0.5))
    r = x - n * _F(0.693359375) + n * _F(2.12194440e-4)
    p = r * _F(1.9875691500e-4) + _F(1.3981999507e-3)
    p = p * r + _F(8.3334519073e-3)
    p = p * r + _F(4.1665795894e-2)
    p = p * r + _F(1.6666665459e-1)
    p = p * r + _F(5.0000001201e-1)
    return (p * r * r + r + _F(1.0)) * tile_power2(n)


@kernel
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


@kernel
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


@kernel
def activation_forward(kind, z, h, stride, batch, first, last):
    """h[n, o] = activation(z[n, o]) for first <= o < last; both flat in rows of stride, and may be the same for relu
    and tanh."""
    for n in range(batch):
        row = h[n * stride + first : n * stride + last]
        if kind == RELU:
            # x less its negative part: a NaN passes, and is seen in the loss. Of `0 if x < 0 else x` LLVM makes masked
            # stores, which take eight times as long on AMD's processors.
            for o in range(row.shape[0]):
                x = row[o]
                row[o] = x - (x if x < _F(0.0) else _F(0.0))
        elif kind == TANH:
            for o in range(row.shape[0]):
                row[o] = tanh(row[o])
        else:
            source = z[n * stride + first : n * stride + last]
            for o in range(row.shape[0]):
                x = source[o]
                row[o] = x * _normal_distribution(x)


@kernel
def activation_backward(kind, z, h, keep, g, stride, batch, first, last):
    """g[n, o] *= the activation's derivative, from its output (relu, tanh) or its input z (gelu), for first <= o <
    last.

    The output is keep * h: dropout has scaled what it kept by 1 / keep.
    """
    keep = _F(keep)
    for n in range(batch):
        row = g[n * stride + first : n * stride + last]
        if kind == GELU:
            source = z[n * stride + first : n * stride + last]
            for o in range(row.shape[0]):
                x = source[o]
                near = min(
                    max(x, _F(-14.0)), _F(14.0)
                )  # where the density ends; exp itself ends at 1e-38, too much for a vast x
                row[o] *= _normal_distribution(x) + near * _F(0.39894228) * exp(_F(-0.5) * near * near)
        else:
            out = h[n * stride + first : n * stride + last]
            if kind == RELU:
                for o in range(row.shape[0]):
                    row[o] = row[o] if out[o] > _F(0.0) else _F(0.0)
            else:
                for o in range(row.shape[0]):
                    y = out[o] * keep
                    row[o] *= _F(1.0) - y * y
