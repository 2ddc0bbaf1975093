"""The state of a training: a trainer that goes on from it ends with the bits of one that was never interrupted."""

import pickle

import numpy as np
import pytest

import jitnet
from jitnet.config import OPTIMIZERS
from jitnet.errors import UsageError
from jitnet.machine.host import describe_machine

rng = np.random.default_rng(7)
FEATURES = rng.normal(size=(70, 9)).astype(np.float32)
DATA = jitnet.from_arrays(FEATURES, np.where(FEATURES[:, 0] * FEATURES[:, 1] > 0.2, "yes", "no"))


def trainer(epochs: int, model: jitnet.Model | None = None, state=None, **fields) -> jitnet.Trainer:
    shape = {name: fields.pop(name) for name in ("input_scale", "norm", "residual") if name in fields}
    if model is None:
        config = jitnet.ModelConfig(in_features=9, n_classes=2, hidden=(20, 20), **shape)
        model = jitnet.Model.create(config, DATA, seed=3)
    config = jitnet.TrainConfig(epochs=epochs, batch_size=16, seed=5, **fields)
    return jitnet.Trainer(model, DATA, config, state=state)


def equal(first: jitnet.Model, second: jitnet.Model) -> bool:
    return all(np.array_equal(values, second.parameters[name]) for name, values in first.parameters.items())


OPTIONS = [
    *({"optimizer": name} for name in OPTIMIZERS),
    {"optimizer": "adam", "ema": 0.9, "dropout": (0.2,), "clip_norm": 1.0, "max_norm": 2.0, "label_smoothing": 0.1},
    {"optimizer": "adamw", "weight_decay": 0.1, "input_dropout": 0.2},
    {"optimizer": "adam", "input_scale": True, "norm": "layer", "residual": True, "ema": 0.8},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(map(str, options.values())))
def test_an_interrupted_training_ends_with_the_same_bits(options):
    whole = trainer(5, **options)
    whole.run()
    first = trainer(5, **options)
    for report in first.epochs():
        if report.epoch == 2:
            break
    state = pickle.loads(pickle.dumps(first.state()))
    assert (state.epoch, state.done, state.steps) == (2, 0, 10)
    second = trainer(5, first.model, state, **options)
    assert [report.epoch for report in second.epochs()] == [3, 4, 5]
    assert equal(whole.model, second.model)


def test_it_goes_on_in_the_middle_of_an_epoch_on_another_count_of_threads():
    options = {"optimizer": "adam", "learning_rate": 0.01}
    whole = trainer(3, **options)
    losses = [report.train_loss for report in whole.epochs()]
    first = trainer(3, threads=1, **options)
    with pytest.raises(StopIteration):
        next(first.epochs(lambda report: True))
    state = first.state()
    assert state.epoch == 0
    assert 0 < state.done < 5
    second = trainer(3, first.model, state, threads=min(2, describe_machine().affinity), **options)
    assert [report.train_loss for report in second.epochs()] == losses
    assert equal(whole.model, second.model)


def test_a_new_schedule_begins_where_the_state_ends():
    constant = {"optimizer": "adam", "learning_rate": 0.01, "schedule": "constant"}
    whole = trainer(4, **constant)
    whole.run()
    model, state = None, None
    for _ in range(4):
        part = trainer(1, model, state, **constant)
        part.run()
        model, state = part.model, part.state().with_new_schedule()
    assert equal(whole.model, model)
    falling = {"optimizer": "sgd", "learning_rate": 0.5, "schedule": "cosine"}
    first = trainer(2, **falling)
    rates = [report.learning_rate for report in first.epochs()]
    second = trainer(2, first.model, first.state().with_new_schedule(), **falling)
    reports = list(second.epochs())
    assert [report.epoch for report in reports] == [3, 4]
    assert [report.learning_rate for report in reports] == rates


def test_held_out_samples_of_the_caller_choose_the_epoch():
    model = jitnet.Model.create(jitnet.ModelConfig(in_features=9, n_classes=2, hidden=(8,)), DATA)
    held_out, rest = DATA.train.take(np.arange(20)), DATA.train.take(np.arange(20, 70))
    data = jitnet.from_arrays(rest.images, rest.labels, class_names=DATA.class_names)
    run = jitnet.Trainer(model, data, jitnet.TrainConfig(epochs=6, learning_rate=0.5), held_out=held_out)
    history = run.run()
    assert run.n_samples == (50, 20)
    best = max(history.val_accuracy)
    assert history.val_accuracy[history.kept - 1] == best
    assert jitnet.evaluate(model, held_out).accuracy == best
    assert run.state().epoch == 6


def test_a_state_of_another_training_is_refused():
    first = trainer(1, optimizer="adam")
    first.run()
    state = first.state()
    with pytest.raises(UsageError, match=r"state: has first_moment, .* optimizer sgd .* needs none"):
        trainer(2, first.model, state)
    with pytest.raises(UsageError, match=r"state: has no average, .* ema 0\.9 needs one"):
        trainer(2, first.model, state, optimizer="adam", ema=0.9)
    other = jitnet.Model.create(jitnet.ModelConfig(in_features=9, n_classes=2, hidden=(8,)), DATA)
    with pytest.raises(UsageError, match="state: its parameters are not of this network"):
        trainer(2, other, state, optimizer="adam")
