"""Sparse matrices of SciPy: trained on, predicted and evaluated as they are, with the bits of the same rows dense."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import environment

import jitnet
from jitnet.datasets.compressed import LARGEST, CompressedRows, compress
from jitnet.errors import DataError, ModelError
from jitnet.training.trainer import Trainer

scipy_sparse = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.random((240, 70)) < 0.1, RNG.random((240, 70)), 0).astype(np.float32)
DENSE[5] = 0  # a row and a column without entries
DENSE[:, 7] = 0
LABELS = (DENSE[:, :20].sum(axis=1) > 1.0).astype(int)
NUMBERS = DENSE @ RNG.normal(size=70)


def matrix(rows=DENSE):
    return scipy_sparse.csr_array(rows)


def dataset(rows, outcome=LABELS, tested=True, **options):
    n = 200 if tested else 240
    test = (rows[n:], outcome[n:]) if tested else ()
    return jitnet.from_arrays(rows[:n], outcome[:n], *test, **options)


def trained(data, hidden=(33,), model=(), **config):
    fields = {"n_classes": data.n_classes} if data.n_targets is None else {"n_targets": data.n_targets}
    if data.target == "number":
        fields["loss"] = "squared-error"
    shape = jitnet.ModelConfig(in_features=data.in_features, hidden=hidden, **fields, **dict(model))
    made = jitnet.Model.create(shape, data, seed=3)
    history = jitnet.train(made, data, jitnet.TrainConfig(**{"epochs": 3, "batch_size": 16, "seed": 1, **config}))
    return made, history


def same_parameters(one, other):
    for name, array in one.parameters.items():
        np.testing.assert_array_equal(array, other.parameters[name], err_msg=name)


# ---- In what form they are stored ----


def test_a_matrix_is_stored_as_what_is_not_zero():
    data = dataset(matrix())
    assert isinstance(data.train.images, CompressedRows)
    assert isinstance(data.test.images, CompressedRows)
    assert data.train.images.shape == (200, 70)
    assert (data.in_features, data.image_shape) == (70, None)
    assert data.scaling == jitnet.Scaling()
    np.testing.assert_array_equal(data.train.images.toarray(), DENSE[:200])


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_array", "coo_array", "lil_array", "dok_array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_every_kind_and_type_of_matrix_is_read(kind, dtype):
    rows = (DENSE * 9).astype(dtype)
    np.testing.assert_array_equal(compress(getattr(scipy_sparse, kind)(rows), "x").toarray(), rows)


def test_a_matrix_that_is_not_in_order_is_brought_into_order():
    """Entries of one place are added up, zeros left out, also those that a sum or float32 makes."""
    columns, values = [4, 1, 4, 0, 2, 2, 3], [1.0, 2.0, 0.5, 0.0, 3.0, -3.0, 1e-60]
    given = scipy_sparse.csr_array((values, columns, [0, 3, 3, 7]), shape=(3, 6))
    kept = [array.copy() for array in (given.data, given.indices, given.indptr)]
    found = compress(given, "x")
    np.testing.assert_array_equal(found.toarray(), [[0, 2, 0, 0, 1.5, 0], [0] * 6, [0] * 6])
    np.testing.assert_array_equal(found.indptr, [0, 2, 2, 2])
    np.testing.assert_array_equal(found.columns, [1, 4])
    for array, before in zip((given.data, given.indices, given.indptr), kept, strict=True):
        np.testing.assert_array_equal(array, before)  # the caller's matrix is left alone


def test_rows_are_taken_as_those_of_an_array():
    found = compress(matrix(), "x")
    mask = RNG.random(240) < 0.3
    for rows in (slice(3, 50), slice(200, 500), slice(9, 3), slice(None, None, 7), np.array([5, 5, 239, 0]), mask):
        np.testing.assert_array_equal(found[rows].toarray(), DENSE[rows])
    np.testing.assert_array_equal(found[10:200][np.array([3, 1])].toarray(), DENSE[10:200][[3, 1]])
    np.testing.assert_array_equal(found[-3], DENSE[-3])
    for part, rows in ((found, DENSE), (found[20:30], DENSE[20:30])):
        np.testing.assert_array_equal(part.max(axis=0), rows.max(axis=0))
        np.testing.assert_array_equal(part.min(axis=0), rows.min(axis=0))
        np.testing.assert_array_equal(part.column_counts(), np.count_nonzero(rows, axis=0))
        assert (part.min(), part.max(), part.size) == (rows.min(), rows.max(), rows.size)
        assert part.density == np.count_nonzero(rows) / rows.size
    full = compress(np.full((3, 2), -2.0), "x")
    assert (full.min(), full.max(), full.max(axis=0).tolist()) == (-2.0, -2.0, [-2.0, -2.0])


def test_a_data_set_is_described_and_has_a_checksum_of_its_numbers():
    data = dataset(matrix())
    about = jitnet.describe(data)
    assert about.density == pytest.approx(np.count_nonzero(DENSE[:200]) / DENSE[:200].size)
    np.testing.assert_array_equal(about.samples[0].image, DENSE[about.samples[0].index])
    assert data.checksum == dataset(scipy_sparse.csc_array(DENSE).tocsr()).checksum
    other = DENSE.copy()
    other[0, 0] += 1
    assert data.checksum != dataset(matrix(other)).checksum


def test_values_beyond_one_are_divided_by_the_largest_of_their_column():
    """As the rows to train on show it: held-out rows and a column that is zero in them add nothing."""
    counts = np.floor(DENSE * 9)
    data = dataset(matrix(counts))
    largest = counts[:200].max(axis=0)
    np.testing.assert_allclose(data.scaling.scale, np.where(largest > 0, 1 / np.maximum(largest, 1), 0), rtol=1e-6)
    assert data.scaling.keeps_zeros
    model, _ = trained(data, val_split=0.2)
    parts = jitnet.datasets.hold_out(data, 0.2, 1)
    np.testing.assert_allclose(
        model.scaling.scale * np.maximum(parts.train.images.max(axis=0), 1e-9),
        1.0 * (parts.train.images.max(axis=0) > 0),
        rtol=1e-5,
    )


# ---- The same as dense ----


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("hidden", "model", "config"),
    [
        ((), {}, {}),
        ((33,), {}, {"optimizer": "sgd"}),
        ((33, 17), {}, {"optimizer": "adam", "dropout": (0.3,), "ema": 0.9}),
        ((24, 24), {"norm": "layer", "residual": True, "input_scale": True}, {"optimizer": "adam"}),
        ((33,), {}, {"input_dropout": 0.3}),
        ((33,), {}, {"val_split": 0.2, "clip_norm": 0.1}),
    ],
    ids=str,
)
def test_training_leaves_the_bits_that_the_same_rows_leave_dense(hidden, model, config, threads):
    (dense, before), (sparse, after) = (
        trained(dataset(rows), hidden, model, threads=threads, **config) for rows in (DENSE, matrix())
    )
    same_parameters(dense, sparse)
    for one, other in zip(before.epochs, after.epochs, strict=True):
        assert (one.train_loss, one.test_loss, one.val_loss) == (other.train_loss, other.test_loss, other.val_loss)
    assert before.final_test == after.final_test


def test_numbers_are_predicted_from_sparse_rows_too():
    dense, sparse = (trained(dataset(rows, NUMBERS))[0] for rows in (DENSE, matrix()))
    same_parameters(dense, sparse)
    np.testing.assert_array_equal(dense.predict(DENSE), sparse.predict(matrix()))


def test_bytes_and_their_floats_leave_the_same_bits():
    """Zero-skipping both: the lists are the same, and the values that the bytes stand for."""
    images = RNG.integers(1, 256, (200, 64)) * (RNG.random((200, 64)) < 0.2)
    data = jitnet.from_arrays(images.astype(np.uint8), LABELS[:200])
    floats = np.arange(256, dtype=np.float32)[images] * np.float32(data.scaling.scale)
    (of_bytes, _), (of_floats, _) = (trained(each) for each in (data, jitnet.from_arrays(matrix(floats), LABELS[:200])))
    same_parameters(of_bytes, of_floats)


@pytest.mark.parametrize("hidden", [(), (33,), (20, 20)], ids=str)
def test_predictions_are_those_of_the_same_rows_dense(hidden):
    data = dataset(matrix())
    model, _ = trained(data, hidden)
    for n in (0, 1, 7, 60, 240):
        np.testing.assert_array_equal(model.predict(matrix()[:n]), model.predict(DENSE[:n]))
        for threads in (1, 2):
            np.testing.assert_array_equal(model.predict(matrix()[:n], threads=threads), model.predict(DENSE[:n]))
    for found, expected in zip(model.activations(matrix()), model.activations(DENSE), strict=True):
        np.testing.assert_array_equal(found, expected)
    one, other = jitnet.evaluate(model, data), jitnet.evaluate(model, dataset(DENSE))
    assert (one.loss, one.accuracy, one.n) == (other.loss, other.accuracy, 40)
    np.testing.assert_array_equal(one.confusion, other.confusion)


def test_a_model_of_centred_values_predicts_sparse_rows(monkeypatch):
    """Some rows at a time are made dense: their zeros are no zeros to it."""
    monkeypatch.setattr("jitnet.model.network.DENSE_VALUES", 70 * 50)
    data = dataset(DENSE * 9 - 1)
    model, _ = trained(data)
    np.testing.assert_array_equal(model.predict(matrix(DENSE * 9 - 1)), model.predict(DENSE * 9 - 1))
    assert model.predict(matrix()[:0]).shape == (0, 2)


def test_a_model_of_bytes_predicts_sparse_rows():
    images = RNG.integers(0, 256, (50, 64)).astype(np.uint8)
    model, _ = trained(jitnet.from_arrays(images, LABELS[:50]))
    np.testing.assert_allclose(model.predict(matrix(images)), model.predict(images), atol=1e-6)


def test_test_data_and_held_out_rows_may_be_dense():
    expected, _ = trained(dataset(matrix()))
    data = jitnet.from_arrays(matrix()[:200], LABELS[:200], DENSE[200:], LABELS[200:])
    same_parameters(trained(data)[0], expected)
    shape = jitnet.ModelConfig(in_features=70, n_classes=2, hidden=(9,))
    losses = []
    for rows in (DENSE, matrix()):
        model = jitnet.Model.create(shape, data)
        held_out = jitnet.from_arrays(rows[:40], LABELS[:40]).train
        run = Trainer(model, data, jitnet.TrainConfig(epochs=1), held_out=held_out).run()
        losses.append(run.epochs[-1].val_loss)
    assert losses[0] == losses[1]


def test_training_on_dense_rows_is_tested_on_sparse_ones():
    losses = []
    for rows in (DENSE, matrix()):
        data = jitnet.from_arrays(DENSE[:200], LABELS[:200], rows[200:], LABELS[200:])
        losses.append(trained(data)[1].epochs[-1].test_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_zeros_of_a_sparse_matrix_are_skipped_however_many_there_are(share):
    rows = np.where(RNG.random((60, 30)) < share, 0.5, 0)
    data = jitnet.from_arrays(matrix(rows), LABELS[:60])
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=30, n_classes=2), data)
    plan = Trainer(model, data, jitnet.TrainConfig(threads=1)).plan
    assert (plan.skips_zeros, plan.density) == (True, pytest.approx(share, abs=0.05))
    assert plan.input_reason == f"the rows are sparse, {plan.density:.2g} of the inputs are not zero"


# ---- In little memory ----

WIDE = """
import resource, sys
import numpy as np, scipy.sparse, jitnet
rng = np.random.default_rng(0)
n, width, each = 2_000, 50_000, 60
columns = np.sort((rng.random((n, each)) ** 3 * width).astype(np.int64), axis=1)
rows = scipy.sparse.csr_array((np.ones(n * each), columns.reshape(-1), np.arange(0, n * each + 1, each)), (n, width))
rows.sum_duplicates()
labels = (rows[:, :100].sum(axis=1) > 7).astype(int)
small = jitnet.from_arrays(rows[:50], labels[:50])
shape = jitnet.ModelConfig(in_features=width, n_classes=2, hidden=(16,))
config = jitnet.TrainConfig(epochs=2, val_split=0.1, threads=2)
def use(data):
    model = jitnet.Model.create(shape, data)
    jitnet.train(model, data, config)
    jitnet.evaluate(model, data)
    return model.predict(rows)
