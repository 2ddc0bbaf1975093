"""Every error that jitnet raises on purpose, as one tree.

    JitnetError          exit 1   anything a user can cause and fix
    ├── UsageError       exit 2   an option or argument out of range, or options that contradict each other
    ├── DataError        exit 1   a data set that is missing, broken or does not fit
    │   └── DownloadError         a data set that no mirror delivered completely
    ├── ModelError       exit 1   a model file that is missing, broken or does not fit the data
    ├── CheckpointError  exit 1   a checkpoint that is missing, broken or of another version
    ├── PictureError     exit 1   a picture that cannot be read or holds nothing to recognise
    ├── OutputError      exit 1   a file or folder that cannot be written
    │   └── Busy                  a run folder that another process writes
    ├── DivergedError    exit 1   a loss that became NaN or infinite
    ├── MissingExtra     exit 1   an optional library that is not installed
    └── TargetMissed     exit 4   training ended below the requested accuracy

A message is one line: it names the file, field or option, what was found, what was expected
and what to do about it. The command line prints it, with options in place of fields, and leaves with `exit_code`.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Self

__all__ = [
    "Busy",
    "CheckpointError",
    "DataError",
    "DivergedError",
    "DownloadError",
    "JitnetError",
    "MissingExtra",
    "ModelError",
    "OutputError",
    "PictureError",
    "TargetMissed",
    "UsageError",
]


class JitnetError(Exception):
    """Base of all errors that jitnet raises on purpose; `exit_code` is what the command line returns."""

    exit_code = 1

    marked = ""
    """The message with each field of a config in angle brackets; empty where it was not made by `of_fields`."""

    field = ""
    """The field of a config that the message is about, the first that it names; empty where that is unknown."""

    def __init__(self, message: str = "") -> None:
        # What is quoted from a file may hold line breaks, a terminal's control codes, or half a character.
        super().__init__("".join(_escaped(character) for character in message))

    @classmethod
    def of_fields(cls, marked: str, names: Mapping[str, str] | None = None) -> Self:
        """An error whose message names fields of a config, each in angle brackets, as <learning_rate>. names: the
        user's for them."""
        error = cls(_named(marked, names or {}))
        error.marked = marked
        first = _FIELD.search(marked)
        error.field = first[1] if first else ""
        return error

    def named(self, names: Mapping[str, str]) -> str:
        """The message, with the user's names for fields in place of the fields'."""
        return _named(self.marked, names) if self.marked else str(self)


_FIELD = re.compile(r"<([\w.]+)>")


def _named(marked: str, names: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda field: names.get(field[1], field[1]), marked)


def _escaped(character: str) -> str:
    """A character, or how Python would write it where it cannot be shown in a line."""
    unprintable = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if unprintable else character


class UsageError(JitnetError):
    """An option or argument is out of range, or two of them contradict each other."""

    exit_code = 2


class DataError(JitnetError):
    """A data set is missing, broken, or does not fit the model."""


class DownloadError(DataError):
    """No mirror delivered a file completely; the message names each mirror and what went wrong there."""


class ModelError(JitnetError):
    """A model file is missing, broken, or does not fit the data."""


class CheckpointError(JitnetError):
    """A checkpoint is missing, broken, of another version, or of another run."""


class PictureError(JitnetError):
    """A picture cannot be read, or holds nothing to recognise."""


class OutputError(JitnetError):
    """A file or folder cannot be written."""


class Busy(OutputError):
    """Another process writes there now; the message names its number."""


class DivergedError(JitnetError):
    """The loss became NaN or infinite; the message names epoch and step."""


class MissingExtra(JitnetError):
    """An optional library is needed and not installed; the message says how to install it."""


class TargetMissed(JitnetError):
    """Training ended below the requested accuracy."""

    exit_code = 4
