"""What a run writes while it trains, and when: checkpoints, the model, and lines of metrics.

The state is copied between two chunks of steps; a thread writes it while the training goes on, and syncs it to the
disk, which takes longer than all the rest and costs the training nothing. First comes the model, then the checkpoint:
where there is a checkpoint, there is a model. Of checkpoints the newest two are kept.
"""

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Thread
from typing import TYPE_CHECKING, NamedTuple

from jitnet.errors import JitnetError, UsageError
from jitnet.files import make_folder, remove
from jitnet.runs.folder import CHECKPOINTS, Run

if TYPE_CHECKING:
    from jitnet.training.checkpoint_file import Checkpoint
    from jitnet.training.history import EpochReport
    from jitnet.training.trainer import Trainer

__all__ = ["SHARE", "Checkpoints", "When", "parse_when"]

SHARE = 0.01
"""Share of a run's time that checkpoints, models and lines of metrics may take by default."""

_OF_STATES, _OF_LINES = 0.3 * SHARE, 0.2 * SHARE
"""What each may take of it. The rest is for the end, where the last ones are written in any case, and for what cannot
be measured: caches that are cold after it."""

_EXPECTED_S, _EXPECTED_S_PER_BYTE = 2e-3, 4e-9
"""What a checkpoint is expected to take before the first one has been timed."""

_KEPT = 2


@dataclass(frozen=True)
class When:
    """When checkpoints are written: after every epoch, or so many steps, or seconds, as far as these are not 0; with
    `sparing` only as often as the run can spare the time. None of them: never."""

    epochs: bool = False
    steps: int = 0
    seconds: float = 0.0
    sparing: bool = False

    @property
    def never(self) -> bool:
        """Whether there are none."""
        return not (self.epochs or self.steps or self.seconds)


