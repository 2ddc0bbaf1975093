"""The estimators among scikit-learn's tools: searches, pipelines, calibration, worker processes and threads."""

import os
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from joblib import Parallel, delayed, parallel_backend, parallel_config
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jitnet.compiler.environment import AS_FOUND, CORES
from jitnet.sklearn import MLPClassifier, MLPRegressor
from jitnet.sklearn.threads import threads_for

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 20, "batch_size": 32, "learning_rate_init": 0.02, "random_state": 3}
SMALL |= {"early_stopping": False}
X, Y = load_iris(return_X_y=True)


def test_clones_and_pickles():
    model = MLPClassifier(**SMALL).fit(X, Y)
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "coefs_")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert "max_iter=20" in repr(model)


def test_in_a_pipeline_and_cross_validated():
    line = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    assert cross_val_score(line, X, Y, cv=3).mean() > 0.8
    x, y = load_diabetes(return_X_y=True)
    assert cross_val_score(MLPRegressor(**SMALL), x, y, cv=2).mean() > 0.1


def test_a_transformer_before_it_may_put_out_dataframes():
    pytest.importorskip("pandas")
    line = make_pipeline(
        ColumnTransformer([("scaled", StandardScaler(), [0, 1, 2, 3])]), MLPClassifier(**SMALL)
    ).set_output(transform="pandas")
    line.fit(X, Y)
    assert list(line[-1].feature_names_in_) == [f"scaled__x{k}" for k in range(4)]
    assert line.score(X, Y) > 0.8


def test_a_search_in_worker_processes_finds_what_one_process_finds():
    grid = {"solver": ["adam", "sgd"], "dropout": [0.0, 0.2]}
    MLPClassifier(**SMALL).fit(X, Y)  # threads of parallel regions have started here before the workers do
    alone, beside = (GridSearchCV(MLPClassifier(**SMALL), grid, cv=2, n_jobs=jobs).fit(X, Y) for jobs in (1, 2))
    np.testing.assert_array_equal(beside.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert beside.best_params_ == alone.best_params_
    assert beside.predict(X).shape == Y.shape


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_other_workers_end_with_the_same_bits(backend):
    expected = MLPClassifier(**SMALL).fit(X, Y).predict_proba(X)
    jobs = (delayed(_fitted)(X, Y) for _ in range(4))
    for found in Parallel(n_jobs=2, backend=backend, timeout=120)(jobs):
        np.testing.assert_array_equal(found, expected)


def _fitted(x, y):
    return MLPClassifier(**SMALL).fit(x, y).predict_proba(x)


def test_a_search_on_a_cluster_finds_what_one_process_finds(cluster):
    distributed = pytest.importorskip("distributed")
    grid = {"solver": ["adam", "sgd"], "dropout": [0.0, 0.2]}
    alone = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2).fit(X, Y)
    with (
        distributed.Client(cluster.address.removeprefix("dask://"), set_as_default=False) as client,
        parallel_config(backend="dask", client=client),
    ):
        assert Parallel(n_jobs=2)(delayed(threads_for)(None) for _ in range(3)) == [1, 1, 1]
        assert threads_for(None) == 0
        there = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2, error_score="raise").fit(X, Y)
        with parallel_backend("dask", client=client):
            scores = cross_val_score(MLPClassifier(**SMALL), X, Y, cv=2)
    np.testing.assert_array_equal(there.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])
    assert there.best_params_ == alone.best_params_
    np.testing.assert_array_equal(scores, cross_val_score(MLPClassifier(**SMALL), X, Y, cv=2))


def test_a_worker_has_one_thread():
    assert threads_for(None) == 0
    assert threads_for(1) == 1
    assert Parallel(n_jobs=2, backend="threading")(delayed(threads_for)(None) for _ in range(3)) == [1, 1, 1]
    assert Parallel(n_jobs=2, backend="threading")(delayed(threads_for)(1000) for _ in range(2)) == 2 * [
        int(os.environ.get("NUMBA_NUM_THREADS", len(CORES)))
    ]
    assert Parallel(n_jobs=1)([delayed(threads_for)(None)]) == [0]


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_a_fit_leaves_all_cores_to_others():
    model = MLPClassifier(**SMALL | {"n_threads": 2}).fit(X, Y)
    assert sorted(os.sched_getaffinity(0)) == CORES
    model.predict(np.tile(X, (100, 1)))
    assert sorted(os.sched_getaffinity(0)) == CORES
    if AS_FOUND["OMP_PROC_BIND"] is None:
        assert "OMP_PROC_BIND" not in os.environ


def test_calibration_importance_and_one_network_a_label():
    calibrated = CalibratedClassifierCV(MLPClassifier(**SMALL), cv=2).fit(X, Y)
    assert calibrated.score(X, Y) > 0.8
    model = MLPClassifier(**SMALL | {"max_iter": 60}).fit(X, Y)
    found = permutation_importance(model, X, Y, n_repeats=2, random_state=0)
    assert found.importances_mean.argmax() in (2, 3)
    labels = np.column_stack([Y > 0, Y > 1])
    assert MultiOutputClassifier(MLPClassifier(**SMALL)).fit(X, labels).predict(X).shape == (150, 2)
