"""Loops that move numbers: every number arrives, and nothing beside the range is touched."""

import numpy as np
import pytest
from direct import direct
from layouts import MARK

from jitnet.kernels import memory
from jitnet.machine.blocks import LANES

clear, scale_rows, transpose = direct(memory.clear), direct(memory.scale_rows), direct(memory.transpose)

pytestmark = pytest.mark.small


def ranges(count):
    """The whole, and where it can be split, a middle piece."""
    return [(0, count)] if count < 2 else [(0, count), (count // 2, count), (count // 3, count // 3 + 1)]


@pytest.mark.parametrize(
    ("n_rows", "n_cols"), [(1, 1), (3, LANES - 1), (LANES + 1, 2 * LANES + 1), (2 * LANES, LANES), (7, 41)]
)
def test_transpose(n_rows, n_cols):
    source = np.random.default_rng(1).normal(size=(n_rows, n_cols + 2)).astype(np.float32)
    for first, last in ranges(n_cols):
        target = np.full((n_cols, n_rows + 3), MARK, np.float32)
        transpose(source.reshape(-1), n_cols + 2, target.reshape(-1), n_rows + 3, n_rows, first, last)
        np.testing.assert_array_equal(target[first:last, :n_rows], source[:, first:last].T)
        assert (target[:first] == MARK).all()
        assert (target[last:] == MARK).all()
        assert (target[:, n_rows:] == MARK).all()


@pytest.mark.parametrize(("first", "last"), [(0, 20), (3, 17), (5, 5)])
def test_rows_are_scaled_in_their_range(first, last):
    dout = np.random.default_rng(0).normal(size=(4, 23)).astype(np.float32)
    expected = dout.copy()
    expected[:3, first:last] *= np.float32(-0.3)
    scale_rows(dout.reshape(-1), 23, 3, np.float32(-0.3), first, last)
    np.testing.assert_array_equal(dout, expected)


@pytest.mark.parametrize(("first", "last"), [(0, 20), (3, 17), (5, 5)])
def test_numbers_are_cleared_in_their_range(first, last):
    values = np.full(20, MARK, np.float32)
    clear(values, first, last)
    assert (values[first:last] == 0).all()
    assert (np.delete(values, np.s_[first:last]) == MARK).all()
