"""`jitnet profile`: what loops cost, and why. Nothing here prints.

The package can be called: `jitnet.profile(function, *arguments, **keywords)`, as `functions/library.py` documents it.

step/        a training step, with a clock round each line
code/        what the compiler made of a loop: source lines beside machine code
functions/   any Numba function: how long, on which threads, why, and what to change
users/       the user's functions, as the worker processes of both see them

document.py    documents of step/ and functions/, read and compared
line_table.py  lets Numba write which line each instruction was made for
loading.py     the user's modules, for worker processes
received.py    functions and arguments of the user's process, for worker processes
readable.py    Numba's errors and names in machine code, as readable text

What changes Numba, or runs the user's code, runs in a worker process: the folders `worker` in code/ and functions/. A
worker folder and the modules beside it import from each other only what describes a request and its reply.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Package(ModuleType):
    """This package, which can be called, as a `Profiler` can. That is imported at the first use."""

    def __call__(self, function: Any, /, *arguments: Any, **keywords: Any) -> Any:
        return _profiler()(function, *arguments, **keywords)

    def with_options(self, **options: Any) -> Any:
        return _profiler().with_options(**options)

    def compare(self, function: Any, other: Any, /, *arguments: Any, **keywords: Any) -> Any:
        return _profiler().compare(function, other, *arguments, **keywords)


def _profiler() -> Any:
    return import_module("jitnet.profile.functions.library").profile


sys.modules[__name__].__class__ = _Package
