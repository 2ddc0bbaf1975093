"""Every kind of hint is found where it was planted, and clean functions get none."""

from dataclasses import replace

import fake_function_profile as fake
import pytest
from planted_process import PLANTED, printed_by

from jitnet.profile.code.code_view import Instruction, Mca, Target
from jitnet.profile.code.look import look
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.machine_hints import calls_and_divisions, confirmed
from jitnet.profile.functions.places import Place

# What each planted fault is called with, and the kind of hint that names its marked line.
FAULTS = {
    "promotes": ("f4[1000] f4[1000]", Kind.PROMOTION),
    "promotes_in_a_sum": ("f4[1000]", Kind.PROMOTION),
    "promotes_by_element": ("f4[1000]", Kind.PROMOTION),
    "strided": ("f8[1000]A", Kind.LAYOUT),
    "wraps": ("f8[1000] f8[1000] 0", Kind.WRAPAROUND),
    "sums_in_order": ("f8[1000] f8[1000]", Kind.REDUCTION),
    "allocates": ("f8[100,10]", Kind.ALLOCATION),
    "allocates_by_row": ("f8[100,10]", Kind.ALLOCATION),
    "races": ("f8[1000] f8[4]", Kind.RACE),
    "races_on_one": ("f8[1000] f8[4]", Kind.RACE),
    "races_through_indices": (":repeated", Kind.RACE),
    "reads_its_neighbour": ("f8[1000]", Kind.RACE),
    "uneven": ("f8[64] 500", Kind.UNEVEN),
    "short": ("f8[64]", Kind.SHORT_REGION),
    "short_by_element": ("f8[100] f8[100]", Kind.SHORT_REGION),
    "decays": ("f8[1000] 7000", Kind.DENORMALS),
    "compiles_again": ("1000", Kind.COMPILED_AGAIN),
    "interprets": ("i8[100]", Kind.OBJECT_MODE),
    "asks_the_interpreter": ("f8[10]", Kind.OBJECT_MODE),
}
ONLY = {"races", "races_on_one", "races_through_indices", "reads_its_neighbour", "decays", "sums_in_order", "strided"}
"""Faults with no other hints."""

CLEAN = {
    "saxpy": "f4(2.5) f4[1000] f4[1000]",
    "dot": "f4[1000] f4[1000]",
    "stencil": "f4[1000] f4[1000]",
    "matmul": "f4[60,60] f4[60,60] f4[60,60] 16",
    "row_sums": "f4[3000,1000] f4[3000]",
    "total": "f8[3000000]",
    "permutes": ":permutation",
    "fills": ":unwritten",
    "by_blocks": "f8[3000000] f8[3000000] 1000",
    "adds": "f4[1000] f4[1000]",
    "doubles": "f4[100,1000]",
    "sums_up": "f8[100,1000]",
    "through_a_helper": "f4[1000] f4[1000]",
    "fills_a_list": "f4[1000]",
    "keeps_rows": "100",
    "keeps_in_a_list": "100",
    "keeps_results": "100",
    "quotient": "f8[100] f8[100]",
}
OTHERS = {"forgets_results": "100", "tests_for_zero": "f8[100] f8[100] f8[100]"}
TYPED = "_ZN5numba5typed"
"""How the symbols of Numba's functions for typed containers begin."""

NEEDS_TIME = {Kind.UNEVEN.value, Kind.SHORT_REGION.value}
"""Kinds that a busy machine can cause in anything that runs on threads."""


def case(name: str, file: str, args: str) -> dict:
    """A request. args: as of `--args`, or `:` and the function of the file that makes the arguments."""
    made = args.startswith(":")
    words = {"args": None if made else args, "setup": f"{PLANTED / file}{args}" if made else None}
    return {"target": f"{PLANTED / file}:{name}", **words, "threads": None, "perf_map": False}


def measured(cases: list[dict]) -> list[dict]:
    """The worker process's reply to each request."""
    return printed_by("measured.py", cases)


@pytest.fixture(scope="module")
def replies() -> dict[str, dict]:
    """The worker process's reply for each planted function."""
    cases = [case(name, "faults.py", args) for name, (args, _) in FAULTS.items()]
    cases += [case(name, "clean.py", args) for name, args in CLEAN.items()]
    cases += [case(name, "faults.py", args) for name, args in OTHERS.items()]
    return dict(zip([*FAULTS, *CLEAN, *OTHERS], measured(cases), strict=True))


