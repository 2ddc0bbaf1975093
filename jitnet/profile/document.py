"""Documents of `jitnet profile --json`: read, and two compared by the bench's rank test, row by row.

Profiles of training steps and of functions have different formats. A comparison reads what both have:

    machine    an object, in it `cpu`
    settings   an object: what was measured; equal where two documents can be compared
    rows       a list of objects, in each `name`, `shape`, `threads` and `samples_s`, the seconds of each sample
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from jitnet.bench.comparison import Change, Pair, changes_of
from jitnet.bench.figures import threads_text
from jitnet.config import with_defaults
from jitnet.errors import UsageError
from jitnet.machine.host import Machine
from jitnet.version import __version__

__all__ = [
    "FORMAT",
    "FUNCTION_FORMAT",
    "THRESHOLD",
    "Comparison",
    "Document",
    "compare",
    "document",
    "group_medians",
    "read_document",
]

FORMAT = "jitnet profile 1"
FUNCTION_FORMAT = "jitnet profile function 1"

HOW = {
    FORMAT: "jitnet profile --json > FILE",
    FUNCTION_FORMAT: "jitnet profile MODULE:FUNCTION --json > FILE",
}
"""The command that writes each format."""

THRESHOLD = 0.1
"""Share of its median by which a row must have changed."""

MOST_GROUPS = 25
"""The most samples of a row that are tested. Neighbouring steps are correlated, since the machine's slow moments last
longer than a step; a rank test, which assumes independent samples, would be too sure. So neighbours are grouped, and
the median of each group is one sample."""

EXTENTS = r"\[([\d, ]*)\]"
"""The extents of an array in the text of an argument's type."""

RowKey = tuple[str, str, int]


@dataclass(frozen=True)
class Document:
    """What a comparison needs of a profile in a file. samples_s: by name, shape and threads of each row."""

    path: Path
    format: str
    cpu: str
    settings: dict[str, Any]
    samples_s: dict[RowKey, list[float]]


