"""What is tried for the hints of real functions, what is shown of it, and the diff of the changed source."""

import json
import platform
from contextlib import contextmanager
from dataclasses import asdict, replace

import pytest
from planted_process import PLANTED, printed_by
from test_render_code import VIEW
from test_render_functions import PROFILE

from jitnet.errors import JitnetError
from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.function_profile import Check
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.profiling import _with_trials
from jitnet.profile.functions.tried import add_hint, in_order, read_fix, with_state

SUM = 'fastmath={"contract", "nsz", "reassoc"}'
NUMPY = 'error_model="numpy"'

CASES = {
    "matmul": ("f8[20,30] f8[30,10] f8[20,10]", {SUM: 0.6, "": 0.5}),
    "plain_sum": ("f8[500]", {SUM: 1.0, "": 0.9}),
    "weighted_sum": ("f8[500]", {SUM: 0.5, "": 0.4}),
    "in_memory": ("f8[20,30] f8[30,10] f8[20,10]", {"": 0.5}),
    "inner_product": ("f8[500] f8[500]", {SUM: 4.0}),
    "calls_it": ("f8[500] f8[500]", {SUM: 4.0, 'inline="always" for inner_product': 1.2}),
    "by_threads": ("f8[500] f8[500]", {"parallel=False": 3.0, "": 2.0}),
    "ratio": ("f8[500] f8[500] 3.0", {NUMPY: 2.0}),
    "remainders": ("i8[500] i8[500] 7", {}),
    "of_any_layout": ("f8[500]A f8[500]", {"x contiguous": 2.5}),
    "declared": ("f8[500]", {"x contiguous": 1.5}),
    "inverse": ("f8[500]", {}),
    "row_sum": ("f8[20,50]", {SUM: 3.0, 'fastmath={"reassoc"}': 2.95}),
    "with_noise": ("f8[500]", {SUM: 3.0}),
}
SUSPECTED = tuple(replace(hint, source="types") for hint in PROFILE.hints)
ALSO = {
    "calls_it": [("call", "return 2 * inner_product")],
    "remainders": [("division", "x[i] % n")],
    "by_threads": [("short region", "in prange"), ("uneven", "in prange")],
}
"""Hints that need the machine code or undisturbed threads: a kind, and the text of a line."""

SLOWER = ("matmul", "plain_sum", "weighted_sum", "in_memory")


@pytest.fixture(scope="module")
def tried() -> dict[str, dict]:
    """The worker process's reply for each function, the states of its hints, and the hints that follow."""
    cases = [
        {"target": f"{PLANTED / 'slower.py'}:{name}", "args": args, "factors": factors}
        | {"setup": None, "threads": None, "perf_map": False, "also": ALSO.get(name, [])}
        for name, (args, factors) in CASES.items()
    ]
    denormal = {"target": f"{PLANTED / 'faults.py'}:decays", "args": "f8[1000] 7000", "share": 0.5}
    cases.append(cases[0] | denormal | {"factors": {"denormal numbers flushed to zero": 1.5}})
    cases.append(cases[list(CASES).index("inner_product")] | {"left_s": 0.0})
    cases.append(
        cases[0]
        | {"target": f"{PLANTED / 'slower.py'}:of_arrays", "args": None, "setup": f"{PLANTED / 'slower.py'}:arrays"}
        | {"factors": {"arrays as one array": 3.0}, "also": [("reference counts", "x = arrays[")]}
    )
    found = dict(zip([*CASES, "decays", "no time", "of_arrays"], printed_by("tried.py", cases), strict=True))
    for each in found.values():
        hints = [
            Hint(one["kind"], Place(**one["place"]), one["reason"], one["advice"], one["source"], one["share"])
            for one in each["reply"]["hints"]
        ]
        for state in each["states"]:
            if "fix" in state:
                each["fix"] = read_fix(state["fix"])
            else:
                with_state(hints, state)
        each["hints"] = in_order(hints)
    return found


def test_a_list_of_equal_arrays_is_tried_as_one_array(tried):
    hint = only(tried["of_arrays"], Kind.REFERENCES)
    assert hint.trial.helps, hint
    assert hint.trial.difference == 0
    assert "np.stack(arrays)" in hint.advice
    assert tried["of_arrays"]["fix"].remarks == ("pass np.stack(arrays)",)


