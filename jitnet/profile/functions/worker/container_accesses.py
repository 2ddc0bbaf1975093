"""Where a function accesses lists, dictionaries and sets, which have functions to do that."""

import operator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_expression

__all__ = ["container_access"]

KINDS = (
    (types.ListType, "typed list"),
    (types.DictType, "typed dictionary"),
    (types.List, "list"),
    (types.Set, "set"),
)


def container_access(code: TypedFunction, statement: Any) -> tuple[str, str, str] | None:
    """Return the kind of container that a statement accesses, what is done with it, "set", "get" or the name of a
    method, and its name in the source; None where it accesses none."""
    if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
        return _described(code, statement.target.name, "set")
    value: Any = getattr(statement, "value", None)
    if is_expression(value, "getitem", "static_getitem"):
        return _described(code, value.value.name, "get")
    if is_expression(value, "binop") and value.fn is operator.contains:
        return _described(code, value.lhs.name, "get")
    if is_expression(value, "call"):
        called = code.value(value.func.name)
        if is_expression(called, "getattr"):
            return _described(code, called.value.name, str(called.attr))
    return None


def _described(code: TypedFunction, name: str, operation: str) -> tuple[str, str, str] | None:
    kind = code.types.get(name)
    container = next((word for type_, word in KINDS if isinstance(kind, type_)), "")
    return (container, operation, code.as_written(name)) if container else None
