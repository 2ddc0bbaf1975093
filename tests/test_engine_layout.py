"""Where everything lies: nothing overlaps, everything has room, and weights go in and come out as they are."""

import itertools

import numpy as np
import pytest
from layouts import to_panels

from jitnet.config import ACTIVATIONS, ModelConfig
from jitnet.engine.allocation import allocate, byte_values
from jitnet.engine.arena import GAP_BYTES, aligned
from jitnet.engine.layout import lay_out
from jitnet.engine.loop_records import LAYER
from jitnet.engine.packing import pack, unpack
from jitnet.engine.room import row_stride
from jitnet.kernels.activation import ACTIVATION_KERNELS as KERNELS
from jitnet.machine.blocks import LANES, PANEL

pytestmark = pytest.mark.small

WIDTHS = [(3, 2), (5, PANEL, 3), (700, 9 * PANEL + 3, 10), (4, PANEL - 1, 3 * PANEL, PANEL + 1, 5)]
CASES = list(itertools.product(WIDTHS, (1, 33), (1, 3), (False, True), (False, True)))


EVERYTHING = {"norm": "layer", "residual": True, "input_scale": True}


def shape_of(widths, activation="relu", **layers):
    shape = {"in_features": widths[0], "hidden": widths[1:-1], "n_classes": widths[-1]}
    return ModelConfig(**shape, activation=activation, **layers)


def places(layout, batch_size, keeps_input, training, sparse):
    """(name, first, last) of every array in work, as the loops use them."""
    rows = -(-batch_size // LANES) * LANES
    for layer, row in enumerate(layout.layers):
        last_layer = layer == len(layout.layers) - 1
        if layer == 0 and not sparse:
            size = (rows - 1) * row.input_stride + row.in_features
            for buffer in range(2 if training else 1):
                first = row.input_offset + buffer * row.buffer_stride
                yield f"inputs {buffer}", first, first + size
        size = (rows - 1) * row.output_stride + row.padded_features
        n_replicas = layout.replicas if row.part_stride else 1
        for replica in range(n_replicas):
            at = replica * row.part_stride
            yield f"sums {layer} {replica}", row.preactivation_offset + at, row.preactivation_offset + at + size
            if training:
                yield f"grad {layer} {replica}", row.grad_offset + at, row.grad_offset + at + size
                first = row.grad_t_offset + at
                yield f"grad_t {layer} {replica}", first, first + row.out_features * layout.network.grad_t_stride
            if keeps_input and not last_layer:
                yield f"outputs {layer} {replica}", row.output_offset + at, row.output_offset + at + size
            else:
                assert row.output_offset == row.preactivation_offset
        if row.gain_offset:
            yield f"linear {layer}", row.linear_offset, row.linear_offset + size
            yield f"inverse {layer}", row.inverse_offset, row.inverse_offset + rows
        else:
            assert row.linear_offset == row.preactivation_offset
        if row.result_offset != row.output_offset:
            yield f"result {layer}", row.result_offset, row.result_offset + size
        if row.result_grad_offset != row.grad_offset:
            yield f"result_grad {layer}", row.result_grad_offset, row.result_grad_offset + size
        if row.scale_offset:
            yield "folded", row.folded_offset, row.folded_offset + row.in_features * row.padded_features
    network = layout.network
    for group in range(2 * network.n_partials):
        at = network.partials_offset + group * network.partial_stride
        yield f"partials {group}", at, at + network.batch_room * PANEL


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("widths", "batch_size", "threads", "sparse", "training"), CASES)
def test_no_two_arrays_overlap_and_all_have_room(widths, batch_size, threads, sparse, training, activation):
    layout = lay_out(shape_of(widths, activation), batch_size, threads, skips_zeros=sparse, training=training)
    assert layout.replicas == (threads if sparse and training else 1)
    keeps_input = KERNELS[activation].derivative_of == "input"
    found = sorted(places(layout, batch_size, keeps_input, training, sparse), key=lambda place: place[1])
    assert found[0][1] >= PANEL  # what stands before is zeros
    for (name, _, last), (other, first, _) in itertools.pairwise(found):
        assert last <= first, f"{name} and {other}"
    assert found[-1][2] <= layout.work
    if not training:  # each part has all of its own
        assert {row.part_stride for row in layout.layers} == {layout.work}
    assert layout.layers[0].input_part_stride == (0 if training else layout.work)
    for below, row in itertools.pairwise(layout.layers):
        assert row.input_part_stride == below.part_stride
    assert all(first % LANES == 0 for _, first, _ in found)
    assert layout.fused == (layout.network.n_partials > 0 and sparse)
    assert (layout.network.sample_stride > 0) == layout.fused


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_no_two_arrays_of_other_layers_overlap(training, sparse, activation):
    shape = shape_of((5, PANEL + 1, PANEL + 1, 3), activation, **EVERYTHING)
    layout = lay_out(shape, 33, 2, skips_zeros=sparse, training=training)
    found = sorted(
        places(layout, 33, KERNELS[activation].derivative_of == "input", training, sparse), key=lambda place: place[1]
    )
    names = {name.split()[0] for name, _, _ in found}
    expected = {"linear", "inverse", "result"} | ({"result_grad", "folded"} if training else set())
    assert expected <= names
    assert ("folded" in names) == training  # in prediction the weights have the factors in them
    for (name, _, last), (other, first, _) in itertools.pairwise(found):
        assert last <= first, f"{name} and {other}"
    assert found[-1][2] <= layout.work
    assert all(first % LANES == 0 for _, first, _ in found)
    for row in layout.layers[:-1]:  # as the update walks them
        assert row.gain_offset == row.bias_offset + row.padded_features
        assert row.shift_offset == row.gain_offset + row.padded_features
    vectors = [int(row[field]) for row in layout.layers for field in ("bias_offset", "gain_offset", "shift_offset")]
    vectors = sorted([at for at in vectors if at] + [int(layout.layers[0].scale_offset)] * training)
    assert all(after - before >= PANEL for before, after in itertools.pairwise(vectors))
    assert vectors[-1] + PANEL <= layout.params


