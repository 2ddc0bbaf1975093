"""The residual sum: places, lines, and operations, forward beside backward. A part is assigned units, in pieces
also samples."""
# mypy: allow-untyped-defs, allow-incomplete-defs

from typing import Any

from jitnet.config import Layer
from jitnet.engine.addressing import inputs, replica
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.layer_kind import Kind, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.residual import residual_backward, residual_branch, residual_forward

__all__ = ["KIND", "add_input", "branch_gradient", "join_gradient"]


def _sum_cost(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 12 * s.n * s.o)


@operation("units", _sum_cost, ("n", "o"), pieces="pieces")
def add_input(run, batch, layer, part, first, last):
    """The block's input added to the output of assigned units."""
    this, work, begin = run.layers[layer], run.state.work, batch.first_across
    at, size = replica(run, layer, part) + begin * this.output_stride, batch.last_across - begin
    x = work[inputs(run, batch, layer, part) + begin * this.input_stride :]
    branch, out = work[this.output_offset + at :], work[this.result_offset + at :]
    residual_forward(x, this.input_stride, branch, out, this.output_stride, size, first, last)


@operation("units", lambda s: Cost(0, 8 * s.n * s.o), ("n", "o"), pieces="pieces")
def branch_gradient(run, batch, layer, part, first, last):
    """The gradient of assigned units' output, which is that of the sum; the sum's is still needed for the block's
    input."""
    this, work, begin = run.layers[layer], run.state.work, batch.first_across
    at, size = replica(run, layer, part) + begin * this.output_stride, batch.last_across - begin
    dout, dbranch = work[this.result_grad_offset + at :], work[this.grad_offset + at :]
    residual_branch(dout, dbranch, this.output_stride, size, first, last)


@operation("units below", _sum_cost, ("n", "o"), pieces="pieces below")
def join_gradient(run, batch, layer, part, first, last):
    """The gradient of the sum, added to that of assigned inputs, which came back through the block."""
    this, below, work, begin = run.layers[layer], run.layers[layer - 1], run.state.work, batch.first_across
    stride, stride_below, size = this.output_stride, below.output_stride, batch.last_across - begin
    dout = work[this.result_grad_offset + replica(run, layer, part) + begin * stride :]
    dx = work[below.result_grad_offset + replica(run, layer - 1, part) + begin * stride_below :]
    residual_backward(dout, stride, dx, stride_below, size, first, last)


def _place(places: Places, row: Any, layer: Layer) -> None:
    row.result_offset = places.take_outputs(row)
    if places.training:
        row.result_grad_offset = places.take_outputs(row)


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    writer.add("add_input", block, next_batch=next_batch)


def _backward_lines(writer: Writer, block: int) -> None:
    writer.add("branch_gradient", block)


def _join_lines(writer: Writer, block: int) -> None:
    writer.add("join_gradient", block)


KIND = Kind(_forward_lines, _backward_lines, place=_place, joins=_join_lines)
