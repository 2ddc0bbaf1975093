"""The page of a function, its roofline and its timeline, from records that were filled by hand."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import fake_profiles as fake
import pytest
from test_profile_step_export import faults

from jitnet.profile.functions.count_records import Counted, Hardware
from jitnet.profile.functions.function_rates import hardware_text, loop_rates, rate_text
from jitnet.profile.functions.function_roofline import roofline_of_function
from jitnet.profile.functions.function_trace import trace_of
from jitnet.profile.functions.hint_records import Fix
from jitnet.profile.functions.page import page
from jitnet.profile.functions.page_roofline import roofline_svg
from jitnet.runs import as_json

PROFILE = fake.function_profile()
ROOFLINE = roofline_of_function(PROFILE, fake.probes(), "A CPU of 2 cores")
BARE = fake.function_profile(
    compile_s=None, flop=None, bytes=None, hints=(), unsearched=(), notes=(), thread_shares=(), regions=(),
    functions=(), checks=(), sampling=None, counted=None, hardware=None, timeline=(), lines=None, arguments=(),
    returns="", options="", counts=PROFILE.counts[:1],
)  # fmt: skip
EMPTY = {"meta", "br"}


class Reader(HTMLParser):
    """Reads a page: its text, the names of its elements, and whether they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.texts, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, name, attributes):
        self.seen.append(name)
        for key, value in attributes:
            if key in ("href", "src"):
                self.links.append(value)
            if key == "id":
                self.links.append(f"id={value}")
        if name not in EMPTY:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.seen.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("profile", [PROFILE, BARE], ids=["full", "bare"])
