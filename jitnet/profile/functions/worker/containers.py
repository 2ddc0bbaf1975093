"""Arguments other than arrays that a call can change: lists, dictionaries, sets, generators and compiled classes."""

import copy
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["containers", "copied", "typed_name"]

TYPED = {"numba.typed.typedlist": "List", "numba.typed.typeddict": "Dict"}


def typed_name(kind: Any) -> str:
    """Return "List" or "Dict" for Numba's typed list or dictionary, "" for other types.

    They are not imported for that: the import makes Numba's compiler, which must be observed from its start.
    """
    name = TYPED.get(getattr(kind, "__module__", ""), "")
    return name if name and getattr(kind, "__name__", "") == name else ""


def containers(arguments: Sequence[Any], names: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the arguments that can grow or have a state, by name; and one that cannot be copied, "" where all can."""
    found, uncopied = {}, ""
    for name, value in zip(names, arguments, strict=True):
        if isinstance(value, (list, set, dict, np.random.Generator)) or typed_name(type(value)):
            found[name] = value
        elif hasattr(value, "_numba_type_") and not isinstance(value, (np.ndarray, np.generic, Dispatcher)):
            found[name] = value
            uncopied = uncopied or f"{name} is a {type(value).__name__}"
    return found, uncopied


def copied(value: Any) -> Any:
    """Return a copy of a container, with copies of the arrays in it."""
    if typed_name(type(value)) == "List":
        return numba.typed.List([copied(each) for each in value]) if len(value) else value.copy()
    if typed_name(type(value)) == "Dict":
        made = value.copy()
        for key, each in value.items():
            made[key] = copied(each)
        return made
    if isinstance(value, (np.random.Generator, list, set, dict)):
        return copy.deepcopy(value)
    return np.array(value, copy=True) if isinstance(value, np.ndarray) else value
