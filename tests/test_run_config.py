"""Runs that repeat: config.json and printed settings give the same network again, to the last bit."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jitnet import runs
from jitnet.config import ACTIVATIONS, LOSSES, OPTIMIZERS, ModelConfig, recipe_names
from jitnet.errors import UsageError
from jitnet.runs.run_config import as_toml, read_settings
from jitnet.runs.run_settings import Settings

TIMES = ("seconds", "samples_per_second")


@pytest.fixture
def tables(tmp_path):
    """Tables of houses: numbers, words, a group, a weight, yes and no."""
    draw = np.random.default_rng(5)
    rows = ["sold,area,kind,town,price,count,pool,sea"]
    for _ in range(60):
        area, kind, town = draw.integers(20, 200), draw.choice(["flat", "house", ""]), draw.integers(0, 6)
        price = area * 2.5 + draw.normal() + 10 * town
        yes = [draw.choice(["yes", "no"]) for _ in range(2)]
        rows.append(f"{draw.choice(['a', 'b', 'c'])},{area},{kind},t{town},{price:.2f},{1 + town},{yes[0]},{yes[1]}")
    (tmp_path / "houses.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "test.csv").write_text("\n".join(rows[:12]) + "\n")


CASES = {
    "images": ["--data", "digits", "--epochs", "2"],
    "a recipe": ["--data", "digits", "--recipe", "affine", "--epochs", "2", "--hidden", "16"],
    "the recipe for tables": ["--data", "houses.csv", "--target", "price", "--recipe", "tabular", "--epochs", "3",
                              "--hidden", "16"],
    "weights of classes": ["--data", "houses.csv", "--target", "sold", "--class-weight", "a=2,b=0.5", "--epochs", "2"],
    "columns": ["--data", "houses.csv", "--target", "price", "--group", "town", "--weight", "count", "--ignore",
                "sold,7", "--epochs", "2", "--loss", "huber", "--huber-delta", "0.7"],
    "test data": ["--data", "houses.csv", "--test-data", "test.csv", "--target", "5", "--time", "area", "--epochs",
                  "2"],
    "labels": ["--data", "houses.csv", "--target", "pool,sea", "--epochs", "2"],
    "distortions": ["--data", "digits", "--elastic", "4", "--elastic-sigma", "2", "--rotation", "5", "--dropout", "0.2",
                    "--input-dropout", "0.1", "--ema", "0.9", "--epochs", "2", "--hidden", "32,32", "--residual",
                    "--norm", "layer", "--seed", "7"],
    "early stopping": ["--data", "digits", "--val-split", "0.2", "--patience", "1", "--monitor", "loss", "--epochs",
                       "30", "--optimizer", "adam", "--lr", "0.05", "--beta1", "0.8", "--hidden", "32"],
    "other threads": ["--data", "digits", "--batch-size", "512", "--hidden", "512", "--epochs", "3", "--threads", "1"],
}  # fmt: skip


def tensors(folder: str | Path) -> bytes:
    """The numbers of a saved network, without the header."""
    file = (Path(folder) / runs.MODEL).read_bytes()
    return file[8 + int.from_bytes(file[:8], "little") :]


def metrics(folder: str | Path) -> list[dict]:
    """The lines of a run's metrics without times."""
    lines = [json.loads(line) for line in (Path(folder) / runs.METRICS).read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines]


