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
from pathlib import Path
from typing import Any

from jitnet.errors import OutputError
from jitnet.files import writing
from jitnet.files.names import CONFIG, METRICS, MODEL
from jitnet.runs.documents import as_json, record

__all__ = ["CONFIG", "METRICS", "MODEL", "Run", "claim", "create"]


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
                (self.folder / name).unlink(missing_ok=True)
            for folder in self.made:
                folder.rmdir()

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json whole, and keep its content as `config`."""
        self.config = config
        try:
            with writing(self.folder / CONFIG) as temporary:
                temporary.write_text(as_json(config, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise _cannot_write(self.folder / CONFIG, error) from None

    def append(self, report: Any) -> None:
        """Add one epoch's line to metrics.jsonl; a line that cannot be written whole is removed again."""
        path = self.folder / METRICS
        line = (as_json(record(report)) + "\n").encode()
        try:
            with path.open("ab", buffering=0) as file:
                before = file.tell()
                if file.write(line) != len(line):
                    file.truncate(before)
                    raise OSError("no space left on device")
        except OSError as error:
            raise _cannot_write(path, error) from None


def create(name: str, base: Path = Path("runs")) -> Run:
    """Make a new folder `base/DATE-NAME`, with -2, -3, … where that exists already."""
    stem = f"{date.today().isoformat()}-{name}"
    try:
        made = _make(base)
        number = 1
        while True:
            folder = base / (stem if number == 1 else f"{stem}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return Run(folder, [folder, *made])
    except OSError as error:
        raise _cannot_write(base, error, "the folder for runs") from None


def claim(folder: Path) -> Run:
    """Take the folder that the user named: made where it is missing, refused where it holds a run already."""
    try:
        made = _make(folder)
        present = [name for name in (CONFIG, METRICS, MODEL) if (folder / name).exists()]
        if present:
            raise OutputError(
                f"{folder} holds a run already ({', '.join(present)}): name another folder, or move that one away"
            )
        probe = folder / f".{CONFIG}.partial"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _cannot_write(folder, error, "the run folder") from None
    return Run(folder, made)


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it that are missing; return those that were, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _cannot_write(path: Path, error: OSError, what: str = "") -> OutputError:
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        reason = "a file is in the way"
    return OutputError(f"cannot write {what + ' ' if what else ''}{path}: {reason}; name another place with --out")
