"""The line view's process: it compiles beside the worker process, and stops while something is timed."""

import re

import pytest

from jitnet.profile.functions import early_lines, profiling
from jitnet.profile.functions.early_lines import SHORTEST_LOOK_S, EarlyLines
from jitnet.profile.functions.profiling import ending
from jitnet.profile.functions.thresholds import AFTER_COMPILING, FRAME_S, LINES_S, LONGER_CHECKS_S

pytestmark = pytest.mark.small

COMPILED = {"pickled": "types", "compile_s": 1.0}


class Look:
    """What `EarlyLook` is asked to do."""

    def __init__(self, target, cpu):
        self.pickled, self.asked = "", []

    def give(self, pickled):
        self.pickled = pickled
        self.asked.append("give")

    def pause(self):
        self.asked.append("pause")

    def resume(self):
        self.asked.append("resume")

    def __exit__(self, *_):
        self.asked.append("end")


@pytest.fixture
def early(monkeypatch):
    monkeypatch.setattr(early_lines, "EarlyLook", Look)
    monkeypatch.setattr(early_lines, "CORES", [0, 1])
    monkeypatch.setattr(early_lines.sys, "platform", "linux")
    return EarlyLines("loops.py:f", None)


def test_it_compiles_while_nothing_is_timed_and_stops_before_the_first_call(early):
    for stage in ("starting Numba", "compiling", "checking its results"):
        early.stage(stage)
    early.compiled(COMPILED)
    assert early._look.asked == ["give"]
    for stage in ("calling it for the first time (loops.py:3)", "timing it", "timing it", "sampling it"):
        early.stage(stage)
    assert early._look.asked == ["give", "pause"]
    early.stage("compiling it with a line table")
    early.stage("counting its operations")
    assert early._look.asked == ["give", "pause", "resume", "pause"]
    assert early.look("types") is early._look
    assert early._look.asked[-1] == "resume"
    with early:
        pass
    assert early._look.asked[-1] == "end"


def test_other_types_are_compiled_by_another_process(early):
    early.compiled(COMPILED)
    assert early.look("other types") is None


def test_types_that_are_known_late_are_given_late(early):
    early.compiled({"pickled": "", "compile_s": None})
    assert not early.is_given
    early.stage("timing it")
    assert early.look("types").pickled == "types"
    assert early._look.asked == ["pause", "give", "resume"]


def test_what_compiles_slowly_is_compiled_again_only_where_there_is_time(early):
    early.compiled({"pickled": "types", "compile_s": SHORTEST_LOOK_S + 1})
    assert not early.is_given


def test_on_one_core_nothing_runs_beside_the_worker_process(monkeypatch):
    monkeypatch.setattr(early_lines, "EarlyLook", lambda target, cpu: pytest.fail("it was started"))
    monkeypatch.setattr(early_lines, "CORES", [0])
    with EarlyLines("loops.py:f", None) as early:
        early.stage("timing it")
        early.compiled(COMPILED)
        assert early.look("types") is None


def test_an_answer_ends_with_its_time_and_most_of_that_follows_compiling():
    assert ending(0.0, 0.1, 10.0) == pytest.approx(10.0 - FRAME_S)
    assert ending(0.0, 30.0, 10.0) == pytest.approx(30.0 + AFTER_COMPILING * 10.0)


@pytest.mark.parametrize("compile_s", [7.0, 40.0])
def test_the_time_that_a_missing_line_view_asks_for_is_enough(compile_s):
    spent_s = 4.0
    reply = {"pickled": "types", "compile_s": compile_s, "left_s": 1.0, "spent_s": spent_s}
    view, reason = profiling._look(None, reply, (None, None))
    assert view is None
    time_s = float(re.search(r"--time (\d+) allows that", reason)[1])
    left_s = ending(0.0, compile_s + 2.0, time_s) - (compile_s + 2.0) - spent_s - LONGER_CHECKS_S
    assert (1 - profiling.TRIALS) * left_s - LINES_S >= compile_s
