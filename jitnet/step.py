"""The compiled training loop: a chunk of batches, the kernels in order, nothing else.

A step is a short list of stages, each one parallel region (or, where the work is below what a region costs, a plain
call); what a part does in each is in `jitnet.stages`:

    forward   layer 1, 2, …        each part owns panels of units
    output    the last layer       softmax, loss, gradient of the logits; each part owns samples, or does all of them
    backward  the last layer … 1   each part owns inputs of the layer, that is units of the layer below: their gradient,
                                   the gradient of the weights that leave them, and those weights' update
    first     layer 0              each part owns panels: gradient and update for this batch, forward for the next one

`first` needs nothing of other parts but what `backward` of layer 1 left in the same part, so both are one region.
A unit's weights stay with one thread, in its own cache.

With few classes `forward` of the last hidden layer ends with what each group of its units contributes to the logits,
and `output` only adds the contributions up. Where also the zero-skipping loops make a step short, `output` is no stage
of its own but begins every part's backward, and does softmax and loss for all samples in every part anew: a network
with one hidden layer then has one region a step, and all that moves between cores are the contributions.

Every number has one order of summing whatever the number of parts, so the bits do not depend on it.
"""

import atexit
import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import prange, typeof, types
from numba.core.typing import signature

from jitnet.kernels.jit import (
    address_of,
    cache_folder,
    compile_beside,
    inner_kernel,
    kernel,
    machine,
    parallel_kernel,
    remember_warm,
    stage_kernel,
    warm,
)
from jitnet.kernels.lend import lend
from jitnet.kernels.sparse import list_rows
from jitnet.stages import (
    ONE,
    OPTIONS,
    SOURCE,
    STAGE,
    STATE,
    ZERO,
    Batch,
    Run,
    backward_stage,
    first_stage,
    forward_stage,
    gather_stage,
    idle_stage,
    limit_stage,
    norm_stage,
    output_stage,
    update_stage,
)
from jitnet.state import BACKWARD_PARTS, COPY, FORWARD_PARTS, THREADS

if TYPE_CHECKING:
    import subprocess

__all__ = ["Stages", "begin", "load", "load_half", "measure_steps", "stages", "train_steps"]

_FUNCTION = types.FunctionType(STAGE)


class Stages(NamedTuple):
    """The stages as values, so that the loop calls them by address. What is called so is compiled once; what is linked
    in is optimised again in every function above it, and took four times as long to compile."""

    gather: Callable[..., None]
    forward: Callable[..., None]
    output: Callable[..., None]
    backward: Callable[..., None]
    first: Callable[..., None]
    norm: Callable[..., None]
    update: Callable[..., None]
    limit: Callable[..., None]
    idle: Callable[..., None]


@cache
def _compiled(stage: Callable[..., None]) -> Callable[..., None]:
    return address_of(stage_kernel(stage, STAGE), STAGE)


def stages(*, deferred: bool) -> Stages:
    """The stages that a run needs, compiled or loaded; those of a deferred update (clipping, max-norm) only where
    asked for."""
    late = (norm_stage, update_stage, limit_stage) if deferred else (idle_stage,) * 3
    return Stages(
        *map(_compiled, (gather_stage, forward_stage, output_stage, backward_stage, first_stage, *late, idle_stage))
    )


def load_half() -> None:
    """Compile or load what takes half of the time: for a second process, while the first compiles the rest."""
    for stage in (backward_stage, output_stage):
        _compiled(stage)
    list_rows(np.zeros((1, 1), np.uint8), np.zeros(2, np.int64), np.zeros(0, np.uint32))


@cache
def begin() -> "subprocess.Popen[bytes] | None":
    """Have a second process compile its half, where anything has to be compiled. `load` does so too; whoever knows
    earlier that it will be called saves the time between. It ends with this process at the latest."""
    if warm() or cache_folder is None or machine().cores == 1:
        return None
    beside = compile_beside("from jitnet.step import load_half; load_half()")
    atexit.register(beside.terminate)
    return beside


def load(*, deferred: bool = False) -> Stages:
    """Compile or load everything that training runs, in two processes where it has to be compiled."""
    beside = begin()
    try:
        for stage in (forward_stage, gather_stage, idle_stage):
            _compiled(stage)
        _compiled_loop()
        # The last: what it shares with `backward`, the other process has compiled by then.
        _compiled(first_stage)
    finally:
        if beside is not None:
            beside.wait()
    loaded = stages(deferred=deferred)
    remember_warm()
    return loaded


@parallel_kernel
def _region(one, two, three, four, layer, run, batch, following, parts):
    """Up to four stages in one parallel region: each part passes from one to the next without waiting for the
    others."""
    for part in prange(parts):
        own = np.int64(part)
        one(layer, run, batch, own, parts)
        two(layer, run, batch, own, parts)
        three(ZERO, run, batch, own, parts)
        four(ZERO, run, following, own, parts)


