"""The state of a training between two steps: with it another trainer goes on as if the first had never ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, TrainConfig
from jitnet.config.checking import any_of
from jitnet.engine.packing import pack_trained, trained_key, unpack_trained
from jitnet.engine.state import Run
from jitnet.errors import UsageError
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS
from jitnet.training.history import EpochReport
from jitnet.training.stopping import NOTHING_SEEN, EarlyStopping, Seen

__all__ = ["ARRAYS", "TrainingState", "check_state", "restore", "restore_best", "resumed_config", "take", "take_seen"]

Arrays = Mapping[str, npt.NDArray[np.float32]]

ARRAYS = {
    "parameters": "params",
    "first_moment": "first_moment",
    "second_moment": "second_moment",
    "average": "average",
}
"""The fields of a `TrainingState` that hold a number for each parameter, and what those are called in a run."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """All that a training carries from step to step. The order of an epoch and all random numbers follow from the seed,
    the epoch and the step.

    epoch: whole epochs done and reported. done: steps of the next epoch that are done, 0 between epochs, and all of
    them where its report is still to be made. totals: (3,) float64, the sums of that epoch so far, as `Trainer.chunks`
    adds them up; seconds: what it has taken so far. steps: done in all. schedule_epoch, schedule_step: epochs and steps
    done when the schedule of the learning rate began. reports: of each epoch since then. seen: what early stopping has
    seen in them.
    parameters, first_moment, second_moment, average: float32 arrays by the names that a model file has, in PyTorch's
    layout; what a saved model has in other weights is apart, as "input_scale.scale". Moments that the optimizer does
    not have are empty, and so is the average of a training without one.
    """

    epoch: int
    done: int
    steps: int
    parameters: Arrays
    first_moment: Arrays = field(default_factory=dict)
    second_moment: Arrays = field(default_factory=dict)
    average: Arrays = field(default_factory=dict)
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)
    schedule_epoch: int = 0
    schedule_step: int = 0
    seconds: float = 0.0
    reports: tuple[EpochReport, ...] = ()
    seen: Seen = NOTHING_SEEN

    def with_new_schedule(self) -> Self:
        """The same with a schedule that begins here: `epochs` of a config then counts from here, and so does early
        stopping. What was left of an epoch is dropped."""
        epoch = self.epoch + (self.done > 0)
        return replace(
            self,
            epoch=epoch,
            done=0,
            totals=(0.0, 0.0, 0.0),
            schedule_epoch=epoch,
            schedule_step=self.steps,
            seconds=0.0,
            reports=(),
            seen=NOTHING_SEEN,
        )


_ALLOW_MORE = ("constant", "step", "exponential")
"""Schedules whose learning rates do not depend on how many epochs there are."""


def resumed_config(config: TrainConfig, epochs: int | None = None, threads: int | None = None) -> TrainConfig:
    """The config of a training that goes on, for more epochs or on other threads where these are not None; UsageError
    where its schedule does not allow more."""
    if epochs is not None and epochs != config.epochs:
        planned = f"<epochs> is {epochs}, and the run was planned for {config.epochs}"
        if epochs < config.epochs:
            raise UsageError.of_fields(f"{planned}; expected {config.epochs} or more")
        if config.schedule not in _ALLOW_MORE:
            raise UsageError.of_fields(
                f"{planned}: its <schedule> {config.schedule} ends with them; only {any_of(_ALLOW_MORE)} allow more"
            )
        config = config.model_copy(update={"epochs": epochs})
    return config if threads is None else config.model_copy(update={"threads": threads})


def _used(config: TrainConfig) -> list[str]:
    """The fields that hold arrays with a config."""
    average = ["average"] if config.ema > 0.0 else []
    return ["parameters", *OPTIMIZER_KERNELS[config.optimizer].moments, *average]


def check_state(state: TrainingState, shape: ModelConfig, config: TrainConfig, n_steps: int) -> None:
    """UsageError where a state is not of such a network, optimizer and average, or of an epoch of so many steps."""
    wanted = {trained_key(layer, name): extent for layer in shape.layers for name, extent in layer.shapes.items()}
    for name in ARRAYS:
        found = {key: values.shape for key, values in getattr(state, name).items()}
        if found and found != wanted:
            raise UsageError(
                f"state: its {name} are not of this network; expected the state of a training of its shape"
            )
        if bool(found) != (name in _used(config)):
            has, needs = ("has", "none") if found else ("has no", "one")
            raise UsageError.of_fields(
                f"state: {has} {name}, and a training with <optimizer> {config.optimizer} and <ema> {config.ema:g} "
                f"needs {needs}; continue with the optimizer and the average that it began with"
            )
    best = {key: values.shape for key, values in state.seen.best.items()}
    if best != (wanted if state.seen.best_epoch else {}):
        raise UsageError(
            "state: its best parameters are not of this network; expected those of a training of its shape"
        )
    if state.done > n_steps:
        raise UsageError(
            f"state: {state.done} steps of an epoch are done, and these data have {n_steps}; continue on the data that "
            "it began with"
        )


def take(run: Run, shape: ModelConfig, config: TrainConfig) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """The arrays of a state, by the names of its fields, as copies."""
    return {name: unpack_trained(getattr(run.state, ARRAYS[name]), run.parameters, shape) for name in _used(config)}


def restore(state: TrainingState, run: Run, shape: ModelConfig, config: TrainConfig) -> None:
    """Write the arrays of a state to a run."""
    for name in _used(config):
        pack_trained(getattr(run.state, ARRAYS[name]), run.parameters, shape, getattr(state, name))


def take_seen(stopping: EarlyStopping, run: Run, shape: ModelConfig) -> Seen:
    """What early stopping has seen, with the best parameters by name."""
    best = stopping.best
    return stopping.seen({} if best is None else unpack_trained(best[1], run.parameters, shape))


def restore_best(seen: Seen, run: Run, shape: ModelConfig) -> npt.NDArray[np.float32]:
    """The best parameters of a state in the layout of a run's, as a new array; zeros where it has none."""
    params = np.zeros_like(run.state.params)
    if seen.best:
        pack_trained(params, run.parameters, shape, seen.best)
    return params
