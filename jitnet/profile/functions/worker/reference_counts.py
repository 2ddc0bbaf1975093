"""Hints where counting references takes a share of a call that is worth reading: by samples, not by types, since the
compiler removes most counts."""

from collections.abc import Mapping

from jitnet.profile.code.source import loop_at
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.thresholds import REFERENCES
from jitnet.profile.functions.worker.diagnostics import Hints
from jitnet.profile.functions.worker.dwarf import SourceLine

__all__ = ["add_reference_hints", "drop_counts_of_allocations"]


def add_reference_hints(hints: Hints, shares: Mapping[SourceLine, float]) -> None:
    """Add a hint for each loop, or line outside loops, where references are counted for long.

    shares: for each line, which part of a call's time is spent on counting references there. The hint is at the line of
    a loop that has most of it.
    """
    loops: dict[SourceLine, dict[SourceLine, float]] = {}
    for at, share in shares.items():
        loops.setdefault(_around(*at), {})[at] = share
    for lines in loops.values():
        share = sum(lines.values())
        if share < REFERENCES:
            continue
        file, line = max(lines, key=lambda each: lines[each])
        reason = f"counting who uses an array takes {share:.0%} of the call: the compiler cannot remove it here"
        hints.add(Kind.REFERENCES, file, line, reason, "samples", share=share)


def drop_counts_of_allocations(hints: Hints) -> None:
    """Drop the hints for loops that allocate: what is counted there is what they allocate, and that has a hint."""
    allocating = {
        _around(hint["place"]["file"], hint["place"]["line"])
        for hint in hints.found
        if hint["kind"] == Kind.ALLOCATION.value
    }
    hints.found[:] = [
        hint
        for hint in hints.found
        if hint["kind"] != Kind.REFERENCES.value
        or _around(hint["place"]["file"], hint["place"]["line"]) not in allocating
    ]


def _around(file: str, line: int) -> SourceLine:
    """Return the place of the loop that a line is in; of the line itself where it is in none."""
    loop = loop_at(file, line)
    return (file, loop.line) if loop is not None else (file, line)
