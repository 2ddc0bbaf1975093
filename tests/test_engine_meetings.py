"""Where parts meet: nothing of a region needs what another part makes in it, and every meeting is needed.

Seen in plain Python: what each part reads and writes of the arrays of a run, number by number.
"""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from counting import READ, WRITTEN, counting, watch, watched
from loop import Loop, Problem
from numba import config

from jitnet.engine import ownership
from jitnet.engine.loop import perform
from jitnet.engine.program import evaluating
from jitnet.machine.blocks import LANES, PANEL, PARTIAL_UNITS, TILE_ROWS

pytestmark = [
    pytest.mark.small,
    pytest.mark.skipif(not config.DISABLE_JIT, reason="compiled code does not say what it reads and writes"),
]

PARTS = 2
UNITS, BATCH = 2 * PARTIAL_UNITS, 2 * LANES
NETWORKS = {
    "partials": ((5, UNITS, 3), {}),
    "two layers": ((5, 2 * PANEL, UNITS, 3), {"dropout": (0.5, 0.5)}),
    "no hidden layer": ((5, LANES + 3), {"ema": 0.9}),
    "many outputs": ((5, UNITS, 2 * PANEL), {"optimizer": "adam"}),
    "late": ((5, 2 * PANEL, UNITS, 3), {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9}),
    "limited": ((5, UNITS, 3), {"max_norm": 0.3}),
    "layers": ((5, UNITS, UNITS, 3), {"norm": "layer", "residual": True, "ema": 0.9}),
    "folded": ((2 * LANES, UNITS, 3), {"input_scale": True}),
    "folded, no hidden layer": ((2 * LANES, 2 * PANEL), {"input_scale": True}),
}


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing. Columns are marked once for all."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)
    monkeypatch.setattr(ownership, "_HANDING_FLOP", -np.inf)


UNEVEN = 5 * PANEL
IN_PIECES = {
    "partials": ((7, UNEVEN, 3), {}),
    "two layers": ((5, UNEVEN, UNEVEN, 3), {"optimizer": "adam", "dropout": (0.5, 0.5), "residual": True}),
    "no hidden layer": ((2 * TILE_ROWS + 1, PANEL), {"ema": 0.9}),
    "many outputs": ((5, UNEVEN, 2 * PANEL), {"optimizer": "momentum"}),
    "late": ((5, UNEVEN, 3), {"clip_norm": 0.1, "max_norm": 0.3, "ema": 0.9}),
}
"""Networks whose groups of units two parts cannot share evenly; and of one group."""


class Region(NamedTuple):
    """What each part read and wrote: (array, place)."""

    lines: tuple
    read: list
    written: list


def walked(each, program):
    """The regions of two steps with what the parts read and wrote in them; a third step follows."""
    run = each.engine_run
    run.call.n_steps = 3
    run, arrays = watched(run._replace(program=program.table()))
    arrays["squares"] = watch(run.state.squares)
    run = run._replace(state=run.state._replace(squares=arrays["squares"]))
    lines = list(enumerate(program.lines))
    places = [(0, each) for each in lines] + [(1, each) for each in lines[len(program.first) :]]
    for step, found in itertools.groupby(places, key=lambda place: (place[0], place[1][1].region)):
        numbers, region = zip(*(each for _, each in found), strict=True)
        read, written = [], []
        for part in range(region[0].parts):
            for array in arrays.values():
                array.marks[...] = 0
            with counting():
                perform(run, numbers[0], numbers[-1] + 1, step[0], step[0] + 1, part)
            for mark, kept in ((READ, read), (WRITTEN, written)):
                kept.append(
                    {(name, int(at)) for name, array in arrays.items() for at in np.flatnonzero(array.marks & mark)}
                )
        yield Region(region, read, written)


def crossed(one, other):
    """Numbers that a part of one region writes and another part of the other reads or writes."""
    found = set()
    for p, q in itertools.product(range(len(one.written)), range(len(other.written))):
        if p != q:
            found |= one.written[p] & (other.read[q] | other.written[q])
    return found


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("name", NETWORKS)
def test_parts_meet_where_they_must_and_nowhere_else(name, inputs):
    widths, options = NETWORKS[name]
    each = Loop(Problem(widths, 3 * BATCH), BATCH, inputs=inputs, threads=PARTS, **options)
    assert not each.layout.network.in_pieces
    assert_meetings(each)


@pytest.mark.parametrize("inputs", ["dense", "sparse"])
@pytest.mark.parametrize("name", IN_PIECES)
def test_parts_meet_where_they_must_in_pieces_too(name, inputs, monkeypatch):
    monkeypatch.setattr(ownership, "_MEETING_FLOP", 0)
    widths, options = IN_PIECES[name]
    batch = 2 * PANEL
    each = Loop(Problem(widths, 3 * batch), batch, inputs=inputs, threads=PARTS, **options)
    assert each.layout.network.in_pieces
    assert_meetings(each)


def assert_meetings(each):
    """Nothing of a region needs what another part makes in it, and every meeting is needed."""
    for program in (each.program, evaluating(each.step, each.layout)):
        regions = list(walked(each, program))
        assert max(line.parts for line in program.lines) == PARTS
        for region in regions:
            assert not crossed(region, region), region.lines
        for before, after in itertools.pairwise(regions):
            if "batch before" in after.lines[0].waits_for or before.lines[-1] in program.first:
                continue  # between batches that are measured the losses are added up; once a call the first lines end
            assert crossed(before, after) or crossed(after, before), (before.lines[-1].name, after.lines[0].name)
