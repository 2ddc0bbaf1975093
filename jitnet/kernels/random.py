"""Random numbers as functions of where they are used: the same bits at any thread count, and across stop and resume.

There is no state to carry. `key` folds what a draw belongs to (seed, purpose, epoch, sample or layer) into 64 bits, and
the n-th number under a key is a hash of key + n (see splitmix).
All integers are uint64, so that nothing is ever promoted to float.
"""

import math

import numpy as np

from jitnet.compiler.decorators import helper, kernel
from jitnet.compiler.signatures import FLOATS_2D, INDICES, INT, KEY, REAL
from jitnet.kernels import splitmix

__all__ = [
    "AUGMENT",
    "DROPOUT",
    "INIT",
    "ORDER",
    "SPLIT",
    "bits",
    "fill_normal",
    "key",
    "normal",
    "permutation",
    "shuffle",
    "uniform",
]

# Purposes: the first number folded in after the seed, so that no two uses share a stream.
INIT, ORDER, DROPOUT, AUGMENT, SPLIT = (np.uint64(purpose) for purpose in range(1, 6))

_40 = np.uint64(40)
_UNIT = np.float32(2.0**-24)

bits = helper(splitmix.bits)
"""64 random bits: number `index` of the stream `key` (both uint64)."""


@helper
def key(seed, purpose, a, b):
    """The stream (uint64) that belongs to a seed, a purpose and two numbers, an epoch and a sample for example."""
    return bits(bits(bits(seed, purpose), a), b)


@helper
def uniform(key, index):
    """float32 in [0, 1), a multiple of 2**-24: number `index` of the stream `key`."""
    return np.float32(bits(key, index) >> _40) * _UNIT


@helper
def normal(key, index):
    """float32 from N(0, 1): number `index` of the stream `key` (Box and Muller 1958)."""
    pair = index + index
    u = 1.0 - np.float64(bits(key, pair) >> np.uint64(11)) * 2.0**-53
    v = np.float64(bits(key, pair + np.uint64(1)) >> np.uint64(11)) * 2.0**-53
    return np.float32(math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v))


@helper
def permutation(key, order):
    """Fill order (n,) int32 with 0..n-1 in random order (Fisher and Yates; Durstenfeld 1964)."""
    n = order.shape[0]
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        # The high half of a 32x32-bit product: a number below i + 1 without a division (Lemire 2019; bias below 2**-32
        # n).
        j = ((bits(key, np.uint64(i)) >> np.uint64(32)) * np.uint64(i + 1)) >> np.uint64(32)
        swap = order[i]
        order[i] = order[j]
        order[j] = swap


@kernel(KEY, KEY, INDICES)
def shuffle(seed, epoch, order):
    """Fill order (n,) int32 with the samples' order in an epoch; seed and epoch uint64."""
    permutation(key(seed, ORDER, epoch, np.uint64(0)), order)


@kernel(FLOATS_2D, REAL, KEY, INT)
def fill_normal(values, deviation, seed, layer):
    """values (out, in) float32 drawn from N(0, deviation**2); seed uint64, layer int64."""
    for o in range(values.shape[0]):
        stream = key(seed, INIT, np.uint64(layer), np.uint64(o))
        row = values[o]
        for i in range(row.shape[0]):
            row[i] = normal(stream, np.uint64(i)) * np.float32(deviation)
