"""A task of `jitnet.search.on_dask`: it trains one work in a thread of a Dask worker, and reports by events.

Events are tuples: the task's key, the token of this attempt, and "started" with the worker's address, "reports" with
a list of `EpochReport`, pickled, or "ended" with nothing. Scheduler and worker may repeat a task: each attempt has
another token.
"""

import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jitnet.errors import DataError, JitnetError, MissingExtra
from jitnet.search.work import Outcome, Work, data_of, failure_of, train_work
from jitnet.training.history import EpochReport

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["Ending", "load", "request_stop", "train"]

SENT_EVERY_S = 0.25
"""Reports are sent no more often."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    token: of the attempt. place: the worker's address. outcome: of the run, its folder meaningless; files: that are in
    the folder, by their paths in it. Where there is no outcome: error, why, in one line; kind: the name of the error's
    class, "no data" or "no loops" where the worker cannot read the data or load the loops, "broken" where the error is
    none of jitnet's, and is then a traceback.
    """

    token: str
    place: str
    outcome: Outcome | None = None
    files: dict[str, bytes] | None = None
    error: str = ""
    kind: str = ""


def train(work: Work, topic: str) -> Ending:
    """Train a work in a folder of this worker, and return what it ended with, and the folder's files. topic: of its
    events."""
    from distributed import get_worker

    worker = get_worker()
    key, token = str(worker.get_current_task()), uuid4().hex

    def send(kind: str, content: str | bytes = "") -> None:
        worker.log_event(topic, (key, token, kind, content))

    send("started", worker.address)
    try:
        return _train(work, worker, key, token, send)
    finally:
        _to_stop.discard(token)
        send("ended")


def _train(work: Work, worker: "Worker", key: str, token: str, send: Any) -> Ending:
    def should_stop() -> bool:
        return token in _to_stop or not _is_wanted(worker, key)

    try:
        try:
            data_of(work)
        except (DataError, MissingExtra) as error:
            return Ending(token, worker.address, error=failure_of(work, error)[0], kind="no data")
        try:
            _load_loops()
        except (ImportError, OSError) as error:  # what it is installed in is broken
            return Ending(token, worker.address, error=f"{type(error).__name__}: {error}", kind="no loops")
        with tempfile.TemporaryDirectory(prefix="jitnet-", dir=worker.local_directory) as base:
            outcome = train_work(work, Path(base), _Reports(send), should_stop)
            return Ending(token, worker.address, outcome, _files_in(outcome.folder))
    except (JitnetError, MemoryError) as error:
        message, kind = failure_of(work, error)
        return Ending(token, worker.address, error=message, kind=kind)
    except Exception:
        return Ending(token, worker.address, error=traceback.format_exc(), kind="broken")


class _Reports:
    """Sends reports of epochs, several together where epochs are short: each event costs scheduler and client some
    milliseconds. Those after the last event are in the outcome."""

    def __init__(self, send: Callable[[str, bytes], None]) -> None:
        self._send, self._kept, self._sent = send, list[EpochReport](), 0.0

    def __call__(self, report: EpochReport) -> None:
        self._kept.append(report)
        if (now := time.monotonic()) - self._sent >= SENT_EVERY_S:
            self._send("reports", pickle.dumps(self._kept))
            self._kept, self._sent = [], now


def _files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _is_wanted(worker: "Worker", key: str) -> bool:
    """Whether anything still waits for a task: its future is not cancelled, its client and its scheduler are there."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state == "executing" and not worker.status.name.startswith(("closing", "closed"))


_to_stop: set[str] = set()
"""The tokens of attempts that were asked to stop."""


def request_stop(token: str) -> None:
    """Ask an attempt that runs in this process to end before its end."""
    _to_stop.add(token)


def load() -> None:
    """Load the loops in a worker, before its first work needs them."""
    with suppress(Exception):  # what is wrong is reported by the works
        _load_loops()


_loading = Lock()
_loaded = False


def _load_loops() -> None:
    """Load the loops, once for all threads of this process."""
    global _loaded
    from jitnet.engine.loop import load_loop

    with _loading:
        if not _loaded:
            load_loop()
        _loaded = True
