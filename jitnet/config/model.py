"""The fields of a network, and the list of layers that they describe."""

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from jitnet.config.checking import CheckedConfig, any_of, check_only_with
from jitnet.config.choices import LOSSES, TARGETS, ActivationName, LossName
from jitnet.config.layers import LAYERS, Layer, NormName, layers_of

__all__ = ["ONLY_WITH_LOSS", "ModelConfig", "layers_in_words", "losses_for", "losses_of", "with_defaults"]

Units = Annotated[int, Field(ge=1, le=1_000_000)]


def losses_of(task: str) -> list[str]:
    """The names of the losses of a task, its default first."""
    return [name for name, loss in LOSSES.items() if loss.task == task]


def losses_for(*targets: str) -> list[str]:
    """The names of the losses whose targets are of these kinds, names in `TARGETS`."""
    return [name for name, loss in LOSSES.items() if loss.target in targets]


ONLY_WITH_LOSS: dict[str, tuple[str, tuple[str, ...]]] = {
    field: ("loss", tuple(name for name, loss in LOSSES.items() if field in loss.fields))
    for field in ("huber_delta", "quantiles")
}
"""Fields that only some losses use, and which."""


class ModelConfig(CheckedConfig):
    """Shape, loss and start of a fully connected network: in_features → hidden … → an output for each class or target,
    or for each quantile of each target.

    Exactly one of n_classes and n_targets is set.
    """

    in_features: Units = Field(description="Numbers in one sample.")
    hidden: tuple[Units, ...] = Field(
        default=(128,), description="Units of each hidden layer, first to last; empty for a linear model."
    )
    n_classes: Annotated[int, Field(ge=2, le=65_536)] | None = Field(
        default=None, description="Classes to distinguish, one output for each."
    )
    n_targets: Annotated[int, Field(ge=1, le=65_536)] | None = Field(
        default=None,
        description="Numbers or yes/no labels to predict, in place of classes; one output for each, or with quantiles "
        "for each of them.",
    )
    loss: LossName = Field(
        default="cross-entropy",
        description=f"What training minimises; where targets are numbers, {losses_of('regress')[0]} is the default, "
        f"and yes/no labels need {losses_for('label')[0]}.",
    )
    huber_delta: Annotated[float, Field(gt=0.0, le=1e6)] = Field(
        default=1.0,
        description="Distance to the target, in standard deviations of the targets, from which Huber's loss is linear.",
    )
    quantiles: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(
        default=(0.1, 0.5, 0.9), description="Quantiles to predict of each target, ascending."
    )
    activation: ActivationName = Field(default="relu", description="What follows every hidden layer.")
    norm: NormName = Field(
        default="none",
        description="What follows every hidden layer's linear part, before its activation: layer is layer "
        "normalisation with a learned gain and bias (Ba et al. 2016).",
    )
    residual: bool = Field(
        default=False,
        description="Whether a hidden layer adds its input to its output, where it has as many units as the hidden "
        "layer below (He et al. 2016).",
    )
    input_scale: bool = Field(
        default=False,
        description="Whether training learns a factor for each input, which the saved first layer's weights include.",
    )
    init: Literal["he", "normal", "ntk"] = Field(
        default="he",
        description="What the weights begin as: he is N(0, 2 / inputs of the layer) with zero biases; normal is "
        "N(0, 1), with hidden biases from it too; ntk is N(0, 1 / inputs) in hidden layers, with biases from N(0, 1), "
        "and zero in the last.",
    )
    output_bias: bool = Field(
        default=True, description="Whether the last layer's bias is trained; without it the bias stays zero."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.n_classes is not None and self.n_targets is not None:
            raise ValueError(
                f"<n_targets> is {self.n_targets}, and <n_classes> {self.n_classes}; set one: a network predicts "
                "classes or numbers"
            )
        if self.n_classes is None and self.n_targets is None:
            raise ValueError(
                "<n_classes>: expected a whole number from 2 to 65,536, found nothing; set <n_targets> where the "
                "targets are numbers"
            )
        if self.n_targets is not None and "loss" not in self.model_fields_set:
            self.__dict__["loss"] = losses_of("regress")[0]  # in spite of the freeze, and not as a field that is set
        kinds = ("class",) if self.n_targets is None else ("number", "label")
        if LOSSES[self.loss].target not in kinds:
            raise ValueError(
                f"<loss> is {self.loss}, whose targets are {TARGETS[LOSSES[self.loss].target]}; these targets are "
                f"{TARGETS[kinds[0]]}: expected {any_of(losses_for(kinds[0]))}"
            )
        check_only_with(self, ONLY_WITH_LOSS)
        if not self.quantiles or any(low >= high for low, high in pairwise(self.quantiles)):
            found = ",".join(f"{level:g}" for level in self.quantiles) or "empty"
            raise ValueError(f"<quantiles> is {found}; expected one or more, each above the one before")
        return self

    @property
    def task(self) -> str:
        """What the network is for, a name in `TASKS`."""
        return LOSSES[self.loss].task

    @property
    def target(self) -> str:
        """What a target is, a name in `TARGETS`."""
        return LOSSES[self.loss].target

    @property
    def loss_numbers(self) -> tuple[float, ...]:
        """The numbers that the loss depends on: Huber's delta, or the quantiles; none with the other losses."""
        values = [getattr(self, field) for field in LOSSES[self.loss].fields]
        return tuple(number for value in values for number in (value if isinstance(value, tuple) else (value,)))

    @property
    def outputs_per_target(self) -> int:
        """Outputs of one target: one, or one for each of its quantiles."""
        return len(self.quantiles) if "quantiles" in LOSSES[self.loss].fields else 1

    @property
    def out_features(self) -> int:
        """Outputs: one for each class, or `outputs_per_target` for each target."""
        return self.n_classes or (self.n_targets or 0) * self.outputs_per_target

    @property
    def guesses(self) -> int:
        """How often a network can be right about one sample: once about its class, or about each of its labels."""
        return self.n_targets or 1 if self.target == "label" else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Features before the first layer and after each one."""
        return (self.in_features, *self.hidden, self.out_features)

    @model_validator(mode="after")
    def _has_what_its_layers_need(self) -> Self:
        if self.norm != "none" and not self.hidden:
            raise ValueError(
                f"<norm> is {self.norm}, with no hidden layer to normalise; set <hidden> to a number of units"
            )
        if self.residual and all(before != after for before, after in pairwise(self.hidden)):
            widths = ",".join(map(str, self.hidden)) or "empty"
            units = self.hidden[0] if self.hidden else 128
            raise ValueError(
                f"<residual> is on, and in <hidden> {widths} no layer has as many units as the one below; "
                f"expected two equal ones, {units},{units} for example"
            )
        return self

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The network as a list of layers, first to last."""
        return layers_of(
            self.widths,
            norm=self.norm,
            residual=self.residual,
            input_scale=self.input_scale,
            output_bias=self.output_bias,
        )

    @property
    def blocks(self) -> tuple[tuple[Layer, ...], ...]:
        """The same in blocks: each linear layer with all that belongs to it."""
        last = len(self.hidden)
        return tuple(tuple(layer for layer in self.layers if layer.block == block) for block in range(last + 1))

    @property
    def saved_layers(self) -> tuple[Layer, ...]:
        """The layers whose parameters a saved model has; the others' are in the weights of the next layer."""
        return tuple(layer for layer in self.layers if not LAYERS[layer.kind].folded)

    @property
    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each parameter that a saved model has, by its name in PyTorch."""
        return {layer.key(name): shape for layer in self.saved_layers for name, shape in layer.shapes.items()}

    @property
    def summary_rows(self) -> tuple[tuple[int, int, str, int], ...]:
        """Each block's inputs and outputs, what follows its linear layer, and the parameters that training changes.
        Before them the inputs' factors, where they are learned."""
        scales = [layer for layer in self.layers if layer.kind == "input_scale"]
        rows = [(layer.in_features, layer.in_features, "input scale", layer.trained) for layer in scales]
        for block, (before, after) in enumerate(pairwise(self.widths)):
            kinds = [layer.kind for layer in self.blocks[block]]
            follows = ["layer norm"] * ("layer_norm" in kinds)
            follows += [self.activation if block < len(self.hidden) else LOSSES[self.loss].link]
            follows += ["plus its input"] * ("residual" in kinds)
            trained = sum(layer.trained for layer in self.blocks[block] if layer not in scales)
            rows.append((before, after, ", ".join(follows), trained))
        return tuple(rows)

    @property
    def n_parameters(self) -> int:
        """Numbers that training changes."""
        return sum(layer.trained for layer in self.layers)


def layers_in_words(fields: Mapping[str, Any]) -> str:
    """What a network with these fields of `ModelConfig` has besides its linear layers, in a few words; and its loss,
    where that is not the default for classes."""
    norm = f"{fields['norm']} norm" if fields.get("norm", "none") != "none" else ""
    more = [name.replace("_", " ") for name in ("residual", "input_scale") if fields.get(name)]
    loss = fields.get("loss", losses_of("classify")[0])
    more += [loss] * (loss != losses_of("classify")[0])
    return ", ".join(filter(None, [norm, str(fields["activation"]), *more]))


def with_defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a network, with defaults for those that an earlier version did not have."""
    defaults = {name: info.default for name, info in ModelConfig.model_fields.items() if not info.is_required()}
    return {**defaults, **fields}
