"""The requested function, under any of Numba's decorators, and the arguments to call it with."""

import inspect
import reprlib
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitnet.profile.functions.arguments import EXAMPLE, TARGET, make_arguments, read_words
from jitnet.profile.loading import load_module
from jitnet.profile.users.built_ufuncs import built
from jitnet.profile.users.compiled_classes import class_type, compiled_method, method_names
from jitnet.profile.users.generators import iterating

__all__ = ["Refused", "Subject", "arguments_of", "check_arguments", "find", "load", "made_by_setup", "subject_of"]

UNLIMITED = 1 << 30
"""The most arguments of a function with *args."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Refused(Exception):
    """The request cannot be met; the message is the line for the user. usage: whether the command line is at fault."""

    def __init__(self, message: str, usage: bool = True) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass
class Subject:
    """What is profiled.

    call: what the user would call; for a generator, what takes all of its values. function: the Python function under
    it. kind: "njit", "generator", "vectorize" or "guvectorize". dispatcher: Numba's. options: of the decorator. owner:
    the compiled class that it is a method of, else None. notes: what the user should know of the call.
    """

    call: Any
    function: Any
    kind: str
    dispatcher: Any
    options: dict[str, Any] = field(default_factory=dict)
    owner: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def by_element(self) -> bool:
        """Whether NumPy calls it for each element."""
        return self.kind in ("vectorize", "guvectorize")

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.function).parameters)

    def names(self, count: int) -> list[str]:
        """Return the names of so many arguments: those of the parameters, and `rest[0]` and so on for *rest."""
        found: list[str] = []
        for one in inspect.signature(self.function).parameters.values():
            left = count - len(found)
            if one.kind is one.VAR_POSITIONAL:
                found += [f"{one.name}[{number}]" for number in range(left)]
            elif left:
                found.append(one.name)
        return found + [f"argument {at + 1}" for at in range(len(found), count)]


def find(target: str) -> Subject:
    """Return the function of `package.module:function` or `path/file.py:function`; its name may be dotted."""
    found = _resolve(target, TARGET)
    subject = subject_of(found)
    if subject is not None:
        return subject
    raise Refused(_not_compiled(target, found))


def arguments_of(subject: Subject, request: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the arguments that `--args` or `--setup` describe, in the order of the parameters."""
    if request["setup"]:
        made = made_by_setup(request["setup"])
        if isinstance(made, dict):
            return check_arguments(subject, (), request["setup"], made)
        return check_arguments(subject, made, request["setup"])
    if request["args"] is None:
        return check_arguments(subject, None)
    words = read_words(request["args"])
    values = make_arguments(words)
    pairs = list(zip(words, values, strict=True))
    named = {word.name: value for word, value in pairs if word.name}
    return check_arguments(subject, tuple(value for word, value in pairs if not word.name), "", named)


def made_by_setup(setup: str) -> Any:
    """Call the function of `--setup` and return its result: a tuple of arguments, the only one, or a dict with
    them by name."""
    function = _resolve(setup, "--setup")
    if not callable(function):
        raise Refused(
            f"--setup {setup}: is a {type(function).__name__}; expected a function that returns the arguments"
        )
    return function()


def _resolve(target: str, option: str) -> Any:
    where, _, name = target.rpartition(":")
    found = load(where, option, target)
    for part in name.split("."):
        method = _method(found, part)
        if method is not None:
            return method
        try:
            found = getattr(found, part)
        except AttributeError:
            known = vars(found) if hasattr(found, "__dict__") else {}
            names = method_names(found) or sorted(each for each, value in known.items() if subject_of(value))
            others = f"; compiled there: {', '.join(names[:8])}" if names and option == TARGET else ""
            raise Refused(f"{option} {target}: {where} has no {part!r}{others}") from None
    return found


def _method(found: Any, name: str) -> Subject | None:
    """Return a method of a compiled class."""
    method = compiled_method(found, name)
    subject = subject_of(method) if method is not None else None
    if subject is not None and name not in class_type(found).jit_static_methods:
        subject.owner = found
    return subject


def load(where: str, option: str, target: str) -> Any:
    """Return the module at a path or of a name; Refused where there is none. option, target: for that message."""
    try:
        return load_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise Refused(
                f"{option} {target}: there is no module {error.name!r} that this Python can import; use the file's "
                "path, or start where `import` finds it"
            ) from None
        raise


