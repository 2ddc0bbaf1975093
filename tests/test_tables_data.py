"""From a table to a data set, a training and predictions: what is predicted, what is held out, what is said."""

import json

import numpy as np
import pandas as pd
import pytest

import jitnet
from jitnet.datasets import Split, convert, hold_out, load, safetensors_file, stratified_split
from jitnet.datasets.dataset import held_out_rows
from jitnet.datasets.table_description import describe_table
from jitnet.errors import DataError, ModelError, UsageError
from jitnet.model.file import read
from jitnet.tables.outcome import Choice
from jitnet.tables.table import table_from_frame

N = 200


def frame(n=N, seed=0):
    """A mixed table: `price` follows from the others, `sold` from the price."""
    rng = np.random.default_rng(seed)
    area = rng.uniform(20, 150, n)
    town = rng.choice(["Ald", "Bren", "Cor"], n)
    lift = rng.random(n) < 0.5
    price = 10 * area + 300 * (town == "Ald") + 90 * lift + rng.normal(0, 20, n)
    made = pd.DataFrame(
        {
            "flat": np.arange(1000, 1000 + n),
            "area": np.where(rng.random(n) < 0.1, np.nan, area),
            "town": town,
            "lift": lift,
            "listed": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
            "agent": rng.choice([f"agent {k}" for k in range(15)], n),
            "weight": rng.uniform(0.5, 2.0, n),
            "price": price.round(2),
        }
    )
    made["sold"] = np.where(price > np.median(price), "late", "soon")
    return made


def trained(data, epochs=30, **options):
    loss = {"loss": "squared-error", "n_targets": data.n_targets} if data.n_targets else {"n_classes": data.n_classes}
    config = jitnet.ModelConfig(in_features=data.in_features, hidden=(16,), **loss)
    model = jitnet.Model.create(config, data, seed=0)
    jitnet.train(model, data, jitnet.TrainConfig(epochs=epochs, optimizer="adam", batch_size=20, threads=1, **options))
    return model


def said(data, *words):
    """Whether one of the data's decisions has all of these words."""
    return any(all(word in line for word in words) for line in data.decisions)


@pytest.mark.parametrize(
    ("names", "target", "why"),
    [
        (["a", "y", "class", "label", "target"], "target", "by its name"),
        (["a", "y", "class", "Label"], "Label", "by its name"),
        (["y", "class"], "y", "by its name"),
        (["a", "b"], "a", "the first column, as none is called target, label, class or y"),
    ],
)
def test_without_a_target_one_is_taken_by_name_else_the_first(names, target, why):
    made = pd.DataFrame({name: np.arange(N) % (k + 2) for k, name in enumerate(names)})
    data = load(made)
    assert data.preparation.roles.targets == (target,)
    assert said(data, f"the target is '{target}', {why}")


@pytest.mark.parametrize("target", ["price", 8, "8"])
def test_a_target_is_named_or_counted_from_one(target):
    data = load(frame(), target=target)
    assert data.target_names == ("price",)
    assert said(data, "the target is 'price', as asked, predicted as numbers: it has fractions")


def test_an_unknown_target_is_an_error_with_the_nearest_name():
    with pytest.raises(DataError, match="has no column 'pirce'; did you mean 'price'"):
        load(frame(), target="pirce")
    with pytest.raises(DataError, match="has no column 12; expected a name, or a number from 1 to 9"):
        load(frame(), target=12)


@pytest.mark.parametrize(
    ("values", "task", "reason"),
    [
        (np.arange(N) % 3, "classify", "it has 3 different whole numbers in 200 rows"),
        (np.arange(N) % 90, "regress", "it has 90 different whole numbers in 200 rows"),
        (np.arange(N) / 3, "regress", "it has fractions"),
        (np.array(["a", "b"])[np.arange(N) % 2], "classify", "its values are words"),
        (np.arange(N) % 2 == 0, "classify", "its values are false and true"),
    ],
)
def test_the_task_follows_from_the_target_and_is_said(values, task, reason):
    data = load(pd.DataFrame({"x": np.random.default_rng(0).random(N), "target": values}))
    assert data.task == task
    assert said(data, f"predicted as {'classes' if task == 'classify' else 'numbers'}: {reason}")


