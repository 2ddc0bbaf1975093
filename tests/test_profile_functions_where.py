"""Where the time of a call goes: functions whose shares are known, and what a signal must not do to them."""

import os

import pytest
from planted_process import PLANTED, printed_by

from jitnet.compiler.environment import CORES
from jitnet.profile.functions.worker import line_sampler
from jitnet.profile.functions.worker.dwarf import DebugInfo
from jitnet.profile.functions.worker.line_sampler import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be sampled")

SHARES = PLANTED / "shares.py"

POINTS = 0.05
"""How far a share may be from the truth."""

TRIES = 3
"""A few hundred samples are off by more than that now and then."""

ENOUGH = 300
"""Samples of threads at work from which their shares are judged."""

BUSY = 0.75 * len(CORES or (os.cpu_count() or 1) * (0,))
"""Processes that run at a time, on average, above which threads are not all at work together."""

CASES = {
    "two_loops": ("1.5 10000", None, []),
    "declared": ("1.5 20000", None, []),
    "nested": ("1.5 3000", None, []),
    "calls": ("1.5 5000", None, []),
    "in_threads": ("f8[64] 1.5 2000", None, []),
    "unboxes": (None, "a_list", []),
    "allocates_and_computes": ("f8[5000]", None, ["allocates", "computes"]),
    "naps": ("50", None, []),
    "not_reached": ("f8[2000] 0", None, []),
}


def case(name: str) -> dict:
    args, setup, parts = CASES[name]
    made = None if setup is None else f"{SHARES}:{setup}"
    return {
        "target": f"{SHARES}:{name}",
        "args": args,
        "setup": made,
        "threads": None,
        "perf_map": False,
        "parts": parts,
    }


def sampled(names: list[str]) -> dict[str, dict]:
    """The worker process's reply to each."""
    # A thread that waits leaves its core to the one that works.
    found = printed_by("sampled.py", [case(name) for name in names], OMP_WAIT_POLICY="passive")
    return dict(zip(names, found, strict=True))


@pytest.fixture(scope="module")
def replies() -> dict[str, dict]:
    return sampled(list(CASES))


def line_of(text: str, name: str) -> int:
    """The first line with a text in a planted function."""
    lines = SHARES.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(f"def {name}("))
    return next(number + 1 for number in range(first, len(lines)) if text in lines[number])


def share_of(reply: dict, kind: str, line: int, depth: int = 0) -> float:
    found = reply["sampling"]["loops"]
    rows = [row for row in found if (row["kind"], row["place"]["line"], row["depth"]) == (kind, line, depth)]
    assert len(rows) == 1, found
    return rows[0]["share"]


def rest(reply: dict, *names: str) -> float:
    return sum(row["share"] for row in reply["sampling"]["rest"] if row["name"] in names)


def check(replies: dict, name: str, known: "dict[str, tuple]") -> None:
    """known: for each share a function that reads it in a reply, and one that returns the truth."""
    for left in reversed(range(TRIES)):
        reply = replies[name]
        assert reply["sampling"], reply["notes"]
        found = {what: (read(reply), truth(reply)) for what, (read, truth) in known.items()}
        if all(abs(share - truth) <= POINTS for share, truth in found.values()):
            return
        if left:
            replies[name] = sampled([name])[name]
    pytest.fail(f"{found} in {reply['sampling']}")


def test_two_loops(replies):
    first, second = (line_of(text, "two_loops") for text in ("# a quarter", "# three quarters"))
    check(
        replies,
        "two_loops",
        {
            "first": (lambda reply: share_of(reply, "loop", first), lambda reply: 0.25),
            "second": (lambda reply: share_of(reply, "loop", second), lambda reply: 0.75),
        },
    )
    assert replies["two_loops"]["sampling"]["same_code"]


def test_a_function_with_declared_types_is_sampled_too(replies):
    assert replies["declared"]["sampling"], replies["declared"]["notes"]
    assert share_of(replies["declared"], "loop", line_of("# all of it", "declared")) > 0.9


def test_nested_loops_are_in_the_loop_around_them(replies):
    outer, first, second = (line_of(text, "nested") for text in ("# all", "# a quarter", "# three quarters"))
    check(
        replies,
        "nested",
        {
            "outer": (lambda reply: share_of(reply, "loop", outer), lambda reply: 1.0),
            "first": (lambda reply: share_of(reply, "loop", first, 1), lambda reply: 0.25),
            "second": (lambda reply: share_of(reply, "loop", second, 1), lambda reply: 0.75),
        },
    )
    rows = replies["nested"]["sampling"]["loops"]
    assert [(row["place"]["line"], row["depth"]) for row in rows] == [(outer, 0), (first, 1), (second, 1)]
    assert rows[0]["own"] <= POINTS


def test_callees_are_where_they_are_called_inlined_or_not(replies):
    divided, far, loop = line_of("def", "divided"), line_of("def", "far"), line_of("for _ in range(3)", "calls")
    check(
        replies,
        "calls",
        {
            "called before the loop": (lambda reply: share_of(reply, "callee", divided), lambda reply: 0.25),
            "the loop": (lambda reply: share_of(reply, "loop", loop), lambda reply: 0.75),
            "called in the loop": (lambda reply: share_of(reply, "callee", far, 1), lambda reply: 0.75),
            "called by that": (lambda reply: share_of(reply, "callee", divided, 2), lambda reply: 0.375),
        },
    )


