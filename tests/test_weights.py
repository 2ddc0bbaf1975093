"""Weights of samples and of classes in the loss: what they do to losses, gradients, reports and evaluations."""

import json
import re

import naive
import numpy as np
import pytest
from gradcheck import central_differences
from loop import Loop, Problem, reference_run

import jitnet
from jitnet.errors import DataError, OutputError, UsageError
from jitnet.training.weighting import training_weights

NAMES = ("cat", "dog", "eel")


def made(weights=None, test_weights=None, n=90, **options):
    """Three classes, unevenly many, that overlap; the last third is for testing."""
    rng = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 1, 2] * (n // 6))
    x = rng.normal(size=(n, 4)) + labels[:, None] * 0.7
    cut = 2 * n // 3
    names = {"class_names": NAMES} | options
    parts = x[:cut], labels[:cut], x[cut:], labels[cut:]
    return jitnet.from_arrays(*parts, sample_weight=weights, test_sample_weight=test_weights, **names)


def trained(data, **options):
    shape = jitnet.ModelConfig(in_features=4, hidden=(8,), n_classes=data.n_classes, n_targets=data.n_targets)
    model = jitnet.Model.create(shape, data)
    history = jitnet.train(model, data, jitnet.TrainConfig(**{"epochs": 3, "batch_size": 8, **options}))
    return model, history


def same(one, other):
    return all((one.parameters[name] == other.parameters[name]).all() for name in one.parameters)


# ---- In the loop ----


@pytest.mark.parametrize("inputs", ["sparse", "dense", "floats"])
@pytest.mark.parametrize("loss", ["cross-entropy", "squared-error"])
@pytest.mark.parametrize("widths", [(9, 5), (9, 17, 3), (9, 17, 5, 33)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_loop_trains_with_weights_as_plain_float64_does(widths, loss, inputs, threads):
    problem = Problem(widths, 23)
    for optimizer in ("sgd", "adam"):
        loop = Loop(problem, 4, inputs=inputs, loss=loss, optimizer=optimizer, threads=threads, weighted=True)
        loop.run(0.03, epochs=2)
        options = {"optimizer": optimizer}
        if optimizer == "adam":
            options |= {name: getattr(loop.config, name) for name in ("beta1", "beta2", "epsilon")}
        network, total = reference_run(problem, 4, 0.03, 2, weighted=True, loss=loss, **options)
        assert loop.totals[0] == pytest.approx(total, rel=1e-5)
        for array, expected in zip(loop.parameters(), network.parameters, strict=True):
            np.testing.assert_allclose(array, expected, rtol=2e-4, atol=3e-5)


def test_the_gradient_is_that_of_the_weighted_loss():
    problem = Problem((4, 5, 3), 5)
    loop = Loop(problem, 5, activation="tanh", optimizer="momentum", weighted=True)
    loop.run(0.0)
    network, weights = naive.Network(problem.weights, problem.biases, activation="tanh"), problem.weights_of_samples
    for array, gradient in zip(network.parameters, loop.gradients(), strict=True):

        def loss(at, array=array):
            kept = array.copy()
            array[...] = at
            value = float(network.losses(problem.inputs, problem.labels, weights).mean())
            array[...] = kept
            return value

        np.testing.assert_allclose(gradient, central_differences(loss, array.copy(), 1e-6), rtol=1e-4, atol=1e-6)


def test_the_accuracy_of_training_is_weighted_as_the_loss_is():
    problem = Problem((9, 17, 3), 23)
    loop = Loop(problem, 4, weighted=True)
    measured = loop.measure()
    network = naive.Network(problem.weights, problem.biases)
    hits = network.forward(problem.inputs)[1][-1].argmax(axis=1) == problem.labels
    assert measured[1] == pytest.approx((problem.weights_of_samples * hits).sum())


# ---- Weights of samples ----


def test_equal_weights_are_no_weights():
    plain, weighted = trained(made()), trained(made(np.full(60, 3.0)))
    assert same(plain[0], weighted[0])
    assert plain[1].train_loss == pytest.approx(weighted[1].train_loss)


def test_a_sample_of_weight_zero_does_not_matter():
    """Nor what it is: the rows that count are in the same places of the same batches."""
    weights = np.ones(60)
    weights[::7] = 0.0
    data = made(weights)
    labels = data.train.labels.copy()
    labels[::7] = (labels[::7] + 1) % 3
    other = jitnet.from_arrays(
        data.train.images, labels, data.test.images, data.test.labels, class_names=NAMES, sample_weight=weights
    )
    assert same(trained(data)[0], trained(other)[0])
    assert not same(trained(data)[0], trained(made())[0])


def test_a_weight_of_two_is_the_sample_twice():
    """In one batch of all samples, where the sums are the same but for their rounding."""
    weights = np.where(np.arange(60) % 5 == 0, 2.0, 1.0)
    data, options = made(weights), {"batch_size": 1000, "shuffle": False, "schedule": "constant", "epochs": 5}
    rows = np.repeat(np.arange(60), weights.astype(int))
    twice = jitnet.from_arrays(
        data.train.images[rows], data.train.labels[rows], data.test.images, data.test.labels, class_names=NAMES
    )
    shape = jitnet.ModelConfig(in_features=4, hidden=(8,), n_classes=3)
    found = []
    for each in (data, twice):
        model = jitnet.Model.create(shape, data)
        model.metadata.pop("untrained")  # both scale their inputs as the first data do
        history = jitnet.train(model, each, jitnet.TrainConfig(**options))
        found.append((model, history))
    for name, array in found[0][0].parameters.items():
        np.testing.assert_allclose(array, found[1][0].parameters[name], rtol=1e-4, atol=1e-5)
    assert found[0][1].train_loss == pytest.approx(found[1][1].train_loss, rel=1e-5)
    assert found[0][1].epochs[-1].train_accuracy == pytest.approx(found[1][1].epochs[-1].train_accuracy)


@pytest.mark.parametrize("options", [{}, {"input_dropout": 0.2}, {"val_split": 0.25, "optimizer": "adam"}], ids=str)
def test_the_bits_are_the_same_on_any_count_of_threads(options):
    data = made(np.random.default_rng(1).random(60))
    one, two = (trained(data, threads=threads, class_weight="balanced", **options) for threads in (1, 2))
    assert same(one[0], two[0])
    np.testing.assert_array_equal(one[1].train_loss, two[1].train_loss)


def test_tests_and_evaluations_are_weighted_by_their_samples_weights_alone():
    weights = np.random.default_rng(2).random(30) * 9
    data, plain = made(test_weights=weights), made()
    model, history = trained(data, class_weight="cat=9")
    losses = -np.log(model.predict(data.test.images)[np.arange(30), data.test.labels].astype(np.float64))
    hits = model.predict(data.test.images).argmax(axis=1) == data.test.labels
    assert history.test_loss[-1] == pytest.approx(np.average(losses, weights=weights), rel=1e-5)
    assert history.last_accuracy == pytest.approx(np.average(hits, weights=weights))
    assert jitnet.evaluate(model, data).loss == pytest.approx(history.test_loss[-1], rel=1e-5)
    assert jitnet.evaluate(model, plain).loss == pytest.approx(losses.mean(), rel=1e-5)


def test_held_out_rows_keep_their_weights():
    weights = np.random.default_rng(2).random(60)
    data = made(weights)
    held = jitnet.datasets.held_out_rows(data.train, 0.25, 0)
    model, history = trained(data, val_split=0.25, epochs=1)
    rows = data.train.take(held)
    np.testing.assert_array_equal(rows.weights, weights[held])
    losses = -np.log(model.predict(rows.images)[np.arange(len(rows)), rows.labels].astype(np.float64))
    assert history.epochs[0].val_loss == pytest.approx(np.average(losses, weights=rows.weights), rel=1e-5)


def test_weights_of_samples_count_where_targets_are_numbers():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(80, 4)), rng.random(80)
    data = jitnet.from_arrays(x, x @ [1.0, 2.0, 0.0, -1.0], task="regress", sample_weight=weights)
    model, _ = trained(data)
    scores = jitnet.evaluate(model, data)
    errors = (
        model.outputs(data.train.images)[:, 0]
        - (data.train.targets[:, 0] - data.target_scaling.offset) * (data.target_scaling.scale)
    ) ** 2
    assert scores.loss == pytest.approx(np.average(errors, weights=weights), rel=1e-5)
    assert not same(model, trained(jitnet.from_arrays(x, data.train.targets, task="regress"))[0])


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_weights_come_back_from_a_file(suffix, tmp_path):
    data = made(np.arange(60), np.arange(30) + 0.5)
    jitnet.convert(data, tmp_path / f"data.{suffix}")
    again = jitnet.load(tmp_path / f"data.{suffix}")
    np.testing.assert_array_equal(again.train.weights, np.arange(60))
    np.testing.assert_array_equal(again.test.weights, np.arange(30) + 0.5)
    assert data.checksum != made().checksum
    assert same(trained(again)[0], trained(data)[0])


def test_what_cannot_hold_weights_says_so(tmp_path):
    with pytest.raises((DataError, OutputError), match="its samples have weights, which an IDX folder cannot hold"):
        jitnet.convert(made(np.ones(60)), tmp_path / "folder")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(7), r"sample_weight: weights are of type float64 and shape \(7,\); expected 60 numbers, one a sample"),
        (np.r_[np.ones(59), -1], r"sample_weight: the weight of sample 59 \(from 0\) is -1; expected numbers of 0 or"),
        (np.r_[np.nan, np.ones(59)], r"sample_weight: the weight of sample 0 \(from 0\) is nan"),
        (np.zeros(60), "sample_weight: all weights are zero"),
        (["heavy"] * 60, "sample_weight: weights are of type"),
    ],
)
def test_weights_that_are_none_are_one_line(weights, message):
    with pytest.raises(DataError, match=f"^{message}"):
        made(weights)


