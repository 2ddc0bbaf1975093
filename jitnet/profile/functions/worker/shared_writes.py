"""Who writes what in a parallel loop, found by running the function in Python, one turn after another.

Every array element remembers which turn of the loop wrote it last. A turn that meets another turn's element has found a
race, however many threads there will be. The run ends when all suspects are settled or its time is over; so large
arguments cost no more than small ones.
"""

import builtins
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["Meeting", "Watch", "watch_run"]

NOBODY = -1


class _Over(BaseException):
    """The run has seen enough, or its time is over; no code of the user's catches it."""


class Meeting(tuple[int, int, str]):
    """Two turns at one element: the turn that wrote it, the turn that came after, and "written" or "read"."""


class Watch:
    """What a run has seen. meetings: by line. complete: whether it came to its end."""

    def __init__(self, budget_s: float, suspects: set[int]) -> None:
        self.meetings: dict[int, Meeting] = {}
        self.complete = False
        self._suspects = suspects
        self._ends = time.thread_time() + budget_s
        self._base = 0
        self.turn = NOBODY

    def look(self, owners: Any, index: Any, line: int, what: str) -> None:
        """Whether another turn of this loop wrote these elements; what == "written": they are this turn's now."""
        if self.turn == NOBODY:
            return
        before = np.atleast_1d(owners[index])
        others = before[(before >= self._base) & (before != self.turn)]
        if others.size:
            self._met(line, int(others.flat[0]), what)
        if what == "written":
            owners[index] = self.turn
        if time.thread_time() > self._ends:
            raise _Over

    def _met(self, line: int, other: int, what: str) -> None:
        self.meetings.setdefault(line, Meeting((other - self._base, self.turn - self._base, what)))
        if self._suspects <= set(self.meetings):
            raise _Over

    def turns(self, *bounds: Any) -> Iterator[Any]:
        """`prange`, one turn after the other; inside another it is a plain `range`, as it is for Numba."""
        if self.turn != NOBODY:
            yield from builtins.range(*bounds)
            return
        count = 0
        for count, value in enumerate(builtins.range(*bounds), 1):
            self.turn = self._base + count - 1
            yield value
            if time.thread_time() > self._ends:
                raise _Over
        self.turn = NOBODY
        self._base += count


class _Watched(np.ndarray):
    """An array that tells a watch of every element that is read or written, with the array of their owners."""

    watch: Watch
    owners: Any

    def __array_finalize__(self, base: Any) -> None:
        self.owners = None

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if self.owners is None:
            return found
        if isinstance(found, _Watched):
            if np.shares_memory(found, self):
                found.owners, found.watch = self.owners[index], self.watch
            return found
        self.watch.look(self.owners, index, sys._getframe(1).f_lineno, "read")
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.owners is not None:
            self.watch.look(self.owners, index, sys._getframe(1).f_lineno, "written")
        super().__setitem__(index, value)


def _watched(value: Any, watch: Watch) -> Any:
    if isinstance(value, np.ndarray) and not isinstance(value, _Watched):
        own = np.array(value, copy=True).view(_Watched)
        own.owners, own.watch = np.full(value.shape, NOBODY, np.int64), watch
        return own
    if isinstance(value, tuple):
        parts = [_watched(part, watch) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


class _Allocating:
    """NumPy, with arrays that are watched where they are allocated outside a parallel loop."""

    NAMES = ("zeros", "empty", "ones", "full", "zeros_like", "empty_like", "ones_like", "full_like")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in self.NAMES:
            return found

        def allocate(*arguments: Any, **options: Any) -> Any:
            made = found(*arguments, **options)
            return _watched(made, self._watch) if self._watch.turn == NOBODY else made

        return allocate


class _Numba:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return self._watch.turns if name == "prange" else getattr(numba, name)


def watch_run(function: Callable[..., Any], arguments: tuple[Any, ...], lines: set[int], budget_s: float) -> Watch:
    """Run a Python function whose compiled form has parallel loops, on copies of its arguments.

    lines: the suspects; the run ends once all are seen to be shared. budget_s: the computing time that it may take.
    What the function raises ends the run and is not passed on: it may need the compiler.
    """
    watch = Watch(budget_s, lines)
    made: dict[Any, Any] = {}

    def plain(own: Any) -> Any:
        """A function with the same code, whose compiled callees, `prange` and `numpy` are stood in for."""
        if own in made:
            return made[own]
        names = dict(own.__globals__)
        copy = types.FunctionType(own.__code__, names, own.__name__, own.__defaults__, own.__closure__)
        copy.__kwdefaults__ = own.__kwdefaults__
        made[own] = copy
        for name in _names(own.__code__):
            if name in names:
                names[name] = stand_in(names[name])
        return copy

    def stand_in(value: Any) -> Any:
        if value is numba.prange:
            return watch.turns
        if value is np:
            return _Allocating(watch)
        if value is numba:
            return _Numba(watch)
        if isinstance(value, Dispatcher):
            return plain(value.py_func)
        return value

    try:
        plain(function)(*(_watched(argument, watch) for argument in arguments))
        watch.complete = True
    except (_Over, Exception):
        # The time is over, or Python cannot run what Numba compiles: the watch is incomplete, and a hint says "may".
        return watch
    return watch


def _names(code: Any) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found
