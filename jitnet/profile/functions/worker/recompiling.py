"""Copies of a function and of all functions that it calls: compiled with other options, or run without the compiler."""

import builtins
import dis
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jitnet.compiler.numba_parts import Dispatcher, copy_dispatcher

__all__ = ["Mention", "mentions", "rebuilt", "recompiled", "tree"]


def rebuilt(function: Any, replaced: Callable[[Any], Any], made: Callable[[Any], None] = lambda copy: None) -> Any:
    """Return a Python function with the same code, in which each global and closed-over value is `replaced(value)`.

    Of a module that it uses, the attributes that it uses are replaced. made: called with the copy before anything is
    replaced, so that a function that calls itself can call its copy.
    """
    names, used = dict(function.__globals__), _names(function.__code__)
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


def recompiled(dispatcher: Any, arguments: tuple[Any, ...], **options: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a copy of a compiled function with other options of its decorator, and arguments to call it with.

    The functions that it calls are copied in the same way, also those that are among the arguments.
    """
    known: dict[int, Any] = {}

    def copied(value: Any) -> Any:
        if not isinstance(value, Dispatcher):
            return value
        if id(value) not in known:

            def made(function: Any) -> None:
                known[id(value)] = copy_dispatcher(value, function, **options)

            rebuilt(value.py_func, copied, made)
        return known[id(value)]

    return copied(dispatcher), tuple(copied(argument) for argument in arguments)


def tree(function: Any, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    """Return a Python function and the compiled functions that it calls, each as its function and its dispatcher.

    The function itself comes first, with None for its dispatcher.
    """
    found: dict[int, tuple[Any, Any]] = {}

    def note(value: Any) -> Any:
        if isinstance(value, Dispatcher) and id(value.py_func) not in found and value.py_func is not function:
            found[id(value.py_func)] = value.py_func, value
            rebuilt(value.py_func, note)
        return value

    rebuilt(function, note)
    for argument in arguments:
        note(argument)
    return [(function, None), *found.values()]


class Mention(NamedTuple):
    """Something that a function's code names: the value, where it is known, its dotted name, and the place."""

    value: Any
    name: str
    file: str
    line: int


def mentions(functions: list[Any]) -> Iterator[Mention]:
    """Yield what the codes of Python functions name: globals, and what they take of these by a dot."""
    for function in functions:
        closure = dict(
            zip(function.__code__.co_freevars, (_content(each) for each in function.__closure__ or ()), strict=True)
        )
        for code in _codes(function.__code__):
            yield from _mentions(code, function.__globals__, closure)


def _mentions(code: Any, names: dict[str, Any], closure: dict[str, Any]) -> Iterator[Mention]:
    value: Any = None
    name, line = "", code.co_firstlineno
    for step in dis.get_instructions(code):
        line = step.positions.lineno or line if step.positions else line
        if step.opname == "LOAD_GLOBAL":
            name = str(step.argval)
            value = names.get(name, getattr(builtins, name, None))
        elif step.opname == "LOAD_DEREF":
            name, value = str(step.argval), closure.get(str(step.argval))
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and name:
            name, value = f"{name}.{step.argval}", _attribute(value, str(step.argval))
        elif step.opname == "BUILD_SET":
            name, value = "set", set
        else:
            name = ""
            continue
        yield Mention(value, name, code.co_filename, line)


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # a module that loads its parts as they are used, and fails to
        return None


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None


def _codes(code: Any) -> Iterator[Any]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _names(code: Any) -> set[str]:
    return {name for each in _codes(code) for name in each.co_names}
