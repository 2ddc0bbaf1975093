"""The losses of numbers and of yes/no labels, end to end: what a user chooses, trains, evaluates, saves and reads."""

import copy
import json

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from optimizers import OPTIMIZER_OPTIONS

import jitnet
from jitnet.datasets import Scaling, stratified_split
from jitnet.errors import DataError, ModelError, UsageError
from jitnet.kernels import loss as losses_room
from jitnet.kernels.exponential import log1p
from jitnet.kernels.loss import LOSS_KERNELS
from jitnet.machine.blocks import LANES

log1p_of = direct(log1p)


def made(n=240, targets=2):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 4))
    return x, np.tanh(x @ rng.normal(size=(4, targets))), rng


def fit(data, loss, hidden=(16,), epochs=40, **options):
    fields = {name: options.pop(name) for name in ("huber_delta", "quantiles") if name in options}
    shape = jitnet.ModelConfig(
        in_features=data.in_features,
        hidden=hidden,
        n_classes=data.n_classes,
        n_targets=data.n_targets,
        loss=loss,
        **fields,
    )
    model = jitnet.Model.create(shape, data)
    options = {"optimizer": "adam", "learning_rate": 0.01} | options
    return model, jitnet.train(model, data, jitnet.TrainConfig(epochs=epochs, **options))


def kernel(name, outputs, targets, numbers, smoothing=0.0):
    """Losses and the gradient of their sum, by the loop."""
    n, count = outputs.shape
    room = -(-n // LANES) * LANES
    outputs_t = np.zeros((count, room), np.float32)
    outputs_t[:, :n] = outputs.T
    losses, correct = np.zeros(room, np.float32), np.zeros(n, np.int32)
    run = direct(LOSS_KERNELS[name].function)
    given = targets.astype(np.float32), np.arange(n, dtype=np.int32), losses, correct, count
    more = np.float32(smoothing), np.float32(1.0), np.array(numbers, np.float32), 0, n
    run(outputs_t.reshape(-1), room, np.zeros(0, np.int32), *given, *more)
    return losses[:n], outputs_t[:, :n].T, correct


# ---- In the loop, with other numbers than the defaults, over ragged shapes ----


@pytest.mark.small
@pytest.mark.parametrize("delta", [0.01, 0.7, 30.0])
@pytest.mark.parametrize(("n", "targets"), [(1, 1), (LANES + 3, 5), (2 * LANES, 33)])
def test_huber_of_any_delta(delta, n, targets):
    rng = np.random.default_rng(n)
    outputs, numbers = rng.normal(size=(2, n, targets)).astype(np.float32) * 3
    losses, gradient, _ = kernel("huber", outputs, numbers, [delta])
    np.testing.assert_allclose(losses, naive.huber(outputs, numbers, delta), rtol=3e-6)
    expected = np.clip(outputs.astype(np.float64) - numbers, -delta, delta) / targets
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.small
@pytest.mark.parametrize("quantiles", [(0.5,), (0.05, 0.95), (0.1, 0.2, 0.3, 0.5, 0.9)])
@pytest.mark.parametrize(("n", "targets"), [(1, 1), (LANES + 3, 2), (2 * LANES, 7)])
def test_any_quantiles(quantiles, n, targets):
    rng = np.random.default_rng(n)
    outputs = rng.normal(size=(n, targets * len(quantiles))).astype(np.float32) * 2
    numbers = rng.normal(size=(n, targets)).astype(np.float32)
    losses, gradient, _ = kernel("quantile", outputs, numbers, quantiles)
    np.testing.assert_allclose(losses, naive.pinball(outputs, numbers, quantiles), rtol=3e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, naive.pinball_gradient(outputs, numbers, quantiles), rtol=1e-5, atol=3e-7)
    if n == 1:
        by_loss = central_differences(
            lambda at: float(naive.pinball(at, numbers, quantiles).sum()), outputs * 1.0, 1e-3
        )
        np.testing.assert_allclose(gradient, by_loss, atol=2e-3)


@pytest.mark.small
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize(("n", "labels"), [(1, 1), (LANES + 3, 5), (2 * LANES, 33)])
def test_labels_that_are_smoothed_and_how_many_are_right(n, labels, smoothing):
    rng = np.random.default_rng(n)
    logits, yes = rng.normal(size=(n, labels)).astype(np.float32) * 4, rng.random((n, labels)) < 0.4
    losses, gradient, correct = kernel("binary-cross-entropy", logits, yes, [], smoothing)
    np.testing.assert_allclose(losses, naive.binary_cross_entropy(logits, yes, smoothing), rtol=3e-6, atol=1e-6)
    expected = (naive.sigmoid(logits) - naive.spread_labels(yes, smoothing)) / labels
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=3e-7)
    np.testing.assert_array_equal(correct, ((logits > 0) == yes).sum(axis=1))


