"""What is known of a worker process that ended without a reply, or that does not reply."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from jitnet.profile.functions.machine_hints import NUMBA
from jitnet.profile.functions.stages import danger_of, has_called

__all__ = ["OVERWRITTEN", "crash_text", "hanging_place", "is_memory_fault"]

OUTPUT_KEPT = 4096
"""Characters of the worker process's last output that are searched for what went wrong."""

DUMP_S = 0.3
"""Within this, a process has written where it is."""

OVERWRITTEN = (
    "; such a crash is mostly a write or a read outside an array, whose index compiled code does not check, and it may "
    "come long after it; or a recursion that does not end"
)

HEAP = re.compile(r"free\(\)|malloc|realloc|corrupted|double free|munmap_chunk")
"""What the C library writes as it finds its memory overwritten."""


def is_memory_fault(code: int, stage: str) -> bool:
    """Whether a process ended as one does whose function accessed memory outside its arrays. stage: what it did."""
    faults = {signal.SIGABRT, signal.SIGSEGV, getattr(signal, "SIGBUS", signal.SIGSEGV)}
    return -code in faults and has_called(stage)


def crash_text(code: int, output: IO[bytes], stage: str) -> str:
    """Describe a process that ended without a reply: the signal, and the line of Python where it was."""
    lines = _last_lines(output)
    place = _place(lines)
    how = f"the process that ran it ended with code {code}"
    if code < 0:
        how = f"the process that ran it was killed by {signal.Signals(-code).name}"
    last = next((line.strip() for line in reversed(lines) if line.strip()), "") if not place and code > 0 else ""
    if is_memory_fault(code, stage) and not stage.startswith("calling it for the first"):
        # The memory was overwritten before: where it was found is not where that was done.
        heap = next((line.strip() for line in lines if HEAP.search(line)), "")
        danger = danger_of(stage)
        return f"{how} after it was called{f': {heap[:100]}' if heap else ''}{danger and f'; {danger}'}"
    detail = f" ({place})" if place else f": {last[:200]}" if last else ""
    return f"{how} while {stage}{detail}"


def hanging_place(process: "subprocess.Popen[bytes]", output: IO[bytes]) -> str:
    """Return the user's line of Python at which a process is, "" where it is in none."""
    if not hasattr(signal, "SIGUSR1"):
        return ""
    process.send_signal(signal.SIGUSR1)
    time.sleep(DUMP_S)
    lines = _last_lines(output)
    begins = [number for number, line in enumerate(lines) if "(most recent call first)" in line]
    return _place(lines[begins[-1] :]) if begins else ""


def _last_lines(output: IO[bytes]) -> list[str]:
    output.seek(0, os.SEEK_END)
    output.seek(max(0, output.tell() - OUTPUT_KEPT))
    return output.read().decode("utf-8", "replace").splitlines()


def _place(lines: list[str]) -> str:
    homes = (str(Path(__file__).parents[1]), NUMBA, "<")
    places = re.findall(r'^\s*File "([^"]+)", line (\d+)', "\n".join(lines), re.MULTILINE)
    return next((f"{file}:{line}" for file, line in places if not file.startswith(homes)), "")
