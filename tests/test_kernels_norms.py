"""Norms: sums of squares in their range, and units whose weights are brought down to the largest norm allowed."""

import numpy as np
import pytest
from direct import direct
from layouts import MARK, from_panels, to_panels

from jitnet.kernels import norms
from jitnet.machine.blocks import LANES, PANEL

limit_norms, square_sum = direct(norms.limit_norms), direct(norms.square_sum)
sum_in_order = direct(norms.sum_in_order)

pytestmark = pytest.mark.small

SIZE = 3 * LANES


def test_square_sum():
    g = np.random.default_rng(2).normal(size=SIZE * 5).astype(np.float32)
    squares = (g.astype(np.float64) ** 2).reshape(-1, LANES).sum(axis=1)
    assert square_sum(g, 0, 15, LANES, 0.0) == pytest.approx(squares.sum(), rel=1e-6)
    assert square_sum(g, LANES, 2, LANES, 0.0) == pytest.approx(squares[1:3].sum(), rel=1e-6)
    assert square_sum(g, LANES, 3, 2 * LANES, 0.0) == pytest.approx(squares[[1, 3, 5]].sum(), rel=1e-6)
    assert square_sum(g, LANES, 0, LANES, 2.5) == 2.5


def test_a_unit_s_squares_are_the_same_bits_in_panels_of_any_width():
    weights = np.random.default_rng(5).normal(size=(13, LANES)).astype(np.float32)
    wide = np.zeros((13, 3, LANES), np.float32)
    wide[:, 1] = weights
    assert square_sum(weights.reshape(-1), 0, 13, LANES, 0.0) == square_sum(wide.reshape(-1), LANES, 13, 3 * LANES, 0.0)


def test_a_sum_in_order_is_that_of_the_source():
    """Beside 1e16 a 1 is lost, so any other order of adding them shows."""
    x = np.array([1e16, 1.0, -1e16] * 11 + [1.0] * 7)
    expected = 0.0
    for value in x:
        expected += value
    assert sum_in_order(x) == expected != x.sum()


@pytest.mark.parametrize(("out_features", "in_features"), [(1, 1), (PANEL + 1, 7), (2 * PANEL, 13)])
def test_norms_above_the_limit_come_down_to_it(out_features, in_features):
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(out_features, in_features)) * rng.uniform(0.1, 3, (out_features, 1))
    limit = 1.5
    norms = np.linalg.norm(weight, axis=1, keepdims=True)
    expected = weight * np.minimum(1, limit / norms)
    flat = to_panels(weight)
    end = -(-out_features // PANEL) * PANEL
    begin = end - PANEL
    before = flat.copy()
    limit_norms(flat, in_features, limit, begin, end)
    result = from_panels(flat, in_features)
    np.testing.assert_allclose(result[begin:out_features], expected[begin:], rtol=2e-6)
    np.testing.assert_array_equal(result[:begin], from_panels(before, in_features)[:begin])
    assert (result[out_features:] == 0).all()


def test_weights_below_the_limit_and_zeros_keep_their_bits():
    weight = np.random.default_rng(4).normal(size=(PANEL, 5)).astype(np.float32)
    weight[3] = 0
    flat = to_panels(weight)
    limit_norms(flat, 5, 100.0, 0, PANEL)
    np.testing.assert_array_equal(flat, to_panels(weight))
    assert (flat != MARK).all()
