"""The mathematics of the kernels and the training loop, in plain float64 NumPy and PyTorch's layout: the reference.

Nothing here is fast or takes care of rounding. Random numbers are Python's whole numbers, so that no width is left out.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
MASK = 2**64 - 1


def linear(x: Array, w: Array, b: Array) -> Array:
    """x (batch, in), w (out, in), b (out,)."""
    return np.asarray(x, np.float64) @ np.asarray(w, np.float64).T + b


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    """A function of one number, for all numbers of an array."""
    return np.vectorize(function, otypes=[np.float64])


phi = _each(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))
"""The normal distribution function."""

sigmoid = _each(lambda z: 1 / (1 + math.exp(-z)) if z > 0 else math.exp(max(z, -700)) / (1 + math.exp(max(z, -700))))

softplus = _each(lambda z: max(z, 0) + math.log1p(math.exp(-abs(z))))

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


class Activation(NamedTuple):
    function: Callable[[Array], Array]
    derivative: Callable[[Array], Array]


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(np.float64)),
    "tanh": Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "gelu": Activation(
        lambda z: z * phi(z),
        lambda z: phi(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": Activation(
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    ),
    "mish": Activation(
        lambda z: z * np.tanh(softplus(z)),
        lambda z: np.tanh(softplus(z)) + z * (1 - np.tanh(softplus(z)) ** 2) * sigmoid(z),
    ),
    "selu": Activation(
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SELU_SCALE * np.where(z > 0, 1, SELU_ALPHA * np.exp(np.minimum(z, 0))),
    ),
}
"""Each by its name in `jitnet.config`; a name that is missing here fails the tests."""


def activation(name: str, z: Array) -> Array:
    return ACTIVATIONS[name].function(np.asarray(z, np.float64))


def derivative(name: str, z: Array) -> Array:
    return ACTIVATIONS[name].derivative(np.asarray(z, np.float64))


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


def squared_error(outputs: Array, numbers: Array, smoothing: float = 0.0) -> Array:
    """The loss of each sample: a mean over its targets."""
    return ((np.asarray(outputs, np.float64) - numbers) ** 2).mean(axis=-1)


DELTA, QUANTILES = 1.0, (0.1, 0.5, 0.9)
"""Huber's delta and the quantiles, as they are where none are chosen."""


def huber(outputs: Array, numbers: Array, delta: float = DELTA) -> Array:
    """The loss of each sample: a mean over its targets."""
    size = np.abs(np.asarray(outputs, np.float64) - numbers)
    return np.where(size < delta, size**2 / 2, delta * (size - delta / 2)).mean(axis=-1)


def levels(outputs: Array, quantiles: tuple[float, ...] = QUANTILES) -> Array:
    """The quantiles of each target: the first output, and each further one as log(1 + e^out) more than the one before.
    (…, n_targets * n_quantiles)."""
    steps = np.array(outputs, np.float64).reshape(*np.shape(outputs)[:-1], -1, len(quantiles))
    steps[..., 1:] = np.logaddexp(0.0, steps[..., 1:])
    return steps.cumsum(axis=-1).reshape(np.shape(outputs))


def pinball(outputs: Array, numbers: Array, quantiles: tuple[float, ...] = QUANTILES) -> Array:
    """The loss of each sample: a mean over its targets and their quantiles."""
    a = np.array(quantiles)
    errors = levels(outputs, quantiles).reshape(*np.shape(numbers), -1) - np.asarray(numbers)[..., None]
    return np.where(errors > 0, (1 - a) * errors, -a * errors).mean(axis=(-2, -1))


def pinball_gradient(outputs: Array, numbers: Array, quantiles: tuple[float, ...] = QUANTILES) -> Array:
    a, out = np.array(quantiles), np.array(outputs, np.float64).reshape(*np.shape(numbers), -1)
    errors = levels(outputs, quantiles).reshape(out.shape) - np.asarray(numbers)[..., None]
    of_levels = np.where(errors > 0, 1 - a, -a)
    moves = sigmoid(out)
    moves[..., 0] = 1.0  # by how much an output moves its level and all above it
    return (moves * of_levels[..., ::-1].cumsum(axis=-1)[..., ::-1]).reshape(np.shape(outputs)) / np.shape(outputs)[-1]


