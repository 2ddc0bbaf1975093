"""The four ways to compile a function, their options and why.

kernel       a serial loop that Python may call, and other loops
helper       a few lines that only other loops call, inlined into each
linked       a loop compiled once, for one signature, and called by name: an operation, or a large kernel
driver       a thin parallel loop, one `prange`, over serial kernels

Numba copies a function into each caller and optimises it there again. For large loops that is most of a first start. A
linked function is machine code with a symbol, as in any other language; callers have the symbol and no copy. It is
loaded before a caller: its machine code where the caller is loaded, and also its types where the caller is compiled.
"""

from collections.abc import Callable, Iterable
from functools import cache
from inspect import isfunction
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba

from jitnet.compiler.cache import CompiledCode, can_keep, read_all, write_all
from jitnet.compiler.numba_parts import (
    CPUDispatcher,
    Dispatcher,
    add_object_code,
    address_of,
    cache_of,
    change_class,
    cpu_target,
    register_symbol,
    rtsys,
    set_cache,
)

__all__ = [
    "FASTMATH",
    "IN_ORDER",
    "driver",
    "helper",
    "keep_linked",
    "kernel",
    "linked",
    "linked_callees",
    "load",
    "load_kept",
    "plain",
]

Function = TypeVar("Function", bound=Callable[..., Any])

FASTMATH = {"contract", "reassoc", "nsz"}
"""Contract allows fused multiply-add, reassoc vectorised sums, nsz drops the sign of zero. Never nnan or ninf:
with them `isfinite` is folded to True and a diverging run goes unnoticed."""

IN_ORDER = FASTMATH - {"reassoc"}
"""For a sum whose order must be that of the source: vectorised it would depend on the length of the vectors."""

# error_model "numpy": a loop that may raise on division is not vectorised. nogil: a progress bar is drawn meanwhile.
_OPTIONS = {"fastmath": FASTMATH, "error_model": "numpy", "nogil": True}
_NO_WRAPPERS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _compile(function: Function, **options: Any) -> Any:
    dispatcher = numba.njit(**{**_OPTIONS, **options})(function)
    if not numba.config.DISABLE_JIT:
        set_cache(
            dispatcher,
            CompiledCode(function, lambda: _name_callees(function), lambda: _load_callees(function)),
        )
    return dispatcher


def kernel(*arguments: Any) -> Any:
    """Compile a serial loop at its first call, for the types of that call.

    arguments: the Numba types that the package calls it with, for the line view, which needs no call; plain `@kernel`
    has none.
    """
    return _at_first_call(arguments)


def helper(function: Function) -> Function:
    """Copy a few lines into each loop that calls them, before anything is compiled."""
    compiled: Function = _compile(function, inline="always")
    return compiled


def driver(*arguments: Any) -> Any:
    """Compile a thin parallel loop at its first call: one `prange`, each part done by a serial kernel. arguments: as
    for `kernel`."""
    return _at_first_call(arguments, parallel=True)


def _at_first_call(arguments: tuple[Any, ...], **options: Any) -> Any:
    def decorate(function: Function) -> Function:
        compiled: Any = _compile(function, **options)
        compiled.declared_types = () if bare else arguments
        return compiled

    bare = len(arguments) == 1 and isfunction(arguments[0])
    return decorate(arguments[0]) if bare else decorate


class _Linked(CPUDispatcher):  # type: ignore[misc]
    """A dispatcher without wrappers for Python: a call from Python raises, since it would crash the process."""

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(
            f"{self.py_func.__name__} can only be called from compiled code; call a driver of its file, or compile "
            f"it for Python with numba.njit({self.py_func.__name__}.py_func)"
        )


def linked(*arguments: Any, returns: Any = numba.types.void, **options: Any) -> Callable[[Function], Function]:
    """Compile a loop once, for arguments and a result of these Numba types; Python cannot call it."""

    def decorate(function: Function) -> Function:
        dispatcher = _compile(function, **_NO_WRAPPERS, **options)
        if not numba.config.DISABLE_JIT:
            change_class(dispatcher, _Linked)
            dispatcher.linked_signature = returns(*arguments)
        compiled: Function = dispatcher
        return compiled

    return decorate


_named: set[str] = set()
"""Linked functions that loaded code can call already."""


def _name_of(dispatcher: Any) -> str:
    """Return the symbol that callers use. Numba's symbol has a number that differs between processes, and two may
    compile at the same time."""
    return f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__name__}"


def _register(name: str, address: int) -> None:
    llvm.add_symbol(name, address)
    _named.add(name)


@cache
def load(dispatcher: Any) -> None:
    """Compile a linked function, or load it from the cache: from now on compiled code can call it by its symbol, and
    its callers can be compiled."""
    if numba.config.DISABLE_JIT:
        return
    signature = dispatcher.linked_signature
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    name = _name_of(dispatcher)
    _register(name, register_symbol(dispatcher.get_compile_result(signature), name))


def keep_linked(functions: Iterable[Any]) -> None:
    """Store the machine code of linked functions, each after those that it calls, for `load_kept`."""
    if not can_keep():
        return
    objects = {}
    for function in functions if not numba.config.DISABLE_JIT else ():
        found = cache_of(function).object_code(function.linked_signature, cpu_target.target_context)
        if found is None:  # it could not be written: the next start compiles it, and stores all
            return
        objects[_name_of(function)] = found
    write_all(objects)


def load_kept() -> bool:
    """Load all machine code that `keep_linked` stored; False where nothing is stored."""
    objects = read_all()
    if objects is None:
        return False
    _start_threads()
    rtsys.initialize(cpu_target.target_context)
    for name, (symbol, code) in objects.items():
        add_object_code(code)
        _register(name, address_of(symbol))
    return True


def plain(function: Any) -> Callable[..., Any]:
    """Return the Python function of a compiled one, to call or read without compiling anything."""
    python: Callable[..., Any] = getattr(function, "py_func", function)
    return python


def is_linked(function: Any) -> bool:
    """Whether callers call this function by its symbol."""
    return hasattr(function, "linked_signature")


@cache
def linked_callees(function: Any) -> tuple[Any, ...]:
    """Return the linked functions that a compiled function names in its code, also through inlined helpers."""
    python = plain(function)
    found: dict[Any, None] = {}
    for name in python.__code__.co_names:
        value = python.__globals__.get(name)
        if isinstance(value, Dispatcher):
            found |= dict.fromkeys([value] if is_linked(value) else linked_callees(value))
        else:  # a switch calls any of several
            found |= dict.fromkeys(getattr(value, "linked_functions", ()))
    return tuple(found)


def _name_callees(function: Any) -> None:
    """Load what a function from the cache calls, so that its symbols are found."""
    _start_threads()
    for callee in linked_callees(function):
        if _name_of(callee) not in _named:
            load(callee)


def _load_callees(function: Any) -> None:
    """Load what a function calls, so that it can be compiled: Numba must know the types of its callees."""
    _start_threads()
    for callee in linked_callees(function):
        load(callee)


@cache
def _start_threads() -> None:
    """Start the threads that parallel regions run on. Cached code with a region needs functions of their library, which
    Numba registers only here; without them LLVM ends the process."""
    numba.get_num_threads()
