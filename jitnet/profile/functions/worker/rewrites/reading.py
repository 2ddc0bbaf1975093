"""A change of a function's source, from edits of its text."""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba

from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.worker.rewrites.array_reading import ArrayReading
from jitnet.profile.functions.worker.rewrites.function_source import COMPREHENSIONS, Edit, Unchangeable

__all__ = ["FREE_ORDER", "REORDERING", "Reading", "Rewrite"]

REORDERING = '{"reassoc", "contract", "nsz"}'
"""The flags of `fastmath` with which a sum may be vectorised."""

FREE_ORDER = f"With fastmath={REORDERING}, the sum can be vectorised too; its last digits change."


@dataclass(frozen=True)
class Rewrite:
    """A change of a function's source that keeps its meaning.

    line: in the user's file, that the hint names. reason, advice: as in `Hint`. change: in a few words, "the loops of
    lines 4 and 5 exchanged". exact: whether results must have equal bits; else rounding may differ. source: the whole
    changed source of the function, without the indent, with its decorators. diff: a unified diff of the user's file;
    several rewrites with one source are one change, found at several lines.

    apart: pairs of arguments' names. The meaning is kept only where the arrays of a pair share no memory.
    fastmath: whether it helps only with `fastmath={"reassoc", "contract", "nsz"}`, with which it is then to be
    compiled; source and diff have that in the decorator where the decorator is njit or jit.
    arguments: where the changed function takes others, maps the tuple of arguments to those. What the function wrote is
    compared after the same mapping of the original's arguments.
    """

    kind: Kind
    line: int
    reason: str
    advice: str
    change: str
    exact: bool
    source: str
    diff: str
    arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    apart: tuple[tuple[str, str], ...] = ()
    fastmath: bool = False


class Reading(ArrayReading):
    """One function, and the changes that are made of edits."""

    def reusable(self, node: Any, wishes: Sequence[str], wrap: str = "") -> tuple[str, list[Edit]]:
        """Return how to write an expression several times: as its name, or as a variable that an edit assigns before.

        wrap: a function that is applied to it. Raises Unchangeable where it may not be computed before its statement.
        """
        if isinstance(node, ast.Name) and not wrap:
            return node.id, []
        statement = self.source.statement_of(node)
        if isinstance(statement, (ast.While, ast.Assert)):
            raise Unchangeable("it may be computed several times, or not at all")
        whole = self.effects(getattr(statement, "test", None) or getattr(statement, "iter", None) or statement)
        if whole.unknown or whole.calls:
            raise Unchangeable("a call may come before it")
        if self.source.around_in_statement(node, ast.IfExp, ast.BoolOp, *COMPREHENSIONS, ast.Lambda):
            raise Unchangeable("it may not be computed at all")
        name = self.fresh(*wishes)
        text = self.source.segment(node)
        return name, [self.source.before(statement, f"{name} = {f'{wrap}({text})' if wrap else text}")]

    def guarded(self, line: str, loop: Any, node: Any, *, raises: bool) -> list[str]:
        """Return the lines that compute before a loop what each of its iterations computes.

        raises: whether that may raise an exception, or read outside an array. Then it is computed only where the loop
        has an iteration, and where the first one computes it before anything else can be seen. Raises Unchangeable
        where that is not so.
        """
        if not raises:
            return [line]
        condition = self.runs_when(loop)
        if condition is None or not self.is_first(node, loop):
            raise Unchangeable("it may raise an exception where the original does not")
        return [line] if not condition else [f"if {condition}:", f"    {line}"]

    def is_first(self, node: Any, loop: Any) -> bool:
        """Whether each iteration of a loop computes an expression, and writes nothing before it does."""
        statement = self.source.statement_of(node)
        if self.source.around_in_statement(node, ast.IfExp, ast.BoolOp, ast.Lambda, *COMPREHENSIONS):
            return False
        if not any(statement is each for each in loop.body) or isinstance(statement, (ast.For, ast.While)):
            return False
        if isinstance(statement, ast.If) and not any(node is each for each in ast.walk(statement.test)):
            return False
        before = loop.body[: [each is statement for each in loop.body].index(True)]
        effects = self.effects(*before)
        return not (effects.unknown or effects.jumps or effects.stores or effects.attributes)

    def change(
        self,
        kind: Kind,
        line: int,
        reason: str,
        change: str,
        edits: Sequence[Edit],
        *,
        exact: bool,
        advice: str = "",
        apart: tuple[tuple[str, str], ...] = (),
        fastmath: bool = False,
        arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None,
    ) -> Rewrite:
        """Return a rewrite made of edits. advice: "" for the rule's. Raises Unchangeable where they do not fit."""
        self._used.clear()
        text = self.source.changed(edits)
        source = self.source.dedented(text)
        try:
            ast.parse(source)
        except SyntaxError as error:
            raise Unchangeable(str(error)) from None
        advice = advice or RULES[kind].advice
        if apart:
            advice += " Only where " + " and where ".join(f"{one} and {other}" for one, other in apart)
            advice += " share no memory."
        exact = exact and not fastmath and not self.free_order
        diff = self.source.diff(text)
        return Rewrite(kind, line, reason, advice, change, exact, source, diff, arguments, apart, fastmath)

    def changes(
        self, kind: Kind, places: Sequence[tuple[int, str, Sequence[Edit]]], change: str, **more: Any
    ) -> list[Rewrite]:
        """Return one change of several places, as a rewrite for each line. places: of each its line, the reason, edits.

        Places whose edits do not fit are left out.
        """
        kept: list[tuple[int, str, Sequence[Edit]]] = []
        for place in places:
            try:
                ast.parse(
                    self.source.dedented(self.source.changed([edit for one in [*kept, place] for edit in one[2]]))
                )
            except (Unchangeable, SyntaxError):
                continue
            kept.append(place)
        edits = [edit for place in kept for edit in place[2]]
        reasons = {line: reason for line, reason, _ in reversed(kept)}
        return [self.change(kind, line, reasons[line], change, edits, **more) for line in sorted(reasons)]

    def with_free_order(self) -> list[Edit] | None:
        """Return edits that let sums be reordered, in the decorator; None where the options have that already."""
        if self.free_order:
            return None
        for decorator in self.node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self.types.value(called) not in (numba.njit, numba.jit):
                continue
            flags = f"fastmath={REORDERING}"
            if not isinstance(decorator, ast.Call):
                return [Edit(self.source.end(decorator), self.source.end(decorator), f"({flags})")]
            for keyword in decorator.keywords:
                if keyword.arg == "fastmath":
                    return [Edit(self.source.begin(keyword.value), self.source.end(keyword.value), REORDERING)]
            at = self.source.end(decorator) - 1
            before = self.source.text[:at].rstrip()
            comma = "" if before.endswith(("(", ",")) else ", "
            return [Edit(at, at, f"{comma}{flags}")]
        return []
