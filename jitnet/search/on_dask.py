"""An engine of the workers of an existing Dask scheduler: each work is a task, of one thread.

A worker trains in a folder of its own, and its files are written here when the work has ended. So no disk is shared;
the data must be on each worker.
"""

import logging
import pickle
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from jitnet.config.checking import check_whole_number
from jitnet.errors import DataError, JitnetError, MissingExtra, OutputError, UsageError
from jitnet.files import create, make_folder, remove, writing
from jitnet.runs import claim
from jitnet.runs.run_config import versions
from jitnet.search.dask_task import Ending, load, request_stop, train
from jitnet.search.engine import (
    ATTEMPTS,
    GRACE_S,
    MAX_WORKERS,
    Event,
    Failed,
    Finished,
    Reported,
    Started,
    check_names,
)
from jitnet.search.work import Work, clear_run

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["Dask"]

PORT = 8786
"""Where a scheduler listens by default."""

CONNECT_S, ANSWER_S = 2.5, 3.5
"""Within these times the scheduler must have answered, and its workers too."""

LOOK_S = 1.0
"""How often the scheduler is asked for its workers."""

NO_WORKERS_S = 60.0
"""How long works wait for a worker, once all are lost."""

STOP_S = 10.0
"""How long works that were all asked to stop may take, before their results are done without."""

INSTALL = "install it with: pip install 'distributed>=2026.8'"

_SAME = ("jitnet", "numba", "llvmlite")
"""Whose versions decide the bits of a result."""

_LOOK = (
    "{'jitnet': __import__('jitnet.version', fromlist=['version']).__version__, **{name: __import__("
    "'importlib.metadata', fromlist=['version']).version(name) for name in ('numba', 'llvmlite')}}"
)
"""An expression with the versions of `_SAME`. A text, which a worker without jitnet can read too."""


@dataclass
class _Task:
    """A work whose task the scheduler has.

    key: of the task. token: of the attempt that runs, "" before the first has begun; place: its worker. attempts: that
    have begun; submitted: how often the scheduler was given it. n_reports: of this attempt, that were passed on.
    is_dropped: its result is of no interest any more."""

    key: str
    work: Work
    future: "Future[Ending]"
    submitted: int = 1
    token: str = ""
    place: str = ""
    attempts: int = 0
    n_reports: int = 0
    is_dropped: bool = False


@dataclass
class _Left:
    """What is left to do of some works."""

    base: Path
    again: frozenset[str]
    waiting: "deque[Work]"
    tasks: dict[str, _Task] = field(default_factory=dict)
    stopped: bool = False
    stop_by: float | None = None
    """When works that were asked to stop are done without, and whether it was said that they take long."""
    said: bool = False


