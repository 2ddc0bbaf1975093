"""`jitnet train`."""

import gc
import sys
from contextlib import nullcontext
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import config_at, run_at
from jitnet.cli.common import (
    Background,
    ConfigOption,
    DataOption,
    Group,
    Ignore,
    Json,
    Quiet,
    RecipeOption,
    Target,
    Task,
    TestData,
    Time,
    Weight,
    columns_named,
    interrupts,
    predicting,
    print_json,
)
from jitnet.cli.options import (
    FIELDS,
    CommandWithFields,
    settings_of,
    task_advice,
    with_fields,
)
from jitnet.cli.train_committee import train_committee
from jitnet.config import MAX_THREADS
from jitnet.config.choices import default_rate
from jitnet.errors import TargetMissed, UsageError

if TYPE_CHECKING:
    from jitnet.config import ModelConfig
    from jitnet.runs import Run
    from jitnet.runs.resuming import Resumed
    from jitnet.runs.run_settings import Settings
    from jitnet.search.work import Work
    from jitnet.training.history import EpochReport, History
    from jitnet.training.trainer import Trainer

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet train
  jitnet train --hidden 256,128 --epochs 20 --data fashion-mnist
  jitnet train --optimizer adam --activation gelu
  jitnet train --data train.csv --test-data test.csv --out runs/mine
  jitnet train --data houses.csv --target price
  jitnet train --committee 5 --recipe tabular --data houses.csv
  jitnet train --hidden 512 --optimizer adam --explain
  jitnet train --json --quiet > result.json
