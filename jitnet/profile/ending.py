"""A worker process ends with the process that started it."""

import ctypes
import os
import signal
import sys
from contextlib import suppress

__all__ = ["end_with_parent"]

PR_SET_PDEATHSIG = 1
"""Of Linux's `prctl`: the signal that a process gets when its parent ends."""


def end_with_parent() -> None:
    """From now on, this process is killed when the one that started it ends, however that happens. Linux alone."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
