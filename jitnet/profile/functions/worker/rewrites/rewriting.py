"""From a function to the changes that can be tried, and from a change to a function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.summary import Summary

__all__ = ["Rewrite", "build", "rewrites"]


@dataclass(frozen=True)
class Rewrite:
    """A change of a function's source that keeps its meaning.

    line: in the user's file, that the hint names. reason, advice: as in `Hint`. change: in a few words, "the loops of
    lines 4 and 5 exchanged". exact: whether results must have equal bits; else rounding may differ. source: the whole
    changed source of the function, without the indent, with its decorators. diff: a unified diff of the user's file;
    several rewrites with one source are one change, found at several lines.

    apart: pairs of arguments' names. The meaning is kept only where the arrays of a pair share no memory.
    fastmath: whether it helps only with `fastmath={"reassoc", "contract", "nsz"}`, with which it is then to be compiled;
    source and diff have that in the decorator where the decorator is njit or jit.
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


def rewrites(python_function: Any, types_of_arguments: Sequence[Any], summaries: Sequence[Summary]) -> list[Rewrite]:
    """Return the changes that apply to a function, those that tend to help most first; [] where its source is unknown.

    types_of_arguments: Numba's. summaries: of all functions that were compiled; that of this one has its types.
    """
    return []


def build(python_function: Any, rewrite: Rewrite) -> Any:
    """Return the changed Python function, without decorators.

    It has the original's globals, closure and defaults. Its file is the user's, and its lines are those of the original
    from which they came.
    """
    raise NotImplementedError
