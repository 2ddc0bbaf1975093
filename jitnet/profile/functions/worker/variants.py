"""A second version of a function: from another copy of its package, or with other options of its decorator."""

import sys
import types
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numba

from jitnet.compiler.numba_parts import is_open, ufunc_dispatcher
from jitnet.profile.functions.worker.subject import Refused, Subject, find

__all__ = ["find_apart", "signatures_of", "with_options"]


def signatures_of(dispatcher: Any) -> list[Any]:
    """Return the signatures that a function is compiled for; of a ufunc, those of one element."""
    made = getattr(dispatcher, "nopython_signatures", None)
    return list(dispatcher.overloads) if made is None else list(made)


def find_apart(target: str, before: set[str]) -> Subject:
    """Return a second function, where another version of its module, or of what it imports, may be loaded already.

    before: names of the modules that were loaded before the first function's. Those that came since are hidden where
    the second's folder has another file of the same name: two checkouts of a package can be compared.
    """
    where = target.rpartition(":")[0]
    if not (where.endswith(".py") or "/" in where):
        return find(target)
    folder = Path(where).resolve().parent
    while (folder / "__init__.py").exists():
        folder = folder.parent
    hidden = {}
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if not Path(file).is_relative_to(folder) and PathFinder.find_spec(name.partition(".")[0], [str(folder)]):
            hidden[name] = sys.modules.pop(name)
    try:
        return find(target)
    finally:
        for name, module in hidden.items():  # what the first imports later, while it runs
            sys.modules.setdefault(name, module)


def with_options(subject: Subject, options: dict[str, Any], target: str) -> Subject:
    """Return a copy of the function, compiled with these options of its decorator in place of those it has."""
    merged = {name: value for name, value in {**subject.options, **options}.items() if value is not None}
    if all(subject.options.get(name) == value for name, value in options.items()):
        has = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise Refused(f"--options: {target} has {has} already; write what to change")
    if subject.kind != "njit":
        return _ufunc_with(subject, options, merged, target)
    python = subject.function
    own = python.__globals__.get(python.__name__) is subject.dispatcher
    names = dict(python.__globals__) if own else python.__globals__
    copy = types.FunctionType(python.__code__, names, python.__name__, python.__defaults__, python.__closure__)
    copy.__kwdefaults__, copy.__qualname__, copy.__module__ = (
        python.__kwdefaults__,
        python.__qualname__,
        python.__module__,
    )
    made = numba.jit(locals=dict(subject.dispatcher.locals), **merged)(copy)
    if own:
        names[python.__name__] = made  # where it calls itself, with the new options
    if not is_open(subject.dispatcher):
        for declared in signatures_of(subject.dispatcher):
            made.compile(declared.args)
        made.disable_compile()
    return replace(subject, call=made, function=copy, dispatcher=made, options=merged)


def _ufunc_with(subject: Subject, options: dict[str, Any], merged: dict[str, Any], target: str) -> Subject:
    if "parallel" in options or subject.dispatcher is None:
        what = "parallel is an option of njit" if "parallel" in options else "it is compiled for another target"
        raise Refused(f"--options: {target} is under @{subject.kind}, and {what}; expected fastmath or error_model")
    chosen = {name: value for name, value in merged.items() if name in ("fastmath", "error_model", "boundscheck")}
    declared = signatures_of(subject.dispatcher)
    if subject.kind == "vectorize":
        decorate = numba.vectorize(declared, **chosen) if declared else numba.vectorize(**chosen)
        made = decorate(subject.function)
        return replace(subject, call=made, dispatcher=ufunc_dispatcher(made), options=merged)
    builder = subject.call.gufunc_builder
    layout = builder.signature
    decorate = numba.guvectorize(declared, layout, **chosen) if declared else numba.guvectorize(layout, **chosen)
    made = decorate(subject.function)
    return replace(subject, call=made, dispatcher=made.gufunc_builder.nb_func, options=merged)
