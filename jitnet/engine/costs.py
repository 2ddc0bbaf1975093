"""What each operation does: FLOP and bytes of a whole line, all parts together.

FLOP are useful ones: sums, differences, products, quotients and roots of numbers that exist, no filling-up of panels. A
multiply-add is two, and a polynomial counts term by term. Comparisons, the larger of two, signs, rounding, conversions
and the loss's logarithm are none.

Bytes are each different number once as read, unless the line itself has written it before, and once as written, 4 a
float32: what must move even if the caches were perfect. Where zeros are skipped the weights of a column count if any
sample of the batch has an entry in it.

Left out is what steers a loop (the samples' order, starts of lists, marks and cursors), tables, sums of blocks, and a
part's own scratch; also arithmetic that a line, an image or a row has once. What every part does for itself counts
once.

`tests/test_engine_counts.py` holds all of it against what the operations are seen to do in plain Python.
"""

from typing import NamedTuple

__all__ = ["Cost", "Sizes"]


class Cost(NamedTuple):
    """FLOP and bytes."""

    flop: float
    bytes: float


class Sizes(NamedTuple):
    """What costs are reckoned from.

    n: samples in the batch, or of the data. i, o: in_features and out_features of the layer, or of the whole network.
    entries: inputs of the n samples that are not zero, columns: of the i that any of them has. partials: groups that
    contribute to the logits. parameters: all of them, filling included. activation, activation_back: FLOP a number.
    transposed: whether a layer below needs the gradient samples last. update, update_bytes: FLOP and bytes a parameter,
    0 where the gradient is added straight to the weights. average: whether the operation keeps the moving average.
    limited: whether the norms of the layer's units are. item: bytes of an input as stored. taps: weights of the
    Gaussian that smooths distortions, height and width: of an image. network: products of the widths of all layers.
    """

    n: float
    i: float = 0.0
    o: float = 0.0
    entries: float = 0.0
    columns: float = 0.0
    partials: float = 0.0
    parameters: float = 0.0
    activation: float = 0.0
    activation_back: float = 0.0
    transposed: bool = True
    update: float = 0.0
    update_bytes: float = 0.0
    average: bool = False
    limited: bool = True
    item: float = 1.0
    taps: float = 0.0
    height: float = 0.0
    width: float = 0.0
    network: float = 0.0


def gather(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i if s.item == 1 else 0, (s.item + 4) * s.n * s.i)


def forward(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.i * s.o + s.o + s.n * s.o))


def forward_sparse(s: Sizes) -> Cost:
    return Cost(2 * s.entries * s.o, 4 * (s.entries + s.columns * s.o + s.o + s.n * s.o))


def activate(s: Sizes) -> Cost:
    return Cost(s.activation * s.n * s.o, 8 * s.n * s.o)


def drop(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 8 * s.n * s.o)


def partial_logits(s: Sizes) -> Cost:
    """Of a hidden layer of o units, below i classes. The last group begins with the biases, others with zeros."""
    begins = s.i if s.partials == 1 else 2 * s.i
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + begins + s.partials * s.n * s.i))


def add_partials(s: Sizes) -> Cost:
    return Cost((s.partials - 1) * s.n * s.o, 4 * (s.partials + 1) * s.n * s.o)


def loss(s: Sizes) -> Cost:
    """26 FLOP a logit for softmax and loss and 1 to scale, 8 a sample. The gradient is written twice; a sample has a
    label, a loss and whether it was right."""
    return Cost((27 * s.o + 8) * s.n, 12 * (s.o + 1) * s.n)


def backward_input(s: Sizes) -> Cost:
    """What comes out is written twice, samples first and last."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + 2 * s.n * s.i))


def _gradient(s: Sizes, parameters: float) -> float:
    """Bytes: added to the weights it is read and written; kept apart it is cleared first, and only written."""
    return (4 if s.update else 8) * parameters


def backward_weight(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.n * s.o) + _gradient(s, s.i * s.o))


def backward_sparse(s: Sizes) -> Cost:
    weights = s.i if s.update else s.columns  # kept apart, all of the gradient is cleared
    return Cost(2 * s.entries * s.o, 4 * (s.entries + s.n * s.o) + _gradient(s, weights * s.o))


def backward_bias(s: Sizes) -> Cost:
    """By multiply-adds with one."""
    return Cost(2 * s.n * s.o, 4 * s.n * s.o + _gradient(s, s.o))


def activate_back(s: Sizes) -> Cost:
    """With the scaling by the learning rate."""
    return Cost((s.activation_back + 1) * s.n * s.o, (16 if s.transposed else 12) * s.n * s.o)


def _average(s: Sizes, at_hand: float, others: float = 0.0) -> Cost:
    """Of parameters that the operation has read anyway, and of others."""
    return Cost(3 * (at_hand + others), 8 * at_hand + 12 * others) if s.average else Cost(0, 0)


def _update(s: Sizes, parameters: float) -> Cost:
    average = _average(s, parameters) if s.update else _average(s, 0, parameters)
    return Cost(s.update * parameters + average.flop, s.update_bytes * parameters + average.bytes)


def update_weights(s: Sizes) -> Cost:
    return _update(s, s.i * s.o)


def update_bias(s: Sizes) -> Cost:
    return _update(s, s.o)


def update_all(s: Sizes) -> Cost:
    return _update(s, s.parameters)


def norm(s: Sizes) -> Cost:
    return Cost(2 * s.parameters, 4 * s.parameters)


def limit(s: Sizes) -> Cost:
    """With the moving average, where there is one: of the biases too."""
    if not s.limited:
        return _average(s, 0, (s.i + 1) * s.o)
    average = _average(s, s.i * s.o, s.o)
    return Cost((3 * s.i + 2) * s.o + average.flop, 8 * s.i * s.o + average.bytes)


def count_entries(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 8 * s.n)


def list_entries(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 4 * s.entries)


def augment(s: Sizes) -> Cost:
    """A pixel takes 8 FLOP to be located, 2 for its shares between pixels and 10 to be looked up. The elastic
    distortion adds for each axis a field: 2 for each random number, a blur down, one to the right."""
    flop = 20 * s.i
    if s.taps:
        rows, columns = s.height + s.taps - 1, s.width + s.taps - 1
        flop += 2 * (2 * rows * columns + 2 * s.taps * s.height * columns + 2 * s.taps * s.i)
    return Cost(s.n * flop, 2 * s.n * s.i)


def drop_samples(s: Sizes) -> Cost:
    return Cost(0 if s.item == 1 else s.n * s.i, 2 * s.item * s.n * s.i)


def predict(s: Sizes) -> Cost:
    """FLOP of the linear layers, whether zeros are skipped or not; i inputs and o probabilities a sample, and the
    weights. What lies between the layers is a part's own scratch."""
    return Cost(2 * s.n * s.network, s.n * (s.i * s.item + 4 * s.o) + 4 * s.network)