class Dask:
    """An `Engine` of the workers of a Dask scheduler. It connects to it at once.

    address: "dask://HOST:PORT". workers: how many works to run at a time; 0 is one for each thread of the cluster's
    workers. notify: called with a line for the user. A work whose worker is lost is repeated once, on another one.

    Raises UsageError for what is no such address or number, MissingExtra where `distributed` is not installed, and
    JitnetError where the scheduler cannot be reached, has no workers, or a worker has not the versions that are here.
    """

    def __init__(self, address: str, workers: int = 0, notify: Callable[[str], object] | None = None) -> None:
        self.workers = check_whole_number("workers", workers, 0, MAX_WORKERS)
        self.address = _checked(address)
        self._notify = notify or (lambda line: None)
        self._client = _connect(self.address)
        self._topic = f"jitnet-{uuid4().hex}"
        self._messages: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        """From the threads of Dask: a worker's events, and (key, "", "done", "") of a task for which the scheduler has
        no more to do."""
        self._left: _Left | None = None
        self._lock = Lock()
        """Held while works begin and end, and while they are asked to stop, which may be in another thread."""
        self._threads = 0
        self._looked = self._last_seen = time.monotonic()
        self._client.subscribe_topic(self._topic, lambda event: self._messages.put(event[1]))
        places = self._look_at_workers()
        self._loading = [self._client.submit(load, workers=[place], key=f"load-{uuid4().hex}") for place in places]
        """Workers load the loops while data are read here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Cancel all works, wait a moment for those that run, and leave the scheduler. Says where one still runs."""
        left = self._left
        running = {} if left is None else {task.token: task for task in left.tasks.values()}
        try:
            if running:
                self._client.cancel([task.future for task in running.values()], force=True)
                self._wait_for_ends(running)
        finally:
            with suppress(Exception):  # a scheduler that is gone need not be left
                self._client.close(timeout=GRACE_S)

    def _wait_for_ends(self, running: dict[str, _Task]) -> None:
        deadline = time.monotonic() + GRACE_S
        running.pop("", None)
        while running and (seconds := deadline - time.monotonic()) > 0.0:
            with suppress(Empty):
                _, token, kind, _ = self._messages.get(timeout=seconds)
                if kind == "ended":
                    running.pop(token, None)
        if running:
            self._notify(f"{_still(running.values())}; each ends by itself soon")

    def run(self, works: Sequence[Work], base: Path, *, again: frozenset[str] = frozenset()) -> Iterator[Event]:
        """Yield events as `Engine.run` does."""
        check_names(works)
        left = self._left = _Left(base, again, deque(works))
        while True:
            yield from self._begin(left)
            if not left.tasks and not left.waiting:
                return
            try:
                message = self._messages.get(timeout=self._patience(left))
            except Empty:
                message = None
            if message is not None:
                yield from self._read(left, *message)
            yield from self._look_after(left)

    def stop(self, name: str | None = None) -> None:
        """Ask a running work to stop, or all, as `Engine.stop` does."""
        with self._lock:
            if self._left is None:
                return
            if name is None and not self._left.stopped:
                self._left.stopped, self._left.stop_by = True, time.monotonic() + STOP_S
            for task in self._left.tasks.values():
                if name in (None, task.work.name):
                    self._ask_to_stop(task)
        self._messages.put(("", "", "look", ""))

    def _ask_to_stop(self, task: _Task) -> None:
        """Ask the worker of a task. Not in this thread: a worker that has just been lost would hold it up."""
        if task.token:
            where = {"workers": [task.place], "on_error": "ignore"}
            call = (self._client.run, request_stop, task.token)
            Thread(target=_unless_lost, args=call, kwargs=where, daemon=True).start()

    def _begin(self, left: _Left) -> Iterator[Event]:
        """Give the scheduler as many works as may run."""
        while True:
            with self._lock:
                if left.stopped:
                    left.waiting.clear()
                    for task in [task for task in left.tasks.values() if not task.token]:
                        self._drop(left, task)
                if not left.waiting or len(left.tasks) >= min(self.workers or MAX_WORKERS, self._threads):
                    return
                work = left.waiting.popleft()
                folder = left.base / work.name
                try:
                    if work.name in left.again:
                        clear_run(folder)
                    _check_free(folder)
                except OutputError as error:
                    failed = Failed(work.name, str(error), type(error).__name__)
                else:
                    self._submit(left, work)
                    continue
            yield failed

    def _submit(self, left: _Left, work: Work, submitted: int = 1) -> None:
        key = f"{work.name}-{uuid4().hex}"
        future = self._client.submit(train, _for_elsewhere(work), self._topic, key=key, pure=False)
        left.tasks[key] = _Task(key, work, future, submitted)
        future.add_done_callback(lambda done: self._messages.put((key, "", "done", "")))

    def _drop(self, left: _Left, task: _Task) -> None:
        """Do without the result of a task."""
        task.is_dropped = True
        del left.tasks[task.key]
        self._client.cancel([task.future], force=True)

    def _read(self, left: _Left, key: str, token: str, kind: str, content: Any) -> Iterator[Event]:
        """Read one message: an event of an attempt, or that a task is done."""
        task = left.tasks.get(key)
        if task is None:
            return
        if kind == "started":
            yield from self._started(left, task, token, content)
        elif kind == "reports" and token == task.token:
            for report in pickle.loads(content):
                task.n_reports += 1
                yield Reported(task.work.name, report)
        elif kind == "done":
            yield from self._done(left, task)

    def _started(self, left: _Left, task: _Task, token: str, place: str) -> Iterator[Event]:
        """An attempt has begun; where it is not the first one, the worker of the one before is lost."""
        if task.attempts == ATTEMPTS:
            yield self._lost(left, task)
            return
        with self._lock:
            task.attempts += 1
            lost, task.token, task.place, task.n_reports = task.place, token, place, 0
            if left.stopped:
                self._ask_to_stop(task)
        yield Started(task.work.name, bool(lost))

    def _lost(self, left: _Left, task: _Task) -> Failed:
        with self._lock:
            self._drop(left, task)
        return Failed(
            task.work.name,
            f"its worker was lost, {ATTEMPTS} times, the last one {task.place or 'before it had begun'}; where memory "
            "is short, use fewer workers",
            "WorkerDied",
        )

    def _done(self, left: _Left, task: _Task) -> Iterator[Event]:
        """The scheduler has no more to do for a task: pass on its result, or begin it again."""
        name = task.work.name
        try:
            ending = task.future.result()
        except Exception as error:
            yield from self._not_done(left, task, error)
            return
        if ending.token != task.token:
            yield from self._started(left, task, ending.token, ending.place)
            if task.is_dropped:
                return
        with self._lock:
            del left.tasks[task.key]
        if ending.kind == "broken":
            raise RuntimeError(f"worker {ending.place} failed:\n{ending.error}")
        if ending.kind == "no data":
            raise DataError(
                f"worker {ending.place} cannot read the data: {ending.error}; each worker must have the same data, by "
                "the same name or at the same path"
            )
        if ending.kind == "no loops":
            raise JitnetError(
                f"worker {ending.place} cannot load the training loops ({ending.error}); repair its environment, and "
                "start it again"
            )
        if ending.outcome is None:
            yield Failed(name, ending.error, ending.kind)
            return
        for report in ending.outcome.reports[task.n_reports :]:
            yield Reported(name, report)
        folder = left.base / name
        try:
            _write(folder, ending)
        except OutputError as error:
            yield Failed(name, str(error), type(error).__name__)
        else:
            yield Finished(name, replace(ending.outcome, folder=folder))

    def _not_done(self, left: _Left, task: _Task, error: Exception) -> Iterator[Event]:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        if isinstance(error, KilledWorker):  # the scheduler tries no other worker
            if max(task.attempts, task.submitted) >= ATTEMPTS:
                yield self._lost(left, task)
            else:
                with self._lock:
                    del left.tasks[task.key]
                    self._submit(left, task.work, task.submitted + 1)
        elif isinstance(error, (CancelledError, OSError)):
            raise self._gone() from None
        elif isinstance(error, ImportError):
            raise JitnetError(
                f"a worker of {self.address} cannot import what it needs ({error}); install jitnet "
                f"{versions()['jitnet']} there, with the same extras, and start the worker again"
            ) from None
        else:
            raise error

    def _gone(self) -> JitnetError:
        return JitnetError(
            f"the connection to the scheduler at {self.address} is lost; what had ended is kept, the rest must be "
            "trained again"
        )

    def _patience(self, left: _Left) -> float:
        """Seconds until something is to be looked at, if no message comes."""
        return LOOK_S / 4 if left.stopped else LOOK_S

    def _look_after(self, left: _Left) -> Iterator[Event]:
        """See which workers there are, and whether works that were asked to stop do so."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._look_at_workers()
        if now - self._last_seen > NO_WORKERS_S:
            raise JitnetError(
                f"the scheduler at {self.address} has had no workers for {NO_WORKERS_S:.0f} seconds; start some, with: "
                f"dask worker {_host(self.address)} --nthreads 1"
            )
        if left.stop_by is None:
            return
        if not left.said and now > left.stop_by - STOP_S + GRACE_S:
            left.said = True
            self._notify(f"{_still(left.tasks.values())}; waits for {STOP_S:.0f} seconds at most")
        if now > left.stop_by:
            for task in list(left.tasks.values()):
                with self._lock:
                    self._drop(left, task)
                yield Failed(task.work.name, f"worker {task.place} did not stop it", "JitnetError")

    def _look_at_workers(self) -> list[str]:
        """See how many threads the workers have, and return their addresses."""
        try:
            found = self._client.nthreads()
        except Exception:
            raise self._gone() from None
        self._threads = sum(found.values())
        self._looked = time.monotonic()
        if self._threads:
            self._last_seen = self._looked
        return list(found)


def _still(tasks: Any) -> str:
    """Which works still run where, as the beginning of a line."""
    places = ", ".join(f"{task.work.name} on {task.place}" for task in tasks)
    return f"still running: {places}"


def _unless_lost(call: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
    """Call a function; what fails is reported by the loop that reads messages."""
    with suppress(Exception):
        call(*arguments, **keywords)


def _for_elsewhere(work: Work) -> Work:
    """A work as another process, in another folder, can train it: paths are absolute, and recipes have been read."""
    settings = work.settings
    path, test_path = settings.data_path, settings.test_data
    if path is not None:
        settings = replace(settings, data=str(path.absolute()))
    if test_path is not None:
        settings = replace(settings, test_data=test_path.expanduser().absolute())
    if settings.start is not None:
        settings = replace(settings, init=settings.start.expanduser().absolute())
    with suppress(JitnetError):  # it is reported by the worker
        settings.resolve()
    return replace(work, settings=settings)


def _check_free(folder: Path) -> None:
    """OutputError where a run folder cannot be written, or holds a run already."""
    for made in claim(folder).made:
        remove(made)


def _write(folder: Path, ending: Ending) -> None:
    """Write the folder of a run that was trained elsewhere: all of it, or nothing."""
    try:
        make_folder(folder.parent)
        with writing(folder) as temporary:
            make_folder(temporary)
            for name, content in (ending.files or {}).items():
                path = temporary / name
                make_folder(path.parent)
                with create(path) as file:
                    file.write(content)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {(error.strerror or str(error)).lower()}") from None


def _checked(address: str) -> str:
    """The address of a scheduler, with its port; UsageError where it is none."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port = None, 0
    rest = not host or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if rest or parts.scheme != "dask":
        raise UsageError.of_fields(f"<on>: expected local, or a scheduler as dask://HOST:{PORT}, found {address!r}")
    return f"dask://{f'[{host}]' if ':' in str(host) else host}:{port}"


