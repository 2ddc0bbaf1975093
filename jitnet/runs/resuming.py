"""Going on with a run that ended early: from its newest whole checkpoint, to the bits of one that was never
interrupted."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jitnet.config import ModelConfig, TrainConfig, build
from jitnet.config.checking import CheckedConfig, quoted
from jitnet.errors import Busy, UsageError
from jitnet.files import holder
from jitnet.runs.folder import CONFIG, LOCK, Run, reopen
from jitnet.runs.run_settings import Settings

if TYPE_CHECKING:
    from jitnet.datasets import Dataset, Progress, TaskAdvice
    from jitnet.training.checkpoint_file import Found
    from jitnet.training.trainer import Trainer

__all__ = ["Finished", "Resumed", "resume"]

_Config = TypeVar("_Config", bound=CheckedConfig)

MAY_CHANGE = ("epochs", "threads")
"""Fields of a training that may be others when it goes on. More epochs only with some schedules."""


@dataclass(frozen=True)
class Finished:
    """A run that has nothing left to do. outcome: why it ended, in words."""

    run: Run
    outcome: str


@dataclass(frozen=True)
class Resumed:
    """A run that goes on. found: its newest whole checkpoint. epochs, threads: of the training from here on."""

    run: Run
    found: "Found"
    epochs: int
    threads: int

    def load(self, progress: "Progress | None" = None, advice: "TaskAdvice | None" = None) -> "Dataset":
        """Return the data that the run began with, from where its config.json says; DataError where they have changed,
        and as `jitnet.load` raises."""
        from jitnet.training.origin import check_data, load_again

        paths = {"name_or_path": "path", "test_data": "test_path"}
        moved = {name: path for name, key in paths.items() if (path := self.run.config["data"].get(key)) is not None}
        dataset = load_again(self.found.checkpoint, **moved, progress=progress, advice=advice)
        check_data(self.found.checkpoint, dataset)
        return dataset

    def trainer(self, dataset: "Dataset") -> "Trainer":
        """Return a trainer that goes on where the checkpoint was written."""
        from jitnet.training.trainer import Trainer

        return Trainer.resume(self.found.checkpoint, dataset, epochs=self.epochs, threads=self.threads)

    def place(self, trainer: "Trainer") -> tuple[int, int, int]:
        """Where it goes on: epochs that are done, the steps of the next one that are, and how many it has."""
        state = self.found.checkpoint.state
        return state.epoch, state.done, trainer.n_steps

    def begin(self, trainer: "Trainer") -> None:
        """Bring the run's folder, which is open, to what the checkpoint knows: each epoch once in metrics.jsonl."""
        from jitnet.training.checkpoint_file import newest

        if newest(self.run.folder).path != self.found.path:
            raise Busy(f"{self.run.folder}: another process has gone on with this run meanwhile; look at it first")
        self.run.replace_metrics(self.found.checkpoint.state.reports)
        config = {name: value for name, value in self.run.config.items() if name not in ("outcome", "stopped")}
        self.run.write_config({**config, "train": trainer.config.model_dump()})


def resume(folder: Path, typed: Settings) -> Resumed | Finished:
    """Return a run as it goes on. typed: the settings that were chosen again, of which only some may be others.

    Raises UsageError, which names the field that differs, and for a folder that is none of a run; CheckpointError where
    there is no whole checkpoint; Busy where another process trains in it.
    """
    from jitnet.training.checkpoint import resumed_config
    from jitnet.training.checkpoint_file import newest

    run = reopen(folder)
    if (process := holder(folder / LOCK)) is not None:
        number = f" as process {process}" if process else ""
        raise Busy(f"{folder}: this run is still going on{number}; wait until it has ended, or stop it first")
    if "committee" in run.config:
        ended = run.config.get("result") or {}
        if ended and not ended.get("stopped"):
            return Finished(run, str(ended.get("outcome")))
        raise UsageError(
            f"{folder}: is the run of a committee, whose members go on one by one: jitnet train --resume "
            f"{folder / 'member-1'} for example; then jitnet committee makes one of them"
        )
    outcome = "" if run.config.get("stopped") else run.config.get("outcome", "")
    chosen_again = {*typed.network, *typed.training} - {"threads"} or any(True for _ in _others(typed, run, {}))
    if outcome and not chosen_again:
        return Finished(run, str(outcome))
    found = newest(folder)
    checkpoint = found.checkpoint
    planned = _begun(run, TrainConfig, "train")
    has, other = f"{folder / CONFIG} has", f"the checkpoint {found.path}"
    _check_same(has, other, _begun(run, ModelConfig, "model"), checkpoint.model.config)
    _check_same(has, other, planned, checkpoint.config)
    checksum, was = run.config["data"].get("checksum"), checkpoint.data["checksum"]
    if checksum not in (None, was):
        raise UsageError(f"{has} the data's checksum {checksum}, and {other} {was}; a run goes on as it began")
    prepared, columns = checkpoint.model.preparation, run.config["data"].get("columns")
    roles = {} if prepared is None else prepared.roles.model_dump(mode="json")
    for name, column in (columns if isinstance(columns, dict) else {}).items():
        if name in roles and column != roles[name]:
            has_column = f"{has} data.columns.{name} {_shown(column)}"
            raise UsageError(f"{has_column}, and {other} {_shown(roles[name])}; a run goes on as it began")
    chosen = _typed(typed, run, found)
    epochs = chosen.get("epochs", planned.epochs)
    threads = chosen.get("threads", planned.threads)
    resumed_config(planned, chosen.get("epochs"))
    state = checkpoint.state
    # What early stopping ended, or an accuracy that was reached, ends again however many epochs there are.
    if outcome and (epochs == planned.epochs or state.epoch - state.schedule_epoch < planned.epochs):
        return Finished(run, str(outcome))
    return Resumed(run, found, epochs, threads)


