"""Every file in every state that a crash may leave it in, and with every system call failing: old or new, whole."""

import hashlib
import io
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashes import FAILURES, Disk, build, failing

import jitnet
from jitnet import runs
from jitnet.cli.common import write_output
from jitnet.cli.table_rows import opened
from jitnet.compiler import cache as code_cache
from jitnet.compiler.numba_parts import files_of
from jitnet.datasets import download as downloads
from jitnet.datasets.sample_table import write_sample
from jitnet.errors import JitnetError, OutputError
from jitnet.files import append, read_lines, remove, write_whole
from jitnet.pictures import write_pgm
from jitnet.training import checkpoint_file

pytestmark = pytest.mark.small


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """The disk itself is not needed: what it would have is known from the calls."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


DATA = jitnet.from_arrays(
    np.arange(48, dtype=np.uint8).reshape(6, 8), np.arange(6) % 2, name="made", class_names=["no", "yes"]
)


def network(seed: int) -> jitnet.Model:
    return jitnet.Model.create(jitnet.ModelConfig(in_features=8, hidden=(3,), n_classes=2), DATA, seed=seed)


@cache
def checkpoint(epochs: int) -> Any:
    config = jitnet.TrainConfig(epochs=epochs, batch_size=3, threads=1, optimizer="adam")
    trainer = jitnet.Trainer(network(1), DATA, config)
    trainer.run()
    return trainer.checkpoint()


@dataclass(frozen=True)
class Report:
    epoch: int


REMOTE = bytes(range(256)) * 40


class Response(io.BytesIO):
    """What a server sends, in pieces."""

    status, headers = 200, {"Content-Length": str(len(REMOTE))}

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(3000)


def downloaded(folder: Path) -> None:
    file = downloads.RemoteFile("file", "sha256", hashlib.sha256(REMOTE).hexdigest(), len(REMOTE))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "_open", lambda *_: Response(REMOTE))
        downloads.download(file, ["http://mirror"], folder / "data")


def predicted(folder: Path, text: str) -> None:
    with opened(folder / "rows.csv") as file:
        file.write(text)


def stored(folder: Path, code: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_cache, "cache_folder", folder)
        code_cache.write_all({"function": code_cache.ObjectCode("symbol", code)})


def stored_code(folder: Path) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_cache, "cache_folder", folder)
        return code_cache.read_all()


def numbas_files(folder: Path) -> Any:
    files = files_of(json.dumps)._cache_file
    files._cache_path, files._index_path = str(folder), str(folder / "index")
    return files


def stored_function(folder: Path, key: str, code: bytes) -> None:
    """As `CompiledCode` does it."""
    with suppress(OSError):
        numbas_files(folder).save(key, code)


def numbas_code(folder: Path) -> Any:
    """What is loaded for two keys; what cannot be read is compiled again."""
    found = []
    for key in ("first", "second"):
        try:
            found.append(numbas_files(folder).load(key))
        except Exception:
            found.append(None)
    return found


def named(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A reader of one file in the folder; None where there is none."""
    return lambda folder: read(folder / name) if (folder / name).exists() else None


def arrays_of(path: Path) -> Any:
    dataset = jitnet.load(path)
    return dataset.train.images.tobytes(), dataset.train.labels.tobytes(), dataset.class_names


def nothing(folder: Path) -> None:
    pass


def as_output(path: Path, write: Callable[[Path], object]) -> None:
    """What callers of the module do with its errors."""
    try:
        write(path)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def append_as_output(path: Path, line: bytes) -> None:
    as_output(path, lambda path: append(path, line))


@dataclass(frozen=True)
class Kind:
    """A kind of file: how the old and the new one are written in a folder, and how they are read.

    name: of the file, as errors name it. again: whether it can be made again, and so may be missing after a crash.
    """

    name: str
    old: Callable[[Path], object]
    new: Callable[[Path], object]
    read: Callable[[Path], Any]
    again: bool = False


