"""The profile of a function on the screen: at 80 and 120 columns, and as plain lines in a pipe."""

import io
from dataclasses import asdict, replace

import pytest

from jitnet.profile.functions.count_records import Counted, CountedLoop, Hardware
from jitnet.profile.functions.function_profile import Argument, Check, CompiledFunction, FunctionProfile
from jitnet.profile.functions.hint_records import Fix, Hint, Trial
from jitnet.profile.functions.hints import RULES, Kind
from jitnet.profile.functions.places import Place
from jitnet.profile.functions.time_records import Count, LineTime, LoopTime, Region, Rest, Sampling, ThreadShare
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
        CompiledFunction("mixed", Place(HERE.file, 5), ("(array(float64, 1d, A), int64)", "(int64, int64)"), 0.25),
    ),
    hints=(hint(Kind.RACE, 14), hint(Kind.UNEVEN, 12, 0.25), hint(Kind.UNEVEN, 20, 0.5)),
    unsearched=((Kind.CALL.value, "it takes 44 s to compile"),),
    notes=("what it writes was restored before every call",),
    threading_layer="omp",
    numba="0.68.1",
    python="3.11.7",
    perf_map="/tmp/perf-1.map",
)


def shown(profile: FunctionProfile, width: int | None = None, **options: bool) -> list[str]:
    stream = io.StringIO()
    function_profile(make_console(stream, terminal=width is not None, width=width, colour=False), profile, **options)
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


SUM = 'fastmath={"contract", "nsz", "reassoc"}'
TRIED = replace(
    PROFILE,
    unsearched=(),
    notes=(),
    hints=(
        replace(hint(Kind.REDUCTION, 3), trial=Trial(SUM, 4.012, 3.9, 4.2, 3.1e-15)),
        replace(hint(Kind.DIVISION, 5), trial=Trial("its reciprocal", 1.5, 1.4, 1.6, 0.0)),
        replace(hint(Kind.CALL, 7), untried="it has to be changed by hand"),
        replace(hint(Kind.REDUCTION, 9), trial=Trial(SUM, 0.5, 0.4, 0.6, 0.0)),
        replace(hint(Kind.LAYOUT, 11), trial=Trial("x contiguous", 3.0, 2.9, 3.1, 0.5, alike=False)),
        replace(hint(Kind.ALLOCATION, 13, 0.001), untried="its line takes 0.1% of the time"),
    ),
    fix=Fix((SUM, "its reciprocal"), Trial("both", 5.5, 5.4, 5.6, None), "--- a/theirs.py\n"),
)

SAMPLING = Sampling(
    samples=2500,
    cost=0.081,
    same_code=True,
    loops=(
        LoopTime("loop", "smooth", HERE, 18, 0, 0.6, 0.1),
        LoopTime("callee", "helper", Place("/somewhere/else/others.py", 3, "def helper(x):"), 3, 1, 0.5, 0.5),
    ),
    lines=(LineTime(HERE, 0.1), LineTime(Place(HERE.file, 14, "y"), 0.0)),
    rest=(Rest("allocation", 0.2), Rest("calling and unboxing", 0.15), Rest("waiting", 1e-5)),
)

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
def test_what_was_measured_is_beside_its_hint(width):
    lines = shown(TRIED, width)
    assert width is None or max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for expected in (
        "3 hints",
        "measured 4.01 × faster (3.90 to 4.20), results differ by 3.1e-15 of the largest value at most",
        f"changed {SUM}",
        "measured 1.50 × faster (1.40 to 1.60), results equal",
        "not tried it has to be changed by hand",
        f"together 5.50 × faster (5.40 to 5.60), results not comparable: {SUM}, its reciprocal.",
        "--fix prints it with the change, as a diff.",
        "Left out: 3 hints without effect on the time; --all-hints shows them.",
    ):
        assert expected in text
    for hidden in ("line 9", "line 11", "line 13", "slower"):
        assert hidden not in text


