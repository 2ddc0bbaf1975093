"""In the child: from a function to its times, its threads and its hints, as plain numbers and words for JSON."""

import base64
import linecache
import math
import os
import pickle
import platform
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numba
import numpy as np
from numba.core import event, types
from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaParallelSafetyWarning, NumbaPerformanceWarning
from numba.core.registry import cpu_target

from jitnet.foreign.arguments import make_arguments, read_words
from jitnet.foreign.hints import Kind
from jitnet.foreign.shared_writes import watch_run
from jitnet.foreign.subject import Refused, Subject, check_arguments, find, made_by_setup, remember_ufuncs
from jitnet.foreign.symbols import Symbol, Symbols, map_file, readable, region_of, write_map
from jitnet.foreign.thread_clock import DENORMAL_OPERAND, X86, Entry, ThreadClock
from jitnet.foreign.timing import Calls, arrays_in, interleaved
from jitnet.foreign.typed_code import Finding, Summary, failures, watch_compiler

__all__ = ["Observers", "measure", "observe"]

Answer = dict[str, Any]

KINDS: Any = types  # its own annotations do not know all that is in it

WHOLE_S = 7.0
"""What all may take that comes after compiling, as long as a single call is short."""

LONG_CALL_S = 2.0
"""A first call longer than this is the only one of its kind."""

TIMING_S, CLOCK_S, FLAGS_S, ALONE_S, RACE_S = 1.8, 0.4, 0.5, 2.0, 1.0
"""What the parts may take: timing, threads, denormals, compiling copies to be read, the run in Python."""

DISPATCH_MATTERS_S = 20e-6
"""Below this, what a call from Python costs is measured too."""

PAYS = 0.8
"""Threads that bring a call below this share of its time on one pay, however short their region is."""

DISTURBED = 0.8
"""A share of its time that a thread should have a core for, at the least."""

