"""Losses: each with its gradient in the place of the outputs, the links from outputs to predictions, and their costs.

cross-entropy  loss = -sum_c t[c] log p[c], with p = softmax(logits) and t the target: 1 at the label, or with label
               smoothing s 1 - s + s / n_classes there and s / n_classes elsewhere (Szegedy et al. 2016). Its gradient
               is p - t. The largest logit is subtracted first, so that nothing overflows.
squared-error  loss = sum_c (out[c] - t[c])^2 / n_targets, with t the targets of a sample: averaged over samples the
               value of torch.nn.MSELoss(). Its gradient is 2 (out - t) / n_targets.
absolute-error loss = sum_c |out[c] - t[c]| / n_targets: averaged over samples the value of torch.nn.L1Loss(). Its
               gradient is the sign of out - t, over n_targets; 0 where the two are equal.

huber          the mean over targets of |e| (out - t = e) as delta (|e| - delta / 2), and e^2 / 2 where |e| is below
               delta: averaged over samples the value of torch.nn.HuberLoss(delta=delta). Its gradient is e, clipped to
               -delta … delta, over n_targets.
quantile       the mean over targets and levels a of (1 - a) e where e = level - t is above zero, else -a e (the pinball
               loss, Koenker and Bassett 1978). The first output of a target is its lowest level, and each further one
               adds log(1 + e^out) to the level before: levels do not cross. The gradient of an output is the sum of
               those of its level and all above it, times sigmoid(out) but for the first.
poisson        the mean over targets of e^out - t out: averaged over samples the value of
               torch.nn.PoissonNLLLoss(log_input=True). Its gradient is (e^out - t) / n_targets.
binary-cross-entropy  the mean over labels of -(t log p + (1 - t) log(1 - p)), with p = sigmoid(out) and t 1 or 0, or
               with label smoothing s t (1 - s) + s / 2: averaged over samples the value of
               torch.nn.BCEWithLogitsLoss(). Its gradient is (p - t) / n_labels.

softmax        p[c] = e^out[c] / sum_c e^out[c]
identity       the outputs themselves
levels         of each target the first output, and each further one as log(1 + e^out) more than the level before
exponential    e^out
sigmoid        1 / (1 + e^-out)

An output that is NaN or infinite stays visible in every loss.

Numbers that a loss depends on, as Huber's delta or the quantiles, are in one array that every loss and link gets.

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
from jitnet.kernels.exponential import log1p, softplus, tile_exp, tile_sigmoid, tile_size, tile_smaller
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
    "binary_cross_entropy",
    "exponential",
    "huber",
    "identity",
    "levels",
    "poisson",
    "quantile",
    "run_link",
    "run_loss",
    "sigmoids",
    "softmax",
    "softmax_cross_entropy",
    "squared_error",
    "weigh_samples",
]

_F = np.float32


class Price(NamedTuple):
    """FLOP and bytes, for each output of each sample, for each target, which may have several outputs, and for each
    sample, counted as `engine.costs` says."""

    output_flop: float = 0.0
    sample_flop: float = 0.0
    output_bytes: float = 0.0
    sample_bytes: float = 0.0
    target_flop: float = 0.0
    target_bytes: float = 0.0


class LossKernel(NamedTuple):
    """What else must be known of a loss.

    code: its number in compiled code, its place in the table. function: computes it. price: of the function, without
    the outputs themselves, which it overwrites. judge: the loss of each sample, (n,), of predictions (n, n_outputs),
    labels (n,) or targets (n, n_targets), and the loss's numbers, for those that are at hand already; plain NumPy, in
    float64.
    """

    code: int
    function: Callable[..., None]
    price: Price
    judge: Callable[[Any, Any, Any], Any]


class LinkKernel(NamedTuple):
    """The same of a link from outputs to predictions. price: outputs included, which it overwrites or leaves."""

    code: int
    function: Callable[..., None]
    price: Price


LOSS_ARGUMENTS = (FLOATS, INT, INDICES, FLOATS_2D, INDICES, FLOATS, INDICES, INT, SINGLE, SINGLE, FLOATS, INT, INT)
"""Types of what every loss takes: outputs_t, stride, labels, targets, indices, losses, correct, n_outputs, smoothing,
factor, numbers, first, last. See `softmax_cross_entropy`, and `squared_error` for targets that are numbers."""

LINK_ARGUMENTS = (FLOATS, INT, FLOATS)
"""Types of what every link takes: the outputs of a sample, how many they are, and the loss's numbers."""


