"""A committee: several networks of the same inputs and outputs, whose predictions are averaged.

The error of an average is at most the average of the members' squared errors, and smaller the more they differ (Krogh
and Vedelsby 1995); networks that differ in their first weights and in the order of samples alone differ enough
(Lakshminarayanan et al. 2017).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from jitnet.config import LOSSES, TARGETS, ModelConfig, check_arguments, layers_in_words
from jitnet.datasets import Dataset, Scaling, Split
from jitnet.datasets.kind import MOST_APART, form
from jitnet.datasets.targets import default_names
from jitnet.errors import ModelError, OutputError
from jitnet.model.any_model import AnyModel
from jitnet.model.encoding import Samples, decode_targets, encode_targets
from jitnet.model.file import StoredModel, read_any, read_committee, write_committee
from jitnet.model.network import Model
from jitnet.tables.preparation import Preparation
from jitnet.tables.table import Table

__all__ = ["Committee", "load_model"]

Floats = npt.NDArray[np.float32]
Columns = npt.NDArray[np.intp]

OF_DATA = ("data", "data_source", "data_checksum", "data_path", "test_data_path", "fold")
"""In metadata: which data a network was trained on."""


class Committee(AnyModel):
    """Several networks whose predictions are averaged: probabilities of classes and of labels, targets in their unit,
    quantiles each.

    It predicts like a `Model`, with the same methods. Every member takes the same samples, and applies its own scaling
    and its own treatment of a table's columns; they may differ in layers, widths and losses. Classes and targets are
    matched by name, and are in the order of the first member that has names, whose `config`, `scaling` and
    `target_scaling` are the committee's. Members predict one after another, each
    with all threads, so a prediction takes as long as those of the members together. Made by `from_models` or `load`.
    """

    def __init__(self, members: Sequence[Model], columns: Sequence[Columns]) -> None:
        """columns: for each member, where among its outputs each of the committee's is."""
        self._members, self._columns = tuple(members), tuple(columns)
        leader = self._leader = _leader(members)
        self.config, self.class_names, self.target_names = leader.config, leader.class_names, leader.target_names
        self.target_scaling, self.scaling, self.image_shape = leader.target_scaling, leader.scaling, leader.image_shape

    @classmethod
    def from_models(cls, models: "Sequence[Model | Committee]", *, names: Sequence[str] = ()) -> Self:
        """Make a committee of two or more networks; the members of a committee among them are members too.

        names: what messages call the models, "member 1" and so on by default. Raises ModelError that names the first
        one that does not fit the others, and in what.
        """
        found = [model for model in models if isinstance(model, AnyModel)]
        if not isinstance(models, Sequence) or len(found) < len(models):
            raise ModelError("a committee is made of models; call Committee.from_models([model, ...])")
        called = [names[k] if names else f"member {k + 1}" for k in range(len(models))]
        members = [member for model in models for member in model.members]
        words = [name for name, model in zip(called, models, strict=True) for _ in model.members]
        if len(members) < 2:
            raise ModelError(f"a committee is two models or more; found {len(members)}")
        leader = _leader(members)
        first, columns = words[members.index(leader)], []
        for member, word in zip(members, words, strict=True):
            refuse = partial(_refusal, word, first)
            columns.append(_columns(leader, member, refuse))
            _check_inputs(leader, member, refuse)
        return cls(members, columns)

    @property
    def members(self) -> tuple[Model, ...]:
        """The networks, in the order in which they were given."""
        return self._members

    @property
    def preparation(self) -> Preparation | None:  # type: ignore[override]
        """The leading member's, with the kinds of the columns of all; None where samples are no rows of a table."""
        found = [one.preparation for one in (*self._members, self._leader) if one.preparation is not None]
        kinds = {name: kind for preparation in found for name, kind in preparation.kinds.items()}
        return found[-1].model_copy(update={"kinds": kinds}) if found else None

    @property
    def metadata(self) -> dict[str, str]:  # type: ignore[override]
        """What all members' metadata agree on, a new dict; of their data nothing where these were not the same."""
        first, *others = (member.metadata for member in self._members)
        same = {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}
        if first.get("data_checksum") == same.get("data_checksum"):
            return same
        return {name: text for name, text in same.items() if name not in OF_DATA}

    @property
    def is_named(self) -> bool:
        """Whether its classes have names: the data's or the caller's, not the mere numbers of an unknown data set."""
        return self._leader.is_named

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        """The committee in a line: how many networks, of what kind where all are of one, and how many parameters."""
        shapes = {" → ".join(map(str, one.config.widths)) for one in self._members}
        layers = {layers_in_words(one.config.model_dump()) for one in self._members}
        kind = ", ".join(found.pop() for found in (shapes, layers) if len(found) == 1)
        return f"Committee({len(self)} networks{', ' if kind else ''}{kind}, {self.n_parameters:,} parameters)"

    @property
    def n_parameters(self) -> int:
        """Parameters of all members together."""
        return sum(member.config.n_parameters for member in self._members)

    def check_features(self, dataset: Dataset) -> None:
        """ModelError where samples have more or fewer values than the members take."""
        for member in self._members:
            member.check_features(dataset)

    def predict(self, images: Samples, *, threads: int = 0) -> Floats:
        """The mean of the members' predictions, as `Model.predict` returns them; images: as it takes them. An array of
        what the columns of a table become is refused where the members make different things of them."""
        return self._mean([one.outputs(images, threads=threads) for one in self._asked(images)]).astype(np.float32)

    def outputs(self, images: Samples, *, threads: int = 0) -> Floats:
        """The same, of targets that are numbers standardised by `target_scaling`."""
        return self._standardised([one.outputs(images, threads=threads) for one in self._asked(images)])

    def outputs_of_split(self, split: Split) -> Floats:
        """The same of the samples of a split; of the rows of a table those of what they become for each member."""
        if split.table is None:
            return self.outputs(split.images)
        return self._standardised([member.outputs_of_split(split) for member in self._members])

    def row_predictor(self, table: Table) -> Callable[[npt.NDArray[np.int64]], Floats]:
        """A function that predicts some rows of a table, by their numbers from 0. Raises DataError as `predict`."""
        predictors = [member.row_predictor(table) for member in self._members]

        def predict(rows: npt.NDArray[np.int64]) -> Floats:
            found = [one(rows)[:, order] for one, order in zip(predictors, self._columns, strict=True)]
            return np.asarray(np.mean(found, axis=0, dtype=np.float64), np.float32)

        return predict

    def _asked(self, images: Any) -> tuple[Model, ...]:
        """The members; ModelError for an array where they make different things of the columns of a table."""
        of_table = isinstance(images, Table) or hasattr(images, "columns")
        if not of_table and any(one.preparation != self._leader.preparation for one in self._members):
            raise ModelError(
                "the members make different features of a table's columns, so one array cannot hold them; pass the raw "
                "rows, a DataFrame or a Table"
            )
        return self._members

    def _mean(self, outputs: Sequence[Floats]) -> npt.NDArray[np.float64]:
        """The mean of the members' outputs, in the unit of the targets where they are numbers."""
        total: Any = 0.0
        for member, order, found in zip(self._members, self._columns, outputs, strict=True):
            values: npt.NDArray[Any] = found
            if self.config.target == "number":
                values = decode_targets(found, member.target_scaling, self.config.outputs_per_target)
            total = total + values[:, order].astype(np.float64)
        return np.asarray(total / len(self))

    def _standardised(self, outputs: Sequence[Floats]) -> Floats:
        mean = self._mean(outputs)
        if self.config.target == "number":
            return encode_targets(mean, self.target_scaling, self.config.outputs_per_target)
        return mean.astype(np.float32)

    def save(self, path: str | Path) -> None:
        """Write all members to one safetensors file, whole or not at all; OutputError where it cannot be written."""
        check_arguments("committee.save(path)", path=(path, (str, Path)))
        if not Path(path).name:
            raise OutputError(
                f"{str(path)!r} is not the name of a file; name one, as in committee.save('model.safetensors')"
            )
        write_committee(Path(path), [member.stored() for member in self._members])

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a committee from a safetensors file or a run folder; ModelError names what was found and expected."""
        check_arguments("Committee.load(path)", path=(path, (str, Path)))
        return cls.of_stored(Path(path), read_committee(Path(path)))

    @classmethod
    def of_stored(cls, path: Path, found: Sequence[StoredModel]) -> Self:
        """The committee that a file holds; path: what messages call it."""
        return cls.from_models(
            [Model.of_stored(one) for one in found], names=[f"{path}, member {k + 1}" for k in range(len(found))]
        )


def load_model(path: str | Path) -> Model | Committee:
    """Read a network or a committee, whichever a safetensors file or a run folder holds; ModelError names what was
    found and expected."""
    check_arguments("load_model(path)", path=(path, (str, Path)))
    found = read_any(Path(path))
    return Model.of_stored(found) if isinstance(found, StoredModel) else Committee.of_stored(Path(path), found)


def _leader(members: Sequence[Model]) -> Model:
    """The member whose names and order of outputs are the committee's: the first whose classes or targets have
    names."""
    return next((one for one in members if _is_named(one)), members[0])


def _is_named(model: Model) -> bool:
    if model.config.target == "class":
        return model.is_named
    return model.target_names != default_names(len(model.target_names))


def _refusal(word: str, first: str, field: str, found: str, expected: str) -> ModelError:
    """The error for a member that does not fit the leading one; word, first: what messages call the two."""
    return ModelError(f"{word}: {field}: {found}; expected {expected}, as of {first}, to be averaged with it")


def _columns(leader: Model, member: Model, refuse: Callable[[str, str, str], ModelError]) -> Columns:
    """Where among a member's outputs each of the leading one's is, by name; by place where one of the two has no
    names. ModelError where they predict something else."""
    shape, wanted = member.config, leader.config
    if shape.target != wanted.target:
        raise refuse("loss", f"predicts {TARGETS[shape.target]} ({shape.loss})", TARGETS[wanted.target])
    if (levels := _levels(shape)) != (others := _levels(wanted)):
        raise refuse("quantiles", levels or "none", others or "none")
    kind = "class_names" if wanted.target == "class" else "target_names"
    found, expected = getattr(member, kind), getattr(leader, kind)
    named = _is_named(member) and found != expected
    if set(found) != set(expected) if named else len(found) != len(expected):
        raise refuse(kind, _listed(found), f"{_listed(expected)}, in any order")
    places = [found.index(name) for name in expected] if named else range(len(expected))
    per_target = wanted.outputs_per_target
    return np.array([place * per_target + k for place in places for k in range(per_target)], np.intp)


def _check_inputs(leader: Model, member: Model, refuse: Callable[[str, str, str], ModelError]) -> None:
    """ModelError where a member takes other samples than the leading one."""
    prepares = member.preparation is not None
    if prepares != (leader.preparation is not None):
        kinds = ("arrays", "the columns of a table")
        raise refuse("preparation", f"takes {kinds[prepares]}", kinds[not prepares])
    if prepares:
        return
    if member.config.in_features != leader.config.in_features:
        raise refuse("in_features", f"samples of {member.config.in_features} values", f"{leader.config.in_features}")
    if member.image_shape != leader.image_shape:
        raise refuse("image_shape", _sides(member.image_shape), _sides(leader.image_shape))
    if member.judges_values and leader.judges_values and not _one_form(member.scaling, leader.scaling):
        raise refuse("scaling", f"takes {form(member.scaling)}", form(leader.scaling))


def _levels(shape: ModelConfig) -> str:
    """The quantiles that a network predicts, in words; "" where it predicts none."""
    return ", ".join(f"{level:g}" for level in shape.quantiles) if "quantiles" in LOSSES[shape.loss].fields else ""


def _sides(shape: tuple[int, int] | None) -> str:
    return "no images" if shape is None else f"images of {shape[0]}×{shape[1]}"


def _one_form(one: Scaling, other: Scaling) -> bool:
    """Whether the same stored values can be of both kinds: where both are scaled by one number, they reach about the
    same peak; values that are standardised may have any."""
    if np.ndim(one.scale) or np.ndim(other.scale):
        return True
    low, high = sorted(abs(float(scale)) for scale in (one.scale, other.scale))
    return high <= MOST_APART * low


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:8])}{', …' * (len(names) > 8)})"
