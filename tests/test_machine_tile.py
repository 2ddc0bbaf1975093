"""Tiles: every operation equals its definition, in plain Python and compiled."""

import numba
import numpy as np
import pytest
from layouts import MARK
from numba import config

from jitnet.compiler.decorators import kernel
from jitnet.machine.blocks import LANES, PANEL, PANEL_COLS, SPARSE_PANELS, TILE_ROWS
from jitnet.machine.tile import (
    prefetch,
    tile_add_outer,
    tile_add_scaled,
    tile_floor,
    tile_larger,
    tile_load,
    tile_max,
    tile_power2,
    tile_prefetch,
    tile_repeat,
    tile_sqrt,
    tile_store,
    tile_sum,
    tile_transpose,
    tile_zero,
)

pytestmark = pytest.mark.small

STRIDE = PANEL + 3
COLS = 3 * PANEL_COLS


@pytest.fixture
def source():
    return np.random.default_rng(0).normal(size=TILE_ROWS * STRIDE + 40).astype(np.float32)


@kernel
def _zero(target, offset, stride):
    tile_store(tile_zero(TILE_ROWS, PANEL_COLS), target, offset, stride)


@kernel
def _copy(source, target, at, source_stride, offset, stride):
    tile_store(tile_load(TILE_ROWS, PANEL_COLS, source, at, source_stride), target, offset, stride)


@kernel
def _repeat(source, at, target, stride):
    tile_store(tile_repeat(TILE_ROWS, PANEL_COLS, source, at), target, 0, stride)


@kernel
def _outer(source, column, at, stride, row, offset, target):
    tile = tile_load(TILE_ROWS, PANEL_COLS, source, 0, PANEL)
    tile_store(tile_add_outer(tile, column, at, stride, row, offset), target, 0, PANEL)


@kernel
def _scaled(source, scale, added, at, stride, target):
    tile = tile_load(SPARSE_PANELS, PANEL_COLS, source, 0, PANEL)
    tile_store(tile_add_scaled(tile, scale, added, at, stride), target, 0, PANEL)


@kernel
def _some_panels(source, at, stride, apart, panels, factors, row, target):
    """Rows of three panels, of which so many are in use: loaded, added to in both ways, stored."""
    tile = tile_load(2, COLS, source, at, stride, apart, panels)
    tile = tile_add_outer(tile, factors, 1, 2, row, 5, PANEL + 2, panels)
    tile = tile_add_scaled(tile, np.float32(0.5), source, at, stride, apart, panels)
    tile_prefetch(2, COLS, target, at, stride, apart)
    tile_store(tile, target, at, stride, apart, panels)


@kernel
def _every_panel(source, at, stride, apart, factors, row, target):
    """The same without a number of panels: rows of three, all in use."""
    tile = tile_load(2, COLS, source, at, stride, apart)
    tile = tile_add_outer(tile, factors, 1, 2, row, 5, PANEL + 2)
    tile = tile_add_scaled(tile, np.float32(0.5), source, at, stride, apart)
    tile_prefetch(2, COLS, target, at, stride, apart)
    tile_store(tile, target, at, stride, apart)
    tile_store(tile_repeat(2, COLS, source, at), target, at, stride, apart)


@kernel
def _repeat_panels(source, at, panels, target, stride):
    tile_store(tile_repeat(2, COLS, source, at, panels), target, 0, stride, PANEL, panels)


@kernel
def _single(source, least, target):
    tile = tile_load(1, 1, source, 0, 0)
    tile_store(tile_max(tile, least), target, 0, 0)
    tile_store(tile_sqrt(tile), target, LANES, 0)


@kernel
def _arithmetic(left, right, number, target):
    a, b = tile_load(1, 1, left, 0, 0), tile_load(1, 1, right, 0, 0)
    tile_store(a + b, target, 0, 0)
    tile_store(a - b, target, LANES, 0)
    tile_store(a * b, target, 2 * LANES, 0)
    tile_store(a / b, target, 3 * LANES, 0)
    tile_store(a + number, target, 4 * LANES, 0)
    tile_store(a - number, target, 5 * LANES, 0)
    tile_store(a * number, target, 6 * LANES, 0)
    tile_store(a / number, target, 7 * LANES, 0)


@kernel
def _sum(source):
    return tile_sum(tile_load(TILE_ROWS, PANEL_COLS, source, 0, PANEL))