UNEVEN, SHORT_SHARE, SHORT_S, DENORMAL_COST, CONCERNS = 0.2, 0.3, 1e-3, 1.1, 0.02
"""When a hint is given: the busiest thread a fifth above the mean; a third of a region below a millisecond spent on
starting and ending it; a tenth of the time saved by flushing denormal numbers; and of threads, in a region that has a
fiftieth of the call's time."""


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
    from numba.parfors import parfor_lowering

    places: dict[str, tuple[str, int]] = {}
    create = parfor_lowering._create_gufunc_for_parfor_body

    def create_and_remember(lowerer: Any, parfor: Any, *rest: Any, **named: Any) -> Any:
        made = create(lowerer, parfor, *rest, **named)
        file = str(parfor.loc.filename)
        file = str(lowerer.func_ir.func_id.filename) if file.startswith("<") else file
        places[region_of(str(made[0].fndesc.mangled_name))] = file, int(parfor.loc.line)
        return made

    parfor_lowering._create_gufunc_for_parfor_body = create_and_remember
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
        self.clock, self.summaries = observers.clock, observers.summaries
        self.symbols, self.places, self.compiled = observers.symbols, observers.regions, observers.compiled
        self.begin_s, self.loaded = time.perf_counter(), len(self.compiled.buffer)
        self.file = str(subject.function.__code__.co_filename)
        self.line = int(subject.function.__code__.co_firstlineno)
        names = subject.parameters
        self.names = [names[at] if at < len(names) else f"argument {at + 1}" for at in range(len(arguments))]
        self.calls = Calls(subject.call, arguments, self.names)
        self.compile_s: float | None = None
        self.notes: list[str] = []
        self.hints: list[Answer] = []
        self.unsearched: list[tuple[str, str]] = []
        self.long = False
        self.entries = 0
        self.counts: list[tuple[int, int, list[float]]] = []
        self.timed: list[list[Entry]] = []
        self.computed: list[list[Entry]] = []
        self.call_s: list[float] = []
        self.cpu_share = 1.0
        self.dispatch_s: float | None = None

    def left_s(self) -> float:
        return WHOLE_S - (time.perf_counter() - self.begin_s)

    # Compile, and see what there is to read.

    def compile(self) -> None:
        """Compile for these arguments, not from Numba's cache, and without a call where Numba can do that."""
        dispatcher = self.subject.dispatcher
        if _is_dispatcher(dispatcher):
            kinds = tuple(numba.typeof(argument) for argument in self.arguments)
            if dispatcher._can_compile and kinds not in dispatcher.overloads:
                # Its callees come from the cache where they are there, as in the user's own start.
                dispatcher._cache = NullCache()
                signature = dispatcher._compiler.fold_argument_types(kinds, {})[1]
                dispatcher.compile(signature)
                self.compile_s = _outermost(self.compiled.buffer[self.loaded :])
        self.known, self.begin_s = self._overloads(), time.perf_counter()

    def _overloads(self) -> int:
        return len(getattr(self.subject.dispatcher, "overloads", ()))

    def read_alone(self) -> None:
        """Compile copies of functions that came from Numba's cache, only to have their types read."""
        ends = time.perf_counter() + min(ALONE_S, max(0.2, self.left_s() - 2))
        dispatcher = self.subject.dispatcher
        if _is_dispatcher(dispatcher) and not self.own():
            for signature in list(dispatcher.overloads)[:1] if self.used() is None else [self.used()]:
                _compile_copy(dispatcher, signature)
        missing = 0
        for called, signature in self._unread():
            if time.perf_counter() > ends:
                missing += 1
                continue
            _compile_copy(called, signature)
        if missing:
            self.notes.append(
                f"{missing} function{'s' * (missing > 1)} that it calls came from Numba's cache, and there was no time "
                "to look through them for hints"
            )

    def _unread(self) -> Iterable[tuple[Any, Any]]:
        """Functions that are called and were not compiled here; more may come up as these are read."""
        known = {id(summary.function) for summary in self.summaries}
        at = 0
        while at < len(self.summaries):
            for called in self.summaries[at].calls:
                if id(called.dispatcher.py_func) not in known and called.signature is not None:
                    known.add(id(called.dispatcher.py_func))
                    yield called.dispatcher, called.signature
            at += 1

    def used(self) -> Any:
        """The types of the overload that these arguments run."""
        dispatcher = self.subject.dispatcher
        if not _is_dispatcher(dispatcher):
            return None
        kinds = tuple(numba.typeof(argument) for argument in self.arguments)
        kinds = tuple(dispatcher._compiler.fold_argument_types(kinds, {})[1])
        if kinds in dispatcher.overloads:
            return kinds
        # Declared types that these are converted to: Numba's own rules choose.
        cases = [made.signature for made in dispatcher.overloads.values()]
        found = cpu_target.typing_context.resolve_overload(dispatcher, cases, kinds, {}) if cases else None
        return tuple(found.args) if found else None

    def own(self) -> list[Summary]:
        """What is known of the function itself, for the types in use where they are known."""
        mine = [each for each in self.summaries if each.function is self.subject.function]
        used = self.used()
        exact = [each for each in mine if used is not None and tuple(each.arguments) == tuple(used)]
        return exact or mine

    def reachable(self) -> list[tuple[Summary, bool]]:
        """The function's summaries and those of all that it calls; and whether each is called in a loop."""
        looped = self.subject.kind != "njit"
        todo = [(summary, looped) for summary in self.own()]
        found: dict[int, tuple[Summary, bool]] = {}
        while todo:
            summary, inside = todo.pop()
            known = found.get(id(summary))
            if known is not None and (known[1] or not inside):
                continue
            found[id(summary)] = summary, inside
            for called in summary.calls:
                for each in self.summaries:
                    if each.function is called.dispatcher.py_func and each is not summary:
                        todo.append((each, inside or called.inside))
        return list(found.values())

    # Call it.

    def call(self) -> None:
        """Call it until all is known: what it writes, how long it takes, on how many threads, with which flags."""
        self.tell(f"calling it for the first time ({self.file}:{self._def_line()})")
        before = self.clock.entered
        try:
            self.calls.first()
        except TypeError as error:
            if not str(error).startswith("No matching definition"):
                raise
            declared = " or ".join(map(str, self.subject.dispatcher.nopython_signatures))
            raise Refused(f"{self.subject.function.__name__}: {error}; it is declared for {declared}") from None
        self.entries = self.clock.entered - before
        if self.calls.first_s > LONG_CALL_S and self._overloads() == self.known:
            self.long = True
            self._once()
        else:
            self.tell("calling it again")
            self.calls.second()
            if self._overloads() > self.known:
                self.compile_s = max(0.0, self.calls.first_s - self.calls.second_s)
            if self.calls.second_s > LONG_CALL_S:
                self.long = True
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
            counts = self.request["threads"] or _all_counts(most)
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
            self._by_thread()
        else:
            self.cpu_share = self.calls.computing_share(0.3)
        self._flags()
        if self.entries:
            put(most)
        if min(median(samples) for _, _, samples in self.counts) < DISPATCH_MATTERS_S:
            self._dispatch()

    def _by_thread(self) -> None:
        self.tell("timing its threads")
        begin = time.perf_counter()
        while (time.perf_counter() - begin < CLOCK_S and len(self.call_s) < 200) or len(self.call_s) < 3:
            self.calls.restore()
            self.clock.start()
            self.call_s.append(self.calls.one())
            self.timed.append(self.clock.stop())
            self.calls.restore()
            self.clock.start(computing=True)
            self.calls.one()
            self.computed.append(self.clock.stop())
            if time.perf_counter() - begin > 4 * CLOCK_S:
                break

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

    # Denormal numbers.

    def _flags(self) -> None:
        self.tell("looking for denormal numbers")
        self.calls.reset()
        given = _denormals(self._arrays(False))
        seen = 0
        if X86:
            self.calls.restore()
            self.clock.watch_flags(flush=False)
            try:
                self.calls.one()
            finally:
                seen = self.clock.seen_flags()
        else:
            self.calls.one()
        left = _denormals(self._arrays(True))
        name, count, size = max((*given, *left), key=lambda found: found[1], default=("", 0, 0))
        if not count and not seen & DENORMAL_OPERAND:
            return
        cost = self._denormal_cost() if X86 else 1.0
        if not count and cost < DENORMAL_COST:
            return
        what = f"{count:,} of {size:,} numbers of {name} are denormal" if count else "numbers in between are denormal"
        told = (
            f"the call takes {cost:.1f} times as long as with such numbers taken for zero"
            if cost >= DENORMAL_COST
            else "it costs nothing on this processor; on many each operation on one takes a hundred cycles"
        )
        share = 1 - 1 / cost if cost >= DENORMAL_COST else 0.0
        self._hint(Kind.DENORMALS, self.file, self._line_of(name), f"{what}: {told}", "flags", share=share)

    def _arrays(self, results: bool) -> Iterable[tuple[str, Any]]:
        for argument, name in zip(self.arguments, self.names, strict=True):
            yield from arrays_in(argument, name)
        if results:
            yield from arrays_in(self.calls.result, "the result")

    def _denormal_cost(self) -> float:
        """Time of a call as it is, over its time with denormal numbers flushed to zero."""
        taken: dict[bool, list[float]] = {False: [], True: []}
        begin = time.perf_counter()
        while (time.perf_counter() - begin < FLAGS_S and len(taken[True]) < 50) or not taken[True]:
            for flush in (False, True):
                self.calls.reset()
                self.clock.watch_flags(flush)
                try:
                    taken[flush].append(self.calls.one())
                finally:
                    self.clock.seen_flags()
        return min(taken[False]) / max(min(taken[True]), 1e-9)

    def _line_of(self, name: str) -> int:
        """The line in which an argument is first read or written in a loop; the function's own where none is."""
        plain = name.split("[")[0].split(".")[0]
        for summary in self.own():
            for seen in (summary.reads, summary.writes):
                if plain in seen:
                    return seen[plain]
            for line in [*summary.writes.values(), *summary.reads.values(), *summary.innermost]:
                return line
        return self.line

    # What it comes to.

    def answer(self) -> Answer:
        self.tell("looking for hints")
        self.read_alone()
        for summary, looped in self.reachable():
            findings = [*summary.findings, *(summary.in_loops_only if looped else [])]
            for finding in findings:
                if finding.kind is Kind.LAYOUT and self.subject.kind == "guvectorize" and summary in self.own():
                    continue  # such arrays are strided by their nature
                self._finding(finding)
        self._races()
        self._object_mode()
        self._again()
        found = self.symbols.found(_address_of) if self.timed or self.request["perf_map"] else []
        described = self._regions(found)
        shares = self._shares()
        self._disturbed(shares)
        path = self._perf_map(found) if self.request["perf_map"] else ""
        full = max(self.counts)[0]
        signature, returns = self._signature()
        return {
            "kind": self._kind(),
            "place": _place(self.file, self._def_line()),
            "signature": signature,
            "returns": returns,
            "options": _options(self.subject.options),
            "arguments": [
                {"name": name, "type": _type(argument), "written": self._written(name)}
                for name, argument in zip(self.names, self.arguments, strict=True)
            ],
            "compile_s": self.compile_s,
            "counts": [{"threads": count, "repeats": repeats, "samples_s": own} for count, repeats, own in self.counts],
            "threads": full,
            "thread_shares": shares,
            "regions": described,
            "outside_s": self._outside_s(),
            "dispatch_s": self.dispatch_s,
            "cpu_share": self.cpu_share,
            "functions": self._functions(),
            "hints": self.hints,
            "unsearched": self.unsearched,
            "notes": self.notes,
            "threading_layer": numba.threading_layer() if self.entries else "",
            "numba": numba.__version__,
            "python": platform.python_version(),
            "perf_map": path,
            "values": {name: _value(argument) for name, argument in zip(self.names, self.arguments, strict=True)},
            "divisions": [
                {"file": summary.file, "line": line, "told": told, "checks": summary.error_model == "python"}
                for summary, _ in self.reachable()
                for line, told in summary.divisions.items()
            ],
            "pointers": [
                {"file": summary.file, "line": line, "name": name}
                for summary, _ in self.reachable()
                for line, name in summary.pointers.items()
            ],
            "pickled": self._pickled(),
        }

    def _kind(self) -> str:
        parallel = self.subject.options.get("parallel") or (self.subject.kind != "njit" and self.entries)
        return self.subject.kind + (", parallel" if parallel else "")

    def _def_line(self) -> int:
        """The line of `def`, below its decorators."""
        for line in range(self.line, self.line + 40):
            if linecache.getline(self.file, line).lstrip().startswith("def "):
                return line
        return self.line

    def _signature(self) -> tuple[str, str]:
        used = self.used()
        if used is not None:
            made = self.subject.dispatcher.overloads[used].signature
            return f"({', '.join(map(str, made.args))})", str(made.return_type)
        own = self.own()
        if not own:
            return "", ""
        made = getattr(self.subject.dispatcher, "overloads", ())
        returns = [each.return_type for each in made if tuple(each.args) == own[-1].arguments]
        return own[-1].signature, str(returns[0]) if returns else ""

    def _pickled(self) -> str:
        """The types of its arguments in the code that ran, pickled, in base64; those at the end that are not given left
        out, and the outputs of a guvectorize among them. "" where they cannot be told or pickled."""
        used = self.used()
        if self.subject.kind == "njit":
            kinds = used
        else:
            given = [np.dtype(str(_element(numba.typeof(argument)))) for argument in self.arguments]
            made = [tuple(each.args) for each in getattr(self.subject.dispatcher, "overloads", ())]
            fitting = [each for each in made if _casts(given, each)]
            kinds = next((each for each in fitting if _casts(given, each, "no")), fitting[0] if fitting else None)
        while kinds and isinstance(kinds[-1], (KINDS.Omitted, KINDS.NoneType)):
            kinds = kinds[:-1]
        try:
            return base64.b64encode(pickle.dumps(kinds)).decode() if kinds is not None else ""
        except Exception:  # a type that cannot be sent to the line view, which then says so
            return ""

    def _written(self, name: str) -> str:
        told = {
            how for own, how in self.calls.written.items() if own == name or own.startswith((f"{name}.", f"{name}["))
        }
        return "restored" if "restored" in told else "again" if told else ""

    def _hint(
        self, kind: Kind, file: str, line: int, reason: str, source: str, advice: str = "", share: float | None = None
    ) -> None:
        made: Answer = {"kind": kind.value, "place": _place(file, line), "reason": reason, "advice": advice}
        made |= {"source": source, "share": share}
        if not any(other["kind"] == kind.value and other["place"] == made["place"] for other in self.hints):
            self.hints.append(made)

    def _finding(self, finding: Finding) -> None:
        self._hint(finding.kind, finding.file, finding.line, finding.reason, "types", finding.advice)

    def _races(self) -> None:
        suspects = [(summary, each) for summary, _ in self.reachable() for each in summary.shared]
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
                        self._hint(Kind.RACE, summary.file, line, f"{reason}, {where}", "a run in Python")
            elif each.line in watch.meetings:
                before, after, _ = watch.meetings[each.line]
                deed = (
                    f"turn {after} reads an element of {each.array} that turn {before} writes"
                    if each.reads
                    else f"turns {before} and {after} both write one element of {each.array}"
                )
                self._hint(Kind.RACE, summary.file, each.line, f"{deed}, {where}", "a run in Python")
            elif not watch.complete:
                deed = (
                    f"{each.array} may be read where another thread writes it"
                    if each.reads
                    else f"an element of {each.array} is written in every turn"
                    if each.sure
                    else f"an element of {each.array} may be written by several threads, as far as its index tells"
                )
                self._hint(Kind.RACE, summary.file, each.line, f"{deed}, {where}", "types")

    def _object_mode(self) -> None:
        overloads = getattr(self.subject.dispatcher, "overloads", {})
        for made in overloads.values() if isinstance(overloads, dict) else ():
            if getattr(made, "objectmode", False):
                lifted = list(getattr(made, "lifted", ()) or ())
                told = f"; {len(lifted)} loop{'s' * (len(lifted) != 1)} in it could be compiled" if lifted else ""
                reason = f"it runs in object mode: every operation is a call into the interpreter{told}"
                self._hint(Kind.OBJECT_MODE, self.file, self._def_line(), reason, "types")

    def _again(self) -> None:
        """Functions of the user's that were compiled more than once."""
        mine = {id(summary.function) for summary, _ in self.reachable()} | {id(self.subject.function)}
        now = _by_function(self.compiled.buffer[self.loaded :])
        for function, made in _by_function(self.compiled.buffer).items():
            if function not in now or not made[0][0]._can_compile:
                continue  # with its module, for the types that it is declared for
            kinds = list({_plain(arguments): arguments for _, arguments, _ in made})
            if len(kinds) < 2 or function not in mine:
                continue
            dispatcher = made[0][0]
            file, line = dispatcher.py_func.__code__.co_filename, dispatcher.py_func.__code__.co_firstlineno
            calls = [called for summary, _ in self.reachable() for called in summary.calls]
            lines = sorted({called.line for called in calls if called.dispatcher is dispatcher})
            where = f", called in line{'s' * (len(lines) > 1)} {' and '.join(map(str, lines))}" if lines else ""
            more = sum(taken for _, _, taken in made[1:])
            told = _differences(dispatcher.py_func, kinds)
            reason = f"{dispatcher.py_func.__name__} was compiled {len(kinds)} times, {told}{where}: {more:.2f} s more"
            self._hint(Kind.COMPILED_AGAIN, file, _line_of_def(file, line), reason, "types")

    def _functions(self) -> list[Answer]:
        mine = {id(summary.function) for summary, _ in self.reachable()} | {id(self.subject.function)}
        found = []
        for function, made in _by_function(self.compiled.buffer).items():
            if function in mine:
                code = made[0][0].py_func.__code__
                found.append(
                    {
                        "name": made[0][0].py_func.__name__,
                        "place": _place(code.co_filename, _line_of_def(code.co_filename, code.co_firstlineno)),
                        "signatures": [f"({', '.join(map(str, arguments))})" for _, arguments, _ in made],
                        "compile_s": sum(taken for _, _, taken in made),
                    }
                )
        return found

    # Threads.

    def _regions(self, symbols: list[Symbol]) -> list[Answer]:
        """Each parallel loop, and the hints that its threads' times give."""
        by_kernel, computed = _by_kernel(self.timed), _by_kernel(self.computed)
        threads, full = self._thread_numbers(), max(self.counts)[0]
        described = []
        for kernel, entries in by_kernel.items():
            name = next((each.name for each in symbols if each.address <= kernel < each.address + each.size), "")
            file, line = self.places.get(region_of(name), (self.file, self._def_line()))
            busy = [0.0] * full
            for entry in entries:
                for thread, begin, end in entry.shares:
                    if threads[thread] < full:
                        busy[threads[thread]] += (end - begin) / len(entries)
            whole = _quarter([entry.end_s - entry.begin_s for entry in entries])
            longest = _quarter([_longest(entry) for entry in entries])
            lost = max(0.0, min(entry.end_s - entry.begin_s - _longest(entry) for entry in entries))
            uneven = median(_unevenness(entry, full) for entry in computed[kernel])
            starting = median(min(begin for _, begin, _ in entry.shares) - entry.begin_s for entry in entries)
            share = whole * len(entries) / len(self.timed) / max(median(self.call_s), 1e-9)
            described.append(
                {
                    "place": _place(file, line),
                    "entries": len(entries) / len(self.timed),
                    "region_s": whole,
                    "busy_s": busy,
                    "starting_s": starting,
                    "uneven": uneven,
                }
            )
            if full > 1:
                self._thread_hints(file, line, longest, lost, uneven, min(1.0, share), full)
        return described

    def _thread_hints(
        self, file: str, line: int, longest: float, lost: float, uneven: float, share: float, full: int
    ) -> None:
        whole = longest + lost
        if share < CONCERNS:
            return
        one = [median(own) for count, _, own in self.counts if count == 1]
        many = [median(own) for count, _, own in self.counts if count == full]
        pays = share > 0.5 and one and many and many[0] < PAYS * one[0]
        if whole < SHORT_S and lost > SHORT_SHARE * whole and not pays:
            told = ""
            if one and many and share > 0.5:
                told = f"; the call takes {_us(many[0])} on {full} threads and {_us(one[0])} on one"
            reason = f"starting and ending its threads takes {_us(lost)} of {_us(whole)}{told}"
            self._hint(Kind.SHORT_REGION, file, line, reason, "clock", share=share * lost / whole)
        elif uneven > UNEVEN:
            reason = f"its busiest thread works {uneven:.0%} longer than the mean of {full}: the others wait for it"
            self._hint(Kind.UNEVEN, file, line, reason, "clock", share=share * uneven / (1 + uneven))

    def _thread_numbers(self) -> dict[int, int]:
        """The caller's thread is 0, the others follow as they first began."""
        seen: dict[int, int] = {}
        begins = sorted((begin, thread) for calls in self.timed for entry in calls for thread, begin, _ in entry.shares)
        main = threading.main_thread().ident
        ordered = dict.fromkeys(thread for _, thread in begins)
        for thread in sorted(ordered, key=lambda each: each != main):
            seen[thread] = len(seen)
        return seen

    def _shares(self) -> list[Answer]:
        """For each thread and a mean call: busy, waiting, starting, joining."""
        if not self.timed:
            return []
        threads, full = self._thread_numbers(), max(self.counts)[0]
        calls = len(self.timed)
        names = ("busy_s", "computing_s", "waiting_s", "starting_s", "joining_s")
        rows: list[Answer] = [dict.fromkeys(names, 0.0) | {"thread": at} for at in range(full)]
        for entry in (entry for entries in self.timed for entry in entries):
            first = min(begin for _, begin, _ in entry.shares)
            last = max(end for _, _, end in entry.shares)
            mine: dict[int, list[tuple[float, float]]] = {}
            for thread, begin, end in entry.shares:
                mine.setdefault(threads[thread], []).append((begin, end))
            for row in rows:
                parts = mine.get(int(row["thread"]), [])
                busy = sum(end - begin for begin, end in parts)
                begins = min((begin for begin, _ in parts), default=first)
                row["busy_s"] += busy / calls
                row["starting_s"] += (begins - entry.begin_s) / calls
                row["waiting_s"] += max(0.0, last - begins - busy) / calls
                row["joining_s"] += (entry.end_s - last) / calls
        for entry in (entry for entries in self.computed for entry in entries):
            for thread, begin, end in entry.shares:
                if threads.get(thread, full) < full:
                    rows[threads[thread]]["computing_s"] += (end - begin) / len(self.computed)
        return rows

    def _disturbed(self, shares: list[Answer]) -> None:
        busy, computing = (sum(row[name] for row in shares) for name in ("busy_s", "computing_s"))
        if computing < DISTURBED * busy:
            self.notes.append(
                f"its threads had a core for {computing / busy:.0%} of their time: other programs are at work, or it "
                "waits in its parallel loops; the times by thread are longer than they need be"
            )

    def _outside_s(self) -> float:
        if not self.timed:
            return 0.0
        inside = sum(entry.end_s - entry.begin_s for entries in self.timed for entry in entries)
        return max(0.0, (sum(self.call_s) - inside) / len(self.call_s))

    def _perf_map(self, found: list[Symbol]) -> str:
        path = map_file(os.getpid())

        def named(name: str) -> str:
            place = self.places.get(region_of(name))
            return f"{readable(name)}[prange_line_{place[1]}]" if place else readable(name)

        write_map(path, found, named)
        return str(path)


