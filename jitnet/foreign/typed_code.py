"""In the child: what the types that Numba inferred, and the shape of the code, say of each loop.

Numba's own typed form of a function is read as it is after type inference, before anything is rewritten: one variable
has one type there, each use names its line, and a `prange` is still a call.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import ir, types
from numba.core.analysis import compute_cfg_from_blocks
from numba.core.dispatcher import Dispatcher

from jitnet.foreign.hints import Kind

__all__ = ["Finding", "SharedWrite", "Summary", "read_types", "watch_compiler"]

NUMBA_HOME = str(Path(numba.__file__).parent)

VIEWS = {"reshape", "transpose", "view", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "asarray", "ravel"}
"""Functions and methods that give an array and, as a rule, allocate none."""

PLAIN_CALLS = {"int", "int32", "int64", "intp", "len", "min", "max", "abs"}
"""Calls that leave an index what it is."""

SLOW_CALLS = {"exp", "log", "sin", "cos", "tan", "tanh", "pow", "log1p", "expm1", "log2", "log10", "erf", "gamma"}
"""Calls that keep a loop from being vectorised, whatever its sum may do."""

ADDING = {operator.add, operator.iadd, operator.sub, operator.isub}
MULTIPLYING = {operator.mul, operator.imul}
DIVIDING = {operator.truediv, operator.itruediv, operator.floordiv, operator.ifloordiv, operator.mod, operator.imod}


@dataclass(frozen=True)
class Finding:
    """A hint in the making. advice: "" for the rule's own."""

    kind: Kind
    file: str
    line: int
    reason: str
    advice: str = ""


@dataclass(frozen=True)
class SharedWrite:
    """A place in a parallel loop where several turns may meet at one element.

    sure: whether each turn writes the same element. reads: whether it is a read of what another turn writes.
    """

    line: int
    loop_line: int
    array: str
    sure: bool
    reads: bool
    called: bool = False


@dataclass(frozen=True)
class Called:
    """A call of another compiled function. signature: types of its arguments, None where they are not plain."""

    dispatcher: Any
    signature: Any
    line: int
    inside: bool


@dataclass
class Summary:
    """What is known of one function compiled for one signature."""

    function: Any
    file: str
    name: str
    line: int
    signature: str
    arguments: tuple[Any, ...]
    parallel: bool
    fastmath: frozenset[str]
    error_model: str
    findings: list[Finding] = field(default_factory=list)
    in_loops_only: list[Finding] = field(default_factory=list)
    shared: list[SharedWrite] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    innermost: list[int] = field(default_factory=list)
    divisions: dict[int, str] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)


def watch_compiler(summaries: list[Summary]) -> None:
    """From now on, read every function of the user's as it is compiled, and add what was found to `summaries`."""
    from numba.core import typed_passes

    infer = typed_passes.BaseTypeInference.run_pass

    def infer_and_read(self: Any, state: Any) -> Any:
        done = infer(self, state)
        file = str(state.func_id.filename)
        if state.typemap and not file.startswith((NUMBA_HOME, "<")):
            # A reader that fails costs its hints, never the user's compile.
            try:
                summaries.append(read_types(state))
            except Exception as error:
                failures.append(f"{state.func_id.func_qualname}: {type(error).__name__} {error}")
        return done

    typed_passes.BaseTypeInference.run_pass = infer_and_read


failures: list[str] = []
"""Functions that could not be read, each with the reason."""


def read_types(state: Any) -> Summary:
    """What is to be known of the function that the compiler has in hand."""
    return _Reader(state).read()


def _fastmath(flags: Any) -> frozenset[str]:
    return frozenset(getattr(flags.fastmath, "flags", ()) or ())


