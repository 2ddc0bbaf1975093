"""What a network is made of: the one table of layers, and how a network's fields become the list of its layers.

A new kind of layer is a line in `LAYERS`, its field in `ModelConfig`, and its place in `layers_of`. The loops are in
`jitnet/kernels`; what it brings to a training step is `jitnet/engine/kind_*.py`, with its name for the star.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

__all__ = ["LAYERS", "NORMS", "Layer", "LayerKind", "NormName", "layers_of"]


@dataclass(frozen=True)
class LayerKind:
    """about: what it computes, in one line. option: the field of `ModelConfig` that asks for it; empty where every
    network has it. parameters: their names, as PyTorch has them, each with what a vector of it begins with. vectors:
    whether they are vectors, else the weights are a matrix. module: PyTorch's module that computes the same; empty
    where none is needed. folded: whether a saved model has them in the weights of the layer behind, so that a training
    begins with new ones. fields: what its loops look up in a block's record: where its parameters and its arrays are.
    """

    about: str
    option: str = ""
    parameters: dict[str, float] = field(default_factory=dict)
    vectors: bool = True
    module: str = ""
    folded: bool = False
    fields: tuple[str, ...] = ()


LAYERS: dict[str, LayerKind] = {
    "input_scale": LayerKind(
        "x times a learned factor for each input",
        "input_scale",
        {"scale": 1.0},
        folded=True,
        fields=("scale_offset",),
    ),
    "linear": LayerKind("w x + b", "", {"weight": 0.0, "bias": 0.0}, vectors=False, module="Linear"),
    "layer_norm": LayerKind(
        "each sample's x, less its mean, over its standard deviation; times a learned gain, plus a learned bias",
        "norm",
        {"weight": 1.0, "bias": 0.0},
        module="LayerNorm",
        fields=("gain_offset", "shift_offset", "inverse_offset", "normalised_offset"),
    ),
    "unit_scale": LayerKind(
        "x times a learned factor for each unit",
        "unit_scale",
        {"scale": 1.0},
        folded=True,
        fields=("unit_scale_offset", "unscaled_offset"),
    ),
    "activation": LayerKind("the activation function", module="activation"),
    "residual": LayerKind("what goes into the layers before it, plus what comes out", "residual"),
}
"""Every kind of layer by its name."""

NORMS = ("none", "layer")
"""What may stand between a hidden layer's linear part and its activation."""

# A type checker cannot read a Literal out of a table.
if TYPE_CHECKING:
    NormName = str
else:
    NormName = Literal[NORMS]


@dataclass(frozen=True)
class Layer:
    """One layer of a network. kind: a name in LAYERS. block: counted from 0; a block is a linear layer with all that
    belongs to it. name: its place in PyTorch's `nn.Sequential`, as "2" or "3.0"; empty where it has none. shapes: of
    its parameters, by their names. trained: how many numbers of them training changes."""

    kind: str
    block: int
    in_features: int
    out_features: int
    name: str
    shapes: dict[str, tuple[int, ...]]
    trained: int

    def key(self, parameter: str) -> str:
        """What a parameter is called in a file, as "0.weight"."""
        return f"{self.name}.{parameter}"


def layers_of(
    widths: Sequence[int],
    *,
    norm: str = "none",
    residual: bool = False,
    input_scale: bool = False,
    unit_scale: bool = False,
    output_bias: bool = True,
) -> tuple[Layer, ...]:
    """The layers of a network, first to last.

    A hidden block is linear, norm, activation and, where it has as many units as the hidden block below, the sum with
    what went into it. Blocks that end in such a sum are a sequence of their own in PyTorch: "3.0", "3.1" and so on.
    """
    found: list[Layer] = []
    last, place = len(widths) - 2, 0
    for block, (before, after) in enumerate(pairwise(widths)):
        hidden = block < last
        adds = residual and hidden and block > 0 and before == after
        kinds = ["input_scale"] * (input_scale and block == 0) + ["linear"]
        kinds += ["layer_norm"] * (norm == "layer" and hidden) + ["unit_scale"] * (unit_scale and hidden)
        kinds += ["activation"] * hidden + ["residual"] * adds
        within = 0
        for kind in kinds:
            in_features = before if kind in ("input_scale", "linear", "residual") else after
            name = ""
            if LAYERS[kind].module:
                name = f"{place}.{within}" if adds else str(place + within)
                within += 1
            shapes = _shapes(kind, in_features, before if kind == "input_scale" else after)
            trained = sum(_numbers(shape) for shape in shapes.values())
            if kind == "linear" and not hidden and not output_bias:
                trained -= after
            found.append(Layer(kind, block, in_features, after, name, shapes, trained))
        place += 1 if adds else within
    return tuple(found)


def _shapes(kind: str, in_features: int, out_features: int) -> dict[str, tuple[int, ...]]:
    about = LAYERS[kind]
    matrix = {} if about.vectors else {"weight": (out_features, in_features)}
    return {name: matrix.get(name, (out_features,)) for name in about.parameters}


def _numbers(shape: tuple[int, ...]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count
