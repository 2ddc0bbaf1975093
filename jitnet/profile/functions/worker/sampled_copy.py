"""A copy of the profiled function, and of all that it calls, with a line table; the originals are left as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numba

from jitnet.compiler.numba_parts import Dispatcher, copy_dispatcher, emptied
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.subject import Subject, ufuncs
from jitnet.profile.functions.worker.symbols import Loaded, Symbols
from jitnet.profile.line_table import set_wrapped, with_lines

__all__ = ["SampledCopy", "sampled_copy"]


@dataclass(frozen=True)
class SampledCopy:
    """call: what to call in place of the original. first_object: from which object file on `Symbols` has its code.
    main: the linker names of the original and of the copy, "" where there is none."""

    call: Callable[..., Any]
    first_object: int
    main: tuple[str, str]

    def same_code(self, loaded: list[Loaded]) -> bool:
        """Whether the copy has the machine code of the original, and so have the functions that are linked to it."""
        codes = [_code_beside(name, loaded) for name in self.main]
        return bool(codes[0]) and codes[0] == codes[1]


def sampled_copy(subject: Subject, arguments: tuple[Any, ...], code: Compiled, symbols: Symbols) -> SampledCopy:
    """Compile the copy. What was stored of the originals as they were compiled stays as it is."""
    first, summaries, events = symbols.count, len(code.summaries), len(code.events)
    callees = [each for each in _callees(subject, code) if each is not subject.dispatcher or subject.kind == "njit"]
    used, timed = code.used(), code.timed
    set_wrapped(subject.function)
    try:
        with with_lines(), emptied(callees):
            if subject.kind == "njit":
                call = copy_dispatcher(subject.dispatcher)
                call.compile(used)
                call.disable_compile()
            else:
                call = _ufunc(subject)
                call(*[each.copy() if hasattr(each, "copy") else each for each in arguments])
    finally:
        del code.summaries[summaries:]
        del code.events[events:]
    made = list(getattr(call, "overloads", {}).values())
    main = (timed.fndesc.mangled_name, made[0].fndesc.mangled_name) if timed is not None and made else ("", "")
    return SampledCopy(call, first, main)


def _ufunc(subject: Subject) -> Any:
    """Return a copy of what vectorize or guvectorize made."""
    call, builder = subject.call, getattr(subject.call, "gufunc_builder", None)
    options = {name: value for name, value in subject.options.items() if name not in ("nopython", "boundscheck")}
    declared: list[Any] = []
    if subject.dispatcher is None:
        options["target"] = "parallel"
        declared = [made.signature for made in ufuncs[id(call)][2].overloads.values()]
    elif getattr(call, "_frozen", False):
        declared = [made.signature for made in subject.dispatcher.overloads.values()]
    if subject.kind == "vectorize":
        return numba.vectorize(declared, identity=call.identity, **options)(subject.function)
    layout = call.signature if builder is None else builder.signature
    writable = () if builder is None else builder.writable_args
    named = {"writable_args": writable} if writable else {}
    return numba.guvectorize(*([declared] if declared else []), layout, **named, **options)(subject.function)


def _callees(subject: Subject, code: Compiled) -> list[Any]:
    """Return the dispatchers that the function can reach, callees before callers, itself last."""
    found: dict[int, Any] = {}
    called: dict[int, list[Any]] = {}
    for summary in code.summaries:
        called.setdefault(id(summary.function), []).extend(each.dispatcher for each in summary.calls)
    entered: set[int] = set()

    def visit(function: Any, dispatcher: Any) -> None:
        if id(function) in entered:
            return
        entered.add(id(function))
        for each in [*called.get(id(function), []), *_named(function)]:
            visit(each.py_func, each)
        if isinstance(dispatcher, Dispatcher):
            found[id(dispatcher)] = dispatcher

    visit(subject.function, subject.dispatcher)
    return list(found.values())


def _named(function: Any) -> Iterator[Any]:
    """Yield the dispatchers that a Python function names: as globals, as a module's attributes, or in its closure."""
    names = function.__code__.co_names
    cells = [_content(cell) for cell in function.__closure__ or ()]
    for value in [*(function.__globals__.get(name) for name in names), *cells]:
        if isinstance(value, Dispatcher):
            yield value
        elif isinstance(value, ModuleType):
            inside = (getattr(value, name, None) for name in names)
            yield from (each for each in inside if isinstance(each, Dispatcher))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _code_beside(name: str, loaded: list[Loaded]) -> list[bytes]:
    """Return the code of all functions in the object file of one, without the wrappers for callers in Python and C."""
    for each in loaded:
        functions = each.elf.functions
        if name and any(function.name == name for function in functions):
            kept = (one for one in functions if not one.name.startswith(("_ZN7cpython", "cfunc.")))
            return sorted(each.elf.code_of(one) for one in kept)
    return []
