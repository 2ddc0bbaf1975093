"""Each thread's time in every parallel region of the user's code, and the processor's flags.

Numba's parallel code calls `numba_parallel_for(kernel, …)`, which calls the kernel for a share of the work on each
thread. From the first start of the threads on, that name is linked to a wrapper of a few instructions, which calls the
original with a kernel that reads the clock before and after the user's. Code from Numba's cache is linked to it in the
same way, and so are ufuncs with target="parallel". Switched off, the wrapper passes the call on unchanged.

The wrapped kernel is found through the region's stack frame and not through a global variable, so that nested regions
work.
"""

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from jitnet.compiler.numba_parts import when_threads_start

__all__ = ["Entry", "ThreadClock"]

CAPACITY = 1 << 16
"""Shares and entries that are stored; later ones are dropped."""

DENORMAL_OPERAND, UNDERFLOW = 0x02, 0x10
"""Sticky bits of x86's MXCSR: an instruction had a denormal operand; a result underflowed."""

FLUSH = 0x8040
"""Bits 15 and 6: flush results to zero, treat denormal operands as zero."""

CLOCK = time.CLOCK_MONOTONIC

X86 = llvm.get_process_triple().split("-")[0] in ("x86_64", "amd64")

MODULE = """
%time = type {{ i64, i64 }}
%frame = type {{ ptr, ptr, i64 }}
%share = type {{ i64, i64, i64, i64 }}
%entry = type {{ i64, i64, i64, i64 }}

@real = global ptr null
@timing = global i64 0
@clock = global i32 {clock}
@flush = global i32 0
@flags = global i32 0
@entered = global i64 0
@filled = global i64 0
@shares = global [{room} x %share] zeroinitializer
@entries = global [{room} x %entry] zeroinitializer

declare i32 @clock_gettime(i32, ptr)
declare ptr @pthread_self()
{declarations}

define i64 @now() {{
    %time = alloca %time
    %clock = load i32, ptr @clock
    %failed = call i32 @clock_gettime(i32 %clock, ptr %time)
    %seconds = load i64, ptr %time
    %rest = getelementptr %time, ptr %time, i64 0, i32 1
    %nano = load i64, ptr %rest
    %large = mul i64 %seconds, 1000000000
    %sum = add i64 %large, %nano
    ret i64 %sum
}}

define i32 @begin_flags() {{
{begin_flags}
}}

define i32 @end_flags(i32 %before) {{
{end_flags}
}}

define void @timed_kernel(ptr %args, ptr %dims, ptr %steps, ptr %data) {{
    %kernel = load ptr, ptr %data
    %second = getelementptr %frame, ptr %data, i64 0, i32 1
    %users = load ptr, ptr %second
    %third = getelementptr %frame, ptr %data, i64 0, i32 2
    %number = load i64, ptr %third
    %before = call i32 @begin_flags()
    %begin = call i64 @now()
    call void %kernel(ptr %args, ptr %dims, ptr %steps, ptr %users)
    %end = call i64 @now()
    %seen = call i32 @end_flags(i32 %before)
    %or = atomicrmw or ptr @flags, i32 %seen seq_cst
    %at = atomicrmw add ptr @filled, i64 1 seq_cst
    %fits = icmp ult i64 %at, {room}
    br i1 %fits, label %write, label %done
write:
    %thread = call ptr @pthread_self()
    %name = ptrtoint ptr %thread to i64
    %share = getelementptr [{room} x %share], ptr @shares, i64 0, i64 %at
    store i64 %number, ptr %share
    %s1 = getelementptr %share, ptr %share, i64 0, i32 1
    store i64 %name, ptr %s1
    %s2 = getelementptr %share, ptr %share, i64 0, i32 2
    store i64 %begin, ptr %s2
    %s3 = getelementptr %share, ptr %share, i64 0, i32 3
    store i64 %end, ptr %s3
    br label %done
done:
    ret void
}}

define void @parallel_for(ptr %kernel, ptr %args, ptr %dims, ptr %steps, ptr %data, i64 %inner, i64 %arrays, i64 %n) {{
    %real = load ptr, ptr @real
    %number = atomicrmw add ptr @entered, i64 1 seq_cst
    %on = load i64, ptr @timing
    %timed = icmp ne i64 %on, 0
    br i1 %timed, label %with, label %without
without:
    call void %real(ptr %kernel, ptr %args, ptr %dims, ptr %steps, ptr %data, i64 %inner, i64 %arrays, i64 %n)
    ret void
with:
    %frame = alloca %frame
    store ptr %kernel, ptr %frame
    %f1 = getelementptr %frame, ptr %frame, i64 0, i32 1
    store ptr %data, ptr %f1
    %f2 = getelementptr %frame, ptr %frame, i64 0, i32 2
    store i64 %number, ptr %f2
    %begin = call i64 @now()
    call void %real(ptr @timed_kernel, ptr %args, ptr %dims, ptr %steps, ptr %frame, i64 %inner, i64 %arrays, i64 %n)
    %end = call i64 @now()
    %fits = icmp ult i64 %number, {room}
    br i1 %fits, label %write, label %done
write:
    %entry = getelementptr [{room} x %entry], ptr @entries, i64 0, i64 %number
    %address = ptrtoint ptr %kernel to i64
    store i64 %address, ptr %entry
    %e1 = getelementptr %entry, ptr %entry, i64 0, i32 1
    store i64 %begin, ptr %e1
    %e2 = getelementptr %entry, ptr %entry, i64 0, i32 2
    store i64 %end, ptr %e2
    %e3 = getelementptr %entry, ptr %entry, i64 0, i32 3
    store i64 %n, ptr %e3
    br label %done
done:
    ret void
}}
"""

