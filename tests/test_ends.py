"""`jitnet train` with an end in time, without the training, and its range test of the learning rate."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet import runs
from jitnet.config import OPTIMIZERS
from jitnet.errors import UsageError
from jitnet.runs import time_limit
from jitnet.runs.time_limit import fitting, seconds_of, time_in_words
from jitnet.training.range_test import range_test
from jitnet.training.rehearsal import Rehearsal, rehearse

DIGITS = ["--data", "digits", "--hidden", "16"]


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


def trainer(data: jitnet.Dataset, **fields: object) -> jitnet.Trainer:
    sizes = {"in_features": data.in_features, "n_classes": data.n_classes, "n_targets": data.n_targets}
    loss = {"loss": "binary-cross-entropy"} if data.target == "label" else {}
    model = jitnet.Model.create(jitnet.ModelConfig(hidden=(32,), **sizes, **loss), data, seed=1)
    return jitnet.Trainer(model, data, jitnet.TrainConfig(seed=1, **fields))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("300", 300), ("1m30", 90), ("0.5h", 1800)]
)
def test_a_time_is_read(text, seconds):
    assert seconds_of(text) == seconds
    assert seconds_of(time_in_words(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "5x", "0", "-3", "m", "1s5m", "400d", "9999h", "nan"])
def test_what_is_no_time_is_one_line(text):
    with pytest.raises(UsageError, match="time_limit: expected a time above 0, up to a year, as 90s, 5m, 1h30m"):
        seconds_of(text)


def test_what_fits_is_as_long_as_the_time():
    found = Rehearsal(step_s=0.001, epoch_s=0.05, end_s=0.1, steps=100)
    for seconds in (1.0, 7.0, 30.0, 31.3):
        fitted = fitting(found, 450, 0, seconds, 0.01)
        assert (0.85 - 0.1 / seconds) * seconds - 0.06 < fitted.seconds <= (1 - time_limit.MARGIN) * seconds + 1e-9
        assert fitted.epochs == -(-fitted.steps // 450)
        assert fitted.max_steps in (0, fitted.steps)
    assert fitting(found, 450, 900, 30.0, 0.0) == time_limit.Fitted(2, 0, 900, found.seconds(900, 2))
    assert fitting(found, 450, 700, 30.0, 0.0) == time_limit.Fitted(2, 700, 700, found.seconds(700, 2))
    with pytest.raises(UsageError, match=r"time_limit leaves 0\.2 s after the start; 64 steps, with which"):
        fitting(found, 450, 0, 0.2, 0.01)


def test_a_rehearsal_leaves_the_model_as_it_is(digits):
    run = trainer(digits, val_split=0.2)
    before = dict(run.model.parameters)
    found = rehearse(run, 0.01)
    assert all(np.array_equal(before[name], values) for name, values in run.model.parameters.items())
    assert not run.model.trained
    assert found.steps >= 3
    assert min(found.step_s, found.epoch_s, found.end_s) > 0


def test_a_run_in_a_time_repeats_without_it(call, monkeypatch):
    chosen = time_limit.Fitted(3, 100, 100, 1.0)  # as on a machine on which so many fit
    monkeypatch.setattr(time_limit, "fitting", lambda *_: chosen)
    code, out, err = call("train", *DIGITS, "--time-limit", "10m", "--optimizer", "adam", "--out", "fitted", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["time_limit"] == {"seconds": 600.0, "expected_seconds": 1.0}
    assert (document["train"]["epochs"], document["train"]["max_steps"]) == (3, 100)
    assert document["outcome"] == "trained for 100 steps, which end in epoch 3"
    again = ["--epochs", "3", "--max-steps", "100", "--optimizer", "adam"]
    code, out, err = call("train", *DIGITS, *again, "--out", "again", "--json")
    assert code == 0, err
    assert "time_limit" not in json.loads(out)
    first, second = jitnet.Model.load("fitted"), jitnet.Model.load("again")
    for name, values in first.parameters.items():
        np.testing.assert_array_equal(values, second.parameters[name])


def test_the_smaller_end_counts(call):
    code, out, err = call("train", *DIGITS, "--time-limit", "1h", "--epochs", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["train"] | {"epochs": 2, "max_steps": 0} == json.loads(out)["train"]
    code, out, err = call("train", *DIGITS, "--time-limit", "60s", "--max-steps", "70", "--json")
    assert (code, json.loads(out)["train"]["max_steps"]) == (0, 70), err


def test_a_run_that_becomes_slower_ends_at_the_limit(call, monkeypatch):
    monkeypatch.setattr(time_limit, "fitting", lambda *_: time_limit.Fitted(10_000, 0, 450_000, 0.4))
    code, out, err = call("train", *DIGITS, "--time-limit", "0.5s", "--out", "slow", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["outcome"].startswith("the time limit of 0.5s ended the run after ")
    assert "they took longer than was measured" in document["outcome"]
    last = document["epochs"][-1]
    assert last["test_accuracy"] == pytest.approx(
        jitnet.evaluate(jitnet.Model.load("slow"), jitnet.load("digits").test).accuracy
    )


def test_too_short_a_time_is_one_line_and_leaves_no_folder(call):
    code, out, err = call("train", *DIGITS, "--time-limit", "0.0001", "--out", "short", "--quiet")
    assert code == 2
    assert err.count("\n") == 1
    assert "--time-limit leaves" in err
    assert not Path("short").exists()
    assert out == ""


def test_a_dry_run_writes_nothing(call):
    code, out, err = call("train", *DIGITS, "--dry-run", "--max-steps", "100", "--json")
    assert code == 0, err
    document = json.loads(out)
    found = document["estimate"]
    assert (found["epochs"], found["steps"]) == (3, 100)
    assert found["seconds"] >= found["steps"] * found["step_s"] > 0
    assert found["memory_bytes"] == sum(found["memory"].values())
    assert document["train"]["max_steps"] == 100
    assert list(Path().iterdir()) == []
    code, out, err = call("train", *DIGITS, "--dry-run", "--time-limit", "10m", "--epochs", "3")
    assert (code, err) == (0, "")
    assert "steps" in out
    assert "135" in out
    assert "Nothing was trained or written" in out
    assert list(Path().iterdir()) == []


def test_a_dry_run_checks_all_that_a_run_does(call, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / runs.CONFIG).write_text("{}")
    (tmp_path / "file").write_text("")
    for out, reason in (("taken", "holds a run already"), ("file", "a file is in the way"), ("file/x", "in the way")):
        code, _, err = call("train", *DIGITS, "--dry-run", "--out", out)
        assert (code, reason in err, err.count("\n")) == (1, True, 1), err
    assert call("train", *DIGITS, "--dry-run", "--target-acc", "0.5").code == 2


MEMORY = """
import os, sys
from jitnet.cli import run
from jitnet.machine.resident import most_resident_bytes
code = run(sys.argv[1:])
print(most_resident_bytes(), file=sys.stderr)
raise SystemExit(code)
"""


@pytest.mark.parametrize("options", [["--hidden", "16"], ["--hidden", "2000,2000", "--optimizer", "adam"]], ids=str)
def test_the_memory_is_that_of_a_run_within_a_quarter(tmp_path, options, digits):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's count of pages")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(60_000, 100)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x_train=images, y_train=rng.integers(0, 5, 60_000))

    def measured(*more: str) -> tuple[str, int]:
        words = ["train", "--data", "data.npz", *options, "--quiet", "--json", "--max-steps", "4", *more]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *words],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout, int(done.stderr.split()[-1])

    measured("--out", "first")  # compiling takes memory too
    found = json.loads(measured("--dry-run")[0])["estimate"]["memory_bytes"]
    taken = measured("--out", "run")[1]
    assert 0.75 * taken < found < 1.25 * taken


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_rate_that_is_found_trains_well(digits, optimizer):
    found = range_test(trainer(digits, optimizer=optimizer))
    assert min(found.rates) < found.suggestion < found.least
    run = trainer(digits, optimizer=optimizer, learning_rate=found.suggestion, epochs=5)
    assert run.run().train_loss[-1] < 0.2 * run.guessing_loss


def test_the_rates_grow_exponentially_and_the_model_stays(digits):
    run = trainer(digits)
    before = dict(run.model.parameters)
    found = range_test(run)
    ratios = np.diff(np.log(found.rates))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert found.steps == 200
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    assert found.losses[0] == pytest.approx(run.guessing_loss, rel=0.5)
    assert all(np.array_equal(before[name], values) for name, values in run.model.parameters.items())


def test_the_same_seed_finds_the_same_bits(digits):
    first, second = (range_test(trainer(digits, threads=threads, dropout=(0.2,))) for threads in (1, 0))
    assert (first.rates, first.losses, first.suggestion) == (second.rates, second.losses, second.suggestion)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_a_range(digits, optimizer):
    found = range_test(trainer(digits, optimizer=optimizer))
    assert found.smoothed[found.rates.index(found.least)] < 0.6 * found.smoothed[0]


def test_numbers_labels_and_tables_have_one_too(digits):
    x = digits.train.images[:300]
    numbers = jitnet.from_arrays(x, x.mean(axis=1) / 3.0 + 0.1)
    labels = jitnet.from_arrays(x, np.stack([x[:, 20] > 8, x[:, 30] > 8], axis=1).astype(int), task="label")
    for data in (numbers, labels):
        found = range_test(trainer(data, optimizer="adam"))
        assert found.suggestion > 0


def test_the_command_draws_the_curve_and_says_how_to_use_it(call):
    words = [*DIGITS, "--optimizer", "adam", "--lr", "3"]
    code, out, err = call("train", *words, "--find-lr")
    assert (code, err) == (0, "")
    assert "logarithm of the rate" in out
    command = out.strip().splitlines()[-1].strip()
    assert command.startswith("jitnet train --data digits --hidden 16 --optimizer adam --lr 0.0")
    code, out, err = call("train", *words, "--find-lr", "--json")
    document = json.loads(out)
    assert document["command"] == command
    assert command.endswith(f"--lr {document['suggestion']:g}")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--find-lr", "--dry-run"], "--find-lr cannot be combined with --dry-run"),
        (["--explain", "--time-limit", "3"], "--explain cannot be combined with --time-limit"),
        (["--explain", "--print-schedule"], "--explain cannot be combined with --print-schedule"),
    ],
)
def test_options_that_exclude_each_other(call, words, message):
    code, _, err = call("train", *DIGITS, *words)
    assert (code, message in err) == (2, True)
