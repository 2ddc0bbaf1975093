"""The training loop's bits: the same in any number of parts, with zeros skipped or not, in one call or in many."""

import numpy as np
import pytest
from loop import Loop, Problem
from optimizers import OPTIMIZER_OPTIONS

from jitnet.engine import ownership
from jitnet.machine.blocks import LANES, PANEL, PARTIAL_UNITS, TILE_ROWS

WIDE = 8 * PANEL + 3
NETWORKS = [(70, WIDE), (70, WIDE, 10), (40, WIDE, 2 * PANEL + 1, 5), (33, WIDE, PANEL, 3 * PANEL, 7)]
SMALL = (5, 2 * PANEL + 1, 3)


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)


def bits(problem, batch_size, rate=0.1, epochs=2, chunk=10**6, meeting="", **options):
    """All that training leaves behind, and the parts of each line of its program. meeting: another than the program's,
    a name in MEETINGS or "one by one"."""
    loop = Loop(problem, batch_size, **options)
    if meeting == "one by one":
        loop.engine_run.call.one_by_one = True
    elif meeting:
        loop.engine_run.call.meeting = ownership.MEETINGS[meeting]
    assert loop.run(rate, epochs=epochs, chunk=chunk) == epochs * -(-len(problem.order) // batch_size)
    left = [loop.state.params, loop.state.average, loop.state.first_moment, loop.state.second_moment, loop.totals]
    return [array.copy() for array in left], [line.parts for line in loop.program.lines]


def same(results, expected):
    for array, reference in zip(results, expected, strict=True):
        np.testing.assert_array_equal(array, reference)


@pytest.mark.parametrize("batch_size", [1, 16, 37])
@pytest.mark.parametrize("widths", NETWORKS, ids=str)
def test_in_any_number_of_parts_and_with_zeros_skipped_or_not(widths, batch_size):
    problem = Problem(widths, 40 if batch_size > 1 else 6)
    expected, parts = bits(problem, batch_size)
    assert set(parts) == {1}
    for threads in (2, 3, 4):
        for inputs in ("dense", "sparse", "floats", "compressed"):
            results, parts = bits(problem, batch_size, threads=threads, inputs=inputs)
            assert max(parts) == threads
            same(results, expected)


@pytest.mark.parametrize(
    "options",
    [
        *({"optimizer": name, "weight_decay": 0.1} | settings for name, settings in OPTIMIZER_OPTIONS.items()),
        *({"optimizer": name} | settings for name, settings in OPTIMIZER_OPTIONS.items()),
        {"optimizer": "sgd", "weight_decay": 0.1, "ema": 0.9},
        {"clip_norm": 0.1},
        {"parametrization": "ntk", "bias_rate": 0.1},
        {"parametrization": "ntk", "optimizer": "adam", "input_scale": True, "input_scale_rate": 6.0},
        {"max_norm": 1.0, "ema": 0.9},
        {"clip_norm": 0.1, "max_norm": 1.0, **OPTIMIZER_OPTIONS["adam"], "optimizer": "adam"},
        {"dropout": (0.5, 0.2), "seed": 9},
        {"activation": "tanh", "dropout": (0.5, 0.2)},
        {"activation": "gelu", "label_smoothing": 0.1},
        {"output_bias": False},
    ],
    ids=str,
)
def test_whatever_is_on(options):
    problem = Problem(NETWORKS[2], 30)
    expected, _ = bits(problem, 8, **options)
    assert np.isfinite(expected[0]).all()
    for threads in (2, 3, 4):
        for inputs in ("dense", "sparse"):
            same(bits(problem, 8, threads=threads, inputs=inputs, **options)[0], expected)


def test_where_the_output_is_made_once_for_all_parts(monkeypatch):
    monkeypatch.setattr(ownership, "_MEETING_FLOP", 1)
    for widths in NETWORKS[1:]:
        problem = Problem(widths, 40)
        expected, _ = bits(problem, 16, inputs="sparse")
        for threads in (2, 3, 4):
            same(bits(problem, 16, inputs="sparse", threads=threads)[0], expected)


@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.1}, {"max_norm": 0.3, "norm": "layer"}], ids=str)
def test_where_columns_are_marked_once_for_all_parts(options, monkeypatch):
    problem = Problem(NETWORKS[2], 201)
    for batch_size in (20, 90):  # fewer samples than a mark has bits, and more
        expected, _ = bits(problem, batch_size, inputs="sparse", chunk=2, **options)
        with monkeypatch.context() as patch:
            patch.setattr(ownership, "_HANDING_FLOP", -np.inf)
            for threads in (1, 2, 3, 4):
                same(bits(problem, batch_size, inputs="sparse", threads=threads, **options)[0], expected)


