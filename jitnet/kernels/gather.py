"""From stored samples to a batch: rows picked by the epoch's order and turned into float32 network inputs."""

import numpy as np

from jitnet.compiler.decorators import linked
from jitnet.compiler.signatures import BYTES_2D, FLOATS, FLOATS_2D, INDICES, INT

__all__ = ["gather_bytes", "gather_floats"]


@linked(BYTES_2D, INDICES, FLOATS, FLOATS, INT, INT, INT)
def gather_bytes(images, indices, byte_values, x, x_stride, first, last):
    """x[n, i] = byte_values[images[indices[n], i]] for first <= n < last.

    images (samples, features) uint8, indices (batch,) int32, x flat in rows of x_stride. byte_values (256,) float32 is
    linear in the byte, so that a product and a sum do: those vectorise, looking up each byte would not.
    2 FLOP and 5 bytes a number.
    """
    offset = byte_values[0]
    slope = byte_values[1] - byte_values[0]
    for n in range(first, last):
        source = images[indices[n]]
        row = x[n * x_stride : n * x_stride + source.shape[0]]
        for i in range(row.shape[0]):
            row[i] = np.float32(source[i]) * slope + offset


@linked(FLOATS_2D, INDICES, FLOATS, INT, INT, INT)
def gather_floats(features, indices, x, x_stride, first, last):
    """x[n, i] = features[indices[n], i] for first <= n < last; features (samples, features) float32. 8 bytes a
    number."""
    for n in range(first, last):
        source = features[indices[n]]
        row = x[n * x_stride : n * x_stride + source.shape[0]]
        for i in range(row.shape[0]):
            row[i] = source[i]
