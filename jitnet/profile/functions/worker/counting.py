"""The floating-point operations and bytes of a call and of each of its loops, counted by running it.

A copy of the function, and of all that it calls, is compiled for one thread with counters in it (`counters`), and runs
once on the same arguments.
"""

from statistics import median
from typing import Any

import numba
import numpy as np

from jitnet.bench.figures import duration
from jitnet.compiler.numba_parts import folded_types, is_open
from jitnet.profile.functions.worker.calls import arrays_in
from jitnet.profile.functions.worker.counter_hooks import counters_in_code
from jitnet.profile.functions.worker.counters import Counters
from jitnet.profile.functions.worker.diagnostics import JsonObject, place

__all__ = ["count"]

COMPILE_S = 8.0
"""A function that takes longer to compile is not compiled again for this."""

SHORT = 20
"""A call is counted with its bytes where so many of it, on one thread, take less than the budget."""

ACCESS_S = 5e-9
"""Seconds that an access takes where it is marked, at most."""

LONGEST = 3.0
"""Times the budget that a call may take that is counted without its bytes."""


def count(measuring: Any, budget_s: float) -> JsonObject:
    """Return "flop" and "bytes" of a call, and "loops", each with its place and these two; and "reason".

    Any of the numbers is None where it could not be counted, for the reason. measuring: a function that was compiled
    and timed. budget_s: seconds for the runs.
    """
    found: JsonObject = {"flop": None, "bytes": None, "loops": [], "reason": ""}
    seconds = measuring.code.seconds
    if measuring.subject.kind == "generator":
        return found | {"reason": "it is a generator"}
    call_s = min(median(samples) * threads for threads, _, samples in measuring.counts)
    if seconds is not None and seconds > COMPILE_S:
        return found | {"reason": f"it takes {seconds:.0f} s to compile, and would have to be compiled again"}
    if call_s > LONGEST * budget_s:
        return found | {"reason": f"a call takes {duration(call_s)} on one thread, which is too long"}
    summaries, events = len(measuring.code.summaries), len(measuring.code.events)
    try:
        return found | _counted(measuring, call_s, budget_s)
    except Exception as error:  # of the compiler, or of a function that does not compile for one thread
        return found | {"reason": f"a copy with counters failed: {type(error).__name__}"}
    finally:
        # The copies are not the user's functions.
        del measuring.code.summaries[summaries:], measuring.code.events[events:]
        measuring.calls.reset()


def _counted(measuring: Any, call_s: float, budget_s: float) -> JsonObject:
    counters = _run(measuring, call_s * SHORT < budget_s, budget_s)
    if not counters.marking and not counters.unknown and counters.accesses * ACCESS_S < budget_s:
        counters = _run(measuring, True, budget_s)
    if counters.unknown:
        return {"reason": f"it calls {' and '.join(sorted(counters.unknown))}, which cannot be counted"}
    flop = counters.totals("flop")
    size = [one + other for one, other in zip(counters.totals("read"), counters.totals("written"), strict=True)]
    reason = "" if counters.complete else f"{counters.accesses:,} accesses of array elements are too many for the bytes"
    kind = measuring.subject.kind
    if kind == "vectorize":  # its elements are read and written outside its code
        size[0] = sum(array.nbytes for array in _operands(measuring))
    loops = [
        {
            "place": place(file, line),
            "flop": float(flop[bit]),
            "bytes": float(size[bit]) if counters.complete else None,
        }
        for bit, (file, line) in enumerate(counters.loops, 1)
    ]
    known = counters.complete or kind == "vectorize"
    return {
        "flop": float(flop[0]),
        "bytes": float(size[0]) if known else None,
        "loops": sorted(loops, key=lambda loop: (loop["place"]["file"], loop["place"]["line"])),
        "reason": "" if known else reason,
    }


def _run(measuring: Any, marking: bool, budget_s: float) -> Counters:
    """Compile a copy with counters and run it once."""
    counters = Counters(marking, int(budget_s / ACCESS_S))
    subject, arguments = measuring.subject, measuring.arguments
    measuring.calls.reset()
    with counters_in_code(counters):
        if subject.kind == "njit":
            call = counters.copy(subject.dispatcher)
            if is_open(call):
                kinds = tuple(numba.typeof(argument) for argument in arguments)
                call.compile(measuring.code.used() or folded_types(call, kinds))
        else:
            call = _ufunc(subject)
            call(*_first(subject, arguments))
    measuring.calls.reset()
    counters.start()
    call(*arguments)
    return counters


def _ufunc(subject: Any) -> Any:
    """Return a ufunc of the function, for one thread, that compiles at its first call."""
    options = {name: value for name, value in subject.options.items() if name in ("fastmath", "error_model")}
    if subject.kind == "vectorize":
        return numba.vectorize(**options)(subject.function)
    made = getattr(subject.dispatcher, "overloads", {}).values()
    declared = [[each.signature for each in made]]
    return numba.guvectorize(*filter(None, declared), subject.call.signature, **options)(subject.function)


def _first(subject: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments of these types to compile it with: empty ones where each element is a call."""
    if subject.kind != "vectorize":
        return arguments
    return tuple(argument[:0] if isinstance(argument, np.ndarray) and argument.ndim else argument
                 for argument in arguments)  # fmt: skip


def _operands(measuring: Any) -> list[Any]:
    """Return the arrays that a ufunc reads and writes: its arguments, and its result where that is not one of them."""
    names = zip(measuring.arguments, measuring.names, strict=True)
    arrays = [array for argument, name in names for _, array in arrays_in(argument, name)]
    result = measuring.calls.result
    if isinstance(result, np.ndarray) and not any(result is array for array in arrays):
        arrays.append(result)
    return arrays
