"""`jitnet.profile(function, *arguments)`: the record, how it is shown, and how it is called."""

import html
import importlib
import re
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from fake_function_profile import PROFILE, hint
from numba import njit

import jitnet
from jitnet.compiler.surroundings import as_found
from jitnet.errors import JitnetError, UsageError
from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.function_profile import FunctionProfile
from jitnet.profile.functions.hint_records import Trial
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.library import Profiler, renamed
from jitnet.profile.functions.shown import as_shown
from jitnet.profile.functions.time_records import LineTime, Rest, Sampling


@pytest.fixture(autouse=True)
def no_second_look(monkeypatch):
    """Machine code is tested elsewhere; here it would cost a compile a test."""
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])


def adder(amount):
    @njit
    def add(x, out, times=1.0):
        for i in range(x.size):
            if x[i] < 0:
                raise ValueError("below zero")
            out[i] += x[i] + amount * times
        return out[0]

    return add


def test_a_closure_with_keywords():
    x, out = np.arange(8.0), np.zeros(16)
    found = jitnet.profile.with_options(flop="3 * x.size")(adder(2), x, times=3.0, out=out[::2])
    assert isinstance(found, FunctionProfile)
    assert found.target == f"{__name__}:adder.add"
    assert (found.place.file, found.place.source) == (__file__, "def add(x, out, times=1.0):")
    assert [(each.name, each.type, each.written) for each in found.arguments] == [
        ("x", "float64[8] C", ""),
        ("out", "float64[8] A", "restored"),
        ("times", "3.0 (float64)", ""),
    ]
    assert found.flop == 24
    assert min(found.counts[0].samples_s) > 0
    assert not out.any()  # the call was made with a copy
    text = repr(found)
    assert text.startswith(f"adder.add(x: float64[8] C, out: float64[8] A, times: 3.0 (float64)), {__file__}:")
    assert "jitnet_call" not in str(renamed(found, {})) + text


def test_what_the_function_raises_is_one_line_with_its_place():
    with pytest.raises(JitnetError) as caught:
        jitnet.profile(adder(2), np.full(3, -1.0), np.zeros(3))
    text = str(caught.value)
    assert text.startswith(f"{__name__}:adder.add: ValueError: below zero ({__file__}:")
    assert "\n" not in text


def test_errors_name_options_as_they_are_called(monkeypatch):
    def refuses(target, **options):
        raise UsageError(f"--threads 99: Numba has 2 threads here, as {target} is called")

    monkeypatch.setattr(profiling, "profile_function", refuses)
    with pytest.raises(UsageError, match=rf"^threads=99: Numba has 2 threads here, as {__name__}:adder.add is called$"):
        jitnet.profile.with_options(threads=[99])(adder(1), np.zeros(3), np.zeros(3))


def test_a_hint_and_an_error_name_seconds_as_they_are_called_here(monkeypatch):
    asked = []

    def profiles(target, **options):
        asked.append(options)
        untried = replace(hint(Kind.CALL, 12, "exp is called"), untried="no time is left of 10 s; --time 15 tries it")
        return replace(PROFILE, hints=(untried,))

    monkeypatch.setattr(profiling, "profile_function", profiles)
    found = jitnet.profile.with_options(time_s=20, limit_s=5)(adder(1), np.zeros(3), np.zeros(3))
    assert (asked[0]["time_s"], asked[0]["limit_s"]) == (20, 5)
    assert found.hints[0].untried == "no time is left of 10 s; time_s=15 tries it"

    def silent(target, **options):
        raise JitnetError("allow more with --limit, whose 5 s --limit changes")

    monkeypatch.setattr(profiling, "profile_function", silent)
    with pytest.raises(JitnetError, match=r"^allow more with limit_s, whose 5 s limit_s changes$"):
        jitnet.profile(adder(1), np.zeros(3), np.zeros(3))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"threads": [0]}, "threads=[0]: expected counts of 1 or more, as in threads=(1, 2)"),
        ({"threads": 2}, "threads=2: expected counts"),
        ({"threads": "1,2"}, "threads='1,2': expected counts"),
        ({"threads": ()}, "threads=(): expected counts"),
        ({"limit_s": 0}, "limit_s=0: expected seconds above 0, as in limit_s=30"),
        ({"limit_s": float("nan")}, "limit_s=nan: expected seconds above 0"),
        ({"time_s": 1}, "time_s=1: expected 2 seconds or more, as in time_s=30"),
        ({"time_s": "9"}, "time_s='9': expected 2 seconds"),
        ({"flop": 3}, "flop=3: expected text, as in flop='2 * x.size'"),
        ({"cpu": 3}, "cpu=3: expected text, as in cpu='znver3'"),
    ],
)
def test_an_option_of_a_wrong_value_is_one_line(options, expected):
    with pytest.raises(UsageError) as raised:
        jitnet.profile.with_options(**options)
    assert str(raised.value).startswith(expected)


def test_another_function_is_compared_in_turn():
    def slow(x):
        s = 0.0
        for k in range(50):
            for i in range(x.size):
                s += x[i] ** (1.5 + k)
        return s

    @njit
    def quick(x):
        return x[0]

    found = jitnet.profile.compare(njit(slow), quick, np.ones(100))
    assert [found.before.label, found.after.label] == [
        f"{slow.__qualname__}".replace("<locals>.", ""),
        f"{quick.__qualname__}".replace("<locals>.", ""),
    ]
    assert found.pairs[0].verdict == "faster"
    assert found.pairs[0].factor.low > 5
    assert found.results.verdict == "differ"
    first, last = repr(found).splitlines()
    assert re.fullmatch(
        rf"{re.escape(found.after.label)} is [\d.]+ × as fast as .* on 1 thread \(.*\): .* a call", first
    )
    assert last.startswith("results: differ")
    same = replace(found, pairs=(replace(found.pairs[0], verdict="same"),))
    assert repr(same).startswith(f"no difference could be measured between {found.before.label} and ")


