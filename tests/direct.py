"""Linked kernels and helpers, compiled once more so that Python can call them."""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from numba import config

from jitnet.compiler.decorators import kernel


@cache
def direct(function: Any) -> Callable[..., Any]:
    """A copy of a linked kernel or a helper that Python can call; without the compiler the function itself.

    The copy has a name of its own: under the same name it would be kept in the same file as the linked one, which
    Python cannot call.
    """
    if config.DISABLE_JIT:
        return function
    python = function.py_func
    copy = FunctionType(python.__code__, python.__globals__, python.__name__)
    copy.__qualname__ = f"direct_{python.__qualname__}"
    return kernel(copy)