@pytest.mark.small
def test_vast_outputs_have_losses_that_are_finite_or_seen():
    vast = np.array([[-1e30], [1e30], [-200.0], [200.0]], np.float32)
    yes = np.array([[0], [1], [0], [1]])
    losses, gradient, correct = kernel("binary-cross-entropy", vast, yes, [])
    np.testing.assert_allclose(losses, 0.0, atol=1e-30)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-30)
    assert correct.all()
    wrong, _, _ = kernel("binary-cross-entropy", vast, 1 - yes, [])
    np.testing.assert_allclose(wrong, [1e30, 1e30, 200.0, 200.0], rtol=1e-6)
    losses, gradient, _ = kernel("quantile", np.repeat(vast[2:], 3, axis=1), np.zeros((2, 1)), (0.1, 0.5, 0.9))
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()
    rates, slopes, _ = kernel("poisson", np.array([[100.0], [-100.0]], np.float32), np.ones((2, 1)), [])
    assert np.isfinite(rates).all()
    assert slopes[0] > 1e37
    assert slopes[1] == pytest.approx(-1.0)


@pytest.mark.small
def test_log1p_is_within_its_bound():
    values = np.concatenate([np.linspace(0, 1, 1001), np.logspace(-30, 0, 301)]).astype(np.float32)
    found = np.array([log1p_of(value) for value in values])
    np.testing.assert_allclose(found, np.log1p(values.astype(np.float64)), rtol=2.5e-7)


@pytest.mark.small
def test_levels_never_cross():
    row = np.random.default_rng(0).normal(size=12).astype(np.float32) * 50
    direct(losses_room.levels)(row, 12, np.array([0.1, 0.5, 0.7, 0.9], np.float32))
    assert (np.diff(row.reshape(3, 4), axis=1) >= 0).all()


# ---- Huber ----


def test_outliers_pull_huber_less_than_the_squared_error():
    x, y, _ = made(targets=1)
    broken = y.copy()
    broken[::10] += 50.0
    data = jitnet.from_arrays(x, broken)
    errors = [
        np.median(np.abs(fit(data, loss, epochs=60, **fields)[0].predict(x) - y))
        for loss, fields in (("huber", {"huber_delta": 0.1}), ("squared-error", {}))
    ]
    assert errors[0] < 0.5 * errors[1]


# ---- Quantiles ----


def test_quantiles_cover_their_share_and_are_named():
    x, y, rng = made(900)
    y = 1000.0 + 100.0 * y + 30.0 * rng.normal(size=y.shape)
    data = jitnet.from_arrays(x[:600], y[:600], x[600:], y[600:], target_names=["price", "rent"])
    model, history = fit(data, "quantile", quantiles=(0.1, 0.5, 0.9))
    assert model.output_names == ("price 0.1", "price 0.5", "price 0.9", "rent 0.1", "rent 0.5", "rent 0.9")
    assert model.config.widths == (4, 16, 6)
    predicted = model.predict(x[600:])
    assert predicted.shape == (300, 6)
    levels = predicted.reshape(300, 2, 3)
    assert (np.diff(levels, axis=2) >= 0).all()
    assert np.abs((y[600:, :, None] <= levels).mean(axis=(0, 1)) - [0.1, 0.5, 0.9]).max() < 0.08
    scores = jitnet.evaluate(model, data)
    assert scores.loss == pytest.approx(history.test_loss[-1], rel=1e-4)
    assert [score.name for score in scores.targets] == ["price", "rent"]
    assert scores.targets[1].mae == pytest.approx(np.abs(levels[:, 1, 1] - y[600:, 1]).mean(), rel=1e-5)
    assert scores.deviations[0].predicted == pytest.approx(levels[scores.deviations[0].index, :, 1], rel=1e-5)


