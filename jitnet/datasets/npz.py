"""NumPy archives in Keras's layout: `x_train`, `y_train`, `x_test`, `y_test`; `class_names` may name the classes, and
`target_names` the targets, which are numbers then; `w_train` and `w_test` may weigh the samples.

Objects are never unpickled, and the size that an array declares is checked against the archive before memory is
allocated for it.
"""

import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np

from jitnet.datasets.files import check_file, reading
from jitnet.datasets.named import gather, pick
from jitnet.datasets.npy import read_header
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError
from jitnet.files import create

__all__ = ["read", "write"]

PIECE_BYTES = 1 << 20
ALWAYS_ALLOWED_BYTES = 64 << 20
MAX_PACKING = 200
"""An archive that unpacks to more than this many times its size (and 64 MB) is taken for a bomb; MNIST reaches 5."""


def read(path: Path) -> RawData:
    """The splits in an .npz file.

    Raises DataError for a damaged archive, pickled objects, an archive that unpacks to far more, and missing arrays.
    """
    size = check_file(path, "an .npz file")
    with reading(path), _unpacking(path), zipfile.ZipFile(path) as archive:
        entries = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        members = {info.filename.removesuffix(".npy"): info for info in entries}
        names = pick(path, members)
        wanted = [name for name in (*names, "class_names", "target_names") if name in members]
        total = sum(members[name].file_size for name in wanted)
        if total > max(ALWAYS_ALLOWED_BYTES, MAX_PACKING * size):
            raise DataError(f"{path}: its {size} bytes claim to unpack to {total}, as a zip bomb does; not unpacked")
        arrays = {name: _member(archive, members[name], f"{path}: {name}") for name in wanted}
    words = {
        key: tuple(str(name) for name in arrays.pop(key).reshape(-1))
        for key in ("class_names", "target_names")
        if key in arrays
    }
    return gather(path, names, arrays, words.get("class_names"), words.get("target_names"))


@contextmanager
def _unpacking(path: Path) -> Iterator[None]:
    """Turn what zipfile raises for a damaged archive into a DataError."""
    try:
        yield
    except (DataError, OSError, MemoryError):
        raise
    except Exception as error:  # zipfile and its decompressors raise many kinds of error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: is not an .npz file, or is damaged ({reason}); get the file again") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    """One array, unpacked straight into its memory; text as words, whether it was stored as text or as bytes."""
    with archive.open(info) as file:
        try:
            shape, fortran, dtype = read_header(file)
        except ValueError as error:
            raise DataError(f"{where}: is not a NumPy array: its .npy header {error}; get the file again") from None
        if dtype.hasobject:
            raise DataError(f"{where}: holds Python objects, which could run code and are not loaded; expected numbers")
        expected = prod(shape) * dtype.itemsize
        if expected > info.file_size:
            raise DataError(
                f"{where}: its header declares {expected} bytes, it has {info.file_size}; get the file again"
            )
        if not expected:
            raise DataError(f"{where}: holds no samples, its shape is {shape}")
        flat = np.empty(prod(shape), dtype)
        target = flat.view(np.uint8).data
        done = 0
        while done < expected and (piece := file.read(min(PIECE_BYTES, expected - done))):
            target[done : done + len(piece)] = piece
            done += len(piece)
        # Reading to the end compares the archive's checksum.
        if done < expected or file.read(1):
            raise DataError(f"{where}: its header declares {expected} bytes, it has others; get the file again")
    if not dtype.isnative:
        flat = flat.astype(dtype.newbyteorder("="))
    if dtype.kind in "SU":
        flat = _words(flat, where)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


def _words(flat: np.ndarray, where: str) -> np.ndarray:
    """Text and bytes as text; DataError for what is not text."""
    try:
        if flat.dtype.kind == "S":
            return np.char.decode(flat, "utf-8")
        # Text is stored as code points, of which some are not characters.
        flat.tobytes().decode("utf-32-le" if sys.byteorder == "little" else "utf-32-be")
    except UnicodeDecodeError:
        raise DataError(f"{where}: holds bytes that are not text; expected words in Unicode or UTF-8") from None
    return flat


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a new compressed .npz file."""
    with create(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
