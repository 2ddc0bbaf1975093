"""Operations on a layer: its forward beside its backward.

Forward, a part owns units of the layer. Backward, a part owns inputs of the layer, which are units of the layer below:
the gradient that it makes for them is the one that it needs there. See `operations` for what all operations have in
common.
"""

import numpy as np

from jitnet.compiler.decorators import helper
from jitnet.engine.costs import Cost, Sizes, gradient_bytes, linear_cost, sparse_linear_cost
from jitnet.engine.operation import operation
from jitnet.engine.places import entry_lists, forward_weights, inputs, replica
from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.dropout import dropout
from jitnet.kernels.gather import gather_bytes, gather_floats
from jitnet.kernels.input_scale import scale_weights, scale_weights_backward
from jitnet.kernels.layer_norm import layer_norm_backward, layer_norm_forward, layer_norm_gradient
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
)
from jitnet.kernels.memory import clear, scale_rows, transpose
from jitnet.kernels.residual import residual_backward, residual_branch, residual_forward
from jitnet.kernels.sparse import mark_columns, sparse_backward_weight, sparse_forward
from jitnet.machine.blocks import LANES, PANEL, SPARSE_BLOCK

__all__ = [
    "activate",
    "activate_back",
    "add_input",
    "backward_bias",
    "backward_input",
    "backward_norm",
    "backward_scale",
    "backward_sparse",
    "backward_weight",
    "branch_gradient",
    "drop",
    "drop_back",
    "fold_scale",
    "forward",
    "forward_sparse",
    "gather",
    "join_gradient",
    "normalise",
    "normalise_back",
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
    """The linear part of own units, from dense inputs, for all samples."""
    this = run.layers[layer]
    work, params = run.state.work, run.state.params
    x = work[inputs(run, batch, layer, part) :]
    w, b = forward_weights(run, layer), params[this.bias_offset :]
    out, size = work[this.linear_offset + replica(run, layer, part) :], batch.size
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, first, last)


@operation("units", sparse_linear_cost, ("n", "i", "o"), on_entries=True)
def forward_sparse(run, batch, layer, part, first, last):
    """The same of the first layer, from lists of the inputs that are not zero."""
    this, state = run.layers[layer], run.state
    w, b = forward_weights(run, layer), state.params[this.bias_offset :]
    out, cursors = state.work[this.linear_offset + replica(run, layer, part) :], state.cursors[part]
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
    dx = work[below.result_grad_offset + own + first :]
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
    """With the scaling by the learning rate; ahead of a norm neither that nor a second copy."""
    if s.normalised:
        return Cost(s.activation_back * s.n * s.o, 12 * s.n * s.o)
    return Cost((s.activation_back + 1) * s.n * s.o, (16 if s.transposed else 12) * s.n * s.o)


@operation("units", _activate_back_cost, ("n", "o"), activates=True)
def activate_back(run, batch, layer, part, first, last):
    """The gradient of what went into own units' activation; also samples last, where a layer below needs it.

    The rows are then scaled by grad_scale, for the weights: that is where plain SGD's learning rate comes in. Where the
    units were normalised the rest is left to `normalise_back`.
    """
    this, work, size = run.layers[layer], run.state.work, batch.size
    last = min(last, this.out_features)
    own = replica(run, layer, part)
    x, out = work[this.preactivation_offset + own :], work[this.output_offset + own :]
    dout = work[this.grad_offset + own :]
    stride, keep = this.output_stride, 1.0 - this.dropout
    activation_backward(run.settings.activation, x, out, dout, stride, size, keep, first, last)
    if this.gain_offset > 0:
        return
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


# ---- Layer normalisation ----


def _normalise_cost(s: Sizes) -> Cost:
    """Of a sample also two sums' vectors, and five numbers."""
    return Cost((7 * s.o + 2 * LANES + 3) * s.n, 4 * (3 * s.n * s.o + 2 * s.o + s.n))


@operation("vectors of samples", _normalise_cost, ("n", "o"))
def normalise(run, batch, layer, part, first, last):
    """What goes into the activation, of own samples: the linear part, normalised, times gain and plus bias."""
    this, work, params = run.layers[layer], run.state.work, run.state.params
    own = replica(run, layer, part)
    x, out = work[this.linear_offset + own :], work[this.preactivation_offset + own :]
    gain, bias, inverse = params[this.gain_offset :], params[this.shift_offset :], work[this.inverse_offset + own :]
    layer_norm_forward(x, gain, bias, out, inverse, this.output_stride, this.out_features, first, last)


def _backward_norm_cost(s: Sizes) -> Cost:
    return Cost(4 * s.n * s.o + 4 * s.o, 4 * (3 * s.n * s.o + s.o * bool(s.update)) + gradient_bytes(s, 2 * s.o))


