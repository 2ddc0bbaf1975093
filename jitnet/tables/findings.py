"""What a person should hear of a table's columns before a network is trained on them: what is left out and why, which
column nearly tells the target, which numbers become one in float32."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jitnet.config.checking import quoted
from jitnet.tables.preparation import FEW_ROWS, Preparation
from jitnet.tables.table import Column, Table
from jitnet.tables.treatments import LeftOut, Numbers, Treatment

__all__ = ["Finding", "find"]

SAMPLED = 10_000
"""Rows that are looked at to judge how well a column tells the target."""
NEARLY = 0.99
"""Share of the classes, or of the variance of numbers, that a column must tell on its own to be named."""
GAINED = 0.9
"""Share of the rows beyond the commonest class that a column must tell: where that class is nearly all, any column
seems to tell the target."""
LEAST_ROWS = 50
ROWS_EACH = 20
"""Rows a value below which a column could tell the target by chance."""
MANY = 0.1
"""Share of fractions that become another's float32 from which that is worth a notice: most have digits to spare."""
MOST_NAMED = 4

Values = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Finding:
    """Something about a column. kind: "left out", "tells the target", "identifier" or "rounded"; about: in words;
    noticed: whether it is worth a notice where columns were not asked about."""

    column: str
    kind: str
    about: str
    noticed: bool = True


def find(table: Table, preparation: Preparation, rows: Values, outcomes: Values | None = None) -> list[Finding]:
    """What is found of the columns that a preparation treats, in their order.

    rows: indices of the rows that are trained on. outcomes: (rows,) classes or (rows, n_targets) numbers to predict,
    of these rows.
    """
    found = []
    step = max(1, len(rows) // SAMPLED)
    sampled = rows[::step]
    for treatment in preparation.treatments:
        column = table.column(treatment.name)
        if isinstance(treatment, LeftOut):
            found.append(Finding(column.name, "left out", treatment.reason))
            if treatment.reason.startswith(("constant", "only")):
                continue
        else:
            found += _of_numbers(treatment, column, rows)
        if outcomes is None:
            continue
        shares = _told(column, sampled, outcomes[::step])
        if (share := max(shares)) >= NEARLY:
            which = f" {quoted(preparation.roles.targets[shares.index(share)])}" if len(shares) > 1 else ""
            about = (
                f"nearly tells the target{which} by itself ({100.0 * share:.1f}%): would it be known before that is?"
            )
            found.append(Finding(column.name, "tells the target", about))
    return found


def notices(found: Sequence[Finding], table: Table) -> list[str]:
    """Findings as lines for the user, those of one kind together."""
    lines = []
    left_out = [f"{quoted(one.column)} ({one.about})" for one in found if one.kind == "left out"]
    if left_out:
        more = f" and {len(left_out) - MOST_NAMED:,} more" if len(left_out) > MOST_NAMED else ""
        lines.append(f"left out of {table.source}: {', '.join(left_out[:MOST_NAMED])}{more}")
    lines += [
        f"{table.source}: the column {quoted(one.column)} {one.about}"
        for one in found
        if one.noticed and one.kind != "left out"
    ]
    return lines


def _of_numbers(treatment: Treatment, column: Column, rows: Values) -> list[Finding]:
    if not isinstance(treatment, Numbers) or column.kind != "number":
        return []
    values = column.values[rows]
    known = values[~np.isnan(values)]
    distinct, found = np.unique(known), []
    whole = bool((distinct == np.rint(distinct)).all())
    if whole and len(distinct) == len(rows) >= FEW_ROWS:
        found.append(Finding(column.name, "identifier", "differs in every row: leave it out if it is an identifier"))
    inputs = treatment.spread.of_numbers(distinct).astype(np.float32)
    same = np.flatnonzero(inputs[1:] == inputs[:-1])
    if len(same) and treatment.spread.scale:
        one, other = (_digits(distinct[same[0] + k]) for k in (0, 1))
        about = (
            f"has {len(same):,} of {len(distinct):,} different numbers that float32 cannot tell from their neighbour, "
            f"{one} and {other} for example"
        )
        found.append(Finding(column.name, "rounded", about, noticed=whole or len(same) > MANY * len(distinct)))
    return found


def _digits(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e16 else repr(float(value))


def _told(column: Column, rows: Values, outcomes: Values) -> list[float]:
    """The share of each target that a column tells by itself: of classes the share that is right where each of its
    values predicts its commonest class, 0 where the commonest of all is nearly as often right; of numbers the share
    of their variance."""
    if len(rows) < LEAST_ROWS:
        return [0.0]
    if outcomes.ndim == 1:
        _, classes = np.unique(outcomes, return_inverse=True)
        most = np.bincount(classes).max() / len(classes)
        codes = _codes(column, rows)
        if codes is None or most == 1.0:
            return [0.0]
        table = np.zeros((int(codes.max()) + 1, int(classes.max()) + 1))
        np.add.at(table, (codes, classes), 1)
        share = float(table.max(axis=1).sum() / len(rows))
        return [share if share - most >= GAINED * (1.0 - most) else 0.0]
    return [_told_of_numbers(column, rows, outcomes[:, k].astype(np.float64)) for k in range(outcomes.shape[1])]


def _told_of_numbers(column: Column, rows: Values, targets: npt.NDArray[np.float64]) -> float:
    if column.kind in ("number", "date"):
        known = ~column.missing[rows]
        if np.count_nonzero(known) < LEAST_ROWS or np.count_nonzero(known) < NEARLY * len(rows):
            return 0.0
        ranks = [_ranks(values[known]) for values in (column.values[rows], targets)]
        if any(float(rank.std()) == 0.0 for rank in ranks):
            return 0.0
        return float(np.corrcoef(ranks[0], ranks[1])[0, 1] ** 2)
    codes = _codes(column, rows)
    variance = float(targets.var())
    if codes is None or variance == 0.0:
        return 0.0
    counts = np.maximum(np.bincount(codes), 1)
    means = np.bincount(codes, targets) / counts
    return 1.0 - float(((targets - means[codes]) ** 2).mean()) / variance


def _ranks(values: Values) -> npt.NDArray[np.float64]:
    """Ranks of values, of equal ones their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2.0)[inverse]


def _codes(column: Column, rows: Values) -> npt.NDArray[np.int64] | None:
    """Which of a few values each row has; many numbers in groups of neighbours. None where there are too few rows for
    as many values."""
    most = max(2, len(rows) // ROWS_EACH)
    values = column.values[rows]
    if column.kind == "word":
        _, codes = np.unique(values, return_inverse=True)
    else:
        missing = column.missing[rows]
        if missing.all():
            return None
        distinct, codes = np.unique(np.where(missing, values[~missing].min(), values), return_inverse=True)
        if len(distinct) > min(most, 64):
            codes = np.searchsorted(np.quantile(codes, np.linspace(0, 1, min(most, 64) + 1)[1:-1]), codes, side="right")
    return None if int(codes.max()) + 1 > most else codes.astype(np.int64)
