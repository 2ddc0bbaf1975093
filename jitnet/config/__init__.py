"""What a network is and how it is trained: every field with its unit, range and default; named recipes.

fields.py   the configs, and how a wrong value is told     recipes/   named parts of them, one TOML file each

Nothing here loads Numba.
"""

from jitnet.config.fields import (
    MAX_THREADS,
    AugmentConfig,
    ModelConfig,
    TrainConfig,
    build,
    expected,
    recipe,
    recipe_names,
)

__all__ = ["MAX_THREADS", "AugmentConfig", "ModelConfig", "TrainConfig", "build", "expected", "recipe", "recipe_names"]
