"""Each kernel as the training loop calls it, behind one signature, so that one compiled loop repeats any of them.

A cell does the part `part` of `parts` of one kernel's work on one batch, on the very arrays of a training's state, and
splits it as `stages` does. `layer` says where; `code` is what else a cell must know. Weight gradients go to
`state.grads`, updates have a learning rate of zero: however often a cell runs, the parameters stay what they are.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import prange, typeof, types
from numba.core.typing import signature

from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.batch import gather_bytes, gather_floats
from jitnet.kernels.dropout import dropout
from jitnet.kernels.jit import kernel, parallel_kernel, stage_kernel
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
    transpose,
)
from jitnet.kernels.loss import scale_rows, softmax_cross_entropy
from jitnet.kernels.optimizer import average, limit_norms, square_sum, update
from jitnet.kernels.probe import BLOCK as PROBE_BLOCK
from jitnet.kernels.probe import SUMS, multiply_add, read, triad
from jitnet.kernels.sparse import BLOCK, mark_columns, sparse_backward_weight, sparse_forward
from jitnet.kernels.tile import LANES, PANEL
from jitnet.stages import SOURCE, STATE
from jitnet.state import (
    GT,
    GT_STRIDE,
    IN,
    NORM_BLOCK,
    OUT,
    PANELS,
    STRIDE,
    X_STRIDE,
    B,
    G,
    H,
    W,
    X,
    Z,
)

__all__ = ["CELLS", "PEAK_STRIDE", "TERMS", "cell", "repeat", "stream_gap"]

ZERO = np.int64(0)

TERMS = 20_000
"""Terms of each sum in one call of the `peak` cell: about 0.1 ms."""

PEAK_STRIDE = 2 * SUMS
"""Numbers from one part's sums to the next in the `peak` cell."""

stream_gap = 5 * LANES
"""Numbers between the arrays of the `triad` cell: without a gap a load and a store meet in the same place of a page."""


@kernel
def _share(count, part, parts):
    return count * part // parts, count * (part + 1) // parts


def idle(state, source, rows, ahead, layer, code, part, parts):
    """Nothing: what a region costs."""


def peak(state, source, rows, ahead, layer, code, part, parts):
    """2 SUMS TERMS FLOP on registers."""
    multiply_add(state.work, part * PEAK_STRIDE, TERMS)


