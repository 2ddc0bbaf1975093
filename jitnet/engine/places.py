"""Where a part finds what it works on, where each part may have its own: inputs, outputs, losses, lists of entries."""

from jitnet.compiler.decorators import helper

__all__ = ["entry_lists", "forward_weights", "inputs", "loss_replica", "replica"]


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
    """The weights that a layer's inputs are multiplied by: with a factor for each input, their products."""
    this = run.layers[layer]
    return run.state.work[this.folded_offset :] if this.scale_offset > 0 else run.state.params[this.weight_offset :]


@helper
def entry_lists(run, batch, part):
    """Lists of the inputs that are not zero (indptr, entries), and the batch's places in them: of the whole data set,
    or of this batch alone, as the part itself has made them."""
    if run.call.lists_batches:
        return run.state.indptr[part], run.state.entries[part], run.order[: batch.size]
    return run.data.indptr, run.data.entries, batch.indices
