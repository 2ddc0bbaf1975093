"""A function's profile as one page for a browser, without scripts and without the network."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from itertools import compress

from jitnet.bench.figures import duration, spread, threads_text, three_digits
from jitnet.profile.functions.count_records import Hardware
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.function_rates import missing_text, rate_text
from jitnet.profile.functions.function_roofline import loop_name, timed_count
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.page_roofline import letters, roofline_svg
from jitnet.profile.functions.page_source import (
    VISIBLE,
    diff_html,
    hint_html,
    is_shown,
    line_name,
    percent,
    source_html,
    sources_of,
)
from jitnet.profile.functions.page_style import STYLE
from jitnet.profile.functions.tried import measured
from jitnet.profile.paths import path_text
from jitnet.profile.roofline import Roofline

__all__ = ["page"]


IMPOSSIBLE = "* Above 100% is impossible: a count, a time or a roof is wrong. Other programs may have been running."

TAG = re.compile(r"<[^>]*>")


def page(profile: FunctionProfile, roofline: Roofline | None = None) -> str:
    """Return the whole HTML document. roofline: the function's, None to leave it out."""
    name = escape(_call(profile))
    parts = [
        f"<h1>{name}</h1>",
        _facts(profile),
        _wrong(profile),
        _hints(profile),
        _loops(profile, roofline),
        *_sources(profile),
        _roofline(roofline),
        _threads(profile),
        _checks(profile),
        _hardware(profile.hardware),
        _notes(profile),
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{chr(10).join(filter(None, parts))}\n</body>\n</html>"
    )


def _call(profile: FunctionProfile) -> str:
    return f"{profile.target.rpartition(':')[2]}({', '.join(each.name for each in profile.arguments)})"


