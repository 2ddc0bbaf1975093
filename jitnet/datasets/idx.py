"""IDX files, the format of MNIST: two zero bytes, type, number of dimensions, their sizes (big-endian), the values.

Plain or gzipped, by content. A folder holds up to four of them, under MNIST's names, with `.` or `-` before `idx`:
train-images-idx3-ubyte, train-labels.idx1-ubyte, t10k-images-idx3-ubyte.gz, …; `classes.txt` may name the classes, one
per line.
"""

import re
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

from jitnet.datasets.files import check_file, reading
from jitnet.datasets.raw import Raw, RawData
from jitnet.errors import DataError
from jitnet.files import create

__all__ = ["ROLES", "find", "looks_like_idx", "read", "read_folder", "write"]

ROLES = ("train-images", "train-labels", "t10k-images", "t10k-labels")
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAME = re.compile(r"(?:.+-)?(train|t10k|test)-(images|labels)[.-]idx\d-[a-z0-9]+(\.gz)?", re.IGNORECASE)
MAP_ABOVE_BYTES = 1 << 20
PIECE_BYTES = 1 << 21
"""Packed bytes at a time. The GIL is released while a piece is unpacked and acquired again after each, which takes long
while another thread imports: so few pieces."""
GZIP = 31
"""zlib's window size for a stream with gzip's header and checksum."""
GET_AGAIN = "; get the file again"
DEFLATE_LIMIT = 1032
"""Deflate compresses data no further than this; a header that claims more is rejected before memory is allocated."""


def looks_like_idx(path: Path) -> bool:
    """Whether a file has the name of an IDX file."""
    return NAME.fullmatch(path.name) is not None


def find(folder: Path) -> dict[str, Path]:
    """The IDX files of a folder by role (`ROLES`); a plain file is preferred to a gzipped one.

    Raises DataError where two different data sets are in the folder.
    """
    found: dict[str, Path] = {}
    with reading(folder):
        # Gzipped names sort after plain ones here, so that the plain file is found first.
        entries = sorted(folder.iterdir(), key=lambda entry: (entry.name.endswith(".gz"), entry.name))
    for entry in entries:
        match = NAME.fullmatch(entry.name)
        if match is None:
            continue
        role = f"{'train' if match[1].lower() == 'train' else 't10k'}-{match[2].lower()}"
        first = found.setdefault(role, entry)
        if _stem(first) != _stem(entry):
            raise DataError(f"{folder}: holds both {first.name} and {entry.name}; keep one data set in a folder")
    return found


def _stem(path: Path) -> str:
    return path.name.lower().removesuffix(".gz").replace(".idx", "-idx").replace("test-", "t10k-")


def read_folder(folder: Path) -> RawData:
    """The splits in a folder of IDX files.

    Raises DataError where the folder has none, where images lack their labels, and for whatever `read` rejects.
    """
    found = find(folder)
    if not found:
        raise DataError(f"{folder}: holds no IDX files; expected train-images-idx3-ubyte, train-labels-idx1-ubyte, …")
    splits: dict[str, Raw | None] = {}
    for part in ("train", "t10k"):
        images, labels = found.get(f"{part}-images"), found.get(f"{part}-labels")
        if (images is None) != (labels is None):
            missing = f"{part}-labels-idx1-ubyte" if labels is None else f"{part}-images-idx3-ubyte"
            raise DataError(f"{folder}: has {(images or labels).name} but not {missing}; both are needed")  # type: ignore[union-attr]
        splits[part] = Raw(read(images), read(labels), str(images), str(labels)) if images and labels else None
    return RawData(splits["train"], splits["t10k"], _class_names(folder / "classes.txt"))


def _class_names(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    with reading(path):
        try:
            return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()) or None
        except UnicodeDecodeError:
            raise DataError(f"{path}: is not UTF-8 text; expected one class name per line") from None


