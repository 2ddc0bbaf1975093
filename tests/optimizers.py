"""What tests need to know of every optimizer in the tables, without naming one."""

from jitnet.config import OPTIMIZERS, TrainConfig

_BRISK = {"momentum": 0.9, "rho": 0.9, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-2}
"""Hyperparameters under which a few steps show. A large epsilon: gradients that are rounding alone would else be steps
of full size."""

OPTIMIZER_OPTIONS: dict[str, dict[str, float]] = {
    name: {field: _BRISK.get(field, TrainConfig.model_fields[field].default) for field in optimizer.hyperparameters}
    for name, optimizer in OPTIMIZERS.items()
}
"""For each optimizer the hyperparameters that it uses."""
