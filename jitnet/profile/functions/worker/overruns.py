"""Where an index is out of bounds: Numba's check raises an IndexError without a line, an array or an index."""

import contextlib
import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

from jitnet.compiler.numba_parts import cgutils, ir, wrap_bounds_checks, wrap_statements
from jitnet.profile.functions.worker.copies import Change, changed_copy
from jitnet.profile.functions.worker.diagnostics import JsonObject
from jitnet.profile.functions.worker.mentions import tree
from jitnet.profile.functions.worker.subject import arguments_of, find

__all__ = ["Overrun", "OverrunWatch", "find_overrun"]


class Overrun(NamedTuple):
    """An index that is out of bounds.

    array: its name, "" where it has none. at: the index. axis: -1 where it is not known.
    """

    file: str
    line: int
    array: str
    at: int
    axis: int
    extent: int

    def __str__(self) -> str:
        array = self.array or "an array"
        axis = f" along axis {self.axis}" if self.axis > 0 else ""
        return f"index {self.at} is outside {array}, which has {self.extent:,} element{'s' * (self.extent != 1)}{axis}"


class OverrunWatch:
    """From now on, code that is compiled with `boundscheck=True` in this process stores the first index out of bounds.

    Only for a process that compiles nothing else.
    """

    def __init__(self) -> None:
        self._stored = (ctypes.c_int64 * 4)(-1, 0, 0, 0)
        self._places: list[tuple[str, int, str]] = []
        self._now = "", 0, ""
        wrap_statements(self._noting)
        wrap_bounds_checks(self._storing)

    def found(self) -> Overrun | None:
        """Return the last index out of bounds since the last `clear`."""
        place, index, axis, extent = self._stored
        if place < 0:
            return None
        file, line, array = self._places[place]
        # Numba has added the extent to an index below 0 before it checks it.
        return Overrun(file, line, array, index - extent if index < 0 else index, axis, extent)

    def clear(self) -> None:
        self._stored[0] = -1

    def _noting(self, lower: Any) -> Any:
        def lower_and_note(lowerer: Any, statement: Any) -> Any:
            self._now = str(statement.loc.filename), int(statement.loc.line), _array(statement)
            return lower(lowerer, statement)

        return lower_and_note

    def _storing(self, check: Any) -> Any:
        def check_and_store(context: Any, builder: Any, index: Any, extent: Any, axis: Any = None) -> Any:
            whole = cgutils.intp_t
            words = [len(self._places), index, -1 if axis is None else axis, extent]
            self._places.append(self._now)
            below = builder.icmp_signed("<", index, index.type(0))
            with cgutils.if_unlikely(builder, builder.or_(below, builder.icmp_signed(">=", index, extent))):
                address = whole(ctypes.addressof(self._stored)).inttoptr(whole.as_pointer())
                for at, word in enumerate(words):
                    value = whole(word) if isinstance(word, int) else word
                    builder.store(value, builder.gep(address, [whole(at)]))
            return check(context, builder, index, extent, axis)

        return check_and_store


def find_overrun(request: JsonObject, observers: Any, report: Callable[[str], None]) -> JsonObject:
    """Call a copy of a function that checks its indices and uses no threads, once; return the first index out of
    bounds as "overrun", "" where there is none."""
    watch = OverrunWatch()
    subject = find(request["target"])
    arguments = arguments_of(subject, request)
    report("calling it with every index checked")
    every = {function: {"boundscheck": True, "parallel": False} for function, _ in tree(subject.function, arguments)}
    if subject.by_element:
        every[subject.function] = {"boundscheck": True}
    copy = changed_copy(subject, {function: Change(options) for function, options in every.items()})
    with contextlib.suppress(IndexError):
        copy(*arguments)
    found = watch.found()
    return {"overrun": f"{found} ({found.file}:{found.line})" if found else ""}


def _array(statement: Any) -> str:
    """Return the name of the array that a statement indexes."""
    value = getattr(statement, "value", None)
    if isinstance(statement, (ir.SetItem, ir.StaticSetItem)):
        name = str(statement.target.name)
    elif isinstance(value, ir.Expr) and value.op in ("getitem", "static_getitem"):
        name = str(value.value.name)
    else:
        return ""
    return "" if name.startswith("$") else name.split(".")[0]
