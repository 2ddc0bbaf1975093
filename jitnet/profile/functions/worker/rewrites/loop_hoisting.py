"""What is the same in every iteration of a loop: attributes, values and allocations, moved before it."""

import ast
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.expression_types import REDUCTIONS
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable, walk
from jitnet.profile.functions.worker.rewrites.liveness import assigned, loaded
from jitnet.profile.functions.worker.rewrites.reading import FREE_ORDER, Reading, Rewrite

__all__ = ["hoisted_allocations", "hoisted_attributes", "hoisted_values"]

FILLED = {"zeros": "0", "ones": "1", "zeros_like": "0", "ones_like": "1", "empty": "", "empty_like": ""}
"""What each function that allocates fills the array with."""

CHEAP = (len, range, min, max, abs, int, float, bool, complex, enumerate, zip)
"""Calls that cost next to nothing."""

MAY_RAISE = {"min", "max", "argmin", "argmax", "dot", "factorial"}
"""Functions that raise an exception for an empty array, for arrays of different extents, or for a negative number."""


# Attributes of compiled classes.


def hoisted_attributes(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each outermost loop the change that reads attributes of jitclass instances before it."""
    done: set[int] = set()
    for loop in reading.loops():
        if id(loop) in done:
            continue
        found = _fixed_attributes(reading, loop)
        inside = {id(each) for each in ast.walk(loop)}
        if isinstance(loop, ast.For):
            inside -= {id(each) for each in ast.walk(loop.iter)}
        found = {text: nodes for text, nodes in found.items() if any(id(node) in inside for node in nodes)}
        if not found:
            continue
        done |= {id(each) for each in ast.walk(loop)}
        edits, texts = [], []
        for text, nodes in found.items():
            owner, attribute = text.split(".")
            name = reading.fresh(attribute.lstrip("_") or attribute, f"{owner}_{attribute}")
            edits.append(reading.source.before(loop, f"{name} = {text}"))
            edits += [reading.source.replace(node, name) for node in nodes]
            texts.append(text)
        lines: dict[int, list[str]] = {}
        for text, nodes in found.items():
            for node in nodes:
                if id(node) not in inside:
                    continue
                lines.setdefault(node.lineno, []).append(text)
        places = [
            (line, f"{_listed(names)} {'is' if len(set(names)) == 1 else 'are'} read again in each iteration", edits)
            for line, names in lines.items()
        ]
        advice = "Assign it to a variable before the loop, and use that."
        change = f"{_listed(texts)} read once before the loop of line {loop.lineno}"
        yield from reading.changes(Kind.INVARIANT, places, change, exact=True, advice=advice)
        decorated = reading.with_free_order()
        if decorated is not None and any(map(reading.line_of_sum, reading.loops())):
            places = [(line, reason, [*edits, *decorated]) for line, reason, _ in places]
            change += ", and sums in any order"
            yield from reading.changes(
                Kind.INVARIANT, places, change, exact=False, advice=f"{advice} {FREE_ORDER}", fastmath=True
            )


def _listed(names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _fixed_attributes(reading: Reading, loop: Any) -> dict[str, list[Any]]:
    """Return the attributes of instances that a loop reads and nothing in it can assign, with all their places."""
    effects = reading.effects(*loop.body)
    changed = {text.rpartition(".")[2] for text in effects.attributes}
    for node in walk(loop):
        if isinstance(node, ast.Call) and not reading.types.is_pure(node):
            parts = [*node.args, *(each.value for each in node.keywords)]
            parts += [node.func.value] if isinstance(node.func, ast.Attribute) else []
            plain = (types.Number, types.Boolean, types.Array)
            if not reading.types.is_compiled(node) or not all(
                isinstance(reading.type_of(each), plain) for each in parts
            ):
                return {}
        elif isinstance(node, (ast.Try, ast.With, ast.NamedExpr)):
            return {}
    found: dict[str, list[Any]] = {}
    for node in walk(loop):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and isinstance(node.value, ast.Name):
            kind = reading.type_of(node.value)
            if not isinstance(kind, types.ClassInstanceType) or node.attr not in kind.struct:
                continue
            names = effects.names | (assigned(loop.target) if isinstance(loop, ast.For) else set())
            if node.attr not in changed and node.value.id not in names:
                found.setdefault(reading.text(node), []).append(node)
    return found


# Values.


def hoisted_values(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each loop the change that computes before it what calls and elements of arrays in it are, in every
    iteration the same."""
    groups: dict[int, dict[str, list[Any]]] = {}
    for node in walk(reading.node):
        if isinstance(node, (ast.Call, ast.Subscript)) and not _is_part(reading, node, groups):
            loop = _hoisting_loop(reading, node)
            if loop is not None:
                groups.setdefault(id(loop), {}).setdefault(reading.text(node), []).append(node)
    for loop in reading.loops():
        found = groups.get(id(loop), {})
        calls = {text: nodes for text, nodes in found.items() if isinstance(nodes[0], ast.Call)}
        elements = {text: nodes for text, nodes in found.items() if text not in calls}
        for group in (calls, elements):
            if group:
                yield from _computed_before(reading, loop, group)


def _is_part(reading: Reading, node: Any, groups: dict[int, dict[str, list[Any]]]) -> bool:
    """Whether a node is inside one that is hoisted."""
    taken = {id(each) for found in groups.values() for nodes in found.values() for each in nodes}
    while not isinstance(node, ast.stmt):
        node = reading.source.parents[id(node)]
        if id(node) in taken:
            return True
    return False


def _hoisting_loop(reading: Reading, node: Any) -> Any:
    """Return the outermost loop before which an expression can be computed; None for none."""
    kind = reading.type_of(node)
    if not isinstance(kind, (types.Float, types.Integer, types.Complex)):
        return None
    raises = _may_raise(reading, node)
    found = None
    for loop in reading.source.loops_around(node):
        try:
            _check_same(reading, loop, node)
            reading.guarded("", loop, node, raises=raises)
            reading.source.line_begin(loop)
        except Unchangeable:
            break
        if isinstance(node, ast.Subscript) and not (reading.is_innermost(loop) and reading.effects(*loop.body).stores):
            break  # the compiler does it
        found = loop
        if raises or isinstance(node, ast.Subscript):
            break
    return found


def _may_raise(reading: Reading, node: Any) -> bool:
    """Whether computing something may raise an exception, or read outside an array."""
    if reading.effects(node).raises:
        return True
    for each in ast.walk(node):
        access = reading.access(each)
        if access is not None and not reading.is_in_range(access):
            return True
        if isinstance(each, ast.Call):
            name = each.func.attr if isinstance(each.func, ast.Attribute) else getattr(each.func, "id", "")
            if name in MAY_RAISE or isinstance(reading.types.value(each.func), type):
                return True
    return False


def _check_same(reading: Reading, loop: Any, node: Any) -> tuple[tuple[str, str], ...]:
    """Return the arguments that must not share memory so that an expression is the same in each iteration of a loop.

    Raises Unchangeable where it is not.
    """
    if isinstance(node, ast.Call):
        function = reading.types.value(node.func)
        if not reading.types.is_pure(node) or function in CHEAP or (isinstance(function, type)):
            raise Unchangeable("nothing is gained")
    elif reading.access(node) is None or not isinstance(node.ctx, ast.Load):
        raise Unchangeable("not an element")
    inside, effects = reading.effects(*loop.body), reading.effects(node)
    changing = inside.names | (assigned(loop.target) if isinstance(loop, ast.For) else set())
    if loaded(node) & changing or effects.unknown or effects.calls or reading.is_parallel(loop):
        raise Unchangeable("it changes")
    read = {each.base for each in effects.accesses} | effects.whole
    if any(isinstance(each, ast.Attribute) and not _is_fixed(reading, each) for each in ast.walk(node)):
        raise Unchangeable("an attribute may change")
    if not read:
        return ()
    written = {each.base for each in inside.stores}
    if inside.unknown or inside.attributes or written & read:
        raise Unchangeable("an array may change")
    whole = {name for name in inside.whole if _is_augmented(loop, name)}
    if whole:
        raise Unchangeable("an array may change")
    return reading.apart(written, read)


def _is_fixed(reading: Reading, node: ast.Attribute) -> bool:
    """Whether an attribute is a module's, an extent, a part of a number, or a method of an array."""
    if reading.types.value(node) is not None:
        return True
    return isinstance(reading.type_of(node.value), (types.Array, types.Complex))


def _is_augmented(loop: Any, name: str) -> bool:
    """Whether a whole array is changed by an operator, as in `x += 1`, or passed to a method that writes to it."""
    for node in ast.walk(loop):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr not in REDUCTIONS:
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == name:
                return True
    return False


def _computed_before(reading: Reading, loop: Any, found: dict[str, list[Any]]) -> list[Rewrite]:
    edits: list[Edit] = []
    pairs: tuple[tuple[str, str], ...] = ()
    before: list[str] = []
    for text, nodes in found.items():
        first = nodes[0]
        name = reading.fresh(*_names_for(first))
        lines = reading.guarded(f"{name} = {text}", loop, first, raises=_may_raise(reading, first))
        before += lines[1:] if len(lines) == 2 and lines[0] in before else lines
        edits += [reading.source.replace(node, name) for node in nodes]
        pairs += _check_same(reading, loop, first)
    edits.append(reading.source.before(loop, *sorted(before, key=lambda line: line.startswith(("if", " ")))))
    places = [
        (node.lineno, f"{text} is the same in every iteration of the loop in line {loop.lineno}", edits)
        for text, nodes in found.items()
        for node in nodes
    ]
    change = f"{_listed(list(found))} computed once before the loop of line {loop.lineno}"
    return reading.changes(Kind.INVARIANT, places, change, exact=True, apart=tuple(dict.fromkeys(pairs)))


def _names_for(node: Any) -> list[str]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "value")
        parts = sorted(
            each.id for each in ast.walk(node) if isinstance(each, ast.Name) and each.id not in ("np", "math")
        )
        return ["_".join([name, *parts[:2]]), f"{name}_value"]
    parts = [each.id for each in ast.walk(node.slice) if isinstance(each, ast.Name)]
    joint = "" if all(len(part) == 1 for part in parts) else "_"
    base = ast.unparse(node.value).replace(".", "_")
    return [f"{base}_{joint.join(parts)}" if parts else f"{base}_element", f"{base}_value"]


