"""Operations on a layer: its forward beside its backward.

Forward, a part owns units of the layer. Backward, a part owns inputs of the layer, which are units of the layer below:
the gradient that it makes for them is the one that it needs there. See `operations` for what all operations have in
common.
"""

import numpy as np

from jitnet.compiler.blocks import PANEL, SPARSE_BLOCK
from jitnet.compiler.decorators import helper
from jitnet.engine.costs import Cost, Sizes, gradient_bytes, linear_cost, sparse_linear_cost
from jitnet.engine.operation import operation
from jitnet.engine.places import entry_lists, inputs, replica
from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.dropout import dropout
from jitnet.kernels.gather import gather_bytes, gather_floats
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
)
from jitnet.kernels.memory import clear, scale_rows, transpose
from jitnet.kernels.sparse import mark_columns, sparse_backward_weight, sparse_forward

__all__ = [
    "activate",
    "activate_back",
    "backward_bias",
    "backward_input",
    "backward_sparse",
    "backward_weight",
    "drop",
    "drop_back",
    "forward",
    "forward_sparse",
    "gather",
]


def _gather_cost(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i if s.item == 1 else 0, (s.item + 4) * s.n * s.i)


@operation("samples", _gather_cost, ("n", "i"))
def gather(run, batch, layer, part, first, last):
    """Own samples as network inputs, into the buffer whose turn it is."""
    this = run.layers[0]
    x = run.state.work[inputs(run, batch, layer, part) :]
    if run.call.has_bytes:
        gather_bytes(run.data.images, batch.indices, run.state.byte_values, x, this.input_stride, first, last)
    else:
        gather_floats(run.data.features, batch.indices, x, this.input_stride, first, last)


@operation("units", linear_cost, ("n", "i", "o"), product="forward")
def forward(run, batch, layer, part, first, last):
    """What goes into the activation of own units, from dense inputs, for all samples."""
    this = run.layers[layer]
    work, params = run.state.work, run.state.params
    x = work[inputs(run, batch, layer, part) :]
    w, b = params[this.weight_offset :], params[this.bias_offset :]
    out, size = work[this.preactivation_offset + replica(run, layer, part) :], batch.size
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, first, last)


@operation("units", sparse_linear_cost, ("n", "i", "o"), on_entries=True)
def forward_sparse(run, batch, layer, part, first, last):
    """The same of the first layer, from lists of the inputs that are not zero."""
    this, state = run.layers[layer], run.state
    w, b = state.params[this.weight_offset :], state.params[this.bias_offset :]
    out, cursors = state.work[this.preactivation_offset + replica(run, layer, part) :], state.cursors[part]
    indptr, entries, indices = entry_lists(run, batch, part)
    sparse_forward(
        indptr,
        entries,
        indices,
        state.byte_values,
        w,
        b,
        out,
        this.output_stride,
        cursors,
        this.in_features,
        first,
        last,
    )


@helper
def _weight_gradient(run):
    """Where gradients go: to the weights themselves, or to an array of their own."""
    return run.state.params if run.settings.adds_directly else run.state.grads


@helper
def _clear_gradient(run, first, last):
    """Clear own gradients, unless they are added to the weights."""
    if not run.settings.adds_directly:
        clear(run.state.grads, first, last)


def _backward_input_cost(s: Sizes) -> Cost:
    """What comes out is written twice, samples first and last."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + 2 * s.n * s.i))


@operation("units below", _backward_input_cost, ("n", "i", "o"), product="input")
def backward_input(run, batch, layer, part, first, last):
    """The gradient of own inputs: of what the units below gave."""
    this, below, network, work = run.layers[layer], run.layers[layer - 1], run.network, run.state.work
    stride, size, last = network.grad_t_stride, batch.size, min(last, this.in_features)
    own = replica(run, layer - 1, part)
    dout_t, dx_t = work[this.grad_t_offset + replica(run, layer, part) :], work[below.grad_t_offset + own :]
    w = run.state.params[this.weight_offset :]
    linear_backward_input(dout_t, w, dx_t, stride, size, this.in_features, this.out_features, first, last)
    dx = work[below.grad_offset + own + first :]
    transpose(dx_t[first * stride :], stride, dx, below.output_stride, last - first, 0, size)


def _backward_weight_cost(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.n * s.o) + gradient_bytes(s, s.i * s.o))


@operation("units below", _backward_weight_cost, ("n", "i", "o"), product="weight")
def backward_weight(run, batch, layer, part, first, last):
    """The gradient of the weights that leave own inputs; of the first layer, of the weights of own units."""
    this, work = run.layers[layer], run.state.work
    target = _weight_gradient(run)[this.weight_offset :]
    x = work[inputs(run, batch, layer, part) :]
    dout = work[this.grad_offset + replica(run, layer, part) :]
    size, units = batch.size, this.padded_features
    if layer == 0:
        first_input, last_input = np.int64(0), this.in_features
        _clear_gradient(
            run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features
        )
    else:
        first_input, last_input = first, min(last, this.in_features)
        for o in range(0, units, PANEL):
            panel = this.weight_offset + o * this.in_features
            _clear_gradient(run, panel + first_input * PANEL, panel + last_input * PANEL)
        first, last = np.int64(0), units
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


def _backward_sparse_cost(s: Sizes) -> Cost:
    weights = s.i if s.update else s.columns  # kept apart, all of the gradient is cleared
    return Cost(2 * s.entries * s.o, 4 * (s.entries + s.n * s.o) + gradient_bytes(s, weights * s.o))


@operation("units", _backward_sparse_cost, ("n", "i", "o"), on_entries=True)
def backward_sparse(run, batch, layer, part, first, last):
    """The gradient of the first layer's weights of own units, from lists of the inputs that are not zero."""
    this, data, state = run.layers[layer], run.data, run.state
    _clear_gradient(run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features)
    target = _weight_gradient(run)[this.weight_offset :]
    marks, cursors, own = state.marks[part, : this.in_features], state.cursors[part], replica(run, layer, part)
    size, coming = batch.size, batch.next_indices.shape[0]
    for n in range(0, size, SPARSE_BLOCK):
        end = min(size, n + SPARSE_BLOCK)
        indices = batch.indices[n:end]
        # Asked for: the samples of this many steps ahead, at the pace at which these are marked.
        mark_columns(data.indptr, data.entries, indices, batch.next_indices[n : min(end, coming)], marks)
        dout = state.work[this.grad_offset + own + n * this.output_stride :]
        sparse_backward_weight(
            marks,
            data.indptr,
            data.entries,
            indices,
            state.byte_values,
            dout,
            this.output_stride,
            target,
            cursors,
            this.in_features,
            first,
            last,
        )


