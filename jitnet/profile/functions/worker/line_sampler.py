"""Where each thread is, many times a second, from inside the process: no rights, no debugger, no change to the code.

A timer for each thread sends it a signal. The handler, a few instructions made by LLVM, stores the program counter and
the return addresses that it finds on the thread's stack, nothing else: so it may interrupt compiled code, the
allocator, or the interpreter. It stays installed, since a signal may still be on its way when the timers have stopped.

A timer that counts wall time also interrupts a thread that sleeps, and wakes it up early. One that counts the thread's
CPU time does not, but the kernel looks at it a few hundred times a second only.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numpy as np

__all__ = ["LineSampler", "Sample", "running_s", "why_not"]

CAPACITY = 1 << 16
"""Samples that are stored; later ones are dropped."""

WORDS, RETURNS = 24, 20
"""Words of a sample, and the most of them that are return addresses."""

SHALLOW, DEEP = 192, 1 << 17
"""Words of a stack that are searched for return addresses: of any thread, and of the main one, whose stack's end is
known, and where a library for linear algebra may have much of its own on it."""

INTERVALS_NS = (487_000, 541_000, 509_000, 563_000)
"""Between two samples of a thread. Several, so that they keep no step with calls of a constant length."""

MANY_THREADS = 16
"""With more threads than this, each is sampled less often."""

CONTEXTS = {"x86_64": (21, 20, None), "aarch64": (55, 54, 53)}
"""Where program counter, stack pointer and return register are in the words of the context that a handler gets, as
Linux lays it out for each processor."""

MOST_STACK = 1 << 23
"""Bytes of the main thread's stack, where it has no limit or a larger one."""

SIGEV_THREAD_ID, SA_SIGINFO, SA_RESTART = 4, 4, 0x10000000

MODULE = """
@active = global i64 0
@filled = global i64 0
@buffer = global ptr null
@stack_begin = global i64 0
@stack_end = global i64 0

define void @handler(i32 %signal, ptr %info, ptr %context) {{
    %on = load volatile i64, ptr @active
    %wanted = icmp ne i64 %on, 0
    br i1 %wanted, label %take, label %done
take:
    %number = atomicrmw add ptr @filled, i64 1 monotonic
    %fits = icmp ult i64 %number, {capacity}
    br i1 %fits, label %write, label %done
write:
    %buffer = load ptr, ptr @buffer
    %offset = mul i64 %number, {words}
    %sample = getelementptr i64, ptr %buffer, i64 %offset
    %thread_at = getelementptr i64, ptr %info, i64 3
    %thread = load i64, ptr %thread_at
    %counter_at = getelementptr i64, ptr %context, i64 {counter}
    %counter = load i64, ptr %counter_at
    %stack_at = getelementptr i64, ptr %context, i64 {stack}
    %stack = load i64, ptr %stack_at
    store i64 %thread, ptr %sample
    %s1 = getelementptr i64, ptr %sample, i64 1
    store i64 %counter, ptr %s1
    %begin = load i64, ptr @stack_begin
    %end = load i64, ptr @stack_end
    %above = icmp uge i64 %stack, %begin
    %below = icmp ult i64 %stack, %end
    %known = and i1 %above, %below
    %short = add i64 %stack, {shallow_bytes}
    %long = add i64 %stack, {deep_bytes}
    %fitting = icmp ult i64 %long, %end
    %limit = select i1 %fitting, i64 %long, i64 %end
    %last = select i1 %known, i64 %limit, i64 %short
{return_register}
search:
    %at = phi i64 [ %stack, %first ], [ %next, %more ]
    %found = phi i64 [ %had, %first ], [ %has, %more ]
    %inside = icmp ult i64 %at, %last
    %room = icmp ult i64 %found, {returns}
    %both = and i1 %inside, %room
    br i1 %both, label %look, label %full
look:
    %place = inttoptr i64 %at to ptr
    %word = load i64, ptr %place
    %in_code = sub i64 %word, {code_begin}
    %is_code = icmp ult i64 %in_code, {code_size}
    %in_memory = sub i64 %word, {memory_begin}
    %is_memory = icmp ult i64 %in_memory, {memory_size}
    %is = or i1 %is_code, %is_memory
    br i1 %is, label %keep, label %more
keep:
    %k = add i64 %found, 3
    %kept = getelementptr i64, ptr %sample, i64 %k
    store i64 %word, ptr %kept
    br label %more
more:
    %one = zext i1 %is to i64
    %has = add i64 %found, %one
    %next = add i64 %at, 8
    br label %search
full:
    %s2 = getelementptr i64, ptr %sample, i64 2
    store i64 %found, ptr %s2
    br label %done
done:
    ret void
}}
"""

