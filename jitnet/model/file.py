"""The file that holds a network: safetensors in PyTorch's layout, and metadata for what PyTorch does not store.

Keys are `0.weight` (out_features, in_features), `0.bias`, `2.weight`, …, so that they load into
`nn.Sequential(nn.Linear, nn.ReLU, …, nn.Linear)`; with other layers those of `ModelConfig.layers`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, build, layers_of
from jitnet.datasets import Scaling, safetensors_file
from jitnet.datasets.dataset import is_shape
from jitnet.datasets.files import writing
from jitnet.datasets.labels import check_names
from jitnet.errors import DataError, ModelError, OutputError, UsageError

__all__ = ["FILE_NAME", "StoredModel", "read", "write"]

FILE_NAME = "model.safetensors"
"""What a model is called inside a run folder."""

Floats = npt.NDArray[np.float32]


class StoredModel(NamedTuple):
    """What a file holds; the fields are those of `Model`."""

    config: ModelConfig
    parameters: Mapping[str, Floats]
    class_names: Sequence[str]
    image_shape: tuple[int, int] | None
    scaling: Scaling
    metadata: dict[str, str]
    target_names: Sequence[str] = ()
    target_scaling: Scaling | None = None


def write(path: Path, model: StoredModel) -> None:
    """Write a model, whole or not at all, and the same model with the same bytes; OutputError where that fails.

    A symbolic link at the path is followed, and a file there passes on its mode.
    """
    about = {
        "format": "pt",
        "architecture": "-".join(map(str, model.config.widths)),
        "config": model.config.model_dump_json(),
        "activation": model.config.activation,
        "class_names": json.dumps(model.class_names),
        "image_shape": json.dumps(model.image_shape),
        "scaling": _scaling_text(model.scaling),
    }
    if model.target_names:
        del about["class_names"]
        about["target_names"] = json.dumps(model.target_names)
        about["target_scaling"] = _scaling_text(model.target_scaling or Scaling())
    try:
        with writing(path) as temporary:
            safetensors_file.write(temporary, dict(model.parameters), {**model.metadata, **about})
    except OSError as error:
        raise OutputError(
            f"{path}: the model cannot be written ({error.strerror or error}); choose another place"
        ) from None


def read(path: Path) -> StoredModel:
    """Read a model from a safetensors file or a run folder; ModelError names what was found and expected."""
    if path.is_dir():
        if not (path / FILE_NAME).exists():
            if (path / "config.json").exists():  # as it is where the process was killed
                raise ModelError(f"{path}: this run ended before its first epoch did, and left no model; train again")
            raise ModelError(f"{path}: the folder holds no {FILE_NAME}; name a run folder or a .safetensors file")
        path = path / FILE_NAME
    tensors, about = _read(path)
    try:
        stored = json.loads(about["config"]) if "config" in about else {"activation": about.get("activation", "relu")}
        stored |= _kinds(tensors) if "norm" not in stored else {}
    except (ValueError, TypeError) as error:
        raise _not_understood(path, error) from None
    widths = _checked_widths(path, tensors, stored)
    outputs = "n_targets" if stored.get("n_targets") is not None else "n_classes"
    if outputs == "n_classes" and widths[-1] < 2:
        raise ModelError(f"{path}: the last layer has {widths[-1]} output; expected at least 2 classes")
    try:
        shape = {"in_features": widths[0], "hidden": widths[1:-1], outputs: widths[-1]}
        config = build(ModelConfig, {**stored, **shape})
        scaling = json.loads(about["scaling"]) if "scaling" in about else {"offset": 0.0, "scale": 1.0 / 255.0}
        image_shape = json.loads(about["image_shape"]) if "image_shape" in about else _square(widths[0])
        kind = "class" if outputs == "n_classes" else "target"
        names = check_names(json.loads(about.get(f"{kind}_names", "[]")), f"{kind}_names", kind)
        if names and len(names) != widths[-1]:
            raise ModelError(f"{path}: {len(names)} {kind} names in the metadata; expected {widths[-1]}")
        if image_shape is not None and not is_shape(image_shape, widths[0]):
            raise ModelError(f"{path}: image shape {image_shape} in the metadata; expected {widths[0]} pixels")
        parts = [_scaling_part(scaling[name], widths[0]) for name in ("offset", "scale")]
        of_targets = json.loads(about["target_scaling"]) if "target_scaling" in about else None
        target_scaling = None
        if of_targets is not None:
            pair = (_scaling_part(of_targets[name], widths[-1], np.float64) for name in ("offset", "scale"))
            target_scaling = Scaling(*pair)
            if not np.all(target_scaling.scale):
                raise ValueError("target_scaling by zero")
    except (ValueError, KeyError, TypeError, RecursionError, UsageError, DataError) as error:
        raise _not_understood(path, error) from None
    known = {"format", "architecture", "config", "activation", "class_names", "image_shape", "scaling"}
    known |= {"target_names", "target_scaling"}
    return StoredModel(
        config,
        tensors,
        names if kind == "class" else (),
        None if image_shape is None else (int(image_shape[0]), int(image_shape[1])),
        Scaling(*parts),
        {name: text for name, text in about.items() if name not in known},
        names if kind == "target" else (),
        target_scaling,
    )


def _not_understood(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: the metadata cannot be understood ({error}); save the model again")


def _scaling_text(scaling: Scaling) -> str:
    return json.dumps({name: np.asarray(getattr(scaling, name), np.float64).tolist() for name in ("offset", "scale")})


def _square(features: int) -> tuple[int, int] | None:
    side = math.isqrt(features)
    return (side, side) if side * side == features else None


def _scaling_part(value: Any, count: int, kind: Any = np.float32) -> float | npt.NDArray[Any]:
    part: float | npt.NDArray[Any]
    if isinstance(value, list):
        if len(value) != count:
            raise ValueError(f"scaling of {len(value)} numbers, expected {count}")
        part = np.array(value, kind)
    else:
        part = float(value)
    if not np.isfinite(part).all():
        raise ValueError("scaling by a number that is not finite")
    return part


def _read(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise ModelError(f"{path}: there is no such file; name a run folder or a .safetensors file")
    try:
        with safe_open(str(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path}: not a whole safetensors file ({error}); copy or train it again") from None


def _modules(tensors: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    """The modules that have parameters, as "0" or "3.1", first to last."""
    found = {match[1] for name in tensors if (match := re.fullmatch(r"(\d+(?:\.\d+)?)\.(weight|bias)", name))}
    return sorted(found, key=lambda module: [int(number) for number in module.split(".")])


def _kinds(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """What the tensors of a file without a config say of the network's kinds of layers."""
    modules = _modules(tensors)
    vectors = any(np.ndim(tensors.get(f"{module}.weight", [[]])) == 1 for module in modules[1:2])
    return {"norm": "layer" if vectors else "none", "residual": any("." in module for module in modules)}


