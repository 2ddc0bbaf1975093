"""Dropout (Srivastava et al. 2014): units switched off at random while training, the others scaled up to make good.

Whether a unit is dropped is a function of (seed, step, layer, sample, unit), so nothing is stored: the backward pass
asks again. One draw of 64 bits decides four units, 16 bits each; a rate is therefore kept to within 1/65536.
"""

import numpy as np

from jitnet.compiler.decorators import helper, kernel, linked
from jitnet.compiler.signatures import FLOATS, INT, KEY, REAL
from jitnet.kernels.random import DROPOUT, bits, key

__all__ = ["drop_inputs", "dropout"]

_LANE = np.uint64(16)
_MASK = np.uint64(0xFFFF)
_BYTE = np.uint64(0xFF)
_INPUT = np.uint64(1) << np.uint64(63)
"""Sets the streams of the inputs apart from those of the layers."""


@linked(FLOATS, INT, INT, KEY, INT, INT, REAL, INT, INT)
def dropout(values, stride, batch, seed, step, layer, rate, first, last):
    """values[n, o] = 0 where unit o is dropped for sample n of the batch, else values[n, o] / (1 - rate), for
    first <= o < last.

    The same call serves forward (activations) and backward (their gradients). first and last are multiples of 4; step
    counts from the start of the run; values flat in rows of stride. 1 FLOP and 8 bytes a number.
    """
    threshold = np.uint64(rate * 65536.0)
    scale = np.float32(1.0 / (1.0 - rate))
    for n in range(batch):
        stream = key(seed, DROPOUT, np.uint64(step) << np.uint64(16) | np.uint64(layer), np.uint64(n))
        row = values[n * stride + first : n * stride + last]
        for quad in range(row.shape[0] // 4):
            draw = bits(stream, np.uint64(quad + first // 4))
            for lane in range(4):
                kept = (draw >> (np.uint64(lane) * _LANE)) & _MASK >= threshold
                # Multiplied by 0, not set to it: that vectorises. What is infinite turns NaN, and the loss shows it.
                row[quad * 4 + lane] *= scale if kept else np.float32(0.0)


@kernel
def drop_inputs(images, rows, rate, seed, epoch, first, last):
    """Set a share of the inputs to zero, in place, for samples first <= n < last; images[n] (features,), uint8 or
    float32, holds sample rows[n] of the data set.

    Whether an input is dropped is a function of (seed, epoch, sample, feature). Reads and writes each number once.
    """
    threshold = np.uint64(rate * 65536.0)
    for n in range(first, last):
        stream = key(seed, DROPOUT, _INPUT | np.uint64(epoch), np.uint64(rows[n]))
        row = images[n]
        done = _drop_fours(row, stream, threshold) if images.itemsize == 1 else 0
        for quad in range(done // 4, (row.shape[0] + 3) // 4):
            draw = bits(stream, np.uint64(quad))
            for i in range(quad * 4, min(quad * 4 + 4, row.shape[0])):
                row[i] *= draw & _MASK >= threshold
                draw >>= _LANE


@helper
def _drop_fours(row, stream, threshold):
    """Whole fours of bytes, kept or cleared by one mask. Gives their number."""
    whole = row.shape[0] // 4 * 4
    packed = row[:whole].view(np.uint32)
    for quad in range(whole // 4):
        draw = bits(stream, np.uint64(quad))
        kept = np.uint64(0)
        for lane in range(4):
            byte = _BYTE if (draw >> (np.uint64(lane) * _LANE)) & _MASK >= threshold else np.uint64(0)
            kept |= byte << (np.uint64(lane) * np.uint64(8))
        packed[quad] &= np.uint32(kept)
    return whole
