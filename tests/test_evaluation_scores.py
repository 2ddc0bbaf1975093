"""Scores from plain arrays: beside scikit-learn's, with ties, weights, one class only and constant predictions."""

import math
from types import ModuleType

import numpy as np
import pytest

from jitnet.evaluation import (
    average_precision,
    brier_score,
    calibration,
    label_scores,
    quantile_scores,
    ranking_score,
    roc_auc,
    roc_curve,
    target_score,
)
from jitnet.evaluation.classes import class_scores


@pytest.fixture(scope="module")
def metrics() -> ModuleType:
    return pytest.importorskip("sklearn.metrics")


def two_classes(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Truths, probabilities and weights."""
    rng = np.random.default_rng(5)
    truths = rng.random(200) < 0.3
    chances = np.clip(rng.normal(np.where(truths, 0.6, 0.4), 0.2), 0.0, 1.0)
    weights = rng.exponential(1.0, 200) * (rng.random(200) < 0.8)
    return {
        "distinct": (truths, chances.astype(np.float32), None),
        "ties": (truths, np.round(chances, 1), None),
        "weights": (truths, chances, weights),
        "ties and weights": (truths, np.round(chances, 1), weights),
        "constant": (truths, np.full(200, 0.25), None),
        "perfect": (truths, truths.astype(float), weights),
        "one of each": (np.array([1, 0]), np.array([0.2, 0.7]), None),
    }[kind]


KINDS = ("distinct", "ties", "weights", "ties and weights", "constant", "perfect", "one of each")


@pytest.mark.parametrize("kind", KINDS)
def test_ranking_as_scikit_learn_has_it(metrics, kind):
    truths, chances, weights = two_classes(kind)
    for ours, theirs in (
        (roc_auc, metrics.roc_auc_score),
        (average_precision, metrics.average_precision_score),
        (brier_score, metrics.brier_score_loss),
    ):
        assert ours(truths, chances, weights) == pytest.approx(theirs(truths, chances, sample_weight=weights), rel=1e-6)
    found = roc_curve(truths, chances, weights)
    expected = metrics.roc_curve(truths, chances, sample_weight=weights, drop_intermediate=False)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_thresholds_as_scikit_learn_has_them(metrics, kind):
    truths, chances, weights = two_classes(kind)
    found = ranking_score("yes", truths, chances, weights)
    assert [score.threshold for score in found.thresholds] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    for score in (*found.thresholds, found.best):
        guessed = chances >= score.threshold
        expected = metrics.precision_recall_fscore_support(
            truths, guessed, average="binary", sample_weight=weights, zero_division=0.0
        )
        assert (score.precision, score.recall, score.f1) == pytest.approx(expected[:3], rel=1e-9)
        assert score.predicted == pytest.approx(np.average(guessed, weights=weights))
    precision, recall, _ = metrics.precision_recall_curve(truths, chances, sample_weight=weights)
    with np.errstate(invalid="ignore"):
        assert found.best.f1 == pytest.approx(np.nanmax(2 * precision * recall / (precision + recall)), rel=1e-9)
    assert found.share == pytest.approx(np.average(truths, weights=weights))


def test_of_equally_good_thresholds_the_highest_is_best():
    truths, chances = np.array([1, 0, 0, 1]), np.array([0.75, 0.5, 0.5, 0.25])
    assert ranking_score("yes", truths, chances).best.threshold == 0.75  # F1 2/3, as at 0.25
    assert ranking_score("yes", truths, chances).best.f1 == ranking_score("yes", truths, chances).thresholds[1].f1


def test_a_threshold_includes_the_probabilities_that_equal_it():
    found = ranking_score("yes", np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.25, 0.25]))
    assert [(score.threshold, score.predicted) for score in found.thresholds[3:6]] == [(0.4, 0.5), (0.5, 0.5), (0.6, 0)]


def test_a_curve_that_is_drawn_has_few_points_and_both_ends():
    rng = np.random.default_rng(0)
    roc = ranking_score("yes", rng.random(5000) < 0.5, rng.random(5000)).roc
    assert roc.shape == (200, 2)
    assert roc[0].tolist() == [0, 0]
    assert roc[-1].tolist() == [1, 1]


@pytest.mark.parametrize("truth", [True, False])
def test_one_class_only_cannot_be_ranked(truth):
    found = ranking_score("yes", np.full(4, truth), np.array([0.1, 0.2, 0.3, 0.4]))
    assert math.isnan(found.roc_auc)
    assert math.isnan(found.average_precision) is not truth
    assert found.share == truth
    assert found.best.f1 == truth


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_as_scikit_learn_has_it(kind):
    theirs = pytest.importorskip("sklearn.calibration")
    truths, chances, _ = two_classes(kind)
    found = calibration(truths, chances)
    filled = [one for one in found.bins if one.n]
    share, chance = theirs.calibration_curve(truths, chances, n_bins=10)
    assert [one.share for one in filled] == pytest.approx(share.tolist())
    assert [one.probability for one in filled] == pytest.approx(chance.tolist())
    gaps = [one.n * abs(one.share - one.probability) for one in filled]
    assert found.error == pytest.approx(sum(gaps) / len(truths))
    assert sum(one.n for one in found.bins) == len(truths)


def test_calibration_by_hand():
    found = calibration(np.array([1, 0, 1, 1]), np.array([0.75, 0.75, 0.0, 1.0]))
    assert [(one.low, one.high, one.n) for one in found.bins if one.n] == [
        (0.0, 0.1, 1),
        (pytest.approx(0.7), 0.8, 2),
        (0.9, 1.0, 1),
    ]
    assert found.error == pytest.approx((1.0 + 2 * 0.25 + 0.0) / 4)
    assert calibration(np.array([1, 0]), np.array([0.5, 0.5]), np.array([3.0, 1.0])).error == 0.25
    empty = next(one for one in found.bins if not one.n)
    assert math.isnan(empty.share)
    assert math.isnan(empty.probability)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_classes_as_scikit_learn_has_them(metrics, weighted):
    rng = np.random.default_rng(2)
    labels, predicted = rng.integers(0, 3, 50), rng.integers(0, 2, 50)
    weights = rng.random(50) if weighted else None
    found = class_scores(("a", "b", "c", "nowhere"), labels, predicted, weights)
    expected = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(4), sample_weight=weights, zero_division=0.0
    )
    for k, score in enumerate(found):
        assert (score.precision, score.recall, score.f1) == pytest.approx([column[k] for column in expected[:3]])
        assert score.support == (labels == k).sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_numbers_as_scikit_learn_has_them(metrics, weighted):
    rng = np.random.default_rng(3)
    targets = rng.normal(50, 10, 80)
    predicted = targets + rng.normal(2, 3, 80)
    weights = rng.random(80) if weighted else None
    found = target_score("price", targets, predicted, weights)
    pairs = [(found.rmse, "root_mean_squared_error"), (found.mae, "mean_absolute_error"), (found.r2, "r2_score")]
    for value, name in pairs:
        assert value == pytest.approx(getattr(metrics, name)(targets, predicted, sample_weight=weights))
    assert found.bias == pytest.approx(np.average(predicted - targets, weights=weights))


def test_residuals_are_in_bins_around_zero():
    targets = np.arange(600.0)
    predicted = targets + np.where(np.arange(600) % 4 == 0, 8.0, -0.5)
    found = target_score("price", targets, predicted).residuals
    assert found.edges.tolist() == np.linspace(-8, 8, 17).tolist()
    assert found.counts.tolist() == [0] * 7 + [450] + [0] * 7 + [150]
    assert found.points.shape == (500, 2)
    assert found.points[[0, -1]].tolist() == [[0, 8], [599, 598.5]]


def test_constant_targets_have_no_r2_and_perfect_predictions_no_width():
    found = target_score("price", np.full(5, 3.0), np.full(5, 3.0))
    assert math.isnan(found.r2)
    assert (found.rmse, found.mae, found.bias) == (0, 0, 0)
    assert found.residuals.counts.sum() == 5


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_labels_as_scikit_learn_has_them(metrics, weighted):
    rng = np.random.default_rng(4)
    truths = (rng.random((60, 3)) < [0.2, 0.5, 0.8]).astype(float)
    chances = np.clip(rng.normal(0.3 + 0.4 * truths, 0.3), 0, 1)
    weights = rng.random(60) if weighted else None
    found = label_scores(("red", "round", "big"), truths, chances, weights)
    assert [score.name for score in found] == ["red", "round", "big"]
    for k, score in enumerate(found):
        guessed = chances[:, k] >= 0.5
        expected = metrics.precision_recall_fscore_support(
            truths[:, k], guessed, average="binary", sample_weight=weights
        )
        assert (score.precision, score.recall, score.f1) == pytest.approx(expected[:3])
        assert score.roc_auc == pytest.approx(metrics.roc_auc_score(truths[:, k], chances[:, k], sample_weight=weights))
        assert score.average_precision == pytest.approx(
            metrics.average_precision_score(truths[:, k], chances[:, k], sample_weight=weights)
        )
        assert score.accuracy == pytest.approx(metrics.accuracy_score(truths[:, k], guessed, sample_weight=weights))
        always = [metrics.accuracy_score(truths[:, k], np.full(60, one), sample_weight=weights) for one in (0.0, 1.0)]
        assert score.commonest == pytest.approx(max(always))
        assert score.support == truths[:, k].sum()


def test_a_label_that_nothing_has_or_is_predicted_for():
    [never, always] = label_scores(("never", "always"), np.array([[0, 1], [0, 1]]), np.array([[0.1, 0.9], [0.2, 0.4]]))
    assert (never.precision, never.recall, never.f1, never.accuracy, never.commonest) == (0, 0, 0, 1, 1)
    assert math.isnan(never.roc_auc)
    assert math.isnan(never.average_precision)
    assert (always.precision, always.recall, always.predicted, always.commonest) == (1, 0.5, 0.5, 1)


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_quantiles_as_scikit_learn_has_them(metrics, weighted):
    rng = np.random.default_rng(6)
    targets, levels = rng.normal(0, 1, 90), (0.1, 0.5, 0.9)
    predicted = np.tile([-1.0, 0.2, 1.5], (90, 1)) + rng.normal(0, 0.1, (90, 1))
    weights = rng.random(90) if weighted else None
    for k, score in enumerate(quantile_scores(levels, targets, predicted, weights)):
        loss = metrics.mean_pinball_loss(targets, predicted[:, k], alpha=levels[k], sample_weight=weights)
        assert (score.level, score.pinball) == (levels[k], pytest.approx(loss))
        assert score.coverage == pytest.approx(np.average(targets <= predicted[:, k], weights=weights))


def test_a_target_that_equals_its_quantile_is_covered():
    [score] = quantile_scores((0.5,), np.array([1.0, 2.0]), np.array([[1.0], [1.0]]))
    assert (score.coverage, score.pinball) == (0.5, 0.25)
