"""Standard output and standard error of a command, and what happens where one of them cannot be written.

Standard output holds results: where it is closed or full, the command fails with `OutputError`, and where the reader of
a pipe has closed it, the command ends with `ReaderLeft`. Standard error holds progress and notices: what cannot be
written there is dropped, and the command goes on.
"""

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from jitnet.errors import OutputError

__all__ = ["ReaderLeft", "guarded_streams", "is_file"]


class ReaderLeft(Exception):
    """The program that read standard output through a pipe has ended, as `head` does: nothing is left to do."""

    exit_code = 141
    """What a shell reports of a program that the signal SIGPIPE ended."""


class _Output(io.RawIOBase):
    """The bytes of standard output. It raises no OSError, which rich and typer would turn into something else."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return bool(self._file.isatty())

    def fileno(self) -> int:
        return int(self._file.fileno())

    def write(self, data: Any) -> int | None:
        try:
            written: int | None = self._file.write(data)
            self._file.flush()
            return written
        except OSError as error:
            self._file = io.BytesIO()  # takes what is still buffered
            return self._failed(error, len(data))

    def _failed(self, error: OSError, size: int) -> int:
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from None
        raise OutputError(f"standard output cannot be written: {(error.strerror or str(error)).lower()}") from None


class _Messages(_Output):
    """The bytes of standard error; what cannot be written is dropped."""

    def _failed(self, error: OSError, size: int) -> int:
        return size


class _Closed(io.TextIOBase):
    """Standard output that was closed before the start. Each write fails: no command ends as if it had shown
    something."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        raise OutputError("standard output is closed; send it to a file, or to /dev/null where it is not wanted")


@contextmanager
def guarded_streams() -> Iterator[None]:
    """A context in which standard output and standard error follow the rules above."""
    # A file that is opened later must not get the number of a closed stream: libraries write to 1 and 2.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    before = sys.stdout, sys.stderr
    sys.stdout = _Closed() if sys.stdout is None else _guarded(sys.stdout, _Output)
    sys.stderr = io.StringIO() if sys.stderr is None else _guarded(sys.stderr, _Messages)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def is_file(stream: TextIO) -> bool:
    """Whether a stream is written to a file, and not to a terminal or a pipe."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # it has no number, or is closed
        return False


def _guarded(stream: TextIO, kind: type[_Output]) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(kind(getattr(stream.buffer, "raw", stream.buffer))),
        stream.encoding,
        "replace",  # an old terminal's encoding lacks some characters: show a ? there
        line_buffering=getattr(stream, "line_buffering", False) or getattr(stream, "write_through", False),
    )
