"""From a function to its times, its threads and its hints: it is compiled, checked, called and sampled."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numba

from jitnet.bench.figures import all_counts
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.stages import with_danger
from jitnet.profile.functions.thresholds import LINES_S, MOST_CHECKS, PARTS_S, TIME_S
from jitnet.profile.functions.worker.calls import Calls, interleaved
from jitnet.profile.functions.worker.checks import Checks
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, line_of_def
from jitnet.profile.functions.worker.flags import look_for_denormals
from jitnet.profile.functions.worker.observers import Observers
from jitnet.profile.functions.worker.regions import ThreadTimes
from jitnet.profile.functions.worker.reply import reply
from jitnet.profile.functions.worker.sampled_copy import SampledCopy
from jitnet.profile.functions.worker.subject import (
    Refused,
    Subject,
    arguments_of,
    find,
)
from jitnet.profile.functions.worker.trials import Trials
from jitnet.profile.functions.worker.warned import watch_warnings
from jitnet.profile.functions.worker.where import sample
from jitnet.profile.users.generators import MOST_VALUES

__all__ = ["measure", "measure_and_try"]

LONG_CALL_S = 2.0
"""Where a call takes longer than this, it is timed once."""

TIMING_S, CLOCK_S, READ_S, CHECK_S = (PARTS_S[part] for part in ("timing", "threads", "reading", "checks"))
"""Seconds for the parts: timing, threads, compiling copies to read, whether results are right."""

DISPATCH_MATTERS_S = 20e-6
"""Below this, the cost of a call from Python is measured too."""


def measure(request: JsonObject, observers: Observers, report: Callable[[str], None]) -> JsonObject:
    """Load, compile, call, time and examine one function. report: called with what is being done."""
    return measure_and_try(request, observers, report)[0]


def measure_and_try(
    request: JsonObject,
    observers: Observers,
    report: Callable[[str], None],
    compiled: Callable[[JsonObject], None] = lambda found: None,
) -> tuple[JsonObject, Trials]:
    """Return the reply of `measure`, and what tries the remedies of its hints.

    compiled: called as soon as the function is compiled, with the types of its arguments, "pickled", and the seconds
    that it took, "compile_s", both as in the reply.
    """
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
        compiled({"pickled": measuring.code.pickled(), "compile_s": measuring.code.seconds})
        measuring.check()
        measuring.call()
        measuring.sampling = sampling = sample(measuring, PARTS_S["sampling"])
    warned.add_to(measuring.hints, measuring.notes)
    found = reply(measuring)
    shares = HintShares(sampling) if sampling is not None else None
    if shares is not None:
        for hint in found["hints"]:
            if hint["share"] is None:
                hint["share"] = shares.share(hint["kind"], hint["place"]["file"], hint["place"]["line"])
    found["import_s"] = import_s
    found["sampling"] = sampling
    trials = Trials(measuring.code, measuring.calls, observers.clock, report, measuring.time_s, shares)
    found["spent_s"] = measuring.spent_s() + measuring.checks_s
    return found, trials


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
        self.checks_s = 0.0
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
        """Return the seconds since the function was compiled and checked."""
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
        budget_s = CHECK_S * min(MOST_CHECKS, max(1.0, self.time_s / TIME_S))
        self._checked(lambda: self.checks.before_calling(budget_s))
        # What follows has its time, however long this took: less is left for trials.
        self.checks_s = self.spent_s()
        self.begin_s = time.perf_counter()
        if self.checks.danger:
            report = self.report
            # Should it crash now, this is why.
            self.report = lambda what: report(with_danger(what, self.checks.danger))

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
        self.report(f"calling it for the first time ({self.file}:{self.def_line()})")
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
        self.calls.reset()
        try:
            names = ", ".join(f"a{at}" for at in range(len(self.arguments)))
            empty = numba.njit(eval(f"lambda {names}: None"))
            empty(*self.arguments)
            calls = Calls(empty, self.arguments, self.names)
            fastest_s = min(min(samples) for _, _, samples in self.counts)
            self.dispatch_s = min(fastest_s, *(calls.sample(2000) for _ in range(5)))
        except Exception:  # an argument that an empty function cannot take: the figure is left out
            self.dispatch_s = None

    def def_line(self) -> int:
        """Return the line of the function's `def`."""
        return line_of_def(self.file, self.line)

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


def _values_taken(count: int) -> str:
    """Return what a call of a generator means here."""
    which = f"its first {count:,} values" if count == MOST_VALUES else f"all of its values, {count:,},"
    return f"it is a generator: a call here takes {which} in a compiled loop; a call alone would run none of its body"
