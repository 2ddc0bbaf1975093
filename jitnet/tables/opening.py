"""A table's bytes: from a path or a stream, unpacked, and where they are text, as UTF-8 whose lines end in "\\n".

A file can be read again from its start; a stream is copied to a temporary file as it is read, so that it can be too.
"""

import codecs
import gzip
import io
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from jitnet.datasets.files import check_file, reading
from jitnet.errors import DataError

__all__ = ["Source", "decoded"]

BLOCK = 1 << 22
"""Bytes that are read at once: their arrays of positions stay small beside any table that needs blocks."""

IN_MEMORY = 1 << 26
"""Bytes of a stream that are kept in memory before they are written to a temporary file."""

OTHERS = {
    b"PK\x03\x04": "is a zip archive, or an Excel workbook (.xlsx)",
    b"\xd0\xcf\x11\xe0": "is an Excel workbook (.xls)",
    b"BZh": "is compressed with bzip2",
    b"\xfd7zXZ\x00": "is compressed with xz",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd",
    b"SQLite format 3": "is an SQLite database",
    b"\x89PNG": "is a PNG picture",
    b"%PDF": "is a PDF document",
    b"\x89HDF": "is an HDF5 file",
    b"ARROW1": "is an Arrow file",
    b"\x93NUMPY": "is a NumPy file",
}
"""First bytes of files that people take for tables."""

EXPECTED = "expected CSV text or Parquet, plain or gzipped"

BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

Progress = Callable[[str, int, int], None]


class Source:
    """What a table is read from.

    name: the path, or "standard input" or the like, as messages say it. size: bytes, 0 where unknown.
    """

    def __init__(self, source: str | Path | BinaryIO, progress: Progress | None = None):
        """source: a path, "-" for standard input, or a binary stream. progress: called with (name, bytes, size)."""
        self.progress = progress
        self.path: Path | None = None
        self.size = 0
        self.is_packed = False
        if isinstance(source, (str, Path)) and str(source) != "-":
            self.path = Path(source).expanduser()
            self.name = str(self.path)
            self.size = check_file(self.path, "a table")
            if self.path.is_file():
                return
            with reading(self.path):  # a pipe can be opened only once
                self.stream = cast(BinaryIO, self.path.open("rb"))
            self.path = None
        else:
            self.stream = sys.stdin.buffer if isinstance(source, (str, Path)) else source
            name = getattr(self.stream, "name", None)
            self.name = name if isinstance(name, str) and name != "<stdin>" else "standard input"
        self.copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Yield a binary stream of the content, unpacked, from its start. Raises DataError for what cannot be read or
        unpacked, while the stream is used too."""
        with reading(Path(self.name)):
            raw = _Counted(self)
            file = io.BufferedReader(raw, BLOCK)
            self.is_packed = file.peek(2)[:2] == b"\x1f\x8b"
            try:
                yield cast(BinaryIO, gzip.GzipFile(fileobj=file) if self.is_packed else file)
            except EOFError:
                raise DataError(f"{self.name}: is cut short: its gzip stream ends before its end") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DataError(f"{self.name}: is damaged: its gzip stream cannot be unpacked ({error})") from None
            finally:
                file.close()

    def as_file(self) -> BinaryIO:
        """Return the unpacked content as a file that can be read from any place: as it is, or a temporary copy."""
        with self.opened() as stream:
            if self.path is not None and not self.is_packed:
                return self.path.open("rb")
            copy = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115
            while block := stream.read(BLOCK):
                copy.write(block)
        copy.seek(0)
        return copy


class _Counted(io.RawIOBase):
    """The raw bytes of a source from its start; what comes from a stream for the first time is copied."""

    def __init__(self, source: Source):
        self.source = source
        self.at = 0
        if source.path is not None:
            self.file: BinaryIO = cast(BinaryIO, source.path.open("rb", buffering=0))
        else:
            self.file = source.copy
            self.file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        block = self.file.read(len(view))
        if not block and self.source.path is None:
            block = self.source.stream.read(len(view))
            self.file.write(block)
        view[: len(block)] = block
        self.at += len(block)
        if self.source.progress is not None:
            self.source.progress(self.source.name, self.at, max(self.source.size, self.at))
        return len(block)

    def close(self) -> None:
        if self.source.path is not None and not self.closed:
            self.file.close()
        super().close()


def decoded(source: Source, stream: BinaryIO) -> tuple[str, Iterator[bytes]]:
    """Return how text is encoded, in words, and the text as blocks of UTF-8 with lines that end in "\\n".

    UTF-8 and UTF-16, with a byte order mark or without. Raises DataError, with the line where it can, for an empty
    file, bytes that are not text, and other encodings, while the blocks are read too.
    """
    start = _at_least(stream, 4096)
    if not start:
        raise DataError(f"{source.name}: is empty; expected a table")
    for magic, what in OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"{source.name}: {what}; {EXPECTED}")
    encoding, mark = _encoding(source, start)
    words = encoding.upper().removesuffix("-LE").removesuffix("-BE")
    words += " with a byte order mark" if mark and encoding == "utf-8" else ""
    return words, _blocks(source, stream, start[mark:], encoding)


def _at_least(stream: BinaryIO, n: int) -> bytes:
    start = b""
    while len(start) < n and (block := stream.read(n - len(start))):
        start += block
    return start


def _encoding(source: Source, start: bytes) -> tuple[str, int]:
    """The encoding, by the byte order mark or by where zero bytes are, and the mark's length."""
    if start[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise DataError(f"{source.name}: is UTF-32 text; save it as UTF-8")
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if start.startswith(mark):
            return encoding, len(mark)
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) > len(start) / 8 and min(even, odd) < max(even, odd) / 4:
        return ("utf-16-be" if even > odd else "utf-16-le"), 0
    return "utf-8", 0


