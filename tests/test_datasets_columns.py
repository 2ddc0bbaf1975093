"""A caller's own tables and labels, as arrays, lists, and pandas' frames, columns and categories."""

import numpy as np
import pytest

import jitnet
from jitnet.errors import DataError

WORDS = ["tall", "short", "tall", "short"] * 5
TABLE = np.arange(80.0).reshape(20, 4) ** 1.5


def made(labels: object, table: object = TABLE, **options: object) -> jitnet.Dataset:
    return jitnet.from_arrays(table, labels, **options)


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


def test_class_names_may_be_numbers():
    assert made([0, 1] * 10, class_names=np.array([10, 20])).class_names == ("10", "20")


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
    with pytest.raises(DataError, match=r"train_images: column 'name' of sample 0 \(from 0\) is 'tall'; expected only"):
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
    ({"labels": WORDS, "table": None}, r"train_images: value 0 \(from 0\) is None; expected only numbers"),
    ({"labels": TABLE, "table": WORDS}, "train_images: "),
    ({"labels": None}, "train_labels: is None; expected a label for each sample"),
    ({"labels": {"a": 1}}, r"train_labels: is \{'a': 1\}; expected a label for each sample"),
    ({"labels": "tall"}, "train_labels: is 'tall'; expected a label for each sample"),
    ({"labels": ["tall", " "] * 10}, r"train_labels: the label of sample 1 \(from 0\) is empty; expected a word"),
    (
        {"labels": WORDS, "table": np.ma.masked_greater(TABLE, TABLE.max() - 1)},
        "train_images: 1 of the values are masked",
    ),
    ({"labels": np.ma.masked_equal([0, 1] * 10, 1)}, "train_labels: 10 of the values are masked"),
    ({"labels": WORDS, "class_names": ["tall", "short", "tall"]}, "class_names: two classes have the name 'tall'"),
    ({"labels": WORDS, "class_names": ["tall", None]}, "class_names: a class has the name None; expected a word"),
    ({"labels": WORDS, "class_names": ["tall", ""]}, "class_names: a class has the name ''; expected a word"),
    ({"labels": WORDS, "class_names": "ab"}, "class_names: is 'ab'; expected a sequence of names"),
    ({"labels": WORDS, "image_shape": (-2, -2)}, r"expected a \(height, width\) of as many, found \(-2, -2\)"),
    ({"labels": WORDS, "image_shape": 2}, r"expected a \(height, width\) of as many, found 2"),
    ({"labels": WORDS, "image_shape": (2, 2, 1)}, r"expected a \(height, width\) of as many, found \(2, 2, 1\)"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(DataError, match=message):
        made(**arguments)


def test_a_long_value_is_cut_in_a_message():
    with pytest.raises(DataError, match=r"^train_images: value 0 \(from 0\) is [^\n]{1,60}; expected only numbers$"):
        made(WORDS, made(WORDS))
