"""Frozen layers: their parameters keep their bits, the others train as if the frozen ones' gradients were zero, and the
step's program has no line for what is left out."""

import gradcheck
import numpy as np
import pytest
from loop import Loop, Problem

import jitnet
from jitnet.config import TrainConfig
from jitnet.engine import ownership
from jitnet.errors import UsageError

WIDTHS = (9, 32, 32, 17, 3)
CASES = [
    ("0", {}),
    ("1", {"norm": "layer", "residual": True}),
    ("0,2", {"optimizer": "adamw", "weight_decay": 0.1, "ema": 0.9}),
    ("all-but-last", {"max_norm": 0.5, "ema": 0.9, "norm": "layer"}),
    ("3", {"optimizer": "momentum", "dropout": (0.3, 0.2, 0.1), "activation": "gelu"}),
    ("0", {"input_scale": True, "optimizer": "lion", "weight_decay": 0.1}),
    ("1,2", {"input_scale": True, "norm": "layer", "parametrization": "ntk", "bias_rate": 0.5}),
]


def frozen_places(each: Loop) -> np.ndarray:
    """Of each number in params, whether a frozen layer has it."""
    found, frozen = np.zeros(each.layout.params, bool), each.config.frozen(each.shape)
    for record in each.engine_run.parameters:
        if each.shape.layers[record.layer].block in frozen:
            found[record.offset : record.offset + record.count] = True
    return found


@pytest.mark.parametrize("inputs", ["dense", "sparse", "floats"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("freeze", "options"), CASES, ids=str)
def test_the_others_train_as_if_the_frozen_gradients_were_zero(freeze, options, threads, inputs, monkeypatch):
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    problem = Problem(WIDTHS, 33)
    frozen = Loop(problem, 8, inputs=inputs, threads=threads, freeze=freeze, **options)
    whole = Loop(problem, 8, inputs=inputs, **options)
    kept, first = frozen_places(frozen), frozen.state.params.copy()
    assert kept.any()
    arrays = ("params", "first_moment", "second_moment", "average")
    before = {name: getattr(whole.state, name).copy() for name in arrays}
    for batch in range(5):
        whole.steps(0.05, batch, 1, whole.totals)
        for name in arrays:
            if getattr(whole.state, name).shape == kept.shape:
                getattr(whole.state, name)[kept] = before[name][kept]
    frozen.run(0.05)
    for name in arrays:
        np.testing.assert_array_equal(getattr(frozen.state, name), getattr(whole.state, name), name)
    np.testing.assert_array_equal(frozen.state.params[kept], first[kept])
    assert not np.array_equal(frozen.state.params, first)
    np.testing.assert_array_equal(frozen.totals, whole.totals)


@pytest.mark.small
@pytest.mark.parametrize("freeze", ["0", "1", "all-but-last"])
def test_the_gradient_of_the_rest_is_that_of_the_loss(freeze):
    problem = Problem((5, 16, 16, 3), 6)
    made = Loop(problem, 6, freeze=freeze, optimizer="momentum", activation="tanh", norm="layer", residual=True)
    layers = {layer.key("weight"): layer.block for layer in made.shape.layers if layer.kind == "linear"}
    made.steps(0.0, 0, 1, made.totals)
    gradients, _ = made.raw(made.state.grads)
    records = {
        made.shape.layers[record.layer].key("weight"): record
        for record in made.engine_run.parameters
        if made.shape.layers[record.layer].kind == "linear" and record.number == 0
    }
    for name, block in layers.items():
        if block in made.config.frozen(made.shape):
            assert not gradients[name].any()
            continue
        record = records[name]
        begin = made.state.params[record.offset : record.offset + 4].copy()

        def loss(values: np.ndarray, record=record) -> float:
            made.state.params[record.offset : record.offset + 4] = values
            return float(made.measure()[0]) / 6

        found = gradcheck.central_differences(loss, begin, step=1e-2)
        made.state.params[record.offset : record.offset + 4] = begin
        flat = made.state.grads[record.offset : record.offset + 4]
        np.testing.assert_allclose(flat, found, rtol=0.02, atol=2e-4)


@pytest.mark.small
@pytest.mark.parametrize("threads", [1, 3])
def test_clipping_ignores_the_frozen_gradients(threads):
    problem = Problem(WIDTHS, 8)
    whole = Loop(problem, 8, optimizer="momentum")
    whole.steps(0.0, 0, 1, whole.totals)
    made = Loop(problem, 8, freeze="0,1", clip_norm=0.01, threads=threads)
    kept, before = frozen_places(made), made.state.params.copy()
    made.steps(1.0, 0, 1, made.totals)
    moved = (before - made.state.params)[~kept].astype(np.float64)
    gradient = whole.state.grads[~kept].astype(np.float64)
    assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-3)
    np.testing.assert_allclose(moved, gradient * 0.01 / np.linalg.norm(gradient), rtol=1e-3, atol=1e-7)


def lines(freeze: str, **options: object) -> list[str]:
    return [line.name for line in Loop(Problem(WIDTHS, 8), 8, freeze=freeze, **options).program.step]


@pytest.mark.small
def test_the_program_has_no_line_for_what_is_left_out():
    backward = [name for name in lines("all-but-last", optimizer="adam") if "back" in name or "update" in name]
    assert backward == ["backward_weight 3", "update_weights 3", "backward_bias 3", "update_vectors 3"]
    names = lines("0,1", norm="layer", residual=True)
    assert not {name for name in names if name.startswith(("backward", "activate_back")) and name[-1] in "01"}
    assert "backward_input 3" in names
    assert "backward_input 2" not in names
    between = lines("1", norm="layer")
    assert {"backward_input 1", "backward_frozen_norm 1", "backward_weight 0"} <= set(between)
    assert not {"backward_weight 1", "backward_bias 1", "backward_norm 1"} & set(between)
    assert not any(name.startswith(("fold", "backward_scale")) for name in lines("0", input_scale=True))
    late = lines("0", clip_norm=1.0, max_norm=1.0)
    assert "norm 1" in late
    assert not {"norm 0", "limit 0"} & set(late)


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


def test_a_training_leaves_frozen_layers_alone(digits):
    shape = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(24, 16), input_scale=True)
    model = jitnet.Model.create(shape, digits, seed=0)
    before = dict(model.parameters)
    config = TrainConfig(epochs=1, optimizer="adam", weight_decay=0.1, ema=0.9, clip_norm=1.0, freeze="0")
    jitnet.train(model, digits, config)
    kept = {name for name, values in model.parameters.items() if np.array_equal(values, before[name])}
    assert kept == {"0.weight", "0.bias"}


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("first", "freeze is 'first'; expected all-but-last, or numbers of layers from 0, separated by commas"),
        ("-1", "freeze is '-1'; expected all-but-last, or numbers of layers from 0"),
        ("3", "freeze is 3, and the network has no layer 3; expected from 0 to 2"),
        ("0,1,2", "freeze is 0,1,2, which are all layers of the network: nothing is left to train; leave one out"),
    ],
)
def test_what_cannot_be_frozen_is_one_line(freeze, message, digits):
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(8, 8)), digits)
    with pytest.raises(UsageError) as caught:
        jitnet.train(model, digits, TrainConfig(freeze=freeze))
    assert str(caught.value).startswith(message)


def test_layers_are_named_by_numbers_too():
    assert TrainConfig(freeze=0).freeze == "0"
    assert TrainConfig(freeze=(0, 2)).freeze == "0,2"
    with pytest.raises(UsageError, match=r"freeze: expected numbers of layers from 0, .* or all-but-last"):
        TrainConfig(freeze=True)
