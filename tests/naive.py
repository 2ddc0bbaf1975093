"""The mathematics of the kernels and the training loop, in plain float64 NumPy and PyTorch's layout: the reference.

Nothing here is fast or takes care of rounding. Random numbers are Python's whole numbers, so that no width is left out.
"""

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MASK = 2**64 - 1


def linear(x: Array, w: Array, b: Array) -> Array:
    """x (batch, in), w (out, in), b (out,)."""
    return np.asarray(x, np.float64) @ np.asarray(w, np.float64).T + b


def phi(x: Array) -> Array:
    """The normal distribution function."""
    return np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), otypes=[np.float64])(x)


def activation(kind: str, z: Array) -> Array:
    z = np.asarray(z, np.float64)
    return np.maximum(z, 0) if kind == "relu" else np.tanh(z) if kind == "tanh" else z * phi(z)


def derivative(kind: str, z: Array) -> Array:
    z = np.asarray(z, np.float64)
    if kind == "relu":
        return (z > 0).astype(np.float64)
    if kind == "tanh":
        return 1 - np.tanh(z) ** 2
    return phi(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def log_softmax(logits: Array) -> Array:
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: Array) -> Array:
    return np.exp(log_softmax(logits))


def targets(labels: Array, n_classes: int, smoothing: float) -> Array:
    return np.eye(n_classes)[labels] * (1 - smoothing) + smoothing / n_classes


def cross_entropy(logits: Array, labels: Array, smoothing: float = 0.0) -> Array:
    """The loss of each sample."""
    return -(targets(labels, np.shape(logits)[-1], smoothing) * log_softmax(logits)).sum(axis=-1)


def update(
    kind: str, w: Array, g: Array, m: Array, v: Array, step: int, rate: float, options: dict[str, float]
) -> Array:
    """The weights after a step; m and v, the moments, are changed in place. step counts from 1."""
    decay, epsilon = options.get("weight_decay", 0.0), options.get("epsilon", 0.0)
    if kind != "adamw":
        g = g + decay * w
    if kind == "sgd":
        return w - rate * g
    if kind in ("momentum", "nesterov"):
        m[...] = g if step == 1 else options["momentum"] * m + g
        return w - rate * (m if kind == "momentum" else g + options["momentum"] * m)
    if kind == "rmsprop":
        v[...] = options["rho"] * v + (1 - options["rho"]) * g * g
        return w - rate * g / (np.sqrt(v) + epsilon)
    m[...] = options["beta1"] * m + (1 - options["beta1"]) * g
    v[...] = options["beta2"] * v + (1 - options["beta2"]) * g * g
    shrunk = w * (1 - rate * decay) if kind == "adamw" else w
    corrected = m / (1 - options["beta1"] ** step), v / (1 - options["beta2"] ** step)
    return shrunk - rate * corrected[0] / (np.sqrt(corrected[1]) + epsilon)


def bits(key: int, index: int) -> int:
    """splitmix64: output `index` of the generator seeded with `key`."""
    z = (key + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def key(seed: int, purpose: int, a: int, b: int) -> int:
    return bits(bits(bits(seed, purpose), a), b)


def permutation(stream: int, n: int) -> list[int]:
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = (bits(stream, i) >> 32) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


def dropout_factors(seed: int, step: int, layer: int, batch: int, units: int, share: float) -> Array:
    """What each unit of each sample is multiplied by: 0 or 1 / (1 - share). Four units a draw, lowest bits first."""
    threshold, purpose = int(share * 65536), 3
    factors = np.empty((batch, units))
    for n in range(batch):
        stream = key(seed, purpose, step << 16 | layer, n)
        for o in range(units):
            kept = bits(stream, o // 4) >> 16 * (o % 4) & 0xFFFF >= threshold
            factors[n, o] = 1 / (1 - share) if kept else 0
    return factors


class Network:
    """A network in training: the whole of what the compiled loop does, a line an idea."""

    def __init__(self, weights: list[Array], biases: list[Array], *, activation: str = "relu", optimizer: str = "sgd",
                 shares: tuple[float, ...] = (), seed: int = 0, **options: float) -> None:  # fmt: skip
        self.weights = [np.array(weight, np.float64) for weight in weights]
        self.biases = [np.array(bias, np.float64) for bias in biases]
        self.activation, self.optimizer, self.seed, self.options = activation, optimizer, seed, options
        self.shares = (*shares, *[0.0] * (len(weights) - 1 - len(shares)))
        self.moments = [(np.zeros_like(array), np.zeros_like(array)) for array in self.parameters]
        self.means = [array.copy() for array in self.parameters]
        self.steps = 0

    @property
    def parameters(self) -> list[Array]:
        return self.weights + self.biases

    def forward(self, x: Array) -> tuple[list[Array], list[Array], list[Array]]:
        """Inputs of each layer, the sums before each activation, and what dropout multiplies by."""
        inputs, sums, factors = [np.asarray(x, np.float64)], [], []
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            sums.append(linear(inputs[-1], weight, bias))
            if layer < len(self.weights) - 1:
                hidden = activation(self.activation, sums[-1])
                factors.append(np.ones_like(hidden))
                if self.shares[layer] > 0:
                    factors[-1] = dropout_factors(self.seed, self.steps, layer, *hidden.shape, self.shares[layer])
                inputs.append(hidden * factors[-1])
        return inputs, sums, factors

    def losses(self, x: Array, labels: Array) -> Array:
        return cross_entropy(self.forward(x)[1][-1], labels, self.options.get("smoothing", 0.0))

    def gradients(self, x: Array, labels: Array) -> list[Array]:
        """Of the mean loss, for weights and then biases."""
        inputs, sums, factors = self.forward(x)
        n_classes = sums[-1].shape[1]
        g = (softmax(sums[-1]) - targets(labels, n_classes, self.options.get("smoothing", 0.0))) / len(x)
        dw, db = [], []
        for layer in reversed(range(len(self.weights))):
            dw.insert(0, g.T @ inputs[layer])
            db.insert(0, g.sum(axis=0))
            if layer:
                g = g @ self.weights[layer] * factors[layer - 1] * derivative(self.activation, sums[layer - 1])
        return dw + db

    def step(self, x: Array, labels: Array, rate: float) -> float:
        """Train on a batch; gives the sum of its samples' losses before the step."""
        loss = float(self.losses(x, labels).sum())
        gradients = self.gradients(x, labels)
        if not self.options.get("output_bias", True):
            gradients[-1][:] = 0
        if clip := self.options.get("clip_norm", 0.0):
            norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
            gradients = [gradient * min(1.0, clip / (norm + 1e-6)) for gradient in gradients]
        self.steps += 1
        for array, gradient, (m, v) in zip(self.parameters, gradients, self.moments, strict=True):
            array[...] = update(self.optimizer, array, gradient, m, v, self.steps, rate, self.options)
        if largest := self.options.get("max_norm", 0.0):
            for weight in self.weights[:-1]:
                weight *= np.minimum(1, largest / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-30))
        ema = self.options.get("ema", 0.0)
        for mean, array in zip(self.means, self.parameters, strict=True):
            mean[...] = ema * mean + (1 - ema) * array
        return loss
