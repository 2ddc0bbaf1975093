"""From a CSV file to predictions on the command line, on the embedded table: every option of tables, and bad input."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import jitnet
from jitnet import render
from jitnet.cli import run, table_rows
from jitnet.cli.streams import is_file
from jitnet.datasets.files import embedded

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sample.csv, and runs on it: `rent` of numbers, `week` of classes."""
    home = tmp_path_factory.mktemp("tables")
    sample = home / "sample.csv"
    assert run(["data", "sample", str(sample)]) == 0
    options = ["--data", str(sample), "--epochs", "5", "--hidden", "16", "--threads", "1", "--quiet"]
    assert run(["train", "--target", "rent", "--out", str(home / "rent"), *options]) == 0
    assert run(["train", "--target", "let_in_a_week", "--ignore", "rent", "--out", str(home / "week"), *options]) == 0
    return home


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def sample_rows(folder: Path) -> list[dict[str, str]]:
    return rows_of((folder / "sample.csv").read_text())


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_five_commands_of_the_page(call, tmp_path):
    assert call("data", "sample").code == 0
    assert call("data", "info", "sample.csv", "--target", "rent").code == 0
    assert call("train", "--data", "sample.csv", "--target", "rent", "--epochs", "2", "--out", "runs/rent").code == 0
    assert call("eval", "runs/rent").code == 0
    assert call("predict", "runs/rent", "sample.csv", "--out", "predictions.csv").code == 0
    found = rows_of(Path("predictions.csv").read_text())
    assert len(found) == 600
    assert list(found[0]) == ["flat", "rent"]


def test_the_sample_is_made_by_its_script(tmp_path, monkeypatch):
    sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
    try:
        import make_sample
    finally:
        del sys.path[0]
    monkeypatch.setattr(make_sample, "TARGET", tmp_path / "sample.csv")
    make_sample.main()
    assert (tmp_path / "sample.csv").read_bytes() == embedded("data/sample.csv").read_bytes()


def test_a_sample_is_not_written_over_a_file(call):
    Path("sample.csv").write_text("mine")
    code, out, err = call("data", "sample")
    assert (code, out) == (1, "")
    assert "sample.csv: exists already and is not overwritten" in err
    assert Path("sample.csv").read_text() == "mine"
    code, _, err = call("data", "sample", "sample.xlsx")
    assert (code, "sample.xlsx: expected a name that ends in .csv" in err) == (2, True)


def test_train_says_what_it_took_and_why(call, folder):
    options = ["--epochs", "1", "--hidden", "4", "--out", "run"]
    code, out, err = call("train", "--data", folder / "sample.csv", "--target", "rent", *options)
    assert code == 0
    said = " ".join(err.split())
    assert "the target is 'rent', as asked, predicted as numbers: it has fractions" in said
    assert "120 of 600 rows (20%) are held out to test on, at random" in said
    assert "'flat' (an identifier" in said
    assert "'currency' (constant, every row has 'EUR')" in said
    assert "480 samples to train on, 120 to test, 1 target" in out
    assert "jitnet predict run ROWS.csv" in out


def test_eval_evaluates_the_rows_that_were_held_out(call, folder):
    out = call("eval", folder / "rent").out
    assert "test part, 120 rows, 1 target" in out
    named = call("eval", folder / "rent", "--data", folder / "sample.csv").out
    assert named.splitlines()[1:] == out.splitlines()[1:]


def test_eval_of_another_file_evaluates_all_its_rows(call, folder, tmp_path):
    other = written(tmp_path / "other.csv", sample_rows(folder)[:50])
    assert "other.csv: its only part, 50 rows, 2 classes" in call("eval", folder / "week", "--data", other).out
    document = json.loads(call("eval", folder / "week", "--test-data", other, "--json").out)
    assert document["data"]["n"] == 50


def test_eval_names_other_names_for_the_classes(call, folder, tmp_path):
    rows = [{**row, "let_in_a_week": row["let_in_a_week"] + "!"} for row in sample_rows(folder)[:50]]
    code, out, err = call("eval", folder / "week", "--data", written(tmp_path / "other.csv", rows))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "let_in_a_week" in err


