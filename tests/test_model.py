"""Models: predictions beside plain float64, and files that PyTorch would load."""

import copy
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import jitnet
from jitnet.config import ACTIVATIONS
from jitnet.errors import DataError, ModelError, OutputError, UsageError


def make(hidden: tuple[int, ...] = (20, 7), activation: str = "relu", seed: int = 3) -> jitnet.Model:
    shape = jitnet.ModelConfig(in_features=30, hidden=hidden, n_classes=4, activation=activation)
    return jitnet.Model.create(shape, seed=seed)


def reference(model: jitnet.Model, inputs: np.ndarray) -> np.ndarray:
    """The same network in float64."""
    network = naive.Network(model.weights, model.biases, activation=model.config.activation)
    return naive.softmax(network.forward(inputs)[1][-1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (20,), (20, 7), (16, 33, 5)])
@pytest.mark.parametrize("n", [1, 59, 60, 61, 200])
def test_probabilities_are_those_of_the_plain_network(hidden, n, activation):
    model = make(hidden, activation)
    images = np.random.default_rng(n).integers(0, 256, (n, 30), dtype=np.uint8)
    found = model.predict(images)
    np.testing.assert_allclose(found, reference(model, images / 255.0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)


def test_a_sample_is_predicted_alike_alone_and_among_others_sparse_or_not():
    model = make((48,))
    images = np.random.default_rng(0).integers(0, 256, (300, 30), dtype=np.uint8)
    images[:150] *= np.random.default_rng(1).random((150, 30)) < 0.2
    together = model.predict(images)
    for n in (0, 7, 149, 150, 299):
        np.testing.assert_array_equal(model.predict(images[n])[0], together[n])
    np.testing.assert_array_equal(model.predict(images, threads=1), together)


def test_bytes_are_scaled_from_an_offset_also_where_most_are_zero():
    """A byte of zero is then no input of zero: skipping it would leave it out."""
    model = make((20,))
    model.scaling = jitnet.Scaling(30.0, 0.02)
    rng = np.random.default_rng(0)
    images = (rng.integers(1, 256, (300, 30)) * (rng.random((300, 30)) < 0.1)).astype(np.uint8)
    for n in (2, 300):
        found = model.predict(images[:n])
        np.testing.assert_allclose(found, reference(model, (images[:n] - 30.0) * 0.02), rtol=1e-4, atol=1e-6)


def test_probabilities_stay_when_others_are_asked_for():
    model = make()
    images = np.random.default_rng(0).integers(0, 256, (4, 30), dtype=np.uint8)
    first = model.predict(images[:2])
    kept = first.copy()
    assert (model.predict(images[2:]) != kept).any()
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (20,), (16, 33, 5)])
@pytest.mark.parametrize("n", [1, 60, 200])
def test_activations_are_those_of_the_plain_network(hidden, n, activation):
    model = make(hidden, activation)
    images = np.random.default_rng(n).integers(0, 256, (n, 30), dtype=np.uint8)
    found = model.activations(images)
    network = naive.Network(model.weights, model.biases, activation=activation)
    inputs, sums, _ = network.forward(images / 255.0)
    expected = [*inputs[1:], naive.softmax(sums[-1])]
    assert [array.shape for array in found] == [(n, width) for width in (*hidden, 4)]
    for array, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, values, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[-1], model.predict(images))


def test_activations_of_sparse_bytes_and_of_floats_stay_when_others_are_asked_for():
    model = make((48,))
    images = np.random.default_rng(0).integers(1, 256, (300, 30), dtype=np.uint8)
    images *= np.random.default_rng(1).random((300, 30)) < 0.1
    first = model.activations(images)
    kept = [array.copy() for array in first]
    model.scaling = jitnet.Scaling(np.zeros(30, np.float32), np.full(30, 1 / 255, np.float32))
    floats = make((48,)).activations(images)
    for array, same, other in zip(first, kept, floats, strict=True):
        np.testing.assert_array_equal(array, same)
        np.testing.assert_allclose(array, other, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(first[-1], make((48,)).predict(images))


def test_a_model_shows_its_network():
    model = make((200, 7), "tanh")
    assert repr(model) == "Model(30 → 200 → 7 → 4, tanh, 7,639 parameters)"
    summary = model.summary()
    assert repr(summary) == str(summary)
    assert summary.splitlines() == [
        "layer     followed by  parameters",
        "─────────────────────────────────",
        "30 → 200  tanh              6,200",
        "200 → 7   tanh              1,407",
        "7 → 4     softmax              32",
        "network                     7,639",
        "classes: 0, 1, 2, 3",
    ]


def test_a_summary_says_what_the_network_was_made_for():
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(), output_bias=False)
    lines = jitnet.Model.create(shape, data).summary().splitlines()
    assert lines[2].split() == ["64", "→", "10", "softmax", "640"]
    assert lines[-2:] == ["samples: images of 8×8", "made for: digits"]