def test_the_task_may_be_chosen():
    made = pd.DataFrame({"x": np.random.default_rng(0).random(N), "target": np.arange(N) % 3})
    assert load(made, task="regress").task == "regress"
    made["target"] = np.arange(N) % 90
    data = load(made, task="classify")
    assert (data.task, data.n_classes) == ("classify", 90)
    assert said(data, "predicted as classes: the task or the loss says so")
    made["target"] = np.arange(N) + 215_000.67
    with pytest.raises(DataError, match=r"the target 'target' is 215000\.67; expected the name of a class"):
        load(made, task="classify")
    with pytest.raises(UsageError, match="there is no 'guess'"):
        load(made, task="guess")


def test_several_targets_are_numbers():
    data = load(frame(), target=["price", "weight"])
    assert data.target_names == ("price", "weight")
    assert said(data, "the targets are 'price', 'weight', as asked, predicted as numbers")
    with pytest.raises(DataError, match=r"the target 'town' is '.*'; expected numbers to predict"):
        load(frame(), target=["price", "town"])


def test_several_targets_of_yes_and_no_are_labels():
    made = frame().assign(cheap=lambda one: one.price < 700)
    data = load(made, target=["lift", "cheap"])
    assert data.train.target == "label"
    assert data.target_names == ("lift", "cheap")
    assert data.train.targets.dtype == bool


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"sold": "soon"}, {"target": "sold"}, "all 200 labels are 'soon'; expected two classes or more"),
        ({}, {"target": "town", "task": "regress"}, r"row 0 \(from 0\): the target 'town' is '.*'; expected numbers"),
        ({"price": np.inf}, {"target": "sold"}, "the column 'price' holds inf; expected finite numbers"),
        ({"price": np.inf}, {"target": "price"}, "is inf; expected finite numbers"),
        ({"price": np.nan}, {"target": "price"}, "the target 'price' has only missing values"),
        ({"price": 5.5}, {"target": "price"}, "all 200 targets are 5.5; expected numbers that differ"),
        ({}, {"target": "area"}, r"row \d+ \(from 0\): the target 'area' is missing \(\d+ rows have none\)"),
        ({}, {"target": "listed"}, "the target 'listed' holds dates; expected words or numbers"),
        ({}, {"target": "price", "weight": "town"}, "the weight 'town' holds words; expected numbers"),
        ({"weight": -1.0}, {"target": "price", "weight": "weight"}, "the weight 'weight' is -1; expected a number"),
        ({}, {"target": "price", "time": "town"}, "the time 'town' holds words; expected dates or numbers"),
        ({}, {"target": "price", "time": "area"}, "the time 'area' is missing; fill it in"),
        ({"agent": "one"}, {"target": "price", "group": "agent"}, "all rows are of one group"),
        ({"listed": pd.Timestamp("2024-05-05")}, {"target": "price", "time": "listed"}, "all rows have the same time"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:24],
)
def test_what_cannot_be_trained_on_is_one_clear_line(change, options, message):
    with pytest.raises(DataError, match=message) as raised:
        load(frame().assign(**change), **options)
    assert "\n" not in str(raised.value)


def test_a_column_named_for_two_things_is_a_usage_error():
    with pytest.raises(UsageError, match="group: the column 'price' is named twice, for target too"):
        load(frame(), target="price", group="price")


def test_columns_are_no_names_for_what_is_no_table():
    with pytest.raises(UsageError, match="digits is not a table"):
        load("digits", target="label")


