"""Dropout: the mask is the stated function of seed, step, layer, sample and unit, and its rate is kept."""

import naive
import numpy as np
import pytest
from direct import direct
from layouts import MARK

from jitnet.kernels import dropout as dropouts

dropout = direct(dropouts.dropout)
drop_bytes, drop_floats = direct(dropouts.drop_input_bytes), direct(dropouts.drop_input_floats)

SEED = np.uint64(11)


def run(batch, units, rate, *, seed=SEED, step=0, layer=0, first=0, last=None, stride=None):
    values = np.full((batch, stride or units), 2.0, np.float32)
    last = units if last is None else last
    dropout(values.reshape(-1), values.shape[1], 0, batch, seed, step, layer, rate, first, last)
    return values


@pytest.mark.small
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("batch", "units"), [(1, 4), (3, 16), (2, 36)])
def test_mask(batch, units, rate):
    expected = 2 * naive.dropout_factors(int(SEED), 5, 2, batch, units, rate)
    np.testing.assert_allclose(run(batch, units, rate, step=5, layer=2), expected, rtol=1e-6)


@pytest.mark.small
def test_a_range_has_the_mask_of_the_whole_and_leaves_the_rest():
    whole = run(3, 32, 0.5)
    values = np.full((3, 40), MARK, np.float32)
    values[:, 8:20] = 2.0
    dropout(values.reshape(-1), 40, 0, 3, SEED, 0, 0, 0.5, 8, 20)
    np.testing.assert_array_equal(values[:, 8:20], whole[:, 8:20])
    assert (values[:, :8] == MARK).all()
    assert (values[:, 20:] == MARK).all()


@pytest.mark.small
def test_a_range_of_samples_has_the_mask_of_the_whole_and_leaves_the_rest():
    whole, values = run(5, 32, 0.5), np.full((5, 32), 2.0, np.float32)
    dropout(values.reshape(-1), 32, 1, 4, SEED, 0, 0, 0.5, 0, 32)
    np.testing.assert_array_equal(values[1:4], whole[1:4])
    assert (values[[0, 4]] == 2.0).all()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.8])
def test_rate_and_mean_are_kept(rate):
    values = run(200, 512, rate)
    deviation = np.sqrt(rate * (1 - rate) / values.size)
    assert np.mean(values == 0) == pytest.approx(rate, abs=4 * deviation)
    assert values.mean() == pytest.approx(2.0, abs=4 * 2 * deviation / (1 - rate))


@pytest.mark.small
def test_masks_differ_by_seed_step_layer_sample_and_unit():
    base = run(2, 64, 0.5)
    others = [
        run(2, 64, 0.5, seed=np.uint64(12)),
        run(2, 64, 0.5, step=1),
        run(2, 64, 0.5, layer=1),
        base[::-1],
        np.roll(base, 4, axis=1),
    ]
    for other in others:
        assert 0.25 < np.mean(other != base) < 0.75
    np.testing.assert_array_equal(run(2, 64, 0.5), base)


def dropped(rate, *, epoch=0, rows=(3, 0, 7), seed=SEED, features=37):
    """All samples in two calls, each on its own part."""
    images, cut = np.full((len(rows), features), 9, np.uint8), len(rows) // 2
    for first, last in ((cut, len(rows)), (0, cut)):
        before = images.copy()
        drop_bytes(images, np.array(rows, np.int32), rate, seed, np.uint64(epoch), first, last)
        np.testing.assert_array_equal(images[:first], before[:first])
        np.testing.assert_array_equal(images[last:], before[last:])
    return images


@pytest.mark.small
def test_inputs_are_dropped_by_epoch_and_sample_wherever_the_sample_stands():
    base = dropped(0.5)
    assert set(np.unique(base)) == {0, 9}
    np.testing.assert_array_equal(dropped(0.5, rows=(7, 3))[::-1], base[[0, 2]])
    for other in (dropped(0.5, epoch=1), dropped(0.5, rows=(4, 1, 8)), dropped(0.5, seed=np.uint64(12))):
        assert 0.2 < np.mean(other != base) < 0.8
    assert (dropped(0.0) == 9).all()


@pytest.mark.small
@pytest.mark.parametrize("features", [1, 4, 37])
def test_bytes_and_numbers_lose_the_same_inputs_and_what_is_kept_of_numbers_makes_good(features):
    images = np.random.default_rng(0).integers(1, 256, (5, features)).astype(np.uint8)
    numbers, rows = images.astype(np.float32) / 7, np.arange(5, dtype=np.int32)
    bytes_left, numbers_left = images.copy(), numbers.copy()
    drop_bytes(bytes_left, rows, 0.4, SEED, np.uint64(0), 0, 5)
    drop_floats(numbers_left, rows, 0.4, SEED, np.uint64(0), 0, 5)
    np.testing.assert_array_equal(bytes_left == 0, numbers_left == 0)
    np.testing.assert_array_equal(bytes_left, np.where(bytes_left == 0, 0, images))
    np.testing.assert_allclose(numbers_left, np.where(numbers_left == 0, 0, numbers / np.float32(0.6)), rtol=1e-6)
    assert 0 < np.mean(bytes_left == 0) < 1


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.7])
def test_the_rate_of_inputs_is_kept(rate):
    images = dropped(rate, rows=range(200), features=301)
    assert np.mean(images == 0) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / images.size))
    # Four features share a draw: each place of the four has its share.
    assert np.mean(images[:, 3::4] == 0) == pytest.approx(rate, abs=0.02)