@kernel
def _transposed(source, stride, target):
    tile_store(tile_transpose(tile_load(LANES, 1, source, 0, stride)), target, 0, LANES)


@kernel
def _ask(source, offset):
    prefetch(source, offset)
    return offset


@kernel
def _whole(left, right, target):
    tile = tile_load(1, 1, left, 0, 0)
    tile_store(tile_larger(tile, tile_load(1, 1, right, 0, 0)), target, 0, 0)
    tile_store(tile_floor(tile), target, LANES, 0)
    tile_store(tile_power2(tile_floor(tile)), target, 2 * LANES, 0)


def block(flat, offset, stride, rows=TILE_ROWS):
    """rows x PANEL numbers of a flat array."""
    return np.stack([flat[offset + r * stride : offset + r * stride + PANEL] for r in range(rows)])


def test_shapes_fit_each_other():
    assert PANEL == PANEL_COLS * LANES
    assert TILE_ROWS > 1
    assert SPARSE_PANELS > 1


def test_a_store_writes_its_rows_and_nothing_between_them():
    target = np.full(TILE_ROWS * STRIDE + 7, MARK, np.float32)
    _zero(target, 5, STRIDE)
    assert (block(target, 5, STRIDE) == 0).all()
    assert (target == MARK).sum() == target.size - TILE_ROWS * PANEL


@pytest.mark.parametrize("panels", [1, 2, 3])
@pytest.mark.parametrize(("stride", "apart"), [(3 * PANEL + 1, PANEL), (PANEL, 2 * PANEL + 3)])
def test_only_the_panels_in_use_are_read_and_written(panels, stride, apart):
    rng = np.random.default_rng(panels)
    source, row = (rng.normal(size=7 * PANEL + 30).astype(np.float32) for _ in range(2))
    factors = rng.normal(size=4).astype(np.float32)
    columns = np.concatenate([np.arange(PANEL) + p * apart for p in range(panels)])
    places = 7 + np.arange(2)[:, None] * stride + columns
    of_row = np.concatenate([np.arange(PANEL) + p * (PANEL + 2) for p in range(panels)])
    expected = 1.5 * source[places].astype(np.float64) + np.outer(factors[1::2], row[5 + of_row])
    target = np.full(source.size, MARK, np.float32)
    _some_panels(source, 7, stride, apart, panels, factors, row, target)
    np.testing.assert_allclose(target[places], expected, rtol=5e-7, atol=5e-7)
    target[places] = MARK
    assert (target == MARK).all()


def _again(function):
    """The function, compiled again and not cached."""
    return function if config.DISABLE_JIT else numba.njit(function.py_func)


def test_what_was_compiled_before_does_not_matter():
    """A whole tile after a part of one, then a part again: Numba has typed that before, and reuses it."""
    source, row, target = (np.zeros(9 * PANEL, np.float32) for _ in range(3))
    factors, stride = np.ones(4, np.float32), 3 * PANEL
    for _ in range(2):
        _again(_some_panels)(source, 0, stride, PANEL, 1, factors, row, target)
        _again(_repeat_panels)(source, 0, 1, target, stride)
        _again(_every_panel)(source, 0, stride, PANEL, factors, row, target)
    target[:] = MARK
    _again(_some_panels)(source, 0, stride, PANEL, 2, factors, row, target)
    _again(_repeat_panels)(source, 0, 1, target, stride)
    target_rows = target.reshape(-1, 3 * PANEL)[:2]
    assert (target_rows[:, : 2 * PANEL] == 0).all()
    assert (target_rows[:, 2 * PANEL :] == MARK).all()
    assert (target[2 * stride :] == MARK).all()
    target[:] = MARK
    _again(_every_panel)(source, 0, stride, PANEL, factors, row, target)
    assert (target[: 2 * stride] == 0).all()
    assert (target[2 * stride :] == MARK).all()


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_a_repeated_row_has_the_panels_in_use(source, panels):
    stride, source = 3 * PANEL + 1, np.resize(source, 4 * PANEL)
    target = np.full(2 * stride, MARK, np.float32)
    _repeat_panels(source, 2, panels, target, stride)
    expected = np.full((2, stride), MARK, np.float32)
    expected[:, : panels * PANEL] = source[2 : 2 + panels * PANEL]
    np.testing.assert_array_equal(target.reshape(2, stride), expected)


