"""Layers beside the linear one and its activation: norm, residual sum and input scale, in a network as it trains."""

import itertools

import numpy as np
import pytest
from gradcheck import central_differences
from loop import Loop, Problem, reference_of, reference_run
from tables import OPTIMIZER_OPTIONS

from jitnet.compiler.blocks import PANEL
from jitnet.config import OPTIMIZERS
from jitnet.engine import ownership
from jitnet.engine.kinds import KINDS
from jitnet.config import LAYERS

pytestmark = pytest.mark.small

EVERYTHING = {"norm": "layer", "residual": True, "input_scale": True}
LAYERS_ON = [{name: value} for name, value in EVERYTHING.items()] + [EVERYTHING]

WIDTHS = [(9, 7, 7, 7, 3), (6, PANEL + 1, PANEL + 1, 4), (5, 4, 3), (8, 5, 5, 20)]


@pytest.fixture(autouse=True)
def _every_part_pays(monkeypatch):
    """Small networks are split too: as if a region cost nothing."""
    monkeypatch.setattr(ownership, "_REGION_FLOP", 1)


def ids(options):
    return "-".join(options)


def close(found, expected):
    assert len(found) == len(expected)
    for array, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, reference, rtol=2e-4, atol=3e-5)


def trained(problem, batch_size, options, *, rate=0.05, epochs=2, **more):
    """After some epochs, and the reference beside it."""
    loop = Loop(problem, batch_size, **more, **options)
    loop.run(rate, epochs=epochs)
    return loop


def test_every_kind_has_a_row_in_both_tables():
    assert list(KINDS) == list(LAYERS)
    for name, kind in LAYERS.items():
        assert list(KINDS[name].parameters) == list(kind.parameters)


@pytest.mark.parametrize("inputs", ["dense", "sparse", "floats"])
@pytest.mark.parametrize("options", LAYERS_ON, ids=ids)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_training_is_that_of_plain_float64(widths, options, inputs):
    problem = Problem(widths, 11)
    loop = trained(problem, 4, options, inputs=inputs)
    network, total = reference_run(problem, 4, 0.05, 2, **options)
    assert loop.totals[0] == pytest.approx(total, rel=1e-5)
    close(loop.parameters(), network.saved(network.parameters))
