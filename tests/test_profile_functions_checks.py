"""Wrong results are named with their line and without false alarms, also where the function crashes."""

import os
import time

import numpy as np
import pytest
from planted_process import PLANTED, printed_by

from jitnet.compiler.environment import CORES
from jitnet.errors import JitnetError
from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.profiling import profile_function
from jitnet.profile.functions.worker.child import NO_TIME, NOT_PREPARED, Child
from jitnet.profile.functions.worker.differences import EXACT, Allowance, differences
from jitnet.profile.functions.worker.outcomes import plain_value, share_memory

# What each wrong function is called with, and the check that names its marked line.
WRONG = {
    "long_body": ("f8[100] f8[4]", "races"),
    "counter_as_index": ("f8[100] f8[100]", "races"),
    "best_of": ("f8[100]", "races"),
    "best_in_rows": ("f8[20,5]", "races"),
    "last_of": ("f8[100]", "races"),
    "running_sum": ("f8[100] f8[100]", "races"),
    "shared_list": ("f8[100]", "races"),
    "shared_typed_list": (":typed_list", "races"),
    "record_field": (":records", "races"),
    "reads_the_next": ("f8[100]", "races"),
    "array_from_arithmetic": ("f8[100]", "races"),
    "one_too_far": ("f8[100] f8[100]", "bounds"),
    "one_too_far_in_threads": ("f8[100] f8[100]", "bounds"),
    "too_far_in_a_callee": ("f8[100] f8[100]", "bounds"),
    "one_too_far_by_rows": ("f8[20,50]", "bounds"),
    "longer_than_the_other": ("f8[40] f8[30] f8[40]", "bounds"),
    "looked_up": (":keys", "bounds"),
    "hoisted": ("f8[10]", "without threads"),
    "mean_without_nan": ("f8[100]", "without fastmath"),
    "last_is_unwritten": ("f8[100]", "memory that was never written"),
}
ONE_THREAD_SHOWS = {"bounds", "without fastmath", "memory that was never written"}
"""Checks that need no second thread."""

RIGHT = {
    "sums": "f8[1000]",
    "array_reduction": "f8[100,5]",
    "histogram_by_thread": "f8[100] 10",
    "histogram_by_block": "f8[100] 4 10",
    "scatter": ":permutation",
    "pairs_of_rows": ":disjoint_pairs",
    "triangle": "f8[20] f8[20,20]",
    "both_triangles": "f8[20] f8[20,20]",
    "two_levels": "f8[9,9] f8[9,9]",
    "seeded": "20",
    "scratch": "f8[9,9] f8[9,9]",
    "even_and_odd": "f8[50]",
    "stencil_of_two_arrays": "f8[50] f8[50]",
    "flag": "f8[100] i8[1]",
    "nearest": "f8[50] f8[50]",
    "flat": "f8[9,9] f8[81]",
    "by_offsets": ":offsets",
    "through_a_call": "f8[9] f8[9,5]",
    "fields": ":records",
    "rows_in_a_list": "f8[10]",
    "parallel_in_name_only": "f8[10]",
    "over_a_typed_list": ":typed_list",
}
OTHERS = {
    "made-up indices": ("right.py", "scatter", "f8[300] i8[300] f8[300]"),
    "made-up overrun": ("wrong.py", "neighbour_of_index", "f8[9] i8[40] f8[40]"),
    "random numbers": ("wrong.py", "noise", "f8[20]"),
    "a growing list": ("wrong.py", "grown_list", "f8[100]"),
    "too large": ("wrong.py", "far_away", "f8[100]"),
    "a compiled class": ("wrong.py", "adds_to_a_box", ":box"),
    "a ufunc": ("right.py", "total_of_rows", "f8[9,5]"),
}


def case(file: str, name: str, args: str) -> dict:
    made = args.startswith(":")
    words = {"args": None if made else args, "setup": f"{PLANTED / file}{args}" if made else None}
    common = {"threads": None, "perf_map": False, "only before": name in ("grown_list", "far_away")}
    return {"target": f"{PLANTED / file}:{name}", **words, **common}


