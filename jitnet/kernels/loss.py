"""Softmax and cross-entropy: probabilities, loss, and the gradient of the logits in place.

loss = -sum_c t[c] log p[c], with p = softmax(logits) and t the target: 1 at the label, or with label smoothing s
1 - s + s / n_classes there and s / n_classes elsewhere (Szegedy et al. 2016). Its gradient is p - t.
The largest logit is subtracted first, so that nothing overflows; a NaN or an infinite logit stays visible in the loss.
"""

import math

import numpy as np
from numba import prange

from jitnet.compiler.blocks import LANES
from jitnet.compiler.decorators import driver, linked
from jitnet.compiler.denormals import flush_denormals, restore_float_flags
from jitnet.compiler.signatures import FLOATS, INDICES, INT, SINGLE
from jitnet.compiler.tile import tile_larger, tile_load, tile_store, tile_sum, tile_zero
from jitnet.kernels.exponential import tile_exp

__all__ = ["cross_entropy", "softmax", "softmax_cross_entropy"]

_F = np.float32


@linked(FLOATS, INT)
def softmax(row, n_classes):
    """Turn one sample's logits into probabilities, in place; row has room for whole vectors of LANES logits, and what
    is behind n_classes there is zeroed. Lanes are summed by themselves and then together: the same bits on every
    processor."""
    largest = row[0]
    for c in range(1, n_classes):
        largest = row[c] if row[c] > largest else largest
    total = tile_zero(1, 1)
    for c in range(0, n_classes, LANES):
        # The filling is computed too, and zeroed afterwards. Ten classes alone would be ten scalar exps.
        tile_store(tile_exp(tile_load(1, 1, row, c, 0) - largest), row, c, 0)
        for k in range(n_classes, c + LANES):
            row[k] = _F(0.0)
        total = total + tile_load(1, 1, row, c, 0)
    scale = _F(1.0) / tile_sum(total)
    for c in range(n_classes):
        row[c] *= scale


@linked(FLOATS, INT, INDICES, INDICES, FLOATS, INDICES, INT, SINGLE, SINGLE, INT, INT)
def softmax_cross_entropy(
    logits_t, stride, labels, indices, losses, correct, n_classes, smoothing, factor, first, last
):
    """Turn the logits of samples first <= n < last into the gradient (p - t) * factor, in place; write each sample's
    loss and whether the guess was right.

    logits_t (n_classes, batch) float32, flat, samples last in rows of stride; the label of sample n is
    labels[indices[n]]. losses (batch,) float32, correct (batch,) int32. Sixteen samples are one vector: first is a
    multiple of LANES, and logits_t and losses have room up to the next one after last. A logit that is NaN or infinite
    gives a loss that is NaN. 26 FLOP and 8 bytes a logit.
    """
    sure = _F(1.0) - smoothing
    for n in range(first, last, LANES):
        end = min(last, n + LANES)
        largest = tile_load(1, 1, logits_t, n, 0)
        mean = largest
        for c in range(1, n_classes):
            logit = tile_load(1, 1, logits_t, c * stride + n, 0)
            largest = tile_larger(largest, logit)
            mean = mean + logit
        for k in range(n, end):
            losses[k] = logits_t[labels[indices[k]] * stride + k]
        behind = largest - tile_load(1, 1, losses, n, 0)
        # Differences first: beside a vast logit the logarithm would be rounded away. The mean stays in without
        # smoothing: zero times what is not finite is NaN.
        loss = behind * sure + (largest - mean / _F(n_classes)) * smoothing
        tile_store(behind, losses, n, 0)
        for k in range(n, end):
            # The guess is the first of the largest.
            hit = losses[k] == _F(0.0)
            label = labels[indices[k]]
            for c in range(label):
                hit = hit and logits_t[c * stride + k] != logits_t[label * stride + k]
            correct[k] = hit

        total = tile_zero(1, 1)
        for c in range(n_classes):
            power = tile_exp(tile_load(1, 1, logits_t, c * stride + n, 0) - largest)
            tile_store(power, logits_t, c * stride + n, 0)
            total = total + power
        scale = (tile_zero(1, 1) + factor) / total
        for c in range(n_classes):
            power = tile_load(1, 1, logits_t, c * stride + n, 0)
            tile_store(power * scale - smoothing / _F(n_classes) * factor, logits_t, c * stride + n, 0)
        tile_store(total, losses, n, 0)
        for k in range(n, end):
            logits_t[labels[indices[k]] * stride + k] -= sure * factor
            losses[k] = math.log(losses[k])
        tile_store(tile_load(1, 1, losses, n, 0) + loss, losses, n, 0)


@driver
def cross_entropy(logits_t, labels, losses, correct, smoothing, parts):
    """`softmax_cross_entropy` of plain arrays, with the mean's gradient: logits_t (n_classes, batch) float32, which
    becomes the gradient, labels (batch,) int32, losses (batch,) float32, correct (batch,) int32.

    The batch is a multiple of LANES; whole vectors of samples are split in parts.
    """
    n_classes, batch = logits_t.shape
    indices = np.empty(batch, np.int32)
    for n in range(batch):
        indices[n] = n
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch // LANES * part // parts * LANES, batch // LANES * (part + 1) // parts * LANES
        factor = _F(1.0 / batch)
        softmax_cross_entropy(
            logits_t.reshape(-1), batch, labels, indices, losses, correct, n_classes, _F(smoothing), factor, first, last
        )
        restore_float_flags(flags)
