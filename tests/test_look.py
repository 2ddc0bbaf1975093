"""Looking at runs: listing, finding and comparing them, their curves, figures and event files."""

import io
import json
import math
import os
import re
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import environment

from jitnet import runs
from jitnet.cli import run as command
from jitnet.errors import ModelError, OutputError, UsageError
from jitnet.render.charts import Curve, chart
from jitnet.render.console import make_console
from jitnet.render.curves import LETTERS, run_curves, training_curves
from jitnet.runs.listing import (
    LATEST,
    RunRecord,
    differences,
    find_run,
    list_runs,
    matches,
    read_run,
    score_of,
    score_record,
    sort_runs,
)
from jitnet.runs.run_comparison import compare

STARTED = datetime(2026, 3, 14, 12, tzinfo=UTC)


def report(epoch: int, accuracy: float | None = 0.5, loss: float = 1.0, part: str = "test", **fields: Any) -> dict:
    """An epoch of 0.5 s, in which 100 samples were trained on."""
    other = "val" if part == "test" else "test"
    return {
        "epoch": epoch,
        "train_loss": loss,
        "train_accuracy": accuracy,
        f"{other}_loss": None,
        f"{other}_accuracy": None,
        f"{part}_loss": loss,
        f"{part}_accuracy": accuracy,
        "seconds": 0.5,
        "samples_per_second": 200.0,
        "learning_rate": 0.1,
        **fields,
    }


def make(folder: Path, reports: list[dict], *, ended: dict | None = None, hours: int = 0, **settings: Any) -> Path:
    """A run folder with these epochs, started so many hours after noon; ended: the result, with its score."""
    folder.mkdir(parents=True)
    train = {"epochs": 3, "batch_size": 32, "drop_last": False, "optimizer": "sgd", "learning_rate": 0.1, "seed": 0}
    config = {
        "jitnet": "0.1.0",
        "started": (STARTED + timedelta(hours=hours)).isoformat(),
        "recipe": None,
        "data": {"name": "digits", "checksum": "e6"},
        "model": {"hidden": [32], "loss": "cross-entropy", "n_parameters": 2410},
        "train": train,
    }
    for name, value in settings.items():
        table = "train" if name in (*train, "max_steps", "freeze") else "model" if name in ("hidden", "loss") else None
        if table:
            config[table] = {**config[table], name: value}
        else:
            config[name] = value
    (folder / runs.METRICS).write_text("".join(json.dumps(one) + "\n" for one in reports))
    (folder / runs.MODEL).write_bytes(b"")
    if ended is not None:
        config["result"] = {"stopped": False, **ended, "score": score_record(folder, 32, False)}
    (folder / runs.CONFIG).write_text(json.dumps(config))
    return folder


def listed(base: Path) -> dict[str, RunRecord]:
    return {one.name: one for one in list_runs(base)}


def test_runs_are_listed_newest_first_with_their_best_scores(tmp_path):
    make(tmp_path / "old", [report(1, 0.5), report(2, 0.75), report(3, 0.625)], ended={})
    make(tmp_path / "new", [report(1, None, 3.0), report(2, None, 2.0, "val"), report(3, None, 2.5, "val")], hours=1)
    new, old = list_runs(tmp_path)
    assert (new.name, old.name) == ("new", "old")
    score = old.score
    assert (score.metric, score.part, score.best, score.best_epoch) == ("accuracy", "test", 0.75, 2)
    assert (score.epochs, score.seconds, score.steps) == (3, 1.5, 12)
    assert score.steps_per_second == 8.0
    assert (new.score.metric, new.score.part, new.score.best, new.score.best_epoch) == ("loss", "val", 2.0, 2)


def test_the_best_score_is_that_of_held_out_data_where_there_are_some():
    both = report(1, 0.5, part="val") | {"test_loss": 1.0, "test_accuracy": 0.9}
    assert (score_of([both], 0, False).part, score_of([both], 0, False).best) == ("val", 0.5)
    trained_only = report(1, 0.5) | {"test_loss": None, "test_accuracy": None}
    assert score_of([trained_only], 0, False).part == "train"


