"""This machine's limits, measured: multiply-adds, bandwidth of each level of memory, going to the next region."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jitnet.bench.results import Case, Level, Probes, Result
from jitnet.bench.timing import LEAST, Progress, measure, timed
from jitnet.compiler.reference import Struct
from jitnet.compiler.signatures import make_record
from jitnet.engine.arena import aligned
from jitnet.engine.costs import Cost
from jitnet.engine.loop import run_steps
from jitnet.engine.loop_records import CALL
from jitnet.engine.ownership import MEETINGS
from jitnet.engine.program import Line, table_of
from jitnet.engine.state import empty_run
from jitnet.kernels.probe import PROBE_BLOCK, PROBES, SUMS, repeat_probe
from jitnet.machine.barrier import BARRIERS, barrier_words
from jitnet.machine.blocks import LANES
from jitnet.machine.host import set_threads

__all__ = ["cache_bytes", "measure_probes", "probe_cases", "probes_of"]

Floats = npt.NDArray[np.float32]

KIB, MIB = 1024, 1024 * 1024
SMALL = (24 * KIB, 192 * KIB, 3 * MIB)
"""Bytes of three arrays together, for each thread: within the first cache, the second, and (mostly) the last."""

MIN_BYTES, MAX_BYTES = 64 * MIB, 256 * MIB

TERMS = 20_000
"""Terms of each sum in one call of the peak."""

GAP = 5 * LANES
"""Numbers between the arrays of the triad: without a gap a load and a store have the same offset in a page (4K
aliasing)."""


def cache_bytes() -> int:
    """The size of the last-level cache as the system reports it, in bytes; 0 where it does not."""
    largest = 0
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        with contextlib.suppress(OSError, ValueError):
            text = path.read_text().strip()
            largest = max(largest, int(text.rstrip("KM")) * {"K": KIB, "M": MIB}.get(text[-1], 1))
    return largest


def memory_bytes() -> int:
    """Bytes of the largest arrays: four times the last-level cache, between 64 and 256 MiB."""
    return min(MAX_BYTES, max(MIN_BYTES, 4 * cache_bytes()))


def _sizes(threads: int) -> list[int]:
    """Total bytes of the arrays of each level, on so many threads."""
    unit = 12 * PROBE_BLOCK * threads
    return [size // unit * unit for size in (*(small * threads for small in SMALL), memory_bytes())]


def probe_cases(threads: Sequence[int]) -> list[Case]:
    """Cases of the group "machine".

    peak: 2 SUMS TERMS FLOP per thread on registers. read, triad: bytes are those of the numbers summed, or of the three
    arrays of a = b + s c (McCalpin 1995); a fetch before a store is not counted. All are repeated inside one region;
    region: going to an empty one.
    """
    # One array for all: only the memory matters, not its content.
    memory, out = aligned(memory_bytes() // 4 + 4 * GAP), aligned(PROBE_BLOCK * max(threads))
    memory[:] = np.float32(1e-3)
    cases = []
    for count in threads:
        sums = np.full(2 * SUMS * count, 1e-3, np.float32)
        cases.append(_probe("peak", "registers", count, 2.0 * SUMS * TERMS * count, 0.0, sums, out, TERMS))
        for size in _sizes(count):
            shape, numbers = f"{size:,} bytes", size // 4
            cases.append(_probe("read", shape, count, 0.0, size, memory, out, numbers))
            cases.append(_probe("triad", shape, count, 0.0, size, memory, out, numbers // 3))
        if count > 1:
            cases.append(_region(count))
    return cases


def _probe(
    name: str, shape: str, threads: int, flop: float, size: float, values: Floats, out: Floats, count: int
) -> Case:
    def run(repeats: int) -> float:
        set_threads(threads)
        return timed(lambda: repeat_probe(PROBES[name], values, out, count, count + GAP, repeats, threads))

    return Case("machine", name, shape, threads, flop, size, run)


def _region(threads: int) -> Case:
    """A step of one region whose parts are empty, performed as training performs steps."""
    line = Line(1, "gather", 0, "samples", threads, "", Cost(0.0, 0.0))
    call = make_record(CALL, meeting=MEETINGS["barriers" if BARRIERS else "region ends"])
    run = empty_run()._replace(program=table_of([line]), call=call, barrier=barrier_words(threads))
    struct, totals = Struct(run), np.zeros(3)

    def sample(repeats: int) -> float:
        set_threads(threads)
        call.n_steps = repeats
        return timed(lambda: run_steps(struct, 0, totals))

    return Case("machine", "region", "empty", threads, 0.0, 0.0, sample)


def measure_probes(
    threads: Sequence[int],
    budget_s: float,
    progress: Progress = lambda what, done, total: None,
    *,
    regions: bool = True,
) -> list[Probes]:
    """Measure the machine's limits at each count of threads, for budget_s seconds in all.

    regions: also going to the next region, which compiles or loads jitnet's training loops.
    """
    cases = [case for case in probe_cases(threads) if regions or case.name != "region"]
    results = measure(cases, LEAST, budget_s, progress)
    return [probes_of(results, count) for count in threads]


def probes_of(results: Sequence[Result], threads: int) -> Probes:
    """The measured limits at a count of threads. The peak is the best sample: noise only makes a sample slower."""
    found = [result for result in results if result.group == "machine" and result.threads == threads]
    names = ("peak", "read", "triad", "region")
    by_name = {name: [result for result in found if result.name == name] for name in names}
    peak = by_name["peak"][0]
    levels = [
        Level(int(read.bytes), *(result.bytes / min(result.samples_s) / 1e9 for result in (read, triad)))
        for read, triad in zip(by_name["read"], by_name["triad"], strict=True)
    ]
    region_us = by_name["region"][0].median_s * 1e6 if by_name["region"] else None
    return Probes(threads, peak.flop / min(peak.samples_s) / 1e9, tuple(levels), region_us)
