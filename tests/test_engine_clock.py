"""The clock round each line of a program: what it notes, and that nothing else changes."""

import time

import numpy as np
import pytest
from loop import Loop, Problem
from numba import config

from jitnet.engine.step_clock import clock_for, clock_readings
from jitnet.machine.blocks import PANEL
from jitnet.machine.clock import _read_both, tick_s
from jitnet.machine.host import describe_machine, set_threads

pytestmark = pytest.mark.small

WIDTHS = (6, 2 * PANEL, PANEL, 3)
OPTIONS = {"optimizer": "adam", "clip_norm": 1.0, "dropout": (0.2, 0.0)}


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem(WIDTHS, 24)


def test_ticks_are_as_long_as_the_systems_seconds_say():
    before, first = _read_both()
    time.sleep(0.05)
    after, last = _read_both()
    assert (last - first) * tick_s() == pytest.approx(after - before, rel=0.02)


@pytest.mark.parametrize("threads", [1, 2])
def test_each_line_is_noted_between_its_regions_begin_and_end(problem, threads):
    if threads > describe_machine().affinity:
        pytest.skip("needs two cores")
    loop = Loop(problem, 8, inputs="sparse", threads=threads, clocked_steps=4, **OPTIONS)
    set_threads(threads)
    loop.run(0.1)
    clock, program = loop.engine_run.clock, loop.program
    assert (np.diff(clock.whole_steps[:3]) > 0).all()
    assert (clock.whole_steps[1:3, 0] >= clock.whole_steps[:2, 1]).all()
    assert not clock.whole_steps[3:].any()  # three batches of eight: no fourth step
    for step in range(3):
        for region in {line.region for line in program.step}:
            entered, left = clock.regions[step, region]
            begin, end = clock.whole_steps[step]
            assert begin <= entered <= left <= end
            places = [k for k, line in enumerate(program.lines) if line.region == region]
            for part in range(max(program.lines[k].parts for k in places)):
                times = clock.lines[step, part, places]
                assert (times[:, 1] >= times[:, 0]).all()
                assert (times[1:, 0] == times[:-1, 1]).all()  # one ends as the next begins: nothing is in between
                assert entered <= times[0, 0]
                assert times[-1, 1] <= left
                assert times[0, 0] > 0


def test_more_work_takes_longer(problem):
    """24 samples against one: the shortest of many readings in turn, so that a busy machine or a slow moment of one of
    them does not count."""
    loops = [Loop(problem, size, clocked_steps=1, optimizer="momentum") for size in (1, 24)]
    place = next(k for k, line in enumerate(loops[0].program.lines) if line.operation == "backward_weight")
    readings = np.zeros((30 if config.DISABLE_JIT else 300, 2), np.int64)  # plain Python's steps are long
    for times in readings:
        for k, loop in enumerate(loops):
            loop.steps(0.0, 0, 1, np.zeros(3))
            times[k] = np.diff(loop.engine_run.clock.lines[0, 0, place])[0]
    few, many = readings.min(axis=0)
    assert 0 < few < many


def test_the_same_bits_with_the_clock_and_without(problem):
    loops = [Loop(problem, 8, inputs="sparse", clocked_steps=steps, **OPTIONS) for steps in (0, 2)]
    for loop in loops:
        loop.run(0.1, epochs=2)
    plain, clocked = (loop.state.params.tobytes() for loop in loops)
    assert plain == clocked


def test_where_it_stands_still_nothing_is_noted(problem):
    loop = Loop(problem, 8, clocked_steps=2)
    loop.engine_run.call.clocked = False
    loop.run(0.1)
    assert not any(readings.any() for readings in loop.engine_run.clock)


def test_readings_are_of_the_last_steps_in_order(problem):
    loop = Loop(problem, 4, clocked_steps=4)
    loop.run(0.1)  # six steps: the first two are written over
    found = clock_readings(loop.engine_run.clock, 6)
    assert (np.diff(found.whole_steps[:, 0]) > 0).all()
    assert len(found.whole_steps) == 4
    few = clock_readings(loop.engine_run.clock, 3)
    assert len(few.lines) == len(few.regions) == len(few.whole_steps) == 3
    loop.engine_run.clock.lines[:] = 0
    assert few.lines.any()  # a copy


@pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler there is one thread")
def test_two_parts_never_write_to_one_place_of_memory():
    clock = clock_for(2, 3, 1)
    assert (clock.lines.strides[1]) % 128 == 0
