"""A model of a disk: it records the system calls of `jitnet.files`, and builds every state that a crash may leave.

What POSIX promises is little, and no more is assumed: of a file's content only what was synced is on the disk, and what
was written later may be missing, torn at any length, present, or zeros where only the length has changed. Of the names
in a folder those that were there when it was synced are, and each later change is there or not, in any combination. A
rename is one change. Failing calls are here too: the k-th raises, the others work.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, combinations, count, product
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from jitnet.files import system

Tree = tuple[tuple[str, bytes | None], ...]
"""What is in a folder: by the names in it, files' content, and None for a folder."""

CALLS = list(system.__all__)
LENGTHS = 5
"""How many lengths a torn write is tried at, besides nothing and all of it."""


@dataclass
class File:
    """synced: what is on the disk; changes: the writes and truncations since then, as (offset, bytes or None)."""

    synced: bytes = b""
    changes: list[tuple[int, bytes | None]] = field(default_factory=list)

    def content(self) -> bytes:
        content = self.synced
        for change in self.changes:
            content = _changed(content, *change)
        return content

    def variants(self) -> list[bytes]:
        """Every content that a crash may leave."""
        found = {self.synced: None, self.content(): None}
        truncations = [change for change in self.changes if change[1] is None]
        for left_out in subsets(truncations):
            content = self.synced
            for offset, data in (change for change in self.changes if change not in left_out):
                for length in () if data is None else _lengths(len(data)):
                    found[_changed(content, offset, data[:length])] = None
                content = _changed(content, offset, data)
                found[content] = None
        whole = self.content()
        start = min((offset for offset, data in self.changes if data), default=len(whole))
        if len(whole) > start:  # the length is on the disk and the blocks are not, or some of them
            edges = [start + (len(whole) - start) * k // 3 for k in range(4)]
            for first, last in combinations(edges, 2):
                found[whole[:first] + bytes(last - first) + whole[last:]] = None
        return list(found)


def _changed(content: bytes, offset: int, data: bytes | None) -> bytes:
    if data is None:
        return content[:offset].ljust(offset, b"\0")
    return content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :]


