"""Counts what operations do while they run as plain Python (NUMBA_DISABLE_JIT=1): FLOP, and numbers read and written.

The arrays of a run are wrapped (`watched`). Whatever is made of a wrapped number is wrapped too, so that all arithmetic
on data is seen; what NumPy could do with a wrapped array and is not counted here is a TypeError, and escapes nowhere.

FLOP are sums, differences, products, quotients and roots, one for each element of the result. Constants among
themselves are not counted: the compiler does that before the loop. A number that a kernel makes of an integer is data.

A number is read where its first use in a line is a read, and written however often it is. One that the line itself has
written before is in the caches.
"""

import math
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from jitnet.engine.loop import perform
from jitnet.engine.state import Run

__all__ = ["READ", "WRITTEN", "Count", "Number", "Watched", "count_calls", "count_line", "counting", "watch", "watched"]

READ, WRITTEN = np.uint8(1), np.uint8(2)

_COUNTED = {np.add, np.subtract, np.multiply, np.divide, np.sqrt}
_FREE = {np.negative, np.floor, np.ldexp, np.less, np.greater, np.bitwise_and}
_MOVES = {np.concatenate, np.stack, np.where}

STEERING = ("byte_values", "cursors", "squares")
"""Arrays of a run's state that do not count, beside the order."""


class _Tally:
    flop = 0


_tally = _Tally()


def _computed(result: Any) -> Any:
    """The result of an operation that counts, wrapped."""
    _tally.flop += np.size(result)
    return _wrapped(result)


def _wrapped(result: Any) -> Any:
    return Watched(result) if np.ndim(result) else Number(result)


def _taken(value: Any) -> Any:
    """What is wrapped, which is read by that."""
    if isinstance(value, Number):
        return value.value
    if isinstance(value, Watched):
        return value.taken()
    if isinstance(value, list | tuple):
        return [_taken(each) for each in value]
    return value


class Number:
    """A floating-point number that comes from data."""

    __array_ufunc__ = None  # NumPy's numbers and arrays leave arithmetic with this one to it
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __neg__(self) -> "Number":
        return Number(-self.value)

    def __abs__(self) -> "Number":
        return Number(abs(self.value))

    def __floor__(self) -> "Number":
        return Number(math.floor(self.value))

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)


def _arithmetic(name: str) -> None:
    """Let numbers do an operation, with anything on either side."""
    operation = getattr(operator, name)

    def forward(self: Number, other: Any) -> Any:
        return _computed(operation(self.value, _taken(other)))

    def reflected(self: Number, other: Any) -> Any:
        return _computed(operation(_taken(other), self.value))

    setattr(Number, f"__{name}__", forward)
    setattr(Number, f"__r{name}__", reflected)


def _comparison(name: str) -> None:
    operation = getattr(operator, name)
    setattr(Number, f"__{name}__", lambda self, other: operation(self.value, _taken(other)))


for _name in ("add", "sub", "mul", "truediv"):
    _arithmetic(_name)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _comparison(_name)


class Watched(NDArrayOperatorsMixin):
    """An array that notes which of its elements are read and written; without marks, a value in registers.

    Its views share its marks. Elements are `Number`s where they are floating-point, else NumPy's own.
    """

    __slots__ = ("array", "marks")

    def __init__(self, array: Any, marks: Any = None) -> None:
        self.array, self.marks = array, marks

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def T(self) -> "Watched":
        return self._view(lambda array: array.T)

    def _view(self, turn: Callable[[Any], Any]) -> "Watched":
        return Watched(turn(self.array), None if self.marks is None else turn(self.marks))

    def reshape(self, *shape: int) -> "Watched":
        return self._view(lambda array: array.reshape(*shape))

    def taken(self) -> Any:
        """The plain array, all of which is read."""
        if self.marks is not None:
            np.maximum(self.marks, READ, out=self.marks)
        return self.array

    def copy(self) -> "Watched":
        return Watched(self.taken().copy())

    def astype(self, kind: Any) -> Any:
        return self.taken().astype(kind)

    def tobytes(self) -> bytes:
        return self.taken().tobytes()

    def sum(self, dtype: Any) -> Number:
        _tally.flop += self.array.size - 1
        return Number(self.taken().sum(dtype=dtype))

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        value = self.array[key]
        if isinstance(value, np.ndarray):
            return self._view(lambda array: array[key])
        if self.marks is not None and not self.marks[key]:
            self.marks[key] = READ
        return Number(value) if isinstance(value, np.floating) else value

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[key] = _taken(value)
        if self.marks is not None:
            self.marks[key] |= WRITTEN

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None) -> Any:
        if method != "__call__" or ufunc not in _COUNTED | _FREE:
            raise TypeError(f"{ufunc.__name__} ({method}) of watched numbers is not counted: say in counting.py how")
        result = ufunc(*[_taken(each) for each in inputs])
        if np.issubdtype(result.dtype, np.floating):
            result = _computed(result) if ufunc in _COUNTED else _wrapped(result)
        if out is not None:
            out[0][...] = result
            return out[0]
        return result

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _MOVES or kwargs:
            raise TypeError(f"{function.__name__} of watched arrays is not counted: say in counting.py how")
        return _wrapped(function(*_taken(args)))


