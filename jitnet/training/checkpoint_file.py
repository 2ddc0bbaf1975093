"""The file of a checkpoint: all that a training goes on from, in one safetensors file with a checksum over everything.

Tensors are "parameters.0.weight", "first_moment.0.weight", …, in PyTorch's layout, "best.0.weight", … where an earlier
epoch is the best so far, and "reports", a row an epoch. The metadata have the rest as JSON: the state's numbers, the
network with its names, scaling and preparation as a model's file has them, the training's config, and of the data where
they are from and their checksum.
"""

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, TrainConfig
from jitnet.datasets import safetensors_file
from jitnet.engine.packing import fold_trained
from jitnet.errors import CheckpointError, JitnetError, OutputError
from jitnet.files import write_whole
from jitnet.model.file import StoredModel, metadata_of, stored_model
from jitnet.training.checkpoint import ARRAYS, TrainingState
from jitnet.training.history import EpochReport
from jitnet.training.stopping import Seen
from jitnet.version import __version__

__all__ = ["FOLDER", "Checkpoint", "Damaged", "Found", "name_of", "newest", "paths", "read", "write"]

FOLDER = "checkpoints"
"""What the folder of checkpoints is called inside a run folder."""

FORMAT, VERSION = "jitnet checkpoint", 1

_BLANK = "0" * 64
"""What is in the checksum's place while it is computed. Its form is the same in every version."""

_REPORT = [each.name for each in fields(EpochReport)]


class Damaged(CheckpointError):
    """A checkpoint is cut short, or a bit of it has changed."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a checkpoint holds. Nothing in it changes while the training goes on.

    state: of the training. config: its config, complete. model: the network without its parameters, which `network`
    adds. learns: whether the training began with a "new" network, and whether the "scaling" of samples and that of
    "targets" are learned from the rows that are trained on. data: name, source and checksum; held_out: the checksum of
    held-out samples that the caller chose, or "". load: the arguments of `jitnet.load` that return the data, empty
    where they are not known. processor, version: what it was written on, and by which jitnet.
    """

    state: TrainingState
    config: TrainConfig
    model: StoredModel
    learns: Mapping[str, bool]
    data: Mapping[str, str]
    load: Mapping[str, Any] = field(default_factory=dict)
    processor: str = ""
    version: str = __version__

    @property
    def network(self) -> StoredModel:
        """The network with the parameters of the state, as a model's file has it."""
        state = self.state
        return self.model._replace(parameters=fold_trained(state.average or state.parameters, self.model.config))


class Found(NamedTuple):
    """The newest whole checkpoint of a run. passed_over: a line for each newer one, which is damaged."""

    path: Path
    checkpoint: Checkpoint
    passed_over: tuple[str, ...]


def name_of(state: TrainingState) -> str:
    """The name of a state's file: the steps done, so that names sort as the training went."""
    return f"{state.steps:012d}.safetensors"


def paths(folder: Path) -> list[Path]:
    """The checkpoints in a folder, the newest first, by the steps done and not by a clock."""
    try:
        files = [path for path in folder.iterdir() if path.is_file()]
    except OSError:
        return []
    found = [path for path in files if re.fullmatch(r"[0-9]{12,}\.safetensors", path.name)]
    return sorted(found, key=lambda path: -int(path.stem))


def newest(run: Path) -> Found:
    """Return the newest whole checkpoint of a run folder, or that of a file.

    Raises CheckpointError where there is none, or the newest is of another version of the format.
    """
    if run.is_file():
        return Found(run, read(run), ())
    if not run.exists():
        raise CheckpointError(f"{run}: there is no such run; name a run folder or a checkpoint")
    broken: list[str] = []
    for path in paths(run / FOLDER):
        try:
            return Found(path, read(path), tuple(broken))
        except Damaged as error:
            broken.append(str(error))
    if broken:
        raise CheckpointError(f"{run}: none of its checkpoints is whole: {'; '.join(broken)}; train again")
    raise CheckpointError(f"{run}: the folder holds no checkpoint to go on from; train again")


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all, and the same one with the same bytes; OutputError where that fails."""
    try:
        write_whole(path, as_bytes(checkpoint))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{path}: the checkpoint cannot be written: {reason}") from None


def as_bytes(checkpoint: Checkpoint) -> bytes:
    """Return the content of a checkpoint's file."""
    state, model = checkpoint.state, checkpoint.model
    arrays = {f"{name}.{key}": values for name in ARRAYS for key, values in getattr(state, name).items()}
    arrays |= {f"best.{key}": values for key, values in state.seen.best.items()}
    columns = [name for name in _REPORT if any(getattr(report, name) is not None for report in state.reports)]
    if columns:
        rows = [[getattr(report, name) for name in columns] for report in state.reports]
        arrays["reports"] = np.array(rows, np.float64)
    numbers = {name: getattr(state, name) for name in _NUMBERS}
    seen = {name: getattr(state.seen, name) for name in _SEEN}
    about = {
        "format": FORMAT,
        "version": str(VERSION),
        "checksum": _BLANK,
        "jitnet": checkpoint.version,
        "processor": checkpoint.processor,
        "state": json.dumps({**numbers, "reports": columns, "seen": seen}),
        "model": json.dumps(metadata_of(model)),
        "learns": json.dumps(dict(checkpoint.learns)),
        "train": json.dumps(checkpoint.config.model_dump(mode="json")),
        "data": json.dumps(dict(checkpoint.data)),
        "load": json.dumps(dict(checkpoint.load)),
    }
    header, *values = safetensors_file.parts(arrays, about)
    place = _place(bytes(header))
    checksum = _digest(header, *values)
    return b"".join([header[:place], checksum, header[place + len(_BLANK) :], *values])


