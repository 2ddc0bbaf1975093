"""Arrays of records as an array for each field.

A loop over one field of records loads the others with it, and loads its vectors element by element.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numba import types

from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable
from jitnet.profile.functions.worker.rewrites.liveness import assigned
from jitnet.profile.functions.worker.rewrites.reading import FREE_ORDER, Reading, Rewrite

__all__ = ["arrays_of_fields"]


def arrays_of_fields(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each argument that is an array of records the change that takes an array for each field it uses."""
    for at, name in enumerate(reading.arguments):
        kind = reading.types.names.get(name, (None,))
        if len(kind) == 1 and isinstance(kind[0], types.Array) and isinstance(kind[0].dtype, types.Record):
            try:
                yield _separated(reading, at, name, kind[0])
                decorated = reading.with_free_order()
                if decorated is not None and any(map(reading.line_of_sum, reading.loops())):
                    yield _separated(reading, at, name, kind[0], decorated)
            except Unchangeable:
                continue


def _separated(reading: Reading, at: int, name: str, kind: Any, decorated: Sequence[Edit] = ()) -> Rewrite:
    """Return the change. decorated: edits that let sums be reordered too."""
    arguments = reading.node.args
    if arguments.defaults or arguments.vararg or arguments.kwarg or arguments.kwonlyargs or _is_declared(reading):
        raise Unchangeable("its signature is fixed")
    if name in assigned(reading.node) or not reading.source.loops_around(_first_use(reading, name)):
        raise Unchangeable("it is not used in a loop alone")
    records = _records(reading, name, kind.ndim)
    names: dict[str, str] = {}
    edits, lines = [], []
    for node in ast.walk(reading.node):
        if isinstance(node, ast.Name) and node.id == name and id(node) not in records.handled:
            outer, field, index = _use(reading, node, kind)
            if field is None:
                continue  # its extent
            names[field] = names.get(field) or _fresh(reading, name, field)
            text = names[field] if index is None else f"{names[field]}[{index}]"
            edits.append(Edit(reading.source.begin(outer), reading.source.end(outer), text))
            lines.append(outer.lineno)
    for node, field, index in records.uses:
        names[field] = names.get(field) or _fresh(reading, name, field)
        edits.append(Edit(reading.source.begin(node), reading.source.end(node), f"{names[field]}[{index}]"))
        lines.append(node.lineno)
    edits += [reading.source.lines_of(statement) for statement in records.statements]
    if not names:
        raise Unchangeable("no field is used")
    first = next(iter(names.values()))
    for node in ast.walk(reading.node):
        if not isinstance(node, ast.Name) or node.id != name or id(node) in records.handled:
            continue
        if _use(reading, node, kind)[1] is None:
            edits.append(Edit(reading.source.begin(node), reading.source.end(node), first))
    parameter = (arguments.posonlyargs + arguments.args)[at]
    edits.append(Edit(reading.source.begin(parameter), reading.source.end(parameter), ", ".join(names.values())))
    fields, count = list(names), len(kind.dtype.fields)
    listed = ", ".join(fields)
    size = sum(kind.dtype.typeof(field).bitwidth // 8 for field in fields)
    return reading.change(
        Kind.STRUCTS,
        min(line for line in lines),
        f"{name} has records of {kind.dtype.size} bytes, of which {size} are used: {listed}, of {count} fields",
        f"an array for each field of {name}: {listed}" + (", and sums in any order" if decorated else ""),
        [*edits, *decorated],
        exact=True,
        advice=f"{RULES[Kind.STRUCTS].advice} {FREE_ORDER}" if decorated else "",
        fastmath=bool(decorated),
        arguments=_mapping(at, fields),
        apart=_others(reading, name),
    )


def _others(reading: Reading, name: str) -> tuple[tuple[str, str], ...]:
    """Return the pairs of the array with each other one, where anything is written: a field's array is a copy."""
    contexts = [node.ctx for node in ast.walk(reading.node) if isinstance(node, (ast.Subscript, ast.Attribute))]
    if all(isinstance(each, ast.Load) for each in contexts):
        return ()
    kinds = {each: reading.types.names.get(each, ()) for each in reading.arguments if each != name}
    return tuple((name, each) for each, kind in kinds.items() if not all(isinstance(one, types.Number) for one in kind))


def _mapping(at: int, fields: list[str]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    def separate(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        arrays = [np.ascontiguousarray(arguments[at][field]) for field in fields]
        return (*arguments[:at], *arrays, *arguments[at + 1 :])

    return separate


def _fresh(reading: Reading, name: str, field: str) -> str:
    return reading.fresh(f"{name}_{field}", f"{name}_{field}_field", f"{name}_field")


def _is_declared(reading: Reading) -> bool:
    """Whether a decorator has types of arguments."""
    for decorator in reading.node.decorator_list:
        if not isinstance(decorator, ast.Call):
            continue
        known = reading.types.value(decorator.func) in (numba.njit, numba.jit)
        if not known or decorator.args or any(each.arg == "signature_or_function" for each in decorator.keywords):
            return True
    return False


def _first_use(reading: Reading, name: str) -> Any:
    inside = [
        node
        for node in ast.walk(reading.node)
        if isinstance(node, ast.Name) and node.id == name and reading.source.loops_around(node)
    ]
    if not inside:
        raise Unchangeable("it is not used in a loop")
    return inside[0]


def _use(reading: Reading, node: ast.Name, kind: Any) -> tuple[Any, str | None, str | None]:
    """Return for a use of the array the whole expression, the field, and the index as text; None without either.

    Raises Unchangeable for a use of whole records.
    """
    source = reading.source
    parent = source.parents[id(node)]
    if isinstance(parent, ast.Attribute) and parent.attr in ("shape", "size", "ndim"):
        return node, None, None
    if isinstance(parent, ast.Call) and reading.types.value(parent.func) is len:
        return node, None, None
    field = _field_of(parent, node, kind)
    if field:  # x["field"][i]
        outer = source.parents[id(parent)]
        if isinstance(outer, ast.Subscript) and outer.value is parent:
            return outer, field, source.segment(outer.slice)
        raise Unchangeable("a whole field is used")
    if isinstance(parent, ast.Subscript) and parent.value is node and _is_element(reading, parent, kind.ndim):
        outer = source.parents[id(parent)]
        field = _field_of(outer, parent, kind)
        if field:
            return outer, field, source.segment(parent.slice)
    raise Unchangeable("whole records are used")


def _field_of(node: Any, inner: Any, kind: Any) -> str:
    """Return the field that `inner.field` or `inner["field"]` names; "" for others."""
    name = ""
    if isinstance(node, ast.Attribute) and node.value is inner:
        name = node.attr
    elif isinstance(node, ast.Subscript) and node.value is inner and isinstance(node.slice, ast.Constant):
        name = node.slice.value if isinstance(node.slice.value, str) else ""
    if name not in kind.dtype.fields:
        return ""
    if not isinstance(kind.dtype.typeof(name), (types.Number, types.Boolean)):
        raise Unchangeable("a field is not a number")
    return name


def _is_element(reading: Reading, node: ast.Subscript, dimensions: int) -> bool:
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return len(parts) == dimensions and all(isinstance(reading.type_of(part), types.Integer) for part in parts)


class _Records:
    """Variables that hold one record: `p = x[i]`, and then `p.field`.

    handled: names of the array in such statements, by id. statements: these. uses: of their fields, each with the
    expression, the field and the record's index.
    """

    def __init__(self) -> None:
        self.handled: set[int] = set()
        self.statements: list[Any] = []
        self.uses: list[tuple[Any, str, str]] = []


def _records(reading: Reading, name: str, dimensions: int) -> _Records:
    found = _Records()
    for node in ast.walk(reading.node):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        value = node.value
        if not (isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and value.value.id == name):
            continue
        if not _is_element(reading, value, dimensions):
            raise Unchangeable("records are copied")
        _follow(reading, node, value, found)
    return found


def _follow(reading: Reading, statement: ast.Assign, value: ast.Subscript, found: _Records) -> None:
    record: Any = statement.targets[0]
    loops = reading.source.loops_around(statement)
    stores = [each for each in ast.walk(reading.node) if isinstance(each, ast.Name) and each.id == record.id]
    kind = reading.type_of(value.value)
    index = [each for each in ast.walk(value.slice) if isinstance(each, ast.Name)]
    counted = {loop.name for loop in map(reading.counted, loops) if loop is not None}
    steady = all(each.id in counted and sum(each.id in assigned(*loop.body) for loop in loops) == 0 for each in index)
    if (
        not loops
        or not index
        or not steady
        or not all(isinstance(part, (ast.Name, ast.Tuple, ast.expr_context)) for part in ast.walk(value.slice))
    ):
        raise Unchangeable("the index of a record may change")
    if record.id in reading.live.head[id(loops[0])] or record.id in reading.live.after[id(loops[0])]:
        raise Unchangeable("a record is used after its iteration")
    block = reading.source.block_of(statement)
    if len(block) < 2 or block is not loops[0].body:
        raise Unchangeable("a record is assigned in a branch")
    inside = {id(each) for each in ast.walk(loops[0])}
    for each in stores:
        if each is record:
            continue
        parent = reading.source.parents[id(each)]
        field = _field_of(parent, each, kind)
        if not field or id(each) not in inside or not isinstance(each.ctx, ast.Load):
            raise Unchangeable("a record is used as a whole")
        found.uses.append((parent, field, reading.source.segment(value.slice)))
    found.handled.add(id(value.value))
    found.statements.append(statement)
