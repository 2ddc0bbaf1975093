"""The operations of a program: what one part does in a line, each a named function that calls kernels over its range.

All have the same arguments: `run` and `batch`, by reference; the layer; which part this is, for what each part has of
its own; and first and last of what the part owns, in units or samples as the line's split says (see `ownership`). An
operation says which kernels do its range and nothing else. Which operations there are in a step, which share a region
and what they are split by is said in `program`.

OPERATIONS at the end is their table. A new operation is a function here, its line in the table, its call in
`loop.perform`, and the lines of the programs that have it.
"""

import dis
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jitnet.compiler.blocks import NORM_BLOCK, PANEL, PREDICT_BLOCK, SPARSE_BLOCK, TILE_COLS
from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.signatures import INT
from jitnet.compiler.tile import tile_load, tile_store
from jitnet.engine import costs
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.state import BATCH, RUN
from jitnet.kernels.activation import activation_backward, activation_forward
from jitnet.kernels.augment import augment_image
from jitnet.kernels.dropout import drop_input_bytes, drop_input_floats, dropout
from jitnet.kernels.gather import gather_bytes, gather_floats
from jitnet.kernels.layout import clear, scale_rows, transpose
from jitnet.kernels.linear import (
    linear_backward_bias,
    linear_backward_input,
    linear_backward_weight,
    linear_forward,
)
from jitnet.kernels.loss import softmax, softmax_cross_entropy
from jitnet.kernels.norms import limit_norms, square_sum
from jitnet.kernels.optimizer import average, update
from jitnet.kernels.random import AUGMENT, key
from jitnet.kernels.sparse import (
    count_row,
    list_row,
    mark_columns,
    sparse_backward_weight,
    sparse_forward,
)

__all__ = ["OPERATIONS", "Operation"]

operation = linked(RUN, BATCH, INT, INT, INT, INT)


# ---- Forward ----


@operation
def gather(run, batch, layer, part, first, last):
    """Own samples as network inputs, into the buffer whose turn it is."""
    this = run.layers[0]
    x = run.state.work[this.input_offset + batch.buffer * this.buffer_stride :]
    if run.call.has_bytes:
        gather_bytes(run.data.images, batch.indices, run.state.byte_values, x, this.input_stride, first, last)
    else:
        gather_floats(run.data.features, batch.indices, x, this.input_stride, first, last)


@operation
def forward(run, batch, layer, part, first, last):
    """What goes into the activation of own units, from dense inputs, for all samples."""
    this = run.layers[layer]
    work, params = run.state.work, run.state.params
    x = work[this.input_offset + batch.buffer * this.buffer_stride :]
    w, b, out = params[this.weight_offset :], params[this.bias_offset :], work[this.preactivation_offset :]
    size = batch.size
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, first, last)


@operation
def forward_sparse(run, batch, layer, part, first, last):
    """The same of the first layer, from lists of the inputs that are not zero."""
    this, data, state = run.layers[layer], run.data, run.state
    w, b = state.params[this.weight_offset :], state.params[this.bias_offset :]
    out, cursors = state.work[this.preactivation_offset :], state.cursors[part]
    indices, values = batch.indices, state.byte_values
    sparse_forward(
        data.indptr,
        data.entries,
        indices,
        values,
        w,
        b,
        out,
        this.output_stride,
        cursors,
        this.in_features,
        first,
        last,
    )


@operation
def activate(run, batch, layer, part, first, last):
    """The activation of own units."""
    this, work = run.layers[layer], run.state.work
    x, out = work[this.preactivation_offset :], work[this.output_offset :]
    activation_forward(run.settings.activation, x, out, this.output_stride, batch.size, first, last)


@operation
def drop(run, batch, layer, part, first, last):
    """Dropout of own units."""
    this = run.layers[layer]
    out, size = run.state.work[this.output_offset :], batch.size
    dropout(out, this.output_stride, size, run.settings.seed, batch.step, layer, this.dropout, first, last)


