"""Whether a function's results are right: checked by running it, before anything is said about its speed.

`Checks.before_calling` runs copies of it in forked processes: a compiled one that checks its indices and uses no
threads, one without the compiler, and one that watches what parallel iterations write. So an index out of bounds
becomes a line and not a crash. `Checks.after_calling` compares more calls of the function itself.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher, hoisted_arrays
from jitnet.profile.functions.worker import checked_copy
from jitnet.profile.functions.worker.child import NO_TIME, NOT_PREPARED, Child, Ended, can_fork
from jitnet.profile.functions.worker.containers import containers, copied
from jitnet.profile.functions.worker.diagnostics import JsonObject, place
from jitnet.profile.functions.worker.differences import EXACT, Difference, allowance_for, differences
from jitnet.profile.functions.worker.fast_numbers import asks_for_nan, assumes_finite, run_without_fastmath
from jitnet.profile.functions.worker.interpreted import Interpreted, interpret, why_otherwise
from jitnet.profile.functions.worker.mentions import Mention, mentions, random_draw, tree
from jitnet.profile.functions.worker.outcomes import (
    LARGEST_BYTES,
    Outcome,
    are_finite,
    bytes_of,
    outcome,
    plain_value,
    share_memory,
)
from jitnet.profile.functions.worker.races import Races, Watched, judge, watch_twice
from jitnet.profile.functions.worker.summary import Summary

__all__ = ["Checks"]

BOUNDS, EQUAL, SERIAL, PYTHON = "bounds", "two equal calls", "without threads", "without the compiler"
UNWRITTEN, FASTMATH, RACES = "memory that was never written", "without fastmath", "races"

OF_UNWRITTEN = "its results depend on memory that was never written"

WATCH_SHARE = 0.45
"""Of the time of a forked process that watches two runs: so long for each."""

LEAST_COMPILING, MOST_COMPILING = 2.0, 3.0
"""How long a copy that checks may compile, beside the time for its run: as long as the function did; at least and at
most so many times the time for its run."""


class Checks:
    """The checks of one function with its arguments.

    measuring: of `measuring.py`, of which the subject, the arguments, the calls, the code and the request are used.
    found: the checks that were made, as JSON for `Check`. races: what is known of them at the end. overrun: the index
    that is out of bounds, with its place, "" where none is. danger: that or a race, known before the first call, from
    which it may crash.
    """

    def __init__(self, measuring: Any) -> None:
        self.measuring = measuring
        self.subject, self.calls, self.arguments = measuring.subject, measuring.calls, measuring.arguments
        self.names: list[str] = measuring.names
        self.found: list[JsonObject] = []
        self.races = Races([], [], [])
        self.made_up = measuring.request["args"] is not None
        functions = [each for each, _ in tree(self.subject.function, self.arguments)]
        self.mentions = list(mentions(functions))
        self.containers, self.uncopied = containers(self.arguments, self.names)
        self._pristine = {name: copied(value) for name, value in self.containers.items()}
        self._before = {name: plain_value(value) for name, value in self.containers.items()}
        self._serial: Outcome | None = None
        self._interpreted: Interpreted | None = None
        self._watched: Watched | None = None
        self._unwatched = ""
        self._first: Outcome | None = None
        self._shared = False
        self.overrun = self.danger = ""

    # Before the first call.

    def before_calling(self, budget_s: float) -> None:
        """Run copies of the function in forked processes, each for budget_s seconds at most, without compiling."""
        if not checked_copy.can_check(self.subject):
            self._add(BOUNDS, "not done", f"it is a {self.subject.kind} function")
            return
        if not can_fork():
            self._add(BOUNDS, "not done", "this system cannot fork a process")
            return
        if bytes_of({"": plain_value(self.arguments, copy=False)}) > LARGEST_BYTES:
            self._add(BOUNDS, "not done", f"its arguments are larger than {LARGEST_BYTES >> 20} MiB")
            return
        channel, subject = self.measuring.request.get("channel", -1), self.subject
        compiling_s = min(
            max(LEAST_COMPILING * budget_s, self.measuring.code.seconds or 0.0), MOST_COMPILING * budget_s
        )
        children = {
            BOUNDS: Child(
                self._run_checked,
                budget_s + (compiling_s if subject.by_element else 0.0),
                channel,
                prepare=lambda: checked_copy.prepare(subject, self.arguments),
                preparing_s=compiling_s,
            )
        }
        work: dict[str, Callable[[], Any]] = {}
        if not subject.by_element:  # of a ufunc, its loop over elements is not in the function
            work[PYTHON] = lambda: interpret(subject.function, self._plain(), self.names)
            suspects = {each.line for summary in self._summaries() for each in summary.shared if not each.constant}
            if self._is_parallel():
                work[RACES] = lambda: watch_twice(
                    subject.function, self._plain(), self.names, suspects, WATCH_SHARE * budget_s, self.made_up
                )
        children |= {name: Child(each, budget_s, channel) for name, each in work.items()}
        ended = {
            name: child.wait(lambda: self.measuring.report("checking its results")) for name, child in children.items()
        }
        self._read_checked(ended[BOUNDS], budget_s)
        if PYTHON in ended:
            self._read_python(ended[PYTHON], budget_s)
        if RACES in ended:
            self._watched = ended[RACES].value
            self._unwatched = _failure(ended[RACES], budget_s)
        found = judge(self._summaries(), self._watched, False).found
        self.danger = self.overrun or next((f"{race.reason} ({race.file}:{race.line})" for race in found), "")

    def _summaries(self) -> list[Summary]:
        return [summary for summary, _ in self.measuring.code.reachable()]

    def _is_parallel(self) -> bool:
        return any(summary.parallel for summary in self._summaries())

    def _plain(self) -> tuple[Any, ...]:
        return tuple(self.arguments[at] if name not in self.containers else plain_value(self.arguments[at])
                     for at, name in enumerate(self.names))  # fmt: skip

    def _run_checked(self, copy: checked_copy.CheckedCopy) -> checked_copy.CheckedRun:
        return checked_copy.run(copy, self.calls, self._outcome, self.made_up)

    def _read_checked(self, ended: Ended, budget_s: float) -> None:
        run: checked_copy.CheckedRun | None = ended.value
        if run is None:
            self._add(BOUNDS, "not done", _failure(ended, budget_s))
            return
        if run.held:
            self._serial = run.outcome
            self._add(BOUNDS, "held")
            return
        text = str(run.overrun) if run.overrun else f"an index is out of bounds: {run.text}"
        where = place(run.overrun.file, run.overrun.line) if run.overrun and run.overrun.line else None
        if run.made_up:
            text += ", by the numbers that --args made up: pass your own with --setup"
        self._add(BOUNDS, "not done" if run.made_up else "failed", text, where)
        self.overrun = f"{text} ({run.overrun.file}:{run.overrun.line})" if run.overrun and where else text

    def _read_python(self, ended: Ended, budget_s: float) -> None:
        if ended.value is None:
            if not self.overrun:
                self._add(PYTHON, "not done", _failure(ended, budget_s))
            return
        self._interpreted = ended.value
        if ended.value.unwritten:
            line = next((each for each in self.mentions if _returns_unwritten(each)), None)
            reason = f"{ended.value.unwritten} is, or depends on, what was in the memory that np.empty returned"
            self._add(UNWRITTEN, "failed", reason, place(line.file, line.line) if line else None)

    # After the first call.

    def first_call(self) -> None:
        """Keep what the first call returned and wrote."""
        made = self._outcome(self.calls.result, copied=False)
        self._shared = share_memory(made)
        self._first = plain_value(made) if bytes_of(made) <= LARGEST_BYTES else None

    def after_calling(self, budget_s: float, call_s: float, threads: bool) -> None:
        """Call it again on equal copies of its arguments, and compare. threads: whether it entered a parallel loop."""
        counts = [numba.get_num_threads(), *([1] if threads and numba.get_num_threads() > 1 else [])]
        names = {counts[0]: EQUAL, 1: f"1 and {counts[0]} threads"} if len(counts) > 1 else {counts[0]: EQUAL}
        reason = (
            "its results are too large to be kept"
            if self._first is None
            else f"an argument cannot be copied: {self.uncopied}"
            if self.uncopied
            else "an index is out of bounds"
            if self.overrun
            else f"a call takes {call_s:.1f} s"
            if call_s * len(counts) > max(1.0, budget_s)
            else ""
        )
        if reason:
            for name in names.values():
                self._add(name, "not done", reason)
        else:
            self.measuring.report("comparing equal calls")
            for count in counts:
                self._compare_call(names[count], count, threads)
        if self._first is not None and not self.overrun:
            if threads and self._serial is not None:
                self._compare(SERIAL, self._serial, self._first, ("without threads", "with them"))
            if self._interpreted is not None:
                self._compare_python()
            self._fastmath(budget_s)
        self._judge(threads)

    def _compare_call(self, name: str, count: int, threads: bool) -> None:
        self.calls.reset()
        arguments = tuple(
            copied(self._pristine[name]) if name in self._pristine else value
            for name, value in zip(self.names, self.arguments, strict=True)
        )
        before = numba.get_num_threads()
        if threads:
            numba.set_num_threads(count)
        try:
            result = self.subject.call(*arguments)
        finally:
            if threads:
                numba.set_num_threads(before)
        labels = ("in one call", "in the next")
        if name != EQUAL:
            labels = f"on {before} threads", f"on {count} thread{'s' * (count != 1)}"
        # Without threads the order of adding is fixed.
        exact = name == EQUAL and not threads
        self._compare(name, self._first or {}, self._outcome(result, arguments, copied=False), labels, exact)

    def _compare(self, name: str, one: Outcome, other: Outcome, labels: tuple[str, str], exact: bool = False) -> None:
        found = self._differences(one, other, labels, exact)
        if not found:
            self._add(name, "held")
            return
        worst = found[0]
        draws = random_draw(self.mentions)
        if self._interpreted is not None and self._interpreted.unwritten:
            self._add(name, "not done", OF_UNWRITTEN)
        elif draws is not None:
            self._add(
                name,
                "not done",
                f"it draws random numbers with {draws.name}, so equal calls differ; a generator that is passed to it, "
                "or np.random.seed in it, makes them equal",
                place(draws.file, draws.line),
            )
        elif worst.allowed:
            self._add(name, "held", f"to the last digits: {worst.text}")
        else:
            empty = next((each for each in self.mentions if _returns_unwritten(each)), None) if exact else None
            why = f"; {empty.name} in line {empty.line} returns memory that nothing has written" if empty else ""
            self._add(name, "failed", worst.text + why)

    def _differences(
        self, one: Outcome, other: Outcome, labels: tuple[str, str], exact: bool = False
    ) -> list[Difference]:
        return differences(one, other, EXACT if exact else allowance_for(self.arguments), labels)

    def _compare_python(self) -> None:
        interpreted = self._interpreted
        assert interpreted is not None
        if interpreted.unwritten:
            self._add(PYTHON, "not done", OF_UNWRITTEN)
            return
        # A race makes the compiled function differ: what the compiler changes shows on one thread.
        reference = self._serial if self._serial is not None else self._first or {}
        found = self._differences(interpreted.found, reference, ("in Python", "compiled"))
        if not found:
            self._add(PYTHON, "held")
            return
        worst = found[0]
        draws = random_draw(self.mentions)
        if draws is not None:
            self._add(PYTHON, "not done", f"it draws random numbers with {draws.name}", place(draws.file, draws.line))
        elif worst.allowed:
            self._add(PYTHON, "held", f"to the last digits: {worst.text}")
        elif why := why_otherwise(interpreted, self.arguments, self.mentions):
            self._add(PYTHON, "not done", why)
        else:
            self._add(PYTHON, "failed", worst.text)

    # Fast mathematics.

    def _fastmath(self, budget_s: float) -> None:
        """Compare with a copy without fastmath, where numbers that fastmath excludes may be there."""
        compiled = [self.subject.dispatcher, *(each for _, each in tree(self.subject.function, self.arguments) if each)]
        asks = asks_for_nan(self.mentions)
        usual = self._first or {}
        if not assumes_finite([each for each in compiled if isinstance(each, Dispatcher)]):
            return
        if asks is None and are_finite(usual):
            return
        if self.subject.kind != "njit" or not can_fork():
            self._add(FASTMATH, "not done", "no copy of it can be compiled")
            return
        self.measuring.report("comparing with a copy without fastmath")
        self.calls.reset()
        limit_s = max(budget_s, 2 * (self.measuring.code.seconds or 0.0))
        arguments, allowance = self.arguments, allowance_for(self.arguments)
        ended = Child(
            lambda: run_without_fastmath(
                self.subject.dispatcher,
                arguments,
                self.names,
                self.calls,
                self._outcome,
                usual,
                allowance,
                asks is not None,
            ),
            limit_s,
            self.measuring.request.get("channel", -1),
        ).wait()
        where = place(asks.file, asks.line) if asks else None
        if ended.value is None:
            self._add(FASTMATH, "not done", _failure(ended, limit_s), where)
            return
        if not ended.value.text:
            self._add(FASTMATH, "held")
            return
        why = "fastmath lets the compiler assume that no number is NaN or infinite"
        if asks is not None:
            why += f", so {asks.name} has no effect"
        with_nan = f"with a NaN in {ended.value.planted} " if ended.value.planted else ""
        self._add(FASTMATH, "failed", f"{with_nan}{ended.value.text}: {why}", where)

    # All together.

    def _judge(self, threads: bool) -> None:
        """Decide about races, by the code, the watched run and the results."""
        reports = {each["name"]: each for each in self.found}
        by_threads = [each for name, each in reports.items() if name in (EQUAL, SERIAL) or name.endswith("threads")]
        differs = threads and any(each["verdict"] == "failed" for each in by_threads)
        summaries = self._summaries()
        if not self._is_parallel():
            return
        self.races = judge(summaries, self._watched, differs)
        if differs and not self.races.found and self._shared:
            self._name_hoisted([each for each in by_threads if each["verdict"] == "failed"])
        if self.races.found:
            first = self.races.found[0]
            self._add(RACES, "failed", first.reason, place(first.file, first.line))
        elif self.races.made_up:
            first = self.races.made_up[0]
            reason = f"{first.reason}, but only with the indices that --args made up: pass your own with --setup"
            self._add(RACES, "not done", reason, place(first.file, first.line))
            for each in by_threads:
                if each["verdict"] == "failed":
                    each["verdict"] = "not done"
                    each["reason"] += ", by the indices that --args made up"
        elif self.races.open:
            first = self.races.open[0]
            reason = f"{first.reason}; {self._unwatched or 'the run in Python had no time to see it'}"
            self._add(RACES, "not done", reason, place(first.file, first.line))
        elif self._watched is not None and self._watched.complete and self._watched.loops:
            self._add(RACES, "held")
        elif self._has_prange() and not (differs or self.overrun):
            suspected = any(summary.shared for summary in summaries)
            reason = self._unwatched or "the run in Python did not reach its end"
            self._add(RACES, "not done" if suspected else "held", reason if suspected else "by its code alone")

    def _name_hoisted(self, failed: list[JsonObject]) -> None:
        """Name the array that Numba allocates once for each thread, and whose views were stored by many iterations."""
        used = self.measuring.code.used()
        arrays = hoisted_arrays(self.subject.dispatcher.overloads[used]) if used is not None else []
        for name, file, line in arrays[:1]:
            why = f"{name} is allocated once for each thread, not in each iteration, so what is stored is one array"
            for each in failed:
                each["reason"] = f"{why}: {each['reason']}"
                each["place"] = place(file, line)

    def _has_prange(self) -> bool:
        """Whether a `prange` is in it, and not only array expressions that run in parallel."""
        return any(each.value is numba.prange for each in self.mentions)

    def _outcome(self, result: Any, arguments: Any = None, copied: bool = True) -> Outcome:
        """Return what a call returned and wrote: arrays and containers that changed."""
        arguments = self.arguments if arguments is None else arguments
        changed = set(self.calls.changed())
        written = list(self.calls.arrays(changed).items())
        for name, value in zip(self.names, arguments, strict=True):
            if name in self.containers and differences(
                {name: self._before[name]}, {name: plain_value(value, copy=False)}
            ):
                written.append((name, value))
        return outcome(result, written, copied)

    def _add(self, name: str, verdict: str, reason: str = "", where: JsonObject | None = None) -> None:
        self.found.append({"name": name, "verdict": verdict, "reason": reason, "place": where})


def _returns_unwritten(found: Mention) -> bool:
    return callable(found.value) and found.value in (np.empty, np.empty_like)


def _failure(ended: Ended, limit_s: float) -> str:
    if ended.failure == NO_TIME:
        return f"it takes longer than the {limit_s:.1f} s that are left for it"
    if ended.failure == NOT_PREPARED:
        return "compiling a copy for it takes too long; a longer --time allows more"
    return ended.failure
