"""Profiles of functions that are called in special ways, and of loops of which little is left."""

import re
import subprocess
import sys
import tempfile
import textwrap

import numpy as np
import pytest
from planted_process import PLANTED, printed_by

from jitnet.errors import JitnetError, UsageError
from jitnet.profile.code.code_view import Target
from jitnet.profile.code.look import look
from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.arguments import make_arguments, read_words
from jitnet.profile.functions.crashes import crash_text, hanging_place
from jitnet.profile.functions.hint_records import Hint
from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.machine_hints import calls_and_divisions, confirmed
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.profiling import profile_function
from jitnet.profile.functions.worker.subject import Refused, arguments_of, check_arguments, find
from jitnet.profile.functions.worker_process import silent_text
from jitnet.render.code import verdict

FILE = str(PLANTED / "special.py")
LINES = (PLANTED / "special.py").read_text().splitlines()

# The functions that are measured, and what each is called with: --args, or --setup.
MEASURED = {
    "starred": ("f8[100] 2.0", None),
    "defaults": ("f8[10] m=5", None),
    "generates": ("100", None),
    "fibonacci": ("10", None),
    "is_even": ("10", None),
    "in_threads": ("f8[100] f8[100]", None),
    "Box.adds": (None, "box"),
    "Box.total": (None, "box_alone"),
    "dots": ("f8[10]A f8[10]A", None),
    "leaves": ("f8[100]", None),
    "without_threads": ("f8[100]", None),
    "divides_by_constant": ("f8[100] f8[100]", None),
    "wraps_round": ("f8[10] 10", None),
    "goes_round": ("i8[10] i8[10] 7", None),
    "divides": ("f8[10] f8[10] f8[10]", None),
}
D = "float64[::1]"
# The functions that are only looked at, and their types.
LOOKED_AT = {
    "unused": (D,),
    "half_used": (D,),
    "fills": (D,),
    "sums_up": ("int64",),
    "by_rows": ("float64[:, ::1]", D),
    "exponentials": (D, D),
    "waves": (D, D),
    "leaves_early": (D, D, D),
}


def line_of(text: str, after: str = "") -> int:
    """The first line with this text, from the line with `after` on."""
    start = next(number for number, line in enumerate(LINES) if after in line)
    return next(number for number, line in enumerate(LINES[start:], start + 1) if text in line)


@pytest.fixture(scope="module")
def replies() -> dict[str, dict]:
    """The worker process's reply for each measured function."""
    common = {"threads": None, "perf_map": False}
    cases = [
        {"target": f"{FILE}:{name}", "args": args, "setup": setup and f"{FILE}:{setup}"} | common
        for name, (args, setup) in MEASURED.items()
    ]
    return dict(zip(MEASURED, printed_by("measured.py", cases), strict=True))


@pytest.fixture(scope="module")
def views(replies) -> dict:
    """How each function was compiled; the measured ones for the types that the worker process sent."""
    targets = [Target(name, FILE, types) for name, types in LOOKED_AT.items()]
    targets += [Target(name, FILE, pickled=reply["pickled"]) for name, reply in replies.items()]
    return dict(zip([*LOOKED_AT, *replies], look(targets, analysed=False), strict=True))


# Arguments and how they are passed.


def test_arguments_by_name_and_tuples_of_arrays():
    words = read_words("f4[10] n=3 (f4[3],f4[3]) f2[8]".replace("(", "pair=(").replace("f2", "y=f2"))
    assert [word.name for word in words] == ["", "n", "pair", "y"]
    x, n, pair, y = make_arguments(words)
    assert (x.shape, n, y.dtype) == ((10,), 3, np.float16)
    assert isinstance(pair, tuple)
    assert [part.dtype for part in pair] == [np.float32, np.float32]
    assert make_arguments(read_words("((i8[3],), 2) (2.5) (1,)"))[1:] == (2.5, (1,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n=3 f4[10]", "an argument without a name follows one with a name"),
        ("n=3 n=4", "n is there twice"),
        ("n=x", "neither an array nor a number"),
        ("(f4[3],x)", "neither an array nor a number"),
        ("3=4", "neither an array nor a number"),
    ],
)
def test_an_invalid_argument_by_name_is_named(text, expected):
    with pytest.raises(UsageError, match="--args") as caught:
        read_words(text)
    assert expected in str(caught.value)


def arguments(name: str, args: str | None = None, setup: str | None = None) -> tuple:
    subject = find(f"{FILE}:{name}")
    request = {"args": args, "setup": setup and f"{FILE}:{setup}"}
    return arguments_of(subject, request), subject


