"""`jitnet profile MODULE:FUNCTION` on the screen: a function's time, threads and lines, and what to change."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from jitnet.bench.figures import duration, spread
from jitnet.profile.functions.function_rates import hardware_text, missing_text, rate_text
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.tried import measured
from jitnet.profile.paths import path_text
from jitnet.render.checks import checked, failed_checks
from jitnet.render.code import code_view
from jitnet.render.console import ACCENT, FAINT, GOOD, WARN, facts, say
from jitnet.render.tables import Cell, bar, table
from jitnet.render.time_shares import line_shares, percent, time_shares

if TYPE_CHECKING:
    from jitnet.profile.functions.function_profile import FunctionProfile
    from jitnet.profile.functions.hint_records import Hint

__all__ = ["function_hints", "function_profile"]

BAR = 24
SHORT = 60
"""Characters of a signature that is shown whole."""

SLEEPS = 0.5
"""Below this share of computing, a call is reported as waiting."""


def function_profile(
    console: Console, profile: "FunctionProfile", *, asm: bool = False, all_hints: bool = False
) -> None:
    """The whole profile of a function. asm: with the instructions of its innermost loops. all_hints: also those that do
    not help."""
    failed_checks(console, profile.checks)
    _heading(console, profile)
    if len(profile.counts) > 1:
        _counts(console, profile)
    if profile.thread_shares:
        _threads(console, profile)
    if len(profile.regions) > 1:
        _regions(console, profile)
    _functions(console, profile)
    time_shares(console, profile)
    if profile.lines is not None:
        console.print()
        console.print(Text("Lines", style="bold"))
        code_view(console, profile.lines, asm=asm, shares=line_shares(profile))
    _hints(console, profile, all_hints)
    for note in profile.notes:
        say(console, f"{note[:1].upper()}{note[1:]}.", FAINT)


def _heading(console: Console, profile: "FunctionProfile") -> None:
    best = profile.best
    calls = f"{best.calls:,} call{'s' * (best.calls != 1)}"
    time = f"{duration(best.median_s)} a call"
    if len(best.samples_s) > 1:
        time += f" ±{spread(best.samples_s):.0%}"
    time += f", median of {calls}" if best.calls > 1 else ", of one call"
    if len(profile.counts) > 1 or best.threads > 1:
        time += f" on {_many(best.threads, 'thread')}"
    pairs: list[tuple[str, str | Text]] = [
        ("function", f"{_name(profile)}, {', '.join([profile.kind.split(',')[0], *filter(None, [profile.options])])}"),
        ("in", f"{path_text(profile.place.file)}:{profile.place.line}"),
    ]
    if profile.arguments:
        for number, each in enumerate(profile.arguments):
            text = f"{each.name} {each.type}{_written(each.written)}"
            pairs.append(("called with" if number == 0 else "", text))
    if profile.returns:
        pairs.append(("returns", profile.returns))
    if profile.checks:
        pairs.append(("checked", checked(profile.checks)))
    pairs.append(("time", Text(time, style="bold")))
    if rate := rate_text(profile):
        pairs.append(("rate", rate))
    if missing := missing_text(profile):
        pairs.append(("" if rate else "rate", missing))
    if profile.cpu_share < SLEEPS:
        pairs.append(("waits", f"{1 - profile.cpu_share:.0%} of a call: it releases its core, asleep or waiting"))
    if profile.dispatch_s is not None:
        pairs.append(("calling it", f"{duration(profile.dispatch_s)} of that is the call from Python and the return"))
    compiled = "before: with its module, or loaded from Numba's cache"
    if profile.compile_s is not None:
        compiled = f"in {profile.compile_s:.2f} s"
    pairs.append(("compiled", f"{compiled}; its module loaded in {profile.import_s:.1f} s"))
    layer = {"omp": "OpenMP", "tbb": "TBB", "workqueue": "Numba's work queue"}.get(profile.threading_layer)
    threads = f", threads by {layer}" if layer else ""
    pairs.append(("with", f"Numba {profile.numba}, Python {profile.python}{threads}"))
    if profile.hardware is not None:
        counted = hardware_text(profile.hardware) or f"not read: {profile.hardware.reason}"
        pairs.append(("counters", f"of the processor: {counted}"))
    if profile.perf_map:
        pairs.append(("names for perf", profile.perf_map))
    facts(console, pairs)


def _counts(console: Console, profile: "FunctionProfile") -> None:
    first = profile.counts[0]
    rows: list[list[Cell]] = []
    for count in profile.counts:
        speed_up = first.median_s / count.median_s
        rows.append(
            [
                Text(str(count.threads), style=GOOD if profile.right and count is profile.best else ""),
                duration(count.median_s),
                f"±{spread(count.samples_s):.0%}" if len(count.samples_s) > 1 else None,
                count.calls,
                f"{speed_up:.2f}x",
                f"{speed_up * first.threads / count.threads:.0%}",
                bar(console, min(1.0, profile.best.median_s / count.median_s), BAR),
            ]
        )
    console.print()
    columns = ["threads", "a call", "±", "calls", "speed-up", "efficiency", "speed"]
    if not profile.right:
        columns, rows = columns[:4], [row[:4] for row in rows]
    table(
        console,
        columns,
        rows,
        title="Threads",
        spare=["speed", "calls", "±", "efficiency"],
        footnotes=[] if profile.right else ["Its results are wrong, so no speed-up is shown."],
    )


def _threads(console: Console, profile: "FunctionProfile") -> None:
    shares = profile.thread_shares
    longest = max(share.busy_s + share.waiting_s + share.starting_s + share.joining_s for share in shares) or 1.0
    rows: list[list[Cell]] = [
        [
            share.thread,
            duration(share.busy_s),
            duration(share.computing_s),
            duration(share.waiting_s),
            duration(share.starting_s),
            duration(share.joining_s),
            bar(console, share.busy_s / longest, BAR),
        ]
        for share in shares
    ]
    console.print()
    table(
        console,
        ["thread", "busy", "on a core", "waiting", "starting", "joining", "share"],
        rows,
        title=f"By thread, in a mean call on {_many(profile.threads, 'thread')}",
        spare=["share", "joining", "starting", "on a core"],
        footnotes=[
            "On a core: the part of that in which it ran. Waiting: for the slowest thread. "
            f"Outside its parallel loops a call spends {duration(profile.outside_s)}."
        ],
    )


def _regions(console: Console, profile: "FunctionProfile") -> None:
    rows: list[list[Cell]] = [
        [
            f"{path_text(region.place.file)}:{region.place.line}",
            f"{region.entries:.4g}",
            duration(region.region_s),
            duration(max(region.busy_s)),
            duration(region.starting_s),
            f"{region.uneven:.0%}",
        ]
        for region in profile.regions
    ]
    console.print()
    table(
        console,
        ["parallel loop", "entered", "once", "busiest", "starting", "uneven"],
        rows,
        title="Parallel loops",
        spare=["starting", "entered", "busiest"],
        footnotes=["Entered: times a call. Uneven: how much longer its busiest thread computes than the mean."],
    )


def _functions(console: Console, profile: "FunctionProfile") -> None:
    """The user's other functions that were compiled for it."""
    others = [each for each in profile.functions if each.place != profile.place]
    if not others:
        return
    rows: list[list[Cell]] = [
        [
            each.name,
            f"{path_text(each.place.file)}:{each.place.line}",
            duration(each.compile_s),
            _signatures(each.signatures),
        ]
        for each in others
    ]
    console.print()
    table(console, ["calls", "in", "compiled in", "for"], rows, spare=["for", "compiled in"])


