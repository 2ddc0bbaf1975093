"""Every activation, loss and optimizer that can be chosen: it has a kernel, a reference and a place in `--help`, its
gradient is right, and networks learn with it. None is named here: a new one is tested as soon as it is in the tables.
"""

import json
import re

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from loop import Loop, Problem, fitting, outputs_for, per_target, reference_run
from optimizers import OPTIMIZER_OPTIONS

import jitnet
from jitnet.config import ACTIVATIONS, HYPERPARAMETERS, LOSSES, OPTIMIZERS, TARGETS, TASKS, TrainConfig, losses_of
from jitnet.evaluation import TargetScore
from jitnet.kernels import activation as activation_kernels
from jitnet.kernels import loss as loss_kernels
from jitnet.kernels import optimizer as optimizer_kernels
from jitnet.kernels.optimizer import optimizer_settings
from jitnet.machine.blocks import LANES
from jitnet.model.encoding import encode_targets
from jitnet.profile.step.profiler import run_profile

activation_forward = direct(activation_kernels.activation_forward)
activation_backward = direct(activation_kernels.activation_backward)
update = direct(optimizer_kernels.update)

TABLES = {
    "activations": (ACTIVATIONS, activation_kernels.ACTIVATION_KERNELS, naive.ACTIVATIONS),
    "losses": (LOSSES, loss_kernels.LOSS_KERNELS, naive.LOSSES),
    "optimizers": (OPTIMIZERS, optimizer_kernels.OPTIMIZER_KERNELS, naive.OPTIMIZERS),
}


@pytest.mark.small
@pytest.mark.parametrize("table", TABLES)
def test_every_name_has_a_kernel_and_a_reference_and_every_kernel_a_name(table):
    names, kernels, references = TABLES[table]
    assert list(kernels) == list(names)
    assert set(names) <= set(references)
    assert sorted(kernel.code for kernel in kernels.values()) == list(range(len(kernels)))


# ---- Activations ----


def passed(name, values):
    """A vector through the forward kernel: what went in, and what came out."""
    x = np.array(values, np.float32)
    out = x.copy()
    activation_forward(activation_kernels.ACTIVATION_KERNELS[name].code, x, out, x.size, 1, 0, x.size)
    return x, out


POINTS = np.array([-9.0, -3.1, -1.2, -0.4, 0.3, 0.9, 2.5, 8.0])


