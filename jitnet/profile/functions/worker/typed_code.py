"""Hints from the types that Numba inferred, and from the structure of the code.

Each function of the user's is read as it is compiled, statement by statement, directly after type inference and before
anything is rewritten (`typed_function`). What concerns a whole loop is in separate files: `sums` and `race_suspects`.
"""

import operator
from pathlib import Path
from typing import Any

import numba
from numba import types

from jitnet.compiler.numba_parts import BaseTypeInference, Dispatcher, ir
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.bounds import bounds
from jitnet.profile.functions.worker.container_accesses import container_access
from jitnet.profile.functions.worker.kept import VIEWS, Kept
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

PLAIN_CALLS = {"int", "int32", "int64", "intp", "len", "min", "max", "abs"}
"""Calls whose result is still a plain index."""

DIVIDING = {operator.truediv, operator.itruediv, operator.floordiv, operator.ifloordiv, operator.mod, operator.imod}


def watch_compiler(summaries: list[Summary]) -> None:
    """From now on, read every function of the user's as it is compiled, and append its summary to `summaries`."""
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
"""Functions that could not be read, each with the reason; the profile reports them."""


def read_types(state: Any) -> Summary:
    """Return the summary of the function that the compiler is working on."""
    return _Reader(state).read()


def _fastmath(flags: Any) -> frozenset[str]:
    return frozenset(getattr(flags.fastmath, "flags", ()) or ())


def _types_of_names(found: Any) -> dict[str, tuple[Any, ...]]:
    """Return the types of each variable of the source, over all places where it is assigned."""
    names: dict[str, tuple[Any, ...]] = {}
    for name, kind in found.items():
        if not name.startswith(("$", "arg.")):
            plain, kind = name.split(".")[0], types.unliteral(kind)
            names[plain] = tuple(dict.fromkeys((*names.get(plain, ()), kind)))
    return names


