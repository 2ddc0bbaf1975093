"""Event files of a run, for TensorBoard, written by tensorboardX.

tensorboardX is an optional library, and only this module uses it. Its writer with a thread is not used: an error in the
thread would be lost.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from jitnet.errors import MissingExtra, OutputError
from jitnet.runs.documents import record

if TYPE_CHECKING:
    from jitnet.training.history import EpochReport

__all__ = ["EventFile", "check_installed"]


def check_installed() -> None:
    """MissingExtra where tensorboardX cannot be imported."""
    try:
        import tensorboardX.event_file_writer  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            f"--tensorboard: event files need tensorboardX ({error}); install it with: pip install tensorboardX"
        ) from None


class EventFile:
    """Writes the numbers of each epoch into an event file in a run's folder; made with the first epoch. Used in a
    `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._guarded(self._writer.close)

    def append(self, report: "EpochReport") -> None:
        """Write an epoch's numbers, to the disk: losses and accuracies by part, the learning rate, samples a second.
        OutputError where that fails."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=_tag(name), simple_value=value)
            for name, value in record(report).items()
            if name not in ("epoch", "seconds") and value is not None
        ]
        event = Event(wall_time=time.time(), step=report.epoch, summary=Summary(value=values))

        def write() -> None:
            if self._writer is None:
                self._writer = EventsWriter(str(self.folder / "events"))
            self._writer.write_event(event)
            self._writer.flush()

        self._guarded(write)

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(
                f"cannot write event files into {self.folder}: {reason}; leave out --tensorboard, or make room"
            ) from None


def _tag(name: str) -> str:
    """ "train_loss" as "loss/train": TensorBoard draws what is before the slash together."""
    part, _, measure = name.partition("_")
    return f"{measure}/{part}" if measure in ("loss", "accuracy") else name
