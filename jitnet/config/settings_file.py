"""Settings in a TOML file: by the names of options or of fields, at the top or in tables. Recipes are such files.

recipe = "fast"          # fields that the file does not set
data = "houses.csv"      # paths are relative to the file
target = "price"
epochs = 20              # at the top,
[train]                  # or in the tables [data], [model], [train] and [train.augment];
lr = 0.5                 # by an option's name without its dashes, or a field's
[regress.train]          # what holds for one task alone: [classify.model], [classify.train], [regress.model], …
label-smoothing = 0      # with dashes or underscores
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from jitnet.config.checking import CheckedConfig, any_of, expected, fits, quoted
from jitnet.config.choices import TASKS
from jitnet.config.key_lines import key_lines
from jitnet.config.model import ModelConfig
from jitnet.config.nearest import nearest
from jitnet.config.training import AugmentConfig, TrainConfig
from jitnet.errors import UsageError
from jitnet.version import __version__

__all__ = [
    "DATA_NAMES",
    "FORMAT",
    "RUNNING",
    "SIZES",
    "Place",
    "SettingsFile",
    "check_format",
    "field_of",
    "read_bytes",
    "read_tables",
    "read_toml",
    "settings_in",
    "tables_in",
]

FORMAT = 1
"""Of files of settings, and of run folders' config.json. A file of a higher one is refused."""

MOST_BYTES = 1 << 20
"""Of a file of settings: a larger one is something else."""

SIZES = ("in_features", "n_classes", "n_targets")
"""Fields of a network that its data decide."""

_ALIASES = {"lr": "learning_rate", "target_acc": "target_accuracy"}
"""Names of options that are not their fields'."""

_COLUMN, _COLUMNS = "the name of a column or its number, from 1", "names of columns, or their numbers, from 1"
_PATH = "a name or a path, as text"

DATA_NAMES = {
    "data": _PATH,
    "test_data": "a path, as text",
    "target": _COLUMNS,
    "task": any_of(["auto", *TASKS]),
    "group": _COLUMN,
    "time": _COLUMN,
    "weight": _COLUMN,
    "ignore": _COLUMNS,
    "checksum": "64 hexadecimal digits",
}
"""Settings of the data, and what each takes, in words."""

_ABOUT_FILE = {"about": "text", "format": "a whole number", "recipe": "the name of a recipe, or a path, as text"}
AUGMENT = "train.augment"
_TABLES = ("data", "model", "train", *TASKS)
RUNNING = (
    "out", "json", "quiet", "explain", "print_schedule", "print_config", "config", "resume", "checkpoint",
    "tensorboard", "committee", "on", "time_limit", "dry_run", "find_lr",
)  # fmt: skip
"""Options that say what to do with a run, and not what it is: no settings."""


@dataclass(frozen=True)
class Place:
    """Where a setting is written. file: its name. line: from 1; 0 where lines say nothing. name: the setting's there.
    recipe: the recipe's name, where the file is one that comes with jitnet."""

    file: str
    line: int
    name: str
    recipe: str = ""

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


@dataclass
class SettingsFile:
    """What a file sets, each value checked by itself.

    network, training: fields of a `ModelConfig` and a `TrainConfig`, by task, "" for all tasks; tables in them are
    dicts. others: the remaining settings by name. places: where each is, by task and name; fields of a table inside are
    "table.field".
    """

    network: dict[str, dict[str, Any]] = field(default_factory=dict)
    training: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str, str], Place] = field(default_factory=dict)

    def place(self, name: str) -> Place:
        """Where a setting is that holds for all tasks."""
        return self.places["", name]


@dataclass(frozen=True)
class _Key:
    """What a name means: the table it is in, the name of the setting, and the field that it sets, where it sets one."""

    table: str
    name: str
    kind: type[CheckedConfig] | None = None
    leaf: str = ""


def _keys() -> Iterator[tuple[str, _Key]]:
    for table, kind in (("model", ModelConfig), ("train", TrainConfig)):
        for name in kind.model_fields:
            if name not in (*SIZES, "augment"):
                yield name, _Key(table, name, kind, name)
    for name in AugmentConfig.model_fields:
        yield name, _Key(AUGMENT, f"augment.{name}", AugmentConfig, name)
    for alias, name in _ALIASES.items():
        yield alias, _Key("train", name, TrainConfig, name)
    for name in DATA_NAMES:
        yield name, _Key("data", name)
    for name in _ABOUT_FILE:
        yield name, _Key("", name)


_KEYS = dict(_keys())


