"""The exponential function, as a polynomial: of the C library's, which Numba calls, no loop vectorises."""

import math

import numpy as np

from jitnet.compiler.decorators import helper
from jitnet.machine.tile import tile_floor, tile_larger, tile_power2, tile_zero

__all__ = ["exp", "tile_exp"]

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
