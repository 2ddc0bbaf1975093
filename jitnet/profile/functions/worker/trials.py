"""Whether a hint's remedy helps: a changed copy is compiled, its results are compared, and both are timed in turn."""

import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from jitnet.bench.factors import Factor
from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.thresholds import AFTER_COMPILING, GAIN, is_gain
from jitnet.profile.functions.worker.calls import Calls
from jitnet.profile.functions.worker.cases import Case, Cases, in_order, state
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.copies import Unreached, changed_copy
from jitnet.profile.functions.worker.diagnostics import JsonObject
from jitnet.profile.functions.worker.fixes import combined_rewrites, fix_of
from jitnet.profile.functions.worker.pairs import FEWEST, time_in_turn
from jitnet.profile.functions.worker.remedies import Remedy, changes_of, why_not
from jitnet.profile.functions.worker.same_results import Deviation, deviation, snapshot
from jitnet.profile.functions.worker.thread_clock import X86, ThreadClock
from jitnet.profile.readable import message_lines

__all__ = ["Trials", "helps"]

NO_TIME = "no time is left"

SHORTEST_S = 0.25
"""Seconds that the timing of a copy gets at least, where they are left."""

COMPILING_S = 0.5
"""What compiling a copy takes where that is not known."""


@dataclass
class _Copy:
    """A changed copy that has run once. untried: why it has not, "" where it has. taken_s: to compile and run it."""

    calls: Calls | None
    deviation: Deviation
    untried: str
    taken_s: float