class _Conversion:
    """np.float32 or np.float64, as a function that keeps numbers wrapped and as a dtype."""

    def __init__(self, kind: Any) -> None:
        self.kind, self.dtype = kind, np.dtype(kind)

    def __call__(self, value: Any) -> Any:
        made = self.kind(_taken(value))
        return Number(made) if isinstance(value, Number | int | np.integer) else made


class _CountingNumPy:
    float32, float64 = _Conversion(np.float32), _Conversion(np.float64)

    @staticmethod
    def sqrt(value: Any) -> Any:
        return _computed(np.sqrt(_taken(value)))

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def counting() -> Iterator[None]:
    """Kernels convert numbers without losing sight of them. Random numbers come in as constants: they are reckoned in
    integers, and what is drawn once an image counts for nothing."""
    drawn = ("jitnet.kernels.random", "jitnet.kernels.splitmix")
    names = [name for name in sys.modules if name.startswith("jitnet.kernels.") and name not in drawn]
    modules = [sys.modules[name] for name in (*names, "jitnet.machine.tile") if hasattr(sys.modules[name], "np")]
    try:
        for module in modules:
            module.np = _CountingNumPy()
        yield
    finally:
        for module in modules:
            module.np = np


class Count(NamedTuple):
    """FLOP, and of each array the bytes that were read and written; arrays that were not used are missing."""

    flop: int
    read: dict[str, int]
    written: dict[str, int]


def watched(run: Run) -> tuple[Run, dict[str, Watched]]:
    """A run whose arrays of numbers are wrapped, and these by their names; what steers loops stays plain."""
    arrays: dict[str, Watched] = {}
    groups = {}
    for group in ("state", "data", "outputs"):
        fields = getattr(run, group)._asdict()
        wrapped = {name: watch(array) for name, array in fields.items() if name not in STEERING}
        arrays |= {f"{group}.{name}": array for name, array in wrapped.items()}
        groups[group] = getattr(run, group)._replace(**wrapped)
    return run._replace(**groups), arrays


def watch(array: Any) -> Watched:
    """An array with marks of its own, nothing of it used so far."""
    return Watched(array, np.zeros(array.shape, np.uint8))


def count_line(run: Run, arrays: dict[str, Watched], place: int, step: int = 0) -> Count:
    """What a line of a watched run's program does in a step of the call, all parts together."""

    def every_part() -> None:
        for part in range(run.program[place].parts):
            perform(run, place, place + 1, step, step + 1, part)

    return count_calls(every_part, arrays)


def count_calls(call: Callable[[], None], arrays: dict[str, Watched]) -> Count:
    """What a call does with some watched arrays."""
    for array in arrays.values():
        array.marks[...] = 0
    _tally.flop = 0
    with counting():
        call()
    found: list[dict[str, int]] = []
    for mark in (READ, WRITTEN):
        sizes = {
            name: array.array.itemsize * int(np.count_nonzero(array.marks & mark)) for name, array in arrays.items()
        }
        found.append({name: size for name, size in sizes.items() if size})
    return Count(_tally.flop, *found)
