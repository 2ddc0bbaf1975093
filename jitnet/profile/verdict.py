"""What starting threads and waiting for the slowest cost a region, in one sentence."""

from jitnet.bench.verdict import microseconds

__all__ = ["judge_region"]

COUNTS = 0.1
"""Share of a region's time from which starting or waiting is worth a sentence."""


def judge_region(
    parts: int, wall_s: float, busy_s: float, starting_s: float, waiting_s: float, extent: int, unit: str
) -> str:
    """What is to be said of a region's threads, "" where nothing is. extent: in how many `unit`s its work is split."""
    if parts == 1:
        return ""
    idle_s = wall_s - busy_s
    waiting = f"waiting for the slowest part takes {microseconds(waiting_s)} of {microseconds(wall_s)} µs"
    told = f"starting threads takes {microseconds(starting_s)} of {microseconds(wall_s)} µs"
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