@linked(*LINK_ARGUMENTS)
def softmax(row, n_classes, numbers):
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
def identity(row, n_outputs, numbers):
    """Leave one sample's outputs as they are."""


@linked(*LINK_ARGUMENTS)
def levels(row, n_outputs, numbers):
    """Turn one sample's outputs into the quantiles of its targets, in place; numbers: the levels, one an output of a
    target."""
    for c in range(n_outputs):
        if c % numbers.shape[0] > 0:
            row[c] = row[c - 1] + softplus(row[c])


@linked(*LINK_ARGUMENTS)
def exponential(row, n_outputs, numbers):
    """Turn one sample's outputs into e**out, in place; room and filling as in `softmax`."""
    most = tile_zero(1, 1) + _F(88.0)
    for c in range(0, n_outputs, LANES):
        tile_store(tile_exp(tile_smaller(tile_load(1, 1, row, c, 0), most)), row, c, 0)
        for k in range(n_outputs, c + LANES):
            row[k] = _F(0.0)


@linked(*LINK_ARGUMENTS)
def sigmoids(row, n_outputs, numbers):
    """Turn one sample's outputs into 1 / (1 + e**-out), in place; room and filling as in `softmax`."""
    for c in range(0, n_outputs, LANES):
        tile_store(tile_sigmoid(tile_load(1, 1, row, c, 0)), row, c, 0)
        for k in range(n_outputs, c + LANES):
            row[k] = _F(0.0)