NO_REGISTER = """
    br label %first
first:
    %had = add i64 0, 0
    br label %search
"""

REGISTER = """
    %link_at = getelementptr i64, ptr %context, i64 {link}
    %link = load i64, ptr %link_at
    %s3 = getelementptr i64, ptr %sample, i64 3
    store i64 %link, ptr %s3
    %in_code_ = sub i64 %link, {code_begin}
    %linked = icmp ult i64 %in_code_, {code_size}
    br label %first
first:
    %had = zext i1 %linked to i64
    br label %search
"""


class _Action(ctypes.Structure):
    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_int64),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("rest", ctypes.c_char * 44),
    )


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


@dataclass(frozen=True)
class Sample:
    """thread: its kernel's number. counter: the address of the next instruction. returns: words of the stack that lie
    in compiled code or in the allocator, from the top; some may be left over from calls that have returned."""

    thread: int
    counter: int
    returns: tuple[int, ...]


def why_not() -> str:
    """Return why threads cannot be sampled here; "" where they can."""
    processor = _processor()
    if not sys.platform.startswith("linux"):
        return f"sampling needs Linux's timers for threads, and this is {sys.platform}"
    if processor not in CONTEXTS:
        return f"sampling knows the registers of x86-64 and aarch64, and this is {processor}"
    return ""


def _processor() -> str:
    name = llvm.get_process_triple().split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


