"""Targets that are numbers, end to end: told from classes, trained on, judged, saved, and read back."""

import dataclasses
import json
import math
import re
from pathlib import Path

import naive
import numpy as np
import pytest

import jitnet
from jitnet.config import LOSSES, ModelConfig, TrainConfig, losses_of
from jitnet.config.checking import any_of
from jitnet.datasets import Scaling, hold_out
from jitnet.datasets.targets import standardise_targets
from jitnet.errors import DataError, ModelError, UsageError

N, FEATURES = 240, 5


def made(n_targets=2, n=N, seed=0):
    """Features, and numbers far from 0 and 1 that follow from them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, FEATURES))
    w = 0.4 * rng.normal(size=(FEATURES, n_targets))
    y = 1000.0 + 250.0 * (np.tanh(x @ w) + 0.3 * x[:, :1])
    return x, y if n_targets > 1 else y[:, 0]


def dataset(n_targets=2, **options):
    x, y = made(n_targets)
    return jitnet.from_arrays(x[:200], y[:200], x[200:], y[200:], **options)


def create(data, hidden=(32,), **fields):
    config = ModelConfig(
        in_features=data.in_features, n_classes=data.n_classes, n_targets=data.n_targets, hidden=hidden, **fields
    )
    return jitnet.Model.create(config, data)


def trained(n_targets=2, **options):
    data = dataset(n_targets)
    model = create(data)
    config = TrainConfig(**{"epochs": 40, "optimizer": "adam", "learning_rate": 0.02, **options})
    return data, model, jitnet.train(model, data, config)


# ---- Which data have numbers as targets ----


@pytest.mark.parametrize(
    ("labels", "task"),
    [
        (["a", "b"] * 3, "classify"),
        ([0, 1, 2] * 2, "classify"),
        ([True, False] * 3, "classify"),
        ([0.0, 1.0, 2.0] * 2, "classify"),
        (np.eye(3)[[0, 1, 2, 0, 1, 2]], "classify"),
        ([0.5, 1.0, 2.0] * 2, "regress"),
        (np.float32([0.5, 1.0, 2.0] * 2), "regress"),
        (np.array([[0.5, 1.0], [2.0, 3.0], [1.0, 1.0]] * 2), "regress"),
        ([[0.25], [1.0], [2.0]] * 2, "regress"),
    ],
    ids=str,
)
def test_the_task_follows_from_the_labels(labels, task):
    data = jitnet.from_arrays(np.arange(12.0).reshape(6, 2), labels)
    assert data.task == task
    assert (data.n_classes is None) == (task == "regress")
    assert (data.n_targets is None) == (task == "classify")
    assert len(data.train) == 6


def test_whole_labels_with_a_fraction_among_them_are_numbers_and_that_is_said():
    data = jitnet.from_arrays(np.arange(12.0).reshape(6, 2), [0, 1, 1.5, 0, 1, 2])
    assert data.task == "regress"
    assert "train_labels: 1.5 of sample 2 (from 0) is not a whole number, so all labels are taken as" in data.notice
    assert dataset().notice == ""


def test_the_task_can_be_said():
    x, counts = np.arange(12.0).reshape(6, 2), [3, 1, 2, 3, 1, 2]
    assert jitnet.from_arrays(x, counts, task="regress").train.targets[:, 0].tolist() == counts
    assert jitnet.from_arrays(x, counts, task="classify").class_names == ("1", "2", "3")
    with pytest.raises(UsageError, match="task: there is no 'regression'; expected auto, classify, regress or label"):
        jitnet.from_arrays(x, counts, task="regression")
    with pytest.raises(DataError, match=r"label 0.5 of sample 0 .* is not a whole number; expected .*task='regress'"):
        jitnet.from_arrays(x, [0.5, 1, 2, 3, 1, 2], task="classify")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0.5, np.nan, 1, 2], None, r"train_labels: the target of sample 1 \(from 0\) is nan; expected finite numbers"),
        ([0.5, -np.inf, 1, 2], None, "sample 1 .* is -inf"),
        ([[0.5, 1], [1, 1e300], [1, 2], [3, 4]], None, "target 1 of sample 1 .* is 1e.300; expected finite"),
        ([0.5] * 4, None, "all 4 targets are 0.5; expected numbers that differ"),
        (
            [1.7e9, 1.7e9 + 3, 1.7e9 - 3, 1.7e9],
            None,
            r"up to 1.7e.09 in size .* over 6; .* steps of 1.3e.02 .*subtract",
        ),
        (
            [1e12, 1e12 + 9, 1e12 - 3, 1e12],
            None,
            r"up to 1e.12 in size .* cannot tell them apart well; subtract a constant",
        ),
        ([1e-300, 2e-300, 3e-300, 4e-300], None, "up to 4e-300 in size and spread over 3e-300; .* multiply them by a"),
        ([[1e9, 1], [1e9 + 1, 3], [1e9, 2], [1e9, 9]], None, "the numbers of the target 'target 0' are up to 1e.09"),
        (np.full((4, 2, 2), 0.5), None, r"of type float64 and shape \(4, 2, 2\); expected numbers"),
        ([0.5, 1, 2], None, "4 images .* 3 labels"),
        ([0.5, 1, 2, 3], [[1.5, 2]] * 4, "test_labels: has 2 targets per sample; expected 1, as in train_labels"),
        ([[0.5, 1], [1, 2], [1, 2], [3, 4]], [1.5] * 4, "test_labels: has 1 target per sample; expected 2, as in"),
        (["a", "b"] * 2, None, "targets are of type"),
        ([], None, "train_labels: holds no targets"),
        (np.ones((4, 0)), None, "train_labels: holds no targets"),
        ([0.5, 1, 2, 3], [0.5, 1, np.nan, 2], r"test_labels: the target of sample 2 \(from 0\) is nan"),
        ([1 + 2j] * 4, None, "train_labels"),
    ],
)
def test_targets_that_cannot_be_used_are_one_line(train, test, message):
    x = np.arange(8.0).reshape(4, 2)
    more = (x, test) if test is not None else ()
    with pytest.raises(DataError, match=message) as caught:
        jitnet.from_arrays(x, train, *more, task="regress")
    assert "\n" not in str(caught.value)


def test_targets_have_names():
    pandas = pytest.importorskip("pandas")
    x, y = made()
    table = pandas.DataFrame(y, columns=["width", "height"])
    assert jitnet.from_arrays(x, table).target_names == ("width", "height")
    assert jitnet.from_arrays(x, table["height"]).target_names == ("height",)
    assert jitnet.from_arrays(x, y, target_names=["a", "b"]).target_names == ("a", "b")
    assert jitnet.from_arrays(x, y).target_names == ("target 0", "target 1")
    assert jitnet.from_arrays(x, y[:, 0]).target_names == ("target",)
    for names, message in [
        (["a"], "2 targets per sample, and 1 name of targets"),
        (["a", "a"], "target_names: two targets have the name 'a'"),
        ("ab", "target_names: is 'ab'; expected a sequence of names"),
        (["a", None], "target_names: a target has the name None"),
    ]:
        with pytest.raises(DataError, match=message):
            jitnet.from_arrays(x, y, target_names=names)
    with pytest.raises(DataError, match="train_labels: two targets have the name 'width'"):
        jitnet.from_arrays(x, pandas.DataFrame(y, columns=["width", "width"]))
    assert jitnet.from_arrays(x, np.arange(N) % 2, target_names=["a"], task="classify").target == "label"


def test_no_samples_are_one_line():
    with pytest.raises(DataError, match="train_images"):
        jitnet.from_arrays(np.zeros((0, 3)), np.zeros(0), task="regress")
    data, model, _ = trained(epochs=1)
    none = dataclasses.replace(data.test, images=data.test.images[:0], targets=data.test.targets[:0])
    with pytest.raises(ModelError, match="the data: there are no samples to evaluate on"):
        jitnet.evaluate(model, none)
    assert model.predict(np.zeros((0, FEATURES), np.float32)).shape == (0, 2)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_numbers_come_back_from_a_file(tmp_path, suffix):
    x, y = made()
    data = jitnet.from_arrays(x, np.rint(y), task="regress", target_names=["a", "b"])  # whole, and still numbers
    path = tmp_path / f"data{suffix}"
    jitnet.convert(data, path)
    again = jitnet.load(path)
    assert (again.task, again.target_names) == ("regress", ("a", "b"))
    np.testing.assert_array_equal(again.train.targets, data.train.targets)
    with pytest.raises(DataError, match="its targets are numbers, which an IDX folder cannot hold"):
        jitnet.convert(data, tmp_path / "folder")


def test_a_description_has_the_targets():
    found = jitnet.describe(dataset())
    targets = dataset().train.targets
    assert found.classes == ()
    assert [one.name for one in found.targets] == ["target 0", "target 1"]
    assert found.targets[1].high == targets[:, 1].max()
    assert found.targets[0].deviation == pytest.approx(targets[:, 0].std())


# ---- The network's config ----


def test_a_config_has_classes_or_targets_and_a_loss_that_fits():
    assert ModelConfig(in_features=4, n_classes=3).loss == "cross-entropy"
    config = ModelConfig(in_features=4, hidden=(5,), n_targets=3)
    assert (config.loss, config.task, config.widths, config.out_features) == (
        "squared-error",
        "regress",
        (4, 5, 3),
        3,
    )
    assert ModelConfig(**json.loads(config.model_dump_json())) == config
    assert ModelConfig(in_features=4, n_targets=1).model_copy(update={"n_targets": 2}).loss == "squared-error"
    for fields, message in [
        ({}, "n_classes: expected a whole number from 2 to 65,536, found nothing; set n_targets"),
        ({"n_classes": 2, "n_targets": 1}, "n_targets is 1, and n_classes 2; set one"),
        ({"n_targets": 0}, "n_targets: expected a whole number from 1 to 65,536, found 0"),
        ({"n_classes": 2, "loss": "squared-error"}, "loss is squared-error, whose targets are numbers; these targets"),
        (
            {"n_targets": 2, "loss": "cross-entropy"},
            f"are numbers: expected {any_of(losses_of('regress'))}",
        ),
        ({"n_targets": 2, "loss": "square-error"}, "did you mean squared-error"),
    ]:
        with pytest.raises(UsageError, match=message):
            ModelConfig(in_features=4, **fields)


def test_a_model_is_made_for_the_data_s_targets():
    data = dataset()
    with pytest.raises(ModelError, match="its targets are numbers, those of the config are classes; give n_targets="):
        jitnet.Model.create(ModelConfig(in_features=FEATURES, n_classes=2), data)
    with pytest.raises(ModelError, match="there are 2 targets, the config says 3"):
        jitnet.Model.create(ModelConfig(in_features=FEATURES, n_targets=3), data)
    with pytest.raises(ModelError, match="its targets are classes"):
        jitnet.Model.create(ModelConfig(in_features=64, n_targets=3), jitnet.load("digits"))
    model = create(data)
    assert (model.class_names, model.target_names) == ((), data.target_names)
    assert "targets: target 0, target 1" in model.summary()


NOT_MODELS = {
    "class names": ({"class_names": ["a", "b"]}, "class_names: the network predicts numbers; leave them out"),
    "few names": ({"target_names": ["a"]}, "target_names: there are 1; expected 2, one a target"),
    "one name twice": ({"target_names": ["a", "a"]}, "target_names: two targets have the name 'a'"),
    "a word": ({"target_names": "ab"}, "target_names: is 'ab'; expected a sequence of names"),
    "a scale of zero": ({"target_scaling": Scaling(0.0, 0.0)}, "target_scaling: scale is 0.0; expected numbers other"),
    "an infinite offset": ({"target_scaling": Scaling(np.inf, 1.0)}, "target_scaling: offset is inf"),
    "scales of many": ({"target_scaling": Scaling(0.0, np.ones(3))}, "target_scaling: scale is "),
}


@pytest.mark.parametrize(("fields", "match"), NOT_MODELS.values(), ids=NOT_MODELS)
def test_what_makes_no_model_of_numbers_is_named(fields, match):
    config = ModelConfig(in_features=3, hidden=(), n_targets=2)
    with pytest.raises(ModelError, match=f"^{match}"):
        jitnet.Model(config, [np.zeros((2, 3))], [np.zeros(2)], **fields)
    classes = ModelConfig(in_features=3, hidden=(), n_classes=2)
    with pytest.raises(ModelError, match=r"^target_names: the network predicts classes; leave them out"):
        jitnet.Model(classes, [np.zeros((2, 3))], [np.zeros(2)], target_names=["a", "b"])


def test_data_of_the_other_task_are_one_line():
    numbers, x = dataset(), made()[0]
    classes = jitnet.from_arrays(x, np.arange(N) % 2)
    of_classes = jitnet.Model.create(ModelConfig(in_features=FEATURES, n_classes=2), classes)
    for model, data, message in [
        (create(numbers), classes, "its targets are classes, the model predicts numbers; use .* task='regress'"),
        (of_classes, numbers, "its targets are numbers, the model predicts classes; use .* task='classify'"),
    ]:
        for act in (jitnet.evaluate, jitnet.train):
            with pytest.raises(ModelError, match=message) as caught:
                act(model, data)
            assert "\n" not in str(caught.value)


# ---- Training ----


@pytest.mark.parametrize("n_targets", [1, 2, 20])
def test_a_network_learns_numbers(n_targets):
    data, model, history = trained(n_targets)
    assert history.train_loss[-1] < 0.1
    assert history.test_loss[-1] < 0.2
    scores = jitnet.evaluate(model, data)
    assert scores.r2 > 0.8
    assert scores.loss == pytest.approx(history.test_loss[-1], rel=1e-3)
    assert model.predict(data.test.images).shape == (40, n_targets)


def test_nothing_says_accuracy():
    _, _, history = trained(epochs=3)
    report = history.epochs[0]
    assert report.train_accuracy is report.test_accuracy is report.val_accuracy is None
    assert np.isnan(history.train_accuracy).all()
    assert history.best.test_loss == history.test_loss.min()
    assert "%" not in repr(history)
    assert repr(history).splitlines()[0].split() == ["epoch", "loss", "test"]


def test_the_loss_is_pytorch_s_mean_over_samples_and_targets_of_the_standardised_targets():
    data = dataset()
    model = create(data)
    outputs = naive.Network(model.weights, model.biases).forward(
        (data.train.images - data.scaling.offset) * data.scaling.scale
    )[1][-1]
    targets = (data.train.targets - data.train.targets.mean(axis=0)) / data.train.targets.std(axis=0)
    history = jitnet.train(model, data, TrainConfig(epochs=1, batch_size=200, learning_rate=1e-9))
    assert history.train_loss[0] == pytest.approx(float(((outputs - targets) ** 2).mean()), rel=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits(threads):
    _, one, _ = trained(threads=1, epochs=3)
    _, other, _ = trained(threads=threads, epochs=3)
    for a, b in zip((*one.weights, *one.biases), (*other.weights, *other.biases), strict=True):
        np.testing.assert_array_equal(a, b)


def test_scaling_of_targets_is_learned_from_the_rows_that_are_trained_on():
    data, model, _ = trained(val_split=0.25, epochs=1, seed=3)
    rest = hold_out(data, 0.25, 3).train
    assert len(rest) == 150
    assert model.target_scaling == standardise_targets(rest.targets)
    assert model.target_scaling != data.target_scaling


def test_a_scaling_of_targets_that_the_caller_chose_stays():
    data = dataclasses.replace(dataset(), target_scaling=Scaling(1000.0, 0.01))
    model = create(data)
    history = jitnet.train(model, data, TrainConfig(epochs=1, val_split=0.25, batch_size=150, learning_rate=1e-9))
    assert model.target_scaling == Scaling(1000.0, 0.01)
    rest = hold_out(data, 0.25, 0).train
    errors = (model.predict(rest.images) - rest.targets) / 100
    assert history.train_loss[0] == pytest.approx(float((errors**2).mean()), rel=1e-2)


def test_early_stopping_watches_the_loss():
    data, model, history = trained(epochs=200, val_split=0.2, patience=3, learning_rate=0.05)
    assert history.outcome == "no better loss on the held-out data for 3 epochs"
    assert history.kept == int(history.val_loss.argmin()) + 1
    assert history.final_test == (pytest.approx(jitnet.evaluate(model, data).loss, rel=1e-3), None)
    assert f"test loss {history.final_test[0]:.4f}, evaluated once" in repr(history)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"monitor": "accuracy", "val_split": 0.1}, "^monitor is accuracy, and the targets are numbers"),
        ({"target_accuracy": 90.0}, "^target_accuracy is 90, and the targets are numbers"),
        ({"label_smoothing": 0.1}, "^label_smoothing is 0.1, and the targets are numbers"),
    ],
)
def test_what_only_classes_have_is_refused(options, message):
    data = dataset()
    with pytest.raises(UsageError, match=message):
        jitnet.Trainer(create(data), data, TrainConfig(**options))


def test_monitor_loss_is_taken():
    trained(monitor="loss", val_split=0.1, epochs=1)


def test_a_run_of_numbers_monitors_the_loss_with_or_without_held_out_data():
    data = dataset()
    for config in (
        TrainConfig(),
        TrainConfig(val_split=0.1),
        TrainConfig(optimizer="adam", monitor="loss", val_split=0.1),
    ):
        made = jitnet.Trainer(create(data), data, config).config
        assert made.monitor == "loss"
        assert TrainConfig(**made.model_dump()).monitor == "loss"


def test_input_dropout_keeps_samples_and_their_targets_together():
    _, _, history = trained(input_dropout=0.001, shuffle=True)
    assert history.train_loss[-1] < 0.1


def test_a_loss_that_runs_away_is_said():
    with pytest.raises(jitnet.DivergedError, match="the loss became NaN or infinite"):
        trained(optimizer="sgd", learning_rate=900.0)


# ---- Judging ----


def test_evaluation_and_training_report_one_loss_wherever_the_targets_are():
    x, y = made(1)
    found = []
    for offset in (0.0, 1e7):  # there float32 has steps of 1, which predictions are rounded to
        data = jitnet.from_arrays(x[:200], y[:200] + offset, x[200:], y[200:] + offset)
        model = create(data)
        history = jitnet.train(model, data, TrainConfig(epochs=60, optimizer="adam", learning_rate=0.02))
        scores = jitnet.evaluate(model, data)
        assert scores.loss == pytest.approx(history.test_loss[-1], rel=1e-4)
        found.append((scores.loss, scores.rmse, scores.r2))
        assert model.predict(x[:1]).dtype == np.float32
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_rows_left_by_a_hold_out_must_differ():
    x = np.arange(6.0).reshape(3, 2)
    data = jitnet.from_arrays(x, [0.5, 1.5, 2.5])
    with pytest.raises(DataError, match=r"arrays, without the rows that are held out: the only target is 2?\d?.5"):
        jitnet.train(create(data), data, TrainConfig(epochs=1, val_split=0.6))


def test_scores_are_those_of_their_formulas():
    data, model, _ = trained(epochs=4)
    scores = jitnet.evaluate(model, data, n_mistakes=3)
    predicted, targets = model.predict(data.test.images).astype(np.float64), data.test.targets
    errors = predicted - targets
    for k, score in enumerate(scores.targets):
        assert score.name == f"target {k}"
        assert score.rmse == pytest.approx(math.sqrt((errors[:, k] ** 2).mean()))
        assert score.mae == pytest.approx(np.abs(errors[:, k]).mean())
        assert score.r2 == pytest.approx(1 - (errors[:, k] ** 2).sum() / ((targets - targets.mean(0))[:, k] ** 2).sum())
    for name in ("rmse", "mae", "r2"):
        assert getattr(scores, name) == pytest.approx(np.mean([getattr(one, name) for one in scores.targets]))
    assert (scores.n, len(scores.deviations)) == (40, 3)
    far = ((errors / data.train.targets.std(0)) ** 2).sum(axis=1)
    assert scores.deviations[0].index == far.argmax()
    assert scores.deviations[0].targets == pytest.approx(targets[far.argmax()])


def test_a_target_that_never_changes_has_no_r2(call, npz):
    x, y = made()
    y[:, 1] = 7.0
    data = jitnet.from_arrays(x, y)  # of two, one may
    model = create(data)
    jitnet.train(model, data, TrainConfig(epochs=2))
    scores = jitnet.evaluate(model, data)
    assert scores.targets[0].r2 == scores.targets[0].r2
    assert math.isnan(scores.targets[1].r2)
    assert math.isnan(scores.r2)
    assert scores.rmse > 0
    assert call("train", "--data", npz, "--epochs", "1", "--out", "run").code == 0
    np.savez("alike.npz", x_train=x, y_train=np.full((N, 2), 1.5), target_names=["target 0", "target 1"])
    code, out, err = call("train", "--data", "alike.npz", "--out", "other")
    assert (code, err.count("\n")) == (1, 1)
    assert "all 240 targets are 1.5, 1.5; expected numbers that differ" in err
    np.savez("some.npz", x_train=x, y_train=made()[1], x_test=x[:9], y_test=np.full((9, 2), 1.5))
    code, out, err = call("eval", "run", "--data", "some.npz")
    assert code == 0, err
    assert "nan" not in out
    assert out.count(" -") >= 2
    document = json.loads(call("eval", "run", "--data", "some.npz", "--json").out)
    assert document["r2"] is document["targets"][0]["r2"] is None


def test_targets_meet_the_model_by_name():
    x, y = made()
    data = jitnet.from_arrays(x, y, target_names=["a", "b"])
    model = create(data)
    jitnet.train(model, data, TrainConfig(epochs=2))
    expected = jitnet.evaluate(model, data)
    swapped = jitnet.from_arrays(x, y[:, ::-1], target_names=["b", "a"])
    assert jitnet.evaluate(model, swapped).targets == expected.targets
    assert jitnet.evaluate(model, jitnet.from_arrays(x, y)).targets == expected.targets
    with pytest.raises(ModelError, match="has the targets a, c; the model predicts a, b; rename them, or train"):
        jitnet.evaluate(model, jitnet.from_arrays(x, y, target_names=["a", "c"]))
    with pytest.raises(ModelError, match="has 1 target per sample, the model predicts 2; use data with the targets"):
        jitnet.evaluate(model, jitnet.from_arrays(x, y[:, 0]))
    with pytest.raises(ModelError, match="its targets are classes, the model predicts numbers"):
        jitnet.evaluate(model, jitnet.from_arrays(x, np.arange(N) % 2))
    with pytest.raises(ModelError, match="has 1 target per sample, the model predicts 2"):
        jitnet.train(model, jitnet.from_arrays(x, y[:, 0]))


# ---- The file ----


def test_a_model_of_numbers_comes_back_from_its_file(tmp_path):
    data, model, _ = trained(epochs=2)
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    assert again.config == model.config
    assert (again.target_names, again.class_names) == (model.target_names, ())
    assert again.target_scaling == model.target_scaling
    np.testing.assert_array_equal(again.predict(data.test.images), model.predict(data.test.images))
    np.testing.assert_array_equal(again.activations(data.test.images)[-1], model.predict(data.test.images))


@pytest.mark.parametrize("n_targets", [1, 2])
def test_what_a_file_holds_predicts_the_same_by_its_formula(tmp_path, n_targets):
    """As a reader of the documents would use it in PyTorch: scaled inputs, the layers, outputs scaled back."""
    from safetensors import safe_open

    data, model, _ = trained(n_targets, epochs=2)
    model.save(tmp_path / "model.safetensors")
    with safe_open(str(tmp_path / "model.safetensors"), framework="numpy") as file:
        weights = [file.get_tensor(f"{k}.weight") for k in (0, 2)]
        biases = [file.get_tensor(f"{k}.bias") for k in (0, 2)]
        about = file.metadata()
    scaling, back = json.loads(about["scaling"]), json.loads(about["target_scaling"])
    x = (data.test.images - np.array(scaling["offset"])) * np.array(scaling["scale"])
    outputs = naive.Network(weights, biases).forward(x)[1][-1]
    expected = outputs / np.array(back["scale"]) + np.array(back["offset"])
    np.testing.assert_allclose(model.predict(data.test.images), expected, rtol=1e-4)
    assert json.loads(about["target_names"]) == list(data.target_names)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("target_names", '["a", "a"]', "target_names in the metadata: two targets have the name 'a'"),
        ("target_names", '"ab"', "target_names in the metadata: is 'ab'; expected a sequence of names"),
        ("target_names", "null", "target_names in the metadata: is None; expected"),
        ("target_names", "[", "has the target_names '['; expected JSON"),
        ("target_names", '["a"]', "its metadata has 1 target_names; expected 2, one a target"),
        (
            "target_scaling",
            '{"offset": 0.0, "scale": 0.0}',
            "the target_scaling scale 0.0; expected numbers other than",
        ),
        ("target_scaling", '{"offset": [0.0, NaN], "scale": 1.0}', "offset [0.0, nan]; expected a finite number, or 2"),
        ("target_scaling", '{"offset": [1.0, 2.0, 3.0], "scale": 1.0}', "offset [1.0, 2.0, 3.0]; expected a finite"),
        ("target_scaling", '{"offset": "x", "scale": 1.0}', "offset 'x'; expected a finite number, or 2 of them"),
        ("target_scaling", "{}", "has the target_scaling {}; expected an object of offset and scale"),
        ("target_scaling", None, "has no target_scaling; expected an object of offset and scale"),
        ("config", None, "has target_names and no config; expected both"),
        ("config", "[]", "has the config []; expected an object of the fields of a ModelConfig"),
        (
            "config",
            {"n_targets": 3},
            "2.weight has shape (2, 32); expected (3, 32), by the widths 5-32-3 of the config",
        ),
        ("config", {"in_features": 6}, "0.weight has shape (32, 5); expected (32, 6), by the widths 6-32-2 of the"),
        ("config", {"norm": "batch"}, "the config in its metadata: norm: expected none or layer, found 'batch'"),
        (
            "config",
            {"norm": "layer"},
            "found the tensors 0.bias, 0.weight, 2.bias, 2.weight; expected 0.weight, 0.bias, 1.",
        ),
        ("class_names", '["a", "b"]', "has class_names; expected none, as the model predicts numbers"),
        ("2.weight", np.zeros((2, 31), np.float32), "2.weight has shape (2, 31); expected (2, 32), by the widths"),
    ],
)
def test_a_file_of_numbers_that_does_not_agree_with_itself_is_one_line(tmp_path, name, text, message):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "model.safetensors"
    create(dataset()).save(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    if isinstance(text, np.ndarray):
        tensors[name] = text
    elif isinstance(text, dict):
        metadata[name] = json.dumps({**json.loads(metadata[name]), **text})
    elif text is None:
        del metadata[name]
    else:
        metadata[name] = text
    save_file(tensors, path, metadata)
    with pytest.raises(ModelError, match=r"^[^\n]*model\.safetensors: [^\n]+$") as caught:
        jitnet.Model.load(path)
    assert message in str(caught.value)


def test_training_goes_on_in_the_scaling_that_the_model_has(tmp_path):
    _, model, history = trained(epochs=20)
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    x, y = made()
    other = jitnet.from_arrays(x[:100], y[:100])
    more = jitnet.train(again, other, TrainConfig(epochs=1, learning_rate=1e-6, optimizer="adam", val_split=0.2))
    assert again.target_scaling == model.target_scaling
    assert more.train_loss[0] < 2 * history.train_loss[-1]


# ---- The command line ----


@pytest.fixture
def npz(tmp_path):
    x, y = made()
    path = tmp_path / "numbers.npz"
    np.savez(path, x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    return path


def test_train_eval_and_profile_of_numbers(call, npz):
    code, out, err = call("train", "--data", npz, "--epochs", "4", "--optimizer", "adam", "--out", "run")
    assert code == 0, err
    assert "200 samples to train on, 40 to test, 2 targets" in out
    assert "accuracy" not in out + err
    assert "best test loss" in out
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert all(line["train_accuracy"] is None and line["test_loss"] > 0 for line in lines)
    code, out, err = call("eval", "run")
    assert code == 0, err
    assert "R²" in out
    assert "RMSE" in out
    document = json.loads(call("eval", "run", "--json").out)
    assert document["data"]["n_targets"] == 2
    assert document["targets"][1]["name"] == "target 1"
    assert document["r2"] == pytest.approx(np.mean([one["r2"] for one in document["targets"]]))


def test_json_of_a_training_of_numbers(call, npz):
    code, out, err = call("train", "--data", npz, "--epochs", "2", "--out", "run", "--json", "-q")
    assert code == 0, err
    document = json.loads(out)
    assert document["best_test_loss"] == min(epoch["test_loss"] for epoch in document["epochs"])
    assert "best_test_accuracy" not in document
    assert document["model"]["n_targets"] == 2
    assert document["model"]["loss"] == "squared-error"


def test_explain_names_the_loss_s_kernel(call, npz):
    for data, kernel, other in ((npz, "squared_error", "softmax"), ("digits", "softmax_cross_entropy", "squared")):
        code, out, err = call("train", "--data", data, "--explain", "--json")
        assert code == 0, err
        (line,) = (line for line in json.loads(out)["lines"] if line["operation"] == "loss")
        assert kernel in line["kernels"]
        assert not any(other in name for name in line["kernels"] if name != kernel)


def test_whole_numbers_are_predicted_where_the_loss_says_so(call, tmp_path):
    x, y = made()
    np.savez(tmp_path / "counts.npz", x_train=x, y_train=np.rint(y[:, 0] / 10).astype(int))
    command = ("train", "--data", tmp_path / "counts.npz", "--epochs", "1", "--out")
    code, out, err = call(*command, "numbers", "--loss", "squared-error")
    assert code == 0, err
    assert re.search(r"to test, 1 target\n", out)
    assert call("eval", "numbers").code == 0
    code, _, err = call("train", "--data", "digits", "--loss", "square-error")
    assert code == 2
    assert f"--loss: expected {any_of(list(LOSSES))}" in err


def test_what_only_a_model_of_classes_can_is_one_line(call, npz):
    assert call("train", "--data", npz, "--epochs", "1", "--out", "run").code == 0
    Path("picture.pgm").write_bytes(b"P5 2 2 255 " + bytes(4))
    Path("words.csv").write_text("".join(f"{'ab'[k % 2]},{k},{k % 7}\n" for k in range(40)))
    for command, code, message in [
        (("predict", "run", "picture.pgm"), 1, "run: the model predicts numbers, not classes"),
        (("eval", "run", "--data", "digits"), 1, "samples have 64 values, the model expects 5"),
        (
            ("train", "--data", npz, "--loss", "cross-entropy", "--out", "other"),
            1,
            "y_train: row 0 (from 0) is not one-hot",
        ),
        (("train", "--data", "words.csv", "--loss", "squared-error", "--out", "other"), 1, "words.csv"),
        (("profile", "--data", npz, "--label-smoothing", "0.1"), 2, "--label-smoothing is 0.1, and the targets are"),
    ]:
        found = call(*command)
        assert found.code == code, found.err
        assert message in found.err
        assert found.err.count("\n") == 1, found.err
        assert found.out == ""


def test_advice_about_the_task_is_what_can_be_typed(call, npz):
    """The Python argument `task` is no option: a command names the loss, or what the model predicts."""
    x, y = made()
    np.savez("one.npz", x_train=x, y_train=y[:, 0])
    classes = jitnet.from_arrays(x, np.arange(N) % 2)
    jitnet.Model.create(ModelConfig(in_features=FEATURES, n_classes=2), classes).save("classes.safetensors")
    losses = any_of(losses_of("regress"))
    loss = f"expected classes, or --loss {losses} where these are numbers to predict, or --loss binary-cross-entropy"
    predicts = "the model predicts classes, and these targets are numbers; name data with classes"
    for data in (npz, "one.npz"):
        for command, advice in [
            (("train", "--data", data, "--loss", "cross-entropy", "--out", "run"), loss),
            (("bench", "--data", data, "--loss", "cross-entropy"), loss),
            (("profile", "--data", data, "--loss", "cross-entropy"), loss),
            (("eval", "classes.safetensors", "--data", data), predicts),
        ]:
            code, out, err = call(*command)
            assert (code, out) == (1, "")
            assert advice in err
            assert "task=" not in err
    np.savez("damaged.npz", x_train=x, y_train=[0.5, *[1, 2] * (N // 2)][:N])
    out = " ".join(call("data", "info", "damaged.npz").out.split())
    assert "if they are classes, correct it" in out
    assert "task=" not in out


def test_a_recipe_that_does_not_fit_is_named(call, npz):
    """An option that was not typed is not blamed alone."""
    for command in ("train", "profile"):
        for recipe, sets, fitting in [("fast", "--label-smoothing", "classes"), ("elastic", "--shift", "images")]:
            code, _, err = call(command, "--data", npz, "--recipe", recipe)
            assert code == 2
            assert re.search(
                rf"{sets}.*; recipe {recipe} sets (it|them) and is for {fitting}: leave the recipe out", err
            )
    _, _, err = call("train", "--data", npz, "--recipe", "fast", "--label-smoothing", "0.1")
    assert "recipe" not in err
    assert call("train", "--data", npz, "--recipe", "fast", "--label-smoothing", "0", "--explain").code == 0


def test_no_command_is_suggested_that_would_be_refused(call, npz):
    found = call("train", "--data", npz, "--epochs", "1", "--out", "run")
    assert "jitnet eval run" in found.out
    assert "jitnet predict" not in found.out
    found = call("train", "--data", "digits", "--epochs", "1", "--out", "digits")
    assert "jitnet predict digits FILE" in found.out


def test_a_run_says_what_it_watched_and_which_loss_it_had(call, npz):
    found = call("train", "--data", npz, "--epochs", "1", "--val-split", "0.2", "--out", "run")
    assert found.code == 0, found.err
    settings = json.loads(Path("run/config.json").read_text())
    assert settings["train"]["monitor"] == "loss"
    assert TrainConfig(**settings["train"]).monitor == "loss"
    assert repr(jitnet.Model.load("run")) == "Model(5 → 128 → 2, relu, squared-error, 1,026 parameters)"


@pytest.mark.parametrize("loss", [name for name in losses_of("regress") if not LOSSES[name].nonnegative])
def test_a_network_that_predicts_the_mean_alone_is_told(call, npz, loss):
    """What guessing costs is the loss's own: the mean squared error of standardised targets is 1, others are less; and
    that of quantiles is what predicting those of the targets costs."""
    options = ("--loss", loss, "--optimizer", "adam", "--lr", "1000", "--batch-size", "2")
    found = call("train", "--data", npz, "--epochs", "1", *options, "--out", "run")
    assert found.code == 0, found.err
    data = jitnet.load(npz)
    standard = (data.train.targets - data.target_scaling.offset) * data.target_scaling.scale
    guess = 0.0 * standard
    if loss == "quantile":
        levels = np.quantile(standard, naive.QUANTILES, axis=0).T
        steps = np.log(np.expm1(np.diff(levels, axis=1)))  # what the outputs are by which levels go up
        guess = np.tile(np.concatenate([levels[:, :1], steps], axis=1).reshape(-1), (len(standard), 1))
    guessing = naive.LOSSES[loss].value(guess, standard, 0.0).mean()
    assert f"no better than guessing, {guessing:.4g}" in found.err


def test_options_of_classes_are_one_line(call, npz):
    code, _, err = call("train", "--data", npz, "--target-acc", "90", "--out", "run")
    assert code in (1, 2)
    assert "--target-acc is 90, and the targets are numbers, not classes; leave it out" in err


def test_info_of_numbers(call, npz):
    code, out, _ = call("data", "info", npz)
    assert code == 0
    assert "2 targets" in out
    assert "deviation" in out