def _begun(run: Run, kind: type[_Config], name: str) -> _Config:
    """The config of the network or of the training in config.json, where it has this name. Fields that it lacks, since
    an earlier version had none, are at their defaults."""
    written = {field: value for field, value in run.config[name].items() if field != "n_parameters"}
    try:
        return kind.model_validate_json(json.dumps(written))
    except UsageError as error:
        raise UsageError(f"{run.folder / CONFIG}: its {name}: {error}; expected what the run wrote") from None


def _complete(config: CheckedConfig) -> dict[str, Any]:
    fields: dict[str, Any] = config.model_dump(mode="json")
    return fields


def _check_same(what: str, other: str, found: CheckedConfig, expected: CheckedConfig) -> None:
    """UsageError where two configs of a training differ in a field that may not change; it names the field."""
    theirs = dict(_leaves(_complete(expected)))
    for path, value in _leaves(_complete(found)):
        if value != theirs[path] and path not in MAY_CHANGE:
            raise UsageError.of_fields(
                f"{what} <{path}> {_shown(value)}, and {other} {_shown(theirs[path])}; a run goes on as it began"
            )


def _typed(typed: Settings, run: Run, found: "Found") -> dict[str, Any]:
    """Those of the settings that were chosen again which may be others; UsageError where another one is."""
    checkpoint, names = found.checkpoint, dict(typed.names)
    changed: dict[str, Any] = {}
    for kind, begun, chosen in (
        (ModelConfig, checkpoint.model.config, typed.network),
        (TrainConfig, checkpoint.config, typed.training),
    ):
        before = begun.model_dump()
        values = {**before, **{k: {**before[k], **v} if isinstance(v, Mapping) else v for k, v in chosen.items()}}
        after = dict(_leaves(_complete(build(kind, values, names))))
        for path, _ in _leaves(chosen):
            was = dict(_leaves(_complete(begun)))[path]
            if path in MAY_CHANGE and kind is TrainConfig:
                changed[path] = after[path]
            elif after[path] != was:
                raise _differs(run, f"<{path}>", after[path], was)
    for name, value, was in _others(typed, run, checkpoint.load):
        if value != was:
            raise _differs(run, f"<{name}>", value, was)
    return changed


def _others(typed: Settings, run: Run, load: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, choice and what the run has, of the settings beside the configs that were chosen again."""
    if typed.recipe is not None:
        yield "recipe", typed.recipe, run.config.get("recipe")
    begun = run.config["data"]
    if typed.init is not None:
        yield "init", str(typed.init.resolve()), (run.config.get("init") or {}).get("path")
    if typed.data is not None:
        path = typed.data_path
        yield "data", typed.data if path is None else str(path.resolve()), begun.get("path") or begun.get("name")
    if typed.test_data is not None:
        yield "test_data", str(typed.test_data.expanduser().resolve()), begun.get("test_path")
    if typed.task != "auto":
        yield "task", typed.task, load.get("task")
    for name, value in typed.columns.items():
        if value is not None:
            yield name, value, load.get(name)


def _differs(run: Run, field: str, value: Any, was: Any) -> UsageError:
    begun = f"{field} is {_shown(value)}, and {run.folder} was begun with {_shown(was)}"
    return UsageError.of_fields(f"{begun}; a run goes on as it began: leave it out, or train a new one")


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value)) or '""'
    return "none" if value is None else value if isinstance(value, str) and value else quoted(value)


def _leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields with their values, those of a table inside as "table.field"."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{leaf}", each) for leaf, each in value.items())
        else:
            yield name, value
