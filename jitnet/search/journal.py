"""A sweep's journal: a line for each thing that Optuna stores, in Optuna's format.

One process writes it, and holds the sweep's lock meanwhile; so there is no lock file of Optuna's, which a process that
is killed would leave behind, and all processes after it would wait for. Lines are added durably, and what a process
left of its last line is cut off.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jitnet.errors import JitnetError, MissingExtra, OutputError
from jitnet.files import append, read_lines, write_whole

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

__all__ = ["JOURNAL", "Journal", "check_installed", "open_study"]

JOURNAL = "journal.jsonl"
"""The journal's name in a sweep's folder."""

STUDY = "sweep"

INSTALL = "install it with: pip install 'optuna>=5,<6'"


def check_installed() -> None:
    """Raise MissingExtra where Optuna is not installed."""
    try:
        import optuna
    except ImportError:
        raise MissingExtra(f"a sweep needs Optuna; {INSTALL}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal:
    """Optuna's backend of a `JournalStorage`: a file that this process alone writes.

    Raises JitnetError where the file is damaged elsewhere than at its end, and OutputError where it cannot be read or
    written. notice: a line for the user where its end was damaged, and cut off; "" else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notice = ""
        self._logs: list[dict[str, Any]] = []
        self._held: list[dict[str, Any]] | None = None
        try:
            lines = read_lines(path) if path.exists() else []
            self._read(lines)
            whole = b"".join(lines[: len(self._logs)])
            if path.exists() and path.stat().st_size != len(whole):
                self.notice = f"{path}: its last line was not written whole, and is cut off"
                write_whole(path, whole)
        except OSError as error:
            raise _cannot(self.path, error) from None

    def _read(self, lines: list[bytes]) -> None:
        for number, line in enumerate(lines, 1):
            try:
                self._logs.append(json.loads(line))
            except (ValueError, RecursionError):
                if number == len(lines):
                    return
                raise JitnetError(
                    f"{self.path}, line {number}: is damaged: not JSON; remove that line if it can be spared, or begin "
                    "another sweep"
                ) from None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the entries from a number on, as Optuna asks for them."""
        yield from self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, as Optuna asks for it."""
        if self._held is None:
            self._write(logs)
        else:
            self._held += logs
        self._logs += logs

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write the entries that are added inside at the end, in one piece."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._write(held)

    def _write(self, logs: list[dict[str, Any]]) -> None:
        content = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        try:
            append(self.path, content.encode())
        except OSError as error:
            raise _cannot(self.path, error) from None


def open_study(journal: Journal, *, larger_is_better: bool) -> "tuple[Study, BaseStorage]":
    """Return the study that a journal holds, and its storage; in an empty one a study is made. Raises JitnetError where
    the journal is not Optuna's."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend
    from optuna.study import StudyDirection

    BaseJournalBackend.register(Journal)
    direction = StudyDirection.MAXIMIZE if larger_is_better else StudyDirection.MINIMIZE
    try:
        storage = JournalStorage(journal)  # type: ignore[arg-type]  # registered above
        study = optuna.create_study(
            study_name=STUDY, storage=storage, direction=direction, load_if_exists=True, sampler=None
        )
        return study, storage
    except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
        what = f"{type(error).__name__}: {error}".rstrip(": ")
        raise JitnetError(f"{journal.path}: is no journal of a sweep ({what}); begin another sweep") from None


def _cannot(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be read and written: {(error.strerror or str(error)).lower()}")