@pytest.mark.parametrize("roofline", [ROOFLINE, None, replace(ROOFLINE, points=())], ids=["points", "none", "empty"])
def test_a_page_is_well_formed_and_needs_nothing_else(profile, roofline):
    made = page(profile, roofline)
    read = Reader(made)
    assert not set(read.seen) & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|url\(|@import|javascript:|\son\w+=", made)
    assert all(link.startswith(("#", "id=")) for link in read.links)
    names = [link for link in read.links if link.startswith("id=")]
    assert len(names) == len(set(names))


def test_it_says_all_that_is_known():
    text = Reader(page(PROFILE, ROOFLINE)).text
    for expected in (
        "smooth(x, out)",
        "/somewhere/else/theirs.py:10",
        "1.00 ms a call ±5%, median of 3 calls, on 2 threads",
        "1 GFLOP/s, 2 GB/s, 0.5 FLOP per byte (counted by running it)",
        "1 and 2 threads : out differs by 0.25",
        "measured: 3.04 × faster (2.90 to 3.20), results equal",
        "line 11 for i in prange(x.shape[0]): 80% 10% 800 µs 1.00 M 1.60 M",
        "scaled def scaled(value): 20% 20% 200 µs",
        "lines outside these 5.0%",
        "starting threads 15% 150 µs",
        "By 1,000 samples, which made a call 8% longer.",
        "in each thread: vectorised ×4",
        "in the loop of line 12, in each thread",
        "vmulpd %ymm0, %ymm1, %ymm2",
        "outside loops",
        "loop in line 12",
        "in a mean call, on all threads",
        "3,000,000",
        "instructions a cycle 2",
        "What it writes was restored before every call.",
        "Not checked: a call that was not inlined (it takes 44 s to compile).",
    ):
        assert expected in text
    assert "branch misses" not in text


def test_columns_of_what_is_not_known_are_left_out():
    heads = ["FLOP", "bytes", "GFLOP/s", "GB/s", "bound by"]
    assert [head in Reader(page(PROFILE, ROOFLINE)).texts for head in heads] == [True] * 5
    assert [head in Reader(page(BARE)).texts for head in heads] == [False] * 5
    assert "time" in Reader(page(BARE)).texts
    assert "GB/s" not in Reader(page(replace(PROFILE, bytes=None, counted=None))).texts


def test_paths_are_as_short_as_they_can_be_typed(monkeypatch):
    monkeypatch.syspath_prepend("/somewhere/else")
    made = page(PROFILE, ROOFLINE)
    assert "somewhere" not in made
    text = Reader(made).text
    assert "in theirs.py:10 compiled as" in text
    assert "smooth, theirs.py:10" in text


def test_what_is_the_users_is_escaped():
    made = page(PROFILE, ROOFLINE)
    assert "&quot;&lt;b&gt;&amp;amp;&lt;/b&gt;&quot;" in made
    assert ".LBB0_3 &lt;again&gt;" in made
    assert "iterations 1 &lt; 2 &amp; 3 write out." in made
    named = fake.function_profile(target='<i>.py:"f"')
    assert "<i>" not in page(named, roofline_of_function(named, fake.probes(), "<i>"))


def test_lines_have_their_heat_their_instructions_and_their_hints_in_place():
    made = page(PROFILE)
    rows = re.findall(r'<(div class="row"|details) id="line-[-\w]*-(\d+)">(.*?)</(?:div|summary)>', made)
    found = {int(line): (kind, content) for kind, line, content in rows}
    assert set(found) == {3, 4, 10, 11, 12, 13, 14}
    assert {line for line, (kind, _) in found.items() if kind == "details"} == {4, 12}
    assert '--share: 50.0%">50%<' in found[13][1]
    assert "%" not in found[14][1].replace("%)", ""), "less than it could be"
    order = [made.index(f">{number}</span>") for number in (12, 13, 14)]
    places = [made.index(text) for text in ("vectorised ×4", "<ins>+@njit(parallel=True, fastmath=True)", "1 &lt; 2")]
    assert order[0] < places[0] < places[1] < order[1] < places[2] < order[2]


@pytest.mark.parametrize(
    ("changes", "measured"),
    [
        ({"factor": 0.8, "low": 0.7, "high": 0.9}, "1.25 × slower"),
        ({"factor": 1.02, "low": 1.01, "high": 1.03}, "no faster, 1.02 ×"),
        ({"factor": 3.0, "low": 2.9, "high": 3.1, "difference": 0.5, "alike": False}, "but other results"),
    ],
)
def test_what_does_not_help_is_only_in_a_list_that_opens(changes, measured):
    trial = replace(PROFILE.hints[1].trial, **changes)
    made = page(fake.function_profile(hints=(replace(PROFILE.hints[1], trial=trial),)))
    assert "No change that was tried makes it faster." in made
    assert "<details><summary>Without effect on the time: 1</summary>" in made
    assert made.count(measured) == 1
    assert "<ins>" not in made


def test_a_hint_where_no_time_is_spent_is_in_that_list_too():
    made = page(fake.function_profile(hints=(replace(PROFILE.hints[0], kind="layout", trial=None, share=0.0),)))
    assert "No hint matters." in made
    assert "<details><summary>Without effect on the time: 1</summary>" in made


def test_what_helps_is_shown_combined_with_its_diff():
    trial = replace(PROFILE.hints[1].trial, factor=5.0, low=4.5, high=5.5)
    fix = Fix(("fastmath=True", "x contiguous"), trial, "--- a\n+++ b\n-old\n+new < 1\n", ("pass x contiguous",))
    made = page(fake.function_profile(fix=fix))
    text = Reader(made).text
    assert "together : measured: 5.00 × faster (4.50 to 5.50), results equal , with fastmath=True, x contiguous" in text
    assert "Not in the source: pass x contiguous." in text
    assert "<ins>+new &lt; 1</ins>" in made
    alone = replace(fix, changes=fix.changes[:1], diff=trial.diff)
    assert "the change</b>" not in page(fake.function_profile(fix=alone)), "it is below its line"
    assert "the change</b>" in page(fake.function_profile(fix=replace(alone, diff="-old\n+new\n")))


def test_a_hint_in_a_line_that_is_not_shown_is_not_lost():
    hint = replace(PROFILE.hints[0], place=replace(PROFILE.place, file="/elsewhere.py", line=3), reason="what is there")
    assert "what is there." in page(fake.function_profile(hints=(hint,)))


def test_counters_that_cannot_be_read_are_one_line():
    refused = Hardware(reason="the processor has none")
    text = Reader(page(fake.function_profile(hardware=refused))).text
    assert "The processor's counters Not read: the processor has none." in text
    assert hardware_text(refused) == ""
    assert hardware_text(PROFILE.hardware) == (
        "3,000,000 cycles, 6,000,000 instructions, 1,200 cache misses, 2.00 instructions a cycle"
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "1 GFLOP/s, 2 GB/s, 0.5 FLOP per byte (counted by running it)"),
        ({"flop_formula": "x.size"}, "1 GFLOP/s, 2 GB/s, 0.5 FLOP per byte (counted by --flop, bytes by running it)"),
        ({"flop_formula": "1", "bytes_formula": "2"}, "1 GFLOP/s, 2 GB/s, 0.5 FLOP per byte (counted by --flop and "
         "--bytes)"),
        ({"flop": 0.0}, "2 GB/s (counted by running it)"),
        ({"bytes": None}, "1 GFLOP/s (counted by running it)"),
        ({"flop": None, "bytes": None}, ""),
        ({"flop": 0.0, "bytes": 0.0}, ""),
    ],
)  # fmt: skip
def test_rates_say_how_they_were_counted(fields, expected):
    assert rate_text(fake.function_profile(**fields)) == expected