def _host(address: str) -> str:
    """An address as Dask takes it: its settings decide between TCP and TLS."""
    return address.removeprefix("dask://")


def _connect(address: str) -> "Client":
    """Connect to a scheduler, and check its workers; JitnetError as `Dask` has it, within `ANSWER_S`."""
    try:
        import distributed
    except ImportError:
        raise MissingExtra(f"--on dask:// needs distributed; {INSTALL}") from None
    for name in ("", ".client", ".core", ".comm", ".scheduler", ".utils", ".batched"):
        logging.getLogger(f"distributed{name}").setLevel(logging.CRITICAL)  # what matters is reported here
    warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)
    deadline = time.monotonic() + ANSWER_S
    answers: SimpleQueue[Client | JitnetError] = SimpleQueue()

    def attempt() -> None:
        try:
            answers.put(_connected(address, deadline))
        except JitnetError as error:
            answers.put(error)

    # In a thread of its own: what does not answer may hold up any of its steps.
    Thread(target=attempt, daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_S)
    except Empty:
        answer = _unreachable(address, f"no answer in {ANSWER_S:g} seconds")
    if isinstance(answer, JitnetError):
        raise answer
    return answer


def _unreachable(address: str, reason: str) -> JitnetError:
    return JitnetError(
        f"{address}: no Dask scheduler can be reached there ({reason}); check the address, or start one with: dask "
        "scheduler"
    )


