"""The fields of a network."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field

from jitnet.config.checking import CheckedConfig
from jitnet.config.choices import ActivationName

__all__ = ["ModelConfig"]

Units = Annotated[int, Field(ge=1, le=1_000_000)]


class ModelConfig(CheckedConfig):
    """Shape and start of a fully connected network: in_features → hidden … → n_classes logits."""

    in_features: Units = Field(description="Numbers in one sample.")
    hidden: tuple[Units, ...] = Field(
        default=(128,), description="Units of each hidden layer, first to last; empty for softmax regression."
    )
    n_classes: Annotated[int, Field(ge=2, le=65_536)] = Field(description="Classes, and so logits.")
    activation: ActivationName = Field(default="relu", description="What follows every hidden layer.")
    init: Literal["he", "normal"] = Field(
        default="he",
        description="Start: He's N(0, 2/in_features) with zero biases, or N(0, 1) for weights and hidden biases.",
    )
    output_bias: bool = Field(
        default=True, description="Whether the last layer's bias is trained; without it the bias stays zero."
    )

    @property
    def widths(self) -> tuple[int, ...]:
        """Features before the first layer and after each one."""
        return (self.in_features, *self.hidden, self.n_classes)

    @property
    def layers(self) -> tuple[tuple[int, int, str, int], ...]:
        """Each layer's inputs and outputs, the function that follows it, and the parameters that training changes."""
        last = len(self.hidden)
        return tuple(
            (
                before,
                after,
                "softmax" if layer == last else self.activation,
                (before + (layer < last or self.output_bias)) * after,
            )
            for layer, (before, after) in enumerate(pairwise(self.widths))
        )

    @property
    def n_parameters(self) -> int:
        """Weights and biases that training changes."""
        return sum(parameters for *_, parameters in self.layers)
