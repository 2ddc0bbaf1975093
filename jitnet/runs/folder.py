"""A run folder: what one training leaves behind.

    runs/2026-03-14-mnist/
        config.json         what was trained, how, on what
        metrics.jsonl       one JSON object an epoch, written soon after its end
        model.safetensors   the network as the last checkpoint has it, at the end the one that the run ends with
        checkpoints/        the newest two, from which the run goes on where it ends early
        .lock               held by the process that trains in it

No folder is ever written over, and none is left without a model where training ends early. A failure to write raises
`OutputError` and leaves the files as they were before it.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from jitnet.config.settings_file import check_format
from jitnet.errors import OutputError, UsageError
from jitnet.files import Lock, append, check_writable, make_folder, remove, write_whole
from jitnet.files.names import CHECKPOINTS, CONFIG, LOCK, METRICS, MODEL
from jitnet.runs.documents import as_json, record

__all__ = [
    "CHECKPOINTS",
    "CONFIG",
    "LOCK",
    "METRICS",
    "MODEL",
    "Run",
    "cannot_write",
    "check_free",
    "claim",
    "create",
    "reopen",
]


class Run:
    """One run folder, open for writing. Made by `create`, `claim` or `reopen`. The model is saved at `model_path` by
    itself.

    Used in a `with`: no other process writes there meanwhile, else Busy; where an error ends it before a model or a
    checkpoint is saved, what was written is removed. made: the folders that did not exist before, the innermost first;
    they go too, where nothing else is in them. config: the content of config.json.
    """

    def __init__(self, folder: Path, made: Sequence[Path] = (), config: dict[str, Any] | None = None) -> None:
        self.folder, self.made = folder, made
        self.config = config or {}
        self.model_path = folder / MODEL
        self._is_new = config is None
        self._lock = Lock(folder / LOCK)

    def __enter__(self) -> "Run":
        try:
            self._lock.__enter__()
        except OSError as error:
            _remove(self.made)
            raise self.cannot_write(LOCK, error) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._lock.__exit__()
        if kind is None or not self._is_new or self.model_path.exists() or any(self._checkpoints()):
            return
        with suppress(OSError):  # what cannot be removed is left: the error that ended the training is reported
            for name in (CONFIG, METRICS, CHECKPOINTS):
                remove(self.folder / name)
        _remove(self.made)

    def _checkpoints(self) -> Iterator[Path]:
        return (self.folder / CHECKPOINTS).glob("[!.]*.safetensors")

    @property
    def notice(self) -> str:
        """A line for the user where the folder's file system cannot lock, so that other processes are not kept out."""
        return self._lock.notice

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json whole, and keep its content as `config`."""
        self.config = config
        try:
            write_whole(self.folder / CONFIG, (as_json(config, indent=2) + "\n").encode())
        except OSError as error:
            raise self.cannot_write(CONFIG, error) from None

    @staticmethod
    def line(report: Any) -> bytes:
        """The line of metrics.jsonl of an epoch's report."""
        return (as_json(record(report)) + "\n").encode()

    def append(self, report: Any) -> None:
        """Add one epoch's line to metrics.jsonl; a line that cannot be written whole is removed again."""
        self.append_lines(self.line(report))

    def append_lines(self, lines: bytes) -> None:
        """The same of lines."""
        try:
            append(self.folder / METRICS, lines)
        except OSError as error:
            raise self.cannot_write(METRICS, error) from None

    def replace_metrics(self, reports: Iterable[Any]) -> None:
        """Write metrics.jsonl whole, with a line for each report."""
        try:
            write_whole(self.folder / METRICS, b"".join(map(self.line, reports)))
        except OSError as error:
            raise self.cannot_write(METRICS, error) from None

    def cannot_write(self, name: str, error: OSError, what: str = "") -> OutputError:
        """The error for a file that cannot be written. what: it is, in words. A run that goes on stays in its
        folder."""
        advice = ELSEWHERE if self._is_new else "make room there, or make it writable, and resume again"
        return cannot_write(self.folder / name, error, what, advice)


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
        raise cannot_write(base, error, "the folder for runs") from None
    raise AssertionError("unreachable: every number is tried")


def claim(folder: Path) -> Run:
    """Take the folder that the user named: made where it is missing, refused where it holds a run already."""
    try:
        _check_no_run(folder)
        made = make_folder(folder)
        try:
            check_writable(folder / CONFIG)
        except BaseException:
            _remove(made)
            raise
    except OSError as error:
        raise cannot_write(folder, error, "the run folder") from None
    return Run(folder, made)


def check_free(folder: Path | None, base: Path = Path("runs")) -> None:
    """Check, and write nothing, that `claim` could take a folder; where that is None, that `create` could make one in
    `base`. Raises OutputError as they do."""
    wanted = base if folder is None else folder
    try:
        if folder is not None:
            _check_no_run(folder)
        nearest = next(path for path in (wanted, *wanted.absolute().parents) if path.exists())
        if not nearest.is_dir():
            raise NotADirectoryError
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise cannot_write(wanted, error, "the run folder" if folder else "the folder for runs") from None


def _check_no_run(folder: Path) -> None:
    present = [name for name in (CONFIG, METRICS, MODEL, CHECKPOINTS) if os.path.lexists(folder / name)]
    if present:
        raise OutputError(
            f"{folder} holds a run already ({', '.join(present)}): name another folder, or move that one away"
        )


def reopen(folder: Path) -> Run:
    """Open the folder of a run that goes on; UsageError where it is none."""
    path = folder / CONFIG
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder}: {found}; expected the folder of a run")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{folder}: holds no {CONFIG}; expected the folder of a run") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: cannot be read ({error}); expected the one that the run wrote") from None
    if not isinstance(config, dict):
        raise UsageError(f"{path}: is no JSON object; expected the one that the run wrote")
    if "format" in config:
        check_format(config["format"], str(path), str(config.get("jitnet", "")))
    for name in ("data", "model", "train"):
        if not isinstance(config.get(name), dict):
            raise UsageError(f"{path}: lacks the object {name!r}; expected the file that the run wrote")
    data = config["data"]
    for name in ("path", "test_path", "checksum"):
        if not isinstance(data.get(name), str | None):
            raise UsageError(f"{path}: its data: {name}: expected text, found {data[name]!r}")
    return Run(folder, config=config)


def _remove(folders: Sequence[Path]) -> None:
    """Remove folders that were made, as far as nothing is in them."""
    with suppress(OSError):
        for folder in folders:
            remove(folder)


ELSEWHERE = "name another place with --out"


def cannot_write(path: Path, error: OSError, what: str = "", advice: str = ELSEWHERE) -> OutputError:
    """The error for a file or folder of a run that cannot be written. what: it is, in words."""
    reason = (error.strerror or str(error)).lower()
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        reason = "a file is in the way"
    return OutputError(f"cannot write {what + ' ' if what else ''}{path}: {reason}; {advice}")
