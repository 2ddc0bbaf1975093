"""Numba's types as text, sent from one worker process to another that has loaded the same module.

A type of an instance of a compiled class is sent as the name of the class: the other process has made a class of its
own, by loading the module.
"""

import base64
import io
import pickle
import sys
from typing import Any

from jitnet.profile.users.compiled_classes import class_type

__all__ = ["read_types", "write_types"]


class _Writer(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        from numba import types

        if not isinstance(value, types.ClassInstanceType):
            return None
        for name, module in list(sys.modules.items()):
            for known, found in list(getattr(module, "__dict__", {}).items()):
                if isinstance(found, type) and class_type(found) is value.class_type:
                    return name, known
        raise pickle.PicklingError(f"{value}: no module has its class under a name")


class _Reader(pickle.Unpickler):
    def persistent_load(self, name: Any) -> Any:
        module, known = name
        return class_type(getattr(sys.modules[module], known)).instance_type


def write_types(kinds: tuple[Any, ...]) -> str:
    """Return types as text; raises where one of them cannot be sent."""
    out = io.BytesIO()
    _Writer(out).dump(tuple(kinds))
    return base64.b64encode(out.getvalue()).decode()


def read_types(text: str) -> tuple[Any, ...]:
    """Return the types that `write_types` wrote."""
    return tuple(_Reader(io.BytesIO(base64.b64decode(text))).load())