def config_of(folder: str | Path) -> dict:
    return json.loads((Path(folder) / runs.CONFIG).read_text())


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_a_run_is_repeated_to_the_last_bit(call, tables, monkeypatch, options):
    """By its folder, its config.json, the printed settings, and an earlier version's config.json; elsewhere too."""
    first = call("train", *options, "--out", "first", "-q")
    assert first.code == 0, first.err
    printed = call("train", *options, "--print-config")
    assert printed.code == 0, printed.err
    Path("printed.toml").write_text(printed.out)
    Path("earlier").mkdir()
    earlier = config_of("first")
    for name in ("format", "versions"):
        del earlier[name]
    for name in ("path", "test_path", "task"):
        del earlier["data"][name]
    Path("earlier", runs.CONFIG).write_text(json.dumps(earlier))
    Path("earlier", runs.MODEL).write_bytes(Path("first", runs.MODEL).read_bytes())
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for number, source in enumerate(["../first", f"../first/{runs.CONFIG}", "../printed.toml", "../earlier"]):
        again = call("train", "--config", source, "--out", f"again{number}", "-q")
        assert (again.code, "last bits" in again.err) == (0, False), again.err
        assert tensors(f"again{number}") == tensors("../first")
        assert metrics(f"again{number}") == metrics("../first")
        before, after = config_of("../first"), config_of(f"again{number}")
        assert (after["model"], after["train"]) == (before["model"], before["train"])
        assert after["data"]["checksum"] == before["data"]["checksum"]
        if number < 2:
            assert after["recipe"] == before["recipe"]
            assert {**after["data"], "source": ""} == {**before["data"], "source": ""}


def test_a_run_whose_threads_were_chosen_by_trying_is_repeated(call):
    options = ["--data", "digits", "--batch-size", "64", "--hidden", "256", "--epochs", "40"]
    assert call("train", *options, "--out", "first", "-q").code == 0
    assert config_of("first")["train"]["threads"] == 0
    assert call("train", "--config", "first", "--out", "again", "-q").code == 0
    assert tensors("again") == tensors("first")
    assert metrics("again") == metrics("first")


def test_the_config_of_a_run_says_what_it_ran_with(call, tables, tmp_path):
    call("train", "--data", "houses.csv", "--test-data", "test.csv", "--target", "price", "--epochs", "1", "--out", "r")
    config = config_of("r")
    assert config["format"] == 1
    assert set(config["versions"]) == {"jitnet", "python", "numpy", "numba", "llvmlite"}
    assert config["machine"]["cpu"]
    data = config["data"]
    assert (data["path"], data["test_path"]) == (str(tmp_path / "houses.csv"), str(tmp_path / "test.csv"))
    assert (data["task"], data["columns"]["targets"], len(data["checksum"])) == ("regress", ["price"], 64)


def test_data_that_have_changed_are_refused_and_both_checksums_named(call, tables):
    assert call("train", "--data", "houses.csv", "--target", "price", "--epochs", "1", "--out", "r", "-q").code == 0
    Path("printed.toml").write_text(call("train", "--config", "r", "--print-config").out)
    before = config_of("r")["data"]["checksum"]
    lines = Path("houses.csv").read_text().splitlines()
    Path("houses.csv").write_text("\n".join(lines[:-1]) + "\n")
    for source, where in [("r", "r/config.json: checksum: "), ("printed.toml", "printed.toml, line ")]:
        code, out, err = call("train", "--config", source, "--out", "again")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith(f"jitnet: error: {where}")
        assert before in err
        assert len([word for word in err.replace(":", " ").replace(";", " ").split() if len(word) == 64]) == 2
        assert not Path("again").exists()
    assert call("train", "--config", "r", "--data", "houses.csv", "--out", "again", "-q").code == 0
    assert config_of("again")["data"]["checksum"] != before


def test_data_that_were_moved_are_named_and_compared(call, tables):
    assert call("train", "--data", "houses.csv", "--target", "price", "--epochs", "1", "--out", "r", "-q").code == 0
    Path("houses.csv").rename("moved.csv")
    code, _, err = call("train", "--config", "r", "--out", "again", "-q")
    assert (code, "houses.csv: there is no such file" in err) == (1, True)
    found = call("train", "--config", "r", "--data", "moved.csv", "--out", "again", "-q")
    assert (found.code, "other data" in found.err) == (0, False)
    assert tensors("again") == tensors("r")
    found = call("train", "--config", "r", "--data", "test.csv", "--out", "other", "-q")
    assert found.code == 0
    assert "r: these are other data, with the checksum" in " ".join(found.err.split())


def test_a_loss_that_is_typed_decides_the_task(call, tables):
    options = ["--data", "houses.csv", "--target", "count", "--task", "classify", "--epochs", "1"]
    assert call("train", *options, "--out", "r", "-q").code == 0
    assert call("train", "--config", "r", "--loss", "huber", "--out", "again", "-q").code == 0
    assert config_of("again")["data"]["task"] == "regress"


