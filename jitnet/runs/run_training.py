"""Training a run into its folder: a line of metrics an epoch, and now and then a checkpoint and the model."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jitnet.config.settings_file import FORMAT
from jitnet.runs.checkpoints import Checkpoints, parse_when
from jitnet.runs.folder import Run
from jitnet.runs.listing import score_record
from jitnet.runs.run_config import complete, versions
from jitnet.runs.run_settings import Settings
from jitnet.runs.starting_model import described_start
from jitnet.version import __version__

if TYPE_CHECKING:
    from jitnet.training.history import EpochReport, History, StepReport
    from jitnet.training.trainer import Trainer

__all__ = ["describe", "result_of", "threads_of", "train_run"]


def train_run(
    trainer: "Trainer",
    run: Run,
    on_epoch: "Callable[[EpochReport], object] | None" = None,
    on_steps: "Callable[[StepReport], object] | None" = None,
    checkpoint: str = "auto",
) -> "History":
    """Train, write the run's folder, whose config.json is written, and return the history. on_epoch, on_steps: as
    `Trainer.run` calls them; a report is in the folder soon after. checkpoint: when one is written, as `parse_when`
    takes it.

    Raises as `Trainer.epochs` does, and OutputError."""
    when = parse_when(checkpoint)
    with Checkpoints(trainer, run, when) as checkpoints:

        def after_epoch(report: "EpochReport") -> object:
            checkpoints.epoch(report)
            return on_epoch(report) if on_epoch is not None else None

        def between(report: "StepReport") -> object:
            checkpoints.steps()
            return on_steps(report) if on_steps is not None else None

        history = trainer.run(after_epoch, between)
        checkpoints.end()
    ended = {"outcome": history.outcome, "stopped": history.stopped, "result": result_of(history, trainer, run)}
    run.write_config(run.config | threads_of(trainer) | ended)
    return history


def describe(trainer: "Trainer", settings: Settings) -> dict[str, Any]:
    """The content of config.json: enough to repeat the run, which `read_settings` reads."""
    dataset, model = trainer.dataset, trainer.model
    whole = complete(settings, trainer)
    return {
        "format": FORMAT,
        "jitnet": __version__,
        "versions": versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": settings.recipe_name,
        **({} if settings.start is None else {"init": described_start(settings.start)}),
        "data": {
            "name": dataset.name,
            "source": dataset.source,
            "path": whole.data_path,
            "test_path": whole.test_data,
            "task": whole.task,
            "checksum": dataset.checksum,
            "n_train": len(dataset.train),
            "n_test": 0 if dataset.test is None else len(dataset.test),
            **({} if dataset.preparation is None else {"columns": dataset.preparation.roles.model_dump()}),
        },
        "model": {**model.config.model_dump(), "n_parameters": model.config.n_parameters},
        "train": trainer.config.model_dump(),
        **threads_of(trainer),
        "machine": trainer.plan.machine,
    }


def threads_of(trainer: "Trainer") -> dict[str, Any]:
    """How many threads steps run on, and why: at first an estimate, at the end what was chosen by trying."""
    return {"threads": trainer.threads, "threads_reason": trainer.threads_reason}


def result_of(history: "History", trainer: "Trainer", run: Run) -> dict[str, Any]:
    """How a run ended, and its best score. Without it in config.json a run is still going on, or was killed."""
    config = trainer.config
    return {
        "outcome": history.outcome,
        "stopped": history.stopped,
        "kept": history.kept,
        "final_test": history.final_test,
        "score": score_record(run.folder, config.batch_size, config.drop_last) if len(history) else None,
    }
