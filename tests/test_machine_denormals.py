"""Numbers below 1.2e-38 become zero inside compiled code, and nowhere else: none remain after long training.

Told by what is computed, not by time: some processors hide most of what such numbers cost.
"""

import numpy as np
import pytest
from loop import Loop, Problem
from numba import config, prange

import jitnet
from jitnet.compiler.decorators import driver, kernel
from jitnet.config import OPTIMIZERS
from jitnet.engine import ownership
from jitnet.kernels import activation, linear, loss, optimizer
from jitnet.machine.blocks import LANES, PANEL
from jitnet.machine.denormals import flush_denormals, restore_float_flags
from jitnet.machine.host import describe_machine

pytestmark = pytest.mark.skipif(
    config.DISABLE_JIT, reason="without the compiler NumPy does the arithmetic, by its rules"
)

TINY = np.finfo(np.float32).tiny
DENORMAL = np.float32(1e-40)


def denormals(array):
    return int(np.count_nonzero((array != 0) & (np.abs(array) < TINY)))


def numpy_keeps_them():
    """Whether this thread's arithmetic outside compiled code still has denormal numbers."""
    return np.float32(1e-40) * np.float32(1) == DENORMAL and (np.full(5, DENORMAL) * np.float32(0.5) > 0).all()


@kernel
def _scale(values, factor, flush):
    flags = flush_denormals() if flush else 0
    for k in range(values.shape[0]):
        values[k] *= factor
    if flush:
        restore_float_flags(flags)


@kernel
def _halve_twice(values, others):
    """Nested: the inner function restores flags that flush."""
    flags = flush_denormals()
    _scale(others, np.float32(0.5), True)
    for k in range(values.shape[0]):
        values[k] *= np.float32(0.5)
    restore_float_flags(flags)


@driver
def _halve_in_parts(values):
    for k in prange(values.shape[0]):
        values[k] *= np.float32(0.5)


@pytest.mark.parametrize(
    ("value", "factor"),
    [(DENORMAL, 0.5), (-DENORMAL, 0.5), (1.5 * TINY, 0.5), (-1.5 * TINY, 0.5), (DENORMAL, 1e10), (-DENORMAL, 1e10)],
)
def test_denormal_results_and_operands_are_zero_while_the_flags_are_set(value, factor):
    flushed, kept = np.full((2, 21), value, np.float32)
    _scale(flushed, np.float32(factor), True)
    _scale(kept, np.float32(factor), False)
    assert (flushed == 0).all()
    np.testing.assert_allclose(kept, np.float64(np.float32(value)) * factor, rtol=1e-4)
    assert numpy_keeps_them()


def test_other_numbers_are_not_changed():
    values = np.array([1.0, -3e38, 2.5 * TINY, np.inf, 0.0], np.float32)
    flushed = values.copy()
    _scale(flushed, np.float32(0.5), True)
    np.testing.assert_array_equal(flushed, values * np.float32(0.5))


def test_flags_are_restored():
    values, others = np.full((2, 33), DENORMAL)
    _halve_twice(values, others)
    assert not values.any()
    assert not others.any()
    assert numpy_keeps_them()


def long_problem(batch_size, n_steps):
    """The first batch has inputs that are zero in all later ones, so that their weights' moments decay."""
    problem = Problem((24, 2 * PANEL + 1, 5), 2 * batch_size)
    problem.images[batch_size:, 8:16] = 0
    problem.images[:, 16:] = 0
    problem.labels[:] = np.arange(len(problem.labels)) % 4
    problem.biases[-1][4] = -300  # a class that never occurs: its probability is close to 0
    problem.order = np.resize(np.arange(batch_size, 2 * batch_size, dtype=np.int32), n_steps * batch_size)
    problem.order[:batch_size] = np.arange(batch_size)
    return problem


DECAYS = {"momentum": 0.9, "rho": 0.9, "beta1": 0.9, "beta2": 0.9, "epsilon": 1e-8}
FIELDS = ("params", "grads", "first_moment", "second_moment", "average", "work", "losses")


