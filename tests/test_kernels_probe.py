"""The loops that measure the machine do what they say, and write their own part alone."""

import numpy as np
import pytest
from layouts import MARK

from jitnet.kernels.probe import PROBE_BLOCK, PROBES, SUMS, repeat_probe
from jitnet.machine.blocks import LANES

pytestmark = pytest.mark.small


def numbers(count, seed=0):
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_peak_adds_up_in_its_tile(parts):
    values, out = np.full(2 * SUMS * parts, np.float32(0.5)), np.full(1, MARK, np.float32)
    values.reshape(parts, 2, SUMS)[:, 0] = np.arange(SUMS)
    repeat_probe(PROBES["peak"], values, out, 3, 0, 2, parts)
    sums, factors = values.reshape(parts, 2, SUMS).swapaxes(0, 1)
    np.testing.assert_array_equal(sums, np.tile(np.arange(SUMS) + np.float32(2 * 3 * 0.25), (parts, 1)))
    assert (factors == 0.5).all()
    assert out[0] == MARK


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_reading_sums_every_block_once(parts):
    values, out = numbers(7 * PROBE_BLOCK), np.full(parts * PROBE_BLOCK, MARK, np.float32)
    repeat_probe(PROBES["read"], values, out, values.size, 0, 1, parts)
    expected = values.reshape(-1, PROBE_BLOCK).sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(out.reshape(parts, PROBE_BLOCK).sum(axis=0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_the_triad_adds_two_arrays_into_the_third(parts):
    count, gap = 5 * PROBE_BLOCK, 5 * PROBE_BLOCK + LANES
    values = np.concatenate([np.full(gap, MARK, np.float32), numbers(gap, 1), numbers(count, 2)])
    before = values.copy()
    repeat_probe(PROBES["triad"], values, np.zeros(1, np.float32), count, gap, 1, parts)
    expected = before[gap : gap + count] + np.float32(0.5) * before[2 * gap : 2 * gap + count]
    np.testing.assert_allclose(values[:count], expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(values[count:], before[count:])
