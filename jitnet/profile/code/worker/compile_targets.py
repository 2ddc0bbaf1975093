"""The requested functions, found and compiled."""

import importlib
import importlib.util
import inspect
import os
import re
import sys
from pathlib import Path
from typing import Any

from jitnet.profile.code.worker.strides import lines_for_stride_one
from jitnet.profile.line_table import set_wrapped
from jitnet.profile.loading import load_module
from jitnet.profile.users.built_ufuncs import built
from jitnet.profile.users.callbacks import callback
from jitnet.profile.users.compiled_classes import compiled_method
from jitnet.profile.users.generators import iterating
from jitnet.profile.users.sent_types import read_types

__all__ = ["Wrong", "load", "look_at"]


class Wrong(Exception):
    """The request names something that does not exist."""


def discard_all_code(function: Any, seen: set[int] | None = None) -> None:
    """Discard the code of a function and of all that it calls: code from a cache has no line table."""
    from jitnet.compiler.numba_parts import Dispatcher, discard_code

    seen = set() if seen is None else seen
    python = getattr(function, "py_func", function)
    if id(python) in seen or not hasattr(python, "__code__"):
        return
    seen.add(id(python))
    cells = [cell.cell_contents for cell in python.__closure__ or () if cell_has_content(cell)]
    for called in [*(python.__globals__.get(name) for name in python.__code__.co_names), *cells]:
        if isinstance(called, Dispatcher):
            discard_all_code(called, seen)
    if isinstance(function, Dispatcher):
        discard_code(function)


