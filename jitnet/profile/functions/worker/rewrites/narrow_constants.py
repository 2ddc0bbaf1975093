"""float64 constants and integers beside float32 values, as float32."""

import ast
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_source import Edit, walk
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["narrow_constants"]

ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div)


def narrow_constants(reading: Reading) -> Iterator[Rewrite]:
    """Yield the change that does all arithmetic on float32 values in float32, for each line that promotes one.

    Elements of float64 arrays stay float64, and what is computed from them.
    """
    summary = reading.summary
    found = {each.line: each for each in [*summary.in_loops_only, *summary.findings] if each.kind is Kind.PROMOTION}
    narrow = reading.types.numpy("float32")
    if not found or not narrow:
        return
    values = [
        (each, each.value) for each in walk(reading.node) if isinstance(each, (ast.Assign, ast.AugAssign, ast.Return))
    ]
    promoted = _promoted(reading, values)
    edits: list[Edit] = []
    for statement, value in values:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        summed = isinstance(target, ast.Name) and target.id in promoted
        if value is not None and (_is_mixed(reading, value, promoted) or (summed and _is_constant(reading, value))):
            edits += _narrowed(reading, value, promoted, narrow)
    if edits:
        advice = (
            "Write np.float32(…) around it where float32 is exact enough: results have 7 digits, a long sum has fewer."
        )
        places = [(line, each.reason, edits) for line, each in found.items()]
        change = "constants beside float32 values made float32"
        yield from reading.changes(Kind.PROMOTION, places, change, exact=False, advice=advice)


def _promoted(reading: Reading, values: list[Any]) -> set[str]:
    """Return the variables that are float64 only since they are computed from float32 and constants."""
    assignments: dict[str, list[Any]] = {}
    for statement, value in values:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            for name in ast.walk(target) if target is not None else ():
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    assignments.setdefault(name.id, []).append(value if target is name else None)
    for node in ast.walk(reading.node):
        if isinstance(node, (ast.For, ast.NamedExpr)):
            for name in ast.walk(node.target):
                if isinstance(name, ast.Name):
                    assignments.setdefault(name.id, []).append(None)
    candidates = {
        name
        for name in assignments
        if name not in reading.arguments
        and set(reading.types.names.get(name, ())) & {types.float64}
        and set(reading.types.names[name]) <= {types.float64, types.intp}
    }
    while True:
        kept = {
            name
            for name in candidates
            if None not in assignments[name]
            and all(_is_constant(reading, each) or _is_mixed(reading, each, candidates) for each in assignments[name])
            and any(_is_mixed(reading, each, candidates - {name}) for each in assignments[name])
        }
        if kept == candidates:
            return kept
        candidates = kept


def _is_constant(reading: Reading, node: Any) -> bool:
    return reading.types.number(node) is not None


def _is_mixed(reading: Reading, node: Any, promoted: set[str]) -> bool:
    """Whether an expression computes with float32 values, and with nothing that is float64 for a reason."""
    leaves = list(_leaves(reading, node))
    narrow = [each for each in leaves if _is_narrow(reading, each, promoted)]
    return bool(narrow) and all(each in narrow or _may_be_narrow(reading, each) for each in leaves)


def _is_narrow(reading: Reading, node: Any, promoted: set[str]) -> bool:
    return reading.type_of(node) == types.float32 or (isinstance(node, ast.Name) and node.id in promoted)


def _may_be_narrow(reading: Reading, node: Any) -> bool:
    """Whether a value may be rounded to float32: a constant, an argument, or an integer variable."""
    kind = reading.type_of(node)
    if _is_constant(reading, node):
        return True
    return isinstance(node, ast.Name) and (
        isinstance(kind, types.Integer) or (kind == types.float64 and node.id in reading.arguments)
    )


def _leaves(reading: Reading, node: Any) -> Iterator[Any]:
    """Yield the values that an expression computes with."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ARITHMETIC):
        yield from _leaves(reading, node.left)
        yield from _leaves(reading, node.right)
    elif isinstance(node, ast.UnaryOp) and not _is_constant(reading, node):
        yield from _leaves(reading, node.operand)
    elif isinstance(node, ast.Call) and reading.types.is_pure(node) and isinstance(reading.type_of(node), types.Float):
        if reading.type_of(node) == types.float32 or isinstance(reading.types.value(node.func), type):
            yield node
        else:
            for each in node.args:
                yield from _leaves(reading, each)
    else:
        yield node


def _narrowed(reading: Reading, value: Any, promoted: set[str], narrow: str) -> Iterator[Edit]:
    for leaf in _leaves(reading, value):
        if not _is_narrow(reading, leaf, promoted):
            text = reading.source.segment(leaf)
            yield Edit(reading.source.begin(leaf), reading.source.end(leaf), f"{narrow}({text})")
