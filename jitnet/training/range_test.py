"""The range test of the learning rate (Smith 2017): it grows from step to step until the loss does too.

The rate grows exponentially over a fixed number of steps from a network's first weights; each step's loss is noted,
and smoothed by a moving average. At small rates the loss stays; then it falls, the faster the larger the rate; at last
steps are too large, and it grows. The rate at which it falls fastest over the logarithm of the rate is suggested: a
schedule may have it as its peak. The rate at the least loss is too large, since steps there are as long as the network
bears.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jitnet.config.choices import default_rate
from jitnet.errors import DivergedError, UsageError

if TYPE_CHECKING:
    from jitnet.training.trainer import Trainer

__all__ = ["STEPS", "RangeTest", "range_test", "steps_for"]

STEPS = (200, 100, 50)
"""Steps of a test: the first of these whose arithmetic is expected to fit the time, else the last."""

SECONDS = 2.0
"""The longest that the steps may take."""

_FLOP = 5e10
"""Arithmetic that is expected to fit the time on any processor of today. It decides by the network alone, so that the
count of steps is the same everywhere."""

_BELOW, _ABOVE = 1e-4, 1e3
"""Where the rates begin and end, as factors of the default learning rate."""

_DECAY = 0.9
"""Of the moving average of the losses."""

_DIVERGED = 4.0
"""Ratio of the smoothed loss to the least one from which the rest would show no more."""


@dataclass(frozen=True)
class RangeTest:
    """rates, losses, smoothed: of each step that was done. steps: how many were planned. suggestion: the rate to train
    with, where the smoothed loss falls fastest, rounded to two digits. least: the rate at the least smoothed loss.
    ended: why before the planned steps; empty where all were done."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steps: int
    suggestion: float
    least: float
    ended: str


def steps_for(trainer: "Trainer") -> int:
    """Steps of a trainer's test, by the arithmetic of a step alone."""
    flop = sum(line.cost.flop for line in trainer.plan.program.step)
    return next((steps for steps in STEPS if steps * flop <= _FLOP), STEPS[-1])


def range_test(trainer: "Trainer") -> RangeTest:
    """Do the test. The trainer's model stays as it is; the trainer is of no use afterwards.

    The same seed, data and configuration give the same bits, at any number of threads, unless the time ends it.
    UsageError where the loss never falls."""
    from jitnet.kernels.schedule import SCHEDULES, schedule_settings

    trainer.prepare()
    trainer.clocked = False
    config, steps = trainer.config, steps_for(trainer)
    rate = default_rate(config.optimizer, trainer.model.config.loss)
    low, high = rate * _BELOW, min(rate * _ABOVE, 1000.0)
    schedule = schedule_settings(config, steps - 1)
    schedule.code, schedule.peak, schedule.decay = SCHEDULES["exponential"], low, high / low
    schedule.warmup_steps = 0
    trainer.use_schedule(schedule)
    rates, losses, smoothed, ended = _walk(trainer, steps)
    if not losses:
        raise UsageError("the loss is NaN or infinite in the first step, at the smallest rate; check the data")
    best = int(np.argmin(smoothed))
    if smoothed[best] >= smoothed[0]:
        raise UsageError(
            f"the training loss falls at no rate from {low:g} to {high:g}: it begins at {smoothed[0]:.4g}; check the "
            "data and the network"
        )
    suggestion = float(f"{rates[_steepest(rates, smoothed, best)]:.2g}")
    return RangeTest(tuple(rates), tuple(losses), tuple(smoothed), steps, suggestion, rates[best], ended)


def _walk(trainer: "Trainer", steps: int) -> tuple[list[float], list[float], list[float], str]:
    """The rate, the loss and the smoothed loss of each step, and why the walk ended early."""
    rates, losses, smoothed = list[float](), list[float](), list[float]()
    totals, average, begun, epoch = np.zeros(3), 0.0, time.perf_counter(), 0
    n_samples, batch_size = trainer.n_samples[0], trainer.plan.step.batch_size
    try:
        while len(losses) < steps:
            epoch += 1
            if not trainer.steps_in(epoch):
                return rates, losses, smoothed, f"the run has no more than {trainer.config.max_steps} steps"
            for chunk in trainer.chunks(epoch, totals, most=1):
                samples = min(batch_size, n_samples - (chunk.done - 1) * batch_size)
                losses.append(float(totals[0]) / samples)
                rates.append(float(totals[2]))
                totals[:] = 0.0
                average = _DECAY * average + (1.0 - _DECAY) * losses[-1]
                smoothed.append(average / (1.0 - _DECAY ** len(losses)))
                if smoothed[-1] > _DIVERGED * max(min(smoothed), 1e-12) and len(losses) > steps // 10:
                    return rates, losses, smoothed, "the loss had grown to several times its least"
                if len(losses) == steps:
                    break
                if time.perf_counter() - begun > SECONDS:
                    return rates, losses, smoothed, f"{SECONDS:g} s were over"
    except DivergedError:
        return rates, losses, smoothed, "the loss became NaN or infinite"
    return rates, losses, smoothed, ""


def _steepest(rates: list[float], smoothed: list[float], best: int) -> int:
    """The step at which the smoothed loss falls fastest over the logarithm of the rate, ahead of the best."""
    if best < 2:
        return best
    falls = np.gradient(np.array(smoothed[: best + 1]), np.log(rates[: best + 1]))
    return int(np.argmin(falls))
