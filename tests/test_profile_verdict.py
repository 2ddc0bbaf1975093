"""What is said to bind a row, from figures made up for it."""

import pytest

from jitnet.bench.results import Level, Probes
from jitnet.bench.verdict import judge, judge_region, level_of

KIB = 1024
PROBES = Probes(
    2,
    200.0,
    (
        Level(48 * KIB, 300.0, 250.0),
        Level(384 * KIB, 160.0, 150.0),
        Level(6 << 20, 80.0, 60.0),
        Level(128 << 20, 20.0, 18.0),
    ),
    2.0,
)
"""200 GFLOP/s; 300, 160, 80 and 20 GB/s."""


@pytest.mark.parametrize(
    ("size", "level", "gbs"),
    [(100, "first cache", 300), (400 * KIB, "second cache", 160), (7 << 20, "last cache", 80), (1 << 30, "memory", 20)],
)
def test_the_level_is_the_largest_that_was_measured_within_the_size(size, level, gbs):
    assert level_of(PROBES, size) == (level, gbs)


@pytest.mark.parametrize(
    ("flop", "size", "binds", "sentence"),
    [
        (1.4e6, 1e5, "arithmetic", "bound by arithmetic: 70% of the multiply-add peak"),
        (1e5, 1.2e6, "second cache", "bound by second cache: 75% of the second cache's bandwidth"),
        (1e5, 1.5e5, "latency", "bound by latency: 5% of the multiply-add peak, 5% of the first cache"),
        (0.0, 1.2e6, "second cache", "bound by second cache: 75% of the second cache's bandwidth"),
        (0.0, 0.0, "latency", "nothing is counted here: no roof"),
    ],
)
def test_what_binds_in_ten_microseconds(flop, size, binds, sentence):
    found = judge(10e-6, flop, size, PROBES)
    assert (found.binds, found.verdict) == (binds, sentence)


def test_the_roof_is_the_nearer_of_both():
    assert judge(10e-6, 1.4e6, 1e5, PROBES).roof == pytest.approx(0.7)
    assert judge(10e-6, 1e5, 1.2e6, PROBES).roof == pytest.approx(0.75)


@pytest.mark.parametrize(("flop", "size"), [(4e6, 1e5), (1e5, 4e6)])
def test_above_the_roof_is_impossible(flop, size):
    found = judge(10e-6, flop, size, PROBES)
    assert found.roof > 1
    assert found.verdict.startswith("impossible: ")


def test_skipped_zeros_are_no_work_done_but_are_told():
    found = judge(10e-6, 1e5, 1e5, PROBES, nominal_flop=4e6)
    assert found.roof < 1  # although with the products by zero it would be 400 GFLOP/s
    assert found.verdict.endswith("; 98% of its products are by zero and skipped (400 GFLOP/s with them)")


def test_a_thread_that_takes_longer_is_named():
    assert "thread 1 takes 1.5 times the mean" in judge(10e-6, 1e5, 1e5, PROBES, by_thread_s=(5e-6, 15e-6)).verdict
    assert "uneven" not in judge(10e-6, 1e5, 1e5, PROBES, by_thread_s=(9e-6, 11e-6)).verdict


def test_what_is_over_at_once_is_not_measured_by_a_roof():
    assert (
        judge(3e-7, 1e3, 1e3, PROBES).verdict
        == "bound by latency: it ends after 300 ns, before a loop reaches full speed"
    )


def test_a_region_in_which_starting_takes_longest():
    assert judge(2e-6, 1e5, 1e5, PROBES, starts=True).binds == "starting threads"
    # Two parts of 2 µs, and 6 of 8 µs for starting: one thread takes 4. With three times the units both take 12.
    verdict = judge_region(2, 8e-6, 2e-6, 6e-6, 0.0, 32, "units")
    assert verdict == "starting threads takes 6.00 µs of 8.00 µs: serial is faster below 96 units"


def test_a_region_that_waits_or_starts_much_is_told_and_a_good_one_is_not():
    assert judge_region(2, 100e-6, 80e-6, 15e-6, 5e-6, 64, "units") == "starting threads takes 15.0 µs of 100 µs"
    assert judge_region(2, 100e-6, 80e-6, 5e-6, 15e-6, 64, "units") == (
        "waiting for the slowest part takes 15.0 µs of 100 µs"
    )
    assert judge_region(2, 100e-6, 95e-6, 3e-6, 2e-6, 64, "units") == ""
    assert judge_region(1, 100e-6, 10e-6, 90e-6, 0.0, 64, "units") == ""
