"""The kinds of layers: for each name of `config.LAYERS` the file with what it brings to training."""

from types import ModuleType

from jitnet.engine import kind_activation, kind_input_scale, kind_layer_norm, kind_linear, kind_residual
from jitnet.engine.layer_kind import Kind

__all__ = ["KINDS", "KIND_MODULES"]

KIND_MODULES: dict[str, ModuleType] = {
    "input_scale": kind_input_scale,
    "linear": kind_linear,
    "layer_norm": kind_layer_norm,
    "activation": kind_activation,
    "residual": kind_residual,
}
"""The file of each kind, its name as in `config.LAYERS`."""

KINDS: dict[str, Kind] = {name: module.KIND for name, module in KIND_MODULES.items()}
"""Every kind by its name."""