@pytest.mark.small
@pytest.mark.parametrize("name", naive.ACTIVATIONS)
def test_a_reference_s_derivative_is_that_of_its_function(name):
    expected = central_differences(lambda at: float(naive.activation(name, at).sum()), POINTS)
    np.testing.assert_allclose(naive.derivative(name, POINTS), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.small
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_backward_is_the_derivative_of_forward(name):
    x, out = passed(name, POINTS)
    np.testing.assert_allclose(out, naive.activation(name, POINTS), rtol=1e-6, atol=1e-6)
    assert np.abs(out).max() > 0.5
    dout = np.full_like(x, -2.0)
    code = activation_kernels.ACTIVATION_KERNELS[name].code
    activation_backward(code, x, out, dout, x.size, 1, 1.0, 0, x.size)
    by_forward = central_differences(lambda at: float(passed(name, at)[1].sum(dtype=np.float64)), POINTS, 1e-2)
    np.testing.assert_allclose(dout, -2.0 * by_forward, atol=2e-3)
    np.testing.assert_allclose(dout, -2.0 * naive.derivative(name, POINTS), rtol=1e-5, atol=4e-6)


@pytest.mark.small
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_says_what_it_keeps_and_costs(name):
    kernel = activation_kernels.ACTIVATION_KERNELS[name]
    assert kernel.derivative_of in ("input", "output")
    assert kernel.forward_flop > 0
    assert kernel.backward_flop >= 0  # to choose is no FLOP


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_network_with_it_learns_and_comes_back_from_its_file(name, tmp_path):
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=64, hidden=(32, 16), n_classes=10, activation=name)
    model = jitnet.Model.create(shape, data)
    history = jitnet.train(model, data, TrainConfig(epochs=5, learning_rate=0.2))
    assert history.last_accuracy > 0.85
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    assert again.config.activation == name
    inputs = (data.test.images - data.scaling.offset) * data.scaling.scale
    network = naive.Network(again.weights, again.biases, activation=name)
    expected = naive.softmax(network.forward(inputs)[1][-1])
    np.testing.assert_allclose(again.predict(data.test.images), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(again.predict(data.test.images), model.predict(data.test.images))


# ---- Losses ----

OUTPUTS = np.array(
    [
        [0.3, -1.2, 2.0, 0.7, 1.1, -0.6],
        [1.5, 0.2, -0.4, -2.2, 0.4, 0.9],
        [0.1, 0.9, 0.8, 3.1, -1.7, 0.2],
    ]
)
COUNT = OUTPUTS.shape[1]


def target_of(name):
    """Targets for three samples."""
    if LOSSES[name].target == "class":
        return np.array([2, 0, 1])
    numbers = [[0.5, 1.5, -2.0, 0.1, 0.6, 0.7], [1.0, 1.1, 1.2, 1.3, -0.3, 0.0], [-3.0, 0.2, 0.9, 2.0, 2.1, 0.1]]
    return fitting(name, np.array(numbers)[:, : COUNT // per_target(name)])


def numbers_of(name):
    """What a loss depends on, as its kernel takes it."""
    shape = jitnet.ModelConfig(in_features=1, loss=name, **outputs_for(name, 2))
    return np.array(shape.loss_numbers, np.float32)


def computed(name, outputs):
    """Losses of three samples, and the gradient of their sum."""
    outputs_t = np.zeros((COUNT, LANES), np.float32)
    outputs_t[:, :3] = outputs.T
    labels, targets = np.zeros(0, np.int32), np.zeros((0, 0), np.float32)
    if LOSSES[name].target == "class":
        labels = target_of(name).astype(np.int32)
    else:
        targets = target_of(name).astype(np.float32)
    losses, rows, correct = np.zeros(LANES, np.float32), np.arange(3, dtype=np.int32), np.zeros(3, np.int32)
    kernel = direct(loss_kernels.LOSS_KERNELS[name].function)
    share, factor = np.float32(0.0), np.float32(1.0)
    more = numbers_of(name), 0, 3
    kernel(outputs_t.reshape(-1), LANES, labels, targets, rows, losses, correct, COUNT, share, factor, *more)
    return losses[:3], outputs_t[:, :3].T


@pytest.mark.small
@pytest.mark.parametrize("name", naive.LOSSES)
def test_a_reference_s_gradient_is_that_of_its_loss(name):
    reference, target = naive.LOSSES[name], target_of(name)
    expected = central_differences(lambda at: float(reference.value(at, target, 0.0).sum()), OUTPUTS)
    np.testing.assert_allclose(reference.gradient(OUTPUTS, target, 0.0), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.small
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_and_its_gradient_are_those_of_its_reference(name):
    losses, gradient = computed(name, OUTPUTS)
    np.testing.assert_allclose(losses, naive.LOSSES[name].value(OUTPUTS, target_of(name), 0.0), rtol=1e-6)
    np.testing.assert_allclose(
        gradient, naive.LOSSES[name].gradient(OUTPUTS, target_of(name), 0.0), rtol=1e-5, atol=1e-6
    )
    assert np.abs(gradient).max() > 0.1


@pytest.mark.small
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_s_link_is_that_of_its_reference(name):
    link = direct(loss_kernels.LINK_KERNELS[LOSSES[name].link].function)
    for outputs in OUTPUTS:
        row = np.zeros(LANES, np.float32)
        row[:COUNT] = outputs
        link(row, COUNT, numbers_of(name))
        rounding = 2e-7 if LOSSES[name].link == "levels" else 0.0  # sums may be near zero
        np.testing.assert_allclose(row[:COUNT], naive.LOSSES[name].link(outputs), rtol=1e-6, atol=rounding)


@pytest.mark.small
def test_links_and_metrics_are_known_and_each_task_has_a_loss():
    links = loss_kernels.LINK_KERNELS
    assert {loss.link for loss in LOSSES.values()} == set(links)
    assert sorted(kernel.code for kernel in links.values()) == list(range(len(links)))
    for loss in LOSSES.values():
        fields = {"accuracy"} if loss.task == "classify" else set(TargetScore.__dataclass_fields__) - {"name"}
        assert set(loss.metrics) <= fields
    assert all(losses_of(task) for task in TASKS)
    assert {loss.target for loss in LOSSES.values()} == set(TARGETS)


@pytest.mark.parametrize("inputs", ["sparse", "dense", "floats"])
@pytest.mark.parametrize("widths", [(9, 5), (9, 17, 3), (9, 17, 5, 1), (6, 8, 33)], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_the_loop_trains_for_it_as_plain_float64_does(name, widths, inputs):
    if LOSSES[name].target == "class" and widths[-1] == 1:
        pytest.skip("there are two classes or more")
    problem = Problem((*widths[:-1], widths[-1] * per_target(name)), 11)
    for optimizer in ("sgd", "adam"):
        options = {"optimizer": optimizer, **OPTIMIZER_OPTIONS[optimizer]}
        loop = Loop(problem, 4, inputs=inputs, loss=name, **options)
        loop.run(0.03, epochs=2)
        network, total = reference_run(problem, 4, 0.03, 2, loss=name, **options)
        assert loop.totals[0] == pytest.approx(total, rel=1e-5)
        for array, expected in zip(loop.parameters(), network.parameters, strict=True):
            np.testing.assert_allclose(array, expected, rtol=1e-4, atol=2e-5)
        assert loop.measure()[0] == pytest.approx(
            float(network.losses(problem.inputs, problem.targets(name)).sum()), rel=1e-4
        )


@pytest.mark.parametrize("name", LOSSES)
def test_its_gradient_in_the_loop_is_that_of_the_whole_network(name):
    problem = Problem((4, 5, 3), 5)
    loop = Loop(problem, 5, activation="tanh", loss=name, optimizer="momentum")  # plain SGD keeps no gradients
    loop.run(0.0)
    network = naive.Network(problem.weights, problem.biases, activation="tanh", loss=name)
    for array, gradient in zip(network.parameters, loop.gradients(), strict=True):

        def loss(at, array=array):
            kept = array.copy()
            array[...] = at
            value = float(network.losses(problem.inputs, problem.targets(name)).mean())
            array[...] = kept
            return value

        expected = central_differences(loss, array.copy(), 1e-6)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def data_of():
    """A data set for each kind of target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 5))
    y = 1000.0 + 250.0 * (np.tanh(0.4 * x @ rng.normal(size=(5, 2))) + 0.3 * x[:, :1])
    numbers = jitnet.from_arrays(x[:200], y[:200], x[200:], y[200:])
    yes = y > np.median(y, axis=0)
    labels = jitnet.from_arrays(x[:200], yes[:200], x[200:], yes[200:], task="label")
    counts = rng.poisson(200.0 * np.exp(0.8 * np.tanh(x @ rng.normal(size=(5, 2)))))
    counts = jitnet.from_arrays(x[:200], counts[:200], x[200:], counts[200:], task="regress")
    return {"class": jitnet.load("digits"), "number": numbers, "label": labels, "count": counts}


def kind_of(name):
    """Which of these data a loss is for."""
    return "count" if LOSSES[name].nonnegative else LOSSES[name].target


def network_for(name, data):
    shape = jitnet.ModelConfig(
        in_features=data.in_features, hidden=(32,), n_classes=data.n_classes, n_targets=data.n_targets, loss=name
    )
    return jitnet.Model.create(shape, data)


def least_loss(model, data):
    """The loss of the targets as predictions of rates."""
    t = encode_targets(data.train.targets, model.target_scaling).astype(np.float64)
    return float((t - t * np.log(np.maximum(t, 1e-30))).mean())


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_network_learns_by_a_loss_s_default_rates_and_comes_back_from_its_file(name, optimizer, data_of, tmp_path):
    data = data_of[kind_of(name)]
    model = network_for(name, data)
    history = jitnet.train(model, data, TrainConfig(epochs=80, optimizer=optimizer))
    # That of Poisson does not end at zero: at best it is what predicting the targets themselves would have.
    least = least_loss(model, data) if LOSSES[name].nonnegative else 0.0
    assert history.train_loss[-1] - least < 0.5 * (history.train_loss[0] - least)
    assert history.best.test_loss is not None
    scores = jitnet.evaluate(model, data)
    assert scores.loss == pytest.approx(history.test_loss[-1], rel=1e-3)
    assert {"accuracy", "r2"} & scores.as_record().keys() == (
        {"accuracy"} if "accuracy" in LOSSES[name].metrics else {"r2"}
    )
    assert scores.accuracy > 0.85 if data.task == "classify" else scores.r2 > 0.8
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    assert again.config == model.config
    np.testing.assert_array_equal(again.predict(data.test.images), model.predict(data.test.images))
    assert jitnet.evaluate(again, data).loss == scores.loss


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_profiled(name, data_of):
    data = data_of[kind_of(name)]
    model, config = network_for(name, data), TrainConfig(threads=1)
    (line,) = (line for line in jitnet.Trainer(model, data, config).plan.program.step if line.operation == "loss")
    found = run_profile(model, data, config, budget_s=0.2)
    (row,) = (row for row in found.rows if row.operation == "loss")
    assert (row.flop, row.bytes) == line.cost
    assert row.median_s > 0
    assert found.settings["loss"] == name


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_trained_explained_judged_and_measured_by_the_command_line(name, call, data_of, tmp_path):
    data = data_of[kind_of(name)]
    jitnet.convert(data, tmp_path / "data.npz")
    network = ("--data", "data.npz", "--loss", name, "--hidden", "16")
    for command in (
        ("train", *network, "--epochs", "2", "--out", "run"),
        ("eval", "run"),
        ("eval", "run", "--json"),
        ("train", *network, "--explain"),
    ):
        code, out, err = call(*command)
        assert code == 0, err
    assert loss_kernels.LOSS_KERNELS[name].function.__name__ in out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["model"]["loss"] == name


# ---- Optimizers ----

SIZE = 2 * LANES


def settings_of(name, **fields):
    """The record that `update` takes, with any hyperparameter, also one that the optimizer does not use."""
    record = optimizer_settings(TrainConfig(optimizer=name))
    for field, value in fields.items():
        setattr(record, field, value)
    return record


def start():
    rng = np.random.default_rng(3)
    w, m = rng.normal(size=(2, SIZE)).astype(np.float32)
    return w, np.full(SIZE, 0.1, np.float32) * m, np.abs(m)


def steps(name, n_steps=5, **fields):
    """Weights and moments after some steps with gradients from a seed."""
    rng, (w, m, v) = np.random.default_rng(4), start()
    settings = settings_of(name, **fields)
    for step in range(1, n_steps + 1):
        dw = rng.normal(size=SIZE).astype(np.float32)
        update(settings, w, dw, m, v, step, 0.05, 1.0, 0, SIZE)
    return w, m, v


def hyperparameters(name):
    """Its own, brisk enough to show; and the others, so large that they would be seen."""
    return dict.fromkeys(HYPERPARAMETERS, 0.5) | OPTIMIZER_OPTIONS[name]


@pytest.mark.small
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_s_steps_are_those_of_its_reference(name, decay):
    options = hyperparameters(name) | {"weight_decay": decay}
    found = steps(name, **options)
    rng, (w, m, v) = np.random.default_rng(4), (array.astype(np.float64) for array in start())
    for step in range(1, 6):
        w = naive.update(name, w, rng.normal(size=SIZE).astype(np.float32), m, v, step, 0.05, options)
    for array, expected in zip(found, (w, m, v), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=2e-6)
    assert np.abs(found[0] - start()[0]).max() > 0.05


@pytest.mark.small
@pytest.mark.parametrize("field", ["weight_decay", *HYPERPARAMETERS])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_an_optimizer_uses_is_what_its_table_says(name, field):
    options = hyperparameters(name) | {"weight_decay": 0.0}
    one, other = steps(name, **options), steps(name, **options | {field: 0.25})
    uses = field == "weight_decay" or field in OPTIMIZERS[name].hyperparameters
    assert any((a != b).any() for a, b in zip(one, other, strict=True)) == uses


@pytest.mark.small
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_moments_that_an_optimizer_keeps_are_those_that_it_changes(name):
    _, m, v = steps(name, **hyperparameters(name))
    changed = (m != start()[1]).any(), (v != start()[2]).any()
    keeps = optimizer_kernels.OPTIMIZER_KERNELS[name].moments
    assert set(keeps) <= {"first_moment", "second_moment"}
    assert changed == ("first_moment" in keeps, "second_moment" in keeps)


@pytest.mark.small
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_says_what_it_costs_and_whether_it_is_plain(name):
    kernel = optimizer_kernels.OPTIMIZER_KERNELS[name]
    assert kernel.flop > 0
    # Weights and moments are read and written, gradients read.
    assert kernel.bytes == 12 + 8 * len(kernel.moments)
    w, m, v = start()
    dw = np.linspace(-2, 2, SIZE, dtype=np.float32)
    update(settings_of(name, **hyperparameters(name)), w, dw, m, v, 1, 0.05, 1.0, 0, SIZE)
    plain = np.allclose(w, start()[0] - np.float32(0.05) * dw, rtol=1e-6, atol=1e-6)
    w, m, v = start()
    update(settings_of(name, **hyperparameters(name)), w, dw, m, v, 2, 0.05, 1.0, 0, SIZE)
    plain = plain and np.allclose(w, start()[0] - np.float32(0.05) * dw, rtol=1e-6, atol=1e-6)
    assert kernel.plain == plain


@pytest.mark.small
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_its_settings_come_back_from_a_run_s_config(name):
    options = dict.fromkeys(OPTIMIZERS[name].hyperparameters, 0.25)
    config = TrainConfig(optimizer=name, weight_decay=0.125, **options)
    again = TrainConfig(**json.loads(json.dumps(config.model_dump())))
    assert again == config
    assert optimizer_settings(again) == optimizer_settings(config)
    record = optimizer_settings(again)
    assert record.code == optimizer_kernels.OPTIMIZER_KERNELS[name].code
    assert record.weight_decay == 0.125
    assert all(getattr(record, field) == 0.25 for field in options)
    assert TrainConfig(optimizer=name).learning_rate == OPTIMIZERS[name].defaults["learning_rate"]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_loop_trains_with_it_as_plain_float64_does(name, activation):
    problem = Problem((9, 17, 5, 3), 11)
    loop = Loop(problem, 4, optimizer=name, activation=activation, weight_decay=0.1, **OPTIMIZER_OPTIONS[name])
    loop.run(0.03, epochs=2)
    options = OPTIMIZER_OPTIONS[name] | {"weight_decay": 0.1}
    network, total = reference_run(problem, 4, 0.03, 2, optimizer=name, activation=activation, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    for array, expected in zip(loop.parameters(), network.parameters, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_network_learns_with_its_defaults_and_is_kept(name, tmp_path):
    data = jitnet.load("digits")
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=64, hidden=(32,), n_classes=10), data)
    history = jitnet.train(model, data, TrainConfig(optimizer=name, epochs=20))
    assert history.epochs[-1].test_loss < 0.6
    assert history.last_accuracy > 0.85
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(data.test.images), model.predict(data.test.images))


# ---- Where people meet them ----


@pytest.mark.parametrize("table", [ACTIVATIONS, LOSSES, OPTIMIZERS], ids=["activations", "losses", "optimizers"])
def test_every_one_is_told_in_the_help(call, table):
    code, out, _ = call("train", "--help")
    text = re.sub(r"(\w)- (\w)", r"\1-\2", " ".join(out.split()))  # a line may end behind a hyphen
    assert code == 0
    for name, choice in table.items():
        rate = f" {choice.defaults['learning_rate']:g}" if table is OPTIMIZERS else ""
        assert f" {name}{rate} {choice.about}" in text
    *most, last = table
    assert f"One of {', '.join(most)} or {last}." in text


def test_the_tables_are_not_empty():
    assert len(ACTIVATIONS) >= 3
    assert len(OPTIMIZERS) >= 6
