"""Calls of one function with the same arguments, such that every call does the same work."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

__all__ = ["Calls", "arrays_in", "interleaved"]

SAMPLE_S = 0.002
"""Length of a sample where calls are shorter: the clock must not show in it."""

MOST_SAMPLES, FEWEST_SAMPLES = 60, 5


def arrays_in(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Each array in an argument, with its name: of the argument itself, or of a tuple's parts."""
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            label = value._fields[number] if hasattr(value, "_fields") else number
            yield from arrays_in(part, f"{name}.{label}" if isinstance(label, str) else f"{name}[{label}]")


def _same(a: Any, b: Any) -> bool:
    """Equal element for element, and NaN equal to itself."""
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

    `first` calls it once and `second` once more; together they tell what the function writes. written: for each array
    that it changes, "again" where a second call leaves the same as the first did, and "restored" where it does not, so
    that it has to be put back before every call. result: what the first call returned. first_s: how long that took.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], names: Sequence[str]) -> None:
        self._function, self._arguments = function, arguments
        self._arrays = [
            (name, array)
            for argument, own in zip(arguments, names, strict=True)
            for name, array in arrays_in(argument, own)
            if array.flags.writeable and not array.dtype.hasobject
        ]
        self._pristine = [np.array(array, copy=True) for _, array in self._arrays]
        self._restore: list[tuple[Any, Any]] = []
        self.written: dict[str, str] = {}
        self.result: Any = None
        self.first_s = self.second_s = 0.0

    def first(self) -> None:
        begin = time.perf_counter()
        self.result = self._function(*self._arguments)
        self.first_s = time.perf_counter() - begin

    def changed(self) -> list[str]:
        """Names of the arrays that are not as they were given."""
        pairs = zip(self._arrays, self._pristine, strict=True)
        return [name for (name, array), pristine in pairs if not _same(array, pristine)]

    def second(self) -> None:
        """Call once more, on what the first call left, and settle what is restored from now on."""
        changed = set(self.changed())
        after_first = {name: np.array(array, copy=True) for name, array in self._arrays if name in changed}
        begin = time.perf_counter()
        self._function(*self._arguments)
        self.second_s = time.perf_counter() - begin
        again = set(self.changed())
        # Where one array goes on changing, the others may follow from it: all are put back then.
        settled = again == changed and all(
            _same(array, after_first[name]) for name, array in self._arrays if name in changed
        )
        for (name, array), pristine in zip(self._arrays, self._pristine, strict=True):
            if name in changed | again:
                self.written[name] = "again" if settled else "restored"
                if not settled:
                    self._restore.append((array, pristine))

    def restore(self) -> None:
        for array, pristine in self._restore:
            np.copyto(array, pristine)

    def reset(self) -> None:
        """All arrays as they were given, those that are written again too."""
        for (_, array), pristine in zip(self._arrays, self._pristine, strict=True):
            np.copyto(array, pristine)

    @property
    def restores(self) -> bool:
        return bool(self._restore)

    def one(self) -> float:
        """Seconds of one call."""
        self.restore()
        begin = time.perf_counter()
        self._function(*self._arguments)
        return time.perf_counter() - begin

    def sample(self, repeats: int) -> float:
        """Seconds a call, the mean of `repeats` calls, with what is restored between them left out."""
        if self._restore:
            return sum(self.one() for _ in range(repeats)) / repeats
        function, arguments = self._function, self._arguments
        begin = time.perf_counter()
        for _ in range(repeats):
            function(*arguments)
        return (time.perf_counter() - begin) / repeats

    def computing_share(self, budget_s: float) -> float:
        """Computing time of a call's time, on this thread: 1 where it computes throughout, 0 where it sleeps.

        A thread that was put aside for another one is not asleep: only where it gave its core away itself, once a call
        or more often, the share is below 1.
        """
        begin = time.perf_counter()
        spent = computing = 0.0
        calls = given_away = 0
        while spent < 0.02 and time.perf_counter() - begin < budget_s:
            self.restore()
            switches, busy, at = _switches(), time.thread_time(), time.perf_counter()
            self._function(*self._arguments)
            spent += time.perf_counter() - at
            computing += time.thread_time() - busy
            given_away += _switches() - switches
            calls += 1
        return min(1.0, computing / spent) if calls and given_away >= calls else 1.0


def _switches() -> int:
    """How often this thread has given its core away of its own will."""
    import resource

    return int(resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)).ru_nvcsw)


def interleaved(
    calls: Calls, settings: Sequence[Any], put: Callable[[Any], None], budget_s: float, beat: Callable[[], None]
) -> dict[Any, tuple[int, list[float]]]:
    """For each setting, which `put` puts in place: repeats in a sample, and the samples in seconds a call.

    Round after round through all settings, so that a slow moment of the machine meets all alike, until the budget is
    used up. A setting gets one call at least. beat: called now and then.
    """
    begin = time.perf_counter()
    repeats: dict[Any, int] = {}
    samples: dict[Any, list[float]] = {setting: [] for setting in settings}
    share_s = budget_s / len(settings)
    for setting in settings:
        put(setting)
        alone = calls.one()
        if alone * FEWEST_SAMPLES > share_s:
            repeats[setting] = 1
            samples[setting].append(alone)
            beat()
            continue
        alone = median([alone, calls.one(), calls.one()])
        repeats[setting] = max(1, min(10_000, round(SAMPLE_S / max(alone, 1e-8))))
    while time.perf_counter() - begin < budget_s:
        least = min(len(own) for own in samples.values())
        if least >= MOST_SAMPLES:
            break
        for setting in settings:
            put(setting)
            if samples[setting] and sum(samples[setting]) * repeats[setting] > share_s:
                continue
            if repeats[setting] > 1 and not calls.restores:
                calls.one()  # the caches, and the threads, as this setting leaves them
            samples[setting].append(calls.sample(repeats[setting]))
            beat()
        if all(sum(own) * repeats[setting] > share_s for setting, own in samples.items()):
            break
    for setting in settings:
        if not samples[setting]:
            put(setting)
            samples[setting].append(calls.sample(1))
    return {setting: (repeats[setting], samples[setting]) for setting in settings}
