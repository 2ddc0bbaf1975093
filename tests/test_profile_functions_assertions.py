"""What tests may assert of a function's loops: what holds passes, and what does not names loop, line and reason."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numba
import pytest
from fake_function_profile import FILE, INNER, LAST, OUTER, PROFILE, body, hint, loop, taking, view

from jitnet.bench.factors import of_pairs
from jitnet.errors import OutputError, UsageError
from jitnet.profile.functions.assertions import ProfiledCall
from jitnet.profile.functions.function_profile import Check, as_document
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.places import Place


def call(*loops, **fields) -> ProfiledCall:
    """A call of a function with these loops."""
    return ProfiledCall(replace(PROFILE, lines=view(*loops), **fields), lambda other: pytest.fail("measured"))


def test_results_that_are_right():
    held, skipped = Check("two equal calls", "held"), Check("bounds", "not done", "this system cannot fork a process")
    call(LAST, checks=(held, skipped)).is_right()
    with pytest.raises(AssertionError, match="could not be checked: this system cannot fork a process"):
        call(LAST, checks=(skipped,)).is_right()
    with pytest.raises(AssertionError, match="could not be checked: no reason is known"):
        call(LAST, checks=()).is_right()


def test_results_that_are_wrong_are_named_with_their_line():
    race = Check("races", "failed", "two threads write one element", Place(FILE, 15, ""))
    wrong = call(LAST, checks=(Check("bounds", "held"), race, Check("two equal calls", "failed", "out differs")))
    with pytest.raises(AssertionError) as caught:
        wrong.is_right()
    assert str(caught.value).splitlines() == [
        "smooth: its results are wrong",
        "  theirs.py:15  out[i, 0] = 0: races",
        "    two threads write one element",
        "  two equal calls",
        "    out differs",
    ]


def test_loops_that_are_vectorised():
    call(OUTER, INNER, LAST).stays_vectorised()
    call(OUTER, INNER, LAST).stays_vectorised(line=12)
    unrolled = replace(INNER, bodies=(), unrolled=0, vectorised=False)
    call(replace(OUTER, vectorised=True), unrolled, LAST).stays_vectorised()


def test_a_loop_that_is_not_is_named_with_its_line_and_the_reason():
    scalar = replace(LAST, vectorised=False, reason="the sum is added in order")
    with pytest.raises(AssertionError) as caught:
        call(OUTER, INNER, scalar).stays_vectorised()
    assert str(caught.value).splitlines() == [
        "smooth: a loop is not vectorised",
        "  theirs.py:14  for i in range(x.shape[0]):",
        "    the sum is added in order",
    ]
    call(OUTER, INNER, scalar).stays_vectorised(line=13)
    call(OUTER, INNER, scalar).stays_vectorised(line="for j in")
    for line in (14, 15, "out[i, 0]"):
        with pytest.raises(AssertionError, match=r"theirs\.py:14"):
            call(OUTER, INNER, scalar).stays_vectorised(line=line)


def test_a_loop_around_an_unrolled_one_is_the_innermost():
    unrolled = replace(INNER, bodies=(), unrolled=0)
    with pytest.raises(AssertionError, match=r"(?s)a loop is not.*theirs\.py:11.*LLVM gave no reason"):
        call(OUTER, unrolled, LAST).stays_vectorised()


def test_vectors_around_calls_of_single_numbers_are_none():
    with pytest.raises(AssertionError, match="it calls exp"):
        call(replace(LAST, bodies=(body("exp"),))).stays_vectorised()
    call(replace(LAST, bodies=(body("__svml_exp4_ha"),))).stays_vectorised()
    with pytest.raises(AssertionError, match="it calls a function of one number: exp"):
        call(replace(LAST, bodies=(body("exp"),), reason="it calls a function of one number")).stays_vectorised()


def test_of_a_parallel_loop_the_copy_of_the_threads_counts():
    serial = replace(LAST, parallel="serial", vectorised=False)
    call(serial, replace(LAST, parallel="body")).stays_vectorised()
    with pytest.raises(AssertionError, match=r"theirs\.py:14"):
        call(serial).stays_vectorised()


def test_a_line_without_a_loop_and_a_function_without_one():
    with pytest.raises(AssertionError, match=r"no loop in line 40; its loops are: theirs\.py:11  for i in range"):
        call(OUTER, INNER, LAST).stays_vectorised(line=40)
    with pytest.raises(AssertionError, match="no loop at 'while True'"):
        call(OUTER, INNER, LAST).allocates_nothing(line="while True")
    with pytest.raises(AssertionError, match="no loop is left in its machine code"):
        call().stays_vectorised()


def test_machine_code_that_could_not_be_read_is_no_success():
    for check in (ProfiledCall.stays_vectorised, ProfiledCall.allocates_nothing):
        with pytest.raises(AssertionError, match="could not be read: it takes 44 s to compile"):
            check(ProfiledCall(replace(PROFILE, lines=None, unsearched=(("call", "it takes 44 s to compile"),)), None))


def test_allocations():
    call(OUTER, INNER, LAST).allocates_nothing()
    call(OUTER, replace(INNER, bodies=(body("exp"),)), LAST).allocates_nothing()
    found = call(OUTER, INNER, LAST, hints=(hint(Kind.ALLOCATION, 15, "zeros(…) allocates an array"),))
    with pytest.raises(AssertionError) as caught:
        found.allocates_nothing()
    assert str(caught.value).splitlines() == [
        "smooth: a loop allocates memory",
        "  theirs.py:15  out[i, 0] = 0",
        "    zeros(…) allocates an array",
    ]
    found.allocates_nothing(line=11)
    with pytest.raises(AssertionError, match=r"theirs\.py:15"):
        found.allocates_nothing(line=14)


def test_an_allocation_that_is_kept_is_one_too():
    found = call(OUTER, INNER, LAST, kept=(hint(Kind.ALLOCATION, 15, "zeros(…) allocates an array"),))
    with pytest.raises(AssertionError, match=r"theirs\.py:15"):
        found.allocates_nothing()


@pytest.mark.parametrize("name", ["NRT_MemInfo_alloc_aligned", "NRT_Allocate", "numba_list_append"])
def test_allocations_in_machine_code(name):
    with pytest.raises(AssertionError, match=r"theirs\.py:13  out\[i, j\]"):
        call(OUTER, replace(INNER, bodies=(body(name),))).allocates_nothing()
    in_numba = body(name, file=numba.__file__)
    with pytest.raises(AssertionError, match=r"theirs\.py:12  for j in"):
        call(OUTER, replace(INNER, bodies=(in_numba,))).allocates_nothing()


def compared(ours: float, theirs: float = 1.0):
    """A comparison of a function with another, by the share of time that each takes."""
    base = PROFILE.counts[0].samples_s
    before, after = tuple(theirs * s for s in base), tuple(ours * s for s in base)
    pair = SimpleNamespace(before_s=before, after_s=after, factor=of_pairs(before, after))
    return SimpleNamespace(before=SimpleNamespace(label="faster"), pairs=[pair])


def test_not_slower_than_another_function():
    def check(ours, **options):
        ProfiledCall(PROFILE, lambda other: compared(ours)).not_slower_than(len, **options)

    check(0.5)
    check(1.15)
    check(1.9, by=1.0)
    with pytest.raises(AssertionError) as caught:
        check(1.5)
    assert str(caught.value) == (
        "smooth: 1.55 µs a call, 1.50 × the 1.04 µs of faster (between 1.50 and 1.50); at most 1.20 × is allowed"
    )
    for by in (-1, 20, float("nan")):
        with pytest.raises(UsageError, match=rf"by={by}: expected a share from 0 to 1; by=0\.2 is 20%"):
            check(1.0, by=by)


def test_each_function_is_taken_at_its_fastest_count_of_threads():
    found = compared(3.0)
    found.pairs.append(compared(1.0, theirs=2.0).pairs[0])
    ProfiledCall(PROFILE, lambda other: found).not_slower_than(len, by=0.1)


@pytest.fixture
def baseline(tmp_path):
    path = tmp_path / "smooth.json"
    ProfiledCall(PROFILE, lambda other: pytest.fail("measured"), save=True).not_slower_than(path)
    return path


def test_a_baseline_is_what_json_prints(baseline):
    assert json.loads(baseline.read_text()) == json.loads(json.dumps(as_document(PROFILE)))


def test_not_slower_than_a_baseline(baseline):
    def check(profile, **options):
        ProfiledCall(profile, lambda other: pytest.fail("measured")).not_slower_than(baseline, **options)

    check(PROFILE)
    check(taking(0.5))
    check(taking(1.9), by=1)
    with pytest.raises(AssertionError, match=r"smooth: 2.07 µs a call, 2.00 × the 1.04 µs of .*smooth.json"):
        check(taking(2))


def test_a_baseline_of_something_else_is_refused(baseline, tmp_path):
    def check(path=baseline, profile=PROFILE):
        ProfiledCall(profile, lambda other: pytest.fail("measured")).not_slower_than(str(path))

    with pytest.raises(UsageError, match=r"no such baseline; write it with pytest --jitprofile-save"):
        check(tmp_path / "nothing.json")
    wider = replace(PROFILE.arguments[0], type="float64[99, 99] C")
    with pytest.raises(
        UsageError, match=r"other arguments, float64\[9, 9\] C, float64\[9, 9\] C; here they are float64\[99"
    ):
        check(profile=replace(PROFILE, arguments=(wider, PROFILE.arguments[1])))
    document = json.loads(baseline.read_text())
    document["machine"]["cpu"] = "Another CPU"
    baseline.write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"smooth.json: was measured on another machine, Another CPU, and this is .+"):
        check()
    baseline.write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        check()


def test_a_baseline_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"smooth\.json: cannot be written"):
        ProfiledCall(PROFILE, None, save=True).not_slower_than(tmp_path / "file" / "smooth.json")


def test_numbas_loops_are_not_the_users():
    theirs = loop(14, 15, vectorised=False)
    numbas = replace(theirs, file=numba.__file__)
    call(INNER, numbas).stays_vectorised()
    assert theirs.file == FILE
