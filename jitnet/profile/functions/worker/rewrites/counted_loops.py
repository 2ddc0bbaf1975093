"""Sums over an iterator, as sums over an index.

LLVM vectorises no loop whose end an iterator decides, in whatever order it may add.
"""

import ast
from collections.abc import Iterator

from numba import types

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites.function_source import Edit, Unchangeable
from jitnet.profile.functions.worker.rewrites.liveness import assigned
from jitnet.profile.functions.worker.rewrites.reading import REORDERING, Reading, Rewrite

__all__ = ["counted_loops"]


def counted_loops(reading: Reading) -> Iterator[Rewrite]:
    """Yield for each innermost loop over the elements of arrays that sums, the change that counts with a range."""
    for loop in reading.loops():
        if isinstance(loop, ast.For) and not loop.orelse and reading.is_innermost(loop):
            line = reading.line_of_sum(loop)
            try:
                edits = _counted(reading, loop) if line else None
                decorated = reading.with_free_order()
                if edits is None:
                    continue
                text = ast.unparse(loop.iter)
                yield reading.change(
                    Kind.REDUCTION,
                    line,
                    f"the sum goes over {text}: an iterator and a fixed order, of which each prevents vectorisation",
                    f"the loop over {text} counted by a range, with its sum in any order",
                    [*edits, *(decorated or [])],
                    exact=True,
                    advice=f"Loop over range(len(…)), with fastmath={REORDERING}; the last digits change.",
                    fastmath=decorated is not None,
                )
            except Unchangeable:
                continue


def _counted(reading: Reading, loop: ast.For) -> list[Edit] | None:
    """Return edits that make a loop one over a range; None where it is not over elements of arrays."""
    source = reading.source
    arrays, targets, index = [loop.iter], [loop.target], ""
    called = reading.types.value(loop.iter.func) if isinstance(loop.iter, ast.Call) else None
    if called in (enumerate, zip) and isinstance(loop.iter, ast.Call) and isinstance(loop.target, ast.Tuple):
        arrays, targets = list(loop.iter.args), list(loop.target.elts)
        if loop.iter.keywords:
            return None
        if called is enumerate:
            if len(arrays) != 1 or len(targets) != 2 or not isinstance(targets[0], ast.Name):
                return None
            index, targets = targets[0].id, targets[1:]
    names = [each.id for each in arrays if isinstance(each, ast.Name)]
    if len(names) != len(targets) or len(arrays) != len(targets):
        return None
    for array in arrays:
        kind = reading.type_of(array)
        if not isinstance(kind, types.Array) or kind.ndim != 1:
            return None
    if not all(isinstance(each, ast.Name) for each in targets):
        return None
    taken = assigned(*loop.body, loop.target)
    if set(names) & taken or (index and index in assigned(*loop.body)):
        return None
    index = index or reading.fresh("i", "k", "index")
    ends = [f"len({name})" for name in names]
    end = ends[0] if len(ends) == 1 else f"min({', '.join(ends)})"
    lines = [f"{ast.unparse(target)} = {name}[{index}]" for target, name in zip(targets, names, strict=True)]
    return [
        Edit(source.begin(loop.target), source.end(loop.iter), f"{index} in range({end})"),
        source.before(loop.body[0], *lines),
    ]
