"""Whether an index is out of bounds: a copy that checks each, compiled and called in a forked process."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher, folded_types
from jitnet.profile.functions.worker.calls import Calls
from jitnet.profile.functions.worker.copies import Change, changed_copy, recompiled
from jitnet.profile.functions.worker.mentions import tree
from jitnet.profile.functions.worker.outcomes import LARGEST_BYTES, Outcome, bytes_of
from jitnet.profile.functions.worker.overruns import Overrun, OverrunWatch
from jitnet.profile.functions.worker.races import holds_indices
from jitnet.profile.functions.worker.subject import Subject

__all__ = ["CheckedCopy", "CheckedRun", "can_check", "prepare", "run"]


class CheckedCopy(NamedTuple):
    """function: the copy. arguments: what to call it with, their functions copied too. watch: sees its overruns."""

    function: Any
    arguments: tuple[Any, ...]
    watch: OverrunWatch


class CheckedRun(NamedTuple):
    """What a call of it showed.

    overrun: None where none was seen. text: of the error that was raised, "" for none. made_up: whether the overrun is
    gone where all indices in the arguments are 0. outcome: what it returned and wrote, None where an index was out of
    bounds, or that is large.
    """

    overrun: Overrun | None = None
    text: str = ""
    made_up: bool = False
    outcome: Outcome | None = None

    @property
    def held(self) -> bool:
        return self.overrun is None and not self.text


def can_check(subject: Subject) -> bool:
    """Whether a copy that checks its indices can be made of a function."""
    return subject.by_element or (subject.kind == "njit" and isinstance(subject.dispatcher, Dispatcher))


def prepare(subject: Subject, arguments: tuple[Any, ...]) -> CheckedCopy:
    """Return a copy that checks its indices and uses no threads; compiled, but for a ufunc that compiles when called.

    For a process that compiles nothing else afterwards.
    """
    watch = OverrunWatch()
    if not subject.by_element:
        function, passed = recompiled(subject.dispatcher, arguments, parallel=False, boundscheck=True)
        function.compile(folded_types(function, tuple(map(numba.typeof, passed))))
        return CheckedCopy(function, passed, watch)
    changes = {each: Change({"boundscheck": True, "parallel": False}) for each, _ in tree(subject.function, arguments)}
    changes[subject.function] = Change({"boundscheck": True, "target": "cpu"})
    return CheckedCopy(changed_copy(subject, changes), arguments, watch)


def run(copy: CheckedCopy, calls: Calls, outcome: Callable[[Any], Outcome], made_up: bool) -> CheckedRun:
    """Call the copy once. calls: of the function, by which its arguments are reset. outcome: returns what a call
    returned and wrote, from its result. made_up: whether indices in the arguments are random numbers."""
    function, arguments, watch = copy
    text, result = "", None
    try:
        result = function(*arguments)
    except IndexError as error:
        text = str(error)
    overrun = watch.found()
    if overrun is None and not text:
        made = outcome(result)
        return CheckedRun(outcome=made if bytes_of(made) <= LARGEST_BYTES else None)
    if not (made_up and overrun is not None and any(map(holds_indices, arguments))):
        return CheckedRun(overrun, text)
    # Indices that are all 0 are in bounds everywhere.
    calls.reset()
    watch.clear()
    zeros = [np.zeros_like(each) if holds_indices(each) else each for each in arguments]
    with contextlib.suppress(IndexError):
        function(*zeros)
    again = watch.found()
    return CheckedRun(overrun, text, again is None or again.line != overrun.line)
