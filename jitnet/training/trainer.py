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
from jitnet.state import pack, unpack
from jitnet.training.plan import Plan, make_plan, make_source, make_state, options_of, plain_values
from jitnet.training.samples import FreshSamples
from jitnet.training.schedule import learning_rates

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
    `request_stop` ended it; outcome: why it ended, in words; accuracy: the last
    epoch's, on held-out or else test data, and reached: whether it is what was aimed at; best_epoch: whose parameters
    the model has, where held-out data decided that; final_test: loss and accuracy on the test set where it is looked
    at once, at the end.
    """

    def __init__(self, model: Model, dataset: Dataset, config: TrainConfig) -> None:
        """UsageError where the config asks for what this machine or data cannot do, ModelError where model and data
        differ."""
        model.check_fits(dataset)
        self.model, self.dataset, self.config = model, dataset, config
        self._training, self._held_out = dataset.train, None
        if config.val_split:
            self._training, self._held_out = stratified_split(dataset.train, config.val_split, config.seed)
        if config.target_accuracy and self._held_out is None and dataset.test is None:
            raise UsageError(
                "--target-acc needs data to test on; name some with --test-data, or hold some out with --val-split"
            )
        samples = len(self._training)
        if config.drop_last and samples < config.batch_size:
            raise UsageError(
                f"--batch-size is {config.batch_size}, more than the {samples} samples there are; use less"
            )
        self._batch_size = min(config.batch_size, samples)
        self.n_steps = samples // self._batch_size if config.drop_last else -(-samples // self._batch_size)
        self.plan = make_plan(model, self._training, config, self._batch_size)
        options_of(model.config, config)
        self._fresh = None
        if config.augment.active or config.input_dropout:
            self._fresh = FreshSamples(self._training, dataset.image_shape, model, config, self.plan)
        self.stopped = False
        self.outcome = "not started"
        self.accuracy, self.reached = 0.0, not config.target_accuracy
        self.best_epoch: int | None = None
        self.final_test: tuple[float, float] | None = None
        self._ready = False

    def prepare(self) -> None:
        """Compile or load every loop, and lay out the state: seconds at the first start, 0.2 s from the second on."""
        if self._ready:
            return
        # Only here: the loops load Numba's compiler and their own cache.
        from jitnet import step

        self._options = options_of(self.model.config, self.config)
        self._stages = step.load(deferred=self._options.deferred)
        self._train_steps, self._measure_steps = step.train_steps, step.measure_steps
        self._state = make_state(self.model, self.config, self.plan, self._batch_size)
        if self._fresh is None:
            self._source = make_source(self._training, self.model, self.plan)
        # Called once for their loops, which would be compiled in the first epoch otherwise.
        self._shuffle(0, np.zeros(1, np.int32))
        if self._fresh is not None:
            self._fresh.draw(0, np.zeros(1, np.int32))
        splits = {"val": self._held_out, "test": self.dataset.test}
        self._measured = {
            name: make_source(split, self.model, self.plan) for name, split in splits.items() if split is not None
        }
        self._ready = True

    def request_stop(self) -> None:
        """End the generator within a chunk, about 50 ms; safe in a signal handler."""
        self.stopped = True

    def epochs(self, on_steps: Callable[[StepReport], None] | None = None) -> Iterator[EpochReport]:
        """Train; yield a report after each epoch, the model's parameters then being up to date.

        on_steps is called between chunks of batches. With held-out data the model ends with the parameters of its best
        epoch. Raises DivergedError where the loss becomes NaN or infinite; the model then keeps the parameters of the
        last whole epoch.
        """
        from jitnet.kernels.jit import set_threads

        self.prepare()
        set_threads(self.plan.threads)
        config, watch = self.config, _Watch(self.config)
        order = np.arange(len(self._training), dtype=np.int32)
        self.outcome = f"trained for {config.epochs} epoch{'s' * (config.epochs != 1)}"
        for epoch in range(1, config.epochs + 1):
            totals, seconds = np.zeros(2), 0.0
            for done, spent in self._epoch(epoch, order, totals):
                seconds += spent
                if on_steps is not None:
                    samples = min(done * self._batch_size, len(order))
                    pace = samples / max(seconds, 1e-9)
                    on_steps(
                        StepReport(
                            epoch, config.epochs, done, self.n_steps, pace, totals[0] / samples, totals[1] / samples
                        )
                    )
            self._keep()
            if self.stopped:
                self.outcome = f"stopped in epoch {epoch}"
                break
            report = self._report(epoch, totals, seconds)
            ending = watch.look(report, self.model)
            self.accuracy, self.reached = watch.accuracy, watch.reached
            yield report
            if ending:
                self.outcome = ending
                break
        if watch.best is not None:
            self.best_epoch, *best = watch.best
            self.model.set_parameters(*best)
            self._restore()
        if self._held_out is not None and not self.stopped:
            loss, accuracy = self._measure("test")
            self.final_test = None if loss is None or accuracy is None else (loss, accuracy)

    def _epoch(
        self, epoch: int, order: npt.NDArray[np.int32], totals: npt.NDArray[np.float64]
    ) -> Iterator[tuple[int, float]]:
        """One epoch in chunks: after each the steps done and the seconds that it took."""
        begin = time.perf_counter()
        if self.config.shuffle:
            self._shuffle(epoch, order)
        done, chunk = 0, 8
        while done < self.n_steps and not self.stopped:
            count = min(chunk, self.n_steps - done)
            number = (epoch - 1) * self.n_steps + done
            rates = learning_rates(self.config, self.n_steps, number, count)
            trained = self._chunk(epoch, order, done, number, rates, totals)
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

    def _shuffle(self, epoch: int, order: npt.NDArray[np.int32]) -> None:
        from jitnet.kernels.random import ORDER, key, permutation

        permutation(np.uint64(key(np.uint64(self.config.seed), ORDER, np.uint64(epoch), np.uint64(0))), order)

    def _chunk(
        self,
        epoch: int,
        order: npt.NDArray[np.int32],
        done: int,
        number: int,
        rates: npt.NDArray[np.float64],
        totals: npt.NDArray[np.float64],
    ) -> int:
        """Train on the next len(rates) batches; gives how many went well."""
        if self._fresh is None:
            source, first = self._source, done
        else:
            rows = order[done * self._batch_size : (done + len(rates)) * self._batch_size]
            source, first = self._fresh.draw(epoch, rows), 0
            order = self._fresh.counting[: len(rows)]
        return self._train_steps(
            self._stages, self._state, source, self._options, order, self._batch_size, first, number, rates, totals
        )

    def _keep(self) -> None:
        """Bring the model up to date with the state."""
        params = self._state.mean if self._options.ema > 0.0 else self._state.params
        self.model.set_parameters(*unpack(params, self._state.layers))

    def _restore(self) -> None:
        """Bring the state up to date with the model."""
        for params in (self._state.params, *([self._state.mean] if self._options.ema > 0.0 else [])):
            pack(params, self._state.layers, self.model.weights, self.model.biases)

    def _measure(self, name: str) -> tuple[float | None, float | None]:
        """Mean loss and accuracy on a split by the parameters so far; None where there is no such split."""
        if name not in self._measured:
            return None, None
        source, state, totals = self._measured[name], self._state, np.zeros(2)
        if self._options.ema > 0.0:
            state = state._replace(params=state.mean)
        if self.config.input_dropout:
            state = state._replace(values=plain_values(self.model))
        samples = len(source.labels)
        options = self._options._replace(smoothing=0.0, shares=np.zeros_like(self._options.shares))
        order = np.arange(samples, dtype=np.int32)
        self._measure_steps(self._stages, state, source, options, order, self._batch_size, totals)
        return float(totals[0] / samples), float(totals[1] / samples)

    def _report(self, epoch: int, totals: npt.NDArray[np.float64], seconds: float) -> EpochReport:
        samples = min(self.n_steps * self._batch_size, len(self._training))
        val_loss, val_accuracy = self._measure("val")
        # With held-out data the test set is looked at once, at the end, so that nothing is chosen by it.
        test_loss, test_accuracy = (None, None) if self._held_out is not None else self._measure("test")
        rate = float(learning_rates(self.config, self.n_steps, epoch * self.n_steps - 1, 1)[0])
        return EpochReport(
            epoch,
            float(totals[0] / samples),
            float(totals[1] / samples),
            test_loss,
            test_accuracy,
            val_loss,
            val_accuracy,
            seconds,
            samples / seconds,
            rate,
        )


class _Watch:
    """Watches the reports: whether to stop early, and which epoch was best on the held-out data."""

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._best_score = -math.inf
        self.accuracy, self.reached = 0.0, not config.target_accuracy
        self.best: tuple[int, tuple[npt.NDArray[np.float32], ...], tuple[npt.NDArray[np.float32], ...]] | None = None

    def look(self, report: EpochReport, model: Model) -> str:
        """Take note of a report and the model that it is of; gives why to stop, or nothing."""
        config = self._config
        accuracy = report.test_accuracy if report.val_accuracy is None else report.val_accuracy
        if report.val_accuracy is not None and report.val_loss is not None:
            score = report.val_accuracy if config.monitor == "accuracy" else -report.val_loss
            if score > self._best_score:
                self._best_score, self.best = score, (report.epoch, model.weights, model.biases)
        self.accuracy = 0.0 if accuracy is None else accuracy
        self.reached = 100.0 * self.accuracy >= config.target_accuracy
        if config.target_accuracy and self.reached:
            return f"reached {self.accuracy:.2%} in epoch {report.epoch}"
        if config.patience and self.best is not None and report.epoch - self.best[0] >= config.patience:
            return f"no better {config.monitor} on the held-out data for {config.patience} epochs"
        return ""


def train(
    model: Model, dataset: Dataset, config: TrainConfig, on_steps: Callable[[StepReport], None] | None = None
) -> Iterator[EpochReport]:
    """Train a model in place; yield an EpochReport after each epoch. See `Trainer`, of which this is the short form."""
    return Trainer(model, dataset, config).epochs(on_steps)
