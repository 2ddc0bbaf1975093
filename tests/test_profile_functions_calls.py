"""Calls that all do the same work: what a function writes, what is restored, and rounds through several settings."""

import time
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from numba import typed

from jitnet.profile.functions.worker.calls import Calls, arrays_in, interleaved


class Pair(NamedTuple):
    left: np.ndarray
    right: np.ndarray


def called_twice(function, *arguments, names="xyz"):
    calls = Calls(function, arguments, names[: len(arguments)])
    calls.first()
    calls.second()
    return calls


def test_an_array_that_keeps_changing_is_restored_before_every_call():
    seen = []

    def grows(x):
        seen.append(x[0])
        x += 1

    calls = called_twice(grows, np.ones(3))
    assert calls.written == {"x": "restored"}
    seen.clear()
    calls.one()
    calls.sample(4)
    calls.computing_share(0.01)
    assert set(seen) == {1.0}
    assert len(seen) > 5


def test_an_array_with_the_same_values_again_is_not_restored():
    x, out = np.arange(3.0), np.zeros(3)
    calls = called_twice(lambda x, out: np.multiply(x, 2, out=out), x, out)
    assert calls.written == {"y": "again"}
    calls.sample(3)
    assert np.array_equal(out, [0, 2, 4])
    calls.reset()
    assert not out.any()


def test_where_one_array_keeps_changing_all_that_are_written_are_restored():
    def moves(x, out):
        out[:] = 1.0
        x += 1

    calls = called_twice(moves, np.zeros(2), np.zeros(2))
    assert calls.written == {"x": "restored", "y": "restored"}


@pytest.mark.parametrize(
    ("made", "change"),
    [
        (lambda: [1.0, 2.0], list.pop),
        (lambda: [1.0, 2.0], lambda x: x.__setitem__(0, x[0] + 1)),
        (lambda: [np.zeros(2), np.zeros(2)], lambda x: np.add(x[1], 1, out=x[1])),
        (lambda: {1, 2}, set.clear),
        (lambda: {1: 2}, lambda x: x.update({len(x) + 5: 1})),
        (lambda: typed.List([1.0, 2.0]), lambda x: x.clear()),
    ],
)
def test_lists_sets_and_dictionaries_are_restored_before_every_call(made, change):
    seen = []

    def changes(x):
        seen.append(str(x))
        change(x)

    calls = called_twice(changes, made())
    calls.one()
    calls.sample(3)
    assert set(seen) == {str(made())}
    assert calls.written == {"x": "restored"}
    calls.reset()
    assert str(calls.arguments[0]) == str(made())
    assert called_twice(lambda x: len(x), made()).written == {}


def test_nan_is_equal_to_itself_and_read_only_arrays_are_left_alone():
    frozen = np.ones(2)
    frozen.flags.writeable = False
    calls = called_twice(lambda x, y: None, np.array([np.nan, 1.0]), frozen)
    assert calls.written == {}


def test_arrays_inside_tuples_have_names():
    first, second = np.ones(1), np.ones(2)
    assert [name for name, _ in arrays_in((first, (3, second)), "t")] == ["t[0]", "t[1][1]"]
    assert [name for name, _ in arrays_in(Pair(first, second), "p")] == ["p.left", "p.right"]

    def writes(pair):
        pair.right[0] += 1

    assert called_twice(writes, Pair(first, second)).written == {"x.right": "restored"}


def test_what_a_function_raises_is_not_swallowed():
    def refuses(x):
        raise ValueError("no")

    calls = Calls(refuses, (1,), "x")
    with pytest.raises(ValueError, match="no"):
        calls.first()


def test_the_settings_are_measured_alternately():
    order, now = [], [0]
    calls = called_twice(lambda: order.append(now[0]))
    order.clear()
    found = interleaved(calls, [1, 2], lambda count: now.__setitem__(0, count), 0.05, lambda: None)
    assert set(found) == {1, 2}
    for repeats, samples in found.values():
        assert repeats >= 1
        assert all(sample > 0 for sample in samples)
    changes = [k for k, (a, b) in enumerate(pairwise(order)) if a != b]
    assert len(changes) > 2, "round after round, not one setting after the other"


def test_a_call_longer_than_the_budget_is_measured_once():
    counted = []

    def slow():
        counted.append(1)
        time.sleep(0.03)

    calls = Calls(slow, (), "")
    found = interleaved(calls, ["only"], lambda setting: None, 0.01, lambda: None)
    repeats, samples = found["only"]
    assert (repeats, len(samples), len(counted)) == (1, 1, 1)
    assert samples[0] >= 0.03


def test_a_function_that_sleeps_is_distinguished_from_one_that_computes():
    sleeping = called_twice(lambda: time.sleep(0.005))
    assert sleeping.computing_share(0.1) < 0.5
    computing = called_twice(lambda: sum(range(200_000)))
    assert computing.computing_share(0.1) > 0.5
