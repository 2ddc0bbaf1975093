"""What a function keeps: values that are stored in a container, an attribute or a result, and are used after it."""

from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_expression

__all__ = ["Kept"]

KINDS: Any = types  # its annotations lack some of its names

CONTAINERS = (KINDS.List, KINDS.ListType, KINDS.DictType, KINDS.Set)

ADDING = {"append", "insert", "extend", "add", "update", "setdefault"}
"""Methods of containers that keep an argument."""

VIEWS = {"reshape", "transpose", "view", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "asarray", "ravel", "T"}
"""Functions, methods and attributes of an array that usually return another view of its memory."""


class Kept:
    """What becomes of the arrays of one function.

    `stored` and `returned` tell of a name whether its array, or a view of it, is kept: then it cannot be allocated once
    and filled again.
    """

    def __init__(self, code: TypedFunction) -> None:
        self.code = code
        self._same: dict[str, set[str]] = {}
        self._stored: set[str] = set()
        self._returned: set[str] = set()
        for block in code.blocks.values():
            for statement in block.body:
                self._read(statement)

    def stored(self, name: str) -> bool:
        return bool(self._reached(name) & self._stored)

    def returned(self, name: str) -> bool:
        return bool(self._reached(name) & self._returned)

    def _reached(self, name: str) -> set[str]:
        """Return the names that may refer to the array of a name."""
        todo, seen = [name], {name}
        while todo:
            for other in self._same.get(todo.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    todo.append(other)
        return seen

    def _read(self, statement: Any) -> None:
        if isinstance(statement, ir.Return):
            self._returned.add(statement.value.name)
        elif isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
            # An array's elements are copied into; a container keeps what is put there.
            if not isinstance(self.code.types.get(statement.target.name), types.Array):
                self._stored.add(statement.value.name)
        elif isinstance(statement, ir.SetAttr):
            self._stored.add(statement.value.name)
        elif isinstance(statement, ir.Assign):
            self._assigned(statement.target.name, statement.value)

    def _assigned(self, target: str, value: Any) -> None:
        if isinstance(value, ir.Var):
            self._flows(value.name, target)
        elif isinstance(value, ir.Yield):
            self._stored.add(value.value.name)
        elif is_expression(value, "build_list", "build_set", "build_map"):
            self._stored.update(each.name for each in value.list_vars())
        elif is_expression(value, "call"):
            self._called(target, value)
        elif isinstance(value, ir.Expr):
            for name in self._seen_through(target, value):
                self._flows(name, target)

    def _seen_through(self, target: str, value: Any) -> Iterator[str]:
        """Yield the names whose arrays are, or are in, what an expression returns."""
        if value.op in ("cast", "phi", "build_tuple", "exhaust_iter", "getiter", "iternext", "pair_first"):
            yield from (each.name for each in value.list_vars())
        elif value.op in ("getitem", "static_getitem"):
            if isinstance(self.code.types.get(target), (types.Array, types.BaseTuple)):
                yield value.value.name
        elif value.op == "getattr":
            kind = self.code.types.get(target)
            if isinstance(kind, types.BoundFunction) or (value.attr in VIEWS and isinstance(kind, types.Array)):
                yield value.value.name

    def _called(self, target: str, value: Any) -> None:
        name, _ = self.code.callee(value)
        kind = self.code.types.get(value.func.name)
        arguments = [each.name for each in value.list_vars() if each.name != value.func.name]
        owner = getattr(kind, "this", None)
        if isinstance(kind, types.BoundFunction) and isinstance(owner, CONTAINERS) and name in ADDING:
            self._stored.update(arguments)
        elif name in VIEWS:
            for each in [value.func.name, *arguments]:
                self._flows(each, target)

    def _flows(self, name: str, target: str) -> None:
        self._same.setdefault(name, set()).add(target)
