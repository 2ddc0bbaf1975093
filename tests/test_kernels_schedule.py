"""Learning rates, step by step."""

import math

import numpy as np
import pytest

from jitnet.config import TrainConfig
from jitnet.training.schedule import learning_rates


def rates(steps_per_epoch: int = 10, **fields: object) -> np.ndarray:
    config = TrainConfig(**{"epochs": 10, "learning_rate": 2.0, **fields})
    return learning_rates(config, steps_per_epoch, 0, config.epochs * steps_per_epoch)


def test_constant_stays():
    np.testing.assert_array_equal(rates(schedule="constant"), 2.0)


def test_step_falls_every_so_many_epochs():
    found = rates(schedule="step", step_every=3, decay=0.1)
    np.testing.assert_allclose(found[[0, 29, 30, 59, 60, 99]], [2, 2, 0.2, 0.2, 0.02, 0.002])


def test_exponential_falls_by_its_factor_in_each_epoch():
    found = rates(schedule="exponential", decay=0.5)
    np.testing.assert_allclose(found[[0, 10, 20, 95]], [2, 1, 0.5, 2 * 0.5**9.5])


def test_cosine_ends_at_its_final_fraction():
    found = rates(schedule="cosine", final_fraction=0.1)
    expected = 0.2 + 1.8 * (1 + np.cos(np.pi * np.arange(100) / 100)) / 2
    np.testing.assert_allclose(found, expected)


def test_one_cycle_rises_then_falls():
    found = rates(schedule="one-cycle")
    assert found[0] == pytest.approx(2.0 / 25)
    assert found.argmax() == 30
    assert found[30] == pytest.approx(2.0)
    assert (np.diff(found[:31]) > 0).all()
    assert (np.diff(found[30:]) < 0).all()
    assert found[-1] < 0.01


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_warm_up_comes_before_any_schedule(schedule):
    found = rates(schedule=schedule, warmup=2)
    np.testing.assert_allclose(found[:20], 2.0 * np.arange(1, 21) / 21)
    start = 2.0 / 25 if schedule == "one-cycle" else 2.0
    assert found[20] == pytest.approx(start)


def test_any_stretch_of_steps_is_the_same():
    config = TrainConfig(epochs=4, schedule="cosine", warmup=0.5)
    whole = learning_rates(config, 7, 0, 28)
    pieces = [learning_rates(config, 7, first, 4) for first in range(0, 28, 4)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert all(math.isfinite(rate) and rate >= 0 for rate in whole)
