"""The activation and its dropout: places, lines, and operations, forward beside backward. A part is assigned units,
in pieces also samples."""
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

from jitnet.compiler.decorators import helper
from jitnet.config import Layer
from jitnet.engine.addressing import finish_gradient, replica
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.layer_kind import Kind, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.activation import ACTIVATION_KERNELS, activation_backward, activation_forward
from jitnet.kernels.dropout import dropout

__all__ = ["KIND", "activate", "activate_back", "drop", "drop_back"]


def _activate_cost(s: Sizes) -> Cost:
    return Cost(s.activation * s.n * s.o, 8 * s.n * s.o)


@operation("units", _activate_cost, ("n", "o"), pieces="pieces", activates=True)
def activate(run, batch, layer, part, first, last):
    """The activation of assigned units."""
    this, work = run.layers[layer], run.state.work
    stride, size = this.output_stride, batch.last_across - batch.first_across
    at = replica(run, layer, part) + batch.first_across * stride
    x, out = work[this.preactivation_offset + at :], work[this.output_offset + at :]
    activation_forward(run.settings.activation, x, out, stride, size, first, last)


def _activate_back_cost(s: Sizes) -> Cost:
    """With the scaling by the learning rate; where a layer is between neither that nor a second copy."""
    if s.between:
        return Cost(s.activation_back * s.n * s.o, 12 * s.n * s.o)
    return Cost((s.activation_back + 1) * s.n * s.o, (16 if s.transposed else 12) * s.n * s.o)


@operation("units", _activate_back_cost, ("n", "o"), pieces="pieces", activates=True)
def activate_back(run, batch, layer, part, first, last):
    """The gradient of what went into assigned units' activation. Where another layer is between the linear one and the
    activation, what the linear layer needs beside it is left to that."""
    this, work, size = run.layers[layer], run.state.work, batch.last_across - batch.first_across
    last, stride, keep = min(last, this.out_features), this.output_stride, 1.0 - this.dropout
    at = replica(run, layer, part) + batch.first_across * stride
    x, out = work[this.preactivation_offset + at :], work[this.output_offset + at :]
    dout = work[this.grad_offset + at :]
    activation_backward(run.settings.activation, x, out, dout, stride, size, keep, first, last)
    if this.preactivation_offset == this.linear_offset:
        finish_gradient(run, batch, layer, part, first, last)


def _drop_cost(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 8 * s.n * s.o)


@helper
def _drop(run, batch, layer, at, first, last):
    """Zero where assigned units are dropped, of a layer's numbers from a place in work on."""
    values, stride, rate = run.state.work[at:], run.layers[layer].output_stride, run.layers[layer].dropout
    begin, end = batch.first_across, batch.last_across
    dropout(values, stride, begin, end, run.settings.seed, batch.step, layer, rate, first, last)


@operation("units", _drop_cost, ("n", "o"), pieces="pieces")
def drop(run, batch, layer, part, first, last):
    """Dropout of assigned units."""
    this = run.layers[layer]
    _drop(run, batch, layer, this.output_offset + replica(run, layer, part), first, last)


@operation("units", _drop_cost, ("n", "o"), pieces="pieces")
def drop_back(run, batch, layer, part, first, last):
    """The gradient of assigned units where they were dropped: zero."""
    this = run.layers[layer]
    _drop(run, batch, layer, this.grad_offset + replica(run, layer, part), first, last)


def _place(places: Places, row: Any, layer: Layer) -> None:
    if ACTIVATION_KERNELS[places.activation].derivative_of == "input":
        row.output_offset = row.result_offset = places.take_outputs(row)


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    writer.add("activate", block, next_batch=next_batch)
    if writer.drops(block):
        writer.add("drop", block, next_batch=next_batch)


def _backward_lines(writer: Writer, block: int) -> None:
    if writer.drops(block):
        writer.add("drop_back", block)
    writer.add("activate_back", block)


KIND = Kind(_forward_lines, _backward_lines, place=_place)
