"""Variables that a parallel loop carries from one iteration to the next, other than by a reduction.

Numba splits the iterations among threads, and combines a variable that is only added to, multiplied or compared by
`max`. Any other variable has a value of its own in each thread, which starts as before the loop and is lost after it.
"""

import operator
from typing import Any

from jitnet.compiler.numba_parts import ir
from jitnet.profile.functions.worker.typed_function import TypedFunction, is_expression, operator_of

__all__ = ["carried"]

EITHER_SIDE = {operator.add, operator.iadd, operator.mul, operator.imul, operator.and_, operator.iand, operator.or_,
               operator.ior, operator.xor, operator.ixor}  # fmt: skip
LEFT_SIDE = {operator.sub, operator.isub, operator.truediv, operator.itruediv}
"""Operators of reductions, with the variable on either side, or on the left."""

REDUCING_CALLS = {"max", "min", "maximum", "minimum", "fmax", "fmin"}


def carried(code: TypedFunction, header: int, body: Any) -> list[tuple[int, str, str]]:
    """Return variables that a parallel loop carries in another way: the line, the name, and why that is wrong."""
    found = []
    for statement in code.head(header):
        if isinstance(statement, ir.Assign) and is_expression(statement.value, "phi"):
            made = _Variable(code, header, body, statement).fault()
            if made is not None:
                found.append(made)
    return found


class _Variable:
    """One variable at the begin of an iteration.

    derived: the names in the loop that hold what it has become. updates: those at the end of an iteration. begins:
    whether it has a value before the loop.
    """

    def __init__(self, code: TypedFunction, header: int, body: Any, statement: Any) -> None:
        self.code, self.body, self.statement = code, body, statement
        self.name = str(statement.target.name)
        pairs = zip(statement.value.incoming_values, statement.value.incoming_blocks, strict=True)
        self.updates, self.begins = [], False
        for value, block in pairs:
            if isinstance(value, ir.Var) and block in body:
                self.updates.append(str(value.name))
            elif isinstance(value, ir.Var):
                self.begins = True
        self.statements = [each for label in sorted(body) for each in code.blocks[label].body if each is not statement]
        self.inner = {
            str(each.target.name)
            for header in code.loops
            if header in body
            for each in code.blocks[header].body
            if isinstance(each, ir.Assign) and is_expression(each.value, "phi")
        }
        self.derived = {self.name}
        while self._grow():
            pass

    def _grow(self) -> bool:
        before = len(self.derived)
        for each in self.statements:
            if isinstance(each, ir.Assign) and self._keeps(each.value, str(each.target.name)):
                self.derived.add(str(each.target.name))
        return len(self.derived) > before

    def _keeps(self, value: Any, target: str) -> bool:
        """Whether a value is this variable, or a reduction of it. target: the name that it gets."""
        if isinstance(value, ir.Var):
            return value.name in self.derived
        if not isinstance(value, ir.Expr):
            return False
        if value.op == "phi":
            names = [str(each.name) for each in value.incoming_values if isinstance(each, ir.Var)]
            if not any(name in self.derived for name in names):
                return False
            # What an inner loop assigns counts as assigned, though the loop or its condition may never be entered.
            return target not in self.inner or all(self._leads_here(name, target, set()) for name in names)
        if value.op == "cast":
            return value.value.name in self.derived
        return self._reduces(value)

    def _leads_here(self, name: str, target: str, seen: set[str]) -> bool:
        """Whether a value is made of this variable, assuming that `target` is."""
        if name in self.derived or name == target or name in seen:
            return True
        seen.add(name)
        value: Any = self.code.defined[name][0] if name in self.code.defined else None
        if isinstance(value, ir.Var):
            return self._leads_here(str(value.name), target, seen)
        if is_expression(value, "phi"):
            names = [str(each.name) for each in value.incoming_values if isinstance(each, ir.Var)]
            return all(self._leads_here(each, target, seen) for each in names)
        if is_expression(value, "binop", "inplace_binop", "call"):
            operands = value.args if value.op == "call" else [value.lhs, value.rhs]
            return any(self._leads_here(str(each.name), target, seen) for each in operands)
        return False

    def _reduces(self, value: Any) -> bool:
        if value.op in ("binop", "inplace_binop"):
            left, right = value.lhs.name in self.derived, value.rhs.name in self.derived
            function = operator_of(value)
            return (function in EITHER_SIDE and left != right) or (function in LEFT_SIDE and left and not right)
        if value.op == "call" and self.code.callee(value)[0] in REDUCING_CALLS:
            return sum(each.name in self.derived for each in value.args) == 1
        return False

    def fault(self) -> tuple[int, str, str] | None:
        name = self.code.as_written(self.name)
        if all(each == self.name for each in self.updates):
            return None
        for each in self.statements if self.begins else ():
            if self._uses(each):
                why = f"an iteration uses {name} as an earlier one left it, and a thread only knows its own iterations"
                return int(each.loc.line), name, why
        for update in self.updates if self._outlives() else ():
            line = self._replaced(update, set())
            if line:
                return line, name, f"{name} is assigned in the loop, and what a thread assigns is lost after it"
        return None

    def _uses(self, statement: Any) -> bool:
        """Whether a statement uses the variable other than to reduce it or to pass it on."""
        if isinstance(statement, ir.Assign):
            if self._keeps(statement.value, str(statement.target.name)) or is_expression(statement.value, "phi"):
                return False
            return isinstance(statement.value, ir.Expr) and any(
                used.name in self.derived for used in statement.value.list_vars()
            )
        if isinstance(statement, (ir.Del, ir.Jump)):
            return False
        return any(used.name in self.derived for used in statement.list_vars())

    def _outlives(self) -> bool:
        """Whether the variable is used after the loop."""
        outside = [each for label, block in self.code.blocks.items() if label not in self.body for each in block.body]
        names, before = {self.name}, 0
        while len(names) > before:
            before = len(names)
            for each in outside:
                value: Any = getattr(each, "value", None)
                if isinstance(each, ir.Assign) and (
                    (isinstance(value, ir.Var) and value.name in names)
                    or (is_expression(value, "phi") and names & {used.name for used in value.list_vars()})
                ):
                    names.add(str(each.target.name))
        return any(
            names & {used.name for used in each.list_vars()} - {self._target(each)}
            for each in outside
            if not isinstance(each, ir.Del) and not self._passes_on(each)
        )

    def _passes_on(self, statement: Any) -> bool:
        value = getattr(statement, "value", None)
        return isinstance(statement, ir.Assign) and (isinstance(value, ir.Var) or is_expression(value, "phi"))

    def _target(self, statement: Any) -> str:
        return str(statement.target.name) if isinstance(statement, ir.Assign) else ""

    def _replaced(self, name: str, seen: set[str]) -> int:
        """Return the line in which a value is assigned that has nothing to do with the variable; 0 where none is."""
        if name in seen or name not in self.code.defined:
            return 0
        seen.add(name)
        value, label, line = self.code.defined[name]
        if label not in self.body or name == self.name:
            return 0
        if isinstance(value, ir.Var) and value.name in self.derived:
            return self._replaced(value.name, seen)
        if is_expression(value, "phi"):
            for each in value.incoming_values:
                if isinstance(each, ir.Var):
                    found = self._replaced(each.name, seen)
                    if found:
                        return found
            return 0
        return 0 if name in self.derived else line
