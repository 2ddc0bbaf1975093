"""`jitnet sweep`."""

import gc
import sys
import time
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import Command
from jitnet.cli.common import Json, Quiet, print_json
from jitnet.cli.options import task_advice
from jitnet.config.settings_file import read_bytes
from jitnet.errors import JitnetError, UsageError

if TYPE_CHECKING:
    from jitnet.render import Consoles
    from jitnet.search.sweep import Sweep

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet sweep space.toml
  jitnet sweep space.toml --trials 100 --workers 8 --out runs/search
  jitnet sweep space.toml --minutes 10
  jitnet sweep --resume runs/search --trials 200

\b
A space, space.toml:
  data = "fashion-mnist"
  epochs = 10
  [search]
  hidden = ["128", "256,128"]
  activation = ["relu", "gelu"]
  batch-size.from = 16
  batch-size.to = 128
  batch-size.step = 16
  lr.from = 1e-4
  lr.to = 0.1
  lr.log = true
"""

TRIALS = 20
GENERATION = 8  # as jitnet.search.sweep_plan has it, which imports NumPy
MOST_TRIALS, MOST_WORKERS = 100_000, 1024
SCORES = ("accuracy", "loss")


@app.command(cls=Command, epilog=EXAMPLES)
def sweep(
    space: Annotated[
        Path | None,
        typer.Argument(
            metavar="SPACE.toml",
            show_default=False,
            help="A file of settings as jitnet train --config takes it, which are the same for all trials, with a "
            "table [search] of those that are searched, by the names of options: a list of values to choose from, or a "
            "range of numbers by from and to, with step in steps, or with log = true on a logarithmic scale.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            max=MOST_TRIALS,
            metavar="NUMBER",
            show_default=False,
            help=f"Trials in all, those of a resumed sweep included. A whole number from 1 to {MOST_TRIALS:,}. "
            f"[default: {TRIALS}; with --minutes any number; of a resumed sweep as before]",
        ),
    ] = None,
    minutes: Annotated[
        str | None,
        typer.Option(
            "--minutes",
            metavar="NUMBER",
            show_default=False,
            help="End after this time. Trials that run then are stopped, and count for nothing. A number above 0.",
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers",
            min=0,
            max=MOST_WORKERS,
            metavar="NUMBER",
            help="Trials that run at the same time, each in a process of one thread; 0 is one for each core. The "
            "trials are the same at any number. More than --generation are of no use. A whole number from 0 to 1,024.",
        ),
    ] = 0,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            metavar="NUMBER",
            show_default=False,
            help="Seed of what is searched; the seed of the networks is a setting of the space. A whole number of 0 or "
            "more. [default: 0]",
        ),
    ] = None,
    generation: Annotated[
        int | None,
        typer.Option(
            "--generation",
            min=1,
            max=MOST_WORKERS,
            metavar="NUMBER",
            show_default=False,
            help="Trials that are chosen together, from the results of all before them. A whole number from 1 to "
            f"1,024. [default: {GENERATION}]",
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            "--score",
            metavar="TEXT",
            show_default=False,
            help="What trials are scored by, on held-out data: accuracy or loss. Test data are never used for it. "
            "[default: accuracy; where targets are numbers loss]",
        ),
    ] = None,
    no_prune: Annotated[
        bool,
        typer.Option(
            "--no-prune",
            help="Let unpromising trials run to their end. Without it one is stopped where after a quarter of its "
            "epochs or later its best score is worse than the median of finished trials at that share of theirs.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            show_default=False,
            help="Folder of the sweep; must not hold one yet. [default: a new folder runs/DATE-sweep]",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="FOLDER",
            show_default=False,
            help="Go on with the sweep in this folder, however it ended: its trials are then those of one that was "
            "never interrupted. In place of SPACE.toml.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search the settings with which a network learns best: try many, and learn from each which to try next.

    Each trial is a run with a folder of its own. It is scored on held-out data, and unpromising ones are stopped early.
    Writes the best settings to best.toml, for jitnet train --config. Ctrl-C ends within a second; --resume goes on.
    Needs Optuna: pip install optuna.
    """
    seconds = None if minutes is None else 60.0 * _minutes(minutes)
    if score not in (None, *SCORES):
        raise UsageError(f"--score: expected accuracy or loss, found {score!r}")
    fixed = {"--seed": seed, "--generation": generation, "--score": score, "--no-prune": no_prune or None, "--out": out}
    if resume is not None:
        if space is not None:
            raise UsageError(f"--resume goes on with the space in {resume}; leave {space} out")
        if wrong := next((name for name, value in fixed.items() if value is not None), None):
            raise UsageError(f"{wrong} cannot be combined with --resume: a sweep goes on as it began; leave it out")
    elif space is None:
        raise UsageError("name a space, as in jitnet sweep SPACE.toml, or a sweep to go on with: --resume FOLDER")
    from jitnet.search.journal import check_installed

    check_installed()
    from jitnet import render
    from jitnet.search.space import space_in
    from jitnet.search.sweep import Sweep
    from jitnet.search.sweep_plan import begin, check_same_data, holding_out, make_plan, read_plan, scored_by

    screen = render.consoles(json, quiet)
    content = b""
    plan = None
    if resume is not None:
        plan, found = read_plan(resume)
    else:
        assert space is not None
        content = read_bytes(space)
        found = space_in(content, str(space), space.parent)
    found, notice = holding_out(found)
    found.check()
    with render.downloads(screen) as progress:
        dataset = found.settings.load(progress, task_advice())
    notices = (*([dataset.notice] if dataset.notice else []), *dataset.decisions, *([notice] if notice else []))
    for line in notices:
        render.notice(render.make_console(sys.stderr), line)
    _compile(screen)
    gc.freeze()
    gc.enable()
    if plan is None:
        wanted = trials if trials is not None or minutes is not None else TRIALS
        plan = make_plan(
            found,
            dataset,
            n_trials=wanted,
            seed=seed or 0,
            generation=generation or GENERATION,
            prune=not no_prune,
            score=score or "",
        )
        folder = begin(out, content, plan)
    else:
        assert resume is not None
        folder = resume
        check_same_data(plan, dataset, folder)
        wanted = trials if trials is not None or minutes is not None else plan.n_trials
        if wanted is None and seconds is None:
            raise UsageError(
                f"{folder}: its sweep was to end by time; say until when it goes on: --trials or --minutes"
            )
    with Sweep(folder, scored_by(found, plan.score), plan, dataset) as running:
        if running.notice:
            render.notice(render.make_console(sys.stderr), running.notice)
        finished = _run(running, screen, wanted, seconds, workers)
        toml = running.write_best()
        test_score = running.test_score(dataset) if finished else None
        if json:
            print_json(_document(running, toml, test_score, finished))
        else:
            _summary(running, screen, toml, test_score, finished)
        if not finished:
            return 130
        if not toml and running.trials:
            raise JitnetError(_all_failed(running))
    return 0


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0.0 < minutes < 1e6:
        raise UsageError(f"--minutes: expected a number above 0, found {text!r}")
    return minutes


