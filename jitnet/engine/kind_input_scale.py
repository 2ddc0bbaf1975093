"""A learned factor for each input, folded into the first layer's weights: places, lines, and operations."""
# mypy: allow-untyped-defs, allow-incomplete-defs

from collections.abc import Mapping
from typing import Any

from jitnet.config import Layer
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.layer_kind import Kind, Parameter, Values, Writer
from jitnet.engine.operation import operation
from jitnet.engine.room import Places
from jitnet.kernels.input_scale import scale_weights, scale_weights_backward
from jitnet.machine.blocks import LANES

__all__ = ["KIND", "backward_scale", "fold_scale"]


def _fold_cost(s: Sizes) -> Cost:
    return Cost(s.i * s.o, 4 * (2 * s.i * s.o + s.i))


@operation("units", _fold_cost, ("i", "o"))
def fold_scale(run, batch, layer, part, first, last):
    """Assigned units' weights times the factors of the inputs."""
    this, state = run.layers[layer], run.state
    w, scale = state.params[this.weight_offset :], state.params[this.scale_offset :]
    scale_weights(w, scale, state.work[this.folded_offset :], this.in_features, first, last)


def _backward_scale_cost(s: Sizes) -> Cost:
    """Of an input also a sum's vector."""
    return Cost(3 * s.i * s.o + (LANES - 1) * s.i, 4 * (3 * s.i * s.o + 2 * s.i))


@operation("inputs", _backward_scale_cost, ("i", "o"))
def backward_scale(run, batch, layer, part, first, last):
    """The gradients of assigned inputs' weights and factors, from that of their products."""
    this, state = run.layers[layer], run.state
    w, scale = state.params[this.weight_offset :], state.params[this.scale_offset :]
    dw, dscale = state.grads[this.weight_offset :], state.grads[this.scale_offset :]
    scale_weights_backward(w, scale, dw, dscale, this.in_features, this.padded_features, first, last)


def _place(places: Places, row: Any, layer: Layer) -> None:
    row.folded_offset = places.work.take(int(row.padded_features) * layer.in_features)


def _forward_lines(writer: Writer, block: int, next_batch: bool) -> None:
    """A part folds its units' weights: where the layer is split by units too, no part needs those of others."""
    if writer.trains and writer.freezes(block):
        return  # folded once, ahead of a call's first step
    writer.add("fold_scale", block, next_batch=next_batch)
    if block == writer.last:
        writer.meet("the folded weights of all units")


def _backward_lines(writer: Writer, block: int) -> None:
    """Needs the gradient of all units."""
    if writer.freezes(block):
        return
    writer.behind("backward_scale", block)


def _fold(values: Values, others: Mapping[str, Values]) -> None:
    weight = others["linear"]["weight"]
    weight *= values["scale"]


KIND = Kind(
    _forward_lines,
    _backward_lines,
    {"scale": Parameter("scale_offset", "inputs")},
    _place,
    fold=_fold,
    late=True,
    by_units=True,
)
