"""Training, epoch by epoch: a generator of reports over the compiled loop. Nothing here prints.

Python runs only between chunks of batches, 20–50 ms each: long enough to cost nothing, short enough for a live bar and
for Ctrl-C. Where a chunk ends does not show in the result.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.config import TrainConfig
from jitnet.datasets import Dataset, stratified_split
from jitnet.errors import DivergedError, UsageError
from jitnet.model import Model
from jitnet.plan import Plan, make_plan, make_source, make_state, options_of
from jitnet.schedule import learning_rates

__all__ = ["EpochReport", "Plan", "StepReport", "Trainer", "train"]

_CHUNK_S = 0.03
"""Seconds that a chunk of batches should take."""


@dataclass(frozen=True)
class StepReport:
    """Where an epoch is: epochs and steps count from 1; loss and accuracy are means over its samples so far."""

    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    samples_per_second: float
    train_loss: float
    train_accuracy: float


@dataclass(frozen=True)
class EpochReport:
    """What an epoch gave. Losses in nats, accuracies as fractions; train_* are means over the epoch while it learned.

    test_* and val_* are None where there is no such split or it was not looked at. seconds: of training alone.
    learning_rate: of the epoch's last step.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    test_loss: float | None
    test_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    seconds: float
    samples_per_second: float
    learning_rate: float


