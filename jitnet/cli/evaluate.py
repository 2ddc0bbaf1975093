"""`jitnet eval`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command, expect_data
from jitnet.cli.common import Json, ModelPath, Quiet, TestData, print_json
from jitnet.errors import ModelError

if TYPE_CHECKING:
    from jitnet.model import Model

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet eval runs/2026-03-14-mnist
  jitnet eval @latest
  jitnet eval model.safetensors --data mnist --json
"""


@app.command(cls=Command, epilog=EXAMPLES)
def evaluate(
    model: ModelPath,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME-OR-PATH",
            show_default=False,
            callback=expect_data,
            help="Data to evaluate on: the test part, or all where there is no other. Classes are matched by name. "
            "[default: the data that the model was trained on]",
        ),
    ] = None,
    test_data: TestData = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a model: loss, accuracy beside that of always predicting the commonest class, scores per class,
    confusions, calibration, and the most confident mistakes, drawn. Of two classes also ROC AUC, average precision,
    Brier score, and what each threshold would do; of yes/no labels the scores of each. Where it predicts numbers, loss,
    RMSE, MAE, R² and bias per target, predicted against true values and residuals, drawn, the largest errors, and what
    predicted quantiles cover.

    First shows on which data, which part of them, and how many rows and classes that part has.
    """
    from jitnet import render
    from jitnet.datasets import TaskAdvice, load, names
    from jitnet.datasets.from_table import HELD_OUT
    from jitnet.datasets.registry import is_table
    from jitnet.evaluation import evaluate as evaluate_
    from jitnet.model import Model
    from jitnet.runs.run_settings import task_for
    from jitnet.tables.outcome import Choice

    screen = render.consoles(json, quiet)
    network = Model.load(model)
    is_default = data is None and test_data is None
    source, default_test = (data, None) if data is not None else _training_data(network, model)
    test_data = test_data or default_test
    # Classes without names are matched by position, which `evaluate` does.
    classes = network.class_names if network.is_named else None
    advice = TaskAdvice(not_classes="the model predicts classes, and these targets are numbers; name data with classes")
    task = task_for({"loss": network.config.loss})
    for named in (data, test_data) if network.preparation is None else ():
        if named is not None and is_table(named, Choice()):
            raise ModelError(
                f"{named}: is a table with names, words or gaps, and the model was not trained on one; use the kind of "
                "data that it was trained on"
            )
    # Of the table that it was trained on, the rows that were held out then; of another, all.
    held_out = HELD_OUT if test_data is None and _is_trained_on(network, source) else 0.0
    with render.downloads(screen) as progress:
        dataset = load(
            source,
            test_data,
            classes=classes,
            task=task,
            advice=advice,
            progress=progress,
            preparation=network.preparation,
            held_out=held_out,
        )
    for decision in dataset.decisions:
        render.notice(render.make_console(sys.stderr), decision)
    with render.compiling(screen):
        result = evaluate_(network, dataset)
    part = "test" if dataset.test is not None else "train" if _is_trained_on(network, source) else "only"
    if part == "train":
        render.notice(
            render.make_console(sys.stderr),
            f"{dataset.source} has no test part: these are the rows that the model was trained on, and what it scores "
            "on them says little about other data; name other data with --test-data",
        )
    evaluated = dataset.test_or_train
    about = {
        "name": dataset.name,
        "source": dataset.source,
        "part": part,
        "n": len(evaluated),
    }
    of_classes = evaluated.targets is None
    about |= {"n_classes": len(set(evaluated.labels.tolist()))} if of_classes else {"n_targets": dataset.n_targets}
    if json:
        print_json(_document(model, about, result))
        return
    known = network.metadata.get("data_checksum")
    if is_default and known and known != dataset.checksum:
        render.notice(
            render.make_console(sys.stderr), f"{dataset.source} has changed since the model was trained on it"
        )
    shown = dataset.name if source in names() else dataset.source
    images: Any = evaluated.images
    render.evaluation(screen.out, result, images, dataset.image_shape, {**about, "name": shown})


def _training_data(network: "Model", model: Path) -> tuple[str, Path | None]:
    """The data that a model was trained on, and the separate file that it was tested on, where there was one."""
    from jitnet.datasets import names

    about = network.metadata
    data, test = about.get("data_path", about.get("data", "")), about.get("test_data_path")
    if not data or (data not in names() and not Path(data).exists()):
        raise ModelError(
            f"{model}: what it was trained on, {data or 'unknown data'}, was not found; name data with --data"
        )
    return data, Path(test) if test else None


def _is_trained_on(network: "Model", source: str) -> bool:
    """Whether data, by name or path, are those that a model was trained on."""
    path = network.metadata.get("data_path")
    return source == network.metadata.get("data") if path is None else Path(source).expanduser().resolve() == Path(path)


def _document(model: Path, data: dict[str, Any], result: Any) -> dict[str, Any]:
    return {"model": model, "data": data, **result.as_record()}