def test_a_model_of_quantiles_comes_back_from_its_file_and_a_copy(tmp_path):
    x, y, _ = made()
    model, _ = fit(jitnet.from_arrays(x, y), "quantile", epochs=2, quantiles=(0.25, 0.75))
    model.save(tmp_path / "model.safetensors")
    for again in (jitnet.Model.load(tmp_path / "model.safetensors"), copy.deepcopy(model)):
        assert again.config.quantiles == (0.25, 0.75)
        assert again.output_names == model.output_names
        np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_targets_of_quantiles_are_matched_by_name():
    x, y, _ = made()
    data = jitnet.from_arrays(x, y, target_names=["a", "b"])
    model, _ = fit(data, "quantile", epochs=2)
    other = jitnet.from_arrays(x, y[:, ::-1], target_names=["b", "a"])
    assert jitnet.evaluate(model, other).loss == pytest.approx(jitnet.evaluate(model, data).loss)


# ---- Poisson ----


def test_rates_of_counts_of_any_size():
    x, y, rng = made()
    for scale, alike in ((0.5, 0.6), (40.0, 0.8), (1e6, 0.8)):
        counts = rng.poisson(scale * np.exp(y))
        data = jitnet.from_arrays(x, counts, task="regress")
        model, history = fit(data, "poisson")
        assert model.target_scaling == Scaling(np.zeros(2), 1 / counts.mean(axis=0))
        assert (model.predict(x) > 0).all()
        assert history.train_loss[-1] < history.train_loss[0]
        assert np.corrcoef(model.predict(x)[:, 0], np.exp(y[:, 0]))[0, 1] > alike
        # The rates are those of the counts: where a network has biases, the sums agree at the minimum.
        assert model.predict(x).sum() == pytest.approx(counts.sum(), rel=0.1)
        assert jitnet.evaluate(model, data).r2 > 0.15


def test_guessing_the_mean_count_has_the_loss_of_a_rate_of_one():
    x, y, rng = made()
    data = jitnet.from_arrays(x, rng.poisson(9 * np.exp(y)), task="regress")
    shape = jitnet.ModelConfig(in_features=4, n_targets=2, loss="poisson")
    assert jitnet.Trainer(jitnet.Model.create(shape, data), data).guessing_loss == pytest.approx(1.0)


def test_a_negative_count_is_one_line():
    x, y, _ = made()
    data = jitnet.from_arrays(x, y, target_names=["visits", "sales"])
    with pytest.raises(DataError, match=r"^arrays, training data: the target '(visits|sales)' of sample \d+ .* is -"):
        fit(data, "poisson")
    model, _ = fit(jitnet.from_arrays(x, np.abs(y), target_names=["visits", "sales"]), "poisson", epochs=1)
    with pytest.raises(DataError, match="expected numbers of 0 or more with the loss poisson"):
        jitnet.evaluate(model, data)


def test_held_out_rows_have_no_share_in_the_mean_of_counts():
    x, y, rng = made()
    data = jitnet.from_arrays(x, rng.poisson(9 * np.exp(y)), task="regress")
    model, _ = fit(data, "poisson", epochs=1, val_split=0.25, seed=3)
    rest, _ = stratified_split(data.train, 0.25, 3)
    np.testing.assert_allclose(model.target_scaling.scale, 1 / rest.targets.mean(axis=0))


# ---- Labels that are yes or no ----