def test_arguments_by_name_are_put_into_the_order_of_the_parameters():
    (x, by, shift), subject = arguments("keyed", "f8[3] shift=1.5")
    assert (x.shape, by, shift) == ((3,), 2.0, 1.5)
    assert subject.notes == ["the parameter by was passed its default, 2.0, as an argument"]
    (_, n, m), _ = arguments("defaults", "f8[3] m=5")
    assert (n, m) == (3, 5)
    (x, by, shift), _ = arguments("keyed", setup="named")
    assert (x.shape, by, shift) == ((4,), 2.0, 3.0)
    (x, *rest), subject = arguments("starred", "f8[3] 2.0 3.0")
    assert rest == [2.0, 3.0]
    assert subject.names(3) == ["x", "rest[0]", "rest[1]"]


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("keyed", "f8[3]", "needs shift too, by its name: shift="),
        ("keyed", "f8[3] 2.0 3.0", "takes 1 argument, 3 given"),
        ("keyed", "f8[3] z=1", "has no parameter 'z'"),
        ("keyed", "f8[3] x=1 shift=1", "got x twice"),
        ("starred", "x=f8[3] rest=1", "has no parameter 'rest'"),
        ("Box.adds", "f8[3] 2.0", "whose self is an instance of Box, was called with ndarray in its place"),
        ("Box.adds", None, "with --setup module:function, a function that returns a tuple, with the instance first"),
    ],
)
def test_arguments_that_do_not_fit(name, args, expected):
    with pytest.raises(Refused) as caught:
        arguments(name, args)
    assert expected in str(caught.value)
    assert caught.value.usage


def test_setup_that_returns_nothing_or_a_list_is_named():
    one = find(f"{FILE}:unused")
    for made in (None, [np.ones(3)], [1, 2.0]):
        with pytest.raises(Refused, match=r"^--setup m:g: returned .*; expected a tuple of arguments, or a dict"):
            check_arguments(one, made, "m:g")
    assert check_arguments(one, [1, 2], "m:g") == ([1, 2],), "a list of numbers is an argument"


def test_methods_of_a_compiled_class():
    with pytest.raises(Refused, match=r"is a compiled class; profile one of its methods: .*:Box\.adds, .*:Box\.total"):
        find(f"{FILE}:Box")
    with pytest.raises(Refused, match=r"has no 'nothing'; compiled there: adds, total, twice"):
        find(f"{FILE}:Box.nothing")
    assert arguments("Box.twice", "2.0")[0] == (2.0,)


# What is measured.


def test_a_function_with_star_is_compiled_once(replies):
    reply = replies["starred"]
    assert reply["hints"] == []
    assert [len(each["signatures"]) for each in reply["functions"]] == [1]
    assert [each["name"] for each in reply["arguments"]] == ["x", "rest[0]"]


def test_a_default_that_was_passed_is_a_note(replies):
    assert "the parameter n was passed its default, 3, as an argument" in replies["defaults"]["notes"]


def test_a_generators_values_are_taken(replies, views):
    (note,) = replies["generates"]["notes"]
    assert "all of its values, 100, in a compiled loop" in note
    assert replies["generates"]["kind"] == "generator"
    assert replies["generates"]["returns"] == "generator of float64"
    (loop,) = views["generates"].loops
    assert loop.line == line_of("for i in range(n)", "def generates")
    assert loop.counts.square_roots == 1, "each value is computed"


def test_a_method_and_what_it_writes(replies):
    adds, total = replies["Box.adds"], replies["Box.total"]
    assert [(each["name"], each["type"], each["written"]) for each in adds["arguments"]] == [
        ("self", "instance of Box", "restored"),
        ("by", "2.0 (float64)", ""),
    ]
    assert adds["signature"] == "(instance of Box, float64)"
    assert total["returns"] == "float64"
    assert total["place"]["line"] == line_of("def total")


@pytest.mark.parametrize("name", ["fibonacci", "is_even", "in_threads", "Box.adds", "Box.total", "starred"])
def test_it_has_a_line_view(views, name):
    assert views[name].instructions > 3
    assert views[name].sources[0].file == FILE


def test_a_parallel_ufunc_shows_its_loop(views):
    (loop,) = views["in_threads"].loops
    assert loop.vectorised


def test_numbas_warnings_have_their_line(replies):
    (hint,) = replies["dots"]["hints"]
    assert (hint["kind"], hint["place"]["line"]) == (Kind.LAYOUT.value, line_of("np.dot(x, y)"))
    assert "np.dot() is faster on contiguous arrays" in hint["reason"]
    assert replies["leaves"]["notes"] == [
        f"the parallel loop of special.py:{line_of('prange(', 'def leaves(')} runs on one thread: it can be left in "
        "more than one way, by an assertion, a raise or a return in it"
    ]


