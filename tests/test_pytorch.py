"""PyTorch beside the library: it trains alike, from the same weights on the same batches, and it predicts the same from
a saved file with the modules that the documents show."""

import re
import shlex
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from loop import Loop, Problem, per_target
from safetensors.numpy import load_file

import jitnet
from jitnet.config import LAYERS, LOSSES, ModelConfig, TrainConfig, losses_of

torch = pytest.importorskip("torch", reason="torch is not installed")
nn = torch.nn

N, FEATURES, BATCH, RATE, EPOCHS = 83, 6, 16, 0.05, 10

LAYERS_ON = [
    {},
    {"norm": "layer"},
    {"residual": True},
    {"input_scale": True},
    {"norm": "layer", "residual": True, "input_scale": True},
]


class Residual(nn.Sequential):
    def forward(self, x: Any) -> Any:
        return x + super().forward(x)


class Network(nn.Module):
    """The modules of a network as `LAYERS` names them, and the factors of its inputs."""

    def __init__(self, shape: ModelConfig, parameters: dict[str, np.ndarray]) -> None:
        super().__init__()
        modules: list[Any] = []
        for block in shape.blocks:
            kinds = {layer.kind for layer in block}
            made = [module_of(layer) for layer in block if LAYERS[layer.kind].module]
            modules += [Residual(*made)] if "residual" in kinds else made
        self.layers = nn.Sequential(*modules)
        self.layers.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in parameters.items()})
        self.scale = nn.Parameter(torch.ones(shape.in_features), requires_grad=shape.input_scale)

    def forward(self, x: Any) -> Any:
        return self.layers(x * self.scale)

    def saved(self) -> dict[str, np.ndarray]:
        """The parameters by their names, the factors of the inputs in the first weights."""
        found = {name: value.detach().numpy().copy() for name, value in self.layers.state_dict().items()}
        found["0.weight"] *= self.scale.detach().numpy()
        return found


def module_of(layer: Any) -> Any:
    if layer.kind == "linear":
        return nn.Linear(layer.in_features, layer.out_features)
    return nn.LayerNorm(layer.out_features) if layer.kind == "layer_norm" else nn.Tanh()


class Pinball(nn.Module):
    """The mean pinball loss of quantiles that do not cross, of PyTorch's softplus: it has no module of it."""

    def __init__(self, quantiles: tuple[float, ...]) -> None:
        super().__init__()
        self.quantiles = torch.tensor(quantiles)

    def forward(self, outputs: Any, targets: Any) -> Any:
        steps = outputs.unflatten(1, (-1, len(self.quantiles)))
        steps = torch.cat([steps[..., :1], nn.functional.softplus(steps[..., 1:])], dim=2)
        errors = steps.cumsum(dim=2) - targets[..., None]
        return torch.maximum((1 - self.quantiles) * errors, -self.quantiles * errors).mean()


def module_for(shape: ModelConfig) -> Any:
    """What computes the loss of a network in PyTorch."""
    name = naive.LOSSES[shape.loss].module
    return getattr(nn, name)() if name else Pinball(shape.quantiles)


