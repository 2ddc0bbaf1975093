"""Training through the library: what an epoch reports, when it ends, and that seed alone decides the bits."""

import copy

import naive
import numpy as np
import pytest

import jitnet
from jitnet.engine.ownership import MEETINGS
from jitnet.errors import DivergedError, ModelError, UsageError
from jitnet.kernels.schedule import learning_rates, schedule_settings
from jitnet.machine.barrier import BARRIERS
from jitnet.machine.host import describe_machine
from jitnet.training import pace as pace_module


@pytest.fixture(scope="module")
def digits() -> jitnet.Dataset:
    return jitnet.load("digits")


@pytest.fixture(scope="module")
def mostly_zero(digits) -> jitnet.Dataset:
    """Digits with four pixels of five turned off: the first layer then walks only what is not zero."""
    rng = np.random.default_rng(0)
    kept = [split.images * (rng.random(split.images.shape) < 0.2) for split in (digits.train, digits.test)]
    return jitnet.from_arrays(kept[0], digits.train.labels, kept[1], digits.test.labels)


def trainer(data: jitnet.Dataset, hidden: tuple[int, ...] = (32,), seed: int = 1, **fields: object) -> jitnet.Trainer:
    shape = jitnet.ModelConfig(in_features=data.in_features, n_classes=data.n_classes, hidden=hidden)
    model = jitnet.Model.create(shape, data, seed=seed)
    return jitnet.Trainer(model, data, jitnet.TrainConfig(seed=seed, **fields))


def parameters(run: jitnet.Trainer) -> list[np.ndarray]:
    run.run()
    return [*run.model.weights, *run.model.biases]


def test_the_reports_tell_of_each_epoch(digits):
    run = trainer(digits, epochs=6)
    reports = list(run.epochs())
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].train_loss < reports[0].train_loss / 3
    assert reports[-1].test_accuracy > 0.9
    assert all(report.seconds > 0 and report.samples_per_second > 0 for report in reports)
    assert reports[0].learning_rate > reports[-1].learning_rate
    assert run.history.outcome == "trained for 6 epochs"
    assert run.history.epochs == tuple(reports)
    assert not run.history.stopped
    assert run.history.kept is None


@pytest.mark.parametrize("options", [{}, {"val_split": 0.2, "optimizer": "adam", "augment": {"shift": 1.0}}], ids=str)
def test_the_history_names_the_costliest_operations(digits, options):
    run = trainer(digits, epochs=2, **options)
    history = run.run()
    lines = {f"{line.operation} {line.layer}" for line in run.plan.program.step}
    names, shares = zip(*history.costliest, strict=True)
    assert len(names) == 3
    assert set(names) <= lines
    assert list(shares) == sorted(shares, reverse=True)
    assert 0 < shares[-1] < sum(shares) <= 1


def test_without_the_clock_nothing_is_said_to_be_costly(digits):
    run = trainer(digits, epochs=1)
    run.prepare()
    assert run.clocked
    run.clocked = False
    assert run.run().costliest == ()


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.2}, {"input_dropout": 0.3}, {"dropout": (0.3,)}, {"ema": 0.9}], ids=str
)
def test_what_is_reported_of_the_test_data_is_what_evaluate_finds(digits, options):
    run = trainer(digits, epochs=2, **options)
    *_, last = run.epochs()
    found = jitnet.evaluate(run.model, digits.test)
    assert found.accuracy == last.test_accuracy
    assert found.loss == pytest.approx(last.test_loss, rel=1e-5)


