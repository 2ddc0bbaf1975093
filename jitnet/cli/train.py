"""`jitnet train`."""

import gc
import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
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
from jitnet.config import MAX_THREADS
from jitnet.config.choices import default_rate
from jitnet.errors import TargetMissed, UsageError

if TYPE_CHECKING:
    from jitnet.config import ModelConfig
    from jitnet.render import Consoles
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
    limited = time_limit is not None
    asked = [
        name
        for name, on in {
            "--explain": explain,
            "--print-schedule": print_schedule,
            "--print-config": print_config,
            "--find-lr": find_lr,
            "--dry-run": dry_run,
        }.items()
        if on
    ]
    _check_one(asked, limited=limited)
    if committee and (asked or limited):
        raise UsageError(
            f"{[*asked, '--time-limit'][0]} is of one network, and cannot be combined with --committee; leave one of "
            "them out"
        )
    columns = columns_named(target, group, time, weight, ignore)
    settings = settings_of(fields, recipe, data=data, test_data=test_data, columns=columns, task=task)
    from jitnet.runs.checkpoints import parse_when
    from jitnet.runs.time_limit import TimeLimit, seconds_of

    limit = None if time_limit is None else TimeLimit(seconds_of(time_limit))
    checkpoint = "auto" if checkpoint is None else checkpoint
    parse_when(checkpoint)
    going_on = None
    if resume is not None:
        others = {"--out": out is not None, "--config": config is not None, "--time-limit": limited}
        others["--committee"] = committee is not None
        resume = model_at(resume)
        going_on = _reopened(resume, settings, [name for name, typed in others.items() if typed] + asked, json)
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
        if works and limited:
            raise UsageError(f"--time-limit is for one network, and {config} is of a committee; leave it out")
    if on != "local" and not works:
        raise UsageError("--on is for the networks of a committee; add --committee, or leave it out")
    engine = engine_on(on) if works else None
    from jitnet import render, runs
    from jitnet.runs.event_files import EventFile, check_installed
    from jitnet.runs.run_config import what_differs
    from jitnet.runs.run_training import describe, train_run

    if tensorboard:
        check_installed()

    screen = render.consoles(json, quiet)
    source = going_on or settings
    warn = partial(render.notice, render.make_console(sys.stderr))
    program_bytes = _loaded_bytes(screen) if dry_run else 0
    with render.downloads(screen) as progress:
        reading = Background(lambda: source.load(progress, task_advice()))
        from jitnet.compiler.cache import all_compiled
        from jitnet.engine.loop import compile_ahead, load_loop
        from jitnet.training import trainer as _  # noqa: F401  (imported while the data are read)

        if all_compiled() and not asked:  # else it compiles, further down and with a notice
            load_loop()
        dataset = reading.result()
    for notice in (*([dataset.notice] if dataset.notice else []), *dataset.decisions):
        warn(notice)
    looks = explain or print_schedule or print_config
    if not looks:
        compile_ahead()
    if find_lr:  # whose steps are its own
        settings = replace(settings, training={**settings.training, "max_steps": 0})
    begun = perf_counter()
    showing = explain or print_config
    if going_on is None:
        trainer = settings.trainer(dataset, any_threads=showing, on_notice=warn)
    else:
        trainer = going_on.trainer(dataset)
    making_s = perf_counter() - begun
    model = trainer.model
    for differs in what_differs(read, trainer) if read is not None else ():
        warn(f"{config}: {differs}")
    if explain:
        return _explain(trainer, json)
    if print_config:
        return _print_config(trainer, settings, json)
    if print_schedule:
        return _print_schedule(trainer, json)
    if find_lr:
        typed = {name: value for name, value in fields.items() if name != "learning_rate"}
        columns_typed = {"target": target, "group": group, "time": time, "weight": weight, "ignore": ignore}
        others_typed = {"config": config, "data": data, "test_data": test_data, **columns_typed, "recipe": recipe}
        task_typed = task if task != "auto" else None
        return _find_lr(trainer, screen, as_typed(typed, **others_typed, task=task_typed), json)
    if dry_run:
        runs.check_free(out)
        return _dry_run(trainer, settings, limit, screen, program_bytes, json)
    opened = runs.claim(out) if out is not None else going_on.run if going_on is not None else None
    with opened or runs.create(dataset.name) as run:
        if run.notice:
            warn(run.notice)
        if engine is not None:
            return train_committee(engine, run, trainer, settings, works, screen, json)
        if going_on is None:
            run.write_config(describe(trainer, settings))
        else:
            going_on.begin(trainer)
            render.resumed(screen.info, run.folder, *going_on.place(trainer))
        _show_plan(trainer, screen)
        with render.compiling(screen, "the training loops"):
            trainer.prepare()
        if limit is not None:
            limit.begin()
            settings, trainer = limit.fit(settings, dataset, trainer, run, making_s)
            model = trainer.model
            run.write_config(describe(trainer, settings) | limit.record)
            render.facts(screen.info, [("time limit", _fitted(trainer, limit))])
        gc.freeze()
        gc.enable()
        warning = ""
        with (
            interrupts(trainer.request_stop),
            render.TrainingView(
                screen, trainer.last_epoch, trainer.config.learning_rate, trainer.history.epochs
            ) as view,
            EventFile(run.folder) if tensorboard else nullcontext() as events,
        ):

            def show(report: "EpochReport") -> None:
                nonlocal warning
                view.epoch(report)
                if events is not None:
                    events.append(report)
                if not warning and (warning := _warning(report, trainer)):
                    warn(warning)

            on_steps = limit.watch(trainer, view.step) if limit else view.step
            history = train_run(trainer, run, show, on_steps, checkpoint)
    if json:
        print_json(_document(run, history, model.config.task))
    else:
        goes_on = history.stopped and checkpoint != "off"
        going = [f"jitnet train --resume {quote(str(run.folder))}"] if goes_on else []
        view.summary(
            model=run.model_path,
            suggestions=[*going, f"jitnet eval {quote(str(run.folder))}", *predicting(model, run.folder)],
            outcome=history.outcome if trainer.run_steps < trainer.config.epochs * trainer.n_steps else "",
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


def _check_one(asked: list[str], *, limited: bool) -> None:
    """UsageError where two of the options are typed that show something in place of a training, or one with a limit of
    time that it has no use for."""
    if limited and asked and asked[0] != "--dry-run":
        asked.append("--time-limit")
    if len(asked) > 1:
        raise UsageError(f"{asked[0]} cannot be combined with {asked[1]}; ask for one of them")


def _show_plan(trainer: "Trainer", screen: "Consoles") -> None:
    """What is trained, on what, where and how."""
    from jitnet import render

    dataset, config = trainer.dataset, trainer.model.config
    n_train, n_held_out = trainer.n_samples
    render.plan(
        screen.info,
        trainer.plan,
        data=dataset.name,
        n_train=n_train,
        n_held_out=n_held_out,
        n_test=0 if dataset.test is None else len(dataset.test),
        outputs=_outputs(config),
        threads_settled=not trainer.measures_threads,
    )
    render.network(screen.info, config, trainer.config.frozen(config))


def _fitted(trainer: "Trainer", limit: "TimeLimit") -> str:
    """What fits into the time, in words."""
    from jitnet.runs.time_limit import time_in_words

    assert limit.fitted is not None
    steps, epochs = trainer.total_steps, trainer.total_steps / trainer.n_steps
    return (
        f"{time_in_words(limit.seconds)}: {steps:,} steps, {epochs:.4g} epoch{'s' * (epochs != 1)}, about "
        f"{time_in_words(limit.fitted.seconds)} with evaluation and saving"
    )


def _loaded_bytes(screen: "Consoles") -> int:
    """What this process takes in memory with all that trains loaded, and no data."""
    from jitnet import render
    from jitnet.engine.loop import compile_ahead, load_loop
    from jitnet.machine.resident import resident_bytes
    from jitnet.training import trainer as _  # noqa: F401

    compile_ahead()
    with render.compiling(screen, "the training loops"):
        load_loop()
    return resident_bytes()


def _dry_run(
    trainer: "Trainer",
    settings: "Settings",
    limit: "TimeLimit | None",
    screen: "Consoles",
    program_bytes: int,
    json: bool,
) -> int:
    """What a training would take."""
    from jitnet import render
    from jitnet.runs.dry_run import estimate

    if not json:
        _show_plan(trainer, screen)
    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    found = estimate(trainer, settings, program_bytes, limit)
    if json:
        from jitnet.runs.run_training import describe

        print_json({**describe(trainer, settings), "estimate": found})
    else:
        render.estimate(screen.out, found)
    return 0


def _find_lr(trainer: "Trainer", screen: "Consoles", typed: list[str], json: bool) -> int:
    """The range test, drawn, with the command that uses its result."""
    from dataclasses import asdict

    from jitnet import render
    from jitnet.training.range_test import range_test

    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    found = range_test(trainer)
    command = " ".join(["jitnet train", *typed, f"--lr {found.suggestion:g}"])
    if json:
        print_json({**asdict(found), "optimizer": trainer.config.optimizer, "command": command})
    else:
        render.range_test(screen.out, found, trainer.config.optimizer, command)
    return 0


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


def _print_schedule(trainer: "Trainer", json: bool) -> int:
    """The learning rate of the run's steps: drawn, or up to a thousand of them as a document."""
    import numpy as np

    from jitnet import render
    from jitnet.kernels.schedule import learning_rates, schedule_settings

    config, steps = trainer.config, trainer.total_steps
    chosen = sorted({*range(0, steps, max(1, steps // 1000)), steps - 1})
    out = np.zeros(len(chosen))
    learning_rates(schedule_settings(config, trainer.n_steps), np.array(chosen), out)
    rates = out.tolist()
    epochs = [step / trainer.n_steps for step in chosen]
    if json:
        print_json({"schedule": config.schedule, "n_steps": steps, "epochs": epochs, "learning_rates": rates})
    else:
        title = f"learning rate: {config.schedule}, {steps:,} steps"
        ends = (0, steps / trainer.n_steps)
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
