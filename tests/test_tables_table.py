"""A table, its columns by name and number, and what DataFrames become."""

import datetime
from decimal import Decimal

import numpy as np
import pytest

from jitnet.errors import DataError
from jitnet.tables import Column, Table, table_from_frame

TABLE = Table(
    "x.csv",
    (
        Column("price", "number", np.array([1.5, np.nan, 3.0])),
        Column("City", "word", np.array([1, -1, 0], np.int32), ("Oslo", "Rome")),
        Column("7", "date", np.array(["2024-01-01", "NaT", "2024-01-03"], "M8[us]")),
    ),
    lines=np.array([2, 3, 5]),
)


def test_columns_by_name_and_number():
    assert TABLE.column("price") is TABLE.column(1) is TABLE.column("1") is TABLE.column(-3)
    assert TABLE.column("7") is TABLE.column(3)
    assert TABLE.names == ("price", "City", "7")
    assert [column.missing.tolist() for column in TABLE.columns] == [[False, True, False]] * 3


@pytest.mark.parametrize(
    ("which", "match"),
    [
        ("city", "x.csv: has no column 'city'; did you mean 'City'"),
        ("colour", "has no column 'colour'; it has 'price', 'City', '7'"),
        (0, "has no column 0; expected a name, or a number from 1 to 3"),
        ("4", "has no column 4"),
        (-4, "has no column -4"),
    ],
)
def test_a_column_that_is_not_there(which, match):
    with pytest.raises(DataError, match=match):
        TABLE.column(which)


@pytest.mark.parametrize("rows", [np.array([True, False, True]), np.array([0, 2]), slice(0, 3, 2)], ids=str)
def test_rows_of_a_table(rows):
    table = TABLE.take(rows)
    assert len(table) == 2
    assert table.lines.tolist() == [2, 5]
    assert table.column("City").values.tolist() == [1, 0]
    assert table.where(1) == "x.csv, line 5"


def frame_of(**columns: object) -> Table:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    return table_from_frame(pandas.DataFrame(columns))


def only(values: object, dtype: object = None) -> Column:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    return frame_of(a=pandas.Series(values, dtype=dtype)).columns[0]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, None, 3], "float32"),
        ([1, None, 3], "Int64"),
        ([1, None, 3], "UInt8"),
        ([1, None, 3], "Float32"),
        ([1, None, 3], object),
        ([Decimal("1"), None, Decimal(3)], object),
        ([np.int8(1), float("nan"), 3.0], object),
    ],
)
def test_numbers_of_a_frame(values, dtype):
    column = only(values, dtype)
    assert (column.kind, column.values.dtype) == ("number", np.float64)
    assert np.array_equal(column.values, [1, np.nan, 3], equal_nan=True)


@pytest.mark.parametrize("dtype", ["boolean", object])
def test_true_and_false_of_a_frame(dtype):
    column = only([True, None, False], dtype)
    assert column.kind == "boolean"
    assert np.array_equal(column.values, [1, np.nan, 0], equal_nan=True)


@pytest.mark.parametrize("dtype", ["category", "str", "string", object])
def test_words_of_a_frame(dtype):
    column = only(["b", None, "a", "b"], dtype)
    assert column.kind == "word"
    assert column.values.dtype == np.int32
    assert [None if code < 0 else column.words[code] for code in column.values] == ["b", None, "a", "b"]


def test_categories_stay_categories_whatever_they_are():
    column = only([3.0, None, 1.0, 3.0], "category")
    assert (column.kind, column.words, column.values.tolist()) == ("word", ("1", "3"), [1, -1, 0, 1])


def test_dates_of_a_frame():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    naive = pandas.to_datetime(["2024-07-01 12:00", None])
    expected = np.array(["2024-07-01T12:00", "NaT"], "M8[us]")
    stamp = datetime.datetime(2024, 7, 1, 12)
    for dates in (
        naive,
        naive.tz_localize("UTC").tz_convert("Europe/Oslo"),
        pandas.Series([stamp, None], dtype=object),
    ):
        column = frame_of(a=dates).columns[0]
        assert column.kind == "date"
        assert np.array_equal(column.values, expected, equal_nan=True)
    days = only([datetime.date(2024, 7, 1), None], object)
    assert days.values.tolist() == [datetime.datetime(2024, 7, 1), None]
    assert only([pandas.Timedelta("1h"), None]).values[0] == 3600


@pytest.mark.parametrize("dtype", ["int64", "Int64", "uint64", object])
def test_whole_numbers_that_float64_would_merge_are_words(dtype):
    column = only([2**53 + 1, 2**53, 7], dtype)
    assert (column.kind, column.words[column.values[0]]) == ("word", str(2**53 + 1))
    assert "are the same number in float64" in column.notes[0]
    rounded = only([2**53 + 1, 5, 7], dtype)
    assert rounded.kind == "number"
    assert "such as 9007199254740993, rounded" in rounded.notes[0]
    assert only([2**53, 10**9 + 1], dtype).notes == ()


def test_missing_ones_among_large_whole_numbers():
    column = only([2**53 + 1, None, 2**53], "Int64")
    assert [None if code < 0 else column.words[code] for code in column.values] == [str(2**53 + 1), None, str(2**53)]


def test_words_among_numbers():
    column = only([1, "a", 2.0, None], object)
    assert (column.kind, column.words) == ("word", ("1", "a", "2"))
    assert "several kinds (number, word)" in column.notes[0]


@pytest.mark.parametrize("value", [[1, 2], {"x": 1}, 1j, b"x"], ids=str)
def test_values_of_other_kinds_are_named(value):
    with pytest.raises(
        DataError, match=r"the DataFrame: column 'a' holds .* of type \w+ in row 1 \(from 0\); expected"
    ):
        only([None, value], object)


def test_frames_that_are_no_tables():
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    for frame, match in (
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns are called 'a'"),
        (pandas.DataFrame({"a": []}), "holds no rows"),
        (pandas.DataFrame(index=[1]), "holds no columns"),
        (pandas.DataFrame({"a": [10**400]}, dtype=object), "column 'a' holds a whole number beyond float64"),
    ):
        with pytest.raises(DataError, match=match):
            table_from_frame(frame)


def test_a_polars_frame():
    polars = pytest.importorskip("polars", reason="needs polars")
    frame = polars.DataFrame(
        {
            "n": [1.5, None],
            "big": [2**53 + 1, None],
            "w": ["x", None],
            "c": polars.Series(["x", None], dtype=polars.Categorical),
            "d": [datetime.date(2024, 7, 1), None],
            "t": [datetime.datetime(2024, 7, 1, 12), None],
            "b": [True, None],
        }
    )
    table = table_from_frame(frame)
    assert [column.kind for column in table.columns] == ["number", "number", "word", "word", "date", "date", "boolean"]
    assert [column.missing.tolist() for column in table.columns] == [[False, True]] * 7
    assert table.column("big").notes
    assert table.column("t").values[0] == np.datetime64("2024-07-01T12:00", "us")
