"""The processor's counters through Linux's perf_event_open, where this process may use them.

Its interface is that of <linux/perf_event.h>: a structure of attributes, a file descriptor for each event and thread,
and for samples a ring buffer that is shared with the kernel. Only what runs in user mode is counted, which needs the
fewest rights. Where the kernel refuses, the reason is one sentence, and nothing else changes.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from jitnet.profile.functions.worker.diagnostics import JsonObject, place

__all__ = ["EVENTS", "Unavailable", "attributes", "count", "samples_in", "scaled"]

SYSCALLS = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
"""The number of perf_event_open, by the machine's name."""

HARDWARE = 0
"""PERF_TYPE_HARDWARE."""

EVENTS = {"cycles": 0, "instructions": 1, "cache_misses": 3, "branch_misses": 5}
"""PERF_COUNT_HW_…, of that type."""

SIZE = 112
"""Bytes of the attributes, PERF_ATTR_SIZE_VER5."""

DISABLED, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR, FREQUENCY = 1 << 0, 1 << 5, 1 << 6, 1 << 10
ENABLED_TIME, RUNNING_TIME = 1, 2  # of the format of a reading
SAMPLE_IP = 1
ENABLE, DISABLE, RESET = 0x2400, 0x2401, 0x2403
CLOSE_ON_EXEC = 1 << 3

RATE = 4000
"""Samples a second of each event and thread."""

PAGES = 64
"""Pages of a ring buffer, a power of two; one more has its head and tail."""

HEAD, TAIL = 1024, 1032
"""Where in the first page of a ring buffer the kernel writes how far it has written, and we how far we have read."""

SAMPLE = 9
"""PERF_RECORD_SAMPLE."""

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
THREADS = Path("/proc/self/task")


class Unavailable(Exception):
    """The kernel or the processor has no counters for this process; the message says why."""


def attributes(event: int, rate: int = 0) -> bytes:
    """Return the structure perf_event_attr of a hardware event, disabled, in user mode alone. rate: samples a second of
    the instruction pointer, 0 for counting."""
    flags = DISABLED | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR | (FREQUENCY if rate else 0)
    sample = SAMPLE_IP if rate else 0
    head = struct.pack("=IIQQQQQ", HARDWARE, SIZE, event, rate, sample, ENABLED_TIME | RUNNING_TIME, flags)
    return head.ljust(SIZE, b"\0")


def scaled(reading: bytes) -> float:
    """Return a reading's count: of a counter that ran part of the time, since there are more events than counters,
    scaled to all of it."""
    value, enabled, running = struct.unpack("=QQQ", reading)
    return value * enabled / running if running else 0.0


def samples_in(data: bytes) -> Iterator[int]:
    """Yield the instruction pointer of each sample in the records of a ring buffer."""
    at = 0
    while at + 8 <= len(data):
        kind, _, size = struct.unpack_from("=IHH", data, at)
        if size < 8 or at + size > len(data):
            return
        if kind == SAMPLE and size >= 16:
            yield struct.unpack_from("=Q", data, at + 8)[0]
        at += size


def open_event(attribute: bytes, thread: int) -> int:
    """Return a file descriptor for an event of one thread of this process; Unavailable where the kernel refuses."""
    number = SYSCALLS.get(platform.machine())
    if not sys.platform.startswith("linux") or number is None:
        raise Unavailable("they are read through Linux's perf_event_open, which is not on this system")
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    numbers = (ctypes.c_long(each) for each in (thread, -1, -1, CLOSE_ON_EXEC))  # any core, no group
    found = int(syscall(ctypes.c_long(number), ctypes.c_char_p(attribute), *numbers))
    if found < 0:
        raise Unavailable(_refusal(ctypes.get_errno()))
    return found


def _refusal(code: int) -> str:
    if code in (errno.EPERM, errno.EACCES):
        try:
            level = f"kernel.perf_event_paranoid is {PARANOID.read_text().strip()}, "
        except OSError:
            level = ""
        return f"this process may not read them: {level}2 or less is needed, and in a container CAP_PERFMON"
    if code in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return "the processor has none that this system can read, as in most virtual machines"
    if code == errno.ENOSYS:
        return "the kernel has no perf_event_open"
    return f"perf_event_open failed: {os.strerror(code).lower()}"


def _threads() -> list[int]:
    return sorted(int(each.name) for each in THREADS.iterdir())