DECLARATIONS = "declare void @llvm.x86.sse.stmxcsr(ptr)\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)"

BEGIN_FLAGS = f"""
    %place = alloca i32
    call void @llvm.x86.sse.stmxcsr(ptr %place)
    %before = load i32, ptr %place
    %clear = and i32 %before, {~(0x3F | FLUSH) & 0xFFFFFFFF}
    %wish = load i32, ptr @flush
    %kept = and i32 %before, {FLUSH}
    %any = or i32 %kept, %wish
    %made = or i32 %clear, %any
    store i32 %made, ptr %place
    call void @llvm.x86.sse.ldmxcsr(ptr %place)
    ret i32 %before
"""

END_FLAGS = """
    %place = alloca i32
    call void @llvm.x86.sse.stmxcsr(ptr %place)
    %now = load i32, ptr %place
    store i32 %before, ptr %place
    call void @llvm.x86.sse.ldmxcsr(ptr %place)
    %seen = and i32 %now, 63
    ret i32 %seen
"""


@dataclass(frozen=True)
class Entry:
    """One entry of a region: its kernel, its begin and end, and each share: thread, begin, end; in seconds."""

    kernel: int
    begin_s: float
    end_s: float
    shares: tuple[tuple[int, float, float], ...]


class ThreadClock:
    """Replaces Numba's `numba_parallel_for` by the wrapper as soon as Numba starts its threads.

    Only for a worker process: code compiled there always calls the wrapper.
    """

    def __init__(self, cores: Sequence[int] = ()) -> None:
        """cores: those to start the threads on, where OpenMP binds them; () leaves that to Numba."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        text = MODULE.format(
            room=CAPACITY,
            clock=CLOCK,
            declarations=DECLARATIONS if X86 else "",
            begin_flags=BEGIN_FLAGS if X86 else "    ret i32 0",
            end_flags=END_FLAGS if X86 else "    ret i32 0",
        )
        module = llvm.parse_assembly(text)
        machine = llvm.Target.from_default_triple().create_target_machine()
        self._engine = llvm.create_mcjit_compiler(module, machine)  # kept alive, and its code with it
        self._engine.finalize_object()
        self._begin_flags = ctypes.CFUNCTYPE(ctypes.c_uint32)(self._engine.get_function_address("begin_flags"))
        self._end_flags = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)(
            self._engine.get_function_address("end_flags")
        )
        self._before = 0
        self.installed = False

        def wrapping(launch: Callable[[], None]) -> Callable[[], None]:
            def launch_and_wrap() -> None:
                if not self.installed and cores and hasattr(os, "sched_setaffinity"):
                    # Another library's OpenMP may have bound this thread to one core: all of Numba's threads would
                    # share it.
                    os.sched_setaffinity(0, cores)
                launch()
                if not self.installed:
                    self.installed = True
                    self._global("real").value = llvm.address_of_symbol("numba_parallel_for")
                    llvm.add_symbol("numba_parallel_for", self._engine.get_function_address("parallel_for"))

            return launch_and_wrap

        when_threads_start(wrapping)

    def _global(self, name: str, kind: Any = ctypes.c_int64) -> Any:
        return kind.from_address(self._engine.get_global_value_address(name))

    @property
    def entered(self) -> int:
        """The number of regions entered since the last `start`."""
        return int(self._global("entered").value)

    def start(self, computing: bool = False) -> None:
        """Time regions from now on, and clear those before.

        computing: in each thread's CPU time, so that preemption does not count. Then only differences within one share
        have a meaning.
        """
        self._global("clock", ctypes.c_int32).value = time.CLOCK_THREAD_CPUTIME_ID if computing else CLOCK
        self._global("filled").value = self._global("entered").value = 0
        self._global("timing").value = 1

    def stop(self) -> list[Entry]:
        """Stop timing and return the regions since `start`, at most CAPACITY of them."""
        self._global("timing").value = 0
        self._global("clock", ctypes.c_int32).value = CLOCK
        entered = min(self.entered, CAPACITY)
        filled = min(int(self._global("filled").value), CAPACITY)
        entries = self._table("entries", entered)
        shares: dict[int, list[tuple[int, float, float]]] = {}
        for number, thread, begin, end in self._table("shares", filled):
            shares.setdefault(number, []).append((thread, begin / 1e9, end / 1e9))
        whole = filled < CAPACITY
        return [
            Entry(kernel, begin / 1e9, end / 1e9, tuple(shares[number]))
            for number, (kernel, begin, end, _) in enumerate(entries)
            if number in shares and (whole or number < entered - 64)
        ]

    def _table(self, name: str, rows: int) -> list[list[int]]:
        address = self._engine.get_global_value_address(name)
        values = (ctypes.c_int64 * (4 * rows)).from_address(address)
        flat = list(values)
        return [flat[at : at + 4] for at in range(0, 4 * rows, 4)]

    def clear_flags(self, flush: bool) -> None:
        """Clear the floating-point flags of this thread, and of the others in each region. flush: denormals to zero.

        Regions are timed meanwhile, since the flags of other threads are cleared where their shares begin.
        """
        self._global("flush", ctypes.c_uint32).value = FLUSH if flush else 0
        self._global("flags", ctypes.c_uint32).value = 0
        self._global("filled").value = self._global("entered").value = 0
        self._global("timing").value = 1
        self._before = self._begin_flags()

    def read_flags(self) -> int:
        """Return the flags that were set since `clear_flags`, on any thread, and restore this thread's flags."""
        flags = int(self._end_flags(self._before))
        self._global("timing").value = 0
        self._global("flush", ctypes.c_uint32).value = 0
        return flags | int(self._global("flags", ctypes.c_uint32).value)