def test_printing_settings_trains_nothing_and_prints_nothing_else(call, tables):
    code, out, err = call("train", "--data", "digits", "--epochs", "3", "--print-config")
    assert (code, err) == (0, "")
    assert out.startswith("# Settings of a run")
    assert not Path("runs").exists()
    assert all(len(line) <= 80 for line in out.splitlines())
    train = out.split("[train]")[1]
    assert train.index("epochs = 3  # default: 10") < train.index("# As by default:") < train.index("batch_size = 32")
    assert "\n# momentum = 0.9  # only with optimizer momentum or nesterov\n" in train
    document = json.loads(call("train", "--data", "digits", "--epochs", "3", "--print-config", "--json").out)
    assert (document["train"]["epochs"], document["data"]["name"]) == (3, "digits")
    code, _, err = call("train", "--print-config", "--explain")
    assert (code, "--explain cannot be combined with --print-config" in err) == (2, True)


def test_settings_for_a_machine_with_more_cores_can_be_printed_and_not_trained(call):
    out = call("train", "--data", "digits", "--threads", "1000", "--print-config").out
    assert "threads = 1000  # default: 0" in out
    Path("my.toml").write_text(out)
    code, _, err = call("train", "--config", "my.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("jitnet: error: my.toml, line ")
    assert "threads is 1000; this process may use 1 to" in err


def test_what_the_data_do_not_fit_is_named_with_file_and_line(call):
    for text, message in [
        ("\nlabel-smoothing = 0.1\nclass_weight = 'ab=2'", "line 3: class_weight has a weight of the class 'ab'"),
        ("drop-last = true\nbatch-size = 100_000", "line 2: batch-size is 100000, more than the 1437 samples"),
    ]:
        Path("my.toml").write_text(f"{text}\n[data]\ndata = 'digits'\n")
        code, _, err = call("train", "--config", "my.toml")
        assert code == 2
        assert err.startswith(f"jitnet: error: my.toml, {message}")


def test_a_run_of_other_versions_is_repeated_with_a_notice(call):
    assert call("train", "--data", "digits", "--epochs", "1", "--hidden", "8", "--out", "r", "-q").code == 0
    config = config_of("r")
    config["versions"] |= {"numba": "0.1", "numpy": "0.2"}
    config["machine"] |= {"numba": "0.1", "cpu": "Z80"}
    Path("r", runs.CONFIG).write_text(json.dumps(config))
    code, _, err = call("train", "--config", "r", "--out", "again", "-q")
    assert code == 0
    said = " ".join(err.split())
    assert "r: the run was trained with numba 0.1 (here " in said
    assert "processor Z80 (here " in said
    assert "numpy" not in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: {**run, "format": 2, "jitnet": "9.0"}, "is of format 2, which jitnet 9.0 writes; this is jitnet "),
        (lambda run: {**run, "train": {**run["train"], "lr": 0}}, "lr: expected a number above 0"),
        (lambda run: {**run, "train": {"epocs": 3}}, "epocs: there is no such setting; did you mean epochs?"),
        (
            lambda run: {**run, "jitnet": "9.0", "model": {"layers": 3}},
            "layers: there is no such setting; jitnet train --help lists the options; jitnet 9.0 wrote it, and this",
        ),
        (lambda run: {"jitnet": "0.1.0"}, "lacks 'data', which a run's config.json has"),
        (lambda run: [], "lacks 'data'"),
        (lambda run: {**run, "train": {"augment": 3}}, "augment: expected a table of settings, found 3"),
    ],
    ids=range(7),
)
def test_a_config_json_that_cannot_be_read_is_refused_with_a_reason(tmp_path, change, message):
    run = {"format": 1, "jitnet": "0.1.0", "data": {"name": "digits", "path": None}, "model": {}, "train": {}}
    (tmp_path / runs.CONFIG).write_text(json.dumps(change(run)))
    with pytest.raises(UsageError) as error:
        read_settings(tmp_path)
    assert str(error.value).startswith(str(tmp_path / runs.CONFIG))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_earlier_version_s_run_without_its_model_is_refused(tmp_path):
    (tmp_path / runs.CONFIG).write_text('{"data": {"name": "x"}, "model": {}, "train": {}}')
    with pytest.raises(UsageError, match="an earlier version of jitnet wrote it, without the path of the data"):
        read_settings(tmp_path)


