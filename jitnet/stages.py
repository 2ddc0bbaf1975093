"""The stages of a training step: what one part of a parallel region does in each.

Every stage has the same arguments, so that the loop in `step` can hand any of them to one region: `layer`, where a
`Run` and a `Batch` lie (see `kernels.lend`), and which `part` of how many `parts`. Which kernels it calls, over which
of their units or samples, is all that a stage says; which stages share a region is said in `step`.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import typeof, types
from numba.core.typing import signature

from jitnet.config import ModelConfig
from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.batch import gather_bytes, gather_floats
from jitnet.kernels.dropout import dropout
from jitnet.kernels.jit import inner_kernel
from jitnet.kernels.lend import borrower
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
    transpose,
)
from jitnet.kernels.loss import scale_rows, softmax_cross_entropy
from jitnet.kernels.optimizer import average, limit_norms, square_sum, update
from jitnet.kernels.sparse import BLOCK, mark_columns, sparse_backward_weight, sparse_forward
from jitnet.kernels.tile import COLS, LANES, PANEL, own_code, tile_load, tile_store
from jitnet.state import (
    COPY,
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
    TOGETHER,
    X_STRIDE,
    B,
    G,
    H,
    Options,
    Source,
    State,
    W,
    X,
    Z,
    allocate,
    make_options,
    no_source,
)

__all__ = [
    "ONE",
    "OPTIONS",
    "SOURCE",
    "STAGE",
    "STATE",
    "ZERO",
    "Batch",
    "Run",
    "backward_stage",
    "first_stage",
    "forward_stage",
    "gather_stage",
    "idle_stage",
    "limit_stage",
    "norm_stage",
    "output_stage",
    "update_stage",
]

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


class Run(NamedTuple):
    """What stays the same from step to step."""

    state: State
    source: Source
    options: Options


_EXAMPLE = Run(allocate(ModelConfig(in_features=1, n_classes=2), 1, 1), no_source(), make_options())
RUN, STATE, SOURCE, OPTIONS = typeof(_EXAMPLE), *map(typeof, _EXAMPLE)
BATCH = typeof(Batch(np.zeros(0, np.int32), np.zeros(0, np.int32), 0, 0.0, 0.0))
borrow_run, borrow_batch = borrower(RUN), borrower(BATCH)


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
def _gather(run_at, rows, number, part, parts):
    """Own samples of a batch, as network inputs, into the buffer whose turn it is."""
    own_code()
    run = borrow_run(run_at)
    state, source = run.state, run.source
    row = state.layers[0]
    x = state.work[row[X] + (number & 1) * row[ROOM] * row[X_STRIDE] :]
    first, last = _share(rows.shape[0], part, parts)
    if source.images.shape[0] > 0:
        gather_bytes(source.images, rows, state.values, first, last, x, row[X_STRIDE])
    else:
        gather_floats(source.features, rows, first, last, x, row[X_STRIDE])


@inner_kernel
def _linear(layer, run_at, batch_at, part, first_sample, last_sample, first_panel, last_panel):
    """z of own samples and panels of a layer."""
    own_code()
    run, batch = borrow_run(run_at), borrow_batch(batch_at)
    state, source = run.state, run.source
    row = state.layers[layer]
    w, b = state.params[row[W] :], state.params[row[B] :]
    z = state.work[row[Z] + first_sample * row[STRIDE] :]
    own = batch.rows[first_sample:last_sample]
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
            at += (batch.number & 1) * row[ROOM] * row[X_STRIDE]
        linear_forward(
            state.work[at:], row[X_STRIDE], w, b, own.shape[0], row[IN], first_panel, last_panel, z, row[STRIDE]
        )


@inner_kernel
def _contribute(run_at, batch_at, first_panel, last_panel):
    """What own groups of units of the last hidden layer contribute to the logits; the last group adds the bias."""
    own_code()
    state, batch = borrow_run(run_at).state, borrow_batch(batch_at)
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
def _add_contributions(run_at, batch_at, part, first, last):
    """The logits of samples first <= n < last, into the part's own copy."""
    own_code()
    state, batch = borrow_run(run_at).state, borrow_batch(batch_at)
    row = state.layers[-1]
    z = state.work[row[Z] + part * row[COPY] :]
    size = row[ROOM] * PANEL
    begin = row[TERMS] + (batch.number & 1) * row[GROUPS] * size
    for n in range(first, last):
        total = tile_load(1, COLS, state.work, begin + n * PANEL, PANEL)
        for group in range(1, row[GROUPS]):
            total = total + tile_load(1, COLS, state.work, begin + group * size + n * PANEL, PANEL)
        tile_store(total, z, n * row[STRIDE], PANEL)


