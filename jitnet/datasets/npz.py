"""NumPy archives in Keras's layout: `x_train`, `y_train`, `x_test`, `y_test`; `class_names` may name the classes.

Objects are never unpickled, and what an array declares is checked against the archive before memory is taken for it.
"""

import zipfile
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from jitnet.datasets.files import check_file, reading
from jitnet.datasets.named import gather, pick
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError

__all__ = ["read", "write"]

PIECE_BYTES = 1 << 20
ALWAYS_ALLOWED_BYTES = 64 << 20
MOST_TIMES_PACKED = 200
"""An archive that unpacks to more than this many times its size (and 64 MB) is taken for a bomb; MNIST reaches 5."""


def read(path: Path) -> RawData:
    """The splits in an .npz file.

    Raises DataError for a damaged archive, pickled objects, an archive that unpacks to absurd size, and missing arrays.
    """
    size = check_file(path, "an .npz file")
    with reading(path):
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [info for info in archive.infolist() if info.filename.endswith(".npy")]
                members = {info.filename.removesuffix(".npy"): info for info in entries}
                names = pick(path, members)
                wanted = [name for name in (*names, "class_names") if name in members]
                total = sum(members[name].file_size for name in wanted)
                if total > max(ALWAYS_ALLOWED_BYTES, MOST_TIMES_PACKED * size):
                    raise DataError(
                        f"{path}: its {size} bytes claim to unpack to {total}, as a zip bomb does; not unpacked"
                    )
                arrays = {name: _member(archive, members[name], f"{path}: {name}") for name in wanted}
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise DataError(f"{path}: is no .npz file, or a damaged one ({error}); get the file anew") from None
    class_names = arrays.pop("class_names", None)
    words = None if class_names is None else tuple(str(name) for name in class_names.reshape(-1))
    return gather(path, names, arrays, words)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    """One array, unpacked straight into its memory."""
    with archive.open(info) as file:
        try:
            version = npy.read_magic(file)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read_header(file)
        except ValueError as error:
            raise DataError(f"{where}: is no NumPy array ({str(error).splitlines()[0]})") from None
        if dtype.hasobject:
            raise DataError(f"{where}: holds Python objects, which could run code and are not loaded; expected numbers")
        expected = prod(shape) * dtype.itemsize
        if expected > info.file_size:
            raise DataError(
                f"{where}: its header declares {expected} bytes, it has {info.file_size}; get the file anew"
            )
        if not expected:
            raise DataError(f"{where}: holds no samples, its shape is {shape}")
        flat = np.empty(prod(shape), dtype)
        target = flat.view(np.uint8).data
        done = 0
        while done < expected and (piece := file.read(min(PIECE_BYTES, expected - done))):
            target[done : done + len(piece)] = piece
            done += len(piece)
        # Reading on to the end makes the archive's checksum be compared.
        if done < expected or file.read(1):
            raise DataError(f"{where}: its header declares {expected} bytes, it has others; get the file anew")
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays as a compressed .npz file."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
