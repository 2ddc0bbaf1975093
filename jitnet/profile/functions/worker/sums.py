"""Sums in innermost loops whose order the compiler has to keep."""

import operator
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_expression, operator_of

__all__ = ["ordered_sums"]

SLOW_CALLS = {"exp", "log", "sin", "cos", "tan", "tanh", "pow", "log1p", "expm1", "log2", "log10", "erf", "gamma"}
"""Calls that keep a loop from being vectorised, whatever its sum may do."""

ADDING = {operator.add, operator.iadd, operator.sub, operator.isub}
MULTIPLYING = {operator.mul, operator.imul}

LONGEST = 64
"""Operations of a sum in one turn that are followed."""


def ordered_sums(code: TypedFunction, header: int) -> Iterator[tuple[int, str]]:
    """Sums in a loop that could go on in vectors if their order were free: the line of each, and its name.

    A loop with two ways out, or with a call that has no vector form, could not.
    """
    body = code.loops[header].body
    if _ways_out(code, body) > 1 or _has_slow_call(code, body):
        return
    used: dict[str, int] = {}
    for label in body:
        for statement in code.blocks[label].body:
            if isinstance(statement, ir.Assign) and is_expression(statement.value, "phi"):
                continue
            for variable in statement.list_vars():
                if not isinstance(statement, ir.Assign) or variable.name != statement.target.name:
                    used[variable.name] = used.get(variable.name, 0) + 1
    for statement in code.blocks[header].body:
        if isinstance(statement, ir.Assign) and is_expression(statement.value, "phi"):
            name = statement.target.name
            if isinstance(code.types.get(name), types.Float):
                for incoming in statement.value.incoming_values:
                    if isinstance(incoming, ir.Var) and code.defined.get(incoming.name, (None, None))[1] in body:
                        line = _chain(code, incoming.name, name, used)
                        if line:
                            yield line, code.shown(name)


def _chain(code: TypedFunction, end: str, begin: str, used: dict[str, int]) -> int:
    """The line of the last addition (or multiplication) on the way from a sum's old value to its new one; 0 where
    the way has something else in it, or where a value on it is used elsewhere too."""
    line, family = 0, None
    name = end
    for _ in range(LONGEST):
        while name in code.defined and isinstance(code.defined[name][0], ir.Var):
            name = code.defined[name][0].name
        if name == begin:
            return line if used.get(begin, 0) == 1 else 0
        if name not in code.defined:
            return 0
        value, _, at = code.defined[name]
        if is_expression(value, "phi"):  # a sum inside an if: the way through it is the one that adds
            ways = [
                each.name
                for each in value.incoming_values
                if isinstance(each, ir.Var) and code.root(each.name) != begin
            ]
            if len(ways) != 1:
                return 0
            name = ways[0]
            continue
        if not is_expression(value, "binop", "inplace_binop"):
            return 0
        mine = operator_of(value)
        family = family or (ADDING if mine in ADDING else MULTIPLYING if mine in MULTIPLYING else None)
        if family is None or mine not in family:
            return 0
        line = line or at
        sides = [value.lhs.name] + ([value.rhs.name] if mine not in (operator.sub, operator.isub) else [])
        on = [side for side in sides if code.depends_on(side, begin)]
        if len(on) != 1:
            return 0
        name = on[0]
    return 0


def _ways_out(code: TypedFunction, body: Any) -> int:
    """To how many places a loop can be left."""
    return len(
        {target for label in body for target in code.blocks[label].terminator.get_targets() if target not in body}
    )


def _has_slow_call(code: TypedFunction, body: Any) -> bool:
    for label in body:
        for statement in code.blocks[label].body:
            value = getattr(statement, "value", None)
            if is_expression(value, "call") and code.callee(value)[0] in SLOW_CALLS:
                return True
    return False