def test_what_parts_write_lies_pages_apart():
    """Processors fetch ahead, up to the end of a page: a part's own numbers are never fetched by another's walk."""
    for hidden in ((128,), (128, 64)):
        layout = lay_out(shape_of((784, *hidden, 10)), 32, 2, skips_zeros=True, training=True)
        private = layout.layers if len(hidden) == 1 else layout.layers[1:]
        assert not any(row.part_stride for row in layout.layers if row not in private)
        found = sorted(place for place in places(layout, 32, False, True, True) if "partials" not in place[0])
        ends = {}
        for name, first, last in found:
            *array, part = name.split()
            if int(array[-1]) >= len(hidden) + 1 - len(private):
                ends.setdefault(int(part), []).append((first, last))
        assert len(ends) == 2
        assert 4 * (min(first for first, _ in ends[1]) - max(last for _, last in ends[0])) >= GAP_BYTES
        assert 4 * layout.network.partial_stride >= 4 * 32 * PANEL + GAP_BYTES
        state = allocate(layout, marked_columns=784)
        assert 8 * (state.marks.shape[1] - 784) >= GAP_BYTES
        assert 8 * (state.cursors.shape[1] - 32) >= GAP_BYTES
        assert 4 * (layout.network.sample_stride - 32) >= GAP_BYTES


