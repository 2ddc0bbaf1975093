"""Races in parallel loops, found by running the function in Python, one iteration after another.

For each array element the iterations that wrote and read it are stored. An iteration that writes an element of another
one, or reads what another one writes, is a race, on any number of threads. The run ends when all suspects are confirmed
or its time is over; so large arguments cost no more than small ones.
"""

import builtins
import ctypes
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher
from jitnet.profile.functions.worker.containers import typed_name
from jitnet.profile.functions.worker.copies import rebuilt
from jitnet.profile.functions.worker.mentions import mentions, tree
from jitnet.profile.functions.worker.watched import NO_WRITER, Touched, WatchedArray, watched

__all__ = ["Conflict", "Watch", "watch_run"]


class _Stop(BaseException):
    """The run can end, or its time is over. A BaseException, so that the user's code does not catch it."""


class Conflict(NamedTuple):
    """Two iterations at one element.

    before, after: the iterations, in the order in which Python runs them. what: what the later one did, "written" or
    "read". found: what the earlier one had done. array: its name, "" where that is not known. same: whether all writes
    at this line stored what was there already. file, function: where. loop_line: of the parallel loop.
    """

    before: int
    after: int
    what: str
    found: str
    array: str
    same: bool
    file: str
    function: str
    loop_line: int


class Watch:
    """What a run has found.

    conflicts: by line. complete: whether it reached its end. loops: parallel loops that it ran. threads: of how many
    threads an iteration may belong to, where the code asks for the thread that runs it; 0 where it does not, and each
    iteration may run on a separate thread.
    """

    def __init__(self, budget_s: float, suspects: set[int], threads: int = 0) -> None:
        self.conflicts: dict[int, Conflict] = {}
        self.complete = False
        self.loops = 0
        self.threads = threads
        self._suspects = suspects
        self._ends = time.perf_counter() + budget_s
        self._base = 1  # from 1 on: memory of zeros, which costs nothing until it is used, names no iteration
        self.iteration = NO_WRITER
        self._loop_line = 0

    def thread(self, iteration: int) -> int:
        """Return the thread that an iteration is assumed to run on: any assignment is possible, this one is mixed."""
        return (iteration - self._base) * 2654435761 // 65536 % self.threads

    def look(self, touched: "Touched", index: Any, what: str, same: bool = False) -> None:
        """Check whether another iteration of this loop accessed these elements, and store this one."""
        now = self.iteration
        if now == NO_WRITER:
            return
        first, last, writers = touched.first, touched.last, touched.writers
        self._compare(writers[index], what, "written", touched, same)
        if what == "written":
            self._compare(first[index], what, "read", touched, same)
            self._compare(last[index], what, "read", touched, same)
            writers[index] = now
        else:
            earliest = first[index]
            if np.ndim(earliest):
                first[index] = np.where(earliest < self._base, now, earliest)
            elif earliest < self._base:
                first[index] = now
            last[index] = now
        if time.perf_counter() > self._ends:
            raise _Stop

    def _compare(self, before: Any, what: str, found: str, touched: "Touched", same: bool) -> None:
        if np.ndim(before) == 0:
            if before < self._base or before == self.iteration:
                return
            others = np.array([before])
        else:
            others = before[(before >= self._base) & (before != self.iteration)]
        if self.threads:
            others = others[[self.thread(int(each)) != self.thread(self.iteration) for each in others.flat]]
        if others.size:
            self.record(int(others.flat[0]), what, found, touched.name, same and found == "written")

    def record(self, other: int, what: str, found: str, name: str, same: bool = False) -> None:
        """Store that this iteration accesses what another one wrote or read."""
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__") in (__name__, Touched.__module__) and frame.f_back is not None:
            frame = frame.f_back
        line = frame.f_lineno
        known = self.conflicts.get(line)
        if known is None:
            pair = other - self._base, self.iteration - self._base
            code = frame.f_code
            self.conflicts[line] = Conflict(
                *pair, what, found, name, same, code.co_filename, code.co_name, self._loop_line
            )
        elif known.same and not same:
            self.conflicts[line] = known._replace(same=False)
        if self._suspects and self._suspects <= set(self.conflicts):
            raise _Stop

    def prange(self, *bounds: Any) -> Iterator[Any]:
        """`prange`, one iteration after the other; inside another one a plain `range`, as for Numba."""
        if self.iteration != NO_WRITER:
            yield from builtins.range(*bounds)
            return
        self.loops += 1
        self._loop_line = sys._getframe(1).f_lineno
        _watch_locals(sys._getframe(1), self)
        count = 0
        for count, value in enumerate(builtins.range(*bounds), 1):
            self.iteration = self._base + count - 1
            yield value
            if time.perf_counter() > self._ends:
                raise _Stop
        self.iteration = NO_WRITER
        self._base += count

    def thread_id(self) -> int:
        """`get_thread_id`, of the thread that is assumed to run this iteration."""
        return 0 if self.iteration == NO_WRITER else self.thread(self.iteration)


