"""Which machine this is, how many threads it can run, and setting the threads of parallel regions."""

import os
import platform
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm
import numba

from jitnet.compiler import numba_parts
from jitnet.compiler.environment import AS_FOUND, CORES, FEATURES, HAS_AVX512
from jitnet.errors import JitnetError

__all__ = ["Machine", "describe_machine", "release_cores", "set_threads", "threads_are_lost"]


@dataclass(frozen=True)
class Machine:
    """The machine that the loops run on.

    cpu: the processor's name. vector_bits: width of its vectors. affinity: cores this process may run on.
    quota: cores' worth of time that the container allows, None without a limit. cores: the threads that can run at
    once, the smaller of both, and 1 where `threads_are_lost`; cores_reason: which of them is the limit.
    threading_layer: what runs the parallel regions.
    """

    cpu: str
    vector_bits: int
    affinity: int
    quota: float | None
    cores: int
    cores_reason: str
    threading_layer: str
    numba: str
    llvm: str


@cache
def describe_machine() -> Machine:
    """Describe this machine; cached, the same at every call."""
    affinity = int(numba.config.NUMBA_NUM_THREADS)
    quota = _quota()
    cores, reason = affinity, f"{affinity} core{'s' * (affinity != 1)} by affinity"
    if quota is not None and quota < cores:
        cores, reason = max(1, int(quota)), f"CPU quota of {quota:g} cores"
    if _lost:
        cores, reason = 1, "forked after threads had started"
    version = ".".join(str(part) for part in llvm.llvm_version_info[:2])
    return Machine(
        _cpu_name(), _vector_bits(), affinity, quota, cores, reason, _threading_layer(), numba.__version__, version
    )


_BINDS = bool(CORES) and os.environ.get("OMP_PROC_BIND") == "true"
"""Whether OpenMP binds threads to cores, as it reads when it is loaded."""

_bound: set[int] = set()
"""The cores that OpenMP bound the main thread to, while it is unbound."""

_lost = False
"""See `threads_are_lost`."""


def threads_are_lost() -> bool:
    """Whether this process was forked from one that had started threads for parallel regions.

    A fork copies only the calling thread, and the first region would crash the process: GNU OpenMP cannot start its
    threads again. Everything runs here on one thread, and no region is entered.
    """
    return _lost


def set_threads(threads: int) -> None:
    """Run the next parallel regions entered from this Python thread on `threads` threads (1 to the cores available).

    OpenMP binds this thread to one core. For a single thread that is undone: two programs with one thread each would
    share the first core while the others are idle. JitnetError for several threads where they are lost.
    """
    global _bound
    if _lost:
        if threads > 1:
            raise JitnetError(
                f"{threads} threads cannot run here: this process was forked after its parent had started threads; "
                'use one thread, or start it with multiprocessing.get_context("spawn")'
            )
        return
    numba.set_num_threads(threads)
    if not _BINDS:
        return
    if threads == 1 and len(CORES) > 1:
        here = os.sched_getaffinity(0)
        if here != set(CORES):
            _bound = here
            os.sched_setaffinity(0, CORES)
    elif _bound:
        os.sched_setaffinity(0, _bound)
        _bound = set()


def release_cores() -> None:
    """Let this thread use all cores, and worker processes that are started from now on too.

    They inherit the cores of the thread that starts them, and the variable by which OpenMP binds: those of a library
    that uses OpenMP would all be bound to the first core. Here OpenMP has read it, once its threads have started.
    """
    set_threads(1)
    if AS_FOUND["OMP_PROC_BIND"] is None and numba_parts.threads_have_started():
        os.environ.pop("OMP_PROC_BIND", None)


def _after_fork() -> None:
    """In a forked process: record that threads are lost, and let this thread use all cores again."""
    global _lost
    if numba_parts.threads_have_started():
        _lost = True
        describe_machine.cache_clear()
        if _BINDS:
            os.sched_setaffinity(0, CORES)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _quota() -> float | None:
    """Return the cores' worth of CPU time of the container's control group (version 2, then 1)."""
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        folder = Path("/sys/fs/cgroup/cpu")
        limit_us = int((folder / "cpu.cfs_quota_us").read_text())
        return limit_us / int((folder / "cpu.cfs_period_us").read_text()) if limit_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _cpu_name() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _vector_bits() -> int:
    return 512 if HAS_AVX512 else 256 if FEATURES.get("avx") else 128


def _threading_layer() -> str:
    """Return the layer that Numba will load: the first of its priority list that can be imported."""
    for layer in numba.config.THREADING_LAYER_PRIORITY:
        try:
            numba_parts.load_threading_layer(layer)
        except ImportError:
            continue
        return str(layer)
    return "workqueue"
