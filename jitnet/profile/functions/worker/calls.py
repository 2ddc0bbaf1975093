"""Calls of one function with the same arguments, so that every call does the same work."""

import copy
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numba import types as numba_types

from jitnet.compiler.numba_parts import instance_type
from jitnet.profile.functions.worker.containers import copied, is_changed, refill, refillable

__all__ = ["Calls", "arrays_in", "interleaved"]

types: Any = numba_types  # its annotations lack some of its names

SAMPLE_S = 0.002
"""Length of a sample where calls are shorter, so that reading the clock is negligible."""

MOST_SAMPLES, FEWEST_SAMPLES = 60, 5


def arrays_in(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each array in an argument, with its name: the argument itself, the parts of a tuple, or the fields of an
    instance of a compiled class."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            label = value._fields[number] if hasattr(value, "_fields") else number
            yield from arrays_in(part, f"{name}.{label}" if isinstance(label, str) else f"{name}[{label}]")
    elif (instance := instance_type(value)) is not None:
        for label, kind in instance.struct.items():
            # Those that begin with __ are known by another name outside the class.
            if isinstance(kind, types.Array) and hasattr(value, label):
                yield f"{name}.{label}", getattr(value, label)


def _same(a: Any, b: Any) -> bool:
    """Whether all elements are equal, NaN being equal to NaN."""
    if a.dtype.kind in "fc":
        return bool(np.array_equal(a, b, equal_nan=True))
    return bool(np.array_equal(a, b))


@dataclass
class _Written:
    name: str
    array: Any
    pristine: Any


class Calls:
    """The function with its arguments, ready to be called again and again.

    `first` calls it once and `second` again; comparing both shows what the function writes. written: for each array
    that it changes, "again" where a second call writes the same values as the first, and "restored" where it does not,
    so that it must be restored before every call. A list, set or dictionary that it changes is always "restored".
    result: what the first call returned. first_s: how long that took.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], names: Sequence[str]) -> None:
        self._function, self._arguments = function, arguments
        self._arrays = [
            (name, array)
            for argument, label in zip(arguments, names, strict=True)
            for name, array in arrays_in(argument, label)
            if array.flags.writeable and not array.dtype.hasobject
        ]
        self._pristine = [np.array(array, copy=True) for _, array in self._arrays]
        self._containers = [
            (name, value, copied(value)) for value, name in zip(arguments, names, strict=True) if refillable(value)
        ]
        self._restore: list[tuple[Any, Any]] = []
        self._refill: list[tuple[Any, Any]] = []
        self.written: dict[str, str] = {}
        self.result: Any = None
        self.first_s = self.second_s = 0.0

    def first(self) -> None:
        begin = time.perf_counter()
        self.result = self._function(*self._arguments)
        self.first_s = time.perf_counter() - begin

    def changed(self) -> list[str]:
        """Return the names of the arrays that differ from the original ones."""
        pairs = zip(self._arrays, self._pristine, strict=True)
        return [name for (name, array), pristine in pairs if not _same(array, pristine)]

    def arrays(self, names: Collection[str]) -> dict[str, Any]:
        """Return the arrays of these names."""
        return {name: array for name, array in self._arrays if name in names}

    def second(self) -> None:
        """Call again, on what the first call wrote, and decide what is restored from now on."""
        changed = set(self.changed())
        for name, value, pristine in self._containers:
            if is_changed(value, pristine):
                self.written[name] = "restored"
                self._refill.append((value, pristine))
                refill(value, pristine)
        after_first = {name: np.array(array, copy=True) for name, array in self._arrays if name in changed}
        begin = time.perf_counter()
        self._function(*self._arguments)
        self.second_s = time.perf_counter() - begin
        again = set(self.changed())
        # Where one array keeps changing, the others may depend on it: all are restored then.
        unchanged = again == changed and all(
            _same(array, after_first[name]) for name, array in self._arrays if name in changed
        )
        for (name, array), pristine in zip(self._arrays, self._pristine, strict=True):
            if name in changed | again:
                self.written[name] = "again" if unchanged else "restored"
                if not unchanged:
                    self._restore.append((array, pristine))

    def calling(
        self, function: Callable[..., Any], arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    ) -> "Calls":
        """Return the calls of another function, with the same arrays, restored as here.

        arguments: makes its arguments of these, which are reset before; they share no array that is written.
        """
        if arguments is None:
            made = copy.copy(self)
            made.use(function)
        else:
            self.reset()
            changed = arguments(self._arguments)
            made = Calls(function, changed, [str(number) for number in range(len(changed))])
        if self.second_s == 0.0 or (arguments is not None and self.restores):
            made.restore_every()
        return made

    def use(self, function: Callable[..., Any]) -> None:
        """From now on, call another function."""
        self._function = function

    def restore_every(self) -> None:
        """From now on, restore every array before each call; where `second` has not found out which are written."""
        pairs = zip(self._arrays, self._pristine, strict=True)
        self._restore = [(array, pristine) for (_, array), pristine in pairs]
        self._refill = [(value, pristine) for _, value, pristine in self._containers]

    def run(self) -> Any:
        """Reset the arrays, call once, and return the result."""
        self.reset()
        return self._function(*self._arguments)

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self._arguments

    def restore(self) -> None:
        for array, pristine in self._restore:
            np.copyto(array, pristine)
        for value, pristine in self._refill:
            refill(value, pristine)

    def reset(self, names: Collection[str] | None = None) -> None:
        """Restore all containers and all arrays, or the arrays of these names, also those to which each call writes
        the same values."""
        for (name, array), pristine in zip(self._arrays, self._pristine, strict=True):
            if names is None or name in names:
                np.copyto(array, pristine)
        for _, value, pristine in self._containers:
            if is_changed(value, pristine):
                refill(value, pristine)

    @property
    def restores(self) -> bool:
        return bool(self._restore or self._refill)

    def one(self) -> float:
        """Call once and return the seconds."""
        self.restore()
        begin = time.perf_counter()
        self._function(*self._arguments)
        return time.perf_counter() - begin

    def sample(self, repeats: int) -> float:
        """Return seconds a call, the mean of `repeats` calls, without the restoring between them."""
        if self.restores:
            return sum(self.one() for _ in range(repeats)) / repeats
        function, arguments = self._function, self._arguments
        begin = time.perf_counter()
        for _ in range(repeats):
            function(*arguments)
        return (time.perf_counter() - begin) / repeats

    def computing_share(self, budget_s: float) -> float:
        """Return this thread's CPU time as a share of a call's time: 1 where it computes, 0 where it sleeps.

        A preempted thread does not sleep: the share is below 1 only where the thread itself released its core, once a
        call or more often.
        """
        begin = time.perf_counter()
        spent = computing = 0.0
        calls = voluntary = 0
        while spent < 0.02 and time.perf_counter() - begin < budget_s:
            self.restore()
            switches, busy, at = _switches(), time.thread_time(), time.perf_counter()
            self._function(*self._arguments)
            spent += time.perf_counter() - at
            computing += time.thread_time() - busy
            voluntary += _switches() - switches
            calls += 1
        return min(1.0, computing / spent) if calls and voluntary >= calls else 1.0


def _switches() -> int:
    """Return the number of voluntary context switches of this thread."""
    import resource

    return int(resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw)


def interleaved(
    calls: Calls, settings: Sequence[Any], apply: Callable[[Any], None], budget_s: float, heartbeat: Callable[[], None]
) -> dict[Any, tuple[int, list[float]]]:
    """Return for each setting, which `apply` sets: calls in a sample, and the samples in seconds a call.

    Rounds through all settings, so that a slow moment of the machine affects all equally, until the budget is spent.
    Each setting gets at fewest one call. heartbeat: called now and then.
    """
    begin = time.perf_counter()
    repeats: dict[Any, int] = {}
    samples: dict[Any, list[float]] = {setting: [] for setting in settings}
    share_s = budget_s / len(settings)
    for setting in settings:
        apply(setting)
        call_s = calls.one()
        if call_s * FEWEST_SAMPLES > share_s:
            repeats[setting] = 1
            samples[setting].append(call_s)
            heartbeat()
            continue
        call_s = median([call_s, calls.one(), calls.one()])
        repeats[setting] = max(1, min(10_000, round(SAMPLE_S / max(call_s, 1e-8))))
    while time.perf_counter() - begin < budget_s:
        fewest = min(len(each) for each in samples.values())
        if fewest >= MOST_SAMPLES:
            break
        for setting in settings:
            apply(setting)
            if samples[setting] and sum(samples[setting]) * repeats[setting] > share_s:
                continue
            if repeats[setting] > 1 and not calls.restores:
                calls.one()  # warm the caches and the threads for this setting
            samples[setting].append(calls.sample(repeats[setting]))
            heartbeat()
        if all(sum(each) * repeats[setting] > share_s for setting, each in samples.items()):
            break
    for setting in settings:
        if not samples[setting]:
            apply(setting)
            samples[setting].append(calls.sample(1))
    return {setting: (repeats[setting], samples[setting]) for setting in settings}