def read_bytes(path: Path) -> bytes:
    """Return what a file of settings holds; UsageError, which names it, where that cannot be one."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file or folder") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot be read: {reason}; expected a TOML file of settings") from None
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path}: is larger than {MOST_BYTES:,} bytes; expected a TOML file of settings")
    if not content.strip():
        raise UsageError(f"{path}: is empty; expected settings, learning-rate = 0.1 for example")
    return content


def read_toml(path: Path) -> SettingsFile:
    """Read a TOML file of settings. UsageError names the file, the line, what was found and what was expected."""
    return settings_in(read_bytes(path), str(path))


def settings_in(content: bytes, file: str, recipe: str = "") -> SettingsFile:
    """The settings in the content of a TOML file. file: its name; recipe: of one that comes with jitnet, its name."""
    tables, lines = tables_in(content, file)
    reader = _Reader(file, lines, recipe)
    reader.take(tables, (), "", "")
    if not tables:
        raise UsageError(f"{file}: sets nothing; expected settings, learning-rate = 0.1 for example")
    return reader.found


def tables_in(content: bytes, file: str) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Return the tables of a TOML file's content, and the line of each key; UsageError where it is not TOML."""
    text = _text(content, file)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_syntax(file, text, str(error))) from None
    except RecursionError:
        raise UsageError(f"{file}: holds tables or lists inside each other, too deep to read") from None
    except ValueError as error:  # a number of thousands of digits
        raise UsageError(f"{file}: cannot be read: {error}") from None
    return tables, key_lines(text)


def field_of(name: str) -> tuple[type[CheckedConfig], str] | None:
    """Return the config and its field that a setting's name is for; None where it is no field of the network or the
    training."""
    key = _KEYS.get(name.replace("-", "_"))
    return (key.kind, key.leaf) if key is not None and key.kind is not None else None


def read_tables(
    tables: Mapping[str, Any], file: str, lines: Mapping[tuple[str, ...], int] | None = None
) -> SettingsFile:
    """The settings in tables that were read already, of JSON for example. file: its name; lines: of their keys, where
    it has lines."""
    reader = _Reader(file, lines or {})
    reader.take(tables, (), "", "")
    return reader.found


def check_format(found: object, where: str, made_by: str = "") -> None:
    """UsageError where the format of a file is higher than this version reads, or no number. where: the file and
    line."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UsageError(f"{where}: format: expected {FORMAT}, found {_found(found)}")
    if found > FORMAT:
        newer = f"jitnet {made_by}" if made_by else "a newer version"
        raise UsageError(
            f"{where}: is of format {found}, which {newer} writes; this is jitnet {__version__}, which reads up to "
            f"format {FORMAT}: update it with pip install -U jitnet"
        )


def _text(content: bytes, file: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageError(f"{file}: is text in UTF-16; save it as UTF-8")
    if b"\0" in content:
        raise UsageError(f"{file}: is not text; expected a TOML file of settings, or a run folder")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise UsageError(f"{file}, line {line}: the byte 0x{byte:02x} is not UTF-8 text; save it as UTF-8") from None


def _syntax(file: str, text: str, message: str) -> str:
    """What is wrong with a text that is not TOML: the reader's message, with its line first."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return f"{file}: is not valid TOML: {message}"
    what, line, column = match.groups()
    at = f", column {column}" if column else ""
    return f"{file}, line {line or len(text.splitlines())}{at}: is not valid TOML: {what[0].lower()}{what[1:]}"