class Trials:
    """Trials of the remedies of one function's hints.

    time_limit_s: what the user allowed for the whole answer, for the line that says what more time would do. shares:
    of the time, for hints that are found here; None where they are not known.
    """

    def __init__(
        self,
        code: Compiled,
        calls: Calls,
        thread_clock: ThreadClock,
        report: Callable[[str], None],
        time_limit_s: float,
        shares: HintShares | None = None,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.code, self.calls, self.thread_clock = code, calls, thread_clock
        self.report, self.time_limit_s, self.now = report, time_limit_s, now
        self.cases = Cases(code, shares, self._flushing if X86 else None)
        self._copies: dict[Any, _Copy] = {}
        self._outcomes: dict[Any, tuple[JsonObject | None, str]] = {}
        self._reference: list[Any] | None = None
        self._steady = True
        self._needed_s = 0.0

    def run(self, hints: Sequence[JsonObject], ends: float, combined: bool = True) -> Iterator[JsonObject]:
        """Try what can be tried for these hints until `ends`, by the clock; what was tried before is not tried again.

        Yields the state of a hint whenever it changes: its "number" in the list, None for one that was found here, with
        the "hint" itself; its "trial" or why it is "untried"; and its "advice", "" where that is left as it is.
        At the end "fix": what helps, combined, where `combined` says so.
        """
        self._needed_s = 0.0
        self._outcomes = {key: outcome for key, outcome in self._outcomes.items() if outcome[1] != NO_TIME}
        cases = self.cases.of(hints)
        for number, case in enumerate(cases):
            if not case.remedies:
                yield state(number, case, None, why_not(case.hint))
        todo = in_order(cases)
        for at, remedy in enumerate(todo):
            self.report(f"trying {remedy.change}")
            self._try(remedy, ends, len(todo) - at)
            for number, case in enumerate(cases):
                if any(each.key == remedy.key for each in case.remedies):
                    yield self._best(number, case)
        for number, case in enumerate(cases):
            if self._needed_s and any(self._outcomes[each.key][1] == NO_TIME for each in case.remedies):
                yield self._best(number, case)  # by now all that is missing is known
        fix = self._combined(cases, ends) if combined else None
        if fix is not None:
            yield {"fix": fix}

    @contextmanager
    def _flushing(self) -> Iterator[None]:
        self.thread_clock.clear_flags(flush=True)
        try:
            yield
        finally:
            self.thread_clock.read_flags()

    # One remedy.

    def _try(self, remedy: Remedy, ends: float, waiting: int) -> None:
        """Try a remedy, unless there is no time. waiting: how many are left, this one included."""
        if remedy.key in self._outcomes:
            return
        left_s = ends - self.now()
        call_s = self.calls.second_s or self.calls.first_s
        needed_s = 2 * FEWEST * call_s
        if remedy.key not in self._copies:
            needed_s += (self._compiling_s() if remedy.compiles else 0.0) + 3 * call_s
        if left_s < needed_s:
            self._needed_s += max(needed_s, SHORTEST_S)
            self._outcomes[remedy.key] = None, NO_TIME
            return
        made = self._copy([remedy])
        self._outcomes[remedy.key] = self._outcome([remedy], made, ends, waiting)

    def _compiling_s(self) -> float:
        """Return what compiling a copy takes, about: the first compilation of a process also sets up the compiler."""
        taken = [each.taken_s for each in self._copies.values() if not each.untried]
        return sorted(taken)[len(taken) // 2] if taken else (self.code.seconds or 2 * COMPILING_S) / 2

    def _outcome(
        self, found: Sequence[Remedy], made: _Copy, ends: float, waiting: int
    ) -> tuple[JsonObject | None, str]:
        """Time a copy that has run. Returns a trial, or None and the reason."""
        if made.calls is None:
            return None, made.untried
        left_s = ends - self.now()
        budget_s = min(left_s, max(SHORTEST_S, left_s / (waiting + 1)))
        factor = self._timed(found, made.calls, budget_s) or self._timed(found, made.calls, left_s)
        if factor is None:
            self._needed_s += 2 * FEWEST * (self.calls.second_s or self.calls.first_s)
            return None, NO_TIME
        first = found[0]
        return {
            "change": " and ".join(each.change for each in found),
            "factor": factor.value,
            "low": factor.low,
            "high": factor.high,
            "difference": made.deviation.relative,
            "alike": made.deviation.rounding,
            "diff": first.rewrite.diff if first.rewrite and len(found) == 1 else "",
        }, ""

    def _timed(self, found: Sequence[Remedy], changed: Calls, budget_s: float) -> Factor | None:
        self.calls.reset()

        def sample(repeats: int) -> float:
            with self._around(found):
                return changed.sample(repeats)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return time_in_turn(
                self.calls.calling(self.code.subject.call).sample,
                sample,
                budget_s,
                lambda: self.report(f"trying {found[0].change}"),
                self.now,
            )

    def _around(self, found: Sequence[Remedy]) -> AbstractContextManager[Any]:
        stack = ExitStack()
        for each in found:
            if each.around is not None:
                stack.enter_context(each.around())
        return stack

    def _copy(self, found: Sequence[Remedy]) -> _Copy:
        """Compile what these remedies make together, run it once, and compare its results."""
        key = tuple(each.key for each in found) if len(found) > 1 else found[0].key
        if key not in self._copies:
            begin = self.now()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    self._copies[key] = self._made(found)
                except Unreached as error:
                    self._copies[key] = _Copy(None, Deviation(None), str(error), 0.0)
                except Exception as error:
                    reason = f"the changed copy fails: {type(error).__name__}: {message_lines(error)[0]}"
                    self._copies[key] = _Copy(None, Deviation(None), reason, 0.0)
            self._copies[key].taken_s = self.now() - begin
        return self._copies[key]

    def _made(self, found: Sequence[Remedy]) -> _Copy:
        shared = next((pair for each in found for pair in self._sharing(each)), None)
        if shared is not None:
            return _Copy(None, Deviation(None), f"{shared[0]} and {shared[1]} share memory", 0.0)
        before = self._results()
        changes = changes_of(found)
        function = changed_copy(self.code.subject, changes) if changes else self.code.subject.call
        maps = [each.arguments for each in found if each.arguments is not None]
        if maps:
            calls = self.calls.calling(function, lambda given: reduce(lambda known, made: made(known), maps, given))
            result = self.calls.run()
            given: tuple[Any, ...] = self.calls.arguments
            mapped: Any = reduce(lambda known, made: made(known), maps, given)
            before = self._snapshot(result, mapped, every=True)
        else:
            calls = self.calls.calling(function)
        with self._around(found):
            result = calls.run()
        if not self._steady:
            return _Copy(calls, Deviation(None), "", 0.0)
        between = deviation(before, self._snapshot(result, calls.arguments, every=bool(maps)))
        if all(each.exact for each in found) and any(each.rewrite for each in found) and between.relative:
            between = Deviation(between.relative, False)
        return _Copy(calls, between, "", 0.0)

    def _results(self) -> list[Any]:
        """Return what the original returns and writes; whether it does so again is found out at the first use."""
        if self._reference is None:
            self._reference = self._snapshot(self.calls.run(), self.calls.arguments)
            again = deviation(self._reference, self._snapshot(self.calls.run(), self.calls.arguments))
            self._steady = again.relative is not None and again.rounding
        return self._reference

    def _snapshot(self, result: Any, arguments: Sequence[Any], every: bool = False) -> list[Any]:
        returns = self.code.signature()[1]
        single = ("float32" in returns or "complex64" in returns) and not re.search("float64|complex128", returns)
        return snapshot(result, arguments, every, single)

    def _sharing(self, remedy: Remedy) -> Iterator[tuple[str, str]]:
        """Yield arguments that share memory where the rewrite needs them apart; known for the profiled function."""
        if remedy.rewrite is None or remedy.owner is not self.code.subject.function:
            return
        given = dict(zip(self.code.subject.parameters, self.calls.arguments, strict=False))
        for one, other in remedy.rewrite.apart:
            pair = given.get(one), given.get(other)
            if all(isinstance(each, np.ndarray) for each in pair) and np.may_share_memory(*pair):
                yield one, other

    # The best of several.

    def _best(self, number: int, case: Case) -> JsonObject:
        """Return the state of a hint by what was tried for it so far: that of the remedy that helps most."""
        chosen = self._chosen(case)
        if chosen is not None:
            return state(number, case, chosen[1], "", chosen[0].advice)
        reasons = [self._outcomes[each.key][1] for each in case.remedies if each.key in self._outcomes]
        reason = reasons[0] if reasons else why_not(case.hint)
        if reason == NO_TIME:
            enough = self.time_limit_s + self._needed_s / AFTER_COMPILING
            reason += f" of {self.time_limit_s:.3g} s; --time {max(1, round(enough / 5 + 0.5)) * 5} tries it"
        return state(number, case, None, reason)

    def _chosen(self, case: Case) -> tuple[Remedy, JsonObject] | None:
        """Return the remedy of a hint that helps most, with its trial, None where none was timed; of those that are
        about as fast, the one that changes least."""
        timed = [
            (each, trial)
            for each in case.remedies
            if (trial := self._outcomes.get(each.key, (None, ""))[0]) is not None
        ]
        if not timed:
            return None
        best = max(timed, key=lambda each: (helps(each[1]), each[1]["factor"]))
        if not helps(best[1]):
            return best
        near = [each for each in timed if helps(each[1]) and each[1]["factor"] * GAIN >= best[1]["factor"]]
        return min(near, key=lambda each: (each[1]["difference"] != 0, each[0].size, -each[1]["factor"]))

    def _combined(self, cases: Sequence[Case], ends: float) -> JsonObject | None:
        """Return the changes that help, combined where they combine and measured so; None where there are none.

        What does not help alone may help beside another: a sum is vectorised only once a call in its loop is gone.
        """
        timed = {
            each.key: (each, trial)
            for case in cases
            for each in case.remedies
            if (trial := self._outcomes.get(each.key, (None, ""))[0]) is not None and trial["alike"]
        }
        first = {best[0].key for case in cases if (best := self._chosen(case)) is not None}
        ordered = sorted(
            timed.values(), key=lambda each: (not helps(each[1]), each[0].key not in first, -each[1]["factor"])
        )
        if not ordered or not helps(ordered[0][1]):
            return None
        chosen, trial = [ordered[0][0]], ordered[0][1]
        for at, (remedy, alone) in enumerate(ordered[1:], 1):
            wider = _together(chosen, remedy)
            call_s = self.calls.second_s or self.calls.first_s
            if wider is None or ends - self.now() < self._compiling_s() + (2 * FEWEST + 3) * call_s:
                continue
            self.report("trying what helps, combined")
            outcome, _ = self._outcome(wider, self._copy(wider), ends, len(ordered) - at)
            # Kept where it adds something to what was chosen before, and is not slower than alone.
            wanted = max(trial["factor"] * GAIN, alone["factor"])
            if outcome is not None and helps(outcome) and outcome["factor"] > wanted:
                chosen, trial = wider, outcome
        return fix_of(chosen, trial)


def _together(chosen: Sequence[Remedy], other: Remedy) -> list[Remedy] | None:
    """Return remedies with one more, the rewrites of each function merged; None where they cannot be combined,
    or nothing changes by that: its options are among theirs."""
    if other.around is not None and any(each.around is not None for each in chosen):
        return None
    if other.arguments is not None and any(each.arguments is not None for each in chosen):
        return None
    rewrite = other.rewrite
    if rewrite is None and not (other.declared or other.arguments or other.around):
        before, after = (changes_of(each).get(other.owner) for each in (chosen, [*chosen, other]))
        if before is not None and after is not None and before.options == after.options:
            return None
    if rewrite is not None:
        for at, each in enumerate(chosen):
            if each.owner is other.owner and each.rewrite is not None:
                merged = combined_rewrites(each.owner, each.rewrite, rewrite)
                if merged is None:
                    return None
                options = {**each.options, **other.options}
                both = replace(
                    each,
                    change=f"{each.change} and {other.change}",
                    rewrite=merged,
                    options=options,
                    exact=each.exact and other.exact,
                    arguments=each.arguments or other.arguments,
                )
                return [*chosen[:at], both, *chosen[at + 1 :]]
    return [*chosen, other]


def helps(trial: JsonObject) -> bool:
    """Whether a trial shows a gain."""
    return is_gain(trial["factor"], trial["low"], trial["alike"])
