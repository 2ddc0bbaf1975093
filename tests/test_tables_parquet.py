"""Parquet: types as they are in the file, and one clear line for what is no table."""

import datetime
import decimal
import gzip
import io
from pathlib import Path

import numpy as np
import pytest

from jitnet.errors import DataError
from jitnet.tables import read_table

pa = pytest.importorskip("pyarrow", reason="Parquet needs pyarrow")
pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs pyarrow")

DAY = datetime.datetime(2024, 7, 1, 12, 30)


@pytest.fixture
def path(tmp_path):
    table = pa.table(
        {
            "int": pa.array([1, None, 3], pa.int16()),
            "float": pa.array([1.5, None, 2], pa.float32()),
            "decimal": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal(2)]),
            "word": ["NA", None, ""],
            "category": pa.array(["x", None, "y"]).dictionary_encode(),
            "boolean": [True, None, False],
            "day": pa.array([DAY.date(), None, DAY.date()]),
            "time": pa.array([DAY, None, DAY], pa.timestamp("ns", "Europe/Oslo")),
            "clock": pa.array([datetime.time(0, 1), None, datetime.time(1)]),
            "large": pa.array([2**53 + 1, None, 2**53]),
            "none": pa.nulls(3),
        }
    )
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
    return tmp_path / "x.parquet"


@pytest.mark.parametrize("way", ["path", "stream", "packed"])
def test_types_are_as_in_the_file(path, way):
    if way == "packed":
        packed = path.with_suffix(".parquet.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        path = packed
    table = read_table(io.BytesIO(path.read_bytes()) if way == "stream" else path)
    kinds = {column.name: column.kind for column in table.columns}
    numbers = dict.fromkeys(("int", "float", "decimal", "clock", "none"), "number")
    words = dict.fromkeys(("word", "category", "large"), "word")
    assert kinds == numbers | words | {"boolean": "boolean", "day": "date", "time": "date"}
    assert [column.missing.tolist() for column in table.columns] == [[False, True, False]] * 10 + [[True] * 3]
    assert table.column("word").words == ("NA", "")
    assert table.column("decimal").values[0] == 1.25
    assert table.column("clock").values[0] == 60
    assert table.column("time").values[0] == np.datetime64(DAY, "us")
    assert table.column("large").words == (str(2**53 + 1), str(2**53))
    assert "are the same number in float64" in table.column("large").notes[0]
    assert table.lines is None
    assert table.dialect == "Parquet"
    assert table.where(1).endswith(", row 1 (from 0)")


def refuse(path: Path, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("cut", [4, 8, 100, -1, -8])
def test_a_broken_file(path, cut):
    path.write_bytes(path.read_bytes()[:cut])
    refuse(path, "is a damaged Parquet file, or cut short")


def test_damage_within(path):
    content = bytearray(path.read_bytes())
    content[8:60] = bytes(52)
    path.write_bytes(content)
    refuse(path, "is a damaged Parquet file")


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"a": [[1, 2]]}, r"column 'a' is nested \(list<.*>\); expected one value in each row"),
        ({"a": [{"x": 1}]}, r"column 'a' is nested \(struct<"),
        ({"a": [b"x"]}, r"column 'a' holds bytes \(binary\)"),
        ({"a": pa.array([], pa.int8())}, "holds no rows"),
        ({}, "holds no columns"),
    ],
)
def test_columns_that_no_table_has(tmp_path, columns, match):
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    refuse(tmp_path / "x.parquet", match)


def test_two_columns_of_one_name(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "x.parquet")
    refuse(tmp_path / "x.parquet", "two columns are called 'a'; rename one")
