"""A function after Numba's type inference: its names and its loops.

Each variable has one type there, each use has its line, and a `prange` is still a call.
"""

import operator
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import compute_cfg_from_blocks, ir

__all__ = ["SIGNS", "TypedFunction", "is_expression", "is_signed", "number_type", "operator_of", "static_parts"]

SIGNS = {
    operator.add: "+", operator.iadd: "+=", operator.sub: "-", operator.isub: "-=", operator.mul: "*",
    operator.imul: "*=", operator.truediv: "/", operator.itruediv: "/=", operator.floordiv: "//",
    operator.ifloordiv: "//=", operator.mod: "%", operator.imod: "%=", operator.pow: "**", operator.ipow: "**=",
    operator.lshift: "<<", operator.rshift: ">>", operator.and_: "&", operator.or_: "|", operator.xor: "^",
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==", operator.ne: "!=",
    operator.matmul: "@",
}  # fmt: skip

LEAST, WHOLE = 1, 9
BINDS = (
    dict.fromkeys((operator.or_,), 2)
    | dict.fromkeys((operator.xor,), 3)
    | dict.fromkeys((operator.and_,), 4)
    | dict.fromkeys((operator.lshift, operator.rshift), 5)
    | dict.fromkeys((operator.add, operator.sub), 6)
    | dict.fromkeys((operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.matmul), 7)
    | {operator.pow: 8}
)
"""How strongly an operator binds its operands; comparisons the least, a name or a call as a whole."""


