"""What the types that Numba inferred, and the shape of the code, say of each loop.

Each function of the user's is read as it is compiled, statement after statement, right after type inference and before
anything is rewritten (`typed_function`). What takes a look at a whole loop has a file of its own: `sums`, and
`race_suspects`.
"""

import operator
from pathlib import Path
from typing import Any

import numba
from numba import types

from jitnet.compiler.numba_parts import BaseTypeInference, Dispatcher, ir
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.bounds import bounds
from jitnet.profile.functions.worker.race_suspects import race_suspects
from jitnet.profile.functions.worker.summary import Called, Finding, Summary
from jitnet.profile.functions.worker.sums import ordered_sums
from jitnet.profile.functions.worker.typed_function import (
    TypedFunction,
    is_expression,
    is_signed,
    number_type,
    operator_of,
)

__all__ = ["failures", "read_types", "watch_compiler"]

NUMBA_HOME = str(Path(numba.__file__).parent)

VIEWS = {"reshape", "transpose", "view", "swapaxes", "squeeze", "expand_dims", "broadcast_to", "asarray", "ravel"}
"""Functions and methods that give an array and, as a rule, allocate none."""

PLAIN_CALLS = {"int", "int32", "int64", "intp", "len", "min", "max", "abs"}
"""Calls that leave an index what it is."""

DIVIDING = {operator.truediv, operator.itruediv, operator.floordiv, operator.ifloordiv, operator.mod, operator.imod}


def watch_compiler(summaries: list[Summary]) -> None:
    """From now on, read every function of the user's as it is compiled, and add what was found to `summaries`."""
    infer = BaseTypeInference.run_pass

    def infer_and_read(self: Any, state: Any) -> Any:
        done = infer(self, state)
        file = str(state.func_id.filename)
        if state.typemap and not file.startswith((NUMBA_HOME, "<")):
            # A reader that fails costs its hints, never the user's compile.
            try:
                summaries.append(read_types(state))
            except Exception as error:
                failures.append(f"{state.func_id.func_qualname}: {type(error).__name__}: {error}")
        return done

    BaseTypeInference.run_pass = infer_and_read


failures: list[str] = []
"""Functions that could not be read, each with the reason; the profile tells them."""


def read_types(state: Any) -> Summary:
    """What is to be known of the function that the compiler has in hand."""
    return _Reader(state).read()


def _fastmath(flags: Any) -> frozenset[str]:
    return frozenset(getattr(flags.fastmath, "flags", ()) or ())