def bytes_of(name: str) -> Callable[[Path], Any]:
    return named(name, Path.read_bytes)


def folders_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


LONG = b"content\n" * 500

KINDS = {
    "model": Kind(
        "model.safetensors",
        lambda folder: network(1).save(folder / "model.safetensors"),
        lambda folder: network(2).save(folder / "model.safetensors"),
        named("model.safetensors", lambda path: [each.tobytes() for each in jitnet.Model.load(path).weights]),
    ),
    "checkpoint": Kind(
        "checkpoint.safetensors",
        lambda folder: checkpoint_file.write(folder / "checkpoint.safetensors", checkpoint(1)),
        lambda folder: checkpoint_file.write(folder / "checkpoint.safetensors", checkpoint(2)),
        named("checkpoint.safetensors", lambda path: checkpoint_file.as_bytes(checkpoint_file.read(path))),
    ),
    "config": Kind(
        "config.json",
        lambda folder: runs.Run(folder).write_config({"epochs": 1}),
        lambda folder: runs.Run(folder).write_config({"epochs": 2, "hidden": list(range(200))}),
        named("config.json", lambda path: json.loads(path.read_text())),
    ),
    "metrics": Kind(
        "metrics.jsonl",
        lambda folder: runs.Run(folder).append(Report(1)),
        lambda folder: runs.Run(folder).append(Report(2)),
        named("metrics.jsonl", lambda path: [json.loads(line) for line in read_lines(path)]),
    ),
    "first line of metrics": Kind(
        "metrics.jsonl",
        nothing,
        lambda folder: runs.Run(folder).append(Report(1)),
        lambda folder: read_lines(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else [],
    ),
    "line behind a torn one": Kind(
        "lines",
        lambda folder: (folder / "lines").write_bytes(b"first\n" + b"torn" * 9),
        lambda folder: append_as_output(folder / "lines", b"the second line\n"),
        named("lines", read_lines),
    ),
    "run folder": Kind(
        "run",
        nothing,
        lambda folder: runs.claim(folder / "runs" / "run"),
        lambda folder: (folder / "runs" / "run").is_dir() or None,
    ),
    "data as safetensors": Kind(
        "new.safetensors",
        nothing,
        lambda folder: jitnet.convert(DATA, folder / "new.safetensors"),
        named("new.safetensors", arrays_of),
    ),
    "data as npz": Kind(
        "new.npz", nothing, lambda folder: jitnet.convert(DATA, folder / "new.npz"), named("new.npz", arrays_of)
    ),
    "data as a folder": Kind(
        "new", nothing, lambda folder: jitnet.convert(DATA, folder / "new"), named("new", arrays_of)
    ),
    "data in an empty folder": Kind(
        "new",
        lambda folder: (folder / "new").mkdir(),
        lambda folder: jitnet.convert(DATA, folder / "new"),
        lambda folder: arrays_of(folder / "new") if any((folder / "new").iterdir()) else None,
    ),
    "predictions": Kind(
        "rows.csv",
        lambda folder: predicted(folder, "old\n" * 9000),
        lambda folder: predicted(folder, "new\n" * 9000),
        bytes_of("rows.csv"),
    ),
    "output of an option": Kind(
        "trace.json",
        lambda folder: write_output("--trace", folder / "trace.json", "old"),
        lambda folder: write_output("--trace", folder / "trace.json", "new" * 999),
        bytes_of("trace.json"),
    ),
    "picture": Kind(
        "picture.pgm",
        lambda folder: write_pgm(folder / "picture.pgm", np.zeros((9, 9), np.uint8)),
        lambda folder: write_pgm(folder / "picture.pgm", np.ones((9, 9), np.uint8)),
        bytes_of("picture.pgm"),
    ),
    "sample table": Kind(
        "sample.csv", nothing, lambda folder: write_sample(folder / "sample.csv"), bytes_of("sample.csv")
    ),
    "download": Kind("data", nothing, downloaded, bytes_of("data/file")),
    "file that is removed": Kind(
        "file",
        lambda folder: write_whole(folder / "file", LONG),
        lambda folder: as_output(folder / "file", remove),
        bytes_of("file"),
    ),
    "compiled code": Kind(
        "", lambda folder: stored(folder, LONG), lambda folder: stored(folder, LONG[::-1]), stored_code, again=True
    ),
    "code of a function": Kind(
        "",
        lambda folder: numbas_files(folder).save("first", LONG),
        lambda folder: stored_function(folder, "second", LONG[::-1]),
        numbas_code,
        again=True,
    ),
    "code where another's was": Kind(
        "",
        lambda folder: (numbas_files(folder).save("first", LONG), numbas_files(folder).flush()),
        lambda folder: stored_function(folder, "second", LONG[::-1]),
        numbas_code,
        again=True,
    ),
}


def allowed(kind: Kind, found: Any, before: Any, after: Any) -> bool:
    """Whether this is what a reader may find: the old content or the new one; of code nothing that is not right."""
    if not kind.again:
        return found in (before, after)
    if not isinstance(found, list):
        return found in (before, after, None)
    return all(each in (old, new, None) for each, old, new in zip(found, before, after, strict=True))


@pytest.mark.parametrize("name", KINDS)
def test_after_a_crash_at_any_time_there_is_the_old_content_or_the_new(name, tmp_path, record_property):
    kind, folder = KINDS[name], tmp_path / "disk"
    folder.mkdir()
    kind.old(folder)
    before = kind.read(folder)
    disk = Disk(folder)
    with disk.recording():
        kind.new(folder)
        disk.promise(1)
    after = kind.read(folder)
    assert before != after
    record_property("states after a crash", len(disk.crash_states))
    for number, (tree, promised) in enumerate(disk.crash_states.items()):
        place = tmp_path / str(number)
        build(tree, place)
        found = kind.read(place)
        assert allowed(kind, found, before, after), f"{tree} is read as {found}"
        if promised and not kind.again:
            assert found == after, f"{tree} is read as {found}, after the new content was reported as written"


MODES = ("it alone", "it alone, once it is done", "it and all after it")


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: getattr(failure(), "strerror", "interrupt"))
@pytest.mark.parametrize("name", KINDS)
def test_whatever_call_fails_there_is_the_old_content_or_the_new(name, failure, tmp_path, record_property):
    kind, whole = KINDS[name], tmp_path / "whole"
    whole.mkdir()
    kind.old(whole)
    before = kind.read(whole)
    with failing(0, failure()) as calls:
        kind.new(whole)
    after = kind.read(whole)
    record_property("failing calls", len(MODES) * len(calls))
    for mode, call, k in ((mode, call, k) for mode in MODES for k, call in enumerate(calls, 1)):
        error, raised, case = failure(), None, f"{mode}: {k}, {call}"
        folder = tmp_path / f"{MODES.index(mode)}-{k}"
        folder.mkdir()
        kind.old(folder)
        with failing(k, error, after=mode == MODES[1], for_ever=mode == MODES[2]):
            try:
                kind.new(folder)
            except (JitnetError, KeyboardInterrupt) as caught:
                raised = caught
        found = kind.read(folder)
        assert allowed(kind, found, before, after), f"{case}: it is read as {found}"
        if raised is None and not kind.again:
            assert found == after, f"{case}: the error is hidden"
        if isinstance(error, OSError):
            assert raised is None or isinstance(raised, OutputError), case
        if isinstance(raised, OutputError):
            assert kind.name in str(raised), case
            assert str(error.strerror).lower() in str(raised).lower(), case
            assert "\n" not in str(raised), case
        if mode != MODES[2] and call not in ("unlink", "rmdir"):
            assert not list(folder.rglob("*.part")), f"{case}: a temporary file is left"
