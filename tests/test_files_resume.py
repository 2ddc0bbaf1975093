"""A run goes on from every state that a crash may leave its folder in, to the bits of one that was never stopped."""

import errno
import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest
from crashes import FAILURES, Disk, build, failing, filling

import jitnet
from jitnet import runs
from jitnet.errors import CheckpointError, JitnetError, OutputError, UsageError
from jitnet.files import read_lines
from jitnet.runs.resuming import Finished, resume
from jitnet.runs.run_settings import Settings
from jitnet.runs.run_training import describe, train_run
from jitnet.training import checkpoint_file

rng = np.random.default_rng(7)
FEATURES = rng.normal(size=(70, 9)).astype(np.float32)
DATA = jitnet.from_arrays(FEATURES, np.where(FEATURES[:, 0] * FEATURES[:, 1] > 0.2, "yes", "no"))
EPOCHS = 3


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """The disk itself is not needed: what it would have is known from the calls."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def trainer() -> jitnet.Trainer:
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=9, n_classes=2, hidden=(5,)), DATA, seed=3)
    config = jitnet.TrainConfig(
        epochs=EPOCHS, batch_size=16, seed=5, optimizer="adam", threads=1, val_split=0.2, keep="best"
    )
    return jitnet.Trainer(model, DATA, config)


def train(folder: Path) -> None:
    """As `jitnet train --out FOLDER` does it."""
    one = trainer()
    with runs.claim(folder) as run:
        run.write_config(describe(one, Settings()))
        train_run(one, run, checkpoint="epoch")


def go_on(folder: Path) -> int:
    """As `jitnet train --resume FOLDER` does it; the epochs that it had not to repeat."""
    found = resume(folder, Settings())
    if isinstance(found, Finished):
        return EPOCHS
    one = found.trainer(DATA)
    with found.run as run:
        found.begin(one)
        train_run(one, run, checkpoint="epoch")
    return found.found.checkpoint.state.epoch


def outcome(folder: Path) -> tuple[list[bytes], list[tuple[int, float]], str]:
    """The final weights, each epoch's loss, and why the run ended."""
    weights = [values.tobytes() for values in jitnet.Model.load(folder).parameters.values()]
    lines = [json.loads(line) for line in read_lines(folder / runs.METRICS)]
    return (
        weights,
        [(each["epoch"], each["train_loss"]) for each in lines],
        json.loads((folder / runs.CONFIG).read_text())["outcome"],
    )


@pytest.mark.usefixtures("_compiled")
def test_a_run_goes_on_from_every_state_that_a_crash_leaves(tmp_path, monkeypatch, record_property):
    """And it loses no checkpoint whose writing had ended."""
    (tmp_path / "disk").mkdir()
    disk, write = Disk(tmp_path / "disk"), checkpoint_file.write

    def watched(path: Path, checkpoint: checkpoint_file.Checkpoint) -> None:
        write(path, checkpoint)
        disk.promise(checkpoint.state.epoch)

    monkeypatch.setattr(checkpoint_file, "write", watched)
    with disk.recording():
        train(tmp_path / "disk" / "run")
    monkeypatch.setattr(checkpoint_file, "write", write)
    undisturbed = outcome(tmp_path / "disk" / "run")
    assert [epoch for epoch, _ in undisturbed[1]] == [1, 2, 3]
    record_property("states after a crash", len(disk.crash_states))
    reached = set()
    for number, (tree, promised) in enumerate(disk.crash_states.items()):
        build(tree, tmp_path / str(number))
        run = tmp_path / str(number) / "run"
        epoch, refused = 0, ""
        try:
            epoch = go_on(run)
        except (CheckpointError, UsageError) as error:
            refused = str(error)
        assert epoch >= promised, f"{refused}: {[name for name, _ in tree]}"
        assert str(run) in refused if refused else outcome(run) == undisturbed
        reached.add(epoch)
    assert reached == {0, 1, 2, 3}


@pytest.mark.usefixtures("_compiled")
def test_a_run_in_which_a_call_fails_ends_in_a_line_and_goes_on(tmp_path, record_property):
    """For every call of it, with the errors and when they come taking turns."""
    with failing(0, FAILURES[0]()) as calls:
        train(tmp_path / "whole")
    undisturbed = outcome(tmp_path / "whole")
    record_property("failing calls", len(calls))
    for k, call in enumerate(calls, 1):
        run, error, raised, refused = tmp_path / str(k), FAILURES[k % 3](), None, ""
        with failing(k, error, after=k // 3 % 2 == 1):
            try:
                train(run)
            except (JitnetError, KeyboardInterrupt) as caught:
                raised = caught
        case = f"{k}, {call}, {error!r} ended with {raised!r}"
        if isinstance(error, OSError) and raised is not None:
            assert isinstance(raised, OutputError), case
            assert str(error.strerror).lower() in str(raised).lower(), case
            assert str(run) in str(raised), case
            assert "\n" not in str(raised), case
        if not run.exists():
            continue
        try:
            go_on(run)
        except (CheckpointError, UsageError) as caught:
            refused = str(caught)
        ended = [json.loads(line) for line in read_lines(run / runs.METRICS)] if (run / runs.METRICS).exists() else []
        if refused and ended:  # the checkpoint is what failed
            assert len(jitnet.Model.load(run).weights) == 2, f"{case}: {refused}"
        assert refused or outcome(run) == undisturbed, case


@pytest.mark.usefixtures("_compiled")
def test_a_disk_that_is_full_at_the_start_is_one_line(call, tmp_path, record_property):
    """From the first call on, and from each later one until the network is trained."""
    arguments = ("train", "--data", "digits", "--epochs", 1, "--threads", 1, "--quiet", "--out")
    with filling(0) as calls:
        assert call(*arguments, tmp_path / "runs" / "whole").code == 0
    record_property("failing calls", len(calls))
    for k in range(1, len(calls) + 1):
        run = tmp_path / str(k) / "run"
        with filling(k):
            done = call(*arguments, run)
        assert (done.code, done.out) == (1, ""), f"{k}: {done.err}"
        assert done.err.startswith("jitnet: error: "), done.err
        assert "no space left on device" in " ".join(done.err.lower().split()), done.err
        assert str(run) in "".join(done.err.split()), done.err
        assert not list(tmp_path.rglob("*.part")), k
        left = [str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()]
        kept = {runs.CONFIG} <= {*left} and (runs.MODEL in left or any(runs.CHECKPOINTS in name for name in left))
        assert kept or not run.parent.exists(), f"{k}: {left}"


def test_a_folder_that_cannot_be_locked_is_trained_in_with_a_notice(call, tmp_path, monkeypatch):
    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    done = call("train", "--data", "digits", "--epochs", 1, "--quiet", "--out", tmp_path / "run")
    assert done.code == 0
    assert "its file system cannot lock files (no locks available)" in " ".join(done.err.split())
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        runs.CHECKPOINTS,
        runs.CONFIG,
        runs.METRICS,
        runs.MODEL,
    ]
