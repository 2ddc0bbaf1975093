"""Changed copies of compiled functions; the user's are left as they are.

A change of a function that the profiled one calls, directly or through others, makes copies of its callers too, which
name the changed one in place of the original.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numba

from jitnet.compiler.numba_parts import Dispatcher, close, copy_dispatcher, is_open
from jitnet.profile.functions.worker.subject import Subject
from jitnet.profile.users.built_ufuncs import built

__all__ = ["Change", "Unreached", "changed_copy"]


@dataclass(frozen=True)
class Change:
    """What changes in one function.

    options: of its decorator, by name. function: makes the changed Python function of the original; None where its
    source is left as it is. declared: types to compile it for; None for those that were declared for the original.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    function: Callable[[Any], Any] | None = None
    declared: tuple[Any, ...] | None = None


class Unreached(Exception):
    """A function to change is called in a way that cannot be replaced: by a class's method, or through its address."""


def changed_copy(subject: Subject, changes: Mapping[Any, Change]) -> Any:
    """Return what the user would call, with each function of `changes`, which are Python functions, changed.

    It compiles at its first call, with the types that were declared for the original where there are any. Unreached
    where one of the functions cannot be replaced.
    """
    copier = _Copier(changes)
    if subject.kind == "njit":
        made = copier.dispatcher(subject.dispatcher)
    else:
        made = _ufunc(subject, copier)
    missing = [function.__name__ for function in changes if function not in copier.reached]
    if missing:
        raise Unreached(f"{missing[0]} is called through something else than its name")
    return made


def _ufunc(subject: Subject, copier: "_Copier") -> Any:
    """Return a copy of what vectorize or guvectorize made."""
    change, function = copier.changed(subject.function, copy=None)
    call, builder = subject.call, getattr(subject.call, "gufunc_builder", None)
    options = {name: value for name, value in subject.options.items() if name not in ("nopython", "boundscheck")}
    options |= change.options
    if built(call) is not None:
        options["target"] = "parallel"
    declared = _declared(subject)
    if subject.kind == "vectorize":
        return numba.vectorize(declared, identity=call.identity, **options)(function)
    layout = call.signature if builder is None else builder.signature
    writable = () if builder is None else builder.writable_args
    named = {"writable_args": writable} if writable else {}
    return numba.guvectorize(*([declared] if declared else []), layout, **named, **options)(function)


def _declared(subject: Subject) -> list[Any]:
    """Return the signatures that a ufunc was made for; [] where it compiles at its calls."""
    if (known := built(subject.call)) is not None:
        return [made.signature for made in known.dispatcher.overloads.values()]
    frozen = getattr(subject.call, "_frozen", False)
    return [made.signature for made in subject.dispatcher.overloads.values()] if frozen else []


class _Copier:
    """Copies each function that changes, or calls one that does.

    reached: the functions whose change was made.
    """

    def __init__(self, changes: Mapping[Any, Change]) -> None:
        self.changes = changes
        self.reached: set[Any] = set()
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []

    def dispatcher(self, original: Any) -> Any:
        """Return the copy of a dispatcher; itself where neither it nor what it calls changes."""
        if id(original) in self._made:
            return self._made[id(original)]
        self._made[id(original)] = original  # what a recursion finds meanwhile
        self._kept.append(original)
        function = original.py_func
        change, changed = self.changed(function, copy=original)
        if changed is function and function not in self.changes:
            return original
        copy = copy_dispatcher(original, changed, **change.options)
        if changed.__globals__ is not function.__globals__:
            for name, value in list(changed.__globals__.items()):
                if value is original:
                    changed.__globals__[name] = copy  # a recursion
        if change.declared is not None or not is_open(original):
            known = [tuple(made.signature.args) for made in original.overloads.values()]
            for arguments in [change.declared] if change.declared is not None else known:
                copy.compile(arguments)
            close(copy)
        self._made[id(original)] = copy
        return copy

    def changed(self, function: Any, copy: Any) -> tuple[Change, Any]:
        """Return the change of a Python function, and the changed function, which names the changed functions that it
        calls. copy: its dispatcher, where a new one is made of it."""
        change = self.changes.get(function, Change())
        made = function
        if function in self.changes:
            self.reached.add(function)
        if change.function is not None:
            made = change.function(function)
        swapped = {
            name: (value, other)
            for name, value in _named(made).items()
            if (other := self._swapped(value, made)) is not value
        }
        recursive = function in self.changes and any(value is copy for value in _named(made).values())
        if swapped or (recursive and copy is not None):
            made = _naming(made, {name: other for name, (_, other) in swapped.items()})
        return change, made

    def _swapped(self, value: Any, caller: Any) -> Any:
        if isinstance(value, Dispatcher):
            return self.dispatcher(value)
        if isinstance(value, types.ModuleType):
            # helpers.smooth(x): a module with the changed function in it.
            used = {name: vars(value).get(name) for name in caller.__code__.co_names}
            swapped = {
                name: other
                for name, found in used.items()
                if isinstance(found, Dispatcher) and (other := self.dispatcher(found)) is not found
            }
            if swapped:
                made = types.ModuleType(value.__name__)
                made.__dict__.update(vars(value) | swapped)
                return made
        return value


def _named(function: Any) -> dict[str, Any]:
    """Return what a function names: globals, and variables of functions around it."""
    code = function.__code__
    found = {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _naming(function: Any, values: Mapping[str, Any]) -> Any:
    """Return a copy of a function in which these names have these values."""
    cells = function.__closure__ or ()
    closure = tuple(
        types.CellType(values[name]) if name in values else cell
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True)
    )
    made = types.FunctionType(
        function.__code__, {**function.__globals__, **values}, function.__name__, function.__defaults__, closure or None
    )
    made.__kwdefaults__, made.__qualname__ = function.__kwdefaults__, function.__qualname__
    made.__module__ = function.__module__
    return made