def _compile(screen: "Consoles") -> None:
    """Compile the loops where that was not done yet: the worker processes then load them."""
    from jitnet import render
    from jitnet.compiler.cache import all_compiled
    from jitnet.engine.loop import load_loop

    if not all_compiled():
        with render.compiling(screen, "the training loops"):
            load_loop()


def _run(running: "Sweep", screen: "Consoles", n_trials: int | None, seconds: float | None, workers: int) -> bool:
    """Run the trials that are left, and show them; return whether no Ctrl-C ended them."""
    from jitnet import render
    from jitnet.search.local import Local

    done = [trial for trial in running.trials if trial.is_done]
    deadline = None if seconds is None else time.monotonic() + seconds
    view = render.SweepView(screen, running.plan.score, n_trials, seconds, done)
    try:
        with view, Local(workers) as engine:
            for trial in running.run(engine, n_trials, deadline):
                view.show(trial)
    except KeyboardInterrupt:
        return False
    return True


def _summary(running: "Sweep", screen: "Consoles", toml: str, test_score: float | None, finished: bool) -> None:
    from jitnet import render
    from jitnet.search.sweep import BEST

    shares, how = running.importances() if finished else ({}, "")  # after a Ctrl-C it ends at once
    folder, best = quote(str(running.folder)), running.best
    suggestions = []
    if not finished:
        suggestions.append(f"jitnet sweep --resume {folder}")
    if best is not None:
        suggestions += [
            f"jitnet train --config {quote(str(running.folder / BEST))}",
            f"jitnet eval {quote(str(running.folder / best.name))}",
        ]
    render.sweep_summary(
        screen.out,
        running.trials,
        best,
        score=running.plan.score,
        folder=running.folder,
        test_score=test_score,
        importances=shares,
        how=how,
        toml=toml,
        toml_path=running.folder / BEST,
        suggestions=suggestions,
    )


def _document(running: "Sweep", toml: str, test_score: float | None, finished: bool) -> dict[str, Any]:
    """The document of `--json`."""
    shares, how = running.importances() if finished else ({}, "")  # after a Ctrl-C it ends at once
    best = running.best
    return {
        "sweep": running.folder,
        "seed": running.plan.seed,
        "generation": running.plan.generation,
        "score": running.plan.score,
        "stopped": not finished,
        "trials": [
            {
                "number": trial.number,
                "run": running.folder / trial.name,
                "state": trial.state,
                "parameters": trial.parameters,
                "score": trial.score,
                "epochs": len(trial.scores),
                "scores": trial.scores,
                "seconds": trial.seconds,
                "error": trial.error,
            }
            for trial in running.trials
        ],
        "best": None
        if best is None
        else {
            "number": best.number,
            "parameters": best.parameters,
            "score": best.score,
            f"test_{running.plan.score}": test_score,
        },
        "toml": toml,
        "importances": shares,
        "importances_by": how,
    }


def _all_failed(running: "Sweep") -> str:
    failed = [trial for trial in running.trials if trial.state == "failed"]
    if not failed:
        return f"{running.folder}: no trial was finished in this time; go on with --resume, and more of it"
    return f"{running.folder}: no trial was finished: {len(failed)} failed, the first with: {failed[0].error}"
