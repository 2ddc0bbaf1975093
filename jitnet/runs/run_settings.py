"""What a run is made from: its data, a recipe, and the fields of the network and of the training that were chosen."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jitnet.config import (
    HYPERPARAMETERS,
    LOSSES,
    TARGETS,
    TASKS,
    ModelConfig,
    TrainConfig,
    build,
    losses_for,
    recipe,
)
from jitnet.config.checking import any_of
from jitnet.errors import UsageError

if TYPE_CHECKING:
    from jitnet.datasets import Dataset, Progress, TaskAdvice
    from jitnet.training.trainer import Trainer

__all__ = ["Settings", "sizes_of", "task_for"]


@dataclass(frozen=True)
class Settings:
    """What a run is made from; two runs of the same settings, data and seed end with the same bits.

    data: a name or a path, as `jitnet.load` takes it; None is its default. test_data: a path. columns: of a table, by
    the names of `jitnet.load`'s parameters. task: "auto", "classify", "regress" or "label". recipe: its name.
    network, training: the fields of a `ModelConfig` and a `TrainConfig` that were chosen beside the recipe's; tables in
    them are dicts; numbers may be text. names: what messages call a field, where that is not its own name.
    """

    data: str | None = None
    test_data: Path | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    task: str = "auto"
    recipe: str | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, compare=False)

    def resolve(self, task: str = "") -> tuple[dict[str, Any], TrainConfig]:
        """Return the network's fields and the training's config: defaults, then the recipe's fields, then the chosen.

        task: of the data, once they are read; before, it is that of the chosen loss, or else classes. The network still
        lacks what only the data know, see `sizes_of`; all else is checked here, so that a mistake is found before a
        download. Raises UsageError, which names the field.
        """
        if not task:
            loss = self.network.get("loss")
            task = LOSSES[loss].task if loss in LOSSES else "classify"
        tables = recipe(self.recipe, task) if self.recipe is not None else {"model": {}, "train": {}}
        network, training = dict(tables["model"]), dict(tables["train"])
        _drop_overridden(training, self.network, self.training)
        _merge(network, self.network)
        _merge(training, self.training)
        loss = network.get("loss")
        outputs = {"n_targets": 1} if loss in losses_for("number", "label") else {"n_classes": 2}
        names = dict(self.names)
        shape = build(ModelConfig, {**network, "in_features": 1, **outputs}, names)
        config = build(TrainConfig, training, names)
        config.check_fits(shape)
        return network, config

    def check(self) -> None:
        """Raise UsageError where something is wrong that shows before the data are read."""
        task_for(self.resolve()[0], self.task)

    def load(self, progress: "Progress | None" = None, advice: "TaskAdvice | None" = None) -> "Dataset":
        """Return the data, with their checksum computed. Raises as `jitnet.load` does."""
        from jitnet.datasets import load

        task = task_for(self.resolve()[0], self.task)
        dataset = load(self.data, self.test_data, task=task, advice=advice, progress=progress, **self.columns)
        _ = dataset.checksum
        return dataset

    @property
    def data_path(self) -> Path | None:
        """The path of the data; None where they are known by name."""
        from jitnet.datasets import names

        return Path(self.data).expanduser() if self.data is not None and self.data not in names() else None

    def trainer(self, dataset: "Dataset", *, any_threads: bool = False) -> "Trainer":
        """Return a trainer of a new network on these data. any_threads: as `Trainer` takes it."""
        from jitnet.model import Model
        from jitnet.training.trainer import Trainer

        network, config = self.resolve(dataset.task)
        shape = build(ModelConfig, {**sizes_of(dataset), **network}, dict(self.names))
        model = Model.create(shape, dataset, seed=config.seed)
        # With these `jitnet eval` finds the data again, from any folder.
        paths = (("data_path", self.data_path), ("test_data_path", self.test_data))
        model.metadata |= {name: str(path.resolve()) for name, path in paths if path}
        with self.naming_recipe(dataset.task):
            trainer = Trainer(model, dataset, config, any_threads=any_threads)
        trainer.loaded_with = self._loaded_with(dataset)
        return trainer

    def _loaded_with(self, dataset: "Dataset") -> dict[str, Any]:
        """The arguments with which `jitnet.load` returns these data again, from any folder."""
        found: dict[str, Any] = {
            "name_or_path": dataset.name if self.data_path is None else str(self.data_path.resolve()),
            "test_data": self.test_data and str(self.test_data.expanduser().resolve()),
            "task": task_for(self.resolve()[0], self.task),
            **self.columns,
        }
        return {name: value for name, value in found.items() if value is not None}

    @contextmanager
    def naming_recipe(self, task: str) -> Iterator[None]:
        """Where an error is about a field that only the recipe sets for the task, name the recipe."""
        try:
            yield
        except UsageError as error:
            message = error.named(dict(self.names))
            sets = recipe(self.recipe, task)["train"] if self.recipe is not None else {}
            for name, fitting in _FITS_ONLY.items():
                fields = [path for path in _paths(TrainConfig) if path.partition(".")[0] == name]
                chosen = _is_chosen(self.training.get(name))
                if name in sets and not chosen and any(self._called(path) in message for path in fields):
                    what = message.removesuffix("; leave it out")
                    off = f", or add {self._called(fields[0])} 0" if len(fields) == 1 else ""
                    them = "it" if len(fields) == 1 else "them"
                    raise UsageError(
                        f"{what}; recipe {self.recipe} sets {them} and is for {fitting}: leave the recipe out{off}"
                    ) from None
            raise

    def _called(self, path: str) -> str:
        return self.names.get(path, path)


_FITS_ONLY = {"label_smoothing": "classes", "augment": "images"}
"""Fields of a training that fit only some data, and which."""


def sizes_of(dataset: "Dataset") -> dict[str, Any]:
    """The fields of a network that its data decide, unless the user did."""
    if dataset.n_targets is None:
        return {"in_features": dataset.in_features, "n_classes": dataset.n_classes}
    found = {"in_features": dataset.in_features, "n_targets": dataset.n_targets}
    return found | ({"loss": losses_for("label")[0]} if dataset.target == "label" else {})


def task_for(network: Mapping[str, Any], chosen: str = "auto") -> str:
    """The task that data must have to fit the chosen loss, as `load` takes it; where none was chosen, that of --task.

    UsageError where the two differ, or there is no such task."""
    if chosen not in ("auto", *TASKS):
        raise UsageError.of_fields(f"<task>: expected {any_of(['auto', *TASKS])}, found {chosen!r}")
    if "loss" not in network:
        return chosen
    loss = LOSSES[network["loss"]]
    if chosen not in ("auto", loss.task):
        raise UsageError.of_fields(
            f"<task> {chosen} and <loss> {network['loss']} do not fit: that loss is for {TARGETS[loss.target]}"
        )
    return "label" if loss.target == "label" else loss.task


def _merge(fields: dict[str, Any], chosen: Mapping[str, Any]) -> None:
    """Replace fields by those that were chosen, inside tables too."""
    for name, value in chosen.items():
        if isinstance(value, Mapping) and isinstance(fields.get(name), Mapping):
            fields[name] = {**fields[name], **value}
        else:
            fields[name] = dict(value) if isinstance(value, Mapping) else value


def _paths(kind: type[TrainConfig]) -> list[str]:
    """The names of all fields, those of a table inside as "table.field"."""
    found = []
    for name, info in kind.model_fields.items():
        nested = getattr(info.annotation, "model_fields", None)
        found += [name] if nested is None else [f"{name}.{leaf}" for leaf in nested]
    return found


def _is_chosen(value: Any) -> bool:
    return value is not None and value != {}


def _drop_overridden(recipe_fields: dict[str, Any], network: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Remove the recipe's fields of a training that have no use with what was chosen: the learning rate and the
    hyperparameters of another optimizer, what held-out data are for, and the rate of factors of inputs."""
    optimizer, default = training.get("optimizer"), TrainConfig.model_fields["optimizer"].default
    dropped: list[str] = []
    if optimizer is not None and optimizer != recipe_fields.get("optimizer", default):
        dropped += ["learning_rate", *HYPERPARAMETERS]
    if training.get("val_split") is not None and _is_zero(training["val_split"]):
        dropped += ["patience", "monitor", "keep"]
    if network.get("input_scale") is False:
        dropped += ["input_scale_rate"]
    for name in dropped:
        recipe_fields.pop(name, None)


def _is_zero(value: Any) -> bool:
    try:
        return float(value) == 0.0
    except ValueError:
        return False
