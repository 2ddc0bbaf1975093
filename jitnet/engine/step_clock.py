"""The clock of a run: when each line, region and step of a call began and ended."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.engine.arena import GAP_BYTES
from jitnet.machine.pages import untouched

__all__ = ["CLOCKED_STEPS", "Clock", "clock_for", "clock_readings", "no_clock"]

CLOCKED_STEPS = 512
"""Steps whose times are kept: the last ones of a call, where it has more."""

_LINES_TOGETHER = 8
"""Lines whose readings fill 128 bytes, two cache lines."""


class Clock(NamedTuple):
    """When each line of each step began and ended, int64 ticks (see machine.clock). Step k of a call writes into place
    k % CLOCKED_STEPS. by_part: (parts, CLOCKED_STEPS and a gap, lines, 2), begin and end: what a part writes is a page
    from what the next one does. regions: (CLOCKED_STEPS, regions + 1, 2), as the thread that enters them sees them.
    whole_steps: (CLOCKED_STEPS, 2)."""

    by_part: npt.NDArray[np.int64]
    regions: npt.NDArray[np.int64]
    whole_steps: npt.NDArray[np.int64]

    @property
    def lines(self) -> npt.NDArray[np.int64]:
        """The same step by step: a view (CLOCKED_STEPS, parts, lines, 2)."""
        return self.by_part[:, : len(self.whole_steps)].swapaxes(0, 1)


def no_clock() -> Clock:
    """No room for readings."""
    return clock_for(0, 0, 0, steps=0)


def clock_for(parts: int, lines: int, regions: int, steps: int = CLOCKED_STEPS) -> Clock:
    """Room for the readings of a program of so many lines and regions, of some steps."""
    room = -(-lines // _LINES_TOGETHER) * _LINES_TOGETHER
    gap = -(-GAP_BYTES // (16 * room)) if room else 0
    return Clock(
        untouched(parts * (steps + gap) * room * 2, np.int64).reshape(parts, steps + gap, room, 2),
        np.zeros((steps, regions + 1, 2), np.int64),
        np.zeros((steps, 2), np.int64),
    )


def clock_readings(clock: Clock, n_steps: int) -> Clock:
    """Copies of what the clock has of the last steps of a call of n_steps, the earliest first."""
    room = len(clock.whole_steps)
    kept, first = min(n_steps, room), n_steps % room if n_steps > room else 0
    return Clock(
        np.roll(clock.by_part[:, :room], -first, axis=1)[:, :kept],
        *(np.roll(readings, -first, axis=0)[:kept] for readings in (clock.regions, clock.whole_steps)),
    )
