"""What operations on layers have in common: where a part finds its arrays, and what becomes of a gradient."""

import numpy as np

from jitnet.compiler.decorators import helper
from jitnet.engine.arena import GAP_BYTES
from jitnet.kernels.memory import clear, scale_rows, transpose

__all__ = [
    "clear_gradient",
    "entry_lists",
    "finish_gradient",
    "forward_weights",
    "inputs",
    "loss_replica",
    "replica",
    "shared_stride",
    "weight_gradient",
    "weights_assigned",
]


@helper
def replica(run, layer, part):
    """How far a part's outputs of a layer and their gradients are from the first part's; 0 where all parts share
    them."""
    return part * run.layers[layer].part_stride


@helper
def loss_replica(run, part):
    """How far a part's losses are from the first part's; likewise."""
    return part * run.network.sample_stride


@helper
def inputs(run, batch, layer, part):
    """The place in work of what goes into a layer."""
    this = run.layers[layer]
    return this.input_offset + batch.buffer * this.buffer_stride + part * this.input_part_stride


@helper
def forward_weights(run, layer):
    """The weights that a layer's inputs are multiplied by: the parameters, or what a layer ahead has folded into
    them."""
    this = run.layers[layer]
    return run.state.work[this.folded_offset :] if this.folded_offset > 0 else run.state.params[this.weight_offset :]


@helper
def entry_lists(run, batch, part):
    """Lists of the inputs that are not zero (indptr, entries), and the batch's places in them: of the whole data set,
    or of this batch alone, as the part itself has made them."""
    if run.call.lists_batches:
        return run.state.indptr[part], run.state.entries[part], run.order[: batch.size]
    return run.data.indptr, run.data.entries, batch.indices


@helper
def shared_stride(columns):
    """From the marks of one vector of samples to those of the next, which another part may write."""
    return columns + GAP_BYTES // 2


@helper
def weight_gradient(run):
    """Where gradients go: to the weights themselves, or to a separate array."""
    return run.state.params if run.settings.adds_directly else run.state.grads


@helper
def weights_assigned(run, batch, layer, first, last):
    """First and last input, first and last unit of the weights that a part is assigned: of the first layer those of
    assigned units, of others those that leave assigned inputs; in pieces, from assigned inputs to assigned units."""
    this = run.layers[layer]
    if run.network.in_pieces:
        return batch.first_across, batch.last_across, first, last
    if layer == 0:
        return np.int64(0), this.in_features, first, last
    return first, min(last, this.in_features), np.int64(0), this.padded_features


@helper
def clear_gradient(run, first, last):
    """Clear assigned gradients, unless they are added to the weights."""
    if not run.settings.adds_directly:
        clear(run.state.grads, first, last)


@helper
def finish_gradient(run, batch, layer, part, first, last):
    """Of units' gradient of the linear part make what the linear layer's backward needs: also samples last, where a
    layer below needs it; and the rows scaled by grad_scale, for the weights: that is where plain SGD's learning rate
    comes in."""
    this, work = run.layers[layer], run.state.work
    begin, size = batch.first_across, batch.last_across - batch.first_across
    last, at = min(last, this.out_features), replica(run, layer, part)
    stride, grad_t_stride = this.output_stride, run.network.grad_t_stride
    dout = work[this.grad_offset + at + begin * stride :]
    if layer > 0:
        dout_t = work[this.grad_t_offset + at + first * grad_t_stride + begin :]
        transpose(dout[first:], stride, dout_t, grad_t_stride, size, 0, last - first)
    scale_rows(dout, stride, size, np.float32(batch.grad_scale), first, last)
