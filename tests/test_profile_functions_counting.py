"""FLOP and bytes of a function and of its loops, counted by running a copy: against functions whose work is known."""

from types import SimpleNamespace

import numba
import numpy as np
import pytest
from numba import guvectorize, njit, prange, vectorize

from jitnet.profile.functions.worker import counter_hooks
from jitnet.profile.functions.worker.calls import Calls
from jitnet.profile.functions.worker.counter_hooks import counters_in_code
from jitnet.profile.functions.worker.counters import Counters
from jitnet.profile.functions.worker.counting import count
from jitnet.profile.functions.worker.subject import Subject

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

FLOATS = np.linspace(0.1, 1.0, 600)


@njit
def matmul(a, b, c):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            c[i, j] = total


@njit
def axpy(alpha, x, y):
    for i in range(x.size):
        y[i] += alpha * x[i]


@njit
def every_second(x, y):
    for i in range(x.size):
        if i % 2 == 0:
            y[i] = x[i] / 3.0


@njit
def halve(x):
    steps = 0.0
    while x > 1.0:
        x *= 0.5
        steps += 1.0
    return steps


@njit
def square(value):
    return value * value


@njit(parallel=True)
def sum_of_squares(x):
    total = 0.0
    for i in prange(x.size):
        total += square(x[i])
    return total


@njit
def below_diagonal(x):
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            total += x[i, j]
    return total


@njit
def whole_arrays(x, y):
    return (x + 2.0 * y).sum()


@njit
def powers(x, y):
    for i in range(x.size):
        y[i] = x[i] ** 2 + x[i] ** 3 + np.exp(x[i]) - np.sqrt(x[i]) + x[i] ** 0.3 + max(-x[i], abs(x[i]))


@njit
def complex_product(x, y):
    for i in range(x.size):
        y[i] = x[i] * y[i] + x[i]


@njit
def bytes_only(x):
    total = 0
    for value in x:
        total += value
    return total


@njit
def twice(x):
    for _ in range(3):
        for i in range(x.size):
            x[i] = x[i] + 1.0


@njit
def by_library(a, b):
    return a @ b


@njit
def fields(records):
    total = 0.0
    for i in range(records.size):
        total += records[i].weight
    return total


@njit
def steps(n):
    for i in range(n):
        yield i * 0.5


@njit
def of_a_generator(n):
    total = 0.0
    for value in steps(n):
        total += value
    return total


@njit
def fibonacci(n):
    if n < 2:
        return 1.0
    return fibonacci(n - 1) + fibonacci(n - 2)


@njit("float64(float64[:])")
def declared(x):
    total = 0.0
    for value in x:
        total += value
    return total


@vectorize
def weighted(a, b):
    return a * b + 1.0


@guvectorize(["void(float64[:], float64[:])"], "(n)->(n)")
def running_sum(x, out):
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i]
        out[i] = total


def counted(function, *arguments, seconds=None, call_s=1e-5, budget_s=0.5):
    """What is counted of a function that was timed before."""
    kind = {"DUFunc": "vectorize", "GUFunc": "guvectorize"}.get(type(function).__name__, "njit")
    python = {"njit": lambda: function.py_func, "vectorize": lambda: function._dispatcher.py_func}.get(
        kind, lambda: function.gufunc_builder.py_func
    )()
    dispatcher = {"njit": lambda: function, "vectorize": lambda: None}.get(
        kind, lambda: function.gufunc_builder.nb_func
    )()
    names = [f"argument {place}" for place in range(len(arguments))]
    measuring = SimpleNamespace(
        code=SimpleNamespace(seconds=seconds, summaries=["kept"], events=["kept"], used=lambda: None),
        counts=[(1, 1, [call_s])],
        subject=Subject(function, python, kind, dispatcher, {}),
        arguments=arguments,
        names=names,
        calls=Calls(function, arguments, names),
    )
    if kind != "njit":
        measuring.calls.first()
    found = count(measuring, budget_s)
    assert measuring.code.summaries == measuring.code.events == ["kept"], "what is counted is not the user's code"
    return found


