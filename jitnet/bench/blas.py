"""The same products in NumPy's BLAS: a worker process for each count of threads, called in between our samples."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jitnet.bench.results import Case
from jitnet.engine.operations import OPERATIONS
from jitnet.errors import JitnetError

__all__ = ["Peer", "numpy_cases", "numpy_peers"]

SETTLE_S = 0.005
"""A pause on both sides of a call: threads just used spin for a while, and would take the other's core."""


@dataclass
class Peer:
    """A worker process on `threads` threads, and its library's version."""

    threads: int
    process: "subprocess.Popen[str]"
    version: str = ""

    def request(self, line: str) -> str:
        """Send a line to the worker and return its reply; JitnetError where it has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            reply = self.process.stdout.readline()
        except OSError:
            reply = ""
        if not reply:
            raise JitnetError(
                f"the process that measures NumPy on {self.threads} threads ended; try without --vs numpy"
            )
        return reply.strip()


@contextmanager
def numpy_peers(threads: Sequence[int]) -> Iterator[list[Peer]]:
    """A worker for each count of threads: BLAS reads the count only when it is loaded."""
    with ExitStack() as stack:
        peers = [stack.enter_context(_peer(count)) for count in threads]
        for peer in peers:
            peer.version = peer.request("version")
        yield peers


@contextmanager
def _peer(threads: int) -> Iterator[Peer]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    environment |= {
        f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL", "BLIS", "VECLIB_MAXIMUM")
    }
    # Its threads should sleep soon after their work, not spin: they share the cores with what is measured next.
    environment["OPENBLAS_THREAD_TIMEOUT"] = "16"
    worker = Path(__file__).with_name("blas_worker.py")
    process = subprocess.Popen(
        [sys.executable, str(worker), ",".join(map(str, sorted(_cores())))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        yield Peer(threads, process)
    finally:
        process.kill()
        process.communicate()


def _cores() -> set[int]:
    """The cores of all threads of this process: the main one may be bound to one of them."""
    if not hasattr(os, "sched_getaffinity"):
        return set()
    cores = set(os.sched_getaffinity(0))
    for task in Path("/proc/self/task").glob("*"):
        try:
            cores |= os.sched_getaffinity(int(task.name))
        except OSError:
            continue
    return cores


def numpy_cases(cases: Sequence[Case], peers: Sequence[Peer]) -> list[Case]:
    """A case for each of our rows that is a matrix product: its name and shape, on the worker of as many threads."""
    by_threads = {peer.threads: peer for peer in peers}
    found = []
    for case in cases:
        operation = OPERATIONS.get(case.name.split()[0]) if case.group == "operation" else None
        kind = operation.product if operation else ""
        if kind and case.threads in by_threads:
            n, i, o = (int(extent) for extent in case.shape.split("×"))
            run = _runner(by_threads[case.threads], kind, n, i, o)
            found.append(Case("numpy", case.name, case.shape, case.threads, 2.0 * n * i * o, 0.0, run))
    return found


def _runner(peer: Peer, kind: str, n: int, i: int, o: int) -> Callable[[int], float]:
    def run(repeats: int) -> float:
        time.sleep(SETTLE_S)
        seconds = float(peer.request(f"{kind} {n} {i} {o} {repeats}"))
        time.sleep(SETTLE_S)
        return seconds

    return run
