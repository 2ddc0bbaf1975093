"""A step as a program: operations of the table, in regions, and one writer for each number that trains."""

import itertools
from functools import cache
from types import FunctionType, SimpleNamespace

import numpy as np
import pytest
from loop import Loop, Problem
from numba import config

from jitnet.compiler.reference import Struct
from jitnet.engine import loop, ownership
from jitnet.engine.costs import Sizes
from jitnet.engine.layout import lay_out
from jitnet.engine.loop import run_steps
from jitnet.engine.operations import CODES, OPERATIONS
from jitnet.engine.ownership import SPLITS
from jitnet.engine.program import evaluating, on_data, predicting, table_of
from jitnet.engine.setup import placing
from jitnet.machine.blocks import PANEL

pytestmark = pytest.mark.small

WIDTHS = [(5, 3), (6, 5 * PANEL + 1, 4), (5, 3 * PANEL, 2 * PANEL + 1), (5, 2 * PANEL, 7, 3)]
EQUAL_WIDTHS = (5, 2 * PANEL, 2 * PANEL, 2 * PANEL, 3)
"""Of which hidden layers add their inputs to their outputs, where they may."""
OPTIONS = [
    {},
    {"output_bias": False},
    {"ema": 0.9},
    {"optimizer": "adam"},
    {"optimizer": "sgd", "weight_decay": 0.1, "ema": 0.9},
    {"clip_norm": 0.1},
    {"max_norm": 0.3},
    {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9, "optimizer": "adam", "output_bias": False},
    {"dropout": (0.5, 0.2), "activation": "gelu"},
    {"norm": "layer"},
    {"norm": "layer", "optimizer": "adam", "ema": 0.9, "residual": True, "dropout": (0.5, 0.2), "activation": "gelu"},
    {"residual": True, "clip_norm": 0.1},
    {"input_scale": True, "ema": 0.9},
    {"norm": "layer", "residual": True, "input_scale": True, "clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9},
    {"freeze": "0", "optimizer": "adam", "input_scale": True},
    {"freeze": "1", "norm": "layer", "residual": True, "ema": 0.9},
    {"freeze": "all-but-last", "clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9},
]
ON_DATA = ["count_entries", "list_entries", "augment", "drop_samples"]


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing. Columns are marked once for all."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    monkeypatch.setattr(ownership, "_HANDING_FLOP", -np.inf)


def freezable(freeze, widths):
    """Whether a network of these widths has the layer, and another one to train."""
    return len(widths) > 2 if freeze == "all-but-last" else freeze < str(len(widths) - 1) and len(widths) > 2


def made(widths, options, inputs, threads):
    problem = Problem(widths, 7)
    if not options.get("output_bias", True):
        problem.biases[-1][:] = 0
    options = {**options, "dropout": options.get("dropout", ())[: len(widths) - 2]}
    if not freezable(options.get("freeze", ""), widths):
        options.pop("freeze", None)
    return Loop(problem, 7, inputs=inputs, threads=threads, **options)


@cache
def every_loop():
    """Made once: every test here has them under the same price of a region, and trains none."""
    networks = [*itertools.product(WIDTHS, OPTIONS), *((EQUAL_WIDTHS, options) for options in OPTIONS[-8:])]
    every = itertools.product(networks, ("dense", "sparse", "floats"), (1, 3))
    return tuple(made(*network, inputs, threads) for network, inputs, threads in every)


def predictions(each):
    """The program that predicts 20 samples by the same network."""
    layout = lay_out(each.shape, each.batch_size, 1, skips_zeros=False, training=False)
    return predicting(each.step, layout, 20)


@cache
def programs():
    made_for = [(each.program, evaluating(each.step, each.layout), predictions(each)) for each in every_loop()]
    placed = (placing(each.program, average=True) for each in every_loop())
    return (*itertools.chain(*made_for), *placed, *(on_data([operation], Sizes(9, 5), 3) for operation in ON_DATA))


def test_every_line_is_an_operation_of_the_table_and_every_operation_a_line_somewhere():
    seen = set()
    for program in programs():
        for line, row in zip(program.lines, program.table(), strict=True):
            operation = OPERATIONS[line.operation]
            assert (row.operation, row.layer, row.parts) == (CODES[line.operation], line.layer, line.parts)
            assert (row.split, row.next_batch, row.region) == (SPLITS[line.split], line.next_batch, line.region)
            assert set(line.kernels) <= set(operation.kernels)
            assert line.parts >= 1
            assert line.reason
            assert line.cost.bytes > 0
            seen.add(line.operation)
    assert seen == set(OPERATIONS)


def test_regions_follow_one_another_and_their_lines_share_parts():
    for program in programs():
        regions = [line.region for line in program.lines]
        assert regions[:1] in ([1], [])
        assert all(after - before in (0, 1) for before, after in itertools.pairwise(regions))
        for _, lines in itertools.groupby(program.lines, key=lambda line: line.region):
            assert len({line.parts for line in lines}) == 1


def needed(line):
    """What of a line's reading is written in other pieces than it is read in: (operation, layer)."""
    below, own, backward = line.layer - 1, line.layer, ("backward_weight", "backward_sparse", "backward_bias")
    units_below = [("activate", below), ("drop", below), ("add_input", below)]
    own_gradient = [("activate_back", own), ("drop_back", own)]
    everything = [(name, layer) for name in (*backward, "backward_norm", "backward_scale") for layer in range(9)]
    # A sample's units all together, and each unit of all samples.
    normalised, undone = [("normalise", own)], [("normalise_back", own)]
    return {
        "forward": units_below if own else [("gather", 0)],
        "logits": [*units_below, ("gather", 0)],
        "add_partials": [("partial_logits", below)],
        # Of the first layer each part reads what it has written itself.
        **{name: [*(own_gradient if own else []), *undone] for name in ("backward_input", *backward)},
        "backward_sparse": [*(own_gradient if own else []), *undone, ("mark", own)],
        "normalise": [("forward", own), ("forward_sparse", own)],
        "activate": normalised,
        "normalise_back": [*own_gradient, ("backward_norm", own), ("backward_frozen_norm", own)],
        "add_input": units_below,
        "backward_scale": [(name, own) for name in backward],
        "norm": everything,
        "update_all": [("norm", 0), *everything],
        "limit": [("update_all", 0)],
    }.get(line.operation, [])


def test_a_region_ends_where_a_part_needs_what_others_have_made():
    for each in every_loop():
        for program in (each.program, evaluating(each.step, each.layout)):
            for _, lines in itertools.groupby(program.lines, key=lambda line: line.region):
                written = {False: {}, True: {}}
                for line in lines:
                    made = written[line.next_batch]
                    others = set(needed(line)) & set(made)
                    if line.operation == "logits" and ("gather", 0) in others:
                        assert made["gather", 0].split == line.split  # a part gathers its samples itself
                        others.remove(("gather", 0))
                    assert not others, line
                    made_here = written[line.next_batch].get(("loss", line.layer))
                    if line.operation.startswith("backward") and made_here:
                        assert made_here.split == "every part"  # each has made all of the gradient for itself
                    written[line.next_batch][line.operation, line.layer] = line


def changes(each, array):
    """Which lines of a step change an array, line by line: (operation, layer, places that changed)."""
    run, found = each.engine_run, []
    run.call.n_steps = 1
    run.schedule.peak = 0.1
    for line in each.program.lines:
        before = array.copy()
        struct = Struct(run._replace(program=table_of([line])))
        run_steps(struct, 0, np.zeros(3))
        places = np.flatnonzero(array != before)
        if places.size:
            found.append((line.operation, line.layer, places))
    return found


def owner(each, place):
    """Which layer's weights or biases stand at a place of params."""
    for layer, row in enumerate(each.layers):
        if row.weight_offset <= place < row.bias_offset:
            return "weights", layer
        if row.bias_offset <= place < row.bias_offset + row.padded_features:
            return "biases", layer
        if row.gain_offset and row.gain_offset <= place < row.shift_offset + row.padded_features:
            return "norm", layer
        if row.scale_offset and row.scale_offset <= place < row.scale_offset + row.in_features:
            return "scale", layer
    raise AssertionError(f"{place} is nobody's")


def all_of(each):
    """What there is to train."""
    found = {(what, layer) for what in ("weights", "biases") for layer in range(len(each.layers))}
    found |= {("norm", layer) for layer, row in enumerate(each.layers) if row.gain_offset}
    found |= {("scale", 0)} if each.layers[0].scale_offset else set()
    return {(what, layer) for what, layer in found if layer not in each.config.frozen(each.shape)}


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_every_layer_s_weights_are_written_by_one_line(widths, options, inputs):
    each = made(widths, options, inputs, 3)
    writers = {}
    for operation, layer, places in changes(each, each.state.params):
        if operation == "limit":  # works on what the update wrote
            assert options["max_norm"]
            assert {owner(each, place) for place in places} <= {("weights", layer)}
            continue
        for what in {owner(each, place) for place in places}:
            writers.setdefault(what, []).append((operation, layer))
            assert operation == "update_all" or layer == what[1]
    n_layers = len(widths) - 1
    expected = all_of(each)
    if not options.get("output_bias", True):
        expected.remove(("biases", n_layers - 1))
    assert set(writers) == expected
    assert {len(lines) for lines in writers.values()} == {1}


@pytest.mark.parametrize("options", [option for option in OPTIONS if "ema" in option], ids=str)
def test_every_average_is_written_by_one_line(options):
    each = made(WIDTHS[3], options, "dense", 3)
    writers = {}
    for operation, layer, places in changes(each, each.state.average):
        for what in {owner(each, place) for place in places}:
            writers.setdefault(what, []).append((operation, layer))
    kept = {("biases", 2)} if not options.get("output_bias", True) else set()
    expected = all_of(each) - kept
    assert set(writers) == expected
    assert {len(lines) for lines in writers.values()} == {1}


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_line_by_line_is_the_step(options, inputs):
    one, whole = (made(EQUAL_WIDTHS, options, inputs, 3) for _ in range(2))
    changes(one, one.state.params)
    assert whole.run(0.1) == 1
    np.testing.assert_array_equal(one.state.params, whole.state.params)
    np.testing.assert_array_equal(one.state.average, whole.state.average)


def test_evaluating_has_the_forward_lines_alone():
    for each in every_loop():
        program = evaluating(each.step, each.layout)
        assert program.first == ()
        names = {line.operation for line in program.lines}
        assert not any(name.startswith(("backward", "update", "drop", "limit", "branch", "join")) for name in names)
        assert not {"activate_back", "normalise_back", "norm"} & set(names)
        assert not any(line.next_batch for line in program.lines)
        assert program.lines[-1].operation == "loss"


def test_predicting_has_the_forward_lines_alone():
    for each in every_loop():
        program = predictions(each)
        names = [line.operation for line in program.lines]
        forward = [name for name in names if name.startswith(("forward", "logits"))]
        assert len(forward) == len(each.problem.widths) - 1
        assert names[-1] == "link"
        allowed = {*forward, "gather", "list_inputs", "normalise", "activate", "add_input", "link"}
        assert set(names) <= allowed
        assert (program.meeting, program.first) == ("never", ())


def test_the_loop_calls_the_operation_of_each_line():
    called, noted = [], []
    python = getattr(loop.perform, "py_func", loop.perform)
    surroundings = {
        "flush_denormals": lambda: 0,
        "restore_float_flags": lambda flags: None,
        "learning_rate": lambda schedule, step: 0.1,
        "assigned_range": lambda run, batch, split, layer, part, parts: (10 * part, 10 * part + parts),
        "next_piece": lambda run, batch, split, layer, first, last: (first, last, 0, 0, last),
        "_across": lambda batch, first, last: batch,
        "by_reference": lambda batch: batch,
        "_batch_of": lambda run, step, rate: f"batch {step}",
        "_now": lambda run: 0,
        "_note_line": lambda run, step, line, part, began: noted.append((step, line, part)),
        "run_operation": lambda code, run, *arguments: called.append((code, *arguments)),
    }
    perform = FunctionType(python.__code__, {**python.__globals__, **surroundings})

    def performed(part, meeting):
        lines = [
            SimpleNamespace(operation=7, layer=2, split=0, parts=4, next_batch=0),
            SimpleNamespace(operation=5, layer=1, split=0, parts=1, next_batch=1),
        ]
        call = SimpleNamespace(first_step=0, clocked=False, meeting=ownership.MEETINGS[meeting])
        called.clear()
        noted.clear()
        perform(SimpleNamespace(program=lines, schedule=None, call=call), 0, 2, 6, 7, part)
        return list(called)

    assert performed(3, "barriers") == [(7, "batch 6", 2, 3, 30, 34)]  # the second line is for one part alone
    assert noted == [(6, 0, 3)]
    assert performed(0, "region ends") == [(7, "batch 6", 2, 0, 0, 4), (5, "batch 7", 1, 0, 0, 1)]
    # Where parts never meet each does all of its steps, as one part of one.
    assert performed(3, "never") == [(7, "batch 6", 2, 3, 0, 1), (5, "batch 7", 1, 3, 0, 1)]
    assert noted == [(6, 0, 3), (6, 1, 3)]


def test_the_switch_of_the_loop_has_every_operation_at_its_code(monkeypatch):
    assert list(CODES.values()) == list(range(len(OPERATIONS)))
    functions = [operation.function for operation in OPERATIONS.values()]
    if not config.DISABLE_JIT:
        assert list(loop.run_operation.linked_functions) == functions
        return
    for code, function in enumerate(functions):
        cell = next(each.cell_contents for each in loop.run_operation.__closure__ if each.cell_contents)
        assert cell[code] is function


def kernels_of(program):
    return {(line.operation, line.layer): line.kernels for line in program.lines}


def test_a_line_names_the_kernels_that_it_calls():
    plain = kernels_of(made((6, 5, 4, 3), {}, "dense", 1).program)
    assert plain["gather", 0] == ("gather_bytes",)
    assert plain["loss", 2] == ("transpose", "softmax_cross_entropy", "scale_rows")
    assert plain["backward_weight", 1] == ("linear_backward_weight",)
    assert plain["activate_back", 0] == ("activation_backward", "scale_rows")
    assert plain["activate_back", 1] == ("activation_backward", "transpose", "scale_rows")
    averaged = kernels_of(made((6, 5, 4, 3), {"optimizer": "adam", "ema": 0.9}, "dense", 1).program)
    assert averaged["backward_weight", 1] == ("clear", "linear_backward_weight")
    assert averaged["update_weights", 1] == ("update", "average")
    limited = kernels_of(made((6, 5, 4, 3), {"max_norm": 1.0}, "floats", 1).program)
    assert limited["gather", 0] == ("gather_floats",)
    assert limited["limit", 0] == ("limit_norms",)
    assert ("limit", 2) not in limited  # the last layer's norms are not limited
    limited = kernels_of(made((6, 5, 4, 3), {"max_norm": 1.0, "ema": 0.9}, "floats", 1).program)
    assert limited["limit", 2] == ("average",)
