"""Elements that several turns of a parallel loop may write."""

import operator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.summary import SharedWrite
from jitnet.profile.functions.worker.typed_function import (
    SIGNS,
    TypedFunction,
    is_expression,
    operator_of,
    static_parts,
)

__all__ = ["race_suspects"]


def race_suspects(code: TypedFunction) -> list[SharedWrite]:
    """Suspects of races, in the outermost parallel loops of a function; only a run tells which of them are."""
    parallel = {header: loop for header, loop in code.loops.items() if code.is_parallel(header)}
    found: list[SharedWrite] = []
    for header, loop in parallel.items():
        if not any(other != header and header in outer.body for other, outer in parallel.items()):
            found += _ParallelLoop(code, header, loop.body).suspects()
    return found


class _ParallelLoop:
    """One loop whose turns are shared out among threads, and the arrays that they index."""

    def __init__(self, code: TypedFunction, header: int, body: Any) -> None:
        self.code, self.header, self.body = code, header, body
        self.found: list[SharedWrite] = []

    def suspects(self) -> list[SharedWrite]:
        """Places where several turns may meet at one element."""
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
                    found = {self._in_turn(part) for part in parts}
                    if found & {"own", "scaled"}:
                        continue
                    sure = found <= {"same", "inner"} and label in self._every_turn()
                    self._share(statement.loc.line, base, sure, False)
                elif isinstance(statement, ir.Assign) and is_expression(statement.value, "call"):
                    self._shared_call(statement)
        for label in self.body:
            for statement in self.code.blocks[label].body:
                if isinstance(statement, ir.Assign) and is_expression(statement.value, "getitem", "static_getitem"):
                    self._shared_read(statement, writes)
        return self.found

    def _base(self, name: str) -> tuple[str, list[Any]]:
        """The array that a view is of, as far back as it lies inside the loop, and the indices on the way to it."""
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
            elif not (is_expression(value, "getattr") and value.attr in ("T", "real", "imag", "flat")):
                break
            name = value.value.name
        return name, indices

    def _parts(self, index: str) -> list[Any]:
        value = self.code.value(index)
        return [each.name for each in value.items] if is_expression(value, "build_tuple") else [index]

    def _every_turn(self) -> set[int]:
        """Blocks that every turn of a loop goes through: those without which its head is not reached again."""
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
        """Blocks of the loop that may come right after one of them."""
        return [target for target in self.code.blocks[label].terminator.get_targets() if target in self.body]

    def _is_private(self, base: str) -> bool:
        """Whether an array is made inside the loop, and so belongs to a turn alone."""
        if base not in self.code.defined or self.code.defined[base][1] not in self.body:
            return False
        return not is_expression(self.code.defined[base][0], "phi")

    def _share(self, line: int, base: str, sure: bool, reads: bool, called: bool = False) -> None:
        found = SharedWrite(int(line), self.code.line_of_loop(self.header), self.code.shown(base), sure, reads, called)
        if not any(other.line == found.line and other.array == found.array for other in self.found):
            self.found.append(found)

    def _shared_call(self, statement: Any) -> None:
        """A function of the user's that is given an array of all turns: only a run tells what it writes."""
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
            if array != base or not any(self._in_turn(part) == "own" for part in written):
                continue
            pairs = list(zip(written, parts, strict=False))
            if any(self._in_turn(mine) == "own" and self._key(mine) == self._key(theirs) for mine, theirs in pairs):
                continue
            if any(self._in_turn(part) == "scaled" for part in parts):
                continue
            self._share(statement.loc.line, base, False, True)

    def _key(self, part: Any, depth: int = 0) -> str:
        """An index as text, the same for two that are surely equal."""
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

    def _in_turn(self, part: Any, depth: int = 0) -> str:
        """How an index goes with the turns of this loop.

        "own": another value in each. "scaled": its turn times an extent, and more. "same": one value in all. "inner":
        what an inner loop gives it, the same in each turn. "other": several turns may share a value.
        """
        if not isinstance(part, str):
            return "same"
        name = self.code.root(part)
        if depth > 24:
            return "other"
        if self.code.turns.get(name) == self.header:
            return "own"
        if name not in self.code.defined or self.code.defined[name][1] not in self.body:
            return "same"
        if name in self.code.turns:
            _, names = self.code.range_of(self.code.turns[name])
            start = names[0] if len(names) > 1 else ""
            begins = self._in_turn(start, depth + 1) if start else "same"
            # From its turn on to the end of the array is no range of its own: a range that ends with its turn is.
            ends = self._in_turn(names[1], depth + 1) if start else "same"
            both = {"own", "scaled", "other"}
            return "scaled" if begins in both and ends in both else "inner" if begins in ("same", "inner") else "other"
        value = self.code.defined[name][0]
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return "same"
        if not isinstance(value, ir.Expr):
            return "other"
        if value.op in ("cast", "unary", "getattr", "exhaust_iter"):
            return self._in_turn(value.value.name, depth + 1)
        if value.op == "call":
            return self._call_in_turn(value, depth)
        if value.op in ("binop", "inplace_binop"):
            mine = operator_of(value)
            left = self._in_turn(value.lhs.name, depth + 1)
            right = self._in_turn(value.rhs.name, depth + 1)
            return _combined(mine, left, right, _is_one(self.code.value(value.rhs.name)))
        if value.op in ("getitem", "static_getitem"):
            inside = {self._in_turn(used.name, depth + 1) for used in value.list_vars()}
            return "same" if inside == {"same"} else "other"
        return "other"

    def _call_in_turn(self, value: Any, depth: int) -> str:
        name, _ = self.code.callee(value)
        inside = [self._in_turn(argument.name, depth + 1) for argument in value.args]
        if name in ("get_thread_id", "_get_thread_id"):
            return "own"
        if name in ("int", "uint64", "int64", "intp", "uintp", "int32", "uint32") and len(inside) == 1:
            return inside[0]
        if name == "slice" and inside:
            return inside[0] if inside[0] in ("own", "scaled") else "other" if "other" in inside else "same"
        return "same" if all(each == "same" for each in inside) else "other"


def _is_one(value: Any) -> bool:
    return isinstance(value, ir.Const) and value.value in (1, -1)


def _combined(function: Any, left: str, right: str, by_one: bool) -> str:
    """How a sum or a product of two indices goes with the turns of a parallel loop."""
    if left == right == "same":
        return "same"
    if "other" in (left, right):
        return "other"
    own = [side for side in (left, right) if side in ("own", "scaled")]
    if function in (operator.add, operator.sub):
        if not own:
            return "inner"
        rest = right if left in ("own", "scaled") else left
        if len(own) == 2:
            return "other"
        if rest == "same":
            return own[0]
        return "scaled" if own[0] == "scaled" else "other"
    if function is operator.mul:
        if not own:
            return "inner"
        rest = right if left in ("own", "scaled") else left
        return ("own" if by_one else "scaled") if rest == "same" else "other"
    if not own:
        return "inner"
    return "other"
