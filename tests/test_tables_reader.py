"""Reading tables: what a text file may look like, and one clear line, with the line of the file, for all else."""

import csv
import gzip
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import environment
from hypothesis import given, settings
from hypothesis import strategies as st

from jitnet.errors import DataError, MissingExtra
from jitnet.tables import Column, Table, read_table
from jitnet.tables import opening as opening_module
from jitnet.tables.dialect import is_missing

pytest.importorskip("pyarrow", reason="tables need pyarrow")


def table_of(text: str | bytes, **options: object) -> Table:
    return read_table(io.BytesIO(text.encode() if isinstance(text, str) else text), **options)


def values(column: Column) -> list[object]:
    """A column's values as Python's, None where missing."""
    gone = column.missing
    if column.kind == "word":
        return [None if code < 0 else column.words[code] for code in column.values]
    if column.kind == "date":
        return [None if none else str(value) for value, none in zip(column.values, gone, strict=True)]
    return [None if none else value for value, none in zip(column.values.tolist(), gone, strict=True)]


def columns_of(text: str | bytes, **options: object) -> dict[str, list[object]]:
    return {column.name: values(column) for column in table_of(text, **options).columns}


def refuse(text: str | bytes, match: str, **options: object) -> None:
    with pytest.raises(DataError, match=match) as caught:
        table_of(text, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("standard input")


def test_a_mixed_table():
    table = table_of(
        "id,price,city,sold,when\n1,2.5,Oslo,true,2024-02-29\n2,NA,?,FALSE,\n3,-1e3,Bergen,,2023-12-31T23:59:58.25\n"
    )
    assert [column.kind for column in table.columns] == ["number", "number", "word", "boolean", "date"]
    assert [column.values.dtype.str for column in table.columns] == ["<f8", "<f8", "<i4", "<f8", "<M8[us]"]
    assert [values(column) for column in table.columns] == [
        [1, 2, 3],
        [2.5, None, -1000],
        ["Oslo", None, "Bergen"],
        [1, 0, None],
        ["2024-02-29T00:00:00.000000", None, "2023-12-31T23:59:58.250000"],
    ]
    assert table.lines is not None
    assert table.lines.tolist() == [2, 3, 4]
    assert table.dialect == "commas, header in line 1, UTF-8"
    assert len(table) == 3


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", "^", "~", "\x1f", "\x01"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(mark, end):
    text = end.join(mark.join(row) for row in (["a", "b", "c"], ["1", "x", "2.5"], ["2", "y", ""])) + end
    assert columns_of(text) == {"a": [1, 2], "b": ["x", "y"], "c": [2.5, None]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-16-be marked"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings(encoding, packed, tmp_path):
    text = "a,town\n1,Tromsø\n2,東京\n3,😀\n"
    content = b"\xfe\xff" + text.encode("utf-16-be") if "marked" in encoding else text.encode(encoding)
    path = tmp_path / ("x.csv.gz" if packed else "x.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    table = read_table(path)
    assert values(table.column("town")) == ["Tromsø", "東京", "😀"]
    assert ("UTF-16" in table.dialect) == ("16" in encoding)
    assert table.source == str(path)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_any_cut_of_the_bytes_reads_the_same(monkeypatch, block):
    monkeypatch.setattr(opening_module, "BLOCK", block)
    text = 'id,größe\r\n1,"x\r\ny"\r\n\r\n2,"a ""b"""\r\n3,é\r\n' + "4,zz\r\n" * 200
    for encoding in ("utf-8", "utf-16"):
        table = table_of(text.encode(encoding))
        assert values(table.column(2))[:4] == ["x\ny", 'a "b"', "é", "zz"]
        assert table.lines.tolist()[:5] == [2, 5, 6, 7, 8]
        assert len(table) == 203


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n1,"x,y"\n2,"a\nb"\n', ["x,y", "a\nb"]),
        ('a,b\n1,"say ""x"""\n2,""\n', ['say "x"', None]),
        ('a,b\n1, "x, y"\n2,"z" \n', ["x, y", "z"]),
        ('a,b\n1,5" pipe\n2,"q"\n', ['5" pipe', "q"]),
        ('a,b\n1,5" pipe\n2,6 ""\n', ['5" pipe', '6 ""']),
        ("a,b\n1,  x \n2,y\n", ["x", "y"]),
        ('a,b\n1,""""\n2,y', ['"', "y"]),
        ('a,b\n1,"NA"\n2,"-"\n', [None, None]),
    ],
)
def test_quotes(text, expected):
    assert columns_of(text)["b"] == expected


def test_two_numbers_with_a_decimal_comma_are_no_class_with_a_value():
    table = table_of("1;28,95\n2;30,5\n")
    assert [values(column) for column in table.columns] == [[1, 2], [28.95, 30.5]]
    assert table.dialect == "semicolons, no header, UTF-8"
    assert columns_of("1;28,95\n") == {"column 1": [1], "column 2": [28.95]}


@pytest.mark.parametrize(
    ("text", "dialect"),
    [
        ("5.1,3.5,setosa\n4.9,3,virginica\n", "commas, no header"),
        ("label,0,1,2\n7,1,2,3\n8,1,2,3\n", "commas, header in line 1"),
        ("country,1990,1991,1992\nA,1,2,3\nB,1,2,3\n", "commas, header in line 1"),
        ("p,x,s\ne,x,s\np,b,t\n", "commas, no header"),
        ("cap,odor\nx,s\nb,t\n", "commas, header in line 1"),
        ("when,who\n2020-01-01,x\n", "commas, header in line 1"),
        ("1,2,3\n", "commas, no header"),
        ("NA,2,3\n4,5,6\n", "commas, no header"),
        ("sep=;\na;b\n1;2\n", "semicolons, header in line 2"),
        ("\n\na,b\n1,2\n", "commas, header in line 3"),
        ("x\n1\n2\n", "one column, header in line 1"),
        ("1 2.5   3\n4  5 6\n  7 8 9\n", "spaces, no header"),
        ("New York\nLos Angeles\nNew York\n", "one column, no header"),
        ("city\nOslo\nBergen\nParis, Texas\n", "one column, header in line 1"),
        ("a,b\n1;2,3\n1;2,4\n", "commas, header in line 1"),
    ],
)
def test_dialects(text, dialect):
    assert table_of(text).dialect == f"{dialect}, UTF-8"


@pytest.mark.parametrize(
    ("cells", "separator", "expected"),
    [
        (["1", "2,5"], ";", [1, 2.5]),
        (["1,5", "-2,25e1", ",5"], ";", [1.5, -22.5, 0.5]),
        (["1.234,5", "1.234.567"], ";", [1234.5, 1234567]),
        (["1,234,567", "12", "1,234.5"], ",", [1234567, 12, 1234.5]),
        (["1 234,5", "12"], ";", [1234.5, 12]),
        (["1\u202f234.5", "12"], ",", [1234.5, 12]),
        (["+1", " .5 ", "1.", "1E5"], ",", [1, 0.5, 1, 1e5]),
        (["007", "8"], ",", [7, 8]),
    ],
)
def test_numbers(cells, separator, expected):
    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows([["a", "b"], *([cell, "x"] for cell in cells)])
    column = table_of(out.getvalue()).column("a")
    assert column.kind == "number"
    assert values(column) == expected
    assert column.notes == ()


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        ('a,b\n"1,234",x\n', 1234, "1,234 is read as 1234, with a mark between thousands"),
        ("a;b\n1,234;x\n", 1.234, "1,234 is read as 1.234, with a decimal comma"),
    ],
)
def test_a_comma_that_may_be_either_is_noticed(text, expected, note):
    column = table_of(text).column("a")
    assert values(column) == [expected]
    assert note in column.notes[0]


