"""The arrays of a function: where they come from, and what statements do with them."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import types

from jitnet.profile.functions.worker.rewrites.function_reading import FunctionReading
from jitnet.profile.functions.worker.rewrites.function_source import Unchangeable
from jitnet.profile.functions.worker.rewrites.liveness import assigned, loaded
from jitnet.profile.functions.worker.summary import Summary

__all__ = ["Access", "ArrayReading", "Effects", "plain_index"]

ALLOCATORS = (
    "zeros",
    "empty",
    "ones",
    "full",
    "zeros_like",
    "empty_like",
    "ones_like",
    "full_like",
    "arange",
    "linspace",
)
"""Functions of NumPy that return an array of which no other name exists."""

JUMPS = (ast.Break, ast.Continue, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom)
SIMPLE = (ast.Assign, ast.AugAssign, ast.If, ast.Pass, ast.Expr)


@dataclass(frozen=True)
class Access:
    """An array's element that is read or written. base: the array, "x" or "self.x". index: its parts."""

    node: ast.Subscript
    base: str
    index: list[Any]


@dataclass(frozen=True)
class Effects:
    """What some statements do.

    names: that they assign. accesses: of elements, read or written; stores: those written. attributes: text of those
    that are assigned. whole: arrays that are used as a whole. calls: whether compiled functions are called, with
    numbers only. unknown: whether a call or a statement may do anything else. jumps: whether control leaves them.
    raises: whether a division may raise ZeroDivisionError.
    """

    names: set[str]
    accesses: list[Access]
    stores: list[Access]
    attributes: set[str]
    whole: set[str]
    calls: bool
    unknown: bool
    jumps: bool
    raises: bool


