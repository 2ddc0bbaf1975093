"""A learned factor for each unit, ahead of the activation; a saved model has it in the layer before."""
# mypy: allow-untyped-defs, allow-incomplete-defs

from collections.abc import Mapping
from typing import Any

import numpy as np

from jitnet.config import Layer
from jitnet.engine.addressing import clear_gradient, finish_gradient, replica, weight_gradient
from jitnet.engine.costs import Cost, Sizes, gradient_bytes
from jitnet.engine.layer_kind import Kind, Parameter, Values, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.unit_scale import unit_scale_backward, unit_scale_forward

__all__ = ["KIND", "scale_units", "scale_units_back"]


@operation("units", lambda s: Cost(s.n * s.o, 4 * (2 * s.n * s.o + s.o)), ("n", "o"))
def scale_units(run, batch, layer, part, first, last):
    """What goes into the activation of a part's units: what it was, times their factors."""
    this, work, at = run.layers[layer], run.state.work, replica(run, layer, part)
    x, out, scale = work[this.unscaled_offset + at :], work[this.preactivation_offset + at :], run.state.params
    unit_scale_forward(x, scale[this.unit_scale_offset :], out, this.output_stride, batch.size, first, last)


def _scale_units_back_cost(s: Sizes) -> Cost:
    """With the scaling by the learning rate where no norm does it."""
    return Cost((3 * s.n + 2) * s.o, 4 * (3 * s.n * s.o + s.o * bool(s.update)) + gradient_bytes(s, s.o))


@operation("units", _scale_units_back_cost, ("n", "o"))
def scale_units_back(run, batch, layer, part, first, last):
    """The gradient of a part's factors, scaled by grad_scale, and of what they were multiplied by."""
    this, work, at = run.layers[layer], run.state.work, replica(run, layer, part)
    clear_gradient(run, this.unit_scale_offset + first, this.unit_scale_offset + last)
    scale, dscale = run.state.params[this.unit_scale_offset :], weight_gradient(run)[this.unit_scale_offset :]
    dout, x, factor = work[this.grad_offset + at :], work[this.unscaled_offset + at :], np.float32(batch.grad_scale)
    unit_scale_backward(dout, x, scale, this.output_stride, batch.size, factor, dscale, first, last)
    if this.unscaled_offset == this.linear_offset:
        finish_gradient(run, batch, layer, part, first, last)


def _place(places: Places, row: Any, layer: Layer) -> None:
    row.unscaled_offset = row.preactivation_offset
    row.preactivation_offset = row.output_offset = row.result_offset = places.take_outputs(row)


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    writer.add("scale_units", block, next_batch=next_batch)


def _backward_lines(writer: Writer, block: int) -> None:
    writer.add("scale_units_back", block)


def _fold(values: Values, others: Mapping[str, Values]) -> None:
    for array in others.get("layer_norm", others["linear"]).values():
        array *= values["scale"][:, None] if array.ndim == 2 else values["scale"]


KIND = Kind(_forward_lines, _backward_lines, {"scale": Parameter("unit_scale_offset")}, _place, fold=_fold)
