"""Indices that may be negative as far as the compiler knows, as unsigned ones in a copy of their loop.

The copy runs where none of them is negative, which is known before the loop; otherwise the loop runs as it was.
"""

import ast
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_reading import CountedLoop
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.liveness import loaded
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["unsigned_indices"]


def unsigned_indices(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each innermost loop with indices that wrap around the change that runs it with unsigned ones."""
    found = {each.line: each.reason for each in reading.summary.findings if each.kind is Kind.WRAPAROUND}
    unsigned = reading.types.numpy("uint64")
    for node in reading.loops() if found and unsigned else ():
        loop = reading.counted(node)
        lines = {line for line in found if node.lineno <= line <= node.end_lineno}
        if loop is None or not lines or not reading.is_innermost(node):
            continue
        try:
            edits = _two_loops(reading, loop, unsigned)
        except Unchangeable:
            continue
        advice = (
            "Make the index np.uint64 where it is never below 0; where that is not sure, keep the loop for the rest."
        )
        places = [(line, found[line], edits) for line in sorted(lines)]
        change = f"np.uint64 indices in a copy of the loop of line {node.lineno}"
        yield from reading.changes(Kind.WRAPAROUND, places, change, exact=True, advice=advice)


def _two_loops(reading: Reading, loop: CountedLoop, unsigned: str) -> list[Edit]:
    source, node = reading.source, loop.node
    effects = reading.effects(*node.body)
    step = reading.types.number(loop.arguments[2]) if len(loop.arguments) == 3 else 1
    if step != 1 or loop.name in effects.names or not all(map(reading.is_extent, loop.arguments)):
        raise Unchangeable("the ends of the loop are not known")
    indent = source.indent(node)
    whole = source.lines_of(node)
    if any(isinstance(each, ast.Constant) and each.lineno != each.end_lineno for each in walk(node)):
        raise Unchangeable("a text in several lines")
    text = source.text[whole.begin : whole.end]
    copy, conditions = text, []
    parts = [part for access in effects.accesses for part in access.index if _may_wrap(reading, part, loop)]
    for part in sorted(parts, key=source.begin, reverse=True):
        condition = _condition(reading, part, loop, effects.names)
        if not condition:
            continue
        conditions.append(condition)
        begin, end = source.begin(part) - whole.begin, source.end(part) - whole.begin
        copy = f"{copy[:begin]}{unsigned}({copy[begin:end]}){copy[end:]}"
    if not conditions:
        raise Unchangeable("no index is known before the loop")
    test = " and ".join(dict.fromkeys(reversed(conditions)))
    lines = f"{indent}if {test}:\n{_deeper(copy)}{indent}else:\n{_deeper(text)}"
    return [Edit(whole.begin, whole.end, lines)]


def _deeper(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True))


def _may_wrap(reading: Reading, part: Any, loop: CountedLoop) -> bool:
    kind = reading.type_of(part)
    plain = isinstance(part, ast.BinOp) and isinstance(kind, types.Integer) and bool(kind.signed)
    return plain and loop.name in loaded(part)


def _condition(reading: Reading, part: Any, loop: CountedLoop, changing: set[str]) -> str:
    """Return the condition under which an index is not negative in any iteration; "" for always."""
    rest = loaded(part) - {loop.name}
    if rest & changing or not reading.is_extent(part):
        raise Unchangeable("the index is not known before the loop")
    sign = _sign(part, loop.name)
    begin = loop.arguments[0] if len(loop.arguments) > 1 else ast.Constant(0)
    end = loop.arguments[0] if len(loop.arguments) == 1 else loop.arguments[1]
    extreme = begin if sign > 0 else ast.BinOp(end, ast.Sub(), ast.Constant(1))
    least = _Substituted(loop.name, extreme).visit(ast.parse(ast.unparse(part), mode="eval").body)
    if not loaded(least):
        if eval(ast.unparse(least)) < 0:  # it has nothing but numbers
            raise Unchangeable("it is negative")
        return ""
    return f"{ast.unparse(least)} >= 0"


def _sign(node: Any, name: str) -> int:
    """Return 1 where an expression grows with a variable by one, -1 where it falls."""
    if isinstance(node, ast.Name):
        return 1
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        sides = [name in loaded(node.left), name in loaded(node.right)]
        if sides == [True, False]:
            return _sign(node.left, name)
        if sides == [False, True]:
            return _sign(node.right, name) * (1 if isinstance(node.op, ast.Add) else -1)
    raise Unchangeable("the index is not a sum")


class _Substituted(ast.NodeTransformer):
    """Puts an expression in the place of a variable, and leaves out zeros."""

    def __init__(self, name: str, value: Any) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> Any:
        return self.value if node.id == self.name else node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        if isinstance(node.op, (ast.Add, ast.Sub)) and _is_zero(node.right):
            return node.left
        return node.right if isinstance(node.op, ast.Add) and _is_zero(node.left) else node


def _is_zero(node: Any) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0
