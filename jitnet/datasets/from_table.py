"""From a table to a checked `Dataset`: which column is predicted, which rows are held out, what the others become."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jitnet.config import TARGETS
from jitnet.datasets.assemble import nearly_all_differ
from jitnet.datasets.dataset import Dataset, Given, Scaling, Split, held_out_rows
from jitnet.datasets.labels import resolve
from jitnet.datasets.raw import Raw, RawData, TaskAdvice
from jitnet.datasets.targets import resolve_numbers, resolve_yes_no, standardise_targets
from jitnet.errors import DataError
from jitnet.tables.findings import find, notices
from jitnet.tables.outcome import (
    Choice,
    Outcome,
    choose_roles,
    codes_of,
    looks_like_classes,
    outcome_of,
    times_of,
    weights_of,
)
from jitnet.tables.preparation import Preparation, Roles, learn
from jitnet.tables.table import Kind, Table

__all__ = ["HELD_OUT", "from_table"]

HELD_OUT = 0.2
"""The share of rows that is held out to test on where there are no other test data."""
LEAST_ROWS = 5
"""Fewer rows than this are not divided."""
SEED = 0
"""Of the rows to test on: they are the same whatever seed a training has, so that trainings can be compared."""

_NO_LABELS = np.zeros(0, np.int64)


def from_table(
    table: Table,
    read_test: Callable[[Mapping[str, tuple[Kind, str]]], Table] | None = None,
    *,
    name: str,
    choice: Choice,
    classes: Sequence[str] | None = None,
    task: str = "auto",
    advice: TaskAdvice | None = None,
    preparation: Preparation | None = None,
    held_out: float = HELD_OUT,
) -> Dataset:
    """Make a data set of a table's rows.

    read_test: called with the kinds of the columns, and returns the rows to test on; without it the share `held_out` of
    the rows is, 0 for none: the latest by the time of the choice, or whole groups by its group, else stratified by
    class. preparation: a model's, whose treatments and roles are repeated; without it they are learned from the rows to
    train on. classes, task, advice: as `assemble` takes them. Raises DataError, UsageError with one line.
    """
    advice = advice or TaskAdvice()
    repeats = preparation is not None
    roles, why = choose_roles(table, choice) if choice.named or preparation is None else (preparation.roles, "")
    if preparation is not None and choice.named:
        roles = replace_roles(preparation.roles, roles, choice)
    if not roles.targets:
        raise DataError(f"{table.source}: the model does not say which column it predicts; name the target")
    outcome = outcome_of(table, roles, task, advice.not_words)
    of_classes = outcome.target == "class"
    test_table = None
    if read_test is not None:
        preparation = preparation or learn(table, roles=roles)
        test_table = read_test(preparation.kinds)
    names, outcomes = _resolved(table, test_table, roles, outcome, classes, advice)

    decisions = _decided(table, roles, why, outcome, choice) if why else []
    if outcome.target == "class" and classes is None and (found := nearly_all_differ(outcomes[0])):
        decisions.append(f"{_where(table, roles)}: {found}")
    every = np.arange(len(table))
    rows, test_rows = every, None if test_table is None else np.arange(len(test_table))
    if test_table is None and held_out and len(table) < LEAST_ROWS:
        decisions.append(f"{table.source}: has {len(table)} rows, too few to hold some out to test on")
    elif test_table is None and held_out:
        held = held_out_rows(_split(table, every, outcomes[0], roles, None), held_out, SEED)
        decisions.append(_held_out(table, roles, held, outcome.target != "number"))
        rows, test_rows = np.flatnonzero(~held), np.flatnonzero(held)
    preparation = preparation or learn(table, rows, roles=roles)
    if repeats:
        decisions += unused_notice(preparation, table)
    else:
        decisions += notices(find(table, preparation, rows, outcomes[0][rows]), table)
    if test_table is not None:
        decisions += unused_notice(preparation, test_table)
    decisions += [f"{table.source}: the column {one.name!r}: {note}" for one in table.columns for note in one.notes]

    train = _split(table, rows, outcomes[0], roles, preparation)
    test = None
    if test_rows is not None:
        test = _split(test_table or table, test_rows, outcomes[-1], roles, preparation)
    target_scaling = standardise_targets(outcomes[0][rows]) if outcome.target == "number" else None
    return Dataset(
        name,
        train,
        test,
        names if of_classes else (),
        None,
        Scaling(),
        table.source if test_table is None else f"{table.source}, tested on {test_table.source}",
        given=Given(1.0, True, None, Scaling(), target_scaling),
        target_names=() if of_classes else names,
        target_scaling=target_scaling,
        preparation=preparation,
        decisions=tuple(decisions),
    )


def _resolved(
    table: Table,
    test_table: Table | None,
    roles: Roles,
    outcome: Outcome,
    classes: Sequence[str] | None,
    advice: TaskAdvice,
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The names of classes or targets, and the classes or numbers of all rows of the table, and of the test table."""
    task = {"class": "classify", "number": "regress", "label": "label"}[outcome.target]
    raws = [Raw(outcome.values, outcome.values, table.source, _where(table, roles), table=table)]
    if test_table is not None:
        values = outcome_of(test_table, roles, task, advice.not_words).values
        raws.append(Raw(values, values, test_table.source, _where(test_table, roles), table=test_table))
    target_names = None if outcome.target == "class" else roles.targets
    data = RawData(raws[0], raws[1] if len(raws) > 1 else None, is_text=True, target_names=target_names, advice=advice)
    if outcome.target == "class":
        return resolve(data, classes)
    names, outcomes = resolve_yes_no(data) if outcome.target == "label" else resolve_numbers(data)
    return names, list(outcomes)


