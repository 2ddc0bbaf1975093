"""The training loop: a case worked by hand, float64 and PyTorch beside it, gradients, samples memorised."""

import json
import math
from pathlib import Path

import naive
import numpy as np
import pytest
from gradcheck import central_differences
from loop import Loop, Problem, in_order, reference_run
from numba import config
from optimizers import OPTIMIZER_OPTIONS

from jitnet.config import ACTIVATIONS, OPTIMIZERS
from jitnet.engine.loop import run_steps
from jitnet.engine.packing import pack, unpack
from jitnet.machine.blocks import PANEL, SPARSE_BLOCK

pytestmark = pytest.mark.small

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())

# No hidden layer, one, two, three; widths below, at and above a panel.
NETWORKS = [(5, 3), (6, PANEL + 1, 4), (9, 7, PANEL, 3), (4, PANEL - 1, 5, 2 * PANEL + 1, 2)]


KEEPS_GRADIENTS = {"optimizer": "momentum"}
"""Plain SGD adds gradients straight to the weights."""


def compare(arrays, expected, start, rtol=1e-4):
    """Equal to rounding; and what was trained has moved far more than the tolerance."""
    for array, reference in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=rtol, atol=2e-5)
    moved = max(float(np.abs(array - first).max()) for array, first in zip(arrays, start, strict=True))
    assert moved > 3e-3


def test_a_step_worked_by_hand():
    problem = Problem((2, 2, 2), 1)
    problem.images[:] = [[51, 102]]  # inputs 0.2 and 0.4
    problem.labels[:] = 0
    problem.weights[:] = np.array([[5, 0], [0, -5]], np.float32), np.array([[1, 1], [0, -1]], np.float32)
    problem.biases[:] = np.zeros(2, np.float32), np.array([0, 1], np.float32)
    # z = (1, -2), h = (1, 0), logits (1, 1), p = (1/2, 1/2): the loss is log 2.
    # Gradients, of the logits: (-1/2, 1/2); of h: (-1/2, -1); of z: (-1/2, 0), for the second unit is off.
    loop = Loop(problem, 1)
    assert loop.run(0.5) == 1
    assert loop.totals[0] == pytest.approx(math.log(2), rel=1e-6)
    assert loop.totals[1] == 1  # of equal logits the first is the guess
    expected = [[[5.05, 0.1], [0, -5]], [[1.25, 1], [-0.25, -1]], [0.25, 0], [0.25, 0.75]]
    for array, reference in zip(loop.parameters(), expected, strict=True):
        np.testing.assert_allclose(array, reference, atol=1e-6)


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("activation", REFERENCE["losses"])
def test_ten_losses_beside_pytorchs(activation, inputs):
    problem = Problem((12, 7, 5), len(REFERENCE["labels"]))
    problem.images[:], problem.labels[:] = REFERENCE["images"], REFERENCE["labels"]
    problem.order[:] = range(len(problem.order))
    problem.weights[:] = [np.array(weight, np.float32) for weight in REFERENCE["weights"]]
    problem.biases[:] = [np.array(bias, np.float32) for bias in REFERENCE["biases"]]
    loop = Loop(problem, REFERENCE["batch"], inputs=inputs, activation=activation)
    losses = loop.losses(REFERENCE["rate"])
    assert len(losses) == 10
    assert losses == pytest.approx(REFERENCE["losses"][activation], rel=3e-6)


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("loss", REFERENCE["losses_of_numbers"])
def test_ten_losses_of_numbers_beside_pytorchs(loss, inputs):
    problem = Problem((12, 7, 5), len(REFERENCE["labels"]))
    problem.images[:], problem.numbers[:] = REFERENCE["images"], REFERENCE["targets"]
    problem.order[:] = range(len(problem.order))
    problem.weights[:] = [np.array(weight, np.float32) for weight in REFERENCE["weights"]]
    problem.biases[:] = [np.array(bias, np.float32) for bias in REFERENCE["biases"]]
    loop = Loop(problem, REFERENCE["batch"], inputs=inputs, activation="tanh", loss=loss)
    losses = loop.losses(REFERENCE["rate"])
    assert len(losses) == 10
    assert losses == pytest.approx(REFERENCE["losses_of_numbers"][loss], rel=3e-6)
    assert loop.totals[1] == 0


