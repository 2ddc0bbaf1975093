"""A forked process in which the user's code may crash, never end, or change what it gets, without harm to this one."""

import contextlib
import faulthandler
import mmap
import os
import pickle
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["NOT_PREPARED", "NO_TIME", "Child", "Ended", "can_fork"]

ENDING = (signal.SIGPROF, signal.SIGALRM)
"""Signals of the timers that end a process."""

POLL_S, BEAT_S = 0.002, 0.25

NO_TIME, NOT_PREPARED = "its time was over", "it was not prepared in time"

WALL = 3.0
"""Times as long as its CPU time a process may take, where it sleeps or other programs have the cores."""

GRACE_S = 0.5
"""A process that does not see the end of its time is ended by the kernel, this much later."""


class Ended(NamedTuple):
    """How a forked process ended. value: what its work returned, None where failure is not "", a clause."""

    value: Any
    failure: str


def can_fork() -> bool:
    """Whether this system can fork a process."""
    return hasattr(os, "fork")


class Child:
    """Starts `work(prepare())` in a forked process; `wait` returns its value, which must be picklable.

    It has the parent's memory as it is now, and all that it writes is its own. It must not run what needs threads: none
    but the calling one is there. limit_s: after so much CPU time it is ended, and after WALL times as long in any case,
    also where the parent was killed. channel: a file descriptor to close, so that the reader of a killed parent sees
    the end. prepare: compiles, for example; it may take preparing_s in the same way, and limit_s begins after it.
    """

    def __init__(
        self,
        work: Callable[..., Any],
        limit_s: float,
        channel: int = -1,
        prepare: Callable[[], Any] | None = None,
        preparing_s: float = 0.0,
    ) -> None:
        self._limit_s, self._preparing_s = limit_s, preparing_s if prepare else 0.0
        self._begun = mmap.mmap(-1, 8)  # shared with the process: when it was prepared
        self._start = time.perf_counter()
        if prepare is None:
            self._begin()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `wait`)
        sys.stdout.flush()
        sys.stderr.flush()
        self._process = os.fork()
        if self._process == 0:
            try:
                self._run(work, prepare, channel)
            finally:
                os._exit(1)

    def _begin(self) -> None:
        struct.pack_into("d", self._begun, 0, time.perf_counter())

    def _time_over(self) -> str:
        """Return whether its time is over, and which: "" where it is not."""
        (begun,) = struct.unpack_from("d", self._begun)
        limit_s = self._limit_s if begun else self._preparing_s
        return self._over() if time.perf_counter() > (begun or self._start) + WALL * limit_s else ""

    def _over(self) -> str:
        return NO_TIME if struct.unpack_from("d", self._begun)[0] else NOT_PREPARED

    def _run(self, work: Callable[..., Any], prepare: Callable[[], Any] | None, channel: int) -> None:
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, WALL * (self._preparing_s + self._limit_s) + GRACE_S)
        faulthandler.disable()
        silent = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(silent, descriptor)
        if channel >= 0:
            with contextlib.suppress(OSError):
                os.close(channel)
        try:
            prepared: tuple[Any, ...] = ()
            if prepare is not None:
                signal.setitimer(signal.ITIMER_PROF, self._preparing_s)
                prepared = (prepare(),)
            self._begin()
            signal.setitimer(signal.ITIMER_PROF, self._limit_s)
            found = Ended(work(*prepared), "")
        except BaseException as error:
            text = " ".join(str(error).split())
            found = Ended(None, f"it raises {type(error).__name__}{f': {text[:120]}' if text else ''}")
        pickle.dump(tuple(found), self._file, pickle.HIGHEST_PROTOCOL)
        self._file.flush()
        os._exit(0)

    def wait(self, heartbeat: Callable[[], None] = lambda: None) -> Ended:
        """Return how it ended; one whose time is over is killed."""
        beat = time.perf_counter()
        try:
            while True:
                process, status = os.waitpid(self._process, os.WNOHANG)
                if process:
                    break
                now = time.perf_counter()
                if over := self._time_over():
                    os.kill(self._process, signal.SIGKILL)
                    os.waitpid(self._process, 0)
                    return Ended(None, over)
                if now - beat > BEAT_S:
                    beat = now
                    heartbeat()
                time.sleep(POLL_S)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in ENDING:
                return Ended(None, self._over())
            if os.WIFSIGNALED(status):
                return Ended(None, f"it was killed by {signal.Signals(os.WTERMSIG(status)).name}")
            self._file.seek(0)
            try:
                return Ended(*pickle.load(self._file))
            except (EOFError, pickle.UnpicklingError):
                return Ended(None, f"it ended with code {os.WEXITSTATUS(status)}")
        finally:
            self._file.close()
            self._begun.close()