def replace_roles(known: Roles, named: Roles, choice: Choice) -> Roles:
    """A model's roles, with those replaced that the user names."""
    updates: dict[str, Any] = {
        field: getattr(named, field)
        for field, typed in (("group", choice.group), ("time", choice.time), ("weight", choice.weight))
        if typed is not None
    }
    if choice.targets:
        updates["targets"] = named.targets
    return known.model_copy(update=updates)


def _split(table: Table, rows: np.ndarray, outcome: np.ndarray, roles: Roles, preparation: Preparation | None) -> Split:
    """Some rows of a table, with their groups, times and weights; outcome: the classes or numbers of all its rows.
    Without a preparation they have no features."""
    named: dict[str, Any] = {
        field: found(table, name)[rows]
        for field, name, found in (
            ("groups", roles.group, codes_of),
            ("times", roles.time, times_of),
            ("weights", roles.weight, weights_of),
        )
        if name is not None and name in table.names
    }
    of_classes = outcome.ndim == 1
    return Split(
        np.zeros((len(rows), 0), np.float32) if preparation is None else preparation.features(table, rows),
        outcome[rows] if of_classes else _NO_LABELS,
        targets=None if of_classes else outcome[rows],
        table=table,
        rows=rows,
        preparation=preparation,
        **named,
    )


def _where(table: Table, roles: Roles) -> str:
    columns = ", ".join(repr(name) for name in roles.targets)
    return f"{table.source}: {'column' if len(roles.targets) == 1 else 'columns'} {columns}"


def _decided(table: Table, roles: Roles, why: str, outcome: Outcome, choice: Choice) -> list[str]:
    """A line that says what is predicted, and why."""
    names = ", ".join(repr(name) for name in roles.targets)
    what = TARGETS[outcome.target]
    several = "target is" if len(roles.targets) == 1 else "targets are"
    written = f" ({table.dialect})" if table.dialect else ""
    line = f"{table.source}{written}: the {several} {names}, {why}, predicted as {what}: {outcome.reason}"
    last = table.names[-1]
    by_place = not choice.targets and roles.targets == table.names[:1]
    if by_place and outcome.target == "number" and last not in roles.names and looks_like_classes(table, last):
        line += f"; the last column, {last!r}, looks like classes: name it as the target where it is"
    return [line]


def _held_out(table: Table, roles: Roles, held: np.ndarray, stratified: bool) -> str:
    count = int(np.count_nonzero(held))
    how = "at random, stratified by class" if stratified else "at random"
    if roles.time is not None:
        how = f"the latest by {roles.time!r}"
        if roles.group is not None:
            how += f"; rows of one {roles.group!r} may be on both sides"
    elif roles.group is not None:
        how = f"whole groups by {roles.group!r}"
    return (
        f"{table.source}: {count:,} of {len(held):,} rows ({100.0 * count / len(held):.0f}%) are held out to test on, "
        f"{how}"
    )


def unused_notice(preparation: Preparation, table: Table) -> list[str]:
    """A line that names the columns that a preparation does not know; nothing where there are none."""
    names = preparation.unused(table)
    if not names:
        return []
    shown = ", ".join(repr(name) for name in names[:8]) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
    what = "the column" if len(names) == 1 else f"{len(names):,} columns"
    return [f"{table.source}: ignored {what} {shown}, which the model was not trained on"]
