"""Opening a user's file, and replacing one whole; every way in which reading fails is reported in one clear line."""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from jitnet.errors import DataError, OutputError

__all__ = ["check_file", "embedded", "reading", "write_whole", "writing"]


def check_file(path: Path, kind: str) -> int:
    """Size in bytes of a file that must exist, not be a folder and not be empty; `kind`: what is expected."""
    with reading(path):
        if path.is_dir():
            raise DataError(f"{path}: is a folder; expected {kind}")
        size = path.stat().st_size
    if size == 0 and path.is_file():
        raise DataError(f"{path}: is empty; expected {kind}")
    return size


def embedded(name: str) -> Path:
    """The path of a file that is a part of jitnet, in an installed one as in a checkout, "data/digits.safetensors" for
    example; DataError where an installation lacks it."""
    packaged = Path(str(resources.files("jitnet"))) / name
    checkout = Path(__file__).parents[2] / name
    for path in (packaged, checkout):
        if path.is_file():
            return path
    raise DataError(f"{packaged}: the embedded data set is missing from this installation; install jitnet again")


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
