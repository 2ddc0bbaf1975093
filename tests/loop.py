"""Drives the engine on small made-up problems, and its reference beside it."""

import itertools
from collections.abc import Mapping
from typing import Any

import naive
import numpy as np
from numba import config

from jitnet.compiler.reference import Struct
from jitnet.config import LOSSES, ModelConfig, TrainConfig
from jitnet.datasets.compressed import compress
from jitnet.engine.costs import Cost
from jitnet.engine.layout import lay_out
from jitnet.engine.loop import load_loop, run_steps
from jitnet.engine.ownership import MEETINGS
from jitnet.engine.packing import pack, trained_values, unpack
from jitnet.engine.program import Line, Program, Step, evaluating, training
from jitnet.engine.setup import make_data, run_on_data, training_run
from jitnet.engine.state import Data, empty_run
from jitnet.engine.step_clock import clock_for

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
        self.numbers = rng.normal(size=(n_samples, widths[-1])).astype(np.float32)
        self.weights_of_samples = (rng.integers(0, 5, n_samples) / 2).astype(np.float32)

    def targets(self, loss: str = "cross-entropy") -> Array:
        """What the loss compares with: classes, numbers, or 0 and 1. A network of quantiles has several outputs for
        each."""
        if LOSSES[loss].target == "class":
            return self.labels
        count = self.widths[-1] // per_target(loss)
        assert count * per_target(loss) == self.widths[-1], "its outputs are those of whole targets"
        return fitting(loss, self.numbers[:, :count])

    def parameters(self, shape: ModelConfig) -> dict[str, Array]:
        """The weights and biases by their names, and gains and biases of norms, from a seed."""
        rng, found = np.random.default_rng(1), dict[str, Array]()
        for layer in shape.saved_layers:
            if layer.kind == "linear":
                found[layer.key("weight")] = self.weights[layer.block]
                found[layer.key("bias")] = self.biases[layer.block]
            elif layer.kind == "layer_norm":
                found[layer.key("weight")] = (1 + 0.3 * rng.normal(size=layer.out_features)).astype(np.float32)
                found[layer.key("bias")] = (0.3 * rng.normal(size=layer.out_features)).astype(np.float32)
        return found

    @property
    def inputs(self) -> Array:
        return self.images.astype(np.float32) * BYTE


def per_target(loss: str) -> int:
    """Outputs of a network for each target."""
    return ModelConfig(in_features=1, loss=loss, **outputs_for(loss, 2)).outputs_per_target


def outputs_for(loss: str, count: int) -> dict[str, int]:
    """The field of a config that says how many classes or targets there are."""
    return {"n_classes" if LOSSES[loss].target == "class" else "n_targets": count}


def fitting(loss: str, numbers: Array) -> Array:
    """Numbers as targets that a loss takes: any, of 0 or more, or 0 and 1; float32."""
    if LOSSES[loss].target == "label":
        return (numbers > numbers.mean()).astype(np.float32)
    return np.abs(numbers) if LOSSES[loss].nonnegative else numbers