def spread_labels(labels: Array, smoothing: float) -> Array:
    """What each label that is 0 or 1 is trained to be."""
    return np.asarray(labels, np.float64) * (1 - smoothing) + smoothing / 2


def binary_cross_entropy(logits: Array, labels: Array, smoothing: float = 0.0) -> Array:
    """The loss of each sample: a mean over its labels."""
    logits = np.asarray(logits, np.float64)
    return (np.logaddexp(0.0, logits) - spread_labels(labels, smoothing) * logits).mean(axis=-1)


class Loss(NamedTuple):
    """value: of each sample, from outputs and targets; gradient: of each sample's loss, by its outputs; link: from
    outputs to predictions; module: the name in `torch.nn` of what computes the mean over samples, "" where there is
    none."""

    value: Callable[[Array, Array, float], Array]
    gradient: Callable[[Array, Array, float], Array]
    link: Callable[[Array], Array]
    module: str


LOSSES: dict[str, Loss] = {
    "cross-entropy": Loss(
        cross_entropy,
        lambda out, labels, share: softmax(out) - targets(labels, out.shape[1], share),
        softmax,
        "CrossEntropyLoss",
    ),
    "squared-error": Loss(
        squared_error, lambda out, numbers, share: 2 * (out - numbers) / out.shape[1], lambda out: out, "MSELoss"
    ),
    "absolute-error": Loss(
        lambda out, numbers, share: np.abs(out - numbers).mean(axis=-1),
        lambda out, numbers, share: np.sign(out - numbers) / out.shape[1],
        lambda out: out,
        "L1Loss",
    ),
    "huber": Loss(
        lambda out, numbers, share: huber(out, numbers),
        lambda out, numbers, share: np.clip(out - numbers, -DELTA, DELTA) / out.shape[1],
        lambda out: out,
        "HuberLoss",
    ),
    "quantile": Loss(
        lambda out, numbers, share: pinball(out, numbers),
        lambda out, numbers, share: pinball_gradient(out, numbers),
        levels,
        "",
    ),
    "poisson": Loss(
        lambda out, numbers, share: (np.exp(out, dtype=np.float64) - numbers * np.asarray(out, np.float64)).mean(-1),
        lambda out, numbers, share: (np.exp(out) - numbers) / out.shape[1],
        lambda out: np.exp(np.asarray(out, np.float64)),
        "PoissonNLLLoss",
    ),
    "binary-cross-entropy": Loss(
        binary_cross_entropy,
        lambda out, labels, share: (sigmoid(out) - spread_labels(labels, share)) / out.shape[1],
        sigmoid,
        "BCEWithLogitsLoss",
    ),
}
"""Each by its name in `jitnet.config`; a name that is missing here fails the tests."""


# Optimizers: the weights after a step. w weights, g the loss's gradient, m and v the moments, which are changed in
# place; t the step, counted from 1; r the learning rate; o the hyperparameters and weight_decay.


