"""From a function to its times, its threads and its hints, as plain numbers and words for JSON."""

import os
import platform
import re
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numba

from jitnet.bench.figures import all_counts
from jitnet.compiler.numba_parts import (
    NumbaParallelSafetyWarning,
    NumbaPerformanceWarning,
    address_of,
    event,
    wrap_loop_bodies,
)
from jitnet.profile.functions.arguments import make_arguments, read_words
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.calls import Calls, interleaved
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.diagnostics import Answer, Hints, line_of_def, place
from jitnet.profile.functions.worker.flags import look_for_denormals
from jitnet.profile.functions.worker.regions import ThreadTimes, disturbed
from jitnet.profile.functions.worker.shared_writes import watch_run
from jitnet.profile.functions.worker.subject import (
    Refused,
    Subject,
    check_arguments,
    find,
    made_by_setup,
    remember_ufuncs,
)
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.symbols import Symbol, Symbols, map_file, region_of, write_map
from jitnet.profile.functions.worker.thread_clock import ThreadClock
from jitnet.profile.functions.worker.typed_code import failures, watch_compiler
from jitnet.profile.functions.worker.values import for_formula, type_in_words
from jitnet.profile.readable import demangle, without_colours

__all__ = ["Observers", "measure", "observe"]

WHOLE_S = 7.0
"""What all may take that comes after compiling, as long as a single call is short."""

LONG_CALL_S = 2.0
"""A first call longer than this is the only one of its kind."""

TIMING_S, CLOCK_S, ALONE_S, RACE_S = 1.8, 0.4, 2.0, 1.0
"""What the parts may take: timing, threads, compiling copies to be read, the run in Python."""

DISPATCH_MATTERS_S = 20e-6
"""Below this, what a call from Python costs is measured too."""


@dataclass(frozen=True)
class Observers:
    """What stands ready before the user's code is loaded: a process has them once."""

    clock: ThreadClock
    symbols: Symbols
    summaries: list[Summary]
    regions: dict[str, tuple[str, int]]
    compiled: event.RecordingListener


def observe(cores: Sequence[int] = ()) -> Observers:
    """Put all observers in place. cores: as `ThreadClock` takes them."""
    summaries: list[Summary] = []
    clock, symbols = ThreadClock(cores), Symbols()
    watch_compiler(summaries)
    remember_ufuncs()
    compiled = event.RecordingListener()
    event.register("numba:compile", compiled)
    return Observers(clock, symbols, summaries, _remember_regions(), compiled)


