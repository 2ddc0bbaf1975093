"""What X becomes: any type and order of numbers, images, CSR matrices and tables, none copied without need."""

import tracemalloc
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import scipy.sparse
from sklearn.datasets import load_digits, load_iris

from jitnet.datasets import CompressedRows
from jitnet.sklearn import MLPClassifier, MLPRegressor
from jitnet.sklearn.inputs import Numbers, Sparse, Stored, learn_inputs

SMALL = {"hidden_layer_sizes": (16,), "max_iter": 10, "batch_size": 32, "random_state": 3}
SMALL |= {"early_stopping": False}
X, Y = load_iris(return_X_y=True)
WHOLE = np.rint(10 * X)
PIXELS, DIGITS = load_digits(return_X_y=True)


def arrays(tmp_path) -> dict[str, np.ndarray]:
    """The same whole numbers, stored in many ways."""
    np.save(tmp_path / "x.npy", WHOLE)
    frozen = WHOLE.copy()
    frozen.flags.writeable = False
    wide = np.zeros((300, 8))
    wide[::2, ::2] = WHOLE
    return {
        "float32": WHOLE.astype(np.float32),
        "float16": WHOLE.astype(np.float16),
        "int64": WHOLE.astype(np.int64),
        "uint8": WHOLE.astype(np.uint8),
        "big-endian": WHOLE.astype(">f8"),
        "column-major": np.asfortranarray(WHOLE),
        "strided": wide[::2, ::2],
        "read-only": frozen,
        "memory-mapped": np.load(tmp_path / "x.npy", mmap_mode="r"),
        "list": WHOLE.tolist(),
    }


def test_how_numbers_are_stored_does_not_matter(tmp_path):
    expected = MLPClassifier(**SMALL).fit(WHOLE, Y).predict_proba(WHOLE)
    for kind, array in arrays(tmp_path).items():
        model = MLPClassifier(**SMALL).fit(array, Y)
        np.testing.assert_array_equal(model.predict_proba(array), expected, err_msg=kind)


def test_numbers_are_centred_and_limited_in_float64():
    x = np.array([[1e9 + k, 5.0, k % 2, -1e300 if k else 1e300] for k in range(101)])
    inputs = learn_inputs(x)
    assert isinstance(inputs, Numbers)
    found = inputs(x)
    assert found.dtype == np.float32
    assert len(np.unique(found[:, 0])) == 101  # float32 could not hold the values themselves apart
    np.testing.assert_allclose(found[:, 0], (z := (np.arange(101) - 50) / 50) / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)
    assert (found[:, 1] == 0.0).all()
    assert (np.abs(found) <= 3.0).all()
    assert np.isfinite(inputs(np.full((1, 4), 1e308))).all()


def test_only_the_rows_that_are_trained_on_are_learned_from():
    rows = np.arange(0, 150, 2)
    spoiled = X.copy()
    spoiled[1::2] = 1e6
    first, second = learn_inputs(spoiled, rows), learn_inputs(X[::2])
    np.testing.assert_array_equal(first(X), second(X))
    np.testing.assert_array_equal(first(X, rows), second(X[::2]))


def test_a_weight_counts_as_so_many_rows():
    weights = np.arange(150) % 4 + 1
    first, second = learn_inputs(X, None, weights.astype(float)), learn_inputs(X.repeat(weights, axis=0))
    np.testing.assert_array_equal(first(X), second(X))


def test_images_stay_bytes_and_are_not_copied(tmp_path):
    pixels = PIXELS.astype(np.uint8)
    inputs = learn_inputs(pixels)
    assert isinstance(inputs, Stored)
    assert inputs.scaling.scale == 1 / 16
    assert inputs(pixels) is pixels
    np.save(tmp_path / "pixels.npy", pixels)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    shared = inputs(mapped)
    assert np.shares_memory(shared, mapped)
    assert shared.flags.writeable
    assert inputs(PIXELS).dtype == np.uint8
    assert inputs(PIXELS + 0.5).dtype == np.float32
    first, second = (MLPClassifier(**SMALL).fit(x, DIGITS).predict_proba(PIXELS) for x in (mapped, PIXELS))
    np.testing.assert_array_equal(first, second)
    first.sum()


