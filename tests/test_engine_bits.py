"""The training loop's bits: the same in any number of parts, with zeros skipped or not, in one call or in many."""

import numpy as np
import pytest
from loop import Loop, Problem
from test_step import OPTIMIZERS

from jitnet import state as state_room
from jitnet.kernels.tile import PANEL
from jitnet.state import BACKWARD_PARTS, FORWARD_PARTS

WIDE = 8 * PANEL + 3
NETWORKS = [(70, WIDE), (70, WIDE, 10), (40, WIDE, 2 * PANEL + 1, 5), (33, WIDE, PANEL, 3 * PANEL, 7)]
SMALL = (5, 2 * PANEL + 1, 3)


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing."""
    monkeypatch.setattr(state_room, "_REGION_FLOP", 1)


def bits(problem, batch_size, rate=0.1, epochs=2, chunk=10**6, **options):
    """All that training leaves behind."""
    loop = Loop(problem, batch_size, **options)
    assert loop.run(rate, epochs=epochs, chunk=chunk) == epochs * -(-len(problem.order) // batch_size)
    left = [loop.state.params, loop.state.mean, loop.state.first_moment, loop.state.second_moment, loop.totals]
    return [array.copy() for array in left], loop.state.layers


def same(results, expected):
    for array, reference in zip(results, expected, strict=True):
        np.testing.assert_array_equal(array, reference)


@pytest.mark.parametrize("batch_size", [1, 16, 37])
@pytest.mark.parametrize("widths", NETWORKS, ids=str)
def test_in_any_number_of_parts_and_with_zeros_skipped_or_not(widths, batch_size):
    problem = Problem(widths, 40 if batch_size > 1 else 6)
    expected, layers = bits(problem, batch_size)
    assert (layers[:, [FORWARD_PARTS, BACKWARD_PARTS]] == 1).all()
    for threads in (2, 3, 4):
        for inputs in ("dense", "sparse", "floats"):
            results, layers = bits(problem, batch_size, threads=threads, inputs=inputs)
            assert layers[:, [FORWARD_PARTS, BACKWARD_PARTS]].max() == threads
            same(results, expected)


@pytest.mark.parametrize(
    "options",
    [
        *({"optimizer_name": name} | settings for name, settings in OPTIMIZERS.items()),
        {"optimizer_name": "sgd", "weight_decay": 0.1, "ema": 0.9},
        {"clip_norm": 0.1},
        {"max_norm": 1.0, "ema": 0.9},
        {"clip_norm": 0.1, "max_norm": 1.0, **OPTIMIZERS["adam"], "optimizer_name": "adam"},
        {"shares": (0.5, 0.2), "seed": 9},
        {"activation_name": "tanh", "shares": (0.5, 0.2)},
        {"activation_name": "gelu", "smoothing": 0.1},
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


def test_the_gradient_s_norm_is_summed_in_blocks_of_one_size(monkeypatch):
    problem = Problem((200, 200, 3), 8)  # three blocks of parameters
    expected, _ = bits(problem, 4, clip_norm=0.01)
    for threads in (2, 3, 4):
        same(bits(problem, 4, threads=threads, clip_norm=0.01)[0], expected)


@pytest.mark.small
@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("threads", [2, 3])
def test_in_parts_on_a_small_network(threads, inputs):
    problem = Problem(SMALL, 7)
    for options in ({}, {"optimizer_name": "adam", "clip_norm": 0.1, **OPTIMIZERS["adam"]}):
        expected, _ = bits(problem, 3, epochs=1, **options)
        same(bits(problem, 3, epochs=1, threads=threads, inputs=inputs, **options)[0], expected)


@pytest.mark.small
@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize(
    "options", [{"shares": (0.5,)}, {"optimizer_name": "adam", **OPTIMIZERS["adam"]}, {"clip_norm": 0.1}], ids=str
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
    one, other = (bits(problem, 2, shares=(0.5,), seed=seed)[0] for seed in (1, 2))
    assert (one[0] != other[0]).any()
    problem.order[:] = problem.order[::-1]
    assert (bits(problem, 2, shares=(0.5,), seed=1)[0][0] != one[0]).any()
