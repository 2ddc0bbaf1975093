"""Dropout (Srivastava et al. 2014): units switched off at random while training, the others scaled up to make good.

Whether a unit is dropped is a function of (seed, step, layer, sample, unit), so nothing is stored: the backward pass
asks again. One draw of 64 bits decides four units, 16 bits each; a rate is therefore kept to within 1/65536.
"""

import numpy as np

from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.signatures import BYTES_2D, COUNTS, ENTRIES, FLOATS, FLOATS_2D, INDICES, INT, KEY, REAL
from jitnet.kernels.entries import BYTE_BITS
from jitnet.kernels.random import DROPOUT, bits, key
from jitnet.machine.words import mask_word

__all__ = ["drop_input_bytes", "drop_input_entries", "drop_input_floats", "dropout"]

_LANE = np.uint64(16)
_MASK = np.uint64(0xFFFF)
_BYTE = np.uint64(0xFF)
_INPUT = np.uint64(1) << np.uint64(63)
"""Sets the streams of the inputs apart from those of the layers."""


@linked(FLOATS, INT, INT, INT, KEY, INT, INT, REAL, INT, INT)
def dropout(values, stride, first_sample, last_sample, seed, step, layer, rate, first, last):
    """values[n, o] = 0 where unit o is dropped for sample n of the batch, else values[n, o] / (1 - rate), for
    first_sample <= n < last_sample and first <= o < last.

    The same call serves forward (activations) and backward (their gradients). first and last are multiples of 4; step
    counts from the start of the run; values flat in rows of stride. 1 FLOP and 8 bytes a number.
    """
    threshold = np.uint64(rate * 65536.0)
    scale = np.float32(1.0 / (1.0 - rate))
    for n in range(first_sample, last_sample):
        stream = key(seed, DROPOUT, np.uint64(step) << np.uint64(16) | np.uint64(layer), np.uint64(n))
        row = values[n * stride + first : n * stride + last]
        for quad in range(row.shape[0] // 4):
            draw = bits(stream, np.uint64(quad + first // 4))
            for lane in range(4):
                kept = (draw >> (np.uint64(lane) * _LANE)) & _MASK >= threshold
                # Multiplied by 0, not set to it: that vectorises. What is infinite becomes NaN, and the loss shows it.
                row[quad * 4 + lane] *= scale if kept else np.float32(0.0)


@helper
def _input_stream(seed, epoch, sample):
    """The stream of random numbers that decides which inputs of a sample are dropped in an epoch."""
    return key(seed, DROPOUT, _INPUT | np.uint64(epoch), np.uint64(sample))


@linked(BYTES_2D, INDICES, REAL, KEY, KEY, INT, INT)
def drop_input_bytes(images, indices, rate, seed, epoch, first, last):
    """Set a share of the inputs to zero, in place, for samples first <= n < last; images[n] (features,) uint8 holds
    sample indices[n] of the data set.

    Whether an input is dropped is a function of (seed, epoch, sample, feature). Reads and writes each byte once.
    """
    threshold = np.uint64(rate * 65536.0)
    for n in range(first, last):
        stream, row = _input_stream(seed, epoch, indices[n]), images[n]
        whole = row.shape[0] // 8 * 8
        for i in range(0, whole, 8):
            kept = np.uint64(0)
            for quad in range(2):
                draw = bits(stream, np.uint64(i // 4 + quad))
                for lane in range(4):
                    byte = _BYTE if (draw >> (np.uint64(lane) * _LANE)) & _MASK >= threshold else np.uint64(0)
                    kept |= byte << (np.uint64(quad * 4 + lane) * np.uint64(8))
            mask_word(row, i, kept)
        for i in range(whole, row.shape[0]):
            draw = bits(stream, np.uint64(i // 4)) >> (np.uint64(i % 4) * _LANE)
            row[i] *= draw & _MASK >= threshold


@linked(FLOATS_2D, INDICES, REAL, KEY, KEY, INT, INT)
def drop_input_floats(features, indices, rate, seed, epoch, first, last):
    """The same for float32, features[n] holding sample indices[n]; what is kept is divided by 1 - rate, to make good.

    For bytes the table of their values does that. Reads and writes each number once.
    """
    threshold, scale = np.uint64(rate * 65536.0), np.float32(1.0 / (1.0 - rate))
    for n in range(first, last):
        stream, row = _input_stream(seed, epoch, indices[n]), features[n]
        for i in range(row.shape[0]):
            draw = bits(stream, np.uint64(i // 4)) >> (np.uint64(i % 4) * _LANE)
            row[i] *= scale if draw & _MASK >= threshold else np.float32(0.0)


@linked(COUNTS, ENTRIES, FLOATS, INDICES, REAL, KEY, KEY, INT, INT)
def drop_input_entries(indptr, entries, values, indices, rate, seed, epoch, first, last):
    """The same where only what is not zero is stored, see `kernels.sparse`: values in place. An entry that is dropped
    stays, with the value 0."""
    threshold, scale = np.uint64(rate * 65536.0), np.float32(1.0 / (1.0 - rate))
    for n in range(first, last):
        stream = _input_stream(seed, epoch, indices[n])
        for e in range(indptr[n], indptr[n + 1]):
            i = np.int64(entries[e] >> np.uint32(BYTE_BITS))
            draw = bits(stream, np.uint64(i // 4)) >> (np.uint64(i % 4) * _LANE)
            values[e] *= scale if draw & _MASK >= threshold else np.float32(0.0)
