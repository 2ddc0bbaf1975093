"""The compiled functions of a module: what each was compiled for, and its types for the line view."""

import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numba

from jitnet.profile.functions.arguments import make_arguments, read_words
from jitnet.profile.functions.worker.diagnostics import JsonObject, line_of_def, place
from jitnet.profile.functions.worker.observers import Observers
from jitnet.profile.functions.worker.subject import Refused, Subject, load, subject_of
from jitnet.profile.functions.worker.values import options_text
from jitnet.profile.users.callbacks import callback
from jitnet.profile.users.compiled_classes import class_type
from jitnet.profile.users.sent_types import write_types

__all__ = ["table"]

LONGEST = 60
"""Characters of a type that is shown whole."""

DEEPEST = 3
"""How deep classes inside classes are searched."""


def table(request: JsonObject, observers: Observers, report: Callable[[str], None]) -> JsonObject:
    """Load a module and describe each compiled function that is defined in it, or in a module of its package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report("loading the module")
        if numba.config.DISABLE_JIT:
            raise Refused("NUMBA_DISABLE_JIT is set: nothing is compiled; unset it")
        where = request["target"]
        module = load(where, "MODULE", where)
        kinds = _kinds(request["args"])
        found, imported = [], dict[str, int]()
        seen = set()
        for member in _members(vars(module)):
            subject, for_c = subject_of(member.value), callback(member.value)
            function = subject.function if subject is not None else for_c.function if for_c is not None else None
            if function is None or id(member.value) in seen:
                continue
            seen.add(id(member.value))
            home = str(function.__module__)
            if home == module.__name__ or home.startswith(f"{module.__name__}."):
                found.append(_described(member, function, subject, kinds))
            else:
                imported[home] = imported.get(home, 0) + 1
    found.sort(key=lambda each: (each["place"]["file"], each["place"]["line"]))
    return {"functions": found, "imported": imported, "file": os.path.abspath(str(module.__file__ or where))}


def _kinds(args: str | None) -> tuple[Any, ...] | None:
    """Return the types of `--args`, None without it."""
    return None if args is None else tuple(numba.typeof(each) for each in make_arguments(read_words(args)))


class _Member(NamedTuple):
    """What may be compiled: its dotted name; the kind that it has by its place, "" for any other; before its arguments,
    the types that every call of it has, which is the instance of a method."""

    name: str
    value: Any
    kind: str = ""
    first: tuple[Any, ...] = ()


def _members(names: Any, prefix: str = "", depth: int = 0) -> Iterator[_Member]:
    """Yield what may be compiled, of a module or a class."""
    for name, value in list(names.items()):
        value = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        methods = _methods(value)
        if methods:
            for method, dispatcher, first in methods:
                yield _Member(f"{prefix}{name}.{method}", dispatcher, "jitclass method", first)
        elif (
            isinstance(value, type)
            and depth < DEEPEST
            and value.__module__ == names.get("__module__", names.get("__name__"))
        ):
            yield from _members(vars(value), f"{prefix}{name}.", depth + 1)
        else:
            yield _Member(f"{prefix}{name}", value, "cfunc" if callback(value) is not None else "")


def _methods(value: Any) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """Return the compiled methods and properties of a jitclass: name, function, and the type of the instance; none of
    other objects."""
    kind = class_type(value)
    if kind is None:
        return []
    of_instance: tuple[Any, ...] = (kind.instance_type,)
    found = [(name, dispatcher, of_instance) for name, dispatcher in kind.jit_methods.items()]
    found += [(name, dispatcher, ()) for name, dispatcher in kind.jit_static_methods.items()]
    for name, accessors in kind.jit_props.items():
        found += [(name, dispatcher, of_instance) for how, dispatcher in accessors.items() if how == "get"]
    return found


def _described(member: _Member, function: Any, subject: Subject | None, kinds: tuple[Any, ...] | None) -> JsonObject:
    code = function.__code__
    def_line = line_of_def(code.co_filename, code.co_firstlineno)
    parameters = list(inspect.signature(function).parameters.values())
    for_c = callback(member.value)
    types_, texts = _compiled_for(member.value, subject)
    asked = False
    if not texts and kinds is not None and subject is not None:
        kinds = (*member.first, *kinds)
        if _takes(subject, parameters, len(kinds)):
            types_, texts, asked = [kinds], [_text(kinds)], True
    return {
        "name": member.name,
        "kind": member.kind or (subject.kind if subject is not None else "njit"),
        "options": options_text(subject.options if subject is not None else for_c.options if for_c is not None else {}),
        "place": place(code.co_filename, code.co_firstlineno if code.co_name == "<lambda>" else def_line),
        "parameters": [str(parameter) for parameter in parameters],
        "signatures": texts,
        "asked": asked,
        "pickled": [_pickled(each) for each in types_],
    }


def _takes(subject: Subject, parameters: Sequence[inspect.Parameter], count: int) -> bool:
    """Whether a function that is not compiled yet can be called with so many arguments."""
    if subject.kind == "guvectorize":
        return count == len(parameters)
    needed = [each for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    return len(needed) <= count <= len(parameters)


def _compiled_for(value: Any, subject: Subject | None) -> tuple[list[tuple[Any, ...]], list[str]]:
    """Return the types that it was compiled for, each as Numba's types and as text; without types, texts alone."""
    for_c = callback(value)
    if for_c is not None:
        return [for_c.arguments], [_text(for_c.arguments)]
    if subject is None:
        return [], []
    if subject.dispatcher is None:  # a ufunc for another target: NumPy's codes of its types
        return [], [str(text) for text in getattr(value, "types", ())]
    declared = [tuple(each.args) for each in _signatures(subject.dispatcher)]
    return declared, [_text(each) for each in declared]


def _signatures(dispatcher: Any) -> list[Any]:
    """Return the signatures that a function is compiled for; of a ufunc, those of one element."""
    made = getattr(dispatcher, "nopython_signatures", None)
    return list(dispatcher.overloads) if made is None else list(made)


def _text(kinds: Sequence[Any]) -> str:
    return f"({', '.join(_type_text(kind) for kind in kinds)})"


def _type_text(kind: Any) -> str:
    """Return a type as in a signature: float32[:, ::1]."""
    if isinstance(kind, numba.types.Array):
        axes = [":"] * kind.ndim
        if kind.layout in "CF" and axes:
            axes[-1 if kind.layout == "C" else 0] = "::1"
        return f"{kind.dtype}[{', '.join(axes)}]"
    text = str(kind)
    instance = re.match(r"instance\.jitclass\.(\w+)", text)
    if instance:
        return instance[1]
    return text if len(text) < LONGEST else re.split(r"[(\[<]", text)[0]


def _pickled(kinds: tuple[Any, ...]) -> str:
    """Return the types as the line view takes them, "" where they cannot be sent to another process."""
    while kinds and isinstance(kinds[-1], (numba.types.Omitted,)):
        kinds = kinds[:-1]
    try:
        return write_types(kinds)
    except Exception:  # a class inside a function for one
        return ""