use(small)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
predicted = use(jitnet.from_arrays(rows, labels))
assert np.isfinite(predicted).all() and predicted.shape == (n, 2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_wide_matrix_is_never_made_dense():
    """As an array it would take 400 MB; a first training of few rows has what networks of this width take."""
    done = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    kib = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * kib < 60e6


# ---- Bad input ----


def broken(**arrays):
    """A matrix of SciPy in which something is wrong, which its checks would not let in."""
    made = scipy_sparse.csr_array(np.array([[0, 1.0, 0], [2.0, 0, 3.0]]))
    for name, values in arrays.items():
        setattr(made, name, np.array(values))
    return made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (matrix([[0, 1.0], [np.nan, 0]]), "x: value 0 of sample 1 (both counted from 0) is nan; expected finite"),
        (matrix([[0, 1.0], [0, -np.inf]]), "x: value 1 of sample 1 (both counted from 0) is -inf; expected finite"),
        (matrix([[0, 1e300]]), "x: value 1 of sample 0 (both counted from 0) is 1e+300; expected finite"),
        (matrix([[0, 1j]]), "x: its values are of type complex128; expected numbers"),
        (broken(indices=[1, 0, 3]), "x: sample 1 (from 0) has an entry in column 3; expected 0 to 2"),
        (broken(indices=[-1, 0, 2]), "x: sample 0 (from 0) has an entry in column -1; expected 0 to 2"),
        (broken(indptr=[0, 2, 1]), "x: indptr is not 3 ascending numbers from 0 on"),
        (broken(indptr=[0, 1]), "x: indptr is not 3 ascending numbers from 0 on"),
        (broken(indptr=[0, 1, 9]), "x: indptr ends at 9, and there are 3 indices and 3 values"),
        (scipy_sparse.csr_array((4, 0)), "x: has the shape (4, 0); expected rows of columns"),
        (scipy_sparse.csr_array((2, 1 << 24 | 1)), "x: has 16,777,217 columns; expected 16,777,216 at most"),
    ],
)
def test_a_matrix_that_cannot_be_used_is_a_clear_error(given, message):
    with pytest.raises(DataError) as error:
        compress(given, "x")
    assert str(error.value).startswith(message)


