"""The measured network and data, laid out as training lays them out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.compiler.reference import Struct
from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import Dataset, Split
from jitnet.engine.loop import load_loop, run_steps
from jitnet.engine.prediction import Predictor
from jitnet.engine.program import Line, Program
from jitnet.engine.state import Data, Run
from jitnet.machine.host import set_threads
from jitnet.model import Model
from jitnet.training.plan import Plan, begin_run, data_of, make_plan

__all__ = ["BATCHES", "Prediction", "Subject", "Training", "prepare_prediction"]

BATCHES = 1024
"""Batches that a line is repeated on, one after another: more than a cache holds."""

PREDICTED = 10_000
"""Samples that are predicted, or all where there are fewer."""


@dataclass(frozen=True)
class Subject:
    """A network on a data set, in batches of `batch_size` (fewer where there are fewer samples)."""

    shape: ModelConfig
    dataset: Dataset
    batch_size: int
    data: dict[bool, Data] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def model(self) -> Model:
        return Model.create(self.shape, self.dataset, seed=0)

    @cached_property
    def plan(self) -> Plan:
        """What training would choose, with plain SGD."""
        return self.training(0).plan

    @cached_property
    def order(self) -> npt.NDArray[np.int32]:
        """Samples in random order, as an epoch has them, in BATCHES batches."""
        shuffled = np.random.default_rng(0).permutation(len(self.dataset.train)).astype(np.int32)
        return np.resize(shuffled, BATCHES * self.batch_size)

    @cached_property
    def entries(self) -> float:
        """Inputs of a batch that are not zero, on average."""
        return self.batch_size * self.shape.in_features * (self.plan.density if self.plan.skips_zeros else 1.0)

    def training(
        self, threads: int, *, dense: bool = False, fields: Mapping[str, Any] | None = None, **options: Any
    ) -> "Training":
        """A training of this network on so many threads, 0: as training chooses; options: fields of TrainConfig.

        dense: without skipping zeros. fields: those of ModelConfig in which the network differs, its activation or its
        loss.
        """
        config = TrainConfig(**{"batch_size": self.batch_size, "threads": threads, **options})
        model = self.model
        if fields:
            kept = self.shape.model_dump(exclude={"huber_delta", "quantiles"} if "loss" in fields else set())
            shape = ModelConfig(**{**kept, **fields})
            # With another count of outputs a target there are other weights.
            like = model if shape.widths == self.shape.widths else Model.create(shape, seed=0)
            model = Model(shape, like.weights, like.biases, scaling=model.scaling, target_scaling=model.target_scaling)
            model.replace_parameters(like.parameters)
        plan = make_plan(model, self.dataset.train, config, self.batch_size, skip_zeros=not dense)
        return Training(self, model, plan)

    def data_for(self, plan: Plan) -> Data:
        """The samples as a plan walks them, made once."""
        if plan.skips_zeros not in self.data:
            self.data[plan.skips_zeros] = data_of(self.dataset.train, self.model, plan)
        return self.data[plan.skips_zeros]


@dataclass(frozen=True)
class Prediction:
    """A prepared prediction of some samples by the measured network: its program, and what it runs on."""

    program: Program
    run: Run

    @cached_property
    def struct(self) -> Struct:
        return Struct(self.run)

    def predict(self) -> None:
        """All samples, once."""
        set_threads(max(1, self.program.threads))
        run_steps(self.struct, 0, np.zeros(3))


def prepare_prediction(model: Model, split: Split, threads: int) -> Prediction:
    """Predicting up to PREDICTED samples of a split on at most so many threads."""
    images, features = model.inputs(split.images[:PREDICTED])
    scaling = model.scaling
    predictor = Predictor(model.config, model.parameters, scaling.offset, scaling.scale)
    return Prediction(*predictor.prepare(images, features, threads, costs=True))


@dataclass(frozen=True)
class Training:
    """A training with learning rate 0, so that the parameters do not change however often a line runs."""

    subject: Subject
    model: Model
    plan: Plan

    @cached_property
    def run(self) -> Run:
        """Filled by a few steps, so that activations and gradients are as in training."""
        load_loop()
        run = begin_run(self.model, self.plan, BATCHES)
        run = run._replace(order=self.subject.order, data=self.subject.data_for(self.plan))
        run.schedule.peak = run.schedule.final = 0.0
        return run

    @cached_property
    def struct(self) -> Struct:
        return Struct(self.run)

    @cached_property
    def _saved(self) -> list[npt.NDArray[Any]]:
        """What a few steps have left in the arrays that a line reads and writes."""
        self.train(2)
        return [array.copy() for array in self._arrays]

    @property
    def _arrays(self) -> Sequence[npt.NDArray[Any]]:
        state = self.run.state
        return state.work, state.params, state.grads, state.first_moment, state.second_moment, state.average

    def restore(self) -> None:
        """All numbers as a few steps of training left them."""
        for array, saved in zip(self._arrays, self._saved, strict=True):
            array[:] = saved
        self.run.call.n_steps = BATCHES

    def train(self, steps: int) -> None:
        """Train for some steps, in calls of up to BATCHES."""
        set_threads(max(1, self.plan.threads))
        totals, call = np.zeros(3), self.run.call
        for begin in range(0, steps, BATCHES):
            call.first_batch, call.n_steps = 0, min(BATCHES, steps - begin)
            run_steps(self.struct, len(self.plan.program.first), totals)

    def lines(self, operations: Sequence[str] = ()) -> list[tuple[int, Line]]:
        """The lines of the program with their places, one for each operation and layer; all, or of these operations.

        A line on the next batch is left out where the program has the same line for this one."""
        found: dict[tuple[str, int], tuple[int, Line]] = {}
        for place, line in enumerate(self.plan.program.lines):
            if not operations or line.operation in operations:
                found.setdefault((line.operation, line.layer), (place, replace(line, next_batch=False)))
        return list(found.values())