def trained(name, threads, inputs="dense", activation="relu", decay=0.5):
    options = {field: DECAYS[field] for field in OPTIMIZERS[name].hyperparameters if field in DECAYS}
    loop = Loop(
        long_problem(4, 2000),
        4,
        inputs=inputs,
        threads=threads,
        activation=activation,
        optimizer=name,
        ema=0.9,
        weight_decay=decay,
        **options,
    )
    assert loop.run(0.01) == 2000
    return loop


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_thousand_steps_leave_no_denormal_number(name, inputs, decay):
    loop = trained(name, 1, inputs, decay=decay)
    assert {field: denormals(getattr(loop.state, field)) for field in FIELDS} == dict.fromkeys(FIELDS, 0)
    assert np.isfinite(loop.state.params).all()
    assert numpy_keeps_them()


@pytest.mark.parametrize("activation", jitnet.config.ACTIVATIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_flushing_leaves_the_same_bits_in_any_number_of_parts(name, activation, monkeypatch):
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    one = trained(name, 1, activation=activation)
    for threads in (2, 3):
        other = trained(name, threads, activation=activation)
        assert max(line.parts for line in other.program.lines) == threads
        for field in ("params", "first_moment", "second_moment", "average"):
            np.testing.assert_array_equal(getattr(other.state, field), getattr(one.state, field))
        assert {field: denormals(getattr(other.state, field)) for field in FIELDS} == dict.fromkeys(FIELDS, 0)


def test_after_a_training_every_thread_still_has_denormal_numbers():
    if describe_machine().affinity < 2:
        pytest.skip("this process may use one core only")
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(64,))
    model = jitnet.Model.create(shape, data)
    jitnet.train(model, data, jitnet.TrainConfig(epochs=1, threads=2))
    model.predict(data.train.images, threads=2)
    values = np.full(10_000, DENORMAL)
    _halve_in_parts(values)
    assert denormals(values) == values.size
    assert numpy_keeps_them()


def tiny(*shape):
    return np.full(shape, DENORMAL, np.float32)


def drive_activation():
    x, out, dout = tiny(5, 7), tiny(5, 7), tiny(5, 7)
    activation.apply_activation(activation.RELU, x, out, 2)
    ones = np.ones((5, 7), np.float32)
    activation.apply_activation_backward(activation.RELU, ones, ones, dout, 2)
    return out


def drive_forward():
    out = np.ones((5, PANEL), np.float32)
    linear.forward(tiny(5, 3), tiny(3, PANEL), tiny(PANEL), out, 2)
    return out


def drive_gradient_of_weight():
    dw, db = tiny(3, PANEL), tiny(PANEL)
    linear.gradient_of_weight(np.ones((5, 3), np.float32), tiny(5, PANEL), dw, db, 2)
    return np.concatenate([dw.reshape(-1), db])


def drive_gradient_of_input():
    dx_t = np.ones((3, PANEL), np.float32)
    linear.gradient_of_input(tiny(4, PANEL), np.ones((3, PANEL), np.float32), dx_t, 2)
    return dx_t


def drive_loss():
    logits_t = np.zeros((2, 2 * LANES), np.float32)
    logits_t[1] = -87.0  # its probability is normal, the mean's gradient is not
    labels, losses = np.zeros(2 * LANES, np.int32), np.zeros(2 * LANES, np.float32)
    code, no_targets = loss.LOSS_KERNELS["cross-entropy"].code, np.zeros((0, 0), np.float32)
    none = np.zeros(0, np.float32)
    loss.apply_loss(code, logits_t, labels, no_targets, losses, np.zeros(2 * LANES, np.int32), 0.0, none, 2)
    return logits_t


def drive_optimizer():
    settings = optimizer.optimizer_settings(jitnet.TrainConfig(optimizer="adam"))
    w, m, v = tiny(1, LANES), tiny(1, LANES), tiny(1, LANES)
    optimizer.update_parameters(settings, w, tiny(1, LANES), m, v, 3, 0.01, 2)
    return np.concatenate([w, m, v])


@pytest.mark.parametrize(
    "drive",
    [
        drive_activation,
        drive_forward,
        drive_gradient_of_weight,
        drive_gradient_of_input,
        drive_loss,
        drive_optimizer,
    ],
)
def test_the_drivers_flush_and_restore(drive):
    assert denormals(drive()) == 0
    values = tiny(10_000)
    _halve_in_parts(values)
    assert denormals(values) == values.size
    assert numpy_keeps_them()
