"""The file that holds a network: safetensors in PyTorch's layout, and metadata for what PyTorch does not store.

Keys are `0.weight` (out_features, in_features), `0.bias`, `2.weight`, …, so that they load into
`nn.Sequential(nn.Linear, nn.ReLU, …, nn.Linear)`; with other layers those of `ModelConfig.layers`.

A committee is one file too: the same keys behind `members.0.`, `members.1.`, …, as of an `nn.ModuleList` called
`members`, and in the entry `committee` of the metadata a JSON list of what each member's own file would have there.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jitnet.config import TARGETS, ModelConfig, build, layers_of
from jitnet.config.checking import quoted
from jitnet.datasets import Scaling, safetensors_file
from jitnet.datasets.dataset import is_shape
from jitnet.datasets.labels import check_names
from jitnet.errors import DataError, ModelError, OutputError, UsageError
from jitnet.files import writing
from jitnet.files.names import MODEL as FILE_NAME
from jitnet.tables.preparation import Preparation

__all__ = [
    "FILE_NAME",
    "StoredModel",
    "metadata_of",
    "read",
    "read_any",
    "read_committee",
    "stored_model",
    "write",
    "write_committee",
]

COMMITTEE = "committee"
"""In the metadata of a committee's file: what those of each member are."""

Floats = npt.NDArray[np.float32]
Place = Path | str
"""What messages call a file, or a part of it."""


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
    preparation: Preparation | None = None


def write(path: Path, model: StoredModel) -> None:
    """Write a model, whole or not at all, and the same model with the same bytes; OutputError where that fails.

    A symbolic link at the path is followed, and a file there passes on its mode.
    """
    _write(path, "model", model.parameters, metadata_of(model))


def write_committee(path: Path, members: Sequence[StoredModel]) -> None:
    """Write the members of a committee into one file, as `write` does a model."""
    tensors = {f"members.{k}.{name}": array for k, one in enumerate(members) for name, array in one.parameters.items()}
    _write(path, "committee", tensors, {"format": "pt", COMMITTEE: json.dumps([metadata_of(one) for one in members])})


def _write(path: Path, what: str, tensors: Mapping[str, Floats], about: dict[str, str]) -> None:
    try:
        with writing(path) as temporary:
            safetensors_file.write(temporary, dict(tensors), about)
    except OSError as error:
        raise OutputError(
            f"{path}: the {what} cannot be written ({error.strerror or error}); choose another place"
        ) from None


def metadata_of(model: StoredModel) -> dict[str, str]:
    """All of a model but its parameters, as a file's metadata have it."""
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
    if model.preparation is not None:
        about["preparation"] = model.preparation.as_json()
    return {**model.metadata, **about}


def read(path: Path) -> StoredModel:
    """Read a model from a safetensors file or a run folder; ModelError names what was found and expected."""
    found = read_any(path)
    if not isinstance(found, StoredModel):
        raise ModelError(
            f"{path}: is a committee of {len(found)} networks, and one network is needed here; name the file or the "
            "run of one of its members"
        )
    return found


def read_committee(path: Path) -> tuple[StoredModel, ...]:
    """Read the members of a committee from a safetensors file or a run folder; ModelError names what was found."""
    found = read_any(path)
    if isinstance(found, StoredModel):
        raise ModelError(f"{path}: is one network, and a committee is needed here; make one with jitnet committee")
    return found


def read_any(path: Path) -> StoredModel | tuple[StoredModel, ...]:
    """Read a model, or the members of a committee, from a safetensors file or a run folder."""
    if path.is_dir():
        if not (path / FILE_NAME).exists():
            if (path / "config.json").exists():  # as it is where the process was killed
                raise ModelError(f"{path}: this run ended before its first epoch did, and left no model; train again")
            raise ModelError(f"{path}: the folder holds no {FILE_NAME}; name a run folder or a .safetensors file")
        path = path / FILE_NAME
    tensors, about = _read(path)
    if COMMITTEE in about or (tensors and all(name.startswith("members.") for name in tensors)):
        return _members(path, tensors, about)
    return stored_model(path, tensors, about)


