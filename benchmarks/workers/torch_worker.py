"""PyTorch, eager: tensors in memory before the start, batches by index_select, fused optimizers, no DataLoader."""

import os
import time
from collections.abc import Callable

import protocol
import torch
from protocol import Row
from torch import nn
from torch.nn import functional

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0)) or torch.get_num_threads())


def network(row: Row) -> nn.Sequential:
    layers: list[nn.Module] = []
    for w, b in protocol.start_weights(row["widths"]):
        linear = nn.utils.skip_init(nn.Linear, w.shape[1], w.shape[0])
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Train:
    def __init__(self, row: Row) -> None:
        data = protocol.load(row)
        self.images = torch.from_numpy(protocol.scaled(data.images))
        self.labels = torch.from_numpy(data.labels)
        self.test_images, self.test_labels = torch.from_numpy(protocol.scaled(data.test_images)), data.test_labels
        self.batch = row["batch"]
        self.model = network(row)
        kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[row["optimizer"]]
        self.optimizer = kind(self.model.parameters(), lr=row["rate"], fused=True)
        self.forward: Callable[..., torch.Tensor] = torch.compile(self.model) if row.get("compile") else self.model
        torch.manual_seed(3)

    def step(self, index: torch.Tensor) -> None:
        images = self.images.index_select(0, index)
        labels = self.labels.index_select(0, index)
        loss = functional.cross_entropy(self.forward(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def first_step(self) -> None:
        self.step(torch.arange(self.batch))

    def measure(self) -> float:
        start = time.perf_counter()
        for index in torch.randperm(len(self.images)).split(self.batch):
            self.step(index)
        return time.perf_counter() - start

    def check(self) -> dict[str, float]:
        with torch.inference_mode():
            probabilities = functional.softmax(self.model(self.test_images), dim=1)
        return protocol.quality(probabilities.numpy(), self.test_labels)


class Predict:
    def __init__(self, row: Row) -> None:
        self.images = torch.from_numpy(protocol.scaled(protocol.load(row).test_images[: row["count"]]))
        self.model = network(row).eval()
        self.measure = protocol.Repeated(self.predict).measure

    def predict(self) -> torch.Tensor:
        with torch.inference_mode():
            return functional.softmax(self.model(self.images), dim=1)

    def check(self) -> dict[str, float]:
        return protocol.summary(self.predict().numpy())


class Kernel:
    def __init__(self, row: Row) -> None:
        left, right = protocol.factors(row["kernel"], *map(torch.from_numpy, protocol.kernel_inputs(row)))
        self.out = torch.empty(len(left), right.shape[1])
        with torch.inference_mode():
            self.repeated = protocol.Repeated(lambda: torch.mm(left, right, out=self.out))

    def measure(self) -> float:
        with torch.inference_mode():
            return self.repeated.measure()

    def check(self) -> dict[str, float]:
        return protocol.summary(self.out.numpy())


if __name__ == "__main__":
    protocol.serve({"torch": torch.__version__}, {"train": Train, "predict": Predict, "kernel": Kernel})