def parse_when(text: str) -> When:
    """Return what "auto", "epoch", "500steps", "30s", "5m" or "off" says; UsageError for anything else."""
    word = text.strip().lower()
    named = {"auto": When(epochs=True, sparing=True), "epoch": When(epochs=True), "off": When()}
    if word in named:
        return named[word]
    if (found := re.fullmatch(r"(\d{1,12})\s*steps?", word)) and int(found[1]):
        return When(steps=int(found[1]))
    if (found := re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*([smh])", word)) and float(found[1]):
        return When(seconds=float(found[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[found[2]])
    raise UsageError(f"--checkpoint: expected auto, epoch, a count as 500steps, a time as 30s, or off, found {text!r}")


class Checkpoints:
    """Writes what a run leaves behind while it trains: `epoch` and `steps` are called as `Trainer.run` calls its
    callbacks, `end` after the last. Used in a `with`, which at its end waits for what is still to be written; where an
    error ends it, the model of the last whole epoch is written too.

    An error of the writing thread is raised by the next call, or at the end.
    """

    def __init__(self, trainer: "Trainer", run: Run, when: When) -> None:
        self._trainer, self._run, self._when = trainer, run, when
        self._writer = _Writer(run)
        self._last_s = time.perf_counter()
        self._copied_s = 0.0
        self._steps = 0
        self._has_model = False
        config, n_parameters = trainer.config, trainer.model.config.n_parameters
        copies = 2 + (config.ema > 0.0) + 2 * config.optimizer.startswith("adam")
        self._expected_s = _EXPECTED_S + _EXPECTED_S_PER_BYTE * 4 * n_parameters * copies

    def __enter__(self) -> "Checkpoints":
        self._writer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        problem = None
        try:
            self._writer.close()
        except JitnetError as found:
            problem = found
        if (problem or kind) is not None and self._has_model:
            with suppress(JitnetError):  # the error that ended the training is reported
                self._trainer.model.save(self._run.model_path)
        if problem is not None and kind is None:
            raise problem

    def epoch(self, report: "EpochReport") -> None:
        """Note an epoch's line, and write a checkpoint where one is due."""
        self._has_model = True
        self._writer.add_line(self._run.line(report))
        if self._when.epochs or self._when.never or self._is_due():
            self._write(spares=self._when.sparing or self._when.never)

    def steps(self) -> None:
        """Write a checkpoint where one is due in the middle of an epoch."""
        self._writer.check()
        if (self._when.steps or self._when.seconds) and self._is_due():
            self._write()

    def end(self) -> None:
        """Write the last checkpoint, where none was written here, and the model as it ends: both at once, as each waits
        for the disk, but a first model ahead of the checkpoint."""
        self._writer.wait()
        is_first = not self._run.model_path.exists()
        if is_first:
            self._trainer.model.save(self._run.model_path)
        if not self._when.never and self._trainer.steps_done != self._steps:
            self._writer.put(Job(self._trainer.checkpoint(), has_model=False))
        if not is_first:
            self._trainer.model.save(self._run.model_path)

    def _is_due(self) -> bool:
        if self._when.steps:
            return self._trainer.steps_done - self._steps >= self._when.steps
        return bool(self._when.seconds) and time.perf_counter() - self._last_s >= self._when.seconds

    def _write(self, *, spares: bool = False) -> None:
        """Copy the state and have it written. spares: not where that would take more than its share of the time, or the
        one before is still being written."""
        now_s = time.perf_counter()
        if spares:
            cost_s = self._copied_s + self._writer.last_s or self._expected_s
            if self._writer.is_busy or (now_s - self._last_s) * _OF_STATES < cost_s:
                return
        self._writer.wait()
        begin_s = time.perf_counter()
        self._writer.put(Job(self._trainer.checkpoint(), has_state=not self._when.never))
        self._last_s = time.perf_counter()
        self._copied_s = self._last_s - begin_s
        self._steps = self._trainer.steps_done


class Job(NamedTuple):
    """A state to write: as a checkpoint, as a model, or both."""

    state: "Checkpoint"
    has_state: bool = True
    has_model: bool = True


class _Writer:
    """A thread that writes to a run folder. last_s: seconds that it worked for the last checkpoint, without those that
    it waited for the disk."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._changed = Condition()
        self._lines: list[bytes] = []
        self._job: Job | None = None
        self._error: BaseException | None = None
        self._ends = self._works = False
        self._next_lines_s = 0.0
        self.last_s = 0.0
        self._thread = Thread(target=self._loop, name="jitnet-checkpoints", daemon=True)

    def start(self) -> None:
        """Begin to write what is put."""
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a checkpoint is being written, or waits for it."""
        return self._job is not None or self._works

    def check(self) -> None:
        """Raise the error that the thread ended with, if it did."""
        if self._error is not None:
            raise self._error

    def add_line(self, line: bytes) -> None:
        """Have a line of metrics written soon."""
        self.check()
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()

    def put(self, job: Job) -> None:
        """Have a state written. `wait` comes first."""
        self.check()
        with self._changed:
            self._job = job
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until no checkpoint is being written; raise the thread's error."""
        with self._changed:
            self._changed.wait_for(lambda: not self.is_busy or not self._thread.is_alive())
        self.check()

    def close(self) -> None:
        """Wait until all is written, and end the thread; raise its error."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join()
        self.check()

    def _loop(self) -> None:
        try:
            while self._take(self._next()):
                pass
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._job, self._works = None, False
                self._changed.notify_all()

    def _next(self) -> tuple[list[bytes], Job | None] | None:
        """Wait for something to do; None at the end."""
        with self._changed:
            self._works = False
            self._changed.notify_all()
            while self._job is None and not self._ends:
                rest_s = self._next_lines_s - time.perf_counter()
                if self._lines and rest_s <= 0.0:
                    break
                self._changed.wait(rest_s if self._lines else None)
            lines, self._lines = self._lines, []
            job, self._job = self._job, None
            self._works = job is not None
            return (lines, job) if lines or job is not None else None

    def _take(self, work: tuple[list[bytes], Job | None] | None) -> bool:
        if work is None:
            return False
        lines, job = work
        begin_s = time.thread_time()
        if lines:
            self._run.append_lines(b"".join(lines))
            self._next_lines_s = time.perf_counter() + (time.thread_time() - begin_s) / _OF_LINES
        if job is not None:
            self._write(job)
            self.last_s = time.thread_time() - begin_s
        return True

    def _write(self, job: Job) -> None:
        from jitnet.model.file import write as write_model
        from jitnet.training.checkpoint_file import name_of, paths, write

        state = job.state
        if job.has_model:
            write_model(self._run.model_path, state.network)
        if not job.has_state:
            return
        folder = self._run.folder / CHECKPOINTS
        try:
            make_folder(folder)
            path = folder / name_of(state.state)
            write(path, state)
            # What was passed over as damaged is of more steps than are done now.
            others = [each for each in paths(folder) if each.name != path.name]
            older = [each for each in others if int(each.stem) < state.state.steps]
            for each in {*others} - {*older[: _KEPT - 1]}:
                remove(each)
        except OSError as error:
            raise self._run.cannot_write(CHECKPOINTS, error, "the checkpoints in") from None
