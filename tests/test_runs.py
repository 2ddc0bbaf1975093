"""Run folders: never written over, never half a line, never NaN in JSON."""

import json
import os
import resource
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jitnet import runs
from jitnet.errors import OutputError


@dataclass(frozen=True)
class Report:
    epoch: int = 1
    train_loss: float = 0.5
    test_accuracy: float | None = None
    val_loss: float | None = None


def test_create_numbers_its_folders(tmp_path):
    folders = [runs.create("mnist", tmp_path / "runs").folder for _ in range(3)]
    assert [folder.name[10:] for folder in folders] == ["-mnist", "-mnist-2", "-mnist-3"]
    assert all(folder.is_dir() for folder in folders)


def test_claim_makes_the_folder_and_its_parents(tmp_path):
    assert runs.claim(tmp_path / "a" / "b").folder.is_dir()


@pytest.mark.parametrize("name", [runs.CONFIG, runs.METRICS, runs.MODEL])
def test_claim_refuses_a_folder_that_holds_a_run(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputError, match=f"holds a run already \\({name}\\)"):
        runs.claim(tmp_path)
    assert (tmp_path / name).read_text() == "precious"


@pytest.mark.parametrize("open_run", [runs.claim, lambda path: runs.create("x", path)], ids=["claim", "create"])
def test_a_file_where_a_folder_is_meant(tmp_path, open_run):
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(OutputError, match="a file is in the way; name another place with --out"):
            open_run(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="permission denied"):
        runs.claim(tmp_path)


def test_metrics_are_one_json_line_an_epoch(tmp_path):
    run = runs.claim(tmp_path)
    run.append(Report(1, float("nan")))
    run.append(Report(2, 0.25, 0.5, 0.75))
    lines = (tmp_path / runs.METRICS).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 1, "train_loss": None, "test_accuracy": None},
        {"epoch": 2, "train_loss": 0.25, "test_accuracy": 0.5, "val_loss": 0.75},
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_names_the_file(tmp_path):
    run = runs.claim(tmp_path)
    (tmp_path / runs.METRICS).symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"cannot write .*metrics\.jsonl: no space left on device"):
        run.append(Report())


def test_half_a_line_is_taken_back(tmp_path):
    run = runs.claim(tmp_path)
    run.append(Report(1))
    whole = (tmp_path / runs.METRICS).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*metrics\.jsonl"):
            run.append(Report(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / runs.METRICS).read_bytes() == whole
    run.append(Report(2))
    assert len((tmp_path / runs.METRICS).read_text().splitlines()) == 2


def test_config_round_trip(tmp_path):
    run = runs.claim(tmp_path)
    run.write_config({"path": tmp_path, "hidden": (128, 64), "rate": np.float32(0.5), "means": np.array([1.0, np.inf])})
    assert json.loads((tmp_path / runs.CONFIG).read_text()) == {
        "path": str(tmp_path),
        "hidden": [128, 64],
        "rate": 0.5,
        "means": [1.0, None],
    }


def test_json_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="no JSON for object"):
        runs.as_json(object())


def test_a_config_behind_a_link_is_written_where_the_link_leads(tmp_path):
    run = runs.claim(tmp_path / "run")
    (run.folder / runs.CONFIG).symlink_to(tmp_path / "elsewhere.json")
    run.write_config({"epochs": 1})
    assert json.loads((tmp_path / "elsewhere.json").read_text()) == {"epochs": 1}
    assert [(path.name, path.is_symlink()) for path in run.folder.iterdir()] == [(runs.CONFIG, True)]


def test_a_run_that_goes_on_and_cannot_write_is_not_sent_elsewhere(tmp_path):
    with runs.claim(tmp_path / "run") as run:
        run.write_config({"data": {}, "model": {}, "train": {}})
        assert "with --out" in str(run.cannot_write("metrics.jsonl", OSError(28, "No space left on device")))
    again = runs.reopen(tmp_path / "run")
    assert str(again.cannot_write("metrics.jsonl", OSError(28, "No space left on device"))) == (
        f"cannot write {tmp_path / 'run' / 'metrics.jsonl'}: no space left on device; make room there, or make it "
        "writable, and resume again"
    )