def labelled(**options):
    x, y, _ = made(targets=3)
    yes = (y > 0.1).astype(int)
    names = ["red", "round", "ripe"]
    fields = {"task": "classify", "target_names": names} | options
    return jitnet.from_arrays(x[:160], yes[:160], x[160:], yes[160:], **fields)


def test_labels_are_learned_evaluated_and_saved(tmp_path):
    data = labelled()
    assert (data.task, data.target, data.n_classes, data.n_targets) == ("classify", "label", None, 3)
    assert data.class_names == ()
    assert data.train.targets.dtype == bool
    model, history = fit(data, "binary-cross-entropy")
    assert (model.class_names, model.target_names) == ((), ("red", "round", "ripe"))
    probabilities = model.predict(data.test.images)
    share = float(((probabilities > 0.5) == data.test.targets).mean())
    assert share > 0.9
    assert history.last_accuracy == pytest.approx(share)
    assert history.train_accuracy[-1] <= 1.0
    scores = jitnet.evaluate(model, data)
    assert (scores.task, scores.n) == ("classify", 80)
    assert scores.accuracy == pytest.approx(share)
    assert scores.loss == pytest.approx(history.test_loss[-1], rel=1e-4)
    assert [one.name for one in scores.classes] == ["red", "round", "ripe"]
    hits = (probabilities[:, 1] > 0.5) & data.test.targets[:, 1]
    assert scores.classes[1].recall == pytest.approx(hits.sum() / data.test.targets[:, 1].sum())
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    assert again.target_names == model.target_names
    np.testing.assert_array_equal(again.predict(data.test.images), probabilities)
    assert "labels: red, round, ripe" in model.summary()


def test_one_label_is_the_classifier_of_two_classes():
    x, y, _ = made(targets=1)
    data = jitnet.from_arrays(x, y > 0, task="label")
    model, history = fit(data, "binary-cross-entropy", hidden=(), epochs=60, monitor="accuracy", val_split=0.2)
    assert model.predict(x).shape == (240, 1)
    assert history.val_accuracy.max() > 0.9


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_labels_train_with_smoothing_weights_dropout_and_held_out_rows(optimizer):
    data = labelled()
    options = {"label_smoothing": 0.1, "input_dropout": 0.1, "val_split": 0.2, "ema": 0.9, "target_accuracy": 60.0}
    keys = OPTIMIZER_OPTIONS[optimizer]
    _, history = fit(data, "binary-cross-entropy", optimizer=optimizer, learning_rate=0.05, **options, **keys)
    assert history.reached


def test_what_is_one_hot_today_stays_so():
    x, _, _ = made(60)
    rows = np.eye(3, dtype=int)[np.arange(60) % 3]
    for task in ("auto", "classify"):
        data = jitnet.from_arrays(x, rows, task=task)
        assert (data.target, data.n_classes) == ("class", 3)
        assert jitnet.from_arrays(x, rows.astype(bool), task=task).target == "class"
    assert jitnet.from_arrays(x, rows, task="label").n_targets == 3
    several = rows.copy()
    several[0] = 1
    with pytest.raises(DataError, match=r"row 0 \(from 0\) is not one-hot, .* or task='label' where each is yes or no"):
        jitnet.from_arrays(x, several)
    assert jitnet.from_arrays(x, several.astype(bool), target_names=["a", "b", "c"]).target == "label"
    assert jitnet.from_arrays(x, several, target_names=["a", "b", "c"]).target == "number"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 2], [1, 0], [0, 1]], r"train_labels: label 1 of sample 0 \(both counted from 0\) is 2; expected 0 or 1"),
        ([[0, 1], [0, 1], [0, 1]], "train_labels: all samples have the same labels"),
        (["no", "yes", "no"], "train_labels: targets are of type"),
    ],
)
def test_what_are_no_labels_is_one_line(labels, message):
    with pytest.raises(DataError, match=f"^{message}"):
        jitnet.from_arrays(np.eye(3), labels, task="label")


