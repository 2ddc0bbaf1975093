"""The roofline of a function: a point for it, and one for each of its loops whose work and time are known."""

from pathlib import Path
from typing import TYPE_CHECKING

from jitnet.bench.figures import threads_text
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import Count
from jitnet.profile.roofline import Point, Roofline, bandwidths_of

if TYPE_CHECKING:  # they set what Numba reads, and a process that shows a profile keeps its settings
    from jitnet.bench.results import Probes
    from jitnet.bench.timing import Progress

__all__ = ["limits_for", "loop_name", "roofline_of_function", "shares_of_loops", "timed_count"]

LIMITS_S = 1.5
"""Seconds for measuring the machine's limits."""

SMALL_SHARE = 0.01
"""A loop with less of the call's time has no point: its time is too uncertain."""


def timed_count(profile: FunctionProfile) -> Count:
    """Return the count of threads whose call the loops are parts of: that which was sampled, else the fastest."""
    return profile.full if profile.sampling is not None else profile.best


def limits_for(profile: FunctionProfile, progress: "Progress" = lambda what, done, total: None) -> "Probes":
    """Measure the machine's limits, on as many threads as the loops were timed on."""
    from jitnet.bench.limits import measure_probes

    return measure_probes([timed_count(profile).threads], LIMITS_S, progress, regions=False)[0]


def shares_of_loops(profile: FunctionProfile) -> dict[tuple[str, int], float]:
    """Return each loop's share of a call, by its file and line; none where the call was not sampled.

    A loop of a function that is called in several places has a row for each of them, and here their sum, as it has the
    FLOP of all of them.
    """
    found: dict[tuple[str, int], float] = {}
    for loop in profile.sampling.loops if profile.sampling is not None else ():
        if loop.kind == "loop":
            key = (loop.place.file, loop.place.line)
            found[key] = found.get(key, 0.0) + loop.share
    return found


def loop_name(profile: FunctionProfile, place: Place) -> str:
    """Return the name of a loop's point: its line, with the file where that is not the function's."""
    where = "" if place.file == profile.place.file else f" of {Path(place.file).name}"
    return f"loop in line {place.line}{where}"


def roofline_of_function(profile: FunctionProfile, probes: "Probes", machine: str) -> Roofline:
    """Return the function and each of its loops, under the roofs of the threads that they were timed on.

    machine: the processor, as text. A function without counted FLOP and bytes has no point.
    """
    from jitnet.bench.verdict import judge

    name = profile.target.rpartition(":")[2]
    timed = timed_count(profile)
    seconds = timed.median_s
    rows = [(name, profile.flop, profile.bytes, seconds)]
    shares = shares_of_loops(profile)
    for loop in profile.counted.loops if profile.counted is not None else ():
        share = shares.get((loop.place.file, loop.place.line), 0.0)
        if share >= SMALL_SHARE:
            rows.append((loop_name(profile, loop.place), loop.flop, loop.bytes, seconds * share))
    points, left_out = list[Point](), list[str]()
    for label, flop, size, taken in rows:
        if flop and size:
            found = judge(taken, flop, size, probes)
            points.append(Point(label, flop / size, flop / taken / 1e9, found.roof, found.binds))
        else:
            left_out.append(label)
    return Roofline(
        f"Roofline of {name} on {threads_text(timed.threads)}",
        probes.peak_gflops,
        bandwidths_of(probes),
        tuple(points),
        tuple(left_out),
        subtitle=(machine, f"{profile.target}{profile.signature}"),
    )