def only(found: dict, kind: Kind) -> Hint:
    (hint,) = [hint for hint in found["hints"] if hint.kind == kind.value]
    return hint


@pytest.mark.parametrize("name", SLOWER)
def test_a_remedy_that_does_not_help_is_not_shown(tried, name):
    hints = tried[name]["hints"]
    assert hints, "there is something to try"
    assert all(hint.trial is not None for hint in hints if hint.kind in (Kind.REDUCTION.value, Kind.ACCUMULATOR.value))
    assert not [hint for hint in hints if hint.shown]
    assert "fix" not in tried[name]


@pytest.mark.parametrize("name", ["matmul", "plain_sum", "weighted_sum"])
def test_the_tempting_hint_was_tried_and_has_its_factor(tried, name):
    hint = only(tried[name], Kind.REDUCTION)
    assert hint.trial.change == SUM
    assert hint.trial.factor == CASES[name][1][SUM]
    assert hint.trial.difference < 1e-12
    assert hint.trial.alike


def test_a_remedy_that_helps_is_shown_with_its_factor_and_difference(tried):
    hint = only(tried["inner_product"], Kind.REDUCTION)
    assert hint.shown
    assert (hint.trial.change, hint.trial.factor) == (SUM, 4.0)
    assert 0 <= hint.trial.difference < 1e-12
    assert hint.untried == ""


def test_the_remedy_of_a_callee_is_tried_in_its_caller(tried):
    hint = only(tried["calls_it"], Kind.REDUCTION)
    assert "total += x[i] * y[i]" in hint.place.source
    assert (hint.trial.change, hint.trial.factor) == (SUM, 4.0)
    assert '+@njit(fastmath={"contract", "nsz", "reassoc"})\n def inner_product' in tried["calls_it"]["fix"].diff


@pytest.mark.parametrize(
    ("name", "kind", "change", "advice"),
    [
        ("calls_it", Kind.CALL, 'inline="always" for inner_product', "inner_product with inline"),
        ("by_threads", Kind.SHORT_REGION, "parallel=False", "one thread"),
        ("by_threads", Kind.UNEVEN, "pieces of ", "numba.parallel_chunksize("),
    ],
)
def test_options_for_hints_of_the_machine_code_and_the_clock(tried, name, kind, change, advice):
    hint = only(tried[name], kind)
    assert hint.trial.change.startswith(change)
    assert hint.trial.difference == 0.0
    assert advice in hint.advice


def test_of_changes_that_are_about_as_fast_the_smaller_is_taken(tried):
    hint = only(tried["row_sum"], Kind.REDUCTION)
    assert hint.trial.change == 'fastmath={"reassoc"}'
    assert hint.trial.factor == 2.95


def test_an_option_that_helps_becomes_a_hint(tried):
    hint = only(tried["ratio"], Kind.DIVISION)
    assert hint.place.source == "y[i] = x[i] / by"
    assert hint.trial.change == NUMPY
    assert hint.trial.difference == 0.0
    assert NUMPY in hint.advice
    assert '+@njit(error_model="numpy")\n def ratio' in tried["ratio"]["fix"].diff


def test_fastmath_is_not_tried_for_a_division_of_integers(tried):
    hint = only(tried["remainders"], Kind.DIVISION)
    assert (hint.trial, hint.untried) == (None, "it has to be changed by hand")
    assert hint.shown


@pytest.mark.parametrize(("name", "advice"), [("of_any_layout", "ascontiguousarray(x)"), ("declared", "[::1]")])
def test_contiguous_arguments(tried, name, advice):
    hint = only(tried[name], Kind.LAYOUT)
    assert (hint.trial.change, hint.trial.difference) == ("x contiguous", 0.0)
    assert advice in hint.advice
    assert advice in tried[name]["fix"].remarks[0]
    assert tried[name]["fix"].diff == ""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="other flags")
def test_denormal_numbers_are_flushed(tried):
    hint = only(tried["decays"], Kind.DENORMALS)
    assert (hint.trial.change, hint.trial.factor) == ("denormal numbers flushed to zero", 1.5)
    assert hint.trial.difference is not None
    assert hint.trial.alike
    assert hint.shown
    assert tried["decays"]["reply"]["values"]


