"""How the trials of a sweep are chosen and scored, and the folder of a sweep that begins or goes on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jitnet.config import LOSSES, losses_for, losses_of
from jitnet.config.settings_file import check_format, field_of, read_bytes
from jitnet.errors import OutputError, UsageError
from jitnet.files import write_whole
from jitnet.runs import claim, create
from jitnet.runs.documents import as_json
from jitnet.search.space import Space, space_in
from jitnet.version import __version__

if TYPE_CHECKING:
    from jitnet.datasets import Dataset

__all__ = ["GENERATION", "Plan", "begin", "check_same_data", "holding_out", "make_plan", "read_plan", "scored_by"]

PLAN, SPACE = "sweep.json", "space.toml"
FORMAT = 1

GENERATION = 8
"""Trials that are chosen together, by default."""

VAL_SPLIT = 0.2
"""Share of the training data that a sweep holds out where its space does not say."""


@dataclass(frozen=True)
class Plan:
    """How a sweep's trials are chosen and scored; it does not change once the sweep has begun.

    n_trials: how many there are to be, None where the time ends it; a resumed sweep may go on to more. seed: of what is
    chosen. generation: how many are chosen together. prune: whether unpromising trials end early.
    score: "accuracy" or "loss", on held-out data. space: the folder of the space's file, to which its paths are
    relative. checksum: of the data.
    """

    n_trials: int | None
    seed: int
    generation: int
    prune: bool
    score: str
    space: str
    checksum: str


def holding_out(space: Space) -> tuple[Space, str]:
    """Return the space with data held out to score trials by, and a notice where it did not say so itself; UsageError
    where it says that none are held out."""
    _, training = space.settings.fields()
    split = training.get("val_split")
    if split is None:
        notice = (
            f"trials are scored on {VAL_SPLIT:.0%} of the training data, which are held out (val-split = {VAL_SPLIT:g})"
        )
        return space.with_training(val_split=VAL_SPLIT), notice
    if float(split) == 0.0:
        raise UsageError(
            f"{space.file}: val-split is 0, and trials are scored on data that are held out; expected more than 0, "
            f"or leave it out for {VAL_SPLIT:g}"
        )
    return space, ""


def make_plan(
    space: Space,
    dataset: "Dataset",
    *,
    n_trials: int | None,
    seed: int = 0,
    generation: int = GENERATION,
    prune: bool = True,
    score: str = "",
) -> Plan:
    """Return how the trials of a sweep of these data are chosen and scored. score: "accuracy", "loss" or "", which is
    the accuracy where the data have one. UsageError where trials could not be compared by it."""
    losses = losses_of(dataset.task) if dataset.target != "label" else losses_for("label")
    network, _ = space.settings.fields(dataset.task)
    has_accuracy = "accuracy" in LOSSES[network.get("loss", losses[0])].metrics
    if score == "accuracy" and not has_accuracy:
        raise UsageError("--score is accuracy, and the targets are numbers, not classes; leave it out")
    score = score or ("accuracy" if has_accuracy else "loss")
    if score == "loss":
        for one in space.searched:
            if (home := field_of(one.name)) is not None and home[1] in _OF_LOSS:
                raise UsageError(
                    f"{one.place}: {one.name}: is searched, and trials are scored by their loss, which would then "
                    "not be the same one for all; fix it"
                )
    return Plan(n_trials, seed, generation, prune, score, str(space.folder.resolve()), dataset.checksum)


_OF_LOSS = ("loss", "huber_delta", "quantiles")
"""Settings that change what a loss is."""


def scored_by(space: Space, score: str) -> Space:
    """Return the space with the epoch that a trial keeps chosen by the score, where the space does not say by what."""
    chosen = space.settings.fields()[1]
    searched = any((home := field_of(one.name)) is not None and home[1] == "monitor" for one in space.searched)
    return space if score == "accuracy" or searched or "monitor" in chosen else space.with_training(monitor="loss")


def begin(folder: Path | None, content: bytes, plan: Plan) -> Path:
    """Make the folder of a new sweep, and write what it is made from; return it. folder: None for a new one,
    runs/DATE-sweep. content: of the space's file. OutputError where that cannot be written, or holds a sweep or a run
    already."""
    try:
        if folder is None:
            folder = create("sweep").folder
        else:
            if (folder / PLAN).exists():
                raise OutputError(
                    f"{folder} holds a sweep already: go on with jitnet sweep --resume {folder}, or name another folder"
                )
            folder = claim(folder).folder
        write_whole(folder / SPACE, content)
        document = {"format": FORMAT, "jitnet": __version__, **asdict(plan)}
        write_whole(folder / PLAN, f"{as_json(document, indent=2)}\n".encode())
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {(error.strerror or str(error)).lower()}; name another place"
        ) from None
    return folder


def read_plan(folder: Path) -> tuple[Plan, Space]:
    """Return how the trials of a sweep in a folder are chosen, and from what. UsageError where it holds none, or one of
    a newer version."""
    path = folder / PLAN
    if not path.exists():
        raise UsageError(f"{folder}: holds no sweep ({PLAN} is missing); expected the folder of one that has begun")
    try:
        document = json.loads(path.read_bytes())
        check_format(document.pop("format"), str(path), str(document.pop("jitnet", "")))
        plan = Plan(**document)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UsageError(f"{path}: is not what a sweep writes; begin another one") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    return plan, space_in(read_bytes(folder / SPACE), str(folder / SPACE), Path(plan.space))


def check_same_data(plan: Plan, dataset: "Dataset", folder: Path) -> None:
    """Raise UsageError where the data are other ones than a sweep began with."""
    if plan.checksum != dataset.checksum:
        raise UsageError(
            f"{folder}: its trials are of other data: the checksum of {dataset.source} is {dataset.checksum[:12]}, and "
            f"was {plan.checksum[:12]}; bring those back, or begin another sweep"
        )