def _watch_locals(frame: Any, watch: Watch) -> None:
    """Replace the arrays, lists and dictionaries that a running function has in its variables by watched ones."""
    made: dict[int, Any] = {}
    changed = {}
    for name, value in frame.f_locals.items():
        if type(value) in (np.ndarray, list, dict) or (isinstance(value, WatchedArray) and value.touched is None):
            if id(value) not in made:
                made[id(value)] = watched(value, watch, name, copy=False)
            changed[name] = made[id(value)]
    if changed:
        frame.f_locals.update(changed)
        if sys.version_info < (3, 13):
            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))


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
            return watched(made, self._watch) if self._watch.iteration == NO_WRITER else made

        return allocate


class _Containers:
    """`numba.typed.List` or `Dict`, which make Python's, watched where they are made outside a parallel loop."""

    def __init__(self, kind: Any, watch: Watch) -> None:
        self._kind, self._watch = kind, watch

    def __call__(self, *values: Any) -> Any:
        made = self._kind(*values)
        return watched(made, self._watch) if self._watch.iteration == NO_WRITER else made

    def empty_list(self, *_: Any, **__: Any) -> Any:
        return self()

    def empty(self, *_: Any, **__: Any) -> Any:
        return self()


class _Attributes:
    """A module with some attributes replaced."""

    def __init__(self, module: Any, replaced: Callable[[Any], Any]) -> None:
        self._module, self._replaced = module, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced(getattr(self._module, name))


def watch_run(
    function: Callable[..., Any], arguments: tuple[Any, ...], lines: set[int], budget_s: float, names: Any = ()
) -> Watch:
    """Run a Python function whose compiled form has parallel loops, on copies of its arguments.

    lines: the suspects; the run ends once all are confirmed. budget_s: the seconds that it may take. names: of the
    arguments. An exception of the function ends the run and is not raised again: the function may need the compiler.
    """
    every = [each for each, _ in tree(function)]
    asks = any(found.value is numba.get_thread_id for found in mentions(every))
    watch = Watch(budget_s, lines, numba.get_num_threads() if asks else 0)
    made: dict[Any, Any] = {}

    def plain(python: Any, parallel: bool) -> Any:
        """Return a function with the same code, whose compiled callees, `prange` and `numpy` are replaced."""
        if (python, parallel) in made:
            return made[python, parallel]

        def replaced(value: Any) -> Any:
            if value is numba.prange:
                return watch.prange if parallel else builtins.range
            if value is numba.get_thread_id and asks:
                return watch.thread_id
            if value is np:
                return _Allocating(watch)
            if typed_name(value):
                return _Containers(list if typed_name(value) == "List" else dict, watch)
            if value is numba or value is numba.typed:
                return _Attributes(value, replaced)
            if isinstance(value, Dispatcher):
                options = value.targetoptions
                inlined = options.get("inline", "never") != "never"
                return plain(value.py_func, bool(options.get("parallel")) or (inlined and parallel))
            return value

        def register(copy: Any) -> None:
            made[python, parallel] = copy

        return rebuilt(python, replaced, register)

    labels = [*names, *[""] * len(arguments)]
    try:
        passed = tuple(watched(argument, watch, name) for argument, name in zip(arguments, labels, strict=False))
        plain(function, True)(*passed)
        watch.complete = True
    except (_Stop, Exception):
        # The time is over, or Python cannot run what Numba compiles: the watch is incomplete, and hints say "may".
        return watch
    return watch
