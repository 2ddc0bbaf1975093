"""The compiled prediction loop: blocks of samples, each carried through all layers by one thread.

A sample's numbers do not depend on its neighbours, so any split gives the same bits.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import prange, typeof, types
from numba.core.typing import signature

from jitnet.kernels.activation import activation_forward
from jitnet.kernels.batch import gather_bytes, gather_floats
from jitnet.kernels.jit import inner_kernel, kernel, parallel_kernel
from jitnet.kernels.linear import linear_forward
from jitnet.kernels.loss import softmax
from jitnet.kernels.sparse import list_row, sparse_forward
from jitnet.kernels.tile import PANEL
from jitnet.state import IN, OUT, PANELS, STRIDE, X_STRIDE, B, H, W, X, Z

__all__ = ["BLOCK_ROWS", "Network", "Samples", "Scratch", "load_loops"]

BLOCK_ROWS = 60
"""Samples carried through the layers at a time: a multiple of every tile's rows, and few enough for the second
cache."""


class Network(NamedTuple):
    """What is predicted with: params, layers and values as in State, and the activation's number."""

    params: npt.NDArray[np.float32]
    layers: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    activation: int


class Samples(NamedTuple):
    """images (samples, in_features) uint8, or where that is empty features (samples, in_features) float32 as network
    inputs; sparse walks only what is not zero in the images."""

    images: npt.NDArray[np.uint8]
    features: npt.NDArray[np.float32]
    sparse: bool


class Scratch(NamedTuple):
    """A row for each part: work as State's, starts (BLOCK_ROWS + 1,), entries (BLOCK_ROWS * in_features,), order
    (BLOCK_ROWS,), cursors (BLOCK_ROWS,); and one for all, sequence: 0 .. BLOCK_ROWS - 1."""

    work: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    entries: npt.NDArray[np.uint32]
    order: npt.NDArray[np.int32]
    cursors: npt.NDArray[np.int64]
    sequence: npt.NDArray[np.int32]


_EXAMPLES = (
    Network(np.zeros(1, np.float32), np.zeros((1, 1), np.int64), np.zeros(1, np.float32), 0),
    Scratch(
        np.zeros((1, 1), np.float32),
        np.zeros((1, 1), np.int64),
        np.zeros((1, 1), np.uint32),
        np.zeros((1, 1), np.int32),
        np.zeros((1, 1), np.int64),
        np.zeros(1, np.int32),
    ),
    Samples(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.float32), False),
    np.zeros((1, 1), np.float32),
)


@inner_kernel
def _predict_block(net, scratch, samples, order, out, part):
    """Probabilities of the samples `order`, at most BLOCK_ROWS of them in a row, into out[order]."""
    batch = order.shape[0]
    images, layers, work = samples.images, net.layers, scratch.work[part]
    for layer in range(layers.shape[0]):
        row = layers[layer]
        w, b, z = net.params[row[W] :], net.params[row[B] :], work[row[Z] :]
        if layer == 0 and samples.sparse:
            starts, entries = scratch.starts[part], scratch.entries[part]
            starts[0] = 0
            for n in range(batch):
                starts[n + 1] = list_row(images[order[n]], entries, starts[n], entries.shape[0])
            sparse_forward(
                starts,
                entries,
                scratch.sequence[:batch],
                scratch.cursors[part],
                net.values,
                w,
                b,
                row[IN],
                np.int64(0),
                row[PANELS],
                z,
                row[STRIDE],
            )
        else:
            x = work[row[X] :]
            if layer == 0 and images.shape[0] > 0:
                gather_bytes(images, order, net.values, np.int64(0), batch, x, row[X_STRIDE])
            elif layer == 0:
                gather_floats(samples.features, order, np.int64(0), batch, x, row[X_STRIDE])
            linear_forward(x, row[X_STRIDE], w, b, batch, row[IN], np.int64(0), row[PANELS], z, row[STRIDE])
        if layer < layers.shape[0] - 1:
            activation_forward(net.activation, z, work[row[H] :], row[STRIDE], batch, np.int64(0), row[PANELS] * PANEL)
    row = layers[layers.shape[0] - 1]
    for n in range(batch):
        logits = work[row[Z] + n * row[STRIDE] : row[Z] + n * row[STRIDE] + row[PANELS] * PANEL]
        softmax(logits, row[OUT])
        target = out[order[n]]
        for c in range(target.shape[0]):
            target[c] = logits[c]


def _predict_part(net, scratch, samples, out, part, parts):
    """The samples of one part, block after block."""
    first, last = out.shape[0] * part // parts, out.shape[0] * (part + 1) // parts
    for begin in range(first, last, BLOCK_ROWS):
        order = scratch.order[part][: min(last, begin + BLOCK_ROWS) - begin]
        for k in range(order.shape[0]):
            order[k] = begin + k
        _predict_block(net, scratch, samples, order, out, part)


_PART = signature(types.void, *(typeof(example) for example in _EXAMPLES), types.int64, types.int64)
_PREDICT = signature(types.void, types.FunctionType(_PART), *(typeof(example) for example in _EXAMPLES), types.int64)


def _predict_parts(predict_part, net, scratch, samples, out, parts):
    for part in prange(parts):
        predict_part(net, scratch, samples, out, np.int64(part), parts)


@cache
def load_loops() -> Callable[[Network, Scratch, Samples, npt.NDArray[np.float32], int], None]:
    """The loop `predict(net, scratch, samples, out, parts)`, compiled or loaded at the first call.

    It overwrites out (samples, n_classes) float32 with the softmax of the network's logits.
    """
    # By address, as in jitnet.step: linked in, the same code would be optimised again in the driver.
    one = kernel(_predict_part, _PART)
    several = parallel_kernel(_predict_parts, _PREDICT)

    def predict(net: Network, scratch: Scratch, samples: Samples, out: npt.NDArray[np.float32], parts: int) -> None:
        if parts == 1:
            one(net, scratch, samples, out, 0, 1)
        else:
            several(one, net, scratch, samples, out, parts)

    return predict
