"""What a run is made from: its data, a recipe, and the fields of the network and of the training that were chosen."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
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
    read_recipe,
)
from jitnet.config.checking import any_of
from jitnet.config.settings_file import DATA_NAMES, Place, SettingsFile
from jitnet.config.unused import unused_fields
from jitnet.errors import DataError, UsageError
from jitnet.runs.starting_model import fields_of_start, start_from

if TYPE_CHECKING:
    from jitnet.datasets import Dataset, Progress, TaskAdvice
    from jitnet.training.trainer import Trainer

__all__ = ["Settings", "sizes_of", "stand_in_sizes", "task_for"]


Fields = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a run is made from; two runs of the same settings, data and seed end with the same bits.

    data: a name or a path, as `jitnet.load` takes it; None is its default. test_data: a path. columns: of a table, by
    the names of `jitnet.load`'s parameters. checksum: of the data that these settings are for, which are then the only
    ones that are accepted; "" for any. task: "auto", "classify", "regress" or "label". recipe: its name, or the path of
    its file. init: a saved model to start from, a file or a run folder, whose layers are the network's
    then.
    network, training: the fields of a `ModelConfig` and a `TrainConfig` that were chosen beside the recipe's; tables in
    them are dicts; numbers may be text. by_task: of "classify" and "regress", the fields of network and training that
    hold for that task alone. base: settings whose fields these replace. names: what messages call a field, where that
    is not its name; places: where each of the settings is written, where that is a file. Of a run's settings, which
    have every field, from_recipe is the recipe that some are from, and made_with the versions and the processor that it
    ran with.
    """

    data: str | None = None
    test_data: Path | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    task: str = "auto"
    recipe: str | None = None
    init: Path | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    checksum: str = ""
    by_task: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)
    base: "Settings | None" = None
    from_recipe: str | None = field(default=None, compare=False)
    made_with: Mapping[str, str] = field(default_factory=dict, compare=False)
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict, compare=False)

    def over(self, base: "Settings") -> "Settings":
        """Return these settings with all that they leave open as `base` has it.

        Where they say which data to read or how, the checksum of the base's data does not count."""
        columns = {name: value for name, value in self.columns.items() if value not in (None, [], ())}
        own = {"data": self.data, "test_data": self.test_data, "task": self.task if self.task != "auto" else None}
        chosen = {*columns, *(name for name, value in own.items() if value is not None)}
        others = bool(chosen) or "loss" in self.network
        kept = {key: place for key, place in base.places.items() if key[1] in DATA_NAMES and key[1] not in chosen}
        return replace(
            self,
            data=self.data if self.data is not None else base.data,
            test_data=self.test_data if self.test_data is not None else base.test_data,
            columns={**base.columns, **columns},
            # A chosen loss decides the task.
            task=self.task if self.task != "auto" or "loss" in self.network else base.task,
            checksum=self.checksum if others else base.checksum,
            base=base,
            places={**kept, **self.places},
        )

    def resolve(self, task: str = "") -> tuple[dict[str, Any], TrainConfig]:
        """Return the network's fields and the training's config: defaults, then the fields of the base, of the recipe,
        and those that were chosen.

        task: of the data, once they are read; before, it is that of the chosen loss, or else classes. The network still
        lacks what only the data know, see `sizes_of`; all else is checked here, so that a mistake is found before a
        download. Raises UsageError, which names the field.
        """
        task = task or self.likely_task
        with self.located(task):
            network, training, _ = self._fields(task)
            names = dict(self.names)
            shape = build(ModelConfig, {**network, **stand_in_sizes(network)}, names)
            config = build(TrainConfig, training, names)
            config.check_fits(shape)
        return network, config

    @property
    def start(self) -> Path | None:
        """The saved model that the network starts from, the topmost where there are several."""
        # A start that is chosen by its distribution replaces a model of the base.
        for each in self._stack():
            if each.init is not None:
                return each.init
            if "init" in each.network:
                return None
        return None

    @cached_property
    def recipe_file(self) -> SettingsFile:
        place = self.places.get(("", "recipe"))
        return read_recipe(str(self.recipe), *([f"{place}: {place.name}"] if place else []))

    @property
    def recipe_name(self) -> str | None:
        """The recipe that fields are from, the topmost where there are several."""
        return next((name for each in self._stack() if (name := each.recipe or each.from_recipe)), None)

    @property
    def likely_task(self) -> str:
        """The task, as far as it is known before the data are read."""
        if (start := self.start) is not None:
            return LOSSES[fields_of_start(start, {}, {})["loss"]].task
        for settings in self._stack():
            if (loss := settings.network.get("loss")) in LOSSES:
                return LOSSES[loss].task
        return "regress" if self.task == "regress" else "classify"

    def _stack(self) -> "Iterator[Settings]":
        """These settings, and below them their bases."""
        settings: Settings | None = self
        while settings is not None:
            yield settings
            settings = settings.base

    def fields(self, task: str = "") -> tuple[Fields, Fields]:
        """Return the fields of the network and of the training that are set: the base's, the recipe's and the chosen,
        without defaults, and not checked. task: as for `resolve`."""
        network, training, _ = self._fields(task or self.likely_task)
        return network, training

    def _fields(self, task: str) -> tuple[Fields, Fields, dict[str, Place | None]]:
        """The fields of the network and of the training, and where each of them is written, None where in no file."""
        network: Fields = {}
        training: Fields = {}
        places: dict[str, Place | None] = {}
        for settings in [*self._stack()][::-1]:
            if settings.recipe is not None:
                file = settings.recipe_file
                # Of a recipe a network that starts from a model takes the training alone.
                of_network = file.network if self.start is None else {}
                of_recipe = [(of_network.get(of, {}), file.training.get(of, {}), of) for of in ("", task)]
                _lay(network, training, places, of_recipe, file.places)
            for_task = settings.by_task.get(task, ({}, {}))
            own = [(settings.network, settings.training, ""), (*for_task, task)]
            _lay(network, training, places, own, settings.places)
        if (start := self.start) is not None:
            network = fields_of_start(start, network, self.names)
        return network, training, places

    @contextmanager
    def located(self, task: str = "") -> Iterator[None]:
        """Where an error is about a setting that is written in a file, name file and line, and its name there; where
        only a recipe sets a field that does not fit the data, name the recipe. task: of the data, as for `resolve`."""
        try:
            yield
        except UsageError as error:
            if not error.field:
                raise
            places = self._fields(task or self.likely_task)[2] | {
                name: place for (_, name), place in self.places.items() if name in DATA_NAMES
            }
            place = places.get(error.field)
            if place is None:
                raise
            if place.recipe:
                raise self._of_recipe(error, place.recipe) from None
            written = {name: other.name for name, other in places.items() if other is not None and not other.recipe}
            message = error.named({**self.names, **written})
            if not error.marked:
                message = message.replace(self._called(error.field), place.name, 1)
            raise UsageError(f"{place}: {message}") from None

    def _of_recipe(self, error: UsageError, recipe: str) -> UsageError:
        """An error about a field that only a recipe sets, with the recipe's name where it does not fit the data."""
        fits = _FITS_ONLY.get(error.field.partition(".")[0])
        if fits is None:
            return error
        what = error.named(dict(self.names)).removesuffix("; leave it out")
        them, off = ("them", "") if "." in error.field else ("it", f", or add {self._called(error.field)} 0")
        return UsageError(f"{what}; recipe {recipe} sets {them} and is for {fits}: leave the recipe out{off}")

    def check(self) -> None:
        """Raise UsageError where something is wrong that shows before the data are read."""
        self._task()

    def _task(self) -> str:
        """The task that the data must have, as `load` takes it."""
        network, _ = self.resolve()
        with self.located():
            return task_for(network, self.task)

    def load(self, progress: "Progress | None" = None, advice: "TaskAdvice | None" = None) -> "Dataset":
        """Return the data, with their checksum computed. Raises as `jitnet.load` does."""
        from jitnet.datasets import load

        task, saved = self._task(), None
        if (start := self.start) is not None:
            from jitnet.model.file import read

            saved = read(start).preparation
        with self.located():
            dataset = load(
                self.data,
                self.test_data,
                task=task,
                advice=advice,
                progress=progress,
                preparation=saved,
                **self.columns,
            )
        found, place = dataset.checksum, self.places.get(("", "checksum"))
        if self.checksum not in ("", found):
            where = f"{place}: {place.name}" if place else "checksum"
            raise DataError(
                f"{where}: these settings are for data with the checksum {self.checksum}; that of {dataset.name} "
                f"({dataset.source}) is {found}: the data have changed, or are others; restore them, leave the "
                "checksum out, or name other data with --data"
            )
        return dataset

    @property
    def data_path(self) -> Path | None:
        """The path of the data; None where they are known by name."""
        from jitnet.datasets import names

        return Path(self.data).expanduser() if self.data is not None and self.data not in names() else None

    def trainer(
        self,
        dataset: "Dataset",
        *,
        any_threads: bool = False,
        on_notice: "Callable[[str], object] | None" = None,
    ) -> "Trainer":
        """Return a trainer of a new network, or one that starts from `init`, on these data. any_threads: as `Trainer`
        takes it. on_notice: called with a notice where not all of the model could be taken."""
        from jitnet.model import Model
        from jitnet.training.trainer import Trainer

        network, config = self.resolve(dataset.task)
        if (start := self.start) is None:
            shape = build(ModelConfig, {**sizes_of(dataset), **network}, dict(self.names))
            model = Model.create(shape, dataset, seed=config.seed)
        else:
            model, notice = start_from(start, dataset, config.seed)
            if notice and on_notice is not None:
                on_notice(notice)
        # With these `jitnet eval` finds the data again, from any folder.
        paths = (("data_path", self.data_path), ("test_data_path", self.test_data))
        model.metadata |= {name: str(path.resolve()) for name, path in paths if path}
        with self.located(dataset.task):
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

    def _called(self, path: str) -> str:
        return self.names.get(path, path)


