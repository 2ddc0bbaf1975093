"""From an estimator's parameters to the configs of a network and of its training; and what no parameter sets."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from jitnet.config import LOSSES, OPTIMIZERS, ModelConfig, TrainConfig, check_whole_number, losses_for, recipe
from jitnet.config.checking import any_of, quoted
from jitnet.errors import DataError, ModelError, UsageError

__all__ = ["BATCH_SIZE", "check_number", "loss_of", "model_config", "train_config", "value_errors"]

Config = TypeVar("Config", ModelConfig, TrainConfig)

RECIPE = "tabular"
"""The recipe whose values are the estimators' defaults. It is tuned as a whole: what no parameter sets is its too."""

_PARAMETERS_SET = {
    "model": {"hidden", "activation"},
    "train": {"epochs", "batch_size", "optimizer", "schedule", "learning_rate", "label_smoothing", "val_split", "keep"},
}
"""Fields of the recipe that parameters set."""


def _rest(task: str, kind: str) -> dict[str, Any]:
    """Fields of the recipe that no parameter sets. kind: "model" or "train"."""
    return {name: value for name, value in recipe(RECIPE, task)[kind].items() if name not in _PARAMETERS_SET[kind]}


BATCH_SIZE = 256
"""Samples of a batch where `batch_size` is "auto", at most."""

_NAMES = {
    "hidden": "hidden_layer_sizes",
    "activation": "activation",
    "loss": "loss",
    "huber_delta": "huber_delta",
    "quantiles": "quantiles",
    "optimizer": "solver",
    "learning_rate": "learning_rate_init",
    "epochs": "max_iter",
    "batch_size": "batch_size",
    "weight_decay": "alpha",
    "schedule": "schedule",
    "dropout": "dropout",
    "label_smoothing": "label_smoothing",
    "ema": "ema",
    "val_split": "validation_fraction",
    "patience": "n_iter_no_change",
    "seed": "random_state",
    "threads": "n_threads",
}
"""What the fields of both configs are called as parameters."""

_DECOUPLED = ("adamw", "lion")


def loss_of(parameters: Mapping[str, Any], target: str) -> str:
    """The name of the loss, by that of what a target is; UsageError for one of other targets."""
    loss, names = parameters["loss"], losses_for(target)
    if isinstance(loss, str) and loss == "auto":
        return names[0]
    name: str = _with_dashes(loss)
    if name not in names:
        known = [each.replace("-", "_") for each in names]
        raise UsageError(f"loss: expected {any_of(['auto', *known])}, found {quoted(loss)}")
    return name


def model_config(task: str, parameters: Mapping[str, Any], loss: str, **sizes: int) -> ModelConfig:
    """The network's config. loss: its name. sizes: in_features, and n_classes or n_targets."""
    hidden = parameters["hidden_layer_sizes"]
    fields: dict[str, Any] = {"hidden": tuple(_plain(hidden)) if np.ndim(hidden) else (_plain(hidden),)}
    fields |= {"activation": parameters["activation"], "loss": loss}
    for name in LOSSES[loss].fields if loss in LOSSES else ():
        fields[name] = tuple(_plain(parameters[name])) if np.ndim(parameters[name]) else _plain(parameters[name])
    return _made(ModelConfig, {**_rest(task, "model"), **fields, **sizes})


def train_config(
    task: str, parameters: Mapping[str, Any], *, samples: int, seed: int, threads: int, **fields: Any
) -> TrainConfig:
    """The training's config. samples: that are trained on. fields: of the config, in place of what parameters say."""
    solver, batch_size = parameters["solver"], _batch_size(parameters["batch_size"], samples)
    others = {
        name: value
        for name, value in _rest(task, "train").items()
        if not any(name in other.hyperparameters for other in OPTIMIZERS.values())
        or (solver in OPTIMIZERS and name in OPTIMIZERS[solver].hyperparameters)
    }
    found = {
        **others,
        "optimizer": solver,
        "batch_size": batch_size,
        "weight_decay": _weight_decay(parameters["alpha"], solver, min(batch_size, samples)),
        "epochs": _plain(parameters["max_iter"]),
        "schedule": _with_dashes(parameters["schedule"]),
        "ema": _plain(parameters["ema"]),
        "seed": seed,
        "threads": threads,
    }
    if parameters["learning_rate_init"] != "auto":
        found["learning_rate"] = _plain(parameters["learning_rate_init"])
    elif solver == (tuned := recipe(RECIPE, task)["train"])["optimizer"]:
        found["learning_rate"] = tuned["learning_rate"]
    rates = parameters["dropout"]
    if np.ndim(rates) or rates != 0:
        found["dropout"] = tuple(_plain(rates)) if np.ndim(rates) else (_plain(rates),)
    if "label_smoothing" in parameters:
        found["label_smoothing"] = _plain(parameters["label_smoothing"])
    return _made(TrainConfig, {**found, **fields})


def _made(kind: type[Config], fields: dict[str, Any]) -> Config:
    """A config of these fields; a UsageError names parameters."""
    try:
        return kind(**fields)
    except UsageError as error:
        field, _, rest = str(error).partition(":")
        if error.marked or field not in _NAMES:
            raise
        raise UsageError(f"{_NAMES[field]}:{rest}") from None


def _batch_size(batch_size: Any, samples: int) -> int:
    if isinstance(batch_size, str) and batch_size == "auto":
        return min(BATCH_SIZE, samples)
    return check_whole_number("batch_size", batch_size, 1, 1_000_000)


def _weight_decay(alpha: Any, solver: Any, samples: int) -> float:
    """scikit-learn divides its penalty by the samples of a batch; the decoupled decay of some solvers is itself."""
    alpha = check_number("alpha", alpha, 0.0)
    return alpha if solver in _DECOUPLED else alpha / samples


def _with_dashes(name: Any) -> Any:
    """scikit-learn's names have underscores."""
    return name.replace("_", "-") if isinstance(name, str) else name


def _plain(value: Any) -> Any:
    """A number or a sequence of numbers without NumPy's types."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


@contextmanager
def value_errors() -> Iterator[None]:
    """Raise what a parameter or the data are to blame for as a ValueError, as scikit-learn does."""
    try:
        yield
    except (UsageError, DataError, ModelError) as error:
        raise ValueError(error.named(_NAMES)) from None


def check_number(name: str, value: Any, low: float, high: float = math.inf, *, strictly: bool = False) -> float:
    """Return a parameter as a float; UsageError where it is not a number from low to high, strictly: between them."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if is_number and (low < value < high if strictly else low <= value <= high):
        return float(value)
    limits = f"above {low:g}" if strictly else f"of {low:g} or more"
    if high < math.inf:
        limits += f" and below {high:g}" if strictly else f", up to {high:g}"
    raise UsageError(f"{name}: expected a number {limits}, found {quoted(value)}")