def test_shapes_that_fit_are_taken_and_others_named():
    model = make()
    assert model.predict(np.zeros((5, 5, 6), np.uint8)).shape == (5, 4)
    assert model.predict(np.zeros((2, 30), np.float64)).shape == (2, 4)
    with pytest.raises(ModelError, match=r"\(3, 31\).*expects \(n, 30\)"):
        model.predict(np.zeros((3, 31), np.uint8))
    with pytest.raises(ModelError, match="are not numbers"):
        model.predict(np.full((1, 30), "a"))


def test_the_same_seed_makes_the_same_network_of_he_s_size():
    first, second, other = make(seed=1), make(seed=1), make(seed=2)
    np.testing.assert_array_equal(first.weights[0], second.weights[0])
    assert not np.array_equal(first.weights[0], other.weights[0])
    wide = jitnet.Model.create(jitnet.ModelConfig(in_features=400, hidden=(300,), n_classes=2))
    assert wide.weights[0].std() == pytest.approx(np.sqrt(2 / 400), rel=0.02)
    assert not wide.biases[0].any()


def test_ntk_begins_with_a_last_layer_of_zeros():
    shape = jitnet.ModelConfig(in_features=400, hidden=(300, 200), n_classes=2, init="ntk")
    model = jitnet.Model.create(shape, seed=1)
    assert model.weights[0].std() == pytest.approx(np.sqrt(1 / 400), rel=0.02)
    assert model.weights[1].std() == pytest.approx(np.sqrt(1 / 300), rel=0.02)
    assert model.biases[0].std() == pytest.approx(1.0, rel=0.1)
    assert not model.weights[2].any()
    assert not model.biases[2].any()


def test_no_two_weights_or_biases_are_drawn_alike():
    shape = jitnet.ModelConfig(in_features=30, hidden=(20, 7), n_classes=4, init="normal")
    model = jitnet.Model.create(shape, seed=3)
    numbers = np.concatenate([array.ravel() for array in (*model.weights, *model.biases[:-1])])
    assert len(np.unique(numbers)) == len(numbers)
    assert (model.biases[-1] == 0).all()


def test_parameters_are_replaced_whole_not_written_into():
    model = make()
    images = np.arange(30, dtype=np.uint8)
    before = model.predict(images)
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0][0, 0] = 1.0
    model.set_parameters([weight * 2 for weight in model.weights], model.biases)
    assert not np.array_equal(model.predict(images), before)
    with pytest.raises(ModelError, match=r"layer 0: weight has shape \(1, 1\); expected \(20, 30\)"):
        model.set_parameters([np.zeros((1, 1), np.float32)] * 3, model.biases)
    for weights, biases in (([], []), (model.weights[:2], model.biases), ([*model.weights] * 2, [*model.biases] * 2)):
        with pytest.raises(ModelError, match=rf"found {len(weights)} arrays of weights .*; expected 3 of each"):
            model.set_parameters(weights, biases)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_saved_model_comes_back_whole(tmp_path: Path, activation):
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=64, hidden=(12,), n_classes=10, activation=activation, output_bias=False)
    model = jitnet.Model.create(shape, data, seed=5)
    model.save(tmp_path / "m.safetensors")
    again = jitnet.Model.load(tmp_path / "m.safetensors")
    assert again.config == model.config
    assert again.class_names == data.class_names
    assert again.image_shape == (8, 8)
    assert again.scaling == data.scaling
    assert again.metadata["data_checksum"] == data.checksum
    assert again.metadata["seed"] == "5"
    assert again.metadata == model.metadata  # what has a place of its own in the model is not metadata too
    np.testing.assert_array_equal(again.predict(data.test.images), model.predict(data.test.images))


