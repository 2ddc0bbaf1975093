"""Who does what part: the parts' ranges together are everything, once, whatever a line is split by."""

import itertools

import numpy as np
import pytest
from direct import direct
from numba import config

from jitnet.compiler.decorators import plain
from jitnet.config import ModelConfig, TrainConfig
from jitnet.engine import ownership
from jitnet.engine.allocation import allocate
from jitnet.engine.layout import lay_out
from jitnet.engine.operations import OPERATIONS
from jitnet.engine.ownership import SPLITS, Parts, choose_parts, partial_sums
from jitnet.engine.program import Step, evaluating, training
from jitnet.engine.state import Batch, empty_run
from jitnet.machine.blocks import LANES, PANEL, PARTIAL_UNITS, TILE_ROWS, UPDATE_BLOCK

pytestmark = pytest.mark.small

assigned_range, next_piece = direct(ownership.assigned_range), direct(ownership.next_piece)

WIDTHS = [(3, 2), (5, PANEL, 3), (5, PANEL + 1, 4), (7, 9 * PANEL + 3, 2), (4, 3 * PANEL, 2 * PANEL + 1, PANEL, 5)]
BATCHES = [0, 1, LANES - 1, LANES, LANES + 1, 61]


def run_of(widths):
    shape = ModelConfig(in_features=widths[0], hidden=widths[1:-1], n_classes=widths[-1])
    layout = lay_out(shape, 64, 1, skips_zeros=False, training=True)
    run = empty_run()._replace(layers=layout.layers, network=layout.network, state=allocate(layout))
    return run