def cell_has_content(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def look_at(target: dict[str, Any]) -> dict[str, Any]:
    """Compile one function and return the reply for it."""
    return look_at_function(target) if target["module"] else look_at_kernel(target)


def look_at_kernel(target: dict[str, Any]) -> dict[str, Any]:
    module, _, name = f"jitnet.{target['name']}".rpartition(".")
    from jitnet.compiler import decorators

    function = getattr(importlib.import_module(module), name)
    if decorators.is_linked(function):
        decorators.load(function)
        signature = function.linked_signature
    else:
        for callee in decorators.linked_callees(function):
            decorators.load(callee)
        signature = function.declared_types
        function.compile(signature)
    result = function.overloads[tuple(getattr(signature, "args", signature))]
    kind = "parallel" if function.targetoptions.get("parallel") else "njit"
    return made(function.py_func, module, result, kind, [result.fndesc.mangled_name], [result.library])


def look_at_function(target: dict[str, Any]) -> dict[str, Any]:
    function: Any = find(target)
    import numba

    from jitnet.compiler.numba_parts import Dispatcher, DUFunc, GUFunc, ufunc_dispatcher

    known = built(function)
    if known is not None:
        if function.signature:
            return look_at_gufunc(known.builder, target)
        return look_at_ufunc(known.function, known.dispatcher.targetoptions, function.nin, target)
    if isinstance(function, DUFunc):
        return look_at_ufunc(ufunc_dispatcher(function).py_func, function.targetoptions, function.nin, target)
    if isinstance(function, GUFunc):
        return look_at_gufunc(function.gufunc_builder, target)
    for_c = callback(function)
    if for_c is not None:
        python = for_c.function
        new, options = numba.njit(**for_c.options)(python), for_c.options
    elif isinstance(function, Dispatcher):
        new, options, python = function, function.targetoptions, function.py_func
        discard_all_code(function)
    elif callable(function) and hasattr(function, "__code__"):
        python = function
        new = numba.njit(parallel=target["kind"] == "parallel")(function)
        options = new.targetoptions
    else:
        raise Wrong(
            f"{target['module']}:{target['name']} is {type(function).__name__}; expected a Python function, or one "
            "compiled by numba.njit, vectorize or guvectorize for the target cpu"
        )
    given = with_defaults(python, argument_types(target))
    new.compile(given)
    result = new.overloads[given] if given in new.overloads else next(iter(new.overloads.values()))
    if inspect.isgeneratorfunction(python):
        # Its body runs where its values are taken.
        taking = iterating(new, len(given))
        taking.compile(given)
        (result,) = taking.overloads.values()
    kind = "cfunc" if for_c is not None else "parallel" if options.get("parallel") else "njit"
    return made(python, target["module"], result, kind, [result.fndesc.mangled_name], [result.library])


def load(target: dict[str, Any]) -> Any:
    """Import the module of a request and return it."""
    module_name = target["module"]
    sys.path[:0] = [*target["path"], os.getcwd()]
    try:
        if module_name.endswith(".py") and not Path(module_name).is_file():
            raise Wrong(f"{module_name}: no such file")
        return load_module(module_name)
    except ModuleNotFoundError as error:
        raise Wrong(f"{module_name}: cannot be imported ({error})") from None


def find(target: dict[str, Any]) -> Any:
    """Import the module of a request and return the object that it names."""
    module_name, path = target["module"], target["name"]
    found = load(target)
    for part in path.split("."):
        method = compiled_method(found, part)
        if method is None and not hasattr(found, part):
            raise Wrong(f"{module_name} has no {path}")
        found = getattr(found, part) if method is None else method
    return found


def argument_types(target: dict[str, Any]) -> tuple[Any, ...]:
    """Return Numba's types of the arguments."""
    if target["pickled"]:
        return read_types(target["pickled"])
    import numba
    import numpy as np
    from numba import types

    names = {
        **vars(np),
        **vars(numba),
        **vars(types),
        "bool": types.boolean,
        "int": types.int64,
        "float": types.float64,
    }
    found = []
    for text in target["arguments"]:
        try:
            kind = eval(text, names)
            assert isinstance(kind, types.Type)
        except Exception:
            raise Wrong(f"{text!r} is not a type of Numba's; expected one such as float32[:, ::1] or int64") from None
        found.append(kind)
    return tuple(found)


def with_defaults(python: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the types, completed with those of arguments that have their defaults."""
    from numba import types

    parameters = list(inspect.signature(python).parameters.values())
    left = parameters[len(given) :]
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return given
    needed = [one.name for one in left if one.default is one.empty]
    if needed or len(given) > len(parameters):
        wanted = ", ".join(one.name for one in parameters)
        raise Wrong(f"{python.__name__} takes ({wanted}); {len(given)} types were given")
    return (*given, *(types.Omitted(one.default) for one in left))


def elements(given: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(getattr(one, "dtype", one) for one in given)


def look_at_ufunc(python: Any, options: Any, inputs: int, target: dict[str, Any]) -> dict[str, Any]:
    from jitnet.compiler.numba_parts import UFuncBuilder, build_ufunc_wrapper

    builder = UFuncBuilder(python, targetoptions=dict(options))
    given = elements(argument_types(target))[:inputs]
    result = builder.add(given)
    context = result.target_context
    set_wrapped(python)
    info = build_ufunc_wrapper(
        result.library, context, result.fndesc.llvm_func_name, result.signature, result.objectmode, result
    )
    info.library.finalize()
    return made(python, target["module"], result, "vectorize", [info.name], [info.library])


def look_at_gufunc(original: Any, target: dict[str, Any]) -> dict[str, Any]:
    from numba import types

    from jitnet.compiler.numba_parts import GUFuncBuilder, build_gufunc_wrapper

    builder = GUFuncBuilder(original.py_func, original.signature, targetoptions=dict(original.targetoptions))
    # The core's arrays have the dimensions of the layout, an output at least one; strides are known only at run time.
    dims = [len(term) for term in original.sin] + [max(1, len(term)) for term in original.sout]
    given = elements(argument_types(target))
    if len(given) != len(dims):
        raise Wrong(f"{target['name']} takes {len(dims)} arguments, outputs among them; {len(given)} types were given")
    shaped = tuple(types.Array(kind, count, "A") if count else kind for kind, count in zip(given, dims, strict=True))
    result = builder.add(shaped)
    set_wrapped(original.py_func)
    info = build_gufunc_wrapper(original.py_func, result, builder.sin, builder.sout, cache=False, is_parfors=False)
    info.library.finalize()
    return made(original.py_func, target["module"], result, "guvectorize", [info.name], [info.library])


def made(python: Any, module: str, result: Any, kind: str, roots: list[str], libraries: list[Any]) -> dict[str, Any]:
    from jitnet.compiler.numba_parts import finish

    code = python.__code__
    for library in libraries:
        finish(library)  # before that it is not fully optimised
    return {
        "function": python.__qualname__.replace("<locals>.", ""),
        "module": module,
        "file": os.path.abspath(code.co_filename),
        "line": code.co_firstlineno,
        "signature": f"({', '.join(type_text(kind) for kind in result.signature.args)})"
        + (f" -> {type_text(result.signature.return_type)}" if str(result.signature.return_type) != "none" else ""),
        "kind": kind,
        "roots": roots,
        "object_mode": bool(result.objectmode),
        "one_step": sorted(place for library in libraries for place in lines_for_stride_one(library.get_llvm_str())),
        "assembly": "\n".join(library.get_asm_str() for library in libraries),
    }


def type_text(kind: Any) -> str:
    """Return a type as in a signature: float32[:, ::1]."""
    from numba import types

    if isinstance(kind, types.Array):
        axes = [":"] * kind.ndim
        if kind.layout == "C" and axes:
            axes[-1] = "::1"
        elif kind.layout == "F" and axes:
            axes[0] = "::1"
        return f"{type_text(kind.dtype)}[{', '.join(axes)}]" if len(str(kind.dtype)) < 40 else "records"
    if isinstance(kind, types.Omitted):
        return f"{kind.value!r}"
    if isinstance(kind, types.ClassInstanceType):
        return f"instance of {kind.classname}"
    text = str(kind)
    return text if len(text) < 60 else re.split(r"[(\[]", text)[0].lower()
