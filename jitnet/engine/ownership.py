"""Who does what part: the one place that decides how work is split, in how many parts, and which range each part is
assigned.

A line of the program says what it is split by. `assigned_range` returns the range of one part, in compiled code and in
Python alike; an operation works on that range and on nothing else. Every number has one writer and one order of
summing, whatever the number of parts, so the bits do not depend on it.

A unit's weights stay with one part in forward, backward and update, and so in one core's cache.
"""

from dataclasses import dataclass

import numpy as np
from numba import types

from jitnet.compiler.decorators import helper, linked
from jitnet.compiler.signatures import INT
from jitnet.engine.state import BATCH, RUN
from jitnet.machine.blocks import LANES, PANEL, PREDICT_BLOCK, UPDATE_BLOCK

__all__ = [
    "MEETINGS",
    "SAMPLES_AT_A_TIME",
    "SPLITS",
    "Parts",
    "assigned_range",
    "choose_parts",
    "part_of",
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
}
UNITS, UNITS_BELOW, PANELS, SAMPLES, VECTORS, EVERY_PART, BLOCKS, INPUTS = (np.int64(code) for code in SPLITS.values())

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


@helper
def part_of(count, part, parts):
    """First and last of what `part` of `parts` is assigned of a row of so many."""
    return count * part // parts, count * (part + 1) // parts


@linked(RUN, BATCH, INT, INT, INT, INT, returns=types.UniTuple(INT, 2))
def assigned_range(run, batch, split, layer, part, parts):
    """First and last of what `part` of `parts` is assigned of a layer, by a line's split: units (filling included),
    samples, inputs or blocks of parameters."""
    this = run.layers[layer]
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
    if split == VECTORS:
        # Whole vectors of samples: a part's end cuts none.
        first, last = part_of((size + LANES - 1) // LANES, part, parts)
        return first * LANES, min(size, last * LANES)
    if split == EVERY_PART:
        return np.int64(0), np.int64(size)
    if split == INPUTS:
        first, last = part_of((this.in_features + LANES - 1) // LANES, part, parts)
        return first * LANES, min(this.in_features, last * LANES)
    return part_of((run.state.params.shape[0] + UPDATE_BLOCK - 1) // UPDATE_BLOCK, part, parts)
