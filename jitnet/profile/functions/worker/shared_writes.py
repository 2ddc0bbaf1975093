"""Races in parallel loops, found by running the function in Python, one iteration after another.

For each array element the iteration that wrote it last is stored. An iteration that accesses an element of another one
is a race, on any number of threads. The run ends when all suspects are confirmed or its time is over; so large
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

__all__ = ["Conflict", "Watch", "watch_run"]

NO_WRITER = -1


class _Stop(BaseException):
    """The run can end, or its time is over. A BaseException, so that the user's code does not catch it."""


class Conflict(tuple[int, int, str]):
    """Two iterations at one element: the one that wrote it, the later one, and "written" or "read"."""


class Watch:
    """What a run has found. conflicts: by line. complete: whether it reached its end."""

    def __init__(self, budget_s: float, suspects: set[int]) -> None:
        self.conflicts: dict[int, Conflict] = {}
        self.complete = False
        self._suspects = suspects
        self._ends = time.thread_time() + budget_s
        self._base = 0
        self.iteration = NO_WRITER

    def look(self, writers: Any, index: Any, line: int, what: str) -> None:
        """Check whether another iteration of this loop wrote these elements; what == "written": store this one."""
        if self.iteration == NO_WRITER:
            return
        before = np.atleast_1d(writers[index])
        others = before[(before >= self._base) & (before != self.iteration)]
        if others.size:
            self._record(line, int(others.flat[0]), what)
        if what == "written":
            writers[index] = self.iteration
        if time.thread_time() > self._ends:
            raise _Stop

    def _record(self, line: int, other: int, what: str) -> None:
        self.conflicts.setdefault(line, Conflict((other - self._base, self.iteration - self._base, what)))
        if self._suspects <= set(self.conflicts):
            raise _Stop

    def prange(self, *bounds: Any) -> Iterator[Any]:
        """`prange`, one iteration after the other; inside another one a plain `range`, as for Numba."""
        if self.iteration != NO_WRITER:
            yield from builtins.range(*bounds)
            return
        count = 0
        for count, value in enumerate(builtins.range(*bounds), 1):
            self.iteration = self._base + count - 1
            yield value
            if time.thread_time() > self._ends:
                raise _Stop
        self.iteration = NO_WRITER
        self._base += count


class _Watched(np.ndarray):
    """An array that reports each access to a watch, with an array of the iterations that wrote its elements."""

    watch: Watch
    writers: Any

    def __array_finalize__(self, base: Any) -> None:
        self.writers = None

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        if self.writers is None:
            return found
        if isinstance(found, _Watched):
            if np.shares_memory(found, self):
                found.writers, found.watch = self.writers[index], self.watch
            return found
        self.watch.look(self.writers, index, sys._getframe(1).f_lineno, "read")
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.writers is not None:
            self.watch.look(self.writers, index, sys._getframe(1).f_lineno, "written")
        super().__setitem__(index, value)


def _watched(value: Any, watch: Watch) -> Any:
    if isinstance(value, np.ndarray) and not isinstance(value, _Watched):
        copy = np.array(value, copy=True).view(_Watched)
        copy.writers, copy.watch = np.full(value.shape, NO_WRITER, np.int64), watch
        return copy
    if isinstance(value, tuple):
        parts = [_watched(part, watch) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


class _Allocating:
    """NumPy, whose arrays are watched where they are allocated outside a parallel loop."""

    NAMES = ("zeros", "empty", "ones", "full", "zeros_like", "empty_like", "ones_like", "full_like")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in self.NAMES:
            return found

        def allocate(*arguments: Any, **options: Any) -> Any:
            made = found(*arguments, **options)
            return _watched(made, self._watch) if self._watch.iteration == NO_WRITER else made

        return allocate


class _Numba:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return self._watch.prange if name == "prange" else getattr(numba, name)


def watch_run(function: Callable[..., Any], arguments: tuple[Any, ...], lines: set[int], budget_s: float) -> Watch:
    """Run a Python function whose compiled form has parallel loops, on copies of its arguments.

    lines: the suspects; the run ends once all are confirmed. budget_s: the CPU time that it may take. An exception of
    the function ends the run and is not raised again: the function may need the compiler.
    """
    watch = Watch(budget_s, lines)
    made: dict[Any, Any] = {}

    def plain(python: Any) -> Any:
        """Return a function with the same code, whose compiled callees, `prange` and `numpy` are replaced."""
        if python in made:
            return made[python]
        names = dict(python.__globals__)
        copy = types.FunctionType(python.__code__, names, python.__name__, python.__defaults__, python.__closure__)
        copy.__kwdefaults__ = python.__kwdefaults__
        made[python] = copy
        for name in _names(python.__code__):
            if name in names:
                names[name] = replacement(names[name])
        return copy

    def replacement(value: Any) -> Any:
        if value is numba.prange:
            return watch.prange
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
    except (_Stop, Exception):
        # The time is over, or Python cannot run what Numba compiles: the watch is incomplete, and hints say "may".
        return watch
    return watch


def _names(code: Any) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _names(constant)
    return found