def _members(path: Path, tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str]) -> tuple[StoredModel, ...]:
    """The members of a committee's file."""
    plain: list[dict[str, str]] = [{} for _ in {name.split(".")[1] for name in tensors}]  # as PyTorch saves one
    entries = _entry(path, about, COMMITTEE, plain)
    if not isinstance(entries, list) or not entries or not all(_is_texts(entry) for entry in entries):
        raise _unfit(path, f"has the {COMMITTEE} {quoted(entries)}", "a list of what describes each member")
    found: list[dict[str, npt.NDArray[Any]]] = [{} for _ in entries]
    for name, tensor in tensors.items():
        match = re.fullmatch(r"members\.(0|[1-9]\d{0,5})\.(.+)", name)
        if match is None or int(match[1]) >= len(entries):
            raise ModelError(
                f"{path}: found the tensor {name}; expected those of {len(entries)} members, members.0.0.weight for "
                "example; save the committee again"
            )
        found[int(match[1])][match[2]] = tensor
    return tuple(
        stored_model(f"{path}, member {k + 1}", tensors, entry)
        for k, (tensors, entry) in enumerate(zip(found, entries, strict=True))
    )


def _is_texts(entry: object) -> bool:
    return isinstance(entry, dict) and all(isinstance(text, str) for text in entry.values())


def stored_model(path: Place, tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str]) -> StoredModel:
    """A model of what a file holds: its parameters, and its metadata. ModelError, which names the path, where they do
    not fit together."""
    config = _config(path, tensors, about)
    kind, scalings = ("class", ["scaling"]) if config.n_classes else ("target", ["scaling", "target_scaling"])
    for name in {"class_names", "target_names", "target_scaling"} - {f"{kind}_names", *scalings}:
        if name in about:
            raise _unfit(path, f"has {name}", f"none, as the model predicts {TARGETS[config.target]}")
    try:
        names = check_names(_entry(path, about, f"{kind}_names", []), f"{path}: {kind}_names in the metadata", kind)
    except DataError as error:
        raise ModelError(f"{error}; save the model again") from None
    count = config.n_classes or config.n_targets or 0
    if names and len(names) != count:
        raise _unfit(path, f"has {len(names)} {kind}_names", f"{count}, one a {kind}")
    image_shape = _entry(path, about, "image_shape", _square(config.in_features))
    if image_shape is not None and not is_shape(image_shape, config.in_features):
        found = f"has the image_shape {quoted(image_shape)}"
        raise _unfit(path, found, f"[height, width] of {config.in_features} pixels, or null")
    scaling = Scaling(0.0, 1.0 / 255.0)
    if "scaling" in about:
        scaling = _scaling(path, about, "scaling", config.in_features, np.float32)
    target_scaling = None
    if kind == "target":
        target_scaling = _scaling(path, about, "target_scaling", count, np.float64)
    known = {"format", "architecture", "config", "activation", "class_names", "image_shape", "scaling"}
    known |= {"target_names", "target_scaling", "preparation"}
    return StoredModel(
        config,
        tensors,
        names if kind == "class" else (),
        None if image_shape is None else (int(image_shape[0]), int(image_shape[1])),
        scaling,
        {name: text for name, text in about.items() if name not in known},
        names if kind == "target" else (),
        target_scaling,
        _preparation(path, about, config),
    )


def _preparation(path: Place, about: Mapping[str, str], config: ModelConfig) -> Preparation | None:
    """What the columns of a table become, where the metadata say so; ModelError where that is wrong."""
    if "preparation" not in about:
        return None
    try:
        preparation = Preparation.from_json(about["preparation"])
    except DataError as error:
        raise ModelError(f"{path}: the preparation in its metadata: {error}; save the model again") from None
    if (count := len(preparation.feature_names)) != config.in_features:
        raise _unfit(path, f"has a preparation of {count} features", f"{config.in_features}, as the network takes")
    return preparation


def _unfit(path: Place, found: str, expected: str) -> ModelError:
    """The error for a file that does not agree with itself; found: what its metadata are or have."""
    return ModelError(f"{path}: its metadata {found}; expected {expected}; save the model again")


def _entry(path: Place, about: Mapping[str, str], name: str, default: Any) -> Any:
    """What an entry of the metadata says, or a default where there is none; ModelError for what is not JSON."""
    if name not in about:
        return default
    try:
        return json.loads(about[name])
    except (ValueError, RecursionError):
        raise _unfit(path, f"has the {name} {quoted(about[name])}", "JSON") from None


