"""A whole training step on each count of threads: what another thread gains, and what limits it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from jitnet.bench.results import Case, Probes, Result, StepRow
from jitnet.bench.timing import timed
from jitnet.bench.workload import Subject
from jitnet.engine.program import Program

__all__ = ["same_bits", "step_cases", "step_rows"]

AS_FAST = 1.03
"""A count within 3% of the fastest is as good, and the smallest of these is recommended: an idle core is worth more."""

LEARNING_RATE = 1e-3
"""Of the few steps whose bits are compared."""

NEGLIGIBLE = 0.1
"""The share of a step below which a cause is not reported as its limit."""


def step_cases(subject: Subject, threads: Sequence[int]) -> list[Case]:
    """A case for each count: a step of plain SGD, every sample from the same parameters.

    FLOP: 2 products for the first layer and 3 for each above it, 2 n i o each, with the entries for n i where the first
    layer skips zeros; activations and loss are not counted.
    """
    return [_case(subject, count) for count in threads]


def step_flop(subject: Subject) -> float:
    """FLOP of the linear layers in one step."""
    widths, n = subject.shape.widths, subject.batch_size
    above = sum(before * after for before, after in pairwise(widths[1:]))
    return 4.0 * subject.entries * widths[1] + 6.0 * n * above


def _case(subject: Subject, threads: int) -> Case:
    training = subject.training(threads)

    def run(repeats: int) -> float:
        return timed(lambda: training.train(repeats))

    shape = f"{'-'.join(map(str, subject.shape.widths))}, batch {subject.batch_size}"
    return Case("step", "training step", shape, threads, step_flop(subject), 0.0, run, training.restore)


def same_bits(subject: Subject, threads: Sequence[int], steps: int = 4) -> bool:
    """Whether a few steps have the same parameters, bit for bit, at every count."""
    found = set()
    for count in threads:
        training = subject.training(count)
        training.run.schedule.peak = LEARNING_RATE
        training.train(steps)
        found.add(training.run.state.params.tobytes())
    return len(found) == 1


def step_rows(subject: Subject, results: Sequence[Result], probes: Sequence[Probes]) -> tuple[StepRow, ...]:
    """One row per count; speed-up and efficiency are against the first."""
    by_threads = {result.threads: result for result in results if result.group == "step"}
    first = by_threads[min(by_threads)]
    fastest = min(result.median_s for result in by_threads.values())
    recommended = min(count for count, result in by_threads.items() if result.median_s <= AS_FAST * fastest)
    rows = []
    for limits in probes:
        result = by_threads[limits.threads]
        plan = subject.training(limits.threads).plan
        parts = plan.program.threads
        speed_up = first.median_s / result.median_s
        rows.append(
            StepRow(
                result.threads,
                parts,
                result.median_s * 1e6,
                result.spread,
                subject.batch_size / result.median_s,
                speed_up,
                speed_up * first.threads / result.threads,
                _limit(result, first, limits, plan.program, plan.layout.layers[0], parts),
                result.threads == recommended,
                _accounted(plan.program, result, results, limits),
            )
        )
    return tuple(rows)


def _accounted(program: Program, step: Result, results: Sequence[Result], probes: Probes) -> float | None:
    """Share of a measured step that the rows of its lines and the starting of its regions add up to.

    The lines on the next batch are those of this one, a step later, and are counted as in the program.
    """
    rows = {
        result.name.split(",")[0]: result.median_s
        for result in results
        if result.group == "operation" and result.used and result.threads == step.threads
    }
    names = [replace(line, next_batch=False).name for line in program.step]
    if not rows.keys() >= set(names):
        return None
    starting = regions(program) * (probes.region_us or 0.0) * 1e-6
    return (sum(rows[name] for name in names) + starting) / step.median_s


def regions(program: Program) -> int:
    """Parallel regions of a step."""
    return len({line.region for line in program.step if line.parts > 1})


def _limit(result: Result, first: Result, probes: Probes, program: Program, layer: Any, parts: int) -> str:
    """What limits a step on this count of threads, in words: the first of these that is true.

    The split: a step has too little work for all, or panels that do not divide evenly. Regions: their number times an
    empty one's cost is a tenth of the step. Else the serial share e that follows from the speed-up S on n threads (Karp
    and Flatt 1990: e = (1/S - 1/n) / (1 - 1/n)); and where that is small, how near the arithmetic is to the peak.
    """
    threads, share = result.threads, result.gflops / probes.peak_gflops
    near = f"arithmetic: {share:.0%} of the multiply-add peak"
    if threads == first.threads:
        return near
    if parts < threads:
        return f"too little work: split in {parts} part{'s' * (parts != 1)}"
    starting = regions(program) * (probes.region_us or 0.0) * 1e-6 / result.median_s
    if starting > NEGLIGIBLE:
        return f"regions: going through {regions(program)} takes {starting:.0%}"
    groups = -(-int(layer.padded_features) // int(layer.group))
    uneven = 1 - groups / (-(-groups // parts) * parts)
    if uneven > NEGLIGIBLE:
        return f"uneven split: {groups} groups of units over {parts} threads"
    n, speed_up = threads / first.threads, first.median_s / result.median_s
    if speed_up < 1:
        return f"slower than on {first.threads}: busy cores, or the threads wait for each other"
    serial = (1 / speed_up - 1 / n) / (1 - 1 / n)
    return f"{serial:.0%} serial or shared (caches, memory)" if serial > NEGLIGIBLE else near