def test_files_of_the_same_network_are_equal_byte_for_byte(tmp_path: Path):
    model = jitnet.Model.create(
        jitnet.ModelConfig(in_features=64, hidden=(12,), n_classes=10), jitnet.load("digits"), seed=5
    )
    model.save(tmp_path / "0.safetensors")
    for number in range(4):
        jitnet.Model.load(tmp_path / f"{number}.safetensors").save(tmp_path / f"{number + 1}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_run_folder_loads_and_one_without_a_model_is_named(tmp_path: Path):
    make().save(tmp_path / "model.safetensors")
    assert jitnet.Model.load(tmp_path).config.hidden == (20, 7)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no model\.safetensors"):
        jitnet.Model.load(tmp_path)


def test_the_file_has_the_keys_and_shapes_of_nn_sequential(tmp_path: Path):
    make().save(tmp_path / "m.safetensors")
    found = {name: tensor.shape for name, tensor in load_file(tmp_path / "m.safetensors").items()}
    assert found == {
        "0.weight": (20, 30), "0.bias": (20,), "2.weight": (7, 20), "2.bias": (7,), "4.weight": (4, 7), "4.bias": (4,),
    }  # fmt: skip


def test_a_file_that_pytorch_wrote_loads_with_what_can_be_known(tmp_path: Path):
    rng = np.random.default_rng(0)
    tensors = {
        "0.weight": rng.random((6, 16)),
        "0.bias": rng.random(6),
        "2.weight": rng.random((3, 6)),
        "2.bias": np.zeros(3),
    }
    save_file({name: tensor.astype(np.float32) for name, tensor in tensors.items()}, tmp_path / "t.safetensors")
    model = jitnet.Model.load(tmp_path / "t.safetensors")
    assert model.config.widths == (16, 6, 3)
    assert model.config.activation == "relu"
    assert model.class_names == ("0", "1", "2")
    assert model.image_shape == (4, 4)


def tensors_of(model: jitnet.Model) -> dict[str, np.ndarray]:
    layers = enumerate(zip(model.weights, model.biases, strict=True))
    return {
        f"{2 * k}.{part}": array for k, pair in layers for part, array in zip(("weight", "bias"), pair, strict=True)
    }


BROKEN = {
    "missing": (lambda t: t.pop("2.bias"), "found the tensors .*; expected .*2.bias"),
    "extra": (lambda t: t.update(x=np.zeros(1, np.float32)), "found the tensors .*x; expected"),
    "type": (
        lambda t: t.update({"0.weight": t["0.weight"].astype(np.float64)}),
        "0.weight is float64; expected float32",
    ),
    "rank": (lambda t: t.update({"0.bias": t["0.bias"].reshape(1, -1)}), r"0.bias has shape \(1, 20\); expected 1"),
    "bias": (lambda t: t.update({"0.bias": t["0.bias"][:-1]}), "0.bias has 19 numbers; expected 20"),
    "chain": (
        lambda t: t.update({"2.weight": t["2.weight"][:, 1:]}),
        r"2.weight has shape \(7, 19\); expected \(…, 20\)",
    ),
    "nan": (lambda t: t.update({"0.bias": t["0.bias"] * np.float32(np.nan)}), "0.bias holds NaN"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, fault):
    tensors = {name: array.copy() for name, array in tensors_of(make()).items()}
    spoil, message = BROKEN[fault]
    spoil(tensors)
    save_file(tensors, tmp_path / "m.safetensors")
    with pytest.raises(ModelError, match=message):
        jitnet.Model.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b[:-1]]
)
def test_a_file_cut_short_or_lying_is_named(tmp_path: Path, spoil):
    path = tmp_path / "m.safetensors"
    make().save(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ModelError, match=r"m.safetensors: not a whole safetensors file"):
        jitnet.Model.load(path)


@pytest.mark.parametrize(
    ("name", "text"), [("scaling", "{}"), ("class_names", '["a"]'), ("image_shape", "[2, 2]"), ("config", "[")]
)
def test_metadata_that_does_not_fit_is_named(tmp_path: Path, name, text):
    path = tmp_path / "m.safetensors"
    model = make()
    about = {"config": model.config.model_dump_json(), "class_names": json.dumps(model.class_names), name: text}
    save_file(tensors_of(model), path, metadata=about)
    with pytest.raises(ModelError, match=r"m\.safetensors: "):
        jitnet.Model.load(path)


def test_a_missing_file_and_a_place_that_cannot_be_written_are_named(tmp_path: Path):
    with pytest.raises(ModelError, match="there is no such file"):
        jitnet.Model.load(tmp_path / "none.safetensors")
    with pytest.raises(OutputError, match="cannot be written"):
        make().save(tmp_path / "no" / "folder.safetensors")


