"""Races in a parallel loop, as a run without the compiler finds them; and the processor's flags."""

import platform
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest
from numba import njit, prange

import jitnet
from jitnet.profile.functions.worker.shared_writes import watch_run
from jitnet.profile.functions.worker_process import worker_environment


def every_fourth(x, out):
    for i in prange(x.shape[0]):
        out[i % 4] += x[i]


def separate_rows(x, out):
    for i in numba.prange(x.shape[0]):
        row = out[i]
        for j in range(x.shape[1]):
            row[j] += x[i, j]


def one_row(x, out):
    for i in prange(x.shape[0]):
        row = out[1]
        row[:] = x[i]


def made_inside(x):
    shared = np.zeros(2)
    for i in prange(x.shape[0]):
        private = np.zeros(2)
        private[0] = x[i]
        shared[1] = private[0]
    return shared


def loop_after_loop(x, out):
    for i in prange(x.shape[0]):
        out[i] = x[i]
    for i in prange(x.shape[0]):
        out[x.shape[0] - 1 - i] += 1.0


def neighbour(x):
    for i in prange(1, x.shape[0]):
        x[i] = x[i - 1]


def inside_another(x, out):
    for i in prange(x.shape[0]):
        for j in prange(2):
            out[i] += j


@njit
def store_half(out, i, value):
    out[i // 2] = value


def through_a_call(x, out):
    for i in prange(x.shape[0]):
        store_half(out, i, x[i])


def line(function, text: str) -> int:
    source = Path(__file__).read_text().splitlines()
    first = next(number for number, each in enumerate(source) if each.startswith(f"def {function.__name__}("))
    return next(number for number in range(first, len(source)) if text in source[number]) + 1


X, ROWS = np.arange(1.0, 9.0), np.ones((4, 3))


@pytest.mark.parametrize(
    ("function", "arguments", "text", "iterations"),
    [
        (every_fourth, (X, np.zeros(4)), "out[i % 4]", (0, 4)),
        (one_row, (ROWS, np.zeros((4, 3))), "row[:] =", (0, 1)),
        (made_inside, (X,), "shared[1] =", (0, 1)),
        (neighbour, (X.copy(),), "x[i] = x[i - 1]", (0, 1)),
    ],
)
def test_two_iterations_at_one_element_are_named(function, arguments, text, iterations):
    suspect = line(function, text)
    watch = watch_run(function, arguments, {suspect}, 5.0)
    assert set(watch.conflicts) == {suspect}
    assert watch.conflicts[suspect][:2] == iterations
    assert not watch.complete, "it ends once all suspects are confirmed"


def test_a_compiled_function_that_is_called_is_watched_too():
    watch = watch_run(through_a_call, (X, np.zeros(4)), {1}, 5.0)
    assert watch.conflicts[line(store_half.py_func, "out[i // 2]")][:2] == (0, 1)
    assert watch.complete


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (separate_rows, (ROWS, np.zeros((4, 3)))),
        (loop_after_loop, (X, np.zeros(8))),
        (inside_another, (X, np.zeros(8))),
        (every_fourth, (X[:4], np.zeros(4))),
    ],
)
def test_elements_with_one_writer_a_loop_are_no_race(function, arguments):
    watch = watch_run(function, arguments, {1}, 5.0)
    assert watch.complete
    assert watch.conflicts == {}


def test_the_users_arrays_are_not_changed():
    out = np.zeros(4)
    watch_run(every_fourth, (X, out), set(), 5.0)
    assert not out.any()


def test_time_that_is_over_ends_the_run():
    watch = watch_run(separate_rows, (np.ones((100_000, 10)), np.zeros((100_000, 10))), {1}, 0.05)
    assert not watch.complete
    assert watch.conflicts == {}


def test_what_the_function_raises_ends_the_run():
    def fails(x):
        raise ValueError

    assert not watch_run(fails, (X,), {1}, 1.0).complete


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="needs the flags of x86")
def test_flags_show_denormal_numbers_and_flushing_removes_them():
    code = """
        from jitnet.profile.functions.worker.thread_clock import DENORMAL_OPERAND, ThreadClock
        clock, tiny = ThreadClock(), 1e-310
        clock.clear_flags(flush=False)
        kept = tiny * 2.0
        assert clock.read_flags() & DENORMAL_OPERAND
        clock.clear_flags(flush=False)
        assert not clock.read_flags() & DENORMAL_OPERAND, "cleared"
        clock.clear_flags(flush=True)
        flushed = tiny * 2.0
        clock.read_flags()
        assert (kept > 0.0, flushed) == (True, 0.0)
        assert tiny * 2.0 == kept, "restored"
    """
    environment = worker_environment()[0] | {"PYTHONPATH": str(Path(jitnet.__file__).parents[1])}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
