"""The options of `jitnet train`: what is out of range or contradictory, early ends, and the schedule drawn."""

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.cli.options import settings_of
from jitnet.cli.train import _warning
from jitnet.config import OPTIMIZERS, ModelConfig, TrainConfig, recipe_names
from jitnet.training.history import EpochReport

BASE = ["train", "--data", "digits", "--hidden", "16", "--epochs", "3"]

BAD = [
    (
        ["--warmup", "9"],
        "--warmup is 9, longer than the whole run of 3 epochs (--epochs); expected a number from 0 to 3",
    ),
    (["--momentum", "0.8"], "--momentum is 0.8, which --optimizer sgd does not use"),
    (["--beta1", "0.8", "--optimizer", "rmsprop"], "expected --optimizer adam, adamw or lion"),
    (
        ["--decay", "0.5"],
        "--decay is 0.5, which --schedule one-cycle does not use; expected --schedule step or exponential",
    ),
    (["--patience", "3"], "--patience is 3, with no held-out data to watch; set --val-split"),
    (["--monitor", "loss"], "--monitor is loss, with no held-out data to watch"),
    (["--keep", "last"], "--keep is last, with no held-out data to watch; set --val-split"),
    (["--input-scale-rate", "6"], "--input-scale-rate is 6, with no learned factors of inputs; set --input-scale too"),
    (["--bias-rate", "-1"], "--bias-rate: expected a number from 0 to 1,000, found '-1'"),
    (["--elastic-sigma", "3"], "--elastic-sigma is 3, with --elastic off"),
    (["--dropout", "1"], "--dropout: expected numbers from 0 to below 1, separated by commas, found '1'"),
    (["--dropout", "0.1,0.2"], "--dropout has 2 rates; give one, for the one hidden layer"),
    (
        ["--hidden", "", "--dropout", "0.2"],
        "--dropout is 0.2, with no hidden layer to drop units of; set --hidden to a number of units, or leave it out",
    ),
    (
        ["--hidden", "", "--max-norm", "2"],
        "--max-norm is 2, with no hidden layer whose weights it limits; set --hidden",
    ),
    (["--hidden", "", "--recipe", "dropout"], "--dropout is 0.5, with no hidden layer"),
    (["--input-dropout", "-0.1"], "--input-dropout: expected a number from 0 to below 1, found '-0.1'"),
    (["--label-smoothing", "2"], "--label-smoothing: expected a number from 0 to below 1"),
    (["--ema", "1"], "--ema: expected a number from 0 to below 1"),
    (["--clip-norm", "-1"], "--clip-norm: expected a number of 0 or more"),
    (["--max-norm", "-1"], "--max-norm: expected a number of 0 or more"),
    (["--weight-decay", "11"], "--weight-decay: expected a number from 0 to 10"),
    (
        ["--optimizer", "sdg"],
        "--optimizer: expected sgd, momentum, nesterov, rmsprop, adam, adamw or lion, found 'sdg'",
    ),
    (["--schedule", "linear"], "--schedule: expected constant, step, exponential, cosine, one-cycle or coslog4"),
    (["--rotation", "200"], "--rotation: expected a number from 0 to 180"),
    (["--shift", "nan"], "--shift: "),
    (["--target-acc", "0.98"], "--target-acc is 0.98, below one percent; did you mean 98?"),
    (["--explain", "--print-schedule"], "--explain cannot be combined with --print-schedule"),
    (["--target-acc", "101"], "--target-acc: expected a number from 0 to 100"),
    (["--val-split", "1"], "--val-split: expected a number from 0 to 0.9"),
    (["--threads", "1024"], "--threads is 1024; this process may use 1 to"),
    (["--recipe", "quick"], "there is no recipe 'quick'"),
]


