"""Denormal numbers, in what goes in, what comes out and what is made in between."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.profile.functions.worker.calls import Calls, arrays_in
from jitnet.profile.functions.worker.thread_clock import DENORMAL_OPERAND, X86, ThreadClock

__all__ = ["Denormals", "look_for_denormals"]

COST_S, MOST_CALLS = 0.5, 50
"""For how long, and how often at most, a call is timed as it is and with denormal numbers flushed to zero."""

COST = 1.1
"""A call that takes this many times as long with them as without is slowed down by them."""


class Denormals(NamedTuple):
    """name: of the array that has the most of them, "" where they are only made in between. share: of the call's time
    that they cost."""

    name: str
    reason: str
    share: float


def look_for_denormals(
    calls: Calls, arguments: Sequence[Any], names: Sequence[str], clock: ThreadClock
) -> Denormals | None:
    """Look in the arrays, and where the processor has a flag for it, at one call; None where there are none."""

    def arrays(results: bool) -> Iterator[tuple[str, Any]]:
        for argument, name in zip(arguments, names, strict=True):
            yield from arrays_in(argument, name)
        if results:
            yield from arrays_in(calls.result, "the result")

    calls.reset()
    given, seen = _counted(arrays(False)), 0
    if X86:
        calls.restore()
        clock.watch_flags(flush=False)
        try:
            calls.one()
        finally:
            seen = clock.seen_flags()
    else:
        calls.one()
    left = _counted(arrays(True))
    name, count, size = max((*given, *left), key=lambda found: found[1], default=("", 0, 0))
    if not count and not seen & DENORMAL_OPERAND:
        return None
    cost = _cost(calls, clock) if X86 else 1.0
    if not count and cost < COST:
        return None
    what = f"{count:,} of {size:,} numbers of {name} are denormal" if count else "numbers in between are denormal"
    told = (
        f"the call takes {cost:.1f} times as long as with such numbers taken for zero"
        if cost >= COST
        else "it costs nothing on this processor; on many each operation on one takes a hundred cycles"
    )
    return Denormals(name, f"{what}: {told}", 1 - 1 / cost if cost >= COST else 0.0)


def _cost(calls: Calls, clock: ThreadClock) -> float:
    """Time of a call as it is, over its time with denormal numbers flushed to zero."""
    taken: dict[bool, list[float]] = {False: [], True: []}
    begin = time.perf_counter()
    while (time.perf_counter() - begin < COST_S and len(taken[True]) < MOST_CALLS) or not taken[True]:
        for flush in (False, True):
            calls.reset()
            clock.watch_flags(flush)
            try:
                taken[flush].append(calls.one())
            finally:
                clock.seen_flags()
    return min(taken[False]) / max(min(taken[True]), 1e-9)


def _counted(arrays: Iterable[tuple[str, Any]]) -> list[tuple[str, int, int]]:
    """For each array of floats: its name, how many of its numbers are denormal, and how many there are."""
    found = []
    for name, array in arrays:
        if array.dtype.kind == "f" and array.size:
            size = np.abs(array)
            found.append((name, int(((size > 0) & (size < np.finfo(array.dtype).tiny)).sum()), int(array.size)))
    return found
