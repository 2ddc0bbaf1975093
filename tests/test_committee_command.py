"""`jitnet committee`, and `eval` and `predict` of its file."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet import Committee, Model, ModelConfig, load_model

DIGITS = ("--data", "digits", "--epochs", "1", "--hidden", "16")


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> list[Path]:
    """Three networks of the digits, untrained but for their names and their data."""
    folder, data = tmp_path_factory.mktemp("networks"), jitnet.load("digits")
    shape = ModelConfig(in_features=64, n_classes=10, hidden=(8,))
    paths = [folder / f"{seed}.safetensors" for seed in range(3)]
    for seed, path in enumerate(paths):
        model = Model.create(shape, data, seed=seed)
        jitnet.train(model, data, jitnet.TrainConfig(epochs=1, seed=seed))
        model.save(path)
    return paths


def test_it_writes_a_committee_and_scores_it(call, networks, tmp_path):
    result = call("committee", *networks, "--out", "c.safetensors", "--json")
    assert result.code == 0, result.err
    found, data = json.loads(result.out), jitnet.load("digits")
    committee = Committee.load(tmp_path / "c.safetensors")
    assert len(committee) == 3
    assert found["data"]["n"] == len(data.test)
    assert found["committee"]["accuracy"] == jitnet.evaluate(committee, data).accuracy
    for row, path in zip(found["members"], networks, strict=True):
        assert row["model"] == str(path)
        assert row["accuracy"] == jitnet.evaluate(load_model(path), data).accuracy


def test_its_table_has_a_row_for_each_member_and_the_committee(call, networks):
    shown = call("committee", *networks, "--out", "c.safetensors").out
    assert re.search(r"^member +accuracy +loss$", shown, re.MULTILINE)
    for name in (*map(str, networks), "mean of members", "committee"):
        assert re.search(rf"^{re.escape(name)} +\d+\.\d\d% +\d\.\d+$", shown, re.MULTILINE), shown
    assert "jitnet eval c.safetensors" in shown


def test_eval_and_predict_take_its_file(call, networks, tmp_path):
    call("committee", *networks, "--out", "c.safetensors")
    found = json.loads(call("eval", "c.safetensors", "--json").out)
    committee, data = load_model("c.safetensors"), jitnet.load("digits")
    assert found["accuracy"] == jitnet.evaluate(committee, data).accuracy
    np.save("three.npy", np.rint(data.test.images[3].reshape(8, 8) * (255 / 16)).astype(np.uint8))
    guesses = json.loads(call("predict", "c.safetensors", "three.npy", "--json").out)["predictions"][0]["guesses"]
    mean = np.mean([jitnet.recognise(one, "three.npy").guesses[0][1] for one in committee.members])
    assert guesses[0]["probability"] == pytest.approx(mean, abs=0.5)
    every = [dict(jitnet.recognise(one, "three.npy").guesses) for one in committee.members]
    expected = np.mean([one[guesses[0]["class"]] for one in every])
    assert guesses[0]["probability"] == pytest.approx(expected, rel=1e-5)


def test_rows_of_a_table_are_predicted_by_each_member_in_its_way(call, tmp_path):
    rng = np.random.default_rng(0)
    sizes, kinds = rng.normal(size=60) * 10, rng.choice(["p", "q"], size=60)
    lines = [f"{size:.3f},{kind},{2 * size + 5 * (kind == 'p'):.3f}" for size, kind in zip(sizes, kinds, strict=True)]
    Path("t.csv").write_text("size,kind,price\n" + "\n".join(lines) + "\n")
    table = ("--data", "t.csv", "--target", "price", "--hidden", "8", "--epochs", "3", "-q")
    for seed in (0, 1):
        held_out = ("--val-split", "0.3", "--seed", seed)
        assert call("train", *table, *held_out, "--out", f"r{seed}").code == 0
    result = call("committee", "r0", "r1", "--out", "c.safetensors", "--json")
    assert set(json.loads(result.out)["committee"]) == {"rmse", "mae", "r2", "loss"}
    members = [load_model(f"r{seed}") for seed in (0, 1)]
    assert members[0].preparation != members[1].preparation
    written = {}
    for model in ("r0", "r1", "c.safetensors"):
        rows = call("predict", model, "t.csv").out.splitlines()[1:]
        written[model] = np.array([float(row.split(",")[-1]) for row in rows])
    mean = (written["r0"] + written["r1"]) / 2
    np.testing.assert_allclose(written["c.safetensors"], mean, rtol=1e-5, atol=1e-4)
    held_out = json.loads(call("eval", "c.safetensors", "--json").out)
    assert held_out["data"]["part"] == "test"
    assert held_out["data"]["n"] == 12


def test_members_of_different_data_are_not_scored(call, networks, tmp_path):
    other = Model.load(networks[0])
    other.metadata |= {"data": "mnist"}
    other.save("other.safetensors")
    result = call("committee", networks[0], "other.safetensors", "--out", "c.safetensors")
    assert result.code == 0
    assert "no scores: the members were trained on different data; name some with --data" in " ".join(
        result.err.split()
    )
    named = call("committee", networks[0], "other.safetensors", "--out", "c.safetensors", "--data", "digits", "--json")
    assert json.loads(named.out)["committee"]["accuracy"] > 0


@pytest.mark.parametrize(
    ("models", "out", "code", "message"),
    [
        ((0,), "c.safetensors", 1, "a committee is two models or more; found 1"),
        ((0, 0), "c.safetensors", 2, "name each model once"),
        ((0, "nowhere"), "c.safetensors", 1, "nowhere: there is no such file"),
        ((0, 1), "c.csv", 2, "--out: expected a name that ends in .safetensors, found 'c.csv'"),
        ((0, 1), "no/c.safetensors", 1, "the folder .*no does not exist"),
        ((0, "odd.safetensors"), "c.safetensors", 1, r"odd.safetensors: class_names: 3 \(a, b, c\); expected 10"),
        ((0, "digit.png"), "c.safetensors", 2, "digit.png is a picture"),
    ],
)
def test_bad_input_is_one_line(call, networks, models, out, code, message):
    odd = Model.create(ModelConfig(in_features=64, n_classes=3, hidden=(4,)))
    Model(odd.config, odd.weights, odd.biases, class_names=["a", "b", "c"]).save("odd.safetensors")
    result = call("committee", *(networks[one] if isinstance(one, int) else one for one in models), "--out", out)
    assert result.code == code
    assert result.err.count("\n") == 1
    assert re.search(message, result.err), result.err
    assert not Path("c.safetensors").exists()
