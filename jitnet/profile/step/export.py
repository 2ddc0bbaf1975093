"""A profile as files: the document of `jitnet profile --json`; and a timeline of some training steps.

One track of the timeline has the steps, and each thread has a track with its lines.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from jitnet.bench.figures import threads_text
from jitnet.profile.document import FORMAT, document
from jitnet.profile.step.step_profile import Profile, Row
from jitnet.profile.trace_events import metadata, timed, trace

__all__ = ["WHOLE_STEP", "as_document", "as_trace"]

WHOLE_STEP = "whole step"
"""Name of the row of the whole step without a clock."""

STEPS = 0
"""Track of the steps; those of the threads follow from 1 on."""


def as_document(profiles: Sequence[Profile]) -> dict[str, Any]:
    """Return what `--json` writes: profiles of one training, on one count of threads or several, without their slices.

    steps has an object for each count of threads, rows one for each row of each; the first row of a count is the whole
    step. All samples are included, in seconds.
    """
    first = profiles[0]
    return document(
        FORMAT,
        first.machine,
        first.cache_bytes,
        first.settings,
        [row for profile in profiles for row in _rows(profile)],
        numpy=np.__version__,
        threads=[profile.threads for profile in profiles],
        steps=[_step(profile) for profile in profiles],
    )


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


def as_trace(profile: Profile) -> dict[str, Any]:
    """Return the timeline: a slice for each line, thread and step, and one for each step, from its first line's begin
    to its last one's end.

    A slice has its row's figures as arguments, the same in every step: speedscope adds up slices only where names and
    arguments are equal. The slice of a step has its number.
    """
    threads = sorted({*range(profile.threads), *(one.thread for one in profile.slices)})
    events = [metadata("process_name", STEPS, name=f"jitnet, {threads_text(profile.threads)}")]
    for place, name in ((STEPS, "steps"), *((1 + thread, f"thread {thread}") for thread in threads)):
        events += [metadata("thread_name", place, name=name), metadata("thread_sort_index", place, sort_index=place)]
    ends: dict[int, tuple[float, float]] = {}
    for one in profile.slices:
        begin_s, end_s = ends.get(one.step, (one.begin_s, one.end_s))
        ends[one.step] = min(begin_s, one.begin_s), max(end_s, one.end_s)
    for step, (begin_s, end_s) in sorted(ends.items()):
        events.append(timed(f"step {step}", "step", STEPS, begin_s, end_s, {"step": step}))
    arguments = [_arguments(row) for row in profile.rows]
    for one in sorted(profile.slices, key=lambda one: (one.begin_s, one.thread)):
        name = profile.rows[one.row].name
        events.append(timed(name, "operation", 1 + one.thread, one.begin_s, one.end_s, arguments[one.row]))
    return trace(events, {"cpu": profile.machine.cpu, **profile.settings, "threads": profile.threads})


def _arguments(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"shape": row.shape, "FLOP": row.flop, "bytes": row.bytes}
    if row.flop:
        found["GFLOP/s"] = round(row.gflops, 3)
    if row.skips_zeros:
        found["FLOP with zeros"] = row.nominal_flop
    return {**found, "split by": row.split, "parts": row.parts, "region": row.region}
