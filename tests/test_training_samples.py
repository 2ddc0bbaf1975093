"""Samples made anew for an epoch: what dropout keeps is scaled up, and nothing but seed, epoch and sample shows."""

import numpy as np
import pytest
from loop import walk_data

import jitnet
from jitnet.training.plan import begin_run, make_plan
from jitnet.training.samples import NewSamples

RATES = [0.2, 0.5, 0.75]


def stored(n=40, features=37):
    rng = np.random.default_rng(2)
    return rng.integers(1, 256, (n, features)).astype(np.uint8), rng.integers(0, 3, n).astype(np.int32)


@pytest.mark.small
@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("rate", RATES)
def test_float_inputs_that_are_kept_are_scaled_up_by_what_is_dropped(rate, parts):
    images, _ = stored()
    features, order = images / np.float32(7), np.arange(40, dtype=np.int32)[::-1].copy()
    new = features[order]
    walk_data("drop_samples", parts, order, new_features=new, input_dropout=rate, seed=3, epoch=2)
    kept = new != 0
    np.testing.assert_allclose(new[kept], features[order][kept] / (1 - rate), rtol=1e-6)
    assert np.mean(kept) == pytest.approx(1 - rate, abs=4 * np.sqrt(rate * (1 - rate) / new.size))


@pytest.mark.small
@pytest.mark.parametrize("rate", RATES)
def test_bytes_and_floats_lose_the_same_inputs_in_any_number_of_parts(rate):
    images, _ = stored()
    order, results = np.arange(40, dtype=np.int32), []
    for parts in (1, 2, 3):
        new_bytes, new_floats = images.copy(), images.astype(np.float32)
        walk_data("drop_samples", parts, order, new_images=new_bytes, input_dropout=rate, seed=3, epoch=2)
        walk_data("drop_samples", parts, order, new_features=new_floats, input_dropout=rate, seed=3, epoch=2)
        np.testing.assert_array_equal(new_bytes == 0, new_floats == 0)
        np.testing.assert_array_equal(new_bytes[new_bytes != 0], images[new_bytes != 0])
        results.append(new_floats)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def new_samples(images, labels, *, each_feature=False, seed=5, **fields):
    """Samples of bytes; or where each feature is scaled by itself, of floats."""
    data = jitnet.from_arrays(images.reshape(-1, 6, 6), labels)
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=data.in_features, n_classes=3), data)
    if each_feature:
        features = data.in_features
        model.scaling = jitnet.Scaling(np.zeros(features, np.float32), np.full(features, model.scaling.scale))
    config = jitnet.TrainConfig(seed=seed, **fields)
    plan = make_plan(model, data.train, config, 8)
    return NewSamples(data.train, data.image_shape, model, config, plan), begin_run(model, plan, 5)


@pytest.mark.parametrize("rate", RATES)
def test_a_network_sees_the_same_inputs_whether_as_bytes_or_as_floats(rate):
    images, labels = stored(features=36)
    rows = np.array([7, 3, 11, 3], np.int32)
    (by_bytes, run), (by_floats, _) = (
        new_samples(images, labels, each_feature=each, input_dropout=rate) for each in (False, True)
    )
    drawn_bytes, drawn_floats = by_bytes.draw(2, rows), by_floats.draw(2, rows)
    seen = run.state.byte_values[drawn_bytes.images]
    np.testing.assert_allclose(seen, np.where(seen == 0, 0, images[rows] / 255 / (1 - rate)), rtol=1e-5)
    np.testing.assert_allclose(drawn_floats.features, seen, rtol=1e-5)
    assert 0 < np.mean(seen == 0) < 1
    np.testing.assert_array_equal(drawn_bytes.labels, labels[rows])
    # The same sample twice in one chunk is the same sample.
    np.testing.assert_array_equal(drawn_bytes.images[1], drawn_bytes.images[3])


@pytest.mark.parametrize("fields", [{"input_dropout": 0.3}, {"augment": {"shift": 2.0, "rotation": 20.0}}], ids=str)
def test_a_sample_is_another_by_another_seed(fields):
    images, labels = stored(features=36)
    rows = np.arange(40, dtype=np.int32)
    one, same, other = (new_samples(images, labels, seed=seed, **fields)[0].draw(1, rows).images for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any(axis=1).all()


@pytest.mark.parametrize("fields", [{"input_dropout": 0.3}, {"augment": {"shift": 2.0, "rotation": 20.0}}], ids=str)
def test_a_sample_is_new_in_each_epoch_and_the_same_in_any_chunk(fields):
    images, labels = stored(features=36)
    order = np.random.default_rng(4).permutation(40).astype(np.int32)
    samples, _ = new_samples(images, labels, **fields)
    whole = samples.draw(1, order).images.copy()
    draws = (samples.draw(1, order[begin : begin + 7]).images.copy() for begin in range(0, 40, 7))
    pieces = np.concatenate(list(draws))
    np.testing.assert_array_equal(pieces, whole)
    again = samples.draw(2, order).images
    assert all((one != other).any() for one, other in zip(whole, again, strict=True))
