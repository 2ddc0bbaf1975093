"""Magnitudes of complex numbers, from their real and imaginary parts.

`abs` scales the parts so that their squares cannot overflow, which costs a call and several divisions.
"""

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["magnitudes"]

ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def magnitudes(reading: Reading) -> Iterator[Rewrite]:
    """Yield the change of all magnitudes of complex numbers; where two are compared, or one is with a constant of at
    least 0, their squares are."""
    places, done = [], set()
    for node in walk(reading.node):
        if id(node) in done:
            continue
        try:
            found = _compared(reading, node) or _squared(reading, node) or _alone(reading, node)
        except Unchangeable:
            continue
        if found is not None:
            done |= {id(each) for each in ast.walk(node)}
            what, edits = found
            places.append((node.lineno, f"{ast.unparse(node)} {what}", edits))  # type: ignore[attr-defined]
    change = "magnitudes computed from real and imaginary parts"
    yield from reading.changes(Kind.MAGNITUDE, places, change, exact=False)


def _number(reading: Reading, node: Any) -> Any:
    """Return the complex number of which an expression is the magnitude; None where it is none."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        function = reading.types.value(node.func)
        if function is abs or function is np.abs:
            number = node.args[0]
            return number if isinstance(reading.type_of(number), types.Complex) else None
    return None


def _square(reading: Reading, number: Any) -> tuple[str, list[Edit]]:
    name, edits = reading.reusable(number, ("number", "complex_number"))
    return f"{name}.real * {name}.real + {name}.imag * {name}.imag", edits


def _compared(reading: Reading, node: Any) -> tuple[str, list[Edit]] | None:
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or not isinstance(node.ops[0], ORDERS):
        return None
    sides, edits = [], []
    numbers = [_number(reading, side) for side in (node.left, node.comparators[0])]
    if not any(numbers):
        return None
    for side, number in zip((node.left, node.comparators[0]), numbers, strict=True):
        if number is not None:
            text, more = _square(reading, number)
            edits += more
        else:
            limit = reading.types.number(side)
            if limit is None or not 0 <= limit < 1e18:
                return None
            text = (
                repr(limit * limit) if isinstance(side, ast.Constant) else f"{ast.unparse(side)} * {ast.unparse(side)}"
            )
        sides.append(text)
    begin, end = reading.source.begin(node.left), reading.source.end(node.left)
    other = node.comparators[0]
    edits.append(Edit(begin, end, sides[0]))
    edits.append(Edit(reading.source.begin(other), reading.source.end(other), sides[1]))
    return "compares a magnitude: its square is enough", edits


def _squared(reading: Reading, node: Any) -> tuple[str, list[Edit]] | None:
    if not isinstance(node, ast.BinOp):
        return None
    number = _number(reading, node.left)
    if number is None:
        return None
    twice = isinstance(node.op, ast.Mult) and ast.unparse(node.left) == ast.unparse(node.right)
    if not twice and not (isinstance(node.op, ast.Pow) and reading.types.number(node.right) == 2):
        return None
    text, edits = _square(reading, number)
    return "squares a root", [*edits, reading.source.replace(node, text)]


def _alone(reading: Reading, node: Any) -> tuple[str, list[Edit]] | None:
    number, root = _number(reading, node), reading.types.square_root()
    if number is None or not root:
        return None
    text, edits = _square(reading, number)
    return "scales the parts so that no square overflows", [*edits, reading.source.replace(node, f"{root}({text})")]
