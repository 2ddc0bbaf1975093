"""Fitting a run into a time: its steps are chosen by how long some take, and its schedule spans them.

The time is counted from where the data are read and the loops are loaded, and includes the measurement, evaluation and
saving. What is chosen is written to the configuration as `epochs` and `max_steps`, with which the run repeats to the
last bit without a limit. Where the machine becomes slower than it was, the run ends at the limit all the same.
"""

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jitnet.config.checking import quoted
from jitnet.errors import UsageError
from jitnet.files import remove
from jitnet.runs.run_settings import Settings
from jitnet.training.rehearsal import Rehearsal, rehearse

if TYPE_CHECKING:
    from jitnet.datasets import Dataset
    from jitnet.model import Model
    from jitnet.runs.folder import Run
    from jitnet.training.history import StepReport
    from jitnet.training.trainer import Trainer

__all__ = ["Fitted", "TimeLimit", "fitting", "most_steps", "seconds_of", "time_in_words"]

MARGIN = 0.08
"""Share of the time that is left free: the pace changes a little by itself."""

_REHEARSAL, _LONGEST_REHEARSAL_S = 0.05, 2.0
"""Share of the time for measuring, and the longest that it takes."""

_LEAST_STEPS = 64
"""Steps without which a run has learned nothing; those of one epoch where it has fewer."""

_CHUNK_S = 0.06
"""The longest that a chunk of steps usually takes: the run can end only behind one."""

_MOST_S = 365 * 24 * 3600
_UNITS = {"h": 3600, "m": 60, "s": 1}
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


def seconds_of(text: str) -> float:
    """The seconds that a text like 90s, 5m, 1h30m or 300 names; UsageError for another text, for none, and for more
    than a year."""
    match = _TIME.fullmatch(text.strip().lower())
    parts = match.groups() if match else ()
    seconds = sum(float(part) * size for part, size in zip(parts, _UNITS.values(), strict=False) if part)
    if not any(parts) or not 0.0 < seconds <= _MOST_S:
        raise UsageError.of_fields(
            f"<time_limit>: expected a time above 0, up to a year, as 90s, 5m, 1h30m or a number of seconds, found "
            f"{quoted(text)}"
        )
    return seconds


def time_in_words(seconds: float) -> str:
    """A time as `seconds_of` reads it: 1h30m, 5m, 12.5s."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count)


@dataclass(frozen=True)
class Fitted:
    """What fits into a time: the epochs, the last one perhaps not whole, and `max_steps`, 0 where all are whole. steps:
    in all. seconds: what they are expected to take, evaluation and saving included."""

    epochs: int
    max_steps: int
    steps: int
    seconds: float


def fitting(found: Rehearsal, n_steps: int, most_steps: int, seconds: float, save_s: float) -> Fitted:
    """Return what fits into so many seconds. n_steps: of an epoch. most_steps: of the run at the most; 0 is no limit.
    save_s: seconds that saving takes after an epoch.

    Raises UsageError where that is too little to learn anything."""
    usable = (1.0 - MARGIN) * seconds - found.end_s
    each_s = found.epoch_s + save_s
    epochs = int(max(0.0, usable) / (n_steps * found.step_s + each_s))
    rest = usable - epochs * (n_steps * found.step_s + each_s) - each_s
    steps = epochs * n_steps + max(0, min(n_steps - 1, int(rest / found.step_s)))
    least = min(_LEAST_STEPS, n_steps, most_steps or n_steps)
    if steps < least:
        needed = found.seconds(least, 1, save_s) / (1.0 - MARGIN)
        raise UsageError.of_fields(
            f"<time_limit> leaves {max(0.0, seconds):.2g} s after the start; {least} step{'s' * (least != 1)}, with "
            f"which a network begins to learn, evaluation and saving need {needed:.2g} s here: set a longer one"
        )
    steps = min(steps, most_steps) if most_steps else steps
    epochs = -(-steps // n_steps)
    return Fitted(epochs, steps if steps % n_steps else 0, steps, found.seconds(steps, epochs, save_s))


class TimeLimit:
    """A time for a run. seconds: how long; fitted: what was chosen, None before."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.fitted: Fitted | None = None
        self._begun = self._last_s = 0.0

    def begin(self) -> None:
        """Count from here."""
        self._begun = time.perf_counter()

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.perf_counter() - self._begun)

    def measure(self, trainer: "Trainer") -> Rehearsal:
        """Measure a trainer, which is of no use afterwards."""
        return rehearse(trainer, min(_REHEARSAL * self.seconds, _LONGEST_REHEARSAL_S))

    def fit(
        self, settings: Settings, dataset: "Dataset", trainer: "Trainer", run: "Run", making_s: float
    ) -> "tuple[Settings, Trainer]":
        """Choose what fits; return the settings with it, and a trainer of them that is ready. trainer: of the settings
        as they are, which took making_s seconds to make; it is measured, and of no use afterwards. run: whose folder
        shows how long saving takes.

        Where the epochs or steps that were chosen before end first, they stay. Raises UsageError for too short a time.
        """
        found, save_s = self.measure(trainer), _save_s(trainer.model, run)
        left_s = self.left_s - making_s
        self.fitted = fitting(found, trainer.n_steps, most_steps(settings, trainer), left_s, save_s)
        self._last_s = found.epoch_s + found.end_s + save_s
        chosen = {"epochs": self.fitted.epochs, "max_steps": self.fitted.max_steps}
        settings = replace(settings, training={**settings.training, **chosen})
        fitted = settings.trainer(dataset)
        fitted.prepare()
        return settings, fitted

    def watch(self, trainer: "Trainer", on_steps: "Callable[[StepReport], object]") -> "Callable[[StepReport], object]":
        """Return what to call between chunks of steps: on_steps, and near the limit what ends the run there."""

        def call(report: "StepReport") -> object:
            if self.left_s < 1.1 * self._last_s + _CHUNK_S and trainer.run_steps < trainer.total_steps:
                trainer.end_early(
                    f"the time limit of {time_in_words(self.seconds)} ended the run after {trainer.run_steps:,} of "
                    f"{trainer.total_steps:,} steps, in epoch {report.epoch}: they took longer than was measured"
                )
            return on_steps(report)

        return call

    @property
    def record(self) -> dict[str, Any]:
        """What config.json has of it."""
        assert self.fitted is not None
        return {"time_limit": {"seconds": self.seconds, "expected_seconds": self.fitted.seconds}}


def most_steps(settings: Settings, trainer: "Trainer") -> int:
    """Steps that a run may have at most by what was chosen: its epochs, if these were chosen and are not merely the
    default or the recipe's, and its `max_steps`; 0 where neither was."""
    config, typed = trainer.config, settings.training
    chosen = [config.epochs * trainer.n_steps] if typed.get("epochs") is not None else []
    chosen += [config.max_steps] if typed.get("max_steps") is not None and config.max_steps else []
    return min(chosen, default=0)


def _save_s(model: "Model", run: "Run") -> float:
    """Seconds that saving a model in the run's folder takes."""
    path = run.folder / ".measured.safetensors"
    begun = time.perf_counter()
    try:
        model.save(path)
    finally:
        with suppress(OSError):
            remove(path)
    return time.perf_counter() - begun