@pytest.mark.parametrize("at", [0, 1, LANES + 1])
def test_a_load_takes_rows_at_any_offset(source, at):
    target = np.full(TILE_ROWS * PANEL, MARK, np.float32)
    _copy(source, target, at, STRIDE, 0, PANEL)
    np.testing.assert_array_equal(target.reshape(TILE_ROWS, PANEL), block(source, at, STRIDE))


def test_a_repeated_row_is_in_every_row(source):
    target = np.full(TILE_ROWS * PANEL, MARK, np.float32)
    _repeat(source, 3, target, PANEL)
    np.testing.assert_array_equal(target.reshape(TILE_ROWS, PANEL), np.tile(source[3 : 3 + PANEL], (TILE_ROWS, 1)))


def test_an_outer_product_is_added_with_one_rounding(source):
    column, row = source[::-1].copy(), np.roll(source, 9)
    target = np.full(TILE_ROWS * PANEL, MARK, np.float32)
    _outer(source, column, 2, 5, row, 1, target)
    terms = np.outer(column[2 : 2 + 5 * TILE_ROWS : 5].astype(np.float64), row[1 : 1 + PANEL])
    expected = source[: TILE_ROWS * PANEL].reshape(TILE_ROWS, PANEL) + terms
    np.testing.assert_allclose(target.reshape(TILE_ROWS, PANEL), expected, rtol=2e-7, atol=2e-7)


def test_a_scaled_tile_is_added(source):
    target = np.full(SPARSE_PANELS * PANEL, MARK, np.float32)
    _scaled(source, np.float32(-0.375), np.roll(source, 4), 3, STRIDE - 3, target)
    added = block(np.roll(source, 4), 3, STRIDE - 3, SPARSE_PANELS).astype(np.float64)
    expected = source[: SPARSE_PANELS * PANEL].reshape(SPARSE_PANELS, PANEL) - 0.375 * added
    np.testing.assert_allclose(target.reshape(SPARSE_PANELS, PANEL), expected, rtol=2e-7, atol=2e-7)


def test_the_larger_number_is_taken_and_nan_stays():
    values = np.linspace(0, 3, LANES, dtype=np.float32)
    values[3] = np.nan
    target = np.empty(2 * LANES, np.float32)
    _single(values, np.float32(1.5), target)
    np.testing.assert_array_equal(target[:LANES], np.maximum(values, np.float32(1.5)))
    np.testing.assert_array_equal(target[LANES:], np.sqrt(values))


def test_the_larger_of_two_tiles_and_never_a_nan_of_the_second():
    left, right = np.linspace(-2, 2, LANES, dtype=np.float32), np.linspace(3, -3, LANES, dtype=np.float32)
    right[5] = np.nan
    target = np.empty(3 * LANES, np.float32)
    _whole(left, right, target)
    np.testing.assert_array_equal(target[:LANES], np.fmax(left, right))
    np.testing.assert_array_equal(target[LANES : 2 * LANES], np.floor(left))
    np.testing.assert_array_equal(target[2 * LANES :], 2.0 ** np.floor(left))


def test_rows_become_columns():
    stride = LANES + 5
    square = np.arange(LANES * stride, dtype=np.float32)
    target = np.full(LANES * LANES, MARK, np.float32)
    _transposed(square, stride, target)
    np.testing.assert_array_equal(target.reshape(LANES, LANES), square.reshape(LANES, stride)[:, :LANES].T)


def test_arithmetic_between_tiles_and_with_a_number(source):
    left, right, number = source[:LANES], source[LANES : 2 * LANES], np.float32(0.7)
    target = np.empty(8 * LANES, np.float32)
    _arithmetic(left, right, number, target)
    expected = [
        left + right,
        left - right,
        left * right,
        left / right,
        left + number,
        left - number,
        left * number,
        left / number,
    ]
    np.testing.assert_allclose(target, np.concatenate(expected), rtol=2e-7)


def test_a_sum_counts_every_number_once():
    values = np.arange(1, TILE_ROWS * PANEL + 1, dtype=np.float32)
    assert _sum(values) == values.size * (values.size + 1) / 2


def test_prefetching_changes_nothing_and_takes_any_address():
    for kind in (np.float32, np.uint32, np.int64):
        assert _ask(np.zeros(3, kind), 10**9) == 10**9
