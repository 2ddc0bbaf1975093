"""What the compiler made of a function and of all that it calls, for which types, and how long it took."""

import time
import warnings
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
from numba import types

from jitnet.compiler.numba_parts import Dispatcher, copy_dispatcher, cpu_target, folded_types, is_open, without_cache
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.diagnostics import Hints, JsonObject, line_of_def, place
from jitnet.profile.functions.worker.subject import Subject
from jitnet.profile.functions.worker.summary import Summary
from jitnet.profile.functions.worker.typed_code import failures
from jitnet.profile.functions.worker.values import readable_type
from jitnet.profile.users.sent_types import write_types

__all__ = ["Compiled"]

KINDS: Any = types  # its annotations lack some of its names


class Compiled:
    """One function, and the code that was made of it for these arguments.

    summaries: what was read of each function as it was compiled. events: start and end of each compilation. seconds:
    what compiling it took, None where it was compiled before.
    """

    def __init__(
        self, subject: Subject, arguments: tuple[Any, ...], summaries: list[Summary], events: list[Any]
    ) -> None:
        self.subject, self.arguments, self.summaries, self.events = subject, arguments, summaries, events
        self.loaded = len(events)
        self.seconds: float | None = None

    def compile(self) -> None:
        """Compile for these arguments, not from Numba's cache, and without a call where Numba supports it."""
        dispatcher = self.subject.dispatcher
        if _is_dispatcher(dispatcher):
            kinds = tuple(numba.typeof(argument) for argument in self.arguments)
            if is_open(dispatcher) and kinds not in dispatcher.overloads:
                # Its callees are loaded from the cache where they are in it, as when the user runs it.
                without_cache(dispatcher)
                dispatcher.compile(folded_types(dispatcher, kinds))
                if self.subject.kind == "generator":
                    self.subject.call.compile(kinds)
                self.seconds = _outermost(self.events[self.loaded :])

    def count(self) -> int:
        """Return for how many signatures it is compiled."""
        return len(getattr(self.subject.dispatcher, "overloads", ()))

    def read_cached(self, budget_s: float) -> int:
        """Compile copies of functions that came from Numba's cache, only to read their types.

        Returns how many were skipped for lack of time.
        """
        ends = time.perf_counter() + budget_s
        dispatcher = self.subject.dispatcher
        if _is_dispatcher(dispatcher) and not self.main_summaries():
            for signature in list(dispatcher.overloads)[:1] if self.used() is None else [self.used()]:
                _compile_copy(dispatcher, signature)
        missing = 0
        for called, signature in self._unread():
            if time.perf_counter() > ends:
                missing += 1
                continue
            _compile_copy(called, signature)
        return missing

    def _unread(self) -> Iterable[tuple[Any, Any]]:
        """Yield functions that are called and were not compiled here; reading one may add others."""
        known = {id(summary.function) for summary in self.summaries}
        at = 0
        while at < len(self.summaries):
            for called in self.summaries[at].calls:
                if id(called.dispatcher.py_func) not in known and called.signature is not None:
                    known.add(id(called.dispatcher.py_func))
                    yield called.dispatcher, called.signature
            at += 1

    def used(self) -> Any:
        """Return the types of the overload that these arguments run."""
        dispatcher = self.subject.dispatcher
        if not _is_dispatcher(dispatcher):
            return None
        kinds = folded_types(dispatcher, tuple(numba.typeof(argument) for argument in self.arguments))
        if kinds in dispatcher.overloads:
            return kinds
        # Declared types that these are converted to: Numba's own rules choose.
        cases = [made.signature for made in dispatcher.overloads.values()]
        found = cpu_target.typing_context.resolve_overload(dispatcher, cases, kinds, {}) if cases else None
        return tuple(found.args) if found else None

    def ran(self) -> Any:
        """Return the types of all parameters in the code that runs with these arguments, outputs of a guvectorize
        included; None where they are unknown."""
        if not self.subject.by_element:
            return self.used()
        given = [np.dtype(str(_element(numba.typeof(argument)))) for argument in self.arguments]
        made = [tuple(each.args) for each in getattr(self.subject.dispatcher, "overloads", ())]
        fitting = [each for each in made if _casts(given, each)]
        return next((each for each in fitting if _casts(given, each, "no")), fitting[0] if fitting else None)

    def main_summaries(self) -> list[Summary]:
        """Return the summaries of the function itself, for the types in use where they are known."""
        found = [each for each in self.summaries if each.function is self.subject.function]
        ran = self.ran()
        exact = [each for each in found if ran is not None and tuple(each.arguments) == tuple(ran)]
        return exact or found

    def reachable(self) -> list[tuple[Summary, bool]]:
        """Return the function's summaries and those of all that it calls; and whether each is called in a loop."""
        looped = self.subject.kind != "njit"  # called for each element, or going on after each value
        todo = [(summary, looped) for summary in self.main_summaries()]
        found: dict[int, tuple[Summary, bool]] = {}
        while todo:
            summary, inside = todo.pop()
            known = found.get(id(summary))
            if known is not None and (known[1] or not inside):
                continue
            found[id(summary)] = summary, inside
            for called in summary.calls:
                for each in self.summaries:
                    if each.function is called.dispatcher.py_func and each is not summary:
                        todo.append((each, inside or called.inside))
        return list(found.values())

    def signature(self) -> tuple[str, str]:
        """Return the types of its arguments in the code that ran, and of its result."""
        used = self.used()
        if used is not None:
            made = self.subject.dispatcher.overloads[used].signature
            return f"({', '.join(map(readable_type, made.args))})", readable_type(made.return_type)
        summaries = self.main_summaries()
        if not summaries:
            return "", ""
        made = getattr(self.subject.dispatcher, "overloads", ())
        returns = [each.return_type for each in made if tuple(each.args) == summaries[-1].arguments]
        return summaries[-1].signature, str(returns[0]) if returns else ""

    def pickled(self) -> str:
        """Return the types of its arguments in the code that ran, pickled, in base64; without trailing ones that were
        not passed, and with the outputs of a guvectorize. "" where they are unknown or cannot be pickled."""
        kinds = self.ran()
        while kinds and isinstance(kinds[-1], (KINDS.Omitted, KINDS.NoneType)):
            kinds = kinds[:-1]
        try:
            return write_types(kinds) if kinds is not None else ""
        except Exception:  # a type that cannot be sent to the line view, which then reports it
            return ""

    def plain(self) -> JsonObject | None:
        """Return "assembly" and "roots", the linker names of what is called, of the code that ran; None where that is
        unknown. The assembly is empty where the code came from Numba's cache."""
        used = self.used() if self.subject.kind == "njit" else None
        if used is None:
            return None
        made = self.subject.dispatcher.overloads[used]
        return {"assembly": made.library.get_asm_str(), "roots": [made.fndesc.mangled_name]}

    def object_mode(self, hints: Hints) -> None:
        """Add a hint where Numba compiled only calls into the interpreter."""
        overloads = getattr(self.subject.dispatcher, "overloads", {})
        for made in overloads.values() if isinstance(overloads, dict) else ():
            if getattr(made, "objectmode", False):
                lifted = list(getattr(made, "lifted", ()) or ())
                loops = f"; {len(lifted)} loop{'s' * (len(lifted) != 1)} in it could be compiled" if lifted else ""
                reason = f"it runs in object mode: every operation is a call into the interpreter{loops}"
                code = self.subject.function.__code__
                line = line_of_def(code.co_filename, code.co_firstlineno)
                hints.add(Kind.OBJECT_MODE, code.co_filename, line, reason, "types")

    def compiled_again(self, hints: Hints) -> None:
        """Add a hint for each of the user's functions that was compiled more than once."""
        users = {id(summary.function) for summary, _ in self.reachable()} | {id(self.subject.function)}
        now = _by_function(self.events[self.loaded :])
        for function, made in _by_function(self.events).items():
            if function not in now or not is_open(made[0][0]):
                continue  # compiled with its module, for its declared types
            kinds = list({_plain(arguments): arguments for _, arguments, _ in made})
            if len(kinds) < 2 or function not in users:
                continue
            dispatcher = made[0][0]
            file, line = dispatcher.py_func.__code__.co_filename, dispatcher.py_func.__code__.co_firstlineno
            calls = [called for summary, _ in self.reachable() for called in summary.calls]
            lines = sorted({called.line for called in calls if called.dispatcher is dispatcher})
            where = f", called in line{'s' * (len(lines) > 1)} {' and '.join(map(str, lines))}" if lines else ""
            more = sum(taken for _, _, taken in made[1:])
            how = _differences(dispatcher.py_func, kinds)
            reason = f"{dispatcher.py_func.__name__} was compiled {len(kinds)} times, {how}{where}: {more:.2f} s more"
            hints.add(Kind.COMPILED_AGAIN, file, line_of_def(file, line), reason, "types")

    def functions(self) -> list[JsonObject]:
        """Return the user's functions that were compiled, with the types and the time of each."""
        users = {id(summary.function) for summary, _ in self.reachable()} | {id(self.subject.function)}
        found = []
        for function, made in _by_function(self.events).items():
            if function in users:
                code = made[0][0].py_func.__code__
                found.append(
                    {
                        "name": made[0][0].py_func.__name__,
                        "place": place(code.co_filename, line_of_def(code.co_filename, code.co_firstlineno)),
                        "signatures": [f"({', '.join(map(readable_type, arguments))})" for _, arguments, _ in made],
                        "compile_s": sum(taken for _, _, taken in made),
                    }
                )
        return found


