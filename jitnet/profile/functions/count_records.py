"""What the counts of a profile are: FLOP and bytes, and the processor"s events."""

from dataclasses import dataclass

from jitnet.profile.functions.places import Place

__all__ = ["Counted", "CountedLoop", "Hardware", "HardwareLoop"]


@dataclass(frozen=True)
class CountedLoop:
    """What all iterations of a loop do in one call, with all that is called in it; None where it is not known."""

    place: Place
    flop: float | None
    bytes: float | None


@dataclass(frozen=True)
class Counted:
    """FLOP and bytes of a call, counted by running a copy that counts; None where it is not known, for the reason.

    FLOP: additions, subtractions, products, quotients, roots, powers and each call of a mathematical function. bytes:
    each distinct array element once where it is read before it is written, and once where it is written, as if the
    caches were perfect.
    """

    flop: float | None
    bytes: float | None
    loops: tuple[CountedLoop, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class HardwareLoop:
    """A loop's share of the events that were counted for a call, 0 to 1, by samples of where each occurred."""

    place: Place
    cycles: float
    cache_misses: float


@dataclass(frozen=True)
class Hardware:
    """What the processor's counters counted in a mean call, on all threads of the function's process, in user mode;
    None for an event that the processor does not count. reason: why there are none, in a sentence."""

    cycles: float | None = None
    instructions: float | None = None
    cache_misses: float | None = None
    branch_misses: float | None = None
    loops: tuple[HardwareLoop, ...] = ()
    reason: str = ""

    @property
    def known(self) -> bool:
        return self.cycles is not None or self.instructions is not None

    @property
    def instructions_per_cycle(self) -> float | None:
        return self.instructions / self.cycles if self.instructions is not None and self.cycles else None