def test_states(tmp_path):
    three = [report(k) for k in (1, 2, 3)]
    make(tmp_path / "finished", three, ended={})
    make(tmp_path / "early", three[:2], ended={"outcome": "no better for 5 epochs"})
    make(tmp_path / "stopped", three[:1], ended={"stopped": True})
    make(tmp_path / "killed", three[:2])
    make(tmp_path / "begun", [])
    (tmp_path / "begun" / runs.METRICS).unlink()
    (tmp_path / "begun" / runs.MODEL).unlink()
    assert {name: one.state for name, one in listed(tmp_path).items()} == {
        "finished": "finished",
        "early": "finished",
        "stopped": "stopped",
        "killed": "unfinished",
        "begun": "unfinished",
    }


def test_a_run_that_ended_is_listed_from_one_file_until_it_goes_on(tmp_path):
    folder = make(tmp_path / "run", [report(1, 0.75)], ended={"stopped": True})
    whole = (folder / runs.METRICS).read_bytes()
    (folder / runs.METRICS).write_bytes(b"\n" * len(whole))
    assert (read_run(folder).state, read_run(folder).score.best) == ("stopped", 0.75)
    (folder / runs.METRICS).write_bytes(whole + (json.dumps(report(2, 0.875)) + "\n").encode())
    assert (read_run(folder).state, read_run(folder).score.best) == ("unfinished", 0.875)


def test_a_last_line_that_was_cut_is_no_epoch(tmp_path):
    folder = make(tmp_path / "run", [report(1), report(2)])
    text = (folder / runs.METRICS).read_text()
    (folder / runs.METRICS).write_text(text[:-20])
    assert (read_run(folder).score.epochs, read_run(folder).problem) == (1, "")


def broken(folder: Path, how: str) -> None:
    config, metrics = folder / runs.CONFIG, folder / runs.METRICS
    if how == "cut":
        config.write_text(config.read_text()[:100])
    elif how == "no object":
        config.write_text("[1, 2]")
    elif how == "bytes":
        config.write_bytes(b"\xff\xfe\x00{")
    elif how == "no config":
        config.unlink()
    elif how == "config is a folder":
        config.unlink()
        config.mkdir()
    elif how == "metrics is a folder":
        metrics.unlink()
        metrics.mkdir()
    elif how == "no metrics":
        metrics.unlink()
    elif how == "no model":
        (folder / runs.MODEL).unlink()
    elif how == "bad line":
        metrics.write_text(json.dumps(report(1)) + "\nnonsense\n" + json.dumps(report(3)) + "\n")
    elif how == "text for a number":
        metrics.write_text(json.dumps(report(1)) + "\n" + json.dumps(report(2, test_accuracy="x")) + "\n")
    elif how == "no time":
        metrics.write_text(json.dumps(report(1)) + "\n" + json.dumps(report(2, seconds=float("nan"))) + "\n")
    elif how == "nested metrics":
        metrics.write_text(json.dumps(report(1)) + "\n" + "[" * 100_000 + "\n")
    elif how == "config is a pipe":
        config.unlink()
        os.mkfifo(config)
    elif how == "no report":
        metrics.write_text(json.dumps(report(1)) + '\n{"epoch": "two"}\n')
    elif how == "newer":
        config.write_text(config.read_text().replace('"jitnet": "0.1.0"', '"jitnet": "99.1.0"'))
    elif how == "wrong types":
        config.write_text(json.dumps({"data": 1, "train": [2], "model": None, "result": "x", "started": 7}))
    elif how == "nested":
        config.write_text("[" * 100_000)


