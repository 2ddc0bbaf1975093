"""`jitnet train`."""

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

import jitnet
from jitnet.cli.common import Beside, DataOption, Json, Quiet, TestData, print_json
from jitnet.cli.options import NETWORK, TRAINING, configure, with_fields
from jitnet.errors import TargetMissed

if TYPE_CHECKING:
    from jitnet.datasets import Dataset, Progress
    from jitnet.training.trainer import EpochReport, Trainer

__all__ = ["app"]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

EXAMPLES = """\b
Examples:
  jitnet train
  jitnet train --hidden 256,128 --epochs 20 --data fashion-mnist
  jitnet train --data train.csv --test-data test.csv --out runs/mine
  jitnet train --json --quiet > result.json
"""


def _recipes(incomplete: str) -> list[str]:
    from jitnet.config import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


@app.command(epilog=EXAMPLES)
@with_fields(*NETWORK, *TRAINING)
def train(
    *,
    data: DataOption = None,
    test_data: TestData = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            autocompletion=_recipes,
            help="Start from a named set of options; those typed beside it go first. "
            "seed and seed-readme repeat the Rust original as its code and as its README has it.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            show_default=False,
            help="Where the run goes; must not hold a run yet. [default: a new folder runs/DATE-NAME]",
        ),
    ] = None,
    print_schedule: Annotated[
        bool,
        typer.Option("--print-schedule", help="Draw the learning rate over the whole run, and train nothing."),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    **fields: Any,
) -> int:
    """Train a network, show how it learns, and keep it.

    Leaves a run folder with model.safetensors, config.json and metrics.jsonl (one line an epoch). Ctrl-C stops within a
    second and keeps the model so far. The first start compiles the loops; later ones load them.
    """
    network, config = configure(fields, recipe)
    from jitnet import render, runs
    from jitnet.datasets import names

    screen = render.consoles(json, quiet)
    with render.downloads(screen) as progress:
        reading = Beside(lambda: _read(data, test_data, progress))
        from jitnet import step
        from jitnet.config import ModelConfig, build
        from jitnet.kernels.jit import warm
        from jitnet.model import Model
        from jitnet.training.trainer import Trainer

        if warm():  # else it compiles, further down and with a notice
            step.load()
        dataset = reading.result()
    own = Path(data).expanduser() if data is not None and data not in names() else None
    if dataset.notice:
        render.notice(render.make_console(sys.stderr), dataset.notice)
    shape = build(ModelConfig, {**network, "in_features": dataset.in_features, "n_classes": dataset.n_classes})
    step.begin()
    model = Model.create(shape, dataset, seed=config.seed)
    # With these `jitnet eval` finds the data again, from any folder.
    model.metadata |= {
        name: str(path.resolve()) for name, path in (("data_path", own), ("test_data_path", test_data)) if path
    }
    trainer = Trainer(model, dataset, config)
    if print_schedule:
        return _print_schedule(trainer, json)
    run = runs.claim(out) if out is not None else runs.create(dataset.name)
    settings = _settings(trainer, recipe)
    run.write_config(settings)

    n_held_out = round(config.val_split * len(dataset.train))
    render.plan(
        screen.info,
        trainer.plan,
        data=dataset.name,
        n_train=len(dataset.train) - n_held_out,
        n_held_out=n_held_out,
        n_test=0 if dataset.test is None else len(dataset.test),
    )
    render.network(screen.info, shape)
    with render.compiling(screen, "the training loops"):
        trainer.prepare()
    gc.freeze()
    gc.enable()
    reports = []
    with _interrupts(trainer.request_stop), render.TrainingView(screen, config.epochs) as view:
        for report in trainer.epochs(on_steps=view.step):
            model.save(run.model_path)
            run.append(report)
            reports.append(report)
            view.epoch(report)
        if trainer.stopped or trainer.best_epoch is not None:
            model.save(run.model_path)
    if json:
        print_json(_document(run.folder, settings, reports, trainer))
    else:
        early = len(reports) < config.epochs
        view.summary(
            model=run.model_path,
            suggestions=[f"jitnet eval {quote(str(run.folder))}", f"jitnet predict {quote(str(run.folder))} FILE"],
            outcome=trainer.outcome if early else "",
            kept=trainer.best_epoch,
            final_test=trainer.final_test,
        )
    if trainer.stopped:
        return 130
    if not trainer.reached:
        raise TargetMissed(
            f"--target-acc is {config.target_accuracy:g}; the {len(reports)} epochs ended at "
            f"{100.0 * trainer.accuracy:.2f}%; train longer or aim lower"
        )
    return 0


def _print_schedule(trainer: "Trainer", json: bool) -> int:
    """The learning rate of the run's steps: drawn, or up to a thousand of them as a document."""
    from jitnet import render
    from jitnet.training.schedule import learning_rates

    config, steps = trainer.config, trainer.n_steps * trainer.config.epochs
    chosen = range(0, steps, max(1, steps // 1000))
    rates = [float(learning_rates(config, trainer.n_steps, step, 1)[0]) for step in chosen]
    epochs = [step / trainer.n_steps for step in chosen]
    if json:
        print_json({"schedule": config.schedule, "n_steps": steps, "epochs": epochs, "learning_rates": rates})
    else:
        title = f"learning rate: {config.schedule}, {steps:,} steps"
        render.plot(render.consoles().out, epochs, rates, title=title, x_label="epoch")
    return 0


def _read(data: str | None, test_data: Path | None, progress: "Progress") -> "Dataset":
    """The data set, its checksum made."""
    from jitnet.datasets import load

    dataset = load(data, test_data, progress=progress)
    _ = dataset.checksum
    return dataset


def _settings(trainer: "Trainer", recipe: str | None) -> dict[str, Any]:
    """What config.json says: enough to run the same again."""
    dataset, machine = trainer.dataset, trainer.plan.machine
    return {
        "jitnet": jitnet.__version__,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": recipe,
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "checksum": dataset.checksum,
            "n_train": len(dataset.train),
            "n_test": 0 if dataset.test is None else len(dataset.test),
        },
        "model": {**trainer.model.config.model_dump(), "n_parameters": trainer.model.config.n_parameters},
        "train": trainer.config.model_dump(),
        "threads": trainer.plan.threads,
        "machine": machine,
    }


def _document(
    folder: Path, settings: dict[str, Any], reports: "list[EpochReport]", trainer: "Trainer"
) -> dict[str, Any]:
    """The document of `--json`."""
    from jitnet.runs import MODEL, record

    accuracies = [report.test_accuracy for report in reports if report.test_accuracy is not None]
    return {
        "run": folder,
        "saved": folder / MODEL,
        **settings,
        "epochs": [record(report) for report in reports],
        "best_test_accuracy": max(accuracies, default=None),
        "last_test_accuracy": accuracies[-1] if accuracies else None,
        "outcome": trainer.outcome,
        "best_epoch": trainer.best_epoch,
        "final_test": trainer.final_test and dict(zip(("loss", "accuracy"), trainer.final_test, strict=True)),
    }


@contextmanager
def _interrupts(request_stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C ask for a stop and raise nothing: the epoch ends early and its model is saved, however often."""

    def ask(signal_number: int, frame: FrameType | None) -> None:
        request_stop()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
