"""Hints from the threads' clocks and from samples: what starting threads and counting references cost."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from jitnet.profile.functions.hints import Kind
from jitnet.profile.functions.worker import remedies
from jitnet.profile.functions.worker.diagnostics import Hints
from jitnet.profile.functions.worker.reference_counts import add_reference_hints, drop_counts_of_allocations
from jitnet.profile.functions.worker.regions import ThreadTimes
from jitnet.profile.functions.worker.thread_clock import Entry

SOURCE = """
def f(arrays, n):
    s = 0.0
    for i in range(n):
        x = arrays[i]
        y = arrays[i + 1]
        s += x[0] * y[0]
    for j in range(n):
        s += arrays[j][0]
    return s
"""


def entry(starting_s: float, works_s: float, ending_s: float = 0.0) -> Entry:
    """A region of two threads with equal work."""
    main = threading.main_thread().ident
    shares = tuple((thread, starting_s, starting_s + works_s) for thread in (main, main + 1))
    return Entry(1, 0.0, starting_s + works_s + ending_s, shares)


def kinds(entries: list[Entry], counts=()) -> list[str]:
    """The hints about a call that is these entries of one region."""
    times = ThreadTimes(2)
    times.timed, times.computed = [entries], [entries]
    times.call_s = [sum(each.end_s for each in entries)]
    hints = Hints()
    times.regions(lambda kernel: ("loops.py", 7), counts, hints)
    return [hint["kind"] for hint in hints.found]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([entry(50e-6, 2e-6)] * 20, True),
        ([entry(5e-3, 2e-6)] * 20, True),  # waking them takes longer than the region may
        ([entry(50e-6, 2e-6)] * 19 + [entry(0.0, 3e-3)], True),  # once another program had the core meanwhile
        ([entry(2e-6, 50e-6)] * 20, False),
        ([entry(5e-3, 5e-3)] * 20, False),  # it has enough to do
        ([entry(2e-6, 50e-6)] * 19 + [entry(16e-3, 50e-6)], False),
    ],
)
def test_a_region_is_too_short_where_starting_its_threads_takes_most_of_it(entries, expected):
    assert (Kind.SHORT_REGION.value in kinds(entries)) is expected


def test_threads_that_pay_all_the_same_get_no_hint():
    counts = [(1, 1, [1.0]), (2, 1, [0.6])]
    assert kinds([entry(50e-6, 60e-6)] * 20, counts) == []


def test_counting_references_is_named_at_the_line_of_the_loop_that_has_most_of_it(tmp_path):
    file = tmp_path / "loops.py"
    file.write_text(SOURCE)
    hints = Hints()
    add_reference_hints(hints, {(str(file), 5): 0.05, (str(file), 6): 0.2, (str(file), 9): 0.08})
    (hint,) = hints.found
    assert (hint["kind"], hint["place"]["line"]) == (Kind.REFERENCES.value, 6)
    assert hint["share"] == pytest.approx(0.25)
    assert "25% of the call" in hint["reason"]


def test_a_loop_that_allocates_has_the_hint_of_that_alone(tmp_path):
    file = tmp_path / "loops.py"
    file.write_text(SOURCE)
    hints = Hints()
    add_reference_hints(hints, {(str(file), 6): 0.2, (str(file), 9): 0.2})
    hints.add(Kind.ALLOCATION, str(file), 5, "it allocates", "types")
    drop_counts_of_allocations(hints)
    assert [(hint["kind"], hint["place"]["line"]) for hint in hints.found] == [
        (Kind.REFERENCES.value, 9),
        (Kind.ALLOCATION.value, 5),
    ]


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ((np.ones(64), 20_000), {1, 2, 8, 156, 625, 2500}),  # for 64 iterations, of which each takes up to 20,000
        ((np.ones((640, 3)),), {5, 20, 80}),
        ((True, 1.5), {1, 2, 8}),
    ],
)
def test_pieces_of_a_parallel_loop_are_for_the_extents_and_for_the_numbers(arguments, sizes, monkeypatch):
    monkeypatch.setattr(remedies.numba, "get_num_threads", lambda: 2)
    found = {remedy.change for remedy in remedies._chunks(SimpleNamespace(arguments=arguments), None)}
    assert found == {f"pieces of {size} iteration{'s' * (size > 1)}" for size in sizes}