@linked(*LOSS_ARGUMENTS)
def softmax_cross_entropy(
    logits_t, stride, labels, targets, indices, losses, correct, n_classes, smoothing, factor, numbers, first, last
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
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, numbers, first, last
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
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, numbers, first, last
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


@linked(*LOSS_ARGUMENTS)
def huber(
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, numbers, first, last
):
    """Turn the outputs of samples first <= n < last into the gradient of Huber's loss times factor: e = out - t clipped
    to -delta … delta, over n_targets; write each sample's loss, the mean over its targets.

    numbers: delta. Other arguments as in `squared_error`. 14 FLOP and 12 bytes an output.
    """
    mean = _F(1.0) / _F(n_targets)
    slope = mean * factor
    most = tile_zero(1, 1) + numbers[0]
    least = tile_zero(1, 1) - numbers[0]
    for n in range(first, last, LANES):
        total = tile_zero(1, 1)
        for c in range(n_targets):
            for k in range(n, min(last, n + LANES)):
                losses[k] = targets[indices[k], c]
            error = tile_load(1, 1, outputs_t, c * stride + n, 0) - tile_load(1, 1, losses, n, 0)
            size = tile_size(error)
            near = tile_smaller(
                size, most
            )  # near * (size - near / 2) is the square's half below delta, and linear above
            total = total + near * (size - near * _F(0.5))
            tile_store(tile_larger(tile_smaller(error, most), least) * slope, outputs_t, c * stride + n, 0)
        tile_store(total * mean, losses, n, 0)


@linked(*LOSS_ARGUMENTS)
def quantile(
    outputs_t, stride, labels, targets, indices, losses, correct, n_outputs, smoothing, factor, numbers, first, last
):
    """Turn the outputs of samples first <= n < last into the gradient of the pinball loss times factor, in place; write
    each sample's loss, the mean over its targets and their levels.

    numbers: the levels a, ascending; a target has an output for each. Other arguments as in `squared_error`. FLOP and
    bytes: see `LOSS_KERNELS`.
    """
    n_levels = numbers.shape[0]
    mean = _F(1.0) / _F(n_outputs)
    slope = mean * factor
    one = tile_zero(1, 1) + _F(1.0)
    for n in range(first, last, LANES):
        end = min(last, n + LANES)
        total = tile_zero(1, 1)
        for first_output in range(0, n_outputs, n_levels):
            for k in range(n, end):
                losses[k] = targets[indices[k], first_output // n_levels]
            target = tile_load(1, 1, losses, n, 0)
            level = tile_load(1, 1, outputs_t, first_output * stride + n, 0)
            for q in range(n_levels):
                at = (first_output + q) * stride + n
                share = one
                if q > 0:
                    output = tile_load(1, 1, outputs_t, at, 0)
                    size = tile_size(output)
                    level = level + ((output + size) * _F(0.5) + log1p(tile_exp(tile_zero(1, 1) - size)))
                    share = tile_sigmoid(output)
                error = level - target
                total = total + tile_larger(error * (_F(1.0) - numbers[q]), error * -numbers[q])
                # What an output moves its level by is above zero: its sign can say on which side of t the level is.
                tile_store(share, outputs_t, at, 0)
                tile_store(error, losses, n, 0)
                for k in range(LANES):
                    outputs_t[at + k] = outputs_t[at + k] if losses[n + k] > _F(0.0) else -outputs_t[at + k]
            moved = tile_zero(1, 1)
            for back in range(n_levels):
                q = n_levels - 1 - back
                at = (first_output + q) * stride + n
                for k in range(LANES):
                    losses[n + k] = _F(1.0) - numbers[q] if outputs_t[at + k] > _F(0.0) else -numbers[q]
                moved = moved + tile_load(1, 1, losses, n, 0)
                tile_store(moved * tile_size(tile_load(1, 1, outputs_t, at, 0)) * slope, outputs_t, at, 0)
        tile_store(total * mean, losses, n, 0)


@linked(*LOSS_ARGUMENTS)
def poisson(
    outputs_t, stride, labels, targets, indices, losses, correct, n_targets, smoothing, factor, numbers, first, last
):
    """Turn the outputs of samples first <= n < last into the gradient (e^out - t) / n_targets * factor, in place; write
    each sample's loss, the mean over its targets of e^out - t out.

    Arguments as in `squared_error`. e^out ends at e^88. FLOP and bytes: see `LOSS_KERNELS`.
    """
    mean = _F(1.0) / _F(n_targets)
    slope = mean * factor
    most = tile_zero(1, 1) + _F(88.0)
    for n in range(first, last, LANES):
        total = tile_zero(1, 1)
        for c in range(n_targets):
            for k in range(n, min(last, n + LANES)):
                losses[k] = targets[indices[k], c]
            output, target = tile_load(1, 1, outputs_t, c * stride + n, 0), tile_load(1, 1, losses, n, 0)
            rate = tile_exp(tile_smaller(output, most))
            total = total + (rate - target * output)
            tile_store((rate - target) * slope, outputs_t, c * stride + n, 0)
        tile_store(total * mean, losses, n, 0)


@linked(*LOSS_ARGUMENTS)
def binary_cross_entropy(
    logits_t, stride, labels, targets, indices, losses, correct, n_labels, smoothing, factor, numbers, first, last
):
    """Turn the logits of samples first <= n < last into the gradient (p - t) / n_labels * factor, in place; write each
    sample's loss, the mean over its labels, and how many of its labels are right: 1 where the logit is above zero.

    targets (samples, n_labels) float32, each 0 or 1. Other arguments as in `softmax_cross_entropy`. FLOP and bytes: see
    `LOSS_KERNELS`.
    """
    mean = _F(1.0) / _F(n_labels)
    slope = mean * factor
    sure, spread = _F(1.0) - smoothing, smoothing * _F(0.5)
    for n in range(first, last, LANES):
        end = min(last, n + LANES)
        total = tile_zero(1, 1)
        for k in range(n, end):
            correct[k] = 0
        for c in range(n_labels):
            for k in range(n, end):
                losses[k] = targets[indices[k], c]
                correct[k] += (logits_t[c * stride + k] > _F(0.0)) == (losses[k] > _F(0.5))
            logit = tile_load(1, 1, logits_t, c * stride + n, 0)
            target = tile_load(1, 1, losses, n, 0) * sure + spread
            power = tile_exp(tile_zero(1, 1) - tile_size(logit))
            # Differences first: beside a vast logit the logarithm would be rounded away.
            total = total + ((tile_larger(logit, tile_zero(1, 1)) - target * logit) + log1p(power))
            tile_store((tile_sigmoid(logit) - target) * slope, logits_t, c * stride + n, 0)
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


def _judge_cross_entropy(probabilities: Any, labels: Any, numbers: Any) -> Any:
    """-log p[label]."""
    at_label = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(at_label, np.finfo(np.float32).tiny))


def _judge_squared_error(predictions: Any, targets: Any, numbers: Any) -> Any:
    """Mean over targets of (prediction - t)^2."""
    return ((predictions.astype(np.float64) - targets) ** 2).mean(axis=1)


def _judge_absolute_error(predictions: Any, targets: Any, numbers: Any) -> Any:
    """Mean over targets of |prediction - t|."""
    return np.abs(predictions.astype(np.float64) - targets).mean(axis=1)


def _judge_huber(predictions: Any, targets: Any, numbers: Any) -> Any:
    """Mean over targets of Huber's loss."""
    size = np.abs(predictions.astype(np.float64) - targets)
    near = np.minimum(size, numbers[0])
    return (near * (size - near / 2)).mean(axis=1)


def _judge_quantile(predictions: Any, targets: Any, numbers: Any) -> Any:
    """Mean over targets and levels of the pinball loss, of predictions that are the levels."""
    levels = np.asarray(numbers, np.float64)
    errors = predictions.astype(np.float64).reshape(len(targets), -1, len(levels)) - targets[:, :, None]
    return np.maximum(errors * (1 - levels), -errors * levels).mean(axis=(1, 2))


def _judge_poisson(predictions: Any, targets: Any, numbers: Any) -> Any:
    """Mean over targets of rate - t log(rate), of predictions that are the rates."""
    rates = predictions.astype(np.float64)
    return (rates - targets * np.log(np.maximum(rates, np.finfo(np.float32).tiny))).mean(axis=1)


def _judge_binary_cross_entropy(probabilities: Any, targets: Any, numbers: Any) -> Any:
    """Mean over labels of -log of the probability of what is right. Of a 1 in float32 it is not known how close to 1 it
    was: it counts as in the middle of 1 and the number below."""
    right = np.where(targets > 0.5, probabilities, 1.0 - probabilities.astype(np.float64))
    least = np.where(targets > 0.5, np.finfo(np.float32).tiny, 2.0**-25)
    return -np.log(np.maximum(right, least)).mean(axis=1)


LOSS_KERNELS: dict[str, LossKernel] = {
    "cross-entropy": LossKernel(0, softmax_cross_entropy, Price(26, 8, 0, 12), _judge_cross_entropy),
    "binary-cross-entropy": LossKernel(1, binary_cross_entropy, Price(70, 1, 4, 8), _judge_binary_cross_entropy),
    "squared-error": LossKernel(2, squared_error, Price(4, 1, 4, 4), _judge_squared_error),
    "absolute-error": LossKernel(3, absolute_error, Price(3, 1, 4, 4), _judge_absolute_error),
    "huber": LossKernel(4, huber, Price(13, 1, 4, 4), _judge_huber),
    "quantile": LossKernel(5, quantile, Price(70, 1, 0, 4, -60, 4), _judge_quantile),
    "poisson": LossKernel(6, poisson, Price(29, 1, 4, 4), _judge_poisson),
}

LINK_KERNELS: dict[str, LinkKernel] = {
    "softmax": LinkKernel(0, softmax, Price(24, LANES, 8, 0)),
    "sigmoid": LinkKernel(1, sigmoids, Price(24, 0, 8, 0)),
    "identity": LinkKernel(2, identity, Price(0, 0, 4, 0)),
    "levels": LinkKernel(3, levels, Price(42, 0, 8, 0, -42, 0)),
    "exponential": LinkKernel(4, exponential, Price(24, 0, 8, 0)),
}

run_loss = switch([kernel.function for kernel in LOSS_KERNELS.values()], LOSS_ARGUMENTS)
"""Does what the loss of a code does: (code, *LOSS_ARGUMENTS)."""

run_link = switch([kernel.function for kernel in LINK_KERNELS.values()], LINK_ARGUMENTS)
"""Does what the link of a code does: (code, *LINK_ARGUMENTS)."""


@driver(INT, FLOATS_2D, INDICES, FLOATS_2D, FLOATS, INDICES, REAL, FLOATS, INT)
def apply_loss(loss, outputs_t, labels, targets, losses, correct, smoothing, numbers, parts):
    """A loss of plain arrays, with the mean's gradient. loss: its code. outputs_t (n_outputs, batch) float32, which
    becomes the gradient, labels (batch,) int32 or targets (batch, n_targets) float32, the other empty; losses (batch,)
    float32, correct (batch,) int32; numbers: what the loss depends on, float32.

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
        more = share, factor, numbers, first, last
        run_loss(loss, flat, batch, labels, targets, indices, losses, correct, n_outputs, *more)
        restore_float_flags(flags)
