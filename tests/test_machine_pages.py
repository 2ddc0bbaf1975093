"""Memory is near the thread that uses it: nothing of a run is written to before the thread that writes there in a step,
and what each part has for itself is a page from what the others have."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest
from loop import Loop, Problem

import jitnet
from jitnet.config import ModelConfig, TrainConfig
from jitnet.engine import arena, ownership
from jitnet.engine.allocation import allocate
from jitnet.engine.arena import GAP_BYTES, aligned
from jitnet.engine.layout import lay_out
from jitnet.engine.packing import unpack
from jitnet.engine.program import Step, training
from jitnet.engine.setup import place_weights, training_run
from jitnet.engine.step_clock import clock_for
from jitnet.machine.barrier import barrier_words
from jitnet.machine.host import describe_machine
from jitnet.machine.pages import untouched
from jitnet.training import plan as plans

PAGE = mmap.PAGESIZE

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which pages are in memory")


def written(array):
    """(pages,) bool: which of an array's pages have been written to, as far as the system knows."""
    if array.nbytes == 0:
        return np.zeros(0, np.bool_)
    begin = array.ctypes.data // PAGE * PAGE
    count = -(-(array.ctypes.data + array.nbytes - begin) // PAGE)
    found = (ctypes.c_ubyte * count)()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(begin), ctypes.c_size_t(count * PAGE), found) == 0
    return np.frombuffer(found, np.uint8) & 1 > 0


@pytest.fixture
def small_pages(monkeypatch):
    """Each page is seen apart: none is written to because its neighbours in a huge page are."""
    make = untouched
    monkeypatch.setattr(arena, "untouched", lambda count, kind, huge: make(count, kind))


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("huge", [False, True])
def test_memory_is_zeros_from_the_start_of_a_page(kind, huge):
    for count in (0, 1, 1000, 3_000_001):
        array = untouched(count, kind, huge=huge)
        assert (array.shape, array.dtype, array.flags.writeable) == ((count,), kind, True)
        assert count == 0 or array.ctypes.data % PAGE == 0
        assert not array.any()