@pytest.fixture(scope="module")
def replies() -> dict[str, dict]:
    """What was found in each planted function, all in one process."""
    cases = [case("wrong.py", name, args) for name, (args, _) in WRONG.items()]
    cases += [case("right.py", name, args) for name, args in RIGHT.items()]
    cases += [case(*each) for each in OTHERS.values()]
    return dict(zip([*WRONG, *RIGHT, *OTHERS], printed_by("checked.py", cases, timeout_s=900), strict=True))


def verdicts(reply: dict) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in reply["checks"]}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line(replies, name):
    _, check = WRONG[name]
    if check not in ONE_THREAD_SHOWS and len(CORES or os.sched_getaffinity(0)) < 2 and check != "races":
        pytest.skip("one thread alone does not differ from itself")
    failed = {each["name"]: each for each in replies[name]["checks"] if each["verdict"] == "failed"}
    assert check in failed, replies[name]["checks"]
    assert failed[check]["place"]["source"].endswith("# here")
    assert failed[check]["reason"]
    assert not replies[name]["notes"] or "could not be checked" not in " ".join(replies[name]["notes"])


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_raises_no_alarm(replies, name):
    found = verdicts(replies[name])
    assert set(found.values()) == {"held"}, replies[name]["checks"]
    assert replies[name]["races"] == []
    assert {"bounds", "two equal calls", "without the compiler"} <= set(found)
    assert ("races" in found) is (name not in ("parallel_in_name_only", "over_a_typed_list"))


def test_an_index_is_named_with_its_array_and_extent(replies):
    check = next(each for each in replies["too_far_in_a_callee"]["checks"] if each["name"] == "bounds")
    assert check["reason"] == "index 100 is outside x, which has 100 elements"


def test_nothing_else_is_compared_where_an_index_is_out_of_bounds(replies):
    assert verdicts(replies["one_too_far"]) == {"bounds": "failed", "two equal calls": "not done"}


def test_indices_that_args_made_up_are_no_race(replies):
    reply = replies["made-up indices"]
    assert reply["races"] == []
    assert "failed" not in verdicts(reply).values()
    check = next(each for each in reply["checks"] if each["name"] == "races")
    assert check["verdict"] == "not done"
    assert "only with the indices that --args made up" in check["reason"]
    assert check["place"]["source"] == "out[where[i]] = x[i]"


def test_an_index_out_of_bounds_by_made_up_numbers_is_no_fault(replies):
    check = next(each for each in replies["made-up overrun"]["checks"] if each["name"] == "bounds")
    assert check["verdict"] == "not done"
    assert "index 9 is outside x" in check["reason"]
    assert "by the numbers that --args made up" in check["reason"]


def test_random_numbers_are_named_and_not_taken_for_a_race(replies):
    reply = replies["random numbers"]
    check = next(each for each in reply["checks"] if each["name"] == "two equal calls")
    assert check["verdict"] == "not done"
    assert "draws random numbers with np.random.normal" in check["reason"]
    assert check["place"]["source"].endswith("# here")
    assert "failed" not in verdicts(reply).values()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a growing list", "iterations change found as a whole"), ("too large", "index 100000000 is outside x")],
)
def test_what_may_crash_is_known_before_the_first_call(replies, name, expected):
    assert expected in replies[name]["danger"]


def test_a_compiled_class_is_not_copied(replies):
    check = next(each for each in replies["a compiled class"]["checks"] if each["name"] == "two equal calls")
    assert check["verdict"] == "not done"
    assert "box is a Box" in check["reason"]


def test_a_ufunc_is_checked_before_its_first_call(replies):
    assert verdicts(replies["a ufunc"]) == {"bounds": "held", "two equal calls": "held"}


