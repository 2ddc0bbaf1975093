"""The exponential function and what is made of it, as polynomials: of the C library's functions, which Numba calls, no
loop vectorises."""

import math

import numpy as np

from jitnet.compiler.decorators import helper
from jitnet.machine.tile import tile_floor, tile_larger, tile_power2, tile_zero

__all__ = ["exp", "log1p", "sigmoid", "softplus", "tile_exp", "tile_sigmoid", "tile_size", "tile_smaller"]

_F = np.float32


@helper
def exp(x):
    """e**x for float32, within 2e-7 of it relatively; clamped to [-87, 88] so that it stays finite (Cephes expf).

    x = n ln 2 + r; e**r by a polynomial, and 2**n written straight into the exponent's bits. 21 FLOP.
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


@helper
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


@helper
def log1p(x):
    """log(1 + x) for x from 0 to 1, a number or a tile, within 2e-7 of it relatively: 2 artanh(x / (2 + x)), a series.
    17 FLOP."""
    s = x / (x + _F(2.0))
    q = s * s
    p = q * _F(1.0 / 13.0) + _F(1.0 / 11.0)
    p = p * q + _F(1.0 / 9.0)
    p = p * q + _F(1.0 / 7.0)
    p = p * q + _F(1.0 / 5.0)
    p = p * q + _F(1.0 / 3.0)
    p = p * q + _F(1.0)
    return (s + s) * p


@helper
def tile_size(x):
    """|x| of a tile; a NaN stays NaN."""
    return tile_larger(x, tile_zero(1, 1) - x)


@helper
def tile_smaller(left, right):
    """The smaller of two tiles' numbers; where `right` is NaN, `left`'s."""
    zero = tile_zero(1, 1)
    return zero - tile_larger(zero - left, zero - right)


@helper
def tile_sigmoid(x):
    """1 / (1 + e**-x) of a tile; at least 1e-38, which is above zero where denormals are flushed."""
    zero = tile_zero(1, 1)
    return (zero + _F(1.0)) / (tile_exp(zero - tile_larger(x, zero - _F(87.0))) + _F(1.0))


@helper
def sigmoid(x):
    """The same of a number."""
    return _F(1.0) / (_F(1.0) + exp(-x))


@helper
def softplus(x):
    """log(1 + e**x) of a number; NaN where x is infinite and negative, so that it is seen."""
    size = abs(x)
    return (x + size) * _F(0.5) + log1p(exp(-size))
