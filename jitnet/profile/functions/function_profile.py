"""What the profile of a function is."""

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from jitnet.bench.figures import threads_text
from jitnet.profile.code.code_view import CodeView
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.thresholds import SELDOM, is_gain

__all__ = [
    "WRONG",
    "Argument",
    "CallSlice",
    "Check",
    "CompiledFunction",
    "Count",
    "Counted",
    "CountedLoop",
    "Fix",
    "FunctionProfile",
    "Hardware",
    "HardwareLoop",
    "Hint",
    "LineTime",
    "LoopTime",
    "Place",
    "Region",
    "RegionSlice",
    "Rest",
    "Sampling",
    "ThreadShare",
    "Trial",
    "as_document",
]

WRONG = (Kind.RACE.value,)
"""Kinds of hints that say that the results are wrong, which come before all others."""


@dataclass(frozen=True)
class Place:
    """A line of a source file; `source` is its text without the indent, "" where it cannot be read."""

    file: str
    line: int
    source: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument of the timed calls.

    type: Numba's, with extents: "float32[1000, 1000] C". written: "" where the call does not change it, "again" where
    each call writes the same values, "restored" where it was restored before every call.
    """

    name: str
    type: str
    written: str


@dataclass(frozen=True)
class CompiledFunction:
    """A function of the user's that was compiled for this, the profiled one or one that it calls.

    signatures: as text, one for each time that it was compiled. compile_s: for all of them, without those it calls.
    """

    name: str
    place: Place
    signatures: tuple[str, ...]
    compile_s: float


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
class Trial:
    """What a hint's remedy did: a changed copy of the function was compiled, and both were timed in turn.

    change: what was changed, 'fastmath={"reassoc"}' or "the loops of lines 4 and 5 exchanged". factor: how many times
    as fast the copy is, the median over pairs of calls; low, high: an interval that has the true median with a
    probability of 95%. difference: the largest difference of a result, relative to the largest value of that result;
    0.0 where all values are equal, None where results cannot be compared.
    alike: whether the difference is no more than rounding. diff: the change of the source as a unified diff, "" where
    only an option of the decorator or an argument changes.
    """

    change: str
    factor: float
    low: float
    high: float
    difference: float | None
    diff: str = ""
    alike: bool = True

    @property
    def helps(self) -> bool:
        """Whether it shows a gain: the whole interval above 1, by 3% or more, with the same results."""
        return is_gain(self.factor, self.low, self.alike)


@dataclass(frozen=True)
class Fix:
    """What helps, combined, and measured so.

    changes: in words. trial: of all of them together. diff: a unified diff of the user's files, "" where the source is
    left as it is. remarks: what has to be done where the diff does not reach, a phrase each.
    """

    changes: tuple[str, ...]
    trial: Trial
    diff: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hint:
    """Something to change, at a place.

    kind: one of `hints.Kind`, by name. reason: what was found there, in one sentence. advice: what to do. share: of the
    call's time that it affects, None where that is not known. source: what it was found in: "types", "source", "machine
    code", "clock", "samples", "flags" or "a run in Python". trial: what its remedy did, None where it was not tried;
    untried: the reason for that.
    """

    kind: str
    place: Place
    reason: str
    advice: str
    source: str
    share: float | None = None
    trial: Trial | None = None
    untried: str = ""

    @property
    def shown(self) -> bool:
        """Whether it is worth reading: its remedy helps, or could not be tried where time is spent."""
        if self.trial is not None:
            return self.trial.helps
        return self.share is None or self.share >= SELDOM or self.kind in WRONG


@dataclass(frozen=True)
class Check:
    """Whether a result is right in one respect.

    name: what was compared, "1 and 2 threads" or "two equal calls". verdict: "held", "failed", or "not done". reason:
    what differs and by how much, or why it was not done. place: the line at fault, None where it is not known.
    """

    name: str
    verdict: str
    reason: str = ""
    place: Place | None = None


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
class CountedLoop:
    """What all iterations of a loop do in one call, with all that is called in it; None where it is not known."""

    place: Place
    flop: float | None
    bytes: float | None


@dataclass(frozen=True)
class Counted:
    """FLOP and bytes of a call, counted by running a copy that counts; None where it is not known, for the reason.

    FLOP: additions, subtractions, products, quotients, roots, powers and each call of a mathematical function. bytes:
    each distinct array element once where it is read before it is written, and once where it is written, as if the
    caches were perfect.
    """

    flop: float | None
    bytes: float | None
    loops: tuple[CountedLoop, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class HardwareLoop:
    """A loop's share of the events that were counted for a call, 0 to 1, by samples of where each occurred."""

    place: Place
    cycles: float
    cache_misses: float


