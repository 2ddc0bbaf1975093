"""Operations on the output layer: its outputs, called logits here, predictions, loss, and the gradient of the logits. A
part works on its samples, or on all."""

import numpy as np

from jitnet.engine.addressing import entry_lists, forward_weights, inputs, loss_replica, replica
from jitnet.engine.costs import Cost, Sizes, linear_cost, sparse_linear_cost
from jitnet.engine.operation import operation
from jitnet.engine.ownership import joins
from jitnet.kernels.linear import linear_forward
from jitnet.kernels.loss import run_link, run_loss, weigh_samples
from jitnet.kernels.memory import add_numbers, scale_rows, transpose
from jitnet.kernels.sparse import sparse_forward
from jitnet.machine.blocks import PANEL, PANEL_COLS, PARTIAL_SAMPLES
from jitnet.machine.tile import tile_load, tile_store

__all__ = ["add_partials", "link", "logits", "logits_sparse", "loss", "partial_logits"]


def _partial_logits_cost(s: Sizes) -> Cost:
    """Of a hidden layer of o units. The last group begins with the biases, others with zeros. What is added to another
    sum is one addition."""
    begins = s.outputs if s.partials == 1 else 2 * s.outputs
    flop = 2 * s.n * s.outputs * s.o + (s.partials - s.partial_sums) * s.n * s.outputs
    return Cost(flop, 4 * (s.n * s.o + s.outputs * s.o + begins + s.partial_places * s.n * s.outputs))


