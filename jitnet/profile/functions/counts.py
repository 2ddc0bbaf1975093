"""What a worker process counted, from its reply to records."""

from typing import Any

from jitnet.profile.functions.count_records import Counted, CountedLoop, Hardware, HardwareLoop
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import CallSlice, RegionSlice

__all__ = ["counted_of", "hardware_of", "timeline_of"]


def counted_of(found: dict[str, Any]) -> Counted:
    """Return FLOP and bytes of a call and of its loops."""
    loops = tuple(CountedLoop(Place(**each["place"]), each["flop"], each["bytes"]) for each in found["loops"])
    return Counted(found["flop"], found["bytes"], loops, found["reason"])


def hardware_of(found: dict[str, Any]) -> Hardware:
    """Return the processor's counts."""
    loops = tuple(HardwareLoop(**each | {"place": Place(**each["place"])}) for each in found["loops"])
    return Hardware(**found | {"loops": loops})


def timeline_of(found: list[dict[str, Any]]) -> tuple[CallSlice, ...]:
    """Return some calls with what each thread did in their regions."""
    return tuple(
        CallSlice(
            call["begin_s"],
            call["end_s"],
            tuple(RegionSlice(**each | {"place": Place(**each["place"])}) for each in call["regions"]),
        )
        for call in found
    )