def batch_of(size):
    indices = np.zeros(size, np.int32)
    return Batch(indices, indices, 0, size, 0, 0, 0.0, 0.0, 0, size)


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
        "pieces": (row.padded_features // row.piece * -(-size // PANEL), 1),
        "pieces below": (run.layers[layer - 1].padded_features // run.layers[layer - 1].piece * -(-size // PANEL), 1),
        "pieces of weights": (row.padded_features // row.piece * -(-row.in_features // TILE_ROWS), 1),
        "samples of all units": (size, LANES),
        "blocks": (-(-run.state.params.size // UPDATE_BLOCK), 1),
    }[split]


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "every part"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_the_parts_own_everything_once(widths, split):
    run = run_of(widths)
    for layer in range(1 if split.endswith("below") else 0, len(widths) - 1):
        for size, parts in itertools.product(BATCHES, (1, 2, 3, 4, 9)):
            found = ranges(run, batch_of(size), split, layer, parts)
            count, together = whole(run, size, split, layer)
            ends = [0, *(last for _, last in found)]
            assert [first for first, _ in found] == ends[:-1]
            assert ends == sorted(ends)
            assert ends[-1] == count
            assert all(end % together == 0 or end == count for end in ends)


@pytest.mark.parametrize("split", ["pieces", "pieces below", "pieces of weights", "samples of all units"])
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_rectangles_of_pieces_are_everything_once(widths, split):
    run = run_of(widths)
    for layer in range(1 if split == "pieces below" else 0, len(widths) - 1):
        row = run.layers[layer - 1 if split == "pieces below" else layer]
        for size, parts in itertools.product(BATCHES, (1, 2, 3, 5, 16)):
            done = np.zeros((row.padded_features, row.in_features if split.endswith("weights") else size), int)
            for first, last in ranges(run, batch_of(size), split, layer, parts):
                calls = 0
                while first < last:
                    units, end, across, end_across, first = next_piece(
                        run, batch_of(size), SPLITS[split], layer, first, last
                    )
                    assert units < end
                    assert across < end_across
                    assert units % PANEL == end % PANEL == 0
                    done[units:end, across:end_across] += 1
                    calls += 1
                assert first == last
                assert calls <= 3
            assert (done == 1).all()


def test_what_is_not_cut_in_pieces_is_done_at_once():
    run = run_of(WIDTHS[-1])
    for split in ("units", "units below", "panels", "samples", "vectors of samples", "every part", "blocks", "inputs"):
        assert tuple(next_piece(run, batch_of(61), SPLITS[split], 1, 2, 9)) == (2, 9, 0, 61, 9)


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


once = pytest.mark.skipif(
    bool(config.DISABLE_JIT or config.BOUNDSCHECK), reason="nothing of it is compiled: in one mode is enough"
)

NETWORKS = {
    "128": ({"hidden": (128,)}, {}),
    "512": ({"hidden": (512,)}, {}),
    "512-512": ({"hidden": (512, 512)}, {}),
    "2048": ({"hidden": (2048,)}, {}),
    "2048-2048": ({"hidden": (2048, 2048)}, {}),
    "256-128-64": ({"hidden": (256, 128, 64)}, {"optimizer": "adam"}),
    "layers": ({"hidden": (256, 256), "norm": "layer", "residual": True, "input_scale": True}, {}),
    "late": ({"hidden": (512,)}, {"clip_norm": 1.0, "max_norm": 2.0, "ema": 0.9}),
}


PRODUCTS = {name for name, operation in OPERATIONS.items() if operation.product or operation.on_entries} - {"mark"}


THREADS = (*range(1, 18), 20, 24, 31, 32, 33, 48, 63, 64)
"""All small counts, powers of two, and what is beside them."""


@once
@pytest.mark.parametrize("batch_size", [32, 512, 1024])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_line_has_as_many_parts_as_its_work_pays_for_and_they_are_equal(name, batch_size):
    fields, options = NETWORKS[name]
    shape, config, seen = ModelConfig(in_features=784, n_classes=10, **fields), TrainConfig(**options), set()
    for skips_zeros, threads in itertools.product((False, True), THREADS):
        layout = lay_out(shape, batch_size, threads, skips_zeros=skips_zeros, training=True)
        step = Step(shape, config, batch_size, threads, 0.2, skips_zeros, 1)
        run = empty_run()._replace(layers=layout.layers)
        run = run._replace(state=run.state._replace(params=np.broadcast_to(np.float32(0), layout.params)))
        for line in {*training(step, layout).lines, *evaluating(step, layout).lines}:
            worth = line.cost.flop // ownership._REGION_FLOP + 1
            if line.split == "every part":
                assert line.cost.flop * (line.parts - 1) / line.parts < ownership._MEETING_FLOP, line
                continue
            count, together = whole(run, batch_size, line.split, line.layer)
            assert line.parts <= threads
            assert line.parts >= min(threads, worth, -(-count // together)), line
            if batch_size >= 512 and name != "layers" and line.operation in PRODUCTS:
                cut = "pieces below" if line.split == "units below" else "pieces"
                pieces, _ = whole(run, batch_size, cut, line.layer)
                assert_no_part_has_much_more_than_its_share(line, min(threads, int(worth)), count, together, pieces)
            case = line.split, count, together, line.parts
            if case not in seen:
                assert_shared_evenly(run, batch_size, line, count, together)
            seen.add(case)


def test_sixteen_threads_have_a_part_each_of_a_narrow_layer_in_a_large_batch():
    """784-128-10, batch 1,024: four groups of units."""
    shape = ModelConfig(in_features=784, n_classes=10, hidden=(128,))
    for skips_zeros in (False, True):
        layout = lay_out(shape, 1024, 16, skips_zeros=skips_zeros, training=True)
        step = Step(shape, TrainConfig(), 1024, 16, 0.2, skips_zeros, 1)
        products = [line for line in training(step, layout).lines if line.layer == 0 and line.operation in PRODUCTS]
        assert {line.parts for line in products if line.operation != "partial_logits"} == {16}
        assert all(
            "groups of units are too few or uneven" in line.reason for line in products if "pieces" in line.split
        )


@pytest.mark.parametrize("batch_size", [1, 32])
def test_a_small_batch_of_entries_stays_cut_by_units(batch_size):
    """Its work is not worth two more meetings: 784-128-10 and 784-512-10 with zeros skipped."""
    for hidden, threads in itertools.product((128, 512), range(1, 65)):
        shape = ModelConfig(in_features=784, n_classes=10, hidden=(hidden,))
        assert not lay_out(shape, batch_size, threads, skips_zeros=True, training=True).network.in_pieces


def assert_no_part_has_much_more_than_its_share(line, worth, count, together, pieces):
    """By as many parts as the work pays for: none more than a tenth above that. Of pieces and samples one may be left
    over. Groups of units may be, where it would cost more to meet twice or three times more, or so many pieces would
    leave as much."""
    groups = -(-count // together)
    most = -(-groups // line.parts) * together / count
    if line.split.startswith("units"):
        lost = line.cost.flop * (most - 1 / worth)
        in_pieces = -(-pieces // worth) / pieces
        assert most <= max(1.1 / worth, in_pieces) or lost < 3 * ownership._MEETING_FLOP, line
    else:
        assert line.parts >= min(worth, groups), line
        assert most < 1 / line.parts + together / count, line


def assert_shared_evenly(run, batch_size, line, count, together):
    """Everything once, and no part has more than one piece that stays together above another."""
    batch, split, owns = batch_of(batch_size), SPLITS[line.split], plain(ownership.assigned_range)
    owned = [tuple(owns(run, batch, split, line.layer, part, line.parts)) for part in range(line.parts)]
    assert owned[0][0] == 0
    assert owned[-1][1] == count
    assert all(before == after for (_, before), (after, _) in itertools.pairwise(owned))
    pieces = [-(-(last - first) // together) for first, last in owned]
    assert max(pieces) - min(pieces) <= 1, line


@pytest.mark.parametrize("groups", [1, 2, 3, 6, 8, 33, 64, 100])
def test_the_logits_are_added_up_in_one_order_whatever_the_parts(groups):
    """As words: each part adds what it has, and the output the rest."""

    def word(parts):
        places, stack = {}, []
        for part in range(parts):
            first, last = plain(ownership.part_of)(groups, part, parts)
            own = []
            for group in range(first, last):
                own.append(str(group))
                for _ in range(plain(ownership.joins)(first, group + 1, 1)):
                    right = own.pop()
                    own.append(f"({own.pop()}+{right})")
            places |= dict(enumerate(own, first))
        sums, written = partial_sums(groups, parts)
        assert [each.place for each in sums] == list(places)
        assert len(sums) <= written <= groups
        for each in sums:
            stack.append(places[each.place])
            for _ in range(each.joins):
                right = stack.pop()
                stack.append(f"({stack.pop()}+{right})")
        while len(stack) > 1:
            right = stack.pop()
            stack.append(f"({stack.pop()}+{right})")
        return stack[0]

    expected = word(1)
    assert {word(parts) for parts in range(2, 70)} == {expected}
    if groups == 6:
        assert expected == "(((0+1)+(2+3))+(4+5))"


def test_of_wide_layers_a_few_parts_leave_a_sum_each():
    assert [len(partial_sums(2048 // PARTIAL_UNITS, parts)[0]) for parts in (1, 2, 4, 8, 16)] == [1, 2, 4, 8, 16]
    assert len(partial_sums(2048 // PARTIAL_UNITS, 3)[0]) <= 3 * 4
