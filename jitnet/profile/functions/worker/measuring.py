"""From a function to its times, its threads and its hints, as numbers and text for JSON."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numba

from jitnet.bench.figures import all_counts
from jitnet.compiler.numba_parts import (
    address_of,
    event,
    wrap_loop_bodies,
)
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.thresholds import LINES_S, MOST_CHECKS, PARTS_S, TIME_S
from jitnet.profile.functions.worker import hardware
from jitnet.profile.functions.worker.addresses import Addresses
from jitnet.profile.functions.worker.calls import Calls, interleaved
from jitnet.profile.functions.worker.checks import Checks
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.counting import count
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, line_of_def, place
from jitnet.profile.functions.worker.flags import look_for_denormals
from jitnet.profile.functions.worker.recompiling import mentions
from jitnet.profile.functions.worker.regions import ThreadTimes, disturbed
from jitnet.profile.functions.worker.sampled_copy import SampledCopy
from jitnet.profile.functions.worker.source_rows import is_head
from jitnet.profile.functions.worker.subject import (
    Refused,
    Subject,
    arguments_of,
    find,
)
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.symbols import Symbol, Symbols, map_file, region_of, write_map
from jitnet.profile.functions.worker.thread_clock import ThreadClock
from jitnet.profile.functions.worker.trials import Trials
from jitnet.profile.functions.worker.typed_code import failures, watch_compiler
from jitnet.profile.functions.worker.values import for_formula, type_text
from jitnet.profile.functions.worker.warned import watch_warnings
from jitnet.profile.functions.worker.where import sample
from jitnet.profile.readable import demangle
from jitnet.profile.users.built_ufuncs import remember_ufuncs
from jitnet.profile.users.generators import MOST_VALUES

__all__ = ["Observers", "measure", "measure_and_try", "observe", "options_text"]

LONG_CALL_S = 2.0
"""Where a call takes longer than this, it is timed once."""

TIMING_S, CLOCK_S, READ_S, CHECK_S = (PARTS_S[part] for part in ("timing", "threads", "reading", "checks"))
"""Seconds for the parts: timing, threads, compiling copies to read, whether results are right."""

TRACED, TRACED_S = 100, 0.01
"""The calls of a timeline; of a serial function that takes longer, there is one."""

DISPATCH_MATTERS_S = 20e-6
"""Below this, the cost of a call from Python is measured too."""


@dataclass(frozen=True)
class Observers:
    """What must be installed before the user's code is loaded, once a process."""

    clock: ThreadClock
    symbols: Symbols
    summaries: list[Summary]
    regions: dict[str, tuple[str, int]]
    compiled: event.RecordingListener


def observe(cores: Sequence[int] = ()) -> Observers:
    """Install all observers. cores: as `ThreadClock` takes them."""
    summaries: list[Summary] = []
    clock, symbols = ThreadClock(cores), Symbols()
    watch_compiler(summaries)
    remember_ufuncs()
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    return Observers(clock, symbols, summaries, _remember_regions(), compiled)


def measure(request: JsonObject, observers: Observers, report: Callable[[str], None]) -> JsonObject:
    """Load, compile, call, time and examine one function. report: called with what is being done."""
    return measure_and_try(request, observers, report)[0]


def measure_and_try(
    request: JsonObject, observers: Observers, report: Callable[[str], None]
) -> tuple[JsonObject, Trials]:
    """Return the reply of `measure`, and what tries the remedies of its hints."""
    with watch_warnings() as warned:
        report("loading the module")
        loading = time.perf_counter()
        if numba.config.DISABLE_JIT:
            raise Refused("NUMBA_DISABLE_JIT is set: nothing is compiled; unset it")
        subject = find(request["target"])
        import_s = time.perf_counter() - loading
        report("making the arguments")
        arguments = arguments_of(subject, request)
        measuring = _Measuring(subject, arguments, request, observers, report)
        report("compiling")
        measuring.compile()
        measuring.check()
        measuring.call()
        measuring.sampling = sampling = sample(measuring, PARTS_S["sampling"])
    warned.add_to(measuring.hints, measuring.notes)
    reply = measuring.reply()
    if sampling is not None:
        shares = HintShares(sampling)
        for hint in reply["hints"]:
            if hint["share"] is None:
                hint["share"] = shares.share(hint["kind"], hint["place"]["file"], hint["place"]["line"])
    reply["import_s"] = import_s
    reply["sampling"] = sampling
    trials = Trials(measuring.code, measuring.calls, observers.clock, report, measuring.time_s, sampling)
    reply["spent_s"] = measuring.spent_s() + measuring.longer_checks_s
    return reply, trials


