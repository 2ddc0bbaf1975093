"""What is known of a function whose source may be changed: its loops, arrays and variables."""

import ast
import builtins
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba import types

from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.worker.rewrites.expression_types import ExpressionTypes
from jitnet.profile.functions.worker.rewrites.function_source import (
    COMPREHENSIONS,
    Edit,
    FunctionSource,
    Unchangeable,
    walk,
)
from jitnet.profile.functions.worker.rewrites.liveness import Liveness, assigned, loaded
from jitnet.profile.functions.worker.summary import Summary

__all__ = [
    "FREE_ORDER",
    "REORDERING",
    "Access",
    "CountedLoop",
    "Effects",
    "Reading",
    "Rewrite",
    "Sum",
    "plain_index",
    "sum_of",
]

REORDERING = '{"reassoc", "contract", "nsz"}'
"""The flags of `fastmath` with which a sum may be vectorised."""

FREE_ORDER = f"With fastmath={REORDERING}, the sum can be vectorised too; its last digits change."

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
class Rewrite:
    """A change of a function's source that keeps its meaning.

    line: in the user's file, that the hint names. reason, advice: as in `Hint`. change: in a few words, "the loops of
    lines 4 and 5 exchanged". exact: whether results must have equal bits; else rounding may differ. source: the whole
    changed source of the function, without the indent, with its decorators. diff: a unified diff of the user's file;
    several rewrites with one source are one change, found at several lines.

    apart: pairs of arguments' names. The meaning is kept only where the arrays of a pair share no memory.
    fastmath: whether it helps only with `fastmath={"reassoc", "contract", "nsz"}`, with which it is then to be
    compiled; source and diff have that in the decorator where the decorator is njit or jit.
    arguments: where the changed function takes others, maps the tuple of arguments to those. What the function wrote is
    compared after the same mapping of the original's arguments.
    """

    kind: Kind
    line: int
    reason: str
    advice: str
    change: str
    exact: bool
    source: str
    diff: str
    arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    apart: tuple[tuple[str, str], ...] = ()
    fastmath: bool = False


@dataclass(frozen=True)
class CountedLoop:
    """`for name in range(…)`, or prange, without an else. arguments: those of the range."""

    node: ast.For
    name: str
    arguments: list[Any]
    parallel: bool


@dataclass(frozen=True)
class Access:
    """An array's element that is read or written. base: the array, "x" or "self.x". index: its parts."""

    node: ast.Subscript
    base: str
    index: list[Any]


@dataclass(frozen=True)
class Sum:
    """`target += value`, or `target = target + value`; also with - and *. uses: where the target is, once or twice."""

    target: Any
    uses: list[Any]
    sign: ast.operator
    value: Any


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


