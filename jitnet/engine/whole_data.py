"""Operations on a data set: list what is not zero, make an epoch's samples, predict. A part owns samples."""

import numpy as np

from jitnet.compiler.blocks import PREDICT_BLOCK
from jitnet.compiler.decorators import helper
from jitnet.engine.state import operation
from jitnet.kernels.activation import activation_forward
from jitnet.kernels.augment import augment_image
from jitnet.kernels.dropout import drop_input_bytes, drop_input_floats
from jitnet.kernels.gather import gather_bytes, gather_floats
from jitnet.kernels.linear import linear_forward
from jitnet.kernels.loss import softmax
from jitnet.kernels.random import AUGMENT, key
from jitnet.kernels.sparse import count_row, list_row, sparse_forward

__all__ = ["augment", "count_entries", "drop_samples", "list_entries", "predict"]


@operation
def count_entries(run, batch, layer, part, first, last):
    """How many entries each own sample has, to indptr[n + 1]."""
    for n in range(first, last):
        run.data.indptr[n + 1] = count_row(run.data.images[n])


@operation
def list_entries(run, batch, layer, part, first, last):
    """Own samples' entries, to where indptr says."""
    data = run.data
    for n in range(first, last):
        list_row(data.images[n], data.entries, data.indptr[n], data.indptr[n + 1])


@operation
def augment(run, batch, layer, part, first, last):
    """Own samples of the order as this epoch distorts them."""
    call, indices = run.call, run.order
    for n in range(first, last):
        stream = key(run.settings.seed, AUGMENT, call.epoch, np.uint64(indices[n]))
        image, out = run.data.images[indices[n]], run.outputs.images[n]
        augment_image(image, call.height, call.width, run.distortion, stream, run.state.pixels[part], out)


@operation
def drop_samples(run, batch, layer, part, first, last):
    """Input dropout of own samples of the order, in place; what is kept of float inputs is scaled up to make good."""
    rate, seed, epoch = run.settings.input_dropout, run.settings.seed, run.call.epoch
    if run.call.has_bytes:
        drop_input_bytes(run.outputs.images, run.order, rate, seed, epoch, first, last)
    else:
        drop_input_floats(run.outputs.features, run.order, rate, seed, epoch, first, last)


@helper
def _predict_inputs(run, work, indices, out, part):
    """What goes into the first layer's activation, of at most PREDICT_BLOCK samples."""
    this, state, data = run.layers[0], run.state, run.data
    w, b = state.params[this.weight_offset :], state.params[this.bias_offset :]
    size, units = indices.shape[0], this.padded_features
    if run.call.skips_zeros:
        indptr, entries = state.indptr[part], state.entries[part]
        indptr[0] = 0
        for n in range(size):
            indptr[n + 1] = list_row(data.images[indices[n]], entries, indptr[n], entries.shape[0])
        cursors, own = state.cursors[part], run.order[:size]
        sparse_forward(
            indptr, entries, own, state.byte_values, w, b, out, this.output_stride, cursors, this.in_features, 0, units
        )
    else:
        x = work[this.input_offset :]
        if run.call.has_bytes:
            gather_bytes(data.images, indices, state.byte_values, x, this.input_stride, 0, size)
        else:
            gather_floats(data.features, indices, x, this.input_stride, 0, size)
        linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, 0, units)


@operation
def predict(run, batch, layer, part, first, last):
    """Probabilities of own samples of the order. Neighbours do not show in a sample's numbers: any split gives the
    same.

    run.order counts up from 0."""
    layers, state = run.layers, run.state
    work = state.work[part * run.network.work_stride :]
    top = layers[layers.shape[0] - 1]
    for begin in range(first, last, PREDICT_BLOCK):
        indices = run.order[begin : min(last, begin + PREDICT_BLOCK)]
        size = indices.shape[0]
        for k in range(layers.shape[0]):
            this = layers[k]
            out = work[this.preactivation_offset :]
            if k == 0:
                _predict_inputs(run, work, indices, out, part)
            else:
                x, units = work[this.input_offset :], this.padded_features
                w, b = state.params[this.weight_offset :], state.params[this.bias_offset :]
                linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, 0, units)
            if k < layers.shape[0] - 1:
                kept, stride = work[this.output_offset :], this.output_stride
                activation_forward(run.settings.activation, out, kept, stride, size, 0, this.padded_features)
        for n in range(size):
            at = top.preactivation_offset + n * top.output_stride
            probabilities = work[at : at + top.padded_features]
            softmax(probabilities, top.out_features)
            target = run.outputs.probabilities[indices[n]]
            for c in range(target.shape[0]):
                target[c] = probabilities[c]