CASES = {
    "matmul": (matmul, (np.ones((9, 7)), np.ones((7, 5)), np.ones((9, 5))), 2 * 9 * 7 * 5, 8 * (9 * 7 + 7 * 5 + 9 * 5)),
    "axpy": (axpy, (2.0, FLOATS, FLOATS.copy()), 2 * 600, 8 * 3 * 600),
    "axpy in float32": (axpy, (np.float32(2), *np.ones((2, 600), np.float32)), 2 * 600, 4 * 3 * 600),
    "a branch": (every_second, (FLOATS, FLOATS.copy()), 300, 8 * 600),
    "while": (halve, (1024.0,), 20, 0),
    "prange and a callee": (sum_of_squares, (FLOATS,), 2 * 600, 8 * 600),
    "half of a matrix": (below_diagonal, (np.ones((30, 30)),), 435, 8 * 435),
    "powers": (powers, (FLOATS, FLOATS.copy()), 600 * (1 + 2 + 1 + 1 + 1 + 5), 8 * 2 * 600),
    "complex": (complex_product, (FLOATS + 1j, FLOATS + 2j), 600 * (6 + 2), 16 * 3 * 600),
    "one byte each": (bytes_only, (np.ones(600, np.uint8),), 0, 600),
    "each element once": (twice, (FLOATS.copy(),), 3 * 600, 8 * 2 * 600),
    "recursion": (fibonacci, (10,), 88, 0),
    "declared types": (declared, (FLOATS,), 600, 8 * 600),
    "a field of records": (fields, (np.zeros(50, [("weight", "f4"), ("other", "f8")]).view(np.recarray),), 50, 4 * 50),
}


@pytest.mark.parametrize("name", CASES)
def test_work_that_is_known(name):
    function, arguments, flop, size = CASES[name]
    found = counted(function, *arguments)
    assert (found["reason"], found["flop"], found["bytes"]) == ("", flop, size)


def test_expressions_of_whole_arrays_write_a_new_one_and_read_it_from_the_cache():
    found = counted(whole_arrays, FLOATS, FLOATS.copy())
    assert (found["flop"], found["bytes"]) == (600 * 3, 8 * 600 * 3)


def test_products_of_a_library_are_counted_by_their_sizes():
    found = counted(by_library, np.ones((8, 6)), np.ones((6, 4)))
    assert (found["flop"], found["bytes"]) == (2 * 8 * 6 * 4, 8 * (48 + 24 + 32))


def test_each_loop_has_what_happens_inside_it():
    first = matmul.py_func.__code__.co_firstlineno + 2
    found = counted(matmul, np.ones((9, 7)), np.ones((7, 5)), np.ones((9, 5)))
    loops = {loop["place"]["line"] - first: (loop["flop"], loop["bytes"]) for loop in found["loops"]}
    assert loops == {0: (630, 8 * 143), 1: (630, 8 * 143), 3: (630, 8 * 98)}
    assert found["loops"][0]["place"]["source"] == "for i in range(a.shape[0]):"
    (loop,) = counted(sum_of_squares, FLOATS)["loops"]
    assert (loop["flop"], loop["bytes"]) == (1200, 4800), "with the callee's, of all iterations"


def test_ufuncs_are_counted_over_all_elements():
    found = counted(weighted, FLOATS, FLOATS)
    assert (found["flop"], found["bytes"]) == (1200, 8 * 3 * 600)
    found = counted(running_sum, np.ones((10, 50)))
    assert (found["flop"], found["bytes"]) == (500, 8 * 2 * 500)


def test_the_arguments_are_as_before():
    y = FLOATS.copy()
    counted(axpy, 2.0, FLOATS, y)
    assert np.array_equal(y, FLOATS)


def test_what_is_compiled_afterwards_has_no_counters():
    counters = Counters(True, 1000)
    with counters_in_code(counters):
        counters.copy(square).compile((numba.types.float64,))
    again = njit(lambda value: square(value) + 1.0)
    again(2.0)
    names = (each.library.get_llvm_str() for each in again.overloads.values())
    address = str(counters.pointer("context").constant)
    assert not any(address in text for text in names)


def test_the_compiler_is_as_before_also_after_an_error():
    def found():
        return [(owner, name, vars(owner).get(name)) for owner, name, _ in counter_hooks._HOOKS]

    def interrupted():
        with counters_in_code(Counters(True, 1000)):
            assert found() != before
            raise KeyboardInterrupt

    before = found()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert found() == before
    assert any(value is None for _, _, value in before), "one that is inherited is inherited again"


def test_why_it_is_not_counted():
    found = counted(of_a_generator, 5)
    assert found["flop"] is found["bytes"] is None
    assert "steps, which cannot be counted" in found["reason"]
    assert "it takes 20 s to compile" in counted(square, 2.0, seconds=20.0)["reason"]
    assert "a call takes 5.00 s on one thread" in counted(square, 2.0, call_s=5.0)["reason"]


def test_too_many_accesses_leave_the_bytes_out():
    found = counted(twice, np.ones(600), budget_s=1e-5, call_s=1e-8)
    assert (found["flop"], found["bytes"]) == (1800, None)
    assert found["loops"][0]["bytes"] is None
    assert "accesses of array elements are too many" in found["reason"]
