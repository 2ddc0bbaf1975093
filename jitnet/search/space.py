"""The space of a sweep: a file of settings, as `jitnet train --config` takes it, with a table of what is searched.

data = "fashion-mnist"       # the same for all trials
epochs = 10
[search]
lr = { from = 1e-4, to = 0.1, log = true }
batch-size = { from = 16, to = 128, step = 16 }
hidden = { choose = ["128", "256,128"] }
activation = ["relu", "gelu"]        # choose, in short
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_origin

from jitnet.config import is_recipe_file
from jitnet.config.checking import any_of, quoted
from jitnet.config.nearest import nearest
from jitnet.config.settings_file import Place, field_of, read_bytes, read_tables, tables_in
from jitnet.config.unused import unused_fields
from jitnet.errors import UsageError
from jitnet.runs.run_config import settings_from, toml_value
from jitnet.runs.run_settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["EXAMPLE", "Choices", "Range", "Space", "read_space", "space_in"]

EXAMPLE = "[search] lr = { from = 1e-4, to = 0.1, log = true }"

SEARCH = "search"

RANGE = ("from", "to", "step", "log")

COMPARED = ("val-split", "data", "test-data", "target", "group", "time", "weight", "ignore", "task", "checksum")
"""Settings that are the same for all trials: their scores are of the same rows."""

COMBINATIONS = 64
"""How many combinations of searched values are tried for one that fits together."""

Label = str | int | float | bool


@dataclass(frozen=True)
class Choices:
    """A setting of which one of some values is chosen. name: as in the file. values: by what a trial's parameters call
    each."""

    name: str
    place: Place
    values: Mapping[Label, Any]

    @property
    def samples(self) -> list[Label]:
        """Parameters that show whether the setting can have what is searched."""
        return list(self.values)

    @property
    def distribution(self) -> "BaseDistribution":
        """The same as Optuna has it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(list(self.values))

    def value_of(self, parameter: Any) -> Any:
        """The setting's value in a file, from a trial's parameter."""
        return self.values[parameter]


