"""What can be chosen: the one table of activations, of losses and of optimizers, and the fields of optimizers.

A new activation is a line in `ACTIVATIONS`, a new loss one in `LOSSES`, a new optimizer one in `OPTIMIZERS`. A
hyperparameter that no optimizer had before is a field in `OptimizerFields` as well. What is accepted, the messages and
`--help` follow from these; the loops are in `jitnet/kernels`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from jitnet.config.checking import CheckedConfig, Fraction

__all__ = [
    "ACTIVATIONS",
    "HYPERPARAMETERS",
    "LOSSES",
    "OPTIMIZERS",
    "TARGETS",
    "TASKS",
    "Activation",
    "ActivationName",
    "Loss",
    "LossName",
    "Optimizer",
    "OptimizerFields",
    "OptimizerName",
    "default_rate",
]


@dataclass(frozen=True)
class Activation:
    """about: what it computes, in one line."""

    about: str


TASKS: dict[str, str] = {"classify": "classes", "regress": "numbers"}
"""What a network is for, and what its targets are: a class for each sample, or a number, or several numbers."""

TARGETS: dict[str, str] = {"class": "classes", "label": "yes/no labels", "number": "numbers"}
"""What a target may be, and several of them in words: one class for each sample; or of several labels each yes or no;
or a number, or several."""


@dataclass(frozen=True)
class Loss:
    """about: what is minimised, in one line.

    target: the kind of target that it takes, a name in `TARGETS`. link: from the outputs to the predictions, a name in
    `kernels.loss`. metrics: what an evaluation reports besides the loss. learning_rates: by optimizer, where the
    default differs from the optimizer's. fields: those of `ModelConfig` that it alone uses, and whose numbers it
    depends on. scaling: what a network is trained on, "standardised" targets, or "by mean", divided by it; "" as they
    are. nonnegative: whether a target must be 0 or more.
    """

    about: str
    target: str
    link: str
    metrics: tuple[str, ...]
    learning_rates: dict[str, float]
    fields: tuple[str, ...] = ()
    scaling: str = "standardised"
    nonnegative: bool = False

    @property
    def task(self) -> str:
        """What its networks are for, a name in `TASKS`."""
        return "regress" if self.target == "number" else "classify"


@dataclass(frozen=True)
class Optimizer:
    """about: which way it moves the weights, in one line.

    hyperparameters: the fields of `OptimizerFields` that only some optimizers use, and this one does. defaults: its
    `learning_rate`, and each hyperparameter whose default differs from the field's. normalises: whether its steps are
    as long with a gradient that is larger by a factor.
    """

    about: str
    hyperparameters: tuple[str, ...]
    defaults: dict[str, float]
    normalises: bool = False


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation("max(x, 0)"),
    "tanh": Activation("tanh(x)"),
    "gelu": Activation("x times the normal distribution function at x"),
    "silu": Activation("x times the sigmoid of x"),
    "mish": Activation("x times tanh(log(1 + e^x))"),
    "selu": Activation("x, or 1.67 (e^x - 1) below zero, times 1.05"),
}

_ERRORS = ("rmse", "mae", "r2")

LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(
        "-log of the probability of a sample's class", "class", "softmax", ("accuracy",), {}, scaling=""
    ),
    "binary-cross-entropy": Loss(
        "-log of the probability of each label's yes or no, mean over labels; several labels may be yes at once",
        "label",
        "sigmoid",
        ("accuracy",),
        {},
        scaling="",
    ),
    "squared-error": Loss(
        "squared difference to the target, mean over targets",
        "number",
        "identity",
        _ERRORS,
        # Its gradient grows with the error, and softmax's does not: a first step may be far too large.
        {"sgd": 0.01, "momentum": 0.002, "nesterov": 0.002},
    ),
    "absolute-error": Loss(
        "distance to the target, mean over targets; outliers count less",
        "number",
        "identity",
        _ERRORS,
        {},
    ),
    "huber": Loss(
        "half the squared difference to the target, from a distance on linear; outliers count less",
        "number",
        "identity",
        _ERRORS,
        {"sgd": 0.05, "momentum": 0.01, "nesterov": 0.01},
        ("huber_delta",),
    ),
    "quantile": Loss(
        "pinball loss of several quantiles of each target at once, which do not cross",
        "number",
        "levels",
        _ERRORS,
        {},
        ("quantiles",),
    ),
    "poisson": Loss(
        "e^output - target x output, for counts and other targets of 0 or more, which are divided by their mean",
        "number",
        "exponential",
        _ERRORS,
        {"sgd": 0.05, "momentum": 0.005, "nesterov": 0.005},
        scaling="by mean",
        nonnegative=True,
    ),
}
"""The first of a task is its default."""

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(
        "against the gradient",
        (),
        {"learning_rate": 0.7},
    ),
    "momentum": Optimizer(
        "against a decaying sum of the gradients",
        ("momentum",),
        {"learning_rate": 0.05},
    ),
    "nesterov": Optimizer(
        "momentum, looking one step ahead",
        ("momentum",),
        {"learning_rate": 0.05},
    ),
    "rmsprop": Optimizer(
        "against the gradient over its root mean square",
        ("rho", "epsilon"),
        {"learning_rate": 0.005},
        normalises=True,
    ),
    "adam": Optimizer(
        "against the mean gradient over its root mean square",
        ("beta1", "beta2", "epsilon"),
        {"learning_rate": 0.005},
        normalises=True,
    ),
    "adamw": Optimizer(
        "adam, with decoupled weight decay",
        ("beta1", "beta2", "epsilon"),
        {"learning_rate": 0.005},
        normalises=True,
    ),
    "lion": Optimizer(
        "against the sign of a mean gradient, decoupled weight decay",
        ("beta1", "beta2"),
        {"learning_rate": 0.001, "beta2": 0.99},
        normalises=True,
    ),
}

# A type checker cannot read a Literal out of a table.
if TYPE_CHECKING:
    ActivationName = str
    LossName = str
    OptimizerName = str
else:
    ActivationName = Literal[tuple(ACTIVATIONS)]
    LossName = Literal[tuple(LOSSES)]
    OptimizerName = Literal[tuple(OPTIMIZERS)]


def default_rate(optimizer: str, loss: str) -> float:
    """The learning rate of an optimizer with a loss, where none is chosen."""
    return LOSSES[loss].learning_rates.get(optimizer, OPTIMIZERS[optimizer].defaults["learning_rate"])


class OptimizerFields(CheckedConfig):
    """The fields of an update. One that is not set takes the chosen optimizer's default, where it has one."""

    optimizer: OptimizerName = Field(default="sgd", description="The rule that turns a gradient into an update.")
    learning_rate: Annotated[float, Field(gt=0.0, le=1000.0)] = Field(
        default=OPTIMIZERS["sgd"].defaults["learning_rate"], description="Peak step size."
    )
    momentum: Fraction = Field(default=0.9, description="Decay of the velocity.")
    beta1: Fraction = Field(default=0.9, description="Decay of the mean gradient.")
    beta2: Fraction = Field(default=0.999, description="Decay of the mean squared gradient.")
    rho: Fraction = Field(default=0.99, description="Decay of the mean squared gradient.")
    epsilon: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=1e-8, description="Added to the root in a denominator, so that it is never zero."
    )
    weight_decay: Annotated[float, Field(ge=0.0, le=10.0)] = Field(
        default=0.0, description="L2 penalty on weights and biases; decoupled in adamw and lion."
    )
    parametrization: Literal["standard", "ntk"] = Field(
        default="standard",
        description="How far the weights of each layer move: ntk divides their learning rate by the square root of the "
        "layer's inputs, and with sgd, momentum and nesterov by their number, as if the layer multiplied weights of "
        "size 1 by 1 / sqrt(inputs) (Jacot et al. 2018).",
    )
    bias_rate: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        default=1.0, description="Factor of the learning rate for biases."
    )
    input_scale_rate: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        default=1.0, description="Factor of the learning rate for the learned factors of inputs."
    )

    @property
    def one_rate(self) -> bool:
        """Whether all parameters have the same learning rate."""
        return self.parametrization == "standard" and self.bias_rate == self.input_scale_rate == 1.0

    @model_validator(mode="after")
    def _optimizer_defaults(self) -> Self:
        for field, default in OPTIMIZERS[self.optimizer].defaults.items():
            if field not in self.model_fields_set:
                self.__dict__[field] = default  # in spite of the freeze, and not as a field that the user set
        return self


HYPERPARAMETERS: tuple[str, ...] = tuple(
    field
    for field in OptimizerFields.model_fields
    if any(field in optimizer.hyperparameters for optimizer in OPTIMIZERS.values())
)
"""The fields that only some optimizers use, in their order."""
