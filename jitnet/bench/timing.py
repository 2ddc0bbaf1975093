"""Timing: all cases interleaved, in random order, repetition after repetition."""

import random
import time
from collections.abc import Callable, Sequence

from jitnet.bench.results import Case, Result

__all__ = ["LEAST", "Progress", "measure", "timed"]

LEAST = 9
"""Fewest repetitions for a rank test and a median."""

SHORTEST_S, LONGEST_S, STEP_S = 0.005, 0.02, 0.05
"""A sample's length: entering compiled code must be negligible in it, and all samples together must not take long. A
whole step has more, because its call does more."""

Progress = Callable[[str, int, int], None]


def measure(
    cases: Sequence[Case], repetitions: int, budget_s: float, progress: Progress, seed: int = 0
) -> list[Result]:
    """Time every case `repetitions` times; a slow moment of the machine affects all of them equally.

    Warm-up: each case runs until its time is known, which also determines the calls of a sample, so that all samples
    take about budget_s together. A call that is longer than its share of that is one sample.
    """
    share_s = min(LONGEST_S, max(SHORTEST_S, budget_s / (len(cases) * repetitions)))
    total = len(cases) * (repetitions + 1)
    repeats = []
    for number, case in enumerate(cases):
        progress("warming up", number, total)
        repeats.append(_calls(case, STEP_S if case.group == "step" else share_s))
    samples: list[list[float]] = [[] for _ in cases]
    order, rng = list(range(len(cases))), random.Random(seed)
    done = len(cases)
    for repetition in range(repetitions):
        rng.shuffle(order)
        for number in order:
            progress(f"repetition {repetition + 1} of {repetitions}", done, total)
            case, count = cases[number], repeats[number]
            case.prepare()
            if case.group != "numpy":
                case.run(1 if count > 1 else 0)  # the caches as this case leaves them, not as the one before did
            samples[number].append(case.run(count) / count)
            done += 1
    return [
        Result(
            case.group,
            case.name,
            case.shape,
            case.threads,
            case.flop,
            case.bytes,
            count,
            tuple(seconds),
            case.used,
            case.note,
            case.parts,
        )
        for case, count, seconds in zip(cases, repeats, samples, strict=True)
    ]


def _calls(case: Case, share_s: float) -> int:
    """Calls that take share_s together, at least one."""
    case.prepare()
    case.run(1)
    count = 1
    while True:
        seconds = max(case.run(count), 1e-9)
        if seconds >= share_s / 2 or count >= 1_000_000:
            return max(1, round(count * share_s / seconds))
        count = max(2 * count, min(16 * count, int(count * share_s / seconds)))


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
