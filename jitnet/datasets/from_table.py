"""From a table to a checked `Dataset`: which column is predicted, which rows are held out, what the others become."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jitnet.datasets.dataset import Dataset, Given, Scaling, Split, held_out_rows
from jitnet.datasets.labels import resolve
from jitnet.datasets.raw import Raw, RawData, TaskAdvice
from jitnet.datasets.targets import resolve_numbers, standardise_targets
from jitnet.errors import DataError
from jitnet.tables.findings import find, notices
from jitnet.tables.outcome import Choice, choose_roles, codes_of, outcome_of, times_of, weights_of
from jitnet.tables.preparation import Preparation, Roles, learn
from jitnet.tables.table import Table

__all__ = ["HELD_OUT", "from_table"]

HELD_OUT = 0.2
"""The share of rows that is held out to test on where there are no other test data."""
LEAST_ROWS = 5
"""Fewer rows than this are not divided."""
SEED = 0
"""Of the rows to test on: they are the same whatever seed a training has, so that trainings can be compared."""

_NO_LABELS = np.zeros(0, np.int64)


class _Tables(NamedTuple):
    """The rows to train on and to test on, as indices into their tables, which may be one."""

    train: Table
    train_rows: np.ndarray
    test: Table | None
    test_rows: np.ndarray


def from_table(
    table: Table,
    test_table: Table | None = None,
    *,
    name: str,
    source: str,
    choice: Choice,
    classes: Sequence[str] | None = None,
    task: str = "auto",
    advice: TaskAdvice | None = None,
    preparation: Preparation | None = None,
    held_out: float = HELD_OUT,
) -> Dataset:
    """Make a data set of a table's rows.

    test_table: rows to test on; without it the share `held_out` of the rows, 0 for none: the latest by the time of the
    choice, or whole groups by its group, else stratified by class. preparation: a model's, whose treatments and roles
    are repeated; without it they are learned from the rows to train on. classes, task, advice: as `assemble` takes
    them. Raises DataError, UsageError with one line.
    """
    advice = advice or TaskAdvice()
    roles, why = choose_roles(table, choice) if choice.named or preparation is None else (preparation.roles, "")
    if preparation is not None and choice.named:
        roles = replace_roles(preparation.roles, roles, choice)
    if not roles.targets:
        raise DataError(f"{table.source}: the model does not say which column it predicts; name the target")
    outcome = outcome_of(table, roles, task, advice.not_words)
    labels = [outcome.labels]
    labels_from = [_where(table, roles)]
    if test_table is not None:
        labels.append(outcome_of(test_table, roles, outcome.task, advice.not_words).labels)
        labels_from.append(_where(test_table, roles))
    raws = [Raw(one, one, where, where) for one, where in zip(labels, labels_from, strict=True)]
    target_names = roles.targets if outcome.task == "regress" else None
    data = RawData(raws[0], raws[1] if len(raws) > 1 else None, is_text=True, target_names=target_names, advice=advice)
    of_classes = outcome.task == "classify"
    names, outcomes = resolve(data, classes) if of_classes else resolve_numbers(data)

    decisions = [_decided(table, roles, why, outcome.task, outcome.reason)] if why else []
    whole = _split(table, None, outcomes[0], roles, of_classes)
    if test_table is None and held_out and len(table) >= LEAST_ROWS:
        held = held_out_rows(whole, held_out, SEED)
        decisions.append(_held_out(table, roles, held, of_classes))
        parts = _Tables(table, np.flatnonzero(~held), table, np.flatnonzero(held))
    else:
        every = np.arange(len(table))
        parts = _Tables(table, every, test_table, np.arange(0 if test_table is None else len(test_table)))
    if preparation is None:
        preparation = learn(parts.train, parts.train_rows, roles=roles)
        known = outcomes[0][parts.train_rows]
        decisions += notices(find(parts.train, preparation, parts.train_rows, known), table)
        if test_table is not None:
            decisions += unused_notice(preparation, test_table)
    else:
        decisions += unused_notice(preparation, table)
    decisions += [f"{table.source}: {note}" for column in table.columns for note in column.notes]

    def split(of: Table, rows: np.ndarray, outcome: np.ndarray) -> Split:
        found = _split(of, preparation.features(of, rows), outcome, roles, of_classes, rows)
        return replace(found, preparation=preparation)

    train = split(parts.train, parts.train_rows, outcomes[0][parts.train_rows])
    test = None
    if parts.test is not None:
        test = split(parts.test, parts.test_rows, outcomes[-1][parts.test_rows])
    target_scaling = None if of_classes or train.targets is None else standardise_targets(train.targets)
    return Dataset(
        name,
        train,
        test,
        names if of_classes else (),
        None,
        Scaling(),
        source,
        given=Given(1.0, True, None, Scaling(), target_scaling),
        target_names=() if of_classes else names,
        target_scaling=target_scaling,
        preparation=preparation,
        decisions=tuple(decisions),
    )


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


def _split(
    table: Table,
    images: np.ndarray | None,
    outcome: np.ndarray,
    roles: Roles,
    of_classes: bool,
    rows: np.ndarray | None = None,
) -> Split:
    """Rows of a table with their classes or numbers, groups, times and weights; outcome: of these rows."""
    chosen = slice(None) if rows is None else rows
    named: dict[str, Any] = {
        field: found(table, name)[chosen]
        for field, name, found in (
            ("groups", roles.group, codes_of),
            ("times", roles.time, times_of),
            ("weights", roles.weight, weights_of),
        )
        if name is not None and name in table.names
    }
    return Split(
        np.zeros((len(outcome), 0), np.float32) if images is None else images,
        outcome if of_classes else _NO_LABELS,
        targets=None if of_classes else outcome,
        table=table,
        rows=np.arange(len(table)) if rows is None else rows,
        **named,
    )


def _where(table: Table, roles: Roles) -> str:
    columns = ", ".join(repr(name) for name in roles.targets)
    return f"{table.source}: {'column' if len(roles.targets) == 1 else 'columns'} {columns}"


def _decided(table: Table, roles: Roles, why: str, task: str, reason: str) -> str:
    names = ", ".join(repr(name) for name in roles.targets)
    what = "classes" if task == "classify" else "numbers"
    several = "target is" if len(roles.targets) == 1 else "targets are"
    return f"{table.source}: the {several} {names}, {why}, predicted as {what}: {reason}"


def _held_out(table: Table, roles: Roles, held: np.ndarray, of_classes: bool) -> str:
    count = int(np.count_nonzero(held))
    how = "at random, stratified by class" if of_classes else "at random"
    if roles.time is not None:
        how = f"the latest by {roles.time!r}"
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
