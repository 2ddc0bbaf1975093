"""Reading the time inside compiled code: a counter of the processor, the same on every core.

On x86 it is the time stamp counter, on ARM the generic timer. On other processors it is the system's clock, which takes
longer to read. Its unit is a tick; `tick_s` measures its length with the system's clock.
"""

import time
from functools import cache

import llvmlite.binding as llvm
import llvmlite.ir as ir
from numba import config, types

from jitnet.compiler.decorators import kernel
from jitnet.compiler.intrinsics import intrinsic
from jitnet.compiler.numba_parts import cgutils

__all__ = ["read_clock", "tick_s"]

_COUNTERS = {
    "x86_64": "llvm.readcyclecounter",
    "amd64": "llvm.readcyclecounter",
    "aarch64": "llvm.readsteadycounter",  # programs may not read the cycle counter of ARM
    "arm64": "llvm.readsteadycounter",
}
_COUNTER = _COUNTERS.get(llvm.get_process_triple().split("-")[0])

_MONOTONIC = 6 if "darwin" in llvm.get_process_triple() else 1
"""The system's number of the monotonic clock."""

if config.DISABLE_JIT:

    def read_clock() -> int:
        """Return ticks since some moment, int64."""
        return time.perf_counter_ns()

else:

    @intrinsic
    def read_clock(typing):
        def codegen(context, builder, signature, args):
            word, number = ir.IntType(64), ir.IntType(32)
            if _COUNTER:
                counter = cgutils.get_or_insert_function(builder.module, ir.FunctionType(word, []), _COUNTER)
                return builder.call(counter, [])
            place = cgutils.alloca_once(builder, ir.ArrayType(word, 2))
            kind = ir.FunctionType(number, [number, word.as_pointer()])
            clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
            builder.call(clock, [ir.Constant(number, _MONOTONIC), builder.bitcast(place, word.as_pointer())])
            seconds, rest = cgutils.unpack_tuple(builder, builder.load(place))
            return builder.add(builder.mul(seconds, ir.Constant(word, 10**9)), rest)

        return types.int64(), codegen


@kernel
def _ticks():
    return read_clock()


@cache
def tick_s() -> float:
    """Return the seconds of a tick; measured over a twentieth of a second, once."""
    begin, first = _read_both()
    time.sleep(0.05)
    end, last = _read_both()
    return (end - begin) / (last - first)


def _read_both() -> tuple[float, int]:
    """Return the system's time in seconds, and the ticks at that moment: the fastest of several readings."""
    readings = []
    for _ in range(9):
        before = time.perf_counter()
        ticks = int(_ticks())
        after = time.perf_counter()
        readings.append((after - before, (before + after) / 2, ticks))
    _, seconds, ticks = min(readings[1:])
    return seconds, ticks
