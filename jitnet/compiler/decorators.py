"""The four ways to compile a function, their options and why.

kernel       a serial loop that Python may call, and other loops
helper       a few lines that only other loops call, and that become part of each
linked       a loop compiled once, for one signature, and called by name: an operation, or a large kernel
driver       a thin parallel loop, one `prange`, over serial kernels

Numba copies a function into each caller and optimises it there again. For a large loop that took most of a first start.
A linked one is machine code under a name of its own, as in any other language; callers hold that name and no copy.
Whoever calls one brings it in first: by its name alone where the caller is loaded, and with its types where the caller
is compiled.
"""

from collections.abc import Callable, Iterable
from functools import cache
from inspect import isfunction
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba

from jitnet.compiler.cache import CompiledCode, can_keep, keep_all, read_all
from jitnet.compiler.numba_parts import (
    CPUDispatcher,
    Dispatcher,
    add_object_code,
    address_of,
    cache_of,
    change_class,
    cpu_target,
    make_known_by_name,
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
"""Contract gives fused multiply-add, reassoc lets sums be vectorised, nsz drops the sign of zero. Never nnan or ninf:
with them `isfinite` is folded to True and a diverging run goes unnoticed."""

IN_ORDER = FASTMATH - {"reassoc"}
"""For a sum whose order must be that of the source: vectorised it would depend on the length of the vectors."""

# error_model "numpy": a loop that may raise on division is not vectorised. nogil: a bar may be drawn beside it.
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
    """Compile a serial loop at its first call, for whatever it is called with.

    arguments: Numba types that the package calls it with, for what looks at its code without a call; `@kernel` alone
    names none.
    """
    return _at_first_call(arguments)


def helper(function: Function) -> Function:
    """Copy a few lines into each loop that calls them, before anything is compiled."""
    compiled: Function = _compile(function, inline="always")
    return compiled


def driver(*arguments: Any) -> Any:
    """Compile a thin parallel loop at its first call: one `prange`, each part done by a serial kernel. arguments: as
    `kernel` has them."""
    return _at_first_call(arguments, parallel=True)


def _at_first_call(arguments: tuple[Any, ...], **options: Any) -> Any:
    def decorate(function: Function) -> Function:
        compiled: Any = _compile(function, **options)
        compiled.declared_types = () if bare else arguments
        return compiled

    bare = len(arguments) == 1 and isfunction(arguments[0])
    return decorate(arguments[0]) if bare else decorate


class _Linked(CPUDispatcher):  # type: ignore[misc]
    """A dispatcher without wrappers for Python: a call from there is refused, where it would end the process."""

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(
            f"{self.py_func.__name__} is compiled for compiled callers alone; call a driver of its file, or compile "
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
"""Linked functions that loaded code can call by now."""


def _name_of(dispatcher: Any) -> str:
    """The name that callers know. Numba's own symbol holds a number that differs from process to process, and two may
    compile side by side."""
    return f"{dispatcher.py_func.__module__}.{dispatcher.py_func.__name__}"


def _make_known(name: str, address: int) -> None:
    llvm.add_symbol(name, address)
    _named.add(name)


@cache
def load(dispatcher: Any) -> None:
    """Bring in a linked function, compiled or from the cache: from now on compiled code can call it by its name, and
    what calls it can be compiled."""
    if numba.config.DISABLE_JIT:
        return
    signature = dispatcher.linked_signature
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    name = _name_of(dispatcher)
    _make_known(name, make_known_by_name(dispatcher.get_compile_result(signature), name))


def keep_linked(functions: Iterable[Any]) -> None:
    """Keep the machine code of linked functions, each behind those that it calls, for `load_kept`."""
    if not can_keep():
        return
    objects = {}
    for function in functions if not numba.config.DISABLE_JIT else ():
        found = cache_of(function).object_code(function.linked_signature, cpu_target.target_context)
        if found is None:  # it could not be written: the next start compiles it, and keeps all
            return
        objects[_name_of(function)] = found
    keep_all(objects)


def load_kept() -> bool:
    """Bring in all that `keep_linked` kept, by name alone, in one go; False where nothing is kept."""
    objects = read_all()
    if objects is None:
        return False
    _start_threads()
    rtsys.initialize(cpu_target.target_context)
    for name, (symbol, code) in objects.items():
        add_object_code(code)
        _make_known(name, address_of(symbol))
    return True


def plain(function: Any) -> Callable[..., Any]:
    """The Python function that a compiled one was made of, to be called or read without compiling anything."""
    python: Callable[..., Any] = getattr(function, "py_func", function)
    return python


def is_linked(function: Any) -> bool:
    """Whether callers call this function by name."""
    return hasattr(function, "linked_signature")


@cache
def linked_callees(function: Any) -> tuple[Any, ...]:
    """The linked functions that a compiled function names in its code, also by way of helpers copied into it."""
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
    """See to it that a function from the cache finds those that it calls."""
    _start_threads()
    for callee in linked_callees(function):
        if _name_of(callee) not in _named:
            load(callee)


def _load_callees(function: Any) -> None:
    """See to it that a function can be compiled: Numba must know the types of those that it calls."""
    _start_threads()
    for callee in linked_callees(function):
        load(callee)


@cache
def _start_threads() -> None:
    """Start the threads that parallel regions run on. Code from the cache that holds a region needs functions of their
    library, which Numba makes known only here; without them LLVM ends the process."""
    numba.get_num_threads()
