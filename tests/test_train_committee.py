"""`jitnet train --committee`."""

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from in_process import InProcess

import jitnet
from jitnet import Committee
from jitnet.search import local

TRAIN = ("train", "--data", "digits", "--hidden", "8", "--epochs", "2")


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(local, "Local", InProcess)
    monkeypatch.setattr(InProcess, "before", None)


def test_members_differ_in_their_seed_alone(call, one_process):
    result = call(*TRAIN, "--committee", "3", "--seed", "4", "--out", "c", "--json")
    assert result.code == 0, result.err
    committee = Committee.load("c")
    assert [member.metadata["seed"] for member in committee.members] == ["4", "5", "6"]
    call(*TRAIN, "--seed", "5", "--out", "one", "-q")
    alone = jitnet.load_model("one")
    np.testing.assert_array_equal(alone.weights[0], committee.members[1].weights[0])
    found, data = json.loads(result.out), jitnet.load("digits")
    assert found["committee"] == 3
    assert found["test"]["accuracy"] == jitnet.evaluate(committee, data).accuracy
    assert [row["run"] for row in found["members"]] == ["c/member-1", "c/member-2", "c/member-3"]
    assert found["members"][1]["test"]["accuracy"] == jitnet.evaluate(alone, data).accuracy


def test_its_run_is_repeated_from_its_folder(call, one_process):
    call(*TRAIN, "--committee", "2", "--seed", "3", "--out", "c", "-q")
    result = call("train", "--config", "c", "--out", "again", "-q")
    assert result.code == 0, result.err
    first, again = (Committee.load(folder) for folder in ("c", "again"))
    for one, other in zip(first.members, again.members, strict=True):
        np.testing.assert_array_equal(one.weights[0], other.weights[0])
    assert "hidden = [8]" in call("train", "--config", "c", "--print-config").out


def test_its_run_is_a_run(call, one_process):
    shown = call(*TRAIN, "--committee", "2", "--out", "c").out
    assert re.search(r"^member-2 +2 +2 +\d\d\.\d\d% ", shown, re.MULTILINE)
    assert re.search(r"^committee +\d\d\.\d\d% ", shown, re.MULTILINE)
    assert "jitnet eval c" in shown
    assert sorted(path.name for path in Path("c").iterdir()) == [
        "config.json",
        "member-1",
        "member-2",
        "model.safetensors",
    ]
    assert json.loads(Path("c/config.json").read_text())["committee"] == 2
    assert json.loads(call("eval", "c", "--json").out)["accuracy"] > 0
    again = call(*TRAIN, "--committee", "2", "--out", "c")
    assert again.code == 1
    assert "c holds a run already" in again.err


def test_it_is_listed_and_drawn_with_the_curves_of_its_members(call, one_process):
    call(*TRAIN, "--out", "runs/one", "-q")
    call(*TRAIN, "--committee", "2", "--out", "runs/two", "-q")
    found = {row["name"]: row for row in json.loads(call("runs", "--json").out)["runs"]}
    assert sorted(found) == ["one", "two"]
    two, accuracy = found["two"], json.loads(call("eval", "two", "--json").out)["accuracy"]
    assert (two["state"], two["problem"], two["epochs"], two["best"]) == ("finished", None, 2, accuracy)
    assert (two["settings"]["committee"], two["part"]) == (2, "test")
    assert "runs/two" in call("eval", "@latest", "--json").out
    drawn = call("plot", "@latest", "--out", "two.svg")
    assert (drawn.code, Path("two.svg").read_bytes()[:5]) == (0, b"<?xml"), drawn.err
    alone = call("compare", "two", "one")
    assert alone.code == 1
    assert "runs/two: is a committee, and its members have the curves: name these, runs/two/member-1 " in alone.err
    assert call("compare", "runs/two/member-1", "one").code == 0
    assert call("train", "--resume", "two").err == "! runs/two is finished: a committee of 2 networks\n"
    assert call("committee", "two", "one", "--out", "three.safetensors").code == 0
    assert len(Committee.load("three.safetensors")) == 3


@pytest.mark.parametrize(("count", "in_it", "members"), [(4, 3, 2), (2, 2, 2)])
def test_ctrl_c_keeps_the_members_so_far(call, one_process, monkeypatch, count, in_it, members):
    """Members that were stopped are in it only where fewer than two others ended."""

    def interrupt(work):
        if work.name == f"member-{in_it}":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)  # the engine is stopped from another thread

    monkeypatch.setattr(InProcess, "before", staticmethod(interrupt))
    result = call(*TRAIN, "--committee", count, "--out", "c")
    assert result.code == 130
    assert len(Committee.load("c")) == members
    assert f"stopped: the committee has {members} of {count} members" in result.err
    assert ("of which 1 was not trained to the end" in " ".join(result.err.split())) == (count == 2)
    assert "c: is the run of a committee, whose members go on one by one" in call("train", "--resume", "c").err
    assert json.loads(call("runs", ".", "--json").out)["runs"][0]["state"] == "stopped"


def test_one_member_is_no_committee_and_is_kept(call, one_process, monkeypatch):
    def interrupt(work):
        if work.name == "member-1":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    monkeypatch.setattr(InProcess, "before", staticmethod(interrupt))
    result = call(*TRAIN, "--committee", "3", "--out", "c")
    assert result.code == 130
    assert "stopped with 1 of 3 members, and a committee is of two or more; c/member-1 holds it" in result.err
    assert jitnet.load_model("c/member-1")


def test_a_member_that_fails_is_named_and_the_others_are_kept(call, one_process, monkeypatch):
    def obstruct(work):
        if work.name == "member-2":
            Path("c/member-2").mkdir()
            Path("c/member-2/config.json").touch()

    monkeypatch.setattr(InProcess, "before", staticmethod(obstruct))
    result = call(*TRAIN, "--committee", "3", "--out", "c")
    assert result.code == 1
    assert len(Committee.load("c")) == 2
    assert re.search(r"error: c/member-2: .*holds a run already", result.err)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--committee", "1"), "--committee: expected a whole number from 2 to 1,000, found '1'"),
        (("--committee", "2", "--threads", "1"), "--threads: each member of a committee is trained on one thread"),
        (("--committee", "2", "--explain"), "--explain is of one network, and cannot be combined with --committee"),
        (("--committee", "2", "--target-acc", "90"), "--target-acc is of one network, not of a committee"),
    ],
)
def test_bad_input_is_one_line(call, one_process, options, message):
    result = call(*TRAIN, *options)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert message in result.err
    assert not Path("runs").exists()


def test_members_are_trained_in_worker_processes(call):
    result = call(*TRAIN, "--committee", "2", "--out", "c", "--json")
    assert result.code == 0, result.err
    call(*TRAIN, "--seed", "1", "--out", "one", "-q")
    member = Committee.load("c").members[1]
    np.testing.assert_array_equal(member.weights[0], jitnet.load_model("one").weights[0])
