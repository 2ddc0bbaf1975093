"""What a run would take, in time and memory, without the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from jitnet.runs.run_settings import Settings
from jitnet.runs.time_limit import TimeLimit, fitting, most_steps
from jitnet.training.plan import PARAMETERS
from jitnet.training.rehearsal import rehearse

if TYPE_CHECKING:
    from jitnet.training.trainer import Trainer

__all__ = ["Estimate", "estimate"]

_SECONDS = 1.0
"""For which steps are trained to measure them."""

_COPIES = 3
"""Of the parameters beside those that are trained: the model's, and two while an epoch's are taken over."""

_SAVE_S, _BYTES_PER_S = 0.02, 1e8
"""What saving a model takes, at the least and for its bytes."""


@dataclass(frozen=True)
class Estimate:
    """epochs, steps: of the run. step_s, evaluation_s, saving_s: seconds of a step, of the evaluation after an epoch,
    of saving after one. seconds: of the whole run. threads: that steps run on, by the measurement.

    memory: bytes by what has them: "parameters", with copies to evaluate and save them; "gradients and moments", with
    the moving average; "checkpoint", a copy of these that is being written; "work", inputs, activations and their
    gradients; "data", all samples as they are read and as they are trained on; "program", Python, the libraries and the
    loops. memory_bytes: all of it."""

    epochs: int
    steps: int
    step_s: float
    evaluation_s: float
    saving_s: float
    seconds: float
    threads: int
    memory: dict[str, int]
    memory_bytes: int


def estimate(trainer: "Trainer", settings: Settings, program_bytes: int, limit: TimeLimit | None = None) -> Estimate:
    """Measure some steps of a trainer, which is of no use afterwards, and return what its run would take.

    settings: the trainer's. program_bytes: of the process ahead of the data, see `machine.resident`. limit: a time into
    which the run is to fit; UsageError where it is too short."""
    found = rehearse(trainer, _SECONDS)
    memory = {**_memory(trainer), "program": program_bytes}
    saving_s = _SAVE_S + 4 * trainer.model.config.n_parameters / _BYTES_PER_S
    epochs, steps = trainer.last_epoch, trainer.total_steps
    if limit is not None:
        fitted = fitting(found, trainer.n_steps, most_steps(settings, trainer), limit.seconds, saving_s)
        epochs, steps = fitted.epochs, fitted.steps
    return Estimate(
        epochs,
        steps,
        found.step_s,
        found.epoch_s,
        saving_s,
        found.seconds(steps, epochs, saving_s),
        trainer.threads,
        memory,
        sum(memory.values()),
    )


def _memory(trainer: "Trainer") -> dict[str, int]:
    """Bytes of a trainer's arrays, by what they are."""
    states = trainer.states
    params = states[0].params.nbytes
    others = [getattr(states[0], name).nbytes for name in PARAMETERS if name != "params"]
    moments = sum(size for size in others if size == params)  # what is unused has a few numbers
    work = sum(array.nbytes for state in states for name, array in state._asdict().items() if name not in PARAMETERS)
    best = trainer.config.keep != "last" and trainer.n_samples[1] > 0
    return {
        "parameters": params * (1 + _COPIES + best),
        "gradients and moments": moments,
        "checkpoint": params + moments,
        "work": work,
        "data": _bytes_of(trainer.samples),
    }


def _bytes_of(things: Sequence[Any]) -> int:
    """Bytes of all arrays in these, each piece of memory once."""
    owners = dict[int, int]()
    seen = set[int]()
    for array in _arrays(things, seen):
        while isinstance(array.base, np.ndarray):
            array = array.base
        owners[id(array)] = array.nbytes
    return sum(owners.values())


def _arrays(thing: Any, seen: set[int]) -> Iterator[npt.NDArray[Any]]:
    """All arrays in an object of this project, in its fields and in lists and dicts of them."""
    if id(thing) in seen or thing is None or isinstance(thing, (str, bytes, int, float, type)):
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, Mapping):
        yield from _arrays(list(thing.values()), seen)
    elif isinstance(thing, (tuple, list)):
        for each in thing:
            yield from _arrays(each, seen)
    elif type(thing).__module__.startswith("jitnet."):
        fields = getattr(thing, "__dict__", None) or {
            name: getattr(thing, name, None) for name in getattr(thing, "__slots__", ())
        }
        yield from _arrays(dict(fields), seen)
