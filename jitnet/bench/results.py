"""What a measurement is: a case to be timed, its samples, and what they mean."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from jitnet.bench.figures import spread
from jitnet.machine.host import Machine

__all__ = ["Bench", "Case", "Level", "Probes", "Result", "Settings", "Timed"]

Key = tuple[str, str, str, int]


class Timed:
    """The figures of a loop that was timed, from its samples, each the seconds of a call, and the FLOP and bytes of a
    call."""

    flop: float
    bytes: float
    samples_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        return median(self.samples_s)

    @property
    def spread(self) -> float:
        return spread(self.samples_s)

    @property
    def gflops(self) -> float:
        return self.flop / self.median_s / 1e9

    @property
    def gbs(self) -> float:
        return self.bytes / self.median_s / 1e9


@dataclass(frozen=True)
class Case:
    """Something to be timed.

    group: "machine", "operation", "prediction", "step", "ladder" or "numpy". shape: of the problem, as text. threads:
    how many run it. flop, bytes: of one call, as the operation declares it. used: whether the measured training runs
    it. parts: how many of the threads have work in it, 0 for all. run: times `repeats` calls, and returns seconds for
    all. prepare: sets everything up before that, not timed.
    """

    group: str
    name: str
    shape: str
    threads: int
    flop: float
    bytes: float
    run: Callable[[int], float] = field(repr=False)
    prepare: Callable[[], None] = field(default=lambda: None, repr=False)
    used: bool = True
    note: str = ""
    parts: int = 0

    @property
    def key(self) -> Key:
        return self.group, self.name, self.shape, self.threads


@dataclass(frozen=True)
class Result(Timed):
    """The samples of a case. samples_s: seconds per call, one per repetition, each the mean of `repeats` calls."""

    group: str
    name: str
    shape: str
    threads: int
    flop: float
    bytes: float
    repeats: int
    samples_s: tuple[float, ...]
    used: bool = True
    note: str = ""
    parts: int = 0

    @property
    def key(self) -> Key:
        return self.group, self.name, self.shape, self.threads

    @property
    def intensity(self) -> float:
        """FLOP per byte; infinite where no bytes are counted."""
        return self.flop / self.bytes if self.bytes else math.inf


@dataclass(frozen=True)
class Level:
    """Measured bandwidth, GB/s, on arrays of `size_bytes` together: of a sum, and of the triad a = b + s c."""

    size_bytes: int
    read_gbs: float
    triad_gbs: float

    @property
    def best_gbs(self) -> float:
        return max(self.read_gbs, self.triad_gbs)


@dataclass(frozen=True)
class Probes:
    """The machine's measured limits on `threads` threads.

    levels: smallest arrays first, the last beyond the caches.
    region_us: from one empty region to the next; None on one thread, where there is none.
    """

    threads: int
    peak_gflops: float
    levels: tuple[Level, ...]
    region_us: float | None

    def bandwidth(self, size_bytes: float) -> float:
        """GB/s that a loop over so many distinct bytes can reach: of the largest arrays measured within that size."""
        fitting = [level for level in self.levels if level.size_bytes <= size_bytes]
        return (fitting[-1] if fitting else self.levels[0]).best_gbs


@dataclass(frozen=True)
class Settings:
    """What was measured: the network and its data. Two measurements can be compared where these are equal."""

    data: str
    in_features: int
    hidden: tuple[int, ...]
    n_classes: int | None
    activation: str
    batch_size: int
    input_loops: str
    n_targets: int | None = None
    loss: str = "cross-entropy"
    norm: str = "none"
    residual: bool = False
    input_scale: bool = False


@dataclass(frozen=True)
class Bench:
    """A whole measurement.

    threads: the requested counts. compile_s: the time of compiling or loading alone. input_reason: why the first layer
    runs the loops that it does. same_bits: whether a few steps of training had the same parameters at every count of
    threads.
    """

    machine: Machine
    settings: Settings
    threads: tuple[int, ...]
    probes: tuple[Probes, ...]
    results: tuple[Result, ...]
    steps: tuple["StepRow", ...]
    input_reason: str
    same_bits: bool
    cache_bytes: int
    compile_s: float
    measure_s: float

    def group(self, name: str) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.group == name)

    def at(self, threads: int) -> Probes:
        return next(probes for probes in self.probes if probes.threads == threads)

    def limits_of(self, result: Result) -> Probes:
        """What the machine can do on as many threads as have work in a row, or on the next larger count measured."""
        parts = result.parts or result.threads
        return next((probes for probes in self.probes if parts <= probes.threads), self.probes[-1])


@dataclass(frozen=True)
class StepRow:
    """A whole training step on a count of threads. speed_up and efficiency: against the smallest count measured.
    accounted: share of the step that its rows and the starting of its regions add up to; None where not all of them
    were measured on that count."""

    threads: int
    parts: int
    us: float
    spread: float
    samples_per_second: float
    speed_up: float
    efficiency: float
    limit: str
    recommended: bool
    accounted: float | None
