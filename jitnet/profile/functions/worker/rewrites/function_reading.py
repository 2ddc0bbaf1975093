"""A function whose source may be changed: its variables, its loops and its sums."""

import ast
import builtins
from dataclasses import dataclass
from typing import Any

import numba
from numba import types

from jitnet.profile.functions.worker.rewrites.expression_types import ExpressionTypes
from jitnet.profile.functions.worker.rewrites.function_source import FunctionSource, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.liveness import Liveness, assigned, loaded
from jitnet.profile.functions.worker.summary import Summary

__all__ = ["CountedLoop", "FunctionReading", "Sum", "sum_of"]


@dataclass(frozen=True)
class CountedLoop:
    """`for name in range(…)`, or prange, without an else. arguments: those of the range."""

    node: ast.For
    name: str
    arguments: list[Any]
    parallel: bool


@dataclass(frozen=True)
class Sum:
    """`target += value`, or `target = target + value`; also with - and *. uses: where the target is, once or twice."""

    target: Any
    uses: list[Any]
    sign: ast.operator
    value: Any


class FunctionReading:
    """One function, with Numba's types for one signature."""

    def __init__(self, function: Any, summary: Summary) -> None:
        self.source = FunctionSource(function)
        self.node = self.source.node
        self.summary = summary
        self.arguments = [each.arg for each in self.node.args.posonlyargs + self.node.args.args]
        self.types = ExpressionTypes(function, summary.names, self._constants())
        self.live = Liveness(self.node)
        self.checks_zero = summary.error_model == "python"
        self.free_order = bool(summary.fastmath & {"fast", "reassoc"})
        self._counted = {id(node): self._count(node) for node in walk(self.node) if isinstance(node, ast.For)}
        self._used: set[str] = set()
        self._taken = {
            *(each.id for each in ast.walk(self.node) if isinstance(each, ast.Name)),
            *(each.arg for each in ast.walk(self.node) if isinstance(each, ast.arg)),
            *function.__code__.co_varnames,
            *function.__code__.co_freevars,
            *function.__globals__,
            *vars(builtins),
        }

    def _constants(self) -> dict[str, Any]:
        """Return the values of variables that are assigned once, and a constant."""
        names = [
            each.id for each in ast.walk(self.node) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)
        ]
        found = {}
        for node in walk(self.node):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and len(node.targets) == 1:
                target = node.targets[0]
                if isinstance(target, ast.Name) and names.count(target.id) == 1 and target.id not in self.arguments:
                    found[target.id] = node.value.value
        return found

    def text(self, node: Any) -> str:
        """Return an expression in one line, with standard spaces."""
        return ast.unparse(node)

    def fresh(self, *wishes: str) -> str:
        """Return a name that neither the function nor this change uses, the first of these where it is free."""
        for number in range(1, 1000):
            for wish in wishes:
                name = wish if number == 1 else f"{wish}_{number}"
                if name.isidentifier() and name not in self._taken | self._used:
                    self._used.add(name)
                    return name
        raise Unchangeable("no free name")

    def type_of(self, node: Any) -> Any:
        return self.types.of(node)

    def loops(self) -> list[Any]:
        """Return all loops, in the order of the source."""
        return [node for node in walk(self.node) if isinstance(node, (ast.For, ast.While))]

    def counted(self, node: Any) -> CountedLoop | None:
        """Return a loop over a range; None for other loops."""
        return self._counted.get(id(node))

    def _count(self, node: ast.For) -> CountedLoop | None:
        call = node.iter
        if node.orelse or not isinstance(node.target, ast.Name) or not isinstance(call, ast.Call) or call.keywords:
            return None
        function = self.types.value(call.func)
        if function not in (range, numba.prange) or any(isinstance(each, ast.Starred) for each in call.args):
            return None
        return CountedLoop(node, node.target.id, list(call.args), function is not range)

    def is_innermost(self, loop: Any) -> bool:
        return not any(isinstance(node, (ast.For, ast.While)) for each in loop.body for node in walk(each))

    def line_of_sum(self, loop: Any) -> int:
        """Return the line in which a loop adds to a variable in floating point; 0 where it does not."""
        for node in loop.body:
            found = sum_of(node)
            if found is not None and isinstance(found.target, ast.Name):
                kinds = self.types.names.get(found.target.id, ())
                if any(isinstance(kind, types.Float) for kind in kinds):
                    return int(node.lineno)
        return 0

    def is_parallel(self, loop: Any) -> bool:
        """Whether a loop's iterations may be split among threads."""
        counted = self.counted(loop)
        return counted is not None and counted.parallel

    def counts_from_zero(self, loop: CountedLoop) -> bool:
        """Whether its variable is never negative."""
        if len(loop.arguments) == 1:
            return True
        begin, step = self.types.number(loop.arguments[0]), 1
        if len(loop.arguments) == 3:
            found = self.types.number(loop.arguments[2])
            step = int(found) if isinstance(found, int) else 0
        return isinstance(begin, int) and begin >= 0 and step > 0

    def is_extent(self, node: Any) -> bool:
        """Whether an expression has only names, numbers, arithmetic and extents of arrays."""
        allowed = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)
        for each in ast.walk(node):
            if isinstance(each, allowed):
                continue
            if isinstance(each, ast.Attribute) and each.attr in ("shape", "size", "ndim"):
                continue
            if isinstance(each, ast.Subscript) and isinstance(each.value, ast.Attribute) and each.value.attr == "shape":
                continue
            if isinstance(each, ast.Call) and self.types.value(each.func) in (len, int, min, max) and each.args:
                continue
            return False
        return not any(
            isinstance(each, ast.BinOp) and isinstance(each.op, (ast.Div, ast.FloorDiv, ast.Mod, ast.Pow))
            for each in ast.walk(node)
        )

    def runs_when(self, loop: Any) -> str | None:
        """Return the condition under which a loop has an iteration: "" for always, None where it cannot be written."""
        counted = self.counted(loop)
        if counted is None or not all(map(self.is_extent, counted.arguments)):
            return None
        arguments = counted.arguments
        numbers = [self.types.number(each) for each in arguments]
        if all(isinstance(each, int) for each in numbers):
            return "" if len(range(*numbers)) else None  # type: ignore[arg-type]
        for outer in self.source.loops_around(loop):
            around = self.counted(outer)
            if around is None or assigned(*outer.body) & loaded(*arguments):
                break
            if [*map(self.text, around.arguments)] == [*map(self.text, arguments)]:
                return ""
        begin, end, step = self._bounds(arguments)
        if step is None:
            return None
        return f"{end} {'>' if step > 0 else '<'} {begin}"

    def _bounds(self, arguments: list[Any]) -> tuple[str, str, float | None]:
        texts = [self.text(each) for each in arguments]
        if len(texts) == 1:
            return "0", texts[0], 1
        return texts[0], texts[1], self.types.number(arguments[2]) if len(texts) == 3 else 1

    def is_count(self, node: Any) -> bool:
        """Whether an expression is an integer that is surely not negative: an extent, or a sum or product of these."""
        number = self.types.number(node)
        if number is not None:
            return isinstance(number, int) and number >= 0
        if isinstance(node, ast.Tuple):
            return all(map(self.is_count, node.elts))
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, (ast.Add, ast.Mult)) and self.is_count(node.left) and self.is_count(node.right)
        if isinstance(node, ast.Attribute):
            return node.attr in ("shape", "size", "ndim") and isinstance(self.type_of(node.value), types.Array)
        if isinstance(node, ast.Subscript):
            return isinstance(node.value, ast.Attribute) and node.value.attr == "shape" and self.is_count(node.value)
        if isinstance(node, ast.Call):
            return self.types.value(node.func) is len
        value = self.only_value(node.id) if isinstance(node, ast.Name) else None
        return value is not None and not isinstance(value, ast.Name) and self.is_count(value)

    def only_value(self, name: str) -> Any:
        """Return what a variable is assigned, where that happens once; a tuple's value for each of its names."""
        found = [
            each
            for each in ast.walk(self.node)
            if isinstance(each, ast.Name) and each.id == name and not isinstance(each.ctx, ast.Load)
        ]
        if len(found) != 1 or name in self.arguments:
            return None
        statement = self.source.statement_of(found[0])
        return statement.value if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None


def sum_of(node: Any) -> Sum | None:
    """Return what a statement adds, subtracts or multiplies; None for another statement."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
        return Sum(node.target, [node.target], node.op, node.value)
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.BinOp):
        target, value = node.targets[0], node.value
        text = ast.unparse(target)
        if isinstance(value.op, (ast.Add, ast.Sub, ast.Mult)) and ast.unparse(value.left) == text:
            return Sum(target, [target, value.left], value.op, value.right)
        if isinstance(value.op, (ast.Add, ast.Mult)) and ast.unparse(value.right) == text:
            return Sum(target, [target, value.right], value.op, value.left)
    return None
