"""Bounds of an integer that follow from the code: those that LLVM can find too."""

import operator
from typing import Any

import numpy as np
from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_signed, operator_of

__all__ = ["bounds"]

Bounds = tuple[float, float]
"""The smallest and the largest value that a number can have."""

UNKNOWN: Bounds = (-np.inf, np.inf)

DEPTH = 24
"""How deep nested expressions are followed."""


def bounds(code: TypedFunction, name: str, assumed: dict[str, Bounds] | None = None, depth: int = 0) -> Bounds:
    """Return the smallest and the largest value that a variable can have. assumed: bounds of other variables."""
    kind = code.types.get(name)
    unsigned = isinstance(kind, types.Integer) and not is_signed(kind)
    low, high = _plain_bounds(code, name, assumed or {}, depth)
    return (max(low, 0.0), high) if unsigned else (low, high)


def _plain_bounds(code: TypedFunction, name: str, assumed: dict[str, Bounds], depth: int) -> Bounds:
    name = code.root(name)
    if name in assumed:
        return assumed[name]
    if depth > DEPTH:
        return UNKNOWN
    kind = code.types.get(name)
    if isinstance(kind, types.IntegerLiteral):
        return float(kind.literal_value), float(kind.literal_value)
    header = code.induction.get(name)
    if header is not None:
        return _induction_bounds(code, header, assumed, depth)
    value = code.value(name)
    if isinstance(value, (ir.Const, ir.Global, ir.FreeVar)):
        number = value.value
        return (float(number), float(number)) if isinstance(number, (int, np.integer)) else UNKNOWN
    if not isinstance(value, ir.Expr):
        return UNKNOWN
    if value.op == "cast":
        return bounds(code, value.value.name, assumed, depth + 1)
    if value.op == "phi":
        return _phi_bounds(code, name, value, assumed, depth)
    if value.op in ("getattr", "static_getitem", "getitem"):
        return (0.0, np.inf) if code.is_extent(value) else UNKNOWN
    if value.op in ("binop", "inplace_binop"):
        left = bounds(code, value.lhs.name, assumed, depth + 1)
        right = bounds(code, value.rhs.name, assumed, depth + 1)
        return _arithmetic(operator_of(value), left, right)
    if value.op == "call":
        called, _ = code.callee(value)
        inside = [bounds(code, argument.name, assumed, depth + 1) for argument in value.args]
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
    return UNKNOWN


def _induction_bounds(code: TypedFunction, header: int, assumed: dict[str, Bounds], depth: int) -> Bounds:
    """Return the bounds of the induction variable of a for loop."""
    _, names = code.range_of(header)
    if not names:
        return UNKNOWN
    inside = [bounds(code, name, assumed, depth + 1) for name in names]
    start, stop = ((0.0, 0.0), inside[0]) if len(inside) == 1 else (inside[0], inside[1])
    step = inside[2] if len(inside) == 3 else (1.0, 1.0)
    if step[0] > 0:
        return start[0], stop[1] - 1
    if step[1] < 0:
        return stop[0] + 1, start[1]
    return min(start[0], stop[0] + 1), max(start[1], stop[1] - 1)


def _phi_bounds(code: TypedFunction, name: str, value: Any, assumed: dict[str, Bounds], depth: int) -> Bounds:
    """A counter that begins at `low` and only grows stays above it: assumed, then checked for every incoming value."""
    incoming = [each.name for each in value.incoming_values if isinstance(each, ir.Var)]
    begins = [each for each in incoming if not code.depends_on(each, name)]
    if not begins:
        return UNKNOWN
    inside = [bounds(code, each, assumed, depth + 1) for each in begins]
    low, high = min(low for low, _ in inside), max(high for _, high in inside)
    if len(begins) == len(incoming):
        return low, high
    grown = assumed | {name: (low, np.inf)}
    if all(bounds(code, each, grown, depth + 1)[0] >= low for each in incoming):
        return low, np.inf
    return UNKNOWN


def _arithmetic(function: Any, left: Bounds, right: Bounds) -> Bounds:
    """Return the bounds of a result from those of its operands."""
    if function is operator.add:
        return left[0] + right[0], left[1] + right[1]
    if function is operator.sub:
        return left[0] - right[1], left[1] - right[0]
    if function is operator.mul:
        if left[0] >= 0 and right[0] >= 0:
            return _product(left[0], right[0]), _product(left[1], right[1])
        return UNKNOWN
    if function is operator.mod:
        return (0.0, right[1] - 1) if right[0] >= 0 else UNKNOWN
    if function in (operator.floordiv, operator.rshift):
        return (0.0, left[1]) if left[0] >= 0 and right[0] >= 0 else UNKNOWN
    if function is operator.lshift:
        return (0.0, np.inf) if left[0] >= 0 else UNKNOWN
    if function is operator.and_:
        return (0.0, max(left[1], right[1])) if left[0] >= 0 or right[0] >= 0 else UNKNOWN
    return UNKNOWN


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b
