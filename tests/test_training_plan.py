"""How a training is planned: threads and the loops of the first layer, each with its reason, and the program."""

from dataclasses import replace

import numpy as np
import pytest

import jitnet
from jitnet.errors import UsageError
from jitnet.machine.host import describe_machine
from jitnet.training import plan as plans

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 64)).astype(np.uint8)
LABELS = np.arange(200) % 10


@pytest.fixture
def cores(monkeypatch):
    """A function that gives this machine so many cores."""

    def give(count, affinity=None):
        here = replace(
            describe_machine(), cores=count, affinity=affinity or count, cores_reason=f"{count} cores by affinity"
        )
        monkeypatch.setattr(plans, "describe_machine", lambda: here)

    return give


def planned(images=IMAGES, *, hidden=(32,), scaling=None, batch_size=32, **fields):
    data = jitnet.from_arrays(images, LABELS)
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=10, hidden=hidden)
    model = jitnet.Model.create(shape, data)
    if scaling is not None:
        model.scaling = scaling
    return plans.make_plan(model, data.train, jitnet.TrainConfig(**fields), batch_size)


# Much of the work of a step is 4 * batch * in_features * hidden FLOP: of (32,) 0.26 MFLOP, of (512,) 4 MFLOP.
@pytest.mark.parametrize(
    ("count", "fields", "threads", "reason"),
    [
        (4, {"threads": 3}, 3, "as asked"),
        (4, {"threads": 4, "hidden": (512,)}, 4, "as asked"),
        (4, {"threads": 1, "hidden": (512,)}, 1, "as asked"),
        (4, {"hidden": (512,)}, 4, "4 cores by affinity"),
        (1, {"hidden": (512,)}, 1, "1 cores by affinity"),
        (1, {}, 1, "1 cores by affinity"),
        (4, {}, 1, "a step has too little work for more"),
        (4, {"hidden": (80,)}, 2, "a step has too little work for more"),
        (64, {"hidden": (80,)}, 2, "a step has too little work for more"),
        (2, {"hidden": (80,)}, 2, "2 cores by affinity"),
    ],
)
def test_threads_and_their_reason(cores, count, fields, threads, reason):
    cores(count)
    plan = planned(**fields)
    assert (plan.threads, plan.threads_reason) == (threads, reason)
    assert plan.step.threads == threads
    assert plan.program.threads <= threads


@pytest.mark.parametrize("count", [1, 2, 3, 8, 16, 64])
@pytest.mark.parametrize("hidden", [(32,), (512,), (2048, 64)])
def test_a_run_begins_on_an_estimate_between_one_and_all(cores, count, hidden):
    cores(count)
    plan = planned(hidden=hidden)
    assert 1 <= plan.begins_on <= plan.threads <= count
    # More threads would change nothing: their program has the same parts.
    more = plans.on_threads(plan, count)
    assert [line.parts for line in more.program.step] == [line.parts for line in plan.program.step]
    assert planned(hidden=hidden, threads=count).begins_on == count


def test_more_threads_than_this_process_may_use_are_refused(cores):
    cores(2, affinity=4)  # a container may allow less than there is
    assert planned(threads=4).threads == 4
    with pytest.raises(UsageError, match=r"^threads is 5; this process may use 1 to 4 \(cores by affinity\)"):
        planned(threads=5)


def sparse(share):
    return IMAGES * (np.random.default_rng(1).random(IMAGES.shape) < share)


@pytest.mark.parametrize(
    ("images", "scaling", "loops", "reason", "density"),
    [
        (IMAGES, None, "dense", "100% of the inputs are not zero", 1.0),
        (sparse(0.5), None, "dense", "50% of the inputs are not zero", 0.5),
        (sparse(0.2), None, "zero-skipping", "20% of the inputs are not zero", 0.2),
        (sparse(0.2), jitnet.Scaling(10.0, 0.1), "dense", "zero bytes are not zero inputs", 0.2),
        (sparse(0.2) / np.float32(7), None, "dense", "inputs are not bytes", 1.0),
        (sparse(0.2), jitnet.Scaling(np.zeros(64), np.ones(64)), "dense", "inputs are not bytes", 1.0),
    ],
)
def test_the_loops_of_the_first_layer_and_their_reason(images, scaling, loops, reason, density):
    plan = planned(images, scaling=scaling)
    assert (plan.input_loops, plan.input_reason) == (loops, reason)
    assert plan.density == pytest.approx(density, abs=0.01)
    assert plan.skips_zeros == (loops == "zero-skipping")
    first = next(line for line in plan.program.lines if line.layer == 0 and line.operation != "gather")
    assert first.operation == ("forward_sparse" if plan.skips_zeros else "forward")


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_the_columns_of_a_batch_are_as_many_as_batches_have(batch_size):
    rng = np.random.default_rng(2)
    images = IMAGES * (rng.random(IMAGES.shape) < np.linspace(0, 0.3, 64) ** 2)  # some pixels are rarely on
    plan = planned(images, batch_size=batch_size)
    assert plan.skips_zeros
    batches = [images[rng.integers(0, len(images), batch_size)] for _ in range(400)]
    assert plan.step.columns == pytest.approx(np.mean([batch.any(axis=0).mean() for batch in batches]), abs=0.02)
    assert planned(batch_size=batch_size).step.columns == 1.0  # dense loops walk all


def test_dropout_s_rates_are_each_layer_s():
    hidden = (16, 24, 8)
    assert planned(hidden=hidden).layout.layers.dropout.tolist() == [0, 0, 0, 0]
    assert planned(hidden=hidden, dropout=(0.3,)).layout.layers.dropout.tolist() == [0.3, 0.3, 0.3, 0]
    assert planned(hidden=hidden, dropout=(0.1, 0.0, 0.5)).layout.layers.dropout.tolist() == [0.1, 0, 0.5, 0]
    for rates in ((0.1, 0.2), (0.1, 0.2, 0.3, 0.4)):
        with pytest.raises(UsageError, match=f"^dropout has {len(rates)} rates; give one, or one for each of the 3"):
            planned(hidden=hidden, dropout=rates)


def test_inputs_that_survive_dropout_are_scaled_up():
    data = jitnet.from_arrays(IMAGES, LABELS)
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=64, n_classes=10), data)
    for rate in (0.0, 0.2, 0.75):
        config = jitnet.TrainConfig(input_dropout=rate)
        run = plans.begin_run(model, plans.make_plan(model, data.train, config, 32), 7)
        np.testing.assert_allclose(run.state.byte_values, np.arange(256) / 255 / (1 - rate), rtol=1e-6)
        np.testing.assert_allclose(plans.plain_values(model), np.arange(256) / 255, rtol=1e-6)