class Reading:
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
        self._effects: dict[tuple[int, ...], Effects] = {}
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

    # Names and text.

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

    def reusable(self, node: Any, wishes: Sequence[str], wrap: str = "") -> tuple[str, list[Edit]]:
        """Return how to write an expression several times: as its name, or as a variable that an edit assigns before.

        wrap: a function that is applied to it. Raises Unchangeable where it may not be computed before its statement.
        """
        if isinstance(node, ast.Name) and not wrap:
            return node.id, []
        statement = self.source.statement_of(node)
        if isinstance(statement, (ast.While, ast.Assert)):
            raise Unchangeable("it may be computed several times, or not at all")
        whole = self.effects(getattr(statement, "test", None) or getattr(statement, "iter", None) or statement)
        if whole.unknown or whole.calls:
            raise Unchangeable("a call may come before it")
        if self.source.around_in_statement(node, ast.IfExp, ast.BoolOp, *COMPREHENSIONS, ast.Lambda):
            raise Unchangeable("it may not be computed at all")
        name = self.fresh(*wishes)
        text = self.source.segment(node)
        return name, [self.source.before(statement, f"{name} = {f'{wrap}({text})' if wrap else text}")]

    # Loops.

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

    def guarded(self, line: str, loop: Any, node: Any, *, raises: bool) -> list[str]:
        """Return the lines that compute before a loop what each of its iterations computes.

        raises: whether that may raise an exception, or read outside an array. Then it is computed only where the loop
        has an iteration, and where the first one computes it before anything else can be seen. Raises Unchangeable
        where that is not so.
        """
        if not raises:
            return [line]
        condition = self.runs_when(loop)
        if condition is None or not self.is_first(node, loop):
            raise Unchangeable("it may raise an exception where the original does not")
        return [line] if not condition else [f"if {condition}:", f"    {line}"]

    def is_first(self, node: Any, loop: Any) -> bool:
        """Whether each iteration of a loop computes an expression, and writes nothing before it does."""
        statement = self.source.statement_of(node)
        if self.source.around_in_statement(node, ast.IfExp, ast.BoolOp, ast.Lambda, *COMPREHENSIONS):
            return False
        if not any(statement is each for each in loop.body) or isinstance(statement, (ast.For, ast.While)):
            return False
        if isinstance(statement, ast.If) and not any(node is each for each in ast.walk(statement.test)):
            return False
        before = loop.body[: [each is statement for each in loop.body].index(True)]
        effects = self.effects(*before)
        return not (effects.unknown or effects.jumps or effects.stores or effects.attributes)

    def _bounds(self, arguments: list[Any]) -> tuple[str, str, float | None]:
        texts = [self.text(each) for each in arguments]
        if len(texts) == 1:
            return "0", texts[0], 1
        return texts[0], texts[1], self.types.number(arguments[2]) if len(texts) == 3 else 1

    # Arrays.

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

    def dimensions(self, access: Access) -> int:
        """Return the number of an array's dimensions."""
        return int(self.type_of(access.node.value).ndim)

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

    # Changes.

    def change(
        self,
        kind: Kind,
        line: int,
        reason: str,
        change: str,
        edits: Sequence[Edit],
        *,
        exact: bool,
        advice: str = "",
        apart: tuple[tuple[str, str], ...] = (),
        fastmath: bool = False,
        arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
    ) -> Rewrite:
        """Return a rewrite made of edits. advice: "" for the rule's. Raises Unchangeable where they do not fit."""
        self._used.clear()
        text = self.source.changed(edits)
        source = self.source.dedented(text)
        try:
            ast.parse(source)
        except SyntaxError as error:
            raise Unchangeable(str(error)) from None
        advice = advice or RULES[kind].advice
        if apart:
            advice += " Only where " + " and where ".join(f"{one} and {other}" for one, other in apart)
            advice += " share no memory."
        exact = exact and not fastmath and not self.free_order
        diff = self.source.diff(text)
        return Rewrite(kind, line, reason, advice, change, exact, source, diff, arguments, apart, fastmath)

    def changes(
        self, kind: Kind, places: Sequence[tuple[int, str, Sequence[Edit]]], change: str, **more: Any
    ) -> list[Rewrite]:
        """Return one change of several places, as a rewrite for each line. places: of each its line, the reason, edits.

        Places whose edits do not fit are left out.
        """
        kept: list[tuple[int, str, Sequence[Edit]]] = []
        for place in places:
            try:
                ast.parse(
                    self.source.dedented(self.source.changed([edit for one in [*kept, place] for edit in one[2]]))
                )
            except (Unchangeable, SyntaxError):
                continue
            kept.append(place)
        edits = [edit for place in kept for edit in place[2]]
        reasons = {line: reason for line, reason, _ in reversed(kept)}
        return [self.change(kind, line, reasons[line], change, edits, **more) for line in sorted(reasons)]

    def with_free_order(self) -> list[Edit] | None:
        """Return edits that let sums be reordered, in the decorator; None where the options have that already."""
        if self.free_order:
            return None
        for decorator in self.node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self.types.value(called) not in (numba.njit, numba.jit):
                continue
            flags = f"fastmath={REORDERING}"
            if not isinstance(decorator, ast.Call):
                return [Edit(self.source.end(decorator), self.source.end(decorator), f"({flags})")]
            for keyword in decorator.keywords:
                if keyword.arg == "fastmath":
                    return [Edit(self.source.begin(keyword.value), self.source.end(keyword.value), REORDERING)]
            at = self.source.end(decorator) - 1
            before = self.source.text[:at].rstrip()
            comma = "" if before.endswith(("(", ",")) else ", "
            return [Edit(at, at, f"{comma}{flags}")]
        return []


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


def plain_index(part: Any, names: Iterable[str]) -> bool:
    """Whether a part of an index has none of these names."""
    return not loaded(part) & set(names)
