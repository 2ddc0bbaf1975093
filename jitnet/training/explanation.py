"""The program of a training step, explained: each line, what it calls, how it is split and why, and which part owns
what."""

from dataclasses import dataclass

import numpy as np

from jitnet.compiler.decorators import plain
from jitnet.config import layers_in_words
from jitnet.engine.ownership import SPLITS, assigned_range
from jitnet.engine.program import Line
from jitnet.engine.state import Batch, Run, empty_run
from jitnet.machine.blocks import LANES, PANEL, TILE_ROWS, UPDATE_BLOCK
from jitnet.training.plan import Plan

__all__ = ["SPLITS_IN_WORDS", "ExplainedLine", "Explanation", "explain"]

SPLITS_IN_WORDS = {
    "units": "of this layer, whole panels",
    "units below": "of the layer below, this layer's inputs",
    "panels": "units of this layer, one panel after the other",
    "samples": "of the batch",
    "vectors of samples": f"samples of the batch, {LANES} of them together",
    "every part": "each does all samples for itself",
    "blocks": f"of {UPDATE_BLOCK:,} parameters",
    "inputs": f"of this layer, {LANES} of them together",
    "pieces": f"some of this layer's units with {PANEL} samples: all samples of some units, then of the next",
    "pieces below": "the same of the layer below",
    "pieces of weights": f"some of this layer's units with {TILE_ROWS} inputs, one after the other",
    "samples of all units": f"samples of the batch, {LANES} of them together, with all units of this layer",
}
"""What a line is split by, for each name in `engine.ownership.SPLITS`."""


@dataclass(frozen=True)
class ExplainedLine:
    """when: "first step" for lines ahead of a call's first step, else "every step"; batch: "this" or "next". owners:
    for each part the first and the last of what it owns, counted in what the line is split by; a last one is not owned.
    waits_for: what of other parts the line's region needs, so that all meet ahead of it; empty ahead of a call's first.
    The other fields are those of `engine.program.Line`."""

    when: str
    region: int
    operation: str
    layer: int
    batch: str
    kernels: tuple[str, ...]
    split: str
    parts: int
    reason: str
    waits_for: str
    flop: float
    bytes: float
    owners: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Explanation:
    """network: widths. batch_size: of a whole batch. threads, threads_reason, input_loops, input_reason: the plan's.
    begins_on: threads that a training begins on, to try others; 0 where their count was asked for or is the only one.
    lines: the program's. regions: parallel regions of a step. flop, bytes: of a step. layers: what the network has
    besides its linear layers, its loss where that is not the default, the optimizer and frozen layers, in words."""

    network: tuple[int, ...]
    batch_size: int
    threads: int
    threads_reason: str
    begins_on: int
    input_loops: str
    input_reason: str
    lines: tuple[ExplainedLine, ...]
    regions: int
    flop: float
    bytes: float
    layers: str = ""


def explain(plan: Plan) -> Explanation:
    """Return the explanation of a plan's program. Nothing is compiled or trained."""
    program = plan.program
    run, batch = _bare_run(plan)
    lines = [_explained(line, "first step", run, batch) for line in program.first]
    lines += [_explained(line, "every step", run, batch) for line in program.step]
    return Explanation(
        plan.step.shape.widths,
        plan.step.batch_size,
        plan.threads,
        plan.threads_reason,
        0 if plan.asked or plan.threads == 1 else plan.begins_on,
        plan.input_loops,
        plan.input_reason,
        tuple(lines),
        len({line.region for line in program.step if line.parts > 1}),
        sum(line.cost.flop for line in program.step),
        sum(line.cost.bytes for line in program.step),
        f"{layers_in_words(plan.step.shape.model_dump())}, {plan.step.config.optimizer}{_frozen(plan)}",
    )


def _frozen(plan: Plan) -> str:
    """Which layers keep their parameters, in words."""
    frozen = sorted(plan.step.config.frozen(plan.step.shape))
    return f", frozen {' and '.join(map(str, frozen))}" if frozen else ""


def _bare_run(plan: Plan) -> tuple[Run, Batch]:
    """What `assigned_range` looks at: the layout and a whole batch; no arrays of numbers."""
    run = empty_run()
    indices = np.zeros(plan.step.batch_size, np.int32)
    state = run.state._replace(params=np.zeros(plan.layout.params, np.float32))
    return run._replace(layers=plan.layout.layers, network=plan.layout.network, state=state), Batch(
        indices, indices, 0, len(indices), 0, 0, 0.0, 1.0, 0, len(indices)
    )


def _explained(line: Line, when: str, run: Run, batch: Batch) -> ExplainedLine:
    range_of, split = plain(assigned_range), SPLITS[line.split]
    owners = [range_of(run, batch, split, line.layer, part, line.parts) for part in range(line.parts)]
    return ExplainedLine(
        when,
        line.region,
        line.operation,
        line.layer,
        "next" if line.next_batch else "this",
        line.kernels,
        line.split,
        line.parts,
        line.reason,
        line.waits_for,
        line.cost.flop,
        line.cost.bytes,
        tuple((int(first), int(last)) for first, last in owners),
    )
