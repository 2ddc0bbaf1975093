"""Whether fastmath changes results: it lets the compiler assume that no number is NaN or infinite."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jitnet.compiler.numba_parts import Dispatcher
from jitnet.profile.functions.worker.calls import Calls
from jitnet.profile.functions.worker.copies import recompiled
from jitnet.profile.functions.worker.differences import Allowance, differences
from jitnet.profile.functions.worker.mentions import Mention
from jitnet.profile.functions.worker.outcomes import Outcome

__all__ = ["WithoutFastmath", "asks_for_nan", "assumes_finite", "run_without_fastmath"]

FOR_NAN = {"isnan", "isinf", "isfinite", "nan_to_num", "nansum", "nanmean", "nanmax", "nanmin"}
"""Functions whose use shows that numbers may be NaN or infinite."""

ASSUMES = {"fast", "nnan", "ninf"}
"""Flags of fastmath by which the compiler assumes that no number is."""

LABELS = "without fastmath", "with it"


class WithoutFastmath(NamedTuple):
    """text: how the results differ, "" where they do not. planted: the array in which a NaN was put for that, or ""."""

    text: str
    planted: str


def assumes_finite(dispatchers: Sequence[Any]) -> bool:
    """Whether one of some compiled functions is compiled with such a flag."""
    for each in dispatchers:
        fastmath = each.targetoptions.get("fastmath")
        flags = getattr(fastmath, "flags", fastmath)
        if flags is True or (flags and not isinstance(flags, bool) and ASSUMES & set(flags)):
            return True
    return False


def asks_for_nan(mentions: Sequence[Mention]) -> Mention | None:
    """Return where the code asks whether a number is NaN or infinite."""
    return next((each for each in mentions if each.name.rpartition(".")[2] in FOR_NAN), None)


def run_without_fastmath(
    dispatcher: Dispatcher,
    arguments: tuple[Any, ...],
    names: Sequence[str],
    calls: Calls,
    made: Callable[[Any], Outcome],
    usual: Outcome,
    allowance: Allowance,
    plant: bool,
) -> WithoutFastmath:
    """Compile a copy without fastmath, and compare; for a forked process.

    made: returns the outcome of a call, from what it returned. usual: that of the function itself. plant: whether to
    put a NaN into one array after another, where the results are equal without one.
    """
    without, passed = recompiled(dispatcher, arguments, parallel=False, fastmath=False)
    found = _differs(made(without(*passed)), usual, allowance)
    if found or not plant:
        return WithoutFastmath(found, "")
    fast, passed_fast = recompiled(dispatcher, arguments, parallel=False)
    for name, value in zip(names, arguments, strict=True):
        if not (isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size and value.flags.writeable):
            continue
        results = []
        for function, each in ((without, passed), (fast, passed_fast)):
            calls.reset()
            value.flat[value.size // 2] = np.nan
            results.append(made(function(*each)))
        found = _differs(results[0], results[1], allowance)
        if found:
            return WithoutFastmath(found, name)
    return WithoutFastmath("", "")


def _differs(one: Outcome, other: Outcome, allowance: Allowance) -> str:
    found = [each for each in differences(one, other, allowance, LABELS) if not each.allowed]
    return found[0].text if found else ""