def marked(name: str) -> list[int]:
    """Lines of the planted function that end in `# here`; where it has none, of the one that it calls."""
    lines = (PLANTED / "faults.py").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"def {name}("))
    last = next(
        (number for number in range(first + 1, len(lines)) if lines[number].startswith(("def ", "@"))), len(lines)
    )
    found = [number + 1 for number in range(first, last) if lines[number].endswith("# here")]
    return found or [number + 1 for number, line in enumerate(lines) if line.startswith("def square(")]


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_with_its_line(replies, name):
    args, kind = FAULTS[name]
    for _ in range(5):
        hints = [hint for hint in replies[name]["hints"] if hint["kind"] == kind.value]
        if hints or kind.value not in NEEDS_TIME:
            break
        # Another process on one of the cores can hide what the threads' clocks would show.
        replies[name] = measured([case(name, "faults.py", args)])[0]
    assert [(hint["place"]["file"], hint["place"]["line"]) for hint in hints] == [
        (str(PLANTED / "faults.py"), line) for line in marked(name)
    ]
    assert all(hint["place"]["source"].endswith("# here") for hint in hints)
    assert all(hint["reason"] for hint in hints)


@pytest.mark.parametrize("name", sorted(ONLY))
def test_nothing_else_is_found(replies, name):
    kinds = {hint["kind"] for hint in replies[name]["hints"]} - NEEDS_TIME
    assert kinds == {FAULTS[name][1].value}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_function_gets_no_hint(replies, name):
    assert [hint for hint in replies[name]["hints"] if hint["kind"] not in NEEDS_TIME] == []


def test_an_array_that_the_caller_forgets_could_be_allocated_once(replies):
    (hint,) = replies["forgets_results"]["hints"]
    assert (hint["kind"], hint["place"]["source"]) == (Kind.ALLOCATION.value, "line = np.zeros(3)")


@pytest.mark.parametrize("name", ["keeps_rows", "keeps_in_a_list", "keeps_results"])
def test_an_allocation_that_is_kept_is_known_all_the_same(replies, name):
    assert {each["kind"] for each in replies[name]["kept"]} == {Kind.ALLOCATION.value}


def test_only_numbers_are_tested_for_0_before_a_division(replies):
    assert [each["checks"] for each in replies["quotient"]["divisions"]] == [False]
    assert [each["checks"] for each in replies["tests_for_zero"]["divisions"]] == [True]


# Hints from the machine code, of faults and of clean functions: for each, the types that it is compiled for.
COMPILED = {
    "calls_exp": (["float64[::1]"] * 2, Kind.CALL),
    "sleeps": (["float64[::1]", "int64"], Kind.CALL),
    "divides": (["float64[::1]"] * 3, Kind.DIVISION),
    "roots": (["float64[::1]"] * 2, Kind.DIVISION),
    "remainders": (["int64[::1]", "int64[::1]", "int64"], Kind.DIVISION),
    "wraps": (["float64[::1]", "float64[::1]", "int64"], Kind.WRAPAROUND),
    "sums_in_order": (["float64[::1]"] * 2, Kind.REDUCTION),
    "promotes": (["float32[::1]"] * 2, Kind.PROMOTION),
    "saxpy": (["float32", "float32[::1]", "float32[::1]"], None),
    "dot": (["float32[::1]"] * 2, None),
}


@pytest.fixture(scope="module")
def views() -> dict:
    """How each was compiled."""
    targets = [
        Target(name, str(PLANTED / ("faults.py" if kind else "clean.py")), tuple(types))
        for name, (types, kind) in COMPILED.items()
    ]
    return dict(zip(COMPILED, look(targets, analysed=False), strict=True))


def at(name: str) -> dict:
    """The marked place of a planted fault."""
    return {"file": str(PLANTED / "faults.py"), "line": marked(name)[0]}


def from_types(name: str) -> list[Hint]:
    """Hints of the kinds that are checked against the machine code, as from the types, at the marked line."""
    kind = COMPILED[name][1]
    if kind not in (Kind.WRAPAROUND, Kind.REDUCTION, Kind.PROMOTION):
        return []
    return [Hint(kind.value, Place(str(PLANTED / "faults.py"), line), "", "", "types") for line in marked(name)]


@pytest.mark.parametrize("name", COMPILED)
def test_hints_from_the_machine_code(views, name):
    kind = COMPILED[name][1]
    known = {"divisions": [], "pointers": [at("sleeps") | {"name": "usleep"}]}
    found = confirmed(from_types(name), views[name]) + calls_and_divisions(views[name], known, 1.0)
    lines = marked(name) if kind else []
    assert [(hint.kind, hint.place.file, hint.place.line) for hint in found] == [
        (kind.value, str(PLANTED / "faults.py"), line) for line in lines
    ]


def test_a_call_is_named_and_has_the_time_in_which_nothing_is_computed(views):
    known = {"divisions": [], "pointers": [at("sleeps") | {"name": "usleep"}]}
    (sleeping,) = calls_and_divisions(views["sleeps"], known, 0.1)
    assert sleeping.reason.startswith("usleep is called")
    assert sleeping.share == pytest.approx(0.9)
    (counting,) = calls_and_divisions(views["calls_exp"], {"divisions": [], "pointers": []}, 1.0)
    assert counting.reason.startswith("exp is called")
    assert counting.share is None


