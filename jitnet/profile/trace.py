"""A timeline of some training steps in Chrome's trace event format, which Perfetto and speedscope open.

The format is the JSON object form of "Trace Event Format" (the Chromium authors): complete events ("X") with `ts` and
`dur` in microseconds, and metadata ("M") that names processes and threads. One track has the steps, and each thread has
one with its lines. Times are rounded to whole nanoseconds, and an end is rounded like the begin that follows it, so
that neighbours never overlap.
"""

from typing import Any

from jitnet.profile.records import Profile, Row

__all__ = ["as_trace"]

PROCESS = 1
STEPS = 0
"""Track of the steps; those of the threads follow from 1 on."""


def as_trace(profile: Profile) -> dict[str, Any]:
    """The document: a slice for each line, thread and step, and one for each step; a step is from its first line's
    begin to its last one's end.

    A slice has what belongs to its row as arguments, the same in every step: speedscope adds up slices only where names
    and arguments are equal. The number of a step stands at the step.
    """
    threads = sorted({*range(profile.threads), *(one.thread for one in profile.slices)})
    events = [_named("process_name", STEPS, name=f"jitnet, {_threads(profile.threads)}")]
    for place, name in ((STEPS, "steps"), *((1 + thread, f"thread {thread}") for thread in threads)):
        events += [_named("thread_name", place, name=name), _named("thread_sort_index", place, sort_index=place)]
    ends: dict[int, tuple[float, float]] = {}
    for one in profile.slices:
        begin_s, end_s = ends.get(one.step, (one.begin_s, one.end_s))
        ends[one.step] = min(begin_s, one.begin_s), max(end_s, one.end_s)
    for step, (begin_s, end_s) in sorted(ends.items()):
        events.append(_slice(f"step {step}", "step", STEPS, begin_s, end_s, {"step": step}))
    arguments = [_arguments(row) for row in profile.rows]
    for one in sorted(profile.slices, key=lambda one: (one.begin_s, one.thread)):
        name = profile.rows[one.row].name
        events.append(_slice(name, "operation", 1 + one.thread, one.begin_s, one.end_s, arguments[one.row]))
    return {
        "displayTimeUnit": "ns",
        "otherData": {"cpu": profile.machine.cpu, **profile.settings, "threads": profile.threads},
        "traceEvents": events,
    }


def _arguments(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": row.shape, "FLOP": row.flop, "bytes": row.bytes}
    if row.flop:
        found["GFLOP/s"] = round(row.gflops, 3)
    if row.skips_zeros:
        found["FLOP with zeros"] = row.nominal_flop
    return {**found, "split by": row.split, "parts": row.parts, "region": row.region}


def _named(what: str, track: int, **arguments: Any) -> dict[str, Any]:
    """A metadata event. The format asks for no time here, but speedscope does."""
    return {"ph": "M", "name": what, "cat": "__metadata", "pid": PROCESS, "tid": track, "ts": 0, "args": arguments}


def _slice(name: str, kind: str, track: int, begin_s: float, end_s: float, arguments: dict[str, Any]) -> dict[str, Any]:
    begin_ns, end_ns = round(begin_s * 1e9), round(end_s * 1e9)
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "pid": PROCESS,
        "tid": track,
        "ts": begin_ns / 1e3,
        "dur": (end_ns - begin_ns) / 1e3,
        "args": arguments,
    }


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"
