"""The embedded table: 600 invented flats to let, with numbers, words, dates and gaps; `data/README.md` says more."""

from dataclasses import dataclass
from pathlib import Path

from jitnet.datasets.files import embedded
from jitnet.errors import OutputError
from jitnet.files import write_whole

__all__ = ["SampleTable", "write_sample"]

FILE = "data/sample.csv"


@dataclass(frozen=True)
class SampleTable:
    """What was written: where, how many rows and columns."""

    path: Path
    n_rows: int
    n_columns: int


def write_sample(path: Path) -> SampleTable:
    """Write the embedded table to a file; OutputError where it exists already, or cannot be written."""
    content = embedded(FILE).read_bytes()
    if path.exists() or path.is_symlink():
        raise OutputError(f"{path}: exists already and is not overwritten; choose another name")
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None
    lines = content.decode("utf-8").splitlines()
    return SampleTable(path, len(lines) - 1, lines[0].count(",") + 1)
