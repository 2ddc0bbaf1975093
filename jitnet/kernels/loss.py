"""Softmax and cross-entropy: probabilities, loss, and the gradient of the logits in place.

loss = -sum_c t[c] log p[c], with p = softmax(logits) and t the target: 1 at the label, or with label smoothing s
1 - s + s / classes there and s / classes elsewhere (Szegedy et al. 2016). Its gradient is p - t.
The largest logit is subtracted first, so that nothing overflows; a NaN or an infinite logit stays visible in the loss.
"""

import math

import numpy as np

from jitnet.kernels.activation import exp
from jitnet.kernels.jit import kernel

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
def softmax_cross_entropy(row, n_classes, label, smoothing):
    """Turn one sample's logits into the gradient p - t, in place; give the loss (float32) and whether the guess was
    right.

    row (at least n_classes,) float32. A logit that is NaN or infinite gives a loss that is NaN.
    """
    mean = _F(0.0)
    at_label = row[label]
    # The guess is the first of the largest: right where nothing beats the label. Counting vectorises, searching does
    # not.
    better = 0
    for c in range(n_classes):
        mean += row[c]
        better += row[c] > at_label or (row[c] == at_label and c < label)
    mean /= _F(n_classes)
    total, largest = _exponentials(row, n_classes)
    # Differences first: beside a vast logit the logarithm would be rounded away. The mean stays in without smoothing:
    # zero times what is not finite is NaN.
    loss = _F(math.log(total)) + (_F(1.0) - smoothing) * (largest - at_label) + smoothing * (largest - mean)
    scale = _F(1.0) / total
    spread = smoothing / _F(n_classes)
    for c in range(n_classes):
        row[c] = row[c] * scale - spread
    row[label] -= _F(1.0) - smoothing
    return loss, better == 0


@kernel
def scale_rows(g, stride, batch, first, last, factor):
    """g[n, o] *= factor for first <= o < last, in rows of stride."""
    for n in range(batch):
        row = g[n * stride + first : n * stride + last]
        for o in range(row.shape[0]):
            row[o] *= factor
