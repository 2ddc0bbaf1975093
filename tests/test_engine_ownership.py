"""Who does what part: the parts' ranges together are everything, once, whatever a line is split by."""

import itertools

import numpy as np
import pytest
from direct import direct

from jitnet.config import ModelConfig
from jitnet.engine import ownership
from jitnet.engine.allocation import allocate
from jitnet.engine.layout import lay_out
from jitnet.engine.ownership import SPLITS, Parts, choose_parts
from jitnet.engine.state import Batch, empty_run
from jitnet.machine.blocks import LANES, PANEL, UPDATE_BLOCK

pytestmark = pytest.mark.small

assigned_range = direct(ownership.assigned_range)

WIDTHS = [(3, 2), (5, PANEL, 3), (5, PANEL + 1, 4), (7, 9 * PANEL + 3, 2), (4, 3 * PANEL, 2 * PANEL + 1, PANEL, 5)]
BATCHES = [0, 1, LANES - 1, LANES, LANES + 1, 61]


def run_of(widths):
    shape = ModelConfig(in_features=widths[0], hidden=widths[1:-1], n_classes=widths[-1])
    layout = lay_out(shape, 64, 1, skips_zeros=False, training=True)
    run = empty_run()._replace(layers=layout.layers, network=layout.network, state=allocate(layout))
    return run


def batch_of(size):
    indices = np.zeros(size, np.int32)
    return Batch(indices, indices, 0, size, 0, 0, 0.0, 0.0)


def ranges(run, batch, split, layer, parts):
    return [tuple(assigned_range(run, batch, SPLITS[split], layer, part, parts)) for part in range(parts)]


def whole(run, size, split, layer):
    """How much there is to own, and of what size the pieces are that stay together."""
    row = run.layers[layer]
    return {
        "units": (row.padded_features, row.group),
        "units below": (run.layers[layer - 1].padded_features, run.layers[layer - 1].group),
        "panels": (row.padded_features, PANEL),
        "samples": (size, 1),
        "vectors of samples": (size, LANES),
        "inputs": (row.in_features, LANES),
        "blocks": (-(-run.state.params.size // UPDATE_BLOCK), 1),
    }[split]


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "every part"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_parts_own_everything_once(widths, split):
    run = run_of(widths)
    for layer in range(1 if split == "units below" else 0, len(widths) - 1):
        for size, parts in itertools.product(BATCHES, (1, 2, 3, 4, 9)):
            found = ranges(run, batch_of(size), split, layer, parts)
            count, together = whole(run, size, split, layer)
            ends = [0, *(last for _, last in found)]
            assert [first for first, _ in found] == ends[:-1]
            assert ends == sorted(ends)
            assert ends[-1] == count
            assert all(end % together == 0 or end == count for end in ends)


@pytest.mark.parametrize("size", BATCHES)
def test_where_every_part_does_all_it_owns_the_batch(size):
    run = run_of(WIDTHS[0])
    assert ranges(run, batch_of(size), "every part", 0, 3) == [(0, size)] * 3


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_a_unit_s_weights_stay_with_one_part_in_forward_and_backward(parts):
    run = run_of(WIDTHS[-1])
    for layer in range(1, len(WIDTHS[-1]) - 1):
        below = ranges(run, batch_of(8), "units", layer - 1, parts)
        assert ranges(run, batch_of(8), "units below", layer, parts) == below


@pytest.mark.parametrize(
    ("flop", "threads", "most", "count", "reason"),
    [
        (0, 1, 9, 1, "one thread"),
        (1e9, 1, 9, 1, "one thread"),
        (1e9, 4, 9, 4, "a thread each"),
        (1e9, 4, 4, 4, "a thread each"),
        (1e9, 4, 3, 3, "3 groups of units"),
        (1e9, 4, 1, 1, "1 groups of units"),
        (0, 4, 9, 1, "0 MFLOP pay for no more"),
        (0.3e6, 4, 9, 1, "0.3 MFLOP pay for no more"),
        (0.5e6, 4, 9, 2, "0.5 MFLOP pay for no more"),
        (0.9e6, 4, 9, 3, "0.9 MFLOP pay for no more"),
        (0.9e6, 4, 3, 3, "3 groups of units"),
    ],
)
def test_parts_and_the_reason_for_so_many(flop, threads, most, count, reason):
    assert choose_parts(flop, threads, most, "groups of units") == Parts(count, reason)
