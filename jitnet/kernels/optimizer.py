"""Optimizers: from a gradient to an update, over any range of the parameters, each as PyTorch defines it.

w weights, g gradient, m and v moments, all flat float32 of one layout; r the learning rate, d the weight decay.

sgd        w -= r g'                             with g' = g + d w (L2; not in adamw)
momentum   m = momentum m + g';  w -= r m        (Polyak 1964; the first step takes m = g')
nesterov   m as above;           w -= r (g' + momentum m)                    (Nesterov 1983; Sutskever et al. 2013)
rmsprop    v = rho v + (1 - rho) g'^2;  w -= r g' / (sqrt(v) + epsilon)      (Hinton 2012)
adam       m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2;
           w -= r / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon)    (Kingma and Ba 2015)
adamw      the same on g itself, after w -= r d w                            (Loshchilov and Hutter 2019)
lion       w -= r (sign(beta1 m + (1 - beta1) g) + d w);  m = beta2 m + (1 - beta2) g         (Chen et al. 2023)

A new one is: its formula above, a line in OPTIMIZER_KERNELS, a function beside these and its call in `update`; and its
name and hyperparameters in `config/choices.py`. Every other room asks these two tables.

The loops work on one vector of 16 at a time: three streams that are stored to would not vectorise otherwise.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import prange, typeof

from jitnet.compiler.decorators import driver, helper, linked
from jitnet.compiler.signatures import FLOATS, FLOATS_2D, INT, REAL, make_record
from jitnet.config.choices import HYPERPARAMETERS, OptimizerFields
from jitnet.machine.blocks import LANES
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.tile import tile_load, tile_max, tile_sqrt, tile_store, tile_zero

__all__ = ["OPTIMIZER_KERNELS", "OptimizerKernel", "average", "optimizer_settings", "update", "update_parameters"]

_F = np.float32


class OptimizerKernel(NamedTuple):
    """What else must be known of an optimizer.

    code: its number in compiled code. moments: which of them it keeps from step to step. plain: without weight decay
    its update is w -= r g and nothing else, so that the gradient may be added straight to the weights. flop, bytes: of
    `update` for each parameter, counted as `engine.costs` says.
    """

    code: int
    moments: tuple[str, ...]
    plain: bool
    flop: int
    bytes: int


OPTIMIZER_KERNELS = {
    "sgd": OptimizerKernel(0, (), True, 5, 12),
    "momentum": OptimizerKernel(1, ("first_moment",), False, 10, 20),
    "nesterov": OptimizerKernel(2, ("first_moment",), False, 10, 20),
    "rmsprop": OptimizerKernel(3, ("second_moment",), False, 12, 20),
    "adam": OptimizerKernel(4, ("first_moment", "second_moment"), False, 16, 28),
    "adamw": OptimizerKernel(5, ("first_moment", "second_moment"), False, 16, 28),
    "lion": OptimizerKernel(6, ("first_moment",), False, 13, 20),
}
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW, LION = (
    np.int64(optimizer.code) for optimizer in OPTIMIZER_KERNELS.values()
)

OPTIMIZER_SETTINGS = np.dtype(
    [("code", np.int64), ("weight_decay", np.float64), *((name, np.float64) for name in HYPERPARAMETERS)], align=True
)
"""A record of an optimizer's settings: its code, and every hyperparameter by name."""

_RECORDS = np.dtype((np.record, OPTIMIZER_SETTINGS))


def optimizer_settings(config: OptimizerFields) -> np.record:
    """The record that `update` takes, of what people write."""
    fields = {name: getattr(config, name) for name in ("weight_decay", *HYPERPARAMETERS)}
    return make_record(OPTIMIZER_SETTINGS, code=OPTIMIZER_KERNELS[config.optimizer].code, **fields)


@helper
def _sgd(settings, w, dw, rate, factor, first, last):
    decay = _F(settings.weight_decay)
    for k in range(first, last, LANES):
        weight = tile_load(1, 1, w, k, 0)
        tile_store(weight - (tile_load(1, 1, dw, k, 0) * factor + weight * decay) * rate, w, k, 0)


@helper
def _momentum(settings, w, dw, m, step, rate, factor, first, last):
    """momentum and nesterov: w moves along the velocity, or along a share of it beside the gradient."""
    decay = _F(settings.weight_decay)
    keep = _F(settings.momentum) if step > 1 else _F(0.0)
    ahead = settings.code == NESTEROV
    direct, through = (_F(1.0), _F(settings.momentum)) if ahead else (_F(0.0), _F(1.0))
    for k in range(first, last, LANES):
        weight = tile_load(1, 1, w, k, 0)
        gradient = tile_load(1, 1, dw, k, 0) * factor + weight * decay
        velocity = tile_load(1, 1, m, k, 0) * keep + gradient
        tile_store(velocity, m, k, 0)
        tile_store(weight - (gradient * direct + velocity * through) * rate, w, k, 0)


@helper
def _rmsprop(settings, w, dw, v, rate, factor, first, last):
    decay, keep, new = _F(settings.weight_decay), _F(settings.rho), _F(1.0 - settings.rho)
    tiny = _F(settings.epsilon)
    for k in range(first, last, LANES):
        weight = tile_load(1, 1, w, k, 0)
        gradient = tile_load(1, 1, dw, k, 0) * factor + weight * decay
        square = tile_load(1, 1, v, k, 0) * keep + gradient * gradient * new
        tile_store(square, v, k, 0)
        tile_store(weight - gradient / (tile_sqrt(square) + tiny) * rate, w, k, 0)