def test_sums_of_one_place_are_checked_too():
    given = scipy_sparse.csr_array(([LARGEST, LARGEST], [1, 1], [0, 2]), shape=(1, 2))
    with pytest.raises(DataError, match="value 1 of sample 0"):
        compress(given, "x")


def test_errors_name_what_was_passed():
    bad = matrix()
    bad.data[:] = np.nan
    with pytest.raises(DataError, match=r"^train_images: value"):
        jitnet.from_arrays(bad, LABELS)
    with pytest.raises(DataError, match=r"^test_images: value"):
        jitnet.from_arrays(matrix(), LABELS, bad, LABELS)
    with pytest.raises(DataError, match="test_images: samples have 69 values; expected 70"):
        jitnet.from_arrays(matrix(), LABELS, matrix(DENSE[:, 1:]), LABELS)
    with pytest.raises(DataError, match=r"train_images: holds no samples, its shape is \(0, 70\)"):
        jitnet.from_arrays(matrix()[:0], LABELS[:0])
    with pytest.raises(DataError, match=r"holds 240 images and .* 9 labels"):
        jitnet.from_arrays(matrix(), LABELS[:9])
    model, _ = trained(dataset(matrix()))
    with pytest.raises(ModelError, match=r"samples of shape \(240, 69\) do not fit; the model expects \(n, 70\)"):
        model.predict(matrix(DENSE[:, 1:]))
    with pytest.raises(DataError, match=r"^samples: value"):
        model.predict(bad)


def test_a_model_of_centred_values_does_not_train_on_sparse_rows():
    model, _ = trained(dataset(DENSE * 9 - 1))
    with pytest.raises(DataError, match="the samples are a sparse matrix, and the model takes a mean off each value"):
        jitnet.train(model, dataset(matrix(DENSE * 9)), jitnet.TrainConfig(epochs=1))


def test_no_distortion_and_no_file_takes_a_sparse_matrix(tmp_path):
    data = jitnet.from_arrays(matrix(DENSE[:, :64]), LABELS, image_shape=(8, 8))
    with pytest.raises(jitnet.UsageError, match="this data lacks one byte a pixel"):
        trained(data, augment=jitnet.AugmentConfig(shift=1.0))
    with pytest.raises(DataError, match="its samples are a sparse matrix, which none of these files holds"):
        jitnet.datasets.convert(data, tmp_path / "data.npz")
