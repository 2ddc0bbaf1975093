"""Works in worker processes: the same results at any number of them, and when one dies, is stopped or interrupted."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from jitnet.errors import OutputError, UsageError
from jitnet.model import Model
from jitnet.runs.run_settings import Settings
from jitnet.search.engine import Failed, Finished, Reported, Started
from jitnet.search.local import Local, run_all
from jitnet.search.work import Work, train_work

SMALL = Settings(data="digits", network={"hidden": (8,)}, training={"epochs": 2, "val_split": 0.25})
LONG = replace(SMALL, training={"epochs": 100_000, "val_split": 0.25})


def with_seed(seed, settings=SMALL):
    return replace(settings, training={**settings.training, "seed": seed})


def without_last_class(dataset):
    keep = dataset.train.labels < dataset.n_classes - 1
    return replace(dataset, train=dataset.train.take(keep))


def after_three(reports):
    return len(reports) == 3


def outcomes(events):
    return {event.name: event.outcome for event in events if isinstance(event, Finished)}


def without_times(report):
    return replace(report, seconds=0.0, samples_per_second=0.0)


def process_of(name, engine):
    return next(worker.process for worker in engine._crew if worker.work is not None and worker.work.name == name)


def test_the_same_results_at_any_number_of_workers_and_in_this_process(tmp_path):
    works = [Work(f"w{seed}", with_seed(seed)) for seed in range(3)]
    found = [outcomes(run_all(works, tmp_path / str(workers), workers=workers)) for workers in (1, 2)]
    found.append({work.name: train_work(work, tmp_path / "here") for work in works})
    for work in works:
        one, two, here = (each[work.name] for each in found)
        assert list(map(without_times, one.reports)) == list(map(without_times, two.reports))
        assert list(map(without_times, one.reports)) == list(map(without_times, here.reports))
        assert one.score == two.score == here.score == here.reports[here.kept - 1].val_accuracy
        weights = [Model.load(each.folder / "model.safetensors").parameters for each in (one, two, here)]
        assert all(np.array_equal(weights[0][name], other[name]) for other in weights for name in weights[0])
    lines = (tmp_path / "2" / "w1" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert json.loads((tmp_path / "2" / "w1" / "config.json").read_text())["threads"] == 1


def test_events_come_in_order(tmp_path):
    events = list(run_all([Work("a", SMALL)], tmp_path))
    assert [type(event) for event in events] == [Started, Reported, Reported, Finished]
    assert [event.report.epoch for event in events[1:3]] == [1, 2]
    assert not events[3].outcome.stopped


def test_rows_and_an_early_end_travel_with_the_work(tmp_path):
    work = Work("fold", replace(SMALL, training={"epochs": 9}), rows=without_last_class, ends_early=after_three)
    assert pickle.loads(pickle.dumps(work)) == work
    outcome = train_work(work, tmp_path)
    assert len(outcome.reports) == 3
    assert outcome.ended_early
    assert not outcome.stopped
    assert json.loads((tmp_path / "fold" / "config.json").read_text())["data"]["n_train"] < 1_437


def test_a_folder_that_holds_a_run_is_refused_unless_it_is_repeated(tmp_path):
    work = Work("a", SMALL)
    train_work(work, tmp_path)
    with pytest.raises(OutputError, match="holds a run already"):
        train_work(work, tmp_path)
    (tmp_path / "a" / ".model.safetensors.1.part").touch()
    assert len(train_work(work, tmp_path, again=True).reports) == 2
    assert sorted(os.listdir(tmp_path / "a")) == ["checkpoints", "config.json", "metrics.jsonl", "model.safetensors"]


def test_a_work_goes_on_from_its_checkpoint_to_the_same_bits(tmp_path):
    work = Work("a", replace(SMALL, training={"epochs": 4, "val_split": 0.25}), rows=without_last_class)
    whole = train_work(work, tmp_path / "whole")
    seen = []
    train_work(work, tmp_path, seen.append, lambda: len(seen) == 2)
    reported = []
    outcome = train_work(work, tmp_path, reported.append, again=True)
    assert [report.epoch for report in reported] == [1, 2, 3, 4]
    assert reported[:2] == seen  # not trained again: it took the same seconds, to the last bit
    assert list(map(without_times, outcome.reports)) == list(map(without_times, whole.reports))
    assert not outcome.stopped
    weights = [Model.load(folder / "model.safetensors").parameters for folder in (whole.folder, outcome.folder)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    lines = (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("other", "rows"),
    [({"learning_rate": 0.05}, None), ({"seed": 3}, None), ({}, without_last_class)],
    ids=["rate", "seed", "rows"],
)
def test_what_other_settings_or_data_left_is_replaced(tmp_path, other, rows):
    seen = []
    train_work(Work("a", SMALL), tmp_path, seen.append, lambda: len(seen) == 1)
    changed = Work("a", replace(SMALL, training={**SMALL.training, **other}), rows=rows)
    again = train_work(changed, tmp_path, again=True)
    alone = train_work(changed, tmp_path / "alone")
    assert list(map(without_times, again.reports)) == list(map(without_times, alone.reports))


def test_a_work_that_ended_early_and_was_not_noted_ends_there_again(tmp_path):
    seen = []
    work = Work("a", LONG, ends_early=after_three)
    train_work(replace(work, ends_early=None), tmp_path, seen.append, lambda: len(seen) == 3)
    outcome = train_work(work, tmp_path, again=True)
    assert outcome.ended_early
    assert len(outcome.reports) == 3


def test_names_differ(tmp_path):
    with pytest.raises(UsageError, match="the same name"):
        list(run_all([Work("a", SMALL), Work("a", LONG)], tmp_path))


def test_a_work_that_cannot_be_trained_fails_alone(tmp_path):
    wrong = replace(SMALL, network={"hidden": ()}, training={"dropout": (0.5,)})
    events = list(run_all([Work("wrong", wrong), Work("right", SMALL)], tmp_path, workers=1))
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert failed.name == "wrong"
    assert failed.kind == "UsageError"
    assert "dropout is 0.5, with no hidden layer" in failed.error
    assert set(outcomes(events)) == {"right"}


def test_a_running_work_can_be_stopped(tmp_path):
    with Local(2) as engine:
        events = []
        for event in engine.run([Work("long", LONG), Work("short", SMALL)], tmp_path):
            events.append(event)
            if isinstance(event, Reported) and event.name == "long":
                engine.stop("long")
        assert outcomes(events)["long"].stopped
        assert not outcomes(events)["short"].stopped
        assert (tmp_path / "long" / "model.safetensors").exists()
        again = outcomes(engine.run([Work("next", SMALL)], tmp_path))  # a late request is for no other work
        assert not again["next"].stopped


def test_all_can_be_stopped(tmp_path):
    with Local(1) as engine:
        events = []
        for event in engine.run([Work("long", LONG), Work("never", LONG)], tmp_path):
            events.append(event)
            if isinstance(event, Reported):
                engine.stop()
    assert outcomes(events)["long"].stopped
    assert not (tmp_path / "never").exists()


def test_works_that_wait_are_dropped_where_none_is_running(tmp_path):
    with Local(1) as engine:
        events = []
        for event in engine.run([Work("short", SMALL), Work("never", LONG)], tmp_path):
            events.append(event)
            if isinstance(event, Finished):
                engine.stop()
    assert list(outcomes(events)) == ["short"]
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_worker_that_dies_is_replaced_and_its_work_repeated_once(tmp_path, deaths):
    works = [Work("long", replace(LONG, training={"epochs": 2_000, "val_split": 0.25}), ends_early=after_many)]
    killed = 0
    with Local(1) as engine:
        events = []
        for event in engine.run([*works, Work("short", SMALL)], tmp_path):
            events.append(event)
            if isinstance(event, Reported) and event.name == "long" and event.report.epoch == 1 and killed < deaths:
                process_of("long", engine).kill()
                killed += 1
    assert killed == deaths
    started = [(event.name, event.again) for event in events if isinstance(event, Started)]
    assert started == [("long", False), ("long", True), ("short", False)]
    ended = outcomes(events)
    assert len(ended["short"].reports) == 2
    if deaths == 1:
        assert len(ended["long"].reports) == 200
        lines = (tmp_path / "long" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 201))
    else:
        (failed,) = (event for event in events if isinstance(event, Failed))
        assert "ended by signal SIGKILL, 2 times" in failed.error


def after_many(reports):
    return len(reports) == 200


def test_ctrl_c_ends_all_and_leaves_whole_folders(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_search_local import LONG, Work, run_all\n"
        "for event in run_all([Work(name, LONG) for name in 'ab'], Path(sys.argv[1]), workers=2):\n"
        "    print(type(event).__name__, event.name, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), os.path.dirname(__file__)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seen = set()
    for line in process.stdout:
        seen.add(line.strip())
        if {"Reported a", "Reported b"} <= seen:
            break
    workers = children_of(process.pid)
    assert len(workers) == 2
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    process.wait(timeout=20)
    assert not [pid for pid in workers if is_alive(pid)]
    for name in "ab":
        assert sorted(os.listdir(tmp_path / name)) == [
            "checkpoints",
            "config.json",
            "metrics.jsonl",
            "model.safetensors",
        ]
        Model.load(tmp_path / name / "model.safetensors")


def test_workers_end_with_the_process_that_started_them(tmp_path):
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_search_local import LONG, Work, run_all\n"
        "for event in run_all([Work('a', LONG)], Path(sys.argv[1])):\n"
        "    print(type(event).__name__, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True
    )
    while process.stdout.readline().strip() != "Reported":
        pass
    (worker,) = children_of(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 20
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(worker)


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def is_alive(pid):
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
