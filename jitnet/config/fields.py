"""What a network is and how it is trained: every field with its unit, range and default.

`ModelConfig` describes the network, `TrainConfig` the training. Both are frozen and check themselves;
a value out of range raises `UsageError` with one line that names the field, the value and the range.
Named recipes are TOML files in `recipes/`: a table `model` and a table `train`, each a part of these fields.
"""

import re
import tomllib
from importlib import resources
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from jitnet.errors import UsageError

__all__ = ["MAX_THREADS", "AugmentConfig", "ModelConfig", "TrainConfig", "build", "expected", "recipe", "recipe_names"]

MAX_THREADS = 1024

Activation = Literal["relu", "tanh", "gelu"]
Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]
Schedule = Literal["constant", "step", "exponential", "cosine", "one-cycle"]
Units = Annotated[int, Field(ge=1, le=1_000_000)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelConfig(_Config):
    """Shape and start of a fully connected network: in_features → hidden … → n_classes logits."""

    in_features: Units = Field(description="Numbers in one sample.")
    hidden: tuple[Units, ...] = Field(
        (128,), description="Units of each hidden layer, first to last; empty for softmax regression."
    )
    n_classes: Annotated[int, Field(ge=2, le=65_536)] = Field(description="Classes, and so logits.")
    activation: Activation = Field("relu", description="What follows every hidden layer.")
    init: Literal["he", "normal"] = Field(
        "he",
        description="Start: He's N(0, 2/in_features) with zero biases, or N(0, 1) for weights and hidden biases.",
    )
    output_bias: bool = Field(
        True, description="Whether the last layer's bias is trained; without it the bias stays zero."
    )

    @property
    def widths(self) -> tuple[int, ...]:
        """Features before the first layer and after each one."""
        return (self.in_features, *self.hidden, self.n_classes)

    @property
    def n_parameters(self) -> int:
        """Weights and biases that training changes."""
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        return sum((before + 1) * after for before, after in pairs) - (0 if self.output_bias else self.n_classes)


class AugmentConfig(_Config):
    """Random distortions of each image, drawn anew for every epoch; zero turns one off."""

    shift: Annotated[float, Field(ge=0.0, le=32.0)] = Field(
        0.0, description="Largest shift along each axis, in pixels."
    )
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = Field(0.0, description="Largest rotation, in degrees.")
    scaling: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        0.0, description="Largest change of size along each axis, as a fraction."
    )
    shear: Annotated[float, Field(ge=0.0, le=60.0)] = Field(0.0, description="Largest shear, in degrees.")
    elastic: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        0.0, description="Strength of the elastic distortion (alpha of Simard et al. 2003), in pixels."
    )
    elastic_sigma: Annotated[float, Field(ge=0.5, le=20.0)] = Field(
        4.0, description="Smoothness of the elastic distortion: the Gaussian's standard deviation, in pixels."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if "elastic_sigma" in self.model_fields_set and not self.elastic:
            raise ValueError(
                f"<augment.elastic_sigma> is {self.elastic_sigma:g}, with <augment.elastic> off; set that too"
            )
        return self

    @property
    def active(self) -> bool:
        """Whether any distortion is on."""
        return any((self.shift, self.rotation, self.scaling, self.shear, self.elastic))


_ONLY_WITH = (
    ("momentum", "optimizer", ("momentum", "nesterov")),
    ("beta1", "optimizer", ("adam", "adamw")),
    ("beta2", "optimizer", ("adam", "adamw")),
    ("rho", "optimizer", ("rmsprop",)),
    ("epsilon", "optimizer", ("rmsprop", "adam", "adamw")),
    ("step_every", "schedule", ("step",)),
    ("decay", "schedule", ("step", "exponential")),
    ("final_fraction", "schedule", ("cosine", "one-cycle")),
)
"""Fields that do nothing but with some choices of another: setting one without is a slip, and is said."""


class TrainConfig(_Config):
    """How a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = Field(10, description="Passes over the training data.")
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = Field(32, description="Samples a step.")
    learning_rate: Annotated[float, Field(gt=0.0, le=1000.0)] = Field(0.7, description="Peak step size.")
    optimizer: Optimizer = Field("sgd", description="The rule that turns a gradient into an update.")
    momentum: Fraction = Field(0.9, description="Decay of the velocity in momentum and nesterov.")
    beta1: Fraction = Field(0.9, description="Decay of adam's and adamw's mean gradient.")
    beta2: Fraction = Field(0.999, description="Decay of adam's and adamw's mean squared gradient.")
    rho: Fraction = Field(0.99, description="Decay of rmsprop's mean squared gradient.")
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1e-8, description="What keeps rmsprop, adam and adamw from dividing by zero."
    )
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        0.0, description="L2 penalty on weights and biases; decoupled in adamw."
    )
    schedule: Schedule = Field("one-cycle", description="How the learning rate changes, step by step.")
    warmup: Annotated[float, Field(ge=0.0)] = Field(0.0, description="Epochs of linear warm-up before the schedule.")
    step_every: Annotated[float, Field(gt=0.0)] = Field(
        3.0, description="Epochs between the step schedule's reductions."
    )
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="Factor of the step schedule at each reduction, and of the exponential schedule in each epoch."
    )
    final_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.0, description="Learning rate at the end of cosine and one-cycle, as a fraction of the peak."
    )
    dropout: tuple[Fraction, ...] = Field(
        (), description="Share of hidden units dropped: one for all hidden layers, or one for each."
    )
    input_dropout: Fraction = Field(0.0, description="Share of inputs dropped.")
    max_norm: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="Largest norm of a hidden unit's incoming weights; 0 is off."
    )
    label_smoothing: Fraction = Field(0.0, description="Share of the target spread evenly over the classes.")
    clip_norm: Annotated[float, Field(ge=0.0)] = Field(0.0, description="Largest norm of the whole gradient; 0 is off.")
    ema: Fraction = Field(0.0, description="Decay of the moving average of the weights, a step; 0 is off.")
    augment: AugmentConfig = Field(AugmentConfig(), description="Random distortions of the images.")
    val_split: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        0.0, description="Share of the training data held out to watch."
    )
    patience: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        0, description="Epochs without improvement before an early stop; 0 is off."
    )
    monitor: Literal["accuracy", "loss"] = Field(
        "accuracy", description="What early stopping watches on the held-out data."
    )
    target_accuracy: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        0.0, description="Stop once this accuracy, in percent, is reached on held-out or else on test data; 0 is off."
    )
    shuffle: bool = Field(True, description="Whether the samples are drawn in a new order in each epoch.")
    drop_last: bool = Field(False, description="Whether a last batch that is not full is left out.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(0, description="Where all random numbers come from.")
    threads: Annotated[int, Field(ge=0, le=MAX_THREADS)] = Field(0, description="Threads to train on; 0 chooses.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.warmup > self.epochs:
            raise ValueError(
                f"<warmup> is {self.warmup:g}, longer than the whole run of {self.epochs} epochs (<epochs>); "
                f"expected a number from 0 to {self.epochs}"
            )
        if self.patience and not self.val_split:
            raise ValueError(
                f"<patience> is {self.patience}, with no held-out data to watch; set <val_split>, 0.1 for example"
            )
        for field, chosen, fitting in _ONLY_WITH:
            if field in self.model_fields_set and getattr(self, chosen) not in fitting:
                raise ValueError(
                    f"<{field}> is {getattr(self, field):g}, which <{chosen}> {getattr(self, chosen)} does not use; "
                    f"expected <{chosen}> {' or '.join(fitting)}"
                )
        if "monitor" in self.model_fields_set and not self.val_split:
            raise ValueError(
                f"<monitor> is {self.monitor}, with no held-out data to watch; set <val_split>, 0.1 for example"
            )
        return self


Config = TypeVar("Config", bound=_Config)


def expected(kind: type[_Config], field: str) -> str:
    """What a field takes, for people: "a whole number from 1 to 1,000,000", "a number above 0, up to 1,000"."""
    info = kind.model_fields[field]
    if get_origin(info.annotation) is tuple:
        number, *notes = get_args(get_args(info.annotation)[0])
        limits = [limit for note in notes for limit in note.metadata]
        return f"{'whole ' if number is int else ''}numbers {_range(limits)}, separated by commas"
    if get_origin(info.annotation) is Literal:
        *first, last = get_args(info.annotation)
        return f"{', '.join(first)} or {last}"
    if info.annotation is bool:
        return "yes or no"
    if isinstance(info.annotation, type) and issubclass(info.annotation, _Config):
        return f"a table of {', '.join(info.annotation.model_fields)}"
    return f"a {'whole ' if info.annotation is int else ''}number {_range(info.metadata)}"


def _range(limits: list[Any]) -> str:
    bound = {
        name: getattr(limit, name) for limit in limits for name in ("ge", "gt", "le", "lt") if hasattr(limit, name)
    }
    if "lt" in bound and isinstance(bound["lt"], int):
        bound["le"] = bound.pop("lt") - 1
    text = {name: f"{value:,d}" if isinstance(value, int) else f"{value:,.9g}" for name, value in bound.items()}
    if "gt" in text:
        return f"above {text['gt']}" + (f", up to {text['le']}" if "le" in text else "")
    if "lt" in text:
        return f"from {text['ge']} to below {text['lt']}"
    return f"from {text['ge']} to {text['le']}" if "le" in text else f"of {text['ge']} or more"


def build(kind: type[Config], values: dict[str, Any], names: dict[str, str] | None = None) -> Config:
    """Make a config from `values`.

    `names` gives what the user calls a field (an option's name), used in messages in place of the field's own; a field
    of a table is `table.field` there. Raises UsageError with one line: the field, the value found and the range.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        raise UsageError(_complaint(kind, error.errors()[0], names or {})) from None


def _complaint(kind: type[_Config], error: Any, names: dict[str, str]) -> str:
    if error["type"] == "value_error":  # from a validator of the whole, which writes its own line
        message = str(error["msg"]).removeprefix("Value error, ")
        return re.sub(r"<([\w.]+)>", lambda field: names.get(field[1], field[1]), message)
    field, *rest = (str(part) for part in error["loc"])
    path = field
    while field in kind.model_fields and rest:
        nested = kind.model_fields[field].annotation
        if not (isinstance(nested, type) and issubclass(nested, _Config)):
            break
        kind, (field, *rest) = nested, rest
        path += "." + field
    name = names.get(path, path)
    if field not in kind.model_fields:
        return f"{name}: there is no such field; there are {', '.join(kind.model_fields)}"
    found = "nothing" if error["type"] == "missing" else repr(error["input"])
    return f"{name}: expected {expected(kind, field)}, found {found}"


def recipe_names() -> list[str]:
    """The names of the recipes that come with jitnet, sorted."""
    folder = resources.files("jitnet.config") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe(name: str) -> dict[str, dict[str, Any]]:
    """The tables `model` and `train` of a named recipe; UsageError lists the names where there is none such."""
    if name not in recipe_names():
        raise UsageError(f"--recipe: there is no recipe {name!r}; there are {', '.join(recipe_names())}")
    text = (resources.files("jitnet.config") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {
        "about": {"text": tables.get("about", "")},
        "model": tables.get("model", {}),
        "train": tables.get("train", {}),
    }
