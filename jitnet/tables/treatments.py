"""What a column of a table becomes: the numbers of a network's input, one kind of treatment for each kind of column.

A treatment is learned from a column's values in the rows that are trained on (`learn`), encodes any other values of
that column, and can be learned again from fewer rows (`relearn`) with the same features: a feature for which those rows
hold nothing is then 0 everywhere, as nothing could be learned of it.

Everything is computed in float64 and rounded to float32 once, at the end.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jitnet.config.checking import quoted
from jitnet.errors import DataError
from jitnet.tables.table import Column, Kind

__all__ = [
    "MOST_WORDS",
    "ROWS_AT_ONCE",
    "Booleans",
    "Dates",
    "Encoder",
    "LeftOut",
    "Numbers",
    "Treatment",
    "Words",
    "as_kind",
    "squeeze",
    "truth_words",
    "words_of_form",
]

Floats = npt.NDArray[np.float64]
Encoder = Callable[[npt.NDArray[Any], npt.NDArray[np.float32]], None]
"""Called with some values of a column and the (rows, n_features) that become its features."""

MOST_WORDS = 256
"""Kinds of words in a column beyond which it is left out: most would be too rare to learn anything of."""
RARE = 10
"""Rows below which a word counts as rare in a large table; in a small one it is a hundredth of the rows, at least 2."""
ROWS_AT_ONCE = 16_384
FAR = 1e100
"""Beyond so many spreads a number is as far as can be: its square would be beyond float64."""

CYCLES = {"month": 12, "weekday": 7, "hour": 24}
"""Parts of a date that come round again, and how many values each has."""

_DAY = 86_400_000_000
"""Microseconds."""


class _Learned(BaseModel):
    """What is common to treatments. name: the column's. dead: places among its features that are always 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    missing: bool = False
    dead: tuple[int, ...] = ()

    @property
    def _flag(self) -> list[str]:
        """The name of the feature that says that the value is missing, where training rows had missing ones."""
        return [f"{self.name} missing"] if self.missing else []

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features, one for each."""
        raise NotImplementedError

    def encoder(self, column: Column) -> Encoder:
        """A function that encodes values of a column of the right kind, see `as_kind`."""
        raise NotImplementedError

    def _silenced(self, encode: Encoder) -> Encoder:
        """The encoder, with its dead features 0."""
        if not self.dead:
            return encode

        def silenced(values: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
            encode(values, out)
            out[:, list(self.dead)] = 0.0

        return silenced

    def _relearned(self, column: Column, rows: npt.NDArray[Any], **learned: Any) -> Self:
        """The same treatment with what these rows show, and no feature that is 0 in all of them."""
        again = self.model_copy(update={**learned, "dead": ()})
        return again.model_copy(update={"dead": again.dead_features(column, rows)})

    def dead_features(self, column: Column, rows: npt.NDArray[Any]) -> tuple[int, ...]:
        """Return the places of features that are 0 in all of some rows: nothing can be learned of them."""
        values, n_features = column.values[rows], len(self.feature_names)
        encode, shown = self.encoder(column), np.zeros(n_features, bool)
        for start in range(0, len(values), ROWS_AT_ONCE):
            chunk = values[start : start + ROWS_AT_ONCE]
            out = np.empty((len(chunk), n_features), np.float32)
            encode(chunk, out)
            shown |= out.any(axis=0)
        return tuple(int(place) for place in np.flatnonzero(~shown))


class Spread(BaseModel):
    """Where the middle of some numbers is and how far they spread: (x - centre) / scale; a scale of 0 makes all 0."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    centre: float
    scale: Annotated[float, Field(ge=0.0)]

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Median and interquartile range of finite numbers; where that is 0, half of their range."""
        if not values.size:
            return cls(centre=0.0, scale=0.0)
        low, centre, high = (float(value) for value in np.percentile(values, (25.0, 50.0, 75.0)))
        with np.errstate(over="ignore"):
            scale = high - low or float(values.max()) / 2.0 - float(values.min()) / 2.0
        return cls(centre=centre, scale=min(scale, float(np.finfo(np.float64).max)))

    def of_numbers(self, values: Floats) -> Floats:
        """Numbers in these units, smoothly limited to -3 … 3; what is missing is 0, as the median is."""
        if self.scale == 0.0:
            return np.zeros(values.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.clip((values - self.centre) / self.scale, -FAR, FAR)
        return squeeze(np.where(np.isnan(values), 0.0, x))


def squeeze(x: Floats) -> Floats:
    """x / √(1 + (x/3)²): near x where x is small, and never beyond -3 and 3."""
    return x / np.sqrt(1.0 + (x / 3.0) ** 2)


class Numbers(_Learned):
    """Numbers: (x - median) / IQR, smoothly limited."""

    kind: Literal["number"] = "number"
    spread: Spread

    @classmethod
    def learn(cls, column: Column, rows: npt.NDArray[Any]) -> Self:
        values = column.values[rows]
        known = values[~np.isnan(values)]
        return cls(name=column.name, spread=Spread.of(known), missing=len(known) < len(values))

    def relearn(self, column: Column, rows: npt.NDArray[Any]) -> Self:
        return self._relearned(column, rows, spread=type(self).learn(column, rows).spread)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name, *self._flag)

    @property
    def about(self) -> str:
        centre, scale = (_shown(value) for value in (self.spread.centre, self.spread.scale))
        return f"(x - {centre}) / {scale}, limited to ±3{_about_missing(self, 'median')}"

    def encoder(self, column: Column) -> Encoder:
        def encode(values: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
            out[:, 0] = self.spread.of_numbers(values)
            if self.missing:
                out[:, 1] = np.isnan(values)

        return self._silenced(encode)


class Booleans(_Learned):
    """True and false: 1 and 0; a missing one is what most rows have."""

    kind: Literal["boolean"] = "boolean"
    fill: Literal[0, 1]

    @classmethod
    def learn(cls, column: Column, rows: npt.NDArray[Any]) -> Self:
        values = column.values[rows]
        known = values[~np.isnan(values)]
        fill: Literal[0, 1] = 1 if 2 * np.count_nonzero(known) > len(known) else 0
        return cls(name=column.name, fill=fill, missing=len(known) < len(values))

    def relearn(self, column: Column, rows: npt.NDArray[Any]) -> Self:
        return self._relearned(column, rows, fill=type(self).learn(column, rows).fill)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return (self.name, *self._flag)

    @property
    def about(self) -> str:
        return "1 and 0" + _about_missing(self, "commoner one")

    def encoder(self, column: Column) -> Encoder:
        def encode(values: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
            lacks = np.isnan(values)
            out[:, 0] = np.where(lacks, self.fill, values)
            if self.missing:
                out[:, 1] = lacks

        return self._silenced(encode)


class Words(_Learned):
    """Words: a feature for each, which is 1 where the value is that word, and else 0.

    words: those with a feature. rare: words that few rows have, which share one. unseen: whether there is one for words
    that no row has: it is learned from words that a single row has, which are new to all others.
    """

    kind: Literal["word"] = "word"
    words: tuple[str, ...]
    rare: tuple[str, ...] = ()
    unseen: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len({*self.words, *self.rare}) < len(self.words) + len(self.rare):
            raise ValueError(f"the column {self.name!r} has one word twice")
        return self

    @classmethod
    def learn(cls, column: Column, rows: npt.NDArray[Any]) -> Self:
        codes = column.values[rows]
        known = codes[codes >= 0]
        counts = np.bincount(known, minlength=len(column.words))
        least = min(RARE, max(2, len(codes) // 100))
        order = sorted(np.flatnonzero(counts), key=lambda code: column.words[code])
        return cls(
            name=column.name,
            words=tuple(column.words[code] for code in order if counts[code] >= least),
            rare=tuple(column.words[code] for code in order if 1 < counts[code] < least),
            unseen=bool((counts == 1).any()),
            missing=len(known) < len(codes),
        )

    def relearn(self, column: Column, rows: npt.NDArray[Any]) -> Self:
        return self._relearned(column, rows)

    @property
    def feature_names(self) -> tuple[str, ...]:
        bins = [name for name, there in (("rare", self.rare), ("unseen", self.unseen)) if there]
        return (
            *(f"{self.name} = {word}" for word in self.words),
            *(f"{self.name} {name}" for name in bins),
            *self._flag,
        )

    @property
    def about(self) -> str:
        parts = [f"a feature for each of {len(self.words):,} word{'s' * (len(self.words) != 1)}"]
        parts += [f"one for {len(self.rare):,} rare one{'s' * (len(self.rare) != 1)}"] * bool(self.rare)
        parts += ["one for unseen words"] * self.unseen
        parts += ["one for missing"] * self.missing
        return ", ".join(parts)

    def encoder(self, column: Column) -> Encoder:
        place = {word: k for k, word in enumerate(self.words)}
        end = len(self.words)
        if self.rare:
            place |= dict.fromkeys(self.rare, end)
            end += 1
        # What has no feature, or one of which nothing was learned, is as a word never seen: that of unseen words, where
        # there is one, that of rare ones, or none.
        bins = [
            k for k in ([end] if self.unseen else []) + ([len(self.words)] if self.rare else []) if k not in self.dead
        ]
        other = bins[0] if bins else -1
        missing = len(self.feature_names) - 1 if self.missing else -1

        def live(k: int) -> int:
            return other if k < 0 or k in self.dead else k

        table = np.array([*(live(place.get(word, -1)) for word in column.words), live(missing)], np.int64)

        def encode(values: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
            out[:] = 0.0
            places = table[values]  # a missing word has the code -1, and the last entry
            rows = np.flatnonzero(places >= 0)
            out[rows, places[rows]] = 1.0

        return encode


class Dates(_Learned):
    """Dates: days, and the year, as numbers; month, weekday and hour as a place on a circle, sine and cosine.

    year: None where all are of one year. cycles: the parts that differ between rows.
    """

    kind: Literal["date"] = "date"
    days: Spread
    year: Spread | None = None
    cycles: tuple[Literal["month", "weekday", "hour"], ...] = ()

    @classmethod
    def learn(cls, column: Column, rows: npt.NDArray[Any]) -> Self:
        values = column.values[rows]
        known = values[~np.isnat(values)]
        parts = {name: _part(known, name) for name in ("year", *CYCLES)}
        varies = {name: len(part) > 0 and bool((part != part[0]).any()) for name, part in parts.items()}
        return cls(
            name=column.name,
            days=Spread.of(_days(known)),
            year=Spread.of(parts["year"]) if varies["year"] else None,
            cycles=tuple(name for name in ("month", "weekday", "hour") if varies[name]),
            missing=len(known) < len(values),
        )

    def relearn(self, column: Column, rows: npt.NDArray[Any]) -> Self:
        found = type(self).learn(column, rows)
        year = self.year and (found.year or Spread(centre=0.0, scale=0.0))
        return self._relearned(column, rows, days=found.days, year=year)

    @property
    def feature_names(self) -> tuple[str, ...]:
        circles = [f"{self.name} {cycle} {side}" for cycle in self.cycles for side in ("sine", "cosine")]
        return (f"{self.name} days", *([f"{self.name} year"] if self.year else []), *circles, *self._flag)

    @property
    def about(self) -> str:
        parts = ["days", *(["year"] if self.year else []), *self.cycles]
        return f"{', '.join(parts)}" + _about_missing(self, "median")

    def encoder(self, column: Column) -> Encoder:
        def encode(values: npt.NDArray[Any], out: npt.NDArray[np.float32]) -> None:
            lacks = np.isnat(values)
            days = _days(values)
            out[:, 0] = self.days.of_numbers(days)
            at = 1
            if self.year is not None:
                out[:, 1] = self.year.of_numbers(_part(values, "year"))
                at = 2
            for cycle in self.cycles:
                angle = _part(values, cycle) * (2.0 * np.pi / CYCLES[cycle])
                out[:, at] = np.where(lacks, 0.0, np.sin(angle))
                out[:, at + 1] = np.where(lacks, 0.0, np.cos(angle))
                at += 2
            if self.missing:
                out[:, at] = lacks

        return self._silenced(encode)


class LeftOut(_Learned):
    """A column that becomes nothing. of: its kind; reason: why, in words; identifies: whether it names its row."""

    kind: Literal["left out"] = "left out"
    of: str
    reason: str
    identifies: bool = False

    def relearn(self, column: Column, rows: npt.NDArray[Any]) -> Self:
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ()

    @property
    def about(self) -> str:
        return f"left out: {self.reason}"

    def encoder(self, column: Column) -> Encoder:
        return lambda values, out: None


Treatment = Annotated[Numbers | Booleans | Words | Dates | LeftOut, Field(discriminator="kind")]


def _about_missing(treatment: _Learned, fill: str) -> str:
    return f"; missing: the {fill}, and a flag" if treatment.missing else ""


def _days(values: npt.NDArray[Any]) -> Floats:
    """Days since 1970 with their fractions; NaN where missing."""
    microseconds = values.astype("datetime64[us]").astype(np.int64)
    return np.where(np.isnat(values), np.nan, microseconds / _DAY)


def _part(values: npt.NDArray[Any], name: str) -> Floats:
    """A part of dates as numbers: month from 0, weekday from Monday 0; NaN where missing."""
    if name == "year":
        part = values.astype("datetime64[Y]").astype(np.int64) + 1970
    elif name == "month":
        part = values.astype("datetime64[M]").astype(np.int64) % 12
    elif name == "weekday":
        part = (values.astype("datetime64[D]").astype(np.int64) + 3) % 7
    else:
        part = values.astype("datetime64[h]").astype(np.int64) % 24
    return np.where(np.isnat(values), np.nan, part.astype(np.float64))


def as_kind(column: Column, kind: Kind, source: str) -> Column:
    """A column as one of another kind, where its values can be of that kind; DataError else.

    Text of a few rows may look like another kind than all of it: 0 and 1 like true and false, nothing like anything.
    """
    if column.kind == kind:
        return column
    values = column.values
    if column.missing.all():
        nothing: dict[str, Any] = {"date": np.datetime64("NaT", "us"), "word": np.int32(-1)}
        return Column(column.name, kind, np.full(len(values), nothing.get(kind, np.nan)))
    if kind == "number" and column.kind == "boolean":
        return Column(column.name, kind, values)
    if kind == "boolean" and column.kind == "number" and np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
        return Column(column.name, kind, values)
    if kind == "word":
        return _as_words(column)
    if column.kind == "word" and (found := _from_words(column, kind)) is not None:
        return found
    row = int(np.flatnonzero(~column.missing)[0])
    wants = {"number": "numbers", "boolean": "true and false", "date": "dates"}[kind]
    raise DataError(
        f"{source}: the column {column.name!r} holds {_in_words(column, row)}; expected {wants}, as in the rows that "
        "the model was trained on"
    )


def _from_words(column: Column, kind: Kind) -> Column | None:
    """True and false, or dates, that a DataFrame has as words; None where some word is neither."""
    words = [word.strip().lower() for word in column.words]
    if kind == "boolean" and (set(words) <= {"true", "false"} or set(words) <= {"yes", "no"}):
        values = np.array([*(word in ("true", "yes") for word in words), np.nan])
        return Column(column.name, kind, values[column.values])
    if kind == "date":
        try:
            dates = np.array([*column.words, "NaT"], "datetime64[us]")
        except ValueError:
            return None
        return Column(column.name, kind, dates[column.values])
    return None


def _as_words(column: Column) -> Column:
    """Numbers, dates or true and false as the words that they are written as."""
    known = ~column.missing
    distinct, codes = np.unique(column.values[known], return_inverse=True)
    if column.kind == "boolean":
        words: Sequence[str] = [truth_words(column)[int(value)] for value in distinct]
    elif column.kind == "number":
        words = [_written(float(value)) for value in distinct]
    else:
        words = [str(value).replace("T", " ").removesuffix(".000000") for value in distinct]
    values = np.full(len(column.values), -1, np.int32)
    values[known] = codes
    return Column(column.name, "word", values, tuple(words))


def truth_words(column: Column) -> tuple[str, str]:
    """The words for false and true in a column, as it is written."""
    return words_of_form(column.form)


def words_of_form(form: str) -> tuple[str, str]:
    """The words for false and true of the name of a form, as "yes/no"; those of Python, in lower case, where it has
    none."""
    true, _, false = form.partition("/")
    return (false, true) if false else ("false", "true")


def _shown(value: float) -> str:
    """A number in a sentence: a whole one with all its digits, another with six."""
    return _written(value) if value.is_integer() else f"{value:.6g}"


def _written(value: float) -> str:
    """A number as a person writes it: a whole one without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)


def _in_words(column: Column, row: int) -> str:
    """A value as a message shows it."""
    if column.kind == "word":
        return quoted(column.words[int(column.values[row])])
    one = Column(column.name, column.kind, column.values[row : row + 1])
    return _as_words(one).words[0]
