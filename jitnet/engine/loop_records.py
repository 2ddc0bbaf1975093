"""Records that steer the compiled loop: a line of the program, a layer, the whole network, the options, a call.

A record is a row with named fields, so that compiled code reads `this.weight_offset` and no numbered columns. An offset
counts numbers from the start of its array, a stride numbers from one row to the next.
"""

from typing import Protocol

import numpy as np

from jitnet.compiler.signatures import Record, record_type
from jitnet.config import LAYERS

__all__ = [
    "CALL",
    "LAYER",
    "LINE",
    "NETWORK",
    "PARAMETER",
    "PARTIAL",
    "SETTINGS",
    "WALKS",
    "CallRecord",
    "LayerRecord",
    "LineRecord",
    "NetworkRecord",
    "ParameterRecord",
    "PartialRecord",
    "SettingsRecord",
]


class LineRecord(Record, Protocol):
    """A line of a program, as the loop walks it."""

    region: int  # lines of one number share a parallel region
    operation: int
    layer: int
    split: int
    parts: int
    next_batch: int  # 1: on the next batch


LINE = record_type(LineRecord)


class LayerRecord(Record, Protocol):
    """One block: a linear layer with all that belongs to it. Arrays of outputs are (batch, padded_features), of
    transposed gradients (out_features, batch). The fields of single kinds of layers follow, see LayerKind.fields."""

    in_features: int
    out_features: int
    padded_features: int  # outputs, with those that fill up the last panel
    weight_offset: int  # in params: panels of (in_features, PANEL)
    bias_offset: int
    first_parameter: int  # of the run's parameters, the block's: the linear layer's weights
    end_parameter: int  # behind the block's last one
    squares_offset: int  # in squares: a number for each vector of units
    input_offset: int  # in work, as all that follow
    input_stride: int
    input_part_stride: int  # from one part's assigned inputs to the next's; 0: one for all
    buffer_stride: int  # from this batch's inputs to the next one's; 0 where there is one buffer
    folded_offset: int  # the weights as inputs are multiplied by them; 0: as they are in params
    linear_offset: int  # what the linear layer makes; preactivation_offset where the activation follows
    preactivation_offset: int  # what goes into the activation; output_offset where that overwrites it
    output_offset: int  # what comes out of it
    result_offset: int  # what the next layer takes; output_offset where no input is added to it
    output_stride: int  # of all of these and of the gradients
    result_grad_offset: int  # gradient of the result; grad_offset where no input is added
    grad_offset: int  # gradient of the preactivation, samples as rows
    grad_t_offset: int  # the same, samples last
    part_stride: int  # from one part's outputs and their gradients to the next's; 0: one for all
    group: int  # units that stay together when units are shared out
    piece: int  # the same where a step is cut in pieces
    dropout: float  # rate


_SHARED = [(name, kind) for name, (kind, *_) in (record_type(LayerRecord).fields or {}).items()]

LAYER = np.dtype([*_SHARED, *((name, np.int64) for kind in LAYERS.values() for name in kind.fields)], align=True)
"""The type of a block's record: what all have in common, and behind it the fields of each kind of layer."""

WALKS = {
    "panels": 0,  # a matrix, (in_features, PANEL) for each panel of units
    "units": 1,  # a vector, a number for each unit
    "inputs": 2,  # a vector, a number for each input
}
"""How a parameter's numbers follow each other."""


class ParameterRecord(Record, Protocol):
    """One matrix or vector of parameters. All that updates, limits, averages or saves parameters walks these
    records, and need not know layers."""

    layer: int  # in the network's list of layers
    number: int  # among that layer's parameters
    offset: int  # in params
    count: int  # its numbers, with those that fill up the last panel
    walk: int  # a code of WALKS
    per_unit: int  # numbers of each unit, which follow each other for whole panels; 0 of a vector by inputs
    squares_offset: int  # of a vector by inputs, in squares: a number for each LANES of them
    rate: float  # factor of the learning rate
    frozen: bool  # it keeps its values


PARAMETER = record_type(ParameterRecord)


class NetworkRecord(Record, Protocol):
    """What belongs to the whole network."""

    batch_room: int  # the largest batch, rounded up
    grad_t_stride: int  # of every layer's transposed gradient
    n_partials: int  # groups of units that contribute to the logits apart; 0 where they do not
    partials_offset: int  # in work: (2, n_partials, batch_room, PANEL), two buffers, for even steps and odd
    partial_stride: int  # from one group's place to the next one's
    in_pieces: bool  # a step is cut by units and samples, of the weights by units and inputs
    sample_stride: int  # from one part's losses and right guesses to the next's; 0: one for all


NETWORK = record_type(NetworkRecord)


class PartialRecord(Record, Protocol):
    """A sum of contributions to the logits, as a part leaves it (see ownership.partial_sums)."""

    place: int  # among those of the groups
    joins: int  # sums on its left that it is added to, one after the other


PARTIAL = record_type(PartialRecord)


class SettingsRecord(Record, Protocol):
    """The options that steer a step. The optimizer's and the schedule's are separate records."""

    activation: int  # its code
    loss_code: int
    link_code: int
    shares_marks: bool  # columns are marked once for all parts
    adds_directly: bool  # gradients scaled by -learning rate are added straight to the weights
    label_smoothing: float
    clip_norm: float
    max_norm: float
    average_decay: float  # of the moving average of the weights; 0: there is none
    input_dropout: float
    seed: np.uint64


SETTINGS = record_type(SettingsRecord)


class CallRecord(Record, Protocol):
    """What differs from call to call."""

    batch_size: int
    first_batch: int  # of `order`
    n_steps: int
    first_step: int  # of the run: steps before this call
    has_bytes: bool  # samples are data.images, else data.features
    lists_batches: bool  # lists of inputs that are not zero are of each batch, not of the data set
    epoch: np.uint64
    height: int  # of an image
    width: int
    clocked: bool  # the clock runs; only where the run has room for its readings
    meeting: int  # how parts meet, a code of ownership.MEETINGS
    one_by_one: bool  # parts run one after another on this thread: no parallel region can be entered


CALL = record_type(CallRecord)
