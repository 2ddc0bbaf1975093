"""A linear layer: places, lines, and its operations, forward beside backward.

Forward, a part is assigned units of the layer. Backward, a part is assigned inputs of the layer, which are units of the
layer below: the gradient that it makes for them is the one that it needs there. Where a step is cut in pieces a part is
assigned units and samples, of the weights units and inputs. The output layer's forward is in `output`.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

from jitnet.compiler.decorators import helper
from jitnet.config import Layer
from jitnet.engine.addressing import (
    clear_gradient,
    entry_lists,
    forward_weights,
    inputs,
    replica,
    shared_stride,
    weight_gradient,
    weights_assigned,
)
from jitnet.engine.costs import Cost, Sizes, entry_bytes, gradient_bytes, linear_cost, sparse_linear_cost
from jitnet.engine.layer_kind import Kind, Parameter, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
)
from jitnet.kernels.memory import transpose
from jitnet.kernels.sparse import join_marks, mark_columns, mark_vectors, sparse_backward_weight, sparse_forward
from jitnet.machine.blocks import LANES, PANEL, SPARSE_BLOCK

__all__ = [
    "KIND",
    "backward_bias",
    "backward_input",
    "backward_sparse",
    "backward_weight",
    "forward",
    "forward_sparse",
    "gradient_lines",
    "mark",
]


@helper
def _samples(batch):
    """How many samples a part is assigned."""
    return batch.last_across - batch.first_across


@helper
def _clear_weights(run, layer, first_input, last_input, first, last):
    """Clear the gradients of the weights from assigned inputs to assigned units, unless they are added to these."""
    this = run.layers[layer]
    for o in range(first, last, PANEL):
        panel = this.weight_offset + o * this.in_features
        clear_gradient(run, panel + first_input * PANEL, panel + last_input * PANEL)


@operation("units", linear_cost, ("n", "i", "o"), pieces="pieces", product="forward")
def forward(run, batch, layer, part, first, last):
    """The linear part of assigned units, from dense inputs, for all samples or assigned ones."""
    this = run.layers[layer]
    work, params, begin, size = run.state.work, run.state.params, batch.first_across, _samples(batch)
    x = work[inputs(run, batch, layer, part) + begin * this.input_stride :]
    w, b = forward_weights(run, layer), params[this.bias_offset :]
    out = work[this.linear_offset + replica(run, layer, part) + begin * this.output_stride :]
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, first, last)


@operation("units", sparse_linear_cost, ("n", "i", "o"), pieces="pieces", on_entries=True)
def forward_sparse(run, batch, layer, part, first, last):
    """The same of the first layer, from lists of the inputs that are not zero."""
    this, state = run.layers[layer], run.state
    w, b = forward_weights(run, layer), state.params[this.bias_offset :]
    begin, cursors = batch.first_across, state.cursors[part]
    out = state.work[this.linear_offset + replica(run, layer, part) + begin * this.output_stride :]
    indptr, entries, indices = entry_lists(run, batch, part)
    sparse_forward(
        indptr,
        entries,
        indices[begin : batch.last_across],
        state.byte_values,
        run.data.entry_values,
        w,
        b,
        out,
        this.output_stride,
        cursors,
        this.in_features,
        first,
        last,
    )


def _backward_input_cost(s: Sizes) -> Cost:
    """What comes out is written twice, samples first and last."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + 2 * s.n * s.i))


@operation("units below", _backward_input_cost, ("n", "i", "o"), pieces="pieces below", product="input")
def backward_input(run, batch, layer, part, first, last):
    """The gradient of assigned inputs: of what the units below returned."""
    this, below, network, work = run.layers[layer], run.layers[layer - 1], run.network, run.state.work
    stride, last, begin, size = network.grad_t_stride, min(last, this.in_features), batch.first_across, _samples(batch)
    at = replica(run, layer - 1, part)
    dout_t = work[this.grad_t_offset + replica(run, layer, part) + begin :]
    dx_t = work[below.grad_t_offset + at + begin :]
    w = run.state.params[this.weight_offset :]
    linear_backward_input(dout_t, w, dx_t, stride, size, this.in_features, this.out_features, first, last)
    dx = work[below.result_grad_offset + at + begin * below.output_stride + first :]
    transpose(dx_t[first * stride :], stride, dx, below.output_stride, last - first, 0, size)


def _backward_weight_cost(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.n * s.o) + gradient_bytes(s, s.i * s.o))


@operation("units below", _backward_weight_cost, ("n", "i", "o"), pieces="pieces of weights", product="weight")
def backward_weight(run, batch, layer, part, first, last):
    """The gradient of the weights that leave assigned inputs; of the first layer, of the weights of assigned units; in
    pieces, of the weights from assigned inputs to assigned units."""
    this, work = run.layers[layer], run.state.work
    target = weight_gradient(run)[this.weight_offset :]
    x = work[inputs(run, batch, layer, part) :]
    dout = work[this.grad_offset + replica(run, layer, part) :]
    size = batch.size
    first_input, last_input, first, last = weights_assigned(run, batch, layer, first, last)
    _clear_weights(run, layer, first_input, last_input, first, last)
    linear_backward_weight(
        x,
        this.input_stride,
        dout,
        this.output_stride,
        target,
        size,
        this.in_features,
        first_input,
        last_input,
        first,
        last,
    )


