"""Softmax and cross-entropy: against float64, by central differences, at logits of any size, and with NaN in sight."""

import naive
import numpy as np
import pytest
from gradcheck import central_differences
from layouts import MARK

from jitnet.kernels.loss import scale_rows, softmax, softmax_cross_entropy
from jitnet.kernels.tile import LANES, PANEL

CLASSES = [1, 2, 10, PANEL - 1, PANEL, PANEL + 1, 101]


def run(logits, label, smoothing=0.0, factor=1.0, samples=1, at=0):
    """Loss, whether right, and the gradient, of sample `at` among others."""
    n_classes, room = len(logits), -(-samples // LANES) * LANES
    zt = np.random.default_rng(1).normal(size=(n_classes, room)).astype(np.float32)
    zt[:, at] = logits
    labels = np.zeros(samples + 3, np.int64)
    labels[at + 3] = label
    rows = np.arange(3, samples + 3, dtype=np.int32)
    losses, right = np.zeros(room, np.float32), np.zeros(samples, np.int32)
    softmax_cross_entropy(
        zt.reshape(-1),
        room,
        0,
        samples,
        n_classes,
        labels,
        rows,
        np.float32(smoothing),
        np.float32(factor),
        losses,
        right,
    )
    return float(losses[at]), bool(right[at]), zt[:, at]


@pytest.mark.small
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("n_classes", CLASSES)
def test_loss_and_gradient(n_classes, smoothing):
    rng = np.random.default_rng(n_classes)
    for samples, at in [(1, 0), (LANES, 7), (LANES + 1, LANES), (3 * LANES, 20)]:
        logits, label = (rng.normal(size=n_classes) * 3).astype(np.float32), int(rng.integers(n_classes))
        loss, right, gradient = run(logits, label, smoothing, 0.25, samples, at)
        expected = (naive.softmax(logits) - naive.targets(label, n_classes, smoothing)) * 0.25
        assert loss == pytest.approx(float(naive.cross_entropy(logits, label, smoothing)), rel=2e-6, abs=2e-6)
        assert right == (np.argmax(logits) == label)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=3e-7)


@pytest.mark.small
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_is_that_of_the_loss(smoothing):
    logits = np.array([0.3, -1.2, 2.0, 0.7, -0.1])
    expected = central_differences(lambda at: float(naive.cross_entropy(at, 2, smoothing)), logits)
    by_kernel = central_differences(lambda at: run(at, 2, smoothing)[0], logits, step=1e-2)
    gradient = run(logits, 2, smoothing)[2]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, by_kernel, atol=1e-4)


@pytest.mark.small
@pytest.mark.parametrize("n_classes", CLASSES)
def test_probabilities(n_classes):
    logits = (np.random.default_rng(n_classes).normal(size=n_classes) * 3).astype(np.float32)
    row = np.concatenate([logits, np.full(7, MARK, np.float32)])
    softmax(row, n_classes)
    np.testing.assert_allclose(row[:n_classes], naive.softmax(logits), rtol=2e-6, atol=1e-7)
    assert (row[n_classes:] == 0).all()


@pytest.mark.small
@pytest.mark.parametrize(
    "logits",
    [[1e4, -1e4, 0], [0, -1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [3e38, -3e38, 0], [80, -80, 0], [-80, 0, 95]],
)
def test_logits_of_any_size_stay_finite(logits):
    row = np.array(logits, np.float32)
    softmax(row, 3)
    np.testing.assert_allclose(row, naive.softmax(np.array(logits)), rtol=1e-5, atol=1e-30)
    for label in range(3):
        loss, _, gradient = run(logits, label)
        expected = float(naive.cross_entropy(np.array(logits), label))
        if expected < 3e38:  # beyond it float32 itself ends
            assert loss == pytest.approx(expected, rel=1e-6, abs=1e-6)
        np.testing.assert_allclose(gradient, naive.softmax(np.array(logits)) - naive.targets(label, 3, 0.0), atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 1, 9])
@pytest.mark.parametrize("label", [0, 9])
def test_what_is_not_finite_shows_in_the_loss(bad, at, label):
    logits = np.linspace(-1, 1, 10, dtype=np.float32)
    logits[at] = bad
    assert np.isnan(run(logits, label)[0])


@pytest.mark.small
def test_the_first_of_equal_logits_is_the_guess():
    assert run([1, 5, 5], 1)[1]
    assert not run([1, 5, 5], 2)[1]


@pytest.mark.small
@pytest.mark.parametrize(("first", "last"), [(0, 20), (3, 17), (5, 5)])
def test_rows_are_scaled_in_their_range(first, last):
    g = np.random.default_rng(0).normal(size=(4, 23)).astype(np.float32)
    expected = g.copy()
    expected[:3, first:last] *= np.float32(-0.3)
    scale_rows(g.reshape(-1), 23, 3, first, last, np.float32(-0.3))
    np.testing.assert_array_equal(g, expected)
