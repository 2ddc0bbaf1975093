"""Two functions in turn: what is compared, whether results agree, and one line for what cannot be compared."""

import subprocess
import textwrap
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.errors import JitnetError, UsageError
from jitnet.profile.functions import two_functions
from jitnet.profile.functions.options import read_options
from jitnet.profile.functions.two_functions import FunctionComparison, as_document, check_targets, compare_functions
from jitnet.profile.functions.worker import side_by_side
from jitnet.profile.functions.worker.agreement import agreement, kept

HELPERS = """
    from numba import njit

    @njit
    def factor():
        return {factor}
"""

BEFORE = """
    import numpy as np
    from numba import njit, prange, vectorize

    import helpers


    @njit
    def scaled(x, out):
        for i in range(x.shape[0]):
            out[i] = x[i] * helpers.factor()
        return out.sum()


    @njit
    def cumulated(x, out):
        for i in range(1, x.shape[0]):
            x[i] += x[i - 1]
        return x[-1]


    @njit(parallel=True)
    def spread(x, out):
        for i in prange(x.shape[0]):
            out[i] = x[i] * 2.0
        return out.sum()


    @njit
    def rolled(x, out):
        return np.random.random()


    @njit("float64(float64[::1])")
    def inverse(x):
        total = 0.0
        for i in range(x.shape[0]):
            total += 1.0 / x[i]
        return total


    @vectorize(["float64(float64)"])
    def half(x):
        return x / 2


    @njit
    def factorial(n):
        return 1.0 if n < 2 else n * factorial(n - 1)
"""


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """A tenth of a second for all pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_functions, "TIMING_S", 0.1)
        yield


@pytest.fixture(scope="module")
def versions(tmp_path_factory) -> tuple[str, str]:
    """Two folders with files of equal names, as two checkouts have: one helper differs."""
    made = []
    for factor in (2.0, 3.0):
        folder = tmp_path_factory.mktemp("version")
        (folder / "helpers.py").write_text(textwrap.dedent(HELPERS.format(factor=factor)))
        (folder / "loops.py").write_text(textwrap.dedent(BEFORE))
        made.append(str(folder / "loops.py"))
    return made[0], made[1]


@pytest.fixture(scope="module")
def apart(versions) -> FunctionComparison:
    return compare_functions(f"{versions[0]}:scaled", f"{versions[1]}:scaled", args="f8[200] f8[200]")


def test_two_versions_of_a_file_each_run_with_what_they_import(apart):
    assert apart.results.verdict == "differ"
    assert apart.results.difference == pytest.approx(1 / 3)
    assert [side.place.file for side in (apart.before, apart.after)] == [
        side.target[:-7] for side in (apart.before, apart.after)
    ]
    assert apart.before.label != apart.after.label


def test_two_checkouts_of_a_package_are_not_mixed(tmp_path):
    targets = []
    for name, factor in (("old", 2.0), ("new", 4.0)):
        package = tmp_path / name / "users_package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "helpers.py").write_text(textwrap.dedent(HELPERS.format(factor=factor)))
        loops = "from numba import njit\n\nfrom users_package.helpers import factor\n"
        (package / "loops.py").write_text(f"{loops}\n\n@njit\ndef f(x):\n    return x * factor()\n")
        targets.append(f"{package}/loops.py:f")
    found = compare_functions(*targets, args="1.5")
    assert found.results.difference == pytest.approx(0.5)
    assert (found.before.label, found.after.label) == tuple(targets), "their short names are the same"


def test_both_are_timed_in_pairs(apart):
    (pair,) = apart.pairs
    assert pair.threads == 1
    assert len(pair.before_s) == len(pair.after_s) == pair.factor.samples > 1
    assert min(pair.before_s + pair.after_s) > 0
    assert pair.factor.low <= pair.factor.value <= pair.factor.high
    document = as_document(apart)
    assert document["pairs"][0]["factor"]["value"] == pair.factor.value
    assert document["results"]["verdict"] == "differ"


@pytest.mark.parametrize(
    ("asked", "threads", "each_s"),
    [(None, [1], 1.8), (None, [1, 1, 1, 1], 1.5), (20.0, [1], 20.0), (20.0, [1, 1], 10.0)],
)
def test_more_time_is_for_more_pairs(monkeypatch, tmp_path, asked, threads, each_s):
    requests = []

    def ask(request, *others):
        requests.append(request)
        raise JitnetError("not asked in a test")

    monkeypatch.setattr(two_functions, "TIMING_S", 6.0)
    monkeypatch.setattr(two_functions, "ask", ask)
    (tmp_path / "loops.py").touch()
    with pytest.raises(JitnetError, match="not asked"):
        compare_functions(*[f"{tmp_path}/loops.py:f"] * 2, time_s=asked)
    # A pair of long calls: with more time all counts of threads are timed.
    both = object.__new__(side_by_side._SideBySide)
    both.sides = [SimpleNamespace(parallel=True, calls=SimpleNamespace(second_s=0.1, first_s=0.1))] * 2
    both.notes, budgets = [], []
    monkeypatch.setattr(both, "_pairs", lambda count, budget_s: budgets.append(budget_s))
    both.time(threads, requests[0]["timing_s"], requests[0]["count_s"])
    assert budgets == [pytest.approx(each_s)] * len(threads)


def test_a_function_and_itself_have_equal_results_although_it_changes_its_arguments(versions):
    found = compare_functions(f"{versions[0]}:cumulated", f"{versions[0]}:cumulated", args="f8[50] f8[50]")
    assert found.results.verdict == "equal"
    assert [each.written for each in found.arguments] == ["restored", ""]
    assert (found.before.label, found.after.label) == ("cumulated", "cumulated, again")


def test_a_parallel_function_is_compared_on_each_count_of_threads(versions):
    found = compare_functions(f"{versions[0]}:spread", f"{versions[0]}:scaled", args="f8[200] f8[200]")
    assert (found.before.parallel, found.after.parallel) == (True, False)
    assert found.pairs[0].threads == 1
    assert [pair.threads for pair in found.pairs] == sorted({pair.threads for pair in found.pairs})
    assert found.results.verdict in ("equal", "rounding")
    assert (found.before.label, found.after.label) == ("spread", "scaled")


@pytest.mark.parametrize(
    ("name", "args", "options", "has"),
    [
        (
            "inverse",
            "f8[100]",
            "fastmath={'reassoc'}, error_model=numpy",
            ("fastmath={'reassoc'}", "error_model='numpy'"),
        ),
        ("half", "f8[100]", "fastmath=True", ("fastmath=True",)),
        ("factorial", "8", "error_model='numpy'", ("error_model='numpy'",)),
        ("scaled", "f8[100] f8[100]", "parallel=True", ("parallel=True",)),
    ],
)
def test_options_of_the_second_change_and_its_results_do_not(versions, name, args, options, has):
    target = f"{versions[0]}:{name}"
    found = compare_functions(target, target, options=options, args=args)
    assert not any(each in found.before.options for each in has)
    assert all(each in found.after.options for each in has)
    assert found.results.verdict in ("equal", "rounding")
    assert found.after.label == f"{name} with {options}"
    assert found.before.signature == found.after.signature


def test_random_numbers_are_no_difference_of_the_functions(versions):
    target = f"{versions[0]}:rolled"
    found = compare_functions(target, target, args="f8[5] f8[5]")
    assert found.results.verdict == "unknown"
    assert "two equal calls of the first function differ: by random numbers, a race" in found.results.reason


@pytest.mark.parametrize(
    ("before", "after", "options", "expected"),
    [
        (
            "scaled",
            "factorial",
            None,
            "factorial(n) takes 1 argument, 2 given; both are called with the same arguments",
        ),
        ("scaled", "nope", None, "has no 'nope'; compiled there"),
        ("spread", "spread", "parallel=True", "has parallel=True already; write what to change"),
        ("half", "half", "parallel=True", "is under @vectorize, and parallel is an option of njit"),
    ],
)
def test_what_cannot_be_compared_is_one_line(versions, before, after, options, expected):
    args = "f8[9]" if before == "half" else "f8[9] f8[9]"
    with pytest.raises((UsageError, JitnetError)) as caught:
        compare_functions(f"{versions[0]}:{before}", f"{versions[0]}:{after}", options=options, args=args)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fastmath=True", {"fastmath": True}),
        ("fastmath={'reassoc', nsz}, error_model=numpy", {"fastmath": {"reassoc", "nsz"}, "error_model": "numpy"}),
        ("parallel={'fusion': False}, nogil=True,", {"parallel": {"fusion": False}, "nogil": True}),
    ],
)
def test_options_are_read_as_a_decorator_has_them(text, found):
    assert read_options(text) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "--options is empty"),
        ("fastmath", "expected options as a decorator has them"),
        ("fastmath=", "expected options as a decorator has them"),
        ("fastmath=open('x')", "expected options as a decorator has them"),
        ("**x", "expected options as a decorator has them"),
        (
            "fastmth=True",
            "--options fastmth: is not an option that changes how a function runs; did you mean fastmath?",
        ),
        ("cache=True", "known are fastmath, parallel"),
        ("fastmath={'quick'}", "--options fastmath: expected True, False, or a set of LLVM's flags"),
        ("error_model=True", "--options error_model: expected 'python' or 'numpy', found True"),
        ("parallel={'loops': True}", "--options parallel: expected True, False, or a dictionary"),
    ],
)
def test_wrong_options_are_named(monkeypatch, text, expected):
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a process was started"))
    with pytest.raises(UsageError) as caught:
        compare_functions("m:f", "m:f", options=text)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("targets", "options", "expected"),
    [
        ([], None, "expected two functions, as FILE:FUNCTION, or two documents of --json; found none"),
        (["a:f", "b:f", "c:f"], None, "found 3"),
        (["a:f"], None, "--compare a:f: name a second function, or what to change in this one"),
        (["a.json"], None, "expected two functions"),
        (["a.json", "b.py:f"], None, "b.py:f is a function, and a.json a document; compare two of one kind"),
        (["a.py", "b.py:f"], None, "--compare a.py: is a file without a function; expected a.py:FUNCTION"),
    ],
)
def test_what_is_compared_are_two_of_one_kind(targets, options, expected):
    with pytest.raises(UsageError) as caught:
        check_targets(targets, options)
    assert expected in str(caught.value)


def test_one_function_is_compared_with_itself_and_two_files_are_documents():
    assert check_targets(["a.py:f"], "fastmath=True") == ("a.py:f", "a.py:f", "function")
    assert check_targets(["a.py:f", "b:g"], None) == ("a.py:f", "b:g", "function")
    assert check_targets(["a.json", "b"], None) == ("a.json", "b", "document")


def agree(before: object, after: object) -> tuple[str, float | None, str]:
    found = agreement(kept(before, {}), kept(after, {}))
    return found["verdict"], found["difference"], found["reason"]


def test_results_are_equal_only_where_all_bits_are():
    x = np.linspace(0, 1, 7)
    assert agree(x, x.copy())[:2] == ("equal", 0.0)
    assert agree(np.nan, np.nan)[0] == "equal"
    assert agree((1, [x, 2.0]), (1, [x.copy(), 2.0]))[0] == "equal"
    assert agree(0.0, -0.0) == ("rounding", 0.0, "only in signs of zeros, or bits of NaN")
    verdict, difference, _ = agree(x, x * (1 + 1e-15))
    assert verdict == "rounding"
    assert 0 < difference < 1e-14
    assert agree(np.float32(1), np.float64(1) + 1e-9)[0] == "rounding", "as near as the coarser of both types is"
    assert agree(1.0, 1.0 + 1e-9)[0] == "differ"


def test_results_that_differ_are_named():
    x = np.arange(4)
    assert agree(x, x + (x == 2)) == ("differ", pytest.approx(1 / 3), "1 of 4 whole numbers are different")
    assert agree(x, x[:3])[2] == "its shape is (4,) and (3,)"
    assert agree(np.array([1.0, np.nan]), np.array([1.0, 2.0]))[2] == "1 element NaN or infinite in one of both only"
    assert agree((1, 2), (1,))[2] == "the second returns no such"
    found = agreement(kept(None, {"out": x}), kept(None, {}))
    assert (found["verdict"], found["where"]) == ("differ", "out")
    assert agree("a", "b")[0] == "differ"


def test_what_cannot_be_compared_is_said_and_hides_no_difference():
    assert agree(object(), object())[0] == "unknown"
    assert agree(None, None)[2] == "neither returns nor writes anything"
    assert agree((object(), 1), (object(), 1))[0] == "unknown"
    assert agree((object(), 1), (object(), 2))[0] == "differ"
