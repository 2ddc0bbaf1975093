"""What each operation is said to do, in FLOP and bytes, beside what it is seen to do in plain Python.

The shapes are whole panels and vectors: filling up is not declared. Where the tests run compiled, the counting is done
by a second Python without the compiler.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import environment
from counting import Count, count_calls, count_line, watch, watched
from loop import Loop, Problem, outputs_for, per_target
from numba import config

from jitnet.config import LOSSES, AugmentConfig, ModelConfig, TrainConfig
from jitnet.datasets.compressed import compress
from jitnet.engine import ownership
from jitnet.engine.costs import Sizes
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import MEETINGS
from jitnet.engine.prediction import Predictor
from jitnet.engine.program import Line, Program, Step, evaluating, on_data, predicting, training
from jitnet.engine.setup import placing
from jitnet.engine.state import Run, empty_run, no_data, no_outputs
from jitnet.kernels.activation import ACTIVATION_KERNELS, activation_backward, activation_forward
from jitnet.kernels.augment import distortion_settings, scratch_size
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS, optimizer_settings, update
from jitnet.machine.blocks import LANES, PANEL

BATCH, INPUTS, COLUMNS, ENTRIES = 2 * LANES, 2 * LANES, 16, 8
"""Samples of a batch, inputs of one, how many of these any sample has, and how many each."""

TRAININGS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "zero-skipping": ((4 * PANEL, PANEL), {"inputs": "sparse"}),
    "zero-skipping, two parts": ((4 * PANEL, PANEL), {"inputs": "sparse", "threads": 2}),
    "zero-skipping, marked together": ((4 * PANEL, PANEL), {"inputs": "sparse", "threads": 2}),
    "zero-skipping, adam": ((2 * PANEL, PANEL), {"inputs": "sparse", "optimizer": "adam"}),
    "zero-skipping, no hidden layer": ((PANEL,), {"inputs": "sparse"}),
    "zero-skipping, floats, two parts": ((4 * PANEL, PANEL), {"inputs": "compressed", "threads": 2}),
    "zero-skipping, floats, no hidden layer": ((PANEL,), {"inputs": "compressed"}),
    "dense": ((4 * PANEL, PANEL), {}),
    "dense, two parts": ((4 * PANEL, 2 * PANEL), {"threads": 2}),
    "dense, in pieces": ((5 * PANEL, PANEL), {"threads": 2, "dropout": (0.25,)}),
    "zero-skipping, in pieces": ((5 * PANEL, 5 * PANEL, PANEL), {"inputs": "sparse", "threads": 2, "residual": True}),
    "floats, no hidden layer": ((PANEL,), {"inputs": "floats"}),
    "adam, dropout": ((2 * PANEL, 2 * PANEL, 2 * PANEL), {"optimizer": "adam", "dropout": (0.25, 0.5)}),
    "everything late": ((2 * PANEL, PANEL), {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9, "activation": "gelu"}),
    "max-norm": ((2 * PANEL, PANEL), {"max_norm": 0.3, "optimizer": "momentum", "activation": "tanh"}),
    "average": ((PANEL, PANEL), {"ema": 0.9}),
    **{loss: ((2 * PANEL, PANEL * per_target(loss)), {"loss": loss}) for loss in LOSSES},
    **{
        f"{loss}, no hidden layer": ((PANEL * per_target(loss),), {"loss": loss, "inputs": "sparse"}) for loss in LOSSES
    },
    "weights": ((2 * PANEL, PANEL), {"weighted": True}),
    "weights, no hidden layer": ((PANEL,), {"weighted": True, "inputs": "sparse", "loss": "squared-error"}),
    "average, weight decay": ((PANEL, PANEL), {"ema": 0.9, "weight_decay": 0.01}),
    "norm": ((2 * PANEL, 2 * PANEL, PANEL), {"norm": "layer"}),
    "norm, adam": ((2 * PANEL, PANEL), {"norm": "layer", "optimizer": "adam", "ema": 0.9, "inputs": "sparse"}),
    "frozen norm": ((2 * PANEL, 2 * PANEL, PANEL), {"norm": "layer", "freeze": "1"}),
    "frozen, clipped": ((2 * PANEL, PANEL, PANEL), {"freeze": "0", "clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9}),
    "residual, two parts": ((2 * PANEL, 2 * PANEL, 2 * PANEL, PANEL), {"residual": True, "threads": 2}),
    "input scale": ((2 * PANEL, PANEL), {"input_scale": True, "inputs": "sparse"}),
    "input scale, no hidden layer": ((PANEL,), {"input_scale": True, "clip_norm": 0.1}),
    "all layers, clipped": (
        (2 * PANEL, 2 * PANEL, PANEL),
        {"norm": "layer", "residual": True, "input_scale": True, "clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9},
    ),
}
"""Widths behind the inputs, and options of `Loop`."""

SCRATCH = {"list_inputs": "state.indptr", "augment": "state.pixels"}
"""What a part has for itself: it is not declared."""

HEIGHT, WIDTH, SIGMA = 12, LANES, 2.6
"""Of an image that is distorted: whole vectors, also with what the Gaussian of 17 weights reaches beyond its edges."""


class Row(NamedTuple):
    """A line as it was counted. case: the training or data set that it is of. flop, read, written: as `Count` has
    them."""

    case: str
    operation: str
    layer: int
    split: str
    parts: int
    flop: int
    read: dict[str, int]
    written: dict[str, int]
    declared_flop: float
    declared_bytes: float

    @property
    def bytes(self) -> int:
        """What moved, without what costs leave out: a part's scratch, and starts of lists that are looked up."""
        scratch = SCRATCH.get(self.operation)
        read = sum(size for name, size in self.read.items() if name not in (scratch, "data.indptr", "state.indptr"))
        return read + sum(size for name, size in self.written.items() if name != scratch)

    @property
    def copies(self) -> int:
        """How often the line's work is done."""
        return self.parts if self.split == "every part" else 1