def test_the_package_is_called_and_still_a_package():
    for module in ("jitnet.profile", "jitnet.profile.functions", "jitnet.profile.step", "jitnet.profile.document"):
        assert importlib.import_module(module).__name__ == module
    assert jitnet.profile is sys.modules["jitnet.profile"]
    assert jitnet.profile.with_options(threads=[1]) == Profiler(threads=[1])
    with pytest.raises(TypeError, match="speed"):
        jitnet.profile.with_options(speed=2)
    with pytest.raises(UsageError, match="len: is of type builtin"):
        jitnet.profile(len, [])


def test_the_package_is_there_before_and_after_its_modules_are_imported():
    code = (
        "import sys, jitnet; a = jitnet.profile; assert 'numba' not in sys.modules; import jitnet.profile.document; "
        "from jitnet import profile; from jitnet.profile.functions.hints import Kind; "
        "assert a is profile is jitnet.profile and callable(a)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_users_process_keeps_its_settings():
    code = """
        import os, numba, numpy as np
        before = dict(os.environ)
        import jitnet
        from jitnet.profile.functions import early_lines, profiling
        profiling._look = lambda profile, reply, by: (None, "not requested")
        jitnet.profile(numba.njit(lambda x: x.sum()), np.ones(5))
        assert dict(os.environ) == before
        assert not [name for name in ("jitnet.compiler.environment", "jitnet.compiler.cache") if name in sys.modules]
    """
    environment = {name: value for name, value in as_found().items() if name != "OMP_PROC_BIND"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys\n" + textwrap.dedent(code)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


def test_a_script_that_profiles_as_it_is_loaded_is_stopped(tmp_path):
    """Else each worker process would load it again, and start another."""
    script = tmp_path / "script.py"
    script.write_text(
        "import jitnet\nfrom numba import njit\n\n@njit\ndef f(x):\n    return x\n\njitnet.profile(f, 1)\n"
    )
    with pytest.raises(JitnetError, match=r'jitnet.profile was called where .* put the call under if __name__ == "__m'):
        profiling.profile_function(f"{script}:f", args="1")


def test_names_are_replaced_everywhere_in_a_record():
    changed = replace(
        PROFILE, hints=(hint(Kind.CALL, 12, "seen in /tmp/x/call.py:add_2"),), notes=("in /tmp/x/call.py",)
    )
    names = {"/tmp/x/call.py:add": "mine:add", "/tmp/x/call.py:add_2": "mine:other.add", "/tmp/x/call.py": "mine"}
    found = renamed(changed, names | {"/somewhere/theirs.py": "In[3]"})
    assert (found.hints[0].reason, found.notes) == ("seen in mine:other.add", ("in mine",))
    assert found.place.file == found.hints[0].place.file == found.lines.loops[0].file == "In[3]"
    assert replace(found, hints=(), notes=()) == renamed(PROFILE, {"/somewhere/theirs.py": "In[3]"})


def test_the_text_is_a_few_lines():
    lines = repr(as_shown(PROFILE)).splitlines()
    assert lines == [
        "smooth(x: float64[9, 9] C, out: float64[9, 9] C), /somewhere/theirs.py:10",
        "1.04 µs a call ±2%, median of 800 calls; compiled in 1.25 s",
        "no hint",
    ]
    many = as_shown(replace(PROFILE, hints=tuple(hint(Kind.CALL, line, "exp is called") for line in range(10, 16)) * 2))
    assert len(repr(many).splitlines()) == 8
    assert repr(many).splitlines()[-1] == "and 7 more hints"
    assert "line 12: a call that was not inlined: exp is called" in repr(many)
    noted = repr(as_shown(replace(PROFILE, notes=("it was edited after it was imported",)))).splitlines()
    assert noted == [*lines, "note: it was edited after it was imported"]
    nowhere = replace(PROFILE.place, source="")
    sampling = Sampling(9, 0.1, True, (), (LineTime(nowhere, 0.75),), ())
    assert repr(as_shown(replace(PROFILE, sampling=sampling))).splitlines()[2] == "75% of it in line 10"
    sampling = replace(sampling, lines=(LineTime(PROFILE.place, 0.25),), rest=(Rest("calling and unboxing", 0.75),))
    assert repr(as_shown(replace(PROFILE, sampling=sampling))).splitlines()[2] == "75% of it: calling and unboxing"
    other = replace(hint(Kind.CALL, 12, "exp is called"), place=replace(PROFILE.place, file="In[4]", line=3))
    assert "In[4]:3: a call that was not inlined" in repr(as_shown(replace(PROFILE, hints=(other,))))
    slower = replace(hint(Kind.CALL, 12, "exp is called"), trial=Trial("inlined", 0.8, 0.7, 0.9, 0.0))
    assert repr(as_shown(replace(PROFILE, hints=(slower,)))).splitlines()[-1] == "no hint that helps"


def test_a_notebook_shows_the_page_in_a_frame():
    shown = as_shown(PROFILE)
    assert shown.signature == PROFILE.signature
    frame = shown._repr_html_()
    document = html.unescape(frame.partition('srcdoc="')[2].partition('" title=')[0])
    assert document.startswith("<!doctype html>")
    assert "smooth(" in document
    assert frame.count("<") == 2  # all of the document is quoted
