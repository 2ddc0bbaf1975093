"""The worker process that runs the user's functions: started, listened to, asked for more, and ended."""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from jitnet.compiler.surroundings import CORES, as_found
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.functions.crashes import OVERWRITTEN, crash_text, hanging_place, is_memory_fault
from jitnet.profile.functions.stages import danger_of, is_slow

__all__ = ["LIMIT_S", "Order", "ask", "asked", "silent_text", "worker_environment"]

LIMIT_S = 60.0
"""A worker process that has sent nothing for so many seconds is killed: the function does not return. What comes before
a call, loading a module and compiling, may take minutes, and is allowed PATIENCE times as long."""

PATIENCE = 10


def ask(request: dict[str, Any], target: str, limit_s: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """Send a request to a worker process and return its reply; errors as `profile_function` raises them.

    target: what errors are about. limit_s, progress: as for `profile_function`.
    """
    with asked(request, target, limit_s, progress) as (reply, _):
        return reply


Order = Callable[[dict[str, Any]], Iterator[dict[str, Any]]]
"""Sends an order to the worker process and yields its messages; JitnetError where the process ends, or is silent for
too long."""


@contextmanager
def asked(
    request: dict[str, Any],
    target: str,
    limit_s: float,
    progress: Callable[[str], None],
    compiled: Callable[[dict[str, Any]], None] = lambda found: None,
) -> Iterator[tuple[dict[str, Any], Order]]:
    """Send a request to a worker process; yield its reply, and what sends it an order afterwards.

    compiled: called with what the process says of the compiled function, before its first call.
    """
    environment, bound = worker_environment()
    reading, writing = os.pipe()
    orders, ordering = os.pipe()
    asked_for = json.dumps(request | {"channel": writing, "orders": orders, "cores": CORES, "bound": bound})
    with (
        open(reading, "rb", buffering=0) as channel,
        open(ordering, "w", encoding="utf-8") as sending,
        tempfile.TemporaryFile() as output,
    ):
        try:
            worker = subprocess.Popen(
                [sys.executable, "-m", "jitnet.profile.functions.worker", asked_for],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(writing, orders),
                process_group=0,
            )
        finally:
            os.close(writing)
            os.close(orders)
        received = _listen(channel, limit_s, progress, compiled)

        def next_message() -> dict[str, Any]:
            try:
                message, stage = next(received, (None, "trying changes"))
            except TimeoutError as error:
                (stage,) = error.args
                silent = silent_text(stage, limit_s, request.get("setup"), hanging_place(worker, output))
                raise JitnetError(f"{target}: {silent}") from None
            if message is None:
                code = worker.wait()
                # Where the checks before the first call found an index or a race, the stage has it already.
                unknown = is_memory_fault(code, stage) and not danger_of(stage) and request.get("task") != "bounds"
                found = _outside(request, target, limit_s) if unknown else ""
                raise JitnetError(f"{target}: {crash_text(code, output, stage)}{found}")
            if "raised" in message:
                raise JitnetError(f"{target}: {message['raised']}, while {message['stage']}")
            return message

        def order(wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
            try:
                sending.write(json.dumps(wanted) + "\n")
                sending.flush()
            except BrokenPipeError:
                pass  # it has ended: the next message says how
            while not (message := next_message()).get("done"):
                yield message

        try:
            message = next_message()
            if "refused" in message:
                raise (UsageError if message["usage"] else JitnetError)(message["refused"])
            yield dict(message["reply"]), order
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(worker.pid, signal.SIGKILL)  # with what the user's code has started
            worker.wait()
            with suppress(OSError):
                sending.close()


def _outside(request: dict[str, Any], target: str, limit_s: float) -> str:
    """Return which index is outside its array, found by a second process that checks them all; else what is likely."""
    with suppress(JitnetError):
        found = ask(request | {"task": "bounds"}, target, limit_s, lambda what: None)["overrun"]
        if found:
            return f"; with every index checked: {found}"
    return OVERWRITTEN


def silent_text(stage: str, limit_s: float, setup: str | None, place: str) -> str:
    """Describe a worker process that does not reply. place: where its Python is, "" where it is unknown."""
    at = f" ({place})" if place else ""
    if not is_slow(stage):
        return (
            f"no reply for more than {limit_s:.0f} s while {stage}{at}; use smaller arguments, check whether it waits "
            "for something, or allow more with --limit"
        )
    what = f"--setup {setup} made the arguments" if setup and stage.startswith("making") else stage
    return (
        f"no reply for more than {limit_s * PATIENCE:.0f} s while {what}{at}; what comes before the first call may "
        f"take {PATIENCE} times as long as a call, whose {limit_s:.0f} s --limit changes"
    )


def _listen(
    channel: IO[bytes],
    limit_s: float,
    progress: Callable[[str], None],
    compiled: Callable[[dict[str, Any]], None],
) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Yield each message of the worker process that is not its stage, and at its end None; with what it is doing.

    TimeoutError with what it was doing, where it is silent for too long.
    """
    stage, rest = "starting Python", b""
    with selectors.DefaultSelector() as selector:
        selector.register(channel, selectors.EVENT_READ)
        while True:
            if not selector.select(limit_s * (PATIENCE if is_slow(stage) else 1)):
                raise TimeoutError(stage)
            got = channel.read(1 << 16)
            if not got:
                yield None, stage
                return
            *lines, rest = (rest + got).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "compiled" in message:
                    compiled(message["compiled"])
                elif set(message) == {"stage"}:
                    stage = message["stage"]
                    progress(stage)
                else:
                    yield message, stage


def worker_environment() -> tuple[dict[str, str], bool]:
    """Return the user's environment, without what jitnet sets for its loops; and whether threads are bound to cores.

    They are where the user has not set it: unbound, two of OpenMP's threads may share a core, and a region then takes
    milliseconds.
    """
    made = as_found()
    bound = not any(name in made for name in ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"))
    return made | ({"OMP_PROC_BIND": "true"} if bound else {}), bound
