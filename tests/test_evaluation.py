"""The evaluation of a network: figures worked by hand, and data that do not fit it, which are refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet.config import ModelConfig
from jitnet.datasets import Dataset, Scaling, Split, from_arrays, load, stratified_split
from jitnet.errors import DataError, ModelError
from jitnet.evaluation import calibration, check_scaling, evaluate, label_scores, quantile_scores, target_score
from jitnet.model import Model


def sure_of_the_brightest(n: int = 3, scale: float = 8.0) -> Model:
    """A network of one layer that predicts the largest of its n inputs."""
    dataset = from_arrays(np.eye(n, dtype=np.float32) * 0.9, np.arange(n), class_names=[f"c{i}" for i in range(n)])
    model = Model.create(ModelConfig(in_features=n, n_classes=n, hidden=()), dataset)
    model.set_parameters([scale * np.eye(n, dtype=np.float32)], [np.zeros(n, np.float32)])
    return model


def test_a_case_worked_by_hand():
    """Samples of classes 0 0 0 1 1 2, predicted 0 0 1 1 0 1: the mistakes in the order of their probabilities."""
    rows = np.array([[1, 0, 0], [1, 0, 0], [0, 0.5, 0], [0, 1, 0], [1, 0, 0], [0, 0.25, 0]], np.float32)
    found = evaluate(sure_of_the_brightest(), Split(rows, np.array([0, 0, 0, 1, 1, 2])))
    assert found.n == 6
    assert found.accuracy == 0.5
    assert found.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert [(m.index, m.label, m.predicted) for m in found.mistakes] == [(4, 1, 0), (2, 0, 1), (5, 2, 1)]
    sure = [np.exp(8 * v) / (np.exp(8 * v) + 2) for v in (1, 0.5, 0.25)]
    assert [m.probability for m in found.mistakes] == pytest.approx(sure, rel=1e-5)
    rest = [(1 - share) / 2 for share in sure]
    assert found.loss == pytest.approx(-np.log([sure[0], sure[0], rest[1], sure[0], rest[0], rest[2]]).mean(), rel=1e-4)
    scores = [(score.name, score.precision, score.recall, score.support) for score in found.classes]
    assert scores == [("c0", 2 / 3, 2 / 3, 3), ("c1", 1 / 3, 1 / 2, 2), ("c2", 0.0, 0.0, 1)]
    assert [score.f1 for score in found.classes] == pytest.approx([2 / 3, 2 / 5, 0.0])
    assert len(evaluate(sure_of_the_brightest(), Split(rows, np.zeros(6, int)), n_mistakes=2).mistakes) == 2


def test_a_data_set_is_evaluated_on_its_test_split_or_its_only_one():
    rows = np.eye(3, dtype=np.float32) * 0.9
    names = ["c0", "c1", "c2"]
    both = from_arrays(rows, np.arange(3), rows[:2], np.array([1, 1]), class_names=names)
    model = sure_of_the_brightest()
    assert (evaluate(model, both).n, evaluate(model, both).accuracy) == (2, 0.5)
    assert evaluate(model, both.train).n == 3
    assert evaluate(model, from_arrays(rows, np.arange(3), class_names=names)).accuracy == 1.0


@pytest.mark.parametrize(("label", "fits"), [(2, True), (3, False), (-1, False)])
def test_labels_are_the_models_classes(label, fits):
    split = Split(np.eye(3, dtype=np.float32), np.array([0, 1, label]))
    if fits:
        assert evaluate(sure_of_the_brightest(), split).accuracy == 1.0
        return
    with pytest.raises(ModelError, match=rf"sample 2 \(from 0\) has the label {label}, .* classes 0 to 2; use"):
        evaluate(sure_of_the_brightest(), split)


def test_samples_of_another_width_and_none_at_all():
    with pytest.raises(ModelError, match=r"samples of shape \(2, 4\) do not fit"):
        evaluate(sure_of_the_brightest(), Split(np.zeros((2, 4), np.float32), np.zeros(2, int)))
    with pytest.raises(ModelError, match="samples have 4 values, the model expects 3"):
        evaluate(sure_of_the_brightest(), from_arrays(np.eye(4), np.arange(4) % 3))
    with pytest.raises(ModelError, match="there are no samples to evaluate on"):
        evaluate(sure_of_the_brightest(), Split(np.zeros((0, 3), np.float32), np.zeros(0, int)))


def dataset_of(form: str, shape: tuple[int, ...] = (30, 8, 8)) -> Dataset:
    rng, labels = np.random.default_rng(7), np.arange(30) % 3
    values = {
        "bytes": rng.integers(0, 256, shape, np.uint8),
        "dark bytes": rng.integers(0, 90, shape, np.uint8),
        "few levels": rng.integers(0, 17, shape, np.uint8),
        "fewer levels": rng.integers(0, 15, shape, np.uint8),
        "k/255": (rng.integers(0, 256, shape) / 255).astype(np.float32),
        "fractions": rng.random(shape, np.float32),
        "fractions and a bit": rng.random(shape, np.float32) * 1.02,
        "standardised": rng.normal(0, 1, shape),
        "fractions doubled": rng.random(shape, np.float32) * 2,
    }
    return from_arrays(values[form], labels, name=form)


@pytest.mark.parametrize(
    ("trained_on", "evaluated_on", "expected"),
    [
        ("bytes", "fractions", r"holds values from 0 to 1, the model expects grey levels \(0 to 255\)"),
        ("few levels", "fractions", r"holds values from 0 to 1, the model expects grey levels \(0 to 16\)"),
        ("bytes", "standardised", "holds values to be standardised"),
        ("fractions", "bytes", r"holds grey levels \(0 to 255\), the model expects values from 0 to 1"),
        ("standardised", "bytes", "expects values to be standardised"),
        ("bytes", "few levels", r"holds grey levels \(0 to 16\), the model expects grey levels \(0 to 255\)"),
        ("few levels", "bytes", r"holds grey levels \(0 to 255\), the model expects grey levels \(0 to 16\)"),
        ("fractions", "standardised", r"standardised per feature \(-.* to .*\), the model expects values from 0 to 1"),
        ("fractions", "fractions doubled", r"holds values to be standardised per feature \(.* to 1\.999\)"),
        ("bytes", "k/255", ""),
        ("few levels", "few levels", ""),
        ("few levels", "fewer levels", ""),
        ("bytes", "dark bytes", ""),
        ("fractions", "fractions and a bit", ""),
        ("standardised", "fractions", ""),
        ("fractions", "fractions", ""),
        ("standardised", "standardised", ""),
    ],
)
def test_data_in_another_form_than_the_models(trained_on, evaluated_on, expected):
    model = Model.create(ModelConfig(in_features=64, n_classes=3), dataset_of(trained_on))
    data = dataset_of(evaluated_on)
    if not expected:
        check_scaling(model, data)
        assert jitnet.evaluate(model, data).n == jitnet.evaluate(model, data.train).n == 30
        return
    with pytest.raises(ModelError, match=expected):
        check_scaling(model, data)
    for judged in (data, data.train, stratified_split(data.train, 0.5, seed=0)[1]):
        with pytest.raises(ModelError, match=expected):
            jitnet.evaluate(model, judged)


@pytest.mark.parametrize(("peak", "other", "fits"), [(16, 64, True), (64, 16, True), (16, 65, False), (65, 16, False)])
def test_one_peak_of_grey_levels_may_be_four_times_the_other(peak, other, fits):
    model = Model.create(ModelConfig(in_features=64, n_classes=3), dataset_of("bytes"))
    model.scaling = Scaling(0.0, 1 / peak)
    split = Split(np.zeros((2, 64), np.uint8), np.zeros(2, int), Scaling(0.0, 1 / other))
    if fits:
        check_scaling(model, split)
        return
    with pytest.raises(
        ModelError, match=rf"grey levels \(0 to {other}\), the model expects grey levels \(0 to {peak}\)"
    ):
        check_scaling(model, split)


def test_a_model_without_scaling_accepts_grey_levels_of_any_peak():
    model = Model.create(ModelConfig(in_features=64, n_classes=3))
    assert jitnet.evaluate(model, dataset_of("few levels")).n == 30
    with pytest.raises(ModelError, match="holds values from 0 to 1"):
        jitnet.evaluate(model, dataset_of("fractions"))


@pytest.mark.parametrize(
    ("trained_on", "evaluated_on", "fits"),
    [
        ("bytes", "dark bytes", True),
        ("bytes", "fractions", False),
        ("bytes", "standardised", False),
        ("few levels", "bytes", False),
        ("fractions", "bytes", False),
        ("fractions", "fractions and a bit", True),
        ("standardised", "fractions", True),
    ],
)
def test_a_split_alone_is_checked_by_its_values(trained_on, evaluated_on, fits):
    """It has no data set with a scaling: values that the model cannot have been trained on are refused."""
    model = Model.create(ModelConfig(in_features=64, n_classes=3), dataset_of(trained_on))
    data = dataset_of(evaluated_on)
    split = Split(data.train.images, data.train.labels)
    if fits:
        assert jitnet.evaluate(model, split).n == 30
        return
    with pytest.raises(DataError, match=r"the values, .*, cannot be .*; give values as they are in the data set"):
        jitnet.evaluate(model, split)


def test_values_that_scaling_takes_beyond_float32():
    tiny = from_arrays(np.random.default_rng(0).normal(0, 1e-6, (30, 7)), np.arange(30) % 3)
    model = Model.create(ModelConfig(in_features=7, n_classes=3), tiny)
    far = tiny.train.images.copy()
    far[11, 4] = 1e36
    data = from_arrays(far, tiny.train.labels)
    with warnings.catch_warnings(action="error"), pytest.raises(ModelError, match=r"value 4 .* standard deviations"):
        jitnet.evaluate(model, data)


def test_bytes_in_a_table_suit_a_model_of_bytes():
    """A table of bytes without an image shape would be standardised by itself, yet it is what the model expects."""
    model = Model.create(ModelConfig(in_features=60, n_classes=3), dataset_of("bytes", (30, 6, 10)))
    table = dataset_of("bytes", (30, 60))
    assert np.ndim(table.scaling.scale) == 1
    check_scaling(model, table)


def test_eval_says_that_the_form_differs(call):
    digits = load("digits")
    Model.create(ModelConfig(in_features=64, n_classes=10), digits).save(Path("model.safetensors"))
    np.savez("data.npz", x_train=digits.test.images.reshape(-1, 8, 8) / np.float32(16.1), y_train=digits.test.labels)
    code, out, err = call("eval", "model.safetensors", "--data", "data.npz")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "data.npz: holds values from 0 to 1, the model expects grey levels (0 to 16)" in err


def test_what_the_commonest_class_gives_and_what_is_never_predicted():
    rows = np.array([[1, 0, 0]] * 3 + [[0, 1, 0]] * 2, np.float32)
    found = evaluate(sure_of_the_brightest(), Split(rows, np.array([1, 1, 0, 1, 2])))
    assert (found.commonest.name, found.commonest.share) == ("c1", 0.6)
    assert found.commonest.in_words == "always predicting c1 gives 60.00%"
    assert found.never_predicted == ("c2",)
    found = evaluate(sure_of_the_brightest(), Split(rows, np.array([1, 0, 0, 1, 0])))
    assert found.never_predicted == (), "there is no sample of c2"


def test_calibration_is_of_the_predicted_class_where_there_are_more_than_two():
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0.25]], np.float32)
    found = evaluate(sure_of_the_brightest(), Split(rows, np.array([0, 0, 2])))
    sure, unsure = (np.exp(8 * v) / (np.exp(8 * v) + 2) for v in (1, 0.25))
    filled = [one for one in found.calibration.bins if one.n]
    assert [(one.n, one.share) for one in filled] == [(1, 1.0), (2, 0.5)]
    assert [one.probability for one in filled] == pytest.approx([unsure, sure], rel=1e-5)
    assert found.calibration.error == pytest.approx(((1 - unsure) + 2 * (sure - 0.5)) / 3, rel=1e-5)
    assert found.ranking is None


def test_of_two_classes_the_second_is_ranked():
    rows = np.array([[1, 0], [0.5, 0], [0, 0.5], [0, 1]], np.float32)
    found = evaluate(sure_of_the_brightest(2), Split(rows, np.array([0, 1, 0, 1])))
    assert found.ranking.positive == "c1"
    assert (found.ranking.roc_auc, found.ranking.share) == (0.75, 0.5)
    assert found.ranking.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert found.ranking.thresholds[4].precision == found.classes[1].precision == 0.5
    chances = 1 / (1 + np.exp([8.0, 4.0, -4.0, -8.0]))
    assert found.ranking.brier == pytest.approx(((chances - [0, 1, 0, 1]) ** 2).mean(), rel=1e-4)
    assert sum(one.n for one in found.calibration.bins if one.high > 0.5) == 2


def test_weights_count_as_copies_do():
    """A sample of weight 2 counts as two samples, one of weight 0 not at all; counts stay counts."""
    rows = np.array([[1, 0], [0.5, 0], [0, 0.5], [0, 1]], np.float32)
    labels, copies = np.array([0, 1, 0, 1]), np.array([2, 1, 3, 0])
    model = sure_of_the_brightest(2)
    weighted = evaluate(model, Split(rows, labels, weights=copies.astype(float)))
    copied = evaluate(model, Split(rows.repeat(copies, axis=0), labels.repeat(copies)))
    assert (weighted.accuracy, weighted.commonest) == (copied.accuracy, copied.commonest)
    assert weighted.loss == pytest.approx(copied.loss)
    for name in ("roc_auc", "average_precision", "brier", "share"):
        assert getattr(weighted.ranking, name) == pytest.approx(getattr(copied.ranking, name))
    assert weighted.calibration.error == pytest.approx(copied.calibration.error)
    assert [(one.precision, one.recall, one.f1) for one in weighted.classes] == [
        (one.precision, one.recall, one.f1) for one in copied.classes
    ]
    assert (weighted.n, weighted.confusion.sum(), sum(one.support for one in weighted.classes)) == (4, 4, 4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(3), "weights: all weights are zero"),
        (np.ones(2), "expected 3 numbers, one a sample"),
        (np.array([1.0, -1.0, 2.0]), r"the weight of sample 1 \(from 0\) is -1"),
    ],
)
def test_weights_that_nothing_can_be_weighed_by_are_refused(weights, message):
    split = Split(np.eye(3, dtype=np.float32), np.arange(3), weights=weights)
    with pytest.raises(DataError, match=message):
        evaluate(sure_of_the_brightest(), split)


def test_the_record_of_an_evaluation_has_all_scores_of_its_task():
    rows = np.array([[1, 0], [0, 1]], np.float32)
    record = evaluate(sure_of_the_brightest(2), Split(rows, np.array([0, 1]))).as_record()
    assert record["commonest"] == {"name": "c0", "share": 0.5}
    assert record["never_predicted"] == ()
    assert len(record["calibration"]["bins"]) == 10
    assert record["ranking"]["roc_auc"] == 1.0
    assert record["ranking"]["best"]["f1"] == 1.0
    assert not {"rmse", "bias", "targets"} & record.keys()


def test_numbers_have_a_bias_and_residuals():
    rng = np.random.default_rng(0)
    rows, targets = rng.normal(size=(40, 3)), rng.normal(5, 2, (40, 2))
    data = from_arrays(rows, targets, target_names=["a", "b"])
    model = Model.create(ModelConfig(in_features=3, n_targets=2, hidden=()), data)
    found = evaluate(model, data)
    errors = model.predict(data.train.images) - targets
    assert [score.bias for score in found.targets] == pytest.approx(errors.mean(axis=0).tolist(), abs=1e-6)
    assert found.bias == pytest.approx(errors.mean(), abs=1e-6)
    for k, score in enumerate(found.targets):
        edges = score.residuals.edges
        assert (
            score.residuals.counts.tolist() == np.histogram(errors[:, k].clip(edges[0], edges[-1]), edges)[0].tolist()
        )
        assert score.residuals.points[:, 0].tolist() == targets[:, k].tolist()
    record = found.as_record()
    assert not {"accuracy", "commonest", "calibration", "ranking", "never_predicted"} & record.keys()
    assert record["targets"][0]["residuals"]["counts"].sum() == 40


def labelled(weights: np.ndarray | None = None) -> Dataset:
    """Three yes/no labels: the first two are signs of features, the third nothing has."""
    rows = np.random.default_rng(3).normal(size=(60, 4))
    yes = np.stack([rows[:, 0] > 0, rows[:, 1] > 1, np.zeros(60, bool)], axis=1)
    return from_arrays(rows, yes, task="label", target_names=["plus", "large", "none"], sample_weight=weights)


@pytest.mark.parametrize("weighted", [False, True])
def test_labels_are_scored_one_by_one(weighted):
    data = labelled(np.random.default_rng(4).random(60) if weighted else None)
    config = ModelConfig(in_features=4, n_targets=3, hidden=(), loss="binary-cross-entropy")
    model = Model.create(config, data)
    model.set_parameters([np.eye(3, 4, dtype=np.float32) * 5], [np.array([0, -9, -9], np.float32)])
    found = evaluate(model, data)
    chances, truths, weights = model.predict(data.train.images), data.train.targets, data.train.weights
    assert repr(found.classes) == repr(label_scores(model.target_names, truths, chances, weights))
    assert found.accuracy == pytest.approx(np.mean([one.accuracy for one in found.classes]))
    assert found.commonest.share == pytest.approx(np.mean([one.commonest for one in found.classes]))
    assert found.commonest.in_words.startswith("always predicting what is commonest of each label gives ")
    assert found.classes[0].roc_auc == 1.0
    repeated = None if weights is None else weights.repeat(3)
    assert found.calibration == calibration(truths.ravel(), chances.ravel(), repeated)
    assert (found.ranking, found.mistakes, found.confusion.size) == (None, (), 0)


def test_a_label_that_is_never_predicted_is_named_where_some_sample_has_it():
    data = labelled()
    model = Model.create(ModelConfig(in_features=4, n_targets=3, hidden=(), loss="binary-cross-entropy"), data)
    model.set_parameters([np.zeros((3, 4), np.float32)], [np.array([9, -9, -9], np.float32)])
    assert evaluate(model, data).never_predicted == ("large",)


@pytest.mark.parametrize("weighted", [False, True])
def test_quantiles_have_coverage_and_pinball_loss_of_each_target(weighted):
    rng = np.random.default_rng(5)
    rows, targets = rng.normal(size=(50, 3)), rng.normal(20, 4, (50, 2))
    weights = rng.random(50) if weighted else None
    data = from_arrays(rows, targets, target_names=["a", "b"], sample_weight=weights)
    levels = (0.1, 0.4, 0.9)
    config = ModelConfig(in_features=3, n_targets=2, hidden=(4,), loss="quantile", quantiles=levels)
    model = Model.create(config, data, seed=1)
    found, predicted = evaluate(model, data), model.predict(data.train.images)
    assert model.output_names == ("a 0.1", "a 0.4", "a 0.9", "b 0.1", "b 0.4", "b 0.9")
    for k, score in enumerate(found.targets):
        of_target = predicted[:, 3 * k : 3 * k + 3]
        expected = quantile_scores(levels, targets[:, k], of_target, data.train.weights)
        assert [one.level for one in score.quantiles] == list(levels)
        assert [one.coverage for one in score.quantiles] == pytest.approx([one.coverage for one in expected])
        assert [one.pinball for one in score.quantiles] == pytest.approx([one.pinball for one in expected], rel=1e-5)
        middle = target_score("", targets[:, k], of_target[:, 1], data.train.weights)
        assert (score.rmse, score.bias) == pytest.approx((middle.rmse, middle.bias), rel=1e-4)
    assert evaluate(model, data).as_record()["targets"][0]["quantiles"][2]["level"] == 0.9
