"""Two functions called in turn on the same data: their times in pairs, and whether their results agree."""

import platform
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba

from jitnet.bench.figures import all_counts
from jitnet.profile.functions.worker.agreement import agreement, kept
from jitnet.profile.functions.worker.calls import SAMPLE_S, Calls
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.diagnostics import JsonObject, line_of_def, place
from jitnet.profile.functions.worker.observers import Observers
from jitnet.profile.functions.worker.outcomes import Outcome
from jitnet.profile.functions.worker.subject import Refused, Subject, arguments_of, check_arguments, find
from jitnet.profile.functions.worker.values import options_text, type_text
from jitnet.profile.functions.worker.variants import find_apart, with_options

__all__ = ["compare"]

ALL_COUNTS_S = 6.0
"""Where two pairs on each count of threads would take longer, and longer than is allowed, only the largest count is
timed."""

LONG_CALL_S = 2.0
"""Functions that take longer are called as rarely as possible."""

MOST_REPEATS, MOST_PAIRS_A_SECOND = 10_000, 170

Report = Callable[[str], None]


def compare(request: JsonObject, observers: Observers, report: Report) -> JsonObject:
    """Load both functions, compare their results, and time them in turn on each count of threads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if numba.config.DISABLE_JIT:
            raise Refused("NUMBA_DISABLE_JIT is set: nothing is compiled; unset it")
        first, second = request["target"], request["second"]
        report("loading the modules")
        known = set(sys.modules)
        subjects = [find(first)]
        report("making the arguments")
        arguments = arguments_of(subjects[0], request)
        report("loading the modules")
        same_module = first.rpartition(":")[0] == second.rpartition(":")[0]
        subjects.append(find(second) if same_module else find_apart(second, known))
        options = {name: set(value) if isinstance(value, list) else value for name, value in request["options"].items()}
        if options:
            subjects[1] = with_options(subjects[1], options, second)
        try:
            check_arguments(subjects[1], arguments)
        except Refused as refused:
            raise Refused(f"{second}: {refused}; both are called with the same arguments") from None
        both = _SideBySide(subjects, arguments, observers, report)
        both.prepare()
        rows = both.time(request["threads"], request["timing_s"], request["count_s"])
    return {
        "sides": [side.described() for side in both.sides],
        "arguments": [
            {"name": name, "type": type_text(argument), "written": "restored" if name in both.changed else ""}
            for name, argument in zip(both.names, arguments, strict=True)
        ],
        "results": both.results(),
        "rows": rows,
        "notes": both.notes,
        "numba": numba.__version__,
        "python": platform.python_version(),
    }


@dataclass
class _Side:
    """One of both functions. parallel: whether it starts threads. first, again: results of two equal calls."""

    subject: Subject
    code: Compiled
    calls: Calls
    parallel: bool = False
    first: Outcome | None = None
    again: Outcome | None = None

    def described(self) -> JsonObject:
        code = self.subject.function.__code__
        signature, returns = self.code.signature()
        return {
            "kind": self.subject.kind,
            "options": options_text(self.subject.options),
            "place": place(code.co_filename, line_of_def(code.co_filename, code.co_firstlineno)),
            "signature": signature,
            "returns": returns,
            "compile_s": self.code.seconds,
            "parallel": self.parallel,
        }


class _SideBySide:
    """Both functions with the same arguments. changed: names of the arrays that either writes to."""

    def __init__(
        self, subjects: Sequence[Subject], arguments: tuple[Any, ...], observers: Observers, report: Report
    ) -> None:
        self.report, self.clock = report, observers.clock
        parameters = subjects[0].parameters
        self.names = [parameters[at] if at < len(parameters) else f"argument {at + 1}" for at in range(len(arguments))]
        self.sides = [
            _Side(
                subject,
                Compiled(subject, arguments, observers.summaries, observers.compiled.buffer),
                Calls(subject.call, arguments, self.names),
            )
            for subject in subjects
        ]
        self.changed: set[str] = set()
        self.notes: list[str] = []

    def prepare(self) -> None:
        """Compile both, and call each twice on equal data."""
        for number, side in enumerate(self.sides):
            which = ("first", "second")[number]
            self.report(f"compiling the {which} function")
            side.code.loaded = len(side.code.events)
            side.code.compile()
            code = side.subject.function.__code__
            self.report(f"calling the {which} function ({code.co_filename}:{code.co_firstlineno})")
            entered, known = self.clock.entered, side.code.count()
            side.calls.first()
            side.parallel = self.clock.entered > entered
            side.first = self._results(side)
            if side.calls.first_s > LONG_CALL_S and side.code.count() == known:
                side.calls.reset(self.changed)
                continue
            self.report(f"calling the {which} function again")
            side.calls.second()
            self.changed |= set(side.calls.written)
            side.calls.reset(self.changed)
            side.calls.first()
            side.again = self._results(side)
            side.calls.reset(self.changed)

    def _results(self, side: _Side) -> Outcome:
        written = set(side.calls.changed())
        self.changed |= written
        return kept(side.calls.result, side.calls.arrays(written))

    def results(self) -> JsonObject:
        """Return how the results agree. Nothing can be said where two equal calls of the first differ already; where
        only those of the second do, that is the difference."""
        before, after = self.sides
        for which, side in (("first", before), ("second", after)):
            if side.again is not None and agreement(side.first or {}, side.again)["verdict"] == "differ":
                reason = f"two equal calls of the {which} function differ: by random numbers, a race, an argument that "
                reason += "it changes and that is no array, or NaN under fastmath"
                verdict = "unknown" if side is before else "differ"
                return {"verdict": verdict, "difference": None, "where": "", "reason": reason}
        return agreement(before.first or {}, after.first or {})

    def time(self, threads: Sequence[int] | None, budget_s: float, count_s: float) -> list[JsonObject]:
        """Return the samples of both, in seconds a call, in pairs, for each count of threads; in so many seconds, of
        which one count has `count_s` at most."""
        available = numba.config.NUMBA_NUM_THREADS
        parallel = any(side.parallel for side in self.sides)
        counts = [1]
        if parallel:
            counts = list(threads or all_counts(available))
            if max(counts) > available:
                raise Refused(
                    f"--threads {max(counts)}: Numba has {available} threads here, by NUMBA_NUM_THREADS or the affinity"
                )
        elif threads and list(threads) != [1]:
            self.notes.append("nothing in either is parallel: they were timed on one thread")
        pair_s = sum(side.calls.second_s or side.calls.first_s for side in self.sides)
        if len(counts) > 1 and pair_s * len(counts) * 2 > max(ALL_COUNTS_S, budget_s):
            counts = [counts[-1]]
            self.notes.append(
                f"a call of each takes {pair_s:.1f} s together: they were timed on {counts[0]} threads only"
            )
        rows = []
        for count in counts:
            if parallel:
                numba.set_num_threads(count)
            rows.append(self._pairs(count, min(count_s, budget_s / len(counts))))
        if parallel:
            numba.set_num_threads(available)
        return rows

    def _pairs(self, count: int, budget_s: float) -> JsonObject:
        begin = time.perf_counter()
        repeats, samples = [], [[], []]  # type: ignore[var-annotated]
        for side in self.sides:
            self.report("timing both in turn")
            side.calls.reset(self.changed)
            call_s = side.calls.second_s or side.calls.first_s
            if call_s < LONG_CALL_S:
                call_s = min(side.calls.one(), side.calls.one())
            repeats.append(max(1, min(MOST_REPEATS, round(SAMPLE_S / max(call_s, 1e-8)))))
        most = MOST_PAIRS_A_SECOND * budget_s
        while not samples[1] or (time.perf_counter() - begin < budget_s and len(samples[1]) < most):
            # Which of both goes first alternates: what one leaves in the caches is then no advantage of the other.
            order = (0, 1) if len(samples[1]) % 2 == 0 else (1, 0)
            for which in order:
                samples[which].append(self._sample(self.sides[which].calls, repeats[which]))
            self.report("timing both in turn")
        return {"threads": count, "repeats": repeats, "samples_s": samples}

    def _sample(self, calls: Calls, repeats: int) -> float:
        calls.reset(self.changed)
        if repeats > 1 and not calls.restores:
            calls.one()  # warm the caches and the threads for this function
        return calls.sample(repeats)