def test_saving_follows_a_link_and_keeps_the_mode_of_a_file(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(Path("there", "model"))
    make().save(tmp_path / "link")
    file = tmp_path / "there" / "model"
    assert (tmp_path / "link").is_symlink()
    file.chmod(0o640)
    make().save(tmp_path / "link")
    assert (file.stat().st_mode & 0o777, file.is_symlink()) == (0o640, False)
    assert jitnet.Model.load(file).config == make().config
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["model"]


def test_a_pipe_is_not_replaced_by_a_model(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match=r"pipe: cannot be replaced: not a regular file; choose another place"):
        make().save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "note").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        make().save(tmp_path / "folder")
    assert {path.name for path in tmp_path.iterdir()} == {"pipe", "folder"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, r"0.weight: value 0 \(from 0\) is None; expected only numbers"),
        ("abc", "0.weight: an array is of type <U3; expected float32"),
        ([[1.0], [2.0, 3.0]], "0.weight: rows have different lengths"),
        ([1.0, 2.0], r"0.weight has shape \(2,\); expected"),
        (1j, "0.weight: an array is of type complex128; expected float32"),
        (np.nan, "0.weight holds NaN, or infinite numbers as float32; expected finite ones"),
        (1e300, "0.weight holds NaN, or infinite numbers"),
    ],
    ids=str,
)
def test_parameters_that_are_no_numbers_are_refused_in_a_line(values, message):
    model = make()
    before = model.weights[0].copy()
    if np.isscalar(values) and not isinstance(values, str):
        values = np.full(model.weights[0].shape, values)
    with pytest.raises(ModelError, match=message):
        model.replace_parameters({**model.parameters, "0.weight": values})
    np.testing.assert_array_equal(model.weights[0], before)
    model.replace_parameters({name: array.tolist() for name, array in model.parameters.items()})
    np.testing.assert_array_equal(model.weights[0], before)


def test_parameters_come_by_name_and_are_finite():
    model = make()
    for wrong in (None, [1, 2], "0.weight", model.weights):
        with pytest.raises(ModelError, match="parameters: expected a dict of arrays by name, found"):
            model.replace_parameters(wrong)
    with pytest.raises(ModelError, match=r"found the parameters 1; expected 0\.weight"):
        model.replace_parameters({1: model.weights[0]})
    weights = [weight.copy() for weight in model.weights]
    for bad in (np.nan, np.inf):
        weights[0][0, 0] = bad
        with pytest.raises(ModelError, match=r"0\.weight holds NaN, or infinite numbers"):
            model.set_parameters(weights, model.biases)
    with pytest.raises(ModelError, match=f"found 1 array of weights and {len(model.biases)} of biases; expected"):
        model.set_parameters(weights[:1], model.biases)


# ---- Networks with more kinds of layers ----

KINDS = {"norm": "layer", "residual": True, "input_scale": True}


def deep(**fields: Any) -> jitnet.Model:
    """Widths 30-20-20-7-4, with gains, biases and weights from a seed."""
    shape = jitnet.ModelConfig(in_features=30, hidden=(20, 20, 7), n_classes=4, **fields)
    model, rng = jitnet.Model.create(shape, seed=3), np.random.default_rng(5)
    model.replace_parameters(
        {name: rng.normal(0.2, 0.3, value.shape).astype(np.float32) for name, value in model.parameters.items()}
    )
    return model


def by_hand(model: jitnet.Model, inputs: np.ndarray) -> list[np.ndarray]:
    """Each block's outputs by the names in the file alone, as PyTorch's modules compute them."""
    values, found = {name: array.astype(np.float64) for name, array in model.parameters.items()}, [inputs]
    linear = ["0", "3.0", "4", "7"] if model.config.residual else ["0", "3", "6", "9"]
    norms = ["1", "3.1", "5"] if model.config.residual else ["1", "4", "7"]
    for place, name in enumerate(linear):
        out = found[-1] @ values[f"{name}.weight"].T + values[f"{name}.bias"]
        if place < 3:
            normed = naive.layer_norm(out)[0] * values[f"{norms[place]}.weight"] + values[f"{norms[place]}.bias"]
            out = np.maximum(normed, 0) + (found[-1] if model.config.residual and place == 1 else 0)
        found.append(out)
    return [*found[1:-1], naive.softmax(found[-1])]


