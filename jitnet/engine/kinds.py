"""The kinds of layers: for each name of `config.LAYERS` what its file, `kind_` and the name, brings to training."""

from importlib import import_module
from types import ModuleType

from jitnet.config import LAYERS
from jitnet.engine.layer_kind import Kind

__all__ = ["KINDS", "KIND_MODULES"]

KIND_MODULES: dict[str, ModuleType] = {name: import_module(f"jitnet.engine.kind_{name}") for name in LAYERS}
"""The file of each kind."""

KINDS: dict[str, Kind] = {name: module.KIND for name, module in KIND_MODULES.items()}
"""Every kind by its name."""
