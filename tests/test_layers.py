"""Layers beside the linear one and its activation: norm, residual sum and input scale, in a network as it trains."""

import itertools

import naive
import numpy as np
import pytest
from direct import direct
from gradcheck import central_differences
from layouts import MARK, filled, from_panels, rounded, rows, to_panels
from loop import Loop, Problem, in_order, reference_of, reference_run
from numba import config
from optimizers import OPTIMIZER_OPTIONS

from jitnet.config import LAYERS, OPTIMIZERS
from jitnet.engine import ownership
from jitnet.engine.kinds import KINDS
from jitnet.engine.loop_records import LAYER
from jitnet.kernels.input_scale import apply_input_scale, scale_weights_backward
from jitnet.kernels.layer_norm import (
    apply_layer_norm,
    apply_layer_norm_backward,
    layer_norm_backward,
    layer_norm_forward,
    layer_norm_gradient,
)
from jitnet.kernels.residual import apply_residual
from jitnet.machine.blocks import LANES, PANEL

EVERYTHING = {"norm": "layer", "residual": True, "input_scale": True}
LAYERS_ON = [{name: value} for name, value in EVERYTHING.items()] + [EVERYTHING]

WIDTHS = [(9, 7, 7, 7, 3), (6, PANEL + 1, PANEL + 1, 4), (5, 4, 3), (8, 5, 5, 20)]


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)


def ids(options):
    return "-".join(options)


def close(found, expected):
    assert len(found) == len(expected)
    for array, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=2e-4, atol=3e-5)


def trained(problem, batch_size, options, *, rate=0.05, epochs=2, **more):
    """After some epochs, and the reference beside it."""
    loop = Loop(problem, batch_size, **more, **options)
    loop.run(rate, epochs=epochs)
    return loop


@pytest.mark.small
def test_every_kind_has_a_row_in_both_tables():
    assert list(KINDS) == list(LAYERS)
    for name, kind in LAYERS.items():
        assert list(KINDS[name].parameters) == list(kind.parameters)
        assert {parameter.field for parameter in KINDS[name].parameters.values()} <= set(LAYER.names)


@pytest.mark.small
def test_every_parameter_has_one_record_with_room_of_its_own():
    loop = Loop(Problem((9, PANEL + 1, PANEL + 1, 3), 11), 4, **EVERYTHING)
    records, layers = loop.engine_run.parameters, loop.shape.layers
    named = {name_of(loop, record) for record in records}
    assert len(named) == len(records) == sum(len(layer.shapes) for layer in layers)
    ends = sorted((int(record.offset), int(record.offset + record.count)) for record in records)
    assert ends[0][0] == 0
    assert ends[-1][1] == loop.layout.params
    assert all(last == first for (_, last), (first, _) in itertools.pairwise(ends))
    for row, of_block in ((row, records[row.first_parameter : row.end_parameter]) for row in loop.layers):
        assert [layers[record.layer].block for record in of_block] == [layers[of_block[0].layer].block] * len(of_block)
        assert of_block[0].offset == row.weight_offset  # its squares are added last


def name_of(loop, record):
    layer = loop.shape.layers[record.layer]
    return layer.key(list(layer.shapes)[record.number])