@pytest.mark.parametrize("batch_size", [32, 100, 512])
@pytest.mark.parametrize("hidden", [(128,), (512,), (2048,), (256, 128, 64)], ids=str)
def test_what_each_of_many_parts_has_for_itself_lies_a_page_from_the_others(hidden, batch_size):
    for threads in (1, 2, 3, 5, 8, 16, 33, 64):
        layout = lay_out(shape_of((784, *hidden, 10)), batch_size, threads, skips_zeros=True, training=True)
        ends = {}
        for name, first, last in places(layout, batch_size, False, True, True):
            array, *where = name.split()
            if array == "partials" or (layout.layers[int(where[0])].part_stride and len(where) == 2):
                # What groups contribute may each be another part's.
                ends.setdefault((array == "partials", int(where[-1])), []).append((first, last))
        spans = sorted((min(first for first, _ in each), max(last for _, last in each)) for each in ends.values())
        for (_, last), (first, _) in itertools.pairwise(spans):
            assert 4 * (first - last) >= GAP_BYTES
        state = allocate(layout, marked_columns=784, shares_marks=True)
        assert (len(state.marks), len(state.cursors)) == (threads, threads)
        assert 8 * (state.marks.shape[1] - 784) >= GAP_BYTES
        assert 8 * (state.cursors.shape[1] - batch_size) >= GAP_BYTES
        assert len(state.shared_marks) >= 2 * -(-batch_size // LANES) * (784 + GAP_BYTES // 2)
        if layout.fused:
            assert 4 * (layout.network.sample_stride - batch_size) >= GAP_BYTES
            assert len(state.losses) >= (threads - 1) * layout.network.sample_stride + batch_size


def test_many_parts_of_a_large_batch_share_the_hidden_units():
    few, many = (lay_out(shape_of((784, 512, 10)), 512, n, skips_zeros=True, training=True) for n in (1, 16))
    assert few.layers[0].part_stride > 0
    assert many.layers[0].part_stride == 0
    assert many.fused


def test_the_output_of_a_large_batch_is_made_once_where_many_would_each_make_it():
    few, many = (lay_out(shape_of((784, 512, 10)), 1024, n, skips_zeros=True, training=True) for n in (2, 16))
    assert few.fused
    assert not many.fused
    assert {row.part_stride for row in many.layers} == {0}


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_parameters_lie_one_behind_the_other(widths):
    layout = lay_out(shape_of(widths), 4, 1, skips_zeros=False, training=True)
    at = 0
    for row, (before, after) in zip(layout.layers, itertools.pairwise(widths), strict=True):
        assert (row.in_features, row.out_features) == (before, after)
        assert row.padded_features % PANEL == 0
        assert after <= row.padded_features < after + PANEL
        assert (row.weight_offset, row.bias_offset) == (at, at + before * row.padded_features)
        at = int(row.bias_offset + row.padded_features)
    assert at == layout.params
    for below, row in itertools.pairwise(layout.layers):
        assert (row.input_offset, row.input_stride) == (below.output_offset, below.output_stride)


@pytest.mark.parametrize("panels", [1, 2, 3, 8, 31, 32, 33, 64])
def test_rows_spread_over_the_sets_of_a_cache(panels):
    features = panels * PANEL
    lines = row_stride(features) // LANES
    assert row_stride(features) % LANES == 0
    assert features <= row_stride(features) <= features + 3 * LANES
    # An odd count of cache lines, or of short rows an odd count of pairs of them.
    assert lines % 2 == 1 if features >= 32 * LANES else lines % 4 == 2


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_weights_come_out_as_they_went_in_and_what_fills_up_panels_is_zero(widths):
    layout = lay_out(shape_of(widths), 4, 1, skips_zeros=False, training=True)
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(after, before)).astype(np.float32) for before, after in itertools.pairwise(widths)]
    biases = [rng.normal(size=after).astype(np.float32) for after in widths[1:]]
    state = allocate(layout)
    shape = shape_of(widths)
    parameters = dict(zip(shape.parameter_shapes, itertools.chain(*zip(weights, biases, strict=True)), strict=True))
    pack(state.params, layout.parameters, shape, parameters)
    found = unpack(state.params, layout.parameters, shape)
    assert list(found) == list(parameters)
    for name, expected in parameters.items():
        np.testing.assert_array_equal(found[name], expected)
    for row, weight, bias in zip(layout.layers, weights, biases, strict=True):
        np.testing.assert_array_equal(state.params[row.weight_offset : row.bias_offset], to_panels(weight))
        np.testing.assert_array_equal(state.params[row.bias_offset :][: len(bias)], bias)
        assert (state.params[row.bias_offset + len(bias) : row.bias_offset + row.padded_features] == 0).all()


def test_what_is_asked_for_has_the_size_of_the_parameters_and_the_rest_a_vector():
    layout = lay_out(shape_of(WIDTHS[1]), 4, 1, skips_zeros=False, training=True)
    fields = ("grads", "first_moment", "second_moment", "average")
    for wanted in fields:
        state = allocate(layout, optional=[wanted])
        sizes = {field: getattr(state, field).size for field in fields}
        assert sizes == {field: layout.params if field == wanted else LANES for field in fields}
        assert not any(getattr(state, field).any() for field in (*fields, "params", "work", "losses"))


@pytest.mark.parametrize("count", [1, 17, 5000, 3_000_000])
def test_arrays_start_at_two_cache_lines_and_are_zero(count):
    array = aligned(count)
    assert array.ctypes.data % 128 == 0
    assert (array.shape, array.dtype) == ((count,), np.float32)
    assert not array.any()


def test_layers_are_records_with_names():
    layout = lay_out(shape_of(WIDTHS[1]), 4, 1, skips_zeros=False, training=True, dropout=(0.25, 0.0))
    assert layout.layers.dtype.names == LAYER.names
    assert layout.layers[0].dropout == 0.25
    assert layout.layers[1].dropout == 0.0


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1 / 255), (33.3, 1 / 78.6)])
def test_the_input_of_each_byte(offset, scale):
    expected = (np.arange(256) - offset) * scale
    np.testing.assert_allclose(byte_values(offset, scale), expected, rtol=1e-6, atol=1e-6)
