"""The learning rate of a step: a schedule over the run, after a linear warm-up.

With t the share of the steps after the warm-up that are done, 0 at the first and towards 1 at the last:

constant      peak
step          peak * decay ** (whole reductions so far, one every `step_every` epochs)
exponential   peak * decay ** (epochs so far)
cosine        from peak down to final, along half a cosine                       (Loshchilov and Hutter 2017)
one-cycle     up from peak / 25 over the first 30%, down to final over the rest  (Smith and Topin 2019)
coslog4       peak * (1 - cos(2 pi log2(1 + 15 t))) / 2: from 0 up to the peak and back four times, each time twice as
              long                                                                 (Holzmüller et al. 2024)
"""

import math
from typing import Protocol

import numpy as np
from numba import typeof

from jitnet.compiler.decorators import helper, kernel, linked
from jitnet.compiler.signatures import COUNTS, DOUBLES, INT, REAL, Record, make_record, record_type
from jitnet.config import TrainConfig

__all__ = ["SCHEDULES", "learning_rate", "learning_rates", "schedule_settings"]

SCHEDULES = {"constant": 0, "step": 1, "exponential": 2, "cosine": 3, "one-cycle": 4, "coslog4": 5}
CONSTANT, STEP, EXPONENTIAL, COSINE, ONE_CYCLE, COSLOG4 = (np.int64(code) for code in SCHEDULES.values())

_RISE = 0.3
_START = 1.0 / 25.0


class ScheduleRecord(Record, Protocol):
    """A record of a schedule: its code, and what it needs to know of the run."""

    code: int
    peak: float
    final: float
    decay: float
    step_every: float
    steps: int  # of the whole schedule
    steps_per_epoch: int
    warmup_steps: int
    first_step: int  # of the run: steps before the schedule began


SCHEDULE_SETTINGS = record_type(ScheduleRecord)


def schedule_settings(config: TrainConfig, steps_per_epoch: int, first_step: int = 0) -> ScheduleRecord:
    """The record that `learning_rate` takes, of what people write. first_step: where the schedule begins, after the
    steps of an earlier training that the run continues."""
    return make_record(
        SCHEDULE_SETTINGS,
        code=SCHEDULES[config.schedule],
        peak=config.learning_rate,
        final=config.learning_rate * config.final_fraction,
        decay=config.decay,
        step_every=config.step_every,
        steps=config.steps_of_run(steps_per_epoch),
        steps_per_epoch=steps_per_epoch,
        warmup_steps=round(config.warmup * steps_per_epoch),
        first_step=first_step,
    )


@helper
def _between(start, end, share):
    """From start to end along half a cosine."""
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0


@linked(typeof(make_record(SCHEDULE_SETTINGS)), INT, returns=REAL, fastmath=False)
def learning_rate(settings, step):
    """The learning rate, float64, of a step of the run, counted from 0. settings: as `schedule_settings` makes them.

    Without FASTMATH: it returns what Python does, to the last bit.
    """
    step -= settings.first_step
    if step < settings.warmup_steps:
        return settings.peak * (step + 1) / (settings.warmup_steps + 1)
    after = step - settings.warmup_steps
    epochs = after / settings.steps_per_epoch
    share = after / max(1, settings.steps - settings.warmup_steps)
    if settings.code == STEP:
        return settings.peak * math.pow(settings.decay, math.floor(epochs / settings.step_every + 1e-9))
    if settings.code == EXPONENTIAL:
        return settings.peak * math.pow(settings.decay, epochs)
    if settings.code == COSINE:
        return _between(settings.peak, settings.final, share)
    if settings.code == ONE_CYCLE:
        if share < _RISE:
            return _between(settings.peak * _START, settings.peak, share / _RISE)
        return _between(settings.peak, settings.final, (share - _RISE) / (1.0 - _RISE))
    if settings.code == COSLOG4:
        return settings.peak * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + 15.0 * share))) / 2.0
    return settings.peak


@kernel(typeof(make_record(SCHEDULE_SETTINGS)), COUNTS, DOUBLES)
def learning_rates(settings, steps, rates):
    """rates[k] = the learning rate of step steps[k]; steps int64, rates float64."""
    for k in range(steps.shape[0]):
        rates[k] = learning_rate(settings, steps[k])
