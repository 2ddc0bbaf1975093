"""`jitnet committee`."""

import sys
from pathlib import Path
from shlex import quote
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command, expect_model, model_at
from jitnet.cli.common import MODEL_HELP, Json, Quiet, TestData, check_output, evaluated_data_option, print_json
from jitnet.errors import DataError, ModelError, UsageError

if TYPE_CHECKING:
    from jitnet.runs.evaluated_data import EvaluatedData

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet committee runs/a runs/b runs/c --out committee.safetensors
  jitnet committee runs/2026-03-14-mnist* --out committee.safetensors
  jitnet eval committee.safetensors
  jitnet train --committee 5
"""


@app.command(cls=Command, epilog=EXAMPLES)
def committee(
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL-OR-RUN",
            show_default=False,
            help=f"Two or more. Each is {MODEL_HELP[0].lower()}{MODEL_HELP[1:]} Of a committee every member is taken.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", show_default=False, help="Where to write the committee: NAME.safetensors."
        ),
    ],
    data: Annotated[
        str | None,
        evaluated_data_option(
            "Data to score the members and the committee on. [default: the test part, or the held-out rows, of "
            "the data that all of them were trained on]"
        ),
    ] = None,
    test_data: TestData = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make one model of several, whose predictions are averaged.

    The members predict the same: the same classes, labels or targets, matched by name, from samples of the same form.
    Their layers, losses and scalings may differ, and what they make of a table's columns. Probabilities of classes and
    labels are averaged, and so are numbers, in the targets' unit, and quantiles, each.

    All members are written to one file, which jitnet eval and jitnet predict take like a model. Where test data are
    found, the score of each member and of the committee on them is printed; members are never chosen by it.
    """
    check_output("--out", out, (".safetensors",))
    models = [model_at(expect_model(model)) for model in models]
    from jitnet import render
    from jitnet.evaluation import evaluate
    from jitnet.model import FILE_NAME, Committee, load_model

    files = [(path / FILE_NAME if path.is_dir() else path).resolve() for path in models]
    for k, file in enumerate(files):
        if file in files[:k]:
            raise UsageError(f"{models[k]} is the model that {models[files.index(file)]} is; name each model once")

    screen, notices = render.consoles(json, quiet), render.make_console(sys.stderr)
    members = [load_model(path) for path in models]
    found = Committee.from_models(members, names=[str(path) for path in models])
    with render.downloads(screen) as progress:
        scored_on = _test_data(found, out, data, test_data, progress, notices)
    rows: list[tuple[str, dict[str, float]]] = []
    together: dict[str, float] = {}
    if scored_on is not None:
        with render.compiling(screen):
            rows = [
                (str(path), evaluate(member, scored_on.dataset).metrics)
                for path, member in zip(models, members, strict=True)
            ]
            together = evaluate(found, scored_on.dataset).metrics
    found.save(out)
    if json:
        print_json(_document(out, models, scored_on, rows, together))
        return
    if scored_on is not None:
        n = len(scored_on.dataset.test_or_train)
        render.facts(screen.out, [("data", f"{scored_on.name}: {n:,} row{'s' * (n != 1)} that none was trained on")])
        mean = {name: fmean(metrics[name] for _, metrics in rows) for name in together}
        render.scores_of_several(screen.out, "member", rows, [("mean of members", mean), ("committee", together)])
    render.facts(screen.out, [("model", f"{out}: {found!r}")])
    render.suggest(screen.out, [f"jitnet eval {quote(str(out))}"])


def _test_data(
    found: Any, out: Path, data: str | None, test_data: Path | None, progress: Any, notices: Any
) -> "EvaluatedData | None":
    """The data to score on; None, with a notice, where there are none that no member was trained on."""
    from jitnet import render
    from jitnet.runs.evaluated_data import evaluated_data

    try:
        scored_on = evaluated_data(found, out, data, test_data, progress)
    except (ModelError, DataError) as error:
        if data is not None or test_data is not None:
            raise
        reason = str(error).removeprefix(f"{out}: ")
        if not found.metadata.get("data"):
            reason = "the members were trained on different data; name some with --data"
        render.notice(notices, f"no scores: {reason}")
        return None
    if scored_on.part == "train":
        render.notice(notices, f"no scores: {scored_on.name} has no test part; name other data with --test-data")
        return None
    return scored_on


def _document(
    out: Path,
    models: list[Path],
    scored_on: "EvaluatedData | None",
    rows: list[tuple[str, dict[str, float]]],
    together: dict[str, float],
) -> dict[str, Any]:
    scores = [metrics for _, metrics in rows] or [{}] * len(models)
    return {
        "saved": out,
        "data": scored_on
        and {
            "name": scored_on.dataset.name,
            "source": scored_on.dataset.source,
            "part": scored_on.part,
            "n": len(scored_on.dataset.test_or_train),
        },
        "members": [{"model": path, **metrics} for path, metrics in zip(models, scores, strict=True)],
        "committee": together,
    }
