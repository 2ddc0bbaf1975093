"""An engine of worker processes on this machine, of one thread each. They are started afresh, never forked, load the
loops once, and train one work after another."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from threading import Lock
from typing import Self

from jitnet.config.checking import check_whole_number
from jitnet.errors import UsageError
from jitnet.runs import MODEL
from jitnet.search.engine import Event, Failed, Finished, Reported, Started
from jitnet.search.work import Work, clear_run

__all__ = ["Local", "run_all"]

MAX_WORKERS = 1024

GRACE_S = 0.6
"""How long a worker process may take to stop its work, before it is ended: all ends within a second of a Ctrl-C."""

ATTEMPTS = 2
"""How often a work is begun whose worker process dies."""


def run_all(
    works: Sequence[Work], base: Path, *, workers: int = 0, again: frozenset[str] = frozenset()
) -> Iterator[Event]:
    """Run works in worker processes of this machine, and yield events as `Engine.run` does. workers: as for `Local`."""
    with Local(workers or max(1, min(len(works), cores()))) as engine:
        yield from engine.run(works, base, again=again)


def cores() -> int:
    """Return how many cores this process may use."""
    from jitnet.compiler.environment import affinity

    return affinity()


@dataclass
class _Worker:
    """A worker process, this end of its pipe, and what it works at."""

    process: "subprocess.Popen[bytes]"
    pipe: Connection
    work: Work | None = None

    def send(self, *message: object) -> None:
        with suppress(OSError):  # it has died: the end of the pipe says so to the loop that reads it
            self.pipe.send(message)


@dataclass
class _Left:
    """What is left to do of some works."""

    base: Path
    again: frozenset[str]
    waiting: "deque[Work]"
    attempts: dict[str, int] = field(default_factory=dict)
    stopped: bool = False


class Local:
    """An `Engine` of worker processes on this machine.

    workers: how many; 0 is one for each core. UsageError where that is out of range. A worker process that dies is
    replaced, and its work repeated once."""

    def __init__(self, workers: int = 0) -> None:
        self.workers = check_whole_number("workers", workers, 0, MAX_WORKERS) or cores()
        self._crew: list[_Worker] = []
        self._left: _Left | None = None
        self._lock = Lock()
        """Held while works begin and while they are asked to stop, which may be in another thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End all worker processes. A work that one is at ends before its end, and leaves a whole run folder or
        none."""
        with _uninterrupted():
            busy = [worker for worker in self._crew if worker.work is not None]
            for worker in busy:
                worker.send("stop", worker.work and worker.work.name)
            for worker in self._crew:
                if worker.work is None:
                    worker.pipe.close()
            deadline = time.monotonic() + GRACE_S
            while busy and (left := deadline - time.monotonic()) > 0.0:
                for pipe in wait([worker.pipe for worker in busy], left):
                    worker = next(worker for worker in busy if worker.pipe is pipe)
                    if _has_ended(worker):
                        busy.remove(worker)
            for worker in self._crew:
                worker.process.kill()
                worker.process.wait()
                worker.pipe.close()
            for worker in busy:
                folder = self._folder(worker)
                if folder is not None and not (folder / MODEL).exists():
                    clear_run(folder)
            self._crew.clear()

    def _folder(self, worker: _Worker) -> Path | None:
        return self._left.base / worker.work.name if self._left is not None and worker.work is not None else None

    def run(self, works: Sequence[Work], base: Path, *, again: frozenset[str] = frozenset()) -> Iterator[Event]:
        """Yield events as `Engine.run` does."""
        if len({work.name for work in works}) < len(works):
            raise UsageError("works: two have the same name, and would have the same folder")
        left = self._left = _Left(base, again, deque(works))
        while True:
            yield from self._begin(left)
            if not any(worker.work is not None for worker in self._crew):
                return  # a stop may have dropped the works that waited
            busy = {id(worker.pipe): worker for worker in self._crew}
            for pipe in wait([worker.pipe for worker in self._crew]):
                yield from self._read(busy[id(pipe)], left)

    def stop(self, name: str | None = None) -> None:
        """Ask a running work to stop, or all, as `Engine.stop` does."""
        with self._lock:
            if name is None and self._left is not None:
                self._left.stopped = True
            for worker in self._crew:
                if worker.work is not None and name in (None, worker.work.name):
                    worker.send("stop", worker.work.name)

    def _begin(self, left: _Left) -> Iterator[Event]:
        """Begin works on the workers that are free, and start workers where more are of use."""
        while started := self._begin_one(left):
            yield started

    def _begin_one(self, left: _Left) -> Started | None:
        with self._lock:
            if left.stopped:
                left.waiting.clear()
            worker = next((worker for worker in self._crew if worker.work is None), None)
            if not left.waiting or (worker is None and len(self._crew) == self.workers):
                return None
            if worker is None:
                worker = _start()
                self._crew.append(worker)
            work = worker.work = left.waiting.popleft()
            left.attempts[work.name] = left.attempts.get(work.name, 0) + 1
            again = left.attempts[work.name] > 1
            worker.send("train", work, left.base, again or work.name in left.again)
            return Started(work.name, again)

    def _read(self, worker: _Worker, left: _Left) -> Iterator[Event]:
        """Read one message of a worker; replace one that has died, and repeat its work."""
        try:
            kind, *content = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._replace(worker, left)
            return
        work = worker.work
        if kind == "broken":
            raise RuntimeError(f"a worker process failed:\n{content[0]}")
        if kind == "report" and work is not None:
            yield Reported(work.name, content[0])
        elif kind in ("finished", "failed") and work is not None:
            worker.work = None
            yield Finished(work.name, content[0]) if kind == "finished" else Failed(work.name, *content)

    def _replace(self, worker: _Worker, left: _Left) -> Iterator[Event]:
        self._crew.remove(worker)
        worker.pipe.close()
        code, work = worker.process.wait(), worker.work
        if work is None:
            return
        if left.attempts[work.name] < ATTEMPTS:
            left.waiting.appendleft(work)
            return
        clear_run(left.base / work.name)
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        yield Failed(
            work.name,
            f"its worker process ended {how}, {ATTEMPTS} times; where memory is short, use fewer workers",
            "WorkerDied",
        )


def _has_ended(worker: _Worker) -> bool:
    """Whether the message that has come is the end of the worker's work."""
    try:
        kind, *_ = worker.pipe.recv()
    except (EOFError, OSError):
        return True
    return kind in ("finished", "failed", "broken")


def _start() -> _Worker:
    """Start a worker process.

    It loads what this process has compiled. It may use all cores: the thread that starts it may be bound to one, and
    OpenMP would bind each worker's thread to the first. It is not in this process's group: a Ctrl-C in the terminal
    reaches this process, which ends it."""
    from jitnet.compiler.cache import cache_folder
    from jitnet.compiler.environment import CORES

    compiled = {} if cache_folder is None else {"JITNET_CACHE": str(cache_folder.parent)}
    ours, theirs = Pipe()
    free = f"os.sched_setaffinity(0, {CORES}); " if CORES else ""
    code = (
        f"import os, sys; {free}sys.path[:] = {sys.path!r}; "
        f"from jitnet.search.worker import serve; serve({theirs.fileno()})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_PROC_BIND": "false", **compiled},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        process_group=0,
    )
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C changes nothing while worker processes end. Only the main thread has signals."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