def subject_of(found: Any) -> Subject | None:
    """Return what is profiled where the user names this object; None where it is no compiled function."""
    from jitnet.compiler.numba_parts import Dispatcher, DUFunc, GUFunc, ufunc_dispatcher

    if isinstance(found, Subject):
        return found
    if isinstance(found, Dispatcher):
        kind = "generator" if inspect.isgeneratorfunction(found.py_func) else "njit"
        return Subject(found, found.py_func, kind, found, dict(found.targetoptions))
    if isinstance(found, DUFunc):
        inner = ufunc_dispatcher(found)
        return Subject(found, inner.py_func, "vectorize", inner, dict(inner.targetoptions))
    if isinstance(found, GUFunc):
        builder = found.gufunc_builder
        return Subject(found, builder.py_func, "guvectorize", builder.nb_func, dict(builder.nb_func.targetoptions))
    known = built(found)
    if known is not None:
        kind = "guvectorize" if found.signature else "vectorize"
        return Subject(found, known.function, kind, known.dispatcher, dict(known.dispatcher.targetoptions))
    return None


def compiled_in(function: Any) -> list[str]:
    """Return the names of the compiled functions that a Python function uses."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    module = getattr(function, "__globals__", {})
    return [name for name in names if name in module and subject_of(module[name])]


def _not_compiled(target: str, found: Any) -> str:
    if isinstance(found, types.FunctionType):
        called = compiled_in(inspect.unwrap(found))
        module = target.rpartition(":")[0]
        if called:
            calls = " and ".join(f"{module}:{name}" for name in called[:3])
            return f"{TARGET} {target}: is plain Python, not compiled; it calls {calls}: profile one of these"
        place = f"{found.__code__.co_filename}:{found.__code__.co_firstlineno}"
        return f"{TARGET} {target}: is plain Python, not compiled ({place}); put @numba.njit above it"
    methods = method_names(found)
    if methods:
        return (
            f"{TARGET} {target}: is a compiled class; profile one of its methods: "
            f"{', '.join(f'{target}.{name}' for name in methods[:8])}"
        )
    return (
        f"{TARGET} {target}: is of type {type(found).__name__}; expected a function under @njit, @jit, @vectorize or "
        "@guvectorize, or Class.method of a compiled class"
    )


def check_arguments(
    subject: Subject, arguments: Any, setup: str = "", named: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """Return the arguments in the order of the parameters, or () for a function without any; Refused where they do not
    fit.

    arguments: a tuple, the only one, or None. setup: the function of `--setup` that returned them, where one did.
    named: more of them, by name. A default between them is passed as an argument, and a note says so.
    """
    parameters = list(inspect.signature(subject.function).parameters.values())
    name = subject.function.__name__
    positional = [one for one in parameters if one.kind in POSITIONAL]
    by_name = [one for one in parameters if one.kind is one.KEYWORD_ONLY]
    if subject.by_element:
        fewest, limit = subject.call.nin, subject.call.nargs
    else:
        fewest = sum(one.default is one.empty for one in positional)
        limit = UNLIMITED if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(positional)
    wanted = f"{name}{inspect.signature(subject.function)}"
    if subject.owner is not None:
        wanted += f", whose {parameters[0].name} is an instance of {subject.owner.__name__},"
    if arguments is None and (not setup or fewest == 0):
        if fewest == 0:
            return _called_with(subject, wanted, parameters, ())
        raise Refused(f"{wanted} needs arguments: {_how_to_pass(subject)}{_declared(subject)}")
    if setup and _is_mistaken(arguments):
        found = " ".join(reprlib.repr(arguments).split())
        raise Refused(
            f"--setup {setup}: returned {found}, of type {type(arguments).__name__}; expected a tuple of arguments, "
            f"or a dict of them by name: {wanted} takes {_number(fewest, limit)}{_declared(subject)}"
        )
    is_one = not isinstance(arguments, tuple)
    if is_one:
        arguments = (arguments,)
    if named and len(arguments) <= limit:
        arguments = _in_order(wanted, parameters, arguments, dict(named), subject)
        limit += len(by_name)
    if not fewest <= len(arguments) <= limit:
        takes = f"{wanted} takes {_number(fewest, limit)}"
        if is_one and setup:
            (one,) = arguments
            found = " ".join(reprlib.repr(one).split())
            raise Refused(
                f"--setup {setup}: returned {found}, of type {type(one).__name__}; expected a tuple of arguments: "
                f"{takes}{_declared(subject)}"
            )
        raise Refused(f"{takes}, {len(arguments)} given{_declared(subject)}")
    if subject.owner is not None and not isinstance(arguments[0], subject.owner):
        raise Refused(f"{wanted} was called with {type(arguments[0]).__name__} in its place: {_how_to_pass(subject)}")
    if not subject.by_element:
        _check_types(wanted, subject.names(len(arguments)), arguments)
    return _called_with(subject, wanted, parameters, arguments)


def _check_types(wanted: str, names: Sequence[str], arguments: Sequence[Any]) -> None:
    """Refused for an argument of a type that Numba does not have."""
    for name, value in zip(names, arguments, strict=True):
        for part in _untyped(value):
            kind = type(part).__name__
            found = f"is of type {kind}" if part is value else f"has an element of type {kind}"
            use = "a numba.typed.Dict" if kind == "dict" else "arrays, numbers, or tuples of these"
            raise Refused(f"{wanted}: {name} {found}, which compiled code cannot take; pass {use}")


def _untyped(value: Any) -> list[Any]:
    """Return what in an argument Numba has no type for, the argument itself or elements of it."""
    import numba

    try:
        numba.typeof(value)
    except ValueError as error:
        if str(error).startswith("Cannot determine Numba type"):
            parts = value if isinstance(value, (tuple, list)) else ()
            return [found for part in parts for found in _untyped(part)] or [value]
    return []


def _number(fewest: int, limit: int) -> str:
    count = str(fewest) if fewest == limit else f"{fewest} or more" if limit == UNLIMITED else f"{fewest} to {limit}"
    return f"{count} argument{'s' * (count != '1')}"


def _how_to_pass(subject: Subject) -> str:
    if subject.owner is not None:
        return "pass them with --setup module:function, a function that returns a tuple, with the instance first"
    return f"pass them with {EXAMPLE} or --setup module:function, a function that returns them"


def _is_mistaken(made: Any) -> bool:
    """Whether what `--setup` returned cannot be an argument of compiled code: nothing, or a list of several things."""
    import numpy as np

    if isinstance(made, list):
        return any(isinstance(part, np.ndarray) for part in made) or len({type(part) for part in made}) > 1
    return made is None


def _in_order(
    wanted: str, parameters: list[inspect.Parameter], given: tuple[Any, ...], named: dict[str, Any], subject: Subject
) -> tuple[Any, ...]:
    """Return positional and named arguments in the order of the parameters, with the defaults between them."""
    known = {one.name for one in parameters if one.kind in (*POSITIONAL, inspect.Parameter.KEYWORD_ONLY)}
    for name in named:
        if subject.by_element or name not in known:
            raise Refused(f"{wanted} has no parameter {name!r} that can be passed by name")
        if name in [one.name for one in parameters[: len(given)]]:
            raise Refused(f"{wanted} got {name} twice: by its place and by its name")
    found = list(given)
    for one in parameters[len(given) :]:
        if not named:
            break
        if one.name in named:
            found.append(named.pop(one.name))
        elif one.kind is one.VAR_POSITIONAL:
            raise Refused(f"{wanted}: {', '.join(named)} cannot be passed after *{one.name} in compiled code")
        elif one.default is one.empty:
            raise Refused(f"{wanted} needs {one.name} too")
        else:
            found.append(one.default)
            subject.notes.append(f"the parameter {one.name} was passed its default, {one.default!r}, as an argument")
    return tuple(found)


def _called_with(
    subject: Subject, wanted: str, parameters: list[inspect.Parameter], arguments: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the arguments, completed for what Numba cannot call otherwise; of a generator, set what is called."""
    for one in parameters[len(arguments) :]:
        if one.kind is not one.KEYWORD_ONLY or subject.by_element:
            continue
        if one.default is one.empty:
            raise Refused(f"{wanted} needs {one.name} too, by its name: {one.name}=…, or a dict from --setup")
        # Numba passes by position, and ignores the defaults of parameters that Python passes by name only.
        arguments = (*arguments, one.default)
        subject.notes.append(f"the parameter {one.name} was passed its default, {one.default!r}, as an argument")
    if subject.kind == "generator":
        subject.call = iterating(subject.dispatcher, len(arguments))
    return arguments


def _declared(subject: Subject) -> str:
    signatures = getattr(subject.dispatcher, "nopython_signatures", ())
    return f"; it is declared for {signatures[0]}" if signatures else ""
