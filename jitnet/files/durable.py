"""Replacing a file or a folder whole, so that a reader sees the one before or the new one."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jitnet.errors import OutputError

__all__ = ["write_whole", "writing"]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or folder at; it replaces `path` once the block has ended without an
    error, and is removed else.

    A symbolic link is followed, and a file that is replaced passes on its mode. Raises OutputError where `path` is a
    pipe, a device or a socket, and the operating system's errors as they are.
    """
    target = Path(os.path.realpath(path))
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and stat.S_ISDIR(mode) and any(target.iterdir()):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OutputError(f"{path}: cannot be replaced: not a regular file; choose another place")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield temporary
        if mode is not None and stat.S_ISREG(mode):
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. What is not a regular file, a pipe for example, is written to directly. OSError
    as usual."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with writing(path) as temporary:
        temporary.write_bytes(content)
