"""Hints with what their remedies did: which are worth reading, and in which order."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.hint_records import WRONG, Fix, Hint, Trial
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place

__all__ = ["add_hint", "as_sent", "fix_text", "in_order", "measured", "no_fix", "obstacle", "read_fix", "with_state"]


def in_order(hints: Iterable[Hint]) -> tuple[Hint, ...]:
    """Sort: what makes results wrong; what helps, by its gain; what was not tried, by its share of the time, the most
    serious kinds first as in `Kind`; what does not help; and within each by line."""
    hints = list(hints)
    kinds = [kind.value for kind in Kind]
    # A call of the mathematical library that such a change removes is the same finding.
    removed = {
        hint.place
        for hint in hints
        if hint.kind in (Kind.POWER.value, Kind.MAGNITUDE.value) and hint.trial is not None and hint.trial.helps
    }
    hints = [hint for hint in hints if hint.kind != Kind.CALL.value or hint.trial or hint.place not in removed]

    def key(hint: Hint) -> tuple[Any, ...]:
        group = 0 if hint.kind in WRONG else 2 if hint.trial is None else 1 if hint.trial.helps else 3
        gain = hint.trial.factor if hint.trial is not None and group in (1, 3) else 0.0
        place = hint.place
        return group, not hint.shown, -gain, kinds.index(hint.kind), -(hint.share or 0.0), place.file, place.line

    return tuple(sorted(hints, key=key))


def obstacle(profile: FunctionProfile) -> str:
    """Return why no remedy may be tried: a result is not right, so that neither a speed nor a comparison means
    anything. "" where they may be."""
    failed = next((check.name for check in profile.checks if check.verdict == "failed"), "")
    if failed:
        return f"its results are not right: {failed}"
    if any(hint.kind == Kind.RACE.value and hint.source == "a run in Python" for hint in profile.hints):
        return "its results are not right while threads write one element"
    return ""


def as_sent(hints: Sequence[Hint]) -> list[dict[str, Any]]:
    """Return hints as the worker process takes them."""
    return [
        {"kind": hint.kind, "place": {"file": hint.place.file, "line": hint.place.line}, "share": hint.share}
        for hint in hints
    ]


def with_state(hints: list[Hint], state: dict[str, Any]) -> None:
    """Put what a trial found into a list of hints, which becomes longer where the hint was found by trying."""
    number, found = state["number"], state.get("hint")
    if number is None:
        if found is None:
            return  # a hint only where it helps
        place = Place(**found["place"])
        number = _found(hints, found["kind"], place)
        if number == len(hints):
            advice = found["advice"] or RULES[Kind(found["kind"])].advice
            hints.append(Hint(found["kind"], place, found["reason"], advice, found["source"], found["share"]))
    trial = hints[number].trial if state["trial"] is None else Trial(**state["trial"])
    advice = state["advice"] if trial is not None and state["advice"] else hints[number].advice
    hints[number] = replace(hints[number], trial=trial, untried=state["untried"], advice=advice)


def _found(hints: Sequence[Hint], kind: str, place: Place) -> int:
    """Return the number of the hint of this kind at this line; the length of the list where there is none."""
    same = [at for at, hint in enumerate(hints) if (hint.kind, hint.place) == (kind, place)]
    return same[0] if same else len(hints)


def add_hint(hints: list[Hint], hint: Hint) -> None:
    """Add a hint of the machine code to a list. Where that has one of its kind at its line, which was found in the
    types, that becomes this one, and keeps what was tried for it."""
    number = _found(hints, hint.kind, hint.place)
    if number == len(hints):
        hints.append(hint)
        return
    known = hints[number]
    advice = known.advice if known.trial is not None and known.trial.helps else hint.advice
    hints[number] = replace(hint, advice=advice, trial=known.trial, untried=known.untried)


def read_fix(found: dict[str, Any]) -> Fix:
    """Return what helps, combined, as the worker process sent it."""
    return Fix(tuple(found["changes"]), Trial(**found["trial"]), found["diff"], tuple(found["remarks"]))


def measured(trial: Trial) -> str:
    """Return what a trial found, as text: "3.0 × faster (2.9 to 3.1), results equal"."""
    faster = f"{_times(trial.factor)} × faster"
    low, high = trial.low, trial.high
    if trial.alike and not trial.helps and trial.high > 1:
        faster = f"no faster, {trial.factor:.2f} ×"
    elif trial.factor < 1:
        faster = f"{_times(1 / trial.factor)} × slower"
        low, high = 1 / trial.high, 1 / trial.low
    return f"{faster} ({_times(low)} to {_times(high)}), {_results(trial)}"


def _times(factor: float) -> str:
    return f"{factor:.2f}" if factor < 9.95 else f"{factor:.0f}"


def _results(trial: Trial) -> str:
    if trial.difference is None:
        return "results not comparable"
    if trial.difference == 0.0:
        return "results equal"
    if not trial.alike:
        return f"but other results: they differ by {trial.difference:.1e} of the largest value"
    return f"results differ by {trial.difference:.1e} of the largest value at most"


def fix_text(profile: FunctionProfile) -> str:
    """Return what `--fix` prints: what was measured, what to do elsewhere, and the diff."""
    fix = profile.fix
    if fix is None:
        return ""
    lines = [f"# {profile.target}: {', '.join(fix.changes)}", f"# measured: {measured(fix.trial)}"]
    lines += [f"# not in the diff: {remark}" for remark in fix.remarks]
    return "\n".join(lines) + "\n" + fix.diff


def no_fix(profile: FunctionProfile) -> str:
    """Return why `--fix` has nothing to print."""
    tried = sum(hint.trial is not None for hint in profile.hints)
    reasons = list(dict.fromkeys(hint.untried for hint in profile.hints if hint.untried))
    found = f"{tried} change{'s were' if tried != 1 else ' was'} tried, and none makes it faster" if tried else ""
    return "; ".join(filter(None, [found, *reasons])) or "no change was found that could make it faster"