def _is_dispatcher(value: Any) -> bool:
    return isinstance(value, Dispatcher)


def _compile_copy(dispatcher: Any, signature: Any) -> None:
    """Compile a copy of a function, only to read its types; one that fails is skipped."""
    try:
        copy = copy_dispatcher(dispatcher)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copy.compile(tuple(signature))
    except Exception as error:
        failures.append(f"{dispatcher.py_func.__name__}: {type(error).__name__}")


def _plain(arguments: tuple[Any, ...]) -> tuple[str, ...]:
    """Return types as they matter to the user: without the literal types that Numba tries first, and with signed
    indices of parallel loops, which Numba makes unsigned."""
    return tuple(
        str(getattr(kind, "literal_type", kind)).replace("uint64", "int64").replace("StarArg", "") for kind in arguments
    )


def _differences(function: Any, kinds: list[tuple[str, ...]]) -> str:
    """Return in which arguments types differ: "value as int64 and float64"."""
    names = function.__code__.co_varnames
    if len({len(each) for each in kinds}) > 1:
        return "with more arguments and with fewer"
    differences = [
        f"{names[at] if at < len(names) else f'argument {at + 1}'} as {' and '.join(dict.fromkeys(column))}"
        for at, column in enumerate(zip(*kinds, strict=True))
        if len(set(column)) > 1
    ]
    return "with " + "; ".join(differences)