def test_a_generalised_ufunc(tried):
    (line,) = [line for line in tried["row_sum"]["fix"].diff.splitlines() if line.startswith("+@")]
    assert line == '+@guvectorize(["void(float64[:], float64[:])"], "(n)->()", fastmath={"reassoc"})'


def test_results_that_differ_from_call_to_call_are_not_compared(tried):
    hint = only(tried["with_noise"], Kind.REDUCTION)
    assert hint.trial.difference is None
    assert hint.shown


def test_where_no_time_is_left_the_hint_says_so(tried):
    hint = only(tried["no time"], Kind.REDUCTION)
    assert hint.trial is None
    assert hint.untried == "no time is left of 10 s; --time 15 tries it"
    assert hint.shown
    assert "fix" not in tried["no time"]


def test_the_diff_is_of_the_users_file_and_changes_nothing_else(tried):
    fix = tried["inner_product"]["fix"]
    removed = [line for line in fix.diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert removed == ["-@njit"]
    assert fix.diff.splitlines()[0].endswith("tests/planted/slower.py")
    assert fix.changes == (SUM,)
    assert fix.trial.factor == 4.0


# What becomes of a profile.


def test_a_profile_has_what_was_measured(monkeypatch):
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])
    stages = []
    profile = profiling.profile_function(
        f"{PLANTED / 'slower.py'}:inner_product", args="f8[2000] f8[2000]", time_s=60, progress=stages.append
    )
    hint = only({"hints": profile.hints}, Kind.REDUCTION)
    trial = hint.trial
    assert trial.change in (SUM, 'fastmath={"reassoc"}')
    assert trial.low <= trial.factor <= trial.high
    assert trial.difference < 1e-12
    assert hint.shown == trial.helps
    assert all(each.share is not None for each in profile.hints if each.trial is not None), "also found by a rewrite"
    # How fast this machine is does not matter here: what is printed follows from what was measured.
    assert (profile.fix is not None) == any(each.trial is not None and each.trial.helps for each in profile.hints)
    assert any(stage.startswith("trying fastmath") for stage in stages)
    document = json.loads(json.dumps(asdict(profile)))
    assert document["hints"][0]["trial"]["factor"] == profile.hints[0].trial.factor


def test_a_copy_that_crashes_leaves_what_was_measured_before():
    def order(wanted):
        assert wanted["combined"] is False
        assert [each["place"]["line"] for each in wanted["hints"]] == [14, 12, 20]
        yield {"tried": {"number": 1, "trial": state(2.0), "untried": "", "advice": "Do it."}}
        raise JitnetError("theirs.py:smooth: the process that ran it was killed by SIGSEGV while trying x contiguous")

    profile = _with_trials(replace(PROFILE, hints=SUSPECTED), order, 0.0)
    helped, *others = sorted(profile.hints, key=lambda hint: -(hint.trial is not None))
    assert (helped.place.line, helped.advice, helped.trial.factor) == (12, "Do it.", 2.0)
    assert {hint.untried for hint in others} == {
        "the process that ran it was killed by SIGSEGV while trying x contiguous"
    }


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"checks": (Check("1 and 2 threads", "failed"),)}, "its results are not right: 1 and 2 threads"),
        (
            {"hints": (Hint(Kind.RACE.value, Place("a.py", 1), "", "", "a run in Python"), *SUSPECTED)},
            "its results are not right while threads write one element",
        ),
    ],
)
def test_where_results_are_wrong_nothing_is_tried(changed, reason):
    def order(wanted):
        raise AssertionError("it is not tried")

    profile = _with_trials(replace(PROFILE, **{"hints": SUSPECTED, **changed}), order, 0.0)
    assert profile.fix is None
    assert {hint.untried for hint in profile.hints if hint.kind != Kind.RACE.value} == {reason}
    assert {hint.untried for hint in profile.hints if hint.kind == Kind.RACE.value} == {""}


