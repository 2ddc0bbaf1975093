"""Whether two calls of equal work have equal results, and by how much they differ."""

import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from jitnet.profile.functions.worker.diagnostics import JsonObject

__all__ = ["agreement", "kept"]

ROUNDING = 1000
"""Differences of so many units in the last place of the largest value are rounding; more is named."""

Results = dict[str, Any]
"""What a call returned and wrote, by name: "result", "result[1]", and the arguments that are arrays."""


def kept(result: Any, written: dict[str, Any]) -> Results:
    """Return a copy of a call's results. written: arguments that it changed, by name."""
    return {
        name: np.array(value, copy=True) if isinstance(value, np.ndarray) else value
        for name, value in [*_parts(result, "result"), *written.items()]
    }


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what can be compared in a result: arrays and numbers in tuples and lists, each by its name."""
    if isinstance(value, list) and value and all(isinstance(each, (bool, int, float, complex)) for each in value):
        yield name, np.array(value)
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            yield from _parts(part, f"{name}[{number}]")
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _parts(part, f"{name}[{reprlib.repr(key)}]")
    elif type(value).__module__.startswith("numba.typed") and hasattr(value, "__iter__"):
        yield from _parts(dict(value) if hasattr(value, "items") else list(value), name)
    else:
        yield name, value


def agreement(before: Results, after: Results) -> JsonObject:
    """Return how two results agree.

    verdict: "equal" to the last bit, "rounding", "differ", or "unknown" where there is nothing that can be compared.
    difference: the largest, as a share of the largest value there; None where no number says it. where: the result in
    which it is. reason: what else is different.
    """
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
    try:
        a, b = np.asarray(before), np.asarray(after)
    except Exception:  # an object that NumPy cannot look at
        return _found("unknown", None, name, f"values of type {type(before).__name__} cannot be compared")
    if a.shape != b.shape:
        return _found("differ", None, name, f"its shape is {a.shape} and {b.shape}")
    if a.dtype.kind not in "biufc" or b.dtype.kind not in "biufc":
        return _plainly(name, before, after, a, b)
    types = f"{a.dtype} and {b.dtype}" if a.dtype != b.dtype else ""
    if not types and a.tobytes() == b.tobytes():
        return _found("equal", 0.0, name, "")
    return _numbers(name, a, b, f"its type is {types}" if types else "")


def _plainly(name: str, before: Any, after: Any, a: Any, b: Any) -> JsonObject:
    """Compare records, texts and other objects by ==; an object that is equal only to itself cannot be compared."""
    if a.dtype.names or a.dtype.kind in "SUmM":
        if a.dtype == b.dtype and a.tobytes() == b.tobytes():
            return _found("equal", 0.0, name, "")
        return _found("differ", None, name, "its elements are different")
    if getattr(type(before), "__eq__", None) == object.__eq__:
        return _found("unknown", None, name, f"values of type {type(before).__name__} cannot be compared")
    try:
        same = bool(before == after)
    except Exception:  # comparing raises
        return _found("unknown", None, name, f"values of type {type(before).__name__} cannot be compared")
    return _found("equal", 0.0, name, "") if same else _found("differ", None, name, "it is different")


def _numbers(name: str, a: Any, b: Any, reason: str) -> JsonObject:
    inexact = [each.dtype for each in (a, b) if each.dtype.kind in "fc"]
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    exact = [] if inexact else [name]
    with np.errstate(all="ignore"):
        x, y = a.astype(wide), b.astype(wide)
        finite = np.isfinite(x) & np.isfinite(y)
        if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
            count = int(np.sum(~((x == y) | (np.isnan(x) & np.isnan(y)) | finite)))
            plural = "s" * (count != 1)
            return _found("differ", None, name, f"{count} element{plural} NaN or infinite in one of both only")
        largest = float(max(np.max(np.abs(x[finite]), initial=0.0), np.max(np.abs(y[finite]), initial=0.0)))
        apart = float(np.max(np.abs(x[finite] - y[finite]), initial=0.0))
    share = apart / largest if largest else 0.0
    if exact:
        changed = int(np.sum(a != b))
        if changed:
            return _found("differ", share, name, f"{changed:,} of {a.size:,} whole numbers are different")
        return _found("equal", 0.0, name, reason)
    unit = max(float(np.finfo(kind).eps) for kind in inexact)
    if share <= ROUNDING * unit:
        return _found("rounding", share, name, reason or ("" if apart else "only in signs of zeros, or bits of NaN"))
    return _found("differ", share, name, reason)
