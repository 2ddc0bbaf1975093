"""Drives the compiled training loop on small made-up problems, and its reference beside it."""

import itertools
from typing import Any

import naive
import numpy as np

from jitnet.config import ModelConfig
from jitnet.kernels import activation, optimizer
from jitnet.kernels.sparse import list_rows
from jitnet.state import Source, allocate, make_options, no_source, pack, unpack
from jitnet.step import measure_steps, stages, train_steps

Array = np.ndarray[Any, Any]

BYTE = np.float32(1 / 255)


class Problem:
    """Samples and first weights for a network of these widths, from a seed. Most pixels are zero."""

    def __init__(self, widths: tuple[int, ...], n_samples: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        shape = (n_samples, widths[0])
        self.widths = widths
        self.images = (rng.integers(1, 256, shape) * (rng.random(shape) < 0.4)).astype(np.uint8)
        self.labels = rng.integers(0, widths[-1], n_samples).astype(np.int32)
        pairs = list(itertools.pairwise(widths))
        self.weights = [
            (rng.normal(size=(after, before)) * (2 / before) ** 0.5).astype(np.float32) for before, after in pairs
        ]
        self.biases = [(rng.normal(size=after) * 0.1).astype(np.float32) for after in widths[1:]]
        self.order = rng.permutation(n_samples).astype(np.int32)

    @property
    def inputs(self) -> Array:
        return self.images.astype(np.float32) * BYTE


class Loop:
    """A problem's network in training. `inputs` is "sparse", "dense" (bytes) or "floats"; options are the loop's."""

    def __init__(
        self,
        problem: Problem,
        batch_size: int,
        *,
        inputs: str = "dense",
        threads: int = 1,
        activation_name: str = "relu",
        optimizer_name: str = "sgd",
        direct: bool | None = None,
        **options: Any,
    ) -> None:
        self.problem, self.batch_size = problem, batch_size
        deferred = options.get("clip_norm", 0) > 0 or options.get("max_norm", 0) > 0
        if direct is None:
            direct = optimizer_name == "sgd" and not deferred and options.get("weight_decay", 0) == 0
        hidden = problem.widths[1:-1]
        config = ModelConfig(
            in_features=problem.widths[0], hidden=hidden, n_classes=problem.widths[-1], activation=activation_name
        )
        options["shares"] = (*options.get("shares", (0.0,) * len(hidden)), 0.0)
        self.options = make_options(
            activation=activation.KINDS[activation_name],
            optimizer=optimizer.KINDS[optimizer_name],
            direct=direct,
            deferred=deferred,
            **options,
        )
        self.state = allocate(
            config, batch_size, threads, sparse=inputs == "sparse", grads=not direct, mean=self.options.ema > 0,
            first_moment=optimizer_name in ("momentum", "nesterov", "adam", "adamw"),
            second_moment=optimizer_name in ("rmsprop", "adam", "adamw"),
        )  # fmt: skip
        pack(self.state.params, self.state.layers, problem.weights, problem.biases)
        if self.options.ema > 0:
            self.state.mean[:] = self.state.params
        self.state.values[:] = np.arange(256, dtype=np.float32) * BYTE
        self.source = make_source(problem, inputs)
        self.stages = stages(deferred=deferred)
        self.number = 0
        self.totals = np.zeros(2)

    def run(self, rate: float, *, chunk: int = 10**6, epochs: int = 1) -> int:
        """Epochs in calls of `chunk` steps; gives the steps done before a loss that is not finite."""
        n_steps = -(-len(self.problem.order) // self.batch_size)
        for _ in range(epochs):
            for first in range(0, n_steps, chunk):
                rates = np.full(min(chunk, n_steps - first), rate)
                done = train_steps(
                    self.stages,
                    self.state,
                    self.source,
                    self.options,
                    self.problem.order,
                    self.batch_size,
                    first,
                    self.number,
                    rates,
                    self.totals,
                )
                self.number += int(done)
                if done < len(rates):
                    return self.number
        return self.number

    def losses(self, rate: float) -> list[float]:
        """An epoch, and the mean loss of each of its batches."""
        order, losses = self.problem.order, []
        for first, begin in enumerate(range(0, len(order), self.batch_size)):
            totals = np.zeros(2)
            train_steps(
                self.stages,
                self.state,
                self.source,
                self.options,
                order,
                self.batch_size,
                first,
                self.number,
                np.full(1, rate),
                totals,
            )
            self.number += 1
            losses.append(float(totals[0]) / len(order[begin : begin + self.batch_size]))
        return losses

    def measure(self) -> Array:
        """Sum of the losses and count of right guesses over all samples, without training."""
        totals = np.zeros(2)
        measure_steps(self.stages, self.state, self.source, self.options, self.problem.order, self.batch_size, totals)
        return totals

    def parameters(self) -> list[Array]:
        """Weights and then biases, in PyTorch's layout."""
        weights, biases = unpack(self.state.params, self.state.layers)
        return weights + biases

    def gradients(self) -> list[Array]:
        weights, biases = unpack(self.state.grads, self.state.layers)
        return weights + biases

    def means(self) -> list[Array]:
        weights, biases = unpack(self.state.mean, self.state.layers)
        return weights + biases


def make_source(problem: Problem, inputs: str) -> Source:
    """The samples as the loop walks them."""
    empty = no_source()._replace(labels=problem.labels)
    if inputs == "floats":
        return empty._replace(features=problem.inputs)
    if inputs == "dense":
        return empty._replace(images=problem.images)
    starts = np.zeros(len(problem.images) + 1, np.int64)
    list_rows(problem.images, starts, empty.entries)
    starts = np.cumsum(starts)
    entries = np.zeros(starts[-1], np.uint32)
    list_rows(problem.images, starts, entries)
    return empty._replace(images=problem.images, starts=starts, entries=entries, sparse=True)


def reference_run(
    problem: Problem, batch_size: int, rate: float, epochs: int = 1, **options: Any
) -> tuple[naive.Network, float]:
    """The same training in float64; the network and the sum of all samples' losses."""
    network, total = naive.Network(problem.weights, problem.biases, **options), 0.0
    for _ in range(epochs):
        for begin in range(0, len(problem.order), batch_size):
            rows = problem.order[begin : begin + batch_size]
            total += network.step(problem.inputs[rows], problem.labels[rows], rate)
    return network, total