def test_parallel_loops_have_shares_of_the_wall_time(replies):
    first = line_of("for i in prange", "in_threads")
    at_work = [0.0, 0.0]  # samples of each loop, of all tries together
    for left in reversed(range(TRIES)):
        found = replies["in_threads"]["sampling"]
        if found:
            loops = [row for row in found["loops"] if row["depth"] == 0]
            for row in loops:
                at_work[row["place"]["line"] != first] += row["share"] * found["samples"]
        share = at_work[1] / max(1.0, sum(at_work))
        if sum(at_work) > ENOUGH and abs(share - 0.75) <= POINTS:
            break
        if left:
            replies |= sampled(["in_threads"])
    if sum(at_work) <= ENOUGH:
        pytest.skip("other programs left its threads no core")
    if abs(share - 0.75) > POINTS and (load := os.getloadavg()[0]) > BUSY:
        pytest.skip(f"other programs took its threads' cores: {load:.1f} processes on average")
    assert abs(share - 0.75) <= POINTS
    assert share_of(replies["in_threads"], "callee", line_of("def", "divided"), 1) > 0


def test_unboxing_is_nearly_all_of_a_short_loop_over_a_long_list(replies):
    check(replies, "unboxes", {"calling": (lambda reply: rest(reply, "calling and unboxing"), lambda reply: 1.0)})


def test_allocation_is_no_line_and_mathematics_is(replies):
    last = line_of("np.exp", "allocates_and_computes")

    def truth(reply: dict) -> float:
        allocating, computing = reply["parts"]
        return computing / (allocating + computing)

    check(
        replies,
        "allocates_and_computes",
        {
            "computing": (lambda reply: share_of(reply, "loop", last - 1), truth),
            "allocating": (
                lambda reply: (
                    share_of(reply, "loop", last - 5)
                    + rest(reply, "allocation", "reference counts", "calling and unboxing")
                ),
                lambda reply: 1 - truth(reply),
            ),
        },
    )
    assert rest(replies["allocates_and_computes"], "allocation") > 0.05


def test_a_sleeping_function_waits(replies):
    assert rest(replies["naps"], "waiting") > 0.5


def test_rows_and_rest_add_up_to_the_call(replies):
    for name, reply in replies.items():
        if name == "in_threads" and reply["sampling"] is None:
            continue  # other programs left its threads no core
        found = reply["sampling"]
        lines = sum(row["share"] for row in found["lines"])
        others = sum(row["share"] for row in found["rest"])
        assert lines + others == pytest.approx(1)
        assert all(0 <= row["own"] <= row["share"] + 1e-9 for row in found["loops"])
        assert sum(row["share"] for row in found["loops"] if row["depth"] == 0) <= lines + 1e-9


def test_a_hint_where_nothing_runs_has_no_share(replies):
    never, always = (line_of(text, "not_reached") for text in ("# never", "# always"))
    shares = {hint["place"]["line"]: hint["share"] for hint in replies["not_reached"]["hints"]}
    assert shares[never] == 0
    assert shares[always] > 0.5


def test_elsewhere_a_line_says_why_it_cannot_be_sampled(monkeypatch):
    monkeypatch.setattr(line_sampler.sys, "platform", "darwin")
    assert why_not() == "sampling needs Linux's timers for threads, and this is darwin"
    monkeypatch.setattr(line_sampler.sys, "platform", "linux")
    monkeypatch.setattr(line_sampler.llvm, "get_process_triple", lambda: "riscv64-unknown-linux-gnu")
    assert why_not() == "sampling knows the registers of x86-64 and aarch64, and this is riscv64"


def test_what_it_costs_is_stated(replies):
    found = [reply["sampling"] for name, reply in replies.items() if name not in ("in_threads", "naps")]
    assert all(isinstance(each["cost"], float) for each in found)
    assert all(each["samples"] >= 20 for each in found)


def test_a_signal_changes_nothing_and_ends_no_sleep():
    found = printed_by("interrupted.py")
    assert found["equal"] == dict.fromkeys(["allocates", "in_threads", "calls_python"], True)
    assert all(count > 10 for count in found["samples"].values())
    assert found["cut_short"] == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([14, 0, 18], 18),  # what follows
        ([17, 0, 14, 18], 17),  # what is before, since a head follows
        ([13, 0, 14, 18], 18),  # a root between two heads is of the line that uses it
        ([13, 0, 14, 14], 14),
    ],
)
def test_an_instruction_without_a_line_has_one_near_it_that_is_no_head(lines, expected):
    table = DebugInfo.__new__(DebugInfo)
    table._starts, table._places = list(range(len(lines))), [("a.py", line) for line in lines]
    table._functions = []
    assert table.lines_at(1, lambda place: place[1] in (13, 14)) == [("a.py", expected)]
