"""`jitnet profile --compare` and `--watch` on the screen: two functions side by side, and one beside its last save."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.style import Style
from rich.text import Text

from jitnet.bench.figures import duration, spread, threads_text
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.paths import path_text
from jitnet.render.checks import failed_checks
from jitnet.render.code import verdict as fate
from jitnet.render.console import BAD, FAINT, GOOD, WARN, facts, say
from jitnet.render.factors import STYLES, between, sentence, times
from jitnet.render.functions import function_hints
from jitnet.render.tables import Cell, table

if TYPE_CHECKING:
    from jitnet.profile.code.code_view import Loop
    from jitnet.profile.functions.hint_records import Hint
    from jitnet.profile.functions.two_functions import Agreement, FunctionComparison, Side
    from jitnet.profile.functions.watching import Saved

__all__ = ["function_comparison", "saved_files", "watched", "watching_files"]

MOST_NAMES = 6
"""Files that are named; of more, how many there are."""

SURE = 0.01
"""Chance of error above which a range says how few pairs it rests on."""


def function_comparison(console: Console, found: "FunctionComparison") -> None:
    """Both functions, whether their results agree, and which is faster on each count of threads."""
    pairs: list[tuple[str, str | Text]] = []
    for which, side in (("first", found.before), ("second", found.after)):
        pairs.append((which, Text(_described(side), style="bold")))
        pairs.append(("", f"{path_text(side.place.file)}:{side.place.line}"))
    for number, each in enumerate(found.arguments):
        restored = ", written, and restored between both" if each.written else ""
        pairs.append(("called with" if number == 0 else "", f"{each.name} {each.type}{restored}"))
    style, text = _results(found.results)
    pairs.append(("results", Text(text, style=style)))
    for pair in found.pairs:
        name = {"faster": f"{found.after.label} is ", "slower": f"{found.after.label} is "}.get(pair.verdict, "")
        count = f", on {threads_text(pair.threads)}" if len(found.pairs) > 1 else ""
        label = "speed" if pair is found.pairs[0] else ""
        # Fast and wrong is not good: no colour then.
        style = FAINT if found.results.verdict == "differ" else STYLES[pair.verdict]
        pairs.append((label, Text(f"{name}{sentence(pair.factor, pair.verdict)}{count}", style=style)))
    facts(console, pairs)
    console.print()
    rows: list[list[Cell]] = [
        [
            pair.threads,
            duration(median(pair.before_s)),
            f"±{spread(pair.before_s):.0%}",
            duration(median(pair.after_s)),
            f"±{spread(pair.after_s):.0%}",
            times(pair.factor.value),
            between(pair.factor),
            pair.factor.samples,
        ]
        for pair in found.pairs
    ]
    few = [pair.factor for pair in found.pairs if pair.factor.doubt > SURE]
    notes = [
        "As fast: how many times as fast the second is, the median over pairs of neighbouring samples. Range: that of "
        f"this median, with a probability of {1 - SURE:.0%}" + (" where there are 8 pairs or more." if few else ".")
    ]
    table(
        console,
        ["threads", "first", "±", "second", "±", "as fast", "range", "pairs"],
        rows,
        title="In turn, on the same data",
        spare=["pairs", "±"],
        footnotes=notes,
    )
    for note in found.notes:
        say(console, f"{note[:1].upper()}{note[1:]}.", FAINT)


def _described(side: "Side") -> str:
    return f"{side.label}, {', '.join([side.kind, *filter(None, [side.options])])}"


def _results(found: "Agreement") -> tuple[Style | str, str]:
    where = f" (in {found.where})" if found.where and found.where != "result" else ""
    reason = f"; {found.reason}" if found.reason else ""
    if found.verdict == "equal":
        return GOOD, f"equal, to the last bit{reason}"
    if found.verdict == "unknown":
        return WARN, f"could not be compared: {found.reason}{where}"
    size = "" if found.difference is None else f"the largest difference is {found.difference:.1g} of the largest value"
    if found.verdict == "rounding":
        return "", f"equal but for rounding: {size}{where}{reason}"
    return BAD, f"differ by more than rounding: {size or found.reason}{where}{reason if size else ''}"


def watched(console: Console, saved: "Saved") -> None:
    """What a save changed: results that are wrong, the time on each count of threads, the loops, and the hints."""
    from jitnet.profile.document import THRESHOLD  # here, since it loads Numba

    failed_checks(console, saved.checks)
    right = not any(check.verdict == "failed" for check in saved.checks)
    pairs: list[tuple[str, str | Text]] = []
    for number, row in enumerate(saved.rows):
        other = row.threads != row.before_threads
        count = f" on {threads_text(row.threads)}" if len(saved.rows) > 1 or other else ""
        before = f"{duration(row.before_s)} before" + (f" on {threads_text(row.before_threads)}" if other else "")
        text = f"{duration(row.after_s)} a call{count}, {before}"
        if right:
            text += f": {sentence(row.factor, row.verdict, THRESHOLD)}"
        pairs.append(("time" if number == 0 else "", Text(text, style=STYLES[row.verdict] if right else "")))
    for number, text in enumerate(saved.settings):
        pairs.append(("changed" if number == 0 else "", text))
    for number, (was, now) in enumerate(saved.loops):
        pairs.append(("loops" if number == 0 else "", _loop(was, now)))
    for number, hint in enumerate(saved.gone):
        pairs.append(("hints gone" if number == 0 else "", Text(f"{_title(hint)}: {hint.reason}", style=GOOD)))
    if saved.kept:
        pairs.append(("hints left", ", ".join(f"{_title(hint)} (line {hint.place.line})" for hint in saved.kept)))
    elif not saved.new:
        pairs.append(("hints", "none"))
    facts(console, pairs)
    if saved.new:
        console.print()
        say(console, f"{len(saved.new)} new hint{'s' * (len(saved.new) != 1)}", "bold")
        function_hints(console, saved.new)


def _title(hint: "Hint") -> str:
    return RULES[Kind(hint.kind)].title


def watching_files(console: Console, files: "Sequence[Path]") -> None:
    """A line that names the files that are watched, and how it ends."""
    names = [path_text(str(path)) for path in files]
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    console.print()
    say(console, f"Watching {listed}: profiled again at each save, until Ctrl-C.", FAINT)


def saved_files(console: Console, files: "Sequence[Path]") -> None:
    """A heading for what follows a save: when, and of which files."""
    names = ", ".join(path_text(str(path)) for path in files)
    console.print()
    say(console, f"{datetime.now():%H:%M:%S} {names} saved", "bold")


def _loop(before: "Loop | None", after: "Loop | None") -> str:
    if after is None:
        return f"the loop that was in line {before.line} is gone" if before is not None else ""
    now = f"line {after.line}: {fate(after)}"
    return f"{now}; before: {fate(before)}" if before is not None else f"{now}; new"
