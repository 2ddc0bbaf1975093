"""Where everything of a network in training is: a record a block, one a parameter, and one for the whole network.

All float32 numbers of a step (inputs, activations, their gradients) are in one array, `work`; all parameters in
another, `params`, and gradients, moments and averages in arrays of the same layout.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jitnet.compiler.signatures import Records, make_record, make_records
from jitnet.config import LAYERS, ModelConfig
from jitnet.engine.arena import GAP_BYTES
from jitnet.engine.costs import Sizes
from jitnet.engine.kinds import KINDS
from jitnet.engine.loop_records import (
    LAYER,
    NETWORK,
    PARAMETER,
    WALKS,
    LayerRecord,
    NetworkRecord,
    ParameterRecord,
)
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import Work, count_pieces, each_for_itself, in_pieces, partial_sums, units_of_a_piece
from jitnet.engine.room import Places, Room, row_stride
from jitnet.kernels.linear import padded
from jitnet.kernels.loss import LOSS_KERNELS
from jitnet.machine.blocks import LANES, PANEL, PARTIAL_UNITS

__all__ = ["Layout", "lay_out"]

_REPLICATED_BYTES = 8 << 20
"""Bytes up to which all parts together have separate outputs. Where they are more, a step is long."""

_SKIPPED_SHARE = 0.2
"""Share of inputs that are not zero, where zeros are skipped: about that of MNIST. It decides only how work is cut."""

_ROWS_TOGETHER = 32
"""Rows are given room in such numbers: whole vectors of samples, and 128 bytes of a number each."""


@dataclass(frozen=True)
class Layout:
    """layers: (n_layers,) records. parameters: (n_parameters,) records, block after block. params, work: numbers in
    all. replicas: parts that each have marks, cursors and losses. squares: numbers that the gradient's
    norm is summed of."""

    layers: Records[LayerRecord]
    parameters: Records[ParameterRecord]
    network: NetworkRecord
    params: int
    work: int
    replicas: int
    squares: int

    @property
    def fused(self) -> bool:
        """Whether each part has separate logits and losses: it does the output for itself."""
        return bool(self.network.sample_stride > 0)


def lay_out(
    config: ModelConfig, batch_size: int, threads: int, *, skips_zeros: bool, training: bool, dropout: Any = 0.0
) -> Layout:
    """Give everything its place. skips_zeros: the first layer walks lists of entries, and has no dense inputs.
    training: with gradients; else each part has separate work. dropout: a rate for each layer."""
    layers, network = make_records(LAYER, len(config.blocks)), make_record(NETWORK)
    layers.group, layers.dropout = PANEL, dropout
    network.batch_room = -(-batch_size // _ROWS_TOGETHER) * _ROWS_TOGETHER
    network.grad_t_stride = row_stride(padded(int(network.batch_room)))
    places = Places(config, layers, network, skips_zeros, training)
    found: list[dict[str, int]] = []
    for number, row in enumerate(layers):
        places.begin_block(row, number, *config.widths[number : number + 2])
        for layer in config.blocks[number]:
            if training or not LAYERS[layer.kind].folded:
                KINDS[layer.kind].place(places, row, layer)
        places.end_block(row)
        skips = skips_zeros and number == 0
        row.piece = units_of_a_piece(int(row.padded_features), batch_size, threads, skips_zeros=skips)
        row.first_parameter = len(found)
        row.squares_offset = places.squares.take(-(-int(row.out_features) // LANES))
        found += _place_parameters(config, number, row, places, training)
        row.end_parameter = len(found)
    parameters = make_records(PARAMETER, len(found))
    for record, values in zip(parameters, found, strict=True):
        for name, value in values.items():
            setattr(record, name, value)
    work = places.work
    replicas = threads if skips_zeros and training else 1
    partials = training and len(layers) > 1 and layers[-1].out_features <= LANES
    if partials:
        _place_partials(layers, network)
    fused = partials and skips_zeros and each_for_itself(_output_flop(config, batch_size, threads, network), threads)
    if training and not any(KINDS[layer.kind].by_units for layer in config.layers):
        # Meetings: ahead of the gradients of the weights, behind them, and behind the output where it had none.
        work_by_units = list(_work(config, batch_size, layers, skips_zeros))
        network.in_pieces = in_pieces(work_by_units, threads, 2 * (len(layers) > 1) + fused)
    if partials:
        if fused and not network.in_pieces:
            shared = any(KINDS[layer.kind].whole_samples for layer in config.blocks[-2])
            _place_replicas(layers, network, replicas, work, shared)
        work.take(GAP_BYTES // 4)  # ahead of it is what the last part writes
        network.partials_offset = work.take(2 * int(network.n_partials) * int(network.partial_stride))
    end = work.end + GAP_BYTES // 4
    if not training:
        layers.part_stride = layers[0].input_part_stride = end
    layers.input_part_stride[1:] = layers.part_stride[:-1]
    return Layout(layers, parameters, network, places.params.end, end, replicas, places.squares.end)


def _place_parameters(
    config: ModelConfig, block: int, row: Any, places: Places, training: bool
) -> Iterator[dict[str, int]]:
    """Room for a block's parameters: the weights, vectors of units, those of inputs; the fields of their records."""
    wanted = [
        (WALKS[parameter.walk], layer, number, parameter.field)
        for layer, each in enumerate(config.layers)
        if each.block == block and (training or not LAYERS[each.kind].folded)
        for number, parameter in enumerate(KINDS[each.kind].parameters.values())
    ]
    for walk, layer, number, field in sorted(wanted):
        per_unit = {WALKS["panels"]: int(row.in_features), WALKS["units"]: 1, WALKS["inputs"]: 0}[walk]
        count = int(row.padded_features) * per_unit or padded(int(row.in_features))
        offset = places.params.take(count)
        setattr(row, field, offset)
        yield {
            "layer": layer,
            "number": number,
            "offset": offset,
            "count": count,
            "walk": walk,
            "per_unit": per_unit,
            "squares_offset": 0 if per_unit else places.squares.take(-(-int(row.in_features) // LANES)),
            "rate": 1,
        }


def _place_partials(layers: Any, network: Any) -> None:
    """With few classes each group of the last hidden layer's units contributes to the logits apart, and the logits are
    added up."""
    below = layers[-2]
    below.group = PARTIAL_UNITS
    network.n_partials = -(-int(below.out_features) // PARTIAL_UNITS)
    network.partial_stride = int(network.batch_room) * PANEL + GAP_BYTES // 4


def _work(config: ModelConfig, batch_size: int, layers: Any, skips_zeros: bool) -> Iterator[Work]:
    """What a step has to do that is cut by units, region by region."""
    flop = [2.0 * batch_size * i * o for i, o in itertools.pairwise(config.widths)]
    if skips_zeros:
        flop[0] *= _SKIPPED_SHARE
    groups = [-(-int(row.padded_features) // int(row.group)) for row in layers]
    pieces = [count_pieces(row, batch_size) for row in layers]
    last = len(layers) - 1
    if last == 0:
        yield Work(flop[0], groups[0], count_pieces(layers[0]))
        return
    for layer in range(1, last):
        yield Work(flop[layer], groups[layer], pieces[layer])
    for layer in range(last, 1, -1):
        yield Work(2 * flop[layer], groups[layer - 1], pieces[layer - 1])
    yield Work(2 * (flop[0] + flop[1]), groups[0], pieces[0])
    if config.out_features <= LANES:  # what units contribute to the logits: in pieces that is cut by samples
        yield Work(flop[last], groups[last - 1], -(-batch_size // LANES))


def _output_flop(config: ModelConfig, batch_size: int, threads: int, network: Any) -> float:
    """Of a batch's logits, of what so many parts leave of them, and its losses."""
    sums, _ = partial_sums(int(network.n_partials), threads)
    price = LOSS_KERNELS[config.loss].price
    sizes = Sizes(batch_size, o=config.out_features, partial_sums=len(sums), loss=price, targets=config.n_targets or 0)
    return sum(float(OPERATIONS[name].cost(sizes).flop) for name in ("add_partials", "loss"))


def _place_replicas(layers: Any, network: Any, replicas: int, work: Room, shared: bool) -> None:
    """Where zeros are skipped a step is short, and each part does the output for itself: logits, their gradients and
    losses for each. In a network of one hidden layer no part needs another one's
    hidden units either: each has room for all of them, uses its assigned ones, and no other thread touches them.
    shared: a layer needs those of all parts."""
    gap = GAP_BYTES // 4
    network.sample_stride = int(network.batch_room) + gap
    replicated = layers[-2:] if len(layers) == 2 and not shared else layers[-1:]
    if 4 * replicas * (work.end - int(replicated[0].linear_offset) + gap) > _REPLICATED_BYTES:
        replicated = layers[-1:]
    replicated.part_stride = work.end - int(replicated[0].linear_offset) + gap
    work.take((replicas - 1) * int(replicated[0].part_stride))
