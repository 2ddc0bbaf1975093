"""The races in a function's parallel loops, by its code and by a run that watches each element."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.profile.functions.worker.shared_writes import Conflict, watch_run
from jitnet.profile.functions.worker.summary import SharedWrite, Summary

__all__ = ["Race", "Races", "holds_indices", "judge", "watch_twice"]


class Watched(NamedTuple):
    """What runs in Python have found.

    conflicts: by line. complete: whether the run reached its end. loops: parallel
    loops that it entered. made_up: lines whose conflicts are not there with other indices than `--args` makes.
    """

    conflicts: dict[int, Conflict]
    complete: bool
    loops: int
    made_up: frozenset[int]


class Race(NamedTuple):
    """One race. source, advice: as in `Hint`; advice is "" for the rule's."""

    file: str
    line: int
    reason: str
    source: str
    advice: str = ""


class Races(NamedTuple):
    """What is known of them.

    found: the races. made_up: conflicts that hang on the indices that `--args` made up. open: suspects that no run has
    decided.
    """

    found: list[Race]
    made_up: list[Race]
    open: list[Race]


def watch_twice(
    function: Any, arguments: tuple[Any, ...], names: Sequence[str], lines: set[int], budget_s: float, made_up: bool
) -> Watched:
    """Run a function in Python and watch its arrays. made_up: whether its indices are random numbers.

    Where these cause conflicts, it is run again with indices that are all different.
    """
    first = watch_run(function, arguments, lines, budget_s, names)
    hanging: set[int] = set()
    for other in _distinct_indices(arguments) if made_up and first.conflicts else ():
        again = watch_run(function, other, set(first.conflicts), budget_s, names)
        if again.complete or set(first.conflicts) <= set(again.conflicts):
            hanging = set(first.conflicts) - set(again.conflicts)
            break
    return Watched(dict(first.conflicts), first.complete, first.loops, frozenset(hanging))


def _distinct_indices(arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Return arguments whose arrays of integers hold as many different numbers as they can: any number, and, for where
    these are out of bounds, at most the smallest extent, as `--args` makes them. None without such arrays."""
    arrays = [each for each in arguments if isinstance(each, np.ndarray)]
    if not any(map(holds_indices, arrays)):
        return []
    smallest = min((extent for each in arrays for extent in each.shape if extent), default=1)

    def with_limit(limit: int) -> tuple[Any, ...]:
        return tuple(
            (np.arange(each.size) % limit).reshape(each.shape).astype(each.dtype) if holds_indices(each) else each
            for each in arguments
        )

    return [with_limit(max(1, max(each.size for each in arrays))), with_limit(smallest)]


def holds_indices(value: Any) -> bool:
    """Whether an argument is an array of integers, which may be used as indices."""
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def judge(summaries: Sequence[Summary], watched: Watched | None, differs: bool) -> Races:
    """Return what is known of the races.

    watched: None where no run could be made. differs: whether the results show that there is one.
    """
    races = Races([], [], [])
    suspects = [(summary.file, each) for summary in summaries for each in summary.shared]
    conflicts = watched.conflicts if watched is not None else {}
    for file, each in suspects:
        if each.certain:
            reason = f"{each.certain}, {_loop(each.loop_line)}"
            races.found.append(Race(file, each.line, reason, "types", each.advice))
    known = {race.line for race in races.found}
    by_line = {each.line: each for _, each in suspects if not each.called}
    for line, conflict in conflicts.items():
        suspect = by_line.get(line)
        if line in known or (conflict.same and (suspect is None or suspect.constant)):
            continue  # all of them write the same value
        calls = [each.line for _, each in suspects if each.called]
        inside = conflict.function in {summary.name for summary in summaries if summary.parallel}
        called = f", in a function called in line {calls[0]}" if calls and not inside else ""
        array = (suspect.array if suspect is not None else "") or conflict.array
        reason = f"{_clause(conflict, array)}{called}, {_loop(conflict.loop_line)}"
        race = Race(conflict.file, line, reason, "a run in Python")
        (races.made_up if watched is not None and line in watched.made_up else races.found).append(race)
    undecided = watched is None or not watched.complete or differs
    if undecided and not races.found:
        for file, each in suspects:
            if each.line not in known | set(conflicts) and not each.called and not each.constant:
                race = Race(file, each.line, f"{_suspicion(each)}, {_loop(each.loop_line)}", "types")
                (races.found if each.sure or differs else races.open).append(race)
    for part in races:
        part.sort(key=lambda race: (race.file, race.line))
    return races


def _loop(line: int) -> str:
    return f"in the parallel loop of line {line}"


def _clause(conflict: Conflict, array: str) -> str:
    of = f"element of {array or 'an array'}"
    if conflict.what == conflict.found == "written":
        return f"iterations {conflict.before} and {conflict.after} both write one {of}"
    if conflict.what == "read":
        return f"iteration {conflict.after} reads an {of} that iteration {conflict.before} writes"
    return f"iteration {conflict.after} writes an {of} that iteration {conflict.before} reads"


def _suspicion(each: SharedWrite) -> str:
    if each.reads:
        return f"{each.array} may be read where another thread writes it"
    if each.sure:
        return f"an element of {each.array} is written in every iteration"
    return f"an element of {each.array} may be written by several threads, by its index"
