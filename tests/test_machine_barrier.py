"""The barrier: parts see what others wrote before it, and no part waits for one that does not run."""

import os
import time
from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest
from numba import config, prange

from jitnet.compiler.decorators import driver, kernel
from jitnet.machine import host
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
def meet(words, part, parts, turns, asks, written, seen):
    """What `relay` does, one part of it, on whatever thread it is called; returns the answer of `all_here`, where it
    asks, else 1."""
    answer = all_here(words, part, parts) if asks else 1
    if answer == 1:
        for turn in range(turns):
            written[part, turn % 2] = part + turn * parts
            wait_for_all(words, part, parts, turn + 1)
            for other in range(parts):
                seen[part, turn, other] = written[other, turn % 2]
    return answer


class Meeting:
    """Parts that meet `turns` times, each on a Python thread of its own, two cores for all of them."""

    def __init__(self, parts: int, turns: int, *, asks: bool) -> None:
        """asks: whether they first ask if all are there; else they take it for granted."""
        self.parts, self.turns, self.asks, self.words = parts, turns, asks, barrier_words(parts)
        self.written, self.seen = np.zeros((parts, 2), np.int64), np.zeros((parts, turns, parts), np.int64)
        self.answers = [-1] * parts

    def hold(self, comes: Callable[[int], bool] = lambda part: True) -> list[int]:
        """Meet; returns each part's answer, -1 of those that do not come. comes: whether a part does; it may sleep."""
        threads = [Thread(target=self._run, args=(part, comes), daemon=True) for part in range(self.parts)]
        forget(self.words)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self.answers

    def come(self, part: int) -> int:
        """Come as this part, on the thread that calls."""
        arguments = (np.int64(part), self.parts, self.turns, self.asks)
        return int(meet(self.words, *arguments, self.written, self.seen))

    def _run(self, part: int, comes: Callable[[int], bool]) -> None:
        if hasattr(os, "sched_setaffinity"):  # a thread library may have bound the thread that starts these
            os.sched_setaffinity(0, set(sorted(host.CORES or os.sched_getaffinity(0))[:2]))
        if comes(part):
            self.answers[part] = self.come(part)

    def check(self) -> None:
        """Behind each barrier all parts have seen what all wrote ahead of it."""
        expected = np.arange(self.turns)[:, None] * self.parts + np.arange(self.parts)
        np.testing.assert_array_equal(self.seen, np.broadcast_to(expected, self.seen.shape))


@kernel
def one_after_the_other(words, parts, answers):
    for part in range(parts - 1, -1, -1):
        answers[part] = all_here(words, np.int64(part), parts)


@kernel
def may(words, parts):
    return may_wait(words, parts)


@kernel
def forget(words):
    forget_barrier(words)


@compiled
@pytest.mark.skipif(describe_machine().affinity < 2, reason="needs two cores")
def test_each_part_sees_what_all_wrote_before():
    parts, turns = 2, 20_000
    set_threads(parts)
    words = barrier_words(parts)
    written, seen = np.zeros(parts * 1024, np.int64), np.zeros((parts, turns, parts), np.int64)
    for _ in range(5):  # a busy machine may start a thread late, and then no part waits
        forget(words)
        here = np.zeros(parts, np.int64)
        relay(words, parts, turns, written, seen, here)
        if here.all():
            break
    assert here.tolist() == [1] * parts
    expected = np.arange(turns)[:, None] * parts + np.arange(parts)
    np.testing.assert_array_equal(seen, np.broadcast_to(expected, seen.shape))


# More threads than cores: they meet only because those that wait let the others run. Also without the compiler.
@pytest.mark.parametrize("parts", [2, 3, 4, 5, 7, 8, 13, 16, 17, 33, 48, 63, 64])
def test_any_number_of_threads_meets_on_two_cores(parts):
    meeting = Meeting(parts, 20 if config.DISABLE_JIT else 200 if parts <= 33 else 50, asks=False)
    assert meeting.hold() == [1] * parts
    meeting.check()


@pytest.mark.parametrize(
    ("parts", "late"),
    [(9, {0}), (9, {1}), (9, {8}), (64, {0}), (64, {31}), (64, {63}), (64, {0, 21, 62}), (41, {16, 40})],
)
def test_parts_that_come_late_are_waited_for(parts, late):
    meeting = Meeting(parts, 10, asks=False)

    def comes(part: int) -> bool:
        time.sleep(0.05 * (part in late))
        return True

    assert meeting.hold(comes) == [1] * parts
    meeting.check()


@compiled
def test_one_barrier_serves_regions_of_different_parts_one_after_the_other():
    """Words count on from region to region, also where a part did not come, or was late and found the others gone."""
    words = barrier_words(64)
    for number, parts in enumerate((64, 2, 33, 3, 64)):
        meeting = Meeting(parts, 5, asks=True)
        meeting.words = words
        missing = parts - 1 if number == 1 else -1
        answers = meeting.hold(lambda part, missing=missing: part != missing)
        if missing >= 0:
            assert answers == [0] * missing + [-1]
            assert meeting.come(missing) == 0
        elif set(answers) == {1}:  # on a busy machine they may not all come in time
            meeting.check()
        else:
            assert set(answers) == {0}


@compiled
@pytest.mark.parametrize("late_s", [0.0, 0.001, 0.005, 0.02])
def test_all_parts_have_the_same_answer_however_late_one_comes(late_s):
    meeting = Meeting(5, 10, asks=True)

    def comes(part: int) -> bool:
        time.sleep(late_s * (part == 3))
        return True

    (answer,) = set(meeting.hold(comes))
    if answer == 1:
        meeting.check()
    else:
        assert not meeting.seen.any()


@compiled
@pytest.mark.parametrize("missing", [0, 1, 16])
def test_where_a_part_never_comes_all_others_give_up(missing):
    meeting = Meeting(17, 3, asks=True)
    answers = meeting.hold(lambda part: part != missing)
    assert answers == [0 if part != missing else -1 for part in range(17)]
    assert not meeting.seen.any()
    # It comes after all, when the others are gone.
    assert meeting.come(missing) == 0


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
        forget(words)
        one_after_the_other(words, parts, answers)
        assert answers.tolist() == [0] * parts
    assert not may(words, parts)


def test_there_is_room_for_as_many_parts_as_were_asked_for():
    assert not may(barrier_words(1), 1)
    assert may(barrier_words(3), 3)
    assert not may(barrier_words(3), 4)


@kernel
def come_alone(words, part):
    wait_for_all(words, np.int64(part), 1, 1)
    return all_here(words, np.int64(part), 1)


@pytest.mark.parametrize("parts", [2, 16, 64])
def test_no_part_s_word_is_written_before_the_part_comes(parts):
    """So that the thread of a part is the first to write to its page."""
    words = barrier_words(parts)
    assert words.ctypes.data % 4096 == 0
    assert len(words) == (parts + 1) * 512
    forget(words)
    assert set(np.flatnonzero(words) // 512) == {0}
    before = words.copy()
    come_alone(words, parts - 1)
    assert set(np.flatnonzero(words != before) // 512) <= {0, parts}
    assert words[parts * 512] > 1 << 32  # it counts from a number greater than all of the region before