class LineSampler:
    """Samples threads of this process while `sampling` is entered. Only for a worker process.

    code, memory: from where to where return addresses are of interest: compiled code, and the allocator's. RuntimeError
    where the kernel has no timer left.
    """

    def __init__(self, code: tuple[int, int], memory: tuple[int, int]) -> None:
        counter, stack, link = CONTEXTS[_processor()]
        ranges = {
            "code_begin": code[0],
            "code_size": code[1] - code[0],
            "memory_begin": memory[0],
            "memory_size": memory[1] - memory[0],
        }
        text = MODULE.format(
            capacity=CAPACITY,
            words=WORDS,
            returns=RETURNS,
            counter=counter,
            stack=stack,
            shallow_bytes=8 * SHALLOW,
            deep_bytes=8 * DEEP,
            return_register=NO_REGISTER if link is None else REGISTER.format(link=link, **ranges),
            **ranges,
        )
        machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
        # Kept alive, and its code with it, also when this object is not: a late signal runs it.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
        _kept.append(self._engine)
        self._engine.finalize_object()
        self._buffer = np.zeros(CAPACITY * WORDS, np.int64)
        _kept.append(self._buffer)
        self._set("buffer", self._buffer.ctypes.data)
        begin, end = _main_stack()
        self._set("stack_begin", begin)
        self._set("stack_end", end)
        self._libc = ctypes.CDLL(None, use_errno=True)
        # Before version 2.34 of the C library, timers are in one of their own.
        has_timers = hasattr(self._libc, "timer_create")
        self._timers = self._libc if has_timers else ctypes.CDLL("librt.so.1", use_errno=True)
        self._signal = _free_signal()
        address = self._engine.get_function_address("handler")
        action = _Action(address, (ctypes.c_ulong * 16)(), SA_SIGINFO | SA_RESTART, None)
        self._checked(self._libc.sigaction(self._signal, ctypes.byref(action), None), "set a signal's handler")
        self._active = self._global("active")

    def _global(self, name: str) -> Any:
        return ctypes.c_int64.from_address(self._engine.get_global_value_address(name))

    def _set(self, name: str, value: int) -> None:
        self._global(name).value = value

    def _checked(self, failed: int, what: str) -> None:
        if failed:
            raise RuntimeError(f"the kernel refused to {what}: {os.strerror(ctypes.get_errno())}")

    @contextmanager
    def sampling(self, threads: Sequence[int], round_: int = 0, computing: bool = False) -> Iterator[None]:
        """Run timers of these threads in the `with` block; samples are taken where `watch` was switched on.

        round_: chooses the interval. computing: by each thread's CPU time, which leaves a sleeping thread asleep.
        """
        interval = INTERVALS_NS[round_ % len(INTERVALS_NS)] * max(1, len(threads) // MANY_THREADS)
        timers: list[ctypes.c_void_p] = []
        try:
            for thread in threads:
                self._start(timers, thread, interval, computing)
            yield
        finally:
            self._active.value = 0
            for timer in timers:
                self._timers.timer_delete(timer)

    def _start(self, timers: list[ctypes.c_void_p], thread: int, interval: int, computing: bool) -> None:
        event = _Event(thread, self._signal, SIGEV_THREAD_ID, thread, b"")
        timer = ctypes.c_void_p()
        # As the kernel numbers the CPU clock of a thread: its number inverted, then "of a thread" and "scheduler's".
        clock = ~thread << 3 | 4 | 2 if computing else time.CLOCK_MONOTONIC
        if self._timers.timer_create(ctypes.c_int(clock), ctypes.byref(event), ctypes.byref(timer)):
            if not os.path.exists(f"/proc/self/task/{thread}"):
                return  # it has ended
            self._checked(1, "make a timer")
        timers.append(timer)
        times = (_Time * 2)(_Time(0, interval), _Time(0, interval))
        self._checked(self._timers.timer_settime(timer, 0, ctypes.byref(times), None), "start a timer")

    def watch(self, on: bool) -> None:
        """Store samples from now on, or no more."""
        self._active.value = int(on)

    @property
    def count(self) -> int:
        """How many samples are stored."""
        return min(int(self._global("filled").value), CAPACITY)

    def samples(self, first: int = 0) -> Sequence[Sample]:
        """Return the samples, from number `first` on."""
        rows = self._buffer.reshape(CAPACITY, WORDS)[first : self.count].tolist()
        return [Sample(row[0], row[1], tuple(row[3 : 3 + row[2]])) for row in rows if row[1]]


_kept: list[Any] = []


def running_s() -> dict[int, float]:
    """Return how long each thread of this process has had a core, in seconds; 0 where the kernel does not say."""
    found = {}
    for name in os.listdir("/proc/self/task"):
        found[int(name)] = 0.0
        with suppress(OSError, ValueError), open(f"/proc/self/task/{name}/schedstat") as times:
            found[int(name)] = int(times.read().split()[0]) / 1e9
    return found


def _main_stack() -> tuple[int, int]:
    """Return where the main thread's stack, as it may grow, begins and ends; (0, 0) where that is not known."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip().endswith("[stack]"):
                end = int(line.split()[0].split("-")[1], 16)
                limit, _ = resource.getrlimit(resource.RLIMIT_STACK)
                return end - (limit if 0 < limit < MOST_STACK else MOST_STACK), end
    return 0, 0


def _free_signal() -> int:
    """Return a signal that nothing in this process handles."""
    numbers = range(int(signal.SIGRTMAX) - 1, int(signal.SIGRTMIN), -1)
    return next(number for number in numbers if signal.getsignal(number) is signal.SIG_DFL)