def _checked_widths(path: Path, tensors: dict[str, npt.NDArray[Any]], stored: Mapping[str, Any]) -> list[int]:
    """The network's widths, every key, shape and type of its tensors checked."""
    norm, residual, modules = str(stored.get("norm", "none")), bool(stored.get("residual")), _modules(tensors) or ["0"]
    weights = [tensors.get(f"{module}.weight") for module in (modules[::2] if norm == "layer" else modules)]
    # What is not a matrix gets a width that no other has, and is named further down.
    widths = [
        -1 - place if weight is None or weight.ndim != 2 else weight.shape[0] for place, weight in enumerate(weights)
    ]
    first = -1 if weights[0] is None or weights[0].ndim != 2 else weights[0].shape[1]
    widths = [first, *widths]
    layers = [layer for layer in layers_of(widths, norm=norm, residual=residual) if layer.shapes]
    expected = [layer.key(name) for layer in layers for name in layer.shapes]
    if sorted(tensors) != sorted(expected):
        found = ", ".join(sorted(tensors)[:8]) or "nothing"
        raise ModelError(
            f"{path}: found the tensors {found}; expected {', '.join(expected[:8])} as of an nn.Sequential"
        )
    units = 0
    for layer in layers:
        for name, shape in layer.shapes.items():
            _check_tensor(path, layer.key(name), tensors[layer.key(name)], len(shape))
        weight, bias = (tensors[layer.key(name)] for name in ("weight", "bias"))
        if bias.shape[0] != weight.shape[0]:
            raise ModelError(
                f"{path}: {layer.key('bias')} has {bias.shape[0]} numbers; expected {weight.shape[0]}, as "
                f"{layer.key('weight')} has rows"
            )
        if units and weight.shape[-1] != units:
            raise ModelError(
                f"{path}: {layer.key('weight')} has shape {weight.shape}; expected "
                f"({'…, ' * (weight.ndim - 1)}{units}{',' * (weight.ndim == 1)}) after the layer before"
            )
        units = weight.shape[0]
    return widths


def _check_tensor(path: Path, name: str, array: npt.NDArray[Any], rank: int) -> None:
    if array.dtype != np.float32:
        raise ModelError(f"{path}: {name} is {array.dtype}; expected float32")
    if array.ndim != rank or 0 in array.shape:
        raise ModelError(f"{path}: {name} has shape {array.shape}; expected {rank} dimension{'s' * (rank > 1)}")
    if not np.isfinite(array).all():
        raise ModelError(f"{path}: {name} holds NaN or infinite numbers; train again with a lower learning rate")
