"""Arguments and options as text, and arguments as a formula may use them."""

import math
from typing import Any

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["for_formula", "options_text", "readable_type", "type_text"]

types: Any = numba.types  # its annotations lack some of its names


def type_text(value: Any) -> str:
    """Return an argument's type with its extents, as text."""
    if isinstance(value, np.ndarray):
        layout = "C" if value.flags.c_contiguous else "F" if value.flags.f_contiguous else "A"
        extents = ", ".join(map(str, value.shape))
        return f"{value.dtype}[{extents}] {layout}" + ("" if value.flags.writeable else ", read-only")
    if type(value) is tuple and value:
        return f"({', '.join(map(type_text, value))}{',' * (len(value) == 1)})"
    try:
        kind = readable_type(numba.typeof(value))
    except Exception:  # not one of Numba's types: show its Python type
        kind = type(value).__name__
    if isinstance(value, Dispatcher):
        return f"the function {value.py_func.__name__}"
    return f"{value} ({kind})" if isinstance(value, (bool, int, float, np.number)) else kind


def readable_type(kind: Any) -> str:
    """Return one of Numba's types as text, the same in every process: without addresses."""
    if isinstance(kind, types.Generator):
        return f"generator of {readable_type(kind.yield_type)}"
    if isinstance(kind, types.ClassInstanceType):
        return f"instance of {kind.classname}"
    return str(kind)


def for_formula(value: Any) -> Any:
    """Return an argument as `--flop` and `--bytes` may use it: an array as its extents; None for other types."""
    if isinstance(value, np.ndarray):
        return {
            "shape": list(value.shape),
            "size": value.size,
            "nbytes": value.nbytes,
            "ndim": value.ndim,
            "itemsize": value.itemsize,
        }
    if isinstance(value, tuple):
        return [for_formula(part) for part in value]
    if isinstance(value, (int, np.integer, np.bool_)):
        return int(value)
    if isinstance(value, (float, np.floating)) and math.isfinite(value):
        return float(value)
    return None


def options_text(options: dict[str, Any]) -> str:
    """Return the options of a decorator as they are written there."""
    return ", ".join(f"{name}={value!r}" for name, value in options.items() if name not in ("nopython", "boundscheck"))
