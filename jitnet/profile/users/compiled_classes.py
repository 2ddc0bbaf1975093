"""Compiled classes, under `@jitclass`, and their methods."""

from typing import Any

__all__ = ["class_type", "compiled_method", "method_names"]


def class_type(found: Any) -> Any:
    """Return Numba's type of a compiled class; None for all other objects."""
    from numba import types

    kind = vars(found).get("class_type") if isinstance(found, type) else None
    return kind if isinstance(kind, types.ClassType) else None


def method_names(found: Any) -> list[str]:
    """Return the names of a compiled class's methods and properties, constructor left out; [] for other objects."""
    kind = class_type(found)
    names = [*kind.jit_methods, *kind.jit_props, *kind.jit_static_methods] if kind is not None else []
    return [name for name in names if name != "__init__"]


def compiled_method(found: Any, name: str) -> Any:
    """Return the compiled function of a class's method, or of what reads its property; None where there is none.

    It takes the instance first, except that of a static method.
    """
    kind = class_type(found)
    if kind is None:
        return None
    return kind.jit_methods.get(name) or kind.jit_props.get(name, {}).get("get") or kind.jit_static_methods.get(name)