@operation("units", _partial_logits_cost, ("n", "o", "outputs"), pieces="samples of all units", product="forward")
def partial_logits(run, batch, layer, part, first, last):
    """What assigned groups of units of the last hidden layer contribute to the logits, added up as far as the part
    has the groups; the last group adds the bias.

    The logits are one panel: the part of the last group adds all of their biases. In pieces a part is assigned all
    groups, of some samples.
    """
    this, above, network = run.layers[layer], run.layers[layer + 1], run.network
    work, params = run.state.work, run.state.params
    x_stride, stride, first_group = above.input_stride, network.partial_stride, first // this.group
    buffer = network.partials_offset + (batch.step & 1) * network.n_partials * stride
    for n in range(batch.first_across, batch.last_across, PARTIAL_SAMPLES):
        size = min(PARTIAL_SAMPLES, batch.last_across - n)
        end_of_sums = buffer + first_group * stride + n * PANEL  # behind those that wait for others on their right
        for begin in range(first, last, this.group):
            end = min(above.in_features, begin + this.group)
            b = params[above.bias_offset :] if end == above.in_features else work[:PANEL]
            x = work[inputs(run, batch, layer + 1, part) + n * x_stride + begin :]
            w, out = params[above.weight_offset + begin * PANEL :], work[end_of_sums:]
            linear_forward(x, x_stride, w, b, out, PANEL, size, end - begin, 0, PANEL)
            for _ in range(joins(first_group, begin // this.group + 1, 1)):
                add_numbers(work[end_of_sums - stride :], work[end_of_sums:], size * PANEL)
                end_of_sums -= stride
            end_of_sums += stride


@operation("vectors of samples", linear_cost, ("n", "i", "o"), product="forward")
def logits(run, batch, layer, part, first, last):
    """The logits of assigned samples."""
    this = run.layers[layer]
    work, params = run.state.work, run.state.params
    x = work[inputs(run, batch, layer, part) + first * this.input_stride :]
    w, b = forward_weights(run, layer), params[this.bias_offset :]
    out = work[this.preactivation_offset + replica(run, layer, part) + first * this.output_stride :]
    size, units = last - first, this.padded_features
    linear_forward(x, this.input_stride, w, b, out, this.output_stride, size, this.in_features, 0, units)


@operation("vectors of samples", sparse_linear_cost, ("n", "i", "o"), on_entries=True)
def logits_sparse(run, batch, layer, part, first, last):
    """The same of a network without hidden layers, from lists of the inputs that are not zero."""
    this, state = run.layers[layer], run.state
    w, b = forward_weights(run, layer), state.params[this.bias_offset :]
    out = state.work[this.preactivation_offset + replica(run, layer, part) + first * this.output_stride :]
    indptr, entries, indices = entry_lists(run, batch, part)
    cursors, units = state.cursors[part], this.padded_features
    sparse_forward(
        indptr,
        entries,
        indices[first:last],
        state.byte_values,
        run.data.entry_values,
        w,
        b,
        out,
        this.output_stride,
        cursors,
        this.in_features,
        0,
        units,
    )


def _add_partials_cost(s: Sizes) -> Cost:
    return Cost((s.partial_sums - 1) * s.n * s.o, 4 * (s.partial_sums + 1) * s.n * s.o)


@operation("vectors of samples", _add_partials_cost, ("n", "o"))
def add_partials(run, batch, layer, part, first, last):
    """The logits of assigned samples, added up from what the parts have left of the groups' contributions."""
    this, network, work, partials = run.layers[layer], run.network, run.state.work, run.partials
    out = work[this.preactivation_offset + replica(run, layer, part) :]
    stride = network.partial_stride
    begin = network.partials_offset + (batch.step & 1) * network.n_partials * stride
    waiting = np.empty(partials.shape[0] * PANEL, np.float32)  # sums whose neighbour on the right is not complete
    for n in range(first, last):
        count = 0
        total = tile_load(1, PANEL_COLS, work, begin + n * PANEL, PANEL)
        for k in range(1, partials.shape[0]):
            added = tile_load(1, PANEL_COLS, work, begin + partials[k].place * stride + n * PANEL, PANEL)
            if partials[k].joins > 0:
                total = total + added
                for _ in range(1, partials[k].joins):
                    count -= 1
                    total = tile_load(1, PANEL_COLS, waiting, count * PANEL, PANEL) + total
            else:
                tile_store(total, waiting, count * PANEL, PANEL)
                count += 1
                total = added
        while count > 0:  # no power of two: what is left joins the larger sums ahead of it
            count -= 1
            total = tile_load(1, PANEL_COLS, waiting, count * PANEL, PANEL) + total
        tile_store(total, out, n * this.output_stride, PANEL)


def _loss_cost(s: Sizes) -> Cost:
    """Of the loss itself, and 1 FLOP an output to scale. The gradient is written twice."""
    price = s.loss
    flop = (price.output_flop + 1) * s.o + price.target_flop * s.targets + price.sample_flop
    moved = (price.output_bytes + 12) * s.o + price.target_bytes * s.targets
    weighing, weight = (s.o + 1, 4) if s.weighted else (0, 0)
    return Cost((flop + weighing) * s.n, (moved + price.sample_bytes + weight) * s.n)


@operation("vectors of samples", _loss_cost, ("n", "o"))
def loss(run, batch, layer, part, first, last):
    """Losses, right guesses where targets are classes, and the gradient of the logits, of assigned samples; losses and
    gradient times the samples' weights, where they have some.

    The gradient is stored twice: samples last for the layer below, and as rows for the weights, scaled by grad_scale.
    That is where plain SGD's learning rate comes in.
    """
    this, network, work = run.layers[layer], run.network, run.state.work
    at, losses_at = replica(run, layer, part), loss_replica(run, part)
    stride, grad_t_stride, n_outputs = this.output_stride, network.grad_t_stride, this.out_features
    out = work[this.preactivation_offset + at + first * stride :]
    dout_t = work[this.grad_t_offset + at :]
    dout = work[this.grad_offset + at + first * stride :]
    losses, correct = run.state.losses[losses_at:], run.state.correct[losses_at:]
    smoothing, mean = np.float32(run.settings.label_smoothing), np.float32(1.0 / batch.size)
    transpose(out, stride, dout_t[first:], grad_t_stride, last - first, 0, n_outputs)
    run_loss(
        run.settings.loss_code,
        dout_t,
        grad_t_stride,
        run.data.labels,
        run.data.targets,
        batch.indices,
        losses,
        correct,
        n_outputs,
        smoothing,
        mean,
        run.loss_numbers,
        first,
        last,
    )
    if run.data.weights.shape[0] > 0:
        weigh_samples(dout_t, grad_t_stride, run.data.weights, batch.indices, losses, n_outputs, first, last)
    transpose(dout_t[first:], grad_t_stride, dout, stride, n_outputs, 0, last - first)
    scale_rows(dout, stride, last - first, np.float32(batch.grad_scale), 0, n_outputs)


def _link_cost(s: Sizes) -> Cost:
    """Of the link, in place; predictions are then written out."""
    price = s.link
    flop = price.output_flop * s.o + price.target_flop * s.targets + price.sample_flop
    return Cost(flop * s.n, ((price.output_bytes + 4) * s.o + price.target_bytes * s.targets) * s.n)


@operation("samples", _link_cost, ("n", "o"))
def link(run, batch, layer, part, first, last):
    """Predictions from the outputs of assigned samples: the probability of each class, or the numbers themselves."""
    this, work = run.layers[layer], run.state.work
    at = this.preactivation_offset + replica(run, layer, part)
    for n in range(first, last):
        row = at + n * this.output_stride
        outputs = work[row : row + this.padded_features]
        run_link(run.settings.link_code, outputs, this.out_features, run.loss_numbers)
        predictions = run.outputs.predictions[batch.indices[n]]
        for c in range(this.out_features):
            predictions[c] = outputs[c]
