"""Operations on samples as they are stored: gather a batch, list what is not zero, make an epoch's samples."""

import numpy as np

from jitnet.engine.addressing import inputs
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.operation import operation
from jitnet.kernels.augment import augment_image
from jitnet.kernels.dropout import drop_input_bytes, drop_input_entries, drop_input_floats
from jitnet.kernels.gather import gather_bytes, gather_floats
from jitnet.kernels.random import AUGMENT, key
from jitnet.kernels.sparse import count_row, list_row

__all__ = ["augment", "count_entries", "drop_samples", "gather", "list_entries", "list_inputs"]


def _gather_cost(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i if s.bytes_per_input == 1 else 0, (s.bytes_per_input + 4) * s.n * s.i)


@operation("samples", _gather_cost, ("n", "i"))
def gather(run, batch, layer, part, first, last):
    """Assigned samples as network inputs, into the buffer of this step."""
    this = run.layers[0]
    x = run.state.work[inputs(run, batch, layer, part) :]
    if run.call.has_bytes:
        gather_bytes(run.data.images, batch.indices, run.state.byte_values, x, this.input_stride, first, last)
    else:
        gather_floats(run.data.features, batch.indices, x, this.input_stride, first, last)


def _count_cost(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 8 * s.n)


@operation("samples", _count_cost, ("n", "i"))
def count_entries(run, batch, layer, part, first, last):
    """How many entries each assigned sample has, to indptr[n + 1]."""
    for n in range(batch.begin + first, batch.begin + last):
        run.data.indptr[n + 1] = count_row(run.data.images[n])


def _list_cost(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 4 * s.entries)


@operation("samples", _list_cost, ("n", "i"))
def list_entries(run, batch, layer, part, first, last):
    """Assigned samples' entries, to where indptr says."""
    data = run.data
    for n in range(batch.begin + first, batch.begin + last):
        list_row(data.images[n], data.entries, data.indptr[n], data.indptr[n + 1])


def _augment_cost(s: Sizes) -> Cost:
    """A pixel takes 8 FLOP to be located, 2 for its shares between pixels and 10 to be looked up. The elastic
    distortion adds for each axis a field: 2 for each random number, a blur down, one to the right."""
    flop = 20 * s.i
    if s.taps:
        rows, columns = s.height + s.taps - 1, s.width + s.taps - 1
        flop += 2 * (2 * rows * columns + 2 * s.taps * s.height * columns + 2 * s.taps * s.i)
    return Cost(s.n * flop, 2 * s.n * s.i)


@operation("samples", _augment_cost, ("n", "i"))
def augment(run, batch, layer, part, first, last):
    """Assigned samples of the order as this epoch distorts them."""
    call, indices = run.call, batch.indices
    for n in range(first, last):
        stream = key(run.settings.seed, AUGMENT, call.epoch, np.uint64(indices[n]))
        image, out = run.data.images[indices[n]], run.outputs.images[batch.begin + n]
        augment_image(image, call.height, call.width, run.distortion, stream, run.state.pixels[part], out)


def _drop_samples_cost(s: Sizes) -> Cost:
    """Of compressed rows the columns are read, and the values."""
    if s.compressed:
        return Cost(s.entries, 12 * s.entries)
    return Cost(0 if s.bytes_per_input == 1 else s.n * s.i, 2 * s.bytes_per_input * s.n * s.i)


@operation("samples", _drop_samples_cost, ("n", "i"))
def drop_samples(run, batch, layer, part, first, last):
    """Input dropout of assigned samples of the order, in place; what is kept of float inputs is scaled up to make
    good."""
    rate, seed, epoch = run.settings.input_dropout, run.settings.seed, run.call.epoch
    first, last = batch.begin + first, batch.begin + last
    if run.call.has_bytes:
        drop_input_bytes(run.outputs.images, run.order, rate, seed, epoch, first, last)
    elif run.outputs.features.shape[0] == 0:
        data = run.data
        drop_input_entries(data.indptr, data.entries, data.entry_values, run.order, rate, seed, epoch, first, last)
    else:
        drop_input_floats(run.outputs.features, run.order, rate, seed, epoch, first, last)


@operation("samples", _list_cost, ("n", "i"))
def list_inputs(run, batch, layer, part, first, last):
    """The lists of a batch alone, in the part's arrays."""
    indptr, entries = run.state.indptr[part], run.state.entries[part]
    indptr[0] = 0
    for n in range(first, last):
        indptr[n + 1] = list_row(run.data.images[batch.indices[n]], entries, indptr[n], entries.shape[0])
