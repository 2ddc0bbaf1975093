"""NumPy, by hand: products by BLAS into buffers that are allocated once, updates in place."""

import time

import numpy as np
import protocol
from protocol import Row


class Network:
    """Layers as (in, out) weights, so that the forward product needs no transpose; buffers for one batch."""

    def __init__(self, row: Row) -> None:
        self.weights = [np.ascontiguousarray(w.T) for w, _ in protocol.start_weights(row["widths"])]
        self.biases = [b for _, b in protocol.start_weights(row["widths"])]
        self.buffers: dict[int, tuple[list[np.ndarray], list[np.ndarray]]] = {}

    def buffers_for(self, batch: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Outputs of the layers, the input first, and the gradients of those outputs."""
        if batch not in self.buffers:
            widths = [len(self.weights[0]), *(w.shape[1] for w in self.weights)]
            outs, grads = ([np.empty((batch, width), np.float32) for width in widths] for _ in range(2))
            self.buffers[batch] = outs, grads
        return self.buffers[batch]

    def forward(self, outs: list[np.ndarray]) -> np.ndarray:
        """Probabilities, from the images in outs[0]; they replace the logits in outs[-1]."""
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = np.matmul(outs[layer], w, out=outs[layer + 1])
            out += b
            if layer < len(self.weights) - 1:
                np.maximum(out, 0, out=out)
        logits = outs[-1]
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= logits.sum(axis=1, keepdims=True)
        return logits


class Train(Network):
    def __init__(self, row: Row) -> None:
        super().__init__(row)
        data = protocol.load(row)
        self.images, self.labels = protocol.scaled(data.images), data.labels
        self.test_images, self.test_labels = protocol.scaled(data.test_images), data.test_labels
        self.batch, self.rate, self.adam = row["batch"], np.float32(row["rate"]), row["optimizer"] == "adam"
        self.draw = np.random.default_rng(3)
        self.gradients = [(np.empty_like(w), np.empty_like(b)) for w, b in zip(self.weights, self.biases, strict=True)]
        self.parameters = [p for pair in zip(self.weights, self.biases, strict=True) for p in pair]
        self.scratch = [np.empty_like(p) for p in self.parameters]
        self.means = [np.zeros_like(p) for p in self.parameters]
        self.squares = [np.zeros_like(p) for p in self.parameters]
        self.steps = 0

    def step(self, index: np.ndarray) -> None:
        outs, grads = self.buffers_for(len(index))
        np.take(self.images, index, axis=0, out=outs[0], mode="clip")
        grad = self.forward(outs)
        grad[np.arange(len(index)), self.labels[index]] -= 1
        grad *= np.float32(1 / len(index))
        for layer in reversed(range(len(self.weights))):
            dw, db = self.gradients[layer]
            np.matmul(outs[layer].T, grad, out=dw)
            grad.sum(axis=0, out=db)
            if layer:
                grad = np.matmul(grad, self.weights[layer].T, out=grads[layer])
                grad *= outs[layer] > 0
        self.steps += 1
        self.update()

    def update(self) -> None:
        gradients = [g for pair in self.gradients for g in pair]
        if not self.adam:
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                gradient *= self.rate
                parameter -= gradient
            return
        rate = self.rate * np.float32(np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps))
        for at, gradient in enumerate(gradients):
            mean, square, scratch = self.means[at], self.squares[at], self.scratch[at]
            mean *= np.float32(0.9)
            mean += np.multiply(gradient, np.float32(0.1), out=scratch)
            square *= np.float32(0.999)
            np.multiply(gradient, gradient, out=scratch)
            scratch *= np.float32(0.001)
            square += scratch
            np.sqrt(square, out=scratch)
            scratch += np.float32(1e-8)
            np.divide(mean, scratch, out=scratch)
            scratch *= rate
            self.parameters[at] -= scratch

    def first_step(self) -> None:
        self.step(np.arange(self.batch))

    def measure(self) -> float:
        start = time.perf_counter()
        order = self.draw.permutation(len(self.images))
        for at in range(0, len(order), self.batch):
            self.step(order[at : at + self.batch])
        return time.perf_counter() - start

    def check(self) -> dict[str, float]:
        outs, _ = self.buffers_for(len(self.test_images))
        outs[0][:] = self.test_images
        return protocol.quality(self.forward(outs), self.test_labels)


class Predict(Network):
    def __init__(self, row: Row) -> None:
        super().__init__(row)
        self.images = protocol.scaled(protocol.load(row).test_images[: row["count"]])
        outs, _ = self.buffers_for(len(self.images))
        outs[0] = self.images
        self.predict = lambda: self.forward(outs)
        self.measure = protocol.Repeated(self.predict).measure

    def check(self) -> dict[str, float]:
        return protocol.summary(self.predict())


class Kernel:
    def __init__(self, row: Row) -> None:
        left, right = protocol.factors(row["kernel"], *protocol.kernel_inputs(row))
        self.out = np.empty((len(left), right.shape[1]), np.float32)
        self.measure = protocol.Repeated(lambda: np.matmul(left, right, out=self.out)).measure

    def check(self) -> dict[str, float]:
        return protocol.summary(self.out)


if __name__ == "__main__":
    protocol.serve({"numpy": np.__version__}, {"train": Train, "predict": Predict, "kernel": Kernel})
