"""Operations on the output layer: logits, loss, and the gradient of the logits. A part owns samples, or does all."""

import numpy as np

from jitnet.compiler.blocks import PANEL, PANEL_COLS
from jitnet.compiler.decorators import helper
from jitnet.compiler.tile import tile_load, tile_store
from jitnet.engine.state import operation
from jitnet.kernels.linear import linear_forward
from jitnet.kernels.loss import softmax_cross_entropy
from jitnet.kernels.memory import scale_rows, transpose
from jitnet.kernels.sparse import sparse_forward

__all__ = ["add_partials", "logits", "logits_sparse", "loss", "partial_logits", "replica"]


@operation
def partial_logits(run, batch, layer, part, first, last):
    """What own groups of units of the last hidden layer contribute to the logits; the last group adds the bias.

    The logits are one panel: the part that owns the last group adds all of their biases.
    """
    this, above, network = run.layers[layer], run.layers[layer + 1], run.network
    work, params = run.state.work, run.state.params
    size, own = network.partial_stride, replica(run, layer, part)
    buffer = network.partials_offset + (batch.step & 1) * network.n_partials * size
    for begin in range(first, last, this.group):
        end = min(above.in_features, begin + this.group)
        b = params[above.bias_offset :] if end == above.in_features else work[:PANEL]
        x, w = work[above.input_offset + own + begin :], params[above.weight_offset + begin * PANEL :]
        out = work[buffer + begin // this.group * size :]
        linear_forward(x, above.input_stride, w, b, out, PANEL, batch.size, end - begin, 0, PANEL)


@helper
def replica(run, layer, part):
    """How far a part's own outputs of a layer and their gradients are from the first part's; 0 where all parts share
    them."""
    return part * run.layers[layer].part_stride


@helper
def _own_samples(run, part):
    """How far a part's own losses are from the first part's; likewise."""
    return part * run.network.sample_stride


@operation
def logits(run, batch, layer, part, first, last):
    """The logits of own samples."""
    this = run.layers[layer]
    work, params = run.state.work, run.state.params
    x = work[this.input_offset + batch.buffer * this.buffer_stride + first * this.input_stride :]
    w, b = params[this.weight_offset :], params[this.bias_offset :]
    out = work[this.preactivation_offset + first * this.output_stride :]
    size, units = last - first, this.padded_features
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, 0, units)


@operation
def logits_sparse(run, batch, layer, part, first, last):
    """The same of a network without hidden layers, from lists of the inputs that are not zero."""
    this, data, state = run.layers[layer], run.data, run.state
    w, b = state.params[this.weight_offset :], state.params[this.bias_offset :]
    out, cursors = state.work[this.preactivation_offset + first * this.output_stride :], state.cursors[part]
    indices, units = batch.indices[first:last], this.padded_features
    sparse_forward(
        data.indptr,
        data.entries,
        indices,
        state.byte_values,
        w,
        b,
        out,
        this.output_stride,
        cursors,
        this.in_features,
        0,
        units,
    )


@operation
def add_partials(run, batch, layer, part, first, last):
    """The logits of own samples, added up from what groups of units contributed."""
    this, network, work = run.layers[layer], run.network, run.state.work
    out = work[this.preactivation_offset + replica(run, layer, part) :]
    size = network.partial_stride
    begin = network.partials_offset + (batch.step & 1) * network.n_partials * size
    for n in range(first, last):
        total = tile_load(1, PANEL_COLS, work, begin + n * PANEL, PANEL)
        for group in range(1, network.n_partials):
            total = total + tile_load(1, PANEL_COLS, work, begin + group * size + n * PANEL, PANEL)
        tile_store(total, out, n * this.output_stride, PANEL)


@operation
def loss(run, batch, layer, part, first, last):
    """Losses, right guesses, and the gradient of the logits, of own samples.

    The gradient stands twice: samples last for the layer below, and as rows for the weights, scaled by grad_scale. That
    is where plain SGD's learning rate comes in.
    """
    this, network, work = run.layers[layer], run.network, run.state.work
    at, own = replica(run, layer, part), _own_samples(run, part)
    stride, grad_t_stride, n_classes = this.output_stride, network.grad_t_stride, this.out_features
    out = work[this.preactivation_offset + at + first * stride :]
    dout_t = work[this.grad_t_offset + at :]
    dout = work[this.grad_offset + at + first * stride :]
    losses, correct = run.state.losses[own:], run.state.correct[own:]
    smoothing, mean = np.float32(run.settings.label_smoothing), np.float32(1.0 / batch.size)
    transpose(out, stride, dout_t[first:], grad_t_stride, last - first, 0, n_classes)
    softmax_cross_entropy(
        dout_t,
        grad_t_stride,
        run.data.labels,
        batch.indices,
        losses,
        correct,
        n_classes,
        smoothing,
        mean,
        first,
        last,
    )
    transpose(dout_t[first:], grad_t_stride, dout, stride, n_classes, 0, last - first)
    scale_rows(dout, stride, last - first, np.float32(batch.grad_scale), 0, n_classes)