@operation
def partial_logits(run, batch, layer, part, first, last):
    """What own groups of units of the last hidden layer contribute to the logits; the last group adds the bias."""
    this, above, network = run.layers[layer], run.layers[layer + 1], run.network
    work, params = run.state.work, run.state.params
    size = network.batch_room * PANEL
    buffer = network.partials_offset + (batch.step & 1) * network.n_partials * size
    for begin in range(first, last, this.group):
        end = min(above.in_features, begin + this.group)
        b = params[above.bias_offset :] if end == above.in_features else work[:PANEL]
        x, w = work[above.input_offset + begin :], params[above.weight_offset + begin * PANEL :]
        out = work[buffer + begin // this.group * size :]
        linear_forward(x, above.input_stride, w, b, out, PANEL, batch.size, end - begin, 0, PANEL)


# ---- The output layer and the loss, by samples ----


@helper
def _replica(run, layer, part):
    """How far a part's own logits and their gradients are from the first part's; 0 where all parts share them."""
    return part * run.network.replica_stride if layer == run.layers.shape[0] - 1 else np.int64(0)


@helper
def _own_samples(run, part):
    """How far a part's own losses are from the first part's; likewise."""
    return part * run.network.batch_room if run.network.replica_stride > 0 else np.int64(0)


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
    """The same, added up from what groups of units contributed."""
    this, network, work = run.layers[layer], run.network, run.state.work
    out = work[this.preactivation_offset + _replica(run, layer, part) :]
    size = network.batch_room * PANEL
    begin = network.partials_offset + (batch.step & 1) * network.n_partials * size
    for n in range(first, last):
        total = tile_load(1, TILE_COLS, work, begin + n * PANEL, PANEL)
        for group in range(1, network.n_partials):
            total = total + tile_load(1, TILE_COLS, work, begin + group * size + n * PANEL, PANEL)
        tile_store(total, out, n * this.output_stride, PANEL)


@operation
def loss(run, batch, layer, part, first, last):
    """Losses, right guesses, and the gradient of the logits, of own samples."""
    this, network, work = run.layers[layer], run.network, run.state.work
    replica, own = _replica(run, layer, part), _own_samples(run, part)
    stride, grad_t_stride, n_classes = this.output_stride, network.grad_t_stride, this.out_features
    out = work[this.preactivation_offset + replica + first * stride :]
    dout_t = work[this.grad_t_offset + replica :]
    dout = work[this.grad_offset + replica + first * stride :]
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


# ---- Backward: a layer above the first, by its inputs, which are the units below ----


@helper
def _weight_gradient(run):
    """Where gradients go: to the weights themselves, or to an array of their own."""
    return run.state.params if run.settings.adds_directly else run.state.grads


@helper
def _begin_gradient(run, first, last):
    """Clear own gradients, unless they are added to the weights."""
    if not run.settings.adds_directly:
        clear(run.state.grads, first, last)


@operation
def backward_input(run, batch, layer, part, first, last):
    """The gradient of own inputs: of what the units below gave."""
    this, below, network, work = run.layers[layer], run.layers[layer - 1], run.network, run.state.work
    stride, size, last = network.grad_t_stride, batch.size, min(last, this.in_features)
    dout_t, dx_t = work[this.grad_t_offset + _replica(run, layer, part) :], work[below.grad_t_offset :]
    w = run.state.params[this.weight_offset :]
    linear_backward_input(dout_t, w, dx_t, stride, size, this.in_features, this.out_features, first, last)
    dx = work[below.grad_offset + first :]
    transpose(dx_t[first * stride :], stride, dx, below.output_stride, last - first, 0, size)


@operation
def backward_weight(run, batch, layer, part, first, last):
    """The gradient of the weights that leave own inputs; of the first layer, of the weights of own units."""
    this, work = run.layers[layer], run.state.work
    target = _weight_gradient(run)[this.weight_offset :]
    x = work[this.input_offset + batch.buffer * this.buffer_stride :]
    dout = work[this.grad_offset + _replica(run, layer, part) :]
    size, units = batch.size, this.padded_features
    if layer == 0:
        first_input, last_input = np.int64(0), this.in_features
        _begin_gradient(
            run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features
        )
    else:
        first_input, last_input = first, min(last, this.in_features)
        for o in range(0, units, PANEL):
            panel = this.weight_offset + o * this.in_features
            _begin_gradient(run, panel + first_input * PANEL, panel + last_input * PANEL)
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


@operation
def backward_sparse(run, batch, layer, part, first, last):
    """The gradient of the first layer's weights of own units, from lists of the inputs that are not zero."""
    this, data, state = run.layers[layer], run.data, run.state
    _begin_gradient(run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features)
    target = _weight_gradient(run)[this.weight_offset :]
    marks, cursors, size, coming = state.marks[part], state.cursors[part], batch.size, batch.next_indices.shape[0]
    for n in range(0, size, SPARSE_BLOCK):
        end = min(size, n + SPARSE_BLOCK)
        indices = batch.indices[n:end]
        # Asked for: the samples of this many steps ahead, at the pace at which these are marked.
        mark_columns(data.indptr, data.entries, indices, batch.next_indices[n : min(end, coming)], marks)
        dout = state.work[this.grad_offset + n * this.output_stride :]
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


@operation
def backward_bias(run, batch, layer, part, first, last):
    """The gradient of own units' biases."""
    this, work = run.layers[layer], run.state.work
    _begin_gradient(run, this.bias_offset + first, this.bias_offset + last)
    target = _weight_gradient(run)[this.bias_offset :]
    dout = work[this.grad_offset + _replica(run, layer, part) :]
    linear_backward_bias(dout, this.output_stride, target, batch.size, first, last)


@operation
def drop_back(run, batch, layer, part, first, last):
    """The gradient of own units where they were dropped: zero."""
    this = run.layers[layer]
    dout, size = run.state.work[this.grad_offset :], batch.size
    dropout(dout, this.output_stride, size, run.settings.seed, batch.step, layer, this.dropout, first, last)


@operation
def activate_back(run, batch, layer, part, first, last):
    """The gradient of what went into own units' activation; also samples last, where a layer below needs it."""
    this, work, size = run.layers[layer], run.state.work, batch.size
    last = min(last, this.out_features)
    x, out, dout = work[this.preactivation_offset :], work[this.output_offset :], work[this.grad_offset :]
    stride, keep = this.output_stride, 1.0 - this.dropout
    activation_backward(run.settings.activation, x, out, dout, stride, size, keep, first, last)
    if layer > 0:
        grad_t_stride = run.network.grad_t_stride
        dout_t = work[this.grad_t_offset + first * grad_t_stride :]
        transpose(dout[first:], stride, dout_t, grad_t_stride, size, 0, last - first)
    scale_rows(dout, stride, size, np.float32(batch.grad_scale), first, last)


# ---- The update ----


@helper
def _update(run, batch, factor, first, last):
    """Own parameters, from their gradients."""
    state = run.state
    update(
        run.optimizer,
        state.params,
        state.grads,
        state.first_moment,
        state.second_moment,
        batch.step + 1,
        batch.rate,
        factor,
        first,
        last,
    )


@helper
def _average(run, first, last):
    """The moving average of own parameters, where there is one."""
    if run.settings.average_decay > 0.0:
        average(run.state.params, run.state.average, run.settings.average_decay, first, last)


@helper
def _step(run, batch, factor, first, last):
    if not run.settings.adds_directly:
        _update(run, batch, factor, first, last)


@operation
def update_weights(run, batch, layer, part, first, last):
    """The weights whose gradients the part has just made, and their moving average."""
    this = run.layers[layer]
    if layer == 0:
        begin, end = this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features
        _step(run, batch, 1.0, begin, end)
        _average(run, begin, end)
    else:
        last = min(last, this.in_features)
        for o in range(0, this.padded_features, PANEL):
            panel = this.weight_offset + o * this.in_features
            _step(run, batch, 1.0, panel + first * PANEL, panel + last * PANEL)
            _average(run, panel + first * PANEL, panel + last * PANEL)


@operation
def update_bias(run, batch, layer, part, first, last):
    """Own units' biases, and their moving average."""
    this = run.layers[layer]
    _step(run, batch, 1.0, this.bias_offset + first, this.bias_offset + last)
    _average(run, this.bias_offset + first, this.bias_offset + last)


@operation
def norm(run, batch, layer, part, first, last):
    """Squares of the gradient, own blocks of parameters."""
    state = run.state
    for block in range(first, last):
        begin = block * NORM_BLOCK
        state.squares[block] = square_sum(state.grads, begin, min(state.params.shape[0], begin + NORM_BLOCK))


@operation
def update_all(run, batch, layer, part, first, last):
    """Own blocks of parameters, the whole gradient first scaled down to the largest norm allowed (Pascanu et al.
    2013)."""
    state, factor = run.state, 1.0
    if run.settings.clip_norm > 0.0:
        total = 0.0
        for block in range(state.squares.shape[0]):
            total += state.squares[block]
        factor = min(1.0, run.settings.clip_norm / (math.sqrt(total) + 1e-6))
    begin, end = first * NORM_BLOCK, min(state.params.shape[0], last * NORM_BLOCK)
    _step(run, batch, factor, begin, end)
    if run.settings.max_norm == 0.0:
        _average(run, begin, end)


@operation
def limit(run, batch, layer, part, first, last):
    """Norms of own units' weights, the last layer's aside; then the moving average, of the weights as the step leaves
    them."""
    this = run.layers[layer]
    if layer < run.layers.shape[0] - 1:
        limit_norms(run.state.params[this.weight_offset :], this.in_features, run.settings.max_norm, first, last)
    _average(run, this.weight_offset + first * this.in_features, this.weight_offset + last * this.in_features)
    _average(run, this.bias_offset + first, this.bias_offset + last)


# ---- Data: lists of entries, new samples for an epoch ----


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


# ---- Prediction: blocks of samples, each carried through all layers by one part ----


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


class Operation(NamedTuple):
    """code: its number in the program's table. function: what a part does. split: what it is split by where a line says
    nothing else, a name of SPLITS. cost: FLOP and bytes of the whole line."""

    code: int
    function: Callable[..., None]
    split: str
    cost: Callable[[Sizes], Cost]

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels that it may call, read from its code."""
        return tuple(kernels_called(self.function))


def kernels_called(function: Any) -> list[str]:
    """Names of the functions of `jitnet.kernels` that a function calls, also by way of helpers in this file."""
    code, names = getattr(function, "py_func", function), list[str]()
    for name in [step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"]:
        value = code.__globals__.get(name)
        room = getattr(value, "__module__", "")
        if room.startswith("jitnet.kernels") and callable(value):
            names.append(name)
        elif room == __name__ and callable(value):
            names += kernels_called(value)
    return list(dict.fromkeys(names))


def _table(*rows: tuple[Callable[..., None], str, Callable[[Sizes], Cost]]) -> dict[str, Operation]:
    return {
        function.__name__: Operation(code, function, split, cost) for code, (function, split, cost) in enumerate(rows)
    }


OPERATIONS = _table(
    (gather, "samples", costs.gather),
    (forward, "units", costs.forward),
    (forward_sparse, "units", costs.forward_sparse),
    (activate, "units", costs.activate),
    (drop, "units", costs.drop),
    (partial_logits, "units", costs.partial_logits),
    (logits, "vectors of samples", costs.forward),
    (logits_sparse, "vectors of samples", costs.forward_sparse),
    (add_partials, "vectors of samples", costs.add_partials),
    (loss, "vectors of samples", costs.loss),
    (backward_input, "units below", costs.backward_input),
    (backward_weight, "units below", costs.backward_weight),
    (backward_sparse, "units", costs.backward_sparse),
    (backward_bias, "panels", costs.backward_bias),
    (drop_back, "units", costs.drop),
    (activate_back, "units", costs.activate_back),
    (update_weights, "units below", costs.update_weights),
    (update_bias, "panels", costs.update_bias),
    (norm, "blocks", costs.norm),
    (update_all, "blocks", costs.update_all),
    (limit, "panels", costs.limit),
    (count_entries, "data", costs.count_entries),
    (list_entries, "data", costs.list_entries),
    (augment, "data", costs.augment),
    (drop_samples, "data", costs.drop_samples),
    (predict, "data", costs.predict),
)
