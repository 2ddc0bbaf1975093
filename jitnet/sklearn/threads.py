"""On how many threads an estimator works, and beside whom."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jitnet.config import MAX_THREADS, check_whole_number

__all__ = ["all_cores_after", "threads_for"]


def threads_for(n_threads: Any) -> int:
    """Threads of a fit or a prediction, 0 where the work decides: `n_threads`, or where that is None one in each of the
    workers of a joblib call, which share the cores already."""
    if n_threads is not None:
        return min(check_whole_number("n_threads", n_threads, 1, MAX_THREADS), _most()) if _is_worker() else n_threads
    return 1 if _is_worker() else 0


def _is_worker() -> bool:
    """Whether this code runs as one of several jobs of joblib, in a process or a thread."""
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    return bool(backend.nesting_level)


def _most() -> int:
    from jitnet.machine.host import describe_machine

    return describe_machine().affinity


@contextmanager
def all_cores_after() -> Iterator[None]:
    """Let this thread use all cores again in the end: OpenMP binds it to one, and a worker process that it starts later
    would inherit that."""
    from jitnet.machine.host import set_threads

    try:
        yield
    finally:
        set_threads(1)