@pytest.mark.parametrize(
    ("cells", "expected", "form"),
    [
        (["31.12.2020", "1.2.2021"], ["2020-12-31", "2021-02-01"], "day.month.year"),
        (["12/31/2020", "1/2/2021"], ["2020-12-31", "2021-01-02"], "month/day/year"),
        (["1/2/2021", "31/12/2020"], ["2021-02-01", "2020-12-31"], "day/month/year"),
        (["2020/2/29", "2021/12/01"], ["2020-02-29", "2021-12-01"], "year/month/day"),
        (["2020-02-29 1:02", "2021-12-01"], ["2020-02-29T01:02", "2021-12-01"], "year-month-day"),
        (["2020-01-01T00:30:00+02:00", "2020-01-01T00:30:00Z"], ["2019-12-31T22:30", "2020-01-01T00:30"], None),
        (["12/31/2020 12:05 AM", "12/31/2020 3:04:05 pm"], ["2020-12-31T00:05", "2020-12-31T15:04:05"], None),
    ],
)
def test_dates(cells, expected, form):
    column = table_of("d,x\n" + "".join(f"{cell},1\n" for cell in cells)).column("d")
    assert column.kind == "date"
    assert column.values.tolist() == np.array(expected, "M8[us]").tolist()
    assert form is None or column.form == form
    assert column.notes == ()


