"""The data that a model is evaluated on: those that it was trained on, found again, or others."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jitnet.datasets import Dataset, TaskAdvice, load, names
from jitnet.datasets.folds import Fold
from jitnet.datasets.from_table import HELD_OUT
from jitnet.datasets.registry import is_table
from jitnet.errors import ModelError
from jitnet.runs.run_settings import task_for
from jitnet.tables.outcome import Choice

if TYPE_CHECKING:
    from jitnet.datasets import Progress
    from jitnet.model import AnyModel

__all__ = ["EvaluatedData", "evaluated_data"]

_ADVICE = TaskAdvice(not_classes="the model predicts classes, and these targets are numbers; name data with classes")


class EvaluatedData(NamedTuple):
    """dataset: its test part is evaluated, or where it has none all. part: "test"; "train" where these are the rows
    that the model was trained on; else "only". name: what the data are called. changed: whether they are no longer what
    the model was trained on; False where other data were named."""

    dataset: Dataset
    part: str
    name: str
    changed: bool


def evaluated_data(
    network: "AnyModel",
    model: Path,
    data: str | None = None,
    test_data: Path | None = None,
    progress: "Progress | None" = None,
) -> EvaluatedData:
    """Load the data to evaluate a model on. model: its path, for messages. data: a name or path; None is what it was
    trained on: of a table the rows that were held out then, and of a fold of a cross-validation that fold. test_data: a
    path, in place of the test part. Raises as `load` does, and ModelError where they are not
    found or do not fit."""
    is_default = data is None and test_data is None
    source, default_test = (data, None) if data is not None else _training_data(network, model)
    test_data = test_data or default_test
    for named in (data, test_data) if network.preparation is None else ():
        if named is not None and is_table(named, Choice()):
            raise ModelError(
                f"{named}: is a table with names, words or gaps, and the model was not trained on one; use the kind of "
                "data that it was trained on"
            )
    trained_on = _is_trained_on(network, source)
    fold = network.metadata.get("fold") if trained_on and test_data is None else None
    dataset = load(
        source,
        test_data,
        # Classes without names are matched by position, which `evaluate` does.
        classes=network.class_names if network.is_named else None,
        task=task_for({"loss": network.config.loss}),
        advice=_ADVICE,
        progress=progress,
        preparation=network.preparation,
        # Of the table that it was trained on, the rows that were held out then; of another, all.
        held_out=HELD_OUT if test_data is None and trained_on and fold is None else 0.0,
    )
    if fold is not None:
        dataset = Fold.parse(fold)(dataset)
    known = network.metadata.get("data_checksum")
    return EvaluatedData(
        dataset,
        "test" if dataset.test is not None else "train" if trained_on else "only",
        dataset.name if source in names() else dataset.source,
        bool(is_default and known and known != dataset.checksum),
    )


def _training_data(network: "AnyModel", model: Path) -> tuple[str, Path | None]:
    """The data that a model was trained on, and the separate file that it was tested on, where there was one."""
    about = network.metadata
    data, test = about.get("data_path", about.get("data", "")), about.get("test_data_path")
    if not data or (data not in names() and not Path(data).exists()):
        raise ModelError(
            f"{model}: what it was trained on, {data or 'unknown data'}, was not found; name data with --data"
        )
    return data, Path(test) if test else None


def _is_trained_on(network: "AnyModel", source: str) -> bool:
    """Whether data, by name or path, are those that a model was trained on."""
    path = network.metadata.get("data_path")
    return source == network.metadata.get("data") if path is None else Path(source).expanduser().resolve() == Path(path)
