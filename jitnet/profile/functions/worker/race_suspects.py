"""Elements that several iterations of a parallel loop may write."""

import operator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.carried import carried
from jitnet.profile.functions.worker.summary import SharedWrite
from jitnet.profile.functions.worker.typed_function import (
    SIGNS,
    TypedFunction,
    is_expression,
    operator_of,
    static_parts,
)

__all__ = ["race_suspects"]

RESIZES = {
    *("append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse"),
    *("add", "discard", "update", "popitem", "setdefault"),
}
"""Methods that change a list, a set or a dictionary as a whole."""

FOR_VARIABLES = (
    "Use +=, *=, min or max, which Numba combines, or store a value for each iteration in an array and go through that "
    "after the loop."
)
FOR_CONTAINERS = "Store a value for each iteration in an array, and fill the list or dictionary after the loop."

KINDS: Any = types  # its annotations lack some of its names


def race_suspects(code: TypedFunction) -> list[SharedWrite]:
    """Return suspected races in the outermost parallel loops of a function; only a run shows which of them are."""
    parallel = {header: loop for header, loop in code.loops.items() if code.is_parallel(header)}
    found: list[SharedWrite] = []
    for header, loop in parallel.items():
        if not any(other != header and header in outer.body for other, outer in parallel.items()):
            found += _ParallelLoop(code, header, loop.body).suspects()
            line_of_loop = code.line_of_loop(header)
            for line, name, why in carried(code, header, loop.body):
                found.append(SharedWrite(line, line_of_loop, name, True, False, certain=why, advice=FOR_VARIABLES))
    return found