def test_the_roofline_has_the_function_and_its_loops():
    points = {point.name: point for point in ROOFLINE.points}
    assert list(points) == ["smooth", "loop in line 11", "loop in line 12"]
    assert points["smooth"].gflops == pytest.approx(1.0)
    assert points["smooth"].intensity == pytest.approx(0.5)
    assert points["loop in line 12"].gflops == pytest.approx(1e6 / 0.7e-3 / 1e9)
    assert points["loop in line 12"].intensity == pytest.approx(1 / 1.6)
    assert ROOFLINE.peak_gflops == 200.0
    assert ROOFLINE.title == "Roofline of smooth on 2 threads"
    without = fake.function_profile(flop=0.0, counted=Counted(0.0, 2e6, (), ""))
    assert roofline_of_function(without, fake.probes(), "").left_out == ("smooth",)
    unsampled = fake.function_profile(sampling=None)
    assert len(roofline_of_function(unsampled, fake.probes(), "").points) == 1


def test_the_drawing_is_svg_with_a_letter_for_each_point():
    root = ElementTree.fromstring(roofline_svg(ROOFLINE))
    texts = ["".join(each.itertext()) for each in root.iter("text")]
    assert {"A", "B", "C", "FLOP per byte", "GFLOP/s", "memory 20 GB/s", "multiply-adds 200 GFLOP/s"} <= set(texts)
    assert len(list(root.iter("circle"))) == 3
    letters = [each for each in root.iter("text") if each.get("class") == "letter"]
    places = {(each.get("x"), each.get("y")) for each in letters}
    assert len(places) == 3, "letters of points that are near each other are apart"


def test_the_timeline_follows_the_format():
    document = trace_of(PROFILE)
    assert faults(as_json(document)) == []
    slices = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in slices].count("smooth") == 2
    regions = [event for event in slices if event["name"] == "theirs.py:11"]
    assert sorted({event["tid"] for event in regions}) == [1, 2]
    assert (regions[0]["ts"], regions[0]["dur"]) == (10.0, 890.0)
    serial = fake.function_profile(timeline=tuple(replace(call, regions=()) for call in PROFILE.timeline))
    assert faults(as_json(trace_of(serial))) == []


def test_a_loop_that_is_called_in_two_places_has_the_time_of_both():
    sampling = PROFILE.sampling
    twice = replace(sampling, loops=(*sampling.loops, replace(sampling.loops[1], depth=0, share=0.1, own=0.1)))
    profile = fake.function_profile(sampling=twice)
    points = {point.name: point for point in roofline_of_function(profile, fake.probes(), "").points}
    assert points["loop in line 12"].gflops == pytest.approx(1e6 / 0.8e-3 / 1e9)
    rates = loop_rates(profile)
    assert [rates.get(id(row)) for row in twice.loops] == [("1.25", "2"), None, None, None]
    assert loop_rates(PROFILE)[id(sampling.loops[1])] == ("1.43", "2.29")
    assert loop_rates(fake.function_profile(counted=None)) == {}
