"""What is in a table, as a record: each column's kind, missing values, range and histogram, and what it becomes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.datasets.from_table import from_table
from jitnet.datasets.raw import TaskAdvice
from jitnet.errors import JitnetError, UsageError
from jitnet.tables.findings import find
from jitnet.tables.outcome import Choice, choose_roles
from jitnet.tables.preparation import Preparation, Roles, learn
from jitnet.tables.table import Column, Table
from jitnet.tables.treatments import as_kind

__all__ = ["ColumnDescription", "TableDescription", "describe_table"]

BINS = 12
"""Bars of a histogram."""
MOST_WORDS = 4
"""Words that a description names, the commonest first."""


@dataclass(frozen=True)
class ColumnDescription:
    """A column. kind: "number", "boolean", "date" or "word". missing: rows without a value; distinct: different values.

    low, high: the range, as text; empty for words. commonest: words with the rows that have each, the commonest first.
    histogram: rows in each of equally wide parts of the range, or that have each of a few values or of the commonest
    words. becomes: what it is or becomes, in words; n_features: how many inputs of the network. findings: what else is
    to be said.
    """

    name: str
    kind: str
    missing: int
    distinct: int
    low: str
    high: str
    commonest: tuple[tuple[str, int], ...]
    histogram: tuple[int, ...]
    becomes: str
    n_features: int
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableDescription:
    """What `describe_table` found. dialect: how the file is written; decisions: what was taken for what, and why;
    problem: why no network could be trained on it as it is, or empty."""

    source: str
    dialect: str
    n_rows: int
    n_features: int
    columns: tuple[ColumnDescription, ...]
    decisions: tuple[str, ...]
    problem: str = ""


def describe_table(
    table: Table, choice: Choice | None = None, task: str = "auto", advice: TaskAdvice | None = None
) -> TableDescription:
    """Describe a table: its columns, and what training would make of each, learned from the rows that it would use.

    choice, task, advice: as for training. Where the table cannot be trained on, the description says why; raises
    UsageError and DataError only for columns that are named and not there.
    """
    choice = choice or Choice()
    roles, _ = choose_roles(table, choice)
    preparation: Preparation | None = None
    decisions: tuple[str, ...] = ()
    problem, rows, outcomes = "", np.arange(len(table)), None
    try:
        dataset = from_table(table, name="table", choice=choice, task=task, advice=advice)
        preparation, train = dataset.preparation, dataset.train
        decisions = tuple(line for line in dataset.decisions if not line.startswith("left out"))
        rows = rows if train.rows is None else train.rows
        outcomes = train.labels if train.targets is None else train.targets
    except UsageError:
        raise
    except JitnetError as error:
        problem = str(error)
        try:
            preparation = learn(table, roles=roles)
        except JitnetError:
            preparation = None
    found = find(table, preparation, rows, outcomes) if preparation is not None else []
    treated = {one.name: one for one in preparation.treatments} if preparation is not None else {}
    columns = []
    for column in table.columns:
        treatment = treated.get(column.name)
        becomes = _role(column.name, roles) or (treatment.about if treatment is not None else "")
        n_features = 0 if treatment is None else len(treatment.feature_names)
        said = tuple(one.about for one in found if one.column == column.name and one.kind != "left out")
        columns.append(_describe(column, becomes, n_features, (*said, *column.notes)))
    count = 0 if preparation is None else len(preparation.feature_names)
    return TableDescription(table.source, table.dialect, len(table), count, tuple(columns), decisions, problem)


def _role(name: str, roles: Roles) -> str:
    """What a column is that is no feature; empty for one that may be."""
    if name in roles.targets:
        return "the target" if len(roles.targets) == 1 else "a target"
    said = {roles.group: "the group of a row", roles.weight: "the weight of a row"}
    return "left out: as asked" if name in roles.ignored else said.get(name, "")


def _describe(column: Column, becomes: str, n_features: int, findings: tuple[str, ...]) -> ColumnDescription:
    known = column.values[~column.missing]
    n_missing = len(column) - len(known)
    low = high = ""
    commonest: tuple[tuple[str, int], ...] = ()
    histogram: tuple[int, ...] = ()
    if column.kind in ("word", "boolean"):
        words = as_kind(column, "word", "")
        counts = np.bincount(words.values[words.values >= 0], minlength=len(words.words))
        order = np.argsort(-counts, kind="stable")
        distinct = int(np.count_nonzero(counts))
        commonest = tuple((words.words[code], int(counts[code])) for code in order[: min(MOST_WORDS, distinct)])
        histogram = tuple(int(counts[code]) for code in order[: min(BINS, distinct)])
    else:
        distinct = len(np.unique(known))
        if len(known):
            _, counts = np.unique(known, return_counts=True)
            low, high = (_shown(column, known, place) for place in (known.argmin(), known.argmax()))
            finite = known[np.isfinite(known)] if column.kind == "number" else known.astype(np.int64)
            histogram = _histogram(finite.astype(np.float64)) if distinct > BINS else tuple(counts.tolist())
    return ColumnDescription(
        column.name, column.kind, n_missing, distinct, low, high, commonest, histogram, becomes, n_features, findings
    )


def _histogram(values: npt.NDArray[np.float64]) -> tuple[int, ...]:
    """Rows in each of equally wide parts of the range."""
    if not len(values) or values.min() == values.max():
        return (len(values),) if len(values) else ()
    half = values / 2.0  # whose range cannot be beyond float64
    return tuple(int(count) for count in np.histogram(half, BINS)[0])


def _shown(column: Column, known: npt.NDArray[np.generic], place: np.intp) -> str:
    value = known[place]
    if column.kind == "date":
        text = str(value.astype("datetime64[s]")).replace("T", " ")
        return text.removesuffix(" 00:00:00")
    number = float(value)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.6g}"