_NUMBERS = ("epoch", "done", "steps", "totals", "schedule_epoch", "schedule_step", "seconds")
_SEEN = ("best_score", "improved", "best_epoch")


def _place(content: bytes | bytearray) -> int:
    """Where the checksum is; ValueError where there is none."""
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    found = re.search(rb'"checksum": "([0-9a-f]{64})", "data": ', header)
    if found is None:
        raise ValueError("no checksum")
    return 8 + found.start(1)


def _digest(*parts: bytes | bytearray | memoryview) -> bytes:
    """The checksum of a content in which its place is blank, as hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=len(_BLANK) // 2)
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def read(path: Path) -> Checkpoint:
    """Return what a file holds. Raises Damaged where it is cut short or a bit of it has changed, CheckpointError where
    it is of another version of the format, or no checkpoint."""
    try:
        content = bytearray(path.read_bytes())
    except OSError as error:
        unread = Damaged if error.errno == errno.EIO else CheckpointError  # the disk has lost it
        raise unread(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    damaged = Damaged(f"{path} is cut short or damaged")
    try:
        header, start = _header(content)
    except (ValueError, RecursionError):
        raise damaged from None
    about = header.get("__metadata__")
    try:
        place = _place(content)
    except ValueError:
        if isinstance(about, dict) and about.get("format") != FORMAT and _is_whole(content, header, start):
            raise CheckpointError(f"{path}: is no checkpoint; expected a file that a training wrote as one") from None
        raise damaged from None
    checksum = bytes(content[place : place + len(_BLANK)])
    content[place : place + len(_BLANK)] = _BLANK.encode()
    if not isinstance(about, dict) or _digest(content) != checksum:
        raise damaged
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path}: is no checkpoint; expected a file that a training wrote as one")
    if about.get("version") != str(VERSION):
        raise CheckpointError(
            f"{path}: is a checkpoint of version {about.get('version')}, written by jitnet {about.get('jitnet')}; this "
            f"is jitnet {__version__}, which reads version {VERSION}: go on with the one that wrote it"
        )
    try:
        return _checkpoint(path, _arrays(content, header, start), about)
    except (KeyError, ValueError, TypeError, AttributeError, JitnetError) as error:
        raise CheckpointError(
            f"{path}: written by jitnet {about.get('jitnet')}, and does not fit this jitnet {__version__} ({error}); "
            "go on with the one that wrote it"
        ) from None


def _header(content: bytearray) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its arrays begin; ValueError where there is none."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 + length or length == 0:
        raise ValueError("cut short")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, 8 + length


def _is_whole(content: bytearray, header: dict[str, Any], start: int) -> bool:
    """Whether the arrays of a file that has no checksum are all there."""
    try:
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        return start + max(ends, default=0) == len(content)
    except (KeyError, TypeError, IndexError):
        return False


def _arrays(content: bytearray, header: dict[str, Any], start: int) -> dict[str, npt.NDArray[Any]]:
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            kind, (begin, end) = np.dtype(safetensors_file.TYPES[entry["dtype"]]), entry["data_offsets"]
            values = np.frombuffer(content, kind, count=(end - begin) // kind.itemsize, offset=start + begin)
            arrays[name] = values.reshape(entry["shape"])
    return arrays


def _checkpoint(path: Path, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str]) -> Checkpoint:
    """What a whole file holds."""

    def named(name: str) -> dict[str, npt.NDArray[np.float32]]:
        return {key.removeprefix(f"{name}."): values for key, values in arrays.items() if key.startswith(f"{name}.")}

    numbers = json.loads(about["state"])
    columns, seen = numbers.pop("reports"), numbers.pop("seen")
    parts: dict[str, Any] = {**numbers, "totals": tuple(numbers["totals"])}
    parts |= {name: named(name) for name in ARRAYS}
    parts["reports"] = tuple(_report(columns, row) for row in arrays["reports"].tolist()) if columns else ()
    state = TrainingState(**parts, seen=Seen(**seen, best=named("best")))
    stored = json.loads(about["train"])
    # Fields that the version which wrote it did not have are as they were: at their defaults.
    complete = TrainConfig().model_dump(mode="json")
    for name, value in stored.items():
        complete[name] = {**complete[name], **value} if isinstance(value, dict) else value
    config = TrainConfig.model_validate_json(json.dumps(complete))
    model = json.loads(about["model"])
    shape = ModelConfig.model_validate(json.loads(model["config"]))
    parameters = fold_trained(state.average or state.parameters, shape)
    return Checkpoint(
        state,
        config,
        stored_model(path, parameters, model)._replace(parameters={}),
        json.loads(about["learns"]),
        json.loads(about["data"]),
        json.loads(about["load"]),
        about["processor"],
        about["jitnet"],
    )


def _report(columns: list[str], row: list[float]) -> EpochReport:
    values: dict[str, Any] = dict.fromkeys(_REPORT) | dict(zip(columns, row, strict=True))
    return EpochReport(**values | {"epoch": int(values["epoch"])})
