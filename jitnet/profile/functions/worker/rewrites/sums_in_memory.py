"""Elements of arrays that an inner loop reads and writes in each iteration, in a variable."""

import ast
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.array_reading import Access, Effects
from jitnet.profile.functions.worker.rewrites.function_reading import sum_of
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.liveness import assigned, loaded
from jitnet.profile.functions.worker.rewrites.reading import FREE_ORDER, Reading, Rewrite

__all__ = ["sums_in_variables"]

LEAVING = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom)


def sums_in_variables(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each `memory[i] += …`, with an index that its loop does not change, the change that sums in a variable.

    A second change of the same sum has its order free, where `fastmath` does not have that yet.
    """
    done: set[int] = set()
    for node in walk(reading.node):
        found = sum_of(node)
        if found is None or id(node) in done:
            continue
        access = reading.access(found.target)
        for loop in reversed(reading.source.loops_around(node)) if access is not None else ():
            try:
                assert access is not None
                uses = _uses(reading, loop, access)
                yield from _summed(reading, loop, access, uses)
            except Unchangeable:
                continue
            done |= {id(reading.source.statement_of(each.node)) for each in uses}
            break


def _uses(reading: Reading, loop: Any, access: Access) -> list[Access]:
    """Return all places where a loop accesses an element. Raises Unchangeable where there may be others."""
    effects = reading.effects(*loop.body)
    left = any(isinstance(each, LEAVING) for each in ast.walk(loop))
    if reading.is_parallel(loop) or effects.unknown or left or getattr(loop, "orelse", []):
        raise Unchangeable("what the loop does is not known")
    changing = effects.names | (assigned(loop.target) if isinstance(loop, ast.For) else set())
    if loaded(access.node.slice) & changing or access.base in effects.names | effects.whole:
        raise Unchangeable("the index changes")
    if any(isinstance(each, (ast.Call, ast.Subscript, ast.Attribute)) for each in ast.walk(access.node.slice)):
        raise Unchangeable("the index may change")
    if access.base in _iterated(reading, loop):
        raise Unchangeable("the array is iterated over")
    text = ast.unparse(access.node.slice)
    uses = [each for each in effects.accesses if each.base == access.base]
    if any(ast.unparse(each.node.slice) != text for each in uses):
        raise Unchangeable("other elements are accessed too")
    if isinstance(loop, ast.While) and access.base in loaded(loop.test):
        raise Unchangeable("it is read before the loop")
    return uses


def _iterated(reading: Reading, loop: Any) -> set[str]:
    """Return the arrays over whose elements a loop goes."""
    return reading.effects(loop.iter).whole if isinstance(loop, ast.For) else set()


def _summed(reading: Reading, loop: Any, access: Access, uses: list[Access]) -> list[Rewrite]:
    kind = reading.type_of(access.node)
    effects = reading.effects(*loop.body)
    if not isinstance(kind, (types.Float, types.Integer, types.Complex)):
        raise Unchangeable("not a number")
    same = {_has_type(reading, each, kind) for each in uses} == {True}
    condition = "" if reading.is_in_range(access) else _condition(reading, loop, uses, effects)
    others = {*(each.base for each in effects.accesses), *effects.whole, *_iterated(reading, loop)}
    pairs = reading.apart([access.base], others)
    name = reading.fresh("total" if _only_added(reading, uses) else "value", f"{access.base.replace('.', '_')}_total")
    element = reading.source.segment(access.node)
    before, after = f"{name} = {element}", f"{element} = {name}"
    guard = [f"if {condition}:"] if condition else []
    indent = "    " if condition else ""
    edits = [
        reading.source.before(loop, *guard, indent + before),
        reading.source.after(loop, *guard, indent + after),
        *(Edit(reading.source.begin(each.node), reading.source.end(each.node), name) for each in uses),
    ]
    reason = f"{ast.unparse(access.node)} is read and written in every iteration of the loop in line {loop.lineno}"
    advice = "Sum in a variable, and write it once after the loop."
    if not same:
        advice += " It is summed in float64 then, and rounded to float32 once."
    if effects.raises:
        advice += " After a ZeroDivisionError, the element has its value from before the loop."
    change = f"{ast.unparse(access.node)} summed in a variable in the loop of line {loop.lineno}"
    line = uses[0].node.lineno
    more: dict[str, Any] = {"exact": same, "apart": pairs}
    made = [reading.change(Kind.ACCUMULATOR, line, reason, change, edits, advice=advice, **more)]
    decorated = reading.with_free_order()
    if decorated is not None and isinstance(kind, types.Float) and _only_added(reading, uses):
        change += ", in any order"
        advice = f"{advice} {FREE_ORDER}"
        edits = [*edits, *decorated]
        made.append(reading.change(Kind.ACCUMULATOR, line, reason, change, edits, advice=advice, fastmath=True, **more))
    return made


def _only_added(reading: Reading, uses: list[Access]) -> bool:
    sums = [each for each in (sum_of(reading.source.statement_of(use.node)) for use in uses) if each is not None]
    added = {id(use) for each in sums if not isinstance(each.sign, ast.Mult) for use in each.uses}
    return added == {id(use.node) for use in uses}


def _has_type(reading: Reading, use: Access, kind: Any) -> bool:
    """Whether a variable has the type of the element that it replaces; False where it has more digits.

    Raises Unchangeable where it would be of another kind.
    """
    parent = reading.source.parents[id(use.node)]
    if isinstance(parent, ast.AugAssign) and parent.target is use.node:
        value = reading.type_of(parent.value)
        result = None if value is None else reading.types.binary(parent.op, kind, value)
    elif isinstance(use.node.ctx, ast.Store):
        result = reading.type_of(parent.value) if isinstance(parent, ast.Assign) and len(parent.targets) == 1 else None
    else:
        return True
    if result != kind and not (kind == types.float32 and result == types.float64):
        raise Unchangeable(f"{result} is converted to {kind} in each iteration")
    return bool(result == kind)


def _condition(reading: Reading, loop: Any, uses: list[Access], effects: Effects) -> str:
    """Return the condition under which a loop accesses an element: "" for always. Raises Unchangeable for others."""
    condition = reading.runs_when(loop)
    statements = [reading.source.statement_of(each.node) for each in uses]
    in_each = any(statement is each for statement in statements for each in loop.body)
    if condition is None or not in_each or effects.jumps:
        raise Unchangeable("the index may be outside the array")
    return condition