def _is_dispatcher(value: Any) -> bool:
    return isinstance(value, Dispatcher)


def _all_counts(most: int) -> list[int]:
    """1 to all: each up to 4, then doubled."""
    counts = [count for count in (1, 2, 3, 4) if count <= most]
    while counts[-1] * 2 <= most:
        counts.append(counts[-1] * 2)
    return sorted({*counts, most})


def _compile_copy(dispatcher: Any, signature: Any) -> None:
    """Compile a function once more, apart, for nothing but its types to be read; what fails is left out."""
    try:
        copy = type(dispatcher)(
            dispatcher.py_func, locals=dispatcher.locals, targetoptions=dict(dispatcher.targetoptions)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copy.compile(tuple(signature))
    except Exception as error:
        failures.append(f"{dispatcher.py_func.__name__}: {type(error).__name__}")


def _plain(arguments: tuple[Any, ...]) -> tuple[str, ...]:
    """Types as they matter to the user: not what Numba tries first of a constant, nor the unsigned index that it makes
    of a parallel loop's own."""
    return tuple(str(getattr(kind, "literal_type", kind)).replace("uint64", "int64") for kind in arguments)


def _differences(function: Any, kinds: list[tuple[str, ...]]) -> str:
    """In which arguments types differ: "value as int64 and float64"."""
    names = function.__code__.co_varnames
    if len({len(each) for each in kinds}) > 1:
        return "with more arguments and with fewer"
    told = [
        f"{names[at] if at < len(names) else f'argument {at + 1}'} as {' and '.join(dict.fromkeys(column))}"
        for at, column in enumerate(zip(*kinds, strict=True))
        if len(set(column)) > 1
    ]
    return "with " + "; ".join(told)


def _outermost(events: list[Any]) -> float:
    """Seconds of compiling, in events that may lie inside one another."""
    depth, spent, begin = 0, 0.0, 0.0
    for at, each in events:
        if each.is_start:
            begin = at if depth == 0 else begin
            depth += 1
        else:
            depth -= 1
            spent += at - begin if depth == 0 else 0.0
    return spent


def _by_function(events: list[Any]) -> dict[int, list[tuple[Any, Any, float]]]:
    """For each function that was compiled, in that order: its dispatcher, the types, and its own seconds."""
    open_: list[list[Any]] = []
    found: dict[int, list[tuple[Any, Any, float]]] = {}
    for at, each in events:
        if each.is_start:
            open_.append([at, 0.0])
            continue
        begin, inside = open_.pop()
        taken = at - begin
        if open_:
            open_[-1][1] += taken
        dispatcher = each.data["dispatcher"]
        function = getattr(dispatcher, "py_func", None)
        if function is not None and type(dispatcher).__name__ == "CPUDispatcher":
            found.setdefault(id(function), []).append((dispatcher, tuple(each.data["args"]), taken - inside))
    return found


def _address_of(name: str) -> int:
    return int(cpu_target.target_context.codegen()._engine.get_function_address(name))


def _place(file: str, line: int) -> Answer:
    return {"file": file, "line": int(line), "source": linecache.getline(file, int(line)).strip()}


def _line_of_def(file: str, line: int) -> int:
    for at in range(line, line + 40):
        if linecache.getline(file, at).lstrip().startswith("def "):
            return at
    return line


def _denormals(arrays: Iterable[tuple[str, Any]]) -> list[tuple[str, int, int]]:
    """For each array of floats: its name, how many of its numbers are denormal, and how many there are."""
    found = []
    for name, array in arrays:
        if array.dtype.kind == "f" and array.size:
            size = np.abs(array)
            found.append((name, int(((size > 0) & (size < np.finfo(array.dtype).tiny)).sum()), int(array.size)))
    return found


def _type(value: Any) -> str:
    """An argument's type with its extents, for people."""
    if isinstance(value, np.ndarray):
        layout = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
        extents = ", ".join(map(str, value.shape))
        return f"{value.dtype}[{extents}] {layout}" + ("" if value.flags.writeable else ", read-only")
    try:
        kind = str(numba.typeof(value))
    except Exception:  # no type of Numba's: its Python type tells enough
        kind = type(value).__name__
    if _is_dispatcher(value):
        return f"the function {value.py_func.__name__}"
    return f"{value} ({kind})" if isinstance(value, (bool, int, float, np.number)) else kind


def _element(kind: Any) -> Any:
    return getattr(kind, "dtype", kind)


def _casts(given: list[Any], kinds: tuple[Any, ...], how: Any = "safe") -> bool:
    """Whether NumPy hands arguments of these types to a loop that was compiled for `kinds`."""
    pairs = zip(given, kinds, strict=False)
    return all(np.can_cast(mine, np.dtype(str(_element(kind))), how) for mine, kind in pairs)


def _value(value: Any) -> Any:
    """An argument as a formula may use it."""
    if isinstance(value, np.ndarray):
        return {
            "shape": list(value.shape),
            "size": value.size,
            "nbytes": value.nbytes,
            "ndim": value.ndim,
            "itemsize": value.itemsize,
        }
    if isinstance(value, tuple):
        return [_value(part) for part in value]
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return float(value)
    return None


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if name not in ("nopython", "boundscheck"))


