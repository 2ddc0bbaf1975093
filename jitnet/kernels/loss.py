"""Losses: each with its gradient in the place of the outputs, the links from outputs to predictions, and their costs.

cross-entropy  loss = -sum_c t[c] log p[c], with p = softmax(logits) and t the target: 1 at the label, or with label
               smoothing s 1 - s + s / n_classes there and s / n_classes elsewhere (Szegedy et al. 2016). Its gradient
               is p - t. The largest logit is subtracted first, so that nothing overflows.
squared-error  loss = sum_c (out[c] - t[c])^2 / n_targets, with t the targets of a sample: averaged over samples the
               value of torch.nn.MSELoss(). Its gradient is 2 (out - t) / n_targets.
absolute-error loss = sum_c |out[c] - t[c]| / n_targets: averaged over samples the value of torch.nn.L1Loss(). Its
               gradient is the sign of out - t, over n_targets; 0 where the two are equal.

softmax        p[c] = e^out[c] / sum_c e^out[c]
identity       the outputs themselves

An output that is NaN or infinite stays visible in every loss.

A new loss is: its formula above, its function with LOSS_ARGUMENTS and a line in LOSS_KERNELS; and its name, task, link
and metrics in `config/choices.py`. A new link is its function and a line in LINK_KERNELS. Every other room asks these
tables.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import prange

from jitnet.compiler.decorators import driver, linked
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INDICES, INT, REAL, SINGLE
from jitnet.compiler.switch import switch
from jitnet.kernels.exponential import tile_exp
from jitnet.machine.blocks import LANES
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import tile_larger, tile_load, tile_store, tile_sum, tile_zero

__all__ = [
    "LINK_KERNELS",
    "LOSS_KERNELS",
    "LinkKernel",
    "LossKernel",
    "Price",
    "absolute_error",
    "apply_loss",
    "identity",
    "run_link",
    "run_loss",
    "softmax",
    "softmax_cross_entropy",
    "squared_error",
    "weigh_samples",
]

_F = np.float32


class Price(NamedTuple):
    """FLOP and bytes, for each output of each sample and for each sample, counted as `engine.costs` says."""

    output_flop: float = 0.0
    sample_flop: float = 0.0
    output_bytes: float = 0.0
    sample_bytes: float = 0.0


class LossKernel(NamedTuple):
    """What else must be known of a loss.

    code: its number in compiled code, its place in the table. function: computes it. price: of the function, without
    the outputs themselves, which it overwrites. judge: the loss of each sample, (n,), of predictions (n, n_outputs) and
    labels (n,) or targets (n, n_outputs), for those that are at hand already; plain NumPy, in float64.
    """

    code: int
    function: Callable[..., None]
    price: Price
    judge: Callable[[Any, Any], Any]


class LinkKernel(NamedTuple):
    """The same of a link from outputs to predictions. price: outputs included, which it overwrites or leaves."""

    code: int
    function: Callable[..., None]
    price: Price


LOSS_ARGUMENTS = (FLOATS, INT, INDICES, FLOATS_2D, INDICES, FLOATS, INDICES, INT, SINGLE, SINGLE, INT, INT)
"""Types of what every loss takes: outputs_t, stride, labels, targets, indices, losses, correct, n_outputs, smoothing,
factor, first, last. See `softmax_cross_entropy`, and `squared_error` for targets that are numbers."""

LINK_ARGUMENTS = (FLOATS, INT)
"""Types of what every link takes: the outputs of a sample, and how many they are."""


@linked(*LINK_ARGUMENTS)
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


@linked(*LINK_ARGUMENTS)
def identity(row, n_outputs):
    """Leave one sample's outputs as they are."""


