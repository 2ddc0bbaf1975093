"""Configuration: a value out of range is one line that names the field, the range and the value."""

import subprocess
import sys
from dataclasses import replace

import pytest

from jitnet import config
from jitnet.config import (
    ACTIVATIONS,
    HYPERPARAMETERS,
    OPTIMIZERS,
    AugmentConfig,
    ModelConfig,
    TrainConfig,
    build,
    expected,
)
from jitnet.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "field", "words"),
    [
        (TrainConfig, "epochs", "a whole number from 1 to 1,000,000"),
        (TrainConfig, "learning_rate", "a number above 0, up to 1,000"),
        (TrainConfig, "momentum", "a number from 0 to below 1"),
        (TrainConfig, "warmup", "a number of 0 or more"),
        (TrainConfig, "step_every", "a number above 0"),
        (TrainConfig, "val_split", "a number from 0 to 0.9"),
        (TrainConfig, "shuffle", "yes or no"),
        (TrainConfig, "seed", "a whole number from 0 to 9,223,372,036,854,775,807"),
        (TrainConfig, "dropout", "numbers from 0 to below 1, separated by commas"),
        (ModelConfig, "hidden", "whole numbers from 1 to 1,000,000, separated by commas"),
        (ModelConfig, "activation", "relu, tanh, gelu, silu, mish or selu"),
    ],
)
def test_what_a_field_takes_in_words(kind, field, words):
    assert expected(kind, field) == words


def test_every_field_can_be_put_into_words():
    for kind in (ModelConfig, TrainConfig, AugmentConfig):
        assert all(expected(kind, field) for field in kind.model_fields)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "ten"}, "--epochs: expected a whole number from 1 to 1,000,000, found 'ten'"),
        ({"epochs": 0}, "--epochs: expected a whole number from 1 to 1,000,000, found 0"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number above 0, up to 1,000, found nan"),
        ({"augment": {"shift": 99}}, "augment.shift: expected a number from 0 to 32, found 99"),
        ({"augment": {"shfit": 1}}, "augment.shfit: there is no such field; there are shift, rotation"),
        ({"augment": 3}, "augment: expected a table of shift, rotation"),
        ({"warmup": 80}, "warmup is 80, longer than the whole run of 10 epochs (--epochs)"),
        ({"patience": 3}, "patience is 3, with no held-out data to watch; set val_split"),
    ],
)
def test_a_bad_value_is_one_line(values, message):
    with pytest.raises(UsageError) as caught:
        build(TrainConfig, values, {"epochs": "--epochs"})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_missing_field():
    with pytest.raises(UsageError, match="in_features: expected a whole number from 1 to 1,000,000, found nothing"):
        build(ModelConfig, {"n_classes": 2})


@pytest.mark.parametrize("hidden", [(), (128,), (256, 128)])
def test_widths_and_parameters(hidden):
    made = ModelConfig(in_features=784, hidden=hidden, n_classes=10)
    assert made.widths == (784, *hidden, 10)
    assert made.n_parameters == {(): 7850, (128,): 101770, (256, 128): 235146}[hidden]


@pytest.mark.parametrize("name", config.recipe_names())
def test_each_recipe_builds(name):
    tables = config.recipe(name)
    assert tables["about"]["text"]
    build(ModelConfig, {"in_features": 784, "n_classes": 10, **tables["model"]})
    build(TrainConfig, tables["train"])


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(UsageError, match=r"--recipe: there is no recipe 'speed'; there are .*seed, seed-readme"):
        config.recipe("speed")


def test_the_table_is_all_that_can_be_chosen():
    for kind, field, table in ((ModelConfig, "activation", ACTIVATIONS), (TrainConfig, "optimizer", OPTIMIZERS)):
        assert expected(kind, field).replace(" or ", ", ").split(", ") == list(table)
    for name in ACTIVATIONS:
        assert ModelConfig(in_features=1, n_classes=2, activation=name).activation == name
    with pytest.raises(UsageError, match=r"activation: expected relu, .*, found 'nothing'"):
        build(ModelConfig, {"in_features": 1, "n_classes": 2, "activation": "nothing"})


def test_hyperparameters_are_fields_that_an_optimizer_uses():
    assert HYPERPARAMETERS == ("momentum", "beta1", "beta2", "rho", "epsilon")
    for optimizer in OPTIMIZERS.values():
        assert set(optimizer.hyperparameters) <= set(HYPERPARAMETERS)
        assert {"learning_rate"} <= set(optimizer.defaults) <= {"learning_rate", *optimizer.hyperparameters}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_not_given_is_the_optimizers_own_default(name):
    made = TrainConfig(optimizer=name)
    assert made.learning_rate == OPTIMIZERS[name].defaults["learning_rate"]
    assert made.model_fields_set == {"optimizer"}
    assert TrainConfig(optimizer=name, learning_rate=0.123).learning_rate == 0.123
    build(TrainConfig, {"optimizer": name, **OPTIMIZERS[name].defaults})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hyperparameter_has_a_default_for_an_optimizer(name, monkeypatch):
    own = {"learning_rate": 0.5, **dict.fromkeys(OPTIMIZERS[name].hyperparameters, 0.25)}
    before = TrainConfig(optimizer=name)
    monkeypatch.setitem(OPTIMIZERS, name, replace(OPTIMIZERS[name], defaults=own))
    made = TrainConfig(optimizer=name)
    for field in HYPERPARAMETERS:
        assert getattr(made, field) == own.get(field, getattr(before, field))


@pytest.mark.parametrize("field", HYPERPARAMETERS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_hyperparameter_is_taken_by_the_optimizers_that_use_it(name, field):
    values = {"optimizer": name, field: 0.5}
    if field in OPTIMIZERS[name].hyperparameters:
        assert getattr(build(TrainConfig, values), field) == 0.5
    else:
        with pytest.raises(UsageError, match=rf"--{field} is 0\.5, which optimizer {name} does not use; expected opt"):
            build(TrainConfig, values, {field: f"--{field}"})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_whole_config_can_be_made_again_from_its_fields(name):
    made = TrainConfig(optimizer=name, epochs=3, augment={"shift": 1.0})
    assert TrainConfig(**made.model_dump()) == made
    assert TrainConfig.model_validate_json(made.model_dump_json()) == made


def test_configs_load_no_numbers():
    code = "import sys, jitnet.config; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "jitnet.config.choices" in loaded
    assert not {"numba", "llvmlite", "numpy"} & set(loaded)
