"""A first start: a second process compiles too, and the user is told that it happens."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event

from jitnet.compiler.environment import CORES

__all__ = ["compile_beside", "when_compiling"]


@contextmanager
def when_compiling(begin: Callable[[], None]) -> Iterator[None]:
    """Call `begin`, once, before the first function inside that is compiled rather than loaded."""

    class Watch(event.Listener):  # type: ignore[misc]
        begun = False

        def on_start(self, event: Any) -> None:
            if not self.begun:
                self.begun = True
                begin()

        def on_end(self, event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Watch()):
        yield


def compile_beside(statement: str) -> "subprocess.Popen[bytes]":
    """Run a statement that compiles, in a process of its own: its code is in the cache once that ends.

    This thread is bound to one core by now, and a child would inherit that and be bound to the same one itself.
    """
    free = f"import os; os.sched_setaffinity(0, {CORES}); " if CORES else ""
    return subprocess.Popen(
        [sys.executable, "-c", free + statement],
        env={**os.environ, "OMP_PROC_BIND": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