def _quarter(values: list[float]) -> float:
    """The lower quartile: what disturbs a measurement only adds."""
    return sorted(values)[len(values) // 4]


def _by_kernel(calls: list[list[Entry]]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for entry in (entry for entries in calls for entry in entries):
        found.setdefault(entry.kernel, []).append(entry)
    return found


def _longest(entry: Entry) -> float:
    busy: dict[int, float] = {}
    for thread, begin, end in entry.shares:
        busy[thread] = busy.get(thread, 0.0) + end - begin
    return max(busy.values())


def _unevenness(entry: Entry, threads: int) -> float:
    total = sum(end - begin for _, begin, end in entry.shares)
    return _longest(entry) / max(total / threads, 1e-9) - 1


def _us(seconds: float) -> str:
    us = seconds * 1e6
    return f"{us / 1000:,.1f} ms" if us >= 10_000 else f"{us:,.0f} µs" if us >= 100 else f"{us:.1f} µs"


def _warned(warned: list[Any]) -> list[Answer]:
    """Hints that Numba itself gives: a plain variable that several threads write."""
    found = []
    for each in warned:
        if issubclass(each.category, NumbaParallelSafetyWarning):
            text = re.sub(r"\x1b\[[0-9;]*m", "", str(each.message))
            place = re.search(r'File "([^"]+)", line (\d+)', text)
            name = re.search(r"Variable (\S+)", text)
            if place and name:
                found.append(
                    {
                        "kind": Kind.RACE.value,
                        "place": _place(os.path.abspath(place[1]), int(place[2])),
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
