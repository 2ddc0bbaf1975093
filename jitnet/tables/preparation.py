"""What each column of a table becomes, decided once, from the rows that are trained on, and repeated on any others.

A `Preparation` is kept with the model. It finds columns by their names, whatever their order; what it does not know it
ignores, and what it needs and does not find is an error.
"""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from jitnet.config.checking import quoted
from jitnet.config.nearest import nearest
from jitnet.errors import DataError
from jitnet.tables.table import Column, Kind, Table
from jitnet.tables.treatments import (
    MOST_WORDS,
    ROWS_AT_ONCE,
    Booleans,
    Dates,
    LeftOut,
    Numbers,
    Treatment,
    Words,
    as_kind,
)

__all__ = ["Preparation", "Roles", "learn"]

FEW_ROWS = 20
"""In so few rows numbers may well all differ without being an identifier."""
MANY_ROWS = 100
"""In so many rows whole numbers that all differ and leave few gaps have been counted, not measured."""

_IDENTIFIER = re.compile(r"(^|[_\W])(id|ids|key|index|uuid|guid|unnamed: 0|row|rownames?)$|[a-z]I[dD]$")
"""Names that people use for identifiers."""

Rows = npt.NDArray[Any]


class Roles(BaseModel):
    """Columns that are not features, by name: what is predicted, the group that a row belongs to, the time by which
    rows are held out, and the weights of rows; ignored: columns that the user left out."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    targets: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    ignored: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All of these columns but the time, which is a feature too."""
        return frozenset({*self.targets, *self.ignored, *(name for name in (self.group, self.weight) if name)})


