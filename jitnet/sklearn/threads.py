"""On how many threads an estimator works, and which cores it leaves to others."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from joblib.parallel import get_active_backend

from jitnet.config import MAX_THREADS, check_whole_number
from jitnet.search.dask_thread import in_dask_task

__all__ = ["all_cores_after", "threads_for"]


def threads_for(n_threads: Any) -> int:
    """Threads of a fit or a prediction, 0 where the work decides: `n_threads`, or where that is None one in each worker
    of joblib and each task of Dask, as these share the cores already.

    Where fewer cores are there, as for an estimator from another machine, as many as those, with a warning; without one
    in a worker."""
    from jitnet.machine.host import describe_machine

    is_worker = get_active_backend()[0].nesting_level > 0 or in_dask_task()
    if n_threads is None:
        return 1 if is_worker else 0
    count = check_whole_number("n_threads", n_threads, 1, MAX_THREADS)
    cores = describe_machine().affinity
    if count > cores and not is_worker:
        warnings.warn(
            f"n_threads is {count}, and this process may use {cores} core{'s' * (cores != 1)}: it uses {cores}",
            UserWarning,
            stacklevel=4,
        )
    return min(count, cores)


@contextmanager
def all_cores_after() -> Iterator[None]:
    """In the end let this thread use all cores again, and worker processes that it starts later."""
    from jitnet.machine.host import release_cores

    try:
        yield
    finally:
        release_cores()
