"""Configuration: a value out of range is one line that names the field, the range and the value."""

import copy
import pickle
import pydoc
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
from jitnet.config.nearest import nearest
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


WRONG = [
    (lambda: TrainConfig(epochs=0), "epochs: expected a whole number from 1 to 1,000,000, found 0"),
    (lambda: TrainConfig(epoch=3), "epoch: there is no such field; there are optimizer, .*; did you mean epochs\\?"),
    (lambda: TrainConfig(momentum=0.5), "momentum is 0.5, which optimizer sgd does not use; expected optimizer mom"),
    (lambda: TrainConfig(optimizer="Adam"), "optimizer: expected sgd, .*, found 'Adam'; did you mean adam\\?"),
    (lambda: TrainConfig(schedule="one_cycle"), ".*found 'one_cycle'; did you mean one-cycle\\?"),
    (lambda: TrainConfig(shuffle="maybe"), "shuffle: expected True or False, found 'maybe'"),
    (lambda: TrainConfig(augment={"shfit": 1}), "augment.shfit: there is no such field; .*; did you mean shift\\?"),
    (lambda: TrainConfig(augment={"elastic_sigma": 2}), "augment.elastic_sigma is 2, with augment.elastic off"),
    (lambda: AugmentConfig(shift=99), "shift: expected a number from 0 to 32, found 99"),
    (lambda: ModelConfig(in_features=4), "n_classes: expected a whole number from 2 to 65,536, found nothing"),
    (lambda: ModelConfig(in_features=4, n_classes=3, hidden=5), "hidden: expected a tuple of whole numbers from 1 to"),
    (lambda: ModelConfig(in_features=4, n_classes=3, hidden=[5, 0]), "hidden: .*, found 0$"),
    (lambda: ModelConfig(in_features=[1] * 500, n_classes=3), r"in_features: .*, found \[1, 1, .{40,60}…$"),
    (lambda: TrainConfig.model_validate({"epochs": 0}), "epochs: expected a whole number"),
    (lambda: TrainConfig.model_validate(3), "TrainConfig: expected its fields and their values, found 3"),
    (lambda: TrainConfig.model_validate_json("{"), "TrainConfig: expected its fields and their values, found '{'"),
    (lambda: TrainConfig().model_copy(update={"epochs": 0}), "epochs: expected a whole number"),
    (lambda: TrainConfig().model_copy(update={"epoch": 1}), "epoch: there is no such field; .*; did you mean epochs"),
    (lambda: setattr(TrainConfig(), "epochs", 4), r"epochs: a TrainConfig cannot be changed; .*\{'epochs': 4\}"),
    (lambda: setattr(TrainConfig(), "epoch", 4), "epoch: there is no such field; .*; did you mean epochs"),
    (lambda: TrainConfig(epochs=True), "epochs: expected a whole number from 1 to 1,000,000, found True"),
    (lambda: TrainConfig(batch_size="8"), "batch_size: expected a whole number from 1 to 1,000,000, found '8'"),
    (lambda: TrainConfig(shuffle="yes"), "shuffle: expected True or False, found 'yes'"),
    (lambda: TrainConfig(drop_last=1), "drop_last: expected True or False, found 1"),
    (lambda: TrainConfig(learning_rate="0.1"), "learning_rate: expected a number above 0, up to 1,000, found '0.1'"),
    (lambda: TrainConfig(dropout=("0.1",)), "dropout: expected a tuple of numbers from 0 to below 1, found '0.1'"),
    (lambda: TrainConfig(augment={"shift": "2"}), "augment.shift: expected a number from 0 to 32, found '2'"),
    (lambda: ModelConfig(in_features=4, n_classes="3"), "n_classes: expected a whole number .*, found '3'"),
    (lambda: ModelConfig(in_features=4, n_classes=3, hidden=[True]), "hidden: .*, found True"),
    (lambda: TrainConfig().model_copy(update={"seed": "1"}), "seed: .*, found '1'"),
    (lambda: TrainConfig.model_validate({"seed": "1"}), "seed: .*, found '1'"),
    (lambda: TrainConfig.model_validate_json('{"seed": "1"}'), "seed: .*, found '1'"),
    (lambda: delattr(TrainConfig(), "epochs"), "epochs: a TrainConfig cannot be changed"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message.split(":")[0] for _, message in WRONG])
