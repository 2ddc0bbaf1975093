"""A batch is gathered from stored samples: the rows asked for, scaled, and nothing beyond them."""

import numpy as np
import pytest
from direct import direct
from layouts import MARK

from jitnet.kernels import gather

gather_bytes, gather_floats = direct(gather.gather_bytes), direct(gather.gather_floats)

pytestmark = pytest.mark.small

SHAPES = [(1, 1, 1), (9, 15, 4), (9, 16, 9), (20, 17, 7), (5, 31, 5)]


def chosen(samples, batch):
    return np.random.default_rng(samples).permutation(samples)[:batch].astype(np.int32)


def gathered(kernel, source, rows, *values):
    """The batch in two parts, rows of a stride larger than they are; and what lies outside is checked."""
    features = source.shape[1]
    x = np.full((len(rows) + 1, features + 3), MARK, np.float32)
    cut = len(rows) // 2
    kernel(source, rows, *values, x.reshape(-1), features + 3, cut, len(rows))
    assert (x[:cut] == MARK).all()
    kernel(source, rows, *values, x.reshape(-1), features + 3, 0, cut)
    assert (x[len(rows) :] == MARK).all()
    assert (x[:, features:] == MARK).all()
    return x[: len(rows), :features]


@pytest.mark.parametrize(("samples", "features", "batch"), SHAPES)
@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1 / 255), (0.0, 1 / 16), (33.3, 1 / 78.6)])
def test_bytes(samples, features, batch, offset, scale):
    images = np.random.default_rng(features).integers(0, 256, (samples, features)).astype(np.uint8)
    values = ((np.arange(256) - offset) * scale).astype(np.float32)
    rows = chosen(samples, batch)
    np.testing.assert_allclose(gathered(gather_bytes, images, rows, values), values[images[rows]], rtol=3e-5, atol=3e-5)


def test_bytes_have_the_bits_of_the_table_where_zero_is_zero():
    """The loops that skip zeros look the value up; the dense ones compute it: they must not differ."""
    images = np.arange(256, dtype=np.uint8).reshape(1, 256)
    for scale in (1 / 255, 1 / 16):
        values = np.arange(256, dtype=np.float32) * np.float32(scale)
        np.testing.assert_array_equal(gathered(gather_bytes, images, np.zeros(1, np.int32), values)[0], values)


@pytest.mark.parametrize(("samples", "features", "batch"), SHAPES)
def test_floats(samples, features, batch):
    stored = np.random.default_rng(features).normal(size=(samples, features)).astype(np.float32)
    rows = chosen(samples, batch)
    np.testing.assert_array_equal(gathered(gather_floats, stored, rows), stored[rows])
