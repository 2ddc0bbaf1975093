"""Training, epoch by epoch, over the compiled loop. Nothing here prints.

Python runs only between chunks of batches, a few dozen a second: seldom enough to cost nothing, often enough for a live
bar and for Ctrl-C. Where a chunk ends does not show in the result.
"""

import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast, get_type_hints

import numpy as np
import numpy.typing as npt

from jitnet.config import LOSSES, TrainConfig, check_arguments, check_callback, describe_fields
from jitnet.datasets import CompressedRows, Dataset, Split, hold_out, stratified_split
from jitnet.datasets.compressed import compress
from jitnet.datasets.targets import check_spread, scale_targets
from jitnet.engine.ownership import MEETINGS
from jitnet.engine.program import Program
from jitnet.engine.state import Run, State
from jitnet.engine.step_clock import Clock, clock_readings, no_clock
from jitnet.errors import DivergedError, ModelError, UsageError
from jitnet.kernels.schedule import ScheduleRecord
from jitnet.model import Model
from jitnet.model.encoding import encode
from jitnet.model.fit import check_scaling, commonest_class, fitted, loss_and_accuracy, loss_of_guessing
from jitnet.training.checkpoint import (
    TrainingState,
    check_state,
    restore,
    restore_best,
    resumed_config,
    take,
    take_seen,
)
from jitnet.training.checkpoint_file import Checkpoint, newest, write
from jitnet.training.history import EpochReport, History, StepReport
from jitnet.training.origin import check_data, data_record, load_again, model_of, processor
from jitnet.training.pace import Pace
from jitnet.training.plan import Plan, begin_run, check_cores, data_of, make_plan, on_threads, plain_values
from jitnet.training.samples import NewSamples
from jitnet.training.stopping import EarlyStopping
from jitnet.training.weighting import evaluating_weights, training_weights

if TYPE_CHECKING:
    from jitnet.compiler.reference import Struct

__all__ = ["Chunk", "Trainer", "train"]

_COSTLIEST = 3

_SURELY_FINITE = 1e18
"""Parameters below this are finite in the model too, where some are folded into others by a product."""


class Chunk(NamedTuple):
    """Steps trained in one call. done: of the epoch, these included. steps: how many. program: what ran. readings: of
    the clock, None where it was stopped or they were not asked for; making: seconds that each operation took that made
    these samples, where any did."""

    done: int
    steps: int
    seconds: float
    program: Program
    readings: Clock | None
    making: dict[str, float]


class _Way(NamedTuple):
    """A run on some count of threads, and its struct. names: of the lines of a step. ticks: (lines + 1,), what each
    line of a step has taken so far on all parts together, and the steps as a whole."""

    plan: Plan
    run: Run
    struct: "Struct"
    names: tuple[str, ...]
    ticks: npt.NDArray[np.float64]


def _way_of(plan: Plan, run: Run, struct_of: "Callable[[Run], Struct]") -> _Way:
    names = tuple(replace(line, next_batch=False).name for line in plan.program.step)
    return _Way(plan, run, struct_of(run), names, np.zeros(len(names) + 1))


