"""The header of a NumPy array in a file: its shape, order and type, or one clear reason why it has none."""

import io
import warnings
from typing import IO

import numpy as np
from numpy.lib import format as npy

__all__ = ["read_header"]

MAX_HEADER_BYTES = 10_000
"""NumPy's limit. A plain array's header has about 120 bytes."""


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, whether the order is Fortran's, type) of a `.npy` file; what `file` reads next are the array's values.

    Raises ValueError, whose text continues "its .npy header", for anything that is not such a header. Errors of reading
    `file` are not changed.
    """
    magic = file.read(npy.MAGIC_LEN)
    if len(magic) < npy.MAGIC_LEN:
        raise ValueError("is cut short")
    if magic[:-2] != npy.MAGIC_PREFIX or magic[-2] not in (1, 2, 3):
        raise ValueError(f"begins with {magic.hex(' ')}; expected {npy.MAGIC_PREFIX.hex(' ')} 01 00")
    width = 2 if magic[-2] == 1 else 4
    size = file.read(width)
    n_bytes = int.from_bytes(size, "little")
    if n_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"claims to have {n_bytes:,} bytes; expected at most {MAX_HEADER_BYTES:,}")
    header = file.read(n_bytes)
    if len(size) < width or len(header) < n_bytes:
        raise ValueError("is cut short")
    parse = npy.read_array_header_1_0 if width == 2 else npy.read_array_header_2_0
    try:
        # A broken header can look like old Python syntax, about which NumPy and Python warn.
        with warnings.catch_warnings(action="ignore"):
            shape, fortran, dtype = parse(io.BytesIO(size + header))
    except Exception:  # it is parsed as Python source, which can raise many kinds of error
        raise ValueError("cannot be understood") from None
    if any(extent < 0 for extent in shape):
        raise ValueError(f"has the shape {shape}; expected no extent below 0")
    return shape, fortran, dtype