def _blocks(source: Source, stream: BinaryIO, start: bytes, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    held = b""  # a "\r" at the end of a block, which a "\n" may follow
    block = start + stream.read(BLOCK)
    while True:
        following = stream.read(BLOCK)
        pending = decoder.getstate()[0]
        try:
            text = decoder.decode(block, final=not following)
        except UnicodeDecodeError as error:
            good = held + error.object[: error.start].decode(encoding, "replace").encode()
            where = f"{source.name}, line {line + _with_line_feeds(good).count(10)}"
            if encoding != "utf-8":
                raise DataError(f"{where}: is not whole UTF-16 text; save it as UTF-8") from None
            found = f"byte 0x{error.object[error.start]:02x}"
            hint = "Latin-1 or Windows-1252 perhaps" if _is_mostly_text(block) else "not text at all, perhaps"
            raise DataError(f"{where}: is not UTF-8 text ({found}): {hint}; save it as UTF-8") from None
        whole = text.encode() if encoding != "utf-8" or pending else block
        if encoding == "utf-8" and (rest := decoder.getstate()[0]):
            whole = whole.removesuffix(rest)
        whole = held + whole
        held = b"\r" if following and whole.endswith(b"\r") else b""
        whole = whole.removesuffix(held)
        whole = _with_line_feeds(whole)
        if (at := whole.find(0)) >= 0:
            where = f"{source.name}, line {line + whole.count(10, 0, at)}"
            raise DataError(f"{where}: holds a zero byte, which text does not; {EXPECTED}")
        line += whole.count(b"\n")
        yield whole
        if not following:
            return
        block = following


def _with_line_feeds(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def _is_mostly_text(block: bytes) -> bool:
    """Whether few bytes are control codes, as in text of any encoding of one byte a character."""
    controls = len(block) - len(block.translate(None, bytes(set(range(32)) - set(b"\t\n\r\x1f\x01"))))
    return controls <= len(block) / 1000
