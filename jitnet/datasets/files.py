"""Opening a user's file: every way in which reading fails is reported in one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from jitnet.errors import DataError

__all__ = ["check_file", "embedded", "reading"]


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
