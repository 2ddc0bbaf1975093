"""Loops of the source, and which of them each loop of the machine code comes from.

The line table has the source line of every instruction. The jump that closes a machine loop has the line of the source
loop's header; where it has none, the lines of the instructions decide.
"""

import ast
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jitnet.profile.code.assembly import MachineFunction, MachineLoop
from jitnet.profile.code.code_view import Source

__all__ = ["SourceLoop", "function_source", "is_unused", "loop_at", "match", "module_loops", "place_of"]

FEW = 0.1
"""Share of a machine loop's instructions that may have been moved in from other loops."""


@dataclass(frozen=True)
class SourceLoop:
    """A `for`, `while` or comprehension; or a line that became a loop without one, an array expression. Fields as in
    `Loop`; head: the last line of its header. prange: whether it is a parallel one. written: False for a line without
    a loop."""

    file: str
    line: int
    last_line: int
    function: str
    depth: int
    innermost: bool
    head: int = 0
    prange: bool = False
    written: bool = True


@dataclass(frozen=True)
class _Function:
    """line: of its `def`. begin: of its first decorator, or else of its `def`."""

    name: str
    begin: int
    line: int
    last_line: int


@dataclass(frozen=True)
class _Module:
    lines: tuple[str, ...]
    functions: tuple[_Function, ...]
    loops: tuple[SourceLoop, ...]


