"""Who does what part: the one place that decides how work is split, in how many parts, and which range each part is
assigned.

A line of the program says what it is split by. `assigned_range` returns the range of one part, in compiled code and in
Python alike; an operation works on that range and on nothing else. Every number has one writer and one order of
summing, whatever the number of parts, so the bits do not depend on it.

Most lines are cut by units, each with all samples: a unit's weights stay with one part in forward, backward and
update, and so in one core's cache. Where a layer has fewer groups of units than a large batch's work pays for threads,
or so few that some parts would have much more work than others, a step is cut in pieces: some units with some samples,
and of weights some units with some inputs. A part is assigned pieces that follow each other: all samples of some units,
then of the next. So any count of parts shares the work evenly. Parts meet twice more then in a step (`in_pieces`): what
they make of a layer, others need in the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import types

from jitnet.compiler.decorators import helper, linked, plain
from jitnet.compiler.signatures import INT
from jitnet.engine.loop_records import LayerRecord
from jitnet.engine.state import BATCH, RUN
from jitnet.machine.blocks import LANES, PANEL, PREDICT_BLOCK, TILE_ROWS, TILE_UNITS, UPDATE_BLOCK

__all__ = [
    "MEETINGS",
    "SAMPLES_AT_A_TIME",
    "SPLITS",
    "PartialSum",
    "Parts",
    "assigned_range",
    "choose_parts",
    "count_pieces",
    "each_for_itself",
    "in_pieces",
    "joins",
    "marks_together",
    "next_piece",
    "part_of",
    "partial_sums",
    "units_of_a_piece",
]

SPLITS = {
    "units": 0,  # of this layer, groups of whole panels
    "units below": 1,  # the same of the layer below: this layer's inputs
    "panels": 2,  # units of this layer, whole panels, whatever the groups
    "samples": 3,  # of the batch
    "vectors of samples": 4,  # the same, LANES of them together
    "every part": 5,  # each part does all samples, for itself
    "blocks": 6,  # of UPDATE_BLOCK parameters
    "inputs": 7,  # of this layer, LANES of them together
    "pieces": 8,  # some units of this layer with PANEL samples
    "pieces below": 9,  # the same of the layer below
    "pieces of weights": 10,  # some units of this layer with TILE_ROWS inputs
    "samples of all units": 11,  # vectors of samples with all units of this layer
}
(
    UNITS,
    UNITS_BELOW,
    PANELS,
    SAMPLES,
    VECTORS,
    EVERY_PART,
    BLOCKS,
    INPUTS,
    PIECES,
    PIECES_BELOW,
    WEIGHTS,
    OF_ALL_UNITS,
) = (np.int64(code) for code in SPLITS.values())

MEETINGS = {
    "barriers": 0,  # one parallel loop for all steps of a call: parts wait for each other between regions
    "region ends": 1,  # each region of each step is a separate parallel loop
    "never": 2,  # a part does all of a step, and takes the next that is free: one beside a busy neighbour does fewer
}
"""How the parts of a program meet, by name."""

SAMPLES_AT_A_TIME = 4 * PREDICT_BLOCK
"""Samples of a step of a program on the data set: a fraction of a millisecond's work."""

_REGION_FLOP = 400_000
"""Work that pays for one more thread: what starting a region costs is about this much at a core's usual pace."""

_ENTRY_FLOP, _MARK_FLOP, _HANDING_FLOP = 60, 30, 150_000
"""What marking an entry's column is worth, reading a column's mark that another core has written, and a line more."""

_MEETING_FLOP = 400_000
"""Work that another meeting of all parts is worth, with what each waits for the slowest."""


@dataclass(frozen=True)
class Parts:
    """In how many parts a region is done, and why so many."""

    count: int
    reason: str


