"""Which fields have no effect beside the others, and why."""

from collections.abc import Mapping
from typing import Any

from jitnet.config.checking import any_of
from jitnet.config.model import ONLY_WITH_LOSS, ModelConfig
from jitnet.config.training import ONLY_WITH, TrainConfig

__all__ = ["unused_fields"]


def unused_fields(network: Mapping[str, Any], training: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a network and of a training that have no effect with these, those of a table as
    "table.field", and for each what it needs, in words. A config in which one of them is set is refused.

    network, training: fields of a `ModelConfig` and a `TrainConfig`; one that is missing has its default, and numbers
    may be text.
    """

    def value(name: str) -> Any:
        fields, kind = (network, ModelConfig) if name in ModelConfig.model_fields else (training, TrainConfig)
        return fields.get(name, kind.model_fields[name].default)

    needs = {
        field: f"only with {chosen} {any_of(fitting)}"
        for field, (chosen, fitting) in {**ONLY_WITH, **ONLY_WITH_LOSS}.items()
        if value(chosen) not in fitting
    }
    if _is_off(value("val_split")):
        needs |= dict.fromkeys(("patience", "monitor", "keep"), "only with val_split above 0")
    if not value("input_scale"):
        needs["input_scale_rate"] = "only with input_scale"
    augment = training.get("augment", {})
    if isinstance(augment, Mapping) and _is_off(augment.get("elastic", 0.0)):
        needs["augment.elastic_sigma"] = "only with elastic above 0"
    return needs


def _is_off(number: Any) -> bool:
    """Whether a number is zero, as it is or as text; what is no number is reported elsewhere."""
    try:
        return float(number) == 0.0
    except (TypeError, ValueError):
        return False
