"""Configuration: a value out of range is one line that names the field, the range and the value."""

import pytest

from jitnet import config
from jitnet.config import AugmentConfig, ModelConfig, TrainConfig, build, expected
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
        (ModelConfig, "activation", "relu, tanh or gelu"),
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