@pytest.mark.parametrize("inputs", ["sparse", "dense", "floats", "compressed"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", NETWORKS, ids=str)
def test_sgd_beside_float64(widths, activation, inputs):
    problem = Problem(widths, 11)
    loop = Loop(problem, 4, inputs=inputs, activation=activation)
    assert loop.run(0.2, epochs=2) == 6
    network, total = reference_run(problem, 4, 0.2, 2, activation=activation)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    compare(loop.parameters(), network.parameters, problem.weights + problem.biases)


@pytest.mark.parametrize("decay", [0.0, 0.05, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("widths", [NETWORKS[0], NETWORKS[2]], ids=str)
def test_optimizers_beside_float64(widths, optimizer, decay):
    problem = Problem(widths, 7)
    options = {"weight_decay": decay} | OPTIMIZER_OPTIONS[optimizer]
    loop = Loop(problem, 3, inputs="sparse", optimizer=optimizer, **options)
    loop.run(0.03, epochs=2)
    network, total = reference_run(problem, 3, 0.03, 2, optimizer=optimizer, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    compare(loop.parameters(), network.parameters, problem.weights + problem.biases)


RATE_FACTORS = {"parametrization": "ntk", "bias_rate": 0.1}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"clip_norm": 0.5},
        {"norm": "layer", "weight_decay": 0.1, "ema": 0.8},
        {"input_scale": True, "input_scale_rate": 6.0},
    ],
    ids=str,
)
def test_factors_of_the_learning_rate_beside_float64(optimizer, more):
    widths = NETWORKS[2]
    problem = Problem(widths, 7)
    options = OPTIMIZER_OPTIONS[optimizer] | RATE_FACTORS | more | {"optimizer": optimizer}
    loop = Loop(problem, 3, **options)
    loop.run(0.1, epochs=2)
    network, total = reference_run(problem, 3, 0.1, 2, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    compare(loop.parameters(), network.saved(network.parameters), in_order(loop.shape, problem.parameters(loop.shape)))


def test_ntk_is_a_network_that_multiplies_its_weights_by_a_root():
    """With weights W = V / sqrt(inputs), adam's step of V divided by sqrt(inputs) is the step of W."""
    problem, rate, epsilon = Problem((16, 9, 3), 8), 0.05, 1e-12
    options = {"optimizer": "adam", "epsilon": epsilon}
    loop = Loop(problem, 8, parametrization="ntk", **options)
    loop.run(rate)
    x, labels = problem.inputs[problem.order].astype(np.float64), problem.labels[problem.order]
    network = naive.Network(problem.weights, problem.biases)
    gradients = network.gradients(x, labels)
    for array, start, gradient in zip(loop.parameters()[:2], problem.weights, gradients[:2], strict=True):
        root = math.sqrt(start.shape[1])
        of_v = gradient / root  # the chain rule
        v = start * root - rate * of_v / (np.abs(of_v) + epsilon)  # adam's first step
        np.testing.assert_allclose(array, v / root, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("widths", [NETWORKS[1], NETWORKS[3]], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.05},
        {"clip_norm": 1e3},
        {"max_norm": 1.0},
        {"clip_norm": 0.5, "max_norm": 1.2, "weight_decay": 0.1},
        {"ema": 0.8},
        {"ema": 0.8, "clip_norm": 0.5},
        {"ema": 0.5, "max_norm": 0.8},
        {"label_smoothing": 0.2},
        {"output_bias": False},
        {"output_bias": False, "clip_norm": 0.05},
        {"dropout": (0.5, 0.25, 0.4), "seed": 3},
        {"dropout": (0.5, 0.25, 0.4), "activation": "tanh"},
        {"dropout": (0.5, 0.25, 0.4), "activation": "gelu"},
        {"dropout": (0.3, 0.0, 0.6), "seed": 4, "label_smoothing": 0.1, "ema": 0.9, "max_norm": 100.0},
    ],
    ids=str,
)
def test_what_else_a_step_does_beside_float64(widths, options):
    problem = Problem(widths, 9)
    if not options.get("output_bias", True):
        problem.biases[-1][:] = 0
    options = {**options, "dropout": options.get("dropout", (0.0,) * 3)[: len(widths) - 2]}
    for optimizer in ("sgd", "adam"):
        settings = options | OPTIMIZER_OPTIONS[optimizer]
        loop = Loop(problem, 4, optimizer=optimizer, **settings)
        loop.run(0.1, epochs=2)
        network, total = reference_run(problem, 4, 0.1, 2, optimizer=optimizer, **settings)
        assert loop.totals[0] == pytest.approx(total, rel=1e-5)
        compare(loop.parameters(), network.parameters, problem.weights + problem.biases)
        if "ema" in options:
            compare(loop.averages(), network.averages, loop.parameters())


def test_what_is_on_makes_a_difference():
    """Else the comparisons above would hold where both sides leave an option out."""
    problem = Problem(NETWORKS[1], 9)
    plain, _ = reference_run(problem, 4, 0.1, 2)
    for options in (
        {"clip_norm": 0.05},
        {"max_norm": 1.0},
        {"label_smoothing": 0.2},
        {"dropout": (0.5,)},
        {"weight_decay": 0.1},
    ):
        other, _ = reference_run(problem, 4, 0.1, 2, **options)
        assert max(float(np.abs(a - b).max()) for a, b in zip(plain.parameters, other.parameters, strict=True)) > 1e-2


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(4, 3), (4, 5, 3), (3, 5, 4, 3)], ids=str)
def test_the_gradient_is_that_of_the_whole_network(widths, activation):
    problem = Problem(widths, 5)
    loop = Loop(problem, 5, activation=activation, label_smoothing=0.1, **KEEPS_GRADIENTS)
    loop.run(0.0)
    network = naive.Network(problem.weights, problem.biases, activation=activation, label_smoothing=0.1)
    for array, gradient in zip(network.parameters, loop.gradients(), strict=True):

        def loss(at, array=array):
            kept = array.copy()
            array[...] = at
            value = float(network.losses(problem.inputs, problem.labels).mean())
            array[...] = kept
            return value

        expected = central_differences(loss, array.copy(), 1e-6)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_the_gradient_is_that_of_the_loop_s_own_loss(activation):
    problem = Problem((3, 4, 2), 4)
    loop = Loop(problem, 4, activation=activation, **KEEPS_GRADIENTS)
    loop.run(0.0)
    parameters = unpack(loop.state.params, loop.engine_run.parameters, loop.shape)
    for array, gradient in zip(in_order(loop.shape, parameters), loop.gradients(), strict=True):

        def loss(at, array=array):
            kept = array.copy()
            array[...] = at
            pack(loop.state.params, loop.engine_run.parameters, loop.shape, parameters)
            array[...] = kept
            return loop.measure()[0] / 4

        np.testing.assert_allclose(gradient, central_differences(loss, array.copy(), 1e-2), atol=2e-4)


