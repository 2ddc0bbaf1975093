"""A tuple handed on by reference is read as it is, in any thread, and its owner keeps what belongs to him."""

import copy
import gc
import sys
from typing import NamedTuple

import numpy as np
import pytest
from direct import direct
from numba import config, prange, typeof

from jitnet.compiler import reference
from jitnet.compiler.decorators import driver, kernel
from jitnet.compiler.reference import Reference, Struct, by_reference, reference_to

pytestmark = pytest.mark.small


@pytest.fixture(autouse=True)
def _own_writer(monkeypatch):
    """Compiled code for the tuples of this file is kept apart: other processes could not read what names them."""
    if not config.DISABLE_JIT:
        monkeypatch.setattr(reference, "_write_struct", direct(reference._write_struct))


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


outer_at = reference_to(Reference(typeof(example())))


@kernel
def _one(outer, part):
    value = outer.inner.numbers[part] + outer.inner.table[1, 2] if outer.inner.on else 0.0
    outer.results[part] = value * outer.rate


@driver
def _region(outer, parts):
    for part in prange(parts):
        _one(outer, part)


@kernel
def _whole(address, calls):
    outer = outer_at(address)
    for _ in range(calls):
        _region(outer, outer.count)


@kernel
def _handed_on(outer):
    """Refers to a tuple that it was given by value."""
    _region(by_reference(outer), outer.count)


@kernel
def _renewed(address):
    """Refers to another tuple in every iteration of a loop, as a step does to its batch."""
    outer = outer_at(address)
    for iteration in range(3):
        _region(by_reference(Outer(outer.inner, outer.results, outer.count, float(iteration))), outer.count)


def test_every_part_of_a_region_sees_what_is_referred_to() -> None:
    outer = example(8)
    struct = Struct(outer)
    _whole(struct.address, 1)
    np.testing.assert_array_equal(outer.results, (np.arange(8) + 5) * 0.5)


def test_a_tuple_given_by_value_can_be_referred_to() -> None:
    outer = example(8)
    _handed_on(outer)
    np.testing.assert_array_equal(outer.results, (np.arange(8) + 5) * 0.5)


def test_a_loop_refers_to_what_it_has_in_that_turn() -> None:
    outer = example()
    struct = Struct(outer)
    _renewed(struct.address)
    np.testing.assert_array_equal(outer.results, (np.arange(3) + 5) * 2.0)


def test_what_its_arrays_hold_may_change() -> None:
    outer = example()
    struct = Struct(outer)
    _whole(struct.address, 1)
    outer.inner.numbers[:] += 1
    outer.inner.table[1, 2] = 10
    _whole(struct.address, 1)
    np.testing.assert_array_equal(outer.results, (np.arange(3) + 11) * 0.5)


def test_a_struct_keeps_its_arrays() -> None:
    struct = Struct(example())
    gc.collect()
    results = struct.value.results
    for _ in range(100):
        np.full(3, 7, np.float32), np.full((2, 3), 7)  # would be put where something was let go
        _whole(struct.address, 1)
        np.testing.assert_array_equal(results, (np.arange(3) + 5) * 0.5)


def test_referring_leaves_the_owners_references_as_they_were() -> None:
    outer = example()
    struct = Struct(outer)
    arrays = outer.results, outer.inner.numbers, outer.inner.table
    for run in (lambda: _whole(struct.address, 1000), lambda: _renewed(struct.address), lambda: _handed_on(outer)):
        run()
        before = [sys.getrefcount(array) for array in arrays]
        run()
        assert [sys.getrefcount(array) for array in arrays] == before


def test_a_copy_of_a_struct_is_of_copied_arrays():
    """Its memory holds addresses: copied as it is, it would be read after the first one's arrays are gone."""
    first = Struct(example())
    second = copy.deepcopy(first)
    first.value.inner.numbers[:] = 100.0
    del first
    gc.collect()
    _whole(second.address, 1)
    np.testing.assert_array_equal(second.value.results, [2.5, 3.0, 3.5])
