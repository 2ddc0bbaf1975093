"""Learning rates, step by step."""

import math
from typing import get_args

import numpy as np
import pytest

from jitnet.config import TrainConfig
from jitnet.kernels.schedule import SCHEDULES, learning_rates, schedule_settings

pytestmark = pytest.mark.small


def rates(steps_per_epoch: int = 10, **fields: object) -> np.ndarray:
    config = TrainConfig(**{"epochs": 10, "learning_rate": 2.0, **fields})
    settings = schedule_settings(config, steps_per_epoch)
    steps = np.arange(config.epochs * steps_per_epoch)
    found = np.zeros(len(steps))
    learning_rates(settings, steps, found)
    return found


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


def test_coslog4_rises_and_falls_four_times_each_twice_as_long():
    found = rates(150, schedule="coslog4")
    assert found[0] == 0.0
    tops = [k for k in range(1, len(found) - 1) if found[k - 1] < found[k] >= found[k + 1]]
    assert tops == [pytest.approx(100 * (2 ** (cycle + 0.5) - 1), abs=1.0) for cycle in range(4)]
    np.testing.assert_allclose(found[tops], 2.0, rtol=1e-3)
    np.testing.assert_allclose(found[[100, 300, 700]], 0.0, atol=1e-9)
    assert found[-1] < 1e-3


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle", "coslog4"])
def test_warm_up_comes_before_any_schedule(schedule):
    found = rates(schedule=schedule, warmup=2)
    np.testing.assert_allclose(found[:20], 2.0 * np.arange(1, 21) / 21)
    start = {"one-cycle": 2.0 / 25, "coslog4": 0.0}.get(schedule, 2.0)
    assert found[20] == pytest.approx(start)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_rate_is_a_number_from_zero_to_the_peak(schedule):
    found = rates(7, epochs=4, schedule=schedule, warmup=0.5)
    assert all(math.isfinite(rate) and 0 <= rate <= 2.0 for rate in found)
    assert found.max() == pytest.approx(2.0, rel=0.01)


def reference(config: TrainConfig, steps_per_epoch: int, step: int) -> float:
    """The formulas in Python's own arithmetic, in the same order."""
    peak, final = config.learning_rate, config.learning_rate * config.final_fraction
    warmup = round(config.warmup * steps_per_epoch)
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    epochs = (step - warmup) / steps_per_epoch
    share = (step - warmup) / (config.epochs * steps_per_epoch - warmup)

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0

    rise = between(peak / 25.0, peak, share / 0.3) if share < 0.3 else between(peak, final, (share - 0.3) / 0.7)
    return {
        "constant": peak,
        "step": peak * config.decay ** math.floor(epochs / config.step_every + 1e-9),
        "exponential": peak * config.decay**epochs,
        "cosine": between(peak, final, share),
        "one-cycle": rise,
        "coslog4": peak * (1.0 - math.cos(2.0 * math.pi * math.log2(1.0 + 15.0 * share))) / 2.0,
    }[config.schedule]


@pytest.mark.parametrize("warmup", [0.0, 0.5])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_compiled_rates_are_those_of_plain_python(schedule, warmup):
    fields = {"step": {"step_every": 0.7}, "one-cycle": {"final_fraction": 0.01}, "cosine": {"final_fraction": 0.2}}
    config = TrainConfig(epochs=4, learning_rate=0.3, schedule=schedule, warmup=warmup, **fields.get(schedule, {}))
    settings = schedule_settings(config, 7)
    found = np.zeros(28)
    learning_rates(settings, np.arange(28), found)
    np.testing.assert_allclose(found, [reference(config, 7, step) for step in range(28)], rtol=1e-14)


def test_every_schedule_has_a_kernel_and_every_kernel_a_name():
    assert list(SCHEDULES) == list(get_args(TrainConfig.model_fields["schedule"].annotation))