def measure(request: Answer, observers: Observers, tell: Callable[[str], None]) -> Answer:
    """Load, compile, call, time and look through one function. tell: what is being done."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("ignore")
        for category in (NumbaParallelSafetyWarning, NumbaPerformanceWarning):
            warnings.simplefilter("always", category)
        tell("loading the module")
        loading = time.perf_counter()
        if numba.config.DISABLE_JIT:
            raise Refused("NUMBA_DISABLE_JIT is set: nothing is compiled; unset it")
        subject = find(request["target"])
        import_s = time.perf_counter() - loading
        tell("making the arguments")
        arguments = check_arguments(subject, _arguments(request))
        measuring = _Measuring(subject, arguments, request, observers, tell)
        tell("compiling")
        measuring.compile()
        measuring.call()
    answer = measuring.answer()
    answer["hints"] += _warned(warned)
    answer["notes"] += _unparallel(warned)
    answer["import_s"] = import_s
    return answer


def _arguments(request: Answer) -> tuple[Any, ...] | None:
    if request["setup"]:
        return made_by_setup(request["setup"])
    return None if request["args"] is None else make_arguments(read_words(request["args"]))


def _remember_regions() -> dict[str, tuple[str, int]]:
    """From now on, know the line of each parallel loop by the name that Numba gives its body."""
    places: dict[str, tuple[str, int]] = {}

    def remembering(create: Any) -> Any:
        def create_and_remember(lowerer: Any, parfor: Any, *rest: Any, **named: Any) -> Any:
            made = create(lowerer, parfor, *rest, **named)
            file = str(parfor.loc.filename)
            file = str(lowerer.func_ir.func_id.filename) if file.startswith("<") else file
            places[region_of(str(made[0].fndesc.mangled_name))] = file, int(parfor.loc.line)
            return made

        return create_and_remember

    wrap_loop_bodies(remembering)
    return places


class _Measuring:
    """One function, on its way from its arguments to an answer."""

    def __init__(
        self,
        subject: Subject,
        arguments: tuple[Any, ...],
        request: Answer,
        observers: Observers,
        tell: Callable[[str], None],
    ) -> None:
        self.subject, self.arguments, self.request, self.tell = subject, arguments, request, tell
        self.clock, self.symbols, self.places = observers.clock, observers.symbols, observers.regions
        self.code = Compiled(subject, arguments, observers.summaries, observers.compiled.buffer)
        self.begin_s = time.perf_counter()
        self.file = str(subject.function.__code__.co_filename)
        self.line = int(subject.function.__code__.co_firstlineno)
        names = subject.parameters
        self.names = [names[at] if at < len(names) else f"argument {at + 1}" for at in range(len(arguments))]
        self.calls = Calls(subject.call, arguments, self.names)
        self.notes: list[str] = []
        self.hints = Hints()
        self.entries = 0
        self.counts: list[tuple[int, int, list[float]]] = []
        self.threads = ThreadTimes(1)
        self.cpu_share = 1.0
        self.dispatch_s: float | None = None

    def left_s(self) -> float:
        return WHOLE_S - (time.perf_counter() - self.begin_s)

    def compile(self) -> None:
        self.code.compile()
        self.begin_s = time.perf_counter()

    # Call it.

    def call(self) -> None:
        """Call it until all is known: what it writes, how long it takes, on how many threads, with which flags."""
        self.tell(f"calling it for the first time ({self.file}:{self._def_line()})")
        before, known = self.clock.entered, self.code.count()
        try:
            self.calls.first()
        except TypeError as error:
            if not str(error).startswith("No matching definition"):
                raise
            declared = " or ".join(map(str, self.subject.dispatcher.nopython_signatures))
            raise Refused(f"{self.subject.function.__name__}: {error}; it is declared for {declared}") from None
        self.entries = self.clock.entered - before
        if self.calls.first_s > LONG_CALL_S and self.code.count() == known:
            self._once()
        else:
            self.tell("calling it again")
            self.calls.second()
            if self.code.count() > known:
                self.code.seconds = max(0.0, self.calls.first_s - self.calls.second_s)
            if self.calls.second_s > LONG_CALL_S:
                self._once()
            else:
                self._repeatedly()
        if self.calls.written and set(self.calls.written.values()) == {"restored"}:
            self.notes.append("what it writes was put back before every call, which is not in its time")

    def _once(self) -> None:
        threads = numba.get_num_threads() if self.entries else 1
        call_s = self.calls.second_s or self.calls.first_s
        self.counts = [(threads, 1, [call_s])]
        self.notes.append(
            f"a call takes {call_s:.1f} s, longer than there is for all of this: it was timed once"
            + (f", on {threads} threads" if self.entries else "")
        )

    def _repeatedly(self) -> None:
        most = numba.config.NUMBA_NUM_THREADS
        counts = [1]
        if self.entries:
            counts = self.request["threads"] or list(all_counts(most))
            if max(counts) > most:
                raise Refused(
                    f"--threads {max(counts)}: Numba has {most} here; NUMBA_NUM_THREADS or the affinity says so"
                )
        elif self.request["threads"] and self.request["threads"] != [1]:
            self.notes.append("nothing in it is parallel: it was timed on one thread")
        longest = self.calls.second_s * max(1, most if self.entries else 1)
        if self.entries and longest * len(counts) > self.left_s():
            counts = sorted({counts[0], counts[-1]} if longest * 2 < self.left_s() else {counts[-1]})
        self.tell("timing it")
        put = numba.set_num_threads if self.entries else (lambda count: None)
        budget_s = min(TIMING_S * (1 + 0.25 * (len(counts) - 1)), max(0.3, self.left_s() - 2))
        found = interleaved(self.calls, counts, put, budget_s, lambda: self.tell("timing it"))
        self.counts = [(count, *found[count]) for count in counts]
        if self.entries:
            put(max(counts))
            self.threads = ThreadTimes(max(counts))
            self._by_thread()
        else:
            self.cpu_share = self.calls.computing_share(0.3)
        self._denormals()
        if self.entries:
            put(most)
        if min(median(samples) for _, _, samples in self.counts) < DISPATCH_MATTERS_S:
            self._dispatch()

    def _by_thread(self) -> None:
        self.tell("timing its threads")
        threads = self.threads
        begin = time.perf_counter()
        while (time.perf_counter() - begin < CLOCK_S and len(threads.call_s) < 200) or len(threads.call_s) < 3:
            self.calls.restore()
            self.clock.start()
            threads.call_s.append(self.calls.one())
            threads.timed.append(self.clock.stop())
            self.calls.restore()
            self.clock.start(computing=True)
            self.calls.one()
            threads.computed.append(self.clock.stop())
            if time.perf_counter() - begin > 4 * CLOCK_S:
                break

    def _denormals(self) -> None:
        self.tell("looking for denormal numbers")
        found = look_for_denormals(self.calls, self.arguments, self.names, self.clock)
        if found:
            line = self._line_of(found.name)
            self.hints.add(Kind.DENORMALS, self.file, line, found.reason, "flags", share=found.share)

    def _dispatch(self) -> None:
        """What a call with these arguments costs where nothing is done."""
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

    # What it comes to.

    def answer(self) -> Answer:
        self.tell("looking for hints")
        missing = self.code.read_alone(min(ALONE_S, max(0.2, self.left_s() - 2)))
        if missing:
            self.notes.append(
                f"{missing} function{'s' * (missing > 1)} that it calls came from Numba's cache, and there was no time "
                "to look through them for hints"
            )
        self.notes += [f"no hints from the types of {failure}" for failure in dict.fromkeys(failures)]
        reachable = self.code.reachable()
        for summary, looped in reachable:
            findings = [*summary.findings, *(summary.in_loops_only if looped else [])]
            for finding in findings:
                if finding.kind is Kind.LAYOUT and self.subject.kind == "guvectorize" and summary in self.code.own():
                    continue  # such arrays are strided by their nature
                self.hints.add(finding.kind, finding.file, finding.line, finding.reason, "types", finding.advice)
        self._races()
        self.code.object_mode(self.hints)
        self.code.compiled_again(self.hints)
        found = self.symbols.found(address_of) if self.threads.timed or self.request["perf_map"] else []
        described = self.threads.regions(lambda body: self._place_of(body, found), self.counts, self.hints)
        shares = self.threads.shares()
        self.notes += [note for note in [disturbed(shares)] if note]
        path = self._perf_map(found) if self.request["perf_map"] else ""
        full = max(self.counts)[0]
        signature, returns = self.code.signature()
        return {
            "kind": self._kind(),
            "place": place(self.file, self._def_line()),
            "signature": signature,
            "returns": returns,
            "options": _options(self.subject.options),
            "arguments": [
                {"name": name, "type": type_in_words(argument), "written": self._written(name)}
                for name, argument in zip(self.names, self.arguments, strict=True)
            ],
            "compile_s": self.code.seconds,
            "counts": [{"threads": count, "repeats": repeats, "samples_s": own} for count, repeats, own in self.counts],
            "threads": full,
            "thread_shares": shares,
            "regions": described,
            "outside_s": self.threads.outside_s(),
            "dispatch_s": self.dispatch_s,
            "cpu_share": self.cpu_share,
            "functions": self.code.functions(),
            "hints": self.hints.given,
            "notes": self.notes,
            "threading_layer": numba.threading_layer() if self.entries else "",
            "numba": numba.__version__,
            "python": platform.python_version(),
            "perf_map": path,
            "values": {name: for_formula(argument) for name, argument in zip(self.names, self.arguments, strict=True)},
            "divisions": [
                {"file": summary.file, "line": line, "told": told, "checks": summary.error_model == "python"}
                for summary, _ in reachable
                for line, told in summary.divisions.items()
            ],
            "pointers": [
                {"file": summary.file, "line": line, "name": name}
                for summary, _ in reachable
                for line, name in summary.pointers.items()
            ],
            "pickled": self.code.pickled(),
        }

    def _kind(self) -> str:
        parallel = self.subject.options.get("parallel") or (self.subject.kind != "njit" and self.entries)
        return self.subject.kind + (", parallel" if parallel else "")

    def _def_line(self) -> int:
        return line_of_def(self.file, self.line)

    def _place_of(self, body: int, symbols: Sequence[Symbol]) -> tuple[str, int]:
        """The file and line of a parallel loop, by the address of its body."""
        name = next((each.name for each in symbols if each.address <= body < each.address + each.size), "")
        return self.places.get(region_of(name), (self.file, self._def_line()))

    def _line_of(self, name: str) -> int:
        """The line in which an argument is first read or written in a loop; the function's own where none is."""
        plain = name.split("[")[0].split(".")[0]
        for summary in self.code.own():
            for seen in (summary.reads, summary.writes):
                if plain in seen:
                    return seen[plain]
            for line in [*summary.writes.values(), *summary.reads.values(), *summary.innermost]:
                return line
        return self.line

    def _written(self, name: str) -> str:
        told = {
            how for own, how in self.calls.written.items() if own == name or own.startswith((f"{name}.", f"{name}["))
        }
        return "restored" if "restored" in told else "again" if told else ""

    def _races(self) -> None:
        suspects = [(summary, each) for summary, _ in self.code.reachable() for each in summary.shared]
        if not suspects:
            return
        self.tell("looking for races")
        self.calls.reset()
        watch = watch_run(self.subject.function, self.arguments, {each.line for _, each in suspects}, RACE_S)
        plain = {each.line for _, each in suspects if not each.called}
        for summary, each in suspects:
            where = f"in the parallel loop of line {each.loop_line}"
            if each.called:
                for line, (before, after, _) in watch.meetings.items():
                    if line not in plain:
                        reason = (
                            f"turns {before} and {after} meet at one element, in a function called in line {each.line}"
                        )
                        self.hints.add(Kind.RACE, summary.file, line, f"{reason}, {where}", "a run in Python")
            elif each.line in watch.meetings:
                before, after, _ = watch.meetings[each.line]
                deed = (
                    f"turn {after} reads an element of {each.array} that turn {before} writes"
                    if each.reads
                    else f"turns {before} and {after} both write one element of {each.array}"
                )
                self.hints.add(Kind.RACE, summary.file, each.line, f"{deed}, {where}", "a run in Python")
            elif not watch.complete:
                deed = (
                    f"{each.array} may be read where another thread writes it"
                    if each.reads
                    else f"an element of {each.array} is written in every turn"
                    if each.sure
                    else f"an element of {each.array} may be written by several threads, as far as its index tells"
                )
                self.hints.add(Kind.RACE, summary.file, each.line, f"{deed}, {where}", "types")

    def _perf_map(self, found: list[Symbol]) -> str:
        path = map_file(os.getpid())

        def named(name: str) -> str:
            place = self.places.get(region_of(name))
            return f"{demangle(name)}[prange_line_{place[1]}]" if place else demangle(name)

        write_map(path, found, named)
        return str(path)


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if name not in ("nopython", "boundscheck"))


def _warned(warned: list[Any]) -> list[Answer]:
    """Hints that Numba itself gives: a plain variable that several threads write."""
    found = []
    for each in warned:
        if issubclass(each.category, NumbaParallelSafetyWarning):
            text = without_colours(str(each.message))
            named = re.search(r'File "([^"]+)", line (\d+)', text)
            name = re.search(r"Variable (\S+)", text)
            if named and name:
                found.append(
                    {
                        "kind": Kind.RACE.value,
                        "place": place(os.path.abspath(named[1]), int(named[2])),
                        "reason": f"the variable {name[1].split('.')[0]} may be written by several threads at once",
                        "advice": "Add to it with += alone, which Numba makes a sum of, or give each turn an element.",
                        "source": "types",
                        "share": None,
                    }
                )
    return found


def _unparallel(warned: list[Any]) -> list[str]:
    told = any(
        issubclass(each.category, NumbaPerformanceWarning) and "parallel" in str(each.message) for each in warned
    )
    return ["parallel=True found nothing in it, or in a function it calls, to run in parallel"] if told else []
