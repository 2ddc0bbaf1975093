"""Optimizers: PyTorch's numbers after 50 steps, the formulas, and only the range asked for."""

import json
from pathlib import Path

import naive
import numpy as np
import pytest
from direct import direct
from layouts import filled

from jitnet.config import HYPERPARAMETERS, TrainConfig
from jitnet.kernels import optimizer
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS, optimizer_settings, update_parameters
from jitnet.machine.blocks import LANES

average, update = direct(optimizer.average), direct(optimizer.update)

pytestmark = pytest.mark.small

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
NAMES = {"lr": "rate", "momentum": "momentum", "alpha": "rho", "eps": "epsilon"}
SIZE = 3 * LANES


def step_options(case):
    """PyTorch's names as the kernel's."""
    options = {NAMES[name]: value for name, value in case["options"].items() if name in NAMES}
    options |= dict(zip(("beta1", "beta2"), case["options"].get("betas", ()), strict=False))
    return options | {"weight_decay": case["weight_decay"]}


def settings_of(name, **options):
    """The record that `update` takes; hyperparameters that are not given, or that the optimizer does not use, are 0."""
    record = optimizer_settings(TrainConfig(optimizer=name))
    for field in ("weight_decay", *HYPERPARAMETERS):
        setattr(record, field, options.get(field, 0.0))
    return record


def run(name, w, dw, m, v, step, first=0, last=SIZE, factor=1.0, *, rate=0.01, **options):
    update(settings_of(name, **options), w, dw, m, v, step, rate, factor, first, last)


@pytest.mark.parametrize("case", REFERENCE["optimizers"], ids=lambda case: f"{case['name']}-{case['weight_decay']}")
def test_fifty_steps_end_at_pytorchs_weights(case):
    w = filled(REFERENCE["start"], SIZE)
    m, v = np.zeros((2, SIZE), np.float32)
    for step, gradient in enumerate(REFERENCE["gradients"], 1):
        run(case["name"], w, filled(gradient, SIZE), m, v, step, **step_options(case))
    n = len(REFERENCE["start"])
    assert len(REFERENCE["gradients"]) == 50
    np.testing.assert_allclose(w[:n], case["weights"], rtol=2e-6, atol=2e-6)
    assert np.abs(w[:n] - REFERENCE["start"]).min() > 1e-4
    assert (w[n:] == 0).all()  # what fills up a panel stays zero


@pytest.mark.parametrize("decay", [0.0, 0.2])
@pytest.mark.parametrize("name", OPTIMIZER_KERNELS)
def test_a_scaled_gradient_and_only_the_range(name, decay):
    rng = np.random.default_rng(0)
    w, g, m, v = (np.abs(rng.normal(size=SIZE)).astype(np.float32) for _ in range(4))
    options = {"weight_decay": decay, "momentum": 0.8, "beta1": 0.9, "beta2": 0.99, "rho": 0.95, "epsilon": 1e-3}
    moments = m.astype(np.float64), v.astype(np.float64)
    expected = naive.update(name, w.astype(np.float64), 0.25 * g.astype(np.float64), *moments, 3, 0.01, options)
    before = [array.copy() for array in (w, g, m, v)]
    run(name, w, g, m, v, 3, LANES, 2 * LANES, 0.25, rate=0.01, **options)
    own = slice(LANES, 2 * LANES)
    for array, reference in ((w, expected), (m, moments[0]), (v, moments[1])):
        np.testing.assert_allclose(array[own], reference[own], rtol=1e-6, atol=1e-7)
    assert np.abs(w[own] - before[0][own]).min() > 0
    for array, old in zip((w, g, m, v), before, strict=True):
        np.testing.assert_array_equal(array[:LANES], old[:LANES])
        np.testing.assert_array_equal(array[2 * LANES :], old[2 * LANES :])


@pytest.mark.parametrize("name", OPTIMIZER_KERNELS)
def test_moments_that_an_optimizer_does_not_keep_may_be_empty(name):
    m, v = (
        np.ones(SIZE if field in OPTIMIZER_KERNELS[name].moments else 0, np.float32)
        for field in ("first_moment", "second_moment")
    )
    w = np.ones(SIZE, np.float32)
    run(name, w, np.ones(SIZE, np.float32), m, v, 1, momentum=0.9, rho=0.9, beta1=0.9, beta2=0.9, epsilon=1e-8)
    assert (w < 1).all()


def test_momentum_forgets_what_was_there_before_the_first_step():
    m = np.full(SIZE, 1e6, np.float32)
    g = np.full(SIZE, 0.5, np.float32)
    run("momentum", np.zeros(SIZE, np.float32), g, m, m[:0], 1, momentum=0.9)
    np.testing.assert_array_equal(m, g)


def test_moving_average():
    rng = np.random.default_rng(1)
    w, mean = rng.normal(size=(2, SIZE)).astype(np.float32)
    before = mean.copy()
    average(w, mean, 0.9, LANES, 2 * LANES)
    own = slice(LANES, 2 * LANES)
    np.testing.assert_allclose(mean[own], 0.9 * before[own].astype(np.float64) + 0.1 * w[own], rtol=1e-6, atol=1e-7)
    mean[own] = before[own]
    np.testing.assert_array_equal(mean, before)


@pytest.mark.parametrize("name", OPTIMIZER_KERNELS)
def test_any_split_gives_the_bits_of_the_whole(name):
    rng = np.random.default_rng(5)
    n = 41 * LANES
    options = {"weight_decay": 0.1, "momentum": 0.9, "beta1": 0.9, "beta2": 0.99, "rho": 0.95, "epsilon": 1e-6}
    start = [np.abs(rng.normal(size=n)).astype(np.float32) for _ in range(4)]
    whole = [array.copy() for array in start]
    run(name, *whole, 3, 0, n, 0.7, **options)
    for piece in (1, 2, 3, 7, 8, 16, 33):
        split = [array.copy() for array in start]
        for first in range(0, n, piece * LANES):
            run(name, *split, 3, first, min(n, first + piece * LANES), 0.7, **options)
        for array, reference in zip(split, whole, strict=True):
            np.testing.assert_array_equal(array, reference)


@pytest.mark.parametrize("shape", [(1, LANES), (7, 3 * LANES), (LANES, 5), (11, 2 * LANES)], ids=str)
@pytest.mark.parametrize("name", OPTIMIZER_KERNELS)
def test_the_driver_in_any_number_of_parts(name, shape):
    rng = np.random.default_rng(6)
    options = {"weight_decay": 0.1, "momentum": 0.8, "beta1": 0.9, "beta2": 0.99, "rho": 0.95, "epsilon": 1e-3}
    start = [np.abs(rng.normal(size=shape)).astype(np.float32) for _ in range(4)]
    results = []
    for parts in (1, 2, 3):
        arrays = [array.copy() for array in start]
        update_parameters(settings_of(name, **options), *arrays, 3, 0.01, parts)
        results.append(arrays)
    w, dw, m, v = (array.astype(np.float64) for array in start)
    expected = naive.update(name, w, dw, m, v, 3, 0.01, options)
    for array, reference in zip(results[0], (expected, dw, m, v), strict=True):
        np.testing.assert_allclose(array, reference, rtol=1e-6, atol=1e-7)
    assert np.abs(results[0][0] - start[0]).min() > 0
    for result in results[1:]:
        for array, reference in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, reference)
