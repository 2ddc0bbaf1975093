"""What is lent comes back as it was, in any thread, and is given up when its owner is done with it."""

import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import prange, typeof

from jitnet.kernels.jit import kernel, parallel_kernel
from jitnet.kernels.lend import borrower, lend

pytestmark = pytest.mark.small


class Inner(NamedTuple):
    numbers: np.ndarray
    table: np.ndarray
    on: bool


class Outer(NamedTuple):
    inner: Inner
    results: np.ndarray
    count: int
    rate: float


def example(count: int = 3) -> Outer:
    inner = Inner(np.arange(count, dtype=np.float32), np.arange(6, dtype=np.int64).reshape(2, 3), True)
    return Outer(inner, np.zeros(count), count, 0.5)


borrow = borrower(typeof(example()))


@kernel
def _one(address, part):
    outer = borrow(address)
    value = outer.inner.numbers[part] + outer.inner.table[1, 2] if outer.inner.on else 0.0
    outer.results[part] = value * outer.rate


@parallel_kernel
def _region(address, parts):
    for part in prange(parts):
        _one(address, part)


@kernel
def _whole(outer, calls):
    for _ in range(calls):
        _region(lend(outer), outer.count)


@kernel
def _renewed(outer):
    """Lends anew in every turn of a loop, as a step does its batch."""
    for turn in range(3):
        _region(lend(Outer(outer.inner, outer.results, outer.count, float(turn))), outer.count)


def test_every_part_of_a_region_sees_what_was_lent() -> None:
    outer = example(8)
    _whole(outer, 1)
    np.testing.assert_array_equal(outer.results, (np.arange(8) + 5) * 0.5)


def test_a_loop_lends_what_it_has_in_that_turn() -> None:
    outer = example()
    _renewed(outer)
    np.testing.assert_array_equal(outer.results, (np.arange(3) + 5) * 2.0)


def test_borrowing_leaves_the_owners_references_as_they_were() -> None:
    outer = example()
    _whole(outer, 1)
    before = [sys.getrefcount(array) for array in (outer.results, outer.inner.numbers, outer.inner.table)]
    _whole(outer, 1000)
    after = [sys.getrefcount(array) for array in (outer.results, outer.inner.numbers, outer.inner.table)]
    assert after == before