def count(
    calls: Any,
    budget_s: float,
    copy: Any = None,
    lines_at: Callable[[int], Sequence[tuple[str, int]]] = lambda address: (),
    loops: Sequence[tuple[str, int, int]] = (),
) -> JsonObject:
    """Return the events of a mean call on all threads, and of each loop its share of cycles and cache misses.

    calls: as `Calls`. budget_s: seconds for them, and again for each event of the loops. copy: calls of a copy with a
    line table, None where loops cannot be told apart. lines_at: file and line of an address in that, and of the calls
    that were inlined around it. loops: file, first and last line of each. "reason": why there is nothing, else "".
    """
    found: JsonObject = {**dict.fromkeys(EVENTS), "loops": [], "reason": ""}
    try:
        found |= _counted(calls, budget_s)
        if copy is not None and loops:
            found["loops"] = _by_loop(copy, budget_s, lines_at, loops)
    except Unavailable as refused:
        return found | {"reason": found["reason"] or str(refused)}
    except OSError as error:
        return found | {"reason": f"reading them failed: {(error.strerror or str(error)).lower()}"}
    return found


def _counted(calls: Any, budget_s: float) -> JsonObject:
    """Return each event of a mean call; None for one that the processor does not count."""
    with ExitStack() as opened:
        descriptors: dict[str, list[int]] = {}
        refused: Unavailable | None = None
        for name, event in EVENTS.items():
            try:
                descriptors[name] = [_open(opened, attributes(event), thread) for thread in _threads()]
            except Unavailable as error:
                refused = refused or error
        if refused is not None and not descriptors:
            raise refused
        every = [each for some in descriptors.values() for each in some]
        made = _while_enabled(calls, budget_s, every)
        return {name: sum(scaled(os.read(each, 24)) for each in some) / made for name, some in descriptors.items()}


def _open(opened: ExitStack, attribute: bytes, thread: int) -> int:
    descriptor = open_event(attribute, thread)
    opened.callback(os.close, descriptor)
    return descriptor


def _while_enabled(calls: Any, budget_s: float, descriptors: Sequence[int]) -> int:
    """Call it for some time with the counters enabled in each call alone; return the number of calls."""
    made, spent = 0, 0.0
    for each in descriptors:
        fcntl.ioctl(each, RESET, 0)
    begin = time.perf_counter()
    while made == 0 or (spent < budget_s and time.perf_counter() - begin < 3 * budget_s):
        calls.restore()
        for each in descriptors:
            fcntl.ioctl(each, ENABLE, 0)
        spent += calls.one()
        for each in descriptors:
            fcntl.ioctl(each, DISABLE, 0)
        made += 1
    return made


def _by_loop(
    calls: Any,
    budget_s: float,
    lines_at: Callable[[int], Sequence[tuple[str, int]]],
    loops: Sequence[tuple[str, int, int]],
) -> list[JsonObject]:
    """Return for each loop the shares of all samples whose lines are in it."""
    shares: dict[str, dict[tuple[str, int, int], float]] = {}
    for name in ("cycles", "cache_misses"):
        inside: Counter[tuple[str, int, int]] = Counter()
        addresses = Counter(_sampled(calls, budget_s, EVENTS[name]))
        for address, times in addresses.items():
            lines = lines_at(address)
            for loop in loops:
                if any(file == loop[0] and loop[1] <= line <= loop[2] for file, line in lines):
                    inside[loop] += times
        total = max(1, addresses.total())
        shares[name] = {loop: times / total for loop, times in inside.items()}
    return [
        {"place": place(loop[0], loop[1]), **{name: inside.get(loop, 0.0) for name, inside in shares.items()}}
        for loop in loops
    ]


def _sampled(calls: Any, budget_s: float, event: int) -> Iterator[int]:
    """Yield the instruction pointers at which an event was sampled, on all threads."""
    with ExitStack() as opened:
        buffers = []
        for thread in _threads():
            descriptor = _open(opened, attributes(event, RATE), thread)
            buffer = mmap.mmap(descriptor, (1 + PAGES) * mmap.PAGESIZE)
            opened.callback(buffer.close)
            buffers.append((descriptor, buffer))
        _while_enabled(calls, budget_s, [descriptor for descriptor, _ in buffers])
        for _, buffer in buffers:
            yield from samples_in(_records(buffer))


def _records(buffer: Any) -> bytes:
    """Return the records of a ring buffer that were not read before, in order; the oldest ones where it was full."""
    head, tail = struct.unpack_from("=QQ", buffer, HEAD)
    size = PAGES * mmap.PAGESIZE
    data = buffer[mmap.PAGESIZE : mmap.PAGESIZE + size]
    begin, end = tail % size, head % size
    struct.pack_into("=Q", buffer, TAIL, head)
    if head == tail:
        return b""
    return bytes(data[begin:end] if begin < end else data[begin:] + data[:end])
