"""A first start: two processes share the compiling, and the user sees that it happens."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from jitnet.compiler.cache import cache_folder, can_keep
from jitnet.compiler.decorators import linked_callees, load
from jitnet.compiler.environment import CORES
from jitnet.compiler.numba_parts import event
from jitnet.errors import Busy
from jitnet.files import Lock

__all__ = ["compile_beside", "linked_functions", "load_all", "when_compiling"]

_WAIT_S = 0.005


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
    """Run a statement that compiles in a worker process: its code is in the cache once that ends.

    This thread is bound to one core, and a worker process would inherit that and share the core.
    """
    free = f"import os; os.sched_setaffinity(0, {CORES}); " if CORES else ""
    return subprocess.Popen(
        [sys.executable, "-c", free + statement],
        env={**os.environ, "OMP_PROC_BIND": "false"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def linked_functions(function: Any) -> list[Any]:
    """Return all linked functions that a function needs, each after those that it calls."""
    found: dict[Any, None] = {}

    def visit(caller: Any) -> None:
        for callee in linked_callees(caller):
            if callee not in found:
                visit(callee)
                found[callee] = None

    visit(function)
    return list(found)


def load_all(functions: Sequence[Any], *, backwards: bool = False) -> None:
    """Load linked functions, each once all that it calls are loaded; backwards: the last that is ready first.

    Processes that do so at the same time share the work: one that compiles a function locks it, the others continue
    with the next and find it in the cache later.
    """
    pending = dict.fromkeys(functions)
    while pending:
        ready = [function for function in pending if not any(callee in pending for callee in linked_callees(function))]
        for function in reversed(ready) if backwards else ready:
            with _lock(function) as locked:
                if locked:
                    load(function)
                    del pending[function]
                    break
        else:
            time.sleep(_WAIT_S)


@contextmanager
def _lock(function: Any) -> Iterator[bool]:
    """Lock a function; yield False where another process compiles it now. A lock ends with its process."""
    if cache_folder is None or not can_keep():
        yield True
        return
    lock = Lock(cache_folder / f"{function.py_func.__module__}.{function.py_func.__name__}.lock", patience_s=0.0)
    with ExitStack() as stack:
        busy = False
        try:
            stack.enter_context(lock)
        except Busy:
            busy = True
        except OSError:  # the disk is full now: each process compiles what it needs
            pass
        yield not busy
