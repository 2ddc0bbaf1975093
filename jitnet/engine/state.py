"""What the compiled loop reads and writes: parameters, work, data, settings, and the program, in one typed struct.

`Run` is a NamedTuple of arrays and records, so that Numba compiles the loop once for every depth and width: a layer is
a record in `layers`, not a type. Compiled functions get it by reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt
from numba import typeof

from jitnet.compiler.reference import Reference
from jitnet.compiler.signatures import Record, Records, make_record, make_records, record_type
from jitnet.config import LAYERS, AugmentConfig, Layer, ModelConfig, TrainConfig
from jitnet.engine.kinds import KINDS
from jitnet.engine.layout import GAP_BYTES, LAYER, NETWORK, LayerRecord, Layout, NetworkRecord, lay_out
from jitnet.kernels import optimizer, schedule
from jitnet.kernels.augment import Distortion, distortion_settings
from jitnet.kernels.linear import from_panels, in_panels
from jitnet.machine.barrier import barrier_words
from jitnet.machine.blocks import LANES

__all__ = [
    "BATCH",
    "CALL",
    "CLOCKED_STEPS",
    "LINE",
    "RUN",
    "SETTINGS",
    "Batch",
    "Buffer",
    "Clock",
    "Data",
    "Outputs",
    "Run",
    "State",
    "aligned",
    "allocate",
    "byte_values",
    "clock_for",
    "clock_readings",
    "empty_run",
    "no_clock",
    "no_data",
    "no_outputs",
    "pack",
    "unpack",
]

Floats = npt.NDArray[np.float32]

_LINE_BYTES = 128
"""Bytes that arrays start at multiples of: two cache lines, which processors fetch together."""

_HUGE_PAGE = 2 << 20
_HUGE_FROM = 4 << 20
"""Bytes from which NumPy asks for huge pages. In small ones the weights alone take more pages than the processor keeps
addresses at hand for."""

CLOCKED_STEPS = 512
"""Steps whose times are kept: the last ones of a call, where it has more."""

_CLOCK_LINES = _LINE_BYTES // 16
"""Lines whose readings fill a whole start of memory, so that two threads never write to one."""


class LineRecord(Record, Protocol):
    """A line of a program, as the loop walks it."""

    region: int  # lines of one number share a parallel region
    operation: int
    layer: int
    split: int
    parts: int
    next_batch: int  # 1: on the next batch


LINE = record_type(LineRecord)


class SettingsRecord(Record, Protocol):
    """The options that steer a step. The optimizer's and the schedule's are records of their own."""

    activation: int  # its code
    loss_code: int
    link_code: int
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
    lists_batches: bool  # lists of inputs that are not zero are each batch's own, not the data set's
    epoch: np.uint64
    height: int  # of an image
    width: int
    clocked: bool  # the clock runs; only where the run has room for its readings
    meeting: int  # how parts meet, a code of ownership.MEETINGS
    in_turn: bool  # parts run one after another on this thread: no parallel region can be entered


CALL = record_type(CallRecord)


class State(NamedTuple):
    """params, grads, first_moment, second_moment, average: (parameters,) float32, alike in layout; what is unused has
    16 elements. work: float32, inputs, activations and their gradients. byte_values: (256,) float32, the network input
    of each byte. marks: (parts, in_features) uint64 and cursors: (parts, batch) int64, each part's marks of columns and
    places in lists, with a gap behind them. losses: float32 and correct: int32, of each sample of the batch, once or
    once for each part. squares: float64, see LAYER.squares_offset. indptr, entries, pixels: (parts, …), each
    part's lists and scratch.
    """

    params: Floats
    grads: Floats
    first_moment: Floats
    second_moment: Floats
    average: Floats
    work: Floats
    byte_values: Floats
    marks: npt.NDArray[np.uint64]
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
    kernels.sparse). labels: (samples,) int32, or where that is empty targets: (samples, out_features) float32."""

    images: npt.NDArray[np.uint8]
    features: Floats
    indptr: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    labels: npt.NDArray[np.int32]
    targets: Floats


class Outputs(NamedTuple):
    """What programs other than training fill: predictions (samples, out_features), new samples (samples, features)."""

    predictions: Floats
    images: npt.NDArray[np.uint8]
    features: Floats


