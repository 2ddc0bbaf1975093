"""Optimizers: PyTorch's numbers after 50 steps, the formulas, and only the range asked for."""

import json
from pathlib import Path

import naive
import numpy as np
import pytest
from layouts import MARK, filled, from_panels, to_panels

from jitnet.kernels.optimizer import KINDS, average, limit_norms, square_sum, update
from jitnet.kernels.tile import LANES, PANEL

pytestmark = pytest.mark.small

REFERENCE = json.loads((Path(__file__).parent / "reference.json").read_text())
NAMES = {"lr": "rate", "momentum": "momentum", "alpha": "rho", "eps": "epsilon"}
SIZE = 3 * LANES


def step_options(case):
    """PyTorch's names as the kernel's."""
    options = {NAMES[name]: value for name, value in case["options"].items() if name in NAMES}
    options |= dict(zip(("beta1", "beta2"), case["options"].get("betas", ()), strict=False))
    return options | {"weight_decay": case["weight_decay"]}


def run(kind, w, g, m, v, step, first=0, last=SIZE, scale=1.0, *, rate=0.01, **options):
    settings = {"weight_decay": 0.0, "momentum": 0.0, "beta1": 0.0, "beta2": 0.0, "rho": 0.0, "epsilon": 0.0} | options
    update(KINDS[kind], first, last, w, g, m, v, step, rate, *settings.values(), scale)


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
@pytest.mark.parametrize("kind", KINDS)
def test_a_scaled_gradient_and_only_the_range(kind, decay):
    rng = np.random.default_rng(0)
    w, g, m, v = (np.abs(rng.normal(size=SIZE)).astype(np.float32) for _ in range(4))
    options = {"weight_decay": decay, "momentum": 0.8, "beta1": 0.9, "beta2": 0.99, "rho": 0.95, "epsilon": 1e-3}
    moments = m.astype(np.float64), v.astype(np.float64)
    expected = naive.update(kind, w.astype(np.float64), 0.25 * g.astype(np.float64), *moments, 3, 0.01, options)
    before = [array.copy() for array in (w, g, m, v)]
    run(kind, w, g, m, v, 3, LANES, 2 * LANES, 0.25, rate=0.01, **options)
    own = slice(LANES, 2 * LANES)
    for array, reference in ((w, expected), (m, moments[0]), (v, moments[1])):
        np.testing.assert_allclose(array[own], reference[own], rtol=1e-6, atol=1e-7)
    assert np.abs(w[own] - before[0][own]).min() > 0
    for array, old in zip((w, g, m, v), before, strict=True):
        np.testing.assert_array_equal(array[:LANES], old[:LANES])
        np.testing.assert_array_equal(array[2 * LANES :], old[2 * LANES :])


def test_moments_that_a_kind_does_not_use_may_be_empty():
    empty = np.zeros(0, np.float32)
    for kind, m, v in (
        ("sgd", empty, empty),
        ("momentum", np.zeros(SIZE, np.float32), empty),
        ("rmsprop", empty, np.ones(SIZE, np.float32)),
    ):
        w = np.ones(SIZE, np.float32)
        run(kind, w, np.ones(SIZE, np.float32), m, v, 1, momentum=0.9, rho=0.9, epsilon=1e-8)
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
    average(LANES, 2 * LANES, w, mean, 0.9)
    own = slice(LANES, 2 * LANES)
    np.testing.assert_allclose(mean[own], 0.9 * before[own].astype(np.float64) + 0.1 * w[own], rtol=1e-6, atol=1e-7)
    mean[own] = before[own]
    np.testing.assert_array_equal(mean, before)


def test_square_sum():
    g = np.random.default_rng(2).normal(size=SIZE * 5).astype(np.float32)
    assert square_sum(g, LANES, 3 * LANES) == pytest.approx(
        float((g[LANES : 3 * LANES].astype(np.float64) ** 2).sum()), rel=1e-6
    )
    assert square_sum(g, 0, g.size) == pytest.approx(float((g.astype(np.float64) ** 2).sum()), rel=1e-6)
    assert square_sum(g, LANES, LANES) == 0


@pytest.mark.parametrize(("out_features", "in_features"), [(1, 1), (PANEL + 1, 7), (2 * PANEL, 13)])
def test_norms_above_the_limit_come_down_to_it(out_features, in_features):
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(out_features, in_features)) * rng.uniform(0.1, 3, (out_features, 1))
    limit = 1.5
    norms = np.linalg.norm(weight, axis=1, keepdims=True)
    expected = weight * np.minimum(1, limit / norms)
    flat = to_panels(weight)
    last = -(-out_features // PANEL) - 1
    before = flat.copy()
    limit_norms(flat, last, in_features, limit)
    result = from_panels(flat, in_features)
    np.testing.assert_allclose(result[last * PANEL : out_features], expected[last * PANEL :], rtol=2e-6)
    np.testing.assert_array_equal(result[: last * PANEL], from_panels(before, in_features)[: last * PANEL])
    assert (result[out_features:] == 0).all()


def test_weights_below_the_limit_and_zeros_keep_their_bits():
    weight = np.random.default_rng(4).normal(size=(PANEL, 5)).astype(np.float32)
    weight[3] = 0
    flat = to_panels(weight)
    limit_norms(flat, 0, 5, 100.0)
    np.testing.assert_array_equal(flat, to_panels(weight))
    assert (flat != MARK).all()


@pytest.mark.parametrize("kind", KINDS)
def test_any_split_gives_the_bits_of_the_whole(kind):
    rng = np.random.default_rng(5)
    n = 41 * LANES
    options = {"weight_decay": 0.1, "momentum": 0.9, "beta1": 0.9, "beta2": 0.99, "rho": 0.95, "epsilon": 1e-6}
    start = [np.abs(rng.normal(size=n)).astype(np.float32) for _ in range(4)]
    whole = [array.copy() for array in start]
    run(kind, *whole, 3, 0, n, 0.7, **options)
    for piece in (1, 2, 3, 7, 8, 16, 33):
        split = [array.copy() for array in start]
        for first in range(0, n, piece * LANES):
            run(kind, *split, 3, first, min(n, first + piece * LANES), 0.7, **options)
        for array, reference in zip(split, whole, strict=True):
            np.testing.assert_array_equal(array, reference)