@pytest.mark.parametrize("size", [300_000, 2 << 20, (2 << 20) + 1, 9_000_000])
def test_large_blocks_are_in_whole_huge_pages(monkeypatch, size):
    made, make = [], untouched

    def noted(*arguments, huge):
        made.append((make(*arguments, huge=huge), huge))
        return made[-1][0]

    monkeypatch.setattr(arena, "untouched", noted)
    array = aligned(size // 4)
    ((memory, huge),) = made
    assert huge
    assert array.ctypes.data % (2 << 20) == 0
    pages = -(-array.nbytes // (2 << 20))
    assert memory.ctypes.data <= array.ctypes.data
    assert array.ctypes.data + pages * (2 << 20) <= memory.ctypes.data + memory.nbytes


@on_linux
def test_it_is_in_no_page_that_was_used_before(small_pages):
    for _ in range(3):
        used = untouched(100_000, np.float32)
        assert not written(used).any()
        used[5000:6000] = 1
        assert written(used).sum() == 2
        array = aligned(100_000)
        assert not written(array)[1:].any()
        array[:] = 1
        del used, array


def shape_of(hidden):
    return ModelConfig(in_features=64, hidden=hidden, n_classes=10)


def run_on(threads, hidden=(512,), batch_size=32, sparse=True, **options):
    """A run on so many threads, whatever this machine has; and its program."""
    shape, config = shape_of(hidden), TrainConfig(**options)
    step = Step(shape, config, batch_size, threads, 0.2, sparse, 1)
    layout = lay_out(shape, batch_size, threads, skips_zeros=sparse, training=True, dropout=0.0)
    program = training(step, layout)
    run = training_run(step, layout, program, 10)
    return run._replace(clock=clock_for(program.threads, len(program.lines), program.regions)), program, layout


EVERYTHING = {"optimizer": "adam", "ema": 0.9}


@on_linux
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 16, 64])
def test_nothing_of_a_run_is_written_to_before_its_threads_begin(small_pages, monkeypatch, threads, sparse):
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    run, program, _ = run_on(threads, (2048, 512), 256, sparse, **EVERYTHING)
    assert program.threads == min(threads, 2048 // 32) or not sparse
    for name in ("params", "grads", "first_moment", "second_moment", "average", "work", "marks", "cursors", "losses"):
        assert written(getattr(run.state, name)).sum() <= 1, name  # where it begins in another array's last page
    assert not written(run.clock.by_part).any()
    assert not written(run.barrier).any()


@on_linux
@pytest.mark.parametrize("threads", [2, 3, 16, 64])
def test_each_part_is_the_first_to_write_to_the_weights_that_it_will_update(small_pages, monkeypatch, threads):
    """And all parts together to all of them: what is left are vectors, as biases."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    run, program, layout = run_on(threads, (512, 256), **EVERYTHING)
    place_weights(run, program)
    for name in ("params", "average"):
        array = getattr(run.state, name)
        assert not array.any()
        for row in layout.layers:
            first, last = int(row.weight_offset), int(row.weight_offset + row.in_features * row.padded_features)
            assert written(array[first:last]).all(), name
    assert written(run.state.grads).sum() <= 1
    assert written(run.state.first_moment).sum() <= 1


def test_the_parts_that_place_weights_are_those_that_make_their_gradients(monkeypatch):
    from jitnet.engine.setup import placing

    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    for threads, hidden, sparse in itertools.product((2, 5, 16, 64), ((), (512,), (512, 256)), (False, True)):
        _, program, layout = run_on(threads, hidden, sparse=sparse)
        made = {line.layer: line for line in program.step if line.operation in ("backward_weight", "backward_sparse")}
        placed = placing(program, average=False).lines
        assert [line.layer for line in placed] == sorted(made, reverse=True)
        assert len(placed) == len(layout.layers)
        for line in placed:
            assert (line.split, line.parts) == (made[line.layer].split, made[line.layer].parts)


@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_a_training_begins_from_the_model_s_parameters_on_any_count_of_threads():
    digits = jitnet.load("digits")
    for threads, ema in itertools.product((1, 2), (0.0, 0.9)):
        model = jitnet.Model.create(ModelConfig(in_features=64, hidden=(512, 128), n_classes=10), digits, seed=1)
        config = TrainConfig(threads=threads, ema=ema)
        run = plans.begin_run(model, plans.make_plan(model, digits.train, config, 256), 7)
        assert plans.make_plan(model, digits.train, config, 256).program.threads == threads
        for flat in (run.state.params, *([run.state.average] if ema else [])):
            found = unpack(flat, run.parameters, model.config)
            for name, expected in model.parameters.items():
                np.testing.assert_array_equal(found[name], expected)


def spans(state, layout, batch_size, columns, samples):
    """(part, first byte, last byte behind) of what each part has for itself."""
    for name, used in (("marks", columns), ("cursors", batch_size), ("indptr", samples + 1), ("entries", samples * 64)):
        for part, row in enumerate(getattr(state, name)):
            yield part, row.ctypes.data, row.ctypes.data + used * row.itemsize
    if layout.fused:
        for part in range(layout.replicas):
            for array in (state.losses, state.correct):
                first = array.ctypes.data + 4 * part * int(layout.network.sample_stride)
                yield part, first, first + 4 * batch_size
    for row in layout.layers:
        if row.part_stride:
            for part in range(layout.replicas):
                first = state.work.ctypes.data + 4 * (int(row.linear_offset) + part * int(row.part_stride))
                yield part, first, first + 4 * batch_size * int(row.output_stride)


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8, 16, 33, 64])
@pytest.mark.parametrize("hidden", [(128,), (512, 64)], ids=str)
def test_what_parts_have_for_themselves_is_a_page_apart_in_all_arrays(threads, hidden):
    """Also where one array ends and the next begins."""
    layout = lay_out(shape_of(hidden), 32, threads, skips_zeros=True, training=True)
    state = allocate(layout, marked_columns=64, shares_marks=True, works=threads, listed_samples=32)
    found = sorted(spans(state, layout, 32, 64, 32), key=lambda span: span[1])
    for (part, _, last), (other, first, _) in itertools.pairwise(found):
        assert first >= last
        assert part == other or first - last >= GAP_BYTES
    assert {part for part, _, _ in found} == set(range(threads))


@pytest.mark.parametrize("parts", [2, 3, 16, 64])
def test_readings_and_words_of_parts_are_a_page_apart(parts):
    for lines in (1, 9, 33):
        clock = clock_for(parts, lines, 2)
        used = clock.by_part[0, : len(clock.whole_steps)]
        assert clock.by_part.strides[0] - used.nbytes >= GAP_BYTES
        assert clock.by_part.strides[0] % 128 == 0
        clock.lines[3, 1] = 7  # what is seen step by step is what parts write
        assert (clock.by_part[1, 3] == 7).all()
        assert clock.lines.shape[:2] == (len(clock.whole_steps), parts)
    assert 8 * len(barrier_words(parts)) == (parts + 1) * GAP_BYTES


@on_linux
@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_a_step_writes_to_its_part_s_pages(small_pages):
    """The gaps between them stay as they were."""
    loop = Loop(Problem((64, 128, 10), 64), 32, inputs="sparse", threads=2, clocked_steps=512, optimizer="momentum")
    loop.run(0.1)
    if loop.program.threads == 2:
        touched = written(loop.engine_run.clock.by_part)
        assert 0 < touched.sum() < len(touched) / 4
    assert loop.engine_run.state.first_moment.any()
