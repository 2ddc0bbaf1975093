"""Random numbers: known answers, even spread, and streams that have nothing to do with one another."""

import naive
import numpy as np
import pytest

from jitnet.kernels.random import (
    AUGMENT,
    DROPOUT,
    INIT,
    ORDER,
    SPLIT,
    bits,
    fill_normal,
    key,
    normal,
    permutation,
    shuffle,
    uniform,
)

N = 20_000


def u(value):
    return np.uint64(value)


def stream(seed, purpose=INIT, a=0, b=0):
    return u(key(u(seed), purpose, u(a), u(b)))


def uniforms(of, count=N):
    return np.array([uniform(of, u(index)) for index in range(count)])


@pytest.mark.small
def test_known_answers_of_splitmix64():
    # Sebastiano Vigna's splitmix64.c, its state begun at 1234567 and at 0.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert [int(bits(u(1234567), u(index))) for index in range(5)] == known
    assert int(bits(u(0), u(0))) == 0xE220A8397B1DCDAF


@pytest.mark.small
@pytest.mark.parametrize("number", [0, 1, 2**32 - 1, 2**63, 2**64 - 1])
def test_bits_and_keys_wrap_round_at_64(number):
    assert int(bits(u(number), u(7))) == naive.bits(number, 7)
    assert int(bits(u(7), u(number))) == naive.bits(7, number)
    assert int(key(u(number), ORDER, u(number), u(3))) == naive.key(number, 2, number, 3)


@pytest.mark.small
def test_uniform_is_the_high_bits_as_a_fraction():
    of = stream(5)
    for index in range(50):
        value = uniform(of, u(index))
        assert value.dtype == np.float32 if isinstance(value, np.floating) else isinstance(value, float)
        assert float(value) == (naive.bits(int(of), index) >> 40) / 2**24


def test_uniform_is_even_and_never_one():
    values = uniforms(stream(1))
    counts = np.histogram(values, bins=16, range=(0, 1))[0]
    assert values.min() >= 0
    assert values.max() < 1
    # Sixteen counts of N / 16 each: chi-squared with 15 degrees of freedom, below 37.7 for 999 seeds in 1000.
    assert ((counts - N / 16) ** 2 / (N / 16)).sum() < 37.7
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / np.sqrt(N)


def test_normal_has_its_moments_and_its_tails():
    of = stream(2)
    values = np.array([normal(of, u(index)) for index in range(N)], np.float64)
    assert np.isfinite(values).all()
    assert abs(values.mean()) < 4 / np.sqrt(N)
    assert abs(values.var() - 1) < 4 * np.sqrt(2 / N)
    assert abs((values**4).mean() - 3) < 4 * np.sqrt(96 / N)
    assert np.mean(np.abs(values) < 1) == pytest.approx(0.6827, abs=0.015)
    assert np.mean(np.abs(values) > 2) == pytest.approx(0.0455, abs=0.007)


@pytest.mark.small
def test_streams_differ_in_every_number_that_names_them():
    names = [
        (seed, purpose, a, b)
        for seed in (0, 1)
        for purpose in (INIT, ORDER, DROPOUT, AUGMENT, SPLIT)
        for a in (0, 1)
        for b in (0, 1)
    ]
    draws = {int(bits(stream(*name), u(index))) for name in names for index in range(20)}
    assert len(draws) == len(names) * 20


def test_streams_are_not_alike():
    first = uniforms(stream(1, ORDER, 0), 4000)
    for other in (stream(2, ORDER, 0), stream(1, DROPOUT, 0), stream(1, ORDER, 1), stream(1, ORDER, 0, 1)):
        assert abs(np.corrcoef(first, uniforms(other, 4000))[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.small
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 100])
def test_permutation(n):
    of = stream(3, ORDER, n)
    order = np.full(n, -1, np.int32)
    permutation(of, order)
    assert sorted(order) == list(range(n))
    assert order.tolist() == naive.permutation(int(of), n)


@pytest.mark.small
@pytest.mark.parametrize(("seed", "epoch"), [(0, 1), (5, 1), (5, 2), (2**63, 7)])
def test_an_epoch_s_order_is_that_of_its_own_stream(seed, epoch):
    order = np.full(23, -1, np.int32)
    shuffle(u(seed), u(epoch), order)
    assert order.tolist() == naive.permutation(naive.key(seed, 2, epoch, 0), 23)


def test_every_permutation_is_as_likely():
    counts = np.zeros((6, 6))
    order = np.empty(6, np.int32)
    n_trials = 6000
    for trial in range(n_trials):
        permutation(stream(4, ORDER, trial), order)
        counts[np.arange(6), order] += 1
    expected = n_trials / 6
    # 25 degrees of freedom, below 52.6 for 999 seeds in 1000.
    assert ((counts - expected) ** 2 / expected).sum() < 52.6


@pytest.mark.small
def test_first_weights_are_normal_numbers_of_layer_unit_and_input():
    values, fewer, other = np.zeros((5, 7), np.float32), np.zeros((3, 7), np.float32), np.zeros((5, 7), np.float32)
    for array, layer in ((values, 2), (fewer, 2), (other, 3)):
        fill_normal(array, 0.5, u(6), layer)
    expected = [[float(normal(stream(6, INIT, 2, o), u(i))) * 0.5 for i in range(7)] for o in range(5)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    np.testing.assert_array_equal(fewer, values[:3])
    assert (other != values).all()
