"""The fields of a training, and which of them fit together."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jitnet.config.checking import CheckedConfig, Fraction, check_only_with
from jitnet.config.choices import HYPERPARAMETERS, LOSSES, OPTIMIZERS, OptimizerFields, default_rate
from jitnet.config.class_weight import BALANCED, ClassWeight, class_weights
from jitnet.config.freezing import Freeze, frozen_layers
from jitnet.config.model import ModelConfig
from jitnet.errors import UsageError

__all__ = ["MAX_THREADS", "ONLY_WITH", "AugmentConfig", "TrainConfig"]

MAX_THREADS = 1024


class AugmentConfig(CheckedConfig):
    """Random distortions of each image, drawn again for every epoch; zero turns one off."""

    shift: Annotated[float, Field(ge=0.0, le=32.0)] = Field(
        default=0.0, description="Largest shift along each axis, in pixels."
    )
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = Field(
        default=0.0, description="Largest rotation, in degrees."
    )
    scaling: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        default=0.0, description="Largest change of size along each axis, as a fraction."
    )
    shear: Annotated[float, Field(ge=0.0, le=60.0)] = Field(default=0.0, description="Largest shear, in degrees.")
    elastic: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        default=0.0, description="Strength of the elastic distortion (alpha of Simard et al. 2003), in pixels."
    )
    elastic_sigma: Annotated[float, Field(ge=0.5, le=20.0)] = Field(
        default=4.0, description="Smoothness of the elastic distortion: the Gaussian's standard deviation, in pixels."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.gave("elastic_sigma") and not self.elastic:
            raise ValueError(
                f"<augment.elastic_sigma> is {self.elastic_sigma:g}, with <augment.elastic> off; set that too"
            )
        return self

    @property
    def active(self) -> bool:
        """Whether any distortion is on."""
        return any((self.shift, self.rotation, self.scaling, self.shear, self.elastic))


ONLY_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        field: ("optimizer", tuple(name for name, kind in OPTIMIZERS.items() if field in kind.hyperparameters))
        for field in HYPERPARAMETERS
    },
    "step_every": ("schedule", ("step",)),
    "decay": ("schedule", ("step", "exponential")),
    "final_fraction": ("schedule", ("cosine", "one-cycle")),
}
"""Fields that have an effect only with some choices of another: setting one without is reported as a mistake."""


class TrainConfig(OptimizerFields):
    """How a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = Field(default=10, description="Passes over the training data.")
    max_steps: Annotated[int, Field(ge=0, le=10**15)] = Field(
        default=0,
        description="Steps after which the run ends, and with it the schedule, in the middle of an epoch too; 0 is "
        "none, and where the epochs end first, they count.",
    )
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = Field(default=32, description="Samples per step.")
    schedule: Literal["constant", "step", "exponential", "cosine", "one-cycle", "coslog4"] = Field(
        default="one-cycle", description="How the learning rate changes, step by step."
    )
    warmup: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="Epochs of linear warm-up before the schedule."
    )
    step_every: Annotated[float, Field(gt=0.0)] = Field(
        default=3.0, description="Epochs between the step schedule's reductions."
    )
    decay: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        default=0.5,
        description="Factor of the step schedule at each reduction, and of the exponential schedule in each epoch.",
    )
    final_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        default=0.0, description="Learning rate at the end of cosine and one-cycle, as a fraction of the peak."
    )
    dropout: tuple[Fraction, ...] = Field(
        default=(), description="Rate at which hidden units are dropped: one for all hidden layers, or one for each."
    )
    input_dropout: Fraction = Field(default=0.0, description="Rate at which inputs are dropped.")
    max_norm: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="Largest norm of a hidden unit's incoming weights; 0 is off."
    )
    label_smoothing: Fraction = Field(
        default=0.0, description="Share of the target spread evenly over the classes, or over a label's yes and no."
    )
    class_weight: ClassWeight = Field(
        default="",
        description="How much the samples of each class count in the training loss: a class that is not named has the "
        "weight 1; balanced gives all classes the same weight in all.",
    )
    clip_norm: Annotated[float, Field(ge=0.0)] = Field(
        default=0.0, description="Largest norm of the whole gradient; 0 is off."
    )
    freeze: Freeze = Field(
        default="",
        description="Layers whose parameters keep their values, by their numbers in the program of a step.",
    )
    ema: Fraction = Field(default=0.0, description="Decay of the moving average of the weights, per step; 0 is off.")
    augment: AugmentConfig = Field(default=AugmentConfig(), description="Random distortions of the images.")
    val_split: Annotated[float, Field(ge=0.0, le=0.9)] = Field(
        default=0.0, description="Share of the training data held out for validation."
    )
    patience: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        default=0, description="Epochs without improvement before an early stop; 0 is off."
    )
    monitor: Literal["accuracy", "loss"] = Field(
        default="accuracy",
        description="What early stopping watches on the held-out data; where targets are numbers always the loss.",
    )
    keep: Literal["best", "latest-best", "last"] = Field(
        default="best",
        description="Which epoch's parameters a run ends with, by the held-out data: best, of equally good epochs the "
        "first; latest-best, of these the latest; last, the last epoch's, however good.",
    )
    target_accuracy: Annotated[float, Field(ge=0.0, le=100.0)] = Field(
        default=0.0,
        description="Stop once this accuracy, in percent, is reached on held-out or else on test data; 0 is off.",
    )
    shuffle: bool = Field(default=True, description="Whether the samples are drawn in a new order in each epoch.")
    drop_last: bool = Field(default=False, description="Whether a last batch that is not full is left out.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=0, description="Seed of all random numbers.")
    threads: Annotated[int, Field(ge=0, le=MAX_THREADS)] = Field(
        default=0, description="Threads to train on, at most one a core; 0 chooses by trying."
    )

    def for_loss(self, loss: str) -> Self:
        """The same as a loss needs it: with its default learning rate, where none was chosen and it differs; and
        monitoring the loss, where it has no accuracy."""
        rate, made = default_rate(self.optimizer, loss), self
        if "learning_rate" not in self.model_fields_set and rate != self.learning_rate:
            made = self.model_copy(update={"learning_rate": rate})
        if self.monitor not in ("loss", *LOSSES[loss].metrics):
            made = made.model_copy()
            made.__dict__["monitor"] = "loss"  # in spite of the freeze, and not as a field that is set
        return made

    def check_fits(self, shape: ModelConfig) -> None:
        """UsageError where this asks for what a network of that shape has no use for."""
        hidden, rates = len(shape.hidden), self.dropout
        self.frozen(shape)
        found = ""
        if not hidden and any(rates):
            found = f"<dropout> is {', '.join(f'{rate:g}' for rate in rates)}, with no hidden layer to drop units of"
        elif not hidden and self.max_norm:
            found = f"<max_norm> is {self.max_norm:g}, with no hidden layer whose weights it limits"
        if found:
            raise UsageError.of_fields(f"{found}; set <hidden> to a number of units, or leave it out")
        if hidden and len(rates) not in (0, 1, hidden):
            each = f", or one for each of the {hidden} hidden layers" if hidden > 1 else ", for the one hidden layer"
            raise UsageError.of_fields(f"<dropout> has {len(rates)} rates; give one{each}")
        if self.gave("input_scale_rate") and not shape.input_scale:
            raise UsageError.of_fields(
                f"<input_scale_rate> is {self.input_scale_rate:g}, with no learned factors of inputs; set "
                "<input_scale> too, or leave it out"
            )
        if self.class_weight and LOSSES[shape.loss].target == "label":
            raise UsageError.of_fields(
                f"<class_weight> is {self.class_weight}, and the targets are yes/no labels, not classes; leave it out, "
                "and give weights of samples"
            )
        if "accuracy" in LOSSES[shape.loss].metrics:
            return
        if self.gave("monitor") and self.monitor == "accuracy":
            found = "<monitor> is accuracy"
        elif self.target_accuracy:
            found = f"<target_accuracy> is {self.target_accuracy:g}"
        elif self.label_smoothing:
            found = f"<label_smoothing> is {self.label_smoothing:g}"
        elif self.class_weight:
            found = f"<class_weight> is {self.class_weight}"
        if found:
            remedy = "expected loss" if "monitor" in found else "leave it out"
            raise UsageError.of_fields(f"{found}, and the targets are numbers, not classes; {remedy}")

    def steps_of_run(self, steps_per_epoch: int) -> int:
        """Steps of the whole run and its schedule, with so many in an epoch: those of its epochs, or `max_steps` where
        these are fewer."""
        steps = self.epochs * steps_per_epoch
        return min(steps, self.max_steps) if self.max_steps else steps

    def frozen(self, shape: ModelConfig) -> frozenset[int]:
        """The layers of a network of that shape that `freeze` names; UsageError where it has no such layer, or no other
        one to train."""
        try:
            return frozen_layers(self.freeze, len(shape.hidden) + 1)
        except ValueError as error:
            raise UsageError.of_fields(str(error)) from None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.warmup > self.epochs:
            raise ValueError(
                f"<warmup> is {self.warmup:g}, longer than the whole run of {self.epochs} epochs (<epochs>); "
                f"expected a number from 0 to {self.epochs}"
            )
        if 0.0 < self.target_accuracy < 1.0:
            raise ValueError(
                f"<target_accuracy> is {self.target_accuracy:g}, below one percent; did you mean "
                f"{100.0 * self.target_accuracy:g}?"
            )
        if self.class_weight != BALANCED:
            class_weights(self.class_weight)
        frozen_layers(self.freeze)
        if self.patience and not self.val_split:
            raise ValueError(
                f"<patience> is {self.patience}, with no held-out data to watch; set <val_split>, 0.1 for example"
            )
        check_only_with(self, ONLY_WITH)
        for name in ("monitor", "keep"):
            if self.gave(name) and not self.val_split:
                found = f"<{name}> is {getattr(self, name)}"
                raise ValueError(f"{found}, with no held-out data to watch; set <val_split>, 0.1 for example")
        return self
