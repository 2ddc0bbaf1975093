"""A run of the function without the compiler: what it computes, and whether it uses memory that was never written."""

import builtins
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np

from jitnet.compiler.numba_parts import Dispatcher
from jitnet.profile.functions.worker.containers import typed_name
from jitnet.profile.functions.worker.copies import rebuilt
from jitnet.profile.functions.worker.differences import differences
from jitnet.profile.functions.worker.mentions import Mention, mentions, tree
from jitnet.profile.functions.worker.outcomes import Outcome, outcome, plain_value

__all__ = ["Interpreted", "interpret", "why_otherwise"]

FILLS = (0x00, 0x5A)
"""Bytes of the memory that np.empty returns, in two runs whose results must be equal."""

EMPTY = ("empty", "empty_like")


class Interpreted(NamedTuple):
    """What a run found.

    found: what it returned and wrote. overflows: whether a number became too large for its type. unwritten: where a
    result depends on memory that np.empty returned and nothing wrote, its name; else "".
    """

    found: Outcome
    overflows: bool
    unwritten: str


def interpret(function: Any, arguments: Sequence[Any], names: Sequence[str]) -> Interpreted:
    """Run a Python function, and the compiled ones that it calls, in the interpreter, on copies of its arguments.

    What the function raises is raised.
    """
    every = [each for each, _ in tree(function)]
    allocates = any(found.value in (np.empty, np.empty_like) for found in mentions(every) if callable(found.value))
    before = plain_value(tuple(arguments))
    found, overflows = _run(function, before, names, FILLS[0])
    unwritten = ""
    if allocates:
        try:
            again, _ = _run(function, before, names, FILLS[1])
            differs = differences(found, again)
            unwritten = differs[0].where if differs else ""
        except Exception:  # the run with zeros raised nothing: such memory was used, as an index for example
            unwritten = "a result"
    return Interpreted(found, overflows, unwritten)


def why_otherwise(found: Interpreted, arguments: Sequence[Any], mentioned: Sequence[Mention]) -> str:
    """Return why Python may compute something else than compiled code that is right; "" where there is no reason."""
    if found.overflows:
        return "numbers overflow, which Python computes otherwise"
    arrays = [each.dtype for each in arguments if isinstance(each, np.ndarray)]
    narrow = [kind for kind in arrays if kind.kind == "u" or (kind.kind == "i" and kind.itemsize < 8)]
    if narrow:
        return f"Python does not compute with {narrow[0]} as Numba does"
    if any(each.value in (set, frozenset) for each in mentioned if isinstance(each.value, type)):
        return "it depends on the order of a set, which Python has otherwise"
    return ""


def _run(function: Any, before: tuple[Any, ...], names: Sequence[str], fill: int) -> tuple[Outcome, bool]:
    overflows: list[str] = []
    arguments = plain_value(before)
    passed = tuple(_as_compiled(each) for each in arguments)
    with np.errstate(all="ignore"), np.errstate(over="call", call=lambda kind, flag: overflows.append(kind)):
        result = _in_python(function, fill)(*passed)
    written = [
        (name, after)
        for name, start, after in zip(names, before, arguments, strict=True)
        if differences({name: start}, {name: after})
    ]
    return outcome(result, written), bool(overflows) or _is_long(result)


def _as_compiled(value: Any) -> Any:
    """Return an argument that behaves as in compiled code: integers of 64 bits, records with attributes."""
    if isinstance(value, np.ndarray) and value.dtype.names:
        return value.view(np.recarray)
    if isinstance(value, tuple):
        return tuple(_as_compiled(each) for each in value)
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return np.int64(value)
    return value


def _is_long(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_is_long(each) for each in value)
    return isinstance(value, int) and not -(1 << 63) <= value < 1 << 63


def _in_python(function: Any, fill: int) -> Any:
    known: dict[Any, Any] = {}

    def copied(python: Any) -> Any:
        if python not in known:
            rebuilt(python, replaced, lambda copy: known.__setitem__(python, copy))
        return known[python]

    def replaced(value: Any) -> Any:
        if value is np:
            return _Filling(fill)
        if value is numba or value is numba.typed:
            return _Module(value, replaced)
        if value is numba.prange:
            return builtins.range
        if value is numba.get_thread_id:
            return lambda: 0
        if typed_name(value):
            return _Container(list if typed_name(value) == "List" else dict)
        return copied(value.py_func) if isinstance(value, Dispatcher) else value

    return copied(function)


class _Module:
    def __init__(self, module: Any, replaced: Any) -> None:
        self._module, self._replaced = module, replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced(getattr(self._module, name))


class _Container:
    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self.empty_list = self.empty = lambda *_, **__: kind()

    def __call__(self, *values: Any) -> Any:
        return self._kind(*values)


class _Filling:
    """NumPy, whose `empty` returns memory that holds one byte throughout."""

    def __init__(self, fill: int) -> None:
        self._fill = fill

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if name not in EMPTY:
            return found

        def allocate(*arguments: Any, **options: Any) -> Any:
            made = found(*arguments, **options)
            if made.dtype.hasobject or not made.size:
                return made
            if made.dtype.kind == "b":
                made[...] = bool(self._fill)
            else:
                np.copyto(made, np.frombuffer(bytes([self._fill]) * made.itemsize, made.dtype)[0])
            return made

        return allocate
