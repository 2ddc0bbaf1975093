"""A caller's own tables and labels, as arrays, lists, and pandas' frames, columns and categories."""

import numpy as np
import pytest

import jitnet
from jitnet.errors import DataError

WORDS = ["tall", "short", "tall", "short"] * 5
TABLE = np.arange(80.0).reshape(20, 4) ** 1.5


def made(labels: object, table: object = TABLE) -> jitnet.Dataset:
    return jitnet.from_arrays(table, labels)


@pytest.mark.parametrize(
    "labels",
    [WORDS, np.array(WORDS), np.array(WORDS, object), np.array(WORDS, object).reshape(-1, 1)],
    ids=["list", "array", "objects", "column of objects"],
)
def test_words_are_labels(labels):
    data = made(labels)
    assert data.class_names == ("short", "tall")
    assert data.train.labels.tolist() == [1, 0, 1, 0] * 5


@pytest.mark.parametrize("labels", [[0, 1] * 10, [False, True] * 10, [np.int64(0), 1.0] * 10], ids=str)
def test_objects_that_are_numbers_are_numbers(labels):
    data = made(np.array(labels, object))
    assert data.class_names == ("0", "1")
    assert data.train.labels.tolist() == [0, 1] * 10


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category"])
def test_pandas_words_are_labels(dtype):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    series = pandas.Series(WORDS, dtype=dtype)
    for labels in (series, series.to_frame(), series.array):
        data = made(labels)
        assert data.class_names == ("short", "tall")
        assert data.train.labels.tolist() == [1, 0, 1, 0] * 5


@pytest.mark.parametrize("dtype", ["int64", "Int64", "category", "boolean"])
def test_pandas_numbers_are_labels(dtype):
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    assert made(pandas.Series([0, 1] * 10, dtype=dtype)).train.labels.tolist() == [0, 1] * 10


def test_a_frame_of_numbers_is_a_table():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(TABLE, columns=list("abcd"))
    frame["count"] = np.arange(20)
    frame["yes"] = pandas.Series([True, False] * 10, dtype="boolean")
    data = made(WORDS, frame)
    plain = np.column_stack([TABLE, np.arange(20), [1, 0] * 10])
    np.testing.assert_array_equal(data.train.images, plain.astype(np.float32))
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=6, n_classes=2, hidden=(5,)), data)
    np.testing.assert_array_equal(model.predict(frame), model.predict(plain))


def test_what_is_no_number_in_a_frame_is_named_by_its_column():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    frame = pandas.DataFrame(TABLE, columns=list("abcd"))
    frame["name"] = WORDS
    with pytest.raises(DataError, match=r"train_images: column 'name' of sample 0 \(from 0\) is 'tall'; expected numb"):
        made(WORDS, frame)
    frame["name"] = pandas.Series([1] * 19 + [None], dtype="Int64")
    with pytest.raises(DataError, match=r"train_images: column 'name' of sample 19 \(from 0\) is <NA>"):
        made(WORDS, frame)
    with pytest.raises(DataError, match=r"train_labels: the label of sample 19 \(from 0\) is missing"):
        made(pandas.Series(["a", "b"] * 9 + ["a", None]))


BAD = [
    (
        {"labels": np.array(["a", 3] * 10, object)},
        r"train_labels: the label of sample 1 \(from 0\) is 3; expected wor",
    ),
    (
        {"labels": np.array([3, "a"] * 10, object)},
        r"train_labels: the label of sample 1 \(from 0\) is 'a'; expected nu",
    ),
    (
        {"labels": np.array(["a", float("nan")] * 10, object)},
        r"the label of sample 1 \(from 0\) is missing; expected",
    ),
    ({"labels": WORDS, "table": [[1, 2], [3]]}, "train_images: rows have different lengths"),
    ({"labels": [[0], [0, 1]]}, "train_labels: rows have different lengths"),
    ({"labels": WORDS, "table": np.array([[1, 10**400]], object)}, "train_images: holds a number beyond float64"),
    ({"labels": WORDS, "table": None}, r"train_images: value 0 \(from 0\) is None; expected numbers"),
    ({"labels": TABLE, "table": WORDS}, "train_images: "),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(DataError, match=message):
        made(**arguments)