def _signatures(signatures: tuple[str, ...]) -> str:
    """One signature where it is short; else how many there are, and of how many arguments."""
    if len(signatures) == 1 and len(signatures[0]) <= SHORT:
        return signatures[0]
    return f"{_many(len(signatures), 'signature')} of {_many(_arguments(signatures[0]), 'argument')}"


def _arguments(signature: str) -> int:
    """Return how many types a signature has: a type may have commas in its own brackets."""
    depth, found = 0, int(signature != "()")
    for each in signature:
        depth += (each in "([{") - (each in ")]}")
        found += each == "," and depth == 1
    return found - signature.endswith(",)")


def _hints(console: Console, profile: "FunctionProfile", every: bool) -> None:
    """The hints. every: also those that do not help."""
    shown = [hint for hint in profile.hints if every or hint.shown]
    console.print()
    if shown:
        console.print(Text(f"{_many(len(shown), 'hint')}", style="bold"))
    elif profile.hints:
        tried = sum(hint.trial is not None for hint in profile.hints)
        found = f"No hint: {_many(tried, 'change')} tried, none makes it faster" if tried else "No hint that matters"
        console.print(Text(found, style="bold"))
    else:
        searched = len(Kind) - len({kind for kind, _ in profile.unsearched})
        console.print(Text(f"No hint: none of {searched} kinds was found", style="bold"))
    for _, hints in groupby(shown, key=lambda hint: (hint.kind, hint.trial, hint.untried, hint.advice)):
        _kind(console, list(hints))
    _together(console, profile)
    hidden = len(profile.hints) - len(shown)
    if hidden:
        console.print()
        say(console, f"Left out: {_many(hidden, 'hint')} without effect on the time; --all-hints shows them.", FAINT)
    for kind, reason in profile.unsearched:
        say(console, f"Not checked: {RULES[Kind(kind)].title} ({reason}).", FAINT)


