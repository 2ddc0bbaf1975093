"""From stored samples to a batch: rows picked by the epoch's order and turned into float32 network inputs."""

import numpy as np

from jitnet.kernels.jit import kernel

__all__ = ["gather_bytes", "gather_floats"]


@kernel
def gather_bytes(images, rows, values, first, last, x, stride):
    """x[n, i] = values[images[rows[n], i]] for first <= n < last, as i * slope + offset: values[0], values[1] give
    both.

    images (samples, features) uint8, rows (batch,) int32, values (256,) float32 linear in the byte, x flat in rows of
    stride. A conversion, a product and a sum vectorise; looking up each byte would not.
    """
    offset = values[0]
    slope = values[1] - values[0]
    for n in range(first, last):
        source = images[rows[n]]
        row = x[n * stride : n * stride + source.shape[0]]
        for i in range(row.shape[0]):
            row[i] = np.float32(source[i]) * slope + offset


@kernel
def gather_floats(features, rows, first, last, x, stride):
    """x[n, i] = features[rows[n], i] for first <= n < last; features (samples, features) float32."""
    for n in range(first, last):
        source = features[rows[n]]
        row = x[n * stride : n * stride + source.shape[0]]
        for i in range(row.shape[0]):
            row[i] = source[i]
