"""A network that starts from a saved one: its layers, its weights and how it scales its inputs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jitnet.config import ModelConfig, build, losses_for
from jitnet.config.checking import quoted
from jitnet.errors import ModelError, UsageError

if TYPE_CHECKING:
    from jitnet.datasets import Dataset
    from jitnet.model import Model

__all__ = ["described_start", "fields_of_start", "start_from"]

_SIZES = ("in_features", "n_classes", "n_targets")


def fields_of_start(path: Path, chosen: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a saved network, without its sizes.

    chosen: fields that were chosen beside it, numbers may be text; they may repeat what the network has. names: what
    messages call a field. Raises ModelError where there is no such model, UsageError where a chosen field differs."""
    from jitnet.model.file import read

    saved = read(path).config
    outputs = {"n_targets": 1} if saved.n_targets else {"n_classes": 2}
    of_saved = {name: value for name, value in saved.model_dump(exclude_defaults=True).items() if name not in _SIZES}
    fields = {"loss": saved.loss, **of_saved}
    wanted = build(ModelConfig, {**fields, **chosen, "in_features": 1, **outputs}, dict(names))
    for field in chosen:
        found, expected = getattr(wanted, field), getattr(saved, field)
        if field != "init" and found != expected:
            raise UsageError.of_fields(
                f"<{field}> is {_in_words(found)}, and the network of {path} has {_in_words(expected)}; leave it out: "
                "a network that starts from a model keeps its layers and its loss"
            )
    return fields


def described_start(path: Path) -> dict[str, str]:
    """Return what config.json has of a saved model that a run starts from: its path and the checksum of its file."""
    from jitnet.model import FILE_NAME

    file = path / FILE_NAME if path.is_dir() else path
    return {"path": str(path.resolve()), "checksum": hashlib.sha256(file.read_bytes()).hexdigest()}


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "empty"
    return str(value) if not isinstance(value, bool) else "on" if value else "off"


def start_from(path: Path, dataset: "Dataset", seed: int) -> "tuple[Model, str]":
    """Return a network that starts from a saved one, and a notice, "" where all of it was taken.

    Inputs are scaled and columns prepared as the saved network does it. Where classes or labels of the data are not all
    among its own, by name, the last layer is a new one, of these data, drawn by the seed; the notice says so. Raises
    ModelError where nothing of the model can be taken, or it takes other samples or predicts another kind of target."""
    from jitnet.model import Model

    saved = Model.load(path)
    saved.check_features(dataset)
    saved.check_target(dataset.target, dataset.source)
    notice = ""
    if (differing := _differing(saved, dataset)) and saved.config.target != "number":
        saved, notice = _with_new_last_layer(path, saved, dataset, seed, differing)
    for name in ("data_path", "test_data_path"):
        saved.metadata.pop(name, None)
    saved.metadata |= {
        "data": dataset.name,
        "data_source": dataset.source,
        "data_checksum": dataset.checksum,
        "seed": str(seed),
        "init": str(path.resolve()),
    }
    saved.begin_training()
    return saved, notice


def _differing(saved: "Model", dataset: "Dataset") -> str:
    """A class or target of the data that the model does not have; "" where it has all of them, or where it has no
    names and as many."""
    known, names = (saved.class_names or saved.target_names), (dataset.class_names or dataset.target_names)
    if not saved.is_named and len(known) == len(names):
        return ""
    if saved.config.target == "label" and len(known) != len(names):
        return names[0]
    return next((name for name in names if name not in known), "")


def _with_new_last_layer(
    path: Path, saved: "Model", dataset: "Dataset", seed: int, differing: str
) -> "tuple[Model, str]":
    """The same network with a new last layer for the classes or labels of the data."""
    from jitnet.model import Model

    if not saved.config.hidden:
        raise ModelError(
            f"{path}: has no hidden layers, and its outputs are not those of {dataset.name}, {quoted(differing)} for "
            "example; nothing of it can be taken: train a new network"
        )
    kind, count = ("n_classes", dataset.n_classes) if dataset.n_targets is None else ("n_targets", dataset.n_targets)
    fields = {**saved.config.model_dump(exclude_defaults=True), kind: count}
    if kind == "n_targets":
        fields["loss"] = losses_for("label")[0]
    config = ModelConfig(**fields)
    first = Model.create(config, dataset, seed=seed)
    last = f"{next(layer for layer in reversed(config.layers) if layer.kind == 'linear').name}."
    hidden = {name: value for name, value in saved.parameters.items() if not name.startswith(last)}
    model = Model(
        config,
        first.weights,
        first.biases,
        class_names=first.class_names,
        image_shape=saved.image_shape,
        scaling=saved.scaling,
        metadata=dict(saved.metadata),
        target_names=first.target_names,
        target_scaling=first.target_scaling,
        preparation=saved.preparation,
    )
    model.replace_parameters({**first.parameters, **hidden})
    what = "label" if kind == "n_targets" else "class"
    notice = (
        f"{path} does not have the {what} {differing} of {dataset.name}: its last layer begins with new weights for "
        f"{count} {'labels' if what == 'label' else 'classes'}, the others start from the model's"
    )
    return model, notice
