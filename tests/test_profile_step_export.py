"""The timeline: a document that follows the trace event format's rules, and says what ran when."""

import json
import math
from collections import defaultdict
from copy import deepcopy
from itertools import pairwise

import fake_profiles as fake
import pytest

from jitnet.profile.step.export import as_trace
from jitnet.profile.step.step_profile import Slice
from jitnet.runs import as_json

NAMES_SOMETHING = {"process_name": "name", "thread_name": "name", "thread_sort_index": "sort_index"}
"""Metadata events, and the argument that each must have."""


def faults(text: str) -> list[str]:
    """The rules of "Trace Event Format" that a document breaks, where it has only complete events and metadata.

    JSON that any reader takes; an object with a list under `traceEvents`; `displayTimeUnit` ms or ns. In each event:
    `ph`, `name`, whole `pid` and `tid`, `args` an object. A complete event has finite `ts` and `dur`, neither below 0,
    and those of one thread contain one another whole or not at all. A metadata event is one that the format knows, with
    its argument, and says it once for a process or thread. Viewers also want a time on every event.
    """
    try:
        document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    except ValueError:
        return ["is not JSON"]
    if not isinstance(document, dict) or not isinstance(document.get("traceEvents"), list):
        return ["no list of traceEvents"]
    found = [] if document.get("displayTimeUnit") in ("ms", "ns") else ["displayTimeUnit"]
    said, tracks = set(), defaultdict(list)
    for place, event in enumerate(document["traceEvents"]):
        where = f"event {place}: "
        if not isinstance(event.get("name"), str) or not event["name"]:
            found.append(where + "name")
        for field in ("pid", "tid"):
            if type(event.get(field)) is not int:
                found.append(where + field)
        if not isinstance(event.get("args", {}), dict):
            found.append(where + "args")
        if not isinstance(event.get("cat", ""), str):
            found.append(where + "cat")
        if not number(event.get("ts")):
            found.append(where + "ts")
        if event.get("ph") == "X":
            if not number(event.get("dur")):
                found.append(where + "dur")
            elif number(event.get("ts")):
                begin, length = round(event["ts"] * 1000), round(event["dur"] * 1000)
                tracks[event.get("pid"), event.get("tid")].append((begin, begin + length))
        elif event.get("ph") == "M":
            wanted = NAMES_SOMETHING.get(event.get("name"))
            if wanted is None or wanted not in event.get("args", {}):
                found.append(where + "metadata")
            about = event.get("name"), event.get("pid"), event.get("tid")
            if about in said:
                found.append(where + "said twice")
            said.add(about)
        else:
            found.append(where + "ph")
    for track, spans in tracks.items():
        open_until = []
        for begin, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            if open_until and end > open_until[-1]:
                found.append(f"track {track}: slices overlap at {begin} ns")
            open_until.append(end)
        if ("thread_name", *track) not in said:
            found.append(f"track {track} has no name")
    return found


def number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def trace_of(**fields: object) -> dict:
    return as_trace(fake.profile(**fields))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_document_follows_the_formats_rules(threads):
    assert faults(as_json(trace_of(threads=threads))) == []


BREAKS = {
    "ph": lambda events: events[-1].update(ph="Q"),
    "name": lambda events: events[-1].pop("name"),
    "pid": lambda events: events[-1].update(pid="one"),
    "tid": lambda events: events[-1].update(tid=1.0),
    "args": lambda events: events[-1].update(args=[1]),
    "cat": lambda events: events[-1].update(cat=3),
    "ts": lambda events: events[-1].update(ts="0"),
    "dur": lambda events: events[-1].update(dur=-0.001),
    "metadata": lambda events: events[0].update(args={}),
    "said twice": lambda events: events.append(events[0]),
    "overlap": lambda events: events[-2].update(dur=events[-2]["dur"] + 0.002),
    "has no name": lambda events: events.remove(next(e for e in events if e["name"] == "thread_name")),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_document_is_noticed(fault):
    document = deepcopy(trace_of(threads=1))
    BREAKS[fault](document["traceEvents"])
    assert [text for text in faults(json.dumps(document)) if fault in text]
    assert faults("{") == ["is not JSON"]
    assert faults("[]") == faults('{"traceEvents": {}}') == ["no list of traceEvents"]


def test_a_slice_says_what_ran_where_and_when():
    rows = fake.default_rows()
    slices = (Slice(7, 4, 0, 1e-6, 17e-6), Slice(7, 4, 1, 2e-6, 18.5e-6), Slice(8, 3, 1, 20e-6, 20.0004e-6))
    events = trace_of(rows=rows, slices=slices)["traceEvents"]
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert tracks == {0: "steps", 1: "thread 0", 2: "thread 1"}
    shown = [(tracks[e["tid"]], e["name"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert shown == [
        ("steps", "step 7", 1.0, 17.5),
        ("steps", "step 8", 20.0, 0.0),
        ("thread 0", "backward_sparse 0", 1.0, 16.0),
        ("thread 1", "backward_sparse 0", 2.0, 16.5),
        ("thread 1", "gather 0", 20.0, 0.0),
    ]
    first, _, gather = (event["args"] for event in events if event.get("cat") == "operation")
    assert first == {
        "shape": "32×784×128",
        "FLOP": 1.2e6,
        "bytes": 8.2e5,
        "GFLOP/s": 75.0,
        "FLOP with zeros": 6.4e6,
        "split by": "units",
        "parts": 2,
        "region": 1,
    }
    assert "GFLOP/s" not in gather


def test_adjacent_slices_do_not_overlap_after_rounding():
    ends = [0.0, 1.0000004e-6, 2.0000006e-6, 3.0000005e-6, 3.00000051e-6]
    slices = tuple(Slice(0, 0, 0, begin, end) for begin, end in pairwise(ends))
    assert faults(as_json(trace_of(threads=1, slices=slices))) == []


def test_a_profile_without_slices_has_named_tracks_and_nothing_on_them():
    document = trace_of(slices=())
    assert faults(as_json(document)) == []
    assert {event["ph"] for event in document["traceEvents"]} == {"M"}
