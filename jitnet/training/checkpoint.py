"""The state of a training between two steps: with it another trainer goes on as if the first had never ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, TrainConfig
from jitnet.engine.packing import pack_trained, trained_key, unpack_trained
from jitnet.engine.state import Run
from jitnet.errors import UsageError
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS

__all__ = ["TrainingState", "check_state", "restore", "take"]

Arrays = Mapping[str, npt.NDArray[np.float32]]

_FIELDS = {
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

    epoch: whole epochs done. done: steps of the next epoch that are done, 0 between epochs. totals: (3,) float64, the
    sums of that epoch so far, as `Trainer.chunks` adds them up. steps: done in all. schedule_epoch, schedule_step:
    epochs and steps done when the schedule of the learning rate began.
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

    def with_new_schedule(self) -> Self:
        """The same with a schedule that begins here: `epochs` of a config then counts from here. What was left of an
        epoch is dropped."""
        epoch = self.epoch + (self.done > 0)
        return replace(
            self,
            epoch=epoch,
            done=0,
            totals=(0.0, 0.0, 0.0),
            schedule_epoch=epoch,
            schedule_step=self.steps,
        )


def _used(config: TrainConfig) -> list[str]:
    """The fields that hold arrays with a config."""
    average = ["average"] if config.ema > 0.0 else []
    return ["parameters", *OPTIMIZER_KERNELS[config.optimizer].moments, *average]


def check_state(state: TrainingState, shape: ModelConfig, config: TrainConfig, n_steps: int) -> None:
    """UsageError where a state is not of such a network, optimizer and average, or of an epoch of so many steps."""
    wanted = {trained_key(layer, name): extent for layer in shape.layers for name, extent in layer.shapes.items()}
    for name in _FIELDS:
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
    if state.done >= n_steps:
        raise UsageError(
            f"state: {state.done} steps of an epoch are done, and these data have {n_steps}; continue on the data that "
            "it began with"
        )


def take(run: Run, shape: ModelConfig, config: TrainConfig) -> dict[str, dict[str, npt.NDArray[np.float32]]]:
    """The arrays of a state, by the names of its fields, as copies."""
    return {name: unpack_trained(getattr(run.state, _FIELDS[name]), run.parameters, shape) for name in _used(config)}


def restore(state: TrainingState, run: Run, shape: ModelConfig, config: TrainConfig) -> None:
    """Write the arrays of a state to a run."""
    for name in _used(config):
        pack_trained(getattr(run.state, _FIELDS[name]), run.parameters, shape, getattr(state, name))