@dataclass(frozen=True)
class Range:
    """A setting that is a number between two, both included. whole: a whole number. log: as likely between 1 and 10 as
    between 10 and 100. step: from the low end on; None for any number."""

    name: str
    place: Place
    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    @property
    def samples(self) -> list[float]:
        """Parameters that show whether the setting can have what is searched."""
        return [self.low, self.high]

    @property
    def distribution(self) -> "BaseDistribution":
        """The same as Optuna has it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def value_of(self, parameter: Any) -> Any:
        """The setting's value in a file, from a trial's parameter."""
        return parameter


@dataclass(frozen=True)
class Space:
    """What a sweep searches. settings: the fixed ones. searched: the others. file, folder: where it was read from, to
    which its paths are relative."""

    settings: Settings
    searched: tuple[Choices | Range, ...]
    file: str
    folder: Path

    @property
    def distributions(self) -> dict[str, "BaseDistribution"]:
        """What is searched, as Optuna has it, by the names in the file."""
        return {one.name: one.distribution for one in self.searched}

    def with_training(self, **fields: Any) -> "Space":
        """The same with some fields of the training that are fixed."""
        return replace(self, settings=replace(self.settings, training={**self.settings.training, **fields}))

    def settings_for(self, parameters: Mapping[str, Any]) -> Settings:
        """What a trial's run is made from. A parameter that has no effect beside the others is left out: the momentum
        of an optimizer without one, for example. Raises UsageError where the others do not fit together."""
        kept = dict(parameters)
        while True:
            chosen = self._chosen(kept)
            unused = unused_fields(*chosen.fields())
            idle = [name for name in kept if (home := field_of(name)) is not None and _path(home) in unused]
            if not idle:
                return chosen
            for name in idle:
                del kept[name]

    def _chosen(self, parameters: Mapping[str, Any]) -> Settings:
        by_name = {one.name: one for one in self.searched}
        tables = {name: by_name[name].value_of(value) for name, value in parameters.items()}
        lines: dict[tuple[str, ...], int] = {(name,): by_name[name].place.line for name in parameters}
        trial = settings_from(tables, self.file, self.folder, lines)
        fixed = self.settings if trial.recipe is None else replace(self.settings, recipe=trial.recipe)
        return replace(trial, recipe=None).over(fixed)  # what is fixed goes before a recipe that is searched

    def check(self) -> None:
        """Raise UsageError where something is wrong that shows before the data are read: where no combination of what
        is searched fits together, the first one's error."""
        errors: list[UsageError] = []
        combinations = itertools.product(*(one.samples for one in self.searched))
        for values in itertools.islice(combinations, COMBINATIONS):
            try:
                self.settings_for(dict(zip((one.name for one in self.searched), values, strict=True))).check()
                return
            except UsageError as error:
                errors.append(error)
        raise errors[0]

    def as_toml(self, parameters: Mapping[str, Any]) -> str:
        """The settings of a trial as a TOML file that `jitnet train --config` takes: those that differ from the
        defaults by being set here."""
        settings = self.settings_for(parameters)
        data = {"data": settings.data, "test_data": settings.test_data, **settings.columns}
        if settings.data_path is not None:
            data["data"] = settings.data_path.resolve()
        if settings.test_data is not None:
            data["test_data"] = settings.test_data.resolve()
        tables: dict[str, dict[str, Any]] = {"": {}, "model": {}, "train": {}}
        tables[""] = {name: str(value) if isinstance(value, Path) else value for name, value in data.items()}
        tables[""] |= {"task": None if settings.task == "auto" else settings.task}
        stack = [settings]
        while stack[-1].base is not None:
            stack.append(stack[-1].base)
        for each in reversed(stack):
            recipe = each.recipe
            if recipe is not None:
                tables[""]["recipe"] = str(Path(recipe).resolve()) if is_recipe_file(recipe) else recipe
            for table, fields in (("model", each.network), ("train", each.training)):
                _lay(tables[table], fields)
            for task, (network, training) in each.by_task.items():
                _lay(tables.setdefault(f"{task}.model", {}), network)
                _lay(tables.setdefault(f"{task}.train", {}), training)
        lines: list[str] = []
        for name, fields in tables.items():
            lines += _table(name, fields)
        return "\n".join([*lines, ""])


def _lay(fields: dict[str, Any], over: Mapping[str, Any]) -> None:
    for name, value in over.items():
        fields[name] = {**fields.get(name, {}), **value} if isinstance(value, Mapping) else value


def _table(name: str, fields: Mapping[str, Any]) -> Iterator[str]:
    plain = {key: value for key, value in fields.items() if value not in (None, [], {}) and not isinstance(value, dict)}
    if plain and name:
        yield from ("", f"[{name}]")
    for key, value in plain.items():
        yield f"{key.replace('_', '-')} = {toml_value(value)}"
    for key, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _table(f"{name}.{key}", value)


def _path(home: tuple[Any, str]) -> str:
    """A field as `unused_fields` calls it."""
    kind, leaf = home
    return f"augment.{leaf}" if kind.__name__ == "AugmentConfig" else leaf


def read_space(path: Path) -> Space:
    """Return the space in a file. Raises UsageError, which names the file, the line, what was found and what was
    expected."""
    return space_in(read_bytes(path), str(path), path.parent)


