"""Arguments other than arrays that a call can change: lists, dictionaries, sets, generators and compiled classes."""

import copy
from collections.abc import Sequence
from typing import Any

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["containers", "copied", "is_changed", "refill", "refillable", "typed_name"]

COMPARED = 10_000
"""The most elements of a container that are compared one by one."""

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
        is_plain = not len(value) or isinstance(value[0], (bool, int, float, complex, str))
        return value.copy() if is_plain else numba.typed.List([copied(each) for each in value])
    if typed_name(type(value)) == "Dict":
        made = value.copy()
        for key, each in value.items():
            made[key] = copied(each)
        return made
    if isinstance(value, (np.random.Generator, list, set, dict)):
        return copy.deepcopy(value)
    return np.array(value, copy=True) if isinstance(value, np.ndarray) else value


def refillable(value: Any) -> bool:
    """Whether a container can be restored by `refill`."""
    return isinstance(value, (list, set, dict)) or bool(typed_name(type(value)))


def is_changed(value: Any, before: Any) -> bool:
    """Whether a container differs from its copy in its length, or, up to COMPARED elements, in its elements."""
    if len(value) != len(before):
        return True
    if len(value) > COMPARED:
        return False
    if isinstance(value, dict) or typed_name(type(value)) == "Dict":
        return list(value) != list(before) or is_changed(list(value.values()), list(before.values()))
    if isinstance(value, set):
        return bool(value != before)
    return not all(_equal(one, other) for one, other in zip(value, before, strict=True))


def _equal(one: Any, other: Any) -> bool:
    if refillable(one):
        return not is_changed(one, other)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))
    return bool(one == other or (one != one and other != other))


def refill(value: Any, before: Any) -> None:
    """Give a container the elements of its copy again; they are copied where they can be changed too."""
    again = copied(before)
    value.clear()
    if isinstance(value, list) or typed_name(type(value)) == "List":
        if len(again):  # a typed list of no elements cannot extend another
            value.extend(again)
    else:
        value.update(again)
