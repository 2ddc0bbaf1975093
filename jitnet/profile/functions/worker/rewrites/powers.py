"""Powers with a constant exponent that the compiler leaves to a function, as products and square roots."""

import ast
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_source import Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["powers"]

LARGEST = 6
"""The largest exponent that becomes a product."""


def powers(reading: Reading) -> Iterator[Rewrite]:
    """Yield the change of all powers of floating-point numbers that can be products.

    `x**2.0` is not among them, nor `x**3` with an integer: the compiler makes products of these.
    """
    places = []
    for node in walk(reading.node):
        found = _base_and_exponent(reading, node)
        if found is None:
            continue
        try:
            text, edits = _product(reading, *found)
        except Unchangeable:
            continue
        reason = (
            f"{ast.unparse(node)} is computed by a function for any exponent, and its exponent is always {found[1]}"
        )
        places.append((node.lineno, reason, [*edits, reading.source.replace(node, text)]))  # type: ignore[attr-defined]
    advice = "Write products, and a square root where the exponent ends in a half; the last digits may differ."
    if any("sqrt" in edit.text for place in places for edit in place[2]):
        advice += " For -inf the result is nan, and for -0.0 its sign may differ."
    yield from reading.changes(Kind.POWER, places, "powers written as products", exact=False, advice=advice)


def _base_and_exponent(reading: Reading, node: Any) -> tuple[Any, float | int] | None:
    """Return what is raised to which power, where that is a call of a function; else None."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        exponent = reading.types.number(node.right)
        return None if exponent is None or isinstance(exponent, int) or exponent == 2 else (node.left, exponent)
    if isinstance(node, ast.Call) and len(node.args) == 2 and not node.keywords:
        exponent = reading.types.number(node.args[1])
        if exponent is not None and any(reading.types.value(node.func) is each for each in (math.pow, np.power, pow)):
            return node.args[0], exponent
    return None


def _product(reading: Reading, base: Any, exponent: float | int) -> tuple[str, list[Any]]:
    """Return the text of the product, and edits that it needs. Raises Unchangeable where there is none."""
    kind = reading.type_of(base)
    number = getattr(kind, "dtype", kind)
    size, half = int(abs(exponent)), abs(exponent) % 1 == 0.5
    if not (half or exponent % 1 == 0) or size > LARGEST or (size == 0 and not half):
        raise Unchangeable("not a product")
    if not isinstance(number, types.Float) and not (isinstance(number, types.Complex) and not half):
        raise Unchangeable("not a floating-point number")
    if exponent < 0 and reading.checks_zero:
        raise Unchangeable("1 / 0 raises an exception, and 0**-1.0 does not")
    narrow = number in (types.float32, types.complex64)
    if narrow and isinstance(kind, types.Array):
        raise Unchangeable("its result is float64")
    wide = reading.types.numpy("float64" if number == types.float32 else "complex128") if narrow else ""
    if narrow and not wide:
        raise Unchangeable("NumPy has no name here")
    root = (
        (reading.types.numpy("sqrt") if isinstance(kind, types.Array) else reading.types.square_root()) if half else ""
    )
    if half and not root:
        raise Unchangeable("no name for a square root")
    name, edits = reading.reusable(base, ("base", "power_base"), wide)
    text = " * ".join([name] * size + [f"{root}({name})"] * half)
    if exponent < 0:
        text = f"1.0 / ({text})" if size + half > 1 else f"1.0 / {text}"
    return text, edits