@pytest.mark.parametrize(
    ("cell", "read", "form"),
    [("1/2/2020", "2020-01-02", "month/day/year"), ("1.2.2020", "2020-02-01", "day.month.year")],
)
def test_days_and_months_that_cannot_be_told_apart_are_noticed(cell, read, form):
    column = table_of(f"d,x\n{cell},1\n3{cell[1]}3{cell[1]}2020,1\n").column("d")
    assert values(column)[0] == f"{read}T00:00:00.000000"
    assert f"{cell} is read as {form}" in column.notes[0]
    known = table_of(f"d,x\n{cell},1\n", kinds={"d": ("date", "day/month/year")}) if "/" in cell else None
    assert known is None or values(known.column("d")) == ["2020-02-01T00:00:00.000000"]


def test_years_of_two_digits_are_noticed():
    column = table_of("d,x\n31/12/68,1\n31/12/69,1\n").column("d")
    assert [value[:4] for value in values(column)] == ["2068", "1969"]
    assert "31/12/68" in column.notes[0]


@pytest.mark.parametrize("cell", ["2021-02-29", "31.4.2021", "2020-13-01", "2020-01-01 24:00", "1.1.2020x"])
def test_days_that_no_calendar_has_are_words(cell):
    column = table_of(f"d,x\n{cell},1\n").column("d")
    assert column.kind == "word"


def test_a_column_that_changes_its_form_late_is_read_again(monkeypatch):
    monkeypatch.setattr(opening_module, "BLOCK", 4096)
    n = 3000
    rows = [f"{n_},{'' if n_ < 2000 else 'late'},{n_}.0,{n_ % 9},1/{n_ % 12 + 1}/2020,{n_}" for n_ in range(n)]
    rows[-1] = '7,late,abc,"1,5",13/1/2020,9007199254740993'
    rows += ["8,late,1,2,1/1/2020,9007199254740992"]
    table = table_of("id,word,mixed,comma,date,big\n" + "\n".join(rows) + "\n")
    assert [column.kind for column in table.columns] == ["number", "word", "word", "number", "date", "word"]
    assert values(table.column("word"))[1999:2001] == [None, "late"]
    assert values(table.column("mixed"))[:2] == ["0.0", "1.0"]
    assert values(table.column("comma"))[-2:] == [1.5, 2]
    assert values(table.column("date"))[1] == "2020-02-01T00:00:00.000000"
    assert values(table.column("big"))[-2:] == ["9007199254740993", "9007199254740992"]
    assert "2,999 values are numbers, and line 3001 holds 'abc'" in table.column("mixed").notes[0].replace(
        "3,000", "2,999"
    )


