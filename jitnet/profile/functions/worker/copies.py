"""Changed copies of compiled functions; the user's are left as they are.

A function that calls a changed one, directly or through others, is copied too, and its copy calls the changed one.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numba

from jitnet.compiler.numba_parts import Dispatcher, close, copy_dispatcher, is_open
from jitnet.profile.functions.worker.mentions import names_in, tree
from jitnet.profile.functions.worker.subject import Subject
from jitnet.profile.users.built_ufuncs import built
from jitnet.profile.users.generators import iterating

__all__ = ["Change", "Unreached", "changed_copy", "rebuilt", "recompiled", "ufunc_copy"]


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
    if not subject.by_element:
        made = copier.copied(subject.dispatcher)
        copier.compile_declared()
        if subject.call is not subject.dispatcher:  # a generator, of which all values are taken
            made = iterating(made, len(inspect.signature(subject.call.py_func).parameters))
    else:
        function = copier.function(subject.function)
        copier.compile_declared()
        made = ufunc_copy(subject, function, **changes.get(subject.function, Change()).options)
    missing = [function.__name__ for function in changes if function not in copier.reached]
    if missing:
        raise Unreached(f"{missing[0]} is called through something else than its name")
    return made


def recompiled(dispatcher: Any, arguments: tuple[Any, ...], **options: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a copy of a compiled function with other options of its decorator, and arguments to call it with.

    The functions that it calls are copied in the same way, also those that are among the arguments. All compile for any
    types.
    """
    changes = {function: Change(options) for function, _ in tree(dispatcher.py_func, arguments)}
    copier = _Copier(changes)
    return copier.copied(dispatcher), tuple(copier.copied(argument) for argument in arguments)


def ufunc_copy(subject: Subject, function: Any = None, **options: Any) -> Any:
    """Return a copy of what vectorize or guvectorize made, with other options; function: in place of the original."""
    call, builder = subject.call, getattr(subject.call, "gufunc_builder", None)
    options = {
        name: value for name, value in subject.options.items() if name not in ("nopython", "boundscheck")
    } | options
    declared = []
    if (known := built(call)) is not None:
        options.setdefault("target", "parallel")
        declared = [made.signature for made in known.dispatcher.overloads.values()]
    elif getattr(call, "_frozen", False):
        declared = [made.signature for made in subject.dispatcher.overloads.values()]
    function = function or subject.function
    if subject.kind == "vectorize":
        return numba.vectorize(declared, identity=call.identity, **options)(function)
    layout = call.signature if builder is None else builder.signature
    writable = () if builder is None else builder.writable_args
    named = {"writable_args": writable} if writable else {}
    return numba.guvectorize(*([declared] if declared else []), layout, **named, **options)(function)


def rebuilt(function: Any, replaced: Callable[[Any], Any], made: Callable[[Any], None] = lambda copy: None) -> Any:
    """Return a Python function with the same code, in which each global and closed-over value is `replaced(value)`.

    Of a module that it uses, the attributes that it uses are replaced. made: called with the copy before anything is
    replaced, so that a function that calls itself can call its copy.
    """
    names, used = dict(function.__globals__), names_in(function.__code__)
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    made(copy)

    def value(before: Any) -> Any:
        after = replaced(before)
        if after is not before or not isinstance(before, types.ModuleType):
            return after
        parts = {name: part for name, part in vars(before).items() if name in used}
        changed = {name: made for name, part in parts.items() if (made := replaced(part)) is not part}
        if not changed:
            return before
        module = types.ModuleType(before.__name__)
        vars(module).update(vars(before) | changed)
        return module

    for name in used & set(names):
        names[name] = value(names[name])
    for cell, before in zip(cells, function.__closure__ or (), strict=True):
        try:
            cell.cell_contents = value(before.cell_contents)
        except ValueError:  # not assigned yet
            continue
    return copy


class _Copier:
    """Copies each function that changes, or calls one that does.

    reached: the functions whose change was made.
    """

    def __init__(self, changes: Mapping[Any, Change]) -> None:
        self.changes = changes
        self.reached: set[Any] = set()
        self._copies: dict[int, tuple[Any, Any]] = {}  # with the originals, so that their ids stay theirs
        self._callees_first: list[tuple[Any, Any]] = []

    def copied(self, value: Any) -> Any:
        """Return the copy of a dispatcher; itself where neither it nor what it calls changes, as every other value."""
        if not isinstance(value, Dispatcher):
            return value
        if id(value) not in self._copies:
            self._copies[id(value)] = value, value
            if any(function in self.changes for function, _ in tree(value.py_func)):
                options = self.changes.get(value.py_func, Change()).options

                def made(function: Any) -> None:
                    self._copies[id(value)] = value, copy_dispatcher(value, function, **options)

                self.function(value.py_func, made)
                self._callees_first.append(self._copies[id(value)])
        return self._copies[id(value)][1]

    def function(self, function: Any, made: Callable[[Any], None] = lambda copy: None) -> Any:
        """Return a copy of a Python function with its change, which names the copies. made: as `rebuilt` takes it."""
        change = self.changes.get(function, Change())
        if function in self.changes:
            self.reached.add(function)
        return rebuilt(function if change.function is None else change.function(function), self.copied, made)

    def compile_declared(self) -> None:
        """Compile the copies of functions whose types were declared, or changed, for these alone."""
        for original, copy in self._callees_first:
            declared = self.changes.get(original.py_func, Change()).declared
            if declared is None and is_open(original):
                continue
            known = [tuple(made.signature.args) for made in original.overloads.values()]
            for kinds in known if declared is None else [declared]:
                copy.compile(kinds)
            close(copy)