OPTIONS = [
    {},
    {"hidden": (24, 40)},
    {"hidden": ()},
    {"optimizer": "adam", "learning_rate": 0.01, "dropout": (0.3,)},
    {"augment": {"shift": 1.0, "rotation": 10.0, "elastic": 8.0}},
    {"input_dropout": 0.2, "ema": 0.9, "clip_norm": 1.0, "max_norm": 2.0, "label_smoothing": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
def test_the_seed_alone_decides_the_bits(digits, options):
    if describe_machine().affinity < 2:
        pytest.skip("this process may use one core only")
    first = parameters(trainer(digits, epochs=2, threads=1, **options))
    second = parameters(trainer(digits, epochs=2, threads=2, **options))
    other = parameters(trainer(digits, epochs=2, threads=2, seed=2, **options))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_seed_alone_decides_the_bits_where_zeros_are_skipped(mostly_zero):
    if describe_machine().affinity < 2:
        pytest.skip("this process may use one core only")
    runs = [trainer(mostly_zero, epochs=2, threads=threads) for threads in (1, 2)]
    assert all(run.plan.skips_zeros for run in runs)
    first, second = (parameters(run) for run in runs)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_each_epoch_distorts_anew_and_leaves_the_data_alone(digits):
    before = digits.train.images.copy()
    plain = parameters(trainer(digits, epochs=1, threads=1))
    moved = parameters(trainer(digits, epochs=1, threads=1, augment={"shift": 1.0}))
    assert not np.array_equal(plain[0], moved[0])
    np.testing.assert_array_equal(digits.train.images, before)


def test_images_without_a_shape_are_not_distorted():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 7)).astype(np.float32)
    data = jitnet.from_arrays(values, rng.integers(0, 3, 60))
    with pytest.raises(UsageError, match=r"augment\.shift, .* and augment\.elastic distort grey images"):
        trainer(data, augment={"elastic": 3.0})


def test_the_last_smaller_batch_is_trained_on(digits):
    few = jitnet.from_arrays(digits.train.images[:33], digits.train.labels[:33])
    kept = parameters(trainer(few, epochs=1, batch_size=32, shuffle=False, threads=1))
    dropped = parameters(trainer(few, epochs=1, batch_size=32, shuffle=False, drop_last=True, threads=1))
    assert not np.array_equal(kept[0], dropped[0])


def test_held_out_data_is_watched_and_the_test_data_looked_at_once(digits):
    run = trainer(digits, epochs=30, val_split=0.2, patience=2)
    reports = list(run.epochs())
    assert all(report.test_accuracy is None and report.val_accuracy is not None for report in reports)
    assert len(reports) < 30
    best = max(reports, key=lambda report: report.val_accuracy)
    assert run.history.kept == best.epoch
    assert reports[-1].epoch == best.epoch + 2
    assert run.history.final_test[1] == jitnet.evaluate(run.model, digits.test).accuracy


def test_a_target_ends_the_run(digits):
    run = trainer(digits, epochs=50, target_accuracy=90.0)
    reports = list(run.epochs())
    assert len(reports) < 50
    assert reports[-1].test_accuracy >= 0.9
    assert all(report.test_accuracy < 0.9 for report in reports[:-1])
    assert run.history.reached
    missed = trainer(digits, epochs=1, target_accuracy=99.9)
    list(missed.epochs())
    assert not missed.history.reached


def test_averaged_weights_are_what_is_tested_and_kept(digits):
    plain = parameters(trainer(digits, epochs=2, threads=1))
    averaged = trainer(digits, epochs=2, threads=1, ema=0.99)
    *_, last = averaged.epochs()
    assert not np.array_equal(plain[0], averaged.model.weights[0])
    assert jitnet.evaluate(averaged.model, digits.test).accuracy == last.test_accuracy


def test_the_best_epoch_s_averaged_weights_are_what_the_test_data_are_looked_at_with(digits):
    run = trainer(digits, epochs=30, val_split=0.2, patience=2, ema=0.9)
    reports = list(run.epochs())
    assert run.history.kept < reports[-1].epoch
    found = jitnet.evaluate(run.model, digits.test)
    assert run.history.final_test == (pytest.approx(found.loss, rel=1e-5), found.accuracy)


def test_a_loss_that_runs_away_ends_the_run_with_the_last_good_weights(digits):
    run = trainer(digits, epochs=3)
    run.model.set_parameters([weight * np.float32(1e25) for weight in run.model.weights], run.model.biases)
    start = [weight.copy() for weight in run.model.weights]
    with pytest.raises(DivergedError, match=r"epoch 1, step 1 of 45; lower the learning rate \(learning_rate, now "):
        list(run.epochs())
    assert all(np.array_equal(a, b) for a, b in zip(start, run.model.weights, strict=True))
    assert run.history.outcome == "ended in epoch 1: DivergedError"


