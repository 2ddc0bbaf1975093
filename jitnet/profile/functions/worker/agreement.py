"""Whether two calls of equal work have equal results, and by how much they differ."""

from typing import Any

import numpy as np

from jitnet.profile.functions.worker.diagnostics import JsonObject
from jitnet.profile.functions.worker.differences import sizes
from jitnet.profile.functions.worker.outcomes import LENGTH, Opaque, Outcome, is_number, leaves, plain_value

__all__ = ["agreement", "kept"]

ROUNDING = 1000
"""Differences of so many units in the last place of the largest value are rounding; more is named."""


def kept(result: Any, written: dict[str, Any]) -> Outcome:
    """Return a copy of a call's results. written: arguments that it changed, by name."""
    return {"result": plain_value(result), **{name: plain_value(value) for name, value in written.items()}}


def agreement(first: Outcome, second: Outcome) -> JsonObject:
    """Return how two results agree.

    verdict: "equal" to the last bit, "rounding", "differ", or "unknown" where there is nothing that can be compared.
    difference: the largest, as a share of the largest value there; None where no number says it. where: the result in
    which it is. reason: what else is different.
    """
    before, after = (
        {name: value for name, value in leaves("", each) if not name.startswith(LENGTH)} for each in (first, second)
    )
    worst: JsonObject = {"verdict": "equal", "difference": 0.0, "where": "", "reason": ""}
    order = ("equal", "unknown", "rounding", "differ")
    seen = 0
    for name in dict.fromkeys([*before, *after]):
        if name not in before or name not in after:
            missing = "second" if name in before else "first"
            what = "returns" if name.startswith("result") else "writes to"
            found = _found("differ", None, name, f"the {missing} {what} no such")
        elif before[name] is None and after[name] is None:
            continue
        else:
            found = _compared(name, before[name], after[name])
        seen += found["verdict"] != "unknown"
        rank, worst_rank = order.index(found["verdict"]), order.index(worst["verdict"])
        if rank > worst_rank or (rank == worst_rank and (found["difference"] or 0) > (worst["difference"] or 0)):
            worst = found
    if not seen and worst["verdict"] == "equal":
        return _found("unknown", None, "", "neither returns nor writes anything")
    return worst


def _found(verdict: str, difference: float | None, where: str, reason: str) -> JsonObject:
    return {"verdict": verdict, "difference": difference, "where": where, "reason": reason}


def _compared(name: str, before: Any, after: Any) -> JsonObject:
    opaque = next((each for each in (before, after) if isinstance(each, Opaque)), None)
    if opaque is not None:
        return _found("unknown", None, name, f"values of type {opaque.kind} cannot be compared")
    if not is_number(before) or not is_number(after):
        same = type(before) is type(after) and before == after
        return _found("equal", 0.0, name, "") if same else _found("differ", None, name, "it is different")
    a, b = np.asarray(before), np.asarray(after)
    if a.shape != b.shape:
        return _found("differ", None, name, f"its shape is {a.shape} and {b.shape}")
    if a.dtype == b.dtype and a.tobytes() == b.tobytes():
        return _found("equal", 0.0, name, "")
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return _found("differ", None, name, "its elements are different")
    return _numbers(name, a, b, f"its type is {a.dtype} and {b.dtype}" if a.dtype != b.dtype else "")


def _numbers(name: str, a: Any, b: Any, reason: str) -> JsonObject:
    unequal = (a != b) & ~((a != a) & (b != b))
    changed = int(np.sum(unequal))
    infinite = int(np.sum(unequal & ~(np.isfinite(a) & np.isfinite(b))))
    if infinite:
        plural = "s" * (infinite != 1)
        return _found("differ", None, name, f"{infinite} element{plural} NaN or infinite in one of both only")
    largest, apart = sizes(a, b, unequal) if changed else (0.0, 0.0)
    share = apart / largest if largest else 0.0
    inexact = [each.dtype for each in (a, b) if each.dtype.kind in "fc"]
    if not inexact:
        if changed:
            return _found("differ", share, name, f"{changed:,} of {a.size:,} whole numbers are different")
        return _found("equal", 0.0, name, reason)
    if share <= ROUNDING * max(float(np.finfo(kind).eps) for kind in inexact):
        return _found("rounding", share, name, reason or ("" if apart else "only in signs of zeros, or bits of NaN"))
    return _found("differ", share, name, reason)
