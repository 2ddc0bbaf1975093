"""What can be changed without the user, for each kind of hint: options of a decorator, arguments, or the source."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numba
import numpy as np
from numba import types

from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.worker.calls import arrays_in
from jitnet.profile.functions.worker.compiled import Compiled
from jitnet.profile.functions.worker.containers import typed_name
from jitnet.profile.functions.worker.copies import Change
from jitnet.profile.functions.worker.diagnostics import JsonObject
from jitnet.profile.functions.worker.rewrites import Rewrite, build
from jitnet.profile.functions.worker.summary import Summary

__all__ = ["REASSOCIATION", "Remedy", "changes_of", "option_text", "owner_of", "remedies", "rewritten", "why_not"]

KINDS: Any = types  # its annotations lack some of its names

REASSOCIATION = frozenset({"reassoc", "contract", "nsz"})
"""Flags of fastmath that let a sum be vectorised, and still know NaN and infinity."""

BY_HAND = {
    Kind.RACE: "its results are wrong, and only you know what they should be",
    Kind.OBJECT_MODE: "what needs Python has to be rewritten by hand",
    Kind.COMPILED_AGAIN: "it costs compiling, and not the time of a call",
    Kind.REFERENCES: "which array is used where has to be changed by hand",
    Kind.CALL: "what is called cannot be written into the loop by an option",
}
"""Kinds without a remedy that can be made here, each with the reason."""


@dataclass(frozen=True)
class Remedy:
    """A change that can be tried.

    change: in a few words. owner: the Python function that changes. options: of its decorator, by name. rewrite: of its
    source. declared: as in `Change`. arguments: makes the arguments of the copy of those of the original. around: makes
    what the calls are made in. exact: whether results must be equal. advice: what to do, "" for the hint's advice.
    remark: what to do outside the function's source, where that is the change.
    """

    change: str
    owner: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    rewrite: Rewrite | None = None
    declared: tuple[Any, ...] | None = None
    arguments: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
    around: Callable[[], AbstractContextManager[Any]] | None = None
    exact: bool = False
    advice: str = ""
    remark: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for remedies that change the same."""
        source = self.rewrite.source if self.rewrite else ""
        return self.owner, source, tuple(option_text(*each) for each in sorted(self.options.items())), self.remark

    @property
    def size(self) -> int:
        """How much it changes: the options and flags, and the source as one."""
        flags = (len(value) if isinstance(value, (set, frozenset)) else 1 for value in self.options.values())
        return sum(flags) + (self.rewrite is not None)

    @property
    def compiles(self) -> bool:
        """Whether a copy has to be compiled for it."""
        return bool(self.options or self.rewrite or self.declared or self.arguments)


def option_text(name: str, value: Any) -> str:
    """Return an option as it is written in a decorator; sets in a fixed order."""
    if isinstance(value, (set, frozenset)):
        return f"{name}={{{', '.join(json.dumps(each) for each in sorted(value))}}}"
    return f'{name}="{value}"' if isinstance(value, str) else f"{name}={value!r}"


def owner_of(hint: JsonObject, summaries: Sequence[Summary]) -> Summary | None:
    """Return the summary of the function in whose lines a hint is; the innermost one, None where there is none."""
    file, line = hint["place"]["file"], hint["place"]["line"]
    around = [each for each in summaries if each.file == file and each.line <= line <= _last_line(each.function)]
    return max(around, key=lambda each: each.line, default=None)


def _last_line(function: Any) -> int:
    def last(code: Any) -> int:
        lines = [line for _, _, line in code.co_lines() if line is not None]
        return max([*lines, *(last(part) for part in code.co_consts if hasattr(part, "co_lines"))], default=0)

    return last(function.__code__)