@pytest.mark.parametrize("width", [80, 120, None])
def test_all_hints_are_shown_where_they_are_wanted(width):
    lines = shown(TRIED, width, all_hints=True)
    assert width is None or max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).split())
    for expected in (
        "6 hints",
        "measured 2.00 × slower (1.67 to 2.50), results equal",
        "measured 3.00 × faster (2.90 to 3.10), but other results: they differ by 5.0e-01 of the largest value",
        "not tried its line takes 0.1% of the time",
    ):
        assert expected in text
    assert "Left out" not in text
    assert text.count(RULES[Kind.REDUCTION].advice) == 1, "what makes it slower is not advised"


def test_where_nothing_helps_that_is_said():
    lines = shown(replace(TRIED, hints=TRIED.hints[3:], fix=None))
    assert "No hint: 2 changes tried, none makes it faster" in lines
    assert not any("--fix" in line for line in lines)


@pytest.mark.parametrize("width", [80, 120, None])
def test_where_the_time_goes(width):
    lines = shown(replace(PROFILE, sampling=SAMPLING), width)
    assert width is None or max(map(len, lines)) <= width
    first = next(number for number, line in enumerate(lines) if line.startswith("Where the time of a call goes"))
    rows = [" ".join(line.split()) for line in lines[first + 3 :]]
    assert rows[0].startswith("for i in prange(x.shape[0]) 12-18 60% ")
    assert rows[0].endswith(" 660 µs 10%"), "60% of the time on as many threads as there are"
    assert rows[1].startswith("helper() others.py:3 50% ")
    assert lines[first + 4].startswith("  helper()")
    assert rows[2].startswith("lines outside loops 5.0% ")
    assert rows[3].startswith("allocation 20% ")
    assert rows[4].startswith("calling and unboxing 15% ")
    text = " ".join(" ".join(rows).split())
    assert "By 2,500 samples, ±2 points; a call takes 8% longer while it is sampled." in text
    assert "differs from what was timed" not in text
    assert "waiting <" not in text


def test_a_sampled_copy_of_other_code_is_named():
    sampling = replace(SAMPLING, same_code=False, cost=-0.01)
    text = " ".join(" ".join(shown(replace(PROFILE, sampling=sampling))).split())
    assert "a copy with a line table, whose machine code differs from what was timed" in text
    assert "a call takes no longer while it is sampled" in text


def test_a_hint_where_no_sample_fell_says_so():
    never = replace(hint(Kind.CALL, 14), share=0.0)
    text = " ".join(
        " ".join(shown(replace(PROFILE, hints=(hint(Kind.CALL, 12, 0.0004), never)), all_hints=True)).split()
    )
    assert "theirs.py:12, <0.1% of the time" in text
    assert "theirs.py:14, no sample fell on it" in text


@pytest.mark.parametrize("width", [80, 120, None])
def test_how_work_was_counted_and_the_counters_are_lines_of_their_own(width):
    counted = replace(PROFILE, flop_formula="", bytes=None, bytes_formula="", counted=Counted(4e6, None, (), "of 9"))
    lines = shown(replace(counted, hardware=Hardware(2e6, 3e6, None, 5.0)), width)
    text = " ".join(" ".join(lines).split())
    assert "rate 3.64 GFLOP/s (counted by running it) bytes not counted: of 9" in text
    assert "counters of the processor: 2,000,000 cycles, 3,000,000 instructions, 5 branch misses, 1.50 instr" in text
    refused = " ".join(" ".join(shown(replace(PROFILE, hardware=Hardware(reason="it has none")), width)).split())
    assert "counters of the processor: not read: it has none" in refused
    assert width is None or max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [120, None])
def test_loops_have_their_rates_where_there_is_room(width):
    loop = SAMPLING.loops[0]
    counted = Counted(4e6, 8e6, (CountedLoop(loop.place, 4e6, 8e6),), "")
    lines = shown(replace(PROFILE, sampling=SAMPLING, counted=counted), width)
    first = next(number for number, line in enumerate(lines) if line.startswith("Where the time of a call goes"))
    assert lines[first + 1].split()[-2:] == ["GFLOP/s", "GB/s"]
    assert lines[first + 3].split()[-2:] == ["6.06", "12.1"]


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