MANY_PARTS = (2, 3, 5, 8, 16, 33)
WIDE_PARTIALS = (6, 33 * PARTIAL_UNITS + 5, 7)  # 34 groups of units: no power of two, and no whole group at the end
WIDE_LAYERS = (6, 33 * PANEL + 1, 33 * PANEL + 1, 33 * PARTIAL_UNITS, 3)


@pytest.mark.parametrize(
    ("widths", "batch_size", "options"),
    [
        (WIDE_PARTIALS, 5, {}),
        (WIDE_PARTIALS, 131, {}),  # more samples than contributions are made of at a time, and than a mark has bits
        (WIDE_PARTIALS, 5, {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9}),
        (WIDE_PARTIALS, 5, {"loss": "squared-error", "optimizer": "adam", "dropout": (0.5,)}),
        (WIDE_LAYERS, 2, {"residual": True, "norm": "layer", "input_scale": True}),
        ((6, 33 * PANEL + 1, PANEL + 1), 5, {"optimizer": "momentum", "ema": 0.9}),  # logits by samples
        ((6, PANEL, PANEL, 3), 33 * LANES + 5, {"norm": "layer", "residual": True}),  # parts by samples
        ((33 * LANES + 1, 20), 33 * LANES + 5, {"input_scale": True}),  # by inputs, and no hidden layer
    ],
    ids=str,
)
def test_in_many_parts_also_on_fewer_cores(widths, batch_size, options):
    problem = Problem(widths, 2 * batch_size + 1)
    for inputs in ("dense", "sparse"):
        expected, _ = bits(problem, batch_size, inputs=inputs, epochs=1, **options)
        assert np.isfinite(expected[0]).all()
        most = 0
        for threads in MANY_PARTS:
            for meeting in ("region ends", "one by one")[: 1 + (threads == MANY_PARTS[-1])]:
                results, parts = bits(
                    problem, batch_size, inputs=inputs, epochs=1, threads=threads, meeting=meeting, **options
                )
                same(results, expected)
                most = max(most, *parts)
        assert most == MANY_PARTS[-1]


IN_PIECES = {
    "digits": ((64, 48, 10), {"optimizer": "adam", **OPTIMIZER_OPTIONS["adam"], "dropout": (0.5,)}),
    "SGD": ((64, 48, 10), {}),
    "layers": (
        (20, 3 * PANEL, 2 * PANEL, 2 * PANEL, 10),
        {"optimizer": "momentum", "residual": True, "activation": "gelu", "dropout": (0.2, 0.0, 0.5), "ema": 0.9},
    ),
    "late": ((20, 3 * PANEL, PANEL + 1, 7), {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9}),
    "logits by samples": ((20, 7 * PANEL, 2 * PANEL + 1), {"loss": "squared-error"}),
    "no hidden layer": ((33 * TILE_ROWS + 1, 10), {}),
}
"""Networks that have fewer groups of units than a large batch has parts."""


