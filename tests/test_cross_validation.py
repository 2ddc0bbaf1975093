"""Folds, what is learned for each, and `jitnet cv`."""

import json
import math
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from in_process import InProcess

import jitnet
from jitnet.datasets import Dataset, Split
from jitnet.datasets.folds import Fold, check_folds
from jitnet.errors import DataError, UsageError
from jitnet.search import local
from jitnet.search.cross_validation import FoldScore, summarise
from jitnet.tables.preparation import learn

RNG = np.random.default_rng(0)


def of_classes(n: int, n_classes: int = 3, **fields: np.ndarray) -> Split:
    labels = np.random.default_rng(1).integers(0, n_classes, n)
    return Split(np.zeros((n, 2), np.float32), labels, **fields)


def rows_of_folds(split: Split, n_folds: int, seed: int = 0) -> list[np.ndarray]:
    return [Fold(k + 1, n_folds, seed).rows(split)[1] for k in range(n_folds)]


@pytest.mark.small
@pytest.mark.parametrize(("n", "n_folds"), [(2, 2), (17, 3), (100, 7), (101, 101)])
def test_each_row_is_in_one_fold_and_folds_are_alike(n, n_folds):
    split = of_classes(n)
    folds = rows_of_folds(split, n_folds)
    assert (np.sum(folds, axis=0) == 1).all()
    sizes = [np.count_nonzero(fold) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in range(3):
        found = [np.count_nonzero(split.labels[fold] == label) for fold in folds]
        assert max(found) - min(found) <= 1
    for k, fold in enumerate(folds):
        np.testing.assert_array_equal(Fold(k + 1, n_folds, 0).rows(split)[0], ~fold)


@pytest.mark.small
def test_folds_depend_on_the_seed_alone():
    split = of_classes(60)
    np.testing.assert_array_equal(rows_of_folds(split, 4, 3), rows_of_folds(split, 4, 3))
    assert not np.array_equal(rows_of_folds(split, 4, 3), rows_of_folds(split, 4, 4))


@pytest.mark.small
@pytest.mark.parametrize("n_folds", [2, 5, 12])
def test_rows_of_a_group_are_in_one_fold(n_folds):
    groups = np.random.default_rng(2).integers(0, 12, 200)
    split = of_classes(200, groups=groups)
    folds = rows_of_folds(split, n_folds)
    assert (np.sum(folds, axis=0) == 1).all()
    for fold in folds:
        assert fold.any()
        assert not set(groups[fold]) & set(groups[~fold])
    if n_folds < 12:
        sizes = [np.count_nonzero(fold) for fold in folds]
        assert max(sizes) <= 1.5 * min(sizes)


@pytest.mark.small
def test_classes_are_balanced_over_folds_of_groups():
    groups = np.repeat(np.arange(20), 5)
    split = replace(of_classes(100, groups=groups), labels=(groups % 2).astype(np.int64))
    for fold in rows_of_folds(split, 5):
        assert split.labels[fold].mean() == pytest.approx(0.5, abs=0.11)


@pytest.mark.small
@pytest.mark.parametrize("n_folds", [2, 4, 9])
def test_folds_of_times_follow_each_other(n_folds):
    times = np.random.default_rng(3).integers(0, 10, 100)
    split = of_classes(100, times=times)
    seen, before = np.zeros(100, bool), None
    for k in range(n_folds):
        train, test = Fold(k + 1, n_folds, 0).rows(split)
        assert train.any()
        assert test.any()
        assert times[train].max() < times[test].min()
        assert not (seen & test).any()
        assert before is None or (train == before).all()
        seen |= test
        before = train | test
    assert before.all()


@pytest.mark.small
@pytest.mark.parametrize(
    ("split", "n_folds", "message"),
    [
        (of_classes(7), 8, "<folds> is 8, and there are 7 rows; expected 2 to 7"),
        (of_classes(7), 1, "<folds> is 1, and there are 7 rows; expected 2 to 7"),
        (of_classes(1), 2, "<folds> is 2, and there is 1 row; no folds can be made of these"),
        (of_classes(9, groups=np.repeat([0, 1, 2], 3)), 4, "there are 3 groups; expected 2 to 3"),
        (of_classes(9, groups=np.zeros(9, np.int64)), 2, "there is 1 group; no folds"),
        (of_classes(9, times=np.repeat([0, 1, 2], 3)), 3, "there are 3 different times, .* only trained on; .* 2 to 2"),
    ],
)
def test_too_few_rows_groups_or_times_are_named(split, n_folds, message):
    with pytest.raises(UsageError) as error:
        check_folds(split, n_folds)
    assert re.search(message, error.value.marked)


@pytest.mark.small
def test_a_fold_is_read_from_its_text():
    assert Fold.parse(str(Fold(2, 5, 7))) == Fold(2, 5, 7)
    for text in ("", "6 of 5, seed 0", "one of 5, seed 0"):
        with pytest.raises(DataError, match="there is no fold"):
            Fold.parse(text)


def changed_in(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The same data with other values in some rows."""
    images, targets = dataset.train.images.copy(), dataset.train.targets
    images[rows] *= 1000.0
    if targets is not None:
        targets = targets.copy()
        targets[rows] *= 1000.0
    return replace(dataset, train=replace(dataset.train, images=images, targets=targets))


@pytest.mark.small
def test_scalings_are_learned_from_the_rows_outside_of_a_fold():
    features = RNG.normal(size=(60, 3)) * [1, 10, 100]
    data = jitnet.from_arrays(features, features[:, 0] * 3 + 1, task="regress")
    fold = Fold(2, 4, 0)
    train, test = fold.rows(data.train)
    found = fold(data)
    np.testing.assert_allclose(found.scaling.offset, features[train].mean(axis=0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.target_scaling.offset, (features[train, 0] * 3 + 1).mean(), rtol=1e-5)
    assert (len(found.train), len(found.test)) == (np.count_nonzero(train), np.count_nonzero(test))
    other = fold(changed_in(data, test))
    assert other.scaling == found.scaling
    assert other.target_scaling == found.target_scaling
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=3, n_targets=1, loss="squared-error"), found)
    assert model.scaling == found.scaling
    assert model.target_scaling == found.target_scaling


@pytest.mark.small
def test_fractions_that_are_no_grey_levels_stay_so_in_a_fold():
    images = RNG.integers(0, 256, size=(40, 25)) / 255.0
    images[0, 0] = 0.12345  # all others are k/255
    data = jitnet.from_arrays(images, np.arange(40) % 2)
    for k in range(1, 5):
        found = Fold(k, 4, 0)(data)
        values = found.train.images.astype(np.float64) * found.scaling.scale
        np.testing.assert_allclose(values, images[Fold(k, 4, 0).rows(data.train)[0]], atol=1e-6)
        values = found.test.images.astype(np.float64) * found.scaling.scale
        np.testing.assert_allclose(values, images[Fold(k, 4, 0).rows(data.train)[1]], atol=1e-6)


@pytest.mark.small
def test_what_columns_become_is_learned_from_the_rows_outside_of_a_fold():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": RNG.normal(size=50), "kind": RNG.choice(["p", "q"], size=50)})
    frame["price"] = frame["size"] * 2
    data = jitnet.load(frame, target="price", task="regress", held_out=0.0)
    for k in range(1, 6):
        fold = Fold(k, 5, 0)
        train, test = fold.rows(data.train)
        found = fold(data)
        assert found.preparation == learn(data.table, np.flatnonzero(train), roles=data.preparation.roles)
        np.testing.assert_array_equal(found.test.images, found.preparation.features(data.table, np.flatnonzero(test)))


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(local, "Local", InProcess)
    monkeypatch.setattr(InProcess, "before", None)


CV = ("cv", "--data", "digits", "--hidden", "8", "--epochs", "1", "--folds", "3")


def test_scores_are_those_of_the_folds_models_on_their_rows(call, one_process):
    result = call(*CV, "--json", "--out", "cv", "--seed", "5")
    assert result.code == 0, result.err
    found, data = json.loads(result.out), jitnet.load("digits")
    assert found == json.loads(Path("cv/cv.json").read_text())
    accuracies = []
    for k, row in enumerate(found["folds"], 1):
        fold = Fold(k, 3, 5)(data)
        accuracies.append(jitnet.evaluate(jitnet.load_model(f"cv/fold-{k}"), fold).accuracy)
        assert row["fold"] == k
        assert row["metrics"]["accuracy"] == accuracies[-1]
        assert (row["n_train"], row["n_test"]) == (len(fold.train), len(fold.test))
    assert sum(row["n_test"] for row in found["folds"]) == len(data.train)
    assert found["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert found["deviation"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))


def test_a_row_a_fold_then_mean_and_deviation(call, one_process):
    result = call(*CV)
    lines = [line.split() for line in result.out.splitlines()]
    heads = next(line for line in lines if line[:2] == ["trained", "on"])
    assert heads[-2:] == ["accuracy", "loss"]
    assert [line[0] for line in lines if line and re.fullmatch(r"[\d.]+%", line[-2] if len(line) > 1 else "")] == (
        ["fold"] * 3 + ["mean", "deviation"]
    )
    assert "its test part, 360 rows, is not used" in result.err
    assert re.search(r"runs/\S+-digits-cv$", result.out, re.MULTILINE)


def test_eval_of_a_folds_run_is_on_the_fold(call, one_process):
    found = json.loads(call(*CV, "--json", "--out", "cv").out)
    shown = json.loads(call("eval", "cv/fold-2", "--json").out)
    assert shown["accuracy"] == found["folds"][1]["metrics"]["accuracy"]
    assert shown["data"]["n"] == found["folds"][1]["n_test"]


def write_table(path: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{size:.3f},{kind},w{who},{day},{2 * size + 5 * (kind == 'p'):.3f}"
        for size, kind, who, day in zip(
            rng.normal(size=60),
            rng.choice(["p", "q"], size=60),
            rng.integers(0, 6, 60),
            rng.integers(0, 30, 60),
            strict=True,
        )
    ]
    Path(path).write_text("size,kind,who,day,price\n" + "\n".join(rows) + "\n")


def test_all_rows_of_a_table_are_divided_and_early_stopping_takes_its_own(call, one_process):
    write_table("t.csv")
    table = ("--data", "t.csv", "--target", "price", "--hidden", "4", "--epochs", "2", "--val-split", "0.25")
    found = json.loads(call("cv", *table, "--folds", "4", "--json", "--out", "cv").out)
    assert set(found["mean"]) == {"rmse", "mae", "r2", "loss"}
    assert [row["n_test"] for row in found["folds"]] == [15] * 4
    assert [row["n_train"] for row in found["folds"]] == [45] * 4
    assert all(row["kept"] for row in found["folds"])
    config = json.loads(Path("cv/fold-1/config.json").read_text())
    assert config["data"]["n_train"] == 45
    shown = json.loads(call("eval", "cv/fold-3", "--json").out)
    assert shown["rmse"] == found["folds"][2]["metrics"]["rmse"]


def test_groups_and_times_are_named(call, one_process):
    write_table("t.csv")
    table = ("cv", "--data", "t.csv", "--target", "price", "--hidden", "4", "--epochs", "1", "--folds", "3")
    assert "60 rows in 3 folds, whole groups" in call(*table, "--group", "who").out
    by_time = call(*table, "--time", "day")
    assert "one after another in time, each tested on by what was trained on the rows before it" in by_time.out


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--folds", "1"), 2, "--folds: expected a whole number of 2 or more, found '1'"),
        (("--folds", "61"), 2, "--folds is 61, and there are 60 rows; expected 2 to 60"),
        (("--group", "who", "--folds", "7"), 2, "--folds is 7, and there are 6 groups; expected 2 to 6"),
        (("--workers", "-1"), 2, "--workers: expected a whole number from 0 to 1,024, found '-1'"),
        (("--threads", "2"), 2, "--threads: each fold is trained on one thread"),
        (("--target-acc", "90"), 2, "--target-acc: a fold's training would end by the rows that score it"),
        (("--out", "full"), 1, "full holds a run already"),
        (("--out", "old"), 1, "old holds a cross-validation already"),
        (("--group", "nobody"), 1, "nobody"),
    ],
)
def test_bad_input_is_one_line(call, one_process, options, code, message):
    write_table("t.csv")
    for name in ("full/config.json", "old/cv.json"):
        Path(name).parent.mkdir()
        Path(name).touch()
    result = call("cv", "--data", "t.csv", "--target", "price", "--epochs", "1", *options)
    lines = [line for line in result.err.splitlines() if not line.startswith(("!", "  "))]
    assert result.code == code
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines
    assert not Path("runs").exists()


def test_ctrl_c_keeps_the_folds_that_are_done(call, one_process, monkeypatch):
    def interrupt(work):
        if work.name == "fold-2":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the engine is stopped from another thread

    monkeypatch.setattr(InProcess, "before", staticmethod(interrupt))
    result = call(*CV, "--out", "cv", "--json")
    assert result.code == 130
    assert [row["fold"] for row in json.loads(result.out)["folds"]] == [1]
    assert "stopped: 1 of 3 folds are scored" in result.err
    assert len(json.loads(Path("cv/cv.json").read_text())["folds"]) == 1


def test_a_fold_that_fails_is_named_and_the_others_are_scored(call, one_process, monkeypatch):
    def obstruct(work):
        if work.name == "fold-2":
            Path("cv/fold-2").mkdir()
            Path("cv/fold-2/config.json").touch()

    monkeypatch.setattr(InProcess, "before", staticmethod(obstruct))
    result = call(*CV, "--out", "cv", "--json")
    assert result.code == 1
    assert [row["fold"] for row in json.loads(result.out)["folds"]] == [1, 3]
    assert re.search(r"error: cv/fold-2: .*holds a run already", result.err)


def test_scores_are_the_same_in_worker_processes(call, monkeypatch):
    scores = []
    for engine in (local.Local, InProcess):
        monkeypatch.setattr(local, "Local", engine)
        result = call(*CV, "--json", "--workers", "2")
        assert result.code == 0, result.err
        scores.append([fold["metrics"] for fold in json.loads(result.out)["folds"]])
    assert scores[0] == scores[1]


def test_a_score_that_is_no_number_has_no_deviation():
    scores = [FoldScore(k, Path(), 2, 1, 1, None, {"loss": float(k), "roc_auc": math.nan}) for k in (1, 2, 3)]
    mean, deviation = summarise(scores)
    assert (mean["loss"], deviation["loss"]) == (2.0, 1.0)
    assert math.isnan(mean["roc_auc"])
    assert math.isnan(deviation["roc_auc"])