# Allocations.


def hoisted_allocations(reading: Reading) -> Iterator[Rewrite]:
    """Yield the change that allocates once before loops what they allocate, in each iteration with the same shape, and
    do not keep."""
    places = []
    for node in walk(reading.node):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                edits = _allocated_before(reading, node, node.targets[0].id)
            except Unchangeable:
                continue
            if edits:
                call = ast.unparse(node.value)
                places.append((node.lineno, f"{call} allocates an array in every iteration of the loop", edits))
    advice = "Allocate it once before the loop, and fill it again in each iteration."
    change = "arrays allocated once before the loop"
    yield from reading.changes(Kind.ALLOCATION, places, change, exact=True, advice=advice)


def _allocated_before(reading: Reading, statement: ast.Assign, name: str) -> list[Edit]:
    fill = _filled_with(reading, statement.value)
    loops = reading.source.loops_around(statement)
    kind = reading.types.names.get(name, (None,))
    if fill is None or not loops or len(kind) != 1 or not isinstance(kind[0], types.Array) or kind[0].ndim < 1:
        return []
    if not isinstance(kind[0].dtype, (types.Number, types.Boolean)) or not any(
        statement is each for each in loops[0].body
    ):
        return []
    call: Any = statement.value
    if reading.has_other_names(name) or name in reading.arguments:
        return []
    safe = all(reading.is_count(each) or isinstance(reading.types.value(each), type) for each in _shape(reading, call))
    found = None
    for loop in loops:
        if reading.is_parallel(loop) or not _is_forgotten(reading, loop, name, call):
            break
        reading.guarded("", loop, statement.value, raises=not safe)
        found = loop
        if not safe:
            break
    if found is None:
        return []
    line = reading.source.segment(statement)
    if "\n" in line:
        line = ast.unparse(statement)
    before = reading.source.before(found, *reading.guarded(line, found, statement.value, raises=not safe))
    if isinstance(kind[0].dtype, types.Boolean) and fill:
        fill = {"0": "False", "1": "True"}.get(fill, fill)
    again = reading.source.lines_of(
        statement, *([f"{name}[{', '.join([':'] * kind[0].ndim)}] = {fill}"] if fill else [])
    )
    return [before, again]