def _remember_regions() -> dict[str, tuple[str, int]]:
    """From now on, store the line of each parallel loop by the name of its body."""
    places: dict[str, tuple[str, int]] = {}

    def wrapped(create: Any) -> Any:
        def create_and_store(lowerer: Any, parfor: Any, *rest: Any, **named: Any) -> Any:
            made = create(lowerer, parfor, *rest, **named)
            file = str(parfor.loc.filename)
            file = str(lowerer.func_ir.func_id.filename) if file.startswith("<") else file
            places[region_of(str(made[0].fndesc.mangled_name))] = file, int(parfor.loc.line)
            return made

        return create_and_store

    wrap_loop_bodies(wrapped)
    return places


class _Measuring:
    """The measurement of one function, from its arguments to a reply."""

    def __init__(
        self,
        subject: Subject,
        arguments: tuple[Any, ...],
        request: JsonObject,
        observers: Observers,
        report: Callable[[str], None],
    ) -> None:
        self.subject, self.arguments, self.request, self.report = subject, arguments, request, report
        self.clock, self.symbols, self.places = observers.clock, observers.symbols, observers.regions
        self.code = Compiled(subject, arguments, observers.summaries, observers.compiled.buffer)
        self.time_s = float(request.get("time_s") or TIME_S)
        self.longer_checks_s = 0.0
        self.begin_s = time.perf_counter()
        self.file = str(subject.function.__code__.co_filename)
        self.line = int(subject.function.__code__.co_firstlineno)
        self.names = subject.names(len(arguments))
        self.calls = Calls(subject.call, arguments, self.names)
        self.notes: list[str] = [*subject.notes]
        self.hints = Hints()
        self.checks = Checks(self)
        self.entries = 0
        self.counts: list[tuple[int, int, list[float]]] = []
        self.threads = ThreadTimes(1)
        self.sampled: SampledCopy | None = None
        self.sampling: JsonObject | None = None
        self.cpu_share = 1.0
        self.dispatch_s: float | None = None

    def spent_s(self) -> float:
        """Return the seconds since the function was compiled."""
        return time.perf_counter() - self.begin_s

    def left_s(self) -> float:
        """Return the seconds that are left here: of those by default, so that more time goes to the trials."""
        return min(self.time_s, TIME_S) - LINES_S - self.spent_s()

    def compile(self) -> None:
        self.code.compile()
        self.begin_s = time.perf_counter()

    def check(self) -> None:
        """Run copies that show what would be wrong, before the first call of the function itself."""
        self.report("checking its results")
        self.code.read_cached(READ_S)
        begin = time.perf_counter()
        # Copies that check are compiled in this time, and parallel functions compile slowly.
        budget_s = CHECK_S * min(MOST_CHECKS, max(1.0, self.time_s / TIME_S))
        self._checked(lambda: self.checks.before_calling(budget_s))
        self.begin_s = time.perf_counter()
        self.longer_checks_s = max(0.0, self.begin_s - begin - CHECK_S)
        if self.checks.danger:
            report = self.report
            # Should it crash now, this is why.
            self.report = lambda what: report(f"{what}, where {self.checks.danger}")

    def _compare(self, call_s: float) -> None:
        self._checked(lambda: self.checks.after_calling(CHECK_S, call_s, bool(self.entries)))

    def _checked(self, step: Callable[[], None]) -> None:
        """A check that fails costs that check, never the profile."""
        try:
            step()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            self.notes.append(f"its results could not be checked: {text.splitlines()[0][:200]}")

    # Call it.

    def call(self) -> None:
        """Call it as often as needed: to see what it writes, to time it on each count of threads, to read the flags."""
        self.report(f"calling it for the first time ({self.file}:{self._def_line()})")
        before, known = self.clock.entered, self.code.count()
        try:
            self.calls.first()
        except TypeError as error:
            if not str(error).startswith("No matching definition"):
                raise
            declared = " or ".join(map(str, self.subject.dispatcher.nopython_signatures))
            raise Refused(f"{self.subject.function.__name__}: {error}; it is declared for {declared}") from None
        self.entries = self.clock.entered - before
        self._checked(self.checks.first_call)
        if self.calls.first_s > LONG_CALL_S and self.code.count() == known:
            self._compare(self.calls.first_s)
            self._once()
        else:
            self.report("calling it again")
            self.calls.second()
            if self.code.count() > known:
                self.code.seconds = max(0.0, self.calls.first_s - self.calls.second_s)
            self._compare(self.calls.second_s)
            if self.calls.second_s > LONG_CALL_S:
                self._once()
            else:
                self._repeatedly()
        if self.subject.kind == "generator":
            self.notes.append(_values_taken(self.calls.result))
        if self.calls.written and set(self.calls.written.values()) == {"restored"}:
            self.notes.append("what it writes was restored before every call, which is not in its time")

    def _once(self) -> None:
        threads = numba.get_num_threads() if self.entries else 1
        call_s = self.calls.second_s or self.calls.first_s
        self.counts = [(threads, 1, [call_s])]
        self.notes.append(
            f"a call takes {call_s:.1f} s, too long to repeat: it was timed once"
            + (f", on {threads} threads" if self.entries else "")
        )

    def _repeatedly(self) -> None:
        available = numba.config.NUMBA_NUM_THREADS
        counts = [1]
        if self.entries:
            counts = self.request["threads"] or list(all_counts(available))
            if max(counts) > available:
                raise Refused(
                    f"--threads {max(counts)}: Numba has {available} threads here, by NUMBA_NUM_THREADS or the affinity"
                )
        elif self.request["threads"] and self.request["threads"] != [1]:
            self.notes.append("nothing in it is parallel: it was timed on one thread")
        longest = self.calls.second_s * max(1, available if self.entries else 1)
        if self.entries and longest * len(counts) > self.left_s():
            counts = sorted({counts[0], counts[-1]} if longest * 2 < self.left_s() else {counts[-1]})
        self.report("timing it")
        set_threads = numba.set_num_threads if self.entries else (lambda count: None)
        budget_s = min(TIMING_S * (1 + 0.25 * (len(counts) - 1)), max(0.3, self.left_s() - 2))
        found = interleaved(self.calls, counts, set_threads, budget_s, lambda: self.report("timing it"))
        self.counts = [(count, *found[count]) for count in counts]
        if self.entries:
            set_threads(max(counts))
            self.threads = ThreadTimes(max(counts))
            self._by_thread()
        else:
            self.cpu_share = self.calls.computing_share(0.3)
        self._denormals()
        if self.entries:
            set_threads(available)
        if min(median(samples) for _, _, samples in self.counts) < DISPATCH_MATTERS_S:
            self._dispatch()

    def _by_thread(self) -> None:
        self.report("timing its threads")
        threads = self.threads
        begin = time.perf_counter()
        while (time.perf_counter() - begin < CLOCK_S and len(threads.call_s) < 200) or len(threads.call_s) < 3:
            self.calls.restore()
            self.clock.start()
            threads.call_s.append(self.calls.one())
            threads.began_s.append(time.monotonic() - threads.call_s[-1])
            threads.timed.append(self.clock.stop())
            self.calls.restore()
            self.clock.start(computing=True)
            self.calls.one()
            threads.computed.append(self.clock.stop())
            if time.perf_counter() - begin > 4 * CLOCK_S:
                break

    def _denormals(self) -> None:
        self.report("looking for denormal numbers")
        found = look_for_denormals(self.calls, self.arguments, self.names, self.clock)
        if found:
            line = self._line_of(found.name)
            self.hints.add(Kind.DENORMALS, self.file, line, found.reason, "flags", share=found.share)

    def _dispatch(self) -> None:
        """Measure what a call with these arguments costs where the function is empty."""
        if self.subject.kind != "njit":
            return
        try:
            names = ", ".join(f"a{at}" for at in range(len(self.arguments)))
            empty = numba.njit(eval(f"lambda {names}: None"))
            empty(*self.arguments)
            calls = Calls(empty, self.arguments, self.names)
            self.dispatch_s = min(calls.sample(2000) for _ in range(5))
        except Exception:  # an argument that an empty function cannot take: the figure is left out
            self.dispatch_s = None

    # The results.

    def reply(self) -> JsonObject:
        self.report("looking for hints")
        missing = self.code.read_cached(min(READ_S, max(0.2, self.left_s() - 2)))
        if missing:
            self.notes.append(
                f"{missing} function{'s' * (missing > 1)} that it calls came from Numba's cache, and there was no time "
                "to search them for hints"
            )
        self.notes += [f"no hints from the types of {failure}" for failure in dict.fromkeys(failures)]
        reachable = self.code.reachable()
        for summary, looped in reachable:
            findings = [*summary.findings, *(summary.in_loops_only if looped else [])]
            for finding in findings:
                if (
                    finding.kind is Kind.LAYOUT
                    and self.subject.kind == "guvectorize"
                    and summary in self.code.main_summaries()
                ):
                    continue  # its arrays are always strided
                self.hints.add(finding.kind, finding.file, finding.line, finding.reason, "types", finding.advice)
        for race in self.checks.races.found:
            self.hints.add(Kind.RACE, race.file, race.line, race.reason, race.source, race.advice)
        self.code.object_mode(self.hints)
        self.code.compiled_again(self.hints)
        found = self.symbols.found(address_of) if self.threads.timed or self.request["perf_map"] else []
        described = self.threads.regions(lambda body: self._place_of(body, found), self.counts, self.hints)
        shares = self.threads.shares()
        self.notes += [note for note in [disturbed(shares), _plain_pranges(reachable)] if note]
        path = self._perf_map(found) if self.request["perf_map"] else ""
        full = max(self.counts)[0]
        signature, returns = self.code.signature()
        return {
            "kind": self._kind(),
            "place": place(self.file, self._def_line()),
            "signature": signature,
            "returns": returns,
            "options": options_text(self.subject.options),
            "arguments": [
                {"name": name, "type": type_text(argument), "written": self._written(name)}
                for name, argument in zip(self.names, self.arguments, strict=True)
            ],
            "compile_s": self.code.seconds,
            "counts": [
                {"threads": count, "repeats": repeats, "samples_s": samples} for count, repeats, samples in self.counts
            ],
            "threads": full,
            "thread_shares": shares,
            "regions": described,
            "outside_s": self.threads.outside_s(),
            "dispatch_s": self.dispatch_s,
            "cpu_share": self.cpu_share,
            "functions": self.code.functions(),
            "hints": self.hints.found,
            "checks": self.checks.found,
            "notes": self.notes,
            "threading_layer": numba.threading_layer() if self.entries else "",
            "numba": numba.__version__,
            "python": platform.python_version(),
            "perf_map": path,
            "values": {name: for_formula(argument) for name, argument in zip(self.names, self.arguments, strict=True)},
            "divisions": [
                {
                    "file": summary.file,
                    "line": line,
                    "reason": reason,
                    "constant": line in summary.constant_divisors,
                    "checks": summary.error_model == "python" and line not in summary.constant_divisors,
                }
                for summary, _ in reachable
                for line, reason in summary.divisions.items()
            ],
            "pointers": [
                {"file": summary.file, "line": line, "name": name}
                for summary, _ in reachable
                for line, name in summary.pointers.items()
            ],
            "pickled": self.code.pickled(),
            "timeline": self._timeline(found),
            "hardware": self._hardware(),
            "counted": self._counted(),
        }

    def _timeline(self, symbols: Sequence[Symbol]) -> list[JsonObject]:
        """Return some calls, with their regions by thread where it has any."""
        if not self.request.get("trace"):
            return []
        threads = self.threads
        if not threads.timed:
            self.report("calling it for the timeline")
            for _ in range(TRACED if self.calls.first_s < TRACED_S else 1):
                threads.call_s.append(self.calls.one())
                threads.began_s.append(time.monotonic() - threads.call_s[-1])
                threads.timed.append([])
        return threads.timeline(lambda body: self._place_of(body, symbols), TRACED)

    def _hardware(self) -> JsonObject:
        self.report("reading the processor's counters")
        if self.sampled is None or self.sampling is None:
            return hardware.count(self.calls, PARTS_S["hardware"])
        addresses = Addresses(self.symbols.loaded(address_of))

        def lines_at(address: int) -> Sequence[tuple[str, int]]:
            function = addresses.compiled(address)
            return function.lines_at(address, is_head) if function is not None else ()

        loops = [
            (str(loop["place"]["file"]), int(loop["place"]["line"]), int(loop["last_line"]))
            for loop in self.sampling["loops"]
            if loop["kind"] == "loop"
        ]
        calls = self.calls.calling(self.sampled.call)
        return hardware.count(self.calls, PARTS_S["hardware"], calls, lines_at, loops)

    def _counted(self) -> JsonObject:
        self.report("counting its operations")
        return count(self, PARTS_S["counting"])

    def _kind(self) -> str:
        parallel = self.subject.options.get("parallel") or (self.subject.by_element and self.entries)
        return self.subject.kind + (", parallel" if parallel else "")

    def _def_line(self) -> int:
        return line_of_def(self.file, self.line)

    def _place_of(self, body: int, symbols: Sequence[Symbol]) -> tuple[str, int]:
        """Return the file and line of a parallel loop, by the address of its body."""
        name = next((each.name for each in symbols if each.address <= body < each.address + each.size), "")
        return self.places.get(region_of(name), (self.file, self._def_line()))

    def _line_of(self, name: str) -> int:
        """Return the line in which an argument is first read or written in a loop; else the function's line."""
        plain = name.split("[")[0].split(".")[0]
        for summary in self.code.main_summaries():
            for seen in (summary.reads, summary.writes):
                if plain in seen:
                    return seen[plain]
            for line in [*summary.writes.values(), *summary.reads.values(), *summary.innermost]:
                return line
        return self.line

    def _written(self, name: str) -> str:
        parts = (f"{name}.", f"{name}[")
        found = {how for array, how in self.calls.written.items() if array == name or array.startswith(parts)}
        return "restored" if "restored" in found else "again" if found else ""

    def _perf_map(self, found: list[Symbol]) -> str:
        path = map_file(os.getpid())

        def named(name: str) -> str:
            place = self.places.get(region_of(name))
            return f"{demangle(name)}[prange_line_{place[1]}]" if place else demangle(name)

        write_map(path, found, named)
        return str(path)


def _plain_pranges(reachable: Sequence[tuple[Summary, bool]]) -> str:
    """Return a line where loops over `prange` are in functions without parallel=True; else ""."""
    serial = {each.function: each for each, _ in reachable if not each.parallel}
    lines = [
        f"{os.path.basename(mention.file)}:{mention.line}"
        for mention in mentions(list(serial))
        if mention.value is numba.prange
    ]
    if not lines:
        return ""
    where = " and ".join(dict.fromkeys(lines))
    return f"prange in {where} is a plain range: its function is compiled without parallel=True"


def _values_taken(count: int) -> str:
    """Return what a call of a generator means here."""
    which = f"its first {count:,} values" if count == MOST_VALUES else f"all of its values, {count:,},"
    return f"it is a generator: a call here takes {which} in a compiled loop; a call alone would run none of its body"


def options_text(options: dict[str, Any]) -> str:
    """Return the options of a decorator as they are written there."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if name not in ("nopython", "boundscheck"))
