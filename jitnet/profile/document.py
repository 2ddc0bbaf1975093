"""The document of `jitnet profile --json`, and reading one back, to be compared.

Profiles of training steps and of other people's functions have a format each. Both have what a comparison reads:

    machine    an object, in it `cpu`
    settings   an object: what was measured; equal where two documents can be compared
    rows       a list of objects, in each `name`, `shape`, `threads` and `samples_s`, the seconds of each sample
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jitnet.errors import UsageError
from jitnet.profile.records import Profile, Row
from jitnet.version import __version__

__all__ = ["FORMAT", "FUNCTION_FORMAT", "WHOLE_STEP", "Document", "as_document", "read_document"]

FORMAT = "jitnet profile 1"
FUNCTION_FORMAT = "jitnet profile function 1"

WHOLE_STEP = "whole step"
"""Name of the row that has the step as it runs without a clock."""

HOW = {
    FORMAT: "jitnet profile --json > FILE",
    FUNCTION_FORMAT: "jitnet profile MODULE:FUNCTION --json > FILE",
}
"""What writes each format."""

RowKey = tuple[str, str, int]


@dataclass(frozen=True)
class Document:
    """A profile from a file, as far as a comparison needs it. samples_s: by name, shape and threads of each row."""

    path: Path
    format: str
    cpu: str
    settings: dict[str, Any]
    samples_s: dict[RowKey, list[float]]


def as_document(profiles: Sequence[Profile]) -> dict[str, Any]:
    """What `--json` writes: profiles of one training, on one count of threads or several, without their slices.

    steps has an object for each count of threads, rows one for each row of each; first among the rows of a count stands
    the whole step. Every sample is there, in seconds.
    """
    first = profiles[0]
    return {
        "format": FORMAT,
        "jitnet": __version__,
        "numpy": np.__version__,
        "machine": {**asdict(first.machine), "cache_bytes": first.cache_bytes},
        "settings": first.settings,
        "threads": [profile.threads for profile in profiles],
        "steps": [_step(profile) for profile in profiles],
        "rows": [row for profile in profiles for row in _rows(profile)],
    }


def _step(profile: Profile) -> dict[str, Any]:
    return {
        "threads": profile.threads,
        "threads_reason": profile.threads_reason,
        "step_s": profile.step_s,
        "plain_s": profile.plain_s,
        "clocked_s": profile.clocked_s,
        "cost": profile.cost,
        "accounted": profile.accounted,
        "waiting_s": profile.waiting_s,
        "starting_s": profile.starting_s,
        "rest_s": profile.rest_s,
        "input_reason": profile.input_reason,
        "regions": [asdict(region) for region in profile.regions],
        "by_thread": [asdict(thread) for thread in profile.threads_rows],
        "probes": [asdict(probes) for probes in (*profile.fewer, profile.probes)],
        "measure_s": profile.measure_s,
        "predicted": profile.predicted,
        "prediction": [_row(row, profile.threads) for row in profile.prediction],
    }


def _rows(profile: Profile) -> list[dict[str, Any]]:
    whole = {"name": WHOLE_STEP, "shape": "", "threads": profile.threads, "samples_s": profile.plain_s}
    return [{**whole, "median_s": profile.step_s}, *(_row(row, profile.threads) for row in profile.rows)]


def _row(row: Row, threads: int) -> dict[str, Any]:
    made = {"median_s": row.median_s, "spread": row.spread, "gflops": row.gflops, "gbs": row.gbs}
    return {"name": row.name, "threads": threads, **asdict(row), **made, "intensity": row.intensity}


def read_document(path: Path, option: str = "--compare") -> Document:
    """Read what `--json` wrote; UsageError where it is missing or something else. option: what the user named it by."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read ({error.strerror}); make one with {HOW[FORMAT]}") from None
    except ValueError:
        raise UsageError(f"{option} {path}: is no JSON; expected what {HOW[FORMAT]} writes") from None
    written = found.get("format") if isinstance(found, dict) else None
    if written not in HOW:
        what = f"is of the form {written!r}" if isinstance(written, str) else "names no form"
        raise UsageError(f"{option} {path}: {what}; expected {FORMAT!r}, which {HOW[FORMAT]} writes")
    try:
        rows = [(str(row["name"]), str(row["shape"]), int(row["threads"]), row["samples_s"]) for row in found["rows"]]
        samples_s = {(name, shape, threads): [float(s) for s in own] for name, shape, threads, own in rows}
        for (name, _, _), own in samples_s.items():
            if len(own) < 2 or not all(s > 0 and math.isfinite(s) for s in own):
                raise ValueError(f"row {name!r} has fewer than two samples, or one that is no time")
        if not samples_s:
            raise ValueError("there are no rows")
        return Document(path, written, str(found["machine"]["cpu"]), dict(found["settings"]), samples_s)
    except KeyError as error:
        wrong = f"{error} is missing"
    except (TypeError, ValueError) as error:
        wrong = str(error)
    raise UsageError(f"{option} {path}: is broken: {wrong}; make it anew with {HOW[written]}")