def test_a_crash_says_which_index_was_out_of_bounds(monkeypatch):
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])
    wrong = PLANTED / "wrong.py"
    line = next(at for at, text in enumerate(wrong.read_text().splitlines(), 1) if "x[100_000_000]" in text)
    with pytest.raises(JitnetError) as caught:
        profile_function(f"{wrong}:far_away", args="f8[100]")
    assert "killed by SIGSEGV" in str(caught.value)
    assert f"index 100000000 is outside x, which has 100 elements ({wrong}:{line})" in str(caught.value)


# A forked process.


def test_a_forked_process_returns_a_value_and_changes_nothing():
    found = np.zeros(3)

    def work():
        found[:] = 1.0
        print("not to be seen")
        return found.sum()

    assert Child(work, 20.0).wait() == (3.0, "")
    assert not found.any()


def test_what_a_forked_process_prepares_has_its_own_time():
    def prepares():
        time.sleep(0.5)
        return 2

    assert Child(lambda made: made + 1, 0.1, prepare=prepares, preparing_s=20.0).wait() == (3, "")
    assert Child(lambda made: made, 20.0, prepare=prepares, preparing_s=0.1).wait() == (None, NOT_PREPARED)
    assert Child(lambda made: time.sleep(9), 0.1, prepare=prepares, preparing_s=20.0).wait() == (None, NO_TIME)


def test_a_forked_process_that_is_waited_for_late_ends_all_the_same():
    def loops():
        while True:
            pass

    child = Child(loops, 0.05)
    time.sleep(1.0)
    assert child.wait() == (None, NO_TIME)


def test_a_forked_process_may_raise_crash_and_never_end():
    def fails():
        raise ValueError("of the user")

    def loops():
        while True:
            pass

    assert Child(fails, 20.0).wait() == (None, "it raises ValueError: of the user")
    assert Child(os.abort, 20.0).wait() == (None, "it was killed by SIGABRT")
    assert Child(loops, 0.2).wait() == (None, NO_TIME)


# Outcomes.

SUMS = Allowance(1_000_000, 1.0, False)


@pytest.mark.parametrize(
    ("one", "other", "allowance", "expected"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), EXACT, []),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), SUMS, [False]),
        (1.0, 1.0 + 1e-13, SUMS, [True]),
        (1.0, 1.0 + 1e-13, EXACT, [False]),
        (1e-14, -1e-14, SUMS, [True]),
        (1.0, 1.01, SUMS, [False]),
        (np.float32(1.0), np.float32(1.001), SUMS, [True]),
        (np.array([1, 2]), np.array([1, 3]), SUMS, [False]),
        (np.ones(3), np.ones(4), SUMS, [False]),
        ((1, "a", None), (1, "a", None), EXACT, []),
        ((1, "a"), (1, "b"), EXACT, [False]),
        ([1, 2], [1, 2, 3], EXACT, [False, False]),
        ({"a": np.ones(2)}, {"a": np.zeros(2)}, EXACT, [False]),
        (np.array(["a"])[0], "a", EXACT, []),
        (np.array(["a"])[0], "b", EXACT, [False]),
        (np.array([b"a"])[0], b"a", EXACT, []),
        ({np.int64(1): 2.0}, {1: 2.0}, EXACT, []),
        ({(np.int64(1), np.str_("a")): 2.0}, {(1, "a"): 2.0}, EXACT, []),
    ],
)
def test_outcomes_differ_where_another_order_does_not_explain_it(one, other, allowance, expected):
    found = differences({"the result": plain_value(one)}, {"the result": plain_value(other)}, allowance)
    assert [each.allowed for each in found] == expected


def test_a_difference_names_the_element_and_how_far_it_is():
    (found,) = differences(
        {"out": np.array([1.0, 2.0, 4.0])}, {"out": np.array([1.0, 3.0, 4.0])}, EXACT, ("here", "there")
    )
    assert found.text == "out[1] is 2 here, 3 there, 25% apart"
    assert found.relative == 0.25


def test_rows_of_one_array_share_memory():
    row = np.zeros(3)
    assert share_memory({"the result": [row, row[:2]]})
    assert not share_memory({"the result": [row, row.copy()]})
