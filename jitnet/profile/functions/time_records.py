"""What the times of a profile are: of calls, of threads and parallel loops, and of loops and lines by samples."""

from dataclasses import dataclass
from statistics import median

from jitnet.profile.functions.places import Place

__all__ = ["CallSlice", "Count", "LineTime", "LoopTime", "Region", "RegionSlice", "Rest", "Sampling", "ThreadShare"]


@dataclass(frozen=True)
class Count:
    """The function on so many threads. samples_s: seconds a call, each the mean of `repeats` calls."""

    threads: int
    repeats: int
    samples_s: tuple[float, ...]

    @property
    def calls(self) -> int:
        return self.repeats * len(self.samples_s)

    @property
    def median_s(self) -> float:
        return median(self.samples_s)


@dataclass(frozen=True)
class ThreadShare:
    """What one thread does in a mean call, in seconds: its work; waiting for the slowest; until it starts; and from
    the slowest's end until the region is left. What a call spends outside regions is not in it. computing_s: its work
    by its CPU time; much less than busy_s where other processes use the cores too, or it sleeps."""

    thread: int
    busy_s: float
    computing_s: float
    waiting_s: float
    starting_s: float
    joining_s: float


@dataclass(frozen=True)
class Region:
    """A parallel loop, on as many threads as there are.

    entries: times a call enters it. region_s: of one entry, from before its threads start until all have ended.
    busy_s: of one entry, the mean of each thread. uneven: how much longer the busiest thread computes than the mean,
    0.5 is half as long again; by the threads' CPU time, so that a preempted thread does not count.
    """

    place: Place
    entries: float
    region_s: float
    busy_s: tuple[float, ...]
    starting_s: float
    uneven: float


@dataclass(frozen=True)
class LineTime:
    """A line's share of a call's time, 0 to 1, without what it calls where the callee has lines of its own."""

    place: Place
    share: float


@dataclass(frozen=True)
class LoopTime:
    """A loop, or a callee with source: its share of a call's time, everything inside it included.

    kind: "loop" or "callee". name: of the function that it is in, or that is called. depth: 0 for what the function
    itself contains, 1 for what is directly inside that, and so on; rows come in the order of the source. last_line:
    where a loop ends. own: the share without the loops and callees inside it.
    """

    kind: str
    name: str
    place: Place
    last_line: int
    depth: int
    share: float
    own: float


@dataclass(frozen=True)
class Rest:
    """What a call spends outside its source's lines: "calling and unboxing", "allocation", "reference counts",
    "Python", "waiting", "starting threads", "library: exp", "other"."""

    name: str
    share: float


@dataclass(frozen=True)
class Sampling:
    """Where the time of a call goes, by samples of each thread's program counter.

    samples: how many, of all threads. cost: how much longer a call takes while it is sampled, 0.1 is a tenth.
    same_code: whether the sampled copy has the machine code that was timed. lines: all for which there is code, also
    those that no sample fell on. The shares of outermost loops and callees, of lines outside them, and of the rest add
    up to 1.
    """

    samples: int
    cost: float
    same_code: bool
    loops: tuple[LoopTime, ...]
    lines: tuple[LineTime, ...]
    rest: tuple[Rest, ...]


@dataclass(frozen=True)
class RegionSlice:
    """A parallel loop on one thread in one call. Seconds from the first call's begin."""

    place: Place
    thread: int
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class CallSlice:
    """One call, and what its threads did in its parallel loops. Seconds from the first call's begin."""

    begin_s: float
    end_s: float
    regions: tuple[RegionSlice, ...] = ()
