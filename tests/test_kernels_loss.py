"""Losses and links: against float64, by central differences, at outputs of any size, and with NaN in sight."""

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from layouts import MARK
from loop import fitting, outputs_for, per_target

from jitnet.config import LOSSES, ModelConfig
from jitnet.kernels import loss as losses_room
from jitnet.kernels.loss import LOSS_KERNELS, apply_loss
from jitnet.machine.blocks import LANES, PANEL

softmax, softmax_cross_entropy = direct(losses_room.softmax), direct(losses_room.softmax_cross_entropy)
squared_error, identity = direct(losses_room.squared_error), direct(losses_room.identity)

NO_TARGETS, NO_LABELS, NONE = np.zeros((0, 0), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32)

CLASSES = [1, 2, 10, PANEL - 1, PANEL, PANEL + 1, 101]


def run(logits, label, smoothing=0.0, factor=1.0, samples=1, at=0):
    """Loss, whether right, and the gradient, of sample `at` among others."""
    n_classes, room = len(logits), -(-samples // LANES) * LANES
    logits_t = np.random.default_rng(1).normal(size=(n_classes, room)).astype(np.float32)
    logits_t[:, at] = logits
    labels = np.zeros(samples + 3, np.int32)
    labels[at + 3] = label
    rows = np.arange(3, samples + 3, dtype=np.int32)
    losses, correct = np.zeros(room, np.float32), np.zeros(samples, np.int32)
    softmax_cross_entropy(
        logits_t.reshape(-1),
        room,
        labels,
        NO_TARGETS,
        rows,
        losses,
        correct,
        n_classes,
        np.float32(smoothing),
        np.float32(factor),
        NONE,
        0,
        samples,
    )
    return float(losses[at]), bool(correct[at]), logits_t[:, at]


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
    end = -(-n_classes // LANES) * LANES
    row = np.full(end + 3, MARK, np.float32)
    row[:n_classes] = logits
    softmax(row, n_classes, NONE)
    np.testing.assert_allclose(row[:n_classes], naive.softmax(logits), rtol=2e-6, atol=1e-7)
    assert (row[n_classes:end] == 0).all()
    assert (row[end:] == MARK).all()


@pytest.mark.small
@pytest.mark.parametrize(
    "logits",
    [[1e4, -1e4, 0], [0, -1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [3e38, -3e38, 0], [80, -80, 0], [-80, 0, 95]],
)
@np.errstate(over="ignore")  # vast logits differ by infinity, as they shall; without the compiler NumPy says so
def test_logits_of_any_size_stay_finite(logits):
    row = np.zeros(LANES, np.float32)
    row[:3] = logits
    softmax(row, 3, NONE)
    np.testing.assert_allclose(row[:3], naive.softmax(np.array(logits)), rtol=1e-5, atol=1e-30)
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
def test_a_range_of_samples_leaves_the_others():
    logits_t = np.random.default_rng(2).normal(size=(3, 4 * LANES)).astype(np.float32)
    before, labels = logits_t.copy(), np.zeros(4 * LANES, np.int32)
    losses, correct = np.full(4 * LANES, MARK, np.float32), np.full(4 * LANES, 7, np.int32)
    rows = np.arange(4 * LANES, dtype=np.int32)
    own, smoothing, factor = slice(LANES, 3 * LANES), np.float32(0), np.float32(1)
    softmax_cross_entropy(
        logits_t.reshape(-1),
        4 * LANES,
        labels,
        NO_TARGETS,
        rows,
        losses,
        correct,
        3,
        smoothing,
        factor,
        NONE,
        LANES,
        3 * LANES,
    )
    expected = naive.softmax(before[:, own].T) - naive.targets(labels[own], 3, 0.0)
    np.testing.assert_allclose(logits_t[:, own], expected.T, rtol=1e-5, atol=3e-7)
    np.testing.assert_array_equal(np.delete(logits_t, own, axis=1), np.delete(before, own, axis=1))
    assert (np.delete(losses, own) == MARK).all()
    assert (np.delete(correct, own) == 7).all()


@pytest.mark.small
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("n_classes", "vectors"), [(1, 1), (2, 2), (10, 3), (PANEL + 1, 5)])
def test_the_driver_in_any_number_of_parts(n_classes, vectors, smoothing):
    batch = vectors * LANES
    rng = np.random.default_rng(n_classes)
    logits = (rng.normal(size=(batch, n_classes)) * 3).astype(np.float32)
    labels = rng.integers(0, n_classes, batch).astype(np.int32)
    results = []
    for parts in (1, 2, 3):
        gradient_t = np.ascontiguousarray(logits.T)
        losses, correct = np.full(batch, MARK, np.float32), np.full(batch, 7, np.int32)
        apply_loss(
            LOSS_KERNELS["cross-entropy"].code, gradient_t, labels, NO_TARGETS, losses, correct, smoothing, NONE, parts
        )
        results.append((gradient_t, losses, correct))
    gradient_t, losses, correct = results[0]
    expected = (naive.softmax(logits) - naive.targets(labels, n_classes, smoothing)) / batch
    np.testing.assert_allclose(gradient_t.T, expected, rtol=1e-5, atol=3e-7)
    np.testing.assert_allclose(losses, naive.cross_entropy(logits, labels, smoothing), rtol=2e-6, atol=2e-6)
    np.testing.assert_array_equal(correct, logits.argmax(axis=1) == labels)
    for result in results[1:]:
        for array, reference in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, reference)


# ---- Every loss ----


def problem_of(name, batch, outputs):
    """Outputs (batch, …) for so many classes or targets, and the labels and targets that a loss takes, one of them
    empty."""
    rng = np.random.default_rng(outputs)
    values = (rng.normal(size=(batch, outputs * per_target(name))) * 3).astype(np.float32)
    if LOSSES[name].target == "class":
        return values, rng.integers(0, outputs, batch).astype(np.int32), NO_TARGETS
    return values, NO_LABELS, fitting(name, rng.normal(size=(batch, outputs)).astype(np.float32))


def numbers_of(name):
    """What a loss depends on, as its kernel takes it."""
    return np.array(ModelConfig(in_features=1, loss=name, **outputs_for(name, 2)).loss_numbers, np.float32)


def reference_of(name, values, labels, targets):
    """Losses and the gradient of their sum, in float64."""
    reference, right = naive.LOSSES[name], targets if len(targets) else labels
    return reference.value(values, right, 0.0), reference.gradient(values.astype(np.float64), right, 0.0)


@pytest.mark.small
@pytest.mark.parametrize("outputs", CLASSES)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_writes_its_range_alone(name, outputs):
    batch, own = 4 * LANES, slice(LANES, 3 * LANES - 5)
    values, labels, targets = problem_of(name, batch, outputs)
    # Rows in another order than the samples, and a batch whose last vector is not full.
    rows = np.random.default_rng(1).permutation(batch).astype(np.int32)
    outputs_t = values.T.copy()
    losses, correct = np.full(batch, MARK, np.float32), np.full(batch, 7, np.int32)
    ends = np.float32(0), np.float32(0.25), numbers_of(name), own.start, own.stop
    function = direct(LOSS_KERNELS[name].function)
    function(outputs_t.reshape(-1), batch, labels, targets, rows, losses, correct, values.shape[1], *ends)
    expected, gradient = reference_of(
        name, values, labels[rows] if len(labels) else labels, targets[rows] if len(targets) else targets
    )
    np.testing.assert_allclose(losses[own], expected[own], rtol=3e-6, atol=3e-6)
    np.testing.assert_allclose(outputs_t.T[own], 0.25 * gradient[own], rtol=1e-5, atol=3e-7)
    vectors = slice(LANES, 3 * LANES)  # whole vectors are written
    np.testing.assert_array_equal(np.delete(outputs_t, vectors, axis=1), np.delete(values.T, vectors, axis=1))
    assert (np.delete(losses, vectors) == MARK).all()
    assert (np.delete(correct, own) == 7).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_an_output_that_is_not_finite_shows_in_every_loss(name, at, bad):
    values, labels, targets = problem_of(name, LANES, 3)
    values[5, at] = bad
    losses, correct = np.zeros(LANES, np.float32), np.zeros(LANES, np.int32)
    code, outputs_t = LOSS_KERNELS[name].code, values.T.copy()
    with np.errstate(all="ignore"):
        apply_loss(code, outputs_t, labels, targets, losses, correct, 0.0, numbers_of(name), 1)
    assert not np.isfinite(losses[5])
    assert np.isfinite(np.delete(losses, 5)).all()


@pytest.mark.small
@pytest.mark.parametrize(("outputs", "vectors"), [(1, 1), (2, 3), (PANEL + 1, 5)])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_the_same_in_any_number_of_parts(name, outputs, vectors):
    batch = vectors * LANES
    values, labels, targets = problem_of(name, batch, outputs)
    results = []
    for parts in (1, 2, 3):
        gradient_t, losses = values.T.copy(), np.full(batch, MARK, np.float32)
        code = LOSS_KERNELS[name].code
        apply_loss(code, gradient_t, labels, targets, losses, np.zeros(batch, np.int32), 0.0, numbers_of(name), parts)
        results.append((gradient_t, losses))
    expected, gradient = reference_of(name, values, labels, targets)
    np.testing.assert_allclose(results[0][0].T, gradient / batch, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(results[0][1], expected, rtol=3e-6, atol=3e-6)
    for result in results[1:]:
        for array, reference in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, reference)


# ---- Squared error ----


def squares(outputs, numbers, factor=1.0, samples=1, at=0):
    """Loss and gradient of sample `at` among others."""
    n_targets, room = len(outputs), -(-samples // LANES) * LANES
    rng = np.random.default_rng(1)
    outputs_t = rng.normal(size=(n_targets, room)).astype(np.float32)
    outputs_t[:, at] = outputs
    targets = rng.normal(size=(samples + 3, n_targets)).astype(np.float32)
    targets[at + 3] = numbers
    rows = np.arange(3, samples + 3, dtype=np.int32)
    losses, correct = np.zeros(room, np.float32), np.full(samples, 7, np.int32)
    last = np.float32(factor), NONE, 0, samples
    squared_error(
        outputs_t.reshape(-1), room, NO_LABELS, targets, rows, losses, correct, n_targets, np.float32(0), *last
    )
    assert (correct == 7).all()
    return float(losses[at]), outputs_t[:, at]


@pytest.mark.small
@pytest.mark.parametrize("n_targets", CLASSES)
def test_squared_error_and_its_gradient(n_targets):
    rng = np.random.default_rng(n_targets)
    for samples, at in [(1, 0), (LANES, 7), (LANES + 1, LANES), (3 * LANES, 20)]:
        outputs, numbers = rng.normal(size=(2, n_targets)).astype(np.float32) * 3
        loss, gradient = squares(outputs, numbers, 0.25, samples, at)
        assert loss == pytest.approx(float(naive.squared_error(outputs, numbers)), rel=2e-6)
        np.testing.assert_allclose(gradient, 2 * (outputs - numbers) / n_targets * 0.25, rtol=1e-5, atol=1e-7)


@pytest.mark.small
@pytest.mark.parametrize("n_targets", [1, 3])
def test_the_gradient_is_that_of_the_squared_error(n_targets):
    outputs, numbers = np.array([0.3, -1.2, 2.0])[:n_targets], np.array([0.5, 1.5, -2.0])[:n_targets]
    gradient = squares(outputs, numbers)[1]
    expected = central_differences(lambda at: float(naive.squared_error(at, numbers)), outputs)
    by_kernel = central_differences(lambda at: squares(at, numbers)[0], outputs, step=1e-2)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    np.testing.assert_allclose(gradient, by_kernel, atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 2])
def test_an_output_that_is_not_finite_shows_in_the_squared_error(bad, at):
    outputs = np.array([0.5, 1.0, -1.0])
    outputs[at] = bad
    assert not np.isfinite(squares(outputs, np.zeros(3))[0])


@pytest.mark.small
def test_the_identity_leaves_outputs():
    row = np.array([1.5, -2.0, MARK], np.float32)
    identity(row, 2, NONE)
    np.testing.assert_array_equal(row, [1.5, -2.0, MARK])


@pytest.mark.small
@pytest.mark.parametrize(("n_targets", "vectors"), [(1, 1), (2, 3), (PANEL + 1, 5)])
def test_squared_error_in_any_number_of_parts(n_targets, vectors):
    batch = vectors * LANES
    outputs, numbers = np.random.default_rng(n_targets).normal(size=(2, batch, n_targets)).astype(np.float32)
    results = []
    for parts in (1, 2, 3):
        gradient_t, losses = outputs.T.copy(), np.full(batch, MARK, np.float32)
        code = LOSS_KERNELS["squared-error"].code
        apply_loss(code, gradient_t, NO_LABELS, numbers, losses, np.zeros(batch, np.int32), 0.0, NONE, parts)
        results.append((gradient_t, losses))
    np.testing.assert_allclose(results[0][0].T, 2 * (outputs - numbers) / n_targets / batch, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(results[0][1], naive.squared_error(outputs, numbers), rtol=2e-6)
    for result in results[1:]:
        for array, reference in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(array, reference)
