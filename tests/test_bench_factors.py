"""How many times as fast: the factor, its range, and what is called faster or slower."""

import random

import pytest

from jitnet.bench.factors import DOUBT, of_pairs, of_samples, verdict

pytestmark = pytest.mark.small


def noisy(us: float, count: int, chance: random.Random) -> list[float]:
    return [us * 1e-6 * chance.lognormvariate(0.0, 0.1) for _ in range(count)]


def test_a_factor_of_pairs_is_the_median_of_their_ratios():
    found = of_pairs([2.0, 4.0, 6.0], [1.0, 1.0, 2.0])
    assert (found.value, found.low, found.high, found.samples) == (3.0, 2.0, 4.0, 3)
    assert found.doubt == 0.25, "three ratios are all above their median, or all below, one time in four"


def test_the_range_holds_as_often_as_it_says():
    chance = random.Random(1)
    for count in (8, 25, 60):
        missed = 0
        for _ in range(400):
            found = of_pairs(noisy(20.0, count, chance), noisy(10.0, count, chance))
            assert found.doubt <= DOUBT
            missed += not found.low <= 2.0 <= found.high
        assert missed <= 400 * DOUBT * 3


@pytest.mark.parametrize(("count", "value", "expected"), [(1, 1.1, "same"), (3, 1.1, "same"), (3, 1.5, "faster")])
def test_few_pairs_name_only_large_differences(count, value, expected):
    assert verdict(of_pairs([value] * count, [1.0] * count), 0.02) == expected


def test_a_slow_moment_that_affects_both_of_a_pair_is_in_no_ratio():
    slow = [1.0] * 10 + [5.0] * 10
    found = of_pairs([2.0 * each for each in slow], slow)
    assert (found.low, found.value, found.high) == (2.0, 2.0, 2.0)


def test_a_factor_of_separate_samples_has_a_range_around_the_ratio_of_medians():
    chance = random.Random(2)
    missed = 0
    for _ in range(200):
        found = of_samples(noisy(30.0, 25, chance), noisy(10.0, 25, chance))
        assert found.low <= found.value <= found.high
        missed += not found.low <= 3.0 <= found.high
    assert missed <= 200 * DOUBT * 3
    single = of_samples([2.0], [1.0])
    assert (single.value, single.low, single.high, single.doubt) == (2.0, 2.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [(1.8, 0.1, "faster"), (0.6, 0.1, "slower"), (1.3, 0.4, "same"), (0.8, 0.3, "same"), (1.01, 0.001, "same")],
)
def test_faster_and_slower_need_a_range_without_1_and_a_change_that_matters(value, width, expected):
    found = of_pairs([value - width, value, value + width] * 5, [1.0] * 15)
    assert verdict(found, 0.02) == expected
