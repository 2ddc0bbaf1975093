"""Training a committee: a run for each member, which differ in the seed alone, and the committee's file.

runs/2026-03-14-mnist/
    config.json          the settings of the first member, and how many members were asked for
    model.safetensors    the committee
    member-1/            a run folder for each member
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jitnet.errors import UsageError
from jitnet.model import Committee, Model
from jitnet.runs import CONFIG
from jitnet.runs.listing import Score
from jitnet.runs.run_settings import Settings
from jitnet.search.work import Outcome, Work

__all__ = ["MAX_MEMBERS", "committee_result", "count_in", "member_works", "save_committee"]

MAX_MEMBERS = 1000


def member_works(settings: Settings, count: int) -> list[Work]:
    """The run of each member: the first has the seed of the settings, each other one the next.

    UsageError where the settings say how many threads a run has, a member has one; or which accuracy ends it."""
    if settings.training.get("threads") is not None:
        raise UsageError.of_fields(
            "<threads>: each member of a committee is trained on one thread, as many members at a time as there are "
            "cores; leave it out"
        )
    config = settings.resolve()[1]
    if config.target_accuracy:
        raise UsageError.of_fields("<target_accuracy> is of one network, not of a committee; leave one of them out")
    seed = config.seed
    return [
        Work(f"member-{k + 1}", replace(settings, training={**settings.training, "seed": seed + k}))
        for k in range(count)
    ]


def count_in(config: Path) -> int | None:
    """How many members the committee has whose run folder or config.json this is; None where it is of no committee."""
    path = config / CONFIG if config.is_dir() else config
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.name == CONFIG else None
    except (OSError, ValueError, RecursionError):  # what is wrong with it is reported where all of it is read
        return None
    count = found.get("committee") if isinstance(found, dict) else None
    return count if isinstance(count, int) and 2 <= count <= MAX_MEMBERS else None


def save_committee(outcomes: Sequence[Outcome], path: Path) -> "tuple[Committee, list[Outcome]] | None":
    """Write the committee of trained members, and return it with the outcomes of those that are in it; None where fewer
    than two have a model. Members that were stopped before their end are left out where two others ended."""
    finished = [outcome for outcome in outcomes if not outcome.stopped]
    taken = finished if len(finished) >= 2 else list(outcomes)
    if len(taken) < 2:
        return None
    names = [str(outcome.folder) for outcome in taken]
    committee = Committee.from_models([Model.load(outcome.folder) for outcome in taken], names=names)
    committee.save(path)
    return committee, taken


def committee_result(taken: Sequence[Outcome], metrics: Mapping[str, float], stopped: bool) -> dict[str, Any]:
    """How the run of a committee ended, as config.json has it of any run, with its score on test data; metrics: on
    these, empty where there are none. Its epochs are the most that a member has, its time that of all members."""
    metric = taken[0].metric
    epochs = max(len(outcome.reports) for outcome in taken)
    seconds = sum(report.seconds for outcome in taken for report in outcome.reports)
    score = Score(epochs, metric, "test", metrics.get(metric), None, seconds)
    return {"outcome": f"a committee of {len(taken)} networks", "stopped": stopped, "score": asdict(score)}