@helper
def _first_marks(run, batch):
    """The row of shared marks of a batch's first samples: of two, for even steps and odd."""
    return (batch.step & 1) * (run.network.batch_room // LANES)


@operation("vectors of samples", lambda s: Cost(0, 4 * s.entries + 2 * s.i * s.marked), ("n", "i"), on_entries=True)
def mark(run, batch, layer, part, first, last):
    """Which of assigned samples have a column, for all parts."""
    columns, data = run.layers[layer].in_features, run.data
    stride = shared_stride(columns)
    marks = run.state.shared_marks[_first_marks(run, batch) * stride :]
    mark_vectors(data.indptr, data.entries, batch.indices, marks, stride, columns, first, last)


def _backward_sparse_cost(s: Sizes) -> Cost:
    """With the marks of all columns, of each part; and those it makes them of."""
    weights = s.i if s.update else s.columns  # kept apart, all of the gradient is cleared
    marks = 8 * s.i * s.markers + 2 * s.i * s.marked
    moved = entry_bytes(s) + 4 * s.n * s.o + marks + gradient_bytes(s, weights * s.o)
    return Cost(2 * s.entries * s.o, moved)


@operation("units", _backward_sparse_cost, ("n", "i", "o"), pieces="pieces of weights", on_entries=True)
def backward_sparse(run, batch, layer, part, first, last):
    """The gradient of the first layer's weights of assigned units, from lists of the inputs that are not zero."""
    this, data, state = run.layers[layer], run.data, run.state
    first_input, last_input, first, last = weights_assigned(run, batch, layer, first, last)
    _clear_weights(run, layer, first_input, last_input, first, last)
    target = weight_gradient(run)[this.weight_offset :]
    marks, cursors, at = state.marks[part, : this.in_features], state.cursors[part], replica(run, layer, part)
    assigned = marks[first_input:last_input]
    size, coming = batch.size, batch.next_indices.shape[0]
    for n in range(0, size, SPARSE_BLOCK):
        end = min(size, n + SPARSE_BLOCK)
        indices = batch.indices[n:end]
        # Asked for: the samples of this many steps ahead, at the pace at which these are marked.
        ahead = batch.next_indices[n : min(end, coming)]
        if run.settings.shares_marks:
            stride, first_vector = shared_stride(this.in_features), _first_marks(run, batch) + n // LANES
            shared, vectors = state.shared_marks[first_vector * stride + first_input :], (end - n + LANES - 1) // LANES
            join_marks(data.indptr, data.entries, ahead, shared, stride, vectors, assigned)
        else:
            mark_columns(data.indptr, data.entries, indices, ahead, marks)
        dout = state.work[this.grad_offset + at + n * this.output_stride :]
        sparse_backward_weight(
            assigned,
            data.indptr,
            data.entries,
            indices,
            state.byte_values,
            data.entry_values,
            dout,
            this.output_stride,
            target,
            cursors,
            this.in_features,
            first_input,
            first,
            last,
        )


def _backward_bias_cost(s: Sizes) -> Cost:
    """By multiply-adds with one."""
    return Cost(2 * s.n * s.o, 4 * s.n * s.o + gradient_bytes(s, s.o))


@operation("panels", _backward_bias_cost, ("n", "o"), pieces="panels")
def backward_bias(run, batch, layer, part, first, last):
    """The gradient of assigned units' biases."""
    this, work = run.layers[layer], run.state.work
    clear_gradient(run, this.bias_offset + first, this.bias_offset + last)
    target = weight_gradient(run)[this.bias_offset :]
    dout = work[this.grad_offset + replica(run, layer, part) :]
    linear_backward_bias(dout, this.output_stride, target, batch.size, first, last)


def _place(places: Places, row: Any, layer: Layer) -> None:
    row.linear_offset = row.preactivation_offset = row.output_offset = row.result_offset = places.take_outputs(row)


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    if block < writer.last:
        sparse = block == 0 and writer.skips_zeros
        writer.add("forward_sparse" if sparse else "forward", block, next_batch=next_batch)
        if sparse and writer.marks_together:
            writer.add("mark", block, next_batch=next_batch)


def _backward_lines(writer: Writer, block: int) -> None:
    if block > 0 and writer.needs_gradient(block - 1):
        writer.add("backward_input", block)
    if not writer.in_pieces:
        gradient_lines(writer, block)


def gradient_lines(writer: Writer, block: int) -> None:
    """The gradients of a block's weights and biases, and their updates; none where these are frozen."""
    if writer.freezes(block):
        return
    split = "units" if block == 0 else "units below"
    if block == 0 and writer.skips_zeros:
        writer.add("backward_sparse", block)
    else:
        writer.add("backward_weight", block, split)
    writer.update("update_weights", block, split)
    if block < writer.last or writer.output_bias:
        split = "units" if block == 0 and writer.last > 0 else "panels"
        writer.add("backward_bias", block, split)
        writer.update("update_vectors", block, split)


KIND = Kind(
    _forward_lines,
    _backward_lines,
    {"weight": Parameter("weight_offset", "panels"), "bias": Parameter("bias_offset")},
    _place,
)