def test_weights_that_the_last_step_makes_infinite_end_the_run_too():
    x = np.random.default_rng(0).normal(size=(40, 5))
    data = jitnet.from_arrays(x, x[:, 0])
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=5, hidden=(8,), n_targets=1), data)
    model.set_parameters([model.weights[0], model.weights[1] * np.float32(1e18)], model.biases)
    start = [weight.copy() for weight in model.weights]
    config = jitnet.TrainConfig(epochs=1, batch_size=40, optimizer="sgd", learning_rate=1000.0, schedule="constant")
    with pytest.raises(DivergedError, match="weights became NaN or infinite in the last step of epoch 1; lower"):
        jitnet.train(model, data, config)
    assert all(np.array_equal(a, b) for a, b in zip(start, model.weights, strict=True))


@pytest.mark.parametrize("looks", ["at each epoch", "amid epochs", "by copies", "at the end"])
def test_the_model_has_the_last_whole_epoch_s_parameters_whenever_it_is_looked_at(digits, looks):
    reference = trainer(digits, epochs=3, threads=1)
    start = reference.model.weights[0].copy()
    after = [start, *(reference.model.weights[0].copy() for _ in reference.epochs())]
    run = trainer(digits, epochs=3, threads=1)
    seen = []

    def look(report):
        if looks == "amid epochs":
            seen.append((report.epoch - 1, run.model.weights[0]))

    for report in run.epochs(look):
        if looks in ("at each epoch", "by copies"):
            model = copy.deepcopy(run.model) if looks == "by copies" else run.model
            seen.append((report.epoch, model.weights[0]))
    assert looks == "at the end" or {epoch for epoch, _ in seen} >= {1, 2}
    for epoch, weights in [*seen, (3, run.model.weights[0])]:
        np.testing.assert_array_equal(weights, after[epoch])


def test_a_later_divergence_leaves_the_last_whole_epoch_unread_until_then(digits):
    run = trainer(digits, epochs=5, threads=1, schedule="constant", learning_rate=0.1)
    reports = run.epochs()
    next(reports)
    expected = copy.deepcopy(run.model).weights
    run._run.state.params[:] = np.inf
    with pytest.raises(DivergedError, match="epoch 2"):
        next(reports)
    assert all(np.array_equal(a, b) for a, b in zip(expected, run.model.weights, strict=True))


def test_a_stop_ends_within_the_epoch_and_keeps_what_was_learned(digits):
    run = trainer(digits, epochs=1000)
    start = run.model.weights[0].copy()
    reports = list(run.epochs(on_steps=lambda report: run.request_stop()))
    assert reports == []
    assert run.history.stopped
    assert not np.array_equal(start, run.model.weights[0])


def test_a_run_that_its_caller_leaves_says_so(digits):
    run = trainer(digits, epochs=10, val_split=0.2)
    for report in run.epochs():
        assert run.history.outcome == f"{report.epoch} of 10 epochs so far"
        if report.epoch == 3:
            last = run.model.weights[0]
            break
    assert run.history.outcome == "stopped by its caller after 3 of 10 epochs"
    assert run.history.stopped
    assert len(run.history) == 3
    assert run.model.weights[0] is last  # a break closes the run at no known moment: the model is left as it is


def test_a_callback_after_an_epoch_that_returns_true_ends_the_run(digits):
    run = trainer(digits, epochs=10, val_split=0.2)
    history = run.run(on_epoch=lambda report: report.epoch == 2)
    assert history.outcome == "stopped by on_epoch after 2 of 10 epochs"
    assert history.stopped
    assert [report.epoch for report in history] == [1, 2]
    assert history.kept == history.best.epoch


def test_a_callback_amid_an_epoch_that_returns_true_ends_the_run(digits):
    run = trainer(digits, epochs=1000)
    history = run.run(on_steps=lambda report: np.bool_(report.epoch == 2))
    assert history.outcome == "stopped by on_steps in epoch 2"
    assert history.stopped
    assert len(history) == 1


@pytest.mark.parametrize("answer", [None, False, 0, 1, "yes", np.bool_(False)])
def test_what_else_a_callback_returns_does_not_matter(digits, answer):
    history = trainer(digits, epochs=2).run(lambda report: answer, lambda report: answer)
    assert history.outcome == "trained for 2 epochs"
    assert not history.stopped


def test_a_stop_between_epochs_starts_no_other(digits):
    run = trainer(digits, epochs=10)
    for report in run.epochs():
        if report.epoch == 2:
            run.request_stop()
    assert run.history.outcome == "stopped after 2 of 10 epochs"


