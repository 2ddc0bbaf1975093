"""The compiled training loop: a chunk of batches, the kernels in order, nothing else.

A step is a short list of stages, each one parallel region (or, where the work is below what a region costs, a plain
call):

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

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange, typeof, types
from numba.core.typing import signature

from jitnet.config import ModelConfig
from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.batch import gather_bytes, gather_floats
from jitnet.kernels.dropout import dropout
from jitnet.kernels.jit import (
    address_of,
    cache_folder,
    compile_beside,
    inner_kernel,
    kernel,
    machine,
    parallel_kernel,
    stage_kernel,
    warm,
)
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
    transpose,
)
from jitnet.kernels.loss import scale_rows, softmax_cross_entropy
from jitnet.kernels.optimizer import average, limit_norms, square_sum, update
from jitnet.kernels.sparse import BLOCK, list_rows, mark_columns, sparse_backward_weight, sparse_forward
from jitnet.kernels.tile import COLS, LANES, PANEL, own_code, tile_load, tile_store
from jitnet.state import (
    BACKWARD_PARTS,
    COPY,
    FORWARD_PARTS,
    GROUPS,
    GT,
    GT_STRIDE,
    IN,
    NORM_BLOCK,
    OUT,
    PANELS,
    ROOM,
    STRIDE,
    TERMS,
    THREADS,
    TOGETHER,
    X_STRIDE,
    B,
    G,
    H,
    W,
    X,
    Z,
    allocate,
    make_options,
    no_source,
)

__all__ = ["Stages", "load", "load_half", "measure_steps", "stages", "train_steps"]

# A NumPy integer, not a plain one: Numba compiles a function anew for every plain constant that it is given.
ZERO, ONE, WIDTH = np.int64(0), np.int64(1), np.int64(PANEL)


class Batch(NamedTuple):
    """What one step works on: its samples and the next batch's, its number in the run, its learning rate, and what the
    gradients are scaled by on their way to the weights: -rate where they are added straight to them, else 1."""

    rows: npt.NDArray[np.int32]
    ahead: npt.NDArray[np.int32]
    number: int
    rate: float
    scale: float


@inner_kernel
def _share(count, part, parts):
    """First and last of what `part` of `parts` owns."""
    return count * part // parts, count * (part + 1) // parts


@inner_kernel
def _own_panels(row, part, parts):
    """First and last of the panels that `part` of `parts` owns of a layer."""
    together = row[TOGETHER]
    first, last = _share((row[PANELS] + together - 1) // together, part, parts)
    return first * together, min(last * together, row[PANELS])


@inner_kernel
def _gather(state, source, rows, number, part, parts):
    """Own samples of a batch, as network inputs, into the buffer whose turn it is."""
    own_code()
    row = state.layers[0]
    x = state.work[row[X] + (number & 1) * row[ROOM] * row[X_STRIDE] :]
    first, last = _share(rows.shape[0], part, parts)
    if source.images.shape[0] > 0:
        gather_bytes(source.images, rows, state.values, first, last, x, row[X_STRIDE])
    else:
        gather_floats(source.features, rows, first, last, x, row[X_STRIDE])


@inner_kernel
def _linear(state, source, part, layer, rows, number, first_sample, last_sample, first_panel, last_panel):
    """z of own samples and panels of a layer."""
    own_code()
    row = state.layers[layer]
    w, b = state.params[row[W] :], state.params[row[B] :]
    z = state.work[row[Z] + first_sample * row[STRIDE] :]
    own = rows[first_sample:last_sample]
    if layer == 0 and source.sparse:
        sparse_forward(
            source.starts,
            source.entries,
            own,
            state.cursors[part],
            state.values,
            w,
            b,
            row[IN],
            first_panel,
            last_panel,
            z,
            row[STRIDE],
        )
    else:
        at = row[X] + first_sample * row[X_STRIDE]
        if layer == 0:
            at += (number & 1) * row[ROOM] * row[X_STRIDE]
        linear_forward(
            state.work[at:], row[X_STRIDE], w, b, own.shape[0], row[IN], first_panel, last_panel, z, row[STRIDE]
        )


@inner_kernel
def _contribute(state, batch, first_panel, last_panel):
    """What own groups of units of the last hidden layer contribute to the logits; the last group adds the bias."""
    own_code()
    row, below = state.layers[-1], state.layers[-2]
    size = row[ROOM] * PANEL
    for group in range(first_panel // below[TOGETHER], (last_panel + below[TOGETHER] - 1) // below[TOGETHER]):
        first = group * below[TOGETHER] * PANEL
        last = min(row[IN], first + below[TOGETHER] * PANEL)
        b = state.params[row[B] :] if last == row[IN] else state.work[:PANEL]
        x, w = state.work[row[X] + first :], state.params[row[W] + first * PANEL :]
        terms = state.work[row[TERMS] + ((batch.number & 1) * row[GROUPS] + group) * size :]
        linear_forward(x, row[X_STRIDE], w, b, batch.rows.shape[0], last - first, ZERO, ONE, terms, WIDTH)


@inner_kernel
def _add_contributions(state, batch, first, last, z):
    """The logits of samples first <= n < last, into rows of `z`."""
    own_code()
    row = state.layers[-1]
    size = row[ROOM] * PANEL
    begin = row[TERMS] + (batch.number & 1) * row[GROUPS] * size
    for n in range(first, last):
        total = tile_load(1, COLS, state.work, begin + n * PANEL, PANEL)
        for group in range(1, row[GROUPS]):
            total = total + tile_load(1, COLS, state.work, begin + group * size + n * PANEL, PANEL)
        tile_store(total, z, n * row[STRIDE], PANEL)


def forward_stage(layer, state, source, options, batch, part, parts):
    """A hidden layer's own units: linear, activation, dropout; of the last one also what they contribute to the
    logits."""
    row = state.layers[layer]
    first_panel, last_panel = _own_panels(row, part, parts)
    _linear(state, source, part, layer, batch.rows, batch.number, ZERO, batch.rows.shape[0], first_panel, last_panel)
    first, last = first_panel * PANEL, last_panel * PANEL
    z, h = state.work[row[Z] :], state.work[row[H] :]
    activation_forward(options.activation, z, h, row[STRIDE], batch.rows.shape[0], first, last)
    if options.shares[layer] > 0.0:
        dropout(
            options.seed, batch.number, layer, batch.rows.shape[0], options.shares[layer], h, row[STRIDE], first, last
        )
    if layer == state.layers.shape[0] - 2 and state.layers[layer + 1, GROUPS] > 0:
        _contribute(state, batch, first_panel, last_panel)


def output_stage(layer, state, source, options, batch, part, parts):
    """Logits, loss, gradient of the logits: own samples, and own samples of the next batch gathered; or where the
    logits are added up, all samples, into the part's own copy."""
    row = state.layers[layer]
    stride, gt_stride, n_classes = row[STRIDE], row[GT_STRIDE], row[OUT]
    copy, size = part * row[COPY], batch.rows.shape[0]
    first, last, at = ZERO, size, ZERO
    if row[COPY] > 0:
        at = part * row[ROOM]
    else:
        # Whole vectors of samples: a part's end cuts none.
        first, last = _share((size + LANES - 1) // LANES, part, parts)
        first, last = first * LANES, min(size, last * LANES)
    if row[GROUPS] > 0:
        _add_contributions(state, batch, first, last, state.work[row[Z] + copy :])
    else:
        _linear(state, source, part, layer, batch.rows, batch.number, first, last, ZERO, row[PANELS])
    z, gt = state.work[row[Z] + copy :], state.work[row[GT] + copy :]
    g = state.work[row[G] + copy + first * stride :]
    transpose(z[first * stride :], stride, last - first, ZERO, n_classes, gt[first:], gt_stride)
    losses, right = state.losses[at:], state.right[at:]
    mean, smoothing = np.float32(1.0 / size), np.float32(options.smoothing)
    softmax_cross_entropy(
        gt, gt_stride, first, last, n_classes, source.labels, batch.rows, smoothing, mean, losses, right
    )
    transpose(gt[first:], gt_stride, n_classes, ZERO, last - first, g, stride)
    scale_rows(g, stride, last - first, ZERO, n_classes, np.float32(batch.scale))
    if not source.sparse and batch.ahead.shape[0] > 0:
        _gather(state, source, batch.ahead, batch.number + 1, part, parts)


@inner_kernel
def _update(state, options, batch, first, last, scale):
    """Own parameters, from their gradients; and their moving average."""
    own_code()
    if not options.direct:
        update(
            options.optimizer,
            first,
            last,
            state.params,
            state.grads,
            state.first_moment,
            state.second_moment,
            batch.number + 1,
            batch.rate,
            options.weight_decay,
            options.momentum,
            options.beta1,
            options.beta2,
            options.rho,
            options.epsilon,
            scale,
        )
    if options.ema > 0.0 and not (options.deferred and options.max_norm > 0.0):
        average(first, last, state.params, state.mean, options.ema)


@inner_kernel
def _clear(values, first, last):
    for k in range(first, last):
        values[np.uint64(k)] = np.float32(0.0)


@inner_kernel
def _backward_bias(state, options, batch, layer, copy, first_panel, last_panel):
    own_code()
    row = state.layers[layer]
    if layer == state.layers.shape[0] - 1 and not options.output_bias:
        return
    first, last = row[B] + first_panel * PANEL, row[B] + last_panel * PANEL
    target = state.params if options.direct else state.grads
    if not options.direct:
        _clear(target, first, last)
    linear_backward_bias(
        state.work[row[G] + copy :], row[STRIDE], batch.rows.shape[0], first_panel, last_panel, target[row[B] :]
    )
    if not options.deferred:
        _update(state, options, batch, first, last, 1.0)


def backward_stage(layer, state, source, options, batch, part, parts):
    """A layer above the first, own inputs: gradient of the units below, of the weights that leave them, and their
    update."""
    row, below = state.layers[layer], state.layers[layer - 1]
    size, stride = batch.rows.shape[0], below[STRIDE]
    gt_stride, copy = row[GT_STRIDE], part * row[COPY]
    first_panel, last_panel = _own_panels(below, part, parts)
    first, last = first_panel * PANEL, min(last_panel * PANEL, row[IN])
    gt, gt_below = state.work[row[GT] + copy :], state.work[below[GT] :]
    linear_backward_input(gt, gt_stride, size, state.params[row[W] :], row[IN], row[OUT], first, last, gt_below)
    target = state.params if options.direct else state.grads
    if not options.direct:
        for p in range(row[PANELS]):
            at = row[W] + p * row[IN] * PANEL
            _clear(target, at + first * PANEL, at + last * PANEL)
    linear_backward_weight(
        state.work[row[X] :],
        row[X_STRIDE],
        state.work[row[G] + copy :],
        row[STRIDE],
        size,
        row[IN],
        first,
        last,
        ZERO,
        row[PANELS],
        target[row[W] :],
    )
    if not options.deferred:
        for p in range(row[PANELS]):
            at = row[W] + p * row[IN] * PANEL
            _update(state, options, batch, at + first * PANEL, at + last * PANEL, 1.0)
    own = _share(row[PANELS], part, parts)
    _backward_bias(state, options, batch, layer, copy, own[0], own[1])

    g = state.work[below[G] :]
    transpose(gt_below[first * gt_stride :], gt_stride, last - first, ZERO, size, g[first:], stride)
    share = options.shares[layer - 1]
    if share > 0.0:
        dropout(options.seed, batch.number, layer - 1, size, share, g, stride, first, last_panel * PANEL)
    z, h = state.work[below[Z] :], state.work[below[H] :]
    activation_backward(options.activation, z, h, 1.0 - share, g, stride, size, first, last)
    if layer > 1:
        transpose(g[first:], stride, size, ZERO, last - first, gt_below[first * gt_stride :], gt_stride)
    scale_rows(g, stride, size, first, last, np.float32(batch.scale))


def first_stage(layer, state, source, options, batch, part, parts):
    """The first layer, own panels: gradient and update of the weights for this batch."""
    row = state.layers[layer]
    first_panel, last_panel = _own_panels(row, part, parts)
    first, last = row[W] + first_panel * row[IN] * PANEL, row[W] + last_panel * row[IN] * PANEL
    target = state.params if options.direct else state.grads
    if not options.direct:
        _clear(target, first, last)
    size = batch.rows.shape[0]
    if source.sparse:
        columns, cursors = state.columns[part], state.cursors[part]
        for n in range(0, size, BLOCK):
            end = min(size, n + BLOCK)
            rows = batch.rows[n:end]
            # Asked for: the samples of this many steps ahead, at the pace at which these are marked.
            ahead = batch.ahead[n : min(end, batch.ahead.shape[0])]
            mark_columns(source.starts, source.entries, rows, ahead, columns)
            sparse_backward_weight(
                columns,
                source.starts,
                source.entries,
                rows,
                cursors,
                state.values,
                state.work[row[G] + n * row[STRIDE] :],
                row[STRIDE],
                row[IN],
                first_panel,
                last_panel,
                target[row[W] :],
            )
    else:
        x = state.work[row[X] + (batch.number & 1) * row[ROOM] * row[X_STRIDE] :]
        g = state.work[row[G] :]
        linear_backward_weight(
            x, row[X_STRIDE], g, row[STRIDE], size, row[IN], ZERO, row[IN], first_panel, last_panel, target[row[W] :]
        )
    if not options.deferred:
        _update(state, options, batch, first, last, 1.0)
    _backward_bias(state, options, batch, layer, ZERO, first_panel, last_panel)


def gather_stage(layer, state, source, options, batch, part, parts):
    """This batch's samples, as network inputs."""
    _gather(state, source, batch.rows, batch.number, part, parts)


def norm_stage(layer, state, source, options, batch, part, parts):
    """Squares of the gradient, own blocks of parameters."""
    first, last = _share(state.squares.shape[0], part, parts)
    for block in range(first, last):
        end = min(state.params.shape[0], (block + 1) * NORM_BLOCK)
        state.squares[block] = square_sum(state.grads, block * NORM_BLOCK, end)


def update_stage(layer, state, source, options, batch, part, parts):
    """Own blocks of parameters, the whole gradient first scaled down to the largest norm allowed (Pascanu et al.
    2013)."""
    scale = 1.0
    if options.clip_norm > 0.0:
        total = 0.0
        for block in range(state.squares.shape[0]):
            total += state.squares[block]
        scale = min(1.0, options.clip_norm / (math.sqrt(total) + 1e-6))
    first, last = _share(state.squares.shape[0], part, parts)
    _update(state, options, batch, first * NORM_BLOCK, min(state.params.shape[0], last * NORM_BLOCK), scale)


def limit_stage(layer, state, source, options, batch, part, parts):
    """Norms of own units, the last layer's aside; then the moving average, of the weights as the step leaves them."""
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    if layer < state.layers.shape[0] - 1:
        for p in range(first, last):
            limit_norms(state.params[row[W] :], p, row[IN], options.max_norm)
    if options.ema > 0.0:
        size = row[IN] * PANEL
        average(row[W] + first * size, row[W] + last * size, state.params, state.mean, options.ema)
        average(row[B] + first * PANEL, row[B] + last * PANEL, state.params, state.mean, options.ema)


def idle_stage(layer, state, source, options, batch, part, parts):
    """Nothing: where a region has fewer stages, and where a run does not come to one."""


_STATE = typeof(allocate(ModelConfig(in_features=1, n_classes=2), 1, 1))
_SOURCE = typeof(no_source())
_OPTIONS = typeof(make_options())
_BATCH = typeof(Batch(np.zeros(0, np.int32), np.zeros(0, np.int32), 0, 0.0, 0.0))
_STAGE = signature(types.void, types.int64, _STATE, _SOURCE, _OPTIONS, _BATCH, types.int64, types.int64)
_FUNCTION = types.FunctionType(_STAGE)


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
    return address_of(stage_kernel(stage, _STAGE), _STAGE)


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


def load(*, deferred: bool = False) -> Stages:
    """Compile or load everything that training runs, in two processes where it has to be compiled."""
    beside = None
    if not warm() and cache_folder is not None and machine().cores > 1:
        beside = compile_beside("from jitnet.step import load_half; load_half()")
    try:
        for stage in (forward_stage, first_stage, gather_stage, idle_stage):
            _compiled(stage)
        _compiled_loop()
    finally:
        if beside is not None:
            beside.wait()
    return stages(deferred=deferred)


@parallel_kernel
def _region(one, two, three, four, layer, state, source, options, batch, following, parts):
    """Up to four stages in one parallel region: each part passes from one to the next without waiting for the
    others."""
    for part in prange(parts):
        own = np.int64(part)
        one(layer, state, source, options, batch, own, parts)
        two(layer, state, source, options, batch, own, parts)
        three(ZERO, state, source, options, batch, own, parts)
        four(ZERO, state, source, options, following, own, parts)


@inner_kernel
def _run(one, two, three, four, layer, state, source, options, batch, following, parts):
    """The same, in as many parts as the work is worth."""
    if parts > 1:
        _region(one, two, three, four, layer, state, source, options, batch, following, parts)
    else:
        one(layer, state, source, options, batch, ZERO, parts)
        two(layer, state, source, options, batch, ZERO, parts)
        three(ZERO, state, source, options, batch, ZERO, parts)
        four(ZERO, state, source, options, following, ZERO, parts)


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

        begins = step == 0 or not training
        if begins and not source.sparse:
            _run(gather, idle, idle, idle, ZERO, state, source, options, batch, batch, state.layers[0, FORWARD_PARTS])
        for layer in range(0 if begins or options.deferred else 1, last):
            parts = state.layers[layer, FORWARD_PARTS]
            _run(forward, idle, idle, idle, layer, state, source, options, batch, batch, parts)
        if not (training and fused):
            parts = state.layers[last, FORWARD_PARTS]
            _run(output, idle, idle, idle, last, state, source, options, batch, batch, parts)

        if training:
            for layer in range(last, 1, -1):
                before = output if fused and layer == last else idle
                parts = state.layers[layer, BACKWARD_PARTS]
                _run(before, backward, idle, idle, layer, state, source, options, batch, batch, parts)
            if last == 0:
                parts = state.layers[0, BACKWARD_PARTS]
                _run(first, idle, idle, idle, ZERO, state, source, options, batch, batch, parts)
            else:
                # Layer 1 and layer 0 backward, and layer 0 forward for the next batch: all on a part's own units.
                before = output if fused and last == 1 else idle
                after = idle if options.deferred or ahead.shape[0] == 0 else forward
                following = Batch(ahead, ahead, batch.number + 1, batch.rate, batch.scale)
                parts = state.layers[1, BACKWARD_PARTS]
                _run(before, backward, first, after, ONE, state, source, options, batch, following, parts)

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
                _run(norm, idle, idle, idle, ZERO, state, source, options, batch, batch, threads)
            _run(update, idle, idle, idle, ZERO, state, source, options, batch, batch, threads)
            if options.max_norm > 0.0:
                for layer in range(last + 1):
                    parts = state.layers[layer, FORWARD_PARTS]
                    _run(limit, idle, idle, idle, layer, state, source, options, batch, batch, parts)
    return rates.shape[0]


_ORDER, _NUMBERS = typeof(np.zeros(1, np.int32)), typeof(np.zeros(1))
_STEPS = signature(
    types.int64,
    *(_FUNCTION,) * len(Stages._fields),
    _STATE,
    _SOURCE,
    _OPTIONS,
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
