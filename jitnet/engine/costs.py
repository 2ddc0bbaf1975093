"""What an operation costs: FLOP and bytes of a whole line, all parts together. Each operation declares it.

FLOP are useful ones: sums, differences, products, quotients and roots of numbers that exist, no filling-up of panels. A
multiply-add is two, and a polynomial counts term by term. Comparisons, the larger of two, signs, rounding, conversions
and the loss's logarithm are none.

Bytes are each different number once as read, unless the line itself has written it before, and once as written, 4 a
float32: what must move even if the caches were perfect. Where zeros are skipped the weights of a column count if any
sample of the batch has an entry in it.

Left out is what steers a loop (the samples' order, starts of lists, cursors), tables, sums of blocks, and a
part's scratch; also arithmetic that a line, an image or a row has once. What every part does for itself counts
once; the marks of columns that each makes for itself as often as they are made.

`tests/test_engine_counts.py` holds all of it against what the operations are seen to do in plain Python.
"""

from typing import NamedTuple

from jitnet.kernels.loss import Price

__all__ = ["Cost", "Sizes", "entry_bytes", "gradient_bytes", "linear_cost", "sparse_linear_cost"]


class Cost(NamedTuple):
    """FLOP and bytes."""

    flop: float
    bytes: float


class Sizes(NamedTuple):
    """What costs are computed from.

    n: samples in the batch, or of the data. i, o: in_features and out_features of the layer. outputs: of the network.
    entries: inputs of the n samples that are not zero, columns: of the i that any of them has. partials: groups that
    contribute to the logits, partial_sums: what parts leave of them, partial_places: that they write. parameters: all
    of them, filling included. activation, activation_back: FLOP a number. transposed: whether a layer below needs the
    gradient samples last. update, update_bytes: FLOP and bytes a parameter, 0 where the gradient is added straight to
    the weights. average: whether the operation keeps the moving average. limited: whether the norms of the layer's
    units are. between: whether a layer is between the linear one and the activation. more: the layer's parameters
    beside weights and biases. bytes_per_input: bytes of an input as stored. compressed: whether only inputs are stored
    that are not zero. markers: parts that each need the marks of all columns. marked: vectors of samples that are
    marked for all parts, 0 where each marks them for itself. taps: weights of the Gaussian that smooths distortions,
    height and width: of an image. loss, link: of the network's loss and link. targets: numbers or labels of a sample,
    which may have several outputs each. weighted: whether samples have weights.
    """

    n: float
    i: float = 0.0
    o: float = 0.0
    entries: float = 0.0
    columns: float = 0.0
    partials: float = 0.0
    partial_sums: float = 0.0
    partial_places: float = 0.0
    parameters: float = 0.0
    activation: float = 0.0
    activation_back: float = 0.0
    transposed: bool = True
    update: float = 0.0
    update_bytes: float = 0.0
    average: bool = False
    limited: bool = True
    between: bool = False
    more: float = 0.0
    bytes_per_input: float = 1.0
    compressed: bool = False
    markers: float = 0.0
    marked: float = 0.0
    taps: float = 0.0
    height: float = 0.0
    width: float = 0.0
    outputs: float = 0.0
    loss: Price = Price()
    link: Price = Price()
    targets: float = 0.0
    weighted: bool = False


def linear_cost(s: Sizes) -> Cost:
    """Of a linear layer, forward."""
    return Cost(2 * s.n * s.i * s.o, 4 * (s.n * s.i + s.i * s.o + s.o + s.n * s.o))


def sparse_linear_cost(s: Sizes) -> Cost:
    """Of the same, from lists of the inputs that are not zero."""
    return Cost(2 * s.entries * s.o, entry_bytes(s) + 4 * (s.columns * s.o + s.o + s.n * s.o))


def entry_bytes(s: Sizes) -> float:
    """Of the lists of inputs that are not zero, without where they begin: of a float32 its value is beside the
    entry."""
    return (8 if s.bytes_per_input == 4 else 4) * s.entries


def gradient_bytes(s: Sizes, parameters: float) -> float:
    """Of a gradient: added to the weights it is read and written; kept apart it is cleared first, and only written."""
    return (4 if s.update else 8) * parameters
