"""The records of a profile: the rows of a training step, the threads, and the step without a clock."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from jitnet.bench.results import Probes, Timed
from jitnet.config import layers_in_words
from jitnet.engine.operations import OPERATIONS
from jitnet.machine.host import Machine

__all__ = ["Profile", "RegionRow", "Row", "Slice", "ThreadRow", "typical_pairs"]


def typical_pairs(plain_s: Sequence[float], clocked_s: Sequence[float]) -> tuple[int, ...]:
    """Return the middle half of the pairs, by the sum of both times. Means over these add up, unlike medians, and the
    machine's slow moments are left out."""
    order = sorted(range(len(plain_s)), key=lambda place: plain_s[place] + clocked_s[place])
    return tuple(sorted(order[len(order) // 4 : max(len(order) // 4 + 1, -(-3 * len(order) // 4))]))


@dataclass(frozen=True)
class Row(Timed):
    """A line of the step's program, as it was measured.

    region, operation, layer, next_batch, split, parts: the line's. shape: extents of the problem, as text.
    flop, bytes: of a step, by all parts. nominal_flop: what dense loops would do; more than flop where zeros are
    skipped. calls: steps in which it was timed. samples_s: seconds of a step that it takes, one for each chunk of steps
    with the clock: means over its steps and parts. by_thread_s: the mean of each part. share: of the step's time; this
    and by_thread_s over typical chunks. roof: share of the roof that it reaches, 0 where it counts neither FLOP nor
    bytes; above 1 is impossible. binds: what limits it: "arithmetic", "first cache", "second cache", "last cache",
    "memory", "latency" or "starting threads". verdict: one sentence.

    An operation that makes samples ahead of the step has region 0, and its seconds are those of a step's samples.
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
        """The line's name: "forward_sparse 0, next batch"."""
        known = OPERATIONS.get(self.operation)  # a file may be of a version that had others
        layer = "" if self.region == 0 or (known and known.whole_network) else f" {self.layer}"
        return f"{self.operation}{layer}{', next batch' * self.next_batch}"

    @property
    def intensity(self) -> float:
        """FLOP per byte."""
        return self.flop / self.bytes if self.bytes else 0.0

    @property
    def skips_zeros(self) -> bool:
        return self.nominal_flop > self.flop


@dataclass(frozen=True)
class RegionRow:
    """A parallel region of a mean step, in seconds: number and parts; wall_s from entering to leaving; busy_s: the
    lines in it, the mean over its parts; starting_s: until a part begins and from the last one's end until it is left;
    waiting_s: for the slowest part. verdict: one sentence where these matter, else ""."""

    region: int
    parts: int
    wall_s: float
    busy_s: float
    starting_s: float
    waiting_s: float
    verdict: str = ""


@dataclass(frozen=True)
class ThreadRow:
    """What one thread does in a mean step, in seconds: its lines; waiting for the slowest; until it starts; and from
    the slowest's end until the region is left. Where a region has fewer parts than there are threads, the others wait.
    The rest of a step is outside regions."""

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

    settings: network, data and options of training; two profiles can be compared where these are equal. input_reason:
    why the first layer runs its loops, dense or sparse. probes: the machine's measured limits on so many threads;
    fewer: the same for the parts of regions that have fewer. plain_s, clocked_s: seconds a step, one a chunk of steps,
    alternately without and with the clock. waiting_s, starting_s, rest_s: of a step in typical chunks: waiting for the
    slowest part, and entering and leaving regions, means over the parts; all that is outside lines and regions. slices:
    of a few hundred consecutive steps. prediction: the lines of a prediction of `predicted` samples, as rows, with
    shares of its whole time. measure_s: seconds for all of this.
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
    regions: tuple[RegionRow, ...] = ()
    fewer: tuple[Probes, ...] = ()
    input_reason: str = ""
    measure_s: float = 0.0
    prediction: tuple[Row, ...] = ()
    predicted: int = 0

    @property
    def machine_text(self) -> str:
        """The processor, as text: its name, and the bits of its vectors."""
        return f"{self.machine.cpu}, {self.machine.vector_bits}-bit vectors"

    @property
    def network_text(self) -> str:
        """Network and training, as text: "784-128-10, relu, sgd, batch 32"."""
        settings = self.settings
        outputs = settings.get("n_targets") or settings["n_classes"]
        widths = "-".join(map(str, (settings["in_features"], *settings["hidden"], outputs)))
        return f"{widths}, {layers_in_words(settings)}, {settings['optimizer']}, batch {settings['batch_size']}"

    @property
    def typical(self) -> tuple[int, ...]:
        """Indices of the typical pairs of chunks: the middle half by time."""
        return typical_pairs(self.plain_s, self.clocked_s)

    @property
    def step_s(self) -> float:
        """Seconds of a step without a clock: the mean of the typical chunks."""
        return fmean(self.plain_s[place] for place in self.typical)

    @property
    def clocked_step_s(self) -> float:
        """Seconds of a step with the clock: the mean of the same chunks."""
        return fmean(self.clocked_s[place] for place in self.typical)

    @property
    def cost(self) -> float:
        """The clock's cost, as a share of the step: from the two means."""
        return self.clocked_step_s / self.step_s - 1.0

    @property
    def cost_error(self) -> float:
        """Half the width of the cost's 95% confidence interval: two standard errors of the mean difference of
        neighbouring chunks; infinite where there are fewer than two pairs."""
        differences = [self.clocked_s[place] - self.plain_s[place] for place in self.typical]
        if len(differences) < 2:
            return math.inf
        return 2.0 * stdev(differences) / math.sqrt(len(differences)) / self.step_s

    @property
    def accounted(self) -> float:
        """The sum of rows and rest, as a share of the step without a clock."""
        return sum(row.share for row in self.rows) + (self.waiting_s + self.starting_s + self.rest_s) / self.step_s