@dataclass(frozen=True)
class Hardware:
    """What the processor's counters counted in a mean call, on all threads of the function's process, in user mode;
    None for an event that the processor does not count. reason: why there are none, in a sentence."""

    cycles: float | None = None
    instructions: float | None = None
    cache_misses: float | None = None
    branch_misses: float | None = None
    loops: tuple[HardwareLoop, ...] = ()
    reason: str = ""

    @property
    def known(self) -> bool:
        return self.cycles is not None or self.instructions is not None

    @property
    def instructions_per_cycle(self) -> float | None:
        return self.instructions / self.cycles if self.instructions is not None and self.cycles else None


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


@dataclass(frozen=True)
class FunctionProfile:
    """One function, its arguments, its time, its threads, and what to change.

    target: as the user named it. kind: "njit", "njit, parallel", "vectorize", "guvectorize" and so on. signature: of
    the call that was timed. options: of its decorator, as text. compile_s: of this signature with all that was compiled
    for it, None where that came from Numba's cache or was compiled as the module was loaded. import_s: loading the
    module. counts: one a count of threads, a single one where nothing is parallel. threads: of the table by thread and
    of the regions. outside_s: of a mean call, outside regions. dispatch_s: what a call from Python costs without the
    work, None where it is negligible. cpu_share: CPU time as a share of a call's time on one thread; far below 1 it
    sleeps or waits. flop, bytes: of a call, by the formula where there is one, else by `counted`; None where neither is
    known. functions: those that were compiled for it.
    kept: allocations in loops that are no hints, since what is allocated is stored or returned.
    unsearched: hints that could not be looked for, each with the reason. notes: what else to know, a sentence each.
    checks: whether its results are right. fix: what helps, combined, None where nothing does. sampling: where its time
    goes, None where it could not be sampled. counted: FLOP and bytes of a call and its loops, None where they were not
    counted. hardware: the processor's counters. timeline: some calls, for a trace. lines: what LLVM made of it, None
    where that could not be read.
    """

    target: str
    kind: str
    place: Place
    signature: str
    options: str
    arguments: tuple[Argument, ...]
    returns: str
    compile_s: float | None
    import_s: float
    counts: tuple[Count, ...]
    threads: int
    thread_shares: tuple[ThreadShare, ...]
    regions: tuple[Region, ...]
    outside_s: float
    dispatch_s: float | None
    cpu_share: float
    flop: float | None
    bytes: float | None
    flop_formula: str
    bytes_formula: str
    functions: tuple[CompiledFunction, ...]
    hints: tuple[Hint, ...]
    unsearched: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    threading_layer: str
    numba: str
    python: str
    perf_map: str
    kept: tuple[Hint, ...] = ()
    checks: tuple[Check, ...] = ()
    fix: Fix | None = None
    sampling: Sampling | None = None
    counted: Counted | None = None
    hardware: Hardware | None = None
    timeline: tuple[CallSlice, ...] = ()
    lines: CodeView | None = None

    @property
    def right(self) -> bool:
        """Whether no check of its results failed."""
        return not any(check.verdict == "failed" for check in self.checks)

    @property
    def best(self) -> Count:
        """The fastest count of threads."""
        return min(self.counts, key=lambda count: count.median_s)

    @property
    def full(self) -> Count:
        """The largest count of threads."""
        return max(self.counts, key=lambda count: count.threads)

    @property
    def gflops(self) -> float | None:
        """At the fastest count of threads."""
        return None if self.flop is None else self.flop / self.best.median_s / 1e9

    @property
    def gbs(self) -> float | None:
        return None if self.bytes is None else self.bytes / self.best.median_s / 1e9

    @property
    def samples(self) -> dict[str, tuple[float, ...]]:
        """Seconds a call for each row that a comparison has: the function at each count of threads."""
        return {f"{self.target} on {threads_text(count.threads)}": count.samples_s for count in self.counts}


def as_document(profile: FunctionProfile) -> dict[str, Any]:
    """Return what `jitnet profile MODULE:FUNCTION --json` prints: everything that was found.

    Two documents can be compared where function, arguments and options are equal.
    """
    from jitnet.bench.limits import cache_bytes  # here, since they load Numba
    from jitnet.machine.host import describe_machine
    from jitnet.profile.document import FUNCTION_FORMAT, document

    settings = {"target": profile.target, "signature": profile.signature, "options": profile.options}
    rows = [
        {
            "name": profile.target.rpartition(":")[2],
            "shape": ", ".join(argument.type for argument in profile.arguments),
            "threads": count.threads,
            "samples_s": count.samples_s,
        }
        for count in profile.counts
    ]
    figures = {"gflops": profile.gflops, "gbs": profile.gbs, **asdict(replace(profile, timeline=()))}
    del figures["timeline"]
    return document(FUNCTION_FORMAT, describe_machine(), cache_bytes(), settings, rows, **figures)
