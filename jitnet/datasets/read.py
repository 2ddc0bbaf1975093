"""From a path to raw splits: the suffix chooses the reader."""

from pathlib import Path

from jitnet.datasets import csv, idx, npz, safetensors_file
from jitnet.datasets.files import check_file, reading
from jitnet.datasets.raw import RawData
from jitnet.errors import DataError

__all__ = ["read_path"]

READERS = {".safetensors": safetensors_file.read, ".npz": npz.read, ".csv": csv.read, ".tsv": csv.read}


def read_path(path: Path) -> RawData:
    """The splits that a folder of IDX files, a .safetensors, .npz or .csv file holds.

    Raises DataError with one line for anything else, and for whatever the reader rejects.
    """
    with reading(path):
        is_folder = path.is_dir()
    reader = READERS.get(path.suffix.lower())
    if reader is not None:
        return reader(path)
    if is_folder:
        return idx.read_folder(path)
    check_file(path, "a data set")
    if idx.looks_like_idx(path):
        raise DataError(f"{path}: is a single IDX file; pass the folder that holds it and the others, {path.parent}")
    raise DataError(
        f"{path}: is of an unknown kind; expected a folder of IDX files, or one of {', '.join(READERS)} files"
    )
