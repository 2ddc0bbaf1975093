"""The learning rate of every step: a schedule over the run, after a linear warm-up.

With t the share of the steps after the warm-up that are done, 0 at the first and towards 1 at the last:

constant      peak
step          peak * decay ** (whole reductions so far, one every `step_every` epochs)
exponential   peak * decay ** (epochs so far)
cosine        from peak down to final, along half a cosine                       (Loshchilov and Hutter 2017)
one-cycle     up from peak / 25 over the first 30%, down to final over the rest  (Smith and Topin 2019)
"""

import math

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig

__all__ = ["learning_rates"]

_RISE = 0.3
_START = 1.0 / 25.0


def learning_rates(config: TrainConfig, steps_per_epoch: int, first: int, count: int) -> npt.NDArray[np.float64]:
    """(count,) float64: the learning rates of the run's steps first, first + 1, …"""
    return np.array([_rate(config, steps_per_epoch, step) for step in range(first, first + count)])


def _rate(config: TrainConfig, steps_per_epoch: int, step: int) -> float:
    peak, final = config.learning_rate, config.learning_rate * config.final_fraction
    warmup = round(config.warmup * steps_per_epoch)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    epochs = (step - warmup) / steps_per_epoch
    share = (step - warmup) / max(1, config.epochs * steps_per_epoch - warmup)
    match config.schedule:
        case "step":
            return peak * config.decay ** math.floor(epochs / config.step_every + 1e-9)
        case "exponential":
            return peak * config.decay**epochs
        case "cosine":
            return _between(peak, final, share)
        case "one-cycle":
            if share < _RISE:
                return _between(peak * _START, peak, share / _RISE)
            return _between(peak, final, (share - _RISE) / (1.0 - _RISE))
    return peak


def _between(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
