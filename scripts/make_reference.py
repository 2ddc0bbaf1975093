"""Make `tests/reference.json`, PyTorch's numbers, which the tests compare with: python scripts/make_reference.py

Needs torch. The inputs are stored with the results, so that the tests draw no random numbers:

optimizers  weights after 50 steps with given gradients, for each optimizer with and without weight decay
networks    ten losses, each of a batch before its step of SGD, of a network 12-7-5 for each activation; and likewise
            for each loss whose targets are numbers or yes/no labels and that PyTorch has
"""

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from jitnet.config import losses_for

TESTS = Path(__file__).parents[1] / "tests"
TARGET = TESTS / "reference.json"
sys.path.insert(0, str(TESTS))
N_PARAMETERS, N_STEPS = 21, 50
WIDTHS, BATCH, N_BATCHES, RATE = (12, 7, 5), 8, 10, 0.5

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "momentum": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.95, "eps": 1e-6}),
    "adam": (torch.optim.Adam, {"lr": 0.02, "betas": (0.9, 0.99), "eps": 1e-6}),
    "adamw": (torch.optim.AdamW, {"lr": 0.02, "betas": (0.9, 0.99), "eps": 1e-6}),
}
DECAYS = (0.0, 0.1)
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def numbers(tensor: torch.Tensor) -> Any:
    """Nested lists; nine digits identify every float32."""
    values = tensor.detach().tolist()

    def short(value: Any) -> Any:
        return [short(part) for part in value] if isinstance(value, list) else float(f"{value:.9g}")

    return short(values)


def optimizer_case(name: str, decay: float, start: torch.Tensor, gradients: torch.Tensor) -> dict[str, Any]:
    """The weights after all steps of an optimizer."""
    kind, options = OPTIMIZERS[name]
    weights = start.clone().requires_grad_()
    optimizer = kind([weights], **options, weight_decay=decay)
    for gradient in gradients:
        weights.grad = gradient.clone()
        optimizer.step()
    return {"name": name, "options": options, "weight_decay": decay, "weights": numbers(weights)}


def network_losses(
    activation: str,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    images: torch.Tensor,
    targets: torch.Tensor,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = nn.functional.cross_entropy,
) -> Any:
    """The loss of each batch, each before its step."""
    features, hidden, classes = WIDTHS
    network = nn.Sequential(nn.Linear(features, hidden), ACTIVATIONS[activation](), nn.Linear(hidden, classes))
    with torch.no_grad():
        for layer, weight, bias in zip((network[0], network[2]), weights, biases, strict=True):
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE)
    losses = []
    for picture, target in zip(images.float().mul(1 / 255).split(BATCH), targets.split(BATCH), strict=True):
        loss = loss_of(network(picture), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return numbers(torch.stack(losses))


def targets_for(loss: str, targets: torch.Tensor) -> torch.Tensor:
    """Targets that a loss takes: any numbers, of 0 or more, or 0 and 1."""
    from loop import fitting

    return torch.from_numpy(fitting(loss, targets.numpy()))


def main() -> None:
    """Draw the inputs, run PyTorch, write both."""
    import naive

    torch.manual_seed(0)
    torch.set_num_threads(1)
    start = torch.randn(N_PARAMETERS)
    gradients = torch.randn(N_STEPS, N_PARAMETERS) * 0.1
    weights = [torch.randn(after, before) * (2 / before) ** 0.5 for before, after in itertools.pairwise(WIDTHS)]
    biases = [torch.randn(after) * 0.1 for after in WIDTHS[1:]]
    shape = (N_BATCHES * BATCH, WIDTHS[0])
    images = torch.randint(1, 256, shape) * (torch.rand(shape) < 0.4)
    labels = torch.randint(0, WIDTHS[-1], (N_BATCHES * BATCH,))
    targets = torch.randn(N_BATCHES * BATCH, WIDTHS[-1])
    reference = {
        "torch": torch.__version__,
        "start": numbers(start),
        "gradients": numbers(gradients),
        "optimizers": [optimizer_case(name, decay, start, gradients) for name in OPTIMIZERS for decay in DECAYS],
        "weights": [numbers(weight) for weight in weights],
        "biases": [numbers(bias) for bias in biases],
        "images": images.tolist(),
        "labels": labels.tolist(),
        "batch": BATCH,
        "rate": RATE,
        "losses": {name: network_losses(name, weights, biases, images, labels) for name in ACTIVATIONS},
        "targets": numbers(targets),
        "losses_of_numbers": {
            name: network_losses("tanh", weights, biases, images, targets_for(name, targets), getattr(nn, module)())
            for name in losses_for("number", "label")
            if (module := naive.LOSSES[name].module)
        },
    }
    rows = [f'"{name}": {json.dumps(value)}' for name, value in reference.items()]
    TARGET.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, from torch {torch.__version__}")


if __name__ == "__main__":
    main()
