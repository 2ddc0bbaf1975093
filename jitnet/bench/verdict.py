"""What an operation is bound by, and a plain sentence about it: for rows of the bench and of a profile.

A row is compared with its roof (Williams, Waterman and Patterson 2009): the time that its arithmetic would take at the
measured peak, and its bytes at the measured bandwidth of the nearest memory that holds them. Where it is far from both,
it is bound by latency: it waits for single results, or ends before its loops reach full speed.
"""

from dataclasses import dataclass

from jitnet.bench.figures import duration
from jitnet.bench.results import Probes

__all__ = ["LEVELS", "Judgement", "judge", "judge_region", "level_of"]

LEVELS = ("first cache", "second cache", "last cache", "memory")
"""The names of the levels of `Probes`, the smallest arrays first."""

BINDS = 0.5
"""Share of a roof from which a row is bound by it."""

SHORT_S = 1e-6
"""Below this a row's loops take longer to begin and end than to run."""

UNEVEN = 1.2
"""Times the mean that the longest part may take."""

COUNTS = 0.1
"""Share of a region's time from which starting or waiting is worth a sentence."""


@dataclass(frozen=True)
class Judgement:
    """roof: share of the roof that was reached; binds: what the row is bound by; verdict: one sentence."""

    roof: float
    binds: str
    verdict: str


def level_of(probes: Probes, size_bytes: float) -> tuple[str, float]:
    """The level whose bandwidth a loop over so many distinct bytes can reach, and that in GB/s."""
    bandwidth = probes.bandwidth(size_bytes)
    number = next(number for number, level in enumerate(probes.levels) if level.best_gbs == bandwidth)
    return LEVELS[min(number, len(LEVELS) - 1)], bandwidth


def judge(
    seconds: float,
    flop: float,
    size_bytes: float,
    probes: Probes,
    *,
    nominal_flop: float = 0.0,
    by_thread_s: tuple[float, ...] = (),
    starts: bool = False,
) -> Judgement:
    """Judge a row. seconds: of all parts in parallel. probes: for so many threads. nominal_flop: with the zeros that
    were skipped. starts: whether starting its region takes longer than the work in it."""
    if not flop and not size_bytes:
        return Judgement(0.0, "latency", "nothing is counted here: no roof")
    level, bandwidth = level_of(probes, size_bytes)
    arithmetic, memory = flop / (probes.peak_gflops * 1e9 * seconds), size_bytes / (bandwidth * 1e9 * seconds)
    roof = max(arithmetic, memory)
    of_peak, of_level = f"{arithmetic:.0%} of the multiply-add peak", f"{memory:.0%} of the {level}'s bandwidth"
    nearest, bound = (of_peak, "arithmetic") if arithmetic >= memory else (of_level, level)
    if roof > 1.0:
        return Judgement(roof, bound, f"impossible: {nearest}; a count or a roof is wrong")
    if starts:
        binds, verdict = "starting threads", "starting threads takes longer than the work of this region"
    elif roof >= BINDS:
        binds, verdict = bound, f"bound by {bound}: {nearest}"
    elif seconds < SHORT_S:
        binds, verdict = (
            "latency",
            f"bound by latency: it ends after {duration(seconds)}, before a loop reaches full speed",
        )
    else:
        binds = "latency"
        verdict = f"bound by latency: {arithmetic:.0%} of the multiply-add peak, {memory:.0%} of the {level}"
    if nominal_flop > flop:
        skipped, nominal = 1.0 - flop / nominal_flop, nominal_flop / seconds / 1e9
        verdict += f"; {skipped:.0%} of its products are by zero and skipped ({nominal:.0f} GFLOP/s with them)"
    if len(by_thread_s) > 1:
        mean, longest = sum(by_thread_s) / len(by_thread_s), max(by_thread_s)
        if longest > UNEVEN * mean:
            verdict += f"; uneven: thread {by_thread_s.index(longest)} takes {longest / mean:.1f} times the mean"
    return Judgement(roof, binds, verdict)


def judge_region(
    parts: int, wall_s: float, busy_s: float, starting_s: float, waiting_s: float, extent: int, unit: str
) -> str:
    """What is to be said of a region's threads, "" where nothing is. extent: in how many `unit`s its work is split."""
    if parts == 1:
        return ""
    idle_s = wall_s - busy_s
    waiting = f"waiting for the slowest part takes {duration(waiting_s)} of {duration(wall_s)}"
    told = f"starting threads takes {duration(starting_s)} of {duration(wall_s)}"
    if busy_s * (parts - 1) < idle_s:
        # One thread would take parts * busy_s; work shrinks with the extent, starting does not.
        least = extent * idle_s / (busy_s * (parts - 1)) if busy_s else float("inf")
        below = f" below {least:,.0f} {unit}" if least < 1e6 else ""
        if starting_s >= waiting_s:
            return f"{told}: serial is faster{below}"
        return f"{waiting}: serial is faster{below}"
    if starting_s > COUNTS * wall_s:
        return told
    if waiting_s > COUNTS * wall_s:
        return waiting
    return ""