class _Reader:
    """Walks a function's code once, statement by statement, and collects its summary."""

    def __init__(self, state: Any) -> None:
        self.code = TypedFunction(state)
        self.kept = Kept(self.code)
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
            names=_types_of_names(state.typemap),
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
                    self._ordered_sum(line, name)
        if summary.parallel:
            summary.shared = race_suspects(code)
        return summary

    def _found(self, kind: Kind, line: int, reason: str, inside: bool, advice: str = "", kept: str = "") -> None:
        finding = Finding(kind, self.summary.file, line, reason, advice, kept)
        known = self.summary.findings if inside else self.summary.in_loops_only
        if not any(other.kind == kind and other.line == line for other in known):
            known.append(finding)

    def _statement(self, statement: Any, inside: list[int]) -> None:
        line = int(statement.loc.line)
        innermost = any(header in self.code.innermost for header in inside)
        if inside and (access := container_access(self.code, statement)):
            self.summary.containers.append((line, access))
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
            self._call(statement.target.name, value, line, bool(inside))
        self._allocates(statement.target.name, value, line, bool(inside))

    def _access(self, name: str, line: int, inside: list[int], seen: dict[str, int]) -> None:
        array = self.code.root(name)
        kind = self.code.types.get(array)
        value = self.code.value(array)
        if not isinstance(value, ir.Arg) or not isinstance(kind, types.Array):
            return
        argument = str(value.name)
        if inside or argument not in seen:
            seen.setdefault(argument, line)
        if inside and kind.layout == "A":
            self._found(
                Kind.LAYOUT,
                line,
                f"{argument} has the type {kind}: its elements may be strided, so every access multiplies by a stride",
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
                whole, signed = self.code.as_written(index), self.code.as_written(part)
                self._found(
                    Kind.WRAPAROUND,
                    line,
                    f"{self.code.as_written(array)}[{whole}]: {signed} is signed and may be below 0 as far as the "
                    "compiler knows, so every access tests whether to count from the end",
                    True,
                )

    def _varies(self, name: str, inside: list[int]) -> bool:
        """Whether a value changes in each iteration of the innermost loop around it."""
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
        if name in self.code.induction or is_expression(value, "phi"):
            return True
        return isinstance(value, ir.Expr) and any(self._varies_in(used.name, body, seen) for used in value.list_vars())

    def _uses_memory(self, name: str, depth: int = 0) -> bool:
        """Whether an index comes from an array or a function: that costs a gather, beside which the test is cheap."""
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
            advice = "Begin the sum with np.float32(0) where float32 is exact enough; otherwise leave it as it is."
        self._found(Kind.PROMOTION, line, f"{cause}: {where}", inside or arrays, advice)

    def _cause(self, name: str, seen: set[str]) -> str:
        """Return why a number is float64, or an integer beside float32; "" where the cause is another line."""
        root = self.code.root(name)
        if root in seen:
            return ""
        seen.add(root)
        kind, value = self.code.types.get(root), self.code.value(root)
        if isinstance(kind, (types.Integer, types.Boolean)):
            return f"{self.code.as_written(root)} is an integer, {number_type(kind)}, which converts float32 to float64"
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
                    return f"{self.code.as_written(root)} begins as the float64 constant {begin.value!r} in line {line}"
            return ""
        if value.op in ("binop", "inplace_binop"):
            numbers = {number_type(self.code.types.get(side.name)) for side in (value.lhs, value.rhs)}
            if types.float32 in numbers:
                return ""
            causes = [self._cause(side.name, seen) for side in (value.lhs, value.rhs)]
            return f"{self.code.as_written(root)} is float64" if all(causes) else ""
        if value.op in ("unary", "cast"):
            return self._cause(value.value.name, seen)
        if value.op == "getattr" and isinstance(self.code.value(value.value.name), (ir.Global, ir.FreeVar)):
            return f"{self.code.as_written(root)} is a float64 constant"
        return ""

    def _divides(self, value: Any, line: int, inside: list[int]) -> None:
        kind = number_type(self.code.types.get(value.rhs.name))
        if inside and not any(header in self.code.innermost for header in inside):
            return
        constant = isinstance(self.code.value(value.rhs.name), ir.Const)
        divided = number_type(self.code.types.get(value.lhs.name))
        whole = isinstance(kind, types.Integer) and isinstance(divided, types.Integer)
        whole = whole and operator_of(value) is not operator.truediv
        if constant and whole:
            return  # the compiler multiplies instead
        if whole:
            self.summary.whole_divisors.add(line)
        reason = ""
        if constant:
            reason = f"it divides by the constant {self.code.as_written(value.rhs.name)}"
            self.summary.constant_divisors.add(line)
        elif inside and not self._varies(value.rhs.name, inside):
            reason = f"{self.code.as_written(value.rhs.name)} is the same in every iteration"
        self.summary.divisions.setdefault(line, reason)
        arrays = [isinstance(self.code.types.get(side.name), types.Array) for side in (value.lhs, value.rhs)]
        if not constant and not any(arrays):  # whole arrays are divided by NumPy's rules
            self.summary.tested_divisors[line] = self.summary.tested_divisors.get(line, False) or bool(inside)

    def _call(self, target: str, value: Any, line: int, inside: bool) -> None:
        kind = self.code.types.get(value.func.name)
        dispatcher = getattr(kind, "dispatcher", None)
        if isinstance(kind, types.ObjModeDispatcher):
            self._found(
                Kind.OBJECT_MODE,
                line,
                "the objmode block runs in the interpreter"
                + (", once in every iteration of the loop" if inside else ", with each value boxed and unboxed"),
                True,
            )
        elif isinstance(kind, (types.ExternalFunctionPointer, types.ExternalFunction, types.FunctionType)):
            self.summary.pointers[line] = self.code.as_written(value.func.name)
        elif isinstance(dispatcher, Dispatcher):
            signature = self.code.calltypes.get(value)
            plain = None if signature is None or value.kws or value.vararg else tuple(signature.args)
            kept = self.kept.stored(target) or self.kept.returned(target)
            self.summary.calls.append(Called(dispatcher, plain, line, inside, kept))

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
            what = f"{self.code.as_written(target)} allocates an array for its result"
        elif value.op == "getitem" and isinstance(kind, types.Array):
            index = self.code.types.get(value.index.name)
            parts = getattr(index, "types", [index])
            if not any(isinstance(part, types.Array) for part in parts):
                return
            what = f"{self.code.as_written(target)} copies the chosen elements into an array"
        elif value.op in ("build_list", "build_set", "build_map"):
            what = f"a {value.op.removeprefix('build_')} is allocated"
        if what:
            when = "in every iteration of the loop" if inside else "in every call, and it is called in a loop"
            kept = "stored" if self.kept.stored(target) else ""
            kept = kept or ("returned" if not inside and self.kept.returned(target) else "")
            self._found(Kind.ALLOCATION, line, f"{what} {when}", inside, kept=kept)

    def _ordered_sum(self, line: int, name: str) -> None:
        self._found(
            Kind.REDUCTION,
            line,
            f"{name} is summed in order, each addition waiting for the one before; without `reassoc` that order is "
            "fixed, and the loop cannot be vectorised",
            True,
        )
