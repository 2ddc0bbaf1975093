"""The script that holds hints to functions whose faults are known: what it counts as true, false, missed and open."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import jitnet
from jitnet.profile.functions.function_profile import Check
from jitnet.profile.functions.hint_records import Hint, Trial
from jitnet.profile.functions.places import Place

SCRIPT = Path(jitnet.__file__).parents[1] / "scripts" / "planted.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("planted_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def hint(kind: str, line: int, trial: Trial | None = None, untried: str = "") -> Hint:
    return Hint(kind, Place("x.py", line, ""), "", "", "types", trial=trial, untried=untried)


def judged(script, monkeypatch, hints=(), checks=(), **truth):
    profile = SimpleNamespace(hints=hints, checks=checks, notes=())
    monkeypatch.setattr(script, "profile_function", lambda target, args, setup, time_s: profile)
    known = replace(next(script.read_planted()), must=(), may=(), lines=())
    return script.judge(replace(known, **truth), 10.0)


def test_there_are_enough_functions_and_half_have_no_fault(script):
    planted = list(script.read_planted())
    assert len({each.name for each in planted}) == len(planted) >= 60
    assert sum(not each.must for each in planted) >= len(planted) / 2
    assert all(each.tempting or each.must or each.may for each in planted if each.file == "races")
    assert all(each.must for each in planted if each.file != "clean")


def test_a_fault_is_found_where_a_hint_names_its_line(script, monkeypatch):
    fault = {"must": (("reduction",),), "lines": (7,)}
    assert judged(script, monkeypatch, [hint("reduction", 7)], **fault).found == ("reduction",)
    elsewhere = judged(script, monkeypatch, [hint("reduction", 9)], **fault)
    assert (elsewhere.missed, elsewhere.false) == (("reduction",), ("reduction in line 9",))
    both = judged(script, monkeypatch, [hint("reduction", 7), hint("reduction", 9)], **fault)
    assert (both.found, both.false) == (("reduction",), ("reduction in line 9",))
    failed = judged(
        script, monkeypatch, checks=[Check("bounds", "failed", "", Place("x.py", 7, ""))], must=(("bounds",),)
    )
    assert failed.found == ("bounds",)


def test_a_hint_that_is_not_shown_is_no_hint(script, monkeypatch):
    slower = hint("reduction", 7, Trial("", 0.8, 0.7, 0.9, 0.0))
    assert judged(script, monkeypatch, [slower]).false == ()
    assert judged(script, monkeypatch, [slower], must=(("reduction",),)).missed == ("reduction",)


def test_what_there_was_no_time_to_try_is_open(script, monkeypatch):
    untried = hint("reduction", 7, untried="no time is left of 10 s; --time 25 tries it")
    found = judged(script, monkeypatch, [untried, hint("call", 8), hint("layout", 8)], may=("layout",))
    assert (found.open, found.false, found.also) == (("reduction",), ("call",), ("layout",))
