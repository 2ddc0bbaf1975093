"""The magics, in IPython's shell."""

import pytest
from fake_function_profile import PROFILE

from jitnet.profile.functions.library import Profiler

interactiveshell = pytest.importorskip(
    "IPython.core.interactiveshell", reason="the magics run in IPython, which is not installed: pip install ipython"
)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    made = interactiveshell.InteractiveShell.instance()
    made.run_cell("%load_ext jitnet.notebook", store_history=True)
    yield made
    interactiveshell.InteractiveShell.clear_instance()


@pytest.fixture
def calls(monkeypatch):
    """Calls that were profiled: each has a profile that was made before."""
    found = []

    def profiled(profiler, function, /, *arguments, **keywords):
        found.append((profiler, function, arguments, keywords))
        return PROFILE

    monkeypatch.setattr(Profiler, "__call__", profiled)
    return found


def test_a_line(shell, calls):
    shell.run_cell("values = [1, 2]", store_history=True)
    done = shell.run_cell("%jitprofile max(*values, key=abs)", store_history=True)
    assert done.result is PROFILE
    assert calls == [(Profiler(), max, (1, 2), {"key": abs})]


def test_a_cell_is_run_up_to_its_last_line_whose_call_is_profiled(shell, calls):
    done = shell.run_cell("%%jitprofile\nfor each in range(3):\n    k = each\nmax(k, 7)", store_history=True)
    assert done.result is PROFILE
    assert calls == [(Profiler(), max, (2, 7), {})]


def test_a_result_that_is_assigned_is_there_afterwards(shell, calls):
    shell.run_cell("%%jitprofile\nlargest = max(3, 7)\n", store_history=True)
    assert len(calls) == 1
    assert shell.user_ns["largest"] == 7


def test_options(shell, calls):
    shell.run_cell('%jitprofile --threads 1,2 --flop "2 * x.size" max(1, 2)')
    shell.run_cell("%%jitprofile --cpu znver3\nmax(1, 2)")
    shell.run_cell("%jitprofile --time 30 max(1, 2)")
    assert [each[0] for each in calls] == [
        Profiler(threads=[1, 2], flop="2 * x.size"),
        Profiler(cpu="znver3"),
        Profiler(time_s=30.0),
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%jitprofile 1 + 2", "the last line, 1 + 2, is no call; expected one, as in %jitprofile smooth(x, weights)"),
        ("%jitprofile", "there is no call"),
        ("%%jitprofile max(1, 2)\nmax(1, 2)", "expected options only; the call is in the cell's last line"),
        ("%jitprofile --threads 0 max(1, 2)", "--threads 0: expected counts of 1 or more, as in --threads 1,2"),
        ("%jitprofile --time 1 max(1, 2)", "--time 1: expected 2 seconds or more, as in --time 30"),
        ("%jitprofile --time soon max(1, 2)", "--time soon: expected 2 seconds or more"),
        ("%jitprofile --speed 2 max(1, 2)", "option --speed not recognized; the options are --threads, --flop"),
        ("%%jitprofile\nfor i in range(3):\n    max(1, i)", "the last line, for i in range(3):, is no call"),
    ],
)
def test_wrong_use_is_one_line(shell, calls, capsys, cell, expected):
    done = shell.run_cell(cell, store_history=True)
    assert not done.success
    error = capsys.readouterr().err.strip()
    assert expected in error
    assert error.startswith("UsageError: ")
    assert "\n" not in error
    assert calls == []


def test_what_cannot_be_profiled_is_one_line(shell, capsys):
    assert not shell.run_cell("%jitprofile max(1, 2)", store_history=True).success
    assert capsys.readouterr().err.startswith("UsageError: max: is of type builtin_function_or_method; expected a func")


CELL = """%%jitprofile
from numba import njit
@njit
def total(x):
    s = 0
    for i in range(x.size):
        s += x[i] * half(x[i])
    return s
total(x)
"""


def test_functions_of_cells_are_profiled_with_their_lines(shell):
    shell.run_cell("import numpy as np; from numba import njit; x = np.arange(50)", store_history=True)
    shell.run_cell("@njit\ndef half(x):\n    return x / 2", store_history=True)
    done = shell.run_cell(CELL, store_history=True)
    assert done.success
    assert done.result.target == "total"
    assert (done.result.place.file, done.result.place.line) == ("In[4]", 4)
    assert {each.name: each.place.file for each in done.result.functions} == {"total": "In[4]", "half": "In[3]"}
    assert done.result.lines.loops[0].line == 6
    assert "s += x[i] * half(x[i])" in "".join(done.result.lines.sources[0].lines)
    assert "jitnet-" not in str(done.result.lines) + str(done.result.hints)
    assert repr(done.result).startswith("total(x: int64[50] C), In[4]:4\n")
    assert done.result._repr_html_().startswith("<iframe sandbox srcdoc=")