class Clock(NamedTuple):
    """When each line of each step began and ended, int64 ticks (see machine.clock). Step k of a call writes into place
    k % CLOCKED_STEPS. lines: (CLOCKED_STEPS, parts, lines, 2), begin and end. regions: (CLOCKED_STEPS, regions + 1, 2),
    as the thread that enters them sees them. whole_steps: (CLOCKED_STEPS, 2)."""

    lines: npt.NDArray[np.int64]
    regions: npt.NDArray[np.int64]
    whole_steps: npt.NDArray[np.int64]


class Run(NamedTuple):
    """All of it. optimizer: a record with its code, weight_decay and each of HYPERPARAMETERS; order: (samples,) int32,
    batch k is order[k * batch_size : (k + 1) * batch_size]; barrier: words of machine.barrier."""

    program: Records[LineRecord]
    layers: Records[LayerRecord]
    network: NetworkRecord
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


class Batch(NamedTuple):
    """What one step works on. indices, next_indices: its samples and the next step's, (batch,) int32. begin: the place
    of its first one in the order. size: how many it has. step: its number in the run. buffer: which of two buffers it
    uses. rate: its learning rate. grad_scale: what gradients are scaled by on their way to the weights, -rate where
    they are added straight to them, else 1."""

    indices: npt.NDArray[np.int32]
    next_indices: npt.NDArray[np.int32]
    begin: int
    size: int
    step: int
    buffer: int
    rate: float
    grad_scale: float


def no_data() -> Data:
    """No samples, of exactly the types that the loop is compiled for."""
    return Data(
        np.zeros((0, 0), np.uint8),
        np.zeros((0, 0), np.float32),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.int32),
        np.zeros((0, 0), np.float32),
    )


def no_outputs() -> Outputs:
    """Likewise for what only some programs fill."""
    return Outputs(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32))


def no_clock() -> Clock:
    """No room for readings."""
    return clock_for(0, 0, 0, steps=0)


