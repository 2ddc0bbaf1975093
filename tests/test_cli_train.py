"""`jitnet train` and `eval` from end to end, on the embedded digits."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, offline

from jitnet import runs
from jitnet.cli import run
from jitnet.datasets import convert, from_arrays, load
from jitnet.errors import DivergedError
from jitnet.machine.host import describe_machine
from jitnet.model import Model
from jitnet.training import trainer as trainer_module
from jitnet.training.pace import Pace
from jitnet.training.trainer import EpochReport, Trainer

METRICS = ("epoch", "train_loss", "train_accuracy", "test_accuracy", "seconds", "samples_per_second", "learning_rate")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: digits, eight epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert run(["train", "--data", "digits", "--hidden", "32", "--epochs", "8", "--quiet", "--out", str(folder)]) == 0
    return folder


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / runs.METRICS).read_text().splitlines()]


def test_a_run_folder_holds_model_config_and_metrics(trained):
    assert sorted(path.name for path in trained.iterdir()) == [
        runs.CHECKPOINTS,
        runs.CONFIG,
        runs.METRICS,
        runs.MODEL,
    ]
    lines = metrics(trained)
    assert [line["epoch"] for line in lines] == list(range(1, 9))
    for line in lines:
        assert set(METRICS) <= set(line)
        assert 0 <= line["test_accuracy"] <= 1
        assert line["seconds"] > 0
    assert lines[-1]["test_accuracy"] > 0.85
    assert lines[-1]["train_loss"] < lines[0]["train_loss"]
    config = json.loads((trained / runs.CONFIG).read_text())
    assert config["model"]["hidden"] == [32]
    assert config["train"]["epochs"] == 8
    assert config["data"]["name"] == "digits"
    assert config["data"]["checksum"] == load("digits").checksum


@pytest.mark.parametrize("options", [[], ["--threads", "1"]])
def test_the_count_of_threads_is_said_once(call, options):
    out = call("train", "--data", "digits", "--epochs", "1", "--hidden", "128", *options).out
    [said] = [line for line in out.splitlines() if line.startswith("threads ")]
    assert not options or said.split(maxsplit=1)[1] == "1 (as asked)"
    assert "tried" not in said.replace("too short to try", ""), "in so few steps no other count is tried"


def test_what_training_says_without_a_terminal(call):
    code, out, err = call("train", "--data", "digits", "--epochs", "2", "--hidden", "16,8")
    assert code == 0
    assert len(re.findall(r"^epoch \d/2  loss ", out, re.MULTILINE)) == 2
    for said in ("threads", "vectors", "threading layer", "64 → 16", "16 → 8", "8 → 10", "1,266", "best test accuracy"):
        assert said in out
    folder = re.search(r"jitnet eval (runs/\S+)", out)[1]
    assert folder.endswith("-digits")
    assert (Path(folder) / runs.MODEL).is_file()
    assert "\x1b" not in out + err
    assert "\r" not in out + err
    assert "Traceback" not in err


def test_runs_are_never_written_over(call, trained, tmp_path):
    for _ in range(2):
        assert call("train", "--data", "digits", "--epochs", "1", "--hidden", "", "--quiet").code == 0
    names = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(names) == 2
    assert names[1] == names[0] + "-2"
    before = (trained / runs.MODEL).read_bytes()
    code, out, err = call("train", "--data", "digits", "--epochs", "1", "--out", trained)
    assert (code, out) == (1, "")
    assert "holds a run already" in err
    assert (trained / runs.MODEL).read_bytes() == before


def test_without_data_and_network_it_trains_on_digits_and_says_so(call):
    code, _, err = call("train", "--epochs", "1", "--quiet")
    assert code == 0
    notice = " ".join(err.split())
    for said in ("MNIST", "127.0.0.1:1", "digits", "jitnet data fetch mnist", "JITNET_DATA"):
        assert said in notice
    assert err.count("could not be loaded") == 1


def test_json_is_one_document(call):
    code, out, err = call("train", "--data", "digits", "--epochs", "2", "--hidden", "8", "--json")
    assert code == 0
    document = json.loads(out)
    assert [epoch["epoch"] for epoch in document["epochs"]] == [1, 2]
    assert document["best_test_accuracy"] == max(epoch["test_accuracy"] for epoch in document["epochs"])
    assert document["last_test_accuracy"] == document["epochs"][-1]["test_accuracy"]
    assert Path(document["saved"]).is_file()
    assert document["model"]["hidden"] == [8]
    machine, reason = document["machine"], document["threads_reason"]
    assert reason.startswith(f"{document['threads']} of {machine['cores']} core")
    kept = json.loads((Path(document["run"]) / "config.json").read_text())
    assert (kept["threads"], kept["threads_reason"]) == (document["threads"], reason)
    assert err.count("\nepoch ") + err.startswith("epoch ") == 2


@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_the_run_s_record_has_the_threads_that_were_chosen_at_the_end(call, monkeypatch):
    class Ending(Pace):
        """Begins on two threads and finds one faster."""

        def note(self, *arguments: float) -> None:
            super().note(*arguments)
            if self.chooses:
                self._times |= {1: deque([1e-6] * 3), 2: deque([2e-6] * 3)}
                self.best = self.threads = 1

    monkeypatch.setattr(trainer_module, "Pace", Ending)
    begun, write = [], runs.Run.write_config

    def noted(folder: runs.Run, config: dict[str, object]) -> None:
        begun.append(config["threads"])
        write(folder, config)

    monkeypatch.setattr(runs.Run, "write_config", noted)
    options = ["--epochs", "2", "--hidden", "512", "--batch-size", "512", "--out", "r"]
    code, _, _ = call("train", "--data", "digits", *options)
    kept = json.loads(Path("r/config.json").read_text())
    assert (code, begun[0], kept["threads"]) == (0, 2, 1)
    assert kept["threads_reason"].startswith("1 of ")
    assert "tried 2, 1; a step took 1 µs on 1, 2 on 2" in kept["threads_reason"]


def test_quiet_shows_results_only(call):
    code, out, err = call("train", "--data", "digits", "--epochs", "2", "--hidden", "8", "--quiet")
    assert (code, err) == (0, "")
    assert "epoch 1/2" not in out
    assert "last test accuracy" in out


def test_the_same_seed_gives_the_same_model_at_any_thread_count(call):
    saved = []
    for number, (seed, threads) in enumerate([(3, 1), (3, 2), (4, 1)]):
        options = ["--data", "digits", "--epochs", "1", "--seed", seed, "--threads", threads, "--out", f"r{number}"]
        code, _, err = call("train", *options, "--quiet")
        if code == 2 and threads == 2 and "--threads" in err:
            pytest.skip("needs two cores")
        assert code == 0
        saved.append((Path(f"r{number}") / runs.MODEL).read_bytes())
    assert tensors(saved[0]) == tensors(saved[1])
    assert tensors(saved[0]) != tensors(saved[2])


def tensors(file: bytes) -> bytes:
    """The numbers of a safetensors file, without its header."""
    return file[8 + int.from_bytes(file[:8], "little") :]


def test_more_threads_than_the_machine_has(call):
    code, out, err = call("train", "--data", "digits", "--threads", "1024")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--threads" in err
    assert "1024" in err.replace(",", "")
    assert not Path("runs").exists()


def test_a_recipe_is_overridden_by_what_is_typed(call):
    code, out, _ = call(
        "train", "--data", "digits", "--recipe", "seed", "--epochs", "1", "--hidden", "8", "--json", "-q"
    )
    assert code == 0
    document = json.loads(out)
    assert document["train"]["learning_rate"] == 1e-3
    assert document["train"]["shuffle"] is False
    assert document["train"]["epochs"] == 1
    assert document["model"]["hidden"] == [8]
    assert document["model"]["init"] == "normal"


def test_the_header_counts_what_is_trained_on_held_out_and_tested(call):
    out = call("train", "--data", "digits", "--epochs", "1", "--hidden", "8", "--val-split", "0.1").out
    assert out.startswith("data     digits: 1,293 samples to train on, 144 held out, 360 to test, 10 classes\n")


def test_two_files_of_csv(call):
    rows = np.array([[n % 3, n % 3 * 10, n % 5, (n % 3) ** 2] for n in range(60)])
    np.savetxt("train.csv", rows, "%d", ",")
    np.savetxt("test.csv", rows[:9], "%d", ",")
    options = ["--data", "train.csv", "--test-data", "test.csv", "--epochs", "40", "--hidden", "8", "--out", "run"]
    assert call("train", *options, "--quiet").code == 0
    assert metrics(Path("run"))[-1]["test_accuracy"] == 1.0
    assert json.loads((Path("run") / runs.CONFIG).read_text())["data"]["n_test"] == 9
    assert call("eval", "run", "--json").code == 0


def test_a_loss_that_runs_away_stops_the_run(call):
    options = ["--data", "digits", "--hidden", "64,64,64,64", "--lr", "100", "--out", "run"]
    code, _, err = call("train", *options, "--quiet")
    assert code == 1
    assert re.search(r"epoch 1, step \d+.*--learning-rate, now 100", err)
    assert err.count("\n") == 1
    assert not Path("run").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, DivergedError("the loss became NaN")])
def test_a_run_that_ends_before_a_model_is_saved_leaves_no_folder(call, monkeypatch, error):
    def end(self: Trainer) -> None:
        assert list(Path().glob("**/config.json"))
        raise error

    monkeypatch.setattr(Trainer, "prepare", end)
    for place in ([], ["--out", "deep/run"]):
        assert call("train", "--data", "digits", *place, "--quiet").code in (1, 130)
        assert not list(Path().iterdir())
    Path("mine").mkdir()
    (Path("mine") / "notes.txt").write_text("precious")
    call("train", "--data", "digits", "--out", "mine", "--quiet")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]


def test_a_run_that_was_killed_before_a_model_was_saved_is_said_to_be_one(call):
    Path("run").mkdir()
    (Path("run") / runs.CONFIG).write_text("{}")
    code, _, err = call("eval", "run")
    assert (code, err) == (
        1,
        "jitnet: error: run: this run ended before its first epoch did, and left no model; train again\n",
    )


def test_a_loss_that_runs_away_leaves_the_last_good_model(call, monkeypatch):
    epochs = Trainer.epochs

    def diverge_later(self: Trainer, on_steps: object = None) -> Iterator[EpochReport]:
        for report in epochs(self, on_steps):
            yield report
            if report.epoch == 2:
                raise DivergedError("the loss became NaN in epoch 3, step 1")

    monkeypatch.setattr(Trainer, "epochs", diverge_later)
    code, _, err = call("train", "--data", "digits", "--out", "run", "--quiet")
    assert (code, err) == (1, "jitnet: error: the loss became NaN in epoch 3, step 1\n")
    assert len(metrics(Path("run"))) == 2
    assert json.loads(call("eval", "run", "--json").out)["accuracy"] == metrics(Path("run"))[1]["test_accuracy"]


def test_a_full_disk_is_one_line_and_loses_nothing(call, monkeypatch):
    append = runs.Run.append_lines

    def full(self: runs.Run, lines: bytes) -> None:
        first, second, _ = lines.partition(b'{"epoch": 2')
        if first:
            append(self, first)
        if second:
            raise runs.cannot_write(self.folder / runs.METRICS, OSError(28, "No space left on device"))

    monkeypatch.setattr(runs.Run, "append_lines", full)
    code, _, err = call("train", "--data", "digits", "--epochs", "3", "--out", "run", "--quiet")
    assert code == 1
    assert "no space left on device" in err
    assert err.count("\n") == 1
    assert len(metrics(Path("run"))) == 1
    assert call("eval", "run", "--json").code == 0


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_folder_that_cannot_be(call, tmp_path, place):
    (tmp_path / "file").touch()
    code, out, err = call("train", "--data", "digits", "--out", place)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "cannot write the run folder" in err


def test_eval_finds_the_data_of_the_model(call, trained):
    code, out, err = call("eval", trained)
    assert (code, err) == (0, "")
    for said in ("accuracy", "loss", "precision", "recall", "F1", "Confusion"):
        assert said in out


def test_eval_says_by_what_it_judges(call, trained):
    first = call("eval", trained).out.splitlines()[0]
    assert first == "data      digits: test part, 360 rows, 10 classes"
    about = json.loads(call("eval", trained, "--json").out)["data"]
    assert about == {**about, "name": "digits", "part": "test", "n": 360, "n_classes": 10}


def test_eval_without_a_test_part_says_that_it_judges_by_the_training_rows(call):
    table("train.csv", "cat eel dog")
    assert call("train", "--data", "train.csv", "--epochs", "5", "--out", "run", "--quiet").code == 0
    for command in (["eval", "run"], ["eval", "run", "--data", "train.csv"], ["eval", "run", "-q"]):
        code, out, err = call(*command)
        assert code == 0
        data = out.splitlines()[0]
        assert "train.csv: training part, which the model was trained on, 30 rows, 3 classes" in data
        assert "has no test part: these are the rows that the model was trained on" in " ".join(err.split())
    assert json.loads(call("eval", "run", "--json").out)["data"]["part"] == "train"
    table("other.csv", "eel cat", n=12)
    code, out, err = call("eval", "run", "--data", "other.csv")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "data      other.csv: its only part, 12 rows, 2 of 3 classes"
    code, out, err = call("eval", "run", "--test-data", "other.csv")
    assert (code, err) == (0, "")
    assert "tested on other.csv: test part, 12 rows, 2 of 3 classes" in out.splitlines()[0]
    for options in (["--data", "other.csv"], ["--test-data", "other.csv"]):
        assert json.loads(call("eval", "run", *options, "--json").out)["accuracy"] > 0.9


def test_eval_of_unknown_classes_is_one_line_with_the_nearest_names(call):
    table("train.csv", "cat eel dog")
    assert call("train", "--data", "train.csv", "--epochs", "1", "--out", "run", "--quiet").code == 0
    table("other.csv", "cat Eels")
    code, out, err = call("eval", "run", "--data", "other.csv")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "'Eels', is not among those that the model knows; expected one of cat, dog, eel; did you mean eel?" in err


def table(path: str, names: str, n: int = 30) -> None:
    """A CSV file of so many rows, of classes that are easily told apart by the first letter of their names."""
    rng, words = np.random.default_rng(0), names.split()
    rows = []
    for row in range(n):
        values = np.eye(4)["cedx".index(words[row % len(words)][0].lower())] * 3 + rng.normal(0, 0.1, 4)
        rows.append(",".join([words[row % len(words)], *(f"{value:.3f}" for value in values)]))
    Path(path).write_text("\n".join(rows) + "\n")


def test_without_test_data_the_training_accuracy_is_shown_as_such(call):
    table("train.csv", "cat eel dog")
    out = call("train", "--data", "train.csv", "--epochs", "5", "--quiet").out
    (line,) = [line for line in out.splitlines() if "accuracy" in line]
    last = metrics(next(Path("runs").iterdir()))[-1]["train_accuracy"]
    assert re.match(rf"training accuracy +{100 * last:.2f}% on the rows it was trained on", line)
    out = call("train", "--data", "train.csv", "--epochs", "5", "--quiet", "--val-split", "0.2").out
    assert "validation accuracy" in out
    assert "training accuracy" not in out


def test_a_column_of_distinct_numbers_as_labels_is_noticed(call):
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 3))
    rows = np.column_stack([np.arange(200), numbers, numbers[:, 0] > 0])
    np.savetxt("x.csv", rows, "%.6g", ",")
    code, out, err = call("train", "--data", "x.csv", "--epochs", "1", "--hidden", "4")
    assert code == 0
    assert out.splitlines()[0] == "data     x: 200 samples to train on, none to test, 200 classes"
    said = " ".join(err.split())
    assert "x.csv: first column: nearly every row has a different class, 200 classes in 200 rows" in said
    assert "the last column looks like labels: if it holds them, move it to the front" in said
    assert "nearly every row has a different class" in " ".join(call("data", "info", "x.csv").out.split())
    np.savetxt("x.csv", rows[:, ::-1], "%.6g", ",")
    assert call("train", "--data", "x.csv", "--epochs", "10", "--hidden", "4").err == ""


def test_train_and_eval_show_what_always_predicting_the_commonest_class_gives(call):
    table("three.csv", "cat cat eel dog cat")
    table("test.csv", "cat eel eel dog", 40)
    options = ("--data", "three.csv", "--test-data", "test.csv", "--epochs", "2", "--out")
    shown = call("train", *options, "run", "--quiet").out
    assert "; always predicting eel gives 50.00%" in next(line for line in shown.splitlines() if "best test" in line)
    document = json.loads(call("train", *options, "again", "--json").out)
    assert document["commonest"]["test"] == {"name": "eel", "share": 0.5}
    assert document["commonest"]["train"] == {"name": "cat", "share": 0.6}
    shown = call("eval", "run").out
    assert "; always predicting eel gives 50.00%" in next(line for line in shown.splitlines() if "accuracy" in line)
    assert "): share right" in shown
    document = json.loads(call("eval", "run", "--json").out)
    assert document["commonest"] == {"name": "eel", "share": 0.5}
    assert sum(one["n"] for one in document["calibration"]["bins"]) == document["n"] == 40
    assert document["ranking"] is None


def test_eval_ranks_two_classes_and_names_the_one_that_is_never_predicted(call):
    table("two.csv", "cat dog")
    call("train", "--data", "two.csv", "--epochs", "10", "--out", "run", "--quiet")
    shown = call("eval", "run").out
    for said in ("ROC AUC", "average precision", "Brier score", "dog is predicted where", "): share of dog"):
        assert said in shown
    document = json.loads(call("eval", "run", "--json").out)
    assert (document["ranking"]["positive"], document["ranking"]["roc_auc"]) == ("dog", 1.0)
    assert len(document["ranking"]["thresholds"]) == 9
    model = Model.load(Path("run/model.safetensors"))
    model.set_parameters(model.weights, [*model.biases[:-1], np.array([99.0, -99.0], np.float32)])
    model.save(Path("one.safetensors"))
    shown = call("eval", "one.safetensors", "--data", "two.csv").out
    assert re.search(r"^never predicted +dog$", shown, re.MULTILINE)
    assert json.loads(call("eval", "one.safetensors", "--data", "two.csv", "--json").out)["never_predicted"] == ["dog"]


def test_eval_draws_numbers(call):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3)).astype(np.float32)
    np.savez(
        "numbers.npz", x_train=rows, y_train=rows[:, 0] * 2.5 + 7.25, x_test=rows[:20], y_test=rows[:20, 0] * 2.5 + 7
    )
    assert call("train", "--data", "numbers.npz", "--epochs", "2", "--out", "run", "--quiet").code == 0
    shown = call("eval", "run").out
    assert re.search("^target: predicted by true +target: samples by residual$", shown, re.MULTILINE)
    [target] = json.loads(call("eval", "run", "--json").out)["targets"]
    assert (sum(target["residuals"]["counts"]), len(target["residuals"]["points"])) == (20, 20)
    predicted, true = (np.array(target["residuals"]["points"])[:, k] for k in (1, 0))
    assert target["bias"] == pytest.approx((predicted - true).mean())


def test_eval_scores_labels_and_quantiles(call):
    rows = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    np.savez("labels.npz", x_train=rows, y_train=rows[:, :2] > 0.5, x_test=rows[:20], y_test=rows[:20, :2] > 0.5)
    options = ("--data", "labels.npz", "--loss", "binary-cross-entropy", "--epochs", "2", "--out", "labels", "--quiet")
    assert "; always predicting what is commonest of each label gives" in call("train", *options).out
    shown = " ".join(call("eval", "labels").out.split())
    assert re.search(r"\(\d+ of 40 labels wrong\); always predicting what is commonest of each label gives \d", shown)
    document = json.loads(call("eval", "labels", "--json").out)
    assert {"accuracy", "commonest", "roc_auc", "average_precision", "brier"} <= document["classes"][1].keys()
    np.savez("numbers.npz", x_train=rows, y_train=rows[:, 0] * 2.5, x_test=rows[:20], y_test=rows[:20, 0] * 2.5)
    options = ("--loss", "quantile", "--quantiles", "0.2,0.8", "--epochs", "2", "--out", "quantiles", "--quiet")
    assert call("train", "--data", "numbers.npz", *options).code == 0
    assert "at or below" in call("eval", "quantiles").out
    [target] = json.loads(call("eval", "quantiles", "--json").out)["targets"]
    assert [one["level"] for one in target["quantiles"]] == [0.2, 0.8]


def test_eval_as_json_agrees_with_training(call, trained):
    for model in (trained, trained / runs.MODEL):
        document = json.loads(call("eval", model, "--json").out)
        assert document["accuracy"] == pytest.approx(metrics(trained)[-1]["test_accuracy"])
        assert np.sum(document["confusion"]) == document["n"] == 360
        assert len(document["classes"]) == 10
        assert {"name", "precision", "recall", "f1", "support"} <= set(document["classes"][0])


def test_eval_on_other_data(call, trained):
    convert(load("digits"), Path("copy.npz"))
    shown = json.loads(call("eval", trained, "--data", "copy.npz", "--json").out)
    assert shown["accuracy"] == json.loads(call("eval", trained, "--json").out)["accuracy"]


@pytest.mark.parametrize(("features", "classes", "said"), [(63, 10, "63"), (64, 11, "'10'")])
def test_a_model_for_other_data(call, trained, features, classes, said):
    labels = np.arange(12) % classes
    data = from_arrays(
        np.ones((12, features), np.uint8), labels, name="other", class_names=[str(c) for c in range(classes)]
    )
    convert(data, Path("other.npz"))
    code, out, err = call("eval", trained, "--data", "other.npz")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert said in err


@pytest.mark.parametrize("command", [["eval"], ["predict"]], ids=str)
@pytest.mark.parametrize("model", ["missing", "empty", "cut.safetensors", "noise.safetensors", "text.txt"])
def test_a_bad_model_is_one_line(call, trained, command, model):
    Path("empty").mkdir()
    whole = (trained / runs.MODEL).read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("noise.safetensors").write_bytes(b"\xff" * 100)
    Path("text.txt").write_text("hello")
    code, out, err = call(*command, model, *(["x.pgm"] if command == ["predict"] else []))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert model in err


def start(tmp_path: Path, *options: str, **streams: object) -> subprocess.Popen:
    """A training in a process of its own, long enough to be interrupted."""
    command = [
        sys.executable,
        "-m",
        "jitnet",
        "train",
        "--data",
        "digits",
        "--epochs",
        "1000000",
        "--out",
        "run",
        *options,
    ]
    variables = {**offline(tmp_path), "COLUMNS": "100", "TERM": "xterm-256color"}
    return subprocess.Popen(command, cwd=tmp_path, env=environment(**variables), **streams)


def wait_for_epochs(folder: Path, count: int = 2) -> None:
    path = folder / "run" / runs.METRICS
    end = time.monotonic() + 120
    while not path.exists() or len(path.read_bytes().splitlines()) < count:
        assert time.monotonic() < end, "no epoch ended"
        time.sleep(0.05)


def test_ctrl_c_keeps_the_model_and_exits_130(call, trained, tmp_path):
    process = start(tmp_path, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_epochs(tmp_path)
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - begin < 30
    assert b"Traceback" not in err
    document = json.loads(out)
    assert len(document["epochs"]) == len(metrics(tmp_path / "run"))
    assert json.loads(call("eval", tmp_path / "run", "--json").out)["accuracy"] > 0.5


def test_on_a_terminal_there_are_bars_and_colours(trained, tmp_path):
    master, slave = pty.openpty()
    process = start(tmp_path, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    try:
        wait_for_epochs(tmp_path)
        process.send_signal(signal.SIGINT)
        while select.select([master], [], [], 60)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux ends a terminal whose other side has left so
                break
            if not part:
                break
            seen += part
    finally:
        os.close(master)
        if process.poll() is None and process.wait(60) is None:
            process.kill()
    assert process.returncode == 130
    assert b"\x1b[" in seen
    assert re.search(rb"epoch.*loss.*train.*test.*seconds", seen)
    assert b"Traceback" not in seen


def test_no_color(trained, call, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[3" not in call("eval", trained).out


def test_eval_by_other_test_data(call, trained):
    digits = load("digits")
    half = from_arrays(
        digits.train.images, digits.train.labels, digits.test.images[:100], digits.test.labels[:100], name="half"
    )
    convert(half, Path("half.npz"))
    document = json.loads(call("eval", trained, "--test-data", "half.npz", "--json").out)
    assert document["n"] == 100


def test_a_file_name_that_is_no_utf_8(call):
    rows = "".join(f"{n // 10},{n},7\n" for n in range(20)).encode()
    Path(os.fsdecode(b"\xff.csv")).write_bytes(rows)
    options = ["--epochs", "10", "--hidden", "", "--out", "run", "--json", "--quiet"]
    code, out, err = call("train", "--data", os.fsdecode(b"\xff.csv"), *options)
    assert (code, err) == (0, "")
    assert json.loads(out)["data"]["source"] == os.fsdecode(b"\xff.csv")
    assert json.loads((Path("run") / runs.CONFIG).read_text())["data"]["source"] == os.fsdecode(b"\xff.csv")
    code, _, err = call("eval", "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "?.csv, was not found; name data with --data" in err


def test_eval_notices_that_the_data_changed(call):
    np.savetxt("mine.csv", np.array([[n % 2, n, 7] for n in range(20)]), "%d", ",")
    assert call("train", "--data", "mine.csv", "--epochs", "1", "--hidden", "", "--out", "run", "--quiet").code == 0
    assert "changed" not in call("eval", "run").err
    np.savetxt("mine.csv", np.array([[n % 2, n, 8] for n in range(20)]), "%d", ",")
    assert "has changed since the model was trained" in call("eval", "run").err


def test_a_model_without_metadata_wants_data(call, trained):
    from safetensors.numpy import load_file, save_file

    save_file(load_file(trained / runs.MODEL), "bare.safetensors")
    code, _, err = call("eval", "bare.safetensors")
    assert (code, err.count("\n")) == (1, 1)
    assert "--data" in err
    # Written by PyTorch, it says nothing of scaling; pixels are taken to be 0 to 255.
    assert call("eval", "bare.safetensors", "--data", "digits").code == 0


def test_a_moved_data_set_is_named(call, tmp_path):
    convert(load("digits"), tmp_path / "mine.npz")
    assert call("train", "--data", "mine.npz", "--epochs", "1", "--hidden", "", "--out", "run", "--quiet").code == 0
    shutil.move("mine.npz", "yours.npz")
    code, _, err = call("eval", "run")
    assert (code, err.count("\n")) == (1, 1)
    assert "mine.npz" in err
    assert "--data" in err
