"""What each kind of layer brings to a network in training: parameters, room in `work`, lines forward and backward.

The rows are those of `config.LAYERS`, under the same names. A place or a line is asked for through what is passed in:
`Places` of `room` hands out room, `Writer` of `program` writes lines. Layers of one block share a record of LAYER.

Backward, a block's kinds write their lines from the last to the first. The linear layer's come first of a block's
region: they make the gradient of the units below. A kind that reads the block's input as well adds its share of that
gradient behind them, in `joins`: so gradients of an output with several readers add up in a fixed order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from jitnet.config import Layer
from jitnet.engine.room import Places
from jitnet.kernels.activation import ACTIVATION_KERNELS
from jitnet.kernels.linear import padded
from jitnet.machine.blocks import LANES

__all__ = ["KINDS", "Kind", "Writer"]


class Writer(Protocol):
    """What writes a program (see `program`): the methods that lines are written by."""

    @property
    def last(self) -> int: ...

    @property
    def skips_zeros(self) -> bool: ...

    def meet(self) -> None: ...

    def add(self, operation: str, layer: int, split: str = "", *, next_batch: bool = False) -> None: ...

    def apart(self, operation: str, layer: int, *, next_batch: bool = False) -> None: ...

    def drops(self, layer: int) -> bool: ...

    def behind(self, operation: str, layer: int) -> None: ...


def _no_lines(writer: Writer, block: int) -> None:
    pass


@dataclass(frozen=True)
class Kind:
    """place: sets a block's record to what this layer takes. parameters: for each of its parameters the field of LAYER
    with its place in `params`. forward, backward: write its lines in the region at hand; next_batch: on the next batch.
    joins: lines behind the gradient of the block's input."""

    place: Callable[[Places, Any, Layer], None]
    forward: Callable[[Writer, int, bool], None]
    backward: Callable[[Writer, int], None] = _no_lines
    parameters: dict[str, str] = field(default_factory=dict)
    joins: Callable[[Writer, int], None] = _no_lines


# ---- A learned factor for each input ----


def _place_input_scale(places: Places, row: Any, layer: Layer) -> None:
    """The factors, behind the weights, which stand first; and the weights times the factors."""
    places.later(lambda: _place_factors(places, row, layer))


def _place_factors(places: Places, row: Any, layer: Layer) -> None:
    row.scale_offset = places.params.take(padded(layer.in_features))
    row.scale_squares_offset = places.squares.take(-(-layer.in_features // LANES))
    row.folded_offset = places.work.take(padded(layer.out_features) * layer.in_features)


def _fold(writer: Writer, block: int, next_batch: bool) -> None:
    """Own units' weights: no part needs others' where the layer is split by units too."""
    writer.add("fold_scale", block, next_batch=next_batch)
    if block == writer.last:
        writer.meet()


def _unfold(writer: Writer, block: int) -> None:
    """Needs the gradient of all units."""
    writer.behind("backward_scale", block)


# ---- A linear layer ----


def _place_linear(places: Places, row: Any, layer: Layer) -> None:
    row.in_features, row.out_features = layer.in_features, layer.out_features
    row.padded_features = padded(layer.out_features)
    row.weight_offset = places.params.take(int(row.padded_features) * layer.in_features)
    row.bias_offset = places.params.take(int(row.padded_features))
    row.squares_offset = places.squares.take(-(-layer.out_features // LANES))
    places.connect(row, layer.block)
    row.linear_offset = row.preactivation_offset = row.output_offset = row.result_offset = places.take_outputs(row)


def _linear(writer: Writer, block: int, next_batch: bool) -> None:
    sparse = block == 0 and writer.skips_zeros
    if block < writer.last:
        writer.add("forward_sparse" if sparse else "forward", block, next_batch=next_batch)


# ---- Layer normalisation ----


def _place_norm(places: Places, row: Any, layer: Layer) -> None:
    row.gain_offset = places.params.take(int(row.padded_features))
    row.shift_offset = places.params.take(int(row.padded_features))
    row.inverse_offset = places.work.take(int(places.network.batch_room))
    row.preactivation_offset = row.output_offset = row.result_offset = places.take_outputs(row)


def _normalise(writer: Writer, block: int, next_batch: bool) -> None:
    """Needs a sample's units all together: in a region of its own, by samples."""
    writer.apart("normalise", block, next_batch=next_batch)


def _normalise_back(writer: Writer, block: int) -> None:
    writer.add("backward_norm", block)
    writer.apart("normalise_back", block)


# ---- The activation ----


def _place_activation(places: Places, row: Any, layer: Layer) -> None:
    if ACTIVATION_KERNELS[places.activation].keeps == "input":
        row.output_offset = row.result_offset = places.take_outputs(row)


def _activate(writer: Writer, block: int, next_batch: bool) -> None:
    writer.add("activate", block, next_batch=next_batch)
    if writer.drops(block):
        writer.add("drop", block, next_batch=next_batch)


def _activate_back(writer: Writer, block: int) -> None:
    if writer.drops(block):
        writer.add("drop_back", block)
    writer.add("activate_back", block)


# ---- The residual sum ----


def _place_residual(places: Places, row: Any, layer: Layer) -> None:
    row.result_offset = places.take_outputs(row)
    if places.training:
        row.result_grad_offset = places.take_outputs(row)


def _add_input(writer: Writer, block: int, next_batch: bool) -> None:
    writer.add("add_input", block, next_batch=next_batch)


def _branch(writer: Writer, block: int) -> None:
    writer.add("branch_gradient", block)


def _join(writer: Writer, block: int) -> None:
    writer.add("join_gradient", block)


KINDS: dict[str, Kind] = {
    "input_scale": Kind(_place_input_scale, _fold, _unfold, {"scale": "scale_offset"}),
    "linear": Kind(_place_linear, _linear, parameters={"weight": "weight_offset", "bias": "bias_offset"}),
    "layer_norm": Kind(_place_norm, _normalise, _normalise_back, {"weight": "gain_offset", "bias": "shift_offset"}),
    "activation": Kind(_place_activation, _activate, _activate_back),
    "residual": Kind(_place_residual, _add_input, _branch, joins=_join),
}
"""Every kind by its name in `config.LAYERS`."""
