"""What a profile is: the rows of a training step, the threads, and the step as it runs without a clock."""

from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from jitnet.bench.records import Probes
from jitnet.compiler.machine import Machine

__all__ = ["Profile", "Row", "Slice", "ThreadRow", "spread"]

SAMPLES = 512
"""Samples that a row keeps at the most, one a step, evenly thinned."""


def spread(samples: tuple[float, ...]) -> float:
    """Half the distance between the quartiles, as a share of the median."""
    if len(samples) < 2:
        return 0.0
    low, _, high = quantiles(samples, n=4, method="inclusive")
    middle = median(samples)
    return (high - low) / 2 / middle if middle else 0.0


@dataclass(frozen=True)
class Row:
    """A line of the step's program, as it was measured.

    region, operation, layer, next_batch, split, parts: as the line has them. shape: extents of the problem, for people.
    flop, bytes: done in a step by all parts. nominal_flop: what dense loops would do; more than flop where zeros are
    skipped. calls: steps in which it was timed. samples_s: seconds of a step that it takes, the mean over its parts,
    for some of these steps. by_thread_s: the mean of each part alone. share: of the step's time. roof: share of the
    roof that it reaches, 0 where it counts neither FLOP nor bytes; above 1 is impossible. binds: "arithmetic", "first
    cache", "second cache", "last cache", "memory", "latency" or "starting threads". verdict: one sentence.
    """

    region: int
    operation: str
    layer: int
    next_batch: bool
    split: str
    parts: int
    shape: str
    flop: float
    bytes: float
    nominal_flop: float
    calls: int
    samples_s: tuple[float, ...]
    by_thread_s: tuple[float, ...]
    share: float
    roof: float = 0.0
    binds: str = ""
    verdict: str = ""

    @property
    def name(self) -> str:
        """Operation and layer, and whether it is on the next batch: "forward_sparse 0, next batch"."""
        return f"{self.operation} {self.layer}{', next batch' * self.next_batch}"

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

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flop / self.bytes if self.bytes else 0.0

    @property
    def skips_zeros(self) -> bool:
        return self.nominal_flop > self.flop


@dataclass(frozen=True)
class ThreadRow:
    """What one thread does in a mean step, in seconds: its lines; waiting for the slowest; until it starts; and from
    the slowest's end until the region is left. The rest of a step is outside regions."""

    thread: int
    busy_s: float
    waiting_s: float
    starting_s: float
    joining_s: float


@dataclass(frozen=True)
class Slice:
    """One line, by one thread, in one step: for the timeline. row: its place among the rows. Seconds from the first
    slice's begin."""

    step: int
    row: int
    thread: int
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Profile:
    """A training step on `threads` threads.

    settings: network, data and options of training; two profiles can be compared where these are equal. probes: what
    the machine was measured to do. plain_s, clocked_s: seconds a step, one a chunk of steps, in turn without and with
    the clock. threads_rows: one a thread. waiting_s, starting_s: of a mean step, means over the threads: waiting for
    the slowest; entering and leaving regions. rest_s: of a mean step, outside lines and regions. slices: of some
    hundred steps one after another.
    """

    machine: Machine
    settings: dict[str, Any]
    threads: int
    threads_reason: str
    cache_bytes: int
    probes: Probes
    rows: tuple[Row, ...]
    threads_rows: tuple[ThreadRow, ...]
    plain_s: tuple[float, ...]
    clocked_s: tuple[float, ...]
    waiting_s: float
    starting_s: float
    rest_s: float
    slices: tuple[Slice, ...]

    @property
    def step_s(self) -> float:
        """A step as it runs without a clock."""
        return median(self.plain_s)

    @property
    def cost(self) -> float:
        """What the clock costs, as a share of the step: the median over neighbouring chunks."""
        return median(clocked / plain for clocked, plain in zip(self.clocked_s, self.plain_s, strict=True)) - 1.0

    @property
    def accounted(self) -> float:
        """Rows and rest, added up, as a share of the step without a clock."""
        rows = sum(row.median_s for row in self.rows)
        return (rows + self.waiting_s + self.starting_s + self.rest_s) / self.step_s
