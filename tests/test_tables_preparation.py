"""What each column of a table becomes: decided from the rows that are trained on, kept as JSON, repeated on others."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jitnet.errors import DataError
from jitnet.tables.findings import find, notices
from jitnet.tables.preparation import Preparation, learn
from jitnet.tables.table import Column, Table
from jitnet.tables.treatments import MOST_WORDS

NAN = float("nan")
N = 200


def numbers(name, values):
    return Column(name, "number", np.array(values, np.float64))


def words(name, values):
    known = tuple(dict.fromkeys(value for value in values if value is not None))
    codes = [-1 if value is None else known.index(value) for value in values]
    return Column(name, "word", np.array(codes, np.int32), known)


def dates(name, values):
    return Column(name, "date", np.array(values, "datetime64[us]"))


def booleans(name, values):
    return Column(name, "boolean", np.array(values, np.float64))


def table(*columns, source="flats.csv"):
    return Table(source, columns, np.arange(len(columns[0])) + 2)


def prepared(*columns, rows=None):
    found = table(*columns)
    preparation = learn(found, rows)
    return dict(zip(preparation.feature_names, preparation.features(found).T, strict=True)), preparation


def about(preparation, name):
    return next(one.about for one in preparation.treatments if one.name == name)


def test_numbers_are_median_and_quartiles_smoothly_limited():
    values = np.arange(101.0) ** 2
    features, _ = prepared(numbers("x", values))
    x = (values - 2500.0) / (75.0**2 - 25.0**2)
    assert np.array_equal(features["x"], (x / np.sqrt(1 + (x / 3) ** 2)).astype(np.float32))


def test_numbers_whose_quartiles_are_equal_are_scaled_by_half_their_range():
    values = [0.0] * 10 + [6.0]
    features, _ = prepared(numbers("x", values))
    assert features["x"][-1] == pytest.approx(2.0 / np.sqrt(1 + (2.0 / 3) ** 2))


def test_large_numbers_are_taken_apart_before_they_are_rounded():
    features, _ = prepared(numbers("x", [1e9, 1e9 + 1, 1e9 + 2, 1e9 + 3]))
    assert len(set(features["x"].tolist())) == 4


def test_extreme_numbers_stay_within_the_limits():
    features, _ = prepared(numbers("x", [1e-300, 2e-300, 3e-300, 1e308, -1e308]))
    assert np.isfinite(features["x"]).all()
    assert np.abs(features["x"]).max() <= 3.0


def test_a_missing_number_is_the_median_and_has_a_flag():
    features, _ = prepared(numbers("x", [1.0, 2.0, 3.0, NAN]))
    assert features["x"][3] == features["x"][1] == 0.0
    assert features["x missing"].tolist() == [0, 0, 0, 1]


def test_without_missing_values_there_is_no_flag():
    features, preparation = prepared(numbers("x", [1.0, 2.0, 3.0]))
    assert list(features) == ["x"]
    assert preparation.features(table(numbers("x", [NAN, 1.0]))).tolist() == [[0.0], pytest.approx([-0.9487], abs=1e-4)]


def test_words_have_a_feature_each_one_for_rare_ones_and_one_for_unseen_ones():
    small = [*["gas"] * 900, *["oil"] * 95, *["wood"] * 4, "peat"]
    features, preparation = prepared(words("heat", small))
    assert list(features) == ["heat = gas", "heat = oil", "heat rare", "heat unseen"]
    assert features["heat rare"].sum() == 4
    assert features["heat unseen"].tolist() == [0.0] * 999 + [1.0]
    others = preparation.features(table(words("heat", ["sun", "wood", "gas", None])))
    assert others.tolist() == [[0, 0, 0, 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_an_unseen_word_is_none_of_the_words_where_no_row_shows_what_one_is():
    _, preparation = prepared(words("heat", ["gas", "gas", "oil", "oil"]))
    assert preparation.features(table(words("heat", ["sun", "oil"]))).tolist() == [[0, 0], [0, 1]]


def test_a_missing_word_has_its_feature():
    features, _ = prepared(words("heat", ["gas", "gas", "oil", "oil", None]))
    assert features["heat missing"].tolist() == [0, 0, 0, 0, 1]
    assert features["heat = gas"].tolist() == [1, 1, 0, 0, 0]


def test_true_and_false_are_one_and_zero_with_a_flag():
    features, _ = prepared(booleans("lift", [1, 1, 0, NAN]))
    assert features["lift"].tolist() == [1, 1, 0, 1]
    assert features["lift missing"].tolist() == [0, 0, 0, 1]


def test_dates_are_days_and_the_parts_that_differ():
    found = [np.datetime64("2024-01-31") + np.timedelta64(day, "D") for day in range(0, 800, 40)]
    features, _ = prepared(dates("listed", [*found, "NaT"]))
    assert list(features) == [
        "listed days", "listed year", "listed month sine", "listed month cosine", "listed weekday sine",
        "listed weekday cosine", "listed missing",
    ]  # fmt: skip
    assert features["listed month cosine"][0] == 1.0
    wednesday = 2.0 * np.pi * 2 / 7
    assert features["listed weekday sine"][0] == pytest.approx(np.sin(wednesday))
    assert [float(one[-1]) for one in features.values()] == [0, 0, 0, 0, 0, 0, 1]


def test_hours_are_a_part_where_dates_have_them():
    found = np.datetime64("2024-01-31T00:30") + np.arange(24) * np.timedelta64(1, "h")
    features, _ = prepared(dates("when", found))
    assert features["when hour sine"][6] == pytest.approx(1.0)
    assert "when year" not in features


def test_before_1970_parts_are_the_calendars():
    found = np.array(["1969-12-28T23:30", "1969-12-29T01:00", "1945-05-08T12:00"], "datetime64[us]")
    features, _ = prepared(dates("when", found))
    assert features["when weekday cosine"][1] == 1.0  # a Monday
    assert features["when hour sine"][0] == pytest.approx(np.sin(2 * np.pi * 23 / 24))
    assert features["when month sine"][2] == pytest.approx(np.sin(2 * np.pi * 4 / 12))


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (numbers("x", [7.0] * N), "constant, every row has 7"),
        (words("x", ["EUR"] * N), "constant, every row has 'EUR'"),
        (numbers("x", [NAN] * N), "only missing values"),
        (numbers("x", range(1000, 1000 + N)), "an identifier"),
        (numbers("flat_id", np.arange(N) * 977), "an identifier"),
        (words("x", [f"note {k}" for k in range(N)]), "an identifier"),
    ],
    ids=["number", "word", "missing", "counted", "called", "words"],
)
def test_a_column_that_says_nothing_is_named_and_left_out(column, reason):
    other = numbers("y", np.arange(N) / 7.0)
    found = table(column, other)
    preparation = learn(found)
    assert preparation.feature_names == ("y",)
    (line,) = notices(find(found, preparation, np.arange(N)), found)
    assert line.startswith(f"left out of flats.csv: '{column.name}' ({reason}")


def test_words_of_too_many_kinds_are_named_and_left_out():
    column = words("street", [f"street {k // 2}" for k in range(2 * MOST_WORDS + 2)])
    _, preparation = prepared(column, numbers("y", np.arange(len(column)) / 3.0))
    assert about(preparation, "street") == f"left out: {MOST_WORDS + 1} different words, more than {MOST_WORDS}"


def test_whole_numbers_that_differ_but_are_measured_stay_and_are_named():
    found = table(numbers("people", np.arange(N) ** 2 * 31))
    preparation = learn(found)
    assert preparation.feature_names == ("people",)
    (finding,) = find(found, preparation, np.arange(N))
    assert finding.kind == "identifier"


def test_numbers_that_become_one_in_float32_are_named():
    found = table(numbers("x", [*range(4), 1e12, 1e12 + 1]))
    (line,) = notices(find(found, learn(found), np.arange(6)), found)
    assert "1000000000000 and 1000000000001" in line
    assert "float32 cannot tell" in line


def test_a_column_that_tells_the_target_is_named():
    rng = np.random.default_rng(0)
    price = rng.random((N, 1)) * 100
    found = table(numbers("dollars", price[:, 0] * 1.1), numbers("noise", rng.random(N)))
    names = [one.column for one in find(found, learn(found), np.arange(N), price)]
    assert names == ["dollars"]
    classes = np.arange(N) % 2
    found = table(words("grade", ["good" if c else "bad" for c in classes]), numbers("noise", rng.random(N)))
    names = [one.column for one in find(found, learn(found), np.arange(N), classes)]
    assert names == ["grade"]


def test_only_the_rows_that_are_trained_on_decide():
    rows = np.arange(100) < 50
    values = np.r_[np.arange(50) / 7, np.full(50, 1e6)]
    kinds = [*["gas", "oil"] * 25, *["sun"] * 50]
    _, preparation = prepared(numbers("x", values), words("heat", kinds), rows=rows)
    alone = learn(table(numbers("x", values[:50]), words("heat", kinds[:50])))
    assert preparation == alone


def test_what_is_learned_again_has_the_same_features_and_forgets_the_rows_that_are_held_out():
    values = np.r_[np.arange(100) / 7, np.full(100, 50.0)]
    kinds = [*["gas", "oil"] * 50, *["sun"] * 100]
    gaps = [*[1.0, 2.0] * 50, *[NAN] * 100]
    found = table(numbers("x", values), words("heat", kinds), numbers("y", gaps))
    whole = learn(found)
    again = whole.relearn(found, np.arange(100))
    assert again.feature_names == whole.feature_names
    alone = learn(table(numbers("x", values[:100])))
    assert np.array_equal(again.features(found)[:, 0], alone.features(found)[:, 0])
    features = dict(zip(again.feature_names, again.features(found).T, strict=True))
    assert not features["heat = sun"].any()  # of which nothing could be learned
    assert not features["y missing"].any()
    assert features["heat = oil"][:100].sum() == 50


def test_json_keeps_every_bit():
    found = table(
        numbers("x", np.random.default_rng(0).random(N)),
        words("heat", ["gas", "öl"] * (N // 2)),
        booleans("lift", [0, 1] * (N // 2)),
        dates("d", np.datetime64("2024-01-31") + np.arange(N) * np.timedelta64(31, "h")),
        words("zip", [f"{k}" for k in range(N)]),
    )
    preparation = learn(found)
    again = Preparation.from_json(preparation.as_json())
    assert again == preparation
    assert np.array_equal(again.features(found), preparation.features(found))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.update(version=2), "version: "),
        (lambda one: one.update(extra=1), "extra: "),
        (lambda one: one["treatments"][0]["spread"].update(scale="wide"), "treatments.0.number.spread.scale: "),
        (lambda one: one["treatments"][0]["spread"].update(scale=-1.0), "treatments.0.number.spread.scale: "),
        (lambda one: one["treatments"][0].update(dead=[5]), "dead feature"),
        (lambda one: one["treatments"].append(one["treatments"][0]), "two columns have one name"),
        (lambda one: one["treatments"][0].update(kind="picture"), "treatments.0: "),
        (lambda one: one.pop("treatments"), "treatments: field required"),
    ],
)
def test_a_broken_json_is_one_clear_line(change, message):
    stored = json.loads(learn(table(numbers("x", [1.0, 2.0, 3.0]))).as_json())
    change(stored)
    with pytest.raises(DataError) as raised:
        Preparation.from_json(json.dumps(stored))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_json_object_is_one_clear_line(text):
    with pytest.raises(DataError) as raised:
        Preparation.from_json(text)
    assert "\n" not in str(raised.value)


def test_columns_are_found_by_name_and_others_ignored():
    x, heat = numbers("x", [1.0, 2.0, 3.0, 4.0]), words("heat", ["gas", "oil"] * 2)
    _, preparation = prepared(x, heat)
    other = table(numbers("z", [0.0] * 4), heat, x)
    assert np.array_equal(preparation.features(other), preparation.features(table(x, heat)))
    assert preparation.unused(other) == ("z",)


def test_a_missing_column_is_named_with_the_nearest_name():
    _, preparation = prepared(numbers("area", [1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match=r"lacks the column 'area'; .* is 'Area ' it under another name\?"):
        preparation.features(table(numbers("Area ", [1.0])))


def test_an_infinite_number_is_named_with_its_line():
    bad = table(numbers("x", [1.0, 2.0, float("inf")]))
    with pytest.raises(DataError, match=r"flats\.csv, line 4: the column 'x' holds inf; expected finite numbers"):
        learn(bad)
    with pytest.raises(DataError, match="line 4"):
        learn(table(numbers("x", [1.0, 2.0]))).features(bad)


def test_no_column_to_predict_from_is_an_error():
    with pytest.raises(DataError, match="'x' is left out: constant, every row has 1"):
        learn(table(numbers("x", [1.0, 1.0])))


def test_a_column_of_another_kind_is_named():
    _, preparation = prepared(numbers("area", [1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match="the column 'area' holds 'large'; expected numbers"):
        preparation.features(table(words("area", ["large", "small"])))


def test_a_few_rows_may_look_like_another_kind():
    n = 40
    _, preparation = prepared(
        words("code", ["1", "2", "A", "true"] * (n // 4)),
        numbers("x", np.arange(n) / 3),
        booleans("lift", [0, 1] * (n // 2)),
        dates("d", np.datetime64("2024-01-31") + np.arange(n) * np.timedelta64(9, "D")),
    )
    rows = table(
        numbers("code", [1.0, 2.0]), booleans("x", [0, 1]), numbers("lift", [1.0, NAN]), words("d", [None, None])
    )
    features = dict(zip(preparation.feature_names, preparation.features(rows).T, strict=True))
    assert features["code = 1"].tolist() == [1, 0]
    assert features["code = 2"].tolist() == [0, 1]
    assert features["lift"].tolist() == [1, 0]
    assert features["d days"].tolist() == [0, 0]


def test_words_may_be_true_and_false_or_dates():
    n = 40
    listed = np.datetime64("2024-01-31") + np.arange(n) * np.timedelta64(9, "D")
    _, preparation = prepared(booleans("lift", [0, 1] * (n // 2)), dates("d", listed))
    typed = preparation.features(table(booleans("lift", [1, 0]), dates("d", listed[2:4])))
    spelled = table(words("lift", ["Yes", "no"]), words("d", [str(day) for day in listed[2:4]]))
    assert np.array_equal(preparation.features(spelled), typed)
    with pytest.raises(DataError, match="the column 'd' holds 'soon'; expected dates"):
        preparation.features(table(words("lift", ["yes", "no"]), words("d", ["soon", "2024-01-31"])))


def test_numbers_may_be_categories():
    found = table(numbers("zone", [1.0, 2.0, 3.0] * 20))
    assert learn(found, categorical=["zone"]).feature_names == ("zone = 1", "zone = 2", "zone = 3")


def test_chosen_rows_are_those_of_the_whole():
    found = table(numbers("x", np.random.default_rng(0).random(40_000)), booleans("b", np.arange(40_000) % 2))
    preparation = learn(found)
    rows = np.arange(0, 40_000, 3)
    whole = preparation.features(found)
    assert np.array_equal(preparation.features(found, rows), whole[rows])
    assert np.array_equal(preparation.features(found, np.arange(40_000) % 3 == 0), whole[rows])
    assert whole.dtype == np.float32
    assert whole.flags.c_contiguous


def test_what_is_skipped_is_no_feature():
    found = table(numbers("x", [1.0, 2.0, 3.0]), numbers("y", [1.0, 2.0, 4.0]))
    assert learn(found, skip=["y"]).feature_names == ("x",)
    assert replace(found, columns=found.columns[:1]).names == ("x",)


def test_a_preparation_with_a_word_twice_is_refused():
    text = '{"treatments": [{"kind": "word", "name": "town", "words": ["Oslo", "Rome"], "rare": ["Oslo"]}]}'
    with pytest.raises(DataError, match="the column 'town' has one word twice"):
        Preparation.from_json(text)