class _ParallelLoop:
    """One loop whose iterations are split among threads, and the arrays that they index."""

    def __init__(self, code: TypedFunction, header: int, body: Any) -> None:
        self.code, self.header, self.body = code, header, body
        self.found: list[SharedWrite] = []

    def suspects(self) -> list[SharedWrite]:
        """Return the places where several iterations may access one element."""
        writes: list[tuple[str, list[Any]]] = []
        for label in self.body:
            for statement in self.code.blocks[label].body:
                if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
                    base, before = self._base(statement.target.name)
                    if self._is_private(base):
                        continue
                    if isinstance(statement, ir.SetItem):
                        parts = [*before, *self._parts(statement.index.name)]
                    else:
                        parts = [*before, *static_parts(statement.index)]
                    writes.append((base, parts))
                    if isinstance(self.code.types.get(statement.target.name), KINDS.DictType):
                        self._share(statement.loc.line, base, True, False, certain=self._resized(base))
                        continue
                    self._written(statement, base, parts, label)
                elif isinstance(statement, ir.SetAttr):
                    base, before = self._base(statement.target.name)
                    if not self._is_private(base):
                        self._written(statement, base, [*before, ("constant", statement.attr)], label)
                elif isinstance(statement, ir.Assign) and is_expression(statement.value, "call"):
                    self._shared_call(statement)
                    self._resizes(statement)
        for label in self.body:
            for statement in self.code.blocks[label].body:
                if isinstance(statement, ir.Assign) and is_expression(statement.value, "getitem", "static_getitem"):
                    self._shared_read(statement, writes)
        return self.found

    def _written(self, statement: Any, base: str, parts: list[Any], label: int) -> None:
        """Add a write of an element or a field, unless its index is another one in each iteration."""
        found = {self._variation(part) for part in parts}
        if not found & {"distinct", "scaled"}:
            sure = found <= {"invariant", "inner"} and label in self._every_iteration()
            constant = self._variation(statement.value.name) == "invariant"
            self._share(statement.loc.line, base, sure, False, constant=constant)

    def _resizes(self, statement: Any) -> None:
        """Add a call of a method that changes a shared list, set or dictionary as a whole."""
        method = self.code.value(statement.value.func.name)
        if not is_expression(method, "getattr") or method.attr not in RESIZES:
            return
        kind = self.code.types.get(method.value.name)
        if isinstance(kind, (KINDS.ListType, KINDS.DictType, types.List, types.Set)):
            base, parts = self._base(method.value.name)
            if not self._is_private(base) and not {self._variation(part) for part in parts} & {"distinct", "scaled"}:
                self._share(statement.loc.line, base, True, False, certain=self._resized(base))

    def _resized(self, base: str) -> str:
        return f"iterations change {self.code.as_written(base)} as a whole, and may move what it holds"

    def _base(self, name: str) -> tuple[str, list[Any]]:
        """Return the array that a view refers to, followed back inside the loop, and the indices on the way to it."""
        indices: list[Any] = []
        for _ in range(32):
            name = self.code.root(name)
            if name not in self.code.defined or self.code.defined[name][1] not in self.body:
                break
            value = self.code.defined[name][0]
            if is_expression(value, "getitem"):
                indices = [*self._parts(value.index.name), *indices]
            elif is_expression(value, "static_getitem"):
                indices = [*static_parts(value.index), *indices]
            elif not is_expression(value, "getattr"):
                break
            elif isinstance(self.code.types.get(value.value.name), (KINDS.ClassInstanceType, types.Record)) or (
                value.attr in getattr(getattr(self.code.types.get(value.value.name), "dtype", None), "fields", ())
            ):
                indices = [("constant", value.attr), *indices]
            elif value.attr not in ("T", "real", "imag", "flat"):
                break
            name = value.value.name
        return name, indices

    def _parts(self, index: str) -> list[Any]:
        value = self.code.value(index)
        return [each.name for each in value.items] if is_expression(value, "build_tuple") else [index]

    def _every_iteration(self) -> set[int]:
        """Return the blocks that every iteration executes: those without which the header is not reached again."""
        ends = {label for label in self.body if self.header in self._next(label)}
        found = set()
        for label in self.body:
            if label == self.header:
                continue
            reached, todo = set(), self._next(self.header)
            while todo:
                at = todo.pop()
                if at in reached or at in (label, self.header):
                    continue
                reached.add(at)
                todo += self._next(at)
            if not ends & reached:
                found.add(label)
        return found

    def _next(self, label: int) -> list[int]:
        """Return the blocks of the loop that may directly follow one of them."""
        return [target for target in self.code.blocks[label].terminator.get_targets() if target in self.body]

    def _is_private(self, base: str) -> bool:
        """Whether an array is made inside the loop, and so is private to an iteration."""
        if base not in self.code.defined or self.code.defined[base][1] not in self.body:
            return False
        return not is_expression(self.code.defined[base][0], "phi")

    def _share(
        self,
        line: int,
        base: str,
        sure: bool,
        reads: bool,
        called: bool = False,
        constant: bool = False,
        certain: str = "",
    ) -> None:
        loop_line, array = self.code.line_of_loop(self.header), self.code.as_written(base)
        advice = FOR_CONTAINERS if certain else ""
        found = SharedWrite(int(line), loop_line, array, sure, reads, called, constant, certain, advice)
        if not any(other.line == found.line and other.array == found.array for other in self.found):
            self.found.append(found)

    def _shared_call(self, statement: Any) -> None:
        """Add a call that passes a shared array to a function of the user's: only a run shows what it writes."""
        called = self.code.types.get(statement.value.func.name)
        if not isinstance(called, types.Dispatcher):
            return
        for argument in statement.value.args:
            if isinstance(self.code.types.get(argument.name), types.Array):
                base, parts = self._base(argument.name)
                if not self._is_private(base) and not parts:
                    self._share(statement.loc.line, base, False, False, True)

    def _shared_read(self, statement: Any, writes: list[tuple[str, list[Any]]]) -> None:
        value = statement.value
        if isinstance(self.code.types.get(statement.target.name), types.Array):
            return
        base, before = self._base(value.value.name)
        after = self._parts(value.index.name) if value.op == "getitem" else static_parts(value.index)
        parts = [*before, *after]
        for array, written in writes:
            if array != base or not any(self._variation(part) == "distinct" for part in written):
                continue
            pairs = list(zip(written, parts, strict=False))
            if any(self._variation(a) == "distinct" and self._key(a) == self._key(b) for a, b in pairs):
                continue
            if any(self._variation(part) == "scaled" for part in parts):
                continue
            self._share(statement.loc.line, base, False, True)

    def _key(self, part: Any, depth: int = 0) -> str:
        """Return an index as text, the same for two that are certainly equal."""
        if not isinstance(part, str):
            return repr(part)
        name = self.code.root(part)
        value = self.code.value(name)
        if depth < 12:
            if isinstance(value, ir.Const):
                return repr(value.value)
            if is_expression(value, "binop"):
                inside = self._key(value.lhs.name, depth + 1), self._key(value.rhs.name, depth + 1)
                return f"({inside[0]} {SIGNS.get(value.fn, '?')} {inside[1]})"
            if is_expression(value, "cast"):
                return self._key(value.value.name, depth + 1)
            if is_expression(value, "call") and len(value.args) == 1:
                return f"{self.code.callee(value)[0]}({self._key(value.args[0].name, depth + 1)})"
        return name

    def _variation(self, part: Any, depth: int = 0) -> str:
        """Return how an index varies with the iterations of this loop.

        "distinct": another value in each. "scaled": the induction variable times an extent, plus more. "invariant": one
        value in all. "inner": the index of an inner loop, with the same values in each. "other": several iterations may
        share a value.
        """
        if not isinstance(part, str):
            return "invariant"
        name = self.code.root(part)
        if depth > 24:
            return "other"
        if self.code.induction.get(name) == self.header:
            return "distinct"
        if name not in self.code.defined or self.code.defined[name][1] not in self.body:
            return "invariant"
        if name in self.code.induction:
            _, names = self.code.range_of(self.code.induction[name])
            start = names[0] if len(names) > 1 else ""
            begins = self._variation(start, depth + 1) if start else "invariant"
            # A range is disjoint only where its end varies too: one from here to the array's end overlaps with others.
            ends = self._variation(names[1], depth + 1) if start else "invariant"
            both = {"distinct", "scaled", "other"}
            return (
                "scaled"
                if begins in both and ends in both
                else "inner"
                if begins in ("invariant", "inner")
                else "other"
            )
        value = self.code.defined[name][0]
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return "invariant"
        if not isinstance(value, ir.Expr):
            return "other"
        if value.op in ("cast", "unary", "getattr", "exhaust_iter"):
            return self._variation(value.value.name, depth + 1)
        if value.op == "call":
            return self._variation_of_call(value, depth)
        if value.op in ("binop", "inplace_binop"):
            function = operator_of(value)
            left = self._variation(value.lhs.name, depth + 1)
            right = self._variation(value.rhs.name, depth + 1)
            return _combined(function, left, right, _is_one(self.code.value(value.rhs.name)))
        if value.op in ("getitem", "static_getitem"):
            inside = {self._variation(used.name, depth + 1) for used in value.list_vars()}
            return "invariant" if inside == {"invariant"} else "other"
        return "other"

    def _variation_of_call(self, value: Any, depth: int) -> str:
        name, _ = self.code.callee(value)
        inside = [self._variation(argument.name, depth + 1) for argument in value.args]
        if name in ("get_thread_id", "_get_thread_id"):
            return "distinct"
        if name in ("int", "uint64", "int64", "intp", "uintp", "int32", "uint32") and len(inside) == 1:
            return inside[0]
        if name == "slice" and inside:
            return inside[0] if inside[0] in ("distinct", "scaled") else "other" if "other" in inside else "invariant"
        return "invariant" if all(each == "invariant" for each in inside) else "other"


def _is_one(value: Any) -> bool:
    return isinstance(value, ir.Const) and value.value in (1, -1)


def _combined(function: Any, left: str, right: str, by_one: bool) -> str:
    """Return how a sum or a product of two indices varies with the iterations of a parallel loop."""
    if left == right == "invariant":
        return "invariant"
    if "other" in (left, right):
        return "other"
    varying = [side for side in (left, right) if side in ("distinct", "scaled")]
    if function in (operator.add, operator.sub):
        if not varying:
            return "inner"
        rest = right if left in ("distinct", "scaled") else left
        if len(varying) == 2:
            return "other"
        if rest == "invariant":
            return varying[0]
        return "scaled" if varying[0] == "scaled" else "other"
    if function is operator.mul:
        if not varying:
            return "inner"
        rest = right if left in ("distinct", "scaled") else left
        return ("distinct" if by_one else "scaled") if rest == "invariant" else "other"
    if not varying:
        return "inner"
    return "other"
