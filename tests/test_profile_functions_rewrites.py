"""Changes of a function's source keep its meaning; where that is not sure, there are none."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit, typeof

from jitnet.compiler.numba_parts import BaseTypeInference
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker.rewrites import build, rewrites
from jitnet.profile.functions.worker.typed_code import read_types

PLANTED = Path(__file__).parent / "planted"
FILES = ("reordered", "expressions", "invariants", "memory")


def planted(name):
    sys.path.insert(0, str(PLANTED))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(PLANTED))


MODULES = {name: planted(name) for name in FILES}


class Read(Exception):
    """The types are known, and nothing needs to be compiled."""


def dispatcher(function):
    """The compiled function under a decorator."""
    return getattr(function, "_dispatcher", function)


def found(function, arguments):
    """The rewrites of a function for these arguments, after type inference alone."""
    summaries = []
    infer = BaseTypeInference.run_pass

    def infer_and_stop(self, state):
        infer(self, state)
        if state.func_id.func is not function.py_func:
            return True
        summaries.append(read_types(state))
        raise Read

    kinds = tuple(typeof(each) for each in arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseTypeInference, "run_pass", infer_and_stop)
        with pytest.raises(Read):
            njit(function.py_func, **plain(function.targetoptions)).compile(kinds)
    return rewrites(function.py_func, kinds, summaries)


def compiled(function, options):
    """With checks of indices, so that an access outside an array is an error."""
    return njit(function, boundscheck=True, **plain(options))


def plain(options):
    """The options that change the arithmetic."""
    return {name: value for name, value in options.items() if name in ("fastmath", "error_model", "parallel")}


def copied(arguments):
    pairs = MODULES["invariants"].Pair
    return tuple(
        each.copy()
        if isinstance(each, np.ndarray)
        else pairs(each.x.copy(), each.y.copy())
        if hasattr(each, "x")
        else each
        for each in arguments
    )


def outcome(function, arguments):
    """What a call returns, or which exception it raises, and what is in its arguments then."""
    try:
        result = function(*arguments)
    except ZeroDivisionError as error:
        result = type(error).__name__
    return result, arguments


def flat(value):
    """All numbers of a result, as arrays; text as it is."""
    if isinstance(value, (tuple, list)):
        return [part for each in value for part in flat(each)]
    if hasattr(value, "scale"):
        return flat((value.x, value.y, value.scale, value.count))
    return [value if value is None or isinstance(value, str) else np.asarray(value)]


def assert_equal(one, other, exact, tolerance=1e-12):
    ones, others = flat(one), flat(other)
    assert len(ones) == len(others)
    for before, after in zip(ones, others, strict=True):
        if exact or before is None or isinstance(before, str):
            same = before == after if isinstance(before, str) or before is None else before.tobytes() == after.tobytes()
            assert same, f"{before} and {after}"
        else:
            np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance)


# Arguments. Of each function the first are those whose types count; with all others it is compared too.

RANDOM = np.random.default_rng(3)
X, Y = RANDOM.standard_normal((5, 7)), RANDOM.standard_normal((7, 4))
FLAT, OTHER = RANDOM.standard_normal(9), RANDOM.standard_normal(9)
POSITIVE = np.abs(FLAT)
SPECIAL = np.array([0.0, -1.5, np.inf, np.nan, 1e-310, 1e200, 3.0])
POINTS = FLAT + 1j * OTHER
NONE = np.zeros((0, 4)), np.zeros((3, 0)), np.zeros(0)


def pair(n):
    return MODULES["invariants"].pair(n)


def products(size=(5, 7, 4)):
    n, m, k = size
    return RANDOM.standard_normal((n, m)), RANDOM.standard_normal((m, k)), RANDOM.standard_normal((n, k))


def by_columns(*, of):
    """Two arrays, filled and empty."""
    return [(X, of(X)), (np.zeros((0, 4)), of(np.zeros((0, 4)))), (np.zeros((3, 0)), of(np.zeros((3, 0))))]


MATRICES = [products(), products((2, 0, 3)), products((0, 2, 3)), products((3, 2, 0))]
SAME = by_columns(of=np.zeros_like)
MAPS = [(FLAT, np.zeros(9)), (SPECIAL, np.zeros(7)), (np.zeros(0), np.zeros(0))]
SCALED = [
    (FLAT, np.zeros(9), 3.7),
    (FLAT, np.zeros(9), 0.0),
    (np.zeros(0), np.zeros(0), 0.0),
    (SPECIAL, np.ones(7), 1e-300),
]
MEANS = [(X, np.ones(7)), (np.zeros((0, 4)), np.ones(4)), (np.zeros((0, 0)), np.ones(0))]
THREADS = [(RANDOM.standard_normal((50, 7)), np.ones(50), 3.0), (np.zeros((3, 0)), np.ones(1), 0.0)]
SQUARE = X[:, :5].copy()
ROWS = [(X,), (np.zeros((0, 4)),), (np.zeros((3, 0)),)]

CHANGED = {
    "matmul": (MATRICES, {Kind.LOOP_ORDER, Kind.ACCUMULATOR}),
    "matmul_by_columns": (MATRICES, {Kind.LOOP_ORDER, Kind.INVARIANT}),
    "textbook": ([each[:2] for each in MATRICES], {Kind.LOOP_ORDER}),
    "textbook_cleared": (MATRICES, {Kind.LOOP_ORDER, Kind.ACCUMULATOR}),
    "textbook_in_threads": ([each[:2] for each in MATRICES], {Kind.LOOP_ORDER}),
    "column_means": (MEANS, {Kind.LOOP_ORDER, Kind.DIVISION}),
    "down_the_columns": (SAME, {Kind.LOOP_ORDER}),
    "total_by_columns": (ROWS, {Kind.LOOP_ORDER}),
    "count_by_columns": (ROWS, {Kind.LOOP_ORDER}),
    "with_a_temporary": (SAME, {Kind.LOOP_ORDER}),
    "truncated": ([(X, np.zeros(3, int))], {Kind.INVARIANT}),
    "cubes": (MAPS, {Kind.POWER}),
    "by_name": (MAPS, {Kind.POWER}),
    "inverse_cubes": ([(FLAT, OTHER, np.zeros(9)), (np.zeros(3), np.zeros(3), np.zeros(3))], {Kind.POWER}),
    "roots_of_a_sum": ([(FLAT, OTHER, np.zeros(9))], {Kind.POWER}),
    "by_element": ([(2.5,), (-1.0,), (0.0,)], {Kind.POWER}),
    "negative_power": (MAPS, {Kind.POWER}),
    "whole_arrays": ([(FLAT,), (np.zeros(0),)], {Kind.POWER}),
    "escapes": ([(POINTS, np.zeros(9))], {Kind.MAGNITUDE}),
    "magnitudes": ([(POINTS, np.zeros(9)), (np.zeros(0, complex), np.zeros(0))], {Kind.MAGNITUDE, Kind.INVARIANT}),
    "nearest": ([(POINTS, 0.3 + 0.1j)], {Kind.MAGNITUDE}),
    "within": ([(POINTS, 1.0), (POINTS, -1.0)], {Kind.MAGNITUDE}),
    "below_zero": ([(POINTS,)], {Kind.MAGNITUDE}),
    "quarters": (MAPS, {Kind.DIVISION}),
    "thirds": (MAPS, {Kind.DIVISION}),
    "scaled": (SCALED, {Kind.DIVISION}),
    "scaled_where_positive": (SCALED[:3], {Kind.DIVISION}),
    "promotes": ([(FLAT.astype("f4"), np.zeros(9, "f4"), 0.3)], {Kind.PROMOTION}),
    "adds_attributes": ([(pair(5),), (pair(0),)], {Kind.INVARIANT}),
    "counts_attributes": ([(pair(5),), (pair(0),)], {Kind.INVARIANT}),
    "two_instances": ([(pair(9), pair(9), FLAT), (pair(0), pair(0), np.zeros(0))], {Kind.INVARIANT}),
    "normalises": (MAPS[:1] + MAPS[2:], {Kind.INVARIANT}),
    "outer_elements": ([(FLAT, OTHER, np.zeros(9)), (np.zeros(0), OTHER, np.zeros(9))], {Kind.INVARIANT}),
    "element_outside": ([(FLAT, OTHER, np.zeros(9), 8), (FLAT, np.zeros(0), np.zeros(9), 9)], {Kind.INVARIANT}),
    "rows": (ROWS[:2], {Kind.ALLOCATION}),
    "scratch": ([(X, 5), (X, 0), (np.zeros((0, 3)), -1)], {Kind.ALLOCATION, Kind.INVARIANT}),
    "copies_rows": ([(X, np.zeros((5, 7))), (np.zeros((0, 3)), np.zeros((0, 3)))], {Kind.ALLOCATION}),
    "row_sums": ([(X, np.ones(5)), (np.zeros((3, 0)), np.ones(3)), (np.zeros((0, 0)), np.ones(0))], {Kind.ACCUMULATOR}),
    "row_sums_maybe_outside": ([(X, np.ones(5)), (np.zeros((3, 0)), np.ones(1))], {Kind.ACCUMULATOR}),
    "maybe_outside_in_threads": (THREADS, {Kind.ACCUMULATOR, Kind.DIVISION}),
    "narrow_sums": ([(X.astype("f4"), np.ones(5, "f4"))], {Kind.ACCUMULATOR, Kind.PROMOTION}),
    "stops_at_zero": ([(X, np.ones(5)), (np.zeros((3, 2)), np.ones(3))], {Kind.ACCUMULATOR}),
    "over_elements": ([(FLAT,), (np.zeros(0),)], {Kind.REDUCTION}),
    "over_pairs": ([(FLAT, OTHER), (FLAT[:3].copy(), OTHER), (FLAT, np.zeros(0))], {Kind.REDUCTION}),
    "with_numbers": ([(FLAT,)], {Kind.REDUCTION}),
    "centre": ([(MODULES["memory"].particles(5),), (MODULES["memory"].particles(0),)], {Kind.STRUCTS}),
    "shifted": ([(OTHER, np.ones(5), 2), (OTHER, np.ones(5), -3), (OTHER, np.ones(0), -3)], {Kind.WRAPAROUND}),
    "reversed_rows": ([(SQUARE, np.ones((5, 5)), 3), (SQUARE, np.ones((5, 5)), 0)], {Kind.WRAPAROUND, Kind.LOOP_ORDER}),
    "mirrored_in_threads": ([(FLAT, np.ones_like(FLAT)), (np.ones(0), np.ones(0))], {Kind.WRAPAROUND}),
    "over_a_column": ([(FLAT, np.ones(2)), (np.zeros(0), np.ones(2))], {Kind.ACCUMULATOR}),
    "wide_and_narrow": ([(FLAT, np.zeros(9), np.float32(3.7))], {Kind.DIVISION}),
    "written_out": (MATRICES, {Kind.LOOP_ORDER}),
    "sums_written_out": ([(X, np.ones(5)), (np.zeros((3, 0)), np.ones(3))], {Kind.ACCUMULATOR}),
    "new_arrays": ([(X,), (np.zeros((0, 4)),)], {Kind.LOOP_ORDER}),
    "moves": ([(MODULES["memory"].particles(5), 0.5)], {Kind.STRUCTS}),
}  # fmt: skip

KEPT = {
    "carried_down": (X,),
    "carried_across": (X,),
    "last_one": (X, FLAT),
    "keeps_the_variable": (X, X),
    "stops": (X, X),
    "triangle": (X, X),
    "remembers": (X, X),
    "prefix": (X, X),
    "from_below_zero": (X, X, 0),
    "prints": (X, X),
    "through_a_view": (X,),
    "sum_and_view": (X, X),
    "sum_that_goes_on": (X, FLAT),
    "contiguous": (X, X),
    "negative_power_with_checks": (FLAT, FLAT),
    "integer_base": (np.arange(3), FLAT),
    "integer_exponent": (FLAT, FLAT),
    "only_where_safe": (FLAT, FLAT),
    "real_magnitudes": (FLAT, FLAT),
    "scaled_where_safe": (FLAT, FLAT, 2.0),
    "scaled_after_a_write": (FLAT, FLAT, 2.0),
    "scaled_by_what_changes": (FLAT, FLAT, 2.0),
    "scaled_until": (FLAT, FLAT, 2.0),
    "mixes": (FLAT.astype("f4"), FLAT, FLAT),
    "exchanges_attributes": (pair(3),),
    "renames_instance": (pair(3), pair(3)),
    "calls_with_instance": (pair(3),),
    "changes": (pair(3),),
    "clears": (POINTS,),
    "normalises_in_place": (FLAT,),
    "largest_maybe": (FLAT, FLAT),
    "element_in_a_branch": (FLAT, FLAT, FLAT, 1),
    "element_that_changes": (FLAT, FLAT),
    "grows": (FLAT, FLAT),
    "rows_in_threads": (X, FLAT),
    "keeps_rows": (X,),
    "returns_a_row": (X,),
    "last_row": (X,),
    "keeps_a_view": (X,),
    "grows_rows": (X,),
    "sums_by_threads": (X, FLAT),
    "whole_sum": (X,),
    "running_sums": (X, FLAT),
    "leaves_at_zero": (X, FLAT),
    "histogram": (np.arange(3), np.arange(5)),
    "through_a_row": (X,),
    "over_rows": (X,),
    "renames_array": (FLAT, FLAT),
    "copies_records": (MODULES["memory"].particles(3), MODULES["memory"].particles(3)),
    "keeps_a_record": (MODULES["memory"].particles(3),),
    "over_itself": (FLAT,),
    "written_backwards": (X, FLAT),
    "root_after_a_call": (POINTS, FLAT),
    "shifted_by_what_changes": (FLAT, FLAT, 1),
    "shifted_twice": (FLAT, FLAT, 1),
    "reads_a_part": (MODULES["memory"].particles(3),),
}

FUNCTIONS = {
    name: dispatcher(value)
    for module in MODULES.values()
    for name, value in vars(module).items()
    if hasattr(dispatcher(value), "py_func") and dispatcher(value).py_func.__module__ == module.__name__
}


def test_each_planted_function_is_tried():
    assert set(FUNCTIONS) == set(CHANGED) | set(KEPT)


@pytest.mark.parametrize("name", KEPT)
def test_a_tempting_change_is_not_made(name):
    assert found(FUNCTIONS[name], KEPT[name]) == []


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_keeps_the_meaning(name):
    cases, kinds = CHANGED[name]
    function = FUNCTIONS[name]
    original = compiled(function.py_func, function.targetoptions)
    changes = found(function, cases[0])
    assert {each.kind for each in changes} == kinds
    lines, first = inspect.getsourcelines(function.py_func)
    for each in {each.source: each for each in changes}.values():
        assert first < each.line < first + len(lines)
        changed = compiled(build(function.py_func, each), function.targetoptions)  # in the order of the original's sums
        exact = each.exact or (each.fastmath and name != "narrow_sums")
        tolerance = 1e-5 if name in ("promotes", "narrow_sums") else 1e-12
        mapped = each.arguments or (lambda values: values)
        for arguments in cases:
            result, after = outcome(original, copied(arguments))
            other, changed_after = outcome(changed, mapped(copied(arguments)))
            assert_equal(result, other, exact, tolerance)
            raised = isinstance(result, str) and result == "ZeroDivisionError"
            if not (raised and result in each.advice):
                assert_equal(mapped(after), changed_after, exact, tolerance)


# What a rewrite consists of.


def change(function, arguments, kind=None):
    """The first rewrite, or the first of a kind."""
    return next(each for each in found(function, arguments) if kind in (None, each.kind))


NESTED = """import numpy as np
from numba import njit


