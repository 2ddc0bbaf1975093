"""The network and data at hand, laid out as training lays them out: what every measurement runs on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from jitnet import step
from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import Dataset
from jitnet.kernels.jit import set_threads
from jitnet.model import Model
from jitnet.state import Options, Source, State, allocate, no_source
from jitnet.training.plan import Plan, make_plan, make_source, make_state, options_of

__all__ = ["Subject"]

LEARNING_RATE = 1e-3
"""Small: the network shall stay as it is, whatever the data."""


@dataclass(frozen=True)
class Subject:
    """A network on a data set, in batches of `batch_size` (fewer where there are fewer samples)."""

    shape: ModelConfig
    dataset: Dataset
    batch_size: int

    @cached_property
    def model(self) -> Model:
        return Model.create(self.shape, self.dataset, seed=0)

    @cached_property
    def plan(self) -> Plan:
        """How training would do it by itself."""
        return self.plan_on(0)

    def plan_on(self, threads: int) -> Plan:
        config = self.config.model_copy(update={"threads": threads})
        return make_plan(self.model, self.dataset.train, config, self.batch_size)

    @cached_property
    def config(self) -> TrainConfig:
        """Plain SGD, as at the defaults."""
        return TrainConfig(batch_size=self.batch_size, learning_rate=LEARNING_RATE)

    @cached_property
    def options(self) -> Options:
        return options_of(self.shape, self.config)

    @cached_property
    def source(self) -> Source:
        return make_source(self.dataset.train, self.model, self.plan)

    @cached_property
    def order(self) -> npt.NDArray[np.int32]:
        """Samples in random order, as an epoch has them."""
        return np.random.default_rng(0).permutation(len(self.dataset.train)).astype(np.int32)

    @cached_property
    def entries(self) -> float:
        """Inputs of a batch that are not zero, on average."""
        return self.batch_size * self.shape.in_features * (self.plan.density if self.plan.sparse else 1.0)

    def training_state(self, threads: int) -> State:
        """A state as training on so many threads has it."""
        return make_state(self.model, self.config, self.plan_on(threads), self.batch_size)

    def train(self, state: State, threads: int, steps: int) -> None:
        """Train for some steps, in one call: entering the loop anew for each epoch of a small data set would show."""
        set_threads(threads)
        stages, totals = step.stages(deferred=False), np.zeros(2)
        order = np.resize(self.order, steps * self.batch_size)
        rates = np.full(steps, LEARNING_RATE)
        step.train_steps(stages, state, self.source, self.options, order, self.batch_size, 0, 0, rates, totals)

    def kernel_state(self, parts: int) -> State:
        """One state on which every kernel finds its arrays: dense inputs, marks of columns, gradients and moments.

        A few steps of training have filled it, so that activations and gradients are as they are in training.
        """
        config, batch = self.shape, self.batch_size
        state = allocate(config, batch, parts, grads=True, first_moment=True, second_moment=True, mean=True)
        trained = make_state(self.model, self.config, self.plan, batch)
        state.params[:], state.values[:] = trained.params, trained.values
        if self.plan.sparse:
            columns, cursors = np.zeros((parts, config.in_features), np.uint64), np.zeros((parts, batch), np.int64)
            state = state._replace(columns=columns, cursors=cursors)
        dense = (
            self.source
            if not self.plan.sparse
            else no_source()._replace(images=self.source.images, labels=self.source.labels)
        )
        stages, totals = step.stages(deferred=False), np.zeros(2)
        for batches in range(2):
            step.train_steps(
                stages, state, dense, self.options, self.order, batch, 0, batches, np.full(1, LEARNING_RATE), totals
            )
        return state
