"""Which variables are still needed after each statement of a function."""

import ast
from typing import Any

from jitnet.profile.functions.worker.rewrites.function_source import SCOPES

__all__ = ["Liveness", "assigned", "loaded"]


def loaded(*nodes: Any) -> set[str]:
    """Return the names that are read in some trees; in functions and comprehensions there, all names."""
    found: set[str] = set()
    for node in nodes:
        for each in ast.walk(node) if node is not None else ():
            if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Store):
                found.add(each.id)
            elif isinstance(each, ast.AugAssign) and isinstance(each.target, ast.Name):
                found.add(each.target.id)
    return found


def assigned(*nodes: Any) -> set[str]:
    """Return the names that are assigned in some trees, or deleted."""
    found: set[str] = set()
    for node in nodes:
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load):
                found.add(each.id)
            elif isinstance(each, SCOPES) and not isinstance(each, ast.Lambda):
                found.add(each.name)
    return found


class Liveness:
    """The names that may be read after a statement before they are assigned again.

    after: by the id of the statement. head: by the id of a loop, at the begin of each iteration.
    """

    def __init__(self, function: ast.FunctionDef) -> None:
        self.after: dict[int, set[str]] = {}
        self.head: dict[int, set[str]] = {}
        self._loops: list[tuple[set[str], set[str]]] = []
        self._block(function.body, set())

    def _block(self, body: list[Any], after: set[str]) -> set[str]:
        for statement in reversed(body):
            self.after[id(statement)] = set(after)
            after = self._before(statement, after)
        return after

    def _before(self, statement: Any, after: set[str]) -> set[str]:
        if isinstance(statement, ast.If):
            branches = self._block(statement.body, after) | self._block(statement.orelse, after)
            return branches | loaded(statement.test)
        if isinstance(statement, (ast.For, ast.While)):
            return self._loop(statement, after)
        if isinstance(statement, (ast.Return, ast.Raise)):
            return loaded(statement)
        if isinstance(statement, (ast.Break, ast.Continue)):
            return set(self._loops[-1][isinstance(statement, ast.Continue)])
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = {
                name for target in targets if isinstance(target, (ast.Name, ast.Tuple)) for name in assigned(target)
            }
            return (after - names) | loaded(statement)
        if hasattr(statement, "body") and not isinstance(statement, SCOPES):
            # with, try, match: nothing in them is assigned for certain
            after = after | loaded(statement)
            inner = [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]
            for each in [statement, *inner]:
                for block in ("body", "orelse", "finalbody"):
                    self._block(getattr(each, block, []), after)
        return after | loaded(statement)

    def _loop(self, loop: Any, after: set[str]) -> set[str]:
        if isinstance(loop, ast.For):
            begin, target = loaded(loop.iter), assigned(loop.target)
            each: set[str] = set()
        else:
            begin, target = set(), set()
            each = loaded(loop.test)
        head = self._block(loop.orelse, after) | each
        while True:
            self._loops.append((after, head))
            inside = self._block(loop.body, head)
            self._loops.pop()
            if inside - target <= head:
                break
            head |= inside - target
        self.head[id(loop)] = head
        return head | begin