def remedies(
    hint: JsonObject,
    code: Compiled,
    reachable: Sequence[Summary],
    rewrites: Sequence[tuple[Any, Rewrite]],
    flushing: Callable[[], AbstractContextManager[Any]] | None,
) -> list[Remedy]:
    """Return what can be tried for a hint, what tends to help most first; [] where nothing can.

    reachable: the function's summary and those of what it calls. rewrites: of all of them, each with its function.
    flushing: makes what flushes denormal numbers to zero, None where the processor cannot.
    """
    kind, line = Kind(hint["kind"]), hint["place"]["line"]
    owner = owner_of(hint, reachable)
    if owner is None:
        return []
    function = owner.function
    found = [
        rewritten(function, each)
        for other, each in rewrites
        if other is function and (each.kind, each.line) == (kind, line)
    ]
    if kind in (Kind.REDUCTION, Kind.ACCUMULATOR):
        found.append(_fastmath(owner, REASSOCIATION, RULES[Kind.REDUCTION].advice))
        advice = 'fastmath={"reassoc"} lets the sum be vectorised; its last digits change.'
        found.append(_fastmath(owner, frozenset({"reassoc"}), advice))
    elif kind is Kind.DIVISION:
        found += _division(owner, line)
    elif kind is Kind.LAYOUT:
        found += _contiguous(code, function)
    elif kind is Kind.REFERENCES:
        found += _stacked(code, function)
    elif kind is Kind.SHORT_REGION and owner.parallel:
        found.append(
            Remedy(
                "parallel=False",
                function,
                {"parallel": False},
                advice="Leave out parallel=True: it runs on one thread then.",
            )
        )
    elif kind is Kind.UNEVEN:
        found += _chunks(code, function)
    elif kind is Kind.CALL:
        found += _inlined(owner, line)
    elif kind is Kind.DENORMALS and flushing is not None:
        found.append(
            Remedy("denormal numbers flushed to zero", function, around=flushing, remark="set denormal numbers to zero")
        )
    return found


def why_not(hint: JsonObject) -> str:
    """Return why nothing can be tried for a hint."""
    return BY_HAND.get(Kind(hint["kind"]), "it has to be changed by hand")


def rewritten(function: Any, rewrite: Rewrite) -> Remedy:
    """Return the remedy that is a change of the source."""
    options: dict[str, Any] = {"fastmath": set(REASSOCIATION)} if rewrite.fastmath else {}
    return Remedy(
        rewrite.change,
        function,
        options,
        rewrite,
        arguments=rewrite.arguments,
        exact=rewrite.exact,
        advice=rewrite.advice,
        remark="pass the arguments that the changed function takes" if rewrite.arguments else "",
    )


def changes_of(found: Sequence[Remedy]) -> dict[Any, Change]:
    """Return the changes of each function that these remedies make together; each has at most one rewrite."""
    changes: dict[Any, Change] = {}
    for each in found:
        known = changes.get(each.owner, Change())
        options = dict(known.options)
        for name, value in each.options.items():
            both = (
                name in options and isinstance(value, (set, frozenset)) and isinstance(options[name], (set, frozenset))
            )
            options[name] = set(options[name]) | set(value) if both else value
        function = partial(_built, each.rewrite) if each.rewrite is not None else known.function
        if options or function or each.declared is not None:
            declared = each.declared if each.declared is not None else known.declared
            changes[each.owner] = Change(options, function, declared)
    return changes


def _built(rewrite: Rewrite, function: Any) -> Any:
    return build(function, rewrite)


def _fastmath(owner: Summary, flags: frozenset[str], advice: str) -> Remedy:
    options = {"fastmath": set(owner.fastmath | flags)}
    return Remedy(option_text("fastmath", options["fastmath"]), owner.function, options, advice=advice)


def _division(owner: Summary, line: int) -> Iterator[Remedy]:
    tested = owner.error_model == "python" and line in owner.tested_divisors
    if tested:
        advice = (
            'error_model="numpy" omits the test for a divisor of 0: such a division is then inf or nan, not an error.'
        )
        yield Remedy('error_model="numpy"', owner.function, {"error_model": "numpy"}, exact=True, advice=advice)
    if owner.divisions.get(line) and line not in owner.whole_divisors and not owner.fastmath & {"arcp", "fast"}:
        advice = (
            'fastmath={"arcp"} lets the reciprocal be computed once, or multiply by it yourself; last digits change.'
        )
        options: dict[str, Any] = {"fastmath": set(owner.fastmath | {"arcp"})}
        if tested:
            options["error_model"] = "numpy"
            advice = f'{advice} error_model="numpy" omits the test for a divisor of 0.'
        yield Remedy(", ".join(option_text(*each) for each in options.items()), owner.function, options, advice=advice)