@linked(*LOSS_ARGUMENTS)
def softmax_cross_entropy(
    logits_t, stride, labels, targets, indices, losses, correct, n_classes, smoothing, factor, first, last
):
    """Turn the logits of samples first <= n < last into the gradient (p - t) * factor, in place; write each sample's
    loss and whether the guess was right.

    logits_t (n_classes, batch) float32, flat, samples last in rows of stride; the label of sample n is
    labels[indices[n]]; targets are not used. losses (batch,) float32, correct (batch,) int32. Sixteen samples are one
    vector: first is a multiple of LANES, and logits_t and losses have room up to the next one after last. A logit that
    is NaN or infinite makes a loss that is NaN. 26 FLOP and 8 bytes a logit.
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


@linked(*LOSS_ARGUMENTS)
def squared_error(
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, first, last
):
    """Turn the outputs of samples first <= n < last into the gradient 2 (out - t) / n_targets * factor, in place; write
    each sample's loss, the mean over its targets of (out - t)^2.

    outputs_t (n_targets, batch) float32, flat, samples last in rows of stride; t of sample n is targets[indices[n]],
    targets (samples, n_targets) float32. losses (batch,) float32. labels, correct and smoothing are not used. Vectors
    of samples and their room as in `softmax_cross_entropy`. 4 FLOP and 12 bytes an output.
    """
    mean = _F(1.0) / _F(n_targets)
    slope = _F(2.0) * mean * factor
    for n in range(first, last, LANES):
        total = tile_zero(1, 1)
        for c in range(n_targets):
            # The targets of sixteen samples are apart: brought together where the losses will be.
            for k in range(n, min(last, n + LANES)):
                losses[k] = targets[indices[k], c]
            error = tile_load(1, 1, outputs_t, c * stride + n, 0) - tile_load(1, 1, losses, n, 0)
            total = total + error * error
            tile_store(error * slope, outputs_t, c * stride + n, 0)
        tile_store(total * mean, losses, n, 0)


@linked(*LOSS_ARGUMENTS)
def absolute_error(
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, first, last
):
    """Turn the outputs of samples first <= n < last into the gradient sign(out - t) / n_targets * factor, in place;
    write each sample's loss, the mean over its targets of |out - t|.

    Arguments as in `squared_error`. 3 FLOP and 12 bytes an output.
    """
    mean = _F(1.0) / _F(n_targets)
    slope = mean * factor
    for n in range(first, last, LANES):
        total = tile_zero(1, 1)
        for c in range(n_targets):
            for k in range(n, min(last, n + LANES)):
                losses[k] = targets[indices[k], c]
            output, target = tile_load(1, 1, outputs_t, c * stride + n, 0), tile_load(1, 1, losses, n, 0)
            error = output - target
            total = total + tile_larger(error, target - output)
            tile_store(error, outputs_t, c * stride + n, 0)
            for k in range(c * stride + n, c * stride + min(last, n + LANES)):
                # What is neither above nor below zero is zero, or NaN, which stays.
                above, below = outputs_t[k] > _F(0.0), outputs_t[k] < _F(0.0)
                outputs_t[k] = slope if above else -slope if below else outputs_t[k]
        tile_store(total * mean, losses, n, 0)


@linked(FLOATS, INT, FLOATS, INDICES, FLOATS, INT, INT, INT)
def weigh_samples(gradient_t, stride, weights, indices, losses, n_outputs, first, last):
    """Multiply the loss and the gradient of samples first <= n < last by their weights, in place.

    gradient_t, losses, indices: as a loss takes them. weights (samples,) float32, that of sample n at indices[n].
    1 FLOP an output and 1 a sample; 4 bytes a sample beside what a loss has written.
    """
    for n in range(first, last):
        losses[n] *= weights[indices[n]]
    for c in range(n_outputs):
        row = gradient_t[c * stride : c * stride + last]
        for n in range(first, last):
            row[n] *= weights[indices[n]]


def _judge_cross_entropy(probabilities: Any, labels: Any) -> Any:
    """-log p[label]."""
    at_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(at_label, np.finfo(np.float32).tiny))


def _judge_squared_error(predictions: Any, targets: Any) -> Any:
    """Mean over targets of (prediction - t)^2."""
    return ((predictions.astype(np.float64) - targets) ** 2).mean(axis=1)


def _judge_absolute_error(predictions: Any, targets: Any) -> Any:
    """Mean over targets of |prediction - t|."""
    return np.abs(predictions.astype(np.float64) - targets).mean(axis=1)


LOSS_KERNELS: dict[str, LossKernel] = {
    "cross-entropy": LossKernel(0, softmax_cross_entropy, Price(26, 8, 0, 12), _judge_cross_entropy),
    "squared-error": LossKernel(1, squared_error, Price(4, 1, 4, 4), _judge_squared_error),
    "absolute-error": LossKernel(2, absolute_error, Price(3, 1, 4, 4), _judge_absolute_error),
}

LINK_KERNELS: dict[str, LinkKernel] = {
    "softmax": LinkKernel(0, softmax, Price(24, LANES, 8, 0)),
    "identity": LinkKernel(1, identity, Price(0, 0, 4, 0)),
}

run_loss = switch([kernel.function for kernel in LOSS_KERNELS.values()], LOSS_ARGUMENTS)
"""Does what the loss of a code does: (code, *LOSS_ARGUMENTS)."""

run_link = switch([kernel.function for kernel in LINK_KERNELS.values()], LINK_ARGUMENTS)
"""Does what the link of a code does: (code, *LINK_ARGUMENTS)."""


@driver(INT, FLOATS_2D, INDICES, FLOATS_2D, FLOATS, INDICES, REAL, INT)
def apply_loss(loss, outputs_t, labels, targets, losses, correct, smoothing, parts):
    """A loss of plain arrays, with the mean's gradient. loss: its code. outputs_t (n_outputs, batch) float32, which
    becomes the gradient, labels (batch,) int32 or targets (batch, n_outputs) float32, the other empty; losses (batch,)
    float32, correct (batch,) int32.

    The batch is a multiple of LANES; whole vectors of samples are split in parts.
    """
    n_outputs, batch = outputs_t.shape
    indices = np.empty(batch, np.int32)
    for n in range(batch):
        indices[n] = n
    for part in prange(parts):
        flags = flush_denormals()
        first, last = batch // LANES * part // parts * LANES, batch // LANES * (part + 1) // parts * LANES
        factor, flat = _F(1.0 / batch), outputs_t.reshape(-1)
        share = _F(smoothing)
        run_loss(loss, flat, batch, labels, targets, indices, losses, correct, n_outputs, share, factor, first, last)
        restore_float_flags(flags)