@pytest.mark.parametrize(
    ("options", "message"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_cannot_be_is_one_line_and_exit_2(call, tmp_path, options, message):
    result = call(*BASE, "--out", str(tmp_path / "run"), *options)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_distortions_need_images(call, tmp_path):
    rows = [f"{k % 2},{k}.5,{k * k}.25,{-k}" for k in range(40)]
    (tmp_path / "plain.csv").write_text("\n".join(rows) + "\n")
    result = call("train", "--data", str(tmp_path / "plain.csv"), "--elastic", "3", "--out", str(tmp_path / "run"))
    assert result.code == 2
    assert "--elastic" in result.err
    assert "this data lacks an image shape" in result.err


def test_a_target_that_is_missed_is_exit_4_and_the_model_is_kept(call, tmp_path):
    result = call(*BASE, "--target-acc", "99.9", "--out", str(tmp_path / "run"))
    assert result.code == 4
    assert "--target-acc is 99.9; the 3 epochs ended at" in result.err
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_target_that_is_reached_ends_the_run(call, tmp_path):
    result = call(
        "train", "--data", "digits", "--epochs", "60", "--target-acc", "90", "--json", "--out", str(tmp_path / "run")
    )
    assert result.code == 0
    document = json.loads(result.out)
    assert document["outcome"].startswith("reached 9")
    assert len(document["epochs"]) < 60


def test_held_out_data_keeps_the_best_epoch(call, tmp_path):
    options = ["--epochs", "12", "--val-split", "0.2", "--patience", "2", "--json"]
    result = call("train", "--data", "digits", *options, "--out", str(tmp_path / "run"))
    assert result.code == 0
    document = json.loads(result.out)
    best = max(document["epochs"], key=lambda line: line["val_accuracy"])
    assert document["best_epoch"] == best["epoch"]
    assert all(line["test_accuracy"] is None for line in document["epochs"])
    scores = json.loads(call("eval", str(tmp_path / "run"), "--data", "digits", "--json").out)
    assert scores["accuracy"] == document["final_test"]["accuracy"]


def test_the_schedule_is_drawn_and_nothing_trained(call, tmp_path):
    result = call(*BASE, "--schedule", "one-cycle", "--print-schedule", "--out", str(tmp_path / "run"))
    assert result.code == 0
    assert "learning rate: one-cycle, 135 steps" in result.out
    assert not (tmp_path / "run").exists()
    document = json.loads(call(*BASE, "--schedule", "constant", "--print-schedule", "--json").out)
    assert set(document["learning_rates"]) == {0.7}
    # A rate for each step, at its place in epochs.
    assert document["n_steps"] == 135
    assert len(document["epochs"]) == len(document["learning_rates"]) == 135
    assert document["epochs"][0] == 0.0
    assert document["epochs"][45] == 1.0
    assert document["epochs"][-1] == pytest.approx(3 - 1 / 45)


def test_a_long_schedule_is_drawn_to_its_end(call):
    options = ["train", "--data", "digits", "--epochs", "47", "--print-schedule"]
    assert call(*options).out.splitlines()[-1].split() == ["0", "epoch", "47"]
    document = json.loads(call(*options, "--json").out)
    assert document["epochs"][-1] == pytest.approx(47 - 1 / 45), "the last step is there, whatever is left out"


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"])
def test_every_optimizer_learns(call, tmp_path, optimizer):
    rate = {"sgd": "0.5", "momentum": "0.1", "nesterov": "0.1"}.get(optimizer, "0.01")
    options = ["--optimizer", optimizer, "--lr", rate, "--epochs", "6", "--json"]
    result = call("train", "--data", "digits", "--hidden", "32", *options, "--out", str(tmp_path / "run"))
    assert result.code == 0
    assert json.loads(result.out)["last_test_accuracy"] > 0.9


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_at_its_own_learning_rate(call, tmp_path, optimizer):
    options = ["--optimizer", optimizer, "--epochs", "10", "--json", "--out", str(tmp_path / "run")]
    result = call("train", "--data", "digits", *options)
    assert result.code == 0
    document = json.loads(result.out)
    assert document["train"]["learning_rate"] == OPTIMIZERS[optimizer].defaults["learning_rate"]
    assert document["last_test_accuracy"] > 0.9
    assert "guessing" not in result.err


DOUBT = "! after epoch {epoch} the training loss is "


def test_a_network_that_does_no_better_than_guessing_is_told_once(call, tmp_path):
    options = ("--optimizer", "adam", "--lr", "1000", "--batch-size", "16")
    result = call(*BASE, *options, "--quiet", "--out", str(tmp_path / "run"))
    assert result.code == 0
    assert result.err.startswith(DOUBT.format(epoch=1))
    own = OPTIMIZERS["adam"].defaults["learning_rate"]
    assert (
        f"no better than guessing, {math.log(10):.4g}: the learning rate 1000 may not fit; try a lower one; "
        in result.err
    )
    assert f"the default of adam is --lr {own:g}\n" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("train_loss", "test_loss", "told"), [(9.0, 1.0, False), (1.0, 9.0, False), (9.0, 9.0, True), (1.0, 1.0, False)]
)
def test_one_loss_below_guessing_is_enough(train_loss, test_loss, told):
    """Over the epoch it may have been worse on the mean, or on other data: it has learned something."""
    report = EpochReport(1, train_loss, 0.5, test_loss, 0.5, None, None, 1.0, 1.0, 0.1)
    shape = ModelConfig(in_features=2, n_classes=10)
    model = SimpleNamespace(config=shape)
    trainer = SimpleNamespace(model=model, n_steps=64, config=TrainConfig(), guessing_loss=math.log(10))
    trainer.total_steps, trainer.last_epoch = 640, 10
    assert bool(_warning(report, trainer)) == told


def test_a_network_that_falls_back_to_guessing_is_told(call, tmp_path):
    options = ["--optimizer", "adam", "--lr", "2", "--epochs", "10", "--json", "--out", str(tmp_path / "run")]
    result = call("train", "--data", "digits", *options)
    epochs = json.loads(result.out)["epochs"]
    worse = [e["epoch"] for e in epochs if min(e["train_loss"], e["test_loss"]) >= math.log(10)]
    assert worse[0] > 1
    assert DOUBT.format(epoch=worse[0]) in result.err
    assert result.err.count("guessing") == 1


def test_a_rate_below_the_default_that_learns_nothing_is_told(call, tmp_path):
    err = call(*BASE, "--lr", "1e-6", "--quiet", "--out", str(tmp_path / "run")).err
    assert "the learning rate 1e-06 may not fit; try another one; the default of sgd is --lr 0.7\n" in err


def test_a_default_rate_that_learns_nothing_is_told(call, tmp_path, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "adam", replace(OPTIMIZERS["adam"], defaults={"learning_rate": 1000.0}))
    err = call(*BASE, "--optimizer", "adam", "--quiet", "--out", str(tmp_path / "run")).err
    assert "the learning rate 1000 may not fit; try a lower one, --lr 100 for example\n" in err


def test_an_epoch_of_a_few_steps_is_no_reason_to_doubt(call, tmp_path):
    result = call(*BASE, "--batch-size", "1437", "--json", "--out", str(tmp_path / "run"))
    assert json.loads(result.out)["epochs"][0]["test_loss"] > math.log(10)
    assert DOUBT.format(epoch=1) not in result.err
    assert "learning rate" not in result.err


@pytest.mark.parametrize(("epochs", "steps"), [(1, "1 step"), (3, "3 steps")])
def test_a_run_of_a_few_steps_that_ends_no_better_than_guessing_is_told(call, tmp_path, epochs, steps):
    options = ("--batch-size", "100000", "--epochs", str(epochs), "--lr", "1e-6", "--quiet")
    result = call("train", "--data", "digits", *options, "--out", str(tmp_path / "run"))
    assert result.code == 0
    assert result.err.startswith(DOUBT.format(epoch=epochs))
    assert f": a run of {steps} may be too short; try a smaller --batch-size, or more --epochs\n" in result.err
    assert result.err.count("\n") == 1


def test_every_option_of_regularisation_and_distortion_is_taken(call, tmp_path):
    options = ["--dropout", "0.1", "--input-dropout", "0.05", "--max-norm", "4", "--label-smoothing", "0.05"]
    options += ["--clip-norm", "5", "--ema", "0.9", "--weight-decay", "1e-4", "--warmup", "0.5", "--shift", "0.5"]
    options += ["--rotation", "5", "--scaling", "0.05", "--shear", "3", "--elastic", "4", "--elastic-sigma", "2"]
    result = call("train", "--data", "digits", "--epochs", "6", *options, "--json", "--out", str(tmp_path / "run"))
    assert result.code == 0
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["train"]
    assert settings["augment"]["elastic"] == 4
    assert settings["dropout"] == [0.1]
    assert json.loads(result.out)["last_test_accuracy"] > 0.8


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_runs(call, tmp_path, name):
    options = ["--hidden", "16", "--epochs", "1", "--quiet"]
    assert call("train", "--data", "digits", "--recipe", name, *options, "--out", str(tmp_path / "run")).code == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_recipe_s_learning_rate_is_of_its_own_optimizer(optimizer):
    from jitnet.config import recipe

    fields = recipe("fast")["train"]
    _, typed = settings_of({"optimizer": optimizer}, "fast").resolve()
    own = fields.get("optimizer", "sgd")
    expected = fields["learning_rate"] if optimizer == own else OPTIMIZERS[optimizer].defaults["learning_rate"]
    assert typed.learning_rate == expected
    assert typed.epochs == fields["epochs"]
    _, both = settings_of({"optimizer": optimizer, "learning_rate": "0.25"}, "fast").resolve()
    assert both.learning_rate == 0.25


TABULAR = {"hidden": (256, 256, 256), "init": "ntk", "input_scale": True}


@pytest.mark.parametrize(
    ("task", "activation", "rate", "smoothing"), [("classify", "selu", 0.04, 0.1), ("regress", "mish", 0.07, 0.0)]
)
def test_a_recipe_may_depend_on_the_task(task, activation, rate, smoothing):
    network, config = settings_of({}, "tabular").resolve(task)
    shape = ModelConfig(in_features=3, **network, **({"n_classes": 2} if task == "classify" else {"n_targets": 1}))
    assert {name: getattr(shape, name) for name in TABULAR} == TABULAR
    assert shape.activation == activation
    assert (config.learning_rate, config.label_smoothing) == (rate, smoothing)
    assert (config.epochs, config.schedule, config.keep, config.beta2) == (256, "coslog4", "latest-best", 0.95)


def test_before_data_are_read_the_loss_says_which_task_a_recipe_is_for():
    assert settings_of({"loss": "huber"}, "tabular").resolve()[0]["activation"] == "mish"
    assert settings_of({}, "tabular").resolve()[0]["activation"] == "selu"


@pytest.mark.parametrize(
    ("typed", "field", "default"),
    [
        ({"val_split": "0"}, "keep", "best"),
        ({"input_scale": False}, "input_scale_rate", 1.0),
        ({"optimizer": "sgd"}, "beta2", 0.999),
    ],
    ids=str,
)
def test_fields_of_a_recipe_that_have_no_use_with_what_is_typed_are_dropped(typed, field, default):
    assert getattr(settings_of(typed, "tabular").resolve()[1], field) == default


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_the_tabular_recipe_trains_either_task(call, tmp_path, target):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 3)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64) if target == "classes" else x[:, 0] + 0.5 * x[:, 1]
    np.savez(tmp_path / "table.npz", x_train=x, y_train=y)
    result = call("train", "--recipe", "tabular", "--data", str(tmp_path / "table.npz"), "--json", "--epochs", "4",
                  "--hidden", "16,16", "--out", str(tmp_path / "run"))  # fmt: skip
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["model"]["activation"] == ("selu" if target == "classes" else "mish")
    assert found["train"]["label_smoothing"] == (0.1 if target == "classes" else 0.0)
    assert len(found["history"] if "history" in found else found["epochs"]) == 4


def test_of_equal_epochs_the_summary_says_that_the_latest_is_kept(call, tmp_path):
    options = ["--val-split", "0.2", "--lr", "0.000001", "--schedule", "constant", "--keep", "latest-best"]
    result = call(*BASE, "--out", str(tmp_path / "run"), *options)
    assert result.code == 0, result.err
    assert re.search(r"best validation accuracy\s+\S+ in epoch 1; always predicting", result.out)
    assert re.search(r"kept\s+the weights of epoch 3, the latest as good on the held-out data", result.out)
