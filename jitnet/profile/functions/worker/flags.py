"""Denormal numbers, in the arguments, in the results and in between."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.profile.functions.worker.calls import Calls, arrays_in
from jitnet.profile.functions.worker.thread_clock import DENORMAL_OPERAND, X86, ThreadClock

__all__ = ["Denormals", "look_for_denormals"]

COST_S, MOST_CALLS = 0.5, 50
"""For how long, and how often at most, a call is timed with denormal numbers and with these flushed to zero."""

COST = 1.1
"""A call that takes this many times as long with them as without is slowed down by them."""


class Denormals(NamedTuple):
    """name: of the array that has the most of them, "" where they only occur in between. share: of the call's time that
    they cost."""

    name: str
    reason: str
    share: float


def look_for_denormals(
    calls: Calls, arguments: Sequence[Any], names: Sequence[str], clock: ThreadClock
) -> Denormals | None:
    """Look in the arrays, and at the processor's flag after a call; None where there are no denormal numbers."""

    def arrays(results: bool) -> Iterator[tuple[str, Any]]:
        for argument, name in zip(arguments, names, strict=True):
            yield from arrays_in(argument, name)
        if results:
            yield from arrays_in(calls.result, "the result")

    calls.reset()
    before = {id(array): np.array(array, copy=True) for _, array in arrays(False)}
    arguments_have, flags = _count_denormals(arrays(False)), 0
    if X86:
        calls.restore()
        clock.clear_flags(flush=False)
        try:
            calls.one()
        finally:
            flags = clock.read_flags()
    else:
        calls.one()
    # What a call overwrites, or never reads, may be memory that nothing wrote: only what it computed counts, and, where
    # an operand was denormal, what it left as it was.
    found = _count_denormals(arrays(True), before)
    if flags & DENORMAL_OPERAND or not X86:
        written = set(calls.changed())
        found += [each for each in arguments_have if each[0] not in written]
    name, count, size = max(found, key=lambda each: each[1], default=("", 0, 0))
    if not count and not flags & DENORMAL_OPERAND:
        return None
    cost = _cost(calls, clock) if X86 else 1.0
    if not count and cost < COST:
        return None
    what = f"{count:,} of {size:,} numbers of {name} are denormal" if count else "numbers in between are denormal"
    effect = (
        f"the call takes {cost:.1f} times as long as with such numbers flushed to zero"
        if cost >= COST
        else "it costs nothing on this processor; on many each operation on one takes a hundred cycles"
    )
    return Denormals(name, f"{what}: {effect}", 1 - 1 / cost if cost >= COST else 0.0)


def _cost(calls: Calls, clock: ThreadClock) -> float:
    """Return the time of a call, over its time with denormal numbers flushed to zero."""
    times: dict[bool, list[float]] = {False: [], True: []}
    begin = time.perf_counter()
    while (time.perf_counter() - begin < COST_S and len(times[True]) < MOST_CALLS) or not times[True]:
        for flush in (False, True):
            calls.reset()
            clock.clear_flags(flush)
            try:
                times[flush].append(calls.one())
            finally:
                clock.read_flags()
    return min(times[False]) / max(min(times[True]), 1e-9)


def _count_denormals(
    arrays: Iterable[tuple[str, Any]], before: dict[int, Any] | None = None
) -> list[tuple[str, int, int]]:
    """Return for each array of floats: its name, how many of its numbers are denormal, and how many there are.

    before: what arrays held, by their id: numbers that are still the same are not counted.
    """
    found = []
    for name, array in arrays:
        if array.dtype.kind == "f" and array.size:
            size = np.abs(array)
            denormal = (size > 0) & (size < np.finfo(array.dtype).tiny)
            if before is not None and id(array) in before:
                denormal &= array != before[id(array)]
            found.append((name, int(denormal.sum()), int(array.size)))
    return found