def test_a_run_that_an_error_ends_says_so(digits):
    run = trainer(digits, epochs=10)
    with pytest.raises(ZeroDivisionError) as caught:  # keeps the frames of the run alive, as a prompt does
        run.run(on_epoch=lambda report: 1 / (report.epoch - 2))
    assert run.history.outcome == "stopped by its caller after 2 of 10 epochs", caught
    run = trainer(digits, epochs=10)
    with pytest.raises(ZeroDivisionError):
        run.run(on_steps=lambda report: 1 / (report.epoch - 2))
    assert run.history.outcome == "ended in epoch 2: ZeroDivisionError"
    assert len(run.history) == 1


def test_training_needs_no_config(digits):
    shape = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(8,))
    first, second = (jitnet.Model.create(shape, digits, seed=1) for _ in range(2))
    assert jitnet.train(first, digits).outcome == "trained for 10 epochs"
    jitnet.Trainer(second, digits).run()
    assert np.array_equal(first.weights[0], second.weights[0])


def test_calling_train_trains_and_gives_the_history(digits):
    shape = jitnet.ModelConfig(in_features=64, n_classes=10, hidden=(32,))
    model, seen = jitnet.Model.create(shape, digits, seed=1), []
    history = jitnet.train(model, digits, jitnet.TrainConfig(epochs=3, seed=1), on_epoch=seen.append)
    assert isinstance(history, jitnet.History)
    assert [report.epoch for report in history] == [1, 2, 3]
    assert seen == list(history)
    other = trainer(digits, epochs=3)
    assert all(np.array_equal(a, b) for a, b in zip(parameters(other), [*model.weights, *model.biases], strict=True))


@pytest.mark.parametrize("second", [lambda run: run.run(), lambda run: run.epochs()], ids=["run", "epochs"])
@pytest.mark.parametrize("first", [lambda run: run.run(), lambda run: next(run.epochs())], ids=["whole", "begun"])
def test_a_trainer_trains_once(digits, first, second):
    run = trainer(digits, epochs=2)
    assert run.history.outcome == "not started"
    first(run)
    weights = run.model.weights[0]
    with pytest.raises(UsageError, match="has begun a training already; make another Trainer"):
        second(run)
    np.testing.assert_array_equal(run.model.weights[0], weights)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("optimizer", [{"optimizer": "sgd"}, {"optimizer": "adam", "epsilon": 1e-2}], ids=str)
def test_a_run_is_that_of_plain_float64(digits, optimizer, drop_last):
    """Steps count through all epochs: the schedule, the masks of dropout and adam's corrections depend on it."""
    data = jitnet.from_arrays(digits.train.images[:61], digits.train.labels[:61])
    fields = {"epochs": 3, "batch_size": 16, "learning_rate": 0.1, "shuffle": False, "drop_last": drop_last}
    fields |= {"dropout": (0.25,), "label_smoothing": 0.1, "ema": 0.5}
    run = trainer(data, hidden=(12,), **fields, **optimizer)
    options = {name: getattr(run.config, name) for name in ("beta1", "beta2", "epsilon", "label_smoothing", "ema")}
    start = [*run.model.weights, *run.model.biases]
    network = naive.Network(
        run.model.weights, run.model.biases, optimizer=run.config.optimizer, dropout=(0.25,), seed=1, **options
    )
    n_steps, losses = 3 if drop_last else 4, []
    rates = np.zeros(3 * n_steps)
    learning_rates(schedule_settings(run.config, n_steps), np.arange(3 * n_steps), rates)
    for step, rate in enumerate(rates):
        begin = step * 16 % (48 if drop_last else 64)
        batch = slice(begin, begin + 16)
        inputs = data.train.images[batch] * data.scaling.scale
        losses.append(network.step(inputs, data.train.labels[batch], float(rate)))
    trained = parameters(run)
    for array, expected in zip(trained, network.averages, strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=2e-5)
    assert max(np.abs(array - first).max() for array, first in zip(trained, start, strict=True)) > 0.05
    samples = 48 if drop_last else 61
    found = [report.train_loss * samples for report in run.history]
    assert found == pytest.approx(np.reshape(losses, (3, -1)).sum(axis=1), rel=1e-5)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_live_reports_are_means_over_the_samples_so_far(digits, drop_last, long, monkeypatch):
    # A chunk is as short as can be, or four times as long as the one before.
    for name in ("CHUNK_S", "TRIAL_S"):
        monkeypatch.setattr(pace_module, name, 1e9 if long else 0.0)
    data = jitnet.from_arrays(digits.train.images[:333], digits.train.labels[:333])
    # At this rate the weights stay what they are, so each batch's loss can be told beforehand.
    run = trainer(data, epochs=2, batch_size=32, shuffle=False, learning_rate=1e-12, drop_last=drop_last)
    logits = naive.Network(run.model.weights, run.model.biases).forward(data.train.images * data.scaling.scale)[1][-1]
    losses, right = naive.cross_entropy(logits, data.train.labels), logits.argmax(axis=1) == data.train.labels
    live = []
    reports = list(run.epochs(live.append))
    n_steps = 10 if drop_last else 11
    steps = list(range(1, n_steps + 1))
    first, second = ([1, 5, n_steps], [n_steps]) if long else (steps, steps)
    assert [(report.epoch, report.step) for report in live] == [(1, k) for k in first] + [(2, k) for k in second]
    for report in live:
        samples = min(32 * report.step, 333)
        assert (report.n_epochs, report.n_steps) == (2, n_steps)
        assert report.train_loss == pytest.approx(losses[:samples].mean(), rel=1e-5)
        assert report.train_accuracy == pytest.approx(right[:samples].mean(), rel=1e-12)
    for report in reports:
        last = [one for one in live if one.epoch == report.epoch][-1]
        assert last.train_loss == report.train_loss
        assert last.train_accuracy == report.train_accuracy
        assert last.samples_per_second == report.samples_per_second
        assert report.samples_per_second * report.seconds == pytest.approx(320 if drop_last else 333)


