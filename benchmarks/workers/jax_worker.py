"""JAX: a whole epoch in one compiled call, `jit` around `lax.scan`, the shuffle inside and the parameters donated."""

import time
from functools import partial
from typing import Any

import jax
import numpy as np
import protocol
from jax import lax
from jax import numpy as jnp
from protocol import Row

State = Any


def forward(parameters: list[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
    """Logits; the weights are (in, out)."""
    for w, b in parameters[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = parameters[-1]
    return x @ w + b


def mean_loss(parameters: list[tuple[jax.Array, jax.Array]], x: jax.Array, labels: jax.Array) -> jax.Array:
    logits = forward(parameters, x)
    of_label = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - of_label)


def start(row: Row) -> list[tuple[jax.Array, jax.Array]]:
    return [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in protocol.start_weights(row["widths"])]


def sgd(rate: float, state: State, gradients: Any) -> State:
    (parameters,) = state
    return (jax.tree.map(lambda p, g: p - rate * g, parameters, gradients),)


def adam(rate: float, state: State, gradients: Any) -> State:
    parameters, means, squares, steps = state
    steps = steps + 1
    means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
    squares = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, squares, gradients)
    size = rate * jnp.sqrt(1 - 0.999**steps) / (1 - 0.9**steps)
    parameters = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) + 1e-8), parameters, means, squares)
    return parameters, means, squares, steps


class Train:
    def __init__(self, row: Row) -> None:
        data = protocol.load(row)
        self.images, self.labels = jnp.asarray(protocol.scaled(data.images)), jnp.asarray(data.labels, jnp.int32)
        self.test_images, self.test_labels = jnp.asarray(protocol.scaled(data.test_images)), data.test_labels
        parameters = start(row)
        self.state: State = (parameters,)
        update = partial(sgd, row["rate"])
        if row["optimizer"] == "adam":
            zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
            self.state = (parameters, *zeros, jnp.zeros((), jnp.float32))
            update = partial(adam, row["rate"])
        samples, batch = len(self.images), row["batch"]
        whole = samples - samples % batch

        def step(images: jax.Array, labels: jax.Array, state: State, index: jax.Array) -> State:
            return update(state, jax.grad(mean_loss)(state[0], images[index], labels[index]))

        def epoch(state: State, key: jax.Array, images: jax.Array, labels: jax.Array) -> State:
            order = jax.random.permutation(key, samples)
            batches = order[:whole].reshape(-1, batch)
            state, _ = lax.scan(lambda s, index: (step(images, labels, s, index), None), state, batches)
            return step(images, labels, state, order[whole:]) if whole < samples else state

        self.key = jax.random.key(3)
        lowered = jax.jit(epoch, donate_argnums=0).lower(self.state, self.key, self.images, self.labels)
        self.epoch = lowered.compile()

    def first_step(self) -> None:
        """Nothing: once the epoch is compiled, the first step begins within microseconds."""

    def measure(self) -> float:
        begin = time.perf_counter()
        self.key, key = jax.random.split(self.key)
        self.state = jax.block_until_ready(self.epoch(self.state, key, self.images, self.labels))
        return time.perf_counter() - begin

    def check(self) -> dict[str, float]:
        probabilities = jax.nn.softmax(forward(self.state[0], self.test_images))
        return protocol.quality(np.asarray(probabilities), self.test_labels)


class Predict:
    def __init__(self, row: Row) -> None:
        self.images = jnp.asarray(protocol.scaled(protocol.load(row).test_images[: row["count"]]))
        self.parameters = start(row)
        self.compiled = jax.jit(lambda parameters, x: jax.nn.softmax(forward(parameters, x)))
        self.measure = protocol.Repeated(self.predict).measure

    def predict(self) -> jax.Array:
        return jax.block_until_ready(self.compiled(self.parameters, self.images))

    def check(self) -> dict[str, float]:
        return protocol.summary(np.asarray(self.predict()))


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    protocol.serve({"jax": jax.__version__}, {"train": Train, "predict": Predict})