def _connected(address: str, deadline: float) -> "Client":
    from distributed import Client

    try:
        client = Client(_host(address), timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # Dask raises many: of sockets, of names, of its protocol
        raise _unreachable(address, _first_line(error)) from None
    try:
        while not (found := client.run(eval, _LOOK, on_error="return")):
            if time.monotonic() > deadline - 0.5:
                raise JitnetError(
                    f"the scheduler at {address} has no workers; start some, with: dask worker {_host(address)} "
                    "--nthreads 1"
                )
            time.sleep(0.1)
        for place, answer in found.items():
            _check_worker(place, answer)
    except JitnetError:
        client.close(timeout=0.2)
        raise
    except Exception as error:
        raise _unreachable(address, _first_line(error)) from None
    return client


def _first_line(error: Exception) -> str:
    """Why something failed, without the objects and numbers that Dask and Python have in front of it."""
    causes = (error.__cause__, error.__context__, error)
    lines = (str(cause).partition("\n")[0] for cause in causes if cause)
    return re.sub(r"^(in <.*>: )?(\w+Error: )?(\[Errno -?\d+\] )?", "", next(filter(None, lines), type(error).__name__))


def _check_worker(place: str, found: Any) -> None:
    """JitnetError where a worker has not the versions that are here. found: those it has, or the error that it had."""
    here = versions()
    what = f"version {here['jitnet']} there and start the worker again, or start it from an environment that has it"
    if isinstance(found, ModuleNotFoundError):
        raise JitnetError(f"worker {place}: {found.name} is not installed there; install jitnet {what}")
    if isinstance(found, Exception):
        raise JitnetError(f"worker {place} cannot be asked for its versions: {_first_line(found)}")
    for name in _SAME:
        if found[name] != here[name]:
            raise JitnetError(
                f"worker {place} has {name} {found[name]}, and here it is {here[name]}: results would differ; install "
                + (f"jitnet {what}" if name == "jitnet" else f"{name} {here[name]} there and start the worker again")
            )
