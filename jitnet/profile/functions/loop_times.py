"""The loops of a profile with their shares of a call, and what the call took that they are shares of."""

from pathlib import Path

from jitnet.profile.functions.function_profile import Count, FunctionProfile, Place

__all__ = ["loop_name", "shares_of_loops", "timed_count"]


def timed_count(profile: FunctionProfile) -> Count:
    """Return the count of threads whose call the loops are parts of: that which was sampled, else the fastest."""
    return profile.full if profile.sampling is not None else profile.best


def shares_of_loops(profile: FunctionProfile) -> dict[tuple[str, int], float]:
    """Return each loop's share of a call, by its file and line; none where the call was not sampled.

    A loop of a function that is called in several places has a row for each of them, and here their sum, as it has the
    FLOP of all of them.
    """
    found: dict[tuple[str, int], float] = {}
    for loop in profile.sampling.loops if profile.sampling is not None else ():
        if loop.kind == "loop":
            key = (loop.place.file, loop.place.line)
            found[key] = found.get(key, 0.0) + loop.share
    return found


def loop_name(profile: FunctionProfile, place: Place) -> str:
    """Return the name of a loop's point: its line, with the file where that is not the function's."""
    where = "" if place.file == profile.place.file else f" of {Path(place.file).name}"
    return f"loop in line {place.line}{where}"