def test_eval_names_large_errors_and_mistakes_by_their_lines(call, folder):
    document = json.loads(call("eval", folder / "rent", "--json").out)
    held_out = jitnet.load(folder / "sample.csv", target="rent").test
    for one in document["deviations"]:
        row = int(held_out.rows[one["index"]])
        assert one["place"] == f"line {row + 2}"
        assert one["targets"] == [float(sample_rows(folder)[row]["rent"])]
    assert f"{document['deviations'][0]['place']} " in call("eval", folder / "rent").out
    week = call("eval", folder / "week").out.partition("Most confident mistakes\n")[2]
    mistakes = json.loads(call("eval", folder / "week", "--json").out)["mistakes"]
    assert [line.split()[:2] for line in week.splitlines()[2:]] == [one["place"].split() for one in mistakes]


def test_a_class_that_the_model_does_not_know_is_named_with_its_line(call, folder, tmp_path):
    rows = sample_rows(folder)[:50]
    rows[20]["town"] = "Nowhere"
    other = written(tmp_path / "other.csv", rows)
    options = ["--target", "town", "--ignore", "rent", "--epochs", "1", "--hidden", "4", "--quiet", "--out", "town"]
    assert call("train", "--data", folder / "sample.csv", *options).code == 0
    for found in (call("eval", "town", "--data", other), call("eval", "town", "--test-data", other)):
        assert found.code == 1
        assert "the class in line 22, 'Nowhere', is not among those that the model knows" in found.err
    found = call("train", "--data", folder / "sample.csv", "--test-data", other, *options[:-1], "again")
    assert "label 'Nowhere' in line 22 is not a class of the training data" in found.err


@pytest.mark.parametrize("words", [("Yes", "No"), ("TRUE", "FALSE"), ("true", "false")])
def test_yes_and_no_are_predicted_in_the_words_of_the_file(call, tmp_path, words):
    def table(name, yes, no):
        rows = [{"x": str(k / 7), "y": (no, yes)[k % 40 > 19], "z": (no, yes)[k % 3 > 0]} for k in range(80)]
        return written(tmp_path / name, rows)

    data, options = table("data.csv", *words), ["--epochs", "1", "--hidden", "4", "--quiet"]
    assert call("train", "--data", data, "--target", "y", *options, "--out", "one").code == 0
    assert set(words) >= {row["prediction"] for row in rows_of(call("predict", "one", data).out)}
    names = [score["name"] for score in json.loads(call("eval", "one", "--json").out)["classes"]]
    assert sorted(names) == sorted(words)
    same = json.loads(call("eval", "one", "--data", table("same.csv", *words), "--json").out)["classes"]
    for others in ([word.lower() for word in words], ("yes", "no"), ("1", "0")):
        other = table("other.csv", *others)
        assert json.loads(call("eval", "one", "--data", other, "--json").out)["classes"] == same, others
    assert call("train", "--data", data, "--target", "y,z", *options, "--out", "two").code == 0
    predicted = rows_of(call("predict", "two", data).out)
    assert {row[label] for row in predicted for label in ("y", "z")} <= set(words)


def test_predictions_of_numbers_are_beside_the_identifier(call, folder):
    code, out, err = call("predict", folder / "rent", folder / "sample.csv")
    assert (code, err) == (0, "")
    found, known = rows_of(out), sample_rows(folder)
    assert [row["flat"] for row in found] == [row["flat"] for row in known]
    rents = [[float(row["rent"]) for row in rows] for rows in (found, known)]
    assert np.corrcoef(rents[0], rents[1])[0, 1] > 0.5


def test_predictions_of_classes_have_probabilities(call, folder):
    out = call("predict", folder / "week", folder / "sample.csv").out
    for row in rows_of(out):
        no, yes = (float(row[f"probability of {name}"]) for name in ("no", "yes"))
        assert no + yes == pytest.approx(1.0, abs=1e-5)
        assert row["prediction"] == ("yes" if yes > no else "no")


def test_columns_are_found_by_name_others_are_ignored_and_rows_numbered(call, folder, tmp_path):
    known = sample_rows(folder)[:20]
    named = rows_of(call("predict", folder / "rent", written(tmp_path / "known.csv", known)).out)
    rows = [
        {"extra": "7", **{name: row[name] for name in reversed(row) if name not in ("flat", "rent")}} for row in known
    ]
    code, out, err = call("predict", folder / "rent", written(tmp_path / "rows.csv", rows))
    assert code == 0
    assert "ignored the column 'extra', which the model was not trained on" in " ".join(err.split())
    assert [(row["row"], row["rent"]) for row in rows_of(out)] == [
        (str(number), row["rent"]) for number, row in enumerate(named, 1)
    ]


