"""The operations of a program: what one part does in a line, each a named function that calls kernels over its range.

layers.py       a layer: forward beside backward        updates.py      parameters: optimizer, norms, average
output.py       logits and loss                         whole_data.py   a data set: lists, new samples, prediction

All have the same arguments: `run` and `batch`, by reference; the layer; which part this is, for what each part has of
its own; and first and last of what the part owns, in units or samples as the line's split says (see `ownership`). An
operation says which kernels do its range and nothing else. Which operations there are in a step, which share a region
and what they are split by is said in `program`.

A new operation is its function, its line in OPERATIONS, its call in `loop.perform`, and the lines of the programs that
have it.
"""

import dis
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from jitnet.compiler.decorators import plain
from jitnet.engine import costs
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.layers import (
    activate,
    activate_back,
    backward_bias,
    backward_input,
    backward_sparse,
    backward_weight,
    drop,
    drop_back,
    forward,
    forward_sparse,
    gather,
)
from jitnet.engine.output import add_partials, logits, logits_sparse, loss, partial_logits
from jitnet.engine.updates import limit, norm, update_all, update_bias, update_weights
from jitnet.engine.whole_data import augment, count_entries, drop_samples, list_entries, predict

__all__ = ["OPERATIONS", "Operation"]


class Operation(NamedTuple):
    """code: its number in the program's table. function: what a part does. split: what it is split by where a line says
    nothing else, a name of SPLITS. cost: FLOP and bytes of the whole line."""

    code: int
    function: Callable[..., None]
    split: str
    cost: Callable[[Sizes], Cost]

    @property
    def kernels(self) -> tuple[str, ...]:
        """The names of the kernels that it may call, read from its code."""
        return kernels_called(self.function)


@cache
def kernels_called(function: Any) -> tuple[str, ...]:
    """Names of the functions of `jitnet.kernels` that a function calls, also by way of helpers of the engine."""
    code, names = plain(function), list[str]()
    for name in [step.argval for step in dis.get_instructions(code) if step.opname == "LOAD_GLOBAL"]:
        value = code.__globals__.get(name)
        room = getattr(value, "__module__", "")
        if room.startswith("jitnet.kernels") and callable(value):
            names.append(name)
        elif room.startswith("jitnet.engine") and callable(value):
            names += kernels_called(value)
    return tuple(dict.fromkeys(names))


def _table(*rows: tuple[Callable[..., None], str, Callable[[Sizes], Cost]]) -> dict[str, Operation]:
    return {
        function.__name__: Operation(code, function, split, cost) for code, (function, split, cost) in enumerate(rows)
    }


OPERATIONS = _table(
    (gather, "samples", costs.gather),
    (forward, "units", costs.forward),
    (forward_sparse, "units", costs.forward_sparse),
    (activate, "units", costs.activate),
    (drop, "units", costs.drop),
    (partial_logits, "units", costs.partial_logits),
    (logits, "vectors of samples", costs.forward),
    (logits_sparse, "vectors of samples", costs.forward_sparse),
    (add_partials, "vectors of samples", costs.add_partials),
    (loss, "vectors of samples", costs.loss),
    (backward_input, "units below", costs.backward_input),
    (backward_weight, "units below", costs.backward_weight),
    (backward_sparse, "units", costs.backward_sparse),
    (backward_bias, "panels", costs.backward_bias),
    (drop_back, "units", costs.drop),
    (activate_back, "units", costs.activate_back),
    (update_weights, "units below", costs.update_weights),
    (update_bias, "panels", costs.update_bias),
    (norm, "blocks", costs.norm),
    (update_all, "blocks", costs.update_all),
    (limit, "panels", costs.limit),
    (count_entries, "data", costs.count_entries),
    (list_entries, "data", costs.list_entries),
    (augment, "data", costs.augment),
    (drop_samples, "data", costs.drop_samples),
    (predict, "data", costs.predict),
)