def _config(path: Place, tensors: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str]) -> ModelConfig:
    """The config in the metadata, with which every tensor agrees; that which the tensors show where there is none."""
    if "config" in about:
        stored = _entry(path, about, "config", None)
        if not isinstance(stored, dict):
            raise _unfit(path, f"has the config {quoted(stored)}", "an object of the fields of a ModelConfig")
        try:
            config = ModelConfig.model_validate(stored)
        except UsageError as error:
            raise ModelError(f"{path}: the config in its metadata: {error}; save the model again") from None
        _check_names(path, tensors, list(config.parameter_shapes))
        for name, shape in config.parameter_shapes.items():
            _check_tensor(path, name, tensors[name], len(shape))
            if tensors[name].shape != shape:
                says = "-".join(map(str, config.widths))
                raise ModelError(
                    f"{path}: {name} has shape {tensors[name].shape}; expected {shape}, by the widths {says} of the "
                    "config in its metadata; save the model again"
                )
        return config
    for name in ("target_names", "target_scaling"):
        if name in about:
            raise _unfit(path, f"has {name} and no config", "both, as of a model that predicts numbers")
    kinds = _kinds(tensors)
    widths = _checked_widths(path, tensors, kinds)
    if widths[-1] < 2:
        raise ModelError(f"{path}: the last layer has {widths[-1]} output; expected at least 2 classes")
    fields: dict[str, Any] = {"in_features": widths[0], "hidden": widths[1:-1], "n_classes": widths[-1], **kinds}
    try:
        return build(ModelConfig, {**fields, "activation": about.get("activation", "relu")})
    except UsageError as error:
        raise ModelError(f"{path}: its metadata and tensors: {error}; save the model again") from None


def _scaling(path: Place, about: Mapping[str, str], name: str, count: int, kind: Any) -> Scaling:
    """A scaling in the metadata, of so many values; ModelError where it is missing or wrong."""
    found = _entry(path, about, name, None)
    if not isinstance(found, dict) or set(found) != {"offset", "scale"}:
        what = f"has the {name} {quoted(found)}" if name in about else f"has no {name}"
        raise _unfit(path, what, "an object of offset and scale")
    parts: dict[str, float | npt.NDArray[Any]] = {}
    for part, value in found.items():
        try:
            numbers = np.array(value, kind)
        except (ValueError, TypeError, OverflowError):
            numbers = np.array(math.nan)
        if numbers.shape not in ((), (count,)) or not np.isfinite(numbers).all():
            raise _unfit(path, f"has the {name} {part} {quoted(value)}", f"a finite number, or {count} of them")
        if name == "target_scaling" and part == "scale" and not numbers.all():
            raise _unfit(path, f"has the {name} {part} {quoted(value)}", "numbers other than zero")
        parts[part] = numbers if numbers.ndim else float(value)
    return Scaling(**parts)


def _scaling_text(scaling: Scaling) -> str:
    return json.dumps({name: np.asarray(getattr(scaling, name), np.float64).tolist() for name in ("offset", "scale")})


def _square(features: int) -> tuple[int, int] | None:
    side = math.isqrt(features)
    return (side, side) if side * side == features else None


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


def _checked_widths(path: Place, tensors: Mapping[str, npt.NDArray[Any]], kinds: Mapping[str, Any]) -> list[int]:
    """The network's widths, every key, shape and type of its tensors checked; kinds: those of its layers."""
    norm, residual, modules = kinds["norm"], kinds["residual"], _modules(tensors) or ["0"]
    weights = [tensors.get(f"{module}.weight") for module in (modules[::2] if norm == "layer" else modules)]
    # What is not a matrix gets a width that no other has, and is named further down.
    widths = [
        -1 - place if weight is None or weight.ndim != 2 else weight.shape[0] for place, weight in enumerate(weights)
    ]
    first = -1 if weights[0] is None or weights[0].ndim != 2 else weights[0].shape[1]
    widths = [first, *widths]
    layers = [layer for layer in layers_of(widths, norm=norm, residual=residual) if layer.shapes]
    expected = [layer.key(name) for layer in layers for name in layer.shapes]
    _check_names(path, tensors, expected)
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


def _check_names(path: Place, tensors: Mapping[str, npt.NDArray[Any]], expected: Sequence[str]) -> None:
    if sorted(tensors) != sorted(expected):
        found = ", ".join(sorted(tensors)[:8]) or "nothing"
        raise ModelError(
            f"{path}: found the tensors {found}; expected {', '.join(expected[:8])} as of an nn.Sequential"
        )


def _check_tensor(path: Place, name: str, array: npt.NDArray[Any], rank: int) -> None:
    if array.dtype != np.float32:
        raise ModelError(f"{path}: {name} is {array.dtype}; expected float32")
    if array.ndim != rank or 0 in array.shape:
        raise ModelError(f"{path}: {name} has shape {array.shape}; expected {rank} dimension{'s' * (rank > 1)}")
    if not np.isfinite(array).all():
        raise ModelError(f"{path}: {name} holds NaN or infinite numbers; train again with a lower learning rate")