def _outermost(events: list[Any]) -> float:
    """Return the seconds of compiling, in events that may be nested."""
    depth, spent, begin = 0, 0.0, 0.0
    for at, each in events:
        if each.is_start:
            begin = at if depth == 0 else begin
            depth += 1
        else:
            depth -= 1
            spent += at - begin if depth == 0 else 0.0
    return spent


def _by_function(events: list[Any]) -> dict[int, list[tuple[Any, Any, float]]]:
    """Return for each compiled function, in that order: its dispatcher, the types, and its seconds without callees."""
    open_: list[list[Any]] = []
    found: dict[int, list[tuple[Any, Any, float]]] = {}
    for at, each in events:
        if each.is_start:
            open_.append([at, 0.0])
            continue
        begin, inside = open_.pop()
        taken = at - begin
        if open_:
            open_[-1][1] += taken
        dispatcher = each.data["dispatcher"]
        function = getattr(dispatcher, "py_func", None)
        if function is not None and type(dispatcher).__name__ == "CPUDispatcher":
            found.setdefault(id(function), []).append((dispatcher, tuple(each.data["args"]), taken - inside))
    return found


def _element(kind: Any) -> Any:
    return getattr(kind, "dtype", kind)


def _casts(given: list[Any], kinds: tuple[Any, ...], how: Any = "safe") -> bool:
    """Whether NumPy passes arguments of these types to a loop that was compiled for `kinds`."""
    pairs = zip(given, kinds, strict=False)
    return all(np.can_cast(one, np.dtype(str(_element(kind))), how) for one, kind in pairs)
