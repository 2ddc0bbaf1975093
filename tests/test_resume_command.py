"""`jitnet train --resume`: a run goes on as if it had never been interrupted, or one line says why it does not."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

from jitnet import runs
from jitnet.errors import OutputError, UsageError
from jitnet.render import TrainingView
from jitnet.runs import checkpoints as checkpoints_module
from jitnet.runs.checkpoints import When, parse_when
from jitnet.training import checkpoint_file

OPTIONS = ["--data", "digits", "--hidden", "16", "--epochs", "6", "--optimizer", "adam"]
TIMES = ("seconds", "samples_per_second")


def metrics(folder: str) -> list[dict]:
    lines = (json.loads(line) for line in (Path(folder) / runs.METRICS).read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def saved(folder: str) -> list[int]:
    return sorted(int(path.stem) for path in (Path(folder) / runs.CHECKPOINTS).iterdir())


def model(folder: str) -> bytes:
    return (Path(folder) / runs.MODEL).read_bytes()


@pytest.fixture
def interrupt(monkeypatch):
    """Has Ctrl-C pressed after an epoch; 0 for never again."""
    show = TrainingView.epoch
    at = [0]

    def press(self: TrainingView, report: object) -> None:
        show(self, report)
        if report.epoch == at[0]:
            signal.raise_signal(signal.SIGINT)

    def after(epoch: int) -> None:
        at[0] = epoch

    monkeypatch.setattr(TrainingView, "epoch", press)
    return after


@pytest.fixture
def stopped(call, interrupt):
    """A run in the folder `run`, stopped by Ctrl-C after three of six epochs."""
    interrupt(3)
    result = call("train", *OPTIONS, "--out", "run", "--checkpoint", "epoch")
    interrupt(0)
    assert result.code == 130
    assert "  jitnet train --resume run\n" in result.out
    return result


@pytest.mark.parametrize(
    "more", [[], ["--threads", "1"], ["--optimizer", "adam", "--hidden", "16", "--data", "digits"]]
)
def test_a_stopped_run_goes_on_to_the_same_bits(call, stopped, more):
    assert call("train", *OPTIONS, "--out", "whole", "--quiet").code == 0
    code, out, err = call("train", "--resume", "run", *more)
    assert (code, err) == (0, "")
    assert "resumed  run, after 3 epochs" in out
    assert "epoch 3/6" not in out
    assert "epoch 4/6" in out
    assert "for 6 epochs" in out
    assert "--resume" not in out
    assert model("run") == model("whole")
    assert metrics("run") == metrics("whole")
    assert [line["epoch"] for line in metrics("run")] == [1, 2, 3, 4, 5, 6]
    assert not (Path("run") / runs.LOCK).exists()


def test_the_document_has_all_epochs(call, stopped):
    code, out, err = call("train", "--resume", "run", "--json", "--quiet")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2, 3, 4, 5, 6]
    assert document["outcome"] == "trained for 6 epochs"


def test_a_finished_run_says_so(call):
    call("train", *OPTIONS, "--out", "run", "--quiet")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    code, out, err = call("train", "--resume", "run")
    assert (code, out, err) == (0, "", "! run is finished: trained for 6 epochs\n")
    other = call("train", "--resume", "run", "--hidden", "3")
    assert (other.code, "--hidden is 3, and run was begun with 16" in other.err) == (2, True)
    document = json.loads(call("train", "--resume", "run", "--json").out)
    assert document["outcome"] == "trained for 6 epochs"
    assert call("train", "--resume", "run", "--epochs", "6").err == err
    assert before == {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}


def test_epochs_may_grow_where_the_schedule_allows_it(call, interrupt):
    constant = [*OPTIONS, "--schedule", "constant"]
    call("train", *constant, "--out", "run", "--quiet")
    call("train", *constant, "--epochs", "9", "--out", "whole", "--quiet")
    interrupt(8)
    assert call("train", "--resume", "run", "--epochs", "9", "--quiet").code == 130
    interrupt(0)
    assert call("train", "--resume", "run", "--quiet").code == 0, "the new count is remembered"
    assert model("run") == model("whole")
    assert metrics("run") == metrics("whole")
    code, _, err = call("train", "--resume", "run", "--epochs", "7")
    assert (code, err.count("\n")) == (2, 1)
    assert "--epochs is 7, and the run was planned for 9; expected 9 or more" in err


REFUSED = [
    (["--epochs", "8"], "--epochs is 8, and the run was planned for 6: its --schedule one-cycle ends with them"),
    (["--lr", "0.5"], "--learning-rate is 0.5, and run was begun with 0.005; a run goes on as it began"),
    (["--hidden", "16,8"], "--hidden is 16,8, and run was begun with 16"),
    (["--shift", "2"], "--shift is 2.0, and run was begun with 0.0"),
    (["--data", "mnist"], "--data is mnist, and run was begun with digits"),
    (["--recipe", "fast"], "--recipe is fast, and run was begun with none"),
    (["--target", "price"], "--target is price, and run was begun with none"),
    (["--seed", "-1"], "--seed: expected a whole number"),
    (["--out", "other"], "--resume cannot be combined with --out"),
    (["--explain"], "--resume cannot be combined with --explain"),
    (["--checkpoint", "often"], "--checkpoint: expected auto, epoch, a count as 500steps, a time as 30s, or off"),
]


@pytest.mark.parametrize(("more", "said"), REFUSED, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_what_may_not_change_is_refused_by_name(call, stopped, more, said):
    before = model("run"), metrics("run"), saved("run")
    code, out, err = call("train", "--resume", "run", *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert (model("run"), metrics("run"), saved("run")) == before


def test_a_config_that_was_changed_is_refused_by_name(call, stopped):
    path = Path("run") / runs.CONFIG
    path.write_text(path.read_text().replace('"batch_size": 32', '"batch_size": 64'))
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "run/config.json has --batch-size 64, and the checkpoint run/checkpoints/" in err
    path.write_text('{"half')
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "run/config.json: cannot be read" in err


def test_data_that_were_changed_are_refused(call, interrupt):
    lines = ["a,b,kind"] + [f"{k % 7},{k % 5},{'xy'[k % 7 > 3]}" for k in range(80)]
    Path("rows.csv").write_text("\n".join(lines) + "\n")
    interrupt(2)
    assert call("train", "--data", "rows.csv", "--target", "kind", "--out", "run").code == 130
    interrupt(0)
    assert call("train", "--resume", "run", "--target", "a").code == 2
    whole = (Path("run") / runs.CONFIG).read_text()
    content = json.loads(whole)
    content["data"]["columns"]["weight"] = "a"
    (Path("run") / runs.CONFIG).write_text(json.dumps(content))
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "run/config.json has data.columns.weight a, and the checkpoint run/checkpoints/" in err
    (Path("run") / runs.CONFIG).write_text(whole)
    Path("rows.csv").write_text("\n".join([*lines[:-1], "6,4,x"]) + "\n")
    code, _, err = call("train", "--resume", "run", "-q")
    assert code == 1
    assert "its checksum is" in err
    assert "and the training began on" in err
    Path("rows.csv").unlink()
    Path("moved.csv").write_text("\n".join(lines) + "\n")
    assert "rows.csv" in call("train", "--resume", "run", "-q").err
    path = Path("run") / runs.CONFIG
    path.write_text(path.read_text().replace('/rows.csv"', '/moved.csv"'))
    Path("elsewhere").mkdir()
    os.chdir("elsewhere")
    assert call("train", "--resume", "../run", "--data", "../moved.csv", "--target", "kind").code == 0


def test_a_broken_checkpoint_is_passed_over(call, stopped):
    call("train", *OPTIONS, "--out", "whole", "--quiet")
    older, newer = sorted((Path("run") / runs.CHECKPOINTS).iterdir())
    newer.write_bytes(newer.read_bytes()[:1000])
    os.utime(older, (0, 0))
    code, out, err = call("train", "--resume", "run", "--checkpoint", "epoch")
    assert code == 0
    assert err == f"! {newer} is cut short or damaged: going on from {older}\n"
    assert "resumed  run, after 2 epochs" in out
    assert model("run") == model("whole")
    assert metrics("run") == metrics("whole")
    assert saved("run") == [225, 270]


def test_the_order_of_checkpoints_needs_no_clock(call, stopped):
    newest = max((Path("run") / runs.CHECKPOINTS).iterdir())
    os.utime(newest, (0, 0))
    assert "resumed  run, after 3 epochs" in call("train", "--resume", "run").out


def test_a_run_is_named_as_elsewhere(call, interrupt):
    interrupt(2)
    assert call("train", *OPTIONS, "--out", "runs/2026-03-14-mine", "--quiet").code == 130
    interrupt(3)
    assert call("train", "--resume", "mine", "--quiet").code == 130
    interrupt(0)
    assert call("train", "--resume", "@latest", "--quiet").code == 0
    assert len(metrics("runs/2026-03-14-mine")) == 6
    assert call("train", "--config", "mine", "--out", "again", "--quiet").code == 0
    assert model("again") == model("runs/2026-03-14-mine")
    assert call("train", "--data", "digits", "--init", "mine", "--epochs", "1", "--out", "more", "--quiet").code == 0


def test_a_folder_from_which_no_run_goes_on(call, stopped, monkeypatch):
    for path in (Path("run") / runs.CHECKPOINTS).iterdir():
        path.write_bytes(b"nothing")
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "run: none of its checkpoints is whole: run/checkpoints/" in err
    for path in (Path("run") / runs.CHECKPOINTS).iterdir():
        path.unlink()
    code, _, err = call("train", "--resume", "run")
    assert (code, err) == (1, "jitnet: error: run: the folder holds no checkpoint to go on from; train again\n")
    code, _, err = call("train", "--resume", "nowhere")
    assert (code, err.count("\n")) == (1, 1)
    assert "nowhere: there is no such file or folder, and no run in runs is called so" in err
    Path("empty").mkdir()
    assert "empty: holds no config.json; expected the folder of a run" in call("train", "--resume", "empty").err


def test_a_checkpoint_of_a_newer_version_is_refused(call, interrupt, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "VERSION", 2)
    interrupt(2)
    call("train", *OPTIONS, "--out", "run", "--quiet")
    monkeypatch.setattr(checkpoint_file, "VERSION", 1)
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "is a checkpoint of version 2" in err


def test_a_run_that_is_still_going_on_is_left_alone(call, stopped):
    holds = "from pathlib import Path; from jitnet.files import Lock\nwith Lock(Path('run/.lock')): "
    command = [sys.executable, "-c", f"{holds}print(1, flush=True); input()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment()) as other:
        assert other.stdout.readline() == b"1\n"
        before = saved("run")
        code, _, err = call("train", "--resume", "run")
        other.kill()
    assert (code, err.count("\n")) == (1, 1)
    assert f"run: this run is still going on as process {other.pid}" in err
    assert saved("run") == before
    assert call("train", "--resume", "run").code == 0, "the lock died with its owner"


def test_a_disk_that_is_full_for_checkpoints_is_one_line(call, monkeypatch):
    def full(path: Path, checkpoint: object) -> None:
        raise OutputError(f"{path}: the checkpoint cannot be written: no space left on device")

    monkeypatch.setattr(checkpoint_file, "write", full)
    code, out, err = call("train", *OPTIONS, "--out", "run", "--checkpoint", "epoch", "--quiet")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "the checkpoint cannot be written: no space left on device" in err
    assert call("eval", "run", "--json").code == 0, "the model of the last whole epoch is there"


@pytest.fixture
def written(monkeypatch):
    """The steps of every checkpoint that is written."""
    write, steps = checkpoint_file.write, list[int]()

    def note(path: Path, checkpoint: checkpoint_file.Checkpoint) -> None:
        steps.append(checkpoint.state.steps)
        write(path, checkpoint)

    monkeypatch.setattr(checkpoint_file, "write", note)
    return steps


@pytest.mark.parametrize(
    ("when", "expected"), [("epoch", [45, 90, 135, 180, 225, 270]), ("off", []), ("auto", [270]), ("1h", [270])]
)
def test_when_checkpoints_are_written(call, written, monkeypatch, when, expected):
    if when == "auto":  # each is expected to take more than its share of so short a run
        monkeypatch.setattr(checkpoints_module, "_EXPECTED_S", 1e6)
    assert call("train", *OPTIONS, "--out", "run", "--checkpoint", when, "--quiet").code == 0
    assert written == expected
    if when == "off":
        assert not (Path("run") / runs.CHECKPOINTS).exists()
    else:
        assert saved("run") == expected[-2:]


def test_checkpoints_after_so_many_steps(call, written, monkeypatch):
    from jitnet.training import pace

    monkeypatch.setattr(pace, "CHUNK_S", 1e-9)
    monkeypatch.setattr(pace, "TRIAL_S", 1e-9)
    assert call("train", *OPTIONS, "--out", "run", "--checkpoint", "100steps", "--quiet").code == 0
    assert written == [100, 200, 270]


def test_what_may_be_typed_for_checkpoints():
    assert parse_when("epoch") == When(epochs=True)
    assert parse_when("auto") == When(epochs=True, sparing=True)
    assert parse_when("1step") == parse_when("1 steps") == When(steps=1)
    assert parse_when("0.5s") == When(seconds=0.5)
    assert parse_when("5m") == When(seconds=300.0)
    assert parse_when("OFF").never
    for text in ("", "0steps", "0s", "s", "5", "-1s", "1e3s", "steps"):
        with pytest.raises(UsageError, match="--checkpoint: expected auto, epoch"):
            parse_when(text)


def test_checkpoints_of_another_network_or_other_data_are_refused(call, stopped):
    path = Path("run") / runs.CONFIG
    whole = path.read_text()
    before = model("run"), metrics("run"), saved("run")
    checksum = json.loads(whole)["data"]["checksum"]
    smaller = re.sub(r'"hidden": \[\s*16\s*\]', '"hidden": [8]', whole)
    for other, said in (
        (smaller, "run/config.json has --hidden 8, and the checkpoint"),
        (whole.replace(checksum, "0" * 64), f"run/config.json has the data's checksum {'0' * 64}, and the checkpoint"),
    ):
        assert other != whole
        path.write_text(other)
        code, _, err = call("train", "--resume", "run")
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
        assert (model("run"), metrics("run"), saved("run")) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": None}, "lacks the object 'data'"),
        ({"model": 5}, "lacks the object 'model'"),
        ({"train": [1]}, "lacks the object 'train'"),
        ({"data": {"path": 5}}, "its data: path: expected text, found 5"),
        ({"format": 99}, "is of format 99, which jitnet"),
    ],
)
def test_a_config_that_no_run_wrote_is_one_line(call, stopped, change, said):
    path = Path("run") / runs.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    code, out, err = call("train", "--resume", "run")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"run/config.json: {said}" in err


def test_a_new_run_takes_no_folder_that_holds_checkpoints(call, stopped):
    for name in (runs.CONFIG, runs.METRICS, runs.MODEL):
        (Path("run") / name).unlink()
    before = saved("run")
    code, _, err = call("train", *OPTIONS, "--out", "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "run holds a run already (checkpoints)" in err
    assert saved("run") == before


def test_what_is_no_file_is_no_checkpoint(call, stopped):
    os.mkfifo(Path("run") / runs.CHECKPOINTS / "000000009999.safetensors")
    (Path("run") / runs.CHECKPOINTS / "000000009998.safetensors").symlink_to("nowhere")
    assert "resumed  run, after 3 epochs" in call("train", "--resume", "run").out


def test_the_newest_run_is_named_by_latest(call, interrupt):
    interrupt(3)
    assert call("train", *OPTIONS, "-q").code == 130
    interrupt(0)
    assert "after 3 epochs" in call("train", "--resume", "@latest").out
    assert "hidden = 16" in call("train", "--config", "@latest", "--print-config").out.replace("[", "").replace("]", "")
    os.rename("runs", "others")
    for option in ("--resume", "--config"):
        code, _, err = call("train", option, "@latest")
        assert (code, err.count("\n")) == (1, 1)
        assert "@latest: there are no runs in runs" in err


def test_a_committee_does_not_go_on_as_one_run(call, stopped):
    path = Path("run") / runs.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | {"committee": 2, "result": None}))
    code, _, err = call("train", "--resume", "run")
    assert (code, err.count("\n")) == (2, 1)
    assert "run: is the run of a committee, whose members go on one by one" in err
    assert "--resume" not in call("runs", "run").out