def made(loss: str, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples, and classes, numbers or labels that follow from them."""
    rng = np.random.default_rng(outputs)
    x = rng.normal(size=(N, FEATURES))
    y = 40.0 + 9.0 * np.tanh(x @ rng.normal(size=(FEATURES, outputs))) + rng.normal(size=(N, outputs))
    if LOSSES[loss].target == "label":
        return x, y > 40.0
    return x, y.argmax(axis=1) if LOSSES[loss].target == "class" else y


@pytest.mark.parametrize("layers", LAYERS_ON, ids=lambda layers: "-".join(layers) or "plain")
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_weights_are_pytorch_s(loss, outputs, layers):
    if LOSSES[loss].target == "class" and outputs == 1:
        pytest.skip("there are two classes or more")
    data = jitnet.from_arrays(*made(loss, outputs), task="label" if LOSSES[loss].target == "label" else "auto")
    shape = ModelConfig(
        in_features=FEATURES,
        hidden=(12, 12),
        n_classes=data.n_classes,
        n_targets=data.n_targets,
        loss=loss,
        activation="tanh",
        **layers,
    )
    model = jitnet.Model.create(shape, data, seed=1)
    network = Network(shape, dict(model.parameters))
    x = torch.from_numpy(((data.train.images - data.scaling.offset) * data.scaling.scale).astype(np.float32))
    if data.target == "class":
        targets = torch.from_numpy(data.train.labels)
    else:
        scaling = model.target_scaling
        targets = torch.from_numpy(((data.train.targets - scaling.offset) * scaling.scale).astype(np.float32))
    config = TrainConfig(
        epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, schedule="constant", optimizer="momentum", shuffle=False
    )
    history = jitnet.train(model, data, config)

    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=config.momentum)
    loss_of, expected = module_for(shape), []
    for _ in range(EPOCHS):
        total = 0.0
        for rows in torch.arange(N).split(BATCH):
            value = loss_of(network(x[rows]), targets[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total += float(value.detach()) * len(rows)
        expected.append(total / N)
    assert history.train_loss.tolist() == pytest.approx(expected, rel=2e-5)
    assert expected[-1] < (0.8 if loss != "poisson" else 0.99) * expected[0]  # which does not end at zero
    for name, array in network.saved().items():
        np.testing.assert_allclose(model.parameters[name], array, rtol=2e-3, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("layers", LAYERS_ON, ids=lambda layers: "-".join(layers) or "plain")
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_are_pytorch_s(loss, layers):
    problem = Problem((9, 7, 7, 3 * per_target(loss)), 11)
    loop = Loop(problem, 11, activation="tanh", loss=loss, optimizer="momentum", **layers)
    loop.run(0.0)
    network = Network(loop.shape, problem.parameters(loop.shape))
    targets = problem.targets(loss)
    targets = torch.from_numpy(targets.astype(np.int64) if LOSSES[loss].target == "class" else targets)
    value = module_for(loop.shape)(network(torch.from_numpy(problem.inputs)), targets)
    value.backward()
    assert loop.totals[0] / 11 == pytest.approx(float(value.detach()), rel=1e-5)
    found, factors = loop.raw(loop.state.grads)
    for name, parameter in network.layers.named_parameters():
        np.testing.assert_allclose(found[name], parameter.grad.numpy(), rtol=1e-4, atol=2e-6, err_msg=name)
    if loop.shape.input_scale:
        np.testing.assert_allclose(factors, network.scale.grad.numpy(), rtol=1e-4, atol=2e-6)
        assert np.abs(factors).max() > 1e-3


# ---- The modules that the documents show ----

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = [block for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if "nn." in block]
COMMANDS = [re.match(r"# jitnet train *(.*)\n", block)[1] for block in BLOCKS]  # type: ignore[index]


@pytest.mark.parametrize("frozen", ["0", "1", "all-but-last"])
def test_gradients_beside_frozen_layers_are_pytorch_s(frozen):
    problem = Problem((9, 7, 7, 3), 11)
    options = {"norm": "layer", "residual": True}
    loop = Loop(problem, 11, activation="tanh", optimizer="momentum", freeze=frozen, **options)
    loop.run(0.0)
    network, blocks = Network(loop.shape, problem.parameters(loop.shape)), loop.config.frozen(loop.shape)
    names = {layer.key(name): layer.block for layer in loop.shape.saved_layers for name in layer.shapes}
    for name, parameter in network.layers.named_parameters():
        parameter.requires_grad = names[name] not in blocks
    targets = torch.from_numpy(problem.targets().astype(np.int64))
    module_for(loop.shape)(network(torch.from_numpy(problem.inputs)), targets).backward()
    found, _ = loop.raw(loop.state.grads)
    for name, parameter in network.layers.named_parameters():
        expected = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=2e-6, err_msg=name)


def test_the_documents_show_every_kind_of_layer():
    for kind in LAYERS.values():
        if kind.option:
            assert any(f"--{kind.option.replace('_', '-')}" in command for command in COMMANDS)


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda number: COMMANDS[number] or "plain")
def test_the_module_that_a_document_shows_predicts_the_same(call, tmp_path, number):
    rng, options = np.random.default_rng(0), shlex.split(COMMANDS[number])
    x, labels = rng.normal(5.0, 2.0, (60, 4)), rng.normal(50.0, 9.0, (60, 2))
    np.savez(tmp_path / "plants.npz", x_train=x, y_train=labels)
    images = rng.integers(0, 256, (60, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images, y_train=np.arange(60) % 10)
    of_numbers = "--data" in options
    more = ["--epochs", "2", "--optimizer", "adam", "--out", "run", *([] if of_numbers else ["--data", "mnist.npz"])]
    code, _, err = call("train", *options, *more)
    assert code == 0, err
    model = jitnet.Model.load("run")
    folder = re.search(r"runs/[\w-]+", BLOCKS[number] if of_numbers else BLOCKS[0])[0]  # type: ignore[index]
    Path(folder).parent.mkdir()
    Path("run").rename(folder)

    names: dict[str, Any] = {"images": images.reshape(60, -1), "x": x}
    if not of_numbers:
        for block in BLOCKS[:number]:  # what it refers to is above it on the page
            exec("\n".join(line for line in block.splitlines() if ".load_state_dict" not in line), names)
    exec(BLOCKS[number], names)
    if of_numbers:
        found, expected = names["predictions"], model.predict(x)
    else:
        names["net"].load_state_dict(names["load_file"](f"{folder}/model.safetensors"))
        found = names["net"](torch.from_numpy(names["images"] / 255).float()).softmax(dim=1)
        expected = model.predict(images)
    assert list(names["net"].state_dict()) == list(model.parameters)
    assert list(load_file(f"{folder}/model.safetensors")) == sorted(model.parameters)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    if options:
        assert losses_of(model.config.task)[0] == model.config.loss
