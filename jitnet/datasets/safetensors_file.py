"""Safetensors files: `train_images`, `train_labels`, `test_images`, `test_labels`, in one of two layouts.

"jitnet": images uint8 (n, h, w) as stored, labels whole numbers, names of classes in the metadata; or numbers to
predict, with names of targets. `train_weights` and `test_weights`, where samples have some. Of a table: what its
columns have become, and the preparation that made it.
"original": images float32 (n, 1, h, w) in 0..1, labels int64 one-hot, as the Rust original reads.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from jitnet.datasets.files import check_file, reading
from jitnet.datasets.named import gather, pick
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError
from jitnet.files import create
from jitnet.tables.preparation import Preparation

__all__ = ["PREPARATION", "parts", "read", "write"]

PREPARATION = "preparation"
"""Under this name the metadata of a file has what made its samples of the columns of a table."""

TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def read(path: Path) -> RawData:
    """The splits in a safetensors file; the arrays are mapped copy-on-write, so that only what is used is read.

    Raises DataError for a file that is cut short, whose header is wrong, or that holds other arrays.
    """
    from safetensors import SafetensorError, safe_open

    size = check_file(path, "a .safetensors file")
    with reading(path):
        try:
            # The library checks the header against the file: sizes, types, overlaps, gaps.
            with safe_open(path, framework="numpy") as file:
                metadata = dict(file.metadata() or {})
        except SafetensorError as error:
            reason = f"{str(error).splitlines()[0]}, {size} bytes"
            raise DataError(f"{path}: is cut short, or not a safetensors file ({reason}); get the file again") from None
        with path.open("rb") as raw:
            length = int.from_bytes(raw.read(8), "little")
            header = json.loads(raw.read(length))
        header.pop("__metadata__", None)
        names = pick(path, header)
        arrays = {name: _map(path, name, header[name], 8 + length) for name in names if name}
    words = {key: _names(path, key, metadata.get(key)) for key in ("class_names", "target_names")}
    data = gather(path, names, arrays, words["class_names"], words["target_names"])
    return replace(data, preparation=_preparation(path, metadata.get(PREPARATION)))


def _map(path: Path, name: str, entry: dict[str, Any], offset: int) -> np.ndarray:
    if entry["dtype"] not in TYPES:
        raise DataError(f"{path}: {name} is of type {entry['dtype']}; expected one of {', '.join(TYPES)}")
    dtype, shape = np.dtype(TYPES[entry["dtype"]]), tuple(entry["shape"])
    if 0 in shape or not shape:
        raise DataError(f"{path}: {name} holds no samples, its shape is {shape}")
    return np.memmap(path, dtype, mode="c", offset=offset + entry["data_offsets"][0], shape=shape).view(np.ndarray)


def _names(path: Path, key: str, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    try:
        names = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: its metadata has {key} {text[:60]!r}; expected a JSON list of words")
    return tuple(names)


def _preparation(path: Path, text: str | None) -> Preparation | None:
    if text is None:
        return None
    try:
        return Preparation.from_json(text)
    except DataError as error:
        raise DataError(f"{path}: its metadata has a broken {PREPARATION} ({error}); convert the table again") from None


def write(path: Path, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write arrays and metadata; `class_names`, if present, must be a JSON list. The same input gives the same bytes.

    The safetensors library writes metadata in a new order each time, and copies all arrays first.
    """
    with create(path) as file:
        for part in parts(arrays, metadata):
            file.write(part)


def parts(arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> Iterator[bytes | memoryview]:
    """Return what `write` writes: the header, and the bytes of each array."""
    codes = {np.dtype(code): name for name, code in TYPES.items()}
    # The format requires each array to be aligned for its type, which decreasing item sizes ensure.
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    # Metadata read from a file can be in any order.
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in order:
        start, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": codes[arrays[name].dtype],
            "shape": list(arrays[name].shape),
            "data_offsets": [start, end],
        }
    # A file name may hold bytes that are not UTF-8, which the format requires: each becomes a ?.
    text = json.dumps(header, ensure_ascii=False).encode("utf-8", "replace")
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in order:
        yield np.ascontiguousarray(arrays[name]).data
