"""A run's settings as a file: read from TOML, from a run folder or its config.json, and written as TOML."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from jitnet.config import (
    TASKS,
    AugmentConfig,
    ModelConfig,
    TrainConfig,
    build,
    is_recipe_file,
    losses_of,
    read_recipe,
    recipe_names,
)
from jitnet.config.checking import CheckedConfig, quoted
from jitnet.config.settings_file import (
    FORMAT,
    SIZES,
    SettingsFile,
    check_format,
    read_bytes,
    read_tables,
    settings_in,
)
from jitnet.config.unused import unused_fields
from jitnet.errors import UsageError
from jitnet.runs.folder import CONFIG, MODEL
from jitnet.runs.run_settings import Settings, stand_in_sizes
from jitnet.runs.starting_model import described_start
from jitnet.version import __version__

if TYPE_CHECKING:
    from jitnet.training.trainer import Trainer

__all__ = ["as_toml", "complete", "read_settings", "settings_from", "toml_value", "versions", "what_differs"]

_COLUMNS = ("target", "group", "time", "weight", "ignore")
_WIDTH = 78
"""Of a line of the TOML text, where a comment can be divided."""


def read_settings(path: str | Path) -> Settings:
    """Return the settings in a TOML file, or those that a run had: path is its folder, or the config.json in it.

    Paths in a TOML file are relative to it. The settings of a run are complete, and hold the checksum of its data.
    Raises UsageError, which names the file, the line where it has lines, what was found and what was expected.
    """
    path = Path(os.path.expanduser(path))
    if os.path.isdir(path):
        if not os.path.exists(path / CONFIG):
            raise UsageError(f"{path}: the folder holds no {CONFIG}; expected a run folder, or a TOML file of settings")
        path = path / CONFIG
    if str(path) in recipe_names() and not os.path.exists(path):
        raise UsageError(f"{path}: there is no such file or folder; the recipe is --recipe {path}")
    if path.suffix == ".safetensors":
        raise UsageError(f"{path}: is a model; expected its run folder, or a TOML file of settings")
    content = read_bytes(path)
    if path.suffix == ".json" or content.lstrip().startswith(b"{"):
        return _of_run(path, content)
    # What comes through a pipe has no folder of its own.
    return _of_file(settings_in(content, str(path)), path.parent if os.path.isfile(path) else Path())


def settings_from(
    tables: Mapping[str, Any],
    name: str,
    folder: Path = Path(),
    lines: Mapping[tuple[str, ...], int] | None = None,
) -> Settings:
    """Return settings by the names that a file would have, flat or in tables, {"lr": 0.1, "hidden": [64]} for example.

    name: what messages call the source; lines: of its keys. folder: that paths are relative to. Raises UsageError as
    `read_settings` does.
    """
    return _of_file(read_tables(tables, name, lines), folder)


def _of_file(file: SettingsFile, folder: Path) -> Settings:
    """The settings of a TOML file in this folder."""
    from jitnet.datasets import names

    others = dict(file.others)
    if "recipe" in others and not is_recipe_file(others["recipe"]):
        place = file.place("recipe")
        read_recipe(others["recipe"], f"{place}: {place.name}")
    for name in ("data", "test_data", "recipe", "init"):
        word = others.get(name)
        if word is None or (name == "data" and word in names()) or (name == "recipe" and not is_recipe_file(word)):
            continue
        beside = folder / os.path.expanduser(word)
        # A word that is no path may be the name of a data set, misspelled: reading the data tells.
        if name != "data" or os.path.exists(beside) or Path(word).suffix or os.sep in word:
            # A recipe's path keeps its slash, by which it is one.
            others[name] = os.path.join(folder, os.path.expanduser(word)) if name == "recipe" else str(beside)
    return Settings(
        data=others.get("data"),
        test_data=Path(others["test_data"]) if "test_data" in others else None,
        columns={name: others[name] for name in _COLUMNS if name in others},
        task=others.get("task", "auto"),
        recipe=others.get("recipe"),
        init=Path(others["init"]) if "init" in others else None,
        network=file.network.get("", {}),
        training=file.training.get("", {}),
        by_task={task: (file.network.get(task, {}), file.training.get(task, {})) for task in TASKS},
        checksum=others.get("checksum", ""),
        places=file.places,
    )


def _of_run(path: Path, content: bytes) -> Settings:
    """The settings in a run folder's config.json."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: is not whole JSON ({error}); expected a run's {CONFIG}") from None
    parts = document if isinstance(document, dict) else {}
    missing = [name for name in ("data", "model", "train") if not isinstance(parts.get(name), dict)]
    if "format" in parts:
        check_format(parts["format"], str(path), str(parts.get("jitnet", "")))
    if missing:
        raise UsageError(f"{path}: lacks {missing[0]!r}, which a run's {CONFIG} has; expected one, or a TOML file")
    data, shape = parts["data"], {k: v for k, v in parts["model"].items() if k not in (*SIZES, "n_parameters")}
    where = data if "format" in parts else _where_data_are(path, data)
    others = {
        "data": where.get("path") or data.get("name"),
        "test_data": where.get("test_path"),
        "task": data.get("task"),
        "checksum": data.get("checksum"),
        **_columns_of(data.get("columns") or {}),
    }
    tables = {"data": {name: value for name, value in others.items() if value not in (None, [])}}
    try:
        settings = settings_from({**tables, "model": shape, "train": parts["train"]}, str(path), path.parent)
    except UsageError as error:
        if (by := parts.get("jitnet")) == __version__:
            raise
        raise UsageError(f"{error}; jitnet {by} wrote it, and this is {__version__}") from None
    unused = unused_fields(settings.network, settings.training)
    return replace(
        settings,
        init=_start_of(path, parts),
        network=_without(settings.network, unused),
        training=_without(settings.training, unused),
        from_recipe=parts["recipe"] if isinstance(parts.get("recipe"), str) else None,
        made_with=_made_with(parts),
    )


