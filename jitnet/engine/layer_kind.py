"""What a kind of layer brings to a network in training: parameters, places in `work`, lines forward and backward.

Each kind has a file, `kind_…`, with its operations and its KIND. A place or a line is asked for through what
is passed in: `Places` of `room` hands out places, `Writer` of `program` writes lines. Layers of one block share a
record of LAYER.

Backward, a block's linear layer writes its lines first: they make the gradient of the units below. A kind that reads
the block's input as well adds its share of that gradient behind them, in `joins`: so gradients of an output with
several readers add up in a fixed order. Then the layers ahead of the linear one write theirs, from the last to the
first, and those behind the linear one of the block below.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from jitnet.config import Layer
from jitnet.engine.room import Places

__all__ = ["Kind", "Parameter", "Values", "Writer"]

Values = Mapping[str, npt.NDArray[np.float32]]
"""A layer's parameters by their names, in PyTorch's layout."""


class Writer(Protocol):
    """What writes a program (see `program`): the methods that lines are written by."""

    @property
    def last(self) -> int: ...

    @property
    def skips_zeros(self) -> bool: ...

    @property
    def output_bias(self) -> bool: ...

    @property
    def marks_together(self) -> bool: ...

    @property
    def in_pieces(self) -> bool: ...

    @property
    def trains(self) -> bool: ...

    def freezes(self, layer: int) -> bool: ...

    def needs_gradient(self, layer: int) -> bool: ...

    def meet(self, waits_for: str) -> None: ...

    def add(self, operation: str, layer: int, split: str = "", *, next_batch: bool = False) -> None: ...

    def update(self, operation: str, layer: int, split: str = "") -> None: ...

    def apart(self, operation: str, layer: int, *, next_batch: bool = False) -> None: ...

    def drops(self, layer: int) -> bool: ...

    def behind(self, operation: str, layer: int) -> None: ...


class Parameter(NamedTuple):
    """field: of a block's record, with its place in `params`. walk: a name in WALKS."""

    field: str
    walk: str = "units"


def _no_places(places: Places, row: Any, layer: Layer) -> None:
    pass


def _no_lines(writer: Writer, block: int) -> None:
    pass


def _fold_nothing(values: Values, others: Mapping[str, Values]) -> None:
    pass


@dataclass(frozen=True)
class Kind:
    """forward, backward: write its lines in the region at hand; forward's last argument: on the next batch. parameters:
    by their names in config.LAYERS. place: takes what the layer needs of `work`, and sets its fields of a block's
    record. joins: lines behind the gradient of the block's input. fold: of a kind that is folded; multiplies this
    layer's values into those of the block's others, by their kinds, in place, as a saved model has them. whole_samples:
    reads all units of a sample. late: some of its gradients need those of all units, so that every update waits for the
    whole gradient. by_units: its lines need all samples of a unit, or all weights, so that a step is not cut in pieces.
    """

    forward: Callable[[Writer, int, bool], None]
    backward: Callable[[Writer, int], None] = _no_lines
    parameters: dict[str, Parameter] = field(default_factory=dict)
    place: Callable[[Places, Any, Layer], None] = _no_places
    joins: Callable[[Writer, int], None] = _no_lines
    fold: Callable[[Values, Mapping[str, Values]], None] = _fold_nothing
    whole_samples: bool = False
    late: bool = False
    by_units: bool = False