def clock_for(parts: int, lines: int, regions: int, steps: int = CLOCKED_STEPS) -> Clock:
    """Room for the readings of a program of so many lines and regions, of some steps."""
    room = -(-lines // _CLOCK_LINES) * _CLOCK_LINES
    return Clock(
        np.zeros((steps, parts, room, 2), np.int64),
        np.zeros((steps, regions + 1, 2), np.int64),
        np.zeros((steps, 2), np.int64),
    )


def clock_readings(clock: Clock, n_steps: int) -> Clock:
    """Copies of what the clock has of the last steps of a call of n_steps, the earliest first."""
    room = len(clock.whole_steps)
    if n_steps <= room:
        return Clock(*(readings[:n_steps].copy() for readings in clock))
    return Clock(*(np.roll(readings, -(n_steps % room), axis=0) for readings in clock))


def empty_run() -> Run:
    """A run that does nothing, of exactly the types that the loop is compiled for: what is needed is replaced in it."""
    layout = lay_out(ModelConfig(in_features=1, n_classes=2), 1, 1, skips_zeros=False, training=True)
    return Run(
        make_records(LINE, 0),
        make_records(LAYER, 1),
        make_record(NETWORK),
        make_record(SETTINGS),
        optimizer.optimizer_settings(TrainConfig()),
        schedule.schedule_settings(TrainConfig(), 1),
        make_record(CALL),
        distortion_settings(AugmentConfig()),
        np.zeros(0, np.int32),
        allocate(layout),
        no_data(),
        no_outputs(),
        no_clock(),
        barrier_words(1),
    )


class Buffer:
    """Memory that is used again and again: new pages take longer to come by than what is written there to write."""

    def __init__(self, kind: type) -> None:
        self._array: npt.NDArray[Any] = np.empty(0, kind)

    def take(self, count: int) -> npt.NDArray[Any]:
        """So many numbers, whatever stands there; those that were taken before are given up."""
        if len(self._array) < count:
            self._array = np.empty(count + count // 8, self._array.dtype)
        return self._array[:count]


def aligned(count: int) -> Floats:
    """`count` float32 zeros on a start of 128 bytes; a vector load across cache lines takes twice as long."""
    return _arena((count, np.float32))[0]


def _arena(*wanted: tuple[int, type]) -> list[npt.NDArray[Any]]:
    """Zeros, so many of each type, each array on a start of its own in one block of memory."""
    sizes = [-(-count * np.dtype(kind).itemsize // _LINE_BYTES) * _LINE_BYTES for count, kind in wanted]
    huge = sum(sizes) >= _HUGE_PAGE // 8
    raw = np.empty(max(sum(sizes) + _HUGE_PAGE, _HUGE_FROM) if huge else sum(sizes) + _LINE_BYTES, np.uint8)
    at = -raw.ctypes.data % (_HUGE_PAGE if huge else _LINE_BYTES)
    arrays: list[npt.NDArray[Any]] = []
    for (count, kind), size in zip(wanted, sizes, strict=True):
        raw[at : at + size] = 0
        arrays.append(raw[at : at + count * np.dtype(kind).itemsize].view(kind))
        at += size
    return arrays


def byte_values(offset: float, scale: float) -> Floats:
    """(256,) float32: the network input (byte - offset) * scale, linear in the byte exactly as the loops reckon it."""
    slope, start = np.float32(scale), np.float32(-offset * scale)
    return np.arange(256, dtype=np.float32) * slope + start


def allocate(
    layout: Layout,
    *,
    optional: Sequence[str] = (),
    marked_columns: int = 1,
    works: int = 1,
    listed_samples: int = 0,
    scratch_pixels: int = 0,
) -> State:
    """Zeroed arrays for a layout.

    optional: which of grads, first_moment, second_moment and average are used. marked_columns: columns that each part
    marks. works: parts that each have their own work, in prediction, and their own lists of listed_samples.
    scratch_pixels: float32 numbers of scratch for each of as many parts.
    """
    params, replicas, room = layout.params, layout.replicas, int(layout.network.batch_room)
    parts, gap = max(works, replicas), GAP_BYTES // 8
    own_samples = (replicas - 1) * int(layout.network.sample_stride) + room
    fields = ("grads", "first_moment", "second_moment", "average")
    sizes = [params, *(params if field in optional else LANES for field in fields), works * layout.work, 256]
    *numbers, marks, cursors, losses, correct, squares = _arena(
        *[(size, np.float32) for size in sizes],
        (parts * (marked_columns + gap), np.uint64),
        (parts * (room + gap), np.int64),
        (own_samples, np.float32),
        (own_samples, np.int32),
        (layout.squares, np.float64),
    )
    in_features = int(layout.layers[0].in_features)
    return State(
        *cast(tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats], tuple(numbers)),
        marks.reshape(parts, -1),
        cursors.reshape(parts, -1),
        losses,
        correct,
        squares,
        np.zeros((works, listed_samples + 1 + gap), np.int64),
        np.zeros((works, listed_samples * in_features), np.uint32),
        aligned(works * scratch_pixels).reshape(works, -1),
    )


def pack(params: Floats, layers: Records[LayerRecord], config: ModelConfig, parameters: Mapping[str, Floats]) -> None:
    """Write parameters by their names in PyTorch, as "0.weight" (out, in) and "0.bias" (out,), into `params`. What a
    saved model has in other weights begins as it begins in a new network."""
    for layer, name, place in _placed(layers, config):
        if LAYERS[layer.kind].folded:
            params[place : place + layer.in_features] = LAYERS[layer.kind].parameters[name]
            continue
        values = parameters[layer.key(name)]
        flat = in_panels(values).reshape(-1) if values.ndim == 2 else values
        params[place : place + len(flat)] = flat


def unpack(params: Floats, layers: Records[LayerRecord], config: ModelConfig) -> dict[str, Floats]:
    """The parameters by their names in PyTorch, as new arrays in its layout; the inputs' factors are folded into the
    weights."""
    found: dict[str, Floats] = {}
    for layer, name, place in _placed(layers, config):
        if LAYERS[layer.kind].folded:
            continue
        (out_features, *inputs), row = layer.shapes[name], layers[layer.block]
        if not inputs:
            found[layer.key(name)] = params[place : place + out_features].copy()
            continue
        weight = from_panels(params[place : place + int(row.padded_features) * inputs[0]], out_features)
        if row.scale_offset:
            weight *= params[row.scale_offset : row.scale_offset + inputs[0]]
        found[layer.key(name)] = weight
    return found


def _placed(layers: Records[LayerRecord], config: ModelConfig) -> Iterator[tuple[Layer, str, int]]:
    """Each parameter that has a place in params: its layer, its name there, and its place."""
    for layer in config.layers:
        for name, field in KINDS[layer.kind].parameters.items():
            place = int(getattr(layers[layer.block], field))
            if place or not LAYERS[layer.kind].folded:
                yield layer, name, place


_EXAMPLE = empty_run()

RUN = Reference(typeof(_EXAMPLE))
"""The type of a run in compiled code, by reference."""

BATCH = Reference(typeof(Batch(_EXAMPLE.order, _EXAMPLE.order, 0, 0, 0, 0, 0.0, 0.0)))
"""The type of a batch, likewise."""
