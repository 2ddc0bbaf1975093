"""What the compiled loop reads and writes: parameters, work, data, settings, and the program, in one typed struct.

`Run` is a NamedTuple of arrays and records, so that Numba compiles the loop once for every depth and width: a layer is
a record in `layers`, not a type. Compiled functions get it by reference.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import typeof

from jitnet.compiler.reference import Reference
from jitnet.compiler.signatures import Records, make_record, make_records
from jitnet.config import AugmentConfig, TrainConfig
from jitnet.engine.loop_records import (
    CALL,
    LAYER,
    LINE,
    NETWORK,
    PARAMETER,
    PARTIAL,
    SETTINGS,
    CallRecord,
    LayerRecord,
    LineRecord,
    NetworkRecord,
    ParameterRecord,
    PartialRecord,
    SettingsRecord,
)
from jitnet.engine.step_clock import Clock, no_clock
from jitnet.kernels import optimizer, schedule
from jitnet.kernels.augment import Distortion, distortion_settings
from jitnet.machine.barrier import barrier_words

__all__ = ["BATCH", "RUN", "Batch", "Data", "Outputs", "Run", "State", "empty_run", "no_data", "no_outputs"]

Floats = npt.NDArray[np.float32]


class State(NamedTuple):
    """params, grads, first_moment, second_moment, average: (parameters,) float32, alike in layout; what is unused has
    16 elements. work: float32, inputs, activations and their gradients. byte_values: (256,) float32, the network input
    of each byte. marks: (parts, in_features) uint64, shared_marks: flat uint16, for even steps and odd a row for each
    vector of samples, what all parts mark together, and cursors: (parts, batch) int64, each part's marks of columns and
    places in lists, with a gap behind them. losses: float32 and correct: int32, of each sample of the batch, once or
    once for each part. squares: float64, see LAYER.squares_offset. indptr, entries, pixels: (parts, …), each part's
    lists and scratch.
    """

    params: Floats
    grads: Floats
    first_moment: Floats
    second_moment: Floats
    average: Floats
    work: Floats
    byte_values: Floats
    marks: npt.NDArray[np.uint64]
    shared_marks: npt.NDArray[np.uint16]
    cursors: npt.NDArray[np.int64]
    losses: Floats
    correct: npt.NDArray[np.int32]
    squares: npt.NDArray[np.float64]
    indptr: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    pixels: Floats


class Data(NamedTuple):
    """The samples: images (samples, features) uint8, or where that is empty features (samples, features) float32; and
    for images that are mostly zero the lists of what is not, indptr (samples + 1,) int64 and entries uint32 (see
    kernels.sparse). Where both are empty there are such lists alone, and entry_values, (entries,) float32. labels:
    (samples,) int32, or where that is empty targets: (samples, out_features) float32. weights: (samples,) float32, what
    each sample's loss is multiplied by; empty where all count alike."""

    images: npt.NDArray[np.uint8]
    features: Floats
    indptr: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    entry_values: Floats
    labels: npt.NDArray[np.int32]
    targets: Floats
    weights: Floats


class Outputs(NamedTuple):
    """What programs other than training fill: predictions (samples, out_features), new samples (samples, features)."""

    predictions: Floats
    images: npt.NDArray[np.uint8]
    features: Floats


class Run(NamedTuple):
    """All of it. partials: what the parts of a step leave of the logits, in the order of summing. optimizer: a record
    with its code, weight_decay and each of HYPERPARAMETERS; order: (samples,) int32, batch k is order[k * batch_size :
    (k + 1) * batch_size]; barrier: words of machine.barrier. loss_numbers:
    float32, what the loss and the link depend on, as Huber's delta."""

    program: Records[LineRecord]
    layers: Records[LayerRecord]
    parameters: Records[ParameterRecord]
    network: NetworkRecord
    partials: Records[PartialRecord]
    settings: SettingsRecord
    optimizer: np.record
    schedule: schedule.ScheduleRecord
    call: CallRecord
    distortion: Distortion
    order: npt.NDArray[np.int32]
    state: State
    data: Data
    outputs: Outputs
    clock: Clock
    barrier: npt.NDArray[np.int64]
    loss_numbers: Floats


class Batch(NamedTuple):
    """What one step works on. indices, next_indices: its samples and the next step's, (batch,) int32. begin: the place
    of its first one in the order. size: how many it has. step: its number in the run. buffer: which of two buffers it
    uses. rate: its learning rate. grad_scale: what gradients are scaled by on their way to the weights, -rate where
    they are added straight to them, else 1. first_across, last_across: what a part is assigned of
    the other side, where a line is cut in pieces: samples, or inputs where the pieces are of weights. Of other lines
    all samples."""

    indices: npt.NDArray[np.int32]
    next_indices: npt.NDArray[np.int32]
    begin: int
    size: int
    step: int
    buffer: int
    rate: float
    grad_scale: float
    first_across: int
    last_across: int


def _no_state() -> State:
    """Arrays of no size."""
    floats, rows = np.zeros(0, np.float32), (0, 0)
    return State(
        params=floats,
        grads=floats,
        first_moment=floats,
        second_moment=floats,
        average=floats,
        work=floats,
        byte_values=floats,
        marks=np.zeros(rows, np.uint64),
        shared_marks=np.zeros(0, np.uint16),
        cursors=np.zeros(rows, np.int64),
        losses=floats,
        correct=np.zeros(0, np.int32),
        squares=np.zeros(0, np.float64),
        indptr=np.zeros(rows, np.int64),
        entries=np.zeros(rows, np.uint32),
        pixels=np.zeros(rows, np.float32),
    )


def no_data() -> Data:
    """No samples, of exactly the types that the loop is compiled for."""
    return Data(
        np.zeros((0, 0), np.uint8),
        np.zeros((0, 0), np.float32),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.float32),
        np.zeros(0, np.int32),
        np.zeros((0, 0), np.float32),
        np.zeros(0, np.float32),
    )


def no_outputs() -> Outputs:
    """Likewise for what only some programs fill."""
    return Outputs(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32))


def empty_run() -> Run:
    """A run that does nothing, of exactly the types that the loop is compiled for: what is needed is replaced in it."""
    return Run(
        make_records(LINE, 0),
        make_records(LAYER, 1),
        make_records(PARAMETER, 0),
        make_record(NETWORK),
        make_records(PARTIAL, 0),
        make_record(SETTINGS),
        optimizer.optimizer_settings(TrainConfig()),
        schedule.schedule_settings(TrainConfig(), 1),
        make_record(CALL),
        distortion_settings(AugmentConfig()),
        np.zeros(0, np.int32),
        _no_state(),
        no_data(),
        no_outputs(),
        no_clock(),
        barrier_words(1),
        np.zeros(0, np.float32),
    )


_EXAMPLE = empty_run()

RUN = Reference(typeof(_EXAMPLE))
"""The type of a run in compiled code, by reference."""

BATCH = Reference(typeof(Batch(_EXAMPLE.order, _EXAMPLE.order, 0, 0, 0, 0, 0.0, 0.0, 0, 0)))
"""The type of a batch, likewise."""
