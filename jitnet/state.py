"""The typed state of a network in training: flat arrays in one arena, and a small table that says where each layer
lies.

`State` is a NamedTuple of arrays, so that Numba compiles the training loop once for every depth and width: a layer is a
row of the table `layers`, not a type. `Source` is the data that a loop walks, `Options` the numbers that steer a step.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig
from jitnet.kernels.tile import COLS, LANES, PANEL

__all__ = [
    "BACKWARD_PARTS",
    "COPY",
    "FORWARD_PARTS",
    "GROUPS",
    "GT",
    "GT_STRIDE",
    "IN",
    "NORM_BLOCK",
    "OUT",
    "PANELS",
    "ROOM",
    "STRIDE",
    "TERMS",
    "THREADS",
    "TOGETHER",
    "X_STRIDE",
    "B",
    "G",
    "H",
    "Options",
    "Source",
    "State",
    "W",
    "X",
    "Z",
    "aligned",
    "allocate",
    "byte_values",
    "count_parts",
    "make_options",
    "no_source",
    "pack",
    "parameter_count",
    "row_stride",
    "unpack",
]

Floats = npt.NDArray[np.float32]

# Columns of the table `layers`; where not a count, the place of a layer's first number in `params` or `work`.
IN, OUT, PANELS = 0, 1, 2  # in_features, out_features, and the panels that hold the outputs
W, B = 3, 4  # weights in panels, biases; in params, and in grads and moments alike
X, X_STRIDE = 5, 6  # the layer's input, rows of X_STRIDE; for the first layer two buffers that take turns
Z, H, STRIDE = 7, 8, 9  # before and after the activation (the same place unless gelu), rows of STRIDE
G, GT = 10, 11  # gradient of Z in rows of STRIDE, and the same with samples last
FORWARD_PARTS, BACKWARD_PARTS = 12, 13  # in how many parts the layer's forward and backward are done
THREADS = 14  # in how many parts what concerns all parameters is done
GT_STRIDE = 15  # from one unit to the next in GT
TOGETHER = 16  # a hidden layer's panels are shared out in groups of so many
# Of the last layer, where its logits are added up from what groups of units below contribute (else 0): in how many
# groups; and where the contributions lie, rows of PANEL, two buffers that take turns.
# COPY: how far one part's own Z, G and GT of the last layer are from the next part's; 0 where parts share one.
GROUPS, TERMS, COPY = 17, 18, 19
ROOM = 20  # the rows that there is room for: the largest batch, rounded up
_COLUMNS = 21

_LINE = 128
"""Bytes that arrays start at multiples of: two cache lines, which processors fetch together."""

_HUGE_PAGE = 2 << 20
_HUGE_FROM = 4 << 20
"""Bytes from which NumPy asks for huge pages. In small ones the weights alone take more pages than the processor keeps
addresses at hand for, and a step took 10-20% longer."""

MOST_GROUPS = 8
"""Groups of units that contribute to the logits apart: so many parts can share a network of one hidden layer."""

_ROWS_TOGETHER = 32
"""Rows are given room in such numbers: whole vectors of samples, and 128 bytes of a number each."""

NORM_BLOCK = 16384
"""Parameters whose squares are summed at a time for the gradient's norm: fixed, so that no thread count shows in the
sum."""

_LONG_ROW = 32
"""Cache lines of a row that is long: 512 numbers."""

_REGION_FLOP = 400_000
"""Work that pays for one more thread: a region costs about 2 µs, which is this much at 200 GFLOP/s."""


class State(NamedTuple):
    """All that a step reads and writes.

    params, grads, first_moment, second_moment, mean: (parameters,) float32, alike in layout; what is unused has 16
    elements. work: float32, inputs, activations and their gradients. values: (256,) float32, network input of each
    byte. columns: (parts, in_features) uint64 and cursors: (parts, batch) int64, each part's marks of columns and
    places in lists. losses: float32 and right: int32, of each sample of the batch, once or once for each part. squares:
    (blocks,) float64. layers: (n_layers, columns) int64, the table.
    """

    params: Floats
    grads: Floats
    first_moment: Floats
    second_moment: Floats
    mean: Floats
    work: Floats
    values: Floats
    columns: npt.NDArray[np.uint64]
    cursors: npt.NDArray[np.int64]
    losses: Floats
    right: npt.NDArray[np.int32]
    squares: npt.NDArray[np.float64]
    layers: npt.NDArray[np.int64]


class Source(NamedTuple):
    """The samples: bytes or floats, and for bytes that are mostly zero the lists of what is not (see
    kernels.sparse)."""

    images: npt.NDArray[np.uint8]
    features: Floats
    starts: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    labels: npt.NDArray[np.int32]
    sparse: bool


class Options(NamedTuple):
    """The numbers that steer a step; `shares` is the dropout of each hidden layer, (n_hidden,) float64."""

    activation: int
    optimizer: int
    direct: bool
    deferred: bool
    output_bias: bool
    weight_decay: float
    momentum: float
    beta1: float
    beta2: float
    rho: float
    epsilon: float
    smoothing: float
    clip_norm: float
    max_norm: float
    ema: float
    shares: npt.NDArray[np.float64]
    seed: np.uint64


def make_options(
    *,
    activation: int = 0,
    optimizer: int = 0,
    direct: bool = True,
    deferred: bool = False,
    output_bias: bool = True,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    beta1: float = 0.0,
    beta2: float = 0.0,
    rho: float = 0.0,
    epsilon: float = 0.0,
    smoothing: float = 0.0,
    clip_norm: float = 0.0,
    max_norm: float = 0.0,
    ema: float = 0.0,
    shares: tuple[float, ...] = (),
    seed: int = 0,
) -> Options:
    """Options of exactly the types that the loop is compiled for; what is not named is off."""
    return Options(
        int(activation),
        int(optimizer),
        bool(direct),
        bool(deferred),
        bool(output_bias),
        float(weight_decay),
        float(momentum),
        float(beta1),
        float(beta2),
        float(rho),
        float(epsilon),
        float(smoothing),
        float(clip_norm),
        float(max_norm),
        float(ema),
        np.array(shares, np.float64),
        np.uint64(seed),
    )


def no_source() -> Source:
    """A source without samples, of exactly the types that the loop is compiled for."""
    return Source(
        np.zeros((0, 0), np.uint8),
        np.zeros((0, 0), np.float32),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.int32),
        False,
    )


def _rounded(count: int) -> int:
    return (count + LANES - 1) // LANES * LANES


def _groups(row: npt.NDArray[np.int64]) -> int:
    """Groups of panels that a layer can be shared out in."""
    return -(-int(row[PANELS]) // int(row[TOGETHER]))


def row_stride(panels: int) -> int:
    """Numbers from one row of so many panels to the next: an odd count of cache lines, so that a column's rows spread
    over all sets of the first cache.

    Of short rows twice an odd count: units of different threads then never lie in the same two neighbouring lines,
    which processors fetch together and take from each other. In long rows that is one pair of hundreds.
    """
    lines = panels * COLS
    return (lines | 1 if lines >= _LONG_ROW else ((lines + 1) // 2 | 1) * 2) * LANES


def aligned(count: int) -> Floats:
    """`count` float32 zeros on a start of 128 bytes; a vector load across cache lines takes twice as long."""
    return _arena((count, np.float32))[0]


def _arena(*wanted: tuple[int, type]) -> list[npt.NDArray[Any]]:
    """Zeros, so many of each type, each array on a start of its own in one block of memory."""
    sizes = [-(-count * np.dtype(kind).itemsize // _LINE) * _LINE for count, kind in wanted]
    huge = sum(sizes) >= _HUGE_PAGE // 8
    raw = np.empty(max(sum(sizes) + _HUGE_PAGE, _HUGE_FROM) if huge else sum(sizes) + _LINE, np.uint8)
    at = -raw.ctypes.data % (_HUGE_PAGE if huge else _LINE)
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


def parameter_count(config: ModelConfig) -> int:
    """float32 numbers in `params`: every layer's panels, filled up, and its biases."""
    widths = config.widths
    return sum(-(-after // PANEL) * PANEL * (before + 1) for before, after in itertools.pairwise(widths))


def count_parts(flop: float, threads: int) -> int:
    """Parts that a piece of work is split into: the one place where this is decided, from the size of the work
    alone."""
    return int(max(1, min(threads, flop // _REGION_FLOP + 1)))


def allocate(
    config: ModelConfig,
    batch_size: int,
    threads: int,
    *,
    density: float = 1.0,
    training: bool = True,
    grads: bool = False,
    first_moment: bool = False,
    second_moment: bool = False,
    mean: bool = False,
    sparse: bool = False,
    dry: bool = False,
) -> State:
    """Zeroed state for a network and a largest batch, with the table of where everything lies.

    density is the share of the input that is not zero, where the first layer walks only that; it sizes the parts.
    dry: make the table alone, and arrays of nothing.
    """
    widths = config.widths
    n_layers = len(widths) - 1
    room = -(-batch_size // _ROWS_TOGETHER) * _ROWS_TOGETHER
    gt_stride = row_stride(-(-room // PANEL))
    layers = np.zeros((n_layers, _COLUMNS), np.int64)
    param, place = 0, PANEL  # work begins with a panel of zeros
    layers[:, TOGETHER], layers[:, ROOM] = 1, room
    x_stride, copies = row_stride(-(-config.in_features // PANEL)), threads if sparse and training else 1
    for index, row in enumerate(layers):
        before, after = widths[index], widths[index + 1]
        n_panels = -(-after // PANEL)
        stride = row_stride(n_panels)
        row[[IN, OUT, PANELS, W, B]] = before, after, n_panels, param, param + n_panels * PANEL * before
        param += n_panels * PANEL * (before + 1)
        if index == 0:
            row[[X, X_STRIDE]] = place, x_stride
            place += 0 if sparse else (2 if training else 1) * room * x_stride
        else:
            row[[X, X_STRIDE]] = layers[index - 1][[H, STRIDE]]
        row[[Z, H, STRIDE]] = place, place, stride
        place += room * stride
        if config.activation == "gelu" and index < n_layers - 1:
            row[H] = place
            place += room * stride
        if training:
            row[[G, GT]] = place, place + room * stride
            row[GT_STRIDE] = gt_stride
            place += room * stride + _rounded(after) * gt_stride
        if training and index == n_layers - 1 > 0 and n_panels == 1:
            together = max(2, -(-int(layers[index - 1, PANELS]) // MOST_GROUPS))
            groups = -(-int(layers[index - 1, PANELS]) // together)
            layers[index - 1, TOGETHER] = together
            row[[GROUPS, COPY]] = groups, place - row[Z] if sparse else 0
            row[TERMS] = place + (copies - 1) * row[COPY]
            place = int(row[TERMS]) + 2 * groups * room * PANEL
    for index, row in enumerate(layers):
        flop = 2.0 * batch_size * widths[index] * widths[index + 1] * (density if index == 0 else 1.0)
        # Hidden layers are split by their units, the output layer by samples, backward by the units below.
        own = _groups(row) if index < n_layers - 1 else 1 if row[COPY] else threads
        row[FORWARD_PARTS] = min(count_parts(flop, threads), own)
        row[BACKWARD_PARTS] = min(count_parts(2 * flop, threads), _groups(layers[max(0, index - 1)]))
    if n_layers > 1:
        # The backward of the second layer and all that the first layer does are one region, split by the first one's
        # units.
        flop = 4.0 * batch_size * (widths[0] * widths[1] * density + widths[1] * widths[2])
        layers[1, BACKWARD_PARTS] = layers[0, FORWARD_PARTS] = min(count_parts(flop, threads), _groups(layers[0]))
    layers[:, THREADS] = count_parts(10.0 * param, threads)
    blocks = -(-param // NORM_BLOCK)

    if dry:
        param, place, room, copies = LANES, 0, 0, 0
    optional = [param if wanted else LANES for wanted in (grads, first_moment, second_moment, mean)]
    marked = config.in_features if sparse and training else 1
    *numbers, columns, cursors, losses, right, squares = _arena(
        *[(count, np.float32) for count in (param, *optional, place + LANES, 256)],
        (copies * marked, np.uint64),
        (copies * room, np.int64),
        (copies * room, np.float32),
        (copies * room, np.int32),
        (blocks, np.float64),
    )
    columns, cursors = columns.reshape(copies, marked), cursors.reshape(copies, room)
    return State._make((*numbers, columns, cursors, losses, right, squares, layers))


def pack(params: Floats, layers: npt.NDArray[np.int64], weights: Sequence[Floats], biases: Sequence[Floats]) -> None:
    """Write PyTorch's (out, in) weights and (out,) biases into the panels of `params`."""
    for row, weight, bias in zip(layers, weights, biases, strict=True):
        before, after, n_panels, w, b = (int(value) for value in row[:5])
        panels = params[w:b].reshape(n_panels, before, PANEL)
        for p in range(n_panels):
            part = weight[p * PANEL : (p + 1) * PANEL]
            panels[p, :, : len(part)] = part.T
        params[b : b + after] = bias


def unpack(params: Floats, layers: npt.NDArray[np.int64]) -> tuple[list[Floats], list[Floats]]:
    """The weights (out, in) and biases (out,) of every layer, as fresh arrays in PyTorch's layout."""
    weights, biases = [], []
    for row in layers:
        before, after, n_panels, w, b = (int(value) for value in row[:5])
        panels = params[w:b].reshape(n_panels, before, PANEL)
        weights.append(np.ascontiguousarray(panels.transpose(0, 2, 1).reshape(n_panels * PANEL, before)[:after]))
        biases.append(params[b : b + after].copy())
    return weights, biases
