"""Two functions side by side, a save, and a module's table on the screen."""

import io
from dataclasses import replace

import pytest
import test_render_code
from rich.console import Console
from test_render_functions import HERE, hint

from jitnet.bench.factors import Factor
from jitnet.profile.functions.function_profile import Argument, Check
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.module_table import Compiled, JittedFunction, ModuleTable
from jitnet.profile.functions.two_functions import Agreement, FunctionComparison, Side, TimedPair
from jitnet.profile.functions.watching import Row, Saved
from jitnet.render.comparing import function_comparison, watched
from jitnet.render.console import make_console
from jitnet.render.factors import sentence
from jitnet.render.modules import module_table

BEFORE = Side("old/loops.py:smooth", "smooth", "njit", "", HERE, "(array(float32, 1d, C))", "float64", 1.0, False)
AFTER = replace(BEFORE, target="loops.py:smooth_fast", label="smooth_fast", options="parallel=True", parallel=True)

COMPARISON = FunctionComparison(
    BEFORE,
    AFTER,
    "",
    (Argument("x", "float32[1000] C", ""), Argument("out", "float32[1000] C", "restored")),
    Agreement("rounding", 3e-8, "out", ""),
    (
        TimedPair(1, (2e-3, 2.1e-3), (1e-3, 1.1e-3), Factor(1.9, 1.8, 2.0, 60, 0.006), "faster"),
        TimedPair(2, (2e-3, 2.1e-3), (3e-3, 3.1e-3), Factor(0.66, 0.6, 0.7, 5, 0.06), "slower"),
    ),
    ("nothing in either is parallel",),
    "0.68.1",
    "3.11.7",
)

SAVED = Saved(
    (Check("bounds", "held", "", None),),
    (Row(1, 1, 2e-3, 1e-3, Factor(2.0, 1.9, 2.1, 25, 0.01), "faster"),),
    ("options: none before, fastmath=True now",),
    ((test_render_code.VIEW.loops[0], test_render_code.VIEW.loops[-1]), (None, test_render_code.VIEW.loops[0])),
    (hint(Kind.LAYOUT, 4),),
    (hint(Kind.RACE, 14),),
    (hint(Kind.UNEVEN, 12),),
)

TABLE = ModuleTable(
    "mine.py",
    "/somewhere/else/mine.py",
    (
        JittedFunction("smooth", "njit", "", HERE, ("x",), (Compiled("(float32[::1])", True, test_render_code.VIEW),)),
        JittedFunction("Counter.add", "jitclass method", "", HERE, ("self", "k"), ()),
        JittedFunction("wrong", "njit", "", HERE, ("x",), (Compiled("(int64)", False, None, "Unknown attribute"),)),
    ),
    {},
    ('jitnet profile mine.py:smooth --args "f4[100000]"',),
)


def shown(show, record, width: int | None = None) -> str:
    stream = io.StringIO()
    show(make_console(stream, terminal=width is not None, width=width, colour=False), record)
    return " ".join(stream.getvalue().split())


@pytest.mark.parametrize("width", [80, 120, None])
def test_who_is_faster_and_by_how_much_is_said_for_each_count_of_threads(width):
    text = shown(function_comparison, COMPARISON, width)
    for expected in (
        "first smooth, njit /somewhere/else/theirs.py:12 second smooth_fast, njit, parallel=True",
        "out float32[1000] C, written, and restored between both",
        "results equal but for rounding: the largest difference is 3e-08 of the largest value (in out)",
        "speed smooth_fast is 1.9 x as fast (1.8 to 2.0), on 1 thread",
        "smooth_fast is slower, 1.5 x as long (1.4 to 1.7), on 2 threads",
        "2.05 ms",
        "0.66x",
        "Nothing in either is parallel.",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Agreement("equal", 0.0, "", ""), "equal, to the last bit"),
        (Agreement("differ", 0.3, "result", ""), "differ by more than rounding: the largest difference is 0.3 of the"),
        (
            Agreement("differ", None, "out", "its shape is (4,) and (3,)"),
            "rounding: its shape is (4,) and (3,) (in out)",
        ),
        (Agreement("unknown", None, "", "neither returns"), "could not be compared: neither returns"),
    ],
)
def test_results_in_words(found, expected):
    assert expected in shown(function_comparison, replace(COMPARISON, results=found))


