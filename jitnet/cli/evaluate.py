"""`jitnet eval`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from jitnet.cli.command import Command, model_at
from jitnet.cli.common import Json, ModelPath, Quiet, TestData, evaluated_data_option, print_json

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
        evaluated_data_option(
            "Data to evaluate on: the test part, or all where there is no other. Classes are matched by name. "
            "[default: the data that the model was trained on]"
        ),
    ] = None,
    test_data: TestData = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a model or a committee: loss, accuracy beside that of always predicting the commonest class, scores per
    class, confusions, calibration, and the most confident mistakes, drawn. Of two classes also ROC AUC, average
    precision, Brier score, and what each threshold would do; of yes/no labels the scores of each. Where it predicts
    numbers, loss, RMSE, MAE, R² and bias per target, predicted against true values and residuals, drawn, the largest
    errors, and what predicted quantiles cover.

    First shows on which data, which part of them, and how many rows and classes that part has.
    """
    from jitnet import render
    from jitnet.evaluation import evaluate as evaluate_
    from jitnet.model import load_model
    from jitnet.runs.evaluated_data import evaluated_data

    screen, notices = render.consoles(json, quiet), render.make_console(sys.stderr)
    model = model_at(model)
    network = load_model(model)
    with render.downloads(screen) as progress:
        found = evaluated_data(network, model, data, test_data, progress)
    dataset = found.dataset
    for decision in dataset.decisions:
        render.notice(notices, decision)
    with render.compiling(screen):
        result = evaluate_(network, dataset)
    if found.part == "train":
        render.notice(
            notices,
            f"{dataset.source} has no test part: these are the rows that the model was trained on, and what it scores "
            "on them says little about other data; name other data with --test-data",
        )
    evaluated = dataset.test_or_train
    about = {
        "name": dataset.name,
        "source": dataset.source,
        "part": found.part,
        "n": len(evaluated),
    }
    of_classes = evaluated.targets is None
    about |= {"n_classes": len(set(evaluated.labels.tolist()))} if of_classes else {"n_targets": dataset.n_targets}
    if json:
        print_json(_document(model, about, result))
        return
    if found.changed:
        render.notice(notices, f"{dataset.source} has changed since the model was trained on it")
    images: Any = evaluated.images
    render.evaluation(screen.out, result, images, dataset.image_shape, {**about, "name": found.name})


def _document(model: Path, data: dict[str, Any], result: Any) -> dict[str, Any]:
    return {"model": model, "data": data, **result.as_record()}
