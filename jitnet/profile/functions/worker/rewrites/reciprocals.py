"""Divisions by what is the same in every iteration, as products with its reciprocal."""

import ast
import math
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.liveness import assigned, loaded
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["reciprocals"]


def reciprocals(reading: Reading) -> Iterator[Rewrite]:
    """Yield changes of divisions in loops: by a value that the loop does not change, then by constants."""
    divisions: list[Any] = [
        node for loop in reading.loops() for each in loop.body for node in walk(each) if _divides(node)
    ]
    divisions = list({id(node): node for node in divisions}.values())
    groups: dict[tuple[int, str], list[Any]] = {}
    constants: dict[bool, list[tuple[int, str, list[Edit]]]] = {False: [], True: []}
    for node in divisions:
        divisor = _divisor(node)
        number = reading.types.number(divisor)
        if number:
            exact = abs(math.frexp(number)[0]) == 0.5
            if reading.type_of(divisor) in (types.float64, types.intp):
                text = repr(1.0 / number) if exact and isinstance(divisor, ast.Constant) else None
                reason = f"the divisor {ast.unparse(divisor)} is a constant"
                constants[exact].append((node.lineno, reason, _multiplied(reading, node, text or _inverse_of(divisor))))
        elif reading.source.loops_around(node):
            loop = reading.source.loops_around(node)[0]
            groups.setdefault((id(loop), ast.unparse(divisor)), []).append(node)
    for nodes in groups.values():
        try:
            yield from _by_invariant(reading, reading.source.loops_around(nodes[0])[0], nodes)
        except Unchangeable:
            continue
    advice = "Multiply by its reciprocal; each result is rounded once more."
    yield from reading.changes(
        Kind.DIVISION, constants[False], "divisions by constants written as products", exact=False, advice=advice
    )
    advice = "Multiply by its reciprocal, which is exact for a power of two."
    yield from reading.changes(
        Kind.DIVISION, constants[True], "divisions by powers of two written as products", exact=True, advice=advice
    )


def _divides(node: Any) -> bool:
    return isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)


def _divisor(node: Any) -> Any:
    return node.right if isinstance(node, ast.BinOp) else node.value


def _inverse_of(divisor: Any) -> str:
    return f"(1.0 / {ast.unparse(divisor)})"


def _multiplied(reading: Reading, node: Any, inverse: str) -> list[Edit]:
    """Return edits that make a division a product."""
    source, divisor = reading.source, _divisor(node)
    left = node.left if isinstance(node, ast.BinOp) else node.target
    begin, end = source.end(left), source.begin(divisor)
    between = source.text[begin:end]
    if between.count("/") != 1 or "#" in between:
        raise Unchangeable("a comment in a division")
    at = begin + between.index("/")
    return [Edit(at, at + 1, "*"), Edit(source.begin(divisor), source.end(divisor), inverse)]


def _by_invariant(reading: Reading, loop: Any, nodes: list[Any]) -> list[Rewrite]:
    divisor = _divisor(nodes[0])
    kind = reading.type_of(divisor)
    effects = reading.effects(*loop.body)
    if not isinstance(divisor, ast.Name) or not isinstance(kind, (types.Float, types.Integer)):
        return []
    target = assigned(loop.target) if isinstance(loop, ast.For) else set()
    if loaded(divisor) & (effects.names | target) or reading.is_parallel(loop):
        return []
    name = reading.fresh(f"inverse_{divisor.id}", f"reciprocal_{divisor.id}")
    lefts = [reading.type_of(node.left if isinstance(node, ast.BinOp) else node.target) for node in nodes]
    if None in lefts:
        return []
    narrow = {reading.types.binary(ast.Div(), left, kind) for left in lefts} == {types.float32}
    inverse = types.float32 if narrow else types.float64
    for left in lefts:
        if reading.types.binary(ast.Div(), left, kind) != reading.types.binary(ast.Mult(), left, inverse):
            return []
    one = f"{reading.types.numpy('float32')}(1.0)" if narrow else "1.0"
    if one.startswith("("):
        return []
    edits = [edit for node in nodes for edit in _multiplied(reading, node, name)]
    line = f"{name} = {one} / {divisor.id}"
    edits.append(reading.source.before(loop, *reading.guarded(line, loop, nodes[0], raises=reading.checks_zero)))
    reason = f"the divisor {divisor.id} is the same in every iteration of the loop in line {loop.lineno}"
    advice = "Compute its reciprocal once before the loop, and multiply; each result is rounded once more."
    change = f"divisions by {divisor.id} written as products with its reciprocal"
    lines = [(node.lineno, reason, edits) for node in nodes]
    return reading.changes(Kind.DIVISION, lines, change, exact=False, advice=advice)