@pytest.mark.parametrize(
    ("callee", "line", "name", "helps"),
    [
        (
            f"{TYPED}10listobject12impl_setitem12_3clocals_3e",
            13,
            "setting an element of the typed list sums",
            "array",
        ),
        ("*40(%rsp)", 13, "setting an element of the typed list sums", "array"),
        ("numba_list_base_ptr", 13, "reading an element of the typed list sums", "array"),
        ("numba_list_append", 12, "appending to a typed list", "array"),
        (
            f"{TYPED}10dictobject12impl_getitem12_3clocals_3e",
            12,
            "looking up a key in a typed dictionary",
            "keys",
        ),
        ("numba_dict_insert_ez", 12, "storing a value in a typed dictionary", "keys"),
    ],
)
def test_a_call_for_a_list_or_a_dictionary_is_named_as_the_source_has_it(callee, line, name, helps):
    call = Instruction(f"callq\t{callee}", fake.FILE, line, "call", callee="" if "(" in callee else callee)
    body = replace(fake.body(), instructions=(call,))
    access = {"file": fake.FILE, "line": 13, "container": "typed list", "name": "sums"}
    known = {"divisions": [], "pointers": [], "containers": [access | {"operation": how} for how in ("get", "set")]}
    (hint,) = calls_and_divisions(fake.view(replace(fake.INNER, bodies=(body,))), known, 1.0)
    assert (hint.kind, hint.place.line) == (Kind.CALL.value, line)
    assert hint.reason == f"{name} is a call, in every iteration of the innermost loop"
    assert helps in hint.advice


def test_a_container_that_is_read_in_several_lines_is_named():
    call = Instruction("callq\tnumba_list_base_ptr", fake.FILE, 12, "call", callee="numba_list_base_ptr")
    body = replace(fake.body(), instructions=(call,))
    known = [
        {"file": fake.FILE, "line": line, "container": "typed list", "operation": "get", "name": "sums"}
        for line in (12, 13)
    ]
    view = fake.view(replace(fake.INNER, bodies=(body,)))
    (hint,) = calls_and_divisions(view, {"divisions": [], "pointers": [], "containers": known}, 1.0)
    assert hint.reason.startswith("reading an element of the typed list sums is a call")


def test_an_access_of_a_container_is_found_in_the_types(replies):
    (access,) = replies["fills_a_list"]["containers"]
    assert (access["container"], access["operation"], access["name"]) == ("list", "append", "found")
    assert replies["saxpy"]["containers"] == []


def test_the_time_of_both_ways_of_an_integer_division_is_its_own(views):
    view = views["remainders"]
    for cycles, expected in ((40.0, [Kind.DIVISION]), (400.0, [])):  # of one number
        analysed = [
            replace(
                loop,
                bodies=tuple(
                    replace(body, mca=Mca("llvm-mca 14", "znver3", cycles * body.iterations)) for body in loop.bodies
                ),
            )
            for loop in view.loops
        ]
        found = calls_and_divisions(replace(view, loops=tuple(analysed)), {"divisions": [], "pointers": []}, 1.0)
        assert [hint.kind for hint in found] == [kind.value for kind in expected]


def test_a_division_says_why_it_can_be_replaced(views):
    known = {
        "divisions": [at("divides") | {"reason": "scale is the same in every iteration", "checks": True}],
        "pointers": [],
    }
    (hint,) = calls_and_divisions(views["divides"], known, 1.0)
    assert "scale is the same in every iteration" in hint.reason
    assert "reciprocal" in hint.advice
    assert views["divides"].loops[0].vectorised
    assert "error_model" not in hint.advice, "the test for 0 prevents nothing here"


@pytest.mark.parametrize(
    ("name", "kind"), [("saxpy", Kind.PROMOTION), ("saxpy", Kind.WRAPAROUND), ("dot", Kind.REDUCTION)]
)
def test_a_hint_from_types_is_dropped_where_the_compiler_removed_its_cost(views, name, kind):
    (loop,) = views[name].loops
    hint = Hint(kind.value, Place(loop.file, loop.line + 1), "", "", "types")
    assert confirmed([hint], views[name]) == []
    elsewhere = Hint(kind.value, Place(loop.file, 1), "", "", "types")
    assert confirmed([elsewhere], views[name]) == [elsewhere]
    other = Hint(Kind.LAYOUT.value, Place(loop.file, loop.line + 1), "", "", "types")
    assert confirmed([other], views[name]) == [other]


def test_a_sum_that_is_unrolled_completely_gets_no_hint(views):
    view = views["sums_in_order"]
    hints = confirmed(from_types("sums_in_order"), view)
    assert [hint.kind for hint in hints] == [Kind.REDUCTION.value]
    gone = replace(view, loops=tuple(replace(loop, unrolled=0) for loop in view.loops))
    assert confirmed(from_types("sums_in_order"), gone) == []