@pytest.mark.parametrize(
    ("cells", "kind", "note"),
    [
        (["9007199254740993", "9007199254740992"], "word", "9007199254740993 and 9007199254740992 are the same number"),
        (["9007199254740993", "5"], "number", "1 whole number beyond 2^53, such as 9007199254740993, rounded"),
        (["9007199254740992", "5"], "number", None),
        (["1000000001", "1000000000"], "number", None),
        (["0.12345678901234567890", "1e300"], "number", None),
    ],
)
def test_numbers_that_float64_cannot_tell_apart_are_never_merged_in_silence(cells, kind, note):
    column = table_of("a,b\n" + "".join(f"{cell},x\n" for cell in cells)).column("a")
    assert column.kind == kind
    assert (note is None and column.notes == ()) or note in column.notes[0]
    found = values(column)
    assert len(set(found)) == len(set(cells))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2\n3\n", "line 3: has 1 field; expected 2, as in the header in line 1; the row is cut short"),
        ("a,b,c\n1,2,3\n1,2,3,4,5\n", "line 3: has 5 fields; expected 3.*two rows were joined by a missing line end"),
        ("a,b,c\n1,2,3\n1,2,3,4\n", "line 3: has 4 fields; expected 3.*a cell with commas in it needs quotes"),
        ('a,b\n1,"x\n\n\ny"\n3\n', "line 6: has 1 field"),
        ('a,b\n1,"x\r\ny"\r\n3,4,5,6,7\r\n', "line 4: has 5 fields"),
        ('a,b\n5" x,1\n"2\n2",1\n3\n', "line 5: has 1 field"),
        ("1,2,3\n4,5,6\n7,8\n", "line 3: has 2 fields; expected 3, as in most of the first rows"),
        ('a,b\n1,"x\ny"\n2,"z\n3,4\n', "line 4: a quotation mark opens a cell, '\"z', and none closes it"),
        ('a,b\n1,"x"y\n2,3\n', "line 2: the quotation mark of the cell '\"x\"' closes before 'y'"),
        ('a,b\n1,"x\n2,"y"\n', "line 2: the quotation mark of the cell .* in line 3 it closes before 'y\"'"),
        ("a,b,c\n1,2,3\n4;5;6\n", "line 3: has 1 field.*with semicolons between them it has 3: the separator changes"),
        ("a;b\n1.5;2\n1,5;2\n", "line 3, column 'a': 1,5 has a decimal comma, and 1.5 in line 2 a decimal point"),
        ("a,b\n1,2\na,b\n3,4\n", "line 3: repeats the header of line 1; two files were joined"),
        ('a,b\n1,"2\n2"\n"a",b\na,b\n3,4\n', "line 5: repeats the header of line 1"),
        ("", "is empty; expected a table"),
        ("\n\n", "holds no rows"),
        ("a,b\n", "line 1: holds only a header, a, b, and no rows"),
        (
            "a,b\nr1,1,2\nr2,3,4\n",
            "line 1: the header has 2 names, and rows below it have 3 fields; .*the first of a row is its name",
        ),
        ("a,b\n1,2,\n3,4,\n", "line 1: the header has 2 names, .* 3 fields; .*every row ends with a separator"),
        ("# made by x\na,b\n1,2\n3,4\n", "line 1: the header has 1 name, .* 2 fields; .*not the header, perhaps"),
        ("a,b,a\n1,2,3\n", "line 1: columns 1 and 3 are both called 'a'; rename one"),
        (",a\n0,1\n", "line 1: column 1 of the header has no name.*an index that pandas wrote"),
        ("a,b,\n1,2,\n", "line 1: column 3 of the header has no name.*ends with a separator"),
        ("a,b\n1,2\ninf,3\n", "line 3, column 'a': 'inf' is not a finite number"),
        ('a,b\n"x\n\ny",1\nz,inf\n', "line 5, column 'b': 'inf' is not"),
        ("a,b\n1,2\n-1e999,3\n", "line 3, column 'a': '-1e999' is not a finite number"),
        (b"a,b\n1,2\n\xe9,3\n", "line 3: is not UTF-8 text .byte 0xe9.: Latin-1 or Windows-1252 perhaps"),
        (b"a,b\n1,2\n3\x00,3\n", "line 3: holds a zero byte"),
        (bytes(range(256)) * 64, "not UTF-8 text .*: not text at all, perhaps|zero byte"),
        ("a,b\n1,2\n".encode("utf-32"), "is UTF-32 text; save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "is not whole UTF-16 text"),
        (b"PK\x03\x04....", "is a zip archive, or an Excel workbook"),
        (b"BZh9....", "is compressed with bzip2"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:-20], "is cut short: its gzip stream ends"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-8] + b"\0" * 8, "is damaged: its gzip stream cannot be unpacked"),
        (gzip.compress(b"", mtime=0), "is empty"),
    ],
)
def test_bad_text_is_named_with_its_line(text, match):
    refuse(text, match)


def test_a_quote_that_is_lost_in_a_large_file_is_named_without_reading_all(monkeypatch):
    monkeypatch.setattr("jitnet.tables.rows.LONGEST_ROW", 5000)
    monkeypatch.setattr(opening_module, "BLOCK", 1000)
    refuse('a,b\n1,2\n3,"4\n' + "5,6\n" * 9999, "line 3: a quotation mark opens a cell")


def test_no_file(tmp_path):
    for name, match in (("none.csv", "there is no such file"), ("", "is a folder; expected a table")):
        with pytest.raises(DataError, match=match):
            read_table(tmp_path / name)