def _backward_bias_cost(s: Sizes) -> Cost:
    """By multiply-adds with one."""
    return Cost(2 * s.n * s.o, 4 * s.n * s.o + gradient_bytes(s, s.o))


@operation("panels", _backward_bias_cost, ("n", "o"))
def backward_bias(run, batch, layer, part, first, last):
    """The gradient of own units' biases."""
    this, work = run.layers[layer], run.state.work
    _clear_gradient(run, this.bias_offset + first, this.bias_offset + last)
    target = _weight_gradient(run)[this.bias_offset :]
    dout = work[this.grad_offset + replica(run, layer, part) :]
    linear_backward_bias(dout, this.output_stride, target, batch.size, first, last)


def _activate_cost(s: Sizes) -> Cost:
    return Cost(s.activation * s.n * s.o, 8 * s.n * s.o)


@operation("units", _activate_cost, ("n", "o"), activates=True)
def activate(run, batch, layer, part, first, last):
    """The activation of own units."""
    this, work = run.layers[layer], run.state.work
    own = replica(run, layer, part)
    x, out = work[this.preactivation_offset + own :], work[this.output_offset + own :]
    activation_forward(run.settings.activation, x, out, this.output_stride, batch.size, first, last)


def _activate_back_cost(s: Sizes) -> Cost:
    """With the scaling by the learning rate."""
    return Cost((s.activation_back + 1) * s.n * s.o, (16 if s.transposed else 12) * s.n * s.o)


@operation("units", _activate_back_cost, ("n", "o"), activates=True)
def activate_back(run, batch, layer, part, first, last):
    """The gradient of what went into own units' activation; also samples last, where a layer below needs it.

    The rows are then scaled by grad_scale, for the weights: that is where plain SGD's learning rate comes in.
    """
    this, work, size = run.layers[layer], run.state.work, batch.size
    last = min(last, this.out_features)
    own = replica(run, layer, part)
    x, out = work[this.preactivation_offset + own :], work[this.output_offset + own :]
    dout = work[this.grad_offset + own :]
    stride, keep = this.output_stride, 1.0 - this.dropout
    activation_backward(run.settings.activation, x, out, dout, stride, size, keep, first, last)
    if layer > 0:
        grad_t_stride = run.network.grad_t_stride
        dout_t = work[this.grad_t_offset + own + first * grad_t_stride :]
        transpose(dout[first:], stride, dout_t, grad_t_stride, size, 0, last - first)
    scale_rows(dout, stride, size, np.float32(batch.grad_scale), first, last)


def _drop_cost(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 8 * s.n * s.o)


@operation("units", _drop_cost, ("n", "o"))
def drop(run, batch, layer, part, first, last):
    """Dropout of own units."""
    this = run.layers[layer]
    out, size = run.state.work[this.output_offset + replica(run, layer, part) :], batch.size
    dropout(out, this.output_stride, size, run.settings.seed, batch.step, layer, this.dropout, first, last)


@operation("units", _drop_cost, ("n", "o"))
def drop_back(run, batch, layer, part, first, last):
    """The gradient of own units where they were dropped: zero."""
    this = run.layers[layer]
    dout, size = run.state.work[this.grad_offset + replica(run, layer, part) :], batch.size
    dropout(dout, this.output_stride, size, run.settings.seed, batch.step, layer, this.dropout, first, last)
