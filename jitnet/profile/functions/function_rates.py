"""How fast a function is, in words: its FLOP and bytes a second, and how they were counted."""

from collections import Counter

from jitnet.profile.functions.count_records import Hardware
from jitnet.profile.functions.function_profile import FunctionProfile

__all__ = ["hardware_text", "loop_rates", "missing_text", "rate_text"]


def rate_text(profile: FunctionProfile) -> str:
    """Return "3.64 GFLOP/s, 7.27 GB/s, 0.5 FLOP per byte (counted by …)"; "" where no work is known."""
    if not profile.flop and not profile.bytes:
        return ""
    parts = []
    if profile.gflops:
        parts.append(f"{profile.gflops:.3g} GFLOP/s")
    if profile.gbs:
        parts.append(f"{profile.gbs:.3g} GB/s")
    if profile.flop and profile.bytes:
        parts.append(f"{profile.flop / profile.bytes:.3g} FLOP per byte")
    options = [
        option
        for option, formula, amount in (
            ("--flop", profile.flop_formula, profile.flop),
            ("--bytes", profile.bytes_formula, profile.bytes),
        )
        if formula and amount is not None
    ]
    run = [
        what
        for what, formula, amount in (
            ("FLOP", profile.flop_formula, profile.flop),
            ("bytes", profile.bytes_formula, profile.bytes),
        )
        if not formula and amount is not None
    ]
    how = [f"counted by {' and '.join(options)}"] if options else []
    how += [f"{' and '.join(run)} by running it" if options else "counted by running it"] if run else []
    return f"{', '.join(parts)} ({', '.join(how)})"


def missing_text(profile: FunctionProfile) -> str:
    """Return what could not be counted, and why; "" where all is known."""
    if profile.counted is None or not profile.counted.reason:
        return ""
    missing = [name for name, amount in (("FLOP", profile.flop), ("bytes", profile.bytes)) if amount is None]
    return f"{' and '.join(missing)} not counted: {profile.counted.reason}" if missing else ""


def loop_rates(profile: FunctionProfile) -> dict[int, tuple[str, str]]:
    """Return GFLOP/s and GB/s of each loop as text, by the id of its row in `sampling`; "" for what is not known.

    What a loop does is counted for all calls of its function: one with several rows, for calls from several places, has
    none.
    """
    if profile.sampling is None or profile.counted is None:
        return {}
    counted = {(loop.place.file, loop.place.line): loop for loop in profile.counted.loops}
    rows = Counter((row.place.file, row.place.line) for row in profile.sampling.loops)
    found = {}
    for row in profile.sampling.loops:
        loop = counted.get((row.place.file, row.place.line))
        seconds = row.share * profile.full.median_s
        if row.kind == "loop" and loop is not None and seconds > 0 and rows[row.place.file, row.place.line] == 1:
            found[id(row)] = _rate(loop.flop, seconds), _rate(loop.bytes, seconds)
    return found


def _rate(amount: float | None, seconds: float) -> str:
    return f"{amount / seconds / 1e9:.3g}" if amount else ""


def hardware_text(found: Hardware) -> str:
    """Return what the processor's counters counted in a call, in a line; "" where they could not be read."""
    if not found.known:
        return ""
    parts = []
    for name, amount in (
        ("cycles", found.cycles),
        ("instructions", found.instructions),
        ("cache misses", found.cache_misses),
        ("branch misses", found.branch_misses),
    ):
        if amount is not None:
            parts.append(f"{amount:,.0f} {name}")
    if found.instructions_per_cycle is not None:
        parts.append(f"{found.instructions_per_cycle:.2f} instructions a cycle")
    return ", ".join(parts)