def resolved(settings: Settings, task: str) -> tuple[dict, dict]:
    """Every field of the network and of the training for data of a task."""
    network, config = settings.resolve(task)
    of_classes = LOSSES[network["loss"]].target == "class" if "loss" in network else task == "classify"
    shape = ModelConfig(**network, in_features=3, **({"n_classes": 4} if of_classes else {"n_targets": 2}))
    return shape.model_dump(), config.for_loss(shape.loss).model_dump()


def round_trip(settings: Settings, tmp_path: Path, *tasks: str) -> None:
    """Written as TOML and read again, the settings resolve to the same."""
    (tmp_path / "printed.toml").write_text(as_toml(settings), encoding="utf-8")
    again = read_settings(tmp_path / "printed.toml")
    for task in tasks:
        assert resolved(again, task) == resolved(settings, task)
    assert as_toml(again) == as_toml(settings)
    for name in ("data", "columns", "checksum"):
        assert getattr(again, name) == getattr(settings, name)


@pytest.mark.parametrize("task", ["classify", "regress", "auto"])
@pytest.mark.parametrize("name", recipe_names())
def test_the_settings_of_every_recipe_survive_printing(tmp_path, name, task):
    """Where the task is not known, those of both tasks."""
    settings = Settings(recipe=name, task=task)
    smooths = settings.resolve("regress")[1].label_smoothing > 0  # which numbers have no use for
    if smooths and task == "regress":
        with pytest.raises(UsageError, match=r"label_smoothing is 0\.05, and the targets are numbers"):
            as_toml(settings)
        return
    tasks = ["classify", *(["regress"] * (not smooths))] if task == "auto" else [task]
    round_trip(settings, tmp_path, *tasks)


def test_random_settings_survive_printing(tmp_path):
    draw = random.Random(3)
    done = 0
    while done < 60:
        network = {
            "hidden": tuple(draw.choice([8, 16, 300]) for _ in range(draw.randint(0, 3))),
            "activation": draw.choice([*ACTIVATIONS]),
            "loss": draw.choice([*LOSSES]),
            "init": draw.choice(["he", "ntk"]),
            "input_scale": draw.random() < 0.5,
        }
        training = {"optimizer": draw.choice([*OPTIMIZERS]), "class_weight": draw.choice(["", 'a"b\\=2,é=1e-3'])}
        for name, value in [
            ("learning_rate", draw.uniform(1e-7, 1.0)), ("beta2", draw.random()), ("momentum", draw.random()),
            ("epsilon", 10 ** draw.uniform(-12, -1)), ("schedule", draw.choice(["step", "coslog4", "cosine"])),
            ("step_every", draw.uniform(0.1, 3)), ("final_fraction", draw.random()), ("seed", draw.randrange(2**63)),
            ("dropout", (draw.random(),)), ("val_split", 0.25), ("patience", 3), ("keep", "last"), ("ema", 1 / 3),
            ("augment", {"elastic": 3, "elastic_sigma": draw.uniform(1, 9)}), ("augment", {"shear": 1e-9}),
            ("input_scale_rate", draw.uniform(0, 6)), ("shuffle", False), ("threads", draw.randint(0, 1024)),
        ]:  # fmt: skip
            if draw.random() < 0.4:
                training[name] = value
        columns = {"target": ["a, b", 'x"y'], "group": "é#[", "ignore": ["7"]} if draw.random() < 0.5 else {}
        settings = Settings("a\\b'\".csv", None, columns, network=network, training=training, checksum="ab" * 32)
        try:
            settings.resolve()
        except UsageError:
            continue
        round_trip(replace(settings, data=str(tmp_path / str(settings.data))), tmp_path, LOSSES[network["loss"]].task)
        done += 1


def test_a_name_that_is_no_utf_8_cannot_be_printed():
    with pytest.raises(UsageError, match=r"is not UTF-8 text, and TOML holds nothing else; rename it"):
        as_toml(Settings(data="\udcff.csv"))
