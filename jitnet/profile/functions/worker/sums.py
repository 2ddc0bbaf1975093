"""Sums in innermost loops whose order the compiler must not change."""

import operator
from collections.abc import Iterator
from typing import Any

from numba import types

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_expression, operator_of

__all__ = ["ordered_sums"]

SLOW_CALLS = {"exp", "log", "sin", "cos", "tan", "tanh", "pow", "log1p", "expm1", "log2", "log10", "erf", "gamma"}
"""Calls that prevent the vectorisation of a loop, in any order of its sum."""

ADDING = {operator.add, operator.iadd, operator.sub, operator.isub}
MULTIPLYING = {operator.mul, operator.imul}

LONGEST = 64
"""Operations of a sum in one iteration that are followed."""


def ordered_sums(code: TypedFunction, header: int) -> Iterator[tuple[int, str]]:
    """Yield the sums of a loop that could be vectorised if their order were free: the line of each, and its name.

    A loop with two exits, or with a call that has no vector form, could not.
    """
    body = code.loops[header].body
    if _count_exits(code, body) > 1 or _has_slow_call(code, body):
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
                        line = _line_of_sum(code, incoming.name, name, used)
                        if line:
                            yield line, code.as_written(name)


def _line_of_sum(code: TypedFunction, end: str, begin: str, used: dict[str, int]) -> int:
    """Return the line of the last addition (or multiplication) between a sum's old value and its new one; 0 where
    there is another operation between them, or where a value on the way is used elsewhere too."""
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
        if is_expression(value, "phi"):  # a sum inside an if: follow the branch that adds
            branches = [
                each.name
                for each in value.incoming_values
                if isinstance(each, ir.Var) and code.root(each.name) != begin
            ]
            if len(branches) != 1:
                return 0
            name = branches[0]
            continue
        if not is_expression(value, "binop", "inplace_binop"):
            return 0
        function = operator_of(value)
        family = family or (ADDING if function in ADDING else MULTIPLYING if function in MULTIPLYING else None)
        if family is None or function not in family:
            return 0
        line = line or at
        sides = [value.lhs.name] + ([value.rhs.name] if function not in (operator.sub, operator.isub) else [])
        operands = [side for side in sides if code.depends_on(side, begin)]
        if len(operands) != 1:
            return 0
        name = operands[0]
    return 0


def _count_exits(code: TypedFunction, body: Any) -> int:
    """Return the number of blocks that follow a loop."""
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
