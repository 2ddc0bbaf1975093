"""Whether this thread is a Dask worker's."""

import sys

__all__ = ["in_dask_task"]


def in_dask_task() -> bool:
    """Return whether this thread runs a task of a Dask worker. Imports nothing where Dask is not loaded already."""
    if "distributed" not in sys.modules:
        return False
    from distributed import get_worker

    try:
        get_worker()
    except ValueError:
        return False
    return True
