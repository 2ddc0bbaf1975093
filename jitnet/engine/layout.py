"""Where everything of a network in training lies: a record a layer, and one for the whole network.

All float32 numbers of a step (inputs, activations, their gradients) lie in one array, `work`; all parameters in
another, `params`, and gradients, moments and averages in arrays of the same layout. An offset counts numbers from the
start of its array, a stride numbers from one row to the next.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Protocol

from jitnet.compiler.blocks import LANES, PANEL, PARTIAL_UNITS
from jitnet.compiler.signatures import Record, Records, make_record, make_records, record_type
from jitnet.config import ModelConfig
from jitnet.kernels.activation import ACTIVATION_KERNELS
from jitnet.kernels.linear import padded

__all__ = ["GAP_BYTES", "LAYER", "NETWORK", "Layout", "lay_out", "parameter_count", "row_stride"]


class LayerRecord(Record, Protocol):
    """One layer. Arrays of outputs are (batch, padded_features), of transposed gradients (out_features, batch)."""

    in_features: int
    out_features: int
    padded_features: int  # outputs, with those that fill up the last panel
    weight_offset: int  # in params: panels of (in_features, PANEL)
    bias_offset: int
    squares_offset: int  # in squares: a number for each vector of units
    input_offset: int  # in work, as all that follow
    input_stride: int
    input_part_stride: int  # from one part's own inputs to the next's; 0: one for all
    buffer_stride: int  # from this batch's inputs to the next one's; 0 where there is one buffer
    preactivation_offset: int  # what goes into the activation; output_offset where that overwrites it
    output_offset: int
    output_stride: int  # also of the preactivation and the gradient
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

_LONG_ROW = 32
"""Cache lines of a row that is long: 512 numbers."""


@dataclass(frozen=True)
class Layout:
    """layers: (n_layers,) records. params, work: numbers in all. replicas: parts
    that each have marks, cursors and losses of their own."""

    layers: Records[LayerRecord]
    network: NetworkRecord
    params: int
    work: int
    replicas: int

    @property
    def fused(self) -> bool:
        """Whether each part has logits and losses of its own: it does the output for itself."""
        return bool(self.network.sample_stride > 0)

    @property
    def squares(self) -> int:
        """Vectors of units, of all layers: so many sums of squares the gradient's norm is made of."""
        return sum(-(-int(row.out_features) // LANES) for row in self.layers)


def row_stride(features: int) -> int:
    """Numbers from one row of so many (whole panels) to the next: an odd count of cache lines, so that a column's rows
    spread over all sets of the first cache.

    Of short rows twice an odd count: units of different threads then never lie in the same two neighbouring lines,
    which processors fetch together and take from each other. In long rows that is one pair of hundreds.
    """
    lines = features // LANES
    return (lines | 1 if lines >= _LONG_ROW else ((lines + 1) // 2 | 1) * 2) * LANES


def parameter_count(config: ModelConfig) -> int:
    """float32 numbers in `params`: every layer's panels, filled up, and its biases."""
    return sum(padded(after) * (before + 1) for before, after in itertools.pairwise(config.widths))


class _Room:
    """Hands out places in an array, one behind the other."""

    def __init__(self, first: int = 0) -> None:
        self.end = first

    def take(self, count: int) -> int:
        self.end += count
        return self.end - count


def lay_out(
    config: ModelConfig, batch_size: int, threads: int, *, skips_zeros: bool, training: bool, dropout: Any = 0.0
) -> Layout:
    """Give everything its place. skips_zeros: the first layer walks lists of entries, and has no dense inputs.
    training: with gradients; else each part has work of its own. dropout: a rate for each layer."""
    n_layers = len(config.widths) - 1
    layers, network = make_records(LAYER, n_layers), make_record(NETWORK)
    layers.group, layers.dropout = PANEL, dropout
    network.batch_room = -(-batch_size // _ROWS_TOGETHER) * _ROWS_TOGETHER
    network.grad_t_stride = row_stride(padded(int(network.batch_room)))
    params, squares, work = _Room(), _Room(), _Room(PANEL)  # work begins with a panel of zeros
    for layer, (before, after) in enumerate(itertools.pairwise(config.widths)):
        row = layers[layer]
        _place_parameters(row, before, after, params)
        row.squares_offset = squares.take(-(-after // LANES))
        if layer == 0:
            buffers = 0 if skips_zeros else 2 if training else 1
            _place_inputs(row, int(network.batch_room), buffers, work)
        else:
            row.input_offset, row.input_stride = layers[layer - 1].output_offset, layers[layer - 1].output_stride
        hidden = layer < n_layers - 1
        _place_outputs(row, network, hidden and ACTIVATION_KERNELS[config.activation].keeps == "input", training, work)
    replicas = threads if skips_zeros and training else 1
    if training and n_layers > 1 and layers[-1].out_features <= LANES:
        _place_partials(layers, network, replicas, skips_zeros, work)
    end = work.end + GAP_BYTES // 4
    if not training:
        layers.part_stride = layers[0].input_part_stride = end
    layers.input_part_stride[1:] = layers.part_stride[:-1]
    return Layout(layers, network, params.end, end, replicas)


def _place_parameters(row: Any, before: int, after: int, params: _Room) -> None:
    row.in_features, row.out_features, row.padded_features = before, after, padded(after)
    row.weight_offset = params.take(int(row.padded_features) * before)
    row.bias_offset = params.take(int(row.padded_features))


def _place_inputs(row: Any, room: int, buffers: int, work: _Room) -> None:
    """Dense inputs of the first layer: while a step is in one buffer, the next one's are gathered into the other."""
    row.input_stride = row_stride(padded(int(row.in_features)))
    size = room * int(row.input_stride)
    row.input_offset = work.take(buffers * size)
    row.buffer_stride = size if buffers == 2 else 0


def _place_outputs(row: Any, network: Any, keeps_input: bool, training: bool, work: _Room) -> None:
    row.output_stride = row_stride(int(row.padded_features))
    size = int(network.batch_room) * int(row.output_stride)
    row.preactivation_offset = work.take(size)
    row.output_offset = work.take(size) if keeps_input else row.preactivation_offset
    if training:
        row.grad_offset = work.take(size)
        row.grad_t_offset = work.take(-(-int(row.out_features) // LANES) * LANES * int(network.grad_t_stride))


def _place_partials(layers: Any, network: Any, replicas: int, skips_zeros: bool, work: _Room) -> None:
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


def _place_replicas(layers: Any, network: Any, replicas: int, work: _Room) -> None:
    """Logits, their gradients and losses for each part. In a network of one hidden layer no part needs another one's
    hidden units either: each has room for all of them, uses its own, and nobody else comes near."""
    gap = GAP_BYTES // 4
    network.sample_stride = int(network.batch_room) + gap
    own = layers[-2:] if len(layers) == 2 else layers[-1:]
    if 4 * replicas * (work.end - int(own[0].preactivation_offset) + gap) > _OWN_BYTES:
        own = layers[-1:]
    own.part_stride = work.end - int(own[0].preactivation_offset) + gap
    work.take((replicas - 1) * int(own[0].part_stride))
