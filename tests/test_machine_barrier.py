"""The barrier: parts see what others wrote before it, and nobody waits for a part that does not run."""

import numpy as np
import pytest
from numba import config, prange

from jitnet.compiler.decorators import driver, kernel
from jitnet.machine.barrier import add_at_once, all_here, barrier_words, forget_barrier, may_wait, wait_for_all
from jitnet.machine.host import describe_machine, set_threads

compiled = pytest.mark.skipif(config.DISABLE_JIT, reason="without the compiler nothing runs at the same time")


@driver
def relay(words, parts, turns, written, seen, here):
    """In each turn every part writes a number of its own, and behind the barrier reads everybody's."""
    for part in prange(parts):
        if all_here(words, part, parts) == 1:
            here[part] = 1
            for turn in range(turns):
                written[part * 1024 + turn % 2] = part + turn * parts
                wait_for_all(words, part, parts, turn + 1)
                for other in range(parts):
                    seen[part, turn, other] = written[other * 1024 + turn % 2]


@kernel
def one_after_the_other(words, parts, answers):
    for part in range(parts - 1, -1, -1):
        answers[part] = all_here(words, np.int64(part), parts)


@kernel
def may(words, parts):
    return may_wait(words, parts)


@kernel
def forget(words, parts):
    forget_barrier(words, parts)


@compiled
@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_each_part_sees_what_all_wrote_before():
    parts, turns = 2, 20_000
    set_threads(parts)
    words = barrier_words(parts)
    written, seen = np.zeros(parts * 1024, np.int64), np.zeros((parts, turns, parts), np.int64)
    for _ in range(5):  # a busy machine may start a thread late, and then nobody waits
        forget(words, parts)
        here = np.zeros(parts, np.int64)
        relay(words, parts, turns, written, seen, here)
        if here.all():
            break
    assert here.tolist() == [1] * parts
    expected = np.arange(turns)[:, None] * parts + np.arange(parts)
    np.testing.assert_array_equal(seen, np.broadcast_to(expected, seen.shape))


@kernel
def take(words, turns, taken):
    for _ in range(turns):
        taken[add_at_once(words, 0, 3)] += 1


@driver
def share_out(words, parts, turns, taken):
    for _ in prange(parts):
        take(words, turns, taken)


def test_no_two_parts_are_given_the_same():
    parts, turns = 2, 100_000 if not config.DISABLE_JIT else 100
    if describe_machine().affinity >= parts:
        set_threads(parts)
    words, taken = np.zeros(1, np.int64), np.zeros(3 * parts * turns, np.int64)
    share_out(words, parts, turns, taken)
    assert (taken[::3] == 1).all()
    assert taken.sum() == parts * turns
    assert words[0] == 3 * parts * turns


@compiled
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_that_run_one_after_the_other_are_told_so(parts):
    words, answers = barrier_words(parts), np.full(parts, 9, np.int64)
    for refusals in range(3):
        assert may(words, parts), refusals
        forget(words, parts)
        one_after_the_other(words, parts, answers)
        assert answers.tolist() == [0] * parts
    assert not may(words, parts)


def test_there_is_room_for_as_many_parts_as_were_asked_for():
    assert not may(barrier_words(1), 1)
    assert may(barrier_words(3), 3)
    assert not may(barrier_words(3), 4)
    words = barrier_words(2)
    words[:] = 7
    forget(words, 2)
    assert np.count_nonzero(words != 7) == 3
