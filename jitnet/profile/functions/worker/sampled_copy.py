"""A copy of the profiled function, and of all that it calls, with a line table; the originals are left as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jitnet.compiler.numba_parts import Dispatcher, DUFunc, GUFunc, copy_dispatcher, emptied, ufunc_dispatcher
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.copies import ufunc_copy
from jitnet.profile.functions.worker.mentions import named_dispatchers
from jitnet.profile.functions.worker.subject import Subject
from jitnet.profile.functions.worker.symbols import Loaded, Symbols
from jitnet.profile.line_table import set_wrapped, with_lines
from jitnet.profile.users.built_ufuncs import built

__all__ = ["SampledCopy", "sampled_copy"]


@dataclass(frozen=True)
class SampledCopy:
    """call: what to call in place of the original. first_object: from which object file on `Symbols` has its code.
    names: the linker names of the original and of the copy, for each signature that both have."""

    call: Callable[..., Any]
    first_object: int
    names: tuple[tuple[str, str], ...]

    def same_code(self, loaded: list[Loaded]) -> bool:
        """Whether the copy has the machine code of the original, and so have the functions that are linked to it."""
        codes = [[_code_beside(name, loaded) for name in pair] for pair in self.names]
        return bool(codes) and all(before and before == after for before, after in codes)


def sampled_copy(subject: Subject, arguments: tuple[Any, ...], code: Compiled, symbols: Symbols) -> SampledCopy:
    """Compile the copy. What was stored of the originals as they were compiled stays as it is."""
    first, summaries, events = symbols.count, len(code.summaries), len(code.events)
    callees = _callees(subject, code)
    used, before = code.used(), dict(_overloads(subject.call))
    set_wrapped(subject.function)
    try:
        with with_lines(), emptied(callees):
            if subject.kind == "generator":
                # The loop that takes its values is compiled again, through which the generator is.
                call = copy_dispatcher(subject.call)
                call(*arguments)
            elif subject.kind == "njit":
                # Not compiled through the copy: a recursive function names the original.
                if used not in subject.dispatcher.overloads:  # with declared types it compiles nothing more
                    subject.dispatcher.compile(used)
                call = copy_dispatcher(subject.dispatcher)
                call.add_overload(subject.dispatcher.overloads[used])
                call.disable_compile()
            else:
                call = ufunc_copy(subject)
                call(*[each.copy() if hasattr(each, "copy") else each for each in arguments])
    finally:
        del code.summaries[summaries:]
        del code.events[events:]
    after = _overloads(call)
    both = [(before[kinds], made) for kinds, made in after.items() if kinds in before]
    names = ((old.fndesc.mangled_name, new.fndesc.mangled_name) for old, new in both)
    return SampledCopy(call, first, tuple(names))


def _overloads(call: Any) -> dict[Any, Any]:
    """Return what was compiled for each signature of a function or ufunc."""
    if isinstance(call, Dispatcher):
        return dict(call.overloads)
    if isinstance(call, DUFunc):
        return dict(ufunc_dispatcher(call).overloads)
    if isinstance(call, GUFunc):
        return dict(call.gufunc_builder.nb_func.overloads)
    return dict(known.dispatcher.overloads) if (known := built(call)) is not None else {}


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
        for each in [*called.get(id(function), []), *named_dispatchers(function)]:
            visit(each.py_func, each)
        if isinstance(dispatcher, Dispatcher):
            found[id(dispatcher)] = dispatcher

    visit(subject.function, subject.dispatcher)
    return list(found.values())


def _code_beside(name: str, loaded: list[Loaded]) -> list[bytes]:
    """Return the code of all functions in the object file of one, without the wrappers for callers in Python and C."""
    for each in loaded:
        functions = each.elf.functions
        if name and any(function.name == name for function in functions):
            kept = (one for one in functions if not one.name.startswith(("_ZN7cpython", "cfunc.")))
            return sorted(each.elf.code_of(one) for one in kept)
    return []