def test_another_kind_of_target_is_one_line():
    data, (x, y, _) = labelled(), made()
    with pytest.raises(
        ModelError, match="its targets are yes/no labels, those of the config are numbers; give n_targets="
    ):
        fit(data, "squared-error")
    with pytest.raises(ModelError, match="its targets are numbers, those of the config are yes/no labels"):
        fit(jitnet.from_arrays(x, y), "binary-cross-entropy")
    model, _ = fit(data, "binary-cross-entropy", epochs=1)
    with pytest.raises(ModelError, match=r"the model predicts yes/no labels; .* or load it with task='label'"):
        jitnet.evaluate(model, jitnet.from_arrays(x, np.arange(240) % 2))
    with pytest.raises(UsageError, match="class_weight is balanced, and the targets are yes/no labels, not classes"):
        fit(data, "binary-cross-entropy", class_weight="balanced")
    with pytest.raises(
        UsageError, match="loss is binary-cross-entropy, whose targets are yes/no labels; these targets"
    ):
        jitnet.ModelConfig(in_features=4, n_classes=3, loss="binary-cross-entropy")
    with pytest.raises(DataError, match="target_names are of numbers or yes/no labels, and class_names of classes"):
        labelled(class_names=["a", "b"])


# ---- Choosing ----


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss": "squared-error", "huber_delta": 2.0}, "huber_delta is 2, which loss squared-error does not use; exp"),
        (
            {"quantiles": (0.2, 0.8)},
            "quantiles is 0.2, 0.8, which loss squared-error does not use; expected loss quantile",
        ),
        (
            {"loss": "quantile", "quantiles": (0.5, 0.5)},
            "quantiles is 0.5,0.5; expected one or more, each above the one",
        ),
        ({"loss": "quantile", "quantiles": ()}, "quantiles is empty; expected one or more"),
        ({"loss": "quantile", "quantiles": (0.5, 1.5)}, "quantiles: expected a tuple of numbers above 0"),
        ({"loss": "huber", "huber_delta": 0.0}, "huber_delta: expected a number above 0"),
    ],
)
def test_fields_of_losses_that_do_not_fit_are_one_line(fields, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        jitnet.ModelConfig(in_features=3, n_targets=2, **fields)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--loss", "quantile", "--quantiles", "0.2,0.5,0.8"), {"quantiles": [0.2, 0.5, 0.8]}),
        (("--loss", "huber", "--huber-delta", "0.5"), {"huber_delta": 0.5}),
    ],
)
def test_the_command_line_chooses_them(options, expected, call, tmp_path):
    x, y, _ = made()
    jitnet.convert(jitnet.from_arrays(x, y, target_names=["price", "rent"]), tmp_path / "data.npz")
    network = ("--data", "data.npz", "--hidden", "8", *options)
    code, _, err = call("train", *network, "--epochs", "1", "--out", "run")
    assert code == 0, err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert {name: config["model"][name] for name in expected} == expected
    code, out, err = call("eval", "run")
    assert code == 0, err
    assert all(word in out for word in ("price", "rent", "RMSE"))
    code, _, err = call("train", "--data", "data.npz", "--quantiles", "0.2,0.8", "--loss", "poisson")
    assert code == 2
    assert "--quantiles is 0.2, 0.8, which --loss poisson does not use; expected --loss quantile" in err


def test_labels_of_a_file_are_found_by_their_type_and_names(call, tmp_path):
    jitnet.convert(labelled(), tmp_path / "data.npz")
    code, out, err = call("train", "--data", "data.npz", "--hidden", "8", "--epochs", "1", "--out", "run")
    assert code == 0, err
    assert "3 labels" in out
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["model"]["loss"], config["model"]["n_targets"]) == ("binary-cross-entropy", 3)
    code, out, err = call("eval", "run")
    assert code == 0, err
    assert "labels wrong" in out
    assert all(name in out for name in ("red", "round", "ripe"))
    code, _, err = call("predict", "run", "picture.png")
    assert code == 1
    assert "the model predicts yes/no labels, not classes" in err
    code, out, err = call("data", "info", "data.npz")
    assert code == 0, err
    assert "red" in out
