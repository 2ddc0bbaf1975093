"""From a function to the changes that can be tried, and from a change to a function."""

from collections.abc import Sequence
from typing import Any

from jitnet.profile.functions.worker.rewrites.counted_loops import counted_loops
from jitnet.profile.functions.worker.rewrites.function_source import FunctionSource, Unchangeable, make_function
from jitnet.profile.functions.worker.rewrites.loop_exchange import exchanged_loops
from jitnet.profile.functions.worker.rewrites.loop_hoisting import (
    hoisted_allocations,
    hoisted_attributes,
    hoisted_values,
)
from jitnet.profile.functions.worker.rewrites.magnitudes import magnitudes
from jitnet.profile.functions.worker.rewrites.narrow_constants import narrow_constants
from jitnet.profile.functions.worker.rewrites.powers import powers
from jitnet.profile.functions.worker.rewrites.reading import Reading, Rewrite
from jitnet.profile.functions.worker.rewrites.reciprocals import reciprocals
from jitnet.profile.functions.worker.rewrites.record_fields import arrays_of_fields
from jitnet.profile.functions.worker.rewrites.sums_in_memory import sums_in_variables
from jitnet.profile.functions.worker.rewrites.unsigned_indices import unsigned_indices
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.typed_code import failures

__all__ = ["Rewrite", "build", "rewrites"]

FINDERS = (
    exchanged_loops,
    powers,
    magnitudes,
    hoisted_allocations,
    hoisted_attributes,
    sums_in_variables,
    counted_loops,
    arrays_of_fields,
    hoisted_values,
    narrow_constants,
    unsigned_indices,
    reciprocals,
)
"""Each yields its changes; those that tend to help most come first."""


def rewrites(python_function: Any, types_of_arguments: Sequence[Any], summaries: Sequence[Summary]) -> list[Rewrite]:
    """Return the changes that apply to a function, those that tend to help most first; [] where its source is unknown.

    types_of_arguments: Numba's. summaries: of all functions that were compiled; that of this one has its types.
    """
    found = [summary for summary in summaries if summary.function is python_function]
    same = [summary for summary in found if tuple(map(str, summary.arguments)) == tuple(map(str, types_of_arguments))]
    if not found:
        return []
    try:
        reading = Reading(python_function, (same or found)[-1])
    except Unchangeable:
        return []
    made: list[Rewrite] = []
    for find in FINDERS:
        # As with the readers of types: what fails costs its hints, never the profile.
        try:
            for each in find(reading):
                if not any((one.source, one.line, one.kind) == (each.source, each.line, each.kind) for one in made):
                    made.append(each)
        except Exception as error:
            failures.append(f"{python_function.__qualname__}: {find.__name__}: {type(error).__name__}: {error}")
    return made


def build(python_function: Any, rewrite: Rewrite) -> Any:
    """Return the changed Python function, without decorators.

    It has the original's globals, closure and defaults. Its file is the user's, and its lines are those of the original
    from which they came.
    """
    source = FunctionSource(python_function)
    return make_function(python_function, source.dedented(source.text), rewrite.source)
