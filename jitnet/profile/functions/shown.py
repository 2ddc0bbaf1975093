"""A function's profile, or a comparison, as Python shows it: some lines of text, and in a notebook a page."""

import html
from dataclasses import fields
from statistics import median

from jitnet.bench.figures import duration, spread, threads_text
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.page import page
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.tried import measured
from jitnet.profile.functions.two_functions import FunctionComparison

__all__ = ["ShownComparison", "ShownProfile", "as_shown", "comparison_as_shown"]

MOST_HINTS = 5
"""Hints that the text has; the page has all."""

HEIGHT = "36em"
"""Of the page in a notebook; its corner can be dragged."""


class ShownProfile(FunctionProfile):
    """A `FunctionProfile` that is shown as text, or in a notebook as the page that `jitnet profile --html` writes."""

    def __repr__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        # In a frame, since the page has styles for a whole document, which would change the notebook's.
        return (
            f'<iframe sandbox srcdoc="{html.escape(page(self))}" title="{html.escape(self.target)}" '
            f'style="width: 100%; height: {HEIGHT}; border: 0; resize: vertical; background: white"></iframe>'
        )


def as_shown(profile: FunctionProfile) -> ShownProfile:
    """Return the same record, to be shown."""
    return ShownProfile(**{field.name: getattr(profile, field.name) for field in fields(FunctionProfile)})


class ShownComparison(FunctionComparison):
    """A `FunctionComparison` that is shown as text."""

    def __repr__(self) -> str:
        lines = []
        for pair in self.pairs:
            found = f"{self.after.label} is {pair.factor.value:.2f} × as fast as {self.before.label}"
            if pair.verdict == "same":
                found = f"no difference could be measured between {self.before.label} and {self.after.label}"
            lines.append(
                f"{found} on {threads_text(pair.threads)} ({pair.factor.low:.2f} to {pair.factor.high:.2f}): "
                f"{duration(median(pair.after_s))} against {duration(median(pair.before_s))} a call"
            )
        results = self.results
        where = f" in {results.where}" if results.where else ""
        why = f": {results.reason}" if results.reason else ""
        share = f" by {results.difference:.2g} of the largest value" if results.difference else ""
        return "\n".join([*lines, f"results: {results.verdict}{where}{share}{why}"])


def comparison_as_shown(found: FunctionComparison) -> ShownComparison:
    """Return the same record, to be shown."""
    return ShownComparison(**{field.name: getattr(found, field.name) for field in fields(FunctionComparison)})


def _lines(profile: FunctionProfile) -> list[str]:
    name = profile.target.rpartition(":")[2]
    place = f"{profile.place.file}:{profile.place.line}"
    lines = [f"{name}({', '.join(f'{each.name}: {each.type}' for each in profile.arguments)}), {place}", _time(profile)]
    lines += [f"wrong: {each.name}: {each.reason}" for each in profile.checks if each.verdict == "failed"]
    lines += _most(profile)
    hints = [hint for hint in profile.hints if hint.shown]
    lines += [_hint(profile, hint) for hint in hints[:MOST_HINTS]]
    left = len(hints) - MOST_HINTS
    if left > 0:
        lines.append(f"and {left} more hint{'s' * (left > 1)}")
    if profile.fix is not None and len(profile.fix.changes) > 1:
        lines.append(f"together: {measured(profile.fix.trial)}: {', '.join(profile.fix.changes)}")
    if not hints:
        lines.append("no hint" if not profile.hints else "no hint that helps")
    return lines + [f"note: {note}" for note in profile.notes]


def _most(profile: FunctionProfile) -> list[str]:
    """What takes the largest share of a call: a line, or what is no line of the source."""
    shares = []
    if profile.sampling is not None:
        for line in profile.sampling.lines:
            source = f": {line.place.source}" if line.place.source else ""
            shares.append((line.share, f" in {_at(profile, line.place)}{source}"))
        shares += [(rest.share, f": {rest.name}") for rest in profile.sampling.rest]
    share, what = max(shares, default=(0.0, ""))
    return [f"{share:.0%} of it{what}"] if share > 0 else []


def _time(profile: FunctionProfile) -> str:
    best = profile.best
    text = f"{duration(best.median_s)} a call"
    if len(best.samples_s) > 1:
        text += f" ±{spread(best.samples_s):.0%}, median of {best.calls:,} calls"
    if len(profile.counts) > 1 or best.threads > 1:
        text += f" on {threads_text(best.threads)}"
    compiled = "" if profile.compile_s is None else f"; compiled in {profile.compile_s:.2f} s"
    return f"{text}{compiled}"


def _at(profile: FunctionProfile, place: Place) -> str:
    """Return a line by its number; one that is not in the function's file, or cell of a notebook, with its own."""
    return f"line {place.line}" if place.file == profile.place.file else f"{place.file}:{place.line}"


def _hint(profile: FunctionProfile, hint: Hint) -> str:
    gain = f" (measured: {measured(hint.trial)})" if hint.trial is not None else ""
    return f"{_at(profile, hint.place)}: {RULES[Kind(hint.kind)].title}{gain}: {hint.reason}"
