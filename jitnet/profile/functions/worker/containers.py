"""Arguments other than arrays that a call can change: lists, dictionaries, sets, generators and compiled classes."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba.typed import Dict, List

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["containers", "copied"]


def containers(arguments: Sequence[Any], names: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the arguments that can grow or have a state, by name; and one that cannot be copied, "" where all can."""
    found, uncopied = {}, ""
    for name, value in zip(names, arguments, strict=True):
        if isinstance(value, (list, set, dict, List, Dict, np.random.Generator)):
            found[name] = value
        elif hasattr(value, "_numba_type_") and not isinstance(value, (np.ndarray, np.generic, Dispatcher)):
            found[name] = value
            uncopied = uncopied or f"{name} is a {type(value).__name__}"
    return found, uncopied


def copied(value: Any) -> Any:
    """Return a copy of a container, with copies of the arrays in it."""
    if isinstance(value, List):
        return List([copied(each) for each in value]) if len(value) else value.copy()
    if isinstance(value, Dict):
        made = value.copy()
        for key, each in value.items():
            made[key] = copied(each)
        return made
    if isinstance(value, (np.random.Generator, list, set, dict)):
        return copy.deepcopy(value)
    return np.array(value, copy=True) if isinstance(value, np.ndarray) else value
