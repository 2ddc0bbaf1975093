"""What a network is and how it is trained: every field with its unit, range and default; named recipes.

choices.py    what can be chosen, activations, losses and optimizers: their names and properties
layers.py     the kinds of layer, and a network as the list of its layers
model.py      the fields of a network             training.py   the fields of a training
checking.py   how a wrong value is reported       recipes/      named parts of both, one TOML file each
class_weight.py weights of classes as text    unused.py     fields without effect beside the others
freezing.py   layers that keep their parameters, as text
describing.py the fields in words                 nearest.py    what a misspelled name may mean
settings_file.py settings in a TOML file          key_lines.py  on which line of it each is

Nothing here loads Numba or NumPy.
"""

from jitnet.config.checking import build, check_arguments, check_callback, check_whole_number, expected
from jitnet.config.choices import ACTIVATIONS, HYPERPARAMETERS, LOSSES, OPTIMIZERS, TARGETS, TASKS
from jitnet.config.describing import describe_fields
from jitnet.config.layers import LAYERS, Layer, layers_of
from jitnet.config.model import ModelConfig, layers_in_words, losses_for, losses_of, with_defaults
from jitnet.config.recipes import is_recipe_file, read_recipe, recipe, recipe_names
from jitnet.config.training import MAX_THREADS, AugmentConfig, TrainConfig

__all__ = [
    "ACTIVATIONS",
    "HYPERPARAMETERS",
    "LAYERS",
    "LOSSES",
    "MAX_THREADS",
    "OPTIMIZERS",
    "TARGETS",
    "TASKS",
    "AugmentConfig",
    "Layer",
    "ModelConfig",
    "TrainConfig",
    "build",
    "check_arguments",
    "check_callback",
    "check_whole_number",
    "describe_fields",
    "expected",
    "is_recipe_file",
    "layers_in_words",
    "layers_of",
    "losses_for",
    "losses_of",
    "read_recipe",
    "recipe",
    "recipe_names",
    "with_defaults",
]

for _kind in (ModelConfig, TrainConfig, AugmentConfig):
    _kind.__doc__ = f"{_kind.__doc__}\n\n    Fields, each passed by its name:\n{describe_fields(_kind)}\n    "