@pytest.mark.parametrize("n", [1, 7, 130])
@pytest.mark.parametrize("fields", [{"norm": "layer"}, KINDS], ids=str)
def test_norm_and_residual_are_those_of_pytorch_s_modules(n, fields):
    model = deep(**fields)
    images = np.random.default_rng(1).integers(0, 256, (n, 30), np.uint8)
    expected = by_hand(model, images / 255.0)
    np.testing.assert_allclose(model.predict(images), expected[-1], rtol=1e-4, atol=1e-6)
    for found, values in zip(model.activations(images), expected, strict=True):
        np.testing.assert_allclose(found, values, rtol=1e-4, atol=2e-6)
    alone = [model.predict(image)[0] for image in images[:3]]
    np.testing.assert_array_equal(alone, model.predict(images, threads=2)[:3])


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("fields", [{"norm": "layer"}, {"residual": True}, KINDS], ids=str)
def test_every_parameter_comes_back_from_its_file(tmp_path: Path, fields, metadata):
    model, path = deep(**fields), tmp_path / "m.safetensors"
    model.save(path)
    if not metadata:  # as PyTorch saves it: the names and shapes say what there is
        save_file(load_file(path), path)
    again = jitnet.Model.load(path)
    for name in ("norm", "residual", *(["input_scale"] if metadata else [])):
        assert getattr(again.config, name) == getattr(model.config, name)
    assert list(again.parameters) == list(model.parameters)
    for name, array in model.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)
    images = np.random.default_rng(1).integers(0, 256, (9, 30), np.uint8)
    np.testing.assert_array_equal(again.predict(images), model.predict(images))


def test_a_norm_s_file_that_does_not_fit_is_named(tmp_path: Path):
    path = tmp_path / "m.safetensors"
    for name, change, message in [
        (
            "1.weight",
            lambda array: array[1:],
            r"1.weight has shape \(19,\); expected \(20,\), by the widths 30-20-20-7-4",
        ),
        ("1.bias", lambda array: array * np.float32(np.nan), "1.bias holds NaN"),
        ("3.1.weight", lambda array: array.reshape(1, -1), r"3.1.weight has shape \(1, 20\); expected 1 dim"),
    ]:
        model = deep(**KINDS)
        model.save(path)
        tensors = load_file(path)
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
        save_file(tensors, path, metadata={"config": model.config.model_dump_json()})
        with pytest.raises(ModelError, match=message):
            jitnet.Model.load(path)


def test_what_is_replaced_by_name_must_fit():
    model = deep(**KINDS)
    with pytest.raises(ModelError, match=r"found the parameters 0.weight; expected 0.weight, 0.bias, 1.weight, .*"):
        model.replace_parameters({"0.weight": model.weights[0]})
    with pytest.raises(ModelError, match=r"1.weight has shape \(3,\); expected \(20,\)"):
        model.replace_parameters({**model.parameters, "1.weight": np.zeros(3, np.float32)})
    with pytest.raises(TypeError):
        model.parameters["0.weight"] = model.weights[0]  # type: ignore[index]


def test_layers_that_a_network_has_no_room_for_are_refused():
    with pytest.raises(UsageError, match="norm is layer, with no hidden layer to normalise"):
        jitnet.ModelConfig(in_features=3, n_classes=2, hidden=(), norm="layer")
    with pytest.raises(UsageError, match=r"residual is on, and in hidden 8,4 no layer .* 8,8 for example"):
        jitnet.ModelConfig(in_features=3, n_classes=2, hidden=(8, 4), residual=True)


def test_a_summary_shows_every_layer():
    lines = deep(**KINDS).summary().splitlines()
    assert [line.split() for line in lines[2:7]] == [
        ["30", "→", "30", "input", "scale", "30"],
        ["30", "→", "20", "layer", "norm,", "relu", "660"],
        ["20", "→", "20", "layer", "norm,", "relu,", "plus", "its", "input", "460"],
        ["20", "→", "7", "layer", "norm,", "relu", "161"],
        ["7", "→", "4", "softmax", "32"],
    ]
    assert repr(deep(**KINDS)) == (
        "Model(30 → 20 → 20 → 7 → 4, layer norm, relu, residual, input scale, 1,343 parameters)"
    )


