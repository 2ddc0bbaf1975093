"""A run that ends after so many steps, in the middle of an epoch too."""

import numpy as np
import pytest

import jitnet
from jitnet.errors import UsageError
from jitnet.kernels.schedule import learning_rates, schedule_settings
from jitnet.machine.host import describe_machine


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


def trainer(data: jitnet.Dataset, state: object = None, **fields: object) -> jitnet.Trainer:
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=(24,))
    model = jitnet.Model.create(shape, data, seed=1)
    return jitnet.Trainer(model, data, jitnet.TrainConfig(seed=1, **fields), state=state)


def bits(run: jitnet.Trainer) -> list[np.ndarray]:
    return list(run.model.parameters.values())


def test_the_last_epoch_is_reported_with_means_over_its_samples(digits):
    run = trainer(digits, epochs=5, max_steps=100, shuffle=False, schedule="constant", learning_rate=0.1)
    history = run.run()
    assert run.n_steps == 45
    assert len(history) == 3
    assert history.outcome == "trained for 100 steps, which end in epoch 3"
    assert (run.total_steps, run.run_steps, run.last_epoch) == (100, 100, 3)
    whole = trainer(digits, epochs=5, shuffle=False, schedule="constant", learning_rate=0.1)
    totals = np.zeros(3)
    whole.prepare()
    for epoch in (1, 2):
        list(whole.chunks(epoch, np.zeros(3)))
    for chunk in whole.chunks(3, totals, most=1):
        if chunk.done == 10:
            break
    assert history.epochs[-1].train_loss == pytest.approx(totals[0] / 320)
    assert history.epochs[-1].train_accuracy == pytest.approx(totals[1] / 320)
    assert history.epochs[-1].test_accuracy == jitnet.evaluate(run.model, digits.test).accuracy


def test_means_over_a_part_of_an_epoch_are_weighted(digits):
    weights = np.random.default_rng(0).integers(1, 5, len(digits.train)).astype(float)
    data = jitnet.from_arrays(digits.train.images, digits.train.labels, sample_weight=weights)
    run = trainer(data, max_steps=10, shuffle=False, learning_rate=1e-6)
    report = run.run().epochs[0]
    first = jitnet.evaluate(
        run.model, jitnet.from_arrays(digits.train.images[:320], digits.train.labels[:320], sample_weight=weights[:320])
    )
    assert report.train_loss == pytest.approx(first.loss, rel=1e-3)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "coslog4"])
def test_the_schedule_ends_with_the_steps(digits, schedule):
    rates = np.zeros(100)
    short = jitnet.TrainConfig(schedule=schedule, max_steps=100, epochs=7)
    learning_rates(schedule_settings(short, 45), np.arange(100), rates)
    whole = np.zeros(100)
    learning_rates(schedule_settings(jitnet.TrainConfig(schedule=schedule, epochs=1), 100), np.arange(100), whole)
    np.testing.assert_array_equal(rates, whole)
    assert trainer(digits, schedule=schedule, max_steps=100, epochs=7).run().epochs[-1].learning_rate == rates[-1]


def test_the_epochs_end_a_run_where_they_are_fewer(digits):
    plain, limited = trainer(digits, epochs=2), trainer(digits, epochs=2, max_steps=5000)
    assert plain.run().outcome == limited.run().outcome == "trained for 2 epochs"
    assert all(np.array_equal(a, b) for a, b in zip(bits(plain), bits(limited), strict=True))
    whole = trainer(digits, epochs=9, max_steps=90)
    assert whole.run().outcome == "trained for 2 epochs"
    assert all(np.array_equal(a, b) for a, b in zip(bits(plain), bits(whole), strict=True))


def test_the_bits_do_not_depend_on_the_threads(digits):
    if describe_machine().affinity < 2:
        pytest.skip("this process may use one core only")
    runs = [trainer(digits, max_steps=70, optimizer="adam", threads=threads) for threads in (1, 2)]
    for run in runs:
        run.run()
    assert all(np.array_equal(a, b) for a, b in zip(bits(runs[0]), bits(runs[1]), strict=True))


def test_a_state_counts_steps_and_another_trainer_goes_on_from_it(digits):
    options = {"schedule": "constant", "optimizer": "adam"}
    first = trainer(digits, max_steps=70, **options)
    first.run()
    state = first.state()
    assert (state.epoch, state.done, state.steps) == (1, 25, 70)
    second, whole = trainer(digits, state, max_steps=100, **options), trainer(digits, max_steps=100, **options)
    assert [report.epoch for report in second.epochs()] == [2, 3]
    history = whole.run()
    assert [report.epoch for report in second.history] == [1, 2, 3]  # the part of epoch 2 is not there twice
    np.testing.assert_array_equal(second.history.train_loss, history.train_loss)
    assert all(np.array_equal(a, b) for a, b in zip(bits(second), bits(whole), strict=True))
    done = trainer(digits, whole.state(), max_steps=100, **options)
    assert list(done.epochs()) == []
    assert all(np.array_equal(a, b) for a, b in zip(bits(done), bits(whole), strict=True))


def test_a_schedule_that_begins_again_counts_from_there(digits):
    first = trainer(digits, max_steps=50)
    first.run()
    again = trainer(digits, first.state().with_new_schedule(), max_steps=60)
    assert [report.epoch for report in again.epochs()] == [3, 4]
    assert again.run_steps == 60


def test_a_run_that_is_ended_early_reports_what_it_has_trained(digits):
    run = trainer(digits, epochs=3)

    def end(report: object) -> None:
        if run.run_steps > 50:
            run.end_early("ended by the test")

    history = run.run(on_steps=end)
    assert len(history) == 2
    assert history.outcome == "ended by the test"
    assert not history.stopped
    assert run.run_steps < 3 * 45
    assert history.epochs[-1].test_accuracy == jitnet.evaluate(run.model, digits.test).accuracy


def test_a_warmup_that_is_longer_than_the_steps_is_one_line(digits):
    with pytest.raises(UsageError, match=r"warmup is 2 epochs of 45 steps, longer than the whole run of 60 steps"):
        trainer(digits, max_steps=60, warmup=2)
