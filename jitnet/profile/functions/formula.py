"""The formulas of `--flop` and `--bytes`: arithmetic over the arguments' extents and numbers, and nothing else."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from jitnet.errors import UsageError

__all__ = ["check_formula", "evaluate"]

OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "len": lambda value: value["shape"][0] if isinstance(value, Mapping) else len(value),
    "log2": math.log2,
    "sqrt": math.sqrt,
}
ATTRIBUTES = ("shape", "size", "nbytes", "ndim", "itemsize")

LARGEST_POWER = 64


def check_formula(option: str, formula: str) -> None:
    """Raise UsageError where a formula is not of the form that `evaluate` knows. Its names are not looked up."""
    for node in ast.walk(_parsed(option, formula)):
        known = (ast.Expression, ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Tuple, ast.expr_context)
        if isinstance(node, (*known, *OPERATORS)):
            continue
        if isinstance(node, ast.Attribute) and node.attr in ATTRIBUTES:
            continue
        if isinstance(node, ast.Subscript):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
            continue
        raise _error(option, formula, f"{ast.unparse(node) or type(node).__name__} is not part of a formula")


def evaluate(option: str, formula: str, names: Mapping[str, Any]) -> float:
    """Return the value of a formula for these arguments.

    names: for each argument a number, a list for a tuple, or for an array {"shape", "size", "nbytes", "ndim",
    "itemsize"}. Known are + - * / // % **, min, max, len, sqrt, log2, x.shape[0], x.size, x.nbytes, x.ndim, x.itemsize
    and the numbers by name. UsageError where a name is unknown or the result is not a number of 0 or more.
    """
    check_formula(option, formula)
    try:
        result = _value(_parsed(option, formula).body, names)
    except (ArithmeticError, TypeError, ValueError, IndexError, KeyError) as error:
        known = ", ".join(names) or "none"
        what = f"{error.args[0]!r} is unknown" if isinstance(error, KeyError) else str(error)
        raise _error(option, formula, f"{what}; the arguments are {known}") from None
    if isinstance(result, bool) or not isinstance(result, (int, float)) or not 0 <= result < math.inf:
        raise _error(option, formula, f"its value is {result!r}, expected a number of 0 or more")
    return float(result)


def _parsed(option: str, formula: str) -> ast.Expression:
    try:
        return ast.parse(formula.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise _error(option, formula, "it cannot be read") from None


def _error(option: str, formula: str, what: str) -> UsageError:
    return UsageError(f'{option} "{formula}": {what}; write it like "2 * x.shape[0] * x.shape[1]" or "3 * x.nbytes"')


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, names), _value(node.right, names)
        if not all(isinstance(side, (int, float)) for side in (left, right)):
            raise TypeError("arithmetic needs numbers, as x.size or x.shape[0] are")
        if isinstance(node.op, ast.Pow) and abs(right) > LARGEST_POWER:
            raise ValueError(f"a power of more than {LARGEST_POWER}")
        return OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Attribute):
        value = _value(node.value, names)
        if not isinstance(value, Mapping):
            raise TypeError(f"{ast.unparse(node.value)} is not an array")
        return value[node.attr]
    if isinstance(node, ast.Subscript):
        value, index = _value(node.value, names), _value(node.slice, names)
        if not isinstance(value, (list, tuple)) or not isinstance(index, int):
            raise TypeError(f"{ast.unparse(node)} is out of range")
        return value[index]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return FUNCTIONS[node.func.id](*(_value(argument, names) for argument in node.args))
    raise TypeError(f"{ast.unparse(node)} is not a number")