@pytest.mark.parametrize("more", [{}, {"ema": 0.9, "val_split": 0.2}], ids=str)
def test_a_trained_network_is_what_was_measured_and_saved(tmp_path: Path, more):
    data = jitnet.load("digits")
    shape = jitnet.ModelConfig(in_features=64, hidden=(32, 32), n_classes=10, **KINDS)
    model = jitnet.Model.create(shape, data)
    history = jitnet.train(model, data, jitnet.TrainConfig(epochs=4, learning_rate=0.1, **more))
    assert history.last_accuracy > 0.9
    model.save(tmp_path / "m.safetensors")
    again = jitnet.Model.load(tmp_path / "m.safetensors")
    scores = jitnet.evaluate(again, data)
    measured = history.final_test or (history.epochs[-1].test_loss, history.epochs[-1].test_accuracy)
    assert (scores.loss, scores.accuracy) == pytest.approx(measured, rel=1e-5)
    assert (np.abs(model.parameters["1.weight"] - 1) > 1e-3).any()
    # A second training goes on from there; the factors begin at one, in weights that have the first ones' in them.
    more_epochs = jitnet.train(again, data, jitnet.TrainConfig(epochs=1, learning_rate=1e-6))
    assert more_epochs.last_accuracy == pytest.approx(scores.accuracy, abs=0.01)


def test_pytorch_computes_the_same_from_the_file(tmp_path: Path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from torch import nn

    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    net = nn.Sequential(
        *(nn.Linear(30, 20), nn.LayerNorm(20), nn.ReLU()),
        Residual(nn.Linear(20, 20), nn.LayerNorm(20), nn.ReLU()),
        *(nn.Linear(20, 7), nn.LayerNorm(7), nn.ReLU()),
        nn.Linear(7, 4),
    )
    model = deep(**KINDS)
    model.save(tmp_path / "m.safetensors")
    net.load_state_dict(
        {name: torch.from_numpy(array) for name, array in load_file(tmp_path / "m.safetensors").items()}
    )
    images = np.random.default_rng(1).integers(0, 256, (9, 30), np.uint8)
    expected = net(torch.from_numpy(images / np.float32(255))).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(model.predict(images), expected, rtol=1e-4, atol=1e-6)


def test_predictions_from_several_python_threads_are_those_of_one():
    model = make((64,))
    images = np.random.default_rng(0).integers(0, 256, (900, 30), dtype=np.uint8)
    together = model.predict(images)

    def is_alike(k: int) -> bool:
        rows = slice(k * 37 % 800, k * 37 % 800 + k % 90 + 1)
        answers = model.activations(images[rows])[-1] if k % 5 == 0 else model.predict(images[rows])
        return bool(np.array_equal(answers, together[rows]))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(is_alike, range(400)))


