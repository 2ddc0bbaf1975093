"""Hints and what can be tried for each: hints that are known, and those that a change may turn out to be."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from jitnet.profile.functions.hint_shares import HintShares
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.diagnostics import JsonObject, place
from jitnet.profile.functions.worker.remedies import Remedy, remedies, rewritten
from jitnet.profile.functions.worker.rewrites import Rewrite, rewrites

__all__ = ["Case", "Cases", "in_order", "state"]

UNKNOWN_SHARE = 0.5
"""Where the share of a line's time is not known, its order among the others is as if it were this."""


@dataclass
class Case:
    """A hint and what can be tried for it. is_new: whether it was found here. speculative: whether it is a hint only
    where the remedy helps."""

    hint: JsonObject
    remedies: list[Remedy]
    is_new: bool = False
    speculative: bool = False


class Cases:
    """What can be tried for the hints of a function.

    Read as it is made, since what is read later of changed copies has the same functions. shares: of the time, for
    hints that are found here; None where they are not known. flushing: as in `remedies`.
    """

    def __init__(
        self,
        code: Compiled,
        shares: HintShares | None,
        flushing: Callable[[], AbstractContextManager[Any]] | None,
    ) -> None:
        self.code, self.shares, self.flushing = code, shares, flushing
        reachable = code.reachable()
        self.reachable = [summary for summary, _ in reachable]
        self.looped = {id(summary) for summary, looped in reachable if looped}
        self.rewrites = list(self._find_rewrites())

    def of(self, hints: Sequence[JsonObject]) -> list[Case]:
        """Return the hints with their remedies, and those that a rewrite or an option may turn out to be."""
        cases = [Case(hint, self._remedies(hint)) for hint in hints]
        known = {(hint["kind"], hint["place"]["file"], hint["place"]["line"]) for hint in hints}
        for function, rewrite in self.rewrites:
            file = function.__code__.co_filename
            if (rewrite.kind.value, file, rewrite.line) not in known:
                known.add((rewrite.kind.value, file, rewrite.line))
                found = RULES[rewrite.kind].found
                hint = self._hint(rewrite.kind, file, rewrite.line, rewrite.reason, rewrite.advice, found)
                cases.append(Case(hint, self._remedies(hint) or [rewritten(function, rewrite)], is_new=True))
        for summary in self.reachable:
            tested = summary.tested_divisors.items()
            lines = [line for line, inside in tested if inside or id(summary) in self.looped]
            is_known = any((Kind.DIVISION.value, summary.file, line) in known for line in lines)
            if lines and not is_known and summary.error_model == "python":
                hint = self._hint(Kind.DIVISION, summary.file, min(lines), "it tests for a divisor of 0", "", "types")
                cases.append(Case(hint, self._remedies(hint), is_new=True, speculative=True))
        return cases

    def _hint(self, kind: Kind, file: str, line: int, reason: str, advice: str, source: str) -> JsonObject:
        return {
            "kind": kind.value,
            "place": place(file, line),
            "reason": reason,
            "advice": advice or RULES[kind].advice,
            "source": source,
            "share": None if self.shares is None else self.shares.share(kind.value, file, line),
        }

    def _remedies(self, hint: JsonObject) -> list[Remedy]:
        return remedies(hint, self.code, self.reachable, self.rewrites, self.flushing)

    def _find_rewrites(self) -> Iterator[tuple[Any, Rewrite]]:
        seen = set()
        for summary in self.reachable:
            if summary.function in seen:
                continue
            seen.add(summary.function)
            try:
                found = rewrites(summary.function, summary.arguments, self.code.summaries)
            except Exception:  # a reader that fails costs its hints, never the profile
                continue
            for each in found:
                yield summary.function, each


def state(number: int, case: Case, trial: JsonObject | None, untried: str, advice: str = "") -> JsonObject:
    """Return the state of a case, as `Trials.run` yields it. number: of its hint in the list that was passed."""
    found: JsonObject = {"number": number, "trial": trial, "untried": untried, "advice": advice}
    if case.is_new:
        found["number"] = None
        if not case.speculative or trial is not None:
            found["hint"] = case.hint
    return found


def in_order(cases: Sequence[Case]) -> list[Remedy]:
    """Return what to try, each change once: the first remedy of each hint before the second of any, those of lines that
    take most of the time first."""
    found = [
        (case.speculative, rank, -(UNKNOWN_SHARE if case.hint["share"] is None else case.hint["share"]), at, remedy)
        for at, case in enumerate(cases)
        for rank, remedy in enumerate(case.remedies)
    ]
    unique: dict[Any, Remedy] = {}
    for *_, remedy in sorted(found, key=lambda each: each[:4]):
        unique.setdefault(remedy.key, remedy)
    return list(unique.values())
