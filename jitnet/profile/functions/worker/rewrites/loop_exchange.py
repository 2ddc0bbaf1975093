"""Loops that stride through memory, and their exchange.

Two shapes are known: loops directly inside each other, of which one is moved to the innermost place; and a loop in
which a sum is begun, added up in an inner loop and written. The sums of the second are kept in memory instead, so that
the inner loop can come first.

What is written decides whether the order of the iterations may change. An element that is found by the variables of
some loops is accessed in the iterations of the others, and these have to keep their order among each other.
"""

import ast
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.array_reading import Access, Effects, plain_index
from jitnet.profile.functions.worker.rewrites.function_reading import CountedLoop, Sum, sum_of
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable
from jitnet.profile.functions.worker.rewrites.liveness import loaded
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite

__all__ = ["exchanged_loops"]

CONTIGUOUS, STRIDED = 1, 8
"""What an access costs whose address moves by one element in each iteration, or by more; 0 where it stays."""

DEEPEST = 4
"""Loops inside each other that are looked at."""

ROUNDS = "the terms are then added in another order, so it is rounded differently"


def exchanged_loops(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each nest of loops the order that strides least, where that keeps the meaning."""
    done: set[int] = set()
    for loop in reading.loops():
        counted = reading.counted(loop)
        if counted is None or counted.parallel or id(loop) in done:
            continue
        for find in (_nested, _with_a_sum):
            try:
                found = find(reading, counted)
            except Unchangeable:
                continue
            if found is not None:
                done |= {id(each) for each in ast.walk(loop)}
                yield found
                break


# Loops directly inside each other.


def _nested(reading: Reading, outermost: CountedLoop) -> Rewrite | None:
    nest = _nest_from(reading, outermost)
    if not 2 <= len(nest) <= DEEPEST or not reading.is_innermost(nest[-1].node):
        return None
    names = {loop.name for loop in nest}
    body = nest[-1].node.body
    effects = reading.effects(*body)
    _refuse_unclear(reading, nest, effects)
    if len(names) < len(nest) or names & reading.live.after[id(outermost.node)]:
        return None
    costs = [_cost(reading, effects.accesses, loop.name) for loop in nest]
    order = sorted(range(len(nest) - 1), key=lambda at: costs[at])
    for at in order:
        if costs[at] >= costs[-1] or not _strides(reading, effects, nest[-1].name):
            return None
        exact = _keeps_order(reading, nest, at, effects)
        if exact is None:
            continue
        pairs = reading.apart(_bases(effects.stores), _bases(effects.accesses))
        return _moved(reading, nest, at, exact, pairs, effects)
    return None


def _nest_from(reading: Reading, loop: CountedLoop) -> list[CountedLoop]:
    nest = [loop]
    while len(nest[-1].node.body) == 1:
        inner = reading.counted(nest[-1].node.body[0])
        if inner is None or inner.parallel:
            break
        nest.append(inner)
    return nest


def _refuse_unclear(reading: Reading, nest: list[CountedLoop], effects: Effects) -> None:
    """Raise Unchangeable where the loops depend on each other, or where what they do is not known."""
    if effects.calls or effects.unknown or effects.jumps or effects.attributes:
        raise Unchangeable("its effects are not known")
    changing = {loop.name for loop in nest} | effects.names
    for loop in nest:
        if loaded(*loop.arguments) & changing or not all(map(reading.is_extent, loop.arguments)):
            raise Unchangeable("a range depends on another loop")
        if not reading.counts_from_zero(loop) or loop.name in effects.names:
            raise Unchangeable("an index may be negative")
    if effects.whole:
        raise Unchangeable("an array is used as a whole")


def _keeps_order(reading: Reading, nest: list[CountedLoop], at: int, effects: Effects) -> bool | None:
    """Whether all results keep their bits when a loop becomes the innermost; None where they may be wrong."""
    exact = True
    for base in sorted(set(_bases(effects.stores))):
        accesses = [each for each in effects.accesses if each.base == base]
        if len({ast.unparse(each.node.slice) for each in accesses}) > 1:
            return None
        found_by = _found_by(nest, accesses[0], effects)
        if found_by is None:
            return None
        if nest[at].name not in found_by and any(loop.name not in found_by for loop in nest[at + 1 :]):
            keeps = _sum_keeps_bits(reading, nest[-1].node.body, [each.node for each in accesses])
            if keeps is None:
                return None
            exact = exact and keeps
    inner, after = nest[-1].node, reading.live.after[id(nest[0].node)]
    for name in effects.names:
        if name not in reading.live.head[id(inner)] and name not in after:
            continue  # each iteration has its value
        uses = [each for each in ast.walk(inner) if isinstance(each, ast.Name) and each.id == name]
        keeps = _sum_keeps_bits(reading, inner.body, uses)
        if keeps is None:
            return None
        exact = exact and keeps
    return exact


def _found_by(nest: list[CountedLoop], access: Access, effects: Effects) -> set[str] | None:
    """Return the loops' variables that are an index of an element; None where it is found in another way."""
    names = {loop.name for loop in nest}
    found: set[str] = set()
    for part in access.index:
        if isinstance(part, ast.Name) and part.id in names:
            found.add(part.id)
        elif not plain_index(part, names | effects.names) or isinstance(part, ast.Slice):
            return None
    return found


def _sum_keeps_bits(reading: Reading, body: list[Any], uses: list[Any]) -> bool | None:
    """Whether a sum or product has the same bits in any order: where it has integers only. None where it is neither."""
    found = [each for each in map(sum_of, (node for top in body for node in ast.walk(top))) if each is not None]
    found = [each for each in found if any(each.target is use for use in uses)]
    signs = {"add" if isinstance(each.sign, (ast.Add, ast.Sub)) else type(each.sign).__name__ for each in found}
    if {id(use) for each in found for use in each.uses} != {id(use) for use in uses} or len(signs) != 1:
        return None
    kinds = set()
    for each in found:
        target = reading.types.names.get(each.target.id, ()) if isinstance(each.target, ast.Name) else ()
        kinds |= {*(target or [reading.type_of(each.target)]), reading.type_of(each.value)}
    if all(isinstance(kind, types.Integer) for kind in kinds):
        return len({kind.signed for kind in kinds}) == 1 or None
    numbers = (types.Integer, types.Float, types.Complex)
    return False if all(isinstance(kind, numbers) for kind in kinds) and not _truncates(reading, found) else None


def _truncates(reading: Reading, sums: list[Sum]) -> bool:
    """Whether an element of an array of integers is added something else to."""
    return any(
        isinstance(each.target, ast.Subscript) and isinstance(reading.type_of(each.target), types.Integer)
        for each in sums
    )


def _moved(
    reading: Reading,
    nest: list[CountedLoop],
    at: int,
    exact: bool,
    pairs: tuple[tuple[str, str], ...],
    effects: Effects,
) -> Rewrite:
    order = [*nest[:at], *nest[at + 1 :], nest[at]]
    edits = [
        Edit(reading.source.begin(old.node.target), reading.source.end(old.node.iter), _header(reading, new))
        for old, new in zip(nest, order, strict=True)
        if old is not new
    ]
    lines = [loop.node.lineno for loop in nest[at:]]
    change = (
        f"the loops of lines {lines[0]} and {lines[1]} exchanged"
        if len(lines) == 2
        else f"the loop of line {lines[0]} moved into that of line {lines[-1]}"
    )
    advice = f"Make the loop over {nest[at].name} the innermost one."
    if not exact:
        advice += f" Of the sum, {ROUNDS}."
    return reading.change(
        Kind.LOOP_ORDER,
        nest[-1].node.lineno,
        _reason(reading, effects, nest[-1].name),
        change,
        edits,
        exact=exact,
        advice=_with_exceptions(advice, effects),
        apart=pairs,
    )


def _header(reading: Reading, loop: CountedLoop) -> str:
    return reading.source.text[reading.source.begin(loop.node.target) : reading.source.end(loop.node.iter)]


def _with_exceptions(advice: str, effects: Effects) -> str:
    if effects.raises:
        advice += " After a ZeroDivisionError, other elements have been written."
    return advice


# How a loop goes through memory.


def _steps(reading: Reading, access: Access, name: str) -> int:
    """Return what an access costs in a loop over a variable."""
    kind = reading.type_of(access.node.value)
    varying = [at for at, part in enumerate(access.index) if name in loaded(part)]
    if not varying:
        return 0
    if kind.layout not in ("C", "F") or len(access.index) != kind.ndim:
        return STRIDED
    nearest = kind.ndim - 1 if kind.layout == "C" else 0
    part = access.index[nearest]
    simple = not any(isinstance(each, (ast.Subscript, ast.Mult, ast.Call)) for each in ast.walk(part))
    return CONTIGUOUS if varying == [nearest] and simple else STRIDED


def _cost(reading: Reading, accesses: list[Access], name: str) -> int:
    distinct = {(each.base, ast.unparse(each.node.slice)): each for each in accesses}
    return sum(_steps(reading, each, name) for each in distinct.values())


def _strides(reading: Reading, effects: Effects, name: str) -> list[Access]:
    return [each for each in effects.accesses if _steps(reading, each, name) == STRIDED]


def _reason(reading: Reading, effects: Effects, name: str) -> str:
    texts = list(dict.fromkeys(ast.unparse(each.node) for each in _strides(reading, effects, name)))
    what = " and ".join(texts[:2])
    steps = "steps" if len(texts) == 1 else "step"
    layout = reading.type_of(_strides(reading, effects, name)[0].node.value).layout
    whole = "row" if layout == "C" else "column" if layout == "F" else "stride"
    return f"{what} {steps} by a whole {whole} with each {name}, the variable of the innermost loop"


def _bases(accesses: list[Access]) -> list[str]:
    return [each.base for each in accesses]


# A loop with a sum in an inner loop.


def _with_a_sum(reading: Reading, outer: CountedLoop) -> Rewrite | None:
    body = outer.node.body
    loops = [reading.counted(each) for each in body]
    at = next((place for place, each in enumerate(loops) if each is not None), -1)
    if at != 1 or len(body) not in (2, 3):
        return None
    begin: Any = body[0]
    inner = loops[1]
    assert inner is not None
    if inner.parallel or not reading.is_innermost(inner.node) or not _is_plain_assignment(begin):
        return None
    total = begin.targets[0]
    last: Any = body[2] if len(body) == 3 else None
    if isinstance(total, ast.Name):
        if last is None or not _is_plain_assignment(last) or not isinstance(last.targets[0], ast.Subscript):
            return None
        stored = reading.access(last.targets[0])
    else:
        stored = reading.access(total)
        if last is not None:
            return None
    if stored is None:
        return None
    return _sum_in_memory(reading, outer, inner, stored)


def _is_plain_assignment(node: Any) -> bool:
    return isinstance(node, ast.Assign) and len(node.targets) == 1


def _sum_in_memory(reading: Reading, outer: CountedLoop, inner: CountedLoop, stored: Access) -> Rewrite | None:
    source, body = reading.source, outer.node.body
    begin: Any = body[0]
    total = begin.targets[0]
    last: Any = body[2] if len(body) == 3 else None
    effects = reading.effects(*body)
    inside = reading.effects(*inner.node.body)
    names = {outer.name, inner.name}
    private = effects.names - {outer.name}
    _refuse_unclear(reading, [outer], effects)
    _refuse_unclear(reading, [outer, inner], inside)
    if (private | names) & reading.live.after[id(outer.node)] or len(names) < 2:
        return None
    summed = {total.id} if isinstance(total, ast.Name) else set()
    carried = inside.names & reading.live.head[id(inner.node)] - summed
    if carried or private & reading.live.head[id(outer.node)] or loaded(*inner.arguments) & private:
        return None
    if last is not None and loaded(last.value) & (inside.names | {inner.name}) - summed:
        return None
    if _found_by([outer, inner], stored, effects) != {outer.name}:
        return None
    if inside.stores and any(each.base != stored.base for each in inside.stores):
        return None
    text = ast.unparse(total)
    uses = [each for each in ast.walk(inner.node) if isinstance(each, type(total)) and ast.unparse(each) == text]
    sums = [each for each in map(sum_of, inner.node.body) if each is not None and ast.unparse(each.target) == text]
    if len(sums) != 1 or {id(each) for each in uses} != {id(each) for each in sums[0].uses}:
        return None
    others = [each for each in effects.accesses if each.base == stored.base]
    others = [each for each in others if each.node is not stored.node and each.node not in (total, *sums[0].uses)]
    if others or loaded(begin.value) & (names - {outer.name}):
        return None
    exact = _same_type(reading, total, stored)
    if exact is None or not _is_better(reading, outer, inner, inside, stored):
        return None
    pairs = reading.apart([stored.base], [*_bases(effects.accesses)])
    element = source.segment(stored.node)
    at, indent = source.line_begin(inner.node), source.indent(outer.node)
    edits = [
        Edit(at, at, f"{indent}for {_header(reading, inner)}:\n"),
        Edit(source.begin(inner.node.target), source.end(inner.node.iter), _header(reading, outer)),
    ]
    if isinstance(total, ast.Name):
        edits += [source.replace(each, element) for each in (total, *sums[0].uses)]
    if last is not None:
        edits.append(_afterwards(reading, outer, last, total, element))
    change = f"the loops of lines {outer.node.lineno} and {inner.node.lineno} exchanged, with the sums in {stored.base}"
    advice = f"Make the loop over {outer.name} the innermost one, and add to {ast.unparse(stored.node)}."
    if not exact:
        kind = reading.type_of(stored.node)
        advice += f" {kind} is what {stored.base} has: the sum is rounded to that in each iteration."
    return reading.change(
        Kind.LOOP_ORDER,
        inner.node.lineno,
        _reason(reading, inside, inner.name),
        change,
        edits,
        exact=exact,
        advice=_with_exceptions(advice, effects),
        apart=pairs,
    )


def _same_type(reading: Reading, total: Any, stored: Access) -> bool | None:
    """Whether a sum has the type of the elements that replace it; None where that cannot hold it."""
    kind = reading.type_of(stored.node)
    if not isinstance(total, ast.Name):
        return True
    kinds = set(reading.types.names.get(total.id, ()))
    floats = {each for each in kinds if isinstance(each, types.Float)}
    if (
        isinstance(kind, types.Float)
        and all(isinstance(each, (types.Float, types.Integer)) for each in kinds)
        and floats
    ):
        return floats == {kind}
    return True if kinds == {kind} and isinstance(kind, (types.Integer, types.Complex)) else None


def _is_better(reading: Reading, outer: CountedLoop, inner: CountedLoop, inside: Effects, stored: Access) -> bool:
    before = _cost(reading, inside.accesses, inner.name)
    after = _cost(reading, [*inside.accesses, stored], outer.name)
    return after < before and bool(_strides(reading, inside, inner.name))


def _afterwards(reading: Reading, outer: CountedLoop, last: Any, total: Any, element: str) -> Edit:
    """Return the edit of the last statement, which writes what became of the sum."""
    source = reading.source
    value = last.value
    removed = source.lines_of(last)
    if isinstance(value, ast.Name) and value.id == total.id:
        return Edit(removed.begin, removed.end, "")
    begin = source.begin(value)
    text = source.segment(value)
    uses = [each for each in ast.walk(value) if isinstance(each, ast.Name) and each.id == total.id]
    for use in sorted(uses, key=source.begin, reverse=True):
        text = text[: source.begin(use) - begin] + element + text[source.end(use) - begin :]
    indent, deeper = source.indent(outer.node), source.indent(last)
    lines = f"{indent}for {_header(reading, outer)}:\n{deeper}{element} = {text}\n"
    return Edit(removed.begin, removed.end, lines)
