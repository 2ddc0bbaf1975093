"""How two outcomes differ, and what of that another order of operations explains."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from jitnet.profile.functions.worker.outcomes import Opaque, Outcome, is_number, largest_number, leaves

__all__ = ["EXACT", "Allowance", "Allowed", "Difference", "allowance_for", "differences", "sizes"]

SLACK = 32
"""Two orders of adding may differ by so many times the expected rounding of a sum."""


class Difference(NamedTuple):
    """How a value differs.

    relative: the largest difference over the largest number, infinite where they cannot be subtracted. allowed: whether
    another order of adding explains it. where: the value, or its first element that differs. text: a clause.
    """

    relative: float
    allowed: bool
    where: str
    text: str


class Allowed(Protocol):
    """How far numbers may be apart, as a share of the largest; scale: the smallest largest number of a single one."""

    @property
    def scale(self) -> float: ...

    def relative(self, a: Any, b: Any) -> float: ...


class Allowance(NamedTuple):
    """What another order of adding may change.

    numbers: as many may have been added to one. scale: the largest number among the arguments. single: whether float32
    takes part, though the result may be float64.
    """

    numbers: int
    scale: float
    single: bool

    def relative(self, a: Any, b: Any) -> float:
        """Return how far these may be apart, as a share of the largest."""
        single = self.single or not {a.dtype, b.dtype}.isdisjoint((np.dtype(np.float32), np.dtype(np.complex64)))
        return SLACK * float(np.finfo(np.float32 if single else float).eps) * math.sqrt(self.numbers)


EXACT = Allowance(0, 0.0, False)
"""No other order."""


def allowance_for(arguments: Sequence[Any]) -> Allowance:
    """Return what another order of adding the numbers in these arguments may change."""
    arrays = [each for each in arguments if isinstance(each, np.ndarray)]
    single = any(each.dtype in (np.float32, np.complex64) for each in arrays)
    single = single or any(isinstance(each, np.float32) for each in arguments)
    return Allowance(max((each.size for each in arrays), default=1), largest_number(arguments), single)


def differences(
    first: Outcome, second: Outcome, allowance: Allowed = EXACT, labels: tuple[str, str] = ("at first", "then")
) -> list[Difference]:
    """Return how two outcomes differ, the largest difference first; NaN is equal to NaN.

    labels: what to call them, as adverbs.
    """
    found = []
    one, other = dict(leaves("", first)), dict(leaves("", second))
    for name in {**one, **other}:
        if name not in one or name not in other:
            text = f"{name} is there only {labels[name not in one]}"
            found.append(Difference(math.inf, False, name, text))
            continue
        made = _difference(name, one[name], other[name], allowance, labels)
        if made is not None:
            found.append(made)
    return sorted(found, key=lambda each: (each.allowed, -each.relative))


def _difference(name: str, a: Any, b: Any, allowance: Allowed, labels: tuple[str, str]) -> Difference | None:
    if isinstance(a, Opaque) or isinstance(b, Opaque):
        return None
    if not is_number(a) or not is_number(b):
        if type(a) is type(b) and a == b:
            return None
        text = f"{name} is {str(a)[:40]!r} {labels[0]}, {str(b)[:40]!r} {labels[1]}"
        return Difference(math.inf, False, name, text)
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        text = f"{name} has the shape {a.shape} {labels[0]}, {b.shape} {labels[1]}"
        return Difference(math.inf, False, name, text)
    if a.dtype.names:
        parts = (_difference(f"{name}.{each}", a[each], b[each], allowance, labels) for each in a.dtype.names)
        return next((part for part in parts if part), None)
    if a.dtype.kind not in "biufc":
        equal = bool(np.array_equal(a, b))
        return None if equal else Difference(math.inf, False, name, f"{name} differs")
    floats = a.dtype.kind in "fc" or b.dtype.kind in "fc"
    unequal = (a != b) & ~((a != a) & (b != b)) if floats else a != b
    count = int(np.count_nonzero(unequal))
    if not count:
        return None
    largest, apart = sizes(a, b, unequal)
    relative = apart / largest if largest and math.isfinite(apart) else math.inf
    # One number may be a sum that cancels: it is compared with what was added.
    reference = max(largest, allowance.scale) if a.ndim == 0 else largest
    share = allowance.relative(a, b)
    allowed = floats and math.isfinite(apart) and apart <= max(share * reference, _denormal(a, b) if share else 0.0)
    at = tuple(int(each) for each in np.argwhere(unequal)[0]) if a.ndim else ()
    where = f"{name}[{', '.join(map(str, at))}]" if at else name
    one, other = (f"{each[at]:.6g}" if floats else str(each[at]) for each in (a, b))
    text = f"{where} is {one} {labels[0]}, {other} {labels[1]}" if one != other else where
    if count > 1:
        text += f"; {count:,} of {a.size:,} numbers differ"
    if math.isfinite(relative):
        text += f", by {_share(relative)} of the largest at most" if count > 1 else f", {_share(relative)} apart"
    return Difference(relative, allowed, where, text)


def _denormal(a: Any, b: Any) -> float:
    """Return the number below which there are few digits, or none where they are flushed to zero."""
    return max((float(np.finfo(each.dtype).tiny) for each in (a, b) if each.dtype.kind in "fc"), default=0.0)


def sizes(a: Any, b: Any, unequal: Any) -> tuple[float, float]:
    """Return the largest finite number in two arrays, and the largest difference; infinite where they cannot be
    subtracted. unequal: where they differ."""
    with np.errstate(all="ignore"):
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        one, other = a.astype(wide), b.astype(wide)
        apart = np.nan_to_num(np.abs(one - other)[unequal], nan=np.inf, posinf=np.inf)
        largest = [np.abs(each).max(where=np.isfinite(each), initial=0.0) for each in (one, other)]
        return float(max(largest)), float(apart.max())


def _share(relative: float) -> str:
    return f"{relative:.0%}" if relative >= 0.005 else f"{relative:.1g}"
