"""The source with what helps in it, as a unified diff of the user's files; none of them is written."""

import ast
import inspect
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher, unified_diff
from itertools import pairwise
from typing import Any

from jitnet.profile.functions.worker.diagnostics import JsonObject
from jitnet.profile.functions.worker.remedies import Remedy, changes_of, option_text
from jitnet.profile.functions.worker.rewrites import Rewrite

__all__ = ["combined_rewrites", "fix_of", "merged", "with_options"]

DECORATORS = {"njit", "jit", "vectorize", "guvectorize", "stencil"}


def fix_of(chosen: Sequence[Remedy], trial: JsonObject) -> JsonObject:
    """Return what helps as JSON: "changes" in words, the "trial" of all of them together, the "diff", and in "remarks"
    what has to be done where the diff does not reach."""
    sources: dict[str, list[str]] = {}
    remarks = [each.remark for each in chosen if each.remark]
    edits = []
    for function, change in changes_of(chosen).items():
        rewrite = next((each.rewrite for each in chosen if each.owner is function and each.rewrite), None)
        found = _source(function)
        changed = found and with_options(rewrite.source if rewrite else found[1], change.options)
        if change.options and not changed:
            options = ", ".join(option_text(*each) for each in change.options.items())
            remarks.append(f"compile {function.__name__} with {options}")
            changed = rewrite.source if rewrite else None
        if found and changed:
            edits.append((*found, changed))
    for file, original, first, indent, changed in sorted(edits, key=lambda each: -each[2]):
        # The last function of a file first: line numbers of those before it stay.
        lines = sources.setdefault(file, _lines(file))
        count = len(original.splitlines())
        lines[first - 1 : first - 1 + count] = textwrap.indent(changed, indent).splitlines(keepends=True)
    return {
        "changes": [each.change for each in chosen],
        "trial": trial,
        "diff": "".join(_diff(file, lines) for file, lines in sorted(sources.items())),
        "remarks": remarks,
    }


def _source(function: Any) -> tuple[str, str, int, str] | None:
    """Return a function's file, its source without the indent and with its decorators, its first line, and the
    indent; None where the source is unknown."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    text = "".join(lines)
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return str(function.__code__.co_filename), textwrap.dedent(text), first, indent


def _lines(file: str) -> list[str]:
    with open(file, encoding="utf-8") as stream:
        return stream.read().splitlines(keepends=True)


def _diff(file: str, changed: Sequence[str]) -> str:
    name = os.path.relpath(file)
    name = file if name.startswith("..") else name
    old, new = (name, name) if os.path.isabs(name) else (f"a/{name}", f"b/{name}")
    lines = [line if line.endswith("\n") else f"{line}\n" for line in unified_diff(_lines(file), changed, old, new)]
    return "".join(lines)


def with_options(source: str, options: Mapping[str, Any]) -> str | None:
    """Return a function's source with these options in its decorator; None where it has no decorator of Numba's."""
    if not options:
        return source
    try:
        tree = ast.parse(source).body[0]
    except (SyntaxError, IndexError):
        return None
    for decorator in getattr(tree, "decorator_list", []):
        named = decorator.func if isinstance(decorator, ast.Call) else decorator
        if getattr(named, "attr", getattr(named, "id", "")) not in DECORATORS:
            continue
        edits = list(_edits(decorator, options))
        text = source.encode()
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        for row, column, end_row, end_column, new in sorted(edits, reverse=True):
            begin, end = starts[row - 1] + column, starts[end_row - 1] + end_column
            text = text[:begin] + new.encode() + text[end:]
        return text.decode()
    return None


def _edits(decorator: Any, options: Mapping[str, Any]) -> Iterator[tuple[int, int, int, int, str]]:
    """Yield begin and end of what is replaced in a decorator, each as line and byte, and its new text."""
    ends = decorator.end_lineno, decorator.end_col_offset
    if not isinstance(decorator, ast.Call):
        added = ", ".join(option_text(*each) for each in options.items())
        yield (*ends, *ends, f"({added})")
        return
    known = {each.arg: each for each in decorator.keywords if each.arg}
    new = []
    for name, value in options.items():
        if name in known:
            old = known[name]
            yield old.lineno, old.col_offset, old.end_lineno, old.end_col_offset, option_text(name, value)  # type: ignore[misc]
        else:
            new.append(option_text(name, value))
    if new:
        parts: list[Any] = [*decorator.args, *decorator.keywords]
        last = max(((part.end_lineno, part.end_col_offset) for part in parts), default=None)
        if last is None:
            place = ends[0], ends[1] - 1
            yield (*place, *place, ", ".join(new))
        else:
            yield (*last, *last, f", {', '.join(new)}")


def combined_rewrites(function: Any, one: Rewrite, other: Rewrite) -> Rewrite | None:
    """Return two changes of a function's source as one; None where they change the same lines."""
    if one.source == other.source:
        return one
    found = _source(function)
    source = found and merged(found[1], one.source, other.source)
    if not source:
        return None
    return replace(
        one,
        change=f"{one.change} and {other.change}",
        exact=one.exact and other.exact,
        source=source,
        arguments=one.arguments or other.arguments,
        apart=(*one.apart, *other.apart),
        fastmath=one.fastmath or other.fastmath,
    )


def merged(original: str, one: str, other: str) -> str:
    """Return a text with the changes of two others in it; "" where they touch the same lines, or lines side by side."""
    lines = original.splitlines(keepends=True)
    hunks = []
    for changed in (one, other):
        new = changed.splitlines(keepends=True)
        matcher = SequenceMatcher(None, lines, new, autojunk=False)
        hunks += [(begin, end, new[a:b]) for tag, begin, end, a, b in matcher.get_opcodes() if tag != "equal"]
    hunks = [each for at, each in enumerate(hunks) if each not in hunks[:at]]
    hunks.sort(key=lambda each: each[:2])
    for before, after in pairwise(hunks):
        if after[0] <= before[1]:
            return ""
    for begin, end, new in reversed(hunks):
        lines[begin:end] = new
    return "".join(lines)