def forward_stage(layer, run_at, batch_at, part, parts):
    """A hidden layer's own units: linear, activation, dropout; of the last one also what they contribute to the
    logits."""
    run, batch = borrow_run(run_at), borrow_batch(batch_at)
    state, options = run.state, run.options
    row = state.layers[layer]
    first_panel, last_panel = _own_panels(row, part, parts)
    _linear(layer, run_at, batch_at, part, ZERO, batch.rows.shape[0], first_panel, last_panel)
    first, last = first_panel * PANEL, last_panel * PANEL
    z, h = state.work[row[Z] :], state.work[row[H] :]
    activation_forward(options.activation, z, h, row[STRIDE], batch.rows.shape[0], first, last)
    if options.shares[layer] > 0.0:
        dropout(
            options.seed, batch.number, layer, batch.rows.shape[0], options.shares[layer], h, row[STRIDE], first, last
        )
    if layer == state.layers.shape[0] - 2 and state.layers[layer + 1, GROUPS] > 0:
        _contribute(run_at, batch_at, first_panel, last_panel)


def output_stage(layer, run_at, batch_at, part, parts):
    """Logits, loss, gradient of the logits: own samples, and own samples of the next batch gathered; or where the
    logits are added up, all samples, into the part's own copy."""
    (state, source, options), batch = borrow_run(run_at), borrow_batch(batch_at)
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
        _add_contributions(run_at, batch_at, part, first, last)
    else:
        _linear(layer, run_at, batch_at, part, first, last, ZERO, row[PANELS])
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
        _gather(run_at, batch.ahead, batch.number + 1, part, parts)


@inner_kernel
def _update(run_at, batch_at, first, last, scale):
    """Own parameters, from their gradients; and their moving average."""
    own_code()
    run, batch = borrow_run(run_at), borrow_batch(batch_at)
    state, options = run.state, run.options
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
def _backward_bias(layer, run_at, batch_at, copy, first_panel, last_panel):
    own_code()
    run, batch = borrow_run(run_at), borrow_batch(batch_at)
    state, options = run.state, run.options
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
        _update(run_at, batch_at, first, last, 1.0)


def backward_stage(layer, run_at, batch_at, part, parts):
    """A layer above the first, own inputs: gradient of the units below, of the weights that leave them, and their
    update."""
    run, batch = borrow_run(run_at), borrow_batch(batch_at)
    state, options = run.state, run.options
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
            _update(run_at, batch_at, at + first * PANEL, at + last * PANEL, 1.0)
    own = _share(row[PANELS], part, parts)
    _backward_bias(layer, run_at, batch_at, copy, own[0], own[1])

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


def first_stage(layer, run_at, batch_at, part, parts):
    """The first layer, own panels: gradient and update of the weights for this batch."""
    (state, source, options), batch = borrow_run(run_at), borrow_batch(batch_at)
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
        _update(run_at, batch_at, first, last, 1.0)
    _backward_bias(layer, run_at, batch_at, ZERO, first_panel, last_panel)


def gather_stage(layer, run_at, batch_at, part, parts):
    """This batch's samples, as network inputs."""
    batch = borrow_batch(batch_at)
    _gather(run_at, batch.rows, batch.number, part, parts)


def norm_stage(layer, run_at, batch_at, part, parts):
    """Squares of the gradient, own blocks of parameters."""
    run = borrow_run(run_at)
    state = run.state
    first, last = _share(state.squares.shape[0], part, parts)
    for block in range(first, last):
        end = min(state.params.shape[0], (block + 1) * NORM_BLOCK)
        state.squares[block] = square_sum(state.grads, block * NORM_BLOCK, end)


def update_stage(layer, run_at, batch_at, part, parts):
    """Own blocks of parameters, the whole gradient first scaled down to the largest norm allowed (Pascanu et al.
    2013)."""
    run = borrow_run(run_at)
    state, options = run.state, run.options
    scale = 1.0
    if options.clip_norm > 0.0:
        total = 0.0
        for block in range(state.squares.shape[0]):
            total += state.squares[block]
        scale = min(1.0, options.clip_norm / (math.sqrt(total) + 1e-6))
    first, last = _share(state.squares.shape[0], part, parts)
    _update(run_at, batch_at, first * NORM_BLOCK, min(state.params.shape[0], last * NORM_BLOCK), scale)


def limit_stage(layer, run_at, batch_at, part, parts):
    """Norms of own units, the last layer's aside; then the moving average, of the weights as the step leaves them."""
    run = borrow_run(run_at)
    state, options = run.state, run.options
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    if layer < state.layers.shape[0] - 1:
        for p in range(first, last):
            limit_norms(state.params[row[W] :], p, row[IN], options.max_norm)
    if options.ema > 0.0:
        size = row[IN] * PANEL
        average(row[W] + first * size, row[W] + last * size, state.params, state.mean, options.ema)
        average(row[B] + first * PANEL, row[B] + last * PANEL, state.params, state.mean, options.ema)


def idle_stage(layer, run_at, batch_at, part, parts):
    """Nothing: where a region has fewer stages, and where a run does not come to one."""


STAGE = signature(types.void, *(types.int64,) * 5)
