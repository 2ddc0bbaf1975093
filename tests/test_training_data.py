"""What training takes from data: scaling is learned from the rows that are trained on, classes are matched by name."""

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet.datasets import Scaling, held_out_rows, hold_out
from jitnet.errors import DataError, ModelError, UsageError

N, FEATURES = 60, 36
HELD = 0.2


def values(form: str) -> np.ndarray:
    rng = np.random.default_rng(5)
    made = {
        "normal": rng.normal(3.0, 2.0, (N, FEATURES)),
        "float32": rng.normal(3.0, 2.0, (N, FEATURES)).astype(np.float32),
        "fractions": rng.random((N, FEATURES)),
        "counts": rng.integers(0, 40, (N, FEATURES)).astype(float)[:, :30],
        "grey levels": np.rint(rng.integers(0, 17, (N, FEATURES)) * (rng.random((N, FEATURES)) < 0.3)).astype(float),
        "k/255": rng.integers(0, 256, (N, FEATURES)) * (rng.random((N, FEATURES)) < 0.3) / 255,
        "one-hot": np.eye(FEATURES)[rng.integers(0, FEATURES, N)],
    }
    return made[form]


LABELS = np.arange(N) % 3


def spoiled(images: np.ndarray) -> np.ndarray:
    """A copy with 1e6 in one row of those held out with seed 1."""
    held = held_out_rows(jitnet.Split(images, LABELS), HELD, 1)
    images = images.copy()
    images[int(held.argmax()), 4] = 1e6
    return images


def trained(data: jitnet.Dataset, **fields: object) -> tuple[jitnet.Model, list[float]]:
    """A model and the training loss of its epochs."""
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=(8,))
    model = jitnet.Model.create(shape, data, seed=1)
    history = jitnet.train(
        model, data, jitnet.TrainConfig(**{"epochs": 3, "seed": 1, "val_split": HELD, "batch_size": 8, **fields})
    )
    return model, [report.train_loss for report in history]


def from_file(images: np.ndarray, path: Path) -> jitnet.Dataset:
    if path.suffix == ".npz":
        np.savez(path, x_train=images, y_train=LABELS)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([f"c{label}", *row] for label, row in zip(LABELS, images.tolist(), strict=True))
    return jitnet.load(path)


@pytest.mark.parametrize("form", ["normal", "float32", "fractions", "counts", "grey levels", "k/255", "one-hot"])
def test_a_held_out_row_does_not_change_the_training_by_a_bit(form):
    images = values(form)
    plain, odd = jitnet.from_arrays(images, LABELS), jitnet.from_arrays(spoiled(images), LABELS)
    assert plain.scaling != odd.scaling
    assert trained(plain)[1] == trained(odd)[1]


@pytest.mark.parametrize("name", ["x.csv", "x.npz"])
@pytest.mark.parametrize("form", ["normal", "counts", "one-hot"])
def test_a_held_out_row_of_a_file_does_not_change_the_training_by_a_bit(tmp_path, form, name):
    images = values(form)
    losses = [trained(from_file(each, tmp_path / name))[1] for each in (images, spoiled(images))]
    assert losses[0] == losses[1]


def test_a_held_out_row_does_not_change_a_run_of_the_command(call):
    losses = []
    for name, images in (("plain", values("normal")), ("odd", spoiled(values("normal")))):
        from_file(images, Path(f"{name}.csv"))
        options = ["--val-split", HELD, "--seed", 1, "--epochs", 2, "--hidden", "8", "--out", name]
        assert call("train", "--data", f"{name}.csv", *options).code == 0
        losses.append(re.findall(r'"train_loss": [^,]*', (Path(name) / "metrics.jsonl").read_text()))
    assert len(losses[0]) == 2
    assert losses[0] == losses[1]


@pytest.mark.parametrize("odd", ["normal", "fractions", "k/255"])
def test_a_test_row_does_not_change_the_training(odd):
    images = values(odd)
    test = images[:40].copy()
    losses = []
    for value in (test[3, 4], 1.4):
        test[3, 4] = value
        data = jitnet.from_arrays(images, LABELS, test, LABELS[:40])
        losses.append(trained(data, val_split=0.0)[1])
    assert losses[0] == losses[1]