def _lengths(n: int) -> list[int]:
    return sorted({1, n - 1, *(n * k // LENGTHS for k in range(1, LENGTHS))} & set(range(1, n)))


@dataclass
class Folder:
    """synced: the names that are on the disk; changes: what was made, renamed and removed since then."""

    synced: "dict[str, File | Folder]" = field(default_factory=dict)
    changes: "list[dict[str, File | Folder | None]]" = field(default_factory=list)

    def entries(self, changes: "list[dict[str, File | Folder | None]] | None" = None) -> "dict[str, File | Folder]":
        names: dict[str, File | Folder | None] = dict(self.synced)
        for change in self.changes if changes is None else changes:
            names |= change
        return {name: entry for name, entry in names.items() if entry is not None}

    def trees(self) -> Iterator[dict[str, bytes | None]]:
        """Every content that a crash may leave; no reader looks into a temporary file or folder, or a lock."""
        for left_out in subsets(range(len(self.changes))):
            entries = self.entries([change for k, change in enumerate(self.changes) if k not in left_out])
            options: list[list[dict[str, bytes | None]]] = []
            for name, entry in entries.items():
                if isinstance(entry, File):
                    contents = [entry.content()[:40]] if name.endswith((".part", ".lock")) else entry.variants()
                    options.append([{name: content} for content in contents])
                else:
                    inside = [{}] if name.endswith(".part") else entry.trees()
                    options.append([{name: None, **{f"{name}/{key}": each[key] for key in each}} for each in inside])
            for chosen in product(*options):
                yield {key: content for each in chosen for key, content in each.items()}


def subsets(values: Any) -> Iterator[tuple[Any, ...]]:
    values = list(values)
    return chain.from_iterable(combinations(values, n) for n in range(len(values) + 1))


class Disk:
    """The model of what is below `root`. crash_states: all that a crash at any time while `recording` may have left,
    each with the number that `promise` was called with last when it was possible."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.top = _scanned(self.root)
        self.opened: dict[int, File | Folder] = {}
        self.crash_states: dict[Tree, int] = {}
        self.promised = 0
        self._calling = Lock()  # a thread may write too

    def promise(self, number: int) -> None:
        """Note that from now on a crash must not lose what has this number."""
        with self._calling:
            self.promised = number
            self._note_states()

    def _note_states(self) -> None:
        for tree in self.top.trees():
            self.crash_states[tuple(sorted(tree.items()))] = self.promised

    @contextmanager
    def recording(self) -> Iterator[None]:
        self._note_states()
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(system, name, self._recorded(name, getattr(system, name)))
            yield

    def _recorded(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if not self._is_below(arguments[0]):
                return real(*arguments)
            with self._calling:
                new = name == "open_file" and not os.path.exists(arguments[0])
                result = real(*arguments)
                getattr(self, f"_{name}", lambda *_: None)(result, new, *arguments)
                if name in ("write", "truncate", "rename", "unlink", "mkdir", "rmdir", "sync") or new:
                    self._note_states()
                return result

        return call

    def _is_below(self, where: Any) -> bool:
        """Whether a path, or an open file, is below the root."""
        return where in self.opened if isinstance(where, int) else Path(where).absolute().is_relative_to(self.root)

    def _parent(self, path: Any) -> tuple[Folder, str]:
        *folders, name = Path(path).absolute().relative_to(self.root).parts
        found = self.top
        for each in folders:
            inside = found.entries()[each]
            assert isinstance(inside, Folder)
            found = inside
        return found, name

    def _at(self, path: Any) -> File | Folder:
        if Path(path).absolute() == self.root:
            return self.top
        folder, name = self._parent(path)
        return folder.entries()[name]

    def _open_file(self, descriptor: int, new: bool, path: Any, *_: Any) -> None:
        if new:
            folder, name = self._parent(path)
            folder.changes.append({name: File()})
        self.opened[descriptor] = self._at(path)

    def _close(self, _: None, new: bool, descriptor: int) -> None:
        del self.opened[descriptor]

    def _write(self, count: int, new: bool, descriptor: int, data: Any) -> None:
        file = self.opened[descriptor]
        assert isinstance(file, File)
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
        file.changes.append((end - count, bytes(memoryview(data).cast("B")[:count])))

    def _truncate(self, _: None, new: bool, descriptor: int, size: int) -> None:
        file = self.opened[descriptor]
        assert isinstance(file, File)
        file.changes.append((size, None))

    def _sync(self, _: None, new: bool, descriptor: int) -> None:
        entry = self.opened[descriptor]
        if isinstance(entry, File):
            entry.synced, entry.changes = entry.content(), []
        else:
            entry.synced, entry.changes = entry.entries(), []

    def _rename(self, _: None, new: bool, source: Any, target: Any) -> None:
        (folder, name), (other, new_name) = self._parent(source), self._parent(target)
        assert folder is other, "a rename to another folder is two changes"
        folder.changes.append({name: None, new_name: folder.entries()[name]})

    def _unlink(self, _: None, new: bool, path: Any) -> None:
        folder, name = self._parent(path)
        folder.changes.append({name: None})

    _rmdir = _unlink

    def _mkdir(self, _: None, new: bool, path: Any, *mode: int) -> None:
        folder, name = self._parent(path)
        folder.changes.append({name: Folder()})


def _scanned(folder: Path) -> Folder:
    return Folder(
        {path.name: _scanned(path) if path.is_dir() else File(path.read_bytes()) for path in folder.iterdir()}
    )


def build(tree: Tree, folder: Path) -> None:
    """Make a folder that holds this."""
    folder.mkdir()
    for name, content in tree:
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


FAILURES: list[Callable[[], BaseException]] = [
    lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    KeyboardInterrupt,
]


@contextmanager
def failing(k: int, failure: BaseException, *, after: bool = False, for_ever: bool = False) -> Iterator[list[str]]:
    """Let the k-th call raise, the first being 1, and a write write half before it. after: it raises once it has done
    its work, as an interrupt may. for_ever: so do all calls after it. Yields the list of the calls that are made."""
    calls: list[str] = []
    numbers = count(1)  # a thread may call too

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            number = next(numbers)
            calls.append(name)
            if number != k and not (for_ever and number > k > 0):
                return real(*arguments)
            if name == "write" and not after:
                real(arguments[0], memoryview(arguments[1]).cast("B")[: len(arguments[1]) // 2])
            if after or name == "close":  # a close that fails has closed
                real(*arguments)
            raise failure

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(system, name, counted(name, getattr(system, name)))
        yield calls


@contextmanager
def filling(k: int) -> Iterator[list[str]]:
    """Let the disk be full from the k-th call on that needs room on it; what is there can be read and removed. Yields
    the list of these calls."""
    calls: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if name == "open_file" and not arguments[1] & os.O_CREAT:
                return real(*arguments)
            calls.append(name)
            if len(calls) >= k > 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open_file", "write", "mkdir"):
            patch.setattr(system, name, counted(name, getattr(system, name)))
        yield calls
