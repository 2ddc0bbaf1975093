"""Where the time of a call goes: on which lines, in which loops and callees, and in what is no line at all.

A copy with a line table is called again and again while all threads are sampled. Shares are of the wall time of a call:
outside parallel regions by the samples of the main thread; inside, each thread has an equal part of the time, and what
it does not spend on a line it waits. So rows and rest add up to the call, however many threads wait.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any, Protocol

import numba

from jitnet.compiler.numba_parts import address_of
from jitnet.profile.functions.worker.addresses import Addresses
from jitnet.profile.functions.worker.calls import Calls
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, line_of_def
from jitnet.profile.functions.worker.dwarf import SourceLine
from jitnet.profile.functions.worker.line_sampler import LineSampler, running_s, why_not
from jitnet.profile.functions.worker.reference_counts import add_reference_hints
from jitnet.profile.functions.worker.regions import ThreadTimes
from jitnet.profile.functions.worker.sampled_copy import SampledCopy, sampled_copy
from jitnet.profile.functions.worker.source_rows import SourceRows, function_at
from jitnet.profile.functions.worker.stacks import LINE, OTHER, REFERENCES, REGION, WAITING, Doing, Stacks, is_users
from jitnet.profile.functions.worker.subject import Subject
from jitnet.profile.functions.worker.symbols import Symbols

__all__ = ["Measured", "sample"]

STARTING = "starting threads"

COMPILE_S = 15.0
"""A function that takes longer to compile is not compiled again to be sampled."""

LONGEST = 3.0
"""A call that takes this many times the budget is not repeated to be sampled."""

ROUND_S = 0.04
"""Of calls with samples, and then of calls without, to state what sampling costs."""

WARM_S = 0.02
"""Of calls before the first sample, after which the kernel has noted which threads ran."""

MESSAGE = 200
"""Characters of an error that are shown."""

FEWEST = 20
"""With fewer samples nothing is said."""


class Measured(Protocol):
    """What is known of a function that was called and timed: as in `measuring.py`."""

    subject: Subject
    arguments: tuple[Any, ...]
    code: Compiled
    symbols: Symbols
    calls: Calls
    counts: list[tuple[int, int, list[float]]]
    threads: ThreadTimes
    entries: int
    cpu_share: float
    file: str
    notes: list[str]
    hints: Hints
    sampled: SampledCopy | None
    report: Callable[[str], None]


def sample(measuring: Measured, budget_s: float) -> JsonObject | None:
    """Return where the time of a call goes, as `Sampling` in JSON, and through which lines; None with a note of the
    reason where that cannot be said. Where counting references takes much of it, a hint is added. budget_s: seconds for
    the calls, without compiling the copy."""
    found = _impossible(measuring, budget_s)
    if not found:
        try:
            measuring.report("compiling it with a line table")
            copy = sampled_copy(measuring.subject, measuring.arguments, measuring.code, measuring.symbols)
            measuring.sampled = copy
            measuring.report("sampling it")
            sampled = _Sampled(measuring, copy)
            result = sampled.result(budget_s)
            if result["samples"] >= FEWEST or measuring.cpu_share < 1:
                add_reference_hints(measuring.hints, sampled.references)
                return result
            found = f"only {result['samples']} samples were taken in {budget_s:.1f} s"
        except Exception as error:  # the profile goes on without it
            found = f"{type(error).__name__}: {' '.join(str(error).split())[:MESSAGE]}"
    measuring.notes.append(f"where its time goes was not sampled: {found}")
    return None


def _impossible(measuring: Measured, budget_s: float) -> str:
    call_s = min(median(samples) for _, _, samples in measuring.counts)
    if reason := why_not():
        return reason
    if (measuring.code.seconds or 0.0) > COMPILE_S:
        return f"it takes {measuring.code.seconds:.0f} s to compile, and would have to be compiled again"
    if measuring.subject.kind == "njit" and measuring.code.used() is None:
        return "which of its compiled signatures runs is not known"
    if call_s > LONGEST * budget_s:
        return f"a call takes {call_s:.1f} s, and would have to be repeated; use smaller arguments"
    return ""


class _Sampled:
    """Samples of one function, and what follows from them."""

    def __init__(self, measuring: Measured, copy: SampledCopy) -> None:
        self.measuring, self.copy = measuring, copy
        loaded = measuring.symbols.loaded(address_of)
        addresses = Addresses(loaded)
        self.compiled_lines = {line for line in addresses.lines_from(copy.first_object) if is_users(line)}
        self.same_code = copy.same_code(loaded)
        self.stacks = Stacks(addresses)
        self.sampler = LineSampler(addresses.compiled_range(copy.first_object), addresses.range_of("_nrt_python"))
        self.calls: Calls = measuring.calls.calling(copy.call)
        self.references: dict[SourceLine, float] = {}
        self.threads = max(count for count, _, _ in measuring.counts)
        code = measuring.subject.function.__code__
        self.root = function_at((measuring.file, line_of_def(measuring.file, code.co_firstlineno)))
        # A function that sleeps is sampled by CPU time, since a signal would wake it up.
        self.computing = measuring.cpu_share < 1

    def result(self, budget_s: float) -> JsonObject:
        if self.measuring.entries:
            numba.set_num_threads(self.threads)
        try:
            cost = self._run(budget_s)
        finally:
            if self.measuring.entries:
                numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        samples = self.sampler.samples()
        main = threading.main_thread().native_id or 0
        doing = {thread: Counter[Doing]() for thread in {each.thread for each in samples}}
        for each in samples:
            doing[each.thread][self.stacks.doing(each)] += 1
        mains = doing.pop(main, Counter[Doing]())
        whole = float(mains.total())
        if self.computing:
            whole /= max(self.measuring.cpu_share, 1e-3)
        rows, rest = SourceRows(self.root), dict.fromkeys((STARTING, WAITING), 0.0)
        if whole:
            self._weigh(mains, doing, whole, rows, rest)
        else:  # it slept nearly all the time
            rest[WAITING], rest[OTHER] = 1 - self.measuring.cpu_share, self.measuring.cpu_share
        by_share = sorted(rest.items(), key=lambda pair: -pair[1])
        return {
            "samples": len(samples),
            "cost": cost,
            "same_code": self.same_code,
            "loops": rows.rows(),
            "lines": [
                {"file": file, "line": line, "share": rows.lines.get((file, line), 0.0)}
                for file, line in sorted(self.compiled_lines | set(rows.lines))
            ],
            "rest": [{"name": name, "share": share} for name, share in by_share if share > 0],
            "through": [
                {"file": file, "line": line, "share": share} for (file, line), share in sorted(rows.through.items())
            ],
        }

    def _run(self, budget_s: float) -> float:
        """Call it with samples and without, in turn. Returns what sampling costs."""
        calls, sampler = self.calls, self.sampler
        before, begin = running_s(), time.perf_counter()
        once = calls.one()
        while time.perf_counter() - begin < WARM_S:
            once = min(once, calls.one())
        threads = [threading.main_thread().native_id or 0]
        if self.measuring.entries:  # threads of other libraries, which sleep, are left asleep
            ran = running_s().items()
            threads += [each for each, seconds in ran if each not in threads and not 0 < seconds <= before.get(each, 0)]
        repeats = max(1, min(100_000, round(ROUND_S / max(once, 1e-8))))
        sampled: list[float] = []
        plain: list[float] = []
        ends = time.perf_counter() + budget_s
        while time.perf_counter() < ends or not plain:
            with sampler.sampling(threads, len(sampled), self.computing):
                sampled.append(self._timed(repeats, sampler.watch))
            if time.perf_counter() > ends and plain:
                break
            plain.append(self._timed(max(1, repeats // 2), lambda on: None))
        return median(sampled) / max(median(plain), 1e-9) - 1

    def _timed(self, repeats: int, watch: Callable[[bool], None]) -> float:
        """Call it so often, and return the seconds of a call.

        watch: called with True before and with False after the calls, without what restores their arguments.
        """
        call, arguments = self.copy.call, self.measuring.arguments
        wall_s = cpu_s = 0.0
        rounds, each = (repeats, 1) if self.calls.restores else (1, repeats)
        for _ in range(rounds):
            self.calls.restore()
            begin, busy = time.perf_counter(), time.thread_time()
            watch(True)
            for _ in range(each):
                call(*arguments)
            watch(False)
            cpu_s += time.thread_time() - busy
            wall_s += time.perf_counter() - begin
        # Other programs on the cores do not change CPU time; threads that wait for each other are seen in wall time.
        return (wall_s if self.measuring.entries else cpu_s) / repeats

    def _weigh(
        self,
        mains: "Counter[Doing]",
        others: dict[int, "Counter[Doing]"],
        whole: float,
        rows: SourceRows,
        rest: dict[str, float],
    ) -> None:
        """Add up the shares: a sample outside regions counts 1 / whole, one inside 1 / whole / threads."""
        callers = _callers(mains)
        outside = sum(count for doing, count in mains.items() if not _in_region(doing))
        inside = max(0.0, whole - outside)
        in_region = {
            thread: {doing: count for doing, count in found.items() if doing.body and doing.what != REGION}
            for thread, found in others.items()
        }
        parallel = any(_in_region(doing) for doing in mains) or any(in_region.values())
        for doing, count in mains.items():
            if not _in_region(doing):
                self._add(doing, self._whole_way(doing, callers), count / whole, rows, rest)
        if not parallel:
            rest[WAITING] += inside / whole
            return
        here = {doing: count for doing, count in mains.items() if doing.body and doing.what != REGION}
        working = sorted(in_region.values(), key=lambda found: -sum(found.values()))[: max(0, self.threads - 1)]
        threads = [here, *working] + [{}] * (self.threads - 1 - len(working))
        for found in threads:
            busy = sum(found.values())
            # A thread cannot be busy for longer than the region: the main thread may have missed samples.
            scale = min(1.0, inside / busy) if busy else 0.0
            for doing, count in found.items():
                share = count * scale / whole / len(threads)
                self._add(doing, self._whole_way(doing, callers), share, rows, rest)
            idle = max(0.0, inside - busy * scale) / whole / len(threads)
            starting = idle * self._starting_share()
            rest[STARTING] += starting
            rest[WAITING] += idle - starting

    def _starting_share(self) -> float:
        """Return which part of the time without work threads spend on starting and ending, by their clocks."""
        shares = self.measuring.threads.shares()
        starting = sum(row["starting_s"] + row["joining_s"] for row in shares)
        waiting = sum(row["waiting_s"] for row in shares)
        return starting / (starting + waiting) if starting + waiting else 0.0

    def _add(
        self, doing: Doing, lines: tuple[SourceLine, ...], share: float, rows: SourceRows, rest: dict[str, float]
    ) -> None:
        if doing.what == LINE and lines:
            rows.add(lines, share)
        else:
            if doing.what == REFERENCES and lines:
                self.references[lines[0]] = self.references.get(lines[0], 0.0) + share
            name = OTHER if doing.what in (LINE, REGION) else doing.what
            rest[name] = rest.get(name, 0.0) + share
            rows.add_through(lines, share)

    def _whole_way(self, doing: Doing, callers: dict[str, tuple[SourceLine, ...]]) -> tuple[SourceLine, ...]:
        """Return a sample's lines, completed up to the profiled function: the calls of a loop's body on another
        thread's stack are those of the main thread; others are what the source can call."""
        lines = doing.lines
        if doing.body and doing.launched == len(lines) and doing.body in callers:
            lines += callers[doing.body]
        if lines and function_at(lines[-1]) != self.root:
            lines += self._known_way(function_at(lines[-1]))
        return lines

    def _known_way(self, function: SourceLine) -> tuple[SourceLine, ...]:
        """Return the lines of the calls that lead from the profiled function to another; () where none is known."""
        calls: dict[SourceLine, list[SourceLine]] = {}
        for summary in self.measuring.code.summaries:
            for called in summary.calls:
                code = called.dispatcher.py_func.__code__
                callee = function_at((code.co_filename, line_of_def(code.co_filename, code.co_firstlineno)))
                calls.setdefault(callee, []).append((summary.file, called.line))
        ways: list[tuple[SourceLine, ...]] = [(line,) for line in calls.get(function, [])]
        seen = {function}
        while ways:
            way = ways.pop(0)
            caller = function_at(way[-1])
            if caller == self.root:
                return way
            if caller not in seen:
                seen.add(caller)
                ways += [(*way, line) for line in calls.get(caller, [])]
        return ()


def _in_region(doing: Doing) -> bool:
    return bool(doing.body) or doing.what == REGION


def _callers(mains: "Counter[Doing]") -> dict[str, tuple[SourceLine, ...]]:
    """Return for each parallel loop the lines that its call came from, as the main thread's stack most often has it."""
    found: dict[str, Counter[tuple[SourceLine, ...]]] = {}
    for doing, count in mains.items():
        if doing.body and doing.launched < len(doing.lines):
            found.setdefault(doing.body, Counter())[doing.lines[doing.launched :]] += count
    return {body: ways.most_common(1)[0][0] for body, ways in found.items()}
