"""What the code of Python functions names: values, functions that it calls, and places."""

import builtins
import dis
import types
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jitnet.compiler.numba_parts import Dispatcher

__all__ = ["Mention", "mentions", "named_dispatchers", "named_values", "names_in", "random_draw", "tree"]

GENERATORS = (("RandomState", "numpy.random.mtrand"), ("Random", "random"))
"""Classes of the global generators of NumPy and Python, to whose methods Numba's functions correspond."""


def names_in(code: Any) -> set[str]:
    """Return the names of globals and attributes that a code uses, and the functions inside it."""
    return {name for each in _codes(code) for name in each.co_names}


def named_values(function: Any) -> dict[str, Any]:
    """Return what a function names: globals, and variables of functions around it."""
    names = function.__globals__
    return {name: names[name] for name in names_in(function.__code__) if name in names} | _closure(function)


def named_dispatchers(function: Any) -> list[Any]:
    """Return the compiled functions that a function names, also as attributes of modules that it names."""
    found, used = [], names_in(function.__code__)
    for value in named_values(function).values():
        if isinstance(value, types.ModuleType):
            found += [part for name, part in vars(value).items() if name in used and isinstance(part, Dispatcher)]
        elif isinstance(value, Dispatcher):
            found.append(value)
    return found


def tree(function: Any, arguments: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    """Return a Python function and the compiled functions that it calls, each as its function and its dispatcher.

    The function itself comes first, with None for its dispatcher.
    """
    found: dict[int, tuple[Any, Any]] = {}
    waiting = [*named_dispatchers(function), *(each for each in arguments if isinstance(each, Dispatcher))]
    while waiting:
        dispatcher = waiting.pop(0)
        python = dispatcher.py_func
        if id(python) not in found and python is not function:
            found[id(python)] = python, dispatcher
            waiting = [*named_dispatchers(python), *waiting]
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
        closure = _closure(function)
        for code in _codes(function.__code__):
            yield from _mentions(code, function.__globals__, closure)


def random_draw(found: Sequence[Mention]) -> Mention | None:
    """Return where code draws random numbers of Numba's global generator."""
    for each in found:
        owner = type(getattr(each.value, "__self__", None))
        if (owner.__name__, owner.__module__) in GENERATORS and not each.name.endswith("seed"):
            return each
    return None


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


def _closure(function: Any) -> dict[str, Any]:
    """Return the variables of functions around a function that it uses, by name; without those not assigned yet."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def _codes(code: Any) -> Iterator[Any]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