BROKEN = {
    "cut": "config.json is cut short or no JSON, see its line 1",
    "no object": "config.json is no JSON object",
    "bytes": "config.json is cut short or no JSON, see its line 1",
    "no config": "config.json is missing",
    "config is a folder": "config.json is a folder",
    "metrics is a folder": "metrics.jsonl is a folder",
    "no metrics": "metrics.jsonl is missing",
    "no model": "model.safetensors is missing",
    "bad line": "metrics.jsonl: line 2 is no report of an epoch; correct or remove it",
    "no report": "metrics.jsonl: line 2 is no report of an epoch; correct or remove it",
    "nested": "config.json is cut short or no JSON",
    "text for a number": "metrics.jsonl: line 2 is no report of an epoch; correct or remove it",
    "no time": "metrics.jsonl: line 2 is no report of an epoch; correct or remove it",
    "nested metrics": "metrics.jsonl: line 2 is no report of an epoch; correct or remove it",
    "config is a pipe": "config.json is cut short or no JSON, see its line 1",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_folder_is_listed_with_what_is_wrong(call, tmp_path, how):
    make(tmp_path / "runs" / "whole", [report(k) for k in (1, 2, 3)], ended={})
    broken(make(tmp_path / "runs" / "other", [report(1), report(2), report(3)]), how)
    code, out, err = call("runs")
    assert (code, err) == (0, "")
    assert f"! other: {BROKEN[how]}\n" in out
    assert "50.00%" in out
    by_name = {one["name"]: one for one in json.loads(call("runs", "--json").out)["runs"]}
    assert (by_name["other"]["state"], by_name["other"]["problem"]) == ("broken", BROKEN[how])
    assert (by_name["whole"]["state"], by_name["whole"]["problem"]) == ("finished", None)


@pytest.mark.parametrize(
    "field",
    [
        {"best": "x"}, {"best": math.nan}, {"best_epoch": "x"}, {"seconds": None}, {"seconds": math.inf},
        {"steps": "x"}, {"epochs": -1}, {"part": "other"}, {"part": [1]}, {"metric": 5},
    ],
)  # fmt: skip
def test_a_score_that_is_none_is_computed_again(call, tmp_path, field):
    config = make(tmp_path / "runs" / "run", [report(k) for k in (1, 2, 3)], ended={}) / runs.CONFIG
    content = json.loads(config.read_text())
    content["result"]["score"].update(field)
    config.write_text(json.dumps(content | {"started": "0001-01-01T00:00:00+14:00"}))
    code, out, err = call("runs", "--sort", "score")
    assert (code, err) == (0, "")
    assert "50.00%" in out
    assert "finished" in call("runs", "--json").out


@pytest.mark.parametrize("how", ["newer", "wrong types"])
def test_a_folder_of_another_version_is_listed_as_far_as_it_can_be_read(call, tmp_path, how):
    broken(make(tmp_path / "runs" / "other", [report(k) for k in (1, 2, 3)]), how)
    code, out, err = call("runs")
    assert (code, err) == (0, "")
    assert "other" in out
    assert "50.00%" in out
    assert ("written by jitnet 99.1.0, and this is" in out) == (how == "newer")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_folder_that_may_not_be_read(call, tmp_path):
    folder = make(tmp_path / "runs" / "other", [report(1)])
    (folder / runs.CONFIG).chmod(0)
    assert "config.json cannot be read: permission denied" in call("runs").out


def test_what_holds_no_runs(call, tmp_path):
    code, out, err = call("runs")
    assert (code, err) == (0, "")
    assert "there are no runs in runs; jitnet train makes one" in out
    code, _, err = call("runs", "nowhere")
    assert (code, err) == (2, "jitnet: error: nowhere: there is no such folder; expected one that holds runs\n")
    (tmp_path / "file").touch()
    assert call("runs", "file").err == (
        "jitnet: error: file: expected a folder with runs, and it is a file; name the folder that holds them\n"
    )
    with pytest.raises(OutputError):
        list_runs(tmp_path / "file")
    assert json.loads(call("runs", "--json").out)["runs"] == []


def test_files_and_hidden_folders_are_no_runs_and_runs_in_folders_are(tmp_path):
    make(tmp_path / "sweep" / "trial-1", [report(1)])
    make(tmp_path / "sweep" / "trial-2", [report(1)], hours=1)
    make(tmp_path / ".hidden", [report(1)])
    (tmp_path / "notes.txt").touch()
    assert list(listed(tmp_path)) == ["sweep/trial-2", "sweep/trial-1"]
    assert [one.name for one in list_runs(tmp_path / "sweep" / "trial-1")] == ["trial-1"]


def test_orders(tmp_path):
    make(tmp_path / "a-2", [report(1, 0.5)])
    make(tmp_path / "a-10", [report(1, 0.75, seconds=0.25)])
    make(tmp_path / "numbers", [report(1, None, 2.0, seconds=0.75)])
    make(tmp_path / "better", [report(1, None, 1.0, seconds=1.0)])
    make(tmp_path / "begun", [])
    found = list_runs(tmp_path)
    assert [one.name for one in found] == ["numbers", "better", "begun", "a-10", "a-2"]
    assert [one.name for one in sort_runs(found, "score")] == ["a-10", "a-2", "better", "numbers", "begun"]
    assert [one.name for one in sort_runs(found, "time")] == ["better", "numbers", "a-2", "a-10", "begun"]


def test_a_run_of_a_version_without_a_setting_has_its_default(tmp_path):
    make(tmp_path / "old", [report(1)])
    make(tmp_path / "new", [report(1)], max_steps=0, freeze="")
    make(tmp_path / "short", [report(1)], max_steps=5, freeze="")
    old, new, short = (read_run(tmp_path / name) for name in ("old", "new", "short"))
    assert differences([old, new]) == []
    assert differences([old, short]) == ["train.max_steps"]


def test_the_setting_that_divides_runs_most_comes_first_and_seeds_last(tmp_path):
    for k in range(6):
        make(
            tmp_path / str(k),
            [report(1)],
            seed=k,
            optimizer="adam" if k == 0 else "sgd",
            learning_rate=[0.1, 0.2, 0.3][k // 2],
            hidden=[[32], [64]][k % 2],
        )
    found = list_runs(tmp_path)
    assert differences(found) == ["train.learning_rate", "model.hidden", "train.optimizer", "train.seed"]
    assert differences(found[:1]) == []
    assert matches(found[-1], ["digits", "optimizer=adam", "hidden=32"])
    assert not matches(found[0], ["optimizer=adam"])


def test_options_of_runs(call, tmp_path):
    for k, accuracy in enumerate((0.5, 0.75, 0.625)):
        make(
            tmp_path / "runs" / f"2026-03-14-digits-{k}",
            [report(1, accuracy)],
            hours=k,
            optimizer=["sgd", "adam"][k % 2],
        )
    document = json.loads(call("runs", "--json", "--sort", "score", "--limit", "2").out)
    assert [one["best"] for one in document["runs"]] == [0.75, 0.625]
    assert (document["n_runs"], document["differing"]) == (3, ["train.optimizer"])
    assert [one["settings"] for one in document["runs"]] == [{"train.optimizer": "adam"}, {"train.optimizer": "sgd"}]
    code, out, _ = call("runs", "--match", "optimizer=adam")
    assert code == 0
    assert "digits-1" in out
    assert "digits-2" not in out
    assert "and 2 more: --limit 0 lists all" in call("runs", "--limit", "1").out
    assert "none of the 3 runs in runs matches 'nothing'" in call("runs", "--match", "nothing").out
    code, _, err = call("runs", "--sort", "speed")
    assert (code, err) == (2, "jitnet: error: --sort: expected date, score or time, found 'speed'\n")


def test_a_list_loads_no_numbers(tmp_path):
    make(tmp_path / "runs" / "one", [report(1)])
    listing = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    code = f"{listing}\nimport jitnet.cli; jitnet.cli.main(['runs'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert "one" in done.stdout
    assert not set(done.stderr.split()) & {"numba", "llvmlite", "numpy", "safetensors", "matplotlib", "tensorboardX"}


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A folder runs, in the current folder, with three runs."""
    for k, name in enumerate(("2026-03-14-mnist", "2026-03-14-mnist-2", "2026-03-15-houses")):
        make(tmp_path / "runs" / name, [report(1)], hours=k)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        (LATEST, "2026-03-15-houses"),
        ("runs/@latest", "2026-03-15-houses"),
        ("2026-03-14-mnist", "2026-03-14-mnist"),
        ("mnist", "2026-03-14-mnist"),
        ("mnist-", "2026-03-14-mnist-2"),
        ("hou", "2026-03-15-houses"),
        ("2026-03-15", "2026-03-15-houses"),
        ("runs/2026-03-14-mnist", "2026-03-14-mnist"),
    ],
)
def test_a_run_is_found_by_its_name(base, word, found):
    assert find_run(word).resolve() == (base / found).resolve()


def test_what_no_run_is_called(base, tmp_path):
    with pytest.raises(
        UsageError, match="several runs in runs have names that begin so: 2026-03-14-mnist, 2026-03-14-m"
    ):
        find_run("2026-03")
    with pytest.raises(ModelError, match="no run in runs is called so; did you mean houses\\?"):
        find_run("house5")
    with pytest.raises(ModelError, match="did you mean @latest\\?"):
        find_run("@lates")
    with pytest.raises(ModelError, match="there are no runs in empty; jitnet train makes one"):
        find_run("empty/@latest")
    assert find_run("elsewhere/model.safetensors") == Path(
        "elsewhere/model.safetensors"
    )  # read, and refused, as a file
    (tmp_path / "mnist").mkdir()
    assert find_run("mnist") == Path("mnist")  # a path comes first
    broken(base / "2026-03-15-houses", "cut")
    assert find_run(LATEST) == Path("runs/2026-03-14-mnist-2")


def test_curves_of_several_runs_have_letters_that_are_read_without_colour():
    out = io.StringIO()
    console = make_console(out, terminal=True, width=100, colour=False)
    first = [report(k, 0.5 + k / 50, 2.0 / k) for k in range(1, 21)]
    second = [report(k, 0.3 + k / 100, 3.0 / k) | {"train_accuracy": 0.2} for k in range(1, 11)]
    run_curves(console, [first, second])
    text = out.getvalue()
    assert {"A", "B", "b"} <= set(text)
    assert max(map(len, text.splitlines())) <= 100
    lines = text.splitlines()
    assert lines[-1].split() == ["1", "epoch", "20"] * 2


def test_a_dashed_curve_has_gaps_and_its_letter():
    console = make_console(io.StringIO(), terminal=True, width=80, colour=False)
    xs, ys = [0.0, 10.0], [0.0, 1.0]
    solid, dashed, lettered = (
        "\n".join(line.plain for line in chart(console, [curve], width=40))
        for curve in (Curve(xs, ys), Curve(xs, ys, dashed=True), Curve(xs, ys, letter="A"))
    )
    dots = [sum(bin(ord(c) - 0x2800).count("1") for c in text if 0x2800 <= ord(c) < 0x2900) for text in (solid, dashed)]
    assert 0.4 * dots[0] < dots[1] < 0.6 * dots[0]
    assert lettered.count("A") == 3


@pytest.mark.parametrize(
    ("terminal", "epochs", "part", "lines"),
    [(True, 20, "val", 14), (True, 20, None, 14), (True, 1, "val", 0), (False, 20, "val", 0)],
)
def test_a_run_ends_with_small_curves_on_a_terminal(terminal, epochs, part, lines):
    out = io.StringIO()
    console = make_console(out, terminal=terminal, width=80, colour=False)
    reports = [report(k, 0.5 + k / 50, 2.0 / k, part or "val") for k in range(1, epochs + 1)]
    if part is None:
        reports = [one | {"val_loss": None, "val_accuracy": None} for one in reports]
    training_curves(console, reports)
    text = out.getvalue()
    assert 0 < len(text.splitlines()) <= lines or (not text and not lines)
    if lines:
        assert "loss" in text
        assert "accuracy, %" in text
        assert ("validation" in text.splitlines()[-1]) == (part == "val")
        assert "training" in text.splitlines()[-1]


def test_numbers_have_one_curve_of_loss_and_nan_is_left_out():
    out = io.StringIO()
    console = make_console(out, terminal=True, width=80, colour=False)
    training_curves(console, [report(k, None, math.nan if k == 2 else 1.0 / k) for k in range(1, 5)])
    assert "accuracy" not in out.getvalue()
    assert "loss" in out.getvalue()


def test_compare_shows_what_differs_and_how_each_did(call, tmp_path):
    make(tmp_path / "runs" / "first", [report(k, 0.5 + k / 100, 1.0 / k) for k in range(1, 11)], learning_rate=0.5)
    make(tmp_path / "runs" / "second", [report(k, 0.6, 2.0 / k) for k in range(1, 5)], ended={}, learning_rate=0.25)
    code, out, err = call("compare", "first", "second")
    assert (code, err) == (0, "")
    cells = {name: row for name, *row in (re.split(r" {2,}", line.strip()) for line in out.splitlines())}
    assert cells["learning_rate"] == ["0.5", "0.25"]
    assert cells["best test accuracy"] == ["60.00%", "60.00%"]
    assert cells["in epoch"] == ["10 of 10", "1 of 4"]
    assert cells["training time"] == ["5.0 s", "2.0 s"]
    assert cells["steps a second"] == ["8", "8"]
    assert cells["last test loss"] == ["0.1000", "0.5000"]
    assert "\x1b" not in out
    document = json.loads(call("compare", "first", "second", "--json").out)
    assert document["differing"] == ["train.learning_rate"]
    assert [len(one["reports"]) for one in document["runs"]] == [10, 4]
    assert [one["last_test_loss"] for one in document["runs"]] == [0.1, 0.5]


def test_what_cannot_be_compared_is_one_line(call, tmp_path):
    make(tmp_path / "runs" / "classes", [report(1)])
    make(tmp_path / "runs" / "numbers", [report(1, None)])
    make(tmp_path / "runs" / "begun", [])
    for words, said in (
        (["classes", "numbers"], "runs/classes predicts classes and runs/numbers numbers"),
        (["classes", "classes"], "runs/classes is named twice"),
        (["classes"], "found 1; name a second run"),
        (["classes", "begun"], "runs/begun: no epoch of this run has ended"),
        (["classes", "missing"], "missing: there is no such file or folder"),
        (["classes", "runs"], "runs: config.json is missing"),
    ):
        code, out, err = call("compare", *words)
        assert code in (1, 2)
        assert (out, err.count("\n")) == ("", 1)
        assert said in err


def test_compare_notices_other_data_and_losses(tmp_path):
    one = make(tmp_path / "one", [report(1)])
    other = make(tmp_path / "other", [report(1)], data={"name": "digits", "checksum": "00"}, loss="squared-error")
    assert [notice.partition(",")[0] for notice in compare([one, other]).notices] == [
        "the runs were trained on different data",
        "the runs have different loss functions",
    ]
    assert len(LETTERS) == 26


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: digits, three epochs, with event files."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = ["--hidden", "16", "--epochs", "3", "--quiet", "--tensorboard", "--out", str(folder)]
    assert command(["train", "--data", "digits", *options]) == 0
    return folder


def test_a_run_keeps_its_result(trained, call):
    config = json.loads((trained / runs.CONFIG).read_text())
    result = config["result"]
    assert (result["stopped"], result["score"]["epochs"]) == (False, 3)
    one = read_run(trained)
    assert one.state == "finished"
    reports = [json.loads(line) for line in (trained / runs.METRICS).read_text().splitlines()]
    assert one.score.best == max(report["test_accuracy"] for report in reports)
    assert one.score.steps == 3 * -(-1437 // 32)


def test_models_are_found_by_name(trained, call, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "2026-03-14-mine").symlink_to(trained)
    for word in (LATEST, "mine", "2026"):
        code, out, _ = call("eval", word, "--json")
        assert code == 0
        assert json.loads(out)["model"] == "runs/2026-03-14-mine"
    (tmp_path / "seven.pgm").write_bytes(b"P5 8 8 255\n" + bytes([0, 0, 0, 255, 255, 0, 0, 0] * 8))
    assert call("predict", LATEST, "seven.pgm").code == 0
    code, _, err = call("predict", "@newest", "seven.pgm")
    assert (code, err.count("\n")) == (1, 1)
    assert "did you mean @latest?" in err


def events(path: Path) -> list[Any]:
    """The events of a file: records of a length, its checksum, the event, and its checksum."""
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    found, data = [], path.read_bytes()
    while data:
        (length,) = struct.unpack("Q", data[:8])
        assert struct.unpack("I", data[8:12])[0] == masked_crc32c(data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_event_files_have_the_metrics(trained):
    pytest.importorskip("tensorboardX")
    (path,) = trained.glob("events.out.tfevents.*")
    first, *others = events(path)
    assert first.file_version == "brain.Event:2"
    reports = [json.loads(line) for line in (trained / runs.METRICS).read_text().splitlines()]
    assert [event.step for event in others] == [1, 2, 3]
    for event, one in zip(others, reports, strict=True):
        values = {value.tag: value.simple_value for value in event.summary.value}
        assert values == {
            "loss/train": pytest.approx(one["train_loss"]),
            "accuracy/train": pytest.approx(one["train_accuracy"]),
            "loss/test": pytest.approx(one["test_loss"]),
            "accuracy/test": pytest.approx(one["test_accuracy"]),
            "samples_per_second": pytest.approx(one["samples_per_second"]),
            "learning_rate": pytest.approx(one["learning_rate"]),
        }


def test_without_tensorboardx_it_says_so_before_training(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    code, out, err = call("train", "--data", "digits", "--tensorboard")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "pip install tensorboardX" in err
    assert not Path("runs").exists()


def test_a_disk_that_is_full_names_the_event_files(tmp_path, monkeypatch):
    writer = pytest.importorskip("tensorboardX.event_file_writer")
    from jitnet.runs.event_files import EventFile
    from jitnet.training.history import EpochReport

    def full(self: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer.EventsWriter, "flush", full)
    with pytest.raises(OutputError, match="no space left on device; leave out --tensorboard"):
        EventFile(tmp_path).append(EpochReport(1, 1.0, 0.5, 1.0, 0.5, None, None, 1.0, 1.0, 0.1))


def test_a_run_is_drawn_as_a_figure(trained, call):
    pytest.importorskip("matplotlib")
    code, out, err = call("plot", trained, "--out", "one.png")
    assert (code, out, err) == (0, "wrote one.png\n", "")
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_runs_are_the_same_figure(tmp_path):
    pytest.importorskip("matplotlib")
    from jitnet.render.run_figure import run_file
    from jitnet.runs.run_comparison import read_curves

    found = [read_curves(make(tmp_path / name, [report(k) for k in (1, 2)])) for name in ("one", "$two_$")]
    first, second = (run_file(found, "svg") for _ in range(2))
    assert first == second
    assert first.startswith(b"<?xml")


def test_a_figure_has_what_the_data_are_there_for(trained, call, monkeypatch):
    pytest.importorskip("matplotlib")
    from jitnet.model import Model
    from jitnet.render.run_figure import run_figure
    from jitnet.runs.evaluated_data import evaluated_data
    from jitnet.runs.run_comparison import read_curves
    from jitnet.runs.run_figure_data import first_layer, judged

    model = Model.load(trained)
    found = judged(model, evaluated_data(model, trained))
    figure = run_figure([read_curves(trained)], found, first_layer(model))
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    for title in ("accuracy, %", "learning rate", "confusion", "calibration", "first layer: weights of 16 units"):
        assert any(one.startswith(title) for one in titles), title
    assert sum(" as " in one.replace("\n", " ") for one in titles) == len(found.result.mistakes)
    matrix = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("confusion"))
    assert sum(int(text.get_text()) for text in matrix.texts) == 360
    both = run_figure([read_curves(trained)] * 2)
    assert len(both.axes) == 3
    assert [len(axes.lines) for axes in both.axes] == [4, 4, 2]


def test_without_data_a_figure_has_the_rest_and_says_so(trained, call, tmp_path):
    pytest.importorskip("matplotlib")
    from jitnet.model import Model

    folder = tmp_path / "copy"
    folder.mkdir()
    for name in (runs.CONFIG, runs.METRICS):
        (folder / name).write_bytes((trained / name).read_bytes())
    model = Model.load(trained)
    model.metadata |= {"data_path": "/gone/data.npz"}
    model.save(folder / runs.MODEL)
    code, _, err = call("plot", folder, "--out", "part.svg")
    assert code == 0
    assert "! scores and mistakes are left out: " in err
    assert Path("part.svg").read_bytes().startswith(b"<?xml")
    (folder / runs.MODEL).unlink()
    code, _, err = call("plot", folder, "--out", "less.pdf")
    assert code == 0
    assert "! weights, scores and mistakes are left out: " in err
    assert Path("less.pdf").read_bytes().startswith(b"%PDF")


def test_rows_of_a_table_are_named_by_what_identifies_them(call):
    from jitnet.model import Model
    from jitnet.runs.evaluated_data import evaluated_data
    from jitnet.runs.run_figure_data import judged

    call("data", "sample")
    assert call("train", "--data", "sample.csv", "--target", "rent", "--epochs", "2", "--out", "rents", "-q").code == 0
    model = Model.load("rents")
    found = judged(model, evaluated_data(model, Path("rents")))
    flats = {line.split(",")[0] for line in Path("sample.csv").read_text().splitlines()}
    assert len(found.names) == len(found.result.deviations)
    for name in found.names:
        assert name.startswith("flat ")
        assert name.removeprefix("flat ") in flats


def test_what_cannot_be_drawn_is_one_line(trained, call, monkeypatch):
    for words, said in (
        ([trained, "--out", "x.jpg"], "expected a name that ends in .svg, .png or .pdf"),
        ([trained, "--out", "no/x.png"], "does not exist; make it first"),
        (["missing", "--out", "x.png"], "missing: there is no such file or folder"),
        (
            [trained, trained, "--data", "digits", "--out", "x.png"],
            "--data and --test-data are for the figure of one run",
        ),
    ):
        code, out, err = call("plot", *words)
        assert code in (1, 2)
        assert (out, err.count("\n")) == ("", 1)
        assert said in err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "jitnet.render.run_figure", raising=False)
    code, _, err = call("plot", trained, "--out", "x.png")
    assert (code, err.count("\n")) == (1, 1)
    assert "pip install matplotlib" in err
    assert not Path("x.png").exists()