@inner_kernel
def _run(one, two, three, four, layer, run, batch, following, parts):
    """The same, in as many parts as the work is worth."""
    if parts > 1:
        _region(one, two, three, four, layer, run, batch, following, parts)
    else:
        one(layer, run, batch, ZERO, parts)
        two(layer, run, batch, ZERO, parts)
        three(ZERO, run, batch, ZERO, parts)
        four(ZERO, run, following, ZERO, parts)


def _steps(
    gather,
    forward,
    output,
    backward,
    first,
    norm,
    update,
    limit,
    idle,
    state,
    source,
    options,
    order,
    batch_size,
    first_step,
    number,
    rates,
    training,
    totals,
):
    """`train_steps` or, without `training`, `measure_steps`, with the stages one by one."""
    run = lend(Run(state, source, options))
    last = state.layers.shape[0] - 1
    fused = state.layers[last, COPY] > 0
    threads = state.layers[0, THREADS]
    for step in range(rates.shape[0]):
        begin = (first_step + step) * batch_size
        rows = order[begin : min(order.shape[0], begin + batch_size)]
        upcoming = begin + batch_size if training and step + 1 < rates.shape[0] else order.shape[0]
        ahead = order[upcoming : min(order.shape[0], upcoming + batch_size)]
        scale = -rates[step] if options.direct else 1.0
        batch = Batch(rows, ahead, number + step, rates[step], scale)
        now = lend(batch)

        begins = step == 0 or not training
        if begins and not source.sparse:
            _run(gather, idle, idle, idle, ZERO, run, now, now, state.layers[0, FORWARD_PARTS])
        for layer in range(0 if begins or options.deferred else 1, last):
            parts = state.layers[layer, FORWARD_PARTS]
            _run(forward, idle, idle, idle, layer, run, now, now, parts)
        if not (training and fused):
            parts = state.layers[last, FORWARD_PARTS]
            _run(output, idle, idle, idle, last, run, now, now, parts)

        if training:
            for layer in range(last, 1, -1):
                before = output if fused and layer == last else idle
                parts = state.layers[layer, BACKWARD_PARTS]
                _run(before, backward, idle, idle, layer, run, now, now, parts)
            if last == 0:
                parts = state.layers[0, BACKWARD_PARTS]
                _run(first, idle, idle, idle, ZERO, run, now, now, parts)
            else:
                # Layer 1 and layer 0 backward, and layer 0 forward for the next batch: all on a part's own units.
                before = output if fused and last == 1 else idle
                after = idle if options.deferred or ahead.shape[0] == 0 else forward
                following = Batch(ahead, ahead, batch.number + 1, batch.rate, batch.scale)
                parts = state.layers[1, BACKWARD_PARTS]
                _run(before, backward, first, after, ONE, run, now, lend(following), parts)

        loss, right = 0.0, 0
        for n in range(rows.shape[0]):
            loss += state.losses[n]
            right += state.right[n]
        if training and not math.isfinite(loss):
            return step
        totals[0] += loss
        totals[1] += right

        if training and options.deferred:
            if options.clip_norm > 0.0:
                _run(norm, idle, idle, idle, ZERO, run, now, now, threads)
            _run(update, idle, idle, idle, ZERO, run, now, now, threads)
            if options.max_norm > 0.0:
                for layer in range(last + 1):
                    parts = state.layers[layer, FORWARD_PARTS]
                    _run(limit, idle, idle, idle, layer, run, now, now, parts)
    return rates.shape[0]


_ORDER, _NUMBERS = typeof(np.zeros(1, np.int32)), typeof(np.zeros(1))
_STEPS = signature(
    types.int64,
    *(_FUNCTION,) * len(Stages._fields),
    STATE,
    SOURCE,
    OPTIONS,
    _ORDER,
    types.int64,
    types.int64,
    types.int64,
    _NUMBERS,
    types.boolean,
    _NUMBERS,
)


def train_steps(stages, state, source, options, order, batch_size, first_step, number, rates, totals):
    """Train on the batches first_step, first_step + 1, … of an epoch, one for each of `rates`; give how many were done.

    order (samples,) int32: batch k is order[k * batch_size : (k + 1) * batch_size], the last one perhaps smaller.
    number: steps of the run before these; rates (steps,) float64: learning rates. totals (2,) float64 gains the sum of
    the samples' losses and the count of right guesses. A loss that is NaN or infinite ends the call with that step; the
    parameters are of no use then.
    """
    return _compiled_loop()(*stages, state, source, options, order, batch_size, first_step, number, rates, True, totals)


def measure_steps(stages, state, source, options, order, batch_size, totals):
    """Forward only, over the samples of `order`: totals (2,) float64 gains the sum of losses and the count of right
    guesses.

    It uses the state's activations and leaves its parameters alone. options: without dropout and label smoothing.
    """
    steps = np.zeros(-(-len(order) // batch_size))
    _compiled_loop()(*stages, state, source, options, order, batch_size, 0, 0, steps, False, totals)


@cache
def _compiled_loop() -> Callable[..., int]:
    return kernel(_steps, _STEPS)
