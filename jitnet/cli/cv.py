"""`jitnet cv`."""

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import config_at
from jitnet.cli.common import (
    ConfigOption,
    DataOption,
    Group,
    Ignore,
    Json,
    On,
    Quiet,
    RecipeOption,
    Target,
    Task,
    Time,
    Weight,
    columns_named,
    engine_on,
    print_json,
    write_output,
)
from jitnet.cli.options import FIELDS, CommandWithFields, settings_of, task_advice, with_fields
from jitnet.cli.several import train_side_by_side

if TYPE_CHECKING:
    from jitnet.datasets import Dataset
    from jitnet.search.cross_validation import FoldScore

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet cv --data digits
  jitnet cv --data houses.csv --target price --recipe tabular --folds 10
  jitnet cv --data visits.csv --target ill --group patient
  jitnet cv --data sales.csv --target sold --time day --json > cv.json
"""


@app.command(cls=CommandWithFields, epilog=EXAMPLES)
@with_fields(FIELDS)
def cv(
    *,
    folds: Annotated[
        int,
        typer.Option(
            "--folds",
            min=2,
            metavar="NUMBER",
            help="How many folds. A whole number from 2 to the number of rows, groups, or times less one.",
        ),
    ] = 5,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            max=1024,
            metavar="NUMBER",
            help="How many folds to train at a time, each in a process of one thread. A whole number up to 1,024; 0 is "
            "one for each core, or with --on dask:// for each thread of the cluster. The scores are the same with any "
            "number.",
        ),
    ] = 0,
    on: On = "local",
    data: DataOption = None,
    target: Target = None,
    task: Task = "auto",
    group: Group = None,
    time: Time = None,
    weight: Weight = None,
    ignore: Ignore = None,
    recipe: RecipeOption = None,
    config: ConfigOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            show_default=False,
            help="Folder of the folds' runs; must not hold any yet. [default: a new folder runs/DATE-NAME-cv]",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """Estimate by cross-validation how well a network does on data that it was not trained on.

    Divides the rows into folds. For each fold a network is trained on the rows outside and scored on those in the fold:
    a row for each, and their mean and standard deviation. Folds are stratified by class. With --group, rows of one
    group are in one fold. With --time, folds follow each other in time, and each is scored by a network that was
    trained on what came before; the earliest rows are only trained on. All rows of a table are divided; a data set's
    separate test part is not used.

    All that is learned from data is learned from the rows outside the fold alone: scalings, what a table's columns
    become, and what --val-split, or a recipe, holds out to stop early. --seed draws the folds and the networks.

    Each fold is a run folder, fold-1 and so on, which jitnet eval scores on its fold. Ctrl-C stops within a second and
    keeps the folds that are done.
    """
    columns = columns_named(target, group, time, weight, ignore)
    settings = settings_of(fields, recipe, data=data, columns=columns, task=task)
    if config is not None:
        from jitnet.runs.run_config import read_settings

        settings = settings.over(read_settings(config_at(config)))
    settings.check()
    from jitnet import render, runs
    from jitnet.search.cross_validation import (
        SCORES,
        check_folder,
        check_settings,
        fold_works,
        on_all_rows,
        score_fold,
        summarise,
    )

    check_settings(settings)
    engine = engine_on(on, workers)
    from jitnet.engine.loop import load_loop

    screen, notices = render.consoles(json, quiet), render.make_console(sys.stderr)
    settings = on_all_rows(settings)
    with render.downloads(screen) as progress:
        dataset = settings.load(progress, task_advice())
    for line in (*([dataset.notice] if dataset.notice else []), *dataset.decisions):
        render.notice(notices, line)
    works = fold_works(settings, dataset, folds)
    epochs = settings.resolve(dataset.task)[1].epochs
    settings.trainer(works[0].rows(dataset) if works[0].rows else dataset)  # what is wrong is found before the work
    if dataset.test is not None:
        n = len(dataset.test)
        render.notice(notices, f"{dataset.name}: its test part, {n:,} row{'s' * (n != 1)}, is not used")
    with render.compiling(screen, "the training loops"):
        load_loop()
    scores: dict[str, FoldScore] = {}
    by_name = {work.name: work for work in works}
    with runs.claim(out) if out is not None else runs.create(f"{dataset.name}-cv") as run:
        check_folder(run.folder, works)
        render.facts(screen.info, [("data", f"{dataset.name}: {_divided(dataset, folds)}")])
        trained = train_side_by_side(
            engine,
            works,
            run.folder,
            screen,
            epochs,
            lambda outcome: scores.__setitem__(outcome.name, score_fold(by_name[outcome.name], outcome, dataset)),
        )
        ordered = [scores[work.name] for work in works if work.name in scores]
        if not ordered and trained.errors:
            raise next(iter(trained.errors.values()))
        mean, deviation = summarise(ordered)
        document = {
            "run": run.folder,
            "data": {"name": dataset.name, "source": dataset.source, "checksum": dataset.checksum},
            "n_folds": folds,
            "folds": ordered,
            "mean": mean,
            "deviation": deviation,
        }
        write_output("--out", run.folder / SCORES, runs.as_json(document, indent=2))
    if json:
        print_json(document)
    elif ordered:
        rows = [(f"fold {score.fold}", score.metrics) for score in ordered]
        many = len(ordered) > 1
        below = [("mean", mean), ("deviation", deviation)] if many else []
        details: dict[str, list[int | str]] = {
            "trained on": [*(score.n_train for score in ordered), *([""] * len(below))],
            "tested on": [*(score.n_test for score in ordered), *([""] * len(below))],
            "epochs": [*(score.epochs for score in ordered), *([""] * len(below))],
        }
        render.scores_of_several(screen.out, "", rows, below, details)
        render.facts(screen.out, [("runs", str(run.folder))])
        render.suggest(screen.out, [f"jitnet eval {quote(str(ordered[0].run))}"])
    if trained.errors:
        raise next(iter(trained.errors.values()))
    if trained.stopped:
        render.notice(notices, f"stopped: {len(ordered)} of {folds} folds are scored")
        return 130
    return 0


def _divided(dataset: "Dataset", folds: int) -> str:
    """How the rows are divided, in words."""
    n = len(dataset.train)
    how = "stratified by class" if dataset.target != "number" else "at random"
    if dataset.train.times is not None:
        how = "one after another in time, each tested on by what was trained on the rows before it"
    elif dataset.train.groups is not None:
        how = "whole groups"
    return f"{n:,} rows in {folds} folds, {how}"
