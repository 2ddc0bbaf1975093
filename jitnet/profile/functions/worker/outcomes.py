"""What a call returned and wrote, and how two such outcomes differ."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.profile.functions.worker.containers import typed_name

__all__ = [
    "EXACT",
    "LARGEST_BYTES",
    "Allowance",
    "Difference",
    "Outcome",
    "are_finite",
    "bytes_of",
    "differences",
    "largest_number",
    "outcome",
    "plain_value",
    "share_memory",
]

Outcome = dict[str, Any]
"""By name, "the result" and what was written: arrays, numbers, text, and lists, dictionaries and tuples of these."""

LARGEST_BYTES = 1 << 28
"""Outcomes above this are not kept to be compared."""

SLACK = 32
"""Two orders of adding may differ by so many times the expected rounding of a sum."""


class _Opaque:
    """Stands for a value that cannot be compared."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class Difference(NamedTuple):
    """How a value differs.

    relative: the largest difference over the largest number, infinite where they cannot be subtracted. allowed: whether
    another order of adding explains it. where: the value, or its first element that differs. text: a clause.
    """

    relative: float
    allowed: bool
    where: str
    text: str


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


def plain_value(value: Any, copy: bool = True) -> Any:
    """Return a value as what `Outcome` has, which can be pickled. copy: of arrays too."""
    if isinstance(value, np.ndarray):
        return np.array(value, copy=True) if copy else value
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes, np.generic)):
        return value
    if isinstance(value, tuple):
        return tuple(plain_value(part, copy) for part in value)
    if isinstance(value, list) or typed_name(type(value)) == "List":
        return [plain_value(part, copy) for part in value]
    if isinstance(value, dict) or typed_name(type(value)) == "Dict":
        return {key: plain_value(part, copy) for key, part in value.items()}
    if isinstance(value, (set, frozenset)):
        return frozenset(value)
    kind = getattr(value, "_numba_type_", None)
    fields = getattr(kind, "struct", None)
    if fields:
        # The fields of a compiled class; a private one cannot be read from outside.
        return {name: plain_value(getattr(value, name, None), copy) for name in fields if not name.startswith("_")}
    return _Opaque(type(value).__name__)


def outcome(result: Any, written: Iterable[tuple[str, Any]], copy: bool = True) -> Outcome:
    """Return what a call returned, and arrays and containers that it wrote."""
    found = {} if result is None else {"the result": plain_value(result, copy)}
    return found | {name: plain_value(value, copy) for name, value in written}


def bytes_of(found: Any) -> int:
    """Return the bytes of the arrays in an outcome."""
    return sum(leaf.nbytes for _, leaf in _leaves("", found) if isinstance(leaf, np.ndarray))


def share_memory(found: Outcome) -> bool:
    """Whether two of the arrays in an outcome that was not copied begin at the same element."""
    starts = [
        leaf.__array_interface__["data"][0]
        for _, leaf in _leaves("", found)
        if isinstance(leaf, np.ndarray) and leaf.size
    ]
    return len(set(starts)) < len(starts)


def are_finite(found: Outcome) -> bool:
    """Whether no number in it is NaN or infinite."""
    return all(
        bool(np.isfinite(leaf).all())
        for _, leaf in _leaves("", found)
        if isinstance(leaf, (float, complex, np.ndarray, np.generic)) and np.asarray(leaf).dtype.kind in "fc"
    )


def differences(
    first: Outcome, second: Outcome, allowance: Allowance = EXACT, labels: tuple[str, str] = ("at first", "then")
) -> list[Difference]:
    """Return how two outcomes differ, the largest difference first; NaN is equal to NaN.

    labels: what to call them, as adverbs.
    """
    found = []
    one, other = dict(_leaves("", first)), dict(_leaves("", second))
    for name in {**one, **other}:
        if name not in one or name not in other:
            text = f"{name} is there only {labels[name not in one]}"
            found.append(Difference(math.inf, False, name, text))
            continue
        made = _difference(name, one[name], other[name], allowance, labels)
        if made is not None:
            found.append(made)
    return sorted(found, key=lambda each: (each.allowed, -each.relative))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(f"{name}[{key!r}]" if name else str(key), part)
    elif isinstance(value, (tuple, list)):
        if value and all(isinstance(part, (int, float, np.generic)) for part in value) and len(value) > 8:
            yield name, np.array(value)
            return
        yield f"the number of elements of {name}", len(value)
        for number, part in enumerate(value):
            yield from _leaves(f"{name}[{number}]", part)
    else:
        yield name, value


def _difference(name: str, a: Any, b: Any, allowance: Allowance, labels: tuple[str, str]) -> Difference | None:
    if isinstance(a, _Opaque) or isinstance(b, _Opaque):
        return None
    if not _is_number(a) or not _is_number(b):
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
    largest, apart = _sizes(a, b, unequal)
    relative = apart / largest if largest and math.isfinite(apart) else math.inf
    # One number may be a sum that cancels: it is compared with what was added.
    reference = max(largest, allowance.scale) if a.ndim == 0 else largest
    allowed = floats and math.isfinite(apart) and apart <= allowance.relative(a, b) * reference
    at = tuple(int(each) for each in np.argwhere(unequal)[0]) if a.ndim else ()
    where = f"{name}[{', '.join(map(str, at))}]" if at else name
    one, other = (f"{each[at]:.6g}" if floats else str(each[at]) for each in (a, b))
    text = f"{where} is {one} {labels[0]}, {other} {labels[1]}" if one != other else where
    if count > 1:
        text += f"; {count:,} of {a.size:,} numbers differ"
    if math.isfinite(relative):
        text += f", by {_share(relative)} of the largest at most" if count > 1 else f", {_share(relative)} apart"
    return Difference(relative, allowed, where, text)


def _sizes(a: Any, b: Any, unequal: Any) -> tuple[float, float]:
    """Return the largest finite number, and the largest difference."""
    with np.errstate(all="ignore"):
        wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
        apart = np.abs(a.astype(wide) - b.astype(wide))[unequal]
        sizes = np.abs(np.stack([a.astype(wide), b.astype(wide)]))
        return float(sizes.max(where=np.isfinite(sizes), initial=0.0)), float(np.nan_to_num(apart, nan=np.inf).max())


def _share(relative: float) -> str:
    return f"{relative:.0%}" if relative >= 0.005 else f"{relative:.1g}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, complex, np.ndarray, np.generic))


def largest_number(arguments: Sequence[Any]) -> float:
    """Return the largest finite number among arguments that are floats or arrays of them."""
    found = 0.0
    for _, leaf in _leaves("", plain_value(tuple(arguments), copy=False)):
        values = np.asarray(leaf) if _is_number(leaf) else np.zeros(0)
        if values.dtype.kind in "fc" and values.size:
            sizes = np.abs(values)
            found = max(found, float(sizes.max(where=np.isfinite(sizes), initial=0.0)))
    return found