class TypedFunction:
    """The compiler's state of one function, for one signature.

    types: of each variable. blocks: its code. calltypes: the signature of each call. defined: the value assigned to
    each variable, with its block and line. loops: by their header block; innermost: the headers of those without
    another inside. induction: for the induction variable of each for loop, the header of that loop.
    """

    def __init__(self, state: Any) -> None:
        self.types: dict[str, Any] = dict(state.typemap)
        self.blocks: dict[int, Any] = state.func_ir.blocks
        self.calltypes: Any = state.calltypes
        self.defined: dict[str, tuple[Any, int, int]] = {}
        for label, block in self.blocks.items():
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    self.defined[statement.target.name] = statement.value, label, statement.loc.line
        self.loops: dict[int, Any] = dict(compute_cfg_from_blocks(self.blocks).loops())
        self.innermost = {
            header
            for header, loop in self.loops.items()
            if not any(other != header and other in loop.body for other in self.loops)
        }
        self.induction: dict[str, int] = {}
        for header in self.loops:
            for name in self._induction_variables(header):
                self.induction[name] = header

    # What a name refers to.

    def value(self, name: str) -> Any:
        """Return the value of a name, through copies of copies; None for an argument and where it is unknown."""
        seen = set()
        while name in self.defined and name not in seen:
            seen.add(name)
            value = self.defined[name][0]
            if not isinstance(value, ir.Var):
                return value
            name = value.name
        return None

    def root(self, name: str) -> str:
        """Return the first name of a chain of copies."""
        seen = set()
        while name in self.defined and name not in seen and isinstance(self.defined[name][0], ir.Var):
            seen.add(name)
            name = self.defined[name][0].name
        return name

    def callee(self, expression: Any) -> tuple[str, Any]:
        """Return what a call calls: its name, and the function where it is known."""
        value = self.value(expression.func.name)
        if isinstance(value, (ir.Global, ir.FreeVar)):
            return str(getattr(value.value, "__name__", value.name)), value.value
        if isinstance(value, ir.Expr) and value.op == "getattr":
            owner = self.value(value.value.name)
            if isinstance(owner, (ir.Global, ir.FreeVar)):
                return str(value.attr), getattr(owner.value, value.attr, None)
            return str(value.attr), None
        return "", None

    def as_written(self, name: str) -> str:
        """Return a name as the user wrote it: `s` for `s.2`; a temporary variable as its expression."""
        return self._written(name)[0]

    def _inside(self, name: str, binds: int, *, more: bool = False) -> str:
        """Return a name as it is written inside an expression whose operator binds so strongly; more: the operand has
        to bind more strongly, as the right one of a difference."""
        text, strength = self._written(name)
        return f"({text})" if strength < binds + more else text

    def _written(self, name: str) -> tuple[str, int]:
        """Return a name as the user wrote it, and how strongly its outermost operator binds."""
        while name.startswith("$") and name in self.defined and isinstance(self.defined[name][0], ir.Var):
            name = self.defined[name][0].name
        if not name.startswith("$"):
            return name.split(".")[0], WHOLE
        value = self.value(name)
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
            return repr(value.value) if isinstance(value, ir.Const) else str(value.name), WHOLE
        if isinstance(value, ir.Expr):
            if value.op == "getattr":
                return f"{self._inside(value.value.name, WHOLE)}.{value.attr}", WHOLE
            if value.op == "getitem":
                return f"{self._inside(value.value.name, WHOLE)}[{self.as_written(value.index.name)}]", WHOLE
            if value.op == "static_getitem":
                return f"{self._inside(value.value.name, WHOLE)}[{value.index}]", WHOLE
            if value.op in ("binop", "inplace_binop"):
                function = operator_of(value)
                sign, binds = SIGNS.get(function, "?"), BINDS.get(function, LEAST)
                right_first = function is operator.pow
                left = self._inside(value.lhs.name, binds, more=right_first)
                right = self._inside(value.rhs.name, binds, more=not right_first)
                return f"{left} {sign} {right}", binds
            if value.op == "unary":
                sign = {operator.not_: "not ", operator.invert: "~", operator.pos: "+"}.get(value.fn, "-")
                binds = LEAST if value.fn is operator.not_ else BINDS[operator.mul]
                return f"{sign}{self._inside(value.value.name, binds, more=True)}", binds
            if value.op == "build_tuple":
                return ", ".join(self.as_written(item.name) for item in value.items), LEAST - 1
            if value.op == "call":
                return f"{self.callee(value)[0]}(…)", WHOLE
            if value.op == "cast":
                return self._written(value.value.name)
        return "…", WHOLE

    # Loops.

    def head(self, header: int) -> Iterator[Any]:
        """Yield the statements at a loop's begin: those of its header, and of blocks that always follow it.

        The byte code of a long loop has an EXTENDED_ARG before its FOR_ITER, which is then a block of its own.
        """
        seen: set[int] = set()
        while header not in seen:
            seen.add(header)
            yield from self.blocks[header].body
            targets = self.blocks[header].terminator.get_targets()
            if len(targets) == 1:
                header = targets[0]

    def _induction_variables(self, header: int) -> Iterator[str]:
        """Yield the names of a for loop's induction variable."""
        pairs = set()
        for statement in self.head(header):
            if not isinstance(statement, ir.Assign) or not isinstance(statement.value, ir.Expr):
                continue
            if statement.value.op == "iternext":
                pairs.add(statement.target.name)
            elif statement.value.op == "pair_first" and statement.value.value.name in pairs:
                yield statement.target.name

    def range_of(self, header: int) -> tuple[str, list[str]]:
        """Return what a for loop iterates over: "range", "prange" or "", and the names of its arguments."""
        for statement in self.head(header):
            value = getattr(statement, "value", None)
            if isinstance(value, ir.Expr) and value.op == "iternext":
                made = self.value(value.value.name)
                if isinstance(made, ir.Expr) and made.op == "getiter":
                    called = self.value(made.value.name)
                    if isinstance(called, ir.Expr) and called.op == "call":
                        name, function = self.callee(called)
                        name = "prange" if "prange" in name else name
                        if name == "prange" or function is range:
                            return name, [argument.name for argument in called.args]
        return "", []

    def is_parallel(self, header: int) -> bool:
        """Whether a loop's iterations are split among threads."""
        return self.range_of(header)[0] == "prange"

    def line_of_loop(self, header: int) -> int:
        """Return the line of a loop's header."""
        return int(self.blocks[header].loc.line)

    def depends_on(self, name: str, on: str, seen: set[str] | None = None) -> bool:
        """Whether a value depends on another, in any number of steps."""
        seen = set() if seen is None else seen
        name = self.root(name)
        if name == on:
            return True
        if name in seen:
            return False
        seen.add(name)
        value = self.value(name)
        if not isinstance(value, ir.Expr):
            return False
        return any(self.depends_on(used.name, on, seen) for used in value.list_vars())

    def is_extent(self, value: Any) -> bool:
        """Whether a value is an array's size, or one of its shape."""
        if value.op == "getattr":
            return value.attr in ("size", "ndim", "nbytes")
        owner = self.value(value.value.name)
        while isinstance(owner, ir.Expr) and owner.op == "exhaust_iter":
            owner = self.value(owner.value.name)
        return isinstance(owner, ir.Expr) and owner.op == "getattr" and owner.attr == "shape"


def is_expression(value: Any, *operations: str) -> bool:
    """Whether a value is an expression of one of these kinds."""
    return isinstance(value, ir.Expr) and value.op in operations


def operator_of(value: Any) -> Any:
    """Return Python's function for a binary expression; for `+=` that of `+`."""
    return value.immutable_fn if value.op == "inplace_binop" else value.fn


def is_signed(kind: Any) -> bool:
    """Whether an integer type is signed."""
    return bool(kind.signed)


def number_type(kind: Any) -> Any:
    """Return the type of a number, or of an array's elements; literals as their plain type."""
    if isinstance(kind, types.Array):
        return kind.dtype
    if isinstance(kind, types.Literal):
        return kind.literal_type
    return kind


def static_parts(index: Any) -> list[Any]:
    """Return the parts of a constant index, wrapped so that none of them looks like a name."""
    return [("constant", part) for part in index] if isinstance(index, tuple) else [("constant", index)]