def _filled_with(reading: Reading, call: Any) -> str | None:
    """Return what an array is filled with as it is allocated, "" where with nothing; None for all other calls."""
    function = reading.types.value(call.func) if isinstance(call, ast.Call) else None
    for name, fill in FILLED.items():
        if function is getattr(np, name):
            return fill
    if function is np.full and len(call.args) >= 2:
        return reading.text(call.args[1])
    return None


def _shape(reading: Reading, call: ast.Call) -> list[Any]:
    if reading.types.value(call.func) in (np.zeros_like, np.ones_like, np.empty_like):
        return []
    return [*call.args[:1], *(each.value for each in call.keywords if each.arg == "shape")]


def _is_forgotten(reading: Reading, loop: Any, name: str, call: ast.Call) -> bool:
    """Whether an array has the same shape in each iteration of a loop, and is not needed by the next, nor later."""
    names = assigned(*loop.body) | (assigned(loop.target) if isinstance(loop, ast.For) else set())
    if loaded(call) & names or reading.effects(call).accesses:
        return False
    stores = [
        each
        for each in ast.walk(loop)
        if isinstance(each, ast.Name) and each.id == name and not isinstance(each.ctx, ast.Load)
    ]
    returned = [each for each in ast.walk(loop) if isinstance(each, ast.Return) and name in loaded(each)]
    if len(stores) != 1 or returned:
        return False
    return name not in reading.live.head[id(loop)] and name not in reading.live.after[id(loop)]