def test_a_fifth_is_held_out_stratified_and_said():
    data = load(frame(), target="sold")
    assert (len(data.train), len(data.test)) == (160, 40)
    assert np.bincount(data.test.labels).tolist() == [20, 20]
    assert said(data, "40 of 200 rows (20%) are held out to test on, at random, stratified by class")
    assert sorted([*data.train.rows, *data.test.rows]) == list(range(N))
    assert load(frame(), target="sold", held_out=0).test is None


def test_of_a_handful_of_rows_none_is_held_out():
    data = load(frame(4), target="price")
    assert (len(data.train), data.test) == (4, None)
    assert said(data, "has 4 rows, too few to hold some out to test on")


def test_what_is_learned_is_learned_from_the_rows_that_are_trained_on():
    made = frame()
    data = load(made, target="price")
    made.loc[data.test.rows, "area"] = 1e6
    assert load(made, target="price").preparation.treatments == data.preparation.treatments


def test_test_data_are_other_rows_by_name():
    made = frame()
    other = frame(30, seed=1)[["price", "town", "listed", "lift", "area", "agent", "weight", "sold"]].assign(more=1)
    data = load(made, other, target="price", ignore=["flat"])
    assert (len(data.train), len(data.test)) == (N, 30)
    assert said(data, "ignored the column 'more', which the model was not trained on")
    assert np.array_equal(data.test.images, data.preparation.features(table_from_frame(other)))


def test_other_names_for_the_same_classes_are_named_with_the_nearest():
    other = frame(30, seed=1).assign(sold=lambda one: one.sold.str.capitalize())
    with pytest.raises(
        DataError, match=r"is not a class of the training data; expected one of late, soon; did you mean"
    ):
        load(frame(), other, target="sold")


def test_test_data_without_a_column_name_it():
    with pytest.raises(DataError, match="lacks the column 'town'"):
        load(frame(), frame(30).drop(columns="town"), target="price")


def test_groups_stay_on_one_side():
    data = load(frame(), target="price", group="agent")
    agents = frame().agent.to_numpy()
    assert not set(agents[data.train.rows]) & set(agents[data.test.rows])
    assert 20 <= len(data.test) <= 60
    assert said(data, "held out to test on, whole groups by 'agent'")
    assert not any("agent" in name for name in data.preparation.feature_names)
    parts = hold_out(data, 0.2, seed=3)
    assert not set(agents[parts.train.rows]) & set(agents[parts.held_out.rows])


def test_the_latest_are_held_out():
    data = load(frame(), target="price", time="listed")
    listed = frame().listed.to_numpy()
    assert listed[data.train.rows].max() < listed[data.test.rows].min()
    assert said(data, "held out to test on, the latest by 'listed'")
    parts = hold_out(data, 0.2, seed=3)
    assert listed[parts.train.rows].max() < listed[parts.held_out.rows].min()


def test_rows_of_one_time_stay_together():
    split = Split(np.zeros((10, 1), np.float32), np.zeros(10, np.int64), times=np.array([1, 1, 1, 1, 2, 2, 2, 2, 2, 2]))
    assert held_out_rows(split, 0.2, 0).tolist() == [False] * 4 + [True] * 6


def test_a_class_that_only_a_group_has_is_not_held_out_with_it():
    groups = np.repeat(np.arange(10), 10)
    labels = (groups == 4).astype(np.int64)
    split = Split(np.zeros((100, 1), np.float32), labels, groups=groups)
    for seed in range(10):
        train, held = stratified_split(split, 0.3, seed)
        assert set(train.labels) == {0, 1}
        assert not set(train.groups) & set(held.groups)


def test_weights_are_those_of_the_rows():
    data = load(frame(), target="price", weight="weight")
    assert np.array_equal(data.train.weights, frame().weight.to_numpy()[data.train.rows])
    assert "weight" not in data.preparation.feature_names


def test_ignored_columns_are_no_features():
    names = load(frame(), target="price", ignore=["town", 4]).preparation.feature_names
    assert not any(name.startswith(("town", "lift")) for name in names)