def test_the_rate_of_an_epoch_s_last_step_is_reported(digits):
    run = trainer(digits, epochs=3, schedule="exponential", decay=0.5, learning_rate=0.4)
    reports = list(run.epochs())
    steps = run.n_steps
    expected = [0.4 * 0.5 ** ((epoch * steps - 1) / steps) for epoch in (1, 2, 3)]
    assert [report.learning_rate for report in reports] == pytest.approx(expected, rel=1e-12)


def test_a_model_for_other_data_is_refused(digits):
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=9, n_classes=10))
    with pytest.raises(ModelError, match="64 values, the model expects 9"):
        jitnet.Trainer(model, digits, jitnet.TrainConfig())


def test_dropout_for_other_layers_is_refused(digits):
    with pytest.raises(UsageError, match=r"^dropout has 2 rates; give one, for the one hidden layer"):
        trainer(digits, dropout=(0.1, 0.2))


def test_more_threads_than_cores_are_refused(digits):
    with pytest.raises(UsageError, match=r"^threads is 1024"):
        trainer(digits, threads=1024)


@pytest.mark.skipif(
    describe_machine().affinity < 2 or not BARRIERS, reason="needs two cores, and the compiler: threads that wait"
)
@pytest.mark.parametrize("scale", [1.0, 1e25])
@pytest.mark.parametrize("hidden", [(512,), (512, 256), (512, 16)])  # of the last, one part makes the losses
@pytest.mark.parametrize("zeros", [False, True])
def test_in_one_region_for_all_steps_or_in_many_the_numbers_are_the_same(digits, mostly_zero, zeros, hidden, scale):
    found = []
    for meeting in ("barriers", "region ends"):
        run = trainer(mostly_zero if zeros else digits, hidden, epochs=2, batch_size=100, threads=2)
        run.model.set_parameters([weight * np.float32(scale) for weight in run.model.weights], run.model.biases)
        run.prepare()
        assert run.plan.program.threads == 2
        assert run.plan.skips_zeros == zeros
        assert run._run.call.meeting == MEETINGS["barriers"]
        run._run.call.meeting = MEETINGS[meeting]
        run._run.barrier[:] = 0
        run._pace.chunk_steps = 8  # more than one from the start: the loss ends them amid a call
        try:
            told = [(report.train_loss, report.train_accuracy, report.test_loss) for report in run.epochs()]
        except DivergedError as error:
            told = [str(error)]
        assert len(told) == (1 if scale > 1 else 2)
        clock, last = run._run.clock, run.plan.program.regions
        assert (np.diff(clock.regions[:3, last]) > 0).all() or scale > 1
        found.append((told, [array.tobytes() for array in (*run.model.weights, *run.model.biases)]))
        # Only the first of both has the parts agree.
        assert run._run.barrier.any() == (meeting == "barriers")
    assert found[0] == found[1]
