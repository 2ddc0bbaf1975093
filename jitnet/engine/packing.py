"""Parameters between PyTorch's layout, in which they are saved, and that of training."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from jitnet.compiler.signatures import Records
from jitnet.config import LAYERS, Layer, ModelConfig
from jitnet.engine.kinds import KINDS
from jitnet.engine.loop_records import ParameterRecord
from jitnet.kernels.linear import from_panels, in_panels

__all__ = [
    "described",
    "fold_trained",
    "pack",
    "pack_trained",
    "trained_key",
    "trained_values",
    "unpack",
    "unpack_trained",
]

Floats = npt.NDArray[np.float32]


def pack(
    params: Floats, records: Records[ParameterRecord], config: ModelConfig, parameters: Mapping[str, Floats]
) -> None:
    """Write parameters by their names in PyTorch, as "0.weight" (out, in) and "0.bias" (out,), into `params`. What a
    saved model has in other weights begins as it begins in a new network."""
    for record, layer, name in described(records, config):
        if LAYERS[layer.kind].folded:
            values = np.full(layer.shapes[name], LAYERS[layer.kind].parameters[name], np.float32)
        else:
            values = parameters[layer.key(name)]
        _write(params, record, values)


def trained_values(params: Floats, records: Records[ParameterRecord], config: ModelConfig) -> list[dict[str, Floats]]:
    """Of each layer of the network the parameters by their names there, as new arrays in PyTorch's layout: as they are
    trained, nothing folded into others."""
    found: list[dict[str, Floats]] = [{} for _ in config.layers]
    for record, layer, name in described(records, config):
        values, shape = params[record.offset : record.offset + record.count], layer.shapes[name]
        found[record.layer][name] = from_panels(values, shape[0]) if len(shape) == 2 else values[: shape[0]].copy()
    return found


def unpack_trained(params: Floats, records: Records[ParameterRecord], config: ModelConfig) -> dict[str, Floats]:
    """The same by the names that `trained_key` returns."""
    found = trained_values(params, records, config)
    return {
        trained_key(layer, name): values[name]
        for layer, values in zip(config.layers, found, strict=True)
        for name in values
    }


def pack_trained(
    params: Floats, records: Records[ParameterRecord], config: ModelConfig, values: Mapping[str, Floats]
) -> None:
    """Write what `unpack_trained` returned into `params`."""
    for record, layer, name in described(records, config):
        _write(params, record, values[trained_key(layer, name)])


def unpack(params: Floats, records: Records[ParameterRecord], config: ModelConfig) -> dict[str, Floats]:
    """The parameters by their names in PyTorch, as a saved model has them: new arrays in its layout, with those that
    are folded in the others of their block."""
    return _folded(trained_values(params, records, config), config)


def fold_trained(values: Mapping[str, Floats], config: ModelConfig) -> dict[str, Floats]:
    """The same of what `unpack_trained` returned, which stays as it is."""
    return _folded(
        [{name: values[trained_key(layer, name)].copy() for name in layer.shapes} for layer in config.layers], config
    )


def _folded(found: list[dict[str, Floats]], config: ModelConfig) -> dict[str, Floats]:
    """A saved model's parameters of each layer's; those of `found` are changed."""
    pairs = list(zip(config.layers, found, strict=True))
    for layer, values in pairs:
        if LAYERS[layer.kind].folded and values:
            KINDS[layer.kind].fold(values, {each.kind: of for each, of in pairs if each.block == layer.block})
    saved = [(layer, values) for layer, values in pairs if not LAYERS[layer.kind].folded]
    return {layer.key(name): values[name] for layer, values in saved for name in layer.shapes}


def described(records: Records[ParameterRecord], config: ModelConfig) -> Iterator[tuple[ParameterRecord, Layer, str]]:
    """Each parameter's record, its layer, and its name there."""
    for record in records:
        layer = config.layers[record.layer]
        yield record, layer, list(LAYERS[layer.kind].parameters)[record.number]


def _write(params: Floats, record: ParameterRecord, values: Floats) -> None:
    """Write a parameter in PyTorch's layout to its place."""
    flat = in_panels(values).reshape(-1) if values.ndim == 2 else values
    params[record.offset : record.offset + len(flat)] = flat


def trained_key(layer: Layer, name: str) -> str:
    """The name of a parameter among those that are trained: as in a file, or "input_scale.scale" where a file has it in
    other weights."""
    return layer.key(name) if layer.name else f"{layer.kind}.{name}"