"""

_LEARNED = 0.95
"""Share of the loss of guessing below which a network has clearly learned something."""

_MIN_STEPS = 64
"""Steps after which a network that learns does better than guessing, even if the schedule begins low. With fewer in the
whole run, these are the likely reason."""


@app.command(cls=CommandWithFields, epilog=EXAMPLES)
@with_fields(FIELDS)
def train(
    *,
    data: DataOption = None,
    test_data: TestData = None,
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
            help="Folder of the run; must not hold a run yet. [default: a new folder runs/DATE-NAME]",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="RUN",
            show_default=False,
            help="Go on with a run that was stopped or killed, in its folder, from its newest whole checkpoint. It "
            "ends with the bits of a run that was never interrupted. Of the other options only --threads, "
            "--checkpoint, --json and --quiet may be others than the run began with, and --epochs may be more where "
            "--schedule is constant, step or exponential.",
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="TEXT",
            show_default=False,
            help="When to write a checkpoint, from which --resume goes on: epoch, after each; a count of steps as "
            "500steps, or a time as 30s, 5m or 1h, at the first pause after it, and there is one about every 30 ms; "
            "auto, after each epoch, but where epochs are short only so often that it takes at most 1% of the time; "
            "off. The newest two are kept. [default: auto]",
        ),
    ] = None,
    committee: Annotated[
        int | None,
        typer.Option(
            "--committee",
            min=2,
            max=1000,
            metavar="NUMBER",
            show_default=False,
            help="Train so many networks that differ in the seed alone, --seed and those that follow it, each on one "
            "thread, as many at a time as there are cores; and save one model that averages their predictions. A whole "
            "number from 2 to 1,000. [default: one network; with --config as that run has it]",
            rich_help_panel="Training",
        ),
    ] = None,
    print_schedule: Annotated[
        bool,
        typer.Option(
            "--print-schedule",
            help="Draw the learning rate over the whole run, and train nothing.",
            rich_help_panel="Schedule",
        ),
    ] = False,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print every setting of the run as a TOML file for --config, what differs from the defaults first. "
            "Trains nothing.",
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Print the program of a step, line by line: operation, layer, kernels, split by what, in how many "
            "parts and why so many, which part owns what, FLOP and bytes. Trains nothing, so --threads may be any "
            f"number up to {MAX_THREADS}, on a machine with fewer cores too.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Also write event files for TensorBoard into the run folder. Needs tensorboardX: pip install "
            "tensorboardX.",
        ),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """Train a network, show how it learns, and save it.

    Writes a run folder with model.safetensors, config.json, metrics.jsonl (one line an epoch) and checkpoints. Ctrl-C
    stops within a second and keeps the model so far; --resume goes on. The first start compiles the loops; later ones
    load them. With --committee, each member has such a folder inside that of the run, and Ctrl-C keeps the members so
    far. On a terminal a run of several epochs ends with its curves.
    """
    shows = {"--explain": explain, "--print-schedule": print_schedule, "--print-config": print_config}
    if len(asked := [option for option, wanted in shows.items() if wanted]) > 1:
        raise UsageError(f"{asked[0]} cannot be combined with {asked[1]}; ask for one of them")
    if committee and asked:
        raise UsageError(
            f"{asked[0]} is of one network, and cannot be combined with --committee; leave one of them out"
        )
    columns = columns_named(target, group, time, weight, ignore)
    settings = settings_of(fields, recipe, data=data, test_data=test_data, columns=columns, task=task)
    from jitnet.runs.checkpoints import parse_when

    checkpoint = "auto" if checkpoint is None else checkpoint
    parse_when(checkpoint)
    going_on = None
    if resume is not None:
        others = {
            "--out": out is not None,
            "--explain": explain,
            "--print-schedule": print_schedule,
            "--print-config": print_config,
            "--config": config is not None,
            "--committee": committee is not None,
        }
        going_on = _reopened(run_at(resume), settings, [name for name, typed in others.items() if typed], json)
        if going_on is None:
            return 0
    read = None
    if config is not None:
        from jitnet.runs.run_config import read_settings

        config = config_at(config)
        read = read_settings(config)
        settings = settings.over(read)
    if going_on is None:
        settings.check()
    works: list[Work] = []
    if committee or (config is not None and not asked):
        from jitnet.search.members import count_in, member_works

        count = committee or (count_in(config) if config is not None else None)
        works = member_works(settings, count) if count else []
    from jitnet import render, runs
    from jitnet.runs.event_files import EventFile, check_installed
    from jitnet.runs.run_config import what_differs
    from jitnet.runs.run_training import describe, train_run

    if tensorboard:
        check_installed()

    screen = render.consoles(json, quiet)
    source = going_on or settings
    with render.downloads(screen) as progress:
        reading = Background(lambda: source.load(progress, task_advice()))
        from jitnet.compiler.cache import all_compiled
        from jitnet.engine.loop import compile_ahead, load_loop
        from jitnet.training import trainer as _  # noqa: F401  (imported while the data are read)

        if all_compiled() and not asked:  # else it compiles, further down and with a notice
            load_loop()
        dataset = reading.result()
    for notice in (*([dataset.notice] if dataset.notice else []), *dataset.decisions):
        render.notice(render.make_console(sys.stderr), notice)
    if not asked:
        compile_ahead()
    showing = explain or print_config
    trainer = settings.trainer(dataset, any_threads=showing) if going_on is None else going_on.trainer(dataset)
    model, epochs = trainer.model, trainer.config.epochs
    for differs in what_differs(read, trainer) if read is not None else ():
        render.notice(render.make_console(sys.stderr), f"{config}: {differs}")
    if explain:
        return _explain(trainer, json)
    if print_config:
        return _print_config(trainer, settings, json)
    if print_schedule:
        return _print_schedule(trainer, json)
    opened = runs.claim(out) if out is not None else going_on.run if going_on is not None else None
    with opened or runs.create(dataset.name) as run:
        if run.notice:
            render.notice(render.make_console(sys.stderr), run.notice)
        if works:
            return train_committee(run, trainer, settings, works, screen, json)
        if going_on is None:
            run.write_config(describe(trainer, settings))
        else:
            going_on.begin(trainer)
            render.resumed(screen.info, run.folder, *going_on.place(trainer))
        n_train, n_held_out = trainer.n_samples
        render.plan(
            screen.info,
            trainer.plan,
            data=dataset.name,
            n_train=n_train,
            n_held_out=n_held_out,
            n_test=0 if dataset.test is None else len(dataset.test),
            outputs=_outputs(model.config),
            threads_settled=not trainer.measures_threads,
        )
        render.network(screen.info, model.config)
        with render.compiling(screen, "the training loops"):
            trainer.prepare()
        gc.freeze()
        gc.enable()
        warning = ""
        with (
            interrupts(trainer.request_stop),
            render.TrainingView(screen, epochs, trainer.config.learning_rate, trainer.history.epochs) as view,
            EventFile(run.folder) if tensorboard else nullcontext() as events,
        ):

            def show(report: "EpochReport") -> None:
                nonlocal warning
                view.epoch(report)
                if events is not None:
                    events.append(report)
                if not warning and (warning := _warning(report, trainer)):
                    render.notice(render.make_console(sys.stderr), warning)

            history = train_run(trainer, run, show, view.step, checkpoint)
    if json:
        print_json(_document(run, history, model.config.task))
    else:
        goes_on = history.stopped and checkpoint != "off"
        going = [f"jitnet train --resume {quote(str(run.folder))}"] if goes_on else []
        view.summary(
            model=run.model_path,
            suggestions=[*going, f"jitnet eval {quote(str(run.folder))}", *predicting(model, run.folder)],
            outcome=history.outcome if len(history) < epochs else "",
            kept=history.kept,
            final_test=history.final_test,
            commonest=history.commonest,
            costliest=history.costliest,
            threads=history.threads_reason if trainer.measures_threads else "",
        )
    if history.stopped:
        return 130
    if not history.reached:
        raise TargetMissed(
            f"--target-acc is {trainer.config.target_accuracy:g}; the {len(history)} epochs ended at "
            f"{100.0 * history.last_accuracy:.2f}%; train longer or aim lower"
        )
    return 0


def _reopened(run: Path, typed: "Settings", others: list[str], json: bool) -> "Resumed | None":
    """The run that goes on; None where it is finished, which is said. others: options that do not fit."""
    from jitnet import render
    from jitnet.runs.resuming import Finished, resume

    if others:
        raise UsageError(f"--resume cannot be combined with {others[0]}; leave one of them out")
    found = resume(run, typed)
    if isinstance(found, Finished):
        if json:
            print_json({"run": run, **found.run.config})
        render.notice(render.make_console(sys.stderr), f"{run} is finished: {found.outcome}")
        return None
    for line in found.found.passed_over:
        render.notice(render.make_console(sys.stderr), f"{line}: going on from {found.found.path}")
    return found


def _explain(trainer: "Trainer", json: bool) -> int:
    """The program of a step: which part does what, and why so many parts."""
    from jitnet import render
    from jitnet.training.explanation import explain

    found = explain(trainer.plan)
    if json:
        print_json(found)
    else:
        render.program_table(render.consoles().out, found)
    return 0


def _print_config(trainer: "Trainer", settings: "Settings", json: bool) -> int:
    """Every setting of the run, as a file for --config."""
    from jitnet.runs.run_config import as_toml, complete
    from jitnet.runs.run_training import describe

    if json:
        print_json(describe(trainer, settings))
    else:
        print(as_toml(complete(settings, trainer)), end="")
    return 0


def _outputs(shape: "ModelConfig") -> str:
    """How many classes, labels or targets there are, in words."""
    if shape.n_targets is None:
        return f"{shape.n_classes:,} classes"
    kind, count = "label" if shape.target == "label" else "target", shape.n_targets
    levels = f", {shape.outputs_per_target} quantiles of each" if shape.outputs_per_target > 1 else ""
    return f"{count:,} {kind}{'s' * (count != 1)}{levels}"


def _warning(report: "EpochReport", trainer: "Trainer") -> str:
    """A warning where a network does no better than guessing after an epoch; "" where it does."""
    # The training loss is a mean over the epoch. Where a loss was evaluated at its end and is clearly less, that
    # counts.
    shape, guessing = trainer.model.config, trainer.guessing_loss
    evaluated = [loss for loss in (report.val_loss, report.test_loss) if loss is not None]
    learned = report.train_loss < guessing or min(evaluated, default=guessing) < _LEARNED * guessing
    steps, is_last = report.epoch * trainer.n_steps, report.epoch == trainer.config.epochs
    if learned or (steps < _MIN_STEPS and not is_last):
        return ""
    found = (
        f"after epoch {report.epoch} the training loss is {report.train_loss:.4g}, no better than guessing, "
        f"{guessing:.4g}: "
    )
    if steps < _MIN_STEPS:
        taken = f"{steps} step{'s' * (steps != 1)}"
        return f"{found}a run of {taken} may be too short; try a smaller --batch-size, or more --epochs"
    optimizer, rate = trainer.config.optimizer, trainer.config.learning_rate
    default = default_rate(optimizer, shape.loss)
    if rate == default:
        trial = f"a lower one, --lr {rate / 10:g} for example"
    else:
        trial = f"{'a lower' if rate > default else 'another'} one; the default of {optimizer} is --lr {default:g}"
    return f"{found}the learning rate {rate:g} may not fit; try {trial}"


def _print_schedule(trainer: "Trainer", json: bool) -> int:
    """The learning rate of the run's steps: drawn, or up to a thousand of them as a document."""
    import numpy as np

    from jitnet import render
    from jitnet.kernels.schedule import learning_rates, schedule_settings

    config, steps = trainer.config, trainer.n_steps * trainer.config.epochs
    chosen = sorted({*range(0, steps, max(1, steps // 1000)), steps - 1})
    out = np.zeros(len(chosen))
    learning_rates(schedule_settings(config, trainer.n_steps), np.array(chosen), out)
    rates = out.tolist()
    epochs = [step / trainer.n_steps for step in chosen]
    if json:
        print_json({"schedule": config.schedule, "n_steps": steps, "epochs": epochs, "learning_rates": rates})
    else:
        title = f"learning rate: {config.schedule}, {steps:,} steps"
        ends = (0, config.epochs)
        render.plot(render.consoles().out, epochs, rates, title=title, x_label="epoch", x_ends=ends)
    return 0


def _document(run: "Run", history: "History", task: str) -> dict[str, Any]:
    """The document of `--json`."""
    from jitnet.runs import record

    measure = "accuracy" if task == "classify" else "loss"
    seen = [value for report in history if (value := report.score("test")) is not None]
    best = max(seen, default=None) if measure == "accuracy" else min(seen, default=None)
    return {
        "run": run.folder,
        "saved": run.model_path,
        **run.config,
        "epochs": [record(report) for report in history],
        f"best_test_{measure}": best,
        f"last_test_{measure}": seen[-1] if seen else None,
        "outcome": history.outcome,
        "costliest": [{"operation": name, "share": share} for name, share in history.costliest],
        "best_epoch": history.kept,
        "commonest": history.commonest,
        "final_test": history.final_test
        and {
            name: value
            for name, value in zip(("loss", "accuracy"), history.final_test, strict=True)
            if value is not None
        },
    }
