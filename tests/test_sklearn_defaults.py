"""The estimators' defaults are the values of the recipe for tables."""

import inspect

import pytest

pytest.importorskip("sklearn")

from jitnet.config import recipe
from jitnet.sklearn import MLPClassifier, MLPRegressor
from jitnet.sklearn.settings import RECIPE, model_config, train_config

NAMES = {"hidden_layer_sizes": "hidden", "activation": "activation", "solver": "optimizer", "schedule": "schedule"}
NAMES |= {"max_iter": "epochs", "label_smoothing": "label_smoothing", "validation_fraction": "val_split"}


@pytest.mark.parametrize(("kind", "task"), [(MLPClassifier, "classify"), (MLPRegressor, "regress")])
def test_defaults_are_the_recipe_s(kind, task):
    tables = recipe(RECIPE, task)
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in (tables["model"] | tables["train"]).items()}
    defaults = {name: each.default for name, each in inspect.signature(kind).parameters.items()}
    for parameter, field in NAMES.items():
        if parameter in defaults:
            assert defaults[parameter] == values.get(field), parameter


@pytest.mark.parametrize(
    ("kind", "task", "sizes"),
    [(MLPClassifier, "classify", {"n_classes": 3}), (MLPRegressor, "regress", {"n_targets": 1})],
)
def test_what_no_parameter_sets_is_the_recipe_s_too(kind, task, sizes):
    tables = recipe(RECIPE, task)
    parameters = kind().get_params(deep=False)
    network = model_config(
        task, parameters, "cross-entropy" if task == "classify" else "squared-error", in_features=4, **sizes
    )
    training = train_config(task, parameters, samples=1000, seed=0, threads=1)
    for config, kind_of in ((network, "model"), (training, "train")):
        for name, value in tables[kind_of].items():
            if name not in ("val_split", "keep"):
                assert getattr(config, name) == (tuple(value) if isinstance(value, list) else value), name
    other = train_config(task, {**parameters, "solver": "sgd"}, samples=1000, seed=0, threads=1)
    assert other.learning_rate != training.learning_rate
