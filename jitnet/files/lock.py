"""A lock on a file, which the operating system releases when the process that holds it ends, however it ends."""

import errno
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Self
from weakref import WeakSet

from jitnet.errors import Busy
from jitnet.files import system

__all__ = ["Lock", "holder"]

_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)

_PAUSE_S = 0.005


class Lock:
    """Holds a lock on the file `path` in a `with`: the file is made where it is missing, and removed at the end.

    Entering raises Busy where another process holds it, and OSError where the file cannot be written. A process that is
    forked meanwhile does not hold it.

    patience_s: how long to try; `holder` takes a lock for a moment, and a holder removes the file at the end. notice: a
    line for the user where the file system cannot lock, so that nothing is held; "" else.
    """

    def __init__(self, path: Path, patience_s: float = 0.05) -> None:
        self.path, self.patience_s = path, patience_s
        self.notice = ""
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        start_s = time.monotonic()
        while True:
            descriptor = system.open_file(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                reason = _try_lock(descriptor)
                if reason is not None and _is_at(descriptor, self.path):
                    self._write_process(descriptor)
                    if reason:
                        self.notice = (
                            f"{self.path.parent}: its file system cannot lock files ({reason}); let no other process "
                            "write there meanwhile"
                        )
                    self._descriptor = descriptor
                    _held.add(self)
                    return self
            finally:
                if self._descriptor is None:
                    system.close(descriptor)
            if time.monotonic() - start_s >= self.patience_s:
                break
            time.sleep(_PAUSE_S)
        process = _process_in(self.path)
        raise Busy(
            f"{self.path.parent}: {f'process {process}' if process else 'another process'} is writing here; wait until "
            "it has ended, or stop it first"
        )

    def __exit__(self, *error: object) -> None:
        _held.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            # A file that cannot be removed is no lock once it is closed, and one that fails to close is closed.
            with suppress(OSError):
                system.unlink(self.path)
            with suppress(OSError):
                system.close(descriptor)

    def close_in_child(self) -> None:
        """Close the file in a forked process, which would hold the lock after its parent's end."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            system.close(descriptor)

    def _write_process(self, descriptor: int) -> None:
        try:
            system.truncate(descriptor, 0)
            system.write(descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            with suppress(OSError):
                system.unlink(self.path)
            raise


def holder(path: Path) -> int | None:
    """Return the process that holds the lock on a file, 0 where its number cannot be read; None where none does, or the
    file system cannot lock."""
    try:
        descriptor = system.open_file(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor, shared=True) is not None else _process_in(path)
    finally:
        system.close(descriptor)


def _try_lock(descriptor: int, *, shared: bool = False) -> str | None:
    """Lock an open file: return "", or why its file system cannot; None where another process holds it."""
    try:
        import fcntl
    except ImportError:
        return "there are no such locks on this system"
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
        return (error.strerror or str(error)).lower()
    return ""


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at the path: the lock on one that was removed excludes no process."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _process_in(path: Path) -> int:
    """The number that the holder has written; 0 where there is none yet."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


_held: WeakSet[Lock] = WeakSet()


def _close_all_in_child() -> None:
    for lock in list(_held):
        lock.close_in_child()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all_in_child)
