"""Trials of remedies: pairs of calls, results compared, changed copies, and what is shown of them."""

import types
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import pytest

from jitnet.bench.factors import of_ratios
from jitnet.profile.functions.hint_records import Trial
from jitnet.profile.functions.thresholds import GAIN
from jitnet.profile.functions.worker.outcomes import plain_value
from jitnet.profile.functions.worker.pairs import DOUBT, factor_of, time_in_turn
from jitnet.profile.functions.worker.remedies import Remedy
from jitnet.profile.functions.worker.same_results import deviation, snapshot
from jitnet.profile.functions.worker.trials import _together


class Machine:
    """A clock that only calls advance, and calls of a known length."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.order: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def call(self, name: str, seconds: float, disturbed=lambda number: 1.0):
        numbers = count()

        def sample(repeats: int) -> float:
            taken = seconds * disturbed(next(numbers))
            self.now_s += repeats * taken
            self.order.append(name)
            return taken

        return sample


def test_the_factor_of_two_calls_is_that_of_their_lengths():
    machine = Machine()
    found = time_in_turn(machine.call("a", 3e-3), machine.call("b", 1e-3), 1.0, clock=machine.clock)
    assert found.value == found.low == found.high == pytest.approx(3.0)
    assert Trial("b", found.value, found.low, found.high, 0.0).helps


def test_neither_is_always_first():
    machine = Machine()
    time_in_turn(machine.call("a", 0.1), machine.call("b", 0.1), 3.0, clock=machine.clock)
    pairs = machine.order[2:]
    firsts = [one for one, _ in zip(pairs[::2], pairs[1::2], strict=True)]
    assert {tuple(sorted(pair)) for pair in zip(pairs[::2], pairs[1::2], strict=True)} == {("a", "b")}
    assert all(one != other for one, other in pairwise(firsts))


def test_disturbed_samples_do_not_make_a_gain():
    machine = Machine()
    disturbed = lambda number: 5.0 if number % 3 == 0 else 1.0  # noqa: E731
    same = machine.call("a", 1e-3, disturbed), machine.call("b", 1e-3)
    found = time_in_turn(*same, 2.0, clock=machine.clock)
    assert found.value == pytest.approx(1.0)
    assert not Trial("b", found.value, found.low, found.high, 0.0).helps


def test_what_does_not_fit_into_the_budget_is_not_timed():
    machine = Machine()
    assert time_in_turn(machine.call("a", 1.0), machine.call("b", 1.0), 3.0, clock=machine.clock) is None
    assert machine.now_s <= 3.0
    found = time_in_turn(machine.call("a", 1.0), machine.call("b", 0.5), 8.0, clock=machine.clock)
    assert found.value == pytest.approx(2.0)


def test_the_budget_is_kept():
    machine = Machine()
    wild = lambda number: 1.0 + number % 7  # noqa: E731
    time_in_turn(machine.call("a", 1e-2, wild), machine.call("b", 1e-2, wild), 1.0, clock=machine.clock)
    assert machine.now_s <= 1.5


def test_a_clearly_slower_copy_costs_few_pairs():
    machine = Machine()
    found = time_in_turn(machine.call("a", 0.1), machine.call("b", 0.4), 60.0, clock=machine.clock)
    assert found.high < 1
    assert machine.order.count("b") <= 4


@pytest.mark.parametrize(
    ("ratios", "low", "high"),
    [
        ([1.0, 2.0, 3.0], 1.0, 3.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 1.0, 6.0),  # 1 - 2 / 2**6 is 0.97
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 2.0, 8.0),  # 1 - 2 * (1 + 9) / 2**9 is 0.96
    ],
)
def test_the_interval_of_a_median(ratios, low, high):
    found = of_ratios(ratios[::-1], DOUBT)
    assert (found.low, found.high) == (low, high)
    assert found.value == np.median(ratios)


def test_few_pairs_show_a_gain_only_where_it_is_larger_than_their_spread():
    for ratios, helps in (
        ([1.04, 1.05, 1.1], False),
        ([1.3, 1.6, 2.0], False),
        ([1.05, 1.051, 1.052], True),
        ([1.9, 2.0, 2.1], True),
        ([1.02, 1.04, 1.05, 1.11], False),
        ([1.02, 1.04, 1.05, 1.05, 1.06, 1.11], True),
    ):
        found = factor_of(ratios)
        assert Trial("", found.value, found.low, found.high, 0.0).helps is helps, ratios


def test_equal_calls_seldom_show_a_gain_by_few_pairs():
    rng = np.random.default_rng(0)
    for pairs in (3, 4, 5):
        factors = [factor_of(each) for each in rng.lognormal(0.0, 0.1, (2000, pairs))]
        assert np.mean([found.low > 1 for found in factors]) < 0.035


def test_a_gain_needs_the_whole_interval():
    assert Trial("", 1.5, 1.01, 2.0, 0.0).helps
    assert not Trial("", 1.5, 0.99, 2.0, 0.0).helps
    assert not Trial("", GAIN - 0.01, 1.01, 1.03, 0.0).helps
    assert not Trial("", 3.0, 2.9, 3.1, 0.5, alike=False).helps


# Results.


def between(one, other):
    found = deviation(plain_value(one), plain_value(other))
    return found.relative, found.rounding


def test_equal_results():
    x = np.array([1.0, np.nan, -np.inf])
    assert between([None, x], [None, x.copy()]) == (0.0, True)
    assert between((1, 2.5, "text"), (1, 2.5, "text")) == (0.0, True)
    assert between(snapshot((1, (2.5, x)), (x,)), snapshot((1, (2.5, x)), (x,))) == (0.0, True)
    assert between(np.array([], "f4"), np.array([], "f4")) == (0.0, True)
    assert between(0.0, -0.0) == (0.0, True)


def test_rounding_is_told_from_another_result():
    relative, rounding = between(np.array([1.0, 4.0]), np.array([1.0 + 1e-12, 4.0]))
    assert relative == pytest.approx(2.5e-13, rel=1e-3)
    assert rounding
    assert between(np.array([1.0, 4.0]), np.array([1.0, 4.1]))[1] is False
    assert between(np.array([1.0, 4.0], "f4"), np.array([1.0, 4.001], "f4"))[1] is True
    assert between(np.array([1, 4]), np.array([1, 5]))[1] is False
    assert between(1 + 1j, 1 + 1.0000000001j)[1] is True


def test_a_result_in_float32_may_round_as_one():
    one, other = ([2.5, (2.5 + 1e-5j,)], [2.5 + 1e-5, (2.5,)])
    assert between(snapshot(one, (), single=True), snapshot(other, (), single=True))[1] is True
    assert between(snapshot(one, ()), snapshot(other, ()))[1] is False


def test_denormal_numbers_that_are_flushed_are_no_other_result():
    assert between(np.array([1e-310, 0.0]), np.array([0.0, 0.0])) == (1.0, True)
    assert between(np.array([1e-39], "f4"), np.array([0.0], "f4")) == (1.0, True)
    assert between(np.array([1e-300]), np.array([0.0])) == (1.0, False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (np.array([np.inf]), np.array([-np.inf])),
        (np.array([1.0, np.inf]), np.array([1.0, -np.inf])),
        ("a", "b"),
        ([1.0], [1.0, 2.0]),
    ],
)
def test_other_forms_are_other_results(one, other):
    assert between(one, other) == (1.0, False)


def test_the_largest_difference_of_several_results_counts():
    relative, rounding = between([np.array([1.0]), 2.0], [np.array([1.0]), 3.0])
    assert relative == pytest.approx(1 / 3)
    assert not rounding
    records = np.zeros(2, [("a", "f8"), ("b", "i4")])
    changed = records.copy()
    changed["b"][1] = 1
    assert between(records, records.copy()) == (0.0, True)
    assert between(records, changed)[1] is False


def test_what_cannot_be_compared_is_said():
    assert between(object(), object())[0] is None
    assert between([1.0, object()], [1.0, object()])[0] is None


# Combined.


def test_an_option_that_is_among_the_chosen_ones_is_not_added():
    wide = Remedy("all", len, {"fastmath": {"reassoc", "contract"}})
    narrow = Remedy("one", len, {"fastmath": {"reassoc"}})
    assert _together([wide], narrow) is None
    assert _together([narrow], wide) == [narrow, wide]
    elsewhere = replace(narrow, owner=max)
    assert _together([wide], elsewhere) == [wide, elsewhere]


# Copies.


def subject_of(function):
    from jitnet.profile.functions.worker import subject

    return subject.subject_of(function)


@pytest.fixture(scope="module")
def numba_functions():
    """Functions of a module, as a user writes them: one that calls another by its name, and one through a module."""
    import numba

    module = types.ModuleType("theirs")
    module.numba = numba
    module.helpers = types.ModuleType("helpers")
    source = """