class KernelCount(NamedTuple):
    """FLOP and bytes for each number: the most that any of some inputs takes, each counted alone."""

    flop: float
    bytes: float


class Counted(NamedTuple):
    rows: list[Row]
    kernels: dict[str, KernelCount]


# ---- Counting, without the compiler ----


def count_everything() -> Counted:
    price, ownership._REGION_FLOP = ownership._REGION_FLOP, 1  # small networks are split too
    try:
        rows = [row for name in TRAININGS for row in trained(name)]
        rows += [row for loss in LOSSES for skips_zeros in (False, True) for row in predicted(loss, skips_zeros)]
        rows += [row for name, (run, line) in data_lines() for row in counted(name, run, Program((), (line,)))]
    finally:
        ownership._REGION_FLOP = price
    return Counted(rows, dict(kernels()))


def images(n: int) -> Any:
    """Each sample with as many entries, and each column with some but the last ones."""
    made = np.zeros((n, INPUTS), np.uint8)
    for place in range(n):
        made[place, place % 2 : COLUMNS : COLUMNS // ENTRIES] = 1 + (place * 7 + np.arange(ENTRIES)) % 255
    return made


def trained(name: str) -> Iterator[Row]:
    """Two steps' worth of lines, one after the other; and of some those that measure."""
    widths, options = TRAININGS[name]
    prices = ownership._HANDING_FLOP, ownership._MEETING_FLOP
    if "together" in name:
        ownership._HANDING_FLOP = -np.inf
    if "in pieces" in name:
        ownership._MEETING_FLOP = 0
    yield from trained_so(name, widths, options)
    ownership._HANDING_FLOP, ownership._MEETING_FLOP = prices


def trained_so(name: str, widths: tuple[int, ...], options: dict[str, Any]) -> Iterator[Row]:
    problem = Problem((INPUTS, *widths), 2 * BATCH)
    problem.images = images(2 * BATCH)
    loop = Loop(problem, BATCH, **options)
    step = loop.step._replace(density=ENTRIES / INPUTS, columns=COLUMNS / INPUTS)
    loop.engine_run.call.n_steps = 2
    program = training(step, loop.layout)
    yield from counted(name, loop.engine_run, program)
    averages = bool(loop.engine_run.settings.average_decay > 0.0)
    yield from counted(f"{name}, placed", loop.engine_run, placing(program, average=averages))
    if "no hidden layer" in name:
        yield from counted(f"{name}, measured", loop.engine_run, evaluating(step, loop.layout))


def counted(name: str, run: Run, program: Program) -> Iterator[Row]:
    run, arrays = watched(run._replace(program=program.table()))
    for place, line in enumerate(program.lines):
        found = count_line(run, arrays, place)
        yield Row(name, line.operation, line.layer, line.split, line.parts, *found, *line.cost)


def data_lines() -> Iterator[tuple[str, tuple[Run, Line]]]:
    """Lines that work on a data set: a name, a run and its line."""
    n, order = 6, np.arange(6, dtype=np.int32)
    for name in ("count_entries", "list_entries"):
        data = no_data()._replace(images=images(n), entries=np.zeros(n * ENTRIES, np.uint32))
        data = data._replace(indptr=np.arange(n + 1) * ENTRIES)
        yield name, data_line(name, Sizes(n, INPUTS, entries=n * ENTRIES), order, data=data)

    distortions = {"affine": AugmentConfig(shift=1, rotation=5, scaling=0.1, shear=5)}
    distortions["elastic"] = AugmentConfig(elastic=8, elastic_sigma=SIGMA)
    pixels = np.random.default_rng(0).integers(0, 256, (2, HEIGHT * WIDTH), np.uint8)
    for name, asked in distortions.items():
        distortion = distortion_settings(asked)
        sizes = Sizes(2, HEIGHT * WIDTH, taps=len(distortion.gaussian), height=HEIGHT, width=WIDTH)
        run, line = data_line(
            "augment",
            sizes,
            order[:2],
            data=no_data()._replace(images=pixels),
            outputs=no_outputs()._replace(images=np.zeros_like(pixels)),
            distortion=distortion,
        )
        run = run._replace(
            state=run.state._replace(pixels=np.zeros((1, scratch_size(HEIGHT, WIDTH, distortion)), np.float32)),
        )
        yield f"augment, {name}", (run, line)

    for name, kind, item in (("bytes", np.uint8, 1), ("floats", np.float32, 4)):
        outputs = no_outputs()._replace(**{"images" if item == 1 else "features": images(n).astype(kind)})
        run, line = data_line("drop_samples", Sizes(n, INPUTS, bytes_per_input=item), order, outputs=outputs)
        run.call.has_bytes, run.settings.input_dropout = item == 1, 0.3
        yield f"drop_samples, {name}", (run, line)

    listed = compress(images(n), "images")
    data = no_data()._replace(indptr=listed.indptr, entries=listed.entries, entry_values=listed.values)
    sizes = Sizes(n, INPUTS, entries=n * ENTRIES, bytes_per_input=4, compressed=True)
    run, line = data_line("drop_samples", sizes, order, data=data)
    run.call.has_bytes, run.settings.input_dropout = False, 0.3
    yield "drop_samples, compressed", (run, line)


def data_line(name: str, sizes: Sizes, order: Any, **fields: Any) -> tuple[Run, Line]:
    run = empty_run()._replace(order=order, **fields)
    run.call.batch_size, run.call.n_steps, run.call.meeting = len(order), 1, MEETINGS["never"]
    run.call.has_bytes, run.call.height, run.call.width = True, HEIGHT, WIDTH
    return run, on_data([name], sizes, 1).lines[0]


def predicted(loss: str, skips_zeros: bool) -> Iterator[Row]:
    """The lines of a prediction, as `Predictor` has them, of bytes."""
    problem, n = Problem((INPUTS, 2 * PANEL, PANEL * per_target(loss)), BATCH), BATCH
    shape = ModelConfig(in_features=INPUTS, hidden=(2 * PANEL,), loss=loss, **outputs_for(loss, PANEL))
    predictor = Predictor(shape, problem.parameters(shape), 0.0, 1 / 255)
    step = Step(shape, TrainConfig(), n, 1, ENTRIES / INPUTS, skips_zeros, 1, COLUMNS / INPUTS)
    program = predicting(step, predictor._layout, n)
    run = predictor._prepared(program, images(n), True, skips_zeros)
    run.call.batch_size = n
    yield from counted(f"prediction, {loss}, {'zero-skipping' if skips_zeros else 'dense'}", run, program)


def kernels() -> Iterator[tuple[str, KernelCount]]:
    """Activations, of numbers below and above zero, and optimizers."""
    for name, activation in ACTIVATION_KERNELS.items():
        forward, backward = [], []
        for sign in (-1, 1):
            values = (sign * np.linspace(0.1, 3.0, LANES)).astype(np.float32)
            arrays = {field: watch(values.copy()) for field in ("x", "out", "dout")}
            x, out, dout = arrays.values()
            onward = partial(activation_forward, activation.code, x, out, LANES, 1, 0, LANES)
            forward.append(count_calls(onward, arrays))
            back = partial(activation_backward, activation.code, x, out, dout, LANES, 1, 0.5, 0, LANES)
            backward.append(count_calls(back, arrays))
        yield f"{name} forward", most(forward)
        yield f"{name} backward", most(backward)
    for name in OPTIMIZER_KERNELS:
        settings = optimizer_settings(TrainConfig(optimizer=name, weight_decay=0.1))
        arrays = {field: watch(np.full(LANES, 0.5, np.float32)) for field in ("w", "dw", "m", "v")}
        yield name, most([count_calls(partial(update, settings, *arrays.values(), 2, 0.1, 0.5, 0, LANES), arrays)])


def most(counts: list[Count]) -> KernelCount:
    moved = [sum(count.read.values()) + sum(count.written.values()) for count in counts]
    return KernelCount(max(count.flop for count in counts) / LANES, max(moved) / LANES)


# ---- What must be equal ----


@pytest.fixture(scope="module")
def found() -> Counted:
    """Everything counted, once."""
    if config.DISABLE_JIT:
        return count_everything()
    command = [sys.executable, "-W", "ignore:overflow:RuntimeWarning", __file__]
    done = subprocess.run(command, env=environment(NUMBA_DISABLE_JIT="1"), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows, kernel_counts = json.loads(done.stdout)
    return Counted([Row(*row) for row in rows], {name: KernelCount(*each) for name, each in kernel_counts.items()})


def test_every_operation_is_counted(found: Counted) -> None:
    assert {row.operation for row in found.rows} == set(OPERATIONS)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_does_the_flop_that_it_declares(found: Counted, operation: str) -> None:
    for row in found.rows:
        if row.operation == operation:
            done, declared = row.flop, row.declared_flop * row.copies
            if operation.startswith("activate") and "late" in row.case:
                # gelu adds one for what is above zero; a vector reckons it for all.
                assert declared - BATCH * 2 * PANEL < done < declared, row
            else:
                assert done == declared, row


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_moves_the_bytes_that_it_declares(found: Counted, operation: str) -> None:
    for row in found.rows:
        if row.operation == operation:
            if row.case.startswith("zero-skipping, ") and row.parts == 2 and row.layer == 1:
                # Each part has the logits and their gradient for itself, and the rest together with the other.
                assert row.declared_bytes <= row.bytes < 2 * row.declared_bytes, row
            else:
                assert row.bytes == row.declared_bytes, row


def test_what_is_counted_is_not_nothing(found: Counted) -> None:
    """Operations without arithmetic are those that are meant to have none."""
    without = {row.operation for row in found.rows if row.flop == 0}
    moving = {"mark", "add_partials", "count_entries", "list_entries", "list_inputs", "gather", "drop_samples"}
    moving |= {"place_weights"}
    # A link without arithmetic leaves the outputs as they are.
    assert {row.case.split(", ")[1] for row in found.rows if row.operation == "link" and row.flop == 0} == {
        name for name, loss in LOSSES.items() if loss.link == "identity"
    }
    assert without - {"link"} == moving | {"branch_gradient"}
    for row in found.rows:
        if row.flop == 0 and row.operation in ("gather", "drop_samples"):
            assert ("floats" in row.case) == (row.operation == "gather"), row
        assert row.bytes > 0


def test_work_that_every_part_does_is_seen_to_be_done_twice(found: Counted) -> None:
    assert {row.operation for row in found.rows if row.copies == 2} == {"add_partials", "loss"}


@pytest.mark.parametrize("name", ACTIVATION_KERNELS)
def test_an_activation_takes_the_flop_that_its_table_says(found: Counted, name: str) -> None:
    kernel = ACTIVATION_KERNELS[name]
    assert found.kernels[f"{name} forward"] == (kernel.forward_flop, 8)
    assert found.kernels[f"{name} backward"] == (kernel.backward_flop, 12)


@pytest.mark.parametrize("name", OPTIMIZER_KERNELS)
def test_an_optimizer_takes_what_its_table_says(found: Counted, name: str) -> None:
    assert found.kernels[name] == (OPTIMIZER_KERNELS[name].flop, OPTIMIZER_KERNELS[name].bytes)


if __name__ == "__main__":
    json.dump(count_everything(), sys.stdout, default=int)
