"""`--init MODEL`: a training that starts from a saved model, and `--freeze` with it."""

import json
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet import runs
from jitnet.errors import ModelError
from jitnet.runs.run_settings import Settings

START = ["--data", "digits", "--hidden", "24,16", "--quiet"]


@pytest.fixture
def base(call):
    """A run folder in the working folder."""
    assert call("train", *START, "--epochs", "2", "--out", "base").code == 0
    return Path("base")


def digits_named(names: list[str], keep: int = 10) -> jitnet.Dataset:
    """Digits with these names of classes, the first `keep` of them."""
    data = jitnet.load("digits").train
    rows = data.labels < keep
    return jitnet.from_arrays(data.images[rows], data.labels[rows], class_names=names, name="named")


def test_it_starts_from_the_model_s_weights(call, base):
    code, _, err = call("train", *START[:2], "--init", "base", "--lr", "1e-9", "--epochs", "1", "--out", "on", "-q")
    assert code == 0, err
    before, after = jitnet.Model.load("base"), jitnet.Model.load("on")
    assert after.config == before.config
    assert after.scaling == before.scaling
    for name, values in before.parameters.items():
        np.testing.assert_allclose(after.parameters[name], values, atol=1e-6)
    config = json.loads((Path("on") / runs.CONFIG).read_text())
    assert config["init"]["path"] == str(base.resolve())
    assert len(config["init"]["checksum"]) == 64
    assert call("eval", "on").code == 0


def test_what_the_model_has_may_be_typed_again(call, base):
    again = ["--init", "base/model.safetensors", "--activation", "relu", "--epochs", "1", "--out", "on"]
    assert call("train", *START, *again).code == 0


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--hidden", "32"], "--hidden is 32, and the network of base has 24,16; leave it out: a network that starts"),
        (["--activation", "gelu"], "--activation is gelu, and the network of base has relu"),
        (["--norm", "layer"], "--norm is layer, and the network of base has none"),
        (["--residual"], None),
        (["--freeze", "3"], "--freeze is 3, and the network has no layer 3; expected from 0 to 2"),
        (["--freeze", "0,1,2"], "--freeze is 0,1,2, which are all layers of the network: nothing is left to train"),
    ],
)
def test_what_does_not_fit_is_one_line(call, base, typed, message):
    code, _, err = call("train", "--data", "digits", "--init", "base", *typed, "--out", "on")
    assert code == 2
    assert err.count("\n") == 1
    assert message is None or message in err
    assert not Path("on").exists()


@pytest.mark.parametrize("name", ["xavier", "nowhere/model.safetensors", ""])
def test_a_model_that_is_not_there_is_one_line(call, name):
    code, _, err = call("train", "--data", "digits", "--init", name)
    assert (code, err.count("\n")) == (2, 1)
    assert "--init: expected he, normal, ntk or a saved model, a .safetensors file or a run folder, found" in err


def test_a_folder_without_a_model_is_one_line(call):
    Path("empty").mkdir()
    code, _, err = call("train", "--data", "digits", "--init", "empty")
    assert (code, err.count("\n")) == (1, 1)
    assert "empty: the folder holds no model.safetensors" in err


def test_other_features_are_refused(base):
    data = jitnet.from_arrays(np.zeros((20, 9), np.uint8) + np.arange(20, dtype=np.uint8)[:, None], np.arange(20) % 2)
    with pytest.raises(ModelError, match="samples have 9 values, the model expects 64"):
        Settings(init=base).trainer(data)


def test_another_kind_of_target_is_refused(base):
    x = jitnet.load("digits").train.images
    with pytest.raises(ModelError, match="its targets are numbers, the model predicts classes"):
        Settings(init=base).trainer(jitnet.from_arrays(x, x.mean(axis=1) + 0.1))


def test_other_classes_get_a_new_last_layer(base):
    data, found = digits_named(["none", "one", "two", "three"], keep=4), list[str]()
    trainer = Settings(init=base, training={"epochs": 2, "freeze": "all-but-last"}).trainer(
        data, on_notice=found.append
    )
    assert len(found) == 1
    assert found[0].startswith("base does not have the class none of named: its last layer begins with new weights")
    saved, model = jitnet.Model.load(base), trainer.model
    assert model.class_names == data.class_names
    assert model.scaling == saved.scaling
    assert model.config.hidden == saved.config.hidden
    history = trainer.run()
    for name in ("0.weight", "0.bias", "2.weight", "2.bias"):
        np.testing.assert_array_equal(model.parameters[name], saved.parameters[name])
    assert history.train_loss[-1] < 0.5 * trainer.guessing_loss


