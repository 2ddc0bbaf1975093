"""Opening a user's file; every way in which that fails is reported in one clear line. And writing one whole."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jitnet.errors import DataError

__all__ = ["check_file", "reading", "write_whole"]


def check_file(path: Path, kind: str) -> int:
    """Size in bytes of a file that must exist, not be a folder and not be empty; `kind`: what is expected."""
    with reading(path):
        if path.is_dir():
            raise DataError(f"{path}: is a folder; expected {kind}")
        size = path.stat().st_size
    if size == 0 and path.is_file():
        raise DataError(f"{path}: is empty; expected {kind}")
    return size


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the operating system's errors while `path` is read into a DataError, and running out of memory too."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file or folder") from None
    except (IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: is a folder where a file is expected, or a file where a folder is") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(f"{path}: does not fit into memory") from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under a temporary name next to it, which then replaces it. OSError as usual.

    What is no regular file, a pipe for example, is written to directly: it must not be replaced.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    target = path.resolve()  # the file that a link leads to, and not the link, is replaced
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
