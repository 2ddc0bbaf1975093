"""The environment and the cores of this process as the user has them, read before `environment` sets anything.

Nothing is set here: a process of the user's that calls `jitnet.profile` keeps its settings.
"""

import os

__all__ = ["AS_FOUND", "CORES", "affinity", "as_found"]

AS_FOUND = {
    name: os.environ.get(name)
    for name in (
        "OMP_PROC_BIND",
        "NUMBA_CACHE_DIR",
        "NUMBA_CPU_FEATURES",
        "NUMBA_CPU_NAME",
        "NUMBA_NUM_THREADS",
        "NUMBA_THREADING_LAYER_PRIORITY",
    )
}
"""The user's values of what this room sets, None where a variable is not set."""

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The cores of this process, read before OpenMP binds this thread to one of them; empty where the system does not
report them."""


def affinity() -> int:
    """Return how many cores this process may run on."""
    return len(CORES) or os.cpu_count() or 1


def as_found() -> dict[str, str]:
    """Return the user's environment, without what is set here: for a process that runs the user's Numba code."""
    environment = {name: value for name, value in os.environ.items() if name not in AS_FOUND}
    return environment | {name: value for name, value in AS_FOUND.items() if value is not None}