def added(x):
    s = 0.0
    for v in x:
        s += v
    return s

added = numba.njit(added)
helpers.added = added

@numba.njit
def twice(x):
    return 2 * added(x)

@numba.njit
def through_a_module(x):
    return helpers.added(x)

@numba.njit("float64(float64[:])")
def declared(x):
    return twice(x)

@numba.njit
def countdown(n):
    if n <= 0:
        return 0
    return countdown(n - 1) + 1

@numba.njit
def counts_up(n):
    for i in range(n):
        yield i

@numba.vectorize
def halved(x):
    return x / 2.0

@numba.vectorize(["float64(float64)"])
def declared_halved(x):
    return x / 2.0

@numba.guvectorize(["void(float64[:], float64[:])"], "(n)->()")
def total(x, out):
    out[0] = added(x)

@numba.guvectorize("(n)->()")
def total_later(x, out):
    out[0] = added(x)
"""
    exec(compile(source, "theirs.py", "exec"), module.__dict__)
    return module


compiled = pytest.mark.skipif("__import__('numba').config.DISABLE_JIT", reason="nothing is compiled")


@compiled
@pytest.mark.parametrize("name", ["twice", "through_a_module", "declared", "total", "total_later"])
def test_a_change_of_a_callee_makes_copies_of_its_callers(numba_functions, name):
    from jitnet.profile.functions.worker.copies import Change, changed_copy

    seen = []

    def changed(function):
        seen.append(function)
        return lambda x: -1.0

    original = getattr(numba_functions, name)
    x = np.arange(4.0)
    arguments = (x, np.zeros(())) if name == "total_later" else (x,)
    before = np.array(original(*arguments))
    copy = changed_copy(subject_of(original), {numba_functions.added.py_func: Change(function=changed)})
    assert copy is not original
    expected = -2.0 if name in ("twice", "declared") else -1.0
    assert (arguments[1] if copy(*arguments) is None else copy(*arguments)) == expected
    assert np.array_equal(original(*arguments), before), "the user's function is left as it is"
    assert seen == [numba_functions.added.py_func]


@compiled
def test_a_copy_has_the_changed_options_and_the_others(numba_functions):
    from jitnet.profile.functions.worker.copies import Change, changed_copy

    copy = changed_copy(
        subject_of(numba_functions.countdown), {numba_functions.countdown.py_func: Change({"error_model": "numpy"})}
    )
    assert copy.targetoptions == {**numba_functions.countdown.targetoptions, "error_model": "numpy"}
    assert copy.py_func.__globals__["countdown"] is copy, "a recursion calls the copy"
    assert "error_model" not in numba_functions.countdown.targetoptions


@compiled
def test_a_copy_of_a_generator_takes_all_of_its_values(numba_functions):
    from jitnet.profile.functions.worker.copies import Change, changed_copy
    from jitnet.profile.functions.worker.subject import check_arguments

    subject = subject_of(numba_functions.counts_up)
    assert check_arguments(subject, (5,)) == (5,)
    copy = changed_copy(subject, {subject.function: Change({"error_model": "numpy"})})
    assert copy is not subject.call
    assert copy(5) == 5


@compiled
@pytest.mark.parametrize("name", ["halved", "declared_halved"])
def test_a_copy_of_a_ufunc(numba_functions, name):
    from jitnet.profile.functions.worker.copies import Change, changed_copy

    subject = subject_of(getattr(numba_functions, name))
    copy = changed_copy(subject, {subject.function: Change({"fastmath": {"arcp"}})})
    assert np.array_equal(copy(np.arange(3.0)), [0, 0.5, 1])
    assert copy.targetoptions["fastmath"] == {"arcp"}


@compiled
def test_what_is_not_called_by_its_name_is_not_reached(numba_functions):
    from jitnet.profile.functions.worker.copies import Change, Unreached, changed_copy

    with pytest.raises(Unreached, match="twice"):
        changed_copy(subject_of(numba_functions.countdown), {numba_functions.twice.py_func: Change({"fastmath": True})})