def stream_read(state, source, rows, ahead, layer, code, part, parts):
    """Sum of `code` numbers."""
    first, last = _share(code // PROBE_BLOCK, part, parts)
    read(state.work, first * PROBE_BLOCK, last * PROBE_BLOCK, state.mean, part * PROBE_BLOCK)


def stream_triad(state, source, rows, ahead, layer, code, part, parts):
    """Three arrays of `code` numbers each."""
    first, last = _share(code // PROBE_BLOCK, part, parts)
    gap = code + stream_gap
    triad(state.work, ZERO, gap, 2 * gap, first * PROBE_BLOCK, last * PROBE_BLOCK)


def gather(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[0]
    first, last = _share(rows.shape[0], part, parts)
    if source.images.shape[0] > 0:
        gather_bytes(source.images, rows, state.values, first, last, state.work[row[X] :], row[X_STRIDE])
    else:
        gather_floats(source.features, rows, first, last, state.work[row[X] :], row[X_STRIDE])


def columns(state, source, rows, ahead, layer, code, part, parts):
    """Every part marks for itself, as in training: moving marks between cores costs more than making them twice."""
    for n in range(0, rows.shape[0], BLOCK):
        end = min(rows.shape[0], n + BLOCK)
        mark_columns(source.starts, source.entries, rows[n:end], ahead[n:end], state.columns[part])


def forward(state, source, rows, ahead, layer, code, part, parts):
    """Hidden layers by panels, the output layer by samples."""
    row = state.layers[layer]
    first_sample, last_sample, first_panel, last_panel = ZERO, rows.shape[0], ZERO, row[PANELS]
    if layer < state.layers.shape[0] - 1:
        first_panel, last_panel = _share(row[PANELS], part, parts)
    else:
        first_sample, last_sample = _share(rows.shape[0], part, parts)
    x, z = state.work[row[X] + first_sample * row[X_STRIDE] :], state.work[row[Z] + first_sample * row[STRIDE] :]
    w, b, count = state.params[row[W] :], state.params[row[B] :], last_sample - first_sample
    linear_forward(x, row[X_STRIDE], w, b, count, row[IN], first_panel, last_panel, z, row[STRIDE])


def forward_sparse(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[0]
    first, last = _share(row[PANELS], part, parts)
    w, b, z = state.params[row[W] :], state.params[row[B] :], state.work[row[Z] :]
    lists = (source.starts, source.entries, rows, state.cursors[part])
    sparse_forward(*lists, state.values, w, b, row[IN], first, last, z, row[STRIDE])


def backward_input(state, source, rows, ahead, layer, code, part, parts):
    row, below = state.layers[layer], state.layers[layer - 1]
    first, last = _share(below[PANELS], part, parts)
    first, last = first * PANEL, min(last * PANEL, row[IN])
    gt, gt_below = state.work[row[GT] :], state.work[below[GT] :]
    w = state.params[row[W] :]
    linear_backward_input(gt, row[GT_STRIDE], rows.shape[0], w, row[IN], row[OUT], first, last, gt_below)


def backward_weight(state, source, rows, ahead, layer, code, part, parts):
    """The first layer by panels, those above by inputs."""
    row = state.layers[layer]
    first, last, first_panel, last_panel = ZERO, row[IN], ZERO, row[PANELS]
    if layer == 0:
        first_panel, last_panel = _share(row[PANELS], part, parts)
    else:
        first, last = _share(state.layers[layer - 1, PANELS], part, parts)
        first, last = first * PANEL, min(last * PANEL, row[IN])
    x, g, dw = state.work[row[X] :], state.work[row[G] :], state.grads[row[W] :]
    size = rows.shape[0]
    linear_backward_weight(x, row[X_STRIDE], g, row[STRIDE], size, row[IN], first, last, first_panel, last_panel, dw)


def weight_sparse(state, source, rows, ahead, layer, code, part, parts):
    """From the marks of columns as they stand: the last block of samples."""
    row = state.layers[0]
    first, last = _share(row[PANELS], part, parts)
    own = rows[(rows.shape[0] - 1) // BLOCK * BLOCK :]
    g, dw = state.work[row[G] :], state.grads[row[W] :]
    sparse_backward_weight(
        state.columns[part],
        source.starts,
        source.entries,
        own,
        state.cursors[part],
        state.values,
        g,
        row[STRIDE],
        row[IN],
        first,
        last,
        dw,
    )


def backward_bias(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    linear_backward_bias(state.work[row[G] :], row[STRIDE], rows.shape[0], first, last, state.grads[row[B] :])


def activate(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    z, h = state.work[row[Z] :], state.work[row[H] :]
    activation_forward(code, z, h, row[STRIDE], rows.shape[0], first * PANEL, last * PANEL)


def activate_back(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    z, h, g = state.work[row[Z] :], state.work[row[H] :], state.work[row[G] :]
    activation_backward(code, z, h, 1.0, g, row[STRIDE], rows.shape[0], first * PANEL, last * PANEL)


def loss(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share((rows.shape[0] + LANES - 1) // LANES, part, parts)
    first, last = first * LANES, min(rows.shape[0], last * LANES)
    gt, one, none = state.work[row[GT] :], np.float32(1.0), np.float32(0.0)
    softmax_cross_entropy(
        gt, row[GT_STRIDE], first, last, row[OUT], source.labels, rows, none, one, state.losses, state.right
    )


def turn(state, source, rows, ahead, layer, code, part, parts):
    """A layer's gradient from samples last to samples first."""
    row = state.layers[layer]
    gt_stride = state.layers[layer, GT_STRIDE]
    first, last = _share(row[PANELS], part, parts)
    first, last = first * PANEL, min(last * PANEL, row[OUT])
    gt, g = state.work[row[GT] + first * gt_stride :], state.work[row[G] + first :]
    transpose(gt, gt_stride, last - first, 0, rows.shape[0], g, row[STRIDE])


def scale(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    scale_rows(state.work[row[G] :], row[STRIDE], rows.shape[0], first * PANEL, last * PANEL, np.float32(-1.0))


def drop(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    seed, step, h = np.uint64(0), ZERO, state.work[row[H] :]
    dropout(seed, step, layer, rows.shape[0], 0.5, h, row[STRIDE], first * PANEL, last * PANEL)


def optimize(state, source, rows, ahead, layer, code, part, parts):
    first, last = _share(state.params.shape[0] // LANES, part, parts)
    update(
        code,
        first * LANES,
        last * LANES,
        state.params,
        state.grads,
        state.first_moment,
        state.second_moment,
        np.int64(2),
        0.0,
        0.0,
        0.9,
        0.9,
        0.999,
        0.99,
        1e-8,
        1.0,
    )


def moving_average(state, source, rows, ahead, layer, code, part, parts):
    first, last = _share(state.params.shape[0] // LANES, part, parts)
    average(first * LANES, last * LANES, state.params, state.mean, 0.999)


def norm(state, source, rows, ahead, layer, code, part, parts):
    first, last = _share(state.squares.shape[0], part, parts)
    for block in range(first, last):
        end = min(state.params.shape[0], (block + 1) * NORM_BLOCK)
        state.squares[block] = square_sum(state.grads, block * NORM_BLOCK, end)


def max_norm(state, source, rows, ahead, layer, code, part, parts):
    row = state.layers[layer]
    first, last = _share(row[PANELS], part, parts)
    for p in range(first, last):
        limit_norms(state.params[row[W] :], p, row[IN], 1e9)


CELLS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        idle,
        peak,
        stream_read,
        stream_triad,
        gather,
        columns,
        forward,
        forward_sparse,
        backward_input,
        backward_weight,
        weight_sparse,
        backward_bias,
        activate,
        activate_back,
        loss,
        turn,
        scale,
        drop,
        optimize,
        moving_average,
        norm,
        max_norm,
    )
}

_ROWS = typeof(np.zeros(1, np.int32))
_INDEX = types.int64
_CELL = signature(types.void, STATE, SOURCE, _ROWS, _ROWS, _INDEX, _INDEX, _INDEX, _INDEX)


@cache
def cell(name: str) -> Callable[..., None]:
    """A cell, compiled or loaded: called by its address, as the stages of `step` are."""
    return stage_kernel(CELLS[name], _CELL)


@parallel_kernel
def _region(cell, state, source, rows, ahead, layer, code, parts):
    for part in prange(parts):
        cell(state, source, rows, ahead, layer, code, np.int64(part), parts)


def _repeat(cell, state, source, order, batch_size, layer, code, parts, repeats):
    batches = max(1, order.shape[0] // batch_size)
    for repeat in range(repeats):
        begin = repeat % batches * batch_size
        following = (repeat + 1) % batches * batch_size
        rows = order[begin : min(order.shape[0], begin + batch_size)]
        ahead = order[following : min(order.shape[0], following + batch_size)]
        if parts > 1:
            _region(cell, state, source, rows, ahead, layer, code, parts)
        else:
            cell(state, source, rows, ahead, layer, code, ZERO, parts)


_REPEAT = signature(types.void, types.FunctionType(_CELL), STATE, SOURCE, _ROWS, _INDEX, _INDEX, _INDEX, _INDEX, _INDEX)


@cache
def _compiled_repeat() -> Callable[..., None]:
    return kernel(_repeat, _REPEAT)


def repeat(
    name: str, state: Any, source: Any, order: Any, batch_size: int, layer: int, code: int, parts: int, repeats: int
) -> None:
    """Run a cell `repeats` times, on one batch of `order` after another; in a parallel region where parts > 1."""
    _compiled_repeat()(cell(name), state, source, order, batch_size, layer, code, parts, repeats)
