"""`jitnet train`."""

import gc
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jitnet.cli.command import config_at, model_at
from jitnet.cli.common import (
    Background,
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
    TestData,
    Time,
    Weight,
    columns_named,
    engine_on,
    interrupts,
    predicting,
    print_json,
)
from jitnet.cli.options import (
    FIELDS,
    CommandWithFields,
    as_typed,
    settings_of,
    task_advice,
    with_fields,
)
from jitnet.cli.train_committee import train_committee
from jitnet.cli.train_views import VIEWS, loaded_bytes, show_estimate, show_plan, show_range_test
from jitnet.config import MAX_THREADS
from jitnet.config.choices import default_rate
from jitnet.errors import TargetMissed, UsageError

if TYPE_CHECKING:
    from jitnet.datasets import Dataset
    from jitnet.render import Consoles, TrainingView
    from jitnet.runs import Run
    from jitnet.runs.resuming import Resumed
    from jitnet.runs.run_settings import Settings
    from jitnet.runs.time_limit import TimeLimit
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
  jitnet train --time-limit 5m
  jitnet train --optimizer adam --find-lr
  jitnet train --data fashion-mnist --init runs/mine --freeze all-but-last
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
    time_limit: Annotated[
        str | None,
        typer.Option(
            "--time-limit",
            metavar="TIME",
            show_default=False,
            help="Train for so long: 90s, 5m, 1h30m, or a number of seconds, up to a year. Some steps are measured, "
            "and the number of steps is chosen so that the schedule ends within the time. Measuring, evaluating and "
            "saving count; reading the data and compiling do not. config.json has what was chosen, as epochs "
            "and max_steps, with which the run repeats to the last bit. With --epochs or --max-steps the smaller end "
            "counts. Where the machine becomes slower, the run ends at the limit and keeps its model.",
            rich_help_panel="Training",
        ),
    ] = None,
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
            help="Go on with a run that was stopped or killed, in its folder, from its newest whole checkpoint: name "
            "its folder, the run in runs, or @latest. It ends with the bits of a run that was never interrupted. Of "
            "the other options only --threads, --checkpoint, --json and --quiet may be others than the run began "
            "with, and --epochs may be more where --schedule is constant, step or exponential.",
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
    on: On = "local",
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
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Do everything except train: read and check the data, the options and the place of the run folder, "
            "measure some steps on a copy of the network for about a second, and print how much time and memory the "
            "training would take. Writes nothing.",
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr",
            help="Find a learning rate by a range test (Smith 2017): on a copy of the network the rate grows from step "
            "to step, up to 200 steps and 2 seconds. Draws the smoothed training loss over the rate, suggests the rate "
            "at which it falls fastest, and prints the command that trains with it. Trains and writes nothing else.",
            rich_help_panel="Optimizer",
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
    shows = {
        "--explain": explain,
        "--print-schedule": print_schedule,
        "--print-config": print_config,
        "--find-lr": find_lr,
        "--dry-run": dry_run,
    }
    asked = next((option for option, wanted in shows.items() if wanted), "")
    limited = time_limit is not None
    _check_together([option for option, wanted in shows.items() if wanted], limited=limited, committee=bool(committee))
    columns = columns_named(target, group, time, weight, ignore)
    settings = settings_of(fields, recipe, data=data, test_data=test_data, columns=columns, task=task)
    from jitnet.runs.checkpoints import parse_when
    from jitnet.runs.event_files import check_installed
    from jitnet.runs.time_limit import TimeLimit, seconds_of

    limit = None if time_limit is None else TimeLimit(seconds_of(time_limit))
    checkpoint = "auto" if checkpoint is None else checkpoint
    parse_when(checkpoint)
    if resume is not None:
        others = {"--out": out, "--config": config, "--time-limit": time_limit, "--committee": committee}
        beside = [*(name for name, typed in others.items() if typed is not None), *([asked] if asked else [])]
        going_on = _reopened(model_at(resume), settings, beside, json)
        if going_on is None:
            return 0
        start = _Start(settings, going_on=going_on)
    else:
        start = _started(settings, config, committee, asked)
    if start.works and limited:
        raise UsageError(f"--time-limit is for one network, and {config} is of a committee; leave it out")
    if on != "local" and not start.works:
        raise UsageError("--on is for the networks of a committee; add --committee, or leave it out")
    engine = engine_on(on) if start.works else None
    if tensorboard:
        check_installed()
    from jitnet import render, runs

    screen = render.consoles(json, quiet)
    program_bytes = loaded_bytes(screen) if dry_run else 0
    dataset = _read(start, screen, asked)
    begun = perf_counter()
    trainer = _trainer(start, dataset, asked)
    if asked:
        if find_lr:
            typed = {name: value for name, value in fields.items() if name != "learning_rate"}
            of_data = {"data": data, "test_data": test_data, "target": target, "group": group, "time": time}
            others = {**of_data, "weight": weight, "ignore": ignore, "recipe": recipe, "config": start.config}
            return show_range_test(
                trainer, screen, as_typed(typed, **others, task=task if task != "auto" else None), json
            )
        if dry_run:
            runs.check_free(out)
            return show_estimate(trainer, start.settings, limit, screen, program_bytes, json)
        return VIEWS[asked](trainer, start.settings, json)
    making_s = perf_counter() - begun
    opened = start.going_on.run if start.going_on is not None else runs.claim(out) if out is not None else None
    with opened or runs.create(dataset.name) as run:
        if run.notice:
            _warn(run.notice)
        if engine is not None:
            return train_committee(engine, run, trainer, start.settings, start.works, screen, json)
        trainer = _ready(start, trainer, run, screen, limit, making_s)
        history, view = _train(trainer, run, screen, limit, checkpoint, tensorboard)
    if json:
        print_json(_document(run, history, trainer.model.config.task))
    else:
        _summarise(view, run, trainer, history, goes_on=history.stopped and checkpoint != "off")
    if history.stopped:
        return 130
    if not history.reached:
        raise TargetMissed(
            f"--target-acc is {trainer.config.target_accuracy:g}; the {len(history)} epochs ended at "
            f"{100.0 * history.last_accuracy:.2f}%; train longer or aim lower"
        )
    return 0


