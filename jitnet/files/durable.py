"""Replacing a file or a folder whole, and adding lines to one, so that what was written survives a loss of power.

What is not synced may be on the disk, missing or torn after a crash, and names in a folder may have changed there or
not, in any order. So content is synced before a rename makes it visible, and the folder after it. Then a reader sees
the old content or the new one; once a function has returned, the new one.
"""

import errno
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, cast

from jitnet.errors import OutputError
from jitnet.files import system

__all__ = [
    "append",
    "check_writable",
    "create",
    "make_folder",
    "read_lines",
    "remove",
    "remove_tree",
    "reopen",
    "write_whole",
    "writing",
]


@contextmanager
def writing(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or folder at; it replaces `path` once the block has ended without an
    error, and is removed else.

    A symbolic link is followed, and a file that is replaced passes on its mode. A folder replaces an empty one only.
    sync: False only for what its reader checks and can make again; the rest must be on the disk before it is visible.
    Raises OutputError where `path` is a pipe, a device or a socket, and the operating system's errors as they are.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and stat.S_ISDIR(mode) and any(target.iterdir()):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutputError(f"{path}: cannot be replaced: not a regular file; choose another place")
    temporary = _beside(target)
    _remove_leftovers(target.parent)
    try:
        _discard(temporary)  # of an earlier process of this number
        yield temporary
        if mode is not None and stat.S_ISREG(mode):
            system.chmod(temporary, stat.S_IMODE(mode))
        if sync:
            _sync_all(temporary)
        system.rename(temporary, target)
        if sync:
            _sync(target.parent)
    except BaseException:
        with suppress(OSError):  # what cannot be removed is left: the first error is reported
            _discard(temporary)
        raise


def create(path: Path) -> BinaryIO:
    """Return a new file, open for writing: one at the path that `writing` yields, or in a folder there. FileExistsError
    where there is one already."""
    return cast(BinaryIO, io.BufferedWriter(_File(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)))


def reopen(path: Path) -> BinaryIO:
    """Return a file that `create` made, open for writing at its start, with the content that it has."""
    return cast(BinaryIO, io.BufferedWriter(_File(path, os.O_WRONLY)))


class _File(io.FileIO):
    """A file whose system calls are those of `system`."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(system.open_file(path, flags, 0o666), "w", closefd=False)

    def write(self, data: Any, /) -> int:
        return system.write(self.fileno(), data)

    def truncate(self, size: int | None = None, /) -> int:
        size = self.tell() if size is None else size
        system.truncate(self.fileno(), size)
        return size

    def close(self) -> None:
        if not self.closed:
            descriptor = self.fileno()
            super().close()
            system.close(descriptor)


def write_whole(path: Path, content: bytes, *, sync: bool = True) -> None:
    """Write a file whole or not at all. What is not a regular file, a pipe for example, is written to directly.

    sync: as for `writing`. OSError as usual.
    """
    if path.exists() and not path.is_file():
        descriptor = system.open_file(path, os.O_WRONLY)
        try:
            _write_all(descriptor, content)
        finally:
            system.close(descriptor)
        return
    with writing(path, sync=sync) as temporary, create(temporary) as file:
        file.write(content)


def append(path: Path, line: bytes) -> None:
    """Add a line, which ends with a newline, to a file that may be missing; where that fails, the file is as before.

    What an interrupted call left behind the last whole line is removed. OSError as usual.
    """
    target = Path(os.path.realpath(path))
    existed = target.exists()
    regular = not existed or target.is_file()
    whole = 0
    try:
        descriptor = system.open_file(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            if regular:
                content = target.read_bytes()
                if (whole := sum(map(len, _whole_lines(content)))) < len(content):
                    system.truncate(descriptor, whole)
            try:
                _write_all(descriptor, line)
                if regular:
                    system.sync(descriptor)
            except BaseException:
                if regular:
                    with suppress(OSError):
                        system.truncate(descriptor, whole)
                raise
        finally:
            system.close(descriptor)
        if not existed:
            _sync(target.parent)
    except BaseException:
        if not existed:
            with suppress(OSError):
                system.unlink(target)
        raise


def read_lines(path: Path) -> list[bytes]:
    """Return the whole lines of a file that `append` wrote, with their newlines, and nothing of a torn one."""
    return _whole_lines(path.read_bytes())


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines of a text up to the first that is torn: with no newline, or with zeros where the disk has no data."""
    lines = [line + b"\n" for line in content.split(b"\n")[:-1]]
    return list(takewhile(lambda line: b"\0" not in line, lines))


def make_folder(path: Path, *, exist_ok: bool = True, sync: bool = True) -> list[Path]:
    """Make a folder and those above it that are missing; return those that were, the innermost first.

    sync: False within `writing`, which syncs all that is written there, or where what the folder is for is not synced.
    Where that fails, none of them is left. FileExistsError where a file is in the way, or with `exist_ok` False the
    folder; OSError as usual.
    """
    missing = [each for each in (path, *path.parents) if not each.is_dir()]
    if not missing and not exist_ok:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    made: list[Path] = []
    try:
        for folder in reversed(missing):
            made.insert(0, folder)
            try:
                system.mkdir(folder)
            except FileExistsError:  # another process has made it meanwhile, or it is a file
                made.remove(folder)
                if not folder.is_dir() or (folder == path and not exist_ok):
                    raise
            else:
                if sync:
                    _sync(folder.parent)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                system.rmdir(folder)
        raise
    return made


def check_writable(path: Path) -> None:
    """Check, before the work that it is for, that a file can be written: OSError where `writing` would raise it, for a
    folder that is missing, read-only, or on a full disk for example. The file stays as it is."""
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for its reader
        return
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = _beside(Path(os.path.realpath(path)))
    try:
        _discard(temporary)
        with create(temporary) as file:
            file.write(bytes(4096))  # empty files can be made on a full disk
    finally:
        with suppress(OSError):
            _discard(temporary)


def remove(path: Path, *, sync: bool = True) -> None:
    """Remove a file or an empty folder, where there is one. sync: False where it may be there again after a crash.
    OSError as usual."""
    try:
        if path.is_dir() and not path.is_symlink():
            system.rmdir(path)
        else:
            system.unlink(path)
    except FileNotFoundError:
        return
    if sync:
        _sync(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where there is one. OSError as usual."""
    _discard(path)
    if path.parent.is_dir():
        _sync(path.parent)


def _write_all(descriptor: int, content: bytes) -> None:
    """Write bytes; a system call may write fewer than it is asked to."""
    rest = memoryview(content)
    while rest:
        rest = rest[system.write(descriptor, rest) :]


def _sync_all(path: Path) -> None:
    """Sync a file, or a folder with all that is in it."""
    if path.is_dir():
        for each in sorted(path.iterdir()):
            _sync_all(each)
    _sync(path)


def _sync(path: Path) -> None:
    """Sync a file's content, or a folder's names as far as its file system can."""
    descriptor = system.open_file(path, os.O_RDONLY)
    try:
        system.sync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():
            raise
    finally:
        system.close(descriptor)


def _discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, where there is one; nothing is synced."""
    if path.is_dir() and not path.is_symlink():
        for each in path.iterdir():
            _discard(each)
        system.rmdir(path)
    elif path.is_symlink() or path.exists():
        system.unlink(path)


_HOST = f"{zlib.crc32(os.uname().nodename.encode()):08x}"
"""This machine, in the names of temporary files: a process number means nothing on another one that shares a folder."""

_seen: set[Path] = set()
"""Folders from which leftovers have been removed."""


def _beside(target: Path) -> Path:
    """Where the file or folder is written that will replace the target."""
    return target.with_name(f".{target.name}.{_HOST}-{os.getpid()}.part")


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes that were killed, once for each folder."""
    if folder in _seen:
        return
    _seen.add(folder)
    with suppress(OSError):
        for path in list(folder.glob(f".*.{_HOST}-*.part")):
            process = path.name.removesuffix(".part").rpartition("-")[2]
            if process.isdecimal() and int(process) != os.getpid() and not _is_running(int(process)):
                _discard(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