def test_whatever_is_wrong_in_the_library_is_one_line_of_its_own(call, message):
    with pytest.raises(UsageError, match=message) as caught:
        call()
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # no traceback of pydantic above it
    assert not {"\n", "<", ">"} & set(str(caught.value))
    assert "pydantic" not in str(caught.value)
    assert "Input should" not in str(caught.value)


def test_what_is_typed_in_a_terminal_is_text_and_what_python_passes_is_not():
    typed = build(TrainConfig, {"epochs": "3", "learning_rate": "0.5", "dropout": ("0.1",), "augment": {"shift": "2"}})
    passed = TrainConfig(epochs=3, learning_rate=0.5, dropout=[0.1], augment={"shift": 2})
    assert typed == passed
    numpy = pytest.importorskip("numpy")
    made = TrainConfig(
        learning_rate=numpy.float64(0.5), warmup=1, epochs=3, augment=AugmentConfig(shift=2), dropout=(0.1,)
    )
    assert made == passed.model_copy(update={"warmup": 1.0})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dropout": (0.2,)}, "dropout is 0.2, with no hidden layer to drop units of; set hidden to a number of units"),
        ({"dropout": (0.2, 0.0)}, "dropout is 0.2, 0, with no hidden layer"),
        ({"max_norm": 2.0}, "max_norm is 2, with no hidden layer whose weights it limits; set hidden"),
    ],
)
def test_what_only_hidden_layers_have_is_refused_without_them(fields, message):
    linear = ModelConfig(in_features=4, n_classes=3, hidden=())
    TrainConfig(dropout=(0.0,), max_norm=0.0).check_fits(linear)
    TrainConfig(**fields).check_fits(
        ModelConfig(in_features=4, n_classes=3, hidden=(5,) * len(fields.get("dropout", "1")))
    )
    with pytest.raises(UsageError) as caught:
        TrainConfig(**fields).check_fits(linear)
    assert str(caught.value).startswith(message)
    assert "set --hidden to" in caught.value.named({"hidden": "--hidden"})


def test_a_copy_has_what_was_set_and_what_is_replaced():
    made = TrainConfig(epochs=3, augment=AugmentConfig(shift=1.0))
    assert made.model_copy() == made
    other = made.model_copy(update={"optimizer": "lion"})
    assert (other.epochs, other.augment.shift, other.learning_rate) == (3, 1.0, 0.001)
    assert other.model_fields_set == {"epochs", "augment", "optimizer"}
    assert made.optimizer == "sgd"
    for same in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert same == made
        assert same.model_fields_set == made.model_fields_set


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig, AugmentConfig])
def test_help_describes_every_field(kind):
    text = " ".join(pydoc.plain(pydoc.render_doc(kind)).replace("|", " ").split())
    for name, info in kind.model_fields.items():
        if name == "augment":
            continue
        about = f" {name} {info.description}"
        assert about in text
        after = text[text.index(about) + len(about) :]
        takes = expected(kind, name, typed=False)
        assert after.startswith((f" {takes[0].upper()}{takes[1:]}.", f" One of {takes}."))
        assert after.index("Required." if info.is_required() else "Default: ") < 200
    if kind is TrainConfig:
        assert "augment.elastic_sigma Smoothness of the elastic distortion" in text
        assert "0.05 with momentum" in text
        assert "Only with optimizer rmsprop." in text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("epoch", "epochs"),
        ("--Batch", "batch_size"),
        ("learningrate", "learning_rate"),
        ("momentun", "momentum"),
        ("gpu", None),
        ("foo", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_suggested_or_none(name, near):
    assert nearest(name, TrainConfig.model_fields) == near


def test_a_misspelt_recipe_is_recognised():
    with pytest.raises(UsageError, match=r"there is no recipe 'Elastik'; there are .*; did you mean elastic\?"):
        config.recipe("Elastik")