def _contiguous(code: Compiled, function: Any) -> Iterator[Remedy]:
    """Contiguous arrays in place of any layout: copies of those that are not, and the type where it was declared."""
    if function is not code.subject.function or code.subject.kind != "njit":
        return
    used = code.used() or ()
    strided = [at for at, kind in enumerate(used) if isinstance(kind, KINDS.Array) and kind.layout == "A"]
    names = [code.subject.parameters[at] for at in strided if at < len(code.subject.parameters)]
    if not strided or max(strided) >= len(code.arguments):
        return
    copied = [at for at in strided if not code.arguments[at].flags.c_contiguous]
    declared = tuple(kind.copy(layout="C") if at in strided else kind for at, kind in enumerate(used))
    listed = " and ".join(names)
    calls = " and ".join(f"np.ascontiguousarray({code.subject.parameters[at]})" for at in copied)
    advice = f"Pass {calls}." if copied else f"Declare {listed} with [::1]: what is passed is contiguous."
    arguments = partial(_as_contiguous, copied) if copied else None
    yield Remedy(
        f"{listed} contiguous",
        function,
        declared=declared,
        arguments=arguments,
        exact=True,
        advice=advice,
        remark=advice[0].lower() + advice[1:-1],
    )


def _as_contiguous(which: Sequence[int], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.ascontiguousarray(each) if at in which else each for at, each in enumerate(arguments))


def _stacked(code: Compiled, function: Any) -> Iterator[Remedy]:
    """One array in place of a list or tuple of arrays of equal shapes, of which it is a row."""
    if function is not code.subject.function or code.subject.kind != "njit":
        return
    given = list(zip(code.subject.names(len(code.arguments)), code.arguments, strict=True))
    stacked = [at for at, (_, value) in enumerate(given) if _has_equal_arrays(value)]
    if not stacked:
        return
    names = [given[at][0] for at in stacked]
    calls = " and ".join(f"np.stack({name})" for name in names)
    yield Remedy(
        f"{' and '.join(names)} as one array",
        function,
        arguments=partial(_with_stacks, stacked),
        exact=True,
        advice=f"Pass one array of one more dimension, {calls}; its rows are views, which need no counting.",
        remark=f"pass {calls}",
    )


def _has_equal_arrays(value: Any) -> bool:
    if not isinstance(value, (list, tuple)) and typed_name(type(value)) != "List":
        return False
    kinds = {(each.dtype, each.shape) if isinstance(each, np.ndarray) else None for each in value}
    return len(value) > 1 and len(kinds) == 1 and None not in kinds


def _with_stacks(which: Sequence[int], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(np.stack(list(each)) if at in which else each for at, each in enumerate(arguments))


def _chunks(code: Compiled, function: Any) -> Iterator[Remedy]:
    """Smaller pieces of a parallel loop. How many iterations it has is not known: the longest extent of an array and
    the largest number are guesses."""
    extents = [extent for each in code.arguments for _, array in arrays_in(each, "") for extent in array.shape]
    numbers = [
        int(each) for each in code.arguments if isinstance(each, (int, np.integer)) and not isinstance(each, bool)
    ]
    guesses = [max(known) for counts in (extents, numbers) if (known := [each for each in counts if each < 1 << 24])]
    threads = numba.get_num_threads()
    sizes = {max(1, guess // (parts * threads)) for guess in guesses or [64] for parts in (4, 16, 64)}
    for size in sorted(sizes):
        call = f"with numba.parallel_chunksize({size}):"
        yield Remedy(
            f"pieces of {size} iteration{'s' * (size > 1)}",
            function,
            around=partial(numba.parallel_chunksize, size),
            exact=False,
            advice=f"Call it inside `{call}`.",
            remark=f"call it inside `{call}`",
        )


def _inlined(owner: Summary, line: int) -> Iterator[Remedy]:
    for called in owner.calls:
        function = called.dispatcher.py_func
        if called.line == line and called.dispatcher.targetoptions.get("inline", "never") == "never":
            change = f'inline="always" for {function.__name__}'
            advice = f'Compile {function.__name__} with inline="always".'
            yield Remedy(change, function, {"inline": "always"}, advice=advice)
