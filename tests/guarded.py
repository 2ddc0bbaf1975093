"""Guarded memory: every array ends at a page that may be neither read nor written. A loop that reads or writes one
element behind an array ends its process with SIGSEGV, and does not change what is there.

`guard_memory()` starts it, for the whole process; as a pytest plugin (`-p guarded`) it does so before the first test.

Three places hand out what compiled code sees. NumPy has an interface for the first (NEP 49). Compiled loops that make
an array of their own call a function of Numba's by name, and get this one. The third is where the engine puts several
arrays into one block, or takes a part of a block that it has: there each becomes an array of its own.

An array's end is exact, so it begins at any multiple of its element's size. That is enough: nothing here relies on a
larger alignment, which only makes loops faster. Prefetches may go anywhere.
"""

import atexit
import ctypes
import mmap
import os
import resource
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

PAGE = mmap.PAGESIZE

_reserved: dict[int, tuple[int, int, int]] = {}
"""By address: how many bytes were asked for, and where the mapping begins and how long it is."""

_ends: set[int] = set()
"""Where guard pages begin."""

_kept: list[Any] = []
"""What C code calls or reads from now on."""

_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def reserve(size: int) -> int:
    """The address of `size` zeroed bytes, behind which there is nothing."""
    whole = -(-size // PAGE) * PAGE
    begin = _libc.mmap(
        None, whole + PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0
    )
    if begin == _FAILED or _libc.mprotect(begin + whole, PAGE, 0) != 0:
        raise MemoryError(f"no guarded memory: errno {ctypes.get_errno()}")
    address = begin + whole - size
    _reserved[address] = size, begin, whole + PAGE
    _ends.add(begin + whole)
    return address


def release(address: int) -> None:
    """Release what `reserve` reserved: a later use of it ends the process too."""
    _, begin, length = _reserved.pop(address)
    _ends.remove(begin + length - PAGE)
    _libc.munmap(begin, length)


def is_guarded(array: Any) -> bool:
    """Whether there is nothing behind the last element of an array or a record."""
    return array.__array_interface__["data"][0] + array.nbytes in _ends


def guard_memory() -> None:
    """From now on all arrays are guarded that NumPy, compiled loops or the engine make."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a process that ends so leaves no file
    _guard_numpy()
    _guard_compiled_loops()
    _guard_engine()


class _Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = [("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("allocator", _Allocator)]


_SET_HANDLER = 304  # PyDataMem_SetHandler's place in NumPy's table of functions, fixed since 1.22


def _guard_numpy() -> None:
    pointer, size = ctypes.c_void_p, ctypes.c_size_t

    def reallocate(_: Any, old: int | None, wanted: int) -> int:
        new = reserve(wanted)
        if old:
            ctypes.memmove(new, old, min(wanted, _reserved[old][0]))
            release(old)
        return new

    functions = [
        ctypes.CFUNCTYPE(pointer, pointer, size)(lambda _, wanted: reserve(wanted)),
        ctypes.CFUNCTYPE(pointer, pointer, size, size)(lambda _, count, each: reserve(count * each)),
        ctypes.CFUNCTYPE(pointer, pointer, pointer, size)(reallocate),
        ctypes.CFUNCTYPE(None, pointer, pointer, size)(lambda _, address, __: release(address)),
    ]
    addresses = (ctypes.cast(function, pointer) for function in functions)
    handler = _Handler(b"guarded", 1, _Allocator(None, *addresses))
    _kept.extend([functions, handler])
    python, whole = ctypes.pythonapi, ctypes.py_object
    python.PyCapsule_GetPointer.restype, python.PyCapsule_GetPointer.argtypes = pointer, [whole, ctypes.c_char_p]
    python.PyCapsule_New.restype, python.PyCapsule_New.argtypes = whole, [pointer, ctypes.c_char_p, pointer]
    table = python.PyCapsule_GetPointer(np._core.multiarray._ARRAY_API, None)
    set_handler = ctypes.PYFUNCTYPE(whole, whole)(ctypes.cast(table, ctypes.POINTER(pointer))[_SET_HANDLER])
    set_handler(python.PyCapsule_New(ctypes.addressof(handler), b"mem_handler", None))


def _guard_compiled_loops() -> None:
    from numba.core.registry import cpu_target
    from numba.core.runtime import _nrt_python, rtsys

    rtsys.initialize(cpu_target.target_context)  # it makes Numba's function known under the name, this one replaces it
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    # nrt_external.h: its third function makes an owner of memory, with a function that frees it.
    functions = ctypes.CFUNCTYPE(pointer)(_nrt_python.c_helpers["get_api"])()
    own = ctypes.CFUNCTYPE(pointer, pointer, pointer)(ctypes.cast(functions, ctypes.POINTER(pointer))[2])
    free = ctypes.CFUNCTYPE(None, pointer)(release)
    freeing = ctypes.cast(free, pointer)
    make = ctypes.CFUNCTYPE(pointer, size, ctypes.c_uint32)(lambda wanted, _: own(reserve(wanted), freeing))
    _kept.extend([own, free, make])
    for name in ("NRT_MemInfo_alloc_aligned", "NRT_MemInfo_alloc_safe_aligned"):
        llvm.add_symbol(name, ctypes.cast(make, pointer).value)


def _guard_engine() -> None:
    from jitnet.engine import allocation, arena, sample_maker
    from jitnet.machine import pages

    zeroed: Any = lambda *wanted: [np.zeros(count, kind) for count, kind in wanted]  # noqa: E731
    arena.zeroed = allocation.zeroed = sample_maker.zeroed = zeroed
    arena.Buffer.take = lambda self, count: np.zeros(count, self._array.dtype)
    pages._mapped = lambda n_bytes, huge: np.zeros(n_bytes, np.uint8)


def pytest_configure(config: pytest.Config) -> None:
    guard_memory()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """What Python frees as it ends would call functions that are gone by then: it ends before that."""
    atexit.register(os._exit, int(exitstatus))
