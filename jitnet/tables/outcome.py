"""What a table is for: which columns are predicted, whether as classes or as numbers, and which columns say something
else of a row: its group, its time, its weight."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from jitnet.config import TASKS
from jitnet.config.checking import any_of
from jitnet.errors import DataError, UsageError
from jitnet.tables.dialect import TARGET_NAMES
from jitnet.tables.preparation import Roles
from jitnet.tables.table import Column, Table
from jitnet.tables.treatments import truth_words

__all__ = [
    "Choice",
    "Outcome",
    "choose_roles",
    "codes_of",
    "looks_like_classes",
    "outcome_of",
    "times_of",
    "weights_of",
]

MOST_VALUES = 20
"""Different whole numbers up to which they are taken for classes."""
AS_TASK = "the task or the loss says so"
ROWS_EACH = 10
"""Rows a class, on average, below which whole numbers are taken for measured ones."""


@dataclass(frozen=True)
class Choice:
    """What the user names of a table, by name or number (from 1): the columns to predict, the group, the time and the
    weight of a row, and columns to leave out."""

    target: str | int | Sequence[str | int] | None = None
    group: str | int | None = None
    time: str | int | None = None
    weight: str | int | None = None
    ignore: Sequence[str | int] = ()

    @property
    def targets(self) -> tuple[str | int, ...]:
        """The columns to predict; empty where the user names none."""
        if self.target is None:
            return ()
        return (self.target,) if isinstance(self.target, (str, int)) else tuple(self.target)

    @property
    def named(self) -> bool:
        """Whether the user names anything."""
        return self != Choice()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is predicted. target: "class", "number" or "label", a name in TARGETS. values: (n,) whole numbers or words,
    classes; or (n, n_targets) float64, numbers, or 0 and 1 for labels. reason: why it is this, in words."""

    target: str
    values: npt.NDArray[np.generic] = field(repr=False)
    reason: str


def choose_roles(table: Table, choice: Choice) -> tuple[Roles, str]:
    """The columns that are not features, by name, and why these are predicted, in words.

    Raises DataError for a column that there is not, UsageError for one that is named for two things.
    """
    if choice.targets:
        targets, why = tuple(_names(table, choice.targets)), "as asked"
    else:
        by_name = {name.strip().lower(): name for name in reversed(table.names)}
        # The first column, where it has such a name; else the first of these names that a column has.
        words = [table.names[0].strip().lower(), *TARGET_NAMES]
        called = next((by_name[word] for word in words if word in TARGET_NAMES and word in by_name), None)
        targets = (called or table.names[0],)
        why = "by its name" if called else f"the first column, as none is called {any_of(TARGET_NAMES)}"
    one = {
        role: table.column(which).name
        for role, which in (("group", choice.group), ("time", choice.time), ("weight", choice.weight))
        if which is not None
    }
    ignored = tuple(_names(table, choice.ignore))
    uses = [*((name, "target") for name in targets), *((name, role) for role, name in one.items())]
    uses += [(name, "ignore") for name in ignored]
    for place, (name, use) in enumerate(uses):
        for other, before in uses[:place]:
            if name == other:
                raise UsageError.of_fields(
                    f"<{use}>: the column {name!r} is named twice, for <{before}> too; name it once"
                )
    return Roles(targets=targets, ignored=ignored, **one), why


def _names(table: Table, which: Sequence[str | int]) -> list[str]:
    return [table.column(one).name for one in which]


def outcome_of(table: Table, roles: Roles, task: str, advice: str) -> Outcome:
    """What the targets are, for each row.

    task: "classify" or "regress"; "label" for columns of yes and no, several of which may be yes; or "auto": words,
    true and false, and few different whole numbers are classes, several columns of true and false are labels, and other
    numbers are numbers. advice: what else to ask for where words were to be numbers. Raises DataError for a row without
    a target, and for a target that cannot be predicted in this way.
    """
    if task not in ("auto", "label", *TASKS):
        raise UsageError.of_fields(f"<task>: there is no {task!r}; expected {any_of(['auto', *TASKS, 'label'])}")
    columns = [table.column(name) for name in roles.targets]
    for column in columns:
        _check_complete(table, column)
    target, reason = _target_of(columns, task)
    if target == "class":
        return Outcome(target, _labels(table, columns[0]), reason)
    for column in columns:
        words = target == "number" and column.kind == "word"
        if words or (target == "label" and not _is_yes_no(column)):
            row = 0 if column.kind == "word" else int((~np.isin(column.values, (0.0, 1.0))).argmax())
            found = column.words[int(column.values[0])] if column.kind == "word" else f"{column.values[row]:g}"
            wants = "yes and no, or 0 and 1" if target == "label" else "numbers to predict"
            if len(columns) > 1:
                others = f"{wants}{', or yes and no in all of them' * words}; or name this column as the only target"
            else:
                others = f"{wants}, or {advice if words else 'the loss cross-entropy where these are classes'}"
            raise DataError(f"{table.where(row)}: the target {column.name!r} is {found!r}; expected {others}")
    return Outcome(target, _numbers(columns), reason)