def choose_parts(flop: float, threads: int, most: int, what: str) -> Parts:
    """Parts for so much work on so many threads, where `most` is what it can be split into at the most."""
    worth = int(max(1, flop // _REGION_FLOP + 1))
    count = min(threads, worth, most)
    if count == threads:
        return Parts(count, "a thread each" if threads > 1 else "one thread")
    if count == most:
        return Parts(count, f"{most} {what}")
    return Parts(count, f"{flop / 1e6:.2g} MFLOP pay for no more")


def each_for_itself(flop: float, parts: int) -> bool:
    """Whether each of so many parts makes for itself what takes so much work. Else each makes a share, and a meeting is
    behind it: that pays where the share saves more work than a meeting costs."""
    return flop * (parts - 1) / parts < _MEETING_FLOP


def marks_together(entries: float, columns: float, samples: float, parts: int) -> bool:
    """Whether so many parts mark a batch's columns together, each for some vectors of samples, and read what the others
    have marked. Else each marks the columns of all samples for itself: of a small batch that is less to wait for."""
    vectors = -(-samples // LANES)
    read = columns * vectors * (parts - 1) / parts
    return _ENTRY_FLOP * entries * (1 - 1 / min(parts, vectors)) > _MARK_FLOP * read + _HANDING_FLOP


_UNEVEN = 1.1
"""How many times an even share a part may have, where it can be helped."""

_PIECE_UNITS = (64, 96, 48, 32, 16)
"""Units of a piece may be so many, those first that loops over units are best at."""

_WIDE = 64
"""Units that a zero-skipping loop works on together at its full pace."""


class Work(NamedTuple):
    """What there is to do by units: FLOP, in so many groups of units; and how many pieces there would be."""

    flop: float
    groups: int
    pieces: int


def in_pieces(work: Sequence[Work], threads: int, meetings: int) -> bool:
    """Whether a step whose regions have so much work is cut in pieces, for which parts meet so many times more.

    It is where some part of a region would have much more than an even share, of as many parts as the work pays for,
    and the parts that have the most would have so much less in pieces that this is worth the meetings.
    """

    def share(flop: float, pieces: int) -> float:
        """Of the part that has the most."""
        return -(-pieces // choose_parts(flop, threads, pieces, "").count) / pieces

    worth = [choose_parts(flop, threads, threads, "").count for flop, _, _ in work]
    uneven = any(share(flop, groups) * count > _UNEVEN for count, (flop, groups, _) in zip(worth, work, strict=True))
    saved = sum(flop * (share(flop, groups) - share(flop, pieces)) for flop, groups, pieces in work)
    return uneven and saved > meetings * _MEETING_FLOP


def units_of_a_piece(padded: int, samples: int, threads: int, *, skips_zeros: bool) -> int:
    """Units of a piece of a layer of so many, filling included: whole panels, all pieces equal, and of these sizes the
    one at which the part that has the most is done first. Narrow pieces are shared out more evenly, and loops over them
    are slower."""
    wide = _WIDE if skips_zeros else TILE_UNITS

    def time(units: int) -> float:
        pieces = padded // units * -(-samples // PANEL)
        return -(-pieces // threads) / pieces * max(1.0, wide / units) ** 0.5

    return min([units for units in _PIECE_UNITS if units % PANEL == 0 and padded % units == 0], key=time)


def count_pieces(layer: LayerRecord, samples: int = 0) -> int:
    """In how many pieces a layer is cut, with so many samples; without samples, its weights."""
    down = -(-samples // PANEL) if samples else -(-layer.in_features // TILE_ROWS)
    return layer.padded_features // layer.piece * down


@helper
def part_of(count, part, parts):
    """First and last of what `part` of `parts` is assigned of a row of so many."""
    return count * part // parts, count * (part + 1) // parts


@helper
def joins(first, end, size):
    """How many sums on its left a sum of `size` groups is added to, one after the other; its last group is ahead of
    `end`, and groups ahead of `first` are another part's.

    Groups of units are added up in pairs, pairs in pairs, and so on: the order is a tree over the groups, the same
    whatever the parts. A sum waits until the one on its right has as many groups; a part's go as far as the part does.
    """
    count = 0
    while end % (2 * size) == 0 and end - 2 * size >= first:
        size *= 2
        count += 1
    return count


class PartialSum(NamedTuple):
    """A sum that a part leaves: its place, which is that of one of the part's groups, and how many sums on its left it
    is added to."""

    place: int
    joins: int


@cache
def partial_sums(groups: int, parts: int) -> tuple[tuple[PartialSum, ...], int]:
    """The sums that so many parts leave of so many groups, from left to right, and how many places were written.

    A part keeps those of its sums that wait in the places of its first groups, without a gap.
    """
    found, written = list[PartialSum](), 0
    for part in range(parts):
        first, last = plain(part_of)(groups, part, parts)
        sizes, most = list[int](), 0
        for group in range(first, last):
            most = max(most, len(sizes) + 1)
            joined = plain(joins)(first, group + 1, 1)
            sizes = [*sizes[: len(sizes) - joined], 1 << joined]
        written, end = written + most, first
        for place, size in enumerate(sizes, first):
            end += size
            found.append(PartialSum(place, plain(joins)(0, end, size)))
    return tuple(found), written


class Side(NamedTuple):
    """One side of what is cut in pieces. size: units, samples or inputs; together: of a piece; pieces: how many."""

    size: int
    together: int
    pieces: int


@helper
def _side(size, together):
    return Side(size, together, (size + together - 1) // together)


@helper
def _pieces(run, batch, split, layer):
    """The two sides of what a line cuts in pieces: units; and samples, or inputs."""
    owner = run.layers[layer - 1] if split == PIECES_BELOW else run.layers[layer]
    if split == WEIGHTS:
        return _side(owner.padded_features, owner.piece), _side(owner.in_features, np.int64(TILE_ROWS))
    return _side(owner.padded_features, owner.piece), _side(np.int64(batch.size), np.int64(PANEL))


@linked(RUN, BATCH, INT, INT, INT, INT, returns=types.UniTuple(INT, 5))
def next_piece(run, batch, split, layer, first, last):
    """What an operation does in one call of the range first <= k < last that a part is assigned: first and last of it,
    and of the other side; and where the rest of the range begins.

    Pieces follow each other by rows: all samples of some units, then of the next; of the first layer's weights all
    inputs of some units, of others all units of some inputs, as where a step is not in pieces. A range is the rest of a
    row, whole rows, and the beginning of one: at most three rectangles. What is not cut in pieces is done at once.
    """
    if split == OF_ALL_UNITS:
        return np.int64(0), run.layers[layer].padded_features, first, last, last
    if split not in (PIECES, PIECES_BELOW, WEIGHTS):
        return first, last, np.int64(0), np.int64(batch.size), last
    units, across = _pieces(run, batch, split, layer)
    by_inputs = split == WEIGHTS and layer > 0
    rows, along = (across, units) if by_inputs else (units, across)
    row, begin = first // along.pieces, first % along.pieces
    if begin > 0 or last - first < along.pieces:
        end_row, end = row + 1, min(along.pieces, begin + last - first)
    else:
        end_row, end = last // along.pieces, along.pieces
    rest = (end_row - 1) * along.pieces + end
    first_row, last_row = row * rows.together, min(rows.size, end_row * rows.together)
    first_along, last_along = begin * along.together, min(along.size, end * along.together)
    if by_inputs:
        return first_along, last_along, first_row, last_row, rest
    return first_row, last_row, first_along, last_along, rest


@linked(RUN, BATCH, INT, INT, INT, INT, returns=types.UniTuple(INT, 2))
def assigned_range(run, batch, split, layer, part, parts):
    """First and last of what `part` of `parts` is assigned of a layer, by a line's split: units (filling included),
    samples, inputs, blocks of parameters or pieces."""
    this = run.layers[layer]
    if split in (PIECES, PIECES_BELOW, WEIGHTS):
        units, across = _pieces(run, batch, split, layer)
        return part_of(units.pieces * across.pieces, part, parts)
    if split in (UNITS, UNITS_BELOW):
        owner = this if split == UNITS else run.layers[layer - 1]
        first, last = part_of((owner.padded_features + owner.group - 1) // owner.group, part, parts)
        return first * owner.group, min(last * owner.group, owner.padded_features)
    if split == PANELS:
        first, last = part_of(this.padded_features // PANEL, part, parts)
        return first * PANEL, last * PANEL
    size = batch.size
    if split == SAMPLES:
        return part_of(size, part, parts)
    if split in (VECTORS, OF_ALL_UNITS):
        # Whole vectors of samples: a part's end cuts none.
        first, last = part_of((size + LANES - 1) // LANES, part, parts)
        return first * LANES, min(size, last * LANES)
    if split == EVERY_PART:
        return np.int64(0), np.int64(size)
    if split == INPUTS:
        first, last = part_of((this.in_features + LANES - 1) // LANES, part, parts)
        return first * LANES, min(this.in_features, last * LANES)
    return part_of((run.state.params.shape[0] + UPDATE_BLOCK - 1) // UPDATE_BLOCK, part, parts)