class _Reader:
    """A function's code, walked once from statement to statement, and what is found on the way."""

    def __init__(self, state: Any) -> None:
        self.code = TypedFunction(state)
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
        code, summary = self.code, self.summary
        summary.innermost = sorted({code.line_of_loop(header) for header in code.innermost})
        for label, block in code.blocks.items():
            inside = [header for header, loop in code.loops.items() if label in loop.body]
            for statement in block.body:
                self._statement(statement, inside)
        if not summary.fastmath & {"reassoc", "fast"}:
            for header in code.innermost:
                for line, name in ordered_sums(code, header):
                    self._adds_in_order(line, name)
        if summary.parallel:
            summary.shared = race_suspects(code)
        return summary

    def _found(self, kind: Kind, line: int, reason: str, inside: bool, advice: str = "") -> None:
        finding = Finding(kind, self.summary.file, line, reason, advice)
        kept = self.summary.findings if inside else self.summary.in_loops_only
        if not any(other.kind == kind and other.line == line for other in kept):
            kept.append(finding)

    def _statement(self, statement: Any, inside: list[int]) -> None:
        line = int(statement.loc.line)
        innermost = any(header in self.code.innermost for header in inside)
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
            if operator_of(value) in DIVIDING:
                self._divides(value, line, inside)
        if value.op == "call":
            self._call(value, line, bool(inside))
        self._allocates(statement.target.name, value, line, bool(inside))

    def _access(self, name: str, line: int, inside: list[int], seen: dict[str, int]) -> None:
        array = self.code.root(name)
        kind = self.code.types.get(array)
        value = self.code.value(array)
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
        if not isinstance(self.code.types.get(array), types.Array):
            return
        value = self.code.value(index)
        parts = [each.name for each in value.items] if is_expression(value, "build_tuple") else [index]
        for part in parts:
            kind = self.code.types.get(part)
            made = self.code.value(part)
            if not (isinstance(kind, types.Integer) and is_signed(kind)) or not is_expression(
                made, "binop", "inplace_binop"
            ):
                continue
            if not self._varies(part, inside) or self._uses_memory(part):
                continue
            if bounds(self.code, part)[0] < 0:
                self._found(
                    Kind.WRAPAROUND,
                    line,
                    f"{self.code.shown(array)}[{self.code.shown(index)}]: {self.code.shown(part)} is signed and may be "
                    "below 0 as far as the compiler can tell, so every access asks whether to count from the end",
                    True,
                )

    def _varies(self, name: str, inside: list[int]) -> bool:
        """Whether a value is made anew in each turn of the innermost loop around it."""
        body = min((self.code.loops[header].body for header in inside), key=len)
        return self._varies_in(name, body, set())

    def _varies_in(self, name: str, body: Any, seen: set[str]) -> bool:
        name = self.code.root(name)
        if name in seen or name not in self.code.defined:
            return False
        seen.add(name)
        value, label, _ = self.code.defined[name]
        if label not in body:
            return False
        if name in self.code.turns or is_expression(value, "phi"):
            return True
        return isinstance(value, ir.Expr) and any(self._varies_in(used.name, body, seen) for used in value.list_vars())

    def _uses_memory(self, name: str, depth: int = 0) -> bool:
        """Whether an index comes out of an array or a function: that costs a gather, and the question adds little."""
        value = self.code.value(name)
        if not isinstance(value, ir.Expr) or depth > 12:
            return False
        if value.op in ("getitem", "static_getitem"):
            return not self.code.is_extent(value)
        if value.op == "call":
            return self.code.callee(value)[0] not in PLAIN_CALLS
        return value.op in ("binop", "inplace_binop", "cast", "unary") and any(
            self._uses_memory(used.name, depth + 1) for used in value.list_vars()
        )

    def _promotes(self, target: str, value: Any, line: int, inside: bool) -> None:
        sides = [(value.lhs.name, number_type(self.code.types.get(value.lhs.name)))]
        sides.append((value.rhs.name, number_type(self.code.types.get(value.rhs.name))))
        if number_type(self.code.types.get(target)) != types.float64 or types.float32 not in (sides[0][1], sides[1][1]):
            return
        name, kind = sides[0] if sides[1][1] == types.float32 else sides[1]
        if kind == types.float32 or isinstance(self.code.types.get(name), types.Array):
            return
        cause = self._cause(name, set())
        if not cause:
            return
        arrays = isinstance(self.code.types.get(target), types.Array)
        where = "float32 values are converted and the arithmetic is done in float64, half as many at a time"
        advice = ""
        if "begins as" in cause:
            advice = "Begin the sum with np.float32(0) where float32 is exact enough, and keep it so where it is not."
        self._found(Kind.PROMOTION, line, f"{cause}: {where}", inside or arrays, advice)

    def _cause(self, name: str, seen: set[str]) -> str:
        """Why a number is float64, or a whole one beside float32, in words; "" where it follows from another line."""
        root = self.code.root(name)
        if root in seen:
            return ""
        seen.add(root)
        kind, value = self.code.types.get(root), self.code.value(root)
        if isinstance(kind, (types.Integer, types.Boolean)):
            return f"{self.code.shown(root)} is a whole number of {number_type(kind)}, which makes float64 of float32"
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
                begin = self.code.value(each.name) if isinstance(each, ir.Var) else None
                if isinstance(begin, ir.Const) and isinstance(begin.value, (int, float)):
                    line = self.code.defined[self.code.root(each.name)][2]
                    return f"{self.code.shown(root)} begins as the float64 constant {begin.value!r} in line {line}"
            return ""
        if value.op in ("binop", "inplace_binop"):
            numbers = {number_type(self.code.types.get(side.name)) for side in (value.lhs, value.rhs)}
            if types.float32 in numbers:
                return ""
            causes = [self._cause(side.name, seen) for side in (value.lhs, value.rhs)]
            return f"{self.code.shown(root)} is float64" if all(causes) else ""
        if value.op in ("unary", "cast"):
            return self._cause(value.value.name, seen)
        if value.op == "getattr" and isinstance(self.code.value(value.value.name), (ir.Global, ir.FreeVar)):
            return f"{self.code.shown(root)} is a float64 constant"
        return ""

    def _divides(self, value: Any, line: int, inside: list[int]) -> None:
        kind = number_type(self.code.types.get(value.rhs.name))
        if inside and not any(header in self.code.innermost for header in inside):
            return
        constant = isinstance(self.code.value(value.rhs.name), ir.Const)
        if inside and not constant and not self._varies(value.rhs.name, inside):
            told = f"{self.code.shown(value.rhs.name)} is the same in every turn"
        else:
            told = ""
        if isinstance(kind, types.Integer) and constant:
            return  # by a constant whole number it is a multiplication
        self.summary.divisions.setdefault(line, told)

    def _call(self, value: Any, line: int, inside: bool) -> None:
        kind = self.code.types.get(value.func.name)
        dispatcher = getattr(kind, "dispatcher", None)
        if isinstance(kind, types.ObjModeDispatcher):
            self._found(
                Kind.OBJECT_MODE,
                line,
                "the objmode block runs in the interpreter"
                + (", once in every turn of the loop" if inside else ", with each value boxed and unboxed"),
                True,
            )
        elif isinstance(kind, (types.ExternalFunctionPointer, types.ExternalFunction, types.FunctionType)):
            self.summary.pointers[line] = self.code.shown(value.func.name)
        elif isinstance(dispatcher, Dispatcher):
            signature = self.code.calltypes.get(value)
            plain = None if signature is None or value.kws or value.vararg else tuple(signature.args)
            self.summary.calls.append(Called(dispatcher, plain, line, inside))

    def _allocates(self, target: str, value: Any, line: int, inside: bool) -> None:
        kind = self.code.types.get(target)
        what = ""
        if value.op == "call" and isinstance(kind, types.Array):
            name, _ = self.code.callee(value)
            called = self.code.types.get(value.func.name)
            if isinstance(called, types.Dispatcher) or name in VIEWS or not name:
                return
            what = f"{name}(…) allocates an array"
        elif value.op in ("binop", "unary") and isinstance(kind, types.Array):
            what = f"{self.code.shown(target)} allocates an array for its result"
        elif value.op == "getitem" and isinstance(kind, types.Array):
            index = self.code.types.get(value.index.name)
            parts = getattr(index, "types", [index])
            if not any(isinstance(part, types.Array) for part in parts):
                return
            what = f"{self.code.shown(target)} copies the chosen elements into an array"
        elif value.op in ("build_list", "build_set", "build_map"):
            what = f"a {value.op.removeprefix('build_')} is allocated"
        if what:
            when = "in every turn of the loop" if inside else "in every call, and it is called in a loop"
            self._found(Kind.ALLOCATION, line, f"{what} {when}", inside)

    def _adds_in_order(self, line: int, name: str) -> None:
        self._found(
            Kind.REDUCTION,
            line,
            f"{name} is summed up one after the other, each addition waiting for the one before; without `reassoc` the "
            "order is kept, and the loop cannot go on in vectors",
            True,
        )