def test_a_hint_of_the_machine_code_keeps_what_was_tried_for_its_line():
    found = [hint(Kind.DIVISION, 1, 2.0), hint(Kind.DIVISION, 2, 0.5)]
    for line in (1, 2, 3):
        add_hint(found, replace(hint(Kind.DIVISION, line), reason="it is the bottleneck", advice="Divide less often."))
    assert [(each.place.line, each.trial and each.trial.factor) for each in found] == [(1, 2.0), (2, 0.5), (3, None)]
    assert {each.reason for each in found} == {"it is the bottleneck"}
    assert found[0].advice == RULES[Kind.DIVISION].advice, "what helped"
    assert found[1].advice == "Divide less often."


def test_a_kind_that_was_found_by_trying_is_not_said_to_be_unsearched(monkeypatch):
    found = {"kind": "division", "place": asdict(Place("a.py", 3)), "reason": "", "advice": "", "source": "types"}

    def order(wanted):
        if not wanted["combined"]:
            yield {
                "tried": {
                    "number": None,
                    "hint": {**found, "share": 0.5},
                    "trial": state(2.0),
                    "untried": "",
                    "advice": "",
                }
            }

    @contextmanager
    def asked(*request):
        yield {"spent_s": 1.0, "compile_s": 0.1, "pickled": ""}, order

    monkeypatch.setattr(profiling, "asked", asked)
    monkeypatch.setattr(profiling, "read_profile", lambda *reply: PROFILE)
    monkeypatch.setattr(profiling, "_look", lambda *reply: (replace(VIEW, foreign=True), ""))
    profile = profiling.profile_function("json:loads", cpu="znver3")
    assert "division" in {hint.kind for hint in profile.hints}
    assert [kind for kind, _ in profile.unsearched] == ["call"]


# Order and filter.


def state(factor: float) -> dict:
    return {"change": "", "factor": factor, "low": factor, "high": factor, "difference": 0.0, "alike": True}


def hint(kind: Kind, line: int, factor: float | None = None, share: float | None = None) -> Hint:
    hints = [Hint(kind.value, Place("a.py", line), "", RULES[kind].advice, "types", share)]
    trial = None if factor is None else state(factor)
    with_state(hints, {"number": 0, "trial": trial, "untried": "", "advice": ""})
    return hints[0]


def test_wrong_results_come_first_then_what_helps_most():
    hints = [
        hint(Kind.CALL, 1),
        hint(Kind.REDUCTION, 2, 0.5),
        hint(Kind.WRAPAROUND, 3, 1.5),
        hint(Kind.LAYOUT, 4, 3.0),
        hint(Kind.RACE, 5),
        hint(Kind.CALL, 6, share=0.001),
        hint(Kind.UNEVEN, 7, share=0.5),
    ]
    ordered = in_order(hints)
    assert [each.place.line for each in ordered] == [5, 4, 3, 7, 1, 6, 2]
    assert [each.place.line for each in ordered if each.shown] == [5, 4, 3, 7, 1]


def test_hints_that_were_found_by_trying_follow_the_others():
    hints = [hint(Kind.CALL, 1)]

    def found(kind: Kind, line: int, factor: float | None) -> dict:
        place = {"file": "a.py", "line": line, "source": ""}
        new = {"kind": kind.value, "place": place, "reason": "", "advice": "", "source": "source", "share": None}
        trial = None if factor is None else state(factor)
        return {"number": None, "hint": new, "trial": trial, "untried": "" if trial else "no time", "advice": ""}

    with_state(hints, found(Kind.POWER, 3, None))
    with_state(hints, {"number": None, "trial": None, "untried": "no time", "advice": ""})
    with_state(hints, found(Kind.LAYOUT, 2, 2.0))
    with_state(hints, found(Kind.POWER, 3, 5.0))
    assert [(each.place.line, each.trial and each.trial.factor) for each in hints] == [(1, None), (3, 5.0), (2, 2.0)]
    assert hints[1].advice == RULES[Kind.POWER].advice
    assert hints[1].untried == ""


def test_a_library_call_that_a_change_removes_is_no_second_hint():
    power, call, other = hint(Kind.POWER, 1, 40.0), hint(Kind.CALL, 1), hint(Kind.CALL, 2)
    assert in_order([power, call, other]) == (power, other)
    slower = hint(Kind.POWER, 1, 0.9)
    assert call in in_order([slower, call])
