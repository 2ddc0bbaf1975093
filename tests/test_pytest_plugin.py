"""The fixture `jitprofile`, in test runs of its own."""

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points

import pytest
from fake_function_profile import INNER, LAST, OUTER, PROFILE, view

from jitnet.bench import limits
from jitnet.profile.functions import assertions
from jitnet.profile.functions.library import Profiler

pytest_plugins = ["pytester"]

KEPT = (limits, assertions)
"""Imported here, since a run in this process forgets what it has imported itself: the next would load Numba again."""

NAME = "jitnet" if entry_points(group="pytest11", name="jitnet") else "jitnet.pytest_plugin"
"""An installation without the entry point, made before there was one, has the plugin by its module's name."""

TESTS = """
    import their_loops

    def test_smooth(jitprofile):
        loop = jitprofile(their_loops.smooth, 1, out=2)
        loop.stays_vectorised()
        loop.allocates_nothing()
        loop.not_slower_than("smooth.json")
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Run tests with the plugin, in a process that profiles nothing: each call has a profile that was made before."""
    calls = []

    def profiled(profiler, function, /, *arguments, **keywords):
        calls.append((profiler, function.__name__, arguments, keywords))
        return profiles.pop(0) if len(profiles) > 1 else profiles[0]

    profiles = [PROFILE]
    monkeypatch.setattr(Profiler, "__call__", profiled)
    pytester.makepyfile(their_loops="def smooth(x, out): pass")

    def runs(tests, *options, profile=PROFILE):
        profiles[:] = [profile]
        pytester.makepyfile(test_their_loops=tests)
        result = pytester.runpytest_inprocess("-p", NAME, *options)
        return result, calls

    return runs


def test_a_baseline_is_written_and_then_held(run, pytester):
    result, _ = run(TESTS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       loop.not_slower_than(*",
            "E       *UsageError: smooth.json: there is no such baseline; write it with pytest --jitprofile-save",
            "",
            "test_their_loops.py:7: UsageError",
        ]
    )
    result, calls = run(TESTS, "--jitprofile-save")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["jitprofile: baselines are written, and not compared with"])
    assert (pytester.path / "smooth.json").is_file()
    assert calls[-1] == (Profiler(), "smooth", (1,), {"out": 2})
    run(TESTS)[0].assert_outcomes(passed=1)


def test_a_broken_baseline_is_one_line(run, pytester):
    pytester.makefile(".json", smooth="{")
    result, _ = run(TESTS)
    result.stdout.fnmatch_lines(
        [
            ">       loop.not_slower_than(*)",
            "E       *UsageError: the baseline smooth.json: is not JSON; expected what *",
        ],
        consecutive=True,
    )


def test_a_failure_shows_the_loop_and_not_the_plugin(run):
    scalar = replace(LAST, vectorised=False, reason="it calls exp")
    result, _ = run(TESTS, profile=replace(PROFILE, lines=view(OUTER, INNER, scalar)))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       loop.stays_vectorised()",
            "E       AssertionError: smooth: a loop is not vectorised",
            "E         theirs.py:14  for i in range(x.shape[0]):",
            "E           it calls exp",
            "",
            "test_their_loops.py:5: AssertionError",
        ]
    )


def test_what_cannot_be_profiled_is_one_line(pytester):
    pytester.makepyfile("""
        def test_smooth(jitprofile):
            jitprofile(len, [])
    """)
    result = pytester.runpytest_inprocess("-p", NAME)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       jitprofile(len, [[]])",
            "E       *UsageError: len: is of type builtin_function_or_method; expected a function under @njit*",
            "",
            "*: UsageError",
        ],
        consecutive=True,
    )


def test_what_cannot_be_compared_with_is_one_line(run):
    result, _ = run("""
        import their_loops

        def test_smooth(jitprofile):
            jitprofile(their_loops.smooth).not_slower_than(len)
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">       jitprofile(their_loops.smooth).not_slower_than(len)",
            "E       *UsageError: len: is of type builtin_function_or_method; expected a function under @njit*",
        ],
        consecutive=True,
    )


def test_options_of_the_profile(run):
    result, calls = run(
        """
        import their_loops

        def test_smooth(jitprofile):
            on_one = jitprofile.with_options(threads=[1]).with_options(flop="x")
            assert on_one(their_loops.smooth).profile.target == "theirs:smooth"
        """
    )
    result.assert_outcomes(passed=1)
    assert calls[-1][0] == Profiler(threads=[1], flop="x")


def test_help_explains_the_fixture_and_the_option(pytester):
    result = pytester.runpytest_inprocess("-p", NAME, "--fixtures")
    result.stdout.fnmatch_lines(["jitprofile*", "*Profile a call of a Numba function*"])
    result = pytester.runpytest_inprocess("-p", NAME, "--help")
    result.stdout.fnmatch_lines(["*--jitprofile-save*"])


def test_a_start_of_pytest_loads_nothing_for_it():
    """pytest imports it in every project, wherever jitnet is installed."""
    code = (
        "import sys, pytest; known = set(sys.modules); import jitnet.pytest_plugin; print(*(set(sys.modules) - known))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in done.stdout.split() if name.startswith("jitnet")} == {
        *("jitnet", "jitnet.pytest_plugin", "jitnet.version")
    }
    assert not {"numba", "numpy", "llvmlite"} & set(done.stdout.split())