def _start_of(path: Path, parts: Mapping[str, Any]) -> Path | None:
    """The saved model that a run started from; UsageError where it is not what it was then."""
    if not isinstance(start := parts.get("init"), dict):
        return None
    found = Path(str(start.get("path")))
    try:
        checksum = described_start(found)["checksum"]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"{path}: the run started from the model {found}, which cannot be read: {reason}; restore it"
        ) from None
    if checksum != start.get("checksum"):
        raise UsageError(
            f"{path}: the run started from the model {found}, which has changed since; restore it, or name it with "
            "--init in a new run"
        )
    return found


def _columns_of(roles: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a table in a config.json, by the names of settings."""
    names = {"targets": "target", "ignored": "ignore"}
    return {names.get(role, role): value for role, value in roles.items()}


def _where_data_are(path: Path, data: Mapping[str, Any]) -> dict[str, Any]:
    """The paths of a run's data, where its config.json is of a version that did not have them: the model has."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path.parent / MODEL), framework="numpy") as file:
            about = file.metadata() or {}
    except (OSError, SafetensorError):
        raise UsageError(
            f"{path}: an earlier version of jitnet wrote it, without the path of the data, and {path.parent / MODEL}, "
            "which has it, cannot be read; write the settings into a TOML file"
        ) from None
    return {"path": about.get("data_path"), "test_path": about.get("test_data_path")}


def versions() -> dict[str, str]:
    """The versions of jitnet, of Python, and of the libraries that the loops are compiled with."""
    libraries = {name: metadata.version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"jitnet": __version__, "python": platform.python_version(), **libraries}


def _made_with(document: Mapping[str, Any]) -> dict[str, str]:
    """The versions and the processor in a config.json."""
    found, machine = document.get("versions"), document.get("machine")
    found = {"jitnet": document.get("jitnet"), **(found if isinstance(found, dict) else {})}
    if isinstance(machine, dict):
        found |= {"numba": machine.get("numba"), "processor": machine.get("cpu")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def what_differs(settings: Settings, trainer: "Trainer") -> list[str]:
    """Why a run from these settings, read from a file, may end with other bits than the run that they are of: sentences
    for the user, none where it repeats that run."""
    found = []
    here = versions() | {"processor": trainer.plan.machine.cpu}
    others = [
        f"{name} {before} (here {here[name]})"
        for name, before in settings.made_with.items()
        if name not in ("python", "numpy") and here.get(name, before) != before
    ]
    if others:
        found.append(f"the run was trained with {', '.join(others)}: the last bits of this one may be others")
    if settings.checksum not in ("", trainer.dataset.checksum):
        found.append(
            f"these are other data, with the checksum {trainer.dataset.checksum}; its checksum is {settings.checksum}"
        )
    return found


def complete(settings: Settings, trainer: "Trainer") -> Settings:
    """Return the settings of a run with nothing left to defaults, recipes or the data: with them it is repeated."""
    dataset = trainer.dataset
    path, test_path = settings.data_path, settings.test_data
    columns: dict[str, Any] = {}
    if dataset.preparation is not None:
        columns = _columns_of(dataset.preparation.roles.model_dump())
    shape = {name: value for name, value in trainer.model.config.model_dump().items() if name not in SIZES}
    training = trainer.config.model_dump()
    unused = unused_fields(shape, training)
    start = settings.start
    return Settings(
        init=None if start is None else start.resolve(),
        data=dataset.name if path is None else str(path.resolve()),
        test_data=None if test_path is None else test_path.expanduser().resolve(),
        columns={name: list(value) if isinstance(value, tuple) else value for name, value in columns.items() if value},
        task=dataset.task,
        network=_without(shape, unused),
        training=_without(training, unused),
        checksum=dataset.checksum,
        from_recipe=settings.recipe_name,
        made_with={**versions(), "processor": trainer.plan.machine.cpu},
    )


def as_toml(settings: Settings, task: str = "") -> str:
    """Return settings as the text of a TOML file: each field with what it is, those first that differ from the
    defaults, and as comments those that have no effect beside the others.

    `read_settings` reads it again. task: of the data, "classify" or "regress", where they are read; `complete` settings
    have it. Where it is unknown, fields that depend on it are in tables of each task. Raises UsageError where the
    settings do not fit together, or cannot be written as TOML.
    """
    network, _ = settings.resolve(task)
    if not task and (settings.task != "auto" or "loss" in network):
        task = settings.likely_task
    tasks = [task] if task else [each for each in TASKS if _fits(settings, each)] or ["classify"]
    every = [_whole(settings, each) for each in tasks]
    (values, unused), of_loss = every[0], {"loss"} if not task else set()
    by_task = {name for name in values for other, _ in every if other[name] != values[name]} - of_loss
    plain, _ = _whole(Settings(training={"optimizer": values["optimizer"]}), tasks[0])
    plain["optimizer"] = TrainConfig.model_fields["optimizer"].default
    lines = [f"# {line}" for line in _header(settings)] + [f"format = {FORMAT}"]
    data = {
        "data": settings.data,
        "test_data": None if settings.test_data is None else str(settings.test_data),
        **settings.columns,
        "task": task or None,
        "checksum": settings.checksum or None,
        "init": None if settings.start is None else str(settings.start),
    }
    lines += [f"{name} = {_toml(value)}" for name, value in data.items() if value not in (None, [], ())]
    for table, kind in _TABLES.items():
        hidden = by_task | of_loss | ({"init"} if settings.start is not None else set())
        shown = {name: values[name] for name in _fields_of(kind) if name not in hidden}
        lines += _table(table, kind, shown, plain, unused)
    for each, (own, without_effect) in zip(tasks, every, strict=True):
        for table, kind in _TABLES.items():
            names = [name for name in _fields_of(kind) if name in by_task and name not in without_effect]
            lines += ["", f"[{each}.{table}]"] * bool(names) + [f"{name} = {_toml(own[name])}" for name in names]
    return "\n".join([*lines, ""])


_TABLES: dict[str, type[CheckedConfig]] = {"model": ModelConfig, "train": TrainConfig, "train.augment": AugmentConfig}


def _fields_of(kind: type[CheckedConfig]) -> list[str]:
    """The names of the fields that a table of settings has. No two tables have the same name."""
    return [name for name in kind.model_fields if name not in (*SIZES, "augment")]


def _whole(settings: Settings, task: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Every field of settings for a task, by its name in its table; and those without effect, with what they need."""
    network, config = settings.resolve(task)
    network = {"loss": losses_of(task)[0], **network}
    shape = build(ModelConfig, {**network, **stand_in_sizes(network)})
    with settings.located(task):
        config.check_fits(shape)
    fields, training = shape.model_dump(), config.for_loss(shape.loss).model_dump()
    unused = {name.removeprefix("augment."): needs for name, needs in unused_fields(fields, training).items()}
    return {**fields, **training, **training["augment"]}, unused


def _fits(settings: Settings, task: str) -> bool:
    """Whether data of a task can be trained on with these settings."""
    try:
        _whole(settings, task)
    except UsageError:
        return False
    return True


def _header(settings: Settings) -> Iterator[str]:
    yield "Settings of a run: jitnet train --config FILE repeats it."
    if settings.made_with:
        made_with = ", ".join(f"{name} {value}" for name, value in settings.made_with.items())
        yield from wrap(f"Made with {made_with}.", _WIDTH)
    yield "Each table begins with what differs from the defaults."


def _table(
    name: str, kind: type[CheckedConfig], fields: Mapping[str, Any], plain: Mapping[str, Any], unused: Mapping[str, str]
) -> Iterator[str]:
    """The lines of a table: the fields that differ from plain ones, those that do not, and those without effect."""
    used = [field for field in fields if field not in unused]
    yield from ("", f"[{name}]")
    differ = [field for field in used if fields[field] != plain[field]]
    for field in differ:
        yield from _about(kind, field)
        yield f"{field} = {_toml(fields[field])}  # default: {_toml(plain[field])}"
    same = [field for field in used if field not in differ]
    if differ and same:
        yield from ("", "# As by default:")
    for field in same:
        yield from _about(kind, field)
        yield f"{field} = {_toml(fields[field])}"
    idle = [field for field in fields if field in unused]
    if idle:
        yield from ("", "# Without effect here:")
        yield from (f"# {field} = {_toml(fields[field])}  # {unused[field]}" for field in idle)


def _about(kind: type[CheckedConfig], field: str) -> list[str]:
    return [f"# {line}" for line in wrap(str(kind.model_fields[field].description), _WIDTH)]


def toml_value(value: Any) -> str:
    """Return a value as TOML writes it. UsageError where it is text that TOML cannot hold."""
    return _toml(value)


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(f"{quoted(value)} is not UTF-8 text, and TOML holds nothing else; rename it")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _without(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Fields without those of these names; those of a table inside are "table.field"."""
    inner = [name.partition(".") for name in names]
    return {
        name: _without(value, [leaf for table, _, leaf in inner if table == name]) if isinstance(value, dict) else value
        for name, value in fields.items()
        if name not in names
    }