def test_scaling_is_that_of_the_rows_trained_on():
    images = values("normal").astype(np.float32)
    data = jitnet.from_arrays(images, LABELS)
    held = held_out_rows(data.train, HELD, 1)
    alone = jitnet.from_arrays(images[~held], LABELS[~held])
    model, losses = trained(data)
    assert model.scaling == alone.scaling != data.scaling
    assert losses == trained(alone, val_split=0.0)[1]
    # What the trainer reports of the held-out rows is what `evaluate` finds with the model's scaling.
    shape = jitnet.ModelConfig(in_features=FEATURES, n_classes=3, hidden=(8,))
    model = jitnet.Model.create(shape, data, seed=1)
    (report,) = jitnet.train(model, data, jitnet.TrainConfig(epochs=1, seed=1, val_split=HELD))
    found = jitnet.evaluate(model, data.train.take(held))
    assert (found.loss, found.accuracy) == (pytest.approx(report.val_loss, rel=1e-5), report.val_accuracy)


@pytest.mark.parametrize("form", ["grey levels", "k/255"])
def test_held_out_rows_that_are_no_bytes_are_measured_right(form):
    data = jitnet.from_arrays(spoiled(values(form)), LABELS)
    shape = jitnet.ModelConfig(in_features=FEATURES, n_classes=3, hidden=(8,))
    model = jitnet.Model.create(shape, data, seed=1)
    assert jitnet.Trainer(model, data, jitnet.TrainConfig(val_split=0.5)).n_samples == (30, 30)
    trainer = jitnet.Trainer(model, data, jitnet.TrainConfig(epochs=1, seed=1, val_split=HELD))
    assert trainer.plan.input_reason != "inputs are not bytes"
    (report,) = trainer.run()
    held = data.train.take(held_out_rows(data.train, HELD, 1))
    found = model.predict_inputs(*model.inputs(held.images))
    at_label = np.maximum(found[np.arange(len(held)), held.labels], np.finfo(np.float32).tiny)
    assert report.val_accuracy == (found.argmax(axis=1) == held.labels).mean()
    assert report.val_loss == pytest.approx(-np.log(at_label.astype(float)).mean(), rel=1e-4)


def test_without_held_out_rows_the_data_set_s_scaling_stays():
    data = jitnet.from_arrays(values("normal"), LABELS)
    model, _ = trained(data, val_split=0.0)
    assert model.scaling == data.scaling


def test_a_trained_model_and_a_scaling_of_the_caller_s_choice_stay_as_they_are(tmp_path):
    data = jitnet.from_arrays(values("normal"), LABELS)
    model, _ = trained(data)
    before = model.scaling
    model.save(tmp_path / "m.safetensors")
    for again in (model, jitnet.Model.load(tmp_path / "m.safetensors")):
        jitnet.train(again, data, jitnet.TrainConfig(epochs=1, seed=3, val_split=0.3))
        assert again.scaling == before
    chosen = replace(data, scaling=Scaling(3.0, 0.5))
    assert trained(chosen)[0].scaling == Scaling(3.0, 0.5)


def test_a_model_that_was_saved_before_training_learns_its_scaling_all_the_same(tmp_path):
    data = jitnet.from_arrays(values("normal"), LABELS)
    shape = jitnet.ModelConfig(in_features=FEATURES, n_classes=3, hidden=(8,))
    jitnet.Model.create(shape, data, seed=1).save(tmp_path / "m.safetensors")
    model = jitnet.Model.load(tmp_path / "m.safetensors")
    jitnet.train(model, data, jitnet.TrainConfig(epochs=1, seed=1, val_split=HELD))
    assert model.scaling == trained(data)[0].scaling


def test_two_trainers_that_would_learn_another_scaling_do_not_mix():
    data = jitnet.from_arrays(values("normal"), LABELS)
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=FEATURES, n_classes=3), data)
    first, second = (jitnet.Trainer(model, data, jitnet.TrainConfig(val_split=share)) for share in (0.1, 0.3))
    with pytest.raises(UsageError, match="scaling has changed since this trainer was made; make another"):
        first.run()
    assert len(second.run()) == 10
    held = held_out_rows(data.train, 0.3, 0)
    assert model.scaling == jitnet.from_arrays(data.train.images[~held], LABELS[~held]).scaling


def test_a_held_out_value_beyond_float32_is_named():
    images = values("normal") * 1e-6
    images[:, 0] = np.arange(N) % 2 * 1e-6
    odd = spoiled(images)
    odd[odd == 1e6] = 1e36
    with pytest.raises(DataError, match=r"arrays, held-out rows: value 4 .* standard deviations"):
        hold_out(jitnet.from_arrays(odd, LABELS), HELD, 1)