class Preparation(BaseModel):
    """The treatments of a table's columns, in the order of its features. `learn` makes one.

    kinds: of each column that features are made of, and of each target, its kind and how its cells are written, with
    which a file with few rows is read as the one that was trained on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = 1
    treatments: tuple[Treatment, ...]
    roles: Roles = Roles()
    kinds: dict[str, tuple[Kind, str]] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [treatment.name for treatment in self.treatments]
        if len(set(names)) < len(names):
            raise ValueError("two columns have one name")
        for treatment in self.treatments:
            if any(not 0 <= place < len(treatment.feature_names) for place in treatment.dead):
                raise ValueError(f"the column {treatment.name!r} has a dead feature that it lacks")
        return self

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, in their order."""
        return tuple(name for treatment in self.treatments for name in treatment.feature_names)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The names of the columns that features are made of."""
        return tuple(treatment.name for treatment in self.treatments if treatment.feature_names)

    @cached_property
    def identifier(self) -> str | None:
        """The name of the column that identifies rows, the first where there are several; None where there is none."""
        return next((one.name for one in self.treatments if isinstance(one, LeftOut) and one.identifies), None)

    @property
    def kinds_needed(self) -> dict[str, tuple[Kind, str]]:
        """The kinds of the needed columns alone, as rows to predict have them; and of the column that identifies rows,
        which is read as it is written: 007 is not 7."""
        kinds = {name: kind for name, kind in self.kinds.items() if name in self.needed}
        return kinds if self.identifier is None else {self.identifier: ("word", ""), **kinds}

    def unused(self, table: Table) -> tuple[str, ...]:
        """The names of a table's columns that this preparation does not know."""
        known = {*(treatment.name for treatment in self.treatments), *self.roles.names}
        return tuple(name for name in table.names if name not in known)

    def features(self, table: Table, rows: Rows | None = None) -> npt.NDArray[np.float32]:
        """A network's inputs, (n, n_features) float32, C-contiguous.

        table: raw rows, with at least the needed columns, in any order. rows: which of them, indices or a mask; all by
        default. Raises DataError for a column that is missing or of another kind, and for infinite numbers.
        """
        encode = self.encoder(table)
        if rows is None:
            return encode(slice(None))
        return encode(np.flatnonzero(rows) if rows.dtype == bool else rows)

    def encoder(self, table: Table) -> Callable[[Rows | slice], npt.NDArray[np.float32]]:
        """A function that makes `features` of some rows, given by indices or a slice, as often as it is called."""
        self.check_columns(table)
        encoders, at = [], 0
        for treatment in self.treatments:
            if treatment.kind != "left out":
                column = as_kind(table.column(treatment.name), treatment.kind, table.source)
                _check_finite(table, column)
                end = at + len(treatment.feature_names)
                encoders.append((column.values, slice(at, end), treatment.encoder(column)))
                at = end
        n_features = at

        def encode(rows: Rows | slice) -> npt.NDArray[np.float32]:
            n = len(range(*rows.indices(len(table)))) if isinstance(rows, slice) else len(rows)
            chosen = np.arange(len(table))[rows] if isinstance(rows, slice) and rows != slice(None) else rows
            out = np.empty((n, n_features), np.float32)
            for start in range(0, n, ROWS_AT_ONCE):
                end = min(n, start + ROWS_AT_ONCE)
                here: Any = slice(start, end) if isinstance(chosen, slice) else chosen[start:end]
                for values, places, encode_column in encoders:
                    encode_column(values[here], out[start:end, places])
            return out

        return encode

    def check_columns(self, table: Table) -> None:
        """DataError where a table lacks columns that features are made of; it names them, and what is spelled alike."""
        there = table.names
        lacking = [name for name in self.needed if name not in there]
        if not lacking:
            return
        shown = ", ".join(repr(name) for name in lacking[:8]) + (", …" if len(lacking) > 8 else "")
        which = f"the column {shown}" if len(lacking) == 1 else f"{len(lacking)} columns, {shown}"
        near = nearest(lacking[0], [name for name in there if name not in self.needed])
        hint = f"; is {near!r} it under another name?" if near else ""
        raise DataError(
            f"{table.source}: lacks {which}; expected the columns that the model was trained on, in any order{hint}"
        )

    def relearn(self, table: Table, rows: Rows) -> Self:
        """The same features, with medians, spreads and what fills gaps learned from other rows of the table."""
        again = tuple(
            treatment.relearn(table.column(treatment.name), rows) if treatment.feature_names else treatment
            for treatment in self.treatments
        )
        return self.model_copy(update={"treatments": again})

    def as_json(self) -> str:
        """A JSON object from which `from_json` makes the same preparation, to the last bit of every number."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The preparation that a JSON object describes; DataError where it is none."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            what = str(first["msg"]).removeprefix("Value error, ")
            found = "" if first["type"] in ("value_error", "json_invalid") else f", found {quoted(first['input'])}"
            raise DataError(f"{place + ': ' if place else ''}{what[:1].lower()}{what[1:]}{found}") from None


def learn(
    table: Table,
    rows: Rows | None = None,
    *,
    skip: Iterable[str] = (),
    categorical: Iterable[str] = (),
    roles: Roles | None = None,
) -> Preparation:
    """Decide what each column of a table becomes, from some of its rows alone.

    rows: which rows are trained on, indices or a mask; all by default. skip: columns that are no features, besides
    those of the roles. categorical: columns of numbers that are names of categories. Raises DataError for infinite
    numbers, and where no column is left.
    """
    roles = roles or Roles()
    chosen: Rows = np.arange(len(table)) if rows is None else np.flatnonzero(rows) if rows.dtype == bool else rows
    skipped, as_words = {*skip, *roles.names}, set(categorical)
    treatments = []
    for column in table.columns:
        if column.name in skipped:
            continue
        if column.name in as_words:
            column = as_kind(column, "word", table.source)
        _check_finite(table, column)
        treatments.append(_treatment(column, chosen))
    used = {*roles.targets, *(treatment.name for treatment in treatments if treatment.feature_names)}
    kinds = {column.name: (column.kind, column.form) for column in table.columns if column.name in used}
    found = Preparation(treatments=tuple(treatments), roles=roles, kinds=kinds)
    if not found.feature_names:
        left_out = "; ".join(f"{one.name!r} is {one.about}" for one in treatments[:3])
        raise DataError(
            f"{table.source}: has no column to predict from{': ' if left_out else ''}{left_out}; expected at least one "
            "whose values differ"
        )
    return found


def _treatment(column: Column, rows: Rows) -> Treatment:
    """What a column becomes."""
    values = column.values[rows]
    known = values[~column.missing[rows]]
    distinct, n_known = np.unique(known), len(known)

    def left_out(reason: str, identifies: bool = False) -> LeftOut:
        return LeftOut(name=column.name, of=column.kind, reason=reason, identifies=identifies)

    if not n_known:
        return left_out("only missing values")
    if len(distinct) == 1 and n_known == len(values):
        only = Column(column.name, column.kind, distinct[:1], column.words)
        return left_out(f"constant, every row has {_shown(only)}")
    if column.kind == "word":
        if len(distinct) == n_known:
            return left_out("an identifier, every row has another word", True)
        if len(distinct) > MOST_WORDS:
            return left_out(f"{len(distinct):,} different words, more than {MOST_WORDS}")
        return Words.learn(column, rows)
    if column.kind == "number":
        if is_counted(column.name, distinct, len(values)):
            return left_out("an identifier, every row has another whole number", True)
        return Numbers.learn(column, rows)
    return Booleans.learn(column, rows) if column.kind == "boolean" else Dates.learn(column, rows)


def is_counted(name: str, distinct: npt.NDArray[np.float64], n_rows: int) -> bool:
    """Whether numbers identify rows: whole, all different, and called so or numbered with few gaps."""
    if n_rows < FEW_ROWS or len(distinct) < n_rows or not (distinct == np.rint(distinct)).all():
        return False
    is_called = _IDENTIFIER.search(name.strip() if re.search("[a-z]I[dD]$", name) else name.strip().lower()) is not None
    return is_called or (n_rows >= MANY_ROWS and float(distinct[-1] - distinct[0]) < 1.5 * n_rows)


def _shown(column: Column) -> str:
    """The first value of a column, in words."""
    words = as_kind(column, "word", "")
    return quoted(words.words[int(words.values[0])]) if column.kind == "word" else words.words[int(words.values[0])]


def _check_finite(table: Table, column: Column) -> None:
    if column.kind != "number":
        return
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(infinite.argmax())
        raise DataError(
            f"{table.where(row)}: the column {column.name!r} holds {column.values[row]:g}; expected finite "
            "numbers, or nothing where a value is missing"
        )
