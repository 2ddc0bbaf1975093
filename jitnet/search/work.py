"""One run of several: what it is made from, training it in any process, and what it ends with.

All three are picklable: a `Work` travels to a worker process, an `Outcome` back.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from jitnet.errors import JitnetError
from jitnet.files import remove_tree
from jitnet.runs import claim
from jitnet.runs.documents import as_json
from jitnet.runs.resuming import Resumed, resume
from jitnet.runs.run_settings import Settings
from jitnet.runs.run_training import describe, train_run
from jitnet.runs.starting_model import described_start
from jitnet.training.history import EpochReport

if TYPE_CHECKING:
    from jitnet.datasets import Dataset
    from jitnet.training.history import StepReport
    from jitnet.training.trainer import Trainer

__all__ = ["Outcome", "Work", "clear_run", "data_of", "failure_of", "train_work"]


@dataclass(frozen=True)
class Work:
    """One run to train.

    name: its folder's name, under the folder of all. settings: what it is made from. rows: called with the data that
    the settings name, returns those to train on: a fold, for example; None are all of them. Its result depends on the
    data alone. ends_early: called with the reports so far after each epoch; where it returns True the run ends there.
    threads: to train on, in place of those of the settings. Both functions must be picklable: a function of a module,
    or an object of a class with `__call__`.
    """

    name: str
    settings: Settings
    rows: "Callable[[Dataset], Dataset] | None" = None
    ends_early: Callable[[Sequence[EpochReport]], bool] | None = None
    threads: int = 1

    def on_data(self, checksum: str) -> "Work":
        """The same work, which accepts only data with this checksum, on whatever machine they are read."""
        return replace(self, settings=replace(self.settings, checksum=checksum))


@dataclass(frozen=True)
class Outcome:
    """What a run ended with.

    folder: of the run. reports: of its epochs. ended: why it ended, in words. kept: the epoch whose parameters its
    model has. ended_early: whether `ends_early` ended it. stopped: whether it was asked to stop before its end; its
    model is then that of an unfinished training. final_test: loss and accuracy (None where targets are numbers) on test
    data that were evaluated once, at the end; None where they were not.
    """

    name: str
    folder: Path
    reports: tuple[EpochReport, ...]
    ended: str
    kept: int | None
    ended_early: bool = False
    stopped: bool = False
    final_test: tuple[float, float | None] | None = None

    @property
    def report(self) -> EpochReport | None:
        """The report of the epoch whose parameters the model has; None where no epoch ended."""
        by_epoch = {report.epoch: report for report in self.reports}
        return by_epoch.get(self.kept) if self.kept is not None else (self.reports or (None,))[-1]

    @property
    def metric(self) -> str:
        """What the score is: "accuracy", or where targets are numbers "loss"."""
        return self.report.metric if self.report is not None else "accuracy"

    @property
    def score(self) -> float | None:
        """The metric of the model on held-out data, or else on test data; None where there are none of both."""
        return self.report.watched if self.report is not None else None


def train_work(
    work: Work,
    base: Path,
    on_report: Callable[[EpochReport], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    *,
    again: bool = False,
) -> Outcome:
    """Train a work in this process, in the run folder `base/NAME`, and return what it ended with.

    Data are read once for all works of a process that name the same. on_report: called after each epoch. should_stop:
    called a few dozen times a second; where it returns True the run ends there, as an unfinished one. again: whether
    an earlier attempt may have left something in the folder: the run goes on from its newest checkpoint, to the same
    bits, and on_report is called with the epochs before that too; without one it is replaced. Else a folder that holds
    a run is refused.

    Raises JitnetError where the run cannot be trained."""
    # Over them, not in their place: what they have read of a recipe's file travels with them.
    settings = replace(Settings(training={"threads": work.threads}).over(work.settings), names=work.settings.names)
    dataset = data_of(work)
    if work.rows is not None:
        dataset = work.rows(dataset)
    trainer = settings.trainer(dataset)
    folder = base / work.name
    left = _left(work, folder, trainer) if again else None
    if again and left is None:
        clear_run(folder)
    reports: list[EpochReport] = []
    ended_early = False

    def look(report: EpochReport) -> bool:
        nonlocal ended_early
        reports.append(report)
        if on_report is not None:
            on_report(report)
        ended_early = work.ends_early is not None and work.ends_early(reports)
        return ended_early

    def look_between(report: "StepReport") -> bool:
        return should_stop is not None and should_stop()

    with claim(folder) if left is None else left.run as run:
        if left is None:
            run.write_config(describe(trainer, settings))
        else:
            trainer = left.trainer(dataset)
            left.begin(trainer)
            for report in left.found.checkpoint.state.reports:
                look(report)
        history = train_run(trainer, run, look, look_between)
    return Outcome(
        work.name,
        folder,
        tuple(history),
        history.outcome,
        history.kept,
        ended_early,
        history.stopped and not ended_early,
        history.final_test,
    )


def _left(work: Work, folder: Path, fresh: "Trainer") -> Resumed | None:
    """Return what an earlier attempt at a work left in its folder, as it goes on; None where that is nothing, is of
    other settings or data, or has ended. fresh: a trainer of the work that has done nothing."""
    try:
        left = resume(folder, Settings())
    except JitnetError:  # there is no whole checkpoint: the run begins again
        return None
    if not isinstance(left, Resumed):
        return None
    checkpoint, reports = left.found.checkpoint, left.found.checkpoint.state.reports
    start = None if work.settings.start is None else described_start(work.settings.start)
    same = (
        checkpoint.config.model_copy(update={"threads": fresh.config.threads}) == fresh.config
        and checkpoint.model.config == fresh.model.config
        and checkpoint.data["checksum"] == fresh.dataset.checksum
        and left.run.config.get("init") == start
    )
    # What ended in its last epoch may have been interrupted before that was noted.
    ends = work.ends_early is not None and any(work.ends_early(reports[: k + 1]) for k in range(len(reports)))
    return left if same and not ends else None


def clear_run(folder: Path) -> None:
    """Remove the folder of an unfinished run, with all that is in it."""
    with suppress(OSError):  # what cannot be removed is reported where it is written to next
        remove_tree(folder)


def failure_of(work: Work, error: JitnetError | MemoryError) -> tuple[str, str]:
    """Return why a work could not be trained, in one line, and the name of the error's class."""
    if isinstance(error, MemoryError):
        return "out of memory: use fewer workers, or a smaller network, batch or data set", "MemoryError"
    return error.named(dict(work.settings.names)), type(error).__name__


_read: "dict[str, Dataset]" = {}
"""The data that this process has read last, by what names them."""

_reading = Lock()
"""Held while data are read: a process may train works in several threads."""


def data_of(work: Work) -> "Dataset":
    """Return the data that a work's settings name, read once where several works name the same. Raises as
    `Settings.load` does."""
    settings = work.settings
    network, _ = settings.resolve()
    named_by = (settings.data, settings.test_data, dict(settings.columns), settings.task, settings.checksum)
    key = as_json([*named_by, network.get("loss")])
    with _reading:
        if key not in _read:
            _read.clear()
            _read[key] = settings.load()
        return _read[key]