def test_weights_without_test_data_are_one_line():
    with pytest.raises(DataError, match="test_sample_weight is of test data, and test_images and test_labels are mis"):
        jitnet.from_arrays(np.eye(4), [0, 1, 0, 1], test_sample_weight=np.ones(4))


# ---- Weights of classes ----


def test_weights_of_classes_have_mean_one_and_multiply_those_of_samples():
    split = made().train
    np.testing.assert_allclose(
        training_weights(split, "balanced", NAMES, "here"), 60 / (3 * np.array([30, 20, 10]))[split.labels]
    )
    given = training_weights(split, "dog=3, eel=0.5", NAMES, "here")
    expected = np.array([1.0, 3.0, 0.5])[split.labels]
    np.testing.assert_allclose(given, expected / expected.mean())
    own = np.random.default_rng(0).random(60)
    both = training_weights(made(own).train, "dog=3,eel=0.5", NAMES, "here")
    np.testing.assert_allclose(both, own * expected / (own * expected).mean())
    balanced = training_weights(made(own).train, "balanced", NAMES, "here")
    np.testing.assert_allclose(np.bincount(split.labels, balanced), 20.0)  # the same sum for each class
    assert training_weights(split, "", NAMES, "here") is None


def test_a_rare_class_is_found_where_classes_are_balanced():
    plain, balanced = trained(made(n=600), epochs=20), trained(made(n=600), epochs=20, class_weight="balanced")
    recalls = [jitnet.evaluate(model, made(n=600)).classes[2].recall for model, _ in (plain, balanced)]
    assert recalls[1] > recalls[0] + 0.1


