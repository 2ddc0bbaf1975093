"""The requested function, under any of Numba's decorators, and the arguments to call it with."""

import inspect
import reprlib
import types
from dataclasses import dataclass, field
from typing import Any

from jitnet.profile.functions.arguments import EXAMPLE, TARGET
from jitnet.profile.loading import load_module

__all__ = ["Refused", "Subject", "check_arguments", "find", "made_by_setup", "remember_ufuncs"]

ufuncs: dict[int, tuple[Any, Any, Any]] = {}
"""For each ufunc that Numba built ahead: the ufunc (kept alive, so that its id is unique), function and options."""


UNLIMITED = 1 << 30
"""The most arguments of a function with *args."""


class Refused(Exception):
    """The request cannot be met; the message is the line for the user. usage: whether the command line is at fault."""

    def __init__(self, message: str, usage: bool = True) -> None:
        super().__init__(message)
        self.usage = usage


@dataclass
class Subject:
    """What is profiled.

    call: what the user would call. function: the Python function under it. kind: "njit", "vectorize" or "guvectorize".
    dispatcher: Numba's, or None for a ufunc built ahead. options: of the decorator.
    """

    call: Any
    function: Any
    kind: str
    dispatcher: Any
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.function).parameters)


def remember_ufuncs() -> None:
    """From now on, store the function of each ufunc that Numba builds ahead of its first call.

    Such a ufunc, as target="parallel" makes, is a plain numpy.ufunc without a reference to its function.
    """
    from jitnet.compiler.numba_parts import GUFuncBuilder, UFuncBuilder

    for builder in (UFuncBuilder, GUFuncBuilder):
        builder.build_ufunc = _remembering(builder.build_ufunc)


def _remembering(build: Any) -> Any:
    def build_ufunc(builder: Any) -> Any:
        made = build(builder)
        ufuncs[id(made)] = made, builder.py_func, builder.nb_func
        return made

    return build_ufunc


def find(target: str) -> Subject:
    """Return the function of `package.module:function` or `path/file.py:function`; its name may be dotted."""
    found = _resolve(target, TARGET)
    subject = _subject(found)
    if subject is not None:
        return subject
    raise Refused(_not_compiled(target, found))


def made_by_setup(setup: str) -> Any:
    """Call the function of `--setup` and return its result: a tuple of arguments, or the only one."""
    function = _resolve(setup, "--setup")
    if not callable(function):
        raise Refused(
            f"--setup {setup}: is a {type(function).__name__}; expected a function that returns the arguments"
        )
    return function()


def _resolve(target: str, option: str) -> Any:
    where, _, name = target.rpartition(":")
    found = _load(where, option, target)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = vars(found) if hasattr(found, "__dict__") else {}
            names = sorted(each for each, value in known.items() if _subject(value))
            others = f"; compiled there: {', '.join(names[:8])}" if names and option == TARGET else ""
            raise Refused(f"{option} {target}: {where} has no {part!r}{others}") from None
    return found


def _load(where: str, option: str, target: str) -> Any:
    try:
        return load_module(where)
    except ModuleNotFoundError as error:
        if error.name and (where == error.name or where.startswith(f"{error.name}.")):
            raise Refused(
                f"{option} {target}: there is no module {error.name!r} that this Python can import; use the file's "
                "path, or start where `import` finds it"
            ) from None
        raise


def _subject(found: Any) -> Subject | None:
    import numpy as np

    from jitnet.compiler.numba_parts import Dispatcher, DUFunc, GUFunc, ufunc_dispatcher

    if isinstance(found, Dispatcher):
        return Subject(found, found.py_func, "njit", found, dict(found.targetoptions))
    if isinstance(found, DUFunc):
        inner = ufunc_dispatcher(found)
        return Subject(found, inner.py_func, "vectorize", inner, dict(inner.targetoptions))
    if isinstance(found, GUFunc):
        builder = found.gufunc_builder
        return Subject(found, builder.py_func, "guvectorize", builder.nb_func, dict(builder.nb_func.targetoptions))
    if isinstance(found, np.ufunc) and id(found) in ufuncs:
        _, function, inner = ufuncs[id(found)]
        kind = "guvectorize" if found.signature else "vectorize"
        return Subject(found, function, kind, None, dict(inner.targetoptions))
    return None


def compiled_in(function: Any) -> list[str]:
    """Return the names of the compiled functions that a Python function uses."""
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    module = getattr(function, "__globals__", {})
    return [name for name in names if name in module and _subject(module[name])]


def _not_compiled(target: str, found: Any) -> str:
    if isinstance(found, types.FunctionType):
        called = compiled_in(inspect.unwrap(found))
        module = target.rpartition(":")[0]
        if called:
            calls = " and ".join(f"{module}:{name}" for name in called[:3])
            return f"{TARGET} {target}: is plain Python, not compiled; it calls {calls}: profile one of these"
        place = f"{found.__code__.co_filename}:{found.__code__.co_firstlineno}"
        return f"{TARGET} {target}: is plain Python, not compiled ({place}); put @numba.njit above it"
    return (
        f"{TARGET} {target}: is of type {type(found).__name__}; expected a function under @njit, @jit, @vectorize or "
        "@guvectorize, with a njit function around it where it is a compiled class or its method"
    )


def check_arguments(subject: Subject, arguments: Any, setup: str = "") -> tuple[Any, ...]:
    """Return the arguments, or () for a function without any; Refused where they are too few or too many.

    arguments: a tuple, the only one, or None. setup: the function of `--setup` that returned them, where one did.
    """
    parameters = inspect.signature(subject.function).parameters.values()
    name = subject.function.__name__
    if subject.kind != "njit":
        fewest, limit = subject.call.nin, subject.call.nargs
    else:
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        plain = [one for one in parameters if one.kind in positional]
        fewest = sum(one.default is inspect.Parameter.empty for one in plain)
        limit = UNLIMITED if any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters) else len(plain)
    wanted = f"{name}({', '.join(map(str, parameters))})"
    if arguments is None and not setup:
        if fewest == 0:
            return ()
        raise Refused(
            f"{wanted} needs arguments: pass them with {EXAMPLE} or --setup module:function, a function that "
            f"returns them{_declared(subject)}"
        )
    is_one = not isinstance(arguments, tuple)
    if is_one:
        arguments = (arguments,)
    if not fewest <= len(arguments) <= limit:
        count = (
            str(fewest) if fewest == limit else f"{fewest} or more" if limit == UNLIMITED else f"{fewest} to {limit}"
        )
        takes = f"{wanted} takes {count} argument{'s' * (count != '1')}"
        if is_one and setup:
            (one,) = arguments
            found = " ".join(reprlib.repr(one).split())
            raise Refused(
                f"--setup {setup}: returned {found}, of type {type(one).__name__}; expected a tuple of arguments: "
                f"{takes}{_declared(subject)}"
            )
        raise Refused(f"{takes}, {len(arguments)} given{_declared(subject)}")
    return arguments


def _declared(subject: Subject) -> str:
    signatures = getattr(subject.dispatcher, "nopython_signatures", ())
    return f"; it is declared for {signatures[0]}" if signatures else ""