def animals(names: str, n: int = N, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples of three animals that are easily told apart, and their names."""
    words = np.array(names.split())
    labels = np.array([words[i % len(words)] for i in range(n)])
    place = np.array([["cat", "dog", "eel", "cow"].index(word) for word in labels])
    rng = np.random.default_rng(seed)
    return np.eye(4)[place] * 3.0 + rng.normal(0, 0.2, (n, 4)), labels


@pytest.fixture(scope="module")
def zoo() -> jitnet.Model:
    """A model of cat, dog, eel."""
    data = jitnet.from_arrays(*animals("cat dog eel"))
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=4, n_classes=3, hidden=(8,)), data, seed=1)
    jitnet.train(model, data, jitnet.TrainConfig(epochs=20, seed=1, batch_size=4))
    return model


@pytest.mark.parametrize("names", ["cat dog eel", "cat eel", "eel cat", "dog eel"])
def test_evaluate_matches_classes_by_name(zoo, names):
    data = jitnet.from_arrays(*animals(names, seed=1))
    for judged in (data, data.train):
        found = jitnet.evaluate(zoo, judged)
        assert found.accuracy > 0.95
        assert {score.name for score in found.classes if score.support} == set(names.split())


def test_evaluate_matches_names_in_another_order(zoo):
    images, labels = animals("cat dog eel", seed=1)
    names = ["eel", "cat", "dog"]
    data = jitnet.from_arrays(images, np.array([names.index(label) for label in labels]), class_names=names)
    assert jitnet.evaluate(zoo, data).accuracy > 0.95
    assert jitnet.evaluate(zoo, data.train).accuracy > 0.95


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["x", "y", "z"], r"sample 0 \(from 0\), 'x', is not among .* expected one of cat, dog, eel$"),
        (["Cat", "dog", "eel"], r"sample 0 \(from 0\), 'Cat', .* expected one of cat, dog, eel; did you mean cat\?$"),
        (["cat", "dog", "eels"], r"sample 2 \(from 0\), 'eels', .*; did you mean eel\?$"),
    ],
)
def test_unknown_names_are_refused_everywhere(zoo, names, said):
    images, labels = animals("cat dog eel", seed=1)
    places = np.array([["cat", "dog", "eel"].index(label) for label in labels])
    data = jitnet.from_arrays(images, places, class_names=names)
    before = [weight.copy() for weight in zoo.weights]
    for judge in (
        lambda: jitnet.evaluate(zoo, data),
        lambda: jitnet.evaluate(zoo, data.train),
        lambda: jitnet.train(zoo, data, jitnet.TrainConfig(epochs=1)),
        lambda: jitnet.Trainer(zoo, data, jitnet.TrainConfig(epochs=1)),
    ):
        with pytest.raises(DataError, match=said) as caught:
            judge()
        assert "\n" not in str(caught.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, zoo.weights, strict=True))


def test_training_goes_on_with_names_in_another_order():
    images, labels = animals("cat dog eel")
    first = jitnet.from_arrays(images, labels)
    names = ["eel", "cat", "dog"]
    second = jitnet.from_arrays(images, np.array([names.index(label) for label in labels]), class_names=names)
    found = []
    for data in (first, second):
        model, _ = trained(first, val_split=0.0)
        history = jitnet.train(model, data, jitnet.TrainConfig(epochs=3, seed=4))
        found.append([report.train_loss for report in history])
        assert model.class_names == ("cat", "dog", "eel")
    assert found[0] == found[1]


def test_numbers_are_names_where_the_model_s_classes_are_numbers():
    images, labels = pictures_of(1, 2, 3)
    model, _ = trained(jitnet.from_arrays(images, labels), epochs=20, val_split=0.0)
    few = np.isin(labels, (1, 3))
    assert jitnet.evaluate(model, jitnet.from_arrays(images[few], labels[few])).accuracy > 0.95
    with pytest.raises(DataError, match=r"'0', is not among .*; expected one of 1, 2, 3"):
        jitnet.evaluate(model, jitnet.from_arrays(images, labels - 1))


def pictures_of(*numbers: int) -> tuple[np.ndarray, np.ndarray]:
    place = np.arange(N) % len(numbers)
    return np.eye(5)[place] * 3 + np.random.default_rng(0).normal(0, 0.2, (N, 5)), np.array(numbers)[place]


def test_a_model_without_names_takes_classes_by_position():
    images, labels = animals("cat dog eel")
    data = jitnet.from_arrays(images, labels)
    named, _ = trained(data, epochs=20, val_split=0.0)
    bare = jitnet.Model(named.config, named.weights, named.biases, scaling=named.scaling)
    assert jitnet.evaluate(bare, data).accuracy == jitnet.evaluate(named, data).accuracy > 0.95
    with pytest.raises(DataError, match=r"'cat', is not among .*; expected 0 to 2"):
        jitnet.evaluate(bare, jitnet.from_arrays(*animals("cat dog")))


def test_a_model_of_other_values_is_not_trained_on():
    bare = jitnet.Model.create(jitnet.ModelConfig(in_features=FEATURES, n_classes=3))
    with pytest.raises(ModelError, match=r"holds values to be standardised .*the model expects grey levels"):
        jitnet.train(bare, jitnet.from_arrays(values("normal"), LABELS), jitnet.TrainConfig(epochs=1))


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


@pytest.fixture(scope="module")
def reader(digits) -> jitnet.Model:
    """A model of bytes, 0 to 255, in images of 8x8."""
    data = jitnet.from_arrays(digits.train.images * np.uint8(15), digits.train.labels)
    return trained(data, val_split=0.0)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images: images / 255, r"0 to \S+, cannot be grey levels \(0 to 255\): divided by 255 already"),
        (lambda images: (images / 255).astype(np.float16), "divided by 255 already"),
        (lambda images: images > 128, "divided by 255 already"),
        (lambda images: images / 127.5 - 1, "-1 to .* cannot be grey levels .*: standardised already"),
        (lambda images: (images / 255 - 0.13) / 0.31, "standardised already"),
        (lambda images: images.astype(np.int64) * 256, "too large"),
        (lambda images: np.where(images == images, np.nan, 0), r"value 0 of sample 0 .* is nan; expected finite"),
        (lambda images: images * np.float64(1e40), "too large"),
        (lambda images: np.where(np.arange(images.size).reshape(images.shape) == 70, np.inf, images), "too large"),
    ],
)
def test_values_that_a_model_of_bytes_cannot_have_seen(digits, reader, change, said):
    images = digits.test.images[:40] * np.uint8(15)
    with pytest.raises(DataError, match=said) as caught:
        reader.predict(change(images))
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=said):
        reader.activations(change(images))
    with pytest.raises(DataError, match=said):
        jitnet.evaluate(reader, jitnet.Split(change(images), digits.test.labels[:40]))


def test_values_that_a_model_of_bytes_may_have_seen(digits, reader):
    images = digits.test.images[:40] * np.uint8(15)
    expected = reader.predict(images)
    for alike in (images.astype(np.float32), images.astype(np.int64), images.astype(np.float64).reshape(40, 8, 8)):
        np.testing.assert_allclose(reader.predict(alike), expected, rtol=1e-4, atol=1e-6)
    rng = np.random.default_rng(0)
    for other in (np.zeros((2, 64)), np.zeros((2, 64), bool), images + rng.normal(0, 20, images.shape), images * 1.5):
        assert np.isfinite(reader.predict(other)).all()
    assert np.isfinite(reader.predict((images > 0).astype(np.uint8))).all()  # bytes are what they are


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("form", ["normal", "fractions", "counts"])
def test_the_first_value_that_is_not_finite_is_named(form, value):
    images = values(form)
    model, _ = trained(jitnet.from_arrays(images, LABELS), epochs=1, val_split=0.0)
    images[[7, 9], [3, 1]] = value
    finite = np.isfinite(value)
    with pytest.raises(DataError, match=r"too large|standardised|value 3 of sample 7") as caught:
        model.predict(images)
    if form != "fractions" and not finite:
        assert "value 3 of sample 7 (both counted from 0)" in str(caught.value)


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        ("fractions", lambda images: (images * 255).astype(np.uint8), r"cannot be values from 0 to 1: too large"),
        ("fractions", lambda images: (images - 0.5) / 0.28, "cannot be values from 0 to 1"),
        ("normal", lambda images: images * 1000, "are more than 8 standard deviations from the training data's mean"),
        ("shifted", lambda images: (images - images.mean(axis=0)) / images.std(axis=0), "standardised already"),
    ],
)
def test_values_that_a_model_of_floats_cannot_have_seen(form, change, said):
    images = values("normal") + 100.0 if form == "shifted" else values(form)
    model, _ = trained(jitnet.from_arrays(images, LABELS), epochs=1, val_split=0.0)
    assert np.isfinite(model.predict(images * 1.01)).all()
    with pytest.raises(DataError, match=said):
        model.predict(change(images))


def test_a_scaling_of_the_caller_s_choice_says_nothing_of_the_values():
    images = values("normal").astype(np.float32)
    data = replace(jitnet.from_arrays(images, LABELS), scaling=Scaling(), given=None)
    model, _ = trained(data, epochs=1)
    assert np.isfinite(model.predict(images * 100)).all()


def test_test_data_of_another_kind_than_the_training_data_are_refused():
    images = values("grey levels")
    with pytest.raises(DataError, match=r"test_images: the values, 0 to 1, cannot be grey levels .*train_images"):
        jitnet.from_arrays(images, LABELS, images / 16, LABELS)
    with pytest.raises(DataError, match=r"test_images: the values, .*, cannot be values from 0 to 1: too large"):
        jitnet.from_arrays(values("fractions"), LABELS, values("fractions") * 255, LABELS)