def test_a_prange_without_threads_has_a_note(replies):
    line = line_of("in numba.prange(x.size)")
    note = f"prange in special.py:{line} is a plain range: its function is compiled without parallel=True"
    assert note in replies["without_threads"]["notes"]
    assert not any("plain range" in note for name in ("leaves", "dots") for note in replies[name]["notes"])


def test_an_index_is_quoted_with_its_brackets(replies):
    reason = next(each["reason"] for each in replies["wraps_round"]["hints"] if each["kind"] == Kind.WRAPAROUND.value)
    assert reason.startswith("x[(i - 3) % n]: (i - 3) % n is signed")


# What is left in the machine code.


def verdicts(view) -> dict[int, str]:
    return {loop.line: verdict(loop) for loop in view.loops if loop.file == FILE}


def test_loops_that_are_gone_are_named(views):
    assert verdicts(views["unused"]) == {line_of("for i", "def unused"): "deleted: nothing uses what it computes"}
    lost, kept = verdicts(views["half_used"]).values()
    assert lost == "deleted: nothing uses what it computes"
    assert kept.startswith("not vectorised")
    assert list(verdicts(views["fills"]).values()) == ["became a call of memset"]
    assert list(verdicts(views["sums_up"]).values()) == ["deleted, or computed without a loop"]


def test_a_loop_that_is_gone_has_a_note_and_no_hint(views):
    view = views["unused"]
    (note,) = profiling._absent(view)
    assert note.startswith(f"in the code that was timed, the loop of line {view.loops[0].line} was deleted")
    assert profiling._absent(views["fills"]) == []
    place = Place(FILE, line_of("total += x[i]", "def unused"))
    assert confirmed([Hint(Kind.REDUCTION.value, place, "", "", "types")], view) == []
    race = Hint(Kind.RACE.value, place, "", "", "types")
    assert confirmed([race], view) == [race]


def test_a_loop_is_not_vectorised_because_a_line_in_it_is(views):
    found = verdicts(views["by_rows"])
    assert found[line_of("for i", "def by_rows")] == ""
    assert found[line_of("row = ", "def by_rows")].startswith("vectorised ×")


def test_a_loop_whose_calls_take_one_number_is_not_vectorised(views):
    (text,) = verdicts(views["exponentials"]).values()
    assert text.startswith("not vectorised: it calls exp for one number at a time")
    (hint,) = calls_and_divisions(views["exponentials"], {"divisions": [], "pointers": []}, 1.0)
    assert "for one number at a time" in hint.reason
    assert "no vector mathematics" in hint.advice
    assert "float32" not in hint.advice, "exp gains little"
    advice = " ".join(hint.advice for hint in calls_and_divisions(views["waves"], {"divisions": [], "pointers": []}, 1))
    assert "In float32" in advice
    assert "products and roots" in advice


def machine_hints(name: str, views, replies) -> list[Hint]:
    return calls_and_divisions(views[name], replies[name], 1.0)


def test_a_test_for_zero_is_named_where_it_prevents_vectors(views, replies):
    (hint,) = machine_hints("divides", views, replies)
    assert hint.place.line == line_of("out[i] = ", "def divides(")
    assert "tested in every iteration" in hint.reason
    assert 'error_model="numpy"' in hint.advice
    known = {"divisions": [{"file": FILE, "line": line_of("/ y[i]", "def leaves_early"), "reason": "", "checks": True}]}
    found = calls_and_divisions(views["leaves_early"], known | {"pointers": []}, 1.0)
    assert all("error_model" not in hint.advice for hint in found), "it can be left by break too"


def test_a_division_by_a_constant_becomes_a_product(views, replies):
    assert views["divides_by_constant"].loops[0].vectorised
    (hint,) = machine_hints("divides_by_constant", views, replies)
    assert "it divides by the constant 3" in hint.reason
    assert "constant's reciprocal" in hint.advice
    assert "error_model" not in hint.advice


def test_an_integer_division_is_not_told_to_multiply(views, replies):
    (hint,) = machine_hints("goes_round", views, replies)
    assert "n is the same in every iteration" in hint.reason
    assert "reciprocal" not in hint.advice
    assert "Count up to the divisor" in hint.advice


# Packages, crashes and limits.


def test_a_module_of_a_package_keeps_its_line_view_beside_others_of_any_name(tmp_path, monkeypatch):
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text("SCALE = 2.0\n")
    (package / "colorsys.py").write_text("from .base import SCALE\n")  # as one of Python's
    (package / "loops.py").write_text(
        "import colorsys\nfrom numba import njit\nfrom .base import SCALE\nassert colorsys.rgb_to_hsv\n\n\n"
        "@njit\ndef scaled(x):\n    for i in range(x.shape[0]):\n        x[i] *= SCALE\n"
    )
    for folder, where in ((tmp_path, str(package / "loops.py")), (package, "loops.py")):
        monkeypatch.chdir(folder)
        (view,) = look([Target("scaled", where, (D,))], analysed=False, compared=False)
        assert view.loops[0].vectorised


