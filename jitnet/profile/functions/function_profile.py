"""What the profile of a function is."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from jitnet.bench.figures import threads_text
from jitnet.profile.code.code_view import CodeView
from jitnet.profile.functions.count_records import Counted, Hardware
from jitnet.profile.functions.hint_records import Fix, Hint
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import CallSlice, Count, Region, Sampling, ThreadShare

__all__ = [
    "Argument",
    "Check",
    "CompiledFunction",
    "FunctionProfile",
    "as_document",
]


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