_DEFAULT_OPTIMIZER = TrainConfig.model_fields["optimizer"].default
_FITS_ONLY = {"label_smoothing": "classes", "augment": "images"}
"""Fields of a training that fit only some data, and which."""


def stand_in_sizes(network: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes with which a network can be checked before its data are read."""
    targets = network.get("loss") in losses_for("number", "label")
    return {"in_features": 1, **({"n_targets": 1} if targets else {"n_classes": 2})}


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


def _lay(
    network: Fields,
    training: Fields,
    places: dict[str, Place | None],
    layers: Iterable[tuple[Mapping[str, Any], Mapping[str, Any], str]],
    written: Mapping[tuple[str, str], Place],
) -> None:
    """Replace fields by those that were chosen, and remove those that have no use with these: the learning rate and the
    hyperparameters of another optimizer, and what only another choice uses.

    network, training, places: changed. layers: the fields of network and training that were chosen, with the task that
    they are for. written: where they are written, by task and name."""
    before = unused_fields(network, training)
    optimizer = training.get("optimizer", _DEFAULT_OPTIMIZER)
    chosen: set[str] = set()
    for of_network, of_training, task in layers:
        if of_training.get("optimizer", optimizer) != optimizer:
            optimizer = of_training["optimizer"]
            for name in {"learning_rate", *HYPERPARAMETERS} - chosen:
                training.pop(name, None)
        for fields, values in ((network, of_network), (training, of_training)):
            _merge(fields, values)
            for path in _paths(values):
                chosen.add(path)
                places[path] = written.get((task, path))
    for path in unused_fields(network, training).keys() - before.keys() - chosen:
        table, _, leaf = path.rpartition(".")
        for fields in (network, training):
            (fields.get(table, {}) if table else fields).pop(leaf, None)


def _merge(fields: dict[str, Any], chosen: Mapping[str, Any]) -> None:
    """Replace fields by those that were chosen, inside tables too."""
    for name, value in chosen.items():
        if isinstance(value, Mapping) and isinstance(fields.get(name), Mapping):
            fields[name] = {**fields[name], **value}
        else:
            fields[name] = dict(value) if isinstance(value, Mapping) else value


def _paths(fields: Mapping[str, Any]) -> Iterator[str]:
    """The names of fields, those of a table inside as "table.field"."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from (f"{name}.{leaf}" for leaf in value)
        else:
            yield name