def space_in(content: bytes, file: str, folder: Path) -> Space:
    """The space in a file's content. file: its name in messages. folder: to which its paths are relative."""
    tables, lines = tables_in(content, file)
    search = tables.pop(SEARCH, None)
    if search is None:
        near = nearest(SEARCH, [name for name, value in tables.items() if isinstance(value, dict)])
        hint = f"; did you mean [{SEARCH}] by [{near}]?" if near else ""
        raise UsageError(
            f"{file}: has no table [{SEARCH}] of what is searched; expected one, {EXAMPLE} for example{hint}"
        )
    settings = settings_from(tables, file, folder, lines)
    reader = _Reader(file, lines, {name for _, name in settings.places})
    if not isinstance(search, dict):
        reader.wrong((), f"{SEARCH}: expected a table, found {quoted(search)}; write {EXAMPLE}")
    if not search:
        reader.wrong((), f"[{SEARCH}] is empty: nothing is searched; expected settings, {EXAMPLE} for example")
    searched = tuple(reader.read(name, value) for name, value in search.items())
    return Space(settings, searched, file, folder)


class _Reader:
    """Reads what is searched. fixed: the names of settings that the file fixes."""

    def __init__(self, file: str, lines: Mapping[tuple[str, ...], int], fixed: set[str]) -> None:
        self.file, self.lines, self.fixed = file, lines, fixed
        self._read: dict[str, str] = {}

    def read(self, name: str, spec: Any) -> Choices | Range:
        home = self._home(name)
        self._check_once(name, home)
        if isinstance(spec, list):
            spec = {"choose": spec}
        if not isinstance(spec, dict):
            self.wrong(
                (name,), f"{name}: expected what to search, found {quoted(spec)}; a fixed value is above [{SEARCH}]"
            )
        if unknown := [key for key in spec if key not in ("choose", *RANGE)]:
            near = nearest(unknown[0], ("choose", *RANGE))
            hint = f"; did you mean {near}?" if near else ""
            self.wrong((name,), f"{name}: expected choose, or from, to, step and log, found {unknown[0]}{hint}")
        one = self._choices(name, home, spec) if "choose" in spec else self._range(name, home, spec)
        for sample in one.samples:
            read_tables({name: one.value_of(sample)}, self.file, {(name,): one.place.line})
        return one

    def _home(self, name: str) -> tuple[Any, str] | None:
        """The field that a setting is; None for the recipe. What cannot be searched is refused."""
        key = name.replace("_", "-")
        if key in COMPARED:
            self.wrong(
                (name,), f"{name}: is the same for all trials, whose scores are compared; write it above [{SEARCH}]"
            )
        if key == "threads":
            self.wrong(
                (name,), f"{name}: trials run on one thread each, and the bits are the same on any; leave it out"
            )
        if key in ("model", "train", "augment"):
            self.wrong(
                (name,), f"[{SEARCH}.{name}]: settings are searched by their names alone; write them in [{SEARCH}]"
            )
        if (home := field_of(name)) is None and key != "recipe":
            read_tables({name: None}, self.file, {(name,): self._line((name,))})  # says that there is no such setting
            self.wrong((name,), f"{name}: cannot be searched; write it above [{SEARCH}]")
        return home

    def _check_once(self, name: str, home: tuple[Any, str] | None) -> None:
        path = _path(home) if home is not None else name
        if path in self.fixed:
            self.wrong((name,), f"{name}: is fixed above [{SEARCH}] and searched as well; leave one of them out")
        if path in self._read:
            self.wrong((name,), f"{name}: is searched as {self._read[path]} already; leave one of them out")
        self._read[path] = name

    def _choices(self, name: str, home: tuple[Any, str] | None, spec: Mapping[str, Any]) -> Choices:
        values = spec["choose"]
        if len(spec) > 1:
            other = next(key for key in spec if key != "choose")
            self.wrong((name,), f"{name}: choose and {other} cannot be combined; expected choose, or from and to")
        if not isinstance(values, list) or not values:
            self.wrong((name,), f"{name}: choose: expected a list of values, found {quoted(values)}")
        found: dict[Label, Any] = {}
        for value in values:
            label, value = self._labelled(name, home, value)
            if label in found:
                self.wrong((name,), f"{name}: choose: {quoted(value)} is there twice")
            found[label] = value
        if len(found) < 2:
            self.wrong((name,), f"{name}: choose: one value is no choice; write it above [{SEARCH}]")
        return Choices(name, self._place(name), found)

    def _labelled(self, name: str, home: tuple[Any, str] | None, value: Any) -> tuple[Label, Any]:
        """What a trial's parameters call a choice, and the setting's value."""
        listed = home is not None and get_origin(home[0].model_fields[home[1]].annotation) is tuple
        if listed and isinstance(value, str):  # as it is typed in a terminal: "256,128"
            parts = [part.strip() for part in value.split(",") if part.strip()]
            try:
                value = [int(part) if part.lstrip("+-").isdecimal() else float(part) for part in parts]
            except ValueError:
                self.wrong((name,), f"{name}: choose: expected numbers, separated by commas, found {quoted(value)}")
        if listed:
            numbers = value if isinstance(value, list) else [value]
            return ",".join(map(str, numbers)), value
        if isinstance(value, (dict, list)) or not isinstance(value, (str, int, float, bool)):
            self.wrong((name,), f"{name}: choose: expected texts, numbers or true and false, found {quoted(value)}")
        return value, value

    def _range(self, name: str, home: tuple[Any, str] | None, spec: Mapping[str, Any]) -> Range:
        number = None if home is None else _number_of(home[0].model_fields[home[1]].annotation)
        if number is None:
            self.wrong((name,), f"{name}: is no number; expected {{ choose = [...] }}")
        if missing := [key for key in ("from", "to") if key not in spec]:
            needs = "choose, or from and to" if len(missing) == 2 else f"{missing[0]} as well"
            self.wrong((name,), f"{name}: expected {needs}, found {any_of(list(spec)) or 'nothing'} alone")
        low, high, step, log = spec["from"], spec["to"], spec.get("step"), spec.get("log", False)
        kinds = (int,) if number is int else (int, float)
        for key, value in (("from", low), ("to", high), ("step", step)):
            right = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not right:
                what = "a whole number" if number is int else "a number"
                self.wrong((name,), f"{name}: {key}: expected {what}, found {_in_toml(value)}")
        if not isinstance(log, bool):
            self.wrong((name,), f"{name}: log: expected true or false, found {quoted(log)}")
        if low >= high:
            how = "is one value: write it above [search]" if low == high else "is empty: swap them"
            self.wrong((name,), f"{name}: the range from {low:g} to {high:g} {how}")
        if log and low <= 0:
            self.wrong((name,), f"{name}: from is {low:g}, and a logarithmic scale needs more than 0")
        if log and step is not None:
            self.wrong((name,), f"{name}: log and step cannot be combined; leave one of them out")
        if step is not None and not 0 < step <= high - low:
            self.wrong((name,), f"{name}: step: expected a number above 0, up to {high - low:g}, found {step:g}")
        if step is not None:  # the last step may end before the range does
            high = low + math.floor((high - low) / step + 1e-9) * step
        if number is float:
            low, high, step = float(low), float(high), None if step is None else float(step)
        return Range(name, self._place(name), low, high, step, log, number is int)

    def _line(self, name: Sequence[str]) -> int:
        """The line of a name in the table, or of what is inside it."""
        path = (SEARCH, *name)
        inside = [line for key, line in self.lines.items() if key[: len(path)] == path]
        return self.lines.get(path) or min(inside, default=0)

    def _place(self, name: str) -> Place:
        return Place(self.file, self._line((name,)), name)

    def wrong(self, name: Sequence[str], what: str) -> NoReturn:
        raise UsageError(f"{Place(self.file, self._line(name), '')}: {what}")


def _number_of(annotation: Any) -> type | None:
    """Whether a field is a whole number, `int`, or another one, `float`, or a list of these; None where it is none."""
    if annotation is int or annotation is float:
        return annotation
    if isinstance(annotation, type):
        return None
    parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    return _number_of(parts[0]) if parts else None


def _in_toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else quoted(value)