def _sgd(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    return w - r * (g + o["weight_decay"] * w)


def _momentum(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    g = g + o["weight_decay"] * w
    m[...] = g if t == 1 else o["momentum"] * m + g
    return w - r * m


def _nesterov(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    _momentum(w, g, m, v, t, r, o)
    return w - r * (g + o["weight_decay"] * w + o["momentum"] * m)


def _rmsprop(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    g = g + o["weight_decay"] * w
    v[...] = o["rho"] * v + (1 - o["rho"]) * g * g
    return w - r * g / (np.sqrt(v) + o["epsilon"])


def _adam(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    g = g + o["weight_decay"] * w
    m[...] = o["beta1"] * m + (1 - o["beta1"]) * g
    v[...] = o["beta2"] * v + (1 - o["beta2"]) * g * g
    return w - r * (m / (1 - o["beta1"] ** t)) / (np.sqrt(v / (1 - o["beta2"] ** t)) + o["epsilon"])


def _adamw(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    return _adam(w, g, m, v, t, r, o | {"weight_decay": 0.0}) - r * o["weight_decay"] * w


def _lion(w: Array, g: Array, m: Array, v: Array, t: int, r: float, o: dict[str, float]) -> Array:
    direction = np.sign(o["beta1"] * m + (1 - o["beta1"]) * g)
    m[...] = o["beta2"] * m + (1 - o["beta2"]) * g
    return w - r * (direction + o["weight_decay"] * w)


OPTIMIZERS: dict[str, Callable[[Array, Array, Array, Array, int, float, dict[str, float]], Array]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
    "lion": _lion,
}
"""Each by its name in `jitnet.config`; a name that is missing here fails the tests."""


def update(
    name: str, w: Array, g: Array, m: Array, v: Array, step: int, rate: float, options: dict[str, float]
) -> Array:
    """The weights after a step; m and v, the moments, are changed in place. step counts from 1."""
    return OPTIMIZERS[name](w, g, m, v, step, rate, {"weight_decay": 0.0} | options)


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


def dropout_factors(seed: int, step: int, layer: int, batch: int, units: int, rate: float) -> Array:
    """What each unit of each sample is multiplied by: 0 or 1 / (1 - rate). Four units a draw, lowest bits first."""
    threshold, purpose = int(rate * 65536), 3
    factors = np.empty((batch, units))
    for n in range(batch):
        stream = key(seed, purpose, step << 16 | layer, n)
        for o in range(units):
            kept = bits(stream, o // 4) >> 16 * (o % 4) & 0xFFFF >= threshold
            factors[n, o] = 1 / (1 - rate) if kept else 0
    return factors


EPSILON = 1e-5
"""Of layer normalisation."""


def layer_norm(x: Array) -> tuple[Array, Array]:
    """Each sample's numbers, normalised, and what they were divided by."""
    deviation = np.sqrt(np.var(x, axis=1, keepdims=True) + EPSILON)
    return (x - np.mean(x, axis=1, keepdims=True)) / deviation, deviation


def layer_norm_back(g: Array, normed: Array, deviation: Array) -> Array:
    """The gradient of x, from that of what `layer_norm` returns first."""
    along = np.mean(g * normed, axis=1, keepdims=True)
    return (g - np.mean(g, axis=1, keepdims=True) - normed * along) / deviation


class Pass(NamedTuple):
    """What a forward pass leaves, of each layer: its input; the linear part; what goes into the activation; what that
    was normalised to, and divided by; what dropout multiplies by."""

    inputs: list[Array]
    linear: list[Array]
    sums: list[Array]
    normed: list[tuple[Array, Array]]
    factors: list[Array]


class Network:
    """A network in training: the whole of what the compiled loop does, a line an idea."""

    def __init__(self, weights: list[Array], biases: list[Array], *, activation: str = "relu", optimizer: str = "sgd",
                 loss: str = "cross-entropy", dropout: tuple[float, ...] = (), seed: int = 0,
                 gains: list[Array] | None = None, shifts: list[Array] | None = None, residual: bool = False,
                 input_scale: bool = False,
                 **options: float) -> None:  # fmt: skip
        self.weights = [np.array(weight, np.float64) for weight in weights]
        self.biases = [np.array(bias, np.float64) for bias in biases]
        self.gains = [np.array(gain, np.float64) for gain in gains or []]
        self.shifts = [np.array(shift, np.float64) for shift in shifts or []]
        self.scales = [np.ones(self.weights[0].shape[1])] if input_scale else []
        self.activation, self.optimizer, self.seed, self.options = activation, optimizer, seed, options
        self.residual = residual
        self.loss = LOSSES[loss]
        self.dropout = (*dropout, *[0.0] * (len(weights) - 1 - len(dropout)))
        self.moments = [(np.zeros_like(array), np.zeros_like(array)) for array in self.parameters]
        self.averages = [array.copy() for array in self.parameters]
        self.steps = 0

    @property
    def parameters(self) -> list[Array]:
        return self.weights + self.biases + self.gains + self.shifts + self.scales

    def saved(self, parameters: list[Array]) -> list[Array]:
        """The same with the inputs' factors folded into the first weights."""
        if not self.scales:
            return parameters
        return [parameters[0] * parameters[-1], *parameters[1:-1]]

    def adds(self, layer: int) -> bool:
        """Whether a hidden layer adds its input to its output."""
        return self.residual and layer > 0 and self.weights[layer].shape[0] == self.weights[layer].shape[1]

    def passed(self, x: Array) -> Pass:
        found = Pass([np.asarray(x, np.float64)], [], [], [], [])
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            scaled = found.inputs[-1] * (self.scales[0] if self.scales and layer == 0 else 1.0)
            found.linear.append(linear(scaled, weight, bias))
            found.sums.append(found.linear[-1])
            if layer < len(self.weights) - 1:
                if self.gains:
                    found.normed.append(layer_norm(found.linear[-1]))
                    found.sums[-1] = found.normed[-1][0] * self.gains[layer] + self.shifts[layer]
                hidden = activation(self.activation, found.sums[-1])
                found.factors.append(np.ones_like(hidden))
                if self.dropout[layer] > 0:
                    found.factors[-1] = dropout_factors(
                        self.seed, self.steps, layer, *hidden.shape, self.dropout[layer]
                    )
                result = hidden * found.factors[-1]
                found.inputs.append(result + found.inputs[-1] if self.adds(layer) else result)
        return found

    def forward(self, x: Array) -> tuple[list[Array], list[Array], list[Array]]:
        """Inputs of each layer, the sums before each activation, and what dropout multiplies by."""
        found = self.passed(x)
        return found.inputs, found.sums, found.factors

    def losses(self, x: Array, labels: Array, weights: Array | float = 1.0) -> Array:
        return weights * self.loss.value(self.forward(x)[1][-1], labels, self.options.get("label_smoothing", 0.0))

    def gradients(self, x: Array, labels: Array, weights: Array | float = 1.0) -> list[Array]:
        """Of the mean of the losses times the samples' weights, in the order of `parameters`."""
        found = self.passed(x)
        g = self.loss.gradient(found.sums[-1], labels, self.options.get("label_smoothing", 0.0)) / len(x)
        g = g * np.broadcast_to(weights, len(x))[:, None]
        dw, db, dgain, dshift, dscale = [], [], [], [], []
        for layer in reversed(range(len(self.weights))):
            skipped = np.zeros(())
            if layer < len(self.weights) - 1:
                skipped = g if self.adds(layer) else skipped
                g = g * found.factors[layer] * derivative(self.activation, found.sums[layer])
                if self.gains:
                    normed, deviation = found.normed[layer]
                    dgain.insert(0, (g * normed).sum(axis=0))
                    dshift.insert(0, g.sum(axis=0))
                    g = layer_norm_back(g * self.gains[layer], normed, deviation)
            dw.insert(0, g.T @ found.inputs[layer])
            db.insert(0, g.sum(axis=0))
            if layer == 0 and self.scales:
                dscale = [(dw[0] * self.weights[0]).sum(axis=0)]
                dw[0] = dw[0] * self.scales[0]
            g = g @ self.weights[layer] + skipped
        return dw + db + dgain + dshift + dscale

    def rate_factors(self) -> list[float]:
        """What the learning rate of each array of `parameters` is multiplied by."""
        normalises = self.optimizer in ("rmsprop", "adam", "adamw", "lion")
        power = {"standard": 0.0, "ntk": 0.5 if normalises else 1.0}[self.options.get("parametrization", "standard")]
        bias, scale = self.options.get("bias_rate", 1.0), self.options.get("input_scale_rate", 1.0)
        return [
            *(weight.shape[1] ** -power for weight in self.weights),
            *(bias for _ in self.biases),
            *(1.0 for _ in self.gains),
            *(bias for _ in self.shifts),
            *(scale for _ in self.scales),
        ]

    def step(self, x: Array, labels: Array, rate: float, weights: Array | float = 1.0) -> float:
        """Train on a batch; gives the sum of its samples' losses before the step, each times its sample's weight."""
        loss = float(self.losses(x, labels, weights).sum())
        gradients = self.gradients(x, labels, weights)
        if not self.options.get("output_bias", True):
            gradients[2 * len(self.weights) - 1][:] = 0
        if clip := self.options.get("clip_norm", 0.0):
            norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
            gradients = [gradient * min(1.0, clip / (norm + 1e-6)) for gradient in gradients]
        self.steps += 1
        for array, gradient, (m, v), factor in zip(
            self.parameters, gradients, self.moments, self.rate_factors(), strict=True
        ):
            array[...] = update(self.optimizer, array, gradient, m, v, self.steps, rate * factor, self.options)
        if largest := self.options.get("max_norm", 0.0):
            for weight in self.weights[:-1]:
                weight *= np.minimum(1, largest / np.maximum(np.linalg.norm(weight, axis=1, keepdims=True), 1e-30))
        ema = self.options.get("ema", 0.0)
        for average, array in zip(self.averages, self.parameters, strict=True):
            average[...] = ema * average + (1 - ema) * array
        return loss