def document(
    form: str, machine: Machine, cache_bytes: int, settings: dict[str, Any], rows: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    """Return what `--json` writes: what a comparison reads, and `more`, the rest of the profile."""
    return {
        "format": form,
        "jitnet": __version__,
        "machine": {**asdict(machine), "cache_bytes": cache_bytes},
        "settings": settings,
        "rows": rows,
        **more,
    }


def read_document(path: Path, option: str = "--compare") -> Document:
    """Read what `--json` wrote; UsageError where it is missing or something else. option: the one that names it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read ({error.strerror}); make one with {HOW[FORMAT]}") from None
    except ValueError:
        raise UsageError(f"{option} {path}: is not JSON; expected what {HOW[FORMAT]} writes") from None
    written = found.get("format") if isinstance(found, dict) else None
    if written not in HOW:
        what = f"is of the form {written!r}" if isinstance(written, str) else "names no form"
        expected = ", or ".join(f"{form!r}, which {how} writes" for form, how in HOW.items())
        raise UsageError(f"{option} {path}: {what}; expected {expected}")
    try:
        rows = [(str(row["name"]), str(row["shape"]), int(row["threads"]), row["samples_s"]) for row in found["rows"]]
        samples_s = {(name, shape, threads): [float(s) for s in samples] for name, shape, threads, samples in rows}
        for (name, _, _), samples in samples_s.items():
            if len(samples) < 2 or not all(s > 0 and math.isfinite(s) for s in samples):
                raise ValueError(f"row {name!r} has fewer than two samples, or one that is not a time")
        if not samples_s:
            raise ValueError("there are no rows")
        return Document(path, written, str(found["machine"]["cpu"]), dict(found["settings"]), samples_s)
    except KeyError as error:
        wrong = f"{error} is missing"
    except (TypeError, ValueError) as error:
        wrong = str(error)
    raise UsageError(f"{option} {path}: is broken: {wrong}; write it again with {HOW[written]}")


@dataclass(frozen=True)
class Comparison:
    """changes: of the rows that both have, in the order of the second. notices: what a reader should know, a sentence
    each: another machine, rows that only one of them has."""

    changes: tuple[Change, ...]
    notices: tuple[str, ...]


def compare(before: Document, after: Document, threshold: float = THRESHOLD, option: str = "--compare") -> Comparison:
    """Return what changed from one document to another, of training steps or of functions.

    A row is slower where its median grew by more than `threshold` (0.1 is 10%) and the rank test finds it significant.
    Two functions may differ in anything, and the notices say in what. Raises UsageError where two profiles of steps are
    not of the same measurement: it names the first difference.
    """
    both = f"{option} {before.path} {after.path}"
    if before.format != after.format:
        raise UsageError(
            f"{both}: one is of the form {before.format!r}, the other {after.format!r}; compare two of one form"
        )
    notices: list[str] = []
    pairs = (
        _pairs_of_functions(before, after) if after.format == FUNCTION_FORMAT else _pairs_of_steps(before, after, both)
    )
    if not pairs:
        raise UsageError(f"{both}: no row is in both, at the same threads; measure the same in both")
    if after.format == FUNCTION_FORMAT:
        notices += _differences(before, after)
    if before.cpu != after.cpu:
        notices.append(f"{before.path} was measured on another machine, {before.cpu}; {after.path} on {after.cpu}")
    for one, other in ((before, after), (after, before)):
        known = {_comparable(key, other) for key in other.samples_s}
        unmatched = [
            f"{key[0]} ({threads_text(key[2])})" for key in one.samples_s if _comparable(key, one) not in known
        ]
        if unmatched:
            notices.append(f"only in {one.path}: {', '.join(unmatched)}")
    return Comparison(tuple(changes_of(pairs, threshold)), tuple(notices))


def _comparable(key: RowKey, one: Document) -> Any:
    """What two rows that are compared have in common: of functions, their count of threads."""
    return key[2] if one.format == FUNCTION_FORMAT else key


def _pairs_of_functions(before: Document, after: Document) -> list[Pair]:
    old = {threads: samples for (_, _, threads), samples in before.samples_s.items()}
    return [
        Pair(name, shape, threads, group_medians(old[threads]), group_medians(samples))
        for (name, shape, threads), samples in after.samples_s.items()
        if threads in old
    ]


def _pairs_of_steps(before: Document, after: Document, both: str) -> list[Pair]:
    for name in dict.fromkeys([*before.settings, *after.settings]):
        old, new = (with_defaults(one.settings).get(name, "nothing") for one in (before, after))
        if old != new:
            raise UsageError(f"{both}: {name} is {old} in one and {new} in the other; measure the same in both")
    return [
        Pair(*key, group_medians(before.samples_s[key]), group_medians(samples))
        for key, samples in after.samples_s.items()
        if key in before.samples_s
    ]


def _differences(before: Document, after: Document) -> list[str]:
    """Return a sentence for each setting in which two functions differ, and one where they were called with other
    extents: their times are then of different work."""
    found = []
    for name in ("target", "options", "signature"):
        old, new = (one.settings.get(name) or "none" for one in (before, after))
        if old != new:
            found.append(f"{'function' if name == 'target' else name}: {old} before, {new} after")
    shapes = [next(iter(one.samples_s))[1] for one in (before, after)]
    if shapes[0] != shapes[1] and (not found or re.findall(EXTENTS, shapes[0]) != re.findall(EXTENTS, shapes[1])):
        found.append(
            f"arguments: {shapes[0]} before, {shapes[1]} after; a call does other work, and so takes another time"
        )
    return found


def group_medians(samples_s: Sequence[float]) -> list[float]:
    """Return medians of groups of neighbouring samples, MOST_GROUPS of them; all samples where these are fewer."""
    count = min(MOST_GROUPS, len(samples_s))
    bounds = [len(samples_s) * place // count for place in range(count + 1)]
    return [median(samples_s[first:last]) for first, last in pairwise(bounds)]
