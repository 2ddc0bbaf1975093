"""The process that compiles functions and returns what LLVM wrote: started, told what to compile, and read."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import Any

import jitnet.version
from jitnet.compiler.surroundings import CORES, as_found
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.code_view import Target
from jitnet.profile.code.processors import Processor

__all__ = ["CompilerEnded", "CompilingProcess", "Progress"]

Progress = Callable[[str, int, int], None]

POLL_S = 0.02


class CompilerEnded(JitnetError):
    """The process ended while it compiled a function."""


class CompilingProcess:
    """A worker process that compiles, and its replies.

    lines: whether to write a line table. later: whether the types of the arguments come by `give`: meanwhile Numba is
    loaded, and nothing of the user's. each: whether it goes on after a function that fails.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        targets: Sequence[Target],
        processor: Processor | None,
        *,
        lines: bool,
        later: bool = False,
        each: bool = False,
    ) -> None:
        self._out, self._errors = folder / f"{name}.jsonl", folder / f"{name}.txt"
        self._out.touch()
        request = folder / f"{name}.json"
        request.write_text(
            json.dumps(
                {
                    "targets": [asdict(target) for target in targets],
                    "processor": {"name": processor.name, "triple": processor.triple} if processor else None,
                    "lines": lines,
                    "later": later,
                    "each": each,
                    "cores": CORES,
                    "out": str(self._out),
                }
            ),
            encoding="utf-8",
        )
        self._cpu = processor.name if processor else "this processor"
        self._total = len(targets)
        self._file = self._out.open(encoding="utf-8")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jitnet.profile.code.worker", str(request)],
                env=_environment(folder, kernels=all(not target.module for target in targets)),
                stdin=subprocess.PIPE if later else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=0,
            )

    def give(self, pickled: str) -> None:
        """Send the types of a function's arguments, as in `Target.pickled`."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it has ended: its replies have the reason
            self._process.stdin.write(f"{pickled}\n".encode())
            self._process.stdin.flush()

    def pause(self) -> None:
        """Stop the process until `resume`."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def replies(
        self, progress: Progress | None, function_s: float = inf, ends: float = inf
    ) -> Iterator[dict[str, Any]]:
        """Yield the header, then a reply a function. Raises the errors that the worker reports, and where it ended too
        early; TimeoutError, with the name of the function, where one takes more than `function_s` seconds, or at the
        time `ends`."""
        what, received, rest = "", 0, ""
        until = ends
        while received <= self._total:
            ended = self._process.poll() is not None
            rest += self._file.read()
            *lines, rest = rest.split("\n")
            for line in lines:
                reply = json.loads(line)
                if "error" in reply:
                    text = reply["error"]
                    raise UsageError(text) if reply["usage"] else JitnetError(f"cannot compile {what}: {text}")
                if "start" in reply:
                    what = reply["start"]
                    until = min(ends, time.monotonic() + function_s)
                    if progress is not None:
                        progress(what, reply["number"], self._total)
                else:
                    received += 1
                    yield reply
            if ended and not lines:
                raise CompilerEnded(
                    f"the compiler ended without a message while it compiled {what or 'nothing yet'} for {self._cpu}"
                    f" (exit code {self._process.returncode}){self._last_error()}"
                )
            if not lines:
                if time.monotonic() > until:
                    raise TimeoutError(what)
                time.sleep(POLL_S)
        if progress is not None:
            progress(what, self._total, self._total)

    def _last_error(self) -> str:
        errors = [line for line in self._errors.read_text(errors="replace").splitlines() if line.strip()]
        return f": {errors[-1].strip()[:200]}" if errors else ""

    def __enter__(self) -> "CompilingProcess":
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)  # with what the user's code has started
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._file.close()


def _environment(folder: Path, *, kernels: bool) -> dict[str, str]:
    """Return the environment of a worker: nothing that is shown is loaded from a cache, and nothing is stored in one.

    For the user's functions it has none of jitnet's settings, which would change their code. Their modules may load
    from the user's cache what they compile when imported.
    """
    made = dict(os.environ) if kernels else as_found()
    for name in ("NUMBA_DISABLE_JIT", "NUMBA_DEBUGINFO", "NUMBA_BOUNDSCHECK"):
        made.pop(name, None)
    package = str(Path(jitnet.version.__file__).parents[1])
    made["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    made["JITNET_CACHE"] = os.devnull  # not a folder: nothing is loaded or stored
    if kernels:
        made["NUMBA_CACHE_DIR"] = str(folder / "cache")
    made["OMP_PROC_BIND"] = "false"
    return made
