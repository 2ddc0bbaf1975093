"""Worker processes, measured one at a time and in random order, and statistics of their times.

Only one worker runs at any time: the others are stopped as processes (SIGSTOP), so that none of their threads spins or
wakes during a measurement. This module needs only Python, and stays small: a child process inherits its parent's peak
memory, as Linux counts it.
"""

import json
import os
import platform
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple, TypeVar

HERE = Path(__file__).parent
SYSTEMS = {"jitnet": "jitnet", "torch": "PyTorch", "jax": "JAX", "sklearn": "scikit-learn", "numpy": "NumPy"}
OURS = ("jitnet", "peak")
"""Workers that read their number of threads from the row; the others read it once from their environment."""
TIMEOUT_S = 600

Key = TypeVar("Key", bound=Hashable)


class WorkerError(Exception):
    """A worker is not available, or failed at a request; one line that says why."""


class Spread(NamedTuple):
    """Median and quartiles of some measurements."""

    middle: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles; of fewer than three samples, the extremes."""
    if len(samples) < 3:
        return Spread(median(samples), min(samples), max(samples))
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return Spread(median(samples), low, high)


# Read before a thread library binds this thread to one of them.
_CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def cores() -> int:
    """Cores that this process may use."""
    return len(_CORES)


def use_all_cores() -> None:
    """Undo a thread library's binding: a child process inherits it, and would share one core among its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, _CORES)


def environment(system: str, threads: int) -> dict[str, str]:
    """Variables that set a system's number of threads, for any library; 0 leaves the choice to the system."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_", "MKL_"))
    }
    inherited["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    if not threads or system in OURS:
        return inherited
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
    several = "true" if threads > 1 else "false"
    return inherited | dict.fromkeys(names, str(threads)) | {"XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={several}"}


def command(system: str, pythons: Mapping[str, str]) -> list[str]:
    """The command that starts a system's worker; `pythons` names interpreters other than this one."""
    return [pythons.get(system, sys.executable), str(HERE / "workers" / f"{system}_worker.py")]


class Worker:
    """One system in a worker process, which is stopped except during a request. timeout_s: for one request."""

    def __init__(self, system: str, threads: int, pythons: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self.system, self.threads, self.timeout_s = system, threads, timeout_s
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in close())
        try:
            self.process = subprocess.Popen(
                command(system, pythons),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                env=environment(system, threads),
                text=True,
            )
        except OSError as error:
            raise WorkerError(str(error)) from None
        self.versions: dict[str, str] = self.request(do="hello")["versions"]

    def request(self, **message: Any) -> dict[str, Any]:
        """Wake the worker, let it do one request, and stop it again. Raises WorkerError where it failed."""
        pipe_in, pipe_out = self.process.stdin, self.process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        try:
            self.process.send_signal(signal.SIGCONT)
            pipe_in.write(json.dumps(message) + "\n")
            pipe_in.flush()
            ready, _, _ = select.select([pipe_out], [], [], self.timeout_s)
            line = pipe_out.readline() if ready else ""
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(self._last_message())
        self.process.send_signal(signal.SIGSTOP)
        reply: dict[str, Any] = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def _last_message(self) -> str:
        self.process.kill()
        self.errors.seek(0)
        lines = [line for line in self.errors.read().splitlines() if line.strip()]
        self.close()
        return lines[-1] if lines else f"the {self.system} worker ended or did not reply for {self.timeout_s:g} s"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.errors.close()


class Pool:
    """The workers, started when first needed and kept running, so that no row pays for an import."""

    def __init__(self, pythons: Mapping[str, str]) -> None:
        self.pythons = pythons
        self.workers: dict[tuple[str, int], Worker] = {}
        self.missing: dict[str, str] = {}

    def get(self, system: str, threads: int) -> Worker:
        """The system's worker with so many threads (0: it chooses). Raises WorkerError where it is not installed."""
        if system in self.missing:
            raise WorkerError(self.missing[system])
        if (system, threads) not in self.workers:
            try:
                self.workers[system, threads] = Worker(system, threads, self.pythons)
            except WorkerError as error:
                self.missing[system] = str(error)
                raise
        return self.workers[system, threads]

    def drop(self, worker: Worker) -> None:
        """End a worker that failed, so that the next row starts a new one."""
        worker.close()
        self.workers.pop((worker.system, worker.threads), None)

    @property
    def versions(self) -> dict[str, str]:
        merged: dict[str, str] = {}
        for worker in self.workers.values():
            merged |= worker.versions
        return merged

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers.values():
            worker.close()


def interleave(measures: Mapping[Key, Callable[[], float]], rounds: int, draw: random.Random) -> dict[Key, list[float]]:
    """Each measure once per round, in a new random order every round; sample k of every list is from the same round."""
    samples: dict[Key, list[float]] = {key: [] for key in measures}
    for _ in range(rounds):
        for key in draw.sample(list(measures), len(measures)):
            samples[key].append(measures[key]())
    return samples


def machine() -> dict[str, Any]:
    """Processor, cores, quota, memory and system, for the header of a table."""

    def first(path: str, pattern: str) -> str:
        try:
            match = re.search(pattern, Path(path).read_text(), re.MULTILINE)
        except OSError:
            return ""
        return match.group(1).strip() if match else ""

    flags = first("/proc/cpuinfo", r"^flags\s*:\s*(.+)$").split()
    vectors = [name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX")) if flag in flags]
    quota = first("/sys/fs/cgroup/cpu.max", r"^(\d+ \d+)$").split()
    kilobytes = first("/proc/meminfo", r"^MemTotal:\s*(\d+)")
    return {
        "cpu": first("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.processor() or platform.machine(),
        "vectors": vectors[0] if vectors else "",
        "cores": cores(),
        "quota": int(quota[0]) / int(quota[1]) if quota else None,
        "memory_bytes": int(kilobytes) * 1024 if kilobytes else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def commit() -> str:
    """The measured commit, and whether the files differ from it; empty outside a Git checkout."""
    root = HERE.parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--", "jitnet", "benchmarks").strip()
        return f"commit {git('rev-parse', '--short', 'HEAD').strip()}{', changed since' if changed else ''}"
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine_line(found: Mapping[str, Any]) -> str:
    """The machine in one line."""
    parts = [f"{found['cpu']}", f"{found['cores']} core{'s' * (found['cores'] != 1)}", found["vectors"]]
    if found["quota"]:
        parts.append(f"CPU quota {found['quota']:g}")
    if found["memory_bytes"]:
        parts.append(f"{found['memory_bytes'] / 2**30:.0f} GiB")
    return ", ".join(part for part in [*parts, found["system"], f"Python {found['python']}"] if part)
