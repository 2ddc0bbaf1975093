"""What every engine offers that runs works, in processes here or elsewhere, and the events that it reports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from jitnet.errors import UsageError
from jitnet.search.work import Outcome, Work
from jitnet.training.history import EpochReport

__all__ = [
    "ATTEMPTS",
    "GRACE_S",
    "MAX_WORKERS",
    "Engine",
    "Event",
    "Failed",
    "Finished",
    "Reported",
    "Started",
    "check_names",
]

MAX_WORKERS = 1024
"""The most works that an engine may be asked to run at a time."""

GRACE_S = 0.6
"""How long works may take to stop when an engine ends, before it does without them: within a second of a Ctrl-C."""

ATTEMPTS = 2
"""How often a work is begun whose worker process dies."""


@dataclass(frozen=True)
class Started:
    """A work has begun; again: for a second time, since its first worker process died or was lost."""

    name: str
    again: bool = False


@dataclass(frozen=True)
class Reported:
    """An epoch of a work has ended."""

    name: str
    report: EpochReport


@dataclass(frozen=True)
class Finished:
    """A work has ended, to its end or before it."""

    name: str
    outcome: Outcome


@dataclass(frozen=True)
class Failed:
    """A work could not be trained. error: why, in one line. kind: the name of the error's class."""

    name: str
    error: str
    kind: str


Event = Started | Reported | Finished | Failed


class Engine(Protocol):
    """Runs works, as many at a time as it has workers. Used in a `with`, whose end ends all workers.

    A work's result depends on the work alone: not on the engine, the number of workers, or the order of events."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, works: Sequence[Work], base: Path, *, again: frozenset[str] = frozenset()) -> Iterator[Event]:
        """Yield events as they happen, until each work is finished or failed.

        Works begin in their order; their names differ. base: the folder in which each has its run folder. again: names
        of those whose folder may hold an unfinished run: one goes on from its newest checkpoint, and is replaced where
        there is none.

        Raises JitnetError where the engine itself cannot go on."""
        ...

    def stop(self, name: str | None = None) -> None:
        """Ask a running work to end before its end, or all works; those that have not begun then do not begin. A work
        that ends so is `Finished`, its outcome `stopped`. May be called while `run` is iterated, from any thread."""
        ...


def check_names(works: Sequence[Work]) -> None:
    """UsageError where two works have the same name."""
    if len({work.name for work in works}) < len(works):
        raise UsageError("works: two have the same name, and would have the same folder")
