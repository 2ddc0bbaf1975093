"""Softmax and cross-entropy: probabilities, loss, and the gradient of the logits in place.

loss = -sum_c t[c] log p[c], with p = softmax(logits) and t the target: 1 at the label, or with label smoothing s
1 - s + s / classes there and s / classes elsewhere (Szegedy et al. 2016). Its gradient is p - t.
The largest logit is subtracted first, so that nothing overflows; a NaN or an infinite logit stays visible in the loss.
"""

import math

import numpy as np

from jitnet.kernels.activation import exp, tile_exp
from jitnet.kernels.jit import kernel
from jitnet.kernels.tile import LANES, tile_larger, tile_load, tile_store, tile_zero

__all__ = ["scale_rows", "softmax", "softmax_cross_entropy"]

_F = np.float32


@kernel
def _exponentials(row, n_classes):
    """row[c] = e**(row[c] - largest); what fills up the row becomes 0. Returns the sum and the largest logit."""
    largest = row[0]
    for c in range(1, n_classes):
        largest = row[c] if row[c] > largest else largest
    # Whole vectors: the filling is computed too, and zeroed afterwards. Ten classes alone would be ten scalar exps.
    for c in range(row.shape[0]):
        row[c] = exp(row[c] - largest)
    for c in range(n_classes, row.shape[0]):
        row[c] = _F(0.0)
    total = _F(0.0)
    for c in range(row.shape[0]):
        total += row[c]
    return total, largest


@kernel
def softmax(row, n_classes):
    """Turn one sample's logits into probabilities, in place; row may be longer than n_classes, and is zeroed there."""
    total, _ = _exponentials(row, n_classes)
    scale = _F(1.0) / total
    for c in range(row.shape[0]):
        row[c] *= scale


@kernel
def softmax_cross_entropy(zt, stride, first, last, n_classes, all_labels, rows, smoothing, factor, losses, right):
    """Turn the logits of samples first <= n < last into the gradient (p - t) * factor, in place; write each sample's
    loss and whether the guess was right.

    zt (n_classes, samples) float32, flat, samples last in rows of `stride`; the label of sample n is
    all_labels[rows[n]]. losses (samples,) float32, right (samples,) int32. Sixteen samples are one vector: first is a
    multiple of LANES, and zt and losses have room up to the next one after last. A logit that is NaN or infinite gives
    a loss that is NaN. About 30 FLOP a logit.
    """
    sure = _F(1.0) - smoothing
    for n in range(first, last, LANES):
        end = min(last, n + LANES)
        largest = tile_load(1, 1, zt, n, 0)
        mean = largest
        for c in range(1, n_classes):
            logit = tile_load(1, 1, zt, c * stride + n, 0)
            largest = tile_larger(largest, logit)
            mean = mean + logit
        for k in range(n, end):
            losses[k] = zt[all_labels[rows[k]] * stride + k]
        behind = largest - tile_load(1, 1, losses, n, 0)
        # Differences first: beside a vast logit the logarithm would be rounded away. The mean stays in without
        # smoothing: zero times what is not finite is NaN.
        loss = behind * sure + (largest - mean / _F(n_classes)) * smoothing
        tile_store(behind, losses, n, 0)
        for k in range(n, end):
            # The guess is the first of the largest.
            hit = losses[k] == _F(0.0)
            label = all_labels[rows[k]]
            for c in range(label):
                hit = hit and zt[c * stride + k] != zt[label * stride + k]
            right[k] = hit

        total = tile_zero(1, 1)
        for c in range(n_classes):
            power = tile_exp(tile_load(1, 1, zt, c * stride + n, 0) - largest)
            tile_store(power, zt, c * stride + n, 0)
            total = total + power
        scale = (tile_zero(1, 1) + factor) / total
        for c in range(n_classes):
            power = tile_load(1, 1, zt, c * stride + n, 0)
            tile_store(power * scale - smoothing / _F(n_classes) * factor, zt, c * stride + n, 0)
        tile_store(total, losses, n, 0)
        for k in range(n, end):
            zt[all_labels[rows[k]] * stride + k] -= sure * factor
            losses[k] = math.log(losses[k])
        tile_store(tile_load(1, 1, losses, n, 0) + loss, losses, n, 0)


@kernel
def scale_rows(g, stride, batch, first, last, factor):
    """g[n, o] *= factor for first <= o < last, in rows of stride."""
    for n in range(batch):
        row = g[n * stride + first : n * stride + last]
        for o in range(row.shape[0]):
            row[o] *= factor