def test_a_known_kind_is_kept():
    text = "zip,n,when\n01234,1,2/1/2020\n56789,2,\n"
    table = table_of(text, kinds={"zip": ("word", ""), "when": ("date", "day/month/year"), "gone": ("number", "")})
    assert values(table.column("zip")) == ["01234", "56789"]
    assert values(table.column("when")) == ["2020-01-02T00:00:00.000000", None]
    assert table.column("when").notes == ()
    big = "a,b\n9007199254740993,1\n9007199254740992,1\n"
    assert table_of(big, kinds={"a": ("number", "")}).column("a").kind == "number"
    refuse(
        "a,b\n1,2\nx,3\n", "line 3, column 'a': holds 'x'; expected a number, or an empty", kinds={"a": ("number", "")}
    )
    refuse("a,b\n1,2\n", "column 'a': holds '1'; expected a date", kinds={"a": ("date", "")})


def test_very_many_different_words():
    n = 10**5
    column = table_of(b"a,b\n" + b"".join(b"w%d,1\n" % i for i in range(n))).column("a")
    assert (column.kind, len(column.words), column.words[-1]) == ("word", n, f"w{n - 1}")
    assert column.values.tolist() == list(range(n))


def test_a_column_of_missing_values_and_all_signs_of_missing():
    signs = ["NA", "?", "null", "", "nan", "NaN", "N/A", "none", "None", "-", "NULL", "n/a", '""', " NA "]
    table = table_of("a,b,c\n" + "".join(f"{sign},x,{sign}\n" for sign in signs) + ",,1\n")
    assert table.column("a").missing.all()
    assert table.column("b").missing.tolist() == [False] * len(signs) + [True]
    assert values(table.column("c")) == [None] * len(signs) + [1]


def test_a_pipe_is_read_as_a_file_is(tmp_path):
    text = "a,b\n" + "".join(f"{n},w{n % 3}\n" for n in range(5000)) + "x,w\n"
    script = (
        "import sys; from jitnet.tables import read_table; table = read_table(sys.argv[1]); "
        "print(table.source, len(table), [column.kind for column in table.columns])"
    )
    for source, name in (("-", "standard input"), ("/dev/stdin", "/dev/stdin")):
        done = subprocess.run(
            [sys.executable, "-c", script, source], input=text, capture_output=True, text=True, env=environment()
        )
        assert done.stdout == f"{name} 5001 ['word', 'word']\n", done.stderr


def test_progress_reaches_the_end(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 99))
    calls: list[tuple[str, int, int]] = []
    read_table(path, progress=lambda *call: calls.append(call))
    size = path.stat().st_size
    assert calls[-1] == (str(path), size, size)


def test_rows_that_pyarrow_reads_otherwise_are_an_error(monkeypatch):
    from pyarrow import csv as arrow_csv

    read = arrow_csv.read_csv
    monkeypatch.setattr(arrow_csv, "read_csv", lambda *options: read(*options).slice(1))
    refuse("a,b\n1,2\n3,4\n", "lines 2 to 3: 2 rows were counted, and pyarrow reads others .1 rows found")


def test_without_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"standard input: reading a table needs pyarrow; .*pip install pyarrow"):
        table_of("a,b\n1,2\n")


WORD = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n"), min_size=1, max_size=8).filter(
    lambda word: word == word.strip() and word
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(WORD, st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), WORD), min_size=1),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.booleans(),
)
def test_what_python_writes_is_read_back(rows, mark, quoting, end, encoding, packed):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=mark, quoting=quoting, lineterminator=end)
    writer.writerows([["first", "number", "last"], *rows])
    content = out.getvalue().encode(encoding)
    kinds = {"first": ("word", ""), "number": ("number", ""), "last": ("word", "")}
    table = table_of(gzip.compress(content) if packed else content, kinds=kinds)
    words = [[None if is_missing(word) else word for word in column] for column in list(zip(*rows, strict=True))[::2]]
    assert [values(table.column("first")), values(table.column("last"))] == words
    assert values(table.column("number")) == [number for _, number, _ in rows]
    assert table.lines.tolist()[0] == 2
    assert len(table) == len(rows)


@settings(max_examples=40, deadline=None)
@given(st.text('ab,;"\n\r 1.', max_size=40))
def test_any_text_is_a_table_or_one_clear_error(text):
    try:
        table = table_of(text)
    except DataError:
        return  # one line: errors escape line breaks
    assert len(table) == len(table.lines)
    assert (np.diff(table.lines) > 0).all()


def test_a_path_is_not_changed(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    read_table(path)
    assert [place.name for place in Path(tmp_path).iterdir()] == ["x.csv"]
