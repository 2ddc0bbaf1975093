"""Where everything of a network in training lies: a record a layer, and one for the whole network.

All float32 numbers of a step (inputs, activations, their gradients) lie in one array, `work`; all parameters in
another, `params`, and gradients, moments and averages in arrays of the same layout. An offset counts numbers from the
start of its array, a stride numbers from one row to the next.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from jitnet.compiler.signatures import Record, Records, make_record, make_records, record_type
from jitnet.config import LAYERS, ModelConfig
from jitnet.engine.kinds import KINDS
from jitnet.engine.room import Places, Room, row_stride
from jitnet.kernels.linear import padded
from jitnet.machine.blocks import LANES, PANEL, PARTIAL_UNITS

__all__ = ["GAP_BYTES", "LAYER", "NETWORK", "Layout", "lay_out"]


class LayerRecord(Record, Protocol):
    """One layer. Arrays of outputs are (batch, padded_features), of transposed gradients (out_features, batch)."""

    in_features: int
    out_features: int
    padded_features: int  # outputs, with those that fill up the last panel
    weight_offset: int  # in params: panels of (in_features, PANEL)
    bias_offset: int
    gain_offset: int  # of the norm behind the linear layer; 0: there is none
    shift_offset: int  # the norm's bias
    scale_offset: int  # a factor for each input; 0: there are none
    squares_offset: int  # in squares: a number for each vector of units
    scale_squares_offset: int  # and for each vector of factors
    input_offset: int  # in work, as all that follow
    input_stride: int
    input_part_stride: int  # from one part's own inputs to the next's; 0: one for all
    buffer_stride: int  # from this batch's inputs to the next one's; 0 where there is one buffer
    folded_offset: int  # the weights times the inputs' factors, in panels
    linear_offset: int  # what the linear layer makes; preactivation_offset where no norm follows
    inverse_offset: int  # of each sample 1 over its standard deviation, by which the norm divides
    preactivation_offset: int  # what goes into the activation; output_offset where that overwrites it
    output_offset: int  # what comes out of it
    result_offset: int  # what the next layer takes; output_offset where no input is added to it
    output_stride: int  # of all of these and of the gradients
    result_grad_offset: int  # gradient of the result; grad_offset where no input is added
    grad_offset: int  # gradient of the preactivation, samples as rows
    grad_t_offset: int  # the same, samples last
    part_stride: int  # from one part's own outputs and their gradients to the next's; 0: one for all
    group: int  # units that stay together when units are shared out
    dropout: float  # rate


LAYER = record_type(LayerRecord)


class NetworkRecord(Record, Protocol):
    """What belongs to the whole network."""

    batch_room: int  # the largest batch, rounded up
    grad_t_stride: int  # of every layer's transposed gradient
    n_partials: int  # groups of units that contribute to the logits apart; 0 where they do not
    partials_offset: int  # in work: (2, n_partials, batch_room, PANEL), two buffers that take turns
    partial_stride: int  # from one group's contributions to the next one's
    sample_stride: int  # from one part's own losses and right guesses to the next's; 0: one for all


NETWORK = record_type(NetworkRecord)

MOST_PARTIALS = 8
"""Groups of units that contribute to the logits apart: so many parts can share a network of one hidden layer."""

GAP_BYTES = 4096
"""Bytes between what one thread writes and what another does, step after step. Processors fetch ahead of a walk, also
behind its end, and so take lines from the core that is writing there. They stop at the end of a page."""

_OWN_BYTES = 8 << 20
"""Bytes up to which all parts together have outputs of their own. Where they are more, a step is long."""

_ROWS_TOGETHER = 32
"""Rows are given room in such numbers: whole vectors of samples, and 128 bytes of a number each."""


@dataclass(frozen=True)
class Layout:
    """layers: (n_layers,) records. params, work: numbers in all. replicas: parts that each have marks, cursors and
    losses of their own. squares: numbers that the gradient's norm is summed of."""

    layers: Records[LayerRecord]
    network: NetworkRecord
    params: int
    work: int
    replicas: int
    squares: int

    @property
    def fused(self) -> bool:
        """Whether each part has logits and losses of its own: it does the output for itself."""
        return bool(self.network.sample_stride > 0)


def lay_out(
    config: ModelConfig, batch_size: int, threads: int, *, skips_zeros: bool, training: bool, dropout: Any = 0.0
) -> Layout:
    """Give everything its place. skips_zeros: the first layer walks lists of entries, and has no dense inputs.
    training: with gradients; else each part has work of its own. dropout: a rate for each layer."""
    layers, network = make_records(LAYER, len(config.blocks)), make_record(NETWORK)
    layers.group, layers.dropout = PANEL, dropout
    network.batch_room = -(-batch_size // _ROWS_TOGETHER) * _ROWS_TOGETHER
    network.grad_t_stride = row_stride(padded(int(network.batch_room)))
    places = Places(config, layers, network, skips_zeros, training)
    for row, block in zip(layers, config.blocks, strict=True):
        for layer in block:
            if training or not LAYERS[layer.kind].folded:
                KINDS[layer.kind].place(places, row, layer)
        places.end_block(row)
    work = places.work
    replicas = threads if skips_zeros and training else 1
    if training and len(layers) > 1 and layers[-1].out_features <= LANES:
        _place_partials(layers, network, replicas, skips_zeros, work)
    end = work.end + GAP_BYTES // 4
    if not training:
        layers.part_stride = layers[0].input_part_stride = end
    layers.input_part_stride[1:] = layers.part_stride[:-1]
    return Layout(layers, network, places.params.end, end, replicas, places.squares.end)


def _place_partials(layers: Any, network: Any, replicas: int, skips_zeros: bool, work: Room) -> None:
    """With few classes each group of the last hidden layer's units contributes to the logits apart, and the logits are
    added up. Where zeros are skipped too a step is short, and each part adds them up for itself."""
    below = layers[-2]
    groups = -(-int(below.out_features) // PARTIAL_UNITS)
    together = -(-groups // MOST_PARTIALS)
    below.group = together * PARTIAL_UNITS
    network.n_partials = -(-groups // together)
    network.partial_stride = int(network.batch_room) * PANEL + GAP_BYTES // 4
    if skips_zeros:
        _place_replicas(layers, network, replicas, work)
    network.partials_offset = work.take(2 * int(network.n_partials) * int(network.partial_stride))


def _place_replicas(layers: Any, network: Any, replicas: int, work: Room) -> None:
    """Logits, their gradients and losses for each part. In a network of one hidden layer no part needs another one's
    hidden units either: each has room for all of them, uses its own, and nobody else comes near. A norm needs them."""
    gap = GAP_BYTES // 4
    network.sample_stride = int(network.batch_room) + gap
    own = layers[-2:] if len(layers) == 2 and layers[0].gain_offset == 0 else layers[-1:]
    if 4 * replicas * (work.end - int(own[0].preactivation_offset) + gap) > _OWN_BYTES:
        own = layers[-1:]
    own.part_stride = work.end - int(own[0].preactivation_offset) + gap
    work.take((replicas - 1) * int(own[0].part_stride))
