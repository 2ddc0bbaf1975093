"""Going on from a checkpoint: the bits of a training that was never interrupted, wherever it was stopped."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

import jitnet
from jitnet.config import LOSSES, OPTIMIZERS
from jitnet.datasets import load
from jitnet.errors import CheckpointError, DataError, UsageError
from jitnet.machine.host import describe_machine
from jitnet.training import pace
from jitnet.training.checkpoint_file import newest, read

rng = np.random.default_rng(3)
FEATURES = rng.normal(size=(90, 6)).astype(np.float32)
RIGHT = FEATURES[:, 0] * FEATURES[:, 1] > 0.2
WORDS = np.where(RIGHT, "yes", np.where(FEATURES[:, 2] > 1, "maybe", "no"))
NUMBERS = np.abs(FEATURES[:, :2] @ [[1.0, 2.0], [0.5, -1.0]]) + 0.1
TRAIN, TEST = slice(0, 70), slice(70, None)


def classes(**more) -> jitnet.Dataset:
    return jitnet.from_arrays(FEATURES[TRAIN], WORDS[TRAIN], FEATURES[TEST], WORDS[TEST], **more)


def numbers() -> jitnet.Dataset:
    return jitnet.from_arrays(FEATURES[TRAIN], NUMBERS[TRAIN], FEATURES[TEST], NUMBERS[TEST])


def labels() -> jitnet.Dataset:
    tags = np.stack([RIGHT, FEATURES[:, 2] > 0], axis=1)
    return jitnet.from_arrays(FEATURES[TRAIN], tags[TRAIN], FEATURES[TEST], tags[TEST], task="label")


def fractions() -> jitnet.Dataset:
    """Values that are stored as bytes, and of which fewer rows are scaled in another way."""
    values = np.round(np.clip(np.abs(FEATURES), 0, 1) * 255) / 255
    return jitnet.from_arrays(values[TRAIN], WORDS[TRAIN], values[TEST], WORDS[TEST])


def sparse() -> jitnet.Dataset:
    scipy = pytest.importorskip("scipy.sparse")
    rows = np.where(np.abs(FEATURES) > 0.6, FEATURES, 0.0)
    return jitnet.from_arrays(scipy.csr_array(rows[TRAIN]), WORDS[TRAIN], scipy.csr_array(rows[TEST]), WORDS[TEST])


def digits() -> jitnet.Dataset:
    data = load("digits")
    return replace(data, train=data.train.take(np.arange(80)), test=data.test.take(np.arange(30)))


def table(folder: Path) -> jitnet.Dataset:
    lines = ["size,colour,price"]
    lines += [
        f"{row[0]:.3f},{'' if row[1] > 1 else 'red' if row[1] > 0 else 'blue'},{price:.3f}"
        for row, price in zip(FEATURES, NUMBERS[:, 0], strict=True)
    ]
    path = folder / "houses.csv"
    path.write_text("\n".join(lines) + "\n")
    return load(path, target="price")


def new_model(data: jitnet.Dataset, **shape) -> jitnet.Model:
    sizes = {"in_features": data.in_features, "n_classes": data.n_classes, "n_targets": data.n_targets}
    config = jitnet.ModelConfig(**{k: v for k, v in sizes.items() if v}, **{"hidden": (12, 12), **shape})
    return jitnet.Model.create(config, data, seed=3)


def bits(model: jitnet.Model) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in model.parameters.items()}


def told(history: jitnet.History) -> tuple:
    """All that a history says, but for what depends on the time."""
    reports = [replace(report, seconds=0.0, samples_per_second=0.0) for report in history]
    return reports, history.outcome, history.stopped, history.reached, history.kept, history.final_test


@pytest.fixture
def every_step(monkeypatch):
    """Chunks of one step each, so that a training can be stopped after any."""
    monkeypatch.setattr(pace, "CHUNK_S", 1e-9)
    monkeypatch.setattr(pace, "TRIAL_S", 1e-9)


def check(data: jitnet.Dataset, folder: Path, shape=None, held_out=None, **fields) -> None:
    """Train once, writing checkpoints on the way; go on from some of them, and compare."""
    config = jitnet.TrainConfig(**{"epochs": 3, "batch_size": 16, "seed": 5, **fields})
    whole = jitnet.Trainer(new_model(data, **(shape or {})), data, config, held_out=held_out)
    numbers = count()

    def note(report: object) -> None:
        whole.save_checkpoint(folder / f"{next(numbers)}.safetensors")

    history = whole.run(note, note)
    per_epoch = whole.n_steps + 1
    # In the middle of the first and of the second epoch, ahead of its report, behind it, and at the end.
    for k in (1, per_epoch + whole.n_steps // 2, 2 * per_epoch - 2, 2 * per_epoch - 1, next(numbers) - 1):
        path = folder / f"{k}.safetensors"
        threads = 1 + k % min(2, describe_machine().affinity)
        resumed = jitnet.Trainer.resume(path, data, held_out=held_out, threads=threads)
        assert told(resumed.run()) == told(history), path
        assert bits(resumed.model) == bits(whole.model), path
        assert resumed.model.metadata == whole.model.metadata
        assert resumed.model.scaling == whole.model.scaling
        assert resumed.model.target_scaling == whole.model.target_scaling


TRAININGS = [
    *({"optimizer": name} for name in OPTIMIZERS),
    *({"schedule": name} for name in ("constant", "step", "exponential", "cosine", "one-cycle", "coslog4")),
    {"warmup": 1.5, "schedule": "cosine"},
    {"drop_last": True, "shuffle": False},
    {"ema": 0.9, "dropout": (0.2,), "clip_norm": 1.0, "max_norm": 2.0, "label_smoothing": 0.1, "optimizer": "adam"},
    {"input_dropout": 0.2, "optimizer": "adamw", "weight_decay": 0.1},
    {"class_weight": "balanced"},
    {"val_split": 0.25},
    {"val_split": 0.25, "keep": "latest-best", "ema": 0.5, "epochs": 6},
    {"val_split": 0.25, "keep": "last", "monitor": "loss"},
    {"val_split": 0.25, "patience": 2, "epochs": 30, "learning_rate": 2.0},
    {"target_accuracy": 50.0, "epochs": 30},
    {"bias_rate": 0.1, "parametrization": "ntk", "optimizer": "lion"},
]


@pytest.mark.parametrize("fields", TRAININGS, ids=lambda fields: "-".join(f"{k}-{v}" for k, v in fields.items()))
def test_a_resumed_training_has_the_same_bits(fields, tmp_path, every_step):
    check(classes(), tmp_path, **fields)


SHAPES = [
    {"norm": "layer", "residual": True, "input_scale": True},
    {"hidden": ()},
    {"activation": "gelu", "init": "ntk", "input_scale": True},
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(shape))
@pytest.mark.parametrize("fields", [{}, {"ema": 0.8, "val_split": 0.25, "optimizer": "adam"}], ids=["plain", "average"])
def test_so_has_every_kind_of_layer(shape, fields, tmp_path, every_step):
    check(classes(), tmp_path, shape, **fields)


@pytest.mark.parametrize("loss", LOSSES)
def test_so_has_every_loss(loss, tmp_path, every_step):
    data = {"class": classes, "label": labels, "number": numbers}[LOSSES[loss].target]()
    shape = {"loss": loss} | ({"quantiles": (0.1, 0.5, 0.9)} if loss == "quantile" else {})
    check(data, tmp_path, shape, optimizer="adam", learning_rate=0.01, val_split=0.25)


@pytest.mark.parametrize("make", [sparse, fractions, digits], ids=lambda make: make.__name__)
@pytest.mark.parametrize("fields", [{}, {"val_split": 0.25}], ids=["all", "held-out"])
def test_so_has_every_kind_of_samples(make, fields, tmp_path, every_step):
    check(make(), tmp_path, **fields)


def test_so_have_weighted_samples(tmp_path, every_step):
    weights = rng.uniform(0.0, 2.0, 70)
    check(classes(sample_weight=weights), tmp_path, class_weight="yes=2", val_split=0.25)


def test_so_have_distorted_images(tmp_path, every_step):
    augment = jitnet.AugmentConfig(shift=1.0, rotation=20.0, elastic=4.0)
    check(digits(), tmp_path, augment=augment, val_split=0.25)


def test_so_has_a_table_whose_rows_are_held_out(tmp_path, every_step):
    check(table(tmp_path), tmp_path, val_split=0.25)


def test_so_have_held_out_samples_of_the_caller(tmp_path, every_step):
    data = classes()
    check(data, tmp_path, held_out=data.test, epochs=4)
    other = data.test.take(np.arange(10))
    with pytest.raises(DataError, match="held_out: the training has held_out samples, and these are others"):
        jitnet.Trainer.resume(tmp_path / "1.safetensors", data, held_out=other)


def test_a_training_can_be_interrupted_again_and_again(tmp_path, every_step):
    data, config = classes(), jitnet.TrainConfig(epochs=4, batch_size=16, optimizer="adam", val_split=0.25)
    whole = jitnet.Trainer(new_model(data), data, config)
    history = whole.run()
    trainer = jitnet.Trainer(new_model(data), data, config)
    path = tmp_path / "here.safetensors"
    for k in range(1, 50):
        steps = count(1)
        ended = trainer.run(on_steps=lambda report, steps=steps, last=1 + k % 3: next(steps) == last)
        if not ended.stopped:
            break
        trainer.save_checkpoint(path)
        trainer = jitnet.Trainer.resume(path, data)
    assert k > 5
    assert told(ended) == told(history)
    assert bits(trainer.model) == bits(whole.model)


def saved(folder: Path, data: jitnet.Dataset, **fields) -> Path:
    trainer = jitnet.Trainer(new_model(data), data, jitnet.TrainConfig(**{"epochs": 2, "batch_size": 16, **fields}))
    trainer.run()
    path = folder / "one.safetensors"
    trainer.save_checkpoint(path)
    return path


@pytest.mark.parametrize("schedule", ["constant", "step", "exponential"])
def test_more_epochs_where_the_schedule_allows_them(schedule, tmp_path):
    data = classes()
    path = saved(tmp_path, data, schedule=schedule)
    longer = jitnet.Trainer.resume(path, data, epochs=4)
    whole = jitnet.Trainer(new_model(data), data, jitnet.TrainConfig(epochs=4, batch_size=16, schedule=schedule))
    assert told(longer.run()) == told(whole.run())
    assert bits(longer.model) == bits(whole.model)


def test_other_epochs_are_refused_where_it_does_not(tmp_path):
    data = classes()
    path = saved(tmp_path, data, schedule="cosine")
    with pytest.raises(UsageError, match=r"epochs is 4, and the run was planned for 2: its schedule cosine ends with"):
        jitnet.Trainer.resume(path, data, epochs=4)
    with pytest.raises(UsageError, match=r"epochs is 1, and the run was planned for 2; expected 2 or more"):
        jitnet.Trainer.resume(path, data, epochs=1)


def test_other_data_are_refused(tmp_path):
    path = saved(tmp_path, classes())
    changed = FEATURES[TRAIN].copy()
    changed[3, 2] += 1
    other = jitnet.from_arrays(changed, WORDS[TRAIN], FEATURES[TEST], WORDS[TEST])
    with pytest.raises(DataError, match=r"its checksum is [0-9a-f]{12}…, and the training began on"):
        jitnet.Trainer.resume(path, other)
    with pytest.raises(UsageError, match=r"dataset: the training began on .* pass the same data"):
        jitnet.Trainer.resume(path)


def test_data_of_a_name_are_found_again(tmp_path):
    data = load("digits")
    path = saved(tmp_path, data, epochs=1)
    assert jitnet.Trainer.resume(path).dataset.checksum == data.checksum


def test_a_run_folder_has_its_newest_whole_checkpoint_taken(tmp_path):
    data = classes()
    trainer = jitnet.Trainer(new_model(data), data, jitnet.TrainConfig(epochs=3, batch_size=16))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for _ in trainer.epochs():
        trainer.save_checkpoint(folder / f"{trainer.steps_done:012d}.safetensors")
    assert newest(tmp_path).checkpoint.state.epoch == 3
    last = folder / "000000000015.safetensors"
    last.write_bytes(last.read_bytes()[:-7])
    with pytest.warns(UserWarning, match=r"000000000015\.safetensors is cut short or damaged; going on from .*010"):
        resumed = jitnet.Trainer.resume(tmp_path, data)
    assert [report.epoch for report in resumed.epochs()] == [3]
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="none of its checkpoints is whole"):
        jitnet.Trainer.resume(tmp_path, data)
    with pytest.raises(CheckpointError, match="holds no checkpoint to go on from"):
        jitnet.Trainer.resume(folder, data)
    with pytest.raises(CheckpointError, match="there is no such run"):
        jitnet.Trainer.resume(tmp_path / "nothing", data)


def test_no_changed_bit_and_no_missing_end_goes_unnoticed(tmp_path):
    path = saved(tmp_path, classes())
    content = path.read_bytes()
    places = {*range(400), *range(400, len(content), 97), len(content) - 1}
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match="is cut short or damaged"):
            read(path)
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is cut short or damaged"):
            read(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(CheckpointError, match="is cut short or damaged"):
        read(path)


def test_another_version_and_another_file_are_refused_with_a_reason(tmp_path, monkeypatch):
    from jitnet.training import checkpoint_file

    data = classes()
    monkeypatch.setattr(checkpoint_file, "VERSION", 7)
    path = saved(tmp_path, data)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"is a checkpoint of version 7, written by jitnet .* reads version 1"):
        read(path)
    model = tmp_path / "model.safetensors"
    new_model(data).save(model)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read(model)


def test_the_same_state_is_the_same_file(tmp_path):
    data = classes()
    first = saved(tmp_path, data).read_bytes()
    trainer = jitnet.Trainer.resume(tmp_path / "one.safetensors", data)
    trainer.save_checkpoint(tmp_path / "two.safetensors")
    assert (tmp_path / "two.safetensors").read_bytes() == first