@pytest.mark.small
@pytest.mark.parametrize("inputs", ["dense", "sparse", "floats", "compressed"])
@pytest.mark.parametrize("options", LAYERS_ON, ids=ids)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_training_is_that_of_plain_float64(widths, options, inputs):
    if config.DISABLE_JIT and widths not in WIDTHS[:2]:
        pytest.skip("plain Python: two networks are enough")
    problem = Problem(widths, 11)
    loop = trained(problem, 4, options, inputs=inputs)
    network, total = reference_run(problem, 4, 0.05, 2, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    close(loop.parameters(), network.saved(network.parameters))


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_trains_all_layers_as_plain_float64_does(optimizer, inputs):
    problem = Problem((9, 7, 7, 3), 11)
    options = {"optimizer": optimizer, "weight_decay": 0.1, **OPTIMIZER_OPTIONS[optimizer], **EVERYTHING}
    loop = trained(problem, 4, options, rate=0.02, inputs=inputs)
    network, total = reference_run(problem, 4, 0.02, 2, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    close(loop.parameters(), network.saved(network.parameters))


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.05, "optimizer": "momentum", "momentum": 0.8},
        {"max_norm": 0.8, "ema": 0.9},
        {"ema": 0.9, "activation": "tanh", "dropout": (0.5, 0.2, 0.3), "seed": 3},
        {"clip_norm": 0.05, "max_norm": 0.8, "ema": 0.9, "activation": "gelu", "label_smoothing": 0.1},
        {"output_bias": False, "weight_decay": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("layers", [{"norm": "layer"}, EVERYTHING], ids=ids)
def test_what_limits_and_averages_weights_reaches_every_parameter(layers, options):
    problem = Problem((9, 7, 7, 7, 3), 11)
    if not options.get("output_bias", True):
        problem.biases[-1][:] = 0
    loop = trained(problem, 4, layers | options)
    network, total = reference_run(problem, 4, 0.05, 2, **layers, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    close(loop.parameters(), network.saved(network.parameters))
    if "ema" in options:
        close(loop.averages(), network.saved(network.averages))


def raw(loop, flat):
    """Parameters or gradients as they are in training, in the order of the reference: nothing folded."""
    found, factors = loop.raw(flat)
    return [*in_order(loop.shape, found), factors]


@pytest.mark.small
@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_gradients_are_central_differences_through_the_whole_network(activation):
    problem = Problem((5, 4, 4, 3), 6)
    options = {"activation": activation, **EVERYTHING}
    network = reference_of(problem, **options)
    gradients = network.gradients(problem.inputs, problem.labels)
    loop = Loop(problem, 6, optimizer="momentum", **options)
    loop.run(0.0)
    found = raw(loop, loop.state.grads)
    assert len(found) == len(gradients) == len(network.parameters)
    rows = problem.order
    for array, gradient, of_loop in zip(network.parameters, gradients, found, strict=True):

        def loss(at, array=array):
            kept, array[...] = array.copy(), at
            value = float(network.losses(problem.inputs[rows], problem.labels[rows]).mean())
            array[...] = kept
            return value

        expected = central_differences(loss, array.copy(), 1e-6)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(of_loop, expected, rtol=1e-3, atol=2e-6)
        assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("options", LAYERS_ON, ids=ids)
def test_evaluating_is_the_forward_pass_of_what_was_trained(options, inputs):
    problem = Problem((9, 7, 7, 3), 11)
    loop = trained(problem, 4, options, inputs=inputs)
    network, _ = reference_run(problem, 4, 0.05, 2, **options)
    total, right = loop.measure()
    assert total == pytest.approx(float(network.losses(problem.inputs, problem.labels).sum()), rel=1e-4)
    assert right == (network.forward(problem.inputs)[1][-1].argmax(axis=1) == problem.labels).sum()
    before = loop.state.params.copy()
    loop.measure()
    np.testing.assert_array_equal(loop.state.params, before)


WIDE = 5 * PANEL + 3
MORE = [
    {},
    {"optimizer": "adam", "ema": 0.9},
    {"clip_norm": 0.1, "max_norm": 1.0, "ema": 0.9},
    {"dropout": (0.5, 0.2), "activation": "gelu"},
]


@pytest.mark.parametrize("more", MORE, ids=str)
@pytest.mark.parametrize("options", LAYERS_ON, ids=ids)
@pytest.mark.parametrize("widths", [(40, WIDE, WIDE, 5), (33, WIDE, 10), (21, WIDE, WIDE, 2 * PANEL + 1)], ids=str)
def test_the_bits_are_the_same_in_any_number_of_parts_and_with_zeros_skipped_or_not(widths, options, more):
    more = {**more, "dropout": more.get("dropout", ())[: len(widths) - 2]}
    problem = Problem(widths, 50)
    expected = None
    for threads, inputs in itertools.product((1, 2, 3), ("dense", "sparse")):
        loop = trained(problem, 33, options | more, epochs=1, threads=threads, inputs=inputs)
        assert max(line.parts for line in loop.program.lines) == threads
        left = [loop.state.params, loop.state.average, loop.state.first_moment, loop.totals, loop.measure()]
        for array, reference in zip(left, expected or left, strict=True):
            np.testing.assert_array_equal(array, reference)
        expected = expected or [array.copy() for array in left]


def test_what_fills_up_panels_stays_zero():
    for optimizer in OPTIMIZERS:
        problem = Problem((5, PANEL + 3, PANEL + 3, 3), 10)
        options = OPTIMIZER_OPTIONS[optimizer] | {"weight_decay": 0.1, "dropout": (0.3,), "clip_norm": 1.0}
        loop = trained(problem, 3, options | EVERYTHING, optimizer=optimizer)
        count = sum(array.size for array in raw(loop, loop.state.params))
        assert np.count_nonzero(loop.state.params) <= count


@pytest.mark.small
def test_networks_without_them_have_none_of_their_lines():
    new = {"normalise", "normalise_back", "backward_norm", "add_input", "branch_gradient", "join_gradient"}
    new |= {"fold_scale", "backward_scale"}
    seen = set()
    for options in ({}, *LAYERS_ON):
        loop = Loop(Problem((9, 7, 7, 3), 11), 4, **options)
        lines = {line.operation for line in loop.program.lines}
        assert options or not lines & new
        seen |= lines
    assert new <= seen


# ---- The kernels, and their drivers ----


@pytest.mark.small
def test_layer_norm_is_its_formula_on_ragged_rows():
    forward, backward, gradient = map(direct, (layer_norm_forward, layer_norm_backward, layer_norm_gradient))
    rng = np.random.default_rng(0)
    for features in (1, 5, LANES - 1, LANES, LANES + 1, 2 * LANES + 7):
        stride, n = 3 * LANES, 4
        x, dout = (rows(rng.normal(size=(n, features)), stride) for _ in range(2))
        gain, bias = (filled(rng.normal(size=features), stride) for _ in range(2))
        for array in (x, dout):  # whole vectors count
            array.reshape(n, -1)[:, features : rounded(features)] = 0
        first, out = x.copy().reshape(n, -1)[:, :features].astype(np.float64), np.full_like(x, MARK)
        given = dout.copy().reshape(n, -1)[:, :features].astype(np.float64)
        inverse = np.full(n, MARK, np.float32)
        forward(x, gain, bias, out, inverse, stride, features, 1, n)
        normed, deviation = naive.layer_norm(first)
        expected = normed * gain[:features] + bias[:features]
        np.testing.assert_allclose(out.reshape(n, -1)[1:, :features], expected[1:], rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(inverse[1:], 1 / deviation[1:, 0], rtol=1e-5)
        assert (out.reshape(n, -1)[0] == MARK).all()
        assert inverse[0] == MARK
        assert (out.reshape(n, -1)[:, rounded(features) :] == MARK).all()

        forward(x, gain, bias, out, inverse, stride, features, 0, 1)
        dgain, dbias = np.ones(stride, np.float32), np.zeros(stride, np.float32)
        gradient(dout, x, gain, stride, n, np.float32(-2), dgain, dbias, 0, rounded(features))
        np.testing.assert_allclose(dgain[:features], 1 - 2 * (given * normed).sum(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dbias[:features], -2 * given.sum(axis=0), rtol=1e-4, atol=1e-5)
        backward(dout, x, inverse, stride, features, 0, n)

        def value(at, given=given, gain=gain[:features], bias=bias[:features]):
            return float((given * (naive.layer_norm(at)[0] * gain + bias)).sum())

        expected = central_differences(value, first, 1e-5)
        np.testing.assert_allclose(dout.reshape(n, -1)[:, :features], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(dout.reshape(n, -1)[:, features : rounded(features)], 0)
        assert (dout.reshape(n, -1)[:, rounded(features) :] == MARK).all()


@pytest.mark.small
def test_drivers_do_what_the_kernels_do_in_any_number_of_parts():
    rng = np.random.default_rng(1)
    x, dout = rng.normal(size=(2, 5, LANES)).astype(np.float32)
    gain, bias = rng.normal(size=(2, LANES)).astype(np.float32)
    normed, deviation = naive.layer_norm(x.astype(np.float64))
    weights = np.zeros((2 * 3, PANEL), np.float32) + rng.normal(size=(6, PANEL)).astype(np.float32)
    scale = np.array([2, 0, -1], np.float32)
    for parts in (1, 2, 3):
        given, out, inverse = x.copy(), np.zeros_like(x), np.zeros(5, np.float32)
        apply_layer_norm(given, gain, bias, out, inverse, parts)
        np.testing.assert_allclose(out, normed * gain + bias, rtol=1e-4, atol=1e-5)
        back = dout.copy()
        apply_layer_norm_backward(back, given, inverse, parts)
        expected = naive.layer_norm_back(dout.astype(np.float64), normed, deviation)
        np.testing.assert_allclose(back, expected, rtol=1e-4, atol=1e-5)
        apply_residual(x, dout, out, parts)
        np.testing.assert_array_equal(out, x + dout)
        folded = np.zeros_like(weights)
        apply_input_scale(weights, scale, folded, 3, parts)
        np.testing.assert_array_equal(folded, weights * np.tile(scale, 2)[:, None])


@pytest.mark.small
def test_a_factor_s_gradient_sums_all_units_of_its_input():
    backward = direct(scale_weights_backward)
    rng = np.random.default_rng(2)
    w, dw = (rng.normal(size=(2 * PANEL, 3)).astype(np.float32) for _ in range(2))
    scale, dscale, panels = np.array([2, 0, -1], np.float32), np.full(3, MARK, np.float32), to_panels(dw)
    backward(to_panels(w), scale, panels, dscale, 3, 2 * PANEL, 1, 3)
    np.testing.assert_allclose(dscale[1:], (w * dw).sum(axis=0)[1:], rtol=1e-4, atol=1e-5)
    assert dscale[0] == MARK
    expected = dw * np.array([1, 0, -1])
    np.testing.assert_array_equal(from_panels(panels, 3), expected)