@operation("units", _backward_norm_cost, ("n", "o"))
def backward_norm(run, batch, layer, part, first, last):
    """The gradients of the gain and the bias of own units' norm, scaled by grad_scale; and of what the gain was
    multiplied by."""
    this, work = run.layers[layer], run.state.work
    _clear_gradient(run, this.gain_offset + first, this.gain_offset + last)
    _clear_gradient(run, this.shift_offset + first, this.shift_offset + last)
    target, own = _weight_gradient(run), replica(run, layer, part)
    gain, dgain, dbias = run.state.params[this.gain_offset :], target[this.gain_offset :], target[this.shift_offset :]
    dout, normed = work[this.grad_offset + own :], work[this.linear_offset + own :]
    factor = np.float32(batch.grad_scale)
    layer_norm_gradient(dout, normed, gain, this.output_stride, batch.size, factor, dgain, dbias, first, last)


def _normalise_back_cost(s: Sizes) -> Cost:
    """With the scaling by the learning rate; of a sample also two sums' vectors."""
    return Cost((8 * s.o + 2 * LANES) * s.n, 4 * ((4 if s.transposed else 3) * s.n * s.o + s.n))


@operation("vectors of samples", _normalise_back_cost, ("n", "o"))
def normalise_back(run, batch, layer, part, first, last):
    """The gradient of the linear part of own samples, as `activate_back` leaves it where there is no norm: also samples
    last, where a layer below needs it, and the rows scaled by grad_scale."""
    this, work, own = run.layers[layer], run.state.work, replica(run, layer, part)
    stride, units, grad_t_stride = this.output_stride, this.out_features, run.network.grad_t_stride
    dout, normed = work[this.grad_offset + own :], work[this.linear_offset + own :]
    inverse = work[this.inverse_offset + own :]
    layer_norm_backward(dout, normed, inverse, stride, units, first, last)
    rows, count = dout[first * stride :], last - first
    if layer > 0:
        transpose(rows, stride, work[this.grad_t_offset + own + first :], grad_t_stride, count, 0, units)
    scale_rows(rows, stride, count, np.float32(batch.grad_scale), 0, units)


# ---- The residual sum ----


def _sum_cost(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 12 * s.n * s.o)


@operation("units", _sum_cost, ("n", "o"))
def add_input(run, batch, layer, part, first, last):
    """The block's input added to the output of own units."""
    this, work, own = run.layers[layer], run.state.work, replica(run, layer, part)
    x, branch, out = work[inputs(run, batch, layer, part) :], work[this.output_offset + own :], this.result_offset + own
    residual_forward(x, this.input_stride, branch, work[out:], this.output_stride, batch.size, first, last)


@operation("units", lambda s: Cost(0, 8 * s.n * s.o), ("n", "o"))
def branch_gradient(run, batch, layer, part, first, last):
    """The gradient of own units' output, which is that of the sum; the sum's is still needed for the block's input."""
    this, work, own = run.layers[layer], run.state.work, replica(run, layer, part)
    dout, dbranch = work[this.result_grad_offset + own :], work[this.grad_offset + own :]
    residual_branch(dout, dbranch, this.output_stride, batch.size, first, last)


@operation("units below", _sum_cost, ("n", "o"))
def join_gradient(run, batch, layer, part, first, last):
    """The gradient of the sum, added to that of own inputs, which came back through the block."""
    this, below, work = run.layers[layer], run.layers[layer - 1], run.state.work
    dout = work[this.result_grad_offset + replica(run, layer, part) :]
    dx = work[below.result_grad_offset + replica(run, layer - 1, part) :]
    residual_backward(dout, this.output_stride, dx, below.output_stride, batch.size, first, last)


# ---- A learned factor for each input ----


def _fold_cost(s: Sizes) -> Cost:
    return Cost(s.i * s.o, 4 * (2 * s.i * s.o + s.i))


@operation("units", _fold_cost, ("i", "o"))
def fold_scale(run, batch, layer, part, first, last):
    """Own units' weights times the factors of the inputs."""
    this, state = run.layers[layer], run.state
    w, scale = state.params[this.weight_offset :], state.params[this.scale_offset :]
    scale_weights(w, scale, state.work[this.folded_offset :], this.in_features, first, last)


def _backward_scale_cost(s: Sizes) -> Cost:
    """Of an input also a sum's vector."""
    return Cost(3 * s.i * s.o + (LANES - 1) * s.i, 4 * (3 * s.i * s.o + 2 * s.i))


@operation("inputs", _backward_scale_cost, ("i", "o"))
def backward_scale(run, batch, layer, part, first, last):
    """The gradients of own inputs' weights and factors, from that of their products."""
    this, state = run.layers[layer], run.state
    w, scale = state.params[this.weight_offset :], state.params[this.scale_offset :]
    dw, dscale = state.grads[this.weight_offset :], state.grads[this.scale_offset :]
    scale_weights_backward(w, scale, dw, dscale, this.in_features, this.padded_features, first, last)