def _target_of(columns: Sequence[Column], task: str) -> tuple[str, str]:
    """What the targets are, a name in TARGETS, and why."""
    several = len(columns) > 1
    if task == "label" or (several and task == "classify"):
        return "label", AS_TASK
    if task != "auto":
        return ("number" if task == "regress" else "class"), AS_TASK
    if not several:
        return _target_of_one(columns[0])
    if all(column.kind == "boolean" for column in columns):
        found = sorted({" and ".join(truth_words(column)) for column in columns})
        return "label", f"their values are {any_of(found)}"
    return "number", "there are several"


def _is_yes_no(column: Column) -> bool:
    return column.kind != "word" and bool(np.isin(column.values, (0.0, 1.0)).all())


def _check_complete(table: Table, column: Column) -> None:
    if column.kind == "date":
        raise DataError(
            f"{table.source}: the target {column.name!r} holds dates; expected words or numbers, days until then for "
            "example"
        )
    if column.kind == "number" and np.isinf(column.values).any():
        row = int(np.isinf(column.values).argmax())
        raise DataError(
            f"{table.where(row)}: the target {column.name!r} is {column.values[row]:g}; expected finite numbers"
        )
    missing = column.missing
    if missing.all():
        raise DataError(f"{table.source}: the target {column.name!r} has only missing values; name another column")
    if missing.any():
        count = int(missing.sum())
        rows = f"{count:,} rows have" if count > 1 else "a row has"
        raise DataError(
            f"{table.where(int(missing.argmax()))}: the target {column.name!r} is missing ({rows} none); fill it in, "
            "or remove such rows"
        )


def _target_of_one(column: Column) -> tuple[str, str]:
    """What the only target is, and why."""
    if column.kind == "word":
        return "class", "its values are words"
    if column.kind == "boolean":
        return "class", f"its values are {' and '.join(truth_words(column))}"
    if (column.values != np.floor(column.values)).any():
        return "number", "it has fractions"
    distinct = len(np.unique(column.values))
    found = f"it has {distinct:,} different whole number{'s' * (distinct != 1)} in {len(column):,} rows"
    few = distinct <= max(2, min(MOST_VALUES, len(column) // ROWS_EACH))
    return ("class" if few else "number"), found


def looks_like_classes(table: Table, name: str) -> bool:
    """Whether a column holds few words, true and false, or few whole numbers, each in several rows, as classes are."""
    column = table.column(name)
    if column.kind == "word":
        return 1 < len(column.words) <= min(MOST_VALUES, 2 * len(column) // 3)
    return column.kind != "date" and not column.missing.any() and _target_of_one(column)[0] == "class"


def _numbers(columns: Sequence[Column]) -> npt.NDArray[np.float64]:
    return np.ascontiguousarray(np.stack([column.values.astype(np.float64) for column in columns], axis=1))


def _labels(table: Table, column: Column) -> npt.NDArray[np.generic]:
    """(n,) whole numbers or words."""
    if column.kind == "word":
        return np.array(column.words, np.str_)[column.values]
    if column.kind == "boolean":
        return np.array(truth_words(column))[column.values.astype(np.int64)]
    broken = column.values != np.floor(column.values)
    if broken.any() or np.abs(column.values).max() >= 2.0**53:
        row = int(broken.argmax() if broken.any() else np.abs(column.values).argmax())
        raise DataError(
            f"{table.where(row)}: the target {column.name!r} is {float(column.values[row])!r}; expected the name of a "
            "class, a word or a whole number"
        )
    return column.values.astype(np.int64)


def codes_of(table: Table, name: str) -> npt.NDArray[np.int64]:
    """(n,) int64, equal for rows with the same value in a column; rows without one are a group of their own."""
    column = table.column(name)
    if column.kind == "word":
        return column.values.astype(np.int64)
    values = column.values.astype(np.int64) if column.kind == "date" else column.values
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def times_of(table: Table, name: str) -> npt.NDArray[np.generic]:
    """(n,) dates or numbers that say which rows are the latest; DataError where a row has none."""
    column = table.column(name)
    if column.kind not in ("date", "number"):
        raise DataError(
            f"{table.source}: the time {name!r} holds {'words' if column.kind == 'word' else 'true and false'}; "
            "expected dates or numbers"
        )
    if column.missing.any():
        raise DataError(f"{table.where(int(column.missing.argmax()))}: the time {name!r} is missing; fill it in")
    return column.values


def weights_of(table: Table, name: str) -> npt.NDArray[np.float64]:
    """(n,) float64 weights of rows; DataError where one is missing, negative or no number."""
    column = table.column(name)
    if column.kind not in ("number", "boolean"):
        raise DataError(f"{table.source}: the weight {name!r} holds {column.kind}s; expected numbers of 0 or more")
    bad = ~(column.values >= 0.0) | np.isinf(column.values)
    if bad.any():
        row = int(bad.argmax())
        found = "missing" if np.isnan(column.values[row]) else f"{column.values[row]:g}"
        raise DataError(f"{table.where(row)}: the weight {name!r} is {found}; expected a number of 0 or more")
    return column.values.astype(np.float64)