class _Reader:
    def __init__(self, state: Any) -> None:
        self.state = state
        self.types: dict[str, Any] = dict(state.typemap)
        self.blocks: dict[int, Any] = state.func_ir.blocks
        self.defined: dict[str, tuple[Any, int, int]] = {}
        for label, block in self.blocks.items():
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    self.defined[statement.target.name] = statement.value, label, statement.loc.line
        graph = compute_cfg_from_blocks(self.blocks)
        self.loops = dict(graph.loops())
        self.innermost = {
            header
            for header, loop in self.loops.items()
            if not any(other != header and other in loop.body for other in self.loops)
        }
        self.turns: dict[str, int] = {}
        for header in self.loops:
            for name in self._turn_variables(header):
                self.turns[name] = header
        self.summary = Summary(
            state.func_id.func,
            str(state.func_id.filename),
            str(state.func_id.func_name),
            int(state.func_id.firstlineno),
            f"({', '.join(map(str, state.args))})",
            tuple(state.args),
            bool(state.flags.auto_parallel.enabled),
            _fastmath(state.flags),
            str(state.flags.error_model),
        )

    def read(self) -> Summary:
        summary = self.summary
        summary.innermost = sorted({self._line_of_loop(header) for header in self.innermost})
        for label, block in self.blocks.items():
            inside = [header for header, loop in self.loops.items() if label in loop.body]
            for statement in block.body:
                self._statement(statement, label, inside)
        for header in self.innermost:
            self._reduction(header)
        if summary.parallel:
            for header, loop in self.loops.items():
                if self._is_parallel(header) and not any(
                    other != header and header in outer.body and self._is_parallel(other)
                    for other, outer in self.loops.items()
                ):
                    self._shared(header, loop.body)
        return summary

    # What a name stands for.

    def _value(self, name: str) -> Any:
        """What a name was given, through copies of copies; None for an argument and for what is not known."""
        seen = set()
        while name in self.defined and name not in seen:
            seen.add(name)
            value = self.defined[name][0]
            if not isinstance(value, ir.Var):
                return value
            name = value.name
        return None

    def _root(self, name: str) -> str:
        """The first name of a chain of copies."""
        seen = set()
        while name in self.defined and name not in seen and isinstance(self.defined[name][0], ir.Var):
            seen.add(name)
            name = self.defined[name][0].name
        return name

    def _callee(self, expression: Any) -> tuple[str, Any]:
        """What a call calls: its name, and the function where it is known."""
        value = self._value(expression.func.name)
        if isinstance(value, (ir.Global, ir.FreeVar)):
            return str(getattr(value.value, "__name__", value.name)), value.value
        if isinstance(value, ir.Expr) and value.op == "getattr":
            owner = self._value(value.value.name)
            if isinstance(owner, (ir.Global, ir.FreeVar)):
                return str(value.attr), getattr(owner.value, value.attr, None)
            return str(value.attr), None
        return "", None

    def _shown(self, name: str) -> str:
        """A name as the user wrote it: `s` for `s.2`; what stands for an expression as that expression."""
        while name.startswith("$") and name in self.defined and isinstance(self.defined[name][0], ir.Var):
            name = self.defined[name][0].name
        if not name.startswith("$"):
            return name.split(".")[0]
        value = self._value(name)
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return repr(value.value) if isinstance(value, ir.Const) else str(value.name)
        if isinstance(value, ir.Expr):
            if value.op == "getattr":
                return f"{self._shown(value.value.name)}.{value.attr}"
            if value.op == "getitem":
                return f"{self._shown(value.value.name)}[{self._shown(value.index.name)}]"
            if value.op == "static_getitem":
                return f"{self._shown(value.value.name)}[{value.index}]"
            if value.op in ("binop", "inplace_binop"):
                sign = SIGNS.get(value.fn, "?").removesuffix("=")
                return f"{self._shown(value.lhs.name)} {sign} {self._shown(value.rhs.name)}"
            if value.op == "unary":
                return f"-{self._shown(value.value.name)}"
            if value.op == "build_tuple":
                return ", ".join(self._shown(item.name) for item in value.items)
            if value.op == "call":
                return f"{self._callee(value)[0]}(…)"
            if value.op == "cast":
                return self._shown(value.value.name)
        return "…"

    # Loops.

    def _turn_variables(self, header: int) -> Iterator[str]:
        """Names of a for loop's own variable."""
        pairs = set()
        for statement in self.blocks[header].body:
            if not isinstance(statement, ir.Assign) or not isinstance(statement.value, ir.Expr):
                continue
            if statement.value.op == "iternext":
                pairs.add(statement.target.name)
            elif statement.value.op == "pair_first" and statement.value.value.name in pairs:
                yield statement.target.name

    def _range(self, header: int) -> tuple[str, list[str]]:
        """What a for loop walks over: "range", "prange" or "", and the names of its arguments."""
        for statement in self.blocks[header].body:
            value = getattr(statement, "value", None)
            if isinstance(value, ir.Expr) and value.op == "iternext":
                made = self._value(value.value.name)
                if isinstance(made, ir.Expr) and made.op == "getiter":
                    called = self._value(made.value.name)
                    if isinstance(called, ir.Expr) and called.op == "call":
                        name, function = self._callee(called)
                        name = "prange" if "prange" in name else name
                        if name == "prange" or function is range:
                            return name, [argument.name for argument in called.args]
        return "", []

    def _is_parallel(self, header: int) -> bool:
        return self._range(header)[0] == "prange"

    def _line_of_loop(self, header: int) -> int:
        return int(self.blocks[header].loc.line)

    def _turn(self, name: str) -> int | None:
        """The header of the loop whose variable a name is."""
        return self.turns.get(self._root(name))

    # Bounds of a whole number, as far as the code tells them: what LLVM can tell too.

    def _bounds(self, name: str, assumed: dict[str, tuple[float, float]], depth: int = 0) -> tuple[float, float]:
        kind = self.types.get(name)
        unsigned = isinstance(kind, types.Integer) and not _signed(kind)
        low, high = self._plain_bounds(name, assumed, depth)
        return (max(low, 0.0), high) if unsigned else (low, high)

    def _plain_bounds(self, name: str, assumed: dict[str, tuple[float, float]], depth: int) -> tuple[float, float]:
        unknown = -np.inf, np.inf
        name = self._root(name)
        if name in assumed:
            return assumed[name]
        if depth > 24:
            return unknown
        kind = self.types.get(name)
        if isinstance(kind, types.IntegerLiteral):
            return float(kind.literal_value), float(kind.literal_value)
        header = self.turns.get(name)
        if header is not None:
            return self._turn_bounds(header, assumed, depth)
        value = self._value(name)
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            number = value.value
            return (float(number), float(number)) if isinstance(number, (int, np.integer)) else unknown
        if not isinstance(value, ir.Expr):
            return unknown
        if value.op == "cast":
            return self._bounds(value.value.name, assumed, depth + 1)
        if value.op == "phi":
            return self._phi_bounds(name, value, assumed, depth)
        if value.op in ("getattr", "static_getitem", "getitem"):
            return (0.0, np.inf) if self._is_extent(value) else unknown
        if value.op in ("binop", "inplace_binop"):
            left = self._bounds(value.lhs.name, assumed, depth + 1)
            right = self._bounds(value.rhs.name, assumed, depth + 1)
            return _arithmetic(value.immutable_fn if value.op == "inplace_binop" else value.fn, left, right)
        if value.op == "call":
            called, _ = self._callee(value)
            inside = [self._bounds(argument.name, assumed, depth + 1) for argument in value.args]
            if called == "len":
                return 0.0, np.inf
            if called in ("int", "int64", "intp", "int32", "abs") and len(inside) == 1:
                low, high = inside[0]
                return (max(0.0, low), max(abs(low), abs(high))) if called == "abs" else (low, high)
            if called == "max" and inside:
                return max(low for low, _ in inside), max(high for _, high in inside)
            if called == "min" and inside:
                return min(low for low, _ in inside), min(high for _, high in inside)
            if called in ("get_thread_id", "get_num_threads"):
                return 0.0, np.inf
        return unknown

    def _turn_bounds(self, header: int, assumed: dict[str, tuple[float, float]], depth: int) -> tuple[float, float]:
        _, names = self._range(header)
        if not names:
            return -np.inf, np.inf
        inside = [self._bounds(name, assumed, depth + 1) for name in names]
        start, stop = ((0.0, 0.0), inside[0]) if len(inside) == 1 else (inside[0], inside[1])
        step = inside[2] if len(inside) == 3 else (1.0, 1.0)
        if step[0] > 0:
            return start[0], stop[1] - 1
        if step[1] < 0:
            return stop[0] + 1, start[1]
        return min(start[0], stop[0] + 1), max(start[1], stop[1] - 1)

    def _phi_bounds(
        self, name: str, value: Any, assumed: dict[str, tuple[float, float]], depth: int
    ) -> tuple[float, float]:
        """A counter that begins at `low` and only grows stays above it: assumed, and then held against every way."""
        incoming = [each.name for each in value.incoming_values if isinstance(each, ir.Var)]
        begins = [each for each in incoming if not self._depends_on(each, name)]
        if not begins:
            return -np.inf, np.inf
        inside = [self._bounds(each, assumed, depth + 1) for each in begins]
        low, high = min(low for low, _ in inside), max(high for _, high in inside)
        if len(begins) == len(incoming):
            return low, high
        grown = assumed | {name: (low, np.inf)}
        if all(self._bounds(each, grown, depth + 1)[0] >= low for each in incoming):
            return low, np.inf
        return -np.inf, np.inf

    def _depends_on(self, name: str, on: str, seen: set[str] | None = None) -> bool:
        seen = set() if seen is None else seen
        name = self._root(name)
        if name == on:
            return True
        if name in seen:
            return False
        seen.add(name)
        value = self._value(name)
        if not isinstance(value, ir.Expr):
            return False
        return any(self._depends_on(used.name, on, seen) for used in value.list_vars())

    def _is_extent(self, value: Any) -> bool:
        if value.op == "getattr":
            return value.attr in ("size", "ndim", "nbytes")
        owner = self._value(value.value.name)
        while isinstance(owner, ir.Expr) and owner.op == "exhaust_iter":
            owner = self._value(owner.value.name)
        return isinstance(owner, ir.Expr) and owner.op == "getattr" and owner.attr == "shape"

    # One statement after another.

    def _found(self, kind: Kind, line: int, reason: str, inside: bool, advice: str = "") -> None:
        finding = Finding(kind, self.summary.file, line, reason, advice)
        kept = self.summary.findings if inside else self.summary.in_loops_only
        if not any(other.kind == kind and other.line == line for other in kept):
            kept.append(finding)

    def _statement(self, statement: Any, label: int, inside: list[int]) -> None:
        line = int(statement.loc.line)
        innermost = any(header in self.innermost for header in inside)
        if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
            self._access(statement.target.name, line, inside, self.summary.writes)
            if isinstance(statement, ir.SetItem) and innermost:
                self._wraps(statement.target.name, statement.index.name, line, inside)
            return
        if not isinstance(statement, ir.Assign) or not isinstance(statement.value, ir.Expr):
            return
        value = statement.value
        if value.op in ("getitem", "static_getitem"):
            self._access(value.value.name, line, inside, self.summary.reads)
            if value.op == "getitem" and innermost:
                self._wraps(value.value.name, value.index.name, line, inside)
        if value.op in ("binop", "inplace_binop"):
            self._promotes(statement.target.name, value, line, bool(inside))
            if (value.immutable_fn if value.op == "inplace_binop" else value.fn) in DIVIDING:
                self._divides(value, line, inside)
        if value.op == "call":
            self._call(value, line, bool(inside))
        self._allocates(statement.target.name, value, line, bool(inside))

    def _access(self, name: str, line: int, inside: list[int], seen: dict[str, int]) -> None:
        array = self._root(name)
        kind = self.types.get(array)
        value = self._value(array)
        if not isinstance(value, ir.Arg) or not isinstance(kind, types.Array):
            return
        own = str(value.name)
        if inside or own not in seen:
            seen.setdefault(own, line)
        if inside and kind.layout == "A":
            self._found(
                Kind.LAYOUT,
                line,
                f"{own} has the type {kind}: its elements may lie apart, so every access multiplies by a stride",
                True,
            )

    def _wraps(self, array: str, index: str, line: int, inside: list[int]) -> None:
        if not isinstance(self.types.get(array), types.Array):
            return
        value = self._value(index)
        parts = [each.name for each in value.items] if _is(value, "build_tuple") else [index]
        for part in parts:
            kind = self.types.get(part)
            made = self._value(part)
            if not (isinstance(kind, types.Integer) and _signed(kind)) or not _is(made, "binop", "inplace_binop"):
                continue
            if not self._varies(part, inside) or self._uses_memory(part):
                continue
            if self._bounds(part, {})[0] < 0:
                self._found(
                    Kind.WRAPAROUND,
                    line,
                    f"{self._shown(array)}[{self._shown(index)}]: {self._shown(part)} is signed and may be below 0 as "
                    "far as the compiler can tell, so every access asks whether to count from the end",
                    True,
                )

    def _varies(self, name: str, inside: list[int]) -> bool:
        """Whether a value is made anew in each turn of the innermost loop around it."""
        body = min((self.loops[header].body for header in inside), key=len)
        return self._varies_in(name, body, set())

    def _varies_in(self, name: str, body: Any, seen: set[str]) -> bool:
        name = self._root(name)
        if name in seen or name not in self.defined:
            return False
        seen.add(name)
        value, label, _ = self.defined[name]
        if label not in body:
            return False
        if name in self.turns or _is(value, "phi"):
            return True
        return isinstance(value, ir.Expr) and any(self._varies_in(used.name, body, seen) for used in value.list_vars())

    def _uses_memory(self, name: str, depth: int = 0) -> bool:
        """Whether an index comes out of an array or a function: then it costs a gather, beside which the question is little."""
        value = self._value(name)
        if not isinstance(value, ir.Expr) or depth > 12:
            return False
        if value.op in ("getitem", "static_getitem"):
            return not self._is_extent(value)
        if value.op == "call":
            return self._callee(value)[0] not in PLAIN_CALLS
        return value.op in ("binop", "inplace_binop", "cast", "unary") and any(
            self._uses_memory(used.name, depth + 1) for used in value.list_vars()
        )

    def _promotes(self, target: str, value: Any, line: int, inside: bool) -> None:
        sides = [(value.lhs.name, _number(self.types.get(value.lhs.name)))]
        sides.append((value.rhs.name, _number(self.types.get(value.rhs.name))))
        if _number(self.types.get(target)) != types.float64 or types.float32 not in (sides[0][1], sides[1][1]):
            return
        name, kind = sides[0] if sides[1][1] == types.float32 else sides[1]
        if kind == types.float32 or isinstance(self.types.get(name), types.Array):
            return
        cause = self._cause(name, set())
        if not cause:
            return
        arrays = isinstance(self.types.get(target), types.Array)
        where = "float32 values are converted and the arithmetic is done in float64, half as many at a time"
        advice = ""
        if "begins as" in cause:
            advice = "Begin the sum with np.float32(0) where float32 is exact enough, and keep it so where it is not."
        self._found(Kind.PROMOTION, line, f"{cause}: {where}", inside or arrays, advice)

    def _cause(self, name: str, seen: set[str]) -> str:
        """Why a number is float64, or a whole one beside float32, in words; "" where it follows from another line."""
        root = self._root(name)
        if root in seen:
            return ""
        seen.add(root)
        kind, value = self.types.get(root), self._value(root)
        if isinstance(kind, (types.Integer, types.Boolean)):
            return f"{self._shown(root)} is a whole number of {_number(kind)}, which makes float64 of float32"
        if isinstance(value, ir.Const):
            return f"the constant {value.value!r} is float64"
        if isinstance(value, (ir.Global, ir.FreeVar)):
            return f"{value.name} is a float64 constant"
        if isinstance(value, ir.Arg):
            return f"the argument {value.name} is float64"
        if not isinstance(value, ir.Expr):
            return ""
        if value.op == "phi":
            for each in value.incoming_values:
                begin = self._value(each.name) if isinstance(each, ir.Var) else None
                if isinstance(begin, ir.Const) and isinstance(begin.value, (int, float)):
                    line = self.defined[self._root(each.name)][2]
                    return f"{self._shown(root)} begins as the float64 constant {begin.value!r} in line {line}"
            return ""
        if value.op in ("binop", "inplace_binop"):
            numbers = {_number(self.types.get(side.name)) for side in (value.lhs, value.rhs)}
            if types.float32 in numbers:
                return ""
            causes = [self._cause(side.name, seen) for side in (value.lhs, value.rhs)]
            return f"{self._shown(root)} is float64" if all(causes) else ""
        if value.op in ("unary", "cast"):
            return self._cause(value.value.name, seen)
        if value.op == "getattr" and isinstance(self._value(value.value.name), (ir.Global, ir.FreeVar)):
            return f"{self._shown(root)} is a float64 constant"
        return ""

    def _divides(self, value: Any, line: int, inside: list[int]) -> None:
        kind = _number(self.types.get(value.rhs.name))
        if inside and not any(header in self.innermost for header in inside):
            return
        constant = isinstance(self._value(value.rhs.name), ir.Const)
        if inside and not constant and not self._varies(value.rhs.name, inside):
            told = f"{self._shown(value.rhs.name)} is the same in every turn"
        else:
            told = ""
        if isinstance(kind, types.Integer) and constant:
            return  # by a constant whole number it is a multiplication
        self.summary.divisions.setdefault(line, told)

    def _call(self, value: Any, line: int, inside: bool) -> None:
        kind = self.types.get(value.func.name)
        dispatcher = getattr(kind, "dispatcher", None)
        if isinstance(kind, types.ObjModeDispatcher):
            self._found(
                Kind.OBJECT_MODE,
                line,
                "the objmode block runs in the interpreter"
                + (", once in every turn of the loop" if inside else ", with each value boxed and unboxed"),
                True,
            )
        elif isinstance(dispatcher, Dispatcher):
            signature = self.state.calltypes.get(value)
            plain = None if signature is None or value.kws or value.vararg else tuple(signature.args)
            self.summary.calls.append(Called(dispatcher, plain, line, inside))

    def _allocates(self, target: str, value: Any, line: int, inside: bool) -> None:
        kind = self.types.get(target)
        what = ""
        if value.op == "call" and isinstance(kind, types.Array):
            name, _ = self._callee(value)
            called = self.types.get(value.func.name)
            if isinstance(called, types.Dispatcher) or name in VIEWS or not name:
                return
            what = f"{name}(…) allocates an array"
        elif value.op in ("binop", "unary") and isinstance(kind, types.Array):
            what = f"{self._shown(target)} allocates an array for its result"
        elif value.op == "getitem" and isinstance(kind, types.Array):
            index = self.types.get(value.index.name)
            parts = getattr(index, "types", [index])
            if not any(isinstance(part, types.Array) for part in parts):
                return
            what = f"{self._shown(target)} copies the chosen elements into an array"
        elif value.op in ("build_list", "build_set", "build_map"):
            what = f"a {value.op.removeprefix('build_')} is allocated"
        if what:
            when = "in every turn of the loop" if inside else "in every call, and it is called in a loop"
            self._found(Kind.ALLOCATION, line, f"{what} {when}", inside)

    # Sums whose order is kept.

    def _reduction(self, header: int) -> None:
        if "reassoc" in self.summary.fastmath or "fast" in self.summary.fastmath:
            return
        loop = self.loops[header]
        if len({outside for _, outside in _edges_out(self.blocks, loop)}) > 1 or self._has_slow_call(loop.body):
            return
        used: dict[str, int] = {}
        for label in loop.body:
            for statement in self.blocks[label].body:
                if isinstance(statement, ir.Assign) and _is(statement.value, "phi"):
                    continue
                for variable in statement.list_vars():
                    if not isinstance(statement, ir.Assign) or variable.name != statement.target.name:
                        used[variable.name] = used.get(variable.name, 0) + 1
        for statement in self.blocks[header].body:
            if isinstance(statement, ir.Assign) and _is(statement.value, "phi"):
                self._sum(statement.target.name, statement.value, loop.body, used)

    def _sum(self, name: str, phi: Any, body: Any, used: dict[str, int]) -> None:
        if not isinstance(self.types.get(name), types.Float):
            return
        for incoming in phi.incoming_values:
            if not isinstance(incoming, ir.Var) or incoming.name not in self.defined:
                continue
            if self.defined[incoming.name][1] not in body:
                continue
            line = self._chain(incoming.name, name, used)
            if line:
                what = self._shown(name)
                self._found(
                    Kind.REDUCTION,
                    line,
                    f"{what} is summed up one after the other, each addition waiting for the one before; without "
                    "`reassoc` the order is kept, and the loop cannot go on in vectors",
                    True,
                )

    def _chain(self, end: str, begin: str, used: dict[str, int]) -> int:
        """The line of the last addition (or multiplication) on the way from a sum's old value to its new one; 0 where
        the way has something else in it, or where a value on it is used elsewhere too."""
        line, family = 0, None
        name = end
        for _ in range(64):
            while name in self.defined and isinstance(self.defined[name][0], ir.Var):
                name = self.defined[name][0].name
            if name == begin:
                return line if used.get(begin, 0) == 1 else 0
            if name not in self.defined:
                return 0
            value, _, at = self.defined[name]
            if _is(value, "phi"):  # a sum inside an if: the way through it is the one that adds
                ways = [
                    each.name
                    for each in value.incoming_values
                    if isinstance(each, ir.Var) and self._root(each.name) != begin
                ]
                if len(ways) != 1:
                    return 0
                used[begin] = used.get(begin, 0)
                name = ways[0]
                continue
            if not _is(value, "binop", "inplace_binop"):
                return 0
            mine = value.immutable_fn if value.op == "inplace_binop" else value.fn
            family = family or (ADDING if mine in ADDING else MULTIPLYING if mine in MULTIPLYING else None)
            if family is None or mine not in family:
                return 0
            line = line or at
            sides = [value.lhs.name] + ([value.rhs.name] if mine not in (operator.sub, operator.isub) else [])
            on = [side for side in sides if self._depends_on(side, begin)]
            if len(on) != 1:
                return 0
            name = on[0]
        return 0

    def _has_slow_call(self, body: Any) -> bool:
        for label in body:
            for statement in self.blocks[label].body:
                value = getattr(statement, "value", None)
                if _is(value, "call") and self._callee(value)[0] in SLOW_CALLS:
                    return True
        return False

    # Elements that several turns of a parallel loop write.

    def _base(self, name: str, body: Any) -> tuple[str, list[Any]]:
        """The array that a view is of, as far back as it lies inside `body`, and the indices on the way to it."""
        indices: list[Any] = []
        for _ in range(32):
            name = self._root(name)
            if name not in self.defined or (body is not None and self.defined[name][1] not in body):
                break
            value = self.defined[name][0]
            if _is(value, "getitem"):
                indices = [*self._parts(value.index.name), *indices]
            elif _is(value, "static_getitem"):
                indices = [*_static_parts(value.index), *indices]
            elif not (_is(value, "getattr") and value.attr in ("T", "real", "imag", "flat")):
                break
            name = value.value.name
        return name, indices

    def _parts(self, index: str) -> list[Any]:
        value = self._value(index)
        return [each.name for each in value.items] if _is(value, "build_tuple") else [index]

    def _shared(self, header: int, body: Any) -> None:
        loop_line = self._line_of_loop(header)
        writes: list[tuple[str, list[Any]]] = []
        for label in body:
            for statement in self.blocks[label].body:
                if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
                    base, before = self._base(statement.target.name, body)
                    if self._is_private(base, body):
                        continue
                    if isinstance(statement, ir.SetItem):
                        parts = [*before, *self._parts(statement.index.name)]
                    else:
                        parts = [*before, *_static_parts(statement.index)]
                    writes.append((base, parts))
                    found = {self._in_turn(part, header, body) for part in parts}
                    if found & {"own", "scaled"}:
                        continue
                    sure = found <= {"same", "inner"} and label in self._every_turn(header, body)
                    self._share(statement.loc.line, loop_line, base, sure, False)
                elif isinstance(statement, ir.Assign) and _is(statement.value, "call"):
                    self._shared_call(statement, body, loop_line)
        for label in body:
            for statement in self.blocks[label].body:
                if isinstance(statement, ir.Assign) and _is(statement.value, "getitem", "static_getitem"):
                    self._shared_read(statement, header, body, loop_line, writes)

    def _every_turn(self, header: int, body: Any) -> set[int]:
        """Blocks that every turn of a loop goes through: those without which the header is not reached again."""
        ends = {label for label in body for target in self.blocks[label].terminator.get_targets() if target == header}
        found = set()
        for label in body:
            if label == header:
                continue
            reached, todo = set(), [target for target in self.blocks[header].terminator.get_targets() if target in body]
            while todo:
                at = todo.pop()
                if at in reached or at in (label, header):
                    continue
                reached.add(at)
                todo += [target for target in self.blocks[at].terminator.get_targets() if target in body]
            if not ends & reached:
                found.add(label)
        return found

    def _is_private(self, base: str, body: Any) -> bool:
        """Whether an array is made inside the loop, and so belongs to a turn alone."""
        if base not in self.defined or self.defined[base][1] not in body:
            return False
        return not _is(self.defined[base][0], "phi")

    def _share(self, line: int, loop_line: int, base: str, sure: bool, reads: bool, called: bool = False) -> None:
        found = SharedWrite(int(line), loop_line, self._shown(base), sure, reads, called)
        if not any(other.line == found.line and other.array == found.array for other in self.summary.shared):
            self.summary.shared.append(found)

    def _shared_call(self, statement: Any, body: Any, loop_line: int) -> None:
        """A function of the user's that is given an array of all turns: only a run tells what it writes."""
        called = self.types.get(statement.value.func.name)
        if not isinstance(called, types.Dispatcher):
            return
        for argument in statement.value.args:
            if isinstance(self.types.get(argument.name), types.Array):
                base, parts = self._base(argument.name, body)
                if not self._is_private(base, body) and not parts:
                    self._share(statement.loc.line, loop_line, base, False, False, True)

    def _shared_read(
        self, statement: Any, header: int, body: Any, loop_line: int, writes: list[tuple[str, list[Any]]]
    ) -> None:
        value = statement.value
        if isinstance(self.types.get(statement.target.name), types.Array):
            return
        base, before = self._base(value.value.name, body)
        after = self._parts(value.index.name) if value.op == "getitem" else _static_parts(value.index)
        parts = [*before, *after]
        for array, written in writes:
            if array != base or not any(self._in_turn(part, header, body) == "own" for part in written):
                continue
            pairs = list(zip(written, parts, strict=False))
            if any(
                self._in_turn(mine, header, body) == "own" and self._key(mine) == self._key(theirs)
                for mine, theirs in pairs
            ):
                continue
            if any(self._in_turn(part, header, body) == "scaled" for part in parts):
                continue
            self._share(statement.loc.line, loop_line, base, False, True)

    def _key(self, part: Any, depth: int = 0) -> str:
        """An index as text, the same for two that are surely equal."""
        if not isinstance(part, str):
            return repr(part)
        name = self._root(part)
        value = self._value(name)
        if depth < 12:
            if isinstance(value, ir.Const):
                return repr(value.value)
            if _is(value, "binop"):
                inside = self._key(value.lhs.name, depth + 1), self._key(value.rhs.name, depth + 1)
                return f"({inside[0]} {SIGNS.get(value.fn, '?')} {inside[1]})"
            if _is(value, "cast"):
                return self._key(value.value.name, depth + 1)
            if _is(value, "call") and len(value.args) == 1:
                return f"{self._callee(value)[0]}({self._key(value.args[0].name, depth + 1)})"
        return name

    def _in_turn(self, part: Any, header: int, body: Any, depth: int = 0) -> str:
        """How an index goes with the turns of a parallel loop.

        "own": another value in each. "scaled": its turn times an extent, and more. "same": one value in all. "inner":
        what an inner loop gives it, the same in each turn. "other": several turns may share a value.
        """
        if not isinstance(part, str):
            return "same"
        name = self._root(part)
        if depth > 24:
            return "other"
        if self.turns.get(name) == header:
            return "own"
        if name not in self.defined or self.defined[name][1] not in body:
            return "same"
        if name in self.turns:
            _, names = self._range(self.turns[name])
            start = names[0] if len(names) > 1 else ""
            begins = self._in_turn(start, header, body, depth + 1) if start else "same"
            # From its turn on to the end of the array is no range of its own: a range that ends with its turn is.
            ends = self._in_turn(names[1], header, body, depth + 1) if start else "same"
            both = {"own", "scaled", "other"}
            return "scaled" if begins in both and ends in both else "inner" if begins in ("same", "inner") else "other"
        value = self.defined[name][0]
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return "same"
        if not isinstance(value, ir.Expr):
            return "other"
        if value.op in ("cast", "unary", "getattr", "exhaust_iter"):
            return self._in_turn(value.value.name, header, body, depth + 1)
        if value.op == "call":
            return self._call_in_turn(value, header, body, depth)
        if value.op in ("binop", "inplace_binop"):
            mine = value.immutable_fn if value.op == "inplace_binop" else value.fn
            left = self._in_turn(value.lhs.name, header, body, depth + 1)
            right = self._in_turn(value.rhs.name, header, body, depth + 1)
            return _combined(mine, left, right, _is_one(self._value(value.rhs.name)))
        if value.op in ("getitem", "static_getitem"):
            inside = {self._in_turn(used.name, header, body, depth + 1) for used in value.list_vars()}
            return "same" if inside == {"same"} else "other"
        return "other"

    def _call_in_turn(self, value: Any, header: int, body: Any, depth: int) -> str:
        name, _ = self._callee(value)
        inside = [self._in_turn(argument.name, header, body, depth + 1) for argument in value.args]
        if name in ("get_thread_id", "_get_thread_id"):
            return "own"
        if name in ("int", "uint64", "int64", "intp", "uintp", "int32", "uint32") and len(inside) == 1:
            return inside[0]
        if name == "slice" and inside:
            return inside[0] if inside[0] in ("own", "scaled") else "other" if "other" in inside else "same"
        if name in ("min", "max", "len"):
            return "same" if all(each == "same" for each in inside) else "other"
        return "same" if all(each == "same" for each in inside) else "other"


