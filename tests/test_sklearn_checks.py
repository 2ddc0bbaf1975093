"""scikit-learn's checks of its own interface, all of them, on both estimators."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from jitnet.sklearn import MLPClassifier, MLPRegressor

ESTIMATORS = [
    MLPClassifier(hidden_layer_sizes=(32,), max_iter=100),
    MLPRegressor(hidden_layer_sizes=(32,), max_iter=100),
]

# Each weighted row counts as so many equal rows, but the sums over them are made in another order, in float32.
ROUNDED = {
    f"check_sample_weight_equivalence_on_{kind}_data": "float32 sums in another order" for kind in ("dense", "sparse")
}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda estimator: ROUNDED)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