class Trainer:
    """One training run of a model on a data set.

    plan: how the work will be done. `prepare` compiles or loads the loops, `epochs` trains. stopped: whether
    `request_stop` ended it; outcome: why it ended, in words.
    """

    def __init__(self, model: Model, dataset: Dataset, config: TrainConfig) -> None:
        """UsageError where the config asks for what this machine or data cannot do, ModelError where model and data differ."""
        model.check_fits(dataset)
        self.model, self.dataset, self.config = model, dataset, config
        self._training, self._held_out = dataset.train, None
        if config.val_split:
            self._training, self._held_out = stratified_split(dataset.train, config.val_split, config.seed)
        samples = len(self._training)
        if config.drop_last and samples < config.batch_size:
            raise UsageError(f"--batch-size is {config.batch_size}, more than the {samples} samples, and none is left over; use less")
        self._batch_size = min(config.batch_size, samples)
        self.n_steps = samples // self._batch_size if config.drop_last else -(-samples // self._batch_size)
        self.plan = make_plan(model, self._training, config, self._batch_size)
        self.stopped = False
        self.outcome = "not started"
        self._state = None

    def prepare(self) -> None:
        """Compile or load every loop, and lay out the state: seconds at the first start, 0.2 s from the second on."""
        if self._state is not None:
            return
        # Only here: the loops load Numba's compiler and their own cache.
        from jitnet import step

        self._options = options_of(self.model.config, self.config)
        self._stages = step.load(deferred=self._options.deferred)
        self._train_steps, self._measure_steps = step.train_steps, step.measure_steps
        self._state = make_state(self.model, self.config, self.plan, self._batch_size)
        self._source = make_source(self._training, self.model, self.plan)
        splits = {"val": self._held_out, "test": self.dataset.test}
        self._measured = {name: make_source(split, self.model, self.plan) for name, split in splits.items() if split is not None}

    def request_stop(self) -> None:
        """End the generator within a chunk, about 50 ms; safe in a signal handler."""
        self.stopped = True

    def epochs(self, on_steps: Callable[[StepReport], None] | None = None) -> Iterator[EpochReport]:
        """Train; yield a report after each epoch, the model's parameters then being up to date.

        on_steps is called between chunks of batches. Raises DivergedError where the loss becomes NaN or infinite; the
        model then keeps the parameters of the last whole epoch.
        """
        from jitnet.kernels.jit import set_threads

        self.prepare()
        set_threads(self.plan.threads)
        config = self.config
        order = np.arange(len(self._training), dtype=np.int32)
        for epoch in range(1, config.epochs + 1):
            totals, seconds = np.zeros(2), 0.0
            for done, spent in self._epoch(epoch, order, totals):
                seconds += spent
                if on_steps is not None:
                    samples = min(done * self._batch_size, len(order))
                    on_steps(
                        StepReport(
                            epoch, config.epochs, done, self.n_steps, samples / max(seconds, 1e-9), totals[0] / samples, totals[1] / samples
                        )
                    )
            self._keep()
            if self.stopped:
                self.outcome = f"stopped in epoch {epoch}"
                return
            yield self._report(epoch, totals, seconds)
        self.outcome = f"trained for {config.epochs} epoch{'s' * (config.epochs != 1)}"

    def _epoch(self, epoch: int, order: npt.NDArray[np.int32], totals: npt.NDArray[np.float64]) -> Iterator[tuple[int, float]]:
        """One epoch in chunks: after each the steps done and the seconds that it took."""
        from jitnet.kernels.random import ORDER, key, permutation

        begin = time.perf_counter()
        if self.config.shuffle:
            permutation(np.uint64(key(np.uint64(self.config.seed), ORDER, np.uint64(epoch), np.uint64(0))), order)
        done, chunk = 0, 8
        while done < self.n_steps and not self.stopped:
            count = min(chunk, self.n_steps - done)
            number = (epoch - 1) * self.n_steps + done
            rates = learning_rates(self.config, self.n_steps, number, count)
            trained = self._train_steps(
                self._stages, self._state, self._source, self._options, order, self._batch_size, done, number, rates, totals
            )
            if trained < count:
                raise DivergedError(
                    f"the loss became NaN or infinite in epoch {epoch}, step {done + trained + 1} of {self.n_steps}; "
                    f"lower the learning rate (--lr, now {self.config.learning_rate:g})"
                )
            done += count
            spent = time.perf_counter() - begin
            chunk = max(1, min(4 * count, math.ceil(count * _CHUNK_S / max(spent, 1e-6))))
            yield done, spent
            begin = time.perf_counter()

    def _keep(self) -> None:
        """Bring the model up to date with the state."""
        from jitnet.state import unpack

        params = self._state.mean if self._options.ema > 0.0 else self._state.params
        self.model.set_parameters(*unpack(params, self._state.layers))

    def _measure(self, name: str) -> tuple[float | None, float | None]:
        """Mean loss and accuracy on a split by the parameters so far; None where there is no such split."""
        if name not in self._measured:
            return None, None
        source, state, totals = self._measured[name], self._state, np.zeros(2)
        if self._options.ema > 0.0:
            state = state._replace(params=state.mean)
        samples = len(source.labels)
        options = self._options._replace(smoothing=0.0, shares=np.zeros_like(self._options.shares))
        order = np.arange(samples, dtype=np.int32)
        self._measure_steps(self._stages, state, source, options, order, self._batch_size, totals)
        return float(totals[0] / samples), float(totals[1] / samples)

    def _report(self, epoch: int, totals: npt.NDArray[np.float64], seconds: float) -> EpochReport:
        samples = min(self.n_steps * self._batch_size, len(self._training))
        val_loss, val_accuracy = self._measure("val")
        test_loss, test_accuracy = self._measure("test")
        rate = float(learning_rates(self.config, self.n_steps, epoch * self.n_steps - 1, 1)[0])
        return EpochReport(
            epoch, float(totals[0] / samples), float(totals[1] / samples), test_loss, test_accuracy, val_loss, val_accuracy,
            seconds, samples / seconds, rate,
        )  # fmt: skip


def train(
    model: Model, dataset: Dataset, config: TrainConfig, on_steps: Callable[[StepReport], None] | None = None
) -> Iterator[EpochReport]:
    """Train a model in place; yield an EpochReport after each epoch. See `Trainer`, of which this is the short form."""
    return Trainer(model, dataset, config).epochs(on_steps)
