"""Optimizers: from a gradient to an update, over any range of the parameters, each as PyTorch defines it.

w weights, g gradient, m and v moments, all flat float32 of one layout; r the learning rate, d the weight decay.

sgd        w -= r g'                             with g' = g + d w (L2; not in adamw)
momentum   m = momentum m + g';  w -= r m        (Polyak 1964; the first step takes m = g')
nesterov   m as above;           w -= r (g' + momentum m)                    (Nesterov 1983; Sutskever et al. 2013)
rmsprop    v = rho v + (1 - rho) g'^2;  w -= r g' / (sqrt(v) + epsilon)      (Hinton 2012)
adam       m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2;
           w -= r / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon)    (Kingma and Ba 2015)
adamw      the same on g itself, after w -= r d w                            (Loshchilov and Hutter 2019)

Plain sgd without decay, clipping or averaging never comes here: the weight gradient adds straight to the weights.
The loops work on one vector of 16 at a time: three streams that are stored to would not vectorise otherwise.
"""

import math

import numpy as np

from jitnet.kernels.jit import kernel
from jitnet.kernels.tile import LANES, PANEL, tile_load, tile_max, tile_sqrt, tile_store, tile_sum, tile_zero

__all__ = [
    "ADAM",
    "ADAMW",
    "KINDS",
    "MOMENTUM",
    "NESTEROV",
    "RMSPROP",
    "SGD",
    "average",
    "limit_norms",
    "square_sum",
    "update",
]

KINDS = {"sgd": 0, "momentum": 1, "nesterov": 2, "rmsprop": 3, "adam": 4, "adamw": 5}
SGD, MOMENTUM, NESTEROV, RMSPROP, ADAM, ADAMW = KINDS.values()

_F = np.float32


@kernel
def update(
    kind, first, last, w, g, m, v, step, learning_rate, weight_decay, momentum, beta1, beta2, rho, epsilon, scale
):
    """Update w[first:last] from the gradient scale * g; first and last are multiples of 16, step counts from 1.

    Moments that a kind does not use may be empty. 1 to 4 reads and 1 to 3 writes of 4 bytes a parameter: memory binds.
    """
    rate, decay, factor = _F(learning_rate), _F(weight_decay), _F(scale)
    if kind == SGD:
        for k in range(first, last, LANES):
            weight = tile_load(1, 1, w, k, 0)
            tile_store(weight - (tile_load(1, 1, g, k, 0) * factor + weight * decay) * rate, w, k, 0)
    elif kind in (MOMENTUM, NESTEROV):
        keep = _F(momentum) if step > 1 else _F(0.0)
        nesterov = _F(momentum) if kind == NESTEROV else _F(0.0)
        direct = _F(1.0) if kind == NESTEROV else _F(0.0)
        through = nesterov if kind == NESTEROV else _F(1.0)
        for k in range(first, last, LANES):
            weight = tile_load(1, 1, w, k, 0)
            gradient = tile_load(1, 1, g, k, 0) * factor + weight * decay
            velocity = tile_load(1, 1, m, k, 0) * keep + gradient
            tile_store(velocity, m, k, 0)
            tile_store(weight - (gradient * direct + velocity * through) * rate, w, k, 0)
    elif kind == RMSPROP:
        keep, new, tiny = _F(rho), _F(1.0 - rho), _F(epsilon)
        for k in range(first, last, LANES):
            weight = tile_load(1, 1, w, k, 0)
            gradient = tile_load(1, 1, g, k, 0) * factor + weight * decay
            square = tile_load(1, 1, v, k, 0) * keep + gradient * gradient * new
            tile_store(square, v, k, 0)
            tile_store(weight - gradient / (tile_sqrt(square) + tiny) * rate, w, k, 0)
    else:
        keep1, new1, keep2, new2 = _F(beta1), _F(1.0 - beta1), _F(beta2), _F(1.0 - beta2)
        shrink = _F(1.0 - learning_rate * weight_decay) if kind == ADAMW else _F(1.0)
        penalty = _F(0.0) if kind == ADAMW else decay
        # sqrt(v / c2) + eps = (sqrt(v) + eps sqrt(c2)) / sqrt(c2): both corrections become two numbers a step.
        root = math.sqrt(1.0 - beta2**step)
        size, tiny = _F(learning_rate * root / (1.0 - beta1**step)), _F(epsilon * root)
        for k in range(first, last, LANES):
            weight = tile_load(1, 1, w, k, 0)
            gradient = tile_load(1, 1, g, k, 0) * factor + weight * penalty
            mean = tile_load(1, 1, m, k, 0) * keep1 + gradient * new1
            square = tile_load(1, 1, v, k, 0) * keep2 + gradient * gradient * new2
            tile_store(mean, m, k, 0)
            tile_store(square, v, k, 0)
            tile_store(weight * shrink - mean / (tile_sqrt(square) + tiny) * size, w, k, 0)


@kernel
def average(first, last, w, mean, decay):
    """mean = decay * mean + (1 - decay) * w over a range (multiples of 16): exponential moving average of the
    weights."""
    keep, new = _F(decay), _F(1.0 - decay)
    for k in range(first, last, LANES):
        tile_store(tile_load(1, 1, mean, k, 0) * keep + tile_load(1, 1, w, k, 0) * new, mean, k, 0)


@kernel
def square_sum(g, first, last):
    """Sum of g[k]**2 over a range (multiples of 16), as float64, in a fixed order."""
    total = 0.0
    for k in range(first, last, LANES):
        tile = tile_load(1, 1, g, k, 0)
        total += np.float64(tile_sum(tile * tile))
    return total


@kernel
def limit_norms(w, panel, in_features, largest):
    """Scale each unit's incoming weights in a panel down to the norm `largest` (Srivastava et al. 2014, section
    5.1)."""
    begin = panel * in_features * PANEL
    for o in range(0, PANEL, LANES):
        squares = tile_zero(1, 1)
        for i in range(in_features):
            tile = tile_load(1, 1, w, begin + i * PANEL + o, 0)
            squares = squares + tile * tile
        # Divided by, not multiplied: a weight below the limit is divided by 1 and keeps its bits.
        excess = tile_max(tile_sqrt(squares) / _F(largest), _F(1.0))
        for i in range(in_features):
            at = begin + i * PANEL + o
            tile_store(tile_load(1, 1, w, at, 0) / excess, w, at, 0)
