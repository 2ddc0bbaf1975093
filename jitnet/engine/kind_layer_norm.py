"""Layer normalisation: places, lines, and operations, forward beside backward.

Its sums over units need a sample's units all together: their operations are split by samples, in separate regions.
"""
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

import numpy as np

from jitnet.config import Layer
from jitnet.engine.addressing import clear_gradient, replica, weight_gradient
from jitnet.engine.costs import Cost, Sizes, gradient_bytes
from jitnet.engine.layer_kind import Kind, Parameter, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.layer_norm import layer_norm_backward, layer_norm_forward, layer_norm_gradient, scale_by_gain
from jitnet.kernels.memory import scale_rows, transpose
from jitnet.machine.blocks import LANES

__all__ = ["KIND", "backward_frozen_norm", "backward_norm", "normalise", "normalise_back"]


def _normalise_cost(s: Sizes) -> Cost:
    """Of a sample also two sums' vectors, and five numbers."""
    return Cost((7 * s.o + 2 * LANES + 3) * s.n, 4 * (3 * s.n * s.o + 2 * s.o + s.n))


@operation("vectors of samples", _normalise_cost, ("n", "o"))
def normalise(run, batch, layer, part, first, last):
    """The linear part of assigned samples, normalised, times gain and plus bias."""
    this, work, params = run.layers[layer], run.state.work, run.state.params
    at = replica(run, layer, part)
    x, out = work[this.linear_offset + at :], work[this.normalised_offset + at :]
    gain, bias, inverse = params[this.gain_offset :], params[this.shift_offset :], work[this.inverse_offset + at :]
    layer_norm_forward(x, gain, bias, out, inverse, this.output_stride, this.out_features, first, last)


def _backward_norm_cost(s: Sizes) -> Cost:
    return Cost(4 * s.n * s.o + 4 * s.o, 4 * (3 * s.n * s.o + s.o * bool(s.update)) + gradient_bytes(s, 2 * s.o))


@operation("units", _backward_norm_cost, ("n", "o"))
def backward_norm(run, batch, layer, part, first, last):
    """The gradients of the gain and the bias of assigned units' norm, scaled by grad_scale; and of what the gain was
    multiplied by."""
    this, work = run.layers[layer], run.state.work
    clear_gradient(run, this.gain_offset + first, this.gain_offset + last)
    clear_gradient(run, this.shift_offset + first, this.shift_offset + last)
    target, at = weight_gradient(run), replica(run, layer, part)
    gain, dgain, dbias = run.state.params[this.gain_offset :], target[this.gain_offset :], target[this.shift_offset :]
    dout, normed = work[this.grad_offset + at :], work[this.linear_offset + at :]
    factor = np.float32(batch.grad_scale)
    layer_norm_gradient(dout, normed, gain, this.output_stride, batch.size, factor, dgain, dbias, first, last)


@operation("units", lambda s: Cost(s.n * s.o, 4 * (2 * s.n * s.o + s.o)), ("n", "o"))
def backward_frozen_norm(run, batch, layer, part, first, last):
    """The gradient of what the gain of assigned units' norm was multiplied by, where gain and bias are frozen."""
    this, at = run.layers[layer], replica(run, layer, part)
    gain, dout = run.state.params[this.gain_offset :], run.state.work[this.grad_offset + at :]
    scale_by_gain(dout, gain, this.output_stride, batch.size, first, last)


def _normalise_back_cost(s: Sizes) -> Cost:
    """With the scaling by the learning rate; of a sample also two sums' vectors."""
    return Cost((8 * s.o + 2 * LANES) * s.n, 4 * ((4 if s.transposed else 3) * s.n * s.o + s.n))


@operation("vectors of samples", _normalise_back_cost, ("n", "o"))
def normalise_back(run, batch, layer, part, first, last):
    """The gradient of the linear part of assigned samples, as `activate_back` leaves it where there is no norm: also
    samples last, where a layer below needs it, and the rows scaled by grad_scale."""
    this, work, at = run.layers[layer], run.state.work, replica(run, layer, part)
    stride, units, grad_t_stride = this.output_stride, this.out_features, run.network.grad_t_stride
    dout, normed = work[this.grad_offset + at :], work[this.linear_offset + at :]
    inverse = work[this.inverse_offset + at :]
    layer_norm_backward(dout, normed, inverse, stride, units, first, last)
    rows, count = dout[first * stride :], last - first
    if layer > 0:
        transpose(rows, stride, work[this.grad_t_offset + at + first :], grad_t_stride, count, 0, units)
    scale_rows(rows, stride, count, np.float32(batch.grad_scale), 0, units)


def _place(places: Places, row: Any, layer: Layer) -> None:
    row.inverse_offset = places.work.take(int(places.network.batch_room))
    row.normalised_offset = places.take_outputs(row)
    row.preactivation_offset = row.output_offset = row.result_offset = row.normalised_offset


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    writer.apart("normalise", block, next_batch=next_batch)


def _backward_lines(writer: Writer, block: int) -> None:
    writer.add("backward_frozen_norm" if writer.freezes(block) else "backward_norm", block)
    writer.apart("normalise_back", block)


KIND = Kind(
    _forward_lines,
    _backward_lines,
    {"weight": Parameter("gain_offset"), "bias": Parameter("shift_offset")},
    _place,
    whole_samples=True,
    by_units=True,
)
