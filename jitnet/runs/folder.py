"""A run folder: what one training leaves behind.

    runs/2026-03-14-mnist/
        config.json         what was trained, how, on what
        metrics.jsonl       one JSON object an epoch, written as the epoch ends
        model.safetensors   the network after the last epoch that ended

No folder is ever written over, and none is left without a model where training ends early. A failure to write raises
`OutputError` and leaves the files as they were before it.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from jitnet.errors import OutputError
from jitnet.files import append, check_writable, make_folder, remove, write_whole
from jitnet.model import FILE_NAME
from jitnet.runs.documents import as_json, record

__all__ = ["CONFIG", "METRICS", "MODEL", "Run", "claim", "create"]

CONFIG = "config.json"
METRICS = "metrics.jsonl"
MODEL = FILE_NAME


class Run:
    """One run folder, open for writing. Made by `create` or `claim`. The model is saved at `model_path` by itself.

    Used in a `with`: where an error ends it before a model is saved, what was written is removed. made: the folders
    that did not exist before, the innermost first; they go too, where nothing else is in them.
    """

    def __init__(self, folder: Path, made: Sequence[Path] = ()) -> None:
        self.folder, self.made = folder, made
        self.config: dict[str, Any] = {}
        self.model_path = folder / MODEL

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None or self.model_path.exists():
            return
        with suppress(OSError):  # what cannot be removed is left: the error that ended the training is reported
            for name in (CONFIG, METRICS):
                remove(self.folder / name)
            for folder in self.made:
                remove(folder)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json whole, and keep its content as `config`."""
        self.config = config
        try:
            write_whole(self.folder / CONFIG, (as_json(config, indent=2) + "\n").encode())
        except OSError as error:
            raise _cannot_write(self.folder / CONFIG, error) from None

    def append(self, report: Any) -> None:
        """Add one epoch's line to metrics.jsonl; a line that cannot be written whole is removed again."""
        path = self.folder / METRICS
        try:
            append(path, (as_json(record(report)) + "\n").encode())
        except OSError as error:
            raise _cannot_write(path, error) from None


def create(name: str, base: Path = Path("runs")) -> Run:
    """Make a new folder `base/DATE-NAME`, with -2, -3, … where that exists already."""
    stem = f"{date.today().isoformat()}-{name}"
    try:
        made = make_folder(base)
        for number in count(1):
            folder = base / (stem if number == 1 else f"{stem}-{number}")
            with suppress(FileExistsError):
                return Run(folder, [*make_folder(folder, exist_ok=False), *made])
    except OSError as error:
        raise _cannot_write(base, error, "the folder for runs") from None
    raise AssertionError("unreachable: every number is tried")


def claim(folder: Path) -> Run:
    """Take the folder that the user named: made where it is missing, refused where it holds a run already."""
    try:
        made = make_folder(folder)
        present = [name for name in (CONFIG, METRICS, MODEL) if (folder / name).exists()]
        if present:
            raise OutputError(
                f"{folder} holds a run already ({', '.join(present)}): name another folder, or move that one away"
            )
        check_writable(folder / CONFIG)
    except OSError as error:
        raise _cannot_write(folder, error, "the run folder") from None
    return Run(folder, made)


def _cannot_write(path: Path, error: OSError, what: str = "") -> OutputError:
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        reason = "a file is in the way"
    return OutputError(f"cannot write {what + ' ' if what else ''}{path}: {reason}; name another place with --out")
