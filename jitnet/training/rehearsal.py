"""How long a training takes, found by some real steps of a trainer that is thrown away afterwards."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jitnet.training.trainer import Chunk, Trainer

__all__ = ["Rehearsal", "rehearse"]

_LEAST_STEPS = 3


@dataclass(frozen=True)
class Rehearsal:
    """step_s: seconds of a training step. epoch_s: of the evaluation after an epoch. end_s: of the evaluation at the
    end of a run, beside the last epoch's. steps: how many were trained."""

    step_s: float
    epoch_s: float
    end_s: float
    steps: int

    def seconds(self, steps: int, epochs: int, save_s: float = 0.0) -> float:
        """What a run of so many steps and evaluations takes. save_s: seconds that saving takes after each epoch."""
        return steps * self.step_s + epochs * (self.epoch_s + save_s) + self.end_s


def rehearse(trainer: "Trainer", seconds: float) -> Rehearsal:
    """Train for about so many seconds, evaluate once, and return how long each took.

    The trainer's model stays as it is; the trainer is of no use afterwards: make another one to train. Its loops are
    loaded here, where that is not done yet. Raises DivergedError as a training does."""
    trainer.prepare()
    begun, taken = time.perf_counter(), list[tuple[float, int]]()
    for chunk in _chunks(trainer):
        now = time.perf_counter() - begun
        taken.append((now, chunk.steps))
        if now >= seconds and sum(steps for _, steps in taken) >= _LEAST_STEPS:
            break
    # Of the second half alone: the first steps find cold caches, and other counts of threads are tried.
    end, steps = taken[-1][0], sum(steps for _, steps in taken)
    before = [(0.0, 0), *[(at, 0) for at, _ in taken if at <= end / 2]][-1][0]
    later = sum(steps for at, steps in taken if at > before)
    parts = ("val", "test") if trainer.n_samples[1] else ("test",)
    spent = {name: _spent(trainer, name) for name in parts}
    watched = "val" if "val" in spent else "test"
    return Rehearsal((end - before) / later, spent[watched], sum(spent.values()) - spent[watched], steps)


def _chunks(trainer: "Trainer") -> "Iterator[Chunk]":
    """Chunk after chunk, epoch after epoch, without an end unless `max_steps` is one."""
    totals = np.zeros(3)
    for epoch in count(1):
        if not trainer.steps_in(epoch):
            return
        yield from trainer.chunks(epoch, totals)


def _spent(trainer: "Trainer", name: str) -> float:
    """Seconds that an evaluation takes."""
    begun = time.perf_counter()
    trainer.evaluate(name)
    return time.perf_counter() - begun