def test_a_few_rows_are_read_as_the_kinds_that_were_trained_on(call, folder, tmp_path):
    """A file of one row would be read otherwise: a town is missing, a number is a word of its own."""
    whole = rows_of(call("predict", folder / "rent", folder / "sample.csv").out)
    for number in (0, 3):
        one = written(tmp_path / f"{number}.csv", [sample_rows(folder)[number]])
        assert rows_of(call("predict", folder / "rent", one).out) == [whole[number]]


def test_a_missing_column_is_named(call, folder, tmp_path):
    rows = [{name: row[name] for name in row if name != "area"} for row in sample_rows(folder)[:5]]
    code, out, err = call("predict", folder / "rent", written(tmp_path / "rows.csv", rows))
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "rows.csv" in err
    assert "'area'" in err


def test_predict_in_a_pipe(call, folder, monkeypatch):
    content = (folder / "sample.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
    assert call("predict", folder / "rent", "-").out == call("predict", folder / "rent", folder / "sample.csv").out


def test_another_table_with_a_column_of_the_same_name_is_recognised(call, folder, tmp_path):
    rows = written(tmp_path / "houses.csv", [{"town": "Oslo", "built": "02.10.2009"}] * 3)
    code, _, err = call("predict", folder / "rent", rows)
    assert code == 1
    assert "houses.csv, line 2, column 'built': holds '02.10.2009'; expected a number" in err
    assert "; columns are missing too, 'flat' and 'area' for example: is it another table?" in " ".join(err.split())


def test_quiet_predictions_and_their_notices(call, folder, tmp_path):
    rows = written(tmp_path / "rows.csv", [row | {"pets": "no"} for row in sample_rows(folder)[:5]])
    loud, quiet = call("predict", folder / "rent", rows), call("predict", folder / "rent", rows, "-q")
    assert (quiet.code, quiet.out, quiet.err) == (0, loud.out, loud.err)
    assert "ignored the column 'pets'" in quiet.err
    assert call("predict", folder / "rent", rows, "--out", tmp_path / "found.csv", "-q").out == ""


def test_a_mean_over_targets_in_several_units_is_none(call, folder):
    options = ["--epochs", "1", "--hidden", "4", "--quiet", "--out", "both"]
    assert call("train", "--data", folder / "sample.csv", "--target", "rent,rooms", *options).code == 0
    mean = next(line for line in call("eval", "both").out.splitlines() if line.startswith("mean"))
    assert [cell == "-" for cell in mean.split()[1:]] == [True, True, False, True]


def test_a_bar_is_shown_only_where_rows_are_written_elsewhere(call, folder, tmp_path, monkeypatch):
    """What reads the rows from a pipe may write to the terminal of the bar."""
    shown, counting = [], render.counting

    def recorded(consoles, *what):
        shown.append(consoles.err.quiet)
        return counting(consoles, *what)

    monkeypatch.setattr(render, "counting", recorded)
    monkeypatch.setattr(table_rows, "is_file", lambda stream: False)
    call("predict", folder / "rent", folder / "sample.csv")
    call("predict", folder / "rent", folder / "sample.csv", "--out", "found.csv")
    monkeypatch.setattr(table_rows, "is_file", lambda stream: True)
    call("predict", folder / "rent", folder / "sample.csv")
    assert shown == [True, False, False]
    with (tmp_path / "rows").open("w") as file, os.fdopen(os.pipe()[1], "w") as pipe:
        assert (is_file(file), is_file(pipe), is_file(io.StringIO())) == (True, False, False)


def test_predict_as_one_document(call, folder):
    document = json.loads(call("predict", folder / "week", folder / "sample.csv", "--json").out)
    assert len(document["predictions"]) == 600
    assert set(document["predictions"][0]) == {"flat", "prediction", "probability of no", "probability of yes"}
    assert document["notices"] == []


def test_predict_writes_tabs_and_keeps_a_file_on_an_error(call, folder, tmp_path):
    out = tmp_path / "found.tsv"
    assert call("predict", folder / "rent", folder / "sample.csv", "--out", out).code == 0
    assert out.read_text().splitlines()[0] == "flat\trent"
    (tmp_path / "bad.csv").write_text("x\n1\n")
    before = out.read_bytes()
    assert call("predict", folder / "rent", tmp_path / "bad.csv", "--out", out).code == 1
    assert out.read_bytes() == before


def test_predictions_in_many_chunks_are_those_of_one(call, folder, monkeypatch):
    whole = call("predict", folder / "rent", folder / "sample.csv").out
    monkeypatch.setattr("jitnet.cli.table_rows.ROWS_AT_ONCE", 64)
    assert call("predict", folder / "rent", folder / "sample.csv").out == whole


def test_several_targets_and_quantiles_have_a_column_each(call, folder):
    options = ["--epochs", "1", "--hidden", "4", "--quiet"]
    data = folder / "sample.csv"
    assert call("train", "--data", data, "--target", "rent,rooms", "--out", "two", *options).code == 0
    assert list(rows_of(call("predict", "two", data).out)[0]) == ["flat", "rent", "rooms"]
    assert call("train", "--data", data, "--target", "rent", "--loss", "quantile", "--out", "q", *options).code == 0
    names = list(rows_of(call("predict", "q", data).out)[0])
    assert names[0] == "flat"
    assert len(names) > 2
    assert all(name.startswith("rent ") for name in names[1:])


def test_several_columns_of_yes_and_no_are_labels(call, folder):
    data = folder / "sample.csv"
    options = ["--epochs", "1", "--hidden", "4", "--quiet", "--out", "run"]
    assert call("train", "--data", data, "--target", "lift,let_in_a_week", *options).code == 0
    (row, *_) = rows_of(call("predict", "run", data).out)
    assert list(row) == [
        "flat", "lift", "let_in_a_week", "probability of lift", "probability of let_in_a_week"
    ]  # fmt: skip
    assert row["lift"] == ("yes" if float(row["probability of lift"]) > 0.5 else "no")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--target", "rnt"], 1, "has no column 'rnt'"),
        (["--target", "99"], 1, "has no column 99; expected a name, or a number from 1 to 14"),
        (["--target", "town", "--task", "regress"], 1, "expected numbers to predict, or --task classify"),
        (["--target", "town", "--loss", "squared-error"], 1, "expected numbers to predict"),
        (
            ["--target", "rent", "--task", "classify", "--loss", "huber"],
            2,
            "--task classify and --loss huber do not fit",
        ),
        (["--target", "rent", "--task", "guess"], 2, "--task: expected auto, classify or regress, found 'guess'"),
        (["--target", "currency"], 1, "all 600 labels are 'EUR'; expected two classes or more"),
        (["--target", "rent", "--group", "rent"], 2, "--group: the column 'rent' is named twice, for --target too"),
        (["--target", ""], 2, "--target is empty"),
        (["--target", "rent", "--weight", "town"], 1, "the weight 'town' holds words"),
        (["--target", "rent", "--time", "town"], 1, "the time 'town' holds words"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_of_a_table_are_one_line(call, folder, options, code, message):
    result = call("train", "--data", folder / "sample.csv", "--epochs", "1", "--out", "run", *options)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not Path("run").exists()


def test_options_of_tables_are_for_tables(call):
    code, _, err = call("train", "--data", "digits", "--target", "x")
    assert code == 2
    assert "digits is not a table: it has no columns to name" in err


def test_groups_and_times_and_weights(call, folder):
    options = [
        "--data",
        folder / "sample.csv",
        "--target",
        "rent",
        "--epochs",
        "1",
        "--hidden",
        "4",
        "--val-split",
        "0.2",
    ]
    code, _, err = call("train", *options, "--group", "agent", "--weight", "area", "--out", "one")
    assert (code, "area" in err) == (1, True)  # some have none
    code, _, err = call("train", *options, "--group", "agent", "--weight", "rooms", "--out", "one")
    assert code == 0
    assert "whole groups by 'agent'" in " ".join(err.split())
    code, _, err = call("train", *options, "--time", "listed", "--out", "two")
    assert code == 0
    assert "the latest by 'listed'" in " ".join(err.split())
    assert call("eval", "two").code == 0


def test_a_model_of_a_table_takes_no_pictures_and_one_file(call, folder):
    Path("seven.png").write_bytes(b"")
    assert call("predict", folder / "rent", "seven.png").code == 2
    code, _, err = call("predict", folder / "rent", folder / "sample.csv", folder / "sample.csv")
    assert code == 2
    assert "name one FILE" in err
    code, _, err = call("predict", folder / "rent", folder / "sample.csv", "--out", "found.txt")
    assert code == 2
    assert "--out: expected a name that ends in .csv or .tsv" in err


def test_rows_of_plain_numbers_are_predicted_by_place(call, folder):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 3))
    rows = np.column_stack([values[:, 0] > 0, values])
    np.savetxt("train.csv", rows, fmt=["%d", "%.5f", "%.5f", "%.5f"], delimiter=",")
    np.savetxt("rows.csv", values, fmt="%.5f", delimiter=",")
    assert call("train", "--data", "train.csv", "--epochs", "20", "--hidden", "8", "--quiet", "--out", "run").code == 0
    code, out, err = call("predict", "run", "rows.csv")
    assert (code, err) == (0, "")
    found = rows_of(out)
    assert [row["row"] for row in found] == [str(k) for k in range(1, 61)]
    assert np.mean([int(row["prediction"]) for row in found] == rows[:, 0]) > 0.9
    labelled = call("predict", "run", "train.csv")
    assert labelled.out == out
    assert "the first of 4 columns is taken for the label, and ignored" in " ".join(labelled.err.split())
    code, out, err = call("eval", "run", "--data", folder / "sample.csv")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "sample.csv: is a table with names, words or gaps, and the model was not trained on one" in err
    np.savetxt("short.csv", values[:, :2], fmt="%.5f", delimiter=",")
    code, out, err = call("predict", "run", "short.csv")
    assert (code, out) == (1, "")
    assert "short.csv: has 2 columns; the model expects 3" in err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_info_shows_each_column_and_what_becomes_of_it(call, folder, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = call("data", "info", folder / "sample.csv", "--target", "rent")
    assert (code, err) == (0, "")
    for name in ("town", "area", "built", "heating", "balcony", "listed", "agent"):
        assert sum(line.startswith(name) for line in out.splitlines()) == 2
    assert "rent                -  the target" in out
    assert "left out: constant, every row has 'EUR'" in out


def test_info_says_how_to_name_the_target_where_it_was_guessed(call, folder):
    source, hint = folder / "sample.csv", "if another column is to be predicted: jitnet data info"
    assert call("data", "info", source).out.splitlines()[-1] == f"{hint} {source} --target COLUMN"
    assert hint not in call("data", "info", source, "--target", "rent").out
    assert hint not in call("data", "info", source, "--json").out


def test_info_as_one_document(call, folder):
    document = json.loads(call("data", "info", folder / "sample.csv", "--target", "rent", "--json").out)
    columns = {one["name"]: one for one in document["columns"]}
    assert document["n_rows"] == 600
    assert columns["area"]["missing"] == 16
    assert columns["listed"]["kind"] == "date"
    assert sum(columns["rent"]["histogram"]) == 600
    assert columns["rent"]["becomes"] == "the target"


def test_info_of_a_column_that_is_not_there(call, folder):
    code, out, err = call("data", "info", folder / "sample.csv", "--target", "rentt")
    assert (code, out) == (1, "")
    assert "has no column 'rentt'" in err
    assert "'rent'" in err


def test_identifiers_are_predicted_beside_as_they_are_written(call, folder, tmp_path):
    known = sample_rows(folder)[:4]
    for flats in (["007", "7", "9007199254740993", "1e3"], ["1", "20", "9007199254740993", "9007199254740992"]):
        rows = [{**row, "flat": flat} for row, flat in zip(known, flats, strict=True)]
        path = written(tmp_path / "rows.csv", rows)
        assert [row["flat"] for row in rows_of(call("predict", folder / "rent", path).out)] == flats
        document = json.loads(call("predict", folder / "rent", path, "--json").out)
        assert [str(row["flat"]) for row in document["predictions"]] == flats
        assert {type(row["flat"]) for row in document["predictions"]} == {str if "007" in flats else int}


def test_a_row_without_a_line_end_is_a_row(call, folder, tmp_path):
    whole = written(tmp_path / "whole.csv", sample_rows(folder)[:1])
    (tmp_path / "cut.csv").write_text(whole.read_text().rstrip("\r\n"))
    expected = call("predict", folder / "rent", whole).out
    assert len(rows_of(expected)) == 1
    assert call("predict", folder / "rent", tmp_path / "cut.csv").out == expected


def test_a_cell_of_another_kind_is_named_with_its_line(call, folder, tmp_path):
    rows = [{**row} for row in sample_rows(folder)[:300]]
    rows[200]["area"] = "large"
    code, out, err = call("predict", folder / "rent", written(tmp_path / "rows.csv", rows))
    assert (code, out) == (1, "")
    assert "rows.csv, line 202, column 'area': holds 'large'; expected a number" in " ".join(err.split())