@pytest.mark.parametrize(("name", "size"), [("runs_over", 10_000_000), ("runs_over_in_threads", 10_000_000)])
def test_a_crash_names_the_index_that_is_out_of_bounds(monkeypatch, name, size):
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])
    with pytest.raises(JitnetError) as caught:
        profile_function(f"{FILE}:{name}", args=f"f8[10] {size}")
    line = line_of("= i", f"def {name}(")
    assert "killed by SIG" in str(caught.value)
    assert re.search(rf"index 1[02] is outside x, which has 10 elements \({FILE}:{line}\)", str(caught.value))
    assert "with every index checked" not in str(caught.value), "the checks before the first call found it"
    assert "denormal" not in str(caught.value)


@pytest.mark.parametrize(("name", "before"), [("runs_over", False), ("runs_over_by_rows", True)])
def test_a_crash_names_the_index_also_where_no_check_came_before(tmp_path, monkeypatch, name, before):
    file = tmp_path / "theirs.py"
    file.write_text(
        textwrap.dedent("""
        from numba import guvectorize, njit

        @njit
        def written(x, i):
            x[i * 10_000_000] = i

        @njit
        def runs_over(x):
            for i in range(x.size):
                written(x, i)
                yield i

        @guvectorize(["(f8[:], f8[:])"], "(n)->(n)")
        def runs_over_by_rows(x, out):
            for i in range(x.size):
                written(out, i)
    """)
    )
    monkeypatch.setattr(profiling, "_look", lambda profile, reply, by: (None, "not requested"))
    monkeypatch.setattr(early_lines, "CORES", [])
    with pytest.raises(JitnetError) as caught:
        profile_function(f"{file}:{name}", args="f8[10] f8[10]" if before else "f8[10]")
    index = f"index 10000000 is outside x, which has 10 elements ({file}:6)"
    assert index in str(caught.value)
    assert (f"; with every index checked: {index}" in str(caught.value)) is not before


def test_memory_that_was_overwritten_is_not_blamed_on_what_ran_then():
    with tempfile.TemporaryFile() as output:
        output.write(b'free(): invalid pointer\nFatal Python error: Aborted\n  File "theirs.py", line 3 in made\n')
        text = crash_text(-6, output, "looking for denormal numbers")
        assert text == "the process that ran it was killed by SIGABRT after it was called: free(): invalid pointer"
        text = crash_text(-6, output, "timing it, where index 5 is outside x (theirs.py:2)")
        assert text.endswith(": free(): invalid pointer; index 5 is outside x (theirs.py:2)")
        assert "while compiling (theirs.py:3)" in crash_text(-6, output, "compiling")


def test_what_does_not_return_is_named_with_its_limit():
    text = silent_text("making the arguments", 60, "m.py:made", "m.py:7")
    assert text.startswith("no reply for more than 600 s while --setup m.py:made made the arguments (m.py:7); ")
    assert "10 times as long as a call, whose 60 s --limit changes" in text
    text = silent_text("calling it for the first time (m.py:3)", 60, "m.py:made", "")
    assert text.startswith("no reply for more than 60 s while calling it for the first time (m.py:3); ")
    assert "--limit" in text


def test_the_line_at_which_a_process_hangs_is_read_from_it(tmp_path):
    file = tmp_path / "hangs.py"
    file.write_text("import time\n\nwhile not time.sleep(0.01): print('ready', flush=True)\n")
    code = f"""
        import faulthandler, runpy, signal
        faulthandler.register(signal.SIGUSR1, all_threads=False)
        runpy.run_path({str(file)!r})
    """
    with tempfile.TemporaryFile() as output:
        arguments = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=output) as process:
            assert process.stdout.readline() == b"ready\n"
            place = hanging_place(process, output)
            process.kill()
    assert place == f"{file}:3"


def test_the_limit_is_an_option_of_a_functions_profile(call, monkeypatch):
    found = call("profile", "--limit", "3")
    assert (found.code, found.out) == (2, "")
    assert "--limit needs MODULE:FUNCTION" in found.err
    found = call("profile", "m:f", "--limit", "0")
    assert (found.code, found.out) == (2, "")
    assert "--limit 0: expected seconds above 0" in found.err
    limits = []

    def stopped(target, limit_s, **_):
        limits.append(limit_s)
        raise JitnetError("stopped")

    monkeypatch.setattr(profiling, "profile_function", stopped)
    assert call("profile", "m:f", "--limit", "3.5").code == 1
    assert limits == [3.5]