class Trainer:
    """One training run of a model on a data set.

    plan: how the work is done. `prepare` compiles or loads the loops; `run` trains; `epochs` does so too, and
    yields a report after each epoch. keeps_readings: whether chunks come with the clock's readings. history: the
    reports of the run, so far. A trainer trains once; another one continues from its `state`, or in another process
    from a checkpoint: `save_checkpoint`, `resume`. loaded_with: the arguments of `jitnet.load` that return the data,
    which a checkpoint notes.

    What is learned from data is learned from the rows that are trained on: with held-out rows, the scaling of a model
    on which no training has begun is found again without them. A trained model keeps the scaling that it has.
    Where samples or classes have weights, the losses and accuracies of training are weighted means; those of held-out
    and test data are weighted by their samples' weights alone.
    """

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        config: TrainConfig | None = None,
        *,
        state: TrainingState | None = None,
        held_out: Split | None = None,
        any_threads: bool = False,
    ) -> None:
        """config: None is a config of defaults; without a learning rate it takes that of the optimizer and loss.
        UsageError where it asks for what this machine or data cannot do, ModelError or DataError where model and data
        differ. Classes are matched by name.

        state: of a training of such a model, on from which this one goes, with the bits of one that was never
        interrupted; `epochs` of the config counts from where the state's schedule began. held_out: samples to watch, in
        place of a share of the training data. any_threads: whether its plan may be for more threads than this process
        has cores; such a plan can be looked at, and does not train."""
        config = TrainConfig() if config is None else config
        check_arguments(
            "Trainer(model, dataset, config)",
            model=(model, Model),
            dataset=(dataset, Dataset),
            config=(config, TrainConfig),
            state=(state, (TrainingState, type(None))),
            held_out=(held_out, (Split, type(None))),
        )
        model.check_features(dataset)
        config.check_fits(model.config)
        config = config.for_loss(model.config.loss)
        self._learns = {  # before it does
            "new": not model.trained,
            "scaling": model.learns_scaling(dataset),
            "targets": model.learns_targets(dataset),
        }
        if not self._learns["scaling"]:
            check_scaling(model, dataset.train)
        self.model, self.dataset, self.config = model, dataset, config
        self._given = held_out
        self.loaded_with: Mapping[str, Any] = {}
        self._image_shape = dataset.image_shape
        training, found, test = self._split(held_out)
        left = f"{dataset.source}{', without the rows that are held out' * bool(config.val_split)}"
        weights = training_weights(training, config.class_weight, model.class_names, left)
        self._training = replace(training, weights=weights)
        self._held_out = evaluating_weights(found, f"{dataset.source}, held-out rows")
        self._test = evaluating_weights(test, f"{dataset.source}, test data")
        if self._training.targets is not None and config.val_split and held_out is None:
            if self._training.target == "number":
                check_spread(self._training.targets, model.target_names, left)
            if model.learns_targets(dataset):
                model.learn_targets(scale_targets(self._training.targets, LOSSES[model.config.loss].scaling))
        for split in (self._training, self._held_out, self._test):
            if split is not None and isinstance(split.images, CompressedRows):
                encode(split.images[:1], split.scaling or model.scaling)  # DataError where its zeros would not be zeros
        self._scalings = model.scaling, model.target_scaling
        if config.target_accuracy and self._held_out is None and dataset.test is None:
            raise UsageError.of_fields(
                "<target_accuracy> needs data to test on; add a test part, as with <test_data>, or hold some out with "
                "<val_split>"
            )
        samples = len(self._training)
        if config.drop_last and samples < config.batch_size:
            raise UsageError.of_fields(
                f"<batch_size> is {config.batch_size}, more than the {samples} samples there are; use less"
            )
        self._batch_size = min(config.batch_size, samples)
        self.n_steps = samples // self._batch_size if config.drop_last else -(-samples // self._batch_size)
        self._began = state
        if state is not None:
            check_state(state, model.config, config, self.n_steps)
        self._position = (state.epoch, state.done) if state is not None else (0, 0)
        self._totals, self._seconds = np.zeros(3), 0.0
        self._reports = list(state.reports) if state is not None else []
        self._stopping = EarlyStopping(config)
        self._ended_with: TrainingState | None = None
        self.plan: Plan = make_plan(
            model, self._training, config, self._batch_size, scaling=self._training.scaling, any_threads=any_threads
        )
        if config.max_steps and round(config.warmup * self.n_steps) > self.total_steps:
            raise UsageError.of_fields(
                f"<warmup> is {config.warmup:g} epochs of {self.n_steps:,} steps, longer than the whole run of "
                f"{self.total_steps:,} steps (<max_steps>); use a shorter one"
            )
        most = self.plan.threads
        self._pace = Pace(self.total_steps - self.run_steps, self.plan.begins_on, most, most if config.threads else 1)
        self._new = None
        if config.augment.active or config.input_dropout:
            self._new = NewSamples(self._training, self._image_shape, model, config, self.plan, self._training.scaling)
        parts = {"train": self._training, "val": self._held_out, "test": self._test}
        commonest = {part: commonest_class(split) for part, split in parts.items() if split is not None}
        self._commonest = {part: found for part, found in commonest.items() if found is not None}
        self.history = History(
            tuple(self._reports), "not started", reached=not config.target_accuracy, commonest=self._commonest
        )
        self._asked_to_stop = self._begun = self._ready = self.keeps_readings = False
        self._stopped_by = self._ends_early = ""

    def _split(self, given: Split | None) -> tuple[Split, Split | None, Split | None]:
        """The samples to train on, those held out, and those to test on, with labels of the model's classes or targets
        in its order; each split says how it is scaled. given: the samples to hold out, where the caller has them."""
        model, dataset, config = self.model, self.dataset, self.config

        def matched(split: Split, what: str) -> Split:
            where = f"{dataset.source}, {what} data"
            split = replace(fitted(model, split, where), scaling=model.scaling)
            if isinstance(dataset.train.images, CompressedRows):
                return replace(split, images=compress(split.images, where))
            return split

        training, held_out = matched(dataset.train, "training"), None
        test = matched(dataset.test, "test") if dataset.test is not None else None
        if given is not None:
            return training, matched(given, "held-out"), test
        if not config.val_split:
            return training, held_out, test
        if not model.learns_scaling(dataset):
            return *stratified_split(training, config.val_split, config.seed), test
        names, targets = model.class_names, model.target_names
        ordered = replace(dataset, train=training, test=test, class_names=names, target_names=targets)
        parts = hold_out(ordered, config.val_split, config.seed)
        model.learn_scaling(parts.scaling, parts.image_shape, parts.preparation)
        self._image_shape = parts.image_shape
        return parts.train, parts.held_out, parts.test

    @classmethod
    def resume(
        cls,
        run: str | Path | Checkpoint,
        dataset: Dataset | None = None,
        *,
        held_out: Split | None = None,
        epochs: int | None = None,
        threads: int | None = None,
    ) -> Self:
        """Return a trainer that goes on from a checkpoint, with the bits of a training that was never interrupted:
        weights, history, early stopping, and the final test.

        run: a run folder, of which the newest whole checkpoint is taken, or a checkpoint's file. Nothing is written
        there. dataset: the data that it began with; None loads them again, where the checkpoint knows from where.
        held_out: the samples to watch, where the first trainer was called with some. epochs: how many there are in all;
        more than before only where the schedule is constant, step or exponential. threads: another count.

        Raises CheckpointError where there is no whole checkpoint, or it is of another version; DataError where the data
        are not those that it began with; UsageError as the constructor does. A newer checkpoint that is damaged is
        passed over with a warning.
        """
        check_arguments(
            "Trainer.resume(run, dataset)",
            run=(run, (str, Path, Checkpoint)),
            dataset=(dataset, (Dataset, type(None))),
            held_out=(held_out, (Split, type(None))),
        )
        if not isinstance(run, Checkpoint):
            found = newest(Path(run))
            for line in found.passed_over:
                warnings.warn(f"{line}; going on from {found.path}", UserWarning, stacklevel=2)
            run = found.checkpoint
        dataset = load_again(run) if dataset is None else dataset
        check_data(run, dataset, held_out)
        config = resumed_config(run.config, epochs, threads)
        trainer = cls(model_of(run), dataset, config, state=run.state, held_out=held_out)
        trainer.loaded_with = run.load
        return trainer

    def checkpoint(self) -> Checkpoint:
        """Return all that a checkpoint's file holds, as copies; `save_checkpoint` writes it."""
        return Checkpoint(
            self.state(),
            self.config,
            self.model.stored_as_begun(),
            self._learns,
            data_record(self.dataset, self._given),
            self.loaded_with,
            processor(self.plan.machine),
        )

    def save_checkpoint(self, path: str | Path) -> None:
        """Write a checkpoint of the training so far, whole or not at all, from which `Trainer.resume` goes on.

        It can be called between epochs, and in `on_steps` in the middle of one. Raises OutputError where the file
        cannot be written."""
        check_arguments("trainer.save_checkpoint(path)", path=(path, (str, Path)))
        write(Path(path), self.checkpoint())

    @property
    def n_samples(self) -> tuple[int, int]:
        """Samples that are trained on, and that are held out."""
        return len(self._training), 0 if self._held_out is None else len(self._held_out)

    @cached_property
    def guessing_loss(self) -> float:
        """The mean loss on the rows that are trained on where a network predicts the same for all of them."""
        return loss_of_guessing(self.model, self._training)

    def prepare(self) -> None:
        """Compile or load every loop, and lay out the state: seconds at the first start, a moment from the second
        on."""
        if self._ready:
            return
        check_cores(self.config.threads, self.plan.machine)
        from jitnet.compiler.reference import Struct
        from jitnet.engine.loop import load_loop, run_steps
        from jitnet.kernels.random import shuffle

        if (self.model.scaling, self.model.target_scaling) != self._scalings:
            raise UsageError("the model's scaling has changed since this trainer was made; make another Trainer")
        load_loop()
        self._run_steps, self._shuffle, self._struct_of = run_steps, shuffle, Struct
        self._run = self._begin_run(self.plan)
        if self._began is not None:
            self._restore(self._began)
        self._run.call.clocked = True
        self._order = np.arange(len(self._training), dtype=np.int32)
        if self._new is None:
            self._run = self._run._replace(
                order=self._order, data=data_of(self._training, self.model, self.plan, scaling=self._training.scaling)
            )
        else:
            self._new.draw(0, np.zeros(1, np.int32))
        self._ways = {self.plan.threads: _way_of(self.plan, self._run, Struct)}
        # Called once: it would be compiled or loaded in the first epoch otherwise.
        self._shuffle(np.uint64(0), np.uint64(0), np.zeros(1, np.int32))
        splits = {"val": self._held_out, "test": self._test}
        self._splits = {name: self._prepared(split) for name, split in splits.items() if split is not None}
        self._ready = True

    def _begin_run(self, plan: Plan, parameters: State | None = None) -> Run:
        begin = 0 if self._began is None else self._began.schedule_step
        return begin_run(self.model, plan, self.n_steps, parameters, self._training.scaling, begin)

    @property
    def total_steps(self) -> int:
        """Steps of the run, from where its schedule begins to where that ends."""
        return self.config.steps_of_run(self.n_steps)

    @property
    def last_epoch(self) -> int:
        """The epoch that the run ends after or in at the latest, counted from the beginning of the whole training."""
        return -(-self.total_steps // self.n_steps) + (0 if self._began is None else self._began.schedule_epoch)

    def steps_in(self, epoch: int) -> int:
        """Steps that are trained of an epoch: fewer than it has where `max_steps` ends in it."""
        if not self.config.max_steps:
            return self.n_steps
        begin = 0 if self._began is None else self._began.schedule_step
        return min(self.n_steps, max(0, begin + self.config.max_steps - self._steps_before(epoch)))

    @property
    def run_steps(self) -> int:
        """Steps of the run so far, from where its schedule begins."""
        return self.steps_done - (0 if self._began is None else self._began.schedule_step)

    def _steps_before(self, epoch: int) -> int:
        """Steps of the whole training that come before an epoch's first."""
        if self._began is None:
            return (epoch - 1) * self.n_steps
        return self._began.steps - self._began.done + (epoch - 1 - self._began.epoch) * self.n_steps

    @property
    def steps_done(self) -> int:
        """Steps of the whole training that are done."""
        return self._steps_before(self._position[0] + 1) + self._position[1]

    def state(self) -> TrainingState:
        """Return the state of the training so far, from which another trainer goes on.

        It is that of the last step, whichever epoch's parameters the model keeps in the end."""
        if self._ended_with is not None:
            return self._ended_with
        self.prepare()
        epoch, done = self._position
        return TrainingState(
            epoch,
            done,
            self.steps_done,
            **take(self._run, self.model.config, self.config),
            totals=cast(tuple[float, float, float], tuple(self._totals.tolist())) if done else (0.0, 0.0, 0.0),
            schedule_epoch=0 if self._began is None else self._began.schedule_epoch,
            schedule_step=0 if self._began is None else self._began.schedule_step,
            seconds=self._seconds if done else 0.0,
            reports=tuple(self._reports),
            seen=take_seen(self._stopping, self._run, self.model.config),
        )

    def _restore(self, state: TrainingState) -> None:
        """Go on from a state: its arrays to the run, and what early stopping has seen."""
        shape = self.model.config
        restore(state, self._run, shape, self.config)
        self._totals[:], self._seconds = state.totals, state.seconds
        self._stopping.restore(state.seen, restore_best(state.seen, self._run, shape))
        if self._reports:
            self._stopping.ending(self._reports[-1])

    def request_stop(self) -> None:
        """End the run within a chunk of batches; safe in a signal handler."""
        self._asked_to_stop = True

    def end_early(self, why: str) -> None:
        """End the run within a chunk of batches as its last step would: what was trained of the epoch is reported, and
        evaluated. why: in words, the run's outcome."""
        self._ends_early = why

    def _stop_if(self, returned: object, name: str) -> None:
        """End the run where a callback returned True."""
        if isinstance(returned, (bool, np.bool_)) and returned:
            self._stopped_by = f" by {name}"
            self.request_stop()

    def _stopped(self, when: str) -> str:
        """The outcome of a run that was asked to stop; nothing where it was not."""
        return f"stopped{self._stopped_by} {when}" if self._asked_to_stop else ""

    def run(
        self,
        on_epoch: Callable[[EpochReport], object] | None = None,
        on_steps: Callable[[StepReport], object] | None = None,
    ) -> History:
        """Train and return the run's `History`. on_epoch: called after each epoch, on_steps: between chunks of batches.
        One that returns True ends the run.

        Raises as `epochs` does.
        """
        check_callback("on_epoch", on_epoch)
        with closing(self.epochs(on_steps)) as reports:
            for report in reports:
                if on_epoch is not None:
                    self._stop_if(on_epoch(report), "on_epoch")
        return self.history

    def epochs(self, on_steps: Callable[[StepReport], object] | None = None) -> Generator[EpochReport, None, None]:
        """Train while this is iterated; yield a report after each epoch, the model's parameters then being up to date.

        on_steps is called between chunks of batches; where it returns True the run ends. With held-out data the model
        ends with the parameters of its best epoch. A `break` ends the run as well: the model then keeps the parameters
        of the epoch that was reported last. Raises DivergedError where the loss becomes NaN or infinite; the model then
        keeps the parameters of the last whole epoch. Raises UsageError where this trainer has begun a training before.
        """
        if self._begun:
            raise UsageError("this trainer has begun a training already; make another Trainer to train again")
        check_callback("on_steps", on_steps)
        self._begun = True
        return self._epochs(on_steps)

    def _epochs(self, on_steps: Callable[[StepReport], object] | None) -> Generator[EpochReport, None, None]:
        self.prepare()
        self.model.begin_training()
        if self._began is not None:
            self._update_model(self._began.epoch)
        stopping, reports = self._stopping, self._reports
        begun, last = self._position, self.last_epoch
        # What ended a training after its last epoch ends it again: it may have been interrupted just then.
        ended = stopping.ending(reports[-1]) if reports and not begun[1] else ""
        outcome = ended or f"trained for {_epochs(last)}"
        if not ended and self.steps_in(last) < self.n_steps:
            outcome = f"trained for {self.total_steps:,} steps, which end in epoch {last}"
        first = begun[0] + 1
        if reports and reports[-1].epoch == first:  # as far as it went: it ended there, or goes on
            ended = outcome if begun[1] >= self.steps_in(first) else ""
            if not ended:
                reports.pop()
        for epoch in range(first, last + 1) if not ended else ():
            if epoch > first or not begun[1]:
                self._totals, self._seconds = np.zeros(3), 0.0
            totals = self._totals
            try:
                for chunk in self.chunks(epoch, totals):
                    self._seconds += chunk.seconds
                    if on_steps is not None:
                        self._stop_if(on_steps(self._step_report(epoch, chunk.done, totals, self._seconds)), "on_steps")
                self._update_model(epoch)
            except BaseException as error:
                self.history = replace(self.history, outcome=f"ended in epoch {epoch}: {type(error).__name__}")
                raise
            if stopped := self._stopped(f"in epoch {epoch}"):
                outcome = stopped
                break
            report = self._report(epoch, totals, self._seconds)
            reports.append(report)
            ending = stopping.look(report, self._latest)
            if self._position[1] == self.n_steps:
                self._position = (epoch, 0)
            done = f"{epoch} of {_epochs(last)}"
            self.history = self._history(reports, f"{done} so far", stopping.reached)
            try:
                yield report
            except GeneratorExit:
                self.history = replace(self.history, outcome=f"stopped by its caller after {done}", stopped=True)
                raise
            if ended := ending or self._stopped(f"after {done}") or self._ends_early:
                outcome = ended
                break
        kept, final_test = None, None
        if stopping.best is not None:
            self._ended_with = self.state()
            kept, best = stopping.best
            self._assign(best)
            self._update_run()
        if self._held_out is not None and not self._asked_to_stop:
            loss, accuracy = self.evaluate("test")
            final_test = None if loss is None else (loss, accuracy)
        self.history = replace(
            self._history(reports, outcome, stopping.reached),
            stopped=self._asked_to_stop,
            kept=kept,
            final_test=final_test,
        )

    def _history(self, reports: list[EpochReport], outcome: str, reached: bool) -> History:
        """The reports so far, what steps spent their time on, and on how many threads."""
        return History(
            tuple(reports),
            outcome,
            reached=reached,
            costliest=self._costliest(),
            threads=self.threads,
            threads_reason=self.threads_reason,
            commonest=self._commonest,
        )

    def _step_report(self, epoch: int, done: int, totals: npt.NDArray[np.float64], seconds: float) -> StepReport:
        samples = min(done * self._batch_size, len(self._order))
        loss, accuracy = totals[:2] / samples
        pace = samples / max(seconds, 1e-9)
        share = float(accuracy) / self.model.config.guesses if self._counts_hits else None
        return StepReport(epoch, self.last_epoch, done, self.steps_in(epoch), pace, float(loss), share)

    @property
    def _counts_hits(self) -> bool:
        """Whether there is an accuracy: not where targets are numbers."""
        return "accuracy" in LOSSES[self.model.config.loss].metrics

    def _share(self, totals: npt.NDArray[np.float64], samples: float) -> float | None:
        """The share of right guesses; None where there is none."""
        return float(totals[1] / (samples * self.model.config.guesses)) if self._counts_hits else None

    @property
    def measures_threads(self) -> bool:
        """Whether the count of threads is chosen while it trains, by what a step takes."""
        return self._pace.chooses

    @property
    def threads(self) -> int:
        """The count of threads that steps run on now, trials of others apart."""
        return self._pace.best

    @property
    def threads_reason(self) -> str:
        """Why it is this count: as asked; or of how many cores it is, which counts were tried, and what a step took on
        the fastest and the next."""
        plan, tried = self.plan, self._pace.tried
        if plan.asked:
            return plan.threads_reason
        cores = plan.machine.cores
        found = f"{self.threads} of {cores} core{'s' * (cores != 1)}"
        if len(tried) > 1:
            chosen, other = sorted(tried, key=lambda count: (count != self.threads, tried[count]))[:2]
            found += f": tried {', '.join(map(str, tried))}; a step took {tried[chosen] * 1e6:,.0f} µs on {chosen}"
            found += f", {tried[other] * 1e6:,.0f} on {other}"
        elif self.measures_threads:
            found += ", by estimate: too short to try others"
        if plan.threads < cores:
            found += f"; more than {plan.threads} would change nothing: {plan.threads_reason}"
        return found

    @property
    def states(self) -> list[State]:
        """The arrays of a step, for each count of threads that was tried; parameters, gradients and moments are the
        same in all. `prepare` comes first."""
        return [way.run.state for way in self._ways.values()]

    @property
    def samples(self) -> list[object]:
        """All that holds samples: as they were read, as they are divided, and as the loops walk them. `prepare` comes
        first."""
        walked = [way.run.data for way in self._ways.values()]
        walked += [each[1].value.data for each in self._splits.values() if not isinstance(each, Split)]
        return [self.dataset, self._training, self._held_out, self._test, self._new, *walked]

    @property
    def step_s(self) -> dict[int, float]:
        """Seconds that a step takes on each count of threads that was tried, in the order of their first trial."""
        return self._pace.tried

    @property
    def clocked(self) -> bool:
        """Whether each line of a step is timed; it is by default."""
        return bool(self._run.call.clocked)

    @clocked.setter
    def clocked(self, runs: bool) -> None:
        self._run.call.clocked = runs

    def chunks(self, epoch: int, totals: npt.NDArray[np.float64], *, most: int = 0) -> Iterator[Chunk]:
        """Train for one epoch, chunk by chunk, and do nothing else: no test, no report.

        most: steps of a chunk at most; 0 chooses them by the time that they take. totals (3,) float64 gains the sum of
        the samples' losses and the count of right guesses, and has the last step's learning rate. Raises DivergedError
        where the loss becomes NaN or infinite. `prepare` comes first.
        """
        from jitnet.machine.host import set_threads, threads_are_lost

        begin = time.perf_counter()
        if self.config.shuffle:
            self._shuffle(np.uint64(self.config.seed), np.uint64(epoch), self._order)
        done = self._position[1] if epoch == self._position[0] + 1 else 0
        self._totals = totals
        end = self.steps_in(epoch)
        while done < end and not self._asked_to_stop and not self._ends_early:
            count = min(most or self._pace.chunk_steps, end - done)
            making: dict[str, float] = {}
            threads = self._pace.threads
            if not threads_are_lost():
                set_threads(threads)
            way = self._way(threads)
            entered = time.perf_counter()
            trained = self._chunk(way, epoch, done, count, totals, making)
            if trained < count:
                step = f"step {done + trained + 1} of {self.n_steps}"
                raise self._diverged(f"the loss became NaN or infinite in epoch {epoch}, {step}")
            done += count
            self._position = (epoch - 1, done)
            ended = time.perf_counter()
            spent = ended - begin
            self._pace.note(count, ended - entered, spent)
            readings = None
            if self.clocked:
                self._add_readings(way, count)
                readings = clock_readings(way.run.clock, count) if self.keeps_readings else None
            yield Chunk(done, count, spent, way.plan.program, readings, making)
            begin = time.perf_counter()

    def _way(self, threads: int) -> "_Way":
        """The run on so many threads: its program and its work arrays, and the shared parameters."""
        if threads not in self._ways:
            plan, state = on_threads(self.plan, threads), self._run.state
            run = self._begin_run(plan, state)
            shared = ("call", "order", "data", "schedule")
            run = run._replace(**{name: getattr(self._run, name) for name in shared})
            self._ways[threads] = _way_of(plan, run, self._struct_of)
        return self._ways[threads]

    def use_schedule(self, schedule: ScheduleRecord) -> None:
        """Take the learning rates of the steps to come from another schedule, as `schedule_settings` makes one."""
        for name in get_type_hints(ScheduleRecord):
            setattr(self._run.schedule, name, getattr(schedule, name))

    def _chunk(
        self,
        way: "_Way",
        epoch: int,
        done: int,
        count: int,
        totals: npt.NDArray[np.float64],
        making: dict[str, float],
    ) -> int:
        """Train on the next `count` batches; return how many had a finite loss."""
        call, struct = way.run.call, way.struct
        call.first_batch, call.n_steps, call.first_step = done, count, self._steps_before(epoch) + done
        if self._new is not None:
            indices = self._order[done * self._batch_size : (done + count) * self._batch_size]
            data = self._new.draw(epoch, indices, making if self.clocked else None)
            call.first_batch = 0
            struct = self._struct_of(way.run._replace(data=data, order=self._new.counting[: len(indices)]))
        return self._run_steps(struct, len(way.plan.program.first), totals)

    def _add_readings(self, way: "_Way", count: int) -> None:
        """Add up what each line of the last steps took: sums over parts."""
        first, clock = len(way.plan.program.first), way.run.clock
        kept = min(count, len(clock.whole_steps))
        lines, steps = clock.lines[:kept, :, first : first + len(way.ticks) - 1], clock.whole_steps[:kept]
        way.ticks[:-1] += lines[..., 1].sum(axis=(0, 1)) - lines[..., 0].sum(axis=(0, 1))
        way.ticks[-1] += steps[:, 1].sum() - steps[:, 0].sum()

    def _costliest(self) -> tuple[tuple[str, float], ...]:
        """The three lines of a step that have taken longest so far, and their shares of it."""
        spent, whole = dict[str, float](), 0.0
        for way in self._ways.values():
            if not way.ticks[-1]:  # the clock was stopped
                continue
            whole += float(way.ticks[-1])
            for line, name, ticks in zip(way.plan.program.step, way.names, way.ticks, strict=False):
                spent[name] = spent.get(name, 0.0) + float(ticks) / line.parts
        longest = sorted(spent, key=lambda name: -spent[name])[:_COSTLIEST] if whole else []
        return tuple((name, spent[name] / whole) for name in longest)

    def _update_model(self, epoch: int) -> None:
        """Bring the model up to date with the run; DivergedError where a step made parameters NaN or infinite after
        the last loss that was computed."""
        from jitnet.engine.packing import unpack

        state = self._run.state
        params = state.average if self.config.ema > 0.0 else state.params
        if not max(params.max(), -params.min()) < _SURELY_FINITE:  # nor is NaN
            try:
                self.model.replace_parameters(unpack(params, self._run.parameters, self.model.config))
            except ModelError:  # names and shapes are the model's: the numbers are not finite
                raise self._diverged(f"the weights became NaN or infinite in the last step of epoch {epoch}") from None
        self._latest = params.copy()
        self._assign(self._latest)

    def _assign(self, params: npt.NDArray[np.float32]) -> None:
        """Let the model have a copy of the run's parameters. To unpack them may take longer than a short epoch does, so
        that is left until somebody reads them."""
        from jitnet.engine.packing import unpack

        records, config = self._run.parameters, self.model.config
        self.model.replace_parameters_when_read(lambda: unpack(params, records, config))

    def _diverged(self, what: str) -> DivergedError:
        rate = f"<learning_rate>, now {self.config.learning_rate:g}"
        return DivergedError.of_fields(f"{what}; lower the learning rate ({rate})")

    def _update_run(self) -> None:
        """Bring the run up to date with the model."""
        from jitnet.engine.packing import pack

        state = self._run.state
        for params in (state.params, *([state.average] if self.config.ema > 0.0 else [])):
            pack(params, self._run.parameters, self.model.config, self.model.parameters)

    def _prepared(self, split: Split) -> "tuple[int, Struct] | Split":
        """The samples of a split, and a struct that evaluates the parameters so far on it; the split itself where the
        rows that are trained on are stored in another way, which the program cannot walk."""
        samples, run = len(split), self._run
        of_bytes = self.plan.step.bytes_per_input == 1
        images = split.images
        if isinstance(images, CompressedRows) != isinstance(self._training.images, CompressedRows):
            return split
        if not isinstance(images, CompressedRows):
            if of_bytes and images.dtype != np.uint8:
                return split
            if not of_bytes:
                split = replace(split, images=images.astype(np.float32, copy=False))
        state = run.state
        if self.config.ema > 0.0:
            state = state._replace(params=state.average)
        if self.config.input_dropout:
            state = state._replace(byte_values=plain_values(self.model, split.scaling))
        settings, call = run.settings.copy(), run.call.copy()
        settings.label_smoothing = 0.0
        call.n_steps = -(-samples // self._batch_size)
        call.first_batch = call.first_step = 0
        call.clocked, call.meeting = False, MEETINGS[self.plan.evaluation_program.meeting]
        evaluating = run._replace(
            program=self.plan.evaluation_program.table(),
            settings=settings,
            call=call,
            order=np.arange(samples, dtype=np.int32),
            state=state,
            data=data_of(split, self.model, self.plan, scaling=split.scaling),
            clock=no_clock(),
        )
        return samples, self._struct_of(evaluating)

    def evaluate(self, name: str) -> tuple[float | None, float | None]:
        """Mean loss and accuracy on a split, "val" or "test", by the parameters so far; None where the data have no
        such split, or the task no accuracy. `prepare` comes first."""
        prepared = self._splits.get(name)
        if prepared is None:
            return None, None
        if isinstance(prepared, Split):
            inputs = encode(prepared.images, prepared.scaling or self._scalings[0])
            return loss_and_accuracy(self.model, self.model.outputs_of_inputs(*inputs), prepared)
        samples, struct = prepared
        totals = np.zeros(3)
        self._run_steps(struct, 0, totals)
        return float(totals[0] / samples), self._share(totals, samples)

    def _report(self, epoch: int, totals: npt.NDArray[np.float64], seconds: float) -> EpochReport:
        done = self._position[1] or self.n_steps
        samples = min(done * self._batch_size, len(self._training))
        weights = self._training.weights  # whose mean is 1 over all samples, but not over those of a part
        counted = samples if weights is None else float(weights[self._order[:samples]].sum()) or 1.0
        val_loss, val_accuracy = self.evaluate("val")
        # With held-out data the test set is measured once, at the end, so that nothing is chosen by it.
        test_loss, test_accuracy = (None, None) if self._held_out is not None else self.evaluate("test")
        return EpochReport(
            epoch,
            float(totals[0] / counted),
            self._share(totals, counted),
            test_loss,
            test_accuracy,
            val_loss,
            val_accuracy,
            seconds,
            samples / seconds,
            float(totals[2]),
        )


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def train(
    model: Model,
    dataset: Dataset,
    config: TrainConfig | None = None,
    on_epoch: Callable[[EpochReport], object] | None = None,
    on_steps: Callable[[StepReport], object] | None = None,
) -> History:
    """Train a model in place and return the run's `History`: a report for each epoch, and how the run ended.

    model: gets the parameters after the last epoch, or those of the best one where `config.val_split` holds data out.
    dataset: what to train on; where it has test data, the model is tested on them after each epoch.
    config: how to train; None is a config of defaults.
    on_epoch: called with an `EpochReport` after each epoch. Where it returns True, the run ends.
    on_steps: called with a `StepReport` a few dozen times a second. Where it returns True, the run ends.

    `Trainer(model, dataset, config).epochs()` trains while it is iterated. Raises UsageError where the config asks for
    what this machine or data cannot do, ModelError where model and data differ, DivergedError where the loss becomes
    NaN or infinite.
    """
    check_arguments(
        "train(model, dataset, config)",
        model=(model, Model),
        dataset=(dataset, Dataset),
        config=(config, (TrainConfig, type(None))),
    )
    return Trainer(model, dataset, config).run(on_epoch, on_steps)


_FIELDS = f"    Fields of config, each given by its name:\n{describe_fields(TrainConfig)}"
train.__doc__ = f"{train.__doc__}\n{_FIELDS}\n    "
