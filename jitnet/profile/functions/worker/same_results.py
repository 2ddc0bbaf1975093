"""Whether a changed copy has the same results as the original: for a trial, where no more than rounding may differ."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.profile.functions.worker.calls import arrays_in
from jitnet.profile.functions.worker.differences import differences
from jitnet.profile.functions.worker.outcomes import Opaque, leaves, plain_value

__all__ = ["ROUNDING", "Deviation", "deviation", "snapshot"]

ROUNDING = {"e": 0.05, "f": 1e-2, "d": 1e-6, "F": 1e-2, "D": 1e-6}
"""For each type of NumPy by its letter: the largest difference, relative to the largest value, that another order of
operations or another rounding causes. More is another result."""

TOTAL = 1.0
"""The difference of results that have different forms, or NaN in different places."""


class Deviation(NamedTuple):
    """The largest difference between two results.

    relative: to the largest value of the result that differs most; 0.0 where all values are equal, None where they
    cannot be compared. rounding: whether it is no more than rounding.
    """

    relative: float | None
    rounding: bool = True


class _Rounding:
    scale = 0.0

    def relative(self, a: Any, b: Any) -> float:
        return max(ROUNDING.get(each.dtype.char, 0.0) for each in (a, b))


def snapshot(result: Any, arguments: Sequence[Any], every: bool = False, single: bool = False) -> list[Any]:
    """Return copies of a result and of the arrays in the arguments that can be written to, for `deviation`.

    every: of the others too, where arguments that were made of others are compared with those. single: whether numbers
    in the result were computed in float32, which Python's float does not show.
    """
    arrays = [
        array
        for argument in arguments
        for _, array in arrays_in(argument, "")
        if (every or array.flags.writeable) and not array.dtype.hasobject
    ]
    kept = [plain_value(each) for each in (result, *arrays)]
    return [_in_float32(kept[0]), *kept[1:]] if single else kept


def _in_float32(value: Any) -> Any:
    if isinstance(value, (float, complex)):
        return np.float32(value) if isinstance(value, float) else np.complex64(value)
    return type(value)(map(_in_float32, value)) if isinstance(value, (tuple, list)) else value


def deviation(before: Any, after: Any) -> Deviation:
    """Return the largest difference between two snapshots, or parts of them."""
    if any(isinstance(leaf, Opaque) for each in (before, after) for _, leaf in leaves("", each)):
        return Deviation(None)
    found = differences({"": before}, {"": after}, _Rounding())
    relative = max((each.relative for each in found), default=0.0)
    return Deviation(relative if math.isfinite(relative) else TOTAL, all(each.allowed for each in found))
