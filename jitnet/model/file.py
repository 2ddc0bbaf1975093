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
from jitnet.errors import ModelError, OutputError, UsageError

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
    target_names: Sequence[str] = ()
    target_scaling: Scaling | None = None


def write(path: Path, model: StoredModel) -> None:
    """Write a model, whole or not at all, and the same model with the same bytes; OutputError where that fails."""
    tensors = {}
    for layer, (weight, bias) in enumerate(zip(model.weights, model.biases, strict=True)):
        tensors[f"{2 * layer}.weight"], tensors[f"{2 * layer}.bias"] = weight, bias
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
        outputs = "n_targets" if stored.get("n_targets") is not None else "n_classes"
        shape = {"in_features": widths[0], "hidden": widths[1:-1], outputs: widths[-1]}
        if outputs == "n_classes" and widths[-1] < 2:
            raise ModelError(f"{path}: the last layer has {widths[-1]} output; expected at least 2 classes")
        config = build(ModelConfig, {**stored, **shape})
        scaling = json.loads(about["scaling"]) if "scaling" in about else {"offset": 0.0, "scale": 1.0 / 255.0}
        image_shape = json.loads(about["image_shape"]) if "image_shape" in about else _square(widths[0])
        names = json.loads(about.get("class_names", "[]"))
        targets = json.loads(about.get("target_names", "[]"))
        for kind, found in (("class", names), ("target", targets)):
            if found and len(found) != widths[-1]:
                raise ModelError(f"{path}: {len(found)} {kind} names in the metadata; expected {widths[-1]}")
        if image_shape is not None and math.prod(image_shape) != widths[0]:
            raise ModelError(f"{path}: image shape {image_shape} in the metadata; expected {widths[0]} pixels")
        parts = [_scaling_part(scaling[name], widths[0]) for name in ("offset", "scale")]
        of_targets = json.loads(about["target_scaling"]) if "target_scaling" in about else None
        target_scaling = None
        if of_targets is not None:
            pair = (_scaling_part(of_targets[name], widths[-1], np.float64) for name in ("offset", "scale"))
            target_scaling = Scaling(*pair)
    except (ValueError, KeyError, TypeError, UsageError) as error:
        raise ModelError(f"{path}: the metadata cannot be understood ({error}); save the model again") from None
    known = {"format", "architecture", "config", "activation", "class_names", "image_shape", "scaling"}
    known |= {"target_names", "target_scaling"}
    return StoredModel(
        config,
        [weight for weight, _ in layers],
        [bias for _, bias in layers],
        names,
        None if image_shape is None else (int(image_shape[0]), int(image_shape[1])),
        Scaling(*parts),
        {name: text for name, text in about.items() if name not in known},
        targets,
        target_scaling,
    )


def _scaling_text(scaling: Scaling) -> str:
    return json.dumps({name: np.asarray(getattr(scaling, name), np.float64).tolist() for name in ("offset", "scale")})


def _square(features: int) -> tuple[int, int] | None:
    side = math.isqrt(features)
    return (side, side) if side * side == features else None


def _scaling_part(value: Any, count: int, kind: Any = np.float32) -> float | npt.NDArray[Any]:
    if isinstance(value, list):
        if len(value) != count:
            raise ValueError(f"scaling of {len(value)} numbers, expected {count}")
        return np.array(value, kind)
    return float(value)


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
    return layers
