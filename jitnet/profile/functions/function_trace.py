"""A timeline of some calls of a function: a track of the calls, and one for each thread with its parallel loops."""

from pathlib import Path
from typing import Any

from jitnet.bench.figures import threads_text
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.trace_events import metadata, timed, trace

__all__ = ["trace_of"]

CALLS = 0
"""Track of the calls; those of the threads follow from 1 on."""


def trace_of(profile: FunctionProfile) -> dict[str, Any]:
    """Return the calls of `profile.timeline` as the JSON object of a trace."""
    name = profile.target.rpartition(":")[2]
    threads = sorted({region.thread for call in profile.timeline for region in call.regions})
    tracks = [(CALLS, "calls"), *((1 + thread, f"thread {thread}") for thread in threads)]
    events = [metadata("process_name", CALLS, name=f"{profile.target}, {threads_text(profile.threads)}")]
    for place, text in tracks:
        events += [metadata("thread_name", place, name=text), metadata("thread_sort_index", place, sort_index=place)]
    for number, call in enumerate(profile.timeline):
        events.append(timed(name, "call", CALLS, call.begin_s, call.end_s, {"call": number}))
    regions = (region for call in profile.timeline for region in call.regions)
    for region in sorted(regions, key=lambda region: (region.begin_s, region.thread)):
        where = f"{Path(region.place.file).name}:{region.place.line}"
        arguments = {"source": region.place.source}
        events.append(timed(where, "parallel loop", 1 + region.thread, region.begin_s, region.end_s, arguments))
    settings = {"target": profile.target, "signature": profile.signature, "threads": profile.threads}
    return trace(events, settings)