@helper
def _adam(settings, w, dw, m, v, step, learning_rate, factor, first, last):
    """adam and adamw, which differ in where the weight decay goes."""
    apart = settings.code == ADAMW
    beta1, beta2 = settings.beta1, settings.beta2
    keep1, new1, keep2, new2 = _F(beta1), _F(1.0 - beta1), _F(beta2), _F(1.0 - beta2)
    shrink = _F(1.0 - learning_rate * settings.weight_decay) if apart else _F(1.0)
    penalty = _F(0.0) if apart else _F(settings.weight_decay)
    # sqrt(v / c2) + eps = (sqrt(v) + eps sqrt(c2)) / sqrt(c2): both corrections become two numbers a step.
    root = math.sqrt(1.0 - beta2**step)
    size, tiny = _F(learning_rate * root / (1.0 - beta1**step)), _F(settings.epsilon * root)
    for k in range(first, last, LANES):
        weight = tile_load(1, 1, w, k, 0)
        gradient = tile_load(1, 1, dw, k, 0) * factor + weight * penalty
        mean = tile_load(1, 1, m, k, 0) * keep1 + gradient * new1
        square = tile_load(1, 1, v, k, 0) * keep2 + gradient * gradient * new2
        tile_store(mean, m, k, 0)
        tile_store(square, v, k, 0)
        tile_store(weight * shrink - mean / (tile_sqrt(square) + tiny) * size, w, k, 0)


@helper
def _lion(settings, w, dw, m, learning_rate, factor, first, last):
    """Every weight moves by the same length, whichever way the sum points: its sign, cut out between -1 and 1."""
    beta1, beta2 = settings.beta1, settings.beta2
    keep1, new1, keep2, new2 = _F(beta1), _F(1.0 - beta1), _F(beta2), _F(1.0 - beta2)
    shrink, rate = _F(1.0 - learning_rate * settings.weight_decay), _F(learning_rate)
    vast, one = _F(1e38), _F(1.0)
    for k in range(first, last, LANES):
        gradient = tile_load(1, 1, dw, k, 0) * factor
        mean = tile_load(1, 1, m, k, 0)
        direction = (mean * keep1 + gradient * new1) * vast
        sign = tile_zero(1, 1) - tile_max(tile_zero(1, 1) - tile_max(direction, -one), -one)
        tile_store(mean * keep2 + gradient * new2, m, k, 0)
        tile_store(tile_load(1, 1, w, k, 0) * shrink - sign * rate, w, k, 0)


@linked(typeof(make_record(OPTIMIZER_SETTINGS)), FLOATS, FLOATS, FLOATS, FLOATS, INT, REAL, REAL, INT, INT)
def update(settings, w, dw, m, v, step, learning_rate, factor, first, last):
    """Update w[first:last] from the gradient factor * dw; first and last are multiples of LANES, step counts from 1.

    settings: as `optimizer_settings` makes them. Moments that an optimizer does not keep may be empty.
    FLOP and bytes a parameter: flop and bytes of OPTIMIZER_KERNELS.
    """
    rate, factor = _F(learning_rate), _F(factor)
    if settings.code == SGD:
        _sgd(settings, w, dw, rate, factor, first, last)
    elif settings.code == MOMENTUM or settings.code == NESTEROV:
        _momentum(settings, w, dw, m, step, rate, factor, first, last)
    elif settings.code == RMSPROP:
        _rmsprop(settings, w, dw, v, rate, factor, first, last)
    elif settings.code == ADAM or settings.code == ADAMW:
        _adam(settings, w, dw, m, v, step, learning_rate, factor, first, last)
    elif settings.code == LION:
        _lion(settings, w, dw, m, learning_rate, factor, first, last)


@linked(FLOATS, FLOATS, REAL, INT, INT)
def average(w, mean, decay, first, last):
    """mean = decay * mean + (1 - decay) * w over a range (multiples of LANES): exponential moving average of the
    weights. 3 FLOP and 12 bytes a parameter."""
    keep, new = _F(decay), _F(1.0 - decay)
    for k in range(first, last, LANES):
        tile_store(tile_load(1, 1, mean, k, 0) * keep + tile_load(1, 1, w, k, 0) * new, mean, k, 0)


@driver(typeof(make_record(OPTIMIZER_SETTINGS)), FLOATS_2D, FLOATS_2D, FLOATS_2D, FLOATS_2D, INT, REAL, INT)
def update_parameters(settings, w, dw, m, v, step, learning_rate, parts):
    """`update` of whole matrices, in parts: w, dw, m, v float32 (rows, columns), with a multiple of LANES numbers."""
    vectors = w.size // LANES
    shared = np.empty(1, _RECORDS)  # a parallel region takes an array of records, but no record
    shared[0] = settings
    for part in prange(parts):
        flags = flush_denormals()
        first, last = vectors * part // parts * LANES, vectors * (part + 1) // parts * LANES
        update(
            shared[0],
            w.reshape(-1),
            dw.reshape(-1),
            m.reshape(-1),
            v.reshape(-1),
            step,
            learning_rate,
            1.0,
            first,
            last,
        )
        restore_float_flags(flags)
