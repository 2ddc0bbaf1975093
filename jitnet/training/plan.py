"""How a training will be done, and why: threads, the loops of the first layer, and the program of a step."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import CompressedRows, Scaling, Split
from jitnet.engine.allocation import byte_values
from jitnet.engine.arena import aligned
from jitnet.engine.density import density, trains_skipping, used_columns
from jitnet.engine.layout import Layout, lay_out
from jitnet.engine.packing import pack
from jitnet.engine.program import Program, Step, evaluating, training
from jitnet.engine.setup import make_data, place_weights, training_run
from jitnet.engine.state import Data, Run, State
from jitnet.engine.step_clock import clock_for
from jitnet.errors import UsageError
from jitnet.machine.host import Machine, describe_machine
from jitnet.model import Model
from jitnet.model.encoding import encode, encode_targets

__all__ = ["Plan", "begin_run", "check_cores", "data_of", "make_plan", "on_threads", "plain_values"]


PARAMETERS = ("params", "grads", "first_moment", "second_moment", "average")
"""What a state has for each parameter: the same on any count of threads."""


@dataclass(frozen=True)
class Plan:
    """threads, threads_reason: how many, and why; where none were asked for, the most that change anything, of which a
    run chooses by trying. input_loops: "zero-skipping" or "dense", the loops of the first
    layer; density: share of the inputs that are not zero; input_reason: why those loops. step: what the program is made
    for; layout: where everything is stored; program: the lines of a training step."""

    threads: int
    threads_reason: str
    input_loops: str
    density: float
    input_reason: str
    machine: Machine
    step: Step = field(repr=False)
    layout: Layout = field(repr=False)

    @property
    def skips_zeros(self) -> bool:
        """Whether the first layer walks only inputs that are not zero."""
        return self.step.skips_zeros

    @cached_property
    def program(self) -> Program:
        return training(self.step, self.layout)

    @property
    def asked(self) -> bool:
        """Whether the count of threads was asked for; else it is the most that a run chooses from."""
        return self.step.config.threads > 0

    @property
    def begins_on(self) -> int:
        """Threads that a run begins on: as asked, or an estimate, as many as the step would be times faster with the
        parts of its lines if only FLOP took time."""
        if self.asked:
            return self.threads
        flop = sum(line.cost.flop for line in self.program.step)
        return min(self.threads, math.ceil(flop / sum(line.cost.flop / line.parts for line in self.program.step)))

    @cached_property
    def evaluation_program(self) -> Program:
        return evaluating(self.step, self.layout)


def make_plan(
    model: Model,
    samples: Split,
    config: TrainConfig,
    batch_size: int,
    *,
    skip_zeros: bool = True,
    scaling: Scaling | None = None,
    any_threads: bool = False,
) -> Plan:
    """Choose threads and loops; UsageError where more threads are asked for than there are cores to bind them to, or
    the config does not fit the network.

    skip_zeros: whether zeros may be skipped where that pays; those of sparse rows are always. scaling: of the samples,
    here and below the model's where it is left out. any_threads: plan for any number of threads, also for more than can
    run here.
    """
    config.check_fits(model.config)
    here = describe_machine()
    scaling = scaling or model.scaling
    share, loops, reason = _input_loops(scaling, samples, batch_size)
    if not skip_zeros and not isinstance(samples.images, CompressedRows):
        loops, reason = "dense", "as asked"
    if not any_threads:
        check_cores(config.threads, here)
    sparse = loops == "zero-skipping"
    bytes_per_input = 4 if _scaled_before(scaling, samples) else 1
    rates = _dropout(model.config, config)
    columns = used_columns(samples.images, batch_size) if sparse else 1.0

    def on(threads: int) -> tuple[Step, Layout]:
        step = Step(
            model.config,
            config,
            batch_size,
            threads,
            share if sparse else 1.0,
            sparse,
            bytes_per_input,
            columns,
            samples.weights is not None,
        )
        return step, lay_out(
            model.config, batch_size, threads, skips_zeros=sparse, training=True, dropout=(*rates, 0.0)
        )

    threads, why = config.threads, "as asked"
    if threads > here.affinity:
        cores = f"{here.affinity} core{'s' * (here.affinity != 1)}"
        why = f"as asked, to be shown only: this process may use {cores}, and trains on no more threads"
    if not threads:
        threads = training(*on(here.cores)).threads
        why = here.cores_reason if threads == here.cores else "a step has too little work for more"
    return Plan(threads, why, loops, share, reason, here, *on(threads))


def check_cores(threads: int, here: Machine) -> None:
    """UsageError where this process may use fewer cores than so many threads need."""
    if threads > here.affinity:
        raise UsageError.of_fields(
            f"<threads> is {threads}; this process may use 1 to {here.affinity} (cores by affinity)"
        )


def on_threads(plan: Plan, threads: int) -> Plan:
    """The same on another count of threads."""
    step = plan.step._replace(threads=threads)
    rates = tuple(float(layer.dropout) for layer in plan.layout.layers)
    layout = lay_out(step.shape, step.batch_size, threads, skips_zeros=plan.skips_zeros, training=True, dropout=rates)
    return replace(plan, threads=threads, step=step, layout=layout)


def _scaled_before(scaling: Scaling, samples: Split) -> bool:
    """Whether samples are floats for the loop: no bytes, or scaled feature by feature."""
    return samples.images.dtype != np.uint8 or np.ndim(scaling.offset) > 0 or np.ndim(scaling.scale) > 0


def _input_loops(scaling: Scaling, samples: Split, batch_size: int) -> tuple[float, str, str]:
    images = samples.images
    if isinstance(images, CompressedRows):
        # Made dense they may not fit the memory, so this does not depend on the share.
        share = density(images)
        return share, "zero-skipping", f"the rows are sparse, {share:.2g} of the inputs are not zero"
    if _scaled_before(scaling, samples):
        return 1.0, "dense", "inputs are not bytes"
    share = density(images)
    if scaling.offset:
        return share, "dense", "zero bytes are not zero inputs"
    loops = "zero-skipping" if trains_skipping(share, batch_size) else "dense"
    return share, loops, f"{share:.0%} of the inputs are not zero"


def _dropout(shape: ModelConfig, config: TrainConfig) -> tuple[float, ...]:
    """A rate for each hidden layer."""
    hidden = len(shape.hidden)
    return (config.dropout or (0.0,)) * hidden if len(config.dropout) <= 1 else config.dropout


def begin_run(
    model: Model,
    plan: Plan,
    n_steps: int,
    parameters: State | None = None,
    scaling: Scaling | None = None,
    schedule_step: int = 0,
) -> Run:
    """A run with the model's parameters in it, its clock stopped; n_steps: of an epoch. parameters: of another
    run of this model, to be shared with it, gradients and moments included. scaling: of the samples. schedule_step: the
    step at which the schedule begins."""
    config, program = plan.step.config, plan.program
    run = training_run(plan.step, plan.layout, program, n_steps, schedule_step)
    run = run._replace(clock=clock_for(program.threads, len(program.lines), program.regions))
    if parameters is not None:
        run = run._replace(state=run.state._replace(**{name: getattr(parameters, name) for name in PARAMETERS}))
    else:
        place_weights(run, program)
        pack(run.state.params, run.parameters, model.config, model.parameters)
        if config.ema > 0.0:
            run.state.average[:] = run.state.params
    # What input dropout keeps is scaled up to make good for what it drops.
    run.state.byte_values[:] = plain_values(model, scaling) / np.float32(1.0 - config.input_dropout)
    return run


def plain_values(model: Model, scaling: Scaling | None = None) -> npt.NDArray[np.float32]:
    """(256,) float32: the network input of each byte, by the model's scaling or another; zeros where inputs are not
    bytes."""
    scaling = scaling or model.scaling
    offset, scale = scaling.offset, scaling.scale
    values = aligned(256)
    if np.ndim(offset) == 0 and np.ndim(scale) == 0:
        values[:] = byte_values(float(offset), float(scale))
    return values


def data_of(split: Split, model: Model, plan: Plan, *, scaling: Scaling | None = None, **options: Any) -> Data:
    """A split as the loop walks it; its weights have the mean 1."""
    images, features = encode(split.images, scaling or model.scaling)
    if split.targets is not None:
        options["targets"] = encode_targets(split.targets, model.target_scaling)
    return make_data(
        images,
        features,
        split.labels,
        weights=split.weights,
        skips_zeros=plan.skips_zeros,
        threads=plan.threads,
        **options,
    )
