"""A committee: what it predicts, its file, who may be a member, and that whatever takes a model takes it."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jitnet
from jitnet import Committee, Model, ModelConfig, ModelError, UsageError, load_model
from jitnet.datasets import Scaling
from jitnet.tables.table import table_from_frame

pytestmark = pytest.mark.small

RNG = np.random.default_rng(0)


def network(seed, *, names=("a", "b", "c"), hidden=(5,), in_features=4, **options) -> Model:
    config = ModelConfig(in_features=in_features, n_classes=len(names), hidden=hidden)
    about = {"class_names": names, "scaling": Scaling(), "metadata": {"data": "made", "seed": str(seed)}, **options}
    first = Model.create(config, seed=seed)
    return Model(config, first.weights, first.biases, **about)


def regressor(seed, *, names=("x", "y"), offset=(0.0, 0.0), scale=(1.0, 1.0), **fields) -> Model:
    config = ModelConfig(in_features=4, n_targets=len(names), hidden=(5,), **{"loss": "squared-error", **fields})
    first = Model.create(config, seed=seed)
    unit = Scaling(np.array(offset), np.array(scale))
    return Model(config, first.weights, first.biases, target_names=names, target_scaling=unit, scaling=Scaling())


SAMPLES = RNG.uniform(size=(7, 4)).astype(np.float32)


def test_probabilities_are_averaged():
    members = [network(seed) for seed in range(3)]
    committee = Committee.from_models(members)
    expected = np.mean([member.predict(SAMPLES).astype(np.float64) for member in members], axis=0)
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-6)
    np.testing.assert_allclose(committee.predict(SAMPLES).sum(axis=1), 1.0, rtol=1e-6)
    assert committee.predict(SAMPLES).dtype == np.float32
    assert committee.predict(SAMPLES[0]).shape == (1, 3)
    np.testing.assert_array_equal(committee.outputs(SAMPLES), committee.predict(SAMPLES))
    assert committee.output_names == ("a", "b", "c")
    assert committee.members == tuple(members)
    assert len(committee) == 3


def test_members_may_differ_in_layers_and_in_scaling():
    wide = network(1, hidden=(8, 6), scaling=Scaling(np.full(4, 0.5, np.float32), np.full(4, 2.0, np.float32)))
    committee = Committee.from_models([network(0), wide])
    expected = (network(0).predict(SAMPLES) + wide.predict(SAMPLES)) / 2
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-6)


def test_classes_are_matched_by_name():
    one, other = network(0), network(1, names=("c", "a", "b"))
    committee = Committee.from_models([one, other])
    assert committee.class_names == ("a", "b", "c")
    expected = (one.predict(SAMPLES) + other.predict(SAMPLES)[:, [1, 2, 0]]) / 2
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-6)


def test_classes_without_names_are_matched_by_place():
    unnamed = network(1, names=("0", "1", "2"), metadata={})
    committee = Committee.from_models([unnamed, network(0)])
    assert committee.class_names == ("a", "b", "c")
    assert committee.is_named
    expected = (network(0).predict(SAMPLES) + unnamed.predict(SAMPLES)) / 2
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-6)


def test_numbers_are_averaged_in_their_unit():
    one = regressor(0, offset=(100.0, -5.0), scale=(0.1, 2.0))
    other = regressor(1, names=("y", "x"), offset=(0.0, 120.0), scale=(4.0, 0.05))
    committee = Committee.from_models([one, other])
    expected = (one.predict(SAMPLES) + other.predict(SAMPLES)[:, ::-1]) / 2
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-6)
    standardised = (expected - one.target_scaling.offset) * one.target_scaling.scale
    np.testing.assert_allclose(committee.outputs(SAMPLES), standardised, rtol=1e-4, atol=1e-5)


def test_each_quantile_is_averaged():
    fields = {"loss": "quantile", "quantiles": (0.1, 0.9)}
    one, other = regressor(0, scale=(2.0, 3.0), **fields), regressor(1, names=("y", "x"), **fields)
    committee = Committee.from_models([one, other])
    expected = (one.predict(SAMPLES) + other.predict(SAMPLES)[:, [2, 3, 0, 1]]) / 2
    np.testing.assert_allclose(committee.predict(SAMPLES), expected, rtol=1e-5, atol=1e-6)
    assert committee.output_names == ("x 0.1", "x 0.9", "y 0.1", "y 0.9")


def test_labels_and_their_evaluation():
    tags = np.stack([SAMPLES[:, 0] > 0.5, SAMPLES[:, 1] > 0.5], axis=1)
    data = jitnet.from_arrays(SAMPLES, tags, task="label", target_names=["p", "q"])
    config = ModelConfig(in_features=4, n_targets=2, hidden=(4,), loss="binary-cross-entropy")
    members = [Model.create(config, data, seed=seed) for seed in range(2)]
    committee = Committee.from_models(members)
    mean = np.mean([member.predict(SAMPLES) for member in members], axis=0)
    assert jitnet.evaluate(committee, data).accuracy == pytest.approx(((mean > 0.5) == tags).mean())


def test_an_evaluation_is_that_of_the_averaged_predictions():
    labels = np.array(["a", "b", "c", "a", "b", "c", "a"])
    data = jitnet.from_arrays(SAMPLES, labels)
    members = [Model.create(ModelConfig(in_features=4, n_classes=3, hidden=(5,)), data, seed=k) for k in range(3)]
    committee = Committee.from_models(members)
    mean = np.mean([member.predict(SAMPLES).astype(np.float64) for member in members], axis=0)
    positions = [data.class_names.index(label) for label in labels]
    found = jitnet.evaluate(committee, data)
    assert found.accuracy == pytest.approx((mean.argmax(axis=1) == positions).mean())
    assert found.loss == pytest.approx(-np.log(mean[np.arange(7), positions]).mean(), rel=1e-5)


def test_an_evaluation_of_numbers_is_in_their_unit():
    targets = np.stack([SAMPLES[:, 0] * 30 + 7, SAMPLES[:, 1]], axis=1)
    data = jitnet.from_arrays(SAMPLES, targets, target_names=["x", "y"])
    config = ModelConfig(in_features=4, n_targets=2, hidden=(4,), loss="squared-error")
    members = [Model.create(config, data, seed=seed) for seed in range(2)]
    mean = np.mean([member.predict(SAMPLES).astype(np.float64) for member in members], axis=0)
    found = jitnet.evaluate(Committee.from_models(members), data)
    assert found.targets[0].rmse == pytest.approx(np.sqrt(((mean - targets)[:, 0] ** 2).mean()), rel=1e-5)


def test_a_file_keeps_every_member(tmp_path):
    members = [network(0), network(1, hidden=(8, 6), names=("b", "a", "c"))]
    committee = Committee.from_models(members)
    committee.save(tmp_path / "committee.safetensors")
    for load in (load_model, Committee.load):
        again = load(tmp_path / "committee.safetensors")
        assert isinstance(again, Committee)
        np.testing.assert_array_equal(again.predict(SAMPLES), committee.predict(SAMPLES))
        assert [one.config for one in again.members] == [one.config for one in members]
        assert [one.metadata for one in again.members] == [one.metadata for one in members]
    assert "members.1.2.weight" in load_file(tmp_path / "committee.safetensors")
    before = (tmp_path / "committee.safetensors").read_bytes()
    load_model(tmp_path / "committee.safetensors").save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == before


def test_load_model_loads_a_network_too(tmp_path):
    network(0).save(tmp_path / "model.safetensors")
    assert isinstance(load_model(tmp_path), Model)
    with pytest.raises(ModelError, match="is one network, and a committee is needed"):
        Committee.load(tmp_path)


def test_a_committee_is_refused_where_one_network_is_needed(tmp_path):
    Committee.from_models([network(0), network(1)]).save(tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"is a committee of 2 networks, and one network is needed here; name"):
        Model.load(tmp_path)


def test_tensors_alone_are_a_committee(tmp_path):
    committee = Committee.from_models([network(0), network(1)])
    committee.save(tmp_path / "full.safetensors")
    save_file(load_file(tmp_path / "full.safetensors"), tmp_path / "plain.safetensors")
    found = load_model(tmp_path / "plain.safetensors")
    assert isinstance(found, Committee)
    np.testing.assert_array_equal(found.members[1].weights[0], committee.members[1].weights[0])


def test_metadata_are_what_all_members_agree_on():
    assert Committee.from_models([network(0), network(1)]).metadata == {"data": "made"}


def test_a_committee_of_committees_has_all_their_members():
    pair = Committee.from_models([network(0), network(1)])
    assert len(Committee.from_models([pair, network(2)])) == 3


def test_a_copy_by_pickle_predicts_the_same():
    committee = Committee.from_models([network(0), network(1)])
    committee.predict(SAMPLES)
    again = pickle.loads(pickle.dumps(committee))
    np.testing.assert_array_equal(again.predict(SAMPLES), committee.predict(SAMPLES))


def test_it_shows_itself_in_a_line():
    assert repr(Committee.from_models([network(0), network(1)])) == (
        "Committee(2 networks, 4 → 5 → 3, relu, 86 parameters)"
    )


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ([], "two models or more; found 1"),
        ([regressor(0)], "member 2: loss: predicts numbers .* expected classes, as of member 1"),
        ([network(1, names=("a", "b", "d"))], r"member 2: class_names: 3 \(a, b, d\); expected 3 \(a, b, c\)"),
        ([network(1), network(1, names=("a", "b"))], r"member 3: class_names: 2 \(a, b\); expected 3"),
        ([network(1, in_features=6)], "member 2: in_features: samples of 6 values; expected 4"),
        ([network(1, image_shape=(2, 2))], "member 2: image_shape: images of 2×2; expected no images"),
        ([network(1, scaling=Scaling(0.0, 1 / 255))], "member 2: scaling: takes grey levels .*expected values from 0"),
    ],
)
def test_members_that_do_not_fit_are_named(others, message):
    with pytest.raises(ModelError, match=message):
        Committee.from_models([network(0), *others])


def test_members_of_other_quantiles_are_named():
    one, other = (regressor(0, loss="quantile", quantiles=levels) for levels in ((0.1, 0.9), (0.2, 0.9)))
    with pytest.raises(ModelError, match=r"member 2: quantiles: 0.2, 0.9; expected 0.1, 0.9"):
        Committee.from_models([one, other])


def test_what_is_no_model_is_refused():
    with pytest.raises(ModelError, match="a committee is made of models"):
        Committee.from_models([network(0), "model.safetensors"])
    with pytest.raises(UsageError, match="expected Model or Committee"):
        jitnet.evaluate("model.safetensors", jitnet.load("digits"))


def damaged(path: Path, **about: str) -> Path:
    """The same tensors with other metadata."""
    tensors = load_file(path)
    save_file(tensors, path, metadata=about)
    return path


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"committee": "[]"}, "has the committee .*expected a list"),
        ({"committee": "7"}, "has the committee .*expected a list"),
        ({"committee": '[{"config": 3}, {}]'}, "has the committee .*expected a list"),
        ({"committee": "{"}, "expected JSON"),
        ({"committee": "[{}]"}, r"found the tensor members.1.0.(weight|bias); expected those of 1 members"),
        ({"committee": "[{}, {}, {}]"}, "member 3: found the tensors nothing"),
        ({"committee": json.dumps([{}, {"config": "[]"}])}, "member 2: its metadata has the config"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, about, message):
    Committee.from_models([network(0), network(1)]).save(tmp_path / "c.safetensors")
    damaged(tmp_path / "c.safetensors", **about)
    with pytest.raises(ModelError, match=message) as error:
        load_model(tmp_path / "c.safetensors")
    assert str(tmp_path / "c.safetensors") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "c.safetensors"
    Committee.from_models([network(0), network(1)]).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        load_model(path)


def table(n: int, seed: int):
    import pandas as pd

    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"size": rng.normal(size=n) * 10, "kind": rng.choice(["p", "q", "r"], size=n)})
    frame["price"] = frame["size"] * 2 + 0.5 + (frame["kind"] == "p") * 5
    return frame


def test_each_member_prepares_the_columns_of_a_table_by_itself():
    pytest.importorskip("pandas")
    members = []
    for seed in range(2):
        data = jitnet.load(table(40, seed), target="price", task="regress", held_out=0.0)
        config = ModelConfig(in_features=data.in_features, n_targets=1, hidden=(4,), loss="squared-error")
        members.append(Model.create(config, data, seed=seed))
    assert members[0].preparation != members[1].preparation
    committee, rows = Committee.from_models(members), table(9, 5)
    expected = np.mean([member.predict(rows).astype(np.float64) for member in members], axis=0)
    np.testing.assert_allclose(committee.predict(rows), expected, rtol=1e-6)
    read = table_from_frame(rows)
    np.testing.assert_allclose(committee.row_predictor(read)(np.array([3, 1])), expected[[3, 1]], rtol=1e-6)
    data = jitnet.load(rows, target="price", task="regress", held_out=0.0, preparation=committee.preparation)
    error = expected[:, 0] - rows["price"].to_numpy()
    assert jitnet.evaluate(committee, data).rmse == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    with pytest.raises(ModelError, match="one array cannot hold them"):
        committee.predict(np.zeros((2, data.in_features), np.float32))


def test_a_table_and_an_array_cannot_be_one_committee():
    pytest.importorskip("pandas")
    data = jitnet.load(table(40, 0), target="price", task="regress", held_out=0.0)
    config = ModelConfig(in_features=data.in_features, n_targets=1, hidden=(4,), loss="squared-error")
    of_arrays = Model.create(config, seed=1)
    with pytest.raises(ModelError, match="preparation: takes arrays; expected the columns of a table"):
        Committee.from_models([Model.create(config, data), of_arrays])