def test_what_is_wrong_is_not_praised():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system="standard")
    function_comparison(console, replace(COMPARISON, results=Agreement("differ", 0.3, "result", "")))
    assert "\x1b[32m" not in stream.getvalue(), "nothing is green where the results differ"


@pytest.mark.parametrize(
    ("factor", "verdict", "threshold", "expected"),
    [
        (Factor(1.8, 1.7, 1.9, 60, 0.01), "faster", 0.0, "1.8 x as fast (1.7 to 1.9)"),
        (Factor(0.5, 0.48, 0.52, 60, 0.01), "slower", 0.0, "slower, 2.0 x as long (1.9 to 2.1)"),
        (Factor(1.0, 0.98, 1.03, 60, 0.01), "same", 0.0, "no difference could be measured (0.98 to 1.03)"),
        (Factor(1.0, 0.98, 1.03, 60, 0.01), "same", 0.1, "no change above 10% (0.98 to 1.03)"),
        (Factor(1.8, 1.8, 1.8, 1, 1.0), "faster", 0.0, "1.80 x as fast (timed once, so its range is not known)"),
        (Factor(250.0, 200.4, 300.0, 60, 0.01), "faster", 0.0, "250 x as fast (200 to 300)"),
    ],
)
def test_a_factor_in_words(factor, verdict, threshold, expected):
    assert sentence(factor, verdict, threshold) == expected


@pytest.mark.parametrize("width", [80, 120, None])
def test_a_save_says_what_changed(width):
    text = shown(watched, SAVED, width)
    for expected in (
        "time 1.00 ms a call, 2.00 ms before: 2.0 x as fast (1.9 to 2.1)",
        "changed options: none before, fastmath=True now",
        f"hints gone {RULES[Kind.LAYOUT].title}: reason 4",
        f"hints left {RULES[Kind.UNEVEN].title} (line 12)",
        "1 new hint",
        "reason 14.",
    ):
        assert expected in text
    wrong = replace(SAVED, checks=(Check("1 and 2 threads", "failed", "result differs by 0.3", HERE),))
    text = shown(watched, wrong, width)
    assert text.startswith("The results differ check 1 and 2 threads")
    assert "time 1.00 ms a call, 2.00 ms before changed" in text, "what is wrong is not praised"
    same = replace(SAVED, gone=(), new=(), kept=(), loops=(), settings=())
    assert shown(watched, same).endswith("hints none")
    row = replace(SAVED.rows[0], threads=2)
    assert "1.00 ms a call on 2 threads, 2.00 ms before on 1 thread" in shown(watched, replace(SAVED, rows=(row,)))


@pytest.mark.parametrize("width", [80, 120, None])
def test_a_module_says_of_each_function_what_it_is_compiled_for(width):
    text = shown(module_table, TABLE, width)
    for expected in (
        "3 functions for Numba to compile; the types of 2 of them are known",
        "Counter.add(self, k) 12",
        "not compiled yet",
        "Innermost loops",
        'Next: jitnet profile mine.py:smooth --args "f4[100000]"',
    ):
        assert expected in text
    if width is None:
        assert "(float32[::1]), by --args" in text
        assert "not read: Unknown attribute" in text


@pytest.mark.parametrize("width", [80, 120, None])
def test_loops_of_a_module_have_a_signature_only_where_a_function_has_several(width):
    smooth = next(each for each in TABLE.functions if each.name == "smooth")
    one = next(compiled for compiled in smooth.compiled if compiled.view is not None)
    for compiled, expected in (((one,), "function line loop"), ((one, one), "function line loop for")):
        found = replace(TABLE, functions=(replace(smooth, compiled=compiled),))
        heading = shown(module_table, found, width).partition("Innermost loops ")[2]
        assert heading.partition(" ─")[0].partition(" ---")[0] == expected