class Loop:
    """A problem's network in training. inputs: "sparse", "dense" (bytes), "floats", or
    "compressed": lists of floats. norm, residual: where its widths
    have room for them. options: `TrainConfig`'s."""

    def __init__(
        self,
        problem: Problem,
        batch_size: int,
        *,
        inputs: str = "dense",
        threads: int = 1,
        activation: str = "relu",
        loss: str = "cross-entropy",
        output_bias: bool = True,
        norm: str = "none",
        residual: bool = False,
        input_scale: bool = False,
        dropout: tuple[float, ...] = (),
        clocked_steps: int = 0,
        weighted: bool = False,
        **options: Any,
    ) -> None:
        """clocked_steps: how many the clock has room for; 0 for none, and it stands still."""
        _compile()
        self.problem, self.batch_size = problem, batch_size
        hidden_widths = problem.widths[1:-1]
        self.shape = ModelConfig(
            in_features=problem.widths[0],
            hidden=problem.widths[1:-1],
            **outputs_for(loss, problem.widths[-1] // per_target(loss)),
            loss=loss,
            activation=activation,
            output_bias=output_bias,
            norm=norm if hidden_widths else "none",
            residual=residual and any(before == after for before, after in itertools.pairwise(hidden_widths)),
            input_scale=input_scale,
        )
        self.config = TrainConfig(schedule="constant", **options)
        hidden = len(self.shape.hidden)
        rates = (*dropout, *(0.0,) * (hidden - len(dropout)), 0.0)
        sparse, item = inputs in ("sparse", "compressed"), 4 if inputs in ("floats", "compressed") else 1
        self.step = Step(self.shape, self.config, batch_size, threads, 1.0, sparse, item, weighted=weighted)
        self.layout = lay_out(self.shape, batch_size, threads, skips_zeros=sparse, training=True, dropout=rates)
        self.program = training(self.step, self.layout)
        run = training_run(self.step, self.layout, self.program, -(-len(problem.order) // batch_size))
        run = run._replace(order=problem.order, data=data_of(problem, inputs, loss, weighted))
        if clocked_steps:
            room = clock_for(self.program.threads, len(self.program.lines), self.program.regions, steps=clocked_steps)
            run = run._replace(clock=room)
            run.call.clocked = True
        self.engine_run, self.state, self.layers = run, run.state, run.layers
        pack(run.state.params, run.parameters, self.shape, problem.parameters(self.shape))
        if self.config.ema > 0:
            run.state.average[:] = run.state.params
        run.state.byte_values[:] = np.arange(256, dtype=np.float32) * BYTE
        self.struct = Struct(run)
        self.number = 0
        self.totals = np.zeros(3)

    def steps(self, rate: float, first_batch: int, count: int, totals: Array) -> int:
        """One call of `count` steps from a batch of the order on; gives how many were done."""
        call = self.engine_run.call
        call.first_batch, call.n_steps, call.first_step = first_batch, count, self.number
        self.engine_run.schedule.peak = rate  # the schedule is constant: this is every step's rate
        done = run_steps(self.struct, len(self.program.first), totals)
        self.number += done
        return done

    def run(self, rate: float, *, chunk: int = 10**6, epochs: int = 1) -> int:
        """Epochs in calls of `chunk` steps; gives the steps done before a loss that is not finite."""
        n_steps = -(-len(self.problem.order) // self.batch_size)
        for _ in range(epochs):
            for first in range(0, n_steps, chunk):
                count = min(chunk, n_steps - first)
                if self.steps(rate, first, count, self.totals) < count:
                    return self.number
        return self.number

    def losses(self, rate: float) -> list[float]:
        """An epoch, and the mean loss of each of its batches."""
        order, losses = self.problem.order, []
        for first, begin in enumerate(range(0, len(order), self.batch_size)):
            totals = np.zeros(3)
            self.steps(rate, first, 1, totals)
            losses.append(float(totals[0]) / len(order[begin : begin + self.batch_size]))
        return losses

    def measure(self) -> Array:
        """Sum of the losses and count of right guesses over all samples, without training."""
        run, totals = self.engine_run, np.zeros(3)
        settings, call = run.settings.copy(), run.call.copy()
        settings.label_smoothing = 0.0
        call.first_batch = call.first_step = 0
        call.n_steps = -(-len(self.problem.order) // self.batch_size)
        program = evaluating(self.step, self.layout)
        call.meeting = MEETINGS[program.meeting]
        struct = Struct(run._replace(program=program.table(), settings=settings, call=call))
        run_steps(struct, len(program.first), totals)
        return totals[:2]

    def parameters(self) -> list[Array]:
        """Weights and then biases, in PyTorch's layout."""
        return self._unpacked(self.state.params)

    def gradients(self) -> list[Array]:
        """The last step's, where they are kept: not with plain SGD, which adds them straight to the weights."""
        assert not self.engine_run.settings.adds_directly
        return self._unpacked(self.state.grads)

    def averages(self) -> list[Array]:
        return self._unpacked(self.state.average)

    def raw(self, flat: Array) -> tuple[dict[str, Array], Array]:
        """Parameters or gradients by name as they are in training, nothing folded; and those of the inputs' factors,
        empty where there are none."""
        found = trained_values(flat, self.engine_run.parameters, self.shape)
        pairs = list(zip(self.shape.layers, found, strict=True))
        named = {layer.key(name): array for layer, values in pairs for name, array in values.items()}
        return named, next((values["scale"] for _, values in pairs if "scale" in values), np.zeros(0, np.float32))

    def _unpacked(self, flat: Array) -> list[Array]:
        return in_order(self.shape, unpack(flat, self.engine_run.parameters, self.shape))


def in_order(shape: ModelConfig, parameters: Mapping[str, Array]) -> list[Array]:
    """Weights of all linear layers, then their biases, then gains and biases of the norms."""
    kinds = [(kind, name) for kind in ("linear", "layer_norm") for name in ("weight", "bias")]
    return [parameters[layer.key(name)] for kind, name in kinds for layer in shape.saved_layers if layer.kind == kind]


def _compile() -> None:
    """Two processes compile, where a call of the loop would have it compiled by one."""
    if not config.DISABLE_JIT:
        load_loop()


def data_of(problem: Problem, inputs: str, loss: str = "cross-entropy", weighted: bool = False) -> Data:
    """The samples as the loop walks them."""
    of_classes = LOSSES[loss].target == "class"
    labels, options = problem.labels, {"threads": 1, "skips_zeros": inputs == "sparse"}
    options["weights"] = problem.weights_of_samples if weighted else None
    if not of_classes:
        labels, options["targets"] = labels[:0], problem.targets(loss)
    no_images, no_features = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32)
    if inputs in ("floats", "compressed"):
        features = compress(problem.inputs, "the problem") if inputs == "compressed" else problem.inputs
        return make_data(no_images, features, labels, **options)
    return make_data(problem.images, no_features, labels, **options)


def walk_data(operation: str, parts: int, order: Array, **fields: Any) -> None:
    """One operation on the data set, in so many parts.

    fields: images, features, new_images, new_features, pixels and distortion, as a run has them; image_shape, seed,
    epoch and input_dropout.
    """
    _compile()
    run, has_bytes = empty_run(), "images" in fields or "new_images" in fields
    run.call.has_bytes, run.call.epoch = has_bytes, fields.get("epoch", 0)
    run.call.height, run.call.width = fields.get("image_shape", (0, 0))
    run.settings.seed, run.settings.input_dropout = fields.get("seed", 0), fields.get("input_dropout", 0.0)
    line = Line(1, operation, 0, "samples", parts, "as the test says", Cost(0.0, 0.0))
    run = run._replace(
        order=order,
        data=run.data._replace(**{name: fields[name] for name in ("images", "features") if name in fields}),
        outputs=run.outputs._replace(
            **{name.removeprefix("new_"): fields[name] for name in ("new_images", "new_features") if name in fields}
        ),
        state=run.state._replace(pixels=fields.get("pixels", run.state.pixels)),
        distortion=fields.get("distortion", run.distortion),
    )
    run_on_data(run, Program((), (line,), "never"), batch_size=2)


def reference_of(problem: Problem, **options: Any) -> naive.Network:
    """The network in float64, with the gains and biases of norms that a loop starts from."""
    norm = options.pop("norm", "none")
    if norm == "none":
        return naive.Network(problem.weights, problem.biases, **options)
    widths, hidden = problem.widths, len(problem.widths) - 2
    shape = ModelConfig(in_features=widths[0], hidden=widths[1:-1], n_classes=widths[-1], norm=norm)
    norms = in_order(shape, problem.parameters(shape))[2 * hidden + 2 :]
    return naive.Network(problem.weights, problem.biases, gains=norms[:hidden], shifts=norms[hidden:], **options)


def reference_run(
    problem: Problem, batch_size: int, rate: float, epochs: int = 1, *, weighted: bool = False, **options: Any
) -> tuple[naive.Network, float]:
    """The same training in float64; the network and the sum of all samples' losses, weighted where samples are."""
    network, total = reference_of(problem, **options), 0.0
    targets = problem.targets(options.get("loss", "cross-entropy"))
    for _ in range(epochs):
        for begin in range(0, len(problem.order), batch_size):
            rows = problem.order[begin : begin + batch_size]
            weights = problem.weights_of_samples[rows] if weighted else 1.0
            total += network.step(problem.inputs[rows], targets[rows], rate, weights)
    return network, total
