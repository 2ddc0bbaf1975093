"""Arrays, records, lists and dictionaries that report each access to a watch."""

import builtins
from typing import Any, Protocol

import numpy as np

from jitnet.profile.functions.worker.containers import typed_name

__all__ = ["NO_WRITER", "Touched", "WatchedArray", "watched"]

NO_WRITER = -1
"""The iteration where no parallel loop runs."""

RESIZES = ("append", "extend", "insert", "pop", "remove", "clear", "reverse", "sort")
"""Methods of a list that change more than an element."""


class Watch(Protocol):
    """What accesses are reported to. iteration: that runs now."""

    iteration: int

    def look(self, touched: "Touched", index: Any, what: str, same: bool = False) -> None:
        """Take note that elements are "read" or "written". same: whether they held what is written."""


class Touched:
    """For each element of an array: the iterations that read it first and last, and the one that wrote it last.

    name: of the array.
    """

    def __init__(self, name: str, first: Any, last: Any, writers: Any) -> None:
        self.name, self.first, self.last, self.writers = name, first, last, writers

    @classmethod
    def none(cls, name: str, shape: Any) -> "Touched":
        return cls(name, *(np.zeros(shape, np.int64) for _ in range(3)))

    def part(self, index: Any) -> "Touched":
        return Touched(self.name, self.first[index], self.last[index], self.writers[index])


class WatchedArray(np.ndarray):
    """An array that reports each access to a watch. fields: of an array of records, what was touched by field."""

    watch: Watch
    touched: Touched | None
    fields: dict[str, Touched]

    def __array_finalize__(self, base: Any) -> None:
        self.touched = None

    def __getitem__(self, index: Any) -> Any:
        if self.touched is None:
            return super().__getitem__(index)
        if self.dtype.names:
            return self._of_records(index)
        found = super().__getitem__(index)
        if isinstance(found, WatchedArray):
            if np.shares_memory(found, self):
                found.touched, found.watch = self.touched.part(index), self.watch
            return found
        self.watch.look(self.touched, index, "read")
        return found

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.touched is not None and self.watch.iteration != NO_WRITER:
            same = bool(np.array_equal(np.ndarray.__getitem__(self, index), value))
            touches = self.fields.values() if self.dtype.names else [self.touched]
            for each in touches:
                self.watch.look(each, index, "written", same)
        super().__setitem__(index, value)

    def _of_records(self, index: Any) -> Any:
        """Return a field of all records, some records, or one of them with its fields as attributes."""
        if isinstance(index, str):
            found: Any = np.ndarray.__getitem__(self, index)
            found.touched, found.watch = self.fields[index], self.watch
            return found
        place = np.ndarray.__getitem__(self, index if isinstance(index, tuple) else (index,))
        if isinstance(place, WatchedArray):
            place.touched, place.watch = self.touched, self.watch
            place.fields = {name: each.part(index) for name, each in self.fields.items()}
            return place
        return _Record(self, index)


class _Record:
    """One element of an array of records."""

    def __init__(self, array: WatchedArray, index: Any) -> None:
        object.__setattr__(self, "_array", array)
        object.__setattr__(self, "_index", index)

    def __getitem__(self, name: str) -> Any:
        return self._array[name][self._index]

    def __setitem__(self, name: str, value: Any) -> None:
        self._array[name][self._index] = value

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class _List(list[Any]):
    """A list that reports each access to an element, and each change of its length."""

    def __init__(self, values: Any, name: str, watch: Watch) -> None:
        super().__init__(values)
        self._watch, self._name = watch, name
        self._seen: dict[int, Touched] = {}

    def _look(self, index: Any, what: str, same: bool = False) -> None:
        if isinstance(index, slice):
            for each in builtins.range(*index.indices(len(self))):
                self._look(each, what, same)
            return
        at = index + len(self) if index < 0 else index
        touched = self._seen.setdefault(int(at), Touched.none(self._name, (1,)))
        self._watch.look(touched, 0, what, same)

    def __getitem__(self, index: Any) -> Any:
        self._look(index, "read")
        return super().__getitem__(index)

    def __setitem__(self, index: Any, value: Any) -> None:
        before = super().__getitem__(index)
        self._look(index, "written", type(before) is type(value) and not hasattr(value, "shape") and before == value)
        super().__setitem__(index, value)


class _Dict(dict[Any, Any]):
    """A dictionary: storing or removing a key may move all others."""

    def __init__(self, values: Any, name: str, watch: Watch) -> None:
        super().__init__(values)
        self._watch, self._touched = watch, Touched.none(name, (1,))

    def __getitem__(self, key: Any) -> Any:
        self._watch.look(self._touched, 0, "read")
        return super().__getitem__(key)

    def __contains__(self, key: Any) -> bool:
        self._watch.look(self._touched, 0, "read")
        return super().__contains__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._watch.look(self._touched, 0, "written")
        super().__setitem__(key, value)


def _resizing(name: str) -> Any:
    change = getattr(list, name)

    def changes(self: Any, *arguments: Any) -> Any:
        touched = self._seen.setdefault(-1, Touched.none(self._name, (1,)))
        self._watch.look(touched, 0, "written")
        return change(self, *arguments)

    return changes


for _name in RESIZES:
    setattr(_List, _name, _resizing(_name))


def watched(value: Any, watch: Watch, name: str = "", copy: bool = True) -> Any:
    """Return a value whose accesses are reported to a watch, as `name`. copy: whether of copies of its arrays."""
    if isinstance(value, np.ndarray) and getattr(value, "touched", None) is None:
        array = np.array(value, copy=True) if copy else value
        made = array.view(WatchedArray)
        made.touched, made.watch = Touched.none(name, value.shape), watch
        made.fields = {each: Touched.none(name, value.shape) for each in value.dtype.names or ()}
        return made
    if isinstance(value, np.void) and value.dtype.names:
        return _Record(watched(np.array([value]), watch, name), 0)
    if isinstance(value, tuple):
        parts = [watched(part, watch, name, copy) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if (isinstance(value, list) or typed_name(type(value)) == "List") and not isinstance(value, _List):
        return _List([watched(part, watch, name, copy) for part in value], name, watch)
    if (isinstance(value, dict) or typed_name(type(value)) == "Dict") and not isinstance(value, _Dict):
        return _Dict({key: watched(part, watch, name, copy) for key, part in value.items()}, name, watch)
    return value
