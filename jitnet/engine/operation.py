"""An operation of a program: a function that does one part of a line, and the record that says all else about it.

A function has the arguments `run` and `batch`, by reference; the layer; which part this is, for what each part has
separately; and the first and last of its range, in units or samples as the line's split says (see `ownership`). Where a
line is cut in pieces it is called for each of a part's rectangles, whose other side is in the batch. It says which
kernels work on that range and nothing else. Which operations a step has, which share a region and what they are
split by is said in `program`.
"""

import dis
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from jitnet.compiler.decorators import linked, plain
from jitnet.compiler.signatures import INT
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.state import BATCH, RUN

__all__ = ["ARGUMENTS", "Operation", "operation", "record_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

ARGUMENTS = (RUN, BATCH, INT, INT, INT, INT)
"""Types of what every operation takes: run, batch, layer, part, first, last."""


@dataclass(frozen=True)
class Operation:
    """What is known of an operation.

    function: does a part. split: what it is split by where a line does not say, a name in SPLITS; pieces: by which
    pieces where a step is cut in pieces, "" for the same split. cost: FLOP and bytes of a whole line. extents: of its
    problem, fields of `Sizes`. product: which matrix product it is ("forward", "input" or "weight" gradient), where it
    is one over dense numbers. on_entries: walks lists of the inputs that are not zero. activates: is another loop for
    each activation. whole_network: works on the parameters of all layers.
    """

    function: Callable[..., None]
    split: str
    cost: Callable[[Sizes], Cost]
    extents: tuple[str, ...]
    pieces: str = ""
    product: str = ""
    on_entries: bool = False
    activates: bool = False
    whole_network: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels that it may call, read from its code."""
        return _kernels_called(self.function)


def operation(
    split: str, cost: Callable[[Sizes], Cost], extents: tuple[str, ...], **flags: Any
) -> Callable[[Function], Function]:
    """Compile a function as an operation, and keep its record with it; the arguments are fields of `Operation`."""

    def decorate(function: Function) -> Function:
        compiled: Any = linked(*ARGUMENTS)(function)
        compiled.record = Operation(compiled, split, cost, extents, **flags)
        return compiled

    return decorate


def record_of(function: Any) -> Operation | None:
    """The record of an operation; None where a function, or whatever else it is, is none."""
    record = getattr(function, "record", None)
    return record if isinstance(record, Operation) else None


@cache
def _kernels_called(function: Any) -> tuple[str, ...]:
    """Names of the functions of `jitnet.kernels` that a function calls, also by way of helpers of the engine."""
    code, names = plain(function), list[str]()
    for name in [step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"]:
        value = code.__globals__.get(name)
        if chosen_from := getattr(value, "linked_functions", ()):  # a switch calls any of several
            names += [function.__name__ for function in chosen_from]
            continue
        room = getattr(value, "__module__", "")
        if room.startswith("jitnet.kernels") and callable(value):
            names.append(name)
        elif room.startswith("jitnet.engine") and callable(value):
            names += _kernels_called(value)
    return tuple(dict.fromkeys(names))
