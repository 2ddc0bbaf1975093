"""The file that holds a network: safetensors in PyTorch's layout, and metadata for what PyTorch does not store.

Keys are `0.weight` (out_features, in_features), `0.bias`, `2.weight`, …, so that they load into
`nn.Sequential(nn.Linear, nn.ReLU, …, nn.Linear)`.
"""

import json
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config import ModelConfig, build
from jitnet.datasets import Scaling, safetensors_file
from jitnet.datasets.dataset import is_shape
from jitnet.datasets.labels import check_names
from jitnet.errors import DataError, ModelError, OutputError, UsageError

__all__ = ["FILE_NAME", "StoredModel", "read", "write"]

FILE_NAME = "model.safetensors"
"""What a model is called inside a run folder."""

Floats = npt.NDArray[np.float32]


class StoredModel(NamedTuple):
    """What a file holds; the fields are those of `Model`."""

    config: ModelConfig
    weights: Sequence[Floats]
    biases: Sequence[Floats]
    class_names: Sequence[str]
    image_shape: tuple[int, int] | None
    scaling: Scaling
    metadata: dict[str, str]


def write(path: Path, model: StoredModel) -> None:
    """Write a model, whole or not at all, and the same model with the same bytes; OutputError where that fails."""
    tensors = {}
    for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        tensors[f"{2 * layer}.weight"], tensors[f"{2 * layer}.bias"] = weight, bias
    scaling = {name: np.asarray(getattr(model.scaling, name), np.float64).tolist() for name in ("offset", "scale")}
    about = {
        "format": "pt",
        "architecture": "-".join(map(str, model.config.widths)),
        "config": model.config.model_dump_json(),
        "activation": model.config.activation,
        "class_names": json.dumps(model.class_names),
        "image_shape": json.dumps(model.image_shape),
        "scaling": json.dumps(scaling),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        safetensors_file.write(temporary, tensors, {**model.metadata, **about})
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
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
    layers = _layers(path, tensors)
    widths = [layers[0][0].shape[1], *(weight.shape[0] for weight, _ in layers)]
    try:
        stored = json.loads(about["config"]) if "config" in about else {"activation": about.get("activation", "relu")}
        shape = {"in_features": widths[0], "hidden": widths[1:-1], "n_classes": widths[-1]}
        config = build(ModelConfig, {**stored, **shape})
        scaling = json.loads(about["scaling"]) if "scaling" in about else {"offset": 0.0, "scale": 1.0 / 255.0}
        image_shape = json.loads(about["image_shape"]) if "image_shape" in about else _square(widths[0])
        names = check_names(json.loads(about.get("class_names", "[]")), "class_names")
        if names and len(names) != widths[-1]:
            raise ModelError(f"{path}: {len(names)} class names in the metadata; expected {widths[-1]}")
        if image_shape is not None and not is_shape(image_shape, widths[0]):
            raise ModelError(f"{path}: image shape {image_shape} in the metadata; expected {widths[0]} pixels")
        parts = [_scaling_part(scaling[name], widths[0]) for name in ("offset", "scale")]
    except (ValueError, KeyError, TypeError, RecursionError, UsageError, DataError) as error:
        raise ModelError(f"{path}: the metadata cannot be understood ({error}); save the model again") from None
    known = {"format", "architecture", "config", "activation", "class_names", "image_shape", "scaling"}
    return StoredModel(
        config,
        [weight for weight, _ in layers],
        [bias for _, bias in layers],
        names,
        None if image_shape is None else (int(image_shape[0]), int(image_shape[1])),
        Scaling(*parts),
        {name: text for name, text in about.items() if name not in known},
    )


def _square(features: int) -> tuple[int, int] | None:
    side = math.isqrt(features)
    return (side, side) if side * side == features else None


def _scaling_part(value: Any, features: int) -> float | Floats:
    part: float | Floats
    if isinstance(value, list):
        if len(value) != features:
            raise ValueError(f"scaling of {len(value)} features, expected {features}")
        part = np.array(value, np.float32)
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


def _layers(path: Path, tensors: dict[str, npt.NDArray[Any]]) -> list[tuple[Floats, Floats]]:
    """Weight and bias of each layer, every key, shape and type checked."""
    numbers = sorted({int(match[1]) for name in tensors if (match := re.fullmatch(r"(\d+)\.(weight|bias)", name))})
    expected = [f"{2 * k}.{part}" for k in range(max(1, len(numbers))) for part in ("weight", "bias")]
    if sorted(tensors) != sorted(expected):
        found = ", ".join(sorted(tensors)[:8]) or "nothing"
        raise ModelError(
            f"{path}: found the tensors {found}; expected {', '.join(expected[:8])} as of an nn.Sequential"
        )
    layers: list[tuple[Floats, Floats]] = []
    for k in range(len(numbers)):
        weight, bias = tensors[f"{2 * k}.weight"], tensors[f"{2 * k}.bias"]
        for name, array, rank in ((f"{2 * k}.weight", weight, 2), (f"{2 * k}.bias", bias, 1)):
            if array.dtype != np.float32:
                raise ModelError(f"{path}: {name} is {array.dtype}; expected float32")
            if array.ndim != rank or 0 in array.shape:
                raise ModelError(f"{path}: {name} has shape {array.shape}; expected {rank} dimension{'s' * (rank > 1)}")
            if not np.isfinite(array).all():
                raise ModelError(
                    f"{path}: {name} holds NaN or infinite numbers; train again with a lower learning rate"
                )
        if bias.shape[0] != weight.shape[0]:
            raise ModelError(
                f"{path}: {2 * k}.bias has {bias.shape[0]} numbers; expected {weight.shape[0]}, as "
                f"{2 * k}.weight has rows"
            )
        if layers and weight.shape[1] != layers[-1][0].shape[0]:
            raise ModelError(
                f"{path}: {2 * k}.weight has shape {weight.shape}; expected (…, {layers[-1][0].shape[0]}) "
                "after the layer before"
            )
        layers.append((weight, bias))
    if layers[-1][0].shape[0] < 2:
        raise ModelError(f"{path}: the last layer has {layers[-1][0].shape[0]} output; expected at least 2 classes")
    return layers