@pytest.mark.parametrize("inputs", ["dense", "sparse", "compressed"])
@pytest.mark.parametrize("name", IN_PIECES)
def test_in_pieces_of_units_and_samples(name, inputs, monkeypatch):
    monkeypatch.setattr(ownership, "_MEETING_FLOP", 0)
    widths, options = IN_PIECES[name]
    batch_size = 33 * PANEL + 5
    problem = Problem(widths, 2 * batch_size - 7)
    expected, _ = bits(problem, batch_size, inputs=inputs, epochs=1, **options)
    assert np.isfinite(expected[0]).all()
    for threads in MANY_PARTS if name == "digits" else (3, 33):
        loop = Loop(problem, batch_size, inputs=inputs, threads=threads, **options)
        assert loop.layout.network.in_pieces == (threads > 2)  # two parts have a group of units each
        assert max(line.parts for line in loop.program.lines) == threads
        results, _ = bits(problem, batch_size, inputs=inputs, epochs=1, threads=threads, **options)
        same(results, expected)


def test_in_pieces_where_columns_are_marked_once_for_all_parts(monkeypatch):
    monkeypatch.setattr(ownership, "_MEETING_FLOP", 0)
    problem, batch_size = Problem((64, 48, 10), 90 + PANEL), 90 + PANEL
    expected, _ = bits(problem, batch_size, inputs="sparse")
    for price in (-np.inf, np.inf):
        monkeypatch.setattr(ownership, "_HANDING_FLOP", price)
        loop = Loop(problem, batch_size, inputs="sparse", threads=5)
        assert loop.layout.network.in_pieces
        assert any(line.operation == "mark" for line in loop.program.lines) == (price < 0)
        same(bits(problem, batch_size, inputs="sparse", threads=5)[0], expected)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"input_scale": True}], ids=str)
def test_a_layer_that_needs_all_samples_of_a_unit_is_never_in_pieces(options, monkeypatch):
    monkeypatch.setattr(ownership, "_MEETING_FLOP", 0)
    loop = Loop(Problem((64, 48, 10), 200), 200, threads=5, **options)
    kind = "layer_norm" if "norm" in options else "input_scale"
    assert not any("pieces" in line.split for line in loop.program.lines)
    forward = next(line for line in loop.program.lines if line.operation == "forward")
    assert forward.reason == f"2 groups of units, which {kind} cannot do in pieces"


def test_the_gradient_s_norm_is_summed_in_blocks_of_one_size(monkeypatch):
    problem = Problem((200, 200, 3), 8)  # three blocks of parameters
    expected, _ = bits(problem, 4, clip_norm=0.01)
    for threads in (2, 3, 4):
        same(bits(problem, 4, threads=threads, clip_norm=0.01)[0], expected)


@pytest.mark.small
@pytest.mark.parametrize("inputs", ["dense", "sparse", "compressed"])
@pytest.mark.parametrize("threads", [2, 3])
def test_in_parts_on_a_small_network(threads, inputs):
    problem = Problem(SMALL, 7)
    for options in ({}, {"optimizer": "adam", "clip_norm": 0.1, **OPTIMIZER_OPTIONS["adam"]}):
        expected, _ = bits(problem, 3, epochs=1, **options)
        same(bits(problem, 3, epochs=1, threads=threads, inputs=inputs, **options)[0], expected)


@pytest.mark.small
@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize(
    "options", [{"dropout": (0.5,)}, {"optimizer": "adam", **OPTIMIZER_OPTIONS["adam"]}, {"clip_norm": 0.1}], ids=str
)
def test_in_one_call_or_in_many(options, inputs):
    problem = Problem(SMALL, 9)
    expected, _ = bits(problem, 2, **options, inputs=inputs)
    for chunk in (1, 2, 3):
        results, _ = bits(problem, 2, **options, inputs=inputs, chunk=chunk)
        # Sums of losses are of float64 and in one order: they too.
        same(results, expected)


@pytest.mark.small
def test_runs_differ_by_the_order_of_samples_and_by_the_seed_of_dropout():
    problem = Problem(SMALL, 9)
    one, other = (bits(problem, 2, dropout=(0.5,), seed=seed)[0] for seed in (1, 2))
    assert (one[0] != other[0]).any()
    problem.order[:] = problem.order[::-1]
    assert (bits(problem, 2, dropout=(0.5,), seed=1)[0][0] != one[0]).any()
