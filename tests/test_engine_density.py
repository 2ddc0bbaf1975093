"""Whether zeros are skipped: decided by how many there are, by the batch, and apart for training and prediction."""

import numpy as np
import pytest

import jitnet
from jitnet.engine.density import density, predicts_skipping, trains_skipping, used_columns
from jitnet.machine.blocks import (
    SKIPPING_BELOW,
    SKIPPING_BELOW_IN_LARGE,
    SKIPPING_BELOW_IN_PREDICTION,
    SKIPPING_LARGE,
)
from jitnet.training.plan import make_plan

pytestmark = pytest.mark.small


def pictures(share: float, samples: int = 400) -> np.ndarray:
    """So many samples of 50 values, of which exactly this share is not zero."""
    images = np.zeros((samples, 50), np.uint8)
    images[:, : round(share * 50)] = 7
    return np.random.default_rng(0).permuted(images, axis=1)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_the_density_is_the_share_that_is_not_zero(share):
    assert density(pictures(share)) == pytest.approx(share)
    assert density(pictures(share), 10) == pytest.approx(share)


def test_a_column_counts_where_any_sample_of_a_batch_has_it():
    images = np.zeros((400, 4), np.uint8)
    images[:, 0], images[::2, 1] = 1, 1
    assert used_columns(images, 1) == pytest.approx((1 + 0.5) / 4)
    assert used_columns(images, 3) == pytest.approx((1 + 1 - 0.5**3) / 4)


def test_a_large_batch_skips_fewer_zeros():
    between = (SKIPPING_BELOW + SKIPPING_BELOW_IN_LARGE) / 2
    assert trains_skipping(between, SKIPPING_LARGE - 1)
    assert not trains_skipping(between, SKIPPING_LARGE)
    assert trains_skipping(0.01, 100_000)
    assert not trains_skipping(0.99, 1)


def test_prediction_decides_for_itself():
    assert predicts_skipping(pictures(SKIPPING_BELOW_IN_PREDICTION - 0.05))
    assert not predicts_skipping(pictures(SKIPPING_BELOW_IN_PREDICTION + 0.05))


@pytest.mark.parametrize(("share", "loops"), [(0.1, "zero-skipping"), (0.9, "dense")])
def test_the_plan_says_which_loops_and_why(share, loops):
    data = jitnet.from_arrays(pictures(share).reshape(-1, 5, 10), np.arange(400, dtype=np.int32) % 3)
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=50, n_classes=3), data, seed=0)
    plan = make_plan(model, data.train, jitnet.TrainConfig(), 32)
    assert plan.input_loops == loops
    assert plan.input_reason == f"{share:.0%} of the inputs are not zero"