def made():
    @njit
    def cubes(x):
        '''Of x.

  Not indented as the rest.
        '''
        # é
        out = np.empty_like(x)
        for i in range(x.shape[0]):
            out[i] = x[i] + \\
                (x[i] + 1.0) ** 3.0  # é
        return out

    return cubes
"""
LAST = """import numpy as np
from numba import njit

def made():
    return cubes


@njit
def cubes(x):
    out = np.empty_like(x)
    for i in range(x.shape[0]):
        out[i] = x[i] ** 3.0
    return out"""


@pytest.mark.parametrize("program", ["git", "patch"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("text", [NESTED, LAST], ids=["nested", "last"])
def test_the_diff_can_be_applied(tmp_path, monkeypatch, program, ending, text):
    path = tmp_path / f"cubes_{program}_{len(ending)}_{len(text)}.py"
    path.write_bytes(text.replace("\n", ending).encode())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.syspath_prepend(str(tmp_path))
    function = importlib.import_module(path.stem).made()
    made = change(function, (FLAT,))
    command = ["git", "apply", "-"] if program == "git" else ["patch", "-p1", "--binary"]
    done = subprocess.run(command, input=made.diff.encode(), cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    changed = path.read_bytes()
    assert changed.count(ending.encode()) == changed.count(b"\n"), "the ends of lines are as they were"
    assert changed.endswith(text[-12:].replace("\n", ending).encode())
    inner = next(each for each in ast.walk(ast.parse(changed)) if getattr(each, "name", "") == "cubes")
    (alone,) = ast.parse(made.source).body
    assert ast.unparse(inner) == ast.unparse(alone)
    assert ("Not indented as the rest" in made.source) == (text == NESTED)
    np.testing.assert_allclose(build(function.py_func, made)(FLAT), function.py_func(FLAT))


def test_a_changed_function_is_the_users_in_all_else():
    function = MODULES["expressions"].powers_of(1.5)
    arguments = (FLAT, np.zeros(9))
    made = change(function, arguments)
    changed = build(function.py_func, made)
    assert changed.__globals__ is function.py_func.__globals__
    assert changed.__code__.co_filename == function.py_func.__code__.co_filename
    assert changed.__qualname__ == function.py_func.__qualname__
    assert "power_base = " in made.source, "base is a name of the user's"
    line = made.line
    assert {line - 1, line} <= {number for _, _, number in changed.__code__.co_lines() if number}
    assert max(number for _, _, number in changed.__code__.co_lines() if number) == line
    results = [np.zeros(9), np.zeros(9)]
    with np.errstate(invalid="ignore"):
        function.py_func(FLAT, results[0])
        changed(FLAT, results[1])
    np.testing.assert_allclose(*results)


def test_arrays_that_must_be_apart_are_named():
    made = change(FUNCTIONS["matmul"], products())
    assert made.apart == (("c", "a"), ("c", "b"))
    assert "Only where c and a and where c and b share no memory." in made.advice
    assert change(FUNCTIONS["textbook"], products()[:2]).apart == (), "no other name has what a function allocates"


def test_an_order_of_sums_is_free_in_the_decorator():
    made = change(FUNCTIONS["with_numbers"], (FLAT,))
    assert '@njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})' in made.source
    assert made.fastmath
    assert not made.exact
    function = njit(FUNCTIONS["with_numbers"].py_func, fastmath=True)
    made = change(function, (FLAT,))
    assert not made.fastmath, "it has these flags already"
    assert "fastmath" not in made.diff


def test_records_become_arrays():
    records = MODULES["memory"].particles(4)
    made = change(FUNCTIONS["centre"], (records,))
    x, y, mass = made.arguments((records,))
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, records["x"])
    np.testing.assert_array_equal(y, records["y"])
    assert mass.dtype == np.float32


def test_a_function_without_source_has_none():
    names = {"njit": njit}
    exec("@njit\ndef f(x):\n    for i in range(x.shape[0]):\n        x[i] = x[i] ** 3.0", names)
    assert found(names["f"], (FLAT,)) == []
    assert found(njit(lambda x: x**3.0), (FLAT,)) == []
