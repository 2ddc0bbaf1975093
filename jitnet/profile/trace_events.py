"""A timeline in Chrome's trace event format, which Perfetto and speedscope open.

It is the JSON object form of "Trace Event Format" (the Chromium authors): complete events ("X") with `ts` and `dur` in
microseconds, and metadata ("M") that names processes and threads. Times are rounded to whole nanoseconds, and an end is
rounded like the begin that follows it, so that neighbours never overlap.
"""

from collections.abc import Sequence
from typing import Any

__all__ = ["metadata", "timed", "trace"]

PROCESS = 1


def trace(events: Sequence[dict[str, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the whole file. settings: what was measured."""
    return {"displayTimeUnit": "ns", "otherData": settings, "traceEvents": list(events)}


def metadata(what: str, track: int, **arguments: Any) -> dict[str, Any]:
    """Return a metadata event. The format requires no time here, but speedscope does."""
    return {"ph": "M", "name": what, "cat": "__metadata", "pid": PROCESS, "tid": track, "ts": 0, "args": arguments}


def timed(name: str, kind: str, track: int, begin_s: float, end_s: float, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a slice of a track."""
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