COPIES = {"deepcopy": copy.deepcopy, "copy": copy.copy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_predicts_in_its_own_memory(copied):
    """Addresses of the first one's memory would be read after it is gone."""
    model = make()
    images = np.random.default_rng(0).integers(0, 256, (3, 30), dtype=np.uint8)
    expected = model.predict(images)
    other = copied(model)
    assert not other.__dict__.keys() & {"_predictor"}
    other.set_parameters([0 * weight for weight in other.weights], [0 * bias for bias in other.biases])
    np.testing.assert_array_equal(other.predict(images), np.full((3, 4), 0.25, np.float32))
    np.testing.assert_array_equal(model.predict(images), expected)


@pytest.mark.parametrize("shape", [(0, 30), (0, 5, 6), (0, 1, 5, 6)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_no_samples_have_no_predictions(shape, kind):
    model, none = make(), np.zeros(shape, kind)
    assert model.predict(none).shape == (0, 4)
    assert [array.shape for array in model.activations(none)] == [(0, 20), (0, 7), (0, 4)]


def test_more_threads_than_there_are_predict_on_those_there_are():
    model = make((64,))
    images = np.random.default_rng(0).integers(0, 256, (3000, 30), dtype=np.uint8)
    np.testing.assert_array_equal(model.predict(images, threads=1000), model.predict(images))


@pytest.mark.parametrize("threads", [-1, 1.5, "2", None])
def test_threads_that_are_no_count_are_refused(threads):
    with pytest.raises(UsageError, match=r"^threads: expected a whole number from 0 to 1,024, found "):
        make().predict(np.zeros((1, 30), np.uint8), threads=threads)


def test_activations_refuse_the_values_that_predict_refuses():
    images = np.random.default_rng(0).random((3, 30))
    for ask in (make().predict, make().activations):
        with pytest.raises(DataError, match="divided by 255 already"):
            ask(images)


def test_numbers_as_objects_are_numbers():
    images = np.random.default_rng(0).integers(0, 256, (3, 30), dtype=np.uint8)
    np.testing.assert_array_equal(make().predict(images.astype(object)), make().predict(images))


ZEROS = [np.zeros((4, 30), np.float32)], [np.zeros(4, np.float32)]
NOT_MODELS = {
    "one name twice": ({"class_names": ["a", "b", "c", "a"]}, "class_names: two classes have the name 'a'"),
    "few names": ({"class_names": ["a", "b"]}, "class_names: there are 2; expected 4"),
    "a name that is none": ({"class_names": ["a", "b", None, "d"]}, "class_names: a class has the name None"),
    "a word": ({"class_names": "abcd"}, "class_names: is 'abcd'; expected a sequence of names"),
    "another shape": ({"image_shape": (5, 5)}, r"image_shape: \(5, 5\) is not \(height, width\) of 30 pixels"),
    "sides below 0": ({"image_shape": (-5, -6)}, "image_shape: "),
    "an infinite scale": ({"scaling": jitnet.Scaling(0.0, np.inf)}, "scaling: scale is inf"),
    "scales of few": ({"scaling": jitnet.Scaling(np.zeros(3), 1.0)}, "scaling: offset is "),
    "no weights": ({"weights": None}, "weights: expected a list of arrays, one a layer, found None"),
    "words": ({"weights": [ZEROS[0][0].astype(str)]}, "weights: an array is of type <U"),
}


@pytest.mark.parametrize(("fields", "match"), NOT_MODELS.values(), ids=NOT_MODELS)
def test_what_makes_no_model_is_named(fields, match):
    weights, biases = ZEROS
    config = jitnet.ModelConfig(in_features=30, hidden=(), n_classes=4)
    with pytest.raises(ModelError, match=f"^{match}"):
        jitnet.Model(config, **{"weights": weights, "biases": biases, **fields})


def test_weights_may_be_lists():
    config = jitnet.ModelConfig(in_features=2, hidden=(), n_classes=2)
    model = jitnet.Model(config, [[[1, 2], [3, 4]]], [[5, 6]])
    assert model.weights[0].tolist() == [[1, 2], [3, 4]]
    assert model.biases[0].tolist() == [5, 6]


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "x", None])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(UsageError, match=r"^seed: expected a whole number from 0 "):
        jitnet.Model.create(jitnet.ModelConfig(in_features=4, n_classes=3), seed=seed)


def test_a_model_is_saved_under_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^path is of type NoneType; expected str or Path"):
        make().save(None)
    with pytest.raises(OutputError, match="is not the name of a file"):
        make().save("")


BAD_METADATA = {
    "class_names": ['["a", "b", "c", "a"]', "[1, 2, null, 4]", "null", '"abcd"', "[" * 100_000],
    "image_shape": ["[-5, -6]", "[5, 6, 1]", "[30.0, 1]"],
    "scaling": ['{"offset": NaN, "scale": 1}', '{"offset": 0, "scale": 1e400}'],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [(name, text) for name, texts in BAD_METADATA.items() for text in texts],
    ids=[f"{name}-{place}" for name, texts in BAD_METADATA.items() for place in range(len(texts))],
)
def test_metadata_that_fit_no_model_are_refused_in_a_line(tmp_path, name, text):
    path = tmp_path / "model.safetensors"
    model = make()
    model.save(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, metadata | {name: text})
    with pytest.raises(ModelError, match=r"^[^\n]*model\.safetensors: [^\n]+$"):
        jitnet.Model.load(path)


def test_a_config_of_other_sizes_than_the_data_is_named():
    rng = np.random.default_rng(0)
    data = jitnet.from_arrays(rng.normal(size=(20, 5)), rng.normal(size=20))
    with pytest.raises(
        ModelError, match=r"in_features of the config is 6, the data have 5 features; give in_features=da"
    ):
        jitnet.Model.create(jitnet.ModelConfig(in_features=6, n_targets=1), data)
    with pytest.raises(ModelError, match=r"there is 1 target, the config says 2; give n_targets=data\.n_t"):
        jitnet.Model.create(jitnet.ModelConfig(in_features=5, n_targets=2), data)
