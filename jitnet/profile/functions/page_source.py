"""The source of a profiled function in its page: the time of each line, its instructions on demand, and its hints."""

from collections.abc import Iterable, Iterator
from html import escape

from jitnet.profile.code.code_view import Body, Instruction, Loop, Source
from jitnet.profile.code.loop_verdict import place_in_threads, whole_verdict
from jitnet.profile.code.source import function_source
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.tried import measured
from jitnet.profile.paths import path_text

__all__ = [
    "VISIBLE",
    "diff_html",
    "hint_html",
    "is_shown",
    "line_name",
    "percent",
    "source_html",
    "sources_of",
]

Key = tuple[str, int]
"""A line: its file and number."""

VISIBLE = 0.0005
"""A share below this is left out."""


def percent(share: float) -> str:
    """Return a share as text with its tenths where it is small: "37%", "2.4%"."""
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"


def line_name(file: str, line: int) -> str:
    """Return a name for a line that links can point to, without the characters that they may not have."""
    return "line-" + "".join(letter if letter.isalnum() else "-" for letter in path_text(file)) + f"-{line}"


def sources_of(profile: FunctionProfile) -> list[Source]:
    """Return the function's source, those of the functions that it calls, and of inlined ones, each once."""
    places = [profile.place, *(function.place for function in profile.functions)]
    if profile.sampling is not None:
        places += [line.place for line in profile.sampling.lines]
    viewed = list(profile.lines.sources) if profile.lines is not None else []
    found: dict[Key, Source] = {}
    for place in places:
        shown = next((one for one in [*found.values(), *viewed] if is_shown(place, [one])), None)
        source = shown or function_source(place.file, place.line)
        if source is not None:
            found.setdefault((source.file, source.first_line), source)
    for source in viewed:
        found.setdefault((source.file, source.first_line), source)
    return list(found.values())


def is_shown(place: Place, sources: Iterable[Source]) -> bool:
    """Whether a line is in one of these functions."""
    return any(
        source.file == place.file and source.first_line <= place.line < source.first_line + len(source.lines)
        for source in sources
    )


def source_html(profile: FunctionProfile, source: Source) -> str:
    """Return one function: a row for each line, with its share of the call's time as a number and a bar.

    A line that has instructions opens to show them. Below a loop's first line is what became of it, and below a line
    that a hint names is the hint.
    """
    shares = {
        (line.place.file, line.place.line): line.share
        for line in (profile.sampling.lines if profile.sampling is not None else ())
    }
    loops, assembly = _loops(profile), _assembly(profile)
    hints: dict[Key, list[Hint]] = {}
    for hint in (each for each in profile.hints if each.shown):
        hints.setdefault((hint.place.file, hint.place.line), []).append(hint)
    rows = []
    for number, text in enumerate(source.lines, source.first_line):
        key = source.file, number
        rows.append(_line(key, text, shares.get(key, 0.0), assembly.get(key, [])))
        rows += [_verdict(loop) for loop in loops.get(key, []) if whole_verdict(loop)]
        rows += [hint_html(hint) for hint in hints.get(key, [])]
    return f'<div class="source">{"".join(rows)}</div>'


def _line(key: Key, text: str, share: float, assembly: list[tuple[str, list[str]]]) -> str:
    shown = percent(share) if share >= VISIBLE else ""
    heat = f' style="--share: {100 * share:.1f}%"' if shown else ""
    row = (
        f'<span class="share"{heat}>{shown}</span><span class="number">{key[1]}</span>'
        f"<span>{escape(text.expandtabs(4)) or ' '}</span>"
    )
    name = line_name(*key)
    if not assembly:
        return f'<div class="row" id="{name}">{row}</div>'
    blocks = "".join(
        f'<div class="faint">{escape(title)}</div><pre>{escape(chr(10).join(lines))}</pre>' for title, lines in assembly
    )
    return f'<details id="{name}"><summary class="row">{row}</summary><div class="assembly">{blocks}</div></details>'


def _verdict(loop: Loop) -> str:
    kind = "verdict" if loop.vectorised else "verdict scalar"
    return f'<div class="below {kind}">{escape(whole_verdict(loop))}</div>'


def _loops(profile: FunctionProfile) -> dict[Key, list[Loop]]:
    found: dict[Key, list[Loop]] = {}
    for loop in profile.lines.loops if profile.lines is not None else ():
        found.setdefault((loop.file, loop.line), []).append(loop)
    return found


def _assembly(profile: FunctionProfile) -> dict[Key, list[tuple[str, list[str]]]]:
    """Return the instructions that were made for each line: for each loop of the machine code a title and its lines,
    numbered in the order of the machine code."""
    found: dict[Key, list[tuple[str, list[str]]]] = {}
    if profile.lines is None:
        return found
    bodies = [(_title(loop, body), body.instructions) for loop in profile.lines.loops for body in loop.bodies]
    for title, instructions in [*bodies, ("outside loops", profile.lines.straight)]:
        for key, lines in _by_line(instructions).items():
            found.setdefault(key, []).append((title, lines))
    return found


def _title(loop: Loop, body: Body) -> str:
    parts = [f"in the loop of line {loop.line}", place_in_threads(loop)]
    return ", ".join([*filter(None, parts), *["for what is left over"] * (body.role == "rest")])


def _by_line(instructions: Iterable[Instruction]) -> dict[Key, list[str]]:
    found: dict[Key, list[str]] = {}
    key = ("", 0)
    for number, one in enumerate(instructions, 1):
        key = (one.file, one.line) if one.line else key  # one without a line belongs to the one before
        name, _, operands = one.text.partition("\t")
        found.setdefault(key, []).append(f"{number:>4}  {name:<14} {operands}".rstrip())
    return found


def hint_html(hint: Hint) -> str:
    """Return a hint with what was found, what to do, what that did, and the change as a diff."""
    share = f", {percent(hint.share)} of the time" if hint.share else ""
    wrong = " wrong" if hint.kind == Kind.RACE.value else ""
    parts = [f"<b>{escape(RULES[Kind(hint.kind)].title)}</b>{share}"]
    parts.append(f"{_sentence(hint.reason)} {_sentence(hint.advice)}")
    if hint.trial is not None:
        parts.append(
            f'<span class="gain">measured: {escape(measured(hint.trial))}</span>, with {escape(hint.trial.change)}'
        )
    elif hint.untried:
        parts.append(f'<span class="faint">not tried: {escape(hint.untried)}</span>')
    diff = diff_html(hint.trial.diff) if hint.trial is not None else ""
    return f'<div class="hint{wrong}">{"<br>".join(parts)}{diff}</div>'


def _sentence(text: str) -> str:
    return escape(text if text.endswith((".", ":", "!", "?")) else f"{text}.")


def diff_html(diff: str) -> str:
    """Return a unified diff with its lines marked, "" where it is empty."""
    return diff and f'<pre class="diff">{"".join(_diff_lines(diff.splitlines()))}</pre>'


def _diff_lines(lines: list[str]) -> Iterator[str]:
    for line in lines:
        mark = {"+": "ins", "-": "del"}.get(line[:1], "")
        yield f"<{mark}>{escape(line)}</{mark}>\n" if mark else f"{escape(line)}\n"