@dataclass(frozen=True)
class _Start:
    """What a training starts from. read: the settings of the file or run that --config names, which is `config`.
    going_on: the run that goes on. works: the members of a committee."""

    settings: "Settings"
    config: Path | None = None
    read: "Settings | None" = None
    going_on: "Resumed | None" = None
    works: "list[Work]" = field(default_factory=list)


def _started(settings: "Settings", config: Path | None, committee: int | None, asked: str) -> _Start:
    """What a new training starts from, checked as far as that goes before the data are read."""
    read, count = None, committee
    if config is not None:
        from jitnet.runs.run_config import read_settings

        config = config_at(config)
        read = read_settings(config)
        settings = settings.over(read)
    settings.check()
    if count is None and config is not None and not asked:
        from jitnet.search.members import count_in

        count = count_in(config)
    if not count:
        return _Start(settings, config, read)
    from jitnet.search.members import member_works

    return _Start(settings, config, read, works=member_works(settings, count))


def _read(start: _Start, screen: "Consoles", asked: str) -> "Dataset":
    """The data. While they are read, the loops are loaded."""
    from jitnet import render

    source = start.going_on or start.settings
    with render.downloads(screen) as progress:
        reading = Background(lambda: source.load(progress, task_advice()))
        from jitnet.compiler.cache import all_compiled
        from jitnet.engine.loop import compile_ahead, load_loop
        from jitnet.training import trainer as _  # noqa: F401  (imported while the data are read)

        if all_compiled() and not asked:  # else it compiles, further down and with a notice
            load_loop()
        dataset = reading.result()
    for notice in (*([dataset.notice] if dataset.notice else []), *dataset.decisions):
        _warn(notice)
    if asked not in VIEWS:
        compile_ahead()
    return dataset


def _trainer(start: _Start, dataset: "Dataset", asked: str) -> "Trainer":
    """The trainer of a new network, or of the run that goes on."""
    if start.going_on is not None:
        return start.going_on.trainer(dataset)
    settings = start.settings
    if asked == "--find-lr":  # whose steps are its own
        settings = replace(settings, training={**settings.training, "max_steps": 0})
    trainer = settings.trainer(dataset, any_threads=asked in ("--explain", "--print-config"), on_notice=_warn)
    if start.read is not None:
        from jitnet.runs.run_config import what_differs

        for differs in what_differs(start.read, trainer):
            _warn(f"{start.config}: {differs}")
    return trainer


