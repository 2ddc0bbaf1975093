"""The profile of a function on the screen: at 80 and 120 columns, and as plain lines in a pipe."""

import io
from dataclasses import asdict, replace

import pytest

from jitnet.profile.functions.function_profile import (
    Argument,
    Check,
    CompiledFunction,
    Count,
    FunctionProfile,
    Hint,
    Place,
    Region,
    ThreadShare,
)
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.render.console import make_console
from jitnet.render.functions import function_profile

HERE = Place("/somewhere/else/theirs.py", 12, "for i in prange(x.shape[0]):")


def hint(kind: Kind, line: int, share: float | None = None) -> Hint:
    place = Place(HERE.file, line, f"the source of line {line}")
    return Hint(kind.value, place, f"reason {line}", RULES[kind].advice, "clock", share)


PROFILE = FunctionProfile(
    target="theirs.py:smooth",
    kind="njit, parallel",
    place=Place(HERE.file, 10, "def smooth(x, out):"),
    signature="(array(float32, 2d, C), array(float32, 2d, C))",
    options="parallel=True",
    arguments=(Argument("x", "float32[1000, 1000] C", ""), Argument("out", "float32[1000, 1000] C", "restored")),
    returns="none",
    compile_s=1.25,
    import_s=0.5,
    counts=(Count(1, 1, (2e-3, 2.1e-3, 2.2e-3)), Count(2, 1, (1.0e-3, 1.1e-3, 1.2e-3))),
    threads=2,
    thread_shares=(ThreadShare(0, 1e-3, 9e-4, 0.0, 2e-6, 1e-6), ThreadShare(1, 5e-4, 5e-4, 5e-4, 3e-6, 1e-6)),
    regions=(
        Region(HERE, 1, 1e-3, (1e-3, 5e-4), 2e-6, 0.33),
        Region(replace(HERE, line=20), 2, 1e-5, (1e-5,), 1e-6, 0),
    ),
    outside_s=3e-5,
    dispatch_s=None,
    cpu_share=1.0,
    flop=4e6,
    bytes=8e6,
    flop_formula="4 * x.size",
    bytes_formula="x.nbytes + out.nbytes",
    functions=(
        CompiledFunction("smooth", Place(HERE.file, 10), ("(int64)",), 0.5),
        CompiledFunction("helper", Place(HERE.file, 3), ("(float64)",), 0.25),
        CompiledFunction("mixed", Place(HERE.file, 5), ("(float64, int64)", "(int64, int64)"), 0.25),
    ),
    hints=(hint(Kind.RACE, 14), hint(Kind.UNEVEN, 12, 0.25), hint(Kind.UNEVEN, 20, 0.5)),
    unsearched=((Kind.CALL.value, "it takes 44 s to compile"),),
    notes=("what it writes was restored before every call",),
    threading_layer="omp",
    numba="0.68.1",
    python="3.11.7",
    perf_map="/tmp/perf-1.map",
)


def shown(profile: FunctionProfile, width: int | None = None) -> list[str]:
    stream = io.StringIO()
    function_profile(make_console(stream, terminal=width is not None, width=width, colour=False), profile)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_terminal_and_says_all(width):
    lines = shown(PROFILE, width)
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for expected in (
        "smooth(x, out), njit, parallel=True",
        "out float32[1000, 1000] C, written and restored",
        "1.10 ms a call ±5%, median of 3 calls on 2 threads",
        "3.64 GFLOP/s, 7.27 GB/s, 0.5 FLOP per byte (counted by --flop and --bytes)",
        "in 1.25 s; its module loaded in 0.5 s",
        "threads by OpenMP",
        "2 1.10 ms ±5% 3 1.91x 95%",
        "1 500 µs 500 µs 500 µs 3.00 µs 1.00 µs",
        "a call spends 30.0 µs",
        "helper",
        "2 signatures of 2 arguments",
        "3 hints",
        RULES[Kind.RACE].title,
        "/somewhere/else/theirs.py:12, 25% of the time",
        "the source of line 20",
        "reason 14.",
        "Not checked: a call that was not inlined (it takes 44 s to compile).",
        "What it writes was restored before every call.",
    ):
        assert expected in text
    assert text.count(RULES[Kind.UNEVEN].advice) == 1, "hints of one kind say once what to do"