@pytest.mark.parametrize("inputs", ["sparse", "dense", "floats"])
@pytest.mark.parametrize("n_samples", [1, 5, 9])
def test_evaluating_counts_every_sample_once_and_changes_nothing(n_samples, inputs):
    problem = Problem((6, PANEL + 1, 3), n_samples)
    loop = Loop(problem, 4, inputs=inputs)
    before = loop.state.params.copy()
    network = naive.Network(problem.weights, problem.biases)
    logits = network.forward(problem.inputs)[1][-1]
    total, right = loop.measure()
    assert total == pytest.approx(float(network.losses(problem.inputs, problem.labels).sum()), rel=1e-6)
    assert right == (logits.argmax(axis=1) == problem.labels).sum()
    np.testing.assert_array_equal(loop.state.params, before)


@pytest.mark.skipif(config.DISABLE_JIT, reason="plain Python's floor refuses a NaN")
@pytest.mark.parametrize("n_steps_before", [0, 1, 3])
def test_a_loss_that_is_not_finite_ends_with_its_step_uncounted(n_steps_before):
    problem = Problem((6, 8, 3), 12)
    poisoned, clean = (Loop(problem, 2, inputs="floats") for _ in range(2))
    poisoned.engine_run.data.features[problem.order[2 * n_steps_before]] = np.nan
    assert poisoned.run(0.1) == n_steps_before
    for first in range(n_steps_before):
        clean.steps(0.1, first, 1, clean.totals)
    np.testing.assert_array_equal(poisoned.totals, clean.totals)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_fills_up_panels_stays_zero(optimizer, decay):
    problem = Problem((5, PANEL + 3, 3), 10)
    options = OPTIMIZER_OPTIONS[optimizer] | {"weight_decay": decay}
    loop = Loop(problem, 3, optimizer=optimizer, dropout=(0.3,), **options)
    loop.run(0.05, epochs=2)
    row = loop.layers[0]
    panels = loop.state.params[row.weight_offset : row.bias_offset].reshape(2, 5, PANEL)
    assert (panels[1, :, 3:] == 0).all()
    assert np.count_nonzero(loop.state.params) <= sum(array.size for array in loop.parameters())


RATES = {"sgd": 0.5, "momentum": 0.1, "nesterov": 0.1, "rmsprop": 0.01, "adam": 0.02, "adamw": 0.02, "lion": 0.01}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_32_samples_are_memorised(optimizer):
    if config.DISABLE_JIT and optimizer != "momentum":
        pytest.skip("plain Python: one optimizer is enough")
    problem = Problem((20, 24, 10), 32)
    options = OPTIMIZER_OPTIONS[optimizer] | {"weight_decay": 0.0}
    # At the default rate of one that is not listed, which may be small, it may take longer.
    rate, epochs = RATES.get(optimizer, OPTIMIZERS[optimizer].defaults["learning_rate"]), 600
    if optimizer in RATES:
        epochs = 60 if config.DISABLE_JIT else 150
    loop = Loop(problem, 8, optimizer=optimizer, inputs="sparse", **options)
    loop.run(rate, epochs=epochs)
    total, right = loop.measure()
    assert right == 32
    assert total / 32 < 0.05


@pytest.mark.parametrize("n_samples", [SPARSE_BLOCK + 6, 2 * SPARSE_BLOCK + 1])
def test_batches_larger_than_a_block_of_the_sparse_lists(n_samples):
    problem = Problem((6, 5, 3), n_samples)
    loop = Loop(problem, n_samples, inputs="sparse")
    loop.run(0.5, epochs=2)
    network, total = reference_run(problem, n_samples, 0.5, 2)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    compare(loop.parameters(), network.parameters, problem.weights + problem.biases)


@pytest.mark.parametrize("totals", [np.zeros(2), np.zeros(3, np.float32)], ids=["short", "float32"])
def test_totals_without_room_are_refused(totals):
    loop = Loop(Problem((6, 5, 3), 8), 8)
    with pytest.raises(ValueError, match="expected float64 of shape"):
        run_steps(loop.struct, 0, totals)