def read(path: Path) -> np.ndarray:
    """The array in an IDX file, in this machine's byte order.

    Plain files of bytes above 1 MB are mapped, not read (copy-on-write: the file is never changed); gzipped ones are
    unpacked straight into the array.
    Raises DataError for a file that is missing, empty, not an IDX file, cut short or too long.
    """
    size = check_file(path, "an IDX file")
    with reading(path), path.open("rb") as raw:
        if raw.read(2) == b"\x1f\x8b":
            raw.seek(0)
            return _read_packed(raw, size, path)
        raw.seek(0)
        dtype, shape, offset = _header(raw, path)
        expected = prod(shape) * dtype.itemsize
        if size - offset < expected:
            raise DataError(f"{path}: is cut short: {_declared(shape, expected)}, it has {size - offset}{GET_AGAIN}")
        if size - offset > expected:
            raise DataError(f"{path}: is too long: {_declared(shape, expected)}, it has {size - offset}{GET_AGAIN}")
        if dtype.itemsize == 1 and expected >= MAP_ABOVE_BYTES:
            mapped = np.memmap(path, dtype.newbyteorder("="), mode="c", offset=offset, shape=shape)
            return mapped.view(np.ndarray)
        return (
            np.frombuffer(bytearray(raw.read(expected)), dtype)
            .reshape(shape)
            .astype(dtype.newbyteorder("="), copy=False)
        )


def _read_packed(raw: BinaryIO, size: int, path: Path) -> np.ndarray:
    stream = _Unpacked(raw)
    try:
        dtype, shape, _ = _header(stream, path)
        expected = prod(shape) * dtype.itemsize
        if expected > size * DEFLATE_LIMIT:
            raise DataError(
                f"{path}: is cut short: {_declared(shape, expected)}, more than {size} packed ones hold{GET_AGAIN}"
            )
        array = np.empty(shape, dtype)
        target = array.reshape(-1).view(np.uint8).data
        done = 0
        while piece := stream.read(expected - done + 1):
            if done + len(piece) > expected:
                raise DataError(f"{path}: is too long: {_declared(shape, expected)}, and more follow{GET_AGAIN}")
            target[done : done + len(piece)] = piece
            done += len(piece)
    except EOFError:
        raise DataError(f"{path}: is cut short: its gzip stream ends in the middle{GET_AGAIN}") from None
    except zlib.error as error:
        raise DataError(f"{path}: is damaged: its gzip stream does not unpack ({error}){GET_AGAIN}") from None
    if done < expected:
        raise DataError(f"{path}: is cut short: {_declared(shape, expected)}, it has {done}{GET_AGAIN}")
    return array.astype(dtype.newbyteorder("="), copy=False)


class _Unpacked:
    """The content of a gzip file, piece by piece; a third faster than the gzip module, whose pieces are small."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._engine = zlib.decompressobj(GZIP)

    def read(self, size: int) -> bytes:
        """One to `size` bytes, none at the end; EOFError where the file ends before its stream does."""
        while True:
            packed = self._engine.unconsumed_tail or self._engine.unused_data or self._file.read(PIECE_BYTES)
            if self._engine.eof:
                if not packed:
                    return b""
                self._engine = zlib.decompressobj(GZIP)
            elif not packed:
                raise EOFError
            if piece := self._engine.decompress(packed, size):
                return piece


def _header(file: "BinaryIO | _Unpacked", path: Path) -> tuple[np.dtype, tuple[int, ...], int]:
    """Type, shape and length of the header."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= 4:
        start = magic.hex(" ") or "nothing"
        raise DataError(
            f"{path}: is not an IDX file: it begins with {start}; expected 00 00 08 03 (images) or 00 00 08 01 (labels)"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"{path}: is cut short: it ends within its header{GET_AGAIN}")
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", sizes), 4 + len(sizes)


def _declared(shape: tuple[int, ...], n_bytes: int) -> str:
    return f"its header declares {n_bytes} bytes ({' x '.join(map(str, shape))})"


def write(path: Path, array: np.ndarray) -> None:
    """Write an array as a new plain IDX file: uint8 and float32 keep their type, other integers become int32."""
    kind = ">u1" if array.dtype == np.uint8 else ">f4" if array.dtype.kind == "f" else ">i4"
    code = next(code for code, name in TYPES.items() if name == kind)
    with create(path) as file:
        file.write(struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape))
        file.write(np.ascontiguousarray(array, dtype=kind).data)
