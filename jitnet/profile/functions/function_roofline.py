"""The roofline of a function: a point for it, and one for each of its loops whose work and time are known."""

from jitnet.bench.figures import threads_text
from jitnet.bench.limits import measure_probes
from jitnet.bench.results import Probes
from jitnet.bench.timing import Progress
from jitnet.bench.verdict import judge
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.loop_times import loop_name, shares_of_loops, timed_count
from jitnet.profile.roofline import Point, Roofline, bandwidths_of

__all__ = ["limits_for", "roofline_of_function"]

LIMITS_S = 1.5
"""Seconds for measuring the machine's limits."""

SMALL_SHARE = 0.01
"""A loop with less of the call's time has no point: its time is too uncertain."""


def limits_for(profile: FunctionProfile, progress: Progress = lambda what, done, total: None) -> Probes:
    """Measure the machine's limits, on as many threads as the loops were timed on."""
    return measure_probes([timed_count(profile).threads], LIMITS_S, progress, regions=False)[0]


def roofline_of_function(profile: FunctionProfile, probes: Probes, machine: str) -> Roofline:
    """Return the function and each of its loops, under the roofs of the threads that they were timed on.

    machine: the processor, as text. A function without counted FLOP and bytes has no point.
    """
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
