"""Which files are tables, and which are the plain ones that need nothing installed."""

import gzip
import sys

import pytest

from jitnet.datasets import load
from jitnet.errors import DataError
from jitnet.tables import looks_like_table


@pytest.mark.parametrize(
    "text",
    [
        "0,1,2\n1,3,4\n",
        "cat;1.5;-2e3\ndog;3;4\n",
        "label\tx\ty\n0\t1\t2\n",
        "label,0,1\n7,1,2\n8,1,2\n",
        "y,x\nno,1\nyes,2\n",
        '"a, b",1\n"c",2\n',
        '"a","1"\r\n"b","2"\r\n',
        "\ufeff0,1\n1, 2 \n\n",
        "0,1,2\n1,3\n",
        "a,a,a\n0,1,2\n1,3,4\n",
        "",
    ],
)
def test_a_label_and_then_numbers_is_plain(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    assert not looks_like_table(tmp_path / "x.csv")


@pytest.mark.parametrize(
    "text",
    [
        "1;28,95\n2;30,5\n",
        "5.1,3.5,setosa\n4.9,3.0,virginica\n",
        "0.5,1,2\n1,3,4\n",
        "x,price\n0,1\n1,NA\n",
        "x,y\n0,1\n1,\n",
        "x,z,w\n0,,1\n1,2,3\n",
        "a,target\n0,1\n1,2\n",
        "0|1\n1|2\n",
        "0 1\n1 2\n",
        '0,"a\nb"\n1,2\n',
        "NA,1\n1,2\n",
        "1\n2\n",
        "a,when\n1,2024-01-31\n2,2024-02-01x\n",
    ],
)
def test_all_else_is_a_table(tmp_path, text):
    (tmp_path / "x.csv").write_text(text)
    assert looks_like_table(tmp_path / "x.csv")


def test_every_row_counts(tmp_path, monkeypatch):
    for block in (1 << 22, 1000):
        monkeypatch.setattr("jitnet.tables.plain.BLOCK", block)
        rows = "cat,1,2.5\n" * 60_000
        (tmp_path / "x.csv").write_text("label,x,z\n" + rows + "dog,1,2\n")
        assert not looks_like_table(tmp_path / "x.csv")
        for last in ("dog,NA,2", "dog,1,", "dog,,1", "dog,1,yes"):
            (tmp_path / "x.csv").write_text(rows + last)
            assert looks_like_table(tmp_path / "x.csv")


def test_other_forms_of_a_file(tmp_path):
    (tmp_path / "x.csv").write_bytes("0,1\n1,2\n".encode("utf-16"))
    (tmp_path / "y.csv.gz").write_bytes(gzip.compress(b"0,1\n1,2\n"))
    (tmp_path / "z.parquet").write_bytes(b"PAR1")
    assert all(looks_like_table(tmp_path / name) for name in ("x.csv", "y.csv.gz", "z.parquet"))
    assert looks_like_table("-")
    (tmp_path / "x.npz").write_bytes(b"PK")
    (tmp_path / "set.csv").mkdir()
    for name in ("x.npz", "set.csv", "none.csv", "t10k-images-idx3-ubyte.gz", "mnist"):
        assert not looks_like_table(tmp_path / name)


def test_plain_files_need_no_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.csv").write_text("0,1,2\n1,3,4\n")
    assert load(tmp_path / "x.csv").train.images.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"1;28,95\n2;30,5\n", "line 2, column 2: '30,5' is not a finite number"),
        ("0,1\n1,2\n".encode("utf-16"), "is UTF-16 text; expected a CSV file in UTF-8"),
        (b'0,1,2\n1,"3\n",4\n', "line 2: has a cell in quotes that goes on in the next line"),
    ],
)
def test_the_plain_reader_says_what_it_cannot_read(tmp_path, content, match):
    from jitnet.datasets.csv import read

    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=match):
        read(tmp_path / "x.csv")
