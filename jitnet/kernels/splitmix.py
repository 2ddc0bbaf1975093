"""splitmix64 (Steele, Lea, Flood 2014), which passes BigCrush: in a file that needs no Numba, for loops and for arrays.

All integers are uint64, so that nothing is ever promoted to float.
"""

from typing import Any

import numpy as np

__all__ = ["bits"]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLY_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLY_2 = np.uint64(0x94D049BB133111EB)
_1, _30, _27, _31 = np.uint64(1), np.uint64(30), np.uint64(27), np.uint64(31)


def bits(key: Any, index: Any) -> Any:
    """64 random bits: number `index` of the stream `key` (both uint64, or arrays of them)."""
    z = key + (index + _1) * _STEP
    z = (z ^ (z >> _30)) * _MULTIPLY_1
    z = (z ^ (z >> _27)) * _MULTIPLY_2
    return z ^ (z >> _31)