def _facts(profile: FunctionProfile) -> str:
    best = profile.best
    time = f"{duration(best.median_s)} a call"
    time += f" ±{spread(best.samples_s):.0%}" if len(best.samples_s) > 1 else ""
    time += f", median of {best.calls:,} calls" if best.calls > 1 else ", of one call"
    time += f", on {threads_text(best.threads)}"
    written = {"again": ", written", "restored": ", written and restored"}
    pairs = [("in", f"{path_text(profile.place.file)}:{profile.place.line}")]
    pairs.append(("compiled as", ", ".join(filter(None, [profile.kind.split(",")[0], profile.options]))))
    for number, each in enumerate(profile.arguments):
        pairs.append(("" if number else "called with", f"{each.name} {each.type}{written.get(each.written, '')}"))
    if profile.returns:
        pairs.append(("returns", profile.returns))
    pairs.append(("time", time))
    if rate := rate_text(profile):
        pairs.append(("rate", rate))
    if profile.compile_s is not None:
        pairs.append(("compiled", f"in {profile.compile_s:.2f} s"))
    pairs.append(("with", f"Numba {profile.numba}, Python {profile.python}"))
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in pairs)}</dl>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], text: Iterable[int] = (0,)) -> str:
    """A table, without the columns that are empty in all rows. rows: cells of HTML, or whole `<td>`. text: the columns
    that are read as text."""
    rows = list(rows)
    filled = [any(TAG.sub("", cell) for cell in column) for column in zip(*rows, strict=True)]
    heads = list(compress(heads, filled))
    rows = [list(compress(row, filled)) for row in rows]
    left = {new for new, old in enumerate(compress(range(len(filled)), filled)) if old in set(text)}
    kinds = [' class="text"' if place in left else "" for place in range(len(heads))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            cell if cell.startswith("<td") else f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _share(share: float | None) -> str:
    if share is None:
        return ""
    return f'<td class="bar" style="--share: {100 * max(0.0, min(1.0, share)):.1f}%">{percent(share)}</td>'


def _link(file: str, line: int, text: str) -> str:
    return f'<a href="#{line_name(file, line)}">{escape(text)}</a>'


def _wrong(profile: FunctionProfile) -> str:
    failed = [check for check in profile.checks if check.verdict == "failed"]
    if not failed:
        return ""
    rows = "".join(f"<li><b>{escape(check.name)}</b>: {escape(check.reason)}</li>" for check in failed)
    return f'<div class="warning"><b class="wrong">The results differ</b><ul>{rows}</ul></div>'


def _hints(profile: FunctionProfile) -> str:
    """A row for each hint, which is written out where its line is."""
    if not profile.hints:
        searched = len(Kind) - len({kind for kind, _ in profile.unsearched})
        return _section("Hints", f"<p>None of {searched} kinds was found.</p>")
    useful = [hint for hint in profile.hints if hint.shown]
    useless = [hint for hint in profile.hints if not hint.shown]
    heads, shown = ["line", "found", "share", "measured"], sources_of(profile)
    tried = any(hint.trial is not None for hint in profile.hints)
    nothing = f"<p>{'No change that was tried makes it faster' if tried else 'No hint matters'}.</p>"
    parts = [_table(heads, map(_hint, useful), (1, 3)) if useful else nothing, _together(profile)]
    parts += [hint_html(hint) for hint in useful if not is_shown(hint.place, shown)]
    if useless:
        title = f"Without effect on the time: {len(useless)}"
        parts.append(f"<details><summary>{title}</summary>{_table(heads, map(_hint, useless), (1, 3))}</details>")
    return _section("Hints", "".join(parts))


def _together(profile: FunctionProfile) -> str:
    """What helps, combined, as a diff; one change alone where its hint has no diff."""
    fix = profile.fix
    diffs = [hint.trial.diff for hint in profile.hints if hint.trial is not None]
    if fix is None or (len(fix.changes) == 1 and fix.diff in diffs):
        return ""
    name = "together" if len(fix.changes) > 1 else "the change"
    gain = f'<span class="gain">measured: {escape(measured(fix.trial))}</span>, with {escape(", ".join(fix.changes))}'
    remarks = "".join(f"<br>Not in the source: {escape(remark)}." for remark in fix.remarks)
    return f'<div class="hint"><b>{name}</b>: {gain}{remarks}{diff_html(fix.diff)}</div>'


def _hint(hint: Hint) -> list[str]:
    tried = measured(hint.trial) if hint.trial is not None else hint.untried and f"not tried: {hint.untried}"
    line = _link(hint.place.file, hint.place.line, str(hint.place.line))
    cell = f'<td class="text wide">{escape(tried)}</td>'
    return [line, escape(RULES[Kind(hint.kind)].title), _share(hint.share), cell]


def _loops(profile: FunctionProfile, roofline: Roofline | None) -> str:
    """Each loop and callee with its share and its work; then the lines outside loops, and the rest."""
    sampling, timed = profile.sampling, timed_count(profile)
    seconds = timed.median_s
    counted = {
        (loop.place.file, loop.place.line): loop
        for loop in (profile.counted.loops if profile.counted is not None else ())
    }
    roofs = {point.name: point for point in (roofline.points if roofline is not None else ())}
    rows: list[list[str]] = []

    def work(flop: float | None, size: float | None, taken: float | None, name: str) -> list[str]:
        point = roofs.get(name)
        return [
            "" if flop is None else _amount(flop),
            "" if size is None else _amount(size),
            f"{flop / taken / 1e9:.3g}" if flop and taken else "",
            f"{size / taken / 1e9:.3g}" if size and taken else "",
            f"{point.share:.0%}{'*' * point.impossible}" if point else "",
            escape(point.binds) if point else "",
        ]

    if sampling is None:
        for (file, line), loop in counted.items():
            label = f"{_link(file, line, f'line {line}')} <code>{escape(loop.place.source)}</code>"
            rows.append([label, "", "", "", *work(loop.flop, loop.bytes, None, "")])
    else:
        rows_of = Counter((time.place.file, time.place.line) for time in sampling.loops)
        for time in sampling.loops:
            key = (time.place.file, time.place.line)
            # What a loop does is known for all calls of its function together.
            found = counted.get(key) if time.kind == "loop" and rows_of[key] == 1 else None
            what = f"line {time.place.line}" if time.kind == "loop" else time.name
            indent = "&emsp;" * (2 * time.depth)
            label = f"{indent}{_link(*key, what)} <code>{escape(time.place.source)}</code>"
            taken = seconds * time.share
            figures = work(found.flop, found.bytes, taken, loop_name(profile, time.place)) if found else [""] * 6
            rows.append([label, _share(time.share), percent(time.own), duration(taken), *figures])
        other = 1.0 - sum(loop.share for loop in sampling.loops if loop.depth == 0)
        other -= sum(rest.share for rest in sampling.rest)
        others = [("lines outside these", max(0.0, other)), *((rest.name, rest.share) for rest in sampling.rest)]
        rows += [
            [escape(what), _share(share), "", duration(seconds * share), *[""] * 6]
            for what, share in others
            if share >= VISIBLE
        ]
    whole = work(profile.flop, profile.bytes, seconds, profile.target.rpartition(":")[2])
    rows.append(["<b>a call</b>", "<td></td>", "", duration(seconds), *whole])
    heads = ["where", "share", "without inner", "time", "FLOP", "bytes", "GFLOP/s", "GB/s", "of its roof", "bound by"]
    title = f"Where the time goes, on {threads_text(timed.threads)}"
    return _section(title, _table(heads, rows, (0, 9)) + _sampled(profile))


def _amount(amount: float) -> str:
    """Return a count with about three digits and a suffix for thousands: "12.0 M"."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if amount >= size:
            return f"{three_digits(amount / (1e3 if unit == 'k' else size))} {unit}"
    return f"{amount:,.0f}"


def _sampled(profile: FunctionProfile) -> str:
    sentences = []
    if profile.sampling is not None:
        sampling = profile.sampling
        sentences.append(f"By {sampling.samples:,} samples, which made a call {sampling.cost:.0%} longer.")
        if not sampling.same_code:
            sentences.append("The sampled copy has slightly different machine code.")
    counted = profile.counted
    if counted is not None and (counted.flop is not None or counted.bytes is not None):
        sentences.append("FLOP and bytes were counted by running it; a loop has those of all its iterations.")
    if missing := missing_text(profile):
        sentences.append(f"{missing[:1].upper()}{missing[1:]}.")
    return f'<p class="faint">{escape(" ".join(sentences))}</p>' if sentences else ""


def _sources(profile: FunctionProfile) -> list[str]:
    found = []
    for source in sources_of(profile):
        what = f"{source.function}, {path_text(source.file)}:{source.first_line}"
        found.append(_section(what, source_html(profile, source)))
    if found:
        heat = "The first column is a line's share of a call's time. " if profile.sampling is not None else ""
        asm = "A line with ▸ opens to its instructions." if profile.lines is not None else ""
        found.insert(0, f'<p class="faint">{heat}{asm}</p>')
    return found


def _roofline(found: Roofline | None) -> str:
    if found is None:
        return ""
    if not found.points:
        return _section("Roofline", '<p class="faint">No FLOP or bytes are known, so there is no point to draw.</p>')
    rows = [
        [
            letter,
            escape(point.name),
            f"{point.intensity:.2f}",
            f"{point.gflops:,.1f}",
            f"{point.share:.0%}{'*' * point.impossible}",
            escape(point.binds),
        ]
        for letter, point in zip(letters(found.points), found.points, strict=True)
    ]
    table = _table(["", "", "FLOP/B", "GFLOP/s", "of its roof", "bound by"], rows, (0, 1, 5))
    if any(point.impossible for point in found.points):
        table += f'<p class="faint">{IMPOSSIBLE}</p>'
    left = f'<p class="faint">Without a point: {escape(", ".join(found.left_out))}.</p>' if found.left_out else ""
    caption = f"<figcaption>{escape('; '.join([found.title, *found.subtitle]))}</figcaption>"
    return _section("Roofline", f"<figure>{roofline_svg(found)}{caption}</figure>{table}{left}")


def _threads(profile: FunctionProfile) -> str:
    parts = []
    if len(profile.counts) > 1:
        first = profile.counts[0]
        rows = [
            [
                str(count.threads),
                duration(count.median_s),
                f"±{spread(count.samples_s):.0%}" if len(count.samples_s) > 1 else "",
                f"{first.median_s / count.median_s:.2f}",
                _share(min(1.0, profile.best.median_s / count.median_s)),
            ]
            for count in profile.counts
        ]
        parts.append(_table(["threads", "a call", "±", "speed-up", "speed"], rows, ()))
    if profile.thread_shares:
        rows = [
            [
                str(each.thread),
                *map(duration, (each.busy_s, each.computing_s, each.waiting_s, each.starting_s, each.joining_s)),
            ]
            for each in profile.thread_shares
        ]
        parts.append(_table(["thread", "busy", "on a core", "waiting", "starting", "joining"], rows, ()))
    if profile.regions:
        rows = [
            [
                _link(region.place.file, region.place.line, f"line {region.place.line}"),
                f"{region.entries:.4g}",
                duration(region.region_s),
                duration(max(region.busy_s, default=0.0)),
                f"{region.uneven:.0%}",
            ]
            for region in profile.regions
        ]
        parts.append(_table(["parallel loop", "entered", "once", "busiest", "uneven"], rows))
    return _section("Threads", "<br>".join(parts))


def _checks(profile: FunctionProfile) -> str:
    if not profile.checks:
        return ""
    rows = [
        [escape(check.name), escape(check.verdict), f'<td class="text wide">{escape(check.reason)}</td>']
        for check in profile.checks
    ]
    return _section("Checks of the results", _table(["compared", "verdict", ""], rows, (0, 1, 2)))


def _hardware(found: Hardware | None) -> str:
    if found is None:
        return ""
    title = "The processor's counters"
    if not found.known:
        return _section(title, f'<p class="faint">Not read: {escape(found.reason)}.</p>')
    events = [
        ("cycles", found.cycles),
        ("instructions", found.instructions),
        ("instructions a cycle", found.instructions_per_cycle),
        ("cache misses", found.cache_misses),
        ("branch misses", found.branch_misses),
    ]
    rows = [
        [name, f"{amount:,.3g}" if amount < 1e4 else f"{amount:,.0f}"] for name, amount in events if amount is not None
    ]
    parts = _table(["in a mean call, on all threads", ""], rows)
    if found.loops:
        by_loop = [
            [
                _link(loop.place.file, loop.place.line, f"line {loop.place.line}"),
                _share(loop.cycles),
                _share(loop.cache_misses),
            ]
            for loop in found.loops
        ]
        parts += "<br>" + _table(["loop", "cycles", "cache misses"], by_loop)
    return _section(title, parts)


def _notes(profile: FunctionProfile) -> str:
    notes = [f"{note[:1].upper()}{note[1:]}." for note in profile.notes]
    notes += [f"Not checked: {RULES[Kind(kind)].title} ({reason})." for kind, reason in profile.unsearched]
    return _section("Notes", f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else "")