def test_fewer_of_the_same_classes_keep_the_last_layer(base):
    found = list[str]()
    trainer = Settings(init=base).trainer(digits_named([str(k) for k in range(4)], keep=4), on_notice=found.append)
    assert found == []
    assert trainer.model.class_names == tuple(map(str, range(10)))


def test_a_model_without_hidden_layers_has_nothing_to_take(call):
    assert call("train", "--data", "digits", "--hidden", "", "--epochs", "1", "--out", "linear", "-q").code == 0
    with pytest.raises(ModelError, match="linear: has no hidden layers, and its outputs are not those of named, 'a'"):
        Settings(init=Path("linear")).trainer(digits_named(["a", "b", "c"], keep=3))


def table(path: str, seed: int, kinds: str) -> None:
    rng = np.random.default_rng(seed)
    lines = [
        f"{a:.3f},{kind},{'yes' if a > 0 else 'no'}" for a, kind in zip(rng.normal(size=80), kinds * 20, strict=True)
    ]
    Path(path).write_text("\n".join(["size,kind,good", *lines]) + "\n")


def test_a_table_is_prepared_as_the_model_does_it(call):
    table("first.csv", 0, "abcd")
    table("second.csv", 1, "abcc")
    words = ["--target", "good", "--hidden", "8", "--epochs", "1", "-q"]
    assert call("train", "--data", "first.csv", *words, "--out", "one").code == 0
    code, _, err = call("train", "--data", "second.csv", "--init", "one", "--epochs", "1", "--out", "two", "-q")
    assert code == 0, err
    one, two = jitnet.Model.load("one"), jitnet.Model.load("two")
    assert two.preparation == one.preparation
    assert two.class_names == one.class_names


def test_a_recipe_trains_the_model_s_network(call, base):
    code, out, err = call("train", "--data", "digits", "--init", "base", "--recipe", "seed", "--epochs", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["model"]["hidden"] == [24, 16]


def test_the_library_goes_on_with_frozen_layers(base):
    model, data = jitnet.Model.load(base), jitnet.load("digits")
    before = dict(model.parameters)
    jitnet.train(model, data, jitnet.TrainConfig(epochs=1, freeze="0", optimizer="adam"))
    kept = {name for name, values in model.parameters.items() if np.array_equal(values, before[name])}
    assert kept == {"0.weight", "0.bias"}


def test_explain_leaves_out_the_frozen_lines(call, base):
    whole = json.loads(call("train", "--data", "digits", "--init", "base", "--explain", "--json").out)
    frozen = json.loads(
        call("train", "--data", "digits", "--init", "base", "--freeze", "0,1", "--explain", "--json").out
    )
    assert len(frozen["lines"]) < len(whole["lines"])
    assert frozen["flop"] < whole["flop"]
    assert not [line for line in frozen["lines"] if "back" in line["operation"] and line["layer"] < 2]


def test_a_run_folder_and_a_file_repeat_a_run_that_started_from_a_model(call, base):
    words = ["--data", "digits", "--init", "base", "--freeze", "0", "--epochs", "1", "-q"]
    assert call("train", *words, "--out", "one").code == 0
    code, _, err = call("train", "--config", "one", "--out", "two", "-q")
    assert code == 0, err
    text = call("train", *words, "--print-config").out
    Path("settings.toml").write_text(text)
    assert text.count("\ninit = ") == 1
    code, _, err = call("train", "--config", "settings.toml", "--out", "three", "-q")
    assert code == 0, err
    Path("own.toml").write_text('data = "digits"\ninit = "base/model.safetensors"\nfreeze = "0"\nepochs = 1\n')
    code, _, err = call("train", "--config", "own.toml", "--out", "four", "-q")
    assert code == 0, err
    for name, values in jitnet.Model.load("one").parameters.items():
        for other in ("two", "three", "four"):
            np.testing.assert_array_equal(values, jitnet.Model.load(other).parameters[name])
    assert call("train", "--data", "digits", "--hidden", "24,16", "--epochs", "1", "-q", "--out", "new").code == 0
    Path("base/model.safetensors").write_bytes(Path("new/model.safetensors").read_bytes())
    code, _, err = call("train", "--config", "one", "--out", "five")
    assert (code, err.count("\n")) == (2, 1)
    assert "which has changed since" in err


def test_a_run_that_started_from_a_model_goes_on(call, base):
    words = ["--data", "digits", "--init", "base", "--schedule", "constant"]
    assert call("train", *words, "--epochs", "2", "--out", "whole", "-q").code == 0
    assert call("train", *words, "--epochs", "1", "--out", "on", "--checkpoint", "epoch", "-q").code == 0
    code, _, err = call("train", "--resume", "on", "--epochs", "2", "-q")
    assert code == 0, err
    for name, values in jitnet.Model.load("whole").parameters.items():
        np.testing.assert_array_equal(values, jitnet.Model.load("on").parameters[name])