def test_the_training_loss_is_the_weighted_mean():
    data, options = made(), {"epochs": 1, "learning_rate": 1e-9}
    model, history = trained(data, class_weight="cat=4", **options)
    losses = -np.log(model.predict(data.train.images)[np.arange(60), data.train.labels].astype(np.float64))
    weights = np.where(data.train.labels == 0, 4.0, 1.0)
    assert history.train_loss[0] == pytest.approx(np.average(losses, weights=weights), rel=1e-4)


def test_names_may_have_commas_and_equals_signs_and_a_dict_is_taken():
    config = jitnet.TrainConfig(class_weight={"a, b": 2, "x=1": 0.5})
    names = ("a, b", "x=1", "c")
    data = made(class_names=names)
    expected = np.array([2, 0.5, 1])[data.train.labels]
    found = training_weights(data.train, config.class_weight, names, "here")
    np.testing.assert_allclose(found, expected / expected.mean())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat", "class_weight is 'cat'; expected balanced, or NAME=WEIGHT for each class, separated by commas"),
        ("cat=1,dog", "class_weight is 'cat=1,dog'; expected balanced"),
        ("cat=-1", "class_weight is -1 for the class 'cat'; expected a number of 0 or more"),
        ("cat=inf", "class_weight is inf for the class 'cat'"),
        ("cat=many", "class_weight is many for the class 'cat'"),
        ("cat=1,cat=2", "class_weight has two weights of the class 'cat'"),
    ],
)
def test_what_is_no_weight_of_a_class_is_one_line(text, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        jitnet.TrainConfig(class_weight=text)


def test_weights_of_classes_that_do_not_fit_the_data_are_one_line():
    with pytest.raises(UsageError, match="class 'cats'; expected cat, dog or eel; did you mean cat"):
        trained(made(), class_weight="cats=2")
    with pytest.raises(DataError, match="all samples have the weight 0, by class_weight and weights of samples"):
        trained(made(), class_weight="cat=0,dog=0,eel=0")
    with pytest.raises(UsageError, match=r"^class_weight: expected balanced, or NAME=WEIGHT .* found 3"):
        jitnet.TrainConfig(class_weight=3)
    x = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(UsageError, match="class_weight is balanced, and the targets are numbers, not classes"):
        trained(jitnet.from_arrays(x, x[:, 0], task="regress"), class_weight="balanced")


def test_weights_that_are_all_held_out_are_one_line():
    weights = np.zeros(60)
    weights[jitnet.datasets.held_out_rows(made().train, 0.25, 0)] = 1.0
    with pytest.raises(DataError, match="without the rows that are held out: all samples have the weight 0"):
        trained(made(weights), val_split=0.25)


def test_the_command_line_weighs_classes(call, tmp_path):
    jitnet.convert(made(np.arange(60) + 1.0), tmp_path / "data.npz")
    network = ("train", "--data", "data.npz", "--hidden", "8", "--epochs", "1")
    code, out, err = call(*network, "--class-weight", "cat=2,eel=3", "--out", "run", "--json", "--quiet")
    assert code == 0, err
    assert json.loads(out)["train"]["class_weight"] == "cat=2,eel=3"
    code, out, err = call(*network, "--class-weight", "balanced", "--explain")
    assert code == 0, err
    assert "weigh_samples" in out
    code, out, err = call(*network, "--class-weight", "fish=2", "--out", "other")
    assert (code, out) == (2, "")
    assert "--class-weight has a weight of the class 'fish'; expected cat, dog or eel" in err
    assert not (tmp_path / "other").exists()


def test_help_says_how_classes_are_weighed(call):
    _, out, _ = call("train", "--help")
    text = " ".join(out.split())
    assert "Balanced, or NAME=WEIGHT for each class, separated by commas. For example cat=1,dog=2.5." in text
    assert "is not weighted by it. [default: none]" in text