class ArrayReading(FunctionReading):
    """One function, with what each of its statements does with arrays."""

    def __init__(self, function: Any, summary: Summary) -> None:
        super().__init__(function, summary)
        self._effects: dict[tuple[int, ...], Effects] = {}

    def base(self, node: Any) -> str:
        """Return the name of what is indexed, "x" or "self.x"; "" where it is neither."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            return f"{node.value.id}.{node.attr}"
        return ""

    def access(self, node: Any) -> Access | None:
        """Return an access of an array's element, or part; None for anything else."""
        if not isinstance(node, ast.Subscript):
            return None
        kind = self.type_of(node.value)
        base = self.base(node.value)
        if not isinstance(kind, types.Array) or not base:
            return None
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        return Access(node, base, parts)

    def dimensions(self, access: Access) -> int:
        """Return the number of an array's dimensions."""
        return int(self.type_of(access.node.value).ndim)

    def effects(self, *nodes: Any) -> Effects:
        """Return what some statements do."""
        key = tuple(map(id, nodes))
        if key not in self._effects:
            self._effects[key] = self._effects_of(*nodes)
        return self._effects[key]

    def _effects_of(self, *nodes: Any) -> Effects:
        found = Effects(assigned(*nodes), [], [], set(), set(), False, False, False, False)
        calls = unknown = jumps = raises = False
        for top in nodes:
            for node in ast.walk(top):
                if isinstance(node, JUMPS):
                    jumps = True
                elif isinstance(node, ast.Call):
                    numbers = self.types.is_compiled(node) and self._has_numbers_only(node)
                    calls |= numbers
                    unknown |= not numbers and not self.types.is_pure(node)
                elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(
                    node.op, (ast.Div, ast.FloorDiv, ast.Mod)
                ):
                    divisor = node.right if isinstance(node, ast.BinOp) else node.value
                    raises |= self.checks_zero and not self.types.number(divisor)
                elif isinstance(node, ast.Subscript):
                    unknown |= not self._element(node, found)
                elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                    found.attributes.add(self.text(node))
                elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(self.type_of(node), types.Array):
                    self._whole(node, found)
                elif isinstance(node, (ast.NamedExpr, ast.Await)) or (
                    isinstance(node, ast.stmt) and not isinstance(node, (*SIMPLE, ast.For, ast.While))
                ):
                    unknown = True
        return Effects(
            found.names, found.accesses, found.stores, found.attributes, found.whole, calls, unknown, jumps, raises
        )

    def _has_numbers_only(self, call: ast.Call) -> bool:
        kinds = [self.type_of(each) for each in (*call.args, *(keyword.value for keyword in call.keywords))]
        return all(isinstance(kind, (types.Number, types.Boolean)) for kind in kinds)

    def _element(self, node: ast.Subscript, found: Effects) -> bool:
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            return True
        access = self.access(node)
        if access is None:
            kind = self.type_of(node.value)
            return isinstance(node.ctx, ast.Load) and isinstance(kind, (types.BaseTuple, types.Record))
        found.accesses.append(access)
        if not isinstance(node.ctx, ast.Load):
            found.stores.append(access)
        return True

    def _whole(self, node: Any, found: Effects) -> None:
        parent = self.source.parents.get(id(node))
        if isinstance(parent, ast.Subscript) and parent.value is node and self.access(parent):
            return
        if isinstance(parent, ast.Attribute) and parent.attr in ("shape", "size", "ndim", "dtype"):
            return
        if isinstance(parent, ast.Call) and self.types.value(parent.func) is len:
            return
        found.whole.add(self.base(node) or self.text(node))

    def origin(self, base: str) -> str:
        """Return where an array comes from: "argument", "made here" where no other name of it exists, or ""."""
        stores = [
            node
            for node in ast.walk(self.node)
            if isinstance(node, ast.Name) and node.id == base and not isinstance(node.ctx, ast.Load)
        ]
        if base in self.arguments:
            return "" if stores else "argument"
        if base not in self.types.local:
            return "made here" if self.types.outer.get(base) is not None else ""  # a constant of the machine code
        for store in stores:
            statement = self.source.parents[id(store)]
            if (
                not isinstance(statement, ast.Assign)
                or len(statement.targets) != 1
                or not self._is_new(statement.value)
            ):
                return ""
        return "made here" if stores and not self.has_other_names(base) else ""

    def _is_new(self, value: Any) -> bool:
        """Whether an expression makes an array that has no other name."""
        if isinstance(value, ast.Call):
            method = (
                isinstance(value.func, ast.Attribute) and value.func.attr == "copy" and self.types.value(value) is None
            )
            copies = method and isinstance(self.type_of(value.func.value), types.Array)  # type: ignore[attr-defined]
            return copies or self._allocates(value)
        return isinstance(value, ast.BinOp) and isinstance(self.type_of(value), types.Array)

    def _allocates(self, call: ast.Call) -> bool:
        function = self.types.value(call.func)
        return any(function is getattr(np, name) for name in ALLOCATORS)

    def has_other_names(self, base: str) -> bool:
        """Whether a whole array, or a part of it, is assigned to a name, put into a container, or passed on."""
        for node in ast.walk(self.node):
            if isinstance(node, ast.Name) and node.id == base and isinstance(node.ctx, ast.Load):
                top: Any = node
                parent = self.source.parents[id(top)]
                while isinstance(parent, (ast.Subscript, ast.Attribute)) and parent.value is top:
                    top, parent = parent, self.source.parents[id(parent)]
                if isinstance(parent, (ast.Return, ast.BinOp, ast.AugAssign, ast.Compare, ast.UnaryOp)):
                    continue
                kind = self.type_of(top)
                if isinstance(kind, (types.Number, types.Boolean)) or isinstance(top.ctx, ast.Store):
                    continue
                if isinstance(top, ast.Attribute) and top.attr in ("shape", "size", "ndim", "dtype"):
                    continue
                if isinstance(parent, ast.Call) and (self.types.is_pure(parent) or self._allocates(parent)):
                    continue
                if isinstance(parent, ast.Tuple) and isinstance(self.source.parents[id(parent)], ast.Return):
                    continue
                if isinstance(parent, ast.Assign) and all(self.access(target) for target in parent.targets):
                    continue  # its elements are copied
                if isinstance(parent, ast.For) and kind is not None and kind.ndim == 1:
                    continue
                if isinstance(parent, ast.Call) and self._keeps_nothing(parent, top):
                    continue
                return True
        return False

    def _keeps_nothing(self, call: ast.Call, part: Any) -> bool:
        """Whether a call that gets an array, or is its method, has no result and nothing to store the array in."""
        if not isinstance(self.source.parents[id(call)], ast.Expr) or call.keywords:
            return False
        if call.func is part:
            return isinstance(part, ast.Attribute) and part.attr == "fill"
        kinds = [self.type_of(each) for each in call.args]
        plain = all(
            isinstance(kind, (types.Number, types.Boolean))
            or (isinstance(kind, types.Array) and isinstance(kind.dtype, (types.Number, types.Boolean)))
            for kind in kinds
        )
        return plain and self.types.is_compiled(call)

    def apart(self, written: Iterable[str], others: Iterable[str]) -> tuple[tuple[str, str], ...]:
        """Return the pairs of arguments that must not share memory, so that no array but these is written.

        Raises Unchangeable where it cannot be known from the source.
        """
        pairs = []
        for one in sorted(set(written)):
            for other in sorted(set(others) - {one}):
                origins = {self.origin(one), self.origin(other)}
                if "" in origins:
                    raise Unchangeable(f"{one} and {other} may share memory")
                if origins == {"argument"}:
                    pairs.append((one, other))
        return tuple(pairs)

    def is_in_range(self, access: Access) -> bool:
        """Whether each part of an index is surely within the array: the variable of a loop over its extent."""
        if self.origin(access.base) not in ("argument", "made here") or len(access.index) != self.dimensions(access):
            return False
        return all(self._is_within(access, axis, part) for axis, part in enumerate(access.index))

    def _is_within(self, access: Access, axis: int, part: Any) -> bool:
        if not isinstance(part, ast.Name):
            return False
        for loop in self.source.loops_around(access.node):
            counted = self.counted(loop)
            if counted is not None and counted.name == part.id:
                if part.id in assigned(*loop.body) or not self.counts_from_zero(counted):
                    return False
                end = counted.arguments[0] if len(counted.arguments) == 1 else counted.arguments[1]
                return self._is_extent_of(end, access.base, axis)
        return False

    def _is_extent_of(self, node: Any, base: str, axis: int) -> bool:
        if self.text(node) == f"{base}.shape[{axis}]" or (axis == 0 and self.text(node) == f"len({base})"):
            return True
        if axis == 0 and self.text(node) == f"{base}.size" and self.type_of(ast.Name(base, ast.Load())).ndim == 1:
            return True
        if not isinstance(node, ast.Name):
            return False
        found = [
            each
            for each in ast.walk(self.node)
            if isinstance(each, ast.Name) and each.id == node.id and not isinstance(each.ctx, ast.Load)
        ]
        if len(found) != 1 or node.id in self.arguments:
            return False
        statement = self.source.statement_of(found[0])
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return False
        target = statement.targets[0]
        if isinstance(target, ast.Tuple):
            places = [self.text(each) for each in target.elts]
            return self.text(statement.value) == f"{base}.shape" and places.index(node.id) == axis
        return not isinstance(statement.value, ast.Name) and self._is_extent_of(statement.value, base, axis)


def plain_index(part: Any, names: Iterable[str]) -> bool:
    """Whether a part of an index has none of these names."""
    return not loaded(part) & set(names)