SIGNS = {
    operator.add: "+", operator.iadd: "+=", operator.sub: "-", operator.isub: "-=", operator.mul: "*",
    operator.imul: "*=", operator.truediv: "/", operator.itruediv: "/=", operator.floordiv: "//",
    operator.ifloordiv: "//=", operator.mod: "%", operator.imod: "%=", operator.pow: "**", operator.ipow: "**=",
    operator.lshift: "<<", operator.rshift: ">>", operator.and_: "&", operator.or_: "|", operator.xor: "^",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
    operator.matmul: "@",
}  # fmt: skip


def _is(value: Any, *operations: str) -> bool:
    return isinstance(value, ir.Expr) and value.op in operations


def _signed(kind: Any) -> bool:
    return bool(kind.signed)


def _is_one(value: Any) -> bool:
    return isinstance(value, ir.Const) and value.value in (1, -1)


def _number(kind: Any) -> Any:
    """The type of a number, or of an array's elements; literals as their plain type."""
    if isinstance(kind, types.Array):
        return kind.dtype
    if isinstance(kind, types.Literal):
        return kind.literal_type
    return kind


def _static_parts(index: Any) -> list[Any]:
    """Parts of an index that was known to the compiler, wrapped so that none of them looks like a name."""
    return [("constant", part) for part in index] if isinstance(index, tuple) else [("constant", index)]


def _edges_out(blocks: dict[int, Any], loop: Any) -> Iterator[tuple[int, int]]:
    for label in loop.body:
        for target in blocks[label].terminator.get_targets():
            if target not in loop.body:
                yield label, target


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


def _arithmetic(function: Any, left: tuple[float, float], right: tuple[float, float]) -> tuple[float, float]:
    """Bounds of a result from those of its sides."""
    unknown = -np.inf, np.inf
    if function is operator.add:
        return left[0] + right[0], left[1] + right[1]
    if function is operator.sub:
        return left[0] - right[1], left[1] - right[0]
    if function is operator.mul:
        if left[0] >= 0 and right[0] >= 0:
            return _times(left[0], right[0]), _times(left[1], right[1])
        return unknown
    if function is operator.mod:
        return (0.0, right[1] - 1) if right[0] >= 0 else unknown
    if function in (operator.floordiv, operator.rshift):
        return (0.0, left[1]) if left[0] >= 0 and right[0] >= 0 else unknown
    if function is operator.lshift:
        return (0.0, np.inf) if left[0] >= 0 else unknown
    if function is operator.and_:
        return (0.0, max(left[1], right[1])) if left[0] >= 0 or right[0] >= 0 else unknown
    return unknown


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b