def _ready(
    start: _Start, trainer: "Trainer", run: "Run", screen: "Consoles", limit: "TimeLimit | None", making_s: float
) -> "Trainer":
    """The trainer, prepared, with its run's config.json written; with a limit of time, one that fits into it.
    making_s: the seconds that making a trainer took."""
    from jitnet import render
    from jitnet.runs.run_training import describe

    if start.going_on is None:
        run.write_config(describe(trainer, start.settings))
    else:
        start.going_on.begin(trainer)
        render.resumed(screen.info, run.folder, *start.going_on.place(trainer))
    show_plan(trainer, screen)
    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    if limit is not None:
        limit.begin()
        settings, trainer = limit.fit(start.settings, trainer.dataset, trainer, run, making_s)
        run.write_config(describe(trainer, settings) | limit.record)
        render.facts(screen.info, [("time limit", _fitted(trainer, limit))])
    gc.freeze()
    gc.enable()
    return trainer


def _train(
    trainer: "Trainer", run: "Run", screen: "Consoles", limit: "TimeLimit | None", checkpoint: str, tensorboard: bool
) -> "tuple[History, TrainingView]":
    """Train, and show each epoch. Ctrl-C ends it early."""
    from jitnet import render
    from jitnet.runs.event_files import EventFile
    from jitnet.runs.run_training import train_run

    warning = ""
    with (
        interrupts(trainer.request_stop),
        render.TrainingView(screen, trainer.last_epoch, trainer.config.learning_rate, trainer.history.epochs) as view,
        EventFile(run.folder) if tensorboard else nullcontext() as events,
    ):

        def show(report: "EpochReport") -> None:
            nonlocal warning
            view.epoch(report)
            if events is not None:
                events.append(report)
            if not warning and (warning := _warning(report, trainer)):
                _warn(warning)

        on_steps = limit.watch(trainer, view.step) if limit else view.step
        return train_run(trainer, run, show, on_steps, checkpoint), view


def _summarise(view: "TrainingView", run: "Run", trainer: "Trainer", history: "History", *, goes_on: bool) -> None:
    """How the run ended, and what to do next. goes_on: whether it was stopped, and can go on."""
    folder = quote(str(run.folder))
    going = [f"jitnet train --resume {folder}"] if goes_on else []
    view.summary(
        model=run.model_path,
        suggestions=[*going, f"jitnet eval {folder}", *predicting(trainer.model, run.folder)],
        outcome=history.outcome if trainer.run_steps < trainer.config.epochs * trainer.n_steps else "",
        kept=history.kept,
        final_test=history.final_test,
        commonest=history.commonest,
        costliest=history.costliest,
        threads=history.threads_reason if trainer.measures_threads else "",
    )


def _warn(line: str) -> None:
    from jitnet import render

    render.notice(render.make_console(sys.stderr), line)


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


def _check_together(asked: list[str], *, limited: bool, committee: bool) -> None:
    """UsageError where two of the options are typed that show something in place of a training, or one with a limit of
    time or a committee that it has no use for."""
    beside = [*asked, *(["--time-limit"] if limited and asked != ["--dry-run"] else [])]
    if len(beside) > 1:
        raise UsageError(f"{beside[0]} cannot be combined with {beside[1]}; ask for one of them")
    if committee and (asked or limited):
        raise UsageError(
            f"{[*asked, '--time-limit'][0]} is of one network, and cannot be combined with --committee; leave one of "
            "them out"
        )


def _fitted(trainer: "Trainer", limit: "TimeLimit") -> str:
    """What fits into the time, in words."""
    from jitnet.runs.time_limit import time_in_words

    assert limit.fitted is not None
    steps, epochs = trainer.total_steps, trainer.total_steps / trainer.n_steps
    return (
        f"{time_in_words(limit.seconds)}: {steps:,} steps, {epochs:.4g} epoch{'s' * (epochs != 1)}, about "
        f"{time_in_words(limit.fitted.seconds)} with evaluation and saving"
    )


def _warning(report: "EpochReport", trainer: "Trainer") -> str:
    """A warning where a network does no better than guessing after an epoch; "" where it does."""
    # The training loss is a mean over the epoch. Where a loss was evaluated at its end and is clearly less, that
    # counts.
    shape, guessing = trainer.model.config, trainer.guessing_loss
    evaluated = [loss for loss in (report.val_loss, report.test_loss) if loss is not None]
    learned = report.train_loss < guessing or min(evaluated, default=guessing) < _LEARNED * guessing
    steps = min(report.epoch * trainer.n_steps, trainer.total_steps)
    is_last = report.epoch == trainer.last_epoch
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
