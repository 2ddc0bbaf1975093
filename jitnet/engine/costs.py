"""What each operation does: FLOP and bytes of a whole line, all parts together.

FLOP are useful ones: sums and products of numbers that exist, no filling-up of panels. Bytes are each different number
once, read or written, 4 a float32: what must move even if the caches were perfect. Polynomials are counted term by
term.
"""

from typing import NamedTuple

__all__ = ["Cost", "Sizes"]


class Cost(NamedTuple):
    """FLOP and bytes."""

    flop: float
    bytes: float


class Sizes(NamedTuple):
    """What costs are reckoned from.

    n: samples in the batch, or of the data. i, o: in_features and out_features of the layer. entries: inputs of the n
    samples that are not zero. partials: groups that contribute to the logits. parameters: all of them, filling
    included. activation, activation_back: FLOP a number. update, update_bytes: FLOP and bytes a parameter, 0 where the
    gradient is added straight to the weights. average: whether there is a moving average. item: bytes of an input as
    stored. taps: weights of the Gaussian that smooths distortions, height and width: of an image. network: products of
    the widths of all layers.
    """

    n: float
    i: float = 0.0
    o: float = 0.0
    entries: float = 0.0
    partials: float = 0.0
    parameters: float = 0.0
    activation: float = 0.0
    activation_back: float = 0.0
    update: float = 0.0
    update_bytes: float = 0.0
    average: bool = False
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
    return Cost(2 * s.entries * s.o, 4 * (s.entries + s.i * s.o + s.o + s.n * s.o))


def activate(s: Sizes) -> Cost:
    return Cost(s.activation * s.n * s.o, 8 * s.n * s.o)


def drop(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 8 * s.n * s.o)


def partial_logits(s: Sizes) -> Cost:
    """Of a hidden layer of o units, below i classes."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + s.i + s.partials * s.n * s.i))


def add_partials(s: Sizes) -> Cost:
    return Cost((s.partials - 1) * s.n * s.o, 4 * (s.partials + 1) * s.n * s.o)


def loss(s: Sizes) -> Cost:
    """27 FLOP a logit for softmax and loss, 1 to scale; two transposes."""
    return Cost(28 * s.n * s.o, 32 * s.n * s.o)


def backward_input(s: Sizes) -> Cost:
    """With the transpose of what comes out."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.o + s.i * s.o + s.n * s.i) + 8 * s.n * s.i)


def backward_weight(s: Sizes) -> Cost:
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.n * s.o + 2 * s.i * s.o))


def backward_sparse(s: Sizes) -> Cost:
    """With the marks of columns."""
    return Cost(2 * s.entries * s.o, 4 * (2 * s.entries + s.n * s.o + 2 * s.i * s.o) + 8 * s.i)


def backward_bias(s: Sizes) -> Cost:
    return Cost(s.n * s.o, 4 * (s.n * s.o + 2 * s.o))


def activate_back(s: Sizes) -> Cost:
    """With the transpose, and the scaling by the learning rate."""
    return Cost((s.activation_back + 1) * s.n * s.o, (12 + 8) * s.n * s.o)


def _update(s: Sizes, parameters: float) -> Cost:
    average = (3, 12) if s.average else (0, 0)
    return Cost((s.update + average[0]) * parameters, (s.update_bytes + average[1]) * parameters)


def update_weights(s: Sizes) -> Cost:
    return _update(s, s.i * s.o)


def update_bias(s: Sizes) -> Cost:
    return _update(s, s.o)


def update_all(s: Sizes) -> Cost:
    return _update(s, s.parameters)


def norm(s: Sizes) -> Cost:
    return Cost(2 * s.parameters, 4 * s.parameters)


def limit(s: Sizes) -> Cost:
    """With the moving average, where there is one."""
    average = (3, 12) if s.average else (0, 0)
    return Cost((3 + average[0]) * s.i * s.o, (8 + average[1]) * s.i * s.o)


def count_entries(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 8 * s.n)


def list_entries(s: Sizes) -> Cost:
    return Cost(0, s.n * s.i + 4 * s.entries + 8 * s.n)


def augment(s: Sizes) -> Cost:
    """A pixel takes 4 FLOP to be located, 2 for its shares between pixels and 10 to be looked up. The elastic
    distortion adds 4 to the first, and for each axis a field: 2 for each random number, a blur down, one to the
    right."""
    flop = 16 * s.i
    if s.taps:
        rows, columns = s.height + s.taps - 1, s.width + s.taps - 1
        flop = 20 * s.i + 2 * (2 * rows * columns + 2 * s.taps * s.height * columns + 2 * s.taps * s.i)
    return Cost(s.n * flop, 2 * s.n * s.i)


def drop_samples(s: Sizes) -> Cost:
    return Cost(0 if s.item == 1 else s.n * s.i, 2 * s.item * s.n * s.i)


def predict(s: Sizes) -> Cost:
    """The linear layers; weights once."""
    return Cost(2 * s.n * s.network, s.n * s.i * s.item + 4 * s.network)
