"""Every kernel at the network's real shapes: its cases, with the formulas of what it computes and moves.

FLOP are useful ones: sums and products of numbers that exist, no filling-up of panels. Bytes are each different number
once, read or written, 4 a float32: what must move even if the caches were perfect. With n samples (the batch), i inputs
and o outputs of a layer, e entries (inputs of the batch that are not zero) and p parameters:

    kernel                          FLOP               bytes
    gather the batch                2 n i (bytes)      n i of uint8 (4 n i of float32) + 4 n i
    mark the columns                0                  4 e + 8 i
    linear forward                  2 n i o            4 (n i + i o + o + n o)
    zero-skipping forward           2 e o              4 (e + i o + o + n o)
    linear backward, input          2 n i o            4 (n o + i o + n i)
    linear backward, weights        2 n i o            4 (n i + n o + 2 i o)
    zero-skipping backward, weights 2 e o              4 (e + n o + 2 i o)
    linear backward, bias           n o                4 (n o + 2 o)
    relu, tanh, gelu                1, 22, 40 n o      8 n o
      backward                      1, 4, 66 n o       12 n o
    softmax and loss                27 n o             16 n o
    turn gradients around           0                  8 n o
    scale gradients                 n o                8 n o
    dropout                         n o                8 n o
    sgd, momentum, nesterov,        4, 6, 8, 10        12, 20, 20, 20
      rmsprop, adam, adamw          14, 14 p           28, 28 p
    average of the weights          3 p                12 p
    norm of the gradient            2 p                4 p
    limit of each unit's norm       3 i o              8 i o

Samples made anew for every epoch, distorted or with inputs dropped, are counted in `fresh`.
The polynomials are counted term by term: exp 21, tanh 22, and for gelu the normal distribution 39. The zero-skipping
backward is timed on one block of at most 64 samples, as it is called; its marks of columns are made anew for each.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from jitnet.bench import cells
from jitnet.bench.fresh import fresh_cases
from jitnet.bench.measure import timed
from jitnet.bench.records import Case
from jitnet.bench.subject import Subject
from jitnet.kernels.activation import KINDS as ACTIVATIONS
from jitnet.kernels.jit import set_threads
from jitnet.kernels.optimizer import KINDS as OPTIMIZERS
from jitnet.kernels.sparse import BLOCK
from jitnet.state import PANELS, STRIDE, H, Z, parameter_count

__all__ = ["BACKWARD_INPUT", "BACKWARD_WEIGHT", "FORWARD", "kernel_cases"]

FORWARD, BACKWARD_INPUT, BACKWARD_WEIGHT = "linear forward", "linear backward, input", "linear backward, weights"

FORWARD_FLOP = {"relu": 1, "tanh": 22, "gelu": 40}
BACKWARD_FLOP = {"relu": 1, "tanh": 4, "gelu": 66}
UPDATE = {
    "sgd": (4, 12),
    "momentum": (6, 20),
    "nesterov": (8, 20),
    "rmsprop": (10, 20),
    "adam": (14, 28),
    "adamw": (14, 28),
}
"""FLOP and bytes a parameter."""

STEADY = {"relu": None, "tanh": 0.0, "gelu": 8.0}
"""Inputs at which an activation, applied to its own output over and over, neither dies away nor runs off; None: any."""


def kernel_cases(subject: Subject, threads: Sequence[int]) -> list[Case]:
    """A case for each kernel, layer and count of threads, all on one state. `used`: whether this training runs it."""
    makers = _Makers(subject, max(threads))
    return [case for count in threads for case in (*makers.on(count), *fresh_cases(subject, count))]


class _Makers:
    """Makes cases on one state, which is kept as it was before anything is timed."""

    def __init__(self, subject: Subject, parts: int) -> None:
        self._subject = subject
        self._state = subject.kernel_state(parts)
        self._work = self._state.work.copy()
        self._source, self._order = subject.source, subject.order

    def on(self, threads: int) -> list[Case]:
        shape, sparse = self._subject.shape, self._subject.plan.sparse
        n = self._subject.batch_size
        cases = [self._gather(threads, not sparse)]
        if sparse:
            cases += self._zero_skipping(threads)
        for layer, (i, o) in enumerate(pairwise(shape.widths)):
            dims, dense = f"{n}×{i}×{o}", not (layer == 0 and sparse)
            last = layer == len(shape.widths) - 2
            panels, below = self._panels(layer), self._panels(layer - 1) if layer else 0
            product = 2.0 * n * i * o
            cases.append(
                self._case(
                    FORWARD,
                    dims,
                    threads,
                    product,
                    4 * (n * i + i * o + o + n * o),
                    "forward",
                    layer,
                    n if last else panels,
                    used=dense,
                )
            )
            if layer:
                cases.append(
                    self._case(
                        BACKWARD_INPUT,
                        dims,
                        threads,
                        product,
                        4 * (n * o + i * o + n * i),
                        "backward_input",
                        layer,
                        below,
                    )
                )
            cases.append(
                self._case(
                    BACKWARD_WEIGHT,
                    dims,
                    threads,
                    product,
                    4 * (n * i + n * o + 2 * i * o),
                    "backward_weight",
                    layer,
                    below or panels,
                    used=dense,
                )
            )
            bias = 4 * (n * o + 2 * o)
            cases.append(
                self._case("linear backward, bias", f"{n}×{o}", threads, n * o, bias, "backward_bias", layer, panels)
            )
            cases += self._loss(layer, threads) if last else self._hidden(layer, threads)
        return cases + self._parameters(threads)

    def _panels(self, layer: int) -> int:
        return int(self._state.layers[layer, PANELS])

    def _case(
        self,
        name: str,
        shape: str,
        threads: int,
        flop: float,
        size: float,
        cell: str,
        layer: int,
        units: int,
        *,
        code: int = 0,
        used: bool = True,
        note: str = "",
        fill: float | None = None,
        first: Callable[[int], None] = lambda parts: None,
    ) -> Case:
        """units: what the work can be split into. fill: what stands in the layer's outputs while this is timed."""
        subject, state, parts = self._subject, self._state, min(threads, units)
        source, order, batch = self._source, self._order, subject.batch_size

        def prepare() -> None:
            state.work[:] = self._work
            if fill is not None:
                row = state.layers[layer]
                for place in {int(row[Z]), int(row[H])}:
                    state.work[place : place + batch * int(row[STRIDE])] = fill
            first(parts)

        def run(repeats: int) -> float:
            set_threads(threads)
            return timed(lambda: cells.repeat(cell, state, source, order, batch, layer, code, parts, repeats))

        return Case("kernel", name, shape, threads, flop, size, run, prepare, used, note)

    def _gather(self, threads: int, used: bool) -> Case:
        n, i = self._subject.batch_size, self._subject.shape.in_features
        is_bytes = len(self._source.images) > 0
        flop, size = (2.0 * n * i, 5 * n * i) if is_bytes else (0.0, 8 * n * i)
        return self._case("gather the batch", f"{n}×{i}", threads, flop, size, "gather", 0, n, used=used)

    def _zero_skipping(self, threads: int) -> list[Case]:
        subject, state = self._subject, self._state
        n, entries = subject.batch_size, subject.entries
        i, o = subject.shape.widths[:2]
        block = n % BLOCK or min(n, BLOCK)  # what the last block has, whose marks stay behind
        listed = entries * block / n

        def make_marks(parts: int) -> None:
            set_threads(threads)
            cells.repeat("columns", state, self._source, self._order, n, 0, 0, parts, 1)

        note = f"{entries / n / i:.0%} of the inputs"
        return [
            self._case(
                "mark the columns", f"{n}×{i}", threads, 0.0, 4 * entries + 8 * i, "columns", 0, threads, note=note
            ),
            self._case(
                "zero-skipping forward",
                f"{n}×{i}×{o}",
                threads,
                2 * entries * o,
                4 * (entries + i * o + o + n * o),
                "forward_sparse",
                0,
                self._panels(0),
                note=note,
            ),
            self._case(
                "zero-skipping backward, weights",
                f"{block}×{i}×{o}",
                threads,
                2 * listed * o,
                4 * (listed + block * o + 2 * i * o),
                "weight_sparse",
                0,
                self._panels(0),
                note=note,
                first=make_marks,
            ),
        ]

    def _hidden(self, layer: int, threads: int) -> list[Case]:
        """What follows a hidden layer: its activation, and what its gradient goes through."""
        kind, n = self._subject.shape.activation, self._subject.batch_size
        o, panels = self._subject.shape.widths[layer + 1], self._panels(layer)
        dims, numbers, code, fill = f"{n}×{o}", n * o, ACTIVATIONS[kind], STEADY[kind]

        def made(name: str, flop: float, size: float, cell: str, fill: float | None = None, used: bool = True) -> Case:
            return self._case(
                name,
                dims,
                threads,
                flop * numbers,
                size * numbers,
                cell,
                layer,
                panels,
                code=code,
                fill=fill,
                used=used,
            )

        return [
            made(f"{kind} forward", FORWARD_FLOP[kind], 8, "activate", fill),
            made(f"{kind} backward", BACKWARD_FLOP[kind], 12, "activate_back", fill),
            made("turn gradients around", 0, 8, "turn"),
            made("scale gradients", 1, 8, "scale"),
            made("dropout", 1, 8, "drop", 0.0, used=False),
        ]

    def _loss(self, layer: int, threads: int) -> list[Case]:
        n, o = self._subject.batch_size, self._subject.shape.n_classes
        return [self._case("softmax and loss", f"{n}×{o}", threads, 27.0 * n * o, 16 * n * o, "loss", layer, n)]

    def _parameters(self, threads: int) -> list[Case]:
        """What concerns all parameters, filling included; plain SGD adds the gradient straight to them."""
        shape = self._subject.shape
        p = parameter_count(shape)
        dims, blocks = f"{p:,}", len(self._state.squares)
        cases = [
            self._case(
                f"update, {kind}",
                dims,
                threads,
                flop * p,
                size * p,
                "optimize",
                0,
                threads,
                code=OPTIMIZERS[kind],
                used=False,
            )
            for kind, (flop, size) in UPDATE.items()
        ]
        cases.append(
            self._case("average of the weights", dims, threads, 3 * p, 12 * p, "moving_average", 0, threads, used=False)
        )
        cases.append(self._case("norm of the gradient", dims, threads, 2 * p, 4 * p, "norm", 0, blocks, used=False))
        for layer, (i, o) in enumerate(pairwise(shape.widths[:-1])):
            panels = self._panels(layer)
            cases.append(
                self._case(
                    "limit of each unit's norm",
                    f"{i}×{o}",
                    threads,
                    3 * i * o,
                    8 * i * o,
                    "max_norm",
                    layer,
                    panels,
                    used=False,
                )
            )
        return cases
