"""Hints where counting references takes a share of a call that is worth reading: by samples, not by types, since the
compiler removes most counts."""

from collections.abc import Mapping

from jitnet.profile.code.source import loop_at
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.thresholds import REFERENCES
from jitnet.profile.functions.worker.diagnostics import Hints
from jitnet.profile.functions.worker.dwarf import SourceLine

__all__ = ["add_reference_hints"]


def add_reference_hints(hints: Hints, shares: Mapping[SourceLine, float]) -> None:
    """Add a hint for each loop, or line outside loops, where references are counted for long.

    shares: for each line, which part of a call's time is spent on counting references there. The hint is at the line of
    a loop that has most of it.
    """
    loops: dict[SourceLine, dict[SourceLine, float]] = {}
    for (file, line), share in shares.items():
        loop = loop_at(file, line)
        at = (file, loop.line) if loop is not None else (file, line)
        loops.setdefault(at, {})[file, line] = share
    for lines in loops.values():
        share = sum(lines.values())
        if share < REFERENCES:
            continue
        file, line = max(lines, key=lambda each: lines[each])
        reason = f"counting who uses an array takes {share:.0%} of the call: the compiler cannot remove it here"
        hints.add(Kind.REFERENCES, file, line, reason, "samples", share=share)