def test_a_prediction_makes_nothing_as_large_as_its_rows():
    model = MLPRegressor(**SMALL).fit(X, Y)
    rows = np.tile(X, (20_000, 1))  # 96 MB
    model.predict(rows[:100])
    tracemalloc.start()
    model.predict(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows.nbytes


def test_a_sparse_matrix_is_never_made_dense(monkeypatch):
    """Neither by SciPy nor by jitnet, in no training and no prediction."""
    rng = np.random.default_rng(0)
    x = scipy.sparse.random_array((300, 40_000), density=0.001, format="csr", rng=rng)
    y = np.asarray(x[:, :20_000].sum(axis=1) > x[:, 20_000:].sum(axis=1))

    def refused(*arguments, **options):
        raise AssertionError("a sparse matrix was made dense")

    for owner in (scipy.sparse.csr_array, scipy.sparse.csr_matrix, CompressedRows):
        for name in ("toarray", "todense"):
            monkeypatch.setattr(owner, name, refused, raising=False)
    options = SMALL | {"max_iter": 5, "early_stopping": True}
    model = MLPClassifier(**options).fit(x, y, sample_weight=rng.integers(0, 3, 300))
    model.set_params(early_stopping=False, eval_set=(x[:50], y[:50])).fit(x, y)
    model.partial_fit(x, y)
    assert model.score(x, y) > 0.6
    assert MLPRegressor(**SMALL | {"max_iter": 2}).fit(x, y.astype(float)).predict(x).shape == (300,)


def test_sparse_rows_for_an_estimator_of_dense_ones():
    """Centred values are made dense some rows at a time; those of images keep their zeros."""
    model = MLPRegressor(**SMALL).fit(X, Y)
    np.testing.assert_array_equal(model.predict(scipy.sparse.csr_array(X)), model.predict(X))
    rng = np.random.default_rng(0)
    images = rng.integers(0, 17, (90, 64)) * (rng.random((90, 64)) < 0.3)
    model = MLPClassifier(**SMALL).fit(images, images[:, 0] > 3)
    assert isinstance(model._inputs, Stored)
    found = model.predict_proba(scipy.sparse.csr_array(images))
    np.testing.assert_allclose(found, model.predict_proba(images), rtol=1e-6)


@pytest.mark.parametrize("container", [scipy.sparse.csr_matrix, scipy.sparse.csr_array, scipy.sparse.coo_array])
def test_sparse_matrices(container):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 50)) * (rng.random((200, 50)) < 0.2)
    y = x[:, 0] + x[:, 1] > 0.1
    model = MLPClassifier(**SMALL | {"max_iter": 30}).fit(container(x), y)
    assert isinstance(model._inputs, Sparse)
    assert model.score(container(x), y) > 0.9
    np.testing.assert_array_equal(model.predict_proba(container(x)), model.predict_proba(x))
    assert model._inputs(scipy.sparse.csr_array((3, 50))).density == 0.0
    with pytest.raises(ValueError, match="categorical_features: X is sparse"):
        MLPClassifier(**SMALL | {"categorical_features": [0]}).fit(container(x), y)


def frame(n: int = 300):
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    made = pandas.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "town": rng.choice(["Bonn", "Lyon", "Oslo"], n),
            "size": pandas.Categorical(rng.choice(["S", "M", "L"], n), ordered=True),
            "since": pandas.date_range("2020-01-01", periods=n, freq="D"),
            "member": rng.random(n) > 0.5,
            "visits": pandas.array(rng.integers(0, 9, n), "Int64"),
        }
    )
    wanted = np.where((made["town"] == "Oslo") ^ made["member"], "yes", "no")
    made.loc[::7, "age"] = np.nan
    made.loc[::11, "town"] = None
    made.loc[::13, "visits"] = pandas.NA
    return made, wanted


def test_a_dataframe_of_all_kinds_is_taken_as_it_is(tmp_path):
    x, y = frame()
    model = MLPClassifier(**SMALL | {"max_iter": 40}).fit(x, y)
    assert list(model.feature_names_in_) == list(x.columns)
    assert model.n_features_in_ == 6
    assert model.score(x, y) > 0.9
    model.save(tmp_path / "model.safetensors")
    loaded = MLPClassifier.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        np.testing.assert_array_equal(
            model.predict(x.drop(columns="since").assign(since=x["since"])[x.columns]), model.predict(x)
        )
    with pytest.raises(ValueError, match="now missing:\n- town"):
        model.predict(x.drop(columns="town"))
    with pytest.raises(ValueError, match=r"the column 'age' holds .*'old'; expected numbers"):
        model.predict(x.assign(age="old"))


def test_columns_that_are_left_out_are_named():
    x, y = frame()
    x = x.assign(name=[f"person {k}" for k in range(len(x))], same=1)
    with pytest.warns(UserWarning, match="X: the column ") as caught:
        model = MLPClassifier(**SMALL).fit(x, y)
    said = sorted(str(warning.message) for warning in caught)
    assert [line.split(":")[1] for line in said] == [" the column 'name' is left out", " the column 'same' is left out"]
    assert model.n_features_in_ == 8


def test_a_category_that_training_never_had_is_no_error():
    x, y = frame()
    model = MLPClassifier(**SMALL).fit(x, y)
    assert len(model.predict(x.assign(town="Riga"))) == len(x)


def test_numbers_that_are_categories():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.integers(0, 4, 200), rng.normal(size=200)])
    y = np.isin(x[:, 0], (1, 3)).astype(int)
    by_number = MLPClassifier(**SMALL | {"categorical_features": [0], "max_iter": 30}).fit(x, y)
    assert by_number.score(x, y) == 1.0
    assert by_number.coefs_[0].shape[0] == 5
    by_mask = MLPClassifier(**SMALL | {"categorical_features": [True, False], "max_iter": 30}).fit(x, y)
    np.testing.assert_array_equal(by_mask.predict_proba(x), by_number.predict_proba(x))
    pandas = pytest.importorskip("pandas")
    named = pandas.DataFrame(x, columns=["kind", "size"])
    by_name = MLPClassifier(**SMALL | {"categorical_features": ["kind"], "max_iter": 30}).fit(named, y)
    np.testing.assert_array_equal(by_name.predict_proba(named), by_number.predict_proba(x))


def test_a_dataframe_of_numbers_is_an_array_with_names():
    pandas = pytest.importorskip("pandas")
    named = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    first, second = MLPClassifier(**SMALL).fit(named, Y), MLPClassifier(**SMALL).fit(X, Y)
    np.testing.assert_array_equal(first.predict_proba(named), second.predict_proba(X))


@pytest.mark.parametrize("wrong", [5, "x0", True, [99], [True], [[0]], [0.5]])
def test_columns_that_are_no_list_of_columns_are_named(wrong):
    with pytest.raises(ValueError, match="categorical_features: expected a list of names"):
        MLPClassifier(**SMALL | {"categorical_features": wrong}).fit(np.arange(40.0).reshape(20, 2) % 3, [0, 1] * 10)