def test_a_pipe_gets_plain_unbroken_lines():
    lines = shown(PROFILE)
    assert "  why  reason 12." in lines
    assert f"  do   {RULES[Kind.RACE].advice}" in lines
    assert not any(line.endswith(" ") for line in lines)
    assert not any("\x1b" in line for line in lines)


def test_no_hint_is_said():
    lines = shown(replace(PROFILE, hints=(), unsearched=()))
    assert f"No hint: none of {len(Kind)} kinds was found" in lines
    lines = shown(replace(PROFILE, hints=()))
    assert f"No hint: none of {len(Kind) - 1} kinds was found" in lines


def test_a_serial_function_has_no_tables_of_threads():
    serial = replace(PROFILE, counts=(Count(1, 10, (1e-6, 1.1e-6, 1.2e-6)),), thread_shares=(), regions=(), threads=1)
    text = "\n".join(shown(replace(serial, compile_s=None, cpu_share=0.06, dispatch_s=2e-7, threading_layer="")))
    assert "speed-up" not in text
    assert "By thread" not in text
    assert "1.10 µs a call ±5%, median of 30 calls" in text
    assert "94% of a call" in text
    assert "200 ns of that is the call from Python and the return" in text
    assert "before: with its module, or loaded from Numba's cache" in text


def test_one_call_is_not_called_a_median():
    once = replace(PROFILE, counts=(Count(2, 1, (12.5,)),))
    text = "\n".join(shown(once))
    assert "12.5 s a call, of one call on 2 threads" in text
    assert "±" not in text


CHECKS = (
    Check("bounds", "held"),
    Check("1 and 2 threads", "failed", "out[3] is 0.5 on 2 threads, 0.25 on 1 thread; 280 of 1,000 numbers differ"),
    Check("without the compiler", "held", "to the last digits: out[3], 1e-15 apart"),
    Check("two equal calls", "not done", "a call takes 3.0 s"),
    Check(
        "races", "failed", "iterations 0 and 4 both write one element of out", replace(HERE, source="out[i % 4] = i")
    ),
)


@pytest.mark.parametrize("width", [80, 120, None])
def test_wrong_results_come_first_and_no_speed_up_is_praised(width):
    lines = shown(replace(PROFILE, checks=CHECKS), width)
    assert width is None or max(map(len, lines)) <= width
    assert lines[0] == "The results differ"
    text = " ".join(" ".join(lines).split())
    for expected in (
        "check 1 and 2 threads why out[3] is 0.5 on 2 threads, 0.25 on 1 thread; 280 of 1,000 numbers differ.",
        "Threads use each other's data check races at /somewhere/else/theirs.py:12 out[i % 4] = i",
        "All that follows is about a function whose results are wrong: correct that first.",
        "checked failed: 1 and 2 threads, races; held: bounds, without the compiler (to the last digits: out[3], 1e-15",
        "not done: two equal calls, as a call takes 3.0 s",
        "Its results are wrong, so no speed-up is shown.",
    ):
        assert expected in text
    assert text.index("The results differ") < text.index("a call ±5%") < text.index("3 hints")
    assert "1.91x" not in text
    assert "efficiency" not in text


def test_results_that_are_right_are_one_line_and_the_speed_up_is_shown():
    lines = shown(replace(PROFILE, checks=CHECKS[:1]))
    assert lines[0].startswith("function")
    assert any(line.split() == ["checked", "held:", "bounds"] for line in lines)
    assert "1.91x" in " ".join(lines)


def test_json_has_every_check():
    found = asdict(replace(PROFILE, checks=CHECKS))["checks"]
    assert [each["verdict"] for each in found] == ["held", "failed", "held", "not done", "failed"]
    assert found[-1]["place"] == {"file": HERE.file, "line": 12, "source": "out[i % 4] = i"}