class _Reader:
    """Takes what a file's tables set."""

    def __init__(self, file: str, lines: Mapping[tuple[str, ...], int], recipe: str = "") -> None:
        self.file, self.lines, self.recipe = file, lines, recipe
        self.found = SettingsFile()

    def take(self, tables: Mapping[str, Any], at: tuple[str, ...], table: str, task: str) -> None:
        """Take the settings of a table. at: its name as written. table: which it is, "" for the top, without the task
        that it is for."""
        # A newer format first: other names may be of it.
        for key, value in sorted(tables.items(), key=lambda item: item[0] != "format"):
            here, name = (*at, key), key.replace("-", "_")
            inner = _inner(table, name)
            if inner is None or (name in _KEYS and not isinstance(value, dict)):  # the text `data`, or the table
                self._set(self._key(here, name, table), here, value, task)
            elif isinstance(value, dict):
                self.take(value, here, inner, name if inner in TASKS else task)
            else:
                self._wrong(here, f"{key}: expected a table of settings, found {_found(value)}")

    def _key(self, here: tuple[str, ...], name: str, table: str) -> _Key:
        """What a name in a table means."""
        key, shown = _KEYS.get(name), here[-1]
        if key is not None and (not table or key.table == table or (key.table == AUGMENT and table == "train")):
            return key
        if key is not None:
            right = f"in [{key.table}] or at the top" if key.table else "at the top, before the first table"
            self._wrong(here, f"{shown}: does not belong in [{'.'.join(here[:-1])}]; write it {right}")
        if name in SIZES:
            self._wrong(here, f"{shown}: is decided by the data; leave it out")
        if name in RUNNING:
            self._wrong(here, f"{shown}: is no setting of a run; type --{name.replace('_', '-')} beside --config")
        near = nearest(name, [*_KEYS, *_TABLES, "augment"])
        if near is None:
            self._wrong(here, f"{shown}: there is no such setting; jitnet train --help lists the options")
        self._wrong(here, f"{shown}: there is no such setting; did you mean {_spelled_as(near, shown)}?")

    def _set(self, key: _Key, here: tuple[str, ...], value: Any, task: str) -> None:
        place = self._place(here)
        before = self.found.places.setdefault((task, key.name), place)
        if before is not place:
            as_well = f" as {before.name}" if before.name != here[-1] else ""
            self._wrong(here, f"{here[-1]}: is set in line {before.line} already{as_well}; set it once")
        if key.name == "init" and isinstance(value, str) and _is_model(value):
            self.found.others["init"] = value
            return
        if key.kind is None:
            self.found.others[key.name] = self._other(key.name, here, value)
            return
        if key.leaf == "class_weight" and isinstance(value, dict):
            value = ",".join(f"{name}={weight}" for name, weight in value.items())
        if get_origin(key.kind.model_fields[key.leaf].annotation) is tuple:
            value = tuple(value) if isinstance(value, list) else (value,)
        if not fits(key.kind, key.leaf, value):
            self._unfit(key.kind, key.leaf, here, value)
        fields = (self.found.network if key.table == "model" else self.found.training).setdefault(task, {})
        inner, _, leaf = key.name.rpartition(".")
        (fields.setdefault(inner, {}) if inner else fields)[leaf] = value

    def _unfit(self, kind: type[CheckedConfig], leaf: str, here: tuple[str, ...], value: Any) -> NoReturn:
        wanted = expected(kind, leaf, typed=False).replace("a tuple of", "a list of").replace("True or F", "true or f")
        if isinstance(value, tuple):
            value = next((each for each in value if not fits(kind, leaf, (each,))), list(value))
        annotation = kind.model_fields[leaf].annotation
        near = nearest(str(value), get_args(annotation)) if get_origin(annotation) is Literal else None
        hint = f"; did you mean {near}?" if near else ""
        self._wrong(here, f"{here[-1]}: expected {wanted}, found {_found(value)}{hint}")

    def _other(self, name: str, here: tuple[str, ...], value: Any) -> Any:
        """The value of a setting that is no field, checked."""
        wanted = DATA_NAMES.get(name) or _ABOUT_FILE[name]
        if name == "format":
            check_format(value, str(self._place(here)))
            return value
        if wanted == _COLUMNS:
            parts = value if isinstance(value, list) else [value]
            right = bool(parts) and all(map(_is_column, parts))
            value = list(parts)
        elif wanted == _COLUMN:
            right = _is_column(value)
        elif name == "task":
            right = value in ("auto", *TASKS)
        elif name == "checksum":
            right = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
        else:
            right = isinstance(value, str) and bool(value.strip() or name == "about") and "\0" not in value
        if not right:
            near = nearest(str(value), TASKS) if name == "task" else None
            hint = f"; did you mean {near}?" if near else ""
            self._wrong(here, f"{here[-1]}: expected {wanted}, found {_found(value)}{hint}")
        return value

    def _place(self, here: tuple[str, ...]) -> Place:
        known = [here[:count] for count in range(len(here), 0, -1) if here[:count] in self.lines]
        return Place(self.file, self.lines[known[0]] if known else 0, here[-1], self.recipe)

    def _wrong(self, here: tuple[str, ...], what: str) -> NoReturn:
        raise UsageError(f"{self._place(here)}: {what}")


def _is_model(text: str) -> bool:
    """Whether what a network starts from is the path of a saved model: it has a folder or an ending, or is there."""
    path = Path(text).expanduser()
    return len(path.parts) > 1 or path.suffix == ".safetensors" or path.exists()


def _inner(table: str, name: str) -> str | None:
    """Which table a name in a table is; None where it is none."""
    if name == "augment" and table in ("", "train"):
        return AUGMENT
    if not table and name in _TABLES:
        return name
    return name if table in TASKS and name in ("model", "train") else None


def _spelled_as(name: str, other: str) -> str:
    """A name with dashes where another has them."""
    return name.replace("_", "-") if "-" in other else name


def _is_column(value: object) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _found(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "a table" if isinstance(value, dict) else quoted(value) if isinstance(value, (str, list)) else str(value)