def test_what_a_person_should_hear_of_is_said():
    made = frame().assign(currency="EUR", dollars=lambda one: one.price * 1.1, empty=np.nan)
    data = load(made, target="price")
    assert said(data, "'flat' (an identifier", "'currency' (constant", "'empty' (only missing values)")
    assert said(data, "the column 'dollars' nearly tells the target by itself")
    assert said(load(made, target=["weight", "price"]), "'dollars' nearly tells the target 'price' by itself")


def test_times_decide_before_groups_which_rows_are_held_out_and_it_is_said():
    data = load(frame(), target="price", time="listed", group="agent")
    assert said(data, "the latest by 'listed'; rows of one 'agent' may be on both sides")
    assert data.train.table.column("listed").values[data.train.rows].max() <= data.test.times.min()


def test_labels_are_said_in_the_words_of_the_file(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text(
        "x,a,b\n" + "".join(f"{k / 7},{('no', 'yes')[k % 2]},{('no', 'yes')[k % 3 == 0]}\n" for k in range(60))
    )
    assert said(load(path, target=["a", "b"]), "predicted as yes/no labels: their values are no and yes")


def test_classes_where_yes_and_no_are_needed_are_refused_with_the_loss_for_them():
    with pytest.raises(DataError, match="expected yes and no, or 0 and 1, or the loss cross-entropy where these are"):
        load(frame(), target="sold", task="label")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            ["town", "sold"],
            "'town' is '.*'; expected yes and no, or 0 and 1; or name this column as the only target",
        ),
        ("town", "expected yes and no, or 0 and 1, or the loss cross-entropy where these are classes"),
    ],
)
def test_words_that_are_no_yes_or_no_are_no_labels(target, message):
    with pytest.raises(DataError, match=message):
        load(frame(), target=target, task="label")


def test_true_and_false_of_a_data_frame_may_be_0_and_1_in_a_file(tmp_path):
    rows = frame()
    model = trained(load(rows, target="price"), epochs=1)
    path, words = tmp_path / "rows.csv", tmp_path / "words.csv"
    rows.assign(lift=rows["lift"].astype(int)).to_csv(path, index=False)
    rows.to_csv(words, index=False)
    expected = model.predict(rows)
    np.testing.assert_array_equal(model.predict(path), expected)
    np.testing.assert_array_equal(model.predict(str(words)), expected)


def test_a_converted_table_keeps_what_its_columns_become(tmp_path):
    rows = frame()
    data = load(rows, target="price")
    path = tmp_path / "prepared.safetensors"
    convert(data, path)
    again = load(path)
    assert again.preparation == data.preparation
    np.testing.assert_array_equal(again.train.images, data.train.images)
    np.testing.assert_array_equal(again.train.targets, data.train.targets)
    assert again.target_names == ("price",)
    model = trained(again, val_split=0.2)
    assert model.preparation == data.preparation
    np.testing.assert_array_equal(model.predict(rows)[data.test.rows], model.predict(again.test.images))
    assert jitnet.evaluate(model, again).r2 == jitnet.evaluate(model, data).r2
    other = trained(load(rows[:100], target="price"), epochs=1)
    with pytest.raises(ModelError, match="prepared in another way than the model prepares them; name the table itself"):
        jitnet.evaluate(other, again)


@pytest.mark.parametrize(("name", "layout"), [("x.npz", "jitnet"), ("x", "jitnet"), ("x.safetensors", "original")])
def test_a_table_is_converted_to_no_file_that_forgets_its_columns(tmp_path, name, layout):
    with pytest.raises(DataError, match=r"is a table, and .* cannot hold what its columns become, "):
        convert(load(frame(), target="sold"), tmp_path / name, layout)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("spoil", ["text", "features"])
