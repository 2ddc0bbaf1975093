"""The line view's process, which compiles while the worker process compiles and checks, and stops while it times."""

import sys
from typing import Any

from jitnet.compiler.surroundings import CORES
from jitnet.profile.code.code_view import Target
from jitnet.profile.code.look import EarlyLook
from jitnet.profile.functions.stages import is_timed

__all__ = ["EarlyLines", "view_target"]

SHORTEST_LOOK_S = 6.0
"""A function that compiles in less is always compiled again for its line view."""

READING_S = 0.5
"""What is left to do for the line view where its process has compiled already, about."""


class EarlyLines:
    """The process of a function's line view, where it can run beside the worker process without disturbing its times:
    on a second core, and on Linux, where it is stopped whenever something is timed.

    is_given: whether it compiles, or has compiled, for the types of the function's arguments.
    """

    def __init__(self, target: str, cpu: str | None) -> None:
        beside = sys.platform.startswith("linux") and len(CORES) > 1
        self._look = EarlyLook(view_target(target), cpu) if beside else None
        self._paused = False

    @property
    def is_given(self) -> bool:
        return self._look is not None and bool(self._look.pickled)

    def stage(self, what: str) -> None:
        """The worker process begins with this: stop while it is timed."""
        self._pause(is_timed(what))

    def compiled(self, found: dict[str, Any]) -> None:
        """The worker process has compiled the function. found: as `measure_and_try` says it."""
        if self._look is not None and found["pickled"] and (found["compile_s"] or 0.0) <= SHORTEST_LOOK_S:
            self._look.give(found["pickled"])

    def look(self, pickled: str) -> EarlyLook | None:
        """Return the view in the making for these types, not stopped any more; None where it has to be begun."""
        if self._look is None or self._look.pickled not in ("", pickled):
            return None
        if not self._look.pickled:
            self._look.give(pickled)
        self._pause(False)
        return self._look

    def _pause(self, paused: bool) -> None:
        if self._look is not None and paused is not self._paused:
            self._paused = paused
            (self._look.pause if paused else self._look.resume)()

    def __enter__(self) -> "EarlyLines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._look is not None:
            self._look.__exit__()


def view_target(target: str, pickled: str = "") -> Target:
    """Return what to look at. pickled: as in `Target`."""
    where, _, name = target.rpartition(":")
    return Target(name, where, pickled=pickled)
