"""Whether two runs of a function have the same results: what it returns, and what it writes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitnet.profile.functions.worker.calls import arrays_in

__all__ = ["ROUNDING", "Difference", "difference", "snapshot"]

ROUNDING = {"e": 0.05, "f": 1e-2, "d": 1e-6, "F": 1e-2, "D": 1e-6}
"""For each type of NumPy by its letter: the largest difference, relative to the largest value, that another order of
operations or another rounding causes. More is another result."""

TOTAL = 1.0
"""The difference of results that have different forms, or NaN in different places."""


class Difference:
    """The largest difference between two results.

    relative: to the largest value of the result that differs most; 0.0 where all values are equal, None where they
    cannot be compared. rounding: whether it is no more than rounding.
    """

    def __init__(self, relative: float | None, rounding: bool = True) -> None:
        self.relative, self.rounding = relative, rounding


def snapshot(result: Any, arguments: Sequence[Any], every: bool = False, single: bool = False) -> list[Any]:
    """Return copies of a result and of the arrays in the arguments that can be written to, for `difference`.

    every: of the others too, where arguments that were made of others are compared with those. single: whether numbers
    in the result were computed in float32, which Python's float does not show.
    """
    arrays = [
        np.array(array, copy=True)
        for argument in arguments
        for _, array in arrays_in(argument, "")
        if (every or array.flags.writeable) and not array.dtype.hasobject
    ]
    return [_copied(result, single), *arrays]


def _copied(value: Any, single: bool) -> Any:
    if single and isinstance(value, (float, complex)):
        return np.float32(value) if isinstance(value, float) else np.complex64(value)
    if isinstance(value, np.ndarray):
        return np.array(value, copy=True)
    if isinstance(value, (tuple, list)) or _is_typed_list(value):
        return [_copied(part, single) for part in value]
    return value


def _is_typed_list(value: Any) -> bool:
    return type(value).__name__ == "List" and type(value).__module__.startswith("numba.typed")


def difference(before: Any, after: Any) -> Difference:
    """Return the largest difference between two results, or two lists of them: numbers, arrays, tuples, lists, None."""
    if isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            return Difference(TOTAL, False)
        found = [difference(one, other) for one, other in zip(before, after, strict=True)]
        if any(each.relative is None for each in found):
            return Difference(None)
        worst = max(found, key=lambda each: each.relative or 0.0, default=Difference(0.0))
        return Difference(worst.relative, all(each.rounding for each in found))
    if before is None and after is None:
        return Difference(0.0)
    if isinstance(before, (str, bytes)) and isinstance(after, (str, bytes)):
        return Difference(0.0) if before == after else Difference(TOTAL, False)
    one, other = _numbers(before), _numbers(after)
    if one is None or other is None:
        return Difference(None)
    if one.shape != other.shape:
        return Difference(TOTAL, False)
    if one.dtype.names:
        if one.dtype.names != other.dtype.names:
            return Difference(TOTAL, False)
        return difference([one[name] for name in one.dtype.names], [other[name] for name in one.dtype.names])
    return _between(one, other)


def _numbers(value: Any) -> Any:
    """Return a value as an array of numbers, None where it is none."""
    if isinstance(value, (bool, int, float, complex, np.ndarray, np.generic)):
        array = np.asarray(value)
        return None if array.dtype.hasobject else array
    return None


def _between(one: Any, other: Any) -> Difference:
    if one.dtype.kind not in "fc" or other.dtype.kind not in "fc":
        if np.array_equal(one, other):
            return Difference(0.0)
        if one.dtype.kind not in "biufc" or other.dtype.kind not in "biufc":
            return Difference(TOTAL, False)
    wide = np.complex128 if "c" in one.dtype.kind + other.dtype.kind else np.float64
    a, b = one.astype(wide), other.astype(wide)
    # What is not finite must be equal: infinities of one sign, or NaN in the same places.
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return Difference(TOTAL, False)
    a, b = a[finite], b[finite]
    if np.array_equal(a, b):
        return Difference(0.0)
    size = float(max(np.abs(a).max(), np.abs(b).max()))
    most = float(np.abs(a - b).max())
    relative = most / size
    limit = max(ROUNDING.get(each.dtype.char, 0.0) for each in (one, other))
    # Denormal numbers have few digits, or none where they are flushed to zero.
    smallest = max((float(np.finfo(each.dtype).tiny) for each in (one, other) if each.dtype.kind in "fc"), default=0.0)
    return Difference(relative, relative <= limit or most <= smallest)