@cache
def _module(file: str) -> _Module | None:
    """Return a file's functions and loops; None where there is no such file, or it is not Python."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return None
    functions: list[_Function] = []
    loops: list[SourceLoop] = []

    def visit(node: ast.AST, function: str, depth: int) -> bool:
        """Visit a node; return whether it contains a loop."""
        inside = False
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                name = getattr(child, "name", function or "lambda")
                if not isinstance(child, ast.Lambda):
                    begin = min([child.lineno, *(one.lineno for one in child.decorator_list)])
                    functions.append(_Function(name, begin, child.lineno, child.end_lineno or child.lineno))
                visit(child, name, 0)
            elif isinstance(child, (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                loops.append(_loop(file, child, function, depth + 1, visit(child, function, depth + 1)))
                inside = True
            else:
                inside |= visit(child, function, depth)
        return inside

    visit(tree, "", 0)
    return _Module(tuple(text.splitlines()), tuple(functions), tuple(loops))


def _loop(file: str, node: ast.AST, function: str, depth: int, has_loops: bool) -> SourceLoop:
    line, last = node.lineno, node.end_lineno  # type: ignore[attr-defined]
    head, parallel = line, False
    if isinstance(node, ast.For):
        head = node.iter.end_lineno or line
        parallel = isinstance(node.iter, ast.Call) and ast.unparse(node.iter.func).split(".")[-1] in (
            "prange",
            "pndindex",
        )
        last = max(statement.end_lineno or line for statement in node.body)
    elif isinstance(node, ast.While):
        head = node.test.end_lineno or line
        last = max(statement.end_lineno or line for statement in node.body)
    return SourceLoop(file, line, last, function, depth, not has_loops, head, parallel)


def module_loops(file: str) -> tuple[SourceLoop, ...]:
    """Return all loops of a file; none where it is missing or not Python."""
    found = _module(file)
    return found.loops if found else ()


@cache
def loop_at(file: str, line: int) -> SourceLoop | None:
    """Return the innermost loop around a line, which may be its header; None outside all loops."""
    around = [loop for loop in module_loops(file) if loop.line <= line <= loop.last_line]
    return max(around, key=lambda loop: (loop.depth, loop.line), default=None)


@cache
def function_source(file: str, line: int) -> Source | None:
    """Return the innermost function around a line, or the one whose decorators are there."""
    found = _module(file)
    if found is None:
        return None
    around = [one for one in found.functions if one.begin <= line <= one.last_line]
    after = [one for one in found.functions if one.line > line]
    if not around and not after:
        return None
    chosen = max(around, key=lambda one: one.line) if around else min(after, key=lambda one: one.line)
    return Source(file, chosen.name, chosen.line, found.lines[chosen.line - 1 : chosen.last_line])


def is_unused(loop: SourceLoop) -> bool:
    """Whether a loop only assigns plain variables that are not read outside it, so that nothing is lost without it."""
    found = _module(loop.file)
    function = function_source(loop.file, loop.line)
    if found is None or function is None:
        return False
    try:
        tree = ast.parse(textwrap.dedent("\n".join(function.lines)))
    except SyntaxError:
        return False
    first, last = loop.line - function.first_line + 1, loop.last_line - function.first_line + 1
    assigned, read = set(), set()
    others = [
        (target.id, node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.For) and not node.lineno <= first <= (node.end_lineno or node.lineno)
        for target in ast.walk(node.target)
        if isinstance(target, ast.Name)
    ]
    for node in ast.walk(tree):
        inside = hasattr(node, "lineno") and first <= node.lineno <= last
        if inside and isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            return False
        if isinstance(node, ast.Name) and inside and isinstance(node.ctx, ast.Store):
            assigned.add(node.id)
        elif isinstance(node, ast.Name) and not inside and isinstance(node.ctx, ast.Load):
            counts = any(node.id == name and begin <= node.lineno <= end for name, begin, end in others)
            if not counts:  # by another loop
                read.add(node.id)
    return not assigned & read


def match(functions: Sequence[MachineFunction]) -> Iterator[tuple[SourceLoop, MachineFunction, MachineLoop]]:
    """Yield each machine loop with its loop of the source; those of code without a source are left out."""
    for function in functions:
        for loop in function.loops:
            for machine, source in _match(function, loop):
                if source is not None:
                    yield source, function, machine


def _match(function: MachineFunction, loop: MachineLoop) -> list[tuple[MachineLoop, SourceLoop | None]]:
    """Match a machine loop and those inside it, outermost first."""
    found: list[tuple[MachineLoop, SourceLoop | None]] = []
    children: list[SourceLoop] = []
    for child in loop.inside:
        inner = _match(function, child)
        children += [inner[0][1]] if inner[0][1] is not None else []
        found += inner
    matched = _written_loop(loop, children)
    if matched is None:
        matched = _loop_without_for(loop, function.symbol)
    elif matched in children:
        # Matched twice: the inner one is a line that became a loop without `for`, if it is only one line.
        found = [
            (machine, _loop_without_for(machine, "") or source)
            if source == matched and machine in loop.inside
            else (machine, source)
            for machine, source in found
        ]
    return [(loop, matched), *found]


def _written_loop(loop: MachineLoop, children: Sequence[SourceLoop]) -> SourceLoop | None:
    """Return the written loop that a machine loop comes from; it contains those of `children`."""
    closing = loop_at(loop.back.file, loop.back.line)
    if closing is not None and all(_may_contain(closing, child) for child in children):
        return closing
    if children:
        return _parent(children[0])
    votes = Counter(loop_at(one.file, one.line) for one in loop.instructions if one.line)
    candidates = [one for one, count in votes.items() if one is not None and count >= FEW * votes.total()]
    if not candidates:
        return None
    # The loop that contains all of them: an inner loop may have been unrolled.
    common = candidates[0]
    for one in candidates[1:]:
        while not (common.file == one.file and common.line <= one.line and one.last_line <= common.last_line):
            outer = _parent(common)
            if outer is None:
                return max(candidates, key=lambda each: votes[each])
            common = outer
    return common


def _may_contain(outer: SourceLoop, inner: SourceLoop) -> bool:
    """Whether one loop may contain another; a loop of another function may, since it was inlined."""
    if (outer.file, outer.function) != (inner.file, inner.function):
        return True
    return outer.line <= inner.line and inner.last_line <= outer.last_line


def _parent(loop: SourceLoop) -> SourceLoop | None:
    """Return the next loop around one, in its function."""
    return next(
        (
            one
            for one in module_loops(loop.file)
            if one.function == loop.function
            and one.depth == loop.depth - 1
            and one.line <= loop.line <= loop.last_line <= one.last_line
        ),
        None,
    )


def _loop_without_for(loop: MachineLoop, symbol: str) -> SourceLoop | None:
    """Return the line that became a machine loop without `for`; the function where Numba made the loop of all of it."""
    lines = Counter((one.file, one.line) for one in loop.instructions if one.line and _module(one.file))
    if not lines:
        return None
    (file, line), _ = lines.most_common(1)[0]
    source = function_source(file, line)
    in_threads = "__numba_parfor_gufunc" in symbol  # also of an expression of whole arrays
    if in_threads and loop.inside:
        return None  # the loop over a thread's shares of a `prange`, usually one
    if symbol.startswith(("__ufunc__", "__gufunc__")) and not in_threads:
        line = source.first_line if source is not None else line
    elif loop.inside and loop_at(file, line) is not None:
        return None
    found = place_of(file, line)
    return found if found is not None and not found.written else None


@cache
def place_of(file: str, line: int) -> SourceLoop | None:
    """Return the innermost loop around a line; without one, the line as a loop, or the function that begins there and
    that Numba calls for each element. None outside all functions."""
    around, source = loop_at(file, line), function_source(file, line)
    if source is None or (around is not None and around.line <= line <= around.head):
        return around
    if line <= source.first_line:
        last = source.first_line + len(source.lines) - 1
        innermost = not any(source.first_line <= one.line <= last for one in module_loops(file))
        return SourceLoop(
            file, source.first_line, last, source.function, 0, innermost, source.first_line, written=False
        )
    depth = around.depth + 1 if around else 1
    return SourceLoop(file, line, line, source.function, depth, True, line, written=False)
