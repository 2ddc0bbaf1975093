"""The data that a model is evaluated on: those that it was trained on, or others that are named."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jitnet.errors import ModelError
from jitnet.runs.run_settings import task_for

if TYPE_CHECKING:
    from jitnet.datasets import Dataset, Progress
    from jitnet.model import AnyModel

__all__ = ["EvaluationData", "data_for"]


class EvaluationData(NamedTuple):
    """dataset: whose `test_or_train` split to evaluate on. part: what that is, "test"; "train", rows that the model was
    trained on; or "only", of other data without parts. shown: what to call the data. changed: whether it is the data
    that the model was trained on, and these have changed since."""

    dataset: "Dataset"
    part: str
    shown: str
    changed: bool


def data_for(
    model: "AnyModel",
    place: Path,
    data: str | None = None,
    test_data: Path | None = None,
    progress: "Progress | None" = None,
) -> EvaluationData:
    """Load the data to evaluate a model on.

    place: the model's file or run, for messages. data: a name or a path; None are those that the model was trained on:
    of a table the rows that were held out then, and where it was trained for a fold of a cross-validation, that fold.
    test_data: as `jitnet.load` takes it. Raises ModelError where the data are not found, or are of another kind, and as
    `jitnet.load` does.
    """
    from jitnet.datasets import TaskAdvice, load, names
    from jitnet.datasets.folds import Fold
    from jitnet.datasets.from_table import HELD_OUT
    from jitnet.datasets.registry import is_table
    from jitnet.tables.outcome import Choice

    is_default = data is None and test_data is None
    source, default_test = (data, None) if data is not None else _training_data(model, place)
    test_data = test_data or default_test
    for named in (data, test_data) if model.preparation is None else ():
        if named is not None and is_table(named, Choice()):
            raise ModelError(
                f"{named}: is a table with names, words or gaps, and the model was not trained on one; use the kind of "
                "data that it was trained on"
            )
    not_classes = "the model predicts classes, and these targets are numbers; name data with classes"
    trained_on = _is_trained_on(model, source)
    fold = model.metadata.get("fold") if trained_on and test_data is None else None
    dataset = load(
        source,
        test_data,
        # Classes without names are matched by position, which `evaluate` does.
        classes=model.class_names if model.is_named else None,
        task=task_for({"loss": model.config.loss}),
        advice=TaskAdvice(not_classes=not_classes),
        progress=progress,
        preparation=model.preparation,
        held_out=HELD_OUT if test_data is None and trained_on and fold is None else 0.0,
    )
    if fold is not None:
        dataset = Fold.parse(fold)(dataset)
    part = "test" if dataset.test is not None else "train" if trained_on else "only"
    known = model.metadata.get("data_checksum")
    changed = is_default and bool(known) and known != dataset.checksum
    return EvaluationData(dataset, part, dataset.name if source in names() else dataset.source, changed)


def _training_data(model: "AnyModel", place: Path) -> tuple[str, Path | None]:
    """The data that a model was trained on, and the separate file that it was tested on, where there was one."""
    from jitnet.datasets import names

    about = model.metadata
    data, test = about.get("data_path", about.get("data", "")), about.get("test_data_path")
    if not data or (data not in names() and not Path(data).exists()):
        raise ModelError(
            f"{place}: what it was trained on, {data or 'unknown data'}, was not found; name data with --data"
        )
    return data, Path(test) if test else None


def _is_trained_on(model: "AnyModel", source: str) -> bool:
    """Whether data, by name or path, are those that a model was trained on."""
    path = model.metadata.get("data_path")
    return source == model.metadata.get("data") if path is None else Path(source).expanduser().resolve() == Path(path)
