"""Weights before training: each a function of (seed, layer, unit, input) alone."""

import numpy as np

from jitnet.compiler.decorators import kernel
from jitnet.compiler.signatures import FLOATS_2D, INT, KEY, REAL
from jitnet.kernels.random import INIT, key, normal

__all__ = ["fill_normal"]


@kernel(FLOATS_2D, REAL, KEY, INT)
def fill_normal(values, deviation, seed, layer):
    """values (out, in) float32 drawn from N(0, deviation**2); seed uint64, layer int64."""
    for o in range(values.shape[0]):
        stream = key(seed, INIT, np.uint64(layer), np.uint64(o))
        row = values[o]
        for i in range(row.shape[0]):
            row[i] = normal(stream, np.uint64(i)) * np.float32(deviation)