def _together(console: Console, profile: "FunctionProfile") -> None:
    """What helps, combined; and how to see the changed source."""
    fix = profile.fix
    if fix is None:
        return
    pairs: list[tuple[str, str | Text]] = []
    if len(fix.changes) > 1:
        pairs.append(("together", Text(_sentence(f"{measured(fix.trial)}: {', '.join(fix.changes)}"), style="bold")))
    if fix.diff:
        pairs.append(("source", "--fix prints it with the change, as a diff."))
    if pairs:
        console.print()
        facts(console, pairs)


def _kind(console: Console, hints: "list[Hint]") -> None:
    """Hints of one kind with one remedy: each with its place and reason, and once what to do and what that did."""
    first = hints[0]
    console.print()
    say(console, RULES[Kind(first.kind)].title, WARN)
    pairs: list[tuple[str, str | Text]] = []
    for hint in hints:
        pairs.append(("at", f"{path_text(hint.place.file)}:{hint.place.line}{_share(hint)}"))
        if hint.place.source:
            pairs.append(("", Text(hint.place.source, style=ACCENT)))
        pairs.append(("why", _sentence(hint.reason)))
    if first.trial is None or first.trial.helps:
        pairs.append(("do", Text(_sentence(first.advice), style=GOOD)))
    if first.trial is not None:
        style = "bold" if first.trial.helps else ""
        pairs.append(("measured", Text(measured(first.trial), style=style)))
        pairs.append(("changed", first.trial.change))
    elif first.untried:
        pairs.append(("not tried", first.untried))
    facts(console, pairs, indent=2)


def _share(hint: "Hint") -> str:
    if hint.share is None:
        return ""
    return f", {percent(hint.share)} of the time" if hint.share else ", no sample fell on it"


def function_hints(console: Console, hints: "Sequence[Hint]") -> None:
    """Hints by their kinds: each with its place and reason, and what to do."""
    for _, alike in groupby(hints, key=lambda hint: (hint.kind, hint.trial, hint.untried, hint.advice)):
        _kind(console, list(alike))


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _name(profile: "FunctionProfile") -> str:
    return f"{profile.target.rpartition(':')[2]}({', '.join(each.name for each in profile.arguments)})"


def _written(how: str) -> str:
    return {"again": ", written", "restored": ", written and restored"}.get(how, "")


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