def test_a_broken_preparation_in_a_converted_table_is_one_clear_line(tmp_path, spoil):
    data, path = load(frame(), target="sold"), tmp_path / "x.safetensors"
    text = data.preparation.as_json() if spoil == "features" else "{}"
    arrays = {"train_images": data.train.images[:, :2].copy(), "train_labels": data.train.labels}
    safetensors_file.write(path, arrays, {"preparation": text})
    message = "samples have 2 values; expected" if spoil == "features" else "its metadata has a broken preparation"
    with pytest.raises(DataError, match=f"{message}.*convert the table again"):
        load(path)


def test_a_count_below_zero_is_named_with_its_line(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("x,count\n" + "".join(f"{k / 7},{k % 30}\n" for k in range(60)) + "1.5,-2\n")
    data = load(path, target="count", task="regress")
    config = jitnet.ModelConfig(in_features=1, hidden=(4,), loss="poisson", n_targets=1)
    with pytest.raises(
        DataError, match=r"counts\.csv, line 62: the target 'count' is -2; expected numbers of 0 or more"
    ):
        jitnet.train(jitnet.Model.create(config, data, seed=0), data, jitnet.TrainConfig(epochs=1))


def test_training_learns_and_predicts_raw_rows(tmp_path):
    data = load(frame(), target="price")
    model = trained(data)
    assert jitnet.evaluate(model, data).r2 > 0.8
    model.save(tmp_path / "model.safetensors")
    again = jitnet.Model.load(tmp_path / "model.safetensors")
    assert again.preparation == model.preparation
    rows = frame(50, seed=5)[["town", "lift", "listed", "agent", "weight", "area", "sold"]]
    found = again.predict(rows)
    assert np.array_equal(found, model.predict(table_from_frame(rows)))
    assert np.array_equal(found, model.predict(model.preparation.features(table_from_frame(rows))))
    assert np.corrcoef(found[:, 0], frame(50, seed=5).price)[0, 1] > 0.8
    with pytest.raises(DataError, match="lacks the column 'town'"):
        model.predict(rows.drop(columns="town"))


def test_held_out_rows_decide_nothing():
    """With rows held out while training, what the columns become is learned again without them."""
    data = load(frame(), target="price")
    model = trained(data, epochs=1, val_split=0.2)
    assert model.preparation != data.preparation
    assert model.preparation.feature_names == data.preparation.feature_names
    parts = hold_out(data, 0.2, seed=0)
    assert model.preparation == data.preparation.relearn(data.table, parts.train.rows)
    changed = frame()
    changed.loc[[*parts.held_out.rows, *data.test.rows], "area"] = 1e6
    again = trained(load(changed, target="price", preparation=data.preparation), epochs=1, val_split=0.2)
    assert all(np.array_equal(one, other) for one, other in zip(again.weights, model.weights, strict=True))


def test_a_preparation_of_the_callers_choice_is_kept():
    data = load(frame(), target="price")
    chosen = data.preparation.relearn(data.table, np.arange(60))
    config = jitnet.ModelConfig(in_features=data.in_features, hidden=(4,), n_targets=1, loss="squared-error")
    first = jitnet.Model.create(config, data)
    model = jitnet.Model(
        config, first.weights, first.biases, preparation=chosen, target_names=("price",), scaling=jitnet.Scaling()
    )
    jitnet.train(model, data, jitnet.TrainConfig(epochs=1, val_split=0.2))
    assert model.preparation is chosen


def test_a_rare_class_is_told_by_no_column_that_says_nothing():
    classes = (np.arange(2000) % 150 == 0).astype(int)
    made = pd.DataFrame({"x": np.random.default_rng(0).random(2000), "kind": np.arange(2000) % 7, "target": classes})
    assert not any("tells" in line for line in load(made, task="classify").decisions)


def test_an_evaluation_prepares_raw_rows_as_the_model_does():
    data = load(frame(), target="price")
    model = trained(data, epochs=3, val_split=0.2)
    other = load(frame(60, seed=2), target="price")  # with a preparation of its own
    repeated = load(frame(60, seed=2), preparation=model.preparation, task="regress", held_out=0)
    assert jitnet.evaluate(model, other.train).rmse != jitnet.evaluate(model, repeated).rmse
    taken = repeated.train.take(other.train.rows)
    assert jitnet.evaluate(model, other.train).rmse == jitnet.evaluate(model, taken).rmse


def test_a_model_asked_about_another_table_says_so():
    model = trained(load(frame(), target="price"), epochs=1)
    other = pd.DataFrame({"x": np.arange(30) / 7, "price": np.arange(30) / 3})
    with pytest.raises(DataError, match="lacks 7 columns"):
        jitnet.evaluate(model, load(other, target="price"))
    arrays = jitnet.from_arrays(np.random.default_rng(0).random((30, 3)), np.arange(30) / 3)
    with pytest.raises(ModelError):
        jitnet.evaluate(model, arrays)
    plain = trained(arrays, epochs=1)
    with pytest.raises(ModelError, match="holds rows of a table, and the model was trained on arrays"):
        jitnet.evaluate(plain, load(pd.DataFrame(np.random.default_rng(0).random((30, 4)), columns=list("yabc"))))


def test_a_model_without_a_table_takes_no_table():
    model = trained(jitnet.from_arrays(np.random.default_rng(0).random((30, 3)), np.arange(30) / 3), epochs=1)
    with pytest.raises(ModelError, match="was not trained on a table"):
        model.predict(table_from_frame(frame(5)))


def test_a_broken_preparation_in_a_model_file_is_one_clear_line(tmp_path):
    data = load(frame(), target="price")
    config = jitnet.ModelConfig(in_features=data.in_features, hidden=(4,), n_targets=1, loss="squared-error")
    path = tmp_path / "model.safetensors"
    jitnet.Model.create(config, data).save(path)
    stored = json.loads(data.preparation.as_json())
    for change, message in (
        (lambda: stored.update(version=9), "the preparation in its metadata: version: "),
        (lambda: stored.update(version=1, treatments=stored["treatments"][:2]), "has a preparation of 2 features"),
    ):
        change()
        text = json.dumps(stored).encode()
        whole = path.read_bytes()
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length])
        header["__metadata__"]["preparation"] = text.decode()
        packed = json.dumps(header).encode()
        packed += b" " * (-len(packed) % 8)
        path.write_bytes(len(packed).to_bytes(8, "little") + packed + whole[8 + length :])
        with pytest.raises(ModelError, match=message) as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_the_checksum_is_that_of_the_raw_rows():
    data = load(frame(), target="price")
    other = load(frame(), target="price", preparation=data.preparation.relearn(data.table, np.arange(50)))
    assert other.checksum == data.checksum
    assert load(frame(seed=1), target="price").checksum != data.checksum


def test_a_description_has_every_column():
    made = frame().assign(currency="EUR", dollars=lambda one: one.price * 1.1)
    found = describe_table(table_from_frame(made), Choice(target="price"))
    columns = {one.name: one for one in found.columns}
    assert list(columns) == list(made.columns)
    assert columns["price"].becomes == "the target"
    assert columns["currency"].becomes == "left out: constant, every row has 'EUR'"
    assert columns["area"].missing == int(made.area.isna().sum())
    assert sum(columns["area"].histogram) == N - columns["area"].missing
    assert columns["town"].commonest[0][1] == made.town.value_counts().iloc[0]
    assert columns["listed"].low == str(made.listed.min())[:10]
    assert "nearly tells the target" in columns["dollars"].findings[0]
    assert found.n_features == len(load(made, target="price").preparation.feature_names)
    assert found.problem == ""


def test_a_description_says_why_a_table_cannot_be_trained_on():
    found = describe_table(table_from_frame(frame()), Choice(target="listed"))
    assert "holds dates" in found.problem
    assert found.n_features > 0
    nothing = describe_table(table_from_frame(pd.DataFrame({"x": [1, 1], "y": ["a", "b"]})))
    assert "no column to predict from" in nothing.problem
